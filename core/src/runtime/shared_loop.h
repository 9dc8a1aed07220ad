// SharedLoop: one loop for all clients of a kind in the process, which ends with the last of them.
//
//   std::shared_ptr<LoopPool> ClientLoops() {
//     static internal::SharedLoop shared("nats-client");
//     return shared.Get();
//   }
#ifndef ROOKERY_SRC_RUNTIME_SHARED_LOOP_H_
#define ROOKERY_SRC_RUNTIME_SHARED_LOOP_H_

#include <memory>
#include <mutex>

#include "rookery/runtime/loop.h"

namespace rookery::internal {

// Thread-safe.
class SharedLoop final {
 public:
  explicit SharedLoop(const char* name) noexcept : name_(name) {}
  // A pool of one, made if nobody has it. The last reference may go on the loop itself.
  [[nodiscard]] std::shared_ptr<LoopPool> Get();

 private:
  const char* const name_;  // of its thread; a literal
  std::mutex mutex_;
  std::weak_ptr<LoopPool> shared_;
};

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_RUNTIME_SHARED_LOOP_H_
