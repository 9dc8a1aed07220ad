#include "rookery/runtime/loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/hooks.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/sync_wait.h"
#include "runtime/asio_loop.h"

namespace rookery {
namespace {

using std::chrono::milliseconds;

class Latch {
 public:
  explicit Latch(int count) : count_(count) {}
  void CountDown() {
    const std::scoped_lock lock(mutex_);
    if (--count_ == 0) done_.notify_all();
  }
  void Wait() {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return count_ <= 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable done_;
  int count_;
};

// Runs `fn` on the loop and waits for it.
template <class Fn>
void RunOn(Loop& loop, Fn fn) {
  Latch latch(1);
  loop.Post([&] {
    fn();
    latch.CountDown();
  });
  latch.Wait();
}

TEST(LoopPool, HasThreadsWithNames) {
  LoopPool loops({.threads = 2, .name = "nest"});
  EXPECT_EQ(loops.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    RunOn(loops[i], [&] {
      EXPECT_EQ(Loop::Current(), &loops[i]);
      EXPECT_EQ(&loops.Pick(), &loops[i]);
      char name[16] = {};
      pthread_getname_np(pthread_self(), name, sizeof name);
      EXPECT_EQ(std::string(name), "nest-" + std::to_string(i));
    });
  }
  EXPECT_EQ(Loop::Current(), nullptr);
  Loop& first = loops.Pick();
  EXPECT_NE(&first, &loops.Pick());
}

TEST(LoopPool, RunsThePostsOfEachThreadInOrder) {
  LoopPool loops({.threads = 1});
  constexpr int kThreads = 4;
  constexpr int kPosts = 5000;
  std::vector<int> last(kThreads, -1);
  std::atomic<int> disorder{0};
  Latch latch(kThreads * kPosts);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kPosts; ++i) {
        loops[0].Post([&, t, i] {
          int& before = last[static_cast<std::size_t>(t)];
          if (before != i - 1) disorder.fetch_add(1);
          before = i;
          latch.CountDown();
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  latch.Wait();
  EXPECT_EQ(disorder, 0);
}

// A post that finds the loop about to wait must wake it: each of these is waited for.
TEST(LoopPool, NoWakeUpIsLost) {
  LoopPool loops({.threads = 2});
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&loops, t] {
      for (int i = 0; i < 3000; ++i) {
        std::atomic<bool> ran{false};
        loops[static_cast<std::size_t>((t + i) % 2)].Post([&ran] {
          ran.store(true, std::memory_order_release);
          ran.notify_one();
        });
        ran.wait(false, std::memory_order_acquire);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(LoopPool, PostsFromTheLoopItselfRunLaterInOrder) {
  LoopPool loops({.threads = 1});
  std::vector<int> order;
  Latch latch(1);
  loops[0].Post([&] {
    loops[0].Post([&] { order.push_back(2); });
    loops[0].Post([&] {
      order.push_back(3);
      latch.CountDown();
    });
    order.push_back(1);
  });
  latch.Wait();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(LoopPool, APostCarriesItsContextAndLeavesNone) {
  LoopPool loops({.threads = 1});
  Context context;
  Context* seen = nullptr;
  Context* after = &context;
  {
    const ContextScope scope(&context);
    RunOn(loops[0], [&] { seen = Context::Current(); });
  }
  RunOn(loops[0], [&] { after = Context::Current(); });
  EXPECT_EQ(seen, &context);
  EXPECT_EQ(after, nullptr);
  loops.Stop();
  EXPECT_TRUE(context.unique());
}

TEST(LoopPool, StopRunsWhatWasPosted) {
  std::atomic<int> ran{0};
  {
    LoopPool loops({.threads = 2});
    for (int i = 0; i < 1000; ++i) {
      loops.Pick().Post([&] { loops.Pick().Post([&] { ran.fetch_add(1); }); });
    }
    loops.Stop();
    loops.Stop();
  }
  EXPECT_EQ(ran, 1000);
}

std::string* g_report_text = nullptr;

TEST(LoopPool, AnExceptionInAPostIsReported) {
  std::string text;
  g_report_text = &text;
  const auto before =
      internal::SetUnhandledErrorHook([](std::string_view what, const absl::Status& error) {
        *g_report_text = std::string(what) + ": " + std::string(error.message());
      });
  LoopPool loops({.threads = 1});
  loops[0].Post([] { throw std::runtime_error("oops"); });
  RunOn(loops[0], [] {});
  internal::SetUnhandledErrorHook(before);
  EXPECT_EQ(text, "a function posted to a loop: internal error");
}

struct CountTimer final : LoopTimer {
  explicit CountTimer(Latch* l) noexcept
      : LoopTimer([](LoopTimer* self) noexcept {
          auto* const timer = static_cast<CountTimer*>(self);
          timer->fired_at = std::chrono::steady_clock::now();
          timer->latch->CountDown();
        }),
        latch(l) {}
  Latch* latch;
  Deadline fired_at{};
};

TEST(LoopPool, TimersFireNotBeforeTheirTime) {
  LoopPool loops({.threads = 1});
  Latch latch(2);
  CountTimer late(&latch);
  CountTimer early(&latch);
  CountTimer never(&latch);
  const Deadline now = std::chrono::steady_clock::now();
  RunOn(loops[0], [&] {
    loops[0].Arm(&late, now + milliseconds(30));
    loops[0].Arm(&early, now + milliseconds(10));
    loops[0].Arm(&never, now + milliseconds(5));
    loops[0].Disarm(&never);
  });
  latch.Wait();
  EXPECT_GE(early.fired_at, now + milliseconds(10));
  EXPECT_GE(late.fired_at, now + milliseconds(30));
  EXPECT_EQ(never.fired_at, Deadline{});
}

struct Ready final : FdWait {
  Ready() noexcept
      : FdWait([](FdWait* self, bool is_ready) noexcept {
          auto* const wait = static_cast<Ready*>(self);
          wait->calls.fetch_add(1);
          wait->ready = is_ready;
          if (wait->latch != nullptr) wait->latch->CountDown();
        }) {}
  std::atomic<int> calls{0};
  bool ready = false;
  Latch* latch = nullptr;
};

TEST(LoopPool, WaitsForDescriptors) {
  LoopPool loops({.threads = 1});
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  Latch readable(1);
  Latch writable(1);
  Ready read;
  read.latch = &readable;
  Ready write;
  write.latch = &writable;
  RunOn(loops[0], [&] {
    loops[0].WaitFd(pair[0], FdEvent::kReadable, &read);
    loops[0].WaitFd(pair[0], FdEvent::kWritable, &write);
  });
  writable.Wait();
  EXPECT_TRUE(write.ready);
  EXPECT_EQ(read.calls, 0);
  ASSERT_EQ(::write(pair[1], "x", 1), 1);
  readable.Wait();
  EXPECT_TRUE(read.ready);
  // Once no wait is pending the descriptor is its owner's again, to close and to open anew.
  RunOn(loops[0], [&] {
    close(pair[0]);
    close(pair[1]);
  });
  int again[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, again), 0);
  Ready cancelled;
  RunOn(loops[0], [&] {
    loops[0].WaitFd(again[0], FdEvent::kReadable, &cancelled);
    loops[0].CancelWait(&cancelled);
    EXPECT_EQ(cancelled.calls, 1);
    EXPECT_FALSE(cancelled.ready);
    loops[0].CancelWait(&cancelled);
    close(again[0]);
    close(again[1]);
  });
  EXPECT_EQ(cancelled.calls, 1);
}

TEST(LoopPool, OneOfTwoWaitsOnADescriptorMayBeCancelled) {
  LoopPool loops({.threads = 1});
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  Latch latch(1);
  Ready first;
  Ready second;
  second.latch = &latch;
  RunOn(loops[0], [&] {
    loops[0].WaitFd(pair[0], FdEvent::kReadable, &first);
    loops[0].WaitFd(pair[0], FdEvent::kReadable, &second);
    loops[0].CancelWait(&first);
  });
  ASSERT_EQ(::write(pair[1], "x", 1), 1);
  latch.Wait();
  EXPECT_EQ(first.calls, 1);
  EXPECT_FALSE(first.ready);
  EXPECT_TRUE(second.ready);
  RunOn(loops[0], [&] {
    close(pair[0]);
    close(pair[1]);
  });
}

TEST(LoopPool, ALastingWaitKeepsItsDescriptorUntilItIsCancelled) {
  LoopPool loops({.threads = 1});
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  Ready read;
  read.lasting = true;
  for (int turn = 1; turn <= 3; ++turn) {
    Latch latch(1);
    read.latch = &latch;
    RunOn(loops[0], [&] { loops[0].WaitFd(pair[0], FdEvent::kReadable, &read); });
    ASSERT_EQ(::write(pair[1], "x", 1), 1);
    latch.Wait();
    EXPECT_TRUE(read.ready);
    EXPECT_EQ(read.calls, turn);
    // What was there before the wait counts, too.
    if (turn == 1) {
      Latch left(1);
      read.latch = &left;
      RunOn(loops[0], [&] { loops[0].WaitFd(pair[0], FdEvent::kReadable, &read); });
      left.Wait();
      read.calls = 1;
    }
    char bytes[8];
    ASSERT_EQ(::read(pair[0], bytes, sizeof bytes), 1);
  }
  read.latch = nullptr;
  int again[2];
  RunOn(loops[0], [&] {
    // Not pending: nobody is told.
    loops[0].CancelWait(&read);
    EXPECT_EQ(read.calls, 3);
    EXPECT_EQ(read.implementation, nullptr);
    close(pair[0]);
    close(pair[1]);
    // Most likely the same numbers.
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, again), 0);
    loops[0].WaitFd(again[0], FdEvent::kReadable, &read);
    loops[0].CancelWait(&read);
    EXPECT_EQ(read.calls, 4);
    EXPECT_FALSE(read.ready);
    loops[0].CancelWait(&read);
    EXPECT_EQ(read.calls, 4);
    loops[0].WaitFd(again[0], FdEvent::kReadable, &read);
  });
  Latch latch(1);
  RunOn(loops[0], [&] { read.latch = &latch; });
  ASSERT_EQ(::write(again[1], "x", 1), 1);
  latch.Wait();
  EXPECT_EQ(read.calls, 5);
  RunOn(loops[0], [&] {
    loops[0].CancelWait(&read);
    EXPECT_EQ(read.calls, 5);
    close(again[0]);
    close(again[1]);
  });
}

TEST(LoopPool, ARegularFileIsAlwaysReady) {
  LoopPool loops({.threads = 1});
  const int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  Latch latch(1);
  Ready read;
  read.latch = &latch;
  RunOn(loops[0], [&] { loops[0].WaitFd(fd, FdEvent::kReadable, &read); });
  latch.Wait();
  EXPECT_TRUE(read.ready);
  close(fd);
}

TEST(LoopPool, LendsItsIoContextToAdapters) {
  LoopPool loops({.threads = 1});
  Latch latch(1);
  RunOn(loops[0], [&] {
    boost::asio::io_context& io = internal::AsioContext(loops[0]);
    boost::asio::post(io, [&] {
      EXPECT_EQ(Loop::Current(), &loops[0]);
      // A handler that throws does not end the loop.
      latch.CountDown();
      throw std::runtime_error("in a handler");
    });
  });
  latch.Wait();
  RunOn(loops[0], [] {});
}

std::mutex g_held_mutex;
std::vector<std::string> g_held;

TEST(Watchdog, NamesWhoHoldsALoop) {
  const auto before = internal::SetWatchdogHook([](const internal::WatchdogReport& report) {
    const std::scoped_lock lock(g_held_mutex);
    g_held.push_back(std::string(report.loop) + " " + std::string(report.running));
  });
  // Until the watchdog has spoken: no time is asserted.
  auto hold = [](std::size_t reports) {
    for (;;) {
      std::this_thread::sleep_for(milliseconds(1));
      const std::scoped_lock lock(g_held_mutex);
      if (g_held.size() >= reports) return;
    }
  };
  {
    LoopPool loops({.threads = 1, .name = "nest", .watchdog = milliseconds(20)});
    const ContextRef context = ContextRef::Adopt(Context::NewChild(nullptr));
    const ContextScope scope(context.get());
    RunOn(loops[0], [&] {
      const internal::RunningScope running("/shop.v1.Orders/Place");
      hold(1);
    });
    // Named, too, after it has suspended and come back.
    auto handler = [&]() -> Task<> {
      co_await Sleep(milliseconds(1));
      hold(2);
    };
    Latch latch(1);
    auto wait = [&]() -> Task<> {
      co_await handler();
      latch.CountDown();
    };
    JoinHandle<void> handle = SpawnOn(loops[0], wait());
    latch.Wait();
    RunOn(loops[0], [] {});
  }
  internal::SetWatchdogHook(before);
  EXPECT_EQ(g_held, (std::vector<std::string>{"nest-0 /shop.v1.Orders/Place",
                                              "nest-0 /shop.v1.Orders/Place"}));
}

// Work may end the loop's life while the thread that posted it is still inside Post.
TEST(SyncLoop, OutlivesTheThreadThatPostedItsLastWork) {
  struct Last final : LoopWork {
    Last() noexcept
        : LoopWork([](LoopWork* self) noexcept { static_cast<Last*>(self)->done = true; }) {}
    bool done = false;
  };
  struct Round {
    internal::SyncLoop loop;
    Last last;
  };
  constexpr int kRounds = 5000;
  std::atomic<Round*> posted{nullptr};
  std::thread poster([&] {
    for (int i = 0; i < kRounds; ++i) {
      Round* round = nullptr;
      while ((round = posted.exchange(nullptr, std::memory_order_acq_rel)) == nullptr) {
        std::this_thread::yield();
      }
      round->loop.Post(&round->last);
    }
  });
  for (int i = 0; i < kRounds; ++i) {
    auto round = std::make_unique<Round>();
    round->loop.Enter();
    posted.store(round.get(), std::memory_order_release);
    round->loop.RunUntil(round->last.done);
    round->loop.Leave();
  }
  poster.join();
}

}  // namespace
}  // namespace rookery
