#include "rookery/runtime/task.h"

#include <exception>
#include <new>
#include <utility>

#include "absl/status/status.h"
#include "rookery/runtime/await.h"
#include "rookery/runtime/rpc_exception.h"

namespace rookery::internal {

namespace {

// Takes a coroutine that a foreign thread resumed back to its loop.
class HomeAwaiter final : public LeafAwaiter {
 public:
  explicit HomeAwaiter(Loop* home) noexcept : home_(home) {}
  bool await_ready() const noexcept { return home_ == nullptr || home_ == Loop::Current(); }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    SuspendOn(handle, home_);
    WakeLater();
  }
  void await_resume() const noexcept {}

 private:
  Loop* home_;
};

}  // namespace

ForeignShim MakeForeignShim(std::coroutine_handle<> target, Loop* home) {
  co_await HomeAwaiter(home);
  Resume(target);
}

absl::Status TaskPromiseBase::TakeStatus() noexcept {
  switch (outcome_) {
    case Outcome::kStatus:
      return status_;
    case Outcome::kException:
      return StatusFromException(exception_);
    default:
      return absl::InternalError("the task has not ended: its result was asked for too early");
  }
}

std::exception_ptr TaskPromiseBase::TakeException() noexcept {
  switch (outcome_) {
    case Outcome::kStatus:
      return std::make_exception_ptr(RpcException(status_));
    case Outcome::kException:
      return exception_;
    default:
      return nullptr;
  }
}

FailRequest TaskPromiseBase::TakeFailure() noexcept {
  return outcome_ == Outcome::kException ? FailRequest(exception_) : FailRequest(TakeStatus());
}

void TaskPromiseBase::SetStatus(absl::Status status) noexcept {
  if (status.ok()) status = absl::InternalError("a coroutine failed with an OK status");
  if (failed()) DropFailure();
  ::new (static_cast<void*>(&status_)) absl::Status(std::move(status));
  outcome_ = Outcome::kStatus;
}

void TaskPromiseBase::SetException(std::exception_ptr exception) noexcept {
  if (failed()) DropFailure();
  ::new (static_cast<void*>(&exception_)) std::exception_ptr(std::move(exception));
  outcome_ = Outcome::kException;
}

void TaskPromiseBase::SetFailure(FailRequest request) noexcept {
  if (request.exception != nullptr) {
    SetException(std::move(request.exception));
  } else {
    SetStatus(std::move(request.status));
  }
}

void TaskPromiseBase::DropFailure() noexcept {
  if (outcome_ == Outcome::kStatus) {
    status_.~Status();
  } else {
    exception_.~exception_ptr();
  }
  outcome_ = Outcome::kNone;
}

void TaskPromiseBase::Rethrow() {
  if (outcome_ == Outcome::kException) std::rethrow_exception(exception_);
  throw RpcException(TakeStatus());
}

}  // namespace rookery::internal
