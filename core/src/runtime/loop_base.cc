#include "runtime/loop_base.h"

#include <atomic>
#include <string_view>
#include <thread>
#include <utility>

#include "rookery/runtime/context.h"
#include "rookery/runtime/loop.h"

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
  if (inbox_.exchange(nullptr, std::memory_order_acq_rel) != nullptr) ++batches_taken_;
  while (posters_through_.load(std::memory_order_acquire) < batches_taken_) {
    std::this_thread::yield();
  }
}

void LoopBase::Arm(LoopTimer* timer, Deadline when) noexcept {
  if (timers_.Arm(timer, when)) TimerMoved(when);
}

void LoopBase::EnterThread() noexcept {
  outer_loop_ = SetCurrent(this);
  tls_pulse = pulse_;
}

void LoopBase::LeaveThread() noexcept {
  tls_pulse = nullptr;
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

void LoopBase::FireTimers() noexcept {
  if (timers_.empty()) return;
  timers_.FireDue(Now(), [this](LoopTimer* timer) {
    BeginUnit();
    timer->fire(timer);
    EndUnit();
  });
}

}  // namespace rookery::internal
