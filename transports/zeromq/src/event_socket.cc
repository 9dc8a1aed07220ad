#include "event_socket.h"

#include <zmq.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

namespace rookery::zeromq_adapter {
namespace {

// Checks of the socket's events in one turn of the loop.
constexpr int kTurns = 16;

int EventsOf(void* socket) noexcept {
  int events = 0;
  std::size_t size = sizeof events;
  return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) == 0 ? events : 0;
}

}  // namespace

EventSocket::EventSocket(void* context, int type, Loop& loop)
    : socket_(context, type), loop_(loop), again_(std::make_unique<Again>(this)) {}

EventSocket::~EventSocket() {
  // One that was never started may end anywhere.
  if (wait_.implementation != nullptr) loop_.CancelWait(&wait_);
  if (again_->posted) again_.release()->socket = nullptr;
}

void EventSocket::Start() {
  fd_ = socket_.fd();
  started_ = true;
  Check();
}

void EventSocket::Resume() {
  if (!std::exchange(paused_, false)) return;
  Check();
}

void EventSocket::PostAgain() {
  if (std::exchange(again_->posted, true)) return;
  loop_.Post(again_.get());
}

void EventSocket::Check() {
  // Handlers send from within: the loop below sees what that brings.
  if (!started_ || checking_) return;
  checking_ = true;
  bool more = true;
  for (int turn = 0; turn < kTurns && more; ++turn) {
    more = false;
    const int events = EventsOf(socket_.get());
    if ((events & ZMQ_POLLIN) != 0 && !paused_ && on_readable_) {
      // It stopped before the end: others wait for the loop, too. Or else libzmq has just said that
      // there is nothing more, and would say so again.
      if (on_readable_()) turn = kTurns;
      more = turn == kTurns || want_writable_;
    }
    if ((events & ZMQ_POLLOUT) != 0 && want_writable_ && on_writable_) {
      on_writable_();
      more = true;
    }
  }
  checking_ = false;
  if (more) {
    PostAgain();
    return;
  }
  if (waiting_) return;
  waiting_ = true;
  loop_.WaitFd(fd_, FdEvent::kReadable, &wait_);
}

bool EventSocket::Receive(EventFrames* frames) noexcept {
  frames->Clear();
  for (bool more = true; more;) {
    zmq_msg_t& frame = frames->frames_[std::min(frames->count_, EventFrames::kMost - 1)];
    // The first is there or not; the others of its message have come with it.
    const int received =
        zmq_msg_recv(&frame, socket_.get(), frames->count_ == 0 ? ZMQ_DONTWAIT : 0);
    if (received < 0) return false;
    frames->too_many_ = frames->too_many_ || frames->count_ == EventFrames::kMost;
    if (frames->count_ < EventFrames::kMost) ++frames->count_;
    more = zmq_msg_more(&frame) != 0;
  }
  return true;
}

bool EventSocket::Send(EventFrames* frames) noexcept {
  for (std::size_t i = 0; i < frames->count_; ++i) {
    const bool last = i + 1 == frames->count_;
    const int sent =
        zmq_msg_send(&frames->frames_[i], socket_.get(), ZMQ_DONTWAIT | (last ? 0 : ZMQ_SNDMORE));
    if (sent >= 0) continue;
    if (i == 0 && zmq_errno() == EAGAIN) return false;
    break;
  }
  frames->Clear();
  return true;
}

}  // namespace rookery::zeromq_adapter
