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
#include <string_view>

#include "rookery/runtime/context.h"
#include "rookery/runtime/loop.h"
#include "runtime/timer_queue.h"

namespace rookery::internal {

// What a loop's thread is doing. Written by that thread alone; `turn` is odd while something runs,
// and changes with each unit of work and each name, so that a reader knows whether it read one
// state.
struct LoopPulse {
  std::atomic<std::uint64_t> turn{0};
  std::atomic<std::uint64_t> name_turn{0};  // odd while the name is being changed
  std::atomic<const char*> name{nullptr};
  std::atomic<std::size_t> name_size{0};

  void Begin() noexcept { turn.fetch_add(1, std::memory_order_relaxed); }
  void End() noexcept {
    SetName({});
    turn.fetch_add(1, std::memory_order_relaxed);
  }
  [[nodiscard]] bool running() const noexcept {
    return turn.load(std::memory_order_relaxed) % 2 != 0;
  }
  void SetName(std::string_view text) noexcept {
    name_turn.fetch_add(1, std::memory_order_acq_rel);
    name.store(text.data(), std::memory_order_relaxed);
    name_size.store(text.size(), std::memory_order_relaxed);
    name_turn.fetch_add(1, std::memory_order_release);
  }
  // Only on the loop's thread.
  [[nodiscard]] std::string_view own_name() const noexcept {
    return {name.load(std::memory_order_relaxed), name_size.load(std::memory_order_relaxed)};
  }
  // On any thread; empty if it changes at this moment.
  [[nodiscard]] std::string_view ReadName() const noexcept {
    const std::uint64_t before = name_turn.load(std::memory_order_acquire);
    const std::string_view text = own_name();
    std::atomic_thread_fence(std::memory_order_acquire);
    const std::uint64_t after = name_turn.load(std::memory_order_relaxed);
    return before == after && before % 2 == 0 ? text : std::string_view();
  }
};

class LoopBase : public Loop {
 public:
  using Loop::Post;
  void Post(LoopWork* work) noexcept final;
  void Arm(LoopTimer* timer, Deadline when) noexcept final;
  void Disarm(LoopTimer* timer) noexcept final { timers_.Disarm(timer); }

  // The loop's pulse, for a watchdog; null turns the bookkeeping off. Before the thread enters.
  void set_pulse(LoopPulse* pulse) noexcept { pulse_ = pulse; }

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

  [[nodiscard]] Deadline NextDeadline() const noexcept { return timers_.NextDeadline(); }
  // Fires the timers that are due, each as a unit of work.
  void FireTimers() noexcept;

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
};

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_RUNTIME_LOOP_BASE_H_
