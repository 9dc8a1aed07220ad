// Time and cancellation inside coroutines: Sleep, WithTimeout, WithCancellation, Yield, ResumeOn.
//
//   co_await rookery::Sleep(std::chrono::milliseconds(20));    // fails if the call is cancelled
//   Order order = co_await rookery::WithTimeout(Load(id), std::chrono::seconds(1));
//   Order order = co_await rookery::AbandonAfter(LoadLegacy(id), std::chrono::seconds(1));
//   co_await rookery::Yield();                                 // let others of this loop run
//
// All need a Loop under the coroutine: a handler, a task in SyncWait and whatever was spawned there
// have one. Without one they throw std::logic_error.
#ifndef ROOKERY_RUNTIME_SLEEP_H_
#define ROOKERY_RUNTIME_SLEEP_H_

#include <atomic>
#include <chrono>
#include <coroutine>
#include <utility>

#include "absl/status/status.h"
#include "rookery/runtime/await.h"
#include "rookery/runtime/cancel.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/start.h"
#include "rookery/runtime/task.h"

namespace rookery {

namespace internal {

// This thread's loop; throws std::logic_error, naming `who`, if it has none.
[[nodiscard]] Loop& CurrentLoopFor(const char* who);
// Now, `duration` later on the loop's clock; saturates at kNoDeadline.
[[nodiscard]] Deadline DeadlineAfter(std::chrono::nanoseconds duration) noexcept;

class SleepAwaiter final : public LeafAwaiter {
 public:
  explicit SleepAwaiter(Deadline until) noexcept : until_(until) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> handle);
  void await_resume();

 private:
  struct Timer final : LoopTimer {
    explicit Timer(SleepAwaiter* owner) noexcept;
    SleepAwaiter* sleeper;
  };
  enum End : unsigned char { kNotYet, kTime, kCancelled };
  static void OnCancel(void* self) noexcept;
  // Whether the caller is the first to end the sleep, and so the one to wake it.
  bool EndAs(End end) noexcept {
    unsigned char expected = kNotYet;
    return end_.compare_exchange_strong(expected, end, std::memory_order_acq_rel);
  }

  Deadline until_;
  Timer timer_{this};
  CancelCallback on_cancel_;
  std::atomic<unsigned char> end_{kNotYet};
};

class YieldAwaiter final : public LeafAwaiter {
 public:
  // Null: the coroutine's own.
  explicit YieldAwaiter(Loop* target) noexcept : target_(target) {}
  bool await_ready() const noexcept { return target_ != nullptr && target_ == Loop::Current(); }
  void await_suspend(std::coroutine_handle<> handle);
  void await_resume() noexcept { Resumed(); }

 private:
  Loop* target_;
};

// A context below the current one that shares its values, and is cancelled at a deadline of its own
// by a timer of the current loop, or with a token.
class LimitedContext final {
 public:
  explicit LimitedContext(Deadline deadline);
  explicit LimitedContext(CancelToken token);
  ~LimitedContext() { Stop(); }
  LimitedContext(const LimitedContext&) = delete;
  LimitedContext& operator=(const LimitedContext&) = delete;

  [[nodiscard]] Context* get() const noexcept { return context_.get(); }
  // Brings the coroutine back to the loop that has the timer, if the task left it.
  [[nodiscard]] YieldAwaiter Home() const noexcept { return YieldAwaiter(loop_); }

 private:
  struct Timer final : LoopTimer {
    explicit Timer(LimitedContext* owner) noexcept;
    LimitedContext* limited;
  };
  void Stop() noexcept;
  ContextRef context_;
  CancelToken token_;
  Loop* loop_;
  Timer timer_{this};
  CancelCallback on_cancel_;
};

// Waits for a spawned task, but no longer than until `deadline` or the current context's
// cancellation.
class AbandonAwaiter final : public LeafAwaiter {
 public:
  AbandonAwaiter(SpawnStateBase* state, Deadline deadline) noexcept
      : state_(state), deadline_(deadline) {}
  bool await_ready() const noexcept { return state_->done(); }
  bool await_suspend(std::coroutine_handle<> handle);
  // OK if the task has ended; else why it was not waited for.
  absl::Status await_resume();

