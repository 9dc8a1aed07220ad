// One outgoing call: what the templates of generated.h stand on, without any message's type.
//
//   ClientCall call(channel, method, std::move(options));  // options and current context merged
//   Task<void> sent = call.Unary(request, /*owned=*/false, reply);
//   if (sent) {                                            // empty: it has ended well already
//     TaskPromise<void>& done = co_await CompletionAwaitable<void>(sent);
//     absl::Status status = call.End(done);                // CallInfo is filled in
//   }
#ifndef ROOKERY_RPC_CLIENT_CALL_H_
#define ROOKERY_RPC_CLIENT_CALL_H_

#include <memory>

#include "absl/status/status.h"
#include "rookery/rpc/channel.h"
#include "rookery/rpc/client.h"
#include "rookery/rpc/descriptor.h"
#include "rookery/rpc/message.h"
#include "rookery/runtime/cancel.h"
#include "rookery/runtime/task.h"

namespace rookery::internal {

// A call's options merged with the current context: the earlier deadline, both cancellations, and,
// unless the channel stays within the process, trace, baggage and request id as metadata.
class PreparedCall final {
 public:
  PreparedCall(std::shared_ptr<Channel>&& channel, const MethodDescriptor& method,
               GivenOptions&& options);
  PreparedCall(const PreparedCall&) = delete;
  PreparedCall& operator=(const PreparedCall&) = delete;
  ~PreparedCall();

  // Why the call need not be sent at all: it is cancelled or too late already, or has no channel.
  [[nodiscard]] const absl::Status& refusal() const noexcept { return refusal_; }
  [[nodiscard]] Channel& channel() noexcept { return *channel_; }
  [[nodiscard]] OutgoingCall& outgoing() noexcept { return outgoing_; }
  // Fills in the CallInfo that the options asked for.
  void FillInfo() noexcept {
    if (outgoing_.wants_info) [[unlikely]] {
      MoveInfo();
    }
  }

 private:
  void MoveInfo() noexcept;
  // Fires when either of two tokens does.
  class EitherCancelled;

  std::shared_ptr<Channel> channel_;
  GivenOptions options_;
  OutgoingCall outgoing_;
  absl::Status refusal_;
  std::unique_ptr<EitherCancelled> either_;
};

// A unary call or an event. Lives in the frame of the coroutine that makes the call. A null channel
// fails with FAILED_PRECONDITION.
class ClientCall final {
 public:
  ClientCall(std::shared_ptr<Channel>&& channel, const MethodDescriptor& method,
             GivenOptions&& options)
      : prepared_(std::move(channel), method, std::move(options)) {}
  ClientCall(const ClientCall&) = delete;
  ClientCall& operator=(const ClientCall&) = delete;

  // Makes the call. `request` may be moved from if `owned`. All outlive the task, which is to be
  // awaited at once; an empty one says that the call has ended well, and EndWell() follows.
  [[nodiscard]] Task<void> Unary(const google::protobuf::Message& request, bool owned,
                                 google::protobuf::Message& response);
  // After that task has ended: fills in CallInfo, and says how it ended.
  [[nodiscard]] absl::Status End(TaskPromiseBase& done) noexcept;
  void EndWell() noexcept { prepared_.FillInfo(); }

 private:
  PreparedCall prepared_;
};

// A streaming call. Its destructor cancels a call that has not ended; a pump that is still running
// is cancelled and ends by itself, when the caller's thread comes to it.
class StreamingCall final {
 public:
  StreamingCall(std::shared_ptr<Channel>&& channel, const MethodDescriptor& method,
                GivenOptions&& options);
  StreamingCall(const StreamingCall&) = delete;
  StreamingCall& operator=(const StreamingCall&) = delete;
  ~StreamingCall();

  // Server streaming: opens the call, sends the one request and ends the sending side.
  [[nodiscard]] Task<void> SendOne(const google::protobuf::Message& request, bool owned);
  // Client and bidirectional streaming: opens the call and sends what `requests` (a stream) gives,
  // beside the reading. If it fails the call is cancelled with its status.
  void Pump(Response requests);
  // The next reply; false at the end.
  [[nodiscard]] Task<bool> Read(google::protobuf::Message& into);
  // After the end: stops the pump and waits for it, unless its stream of requests waits for
  // something that cannot be cancelled; fills in CallInfo, and says how the call ended.
  [[nodiscard]] Task<absl::Status> Finish();

 private:
  struct State;      // shared with the pump
  struct PumpState;  // the pump's own
  [[nodiscard]] static Task<void> Send(std::shared_ptr<State> state,
                                       const google::protobuf::Message* request, bool owned);
  [[nodiscard]] static Task<void> RunPump(State* state, Response requests);
  [[nodiscard]] static Task<absl::Status> FinishState(std::shared_ptr<State> state);

  std::shared_ptr<State> state_;
};

}  // namespace rookery::internal

#endif  // ROOKERY_RPC_CLIENT_CALL_H_
