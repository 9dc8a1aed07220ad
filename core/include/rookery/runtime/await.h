// Awaitables: what a rookery coroutine may co_await, and the base of the framework's own leaves.
//
// A coroutine may await Tasks, Streams' Next(), the leaves of this folder (Sleep, Offload, Queue, ...)
// and any foreign C++20 awaitable; for the last the context is saved and restored around it.
// To write a leaf of your own (an adapter's read, say), derive from LeafAwaiter:
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

// A one-shot coroutine that a foreign awaitable resumes in our coroutine's place, so that the thread
// it resumes on gets its own context back afterwards.
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
ForeignShim MakeForeignShim(std::coroutine_handle<> target);

template <class A>
class ForeignAwaiter final {
 public:
  explicit ForeignAwaiter(A&& awaitable)
      : awaiter_(GetAwaiter(std::forward<A>(awaitable))) {}
  bool await_ready() { return awaiter_.await_ready(); }
  auto await_suspend(std::coroutine_handle<> handle) {
    context_ = tls_context;
    shim_ = MakeForeignShim(handle).handle;
    using R = decltype(awaiter_.await_suspend(shim_));
    if constexpr (std::is_same_v<R, bool>) {
      if (awaiter_.await_suspend(shim_)) return true;
      shim_.destroy();
      return false;
    } else {
      return awaiter_.await_suspend(shim_);
    }
  }
  decltype(auto) await_resume() {
    if (shim_) tls_context = context_;
    return awaiter_.await_resume();
  }

 private:
  decltype(GetAwaiter(std::declval<A>())) awaiter_;
  Context* context_ = nullptr;
  std::coroutine_handle<> shim_;
};

// Completes the coroutine with a status: see Fail.
struct FailRequest {
  explicit FailRequest(absl::Status s) : status(std::move(s)) {}
  absl::Status status;
};

}  // namespace internal

// Ends the coroutine here with `status`, without throwing: for Task<void> and Stream, whose co_return
// takes no value. Locals are destroyed when the awaiting side drops the task.
//
//   if (!ok) co_await rookery::Fail(absl::FailedPreconditionError("not paid"));
[[nodiscard]] inline internal::FailRequest Fail(absl::Status status) {
  return internal::FailRequest(std::move(status));
}

// The base of leaves: keeps the context and the loop that the coroutine runs on.
// Contract: await_suspend calls Suspend() before it shows the awaiter to anybody; whoever completes
// the operation calls Wake() exactly once, as the last thing it does with the awaiter; await_resume
// calls Resumed() first. Not copyable while suspended.
class LeafAwaiter : public internal::NativeAwaitable {
 protected:
  LeafAwaiter() noexcept = default;
  ~LeafAwaiter() = default;

  void Suspend(std::coroutine_handle<> handle) noexcept {
    handle_ = handle;
    context_ = internal::tls_context;
    loop_ = Loop::Current();
  }
  void Resumed() noexcept {
    if (handle_) internal::tls_context = context_;
  }

 public:
  // Resumes the coroutine on its home loop: inline when this thread runs that loop (or the coroutine
  // has none), by a post otherwise. Any thread.
  void Wake() noexcept {
    if (loop_ == nullptr || loop_ == Loop::Current()) {
      internal::Resume(handle_);
    } else {
      post_.handle = handle_;
      loop_->Post(&post_);
    }
  }
  // Like Wake(), but never resumes inline: for code that must not be re-entered.
  void WakeLater() noexcept;

  [[nodiscard]] Context* context() const noexcept { return context_; }
  [[nodiscard]] Loop* loop() const noexcept { return loop_; }

 private:
  struct PostResume final : LoopWork {
    PostResume() noexcept : LoopWork([](LoopWork* self) noexcept {
      internal::Resume(static_cast<PostResume*>(self)->handle);
    }) {}
    std::coroutine_handle<> handle;
  };
  std::coroutine_handle<> handle_;
  Context* context_ = nullptr;
  Loop* loop_ = nullptr;
  PostResume post_;
};

}  // namespace rookery

#endif  // ROOKERY_RUNTIME_AWAIT_H_
