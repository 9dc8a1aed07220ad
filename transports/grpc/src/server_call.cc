#include "server_call.h"

#include <google/protobuf/message.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "credentials.h"
#include "library.h"
#include "rookery/rpc/status.h"
#include "rookery/runtime/await.h"
#include "rookery/runtime/start.h"
#include "thread_sanitizer.h"

namespace rookery::grpc_adapter {

using google::protobuf::Message;

// A handler's read. It may be on any loop; the batch starts at home.
class ServerCall::ReadAwaiter final : public LeafAwaiter {
 public:
  explicit ReadAwaiter(ServerCall& call) noexcept : call_(call) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    Suspend(handle);
    call_.reader_ = this;
    if (Loop::Current() == &call_.loop_.loop) {
      call_.StartRead();
    } else {
      call_.loop_.loop.Post(&call_.start_read_work_);
    }
  }
  // Whether a message was received.
  bool await_resume() noexcept {
    Resumed();
    return got_message;
  }

  bool got_message = false;

 private:
  ServerCall& call_;
};

// ---- the slot ---------------------------------------------------------------------------------

ServerCall::ServerCall(ServerLoop& loop)
    : loop_(loop),
      policy_(loop.policy),
      close_tag_([](CqTag* tag, bool) noexcept { static_cast<Tag*>(tag)->call->OnClose(); }, this),
      read_tag_([](CqTag* tag, bool ok) noexcept { static_cast<Tag*>(tag)->call->OnRead(ok); },
                this),
      write_tag_([](CqTag* tag, bool ok) noexcept { static_cast<Tag*>(tag)->call->OnWrite(ok); },
                 this),
      headers_tag_([](CqTag* tag, bool) noexcept { static_cast<Tag*>(tag)->call->OpEnded(); },
                   this),
      final_tag_([](CqTag* tag, bool) noexcept { static_cast<Tag*>(tag)->call->OpEnded(); }, this),
      arena_(arena_block_, sizeof arena_block_) {
  grpc_metadata_array_init(&request_metadata_);
}

ServerCall::~ServerCall() { grpc_metadata_array_destroy(&request_metadata_); }

ServerLoop::~ServerLoop() {
  while (free != nullptr) {
    const std::unique_ptr<ServerCall> call(std::exchange(free, free->next));
  }
}

ServerCall* ServerLoop::Take() noexcept {
  ServerCall* call = free;
  if (call != nullptr) [[likely]] {
    free = call->next;
  } else {
    call = std::make_unique<ServerCall>(*this).release();
  }
  call->previous = nullptr;
  call->next = active;
  if (active != nullptr) active->previous = call;
  active = call;
  return call;
}

void ServerLoop::Put(ServerCall* call) noexcept {
  (call->previous == nullptr ? active : call->previous->next) = call->next;
  if (call->next != nullptr) call->next->previous = call->previous;
  call->next = free;
  free = call;
}

void ServerCall::Accept(Arrival& arrival, MethodEntry* entry) noexcept {
  entry_ = entry;
  call_ = std::exchange(arrival.call, nullptr);
  std::swap(request_metadata_, arrival.metadata);
  arrival.metadata.count = 0;
  state_ = State::kRunning;
  if (arrival.entry != nullptr) [[likely]] {
    if (arrival.payload != nullptr) received_.Adopt(std::exchange(arrival.payload, nullptr));
    set_deadline(ToDeadline(arrival.deadline));
    read_first_ = false;
    return;
  }
  if (entry == nullptr) unknown_method_ = View(arrival.details.method);
  set_deadline(ToDeadline(arrival.details.deadline));
  read_first_ = true;
  grpc_call_details_destroy(&arrival.details);
  grpc_call_details_init(&arrival.details);
}

void ServerCall::Serve() noexcept {
  MethodEntry* const entry = entry_;
  const std::size_t running = policy_.in_flight.fetch_add(1, std::memory_order_relaxed);
  if (entry == nullptr) [[unlikely]] {
    Reject(absl::UnimplementedError(absl::StrCat("unknown method ", unknown_method_)),
           unknown_method_);
    return;
  }
  const std::size_t of_method = entry->in_flight.fetch_add(1, std::memory_order_relaxed);
  set_method(&entry->handler->descriptor());
  if (!entry->internal) [[likely]] {
    if (running >= policy_.max_concurrent_calls) [[unlikely]] {
      Reject(absl::ResourceExhaustedError("too many concurrent calls"), entry->path);
      return;
    }
    if (entry->max_concurrent_calls != 0 && of_method >= entry->max_concurrent_calls) [[unlikely]] {
      Reject(absl::ResourceExhaustedError("too many concurrent calls of this method"), entry->path);
      return;
    }
  }
  if (SizeOf(request_metadata_) > policy_.max_metadata_bytes) [[unlikely]] {
    Reject(absl::ResourceExhaustedError(
               absl::StrCat("the metadata is larger than ", policy_.max_metadata_bytes, " bytes")),
           entry->path);
    return;
  }
  if (HasRequestStream(method().kind)) {
    request_.emplace(static_cast<MessageSource*>(this));
    Run();
  } else if (read_first_) {
    state_ = State::kFirstMessage;
    StartRead();
  } else {
    Dispatch();
  }
}

