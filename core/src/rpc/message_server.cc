#include "rookery/rpc/message_server.h"

#include <atomic>
#include <optional>
#include <utility>
#include <vector>

#include <google/protobuf/arena.h>
#include <google/protobuf/message.h>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "rookery/rpc/call_context.h"
#include "rookery/rpc/message.h"
#include "rookery/rpc/status.h"
#include "rookery/runtime/await.h"
#include "rookery/runtime/start.h"
#include "rpc/message_type.h"
#include "rpc/wire_stream.h"
#include "runtime/abseil_strings.h"

namespace rookery {
namespace internal {
namespace {

using google::protobuf::Message;
using Kind = WireFrame::Kind;

constexpr std::size_t kSpareCalls = 256;
constexpr int kPingsUnanswered = 3;

}  // namespace

class ServerMessageCall;

// What calls stand on. Shared with them: a handler that does not end outlives its server.
class MessageServerCore final : public std::enable_shared_from_this<MessageServerCore> {
 public:
  MessageServerCore(Loop& the_loop, const HandlerRegistry& registry, MessageLink& the_link,
                    MessageServer::Options the_options)
      : loop(the_loop),
        handlers(registry),
        options(std::move(the_options)),
        link(&the_link),
        writes_bodies(the_link.WritesBodies()) {}
  ~MessageServerCore();

  [[nodiscard]] ServerMessageCall* Take();
  void Put(ServerMessageCall* call) noexcept;
  // Refuses a message that reaches no handler.
  void Refuse(const InboundMessage& message, std::string_view method, const absl::Status& status);
  void Send(const OutboundMessage& message) {
    if (link != nullptr) link->Send(message).IgnoreError();
  }
  // All calls, pinned.
  [[nodiscard]] std::vector<ServerMessageCall*> Pinned();
  void Sweep();
  void ArmSweep();

  Loop& loop;
  const HandlerRegistry& handlers;
  const MessageServer::Options options;
  MessageLink* link;  // null once the server is gone
  const bool writes_bodies;
  absl::flat_hash_map<std::uint64_t, ServerMessageCall*> by_id;
  absl::flat_hash_map<std::string_view, ServerMessageCall*> by_reply;
  ServerMessageCall* active = nullptr;  // linked both ways
  ServerMessageCall* free = nullptr;    // linked by next
  std::size_t spare = 0;
  std::uint64_t last_id = 0;
  std::string scratch;
  std::atomic<std::size_t> in_flight{0};    // written on the loop alone
  std::shared_ptr<MessageServerCore> keep;  // ourselves, while there are calls
  std::function<void()> on_idle;

 private:
  struct Timer final : LoopTimer {
    explicit Timer(MessageServerCore* owner) noexcept
        : LoopTimer([](LoopTimer* self) noexcept {
            MessageServerCore& server = *static_cast<Timer*>(self)->server_;
            server.Sweep();
            server.ArmSweep();
          }),
          server_(owner) {}

   private:
    MessageServerCore* const server_;
  };

 public:
  Timer sweep{this};
};

// One call, and the slot that it lives in. All of it on the loop's thread, but for what Context
// says of itself.
class ServerMessageCall final : public CallContext, private MessageSource {
 public:
  explicit ServerMessageCall(MessageServerCore& core)
      : core_(core), arena_(arena_block_, sizeof arena_block_) {}
  ~ServerMessageCall() override = default;

  void Begin(const Handler* handler, const std::optional<WireFrame>& frame, WireCodec codec,
             Deadline deadline, InboundMessage&& message) {
    handler_ = handler;
    codec_ = codec;
    framed_ = frame.has_value();
    message_ = std::move(message);
    reply_to_ = message_.reply_to;
    state_ = State::kRunning;
    set_method(&handler->descriptor());
    set_deadline(deadline);
    const MethodKind kind = method().kind;
    if (HasRequestStream(kind)) {
      receiver_.emplace(core_.options.window_bytes, core_.options.max_receive_bytes);
      request_.emplace(static_cast<MessageSource*>(this));
    } else {
      Message* const request = NewRequest();
      const absl::Status parsed =
          DecodePayload(codec_, message_.body, core_.options.max_receive_bytes,
                        absl::StatusCode::kInvalidArgument, request);
      if (!parsed.ok()) {
        core_.Refuse(message_, method().full_name, parsed);
        Ended();
        return;
      }
      request_.emplace(request, /*owned=*/true);
    }
    if (is_stream()) {
      sender_.Raise(frame ? frame->credit.value_or(0) : 0);
      Register();
      if (receiver_) SendFrame({.kind = Kind::kCredit, .credit = receiver_->granted()});
    }
    Run();
  }

