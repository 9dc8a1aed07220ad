// A million awaits that complete at once run in constant stack. This file is also built and run at
// -O0 and at -O2 by itself: without the trampoline the first overflows the stack, the second need
// not.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/start.h"
#include "rookery/runtime/stream.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/runtime/task.h"
#include "rookery/runtime/when.h"

namespace rookery {
namespace {

constexpr int kMillion = 1'000'000;

// How far the stack has grown. The frame's own address: locals may live elsewhere, in the
// coroutine's frame or on AddressSanitizer's second stack.
[[gnu::noinline]] std::uintptr_t StackHere() {
  return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
}
std::uintptr_t g_deepest = 0;
void NoteStack() {
  const std::uintptr_t here = StackHere();
  if (here < g_deepest) g_deepest = here;
}
// Runs `test` and checks how deep it went: sanitizers and -O0 have fat frames, but not this fat.
template <class Test>
void ExpectConstantStack(Test test) {
  const std::uintptr_t base = StackHere();
  g_deepest = base;
  test();
  EXPECT_LT(base - g_deepest, std::uintptr_t{64} * 1024);
}

Task<int> Value(int value) {
  NoteStack();
  co_return value;
}
Task<int> Refuse() {
  NoteStack();
  co_return absl::NotFoundError("no");
}
Task<int> Twice(int value) {
  const int first = co_await Value(value);
  const int second = co_await Value(value);
  co_return first + second;
}

TEST(ConstantStack, AMillionTasks) {
  auto test = []() -> Task<std::int64_t> {
    std::int64_t sum = 0;
    for (int i = 0; i < kMillion; ++i) sum += co_await Value(i);
    co_return sum;
  };
  ExpectConstantStack(
      [&] { EXPECT_EQ(SyncWait(test()), std::int64_t{kMillion} * (kMillion - 1) / 2); });
}

TEST(ConstantStack, AMillionTasksThatAwaitTasks) {
  auto test = []() -> Task<std::int64_t> {
    std::int64_t sum = 0;
    for (int i = 0; i < kMillion; ++i) sum += co_await Twice(1);
    co_return sum;
  };
  ExpectConstantStack([&] { EXPECT_EQ(SyncWait(test()), 2 * kMillion); });
}

TEST(ConstantStack, AMillionFailures) {
  auto test = []() -> Task<int> {
    int refused = 0;
    for (int i = 0; i < kMillion; ++i) {
      const absl::StatusOr<int> result = co_await AsStatusOr(Refuse());
      if (!result.ok()) ++refused;
    }
    co_return refused;
  };
  ExpectConstantStack([&] { EXPECT_EQ(SyncWait(test()), kMillion); });
}

Stream<int> Count(int n) {
  for (int i = 0; i < n; ++i) {
    NoteStack();
    co_yield i;
  }
}
Stream<int> CountByTasks(int n) {
  for (int i = 0; i < n; ++i) {
    const int value = co_await Value(i);
    co_yield value;
  }
}
// A stream of a stream, as an interceptor makes.
Stream<int> Doubled(Stream<int> source) {
  for (;;) {
    const std::optional<int> value = co_await source.Next();
    if (!value) break;
    co_yield *value * 2;
  }
}
Task<std::int64_t> Sum(Stream<int> stream) {
  std::int64_t sum = 0;
  for (;;) {
    const std::optional<int> value = co_await stream.Next();
    if (!value) break;
    sum += *value;
  }
  co_return sum;
}

TEST(ConstantStack, AStreamOfAMillion) {
  const std::int64_t expected = std::int64_t{kMillion} * (kMillion - 1) / 2;
  ExpectConstantStack([&] { EXPECT_EQ(SyncWait(Sum(Count(kMillion))), expected); });
  ExpectConstantStack([&] { EXPECT_EQ(SyncWait(Sum(CountByTasks(kMillion))), expected); });
  ExpectConstantStack([&] { EXPECT_EQ(SyncWait(Sum(Doubled(Count(kMillion)))), 2 * expected); });
}

TEST(ConstantStack, AMillionTasksInAnotherContext) {
  auto test = []() -> Task<int> {
    int sum = 0;
    for (int i = 0; i < kMillion; ++i) {
      ContextRef child = ContextRef::Adopt(Context::NewChild(nullptr));
      sum += co_await RunIn(std::move(child), Value(1));
    }
    co_return sum;
  };
  ExpectConstantStack([&] { EXPECT_EQ(SyncWait(test()), kMillion); });
}

TEST(ConstantStack, ManySpawnsAndJoins) {
  auto test = []() -> Task<int> {
    int sum = 0;
    for (int i = 0; i < kMillion / 4; ++i) {
      JoinHandle<int> handle = Spawn(Value(1));
      sum += co_await std::move(handle);
    }
    co_return sum;
  };
  ExpectConstantStack([&] { EXPECT_EQ(SyncWait(test()), kMillion / 4); });
}

TEST(ConstantStack, ManyWhenAlls) {
  auto test = []() -> Task<int> {
    int sum = 0;
    for (int i = 0; i < kMillion / 4; ++i) {
      const std::tuple<int, int> both = co_await WhenAll(Value(1), Value(2));
      sum += std::get<0>(both) + std::get<1>(both);
    }
    co_return sum;
  };
  ExpectConstantStack([&] { EXPECT_EQ(SyncWait(test()), 3 * (kMillion / 4)); });
}

Task<int> AfterYield(int value) {
  co_await Yield();
  NoteStack();
  co_return value;
}

// Each wake-up comes from the loop: the depth is that of the chain of awaits, whatever their
// number.
TEST(ConstantStack, ManyAwaitsThatSuspend) {
  auto test = []() -> Task<std::int64_t> {
    std::int64_t sum = 0;
    for (int i = 0; i < kMillion / 4; ++i) sum += co_await AfterYield(1);
    co_return sum;
  };
  ExpectConstantStack([&] { EXPECT_EQ(SyncWait(test()), kMillion / 4); });
}

Stream<int> CountWithYields(int n) {
  for (int i = 0; i < n; ++i) {
    // Now at once, now later: the consumer is resumed from the producer's frame and from the loop.
    if (i % 3 == 0) co_await Yield();
    NoteStack();
    co_yield i;
  }
}
TEST(ConstantStack, AStreamThatSuspendsNowAndThen) {
  const std::int64_t n = kMillion / 4;
  ExpectConstantStack(
      [&] { EXPECT_EQ(SyncWait(Sum(CountWithYields(kMillion / 4))), n * (n - 1) / 2); });
}

}  // namespace
}  // namespace rookery
