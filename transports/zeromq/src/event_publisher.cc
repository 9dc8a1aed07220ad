// The publishing side: one socket, on a loop of the clients' own, and a queue in front of it.
#include <zmq.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "event_meeting.h"
#include "event_options.h"
#include "event_socket.h"
#include "event_wire.h"
#include "options.h"
#include "rookery/platform/log.h"
#include "rookery/rpc/channel.h"
#include "rookery/rpc/message_client.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/transports/zeromq_events.h"
#include "rpc/random.h"
#include "rpc/subject_pattern.h"
#include "runtime/abseil_strings.h"
#include "runtime/shared_loop.h"
#include "sockets.h"
#include "zap.h"

namespace rookery {
namespace zeromq_adapter {
namespace {

using google::protobuf::Message;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Events sent in one turn of the loop.
constexpr int kEventsPerTurn = 1'024;
// How long libzmq may be full before it is asked again, where it does not say that it has room.
constexpr milliseconds kRetry{1};
constexpr std::size_t kMostSubscribers = 100'000;

Logger Log() { return Logger::Default().Named("zeromq"); }

// The loop of all publishers of the process.
std::shared_ptr<LoopPool> PublisherLoops() {
  static internal::SharedLoop shared("zmq-events");
  return shared.Get();
}

// An event that waits to be sent.
struct Item {
  Item() noexcept { zmq_msg_init(&frame); }
  Item(Item&& other) noexcept : Item() { *this = std::move(other); }
  Item& operator=(Item&& other) noexcept {
    subject = other.subject;
    bytes = other.bytes;
    zmq_msg_move(&frame, &other.frame);
    return *this;
  }
  ~Item() { zmq_msg_close(&frame); }

  std::pair<const std::string, std::uint64_t>* subject = nullptr;  // and its last number
  std::size_t bytes = 0;
  zmq_msg_t frame;  // lacks its number
};

// Null: there is no memory.
[[nodiscard]] char* Resize(zmq_msg_t* frame, std::size_t size) {
  zmq_msg_close(frame);
  if (zmq_msg_init_size(frame, size) == 0) return static_cast<char*>(zmq_msg_data(frame));
  zmq_msg_init(frame);
  return nullptr;
}

// The socket, and all that belongs to its loop. Kept by the link, and by what is posted.
class Publisher final : public std::enable_shared_from_this<Publisher> {
 public:
  Publisher(const ZeroMqEvents& options, std::shared_ptr<LoopPool> loops)
      : options_(options),
        loops_(std::move(loops)),
        loop_((*loops_)[0]),
        work_(options.sharing == ZeroMqSharing::kWork),
        id_(internal::FastRandom64()) {}

  [[nodiscard]] Loop& loop() noexcept { return loop_; }

  absl::Status Open() {
    absl::StatusOr<std::shared_ptr<ZmqContext>> context = ZmqContext::Make();
    if (!context.ok()) return context.status();
    context_ = *std::move(context);
    if (options_.zeromq.curve && Binds(options_, /*publisher=*/true)) {
      auto zap = ZapHandler::Start(context_, loop_, SocketOptions(options_));
      if (!zap.ok()) return zap.status();
      zap_ = *std::move(zap);
    }
    absl::Status status;
    RunOnLoop([&] { status = OpenHere(); });
    if (!status.ok()) return status;
    // Who is there already is to get our first event.
    if (!options_.address.empty() || work_) return absl::OkStatus();
    const std::size_t there = LiveSubscribers(folder_);
    std::unique_lock lock(mutex_);
    joined_.wait_for(lock, options_.zeromq.connect_timeout,
                     [&] { return subscribers_.load() >= there; });
    return absl::OkStatus();
  }

  [[nodiscard]] absl::Status Ready() const {
    const std::size_t there = subscribers_.load(std::memory_order_relaxed);
    if (there >= options_.min_subscribers) [[likely]] {
      return absl::OkStatus();
    }
    return absl::UnavailableError(absl::StrCat("events at ", NameOf(options_), " have ", there,
                                               " subscribers of ", options_.min_subscribers,
                                               " (ZeroMqEvents::min_subscribers)"));
  }

