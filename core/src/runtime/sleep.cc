#include "rookery/runtime/sleep.h"

#include <chrono>
#include <coroutine>
#include <stdexcept>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "rookery/runtime/cancel.h"
#include "rookery/runtime/clock.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/rpc_exception.h"

namespace rookery::internal {

namespace {

absl::Status DeadlineStatus() { return absl::DeadlineExceededError("the deadline has passed"); }

}  // namespace

Loop& CurrentLoopFor(const char* who) {
  Loop* const loop = Loop::Current();
  if (loop == nullptr) {
    throw std::logic_error(std::string(who) +
                           " needs a Loop under the coroutine, and this thread "
                           "runs none: start the "
                           "task in SyncWait, or with SpawnOn(loop, task)");
  }
  return *loop;
}

Deadline DeadlineAfter(std::chrono::nanoseconds duration) noexcept {
  const Loop* const loop = Loop::Current();
  const Deadline now = loop != nullptr ? loop->Now() : Now();
  if (duration >= kNoDeadline - now) return kNoDeadline;
  if (duration.count() < 0) return now;
  return now + std::chrono::duration_cast<Deadline::duration>(duration);
}

// ---- Sleep
// --------------------------------------------------------------------------------------

SleepAwaiter::Timer::Timer(SleepAwaiter* owner) noexcept
    : LoopTimer([](LoopTimer* self) noexcept {
        SleepAwaiter* const done = static_cast<Timer*>(self)->sleeper;
        if (done->EndAs(kTime)) done->Wake();
      }),
      sleeper(owner) {}

bool SleepAwaiter::await_suspend(std::coroutine_handle<> handle) {
  Loop& loop = CurrentLoopFor("Sleep");
  Suspend(handle);
  if (context() != nullptr && context()->cancelled()) {
    end_.store(kCancelled, std::memory_order_relaxed);
    return false;
  }
  if (until_ != kNoDeadline) loop.Arm(&timer_, until_);
  // Wakes by a post, which cannot run before this returns: both are on the loop's thread.
  if (context() != nullptr) on_cancel_.Arm(context()->cancel_token(), &OnCancel, this);
  return true;
}

void SleepAwaiter::OnCancel(void* self) noexcept {
  auto* const sleeper = static_cast<SleepAwaiter*>(self);
  if (sleeper->EndAs(kCancelled)) sleeper->WakeLater();
}

void SleepAwaiter::await_resume() {
  Resumed();
  on_cancel_.Disarm();
  loop()->Disarm(&timer_);
  if (end_.load(std::memory_order_acquire) == kCancelled) {
    throw RpcException(context()->cancel_source().reason());
  }
}

// ---- Yield
// --------------------------------------------------------------------------------------

void YieldAwaiter::await_suspend(std::coroutine_handle<> handle) {
  SuspendOn(handle, target_ != nullptr ? target_ : &CurrentLoopFor("Yield"));
  WakeLater();
}

// ---- Deadlines and cancellation of a part
// --------------------------------------------------------

LimitedContext::Timer::Timer(LimitedContext* owner) noexcept
    : LoopTimer([](LoopTimer* self) noexcept {
        // Held: what the cancellation wakes may end the scope that owns the context.
        const ContextRef held(static_cast<Timer*>(self)->limited->get());
        held->cancel_source().Cancel(DeadlineStatus());
      }),
      limited(owner) {}

LimitedContext::LimitedContext(Deadline deadline)
    : context_(ContextWithDeadline(deadline)), loop_(Loop::Current()) {
  Context* const outer = Context::Current();
  if (outer != nullptr && outer->deadline() <= deadline) return;
  if (deadline != kNoDeadline) CurrentLoopFor("WithTimeout").Arm(&timer_, deadline);
}

LimitedContext::LimitedContext(CancelToken token)
    : context_(ContextWithDeadline(kNoDeadline)), token_(token), loop_(Loop::Current()) {
  on_cancel_.Arm(
      token_,
      [](void* self) noexcept {
        auto* const limited = static_cast<LimitedContext*>(self);
        const ContextRef held(limited->get());
        held->cancel_source().Cancel(limited->token_.reason());
      },
      this);
}

void LimitedContext::Stop() noexcept {
  on_cancel_.Disarm();
  if (loop_ != nullptr) loop_->Disarm(&timer_);
}

ContextRef ContextWithDeadline(Deadline deadline) {
  ContextRef context =
      ContextRef::Adopt(Context::NewChild(Context::Current(), Context::Nesting::kShare));
  context->TightenDeadline(deadline);
  return context;
}

AbandonAwaiter::Timer::Timer(AbandonAwaiter* owner) noexcept
    : LoopTimer([](LoopTimer* self) noexcept {
        AbandonAwaiter* const waiting = static_cast<Timer*>(self)->awaiter;
        if (!waiting->state_->RemoveWaiter(waiting)) return;
        waiting->late_ = true;
        waiting->Wake();
      }),
      awaiter(owner) {}

bool AbandonAwaiter::await_suspend(std::coroutine_handle<> handle) {
  Loop& loop = CurrentLoopFor("AbandonAfter");
  Suspend(handle);
  if (!state_->AddWaiter(this)) return false;
  // As in Sleep, whatever wakes it from now on cannot run before this returns.
  if (deadline_ != kNoDeadline) loop.Arm(&timer_, deadline_);
  if (context() != nullptr) on_cancel_.Arm(context()->cancel_token(), &OnCancel, this);
  return true;
}

void AbandonAwaiter::OnCancel(void* self) noexcept {
  auto* const awaiter = static_cast<AbandonAwaiter*>(self);
  if (!awaiter->state_->RemoveWaiter(awaiter)) return;
  awaiter->cancelled_ = true;
  awaiter->WakeLater();
}

absl::Status AbandonAwaiter::await_resume() {
  Resumed();
  on_cancel_.Disarm();
  if (loop() != nullptr) loop()->Disarm(&timer_);
  if (cancelled_) return context()->cancel_source().reason();
  return late_ ? DeadlineStatus() : absl::OkStatus();
}

}  // namespace rookery::internal