// The one message of a request is here.
void ServerCall::Dispatch() noexcept {
  state_ = State::kRunning;
  if (!received_) [[unlikely]] {
    if (grpc_call_failed_before_recv_message(call_) != 0) {
      Reject(absl::CancelledError("the caller went away while it sent its request"), entry_->path);
    } else {
      // https://github.com/grpc/grpc/blob/master/doc/statuscodes.md: request cardinality violation.
      Reject(absl::UnimplementedError("the request has no message"), entry_->path);
    }
    return;
  }
  last_compression_ = received_.compression();
  Message* const message = method().request().New(&arena_);
  const absl::Status parsed =
      received_.Parse(message, entry_->max_receive_bytes, absl::StatusCode::kInvalidArgument);
  received_.Reset();
  if (!parsed.ok()) [[unlikely]] {
    Reject(parsed, entry_->path);
    return;
  }
  request_.emplace(message, /*owned=*/true);
  Run();
}

void ServerCall::Run() noexcept {
  entry_->handler->CallStarted(*this);
  task_.emplace(entry_->handler->Call(*this, *request_));
  internal::Start(*task_, this, this, [](void* self, internal::TaskPromise<Response>&) noexcept {
    static_cast<ServerCall*>(self)->OnHandlerEnd();
  });
  if (state_ != State::kAnswered) WatchClose();
}

void ServerCall::OnHandlerEnd() noexcept {
  if (Loop::Current() == &loop_.loop) [[likely]] {
    TakeResponse();
  } else {
    loop_.loop.Post(&response_work_);
  }
}

void ServerCall::TakeResponse() noexcept {
  internal::TaskPromise<Response>& done = task_->handle().promise();
  if (done.outcome() != internal::Outcome::kValue) [[unlikely]] {
    Answer(done.TakeStatus(), nullptr);
  } else if (done.value().has_stream()) {
    Pump();
    return;
  } else {
    Answer(absl::OkStatus(), done.value().message());
  }
  task_.reset();
}

void ServerCall::WatchClose() noexcept {
  watching_ = true;
  grpc_op op = {};
  op.op = GRPC_OP_RECV_CLOSE_ON_SERVER;
  op.data.recv_close_on_server.cancelled = &cancelled_by_peer_;
  if (!Start(&op, 1, &close_tag_)) closed_ = true;
}

bool ServerCall::Start(const grpc_op* ops, std::size_t count, Tag* tag) noexcept {
  if (call_ == nullptr) [[unlikely]] {
    return false;
  }
  const grpc_call_error error = grpc_call_start_batch(call_, ops, count, HandOver(tag), nullptr);
  if (error != GRPC_CALL_OK) [[unlikely]] {
    Log(Severity::kError, absl::StrCat("gRPC refused a batch of ", Absl(path()), ": ",
                                       grpc_call_error_to_string(error)));
    return false;
  }
  ++pending_;
  return true;
}

void ServerCall::Reject(const absl::Status& status, std::string_view method) noexcept {
  policy_.registry->CountRejected("grpc", method, status);
  Finish(status);
}

// ---- reading ----------------------------------------------------------------------------------

void ServerCall::StartRead() noexcept {
  grpc_op op = {};
  op.op = GRPC_OP_RECV_MESSAGE;
  op.data.recv_message.recv_message = received_.Slot();
  if (!Start(&op, 1, &read_tag_)) {
    if (state_ == State::kFirstMessage) {
      Finish(absl::InternalError("gRPC refused to read"));
    } else if (ReadAwaiter* const reader = std::exchange(reader_, nullptr); reader != nullptr) {
      // Not inline: this may run inside the reader's own await_suspend.
      reader->WakeLater();
    }
  }
}

void ServerCall::OnRead(bool /*ok*/) noexcept {
  --pending_;
  if (state_ == State::kFirstMessage) {
    Dispatch();
    return;
  }
  ReadAwaiter* const reader = std::exchange(reader_, nullptr);
  if (reader != nullptr) {
    reader->got_message = static_cast<bool>(received_);
    // A batch of its own in the count, so that the slot stays ours until the reader has left.
    ++pending_;
    reader->Wake();
    --pending_;
  }
  if (pending_ == 0 && state_ == State::kAnswered) Ended();
}

