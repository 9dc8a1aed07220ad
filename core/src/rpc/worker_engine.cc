#include "rookery/rpc/worker_engine.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <list>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/hash/hash.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "google/rpc/error_details.pb.h"
#include "rookery/annotations.pb.h"
#include "rookery/rpc/message.h"
#include "rookery/rpc/status.h"
#include "rookery/runtime/frame.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/start.h"
#include "rpc/message_type.h"
#include "rpc/random.h"
#include "rpc/worker_key.h"
#include "runtime/abseil_strings.h"

namespace rookery {
namespace internal {
namespace {

using google::protobuf::Message;
using std::chrono::milliseconds;

// Messages that were deferred, and are at the broker: how often, so that it does not count.
constexpr std::size_t kMostDeferred = 65'536;

// Messages that are kept to be filled again, and the largest that may come into one.
constexpr std::size_t kMostSpare = 64;
constexpr std::size_t kMostSpareBytes = 4'096;

// From the lists that coroutine frames come from: what each message needs is there already.
template <class T>
struct RecyclingAllocator {
  using value_type = T;

  RecyclingAllocator() noexcept = default;
  template <class U>
  explicit RecyclingAllocator(const RecyclingAllocator<U>& /*other*/) noexcept {}
  [[nodiscard]] T* allocate(std::size_t count) {
    return static_cast<T*>(AllocateFrame(count * sizeof(T)));
  }
  void deallocate(T* memory, std::size_t count) noexcept { FreeFrame(memory, count * sizeof(T)); }
  friend bool operator==(const RecyclingAllocator& /*a*/,
                         const RecyclingAllocator& /*b*/) noexcept {
    return true;
  }
};

// What a handler's messages need, found once.
struct Route {
  DeliveryPolicy policy;
  KeyPath key;
  // Empty messages, whose strings keep their room. None of types that could grow without an end.
  std::vector<std::unique_ptr<Message>> spare;
  bool plain = false;
};

// An event's identity in 128 bits: two that are alike by chance do not come up.
struct Fingerprint {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  friend bool operator==(const Fingerprint&, const Fingerprint&) noexcept = default;
  template <class H>
  friend H AbslHashValue(H state, const Fingerprint& print) {
    return H::combine(std::move(state), print.low);
  }
};

const EventOptions* EventOptionsOf(const Handler& handler) {
  const auto proto = handler.descriptor().proto;
  if (proto == nullptr) return nullptr;
  const google::protobuf::MethodDescriptor* const method = proto();
  if (method == nullptr || !method->options().HasExtension(rookery::event)) return nullptr;
  return &method->options().GetExtension(rookery::event);
}

milliseconds ToMillis(const google::protobuf::Duration& duration) {
  return milliseconds(duration.seconds() * 1'000 + duration.nanos() / 1'000'000);
}

void Apply(const RetryOptions& retry, DeliveryPolicy* policy) {
  if (retry.max_attempts() > 0) policy->max_attempts = retry.max_attempts();
  policy->max_deliveries = std::max(policy->max_deliveries, policy->max_attempts);
  if (retry.has_initial_backoff()) {
    policy->initial_backoff = ToMillis(retry.initial_backoff());
    policy->backoff.clear();
  }
  if (retry.has_max_backoff()) policy->max_backoff = ToMillis(retry.max_backoff());
  policy->max_backoff = std::max(policy->max_backoff, policy->initial_backoff);
  if (retry.backoff_multiplier() != 0) policy->backoff_multiplier = retry.backoff_multiplier();
  if (retry.has_jitter()) policy->jitter = retry.jitter();
  if (retry.retryable_status_codes_size() > 0) {
    policy->retryable.clear();
    for (const int code : retry.retryable_status_codes()) {
      policy->retryable.push_back(static_cast<absl::StatusCode>(code));
    }
  }
}

DeliveryPolicy PolicyOf(const Handler& handler, const DeliveryPolicy& otherwise) {
  const EventOptions* const proto = EventOptionsOf(handler);
  const DeliveryPolicy* said = nullptr;
  if (const MetadataTarget* const method = handler.method_metadata(); method != nullptr) {
    said = method->Find(kDelivery);
  }
  if (const MetadataTarget* const controller = handler.controller_metadata();
      said == nullptr && controller != nullptr) {
    said = controller->Find(kDelivery);
  }
  DeliveryPolicy policy = said == nullptr ? otherwise : *said;
  if (proto != nullptr) {
    if (said == nullptr && proto->has_retry()) Apply(proto->retry(), &policy);
    if (policy.key == nullptr && policy.key_field.empty()) policy.key_field = proto->key();
  }
  return policy;
}

[[nodiscard]] bool IsFatal(const DeliveryPolicy& policy, absl::StatusCode code) {
  const auto has = [code](const std::vector<absl::StatusCode>& codes) {
    return std::find(codes.begin(), codes.end(), code) != codes.end();
  };
  return policy.retryable.empty() ? has(policy.fatal) : !has(policy.retryable);
}

}  // namespace

class WorkerAttempt;

// One message that is held.
struct WorkerJob {
  enum class State : std::uint8_t { kInLane, kBuffered, kReady, kWaiting, kRunning, kDying, kOver };

  struct Timer final : LoopTimer {
    explicit Timer(WorkerJob* owner) noexcept;
    WorkerJob* const job;
  };

  WorkerJob(WorkerCore* owner, const Handler* whose, WorkerMessage&& what) noexcept
      : core(owner), handler(whose), message(std::move(what)) {}

  WorkerCore* const core;
  const Handler* const handler;
  Route* route = nullptr;
  WorkerMessage message;
  std::unique_ptr<Message> request;
  Fingerprint id;             // known again by it
  std::uint64_t lane = 0;     // zero: none
  std::string_view key = {};  // of `own_key`, or of the message
  std::string own_key;
  int deliveries = 1;  // without those that were deferred
  int failures = 0;    // here
  bool alone = false;  // not in a batch
  State state = State::kInLane;
  Deadline not_before = Deadline::min();
  absl::Status cause;             // of its death
  int deaths = 0;                 // dead letters that were refused
  std::shared_ptr<WorkerJob> me;  // while the timer is armed
  Timer timer{this};

