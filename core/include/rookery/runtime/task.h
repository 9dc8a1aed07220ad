// Task<T>: a lazy, move-only coroutine with one result: a value, an absl::Status or an exception.
//
//   rookery::Task<Order> Load(OrderId id) {
//     Row row = co_await db.Find(id);                       // the value, or throws
//     if (row.empty()) co_return absl::NotFoundError("no such order");   // never throws on its way
//     co_return ToOrder(row);
//   }
//   absl::StatusOr<Order> order = co_await rookery::AsStatusOr(Load(id));   // never throws
//
// A Task does nothing until awaited, and is awaited once, as an rvalue. Awaits that complete at
// once use constant stack however many there are. The frame is one allocation, recycled per thread.
//
// On g++ 12 keep co_await out of the conditions of if, while, for and switch, and keep lambdas with
// captures, aggregates and braces out of the expression that awaits: bind them to a name first.
#ifndef ROOKERY_RUNTIME_TASK_H_
#define ROOKERY_RUNTIME_TASK_H_

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/runtime/await.h"
#include "rookery/runtime/frame.h"
#include "rookery/runtime/rpc_exception.h"

namespace rookery {

template <class T = void>
class Task;

namespace internal {

class TaskPromiseBase;

template <class T>
struct IsStatusOr : std::false_type {};
template <class T>
struct IsStatusOr<absl::StatusOr<T>> : std::true_type {};

enum class Outcome : unsigned char { kNone, kValue, kStatus, kException };

template <class T>
struct StatusOrFor {
  using type = absl::StatusOr<T>;
};
template <>
struct StatusOrFor<void> {
  using type = absl::Status;
};
template <>
struct StatusOrFor<absl::Status> {
  using type = absl::Status;
};
template <class T>
struct StatusOrFor<absl::StatusOr<T>> {
  using type = absl::StatusOr<T>;
};

template <class A>
struct IsTask : std::false_type {};
template <class T>
struct IsTask<Task<T>> : std::true_type {};

// What the promises of Task share, whatever T is.
class TaskPromiseBase : public FrameBase {
 public:
  std::suspend_always initial_suspend() noexcept { return {}; }

  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <class P>
    void await_suspend(std::coroutine_handle<P> handle) noexcept {
      handle.promise().Complete(handle);
    }
    void await_resume() noexcept {}
  };
  FinalAwaiter final_suspend() noexcept { return {}; }

  class FailAwaiter {
   public:
    explicit FailAwaiter(FailRequest request) noexcept : request_(std::move(request)) {}
    bool await_ready() noexcept { return false; }
    template <class P>
    void await_suspend(std::coroutine_handle<P> handle) noexcept {
      handle.promise().SetFailure(std::move(request_));
      handle.promise().Complete(handle);
    }
    void await_resume() noexcept {}

   private:
    FailRequest request_;
  };
  FailAwaiter await_transform(FailRequest request) noexcept {
    return FailAwaiter(std::move(request));
  }
  template <class A>
  decltype(auto) await_transform(A&& awaitable) {
    using Plain = std::remove_cvref_t<A>;
    constexpr bool kSpent = IsTask<Plain>::value && std::is_lvalue_reference_v<A>;
    static_assert(!kSpent,
                  "rookery: a Task is awaited once, as an rvalue: write co_await std::move(task)");
    if constexpr (kSpent) {
      return std::suspend_never();
    } else if constexpr (Native<A> &&
                         requires { std::forward<A>(awaitable).operator co_await(); }) {
      return std::forward<A>(awaitable).operator co_await();
    } else if constexpr (Native<A>) {
      return AwaiterRef<std::remove_reference_t<A>>(&awaitable);
    } else {
      return ForeignAwaiter<A>(std::forward<A>(awaitable));
    }
  }

  // Whoever awaits: a coroutine, or a function (of the framework: see start.h).
  void set_continuation(std::coroutine_handle<> continuation) noexcept {
    continuation_ = continuation;
  }
  using DoneFunction = void (*)(void* argument, TaskPromiseBase& promise) noexcept;
  void set_continuation(DoneFunction function, void* argument) noexcept {
    on_done_ = function;
    continuation_ = std::coroutine_handle<>::from_address(argument);
  }

