// gRPC's global state: initialised while anything of ours uses it.
#ifndef ROOKERY_TRANSPORTS_GRPC_SRC_LIBRARY_H_
#define ROOKERY_TRANSPORTS_GRPC_SRC_LIBRARY_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace rookery::grpc_adapter {

// Hold one wherever objects of gRPC are held; the first initialises gRPC, the last shuts it down.
// Nothing happens before the first: a process may fork until then.
class Library final {
 public:
  Library();
  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
};

// While it lives, what gRPC would log on this thread is kept here instead.
class LogCapture final {
 public:
  LogCapture() noexcept;
  ~LogCapture();
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;
  [[nodiscard]] std::string_view text() const noexcept { return text_; }

 private:
  std::string text_;
};

// What gRPC knows of a listener's peers and tells its log alone: handshakes that failed, metadata
// beyond its hard limit.
class PeerFaults {
 public:
  // Any thread, while a PeerFaultsScope lives.
  virtual void OnPeerFault(const absl::Status& fault) noexcept = 0;

 protected:
  PeerFaults() = default;
  ~PeerFaults() = default;
};
// Sends the faults seen on this thread to `faults`; those of gRPC's own threads go there, too, if
// it is the only one of the process.
class PeerFaultsScope final {
 public:
  explicit PeerFaultsScope(PeerFaults* faults) noexcept;
  ~PeerFaultsScope();
  PeerFaultsScope(const PeerFaultsScope&) = delete;
  PeerFaultsScope& operator=(const PeerFaultsScope&) = delete;
};

enum class Severity { kInfo, kWarning, kError };
// One line in the application's log.
void Log(Severity severity, std::string_view text) noexcept;

}  // namespace rookery::grpc_adapter

#endif  // ROOKERY_TRANSPORTS_GRPC_SRC_LIBRARY_H_
