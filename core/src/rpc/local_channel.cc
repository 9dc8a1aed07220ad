#include "rookery/rpc/local_channel.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <typeinfo>
#include <utility>
#include <vector>

#include <google/protobuf/message.h>

#include "absl/strings/str_cat.h"
#include "rookery/rpc/baggage.h"
#include "rookery/rpc/call_context.h"
#include "rookery/rpc/message.h"
#include "rookery/rpc/trace.h"
#include "rookery/rpc/transport.h"
#include "rookery/runtime/await.h"
#include "rookery/runtime/frame.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/start.h"
#include "rpc/handoff.h"
#include "rpc/message_type.h"
#include "runtime/abseil_strings.h"
#include "runtime/asio_loop.h"

namespace rookery {

namespace internal {

using google::protobuf::Message;

// One call: the handler's context, and what both sides share. The caller holds a reference, and so
// does the handler until it has ended, which may be long after the caller has left.
//
// How a call ends is decided once: by the handler's end, or by the caller's leaving (deadline,
// cancellation, a dropped stream). Whoever decides writes the status, then wakes the caller.
class LocalCall final : public CallContext, public Recycled, private MessageSource {
 public:
  // Null and *status if the call is not let in.
  [[nodiscard]] static ContextRef Make(LocalEndpoint& endpoint, OutgoingCall& call,
                                       absl::Status* status) {
    const Handler* handler = nullptr;
    *status = endpoint.Admit(*call.method, &handler);
    if (!status->ok()) return ContextRef();
    return ContextRef::Adopt(std::make_unique<LocalCall>(&endpoint, handler, call).release());
  }

  LocalCall(LocalEndpoint* endpoint, const Handler* handler, OutgoingCall& call)
      : endpoint_(endpoint), handler_(handler), sent_(std::move(call.metadata)) {
    set_method(&handler->descriptor());
    set_deadline(call.deadline);
    if (call.origin != nullptr) [[unlikely]] {
      AdoptOrigin(*call.origin);
    } else if (Context* const current = Context::Current()) {
      caller_ = ContextRef(current->call());
      // Values may change while the call runs, so these are taken now; what else is propagated
      // never changes, and is read when it is asked for.
      const std::string baggage = BaggageOf(*current);
      if (!baggage.empty() && !sent_.Has("baggage")) sent_.AddUnchecked("baggage", baggage);
      if (current->Find(kRequestIdentity) != nullptr) {
        AddRequestId(*current, &sent_);
        id_told_ = true;
      }
    }
  }
  ~LocalCall() override = default;

  [[nodiscard]] std::string_view transport() const noexcept override {
    const CallOrigin* const from = origin();
    return from == nullptr ? "inproc" : from->transport();
  }
  [[nodiscard]] std::optional<std::string_view> PeekMetadata(std::string_view key) const override {
    if (const auto value = sent_.Get(key)) return value;
    if (key != "x-request-id" && key != "traceparent" && key != "tracestate") return std::nullopt;
    return metadata().Get(key);
  }

  // ---- the caller's side

  // The endpoint lives as long as the call. Before the caller stops holding on to it, or leaves.
  void Keep(const std::shared_ptr<LocalEndpoint>& endpoint) noexcept { kept_ = endpoint; }
  // A streaming call: first of all.
  void MakeStreams() { streams_.emplace(descriptor()); }
  // Whether the caller may leave before the handler has ended.
  void set_may_leave(bool may_leave) noexcept { may_leave_ = may_leave; }

  // `lend`: the message stays with the caller, who waits for the handler's end.
  void SetRequest(const Message& request, bool owned, bool lend) {
    if (lend) {
      request_ = Request(&request, owned);
      return;
    }
    own_request_.reset(handler_->descriptor().request().New());
    const Message& own = *own_request_;
    if (owned && typeid(request) == typeid(own)) {
      handler_->descriptor().move_request(own_request_.get(), const_cast<Message*>(&request));
    } else {
      own_request_->CopyFrom(request);
    }
    request_ = Request(own_request_.get(), /*owned=*/true);
  }
  void SetRequestStream() noexcept { request_ = Request(static_cast<MessageSource*>(this)); }

