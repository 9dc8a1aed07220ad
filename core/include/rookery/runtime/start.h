// Start and RunIn: how the framework itself runs tasks.
//
//   rookery::internal::Start(task_, context, this, [](void* self, auto& promise) noexcept {
//     static_cast<Call*>(self)->Finish(promise);       // may destroy the task
//   });
//   Order order = co_await rookery::RunIn(std::move(context), Load(id));
//
// Adapters start the outermost task of a call with Start: it costs no frame of its own. Users want
// Spawn (spawn.h), WithTimeout (sleep.h) or Cls::Run instead.
#ifndef ROOKERY_RUNTIME_START_H_
#define ROOKERY_RUNTIME_START_H_

#include <coroutine>
#include <type_traits>
#include <utility>

#include "rookery/runtime/await.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/task.h"

namespace rookery {

namespace internal {

// Runs `task` on this thread, in `context` (may be null), until it first suspends. When it has
// ended, on whichever thread that is (before Start returns, possibly), done(argument, promise) is
// called: a lambda without captures, which takes the result from the promise. The caller keeps the
// task, which must live until then; `done` may destroy it. The caller keeps the context alive, too.
template <class T, class Done>
  requires std::is_nothrow_invocable_v<Done, void*, TaskPromise<T>&>
void Start(const Task<T>& task, Context* context, void* argument, Done /*done*/) noexcept {
  static_assert(std::is_empty_v<Done> && std::is_default_constructible_v<Done>,
                "Start: `done` must be a lambda without captures; hand it what "
                "it needs as `argument`");
  const auto handle = task.handle();
  handle.promise().set_continuation(
      [](void* arg, TaskPromiseBase& promise) noexcept {
        Done{}(arg, static_cast<TaskPromise<T>&>(promise));
      },
      argument);
  Context* const outer = std::exchange(tls_context, context);
  StartEntry* const starting = std::exchange(tls_starting, nullptr);
  handle.resume();
  tls_starting = starting;
  tls_context = outer;
}

// Starts a coroutine in another context; what it leaves current when it suspends is put back.
inline bool StartNestedIn(Context* context, std::coroutine_handle<> handle) noexcept {
  Context* const outer = std::exchange(tls_context, context);
  const bool suspended = StartNested(handle);
  tls_context = outer;
  return suspended;
}

// Awaits the end of a task that stays where it is, in another context, and takes nothing from it.
template <class T>
class CompletionIn final : public NativeAwaitable {
 public:
  CompletionIn(Context* context, const Task<T>& task) noexcept
      : handle_(task.handle()), context_(context) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> parent) noexcept {
    outer_ = tls_context;
    handle_.promise().set_continuation(parent);
    return StartNestedIn(context_, handle_);
  }
  TaskPromise<T>& await_resume() const noexcept {
    tls_context = outer_;
    return handle_.promise();
  }

 private:
  std::coroutine_handle<TaskPromise<T>> handle_;
  Context* context_;
  Context* outer_ = nullptr;
};

template <class T>
class [[nodiscard]] RunInAwaitable final : public NativeAwaitable {
 public:
  RunInAwaitable(ContextRef context, Task<T> task) noexcept
      : context_(std::move(context)), task_(std::move(task)) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> parent) noexcept {
    outer_ = tls_context;
    task_.handle().promise().set_continuation(parent);
    return StartNestedIn(context_.get(), task_.handle());
  }
  T await_resume() {
    tls_context = outer_;
    return task_.handle().promise().Take();
  }

 private:
  ContextRef context_;
  Task<T> task_;
  Context* outer_ = nullptr;
};

}  // namespace internal

// Awaits `task` with `context` current inside it; afterwards, whatever the outcome, the awaiting
// coroutine has its own context back.
template <class T>
[[nodiscard]] internal::RunInAwaitable<T> RunIn(ContextRef context, Task<T> task) noexcept {
  return internal::RunInAwaitable<T>(std::move(context), std::move(task));
}

}  // namespace rookery

#endif  // ROOKERY_RUNTIME_START_H_
