// The server side: a ROUTER for each address, on a loop, and the engine that serves what it brings.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "options.h"
#include "recent_handlers.h"
#include "rookery/platform/log.h"
#include "rookery/rpc/call_context.h"
#include "rookery/rpc/handler.h"
#include "rookery/rpc/message_server.h"
#include "rookery/rpc/transport.h"
#include "rookery/runtime/frame.h"
#include "rookery/runtime/loop.h"
#include "rookery/transports/zeromq.h"
#include "runtime/abseil_strings.h"
#include "sockets.h"
#include "zap.h"

namespace rookery {
namespace zeromq_adapter {
namespace {

using internal::Abs;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// How long handlers that were cancelled have to end and to answer.
constexpr milliseconds kUnwind{1'000};
// How long callers have to say that they have understood that no more calls are taken.
constexpr milliseconds kFarewell{500};
// Callers that are told when no more calls are taken: the others learn it from their next call.
constexpr std::size_t kMostCallers = 16'384;

Logger Log() { return Logger::Default().Named("zeromq"); }

// Where replies go, as the engine sees it: the caller's routing id, its length in front of it, and
// what the caller calls its call.
class ReplyAddress final {
 public:
  ReplyAddress() noexcept = default;
  std::string_view Set(std::string_view routing_id, std::string_view address) {
    const std::size_t size = 1 + routing_id.size() + address.size();
    char* at = near_;
    if (size > sizeof near_) [[unlikely]] {
      far_.resize(size);
      at = far_.data();
    }
    at[0] = static_cast<char>(static_cast<unsigned char>(routing_id.size()));
    std::memcpy(at + 1, routing_id.data(), routing_id.size());
    std::memcpy(at + 1 + routing_id.size(), address.data(), address.size());
    return {at, size};
  }

 private:
  char near_[40];
  std::string far_;
};

// What a message that has come in consists of, until its call lets go of it.
struct Held final : internal::Recycled {
  explicit Held(Frame&& the_frame) noexcept : frame(std::move(the_frame)) {}

  Frame frame;
  ReplyAddress reply_to;
  ReplyAddress call;  // in a cancellation: the reply address that it is about
};
InboundMessage::Owner Own(std::unique_ptr<Held> held) {
  return InboundMessage::Owner(held.release(), [](void* last) noexcept {
    const std::unique_ptr<Held> gone(static_cast<Held*>(last));
  });
}

std::string_view RoutingIdOf(std::string_view reply) noexcept {
  return reply.empty() ? reply : reply.substr(1, static_cast<unsigned char>(reply.front()));
}
std::string_view CallersAddressOf(std::string_view reply) noexcept {
  return reply.empty() ? reply
                       : reply.substr(std::min<std::size_t>(
                             reply.size(), 1U + static_cast<unsigned char>(reply.front())));
}

void LoadPeer(const void* held, Peer* peer) {
  const Frame& frame = static_cast<const Held*>(held)->frame;
  const std::string_view address = frame.Property("Peer-Address");
  peer->address = absl::StrCat("zeromq:", address.empty() ? "local" : Abs(address));
  const std::string_view user = frame.Property("User-Id");
  if (!user.empty()) {
    peer->authenticated = true;
    peer->identity = std::string(user);
    peer->subject = peer->identity;
  }
}

class Worker final : public MessageLink, public std::enable_shared_from_this<Worker> {
 public:
  Worker(const ZeroMq& options, Loop& loop) : options_(options), loop_(loop) {
    std::random_device random;
    for (std::uint64_t& word : key_) word = std::uint64_t{random()} << 32 | random();
  }

  absl::Status Start(const std::shared_ptr<ZmqContext>& context, const std::string& address,
                     const HandlerRegistry& registry, std::function<void()> on_idle) {
    registry_ = &registry;
    MessageServer::Options engine;
    engine.transport = "zeromq";
    engine.max_receive_bytes = options_.max_receive_bytes;
    engine.max_send_bytes = options_.max_send_bytes;
    engine.max_metadata_bytes = options_.max_metadata_bytes;
    engine.max_concurrent_calls = options_.max_concurrent_calls;
    engine.window_bytes = options_.window_bytes;
    engine.keepalive = options_.keepalive;
    engine_ = std::make_unique<MessageServer>(loop_, registry, *this, std::move(engine));
    on_idle_ = on_idle;
    engine_->set_on_idle(std::move(on_idle));
    LoopSocket::Callbacks on;
    // Close comes before our end, and nothing comes after Close.
    on.message = [this](Frames& frames) { OnMessage(frames); };
    on.unsent = [worker = weak_from_this()](Frames& frames, const absl::Status&) {
      if (const auto self = worker.lock()) self->OnUnsent(frames);
    };
    on.event = [worker = weak_from_this()](const SocketEvent& event) {
      if (const auto self = worker.lock()) self->OnEvent(event);
    };
    auto socket = LoopSocket::Make(context, loop_, options_.via_broker ? ZMQ_DEALER : ZMQ_ROUTER,
                                   options_, std::move(on));
    if (!socket.ok()) return socket.status();
    socket_ = *std::move(socket);
    if (options_.via_broker) return ConnectToBroker(address);
    if (options_.curve) SetListenerCurve(socket_->raw(), *options_.curve);
    absl::StatusOr<std::string> bound = socket_->Bind(address);
    if (!bound.ok()) return bound.status();
    endpoint_ = *std::move(bound);
    socket_->Start();
    return absl::OkStatus();
  }

  [[nodiscard]] const std::string& endpoint() const noexcept { return endpoint_; }
  [[nodiscard]] std::size_t in_flight() const noexcept {
    return engine_ == nullptr ? 0 : engine_->in_flight();
  }
  [[nodiscard]] std::uint64_t unroutable() const noexcept {
    return socket_ == nullptr ? 0 : socket_->unroutable();
  }
  [[nodiscard]] std::uint64_t dropped() const noexcept {
    return socket_ == nullptr ? 0 : socket_->dropped();
  }
  [[nodiscard]] std::size_t pending_bytes() const noexcept {
    return socket_ == nullptr ? 0 : socket_->pending_bytes();
  }

  void StopIntake() noexcept {
    loop_.Post([self = shared_from_this()] {
      if (self->engine_ == nullptr || self->intake_stopped_) return;
      if (self->options_.via_broker) {
        if (std::exchange(self->leaving_, true)) return;
        self->loop_.Disarm(&self->register_timer_);
        // What the broker hands on before it answers is still served.
        self->still_calling_.store(1);
        self->SayToBroker(kLeaveAddress, "");
        return;
      }
      self->intake_stopped_ = true;
      // It goes on listening: libzmq knows no way to stop that which would not end the connections
      // that are there. Who comes now is sent away.
      OutboundMessage goodbye;
      absl::erase_if(self->callers_, [&](const std::string& caller) {
        return !self->SendTo(caller, kGoAwayAddress, "", goodbye).ok();
      });
      self->still_calling_.store(self->callers_.size());
    });
  }
  // Once more, behind the last answers: whoever has answered that has read them. libzmq drops what
  // a caller has not read when the connection ends (of a socket with ZMQ_IMMEDIATE).
  void SayLast() noexcept {
    loop_.Post([self = shared_from_this()] {
      if (self->engine_ == nullptr || self->options_.via_broker) return;
      self->last_word_ = true;
      self->callers_.insert(self->told_.begin(), self->told_.end());
      self->told_.clear();
      OutboundMessage goodbye;
      absl::erase_if(self->callers_, [&](const std::string& caller) {
        return !self->SendTo(caller, kGoAwayAddress, "", goodbye).ok();
      });
      self->still_calling_.store(self->callers_.size());
    });
  }
  // Callers that were told that no more calls are taken, and may have sent some meanwhile.
  [[nodiscard]] std::size_t still_calling() const noexcept { return still_calling_.load(); }
  // Runs `act` with the engine, on the loop, and waits for it.
  template <class F>
  void OnLoop(F act) noexcept {
    const auto done = std::make_shared<std::promise<void>>();
    loop_.Post([&, done] {
      if (engine_ != nullptr) act(*engine_);
      done->set_value();
    });
    done->get_future().wait();
  }
  void Close() noexcept {
    const auto done = std::make_shared<std::promise<void>>();
    loop_.Post([&, done] {
      loop_.Disarm(&register_timer_);
      engine_.reset();
      if (socket_ != nullptr) socket_->Close();
      done->set_value();
    });
    done->get_future().wait();
    // What the socket has posted holds it; its context ends where nobody minds to wait.
    OnLoop([](MessageServer&) {});
    socket_.reset();
  }

  // MessageLink. On the loop.
  absl::Status Send(const OutboundMessage& message) override {
    std::string reply_to;
    std::optional<std::uint64_t> id;
    const std::string_view caller = RoutingIdOf(message.to);
    if (!message.reply_to.empty()) {
      id = ParseId(message.reply_to);
      if (id) reply_to = Sealed(*id, caller);
    }
    absl::Status sent = SendTo(caller, CallersAddressOf(message.to), reply_to, message);
    // Not now: the call that says this is in the middle of it.
    if (absl::IsUnavailable(sent) && id) {
      loop_.Post([worker = weak_from_this(), gone = *id] {
        const auto self = worker.lock();
        if (self != nullptr && self->engine_ != nullptr) self->engine_->OnUnreachable(gone);
      });
    }
    return sent;
  }
  std::string AddressOf(std::uint64_t id) const override { return FormatId(id); }
  bool WritesBodies() const noexcept override { return true; }

 private:
  // Behind a broker a message has the same frames as one that came to a ROUTER: its caller's id
  // comes first, and that is empty where the broker itself is meant.
  struct RegisterTimer final : LoopTimer {
    explicit RegisterTimer(Worker* owner) noexcept
        : LoopTimer([](LoopTimer* self) noexcept {
            static_cast<RegisterTimer*>(self)->worker->Register();
          }),
          worker(owner) {}
    Worker* const worker;
  };

  absl::Status ConnectToBroker(const std::string& address) {
    if (options_.curve) {
      absl::Status set = SetConnectorCurve(socket_->raw(), *options_.curve);
      if (!set.ok()) return set;
    }
    if (absl::Status status = socket_->Connect(address); !status.ok()) return status;
    endpoint_ = address;
    absl::flat_hash_set<std::string> names;
    for (const Handler* const handler : registry_->all()) {
      const MethodDescriptor& method = handler->descriptor();
      const std::string name = zeromq_adapter::AddressOf(method);
      names.insert(name.starts_with('/') ? name.substr(0, name.rfind('/') + 1) : name);
    }
    names_ = absl::StrJoin(names, "\n");
    socket_->Start();
    loop_.Post([self = shared_from_this()] { self->Register(); });
    return absl::OkStatus();
  }
  void Register() {
    if (engine_ == nullptr || leaving_) return;
    loop_.Arm(&register_timer_, loop_.Now() + kRegisterInterval);
    // What waits for a broker that is not there says the same already.
    if (socket_->pending_bytes() == 0) SayToBroker(kRegisterAddress, names_);
  }
  void SayToBroker(std::string_view to, std::string_view body) {
    OutboundMessage message;
    message.body = body;
    if (!EncodeMessage(message, to, "", &scratch_).ok()) return;
    Frames frames;
    frames.emplace_back(std::string_view());
    frames.emplace_back(scratch_);
    socket_->Send(std::move(frames)).IgnoreError();
  }

  absl::Status SendTo(std::string_view caller, std::string_view to, std::string_view reply_to,
                      const OutboundMessage& message) {
    if (socket_ == nullptr || caller.empty()) return absl::UnavailableError("nobody to send to");
    const std::size_t size = MessageSize(message, to, reply_to);
    if (size == 0) return DoesNotFit();
    Frames& frames = socket_->draft();
    std::memcpy(frames[0].Resize(caller.size()), caller.data(), caller.size());
    WriteMessage(message, to, reply_to, frames[1].Resize(size));
    return socket_->SendDraft();
  }

  // The address of a call of ours, which is of use to its caller alone: a stranger who guesses the
  // number has no seal that fits.
  [[nodiscard]] std::string Sealed(std::uint64_t id, std::string_view caller) const {
    return absl::StrCat(Abs(FormatId(id)), ".", absl::Hex(Seal(id, caller)));
  }
  [[nodiscard]] std::uint64_t Seal(std::uint64_t id, std::string_view caller) const {
    const std::uint64_t key[2] = {key_[0] ^ id, key_[1]};
    return KeyedHash(key, caller);
  }

  void Refuse(std::string_view what, const absl::Status& status) const {
    registry_->CountRejected("zeromq", what, status);
  }

  void OnMessage(Frames& frames) {
    if (engine_ == nullptr) return;
    if (frames.size() < 2) {
      Refuse("", absl::InvalidArgumentError("a message without a frame"));
      return;
    }
    const std::size_t count = frames.size() - 1;
    const std::string_view caller = frames[0].view();
    auto held = std::make_unique<Held>(std::move(frames[1]));
    Held& message = *held;
    InboundMessage inbound(Own(std::move(held)));
    inbound.load_peer = &LoadPeer;
    Header header;
    absl::Status parsed = DecodeMessage(message.frame.view(), &header, &inbound);
    // Another version may have another number.
    if (parsed.ok() && count != 1) [[unlikely]] {
      parsed = absl::InvalidArgumentError(
          absl::StrCat("a message of ", count, " frames; header and body are one"));
    }
    if (!parsed.ok()) [[unlikely]] {
      Refuse("", parsed);
      // Whoever speaks another version may know how to read this one's refusals.
      if (absl::IsUnimplemented(parsed)) {
        OutboundMessage refusal;
        AddStatus(parsed, &refusal);
        SendTo(caller, kVersionAddress, "", refusal).IgnoreError();
      }
      return;
    }
    if (!header.reply_to.empty()) {
      inbound.reply_to = message.reply_to.Set(caller, header.reply_to);
    }
    if (!header.to.empty() && header.to.front() == '@') {
      std::string_view seal;
      const std::optional<std::uint64_t> id = ParseId(header.to, &seal);
      if (!id || seal != absl::StrCat(".", absl::Hex(Seal(*id, caller)))) {
        Refuse("", absl::PermissionDeniedError("a frame for somebody else's call"));
        return;
      }
      engine_->OnFrame(*id, std::move(inbound));
      return;
    }
    if (!header.to.empty() && header.to.front() == '!') {
      OnControl(caller, header.to, message, std::move(inbound));
      return;
    }
    if (intake_stopped_) [[unlikely]] {
      RefuseLate(inbound);
      return;
    }
    const Handler* const handler =
        recent_.Find(header.to, [&] { return registry_->Find(header.to); });
    // The name is the message's, which goes.
    const std::string name = handler == nullptr ? std::string(header.to) : std::string();
    engine_->OnRequest(handler, name, std::move(inbound));
  }

  void OnControl(std::string_view caller, std::string_view to, Held& message,
                 InboundMessage inbound) {
    if (to == kCancelAddress) {
      for (WireField& field : inbound.fields) {
        if (field.name != kCallHeader) continue;
        field.value = message.call.Set(caller, field.value);
      }
      engine_->OnCancel(inbound);
    } else if (to == kHelloAddress) {
      if (intake_stopped_) {
        OutboundMessage goodbye;
        SendTo(caller, kGoAwayAddress, "", goodbye).IgnoreError();
        return;
      }
      // Those that went stay until their place is needed.
      if (callers_.size() >= kMostCallers) callers_.erase(callers_.begin());
      callers_.emplace(caller);
    } else if (to == kByeAddress && options_.via_broker) {
      if (!leaving_ || !caller.empty()) return;
      intake_stopped_ = true;
      still_calling_.store(0);
      on_idle_();
    } else if (to == kByeAddress) {
      if (callers_.erase(Abs(caller)) == 0 || !intake_stopped_) return;
      if (!last_word_) told_.emplace(caller);
      still_calling_.store(callers_.size());
      if (callers_.empty()) on_idle_();
    } else {
      Refuse("", absl::UnimplementedError("a message for an address of a later version"));
    }
  }

  // A request that was under way when we said that we take no more.
  void RefuseLate(const InboundMessage& request) {
    if (request.reply_to.empty()) {
      Refuse("", absl::UnavailableError("an event came when the server was shutting down"));
      return;
    }
    OutboundMessage refusal;
    refusal.to = request.reply_to;
    AddStatus(absl::UnavailableError("the server is shutting down"), &refusal);
    refusal.Add(kUnreadHeader, options_.via_broker ? kUnreadHere : std::string_view("1"));
    Send(refusal).IgnoreError();
  }

  // Something that waited for a caller who has gone meanwhile.
  void OnUnsent(const Frames& frames) {
    if (engine_ == nullptr || frames.size() != 2) return;
    Header header;
    InboundMessage ignored;
    if (!DecodeMessage(frames[1].view(), &header, &ignored).ok()) return;
    std::string_view seal;
    if (const auto id = ParseId(header.reply_to, &seal)) engine_->OnUnreachable(*id);
  }

  void OnEvent(const SocketEvent& event) {
    if (event.kind != SocketEvent::Kind::kHandshakeFailed || engine_ == nullptr) return;
    const std::string what = absl::StrCat("handshake at ", endpoint_);
    if (event.event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {
      Refuse(what, absl::UnauthenticatedError(
                       "the peer's key is not among those that ZeroMqCurve::allow lets in"));
    } else {
      Refuse(what, absl::InvalidArgumentError(
                       "a peer that does not speak ZeroMQ, or with another security mechanism, or "
                       "with a wrong server key, or that fell silent"));
    }
  }

  const ZeroMq options_;
  Loop& loop_;
  const HandlerRegistry* registry_ = nullptr;
  std::uint64_t key_[2];
  std::string endpoint_;
  std::shared_ptr<LoopSocket> socket_;
  std::unique_ptr<MessageServer> engine_;
  // On the loop:
  absl::flat_hash_set<std::string> callers_;
  absl::flat_hash_set<std::string> told_;  // callers that have answered that we go
  bool last_word_ = false;
  std::string scratch_;
  RecentHandlers recent_;
  bool intake_stopped_ = false;
  bool leaving_ = false;  // the broker is told, and has not answered yet, or has
  std::string names_;     // what a broker is told
  RegisterTimer register_timer_{this};
  std::function<void()> on_idle_;
  std::atomic<std::size_t> still_calling_{0};
};

class ZeroMqServer final : public ServerTransport {
 public:
  explicit ZeroMqServer(ZeroMq options) : options_(std::move(options)) {}
  ~ZeroMqServer() override { Stop(); }

  std::string_view name() const noexcept override { return "zeromq"; }

  absl::Status Start(TransportHost& host) override {
    if (absl::Status checked = CheckZeroMqOptions(options_); !checked.ok()) return checked;
    absl::Status curve =
        options_.via_broker ? CheckClientCurve(options_) : CheckServerCurve(options_);
    if (!curve.ok()) return curve;
    if (context_ != nullptr) {
      return absl::FailedPreconditionError("this listener was started before");
    }
    for (const Handler* const handler : host.handlers().all()) {
      absl::Status checked = CheckMethodAddress(AddressOf(handler->descriptor()));
      if (!checked.ok()) return checked;
    }
    auto context = ZmqContext::Make();
    if (!context.ok()) return context.status();
    context_ = *std::move(context);
    LoopPool& loops = host.loops();
    absl::Status status;
    if (options_.curve && !options_.via_broker) {
      auto zap = ZapHandler::Start(context_, loops[0], options_);
      status = zap.status();
      if (zap.ok()) zap_ = *std::move(zap);
    }
    const std::vector<std::string> addresses = Addresses(options_.address);
    std::vector<std::string> endpoints;
    for (std::size_t i = 0; i < addresses.size() && status.ok(); ++i) {
      workers_.push_back(std::make_shared<Worker>(options_, loops[i % loops.size()]));
      status = workers_.back()->Start(context_, addresses[i], host.handlers(), [this] {
        const std::scoped_lock lock(mutex_);
        idle_.notify_all();
      });
      endpoints.push_back(workers_.back()->endpoint());
    }
    if (!status.ok()) {
      Stop();
      return status;
    }
    endpoint_ = absl::StrJoin(endpoints, ",");
    return absl::OkStatus();
  }

  std::string endpoint() const override { return endpoint_; }

  void AddStats(StatsSnapshot* stats) const override {
    std::uint64_t unroutable = 0;
    std::uint64_t dropped = 0;
    {
      const std::scoped_lock lock(mutex_);
      for (const auto& worker : workers_) {
        unroutable += worker->unroutable();
        dropped += worker->dropped();
      }
    }
    AddRejected(absl::StatusCode::kUnavailable, unroutable, stats);
    AddRejected(absl::StatusCode::kResourceExhausted, dropped, stats);
  }

  void StopIntake() noexcept override {
    if (std::exchange(intake_stopped_, true)) return;
    for (const auto& worker : workers_) worker->StopIntake();
  }

  std::size_t Drain(Deadline deadline) noexcept override {
    StopIntake();
    // Behind what the loop had to do for that.
    for (const auto& worker : workers_) worker->OnLoop([](MessageServer&) {});
    // Calls that were on their way are to be refused, and not lost.
    AwaitFarewells(std::min(deadline, steady_clock::now() + kFarewell));
    std::size_t left = 0;
    if (!WaitIdle(deadline)) {
      left = in_flight();
      CancelAll();
    }
    AwaitSent();
    for (const auto& worker : workers_) worker->SayLast();
    for (const auto& worker : workers_) worker->OnLoop([](MessageServer&) {});
    AwaitFarewells(steady_clock::now() + kFarewell);
    return left;
  }

  void Stop() noexcept override {
    StopIntake();
    if (in_flight() != 0) {
      CancelAll();
      AwaitSent();
      if (const std::size_t left = in_flight(); left != 0) {
        Log().Error(
            "handlers have not ended although their calls were cancelled; they are left behind. "
            "Look for an await without cancellation.",
            {{"calls", left}});
      }
    }
    // Out of AddStats' sight first.
    std::vector<std::shared_ptr<Worker>> closing;
    {
      const std::scoped_lock lock(mutex_);
      closing.swap(workers_);
    }
    for (const auto& worker : closing) worker->Close();
    closing.clear();
    if (zap_ != nullptr) zap_->Stop();
    zap_.reset();
    // Ends within the sockets' linger.
    context_.reset();
  }

 private:
  static void AddRejected(absl::StatusCode code, std::uint64_t count, StatsSnapshot* stats) {
    if (count == 0) return;
    for (RejectedSnapshot& each : stats->rejected) {
      if (each.transport == "zeromq" && each.code == code) {
        each.count += count;
        return;
      }
    }
    stats->rejected.push_back({"zeromq", code, count});
  }
  [[nodiscard]] std::size_t in_flight() const noexcept {
    std::size_t sum = 0;
    for (const auto& worker : workers_) sum += worker->in_flight();
    return sum;
  }
  void AwaitFarewells(Deadline deadline) noexcept {
    std::unique_lock lock(mutex_);
    idle_.wait_until(lock, deadline, [this] {
      return std::all_of(workers_.begin(), workers_.end(),
                         [](const auto& worker) { return worker->still_calling() == 0; });
    });
  }
  bool WaitIdle(Deadline deadline) noexcept {
    std::unique_lock lock(mutex_);
    const auto idle = [this] { return in_flight() == 0; };
    if (deadline == kNoDeadline) {
      idle_.wait(lock, idle);
      return true;
    }
    return idle_.wait_until(lock, deadline, idle);
  }
  // Cancels what is in flight, and answers for what does not listen.
  void CancelAll() noexcept {
    const absl::Status reason = absl::UnavailableError("the server is shutting down");
    for (const auto& worker : workers_) {
      worker->OnLoop([&](MessageServer& engine) { engine.CancelAll(reason); });
    }
    if (WaitIdle(steady_clock::now() + kUnwind)) return;
    for (const auto& worker : workers_) {
      worker->OnLoop([&](MessageServer& engine) { engine.AnswerForAll(reason); });
    }
  }
  // What waits for slow callers on our side leaves within the linger, or not at all.
  void AwaitSent() noexcept {
    const auto give_up = steady_clock::now() + options_.linger;
    const auto waits = [this] {
      return std::any_of(workers_.begin(), workers_.end(),
                         [](const auto& worker) { return worker->pending_bytes() != 0; });
    };
    while (waits() && steady_clock::now() < give_up) std::this_thread::sleep_for(milliseconds(1));
    if (waits()) Log().Warn("the last replies may not have left: their callers do not read");
  }

  const ZeroMq options_;
  std::shared_ptr<ZmqContext> context_;
  std::shared_ptr<ZapHandler> zap_;
  std::vector<std::shared_ptr<Worker>> workers_;
  std::string endpoint_;
  bool intake_stopped_ = false;
  mutable std::mutex mutex_;
  std::condition_variable idle_;
};

}  // namespace
}  // namespace zeromq_adapter

std::unique_ptr<ServerTransport> MakeServerTransport(const ZeroMq& options) {
  return std::make_unique<zeromq_adapter::ZeroMqServer>(options);
}

}  // namespace rookery