  void StartUnary() {
    handler_->CallStarted(*this);
    RefUnshared();
    unary_.emplace(handler_->Call(*this, request_));
    LocalCall* const outer = std::exchange(tls_starting_call_, this);
    Start(*unary_, this, this, [](void* self, TaskPromise<Response>& done) noexcept {
      auto* const call = static_cast<LocalCall*>(self);
      absl::Status status;
      if (done.outcome() == Outcome::kStatus) {
        status = std::move(done.status());
      } else if (done.outcome() == Outcome::kException) {
        status = StatusFromException(done.exception());
      }
      // Before the start has returned nobody but this thread knows of the call, so that nothing of
      // its end needs a locked instruction: each costs as much as thirty plain ones.
      const bool known_here_alone = tls_starting_call_ == call;
      if (!call->HandlerEnded(std::move(status), known_here_alone)) call->unary_.reset();
      if (!known_here_alone || !call->UnrefSecond()) call->Unref();
    });
    tls_starting_call_ = outer;
  }
  void StartStream() {
    handler_->CallStarted(*this);
    Ref();
    stream_.emplace(Serve());
    Start(*stream_, this, this, [](void* self, TaskPromise<absl::Status>& done) noexcept {
      auto* const call = static_cast<LocalCall*>(self);
      absl::Status status = done.outcome() == Outcome::kValue ? std::move(done.value())
                            : done.outcome() == Outcome::kStatus
                                ? std::move(done.status())
                                : StatusFromException(done.exception());
      (void)call->HandlerEnded(std::move(status), /*known_here_alone=*/false);
      call->requests().Abort();
      call->responses().Close();
      call->stream_.reset();
      call->Unref();
    });
    if (!done()) Enlist();
  }
  // Ends a call that was let in and never reached its handler.
  void NeverStarted(absl::Status reason) noexcept {
    decided_.store(true, std::memory_order_release);
    status_ = std::move(reason);
    endpoint_->Left();
    Publish(/*later=*/true);
    AbortStreams();
  }

  // Ends the call from the caller's side; the handler is cancelled and goes on by itself. Nothing
  // if the end has been decided. Any thread; the caller is woken by a post if `later`.
  void Leave(absl::Status reason, bool later) noexcept {
    if (decided_.exchange(true, std::memory_order_acq_rel)) return;
    const ContextRef keep(this);
    status_ = reason;
    handler_->CallEnded(*this, reason.code());
    cancel_source().Cancel(std::move(reason));
    Publish(later);
    AbortStreams();
  }
  // The endpoint goes away.
  void Abandon(const absl::Status& reason) noexcept {
    if (may_leave_) {
      Leave(reason, /*later=*/true);
    } else {
      cancel_source().Cancel(reason);
    }
  }

  // Whether the end is decided, and status() may be read.
  [[nodiscard]] bool done() const noexcept {
    return waiter_.load(std::memory_order_acquire) == kDone;
  }
  [[nodiscard]] const absl::Status& status() const noexcept { return status_; }
  // Whether the handler has ended, and not the caller left: what it made may be touched.
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  // False: done() already; `waiter` will not be woken.
  [[nodiscard]] bool AddWaiter(LeafAwaiter* waiter) noexcept {
    std::uintptr_t none = 0;
    return waiter_.compare_exchange_strong(none, reinterpret_cast<std::uintptr_t>(waiter),
                                           std::memory_order_acq_rel);
  }
  // So that Drain can reach the call.
  void Enlist() noexcept;

  // After a unary call has ended well.
  [[nodiscard]] absl::Status TakeResponse(const MethodDescriptor& method, Message& into) {
    if (method.kind == MethodKind::kEvent) return absl::OkStatus();
    Message* const message = unary_->handle().promise().value().message();
    if (message == nullptr || !SameType(*message, into)) {
      return absl::InternalError(
          absl::StrCat(Abs(method.full_name), " answered without a ", into.GetTypeName()));
    }
    const Message& declared = method.response();
    if (typeid(*message) == typeid(into) && typeid(into) == typeid(declared)) {
      method.move_response(&into, message);
    } else {
      into.CopyFrom(*message);
    }
    return absl::OkStatus();
  }
  void ReleaseResponse() noexcept { unary_.reset(); }
  // After done(): what came back beside the messages.
  void FillOutgoing(OutgoingCall& call) {
    if (!call.wants_info) return;
    call.peer = endpoint_->address();
    if (!ended_) return;
    call.headers = headers_ ? *std::move(headers_) : std::move(response_headers());
    call.trailers = std::move(response_trailers());
  }

  // Of a streaming call.
  [[nodiscard]] Handoff& requests() noexcept { return streams_->requests; }
  [[nodiscard]] Handoff& responses() noexcept { return streams_->responses; }
  [[nodiscard]] const MethodDescriptor& descriptor() const noexcept {
    return handler_->descriptor();
  }

  // The endpoint's list; guarded by its mutex.
  LocalCall* next = nullptr;
  LocalCall** previous = nullptr;

 private:
  static constexpr std::uintptr_t kDone = 1;
  struct Streams {
    explicit Streams(const MethodDescriptor& method) noexcept
        : requests(method.move_request, method.request()),
          responses(method.move_response, method.response()) {}
    Handoff requests;
    Handoff responses;
  };
  enum class Listed : std::uint8_t { kNo, kYes, kNoMore };

  [[nodiscard]] CallOrigin* origin() const noexcept {
    return static_cast<CallOrigin*>(origin_.get());
  }
  // All that is said of the caller is in the metadata, and in the origin.
  void AdoptOrigin(CallOrigin& from) {
    origin_ = ContextRef(&from);
    CopyValuesFrom(from);
    id_told_ = true;
  }

