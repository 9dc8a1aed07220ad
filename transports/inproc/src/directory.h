// The names under which applications of this process listen.
#ifndef ROOKERY_TRANSPORTS_INPROC_SRC_DIRECTORY_H_
#define ROOKERY_TRANSPORTS_INPROC_SRC_DIRECTORY_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "rookery/rpc/local_channel.h"

namespace rookery::internal {

// A published name; unpublished by its destructor.
class Publication final {
  // Only Make has one.
  class Key {
    friend class Publication;
    Key() {}
  };

 public:
  // ALREADY_EXISTS if somebody has that name.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Publication>> Make(
      const std::string& name, std::shared_ptr<LocalEndpoint> endpoint);
  Publication(const Publication&) = delete;
  Publication& operator=(const Publication&) = delete;
  ~Publication();
  Publication(std::string name, Key key);

 private:
  const std::string name_;
};

// Null if nobody has that name now. Thread-safe.
[[nodiscard]] std::shared_ptr<LocalEndpoint> FindPublished(const std::string& name);

}  // namespace rookery::internal

#endif  // ROOKERY_TRANSPORTS_INPROC_SRC_DIRECTORY_H_