  // Any thread.
  absl::Status Send(const OutboundMessage& message) {
    const std::size_t size = MessageSize(message, "", "");
    if (size == 0) return DoesNotFit();
    const std::string topic = FormatTopic(message.to, {id_, 0});
    Item item;
    item.bytes = topic.size() + size;
    char* const at = Resize(&item.frame, item.bytes);
    if (at == nullptr) return absl::ResourceExhaustedError("no memory for the event");
    std::copy(topic.begin(), topic.end(), at);
    WriteMessage(message, "", "", at + topic.size());
    bool wake = false;
    {
      const std::scoped_lock lock(mutex_);
      if (closed_) return absl::UnavailableError("the channel is closed");
      if (pending_bytes_ + item.bytes > options_.zeromq.max_pending_bytes) {
        return absl::ResourceExhaustedError(
            absl::StrCat(pending_bytes_, " bytes of events wait to be sent from here already",
                         work_ ? ": there is no subscriber, or none that keeps up" : "",
                         " (ZeroMqEvents::zeromq.max_pending_bytes)"));
      }
      auto subject = sequences_.find(message.to);
      if (subject == sequences_.end()) {
        subject = sequences_.emplace(std::string(message.to), 0).first;
      }
      item.subject = &*subject;
      pending_bytes_ += item.bytes;
      queue_.push_back(std::move(item));
      wake = !std::exchange(posted_, true);
    }
    if (wake) loop_.Post([self = shared_from_this()] { self->Take(); });
    return absl::OkStatus();
  }

  [[nodiscard]] std::string endpoint() const { return endpoint_; }

  // Not again. What has been said leaves, for the linger at most.
  void Close() {
    {
      const std::scoped_lock lock(mutex_);
      closed_ = true;
    }
    if (Loop::Current() == &loop_) {
      FinishClose();
      std::thread([zap = std::move(zap_), context = std::move(context_), loops = loops_]() mutable {
        if (zap != nullptr) zap->Stop();
        zap.reset();
        context.reset();
      }).detach();
      return;
    }
    const auto done = std::make_shared<std::promise<void>>();
    loop_.Post([self = shared_from_this(), done] {
      self->on_closed_ = [done] { done->set_value(); };
      self->Take();
      if (self->socket_ == nullptr || self->waiting_.empty()) {
        self->FinishClose();
      } else {
        self->loop_.Arm(&self->close_timer_, self->loop_.Now() + self->options_.zeromq.linger);
      }
    });
    done->get_future().wait();
    if (zap_ != nullptr) zap_->Stop();
    zap_.reset();
    context_.reset();
  }

 private:
  struct Timer final : LoopTimer {
    Timer(Publisher* owner, void (Publisher::*function)()) noexcept
        : LoopTimer([](LoopTimer* self) noexcept {
            auto* const timer = static_cast<Timer*>(self);
            (timer->publisher->*timer->act)();
          }),
          publisher(owner),
          act(function) {}
    Publisher* const publisher;
    void (Publisher::* const act)();
  };

  template <class F>
  void RunOnLoop(F act) {
    const auto done = std::make_shared<std::promise<void>>();
    loop_.Post([&, done] {
      act();
      done->set_value();
    });
    done->get_future().wait();
  }