  void AbortStreams() noexcept {
    if (!streams_) return;
    streams_->requests.Abort();
    streams_->responses.Abort();
  }
  // The handler's end. Whether that decided the call's end.
  bool HandlerEnded(absl::Status status, bool known_here_alone) noexcept {
    if (known_here_alone) {
      decided_.store(true, std::memory_order_relaxed);
      handler_->CallEnded(*this, status.code());
      status_ = std::move(status);
      ended_ = true;
      listed_.store(Listed::kNoMore, std::memory_order_relaxed);
      endpoint_->Left();
      waiter_.store(kDone, std::memory_order_release);
      return true;
    }
    const bool decides = !decided_.exchange(true, std::memory_order_acq_rel);
    if (decides) {
      handler_->CallEnded(*this, status.code());
      status_ = std::move(status);
      ended_ = true;
    }
    Delist();
    // From here on the handlers may be gone.
    endpoint_->Left();
    if (decides) Publish(/*later=*/false);
    return decides;
  }
  void Publish(bool later) noexcept {
    const std::uintptr_t waiter = waiter_.exchange(kDone, std::memory_order_acq_rel);
    if (waiter == 0) return;
    auto* const leaf = reinterpret_cast<LeafAwaiter*>(waiter);
    if (later) {
      leaf->WakeLater();
    } else {
      leaf->Wake();
    }
  }
  void Delist() noexcept;

  [[nodiscard]] Task<absl::Status> Serve() {
    Task<Response> task = handler_->Call(*this, request_);
    absl::StatusOr<Response> result = co_await AsStatusOr(std::move(task));
    if (!result.ok()) co_return std::move(result).status();
    Response response = *std::move(result);
    if (!response.has_stream()) {
      // The handler wants no more requests; the reply may wait for its reader long after.
      requests().Abort();
      if (response.message() != nullptr) {
        headers_.emplace(response_headers());
        (void)co_await Handoff::Write(responses(), *response.message(), /*may_move=*/true);
      }
      co_return absl::OkStatus();
    }
    for (;;) {
      Task<Message*> next_message = handler_->Next(*this, response);
      absl::StatusOr<Message*> message = co_await AsStatusOr(std::move(next_message));
      if (!message.ok()) co_return std::move(message).status();
      if (*message == nullptr) break;
      if (!headers_) headers_.emplace(response_headers());
      const bool taken = co_await Handoff::Write(responses(), **message, /*may_move=*/true);
      if (!taken) co_return absl::CancelledError("the caller went away");
    }
    co_return absl::OkStatus();
  }

  // MessageSource: the handler reads what the caller writes.
  Task<bool> Read(Message& into) override {
    const Handoff::Got got = co_await Handoff::Read(requests(), into);
    if (got == Handoff::Got::kAborted) {
      absl::Status reason = cancel_source().reason();
      if (reason.ok()) reason = absl::CancelledError("the call has ended");
      co_return std::move(reason);
    }
    co_return got == Handoff::Got::kMessage;
  }

  void LoadMetadata(Metadata* metadata) const override {
    *metadata = sent_;
    auto* const caller = static_cast<CallContext*>(caller_.get());
    if (caller == nullptr) return;
    if (!id_told_ && !sent_.Has("x-request-id")) {
      metadata->AddUnchecked("x-request-id", caller->request_id());
    }
    if (!sent_.Has("traceparent")) {
      const TraceContext& trace = caller->trace();
      metadata->AddUnchecked("traceparent", trace.ToTraceparent());
      if (!trace.tracestate().empty()) metadata->AddUnchecked("tracestate", trace.tracestate());
    }
  }
  void LoadPeer(Peer* peer) const override {
    if (const CallOrigin* const from = origin()) {
      from->LoadPeer(peer);
    } else {
      peer->address = endpoint_->address();
    }
  }
  void* FindTransportRequest(const std::type_info& type) noexcept override {
    CallOrigin* const from = origin();
    return from == nullptr ? nullptr : from->FindTransportRequest(type);
  }

  // The unary call that StartUnary is starting on this thread, innermost.
  static inline constinit thread_local LocalCall* tls_starting_call_ = nullptr;

