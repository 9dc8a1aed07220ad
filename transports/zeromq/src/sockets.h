// A socket of libzmq on one of our loops, and the messages that go through it. Private.
//
//   auto context = ZmqContext::Make();
//   LoopSocket::Callbacks on;
//   on.message = [](Frames& frames) { ... };                        // on the loop
//   auto socket = LoopSocket::Make(*context, loop, ZMQ_DEALER, options, std::move(on));
//   absl::Status connected = (*socket)->Connect("tcp://127.0.0.1:5555");
//   (*socket)->Start();
//   absl::Status taken = (*socket)->Send(std::move(frames));        // any thread
//
// libzmq tells of news by an fd that becomes readable once for any number of them, and any call on
// the socket may swallow the sign: so whoever has read or sent asks for the socket's events before
// the loop waits again. That is done here, and nowhere else.
#ifndef ROOKERY_TRANSPORTS_ZEROMQ_SRC_SOCKETS_H_
#define ROOKERY_TRANSPORTS_ZEROMQ_SRC_SOCKETS_H_

#include <zmq.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "options.h"
#include "rookery/runtime/loop.h"
#include "rookery/transports/zeromq.h"

namespace rookery::zeromq_adapter {

// Bytes that one peer has not taken yet, although libzmq has them: of large frames alone.
struct InFlight;

// One frame of a message. Move-only; empty when made or moved from; one that was moved from can
// only be assigned to.
class Frame final {
 public:
  Frame() noexcept { zmq_msg_init(&message_); }
  // Copies. A large one is copied once, and counted for as long as libzmq holds it.
  explicit Frame(std::string_view bytes) : moved_(true) {
    char* const data = Resize(bytes.size());
    if (!bytes.empty()) std::memcpy(data, bytes.data(), bytes.size());
  }
  // What zmq_msg_move does, without its calls: a frame moves several times on its way.
  Frame(Frame&& other) noexcept
      : message_(other.message_),
        large_(std::exchange(other.large_, nullptr)),
        moved_(std::exchange(other.moved_, true)) {}
  Frame& operator=(Frame&& other) noexcept {
    if (this == &other) return *this;
    if (!moved_) zmq_msg_close(&message_);
    message_ = other.message_;
    large_ = std::exchange(other.large_, nullptr);
    moved_ = std::exchange(other.moved_, true);
    return *this;
  }
  ~Frame() {
    if (!moved_) zmq_msg_close(&message_);
  }

  [[nodiscard]] std::string_view view() const noexcept {
    if (moved_) return {};
    // libzmq takes no const message where it only looks.
    auto* const message = const_cast<zmq_msg_t*>(&message_);
    return {static_cast<const char*>(zmq_msg_data(message)), zmq_msg_size(message)};
  }
  [[nodiscard]] std::size_t size() const noexcept { return moved_ ? 0 : zmq_msg_size(&message_); }
  [[nodiscard]] bool more() const noexcept { return !moved_ && zmq_msg_more(&message_) != 0; }
  // What libzmq knows of who sent it ("User-Id", "Peer-Address"), or "".
  [[nodiscard]] std::string_view Property(const char* name) const noexcept;
  [[nodiscard]] zmq_msg_t* get() noexcept { return &message_; }
  // Makes it a new one of so many bytes, which the caller fills in. What it held goes.
  [[nodiscard]] char* Resize(std::size_t size);

 private:
  friend class LoopSocket;
  struct Large;
  zmq_msg_t message_;
  Large* large_ = nullptr;  // its bytes, if they were copied here; libzmq's to free
  bool moved_ = false;      // message_ is somebody else's now
};
using Frames = absl::InlinedVector<Frame, 2>;

// A context of libzmq: its threads, its inproc addresses, one ZAP handler. Thread-safe. Its end
// blocks until what the sockets had to say has left, or their linger.
class ZmqContext final {
 public:
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<ZmqContext>> Make(int io_threads = 1);
  explicit ZmqContext(void* context) noexcept : context_(context) {}
  ZmqContext(const ZmqContext&) = delete;
  ZmqContext& operator=(const ZmqContext&) = delete;
  ~ZmqContext();
  [[nodiscard]] void* get() const noexcept { return context_; }

