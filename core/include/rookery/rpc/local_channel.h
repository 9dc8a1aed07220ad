// LocalChannel: calls to handlers in the same process, with the semantics of any other transport.
//
//   auto endpoint = std::make_shared<rookery::LocalEndpoint>(registry);
//   shop::v1::OrdersClient orders(std::make_shared<rookery::LocalChannel>(endpoint));
//   Order order = co_await orders.Place(request);      // straight to the handler, through its
//       pipeline
//
// Deadline, cancellation, metadata, trace, baggage, status details and backpressure are as they are
// across processes; the caller is answered at the deadline whether or not the handler cooperates.
// No message is serialised, and none is copied that can be lent or moved: a request given as an
// rvalue is moved, an lvalue is lent where the caller waits for the end in any case (it has neither
// deadline nor cancellation) and copied otherwise; a reply is moved out.
//
// Handlers run on the caller's loop, but for callers in SyncWait: that loop runs no longer than the
// wait, while a handler may outlive its caller (a deadline, a dropped stream) and leave work
// behind. So their calls run on the serving application's own loops. Without a loop (a coroutine
// that is resumed outside SyncWait and outside any loop) there are no timers: the deadline then
// depends on the handler's cooperation.
//
// Users meet this as app.Client<OrdersClient>() or InProcess{} (rookery/transports/inproc.h).
#ifndef ROOKERY_RPC_LOCAL_CHANNEL_H_
#define ROOKERY_RPC_LOCAL_CHANNEL_H_

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "rookery/rpc/channel.h"
#include "rookery/rpc/handler.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/task.h"

namespace rookery {

namespace internal {
class HomeTicket;
class LocalCall;
}  // namespace internal

class TransportHost;

// The serving end: admits calls, counts them, and lets none in once it is closed. Thread-safe. Held
// by shared pointers; the handlers must live until Drain() has returned and no call is in flight.
class LocalEndpoint final {
 public:
  class Options final {
   public:
    Options() {}       // NOLINT(modernize-use-equals-default): not an aggregate, see CallOptions
    std::string name;  // in peers and targets: "inproc:NAME"; may be empty
    std::size_t max_concurrent_calls = 0;  // beyond it RESOURCE_EXHAUSTED; 0: no limit
  };
  explicit LocalEndpoint(const HandlerRegistry& handlers, Options options = Options());
  // Of the application itself: its handlers are looked up at each call, because clients are made
  // before them. `host` outlives the endpoint.
  explicit LocalEndpoint(TransportHost& host, Options options = Options());
  LocalEndpoint(const LocalEndpoint&) = delete;
  LocalEndpoint& operator=(const LocalEndpoint&) = delete;
  ~LocalEndpoint();

  // "inproc", or "inproc:NAME".
  [[nodiscard]] const std::string& address() const noexcept { return address_; }
  [[nodiscard]] bool open() const noexcept { return !closed_.load(std::memory_order_acquire); }
  // Calls whose handlers have not ended.
  [[nodiscard]] std::size_t in_flight() const noexcept {
    return in_flight_.load(std::memory_order_acquire);
  }
  // New calls fail with UNAVAILABLE from now on.
  void StopIntake() noexcept;
  // StopIntake, then waits until no call is in flight, or `deadline`; then cancels what is left
  // with
  // UNAVAILABLE and returns how many that were. Blocks: not on a loop that the calls need.
  std::size_t Drain(Deadline deadline) noexcept;

 private:
  friend class internal::HomeTicket;
  friend class internal::LocalCall;
  friend class LocalChannel;

  // Lets a call in (then Left() must follow) and finds its handler, or says why not.
  [[nodiscard]] absl::Status Admit(const MethodDescriptor& method, const Handler** handler);
  void Left() noexcept;
  [[nodiscard]] absl::Status Refuse(const MethodDescriptor& method, absl::Status status);
  // Where the handler of `method` is remembered, or that of another one.
  [[nodiscard]] std::atomic<const Handler*>& LatelyFound(const MethodDescriptor& method) noexcept;

  [[nodiscard]] const HandlerRegistry& handlers() const;

  const HandlerRegistry* const handlers_;  // null: the host's
  TransportHost* const host_;
  const Options options_;
  const std::string address_;
  std::atomic<bool> closed_{false};
  std::atomic<std::size_t> in_flight_{0};
  std::atomic<std::size_t> away_{0};  // callers whose calls run on the host's loops
  std::array<std::atomic<const Handler*>, 64> lately_found_{};
  std::mutex mutex_;
  std::condition_variable idle_;
  bool gone_ = false;                     // no more callers on the host's loops; guarded by mutex_
  internal::LocalCall* calls_ = nullptr;  // those that have suspended; guarded by mutex_
};

// See the top of this file. Thread-safe.
class LocalChannel final : public Channel {
 public:
  explicit LocalChannel(std::shared_ptr<LocalEndpoint> endpoint);
  // To handlers that outlive all calls.
  explicit LocalChannel(const HandlerRegistry& handlers);

  [[nodiscard]] std::string_view transport() const noexcept override { return "inproc"; }
  [[nodiscard]] std::string target() const override { return endpoint_->address(); }
  [[nodiscard]] ConnectionState state() const noexcept override;
  [[nodiscard]] bool in_process() const noexcept override { return true; }
  [[nodiscard]] Task<void> Unary(OutgoingCall& call, const google::protobuf::Message& request,
                                 google::protobuf::Message& response) override;
  [[nodiscard]] Task<void> StartUnary(OutgoingCall& call, const google::protobuf::Message& request,
                                      google::protobuf::Message& response) override;
  [[nodiscard]] std::unique_ptr<ClientStream> Open(OutgoingCall& call) override;
  void Close() noexcept override { closed_.store(true, std::memory_order_release); }

 private:
  const std::shared_ptr<LocalEndpoint> endpoint_;
  std::atomic<bool> closed_{false};
};

// A channel to the application's own handlers, whichever there are when a call is made. `host`
// outlives it.
[[nodiscard]] std::shared_ptr<Channel> MakeLocalChannel(TransportHost& host);

namespace internal {

// What channels within the process stand on. Start: as Channel::StartUnary.
[[nodiscard]] Task<void> CallLocally(std::shared_ptr<LocalEndpoint> endpoint, OutgoingCall& call,
                                     const google::protobuf::Message& request,
                                     google::protobuf::Message& response);
[[nodiscard]] Task<void> StartLocally(const std::shared_ptr<LocalEndpoint>& endpoint,
                                      OutgoingCall& call, const google::protobuf::Message& request,
                                      google::protobuf::Message& response);
[[nodiscard]] std::unique_ptr<ClientStream> OpenLocally(
    const std::shared_ptr<LocalEndpoint>& endpoint, OutgoingCall& call);
// A call, and a stream, that have failed already.
[[nodiscard]] Task<void> RefusedCall(absl::Status status);
[[nodiscard]] std::unique_ptr<ClientStream> RefusedStream(absl::Status status);

}  // namespace internal

}  // namespace rookery

#endif  // ROOKERY_RPC_LOCAL_CHANNEL_H_
