#include "rookery/runtime/queue.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "rookery/runtime/loop.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/sync_wait.h"

namespace rookery {
namespace {

using std::chrono::milliseconds;

TEST(Queue, GivesElementsInOrderThenTheEnd) {
  SyncWait([]() -> Task<void> {
    Queue<int> queue(10);
    for (int i = 0; i < 3; ++i) {
      const bool taken = co_await queue.Push(i);
      EXPECT_TRUE(taken);
    }
    queue.Close();
    for (int i = 0; i < 3; ++i) {
      const std::optional<int> value = co_await queue.Pop();
      EXPECT_EQ(value, i);
    }
    const std::optional<int> end = co_await queue.Pop();
    EXPECT_EQ(end, std::nullopt);
    const bool taken = co_await queue.Push(4);
    EXPECT_FALSE(taken);
    EXPECT_FALSE(queue.TryPush(5));
  }());
}

Task<void> Produce(Queue<int>& queue, int count, int* pushed) {
  for (int i = 0; i < count; ++i) {
    const bool taken = co_await queue.Push(i);
    if (!taken) break;
    ++*pushed;
  }
}

TEST(Queue, AFullQueueMakesTheWriterWait) {
  SyncWait([]() -> Task<void> {
    Queue<int> queue(4);
    int pushed = 0;
    auto writer = Spawn(Produce(queue, 10, &pushed));
    EXPECT_EQ(pushed, 4);
    EXPECT_FALSE(queue.TryPush(99));
    for (int i = 0; i < 10; ++i) {
      const std::optional<int> value = co_await queue.Pop();
      EXPECT_EQ(value, i);
      EXPECT_LE(queue.size(), 4U);
    }
    co_await std::move(writer);
    EXPECT_EQ(pushed, 10);
  }());
}

TEST(Queue, CloseWithAnErrorReachesTheReaderAfterTheElements) {
  SyncWait([]() -> Task<void> {
    Queue<std::string> queue(2);
    EXPECT_TRUE(queue.TryPush("last"));
    queue.Close(absl::DataLossError("cut"));
    const std::optional<std::string> last = co_await queue.Pop();
    EXPECT_EQ(last, "last");
    absl::Status status;
    try {
      const std::optional<std::string> more = co_await queue.Pop();
      ADD_FAILURE() << "got " << more.value_or("the end");
    } catch (const RpcException& error) {
      status = error.status();
    }
    EXPECT_EQ(status, absl::DataLossError("cut"));
  }());
}

TEST(Queue, CloseWakesWritersAndReaders) {
  SyncWait([]() -> Task<void> {
    Queue<int> full(1);
    int pushed = 0;
    auto writer = Spawn(Produce(full, 3, &pushed));
    Queue<int> empty(1);
    auto reader = Spawn([](Queue<int>& queue) -> Task<bool> {
      const std::optional<int> value = co_await queue.Pop();
      co_return value.has_value();
    }(empty));
    full.Close();
    empty.Close();
    co_await std::move(writer);
    EXPECT_EQ(pushed, 1);
    const bool got = co_await std::move(reader);
    EXPECT_FALSE(got);
  }());
}

TEST(Queue, AWaitEndsWithTheContextsCancellation) {
  SyncWait([]() -> Task<void> {
    Queue<int> queue(1);
    Task<std::optional<int>> pop = [](Queue<int>& q) -> Task<std::optional<int>> {
      co_return co_await q.Pop();
    }(queue);
    auto result = co_await AsStatusOr(WithTimeout(std::move(pop), milliseconds(5)));
    EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded);
    // The cancelled reader is out of the line: the element stays for the next.
    EXPECT_TRUE(queue.TryPush(7));
    const std::optional<int> value = queue.TryPop();
    EXPECT_EQ(value, 7);
  }());
}

TEST(Queue, ReadAllIsAStreamOfTheElements) {
  SyncWait([]() -> Task<void> {
    Queue<std::unique_ptr<int>> queue(1);
    auto writer = Spawn([](Queue<std::unique_ptr<int>>& q) -> Task<void> {
      for (int i = 0; i < 100; ++i) {
        const bool taken = co_await q.Push(std::make_unique<int>(i));
        EXPECT_TRUE(taken);
      }
      q.Close();
    }(queue));
    auto all = queue.ReadAll();
    int next = 0;
    for (;;) {
      const auto value = co_await all.Next();
      if (!value) break;
      EXPECT_EQ(**value, next++);
    }
    EXPECT_EQ(next, 100);
    co_await std::move(writer);
  }());
}

// Many writers and readers on several loops: every element arrives exactly once.
TEST(Queue, LosesAndDoublesNothingBetweenThreads) {
  constexpr int kWriters = 4;
  constexpr int kEach = 20'000;
  LoopPool loops({.threads = 4, .name = "queue"});
  Queue<int> queue(16);
  std::vector<std::atomic<int>> seen(kWriters * kEach);
  SyncWait([](LoopPool& pool, Queue<int>& q, std::vector<std::atomic<int>>& counts) -> Task<void> {
    std::vector<JoinHandle<void>> readers;
    std::vector<JoinHandle<void>> writers;
    for (int r = 0; r < 3; ++r) {
      readers.push_back(
          SpawnOn(pool[static_cast<std::size_t>(r)],
                  [](Queue<int>& from, std::vector<std::atomic<int>>& into) -> Task<void> {
                    for (;;) {
                      const std::optional<int> value = co_await from.Pop();
                      if (!value) break;
                      ++into[static_cast<std::size_t>(*value)];
                    }
                  }(q, counts)));
    }
    for (int w = 0; w < kWriters; ++w) {
      writers.push_back(
          SpawnOn(pool[static_cast<std::size_t>(w)], [](Queue<int>& to, int first) -> Task<void> {
            for (int i = 0; i < kEach; ++i) {
              const bool taken = co_await to.Push(first + i);
              EXPECT_TRUE(taken);
            }
          }(q, w * kEach)));
    }
    for (auto& writer : writers) co_await std::move(writer);
    q.Close();
    for (auto& reader : readers) co_await std::move(reader);
  }(loops, queue, seen));
  loops.Stop();
  EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](const auto& count) { return count == 1; }));
}

}  // namespace
}  // namespace rookery