 private:
  struct Timer final : LoopTimer {
    explicit Timer(AbandonAwaiter* owner) noexcept;
    AbandonAwaiter* awaiter;
  };
  static void OnCancel(void* self) noexcept;

  SpawnStateBase* state_;
  Deadline deadline_;
  Timer timer_{this};
  CancelCallback on_cancel_;
  bool late_ = false;       // the loop's thread
  bool cancelled_ = false;  // written before the wake
};

// A context below the current one that shares its values and has an earlier deadline.
[[nodiscard]] ContextRef ContextWithDeadline(Deadline deadline);

}  // namespace internal

// Suspends the coroutine for `duration` (at once ready again if that is not positive, though others
// may run first). Fails with the context's reason as soon as it is cancelled.
[[nodiscard]] inline internal::SleepAwaiter Sleep(std::chrono::nanoseconds duration) noexcept {
  return internal::SleepAwaiter(internal::DeadlineAfter(duration));
}
// The same until a point in time; kNoDeadline sleeps until the context is cancelled.
[[nodiscard]] inline internal::SleepAwaiter SleepUntil(Deadline deadline) noexcept {
  return internal::SleepAwaiter(deadline);
}

// Lets whatever else is ready on this loop run first.
[[nodiscard]] inline internal::YieldAwaiter Yield() noexcept {
  return internal::YieldAwaiter(nullptr);
}
// Goes on on `loop`, which is the coroutine's own from then on.
[[nodiscard]] inline internal::YieldAwaiter ResumeOn(Loop& loop) noexcept {
  return internal::YieldAwaiter(&loop);
}

// Runs `task` with the deadline tightened: at that time its context is cancelled with
// DEADLINE_EXCEEDED, which whatever it waits for hears. Returns when the task has ended, with what
// it ended with; a task that does not listen is waited for. See AbandonAfter for those.
template <class T>
Task<T> WithDeadline(Task<T> task, Deadline deadline) {
  internal::LimitedContext limited(deadline);
  internal::TaskPromise<T>& done = co_await internal::CompletionIn<T>(limited.get(), task);
  co_await limited.Home();
  if (done.failed()) co_await done.TakeFailure();
  co_return done.Take();
}
template <class T>
Task<T> WithTimeout(Task<T> task, std::chrono::nanoseconds timeout) {
  return WithDeadline(std::move(task), internal::DeadlineAfter(timeout));
}

// Runs `task` so that it is cancelled with `token`, too, besides its own context.
template <class T>
Task<T> WithCancellation(Task<T> task, CancelToken token) {
  internal::LimitedContext limited(token);
  internal::TaskPromise<T>& done = co_await internal::CompletionIn<T>(limited.get(), task);
  co_await limited.Home();
  if (done.failed()) co_await done.TakeFailure();
  co_return done.Take();
}

// As WithTimeout, but answers at that time (or as soon as the current context is cancelled) whether
// or not `task` has ended: with DEADLINE_EXCEEDED (or the reason). The task's context is cancelled,
// too; if it does not listen it goes on by itself, and its result is dropped. So it must own all it
// touches.
template <class T>
Task<T> AbandonAfter(Task<T> task, std::chrono::nanoseconds timeout) {
  const Deadline deadline = internal::DeadlineAfter(timeout);
  JoinHandle<T> handle =
      internal::SpawnIn(internal::ContextWithDeadline(deadline), std::move(task));
  absl::Status waited = co_await internal::AbandonAwaiter(handle.state(), deadline);
  if (!waited.ok()) {
    handle.state()->context()->cancel_source().Cancel(waited);
    co_await Fail(std::move(waited));
  }
  internal::TaskPromise<T>& done = handle.state()->Take();
  if (done.failed()) co_await done.TakeFailure();
  co_return done.Take();
}

}  // namespace rookery

#endif  // ROOKERY_RUNTIME_SLEEP_H_