  [[nodiscard]] int attempt() const noexcept { return deliveries + failures; }
};
using JobPtr = std::shared_ptr<WorkerJob>;
// What one run of a handler is for: one, or the messages of a batch.
using Unit = absl::InlinedVector<JobPtr, 1>;

class WorkerCore final : public std::enable_shared_from_this<WorkerCore> {
 public:
  using State = WorkerJob::State;

  WorkerCore(Loop& the_loop, const HandlerRegistry& registry, WorkerSource& the_source,
             WorkerEngine::Options the_options)
      : loop(the_loop),
        handlers(registry),
        options(std::move(the_options)),
        source(&the_source),
        keep_alive_timer_(this) {
    last_end.store(loop.Now().time_since_epoch().count(), std::memory_order_relaxed);
  }

  void Deliver(const Handler* handler, WorkerMessage&& message);
  void StopIntake();
  void CancelAll(const absl::Status& reason);
  std::size_t Forget(const std::function<bool(const WorkerMessage&)>& which);
  void ForEach(const std::function<void(const WorkerMessage&, bool started)>& tell) const {
    for (const auto& [position, job] : by_position_) {
      tell(job->message, job->state == State::kRunning || job->state == State::kOver);
    }
  }
  void Abandon();
  void ArmKeepAlive() {
    if (source != nullptr && options.keep_alive.count() > 0) {
      loop.Arm(&keep_alive_timer_, loop.Now() + options.keep_alive);
    }
  }

  void OnTimer(WorkerJob& job);
  void OnEnd(WorkerAttempt& attempt, const absl::Status& status);

  [[nodiscard]] absl::Status Health() const;
  [[nodiscard]] WorkerSnapshot Stats() const;

  Loop& loop;
  const HandlerRegistry& handlers;
  const WorkerEngine::Options options;
  WorkerSource* source;  // null once the engine is gone
  std::function<void()> on_idle;
  std::atomic<std::size_t> held{0};
  std::atomic<std::size_t> running{0};
  std::atomic<Deadline::rep> last_end{0};

 private:
  struct Lane {
    // Most lanes have one message at a time, which never waits here: nothing is allocated for it.
    std::list<JobPtr> queue;
    std::size_t out = 0;            // of its jobs that were taken from the queue, and not over
    const Handler* open = nullptr;  // those are in the batch that this handler is collecting
  };
  struct Buffer final : LoopTimer {
    Buffer(WorkerCore* owner, const Handler* whose) noexcept
        : LoopTimer([](LoopTimer* self) noexcept {
            auto& buffer = *static_cast<Buffer*>(self);
            const auto keep = buffer.core->shared_from_this();
            buffer.core->Flush(buffer);
            keep->Pump();
          }),
          core(owner),
          handler(whose) {}
    WorkerCore* const core;
    const Handler* const handler;
    Unit jobs;
  };
  struct KeepAliveTimer final : LoopTimer {
    explicit KeepAliveTimer(WorkerCore* owner) noexcept
        : LoopTimer([](LoopTimer* self) noexcept {
            WorkerCore& owner_core = *static_cast<KeepAliveTimer*>(self)->core;
            owner_core.KeepAlive();
            owner_core.ArmKeepAlive();
          }),
          core(owner) {}
    WorkerCore* const core;
  };
  struct Counters {
    std::atomic<std::uint64_t> delivered{0}, redelivered{0}, duplicates{0}, handled{0}, retries{0},
        deferred{0}, returned{0}, expired{0}, dead_letters{0}, refused{0}, settle_failures{0},
        waiting{0};
  };
  // Written by the loop alone, and read by others: no read-modify-write is needed.
  template <class T>
  static void Count(std::atomic<T>& counter, T step = 1) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + step, std::memory_order_release);
  }
  template <class T>
  static void CountDown(std::atomic<T>& counter) noexcept {
    Count(counter, static_cast<T>(-1));
  }

  [[nodiscard]] Route& RouteOf(const Handler& handler);
  // What is wrong with the message; fills in the request and the key.
  [[nodiscard]] absl::Status Read(WorkerJob& job);
  void Enqueue(JobPtr job);
  void NextOf(std::uint64_t lane);
  void Ready(JobPtr job);
  void Flush(Buffer& buffer);
  void Pump();
  void Start(Unit unit);
  // Whether it may run; otherwise something has become of it.
  [[nodiscard]] bool Admit(const JobPtr& job);
  // The message's own end of an attempt.
  void Decide(const JobPtr& job, const Delivery& delivery, const absl::Status& status, bool batch);
  void Succeed(const JobPtr& job);
  void Retry(const JobPtr& job, milliseconds delay, bool counts);
  void Die(const JobPtr& job, absl::Status cause);
  void WriteDeadLetter(const JobPtr& job);
  void OnDeadLetter(const JobPtr& job, const absl::Status& written);
  void Return(const JobPtr& job, milliseconds delay);
  // Tells the broker.
  bool Settle(WorkerJob& job, Settlement how, milliseconds delay = milliseconds(0));
  // Its place is free, whatever became of it.
  void Over(const JobPtr& job);
  void LeaveLane(WorkerJob& job);
  // Takes a job that has not been started from wherever it is.
  [[nodiscard]] bool Unstart(const JobPtr& job);
  void WaitUntil(const JobPtr& job, Deadline when, State state);
  void StopWaiting(WorkerJob& job);
  [[nodiscard]] Fingerprint Identify(const WorkerMessage& message) const;
  [[nodiscard]] std::uint64_t LaneOf(std::string_view key) const {
    return absl::HashOf(seed_.low, Abs(key)) | std::uint64_t{1} << 63;
  }
  void Remember(const Fingerprint& id);
  [[nodiscard]] bool Known(const Fingerprint& id) const {
    return !known_.empty() && known_.contains(id);
  }
  void KeepAlive();
  [[nodiscard]] std::vector<JobPtr> All() const;
  void Trouble(std::string_view what, const WorkerJob& job, const absl::Status& why) {
    if (source != nullptr) source->OnTrouble(what, job.message, why);
  }

