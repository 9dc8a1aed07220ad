// The client side: a DEALER for each server, which share the calls, on one loop for the process.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "options.h"
#include "rookery/platform/log.h"
#include "rookery/rpc/channel.h"
#include "rookery/rpc/message_client.h"
#include "rookery/rpc/transport.h"
#include "rookery/runtime/frame.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/transports/zeromq.h"
#include "runtime/abseil_strings.h"
#include "sockets.h"

namespace rookery {
namespace zeromq_adapter {
namespace {

using google::protobuf::Message;
using internal::Abs;

Logger Log() { return Logger::Default().Named("zeromq"); }

// The loop of all clients of the process, and their context: so that a process with many clients
// has few threads.
struct Engine {
  LoopPool loops;
  std::shared_ptr<ZmqContext> context;

  explicit Engine(std::shared_ptr<ZmqContext> made)
      : loops({.threads = 1, .name = "zeromq-client"}), context(std::move(made)) {}
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  // What the sockets had to say leaves here, or their linger passes.
  ~Engine() { loops.Stop(); }
  [[nodiscard]] Loop& loop() noexcept { return loops[0]; }
};

absl::StatusOr<std::shared_ptr<Engine>> TheEngine() {
  static std::mutex mutex;
  static std::weak_ptr<Engine> shared;
  const std::scoped_lock lock(mutex);
  std::shared_ptr<Engine> engine = shared.lock();
  if (engine == nullptr) {
    auto context = ZmqContext::Make();
    if (!context.ok()) return context.status();
    engine = std::shared_ptr<Engine>(std::make_unique<Engine>(*std::move(context)).release(),
                                     [](Engine* last) {
                                       std::unique_ptr<Engine> gone(last);
                                       // A loop does not end itself.
                                       if (Loop::Current() == &gone->loop())
                                         std::thread([end = std::move(gone)] {}).detach();
                                     });
    shared = engine;
  }
  return engine;
}

struct Held final : internal::Recycled {
  explicit Held(Frame&& the_frame) noexcept : frame(std::move(the_frame)) {}

  Frame frame;
  std::string reply_to;
};

// "#2@1f.c0ffee": the address of a call at the third server.
constexpr char kServerMark = '#';

class Link final : public MessageClientLink, public std::enable_shared_from_this<Link> {
 public:
  Link(const ZeroMq& options, std::shared_ptr<Engine> engine)
      : options_(options), engine_(std::move(engine)) {}
  ~Link() override { CloseSockets(); }

  // Begins to connect to all servers.
  absl::Status Start(MessageClient::Inbox inbox) {
    inbox_ = std::move(inbox);
    ZeroMqKeys keys;
    if (options_.curve) {
      keys.secret_key = options_.curve->secret_key;
      if (keys.secret_key.empty()) {
        absl::StatusOr<ZeroMqKeys> made = NewZeroMqKeys();
        if (!made.ok()) return made.status();
        keys = *std::move(made);
      } else {
        char public_key[41];
        if (zmq_curve_public(public_key, keys.secret_key.c_str()) != 0) {
          return LastError("cannot make the public key of curve.secret_key");
        }
        keys.public_key = public_key;
      }
    }
    for (const std::string& address : Addresses(options_.address)) {
      const auto index = static_cast<std::int32_t>(servers_.size());
      LoopSocket::Callbacks on;
      on.message = [link = weak_from_this(), index](Frames& frames) {
        if (const auto self = link.lock()) self->OnMessage(index, frames);
      };
      on.unsent = [link = weak_from_this(), index](Frames& frames, const absl::Status& why) {
        if (const auto self = link.lock()) self->OnUnsent(index, frames, why);
      };
      on.event = [link = weak_from_this(), index](const SocketEvent& event) {
        if (const auto self = link.lock()) self->OnEvent(index, event);
      };
      auto socket = LoopSocket::Make(engine_->context, loop(), ZMQ_DEALER, options_, std::move(on));
      if (!socket.ok()) return socket.status();
      servers_.push_back({address, *socket});
      if (options_.curve) {
        Socket& raw = (*socket)->raw();
        raw.Set(ZMQ_CURVE_SERVERKEY, options_.curve->server_key);
        raw.Set(ZMQ_CURVE_PUBLICKEY, keys.public_key);
        raw.Set(ZMQ_CURVE_SECRETKEY, keys.secret_key);
      }
      if (absl::Status status = (*socket)->Connect(address); !status.ok()) return status;
    }
    // Only now: their callbacks look at all of them.
    for (const Server& server : servers_) server.socket->Start();
    return absl::OkStatus();
  }

