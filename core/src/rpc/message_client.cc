#include "rookery/rpc/message_client.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include <google/protobuf/message.h>

#include "absl/strings/str_cat.h"
#include "rookery/runtime/await.h"
#include "rookery/runtime/clock.h"
#include "rookery/runtime/sleep.h"
#include "rpc/unreachable.h"
#include "rpc/wire_stream.h"
#include "runtime/abseil_strings.h"

namespace rookery {
namespace internal {
namespace {

using google::protobuf::Message;
using Kind = WireFrame::Kind;

// How many intervals a server may be silent for.
constexpr std::uint64_t kSilentSweeps = 3;
// How often a call that reached nobody is tried elsewhere.
constexpr int kTriesElsewhere = 3;

absl::Status DeadlineExceeded() { return absl::DeadlineExceededError("Deadline Exceeded"); }

}  // namespace

// A unary call that waits for its reply.
class WaitingCall {
 public:
  // Each is called once at most, by whoever took the call out of the table; any thread.
  virtual void OnReply(InboundMessage message) noexcept = 0;
  virtual void OnFailure(absl::Status status, bool unreached) noexcept = 0;
  // While it is in the table.
  [[nodiscard]] virtual const MethodDescriptor& method() const noexcept = 0;

 protected:
  ~WaitingCall() = default;
};

class StreamCall;

class MessageClientCore final : public std::enable_shared_from_this<MessageClientCore> {
 public:
  MessageClientCore(Loop& the_loop, std::shared_ptr<MessageClientLink> the_link,
                    MessageClient::Options the_options)
      : loop(the_loop), link(std::move(the_link)), options(std::move(the_options)) {}
  ~MessageClientCore() {
    // A timer is touched on its loop alone, and lives until then.
    if (timer_ != nullptr) {
      loop.Post([timer = std::move(timer_), &timers = loop] { timers.Disarm(timer.get()); });
    }
  }

  // Begins to keep the time.
  void Start() {
    timer_ = std::make_shared<Timer>(weak_from_this());
    loop.Post([core = weak_from_this()] {
      if (const auto self = core.lock()) self->Rearm();
    });
  }

  [[nodiscard]] std::uint64_t Add(WaitingCall* unary, std::shared_ptr<StreamCall> stream);
  // Takes a call out. False: somebody else did, and ends it.
  [[nodiscard]] bool Remove(std::uint64_t id);

  enum class Watch : std::uint8_t { kDeadline, kGap, kRetry };
  // Tells the call of `id` when the time has come.
  void WatchFor(std::uint64_t id, Deadline when, Watch what);

  void OnFrame(std::uint64_t id, InboundMessage message);
  void OnUnreachable(std::uint64_t id);
  // Those that `chosen(const Slot&)` says; with the mutex held.
  template <class Chosen>
  void FailIf(const absl::Status& status, Chosen chosen);
  void FailAll(const absl::Status& status);
  void FailAt(std::string_view address, const absl::Status& status);
  void Fail(std::uint64_t id, absl::Status status, bool unreached);
  void FailCall(std::uint64_t id, const absl::Status& status, bool unreached);

  void SendFrame(std::string_view to, const WireFrame& frame, std::string_view reply_to) {
    OutboundMessage out;
    out.to = to;
    out.reply_to = reply_to;
    AddFrame(frame, &out);
    link->Send(out).IgnoreError();
  }
  // Tells all who may serve the call under `reply_to` that it is given up.
  void SendCancel(const std::string& cancel_address, const std::string& reply_to,
                  const absl::Status& reason) {
    if (cancel_address.empty()) return;
    OutboundMessage out;
    out.to = cancel_address;
    AddFrame({.kind = Kind::kCancel}, &out);
    out.Add(kCallHeader, reply_to);
    AddStatus(reason, &out);
    link->Send(out).IgnoreError();
  }
  [[nodiscard]] absl::Status SendEvent(OutgoingCall& call, const Message& event);
  [[nodiscard]] absl::Status Unserved(std::string_view method) const {
    return absl::UnavailableError(
        absl::StrCat("nobody serves ", Abs(method), " on ", options.target));
  }
  [[nodiscard]] absl::Status Ready() const {
    if (closed.load(std::memory_order_acquire)) {
      return Unreachable(
          absl::UnavailableError(absl::StrCat("the channel to ", options.target, " is closed")));
    }
    return Unreachable(link->Ready());
  }
  [[nodiscard]] absl::Status Send(const OutboundMessage& message) const {
    return Unreachable(link->Send(message));
  }
  [[nodiscard]] std::size_t in_flight() const {
    const std::scoped_lock lock(mutex_);
    return used_;
  }

  Loop& loop;
  const std::shared_ptr<MessageClientLink> link;
  const MessageClient::Options options;
  std::atomic<bool> closed{false};
  std::atomic<std::uint64_t> late{0};

 private:
  struct Due {
    std::uint64_t id;
    Watch what;
  };
  struct Slot {
    std::uint32_t generation = 0;
    WaitingCall* unary = nullptr;
    std::shared_ptr<StreamCall> stream;
    std::uint64_t heard = 0;  // the sweep after which the server was heard last
    bool timed = false;
    std::multimap<Deadline, Due>::iterator deadline;
    [[nodiscard]] bool used() const noexcept { return unary != nullptr || stream != nullptr; }
  };
  struct Timer final : LoopTimer {
    explicit Timer(std::weak_ptr<MessageClientCore> owner) noexcept
        : LoopTimer([](LoopTimer* self) noexcept {
            if (const auto core = static_cast<Timer*>(self)->core_.lock()) core->OnTime();
          }),
          core_(std::move(owner)) {}