  // The names under which every message is asked for its attributes.
  struct Attributes {
    explicit Attributes(const std::string& prefix)
        : id(prefix + "id"),
          source(prefix + "source"),
          key(prefix + "partitionkey"),
          expiry(prefix + "expirytime") {}
    std::string id;
    std::string source;
    std::string key;
    std::string expiry;
  };
  const Attributes attributes_{options.event_prefix};
  absl::flat_hash_map<const Handler*, std::unique_ptr<Route>> routes_;
  const Fingerprint seed_{FastRandom64(), FastRandom64()};
  absl::flat_hash_map<WorkerMessage::Position, JobPtr> by_position_;
  // By a hash: keys that share one by chance wait for each other, and no more.
  absl::flat_hash_map<std::uint64_t, Lane> lanes_;
  absl::flat_hash_map<const Handler*, std::unique_ptr<Buffer>> buffers_;
  std::deque<Unit> ready_;
  absl::flat_hash_set<Fingerprint> known_;
  std::deque<Fingerprint> known_order_;
  absl::flat_hash_map<WorkerMessage::Position, int> deferred_;
  absl::flat_hash_set<WorkerAttempt*> attempts_;
  KeepAliveTimer keep_alive_timer_;
  bool pumping_ = false;
  bool stopping_ = false;
  bool cancelling_ = false;
  Counters count_;
  std::atomic<std::size_t> refused_now_{0};  // messages whose dead letter was refused
  mutable std::mutex mutex_;
  absl::Status last_refusal_;  // guarded by mutex_
};

// One run of a handler, over one message or a batch of them.
class WorkerAttempt final : public CallContext,
                            public Recycled,
                            private MessageSource,
                            private Deliveries {
 public:
  class JobDelivery final : public Delivery {
   public:
    explicit JobDelivery(const WorkerJob& job) {
      id_ = job.message.id;
      key_ = job.key;
      attempt_ = job.attempt();
      last_attempt_ = attempt_ >= job.route->policy.max_attempts;
      redelivered_ = job.message.deliveries > 1;
      receipt_ = job.message.receipt.get();
    }

   private:
    void* Find(const std::type_info& type) const noexcept override {
      return receipt_ == nullptr ? nullptr : receipt_->Find(type);
    }
    std::string Origin() const override {
      return receipt_ == nullptr ? std::string() : receipt_->Origin();
    }
    WorkerMessage::Receipt* receipt_;
  };

  WorkerAttempt(std::shared_ptr<WorkerCore> core, Unit jobs)
      : core_(std::move(core)), jobs_(std::move(jobs)), batch_(TakesBatch()), first_(*jobs_[0]) {
    for (std::size_t i = 1; i < jobs_.size(); ++i) {
      others_.emplace_back(std::make_unique<JobDelivery>(*jobs_[i]));
    }
    if (batch_) {
      request_.emplace(static_cast<MessageSource*>(this));
    } else {
      // Not owned: another attempt must find it as it came.
      request_.emplace(jobs_.front()->request.get(), /*owned=*/false);
    }
    set_method(&handler().descriptor());
  }

  void Run() {
    const milliseconds timeout = jobs_.front()->route->policy.attempt_timeout;
    if (timeout.count() > 0) {
      set_deadline(core_->loop.Now() + timeout);
      core_->loop.Arm(&timer_, deadline());
    }
    handler().CallStarted(*this);
    task_.emplace(handler().Call(*this, *request_));
    starting_ = true;
    internal::Start(*task_, this, this, [](void* self, TaskPromise<Response>&) noexcept {
      auto& attempt = *static_cast<WorkerAttempt*>(self);
      if (Loop::Current() != &attempt.core_->loop) {
        attempt.core_->loop.Post(&attempt.end_work_);
      } else if (attempt.starting_) {
        attempt.ended_inside_ = true;
      } else {
        attempt.End();
      }
    });
    starting_ = false;
    if (ended_inside_) End();
  }

  [[nodiscard]] const Unit& jobs() const noexcept { return jobs_; }
  [[nodiscard]] const Delivery& delivery(std::size_t index) const {
    return index == 0 ? first_ : *others_[index - 1];
  }
  [[nodiscard]] bool batch() const noexcept { return batch_; }

  // CallContext
  [[nodiscard]] std::string_view transport() const noexcept override {
    return core_->options.transport;
  }
  [[nodiscard]] std::optional<std::string_view> PeekMetadata(std::string_view key) const override {
    if (batch_ || Metadata::IsBinary(key) || IsProtocolField(key)) return metadata().Get(key);
    return jobs_.front()->message.message.Find(key);
  }

 private:
  struct EndWork final : LoopWork {
    explicit EndWork(WorkerAttempt* owner) noexcept
        : LoopWork([](LoopWork* self) noexcept { static_cast<EndWork*>(self)->attempt->End(); }),
          attempt(owner) {}
    WorkerAttempt* const attempt;
  };
  struct TimeoutTimer final : LoopTimer {
    explicit TimeoutTimer(WorkerAttempt* owner) noexcept
        : LoopTimer([](LoopTimer* self) noexcept {
            static_cast<TimeoutTimer*>(self)->attempt->cancel_source().Cancel(
                absl::DeadlineExceededError("the attempt took longer than attempt_timeout"));
          }),
          attempt(owner) {}
    WorkerAttempt* const attempt;
  };

  [[nodiscard]] const Handler& handler() const noexcept { return *jobs_.front()->handler; }
  [[nodiscard]] bool TakesBatch() const noexcept { return handler().takes_batches(); }

  void End() {
    core_->loop.Disarm(&timer_);
    TaskPromise<Response>& done = task_->handle().promise();
    absl::Status status;
    if (done.outcome() != Outcome::kValue) status = done.TakeStatus();
    handler().CallEnded(*this, status.code());
    task_.reset();
    core_->OnEnd(*this, status);
    Unref();  // the run's own
  }

  Task<bool> Read(Message& into) override {
    if (next_ == jobs_.size()) co_return false;
    into.CopyFrom(*jobs_[next_++]->request);
    co_return true;
  }
  std::vector<Delivery*> all() override {
    std::vector<Delivery*> all;
    all.push_back(&first_);
    for (const auto& each : others_) all.push_back(each.get());
    return all;
  }
  void* FindTransportRequest(const std::type_info& type) noexcept override {
    if (type == typeid(Deliveries)) return static_cast<Deliveries*>(this);
    if (type == typeid(Delivery) && !batch_) return static_cast<Delivery*>(&first_);
    return nullptr;
  }
  void LoadMetadata(Metadata* metadata) const override {
    // Those of a batch are nobody's.
    if (!batch_) ReadMetadata(jobs_.front()->message.message, "", metadata);
  }
  void LoadPeer(Peer* peer) const override {
    peer->address = absl::StrCat(Abs(core_->options.transport), ":", core_->options.name);
  }

  const std::shared_ptr<WorkerCore> core_;
  const Unit jobs_;
  const bool batch_;
  JobDelivery first_;
  std::vector<std::unique_ptr<JobDelivery>> others_;
  std::optional<Request> request_;
  std::optional<Task<Response>> task_;
  std::size_t next_ = 0;
  EndWork end_work_{this};
  TimeoutTimer timer_{this};
  bool starting_ = false;
  bool ended_inside_ = false;
};

WorkerJob::Timer::Timer(WorkerJob* owner) noexcept
    : LoopTimer([](LoopTimer* self) noexcept {
        WorkerJob& due = *static_cast<Timer*>(self)->job;
        due.core->OnTimer(due);
      }),
      job(owner) {}

// ---- coming in ----------------------------------------------------------------------------------

Route& WorkerCore::RouteOf(const Handler& handler) {
  std::unique_ptr<Route>& route = routes_[&handler];
  if (route == nullptr) {
    route = std::make_unique<Route>();
    route->policy = PolicyOf(handler, options.policy);
    const google::protobuf::Descriptor& type = *handler.descriptor().request().GetDescriptor();
    route->plain = IsPlain(type);
    if (!route->policy.key_field.empty()) {
      auto path = KeyPathOf(route->policy.key_field, type);
      if (path.ok()) route->key = *std::move(path);
    }
  }
  return *route;
}

absl::Status WorkerCore::Read(WorkerJob& job) {
  const InboundMessage& message = job.message.message;
  if (!job.message.fault.ok()) return job.message.fault;
  if (job.handler == nullptr) {
    return absl::UnimplementedError(
        absl::StrCat("nobody here handles what is sent to ", Abs(job.message.subject)));
  }
  if (message.HeaderBytes() > options.max_metadata_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat("the message's headers are larger than ",
                                                     options.max_metadata_bytes, " bytes"));
  }
  const absl::StatusOr<WireCodec> codec = CodecOf(message);
  if (!codec.ok()) return codec.status();
  std::vector<std::unique_ptr<Message>>& spare = job.route->spare;
  if (!spare.empty() && message.body.size() <= kMostSpareBytes) {
    job.request = std::move(spare.back());
    spare.pop_back();
  } else {
    job.request.reset(job.handler->descriptor().request().New());
  }
  absl::Status parsed = DecodePayload(*codec, message.body, options.max_receive_bytes,
                                      absl::StatusCode::kInvalidArgument, job.request.get());
  if (!parsed.ok()) return parsed;
  if (options.order_by_lane) {
    job.key = job.message.key;
    job.lane = job.message.lane;
    return absl::OkStatus();
  }
  if (job.route->policy.key) {
    try {
      job.own_key = job.route->policy.key(*job.request);
    } catch (...) {
      return ForPeer(StatusFromException(std::current_exception()));
    }
    job.key = job.own_key;
  } else if (!job.route->key.empty()) {
    job.own_key = KeyAt(job.route->key, *job.request);
    job.key = job.own_key;
  } else if (const auto key = message.Find(attributes_.key)) {
    job.key = *key;
  } else {
    job.key = job.message.key;
  }
  job.lane = job.key.empty() ? job.message.lane : LaneOf(job.key);
  return absl::OkStatus();
}

