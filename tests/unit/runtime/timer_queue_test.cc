#include "runtime/timer_queue.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <random>
#include <vector>

namespace rookery::internal {
namespace {

struct Timer final : LoopTimer {
  Timer() : LoopTimer([](LoopTimer*) noexcept {}) {}
};
Deadline At(int ms) { return Deadline(std::chrono::milliseconds(ms)); }
std::vector<LoopTimer*> Due(TimerQueue& queue, Deadline now) {
  std::vector<LoopTimer*> fired;
  queue.FireDue(now, [&](LoopTimer* timer) { fired.push_back(timer); });
  return fired;
}

TEST(TimerQueue, FiresInOrderAndNotBeforeTime) {
  TimerQueue queue;
  Timer a;
  Timer b;
  Timer c;
  EXPECT_EQ(queue.NextDeadline(), kNoDeadline);
  EXPECT_TRUE(queue.Arm(&a, At(20)));
  EXPECT_TRUE(queue.Arm(&b, At(10)));
  EXPECT_FALSE(queue.Arm(&c, At(10)));
  EXPECT_EQ(queue.NextDeadline(), At(10));
  EXPECT_TRUE(Due(queue, At(9)).empty());
  EXPECT_EQ(Due(queue, At(10)), (std::vector<LoopTimer*>{&b, &c}));
  EXPECT_EQ(Due(queue, At(100)), (std::vector<LoopTimer*>{&a}));
  EXPECT_TRUE(queue.empty());
}

TEST(TimerQueue, MovesAndDisarms) {
  TimerQueue queue;
  Timer a;
  Timer b;
  static_cast<void>(queue.Arm(&a, At(10)));
  static_cast<void>(queue.Arm(&b, At(20)));
  static_cast<void>(queue.Arm(&a, At(30)));
  queue.Disarm(&b);
  queue.Disarm(&b);
  EXPECT_TRUE(Due(queue, At(29)).empty());
  EXPECT_EQ(Due(queue, At(30)), (std::vector<LoopTimer*>{&a}));
}

TEST(TimerQueue, OnesArmedWhileFiringWaitForTheNextTime) {
  TimerQueue queue;
  Timer a;
  Timer b;
  static_cast<void>(queue.Arm(&a, At(1)));
  static_cast<void>(queue.Arm(&b, At(2)));
  int fired = 0;
  queue.FireDue(At(5), [&](LoopTimer* timer) {
    ++fired;
    queue.Disarm(&b);
    static_cast<void>(queue.Arm(timer, At(0)));
  });
  EXPECT_EQ(fired, 1);
  EXPECT_EQ(queue.size(), 1U);
}

TEST(TimerQueue, AgreesWithASortedListOverRandomUse) {
  TimerQueue queue;
  std::mt19937 random(7);
  std::vector<std::unique_ptr<Timer>> timers;
  std::vector<int> when(500, -1);
  for (int i = 0; i < 500; ++i) timers.push_back(std::make_unique<Timer>());
  int now = 0;
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t i = random() % timers.size();
    switch (random() % 3) {
      case 0:
      case 1:
        when[i] = now + 1 + static_cast<int>(random() % 100);
        static_cast<void>(queue.Arm(timers[i].get(), At(when[i])));
        break;
      default:
        when[i] = -1;
        queue.Disarm(timers[i].get());
    }
    if (step % 10 != 0) continue;
    ++now;
    Deadline last{};
    queue.FireDue(At(now), [&](LoopTimer* timer) {
      EXPECT_GE(timer->when, last);
      last = timer->when;
      for (std::size_t k = 0; k < timers.size(); ++k) {
        if (timers[k].get() != timer) continue;
        EXPECT_EQ(At(when[k]), timer->when);
        when[k] = -1;
      }
    });
    for (const int w : when) EXPECT_TRUE(w == -1 || w > now);
  }
}

}  // namespace
}  // namespace rookery::internal