  [[nodiscard]] bool is_stream() const noexcept {
    return HasRequestStream(method().kind) || HasResponseStream(method().kind);
  }
  [[nodiscard]] bool running() const noexcept { return state_ == State::kRunning; }

  void OnFrame(const WireFrame& frame, InboundMessage message) {
    pings_ = 0;
    switch (frame.kind) {
      case Kind::kData:
      case Kind::kHalf:
        if (receiver_) Receive(frame, std::move(message));
        if (frame.credit) OnCredit(*frame.credit);
        return;
      case Kind::kCredit:
        OnCredit(frame.credit.value_or(0));
        return;
      case Kind::kCancel: {
        absl::Status reason = ReadStatus(message);
        if (reason.ok()) reason = absl::CancelledError("the caller went away");
        Cancel(reason, /*gone=*/true);
        return;
      }
      default:
        return;  // pongs, and what later versions may send
    }
  }

  // Keeps the slot from being recycled, on the loop's thread: a reference would not do for a call
  // that is over, whose last reference may be given back on another thread at this moment.
  void Pin() noexcept { ++pins_; }
  void Unpin() {
    if (--pins_ == 0 && recycle_later_) Recycle();
  }
  class [[nodiscard]] PinScope final {
   public:
    explicit PinScope(ServerMessageCall* call) noexcept : call_(call) { call_->Pin(); }
    ~PinScope() { call_->Unpin(); }
    PinScope(const PinScope&) = delete;
    PinScope& operator=(const PinScope&) = delete;

   private:
    ServerMessageCall* const call_;
  };

  // Asks the handler, and what it spawned, to end. `gone`: nobody waits for its answer.
  void Cancel(const absl::Status& reason, bool gone) {
    const PinScope pin(this);
    if (gone) gone_ = true;
    cancel_source().Cancel(reason);
    if (state_ != State::kRunning) return;
    WakeReader(reason);
    // A producer that waits for credit is between two messages: it can be dropped.
    if (state_ == State::kRunning && blocked_) {
      blocked_ = false;
      EndStream(reason);
    }
  }

  // Tells the caller `status`, whatever the handler is doing.
  void AnswerFor(const absl::Status& status) {
    if (state_ != State::kRunning || gone_) return;
    OutboundMessage out;
    out.to = reply_to_;
    AddStatus(status, &out);
    if (!reply_to_.empty()) core_.Send(out);
    gone_ = true;
  }

  // Is the caller of a long call still there?
  void Probe(Deadline now) {
    if (!framed_ || !registered_ || state_ != State::kRunning || gone_) return;
    if (now - registered_at_ < core_.options.keepalive) return;
    if (pings_ >= kPingsUnanswered) {
      Cancel(absl::CancelledError("the caller went away"), /*gone=*/true);
      return;
    }
    ++pings_;
    SendFrame({.kind = Kind::kPing});
  }

  // CallContext
  [[nodiscard]] std::string_view transport() const noexcept override {
    return core_.options.transport;
  }
  [[nodiscard]] google::protobuf::Arena* arena() noexcept override {
    arena_used_.store(true, std::memory_order_relaxed);
    return &arena_;
  }
  [[nodiscard]] std::optional<std::string_view> PeekMetadata(std::string_view key) const override {
    if (Metadata::IsBinary(key) || IsProtocolField(key)) return metadata().Get(key);
    return message_.Find(key);
  }

  // The slot's place in its core's lists.
  ServerMessageCall* next = nullptr;
  ServerMessageCall* previous = nullptr;

 private:
  enum class State : std::uint8_t { kIdle, kRunning, kAnswered };