  absl::Status OpenHere() {
    socket_ = std::make_unique<EventSocket>(context_->get(), work_ ? ZMQ_PUSH : ZMQ_XPUB, loop_);
    Socket& raw = socket_->raw();
    raw.Configure(SocketOptions(options_));
    // An event is for who is there.
    if (work_) raw.Set(ZMQ_IMMEDIATE, 1);
    if (!work_ && options_.slow_subscribers == ZeroMqSlow::kHoldsUp) raw.Set(ZMQ_XPUB_NODROP, 1);
    std::vector<std::string> addresses = Addresses(options_.address);
    if (options_.address.empty()) {
      absl::StatusOr<std::string> folder = MeetingFolder(options_.domain, work_);
      if (!folder.ok()) return Fail(folder.status());
      folder_ = *std::move(folder);
      auto presence = Presence::Announce(folder_, Presence::kPublisher);
      if (!presence.ok()) return Fail(presence.status());
      presence_ = *std::move(presence);
      addresses = {presence_->endpoint()};
    }
    const bool binds = Binds(options_, /*publisher=*/true);
    if (absl::Status curve = SetCurve(raw, options_, binds); !curve.ok()) return Fail(curve);
    absl::Status attached = Attach(*socket_, addresses, binds);
    if (attached.ok() && presence_ != nullptr) attached = presence_->Show();
    if (!attached.ok()) return Fail(attached);
    endpoint_ = binds && presence_ == nullptr ? raw.last_endpoint() : NameOf(options_);
    if (work_) {
      socket_->set_on_writable([this] { Flush(); });
    } else {
      socket_->set_on_readable([this] { return ReadSubscriptions(); });
    }
    socket_->Start();
    if (!work_) Announce();
    return absl::OkStatus();
  }
  absl::Status Fail(absl::Status why) {
    socket_.reset();
    presence_.reset();
    return why;
  }

  // ---- sending

  // Takes what has been queued since.
  void Take() {
    {
      const std::scoped_lock lock(mutex_);
      posted_ = false;
      taken_.swap(queue_);
    }
    for (Item& item : taken_) waiting_.push_back(std::move(item));
    taken_.clear();
    Flush();
  }

  void Flush() {
    if (socket_ == nullptr) return;
    std::size_t bytes = 0;
    int left = kEventsPerTurn;
    bool full = false;
    for (; left > 0 && !waiting_.empty(); --left) {
      Item& item = waiting_.front();
      // The number is the event's only if it is taken: what waits has none yet.
      const std::uint64_t sequence = item.subject->second + 1;
      PutSequence(
          static_cast<char*>(zmq_msg_data(&item.frame)) + item.subject->first.size() + kSequenceAt,
          sequence);
      zmq_msg_move(&frames_.raw(0), &item.frame);
      frames_.set_count(EventFrames::kMost);
      if (!socket_->Send(&frames_)) {
        zmq_msg_move(&item.frame, &frames_.raw(0));
        full = true;
        break;
      }
      item.subject->second = sequence;
      bytes += item.bytes;
      waiting_.pop_front();
    }
    if (bytes != 0) {
      const std::scoped_lock lock(mutex_);
      pending_bytes_ -= bytes;
    }
    if (full) {
      if (work_) socket_->WantWritable(true);
      // An XPUB always says that it can be written to.
      loop_.Arm(&retry_timer_, loop_.Now() + (work_ ? 50 * kRetry : kRetry));
    } else {
      socket_->WantWritable(false);
      if (!waiting_.empty()) loop_.Post([self = shared_from_this()] { self->Flush(); });
    }
    if (waiting_.empty() && on_closed_) {
      // Later: the socket may be what has called us.
      loop_.Post([self = shared_from_this()] { self->FinishClose(); });
      return;
    }
    socket_->Check();
  }

  // ---- subscribers

  bool ReadSubscriptions() {
    for (int i = 0; i < kEventsPerTurn; ++i) {
      if (!socket_->Receive(&subscription_)) return false;
      const std::string_view frame = subscription_[0];
      // What else a peer may say is no subscription.
      if (frame.empty() || subscription_.count() != 1) continue;
      const bool come = frame[0] == 1;
      std::uint64_t nonce = 0;
      if (!come && frame[0] != 0) continue;
      if (!ReadSyncSubscription(frame.substr(1), &nonce)) continue;
      if (come) {
        if (nonces_.size() < kMostSubscribers) nonces_.insert(nonce);
        SendSequences(kSyncSubject, {nonce, id_});
      } else {
        nonces_.erase(nonce);
      }
      {
        const std::scoped_lock lock(mutex_);
        subscribers_.store(nonces_.size());
      }
      joined_.notify_all();
    }
    return true;
  }

