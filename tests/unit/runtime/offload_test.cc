#include "rookery/runtime/offload.h"

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "rookery/runtime/loop.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/sync_wait.h"

namespace rookery {
namespace {

inline constexpr ContextKey<std::string> kName{"name"};

TEST(Offload, RunsElsewhereAndComesBack) {
  LoopPool loops({.threads = 1, .name = "home"});
  SyncWait([](Loop& loop) -> Task<void> {
    auto work = SpawnOn(loop, []() -> Task<void> {
      const auto home = std::this_thread::get_id();
      auto where = [] { return std::this_thread::get_id(); };
      const auto elsewhere = co_await Offload(where);
      EXPECT_NE(elsewhere, home);
      EXPECT_EQ(std::this_thread::get_id(), home);
    }());
    co_await std::move(work);
  }(loops[0]));
  loops.Stop();
}

TEST(Offload, SeesTheCallersContextAndLeavesNoneBehind) {
  const ContextRef context = ContextRef::Adopt(Context::NewChild(nullptr));
  const ContextScope scope(context.get());
  context->Set(kName, "ada");
  OffloadPool pool({.max_threads = 1});
  SyncWait([](OffloadPool& threads) -> Task<void> {
    auto read = [] { return *Context::Current()->Find(kName); };
    const std::string name = co_await Offload(threads, read);
    EXPECT_EQ(name, "ada");
    EXPECT_EQ(*Context::Current()->Find(kName), "ada");
  }(pool));
}

TEST(Offload, BringsBackWhatTheFunctionThrows) {
  SyncWait([]() -> Task<void> {
    std::string text;
    auto fail = []() -> int { throw std::runtime_error("disk"); };
    try {
      const int value = co_await Offload(fail);
      ADD_FAILURE() << value;
    } catch (const std::runtime_error& error) {
      text = error.what();
    }
    EXPECT_EQ(text, "disk");
  }());
}

TEST(Offload, MovesResultsThatCannotBeCopied) {
  SyncWait([]() -> Task<void> {
    auto make = [] { return std::make_unique<int>(42); };
    const std::unique_ptr<int> value = co_await Offload(make);
    EXPECT_EQ(*value, 42);
  }());
}

TEST(Offload, KeepsToItsThreads) {
  OffloadPool pool({.max_threads = 2});
  std::atomic<bool> go = false;
  SyncWait([](OffloadPool& threads, std::atomic<bool>& gate) -> Task<void> {
    std::vector<JoinHandle<void>> work;
    for (int i = 0; i < 6; ++i) {
      work.push_back(Spawn([](OffloadPool& p, std::atomic<bool>& g) -> Task<void> {
        auto wait = [&g] { g.wait(false); };
        co_await Offload(p, wait);
      }(threads, gate)));
    }
    EXPECT_EQ(threads.threads(), 2U);
    gate = true;
    gate.notify_all();
    for (auto& one : work) co_await std::move(one);
  }(pool, go));
}

TEST(Offload, RefusesWithResourceExhausted) {
  OffloadPool pool({.max_threads = 1, .max_queue = 0});
  SyncWait([](OffloadPool& threads) -> Task<void> {
    absl::Status status;
    try {
      auto nothing = [] {};
      co_await Offload(threads, nothing);
    } catch (const RpcException& error) {
      status = error.status();
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  }(pool));
}

}  // namespace
}  // namespace rookery
