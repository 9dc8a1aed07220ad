#include "pipeline/compiled_handler.h"

#include <algorithm>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <optional>
#include <utility>

#include <google/protobuf/descriptor.h>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "rookery/platform/log.h"
#include "rookery/rpc/status.h"
#include "rookery/runtime/await.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/task.h"
#include "rpc/message_type.h"
#include "runtime/abseil_strings.h"

namespace rookery::internal {
namespace {

using google::protobuf::Message;

// Users' code runs within one of these, or within RunInCall: in the call's context, and under the
// method's name for the watchdog.
class [[nodiscard]] CallScope final {
 public:
  explicit CallScope(CallContext& call) noexcept
      : context_(&call), running_(call.method().full_name) {}

 private:
  ContextScope context_;
  RunningScope running_;
};

// Runs a coroutine to its end, or its next value, as in a CallScope.
[[nodiscard]] bool StartInCall(CallContext& call, std::coroutine_handle<> handle) noexcept {
  const CallScope scope(call);
  return StartNested(handle);
}

// Awaits a task that stays where it is, and takes nothing from it.
template <class T>
class RunInCall final : public NativeAwaitable {
 public:
  RunInCall(CallContext& call, const Task<T>& task) noexcept
      : call_(&call), handle_(task.handle()) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> parent) noexcept {
    outer_ = Context::Current();
    handle_.promise().set_continuation(parent);
    return StartInCall(*call_, handle_);
  }
  TaskPromise<T>& await_resume() const noexcept {
    tls_context = outer_;
    return handle_.promise();
  }

 private:
  CallContext* call_;
  std::coroutine_handle<TaskPromise<T>> handle_;
  Context* outer_ = nullptr;
};

// Runs a response's producer to its next value. A failure is left in the promise.
class AdvanceInCall final : public NativeAwaitable {
 public:
  AdvanceInCall(CallContext& call, const Response& response) noexcept
      : call_(&call),
        handle_(ResponseAccess::frame(response)),
        promise_(ResponseAccess::promise(response)) {}
  bool await_ready() const noexcept { return promise_ == nullptr || promise_->finished(); }
  bool await_suspend(std::coroutine_handle<> parent) noexcept {
    outer_ = Context::Current();
    started_ = true;
    promise_->set_continuation(parent);
    return StartInCall(*call_, handle_);
  }
  void await_resume() const noexcept {
    if (started_) tls_context = outer_;
  }

 private:
  CallContext* call_;
  std::coroutine_handle<> handle_;
  StreamPromiseBase* promise_;
  Context* outer_ = nullptr;
  bool started_ = false;
};

// Runs, within one CallScope, what makes the task that it then awaits, if it makes one.
template <class Make>
class MakeAndRunInCall final : public NativeAwaitable {
 public:
  // `make` fills in *task, or leaves it empty. Both stay where they are.
  MakeAndRunInCall(CallContext& call, Task<Response>* task, Make* make) noexcept
      : call_(&call), task_(task), make_(make) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> parent) noexcept {
    outer_ = Context::Current();
    const CallScope scope(*call_);
    (*make_)();
    if (!*task_) return false;
    // The parent, and this with it, may go on elsewhere, and be gone, before the start returns.
    const auto handle = task_->handle();
    handle.promise().set_continuation(parent);
    return StartNested(handle);
  }
  void await_resume() const noexcept { tls_context = outer_; }

 private:
  CallContext* call_;
  Task<Response>* task_;
  Make* make_;
  Context* outer_ = nullptr;
};

// Calls what makes a task: it need not be a coroutine, and then runs users' code at once.
template <class T, class... P, class... A>
[[nodiscard]] Task<T> MakeInCall(CallContext& call, Task<T> (*make)(P...), A&&... arguments) {
  const CallScope scope(call);
  return make(std::forward<A>(arguments)...);
}

[[nodiscard]] Failure FailureOf(TaskPromiseBase& done) noexcept {
  if (done.outcome() == Outcome::kStatus) return Failure(std::move(done.status()));
  return Failure(done.exception());
}

[[nodiscard]] absl::Status Forbidden() { return absl::PermissionDeniedError("Forbidden resource"); }

// A fault of the program: ForPeer logs the text, and the peer gets INTERNAL without it.
[[nodiscard]] absl::Status Fault(const std::string& text) {
  absl::Status status = absl::InternalError("Internal error");
  status.SetPayload(kExceptionPayload, absl::Cord(text));
  return status;
}

