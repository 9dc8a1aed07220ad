// Cancellation: a CancelSource says "stop", CancelTokens hear it, with the reason as a status.
//
//   rookery::CancelSource source;
//   rookery::CancelCallback on_stop(source.token(), &CloseSocket, &socket);
//   source.Cancel(absl::CancelledError("the caller went away"));   // runs CloseSocket(&socket)
//
// Every call has one source, in its Context; leaf awaitables (Sleep, client calls, Queue, ...)
// listen to it and fail with its reason. User code rarely needs more than `call.cancelled()`.
#ifndef ROOKERY_RUNTIME_CANCEL_H_
#define ROOKERY_RUNTIME_CANCEL_H_

#include <atomic>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"

namespace rookery {

class CancelToken;

namespace internal {
// One registration: intrusive, so that registering allocates nothing.
struct CancelNode {
  void (*invoke)(CancelNode* self) noexcept = nullptr;
  CancelNode* next = nullptr;
  CancelNode** previous = nullptr;  // non-null while linked
};
}  // namespace internal

// Says "stop" once. Thread-safe. The source must outlive its tokens and callbacks, and a Cancel()
// that is under way: whoever cancels a context's source holds a reference to the context.
class CancelSource final {
 public:
  CancelSource() noexcept = default;
  CancelSource(const CancelSource&) = delete;
  CancelSource& operator=(const CancelSource&) = delete;
  ~CancelSource() = default;

  // Cancels with `reason` (an OK one becomes CANCELLED), and runs the callbacks on this thread
  // before it returns. Only the first call counts; returns whether this was it.
  bool Cancel(absl::Status reason) noexcept;

  [[nodiscard]] bool cancelled() const noexcept {
    return state_.load(std::memory_order_acquire) != 0;
  }
  // OK while not cancelled.
  [[nodiscard]] absl::Status reason() const;
  [[nodiscard]] CancelToken token() noexcept;

  // Back to not cancelled. No callback may be registered and no other thread may be using it.
  void Reset() noexcept;

 private:
  friend class CancelCallbackBase;
  // Registers, or returns false if already cancelled.
  bool Add(internal::CancelNode* node) noexcept;
  // Deregisters; if the callback runs on another thread right now, waits for its end.
  void Remove(internal::CancelNode* node) noexcept;
  void Lock() const noexcept;
  void Unlock() const noexcept;

  mutable std::atomic<std::uint32_t> lock_{0};
  std::atomic<std::uint32_t> state_{0};      // 0 live, 1 cancelled
  internal::CancelNode* head_ = nullptr;     // guarded by lock_
  internal::CancelNode* running_ = nullptr;  // guarded by lock_
  std::uintptr_t running_thread_ = 0;        // guarded by lock_
  absl::Status reason_;                      // written once, before state_
};

// A view of a source that can only listen. A default-made token is never cancelled.
class CancelToken final {
 public:
  CancelToken() noexcept = default;
  explicit CancelToken(CancelSource* source) noexcept : source_(source) {}
  [[nodiscard]] bool cancelled() const noexcept {
    return source_ != nullptr && source_->cancelled();
  }
  // OK while not cancelled.
  [[nodiscard]] absl::Status reason() const {
    return source_ == nullptr ? absl::OkStatus() : source_->reason();
  }
  [[nodiscard]] CancelSource* source() const noexcept { return source_; }

 private:
  CancelSource* source_ = nullptr;
};

inline CancelToken CancelSource::token() noexcept { return CancelToken(this); }

// The base of callbacks: links and unlinks itself. Use CancelCallback.
class CancelCallbackBase : private internal::CancelNode {
 public:
  CancelCallbackBase(const CancelCallbackBase&) = delete;
  CancelCallbackBase& operator=(const CancelCallbackBase&) = delete;

 protected:
  CancelCallbackBase() noexcept = default;
  ~CancelCallbackBase() { Disarm(); }
  using Node = internal::CancelNode;
  // Runs `run` now (and returns false) if the token is cancelled already.
  bool ArmWith(CancelToken token, void (*run)(Node* self) noexcept) noexcept;
  void Disarm() noexcept {
    if (source_ != nullptr) std::exchange(source_, nullptr)->Remove(this);
  }
  template <class Derived>
  static Derived* From(Node* node) noexcept {
    return static_cast<Derived*>(static_cast<CancelCallbackBase*>(node));
  }

 private:
  CancelSource* source_ = nullptr;
};

// Runs a function when a token is cancelled: at once if it is already, otherwise on the cancelling
// thread. Arm() once at a time; Disarm() (or destruction) returns only when the function is not
// running, unless it is called from within the function. So do not disarm under a lock that the
// function takes. The function must not throw, and should be brief: it delays the other callbacks.
class CancelCallback final : public CancelCallbackBase {
 public:
  using Function = void (*)(void* argument) noexcept;

  CancelCallback() noexcept = default;
  CancelCallback(CancelToken token, Function function, void* argument) noexcept {
    Arm(token, function, argument);
  }
  void Arm(CancelToken token, Function function, void* argument) noexcept {
    function_ = function;
    argument_ = argument;
    ArmWith(token, [](Node* self) noexcept {
      const auto* const callback = From<CancelCallback>(self);
      callback->function_(callback->argument_);
    });
  }
  using CancelCallbackBase::Disarm;

 private:
  Function function_ = nullptr;
  void* argument_ = nullptr;
};

}  // namespace rookery

#endif  // ROOKERY_RUNTIME_CANCEL_H_
