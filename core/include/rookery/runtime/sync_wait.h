// SyncWait: runs a task from code that is no coroutine — main, a test — and gives its result.
//
//   int main() {
//     const Order order = rookery::SyncWait(client.Place(request));        // throws what it fails
//         with
//     absl::StatusOr<Order> same = rookery::SyncWaitStatus(client.Place(request));
//   }
//
// The calling thread is the task's Loop meanwhile: posts, timers and fds work inside, and what the
// task awaits resumes here. A task that never suspends costs little more than a call.
//
// Not inside a coroutine, nor in anything else that runs on a Loop: there, co_await the task. (The
// loop would have to wait for itself.) SyncWait throws std::logic_error then, SyncWaitStatus
// returns FAILED_PRECONDITION.
#ifndef ROOKERY_RUNTIME_SYNC_WAIT_H_
#define ROOKERY_RUNTIME_SYNC_WAIT_H_

#include "absl/status/status.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/start.h"
#include "rookery/runtime/task.h"

namespace rookery {

namespace internal {

class SyncLoop;

// Makes this thread a loop for the length of the scope.
class SyncWaiter final {
 public:
  // Why this thread cannot wait; OK if it can.
  [[nodiscard]] static absl::Status Check();

  // Throws std::logic_error unless Check() is OK.
  SyncWaiter();
  ~SyncWaiter();
  SyncWaiter(const SyncWaiter&) = delete;
  SyncWaiter& operator=(const SyncWaiter&) = delete;

  // Runs the loop until Done().
  void Wait();
  // The awaited thing has ended. Any thread, once.
  void Done() noexcept;

 private:
  struct DoneWork final : LoopWork {
    explicit DoneWork(SyncWaiter* owner) noexcept;
    SyncWaiter* waiter;
  };
  SyncLoop* loop_;
  bool done_ = false;
  DoneWork done_work_;
};

}  // namespace internal

// Runs `task` to its end in the current context, if any. What it spawns and does not join goes on
// only while this thread is in a SyncWait: the loop is this thread's own, and is kept for the next.
template <class T>
T SyncWait(Task<T> task) {
  internal::SyncWaiter waiter;
  internal::Start(task, Context::Current(), &waiter,
                  [](void* done, internal::TaskPromise<T>&) noexcept {
                    static_cast<internal::SyncWaiter*>(done)->Done();
                  });
  waiter.Wait();
  return task.handle().promise().Take();
}

// As SyncWait, but never throws.
template <class T>
[[nodiscard]] StatusOrOf<T> SyncWaitStatus(Task<T> task) {
  absl::Status possible = internal::SyncWaiter::Check();
  if (!possible.ok()) return possible;
  internal::SyncWaiter waiter;
  internal::Start(task, Context::Current(), &waiter,
                  [](void* done, internal::TaskPromise<T>&) noexcept {
                    static_cast<internal::SyncWaiter*>(done)->Done();
                  });
  waiter.Wait();
  return task.handle().promise().TakeStatusOr();
}

}  // namespace rookery

#endif  // ROOKERY_RUNTIME_SYNC_WAIT_H_
