#include "rookery/runtime/wait_list.h"

#include <utility>

namespace rookery::internal {

absl::Status Waiter::EndWait() noexcept {
  Resumed();
  on_cancel_.Disarm();
  // The callback is over: nobody else looks at cancelled_ any more.
  if (!cancelled_) return absl::OkStatus();
  absl::Status reason = Context::Current()->cancel_source().reason();
  return reason.ok() ? absl::CancelledError("the wait was cancelled") : reason;
}

void Waiter::OnCancel(void* self) noexcept {
  auto* const waiter = static_cast<Waiter*>(self);
  {
    const std::scoped_lock lock(*waiter->mutex_);
    if (waiter->state_ == Waiter::State::kTaken) return;  // it has what it waited for
    waiter->cancelled_ = true;
    if (waiter->state_ == Waiter::State::kFresh) return;  // Park will see it
    waiter->list_->Unlink(waiter);
  }
  waiter->WakeLater();
}

Waiter* WaitList::TakeAll() noexcept {
  Waiter* const chain = std::exchange(head_, nullptr);
  tail_ = nullptr;
  for (Waiter* waiter = chain; waiter != nullptr; waiter = waiter->next_) {
    waiter->state_ = Waiter::State::kTaken;
  }
  return chain;
}

void WaitList::WakeAll(Waiter* chain) noexcept {
  while (chain != nullptr) {
    // Read before waking: the waiter is gone afterwards.
    Waiter* const next = chain->next_;
    chain->WakeLater();
    chain = next;
  }
}

void WaitList::Link(Waiter* waiter) noexcept {
  waiter->list_ = this;
  waiter->state_ = Waiter::State::kParked;
  waiter->previous_ = tail_;
  waiter->next_ = nullptr;
  (tail_ == nullptr ? head_ : tail_->next_) = waiter;
  tail_ = waiter;
}

void WaitList::Unlink(Waiter* waiter) noexcept {
  (waiter->previous_ == nullptr ? head_ : waiter->previous_->next_) = waiter->next_;
  (waiter->next_ == nullptr ? tail_ : waiter->next_->previous_) = waiter->previous_;
  waiter->state_ = Waiter::State::kTaken;
}

}  // namespace rookery::internal
