#include "rookery/runtime/cancel.h"

#include <cstdint>
#include <thread>
#include <utility>

#include "absl/status/status.h"

namespace rookery {

namespace {

// An address that differs from thread to thread: cheaper than std::thread::id.
std::uintptr_t ThisThread() noexcept {
  static constinit thread_local char marker = 0;
  return reinterpret_cast<std::uintptr_t>(&marker);
}

}  // namespace

void CancelSource::Lock() const noexcept {
  // Held for a few instructions only; whoever holds it may have been preempted, hence the yield.
  for (int spins = 0; lock_.exchange(1, std::memory_order_acquire) != 0; ++spins) {
    if (spins >= 16) std::this_thread::yield();
  }
}

void CancelSource::Unlock() const noexcept { lock_.store(0, std::memory_order_release); }

bool CancelSource::Cancel(absl::Status reason) noexcept {
  if (reason.ok()) reason = absl::CancelledError("cancelled");
  Lock();
  if (state_.load(std::memory_order_relaxed) != 0) {
    Unlock();
    return false;
  }
  reason_ = std::move(reason);
  state_.store(1, std::memory_order_release);
  running_thread_ = ThisThread();
  while (head_ != nullptr) {
    internal::CancelNode* const node = head_;
    head_ = node->next;
    if (head_ != nullptr) head_->previous = &head_;
    node->previous = nullptr;
    running_ = node;
    Unlock();
    node->invoke(node);  // may destroy the node
    Lock();
    running_ = nullptr;
  }
  Unlock();
  return true;
}

absl::Status CancelSource::reason() const { return cancelled() ? reason_ : absl::OkStatus(); }

void CancelSource::Reset() noexcept {
  if (state_.load(std::memory_order_relaxed) == 0) return;
  state_.store(0, std::memory_order_relaxed);
  reason_ = absl::OkStatus();
}

bool CancelSource::Add(internal::CancelNode* node) noexcept {
  if (cancelled()) return false;
  Lock();
  if (state_.load(std::memory_order_relaxed) != 0) {
    Unlock();
    return false;
  }
  node->next = head_;
  node->previous = &head_;
  if (head_ != nullptr) head_->previous = &node->next;
  head_ = node;
  Unlock();
  return true;
}

void CancelSource::Remove(internal::CancelNode* node) noexcept {
  Lock();
  if (node->previous != nullptr) {
    *node->previous = node->next;
    if (node->next != nullptr) node->next->previous = node->previous;
    node->previous = nullptr;
  } else if (running_thread_ != ThisThread()) {
    while (running_ == node) {
      Unlock();
      std::this_thread::yield();
      Lock();
    }
  }
  Unlock();
}

bool CancelCallbackBase::ArmWith(CancelToken token, void (*run)(Node* self) noexcept) noexcept {
  invoke = run;
  CancelSource* const source = token.source();
  if (source == nullptr) return true;
  // Set before it is linked: once it is, the callback may run on another thread, and this object
  // may be gone before Add() returns.
  source_ = source;
  if (source->Add(this)) return true;
  source_ = nullptr;
  run(this);
  return false;
}

}  // namespace rookery