   private:
    const std::weak_ptr<MessageClientCore> core_;
  };

  // With the mutex held: the slot of `id`, or null.
  [[nodiscard]] Slot* Find(std::uint64_t id) {
    const auto index = static_cast<std::size_t>(id & 0xffffffffU);
    if (index >= slots_.size()) return nullptr;
    Slot& slot = slots_[index];
    return slot.used() && slot.generation == id >> 32 ? &slot : nullptr;
  }
  // With the mutex held: empties it.
  void Clear(Slot& slot) {
    if (slot.timed) due_.erase(slot.deadline);
    slot.timed = false;
    slot.unary = nullptr;
    slot.stream = nullptr;
    ++slot.generation;
    free_.push_back(static_cast<std::uint32_t>(&slot - slots_.data()));
    --used_;
  }
  void Rearm();
  void OnTime();

  mutable std::mutex mutex_;
  std::vector<Slot> slots_;  // guarded by mutex_, as is all below
  std::vector<std::uint32_t> free_;
  std::size_t used_ = 0;
  std::multimap<Deadline, Due> due_;
  Deadline armed_ = kNoDeadline;
  std::uint64_t sweeps_ = 0;
  Deadline next_sweep_ = kNoDeadline;
  std::shared_ptr<Timer> timer_;
};

// ---- streams ------------------------------------------------------------------------------------

// A stream. The table refers to it while it runs, the ClientStream always.
class StreamCall final : public std::enable_shared_from_this<StreamCall> {
 public:
  StreamCall(std::shared_ptr<MessageClientCore> core, OutgoingCall& call)
      : core_(std::move(core)),
        method_(call.method->full_name),
        deadline_(call.deadline),
        wait_for_ready_(call.wait_for_ready),
        metadata_(std::move(call.metadata)),
        receiver_(core_->options.window_bytes, core_->options.max_receive_bytes) {}

  // Before anything else: finds the addresses.
  void Prepare(const MethodDescriptor& method) {
    absl::StatusOr<std::string> address = core_->link->AddressOfMethod(method);
    if (!address.ok()) {
      End(address.status());
      return;
    }
    address_ = *std::move(address);
    cancel_address_ = core_->link->CancelAddressOf(method);
    {
      // Whoever finds the call in the table waits until it knows its id.
      const std::scoped_lock lock(mutex_);
      id_ = core_->Add(nullptr, shared_from_this());
    }
    reply_to_ = core_->link->AddressOf(id_);
    if (deadline_ != kNoDeadline) {
      core_->WatchFor(id_, deadline_, MessageClientCore::Watch::kDeadline);
    }
  }

  // Where the call went. Once it is in the table.
  [[nodiscard]] const std::string& address() const noexcept { return address_; }

  // Sends the opening message; with the one request of a server stream.
  void SendOpen(std::string body) {
    {
      const std::scoped_lock lock(mutex_);
      if (ended_) return;
      open_body_ = std::move(body);
    }
    TryOpen();
  }

  void OnFrame(InboundMessage message);
  void OnUnreachable(const absl::Status& status) {
    bool again = false;
    {
      const std::scoped_lock lock(mutex_);
      again = server_.empty() && !ended_ &&
              (wait_for_ready_ || (retries_ < kTriesElsewhere && core_->link->HasOthers()));
    }
    if (again) {
      RetryLater();
    } else {
      End(status);
    }
  }
  void OnUnreachable() { OnUnreachable(core_->Unserved(method_)); }
  void OnTime(MessageClientCore::Watch what) {
    switch (what) {
      case MessageClientCore::Watch::kDeadline:
        End(DeadlineExceeded());
        return;
      case MessageClientCore::Watch::kRetry:
        TryOpen();
        return;
      case MessageClientCore::Watch::kGap: {
        std::optional<std::uint64_t> lost;
        {
          const std::scoped_lock lock(mutex_);
          gap_watched_ = false;
          // Another one may be missing by now, which has its own time.
          if (!ended_ && receiver_.gap()) {
            if (receiver_.missing() == gap_at_) {
              lost = gap_at_;
            } else {
              WatchGap();
            }
          }
        }
        if (lost) {
          Cancel(absl::DataLossError(
              absl::StrCat("message ", *lost, " of the stream was lost on the way")));
        }
        return;
      }
    }
  }

  // Ends the call here, and tells the server.
  void Cancel(absl::Status reason) {
    if (reason.ok()) reason = absl::CancelledError("the caller cancelled the call");
    std::string server;
    {
      const std::scoped_lock lock(mutex_);
      if (ended_) return;
      server = server_;
    }
    const absl::Status said = reason;
    if (!End(std::move(reason))) return;
    if (!server.empty()) {
      OutboundMessage out;
      out.to = server;
      AddFrame({.kind = Kind::kCancel}, &out);
      AddStatus(said, &out);
      core_->link->Send(out).IgnoreError();
    } else if (opened_.load()) {
      core_->SendCancel(cancel_address_, reply_to_, said);
    }
  }