 private:
  void* const context_;
};

// What a socket's monitor says.
struct SocketEvent {
  enum class Kind : std::uint8_t {
    kReady,            // a connection, its handshake done
    kDisconnected,     // one that was ready, or was about to be
    kHandshakeFailed,  // by garbage, a wrong key, a refusal, silence
    kAccepted,
    kRetrying,  // a connection is about to be tried again
    kOther,
  };
  Kind kind = Kind::kOther;
  int event = 0;  // libzmq's number
  int value = 0;  // libzmq's: an errno, an fd, an interval
  std::string_view endpoint;
};

class LoopSocket final : public std::enable_shared_from_this<LoopSocket> {
 public:
  // All on the loop. They may send and close.
  struct Callbacks {
    // One message, all of its frames. The frames may be moved from.
    std::function<void(Frames& frames)> message = [](Frames&) {};
    // A message that Send had taken, and that cannot leave: UNAVAILABLE, nobody is at its address.
    std::function<void(Frames& frames, const absl::Status& why)> unsent =
        [](Frames&, const absl::Status&) {};
    // Empty: no monitor.
    std::function<void(const SocketEvent& event)> event = {};
  };

  // Any thread. A ROUTER is mandatory, and never hands an address over.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<LoopSocket>> Make(
      std::shared_ptr<ZmqContext> context, Loop& loop, int type, const ZeroMq& options,
      Callbacks callbacks);
  // Use Make.
  LoopSocket(std::shared_ptr<ZmqContext> context, Loop& loop, int type, const ZeroMq& options,
             Callbacks callbacks);
  LoopSocket(const LoopSocket&) = delete;
  LoopSocket& operator=(const LoopSocket&) = delete;
  ~LoopSocket();

  // Before Start, on the thread that made it: options, Bind and Connect. `raw()` also on the loop,
  // until Close.
  [[nodiscard]] Socket& raw() noexcept { return *socket_; }
  // Gives the address that it came to be: "tcp://127.0.0.1:41234".
  [[nodiscard]] absl::StatusOr<std::string> Bind(const std::string& address);
  [[nodiscard]] absl::Status Connect(const std::string& address);
  // Hands the socket to its loop. From now on callbacks come, until Close.
  void Start();

