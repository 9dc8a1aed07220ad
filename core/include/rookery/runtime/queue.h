// Queue<T>: a bounded queue between coroutines. A full queue makes writers wait, an empty one
// readers.
//
//   rookery::Queue<Event> events(100);
//   bool taken = co_await events.Push(event);              // waits for room; false: closed
//   std::optional<Event> next = co_await events.Pop();     // waits for an element; nullopt: the
//       end
//   rookery::Stream<Event> stream = events.ReadAll();      // the same as a Stream
//   events.Close();                                        // readers get what is left, then the
//       end
//
// Any number of writers and readers on any threads; each coroutine resumes on its own loop. Order
// is first in, first out, for elements and for those who wait. A wait ends early with the context's
// cancellation. The queue must outlive those who wait in it, and the Stream of ReadAll().
#ifndef ROOKERY_RUNTIME_QUEUE_H_
#define ROOKERY_RUNTIME_QUEUE_H_

#include <coroutine>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/stream.h"
#include "rookery/runtime/wait_list.h"

namespace rookery {

// See the top of this file. Thread-safe.
template <class T>
class Queue final {
 public:
  // Holds at most `capacity` elements; 0 is taken as 1.
  explicit Queue(std::size_t capacity) : capacity_(capacity == 0 ? 1 : capacity) {}
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  class PushAwaitable;
  class PopAwaitable;

  // Awaitable: puts `value` in, waiting for room; gives false, and drops the value, if the queue is
  // closed. Throws RpcException with the reason if the context is cancelled while it waits.
  [[nodiscard]] PushAwaitable Push(T value) { return PushAwaitable(*this, std::move(value)); }

  // Puts `value` in if there is room now; otherwise, or when closed, false.
  [[nodiscard]] bool TryPush(T value) {
    internal::Waiter* reader = nullptr;
    {
      const std::scoped_lock lock(mutex_);
      if (closed_ || (readers_.empty() && values_.size() >= capacity_)) return false;
      reader = Put(std::move(value));
    }
    if (reader != nullptr) reader->WakeLater();
    return true;
  }

  // Awaitable: takes the oldest element, waiting for one; gives nullopt when the queue is closed
  // and empty. Throws RpcException with Close()'s status, if that was an error, or with the reason
  // of the context's cancellation.
  [[nodiscard]] PopAwaitable Pop() { return PopAwaitable(*this); }

  // Takes the oldest element if there is one now.
  [[nodiscard]] std::optional<T> TryPop() {
    std::optional<T> value;
    internal::Waiter* writer = nullptr;
    {
      const std::scoped_lock lock(mutex_);
      if (values_.empty()) return value;
      writer = Get(value);
    }
    if (writer != nullptr) writer->WakeLater();
    return value;
  }

  // Pop() until the end, as a Stream.
  [[nodiscard]] Stream<T> ReadAll() {
    for (;;) {
      std::optional<T> value = co_await Pop();
      if (!value) break;
      co_yield *std::move(value);
    }
  }

  // Takes no more elements. Readers get what is in the queue, then its end: with `status` as an
  // RpcException if that is an error. Waiting writers give up. The first call counts.
  void Close(absl::Status status = absl::OkStatus()) {
    internal::Waiter* readers = nullptr;
    internal::Waiter* writers = nullptr;
    {
      const std::scoped_lock lock(mutex_);
      if (closed_) return;
      closed_ = true;
      status_ = std::move(status);
      readers = readers_.TakeAll();  // there are none unless the queue is empty
      writers = writers_.TakeAll();
    }
    internal::WaitList::WakeAll(readers);
    internal::WaitList::WakeAll(writers);
  }

  [[nodiscard]] bool closed() const {
    const std::scoped_lock lock(mutex_);
    return closed_;
  }
  // How many elements are in it now.
  [[nodiscard]] std::size_t size() const {
    const std::scoped_lock lock(mutex_);
    return values_.size();
  }

  class PushAwaitable final : public internal::Waiter {
   public:
    PushAwaitable(Queue& queue, T value) : queue_(queue), value_(std::move(value)) {}
    bool await_suspend(std::coroutine_handle<> handle) {
      internal::Waiter* reader = nullptr;
      const bool parked = Park(handle, queue_.mutex_, queue_.writers_, [this, &reader] {
        if (queue_.closed_) return true;
        if (queue_.readers_.empty() && queue_.values_.size() >= queue_.capacity_) return false;
        reader = queue_.Put(std::move(value_));
        taken_ = true;
        return true;
      });
      if (reader != nullptr) reader->WakeLater();
      return parked;
    }
    bool await_resume() {
      const absl::Status status = EndWait();
      if (!status.ok()) throw RpcException(status);
      return taken_;
    }

   private:
    friend class Queue;
    Queue& queue_;
    T value_;
    bool taken_ = false;
  };

  class PopAwaitable final : public internal::Waiter {
   public:
    explicit PopAwaitable(Queue& queue) : queue_(queue) {}
    bool await_suspend(std::coroutine_handle<> handle) {
      internal::Waiter* writer = nullptr;
      const bool parked = Park(handle, queue_.mutex_, queue_.readers_, [this, &writer] {
        if (queue_.values_.empty()) return queue_.closed_;
        writer = queue_.Get(value_);
        return true;
      });
      if (writer != nullptr) writer->WakeLater();
      return parked;
    }
    std::optional<T> await_resume() {
      const absl::Status status = EndWait();
      if (!status.ok()) throw RpcException(status);
      if (!value_) queue_.ThrowIfFailed();
      return std::move(value_);
    }

   private:
    friend class Queue;
    Queue& queue_;
    std::optional<T> value_;
  };

 private:
  // With the mutex held: hands the value to a waiting reader, whom the caller must wake, or keeps
  // it.
  internal::Waiter* Put(T value) {
    internal::Waiter* const reader = readers_.Take();
    if (reader != nullptr) {
      static_cast<PopAwaitable*>(reader)->value_.emplace(std::move(value));
    } else {
      values_.push_back(std::move(value));
    }
    return reader;
  }
  // With the mutex held, and an element there: takes it, and lets in a waiting writer's, whom the
  // caller must wake.
  internal::Waiter* Get(std::optional<T>& into) {
    into.emplace(std::move(values_.front()));
    values_.pop_front();
    internal::Waiter* const writer = writers_.Take();
    if (writer != nullptr) {
      auto* const push = static_cast<PushAwaitable*>(writer);
      values_.push_back(std::move(push->value_));
      push->taken_ = true;
    }
    return writer;
  }
  void ThrowIfFailed() const {
    absl::Status status;
    {
      const std::scoped_lock lock(mutex_);
      status = status_;
    }
    if (!status.ok()) throw RpcException(std::move(status));
  }

  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::deque<T> values_;
  internal::WaitList readers_;
  internal::WaitList writers_;
  bool closed_ = false;
  absl::Status status_;
};

}  // namespace rookery

#endif  // ROOKERY_RUNTIME_QUEUE_H_
