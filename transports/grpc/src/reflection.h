// Reflection: grpc.reflection.v1 and v1alpha, from the descriptors that are linked in.
#ifndef ROOKERY_TRANSPORTS_GRPC_SRC_REFLECTION_H_
#define ROOKERY_TRANSPORTS_GRPC_SRC_REFLECTION_H_

#include <memory>
#include <vector>

#include "internal_handler.h"

namespace rookery::grpc_adapter {

class ReflectionSource;

class Reflection final {
 public:
  // `health`: whether grpc.health.v1 is served beside it.
  Reflection(const HandlerRegistry& registry, bool health);
  ~Reflection();
  Reflection(const Reflection&) = delete;
  Reflection& operator=(const Reflection&) = delete;

  [[nodiscard]] std::vector<const Handler*> handlers() const;

 private:
  std::unique_ptr<ReflectionSource> source_;
  std::unique_ptr<InternalHandler> v1_;
  std::unique_ptr<InternalHandler> v1alpha_;
};

}  // namespace rookery::grpc_adapter

#endif  // ROOKERY_TRANSPORTS_GRPC_SRC_REFLECTION_H_
