// Offload: work that blocks or computes long goes to threads of its own, not to a loop.
//
//   Image image = co_await rookery::Offload([&bytes] { return Decode(bytes); });
//
// (On g++ 12 bind the lambda to a name first if it captures by value, and pass it with std::move.)
// The function runs with the caller's context current; its result, or what it throws, comes back on
// the caller's loop. The wait cannot be cut short: a blocking call cannot be told to stop.
#ifndef ROOKERY_RUNTIME_OFFLOAD_H_
#define ROOKERY_RUNTIME_OFFLOAD_H_

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "rookery/runtime/await.h"

namespace rookery {

namespace internal {

// One piece of work of an OffloadPool, intrusive.
struct OffloadWork {
  using Run = void (*)(OffloadWork* self) noexcept;
  explicit OffloadWork(Run function) noexcept : run(function) {}
  Run run;
  OffloadWork* next = nullptr;
};

}  // namespace internal

// Threads for blocking work: started on demand, ended after a while without any.
class OffloadPool final {
 public:
  struct Options {
    std::size_t max_threads = 64;     // more work than that waits in line
    std::size_t max_queue = 100'000;  // and more than that fails with RESOURCE_EXHAUSTED
  };
  OffloadPool();
  explicit OffloadPool(Options options);
  // Runs what is queued to its end, then joins the threads.
  ~OffloadPool();
  OffloadPool(const OffloadPool&) = delete;
  OffloadPool& operator=(const OffloadPool&) = delete;

  // The pool of Offload(fn) without a pool: one a process.
  [[nodiscard]] static OffloadPool& Default();

  // Takes the work, or returns false: the queue is full. Any thread.
  [[nodiscard]] bool Submit(internal::OffloadWork* work);
  // Threads alive now.
  [[nodiscard]] std::size_t threads() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

namespace internal {

[[noreturn]] void ThrowOffloadQueueFull();

template <class Fn>
class OffloadAwaitable final : public LeafAwaiter, private OffloadWork {
  using Result = std::invoke_result_t<Fn&>;
  static_assert(!std::is_reference_v<Result>, "Offload: return a pointer instead of a reference");
  using Stored = std::conditional_t<std::is_void_v<Result>, std::monostate, Result>;

 public:
  template <class F>
  OffloadAwaitable(OffloadPool& pool, F&& function)
      : OffloadWork(
            [](OffloadWork* self) noexcept { static_cast<OffloadAwaitable*>(self)->RunHere(); }),
        pool_(pool),
        function_(std::forward<F>(function)) {}

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> handle) {
    Suspend(handle);
    if (pool_.Submit(this)) return true;
    refused_ = true;
    return false;
  }
  Result await_resume() {
    Resumed();
    if (refused_) ThrowOffloadQueueFull();
    if (error_ != nullptr) std::rethrow_exception(std::move(error_));
    if constexpr (!std::is_void_v<Result>) return std::move(*result_);
  }

 private:
  void RunHere() noexcept {
    {
      const ContextScope scope(context());
      try {
        if constexpr (std::is_void_v<Result>) {
          function_();
          result_.emplace();
        } else {
          result_.emplace(function_());
        }
      } catch (...) {
        error_ = std::current_exception();
      }
    }
    Wake();
  }

  OffloadPool& pool_;
  Fn function_;
  std::optional<Stored> result_;
  std::exception_ptr error_;
  bool refused_ = false;
};

}  // namespace internal

// Awaitable: runs fn() on `pool`, or on the process's own. Throws what fn throws; RpcException with
// RESOURCE_EXHAUSTED when the pool's queue is full.
template <std::invocable Fn>
[[nodiscard]] auto Offload(OffloadPool& pool, Fn&& fn) {
  return internal::OffloadAwaitable<std::decay_t<Fn>>(pool, std::forward<Fn>(fn));
}
template <std::invocable Fn>
[[nodiscard]] auto Offload(Fn&& fn) {
  return Offload(OffloadPool::Default(), std::forward<Fn>(fn));
}

}  // namespace rookery

#endif  // ROOKERY_RUNTIME_OFFLOAD_H_
