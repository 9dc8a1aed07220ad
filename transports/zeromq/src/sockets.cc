#include "sockets.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/abseil_strings.h"

namespace rookery::zeromq_adapter {
namespace {

using internal::Abs;

// Frames from here on are counted while libzmq holds them: a thousand smaller ones, as many as it
// takes for one peer, are no matter.
constexpr std::size_t kLarge = 8'192;
// What libzmq may hold for one peer in large frames, beside one that is larger.
constexpr std::size_t kMostInFlight = std::size_t{8} << 20;
// What one peer's messages may take of all that wait on our side.
constexpr std::size_t kShare = 8;
// How many messages are taken before others on the loop have their turn.
constexpr int kTurn = 256;
// How many messages leave together, and how long about the first of them waits for the others.
constexpr std::size_t kBurst = 128;
constexpr std::chrono::microseconds kBurstTime{50};
// Turns at once for what has come over a connection that has ended.
constexpr int kMostTurns = 1'000;
// How soon what waits is tried again where libzmq gives no sign.
constexpr std::chrono::milliseconds kRetry{2};
constexpr std::size_t kMostFrames = 64;
constexpr std::size_t kMessageOverhead = sizeof(Frames);

std::size_t SizeOf(const Frames& frames) noexcept {
  std::size_t size = kMessageOverhead;
  for (const Frame& frame : frames) size += frame.size();
  return size;
}

SocketEvent::Kind KindOf(int event) noexcept {
  switch (event) {
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
      return SocketEvent::Kind::kReady;
    case ZMQ_EVENT_DISCONNECTED:
      return SocketEvent::Kind::kDisconnected;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
      return SocketEvent::Kind::kHandshakeFailed;
    case ZMQ_EVENT_ACCEPTED:
      return SocketEvent::Kind::kAccepted;
    case ZMQ_EVENT_CONNECT_RETRIED:
      return SocketEvent::Kind::kRetrying;
    default:
      return SocketEvent::Kind::kOther;
  }
}

}  // namespace

struct InFlight {
  std::atomic<std::size_t> bytes{0};
};

// The bytes of a large frame, behind it.
struct Frame::Large {
  std::size_t size = 0;
  std::shared_ptr<InFlight> counted;
  // libzmq's queues order what two threads do with it; this says so to tools that cannot look into
  // them.
  std::atomic<bool> handed_over{false};

