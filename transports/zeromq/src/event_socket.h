// Sockets of libzmq on a Loop. Private.
//
//   EventSocket socket(context, ZMQ_SUB, loop);
//   socket.raw().Set(ZMQ_SUBSCRIBE, "");
//   socket.set_on_readable([&] { ... socket.Receive(&frames) ... });
//   socket.Start();                                       // on the loop
#ifndef ROOKERY_TRANSPORTS_ZEROMQ_SRC_EVENT_SOCKET_H_
#define ROOKERY_TRANSPORTS_ZEROMQ_SRC_EVENT_SOCKET_H_

#include <zmq.h>

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "options.h"
#include "rookery/rpc/wire.h"
#include "rookery/runtime/frame.h"
#include "rookery/runtime/loop.h"

namespace rookery::zeromq_adapter {

// The frames of one message. A message of more than kMost is read to its end and marked.
class EventFrames final : public internal::Recycled {
 public:
  static constexpr std::size_t kMost = 1;

  EventFrames() noexcept {
    for (zmq_msg_t& frame : frames_) zmq_msg_init(&frame);
  }
  ~EventFrames() {
    for (zmq_msg_t& frame : frames_) zmq_msg_close(&frame);
  }
  EventFrames(const EventFrames&) = delete;
  EventFrames& operator=(const EventFrames&) = delete;

  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] bool too_many() const noexcept { return too_many_; }
  [[nodiscard]] std::string_view operator[](std::size_t index) const noexcept {
    auto& frame = const_cast<zmq_msg_t&>(frames_[index]);
    return {static_cast<const char*>(zmq_msg_data(&frame)), zmq_msg_size(&frame)};
  }
  // What libzmq knows of who sent it; null: nothing.
  [[nodiscard]] const char* Property(std::size_t index, const char* name) const noexcept {
    return zmq_msg_gets(&frames_[index], name);
  }
  [[nodiscard]] zmq_msg_t& raw(std::size_t index) noexcept { return frames_[index]; }
  void set_count(std::size_t count) noexcept { count_ = count; }
  void Clear() noexcept {
    count_ = 0;
    too_many_ = false;
  }

 private:
  friend class EventSocket;
  std::array<zmq_msg_t, kMost> frames_;
  std::size_t count_ = 0;
  bool too_many_ = false;
};

// Made anywhere; from Start() on used on the loop's thread alone, and destroyed there.
class EventSocket final {
 public:
  EventSocket(void* context, int type, Loop& loop);
  EventSocket(const EventSocket&) = delete;
  EventSocket& operator=(const EventSocket&) = delete;
  ~EventSocket();

  [[nodiscard]] Socket& raw() noexcept { return socket_; }

  // Runs when something can be received. Returns true if it stopped before there was nothing left
  // (a turn of the loop is not for one socket alone); then it runs again.
  void set_on_readable(std::function<bool()> on_readable) { on_readable_ = std::move(on_readable); }
  // Runs when something can be sent, until StopWriting().
  void set_on_writable(std::function<void()> on_writable) { on_writable_ = std::move(on_writable); }

  void Start();
  // Reads no further until Resume(): what comes stays with libzmq, and then with the peer.
  void Pause() noexcept { paused_ = true; }
  void Resume();
  [[nodiscard]] bool paused() const noexcept { return paused_; }

  // False: there is nothing now.
  [[nodiscard]] bool Receive(EventFrames* frames) noexcept;
  // Gives the frames away, or keeps all of them: false says that nobody takes them now.
  // ETERM and the like are no reason to keep them: then they are gone, too.
  [[nodiscard]] bool Send(EventFrames* frames) noexcept;
  // After a Send: libzmq tells of its news by the edge of an fd, and sending may have eaten that.
  void Check();
  void WantWritable(bool want) noexcept { want_writable_ = want; }

 private:
  struct Wait final : FdWait {
    explicit Wait(EventSocket* owner) noexcept
        : FdWait([](FdWait* self, bool ready) noexcept {
            EventSocket& its = *static_cast<Wait*>(self)->socket;
            its.waiting_ = false;
            if (ready) its.Check();
          }),
          socket(owner) {
      lasting = true;
    }
    EventSocket* const socket;
  };
  struct Again final : LoopWork {
    explicit Again(EventSocket* owner) noexcept
        : LoopWork([](LoopWork* self) noexcept {
            auto* const again = static_cast<Again*>(self);
            if (again->socket == nullptr) {
              const std::unique_ptr<Again> last(again);
              return;
            }
            again->posted = false;
            again->socket->Check();
          }),
          socket(owner) {}
    EventSocket* socket;  // null: it is gone, and this is the last that is known of it
    bool posted = false;
  };
  void PostAgain();

  Socket socket_;
  Loop& loop_;
  int fd_ = -1;
  std::function<bool()> on_readable_;
  std::function<void()> on_writable_;
  bool started_ = false;
  bool paused_ = false;
  bool waiting_ = false;
  bool checking_ = false;
  bool want_writable_ = false;
  Wait wait_{this};
  std::unique_ptr<Again> again_;
};

}  // namespace rookery::zeromq_adapter

#endif  // ROOKERY_TRANSPORTS_ZEROMQ_SRC_EVENT_SOCKET_H_
