// The Boost.Asio side of loops, for adapters that bring sockets of their own. Private.
//
//   boost::asio::io_context& io = rookery::internal::AsioContext(loop);   // on the loop's thread
//   boost::asio::ip::tcp::socket socket(io);
//
// Handlers that Asio calls on the loop are no units of work to it by themselves: begin each with
//   const rookery::internal::RunningScope running("nats");
// so that the watchdog sees them, and wake coroutines with LeafAwaiter::Wake or internal::Resume.
#ifndef ROOKERY_SRC_RUNTIME_ASIO_LOOP_H_
#define ROOKERY_SRC_RUNTIME_ASIO_LOOP_H_

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "rookery/runtime/loop.h"
#include "runtime/fd_set.h"
#include "runtime/loop_base.h"

namespace rookery::internal {

// A loop with an io_context inside.
class AsioLoopBase : public LoopBase {
 public:
  // Made at the first use by loops that may do without. On the loop's thread.
  [[nodiscard]] virtual boost::asio::io_context& io() = 0;

  void WaitFd(int fd, FdEvent event, FdWait* wait) final;
  void CancelWait(FdWait* wait) noexcept final;

 protected:
  std::optional<FdSet> fds_;  // destroyed by derived classes before their io_context
};

// The io_context of `loop`; throws std::logic_error if it has none (a gRPC loop).
[[nodiscard]] boost::asio::io_context& AsioContext(Loop& loop);

// A loop of a LoopPool: io_context::run() drives it, and posts and timers are handlers in it.
class AsioLoop final : public AsioLoopBase {
 public:
  explicit AsioLoop(std::string name);
  ~AsioLoop() override;

  [[nodiscard]] boost::asio::io_context& io() override { return io_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  // Runs on this thread until Stop().
  void Run();
  // Ends Run() once nothing posted is left. Any thread.
  void Stop() noexcept;

 private:
  // Storage for the one handler that wakes the loop, so that a post from another thread allocates
  // nothing.
  template <class T>
  struct WakeAllocator;
  struct WakeHandler;

  static constexpr int kTurns = 8;
  void Wake() noexcept override;
  void TimerMoved(Deadline earliest) noexcept override;
  void OnWake();
  void OnTimer();

  const std::string name_;
  std::atomic<bool> wake_storage_taken_{false};
  alignas(std::max_align_t) unsigned char wake_storage_[128];
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::asio::steady_timer timer_;
  Deadline armed_ = kNoDeadline;  // when timer_ fires
  std::atomic<bool> stopping_{false};
};

// The loop of a thread in SyncWait: drives posts and timers by itself, and makes an io_context only
// when somebody waits on an fd or asks for it.
class SyncLoop final : public AsioLoopBase {
 public:
  SyncLoop() = default;
  ~SyncLoop() override;

  [[nodiscard]] boost::asio::io_context& io() override;
  // Follows the thread's clock, until Leave.
  void Enter();
  // Between Enter and Leave: runs on this thread until `done`, which a unit of work sets.
  void RunUntil(const bool& done);
  void Leave() noexcept {
    LeaveThread();
    set_clock(nullptr);
  }

 private:
  void Wake() noexcept override;
  // Most likely a test that waits for time which stands still.
  void NoteStandstill() noexcept;

  bool standstill_noted_ = false;
  std::mutex mutex_;
  std::condition_variable woken_;
  bool wake_ = false;                            // guarded by mutex_
  std::unique_ptr<boost::asio::io_context> io_;  // made on the loop's thread, under mutex_
};

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_RUNTIME_ASIO_LOOP_H_
