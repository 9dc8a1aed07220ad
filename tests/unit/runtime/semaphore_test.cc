#include "rookery/runtime/semaphore.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "rookery/runtime/sleep.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/sync_wait.h"

namespace rookery {
namespace {

TEST(Semaphore, LetsInNoMoreThanItsPermits) {
  SyncWait([]() -> Task<void> {
    Semaphore semaphore(3);
    int inside = 0;
    int most = 0;
    std::vector<JoinHandle<void>> workers;
    for (int i = 0; i < 20; ++i) {
      workers.push_back(Spawn([](Semaphore& s, int* in, int* peak) -> Task<void> {
        const Semaphore::Permit permit = co_await s.Acquire();
        *peak = std::max(*peak, ++*in);
        co_await Sleep(std::chrono::milliseconds(1));
        --*in;
      }(semaphore, &inside, &most)));
    }
    for (auto& worker : workers) co_await std::move(worker);
    EXPECT_EQ(most, 3);
    EXPECT_EQ(semaphore.available(), 3U);
  }());
}

TEST(Semaphore, ACancelledWaitTakesNoPermit) {
  SyncWait([]() -> Task<void> {
    Semaphore semaphore(1);
    {
      const auto held = semaphore.TryAcquire();
      EXPECT_TRUE(held.has_value());
      EXPECT_FALSE(semaphore.TryAcquire().has_value());
      Task<void> wait = [](Semaphore& s) -> Task<void> {
        const Semaphore::Permit permit = co_await s.Acquire();
      }(semaphore);
      const absl::Status status =
          co_await AsStatusOr(WithTimeout(std::move(wait), std::chrono::milliseconds(5)));
      EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
    }
    EXPECT_EQ(semaphore.available(), 1U);
  }());
}

}  // namespace
}  // namespace rookery
