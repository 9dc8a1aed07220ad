#include "di/task_runner.h"

#include <algorithm>
#include <condition_variable>
#include <coroutine>
#include <deque>
#include <exception>
#include <mutex>
#include <utility>
#include <vector>

namespace rookery::internal {

namespace {

// How long a cancelled task may take to come to its end before it is given up.
constexpr std::chrono::seconds kCancelGrace{2};

// A coroutine that nobody awaits; frees itself at its end.
struct Detached {
  struct promise_type : FrameBase {
    Detached get_return_object() noexcept {
      CheckFrame(std::coroutine_handle<promise_type>::from_promise(*this).address());
      return {};
    }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

}  // namespace

struct TaskRunner::State {
  std::mutex mutex;
  std::condition_variable ended;
  std::deque<Done> done;  // guarded by mutex
  ContextRef context;
  // Only of abandoned tasks. Otherwise the last reference to the loops could go on one of their own
  // threads, which would then wait for itself.
  std::shared_ptr<void> keep;
  std::shared_ptr<LoopPool> loops;

  template <class T>
  static Detached Run(std::shared_ptr<State> state, [[maybe_unused]] ContextRef held,
                      std::size_t key, Task<T> task) {
    auto outcome = co_await AsStatusOr(std::move(task));
    Done done;
    done.key = key;
    if constexpr (std::is_void_v<T>) {
      done.status = std::move(outcome);
    } else if (!outcome.ok()) {
      done.status = std::move(outcome).status();
    } else {
      done.made = *std::move(outcome);
    }
    {
      const std::lock_guard<std::mutex> lock(state->mutex);
      state->done.push_back(std::move(done));
      state->ended.notify_one();
    }
  }
};

namespace {

Task<void> FailUnlessOk(Task<absl::Status> task) {
  absl::Status status = co_await std::move(task);
  if (!status.ok()) co_await Fail(std::move(status));
}

}  // namespace

TaskRunner::TaskRunner(Loops loops, std::shared_ptr<void> keep)
    : state_(std::make_shared<State>()), get_loops_(std::move(loops)), keep_(std::move(keep)) {
  state_->context = ContextRef::Adopt(Context::NewChild(nullptr));
}

Context& TaskRunner::context() noexcept { return *state_->context.get(); }

bool TaskRunner::Settle() {
  if (pending_ == 0) return true;
  Cancel(absl::CancelledError("the application gave up waiting"));
  const Deadline deadline = std::chrono::steady_clock::now() + kCancelGrace;
  while (pending_ > 0 && Wait(deadline).has_value()) {
  }
  if (pending_ == 0) return true;
  // Whatever these tasks may still touch has to stay; the fault itself was reported as a missed
  // deadline.
  state_->keep = std::move(keep_);
  state_->loops = std::move(loops_);
  std::make_unique<std::shared_ptr<State>>(state_).release();  // NOLINT: leaked on purpose
  pending_ = 0;
  return false;
}

template <class T>
void TaskRunner::StartTask(std::size_t key, Task<T> task, Deadline deadline, std::size_t loop) {
  if (loops_ == nullptr) loops_ = get_loops_();
  ++pending_;
  // A context of its own: values that one start-up task sets are not another's.
  ContextRef context = ContextRef::Adopt(Context::NewChild(state_->context.get()));
  // Waited for on the system's clock; told to the task on its loop's, which may be a test's.
  if (deadline != kNoDeadline) {
    context->TightenDeadline((*loops_)[loop].Now() + (deadline - std::chrono::steady_clock::now()));
  }
  const ContextScope scope(context.get());
  (*loops_)[loop].Post(
      [state = state_, context = std::move(context), key, task = std::move(task)]() mutable {
        State::Run(std::move(state), std::move(context), key, std::move(task));
      });
}

void TaskRunner::Start(std::size_t key, Task<Made> task, Deadline deadline) {
  StartTask(key, std::move(task), deadline);
}
void TaskRunner::Start(std::size_t key, Task<void> task, Deadline deadline) {
  StartTask(key, std::move(task), deadline);
}
void TaskRunner::Start(std::size_t key, Task<absl::Status> task, Deadline deadline) {
  StartTask(key, FailUnlessOk(std::move(task)), deadline);
}

void TaskRunner::StartOn(std::size_t loop, std::size_t key, Task<absl::Status> task,
                         Deadline deadline) {
  StartTask(key, FailUnlessOk(std::move(task)), deadline, loop);
}

std::optional<TaskRunner::Done> TaskRunner::Wait(Deadline deadline) {
  std::unique_lock<std::mutex> lock(state_->mutex);
  const auto some = [this] { return !state_->done.empty(); };
  if (deadline == kNoDeadline) {
    state_->ended.wait(lock, some);
  } else if (!state_->ended.wait_until(lock, deadline, some)) {
    return std::nullopt;
  }
  Done done = std::move(state_->done.front());
  state_->done.pop_front();
  --pending_;
  return done;
}

void TaskRunner::Cancel(absl::Status reason) {
  // On the loop, as a call's own cancellation would come: what it wakes resumes there.
  if (loops_ == nullptr) return;
  (*loops_)[0].Post([state = state_, reason = std::move(reason)] {
    state->context->cancel_source().Cancel(reason);
  });
}

}  // namespace rookery::internal
