// What the loops of this framework share: the inbox, the timers, and the order of a turn. Private.
//
//   class MyLoop final : public rookery::internal::LoopBase {
//     void Run() {
//       EnterThread();
//       while (!stopped_) {
//         RunPosted();
//         FireTimers();
//         if (!HasPosted()) WaitForEvents(NextDeadline());   // until Wake() or that time
//       }
//       LeaveThread();
//     }
//     ~MyLoop() override { AwaitPosters(); }
//     void Wake() noexcept override { ... }                  // ends WaitForEvents; any thread
//   };
#ifndef ROOKERY_SRC_RUNTIME_LOOP_BASE_H_
#define ROOKERY_SRC_RUNTIME_LOOP_BASE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "rookery/runtime/context.h"
#include "rookery/runtime/loop.h"
#include "runtime/loop_pulse.h"
#include "runtime/timer_queue.h"

namespace rookery::internal {

class SharedClock;
struct ClockSeat;

class LoopBase : public Loop {
 public:
  using Loop::Post;
  void Post(LoopWork* work) noexcept final;
  void Arm(LoopTimer* timer, Deadline when) noexcept final;
  void Disarm(LoopTimer* timer) noexcept final { timers_.Disarm(timer); }
  [[nodiscard]] Deadline Now() const noexcept final;

  // The loop's pulse, for a watchdog; null turns the bookkeeping off. Before the thread enters.
  void set_pulse(LoopPulse* pulse) noexcept { pulse_ = pulse; }

  // From now on the loop's timers follow that clock; null: the system's. After set_pulse, before
  // the thread enters.
  void set_clock(std::shared_ptr<SharedClock> clock);
  // For that clock, on the loop's thread.
  void FireDueTimers() noexcept;
  [[nodiscard]] std::uint64_t turn() const noexcept {
    return pulse_->turn.load(std::memory_order_relaxed);
  }
  [[nodiscard]] Deadline NextTimer() const noexcept { return timers_.NextDeadline(); }
  [[nodiscard]] std::size_t timer_count() const noexcept { return timers_.size(); }

 protected:
  LoopBase() = default;
  ~LoopBase() override = default;

  // This thread is the loop's from now on; returns the loop that was current before. LeaveThread
  // puts that back.
  void EnterThread() noexcept;
  void LeaveThread() noexcept;

  // Runs what had been posted when it began, each unit without a context of its own. What these
  // post waits for the next turn without a Wake(): ask HasPosted() before waiting for events.
  void RunPosted() noexcept;
  // Also true when a Wake() is about to come for nothing, because its work has been run: the turn
  // that follows makes the next Wake() possible.
  [[nodiscard]] bool HasPosted() const noexcept {
    return local_head_ != nullptr || inbox_.load(std::memory_order_relaxed) != nullptr ||
           wake_requested_.load(std::memory_order_relaxed);
  }

  // Of the timers; never, where a clock says when they fire.
  [[nodiscard]] Deadline NextDeadline() const noexcept {
    return clock_ == nullptr ? timers_.NextDeadline() : kNoDeadline;
  }
  // A test's; null: the system's.
  [[nodiscard]] const SharedClock* clock() const noexcept { return clock_.get(); }
  // Fires the timers that are due, each as a unit of work.
  void FireTimers() noexcept {
    if (!timers_.empty() && clock_ == nullptr) FireDueTimers();
  }

  // RunPosted() must be called soon: ends a wait for events. Any thread, this one too (a post from
  // a timer or a completion); at most once between two RunPosted().
  virtual void Wake() noexcept = 0;
  // The earliest deadline is now this one. The loop's thread.
  virtual void TimerMoved(Deadline /*earliest*/) noexcept {}

  // Around each unit of work of other kinds (completions, handlers of sockets).
  void BeginUnit() noexcept {
    if (pulse_ != nullptr) [[unlikely]] {
      pulse_->Begin();
    }
  }
  void EndUnit() noexcept {
    tls_context = nullptr;
    if (pulse_ != nullptr) [[unlikely]] {
      pulse_->End();
    }
  }

  void RequestWake() noexcept {
    if (!wake_requested_.exchange(true, std::memory_order_acq_rel)) Wake();
  }

  // Work may run, and end the loop, while the thread that posted it is still on its way into
  // Wake(). Every derived destructor calls this first: it returns once no poster has the loop in
  // its hands.
  void AwaitPosters() noexcept;

 private:
  // Posts of other threads, latest first.
  alignas(64) std::atomic<LoopWork*> inbox_{nullptr};
  std::atomic<bool> wake_requested_{false};
  // Only the thread that finds the inbox empty touches the loop after its post, and counts when it
  // is through: once for each batch that the loop takes.
  std::atomic<std::uint64_t> posters_through_{0};
  // Posts of the loop's own thread, and those taken from the inbox.
  alignas(64) LoopWork* local_head_ = nullptr;
  LoopWork* local_tail_ = nullptr;
  std::uint64_t batches_taken_ = 0;
  bool in_turn_ = false;  // RunPosted is under way, and looks again by itself
  TimerQueue timers_;
  LoopPulse* pulse_ = nullptr;
  Loop* outer_loop_ = nullptr;

  struct FireWork final : LoopWork {
    explicit FireWork(LoopBase* owner) noexcept;
    LoopBase* loop;
    bool posted = false;
  };
  // Runs what the clock has under way here, and leaves it.
  void LeaveClock() noexcept;
  std::shared_ptr<SharedClock> clock_;
  std::shared_ptr<ClockSeat> seat_;
  SharedClock* outer_clock_ = nullptr;
  FireWork fire_work_{this};  // for timers that are due when they are armed, where a clock stands
};

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_RUNTIME_LOOP_BASE_H_