  // Ends the call here: what was not read is dropped. False: it had ended.
  bool End(absl::Status status) {
    std::vector<LeafAwaiter*> waiters;
    std::uint64_t id = 0;
    {
      const std::scoped_lock lock(mutex_);
      if (ended_) return false;
      ended_ = true;
      aborted_ = true;
      status_ = std::move(status);
      id = id_;
      TakeWaiters(&waiters);
    }
    if (id != 0) static_cast<void>(core_->Remove(id));
    for (LeafAwaiter* const waiter : waiters) waiter->WakeLater();
    return true;
  }

  // What a read gives instead of the status that came: our own reason.
  void FailRead(const absl::Status& failure) {
    Cancel(failure);
    const std::scoped_lock lock(mutex_);
    aborted_ = true;
    status_ = failure;
  }

  class ReadAwaiter final : public LeafAwaiter {
   public:
    explicit ReadAwaiter(StreamCall& call) noexcept : call_(call) {}
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> handle) {
      Suspend(handle);
      const std::scoped_lock lock(call_.mutex_);
      if (call_.Fill(*this)) return false;
      call_.reader_ = this;
      return true;
    }
    void await_resume() noexcept { Resumed(); }

    std::optional<InboundMessage> message;
    std::optional<std::uint64_t> credit;

   private:
    StreamCall& call_;
  };

  // Waits for credit (`bytes` >= 0), or for the server's address alone.
  class WriteAwaiter final : public LeafAwaiter {
   public:
    WriteAwaiter(StreamCall& call, std::optional<std::size_t> bytes) noexcept
        : call_(call), bytes_(bytes) {}
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> handle) {
      Suspend(handle);
      const std::scoped_lock lock(call_.mutex_);
      if (call_.Admit(*this)) return false;
      call_.writer_ = this;
      return true;
    }
    void await_resume() noexcept { Resumed(); }

    std::optional<std::uint64_t> seq;  // none: the call has ended
    std::string server;

   private:
    friend class StreamCall;
    StreamCall& call_;
    const std::optional<std::size_t> bytes_;
  };

  class EndAwaiter final : public LeafAwaiter {
   public:
    explicit EndAwaiter(StreamCall& call) noexcept : call_(call) {}
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> handle) {
      Suspend(handle);
      const std::scoped_lock lock(call_.mutex_);
      if (call_.ended_) return false;
      call_.finisher_ = this;
      return true;
    }
    void await_resume() noexcept { Resumed(); }

   private:
    StreamCall& call_;
  };

  [[nodiscard]] MessageClientCore& core() noexcept { return *core_; }
  [[nodiscard]] const std::string& reply_to() const noexcept { return reply_to_; }
  [[nodiscard]] std::string server() {
    const std::scoped_lock lock(mutex_);
    return server_;
  }
  // After the end.
  [[nodiscard]] absl::Status Take(OutgoingCall& call) {
    const std::scoped_lock lock(mutex_);
    call.headers = headers_;
    call.trailers = trailers_;
    call.peer = core_->options.target;
    return status_;
  }

 private:
  void TryOpen();
  void RetryLater() {
    const auto pause = std::min<std::int64_t>(1'000, 20LL << std::min(retries_++, 6));
    core_->WatchFor(id_, core_->loop.Now() + std::chrono::milliseconds(pause),
                    MessageClientCore::Watch::kRetry);
  }

  // With the mutex held, each: whether the awaiter need not wait.
  bool Fill(ReadAwaiter& reader) {
    if (aborted_) return true;
    if (receiver_.has_message()) {
      reader.message = receiver_.Take();
      reader.credit = receiver_.Grant();
      return true;
    }
    return ended_;
  }
  bool Admit(WriteAwaiter& writer) {
    if (ended_) return true;
    if (server_.empty()) return false;
    if (writer.bytes_ && !sender_.may_send()) return false;
    writer.seq = writer.bytes_ ? sender_.Next(*writer.bytes_) : sender_.NextLast();
    writer.server = server_;
    return true;
  }
  void TakeWaiters(std::vector<LeafAwaiter*>* waiters) {
    if (reader_ != nullptr) waiters->push_back(std::exchange(reader_, nullptr));
    if (writer_ != nullptr) waiters->push_back(std::exchange(writer_, nullptr));
    if (finisher_ != nullptr) waiters->push_back(std::exchange(finisher_, nullptr));
  }
  void WatchGap() {
    gap_watched_ = true;
    gap_at_ = receiver_.missing();
    core_->WatchFor(id_, core_->loop.Now() + core_->options.gap_timeout,
                    MessageClientCore::Watch::kGap);
  }

  const std::shared_ptr<MessageClientCore> core_;
  const std::string method_;  // its name: the descriptor may go before the last message comes
  const Deadline deadline_;
  const bool wait_for_ready_;
  const Metadata metadata_;
  std::string address_;
  std::string cancel_address_;
  std::string reply_to_;
  std::uint64_t id_ = 0;
  int retries_ = 0;
  std::atomic<bool> opened_{false};

  std::mutex mutex_;
  StreamReceiver receiver_;  // guarded by mutex_, as is all below
  StreamSender sender_;
  std::string open_body_;
  std::string server_;  // its address for this call, once it has said something
  Metadata headers_;
  Metadata trailers_;
  absl::Status status_;
  ReadAwaiter* reader_ = nullptr;
  WriteAwaiter* writer_ = nullptr;
  EndAwaiter* finisher_ = nullptr;
  std::uint64_t gap_at_ = 0;
  bool gap_watched_ = false;
  bool ended_ = false;    // status_ is settled; messages may be unread
  bool aborted_ = false;  // ... and are not to be read
};