class EmptyStream final : public MessageStream {
 public:
  Task<Message*> Next() override { co_return static_cast<Message*>(nullptr); }
};

// Runs a pipe that does not wait.
[[nodiscard]] absl::Status RunPipeAtOnce(const Stage<PipeFunction>& pipe, Message& message,
                                         const ArgumentMetadata& argument) {
  if (pipe.function.status != nullptr) {
    return pipe.function.status(pipe.instance, message, argument);
  }
  pipe.function.nothing(pipe.instance, message, argument);
  return absl::OkStatus();
}

[[nodiscard]] Message& MessageFor(const Stage<PipeFunction>& pipe, Request& request) {
  // Only a pipe that changes its message needs one that is the pipeline's own.
  return pipe.function.changes ? *request.Mutable() : const_cast<Message&>(*request.message());
}

}  // namespace

// The source of a request stream, with the pipes run on each message.
class CompiledHandler::PipedSource final : public MessageSource {
 public:
  PipedSource(const HandlerPlan& plan, MessageSource* inner) noexcept
      : plan_(plan), inner_(inner) {}

  Task<bool> Read(Message& into) override {
    Task<bool> read = inner_->Read(into);
    const bool more = co_await std::move(read);
    if (!more) co_return false;
    const ArgumentMetadata argument(*plan_.method, index_++);
    for (const Stage<PipeFunction>& pipe : plan_.pipes) {
      absl::Status status;
      if (pipe.function.later != nullptr) {
        Task<absl::Status> later = pipe.function.later(pipe.instance, into, argument);
        status = co_await std::move(later);
      } else {
        status = RunPipeAtOnce(pipe, into, argument);
      }
      if (!status.ok()) co_return std::move(status);
    }
    co_return true;
  }

 private:
  const HandlerPlan& plan_;
  MessageSource* inner_;
  std::uint64_t index_ = 0;
};

// What lives as long as a streaming call's response: an interceptor that wraps the stream may use
// the execution context until the stream's end, and filters are told of it.
struct CompiledHandler::StreamState {
  StreamState(const HandlerPlan& plan, CallContext& call, Request& request) noexcept
      : context(call, *plan.method, request), source(plan, request.source()) {}
  ExecutionContext context;
  PipedSource source;
  bool filtered = false;
};

// What a call with one message keeps beside its frame: nothing.
class CompiledHandler::MessageCall final {
 public:
  MessageCall(const HandlerPlan& plan, CallContext& call, Request& request) noexcept
      : context_(call, *plan.method, request) {}
  [[nodiscard]] ExecutionContext& context() noexcept { return context_; }
  void AttachTo(Response& /*response*/) noexcept {}

 private:
  ExecutionContext context_;
};

class CompiledHandler::StreamCall final {
 public:
  StreamCall(const HandlerPlan& plan, CallContext& call, Request& request)
      : state_(std::make_shared<StreamState>(plan, call, request)) {
    if (request.is_stream() && !plan.pipes.empty()) request.set_source(&state_->source);
  }
  [[nodiscard]] ExecutionContext& context() noexcept { return state_->context; }
  void AttachTo(Response& response) { ResponseAccess::Attach(response, std::move(state_)); }

 private:
  std::shared_ptr<StreamState> state_;
};

CompiledHandler::CompiledHandler(HandlerPlan plan)
    : Handler(&plan.method->descriptor()),
      plan_(std::move(plan)),
      interceptors_(plan_.interceptors.data()),
      interceptor_count_(plan_.interceptors.size()),
      direct_(plan_.guards.empty() && plan_.interceptors.empty() && plan_.pipes.empty() &&
              plan_.filters.empty()),
      streams_(HasRequestStream(descriptor().kind) || HasResponseStream(descriptor().kind) ||
               descriptor().batch),
      guards_at_once_(std::all_of(plan_.guards.begin(), plan_.guards.end(),
                                  [](const auto& guard) {
                                    return guard.function.yes_or_no != nullptr ||
                                           guard.function.status != nullptr;
                                  })),
      pipes_at_once_(std::none_of(plan_.pipes.begin(), plan_.pipes.end(),
                                  [](const auto& pipe) { return pipe.function.later; })) {}

