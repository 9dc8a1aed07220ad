// Stream<T>: an async generator. The consumer pulls, so a slow consumer slows the producer.
//
//   rookery::Stream<Event> Watch(Topic& topic) {
//     for (int i = 0; i < topic.size(); ++i) co_yield topic.event(i);
//   }
//
//   for (;;) {
//     std::optional<Event> event = co_await stream.Next();  // throws what the producer failed with
//     if (!event) break;                                    // the end
//     Use(*event);
//   }
//
// Next() runs the producer until its next co_yield, its end or its failure. Dropping a Stream
// between two Next() destroys the producer where it stands (its locals' destructors run). A
// producer may co_await anything, and fails with `co_await rookery::Fail(status)` or by throwing.
#ifndef ROOKERY_RUNTIME_STREAM_H_
#define ROOKERY_RUNTIME_STREAM_H_

#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "rookery/runtime/await.h"
#include "rookery/runtime/task.h"

namespace rookery {

template <class T>
class Stream;

namespace internal {

// What the promises of Stream share: `current_` points at the value that the producer is suspended
// on (in its own frame, so nothing is copied), or is null at the end.
class StreamPromiseBase : public TaskPromiseBase {
 public:
  [[nodiscard]] void* current() const noexcept { return current_; }
  void return_void() noexcept {
    current_ = nullptr;
    outcome_ = Outcome::kValue;
  }
  void unhandled_exception() noexcept {
    current_ = nullptr;
    SetException(std::current_exception());
  }
  [[nodiscard]] bool finished() const noexcept { return outcome_ != Outcome::kNone; }
  // Throws if the producer failed.
  void ThrowIfFailed() {
    if (failed()) [[unlikely]] {
      Rethrow();
    }
  }

 protected:
  void* current_ = nullptr;
};

template <class T>
class StreamPromise final : public StreamPromiseBase {
 public:
  Stream<T> get_return_object() noexcept;

  class YieldAwaiter {
   public:
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<StreamPromise> handle) noexcept {
      handle.promise().Complete(handle);
    }
    void await_resume() const noexcept {}
  };
  // Keeps a copy of a yielded lvalue, which the producer may go on to change.
  class CopyingYieldAwaiter {
   public:
    explicit CopyingYieldAwaiter(const T& value) : value_(value) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<StreamPromise> handle) noexcept {
      handle.promise().current_ = std::addressof(value_);
      handle.promise().Complete(handle);
    }
    void await_resume() const noexcept {}

   private:
    T value_;
  };
  YieldAwaiter yield_value(T&& value) noexcept {
    current_ = std::addressof(value);
    return YieldAwaiter();
  }
  CopyingYieldAwaiter yield_value(const T& value) { return CopyingYieldAwaiter(value); }
};

// Runs a producer to its next value. Gives the promise back: look at current().
class AdvanceAwaitable : public NativeAwaitable {
 public:
  AdvanceAwaitable(std::coroutine_handle<> handle, StreamPromiseBase* promise) noexcept
      : handle_(handle), promise_(promise) {}
  bool await_ready() const noexcept { return !handle_ || promise_->finished(); }
  bool await_suspend(std::coroutine_handle<> consumer) noexcept {
    promise_->set_continuation(consumer);
    return StartNested(handle_);
  }
  // The value in place, or null at the end; throws if the producer failed.
  void* await_resume() {
    if (!handle_) return nullptr;
    promise_->ThrowIfFailed();
    return promise_->current();
  }

 protected:
  std::coroutine_handle<> handle_;
  StreamPromiseBase* promise_;
};

}  // namespace internal

// See the top of this file. Not thread-safe: one Next() at a time.
template <class T>
class [[nodiscard]] Stream final {
 public:
  static_assert(std::is_object_v<T> && !std::is_const_v<T>,
                "rookery: Stream<T>: T must be a plain object type");
  using promise_type = internal::StreamPromise<T>;
  using value_type = T;

  // An empty stream: Next() gives nullopt at once.
  Stream() noexcept = default;
  Stream(Stream&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Stream& operator=(Stream&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Stream() {
    if (handle_) handle_.destroy();
  }

  class NextAwaitable final : public internal::AdvanceAwaitable {
   public:
    using internal::AdvanceAwaitable::AdvanceAwaitable;
    std::optional<T> await_resume() {
      T* const value = static_cast<T*>(internal::AdvanceAwaitable::await_resume());
      return value == nullptr ? std::nullopt : std::optional<T>(std::move(*value));
    }
  };
  // The next value, moved out of the producer; nullopt at the end, and for ever after.
  [[nodiscard]] NextAwaitable Next() noexcept {
    return NextAwaitable(handle_, handle_ ? &handle_.promise() : nullptr);
  }

  // For the framework: the producer itself.
  [[nodiscard]] std::coroutine_handle<promise_type> Release() noexcept {
    return std::exchange(handle_, {});
  }

 private:
  friend promise_type;
  explicit Stream(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

namespace internal {
template <class T>
Stream<T> StreamPromise<T>::get_return_object() noexcept {
  const auto handle = std::coroutine_handle<StreamPromise>::from_promise(*this);
  CheckFrame(handle.address());
  return Stream<T>(handle);
}
}  // namespace internal

}  // namespace rookery

#endif  // ROOKERY_RUNTIME_STREAM_H_