  // A handler's read. It may be on any loop; the messages are taken at home.
  class ReadAwaiter final : public LeafAwaiter {
   public:
    explicit ReadAwaiter(ServerMessageCall& call) noexcept : call_(call) {}
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> handle) {
      Suspend(handle);
      if (Loop::Current() == &call_.core_.loop) [[likely]] {
        if (call_.Fill(*this)) return false;
        call_.reader_ = this;
        return true;
      }
      call_.remote_reader_ = this;
      call_.core_.loop.Post(&call_.read_work_);
      return true;
    }
    void await_resume() noexcept { Resumed(); }

    std::optional<InboundMessage> message;
    absl::Status failure;

   private:
    ServerMessageCall& call_;
  };

  template <void (ServerMessageCall::*kFunction)()>
  struct Work final : LoopWork {
    explicit Work(ServerMessageCall* owner) noexcept
        : LoopWork([](LoopWork* self) noexcept { (static_cast<Work*>(self)->call->*kFunction)(); }),
          call(owner) {}
    ServerMessageCall* const call;
  };
  template <void (ServerMessageCall::*kFunction)()>
  struct Timer final : LoopTimer {
    explicit Timer(ServerMessageCall* owner) noexcept
        : LoopTimer(
              [](LoopTimer* self) noexcept { (static_cast<Timer*>(self)->call->*kFunction)(); }),
          call(owner) {}
    ServerMessageCall* const call;
  };

  // What the request is parsed into. Small ones of plain types share one that is kept with the
  // slot, which spares an arena and the strings: of these types it cannot grow.
  Message* NewRequest() {
    const Message& prototype = method().request();
    if (codec_ == WireCodec::kProtobuf && message_.body.size() <= kKeptRequestBytes) [[likely]] {
      if (kept_prototype_ != &prototype) [[unlikely]] {
        kept_request_.reset(IsPlain(*prototype.GetDescriptor()) ? prototype.New() : nullptr);
        kept_prototype_ = &prototype;
      }
      if (kept_request_ != nullptr) return kept_request_.get();
    }
    return prototype.New(arena());
  }

  // ---- the handler

  void Run() {
    handler_->CallStarted(*this);
    task_.emplace(handler_->Call(*this, *request_));
    starting_ = true;
    ended_inside_ = false;
    Start(*task_, this, this, [](void* self, TaskPromise<Response>&) noexcept {
      static_cast<ServerMessageCall*>(self)->OnHandlerEnd();
    });
    starting_ = false;
    if (ended_inside_) [[likely]] {
      TakeResponse();
      return;
    }
    if (!registered_) Register();
    if (deadline() != kNoDeadline) core_.loop.Arm(&deadline_timer_, deadline());
  }

  void OnHandlerEnd() {
    if (Loop::Current() != &core_.loop) [[unlikely]] {
      core_.loop.Post(&response_work_);
    } else if (starting_) {
      ended_inside_ = true;
    } else {
      TakeResponse();
    }
  }

  void TakeResponse() {
    TaskPromise<Response>& done = task_->handle().promise();
    if (done.outcome() != Outcome::kValue) [[unlikely]] {
      Answer(done.TakeStatus(), nullptr);
    } else if (done.value().has_stream()) {
      if (deadline() != kNoDeadline) core_.loop.Arm(&deadline_timer_, deadline());
      Pump();
    } else {
      Answer(absl::OkStatus(), done.value().message());
    }
  }

  void OnDeadline() {
    Cancel(absl::DeadlineExceededError("the call's deadline has passed"), /*gone=*/false);
  }
  void OnGap() {
    Cancel(absl::DataLossError(absl::StrCat("message ", receiver_ ? receiver_->missing() : 0,
                                            " of the stream was lost on the way")),
           /*gone=*/false);
  }

  // From now on the call is found by its address and by its caller's.
  void Register() {
    registered_ = true;
    registered_at_ = core_.loop.Now();
    // Whoever knows nothing of frames may use one address for many calls.
    if (framed_ && !reply_to_.empty() && core_.link != nullptr) {
      core_.by_reply.emplace(reply_to_, this);
      id_ = ++core_.last_id;
      core_.by_id.emplace(id_, this);
      if (is_stream()) address_ = core_.link->AddressOf(id_);
    }
  }

  // ---- reading