  // Takes a message of one frame or more; of a ROUTER the first is the address. Never blocks: what
  // libzmq does not take waits here, in order for each address. Any thread; on the loop
  // UNAVAILABLE for an address where nobody is. RESOURCE_EXHAUSTED: too much waits. Once closed:
  // UNAVAILABLE.
  [[nodiscard]] absl::Status Send(Frames frames);
  // The same on the loop alone, without a copy: the next message's two frames, whatever is in
  // them, for the caller to fill; then SendDraft. Within callbacks of `message` it leaves together
  // with the others of this turn, so that libzmq's thread is woken once for many; if it cannot
  // leave then, it comes to `unsent`.
  [[nodiscard]] Frames& draft();
  [[nodiscard]] absl::Status SendDraft();
  // Bytes that wait on our side. Any thread.
  [[nodiscard]] std::size_t pending_bytes() const noexcept {
    return pending_.load(std::memory_order_acquire);
  }
  // Messages for addresses where nobody was, and such as were dropped because too much waited.
  [[nodiscard]] std::uint64_t unroutable() const noexcept {
    return unroutable_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t dropped() const noexcept {
    return dropped_.load(std::memory_order_relaxed);
  }
  // What waits on our side, in order for each address; it waits no more. On the loop.
  [[nodiscard]] std::vector<Frames> TakeWaiting();
  // Reads what is there, now. On the loop.
  bool Poll();  // true: there may be more
  // Ends it: callbacks come no more, what waits on our side is dropped, what libzmq has leaves
  // within the linger. Any thread; at once on the loop. Idempotent.
  void Close();
  [[nodiscard]] Loop& loop() noexcept { return loop_; }

 private:
  enum class Sent : std::uint8_t { kSent, kLater, kNobody, kBroken };
  struct Waiting {
    std::deque<Frames> messages;
    std::size_t bytes = 0;
  };
  template <void (LoopSocket::*kFunction)()>
  struct Work final : LoopWork {
    explicit Work(LoopSocket* owner) noexcept
        : LoopWork([](LoopWork* self) noexcept {
            auto* const work = static_cast<Work*>(self);
            // The last reference may be this one.
            const std::shared_ptr<LoopSocket> held = std::move(work->keep);
            (held.get()->*kFunction)();
          }),
          socket(owner) {}
    LoopSocket* const socket;
    std::shared_ptr<LoopSocket> keep;
  };
  template <bool kMonitor>
  struct Wait final : FdWait {
    explicit Wait(LoopSocket* owner) noexcept
        : FdWait([](FdWait* self, bool ready) noexcept {
            auto* const wait = static_cast<Wait*>(self);
            wait->armed = false;
            const std::shared_ptr<LoopSocket> keep = wait->socket->shared_from_this();
            if (!ready) return;
            if (kMonitor) {
              keep->ReadMonitor();
            } else {
              keep->Poll();
            }
          }),
          socket(owner) {
      lasting = true;
    }
    LoopSocket* const socket;
    bool armed = false;
  };
  struct Timer final : LoopTimer {
    explicit Timer(LoopSocket* owner) noexcept
        : LoopTimer([](LoopTimer* self) noexcept {
            const std::shared_ptr<LoopSocket> keep =
                static_cast<Timer*>(self)->socket->shared_from_this();
            keep->Poll();
          }),
          socket(owner) {}
    LoopSocket* const socket;
  };

  [[nodiscard]] std::string_view KeyOf(const Frames& frames) const noexcept {
    return type_ == ZMQ_ROUTER ? frames.front().view() : std::string_view();
  }
  void StartHere();
  void CloseHere();
  void OnArrived();
  void TakeArrived();
  void PollLater();
  void OnPollWork();
  void ReadMonitor();
  [[nodiscard]] bool Receive(Frames* frames);
  [[nodiscard]] Sent TrySend(Frames& frames);
  [[nodiscard]] bool CountLarge(Frames& frames);
  [[nodiscard]] absl::Status SendHere(Frames& frames, bool tell);
  [[nodiscard]] absl::Status SendLater(Frames& frames, Waiting* queue);
  void SendWaiting();
  void SendBurst();
  [[nodiscard]] bool Admit(std::size_t size);
  [[nodiscard]] absl::Status TooMuch();

  const std::shared_ptr<ZmqContext> context_;
  Loop& loop_;
  const int type_;
  const std::size_t max_pending_;
  const std::size_t max_pending_of_one_;
  Callbacks callbacks_;
  std::unique_ptr<Socket> socket_;
  std::unique_ptr<Socket> monitor_;
  int fd_ = -1;
  int monitor_fd_ = -1;
  bool started_ = false;
  bool polling_ = false;
  bool poll_posted_ = false;
  // Drafts, of which the first burst_size_ are to leave in this turn; while they do they are in
  // leaving_. Their frames stay, to be used again.
  std::vector<Frames> burst_;
  std::vector<Frames> leaving_;
  std::size_t burst_size_ = 0;
  bool leaves_ = false;
  std::chrono::steady_clock::time_point burst_since_;
  bool hurry_ = false;         // messages of this turn take long: nothing waits for others
  std::size_t last_turn_ = 1;  // messages that the last turn brought
  Frames incoming_;
  absl::flat_hash_map<std::string, Waiting> waiting_;
  absl::flat_hash_map<std::string, std::shared_ptr<InFlight>> in_flight_;
  std::atomic<std::size_t> pending_{0};
  std::atomic<std::uint64_t> unroutable_{0};
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<bool> closed_{false};
  Wait<false> wait_{this};
  Wait<true> monitor_wait_{this};
  Timer retry_{this};
  Work<&LoopSocket::OnPollWork> poll_work_{this};
  Work<&LoopSocket::OnArrived> arrived_work_{this};

  std::mutex mutex_;
  std::vector<std::pair<Frames, std::size_t>> arrived_;  // guarded by mutex_: sent by others
  bool arrived_posted_ = false;                          // guarded by mutex_
  std::atomic<bool> has_arrived_{false};
};

}  // namespace rookery::zeromq_adapter

#endif  // ROOKERY_TRANSPORTS_ZEROMQ_SRC_SOCKETS_H_