  // All numbers so far.
  void SendSequences(std::string_view subject, const EventStamp& stamp) {
    std::vector<std::string> parts(1);
    std::size_t count = 0;
    {
      // Others may be adding subjects; the numbers are ours.
      const std::scoped_lock lock(mutex_);
      for (const auto& [name, sequence] : sequences_) {
        if (sequence == 0) continue;
        if (++count % kSubjectsPerMessage == 0) parts.emplace_back();
        AppendSequence(&parts.back(), name, sequence);
      }
    }
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const char kind = i + 1 == parts.size() ? kLastOfAll : kMoreFollows;
      const std::string said = FormatTopic(subject, stamp) + kind + parts[i];
      char* const at = Resize(&control_.raw(0), said.size());
      if (at == nullptr) return;
      std::copy(said.begin(), said.end(), at);
      control_.set_count(EventFrames::kMost);
      // Full: the next announcement says the same.
      if (!socket_->Send(&control_)) control_.Clear();
    }
  }
  void Announce() {
    if (socket_ == nullptr) return;
    SendSequences(kSequencesSubject, {id_, 0});
    loop_.Arm(&announce_timer_, loop_.Now() + options_.announce);
    socket_->Check();
  }

  // ---- the end

  void FinishClose() {
    loop_.Disarm(&announce_timer_);
    loop_.Disarm(&retry_timer_);
    loop_.Disarm(&close_timer_);
    if (socket_ != nullptr) {
      if (!waiting_.empty()) {
        Log().Warn("events were not sent before the end: nobody took them",
                   {{"events", waiting_.size()}, {"address", NameOf(options_)}});
      } else if (!work_) {
        // So that the loss of the last ones is noticed.
        SendSequences(kSequencesSubject, {id_, 0});
      }
    }
    waiting_.clear();
    socket_.reset();
    presence_.reset();
    if (const auto done = std::exchange(on_closed_, nullptr)) done();
  }

  const ZeroMqEvents options_;
  const std::shared_ptr<LoopPool> loops_;
  Loop& loop_;
  std::shared_ptr<ZmqContext> context_;
  std::shared_ptr<ZapHandler> zap_;
  const bool work_;
  const std::uint64_t id_;
  std::string folder_;
  std::string endpoint_;

  mutable std::mutex mutex_;
  std::condition_variable joined_;
  std::atomic<std::size_t> subscribers_{0};  // written under mutex_
  // Guarded by mutex_: its nodes, which stay; the numbers in them are the loop's.
  std::map<std::string, std::uint64_t, std::less<>> sequences_;
  std::vector<Item> queue_;        // guarded by mutex_, as are these
  std::size_t pending_bytes_ = 0;  // of queue_ and waiting_
  bool posted_ = false;
  bool closed_ = false;

  // The loop's.
  std::vector<Item> taken_;
  std::deque<Item> waiting_;
  std::unique_ptr<EventSocket> socket_;
  std::unique_ptr<Presence> presence_;
  EventFrames frames_;
  EventFrames control_;
  EventFrames subscription_;
  absl::flat_hash_set<std::uint64_t> nonces_;
  std::function<void()> on_closed_;
  Timer announce_timer_{this, &Publisher::Announce};
  Timer retry_timer_{this, &Publisher::Flush};
  Timer close_timer_{this, &Publisher::FinishClose};
};

class EventLink final : public MessageClientLink {
 public:
  explicit EventLink(std::shared_ptr<Publisher> publisher) : publisher_(std::move(publisher)) {}
  ~EventLink() override { publisher_->Close(); }

  absl::Status Send(const OutboundMessage& message) override { return publisher_->Send(message); }
  // Nothing comes back.
  std::string AddressOf(std::uint64_t) const override { return {}; }
  absl::StatusOr<std::string> AddressOfMethod(const MethodDescriptor& method) const override {
    std::string subject = zeromq_adapter::AddressOf(method);
    if (subject.empty() || internal::HasWildcard(subject) ||
        subject.find('\0') != std::string::npos || subject.front() == '\xff') {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", subject, "\" is no subject to publish to"));
    }
    return subject;
  }
  std::string CancelAddressOf(const MethodDescriptor&) const override { return {}; }
  absl::Status Ready() const override { return publisher_->Ready(); }

