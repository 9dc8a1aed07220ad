#include "rookery/runtime/event.h"

namespace rookery {

void Event::Set() noexcept {
  internal::Waiter* waiters = nullptr;
  {
    const std::scoped_lock lock(mutex_);
    set_ = true;
    waiters = waiters_.TakeAll();
  }
  internal::WaitList::WakeAll(waiters);
}

void Event::Reset() noexcept {
  const std::scoped_lock lock(mutex_);
  set_ = false;
}

bool Event::is_set() const noexcept {
  const std::scoped_lock lock(mutex_);
  return set_;
}

}  // namespace rookery
