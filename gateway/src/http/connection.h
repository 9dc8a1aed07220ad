// Connections: the side of the server that a loop runs. Private; server.cc has the rest.
#ifndef ROOKERY_SRC_GATEWAY_HTTP_CONNECTION_H_
#define ROOKERY_SRC_GATEWAY_HTTP_CONNECTION_H_

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "http/exchange.h"
#include "http/head_parser.h"
#include "http/tls.h"
#include "rookery/gateway/http_gateway.h"
#include "rookery/rpc/stats.h"
#include "rookery/runtime/cancel.h"
#include "rookery/runtime/loop.h"

namespace rookery::internal::gateway {

// What all connections of a server share. Outlives them: each holds a reference.
struct ServerState {
  HttpLimits limits;
  HeadLimits head_limits;
  std::chrono::seconds retry_after{1};
  std::chrono::milliseconds tick{250};  // how exact timeouts are
  HttpApplication* application = nullptr;
  std::unique_ptr<TlsContexts> tls;
  std::atomic<bool> draining{false};
  std::atomic<std::size_t> connections{0};
  // Requests from their first byte until their answer has left.
  std::atomic<std::size_t> busy{0};
  std::array<std::atomic<std::uint64_t>, kStatusCodes> rejected{};

  std::mutex mutex;  // of nothing but the waiting
  std::condition_variable changed;
  void Changed() {
    {
      const std::scoped_lock lock(mutex);
    }
    changed.notify_all();
  }
  void CountRejected(int http_status) noexcept;
};

class Worker;

// A connection as its worker sees it. On the worker's loop.
class ConnectionNode {
 public:
  ConnectionNode() = default;
  ConnectionNode(const ConnectionNode&) = delete;
  ConnectionNode& operator=(const ConnectionNode&) = delete;
  virtual ~ConnectionNode() = default;

  // Ends what has taken too long.
  virtual void Tick(Deadline now) noexcept = 0;
  // Closes it if it is idle.
  virtual void StopIntake() noexcept = 0;
  // Cancels the exchange that is under way; whether there is one.
  virtual bool Cancel(const absl::Status& reason) noexcept = 0;
  // Cuts it.
  virtual void Abort() noexcept = 0;

 private:
  friend class Worker;
  ConnectionNode* previous_ = nullptr;
  ConnectionNode* next_ = nullptr;
};

// A loop's share of the server. All on the loop, but for the constructor and Post.
class Worker final {
 public:
  Worker(std::shared_ptr<ServerState> state, Loop& loop);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  [[nodiscard]] ServerState& state() noexcept { return *state_; }
  [[nodiscard]] Loop& loop() noexcept { return loop_; }
  // As of the last tick. After() is never early for it.
  [[nodiscard]] Deadline now() const noexcept { return now_; }
  [[nodiscard]] Deadline After(std::chrono::milliseconds time) const noexcept {
    return now_ + state_->tick + time;
  }
  // "Date: Tue, 15 Nov 1994 08:12:31 GMT\r\n"
  [[nodiscard]] std::string_view date() const noexcept { return {date_.data(), date_size_}; }
  [[nodiscard]] CancelSource& draining() noexcept { return draining_; }

  // Takes ownership until Remove, which destroys it.
  void Add(std::unique_ptr<ConnectionNode> connection);
  void Remove(ConnectionNode* connection) noexcept;
  template <class Fn>
  void ForEach(Fn&& fn) {
    for (ConnectionNode* each = first_; each != nullptr;) {
      ConnectionNode* const next = each->next_;
      fn(*each);
      each = next;
    }
  }
  void BeginDrain() noexcept;

 private:
  struct Timer final : LoopTimer {
    explicit Timer(Worker* owner) noexcept;
    Worker* worker;
  };
  void Refresh() noexcept;
  void Tick() noexcept;

  const std::shared_ptr<ServerState> state_;
  Loop& loop_;
  ConnectionNode* first_ = nullptr;
  Timer timer_{this};
  bool ticking_ = false;
  Deadline now_{};
  std::int64_t date_second_ = -1;
  std::array<char, 48> date_{};
  std::size_t date_size_ = 0;
  CancelSource draining_;
};

// Serves a connected socket, which does not block, on the worker's loop and thread. `refused`:
// there are too many connections, and all it hears is 503. `worker` is kept alive.
void ServeConnection(const std::shared_ptr<Worker>& worker, int fd, std::string address,
                     bool refused);

}  // namespace rookery::internal::gateway

#endif  // ROOKERY_SRC_GATEWAY_HTTP_CONNECTION_H_
