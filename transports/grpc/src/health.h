// Health: grpc.health.v1, answered from the node's own readiness.
#ifndef ROOKERY_TRANSPORTS_GRPC_SRC_HEALTH_H_
#define ROOKERY_TRANSPORTS_GRPC_SRC_HEALTH_H_

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "internal_handler.h"
#include "rookery/rpc/transport.h"
#include "rookery/runtime/event.h"

namespace rookery::grpc_adapter {

// Every service of the node has the node's status: SERVING while it is ready, then NOT_SERVING.
class Health final {
 public:
  explicit Health(TransportHost& host);
  ~Health();
  Health(const Health&) = delete;
  Health& operator=(const Health&) = delete;

  [[nodiscard]] std::vector<const Handler*> handlers() const;
  // NOT_SERVING from now on; tells those who watch. Any thread.
  void NotReady() noexcept;

  [[nodiscard]] bool serving() const noexcept;
  // Whether serving() may still become true.
  [[nodiscard]] bool settled() const noexcept;
  [[nodiscard]] bool Knows(std::string_view service) const;
  [[nodiscard]] const std::set<std::string, std::less<>>& services() const { return services_; }
  [[nodiscard]] Event& not_ready() noexcept { return not_ready_; }

 private:
  TransportHost& host_;
  std::set<std::string, std::less<>> services_;  // "" among them
  Event not_ready_;
  std::unique_ptr<InternalHandler> check_;
  std::unique_ptr<InternalHandler> list_;
  std::unique_ptr<InternalHandler> watch_;
};

}  // namespace rookery::grpc_adapter

#endif  // ROOKERY_TRANSPORTS_GRPC_SRC_HEALTH_H_
