#include "rookery/runtime/sync_wait.h"

#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/loop.h"
#include "runtime/asio_loop.h"

namespace rookery::internal {

namespace {

// The loops of threads that wait, or have waited. None is ever destroyed: a coroutine that its
// SyncWait did not wait for may be woken after the thread has gone. It then goes on in the next
// thread that waits.
class SyncLoops final {
 public:
  [[nodiscard]] static SyncLoops& Instance() {
    static SyncLoops& loops = *std::make_unique<SyncLoops>().release();
    return loops;
  }

  [[nodiscard]] std::unique_ptr<SyncLoop> Take() {
    const std::scoped_lock lock(mutex_);
    if (idle_.empty()) return std::make_unique<SyncLoop>();
    std::unique_ptr<SyncLoop> loop = std::move(idle_.back());
    idle_.pop_back();
    return loop;
  }
  void GiveBack(std::unique_ptr<SyncLoop> loop) {
    const std::scoped_lock lock(mutex_);
    idle_.push_back(std::move(loop));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<SyncLoop>> idle_;  // guarded by mutex_
};

class ThreadLoop final {
 public:
  ThreadLoop() : loop_(SyncLoops::Instance().Take()) {}
  ThreadLoop(const ThreadLoop&) = delete;
  ThreadLoop& operator=(const ThreadLoop&) = delete;
  ~ThreadLoop() { SyncLoops::Instance().GiveBack(std::move(loop_)); }
  [[nodiscard]] SyncLoop& loop() noexcept { return *loop_; }

 private:
  std::unique_ptr<SyncLoop> loop_;
};

SyncLoop& ThreadSyncLoop() {
  // A thread that never waits has none.
  thread_local ThreadLoop own;
  return own.loop();
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
