// TaskRunner: runs tasks on a loop while the calling thread waits for them, up to a deadline.
//
//   TaskRunner runner([&]() -> std::shared_ptr<LoopPool> { return loops; });
//   runner.Start(7, Connect(database));
//   std::optional<TaskRunner::Done> done = runner.Wait(deadline);    // done->key == 7
//
// For what an application awaits outside any call: async factories and lifecycle hooks. A task that
// outlives its deadline is cancelled; one that ignores even that is abandoned together with all
// that it may still touch, which is safer than destroying things under it.
#ifndef ROOKERY_SRC_DI_TASK_RUNNER_H_
#define ROOKERY_SRC_DI_TASK_RUNNER_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "rookery/di/provider.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/task.h"

namespace rookery::internal {

// See the top of this file. Used by one thread.
class TaskRunner final {
 public:
  using Loops = std::function<std::shared_ptr<LoopPool>()>;

  struct Done {
    std::size_t key = 0;
    absl::Status status;
    Made made;
  };

  // `loops` is asked for at the first Start; `keep` is kept alive by tasks that are abandoned.
  TaskRunner(Loops loops, std::shared_ptr<void> keep);
  ~TaskRunner() { Settle(); }
  TaskRunner(const TaskRunner&) = delete;
  TaskRunner& operator=(const TaskRunner&) = delete;

  // What the tasks' contexts are made from: values set here are seen by all of them.
  [[nodiscard]] Context& context() noexcept;

  // Starts `task`, whose deadline is `deadline`. Its end is reported by Wait under `key`.
  void Start(std::size_t key, Task<Made> task, Deadline deadline);
  void Start(std::size_t key, Task<void> task, Deadline deadline);
  void Start(std::size_t key, Task<absl::Status> task, Deadline deadline);
  // On this loop of the pool, instead of the first one.
  void StartOn(std::size_t loop, std::size_t key, Task<absl::Status> task, Deadline deadline);

  // The next task to end, in the order they end; nullopt when `deadline` passes first.
  [[nodiscard]] std::optional<Done> Wait(Deadline deadline);
  // How many were started and not yet reported.
  [[nodiscard]] std::size_t pending() const noexcept { return pending_; }
  // Cancels all that run.
  void Cancel(absl::Status reason);
  // Cancels what still runs and gives it a moment. False: some of it ignores even that, and was
  // abandoned. The destructor does the same.
  bool Settle();

 private:
  struct State;
  template <class T>
  void StartTask(std::size_t key, Task<T> task, Deadline deadline, std::size_t loop = 0);

  std::shared_ptr<State> state_;
  Loops get_loops_;
  std::shared_ptr<LoopPool> loops_;
  std::shared_ptr<void> keep_;
  std::size_t pending_ = 0;
};

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_DI_TASK_RUNNER_H_