void AdoptBaggage(CallContext& call, const HandlerPlan& plan) {
  const std::size_t left_out = AdoptInbound(call, *plan.accept);
  if (left_out == 0) [[likely]] {
    return;
  }
  // A caller who sends rubbish must not fill the log.
  if (!plan.stats->BadBaggage(call.transport(), left_out)) return;
  Logger::Default().Warn("baggage that cannot be read was left out",
                         {{"transport", call.transport()},
                          {"method", call.method().full_name},
                          {"peer", call.peer().address},
                          {"members", left_out}});
}

void CompiledHandler::CallStarted(CallContext& call) const noexcept { plan_.stats->Started(call); }

void CompiledHandler::CallEnded(CallContext& call, absl::StatusCode code) const noexcept {
  plan_.stats->Ended(call, code);
}

Task<Response> CompiledHandler::Call(CallContext& call, Request& request) const {
  call.set_method(&descriptor());
  if (!plan_.accept->empty()) AdoptBaggage(call, plan_);
  if (direct_) return CallDirect(call, request);
  return streams_ ? CallPiped<StreamCall>(call, request) : CallPiped<MessageCall>(call, request);
}

Task<Response> CompiledHandler::CallDirect(CallContext& call, Request& request) const {
  Task<Response> task =
      MakeInCall(call, descriptor().invoke, descriptor().closure, plan_.service, call, request);
  TaskPromise<Response>& done = co_await RunInCall<Response>(call, task);
  if (done.outcome() == Outcome::kValue) [[likely]] {
    co_return std::move(done.value());
  }
  const Failure failure = FailureOf(done);
  co_return ForPeer(failure.ToStatus());
}

bool CompiledHandler::RunGuardsAtOnce(ExecutionContext& context, absl::Status* refusal) const {
  for (const Stage<GuardFunction>& guard : plan_.guards) {
    if (guard.function.yes_or_no != nullptr) {
      if (guard.function.yes_or_no(guard.instance, context)) [[likely]] {
        continue;
      }
      *refusal = Forbidden();
    } else {
      *refusal = guard.function.status(guard.instance, context);
      if (refusal->ok()) [[likely]] {
        continue;
      }
    }
    return false;
  }
  return true;
}

Task<absl::Status> CompiledHandler::RunGuards(ExecutionContext& context) const {
  CallContext& call = context.call();
  for (const Stage<GuardFunction>& guard : plan_.guards) {
    bool yes = true;
    absl::Status refusal;
    if (guard.function.yes_or_no != nullptr) {
      const CallScope scope(call);
      yes = guard.function.yes_or_no(guard.instance, context);
    } else if (guard.function.status != nullptr) {
      const CallScope scope(call);
      refusal = guard.function.status(guard.instance, context);
    } else if (guard.function.later_yes_or_no != nullptr) {
      Task<bool> later = MakeInCall(call, guard.function.later_yes_or_no, guard.instance, context);
      TaskPromise<bool>& done = co_await RunInCall<bool>(call, later);
      if (done.outcome() == Outcome::kStatus) {
        refusal = std::move(done.status());
      } else {
        yes = done.Take();
      }
    } else {
      Task<absl::Status> later =
          MakeInCall(call, guard.function.later_status, guard.instance, context);
      TaskPromise<absl::Status>& done = co_await RunInCall<absl::Status>(call, later);
      refusal = done.Take();
    }
    if (!yes) refusal = Forbidden();
    if (!refusal.ok()) co_return std::move(refusal);
  }
  co_return absl::OkStatus();
}

Task<Response> CompiledHandler::Enter(ExecutionContext& context, absl::Status* refusal) const {
  Request& request = context.request();
  if (!plan_.interceptors.empty()) return Proceed(context, 0);
  if (request.is_stream() || plan_.pipes.empty()) return Invoke(context.call(), request);
  if (!pipes_at_once_) return PipeThenInvoke(context);
  *refusal = RunPipesAtOnce(request);
  if (!refusal->ok()) return Task<Response>(nullptr);
  return Invoke(context.call(), request);
}

