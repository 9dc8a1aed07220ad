#include "pipeline/scoped_handler.h"

#include <coroutine>
#include <limits>
#include <utility>

#include "di/scope_store.h"
#include "rookery/runtime/await.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/rpc_exception.h"

namespace rookery::internal {
namespace {

using google::protobuf::Message;

constexpr std::ptrdiff_t kNoOffset = std::numeric_limits<std::ptrdiff_t>::min();

// Users' constructors and factories run in the call's context, and under the method's name.
class [[nodiscard]] MakingScope final {
 public:
  explicit MakingScope(CallContext& call) noexcept
      : context_(&call), running_(call.method().full_name) {}

 private:
  ContextScope context_;
  RunningScope running_;
};

// Awaits a task in the call's context; whoever started the awaiting coroutine finds its own again.
template <class T>
class MakeInCall final : public NativeAwaitable {
 public:
  MakeInCall(CallContext& call, const Task<T>& task) noexcept
      : call_(&call), handle_(task.handle()) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> parent) noexcept {
    outer_ = Context::Current();
    handle_.promise().set_continuation(parent);
    const MakingScope scope(*call_);
    return StartNested(handle_);
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

// What a call failed with before it began.
struct BrokenCall {
  absl::Status status;
  std::exception_ptr error;

  static absl::Status Tell(void* self, ExecutionContext& /*context*/) {
    auto* const broken = static_cast<BrokenCall*>(self);
    if (broken->error != nullptr) std::rethrow_exception(broken->error);
    return broken->status;
  }
};

std::shared_ptr<const Container::Plan> PlanFor(const ScopedPlan& plan, Container& container) {
  // Filters first: they are to hear of it if what comes after them cannot be made.
  std::vector<Container::Id> nodes;
  for (const ScopedPlan::Patch& patch : plan.patches) {
    if (patch.list == ScopedPlan::List::kFilters) nodes.push_back(patch.node);
  }
  for (const ScopedPlan::Patch& patch : plan.patches) {
    if (patch.list != ScopedPlan::List::kFilters) nodes.push_back(patch.node);
  }
  if (plan.controller.has_value()) nodes.push_back(*plan.controller);
  return container.MakePlan(nodes);
}

const BaggageAllowList& AcceptNothing() {
  static const BaggageAllowList nothing;
  return nothing;
}

}  // namespace

// One call's pipeline, or one loop's.
struct ScopedHandler::Filled {
  Filled(HandlerPlan plan, BrokenCall failure)
      : broken(std::move(failure)), handler(WithGuard(std::move(plan), &broken)) {}
  explicit Filled(HandlerPlan plan) : handler(std::move(plan)) {}

  static HandlerPlan WithGuard(HandlerPlan plan, BrokenCall* broken) {
    GuardFunction tell;
    tell.status = &BrokenCall::Tell;
    plan.guards.push_back({tell, broken});
    return plan;
  }

