#include "rookery/rpc/client_call.h"

#include <algorithm>
#include <chrono>
#include <coroutine>
#include <exception>
#include <utility>

#include "rookery/rpc/baggage.h"
#include "rookery/rpc/call_context.h"
#include "rookery/rpc/trace.h"
#include "rookery/runtime/await.h"
#include "rookery/runtime/clock.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/start.h"

namespace rookery::internal {
namespace {

using google::protobuf::Message;

// What the user's options set under one of these keys is left as it is.
void AddPropagated(Context& context, Metadata* metadata) {
  AddRequestId(context, metadata);
  if (auto* const call = static_cast<CallContext*>(context.call())) {
    if (!metadata->Has("traceparent")) {
      // The server makes the span of its own, whose parent is the one named here.
      const TraceContext& trace = call->trace();
      metadata->AddUnchecked("traceparent", trace.ToTraceparent());
      if (!trace.tracestate().empty()) metadata->AddUnchecked("tracestate", trace.tracestate());
    }
  }
  if (!metadata->Has("baggage")) {
    const std::string baggage = BaggageOf(context);
    if (!baggage.empty()) metadata->AddUnchecked("baggage", baggage);
  }
}

// Now + timeout, without overflow.
Deadline After(std::chrono::nanoseconds timeout) {
  const Deadline now = rookery::Now();
  if (timeout >= kNoDeadline - now) return kNoDeadline;
  return now + std::chrono::duration_cast<Deadline::duration>(timeout);
}

Task<void> FailedCall(absl::Status status) { co_await Fail(std::move(status)); }
Task<bool> NoMessage() { co_return false; }

}  // namespace

class PreparedCall::EitherCancelled final {
 public:
  EitherCancelled(CancelToken one, CancelToken other) noexcept : one_(one), other_(other) {
    on_one_.Arm(one, &Fire, this);
    on_other_.Arm(other, &Fire, this);
  }
  [[nodiscard]] CancelToken token() noexcept { return source_.token(); }

 private:
  static void Fire(void* self) noexcept {
    auto* const either = static_cast<EitherCancelled*>(self);
    either->source_.Cancel(either->one_.cancelled() ? either->one_.reason()
                                                    : either->other_.reason());
  }
  CancelToken one_;
  CancelToken other_;
  CancelSource source_;
  CancelCallback on_one_;
  CancelCallback on_other_;
};

PreparedCall::PreparedCall(std::shared_ptr<Channel>&& channel, const MethodDescriptor& method,
                           GivenOptions&& options)
    : channel_(std::move(channel)), options_(std::move(options)), outgoing_(method) {
  CallOptions* const given = options_.get();
  outgoing_.wants_info = given != nullptr && given->info != nullptr;
  if (given != nullptr) {
    outgoing_.metadata = std::move(given->metadata);
    outgoing_.wait_for_ready = given->wait_for_ready;
    outgoing_.compression = given->compression;
    outgoing_.compress_if = &given->compress_if;
    outgoing_.deadline = given->deadline;
    outgoing_.cancel = given->cancel;
    if (given->timeout) outgoing_.deadline = std::min(outgoing_.deadline, After(*given->timeout));
  }
  if (channel_ == nullptr) {
    refusal_ = absl::FailedPreconditionError("the client has no channel: it was made from null");
    return;
  }
  if (Context* const context = Context::Current()) {
    outgoing_.deadline = std::min(outgoing_.deadline, context->deadline());
    if (outgoing_.cancel.source() == nullptr) {
      outgoing_.cancel = context->cancel_token();
    } else {
      either_ = std::make_unique<EitherCancelled>(context->cancel_token(), outgoing_.cancel);
      outgoing_.cancel = either_->token();
    }
    if (!channel_->in_process()) AddPropagated(*context, &outgoing_.metadata);
  }
  if (outgoing_.cancel.cancelled()) {
    refusal_ = outgoing_.cancel.reason();
  } else if (outgoing_.deadline != kNoDeadline && outgoing_.deadline <= rookery::Now()) {
    refusal_ = absl::DeadlineExceededError("Deadline exceeded before the call was sent");
  }
}

PreparedCall::~PreparedCall() = default;

void PreparedCall::MoveInfo() noexcept {
  CallInfo& info = *options_.get()->info;
  info.headers = std::move(outgoing_.headers);
  info.trailers = std::move(outgoing_.trailers);
  info.peer = std::move(outgoing_.peer);
}

// ---- unary ----------------------------------------------------------------------------------

Task<void> ClientCall::Unary(const Message& request, bool owned, Message& response) {
  if (!prepared_.refusal().ok()) return FailedCall(prepared_.refusal());
  prepared_.outgoing().owns_request = owned;
  return prepared_.channel().StartUnary(prepared_.outgoing(), request, response);
}

absl::Status ClientCall::End(TaskPromiseBase& done) noexcept {
  prepared_.FillInfo();
  switch (done.outcome()) {
    case Outcome::kValue:
      return absl::OkStatus();
    case Outcome::kStatus:
      return std::move(done.status());
    case Outcome::kException:
      return StatusFromException(done.exception());
    case Outcome::kNone:
      break;
  }
  return absl::InternalError("the call's task was never awaited");
}

// ---- streams --------------------------------------------------------------------------------

struct StreamingCall::State {
  State(std::shared_ptr<Channel>&& channel, const MethodDescriptor& method, GivenOptions&& options)
      : prepared(std::move(channel), method, std::move(options)) {}

  // Lets the pump's producer, which may wait for something that never comes, end.
  void StopPump() noexcept {
    if (pump_context) {
      pump_context->cancel_source().Cancel(absl::CancelledError("the call has ended"));
    }
  }