template <class Kept>
Task<Response> CompiledHandler::CallPiped(CallContext& call, Request& request) const {
  Kept kept(plan_, call, request);
  ExecutionContext& context = kept.context();
  Response response;
  absl::Status refusal;
  std::optional<Failure> failure;
  Task<Response> rest(nullptr);
  if (!guards_at_once_) {
    Task<absl::Status> guards = RunGuards(context);
    TaskPromise<absl::Status>& done = co_await CompletionAwaitable<absl::Status>(guards);
    if (done.outcome() == Outcome::kValue) {
      refusal = std::move(done.value());
    } else {
      failure.emplace(FailureOf(done));
    }
  }
  if (refusal.ok() && !failure) {
    auto enter = [&]() noexcept {
      try {
        if (!guards_at_once_ || RunGuardsAtOnce(context, &refusal)) {
          rest = Enter(context, &refusal);
        }
      } catch (...) {
        failure.emplace(std::current_exception());
      }
    };
    MakeAndRunInCall run(call, &rest, &enter);
    co_await run;
  }
  if (rest) [[likely]] {
    TaskPromise<Response>& done = rest.handle().promise();
    if (done.outcome() == Outcome::kValue) [[likely]] {
      response = std::move(done.value());
      if (!plan_.interceptors.empty()) refusal = CheckResponse(response);
    } else {
      failure.emplace(FailureOf(done));
    }
  }
  if (!refusal.ok()) [[unlikely]] {
    failure.emplace(std::move(refusal));
  }
  if (failure) [[unlikely]] {
    Task<Response> recovered = Recover(context, *failure);
    TaskPromise<Response>& done = co_await CompletionAwaitable<Response>(recovered);
    if (done.outcome() == Outcome::kStatus) co_return std::move(done.status());
    response = done.Take();
  }
  kept.AttachTo(response);
  co_return std::move(response);
}

Task<Response> CompiledHandler::Recover(ExecutionContext& context, Failure& failure) const {
  if (plan_.filters.empty()) co_return ForPeer(failure.ToStatus());
  Task<FilterResult> filter = Filter(context, failure);
  TaskPromise<FilterResult>& done = co_await RunInCall<FilterResult>(context.call(), filter);
  FilterResult result = done.Take();
  Response response;
  if (result.response) {
    response = *std::move(result.response);
    result.status = CheckResponse(response);
  } else if (result.status.ok()) {
    if (HasResponseStream(descriptor().kind)) {
      response = Response(std::make_unique<EmptyStream>());
    } else if (descriptor().kind != MethodKind::kEvent) {
      result.status = Fault(absl::StrCat("an exception filter of ", Abs(descriptor().full_name),
                                         " gave OK where a reply is due; let it return a "
                                         "Response, or a status that is not OK"));
    }
  }
  if (!result.status.ok()) co_return ForPeer(result.status);
  co_return std::move(response);
}

Task<Response> CompiledHandler::ProceedFrom(const void* rest, ExecutionContext* context,
                                            std::size_t index) {
  return static_cast<const CompiledHandler*>(rest)->Proceed(*context, index);
}

Task<Response> CompiledHandler::Proceed(ExecutionContext& context, std::size_t index) const {
  if (index < interceptor_count_) {
    const Stage<InterceptorFunction>& interceptor = interceptors_[index];
    return interceptor.function(interceptor.instance, context,
                                rookery::Next(&ProceedFrom, this, &context, index + 1));
  }
  if (plan_.pipes.empty() || context.request().is_stream()) {
    return Invoke(context.call(), context.request());
  }
  return PipeThenInvoke(context);
}

Task<Response> CompiledHandler::PipeThenInvoke(ExecutionContext& context) const {
  Request& request = context.request();
  absl::Status status;
  if (pipes_at_once_) {
    status = RunPipesAtOnce(request);
  } else {
    Task<absl::Status> pipes = RunPipes(request);
    status = co_await std::move(pipes);
  }
  if (!status.ok()) co_return std::move(status);
  Task<Response> task = Invoke(context.call(), request);
  TaskPromise<Response>& done = co_await CompletionAwaitable<Response>(task);
  if (done.outcome() == Outcome::kStatus) co_return std::move(done.status());
  co_return done.Take();
}

Task<absl::Status> CompiledHandler::RunPipes(Request& request) const {
  const ArgumentMetadata argument(*plan_.method, 0);
  for (const Stage<PipeFunction>& pipe : plan_.pipes) {
    absl::Status status;
    if (pipe.function.later != nullptr) {
      Task<absl::Status> later =
          pipe.function.later(pipe.instance, MessageFor(pipe, request), argument);
      status = co_await std::move(later);
    } else {
      status = RunPipeAtOnce(pipe, MessageFor(pipe, request), argument);
    }
    if (!status.ok()) co_return std::move(status);
  }
  co_return absl::OkStatus();
}

