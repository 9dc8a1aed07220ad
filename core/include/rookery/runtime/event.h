// Event: coroutines wait until somebody says "now".
//
//   rookery::Event ready;
//   co_await ready.Wait();       // any number of coroutines, on any loops
//   ready.Set();                 // any thread; those who come later do not wait at all
//   ready.Reset();               // from here on they do again
#ifndef ROOKERY_RUNTIME_EVENT_H_
#define ROOKERY_RUNTIME_EVENT_H_

#include <coroutine>
#include <mutex>

#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/wait_list.h"

namespace rookery {

// A manual-reset event. Thread-safe. Must outlive those who wait for it.
class Event final {
 public:
  explicit Event(bool set = false) noexcept : set_(set) {}
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  // Wakes all who wait, each on its own loop. Idempotent.
  void Set() noexcept;
  // Makes those who come from now on wait.
  void Reset() noexcept;
  [[nodiscard]] bool is_set() const noexcept;

  class WaitAwaitable final : public internal::Waiter {
   public:
    explicit WaitAwaitable(Event& waited) noexcept : event_(waited) {}
    bool await_suspend(std::coroutine_handle<> handle) {
      return Park(handle, event_.mutex_, event_.waiters_, [this] { return event_.set_; });
    }
    void await_resume() {
      const absl::Status status = EndWait();
      if (!status.ok()) throw RpcException(status);
    }

   private:
    Event& event_;
  };
  // Awaitable. Throws RpcException with the reason if the context is cancelled while it waits.
  [[nodiscard]] WaitAwaitable Wait() noexcept { return WaitAwaitable(*this); }

 private:
  mutable std::mutex mutex_;
  internal::WaitList waiters_;
  bool set_;
};

}  // namespace rookery

#endif  // ROOKERY_RUNTIME_EVENT_H_
