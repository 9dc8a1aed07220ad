#include "rookery/runtime/when.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/runtime/task.h"

namespace rookery {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

inline constexpr ContextKey<int> kCount{"count"};

Task<int> After(std::chrono::nanoseconds duration, int value) {
  co_await Sleep(duration);
  co_return value;
}
Task<std::unique_ptr<int>> Pointer(int value) {
  co_await Yield();
  co_return std::make_unique<int>(value);
}
Task<> Nothing() { co_await Yield(); }
Task<int> FailAfter(std::chrono::nanoseconds duration, absl::Status status) {
  co_await Sleep(duration);
  co_return status;
}
Task<int> ThrowAtOnce() {
  throw std::runtime_error("broken");
  co_return 0;
}
Task<> NoteCancellation(absl::Status* seen) {
  try {
    co_await Sleep(hours(10));
  } catch (const RpcException& error) {
    *seen = error.status();
    throw;
  }
}

TEST(WhenAll, GivesAllValuesInOrder) {
  auto [a, b, c] = SyncWait(WhenAll(After(milliseconds(3), 1), Pointer(2), Nothing()));
  EXPECT_EQ(a, 1);
  EXPECT_EQ(*b, 2);
  static_assert(std::is_same_v<decltype(c), std::monostate>);
  EXPECT_EQ(SyncWait(WhenAll()), std::tuple<>());
}

TEST(WhenAll, OfAVector) {
  std::vector<Task<int>> tasks;
  for (int i = 0; i < 10; ++i) tasks.push_back(After(milliseconds(10 - i), i));
  EXPECT_EQ(SyncWait(WhenAll(std::move(tasks))), (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_TRUE(SyncWait(WhenAll(std::vector<Task<int>>())).empty());
  std::vector<Task<void>> nothings;
  nothings.push_back(Nothing());
  nothings.push_back(Nothing());
  SyncWait(WhenAll(std::move(nothings)));
}

TEST(WhenAll, TheFirstFailureCancelsTheOthersAndIsRethrown) {
  absl::Status seen;
  EXPECT_EQ(SyncWaitStatus(WhenAll(NoteCancellation(&seen),
                                   FailAfter(milliseconds(2), absl::DataLossError("first")),
                                   FailAfter(hours(1), absl::AbortedError("never"))))
                .status(),
            absl::DataLossError("first"));
  EXPECT_EQ(seen.code(), absl::StatusCode::kCancelled);
  EXPECT_THROW(SyncWait(WhenAll(After(hours(1), 1), ThrowAtOnce())), std::runtime_error);
}

TEST(WhenAll, StartsNothingAfterAFailure) {
  bool ran = false;
  auto note = [](bool* flag) -> Task<int> {
    *flag = true;
    co_return 1;
  };
  EXPECT_THROW(SyncWait(WhenAll(ThrowAtOnce(), note(&ran))), std::runtime_error);
  EXPECT_FALSE(ran);
}

TEST(WhenAll, IsCancelledWithItsContext) {
  CancelSource source;
  absl::Status seen;
  auto test = [&]() -> Task<> {
    static_cast<void>(co_await WhenAll(NoteCancellation(&seen), After(hours(1), 1)));
  };
  std::thread canceller([&] { source.Cancel(absl::UnavailableError("draining")); });
  EXPECT_EQ(SyncWaitStatus(WithCancellation(test(), source.token())),
            absl::UnavailableError("draining"));
  EXPECT_EQ(seen, absl::UnavailableError("draining"));
  canceller.join();
}

TEST(WhenAll, SharesTheContextsValues) {
  auto add = []() -> Task<> {
    co_await Yield();
    ++*Context::Current()->Find(kCount);
  };
  Context context;
  context.Set(kCount, 0);
  const ContextScope scope(&context);
  auto test = [&]() -> Task<bool> {
    static_cast<void>(co_await WhenAll(add(), add(), add()));
    co_return Context::Current() == &context;
  };
  EXPECT_TRUE(SyncWait(test()));
  EXPECT_EQ(*context.Find(kCount), 3);
  EXPECT_TRUE(context.unique());
}

TEST(WhenAll, OfTasksThatEndOnOtherLoops) {
  LoopPool loops({.threads = 2});
  auto away = [](Loop& loop, int value) -> Task<int> {
    co_await ResumeOn(loop);
    co_return value;
  };
  auto test = [&]() -> Task<int> {
    int sum = 0;
    Loop* const home = Loop::Current();
    for (int i = 0; i < 300; ++i) {
      std::vector<Task<int>> tasks;
      tasks.push_back(away(loops[0], 1));
      tasks.push_back(away(loops[1], 2));
      tasks.push_back(After(milliseconds(0), 3));
      const std::vector<int> values = co_await WhenAll(std::move(tasks));
      for (const int value : values) sum += value;
      EXPECT_EQ(Loop::Current(), home);
    }
    co_return sum;
  };
  EXPECT_EQ(SyncWait(test()), 1800);
}

TEST(WhenAny, GivesTheFirstAndCancelsTheOthers) {
  absl::Status seen;
  std::variant<absl::StatusOr<int>, absl::Status> first =
      SyncWait(WhenAny(After(milliseconds(2), 7), NoteCancellation(&seen)));
  ASSERT_EQ(first.index(), 0U);
  EXPECT_EQ(*std::get<0>(first), 7);
  EXPECT_EQ(seen.code(), absl::StatusCode::kCancelled);
}

TEST(WhenAny, AFailureMayBeFirst) {
  std::vector<Task<int>> tasks;
  tasks.push_back(After(hours(1), 1));
  tasks.push_back(FailAfter(milliseconds(1), absl::NotFoundError("none")));
  tasks.push_back(After(hours(1), 1));
  const AnyResult<int> first = SyncWait(WhenAny(std::move(tasks)));
  EXPECT_EQ(first.index, 1U);
  EXPECT_EQ(first.value.status(), absl::NotFoundError("none"));
  EXPECT_EQ(SyncWaitStatus(WhenAny(std::vector<Task<int>>())).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(WhenAny, OfOneThatEndsAtOnceRunsNoOther) {
  bool ran = false;
  auto now = []() -> Task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); };
  auto note = [](bool* flag) -> Task<> {
    *flag = true;
    co_return;
  };
  auto first = SyncWait(WhenAny(now(), note(&ran)));
  EXPECT_EQ(**std::get<0>(first), 3);
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace rookery