  [[nodiscard]] Outcome outcome() const noexcept { return outcome_; }
  [[nodiscard]] bool failed() const noexcept {
    return outcome_ == Outcome::kStatus || outcome_ == Outcome::kException;
  }
  // Call only when outcome() says so.
  [[nodiscard]] absl::Status& status() noexcept { return status_; }
  [[nodiscard]] std::exception_ptr& exception() noexcept { return exception_; }
  // The failure as an exception_ptr, for filters; null after a value.
  [[nodiscard]] std::exception_ptr TakeException() noexcept;
  // The failure as a status; a foreign exception becomes INTERNAL. Call only when failed().
  [[nodiscard]] absl::Status TakeStatus() noexcept;
  // The failure, to fail with: co_await promise.TakeFailure(). Call only when failed().
  [[nodiscard]] FailRequest TakeFailure() noexcept;

 protected:
  TaskPromiseBase() noexcept {}
  ~TaskPromiseBase() {
    if (failed()) [[unlikely]] {
      DropFailure();
    }
  }
  // What the coroutine has to say is there: tells whoever awaits it, who may destroy it.
  void Complete(std::coroutine_handle<> self) noexcept {
    if (FinishedNested(self)) return;
    if (on_done_ != nullptr) {
      on_done_(continuation_.address(), *this);
    } else {
      continuation_.resume();
    }
  }
  void SetStatus(absl::Status status) noexcept;
  void SetException(std::exception_ptr exception) noexcept;
  void SetFailure(FailRequest request) noexcept;
  void DropFailure() noexcept;
  // Throws the failure.
  [[noreturn]] void Rethrow();

  std::coroutine_handle<> continuation_;
  DoneFunction on_done_ = nullptr;
  Outcome outcome_ = Outcome::kNone;
  union {
    absl::Status status_;
    std::exception_ptr exception_;
  };
};

template <class T>
class TaskPromise final : public TaskPromiseBase {
 public:
  TaskPromise() noexcept {}
  ~TaskPromise() {
    if (outcome_ == Outcome::kValue) value_.~T();
  }
  Task<T> get_return_object() noexcept;

  // A value; or an absl::Status or absl::StatusOr, which fail the task unless T is one itself.
  template <class U = T>
    requires(std::constructible_from<T, U &&> ||
             std::is_same_v<std::remove_cvref_t<U>, absl::Status> ||
             IsStatusOr<std::remove_cvref_t<U>>::value)
  void return_value(U&& value) {
    using Plain = std::remove_cvref_t<U>;
    constexpr bool kPlain = !IsStatusOr<T>::value && !std::is_same_v<T, absl::Status>;
    if constexpr (kPlain && std::is_same_v<Plain, absl::Status>) {
      SetStatus(absl::Status(std::forward<U>(value)));
    } else if constexpr (kPlain && IsStatusOr<Plain>::value && !std::is_same_v<Plain, T>) {
      if (value.ok()) {
        SetValue(*std::forward<U>(value));
      } else {
        SetStatus(std::forward<U>(value).status());
      }
    } else {
      SetValue(std::forward<U>(value));
    }
  }
  void unhandled_exception() noexcept {
    // A destructor of a local may throw after co_return.
    if (outcome_ == Outcome::kValue) value_.~T();
    SetException(std::current_exception());
  }

  [[nodiscard]] T Take() {
    if (outcome_ != Outcome::kValue) [[unlikely]] {
      Rethrow();
    }
    return std::move(value_);
  }
  [[nodiscard]] typename StatusOrFor<T>::type TakeStatusOr() noexcept {
    if (outcome_ != Outcome::kValue) [[unlikely]] {
      return TakeStatus();
    }
    return std::move(value_);
  }
  // The value in place. Only when outcome() is kValue.
  [[nodiscard]] T& value() noexcept { return value_; }

 private:
  template <class U>
  void SetValue(U&& value) {
    ::new (static_cast<void*>(std::addressof(value_))) T(std::forward<U>(value));
    outcome_ = Outcome::kValue;
  }

