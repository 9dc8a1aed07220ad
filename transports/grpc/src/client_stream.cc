// Outgoing streams.
#include <google/protobuf/message.h>
#include <grpc/grpc.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "channel.h"
#include "convert.h"
#include "rookery/runtime/await.h"
#include "rpc/unreachable.h"
#include "thread_sanitizer.h"

namespace rookery::grpc_adapter {
namespace {

using google::protobuf::Message;

// What gRPC's completions refer to. Counted: the stream holds one reference, each batch under way
// another, so that a stream may be dropped at any time.
class StreamState final : private CqClient {
 public:
  // A batch and the coroutine that waits for it. One waiter, which may come before or after the
  // end.
  class Operation final : public CqTag {
   public:
    explicit Operation(StreamState* owner) noexcept
        : CqTag([](CqTag* tag, bool ok) noexcept {
            auto* const self = static_cast<Operation*>(tag);
            self->state_->OnDone(*self, ok);
          }),
          state_(owner) {}

    // Before each use.
    void Begin() noexcept { stage_.store(kRunning, std::memory_order_relaxed); }
    [[nodiscard]] bool ended() const noexcept {
      return stage_.load(std::memory_order_acquire) == kEnded;
    }
    [[nodiscard]] bool ok() const noexcept { return ok_; }
    // False if it has ended already: then nobody wakes the waiter.
    bool Park(LeafAwaiter* waiter) noexcept {
      waiter_ = waiter;
      int expected = kRunning;
      return stage_.compare_exchange_strong(expected, kParked, std::memory_order_acq_rel);
    }
    // The waiter to be woken, or null.
    LeafAwaiter* End(bool ok) noexcept {
      ok_ = ok;
      return stage_.exchange(kEnded, std::memory_order_acq_rel) == kParked ? waiter_ : nullptr;
    }

   private:
    enum Stage : int { kRunning, kParked, kEnded };
    StreamState* const state_;
    LeafAwaiter* waiter_ = nullptr;
    bool ok_ = false;
    std::atomic<int> stage_{kEnded};
  };

  // Awaits an operation that may have been started already; gives whether it succeeded.
  class Wait final : public LeafAwaiter {
   public:
    explicit Wait(Operation& operation) noexcept : operation_(operation) {}
    bool await_ready() const noexcept { return operation_.ended(); }
    bool await_suspend(std::coroutine_handle<> handle) noexcept {
      Suspend(handle);
      return operation_.Park(this);
    }
    bool await_resume() noexcept {
      Resumed();
      return operation_.ok();
    }

   private:
    Operation& operation_;
  };

  StreamState(std::shared_ptr<Connections> connections, OutgoingCall& call)
      : connections_(std::move(connections)) {
    headers_.Fill(call, *connections_);
    CqLoop& loop = connections_->PickLoop();
    grpc_ = connections_->NewCall(*call.method, call.deadline, loop.queue());
    if (CqLoop::Current() == &loop) {
      listed_on_ = &loop;
      loop.AddClient(this);
    }
  }
  ~StreamState() { grpc_call_unref(grpc_); }

  void Ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
  void Unref() noexcept {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      const std::unique_ptr<StreamState> last(this);
    }
  }

  // Starts the call: `ops` (with room for one more in front) go out with the headers.
  bool Start(grpc_op* ops, std::size_t count, Operation& operation) noexcept {
    started_ = true;
    headers_.AddTo(ops[0]);
    const bool sent = Batch(ops, count, operation);
    grpc_op end[2] = {};
    end_.AddTo(end[0], end[1]);
    if (!Batch(end, 2, end_operation) || !sent) {
      CancelWith(absl::InvalidArgumentError("the call's metadata cannot be sent"));
    }
    return sent;
  }
  [[nodiscard]] bool started() const noexcept { return started_; }