void WorkerCore::Deliver(const Handler* handler, WorkerMessage&& message) {
  Count(count_.delivered);
  if (message.deliveries > 1) Count(count_.redelivered);
  if (const auto found = by_position_.find(message.position); found != by_position_.end()) {
    // The broker took us for dead. We go on, and settle what it has handed out last.
    Count(count_.duplicates);
    // Its handler may be looking at the one before.
    WorkerMessage& known = found->second->message;
    known.earlier.push_back(std::move(known.receipt));
    known.receipt = std::move(message.receipt);
    return;
  }
  auto job = std::allocate_shared<WorkerJob>(RecyclingAllocator<WorkerJob>(), this, handler,
                                             std::move(message));
  WorkerMessage& held_message = job->message;
  if (const auto event_id = held_message.message.Find(attributes_.id)) held_message.id = *event_id;
  if (options.dedupe_window != 0) job->id = Identify(held_message);
  int deferred = 0;
  if (!deferred_.empty()) {
    if (const auto found = deferred_.find(held_message.position); found != deferred_.end()) {
      deferred = found->second;
    }
  }
  job->deliveries = std::max(1, held_message.deliveries - deferred);
  by_position_.emplace(held_message.position, job);
  Count(held);
  if (handler != nullptr) job->route = &RouteOf(*handler);

  if (held_message.message.Find(attributes_.expiry) &&
      IsExpired(held_message.message, options.event_prefix)) {
    Count(count_.expired);
    handlers.CountRejected(options.transport,
                           handler == nullptr ? std::string_view(held_message.subject)
                                              : handler->descriptor().full_name,
                           absl::DeadlineExceededError("the event had expired when it came"));
    Settle(*job, Settlement::kDone);
    Over(job);
    return;
  }
  absl::Status read = Read(*job);
  if (!read.ok()) {
    handlers.CountRejected(options.transport,
                           handler == nullptr ? std::string_view(held_message.subject)
                                              : handler->descriptor().full_name,
                           read);
    job->lane = 0;
    Die(job, std::move(read));
    return;
  }
  if (cancelling_) {
    job->lane = 0;
    Return(job, milliseconds(0));
    return;
  }
  Enqueue(std::move(job));
  Pump();
}