void StreamCall::TryOpen() {
  absl::Status ready = core_->Ready();
  if (!ready.ok()) {
    if (wait_for_ready_ && !core_->closed.load()) {
      RetryLater();
    } else {
      End(std::move(ready));
    }
    return;
  }
  OutboundMessage out;
  out.to = address_;
  out.reply_to = reply_to_;
  AddFrame({.kind = Kind::kOpen, .credit = core_->options.window_bytes}, &out);
  if (core_->options.codec != WireCodec::kProtobuf) {
    out.Add(kContentTypeHeader, ContentTypeOf(core_->options.codec));
  }
  AddTimeout(deadline_, core_->loop.Now(), &out);
  AddMetadata(metadata_, "", &out);
  std::string body;
  {
    const std::scoped_lock lock(mutex_);
    if (ended_) return;
    body = wait_for_ready_ || core_->link->HasOthers() ? open_body_ : std::move(open_body_);
  }
  out.body = body;
  opened_.store(true);
  absl::Status sent = core_->Send(out);
  if (!sent.ok()) End(std::move(sent));
}

void StreamCall::OnFrame(InboundMessage message) {
  std::vector<LeafAwaiter*> waiters;
  std::optional<WireFrame> reply;  // what is to be said at once
  std::string server;
  absl::Status violation;
  bool over = false;
  {
    const std::scoped_lock lock(mutex_);
    if (ended_) return;
    const auto text = message.Find(kFrameHeader);
    if (!text) {
      // A refusal: the method was never reached.
      status_ = ReadStatus(message);
      if (status_.ok()) {
        status_ = absl::InternalError(
            absl::StrCat("the server answers ", method_, " as if it were no stream"));
      }
      ReadMetadata(message, "", &headers_);
      ReadMetadata(message, kTrailerPrefix, &trailers_);
      over = true;
    } else {
      const absl::StatusOr<WireFrame> frame = ParseFrame(*text);
      if (!message.reply_to.empty()) server_ = message.reply_to;
      if (!frame.ok()) {
        violation = absl::InternalError(frame.status().message());
      } else if (frame->kind == Kind::kData || frame->kind == Kind::kEnd) {
        if (message.HeaderBytes() > core_->options.max_metadata_bytes) {
          violation = absl::ResourceExhaustedError("the reply's metadata is too large");
        } else {
          if (*frame->seq == 0 && headers_.empty()) ReadMetadata(message, "", &headers_);
          const StreamReceiver::Put put =
              receiver_.Add(*frame->seq, frame->kind == Kind::kEnd, std::move(message));
          if (put == StreamReceiver::Put::kOverrun) {
            violation = absl::ResourceExhaustedError("the server sent more than it had credit for");
          } else if (receiver_.ended()) {
            status_ = ReadStatus(receiver_.end());
            ReadMetadata(receiver_.end(), kTrailerPrefix, &trailers_);
            over = true;
          } else if (receiver_.gap() && !gap_watched_) {
            WatchGap();
          }
        }
      } else if (frame->kind == Kind::kPing) {
        reply = WireFrame{.kind = Kind::kPong};
        server = server_;
      } else if (frame->kind == Kind::kCancel) {
        status_ = ReadStatus(message);
        if (status_.ok()) status_ = absl::CancelledError("the server cancelled the call");
        aborted_ = true;
        over = true;
      }
      if (frame.ok() && frame->credit) sender_.Raise(*frame->credit);
    }
    if (over) {
      ended_ = true;
      if (reader_ != nullptr) static_cast<void>(Fill(*reader_));
      TakeWaiters(&waiters);
    } else {
      if (reader_ != nullptr && Fill(*reader_)) {
        waiters.push_back(std::exchange(reader_, nullptr));
      }
      if (writer_ != nullptr && Admit(*writer_)) {
        waiters.push_back(std::exchange(writer_, nullptr));
      }
    }
  }
  if (over) static_cast<void>(core_->Remove(id_));
  if (!violation.ok()) Cancel(std::move(violation));
  if (reply && !server.empty()) core_->SendFrame(server, *reply, reply_to_);
  for (LeafAwaiter* const waiter : waiters) waiter->Wake();
}

namespace {

class MessageClientStream final : public ClientStream {
 public:
  MessageClientStream(std::shared_ptr<MessageClientCore> core, OutgoingCall& call)
      : call_(call), state_(std::make_shared<StreamCall>(std::move(core), call)) {
    state_->Prepare(*call.method);
    on_cancel_.Arm(
        call_.cancel,
        [](void* self) noexcept {
          auto* const stream = static_cast<MessageClientStream*>(self);
          stream->state_->Cancel(stream->call_.cancel.reason());
        },
        this);
    // The one request of a server stream goes with the opening.
    if (HasRequestStream(call_.method->kind)) state_->SendOpen({});
  }
  ~MessageClientStream() override {
    on_cancel_.Disarm();
    state_->Cancel(absl::CancelledError("the caller dropped the stream"));
  }