  // Waits until a server is there, or for `most`.
  void AwaitServer(std::chrono::milliseconds most) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, most, [this] { return ready_.load() > 0; });
  }
  // Ends all connections. What was said last leaves; waits until it is libzmq's, but on the loop.
  void CloseSockets() noexcept {
    if (closed_.exchange(true)) return;
    const auto done = std::make_shared<std::promise<void>>();
    std::vector<std::shared_ptr<LoopSocket>> sockets;
    for (const Server& server : servers_) sockets.push_back(server.socket);
    // Behind what others have posted.
    const bool here = Loop::Current() == &loop();
    // Whoever waits lets go of the engine last: then its end, which waits for what was said last,
    // is not left to a thread that the end of the process may overtake.
    const auto say_goodbye = [this] {
      for (std::size_t i = 0; i < servers_.size(); ++i) {
        // A server that is about to leave need not wait for us.
        if (servers_[i].up) Say(static_cast<std::int32_t>(i), kByeAddress);
      }
    };
    if (here) say_goodbye();
    loop().Post([sockets = std::move(sockets), done, engine = here ? engine_ : nullptr,
                 waited_for = !here, say_goodbye] {
      if (waited_for) say_goodbye();
      for (const auto& socket : sockets) socket->Close();
      done->set_value();
    });
    if (!here) done->get_future().wait();
  }

  // MessageLink
  absl::Status Send(const OutboundMessage& message) override {
    if (closed_.load(std::memory_order_acquire)) return WhyNot();
    Outgoing outgoing;
    std::string_view to = message.to;
    if (!to.empty() && to.front() == kServerMark) {
      const std::size_t at = to.find('@');
      outgoing.server = static_cast<std::int32_t>(ParseIndex(to.substr(1, at - 1)));
      to.remove_prefix(std::min(at, to.size()));
    } else if (to == kCancelAddress) {
      for (const WireField& field : message.fields) {
        if (field.name == kCallHeader) outgoing.id = ParseId(field.value).value_or(0);
      }
      outgoing.where = Where::kOfItsCall;
    } else {
      if (!message.reply_to.empty()) outgoing.id = ParseId(message.reply_to).value_or(0);
      outgoing.where = Where::kAny;
    }
    outgoing.size = MessageSize(message, to, message.reply_to);
    if (outgoing.size == 0) return DoesNotFit();
    WriteMessage(message, to, message.reply_to,
                 outgoing.frames.emplace_back().Resize(outgoing.size));
    if (Loop::Current() == &loop()) {
      if (has_posted_.load(std::memory_order_acquire)) TakePosted();
      return Dispatch(outgoing);
    }
    // Who is asked for a connection now need not be told later that there is none.
    if (outgoing.where == Where::kAny && ready_.load(std::memory_order_acquire) == 0) {
      return WhyNot();
    }
    return PostIt(std::move(outgoing));
  }
  std::string AddressOf(std::uint64_t id) const override { return FormatId(id); }
  absl::StatusOr<std::string> AddressOfMethod(const MethodDescriptor& method) const override {
    std::string address = zeromq_adapter::AddressOf(method);
    absl::Status checked = CheckMethodAddress(address);
    if (!checked.ok()) return checked;
    return address;
  }
  std::string CancelAddressOf(const MethodDescriptor& /*method*/) const override {
    return std::string(kCancelAddress);
  }
  absl::Status Ready() const override {
    if (ready_.load(std::memory_order_acquire) > 0) [[likely]] {
      return absl::OkStatus();
    }
    return WhyNot();
  }
  bool HasOthers() const override { return servers_.size() > 1; }