// ---- order --------------------------------------------------------------------------------------

void WorkerCore::Enqueue(JobPtr job) {
  if (job->lane == 0) {
    Ready(std::move(job));
    return;
  }
  Lane& lane = lanes_[job->lane];
  job->state = State::kInLane;
  if (lane.open != nullptr && lane.open == job->handler && lane.queue.empty() && !job->alone) {
    // Into the same batch, where it keeps its place.
    ++lane.out;
    Ready(std::move(job));
    return;
  }
  if (lane.out == 0 && lane.queue.empty()) {
    lane.out = 1;
    Ready(std::move(job));
    return;
  }
  const std::uint64_t name = job->lane;
  lane.queue.push_back(std::move(job));
  if (lane.out == 0) NextOf(name);
}

void WorkerCore::NextOf(std::uint64_t name) {
  const auto found = lanes_.find(name);
  if (found == lanes_.end()) return;
  Lane& lane = found->second;
  if (lane.queue.empty()) {
    lanes_.erase(found);
    return;
  }
  JobPtr job = std::move(lane.queue.front());
  lane.queue.pop_front();
  lane.out = 1;
  Ready(std::move(job));
}

void WorkerCore::Ready(JobPtr job) {
  if (job->not_before > loop.Now()) {
    const Deadline when = job->not_before;
    WaitUntil(job, when, State::kWaiting);
    return;
  }
  if (!job->handler->takes_batches() || job->alone) {
    job->state = State::kReady;
    ready_.emplace_back().push_back(std::move(job));
    return;
  }
  std::unique_ptr<Buffer>& buffer = buffers_[job->handler];
  if (buffer == nullptr) buffer = std::make_unique<Buffer>(this, job->handler);
  job->state = State::kBuffered;
  if (job->lane != 0) lanes_[job->lane].open = job->handler;
  const DeliveryPolicy& policy = job->route->policy;
  buffer->jobs.push_back(std::move(job));
  if (buffer->jobs.size() >= policy.max_batch || stopping_) {
    Flush(*buffer);
  } else if (buffer->jobs.size() == 1) {
    loop.Arm(buffer.get(), loop.Now() + policy.batch_wait);
  }
}

void WorkerCore::Flush(Buffer& buffer) {
  loop.Disarm(&buffer);
  Unit jobs = std::move(buffer.jobs);
  buffer.jobs.clear();
  if (jobs.empty()) return;
  for (const JobPtr& job : jobs) {
    job->state = State::kReady;
    if (job->lane != 0) lanes_[job->lane].open = nullptr;
  }
  ready_.push_back(std::move(jobs));
}

void WorkerCore::LeaveLane(WorkerJob& job) {
  if (job.lane == 0) return;
  const auto found = lanes_.find(job.lane);
  if (found == lanes_.end()) return;
  if (--found->second.out == 0) {
    found->second.open = nullptr;
    if (found->second.queue.empty()) {
      lanes_.erase(found);
      return;
    }
    NextOf(job.lane);
  }
}

// ---- running ------------------------------------------------------------------------------------

void WorkerCore::Pump() {
  if (pumping_ || ready_.empty()) return;
  pumping_ = true;
  const auto keep = shared_from_this();
  while (source != nullptr && !ready_.empty() &&
         running.load(std::memory_order_relaxed) < options.max_concurrency) {
    Unit unit = std::move(ready_.front());
    ready_.pop_front();
    Start(std::move(unit));
  }
  pumping_ = false;
}

bool WorkerCore::Admit(const JobPtr& job) {
  if (job->state == State::kOver) return false;  // taken from here meanwhile
  if (Known(job->id)) {
    Count(count_.duplicates);
    Settle(*job, Settlement::kDone);
    Over(job);
    return false;
  }
  if (job->failures == 0 && job->deliveries > job->route->policy.max_deliveries) {
    Die(job, absl::AbortedError(absl::StrCat("delivered ", job->deliveries - 1,
                                             " times without being settled: the worker "
                                             "ended, or was taken for dead, each time")));
    return false;
  }
  job->state = State::kRunning;
  return true;
}

void WorkerCore::Start(Unit unit) {
  unit.erase(
      std::remove_if(unit.begin(), unit.end(), [this](const JobPtr& job) { return !Admit(job); }),
      unit.end());
  if (unit.empty()) return;
  // The run holds the one reference, and gives it back when it ends.
  WorkerAttempt* const attempt =
      std::make_unique<WorkerAttempt>(shared_from_this(), std::move(unit)).release();
  Count(running);
  if (running.load(std::memory_order_relaxed) >= options.max_concurrency) {
    // Busy from now on, however long ago something ended.
    last_end.store(loop.Now().time_since_epoch().count(), std::memory_order_relaxed);
  }
  attempts_.insert(attempt);
  attempt->Run();
}

