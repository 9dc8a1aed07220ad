#include "rookery/runtime/spawn.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/hooks.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/sync_wait.h"

namespace rookery {
namespace {

inline constexpr ContextKey<std::string> kName{"name"};

Task<int> Later(int value) {
  co_await Yield();
  co_return value;
}
Task<int> FailLater(absl::Status status) {
  co_await Yield();
  co_return status;
}
Task<> ThrowLater() {
  co_await Yield();
  throw std::runtime_error("broken");
}

std::vector<std::string>* g_unhandled = nullptr;
class Unhandled {
 public:
  Unhandled() {
    g_unhandled = &reports;
    previous_ =
        internal::SetUnhandledErrorHook([](std::string_view what, const absl::Status& error) {
          g_unhandled->push_back(std::string(what) + ": " + std::string(error.message()));
        });
  }
  ~Unhandled() { internal::SetUnhandledErrorHook(previous_); }
  std::vector<std::string> reports;

 private:
  internal::UnhandledErrorHook previous_;
};

TEST(Spawn, StartsAtOnceAndIsJoined) {
  auto test = []() -> Task<int> {
    bool started = false;
    JoinHandle<int> handle = Spawn([](bool* flag) -> Task<int> {
      *flag = true;
      const int value = co_await Later(5);
      co_return value;
    }(&started));
    EXPECT_TRUE(started);
    EXPECT_FALSE(handle.done());
    const int value = co_await std::move(handle);
    co_return value;
  };
  EXPECT_EQ(SyncWait(test()), 5);
}

TEST(Spawn, AJoinGivesTheFailure) {
  const Unhandled unhandled;
  auto test = []() -> Task<> {
    JoinHandle<int> status = Spawn(FailLater(absl::NotFoundError("none")));
    const absl::StatusOr<int> joined = co_await AsStatusOr(std::move(status));
    EXPECT_EQ(joined.status(), absl::NotFoundError("none"));
    JoinHandle<void> exception = Spawn(ThrowLater());
    bool thrown = false;
    try {
      co_await std::move(exception);
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    EXPECT_TRUE(thrown);
  };
  SyncWait(test());
  EXPECT_TRUE(unhandled.reports.empty());
}

TEST(Spawn, AFailureThatNobodyTakesIsReported) {
  const Unhandled unhandled;
  auto test = []() -> Task<> {
    Spawn(FailLater(absl::NotFoundError("none"))).Detach();
    {
      const JoinHandle<void> dropped = Spawn(ThrowLater());
    }
    JoinHandle<int> never_joined = Spawn(FailLater(absl::AbortedError("kept until it ended")));
    co_await Sleep(std::chrono::milliseconds(1));
    EXPECT_TRUE(never_joined.done());
  };
  SyncWait(test());
  EXPECT_EQ(unhandled.reports,
            (std::vector<std::string>{"a spawned task: none", "a spawned task: internal error",
                                      "a spawned task: kept until it ended"}));
}

TEST(Spawn, SharesTheContextAndKeepsItAlive) {
  auto context = ContextRef::Adopt(Context::NewChild(nullptr));
  auto task = [](Context* expected, Event& go) -> Task<bool> {
    co_await go.Wait();
    Context::Current()->Set(kName, "spawned");
    co_return Context::Current() == expected;
  };
  auto test = [&]() -> Task<> {
    Event go;
    Context* const outer = Context::Current();
    JoinHandle<bool> handle = [&] {
      const ContextScope scope(context.get());
      return Spawn(task(context.get(), go));
    }();
    EXPECT_EQ(Context::Current(), outer);
    EXPECT_FALSE(context->unique());
    go.Set();
    const bool same = co_await std::move(handle);
    EXPECT_TRUE(same);
    EXPECT_EQ(Context::Current(), outer);
  };
  SyncWait(test());
  EXPECT_EQ(*context->Find(kName), "spawned");
  EXPECT_TRUE(context->unique());
}

TEST(SpawnOn, RunsOnThatLoop) {
  LoopPool loops({.threads = 2});
  auto where = []() -> Task<Loop*> {
    co_await Yield();
    co_return Loop::Current();
  };
  auto test = [&]() -> Task<> {
    Loop* const home = Loop::Current();
    for (int i = 0; i < 200; ++i) {
      JoinHandle<Loop*> a = SpawnOn(loops[0], where());
      JoinHandle<Loop*> b = SpawnOn(loops[1], where());
      Loop* const second = co_await std::move(b);
      Loop* const first = co_await std::move(a);
      EXPECT_EQ(first, &loops[0]);
      EXPECT_EQ(second, &loops[1]);
      EXPECT_EQ(Loop::Current(), home);
    }
  };
  SyncWait(test());
}

TEST(SpawnDetached, IsOutOfReachOfTheCallsEnd) {
  const Unhandled unhandled;
  auto task = [](std::string* seen, Event& done) -> Task<> {
    co_await Sleep(std::chrono::milliseconds(2));
    *seen = *Context::Current()->Find(kName);
    done.Set();
    co_await Fail(absl::InternalError("reported"));
  };
  std::string seen;
  auto test = [&]() -> Task<> {
    Event done;
    {
      auto context = ContextRef::Adopt(Context::NewChild(nullptr));
      context->Set(kName, "value");
      context->TightenDeadline(Deadline{});
      const ContextScope scope(context.get());
      SpawnDetached(task(&seen, done));
      context->cancel_source().Cancel(absl::CancelledError("gone"));
      context->Set(kName, "changed later");
    }
    co_await done.Wait();
    co_await Yield();
  };
  SyncWait(test());
  EXPECT_EQ(seen, "value");
  EXPECT_EQ(unhandled.reports, (std::vector<std::string>{"a spawned task: reported"}));
}

}  // namespace
}  // namespace rookery