  // Kept only by a call that outlives its start: a reference costs two locked instructions.
  LocalEndpoint* const endpoint_;
  std::shared_ptr<LocalEndpoint> kept_;
  const Handler* const handler_;
  ContextRef caller_;
  ContextRef origin_;
  Metadata sent_;
  bool id_told_ = false;  // all that is said of the caller's id is in sent_
  std::unique_ptr<Message> own_request_;
  Request request_{nullptr, false};
  std::optional<Metadata> headers_;  // as they were at the first message
  std::optional<Task<Response>> unary_;
  std::optional<Task<absl::Status>> stream_;
  std::optional<Streams> streams_;
  bool may_leave_ = true;
  bool ended_ = false;   // written before waiter_
  absl::Status status_;  // written before waiter_
  std::atomic<bool> decided_{false};
  std::atomic<std::uintptr_t> waiter_{0};  // 0, a LeafAwaiter, or kDone
  std::atomic<Listed> listed_{Listed::kNo};
};

void LocalCall::Enlist() noexcept {
  const std::scoped_lock lock(endpoint_->mutex_);
  Listed no = Listed::kNo;
  // The handler may have ended on another thread just now.
  if (!listed_.compare_exchange_strong(no, Listed::kYes)) return;
  next = endpoint_->calls_;
  if (next != nullptr) next->previous = &next;
  previous = &endpoint_->calls_;
  endpoint_->calls_ = this;
}

void LocalCall::Delist() noexcept {
  if (listed_.exchange(Listed::kNoMore) != Listed::kYes) return;
  const std::scoped_lock lock(endpoint_->mutex_);
  *previous = next;
  if (next != nullptr) next->previous = previous;
}

}  // namespace internal

namespace {

using google::protobuf::Message;
using internal::Abs;
using internal::LocalCall;

absl::Status DeadlineExceeded() { return absl::DeadlineExceededError("Deadline Exceeded"); }

LocalCall& CallOf(const ContextRef& ref) noexcept { return static_cast<LocalCall&>(*ref.get()); }

// Waits for a unary call's handler to end, for the deadline or the cancellation.
class UnaryCall final : public LeafAwaiter {
 public:
  UnaryCall(LocalCall& call, const OutgoingCall& outgoing) noexcept
      : call_(call), outgoing_(outgoing) {}

  bool await_ready() const noexcept { return call_.done(); }
  bool await_suspend(std::coroutine_handle<> handle) noexcept {
    Suspend(handle);
    call_.Enlist();
    if (outgoing_.deadline != kNoDeadline && loop() != nullptr) {
      timed_ = true;
      loop()->Arm(&timer_, outgoing_.deadline);
    }
    if (outgoing_.cancel.source() != nullptr) {
      on_cancel_.Arm(
          outgoing_.cancel,
          [](void* self) noexcept {
            auto* const unary = static_cast<UnaryCall*>(self);
            unary->call_.Leave(unary->outgoing_.cancel.reason(), /*later=*/true);
          },
          this);
    }
    return call_.AddWaiter(this);
  }
  const absl::Status& await_resume() noexcept {
    if (timed_) loop()->Disarm(&timer_);
    on_cancel_.Disarm();
    Resumed();
    return call_.status();
  }

 private:
  struct Timer final : LoopTimer {
    explicit Timer(UnaryCall* owner) noexcept
        : LoopTimer([](LoopTimer* self) noexcept {
            static_cast<Timer*>(self)->unary->call_.Leave(DeadlineExceeded(), /*later=*/false);
          }),
          unary(owner) {}
    UnaryCall* unary;
  };
  LocalCall& call_;
  const OutgoingCall& outgoing_;
  Timer timer_{this};
  CancelCallback on_cancel_;
  bool timed_ = false;
};

// A stream's deadline. Apart from the stream, because a stream may be dropped on a thread that must
// not touch the loop's timers.
class StreamTimer final : public LoopTimer, public LoopWork {
 public:
  StreamTimer(LocalCall& call, Loop& loop, Deadline deadline) noexcept
      : LoopTimer([](LoopTimer* self) noexcept {
          CallOf(static_cast<StreamTimer*>(self)->call_).Leave(DeadlineExceeded(), false);
        }),
        LoopWork([](LoopWork* self) noexcept {
          const std::unique_ptr<StreamTimer> timer(static_cast<StreamTimer*>(self));
          timer->loop_.Disarm(timer.get());
        }),
        call_(&call),
        loop_(loop) {
    loop_.Arm(this, deadline);
  }
  static void Drop(std::unique_ptr<StreamTimer> timer) noexcept {
    if (timer == nullptr) return;
    if (Loop::Current() == &timer->loop_) {
      timer->loop_.Disarm(timer.get());
    } else {
      Loop& loop = timer->loop_;
      loop.Post(static_cast<LoopWork*>(timer.release()));
    }
  }

 private:
  ContextRef call_;
  Loop& loop_;
};

class LocalStream final : public ClientStream {
 public:
  LocalStream(ContextRef call, OutgoingCall& outgoing)
      : ref_(std::move(call)), outgoing_(outgoing) {
    if (HasRequestStream(outgoing.method->kind)) {
      call_.SetRequestStream();
      Begin();
    }
  }
  ~LocalStream() override {
    on_cancel_.Disarm();
    Cancel(absl::CancelledError("the caller dropped the stream"));
    StreamTimer::Drop(std::move(timer_));
  }

  Task<bool> Write(const Message& message) override {
    return WriteOne(const_cast<Message&>(message), /*may_move=*/false);
  }
  Task<bool> WriteMoved(Message& message) override { return WriteOne(message, /*may_move=*/true); }
  Task<void> WritesDone() override {
    if (HasRequestStream(outgoing_.method->kind)) {
      call_.requests().Close();
    } else if (!started_) {
      Cancel(absl::InternalError("the call's one request was never sent"));
    }
    co_return;
  }
  Task<bool> Read(Message& into) override {
    const auto got = co_await internal::Handoff::Read(call_.responses(), into);
    co_return got == internal::Handoff::Got::kMessage;
  }
  Task<absl::Status> Finish() override {
    if (!call_.done()) {
      // Unread messages are dropped: the status comes after them.
      const std::unique_ptr<Message> unread(call_.descriptor().response().New());
      for (;;) {
        const auto got = co_await internal::Handoff::Read(call_.responses(), *unread);
        if (got != internal::Handoff::Got::kMessage) break;
      }
    }
    call_.FillOutgoing(outgoing_);
    co_return call_.status();
  }
  void Cancel(absl::Status reason) noexcept override {
    if (reason.ok()) reason = absl::CancelledError("the caller cancelled the call");
    if (std::exchange(started_, true)) {
      call_.Leave(std::move(reason), /*later=*/true);
    } else {
      call_.NeverStarted(std::move(reason));
    }
  }