  // Keeps what is in `outgoing` until it is known what follows: the next message, or a producer
  // that waits, since then `loop` gets to what is posted here. No write may be under way.
  void HoldBack(CqLoop& loop, std::uint32_t flags) noexcept {
    bool post = false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      held_ = true;
      held_flags_ = flags;
      post = !std::exchange(flush_posted_, true);
    }
    if (!post) return;
    Ref();
    loop.Post(&flush_work_);
  }
  // Sends what is held back, if anything is; `write_operation` is then that of the last write.
  void SendHeld(bool more_follows) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!std::exchange(held_, false)) return;
    grpc_op op = {};
    FillSend(op, held_flags_ | (more_follows ? GRPC_WRITE_BUFFER_HINT : 0U));
    Batch(&op, 1, write_operation);
  }
  // Whether something was held back, which is the caller's to send now.
  [[nodiscard]] bool TakeHeld(std::uint32_t* flags) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    *flags = held_flags_;
    return std::exchange(held_, false);
  }
  void FillSend(grpc_op& op, std::uint32_t flags) noexcept {
    op.op = GRPC_OP_SEND_MESSAGE;
    op.flags = flags;
    op.data.send_message.send_message = outgoing.get();
  }

  // False, and the operation ended, if the call has ended.
  bool Batch(const grpc_op* ops, std::size_t count, Operation& operation) noexcept {
    operation.Begin();
    Ref();
    if (grpc_call_start_batch(grpc_, ops, count, HandOver(static_cast<CqTag*>(&operation)),
                              nullptr) == GRPC_CALL_OK) [[likely]] {
      return true;
    }
    static_cast<void>(operation.End(false));
    Unref();
    return false;
  }

  void CancelWith(absl::Status reason) noexcept {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (reason_.ok()) reason_ = std::move(reason);
    }
    grpc_call_cancel_with_status(grpc_, GRPC_STATUS_CANCELLED, "cancelled by the caller", nullptr);
  }
  // Why this side ended the call; OK if it did not.
  [[nodiscard]] absl::Status reason() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return reason_;
  }

  [[nodiscard]] Connections& connections() noexcept { return *connections_; }
  [[nodiscard]] grpc_call* grpc() noexcept { return grpc_; }
  [[nodiscard]] CallEnd& end() noexcept { return end_; }

  Operation write_operation{this};
  Operation close_operation{this};
  Operation read_operation{this};
  Operation end_operation{this};
  SendBuffer outgoing;
  ReceivedBuffer received;

 private:
  // Sends what the producer left behind when it began to wait.
  struct FlushWork final : LoopWork {
    explicit FlushWork(StreamState* owner) noexcept
        : LoopWork([](LoopWork* self) noexcept { static_cast<FlushWork*>(self)->state->Flush(); }),
          state(owner) {}
    StreamState* const state;
  };

  void Flush() noexcept {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      flush_posted_ = false;
    }
    // Nobody waits for the message of a call that has ended, whose queue may be closed by now.
    if (!end_operation.ended()) SendHeld(/*more_follows=*/false);
    Unref();
  }

  void OnDone(Operation& operation, bool ok) noexcept {
    if (&operation == &end_operation && listed_on_ != nullptr) {
      std::exchange(listed_on_, nullptr)->RemoveClient(this);
    }
    LeafAwaiter* const waiter = operation.End(ok);
    if (waiter != nullptr) waiter->Wake();
    Unref();
  }
  void Abort() noexcept override {
    CancelWith(absl::UnavailableError("the server is shutting down"));
  }

  const std::shared_ptr<Connections> connections_;
  grpc_call* grpc_ = nullptr;
  CqLoop* listed_on_ = nullptr;
  OutgoingHeaders headers_;
  CallEnd end_;
  bool started_ = false;
  std::atomic<int> refs_{1};
  FlushWork flush_work_{this};
  std::mutex mutex_;
  absl::Status reason_;  // guarded by mutex_, as is all below
  bool held_ = false;
  bool flush_posted_ = false;
  std::uint32_t held_flags_ = 0;
};

class GrpcStream final : public ClientStream {
 public:
  GrpcStream(std::shared_ptr<Connections> connections, OutgoingCall& call)
      : call_(call), state_(std::make_unique<StreamState>(std::move(connections), call).release()) {
    on_cancel_.Arm(
        call_.cancel, [](void* self) noexcept { static_cast<GrpcStream*>(self)->OnCancel(); },
        this);
    // The one request of a server stream goes out with the headers; otherwise the server shall hear
    // of the call now, since it may be the one that speaks first.
    if (call_.method->kind != MethodKind::kServerStreaming) {
      grpc_op op = {};
      state_->Start(&op, 1, state_->write_operation);
      headers_under_way_ = true;
    }
  }

  ~GrpcStream() override {
    on_cancel_.Disarm();
    if (!finished_) {
      if (state_->started()) {
        state_->CancelWith(absl::CancelledError("the stream was dropped"));
      } else {
        StartAlone();
        state_->CancelWith(absl::CancelledError("the stream was dropped"));
      }
    }
    state_->Unref();
  }