  Task<bool> Read(Message& into) override {
    ReadAwaiter read(*this);
    co_await read;
    if (!read.failure.ok()) co_return std::move(read.failure);
    if (!read.message) co_return false;
    const absl::StatusOr<WireCodec> codec = CodecOf(*read.message);
    absl::Status parsed = codec.status();
    if (parsed.ok()) {
      parsed = DecodePayload(*codec, read.message->body, core_.options.max_receive_bytes,
                             absl::StatusCode::kInvalidArgument, &into);
    }
    if (!parsed.ok()) {
      core_.handlers.CountRejected(core_.options.transport, method().full_name, parsed);
      co_return parsed;
    }
    co_return true;
  }

  // Whether there is something for the reader.
  bool Fill(ReadAwaiter& reader) {
    if (cancelled()) {
      reader.failure = cancel_source().reason();
      return true;
    }
    if (state_ != State::kRunning || !receiver_) {
      reader.failure = absl::CancelledError("the call has ended");
      return true;
    }
    if (receiver_->has_message()) {
      reader.message = receiver_->Take();
      if (const std::optional<std::uint64_t> credit = receiver_->Grant()) {
        SendFrame({.kind = Kind::kCredit, .credit = credit});
      }
      return true;
    }
    return receiver_->ended();
  }

  void StartRead() {
    ReadAwaiter* const reader = std::exchange(remote_reader_, nullptr);
    if (Fill(*reader)) {
      reader->Wake();
    } else {
      reader_ = reader;
    }
  }

  void WakeReader(const absl::Status& failure) {
    ReadAwaiter* const reader = std::exchange(reader_, nullptr);
    if (reader == nullptr) return;
    reader->failure = failure;
    reader->Wake();
  }

  void Receive(const WireFrame& frame, InboundMessage message) {
    const StreamReceiver::Put put =
        receiver_->Add(*frame.seq, frame.kind == Kind::kHalf, std::move(message));
    if (put == StreamReceiver::Put::kOverrun) {
      const absl::Status reason =
          absl::ResourceExhaustedError("the caller sent more than it had credit for");
      core_.handlers.CountRejected(core_.options.transport, method().full_name, reason);
      Cancel(reason, /*gone=*/false);
      return;
    }
    if (receiver_->gap() != gap_armed_) {
      gap_armed_ = receiver_->gap();
      if (gap_armed_) {
        core_.loop.Arm(&gap_timer_, core_.loop.Now() + core_.options.gap_timeout);
      } else {
        core_.loop.Disarm(&gap_timer_);
      }
    }
    if (reader_ != nullptr && Fill(*reader_)) std::exchange(reader_, nullptr)->Wake();
  }

  // ---- writing

  // A frame without a payload, which the caller may answer.
  void SendFrame(const WireFrame& frame) {
    if (core_.link == nullptr || gone_ || reply_to_.empty()) return;
    if (address_.empty() && id_ != 0) address_ = core_.link->AddressOf(id_);
    OutboundMessage out;
    out.to = reply_to_;
    out.reply_to = address_;
    AddFrame(frame, &out);
    core_.Send(out);
  }

  void AddHeaders(OutboundMessage* out) {
    if (std::exchange(headers_sent_, true)) return;
    AddMetadata(response_headers(), "", out);
  }
  void AddContentType(OutboundMessage* out) const {
    if (codec_ != WireCodec::kProtobuf) out->Add(kContentTypeHeader, ContentTypeOf(codec_));
  }

  [[nodiscard]] absl::Status SendData(const Message& message) {
    absl::Status encoded =
        EncodePayload(codec_, message, core_.options.max_send_bytes, &core_.scratch);
    if (!encoded.ok()) return encoded;
    OutboundMessage out;
    out.to = reply_to_;
    out.reply_to = address_;
    AddFrame({.kind = Kind::kData, .seq = sender_.Next(core_.scratch.size())}, &out);
    AddContentType(&out);
    AddHeaders(&out);
    out.body = core_.scratch;
    if (core_.link == nullptr) return absl::UnavailableError("the server is shutting down");
    return gone_ ? absl::OkStatus() : core_.link->Send(out);
  }

  void Pump() {
    for (;;) {
      next_.emplace(handler_->Next(*this, task_->handle().promise().value()));
      pulled_ = false;
      pulling_ = true;
      Start(*next_, this, this, [](void* self, TaskPromise<Message*>&) noexcept {
        static_cast<ServerMessageCall*>(self)->OnPulled();
      });
      pulling_ = false;
      if (!pulled_) return;
      if (!TakePulled()) return;
    }
  }