  [[nodiscard]] ConnectionState state() const noexcept {
    if (closed_.load()) return ConnectionState::kShutdown;
    if (ready_.load() > 0) return ConnectionState::kReady;
    return ever_ready_.load() ? ConnectionState::kTransientFailure : ConnectionState::kConnecting;
  }
  [[nodiscard]] Loop& loop() const noexcept { return engine_->loop(); }

 private:
  struct Server {
    std::string address;
    std::shared_ptr<LoopSocket> socket;
    bool up = false;       // on the loop, as is all below
    bool leaving = false;  // it has said that it takes no more calls
    bool told = false;     // that it cannot be reached, in the log
    [[nodiscard]] bool takes_calls() const noexcept { return up && !leaving; }
  };
  enum class Where : std::uint8_t { kServer, kOfItsCall, kAny };
  struct Outgoing {
    Frames frames;
    std::size_t size = 0;
    std::uint64_t id = 0;  // the call that it begins, or that it is about; 0: none
    std::int32_t server = -1;
    Where where = Where::kServer;
  };
  // Which server a call went to. By the place in the client's table, which the low half of its id
  // is: there are as many as there have been calls at one time.
  struct Route {
    std::uint32_t generation = 0;
    std::int32_t server = -1;
  };
  struct Posted final : LoopWork {
    Posted()
        : LoopWork([](LoopWork* self) noexcept {
            const std::shared_ptr<Link> held = std::move(static_cast<Posted*>(self)->link);
            {
              const std::scoped_lock lock(held->mutex_);
              held->posting_ = false;
            }
            held->TakePosted();
          }) {}
    std::shared_ptr<Link> link;
  };

  static std::uint32_t ParseIndex(std::string_view digits) noexcept {
    std::uint32_t index = 0;
    for (const char c : digits) index = index * 10 + static_cast<std::uint32_t>(c - '0');
    return index;
  }

  absl::Status WhyNot() const {
    const std::scoped_lock lock(mutex_);
    if (closed_.load()) {
      return absl::UnavailableError(
          absl::StrCat("the channel to ", options_.address, " is closed"));
    }
    if (!why_not_.ok()) return why_not_;
    return absl::UnavailableError(
        absl::StrCat("no ZeroMQ server at ", options_.address, " can be reached"));
  }

  absl::Status PostIt(Outgoing outgoing) {
    bool first = false;
    {
      const std::scoped_lock lock(mutex_);
      if (posted_bytes_ + outgoing.size > options_.max_pending_bytes) {
        return absl::ResourceExhaustedError(absl::StrCat("more than ", options_.max_pending_bytes,
                                                         " bytes wait to be sent over ZeroMQ"));
      }
      posted_bytes_ += outgoing.size;
      posted_.push_back(std::move(outgoing));
      has_posted_.store(true, std::memory_order_release);
      first = !std::exchange(posting_, true);
      if (first) work_.link = shared_from_this();
    }
    if (first) loop().Post(&work_);
    return absl::OkStatus();
  }

  // ---- on the loop

  void TakePosted() {
    std::vector<Outgoing> posted;
    {
      const std::scoped_lock lock(mutex_);
      posted.swap(posted_);
      posted_bytes_ = 0;
      has_posted_.store(false, std::memory_order_relaxed);
    }
    for (Outgoing& outgoing : posted) {
      const std::uint64_t id = outgoing.where == Where::kAny ? outgoing.id : 0;
      if (const absl::Status sent = Dispatch(outgoing); !sent.ok() && id != 0) {
        inbox_.FailCall(id, sent, /*unreached=*/absl::IsUnavailable(sent));
      }
    }
  }