  // Around each operation of the pump on the stream. They end soon after the call has.
  class Writing final {
   public:
    explicit Writing(State* state) noexcept : state_(*state) { state_.writing = true; }
    Writing(const Writing&) = delete;
    Writing& operator=(const Writing&) = delete;
    ~Writing() {
      state_.writing = false;
      if (state_.finisher != nullptr) std::exchange(state_.finisher, nullptr)->WakeLater();
    }

   private:
    State& state_;
  };
  class NotWriting final : public LeafAwaiter {
   public:
    explicit NotWriting(State* state) noexcept : state_(*state) {}
    bool await_ready() const noexcept { return !state_.writing; }
    void await_suspend(std::coroutine_handle<> handle) noexcept {
      Suspend(handle);
      state_.finisher = this;
    }
    void await_resume() noexcept { Resumed(); }

   private:
    State& state_;
  };

  PreparedCall prepared;
  ContextRef pump_context;
  absl::Status pump_failure;  // of the user's stream of requests
  bool finished = false;
  bool pumping = false;
  bool writing = false;
  NotWriting* finisher = nullptr;
  std::unique_ptr<ClientStream> stream;  // goes before the call that it refers to
};

// Deletes itself when the pump has ended.
struct StreamingCall::PumpState {
  std::shared_ptr<State> state;
  std::optional<Task<void>> task;
};

StreamingCall::StreamingCall(std::shared_ptr<Channel>&& channel, const MethodDescriptor& method,
                             GivenOptions&& options)
    : state_(std::make_shared<State>(std::move(channel), method, std::move(options))) {}

StreamingCall::~StreamingCall() {
  if (std::exchange(state_->finished, true)) return;
  if (state_->stream != nullptr) {
    state_->stream->Cancel(absl::CancelledError("the caller dropped the stream"));
    if (!state_->writing) state_->stream.reset();
  }
  state_->StopPump();
}

Task<void> StreamingCall::SendOne(const Message& request, bool owned) {
  if (!state_->prepared.refusal().ok()) return FailedCall(state_->prepared.refusal());
  return Send(state_, &request, owned);
}

Task<void> StreamingCall::Send(std::shared_ptr<State> state, const Message* request, bool owned) {
  state->prepared.outgoing().owns_request = owned;
  state->stream = state->prepared.channel().Open(state->prepared.outgoing());
  Task<bool> write = owned ? state->stream->WriteMoved(const_cast<Message&>(*request))
                           : state->stream->Write(*request);
  const bool written = co_await std::move(write);
  if (written) {
    Task<void> done = state->stream->WritesDone();
    co_await std::move(done);
  }
}

void StreamingCall::Pump(Response requests) {
  if (!state_->prepared.refusal().ok()) return;
  state_->stream = state_->prepared.channel().Open(state_->prepared.outgoing());
  // A context of the pump's own: the same values, and a cancellation that is not the caller's.
  state_->pump_context =
      ContextRef::Adopt(Context::NewChild(Context::Current(), Context::Nesting::kShare));
  auto pump = std::make_unique<PumpState>();
  pump->state = state_;
  pump->task.emplace(RunPump(state_.get(), std::move(requests)));
  Task<void>& task = *pump->task;
  state_->pumping = true;
  Start(task, state_->pump_context.get(), pump.release(),
        [](void* self, TaskPromise<void>& done) noexcept {
          const std::unique_ptr<PumpState> ended(static_cast<PumpState*>(self));
          ended->state->pumping = false;
          if (done.outcome() == Outcome::kValue || ended->state->finished) return;
          // The transport's own failure to write, which the reading side meets, too.
          ended->state->stream->Cancel(done.outcome() == Outcome::kStatus
                                           ? done.status()
                                           : StatusFromException(done.exception()));
        });
}

Task<void> StreamingCall::RunPump(State* state, Response requests) {
  for (;;) {
    Message* message = nullptr;
    absl::Status failure;
    try {
      message = co_await requests.Next();
    } catch (...) {
      failure = StatusFromException(std::current_exception());
    }
    if (state->finished) break;
    if (!failure.ok()) {
      state->pump_failure = failure;
      state->stream->Cancel(std::move(failure));
      break;
    }
    const State::Writing writing(state);
    if (message == nullptr) {
      Task<void> done = state->stream->WritesDone();
      co_await std::move(done);
      break;
    }
    Task<bool> write = state->stream->WriteMoved(*message);
    const bool written = co_await std::move(write);
    if (!written || state->finished) break;
  }
}

Task<bool> StreamingCall::Read(Message& into) {
  if (state_->stream == nullptr) return NoMessage();
  return state_->stream->Read(into);
}

Task<absl::Status> StreamingCall::Finish() { return FinishState(state_); }

Task<absl::Status> StreamingCall::FinishState(std::shared_ptr<State> state) {
  absl::Status status = state->prepared.refusal();
  if (state->stream != nullptr) {
    Task<absl::Status> finish = state->stream->Finish();
    status = co_await std::move(finish);
  }
  state->finished = true;
  state->StopPump();
  // Nothing of a call that is over shall go on behind the caller's back: what the pump sends ends
  // now, and a producer that hears of cancellation has its turn to leave. One that is deaf is left
  // alone: it must not hold up the answer.
  State::NotWriting not_writing(state.get());
  co_await not_writing;
  if (state->pumping) co_await Yield();
  state->stream.reset();
  if (!state->pump_failure.ok()) status = std::move(state->pump_failure);
  state->prepared.FillInfo();
  co_return std::move(status);
}

}  // namespace rookery::internal
