#include "cq_loop.h"

#include <fcntl.h>
#include <grpc/support/time.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <utility>

#include "convert.h"
#include "thread_sanitizer.h"

namespace rookery::grpc_adapter {
namespace {

constinit thread_local CqLoop* tls_cq_loop = nullptr;

}  // namespace

CqLoop::CqLoop(std::function<LoopPool&()> fd_loops)
    : fd_loops_(std::move(fd_loops)), queue_(grpc_completion_queue_create_for_next(nullptr)) {
  bell_channel_ = grpc_lame_client_channel_create("rookery:bell", GRPC_STATUS_CANCELLED, "a bell");
  bell_ = grpc_channel_create_call(bell_channel_, nullptr, GRPC_PROPAGATE_DEFAULTS, queue_,
                                   grpc_slice_from_static_string("/bell"), nullptr,
                                   gpr_inf_future(GPR_CLOCK_MONOTONIC), nullptr);
}

CqLoop::~CqLoop() {
  Close();
  AwaitPosters();
  // Never run: what was shut down still has to be drained.
  while (grpc_completion_queue_next(queue_, gpr_inf_future(GPR_CLOCK_MONOTONIC), nullptr).type !=
         GRPC_QUEUE_SHUTDOWN) {
  }
  grpc_completion_queue_destroy(queue_);
}

CqLoop* CqLoop::Current() noexcept { return tls_cq_loop; }

void CqLoop::Run() noexcept {
  EnterThread();
  CqLoop* const previous = std::exchange(tls_cq_loop, this);
  const gpr_timespec never = gpr_inf_future(GPR_CLOCK_MONOTONIC);
  for (;;) {
    if (HasPosted()) RunPosted();
    FireTimers();
    // Work posted by work, or by a timer: look at the queue, but do not wait.
    const Deadline next = HasPosted() ? Deadline() : NextDeadline();
    const grpc_event event =
        grpc_completion_queue_next(queue_, next == kNoDeadline ? never : ToTimespec(next), nullptr);
    if (event.type == GRPC_OP_COMPLETE) [[likely]] {
      TakeBack(event.tag);
      auto* const tag = static_cast<CqTag*>(event.tag);
      BeginUnit();
      tag->done(tag, event.success != 0);
      EndUnit();
    } else if (event.type == GRPC_QUEUE_SHUTDOWN) {
      break;
    }
  }
  RunPosted();
  tls_cq_loop = previous;
  LeaveThread();
}

void CqLoop::Close() noexcept {
  const std::lock_guard<std::mutex> lock(bell_mutex_);
  if (closed_) return;
  closed_ = true;
  grpc_call_unref(bell_);
  grpc_channel_destroy(bell_channel_);
  grpc_completion_queue_shutdown(queue_);
}

void CqLoop::AddClient(CqClient* client) noexcept {
  client->previous_ = nullptr;
  client->next_ = clients_;
  if (clients_ != nullptr) clients_->previous_ = client;
  clients_ = client;
}

void CqLoop::RemoveClient(CqClient* client) noexcept {
  (client->previous_ == nullptr ? clients_ : client->previous_->next_) = client->next_;
  if (client->next_ != nullptr) client->next_->previous_ = client->previous_;
}

void CqLoop::AbortClients() noexcept {
  accepting_ = false;
  // Aborted ones leave the list later, when their completions arrive.
  for (CqClient* client = clients_; client != nullptr; client = client->next_) client->Abort();
}

void CqLoop::Wake() noexcept {
  if (tls_cq_loop == this) return;  // Run() looks before it waits
  const std::lock_guard<std::mutex> lock(bell_mutex_);
  if (closed_) return;
  grpc_call_start_batch(bell_, nullptr, 0, HandOver(&wake_tag_), nullptr);
}

// A wait on one of the application's loops in place of ours. It lives on the other loop, and comes
// home to report; `user` belongs to the home thread and is null once the waiter has given up.
struct CqLoop::RemoteWait final {
  RemoteWait(CqLoop* home_loop, Loop* other, int descriptor, FdEvent awaited,
             FdWait* waiter) noexcept
      : home(home_loop), remote(other), fd(descriptor), event(awaited), user(waiter) {}

