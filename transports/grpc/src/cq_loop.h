// CqLoop: a gRPC completion queue as a rookery::Loop.
//
//   CqLoop loop(&loops);
//   std::thread thread([&] { loop.Run(); });
//   ... loop.Close(); thread.join();
//
// Everything that completes on the queue carries a CqTag, which runs on the loop's thread.
#ifndef ROOKERY_TRANSPORTS_GRPC_SRC_CQ_LOOP_H_
#define ROOKERY_TRANSPORTS_GRPC_SRC_CQ_LOOP_H_

#include <grpc/grpc.h>

#include <functional>
#include <mutex>

#include "library.h"
#include "rookery/runtime/loop.h"
#include "runtime/loop_base.h"

namespace rookery::grpc_adapter {

// What every completion carries. `done` may destroy or reuse the tag.
struct CqTag {
  using Done = void (*)(CqTag* self, bool ok) noexcept;
  explicit CqTag(Done function) noexcept : done(function) {}
  CqTag(const CqTag&) = delete;
  CqTag& operator=(const CqTag&) = delete;

  Done done;
};

// An operation of a client's that runs on the queue, so that a loop which closes can end it.
class CqClient {
 public:
  virtual void Abort() noexcept = 0;

 protected:
  CqClient() = default;
  ~CqClient() = default;

 private:
  friend class CqLoop;
  CqClient* next_ = nullptr;
  CqClient* previous_ = nullptr;
};

class CqLoop final : public internal::LoopBase {
 public:
  // `fd_loops` gives the loops that wait for fds in our place (gRPC's poller takes none of ours);
  // it is called at the first WaitFd.
  explicit CqLoop(std::function<LoopPool&()> fd_loops);
  ~CqLoop() override;

  // The CqLoop that this thread runs, or null.
  [[nodiscard]] static CqLoop* Current() noexcept;
  [[nodiscard]] grpc_completion_queue* queue() const noexcept { return queue_; }

  // Runs on the calling thread until Close() and the queue is empty.
  void Run() noexcept;
  // Any thread. Nothing may be started on the queue from now on; posts after the last one that
  // Run() saw are dropped.
  void Close() noexcept;

  // The loop's thread only. Client calls may be started while accepting(); each is listed until it
  // has ended. AbortClients ends them, and no more are accepted.
  [[nodiscard]] bool accepting() const noexcept { return accepting_; }
  void AddClient(CqClient* client) noexcept;
  void RemoveClient(CqClient* client) noexcept;
  void AbortClients() noexcept;

  void WaitFd(int fd, FdEvent event, FdWait* wait) override;
  void CancelWait(FdWait* wait) noexcept override;

 private:
  struct RemoteWait;
  struct WakeTag final : CqTag {
    WakeTag() noexcept : CqTag([](CqTag*, bool) noexcept {}) {}
  };

  void Wake() noexcept override;

  const Library library_;
  const std::function<LoopPool&()> fd_loops_;
  grpc_completion_queue* const queue_;
  // gRPC's C API has no alarm. An empty batch completes at once, on the queue of its call: so a
  // call that never goes anywhere is the cheapest bell.
  grpc_channel* bell_channel_ = nullptr;
  grpc_call* bell_ = nullptr;
  WakeTag wake_tag_;
  std::mutex bell_mutex_;
  bool closed_ = false;  // guarded by bell_mutex_
  CqClient* clients_ = nullptr;
  bool accepting_ = true;
};

}  // namespace rookery::grpc_adapter

#endif  // ROOKERY_TRANSPORTS_GRPC_SRC_CQ_LOOP_H_
