#include "rookery/runtime/offload.h"

#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

#include "rookery/runtime/rpc_exception.h"

namespace rookery {

namespace {
// How long a thread without work stays.
constexpr std::chrono::seconds kIdle{10};
}  // namespace

// Shared with the threads, which are detached: the last of them may still be on its way out when
// the pool is gone.
struct OffloadPool::Impl : std::enable_shared_from_this<OffloadPool::Impl> {
  explicit Impl(Options o) : options(o) {
    if (options.max_threads == 0) options.max_threads = 1;
  }

  void Loop() {
    std::unique_lock lock(mutex);
    for (;;) {
      if (head == nullptr) {
        if (stopping) break;
        ++idle;
        const bool timed_out = work_came.wait_for(lock, kIdle) == std::cv_status::timeout;
        --idle;
        if (timed_out && head == nullptr && !stopping) break;
        continue;
      }
      internal::OffloadWork* const work = head;
      head = work->next;
      if (head == nullptr) tail = nullptr;
      --queued;
      lock.unlock();
      work->run(work);
      lock.lock();
    }
    if (--threads == 0) all_gone.notify_all();
  }

  Options options;
  mutable std::mutex mutex;
  std::condition_variable work_came;
  std::condition_variable all_gone;
  internal::OffloadWork* head = nullptr;
  internal::OffloadWork* tail = nullptr;
  std::size_t queued = 0;
  std::size_t threads = 0;
  std::size_t idle = 0;
  std::size_t started = 0;
  bool stopping = false;
};

OffloadPool::OffloadPool() : OffloadPool(Options()) {}

OffloadPool::OffloadPool(Options options) : impl_(std::make_shared<Impl>(options)) {}

OffloadPool::~OffloadPool() {
  std::unique_lock lock(impl_->mutex);
  impl_->stopping = true;
  impl_->work_came.notify_all();
  impl_->all_gone.wait(lock, [this] { return impl_->threads == 0; });
}

OffloadPool& OffloadPool::Default() {
  static OffloadPool pool;
  return pool;
}

bool OffloadPool::Submit(internal::OffloadWork* work) {
  Impl& impl = *impl_;
  std::size_t number = 0;
  {
    const std::scoped_lock lock(impl.mutex);
    if (impl.queued >= impl.options.max_queue) return false;
    work->next = nullptr;
    (impl.tail == nullptr ? impl.head : impl.tail->next) = work;
    impl.tail = work;
    ++impl.queued;
    // From here on the work may be done, and gone, at any moment.
    if (impl.idle >= impl.queued || impl.threads >= impl.options.max_threads) {
      impl.work_came.notify_one();
      return true;
    }
    ++impl.threads;
    number = impl.started++;
  }
  try {
    std::thread([shared = impl_, number] {
      char name[16];
      std::snprintf(name, sizeof name, "offload-%u", static_cast<unsigned>(number % 1'000'000));
      pthread_setname_np(pthread_self(), name);
      shared->Loop();
    }).detach();
  } catch (const std::system_error&) {
    // No thread to be had: with others there the work only waits longer.
    const std::scoped_lock lock(impl.mutex);
    if (--impl.threads > 0) return true;
    // Nobody will come for it: take it back.
    internal::OffloadWork* before = nullptr;
    for (internal::OffloadWork* at = impl.head; at != work; at = at->next) before = at;
    (before == nullptr ? impl.head : before->next) = work->next;
    if (impl.tail == work) impl.tail = before;
    --impl.queued;
    return false;
  }
  return true;
}

std::size_t OffloadPool::threads() const {
  const std::scoped_lock lock(impl_->mutex);
  return impl_->threads;
}

namespace internal {

void ThrowOffloadQueueFull() {
  throw RpcException(absl::ResourceExhaustedError(
      "too much work offloaded: the pool's queue is full; raise OffloadPool::Options::max_queue or "
      "max_threads, or offload less"));
}

}  // namespace internal
}  // namespace rookery