  absl::Status Dispatch(Outgoing& outgoing) {
    std::int32_t server = outgoing.server;
    if (outgoing.where == Where::kOfItsCall) {
      const Route* const route = RouteOf(outgoing.id);
      if (route == nullptr) return absl::OkStatus();  // its server has gone, or its call
      server = route->server;
    } else if (outgoing.where == Where::kAny) {
      server = Pick();
      if (server < 0) return WhyNot();
      if (outgoing.id != 0) {
        const auto place = static_cast<std::size_t>(outgoing.id & 0xffffffffU);
        if (place >= routes_.size()) routes_.resize(place + 1);
        routes_[place] = {static_cast<std::uint32_t>(outgoing.id >> 32), server};
      }
    }
    if (server < 0 || static_cast<std::size_t>(server) >= servers_.size()) {
      return absl::InternalError("a message for a server that there is not");
    }
    return At(server).socket->Send(std::move(outgoing.frames));
  }

  [[nodiscard]] Server& At(std::int32_t index) { return servers_[static_cast<std::size_t>(index)]; }
  [[nodiscard]] const Route* RouteOf(std::uint64_t id) const {
    const auto place = static_cast<std::size_t>(id & 0xffffffffU);
    if (place >= routes_.size()) return nullptr;
    const Route& route = routes_[place];
    return route.server >= 0 && route.generation == id >> 32 ? &route : nullptr;
  }
  // The next in turn that takes calls; -1: none.
  [[nodiscard]] std::int32_t Pick() {
    for (std::size_t i = 0; i < servers_.size(); ++i) {
      next_ = next_ + 1 >= servers_.size() ? 0 : next_ + 1;
      if (servers_[next_].takes_calls()) return static_cast<std::int32_t>(next_);
    }
    return -1;
  }
  void CountReady() {
    int ready = 0;
    for (const Server& server : servers_) ready += server.takes_calls() ? 1 : 0;
    const std::scoped_lock lock(mutex_);
    ready_.store(ready, std::memory_order_release);
    if (ready > 0) {
      ever_ready_.store(true);
      why_not_ = absl::OkStatus();
    }
    changed_.notify_all();
  }

  void OnMessage(std::int32_t from, Frames& frames) {
    const std::size_t count = frames.size();
    auto held = std::make_unique<Held>(std::move(frames[0]));
    Held& message = *held;
    InboundMessage inbound(InboundMessage::Owner(held.release(), [](void* last) noexcept {
      const std::unique_ptr<Held> gone(static_cast<Held*>(last));
    }));
    Header header;
    const absl::Status parsed = DecodeMessage(message.frame.view(), &header, &inbound);
    if (absl::IsUnimplemented(parsed) || header.to == kVersionAddress) {
      OnOtherVersion(from);
      return;
    }
    if (!parsed.ok()) {
      Strange(from, internal::Std(parsed.message()));
      return;
    }
    if (count != 1) {
      Strange(from, "a message of more than one frame");
      return;
    }
    if (header.to == kGoAwayAddress) {
      OnLeaving(from);
      Say(from, kByeAddress);
      return;
    }
    const std::optional<std::uint64_t> id = ParseId(header.to);
    if (!id) {
      Strange(from, "a message to an address that is no call's");
      return;
    }
    // Another server's call, or that of a connection which has ended: nobody's to answer.
    const Route* const route = RouteOf(*id);
    if (route == nullptr || route->server != from) return;
    if (!header.reply_to.empty()) {
      message.reply_to = absl::StrCat("#", from, Abs(header.reply_to));
      inbound.reply_to = message.reply_to;
    }
    if (const auto unread = inbound.fields.empty() ? std::nullopt : inbound.Find(kUnreadHeader))
        [[unlikely]] {
      // A broker stays where it is when a worker is missing.
      if (*unread != kUnreadHere) OnLeaving(from);
      inbox_.FailCall(*id, ReadStatus(inbound), /*unreached=*/true);
      return;
    }
    inbox_.OnFrame(*id, std::move(inbound));
  }

  void Strange(std::int32_t from, std::string_view what) {
    // A line a second tells enough.
    const Deadline now = loop().Now();
    if (now < strange_again_) return;
    strange_again_ = now + std::chrono::seconds(1);
    Log().Warn("dropped what a ZeroMQ server said", {{"server", At(from).address}, {"what", what}});
  }

