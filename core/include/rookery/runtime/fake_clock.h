// FakeClock: time that stands still until the test moves it on.
//
//   rookery::testing::FakeClock clock;
//   auto app = rookery::testing::TestingModule::Of<OrdersModule>().Compile();
//   auto call = rookery::testing::InBackground(app, orders.Place(request));
//   clock.Advance(std::chrono::seconds(30));            // fires what is due, in order
//   EXPECT_EQ(call.Wait().status().code(), absl::StatusCode::kDeadlineExceeded);
//
// Sleep, WithTimeout, AbandonAfter, deadlines of calls, and every other timer of a loop wait for
// it; Now() and WallNow() read it.
#ifndef ROOKERY_RUNTIME_FAKE_CLOCK_H_
#define ROOKERY_RUNTIME_FAKE_CLOCK_H_

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>

#include "rookery/runtime/clock.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/task.h"

namespace rookery {

namespace internal {
// Makes `clock` this thread's until the end of the scope; null: the system's. Of several the latest
// holds, in whichever order they end. Not across a co_await.
class [[nodiscard]] ClockScope final {
 public:
  explicit ClockScope(std::shared_ptr<SharedClock> clock) noexcept;
  ~ClockScope();
  ClockScope(const ClockScope&) = delete;
  ClockScope& operator=(const ClockScope&) = delete;

 private:
  const std::shared_ptr<SharedClock> clock_;
  SharedClock* outside_;  // of the undermost: what was there before
  ClockScope* below_;
  ClockScope* above_ = nullptr;
};
// This thread's; null: the system's.
[[nodiscard]] std::shared_ptr<SharedClock> ThreadClock() noexcept;
}  // namespace internal

namespace testing {

// The clock of the thread that makes it, from then on until it is destroyed there: of what that
// thread does, in SyncWait too, and of the loops of each Application and LoopPool that it makes
// meanwhile, as long as those live. Declare it before them. Two tests on two threads share nothing.
//
// It begins at the present, and stands still. Advance moves it from one timer to the next, and
// after each lets everything that is ready run to its end; so what happens, and in which order,
// depends on nothing but the code. Timers fire in the order of their times, those of one time loop
// by loop, in the order in which they were armed.
//
// It does not wait for what is in no loop: Offload, sockets, threads of the test's own. Nor does it
// move what is not the loops': the waits of start-up and shutdown (ApplicationOptions), the
// watchdog, grpc++ and its completion queues, the log's time stamps.
//
// Advance, AdvanceTo, AdvanceToNext, Settle and timers may be called from any thread that runs no
// loop, one at a time: within a coroutine co_await Pass() instead. They throw std::logic_error on a
// loop, and std::runtime_error if a loop does not come to rest: because a
// handler blocks it, or goes on for ever without waiting for anything.
class FakeClock final {
 public:
  // `patience` is how much real time the loops may take to come to rest. A SyncWait in which
  // nothing happens for so long says so in the log: nobody may be moving the clock on.
  explicit FakeClock(std::chrono::milliseconds patience = std::chrono::seconds(60));
  ~FakeClock();
  FakeClock(const FakeClock&) = delete;
  FakeClock& operator=(const FakeClock&) = delete;

  [[nodiscard]] Deadline Now() const noexcept;

  // Moves on by `duration` (0 or more), and fires what is due on the way.
  void Advance(std::chrono::nanoseconds duration);
  // The same until a point in time; nothing happens if that is past.
  void AdvanceTo(Deadline when);
  // Moves on to the next timer, and fires it. How far that was; nullopt if there is none.
  std::optional<std::chrono::nanoseconds> AdvanceToNext();
  // Lets everything that is ready run, and stays where it is.
  void Settle();
  // Advance, for coroutines; those of the loop it is called on go on meanwhile.
  [[nodiscard]] Task<void> Pass(std::chrono::nanoseconds duration);
  // How many timers are armed, once all is settled: none, where nothing waits any more.
  [[nodiscard]] std::size_t timers();

  // Makes it the clock of another thread of the test, too, until the end of the scope.
  class [[nodiscard]] Scope final {
   public:
    explicit Scope(const FakeClock& clock) noexcept : scope_(clock.clock_) {}

   private:
    internal::ClockScope scope_;
  };

 private:
  const std::shared_ptr<internal::SharedClock> clock_;
  const internal::ClockScope here_;
};

}  // namespace testing
}  // namespace rookery

#endif  // ROOKERY_RUNTIME_FAKE_CLOCK_H_
