// Awaitables: what a rookery coroutine may co_await, and the base of the framework's own leaves.
//
// A coroutine may await Tasks, Streams' Next(), the leaves of this folder (Sleep, Offload, Queue,
// ...) and any foreign C++20 awaitable; around the last the context is saved and restored, and the
// coroutine goes on on the loop it suspended on, wherever the foreign code resumed it. To write a
// leaf of your own (an adapter's read, say), derive from LeafAwaiter:
//
//   class ReadAwaiter final : public rookery::LeafAwaiter {
//    public:
//     bool await_ready() noexcept { return socket_.has_data(); }
//     void await_suspend(std::coroutine_handle<> handle) { Suspend(handle); socket_.OnData(this); }
//     Data await_resume() { Resumed(); return socket_.Take(); }
//   };
//   // and when data comes, on any thread:  awaiter->Wake();
#ifndef ROOKERY_RUNTIME_AWAIT_H_
#define ROOKERY_RUNTIME_AWAIT_H_

#include <concepts>
#include <coroutine>
#include <exception>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/frame.h"
#include "rookery/runtime/loop.h"

namespace rookery {

namespace internal {

// Marks awaiters that look after the context themselves.
struct NativeAwaitable {};

template <class A>
concept Native = std::derived_from<std::remove_cvref_t<A>, NativeAwaitable>;

// Awaits an awaiter where it is, be it a variable or a temporary (which lives as long as the
// await): g++ 12 moves any awaiter that await_transform returns by reference, and leaves must stay
// in place.
template <class A>
class AwaiterRef final {
 public:
  explicit AwaiterRef(A* awaiter) noexcept : awaiter_(awaiter) {}
  bool await_ready() noexcept(noexcept(std::declval<A&>().await_ready())) {
    return awaiter_->await_ready();
  }
  template <class P>
  auto await_suspend(std::coroutine_handle<P> handle) {
    return awaiter_->await_suspend(handle);
  }
  decltype(auto) await_resume() { return awaiter_->await_resume(); }

 private:
  A* awaiter_;
};

template <class A>
decltype(auto) GetAwaiter(A&& awaitable) {
  if constexpr (requires { std::forward<A>(awaitable).operator co_await(); }) {
    return std::forward<A>(awaitable).operator co_await();
  } else if constexpr (requires { operator co_await(std::forward<A>(awaitable)); }) {
    return operator co_await(std::forward<A>(awaitable));
  } else {
    return std::forward<A>(awaitable);
  }
}

// A one-shot coroutine that a foreign awaitable resumes in our coroutine's place: it goes to the
// home loop if the thread is another, and sees to it that the thread gets its own context back
// afterwards. Destroys itself once resumed.
class ForeignShim {
 public:
  struct promise_type : FrameBase {
    ForeignShim get_return_object() noexcept {
      const auto self = std::coroutine_handle<promise_type>::from_promise(*this);
      CheckFrame(self.address());
      return ForeignShim(self);
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
  explicit ForeignShim(std::coroutine_handle<> shim) noexcept : handle(shim) {}
  std::coroutine_handle<> handle;
};
[[nodiscard]] ForeignShim MakeForeignShim(std::coroutine_handle<> target, Loop* home);

template <class A>
class ForeignAwaiter final {
 public:
  explicit ForeignAwaiter(A&& awaitable) : awaiter_(GetAwaiter(std::forward<A>(awaitable))) {}
  ForeignAwaiter(const ForeignAwaiter&) = delete;
  ForeignAwaiter& operator=(const ForeignAwaiter&) = delete;
  ~ForeignAwaiter() {
    // Not resumed: the foreign await_suspend threw.
    if (shim_) shim_.destroy();
  }
  bool await_ready() { return static_cast<bool>(awaiter_.await_ready()); }
  auto await_suspend(std::coroutine_handle<> handle) {
    context_ = tls_context;
    const std::coroutine_handle<> shim = MakeForeignShim(handle, Loop::Current()).handle;
    shim_ = shim;
    using R = decltype(awaiter_.await_suspend(shim));
    if constexpr (std::is_same_v<R, bool>) {
      if (awaiter_.await_suspend(shim)) return true;
      shim_ = nullptr;
      shim.destroy();
      return false;
    } else {
      return awaiter_.await_suspend(shim);
    }
  }
  decltype(auto) await_resume() {
    if (std::exchange(shim_, nullptr)) tls_context = context_;
    return awaiter_.await_resume();
  }