 private:
  void Begin() {
    started_ = true;
    call_.StartStream();
    if (call_.done()) return;
    Loop* const loop = Loop::Current();
    if (outgoing_.deadline != kNoDeadline && loop != nullptr) {
      timer_ = std::make_unique<StreamTimer>(call_, *loop, outgoing_.deadline);
    }
    if (outgoing_.cancel.source() != nullptr) {
      on_cancel_.Arm(
          outgoing_.cancel,
          [](void* self) noexcept {
            auto* const stream = static_cast<LocalStream*>(self);
            stream->Cancel(stream->outgoing_.cancel.reason());
          },
          this);
    }
  }
  Task<bool> WriteOne(Message& message, bool may_move) {
    if (HasRequestStream(outgoing_.method->kind)) {
      const bool taken = co_await internal::Handoff::Write(call_.requests(), message, may_move);
      co_return taken;
    }
    if (started_) co_return false;
    call_.SetRequest(message, may_move, /*lend=*/false);
    Begin();
    co_return true;
  }

  const ContextRef ref_;
  LocalCall& call_ = CallOf(ref_);
  OutgoingCall& outgoing_;
  bool started_ = false;
  std::unique_ptr<StreamTimer> timer_;
  CancelCallback on_cancel_;
};

class FailedStream final : public ClientStream {
 public:
  explicit FailedStream(absl::Status status) noexcept : status_(std::move(status)) {}
  Task<bool> Write(const Message& /*message*/) override { co_return false; }
  Task<void> WritesDone() override { co_return; }
  Task<bool> Read(Message& /*into*/) override { co_return false; }
  Task<absl::Status> Finish() override { co_return status_; }
  void Cancel(absl::Status /*reason*/) noexcept override {}

 private:
  const absl::Status status_;
};

}  // namespace

// ---- LocalEndpoint --------------------------------------------------------------------------

LocalEndpoint::LocalEndpoint(const HandlerRegistry& handlers, Options options)
    : handlers_(&handlers),
      host_(nullptr),
      options_(std::move(options)),
      address_(options_.name.empty() ? "inproc" : absl::StrCat("inproc:", options_.name)) {}

LocalEndpoint::LocalEndpoint(TransportHost& host, Options options)
    : handlers_(nullptr),
      host_(&host),
      options_(std::move(options)),
      address_(options_.name.empty() ? "inproc" : absl::StrCat("inproc:", options_.name)) {}

const HandlerRegistry& LocalEndpoint::handlers() const {
  return handlers_ != nullptr ? *handlers_ : host_->handlers();
}

LocalEndpoint::~LocalEndpoint() = default;

absl::Status LocalEndpoint::Refuse(const MethodDescriptor& method, absl::Status status) {
  handlers().CountRejected("inproc", method.full_name, status);
  Left();
  return status;
}

absl::Status LocalEndpoint::Admit(const MethodDescriptor& method, const Handler** handler) {
  // Counted before the look at closed_, so that Drain, which does it the other way round, misses
  // none.
  const std::size_t before = in_flight_.fetch_add(1);
  if (closed_.load()) [[unlikely]] {
    // Not Refuse: the handlers may be gone.
    Left();
    return absl::UnavailableError(absl::StrCat(address_, " is shutting down"));
  }
  if (options_.max_concurrent_calls != 0 && before >= options_.max_concurrent_calls) [[unlikely]] {
    return Refuse(method, absl::ResourceExhaustedError(
                              absl::StrCat(address_, " serves ", options_.max_concurrent_calls,
                                           " calls at a time, and as many are in flight")));
  }
  const HandlerRegistry& registry = handlers();
  // Nearly every call is for a handler of the very table that the client was generated with.
  std::atomic<const Handler*>& lately = LatelyFound(method);
  const Handler* found = lately.load(std::memory_order_acquire);
  if (found != nullptr && &found->descriptor() == &method) [[likely]] {
    *handler = found;
    return absl::OkStatus();
  }
  // An event goes to all its handlers, which share a pattern, not a name.
  found = nullptr;
  if (method.kind == MethodKind::kEvent && !method.pattern.empty()) {
    found = registry.Find(method.pattern);
  }
  if (found == nullptr) found = registry.Find(method.full_name);
  if (found == nullptr && !method.pattern.empty()) found = registry.Find(method.pattern);
  if (found == nullptr) [[unlikely]] {
    return Refuse(method, absl::UnimplementedError(
                              absl::StrCat(address_, " has no method ", Abs(method.full_name))));
  }
  const MethodDescriptor& served = found->descriptor();
  if (&served != &method &&
      (served.kind != method.kind || !internal::SameType(served.request(), method.request()) ||
       !internal::SameType(served.response(), method.response()))) [[unlikely]] {
    return Refuse(method, absl::UnimplementedError(
                              absl::StrCat(Abs(method.full_name),
                                           " is of another kind, or takes or gives other "
                                           "messages, at ",
                                           address_)));
  }
  if (&served == &method && method.kind != MethodKind::kEvent) {
    lately.store(found, std::memory_order_release);
  }
  *handler = found;
  return absl::OkStatus();
}

std::atomic<const Handler*>& LocalEndpoint::LatelyFound(const MethodDescriptor& method) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(&method);
  return lately_found_[(address / sizeof(MethodDescriptor)) % lately_found_.size()];
}

