#include "rookery/runtime/sleep.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/start.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/runtime/task.h"

namespace rookery {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

Task<int> SleepFor(std::chrono::nanoseconds duration) {
  co_await Sleep(duration);
  co_return 1;
}

TEST(Sleep, LastsAtLeastAsLongAsAsked) {
  const Deadline before = std::chrono::steady_clock::now();
  EXPECT_EQ(SyncWait(SleepFor(milliseconds(5))), 1);
  EXPECT_GE(std::chrono::steady_clock::now() - before, milliseconds(5));
  SyncWait(SleepFor(milliseconds(0)));
  SyncWait(SleepFor(milliseconds(-5)));
}

TEST(Sleep, WakesInTheOrderOfDeadlines) {
  auto sleeper = [](int id, std::vector<int>* order) -> Task<> {
    co_await Sleep(milliseconds(5 * id));
    order->push_back(id);
  };
  std::vector<int> order;
  auto test = [&]() -> Task<> {
    JoinHandle<void> third = Spawn(sleeper(3, &order));
    JoinHandle<void> first = Spawn(sleeper(1, &order));
    JoinHandle<void> second = Spawn(sleeper(2, &order));
    co_await std::move(third);
    co_await std::move(first);
    co_await std::move(second);
  };
  SyncWait(test());
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(Sleep, EndsWithTheReasonOfACancellation) {
  auto context = ContextRef::Adopt(Context::NewChild(nullptr));
  auto test = [&]() -> Task<absl::Status> {
    JoinHandle<int> sleeper = [&] {
      const ContextScope scope(context.get());
      return Spawn(SleepFor(hours(10)));
    }();
    co_await Yield();
    EXPECT_FALSE(sleeper.done());
    context->cancel_source().Cancel(absl::AbortedError("enough"));
    absl::StatusOr<int> result = co_await AsStatusOr(std::move(sleeper));
    co_return result.status();
  };
  EXPECT_EQ(SyncWait(test()), absl::AbortedError("enough"));
  // And does not begin once cancelled.
  const ContextScope scope(context.get());
  EXPECT_EQ(SyncWaitStatus(SleepFor(hours(10))).status(), absl::AbortedError("enough"));
}

TEST(Sleep, ForEverEndsByCancellationAlone) {
  CancelSource source;
  auto forever = []() -> Task<> { co_await SleepUntil(kNoDeadline); };
  std::thread canceller([&] { source.Cancel(absl::CancelledError("stop")); });
  EXPECT_EQ(SyncWaitStatus(WithCancellation(forever(), source.token())),
            absl::CancelledError("stop"));
  canceller.join();
}

TEST(Sleep, NeedsALoop) {
  Task<int> task = SleepFor(milliseconds(1));
  std::string text;
  internal::Start(task, nullptr, &text,
                  [](void* out, internal::TaskPromise<int>& promise) noexcept {
                    try {
                      static_cast<void>(promise.Take());
                    } catch (const std::logic_error& error) {
                      *static_cast<std::string*>(out) = error.what();
                    }
                  });
  EXPECT_NE(text.find("Sleep needs a Loop"), std::string::npos);
}

// Timer, canceller and the end of the coroutine meet; TSan and ASan judge.
TEST(Sleep, CancellationRacesWithTheTimer) {
  std::atomic<int> ended{0};
  for (int round = 0; round < 200; ++round) {
    CancelSource source;
    std::thread canceller([&source, round] {
      if (round % 2 == 0) std::this_thread::sleep_for(std::chrono::microseconds(900));
      source.Cancel(absl::CancelledError("race"));
    });
    const absl::StatusOr<int> result =
        SyncWaitStatus(WithCancellation(SleepFor(milliseconds(1)), source.token()));
    if (!result.ok()) {
      EXPECT_EQ(result.status(), absl::CancelledError("race"));
    }
    ended.fetch_add(1);
    canceller.join();
  }
  EXPECT_EQ(ended, 200);
}

TEST(WithTimeout, CancelsAtTheDeadline) {
  EXPECT_EQ(SyncWaitStatus(WithTimeout(SleepFor(hours(10)), milliseconds(3))).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(*SyncWaitStatus(WithTimeout(SleepFor(milliseconds(1)), hours(10))), 1);
}

TEST(WithTimeout, IsSeenInsideAndNeverLater) {
  auto deadline = []() -> Task<Deadline> { co_return Context::Current()->deadline(); };
  const Deadline now = std::chrono::steady_clock::now();
  auto nested = [&]() -> Task<Deadline> {
    const Deadline inner = co_await WithTimeout(deadline(), hours(10));
    co_return inner;
  };
  const Deadline seen = SyncWait(WithTimeout(nested(), hours(1)));
  EXPECT_LE(seen, std::chrono::steady_clock::now() + hours(1));
  EXPECT_GE(seen, now + hours(1));
}

inline constexpr ContextKey<int> kNumber{"number"};
TEST(WithTimeout, SharesTheContextsValues) {
  auto set = []() -> Task<> {
    Context::Current()->Set(kNumber, 7);
    co_await Yield();
  };
  auto test = [&]() -> Task<int> {
    co_await WithTimeout(set(), hours(1));
    const int* const number = Context::Current()->Find(kNumber);
    co_return number == nullptr ? 0 : *number;
  };
  Context context;
  const ContextScope scope(&context);
  EXPECT_EQ(SyncWait(test()), 7);
}

TEST(WithTimeout, WaitsForATaskThatDoesNotListenAndGivesItsResult) {
  auto deaf = [](Event& go) -> Task<int> {
    // Not by the context's cancellation: in none.
    auto wait = [](Event& event) -> Task<> { co_await event.Wait(); };
    co_await RunIn(ContextRef(), wait(go));
    co_return 5;
  };
  auto test = [&]() -> Task<int> {
    Event go;
    JoinHandle<int> handle = Spawn(WithTimeout(deaf(go), milliseconds(1)));
    co_await Sleep(milliseconds(5));
    EXPECT_FALSE(handle.done());
    go.Set();
    const int value = co_await std::move(handle);
    co_return value;
  };
  EXPECT_EQ(SyncWait(test()), 5);
}

TEST(WithTimeout, ComesHomeFromATaskThatWentToAnotherLoop) {
  LoopPool loops({.threads = 1});
  auto away = [](Loop& loop) -> Task<int> {
    co_await ResumeOn(loop);
    co_return 1;
  };
  auto test = [&]() -> Task<bool> {
    Loop* const home = Loop::Current();
    static_cast<void>(co_await WithTimeout(away(loops[0]), hours(1)));
    co_return Loop::Current() == home;
  };
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(SyncWait(test()));
}

TEST(AbandonAfter, AnswersWhetherOrNotTheTaskEnds) {
  bool ended = false;
  auto deaf = [](std::shared_ptr<Event> go, bool* flag) -> Task<int> {
    auto wait = [](Event& event) -> Task<> { co_await event.Wait(); };
    co_await RunIn(ContextRef(), wait(*go));
    *flag = true;
    co_return 5;
  };
  auto test = [&]() -> Task<> {
    auto go = std::make_shared<Event>();
    const absl::StatusOr<int> late =
        co_await AsStatusOr(AbandonAfter(deaf(go, &ended), milliseconds(2)));
    EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
    EXPECT_FALSE(ended);
    go->Set();
    co_await Sleep(milliseconds(1));
    EXPECT_TRUE(ended);
    const absl::StatusOr<int> early =
        co_await AsStatusOr(AbandonAfter(SleepFor(milliseconds(1)), hours(1)));
    EXPECT_EQ(*early, 1);
  };
  SyncWait(test());
}

TEST(AbandonAfter, AnswersAtACancellation) {
  CancelSource source;
  auto forever = []() -> Task<int> {
    auto wait = []() -> Task<> { co_await SleepUntil(Deadline::clock::now() + milliseconds(20)); };
    co_await RunIn(ContextRef(), wait());
    co_return 1;
  };
  auto test = [&]() -> Task<absl::Status> {
    absl::StatusOr<int> result =
        co_await AsStatusOr(WithCancellation(AbandonAfter(forever(), hours(1)), source.token()));
    // The abandoned one ends while the loop is still there.
    co_await Sleep(milliseconds(40));
    co_return result.status();
  };
  source.Cancel(absl::UnavailableError("draining"));
  EXPECT_EQ(SyncWait(test()), absl::UnavailableError("draining"));
}

TEST(Yield, LetsOthersRun) {
  std::vector<int> order;
  auto task = [](int id, std::vector<int>* out) -> Task<> {
    for (int i = 0; i < 3; ++i) {
      out->push_back(id);
      co_await Yield();
    }
  };
  auto test = [&]() -> Task<> {
    JoinHandle<void> a = Spawn(task(1, &order));
    JoinHandle<void> b = Spawn(task(2, &order));
    co_await std::move(a);
    co_await std::move(b);
  };
  SyncWait(test());
  EXPECT_EQ(order, (std::vector<int>{1, 2, 1, 2, 1, 2}));
}

}  // namespace
}  // namespace rookery