Task<bool> ServerCall::Read(Message& into) {
  ReadAwaiter read(*this);
  const bool got_message = co_await read;
  if (!got_message) {
    const bool failed =
        cancelled() || call_ == nullptr || grpc_call_failed_before_recv_message(call_) != 0;
    if (failed) co_return Broken();
    co_return false;
  }
  last_compression_ = received_.compression();
  const absl::Status parsed =
      received_.Parse(&into, entry_->max_receive_bytes, absl::StatusCode::kInvalidArgument);
  received_.Reset();
  if (!parsed.ok()) {
    policy_.registry->CountRejected("grpc", entry_->path, parsed);
    co_return parsed;
  }
  co_return true;
}

absl::Status ServerCall::Broken() const {
  auto* const self = const_cast<ServerCall*>(this);
  if (self->cancelled()) return self->cancel_source().reason();
  return absl::CancelledError("the caller went away");
}

void ServerCall::LogGone() {
  // Callers who change their minds must not fill the log: the codes are counted anyway.
  const std::int64_t second =
      std::chrono::duration_cast<std::chrono::seconds>(loop_.loop.Now().time_since_epoch()).count();
  if (entry_->gone_second.exchange(second, std::memory_order_relaxed) == second) return;
  Log(Severity::kInfo, absl::StrCat("a caller of ", Absl(path()),
                                    " cancelled its call, or went away: ", peer().address));
}

void ServerCall::OnClose() noexcept {
  --pending_;
  closed_ = true;
  if (cancelled_by_peer_ != 0 && state_ == State::kRunning) {
    const bool late = deadline() != kNoDeadline && loop_.loop.Now() >= deadline();
    if (!late) LogGone();
    // Callbacks of the cancellation may end the call: count as a batch meanwhile.
    ++pending_;
    cancel_source().Cancel(late ? absl::DeadlineExceededError("the call's deadline has passed")
                                : absl::CancelledError("the caller went away"));
    --pending_;
  }
  if (pending_ != 0) return;
  if (state_ == State::kAnswered) {
    Ended();
  } else if (abandoned_) {
    grpc_call_unref(std::exchange(call_, nullptr));
  }
}

// ---- writing ----------------------------------------------------------------------------------

void ServerCall::AddHeaders(grpc_op& op) noexcept {
  op.op = GRPC_OP_SEND_INITIAL_METADATA;
  headers_sent_ = true;
  if (!response_headers().empty()) [[unlikely]] {
    headers_out_.Add(response_headers());
    op.data.send_initial_metadata.count = headers_out_.size();
    op.data.send_initial_metadata.metadata = headers_out_.data();
  }
  const std::string_view wanted =
      response_compression().empty() ? policy_.compression : response_compression();
  if (!wanted.empty() && wanted != "identity") [[unlikely]] {
    // By level and not by name, because gRPC then keeps to what the peer accepts: its levels go
    // from gzip to deflate.
    op.data.send_initial_metadata.maybe_compression_level.is_set = 1;
    op.data.send_initial_metadata.maybe_compression_level.level =
        wanted == "deflate" ? GRPC_COMPRESS_LEVEL_HIGH : GRPC_COMPRESS_LEVEL_LOW;
  }
}

std::uint32_t ServerCall::MessageFlags() const noexcept {
  return response_compression() == "identity" ? GRPC_WRITE_NO_COMPRESS : 0;
}

void ServerCall::SendHeaders() noexcept {
  if (headers_sent_ || state_ != State::kRunning) return;
  grpc_op op = {};
  AddHeaders(op);
  static_cast<void>(Start(&op, 1, &headers_tag_));
}

absl::Status ServerCall::Hold(const Message& message) {
  absl::Status filled = outgoing_.Fill(message, policy_.max_send_bytes);
  holding_ = filled.ok();
  return filled;
}

void ServerCall::Pump() noexcept {
  for (;;) {
    next_.emplace(entry_->handler->Next(*this, task_->handle().promise().value()));
    pulled_ = false;
    pulling_ = true;
    internal::Start(*next_, this, this, [](void* self, internal::TaskPromise<Message*>&) noexcept {
      static_cast<ServerCall*>(self)->OnPulled();
    });
    pulling_ = false;
    if (!pulled_) {
      // The producer suspended: what it has given must not wait in a buffer meanwhile.
      if (holding_ && !writing_) WriteHeld(/*more_follows=*/false);
      return;
    }
    if (!TakePulled()) return;
  }
}

