#include "rookery/runtime/when.h"

#include <atomic>
#include <cstddef>

#include "absl/status/status.h"
#include "rookery/runtime/context.h"

namespace rookery::internal {

// One more than there are tasks: the awaiter's, so that nobody wakes it before it waits.
WhenGroup::WhenGroup(std::size_t count, Decides decides)
    : decides_(decides),
      context_(ContextRef::Adopt(Context::NewChild(Context::Current(), Context::Nesting::kShare))),
      remaining_(count + 1) {}

void WhenGroup::ChildDone(const WhenChild& child) noexcept {
  const bool failed = child.promise->failed();
  if (decides_ == Decides::kAny || failed) {
    std::size_t none = kNone;
    if (first_.compare_exchange_strong(none, child.index, std::memory_order_acq_rel)) {
      // Before this task is counted as ended: the group lives until all are.
      context_->cancel_source().Cancel(
          absl::CancelledError(decides_ == Decides::kAny ? "another task of WhenAny ended first"
                                                         : "another task of WhenAll failed"));
    }
  }
  ChildEnded();
}

}  // namespace rookery::internal
