#include "rookery/runtime/sync_wait.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <coroutine>
#include <stdexcept>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/runtime/await.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/task.h"

namespace rookery {
namespace {

Task<int> Value(int value) { co_return value; }

TEST(SyncWait, IsALoopMeanwhile) {
  auto test = []() -> Task<bool> {
    bool posted = false;
    Loop::Current()->Post([&posted] { posted = true; });
    co_await Yield();
    co_await Sleep(std::chrono::milliseconds(2));
    co_return posted;
  };
  EXPECT_EQ(Loop::Current(), nullptr);
  EXPECT_TRUE(SyncWait(test()));
  EXPECT_EQ(Loop::Current(), nullptr);
}

TEST(SyncWait, KeepsTheCallersContext) {
  Context context;
  const ContextScope scope(&context);
  auto test = []() -> Task<Context*> {
    co_await Yield();
    co_return Context::Current();
  };
  EXPECT_EQ(SyncWait(test()), &context);
  EXPECT_EQ(Context::Current(), &context);
}

TEST(SyncWait, IsRefusedOnALoop) {
  auto test = []() -> Task<std::string> {
    std::string text;
    try {
      static_cast<void>(SyncWait(Value(1)));
    } catch (const std::logic_error& error) {
      text = error.what();
    }
    co_return text;
  };
  EXPECT_NE(SyncWait(test()).find("co_await the task instead"), std::string::npos);
  auto status = []() -> Task<absl::Status> { co_return SyncWaitStatus(Value(1)).status(); };
  EXPECT_EQ(SyncWait(status()).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(SyncWait, OfATaskThatEndsOnAnotherLoop) {
  LoopPool loops({.threads = 1});
  auto test = [](Loop& loop) -> Task<bool> {
    co_await ResumeOn(loop);
    co_return Loop::Current() == &loop;
  };
  for (int i = 0; i < 200; ++i) EXPECT_TRUE(SyncWait(test(loops[0])));
}

class ReadableAwaiter final : public LeafAwaiter, private FdWait {
 public:
  explicit ReadableAwaiter(int fd) noexcept
      : FdWait([](FdWait* self, bool ready) noexcept {
          auto* const awaiter = static_cast<ReadableAwaiter*>(self);
          awaiter->ready_ = ready;
          awaiter->Wake();
        }),
        fd_(fd) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    Suspend(handle);
    loop()->WaitFd(fd_, FdEvent::kReadable, this);
  }
  bool await_resume() noexcept {
    Resumed();
    return ready_;
  }

 private:
  int fd_;
  bool ready_ = false;
};

TEST(SyncWait, WaitsForDescriptorsTimersAndPostsAtOnce) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  LoopPool loops({.threads = 1});
  auto write_later = [](Loop& loop, int fd) -> Task<> {
    co_await ResumeOn(loop);
    co_await Sleep(std::chrono::milliseconds(5));
    EXPECT_EQ(write(fd, "x", 1), 1);
  };
  auto test = [&]() -> Task<bool> {
    JoinHandle<void> writer = Spawn(write_later(loops[0], ends[1]));
    JoinHandle<bool> reader = Spawn([](int fd) -> Task<bool> {
      const bool ready = co_await ReadableAwaiter(fd);
      co_return ready;
    }(ends[0]));
    co_await Sleep(std::chrono::milliseconds(1));
    co_await std::move(writer);
    const bool ready = co_await std::move(reader);
    co_return ready;
  };
  EXPECT_TRUE(SyncWait(test()));
  close(ends[0]);
  close(ends[1]);
}

TEST(SyncWait, OnManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      auto test = [](int n) -> Task<int> {
        int sum = 0;
        for (int i = 0; i < n; ++i) {
          co_await Yield();
          sum += co_await Value(1);
        }
        co_return sum;
      };
      for (int i = 0; i < 50; ++i) EXPECT_EQ(SyncWait(test(20)), 20);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace rookery
