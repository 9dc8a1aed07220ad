#include "rookery/runtime/semaphore.h"

namespace rookery {

std::optional<Semaphore::Permit> Semaphore::TryAcquire() noexcept {
  const std::scoped_lock lock(mutex_);
  if (!TakeOne()) return std::nullopt;
  return Permit(this);
}

std::size_t Semaphore::available() const noexcept {
  const std::scoped_lock lock(mutex_);
  return free_;
}

void Semaphore::Release() noexcept {
  internal::Waiter* next = nullptr;
  {
    const std::scoped_lock lock(mutex_);
    next = waiters_.Take();
    if (next == nullptr) ++free_;  // otherwise the permit goes to the next in line
  }
  if (next != nullptr) next->WakeLater();
}

}  // namespace rookery
