// The handling side: one socket on one of the application's loops, the engine that serves what it
// brings, and the book of what is missing.
#include <sys/inotify.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "event_meeting.h"
#include "event_options.h"
#include "event_socket.h"
#include "event_wire.h"
#include "options.h"
#include "recent_handlers.h"
#include "rookery/platform/log.h"
#include "rookery/rpc/call_context.h"
#include "rookery/rpc/handler.h"
#include "rookery/rpc/message_server.h"
#include "rookery/rpc/transport.h"
#include "rookery/runtime/loop.h"
#include "rookery/transports/zeromq_events.h"
#include "rpc/random.h"
#include "rpc/subject_pattern.h"
#include "runtime/abseil_strings.h"
#include "sockets.h"
#include "zap.h"

namespace rookery {
namespace zeromq_adapter {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kEventsPerTurn = 256;
constexpr milliseconds kFullRetry{1};
constexpr milliseconds kReport{1'000};
constexpr int kReportsGone = 2;
// How long handlers that were cancelled have to end.
constexpr milliseconds kUnwind{1'000};
constexpr std::size_t kMostLines = 8;

Logger Log() { return Logger::Default().Named("zeromq"); }

// Which handlers a subject has.
class EventRoutes final {
 public:
  explicit EventRoutes(const HandlerRegistry& registry) {
    for (const Handler* const handler : registry.all()) {
      if (handler->descriptor().kind != MethodKind::kEvent) continue;
      std::string subject = zeromq_adapter::AddressOf(handler->descriptor());
      // Several handlers of one event are found as one.
      const Handler* const found = registry.Find(handler->descriptor().full_name);
      subscriptions_.insert(SubscriptionFor(subject));
      if (internal::HasWildcard(subject)) {
        wild_.emplace_back(std::move(subject), found == nullptr ? handler : found);
      } else {
        exact_.emplace(std::move(subject), found == nullptr ? handler : found);
      }
    }
  }
  [[nodiscard]] const Handler* Find(std::string_view subject) const {
    const auto found = exact_.find(internal::Abs(subject));
    if (found != exact_.end()) return found->second;
    for (const auto& [pattern, handler] : wild_) {
      if (internal::MatchesSubject(pattern, subject)) return handler;
    }
    return nullptr;
  }
  [[nodiscard]] const std::set<std::string>& subscriptions() const noexcept {
    return subscriptions_;
  }

 private:
  absl::flat_hash_map<std::string, const Handler*> exact_;
  std::vector<std::pair<std::string, const Handler*>> wild_;
  std::set<std::string> subscriptions_;
};

// The socket and what belongs to its loop. Events are answered by nobody.
class Subscriber final : public MessageLink {
 public:
  Subscriber(const ZeroMqEvents& options, Loop& loop, const HandlerRegistry& handlers,
             std::function<void()> on_change)
      : options_(options),
        loop_(loop),
        handlers_(handlers),
        routes_(handlers),
        work_(options.sharing == ZeroMqSharing::kWork),
        nonce_(internal::FastRandom64()),
        ledger_([this](std::string_view subject) { return routes_.Find(subject) != nullptr; }),
        on_change_(std::move(on_change)) {}

  // ---- not on the loop

  absl::Status Open() {
    absl::StatusOr<std::shared_ptr<ZmqContext>> context = ZmqContext::Make();
    if (!context.ok()) return context.status();
    context_ = *std::move(context);
    if (options_.zeromq.curve && Binds(options_, /*publisher=*/false)) {
      auto zap = ZapHandler::Start(context_, loop_, SocketOptions(options_));
      if (!zap.ok()) return zap.status();
      zap_ = *std::move(zap);
    }
    absl::Status status;
    OnLoop([&] { status = OpenHere(); });
    return status;
  }
  // How many publishers (brokers) are to have heard of us, and how many have.
  [[nodiscard]] std::size_t expected() const noexcept { return expected_.load(); }
  [[nodiscard]] std::size_t synchronised() const noexcept { return synchronised_.load(); }
  [[nodiscard]] std::string endpoint() const { return endpoint_; }
  [[nodiscard]] std::size_t in_flight() const noexcept { return InFlight(); }
  void StopIntake() {
    OnLoop([&] { StopIntakeHere(); });
  }
  // Whether nothing that has come waits to be handled.
  [[nodiscard]] bool Emptied() {
    bool emptied = true;
    OnLoop([&] {
      if (socket_ == nullptr || !work_) return;
      if (!socket_->paused()) (void)Read();
      emptied = !socket_->paused() && drained_;
      socket_->Check();
    });
    return emptied;
  }
  template <class F>
  void OnLoop(F act) noexcept {
    const auto done = std::make_shared<std::promise<void>>();
    loop_.Post([&, done] {
      act();
      done->set_value();
    });
    done->get_future().wait();
  }
  void CancelAll(const absl::Status& reason) noexcept {
    OnLoop([&] {
      if (engine_ != nullptr) engine_->CancelAll(reason);
    });
  }
  void Close() noexcept {
    OnLoop([&] { CloseHere(); });
    if (zap_ != nullptr) zap_->Stop();
    zap_.reset();
    context_.reset();
  }
  void AddStats(StatsSnapshot* stats) const {
    ledger_.ForEach([&](const std::string& subject, const EventLedger::Counts& counts) {
      EventSnapshot row;
      row.subject = subject;
      row.transport = "zeromq";
      row.received = counts.received.load(std::memory_order_relaxed);
      row.lost = counts.lost.load(std::memory_order_relaxed);
      row.repeated = counts.repeated.load(std::memory_order_relaxed);
      if (row.received + row.lost + row.repeated != 0) stats->events.push_back(std::move(row));
    });
  }

  // MessageLink
  absl::Status Send(const OutboundMessage&) override { return absl::OkStatus(); }
  std::string AddressOf(std::uint64_t) const override { return {}; }

 private:
  struct Timer final : LoopTimer {
    Timer(Subscriber* owner, void (Subscriber::*function)()) noexcept
        : LoopTimer([](LoopTimer* self) noexcept {
            auto* const timer = static_cast<Timer*>(self);
            (timer->subscriber->*timer->act)();
          }),
          subscriber(owner),
          act(function) {}
    Subscriber* const subscriber;
    void (Subscriber::* const act)();
  };
  struct FolderWait final : FdWait {
    explicit FolderWait(Subscriber* owner) noexcept
        : FdWait([](FdWait* self, bool ready) noexcept {
            Subscriber& its = *static_cast<FolderWait*>(self)->subscriber;
            its.watching_ = false;
            if (ready) its.OnFolder();
          }),
          subscriber(owner) {}
    Subscriber* const subscriber;
  };

  absl::Status OpenHere() {
    MessageServer::Options engine;
    engine.transport = "zeromq";
    engine.max_receive_bytes = options_.zeromq.max_receive_bytes;
    engine.max_metadata_bytes = options_.zeromq.max_metadata_bytes;
    // One more: we stop reading before it refuses.
    engine.max_concurrent_calls = options_.zeromq.max_concurrent_calls + 1;
    engine.keepalive = milliseconds(0);
    engine_ = std::make_unique<MessageServer>(loop_, handlers_, *this, std::move(engine));
    engine_->set_on_idle(on_change_);

    socket_ = std::make_unique<EventSocket>(context_->get(), work_ ? ZMQ_PULL : ZMQ_SUB, loop_);
    Socket& raw = socket_->raw();
    raw.Configure(SocketOptions(options_));
    if (!work_) {
      for (const std::string& subscription : routes_.subscriptions()) {
        raw.Set(ZMQ_SUBSCRIBE, subscription);
      }
      raw.Set(ZMQ_SUBSCRIBE, SubscriptionFor(kSequencesSubject));
      // The last one: whoever hears of it has heard of all.
      raw.Set(ZMQ_SUBSCRIBE, SyncSubscription(nonce_));
    }
    absl::Status status = raw.status();
    const bool binds = Binds(options_, /*publisher=*/false);
    if (status.ok()) status = SetCurve(raw, options_, binds);
    if (status.ok() && options_.address.empty()) {
      status = Meet();
      endpoint_ = NameOf(options_);
    } else if (status.ok()) {
      const std::vector<std::string> addresses = Addresses(options_.address);
      status = Attach(*socket_, addresses, binds);
      endpoint_ = binds ? raw.last_endpoint() : options_.address;
      if (!work_ && !binds) expected_.store(addresses.size());
    }
    if (!status.ok()) {
      CloseHere();
      return status;
    }
    socket_->set_on_readable([this] { return Read(); });
    socket_->Start();
    loop_.Arm(&report_timer_, loop_.Now() + kReport);
    return absl::OkStatus();
  }

  // ---- publishers that come and go

  absl::Status Meet() {
    absl::StatusOr<std::string> folder = MeetingFolder(options_.domain, work_);
    if (!folder.ok()) return folder.status();
    folder_ = *std::move(folder);
    auto presence = Presence::Announce(folder_, Presence::kSubscriber);
    if (!presence.ok()) return presence.status();
    presence_ = *std::move(presence);
    absl::Status shown = presence_->Show();
    if (!shown.ok()) return shown;
    watch_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    // Without it (there are too many of them in the system) once a second must do.
    if (watch_ >= 0) inotify_add_watch(watch_, folder_.c_str(), IN_MOVED_TO | IN_DELETE);
    Look();
    if (!work_) expected_.store(connected_.size());
    Watch();
    return absl::OkStatus();
  }
  void Look() {
    const std::vector<std::string> there = LiveEndpoints(folder_);
    for (const std::string& endpoint : there) {
      const auto [known, fresh] = connected_.try_emplace(endpoint, 0);
      known->second = 0;
      if (!fresh) continue;
      if (zmq_connect(socket_->raw().get(), endpoint.c_str()) != 0) connected_.erase(known);
    }
  }
  // libzmq forgets what has come from a publisher when it is disconnected: so one that has gone is
  // kept until all of it has been handled.
  void LetGo() {
    const std::vector<std::string> there = LiveEndpoints(folder_);
    for (auto each = connected_.begin(); each != connected_.end();) {
      const bool gone = std::find(there.begin(), there.end(), each->first) == there.end();
      if (gone && ++each->second > kReportsGone && drained_ && !socket_->paused()) {
        zmq_disconnect(socket_->raw().get(), each->first.c_str());
        connected_.erase(each++);
      } else {
        ++each;
      }
    }
  }
  void Watch() {
    if (watch_ < 0 || watching_) return;
    watching_ = true;
    loop_.WaitFd(watch_, FdEvent::kReadable, &folder_wait_);
  }
  void OnFolder() {
    char buffer[4'096];
    while (read(watch_, buffer, sizeof buffer) > 0) {
    }
    if (socket_ == nullptr || stopped_) return;
    Look();
    Watch();
    socket_->Check();
  }

  // ---- events

  bool Read() {
    drained_ = false;
    for (int i = 0; i < kEventsPerTurn; ++i) {
      if (engine_->in_flight() >= options_.zeromq.max_concurrent_calls) {
        // The rest waits with libzmq, and then with the publisher.
        socket_->Pause();
        loop_.Arm(&resume_timer_, loop_.Now() + kFullRetry);
        return false;
      }
      auto frames = std::make_unique<EventFrames>();
      if (!socket_->Receive(frames.get())) {
        drained_ = true;
        if (stopped_) Detach();
        return false;
      }
      OnMessage(std::move(frames));
    }
    return true;
  }
  void Resume() {
    if (socket_ == nullptr || (stopped_ && !work_)) return;
    if (engine_->in_flight() > options_.zeromq.max_concurrent_calls / 4 * 3) {
      loop_.Arm(&resume_timer_, loop_.Now() + kFullRetry);
    } else {
      socket_->Resume();
    }
  }

  void OnMessage(std::unique_ptr<EventFrames> frames) {
    std::string_view subject;
    EventStamp stamp;
    std::string_view rest;
    if (frames->count() != EventFrames::kMost || frames->too_many() ||
        !ParseTopic((*frames)[0], &subject, &stamp, &rest)) {
      handlers_.CountRejected("zeromq", "(event)",
                              absl::InvalidArgumentError("a message that is no event: an event is "
                                                         "one frame, see docs/wire.md"));
      return;
    }
    if (subject.front() == '\xff') {
      OnControl(subject, stamp, rest.substr(0, 1),
                rest.substr(std::min<std::size_t>(1, rest.size())));
      return;
    }
    const Handler* const handler = recent_.Find(subject, [&] { return routes_.Find(subject); });
    // Subscriptions with wildcards bring more than was asked for.
    if (handler == nullptr && !work_) return;
    if (!work_ && !ledger_.OnEvent(subject, stamp)) return;
    InboundMessage message(InboundMessage::Owner(frames.release(), [](void* held) noexcept {
      const std::unique_ptr<EventFrames> gone(static_cast<EventFrames*>(held));
    }));
    Header header;
    const absl::Status decoded = DecodeMessage(rest, &header, &message);
    if (!decoded.ok()) {
      handlers_.CountRejected("zeromq", subject, decoded);
      return;
    }
    message.load_peer = &LoadPeer;
    engine_->OnRequest(handler, subject, std::move(message));
  }

  // Who it is that CURVE has proved, if it was asked for.
  static void LoadPeer(const void* held, Peer* peer) {
    const char* const identity = static_cast<const EventFrames*>(held)->Property(0, "User-Id");
    if (identity == nullptr || identity[0] == '\0') {
      peer->address = "zeromq:anonymous";
      return;
    }
    peer->address = absl::StrCat("zeromq:", identity);
    peer->authenticated = true;
    peer->identity = identity;
  }

  void OnControl(std::string_view subject, const EventStamp& stamp, std::string_view kind,
                 std::string_view body) {
    const bool all = kind == std::string_view(&kLastOfAll, 1);
    const bool last = all || kind == std::string_view(&kListEnds, 1);
    if (subject == kSequencesSubject) {
      ledger_.OnSequences(stamp.publisher, body, last);
    } else if (subject == kSyncSubject && stamp.publisher == nonce_) {
      // In an answer the first number is ours, the second the publisher's.
      ledger_.OnSequences(stamp.sequence, body, last);
      if (all && answered_.size() < EventLedger::kMostPublishers &&
          answered_.insert(stamp.sequence).second) {
        synchronised_.store(answered_.size());
        on_change_();
      }
    }
  }

  void Report() {
    loop_.Arm(&report_timer_, loop_.Now() + kReport);
    if (!folder_.empty() && !stopped_) {
      Look();
      LetGo();
      socket_->Check();
    }
    if (ledger_.lost() == reported_) return;
    reported_ = ledger_.lost();
    std::size_t lines = 0;
    ledger_.ForEach([&](const std::string& subject, const EventLedger::Counts& counts) {
      const std::uint64_t lost = counts.lost.load(std::memory_order_relaxed);
      std::uint64_t& before = told_[subject];
      if (lost == before || ++lines > kMostLines) return;
      Log().Warn("events were lost on the way: this node did not keep up, or was cut off",
                 {{"subject", subject}, {"lost", lost - before}, {"in_all", lost}});
      before = lost;
    });
  }

  // ---- the end

  void StopIntakeHere() {
    if (std::exchange(stopped_, true) || socket_ == nullptr) return;
    if (!work_) {
      socket_->Pause();
      return;
    }
    // What has come is handled first: libzmq forgets it together with the connection.
    socket_->Check();
  }
  // Nothing more comes.
  void Detach() {
    if (std::exchange(detached_, true)) return;
    void* const raw = socket_->raw().get();
    if (!folder_.empty()) {
      for (const auto& [endpoint, gone] : connected_) zmq_disconnect(raw, endpoint.c_str());
    } else if (Binds(options_, /*publisher=*/false)) {
      zmq_unbind(raw, endpoint_.c_str());
    } else {
      for (const std::string& each : Addresses(options_.address)) zmq_disconnect(raw, each.c_str());
    }
  }
  void CloseHere() {
    loop_.Disarm(&resume_timer_);
    loop_.Disarm(&report_timer_);
    if (watching_) loop_.CancelWait(&folder_wait_);
    if (watch_ >= 0) close(std::exchange(watch_, -1));
    stopped_ = true;
    socket_.reset();
    presence_.reset();
    engine_.reset();
  }
  [[nodiscard]] std::size_t InFlight() const noexcept {
    return engine_ == nullptr ? 0 : engine_->in_flight();
  }

  const ZeroMqEvents options_;
  Loop& loop_;
  const HandlerRegistry& handlers_;
  const EventRoutes routes_;
  RecentHandlers recent_;  // the loop's
  const bool work_;
  const std::uint64_t nonce_;
  std::atomic<std::size_t> expected_{0};
  std::atomic<std::size_t> synchronised_{0};

  // The loop's.
  std::shared_ptr<ZmqContext> context_;
  std::shared_ptr<ZapHandler> zap_;
  std::unique_ptr<EventSocket> socket_;
  std::unique_ptr<MessageServer> engine_;
  EventLedger ledger_;
  const std::function<void()> on_change_;
  std::string endpoint_;
  std::string folder_;
  std::unique_ptr<Presence> presence_;
  std::map<std::string, int> connected_;  // and for how many reports it has been gone
  absl::flat_hash_set<std::uint64_t> answered_;
  std::uint64_t reported_ = 0;
  absl::flat_hash_map<std::string, std::uint64_t> told_;
  int watch_ = -1;
  bool watching_ = false;
  bool stopped_ = false;
  bool detached_ = false;
  bool drained_ = true;
  FolderWait folder_wait_{this};
  Timer resume_timer_{this, &Subscriber::Resume};
  Timer report_timer_{this, &Subscriber::Report};
};

class EventServer final : public ServerTransport {
 public:
  explicit EventServer(ZeroMqEvents options) : options_(std::move(options)) {}
  ~EventServer() override { Stop(); }

  std::string_view name() const noexcept override { return "zeromq"; }

  absl::Status Start(TransportHost& host) override {
    if (absl::Status checked = CheckZeroMqEventsOptions(options_); !checked.ok()) return checked;
    if (subscriber_ != nullptr) {
      return absl::FailedPreconditionError("this listener was started before");
    }
    subscriber_ = std::make_unique<Subscriber>(options_, host.loops()[0], host.handlers(), [this] {
      // Under the lock, so that who has just looked does not miss it.
      const std::scoped_lock lock(mutex_);
      changed_.notify_all();
    });
    if (absl::Status opened = subscriber_->Open(); !opened.ok()) {
      subscriber_->Close();
      subscriber_.reset();
      return opened;
    }
    std::unique_lock lock(mutex_);
    const bool all = changed_.wait_for(lock, options_.synchronise_timeout, [this] {
      return subscriber_->synchronised() >= subscriber_->expected();
    });
    if (!all && options_.synchronise_timeout.count() != 0) {
      Log().Info("not all publishers of events are there yet",
                 {{"address", NameOf(options_)},
                  {"there", subscriber_->synchronised()},
                  {"named", subscriber_->expected()}});
    }
    return absl::OkStatus();
  }

  std::string endpoint() const override {
    return subscriber_ == nullptr ? "" : subscriber_->endpoint();
  }
  void AddStats(StatsSnapshot* stats) const override {
    if (subscriber_ != nullptr) subscriber_->AddStats(stats);
  }

  void StopIntake() noexcept override {
    if (subscriber_ != nullptr) subscriber_->StopIntake();
  }
  std::size_t Drain(Deadline deadline) noexcept override {
    if (subscriber_ == nullptr) return 0;
    StopIntake();
    for (;;) {
      const bool idle = WaitIdle(deadline);
      if (idle && subscriber_->Emptied() && subscriber_->in_flight() == 0) return 0;
      if (deadline != kNoDeadline && steady_clock::now() >= deadline) break;
      std::this_thread::sleep_for(kFullRetry);
    }
    const std::size_t left = subscriber_->in_flight();
    CancelAll();
    return left;
  }
  void Stop() noexcept override {
    if (subscriber_ == nullptr) return;
    StopIntake();
    if (subscriber_->in_flight() != 0) {
      CancelAll();
      if (const std::size_t left = subscriber_->in_flight(); left != 0) {
        Log().Error(
            "handlers have not ended although their events were cancelled; they are left behind. "
            "Look for an await without cancellation.",
            {{"events", left}});
      }
    }
    subscriber_->Close();
    subscriber_.reset();
  }

 private:
  bool WaitIdle(Deadline deadline) noexcept {
    std::unique_lock lock(mutex_);
    const auto idle = [this] { return subscriber_->in_flight() == 0; };
    if (deadline == kNoDeadline) {
      changed_.wait(lock, idle);
      return true;
    }
    return changed_.wait_until(lock, deadline, idle);
  }
  void CancelAll() noexcept {
    subscriber_->CancelAll(absl::UnavailableError("the server is shutting down"));
    (void)WaitIdle(steady_clock::now() + kUnwind);
  }

  const ZeroMqEvents options_;
  std::unique_ptr<Subscriber> subscriber_;
  std::mutex mutex_;
  std::condition_variable changed_;
};

}  // namespace
}  // namespace zeromq_adapter

std::unique_ptr<ServerTransport> MakeServerTransport(const ZeroMqEvents& options) {
  return std::make_unique<zeromq_adapter::EventServer>(options);
}

}  // namespace rookery
