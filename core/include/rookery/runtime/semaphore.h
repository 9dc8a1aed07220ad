// Semaphore: at most so many at a time, the others wait in line.
//
//   rookery::Semaphore connections(10);
//   const rookery::Semaphore::Permit permit = co_await connections.Acquire();
//   // ... until the permit goes out of scope
//
// With one permit it is a mutex that may be held across a co_await.
#ifndef ROOKERY_RUNTIME_SEMAPHORE_H_
#define ROOKERY_RUNTIME_SEMAPHORE_H_

#include <coroutine>
#include <cstddef>
#include <mutex>
#include <optional>
#include <utility>

#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/wait_list.h"

namespace rookery {

// A counting semaphore, first come, first served. Thread-safe. Must outlive its permits and those
// who wait for them.
class Semaphore final {
 public:
  explicit Semaphore(std::size_t permits) noexcept : free_(permits) {}
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  // One permit; goes back when this is destroyed, on any thread.
  class [[nodiscard]] Permit final {
   public:
    Permit(Permit&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
    Permit& operator=(Permit&& other) noexcept {
      std::swap(owner_, other.owner_);
      return *this;
    }
    ~Permit() {
      if (owner_ != nullptr) owner_->Release();
    }

   private:
    friend class Semaphore;
    explicit Permit(Semaphore* owner) noexcept : owner_(owner) {}
    Semaphore* owner_;
  };

  class AcquireAwaitable final : public internal::Waiter {
   public:
    explicit AcquireAwaitable(Semaphore& semaphore) noexcept : semaphore_(semaphore) {}
    bool await_suspend(std::coroutine_handle<> handle) {
      return Park(handle, semaphore_.mutex_, semaphore_.waiters_,
                  [this] { return semaphore_.TakeOne(); });
    }
    Permit await_resume() {
      const absl::Status status = EndWait();
      if (!status.ok()) throw RpcException(status);
      return Permit(&semaphore_);
    }

   private:
    Semaphore& semaphore_;
  };
  // Awaitable: waits for a permit. Throws RpcException with the reason if the context is cancelled
  // while it waits.
  [[nodiscard]] AcquireAwaitable Acquire() noexcept { return AcquireAwaitable(*this); }
  // A permit if one is free now.
  [[nodiscard]] std::optional<Permit> TryAcquire() noexcept;
  [[nodiscard]] std::size_t available() const noexcept;

 private:
  // With the mutex held.
  bool TakeOne() noexcept {
    if (free_ == 0) return false;
    --free_;
    return true;
  }
  void Release() noexcept;

  mutable std::mutex mutex_;
  internal::WaitList waiters_;
  std::size_t free_;
};

}  // namespace rookery

#endif  // ROOKERY_RUNTIME_SEMAPHORE_H_
