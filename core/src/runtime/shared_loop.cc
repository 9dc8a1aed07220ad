#include "runtime/shared_loop.h"

#include <thread>
#include <utility>

namespace rookery::internal {

std::shared_ptr<LoopPool> SharedLoop::Get() {
  const std::scoped_lock lock(mutex_);
  std::shared_ptr<LoopPool> loops = shared_.lock();
  if (loops != nullptr) return loops;
  LoopPool::Options options;
  options.threads = 1;
  options.name = name_;
  loops =
      std::shared_ptr<LoopPool>(std::make_unique<LoopPool>(options).release(), [](LoopPool* pool) {
        std::unique_ptr<LoopPool> last(pool);
        // A loop does not end itself.
        if (Loop::Current() == &(*pool)[0]) std::thread([gone = std::move(last)] {}).detach();
      });
  shared_ = loops;
  return loops;
}

}  // namespace rookery::internal