  union {
    T value_;
  };
};

template <>
class TaskPromise<void> final : public TaskPromiseBase {
 public:
  Task<void> get_return_object() noexcept;
  void return_void() noexcept { outcome_ = Outcome::kValue; }
  void unhandled_exception() noexcept { SetException(std::current_exception()); }
  void Take() {
    if (outcome_ != Outcome::kValue) [[unlikely]] {
      Rethrow();
    }
  }
  [[nodiscard]] absl::Status TakeStatusOr() noexcept {
    return outcome_ == Outcome::kValue ? absl::OkStatus() : TakeStatus();
  }
};

}  // namespace internal

// See the top of this file. A task that was started must run to its end before it is destroyed: the
// expression that awaits it sees to that. One that was never awaited may be dropped.
template <class T>
class [[nodiscard]] Task final : public internal::NativeAwaitable {
 public:
  static_assert(!std::is_reference_v<T>, "rookery: Task<T&>: return a pointer instead");
  using promise_type = internal::TaskPromise<T>;
  using value_type = T;

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  class Awaiter {
   public:
    explicit Awaiter(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> parent) noexcept {
      handle_.promise().set_continuation(parent);
      return internal::StartNested(handle_);
    }
    T await_resume() { return handle_.promise().Take(); }

   protected:
    std::coroutine_handle<promise_type> handle_;
  };
  Awaiter operator co_await() && noexcept { return Awaiter(handle_); }
  void operator co_await() & = delete;  // A Task is awaited as an rvalue: co_await std::move(task).

  // For the framework: no coroutine at all, and so nothing that could be awaited.
  explicit Task(std::nullptr_t) noexcept {}
  // For the framework: the coroutine itself. Ownership stays here, or goes with Release().
  [[nodiscard]] std::coroutine_handle<promise_type> handle() const noexcept { return handle_; }
  [[nodiscard]] std::coroutine_handle<promise_type> Release() noexcept {
    return std::exchange(handle_, {});
  }
  explicit operator bool() const noexcept { return static_cast<bool>(handle_); }

 private:
  friend promise_type;
  explicit Task(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

namespace internal {

template <class T>
Task<T> TaskPromise<T>::get_return_object() noexcept {
  const auto handle = std::coroutine_handle<TaskPromise>::from_promise(*this);
  CheckFrame(handle.address());
  return Task<T>(handle);
}
inline Task<void> TaskPromise<void>::get_return_object() noexcept {
  const auto handle = std::coroutine_handle<TaskPromise>::from_promise(*this);
  CheckFrame(handle.address());
  return Task<void>(handle);
}

template <class T>
class StatusOrAwaitable final : public NativeAwaitable {
 public:
  explicit StatusOrAwaitable(Task<T> task) noexcept : task_(std::move(task)) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> parent) noexcept {
    task_.handle().promise().set_continuation(parent);
    return StartNested(task_.handle());
  }
  typename StatusOrFor<T>::type await_resume() noexcept {
    return task_.handle().promise().TakeStatusOr();
  }

 private:
  Task<T> task_;
};

// Awaits the end of a task that stays where it is, and takes nothing from it.
template <class T>
class CompletionAwaitable final : public NativeAwaitable {
 public:
  explicit CompletionAwaitable(const Task<T>& task) noexcept : handle_(task.handle()) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> parent) noexcept {
    handle_.promise().set_continuation(parent);
    return StartNested(handle_);
  }
  TaskPromise<T>& await_resume() const noexcept { return handle_.promise(); }

 private:
  std::coroutine_handle<TaskPromise<T>> handle_;
};

}  // namespace internal

// absl::StatusOr<T>; absl::Status for void; a Status or StatusOr as it is.
template <class T>
using StatusOrOf = typename internal::StatusOrFor<T>::type;

// Awaits `task` and gives StatusOrOf<T> instead of throwing. A foreign exception becomes INTERNAL:
// see StatusFromException.
template <class T>
[[nodiscard]] internal::StatusOrAwaitable<T> AsStatusOr(Task<T> task) noexcept {
  return internal::StatusOrAwaitable<T>(std::move(task));
}

}  // namespace rookery

#endif  // ROOKERY_RUNTIME_TASK_H_