 private:
  const std::shared_ptr<Publisher> publisher_;
};

absl::Status NoCalls(const MethodDescriptor& method) {
  return absl::UnimplementedError(
      absl::StrCat(internal::Abs(method.full_name),
                   " is a call, and this client is for events: make it with rookery::ZeroMq"));
}

class RefusedStream final : public ClientStream {
 public:
  explicit RefusedStream(absl::Status why) : why_(std::move(why)) {}
  Task<bool> Write(const Message&) override { co_return false; }
  Task<void> WritesDone() override { co_return; }
  Task<bool> Read(Message&) override { co_return false; }
  Task<absl::Status> Finish() override { co_return why_; }
  void Cancel(absl::Status) noexcept override {}

 private:
  const absl::Status why_;
};

class EventChannel final : public Channel {
 public:
  EventChannel(const ZeroMqEvents& options, std::shared_ptr<LoopPool> loops,
               std::shared_ptr<Publisher> publisher, MessageClient::Options client)
      : wait_for_ready_(options.zeromq.wait_for_ready),
        loops_(std::move(loops)),
        publisher_(publisher),
        client_((*loops_)[0], std::make_shared<EventLink>(std::move(publisher)),
                std::move(client)) {}

  std::string_view transport() const noexcept override { return "zeromq"; }
  std::string target() const override { return publisher_->endpoint(); }
  ConnectionState state() const noexcept override {
    if (closed_.load()) return ConnectionState::kShutdown;
    return publisher_->Ready().ok() ? ConnectionState::kReady : ConnectionState::kConnecting;
  }
  Task<void> Unary(OutgoingCall& call, const Message& request, Message& response) override {
    if (call.method->kind != MethodKind::kEvent) return Refuse(*call.method);
    call.wait_for_ready = call.wait_for_ready || wait_for_ready_;
    return client_.Unary(call, request, response);
  }
  std::unique_ptr<ClientStream> Open(OutgoingCall& call) override {
    return std::make_unique<RefusedStream>(NoCalls(*call.method));
  }
  void Close() noexcept override {
    closed_.store(true);
    client_.Close();
  }

 private:
  static Task<void> Refuse(const MethodDescriptor& method) { co_await Fail(NoCalls(method)); }

  const bool wait_for_ready_;
  const std::shared_ptr<LoopPool> loops_;
  const std::shared_ptr<Publisher> publisher_;
  MessageClient client_;
  std::atomic<bool> closed_{false};
};

}  // namespace
}  // namespace zeromq_adapter

std::shared_ptr<Channel> MakeChannel(const ZeroMqEvents& options) {
  if (absl::Status checked = CheckZeroMqEventsOptions(options); !checked.ok()) {
    throw RpcException(std::move(checked));
  }
  std::shared_ptr<LoopPool> loops = zeromq_adapter::PublisherLoops();
  auto publisher = std::make_shared<zeromq_adapter::Publisher>(options, loops);
  if (absl::Status opened = publisher->Open(); !opened.ok()) {
    publisher->Close();
    throw RpcException(std::move(opened));
  }
  MessageClient::Options client;
  client.target = publisher->endpoint();
  client.max_send_bytes = options.zeromq.max_send_bytes;
  client.codec = options.zeromq.json ? WireCodec::kJson : WireCodec::kProtobuf;
  if (!options.zeromq.event_source.empty()) client.event_source = options.zeromq.event_source;
  return std::make_shared<zeromq_adapter::EventChannel>(options, std::move(loops),
                                                        std::move(publisher), std::move(client));
}

std::shared_ptr<Channel> MakeChannel(const ZeroMqEvents& options, TransportHost& /*host*/) {
  return MakeChannel(options);
}

}  // namespace rookery