  // Runs there.
  struct StartWork final : LoopWork {
    explicit StartWork(RemoteWait* w) noexcept
        : LoopWork([](LoopWork* self) noexcept {
            RemoteWait& remote_wait = *static_cast<StartWork*>(self)->wait;
            remote_wait.remote->WaitFd(remote_wait.fd, remote_wait.event, &remote_wait.inner);
          }),
          wait(w) {}
    RemoteWait* wait;
  };
  struct StopWork final : LoopWork {
    explicit StopWork(RemoteWait* w) noexcept
        : LoopWork([](LoopWork* self) noexcept {
            RemoteWait& remote_wait = *static_cast<StopWork*>(self)->wait;
            remote_wait.remote->CancelWait(&remote_wait.inner);
            remote_wait.home->Post(&remote_wait.gone);
          }),
          wait(w) {}
    RemoteWait* wait;
  };
  struct Inner final : FdWait {
    explicit Inner(RemoteWait* w) noexcept
        : FdWait([](FdWait* self, bool is_ready) noexcept {
            RemoteWait& remote_wait = *static_cast<Inner*>(self)->wait;
            remote_wait.ready = is_ready;
            remote_wait.home->Post(&remote_wait.report);
          }),
          wait(w) {}
    RemoteWait* wait;
  };
  // Runs at home. The wait is freed when it has reported and nothing is on its way to it any more.
  struct ReportWork final : LoopWork {
    explicit ReportWork(RemoteWait* w) noexcept
        : LoopWork([](LoopWork* self) noexcept {
            RemoteWait& remote_wait = *static_cast<ReportWork*>(self)->wait;
            remote_wait.reported = true;
            FdWait* const user = std::exchange(remote_wait.user, nullptr);
            const bool ready = remote_wait.ready;
            if (!remote_wait.stopping) remote_wait.Free();
            if (user != nullptr) {
              user->implementation = nullptr;
              user->done(user, ready);
            }
          }),
          wait(w) {}
    RemoteWait* wait;
  };
  struct GoneWork final : LoopWork {
    explicit GoneWork(RemoteWait* w) noexcept
        : LoopWork([](LoopWork* self) noexcept { static_cast<GoneWork*>(self)->wait->Free(); }),
          wait(w) {}
    RemoteWait* wait;
  };

  void Free() noexcept {
    ::close(fd);
    const std::unique_ptr<RemoteWait> owned(this);
  }

  CqLoop* const home;
  Loop* const remote;
  const int fd;
  const FdEvent event;
  FdWait* user;
  bool ready = false;
  bool reported = false;
  bool stopping = false;
  Inner inner{this};
  StartWork start{this};
  StopWork stop{this};
  ReportWork report{this};
  GoneWork gone{this};
};

void CqLoop::WaitFd(int fd, FdEvent event, FdWait* wait) {
  // A copy of the descriptor, because the waiter may close its own as soon as it has cancelled,
  // while the other loop still has to hear of it.
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) {
    wait->done(wait, false);
    return;
  }
  auto remote = std::make_unique<RemoteWait>(this, &fd_loops_().Pick(), copy, event, wait);
  wait->implementation = remote.get();
  remote->remote->Post(&remote.release()->start);
}

void CqLoop::CancelWait(FdWait* wait) noexcept {
  auto* const remote = static_cast<RemoteWait*>(std::exchange(wait->implementation, nullptr));
  if (remote == nullptr) return;
  remote->user = nullptr;
  remote->stopping = true;
  remote->remote->Post(&remote->stop);
  wait->done(wait, false);
}

}  // namespace rookery::grpc_adapter
