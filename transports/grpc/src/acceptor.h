// The front door of a TCP listener: accepts connections, looks at the first bytes of each, and
// gives gRPC those that may be HTTP/2 (or a TLS handshake). The others are closed, logged and
// counted, which gRPC would not tell anybody of.
//
//   Acceptor acceptor(policy);                     // before the grpc_server is made
//   arguments.SetPointer(Acceptor::kTarget, acceptor.slot(), ...);
//   acceptor.Listen("127.0.0.1:0");
//   grpc_server_add_http2_port(server, Acceptor::kTarget, credentials);
//   grpc_server_start(server);
//   acceptor.Start();
//   acceptor.Stop();                               // before the server is shut down
//
// gRPC takes connections from outside on listeners named "external:...", which grpc++ offers as
// ServerBuilder::experimental().AddExternalConnectionAcceptor. Its C API has no name for it, so
// this works with the versions whose layout is known (Supported()); with others gRPC listens by
// itself. See docs/decisions/0006.
#ifndef ROOKERY_TRANSPORTS_GRPC_SRC_ACCEPTOR_H_
#define ROOKERY_TRANSPORTS_GRPC_SRC_ACCEPTOR_H_

#include <poll.h>

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct grpc_byte_buffer;

// gRPC's own, as it stands in src/core/lib/iomgr/tcp_server.h of 1.51. Only its vtable matters.
namespace grpc_core {
class TcpServerFdHandler {
 public:
  virtual ~TcpServerFdHandler() = default;
  // Takes `fd`, a connected socket; `listener_fd` is kept for whoever asks.
  virtual void Handle(int listener_fd, int fd, grpc_byte_buffer* pending_read) = 0;
};
}  // namespace grpc_core

namespace rookery::grpc_adapter {

class Acceptor final {
 public:
  // Called on the acceptor's thread, once for each connection refused.
  using Refuse = std::function<void(const absl::Status& why)>;
  struct Options {
    bool tls = false;
    std::chrono::milliseconds handshake_timeout{20'000};  // for the first bytes
    // TCP_USER_TIMEOUT: how long sent bytes may stay unacknowledged; zero: the system's.
    std::chrono::milliseconds user_timeout{0};
  };

  static constexpr char kTarget[] = "external:rookery";
  // Whether this process's gRPC is one that this class knows.
  [[nodiscard]] static bool Supported() noexcept;

  Acceptor(Options options, Refuse refuse);
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;
  ~Acceptor() { Stop(); }

  // Binds and listens on "host:port" ("0.0.0.0" and "[::]" mean every address of both families);
  // the port, or why not: "Address already in use".
  [[nodiscard]] absl::StatusOr<int> Listen(std::string_view address);
  // Where gRPC puts its side, when kTarget is added to the server.
  [[nodiscard]] void* slot() noexcept { return &handler_; }
  [[nodiscard]] bool attached() const noexcept { return handler_ != nullptr; }
  void Start();
  // No connection is accepted, nor handed to gRPC, after it. Idempotent.
  void Stop() noexcept;

 private:
  using Clock = std::chrono::steady_clock;
  // A connection that has not said enough yet.
  struct Pending {
    int fd;
    int listener;
    Clock::time_point deadline;
  };

  void Run() noexcept;
  void AcceptFrom(int listener) noexcept;
  // Whether the connection is off our hands.
  bool Look(const Pending& pending) noexcept;
  void Close(const Pending& pending, std::string_view why) noexcept;

  const Options options_;
  const Refuse refuse_;
  grpc_core::TcpServerFdHandler* handler_ = nullptr;  // gRPC's
  std::vector<int> listeners_;
  int wake_ = -1;  // an eventfd
  std::thread thread_;
  std::deque<Pending> pending_;  // the thread's, in the order of their deadlines
  Clock::time_point paused_until_{};
};

}  // namespace rookery::grpc_adapter

#endif  // ROOKERY_TRANSPORTS_GRPC_SRC_ACCEPTOR_H_