  Task<bool> Write(const Message& message) override {
    StreamCall& state = *state_;
    const MessageClient::Options& options = state.core().options;
    std::string body;
    absl::Status encoded = EncodePayload(options.codec, message, options.max_send_bytes, &body);
    if (!encoded.ok()) {
      state.Cancel(std::move(encoded));
      co_return false;
    }
    if (!HasRequestStream(call_.method->kind)) {
      if (std::exchange(opened_, true)) {
        state.Cancel(absl::InternalError("a server stream has one request"));
        co_return false;
      }
      state.SendOpen(std::move(body));
      co_return true;
    }
    StreamCall::WriteAwaiter write(state, body.size());
    co_await write;
    if (!write.seq) co_return false;
    OutboundMessage out;
    out.to = write.server;
    out.reply_to = state.reply_to();
    AddFrame({.kind = Kind::kData, .seq = write.seq}, &out);
    if (options.codec != WireCodec::kProtobuf) {
      out.Add(kContentTypeHeader, ContentTypeOf(options.codec));
    }
    out.body = body;
    absl::Status sent = state.core().Send(out);
    if (!sent.ok()) {
      state.Cancel(std::move(sent));
      co_return false;
    }
    co_return true;
  }

  Task<void> WritesDone() override {
    StreamCall& state = *state_;
    if (!HasRequestStream(call_.method->kind)) {
      if (!opened_) state.Cancel(absl::InternalError("the call's one request was never sent"));
      co_return;
    }
    if (std::exchange(writes_done_, true)) co_return;
    StreamCall::WriteAwaiter write(state, std::nullopt);
    co_await write;
    if (write.seq) {
      WireFrame half;
      half.kind = Kind::kHalf;
      half.seq = write.seq;
      state.core().SendFrame(write.server, half, state.reply_to());
    }
  }

  Task<bool> Read(Message& into) override {
    StreamCall& state = *state_;
    StreamCall::ReadAwaiter read(state);
    co_await read;
    if (!read.message) co_return false;
    if (read.credit) {
      WireFrame credit;
      credit.kind = Kind::kCredit;
      credit.credit = read.credit;
      const std::string server = state.server();
      state.core().SendFrame(server, credit, state.reply_to());
    }
    const absl::StatusOr<WireCodec> codec = CodecOf(*read.message);
    absl::Status parsed = codec.ok() ? DecodePayload(*codec, read.message->body,
                                                     state.core().options.max_receive_bytes,
                                                     absl::StatusCode::kInternal, &into)
                                     : absl::InternalError(codec.status().message());
    if (!parsed.ok()) {
      state.FailRead(parsed);
      co_return false;
    }
    co_return true;
  }

  Task<absl::Status> Finish() override {
    StreamCall::EndAwaiter end(*state_);
    co_await end;
    on_cancel_.Disarm();
    co_return state_->Take(call_);
  }

  void Cancel(absl::Status reason) noexcept override { state_->Cancel(std::move(reason)); }

 private:
  OutgoingCall& call_;
  const std::shared_ptr<StreamCall> state_;
  CancelCallback on_cancel_;
  bool opened_ = false;
  bool writes_done_ = false;
};

}  // namespace

// ---- unary --------------------------------------------------------------------------------------

namespace {

// One attempt at a unary call. Lives in the frame of the coroutine that awaits it.
class UnaryAttempt final : public LeafAwaiter, private WaitingCall {
 public:
  UnaryAttempt(MessageClientCore& core, OutgoingCall& call, const Message& request,
               Message& response) noexcept
      : core_(core), call_(call), request_(request), response_(response) {}

  bool await_ready() const noexcept { return false; }

  const MethodDescriptor& method() const noexcept override { return *call_.method; }

  bool await_suspend(std::coroutine_handle<> handle) {
    status_ = core_.Ready();
    if (!status_.ok()) {
      unreached_ = true;
      return false;
    }
    absl::StatusOr<std::string> address = core_.link->AddressOfMethod(*call_.method);
    if (!address.ok()) {
      status_ = address.status();
      return false;
    }
    std::string body;
    const MessageClient::Options& options = core_.options;
    status_ = EncodePayload(options.codec, request_, options.max_send_bytes, &body);
    if (!status_.ok()) return false;
    Suspend(handle);
    // From here on others may end the call; none of them wakes it before it is parked.
    id_ = core_.Add(this, nullptr);
    reply_to_ = core_.link->AddressOf(id_);
    if (call_.deadline != kNoDeadline) {
      if (loop() != nullptr) {
        timed_ = true;
        loop()->Arm(&timer_, call_.deadline);
      } else {
        core_.WatchFor(id_, call_.deadline, MessageClientCore::Watch::kDeadline);
      }
    }
    if (call_.cancel.source() != nullptr) {
      on_cancel_.Arm(
          call_.cancel, [](void* self) noexcept { static_cast<UnaryAttempt*>(self)->OnCancel(); },
          this);
    }
    if (phase_.load(std::memory_order_acquire) == kDone) return false;
    OutboundMessage out;
    out.to = *address;
    out.reply_to = reply_to_;
    AddFrame({.kind = Kind::kCall}, &out);
    if (options.codec != WireCodec::kProtobuf) {
      out.Add(kContentTypeHeader, ContentTypeOf(options.codec));
    }
    AddTimeout(call_.deadline, rookery::Now(), &out);
    AddMetadata(call_.metadata, "", &out);
    out.body = body;
    absl::Status sent = core_.Send(out);
    if (!sent.ok() && core_.Remove(id_)) {
      status_ = std::move(sent);
      unreached_ = status_.code() == absl::StatusCode::kUnavailable;
      return false;
    }
    Phase starting = kStarting;
    return phase_.compare_exchange_strong(starting, kParked, std::memory_order_acq_rel);
  }

