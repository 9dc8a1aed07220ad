// TimerQueue: LoopTimers in order of their deadlines. Private.
//
//   queue.Arm(&timer, now + 5ms);
//   ... wait until queue.NextDeadline() ...
//   queue.FireDue(now, [](rookery::LoopTimer* timer) { timer->fire(timer); });
//
// A heap of four children a node, which holds the deadlines themselves: arming and disarming cost
// O(log n) and touch few timers. Not thread-safe: it belongs to a loop.
#ifndef ROOKERY_SRC_RUNTIME_TIMER_QUEUE_H_
#define ROOKERY_SRC_RUNTIME_TIMER_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "rookery/runtime/loop.h"

namespace rookery::internal {

class TimerQueue final {
 public:
  TimerQueue() = default;
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;
  // Timers that are still armed are forgotten, and not touched: they may be gone.
  ~TimerQueue() = default;

  // Arms `timer`, or moves it if it is armed. Returns whether it is now the earliest.
  bool Arm(LoopTimer* timer, Deadline when);
  void Disarm(LoopTimer* timer) noexcept;

  [[nodiscard]] bool empty() const noexcept { return heap_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return heap_.size(); }
  // kNoDeadline when empty.
  [[nodiscard]] Deadline NextDeadline() const noexcept {
    return heap_.empty() ? kNoDeadline : heap_.front().when;
  }

  // Takes out each timer whose deadline is not after `now`, in order (of arming where equal), and
  // hands it to `fire`, which may arm and disarm timers, this one too. Those armed meanwhile wait
  // for the next time, so that this ends.
  template <class Fire>
  void FireDue(Deadline now, Fire&& fire) {
    const std::uint64_t limit = sequence_;
    while (!heap_.empty() && heap_.front().when <= now && heap_.front().sequence < limit) {
      LoopTimer* const timer = heap_.front().timer;
      Disarm(timer);
      fire(timer);
    }
  }

 private:
  static constexpr std::size_t kNotArmed = static_cast<std::size_t>(-1);
  static constexpr std::size_t kFanOut = 4;
  struct Entry {
    Deadline when;
    std::uint64_t sequence;
    LoopTimer* timer;
    [[nodiscard]] bool Before(const Entry& other) const noexcept {
      return when != other.when ? when < other.when : sequence < other.sequence;
    }
  };
  void Place(std::size_t index, const Entry& entry) noexcept {
    heap_[index] = entry;
    entry.timer->heap_index = index;
  }
  void MoveUp(std::size_t index, Entry entry) noexcept;
  void MoveDown(std::size_t index, Entry entry) noexcept;

  std::vector<Entry> heap_;
  std::uint64_t sequence_ = 0;
};

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_RUNTIME_TIMER_QUEUE_H_