 private:
  decltype(GetAwaiter(std::declval<A>())) awaiter_;
  Context* context_ = nullptr;
  std::coroutine_handle<> shim_;
};

// Completes the coroutine with a failure: see Fail.
struct FailRequest {
  explicit FailRequest(absl::Status s) noexcept : status(std::move(s)) {}
  explicit FailRequest(std::exception_ptr e) noexcept : exception(std::move(e)) {}
  absl::Status status;
  std::exception_ptr exception;  // instead of the status, unless null
};

}  // namespace internal

// Ends the coroutine here with `status`, without throwing: for Task<void> and Stream, whose
// co_return takes no value; any Task may use it. Nothing after it runs; locals are destroyed when
// the awaiting side drops the task.
//
//   if (!paid) co_await rookery::Fail(absl::FailedPreconditionError("not paid"));
[[nodiscard]] inline internal::FailRequest Fail(absl::Status status) noexcept {
  return internal::FailRequest(std::move(status));
}

// The base of leaves: keeps the context and the loop that the coroutine runs on. Contract:
// await_suspend calls Suspend() before it shows the awaiter to anybody, and touches nothing of the
// awaiter after that if another thread might wake it; whoever completes the operation calls Wake()
// or WakeLater() exactly once, as the last thing it does with the awaiter; await_resume calls
// Resumed() first.
class LeafAwaiter : public internal::NativeAwaitable {
 public:
  LeafAwaiter(const LeafAwaiter&) = delete;
  LeafAwaiter& operator=(const LeafAwaiter&) = delete;

  // Resumes the coroutine on its home loop: inline when this thread runs that loop (or the
  // coroutine has none), by a post otherwise. Any thread.
  void Wake() noexcept {
    if (loop_ == nullptr || loop_ == Loop::Current()) {
      internal::Resume(work_.handle);
    } else {
      loop_->Post(&work_);
    }
  }
  // Like Wake(), but by a post even on the home loop: for code that must not be re-entered.
  void WakeLater() noexcept {
    if (loop_ == nullptr) {
      internal::Resume(work_.handle);
    } else {
      loop_->Post(&work_);
    }
  }

  // Those of the suspended coroutine; null if it has none.
  [[nodiscard]] Context* context() const noexcept { return context_; }
  [[nodiscard]] Loop* loop() const noexcept { return loop_; }

 protected:
  LeafAwaiter() noexcept = default;
  ~LeafAwaiter() = default;

  void Suspend(std::coroutine_handle<> handle) noexcept { SuspendOn(handle, Loop::Current()); }
  // The same, to go on on another loop.
  void SuspendOn(std::coroutine_handle<> handle, Loop* loop) noexcept {
    work_.handle = handle;
    context_ = internal::tls_context;
    loop_ = loop;
  }
  void Resumed() noexcept {
    if (std::exchange(work_.handle, nullptr)) {
      internal::tls_context = context_;
      if (internal::tls_pulse != nullptr) [[unlikely]] {
        internal::NameRunningContext(context_);
      }
    }
  }

 private:
  struct ResumeWork final : LoopWork {
    ResumeWork() noexcept
        : LoopWork([](LoopWork* self) noexcept {
            internal::Resume(static_cast<ResumeWork*>(self)->handle);
          }) {}
    std::coroutine_handle<> handle;
  };
  ResumeWork work_;
  Context* context_ = nullptr;
  Loop* loop_ = nullptr;
};

}  // namespace rookery

#endif  // ROOKERY_RUNTIME_AWAIT_H_
