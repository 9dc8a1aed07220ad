// Connection: one connection of nats.c in its event-loop mode, on one of our loops. Private.
//
// nats.c has no thread of its own for it: the loop reads when the socket is readable, and what is
// published in one turn of the loop leaves in one write. Its callbacks come on any thread.
#ifndef ROOKERY_TRANSPORTS_NATS_SRC_CONNECTION_H_
#define ROOKERY_TRANSPORTS_NATS_SRC_CONNECTION_H_

#include <nats/nats.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "options.h"
#include "rookery/rpc/channel.h"
#include "rookery/rpc/wire.h"
#include "rookery/runtime/loop.h"

namespace rookery::nats_adapter {

struct MessageDeleter {
  void operator()(natsMsg* message) const noexcept { natsMsg_Destroy(message); }
};
using MessagePtr = std::unique_ptr<natsMsg, MessageDeleter>;

// Takes over what nats.c delivered. *nobody: it is the NATS server's word that nobody listens to
// what was sent.
[[nodiscard]] InboundMessage ToInbound(MessagePtr message, bool* nobody = nullptr);

// The loop of all clients of the process.
[[nodiscard]] std::shared_ptr<LoopPool> ClientLoops();

class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  struct Events {
    // On the loop: something was read, which synchronous subscriptions may have.
    std::function<void()> on_read = [] {};
    // On any thread.
    std::function<void()> on_disconnected = [] {};
    std::function<void()> on_reconnected = [] {};
    // On any thread: the NATS server lets us not publish to a subject (or else subscribe to it).
    std::function<void(bool publish, const std::string& subject, const absl::Status& why)>
        on_refused = [](bool, const std::string&, const absl::Status&) {};
  };

  // Connects; blocks for connect_timeout at most. `background`: if that fails, goes on trying, and
  // is OK. `keep` lives as long as the loop is needed.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<Connection>> Open(
      const Nats& options, Loop& loop, bool background, Events events,
      std::shared_ptr<void> keep = nullptr);
  // Use Open.
  Connection(const Nats& options, Loop& loop, Events events, std::shared_ptr<void> keep);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  // Any thread. OK: it is in the connection's buffer, and leaves with the end of the loop's turn.
  [[nodiscard]] absl::Status Publish(const OutboundMessage& message);
  // Blocks until the server has seen all that was published. Not on the loop.
  [[nodiscard]] absl::Status Flush(std::chrono::milliseconds timeout);
  // Ends it. Idempotent; callbacks may still be under way, and keep it alive.
  void Close() noexcept;
  // After Close: waits until no event can come any more, or `most`. Not on nats.c's threads.
  void AwaitSilence(std::chrono::milliseconds most) noexcept;

  [[nodiscard]] ConnectionState state() const noexcept;
  // OK, or UNAVAILABLE with where and why.
  [[nodiscard]] absl::Status Ready() const;
  // After a Flush: PERMISSION_DENIED if the NATS server has refused a subscription, and which.
  [[nodiscard]] absl::Status Refusal() const;
  // Why nobody reconnects any more; OK if that is not so. UNAUTHENTICATED, say.
  [[nodiscard]] absl::Status WhyClosed() const;
  [[nodiscard]] natsConnection* get() noexcept { return connection_.load(); }
  [[nodiscard]] Loop& loop() noexcept { return loop_; }
  [[nodiscard]] std::size_t max_payload() const noexcept;
  // Which server it is.
  [[nodiscard]] std::string url() const;

 private:
  class Socket;
  struct FlushWork final : LoopWork {
    explicit FlushWork(Connection* owner) noexcept
        : LoopWork([](LoopWork* self) noexcept {
            static_cast<FlushWork*>(self)->connection_->OnFlush();
          }),
          connection_(owner) {}

   private:
    Connection* const connection_;
  };

  // nats.c's event loop.
  static natsStatus Attach(void** user, void* self, natsConnection* connection, natsSock socket);
  static natsStatus Read(void* user, bool add);
  static natsStatus Write(void* user, bool add);
  static natsStatus Detach(void* user);

  void OnFlush() noexcept;
  // Writes what waits in the connection's buffer. On the loop.
  void WriteOut() noexcept;
  void DropSocket() noexcept;
  [[nodiscard]] std::int64_t ReconnectDelay(int attempts) noexcept;

  const Nats options_;
  const std::string public_url_;
  Loop& loop_;
  const std::shared_ptr<void> keep_;
  const Events events_;
  // nats.c gives it away while it connects, on a thread of its own.
  std::atomic<natsConnection*> connection_{nullptr};
  std::shared_ptr<Connection> self_;  // until nats.c has said its last word

  FlushWork flush_{this};
  std::shared_ptr<Connection> flushing_;  // while flush_ is posted
  std::atomic<bool> flush_posted_{false};
  std::atomic<bool> write_wanted_{false};
  std::atomic<std::size_t> pending_{0};  // bytes published since the buffer was last empty
  std::atomic<bool> ever_connected_{false};
  std::atomic<bool> closed_{false};

  std::mutex mutex_;
  std::condition_variable silence_;
  std::shared_ptr<Socket> socket_;  // guarded by mutex_
  bool silent_ = false;             // the same: nats.c has said its last word
};

}  // namespace rookery::nats_adapter

#endif  // ROOKERY_TRANSPORTS_NATS_SRC_CONNECTION_H_