  void OnPulled() {
    if (Loop::Current() != &core_.loop) [[unlikely]] {
      core_.loop.Post(&pulled_work_);
    } else if (pulling_) {
      pulled_ = true;
    } else if (TakePulled()) {
      Pump();
    }
  }
  void OnPulledLater() {
    if (TakePulled()) Pump();
  }

  // Whether the next message is to be pulled now.
  bool TakePulled() {
    TaskPromise<Message*>& pulled = next_->handle().promise();
    if (pulled.outcome() != Outcome::kValue) {
      EndStream(pulled.TakeStatus());
      return false;
    }
    if (pulled.value() == nullptr) {
      EndStream(absl::OkStatus());
      return false;
    }
    if (gone_ || cancelled()) {
      absl::Status reason = cancel_source().reason();
      if (reason.ok()) reason = absl::CancelledError("the caller went away");
      EndStream(std::move(reason));
      return false;
    }
    if (!sender_.may_send()) {
      blocked_ = true;
      return false;
    }
    return SendPulled();
  }

  bool SendPulled() {
    absl::Status sent = SendData(*next_->handle().promise().value());
    if (sent.ok()) return true;
    EndStream(std::move(sent));
    return false;
  }

  void OnCredit(std::uint64_t credit) {
    sender_.Raise(credit);
    if (!blocked_ || !sender_.may_send() || state_ != State::kRunning) return;
    blocked_ = false;
    if (SendPulled()) Pump();
  }

  // ---- the end

  void EndStream(absl::Status status) { Answer(std::move(status), nullptr); }

  void Answer(absl::Status status, const Message* message) {
    const PinScope pin(this);
    state_ = State::kAnswered;
    OutboundMessage out;
    out.to = reply_to_;
    const bool replies = !gone_ && !reply_to_.empty() && core_.link != nullptr;
    if (!is_stream()) {
      if (status.ok() && message != nullptr) {
        if (core_.writes_bodies && codec_ == WireCodec::kProtobuf) [[likely]] {
          const absl::StatusOr<std::size_t> size =
              PayloadSize(*message, core_.options.max_send_bytes);
          status = size.status();
          if (size.ok()) out.SetUnwritten(message, *size);
        } else {
          status = EncodePayload(codec_, *message, core_.options.max_send_bytes, &core_.scratch);
          if (status.ok()) out.body = core_.scratch;
        }
      }
      handler_->CallEnded(*this, status.code());
      if (replies) {
        if (status.ok()) {
          AddContentType(&out);
        } else {
          AddStatus(status, &out);
        }
        if (!response_headers().empty()) AddHeaders(&out);
        if (!response_trailers().empty()) AddMetadata(response_trailers(), kTrailerPrefix, &out);
        SendAnswer(out);
      }
    } else {
      if (status.ok() && message != nullptr) status = SendData(*message);
      handler_->CallEnded(*this, status.code());
      if (replies) {
        AddFrame({.kind = Kind::kEnd, .seq = sender_.NextLast()}, &out);
        AddStatus(status, &out);
        AddHeaders(&out);
        AddMetadata(response_trailers(), kTrailerPrefix, &out);
        SendAnswer(out);
      }
    }
    next_.reset();
    task_.reset();
    Ended();
  }

  // What the broker finds too large is answered by its status alone.
  void SendAnswer(const OutboundMessage& out) {
    const absl::Status sent = core_.link->Send(out);
    if (sent.ok() || sent.code() != absl::StatusCode::kResourceExhausted) return;
    OutboundMessage refusal;
    refusal.to = reply_to_;
    AddStatus(sent, &refusal);
    core_.Send(refusal);
  }

  void Ended() {
    state_ = State::kAnswered;
    core_.loop.Disarm(&deadline_timer_);
    core_.loop.Disarm(&gap_timer_);
    if (registered_) {
      registered_ = false;
      core_.by_id.erase(id_);
      const auto found = core_.by_reply.find(reply_to_);
      if (found != core_.by_reply.end() && found->second == this) core_.by_reply.erase(found);
    }
    if (reader_ != nullptr) {
      reader_->failure = absl::CancelledError("the call has ended");
      std::exchange(reader_, nullptr)->WakeLater();
    }
    Unref();  // the call's own
  }

