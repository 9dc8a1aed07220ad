#include "rookery/runtime/cancel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/status/status.h"

namespace rookery {
namespace {

void Increment(void* counter) noexcept {
  static_cast<std::atomic<int>*>(counter)->fetch_add(1, std::memory_order_relaxed);
}

TEST(Cancel, RunsCallbacksOnceWithTheFirstReason) {
  CancelSource source;
  std::atomic<int> calls{0};
  const CancelCallback first(source.token(), &Increment, &calls);
  const CancelCallback second(source.token(), &Increment, &calls);
  {
    const CancelCallback gone(source.token(), &Increment, &calls);
  }
  EXPECT_TRUE(source.reason().ok());
  EXPECT_TRUE(source.Cancel(absl::AbortedError("first")));
  EXPECT_FALSE(source.Cancel(absl::AbortedError("second")));
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(source.token().reason(), absl::AbortedError("first"));
}

TEST(Cancel, RunsALateCallbackAtOnce) {
  CancelSource source;
  source.Cancel(absl::OkStatus());
  EXPECT_EQ(source.reason().code(), absl::StatusCode::kCancelled);
  std::atomic<int> calls{0};
  const CancelCallback late(source.token(), &Increment, &calls);
  EXPECT_EQ(calls, 1);
}

TEST(Cancel, ADefaultTokenIsNeverCancelled) {
  std::atomic<int> calls{0};
  const CancelCallback callback(CancelToken(), &Increment, &calls);
  EXPECT_FALSE(CancelToken().cancelled());
  EXPECT_TRUE(CancelToken().reason().ok());
}

TEST(Cancel, ACallbackMayDestroyItselfAndOthers) {
  struct State {
    CancelSource source;
    std::unique_ptr<CancelCallback> self;
    std::unique_ptr<CancelCallback> other;
    int calls = 0;
  } state;
  auto destroy = [](void* argument) noexcept {
    auto* const s = static_cast<State*>(argument);
    ++s->calls;
    s->self.reset();
    s->other.reset();
  };
  state.self = std::make_unique<CancelCallback>(state.source.token(), destroy, &state);
  state.other = std::make_unique<CancelCallback>(state.source.token(), destroy, &state);
  state.source.Cancel(absl::CancelledError());
  EXPECT_EQ(state.calls, 1);
}

TEST(Cancel, IsReusableAfterReset) {
  CancelSource source;
  source.Cancel(absl::CancelledError());
  source.Reset();
  EXPECT_FALSE(source.cancelled());
  std::atomic<int> calls{0};
  const CancelCallback callback(source.token(), &Increment, &calls);
  source.Cancel(absl::CancelledError());
  EXPECT_EQ(calls, 1);
}

// Once Disarm has returned the callback is not running and never will: what it uses may go.
TEST(Cancel, DisarmRacesWithCancel) {
  for (int round = 0; round < 500; ++round) {
    CancelSource source;
    std::atomic<int> go{0};
    std::thread canceller([&] {
      go.fetch_add(1);
      while (go.load() < 2) {
      }
      source.Cancel(absl::CancelledError());
    });
    auto alive = std::make_unique<std::atomic<int>>(0);
    std::vector<std::unique_ptr<CancelCallback>> callbacks;
    for (int i = 0; i < 4; ++i) {
      callbacks.push_back(
          std::make_unique<CancelCallback>(source.token(), &Increment, alive.get()));
    }
    go.fetch_add(1);
    callbacks.clear();
    const int calls = alive->load();
    EXPECT_GE(calls, 0);
    EXPECT_LE(calls, 4);
    alive.reset();
    canceller.join();
  }
}

}  // namespace
}  // namespace rookery
