// Task<T>: a lazy, move-only coroutine with one result: a value, an absl::Status or an exception.
//
//   rookery::Task<Order> Load(OrderId id) {
//     Row row = co_await db.Find(id);                       // the value, or throws
//     if (row.empty()) co_return absl::NotFoundError("no such order");   // never throws on its way
//     co_return ToOrder(row);
//   }
//   absl::StatusOr<Order> order = co_await rookery::AsStatusOr(Load(id));   // never throws
//
// A Task does nothing until awaited, and is awaited once, as an rvalue. Awaits that complete at once
// use constant stack however many there are. The frame is one allocation, recycled per thread.
//
// On g++ 12 keep co_await out of the conditions of if, while, for and switch, and keep lambdas with
// captures, aggregates and braces out of the expression that awaits: bind them to a name first.
#ifndef ROOKERY_RUNTIME_TASK_H_
#define ROOKERY_RUNTIME_TASK_H_

#include <concepts>
#include <coroutine>
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

template <class T>
struct IsStatusOr : std::false_type {};
template <class T>
struct IsStatusOr<absl::StatusOr<T>> : std::true_type {};

enum class Outcome : unsigned char { kNone, kValue, kStatus, kException };

// Throws what a failed coroutine holds.
[[noreturn]] void ThrowStatus(absl::Status status);

// What the promises of Task share, whatever T is.
class TaskPromiseBase : public FrameBase {
 public:
  std::suspend_always initial_suspend() noexcept { return {}; }

  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <class P>
    void await_suspend(std::coroutine_handle<P> handle) noexcept {
      FinishNested(handle, handle.promise().continuation_);
    }
    void await_resume() noexcept {}
  };
  FinalAwaiter final_suspend() noexcept { return {}; }

  void unhandled_exception() noexcept {
    ::new (&exception_) std::exception_ptr(std::current_exception());
    outcome_ = Outcome::kException;
  }

  class FailAwaiter {
   public:
    explicit FailAwaiter(absl::Status status) noexcept : status_(std::move(status)) {}
    bool await_ready() noexcept { return false; }
    template <class P>
    void await_suspend(std::coroutine_handle<P> handle) noexcept {
      handle.promise().SetStatus(std::move(status_));
      FinishNested(handle, handle.promise().continuation_);
    }
    void await_resume() noexcept {}

   private:
    absl::Status status_;
  };
  FailAwaiter await_transform(FailRequest request) noexcept {
    return FailAwaiter(std::move(request.status));
  }
  template <class A>
  decltype(auto) await_transform(A&& awaitable) {
    if constexpr (Native<A>) {
      return std::forward<A>(awaitable);
    } else {
      return ForeignAwaiter<A>(std::forward<A>(awaitable));
    }
  }

  void SetStatus(absl::Status status) noexcept {
    if (status.ok()) status = absl::InternalError("a coroutine failed with an OK status");
    ::new (&status_) absl::Status(std::move(status));
    outcome_ = Outcome::kStatus;
  }
  void set_continuation(std::coroutine_handle<> continuation) noexcept {
    continuation_ = continuation;
  }
  [[nodiscard]] Outcome outcome() const noexcept { return outcome_; }
  // Call only when outcome() says so.
  [[nodiscard]] absl::Status& status() noexcept { return status_; }
  [[nodiscard]] std::exception_ptr& exception() noexcept { return exception_; }
  // The failure as an exception_ptr, for filters; null after a value.
  [[nodiscard]] std::exception_ptr TakeException() noexcept;

 protected:
  TaskPromiseBase() noexcept {}
  ~TaskPromiseBase() {
    if (outcome_ == Outcome::kStatus) status_.~Status();
    if (outcome_ == Outcome::kException) exception_.~exception_ptr();
  }
  // Throws the failure.
  [[noreturn]] void Rethrow();
  // The failure as a status.
  [[nodiscard]] absl::Status TakeStatus() noexcept;

  std::coroutine_handle<> continuation_;
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

  template <class U = T>
    requires std::constructible_from<T, U&&>
  void return_value(U&& value) {
    using Plain = std::remove_cvref_t<U>;
    if constexpr (std::is_same_v<Plain, absl::Status> && !std::is_same_v<T, absl::Status> &&
                  !IsStatusOr<T>::value) {
      SetStatus(absl::Status(std::forward<U>(value)));
    } else {
      ::new (&value_) T(std::forward<U>(value));
      outcome_ = Outcome::kValue;
    }
  }
  void return_value(absl::Status status)
    requires(!std::constructible_from<T, absl::Status>)
  {
    SetStatus(std::move(status));
  }
  void return_value(absl::StatusOr<T> value)
    requires(!IsStatusOr<T>::value && !std::is_same_v<T, absl::Status>)
  {
    if (value.ok()) {
      ::new (&value_) T(*std::move(value));
      outcome_ = Outcome::kValue;
    } else {
      SetStatus(std::move(value).status());
    }
  }

  [[nodiscard]] T Take() {
    if (outcome_ != Outcome::kValue) [[unlikely]] {
      Rethrow();
    }
    return std::move(value_);
  }
  [[nodiscard]] absl::StatusOr<T> TakeStatusOr() noexcept {
    if (outcome_ != Outcome::kValue) [[unlikely]] {
      return TakeStatus();
    }
    return std::move(value_);
  }
  // The value in place. Only when outcome() is kValue.
  [[nodiscard]] T& value() noexcept { return value_; }

 private:
  union {
    T value_;
  };
};

template <>
class TaskPromise<void> final : public TaskPromiseBase {
 public:
  Task<void> get_return_object() noexcept;
  void return_void() noexcept { outcome_ = Outcome::kValue; }
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
  static_assert(!std::is_reference_v<T>, "Task<T&>: return a pointer instead");
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
  void operator co_await() & = delete;  // await an rvalue: co_await std::move(task)

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
  auto await_resume() noexcept { return task_.handle().promise().TakeStatusOr(); }

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

// Awaits `task` and gives absl::StatusOr<T> (absl::Status for Task<void>) instead of throwing.
// A foreign exception becomes INTERNAL: see StatusFromException.
template <class T>
[[nodiscard]] internal::StatusOrAwaitable<T> AsStatusOr(Task<T> task) noexcept {
  return internal::StatusOrAwaitable<T>(std::move(task));
}

}  // namespace rookery

#endif  // ROOKERY_RUNTIME_TASK_H_