  absl::Status await_resume() {
    if (timed_) loop()->Disarm(&timer_);
    on_cancel_.Disarm();
    Resumed();
    if (reply_) TakeReply();
    return std::move(status_);
  }

  // Nobody can have seen the request.
  [[nodiscard]] bool unreached() const noexcept { return unreached_; }

 private:
  enum Phase : std::uint8_t { kStarting, kParked, kDone };
  struct Timer final : LoopTimer {
    explicit Timer(UnaryAttempt* owner) noexcept
        : LoopTimer([](LoopTimer* self) noexcept {
            UnaryAttempt& attempt = *static_cast<Timer*>(self)->attempt_;
            if (attempt.core_.Remove(attempt.id_)) {
              attempt.OnFailure(DeadlineExceeded(), /*unreached=*/false);
            }
          }),
          attempt_(owner) {}

   private:
    UnaryAttempt* const attempt_;
  };

  void OnReply(InboundMessage message) noexcept override {
    reply_.emplace(std::move(message));
    if (phase_.exchange(kDone, std::memory_order_acq_rel) == kParked) Wake();
  }
  void OnFailure(absl::Status status, bool unreached) noexcept override {
    status_ = std::move(status);
    unreached_ = unreached;
    if (phase_.exchange(kDone, std::memory_order_acq_rel) == kParked) WakeLater();
  }
  void OnCancel() noexcept {
    if (!core_.Remove(id_)) return;
    absl::Status reason = call_.cancel.reason();
    core_.SendCancel(core_.link->CancelAddressOf(*call_.method), reply_to_, reason);
    OnFailure(std::move(reason), /*unreached=*/false);
  }

  void TakeReply() {
    call_.peer = core_.options.target;
    if (!reply_->fields.empty()) [[unlikely]] {
      if (reply_->HeaderBytes() > core_.options.max_metadata_bytes) {
        status_ = absl::ResourceExhaustedError("the reply's metadata is too large");
        return;
      }
      ReadMetadata(*reply_, "", &call_.headers);
      ReadMetadata(*reply_, kTrailerPrefix, &call_.trailers);
      status_ = ReadStatus(*reply_);
      if (!status_.ok()) return;
    }
    const absl::StatusOr<WireCodec> codec = CodecOf(*reply_);
    status_ = codec.ok() ? DecodePayload(*codec, reply_->body, core_.options.max_receive_bytes,
                                         absl::StatusCode::kInternal, &response_)
                         : absl::InternalError(codec.status().message());
  }

  MessageClientCore& core_;
  OutgoingCall& call_;
  const Message& request_;
  Message& response_;
  std::uint64_t id_ = 0;
  std::string reply_to_;
  std::optional<InboundMessage> reply_;
  absl::Status status_;
  Timer timer_{this};
  CancelCallback on_cancel_;
  bool timed_ = false;
  bool unreached_ = false;
  std::atomic<Phase> phase_{kStarting};
};

}  // namespace

// ---- the core -----------------------------------------------------------------------------------

std::uint64_t MessageClientCore::Add(WaitingCall* unary, std::shared_ptr<StreamCall> stream) {
  const std::scoped_lock lock(mutex_);
  if (free_.empty()) {
    slots_.emplace_back();
    // Zero is nobody's id.
    slots_.back().generation = 1;
    free_.push_back(static_cast<std::uint32_t>(slots_.size() - 1));
  }
  const std::uint32_t index = free_.back();
  free_.pop_back();
  ++used_;
  Slot& slot = slots_[index];
  slot.unary = unary;
  slot.stream = std::move(stream);
  slot.heard = sweeps_;
  return std::uint64_t{slot.generation} << 32 | index;
}

bool MessageClientCore::Remove(std::uint64_t id) {
  std::shared_ptr<StreamCall> stream;  // let go of outside the lock
  const std::scoped_lock lock(mutex_);
  Slot* const slot = Find(id);
  if (slot == nullptr) return false;
  stream = slot->stream;
  Clear(*slot);
  return true;
}

void MessageClientCore::WatchFor(std::uint64_t id, Deadline when, Watch what) {
  {
    const std::scoped_lock lock(mutex_);
    Slot* const slot = Find(id);
    if (slot == nullptr) return;
    const auto due = due_.emplace(when, Due{id, what});
    if (what == Watch::kDeadline) {
      slot->timed = true;
      slot->deadline = due;
    }
    if (when >= armed_) return;
    armed_ = when;
  }
  loop.Post([core = weak_from_this()] {
    if (const auto self = core.lock()) self->Rearm();
  });
}

void MessageClientCore::Rearm() {
  const std::scoped_lock lock(mutex_);
  if (options.keepalive.count() > 0 && next_sweep_ == kNoDeadline) {
    next_sweep_ = loop.Now() + options.keepalive;
  }
  const Deadline earliest = due_.empty() ? kNoDeadline : due_.begin()->first;
  armed_ = std::min(earliest, next_sweep_);
  if (armed_ != kNoDeadline) loop.Arm(timer_.get(), armed_);
}