  Task<bool> Write(const Message& message) override {
    StreamState& state = *state_;
    if (std::exchange(headers_under_way_, false)) {
      StreamState::Wait headers(state.write_operation);
      const bool headers_sent = co_await headers;
      if (!headers_sent) co_return false;
    }
    const bool one_request = call_.method->kind == MethodKind::kServerStreaming;
    if (!one_request) {
      state.SendHeld(/*more_follows=*/true);
      StreamState::Wait previous(state.write_operation);
      const bool previous_sent = co_await previous;
      if (!previous_sent) co_return false;
    }
    absl::Status filled =
        state.outgoing.Fill(message, state.connections().options().max_send_bytes);
    if (!filled.ok()) {
      if (!state.started()) StartAlone();
      state.CancelWith(std::move(filled));
      co_return false;
    }
    const std::uint32_t flags = call_.SendsPlain(message) ? GRPC_WRITE_NO_COMPRESS : 0;
    // Held back only where the loop outlasts the producer's turn: that of a thread in SyncWait
    // stops as soon as it has what it waits for.
    CqLoop* const loop = CqLoop::Current();
    if (!one_request && loop != nullptr) {
      if (state.end_operation.ended()) co_return false;
      state.HoldBack(*loop, flags);
      co_return true;
    }
    grpc_op ops[3] = {};
    std::size_t count = 0;
    const bool first = !state.started();
    if (first) ++count;  // the headers
    state.FillSend(ops[count++], flags);
    if (one_request) {
      ops[count++].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
      writes_done_ = true;
    }
    if (first) {
      state.Start(ops, count, state.write_operation);
    } else {
      state.Batch(ops, count, state.write_operation);
    }
    StreamState::Wait written(state.write_operation);
    const bool ok = co_await written;
    co_return ok;
  }

  Task<void> WritesDone() override {
    StreamState& state = *state_;
    if (std::exchange(writes_done_, true)) co_return;
    if (std::exchange(headers_under_way_, false)) {
      StreamState::Wait headers(state.write_operation);
      co_await headers;
    }
    grpc_op ops[2] = {};
    std::size_t count = 0;
    if (!state.started()) {
      ++count;  // the headers
      ops[count++].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
      state.Start(ops, count, state.close_operation);
    } else {
      // The last message leaves in one batch with the end. Taken first, so that what is under way
      // after the wait is no flush.
      std::uint32_t flags = 0;
      const bool held = state.TakeHeld(&flags);
      StreamState::Wait previous(state.write_operation);
      co_await previous;
      if (held) state.FillSend(ops[count++], flags);
      ops[count++].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
      state.Batch(ops, count, state.close_operation);
    }
    StreamState::Wait closed(state.close_operation);
    co_await closed;
  }

  Task<bool> Read(Message& into) override {
    StreamState& state = *state_;
    if (!state.started()) StartAlone();
    grpc_op op = {};
    op.op = GRPC_OP_RECV_MESSAGE;
    op.data.recv_message.recv_message = state.received.Slot();
    state.Batch(&op, 1, state.read_operation);
    StreamState::Wait read(state.read_operation);
    co_await read;
    if (!state.received) co_return false;
    absl::Status parsed = state.received.Parse(
        &into, state.connections().options().max_receive_bytes, absl::StatusCode::kInternal);
    state.received.Reset();
    if (!parsed.ok()) {
      // The call's status is then what was wrong with the message, even if the server's OK has
      // come.
      read_failure_ = parsed;
      state.CancelWith(std::move(parsed));
      co_return false;
    }
    co_return true;
  }

  Task<absl::Status> Finish() override {
    StreamState& state = *state_;
    if (!state.started()) StartAlone();
    StreamState::Wait ended(state.end_operation);
    co_await ended;
    finished_ = true;
    on_cancel_.Disarm();
    absl::Status status = state.end().Take(state.grpc(), call_);
    absl::Status reason = state.reason();
    // Ours is the better account of an end that we brought about.
    if (!status.ok() && !reason.ok()) status = std::move(reason);
    if (!read_failure_.ok()) status = read_failure_;
    co_return status;
  }

  void Cancel(absl::Status reason) noexcept override { state_->CancelWith(std::move(reason)); }

 private:
  void OnCancel() noexcept { state_->CancelWith(call_.cancel.reason()); }
  // Sends the headers by themselves, for a server stream that is read or ended before it is
  // written.
  void StartAlone() noexcept {
    grpc_op op = {};
    state_->Start(&op, 1, state_->write_operation);
    headers_under_way_ = true;
  }

  OutgoingCall& call_;
  StreamState* const state_;
  CancelCallback on_cancel_;
  absl::Status read_failure_;
  bool headers_under_way_ = false;
  bool writes_done_ = false;
  bool finished_ = false;
};

// A stream of a client that was closed.
class ClosedStream final : public ClientStream {
 public:
  explicit ClosedStream(absl::Status status) : status_(std::move(status)) {}
  Task<bool> Write(const Message& /*message*/) override { co_return false; }
  Task<void> WritesDone() override { co_return; }
  Task<bool> Read(Message& /*into*/) override { co_return false; }
  Task<absl::Status> Finish() override { co_return status_; }
  void Cancel(absl::Status /*reason*/) noexcept override {}

 private:
  const absl::Status status_;
};

}  // namespace

std::unique_ptr<ClientStream> OpenStream(std::shared_ptr<Connections> connections,
                                         OutgoingCall& call) {
  if (connections->closed()) {
    return std::make_unique<ClosedStream>(internal::Unreachable(absl::UnavailableError(
        absl::StrCat("the client of ", connections->options().address, " is closed"))));
  }
  return std::make_unique<GrpcStream>(std::move(connections), call);
}

}  // namespace rookery::grpc_adapter
