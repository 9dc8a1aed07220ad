#include "runtime/loop_base.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <string_view>
#include <thread>
#include <utility>

#include "rookery/runtime/clock.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/loop.h"
#include "runtime/shared_clock.h"

namespace rookery::internal {

void NameRunningContext(const Context* context) noexcept {
  if (context != nullptr) tls_pulse->SetName(context->running_name());
}

void RunningScope::Begin(std::string_view name) noexcept {
  pulse_ = tls_pulse;
  if (!pulse_->running()) {
    pulse_->Begin();
    opened_ = true;
  }
  previous_ = pulse_->own_name();
  pulse_->SetName(name);
}

void RunningScope::End() noexcept {
  pulse_->SetName(previous_);
  if (opened_) pulse_->End();
}

void LoopBase::Post(LoopWork* work) noexcept {
  if (tls_loop == this) {
    work->next_work = nullptr;
    (local_head_ == nullptr ? local_head_ : local_tail_->next_work) = work;
    local_tail_ = work;
    if (!in_turn_) RequestWake();
    return;
  }
  LoopWork* head = inbox_.load(std::memory_order_relaxed);
  do {
    work->next_work = head;
  } while (!inbox_.compare_exchange_weak(head, work, std::memory_order_acq_rel,
                                         std::memory_order_relaxed));
  // Whoever found the inbox empty has asked already, and has not been heard yet.
  if (head == nullptr) {
    RequestWake();
    posters_through_.fetch_add(1, std::memory_order_release);
  }
}

void LoopBase::AwaitPosters() noexcept {
  if (seat_ != nullptr) LeaveClock();
  if (inbox_.exchange(nullptr, std::memory_order_acq_rel) != nullptr) ++batches_taken_;
  while (posters_through_.load(std::memory_order_acquire) < batches_taken_) {
    std::this_thread::yield();
  }
}

void LoopBase::Arm(LoopTimer* timer, Deadline when) noexcept {
  const bool earliest = timers_.Arm(timer, when);
  if (clock_ != nullptr) [[unlikely]] {
    // In its turn among what is posted, so that the order does not depend on the machine.
    if (when <= clock_->Now() && !std::exchange(fire_work_.posted, true)) Post(&fire_work_);
  } else if (earliest) {
    TimerMoved(when);
  }
}

Deadline LoopBase::Now() const noexcept {
  return clock_ == nullptr ? std::chrono::steady_clock::now() : clock_->Now();
}

LoopBase::FireWork::FireWork(LoopBase* owner) noexcept
    : LoopWork([](LoopWork* self) noexcept {
        auto& work = *static_cast<FireWork*>(self);
        work.posted = false;
        work.loop->FireDueTimers();
      }),
      loop(owner) {}

void LoopBase::set_clock(std::shared_ptr<SharedClock> clock) {
  clock_ = std::move(clock);
  if (clock_ == nullptr) return;
  seat_ = std::make_shared<ClockSeat>(this, clock_);
  if (pulse_ == nullptr) pulse_ = &seat_->pulse;
  clock_->Enter(seat_);
}

void LoopBase::LeaveClock() noexcept {
  while (!clock_->TryLeave(seat_.get())) RunPosted();
  if (pulse_ == &seat_->pulse) pulse_ = nullptr;
  seat_.reset();
}

void LoopBase::EnterThread() noexcept {
  outer_loop_ = SetCurrent(this);
  outer_clock_ = std::exchange(tls_clock, clock_.get());
  tls_pulse = pulse_;
}

void LoopBase::LeaveThread() noexcept {
  if (seat_ != nullptr) LeaveClock();
  tls_pulse = nullptr;
  tls_clock = std::exchange(outer_clock_, nullptr);
  SetCurrent(std::exchange(outer_loop_, nullptr));
}

void LoopBase::RunPosted() noexcept {
  // The exchange sees the posts of whoever asked for this turn.
  wake_requested_.exchange(false, std::memory_order_acq_rel);
  LoopWork* first = std::exchange(local_head_, nullptr);
  if (inbox_.load(std::memory_order_relaxed) != nullptr) {
    LoopWork* posted = inbox_.exchange(nullptr, std::memory_order_acq_rel);
    ++batches_taken_;
    LoopWork* in_order = nullptr;
    while (posted != nullptr) {
      LoopWork* const next = posted->next_work;
      posted->next_work = in_order;
      in_order = posted;
      posted = next;
    }
    (first == nullptr ? first : local_tail_->next_work) = in_order;
  }
  in_turn_ = true;
  while (first != nullptr) {
    LoopWork* const work = first;
    // The last of this turn has no successor, whatever it posts: posts go to the next turn's list.
    first = work->next_work;
    BeginUnit();
    work->run(work);
    EndUnit();
  }
  in_turn_ = false;
}

void LoopBase::FireDueTimers() noexcept {
  timers_.FireDue(Now(), [this](LoopTimer* timer) {
    BeginUnit();
    timer->fire(timer);
    EndUnit();
  });
}

}  // namespace rookery::internal
