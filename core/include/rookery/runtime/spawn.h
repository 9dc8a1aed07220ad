// Spawn: runs a task beside the present one, in the same context.
//
//   rookery::JoinHandle<Report> report = rookery::Spawn(MakeReport(order));   // runs from here on
//   co_await Notify(order);
//   Report made = co_await std::move(report);         // its value, or throws its failure
//   rookery::SpawnDetached(audit.Record(order));      // ends even if this call is cancelled
//
// Compared with WhenAll (when.h): a spawned task is not tied to the code that spawned it, so it
// must own what it touches: pass parameters by value. Prefer WhenAll where all are to be awaited
// anyway.
#ifndef ROOKERY_RUNTIME_SPAWN_H_
#define ROOKERY_RUNTIME_SPAWN_H_

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <utility>

#include "rookery/runtime/await.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/frame.h"
#include "rookery/runtime/hooks.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/start.h"
#include "rookery/runtime/task.h"

namespace rookery {

namespace internal {

// What a spawned task and its handle share, whatever T is.
class SpawnStateBase : public FrameBase, public LoopWork {
 public:
  [[nodiscard]] bool done() const noexcept {
    return waiter_.load(std::memory_order_acquire) == kDone;
  }
  // Whether `waiter` will be woken; false: it is done already.
  [[nodiscard]] bool AddWaiter(LeafAwaiter* waiter) noexcept {
    std::uintptr_t expected = 0;
    return waiter_.compare_exchange_strong(expected, reinterpret_cast<std::uintptr_t>(waiter),
                                           std::memory_order_acq_rel);
  }
  // Whether `waiter` will not be woken; false: it has been, or is about to be.
  [[nodiscard]] bool RemoveWaiter(LeafAwaiter* waiter) noexcept {
    auto expected = reinterpret_cast<std::uintptr_t>(waiter);
    return waiter_.compare_exchange_strong(expected, 0, std::memory_order_acq_rel);
  }
  void Unref() noexcept {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) Destroy();
  }
  [[nodiscard]] Context* context() const noexcept { return context_.get(); }

 protected:
  SpawnStateBase(ContextRef context, Run start) noexcept
      : LoopWork(start), context_(std::move(context)) {}
  virtual ~SpawnStateBase() = default;
  // Tells the waiter, and drops the task's own reference.
  void Done() noexcept;
  // Logs a failure that nobody took.
  void ReportUnlessTaken(TaskPromiseBase& promise) const noexcept;

  bool taken_ = false;

 private:
  virtual void Destroy() noexcept = 0;
  static constexpr std::uintptr_t kDone = 1;
  std::atomic<std::uint32_t> refs_{2};     // the task's and the handle's
  std::atomic<std::uintptr_t> waiter_{0};  // 0, a LeafAwaiter, or kDone
  ContextRef context_;
};

template <class T>
class SpawnState final : public SpawnStateBase {
 public:
  SpawnState(Task<T> task, ContextRef context) noexcept
      : SpawnStateBase(
            std::move(context),
            [](LoopWork* self) noexcept { static_cast<SpawnState*>(self)->StartHere(); }),
        task_(std::move(task)) {}
  void StartHere() noexcept {
    Start(task_, context(), this,
          [](void* self, TaskPromise<T>&) noexcept { static_cast<SpawnState*>(self)->Done(); });
  }
  [[nodiscard]] TaskPromise<T>& Take() noexcept {
    taken_ = true;
    return task_.handle().promise();
  }

 private:
  void Destroy() noexcept override {
    ReportUnlessTaken(task_.handle().promise());
    const std::unique_ptr<SpawnState> self(this);
  }
  Task<T> task_;
};

}  // namespace internal

// The other end of a spawned task. Awaiting it (once, as an rvalue) joins the task; dropping it
// lets the task go on by itself, and its failure, if nobody takes it, goes to the log.
template <class T>
class [[nodiscard]] JoinHandle final : public internal::NativeAwaitable {
 public:
  explicit JoinHandle(internal::SpawnState<T>* state) noexcept : state_(state) {}
  JoinHandle(JoinHandle&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  JoinHandle& operator=(JoinHandle&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~JoinHandle() {
    if (state_ != nullptr) state_->Unref();
  }

  // Whether the task has ended. Any thread.
  [[nodiscard]] bool done() const noexcept { return state_->done(); }
  // Lets go, as the destructor does.
  void Detach() && noexcept { std::exchange(state_, nullptr)->Unref(); }

  class Awaiter : public LeafAwaiter {
   public:
    explicit Awaiter(JoinHandle handle) noexcept : handle_(std::move(handle)) {}
    bool await_ready() const noexcept { return handle_.done(); }
    bool await_suspend(std::coroutine_handle<> handle) noexcept {
      Suspend(handle);
      return handle_.state_->AddWaiter(this);
    }
    T await_resume() {
      Resumed();
      return handle_.state_->Take().Take();
    }

   protected:
    JoinHandle handle_;
  };
  Awaiter operator co_await() && noexcept { return Awaiter(std::move(*this)); }
  void operator co_await() & =
      delete;  // A handle is awaited as an rvalue: co_await std::move(handle).

  // For the framework.
  [[nodiscard]] internal::SpawnState<T>* state() const noexcept { return state_; }

  // See AsStatusOr(JoinHandle).
  class StatusOrAwaiter final : public Awaiter {
   public:
    using Awaiter::Awaiter;
    StatusOrOf<T> await_resume() noexcept {
      this->Resumed();
      return this->handle_.state_->Take().TakeStatusOr();
    }
  };

 private:
  internal::SpawnState<T>* state_;
};

// Joins like `co_await std::move(handle)`, but never throws.
template <class T>
[[nodiscard]] typename JoinHandle<T>::StatusOrAwaiter AsStatusOr(JoinHandle<T> handle) noexcept {
  return typename JoinHandle<T>::StatusOrAwaiter(std::move(handle));
}

namespace internal {

template <class T>
[[nodiscard]] JoinHandle<T> NewSpawn(ContextRef context, Task<T> task) {
  return JoinHandle<T>(
      std::make_unique<SpawnState<T>>(std::move(task), std::move(context)).release());
}
template <class T>
JoinHandle<T> SpawnIn(ContextRef context, Task<T> task) {
  JoinHandle<T> handle = NewSpawn(std::move(context), std::move(task));
  handle.state()->StartHere();
  return handle;
}

}  // namespace internal

// Starts `task` on this thread at once, until it first suspends; then returns. The task has the
// current context, and keeps it alive: the call's deadline and cancellation are its own.
template <class T>
JoinHandle<T> Spawn(Task<T> task) {
  return internal::SpawnIn(ContextRef(Context::Current()), std::move(task));
}

// Starts `task` on another loop (or later on this one). It has the current context; its values are
// then touched by that loop's thread, so the spawning side leaves them alone until it has joined.
template <class T>
JoinHandle<T> SpawnOn(Loop& loop, Task<T> task) {
  JoinHandle<T> handle = internal::NewSpawn(ContextRef(Context::Current()), std::move(task));
  loop.Post(static_cast<LoopWork*>(handle.state()));
  return handle;
}

// Starts `task` as Spawn does, but out of reach of the call's deadline and cancellation: for
// clean-ups and compensations that must end although the caller has gone. It has a copy of the
// context's values, and the call itself stays alive until it ends. A failure goes to the log.
template <class T>
void SpawnDetached(Task<T> task) {
  internal::SpawnIn(ContextRef::Adopt(Context::NewDetached(Context::Current())), std::move(task))
      .Detach();
}

}  // namespace rookery

#endif  // ROOKERY_RUNTIME_SPAWN_H_