  // To the server itself, about no call.
  void Say(std::int32_t to, std::string_view what) {
    const OutboundMessage message;
    std::string said;
    if (!EncodeMessage(message, what, "", &said).ok()) return;
    Frames frames;
    frames.emplace_back(said);
    At(to).socket->Send(std::move(frames)).IgnoreError();
  }

  void OnLeaving(std::int32_t from) {
    Server& server = At(from);
    server.leaving = true;
    SetWhyNot(absl::UnavailableError(
        absl::StrCat("the server at ", server.address, " is shutting down")));
    CountReady();
  }

  void OnOtherVersion(std::int32_t from) {
    Server& server = At(from);
    const absl::Status status = absl::UnimplementedError(
        absl::StrCat("the server at ", server.address,
                     " speaks another version of the protocol: bring both to the same release"));
    SetWhyNot(status);
    server.up = false;
    CountReady();
    FailCallsOf(from, status);
  }

  void SetWhyNot(const absl::Status& status) {
    const std::scoped_lock lock(mutex_);
    why_not_ = status;
  }

  void OnEvent(std::int32_t from, const SocketEvent& event) {
    Server& server = At(from);
    switch (event.kind) {
      case SocketEvent::Kind::kReady: {
        server.up = true;
        server.leaving = false;
        server.told = false;
        Say(from, kHelloAddress);
        Log().Info("connected", {{"server", server.address}});
        CountReady();
        return;
      }
      case SocketEvent::Kind::kDisconnected: {
        const bool was_up = std::exchange(server.up, false);
        server.leaving = false;
        const absl::Status why = absl::UnavailableError(
            absl::StrCat("the connection to ", server.address, " was lost while the call ran"));
        if (was_up) {
          SetWhyNot(absl::UnavailableError(
              absl::StrCat("the connection to ", server.address, " was lost")));
          Log().Warn("connection lost", {{"server", server.address}});
        }
        CountReady();
        SendElsewhere(from);
        FailCallsOf(from, why);
        return;
      }
      case SocketEvent::Kind::kHandshakeFailed: {
        const absl::Status why =
            event.event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
                ? absl::UnauthenticatedError(
                      absl::StrCat("the server at ", server.address,
                                   " does not let our key in: add it to its ZeroMqCurve::allow"))
                : absl::UnavailableError(absl::StrCat(
                      "the server at ", server.address,
                      " ended the handshake: it does not speak ZeroMQ, or not with this security "
                      "(ZeroMq::curve), or its key is another one than curve.server_key"));
        SetWhyNot(why);
        if (!std::exchange(server.told, true)) {
          Log().Warn("a handshake failed", {{"server", server.address}, {"why", why.message()}});
        }
        CountReady();
        return;
      }
      default:
        return;
    }
  }

  // What had not left when the connection went.
  void SendElsewhere(std::int32_t from) {
    std::vector<Frames> waiting = At(from).socket->TakeWaiting();
    for (Frames& frames : waiting) {
      Header header;
      InboundMessage ignored;
      if (frames.size() != 1 || !DecodeMessage(frames[0].view(), &header, &ignored).ok()) continue;
      if (header.to.empty() || header.to.front() == '@' || header.to.front() == '!') continue;
      Outgoing outgoing;
      outgoing.where = Where::kAny;
      outgoing.id = header.reply_to.empty() ? 0 : ParseId(header.reply_to).value_or(0);
      outgoing.frames = std::move(frames);
      const std::uint64_t id = outgoing.id;
      if (const absl::Status sent = Dispatch(outgoing); !sent.ok() && id != 0) {
        inbox_.FailCall(id, sent, /*unreached=*/absl::IsUnavailable(sent));
      }
    }
  }

  void OnUnsent(std::int32_t /*from*/, const Frames& frames, const absl::Status& why) {
    if (frames.size() != 1) return;
    Header header;
    InboundMessage ignored;
    if (!DecodeMessage(frames[0].view(), &header, &ignored).ok() || header.reply_to.empty()) return;
    if (const auto id = ParseId(header.reply_to)) {
      inbox_.FailCall(*id, why, /*unreached=*/absl::IsUnavailable(why));
    }
  }