void WorkerCore::OnEnd(WorkerAttempt& attempt, const absl::Status& status) {
  // The attempt keeps us.
  CountDown(running);
  last_end.store(loop.Now().time_since_epoch().count(), std::memory_order_relaxed);
  attempts_.erase(&attempt);
  if (source == nullptr) return;
  // From the back, so that those which go back to the front of their lane stand in order.
  const bool batch = attempt.jobs().size() > 1;
  for (std::size_t i = attempt.jobs().size(); i-- > 0;) {
    Decide(attempt.jobs()[i], attempt.delivery(i), status, batch);
  }
  Pump();
}

void WorkerCore::Decide(const JobPtr& job, const Delivery& delivery, const absl::Status& status,
                        bool batch) {
  const DeliveryPolicy& policy = job->route->policy;
  const bool succeeded = delivery.decision() == Delivery::Decision::kAck ||
                         (delivery.decision() == Delivery::Decision::kNone && status.ok());
  if (!succeeded && !source->Holds(job->message)) {
    Count(count_.returned);
    Over(job);
    return;
  }
  const auto backoff = [&] {
    if (delivery.delay()) return *delivery.delay();
    google::rpc::RetryInfo info;
    if (FindDetail(status, &info)) {
      return std::clamp(ToMillis(info.retry_delay()), milliseconds(0), milliseconds(86'400'000));
    }
    return BackoffAfter(policy, job->attempt(),
                        static_cast<double>(FastRandom64() >> 11) * 0x1p-53);
  };
  using Decision = Delivery::Decision;
  switch (delivery.decision()) {
    case Decision::kAck:
      Succeed(job);
      return;
    case Decision::kReject:
      Die(job, absl::AbortedError(absl::StrCat("rejected by the handler: ", delivery.why())));
      return;
    case Decision::kDefer:
      Count(count_.deferred);
      Retry(job, *delivery.delay(), /*counts=*/false);
      return;
    case Decision::kNone:
      if (status.ok()) {
        Succeed(job);
        return;
      }
      break;
    case Decision::kRetry:
      break;
  }
  absl::Status why = status.ok() ? absl::AbortedError("the handler asked for a retry") : status;
  if (cancelling_ && !status.ok()) {
    Return(job, milliseconds(0));
  } else if (batch && delivery.decision() == Decision::kNone) {
    // One of them may be the cause for all: from here on each by itself, and that counts.
    job->alone = true;
    Trouble("was in a batch that failed: is tried alone", *job, why);
    Count(count_.retries);
    Retry(job, backoff(), /*counts=*/false);
  } else if (delivery.decision() == Decision::kNone && IsFatal(policy, why.code())) {
    Die(job, std::move(why));
  } else if (job->attempt() >= policy.max_attempts) {
    Die(job, std::move(why));
  } else {
    Trouble("failed: is tried again", *job, why);
    Count(count_.retries);
    Retry(job, backoff(), /*counts=*/true);
  }
}

// ---- what becomes of a message ------------------------------------------------------------------

bool WorkerCore::Settle(WorkerJob& job, Settlement how, milliseconds delay) {
  if (source == nullptr) return false;
  if (source->Settle(job.message, how, delay).ok()) return true;
  Count(count_.settle_failures);
  return false;
}

void WorkerCore::Succeed(const JobPtr& job) {
  Remember(job->id);
  Count(count_.handled);
  if (!deferred_.empty()) deferred_.erase(job->message.position);
  Settle(*job, Settlement::kDone);
  Over(job);
}

void WorkerCore::Retry(const JobPtr& job, milliseconds delay, bool counts) {
  const RetryPlace place = job->route->policy.retry_place;
  job->message.attempts = counts ? job->attempt() : job->attempt() - 1;
  const bool at_broker = source->can_delay() && place != RetryPlace::kHere &&
                         (place == RetryPlace::kBroker || (job->lane == 0 && !job->alone));
  if (at_broker || (stopping_ && source->can_delay())) {
    if (!counts) {
      if (deferred_.size() >= kMostDeferred) deferred_.clear();
      ++deferred_[job->message.position];
    }
    Settle(*job, Settlement::kReturn, delay);
    Over(job);
    return;
  }
  if (stopping_) {
    Return(job, delay);
    return;
  }
  if (counts) ++job->failures;
  job->not_before = loop.Now() + delay;
  if (job->lane == 0) {
    Ready(job);
    return;
  }
  job->state = State::kInLane;
  lanes_[job->lane].queue.push_front(job);
  LeaveLane(*job);
}

void WorkerCore::Die(const JobPtr& job, absl::Status cause) {
  job->cause = std::move(cause);
  job->state = State::kDying;
  Trouble("is a dead letter", *job, job->cause);
  WriteDeadLetter(job);
}

void WorkerCore::WriteDeadLetter(const JobPtr& job) {
  DeadLetterCause cause;
  cause.status = job->cause;
  cause.attempts = job->route == nullptr || job->request == nullptr ? 0 : job->attempt();
  if (job->handler != nullptr) cause.method = job->handler->descriptor().full_name;
  source->WriteDeadLetter(job->message, cause,
                          [core = weak_from_this(), job](const absl::Status& written) {
                            if (const auto self = core.lock()) self->OnDeadLetter(job, written);
                          });
}

void WorkerCore::OnDeadLetter(const JobPtr& job, const absl::Status& written) {
  if (source == nullptr || job->state != State::kDying) return;
  if (written.ok()) {
    Count(count_.dead_letters);
    deferred_.erase(job->message.position);
    // Not remembered: one that is sent again is to be handled.
    Settle(*job, Settlement::kDead);
    Over(job);
    Pump();
    return;
  }
  Count(count_.refused);
  Trouble("cannot be written as a dead letter: is held", *job, written);
  {
    const std::scoped_lock lock(mutex_);
    last_refusal_ = written;
  }
  if (job->deaths++ == 0) Count(refused_now_);
  milliseconds wait = options.dead_letter_backoff;
  for (int i = 1; i < job->deaths && wait < options.max_dead_letter_backoff; ++i) wait *= 2;
  WaitUntil(job, loop.Now() + std::min(wait, options.max_dead_letter_backoff), State::kDying);
}