absl::Status CompiledHandler::RunPipesAtOnce(Request& request) const {
  const ArgumentMetadata argument(*plan_.method, 0);
  for (const Stage<PipeFunction>& pipe : plan_.pipes) {
    absl::Status status = RunPipeAtOnce(pipe, MessageFor(pipe, request), argument);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

Task<FilterResult> CompiledHandler::Filter(ExecutionContext& context, Failure& failure) const {
  FilterResult result;
  bool caught = false;
  for (const Stage<FilterFunction>& filter : plan_.filters) {
    try {
      if (filter.function.catches(failure)) {
        caught = true;
        if (filter.function.later != nullptr) {
          Task<FilterResult> later = filter.function.later(filter.instance, failure, context);
          result = co_await std::move(later);
        } else {
          result = filter.function.handle(filter.instance, failure, context);
        }
      }
    } catch (...) {
      caught = true;
      result = FilterResult(StatusFromException(std::current_exception()));
    }
    if (caught) break;
  }
  if (!caught) result.status = failure.ToStatus();
  co_return std::move(result);
}

absl::Status CompiledHandler::CheckResponse(const Response& response) const {
  const MethodDescriptor& method = descriptor();
  if (method.kind == MethodKind::kEvent) return absl::OkStatus();
  if (HasResponseStream(method.kind)) {
    if (response.has_stream()) return absl::OkStatus();
    return Fault(absl::StrCat("an interceptor or filter of ", Abs(method.full_name),
                              " gave no stream where a stream is due: return "
                              "Response::Of(a Stream of its messages)"));
  }
  if (response.has_message() && SameType(*response.message(), method.response())) {
    return absl::OkStatus();
  }
  return Fault(absl::StrCat("an interceptor or filter of ", Abs(method.full_name), " gave ",
                            response.has_message()  ? response.message()->GetTypeName()
                            : response.has_stream() ? "a stream"
                                                    : "nothing",
                            " where a ", method.response().GetTypeName(), " is due"));
}

Task<Message*> CompiledHandler::Next(CallContext& call, Response& response) const {
  for (;;) {
    co_await AdvanceInCall(call, response);
    StreamPromiseBase* const promise = ResponseAccess::promise(response);
    if (promise == nullptr) co_return static_cast<Message*>(nullptr);
    if (promise->outcome() != Outcome::kStatus && promise->outcome() != Outcome::kException)
        [[likely]] {
      co_return ResponseAccess::Upcast(response, promise->current());
    }
    Failure failure = FailureOf(*promise);
    // The producer has ended; what it was given stays for the filter.
    std::shared_ptr<void> attachment = ResponseAccess::TakeAttachment(response);
    response = Response();
    auto* const state = static_cast<StreamState*>(attachment.get());
    if (state == nullptr || state->filtered || plan_.filters.empty()) {
      co_return ForPeer(failure.ToStatus());
    }
    state->filtered = true;
    Task<FilterResult> filter = Filter(state->context, failure);
    TaskPromise<FilterResult>& done = co_await RunInCall<FilterResult>(call, filter);
    FilterResult result = done.Take();
    if (result.response) {
      response = *std::move(result.response);
      result.status = CheckResponse(response);
    }
    if (!result.status.ok()) co_return ForPeer(result.status);
    ResponseAccess::Attach(response, std::move(attachment));
  }
}

// ---- events ---------------------------------------------------------------------------------

EventGroup::EventGroup(std::vector<const Handler*> handlers, MethodStats* stats)
    : Handler(&handlers.front()->descriptor()), handlers_(std::move(handlers)), stats_(stats) {}

Task<Response> EventGroup::Call(CallContext& call, Request& request) const {
  absl::Status first;
  for (const Handler* const handler : handlers_) {
    // Never owned: what one handler's pipes change is not the next one's business.
    Request view(request.message(), /*owned=*/false);
    Task<Response> task = handler->Call(call, view);
    absl::StatusOr<Response> response = co_await AsStatusOr(std::move(task));
    if (!response.ok() && first.ok()) first = std::move(response).status();
  }
  call.set_method(&descriptor());
  if (!first.ok()) co_return std::move(first);
  co_return Response();
}

Task<Message*> EventGroup::Next(CallContext& /*call*/, Response& /*response*/) const {
  co_return static_cast<Message*>(nullptr);
}

void EventGroup::CallStarted(CallContext& call) const noexcept { stats_->Started(call); }

void EventGroup::CallEnded(CallContext& call, absl::StatusCode code) const noexcept {
  stats_->Ended(call, code);
}

}  // namespace rookery::internal