void LocalEndpoint::Left() noexcept {
  if (in_flight_.fetch_sub(1) == 1 && closed_.load()) {
    const std::scoped_lock lock(mutex_);
    idle_.notify_all();
  }
}

void LocalEndpoint::StopIntake() noexcept { closed_.store(true); }

std::size_t LocalEndpoint::Drain(Deadline deadline) noexcept {
  StopIntake();
  std::vector<ContextRef> left;
  {
    std::unique_lock lock(mutex_);
    const auto idle = [this] { return in_flight_.load() == 0 && away_.load() == 0; };
    if (deadline == kNoDeadline) {
      idle_.wait(lock, idle);
    } else {
      (void)idle_.wait_until(lock, deadline, idle);
    }
    for (LocalCall* call = calls_; call != nullptr; call = call->next) left.emplace_back(call);
  }
  const absl::Status reason = absl::UnavailableError(absl::StrCat(address_, " is shutting down"));
  for (const ContextRef& call : left) CallOf(call).Abandon(reason);
  if (away_.load() != 0) {
    // Callers elsewhere that have just been told: they come once more to our loops for the status.
    std::unique_lock lock(mutex_);
    (void)idle_.wait_for(lock, std::chrono::seconds(1), [this] { return away_.load() == 0; });
    gone_ = true;
  }
  return left.size();
}

// ---- LocalChannel ---------------------------------------------------------------------------

LocalChannel::LocalChannel(std::shared_ptr<LocalEndpoint> endpoint)
    : endpoint_(std::move(endpoint)) {}

LocalChannel::LocalChannel(const HandlerRegistry& handlers)
    : endpoint_(std::make_shared<LocalEndpoint>(handlers)) {}

ConnectionState LocalChannel::state() const noexcept {
  if (closed_.load(std::memory_order_acquire)) return ConnectionState::kShutdown;
  return endpoint_->open() ? ConnectionState::kReady : ConnectionState::kTransientFailure;
}

namespace {
absl::Status ChannelClosed(const std::string& target) {
  return absl::UnavailableError(absl::StrCat("the channel to ", target, " is closed"));
}
}  // namespace

Task<void> LocalChannel::Unary(OutgoingCall& call, const Message& request, Message& response) {
  if (closed_.load(std::memory_order_acquire)) [[unlikely]] {
    return internal::RefusedCall(ChannelClosed(target()));
  }
  return internal::CallLocally(endpoint_, call, request, response);
}

Task<void> LocalChannel::StartUnary(OutgoingCall& call, const Message& request, Message& response) {
  if (closed_.load(std::memory_order_acquire)) [[unlikely]] {
    return internal::RefusedCall(ChannelClosed(target()));
  }
  return internal::StartLocally(endpoint_, call, request, response);
}

std::unique_ptr<ClientStream> LocalChannel::Open(OutgoingCall& call) {
  if (closed_.load(std::memory_order_acquire)) [[unlikely]] {
    return internal::RefusedStream(ChannelClosed(target()));
  }
  return internal::OpenLocally(endpoint_, call);
}

std::shared_ptr<Channel> MakeLocalChannel(TransportHost& host) {
  return std::make_shared<LocalChannel>(std::make_shared<LocalEndpoint>(host));
}

namespace internal {

// Says where the call of a caller in SyncWait runs: on one of the host's loops, which go on until
// the holder lets go or the drain's grace is over. No loop: where the caller is.
class HomeTicket final {
 public:
  // Takes a reference only if the call is to run elsewhere: each costs two locked instructions.
  explicit HomeTicket(const std::shared_ptr<LocalEndpoint>& endpoint) {
    if (endpoint->host_ == nullptr) return;
    const Loop* const current = Loop::Current();
    // One program has one SyncLoop: where its name is says it all, without a look at the letters.
    if (current == nullptr || typeid(*current).name() != typeid(SyncLoop).name()) [[likely]] {
      return;
    }
    // Counted before the look at closed_: see Admit.
    endpoint->away_.fetch_add(1);
    endpoint_ = endpoint;
    if (endpoint_->closed_.load()) {
      Release();
    } else {
      home_ = &endpoint_->host_->loops().Pick();
    }
  }
  HomeTicket(HomeTicket&& other) noexcept = default;
  HomeTicket& operator=(HomeTicket&&) = delete;
  ~HomeTicket() { Release(); }

