// The context follows the call: a million calls interleave on several loops, through every way to
// suspend, and none ever sees another's context.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/offload.h"
#include "rookery/runtime/queue.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/start.h"
#include "rookery/runtime/stream.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/runtime/task.h"
#include "rookery/runtime/when.h"

namespace rookery {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kCalls = 200'000;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr int kCalls = 200'000;
#else
constexpr int kCalls = 1'000'000;
#endif
#else
constexpr int kCalls = 1'000'000;
#endif

inline constexpr ContextKey<std::int64_t> kId{"id"};

std::atomic<std::int64_t> g_leaks{0};
std::atomic<std::int64_t> g_checks{0};

// Called at every turn of a call.
void Check(std::int64_t id) {
  Context* const context = Context::Current();
  const std::int64_t* const found = context == nullptr ? nullptr : context->Find(kId);
  if (found == nullptr || *found != id) g_leaks.fetch_add(1, std::memory_order_relaxed);
}

// A foreign library: resumes whoever waits on its own thread.
class ForeignLibrary {
 public:
  ForeignLibrary() : thread_([this] { Run(); }) {}
  ~ForeignLibrary() {
    stop_ = true;
    thread_.join();
  }
  class Awaiter {
   public:
    explicit Awaiter(ForeignLibrary* library) noexcept : library_(library) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
      const std::scoped_lock lock(library_->mutex_);
      library_->waiting_.push_back(handle);
    }
    void await_resume() const noexcept {}

   private:
    ForeignLibrary* library_;
  };
  Awaiter Wait() noexcept { return Awaiter(this); }

 private:
  void Run() {
    while (!stop_) {
      std::vector<std::coroutine_handle<>> ready;
      {
        const std::scoped_lock lock(mutex_);
        ready.swap(waiting_);
      }
      for (const std::coroutine_handle<> handle : ready) {
        handle.resume();
        if (Context::Current() != nullptr) g_leaks.fetch_add(1);
      }
      if (ready.empty()) std::this_thread::yield();
    }
  }
  std::mutex mutex_;
  std::vector<std::coroutine_handle<>> waiting_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

Task<> Leaf(std::int64_t id) {
  Check(id);
  co_await Yield();
  Check(id);
}
Stream<int> Numbers(std::int64_t id, int n) {
  for (int i = 0; i < n; ++i) {
    Check(id);
    if (i % 2 == 0) co_await Yield();
    Check(id);
    co_yield i;
  }
}
Task<> Echo(Queue<std::int64_t>& requests, Queue<std::int64_t>& replies) {
  for (;;) {
    const std::optional<std::int64_t> request = co_await requests.Pop();
    if (!request) break;
    if (Context::Current() != nullptr) g_leaks.fetch_add(1);
    static_cast<void>(co_await replies.Push(*request));
  }
}

struct Shared {
  Queue<std::int64_t> requests{64};
  Queue<std::int64_t> replies{64};
  ForeignLibrary foreign;
  LoopPool* loops = nullptr;
};

Task<> Call(Shared& shared, std::int64_t id) {
  Check(id);
  switch (id % 16) {
    case 0: {
      static_cast<void>(co_await WhenAll(Leaf(id), Leaf(id)));
      break;
    }
    case 1: {
      Stream<int> numbers = Numbers(id, 4);
      for (;;) {
        const std::optional<int> number = co_await numbers.Next();
        Check(id);
        if (!number) break;
      }
      break;
    }
    case 2:
      static_cast<void>(co_await shared.requests.Push(id));
      Check(id);
      static_cast<void>(co_await shared.replies.Pop());
      break;
    case 3: {
      JoinHandle<void> handle = SpawnOn(shared.loops->Pick(), Leaf(id));
      co_await std::move(handle);
      break;
    }
    case 4: {
      ContextRef nested = ContextRef::Adopt(Context::NewChild(Context::Current()));
      nested->Set(kId, -id);
      co_await RunIn(std::move(nested), Leaf(-id));
      break;
    }
    case 5:
      if (id % 64 == 5) {
        co_await shared.foreign.Wait();
      } else {
        co_await WithTimeout(Leaf(id), std::chrono::hours(1));
      }
      break;
    case 6:
      if (id % 256 == 6) {
        auto work = [id] {
          Check(id);
          return id;
        };
        static_cast<void>(co_await Offload(std::move(work)));
      }
      break;
    case 7:
      if (id % 64 == 7) co_await Sleep(std::chrono::microseconds(200));
      break;
    default:
      co_await Leaf(id);
  }
  Check(id);
  g_checks.fetch_add(1, std::memory_order_relaxed);
}

// One of the loops' drivers: keeps many calls in flight, each in a context of its own.
Task<> Drive(Shared& shared, std::int64_t first, std::int64_t count) {
  constexpr std::int64_t kInFlight = 64;
  for (std::int64_t done = 0; done < count;) {
    std::vector<JoinHandle<void>> calls;
    for (; done < count && calls.size() < kInFlight; ++done) {
      const ContextRef context = ContextRef::Adopt(Context::NewChild(nullptr));
      context->Set(kId, first + done);
      const ContextScope scope(context.get());
      calls.push_back(Spawn(Call(shared, first + done)));
    }
    if (Context::Current() != nullptr) g_leaks.fetch_add(1);
    for (JoinHandle<void>& call : calls) {
      co_await std::move(call);
      if (Context::Current() != nullptr) g_leaks.fetch_add(1);
    }
  }
}

TEST(ContextFlow, AMillionInterleavedCallsLeakNothing) {
  constexpr int kLoops = 3;
  LoopPool loops({.threads = kLoops});
  Shared shared;
  shared.loops = &loops;
  auto test = [&]() -> Task<> {
    JoinHandle<void> echo = SpawnOn(loops[0], Echo(shared.requests, shared.replies));
    std::vector<JoinHandle<void>> drivers;
    for (int i = 0; i < kLoops; ++i) {
      const std::int64_t first = 1 + i * std::int64_t{kCalls};
      drivers.push_back(
          SpawnOn(loops[static_cast<std::size_t>(i)], Drive(shared, first, kCalls / kLoops)));
    }
    for (JoinHandle<void>& driver : drivers) co_await std::move(driver);
    shared.requests.Close();
    co_await std::move(echo);
  };
  SyncWait(test());
  EXPECT_EQ(g_checks, kCalls / kLoops * kLoops);
  EXPECT_EQ(g_leaks, 0);
}

}  // namespace
}  // namespace rookery
