#include "rookery/runtime/event.h"

#include <chrono>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "rookery/runtime/loop.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/sync_wait.h"

namespace rookery {
namespace {

Task<void> CountAfter(Event& event, int* count) {
  co_await event.Wait();
  ++*count;
}

TEST(Event, WakesAllWhoWaitAndLetsLaterOnesPass) {
  SyncWait([]() -> Task<void> {
    Event event;
    int count = 0;
    std::vector<JoinHandle<void>> waiting;
    for (int i = 0; i < 5; ++i) waiting.push_back(Spawn(CountAfter(event, &count)));
    EXPECT_EQ(count, 0);
    event.Set();
    for (auto& task : waiting) co_await std::move(task);
    EXPECT_EQ(count, 5);
    co_await CountAfter(event, &count);
    EXPECT_EQ(count, 6);
    event.Reset();
    EXPECT_FALSE(event.is_set());
    const absl::Status late =
        co_await AsStatusOr(WithTimeout(CountAfter(event, &count), std::chrono::milliseconds(5)));
    EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_EQ(count, 6);
  }());
}

TEST(Event, MayBeSetFromAnyThread) {
  LoopPool loops({.threads = 1, .name = "event"});
  std::vector<Event> events(2000);
  for (Event& event : events) {
    loops[0].Post([&event] { event.Set(); });
    SyncWait([](Event& e) -> Task<void> { co_await e.Wait(); }(event));
  }
  loops.Stop();
}

}  // namespace
}  // namespace rookery