  void OnUnreferenced() noexcept override {
    if (Loop::Current() == &core_.loop) [[likely]] {
      Recycle();
    } else {
      core_.loop.Post(&recycle_work_);
    }
  }

  void Recycle() {
    if (pins_ != 0) {
      recycle_later_ = true;
      return;
    }
    recycle_later_ = false;
    request_.reset();
    receiver_.reset();
    sender_ = StreamSender();
    if (arena_used_.load(std::memory_order_relaxed)) {
      arena_used_.store(false, std::memory_order_relaxed);
      arena_.Reset();
    }
    ResetCall();
    message_.Clear();
    reply_to_ = {};
    address_.clear();
    id_ = 0;
    state_ = State::kIdle;
    gone_ = false;
    blocked_ = false;
    headers_sent_ = false;
    gap_armed_ = false;
    framed_ = false;
    pings_ = 0;
    // This may be the core's end, and ours.
    core_.Put(this);
  }

  // ---- CallContext

  void LoadMetadata(Metadata* metadata) const override { ReadMetadata(message_, "", metadata); }
  void LoadPeer(Peer* peer) const override {
    if (message_.load_peer != nullptr) {
      message_.load_peer(message_.held(), peer);
      return;
    }
    peer->address = absl::StrCat(Abs(core_.options.transport), ":",
                                 reply_to_.empty() ? "anonymous" : Abs(reply_to_));
  }

  static constexpr std::size_t kArenaBytes = 2'048;
  static constexpr std::size_t kKeptRequestBytes = 512;

  MessageServerCore& core_;
  const Handler* handler_ = nullptr;
  InboundMessage message_;
  std::string_view reply_to_;  // message_'s
  std::string address_;
  std::uint64_t id_ = 0;
  Deadline registered_at_ = kNoDeadline;
  std::optional<Request> request_;
  std::optional<Task<Response>> task_;
  std::optional<Task<Message*>> next_;
  std::optional<StreamReceiver> receiver_;
  StreamSender sender_;
  ReadAwaiter* reader_ = nullptr;
  ReadAwaiter* remote_reader_ = nullptr;

  Work<&ServerMessageCall::TakeResponse> response_work_{this};
  Work<&ServerMessageCall::OnPulledLater> pulled_work_{this};
  Work<&ServerMessageCall::StartRead> read_work_{this};
  Work<&ServerMessageCall::Recycle> recycle_work_{this};
  Timer<&ServerMessageCall::OnDeadline> deadline_timer_{this};
  Timer<&ServerMessageCall::OnGap> gap_timer_{this};

  State state_ = State::kIdle;
  WireCodec codec_ = WireCodec::kProtobuf;
  bool framed_ = false;        // the caller understands frames
  bool registered_ = false;    // found by its addresses
  bool gone_ = false;          // nobody waits for the answer
  bool starting_ = false;      // inside the start of task_
  bool ended_inside_ = false;  // task_ ended before its start returned
  bool pulling_ = false;       // the same of next_
  bool pulled_ = false;
  bool blocked_ = false;  // a message has been pulled that waits for credit
  bool headers_sent_ = false;
  bool gap_armed_ = false;
  bool recycle_later_ = false;
  int pings_ = 0;  // unanswered
  int pins_ = 0;

