#include "rookery/runtime/fake_clock.h"

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rookery/runtime/clock.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/hooks.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/runtime/task.h"
#include "rookery/runtime/when.h"

namespace rookery::testing {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Journal final {
 public:
  void Write(std::string line) {
    const std::scoped_lock lock(mutex_);
    lines_.push_back(std::move(line));
  }
  std::vector<std::string> Take() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(lines_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> lines_;
};

LoopPool::Options Threads(std::size_t threads) {
  LoopPool::Options options;
  options.threads = threads;
  return options;
}

Task<void> Note(Journal& journal, nanoseconds after, std::string line) {
  co_await Sleep(after);
  journal.Write(std::move(line));
}
template <class T>
Task<T> Join(JoinHandle<T> handle) {
  co_return co_await std::move(handle);
}

TEST(FakeClock, StandsStillUntilItIsMovedOn) {
  FakeClock clock;
  const Deadline began = Now();
  EXPECT_EQ(clock.Now(), began);
  std::this_thread::sleep_for(milliseconds(2));
  EXPECT_EQ(Now(), began);
  const auto wall = WallNow();
  clock.Advance(hours(1));
  EXPECT_EQ(Now() - began, hours(1));
  EXPECT_EQ(WallNow() - wall, hours(1));
  clock.AdvanceTo(began);
  EXPECT_EQ(Now() - began, hours(1)) << "time does not go back";
  EXPECT_THROW(clock.Advance(seconds(-1)), std::invalid_argument);
}

TEST(FakeClock, IsOfTheThreadThatMadeIt) {
  const Deadline before = Now();
  {
    FakeClock clock;
    clock.Advance(hours(1'000));
    std::thread other([before] { EXPECT_LT(Now() - before, hours(999)); });
    other.join();
    std::thread joined([&clock] {
      const FakeClock::Scope scope(clock);
      EXPECT_EQ(Now(), clock.Now());
    });
    joined.join();
    {
      FakeClock inner;
      EXPECT_EQ(Now(), inner.Now());
    }
    EXPECT_EQ(Now(), clock.Now());
  }
  EXPECT_LT(Now() - before, hours(999));
}

TEST(FakeClock, TheLatestHoldsInWhicheverOrderTheyEnd) {
  const Deadline before = Now();
  auto clock = std::make_unique<FakeClock>();
  clock->Advance(hours(1'000));
  // The new one is made before the old one goes.
  clock = std::make_unique<FakeClock>();
  EXPECT_EQ(Now(), clock->Now());
  clock.reset();
  EXPECT_GE(Now(), before);
  EXPECT_LT(Now() - before, hours(999));
}

TEST(FakeClock, SleepsEndInTheOrderOfTheirTimes) {
  Journal journal;
  FakeClock clock;
  LoopPool loops(Threads(1));
  SpawnOn(loops[0], Note(journal, seconds(3), "3")).Detach();
  SpawnOn(loops[0], Note(journal, seconds(1), "1")).Detach();
  SpawnOn(loops[0], Note(journal, seconds(2), "2a")).Detach();
  SpawnOn(loops[0], Note(journal, seconds(2), "2b")).Detach();
  clock.Settle();
  EXPECT_THAT(journal.Take(), IsEmpty());
  EXPECT_EQ(clock.timers(), 4U);
  clock.Advance(milliseconds(999));
  EXPECT_THAT(journal.Take(), IsEmpty());
  clock.Advance(milliseconds(1));
  EXPECT_THAT(journal.Take(), ElementsAre("1"));
  clock.Advance(seconds(2));
  EXPECT_THAT(journal.Take(), ElementsAre("2a", "2b", "3"));
  EXPECT_EQ(clock.timers(), 0U);
}

Task<void> Tick(Journal& journal, std::string name, nanoseconds period, int times) {
  for (int i = 1; i <= times; ++i) {
    co_await Sleep(period);
    journal.Write(absl::StrCat(name, i));
  }
}

// Two loops that never look at each other: the clock alone puts them in order.
TEST(FakeClock, SeveralLoopsFollowOneOrder) {
  for (int round = 0; round < 20; ++round) {
    Journal journal;
    FakeClock clock;
    LoopPool loops(Threads(3));
    SpawnOn(loops[2], Tick(journal, "c", seconds(2), 3)).Detach();
    SpawnOn(loops[0], Tick(journal, "a", seconds(3), 2)).Detach();
    SpawnOn(loops[1], Tick(journal, "b", seconds(6), 1)).Detach();
    clock.Advance(seconds(10));
    // Of one time, loop by loop.
    ASSERT_THAT(journal.Take(), ElementsAre("c1", "a1", "c2", "a2", "b1", "c3"));
  }
}

Task<void> Relay(Journal& journal, Loop& other, Deadline began) {
  co_await Sleep(seconds(1));
  journal.Write(absl::StrCat("here at ", (Now() - began) / seconds(1)));
  co_await ResumeOn(other);
  journal.Write(absl::StrCat("there at ", (Now() - began) / seconds(1)));
  co_await Sleep(seconds(1));
  journal.Write(absl::StrCat("there at ", (Now() - began) / seconds(1)));
}

TEST(FakeClock, WhatFollowsATimerRunsAtItsTime) {
  Journal journal;
  FakeClock clock;
  LoopPool loops(Threads(2));
  SpawnOn(loops[0], Relay(journal, loops[1], clock.Now())).Detach();
  clock.Advance(seconds(10));
  EXPECT_THAT(journal.Take(), ElementsAre("here at 1", "there at 1", "there at 2"));
}

TEST(FakeClock, GoesFromTimerToTimer) {
  Journal journal;
  FakeClock clock;
  LoopPool loops(Threads(1));
  SpawnOn(loops[0], Tick(journal, "t", seconds(5), 2)).Detach();
  EXPECT_EQ(clock.AdvanceToNext(), seconds(5));
  EXPECT_THAT(journal.Take(), ElementsAre("t1"));
  clock.Advance(seconds(2));
  EXPECT_EQ(clock.AdvanceToNext(), seconds(3));
  EXPECT_THAT(journal.Take(), ElementsAre("t2"));
  EXPECT_EQ(clock.AdvanceToNext(), std::nullopt);
}

Task<void> Zero(Journal& journal) {
  co_await Sleep(nanoseconds(0));
  journal.Write("slept");
  co_await Sleep(seconds(-1));
  journal.Write("slept again");
}

TEST(FakeClock, WhatIsDueAtOnceNeedsNoMove) {
  Journal journal;
  FakeClock clock;
  SyncWait(Zero(journal));
  EXPECT_THAT(journal.Take(), ElementsAre("slept", "slept again"));
  LoopPool loops(Threads(1));
  SyncWait(Join(SpawnOn(loops[0], Zero(journal))));
  EXPECT_THAT(journal.Take(), ElementsAre("slept", "slept again"));
}

Task<std::string> Slow() {
  co_await Sleep(seconds(10));
  co_return "done";
}
TEST(FakeClock, TimeoutsFireByIt) {
  FakeClock clock;
  LoopPool loops(Threads(1));
  auto timely = SpawnOn(loops[0], WithTimeout(Slow(), seconds(11)));
  auto late = SpawnOn(loops[0], WithTimeout(Slow(), seconds(9)));
  auto abandoned = SpawnOn(loops[0], AbandonAfter(Slow(), seconds(2)));
  clock.Advance(seconds(1));
  EXPECT_FALSE(abandoned.done());
  clock.Advance(seconds(1));
  EXPECT_TRUE(abandoned.done());
  EXPECT_FALSE(late.done());
  clock.Advance(seconds(7));
  EXPECT_TRUE(late.done());
  EXPECT_FALSE(timely.done());
  clock.Advance(seconds(1));
  EXPECT_EQ(SyncWait(Join(std::move(timely))), "done");
  EXPECT_EQ(SyncWaitStatus(Join(std::move(late))).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(SyncWaitStatus(Join(std::move(abandoned))).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(clock.timers(), 0U) << "the others were disarmed";
}

Task<std::vector<std::string>> Script(FakeClock& clock, Journal& journal) {
  JoinHandle<void> one = Spawn(Note(journal, seconds(1), "one"));
  JoinHandle<void> two = Spawn(Note(journal, seconds(2), "two"));
  co_await clock.Pass(milliseconds(1'500));
  journal.Write("between");
  co_await clock.Pass(seconds(1));
  co_await std::move(one);
  co_await std::move(two);
  co_return journal.Take();
}

TEST(FakeClock, PassesWithinACoroutine) {
  Journal journal;
  FakeClock clock;
  EXPECT_THAT(SyncWait(Script(clock, journal)), ElementsAre("one", "between", "two"));
}

Task<void> MoveHere(FakeClock& clock) {
  clock.Advance(seconds(1));
  co_return;
}

TEST(FakeClock, CannotBeMovedByALoopItself) {
  FakeClock clock;
  try {
    SyncWait(MoveHere(clock));
    FAIL() << "nothing was thrown";
  } catch (const std::logic_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("co_await clock.Pass(duration)"));
  }
}

TEST(FakeClock, SaysWhenALoopIsBlocked) {
  FakeClock clock{milliseconds(30)};
  LoopPool loops(Threads(1));
  std::promise<void> release;
  loops[0].Post([&release] { release.get_future().wait(); });
  EXPECT_THROW(clock.Advance(seconds(1)), std::runtime_error);
  release.set_value();
  // It is of use again.
  auto moved = [&clock] {
    for (int i = 0; i < 1'000; ++i) {
      try {
        clock.Settle();
        return true;
      } catch (const std::runtime_error&) {
      }
    }
    return false;
  };
  EXPECT_TRUE(moved());
}

Task<void> Spin(const std::atomic<bool>& stop) {
  while (!stop) co_await Yield();
}

TEST(FakeClock, SaysWhenALoopNeverRests) {
  FakeClock clock{milliseconds(30)};
  LoopPool loops(Threads(1));
  std::atomic<bool> stop{false};
  auto spinning = SpawnOn(loops[0], Spin(stop));
  // On a machine that is busy elsewhere it may take the loop for a blocked one at first.
  std::string why;
  while (why.find("do not come to rest") == std::string::npos) {
    try {
      clock.Settle();
      ADD_FAILURE() << "nothing was thrown";
      break;
    } catch (const std::runtime_error& error) {
      why = error.what();
    }
  }
  stop = true;
  SyncWait(Join(std::move(spinning)));
}

std::atomic<int> standstills{0};
Task<void> Nap() { co_await Sleep(milliseconds(10)); }

TEST(FakeClock, SaysWhenASyncWaitMayWaitForEver) {
  standstills = 0;
  const auto hook = internal::SetUnhandledErrorHook([](std::string_view, const absl::Status& what) {
    if (what.message().find("nobody moves the clock on") != absl::string_view::npos) ++standstills;
  });
  FakeClock clock{milliseconds(20)};
  std::thread waiter([&clock] {
    const FakeClock::Scope scope(clock);
    SyncWait(Nap());
  });
  while (standstills == 0) std::this_thread::yield();
  for (bool moved = false; !moved;) {
    try {
      clock.Advance(seconds(1));
      moved = true;
    } catch (const std::runtime_error&) {
    }
  }
  waiter.join();
  internal::SetUnhandledErrorHook(hook);
  EXPECT_EQ(standstills, 1);
}

TEST(FakeClock, LoopsMayOutliveItAndStandStillThen) {
  Journal journal;
  auto clock = std::make_unique<FakeClock>();
  LoopPool loops(Threads(1));
  const Deadline then = clock->Now();
  clock.reset();
  SpawnOn(loops[0], Note(journal, nanoseconds(0), "runs")).Detach();
  const ContextRef context = ContextRef::Adopt(Context::NewDetached(nullptr));
  std::optional<JoinHandle<void>> never;
  {
    const ContextScope scope(context.get());
    never.emplace(SpawnOn(loops[0], Note(journal, hours(1), "never")));
  }
  EXPECT_EQ(loops[0].Now(), then);
  context->cancel_source().Cancel(absl::CancelledError("enough"));
  EXPECT_TRUE(absl::IsCancelled(SyncWaitStatus(Join(*std::move(never)))));
  loops.Stop();
  EXPECT_THAT(journal.Take(), ElementsAre("runs"));
}

// Loops come and go while the clock moves.
TEST(FakeClock, ThreadsMayWaitWhileItMoves) {
  FakeClock clock;
  std::atomic<int> ended{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      const FakeClock::Scope scope(clock);
      for (int i = 0; i < 20; ++i) SyncWait(Nap());
      ++ended;
    });
  }
  while (ended < 3) {
    clock.Advance(milliseconds(10));
    std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ended, 3);
}

}  // namespace
}  // namespace rookery::testing
