// Now: the time, as the framework reads it.
//
//   rookery::Deadline until = rookery::Now() + std::chrono::seconds(5);
//   std::chrono::system_clock::time_point stamp = rookery::WallNow();
//
// On a thread that a test has given a FakeClock (see rookery/runtime/fake_clock.h), and on the
// loops that were made there, both follow that clock. Otherwise they are the system's.
#ifndef ROOKERY_RUNTIME_CLOCK_H_
#define ROOKERY_RUNTIME_CLOCK_H_

#include <chrono>

#include "rookery/runtime/context.h"

namespace rookery {

namespace internal {

class SharedClock;
// What this thread reads the time from; null: the system.
inline constinit thread_local SharedClock* tls_clock = nullptr;
[[nodiscard]] Deadline NowOf(const SharedClock& clock) noexcept;
[[nodiscard]] std::chrono::system_clock::time_point WallNowOf(const SharedClock& clock) noexcept;

}  // namespace internal

// Monotonic: for deadlines and durations. Any thread.
[[nodiscard]] inline Deadline Now() noexcept {
  if (internal::tls_clock != nullptr) [[unlikely]] {
    return internal::NowOf(*internal::tls_clock);
  }
  return std::chrono::steady_clock::now();
}

// The time of day: for what is written down. Any thread.
[[nodiscard]] inline std::chrono::system_clock::time_point WallNow() noexcept {
  if (internal::tls_clock != nullptr) [[unlikely]] {
    return internal::WallNowOf(*internal::tls_clock);
  }
  return std::chrono::system_clock::now();
}

}  // namespace rookery

#endif  // ROOKERY_RUNTIME_CLOCK_H_
