#include "rookery/runtime/await.h"

#include <gtest/gtest.h>

#include <chrono>
#include <coroutine>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/start.h"
#include "rookery/runtime/stream.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/runtime/task.h"

namespace rookery {
namespace {

// An awaitable that knows nothing of this framework: resumes on a thread of its own.
class ForeignThread {
 public:
  explicit ForeignThread(std::vector<std::thread>* threads) noexcept : threads_(threads) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    threads_->emplace_back([handle] {
      handle.resume();
      left_behind = Context::Current();
    });
  }
  int await_resume() const noexcept { return 5; }
  static inline thread_local Context* left_behind = nullptr;

 private:
  std::vector<std::thread>* threads_;
};
struct ForeignReady {
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  std::string await_resume() const { return "ready"; }
};
struct ForeignRefuses {
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<>) const noexcept { return false; }
  int await_resume() const noexcept { return 2; }
};
struct ForeignSymmetric {
  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> handle) const noexcept {
    return handle;
  }
  int await_resume() const noexcept { return 3; }
};
struct ForeignThrows {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<>) const { throw std::runtime_error("suspend"); }
  void await_resume() const noexcept {}
};
struct WithMember {
  ForeignRefuses operator co_await() const noexcept { return {}; }
};
struct WithFunction {};
ForeignSymmetric operator co_await(WithFunction) noexcept { return {}; }

TEST(Foreign, AllShapesOfAwaitables) {
  auto test = []() -> Task<int> {
    const std::string text = co_await ForeignReady();
    EXPECT_EQ(text, "ready");
    int sum = co_await ForeignRefuses();
    sum += co_await ForeignSymmetric();
    sum += co_await WithMember();
    sum += co_await WithFunction();
    ForeignRefuses named;
    sum += co_await named;
    bool thrown = false;
    try {
      co_await ForeignThrows();
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    EXPECT_TRUE(thrown);
    co_return sum;
  };
  EXPECT_EQ(SyncWait(test()), 2 + 3 + 2 + 3 + 2);
}

TEST(Foreign, ComesHomeWithItsContext) {
  std::vector<std::thread> threads;
  Context context;
  const ContextScope scope(&context);
  auto test = [&]() -> Task<int> {
    Loop* const home = Loop::Current();
    const std::thread::id thread = std::this_thread::get_id();
    int sum = 0;
    for (int i = 0; i < 20; ++i) {
      sum += co_await ForeignThread(&threads);
      EXPECT_EQ(Context::Current(), &context);
      EXPECT_EQ(Loop::Current(), home);
      EXPECT_EQ(std::this_thread::get_id(), thread);
    }
    co_return sum;
  };
  EXPECT_EQ(SyncWait(test()), 100);
  for (std::thread& thread : threads) thread.join();
}

TEST(Foreign, WithoutALoopGoesOnWhereItIsResumedAndLeavesNoContextThere) {
  std::vector<std::thread> threads;
  Context context;
  auto body = [](std::vector<std::thread>* out) -> Task<Context*> {
    static_cast<void>(co_await ForeignThread(out));
    co_return Context::Current();
  };
  Task<Context*> task = body(&threads);
  Context* seen = nullptr;
  internal::Start(task, &context, &seen,
                  [](void* out, internal::TaskPromise<Context*>& promise) noexcept {
                    *static_cast<Context**>(out) = promise.value();
                  });
  EXPECT_EQ(Context::Current(), nullptr);
  threads[0].join();
  EXPECT_EQ(seen, &context);
}

TEST(RunIn, GivesTheContextBackOnEveryPath) {
  Context outer;
  const ContextScope scope(&outer);
  auto value = [](bool suspend) -> Task<Context*> {
    if (suspend) co_await Yield();
    co_return Context::Current();
  };
  auto failure = [](bool suspend, bool by_exception) -> Task<int> {
    if (suspend) co_await Yield();
    if (by_exception) throw std::runtime_error("broken");
    co_return absl::AbortedError("broken");
  };
  auto test = [&]() -> Task<> {
    for (int i = 0; i < 2; ++i) {
      const bool suspend = i == 1;
      ContextRef inner = ContextRef::Adopt(Context::NewChild(&outer));
      Context* const expected = inner.get();
      Context* const seen = co_await RunIn(std::move(inner), value(suspend));
      EXPECT_EQ(seen, expected);
      EXPECT_EQ(Context::Current(), &outer);
      for (int k = 0; k < 2; ++k) {
        bool thrown = false;
        ContextRef again = ContextRef::Adopt(Context::NewChild(&outer));
        try {
          static_cast<void>(co_await RunIn(std::move(again), failure(suspend, k == 1)));
        } catch (const std::exception&) {
          thrown = true;
        }
        EXPECT_TRUE(thrown);
        EXPECT_EQ(Context::Current(), &outer);
      }
    }
  };
  SyncWait(test());
}

// Whoever resumes or starts a coroutine in another context has its own back when that suspends.
TEST(RunIn, LeavesNothingBehindWhenTheInnerTaskSuspends) {
  Context outer;
  const ContextScope scope(&outer);
  auto inner = []() -> Task<> { co_await Sleep(std::chrono::milliseconds(1)); };
  auto task = [&]() -> Task<> {
    co_await RunIn(ContextRef::Adopt(Context::NewChild(nullptr)), inner());
  };
  auto test = [&]() -> Task<> {
    JoinHandle<void> handle = Spawn(task());
    EXPECT_EQ(Context::Current(), &outer);
    co_await std::move(handle);
    EXPECT_EQ(Context::Current(), &outer);
  };
  SyncWait(test());
}

TEST(Start, TellsItsCallerWithoutAFrame) {
  struct Call {
    std::optional<Task<int>> task;
    int result = 0;
  } call;
  auto body = []() -> Task<int> { co_return 9; };
  call.task.emplace(body());
  internal::Start(*call.task, nullptr, &call,
                  [](void* argument, internal::TaskPromise<int>& promise) noexcept {
                    auto* const self = static_cast<Call*>(argument);
                    self->result = promise.value();
                    self->task.reset();
                  });
  EXPECT_EQ(call.result, 9);
  EXPECT_FALSE(call.task.has_value());
}

TEST(Promise, AFailureIsHandedOnWithoutAThrow) {
  auto fails = [](bool by_exception) -> Task<int> {
    if (by_exception) throw std::runtime_error("text");
    co_return absl::AbortedError("status");
  };
  auto hands_on = [&](bool by_exception) -> Task<std::string> {
    const Task<int> task = fails(by_exception);
    internal::TaskPromise<int>& done =
        co_await internal::CompletionIn<int>(Context::Current(), task);
    if (done.failed()) co_await done.TakeFailure();
    co_return "no failure";
  };
  EXPECT_EQ(SyncWaitStatus(hands_on(false)).status(), absl::AbortedError("status"));
  EXPECT_THROW(SyncWait(hands_on(true)), std::runtime_error);
}

}  // namespace
}  // namespace rookery
