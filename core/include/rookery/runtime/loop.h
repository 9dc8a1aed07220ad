// Loop: one thread's event loop. Work posted to it, timers and fd readiness all run on its thread.
//
//   rookery::LoopPool loops({.threads = 2});
//   loops.Pick().Post([] { ... });              // any thread
//   co_await rookery::Sleep(std::chrono::milliseconds(20));   // inside a coroutine: its own loop
//
// A coroutine that suspends on a framework awaitable resumes on the loop it suspended on, so what a
// call touches is touched by one thread. Loop is an interface: LoopPool runs Boost.Asio loops, the
// gRPC adapter runs completion-queue threads, SyncWait drives one on the calling thread.
#ifndef ROOKERY_RUNTIME_LOOP_H_
#define ROOKERY_RUNTIME_LOOP_H_

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rookery/runtime/context.h"
#include "rookery/runtime/hooks.h"

namespace rookery {

// A unit of work, intrusive: posting allocates nothing. `run` is called once per Post, and may
// destroy or post the work again.
struct LoopWork {
  using Run = void (*)(LoopWork* self) noexcept;
  explicit LoopWork(Run function) noexcept : run(function) {}
  LoopWork(const LoopWork&) = delete;
  LoopWork& operator=(const LoopWork&) = delete;

  Run run;
  LoopWork* next_work = nullptr;  // the loop's
};

// A timer, intrusive. Armed by Loop::Arm on the loop's own thread; fires once.
struct LoopTimer {
  using Fire = void (*)(LoopTimer* self) noexcept;
  explicit LoopTimer(Fire function) noexcept : fire(function) {}
  LoopTimer(const LoopTimer&) = delete;
  LoopTimer& operator=(const LoopTimer&) = delete;

  Fire fire;
  Deadline when = kNoDeadline;
  std::size_t heap_index = static_cast<std::size_t>(-1);  // the loop's; -1 while not armed
};

// What an fd is waited for.
enum class FdEvent : std::uint8_t { kReadable, kWritable };

// One wait on an fd, intrusive; fires once with whether the fd is ready (false: cancelled).
struct FdWait {
  using Ready = void (*)(FdWait* self, bool ready) noexcept;
  explicit FdWait(Ready function) noexcept : done(function) {}
  FdWait(const FdWait&) = delete;
  FdWait& operator=(const FdWait&) = delete;

  Ready done;
  // For whoever waits for the same event of one fd again and again: the loop keeps the fd in the
  // kernel's set between two waits, which spares most of their cost. Then CancelWait is called
  // before the fd is closed and before this ends, whether a wait is pending or not, and nobody else
  // waits for that fd.
  bool lasting = false;
  void* implementation = nullptr;  // the loop's
};

class Loop {
 public:
  virtual ~Loop() = default;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // The loop that this thread runs, or null.
  [[nodiscard]] static Loop* Current() noexcept;

  // Runs `work` on the loop's thread, later, in the order posted by one thread. Any thread.
  virtual void Post(LoopWork* work) noexcept = 0;
  // Convenience for a callable: allocates, and carries the poster's context. What it throws goes to
  // the log.
  template <class Fn>
    requires std::invocable<std::decay_t<Fn>&>
  void Post(Fn&& fn);

  // Arms or disarms a timer. Only on the loop's thread. Arming an armed timer moves it; disarming
  // one that is not armed is fine. A timer never fires before its time, nor within Arm().
  virtual void Arm(LoopTimer* timer, Deadline when) noexcept = 0;
  virtual void Disarm(LoopTimer* timer) noexcept = 0;

  // Waits until `fd` is ready. Only on the loop's thread. The fd must stay open until done or
  // cancelled (see also FdWait::lasting). CancelWait makes done(…, false) run before it returns, if
  // the wait is pending.
  virtual void WaitFd(int fd, FdEvent event, FdWait* wait) = 0;
  virtual void CancelWait(FdWait* wait) noexcept = 0;

  // The loop's clock; steady unless a test installed its own.
  [[nodiscard]] virtual Deadline Now() const noexcept { return std::chrono::steady_clock::now(); }

 protected:
  Loop() = default;
  // For implementations: sets what Current() gives on this thread; returns the previous one.
  static Loop* SetCurrent(Loop* loop) noexcept;
};

namespace internal {

inline constinit thread_local Loop* tls_loop = nullptr;

// What a loop's thread is doing, for the watchdog; null where there is none.
struct LoopPulse;
inline constinit thread_local LoopPulse* tls_pulse = nullptr;
void NameRunningContext(const Context* context) noexcept;

// Names, for the watchdog, the code that runs on this thread until the end of the scope, and in the
// current context from now on. Dispatchers make one around the start of a handler. The name must
// outlive the loops. Costs a test when there is no watchdog. Not across a co_await.
class [[nodiscard]] RunningScope final {
 public:
  explicit RunningScope(std::string_view name) noexcept {
    if (tls_context != nullptr) tls_context->set_running_name(name);
    if (tls_pulse != nullptr) [[unlikely]] {
      Begin(name);
    }
  }
  ~RunningScope() {
    if (pulse_ != nullptr) [[unlikely]] {
      End();
    }
  }
  RunningScope(const RunningScope&) = delete;
  RunningScope& operator=(const RunningScope&) = delete;

 private:
  void Begin(std::string_view name) noexcept;
  void End() noexcept;
  LoopPulse* pulse_ = nullptr;
  std::string_view previous_;
  bool opened_ = false;
};

}  // namespace internal

inline Loop* Loop::Current() noexcept { return internal::tls_loop; }
inline Loop* Loop::SetCurrent(Loop* loop) noexcept {
  return std::exchange(internal::tls_loop, loop);
}

// Threads that each run one Boost.Asio loop.
class LoopPool final {
 public:
  struct Options {
    std::size_t threads = 0;       // 0: one per core
    std::string name = "rookery";  // thread names: name-0, name-1, ...
    // A handler that holds a loop longer than this is named in the log by the watchdog; zero: off.
    std::chrono::milliseconds watchdog{0};
  };
  LoopPool();
  explicit LoopPool(Options options);
  ~LoopPool();  // Stop()
  LoopPool(const LoopPool&) = delete;
  LoopPool& operator=(const LoopPool&) = delete;

  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] Loop& operator[](std::size_t index) noexcept;
  // The current loop if it is one of these, else the next in turn.
  [[nodiscard]] Loop& Pick() noexcept;
  // Lets posted work finish, then ends the threads. Pending timers and waits are dropped, and what
  // is posted later never runs; the Loops themselves live until the pool is destroyed. Not from one
  // of its own loops. Idempotent.
  void Stop() noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// ---- implementation
// -------------------------------------------------------------------------

template <class Fn>
  requires std::invocable<std::decay_t<Fn>&>
void Loop::Post(Fn&& fn) {
  struct Work final : LoopWork {
    explicit Work(Fn&& f)
        : LoopWork([](LoopWork* self) noexcept {
            const std::unique_ptr<Work> work(static_cast<Work*>(self));
            const ContextScope scope(work->context.get());
            try {
              work->function();
            } catch (...) {
              internal::ReportUnhandled("a function posted to a loop", std::current_exception());
            }
          }),
          function(std::forward<Fn>(f)),
          context(Context::Current()) {}
    std::decay_t<Fn> function;
    ContextRef context;
  };
  Post(static_cast<LoopWork*>(std::make_unique<Work>(std::forward<Fn>(fn)).release()));
}

}  // namespace rookery

#endif  // ROOKERY_RUNTIME_LOOP_H_
