// Connection: a connection of nats.c in its event-loop mode, on one of our loops, and another one
// whenever it is lost. Private.
//
// nats.c has no thread of its own for it: the loop reads when the socket is readable, and what is
// published in one turn of the loop leaves in one write. Its callbacks come on any thread.
//
// nats.c could reconnect by itself, but not here: in this mode it goes on parsing the new
// connection's bytes where the old one's broke off, so that a connection that was cut in the middle
// of a message is never of use again; and it gives up for good when it is refused twice.
#ifndef ROOKERY_TRANSPORTS_NATS_SRC_CONNECTION_H_
#define ROOKERY_TRANSPORTS_NATS_SRC_CONNECTION_H_

#include <nats/nats.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

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
  using OnMessage = std::function<void(MessagePtr message)>;

  // What is subscribed to, on each connection anew until it goes.
  class Subscription final {
   public:
    Subscription(std::string subject, std::string queue, OnMessage on_message);
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;
    ~Subscription();

    // Of one without on_message: the next message that has come; null if there is none now. On the
    // loop. *nobody, if it is not null: set, with null, for the NATS server's word that nobody
    // listens to something that was sent with a reply address of this subscription.
    [[nodiscard]] MessagePtr Next(bool* nobody = nullptr);
    // No more messages; those that the NATS server has sent still come. Any thread.
    void Drain(std::chrono::milliseconds timeout) noexcept;

   private:
    friend class Connection;
    void Use(natsSubscription* made) noexcept;

    const std::string subject_;
    const std::string queue_;
    const OnMessage on_message_;
    std::mutex mutex_;
    std::atomic<natsSubscription*> now_{nullptr};  // changed on the loop, and with the mutex
    std::uint64_t waiting_ = 0;                    // on the loop: how many Next() knows to be there
    bool drained_ = false;                         // guarded by mutex_
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

  // Any thread. OK: it is in the connection's buffer, and leaves with the end of the loop's turn;
  // or it waits for the next connection.
  [[nodiscard]] absl::Status Publish(const OutboundMessage& message);
  // Subscribes now, and on each connection to come. `queue` may be empty. With `on_message`
  // messages come by it, on a thread of nats.c's and one at a time; without, Next() gives them. Any
  // thread; without on_message on the loop.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<Subscription>> Subscribe(
      std::string subject, std::string queue, OnMessage on_message = nullptr);
  // Blocks until the server has seen all that was published. Not on the loop.
  [[nodiscard]] absl::Status Flush(std::chrono::milliseconds timeout);
  // Ends it. Idempotent; callbacks may still be under way, and keep it alive. Any thread.
  void Close() noexcept;
  // After Close, while the subscriptions are still there: waits until no event can come any more,
  // or `most`; for an attempt to connect as long as it lasts. Not on nats.c's threads, nor on the
  // loop.
  void AwaitSilence(std::chrono::milliseconds most) noexcept;

  [[nodiscard]] ConnectionState state() const noexcept;
  // OK, or with where and why: UNAVAILABLE, or UNAUTHENTICATED if that is the reason.
  [[nodiscard]] absl::Status Ready() const;
  // After a Flush: PERMISSION_DENIED if the NATS server has refused a subscription, and which.
  [[nodiscard]] absl::Status Refusal() const;
  [[nodiscard]] Loop& loop() noexcept { return loop_; }
  // Of the connection that there is, or that there was last.
  [[nodiscard]] std::size_t max_payload() const noexcept;
  [[nodiscard]] std::string url() const;

 private:
  class Session;
  class Socket;
  struct Silence;
  // A message that waits for a connection.
  struct Held;

  [[nodiscard]] std::shared_ptr<Session> session() const;
  // Why there is no session.
  [[nodiscard]] absl::Status WhyNot() const;
  [[nodiscard]] absl::StatusOr<natsSubscription*> MakeOn(Session& session,
                                                         const Subscription& subscription);
  // Tries until it is connected, or closed. On a thread of its own.
  void Reconnect();
  void StartReconnecting();
  // On the loop: the session is in use from now on; `made` are the subscriptions on it.
  void Adopt(const std::shared_ptr<Session>& session,
             std::vector<std::pair<std::shared_ptr<Subscription>, natsSubscription*>> made);
  // With the mutex held: the session is the one in use.
  void TakeUp(const std::shared_ptr<Session>& session);
  // On the loop: nats.c has ended a session that we had not closed.
  void OnLost(const std::shared_ptr<Session>& session);
  [[nodiscard]] std::chrono::milliseconds ReconnectDelay(int attempts);

  const Nats options_;
  const std::string public_url_;
  Loop& loop_;
  const std::shared_ptr<void> keep_;
  const Events events_;
  const std::shared_ptr<Silence> silence_;
  std::atomic<bool> closed_{false};
  std::atomic<bool> ever_connected_{false};

  mutable std::mutex mutex_;          // guards what is below
  std::shared_ptr<Session> session_;  // null while there is none
  std::vector<std::weak_ptr<Subscription>> subscriptions_;
  absl::Status why_not_;
  std::size_t max_payload_ = 1 << 20;
  std::string url_;
  std::deque<Held> held_;
  std::size_t held_bytes_ = 0;
  std::thread reconnector_;
  std::condition_variable closing_;
};

// Calls `open` until it is OK, with the pauses of `options`, or until `give_up`; not again after a
// failure that waiting does not mend. Says in the log that it waits, and in the status how to mend
// it.
[[nodiscard]] absl::Status WaitForNats(const Nats& options, Deadline give_up,
                                       const std::function<absl::Status()>& open);

}  // namespace rookery::nats_adapter

#endif  // ROOKERY_TRANSPORTS_NATS_SRC_CONNECTION_H_
