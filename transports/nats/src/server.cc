// The server side: queue subscriptions that the loop reads, and the engine that serves what they
// bring.
#include <nats/nats.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "connection.h"
#include "discovery.h"
#include "options.h"
#include "rookery/platform/log.h"
#include "rookery/rpc/handler.h"
#include "rookery/rpc/message_server.h"
#include "rookery/rpc/transport.h"
#include "rookery/runtime/loop.h"
#include "rookery/transports/nats.h"
#include "rpc/subject_pattern.h"
#include "runtime/abseil_strings.h"

namespace rookery {
namespace nats_adapter {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// How long handlers that were cancelled have to end and to answer.
constexpr milliseconds kUnwind{1'000};
// How long the NATS server may take to confirm that nothing more is on its way to us.
constexpr milliseconds kConfirm{5'000};

Logger Log() { return Logger::Default().Named("nats"); }

milliseconds Until(Deadline deadline, milliseconds most) {
  if (deadline == kNoDeadline) return most;
  const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
  return std::clamp(left, milliseconds(1), most);
}

// Which handlers a subject has.
class Routes final {
 public:
  Routes(const Nats& options, const HandlerRegistry& registry) {
    for (const Handler* const handler : registry.all()) {
      std::string subject = SubjectOf(options, handler->descriptor());
      // Several handlers of one event are found as one.
      const Handler* const found = registry.Find(handler->descriptor().full_name);
      if (internal::HasWildcard(subject)) {
        wild_.emplace_back(std::move(subject), found == nullptr ? handler : found);
      } else {
        exact_.emplace(std::move(subject), found == nullptr ? handler : found);
      }
    }
  }
  [[nodiscard]] const Handler* Find(std::string_view subject) const {
    const auto found = exact_.find(internal::Abs(subject));
    return found == exact_.end() ? nullptr : found->second;
  }
  [[nodiscard]] const Handler* FindWild(std::string_view subject) const {
    for (const auto& [pattern, handler] : wild_) {
      if (internal::MatchesSubject(pattern, subject)) return handler;
    }
    return nullptr;
  }

 private:
  absl::flat_hash_map<std::string, const Handler*> exact_;
  std::vector<std::pair<std::string, const Handler*>> wild_;
};

// One connection and its loop.
class Worker final : public MessageLink, public std::enable_shared_from_this<Worker> {
 public:
  Worker(const Nats& options, Loop& loop) : options_(options), loop_(loop) {}
  ~Worker() override {
    for (natsMsg* const message : arrived_) natsMsg_Destroy(message);
  }

  absl::Status Connect(Deadline give_up) {
    return WaitForNats(options_, give_up, [this] {
      Connection::Events events;
      events.on_read = [worker = weak_from_this()] {
        if (const auto self = worker.lock()) self->OnRead();
      };
      events.on_disconnected = [worker = weak_from_this()] {
        if (const auto self = worker.lock()) self->OnDisconnected();
      };
      events.on_refused = [worker = weak_from_this()](bool, const std::string& subject,
                                                      const absl::Status& why) {
        // The handlers live as long as the worker.
        if (const auto self = worker.lock()) {
          if (const HandlerRegistry* const handlers = self->handlers_.load()) {
            handlers->CountRejected("nats", subject, why);
          }
        }
      };
      auto opened = Connection::Open(options_, loop_, /*background=*/false, std::move(events));
      if (opened.ok()) connection_ = *std::move(opened);
      return opened.status();
    });
  }

  // After Connect. On the loop, which reads already.
  // `stats`: this worker answers those who look for services; empty: another one does.
  absl::Status Subscribe(const HandlerRegistry& registry, std::function<StatsSnapshot()> stats,
                         std::function<void()> on_idle) {
    absl::Status status;
    const auto done = std::make_shared<std::promise<void>>();
    loop_.Post([&, done] {
      status = SubscribeHere(registry, std::move(stats), std::move(on_idle));
      done->set_value();
    });
    done->get_future().wait();
    return status;
  }
  // The NATS server knows of all subscriptions.
  absl::Status Confirm() {
    absl::Status status = connection_->Flush(kConfirm);
    return status.ok() ? connection_->Refusal() : status;
  }

  [[nodiscard]] std::string url() const { return connection_->url(); }
  [[nodiscard]] std::size_t in_flight() const noexcept {
    return engine_ == nullptr ? 0 : engine_->in_flight();
  }

  void StopIntake() noexcept {
    for (const Subscription& each : subscriptions_) {
      if (each.use != Use::kCancellations) each.subscription->Drain(kConfirm);
    }
  }
  // Waits until all that the NATS server had sent us has been delivered: it answers in order, and
  // the end of the subscriptions went before. Not on the loop. (nats.c's own wait for that takes a
  // quarter of a second.)
  void AwaitIntake(Deadline deadline) noexcept {
    if (connection_->Ready().ok()) connection_->Flush(Until(deadline, kConfirm)).IgnoreError();
    OnLoop([](MessageServer&) {});
  }
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
  void FlushQuietly() noexcept {
    absl::Status flushed = connection_->Ready();
    if (flushed.ok()) flushed = connection_->Flush(kUnwind);
    if (!flushed.ok()) {
      Log().Warn("the last replies may not have left", {{"why", flushed.message()}});
    }
  }
  void Close() noexcept {
    if (connection_ == nullptr) return;
    const auto done = std::make_shared<std::promise<void>>();
    loop_.Post([&, done] {
      engine_.reset();
      done->set_value();
    });
    done->get_future().wait();
    handlers_.store(nullptr);
    connection_->Close();
    // The loop may be gone soon, and events would be posted to it.
    connection_->AwaitSilence(kUnwind);
    // After the connection: then nats.c knows that nothing more comes.
    subscriptions_.clear();
    inbox_subscription_.reset();
  }

  // MessageLink
  absl::Status Send(const OutboundMessage& message) override {
    return connection_->Publish(message);
  }
  std::string AddressOf(std::uint64_t id) const override {
    std::string address = inbox_;
    AppendBase62(&address, id);
    return address;
  }

 private:
  enum class Use : std::uint8_t { kRequests, kCancellations, kDiscovery };
  struct Subscription {
    std::shared_ptr<Connection::Subscription> subscription;
    const Handler* handler;  // of a pattern; null: by the subject
    Use use;
  };

  absl::Status SubscribeHere(const HandlerRegistry& registry, std::function<StatsSnapshot()> stats,
                             std::function<void()> on_idle) {
    handlers_.store(&registry);
    routes_ = std::make_unique<Routes>(options_, registry);
    MessageServer::Options engine;
    engine.transport = "nats";
    engine.max_receive_bytes = options_.max_receive_bytes;
    engine.max_send_bytes = std::min(options_.max_send_bytes, connection_->max_payload());
    engine.max_metadata_bytes = options_.max_metadata_bytes;
    engine.max_concurrent_calls = options_.max_concurrent_calls;
    engine.window_bytes = options_.window_bytes;
    engine.keepalive = options_.keepalive;
    engine_ = std::make_unique<MessageServer>(loop_, registry, *this, std::move(engine));
    engine_->set_on_idle(std::move(on_idle));

    inbox_ = NewInbox(options_);
    auto inbox = connection_->Subscribe(absl::StrCat(inbox_, "*"), "",
                                        [worker = weak_from_this()](MessagePtr message) {
                                          if (const auto self = worker.lock())
                                            self->OnInbox(std::move(message));
                                        });
    if (!inbox.ok()) return inbox.status();
    inbox_subscription_ = *std::move(inbox);

    absl::Status status;
    if (stats) {
      // The ID of the inbox, which is as unique as an instance must be.
      const std::size_t begin = options_.inbox_prefix.size() + 1;
      discovery_ = std::make_unique<Discovery>(
          options_, registry, inbox_.substr(begin, inbox_.size() - begin - 1), std::move(stats));
      for (const std::string& subject : discovery_->subjects()) {
        status = Add(subject, nullptr, Use::kDiscovery);
        if (!status.ok()) return status;
      }
    }
    absl::flat_hash_set<std::string> done;
    if (options_.owns_prefix) {
      status = Add(absl::StrCat(options_.prefix, ".>"), nullptr, Use::kRequests);
      if (!status.ok()) return status;
      return Add(CancelSubject(options_, ">"), nullptr, Use::kCancellations);
    }
    for (const Handler* const handler : registry.all()) {
      const MethodDescriptor& method = handler->descriptor();
      if (method.kind == MethodKind::kEvent && !options_.events) continue;
      const std::string group = GroupOf(method);
      if (!done.insert(group).second) continue;
      const bool pattern = !method.pattern.empty();
      const std::string subject =
          pattern ? SubjectOf(options_, method) : Prefixed(options_, absl::StrCat(group, ".*"));
      status = CheckSubject(subject, /*wildcards=*/true);
      if (status.ok()) {
        const Handler* const found = registry.Find(method.full_name);
        status =
            Add(subject, pattern ? (found == nullptr ? handler : found) : nullptr, Use::kRequests);
      }
      if (status.ok()) status = Add(CancelSubject(options_, group), nullptr, Use::kCancellations);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status Add(const std::string& subject, const Handler* handler, Use use) {
    auto made = connection_->Subscribe(
        subject, use == Use::kRequests && options_.queue_groups ? QueueOf(options_) : "");
    if (!made.ok()) return made.status();
    subscriptions_.push_back({*std::move(made), handler, use});
    return absl::OkStatus();
  }

  // ---- on the loop

  void OnRead() {
    if (engine_ == nullptr) return;
    // Requests first: a cancellation was sent after the request that it is about.
    for (const bool cancellations : {false, true}) {
      for (const Subscription& each : subscriptions_) {
        if ((each.use == Use::kCancellations) == cancellations) Take(each);
      }
    }
  }

  void Take(const Subscription& from) {
    while (MessagePtr message = from.subscription->Next()) {
      const std::string_view subject = natsMsg_GetSubject(message.get());
      if (from.use == Use::kCancellations) {
        engine_->OnCancel(ToInbound(std::move(message)));
        continue;
      }
      if (from.use == Use::kDiscovery) {
        AnswerDiscovery(subject, message.get());
        continue;
      }
      const Handler* handler = from.handler;
      if (handler == nullptr) handler = routes_->Find(subject);
      if (handler == nullptr) handler = routes_->FindWild(subject);
      // The subject is the message's, which goes.
      const std::string name = handler == nullptr ? std::string(subject) : std::string();
      engine_->OnRequest(handler, name, ToInbound(std::move(message)));
    }
  }

  void AnswerDiscovery(std::string_view subject, natsMsg* request) {
    const char* const reply = natsMsg_GetReply(request);
    if (reply == nullptr || *reply == '\0') return;
    for (const std::string& json : discovery_->Answer(subject)) {
      OutboundMessage answer;
      answer.to = reply;
      answer.body = json;
      if (const absl::Status sent = connection_->Publish(answer); !sent.ok()) {
        Log().Warn("a question for services was not answered", {{"why", sent.message()}});
      }
    }
  }

  void TakeArrived() {
    std::vector<natsMsg*> messages;
    {
      const std::scoped_lock lock(mutex_);
      messages.swap(arrived_);
    }
    for (natsMsg* const raw : messages) {
      MessagePtr message(raw);
      const std::optional<std::uint64_t> id = IdOf(natsMsg_GetSubject(raw));
      if (!id || engine_ == nullptr) continue;
      bool nobody = false;
      InboundMessage inbound = ToInbound(std::move(message), &nobody);
      if (nobody) {
        engine_->OnUnreachable(*id);
      } else {
        engine_->OnFrame(*id, std::move(inbound));
      }
    }
  }

  // ---- on nats.c's threads

  // Frames of calls that run. By a thread of nats.c's, because a synchronous subscription would not
  // say of which call the peer is gone.
  void OnInbox(MessagePtr message) {
    bool first = false;
    {
      const std::scoped_lock lock(mutex_);
      first = arrived_.empty();
      arrived_.push_back(message.release());
    }
    if (first) loop_.Post([self = shared_from_this()] { self->TakeArrived(); });
  }

  void OnDisconnected() {
    loop_.Post([self = shared_from_this()] {
      if (self->engine_ == nullptr) return;
      self->engine_->CancelStreams(
          absl::CancelledError("the connection to NATS, which carried the stream, was lost"));
    });
  }

  const Nats options_;
  Loop& loop_;
  std::atomic<const HandlerRegistry*> handlers_{nullptr};
  std::unique_ptr<Routes> routes_;
  std::shared_ptr<Connection> connection_;
  std::string inbox_;
  std::shared_ptr<Connection::Subscription> inbox_subscription_;
  std::vector<Subscription> subscriptions_;
  std::unique_ptr<Discovery> discovery_;
  std::unique_ptr<MessageServer> engine_;
  std::mutex mutex_;
  std::vector<natsMsg*> arrived_;  // guarded by mutex_
};

class NatsServer final : public ServerTransport {
 public:
  explicit NatsServer(Nats options) : options_(std::move(options)) {}
  ~NatsServer() override { Stop(); }

  std::string_view name() const noexcept override { return "nats"; }

  absl::Status Start(TransportHost& host) override {
    if (absl::Status checked = CheckNatsOptions(options_); !checked.ok()) return checked;
    if (!workers_.empty()) {
      return absl::FailedPreconditionError("this listener was started before");
    }
    const Deadline give_up = steady_clock::now() + options_.start_timeout;
    LoopPool& loops = host.loops();
    absl::Status status;
    for (std::size_t i = 0; i < options_.connections && status.ok(); ++i) {
      workers_.push_back(std::make_shared<Worker>(options_, loops[i % loops.size()]));
      Worker& worker = *workers_.back();
      status = worker.Connect(give_up);
      if (status.ok()) {
        connected_ = workers_.size();
        std::function<StatsSnapshot()> stats;
        if (options_.discovery && i == 0) stats = [&host] { return host.Stats(); };
        status = worker.Subscribe(host.handlers(), std::move(stats), [this] {
          const std::scoped_lock lock(mutex_);
          idle_.notify_all();
        });
      }
      if (status.ok()) status = worker.Confirm();
    }
    if (!status.ok()) {
      Stop();
      return status;
    }
    endpoint_ = workers_.front()->url();
    if (!options_.prefix.empty()) absl::StrAppend(&endpoint_, "/", options_.prefix);
    return absl::OkStatus();
  }

  std::string endpoint() const override { return endpoint_; }

  void StopIntake() noexcept override {
    if (std::exchange(intake_stopped_, true)) return;
    for (std::size_t i = 0; i < connected_; ++i) workers_[i]->StopIntake();
  }

  std::size_t Drain(Deadline deadline) noexcept override {
    StopIntake();
    for (std::size_t i = 0; i < connected_; ++i) workers_[i]->AwaitIntake(deadline);
    std::size_t left = 0;
    if (!WaitIdle(deadline)) {
      left = in_flight();
      CancelAll();
    }
    for (std::size_t i = 0; i < connected_; ++i) workers_[i]->FlushQuietly();
    return left;
  }

  void Stop() noexcept override {
    if (connected_ != 0) {
      StopIntake();
      if (in_flight() != 0) {
        CancelAll();
        for (std::size_t i = 0; i < connected_; ++i) workers_[i]->FlushQuietly();
        if (const std::size_t left = in_flight(); left != 0) {
          Log().Error(
              "handlers have not ended although their calls were cancelled; they are left behind. "
              "Look for an await without cancellation.",
              {{"calls", left}});
        }
      }
    }
    for (std::size_t i = 0; i < connected_; ++i) workers_[i]->Close();
    connected_ = 0;
    workers_.clear();
  }

 private:
  [[nodiscard]] std::size_t in_flight() const noexcept {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < connected_; ++i) sum += workers_[i]->in_flight();
    return sum;
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
    for (std::size_t i = 0; i < connected_; ++i) {
      workers_[i]->OnLoop([&](MessageServer& engine) { engine.CancelAll(reason); });
    }
    if (WaitIdle(steady_clock::now() + kUnwind)) return;
    for (std::size_t i = 0; i < connected_; ++i) {
      workers_[i]->OnLoop([&](MessageServer& engine) { engine.AnswerForAll(reason); });
    }
  }

  const Nats options_;
  std::vector<std::shared_ptr<Worker>> workers_;
  std::size_t connected_ = 0;  // the first so many of them
  std::string endpoint_;
  bool intake_stopped_ = false;
  std::mutex mutex_;
  std::condition_variable idle_;
};

}  // namespace
}  // namespace nats_adapter

std::unique_ptr<ServerTransport> MakeServerTransport(const Nats& options) {
  return std::make_unique<nats_adapter::NatsServer>(options);
}

}  // namespace rookery
