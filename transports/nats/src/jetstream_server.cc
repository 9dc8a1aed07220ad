// The worker on JetStream: durable pull consumers, one for each event, that the loop reads, and the
// engine that runs the handlers.
#include <nats/nats.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "connection.h"
#include "jetstream_api.h"
#include "options.h"
#include "rookery/platform/log.h"
#include "rookery/rpc/handler.h"
#include "rookery/rpc/transport.h"
#include "rookery/rpc/worker_engine.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/transports/jetstream.h"
#include "runtime/abseil_strings.h"

namespace rookery {
namespace nats_adapter {
namespace {

using internal::Abs;
using internal::Std;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// How long the NATS server keeps a pull, and how often it says meanwhile that it does.
constexpr milliseconds kPullExpires{30'000};
constexpr milliseconds kPullHeartbeat{2'000};
// After so many of these in silence a pull is taken for lost.
constexpr int kHeartbeatsMissed = 3;
constexpr milliseconds kTick{500};
constexpr milliseconds kConfirm{5'000};
constexpr milliseconds kUnwind{1'000};
constexpr milliseconds kDeadLetterTimeout{5'000};
// Settlements that could not be sent, for when there is a connection again.
constexpr std::size_t kMostUnsent = 65'536;

Logger Log() { return Logger::Default().Named("jetstream"); }

milliseconds Until(Deadline deadline, milliseconds most) {
  if (deadline == kNoDeadline) return most;
  const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
  return std::clamp(left, milliseconds(1), most);
}

// A consumer's name has no dots and wildcards.
std::string ConsumerName(const std::string& durable, std::string_view subject) {
  std::string name = absl::StrCat(durable, "_", Abs(subject));
  for (char& c : name) {
    if (c == '.') c = '_';
    if (c == '*') c = '-';
    if (c == '>') c = '+';
  }
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

// What the NATS server says of a message it hands out, in the subject that settles it:
// $JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE.CONSUMER_SEQUENCE.NANOS.PENDING, from 2.9 on possibly
// with a domain and an account's hash before the stream, and more behind.
struct AckSubject {
  std::string_view stream;  // as `nanos`, of the subject
  int deliveries = 1;
  std::uint64_t sequence = 0;
  std::string_view nanos;
};
bool ParseAck(std::string_view reply, AckSubject* ack) {
  absl::InlinedVector<std::string_view, 13> parts;
  for (const absl::string_view part : absl::StrSplit(Abs(reply), '.')) parts.push_back(Std(part));
  const std::size_t first = parts.size() == 9 ? 2 : 4;
  if (parts.size() < 9 || parts.size() == 10 || parts[0] != "$JS" || parts[1] != "ACK")
    return false;
  ack->stream = parts[first];
  ack->nanos = parts[first + 5];
  return absl::SimpleAtoi(Abs(parts[first + 2]), &ack->deliveries) &&
         absl::SimpleAtoi(Abs(parts[first + 3]), &ack->sequence);
}

// One durable consumer, and what was asked of it. On the loop.
struct Puller {
  std::string subject;  // of the event
  std::string consumer;
  const Handler* handler = nullptr;
  std::string inbox;  // answers to pulls: INBOX.PULL
  std::shared_ptr<Connection::Subscription> subscription;
  std::uint64_t last_pull = 0;
  std::size_t asked = 0;  // and not come yet
  std::shared_ptr<std::atomic<std::size_t>> held = std::make_shared<std::atomic<std::size_t>>(0);
  Deadline heard = Deadline::min();
  Deadline expires = Deadline::min();
  bool broken = false;  // being repaired
};

class AckReceipt final : public WorkerMessage::Receipt {
 public:
  AckReceipt(const char* subject, const char* reply, std::shared_ptr<std::atomic<std::size_t>> held)
      : ack(reply), subject_(subject), held_(std::move(held)) {
    held_->fetch_add(1);
  }
  ~AckReceipt() override { held_->fetch_sub(1); }
  std::string Origin() const override {
    AckSubject place;
    ParseAck(ack, &place);
    return absl::StrCat(Abs(place.stream), "/", subject_, "#", place.sequence);
  }
  // The same for each attempt to write it, so that the stream of dead letters knows it again.
  std::string DeadLetterId() const {
    AckSubject place;
    ParseAck(ack, &place);
    return absl::StrCat("dead-", Abs(place.stream), "-", place.sequence, "-", Abs(place.nanos));
  }
  const std::string ack;

 private:
  const std::string subject_;
  const std::shared_ptr<std::atomic<std::size_t>> held_;
};

class JsWorker final : public WorkerSource, public std::enable_shared_from_this<JsWorker> {
 public:
  JsWorker(const JetStream& options, Loop& loop) : options_(options), loop_(loop), tick_(this) {}
  // ---- start, on the application's thread

  absl::Status Connect(Deadline give_up) {
    return WaitForNats(options_.nats, give_up, [this] {
      Connection::Events events;
      events.on_read = [worker = weak_from_this()] {
        if (const auto self = worker.lock()) self->OnRead();
      };
      events.on_disconnected = [worker = weak_from_this()] {
        if (const auto self = worker.lock()) self->Later(&JsWorker::OnDisconnected);
      };
      events.on_reconnected = [worker = weak_from_this()] {
        if (const auto self = worker.lock()) self->Later(&JsWorker::OnReconnected);
      };
      auto opened = JsClient::Open(options_.nats, loop_, /*background=*/false, std::move(events));
      if (opened.ok()) client_ = *std::move(opened);
      return opened.status();
    });
  }

  absl::Status FindEvents(const HandlerRegistry& registry) {
    const std::string durable =
        options_.durable.empty() ? QueueOf(options_.nats) : options_.durable;
    std::vector<std::string> faults;
    std::vector<std::string> missing = options_.events;
    for (const Handler* const handler : registry.all()) {
      const MethodDescriptor& method = handler->descriptor();
      if (method.kind != MethodKind::kEvent) continue;
      Nats plain;
      const std::string bare = SubjectOf(plain, method);
      if (!options_.events.empty()) {
        if (std::find(options_.events.begin(), options_.events.end(), bare) ==
            options_.events.end()) {
          continue;
        }
        missing.erase(std::remove(missing.begin(), missing.end(), bare), missing.end());
      }
      auto puller = std::make_shared<Puller>();
      puller->subject = SubjectOf(options_.nats, method);
      if (absl::Status checked = CheckSubject(puller->subject, /*wildcards=*/true); !checked.ok()) {
        faults.emplace_back(checked.message());
      }
      if (std::any_of(pullers_.begin(), pullers_.end(),
                      [&](const auto& other) { return other->subject == puller->subject; })) {
        continue;
      }
      puller->consumer = ConsumerName(durable, bare);
      // Several handlers of one event are found as one.
      const Handler* const found = registry.Find(bare);
      puller->handler = found == nullptr ? handler : found;
      if (absl::Status checked = WorkerEngine::Check(*puller->handler, options_.policy);
          !checked.ok()) {
        faults.emplace_back(checked.message());
      }
      pullers_.push_back(std::move(puller));
    }
    for (const std::string& event : missing) {
      faults.push_back(absl::StrCat("JetStream::events names ", event, ", which nobody handles"));
    }
    if (pullers_.empty() && faults.empty()) {
      faults.emplace_back(
          "no controller handles an event: declare one with (rookery.event) or "
          "controller.Event(...)");
    }
    if (faults.empty()) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrJoin(faults, "; "));
  }

  // The streams and consumers are there, as the options say.
  Task<absl::Status> SetUp() {
    StreamConfig config = options_.config;
    if (config.subjects.empty()) {
      for (const auto& puller : pullers_) config.subjects.push_back(puller->subject);
    }
    Task<absl::Status> stream = client_->SetUpStream(options_.stream, options_.setup, config);
    absl::Status status = co_await std::move(stream);
    if (!status.ok()) co_return std::move(status);
    if (!options_.dead_letter_stream.empty()) {
      StreamConfig dead;
      dead.subjects = {absl::StrCat(Prefixed(options_.nats, options_.dead_letter_prefix), ".>")};
      const StreamSetup setup =
          options_.setup == StreamSetup::kCheck ? StreamSetup::kCheck : StreamSetup::kUpdate;
      Task<absl::Status> letters = client_->SetUpStream(options_.dead_letter_stream, setup, dead);
      status = co_await std::move(letters);
      if (!status.ok()) co_return std::move(status);
    }
    for (std::size_t i = 0; i < pullers_.size(); ++i) {
      Task<absl::Status> consumer = SetUpConsumer(*pullers_[i]);
      status = co_await std::move(consumer);
      if (!status.ok()) co_return std::move(status);
    }
    co_return absl::OkStatus();
  }

  // On the loop, which reads already.
  absl::Status Begin(const HandlerRegistry& registry, std::function<void()> on_idle) {
    absl::Status status;
    OnLoop([&] {
      WorkerEngine::Options engine;
      engine.transport = "jetstream";
      engine.name =
          absl::StrCat(options_.stream, "/",
                       options_.durable.empty() ? QueueOf(options_.nats) : options_.durable);
      engine.max_concurrency = options_.concurrency;
      engine.max_held = options_.prefetch;
      engine.max_receive_bytes = options_.nats.max_receive_bytes;
      engine.policy = options_.policy;
      engine.keep_alive = std::max(options_.ack_wait / 3, milliseconds(1));
      engine.dedupe_window = options_.dedupe_window;
      engine.stuck_after = options_.stuck_after;
      engine_ = std::make_unique<WorkerEngine>(loop_, registry, *this, std::move(engine));
      engine_->set_on_idle(std::move(on_idle));
      for (const auto& puller : pullers_) {
        puller->inbox = NewInbox(options_.nats);
        const std::string all = absl::StrCat(puller->inbox, "*");
        auto made = connection().Subscribe(all, "");
        if (!made.ok()) {
          status = made.status();
          return;
        }
        puller->subscription = *std::move(made);
      }
      Refill();
      ArmTick();
    });
    return status;
  }

  // ---- the end, on the application's thread

  void StopIntake() noexcept {
    OnLoop([this] {
      stopping_ = true;
      for (const auto& puller : pullers_) {
        if (puller->subscription != nullptr) puller->subscription->Drain(kConfirm);
      }
    });
  }
  void AwaitIntake(Deadline deadline) noexcept {
    // The server answers in order: what it had handed out to us comes before the answer.
    if (connection().Ready().ok()) {
      connection().Flush(Until(deadline, kConfirm)).IgnoreError();
    }
    OnLoop([this] {
      OnRead();
      if (engine_ != nullptr) engine_->StopIntake();
    });
  }
  void CancelAll() noexcept {
    OnLoop([this] {
      if (engine_ != nullptr) {
        engine_->CancelAll(absl::UnavailableError("the worker is shutting down"));
      }
    });
  }
  void FlushQuietly() noexcept {
    absl::Status flushed = connection().Ready();
    if (flushed.ok()) flushed = connection().Flush(kUnwind);
    if (!flushed.ok()) {
      Log().Warn("the last settlements may not have left: their messages come again",
                 {{"why", flushed.message()}});
    }
  }
  void Close() noexcept {
    if (client_ == nullptr) return;
    OnLoop([this] {
      closed_ = true;
      idle_ = nullptr;
      loop_.Disarm(&tick_);
      root_->cancel_source().Cancel(absl::UnavailableError("the worker is shutting down"));
      const std::scoped_lock lock(engine_mutex_);
      engine_.reset();
    });
    client_->Close();
    // Tasks that waited for the server, or for their time, have failed by now, and end on the loop.
    for (int i = 0; i < 1'000 && tasks_.load() > 0; ++i) {
      OnLoop([] {});
      std::this_thread::sleep_for(milliseconds(1));
    }
  }

  [[nodiscard]] std::size_t held() const noexcept {
    const std::scoped_lock lock(engine_mutex_);
    return engine_ == nullptr ? 0 : engine_->held() + acks_under_way_.load();
  }
  [[nodiscard]] std::string url() const { return client_->connection().url(); }
  [[nodiscard]] absl::Status CheckHealth() const {
    {
      const std::scoped_lock lock(engine_mutex_);
      if (engine_ != nullptr) {
        if (absl::Status status = engine_->Health(); !status.ok()) return status;
      }
    }
    if (absl::Status status = client_->connection().Ready(); !status.ok()) return status;
    const std::scoped_lock lock(health_mutex_);
    return trouble_;
  }
  void AddStats(StatsSnapshot* stats) const {
    const std::scoped_lock lock(engine_mutex_);
    if (engine_ != nullptr) stats->workers.push_back(engine_->Stats());
  }

  // ---- WorkerSource, on the loop

  absl::Status Settle(WorkerMessage& message, Settlement how, milliseconds delay) override {
    const std::string& ack = static_cast<AckReceipt&>(*message.receipt).ack;
    std::string word = "+ACK";
    if (how == Settlement::kDead) word = "+TERM";
    if (how == Settlement::kReturn) {
      word = delay.count() > 0 ? absl::StrCat("-NAK {\"delay\":", Nanos(delay), "}") : "-NAK";
    }
    if (options_.confirm_acks && how != Settlement::kReturn) {
      acks_under_way_.fetch_add(1);
      Go(ConfirmAck(ack, std::move(word)));
      return absl::OkStatus();
    }
    return Say(ack, std::move(word));
  }

  void WriteDeadLetter(WorkerMessage& message, const DeadLetterCause& cause,
                       std::function<void(absl::Status)> done) override {
    // Views of the message, which stays until `done`.
    auto letter = std::make_shared<Letter>();
    letter->subject = absl::StrCat(Prefixed(options_.nats, options_.dead_letter_prefix), ".",
                                   options_.stream, ".", Abs(message.subject));
    letter->out.to = letter->subject;
    letter->id = static_cast<AckReceipt&>(*message.receipt).DeadLetterId();
    letter->out.Add("Nats-Msg-Id", letter->id);
    AddDeadLetter(message, cause, &letter->out);
    letter->done = std::move(done);
    Go(SendLetter(std::move(letter)));
  }

  void KeepAlive(WorkerMessage& message) override {
    if (connection().Ready().ok()) {
      Say(static_cast<AckReceipt&>(*message.receipt).ack, "+WPI").IgnoreError();
    }
  }
  bool can_delay() const noexcept override { return true; }
  void OnRoom() override {
    if (std::exchange(refill_posted_, true)) return;
    Later(&JsWorker::OnRefill);
  }
  void OnTrouble(std::string_view what, const WorkerMessage& message,
                 const absl::Status& why) override {
    Log().Warn(
        absl::StrCat("a message ", Abs(what)),
        {{"message", message.receipt->Origin()}, {"id", message.id}, {"why", why.ToString()}});
  }

 private:
  struct Letter {
    std::string subject;
    std::string id;
    OutboundMessage out;
    std::function<void(absl::Status)> done;
  };
  struct Tick final : LoopTimer {
    explicit Tick(JsWorker* owner) noexcept
        : LoopTimer([](LoopTimer* self) noexcept {
            const auto keep = static_cast<Tick*>(self)->worker->shared_from_this();
            keep->OnTick();
          }),
          worker(owner) {}
    JsWorker* const worker;
  };

  [[nodiscard]] Connection& connection() noexcept { return client_->connection(); }

  template <class F>
  void OnLoop(F act) noexcept {
    const auto done = std::make_shared<std::promise<void>>();
    loop_.Post([&, done] {
      act();
      done->set_value();
    });
    done->get_future().wait();
  }
  void Later(void (JsWorker::*act)()) {
    loop_.Post([self = shared_from_this(), act] {
      if (!self->closed_) (self.get()->*act)();
    });
  }
  // Runs a task of the worker's own, in no call's context; it is cancelled when the worker closes.
  void Go(Task<void> task) {
    const ContextScope own(root_.get());
    Spawn(Counted(shared_from_this(), std::move(task))).Detach();
  }
  static Task<void> Counted(std::shared_ptr<JsWorker> self, Task<void> task) {
    self->tasks_.fetch_add(1);
    const absl::Status status = co_await AsStatusOr(std::move(task));
    self->tasks_.fetch_sub(1);
    if (!status.ok() && !self->closed_) {
      Log().Error("a task of the worker failed", {{"why", status.message()}});
    }
  }

  // ---- consumers

  Task<absl::Status> SetUpConsumer(Puller& puller) {
    const std::string where = absl::StrCat(options_.stream, ".", puller.consumer);
    Task<Json> ask = client_->Api(absl::StrCat("CONSUMER.INFO.", where), "");
    absl::StatusOr<Json> info = co_await AsStatusOr(std::move(ask));
    std::string deliver = options_.from_beginning ? "all" : "new";
    if (info.ok()) {
      const Json& has = JsonObject(*info, "config");
      std::vector<std::string> faults;
      if (!JsonText(has, "deliver_subject").empty()) faults.emplace_back("it is a push consumer");
      if (JsonText(has, "ack_policy") != "explicit") {
        faults.push_back(absl::StrCat("its ack_policy is ", JsonText(has, "ack_policy"),
                                      " and should be explicit"));
      }
      const std::string filter = JsonText(has, "filter_subject");
      if (filter != puller.subject && !filter.empty()) {
        faults.push_back(
            absl::StrCat("its filter_subject is ", filter, " and should be ", puller.subject));
      }
      if (!faults.empty()) {
        co_return absl::FailedPreconditionError(
            absl::StrCat("the consumer ", where, " is not ours: ", absl::StrJoin(faults, "; "),
                         ". Delete it, or give JetStream::durable another name"));
      }
      const bool same =
          JsonNumber(has, "ack_wait") == static_cast<double>(Nanos(options_.ack_wait)) &&
          JsonNumber(has, "max_ack_pending") == static_cast<double>(options_.max_ack_pending) &&
          JsonNumber(has, "max_deliver") <= 0;
      if (same) co_return absl::OkStatus();
      deliver = JsonText(has, "deliver_policy");
    } else if (info.status().code() != absl::StatusCode::kNotFound) {
      co_return info.status();
    }
    // The limit of deliveries is the engine's, which writes a dead letter; the server's would leave
    // the message lie.
    std::string body = absl::StrCat(
        "{\"stream_name\":", Quoted(options_.stream),
        ",\"config\":{\"durable_name\":", Quoted(puller.consumer),
        ",\"deliver_policy\":", Quoted(deliver),
        ",\"ack_policy\":\"explicit\",\"ack_wait\":", Nanos(options_.ack_wait),
        ",\"max_deliver\":-1,\"filter_subject\":", Quoted(puller.subject),
        ",\"replay_policy\":\"instant\",\"max_ack_pending\":", options_.max_ack_pending, "}}");
    Task<Json> make =
        client_->Api(absl::StrCat("CONSUMER.DURABLE.CREATE.", where), std::move(body));
    absl::StatusOr<Json> made = co_await AsStatusOr(std::move(make));
    co_return made.status();
  }

  // Something is wrong with it: looks until it is as it should be, and says so meanwhile.
  Task<void> Repair(std::shared_ptr<Puller> puller, absl::Status why) {
    milliseconds wait = options_.nats.reconnect_wait;
    Log().Error("a consumer does not answer; trying again",
                {{"consumer", puller->consumer}, {"why", why.message()}});
    while (!closed_ && !stopping_) {
      {
        const std::scoped_lock lock(health_mutex_);
        trouble_ = absl::UnavailableError(
            absl::StrCat("the consumer ", puller->consumer, ": ", why.message()));
      }
      co_await Sleep(wait);
      wait = std::min(wait * 2, options_.nats.max_reconnect_wait);
      if (closed_ || stopping_) break;
      Task<absl::Status> again = SetUp();
      absl::StatusOr<absl::Status> set_up = co_await AsStatusOr(std::move(again));
      why = set_up.ok() ? *set_up : set_up.status();
      if (why.ok()) break;
    }
    puller->broken = false;
    if (closed_) co_return;
    const bool all_well = std::none_of(pullers_.begin(), pullers_.end(),
                                       [](const auto& each) { return each->broken; });
    if (all_well && why.ok()) {
      const std::scoped_lock lock(health_mutex_);
      trouble_ = absl::OkStatus();
    }
    if (why.ok()) Log().Info("a consumer answers again", {{"consumer", puller->consumer}});
    Refill();
  }
  void Broken(const std::shared_ptr<Puller>& puller, absl::Status why) {
    puller->asked = 0;
    if (puller->broken || stopping_ || closed_) return;
    puller->broken = true;
    Go(Repair(puller, std::move(why)));
  }

  // ---- pulling

  void OnRefill() {
    refill_posted_ = false;
    Refill();
  }
  void Refill() {
    if (stopping_ || closed_ || engine_ == nullptr || !connection().Ready().ok()) return;
    // Each has its share, so that one with much to do does not starve the others, nor idle ones
    // that wait for their next event hold what it could use.
    const std::size_t share = std::max<std::size_t>(1, options_.prefetch / pullers_.size());
    for (const auto& puller : pullers_) {
      const std::size_t taken = puller->asked + puller->held->load();
      if (puller->broken || taken >= share) continue;
      const std::size_t want = share - taken;
      // Many small pulls cost more than one.
      if (puller->asked > 0 && want < std::max<std::size_t>(1, share / 2)) continue;
      if (puller->asked == 0 && puller->held->load() > 0 &&
          want < std::max<std::size_t>(1, share / 4)) {
        continue;
      }
      Pull(*puller, want);
    }
  }
  void Pull(Puller& puller, std::size_t count) {
    const std::string to =
        absl::StrCat("$JS.API.CONSUMER.MSG.NEXT.", options_.stream, ".", puller.consumer);
    std::string reply = puller.inbox;
    AppendBase62(&reply, ++puller.last_pull);
    const std::string body =
        absl::StrCat("{\"batch\":", count, ",\"expires\":", Nanos(kPullExpires),
                     ",\"idle_heartbeat\":", Nanos(kPullHeartbeat), "}");
    OutboundMessage out;
    out.to = to;
    out.reply_to = reply;
    out.body = body;
    if (!connection().Publish(out).ok()) return;
    puller.asked += count;
    puller.heard = loop_.Now();
    puller.expires = loop_.Now() + kPullExpires;
  }

  void OnRead() {
    if (engine_ == nullptr) return;
    for (const auto& puller : pullers_) {
      if (puller->subscription != nullptr) Take(puller);
    }
    if (!std::exchange(refill_posted_, true)) Later(&JsWorker::OnRefill);
  }

  void Take(const std::shared_ptr<Puller>& puller) {
    for (;;) {
      bool nobody = false;
      MessagePtr message = puller->subscription->Next(&nobody);
      if (nobody) {
        Broken(puller, absl::UnavailableError(
                           "nobody answers: the consumer or its stream is gone, or JetStream is "
                           "not up yet"));
        continue;
      }
      if (message == nullptr) return;
      natsMsg* const raw = message.get();
      puller->heard = loop_.Now();
      if (absl::StartsWith(natsMsg_GetSubject(raw), puller->inbox)) {
        OnWord(puller, raw);
      } else {
        OnMessage(*puller, std::move(message));
      }
    }
  }

  // The server's own word about a pull.
  void OnWord(const std::shared_ptr<Puller>& puller, natsMsg* raw) {
    const auto header = [raw](const char* name) {
      const char* value = nullptr;
      return natsMsgHeader_Get(raw, name, &value) == NATS_OK && value != nullptr
                 ? std::string(value)
                 : std::string();
    };
    const std::string code = header("Status");
    if (code == "100") return;  // still there
    std::size_t left = 0;
    // What it will not bring any more. Older servers do not say.
    if (absl::SimpleAtoi(header("Nats-Pending-Messages"), &left)) {
      puller->asked -= std::min(puller->asked, left);
    } else {
      puller->asked = 0;
    }
    if (code == "404" || code == "408") return;
    const std::string text = header("Description");
    if (code == "409" && !absl::StrContains(text, "Deleted") &&
        !absl::StrContains(text, "push based")) {
      return;  // leadership has changed, the server shuts down, ...: the next pull finds it
    }
    Broken(puller, absl::UnavailableError(absl::StrCat(text, " (", code, ")")));
  }

  void OnMessage(Puller& puller, MessagePtr message) {
    if (puller.asked > 0) --puller.asked;
    const char* const subject = natsMsg_GetSubject(message.get());
    const char* const reply = natsMsg_GetReply(message.get());
    AckSubject ack;
    if (reply == nullptr || !ParseAck(reply, &ack)) {
      Log().Warn("a message that is no stream's came to a consumer's inbox, and was dropped",
                 {{"subject", subject}});
      return;
    }
    WorkerMessage work;
    work.receipt = std::make_unique<AckReceipt>(subject, reply, puller.held);
    work.position.offset = ack.sequence;
    work.deliveries = ack.deliveries;
    work.subject = subject;
    work.message = ToInbound(std::move(message));
    if (const auto id = work.message.Find("Nats-Msg-Id")) work.id = *id;
    engine_->Deliver(puller.handler, std::move(work));
  }

  void ArmTick() { loop_.Arm(&tick_, loop_.Now() + kTick); }
  void OnTick() {
    if (closed_) return;
    ArmTick();
    if (stopping_ || !connection().Ready().ok()) return;
    const Deadline now = loop_.Now();
    for (const auto& puller : pullers_) {
      if (puller->asked == 0 || puller->broken) continue;
      if (now - puller->heard > kPullHeartbeat * kHeartbeatsMissed) {
        Broken(puller, absl::UnavailableError("it has been silent for too long"));
      } else if (now > puller->expires + kPullHeartbeat) {
        puller->asked = 0;  // its end was lost
      }
    }
    Refill();
  }

  void OnDisconnected() {
    for (const auto& puller : pullers_) puller->asked = 0;
  }
  void OnReconnected() {
    std::deque<std::pair<std::string, std::string>> unsent;
    unsent.swap(unsent_);
    for (auto& [ack, word] : unsent) Say(ack, std::move(word)).IgnoreError();
    // What we hold is still ours: say so before the server hands it out again.
    Refill();
  }

  // ---- settling

  absl::Status Say(const std::string& ack, std::string word) {
    absl::Status sent = connection().Ready();
    if (sent.ok()) {
      OutboundMessage out;
      out.to = ack;
      out.body = word;
      sent = connection().Publish(out);
    }
    if (!sent.ok() && word != "+WPI" && unsent_.size() < kMostUnsent) {
      unsent_.emplace_back(ack, std::move(word));
    }
    return sent;
  }

  Task<void> ConfirmAck(std::string ack, std::string word) {
    for (int i = 0; i < 3; ++i) {
      OutboundMessage out;
      out.to = ack;
      out.body = word;
      Task<InboundMessage> ask = client_->Request(&out, kConfirm);
      const absl::StatusOr<InboundMessage> confirmed = co_await AsStatusOr(std::move(ask));
      if (confirmed.ok() || closed_) break;
      Log().Warn("a settlement was not confirmed", {{"why", confirmed.status().message()}});
      if (!connection().Ready().ok()) {
        Say(ack, std::move(word)).IgnoreError();
        break;
      }
    }
    acks_under_way_.fetch_sub(1);
    if (idle_ && held() == 0) idle_();
  }

  Task<void> SendLetter(std::shared_ptr<Letter> letter) {
    Task<Json> publish = client_->Publish(&letter->out, kDeadLetterTimeout);
    const absl::StatusOr<Json> stored = co_await AsStatusOr(std::move(publish));
    if (closed_) co_return;
    letter->done(
        stored.ok() ? absl::OkStatus()
                    : absl::Status(stored.status().code(),
                                   absl::StrCat(letter->subject, ": ", stored.status().message())));
  }

 public:
  void set_on_idle(std::function<void()> idle) { idle_ = std::move(idle); }

 private:
  const JetStream options_;
  Loop& loop_;
  std::shared_ptr<JsClient> client_;
  std::vector<std::shared_ptr<Puller>> pullers_;
  std::unique_ptr<WorkerEngine> engine_;  // changed on the loop, with engine_mutex_
  mutable std::mutex engine_mutex_;
  std::function<void()> idle_;  // on the loop
  const ContextRef root_ = ContextRef::Adopt(Context::NewChild(nullptr));
  Tick tick_;
  std::deque<std::pair<std::string, std::string>> unsent_;
  bool refill_posted_ = false;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> closed_{false};
  std::atomic<std::size_t> acks_under_way_{0};
  std::atomic<int> tasks_{0};
  mutable std::mutex health_mutex_;
  absl::Status trouble_;  // guarded by health_mutex_
};

class JetStreamServer final : public ServerTransport {
 public:
  explicit JetStreamServer(JetStream options) : options_(std::move(options)) {}
  ~JetStreamServer() override { Stop(); }

  std::string_view name() const noexcept override { return "jetstream"; }

  absl::Status Start(TransportHost& host) override {
    if (absl::Status checked = CheckJetStreamOptions(options_); !checked.ok()) return checked;
    if (worker_ != nullptr) {
      return absl::FailedPreconditionError("this listener was started before");
    }
    const Deadline give_up = steady_clock::now() + options_.nats.start_timeout;
    worker_ = std::make_shared<JsWorker>(options_, host.loops()[0]);
    absl::Status status = worker_->FindEvents(host.handlers());
    if (status.ok()) status = worker_->Connect(give_up);
    milliseconds wait = options_.nats.reconnect_wait;
    while (status.ok()) {
      status = SyncWaitStatus(SetUp());
      // JetStream comes up after the server does.
      if (status.ok() || !absl::IsUnavailable(status) || steady_clock::now() + wait > give_up)
        break;
      std::this_thread::sleep_for(wait);
      wait = std::min(wait * 2, options_.nats.max_reconnect_wait);
      status = absl::OkStatus();
    }
    const auto on_idle = [this] {
      const std::scoped_lock lock(mutex_);
      idle_.notify_all();
    };
    if (status.ok()) {
      worker_->set_on_idle(on_idle);
      status = worker_->Begin(host.handlers(), on_idle);
    }
    if (!status.ok()) {
      Stop();
      return status;
    }
    endpoint_ = absl::StrCat(worker_->url(), "/", options_.stream);
    return absl::OkStatus();
  }

  std::string endpoint() const override { return endpoint_; }
  absl::Status CheckHealth() const override {
    return worker_ == nullptr ? absl::OkStatus() : worker_->CheckHealth();
  }
  void AddStats(StatsSnapshot* stats) const override {
    if (worker_ != nullptr) worker_->AddStats(stats);
  }

  void StopIntake() noexcept override {
    if (worker_ == nullptr || std::exchange(intake_stopped_, true)) return;
    worker_->StopIntake();
  }
  std::size_t Drain(Deadline deadline) noexcept override {
    if (worker_ == nullptr) return 0;
    StopIntake();
    worker_->AwaitIntake(deadline);
    std::size_t left = 0;
    if (!WaitIdle(deadline)) {
      left = worker_->held();
      worker_->CancelAll();
      WaitIdle(steady_clock::now() + kUnwind);
    }
    worker_->FlushQuietly();
    return left;
  }
  void Stop() noexcept override {
    if (worker_ == nullptr) return;
    worker_->Close();
    worker_ = nullptr;
  }

 private:
  Task<void> SetUp() {
    Task<absl::Status> set_up = worker_->SetUp();
    absl::Status status = co_await std::move(set_up);
    if (!status.ok()) co_await Fail(std::move(status));
  }
  bool WaitIdle(Deadline deadline) noexcept {
    std::unique_lock lock(mutex_);
    const auto idle = [this] { return worker_->held() == 0; };
    if (deadline == kNoDeadline) {
      idle_.wait(lock, idle);
      return true;
    }
    return idle_.wait_until(lock, deadline, idle);
  }

  const JetStream options_;
  std::shared_ptr<JsWorker> worker_;
  std::string endpoint_;
  bool intake_stopped_ = false;
  std::mutex mutex_;
  std::condition_variable idle_;
};

}  // namespace
}  // namespace nats_adapter

absl::Status CheckJetStreamOptions(const JetStream& options) {
  std::vector<std::string> faults;
  if (absl::Status nats = CheckNatsOptions(options.nats); !nats.ok()) {
    faults.emplace_back(nats.message());
  }
  const auto name = [&faults](const char* what, const std::string& text) {
    const absl::Status checked = nats_adapter::CheckSubject(text, /*wildcards=*/false);
    if (!checked.ok() || absl::StrContains(text, ".") || absl::StrContains(text, "/")) {
      faults.push_back(absl::StrCat(what, " is \"", text,
                                    "\"; a name has printable ASCII without spaces, dots, slashes "
                                    "and wildcards"));
    }
  };
  name("stream", options.stream);
  if (!options.durable.empty()) name("durable", options.durable);
  if (!options.dead_letter_stream.empty()) name("dead_letter_stream", options.dead_letter_stream);
  name("dead_letter_prefix", options.dead_letter_prefix);
  for (const std::string& subject : options.config.subjects) {
    const absl::Status checked = nats_adapter::CheckSubject(subject, /*wildcards=*/true);
    if (!checked.ok()) faults.push_back(absl::StrCat("config.subjects: ", checked.message()));
  }
  if (options.ack_wait.count() < 10) faults.emplace_back("ack_wait must be at least 10 ms");
  if (options.max_ack_pending < 1) faults.emplace_back("max_ack_pending must be at least 1");
  if (options.concurrency == 0) faults.emplace_back("concurrency must not be 0");
  if (options.prefetch == 0) faults.emplace_back("prefetch must not be 0");
  if (options.ack_timeout.count() <= 0) faults.emplace_back("ack_timeout must be above 0");
  if (options.publish_attempts < 1) faults.emplace_back("publish_attempts must be at least 1");
  if (options.max_pending_events == 0) faults.emplace_back("max_pending_events must not be 0");
  if (absl::Status policy = CheckDeliveryPolicy(options.policy, nullptr); !policy.ok()) {
    faults.push_back(absl::StrCat("policy: ", policy.message()));
  }
  if (faults.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("JetStream \"", options.stream, "\": ", absl::StrJoin(faults, "; ")));
}

std::unique_ptr<ServerTransport> MakeServerTransport(const JetStream& options) {
  return std::make_unique<nats_adapter::JetStreamServer>(options);
}

}  // namespace rookery