void WorkerCore::Return(const JobPtr& job, milliseconds delay) {
  Count(count_.returned);
  Settle(*job, Settlement::kReturn, delay);
  Over(job);
}

void WorkerCore::Over(const JobPtr& job) {
  if (job->state == State::kOver) return;
  if (job->deaths > 0) CountDown(refused_now_);
  job->state = State::kOver;
  by_position_.erase(job->message.position);
  LeaveLane(*job);
  if (job->request != nullptr && job->route->plain && job->route->spare.size() < kMostSpare &&
      job->message.message.body.size() <= kMostSpareBytes) {
    job->request->Clear();
    job->route->spare.push_back(std::move(job->request));
  }
  if (source != nullptr) source->OnRoom();
  CountDown(held);
  if (held.load(std::memory_order_relaxed) == 0 && on_idle) on_idle();
}

Fingerprint WorkerCore::Identify(const WorkerMessage& message) const {
  // CloudEvents: an id is unique within its source. The broker's own ids may be used again.
  if (const auto id = message.message.Find(attributes_.id)) {
    const auto source_of_it = message.message.Find(attributes_.source).value_or("");
    return {absl::HashOf(seed_.high, Abs(source_of_it), Abs(*id)),
            absl::HashOf(seed_.low, Abs(source_of_it), Abs(*id))};
  }
  return {absl::HashOf(seed_.high, message.position), absl::HashOf(seed_.low, message.position)};
}

void WorkerCore::Remember(const Fingerprint& id) {
  if (options.dedupe_window == 0 || !known_.insert(id).second) return;
  known_order_.push_back(id);
  if (known_order_.size() > options.dedupe_window) {
    known_.erase(known_order_.front());
    known_order_.pop_front();
  }
}

// ---- time ---------------------------------------------------------------------------------------

void WorkerCore::WaitUntil(const JobPtr& job, Deadline when, State state) {
  job->state = state;
  job->me = job;
  Count(count_.waiting);
  loop.Arm(&job->timer, when);
}

void WorkerCore::StopWaiting(WorkerJob& job) {
  if (job.me == nullptr) return;
  loop.Disarm(&job.timer);
  CountDown(count_.waiting);
  job.me = nullptr;  // the caller has another
}

void WorkerCore::OnTimer(WorkerJob& job) {
  const auto keep = shared_from_this();
  const JobPtr due = std::move(job.me);
  job.me = nullptr;
  CountDown(count_.waiting);
  if (due->state == State::kDying) {
    WriteDeadLetter(due);
  } else {
    due->not_before = Deadline::min();
    Ready(due);
  }
  Pump();
}

void WorkerCore::KeepAlive() {
  for (const JobPtr& job : All()) {
    if (source != nullptr && job->state != State::kOver) source->KeepAlive(job->message);
  }
}

std::vector<JobPtr> WorkerCore::All() const {
  std::vector<JobPtr> all;
  all.reserve(by_position_.size());
  for (const auto& [position, job] : by_position_) all.push_back(job);
  return all;
}

// ---- the end ------------------------------------------------------------------------------------

bool WorkerCore::Unstart(const JobPtr& job) {
  switch (job->state) {
    case State::kInLane: {
      // Nothing of the lane is out because of it: it only goes from the line.
      lanes_[job->lane].queue.remove(job);
      ++lanes_[job->lane].out;
      return true;
    }
    case State::kBuffered: {
      auto& jobs = buffers_[job->handler]->jobs;
      jobs.erase(std::remove(jobs.begin(), jobs.end(), job), jobs.end());
      return true;
    }
    case State::kReady:
      return true;  // passed over when its turn comes
    case State::kWaiting:
      StopWaiting(*job);
      return true;
    case State::kDying:
      StopWaiting(*job);
      return true;
    case State::kRunning:
    case State::kOver:
      return false;
  }
  return false;
}

void WorkerCore::StopIntake() {
  stopping_ = true;
  for (const JobPtr& job : All()) {
    if (job->state != State::kWaiting || !source->can_delay()) continue;
    const auto left =
        std::chrono::duration_cast<milliseconds>(job->not_before - loop.Now()) + milliseconds(1);
    StopWaiting(*job);
    Return(job, std::max(left, milliseconds(0)));
  }
  std::vector<Buffer*> buffers;
  for (const auto& [handler, buffer] : buffers_) buffers.push_back(buffer.get());
  for (Buffer* const buffer : buffers) Flush(*buffer);
  Pump();
}

void WorkerCore::CancelAll(const absl::Status& reason) {
  stopping_ = true;
  cancelling_ = true;
  pumping_ = true;  // what becomes free starts nothing
  for (const JobPtr& job : All()) {
    if (Unstart(job)) Return(job, milliseconds(0));
  }
  pumping_ = false;
  std::vector<ContextRef> attempts;
  for (WorkerAttempt* const attempt : attempts_) attempts.emplace_back(attempt);
  for (const ContextRef& attempt : attempts) attempt->cancel_source().Cancel(reason);
}

std::size_t WorkerCore::Forget(const std::function<bool(const WorkerMessage&)>& which) {
  std::size_t left = 0;
  const bool pumping = std::exchange(pumping_, true);
  for (const JobPtr& job : All()) {
    if (job->state == State::kOver || !which(job->message)) continue;
    if (Unstart(job)) {
      Over(job);
    } else {
      ++left;
    }
  }
  pumping_ = pumping;
  Pump();
  return left;
}

