// The listener: consumers whose queues the loops watch, the engine that runs handlers of events,
// and the one that serves calls.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "connection.h"
#include "delivery.h"
#include "options.h"
#include "rookery/platform/log.h"
#include "rookery/rpc/handler.h"
#include "rookery/rpc/message_server.h"
#include "rookery/rpc/transport.h"
#include "rookery/rpc/worker_engine.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/offload.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/spawn.h"
#include "rookery/transports/kafka.h"
#include "routes.h"
#include "runtime/abseil_strings.h"

namespace rookery {
namespace kafka_adapter {

namespace {

using internal::Abs;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

// How often the clock is looked at: settled offsets are handed to librdkafka that often, and it is
// polled however busy the handlers are.
constexpr milliseconds kTick{100};
// How long a loop waits for the last offsets of a partition, in milliseconds.
constexpr int kLastCommit = 2'000;
// How long records may wait in librdkafka for room here before their partitions are paused.
// Pausing throws away what has been fetched, so short shortages are waited out.
constexpr milliseconds kPatience{1'000};
// How long handlers that were cancelled have to end and to answer.
constexpr milliseconds kUnwind{1'000};
// How long leaving the group may take.
constexpr milliseconds kClose{5'000};
constexpr milliseconds kAskOffsets{5'000};
// When partitions that were taken are resumed a second time.
constexpr milliseconds kResumeAgain{1'000};
// When a retry topic refuses: the first pause, doubled up to the most.
constexpr milliseconds kRetryAgain{100};
constexpr milliseconds kMostRetryAgain{10'000};
// A cancellation may come before the request that it is about, by another topic: it is looked at
// again after each of these.
constexpr std::array<milliseconds, 3> kCancelAgain = {milliseconds(50), milliseconds(250),
                                                      milliseconds(1'000)};
constexpr int kTurn = 256;  // records taken before others of the loop have theirs

std::int64_t NowMillis() {
  return std::chrono::duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

// ---- a consumer ---------------------------------------------------------------------------------

class Consumer final : public WorkerSource,
                       public MessageLink,
                       public TransactionHost,
                       public std::enable_shared_from_this<Consumer> {
 public:
  Consumer(const Kafka& options, Loop& loop, const HandlerRegistry& handlers, const Routes& routes)
      : options_(options), loop_(loop), handlers_(handlers), routes_(routes) {}

  // ---- start, on the application's thread

  absl::Status OpenProducer() {
    auto producer = Producer::Open(options_, loop_);
    if (!producer.ok()) return producer.status();
    producer_ = *std::move(producer);
    return absl::OkStatus();
  }
  absl::Status Open(Deadline give_up) {
    absl::StatusOr<ConfPtr> conf = ToConf(options_, Role::kGroup);
    if (!conf.ok()) return conf.status();
    rd_kafka_conf_set_opaque(conf->get(), this);
    rd_kafka_conf_set_rebalance_cb(conf->get(), OnRebalance);
    rd_kafka_conf_set_error_cb(conf->get(), OnError);
    rd_kafka_conf_set_stats_cb(conf->get(), OnStats);
    rd_kafka_conf_set_offset_commit_cb(conf->get(), OnCommit);
    auto handle = OpenHandle(*std::move(conf), RD_KAFKA_CONSUMER);
    if (!handle.ok()) return handle.status();
    handle_ = *std::move(handle);
    rd_kafka_poll_set_consumer(handle_->get());
    queue_ = QueuePtr(rd_kafka_queue_get_consumer(handle_->get()));
    if (!options_.transactional_id.empty() && routes_.has_events()) {
      auto transactor = Transactor::Open(options_, give_up);
      if (!transactor.ok()) return transactor.status();
      transactor_ = *std::move(transactor);
    }
    return absl::OkStatus();
  }

  [[nodiscard]] const std::shared_ptr<Producer>& producer() const noexcept { return producer_; }

  // `on_idle`: on the loop, each time that there may be nothing left to wait for.
  absl::Status Begin(std::function<void()> on_idle, Deadline give_up) {
    idle_ = std::move(on_idle);
    RunOn(loop_, [this] { MakeEngines(); });
    if (routes_.has_requests()) {
      inbox_ = std::make_shared<Inbox>(
          options_, loop_,
          [this](std::string_view topic, const RecordInfo& info, InboundMessage message) {
            OnFrame(topic, info, std::move(message));
          });
      absl::Status opened = inbox_->Open(producer_->handle(), {CancelTopic(options_)}, give_up);
      if (!opened.ok()) return opened;
    }
    if (options_.assign.empty()) {
      const ListPtr subscription = routes_.Subscription();
      absl::Status subscribed =
          ToStatus(rd_kafka_subscribe(handle_->get(), subscription.get()), "the subscription");
      if (!subscribed.ok()) return subscribed;
    } else {
      absl::Status assigned = AssignByHand();
      if (!assigned.ok()) return assigned;
    }
    RunOn(loop_, [this] {
      watch_ = std::make_unique<QueueWatch>(loop_, [this] { Poll(); });
      watch_->Start(queue_.get());
      ArmTick();
    });
    return AwaitAssignment(give_up);
  }

  // ---- the end, on the application's thread

  void StopIntake() noexcept {
    RunOn(loop_, [this] {
      stopping_ = true;
      PauseAll();
      DropDelayed();
      if (engine_ != nullptr) engine_->StopIntake();
    });
  }
  void CancelAll(const absl::Status& reason) noexcept {
    RunOn(loop_, [this, &reason] {
      if (engine_ != nullptr) engine_->CancelAll(reason);
      if (calls_ != nullptr) calls_->CancelAll(reason);
    });
  }
  void AnswerForAll(const absl::Status& reason) noexcept {
    RunOn(loop_, [this, &reason] {
      if (calls_ != nullptr) calls_->AnswerForAll(reason);
    });
  }
  void FlushQuietly() noexcept {
    RunOn(loop_, [this] { StoreOffsets(); });
    if (producer_ != nullptr && !producer_->FlushBlocking(kUnwind)) {
      Log().Warn("the last replies may not have left");
    }
  }
  void Close() noexcept {
    RunOn(loop_, [this] {
      closed_ = true;
      idle_ = nullptr;
      loop_.Disarm(&tick_);
      loop_.Disarm(&leave_);
      root_->cancel_source().Cancel(absl::UnavailableError("the worker is shutting down"));
      DropDelayed();
      if (watch_ != nullptr) watch_->Stop();
      StoreOffsets(/*last=*/true);
      // A rebalance that waits for us must not wait for ever.
      Leave();
      parts_.clear();
      last_part_.reset();
      const std::scoped_lock lock(engine_mutex_);
      engine_.reset();
      calls_.reset();
    });
    // Tasks that waited for the brokers, or for their time, have been cancelled.
    for (int i = 0; i < 6'000 && tasks_.load() > 0; ++i) {
      RunOn(loop_, [] {});
      std::this_thread::sleep_for(milliseconds(1));
    }
    LeaveGroup();
    if (inbox_ != nullptr) inbox_->Close();
    if (producer_ != nullptr) producer_->Close();
    queue_.reset();
    handle_.reset();
  }

  // Of any thread.
  [[nodiscard]] std::size_t held() const noexcept {
    const std::scoped_lock lock(engine_mutex_);
    std::size_t sum = retries_under_way_.load();
    if (engine_ != nullptr) sum += engine_->held();
    if (calls_ != nullptr) sum += calls_->in_flight();
    return sum;
  }
  [[nodiscard]] absl::Status CheckHealth() const {
    {
      const std::scoped_lock lock(engine_mutex_);
      if (engine_ != nullptr) {
        if (absl::Status status = engine_->Health(); !status.ok()) return status;
      }
    }
    const std::scoped_lock lock(health_mutex_);
    if (!dead_.ok()) return dead_;
    if (down_) {
      return absl::UnavailableError(
          absl::StrCat("no broker of ", options_.brokers, " can be reached"));
    }
    if (!troubles_.empty()) return troubles_.begin()->second;
    return absl::OkStatus();
  }
  void AddStats(StatsSnapshot* stats, std::string_view name) const {
    const std::scoped_lock lock(engine_mutex_);
    if (engine_ == nullptr || !routes_.has_events()) return;
    WorkerSnapshot mine = engine_->Stats();
    mine.name = std::string(name);
    mine.rebalances = rebalances_.load();
    const std::scoped_lock health(health_mutex_);
    mine.partitions = shown_;
    stats->workers.push_back(std::move(mine));
  }

  // ---- WorkerSource, on the loop

  absl::Status Settle(WorkerMessage& message, Settlement how, milliseconds delay) override {
    auto& receipt = static_cast<RecordReceipt&>(*message.receipt);
    Part& part = *receipt.part;
    if (part.gone) return absl::AbortedError("the partition has gone to another member");
    if (how == Settlement::kReturn) {
      if (stopping_ || closed_ || options_.retry_topics.empty()) {
        part.Drop(receipt.offset);
        CheckLeaving(part);
        return absl::OkStatus();
      }
      ToRetryTopic(message, delay);
      return absl::OkStatus();
    }
    Finish(receipt.part, receipt.offset);
    return absl::OkStatus();
  }

  void WriteDeadLetter(WorkerMessage& message, const DeadLetterCause& cause,
                       std::function<void(absl::Status)> done) override {
    auto letter = std::make_shared<Letter>();
    letter->topic = DeadLetterTopic(options_, message.subject);
    AddDeadLetter(message, cause, &letter->out);
    AddHeaders(letter->out, &letter->record);
    const auto& receipt = static_cast<const RecordReceipt&>(*message.receipt);
    letter->record.topic = letter->topic;
    letter->record.key = receipt.key();
    if (!receipt.tombstone()) letter->record.value = message.message.body;
    absl::Status sent = producer_->Produce(
        letter->record,
        [self = weak_from_this(), letter, done](const absl::Status& status, const KafkaPosition&) {
          const auto alive = self.lock();
          if (alive != nullptr && !alive->closed_) done(status);
        });
    if (!sent.ok()) done(std::move(sent));
  }
  bool Holds(const WorkerMessage& message) const override {
    return !static_cast<const RecordReceipt&>(*message.receipt).part->gone;
  }
  bool can_delay() const noexcept override { return !options_.retry_topics.empty() && !stopping_; }
  void OnRoom() override {
    if (!stalled_ || engine_ == nullptr) return;
    const std::size_t room = engine_->room();
    if (hard_) {
      // A quarter, and no more: what is stuck may hold the rest, and others are to flow.
      if (room >= std::max<std::size_t>(1, options_.prefetch / 4)) ResumeAll();
    } else if (room < std::max<std::size_t>(1, options_.prefetch / 4)) {
      return;
    }
    if (hard_) return;
    stalled_ = false;
    PollLater();
  }
  void OnTrouble(std::string_view what, const WorkerMessage& message,
                 const absl::Status& why) override {
    Log().Warn(absl::StrCat("an event ", Abs(what)),
               {{"event", message.receipt->Origin()}, {"id", message.id}, {"why", why.ToString()}});
  }

  // ---- MessageLink, on the loop

  // On the producer's thread. A line a second says enough of brokers that are away.
  static void AnswerStored(const absl::Status& status, const KafkaPosition& /*at*/) {
    static std::atomic<std::int64_t> told{0};
    if (status.ok()) return;
    const std::int64_t second =
        std::chrono::duration_cast<std::chrono::seconds>(steady_clock::now().time_since_epoch())
            .count();
    if (told.exchange(second) == second) return;
    Log().Warn("an answer was not stored: its caller waits until its deadline",
               {{"why", status.ToString()}});
  }

  absl::Status Send(const OutboundMessage& message) override {
    OutRecord record;
    FillRecord(message, &record);
    return producer_->Produce(record, AnswerStored);
  }
  std::string AddressOf(std::uint64_t id) const override { return inbox_->AddressOf(id); }

  // ---- TransactionHost

  std::shared_ptr<Transactor> transactor() override { return transactor_; }
  std::shared_ptr<Handle> consumer() override { return handle_; }
  Loop& loop() override { return loop_; }
  void GiveUp(const absl::Status& why) override {
    {
      const std::scoped_lock lock(health_mutex_);
      if (!dead_.ok()) return;
      dead_ = why;
    }
    Log().Error("the consumer gives its partitions up", {{"why", why.message()}});
    if (options_.assign.empty()) {
      rd_kafka_unsubscribe(handle_->get());
    } else {
      LoseAll();
      rd_kafka_assign(handle_->get(), nullptr);
    }
  }

 private:
  struct Letter {
    std::string topic;
    OutboundMessage out;
    OutRecord record;
  };
  // An event on its way to a retry topic.
  struct Retry {
    std::string topic;
    std::string origin;
    std::string at;
    std::string attempts;
    WorkerMessage work;
  };
  // An event that has come from a retry topic before its time.
  struct Delayed final : LoopTimer {
    explicit Delayed(Consumer* owner) noexcept
        : LoopTimer([](LoopTimer* self) noexcept {
            auto& due = *static_cast<Delayed*>(self);
            due.consumer->OnDue(due);
          }),
          consumer(owner) {}
    Consumer* const consumer;
    std::shared_ptr<Part> part;
    const Handler* handler = nullptr;
    WorkerMessage work;
  };
  template <void (Consumer::*act)()>
  struct Timer final : LoopTimer {
    explicit Timer(Consumer* owner) noexcept
        : LoopTimer([](LoopTimer* self) noexcept {
            const auto keep = static_cast<Timer*>(self)->consumer->shared_from_this();
            (keep.get()->*act)();
          }),
          consumer(owner) {}
    Consumer* const consumer;
  };

  void MakeEngines() {
    const std::scoped_lock lock(engine_mutex_);
    if (routes_.has_events()) {
      WorkerEngine::Options engine;
      engine.transport = "kafka";
      engine.name = GroupOf(options_);
      engine.max_concurrency = options_.concurrency;
      engine.max_held = options_.prefetch;
      engine.max_receive_bytes = options_.max_receive_bytes;
      engine.max_metadata_bytes = options_.max_metadata_bytes;
      engine.policy = options_.policy;
      engine.dedupe_window = options_.dedupe_window;
      engine.stuck_after = options_.stuck_after;
      engine.event_prefix = std::string(kEventPrefix);
      // An offset in a transaction says that all before it is done.
      engine.order_by_lane =
          options_.order != KafkaOrder::kKey || !options_.transactional_id.empty();
      engine_ = std::make_unique<WorkerEngine>(loop_, handlers_, *this, std::move(engine));
      engine_->set_on_idle([this] { MaybeIdle(); });
    }
    if (routes_.has_requests()) {
      MessageServer::Options calls;
      calls.transport = "kafka";
      calls.max_receive_bytes = options_.max_receive_bytes;
      calls.max_send_bytes = options_.max_send_bytes;
      calls.max_metadata_bytes = options_.max_metadata_bytes;
      calls.max_concurrent_calls = options_.max_concurrent_calls;
      calls.window_bytes = options_.window_bytes;
      calls.keepalive = options_.keepalive;
      calls_ = std::make_unique<MessageServer>(loop_, handlers_, *this, std::move(calls));
      calls_->set_on_idle([this] { MaybeIdle(); });
    }
  }
  void MaybeIdle() {
    if (idle_) idle_();
  }
  // Runs a task of the consumer's own, in no call's context; it is cancelled when it closes.
  void Go(Task<void> task) {
    const ContextScope own(root_.get());
    Spawn(Counted(shared_from_this(), std::move(task))).Detach();
  }
  static Task<void> Counted(std::shared_ptr<Consumer> self, Task<void> task) {
    self->tasks_.fetch_add(1);
    const absl::Status status = co_await AsStatusOr(std::move(task));
    if (!status.ok() && !self->closed_) {
      Log().Error("a task of the consumer failed", {{"why", status.message()}});
    }
    self->tasks_.fetch_sub(1);
  }

  // ---- which partitions are ours

  absl::Status AssignByHand() {
    const ListPtr list = NewList(static_cast<int>(options_.assign.size()));
    for (const KafkaPartition& each : options_.assign) {
      if (routes_.Find(each.topic) == nullptr) {
        return absl::FailedPreconditionError(absl::StrCat(
            "Kafka::assign has the topic ", each.topic, ", whose events nobody handles here"));
      }
      auto* const entry =
          rd_kafka_topic_partition_list_add(list.get(), each.topic.c_str(), each.partition);
      if (each.offset) entry->offset = *each.offset;
    }
    // What has an offset of its own keeps it.
    absl::Status status = FindOffsets(list.get());
    if (!status.ok()) return status;
    RunOn(loop_, [&] { status = Take(list.get(), /*incremental=*/false); });
    return status;
  }

  // Where to begin with partitions that this process sees for the first time. May block for
  // kAskOffsets.
  absl::Status FindOffsets(rd_kafka_topic_partition_list_t* list) {
    const ListPtr times = NewList();
    for (int i = 0; i < list->cnt; ++i) {
      rd_kafka_topic_partition_t& each = list->elems[i];
      if (each.offset >= 0 || !begun_.insert({each.topic, each.partition}).second) continue;
      const Route* const route = routes_.Find(each.topic);
      if (route == nullptr || route->use != Use::kEvent) continue;
      if (options_.start == KafkaStart::kBeginning) each.offset = RD_KAFKA_OFFSET_BEGINNING;
      if (options_.start == KafkaStart::kEnd) each.offset = RD_KAFKA_OFFSET_END;
      if (options_.start == KafkaStart::kTime) {
        rd_kafka_topic_partition_list_add(times.get(), each.topic, each.partition)->offset =
            std::chrono::duration_cast<milliseconds>(options_.start_time.time_since_epoch())
                .count();
      }
    }
    if (times->cnt == 0) return absl::OkStatus();
    absl::Status asked = ToStatus(rd_kafka_offsets_for_times(handle_->get(), times.get(),
                                                             static_cast<int>(kAskOffsets.count())),
                                  "the offsets at Kafka::start_time");
    if (!asked.ok()) return asked;
    for (int i = 0; i < times->cnt; ++i) {
      const rd_kafka_topic_partition_t& found = times->elems[i];
      auto* const entry = rd_kafka_topic_partition_list_find(list, found.topic, found.partition);
      if (entry != nullptr) entry->offset = found.offset;
    }
    return absl::OkStatus();
  }

  static void OnRebalance(rd_kafka_t* client, rd_kafka_resp_err_t what,
                          rd_kafka_topic_partition_list_t* partitions, void* opaque) {
    auto& self = *static_cast<Consumer*>(opaque);
    self.rebalances_.fetch_add(1);
    const bool incremental = std::string_view(rd_kafka_rebalance_protocol(client)) == "COOPERATIVE";
    ListPtr list(rd_kafka_topic_partition_list_copy(partitions));
    if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
      self.OnAssign(std::move(list), incremental);
    } else if (what == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
      self.OnRevoke(std::move(list), incremental);
    } else {
      Log().Warn("the group could not be joined", {{"why", rd_kafka_err2str(what)}});
      if (!self.closed_) self.LoseAll();
      rd_kafka_assign(client, nullptr);
    }
  }

  void OnAssign(ListPtr list, bool incremental) {
    if (closed_) {
      // On its way out, and on the thread that closes: librdkafka only wants an answer.
      if (incremental) {
        TakeError(rd_kafka_incremental_assign(handle_->get(), list.get()), "").IgnoreError();
      } else {
        rd_kafka_assign(handle_->get(), list.get());
      }
      return;
    }
    if (options_.start == KafkaStart::kTime) {
      // Asking takes a round trip, which the loop does not wait for.
      Go(AssignLater(std::move(list), incremental));
      return;
    }
    FindOffsets(list.get()).IgnoreError();
    const absl::Status taken = Take(list.get(), incremental);
    if (!taken.ok()) Log().Error("partitions were not taken", {{"why", taken.message()}});
  }
  Task<void> AssignLater(ListPtr list, bool incremental) {
    Consumer* const self = this;
    rd_kafka_topic_partition_list_t* const raw = list.get();
    auto ask = [self, raw] { return self->FindOffsets(raw); };
    const std::uint64_t before = revocations_;
    const absl::Status asked = co_await Offload(std::move(ask));
    // Taken away again meanwhile.
    if (closed_ || revocations_ != before) co_return;
    if (!asked.ok()) {
      Log().Error("reading begins where the group left off, and not at start_time",
                  {{"why", asked.message()}});
    }
    const absl::Status taken = Take(list.get(), incremental);
    if (!taken.ok()) Log().Error("partitions were not taken", {{"why", taken.message()}});
  }
  absl::Status Take(const rd_kafka_topic_partition_list_t* list, bool incremental) {
    handle_->WillRead(list);
    absl::Status status =
        incremental ? TakeError(rd_kafka_incremental_assign(handle_->get(), list), "assign")
                    : ToStatus(rd_kafka_assign(handle_->get(), list), "assign");
    if (!status.ok()) return status;
    for (int i = 0; i < list->cnt; ++i) {
      const rd_kafka_topic_partition_t& each = list->elems[i];
      auto part = std::make_shared<Part>();
      part->topic = each.topic;
      part->partition = each.partition;
      part->number =
          numbers_.try_emplace({each.topic, each.partition}, numbers_.size() + 1).first->second;
      part->from = handle_;
      part->host = weak_from_this();
      part->route = routes_.Find(each.topic);
      parts_[{each.topic, each.partition}] = part;
    }
    last_part_.reset();
    ResumeTaken(list);
    Show();
    {
      const std::scoped_lock lock(health_mutex_);
      assigned_ = true;
      for (int i = 0; i < list->cnt; ++i) troubles_.erase(list->elems[i].topic);
      has_troubles_ = !troubles_.empty();
    }
    assigned_now_.notify_all();
    return absl::OkStatus();
  }

  absl::Status AwaitAssignment(Deadline give_up) {
    std::unique_lock lock(health_mutex_);
    const bool in_time =
        give_up == kNoDeadline
            ? (assigned_now_.wait(lock, [this] { return assigned_; }), true)
            : assigned_now_.wait_until(lock, give_up, [this] { return assigned_; });
    if (in_time) return absl::OkStatus();
    if (!dead_.ok()) return dead_;
    if (!troubles_.empty()) return troubles_.begin()->second;
    return absl::UnavailableError(absl::StrCat(
        "the group ", GroupOf(options_),
        " has not given us our partitions in time: another member may be rebalancing, or the "
        "coordinator is not up"));
  }

  // Null: not ours. Valid until partitions come or go.
  const std::shared_ptr<Part>& FindPart(const char* topic, std::int32_t partition) {
    if (last_part_ != nullptr && last_part_->partition == partition && last_part_->topic == topic) {
      return last_part_;
    }
    const auto found = parts_.find({topic, partition});
    last_part_ = found == parts_.end() ? nullptr : found->second;
    return last_part_;
  }

  // Revoked: what has begun is finished before the partitions go, as far as the grace allows, so
  // that the next owner does not do it again; what has not begun is the next owner's.
  void OnRevoke(ListPtr list, bool incremental) {
    if (closed_) {
      Unassign(list.get(), incremental);
      return;
    }
    ++revocations_;
    std::vector<std::shared_ptr<Part>> leaving;
    for (int i = 0; i < list->cnt; ++i) {
      const auto found = parts_.find({list->elems[i].topic, list->elems[i].partition});
      if (found != parts_.end()) leaving.push_back(found->second);
    }
    leaving_ = std::move(list);
    leaving_incremental_ = incremental;
    if (rd_kafka_assignment_lost(handle_->get()) != 0) {
      Leave();
      return;
    }
    std::map<const Part*, std::int64_t> last;
    for (const auto& part : leaving) {
      part->leaving = true;
      Pause(*part);
      last[part.get()] = part->last_done();
    }
    if (engine_ != nullptr) {
      engine_->ForEach([&](const WorkerMessage& message, bool started) {
        const auto& receipt = static_cast<const RecordReceipt&>(*message.receipt);
        const auto found = last.find(receipt.part.get());
        if (found != last.end() && started) {
          found->second = std::max(found->second, receipt.offset);
        }
      });
      ForgetIf([&](const RecordReceipt& receipt) {
        const auto found = last.find(receipt.part.get());
        return found != last.end() && receipt.offset > found->second;
      });
    }
    loop_.Arm(&leave_, loop_.Now() + options_.rebalance_grace);
    LeaveIfDone();
  }
  // Lets go of events of which `which` is true, and that have not begun.
  template <class F>
  void ForgetIf(F which) {
    if (engine_ == nullptr) return;
    std::vector<std::pair<std::shared_ptr<Part>, std::int64_t>> gone;
    engine_->ForEach([&](const WorkerMessage& message, bool started) {
      const auto& receipt = static_cast<const RecordReceipt&>(*message.receipt);
      if (!started && which(receipt)) gone.emplace_back(receipt.part, receipt.offset);
    });
    engine_->Forget([&](const WorkerMessage& message) {
      return which(static_cast<const RecordReceipt&>(*message.receipt));
    });
    for (const auto& [part, offset] : gone) part->Drop(offset);
  }
  void CheckLeaving(const Part& part) {
    if (part.leaving && part.held == 0) LeaveIfDone();
  }
  void LeaveIfDone() {
    if (leaving_ == nullptr) return;
    for (const auto& [key, part] : parts_) {
      if (part->leaving && part->held > 0) return;
    }
    // Not inside of librdkafka's callback, nor the engine's.
    if (!std::exchange(leave_posted_, true)) {
      loop_.Post([consumer = weak_from_this()] {
        const auto self = consumer.lock();
        if (self == nullptr || self->closed_) return;
        self->leave_posted_ = false;
        self->Leave();
      });
    }
  }
  void OnLeaveTime() {
    std::size_t left = 0;
    for (const auto& [key, part] : parts_) left += part->leaving ? part->held : 0;
    Log().Warn(
        "partitions go to another member with events that have not ended; they are handled again",
        {{"events", left}});
    Leave();
  }
  // Gives up the partitions of `leaving_`.
  void Leave() {
    if (leaving_ == nullptr) return;
    loop_.Disarm(&leave_);
    StoreOffsets(/*last=*/true);
    const ListPtr list = std::move(leaving_);
    leaving_ = nullptr;
    std::set<const Part*> gone;
    for (int i = 0; i < list->cnt; ++i) {
      const auto found = parts_.find({list->elems[i].topic, list->elems[i].partition});
      if (found == parts_.end()) continue;
      Lose(*found->second);
      gone.insert(found->second.get());
      parts_.erase(found);
    }
    last_part_.reset();
    DropDelayed();
    if (engine_ != nullptr) {
      engine_->Forget([&](const WorkerMessage& message) {
        return gone.contains(static_cast<const RecordReceipt&>(*message.receipt).part.get());
      });
    }
    Unassign(list.get(), leaving_incremental_);
    Show();
    MaybeIdle();
  }
  void Lose(Part& part) {
    part.gone = true;
    if (part.paused) went_paused_.insert({part.topic, part.partition});
  }
  // librdkafka commits what is stored before the partitions go.
  void Unassign(const rd_kafka_topic_partition_list_t* list, bool incremental) {
    const absl::Status left =
        incremental ? TakeError(rd_kafka_incremental_unassign(handle_->get(), list), "unassign")
                    : ToStatus(rd_kafka_assign(handle_->get(), nullptr), "unassign");
    if (!left.ok()) Log().Warn("partitions were not given up", {{"why", left.message()}});
  }
  void LoseAll() {
    ++revocations_;
    std::set<const Part*> gone;
    for (const auto& [key, part] : parts_) {
      Lose(*part);
      gone.insert(part.get());
    }
    parts_.clear();
    last_part_.reset();
    leaving_ = nullptr;
    DropDelayed();
    if (engine_ != nullptr) {
      engine_->Forget([&](const WorkerMessage& message) {
        return gone.contains(static_cast<const RecordReceipt&>(*message.receipt).part.get());
      });
    }
    Show();
  }

  // Leaves the group; the loop reads no more.
  void LeaveGroup() noexcept {
    if (handle_ == nullptr) return;
    rd_kafka_t* const client = handle_->get();
    if (rd_kafka_error_t* const error = rd_kafka_consumer_close_queue(client, queue_.get())) {
      rd_kafka_error_destroy(error);
      return;
    }
    const Deadline until = steady_clock::now() + kClose;
    while (rd_kafka_consumer_closed(client) == 0 && steady_clock::now() < until) {
      const RawMessage late(rd_kafka_consumer_poll(client, 20));
    }
    if (rd_kafka_consumer_closed(client) == 0) {
      Log().Warn("the group was not left in time: it will find out by session_timeout",
                 {{"group", GroupOf(options_)}});
    }
  }

  // ---- pausing

  // Only what is being read already: while librdkafka starts to read a partition on one thread, it
  // may lose one of the two where another pauses or resumes it (librdkafka's issues 2190, 5591).
  void Pause(Part& part) {
    if (part.paused || part.next < 0) return;
    SetPaused(part, true);
  }
  void Resume(Part& part) {
    if (!part.paused || part.leaving || stopping_) return;
    SetPaused(part, false);
  }
  void SetPaused(Part& part, bool paused) {
    part.paused = paused;
    const ListPtr list = NewList();
    rd_kafka_topic_partition_list_add(list.get(), part.topic.c_str(), part.partition);
    if (paused) {
      rd_kafka_pause_partitions(handle_->get(), list.get());
    } else {
      rd_kafka_resume_partitions(handle_->get(), list.get());
    }
  }
  // librdkafka remembers, over an assignment, what was paused in the one before.
  void ResumeTaken(const rd_kafka_topic_partition_list_t* taken) {
    const ListPtr list = NewList();
    for (int i = 0; i < taken->cnt; ++i) {
      const rd_kafka_topic_partition_t& each = taken->elems[i];
      if (!went_paused_.contains({each.topic, each.partition})) continue;
      rd_kafka_topic_partition_list_add(list.get(), each.topic, each.partition);
    }
    if (list->cnt == 0) return;
    rd_kafka_resume_partitions(handle_->get(), list.get());
    resume_again_ = loop_.Now() + kResumeAgain;
  }
  // What nothing has come from since: that first word may be lost, too (see Pause).
  void ResumeAgain() {
    if (went_paused_.empty() || loop_.Now() < resume_again_) return;
    const ListPtr silent = NewList();
    for (const auto& [key, part] : parts_) {
      if (part->leaving || went_paused_.erase(key) == 0 || part->next >= 0) continue;
      rd_kafka_topic_partition_list_add(silent.get(), key.first.c_str(), key.second);
    }
    if (silent->cnt > 0) rd_kafka_resume_partitions(handle_->get(), silent.get());
  }
  void PauseAll() {
    for (const auto& [key, part] : parts_) {
      // Requests are bounded by themselves.
      if (part->route == nullptr || part->route->use != Use::kRequest || stopping_) Pause(*part);
    }
  }
  void ResumeAll() {
    hard_ = false;
    for (const auto& [key, part] : parts_) {
      if (!TooFull(*part, /*paused=*/true)) Resume(*part);
    }
  }
  // With hysteresis: pausing throws away what has been fetched.
  [[nodiscard]] bool TooFull(const Part& part, bool paused) const {
    if (part.waits) return true;
    const std::size_t ahead = part.entries.size();
    if (ahead > (paused ? options_.max_unsettled / 2 : options_.max_unsettled)) return true;
    if (event_parts_ < 2) return false;
    // One may have half of all, and the others together the rest: a batch that one fetch has
    // brought must not keep the keys of the others idle.
    const std::size_t share = std::max<std::size_t>(1, options_.prefetch / 2 / event_parts_);
    const std::size_t room = engine_ == nullptr ? options_.prefetch : engine_->room();
    if (paused) return part.held > share * 3 / 4 && room < options_.prefetch / 4 * 3;
    return part.held > share && room < options_.prefetch / 2;
  }
  void Adjust(Part& part) {
    if (!part.paused && (hard_ || TooFull(part, false))) {
      Pause(part);
    } else if (part.paused && !hard_ && !TooFull(part, true)) {
      Resume(part);
    }
  }

  // ---- reading

  void PollLater() {
    if (std::exchange(poll_posted_, true)) return;
    loop_.Post([consumer = weak_from_this()] {
      const auto self = consumer.lock();
      if (self == nullptr) return;
      self->poll_posted_ = false;
      self->Poll();
    });
  }
  void Poll() {
    if (closed_ || polling_) return;
    polling_ = true;
    int left = kTurn;
    for (; left > 0 && !closed_; --left) {
      if (!hard_ && !stopping_ && engine_ != nullptr && engine_->room() == 0) {
        if (!std::exchange(stalled_, true)) stalled_since_ = loop_.Now();
        break;
      }
      RawMessage raw(rd_kafka_consumer_poll(handle_->get(), 0));
      if (raw == nullptr) break;
      OnRecord(std::move(raw));
    }
    polling_ = false;
    if (left == 0) PollLater();
  }

  void ArmTick() { loop_.Arm(&tick_, loop_.Now() + kTick); }
  void OnTick() {
    if (closed_) return;
    ArmTick();
    if (stalled_ && !hard_) {
      const milliseconds patience = routes_.has_requests() ? milliseconds(0) : kPatience;
      if (loop_.Now() - stalled_since_ >= patience) {
        hard_ = true;
        PauseAll();
      }
    }
    if (leaving_ != nullptr && rd_kafka_assignment_lost(handle_->get()) != 0) Leave();
    ResumeAgain();
    StoreOffsets();
    Show();
    Poll();
  }

  // `last`: before partitions are given up.
  void StoreOffsets(bool last = false) {
    if (transactor_ != nullptr) {
      CommitBetween(last);
      return;
    }
    ListPtr list;
    for (const auto& [key, part] : parts_) {
      if (!std::exchange(part->dirty, false)) continue;
      if (list == nullptr) list = NewList();
      rd_kafka_topic_partition_list_add(list.get(), part->topic.c_str(), part->partition)->offset =
          part->next;
    }
    // Partitions that are not ours any more are somebody else's to store.
    if (list != nullptr && handle_ != nullptr) rd_kafka_offsets_store(handle_->get(), list.get());
  }

  // A listener with transactions commits what was settled without one (a dead letter, say) between
  // two of them, and lets none begin until that is over: of two offsets the brokers keep the one
  // that came last, which has to be the greater one.
  void CommitBetween(bool last) {
    if (handle_ == nullptr) return;
    if (committing_ != nullptr) {
      const EventPtr over(rd_kafka_queue_poll(committing_->queue.get(), last ? kLastCommit : 0));
      if (over == nullptr && !last) return;
      committing_.reset();
    }
    if (!last && loop_.Now() < next_commit_) return;
    next_commit_ = loop_.Now() + options_.commit_interval;
    ListPtr list;
    std::vector<Part*> parts;
    for (const auto& [key, part] : parts_) {
      if (!part->dirty || part->next <= part->by_transaction) continue;
      if (list == nullptr) list = NewList();
      rd_kafka_topic_partition_list_add(list.get(), part->topic.c_str(), part->partition)->offset =
          part->next;
      parts.push_back(part.get());
    }
    if (list == nullptr) return;
    std::optional<Semaphore::Permit> turn = transactor_->turn.TryAcquire();
    // A partition that goes has no transaction any more: others' do not matter to it.
    if (!turn && !last) return;
    for (Part* const part : parts) part->dirty = false;
    auto committing = std::make_unique<Committing>();
    committing->turn = std::move(turn);
    committing->queue.reset(rd_kafka_queue_new(handle_->get()));
    if (rd_kafka_commit_queue(handle_->get(), list.get(), committing->queue.get(), nullptr,
                              nullptr) != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return;
    }
    if (last) {
      const EventPtr over(rd_kafka_queue_poll(committing->queue.get(), kLastCommit));
      return;
    }
    committing_ = std::move(committing);
  }

  void OnRecord(RawMessage raw) {
    const char* const topic = raw->rkt == nullptr ? "" : rd_kafka_topic_name(raw->rkt);
    if (raw->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      OnConsumerError(topic, *raw);
      return;
    }
    const std::shared_ptr<Part>& part = FindPart(topic, raw->partition);
    if (part == nullptr || part->leaving || stopping_ || part->route == nullptr) return;
    if (has_troubles_) ClearTrouble(topic);
    if (!part->Add(raw->offset)) return;
    if (part->route->use == Use::kRequest) {
      OnRequest(*part, std::move(raw));
    } else {
      OnEvent(part, std::move(raw));
    }
  }

  void OnRequest(Part& part, RawMessage raw) {
    const std::int64_t offset = raw->offset;
    RecordInfo info;
    InboundMessage message = ToInbound(handle_, std::move(raw), &info);
    // At most once: it is settled when it is read.
    part.Finish(offset);
    const Handler* handler = part.route->handler;
    std::string name(info.method.value_or(part.topic));
    if (info.method) {
      handler = handlers_.Find(*info.method);
      if (handler != nullptr && handler->descriptor().kind == MethodKind::kEvent) handler = nullptr;
    }
    const bool old = !info.has_timeout && info.timestamp >= 0 &&
                     NowMillis() - info.timestamp > options_.max_request_age.count();
    if (info.expired || old) {
      const absl::Status late = absl::DeadlineExceededError(
          "the request had waited in its topic for longer than its caller does");
      handlers_.CountRejected("kafka", name, late);
      if (message.reply_to.empty()) return;
      OutboundMessage answer;
      answer.to = message.reply_to;
      AddStatus(late, &answer);
      Send(answer).IgnoreError();
      return;
    }
    if (options_.json && !message.Find(kContentTypeHeader)) {
      message.fields.push_back({kContentTypeHeader, ContentTypeOf(WireCodec::kJson)});
    }
    calls_->OnRequest(handler, name, std::move(message));
  }

  void OnEvent(std::shared_ptr<Part> part, RawMessage raw) {
    auto owned = std::make_unique<RecordReceipt>(part, std::move(raw));
    RecordReceipt& receipt = *owned;
    RecordInfo record;
    WorkerMessage work;
    ReadRecord(&receipt.record, &work.message, &record);
    // Events are answered by nobody.
    work.message.reply_to = {};
    if (options_.json && !work.message.Find(kContentTypeHeader)) {
      work.message.fields.push_back({kContentTypeHeader, ContentTypeOf(WireCodec::kJson)});
    }
    work.position = {.log = part->number, .offset = static_cast<std::uint64_t>(receipt.offset)};
    work.subject = part->topic;
    work.key = receipt.key().value_or("");
    const Handler* handler = part->route->handler;
    std::int64_t due = 0;
    if (part->route->use == Use::kRetry) {
      if (record.retry_topic) {
        work.subject = *record.retry_topic;
        handler = routes_.HandlerOf(work.subject);
      }
      int attempts = 0;
      if (record.retry_attempts && absl::SimpleAtoi(Abs(*record.retry_attempts), &attempts)) {
        work.deliveries = std::max(attempts, 0) + 1;
      }
      if (record.retry_at) static_cast<void>(absl::SimpleAtoi(Abs(*record.retry_at), &due));
    } else if (options_.order != KafkaOrder::kNone || !options_.transactional_id.empty()) {
      work.lane = part->number;
    }
    if (receipt.tombstone() && options_.tombstones != KafkaTombstone::kDeliver) {
      if (options_.tombstones == KafkaTombstone::kSkip) {
        Finish(part, receipt.offset);
        return;
      }
      work.fault = absl::InvalidArgumentError(
          "the record has no value: it is a tombstone (Kafka::tombstones says what becomes of "
          "them)");
    }
    work.receipt = std::move(owned);
    // A clock that is wrong must not hold it for longer than the topic says.
    const std::int64_t wait =
        due == 0 ? 0 : std::min(due - NowMillis(), part->route->delay.count());
    if (wait > 0) {
      part->waits = true;
      auto delayed = std::make_unique<Delayed>(this);
      delayed->part = part;
      delayed->handler = handler;
      delayed->work = std::move(work);
      loop_.Arm(delayed.get(), loop_.Now() + milliseconds(wait));
      delayed_.push_back(std::move(delayed));
    } else {
      engine_->Deliver(handler, std::move(work));
    }
    Adjust(*part);
  }
  void OnDue(Delayed& due) {
    const auto keep = shared_from_this();
    const auto found = std::find_if(delayed_.begin(), delayed_.end(),
                                    [&](const auto& each) { return each.get() == &due; });
    const std::unique_ptr<Delayed> mine = std::move(*found);
    delayed_.erase(found);
    mine->part->waits = false;
    if (!mine->part->gone && engine_ != nullptr) {
      engine_->Deliver(mine->handler, std::move(mine->work));
    }
    Adjust(*mine->part);
  }
  // Those whose partition goes, or all at the end: they come again from the brokers.
  void DropDelayed() {
    for (auto it = delayed_.begin(); it != delayed_.end();) {
      Delayed& each = **it;
      if (!stopping_ && !closed_ && !each.part->gone) {
        ++it;
        continue;
      }
      loop_.Disarm(&each);
      each.part->Drop(static_cast<RecordReceipt&>(*each.work.receipt).offset);
      it = delayed_.erase(it);
    }
  }

  void Finish(const std::shared_ptr<Part>& part, std::int64_t offset) {
    if (part->gone) return;
    part->Finish(offset);
    if (part->leaving) {
      CheckLeaving(*part);
    } else if (part->paused) {
      Adjust(*part);
    }
  }

  void OnFrame(std::string_view topic, const RecordInfo& info, InboundMessage message) {
    if (calls_ == nullptr) return;
    if (topic != inbox_->topic()) {
      Cancel(std::make_shared<InboundMessage>(std::move(message)), 0);
      return;
    }
    if (!info.correlation) return;
    const std::optional<std::uint64_t> id = inbox_->IdOf(*info.correlation);
    if (id) calls_->OnFrame(*id, std::move(message));
  }
  void Cancel(std::shared_ptr<InboundMessage> message, std::size_t turn) {
    calls_->OnCancel(*message);
    if (turn < kCancelAgain.size()) Go(CancelAgain(std::move(message), turn));
  }
  Task<void> CancelAgain(std::shared_ptr<InboundMessage> message, std::size_t turn) {
    co_await Sleep(kCancelAgain[turn]);
    if (calls_ != nullptr) Cancel(std::move(message), turn + 1);
  }

  // ---- retry topics

  void ToRetryTopic(WorkerMessage& message, milliseconds delay) {
    milliseconds tier = options_.retry_topics.back();
    for (const milliseconds each : options_.retry_topics) {
      if (each >= delay) {
        tier = each;
        break;
      }
    }
    auto retry = std::make_shared<Retry>();
    retry->topic = RetryTopic(options_, tier);
    retry->origin = message.subject;
    retry->at = absl::StrCat(NowMillis() + tier.count());
    retry->attempts = absl::StrCat(message.attempts);
    retry->work = std::move(message);
    retries_under_way_.fetch_add(1);
    Go(SendRetry(std::move(retry)));
  }
  // Held until the retry topic has it.
  Task<void> SendRetry(std::shared_ptr<Retry> retry) {
    const auto& receipt = static_cast<const RecordReceipt&>(*retry->work.receipt);
    OutboundMessage out;
    for (const WireField& each : retry->work.message.fields) out.fields.push_back(each);
    OutRecord record;
    AddHeaders(out, &record);
    record.topic = retry->topic;
    record.headers.push_back({kRetryTopicHeader, retry->origin});
    record.headers.push_back({kRetryAtHeader, retry->at});
    record.headers.push_back({kRetryAttemptsHeader, retry->attempts});
    record.key = receipt.key();
    if (!receipt.tombstone()) record.value = retry->work.message.body;
    milliseconds pause = kRetryAgain;
    for (;;) {
      Task<KafkaPosition> send = producer_->Send(record);
      const absl::StatusOr<KafkaPosition> sent = co_await AsStatusOr(std::move(send));
      if (sent.ok()) {
        Finish(receipt.part, receipt.offset);
        break;
      }
      // At the end of the process it comes again from where it was.
      if (closed_ || stopping_ || receipt.part->gone) {
        receipt.part->Drop(receipt.offset);
        CheckLeaving(*receipt.part);
        break;
      }
      SetTrouble(retry->topic, sent.status());
      Task<void> wait = SleepQuietly(pause);
      co_await std::move(wait);
      pause = std::min(pause * 2, kMostRetryAgain);
    }
    if (!closed_) ClearTrouble(retry->topic);
    retries_under_way_.fetch_sub(1);
    MaybeIdle();
  }
  // Ends early when the consumer closes, without failing.
  static Task<void> SleepQuietly(milliseconds time) {
    Task<void> sleep = SleepFor(time);
    const absl::Status ignored = co_await AsStatusOr(std::move(sleep));
    static_cast<void>(ignored);
  }
  static Task<void> SleepFor(milliseconds time) { co_await Sleep(time); }

  // ---- trouble

  void OnConsumerError(const char* topic, const rd_kafka_message_t& error) {
    // A pattern that matches no topic yet: it will, when there is one.
    if (*topic == '^' && error.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) return;
    const absl::Status status =
        ToStatus(error.err, absl::StrCat(topic, ": ", rd_kafka_message_errstr(&error)));
    Log().Warn("the consumer has trouble", {{"topic", topic}, {"why", status.message()}});
    SetTrouble(topic, status);
  }
  void SetTrouble(const std::string& topic, const absl::Status& why) {
    const std::scoped_lock lock(health_mutex_);
    troubles_[topic] = why;
    has_troubles_ = true;
  }
  void ClearTrouble(const std::string& topic) {
    const std::scoped_lock lock(health_mutex_);
    troubles_.erase(topic);
    has_troubles_ = !troubles_.empty();
  }

  static void OnError(rd_kafka_t* client, int error, const char* reason, void* opaque) {
    auto& self = *static_cast<Consumer*>(opaque);
    const auto code = static_cast<rd_kafka_resp_err_t>(error);
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
      std::array<char, 512> why{};
      const rd_kafka_resp_err_t cause = rd_kafka_fatal_error(client, why.data(), why.size());
      const std::scoped_lock lock(self.health_mutex_);
      self.dead_ = ToStatus(cause, absl::StrCat("the consumer is dead: ", why.data()));
      Log().Error("the consumer is dead", {{"why", why.data()}});
      self.assigned_now_.notify_all();
    } else if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
      const std::scoped_lock lock(self.health_mutex_);
      self.down_ = true;
    } else if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
               code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
               code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) {
      self.SetTrouble("", ToStatus(code, reason));
    } else {
      Log().Warn("the consumer has trouble", {{"why", reason}});
    }
  }
  static int OnStats(rd_kafka_t* /*client*/, char* json, std::size_t length, void* opaque) {
    auto& self = *static_cast<Consumer*>(opaque);
    if (AnyBrokerUp({json, length})) {
      const std::scoped_lock lock(self.health_mutex_);
      self.down_ = false;
      self.troubles_.erase("");
      // A group with more members than partitions has nothing for some, and does not tell them.
      if (std::string_view(json, length).find("\"join_state\":\"steady\"") !=
          std::string_view::npos) {
        self.assigned_ = true;
        self.assigned_now_.notify_all();
      }
    }
    return 0;  // librdkafka frees it
  }
  static void OnCommit(rd_kafka_t* /*client*/, rd_kafka_resp_err_t error,
                       rd_kafka_topic_partition_list_t* offsets, void* opaque) {
    auto& self = *static_cast<Consumer*>(opaque);
    constexpr const char* kCommits = "(commits)";
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      if (self.commit_failed_) self.ClearTrouble(kCommits);
      self.commit_failed_ = false;
    } else if (error == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS ||
               error == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION ||
               error == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID) {
      // The next commit, or the next owner, sees to it.
      Log().Info("a commit was refused in a rebalance: what is below may be handled again",
                 {{"below", TextOf(offsets)}, {"why", rd_kafka_err2str(error)}});
    } else if (error != RD_KAFKA_RESP_ERR__NO_OFFSET) {
      self.commit_failed_ = true;
      self.SetTrouble(kCommits, ToStatus(error, "settled offsets cannot be committed"));
      Log().Warn("settled offsets cannot be committed", {{"why", rd_kafka_err2str(error)}});
    }
  }

  // "orders[0]@17 orders[3]@4"; null has none, nor have partitions of which nothing was settled.
  static std::string TextOf(const rd_kafka_topic_partition_list_t* offsets) {
    std::string text;
    for (int i = 0; offsets != nullptr && i < offsets->cnt; ++i) {
      const rd_kafka_topic_partition_t& each = offsets->elems[i];
      if (each.offset < 0) continue;
      absl::StrAppend(&text, text.empty() ? "" : " ", each.topic, "[", each.partition, "]@",
                      each.offset);
    }
    return text;
  }

  // For those who look from other threads.
  void Show() {
    std::vector<WorkerSnapshot::Partition> shown;
    shown.reserve(parts_.size());
    for (const auto& [key, part] : parts_) {
      if (part->route == nullptr || part->route->use == Use::kRequest) continue;
      WorkerSnapshot::Partition each;
      each.topic = part->topic;
      each.partition = part->partition;
      each.held = part->held;
      each.paused = part->paused;
      std::int64_t low = -1;
      std::int64_t high = -1;
      each.lag = -1;
      // What the last fetch said; asks nobody.
      if (rd_kafka_get_watermark_offsets(handle_->get(), part->topic.c_str(), part->partition, &low,
                                         &high) == RD_KAFKA_RESP_ERR_NO_ERROR &&
          high >= 0 && part->next >= 0) {
        each.lag = std::max<std::int64_t>(0, high - part->next);
      }
      shown.push_back(std::move(each));
    }
    event_parts_ = shown.size();
    const std::scoped_lock lock(health_mutex_);
    shown_ = std::move(shown);
  }

  const Kafka options_;
  Loop& loop_;
  const HandlerRegistry& handlers_;
  const Routes& routes_;
  std::shared_ptr<Producer> producer_;
  std::shared_ptr<Transactor> transactor_;
  // A commit under way, during which no transaction runs.
  struct Committing {
    QueuePtr queue;
    std::optional<Semaphore::Permit> turn;
  };
  std::unique_ptr<Committing> committing_;
  Deadline next_commit_ = {};
  std::shared_ptr<Handle> handle_;
  QueuePtr queue_;
  std::unique_ptr<QueueWatch> watch_;
  std::shared_ptr<Inbox> inbox_;
  std::unique_ptr<WorkerEngine> engine_;  // changed on the loop, with engine_mutex_
  std::unique_ptr<MessageServer> calls_;  // the same
  mutable std::mutex engine_mutex_;
  std::function<void()> idle_;  // on the loop
  const ContextRef root_ = ContextRef::Adopt(Context::NewChild(nullptr));
  Timer<&Consumer::OnTick> tick_{this};
  Timer<&Consumer::OnLeaveTime> leave_{this};

  // On the loop, and at the end on the thread that closes.
  std::map<std::pair<std::string, std::int32_t>, std::shared_ptr<Part>> parts_;
  std::shared_ptr<Part> last_part_;
  std::size_t event_parts_ = 0;  // of `parts_`, as Show() has seen it
  std::set<std::pair<std::string, std::int32_t>> begun_;
  std::map<std::pair<std::string, std::int32_t>, std::uint64_t> numbers_;  // Part::number
  ListPtr leaving_;
  bool leaving_incremental_ = false;
  // What librdkafka may still believe to be paused, from the last time that it was ours.
  std::set<std::pair<std::string, std::int32_t>> went_paused_;
  Deadline resume_again_ = {};
  std::uint64_t revocations_ = 0;
  bool leave_posted_ = false;
  std::list<std::unique_ptr<Delayed>> delayed_;
  bool polling_ = false;
  bool poll_posted_ = false;
  bool stalled_ = false;  // no room: not polled until there is, or for kPatience
  bool hard_ = false;     // all paused, and polled
  Deadline stalled_since_ = Deadline::min();
  bool commit_failed_ = false;

  std::atomic<bool> stopping_{false};
  std::atomic<bool> closed_{false};
  std::atomic<bool> has_troubles_{false};
  std::atomic<std::size_t> retries_under_way_{0};
  std::atomic<std::uint64_t> rebalances_{0};
  std::atomic<int> tasks_{0};

  mutable std::mutex health_mutex_;
  std::condition_variable assigned_now_;
  bool assigned_ = false;  // guarded by health_mutex_, as is all below
  bool down_ = false;
  absl::Status dead_;
  std::map<std::string, absl::Status> troubles_;  // by topic
  std::vector<WorkerSnapshot::Partition> shown_;
};

// ---- the listener -------------------------------------------------------------------------------

class KafkaServer final : public ServerTransport {
 public:
  explicit KafkaServer(Kafka options) : options_(std::move(options)) {}
  ~KafkaServer() override { Stop(); }

  std::string_view name() const noexcept override { return "kafka"; }

  absl::Status Start(TransportHost& host) override {
    if (absl::Status checked = CheckKafkaOptions(options_); !checked.ok()) return checked;
    if (!consumers_.empty()) {
      return absl::FailedPreconditionError("this listener was started before");
    }
    WarnOfUnsafe(options_);
    absl::Status status = routes_.Build(options_, host.handlers());
    if (!status.ok()) return status;
    const Deadline give_up = steady_clock::now() + options_.start_timeout;
    LoopPool& loops = host.loops();
    for (std::size_t i = 0; i < options_.consumers && status.ok(); ++i) {
      auto consumer =
          std::make_shared<Consumer>(options_, loops[i % loops.size()], host.handlers(), routes_);
      consumers_.push_back(consumer);
      status = consumer->OpenProducer();
      // Topics first: what is subscribed to is there.
      if (status.ok() && i == 0) status = SetUpTopics(give_up);
      if (status.ok()) status = consumer->Open(give_up);
      if (status.ok()) {
        status = consumer->Begin(
            [this] {
              const std::scoped_lock lock(mutex_);
              idle_.notify_all();
            },
            give_up);
      }
    }
    if (!status.ok()) {
      Stop();
      return absl::Status(
          status.code(),
          absl::StrCat("Kafka at ", options_.brokers, ": ", status.message(),
                       absl::IsUnavailable(status)
                           ? ". Start the brokers, or give Kafka::brokers their addresses; "
                             "Kafka::start_timeout says how long to wait for them."
                           : ""));
    }
    endpoint_ = absl::StrCat(options_.brokers, "/", GroupOf(options_));
    const std::scoped_lock lock(seen_mutex_);
    seen_ = consumers_;
    return absl::OkStatus();
  }

  std::string endpoint() const override { return endpoint_; }
  absl::Status CheckHealth() const override {
    for (const auto& consumer : Seen()) {
      if (absl::Status status = consumer->CheckHealth(); !status.ok()) return status;
    }
    return absl::OkStatus();
  }
  void AddStats(StatsSnapshot* stats) const override {
    const std::vector<std::shared_ptr<Consumer>> seen = Seen();
    for (std::size_t i = 0; i < seen.size(); ++i) {
      seen[i]->AddStats(stats,
                        i == 0 ? GroupOf(options_) : absl::StrCat(GroupOf(options_), "#", i));
    }
  }

  void StopIntake() noexcept override {
    if (std::exchange(intake_stopped_, true)) return;
    for (const auto& consumer : consumers_) consumer->StopIntake();
  }
  std::size_t Drain(Deadline deadline) noexcept override {
    StopIntake();
    std::size_t left = 0;
    if (!WaitIdle(deadline)) {
      left = held();
      CancelAll();
    }
    for (const auto& consumer : consumers_) consumer->FlushQuietly();
    return left;
  }
  void Stop() noexcept override {
    if (consumers_.empty()) return;
    StopIntake();
    if (held() != 0) {
      CancelAll();
      for (const auto& consumer : consumers_) consumer->FlushQuietly();
      if (const std::size_t left = held(); left != 0) {
        Log().Error(
            "handlers have not ended although they were cancelled; they are left behind. Look for "
            "an await without cancellation.",
            {{"left", left}});
      }
    }
    {
      const std::scoped_lock lock(seen_mutex_);
      seen_.clear();
    }
    for (const auto& consumer : consumers_) consumer->Close();
    consumers_.clear();
  }

 private:
  absl::Status SetUpTopics(Deadline give_up) {
    std::vector<std::string> topics = routes_.Topics();
    if (routes_.has_events()) {
      std::set<std::string> letters;
      for (const std::string& topic : routes_.EventTopics()) {
        letters.insert(DeadLetterTopic(options_, topic));
      }
      topics.insert(topics.end(), letters.begin(), letters.end());
    }
    // Not through the producer: to ask as one makes the topics that are not there, with as many
    // partitions as the brokers think right.
    absl::StatusOr<ConfPtr> conf = ToConf(options_, Role::kInbox);
    if (!conf.ok()) return conf.status();
    auto asking = OpenHandle(*std::move(conf), RD_KAFKA_CONSUMER);
    if (!asking.ok()) return asking.status();
    const auto made =
        EnsureTopics((*asking)->get(), options_, topics, options_.topics == KafkaTopics::kCreate,
                     options_.partitions, {}, give_up);
    return made.status();
  }
  // What other threads may look at, until the end.
  [[nodiscard]] std::vector<std::shared_ptr<Consumer>> Seen() const {
    const std::scoped_lock lock(seen_mutex_);
    return seen_;
  }
  [[nodiscard]] std::size_t held() const noexcept {
    std::size_t sum = 0;
    for (const auto& consumer : consumers_) sum += consumer->held();
    return sum;
  }
  bool WaitIdle(Deadline deadline) noexcept {
    std::unique_lock lock(mutex_);
    // The last word of a consumer may have come before we listened: looked at again by itself.
    while (held() != 0) {
      if (deadline != kNoDeadline && steady_clock::now() >= deadline) return false;
      idle_.wait_for(lock, milliseconds(20));
    }
    return true;
  }
  void CancelAll() noexcept {
    const absl::Status reason = absl::UnavailableError("the server is shutting down");
    for (const auto& consumer : consumers_) consumer->CancelAll(reason);
    if (WaitIdle(steady_clock::now() + kUnwind)) return;
    for (const auto& consumer : consumers_) consumer->AnswerForAll(reason);
  }

  const Kafka options_;
  Routes routes_;
  std::vector<std::shared_ptr<Consumer>> consumers_;
  mutable std::mutex seen_mutex_;
  std::vector<std::shared_ptr<Consumer>> seen_;  // guarded by seen_mutex_
  std::string endpoint_;
  bool intake_stopped_ = false;
  std::mutex mutex_;
  std::condition_variable idle_;
};

}  // namespace
}  // namespace kafka_adapter

std::unique_ptr<ServerTransport> MakeServerTransport(const Kafka& options) {
  return std::make_unique<kafka_adapter::KafkaServer>(options);
}

const KafkaRecordInfo* KafkaRecordInfo::Of(const Delivery& delivery) {
  return delivery.TransportMessage<KafkaRecordInfo>();
}
const KafkaRecordInfo* KafkaRecordInfo::Of(CallContext& call) {
  const Delivery* const delivery = Delivery::Of(call);
  return delivery == nullptr ? nullptr : Of(*delivery);
}

}  // namespace rookery