  const Message* kept_prototype_ = nullptr;
  std::unique_ptr<Message> kept_request_;  // null: the type may grow
  std::atomic<bool> arena_used_{false};
  alignas(std::max_align_t) char arena_block_[kArenaBytes];
  google::protobuf::Arena arena_;
};

MessageServerCore::~MessageServerCore() {
  while (free != nullptr) {
    const std::unique_ptr<ServerMessageCall> call(std::exchange(free, free->next));
  }
}

ServerMessageCall* MessageServerCore::Take() {
  ServerMessageCall* call = free;
  if (call != nullptr) [[likely]] {
    free = call->next;
    --spare;
  } else {
    call = std::make_unique<ServerMessageCall>(*this).release();
  }
  call->previous = nullptr;
  call->next = active;
  if (active != nullptr) active->previous = call;
  active = call;
  const std::size_t others = in_flight.load(std::memory_order_relaxed);
  if (others == 0) keep = shared_from_this();
  in_flight.store(others + 1, std::memory_order_relaxed);
  return call;
}

void MessageServerCore::Put(ServerMessageCall* call) noexcept {
  (call->previous == nullptr ? active : call->previous->next) = call->next;
  if (call->next != nullptr) call->next->previous = call->previous;
  if (spare == kSpareCalls) {
    const std::unique_ptr<ServerMessageCall> surplus(call);
  } else {
    call->next = free;
    free = call;
    ++spare;
  }
  const std::size_t left = in_flight.load(std::memory_order_relaxed) - 1;
  if (left != 0) {
    in_flight.store(left, std::memory_order_release);
    return;
  }
  // The calls may be what has kept us.
  const std::shared_ptr<MessageServerCore> held = std::move(keep);
  in_flight.store(0, std::memory_order_seq_cst);
  if (on_idle) on_idle();
}

void MessageServerCore::Refuse(const InboundMessage& message, std::string_view method,
                               const absl::Status& status) {
  handlers.CountRejected(options.transport, method, status);
  if (message.reply_to.empty()) return;
  OutboundMessage out;
  out.to = message.reply_to;
  AddStatus(status, &out);
  Send(out);
}

std::vector<ServerMessageCall*> MessageServerCore::Pinned() {
  std::vector<ServerMessageCall*> calls;
  for (ServerMessageCall* call = active; call != nullptr; call = call->next) {
    call->Pin();
    calls.push_back(call);
  }
  return calls;
}

void MessageServerCore::Sweep() {
  const Deadline now = loop.Now();
  for (ServerMessageCall* const call : Pinned()) {
    call->Probe(now);
    call->Unpin();
  }
}

void MessageServerCore::ArmSweep() {
  if (link != nullptr && options.keepalive.count() > 0) {
    loop.Arm(&sweep, loop.Now() + options.keepalive);
  }
}

}  // namespace internal

using internal::ServerMessageCall;

MessageServer::MessageServer(Loop& loop, const HandlerRegistry& handlers, MessageLink& link,
                             Options options)
    : core_(
          std::make_shared<internal::MessageServerCore>(loop, handlers, link, std::move(options))) {
  // Timers are the loop's own affair.
  loop.Post([core = core_] { core->ArmSweep(); });
}

MessageServer::~MessageServer() {
  CancelAll(absl::UnavailableError("the server is shutting down"));
  core_->link = nullptr;
  core_->on_idle = nullptr;
  core_->loop.Disarm(&core_->sweep);
}

void MessageServer::OnRequest(const Handler* handler, std::string_view name,
                              InboundMessage&& message) {
  internal::MessageServerCore& core = *core_;
  const std::string_view method = handler == nullptr ? name : handler->descriptor().full_name;
  const auto refuse = [&](const absl::Status& status) { core.Refuse(message, method, status); };
  if (handler == nullptr) [[unlikely]] {
    refuse(absl::UnimplementedError(absl::StrCat("unknown method ", internal::Abs(name))));
    return;
  }
  const bool plain = message.fields.empty();
  std::optional<WireFrame> frame;
  if (const auto text = plain ? std::nullopt : message.Find(kFrameHeader)) {
    absl::StatusOr<WireFrame> parsed = ParseFrame(*text);
    if (!parsed.ok()) {
      refuse(parsed.status());
      return;
    }
    frame = *parsed;
  }
  using Kind = WireFrame::Kind;
  const MethodKind kind = handler->descriptor().kind;
  const bool streams = HasRequestStream(kind) || HasResponseStream(kind);
  const bool opens = frame && frame->kind == Kind::kOpen;
  if (frame && !opens && frame->kind != Kind::kCall && frame->kind != Kind::kEvent) {
    refuse(absl::InvalidArgumentError("this frame belongs to a call, and not to a method"));
    return;
  }
  if (streams != opens) {
    refuse(absl::UnimplementedError(
        streams ? absl::StrCat(internal::Abs(method), " is a stream: begin it with an open frame")
                : absl::StrCat(internal::Abs(method), " is no stream")));
    return;
  }
  if (streams && message.reply_to.empty()) {
    refuse(absl::InvalidArgumentError("a stream needs an address to reply to"));
    return;
  }
  // Sent once, delivered twice: the first one is being served.
  if (frame && core.by_reply.contains(message.reply_to)) return;
  if (core.in_flight.load(std::memory_order_relaxed) >= core.options.max_concurrent_calls) {
    refuse(absl::ResourceExhaustedError("too many concurrent calls"));
    return;
  }
  if (!plain && message.HeaderBytes() > core.options.max_metadata_bytes) {
    refuse(absl::ResourceExhaustedError(
        absl::StrCat("the metadata is larger than ", core.options.max_metadata_bytes, " bytes")));
    return;
  }
  const absl::StatusOr<WireCodec> codec = plain ? WireCodec::kProtobuf : CodecOf(message);
  if (!codec.ok()) {
    refuse(codec.status());
    return;
  }
  Deadline deadline = kNoDeadline;
  if (const auto text = plain ? std::nullopt : message.Find(kTimeoutHeader)) {
    const std::optional<std::chrono::nanoseconds> timeout = ParseTimeout(*text);
    if (!timeout) {
      refuse(
          absl::InvalidArgumentError("grpc-timeout: expected up to eight digits and one of "
                                     "n, u, m, S, M, H"));
      return;
    }
    const Deadline now = core.loop.Now();
    if (*timeout < kNoDeadline - now) {
      deadline = now + std::chrono::duration_cast<Deadline::duration>(*timeout);
    }
  }
  if (kind == MethodKind::kEvent && IsExpired(message, core.options.event_prefix)) {
    refuse(absl::DeadlineExceededError("the event had expired when it came"));
    return;
  }
  core.Take()->Begin(handler, frame, *codec, deadline, std::move(message));
}

