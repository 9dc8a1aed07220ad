// MessageServer: serves calls that arrive as messages with headers, over any carrier of such.
//
//   rookery::MessageServer server(loop, host.handlers(), link, {.transport = "pigeon"});
//   // for each message, on the loop's thread:
//   server.OnRequest(handler_of_subject, subject, std::move(message));   // to a method
//   server.OnFrame(id, std::move(message));        // to an address that link.AddressOf(id) made
//
// For adapters: everything of docs/wire.md on the serving side is in here, and an adapter is left
// with its library's connections, subscriptions and threads.
#ifndef ROOKERY_RPC_MESSAGE_SERVER_H_
#define ROOKERY_RPC_MESSAGE_SERVER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "rookery/rpc/handler.h"
#include "rookery/rpc/wire.h"
#include "rookery/runtime/loop.h"

namespace rookery {

namespace internal {
class MessageServerCore;
}

// One per loop and connection. Not thread-safe: made anywhere, then used on the loop's thread
// alone, but for in_flight(). `handlers` outlives all calls. A call whose handler does not end,
// although it was cancelled, outlives the server: it is cut off from the link and left behind.
class MessageServer final {
 public:
  struct Options {
    std::string_view transport = {};  // CallContext::transport(): a literal, which counters keep
    // Of one message. Larger: RESOURCE_EXHAUSTED.
    std::size_t max_receive_bytes = std::size_t{4} << 20;
    std::size_t max_send_bytes = std::size_t{4} << 20;
    // Of all headers of a request, as gRPC counts metadata (key + value + 32 each).
    std::size_t max_metadata_bytes = std::size_t{8} << 10;
    std::size_t max_concurrent_calls = 16'384;
    // How far a caller may be ahead of a handler that reads a stream, in bytes.
    std::size_t window_bytes = std::size_t{1} << 20;
    // How often a caller of a long call is asked whether it is still there; it is given up when it
    // has not answered three times. Zero: never.
    std::chrono::milliseconds keepalive{10'000};
    // How long a message of a stream may be missing while later ones are here.
    std::chrono::milliseconds gap_timeout{2'000};
    // In front of the names of CloudEvents' attributes.
    std::string event_prefix = "ce-";
  };
  // `link` must outlive the server.
  MessageServer(Loop& loop, const HandlerRegistry& handlers, MessageLink& link, Options options);
  MessageServer(const MessageServer&) = delete;
  MessageServer& operator=(const MessageServer&) = delete;
  // On the loop. What is still running is cancelled and cut off.
  ~MessageServer();

  // A message to the method `handler` (null: there is none) under `name`, which is used for the log
  // and the statistics of refusals alone.
  void OnRequest(const Handler* handler, std::string_view name, InboundMessage&& message);
  // A message to the address of `id`.
  void OnFrame(std::uint64_t id, InboundMessage message);
  // A cancellation that went to all who serve the method: most of them do not know the call.
  void OnCancel(const InboundMessage& message);
  // The carrier says that nobody is there any more to hear what was sent for `id`.
  void OnUnreachable(std::uint64_t id);

  // Cancels all calls; those that listen end by themselves, and answer.
  void CancelAll(const absl::Status& reason);
  // Cancels all streams: the connection that carried them is gone.
  void CancelStreams(const absl::Status& reason);
  // Answers for all calls that still run; what their handlers say later is not sent.
  void AnswerForAll(const absl::Status& status);

  // Calls that are not over, or whose context somebody still holds. Any thread.
  [[nodiscard]] std::size_t in_flight() const noexcept;
  // Runs, on the loop, each time that in_flight() has become zero.
  void set_on_idle(std::function<void()> on_idle);

 private:
  const std::shared_ptr<internal::MessageServerCore> core_;
};

}  // namespace rookery

#endif  // ROOKERY_RPC_MESSAGE_SERVER_H_
