// ManualEvent and friends: to suspend a coroutine in a test and resume it by hand.
#ifndef ROOKERY_TESTS_UNIT_PLATFORM_MANUAL_H_
#define ROOKERY_TESTS_UNIT_PLATFORM_MANUAL_H_

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "rookery/runtime/task.h"

namespace rookery {

// Awaiting it suspends until Fire(); for one waiter.
class ManualEvent final {
 public:
  void Fire() {
    fired_ = true;
    if (waiter_ != nullptr) std::exchange(waiter_, nullptr)->Wake();
  }

  class Awaiter final : public LeafAwaiter {
   public:
    explicit Awaiter(ManualEvent* event) : event_(event) {}
    bool await_ready() const noexcept { return event_->fired_; }
    void await_suspend(std::coroutine_handle<> handle) noexcept {
      Suspend(handle);
      event_->waiter_ = this;
    }
    void await_resume() noexcept { Resumed(); }

   private:
    ManualEvent* event_;
  };
  Awaiter operator co_await() noexcept { return Awaiter(this); }

 private:
  bool fired_ = false;
  LeafAwaiter* waiter_ = nullptr;
};

// Runs at once, and frees itself at its end.
struct Detached {
  struct promise_type : internal::FrameBase {
    Detached get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

template <class T>
Detached Store(Task<T> task, std::optional<T>* into) {
  T value = co_await std::move(task);
  *into = std::move(value);
}
template <class T, class R>
Detached StoreStatus(Task<T> task, std::optional<R>* into) {
  auto result = co_await AsStatusOr(std::move(task));
  *into = std::move(result);
}

}  // namespace rookery

#endif  // ROOKERY_TESTS_UNIT_PLATFORM_MANUAL_H_