  static void Free(void* /*data*/, void* hint) noexcept {
    auto* const large = static_cast<Large*>(hint);
    static_cast<void>(large->handed_over.load(std::memory_order_acquire));
    if (large->counted != nullptr) {
      large->counted->bytes.fetch_sub(large->size, std::memory_order_release);
    }
    large->~Large();
    std::free(large);
  }
};

char* Frame::Resize(std::size_t size) {
  if (!std::exchange(moved_, true)) zmq_msg_close(&message_);
  large_ = nullptr;
  if (size < kLarge) [[likely]] {
    if (zmq_msg_init_size(&message_, size) != 0) throw std::bad_alloc();
    moved_ = false;
    return static_cast<char*>(zmq_msg_data(&message_));
  }
  void* const block = std::malloc(sizeof(Large) + size);
  if (block == nullptr) throw std::bad_alloc();
  auto* const large = new (block) Large();
  large->size = size;
  char* const data = static_cast<char*>(block) + sizeof(Large);
  if (zmq_msg_init_data(
          &message_, data, size, [](void* at, void* hint) { Large::Free(at, hint); }, large) != 0) {
    Large::Free(data, large);
    throw std::bad_alloc();
  }
  large_ = large;
  moved_ = false;
  return data;
}

std::string_view Frame::Property(const char* name) const noexcept {
  const char* const value = zmq_msg_gets(&message_, name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

absl::StatusOr<std::shared_ptr<ZmqContext>> ZmqContext::Make(int io_threads) {
  void* const context = zmq_ctx_new();
  if (context == nullptr) return LastError("cannot make a context of libzmq");
  auto made = std::make_shared<ZmqContext>(context);
  if (zmq_ctx_set(context, ZMQ_IO_THREADS, io_threads) != 0) {
    return LastError("cannot set the number of libzmq's threads");
  }
  return made;
}

ZmqContext::~ZmqContext() {
  while (zmq_ctx_term(context_) != 0 && zmq_errno() == EINTR) {
  }
}

absl::StatusOr<std::shared_ptr<LoopSocket>> LoopSocket::Make(std::shared_ptr<ZmqContext> context,
                                                             Loop& loop, int type,
                                                             const ZeroMq& options,
                                                             Callbacks callbacks) {
  auto made =
      std::make_shared<LoopSocket>(std::move(context), loop, type, options, std::move(callbacks));
  if (absl::Status status = made->socket_->status(); !status.ok()) return status;
  made->fd_ = made->socket_->fd();
  if (made->callbacks_.event) {
    // Not of the object's address: libzmq gives a name back some time after the socket has gone.
    static std::atomic<std::uint64_t> monitors{0};
    const std::string address = absl::StrCat("inproc://monitor-", monitors.fetch_add(1));
    constexpr int kEvents = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED |
                            ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                            ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                            ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_ACCEPT_FAILED |
                            ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_CLOSED;
    if (zmq_socket_monitor(made->socket_->get(), address.c_str(), kEvents) != 0) {
      return LastError("cannot watch a socket's connections");
    }
    made->monitor_ = std::make_unique<Socket>(made->context_->get(), ZMQ_PAIR);
    made->monitor_->Set(ZMQ_LINGER, 0);
    if (absl::Status status = made->monitor_->status(); !status.ok()) return status;
    if (zmq_connect(made->monitor_->get(), address.c_str()) != 0) {
      return LastError("cannot watch a socket's connections");
    }
    made->monitor_fd_ = made->monitor_->fd();
  }
  return made;
}

LoopSocket::LoopSocket(std::shared_ptr<ZmqContext> context, Loop& loop, int type,
                       const ZeroMq& options, Callbacks callbacks)
    : context_(std::move(context)),
      loop_(loop),
      type_(type),
      max_pending_(options.max_pending_bytes),
      max_pending_of_one_(
          type == ZMQ_ROUTER
              ? std::min(max_pending_, std::max(max_pending_ / kShare, 2 * options.max_send_bytes))
              : max_pending_),
      callbacks_(std::move(callbacks)),
      socket_(std::make_unique<Socket>(context_->get(), type)) {
  socket_->Configure(options);
  if (type == ZMQ_ROUTER) socket_->Set(ZMQ_ROUTER_MANDATORY, 1);
  // A request must not wait in the queue of a peer that is not there.
  if (type == ZMQ_DEALER || type == ZMQ_PUSH) socket_->Set(ZMQ_IMMEDIATE, 1);
}

LoopSocket::~LoopSocket() = default;

absl::StatusOr<std::string> LoopSocket::Bind(const std::string& address) {
  if (absl::Status status = socket_->status(); !status.ok()) return status;
  if (zmq_bind(socket_->get(), address.c_str()) != 0) {
    return LastError(absl::StrCat("cannot listen at ", address));
  }
  return socket_->last_endpoint();
}

absl::Status LoopSocket::Connect(const std::string& address) {
  if (absl::Status status = socket_->status(); !status.ok()) return status;
  if (zmq_connect(socket_->get(), address.c_str()) != 0) {
    return LastError(absl::StrCat("cannot connect to ", address));
  }
  return absl::OkStatus();
}

void LoopSocket::Start() {
  if (Loop::Current() == &loop_) {
    StartHere();
  } else {
    loop_.Post([self = shared_from_this()] { self->StartHere(); });
  }
}

void LoopSocket::StartHere() {
  if (closed_.load() || std::exchange(started_, true)) return;
  if (monitor_ != nullptr) ReadMonitor();
  TakeArrived();
  Poll();
}

void LoopSocket::Close() {
  if (closed_.exchange(true)) return;
  if (Loop::Current() == &loop_) {
    CloseHere();
  } else {
    loop_.Post([self = shared_from_this()] { self->CloseHere(); });
  }
}

void LoopSocket::CloseHere() {
  const std::shared_ptr<LoopSocket> keep = shared_from_this();
  loop_.CancelWait(&wait_);
  loop_.CancelWait(&monitor_wait_);
  loop_.Disarm(&retry_);
  // What others have sent before the end leaves as what was sent here.
  std::vector<std::pair<Frames, std::size_t>> arrived;
  {
    const std::scoped_lock lock(mutex_);
    arrived.swap(arrived_);
  }
  for (std::size_t i = 0; i < burst_size_; ++i) {
    if (!waiting_.contains(Abs(KeyOf(burst_[i])))) static_cast<void>(TrySend(burst_[i]));
  }
  burst_size_ = 0;
  for (auto& [frames, size] : arrived) {
    if (!waiting_.contains(Abs(KeyOf(frames)))) static_cast<void>(TrySend(frames));
  }
  waiting_.clear();
  in_flight_.clear();
  pending_.store(0);
  if (monitor_ != nullptr) zmq_socket_monitor(socket_->get(), nullptr, 0);
  monitor_.reset();
  socket_.reset();
  // They may be what runs now, and hold whoever holds us.
  loop_.Post([keep] { keep->callbacks_ = Callbacks(); });
}

// ---- receiving

bool LoopSocket::Receive(Frames* frames) {
  void* const socket = socket_->get();
  std::size_t count = 0;
  bool more = true;
  while (more) {
    // More than anybody means anything by: counted by the size, and not kept.
    if (count < kMostFrames) ++count;
    if (frames->size() < count) frames->emplace_back();
    Frame& frame = (*frames)[count - 1];
    // What was taken out of it has left it without a message.
    if (frame.moved_) zmq_msg_init(&frame.message_);
    frame.moved_ = false;
    while (zmq_msg_recv(&frame.message_, socket, ZMQ_DONTWAIT) < 0) [[unlikely]] {
      if (zmq_errno() == EINTR) continue;
      frames->clear();
      return false;
    }
    more = zmq_msg_more(&frame.message_) != 0;
  }
  if (frames->size() > count) frames->resize(count);
  return true;
}

void LoopSocket::PollLater() {
  if (polling_ || poll_posted_ || !started_) return;
  poll_posted_ = true;
  poll_work_.keep = shared_from_this();
  loop_.Post(&poll_work_);
}

void LoopSocket::OnPollWork() {
  poll_posted_ = false;
  Poll();
}

bool LoopSocket::Poll() {
  if (polling_ || !started_) return false;
  const std::shared_ptr<LoopSocket> keep = shared_from_this();
  polling_ = true;
  hurry_ = false;
  Frames& frames = incoming_;
  int taken = 0;
  bool more = false;
  // Where they come one by one the first answer leaves before libzmq is asked for more in vain: it
  // need not be asked again then.
  const bool alone = last_turn_ == 1;
  for (;;) {
    while (!closed_.load(std::memory_order_relaxed) && taken < kTurn && type_ != ZMQ_PUSH &&
           Receive(&frames)) {
      ++taken;
      callbacks_.message(frames);
      if (burst_size_ != 0 && alone && taken == 1) SendBurst();
    }
    if (closed_.load(std::memory_order_relaxed)) break;
    if (burst_size_ != 0) {
      // Whoever is told that something did not leave may have added to it.
      while (burst_size_ != 0 && !closed_.load(std::memory_order_relaxed)) SendBurst();
      if (taken < kTurn) continue;
    }
    // Nothing was sent since libzmq has said that there is nothing: it would say the same again.
    if (waiting_.empty() && taken < kTurn && type_ != ZMQ_PUSH) break;
    if (!waiting_.empty()) SendWaiting();
    if (closed_.load(std::memory_order_relaxed)) break;
    int events = 0;
    std::size_t size = sizeof events;
    if (zmq_getsockopt(socket_->get(), ZMQ_EVENTS, &events, &size) != 0) break;
    if ((events & ZMQ_POLLIN) == 0 || type_ == ZMQ_PUSH) break;
    if (taken >= kTurn) {
      more = true;
      break;
    }
  }
  polling_ = false;
  if (taken != 0) last_turn_ = static_cast<std::size_t>(taken);
  if (closed_.load(std::memory_order_relaxed)) return false;
  if (more) PollLater();
  if (!waiting_.empty()) loop_.Arm(&retry_, loop_.Now() + kRetry);
  if (!wait_.armed) {
    wait_.armed = true;
    loop_.WaitFd(fd_, FdEvent::kReadable, &wait_);
  }
  return more;
}

void LoopSocket::ReadMonitor() {
  const std::shared_ptr<LoopSocket> keep = shared_from_this();
  for (;;) {
    if (closed_.load(std::memory_order_relaxed)) return;
    Frame number;
    if (zmq_msg_recv(number.get(), monitor_->get(), ZMQ_DONTWAIT) < 0) {
      int events = 0;
      std::size_t size = sizeof events;
      if (zmq_getsockopt(monitor_->get(), ZMQ_EVENTS, &events, &size) != 0) return;
      if ((events & ZMQ_POLLIN) != 0) continue;
      break;
    }
    Frame endpoint;
    if (number.more()) static_cast<void>(zmq_msg_recv(endpoint.get(), monitor_->get(), 0));
    std::uint16_t event = 0;
    std::int32_t value = 0;
    if (number.size() < sizeof event + sizeof value) continue;
    std::memcpy(&event, number.view().data(), sizeof event);
    std::memcpy(&value, number.view().data() + sizeof event, sizeof value);
    const SocketEvent said{KindOf(event), event, value, endpoint.view()};
    // What came over a connection before it ended has its turn first.
    if (said.kind == SocketEvent::Kind::kDisconnected) {
      for (int turns = 1; turns < kMostTurns && Poll(); ++turns) {
      }
    }
    if (closed_.load(std::memory_order_relaxed)) return;
    callbacks_.event(said);
  }
  if (!monitor_wait_.armed) {
    monitor_wait_.armed = true;
    loop_.WaitFd(monitor_fd_, FdEvent::kReadable, &monitor_wait_);
  }
}

// ---- sending

absl::Status LoopSocket::TooMuch() {
  dropped_.fetch_add(1, std::memory_order_relaxed);
  return absl::ResourceExhaustedError(
      absl::StrCat("more than ", max_pending_, " bytes wait to be sent over ZeroMQ"));
}

bool LoopSocket::Admit(std::size_t size) {
  if (pending_.fetch_add(size, std::memory_order_acq_rel) + size <= max_pending_) return true;
  pending_.fetch_sub(size, std::memory_order_acq_rel);
  return false;
}

absl::Status LoopSocket::Send(Frames frames) {
  if (closed_.load(std::memory_order_acquire)) {
    return absl::UnavailableError("this endpoint of ZeroMQ is closed");
  }
  if (Loop::Current() == &loop_ && started_) [[likely]] {
    if (burst_size_ != 0) SendBurst();
    // A word about a message that another thread has sent does not overtake it.
    if (has_arrived_.load(std::memory_order_acquire)) TakeArrived();
    return SendHere(frames, /*tell=*/false);
  }
  const std::size_t size = SizeOf(frames);
  if (!Admit(size)) return TooMuch();
  bool first = false;
  {
    const std::scoped_lock lock(mutex_);
    arrived_.emplace_back(std::move(frames), size);
    has_arrived_.store(true, std::memory_order_release);
    first = !std::exchange(arrived_posted_, true);
    if (first) arrived_work_.keep = shared_from_this();
  }
  if (first) loop_.Post(&arrived_work_);
  return absl::OkStatus();
}

Frames& LoopSocket::draft() {
  constexpr std::size_t kFrames = 2;
  if (burst_.size() == burst_size_) burst_.emplace_back();
  Frames& frames = burst_[burst_size_];
  if (frames.size() != kFrames) [[unlikely]] {
    frames.resize(kFrames);
  }
  return frames;
}

absl::Status LoopSocket::SendDraft() {
  if (closed_.load(std::memory_order_acquire)) {
    return absl::UnavailableError("this endpoint of ZeroMQ is closed");
  }
  Frames& frames = burst_[burst_size_];
  // What may be refused for its size is told so now.
  const bool now = !polling_ || hurry_ || frames.back().large_ != nullptr || !waiting_.empty();
  if (now && !leaves_) {
    if (started_ && burst_size_ == 0 && !has_arrived_.load(std::memory_order_acquire)) [[likely]] {
      return SendHere(frames, /*tell=*/false);
    }
    // Whatever is to leave before it may bring other drafts.
    Frames taken = std::move(frames);
    return Send(std::move(taken));
  }
  // Seldom enough that the clock costs nothing, and often enough that no answer waits for more than
  // one or two handlers that take their time.
  const std::size_t size = ++burst_size_;
  if (size == 1) {
    burst_since_ = std::chrono::steady_clock::now();
  } else if (size >= kBurst) {
    SendBurst();
  } else if ((size & (size - 1)) == 0) {
    const auto waited = std::chrono::steady_clock::now() - burst_since_;
    if (waited > kBurstTime) {
      // Beside messages that take so long what is saved is nothing.
      hurry_ = waited / size > kBurstTime;
      SendBurst();
    }
  }
  return absl::OkStatus();
}

void LoopSocket::SendBurst() {
  // Whoever is told that something cannot leave may send.
  if (leaves_) return;
  leaves_ = true;
  if (has_arrived_.load(std::memory_order_acquire)) [[unlikely]] {
    TakeArrived();
  }
  leaving_.swap(burst_);
  const std::size_t size = std::exchange(burst_size_, 0);
  for (std::size_t i = 0; i < size && !closed_.load(std::memory_order_relaxed); ++i) {
    SendHere(leaving_[i], /*tell=*/true).IgnoreError();
  }
  leaves_ = false;
}

void LoopSocket::OnArrived() {
  {
    const std::scoped_lock lock(mutex_);
    arrived_posted_ = false;
  }
  TakeArrived();
}

void LoopSocket::TakeArrived() {
  if (!started_) return;
  std::vector<std::pair<Frames, std::size_t>> arrived;
  {
    const std::scoped_lock lock(mutex_);
    arrived.swap(arrived_);
    has_arrived_.store(false, std::memory_order_relaxed);
  }
  if (closed_.load()) return;
  for (auto& [frames, size] : arrived) {
    pending_.fetch_sub(size, std::memory_order_acq_rel);
    SendHere(frames, /*tell=*/true).IgnoreError();
    if (closed_.load()) return;
  }
}

absl::Status LoopSocket::SendHere(Frames& frames, bool tell) {
  absl::Status status;
  const auto waits = waiting_.empty() ? waiting_.end() : waiting_.find(std::string(KeyOf(frames)));
  if (waits == waiting_.end()) [[likely]] {
    const Sent sent = TrySend(frames);
    PollLater();
    switch (sent) {
      case Sent::kSent:
        return status;
      case Sent::kNobody:
        unroutable_.fetch_add(1, std::memory_order_relaxed);
        status = absl::UnavailableError("nobody is at this address of ZeroMQ's any more");
        break;
      case Sent::kBroken:
        status = LastError("cannot send");
        break;
      case Sent::kLater:
        status = SendLater(frames, nullptr);
        break;
    }
  } else {
    status = SendLater(frames, &waits->second);
  }
  if (tell && !status.ok()) callbacks_.unsent(frames, status);
  return status;
}

absl::Status LoopSocket::SendLater(Frames& frames, Waiting* queue) {
  const std::size_t size = SizeOf(frames);
  const std::size_t waiting = queue == nullptr ? 0 : queue->bytes;
  if (waiting + size > max_pending_of_one_ || !Admit(size)) return TooMuch();
  if (queue == nullptr) queue = &waiting_[std::string(KeyOf(frames))];
  queue->bytes += size;
  queue->messages.push_back(std::move(frames));
  frames.clear();
  loop_.Arm(&retry_, loop_.Now() + kRetry);
  return absl::OkStatus();
}

void LoopSocket::SendWaiting() {
  std::vector<std::pair<Frames, absl::Status>> lost;
  for (auto each = waiting_.begin(); each != waiting_.end();) {
    Waiting& queue = each->second;
    while (!queue.messages.empty()) {
      const std::size_t size = SizeOf(queue.messages.front());
      const Sent sent = TrySend(queue.messages.front());
      if (sent == Sent::kLater) break;
      if (sent == Sent::kNobody) {
        unroutable_.fetch_add(1, std::memory_order_relaxed);
        lost.emplace_back(std::move(queue.messages.front()),
                          absl::UnavailableError("nobody is at this address of ZeroMQ's any more"));
      } else if (sent == Sent::kBroken) {
        lost.emplace_back(std::move(queue.messages.front()), LastError("cannot send"));
      }
      pending_.fetch_sub(size, std::memory_order_acq_rel);
      queue.bytes -= size;
      queue.messages.pop_front();
    }
    if (queue.messages.empty()) {
      waiting_.erase(each++);
    } else {
      ++each;
    }
  }
  for (auto& [frames, why] : lost) {
    if (closed_.load()) return;
    callbacks_.unsent(frames, why);
  }
}

std::vector<Frames> LoopSocket::TakeWaiting() {
  std::vector<Frames> taken;
  for (auto& [key, queue] : waiting_) {
    pending_.fetch_sub(queue.bytes, std::memory_order_acq_rel);
    for (Frames& frames : queue.messages) taken.push_back(std::move(frames));
  }
  waiting_.clear();
  return taken;
}

bool LoopSocket::CountLarge(Frames& frames) {
  std::size_t large = 0;
  for (const Frame& frame : frames) {
    // What was counted has been tried before, and waits for libzmq alone.
    if (frame.large_ != nullptr && frame.large_->counted == nullptr) large += frame.large_->size;
  }
  if (large == 0) return true;
  if (in_flight_.size() > 64) {
    absl::erase_if(in_flight_, [](const auto& each) { return each.second->bytes.load() == 0; });
  }
  std::shared_ptr<InFlight>& counter = in_flight_[std::string(KeyOf(frames))];
  if (counter == nullptr) counter = std::make_shared<InFlight>();
  const std::size_t there = counter->bytes.load(std::memory_order_acquire);
  if (there != 0 && there + large > kMostInFlight) return false;
  for (Frame& frame : frames) {
    if (frame.large_ == nullptr || frame.large_->counted != nullptr) continue;
    frame.large_->counted = counter;
    counter->bytes.fetch_add(frame.large_->size, std::memory_order_acq_rel);
  }
  return true;
}

LoopSocket::Sent LoopSocket::TrySend(Frames& frames) {
  if (socket_ == nullptr) return Sent::kBroken;
  void* const socket = socket_->get();
  Frame* const first = frames.data();
  Frame* const last = first + frames.size() - 1;
  bool large = false;
  for (const Frame* each = first; each <= last; ++each) large = large || each->large_ != nullptr;
  if (large && !CountLarge(frames)) [[unlikely]] {
    return Sent::kLater;
  }
  for (Frame* each = first; each <= last; ++each) {
    const int flags = each == last ? ZMQ_DONTWAIT : ZMQ_DONTWAIT | ZMQ_SNDMORE;
    if (each->large_ != nullptr) {
      each->large_->handed_over.store(true, std::memory_order_release);
    }
    while (zmq_msg_send(&each->message_, socket, flags) < 0) [[unlikely]] {
      const int error = zmq_errno();
      if (error == EINTR) continue;
      if (each != first) return Sent::kBroken;
      if (error == EAGAIN) return Sent::kLater;
      return error == EHOSTUNREACH ? Sent::kNobody : Sent::kBroken;
    }
    // Its bytes are libzmq's now, and may be gone; what is left needs no closing.
    each->large_ = nullptr;
    each->moved_ = true;
  }
  return Sent::kSent;
}

}  // namespace rookery::zeromq_adapter