void ServerCall::OnPulled() noexcept {
  if (Loop::Current() != &loop_.loop) [[unlikely]] {
    loop_.loop.Post(&pulled_work_);
  } else if (pulling_) {
    pulled_ = true;
  } else if (TakePulled()) {
    Pump();
  }
}

// Whether the next message is to be pulled now.
bool ServerCall::TakePulled() noexcept {
  internal::TaskPromise<Message*>& pulled = next_->handle().promise();
  if (pulled.outcome() != internal::Outcome::kValue) {
    EndStream(pulled.TakeStatus());
    return false;
  }
  if (pulled.value() == nullptr) {
    EndStream(absl::OkStatus());
    return false;
  }
  if (holding_) WriteHeld(/*more_follows=*/true);
  if (writing_) {
    pulled_waits_ = true;
    return false;
  }
  return HoldPulled();
}

bool ServerCall::HoldPulled() noexcept {
  absl::Status status = write_failed_ ? Broken() : Hold(*next_->handle().promise().value());
  if (status.ok()) return true;
  EndStream(std::move(status));
  return false;
}

void ServerCall::EndStream(absl::Status status) noexcept {
  stream_status_ = std::move(status);
  if (writing_) {
    stream_ended_ = true;
    return;
  }
  Answer(std::move(stream_status_), nullptr);
  next_.reset();
  task_.reset();
}

void ServerCall::WriteHeld(bool more_follows) noexcept {
  grpc_op ops[2] = {};
  std::size_t count = 0;
  std::uint32_t flags = MessageFlags();
  if (!headers_sent_) {
    AddHeaders(ops[count++]);
  } else if (more_follows) {
    // Not on the first write, which would never complete: https://github.com/grpc/grpc/issues/34231
    flags |= GRPC_WRITE_BUFFER_HINT;
  }
  grpc_op& op = ops[count++];
  op.op = GRPC_OP_SEND_MESSAGE;
  op.flags = flags;
  op.data.send_message.send_message = outgoing_.get();
  holding_ = false;
  if (Start(ops, count, &write_tag_)) {
    writing_ = true;
  } else {
    write_failed_ = true;
  }
}

void ServerCall::OnWrite(bool ok) noexcept {
  --pending_;
  writing_ = false;
  if (!ok) write_failed_ = true;
  // Counted as under way, so that an answer given inside does not free the slot yet.
  ++pending_;
  if (std::exchange(pulled_waits_, false)) {
    if (HoldPulled()) Pump();
  } else if (std::exchange(stream_ended_, false)) {
    EndStream(std::move(stream_status_));
  }
  --pending_;
  if (pending_ == 0 && state_ == State::kAnswered) Ended();
}

void ServerCall::Answer(absl::Status status, const Message* message) noexcept {
  if (status.ok() && !HasResponseStream(method().kind)) {
    if (message != nullptr) [[likely]] {
      status = Hold(*message);
    } else {
      outgoing_.FillEmpty();  // an event's google.protobuf.Empty
      holding_ = true;
    }
  }
  entry_->handler->CallEnded(*this, status.code());
  Finish(status);
}

void ServerCall::Finish(const absl::Status& status) noexcept {
  state_ = State::kAnswered;
  grpc_op ops[4] = {};
  std::size_t count = 0;
  if (!headers_sent_) AddHeaders(ops[count++]);
  // A stream that failed still delivers what it had produced.
  if (holding_) {
    grpc_op& op = ops[count++];
    op.op = GRPC_OP_SEND_MESSAGE;
    op.flags = MessageFlags();
    op.data.send_message.send_message = outgoing_.get();
    holding_ = false;
  }
  grpc_op& end = ops[count++];
  end.op = GRPC_OP_SEND_STATUS_FROM_SERVER;
  end.data.send_status_from_server.status = static_cast<grpc_status_code>(status.code());
  grpc_slice text;
  if (!status.ok()) [[unlikely]] {
    text = Borrow(Std(status.message()));
    end.data.send_status_from_server.status_details = &text;
    const std::string details = SerializeDetails(status);
    if (!details.empty()) trailers_out_.Add("grpc-status-details-bin", details);
  }
  if (!response_trailers().empty()) [[unlikely]] {
    trailers_out_.Add(response_trailers());
  }
  end.data.send_status_from_server.trailing_metadata_count = trailers_out_.size();
  end.data.send_status_from_server.trailing_metadata = trailers_out_.data();
  if (!watching_) {
    watching_ = true;
    grpc_op& close = ops[count++];
    close.op = GRPC_OP_RECV_CLOSE_ON_SERVER;
    close.data.recv_close_on_server.cancelled = &cancelled_by_peer_;
  }
  if (!Start(ops, count, &final_tag_)) [[unlikely]] {
    if (call_ != nullptr) {
      grpc_call_cancel_with_status(call_, GRPC_STATUS_INTERNAL, "the answer could not be sent",
                                   nullptr);
    }
    // Later, because the handler's frame is still held by whoever called this.
    if (pending_ == 0) loop_.loop.Post(&end_work_);
  }
}