  [[nodiscard]] Loop* home() const noexcept { return home_; }
  // Calls fn(home), which may post there; not if the host has let its loops go, after the grace of
  // its drain.
  template <class Fn>
  bool AtHome(Fn fn) const {
    const std::scoped_lock lock(endpoint_->mutex_);
    if (endpoint_->gone_) return false;
    fn(*home_);
    return true;
  }

 private:
  void Release() noexcept {
    if (endpoint_ == nullptr) return;
    if (endpoint_->away_.fetch_sub(1) == 1 && endpoint_->closed_.load()) {
      const std::scoped_lock lock(endpoint_->mutex_);
      endpoint_->idle_.notify_all();
    }
    endpoint_.reset();
  }

  std::shared_ptr<LocalEndpoint> endpoint_;
  Loop* home_ = nullptr;
};

namespace {

// What a call that has ended brought.
[[nodiscard]] absl::Status EndCall(LocalCall& local, OutgoingCall& call, Message& response) {
  local.FillOutgoing(call);
  absl::Status status = local.status();
  if (status.ok()) status = local.TakeResponse(*call.method, response);
  if (local.ended()) local.ReleaseResponse();
  return status;
}

Task<void> WaitForCall(ContextRef ref, OutgoingCall& call, Message& response) {
  LocalCall& local = CallOf(ref);
  UnaryCall unary(local, call);
  co_await unary;
  absl::Status status = EndCall(local, call, response);
  if (!status.ok()) co_await Fail(std::move(status));
}

Task<void> StartHere(const std::shared_ptr<LocalEndpoint>& endpoint, OutgoingCall& call,
                     const Message& request, Message& response) {
  absl::Status status;
  ContextRef ref = LocalCall::Make(*endpoint, call, &status);
  if (ref) [[likely]] {
    LocalCall& local = CallOf(ref);
    const bool may_leave = call.deadline != kNoDeadline || call.cancel.source() != nullptr;
    local.set_may_leave(may_leave);
    local.SetRequest(request, call.owns_request, /*lend=*/!may_leave);
    local.StartUnary();
    if (!local.done()) {
      local.Keep(endpoint);
      return WaitForCall(std::move(ref), call, response);
    }
    status = EndCall(local, call, response);
  }
  if (!status.ok()) [[unlikely]] {
    return RefusedCall(std::move(status));
  }
  return Task<void>(nullptr);
}

Task<void> CallHere(std::shared_ptr<LocalEndpoint> endpoint, OutgoingCall& call,
                    const Message& request, Message& response) {
  Task<void> started = StartHere(endpoint, call, request, response);
  if (started) co_await std::move(started);
}

Task<void> CallAway(HomeTicket ticket, std::shared_ptr<LocalEndpoint> endpoint, OutgoingCall& call,
                    const Message& request, Message& response) {
  Loop& home = *ticket.home();
  JoinHandle<void> made = SpawnOn(home, CallHere(std::move(endpoint), call, request, response));
  absl::Status status = co_await AsStatusOr(std::move(made));
  if (!status.ok()) co_await Fail(std::move(status));
}

std::unique_ptr<ClientStream> OpenHere(const std::shared_ptr<LocalEndpoint>& endpoint,
                                       OutgoingCall& call) {
  absl::Status status;
  ContextRef ref = LocalCall::Make(*endpoint, call, &status);
  if (!ref) return RefusedStream(std::move(status));
  CallOf(ref).Keep(endpoint);
  CallOf(ref).MakeStreams();
  return std::make_unique<LocalStream>(std::move(ref), call);
}

// A stream whose every operation runs on its home loop, which opens it at the first.
class AwayStream final : public ClientStream {
 public:
  AwayStream(HomeTicket ticket, std::shared_ptr<LocalEndpoint> endpoint, OutgoingCall& call)
      : ticket_(std::move(ticket)),
        outgoing_(call),
        state_(std::make_shared<State>(std::move(endpoint), call)),
        on_cancel_(
            call.cancel,
            [](void* self) noexcept {
              auto* const stream = static_cast<AwayStream*>(self);
              stream->Cancel(stream->outgoing_.cancel.reason());
            },
            this) {}
  ~AwayStream() override {
    on_cancel_.Disarm();
    Cancel(absl::CancelledError("the caller dropped the stream"));
    // It goes where it was opened, after the operations that are under way there.
    ticket_.AtHome([this](Loop& home) {
      home.Post([state = std::move(state_)]() mutable { state->stream.reset(); });
    });
  }