  BrokenCall broken;
  // The instances that the handler points at, for as long as it is kept.
  std::vector<std::shared_ptr<void>> instances;
  CompiledHandler handler;
};

ScopedHandler::ScopedHandler(ScopedPlan plan, Container& container)
    : Handler(&plan.plan.method->descriptor()),
      plan_(std::move(plan)),
      container_(container),
      make_(PlanFor(plan_, container)),
      per_loop_alone_(make_->per_loop && !make_->durable && !make_->per_call),
      offset_(kNoOffset) {}

void ScopedHandler::CallStarted(CallContext& call) const noexcept {
  plan_.plan.stats->Started(call);
}

void ScopedHandler::CallEnded(CallContext& call, absl::StatusCode code) const noexcept {
  plan_.plan.stats->Ended(call, code);
}

void* ScopedHandler::ServiceOf(void* controller) const {
  const std::ptrdiff_t known = offset_.load(std::memory_order_relaxed);
  if (known != kNoOffset) return static_cast<char*>(controller) + known;
  void* service = nullptr;
  if (!plan_.cast(plan_.type, controller, &service)) return nullptr;
  offset_.store(static_cast<char*>(service) - static_cast<char*>(controller),
                std::memory_order_relaxed);
  return service;
}

std::shared_ptr<ScopedHandler::Filled> ScopedHandler::Fill(const Container::Scopes& scopes) const {
  HandlerPlan plan = plan_.plan;
  // Done before anything was made, which may look at it.
  plan.accept = &AcceptNothing();
  std::vector<std::shared_ptr<void>> instances;
  const auto instance = [&](Container::Id node) {
    instances.push_back(container_.InstanceIn(node, scopes));
    return instances.back().get();
  };
  for (const ScopedPlan::Patch& patch : plan_.patches) {
    void* const made = instance(patch.node);
    switch (patch.list) {
      case ScopedPlan::List::kGuards:
        plan.guards[patch.index].instance = made;
        break;
      case ScopedPlan::List::kInterceptors:
        plan.interceptors[patch.index].instance = made;
        break;
      case ScopedPlan::List::kPipes:
        plan.pipes[patch.index].instance = made;
        break;
      case ScopedPlan::List::kFilters:
        plan.filters[patch.index].instance = made;
        break;
    }
  }
  if (plan_.controller.has_value()) plan.service = ServiceOf(instance(*plan_.controller));
  if (!per_loop_alone_) {
    // The hooks have run: see CallScoped.
    plan.guards.erase(plan.guards.begin(),
                      plan.guards.begin() + static_cast<std::ptrdiff_t>(plan.hooks));
    plan.hooks = 0;
  }
  auto filled = std::make_shared<Filled>(std::move(plan));
  filled->instances = std::move(instances);
  return filled;
}

std::shared_ptr<ScopedHandler::Filled> ScopedHandler::Broken(const Container::Scopes& scopes,
                                                             absl::Status status,
                                                             std::exception_ptr error) const {
  HandlerPlan plan;
  plan.method = plan_.plan.method;
  plan.stats = plan_.plan.stats;
  plan.accept = &AcceptNothing();
  std::vector<std::shared_ptr<void>> instances;
  for (std::size_t i = 0; i < plan_.plan.filters.size(); ++i) {
    Stage<FilterFunction> filter = plan_.plan.filters[i];
    for (const ScopedPlan::Patch& patch : plan_.patches) {
      if (patch.list != ScopedPlan::List::kFilters || patch.index != i) continue;
      instances.push_back(container_.MadeIn(patch.node, scopes));
      filter.instance = instances.back().get();
    }
    if (filter.instance != nullptr) plan.filters.push_back(filter);
  }
  BrokenCall broken;
  broken.status = std::move(status);
  broken.error = std::move(error);
  auto filled = std::make_shared<Filled>(std::move(plan), std::move(broken));
  filled->instances = std::move(instances);
  return filled;
}

std::shared_ptr<ScopedHandler::Filled> ScopedHandler::OfThisLoop() const {
  if (!per_loop_alone_ || Loop::Current() == nullptr) return nullptr;
  const Container::Scopes scopes = container_.Enter(*make_, nullptr);
  return std::static_pointer_cast<Filled>(scopes.loop->Attached(this));
}

Task<Response> ScopedHandler::Call(CallContext& call, Request& request) const {
  call.set_method(&descriptor());
  if (!plan_.plan.accept->empty()) AdoptBaggage(call, plan_.plan);
  // Kept by the loop's store, for as long as the application.
  if (const std::shared_ptr<Filled> known = OfThisLoop()) {
    return known->handler.Call(call, request);
  }
  return CallScoped(call, request);
}

Task<absl::Status> ScopedHandler::RunHooks(CallContext& call, Request& request) const {
  ExecutionContext context(call, *plan_.plan.method, request);
  for (std::size_t i = 0; i < plan_.plan.hooks; ++i) {
    const Stage<GuardFunction>& hook = plan_.plan.guards[i];
    absl::Status status;
    if (hook.function.status != nullptr) {
      status = hook.function.status(hook.instance, context);
    } else {
      Task<absl::Status> later = hook.function.later_status(hook.instance, context);
      status = co_await std::move(later);
    }
    if (!status.ok()) co_return std::move(status);
  }
  co_return absl::OkStatus();
}

Task<Response> ScopedHandler::CallScoped(CallContext& call, Request& request) const {
  Container::Scopes scopes;
  absl::Status status;
  std::exception_ptr error;
  bool made = false;
  // What there is one of per loop is made for no call: there the hooks run with the guards.
  if (plan_.plan.hooks != 0 && !per_loop_alone_) {
    Task<absl::Status> hooks = RunHooks(call, request);
    TaskPromise<absl::Status>& done = co_await MakeInCall<absl::Status>(call, hooks);
    if (done.outcome() == Outcome::kValue) status = std::move(done.value());
    if (done.outcome() == Outcome::kStatus) status = std::move(done.status());
    if (done.outcome() == Outcome::kException) error = done.exception();
  }
  if (status.ok() && error == nullptr) try {
      const MakingScope scope(call);
      std::shared_ptr<ScopeStore> store = per_loop_alone_ ? nullptr : StoreOf(call);
      scopes = container_.Enter(*make_, std::move(store));
      made = container_.TryMake(*make_, scopes);
    } catch (...) {
      error = std::current_exception();
    }
  if (!made && status.ok() && error == nullptr) {
    Task<void> make = container_.Make(make_, scopes);
    TaskPromise<void>& done = co_await MakeInCall<void>(call, make);
    if (done.outcome() == Outcome::kStatus) status = std::move(done.status());
    if (done.outcome() == Outcome::kException) error = done.exception();
  }
  std::shared_ptr<Filled> filled;
  if (status.ok() && error == nullptr) {
    filled = Fill(scopes);
    if (per_loop_alone_) scopes.loop->Attach(this, filled);
  } else {
    filled = Broken(scopes, std::move(status), std::move(error));
  }
  // The rest of a stream is asked for later.
  const bool streams = HasResponseStream(descriptor().kind);
  if (streams) StoreOf(call)->Attach(this, filled);
  Task<Response> task = filled->handler.Call(call, request);
  absl::StatusOr<Response> response = co_await AsStatusOr(std::move(task));
  if (!response.ok()) co_return std::move(response).status();
  co_return *std::move(response);
}

Task<Message*> ScopedHandler::Next(CallContext& call, Response& response) const {
  std::shared_ptr<Filled> filled = std::static_pointer_cast<Filled>(StoreOf(call)->Attached(this));
  if (filled == nullptr) filled = OfThisLoop();
  // Kept by the call's store, or the loop's.
  return filled->handler.Next(call, response);
}

}  // namespace rookery::internal
