#include "runtime/timer_queue.h"

#include <cstddef>

#include "rookery/runtime/loop.h"

namespace rookery::internal {

bool TimerQueue::Arm(LoopTimer* timer, Deadline when) {
  if (timer->heap_index != kNotArmed) Disarm(timer);
  timer->when = when;
  heap_.emplace_back();
  MoveUp(heap_.size() - 1, Entry{when, sequence_++, timer});
  return timer->heap_index == 0;
}

void TimerQueue::Disarm(LoopTimer* timer) noexcept {
  const std::size_t index = timer->heap_index;
  if (index == kNotArmed) return;
  timer->heap_index = kNotArmed;
  const Entry last = heap_.back();
  heap_.pop_back();
  if (index == heap_.size()) return;
  if (index > 0 && last.Before(heap_[(index - 1) / kFanOut])) {
    MoveUp(index, last);
  } else {
    MoveDown(index, last);
  }
}

void TimerQueue::MoveUp(std::size_t index, Entry entry) noexcept {
  while (index > 0) {
    const std::size_t parent = (index - 1) / kFanOut;
    if (!entry.Before(heap_[parent])) break;
    Place(index, heap_[parent]);
    index = parent;
  }
  Place(index, entry);
}

void TimerQueue::MoveDown(std::size_t index, Entry entry) noexcept {
  for (;;) {
    const std::size_t first = index * kFanOut + 1;
    if (first >= heap_.size()) break;
    const std::size_t end = first + kFanOut < heap_.size() ? first + kFanOut : heap_.size();
    std::size_t least = first;
    for (std::size_t child = first + 1; child < end; ++child) {
      if (heap_[child].Before(heap_[least])) least = child;
    }
    if (!heap_[least].Before(entry)) break;
    Place(index, heap_[least]);
    index = least;
  }
  Place(index, entry);
}

}  // namespace rookery::internal
