#include "runtime/asio_loop.h"

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "rookery/runtime/fake_clock.h"
#include "rookery/runtime/hooks.h"
#include "rookery/runtime/loop.h"
#include "runtime/shared_clock.h"

namespace rookery::internal {

void AsioLoopBase::WaitFd(int fd, FdEvent event, FdWait* wait) {
  if (!fds_.has_value()) {
    fds_.emplace(io(), [this](const std::function<void()>& unit) {
      BeginUnit();
      unit();
      EndUnit();
    });
  }
  fds_->Wait(fd, event, wait);
}

void AsioLoopBase::CancelWait(FdWait* wait) noexcept {
  if (fds_.has_value()) fds_->Cancel(wait);
}

boost::asio::io_context& AsioContext(Loop& loop) {
  auto* const asio = dynamic_cast<AsioLoopBase*>(&loop);
  if (asio == nullptr) {
    throw std::logic_error(
        "this loop has no Boost.Asio io_context; run the "
        "work on one of the application's LoopPool");
  }
  return asio->io();
}

// ---- AsioLoop
// -----------------------------------------------------------------------------------

template <class T>
struct AsioLoop::WakeAllocator {
  using value_type = T;
  explicit WakeAllocator(AsioLoop* owner) noexcept : loop(owner) {}
  template <class U>
  // NOLINTNEXTLINE(google-explicit-constructor): allocators convert.
  WakeAllocator(const WakeAllocator<U>& other) noexcept : loop(other.loop) {}
  T* allocate(std::size_t n) {
    if (n * sizeof(T) <= sizeof(loop->wake_storage_) && alignof(T) <= alignof(std::max_align_t) &&
        !loop->wake_storage_taken_.exchange(true, std::memory_order_acquire)) {
      return reinterpret_cast<T*>(loop->wake_storage_);
    }
    return static_cast<T*>(::operator new(n * sizeof(T)));
  }
  void deallocate(T* at, std::size_t) noexcept {
    if (reinterpret_cast<unsigned char*>(at) == loop->wake_storage_) {
      loop->wake_storage_taken_.store(false, std::memory_order_release);
    } else {
      ::operator delete(at);
    }
  }
  template <class U>
  bool operator==(const WakeAllocator<U>& other) const noexcept {
    return loop == other.loop;
  }
  AsioLoop* loop;
};

struct AsioLoop::WakeHandler {
  using allocator_type = WakeAllocator<std::byte>;
  [[nodiscard]] allocator_type get_allocator() const noexcept { return allocator_type(loop); }
  void operator()() const { loop->OnWake(); }
  AsioLoop* loop;
};

AsioLoop::AsioLoop(std::string name)
    : name_(std::move(name)), io_(1), work_(io_.get_executor()), timer_(io_) {}

AsioLoop::~AsioLoop() {
  AwaitPosters();
  fds_.reset();
}

void AsioLoop::Run() {
  EnterThread();
  for (;;) {
    try {
      io_.run();
      break;
    } catch (...) {
      ReportUnhandled("a handler on a loop", std::current_exception());
    }
  }
  LeaveThread();
}

void AsioLoop::Stop() noexcept {
  stopping_.store(true, std::memory_order_release);
  boost::asio::post(io_, [this] {
    if (!HasPosted()) io_.stop();
  });
}

void AsioLoop::Wake() noexcept { boost::asio::post(io_, WakeHandler{this}); }

void AsioLoop::OnWake() {
  // A few turns at once: between any two of its handlers Asio asks the kernel for events.
  for (int turn = 0; turn < kTurns; ++turn) {
    RunPosted();
    if (!HasPosted()) break;
  }
  if (HasPosted()) {
    RequestWake();
  } else if (stopping_.load(std::memory_order_acquire)) {
    io_.stop();
  }
}

void AsioLoop::TimerMoved(Deadline earliest) noexcept {
  // A timer that fires early costs less than to move Asio's each time the earliest is disarmed.
  if (earliest >= armed_) return;
  armed_ = earliest;
  timer_.expires_at(earliest);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) OnTimer();
  });
}

void AsioLoop::OnTimer() {
  armed_ = kNoDeadline;
  FireTimers();
  const Deadline next = NextDeadline();
  if (next != kNoDeadline) TimerMoved(next);
}

// ---- SyncLoop
// -----------------------------------------------------------------------------------

SyncLoop::~SyncLoop() {
  AwaitPosters();
  fds_.reset();
}

boost::asio::io_context& SyncLoop::io() {
  if (io_ == nullptr) {
    const std::scoped_lock lock(mutex_);
    io_ = std::make_unique<boost::asio::io_context>(1);
  }
  return *io_;
}

void SyncLoop::Enter() {
  set_clock(ThreadClock());
  EnterThread();
}

void SyncLoop::Wake() noexcept {
  // RunUntil looks before it waits.
  if (Loop::Current() == this) return;
  const std::scoped_lock lock(mutex_);
  if (io_ != nullptr) {
    boost::asio::post(*io_, [] {});
  } else {
    wake_ = true;
    woken_.notify_one();
  }
}

void SyncLoop::NoteStandstill() noexcept {
  if (std::exchange(standstill_noted_, true)) return;
  ReportUnhandled(
      "SyncWait on a thread with a FakeClock",
      absl::DeadlineExceededError(
          "nothing has happened for a long real time; if what is awaited sleeps, nobody moves the "
          "clock on: start it by rookery::testing::InBackground and call Advance meanwhile, or "
          "co_await clock.Pass(duration) beside it"));
}

void SyncLoop::RunUntil(const bool& done) {
  standstill_noted_ = false;
  while (!done) {
    RunPosted();
    FireTimers();
    if (done) break;
    const Deadline next = NextDeadline();
    try {
      if (io_ != nullptr) {
        io_->restart();
        const auto work = boost::asio::make_work_guard(*io_);
        if (HasPosted()) {
          io_->poll_one();
        } else if (next == kNoDeadline && clock() == nullptr) {
          io_->run_one();
        } else if (next == kNoDeadline) {
          if (io_->run_one_for(clock()->patience()) == 0 && !HasPosted()) NoteStandstill();
        } else {
          io_->run_one_until(next);
        }
        continue;
      }
    } catch (...) {
      ReportUnhandled("a handler on a loop", std::current_exception());
      continue;
    }
    if (HasPosted()) continue;
    std::unique_lock lock(mutex_);
    const auto is_woken = [this] { return wake_; };
    if (next == kNoDeadline && clock() == nullptr) {
      woken_.wait(lock, is_woken);
    } else if (next == kNoDeadline) {
      if (!woken_.wait_for(lock, clock()->patience(), is_woken)) {
        lock.unlock();
        NoteStandstill();
        continue;
      }
    } else {
      woken_.wait_until(lock, next, is_woken);
    }
    wake_ = false;
  }
}

}  // namespace rookery::internal