// ---- the end ----------------------------------------------------------------------------------

void ServerCall::OpEnded() noexcept {
  if (--pending_ == 0 && state_ == State::kAnswered) Ended();
}

void ServerCall::CancelFromServer() noexcept {
  if (state_ == State::kIdle) return;
  const absl::Status reason = absl::UnavailableError("the server is shutting down");
  if (state_ == State::kAnswered) {
    // What the handler spawned may be left of it.
    cancel_source().Cancel(reason);
    return;
  }
  // Counted as under way, so that an answer given inside does not free the slot yet.
  ++pending_;
  cancel_source().Cancel(reason);
  if (ReadAwaiter* const reader = std::exchange(reader_, nullptr); reader != nullptr) {
    reader->got_message = false;
    reader->Wake();
  }
  OpEnded();
}

void ServerCall::Kill() noexcept {
  if ((state_ != State::kRunning && state_ != State::kFirstMessage) || call_ == nullptr) return;
  // The peer gets this status; not as surely as an answer, though: gRPC 1.51 may close a connection
  // that is being drained before it has sent it.
  grpc_call_cancel_with_status(call_, GRPC_STATUS_UNAVAILABLE, "the server is shutting down",
                               nullptr);
}

void ServerCall::Abandon() noexcept {
  abandoned_ = true;
  if (pending_ == 0 && state_ != State::kAnswered && call_ != nullptr) {
    grpc_call_unref(std::exchange(call_, nullptr));
  }
}

void ServerCall::Ended() noexcept {
  if (unique()) [[likely]] {
    Recycle();
    return;
  }
  // Something that the handler spawned still holds the context. gRPC's part ends now, so that the
  // connection does not wait for it; what can be asked later is read first.
  static_cast<void>(metadata());
  static_cast<void>(peer());
  grpc_call_unref(std::exchange(call_, nullptr));
  Unref();
}

void ServerCall::OnUnreferenced() noexcept {
  if (Loop::Current() == &loop_.loop) {
    Recycle();
  } else {
    loop_.loop.Post(&recycle_work_);
  }
}

void ServerCall::Recycle() noexcept {
  DropValues();
  request_.reset();
  arena_.Reset();
  received_.Reset();
  if (headers_out_.size() != 0) headers_out_.Clear();
  if (trailers_out_.size() != 0) trailers_out_.Clear();
  if (call_ != nullptr) [[likely]] {
    grpc_call_unref(std::exchange(call_, nullptr));
  }
  request_metadata_.count = 0;
  ResetCall();
  cancelled_by_peer_ = 0;
  state_ = State::kIdle;
  watching_ = false;
  closed_ = false;
  abandoned_ = false;
  headers_sent_ = false;
  holding_ = false;
  writing_ = false;
  write_failed_ = false;
  pulled_waits_ = false;
  stream_ended_ = false;
  last_compression_ = GRPC_COMPRESS_NONE;
  if (MethodEntry* const entry = std::exchange(entry_, nullptr); entry != nullptr) {
    entry->in_flight.fetch_sub(1, std::memory_order_relaxed);
  }
  ServerPolicy& policy = policy_;
  loop_.Put(this);
  // A fence with StopIntake: either it sees the count at zero, or this sees that it drains.
  if (policy.in_flight.fetch_sub(1, std::memory_order_seq_cst) == 1 &&
      policy.draining.load(std::memory_order_seq_cst)) {
    policy.idle(policy.server);
  }
}

// ---- CallContext ------------------------------------------------------------------------------

void ServerCall::LoadMetadata(Metadata* metadata) const { AppendTo(*metadata, request_metadata_); }

void ServerCall::LoadPeer(Peer* peer) const {
  if (call_ == nullptr) return;
  char* const address = grpc_call_get_peer(call_);
  if (address != nullptr) {
    peer->address = address;
    gpr_free(address);
  }
  ReadIdentity(call_, peer);
}

void* ServerCall::FindTransportRequest(const std::type_info& type) noexcept {
  return type == typeid(GrpcCall) ? static_cast<GrpcCall*>(this) : nullptr;
}

}  // namespace rookery::grpc_adapter
