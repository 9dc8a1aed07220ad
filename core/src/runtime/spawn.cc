#include "rookery/runtime/spawn.h"

#include <atomic>
#include <cstdint>

#include "absl/status/status.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/hooks.h"

namespace rookery::internal {

void SpawnStateBase::Done() noexcept {
  const std::uintptr_t waiter = waiter_.exchange(kDone, std::memory_order_acq_rel);
  if (waiter != 0) reinterpret_cast<LeafAwaiter*>(waiter)->Wake();
  Unref();
}

void SpawnStateBase::ReportUnlessTaken(TaskPromiseBase& promise) const noexcept {
  if (taken_ || !promise.failed()) return;
  const absl::Status error = promise.TakeStatus();
  // Cancelled with the context it ran in, whose owner knows.
  if (context() != nullptr && context()->cancelled() &&
      error.code() == context()->cancel_source().reason().code()) {
    return;
  }
  const ContextScope scope(context());
  ReportUnhandled("a spawned task", error);
}

}  // namespace rookery::internal
