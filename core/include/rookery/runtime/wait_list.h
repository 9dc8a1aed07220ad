// How the primitives that make coroutines wait (Queue, Event, Semaphore) park and wake them.
//
// For authors of such primitives; users want those. A primitive has one WaitMutex and a WaitList
// for each thing to wait for; its awaiter derives from Waiter:
//
//   bool await_suspend(std::coroutine_handle<> handle) {
//     return Park(handle, mutex_, list_, [this] { return TakeNow(); });   // true: got it, go on
//   }
//   void await_resume() { ThrowIfCancelled(); }
#ifndef ROOKERY_RUNTIME_WAIT_LIST_H_
#define ROOKERY_RUNTIME_WAIT_LIST_H_

#include <coroutine>
#include <mutex>

#include "absl/status/status.h"
#include "rookery/runtime/await.h"
#include "rookery/runtime/cancel.h"

namespace rookery::internal {

class WaitList;

// A coroutine that waits in a list until somebody takes it out and wakes it, or its context is
// cancelled.
class Waiter : public LeafAwaiter {
 public:
  bool await_ready() const noexcept { return false; }

 protected:
  Waiter() noexcept = default;
  ~Waiter() = default;

  // Suspends the coroutine in `list`, unless `ready()`, asked with the mutex held, says that there
  // is nothing to wait for, or the context is cancelled. The result is await_suspend's. A parked
  // waiter is woken once: by whoever takes it out of the list, or by its cancellation.
  template <class Ready>
  bool Park(std::coroutine_handle<> handle, std::mutex& mutex, WaitList& list, Ready&& ready);

  // To be called first by await_resume: why the wait ended early, or OK.
  [[nodiscard]] absl::Status EndWait() noexcept;

 private:
  friend class WaitList;
  static void OnCancel(void* self) noexcept;

  enum class State : unsigned char { kFresh, kParked, kTaken };

  // All guarded by *mutex_.
  Waiter* next_ = nullptr;
  Waiter* previous_ = nullptr;
  WaitList* list_ = nullptr;
  State state_ = State::kFresh;
  bool cancelled_ = false;
  std::mutex* mutex_ = nullptr;
  CancelCallback on_cancel_;
};

// Waiters in the order they came. Guarded by the primitive's mutex.
class WaitList final {
 public:
  WaitList() noexcept = default;
  WaitList(const WaitList&) = delete;
  WaitList& operator=(const WaitList&) = delete;

  [[nodiscard]] bool empty() const noexcept { return head_ == nullptr; }
  [[nodiscard]] Waiter* front() const noexcept { return head_; }
  // Takes the first out; the caller wakes it after it has let go of the mutex. Null: there is none.
  [[nodiscard]] Waiter* Take() noexcept {
    Waiter* const waiter = head_;
    if (waiter != nullptr) Unlink(waiter);
    return waiter;
  }
  // Takes all out, as a chain to be given to WakeAll.
  [[nodiscard]] Waiter* TakeAll() noexcept;
  // Wakes a chain, with no mutex held.
  static void WakeAll(Waiter* chain) noexcept;

 private:
  friend class Waiter;
  void Link(Waiter* waiter) noexcept;
  void Unlink(Waiter* waiter) noexcept;

  Waiter* head_ = nullptr;
  Waiter* tail_ = nullptr;
};

// ---- implementation -------------------------------------------------------------------------

template <class Ready>
bool Waiter::Park(std::coroutine_handle<> handle, std::mutex& mutex, WaitList& list,
                  Ready&& ready) {
  mutex_ = &mutex;
  // Before the waiter can be seen: once it is in the list it may be woken, and gone, at any moment.
  if (Context* const context = Context::Current(); context != nullptr) {
    on_cancel_.Arm(context->cancel_token(), &Waiter::OnCancel, this);
  }
  const std::scoped_lock lock(mutex);
  if (ready()) {
    state_ = State::kTaken;
    cancelled_ = false;
    return false;
  }
  if (cancelled_) return false;
  Suspend(handle);
  list.Link(this);
  return true;
}

}  // namespace rookery::internal

#endif  // ROOKERY_RUNTIME_WAIT_LIST_H_