void WorkerCore::Abandon() {
  source = nullptr;
  on_idle = nullptr;
  loop.Disarm(&keep_alive_timer_);
  for (auto& [handler, buffer] : buffers_) loop.Disarm(buffer.get());
  for (const JobPtr& job : All()) StopWaiting(*job);
  std::vector<ContextRef> attempts;
  for (WorkerAttempt* const attempt : attempts_) attempts.emplace_back(attempt);
  for (const ContextRef& attempt : attempts) {
    attempt->cancel_source().Cancel(absl::UnavailableError("the worker is shutting down"));
  }
  by_position_.clear();
  lanes_.clear();
  ready_.clear();
  buffers_.clear();
}

// ---- what can be seen ---------------------------------------------------------------------------

absl::Status WorkerCore::Health() const {
  if (refused_now_.load(std::memory_order_relaxed) > 0) {
    const std::scoped_lock lock(mutex_);
    return absl::Status(
        last_refusal_.code(),
        absl::StrCat(options.name, ": dead letters cannot be written: ", last_refusal_.message()));
  }
  if (options.stuck_after.count() > 0 &&
      running.load(std::memory_order_relaxed) >= options.max_concurrency) {
    const Deadline last{Deadline::duration(last_end.load(std::memory_order_relaxed))};
    if (loop.Now() - last > options.stuck_after) {
      return absl::UnavailableError(absl::StrCat(options.name, ": all ", options.max_concurrency,
                                                 " handlers are busy, and none has ended for ",
                                                 options.stuck_after.count(), " ms"));
    }
  }
  return absl::OkStatus();
}

WorkerSnapshot WorkerCore::Stats() const {
  const auto get = [](const auto& counter) {
    return static_cast<std::uint64_t>(counter.load(std::memory_order_relaxed));
  };
  WorkerSnapshot stats;
  stats.name = options.name;
  stats.transport = options.transport;
  stats.held = get(held);
  stats.running = get(running);
  stats.waiting = get(count_.waiting);
  stats.delivered = get(count_.delivered);
  stats.redelivered = get(count_.redelivered);
  stats.duplicates = get(count_.duplicates);
  stats.handled = get(count_.handled);
  stats.retries = get(count_.retries);
  stats.deferred = get(count_.deferred);
  stats.returned = get(count_.returned);
  stats.expired = get(count_.expired);
  stats.dead_letters = get(count_.dead_letters);
  stats.dead_letters_refused = get(count_.refused);
  stats.settle_failures = get(count_.settle_failures);
  return stats;
}

}  // namespace internal

void AddDeadLetter(const WorkerMessage& message, const DeadLetterCause& cause,
                   OutboundMessage* out) {
  for (const WireField& field : message.message.fields) {
    // A dead letter that was sent to be handled again, and died again, says why it died now.
    if (absl::StartsWithIgnoreCase(internal::Abs(field.name), "rookery-dead-")) continue;
    // What the broker says of a message, or is told with one, is not the message's own.
    if (absl::StartsWithIgnoreCase(internal::Abs(field.name), "nats-")) continue;
    out->Add(field.name, field.value);
  }
  out->body = message.message.body;
  const absl::Status shown = ForPeer(cause.status);
  out->AddKept(kDeadCode, absl::StrCat(static_cast<int>(shown.code())));
  constexpr std::size_t kMostCause = 1'024;
  out->AddKept(kDeadCause, PercentEncode(internal::Std(shown.message()).substr(0, kMostCause)));
  out->AddKept(kDeadAttempts, absl::StrCat(cause.attempts));
  out->AddKept(kDeadDeliveries, absl::StrCat(message.deliveries));
  out->AddKept(kDeadOrigin,
               PercentEncode(message.receipt == nullptr ? "" : message.receipt->Origin()));
  out->AddKept(kDeadSubject, PercentEncode(message.subject));
  if (!cause.method.empty()) out->AddKept(kDeadMethod, std::string(cause.method));
  out->AddKept(kDeadTime,
               absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone()));
}

WorkerEngine::WorkerEngine(Loop& loop, const HandlerRegistry& handlers, WorkerSource& source,
                           Options options)
    : core_(std::make_shared<internal::WorkerCore>(loop, handlers, source, std::move(options))) {
  // Timers are the loop's own affair.
  loop.Post([core = core_] { core->ArmKeepAlive(); });
}

WorkerEngine::~WorkerEngine() { core_->Abandon(); }

absl::Status WorkerEngine::Check(const Handler& handler, const DeliveryPolicy& otherwise) {
  const absl::Status checked =
      CheckDeliveryPolicy(internal::PolicyOf(handler, otherwise), &handler.descriptor().request());
  if (checked.ok()) return checked;
  return absl::Status(checked.code(), absl::StrCat("the delivery policy of ",
                                                   internal::Abs(handler.descriptor().full_name),
                                                   ": ", checked.message()));
}

void WorkerEngine::Deliver(const Handler* handler, WorkerMessage&& message) {
  core_->Deliver(handler, std::move(message));
}
std::size_t WorkerEngine::room() const noexcept {
  const std::size_t held = core_->held.load(std::memory_order_relaxed);
  return held >= core_->options.max_held ? 0 : core_->options.max_held - held;
}
void WorkerEngine::StopIntake() { core_->StopIntake(); }
void WorkerEngine::CancelAll(const absl::Status& reason) { core_->CancelAll(reason); }
std::size_t WorkerEngine::Forget(const std::function<bool(const WorkerMessage&)>& which) {
  return core_->Forget(which);
}
void WorkerEngine::ForEach(
    const std::function<void(const WorkerMessage&, bool started)>& tell) const {
  core_->ForEach(tell);
}
std::size_t WorkerEngine::held() const noexcept {
  return core_->held.load(std::memory_order_acquire);
}
void WorkerEngine::set_on_idle(std::function<void()> on_idle) {
  core_->on_idle = std::move(on_idle);
}
absl::Status WorkerEngine::Health() const { return core_->Health(); }
WorkerSnapshot WorkerEngine::Stats() const { return core_->Stats(); }

}  // namespace rookery
