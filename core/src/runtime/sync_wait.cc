#include "rookery/runtime/sync_wait.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/loop.h"
#include "runtime/asio_loop.h"

namespace rookery::internal {

namespace {

SyncLoop& ThreadSyncLoop() {
  // A thread that never waits has none.
  thread_local const std::unique_ptr<SyncLoop> loop = std::make_unique<SyncLoop>();
  return *loop;
}

}  // namespace

SyncWaiter::DoneWork::DoneWork(SyncWaiter* owner) noexcept
    : LoopWork([](LoopWork* self) noexcept { static_cast<DoneWork*>(self)->waiter->done_ = true; }),
      waiter(owner) {}

absl::Status SyncWaiter::Check() {
  if (Loop::Current() == nullptr) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "SyncWait was called on a thread that runs a Loop: in a coroutine, or in "
      "something that a handler "
      "or a nested SyncWait called. The loop cannot wait for itself: co_await "
      "the task instead, or hand "
      "the blocking code to co_await rookery::Offload(...)");
}

SyncWaiter::SyncWaiter() : loop_(nullptr), done_work_(this) {
  const absl::Status possible = Check();
  if (!possible.ok()) throw std::logic_error(std::string(possible.message()));
  loop_ = &ThreadSyncLoop();
  loop_->Enter();
}

SyncWaiter::~SyncWaiter() { loop_->Leave(); }

void SyncWaiter::Wait() {
  const ContextScope caller(Context::Current());
  loop_->RunUntil(done_);
}

void SyncWaiter::Done() noexcept {
  if (Loop::Current() == loop_) {
    done_ = true;
  } else {
    loop_->Post(&done_work_);
  }
}

}  // namespace rookery::internal