void MessageServer::OnFrame(std::uint64_t id, InboundMessage message) {
  const auto text = message.Find(kFrameHeader);
  if (!text) return;
  const absl::StatusOr<WireFrame> frame = ParseFrame(*text);
  const auto found = core_->by_id.find(id);
  if (found == core_->by_id.end()) {
    // A caller that asks about a call whose end it has missed.
    const bool asks = frame.ok() && frame->kind == WireFrame::Kind::kPing;
    if (!asks || message.reply_to.empty()) return;
    OutboundMessage out;
    out.to = message.reply_to;
    AddFrame({.kind = WireFrame::Kind::kCancel}, &out);
    AddStatus(absl::UnavailableError("the server does not know this call (any more)"), &out);
    core_->Send(out);
    return;
  }
  ServerMessageCall* const call = found->second;
  const ServerMessageCall::PinScope pin(call);
  if (!frame.ok()) {
    core_->handlers.CountRejected(core_->options.transport, call->method().full_name,
                                  frame.status());
    call->Cancel(frame.status(), /*gone=*/false);
    return;
  }
  call->OnFrame(*frame, std::move(message));
}

void MessageServer::OnCancel(const InboundMessage& message) {
  const auto address = message.Find(kCallHeader);
  if (!address) return;
  const auto found = core_->by_reply.find(*address);
  if (found == core_->by_reply.end()) return;
  absl::Status reason = ReadStatus(message);
  if (reason.ok()) reason = absl::CancelledError("the caller went away");
  found->second->Cancel(reason, /*gone=*/true);
}

void MessageServer::OnUnreachable(std::uint64_t id) {
  const auto found = core_->by_id.find(id);
  if (found == core_->by_id.end()) return;
  found->second->Cancel(absl::CancelledError("the caller went away"), /*gone=*/true);
}

void MessageServer::CancelAll(const absl::Status& reason) {
  for (ServerMessageCall* const call : core_->Pinned()) {
    call->Cancel(reason, /*gone=*/false);
    call->Unpin();
  }
}

void MessageServer::CancelStreams(const absl::Status& reason) {
  for (ServerMessageCall* const call : core_->Pinned()) {
    if (call->running() && call->is_stream()) call->Cancel(reason, /*gone=*/true);
    call->Unpin();
  }
}

void MessageServer::AnswerForAll(const absl::Status& status) {
  for (ServerMessageCall* const call : core_->Pinned()) {
    call->AnswerFor(status);
    call->Unpin();
  }
}

std::size_t MessageServer::in_flight() const noexcept {
  return core_->in_flight.load(std::memory_order_acquire);
}

void MessageServer::set_on_idle(std::function<void()> on_idle) {
  core_->on_idle = std::move(on_idle);
}

}  // namespace rookery
