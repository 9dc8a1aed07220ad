#include "rookery/runtime/fake_clock.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "rookery/runtime/loop.h"
#include "rookery/runtime/offload.h"
#include "runtime/loop_base.h"
#include "runtime/shared_clock.h"

namespace rookery {
namespace internal {

Deadline NowOf(const SharedClock& clock) noexcept { return clock.Now(); }
std::chrono::system_clock::time_point WallNowOf(const SharedClock& clock) noexcept {
  return clock.WallNow();
}

namespace {
constinit thread_local ClockScope* tls_scope = nullptr;
}  // namespace

ClockScope::ClockScope(std::shared_ptr<SharedClock> clock) noexcept
    : clock_(std::move(clock)),
      outside_(std::exchange(tls_clock, clock_.get())),
      below_(std::exchange(tls_scope, this)) {
  if (below_ != nullptr) below_->above_ = this;
}

ClockScope::~ClockScope() {
  if (below_ != nullptr) below_->above_ = above_;
  if (above_ != nullptr) {
    above_->below_ = below_;
    above_->outside_ = outside_;
  } else {
    tls_scope = below_;
    tls_clock = outside_;
  }
}

std::shared_ptr<SharedClock> ThreadClock() noexcept {
  return tls_clock == nullptr ? nullptr : tls_clock->shared_from_this();
}

ClockSeat::ClockSeat(LoopBase* owner, std::shared_ptr<SharedClock> of) noexcept
    : LoopWork([](LoopWork* self) noexcept {
        auto& seat = *static_cast<ClockSeat*>(self);
        seat.clock->OnLook(seat);
      }),
      loop(owner),
      clock(std::move(of)) {}

void SharedClock::Enter(std::shared_ptr<ClockSeat> seat) {
  const std::scoped_lock lock(mutex_);
  ++entered_;
  seat->busy = true;
  seats_.push_back(std::move(seat));
}

bool SharedClock::TryLeave(const ClockSeat* seat) noexcept {
  const std::scoped_lock lock(mutex_);
  if (seat->posted) return false;
  std::erase_if(seats_, [seat](const auto& one) { return one.get() == seat; });
  ++entered_;
  return true;
}

void SharedClock::OnLook(ClockSeat& seat) noexcept {
  bool fire = false;
  {
    const std::scoped_lock lock(mutex_);
    fire = seat.fire;
  }
  const std::uint64_t began = seat.loop->turn();
  if (fire) seat.loop->FireDueTimers();
  const std::uint64_t ended = seat.loop->turn();
  const std::scoped_lock lock(mutex_);
  // Between two looks with nothing between them: the end of one unit, the beginning of the other.
  seat.busy = began != seat.turn + 2 || ended != began;
  seat.turn = ended;
  seat.next = seat.loop->NextTimer();
  seat.timers = seat.loop->timer_count();
  seat.posted = false;
  looked_.notify_all();
}

bool SharedClock::Look(ClockSeat& seat, bool fire) {
  // Each look has the whole time: a loop that is busy is not a blocked one.
  const Until until = std::chrono::steady_clock::now() + patience_;
  std::unique_lock lock(mutex_);
  const auto present = [&] {
    return std::any_of(seats_.begin(), seats_.end(),
                       [&seat](const auto& one) { return one.get() == &seat; });
  };
  const auto done = [&seat] { return !seat.posted; };
  // One that was given up before may be on its way yet.
  bool rests = looked_.wait_until(lock, until, done);
  if (rests && !present()) return true;
  if (rests) {
    seat.posted = true;
    seat.fire = fire;
    // Under the lock: the loop cannot leave meanwhile.
    seat.loop->Post(static_cast<LoopWork*>(&seat));
    rests = looked_.wait_until(lock, until, done);
  }
  if (!rests) {
    throw std::runtime_error(
        "FakeClock: a loop has not come to rest within the time allowed: something blocks its "
        "thread (a handler that waits without co_await, or for what the test does only after "
        "Advance)");
  }
  return seat.busy;
}

SharedClock::Seats SharedClock::Present() const {
  const std::scoped_lock lock(mutex_);
  return seats_;
}

Deadline SharedClock::Next() const {
  const std::scoped_lock lock(mutex_);
  Deadline next = kNoDeadline;
  for (const auto& seat : seats_) next = std::min(next, seat->next);
  return next;
}

void SharedClock::Quiesce(Until until) {
  for (bool busy = true; busy;) {
    busy = false;
    std::uint64_t entered = 0;
    {
      const std::scoped_lock lock(mutex_);
      entered = entered_;
    }
    for (const auto& seat : Present()) busy = Look(*seat, /*fire=*/false) || busy;
    const std::scoped_lock lock(mutex_);
    busy = busy || entered != entered_;
    if (busy && std::chrono::steady_clock::now() > until) {
      throw std::runtime_error(
          "FakeClock: the loops do not come to rest: something goes on and on without waiting for "
          "anything (a loop around co_await Yield(), say)");
    }
  }
}

void SharedClock::RunDue(Until until) {
  Quiesce(until);
  for (bool fired = true; fired;) {
    fired = false;
    for (const auto& seat : Present()) {
      bool due = false;
      {
        const std::scoped_lock lock(mutex_);
        due = seat->next <= Now();
      }
      if (!due) continue;
      (void)Look(*seat, /*fire=*/true);
      fired = true;
      Quiesce(until);
    }
    if (fired && std::chrono::steady_clock::now() > until) {
      throw std::runtime_error(
          "FakeClock: the loops do not come to rest: timers are armed again and again for the "
          "present (a loop around co_await Sleep(0), say)");
    }
  }
}

SharedClock::Until SharedClock::Begin() const {
  if (Loop::Current() != nullptr) {
    throw std::logic_error(
        "FakeClock: this thread runs a loop, which cannot wait for itself to come to rest: "
        "co_await clock.Pass(duration) instead, or move the clock on from the test's thread");
  }
  return std::chrono::steady_clock::now() + patience_;
}

void SharedClock::AdvanceTo(Deadline when) {
  const Until until = Begin();
  const std::scoped_lock lock(moving_);
  RunDue(until);
  for (Deadline next = Next(); next <= when && next != kNoDeadline; next = Next()) {
    now_.store(std::max(next, Now()).time_since_epoch().count(), std::memory_order_release);
    RunDue(Begin());
  }
  if (when > Now()) now_.store(when.time_since_epoch().count(), std::memory_order_release);
}

std::optional<std::chrono::nanoseconds> SharedClock::AdvanceToNext() {
  const Until until = Begin();
  const std::scoped_lock lock(moving_);
  RunDue(until);
  const Deadline next = Next();
  if (next == kNoDeadline) return std::nullopt;
  const std::chrono::nanoseconds far = next - Now();
  now_.store(next.time_since_epoch().count(), std::memory_order_release);
  RunDue(until);
  return far;
}

void SharedClock::Settle() {
  const Until until = Begin();
  const std::scoped_lock lock(moving_);
  RunDue(until);
}

std::size_t SharedClock::timers() {
  Settle();
  const std::scoped_lock lock(mutex_);
  std::size_t count = 0;
  for (const auto& seat : seats_) count += seat->timers;
  return count;
}

}  // namespace internal

namespace testing {

FakeClock::FakeClock(std::chrono::milliseconds patience)
    : clock_(std::make_shared<internal::SharedClock>(patience)), here_(clock_) {}
FakeClock::~FakeClock() = default;

Deadline FakeClock::Now() const noexcept { return clock_->Now(); }

void FakeClock::Advance(std::chrono::nanoseconds duration) {
  if (duration.count() < 0) throw std::invalid_argument("FakeClock: time does not go back");
  const Deadline now = clock_->Now();
  clock_->AdvanceTo(duration >= kNoDeadline - now
                        ? kNoDeadline - Deadline::duration(1)
                        : now + std::chrono::duration_cast<Deadline::duration>(duration));
}

void FakeClock::AdvanceTo(Deadline when) { clock_->AdvanceTo(when); }

std::optional<std::chrono::nanoseconds> FakeClock::AdvanceToNext() {
  return clock_->AdvanceToNext();
}

void FakeClock::Settle() { clock_->Settle(); }

Task<void> FakeClock::Pass(std::chrono::nanoseconds duration) {
  auto move_on = [this, duration] { Advance(duration); };
  auto moved = Offload(std::move(move_on));
  co_await std::move(moved);
}

std::size_t FakeClock::timers() { return clock_->timers(); }

}  // namespace testing
}  // namespace rookery