  Task<bool> Write(const Message& message) override {
    std::optional<JoinHandle<bool>> written =
        AtHome<bool>(WriteThere(state_, &const_cast<Message&>(message), /*may_move=*/false));
    if (!written) co_return false;
    co_return co_await *std::move(written);
  }
  Task<bool> WriteMoved(Message& message) override {
    std::optional<JoinHandle<bool>> written =
        AtHome<bool>(WriteThere(state_, &message, /*may_move=*/true));
    if (!written) co_return false;
    co_return co_await *std::move(written);
  }
  Task<void> WritesDone() override {
    std::optional<JoinHandle<void>> done = AtHome<void>(WritesDoneThere(state_));
    if (done) co_await *std::move(done);
  }
  Task<bool> Read(Message& into) override {
    std::optional<JoinHandle<bool>> read = AtHome<bool>(ReadThere(state_, &into));
    if (!read) co_return false;
    co_return co_await *std::move(read);
  }
  Task<absl::Status> Finish() override {
    std::optional<JoinHandle<absl::Status>> finish = AtHome<absl::Status>(FinishThere(state_));
    if (!finish) {
      co_return absl::UnavailableError(absl::StrCat(state_->endpoint->address(), " has shut down"));
    }
    absl::Status status = co_await *std::move(finish);
    outgoing_.headers = std::move(state_->call.headers);
    outgoing_.trailers = std::move(state_->call.trailers);
    outgoing_.peer = std::move(state_->call.peer);
    co_return status;
  }
  void Cancel(absl::Status reason) noexcept override {
    if (reason.ok()) reason = absl::CancelledError("the caller cancelled the call");
    state_->cancel.Cancel(std::move(reason));
  }

 private:
  // Outlives the stream that the caller holds, with a copy of the call, since the caller's goes.
  struct State {
    State(std::shared_ptr<LocalEndpoint> e, OutgoingCall& outgoing)
        : endpoint(std::move(e)), call(*outgoing.method) {
      call.deadline = outgoing.deadline;
      call.cancel = cancel.token();
      call.metadata = std::move(outgoing.metadata);
      call.owns_request = outgoing.owns_request;
      call.origin = outgoing.origin;
    }
    ClientStream& Opened() {
      if (stream == nullptr) stream = OpenHere(endpoint, call);
      return *stream;
    }
    const std::shared_ptr<LocalEndpoint> endpoint;
    CancelSource cancel;
    OutgoingCall call;
    std::unique_ptr<ClientStream> stream;  // the home loop's; goes before what it refers to
  };

  static Task<bool> WriteThere(std::shared_ptr<State> state, Message* message, bool may_move) {
    ClientStream& stream = state->Opened();
    Task<bool> write = may_move ? stream.WriteMoved(*message) : stream.Write(*message);
    co_return co_await std::move(write);
  }
  static Task<void> WritesDoneThere(std::shared_ptr<State> state) {
    Task<void> done = state->Opened().WritesDone();
    co_await std::move(done);
  }
  static Task<bool> ReadThere(std::shared_ptr<State> state, Message* into) {
    Task<bool> read = state->Opened().Read(*into);
    co_return co_await std::move(read);
  }
  static Task<absl::Status> FinishThere(std::shared_ptr<State> state) {
    Task<absl::Status> finish = state->Opened().Finish();
    absl::Status status = co_await std::move(finish);
    co_return status;
  }
  template <class T>
  std::optional<JoinHandle<T>> AtHome(Task<T> task) {
    std::optional<JoinHandle<T>> handle;
    ticket_.AtHome([&](Loop& home) { handle.emplace(SpawnOn(home, std::move(task))); });
    return handle;
  }

  const HomeTicket ticket_;
  OutgoingCall& outgoing_;
  std::shared_ptr<State> state_;
  CancelCallback on_cancel_;
};

}  // namespace

Task<void> CallLocally(std::shared_ptr<LocalEndpoint> endpoint, OutgoingCall& call,
                       const Message& request, Message& response) {
  HomeTicket ticket(endpoint);
  if (ticket.home() == nullptr) [[likely]] {
    return CallHere(std::move(endpoint), call, request, response);
  }
  return CallAway(std::move(ticket), std::move(endpoint), call, request, response);
}

Task<void> StartLocally(const std::shared_ptr<LocalEndpoint>& endpoint, OutgoingCall& call,
                        const Message& request, Message& response) {
  HomeTicket ticket(endpoint);
  if (ticket.home() == nullptr) [[likely]] {
    return StartHere(endpoint, call, request, response);
  }
  return CallAway(std::move(ticket), endpoint, call, request, response);
}

std::unique_ptr<ClientStream> OpenLocally(const std::shared_ptr<LocalEndpoint>& endpoint,
                                          OutgoingCall& call) {
  HomeTicket ticket(endpoint);
  if (ticket.home() == nullptr) [[likely]] {
    return OpenHere(endpoint, call);
  }
  return std::make_unique<AwayStream>(std::move(ticket), endpoint, call);
}

Task<void> RefusedCall(absl::Status status) { co_await Fail(std::move(status)); }

std::unique_ptr<ClientStream> RefusedStream(absl::Status status) {
  return std::make_unique<FailedStream>(std::move(status));
}

}  // namespace internal

}  // namespace rookery
