// SharedClock: what a FakeClock, the threads it is of, and the loops that follow it hold together.
// Private.
//
//   auto clock = std::make_shared<SharedClock>(patience);
//   loop.set_clock(clock);                    // before the loop's thread enters
//   clock->AdvanceTo(clock->Now() + 5s);      // on another thread
//
// To learn whether a loop rests, the clock posts it a unit of work that looks. A loop that ran
// nothing between two such looks, while no other loop did either, has nothing left to run: what
// could give it work runs on no loop.
#ifndef ROOKERY_SRC_RUNTIME_SHARED_CLOCK_H_
#define ROOKERY_SRC_RUNTIME_SHARED_CLOCK_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "rookery/runtime/clock.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/loop.h"
#include "runtime/loop_pulse.h"

namespace rookery::internal {

class LoopBase;

// A loop's place at its clock.
struct ClockSeat final : LoopWork {
  ClockSeat(LoopBase* owner, std::shared_ptr<SharedClock> of) noexcept;

  LoopBase* const loop;
  const std::shared_ptr<SharedClock> clock;
  LoopPulse pulse;  // the loop's, unless it has one for a watchdog
  // Guarded by the clock's mutex.
  bool posted = false;
  bool fire = false;  // what the next look is to do
  bool busy = true;   // as the last look found it
  std::uint64_t turn = 0;
  Deadline next = kNoDeadline;
  std::size_t timers = 0;
};

class SharedClock final : public std::enable_shared_from_this<SharedClock> {
 public:
  explicit SharedClock(std::chrono::milliseconds patience) : patience_(patience) {}

  [[nodiscard]] Deadline Now() const noexcept {
    return Deadline(Deadline::duration(now_.load(std::memory_order_acquire)));
  }
  [[nodiscard]] std::chrono::system_clock::time_point WallNow() const noexcept {
    return wall_start_ +
           std::chrono::duration_cast<std::chrono::system_clock::duration>(Now() - start_);
  }

  // How much real time the loops may take to come to rest.
  [[nodiscard]] std::chrono::milliseconds patience() const noexcept { return patience_; }

  // Of loops, on their threads. A loop leaves once there is no look under way: false until then.
  void Enter(std::shared_ptr<ClockSeat> seat);
  [[nodiscard]] bool TryLeave(const ClockSeat* seat) noexcept;

  // See FakeClock.
  void AdvanceTo(Deadline when);
  std::optional<std::chrono::nanoseconds> AdvanceToNext();
  void Settle();
  [[nodiscard]] std::size_t timers();

 private:
  friend struct ClockSeat;
  using Seats = std::vector<std::shared_ptr<ClockSeat>>;
  // Real time, for giving up.
  using Until = std::chrono::steady_clock::time_point;

  [[nodiscard]] Until Begin() const;
  void OnLook(ClockSeat& seat) noexcept;
  // Whether the loop had run anything since the look before.
  bool Look(ClockSeat& seat, bool fire);
  void Quiesce(Until until);
  // Quiesce, then fires what is due, until nothing is.
  void RunDue(Until until);
  [[nodiscard]] Seats Present() const;
  [[nodiscard]] Deadline Next() const;

  const std::chrono::milliseconds patience_;
  const Deadline start_ = std::chrono::steady_clock::now();
  const std::chrono::system_clock::time_point wall_start_ = std::chrono::system_clock::now();
  std::atomic<Deadline::rep> now_{start_.time_since_epoch().count()};
  std::mutex moving_;  // held by who moves it
  mutable std::mutex mutex_;
  std::condition_variable looked_;
  Seats seats_;                // guarded by mutex_
  std::uint64_t entered_ = 0;  // guarded by mutex_
};

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_RUNTIME_SHARED_CLOCK_H_