void MessageClientCore::OnTime() {
  std::vector<std::pair<std::shared_ptr<StreamCall>, Watch>> streams;
  std::vector<WaitingCall*> late_calls;
  std::vector<WaitingCall*> silent_calls;
  std::vector<std::shared_ptr<StreamCall>> silent_streams;
  {
    const std::scoped_lock lock(mutex_);
    const Deadline now = loop.Now();
    while (!due_.empty() && due_.begin()->first <= now) {
      const Due due = due_.begin()->second;
      Slot* const slot = Find(due.id);
      if (slot != nullptr && due.what == Watch::kDeadline) slot->timed = false;
      due_.erase(due_.begin());
      if (slot == nullptr) continue;
      if (slot->stream != nullptr) {
        streams.emplace_back(slot->stream, due.what);
      } else {
        late_calls.push_back(slot->unary);
        Clear(*slot);
      }
    }
    if (next_sweep_ <= now) {
      ++sweeps_;
      next_sweep_ = now + options.keepalive;
      for (Slot& slot : slots_) {
        if (!slot.used() || sweeps_ - slot.heard <= kSilentSweeps) continue;
        if (slot.stream != nullptr) {
          silent_streams.push_back(slot.stream);
        } else {
          silent_calls.push_back(slot.unary);
          Clear(slot);
        }
      }
    }
  }
  const auto silent = [this] {
    return Unreachable(absl::UnavailableError(
        absl::StrCat("the server of this call, on ", options.target, ", has fallen silent")));
  };
  for (const auto& [stream, what] : streams) stream->OnTime(what);
  for (WaitingCall* const call : late_calls) call->OnFailure(DeadlineExceeded(), false);
  for (const auto& stream : silent_streams) stream->Cancel(silent());
  for (WaitingCall* const call : silent_calls) call->OnFailure(silent(), false);
  Rearm();
}

void MessageClientCore::OnFrame(std::uint64_t id, InboundMessage message) {
  WaitingCall* unary = nullptr;
  std::shared_ptr<StreamCall> stream;
  bool ping = false;
  absl::Status cancelled;
  {
    const std::scoped_lock lock(mutex_);
    Slot* const slot = Find(id);
    if (slot == nullptr) {
      late.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    slot->heard = sweeps_;
    if (slot->stream != nullptr) {
      stream = slot->stream;
    } else if (const auto text = message.Find(kFrameHeader); !text) [[likely]] {
      unary = slot->unary;
      Clear(*slot);
    } else {
      const absl::StatusOr<WireFrame> frame = ParseFrame(*text);
      if (!frame.ok()) {
        cancelled = absl::InternalError(frame.status().message());
      } else if (frame->kind == Kind::kPing) {
        ping = true;
      } else if (frame->kind == Kind::kCancel) {
        cancelled = ReadStatus(message);
        if (cancelled.ok()) cancelled = absl::CancelledError("the server cancelled the call");
      } else {
        return;  // of a later version, or nonsense: the reply is still to come
      }
      if (!ping) {
        unary = slot->unary;
        Clear(*slot);
      }
    }
  }
  if (stream != nullptr) {
    stream->OnFrame(std::move(message));
  } else if (ping) {
    if (!message.reply_to.empty()) {
      SendFrame(message.reply_to, {.kind = Kind::kPong}, link->AddressOf(id));
    }
  } else if (!cancelled.ok()) {
    unary->OnFailure(std::move(cancelled), false);
  } else {
    unary->OnReply(std::move(message));
  }
}

void MessageClientCore::OnUnreachable(std::uint64_t id) {
  std::shared_ptr<StreamCall> stream;
  {
    const std::scoped_lock lock(mutex_);
    const Slot* const slot = Find(id);
    if (slot == nullptr) return;
    stream = slot->stream;
  }
  if (stream != nullptr) {
    stream->OnUnreachable();
  } else {
    Fail(id, absl::UnavailableError(absl::StrCat("nobody serves this method on ", options.target)),
         /*unreached=*/true);
  }
}

void MessageClientCore::Fail(std::uint64_t id, absl::Status status, bool unreached) {
  WaitingCall* unary = nullptr;
  {
    const std::scoped_lock lock(mutex_);
    Slot* const slot = Find(id);
    if (slot == nullptr || slot->unary == nullptr) return;
    unary = slot->unary;
    Clear(*slot);
  }
  unary->OnFailure(std::move(status), unreached);
}

void MessageClientCore::FailCall(std::uint64_t id, const absl::Status& status, bool unreached) {
  std::shared_ptr<StreamCall> stream;
  {
    const std::scoped_lock lock(mutex_);
    const Slot* const slot = Find(id);
    if (slot == nullptr) return;
    stream = slot->stream;
  }
  if (stream == nullptr) {
    Fail(id, status, unreached);
  } else if (unreached) {
    stream->OnUnreachable(status);
  } else {
    stream->End(status);
  }
}

template <class Chosen>
void MessageClientCore::FailIf(const absl::Status& status, Chosen chosen) {
  std::vector<WaitingCall*> calls;
  std::vector<std::shared_ptr<StreamCall>> streams;
  {
    const std::scoped_lock lock(mutex_);
    for (Slot& slot : slots_) {
      if (!slot.used() || !chosen(slot)) continue;
      if (slot.stream != nullptr) {
        streams.push_back(slot.stream);
      } else {
        calls.push_back(slot.unary);
        Clear(slot);
      }
    }
  }
  for (WaitingCall* const call : calls) call->OnFailure(status, false);
  for (const auto& stream : streams) stream->End(status);
}

void MessageClientCore::FailAll(const absl::Status& status) {
  FailIf(status, [](const Slot&) { return true; });
}

void MessageClientCore::FailAt(std::string_view address, const absl::Status& status) {
  FailIf(status, [this, address](const Slot& slot) {
    if (slot.stream != nullptr) return slot.stream->address() == address;
    const absl::StatusOr<std::string> its = link->AddressOfMethod(slot.unary->method());
    return its.ok() && *its == address;
  });
}

absl::Status MessageClientCore::SendEvent(OutgoingCall& call, const Message& event) {
  absl::Status status = Ready();
  if (!status.ok()) return status;
  absl::StatusOr<std::string> address = link->AddressOfMethod(*call.method);
  if (!address.ok()) return address.status();
  std::string body;
  status = EncodePayload(options.codec, event, options.max_send_bytes, &body);
  if (!status.ok()) return status;
  OutboundMessage out;
  out.to = *address;
  AddFrame({.kind = Kind::kEvent}, &out);
  out.Add(kContentTypeHeader, ContentTypeOf(options.codec));
  // An id that the caller chose stays the same when the event is sent again.
  if (!call.metadata.Has(absl::StrCat(options.event_prefix, "id"))) {
    AddCloudEvent(
        NewCloudEvent(options.event_source,
                      call.method->pattern.empty() ? call.method->full_name : call.method->pattern),
        options.event_prefix, &out);
  }
  AddExpiry(call.deadline, rookery::Now(), options.event_prefix, &out);
  AddMetadata(call.metadata, "", &out);
  out.body = body;
  call.peer = options.target;
  return Send(out);
}

}  // namespace internal