  void FailCallsOf(std::int32_t from, const absl::Status& why) {
    for (std::size_t place = 0; place < routes_.size(); ++place) {
      Route& route = routes_[place];
      if (route.server != from) continue;
      route.server = -1;
      inbox_.FailCall(std::uint64_t{route.generation} << 32 | place, why, /*unreached=*/false);
    }
  }

  const ZeroMq options_;
  const std::shared_ptr<Engine> engine_;
  MessageClient::Inbox inbox_;
  std::vector<Server> servers_;
  std::vector<Route> routes_;
  std::size_t next_ = 0;
  Deadline
      strange_again_{};  // when the log may say the next time that a server says strange things
  std::atomic<int> ready_{0};
  std::atomic<bool> ever_ready_{false};
  std::atomic<bool> closed_{false};
  std::atomic<bool> has_posted_{false};

  mutable std::mutex mutex_;  // guards what is below
  std::condition_variable changed_;
  absl::Status why_not_;
  std::vector<Outgoing> posted_;
  std::size_t posted_bytes_ = 0;
  bool posting_ = false;
  Posted work_;
};

class ZeroMqChannel final : public Channel {
 public:
  ZeroMqChannel(const ZeroMq& options, std::shared_ptr<Link> link, MessageClient::Options client)
      : target_(options.address),
        wait_for_ready_(options.wait_for_ready),
        link_(std::move(link)),
        client_(link_->loop(), link_, std::move(client)) {}

  std::string_view transport() const noexcept override { return "zeromq"; }
  std::string target() const override { return target_; }
  ConnectionState state() const noexcept override {
    return closed_.load() ? ConnectionState::kShutdown : link_->state();
  }
  Task<void> Unary(OutgoingCall& call, const Message& request, Message& response) override {
    call.wait_for_ready = call.wait_for_ready || wait_for_ready_;
    return client_.Unary(call, request, response);
  }
  std::unique_ptr<ClientStream> Open(OutgoingCall& call) override {
    call.wait_for_ready = call.wait_for_ready || wait_for_ready_;
    return client_.Open(call);
  }
  void Close() noexcept override {
    closed_.store(true);
    client_.Close();
  }
  [[nodiscard]] MessageClient& client() noexcept { return client_; }

 private:
  const std::string target_;
  const bool wait_for_ready_;
  const std::shared_ptr<Link> link_;
  MessageClient client_;
  std::atomic<bool> closed_{false};
};

}  // namespace
}  // namespace zeromq_adapter

std::shared_ptr<Channel> MakeChannel(const ZeroMq& options) {
  absl::Status checked = CheckZeroMqOptions(options);
  if (checked.ok()) checked = zeromq_adapter::CheckClientCurve(options);
  if (!checked.ok()) throw RpcException(std::move(checked));
  auto engine = zeromq_adapter::TheEngine();
  if (!engine.ok()) throw RpcException(engine.status());
  auto link = std::make_shared<zeromq_adapter::Link>(options, *std::move(engine));
  MessageClient::Options client;
  client.target = options.address;
  client.max_receive_bytes = options.max_receive_bytes;
  client.max_send_bytes = options.max_send_bytes;
  client.window_bytes = options.window_bytes;
  client.keepalive = options.keepalive;
  client.codec = options.json ? WireCodec::kJson : WireCodec::kProtobuf;
  client.event_source =
      options.event_source.empty() ? zeromq_adapter::ProgramName() : options.event_source;
  auto channel = std::make_shared<zeromq_adapter::ZeroMqChannel>(options, link, std::move(client));
  if (absl::Status started = link->Start(channel->client().inbox()); !started.ok()) {
    throw RpcException(std::move(started));
  }
  link->AwaitServer(options.connect_timeout);
  return channel;
}

std::shared_ptr<Channel> MakeChannel(const ZeroMq& options, TransportHost& /*host*/) {
  return MakeChannel(options);
}

}  // namespace rookery