// ---- MessageClient ------------------------------------------------------------------------------

MessageClient::MessageClient(Loop& loop, std::shared_ptr<MessageClientLink> link, Options options)
    : core_(std::make_shared<internal::MessageClientCore>(loop, std::move(link),
                                                          std::move(options))) {
  core_->Start();
}

MessageClient::~MessageClient() { Close(); }

Task<void> MessageClient::Unary(OutgoingCall& call, const google::protobuf::Message& request,
                                google::protobuf::Message& response) {
  const std::shared_ptr<internal::MessageClientCore> core = core_;
  const bool is_event = call.method->kind == MethodKind::kEvent;
  absl::Status status;
  for (int attempt = 0;; ++attempt) {
    bool unreached = false;
    if (is_event) {
      status = core->SendEvent(call, request);
      unreached = status.code() == absl::StatusCode::kUnavailable;
    } else {
      internal::UnaryAttempt one(*core, call, request, response);
      status = co_await one;
      unreached = one.unreached();
    }
    if (!unreached || core->closed.load()) break;
    const bool elsewhere = !is_event && attempt < internal::kTriesElsewhere &&
                           core->link->HasOthers() && core->link->Ready().ok();
    if (!call.wait_for_ready && !elsewhere) break;
    std::chrono::nanoseconds pause = std::chrono::milliseconds(20) * (1 << std::min(attempt, 6));
    if (call.cancel.cancelled()) {
      status = call.cancel.reason();
      break;
    }
    if (call.deadline != kNoDeadline) {
      const std::chrono::nanoseconds left = call.deadline - rookery::Now();
      if (left <= std::chrono::nanoseconds(0)) {
        status = internal::DeadlineExceeded();
        break;
      }
      pause = std::min(pause, left);
    }
    co_await Sleep(pause);
  }
  if (!status.ok()) co_await Fail(std::move(status));
}

std::unique_ptr<ClientStream> MessageClient::Open(OutgoingCall& call) {
  return std::make_unique<internal::MessageClientStream>(core_, call);
}

void MessageClient::Close() noexcept { core_->closed.store(true, std::memory_order_release); }

void MessageClient::OnFrame(std::uint64_t id, InboundMessage message) {
  core_->OnFrame(id, std::move(message));
}
void MessageClient::OnUnreachable(std::uint64_t id) { core_->OnUnreachable(id); }
void MessageClient::FailAll(const absl::Status& status) {
  core_->FailAll(internal::Unreachable(status));
}
void MessageClient::FailAt(std::string_view address, const absl::Status& status) {
  core_->FailAt(address, internal::Unreachable(status));
}

void MessageClient::FailCall(std::uint64_t id, const absl::Status& status, bool unreached) {
  core_->FailCall(id, internal::Unreachable(status), unreached);
}

std::size_t MessageClient::in_flight() const { return core_->in_flight(); }
std::uint64_t MessageClient::late_replies() const noexcept {
  return core_->late.load(std::memory_order_relaxed);
}

MessageClient::Inbox MessageClient::inbox() const {
  Inbox inbox;
  inbox.core_ = core_;
  return inbox;
}
void MessageClient::Inbox::OnFrame(std::uint64_t id, InboundMessage message) const {
  if (const auto core = core_.lock()) core->OnFrame(id, std::move(message));
}
void MessageClient::Inbox::OnUnreachable(std::uint64_t id) const {
  if (const auto core = core_.lock()) core->OnUnreachable(id);
}
void MessageClient::Inbox::FailAll(const absl::Status& status) const {
  if (const auto core = core_.lock()) core->FailAll(internal::Unreachable(status));
}
void MessageClient::Inbox::FailAt(std::string_view address, const absl::Status& status) const {
  if (const auto core = core_.lock()) core->FailAt(address, internal::Unreachable(status));
}
void MessageClient::Inbox::FailCall(std::uint64_t id, const absl::Status& status,
                                    bool unreached) const {
  if (const auto core = core_.lock()) core->FailCall(id, internal::Unreachable(status), unreached);
}

}  // namespace rookery
