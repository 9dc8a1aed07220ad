// Faults over Kafka: what a topic has said it has is handled, whoever dies.
//
// Most run on librdkafka's mock brokers, in a process of their own; what these cannot show, on a
// real Apache Kafka where there is Java and deploy/kafka/fetch has been able to bring it. Each line
// says which.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "echo.rookery.h"
#include "faults.h"
#include "kafka_shared.h"
#include "process.h"
#include "rookery/app/application.h"
#include "rookery/module/dynamic_module.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/platform/log.h"
#include "rookery/rpc/worker.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/runtime/when.h"
#include "rookery/transports/kafka.h"
#include "support/fault_journal.h"
#include "support/kafka_broker.h"
#include "support/mock_kafka.h"
#include "support/tcp_fault_proxy.h"

namespace rookery::faults {
namespace {

using rookery::testing::Classify;
using rookery::testing::EchoReply;
using rookery::testing::EchoRequest;
using rookery::testing::FaultJournal;
using rookery::testing::JournalEntry;
using rookery::testing::KafkaBroker;
using rookery::testing::KafkaBrokerOptions;
using rookery::testing::KafkaPeek;
using rookery::testing::MonotonicNs;
using rookery::testing::PeekedRecord;
using rookery::testing::ReadJournal;
using rookery::testing::RecoveryMs;
using rookery::testing::TcpFaultProxy;
using rookery::testing::Verdict;
using std::chrono::milliseconds;

using Arguments = std::vector<std::string>;

constexpr char kSaid[] = "faults.said";
constexpr char kDead[] = "faults.said.DLT";
constexpr char kMade[] = "faults.made";  // what transactions make of it
constexpr char kGroup[] = "faults";
constexpr int kPartitions = 12;

void Wait(int ms) { std::this_thread::sleep_for(milliseconds(ms)); }

// ---- roles --------------------------------------------------------------------------------------

Kafka KafkaAt(const Arguments& arguments) {
  Kafka kafka{.brokers = Flag(arguments, "brokers")};
  kafka.settings["fetch.wait.max.ms"] = "20";
  kafka.settings["retry.backoff.ms"] = "50";
  kafka.settings["reconnect.backoff.ms"] = "20";
  kafka.settings["reconnect.backoff.max.ms"] = "300";
  kafka.settings["topic.metadata.refresh.fast.interval.ms"] = "50";
  kafka.prefix = Flag(arguments, "prefix");
  kafka.topics = KafkaTopics::kCheck;
  return kafka;
}

// What a worker is told of its own end.
struct Fate {
  std::string at;  // handler, effect, returned, uncommitted; empty: lives
  long after = 0;  // so many events
  bool transactional = false;
  long random_delay_ms = 0;
  std::string made;
};

// Events carry their id as text, and their key in `count`.
class SaidController final {
 public:
  SaidController(FaultJournal& journal, Fate& fate) : journal_(journal), fate_(fate) {}

  Task<void> OnSaid(CallContext& call, const EchoRequest& event) {
    const std::uint64_t id = std::strtoull(event.text().c_str(), nullptr, 10);
    const bool last = ++seen_ == fate_.after;
    if (last && fate_.at == "handler") Die();
    if (event.fail_code() != 0) {
      const Delivery* const delivery = Delivery::Of(call);
      journal_.Write('T', id);
      // A negative one fails once, and is done at its second attempt.
      if (event.fail_code() > 0 || delivery == nullptr || delivery->attempt() == 1) {
        co_await Fail(
            absl::Status(static_cast<absl::StatusCode>(std::abs(event.fail_code())), "as told"));
      }
    }
    if (fate_.transactional) {
      Task<void> made = Make(call, event, id);
      co_await std::move(made);
      co_return;
    }
    std::int64_t delay_ms = event.delay_ms();
    if (fate_.random_delay_ms > 0) {
      delay_ms = static_cast<std::int64_t>(id * 2'654'435'761U % 97) % fate_.random_delay_ms;
    }
    if (delay_ms > 0) co_await Sleep(milliseconds(delay_ms));
    if (const KafkaRecordInfo* record = KafkaRecordInfo::Of(call)) {
      journal_.Write('O', Position(record->position.partition, record->position.offset));
    }
    journal_.Write('H', id, event.count());
    if (!last) co_return;
    if (fate_.at == "effect") Die();
    if (fate_.at == "returned") Loop::Current()->Post([] { Die(); });
    if (fate_.at == "uncommitted") {
      std::thread([] {
        Wait(300);
        Die();
      }).detach();
    }
  }
  static void Configure(ControllerBuilder& controller) {
    controller.Event(kSaid, &SaidController::OnSaid);
  }
  static std::uint64_t Position(std::int32_t partition, std::int64_t offset) {
    return (static_cast<std::uint64_t>(partition) << 40) | static_cast<std::uint64_t>(offset);
  }

 private:
  static void Die() { kill(getpid(), SIGKILL); }

  Task<void> Make(CallContext& call, const EchoRequest& event, std::uint64_t id) {
    Task<KafkaTransaction> beginning = KafkaTransaction::Begin(call);
    KafkaTransaction transaction = co_await std::move(beginning);
    KafkaRecord record;
    record.topic = fate_.made;
    record.key = std::to_string(event.count());
    record.value = event.text();
    transaction.Send(record);
    if (event.delay_ms() > 0) co_await Sleep(milliseconds(event.delay_ms()));
    Task<void> committing = transaction.Commit();
    const absl::Status committed = co_await AsStatusOr(std::move(committing));
    if (committed.code() == absl::StatusCode::kAborted) journal_.Write('Z', id);
    if (!committed.ok()) co_await Fail(committed);
    journal_.Write('H', id, event.count());
  }

  FaultJournal& journal_;
  Fate& fate_;
  long seen_ = 0;
};

int WorkerRole(const Arguments& arguments) {
  HearTermination();
  FaultJournal journal(Flag(arguments, "journal"), FaultJournal::Sync::kKernel);
  Kafka kafka = KafkaAt(arguments);
  kafka.group = kGroup;
  kafka.session_timeout = milliseconds(NumberFlag(arguments, "session_ms", 1'500));
  kafka.heartbeat_interval = milliseconds(200);
  kafka.start_timeout = milliseconds(60'000);
  kafka.max_poll_interval = milliseconds(NumberFlag(arguments, "max_poll_ms", 30'000));
  kafka.commit_interval = milliseconds(NumberFlag(arguments, "commit_ms", 100));
  kafka.rebalance_grace = milliseconds(NumberFlag(arguments, "grace_ms", 5'000));
  kafka.concurrency = static_cast<std::size_t>(NumberFlag(arguments, "concurrency", 64));
  kafka.transactional_id = Flag(arguments, "transactional_id");
  kafka.transaction_timeout = milliseconds(10'000);
  kafka.policy.max_attempts = static_cast<int>(NumberFlag(arguments, "attempts", 3));
  kafka.policy.jitter = 0;
  kafka.policy.backoff = {milliseconds(10), milliseconds(20), milliseconds(40)};
  kafka.policy.max_deliveries = 1'000;
  Fate fate;
  fate.at = Flag(arguments, "die_at");
  fate.after = NumberFlag(arguments, "die_after", 0);
  fate.transactional = !kafka.transactional_id.empty();
  fate.random_delay_ms = NumberFlag(arguments, "random_delay_ms", 0);
  fate.made = kafka.prefix + kMade;
  struct WorkerModule {};
  DynamicModule module = DynamicModule::Of<WorkerModule>();
  module.ProvideValue(std::ref(journal)).ProvideValue(std::ref(fate)).Controller<SaidController>();
  ApplicationOptions options;
  options.loop_threads = 1;
  options.signals = {};
  options.log.level =
      getenv("ROOKERY_FAULTS_VERBOSE") == nullptr ? LogLevel::kOff : LogLevel::kInfo;
  const auto said = std::make_shared<CapturingSink>();
  if (NumberFlag(arguments, "watch_commits", 0) != 0) {
    options.log.level = LogLevel::kInfo;
    options.log.sink = said;
  }
  Application app = Application::Create(std::move(module), std::move(options));
  app.Listen(std::move(kafka));
  app.Start();
  Say("READY");
  Obey([](const std::string&) {});
  app.Close();
  // Where the commits that were refused would have brought the group.
  for (const std::string& line : said->lines()) {
    if (line.find("a commit was refused") == std::string::npos) continue;
    for (std::size_t at = line.find("]@"); at != std::string::npos; at = line.find("]@", at + 1)) {
      const std::size_t partition = line.rfind('[', at) + 1;
      journal.Write('R', SaidController::Position(std::atoi(line.c_str() + partition),
                                                  std::atoll(line.c_str() + at + 2)));
    }
  }
  return 0;
}

KafkaRecord RecordOf(const std::string& topic, const EchoRequest& event) {
  KafkaRecord record;
  record.topic = topic;
  record.key = std::to_string(event.count());
  record.value = event.SerializeAsString();
  record.headers = {{"ce_specversion", "1.0"},
                    {"ce_id", "event-" + event.text()},
                    {"ce_source", "faults"},
                    {"ce_type", kSaid},
                    {"content-type", "application/protobuf"}};
  return record;
}

// Sends ids from `from` on, each caller those of a key of its own. One that fails is sent again, as
// the same, until the brokers have it, or `attempts` are over.
int PublisherRole(const Arguments& arguments) {
  FaultJournal journal(Flag(arguments, "journal"), FaultJournal::Sync::kDisk);
  const long count = NumberFlag(arguments, "count", 1'000);
  const long callers = NumberFlag(arguments, "callers", 8);
  const long from = NumberFlag(arguments, "from", 1);
  const long keys = NumberFlag(arguments, "keys", 0);  // of each caller, Zipf; 0: one
  const long fail_every = NumberFlag(arguments, "fail_every", 0);
  const long attempts = NumberFlag(arguments, "attempts", 200);
  Kafka kafka = KafkaAt(arguments);
  kafka.delivery_timeout = milliseconds(NumberFlag(arguments, "delivery_ms", 20'000));
  if (const std::string in_flight = Flag(arguments, "in_flight"); !in_flight.empty()) {
    kafka.settings["max.in.flight.requests.per.connection"] = in_flight;
  }
  const std::shared_ptr<KafkaProducer> producer = KafkaProducer::Open(kafka);
  const std::string topic = kafka.prefix + kSaid;
  std::atomic<long> next{0};
  std::vector<std::thread> threads;
  for (long caller = 0; caller < callers; ++caller) {
    threads.emplace_back([&, caller] {
      std::mt19937_64 random(static_cast<std::uint64_t>(from + caller));
      for (long i = next.fetch_add(1); i < count; i = next.fetch_add(1)) {
        const auto id = static_cast<std::uint64_t>(from + i);
        std::int64_t key = from * 1'000 + caller + 1;
        if (keys > 0) {
          const double uniform = std::uniform_real_distribution<double>(0, 1)(random);
          key += 100 * static_cast<std::int64_t>(std::pow(static_cast<double>(keys), uniform));
        }
        EchoRequest event;
        event.set_text(std::to_string(id));
        event.set_count(static_cast<int>(key));
        event.set_delay_ms(static_cast<int>(NumberFlag(arguments, "delay_ms", 0)));
        if (fail_every == 0 || id % static_cast<std::uint64_t>(fail_every) == 0) {
          event.set_fail_code(static_cast<int>(NumberFlag(arguments, "fail_code", 0)));
        }
        journal.Write('I', id, key);
        for (long attempt = 1;; ++attempt) {
          const absl::Status sent = SyncWaitStatus(producer->Send(RecordOf(topic, event))).status();
          if (sent.ok()) {
            journal.Write('A', id);
            break;
          }
          if (attempt >= attempts) {
            journal.Write('F', id, static_cast<int>(sent.code()));
            break;
          }
          Wait(20);
        }
        Wait(static_cast<int>(NumberFlag(arguments, "gap_ms", 0)));
      }
    });
  }
  Say("READY");
  for (std::thread& thread : threads) thread.join();
  Say("DONE");
  return 0;
}

// More than the brokers take: what became of it, and how much was under way at most.
struct Flood {
  KafkaProducer* producer = nullptr;
  std::string topic;
  std::size_t stored = 0;
  std::size_t refused = 0;
  std::size_t failed = 0;
  std::size_t most = 0;
};

Task<void> FloodOne(Flood* flood) {
  KafkaRecord record;
  record.topic = flood->topic;
  record.value = std::string(4'096, 'x');
  Task<KafkaPosition> sending = flood->producer->Send(std::move(record));
  const absl::StatusOr<KafkaPosition> sent = co_await AsStatusOr(std::move(sending));
  if (sent.ok()) {
    ++flood->stored;
  } else if (sent.status().code() == absl::StatusCode::kResourceExhausted) {
    ++flood->refused;
  } else {
    ++flood->failed;
  }
  flood->most = std::max(flood->most, flood->producer->pending());
}

Task<void> FloodAll(Loop* loop, Flood* flood, long count) {
  co_await ResumeOn(*loop);
  std::vector<Task<void>> all;
  for (long i = 0; i < count; ++i) all.push_back(FloodOne(flood));
  co_await WhenAll(std::move(all));
}

int FloodRole(const Arguments& arguments) {
  Kafka kafka = KafkaAt(arguments);
  kafka.max_pending = static_cast<std::size_t>(NumberFlag(arguments, "max_pending", 200));
  kafka.when_full = Flag(arguments, "full") == "fail" ? KafkaWhenFull::kFail : KafkaWhenFull::kWait;
  kafka.delivery_timeout = milliseconds(60'000);
  const std::shared_ptr<KafkaProducer> producer = KafkaProducer::Open(kafka);
  Flood flood;
  flood.producer = producer.get();
  flood.topic = kSaid;
  LoopPool loops(LoopPool::Options{.threads = 1});
  SyncWait(FloodAll(&loops.Pick(), &flood, NumberFlag(arguments, "count", 1'000)));
  Say("READY " + std::to_string(flood.stored) + " " + std::to_string(flood.refused) + " " +
      std::to_string(flood.failed) + " " + std::to_string(flood.most));
  Obey([](const std::string&) {});
  return 0;
}

int MockRole(const Arguments& arguments) { return rookery::testing::RunMockKafka(arguments); }

// ---- tests --------------------------------------------------------------------------------------

// Brokers, workers that are killed and started again, publishers.
class Stage final {
 public:
  enum class On : std::uint8_t { kMock, kReal };
  Stage(const Environment& environment, On on, Arguments worker = {}, int brokers = 1)
      : folder_(environment.folder), worker_(std::move(worker)) {
    if (on == On::kMock) {
      mock_ = std::make_unique<Process>(
          Arguments{"mock-kafka", "--brokers=" + std::to_string(brokers),
                    std::string("--topic=") + kSaid + ":" + std::to_string(kPartitions),
                    std::string("--topic=") + kDead + ":1"});
      brokers_ = mock_->Expect("READY");
      name_ = "mock brokers";
      // They wait three seconds for the first members of a group, and forget in the meantime who
      // has a shorter session; every later rebalance takes them a second less than a session.
      worker_.insert(worker_.begin(), "--session_ms=3500");
    } else {
      UseReal(SharedKafka());
    }
  }
  // A real one of its own, which may be killed.
  Stage(const Environment& environment, KafkaBrokerOptions options, Arguments worker = {})
      : folder_(environment.folder), worker_(std::move(worker)) {
    std::string why;
    own_ = KafkaBroker::Start(options, &why);
    if (own_ == nullptr) throw Skip(why);
    UseReal(*own_);
  }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::string& brokers() const { return brokers_; }
  [[nodiscard]] std::string Topic(const char* name) const { return prefix_ + name; }
  [[nodiscard]] KafkaPeek peek() const { return KafkaPeek(brokers_); }
  [[nodiscard]] KafkaBroker& own() { return *own_; }
  // `count` of them, which join together.
  void StartWorkers(int count) {
    const std::size_t first = workers_.size();
    for (int i = 0; i < count; ++i) workers_.push_back(Launch({}));
    for (std::size_t i = first; i < workers_.size(); ++i) workers_[i].Expect("READY");
  }
  // To the mock.
  void Tell(const std::string& line) { (void)mock_->Ask(line); }

  [[nodiscard]] Process Publish(long from, long count, Arguments more = {}) {
    const std::string journal = folder_ / ("publisher-" + std::to_string(asked_.size()));
    asked_.push_back(journal);
    more.insert(more.begin(), {"kafka-publisher", "--brokers=" + brokers_, "--journal=" + journal,
                               "--from=" + std::to_string(from), "--count=" + std::to_string(count),
                               "--prefix=" + prefix_});
    Process publisher(more);
    publisher.Expect("READY");
    return publisher;
  }
  std::size_t StartWorker(const Arguments& more = {}) {
    workers_.push_back(Launch(more));
    workers_.back().Expect("READY");
    return workers_.size() - 1;
  }
  // Without waiting for it.
  void Restart(std::size_t index) { workers_[index] = Launch({}); }
  Process& worker(std::size_t index) { return workers_[index]; }
  [[nodiscard]] std::size_t workers() const { return workers_.size(); }

  [[nodiscard]] std::vector<JournalEntry> Asked() const {
    std::vector<JournalEntry> all;
    for (const std::string& path : asked_) {
      const std::vector<JournalEntry> one = ReadJournal(path);
      all.insert(all.end(), one.begin(), one.end());
    }
    return all;
  }
  [[nodiscard]] std::vector<std::vector<JournalEntry>> Handled(char kind = 'H') const {
    std::vector<std::vector<JournalEntry>> all;
    for (const std::string& path : handled_) {
      std::vector<JournalEntry> one = ReadJournal(path);
      std::erase_if(one, [kind](const JournalEntry& entry) { return entry.kind != kind; });
      all.push_back(std::move(one));
    }
    return all;
  }
  [[nodiscard]] std::size_t Count(char kind) const {
    std::size_t sum = 0;
    for (const auto& journal : Handled(kind)) sum += journal.size();
    return sum;
  }
  // When the group has committed all there is; false if that does not come about.
  [[nodiscard]] bool AwaitSettled(std::chrono::seconds most = std::chrono::seconds(60)) {
    const auto end = std::chrono::steady_clock::now() + most;
    while (std::chrono::steady_clock::now() < end) {
      if (peek().Lag(kGroup, Topic(kSaid)) == 0) return true;
      Wait(100);
    }
    return false;
  }
  // SIGTERM to all; how many of them did not end as they should.
  int Close() {
    int unclean = 0;
    for (Process& worker : workers_) {
      if (!worker.running()) continue;
      worker.Terminate();
      if (worker.Wait() != 0) ++unclean;
    }
    return unclean;
  }

 private:
  void UseReal(const KafkaBroker& broker) {
    brokers_ = broker.plain();
    prefix_ = FreshPrefix();
    name_ = "Apache Kafka";
    peek().CreateTopic(prefix_ + kSaid, kPartitions);
    peek().CreateTopic(prefix_ + kDead, 1);
    peek().CreateTopic(prefix_ + kMade, kPartitions);
    worker_.push_back("--prefix=" + prefix_);
  }
  Process Launch(const Arguments& more) {
    const std::string journal = folder_ / ("worker-" + std::to_string(handled_.size()));
    handled_.push_back(journal);
    Arguments arguments = {"kafka-worker", "--brokers=" + brokers_, "--journal=" + journal};
    arguments.insert(arguments.end(), worker_.begin(), worker_.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Process(arguments);
  }

  const std::filesystem::path folder_;
  Arguments worker_;
  std::string name_;
  std::string brokers_;
  std::string prefix_;
  std::unique_ptr<KafkaBroker> own_;
  std::unique_ptr<Process> mock_;
  std::vector<Process> workers_;
  std::vector<std::string> asked_;
  std::vector<std::string> handled_;
};

bool LostNothing(const Verdict& verdict) {
  return verdict.lost == 0 && verdict.phantom == 0 && verdict.unfinished == 0 &&
         verdict.failed == 0 && verdict.acked > 0;
}

void Finish(std::vector<Process>& publishers) {
  for (Process& publisher : publishers) {
    publisher.Expect("DONE", std::chrono::seconds(180));
    publisher.Wait();
  }
}

std::string With(const Stage& stage, const std::string& remark) {
  return stage.name() + "; " + remark;
}

// The rest of a test that kills: all is settled in the end, and nothing lost.
Row Sum(Stage& stage, const std::vector<std::int64_t>& faults, const std::string& remark) {
  const bool settled = stage.AwaitSettled();
  const std::vector<JournalEntry> asked = stage.Asked();
  const Verdict verdict = Classify(asked, stage.Handled());
  Row row = RowOf(verdict);
  // Another instance may handle what comes later first: order is promised within one that lives.
  row.reordered = 0;
  if (!faults.empty()) row.recovery_ms = std::max(0.0, RecoveryMs(asked, {faults.front()}));
  row.ok = settled && LostNothing(verdict);
  row.remark = With(stage, remark);
  if (!settled) row.remark += "; not all was committed";
  return row;
}

Row KillWorkers(const Environment& environment, Stage::On on) {
  Stage stage(environment, on);
  std::mt19937_64 random(environment.seed);
  const long count = environment.longer ? 25'000 : 3'000;
  stage.StartWorkers(3);
  std::vector<Process> publishers;
  publishers.push_back(stage.Publish(1, count, {"--delay_ms=1", "--gap_ms=10"}));
  publishers.push_back(stage.Publish(1'000'001, count, {"--delay_ms=1", "--gap_ms=10"}));
  std::vector<std::int64_t> faults;
  const int kills = environment.longer ? 20 : 4;
  for (int i = 0; i < kills; ++i) {
    Wait(static_cast<int>(500 + random() % 500));
    const std::size_t victim = random() % stage.workers();
    stage.worker(victim).Kill();
    faults.push_back(MonotonicNs());
    Wait(static_cast<int>(random() % 200));
    stage.Restart(victim);
  }
  Finish(publishers);
  return Sum(stage, faults, std::to_string(kills) + " kills of 3 workers");
}

// In the worst moment there is, by the worker itself.
Row CrashAt(const Environment& environment, const std::string& at) {
  const bool uncommitted = at == "uncommitted";
  Stage stage(environment, Stage::On::kMock);
  std::vector<Process> publishers;
  publishers.push_back(stage.Publish(1, 300, {"--delay_ms=10"}));
  Finish(publishers);
  stage.StartWorker({"--die_at=" + at, "--die_after=150",
                     uncommitted ? "--commit_ms=60000" : "--commit_ms=20", "--concurrency=8"});
  const int code = stage.worker(0).Wait();
  stage.StartWorker();
  Row row = Sum(stage, {}, at);
  // 150 were done: what was in hand may come again, and what was not committed.
  row.ok = row.ok && code == 128 + SIGKILL && (uncommitted || row.duplicates < 100);
  return row;
}

Row CrashPoints(const Environment& environment) {
  const std::vector<std::string> points = {"handler", "effect", "returned", "uncommitted"};
  std::vector<Row> rows(points.size());
  // Side by side: most of it is waiting for the group. A child lives no longer than its thread.
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < points.size(); ++i) {
    threads.emplace_back([&, i] {
      Environment one = environment;
      one.folder = environment.folder / points[i];
      std::filesystem::create_directory(one.folder);
      try {
        rows[i] = CrashAt(one, points[i]);
      } catch (const std::exception& error) {
        rows[i].remark = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Row all;
  all.ok = true;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const Row& row = rows[i];
    all.acked += row.acked;
    all.lost += row.lost;
    all.duplicates += row.duplicates;
    all.phantom += row.phantom;
    all.ok = all.ok && row.ok;
    all.remark += (i == 0 ? "mock brokers; duplicates: " : ", ") + points[i] + " " +
                  std::to_string(row.duplicates) + (row.ok ? "" : " (" + row.remark + ")");
  }
  return all;
}

Row ParallelByKey(const Environment& environment) {
  Stage stage(environment, Stage::On::kMock,
              {"--random_delay_ms=20", "--concurrency=32", "--commit_ms=20"});
  const long count = environment.longer ? 20'000 : 4'000;
  std::vector<Process> publishers;
  publishers.push_back(
      stage.Publish(1, count, {"--keys=125", "--fail_code=-14", "--fail_every=100"}));
  Finish(publishers);
  stage.StartWorker();
  const std::int64_t began = MonotonicNs();
  // What is committed must have been done by then. Journals are read after the offsets were.
  std::uint64_t passed = 0;
  int looks = 0;
  std::int64_t lag = 1;
  for (; lag > 0 && MonotonicNs() - began < 60'000'000'000; ++looks) {
    const std::vector<std::int64_t> committed = stage.peek().Committed(kGroup, stage.Topic(kSaid));
    std::set<std::uint64_t> done;
    for (const auto& journal : stage.Handled('O')) {
      for (const JournalEntry& entry : journal) done.insert(entry.id);
    }
    for (int partition = 0; partition < kPartitions; ++partition) {
      for (std::int64_t i = 0; i < committed[static_cast<std::size_t>(partition)]; ++i) {
        if (!done.contains(SaidController::Position(partition, i))) ++passed;
      }
    }
    lag = stage.peek().Lag(kGroup, stage.Topic(kSaid));
  }
  const Verdict verdict = Classify(stage.Asked(), stage.Handled());
  std::vector<std::int64_t> times;
  for (const auto& journal : stage.Handled()) {
    for (const JournalEntry& entry : journal) times.push_back(entry.at_ns);
  }
  const auto [first, last] = std::minmax_element(times.begin(), times.end());
  double serial_ms = 0;
  for (const JournalEntry& entry : stage.Asked()) {
    if (entry.kind == 'I') serial_ms += static_cast<double>(entry.id * 2'654'435'761U % 97 % 20);
  }
  Row row = RowOf(verdict);
  row.ok = LostNothing(verdict) && verdict.reordered == 0 && verdict.duplicates == 0 &&
           passed == 0 && lag == 0 && looks > 1;
  row.remark = With(
      stage, std::to_string(looks) + " looks at what was committed, " + std::to_string(passed) +
                 " before they were done; " +
                 (times.size() < 2 ? std::string("nothing was handled")
                                   : std::to_string(static_cast<int>(
                                         serial_ms / (static_cast<double>(*last - *first) / 1e6))) +
                                         " times as fast as one after the other"));
  return row;
}

Row RebalanceStorm(const Environment& environment) {
  Stage stage(environment, Stage::On::kMock, {"--commit_ms=50"});
  std::mt19937_64 random(environment.seed);
  stage.StartWorkers(2);
  const int rounds = environment.longer ? 30 : 3;
  std::vector<Process> publishers;
  publishers.push_back(
      stage.Publish(1, environment.longer ? 40'000 : 6'000, {"--delay_ms=1", "--gap_ms=5"}));
  std::size_t least = SIZE_MAX;
  int unclean = 0;
  std::size_t before = stage.Count('H');
  for (int i = 0; i < rounds; ++i) {
    // One more, and one less: two rebalances.
    const std::size_t joined = stage.StartWorker();
    Wait(static_cast<int>(200 + random() % 300));
    Process& leaver = stage.worker(random() % (joined + 1));
    if (leaver.running()) {
      leaver.Terminate();
      if (leaver.Wait() != 0) ++unclean;
    } else {
      stage.worker(joined).Terminate();
      if (stage.worker(joined).Wait() != 0) ++unclean;
    }
    int live = 0;
    for (std::size_t w = 0; w < stage.workers(); ++w) live += stage.worker(w).running() ? 1 : 0;
    if (live == 0) stage.StartWorker();
    const std::size_t now = stage.Count('H');
    least = std::min(least, now - before);
    before = now;
  }
  Finish(publishers);
  const auto live = [&] {
    for (std::size_t w = 0; w < stage.workers(); ++w) {
      if (stage.worker(w).running()) return true;
    }
    return false;
  };
  if (!live()) stage.StartWorker();
  Row row =
      Sum(stage, {},
          std::to_string(2 * rounds) + " joins and leaves, at least " + std::to_string(least) +
              " handled between two, " + std::to_string(unclean) + " unclean exits");
  row.ok = row.ok && unclean == 0;
  return row;
}

Row SlowHandler(const Environment& environment) {
  const int poll_ms = environment.longer ? 6'000 : 4'000;
  Stage stage(environment, Stage::On::kMock,
              {"--max_poll_ms=" + std::to_string(poll_ms), "--grace_ms=1000"});
  stage.StartWorkers(2);
  std::vector<Process> publishers;
  publishers.push_back(stage.Publish(1, 8, {"--delay_ms=" + std::to_string(2 * poll_ms)}));
  Finish(publishers);
  Row row = Sum(stage, {}, "handlers of twice max_poll_interval");
  row.ok = row.ok && row.duplicates == 0;
  return row;
}

Row Poison(const Environment& environment) {
  Stage stage(environment, Stage::On::kMock);
  const long good = environment.longer ? 10'000 : 1'000;
  const long bad = environment.longer ? 500 : 50;
  stage.StartWorkers(2);
  std::vector<Process> publishers;
  publishers.push_back(stage.Publish(1, good, {"--delay_ms=1"}));
  publishers.push_back(stage.Publish(1'000'001, bad, {"--fail_code=13"}));
  Finish(publishers);
  const bool settled = stage.AwaitSettled();
  std::set<std::string> dead;
  std::size_t without_cause = 0;
  const std::vector<PeekedRecord> letters = stage.peek().Read(kDead);
  for (const PeekedRecord& letter : letters) {
    EchoRequest event;
    event.ParseFromString(letter.value);
    dead.insert(event.text());
    const auto code = letter.headers.find(std::string(kDeadCode));
    const auto attempts = letter.headers.find(std::string(kDeadAttempts));
    if (code == letter.headers.end() || code->second != "13" || attempts == letter.headers.end() ||
        attempts->second != "3" || !letter.headers.contains(std::string(kDeadCause))) {
      ++without_cause;
    }
  }
  std::vector<JournalEntry> asked = stage.Asked();
  std::erase_if(asked, [](const JournalEntry& entry) { return entry.id > 1'000'000; });
  const Verdict verdict = Classify(asked, stage.Handled());
  Row row = RowOf(verdict);
  row.reordered = 0;
  row.ok = settled && LostNothing(verdict) && static_cast<long>(dead.size()) == bad &&
           letters.size() == dead.size() && without_cause == 0 &&
           stage.Count('T') == static_cast<std::size_t>(3 * bad);
  row.remark =
      With(stage, std::to_string(letters.size()) + " dead letters of " + std::to_string(bad) +
                      " poisoned, " + std::to_string(without_cause) + " without their cause, " +
                      std::to_string(stage.Count('T')) + " attempts");
  return row;
}

// The log itself as the journal of what was done.
std::vector<JournalEntry> StoredIn(const Stage& stage) {
  std::vector<JournalEntry> stored;
  for (const PeekedRecord& record : stage.peek().Read(stage.Topic(kSaid))) {
    EchoRequest event;
    event.ParseFromString(record.value);
    JournalEntry entry;
    entry.kind = 'H';
    entry.id = std::strtoull(event.text().c_str(), nullptr, 10);
    entry.at_ns = record.offset;
    entry.extra = event.count();
    stored.push_back(entry);
  }
  return stored;
}

Row ProducerErrors(const Environment& environment) {
  Stage stage(environment, Stage::On::kMock, {}, 3);
  std::mt19937_64 random(environment.seed);
  std::vector<Process> publishers;
  // No second attempt of ours: what repeats is librdkafka. One request at a time: the mock brokers
  // take a later one although an earlier one was refused, which real ones do not, and librdkafka
  // takes the earlier one for stored by that.
  publishers.push_back(
      stage.Publish(1, environment.longer ? 20'000 : 3'000,
                    {"--attempts=1", "--callers=32", "--gap_ms=10", "--in_flight=1"}));
  std::vector<std::int64_t> faults;
  for (int i = 0; i < (environment.longer ? 20 : 5); ++i) {
    const std::string broker = std::to_string(1 + random() % 3);
    stage.Tell(
        "errors Produce NOT_LEADER_FOR_PARTITION REQUEST_TIMED_OUT _TRANSPORT "
        "NOT_LEADER_FOR_PARTITION");
    Wait(static_cast<int>(100 + random() % 200));
    stage.Tell("leader " + std::string(kSaid) + " " + std::to_string(random() % kPartitions) + " " +
               broker);
    faults.push_back(MonotonicNs());
    stage.Tell("down " + broker);
    Wait(static_cast<int>(100 + random() % 200));
    stage.Tell("up " + broker);
    stage.Tell("rtt all 300");
    Wait(static_cast<int>(300 + random() % 200));
    stage.Tell("rtt all 0");
  }
  Finish(publishers);
  const std::vector<JournalEntry> asked = stage.Asked();
  const Verdict verdict = Classify(asked, {StoredIn(stage)});
  Row row = RowOf(verdict);
  row.recovery_ms = std::max(0.0, RecoveryMs(asked, faults));
  row.ok = verdict.lost == 0 && verdict.phantom == 0 && verdict.unfinished == 0 &&
           verdict.reordered == 0 && verdict.acked > 0;
  // Nor do they know a repeated request from a new one: what is stored twice, K-07-real says.
  row.duplicates = 0;
  row.remark = With(stage, std::to_string(faults.size()) +
                               " times errors, a move, a broker down and slow answers; " +
                               std::to_string(verdict.failed) + " told that they failed");
  return row;
}

// The same where a repeated request is known from a new one: acknowledgements vanish, and then the
// connections.
Row ProducerNetwork(const Environment& environment) {
  std::unique_ptr<TcpFaultProxy> proxy;
  KafkaBrokerOptions options;
  options.front = [&proxy](int port) {
    proxy = std::make_unique<TcpFaultProxy>(port);
    return proxy->port();
  };
  Stage stage(environment, std::move(options));
  std::mt19937_64 random(environment.seed);
  std::vector<Process> publishers;
  publishers.push_back(stage.Publish(1, environment.longer ? 20'000 : 3'000,
                                     {"--attempts=1", "--callers=32", "--gap_ms=10"}));
  std::vector<std::int64_t> faults;
  for (int i = 0; i < (environment.longer ? 30 : 6); ++i) {
    Wait(static_cast<int>(100 + random() % 200));
    proxy->Set(TcpFaultProxy::kToClient, {.drop = true});
    Wait(static_cast<int>(20 + random() % 100));
    proxy->Heal();
    proxy->Reset();
    faults.push_back(MonotonicNs());
  }
  Finish(publishers);
  const std::vector<JournalEntry> asked = stage.Asked();
  const Verdict verdict = Classify(asked, {StoredIn(stage)});
  Row row = RowOf(verdict);
  row.recovery_ms = std::max(0.0, RecoveryMs(asked, faults));
  row.ok = verdict.lost == 0 && verdict.phantom == 0 && verdict.unfinished == 0 &&
           verdict.duplicates == 0 && verdict.reordered == 0 && verdict.acked > 0;
  row.remark = With(stage, std::to_string(faults.size()) + " times without acknowledgements; " +
                               std::to_string(verdict.failed) + " told that they failed");
  return row;
}

Row Backpressure(const Environment& environment) {
  Stage stage(environment, Stage::On::kMock);
  stage.Tell("rtt all 200");
  const long count = environment.longer ? 20'000 : 2'000;
  std::string remark;
  Row row;
  row.ok = true;
  for (const char* full : {"wait", "fail"}) {
    Process flood(Arguments{"kafka-flood", "--brokers=" + stage.brokers(),
                            std::string("--full=") + full, "--count=" + std::to_string(count),
                            "--max_pending=400"});
    const std::string said = flood.Expect("READY", std::chrono::seconds(120));
    unsigned long stored = 0;
    unsigned long refused = 0;
    unsigned long failed = 0;
    unsigned long most = 0;
    if (std::sscanf(said.c_str(), "%lu %lu %lu %lu", &stored, &refused, &failed, &most) != 4) {
      throw std::runtime_error("a process said nonsense: " + said);
    }
    const bool waits = full == std::string("wait");
    row.acked += stored;
    row.ok = row.ok && failed == 0 && most <= 400 &&
             stored + refused == static_cast<unsigned long>(count) &&
             (waits ? refused == 0 : refused > 0 && stored > 0);
    remark += (remark.empty() ? "" : "; ") + std::string(full) + ": " + std::to_string(stored) +
              " stored, " + std::to_string(refused) + " refused, at most " + std::to_string(most) +
              " under way, " + std::to_string(flood.peak_kib() / 1'024) + " MiB";
  }
  // What was refused is not there, what was stored is.
  row.lost = row.acked - std::min<std::uint64_t>(
                             row.acked, static_cast<std::uint64_t>(stage.peek().Records(kSaid)));
  row.ok = row.ok && row.lost == 0;
  row.remark = With(stage, remark);
  return row;
}

Row Drain(const Environment& environment, Stage::On on) {
  Stage stage(environment, on, {"--watch_commits=1"});
  std::mt19937_64 random(environment.seed);
  stage.StartWorkers(2);
  const int rounds = environment.longer ? 50 : on == Stage::On::kMock ? 3 : 5;
  std::vector<Process> publishers;
  publishers.push_back(
      stage.Publish(1, environment.longer ? 40'000 : 4'000, {"--delay_ms=2", "--gap_ms=8"}));
  int unclean = 0;
  for (int i = 0; i < rounds; ++i) {
    Wait(static_cast<int>(100 + random() % 300));
    Process& leaver = stage.worker(static_cast<std::size_t>(i) % stage.workers());
    leaver.Terminate();
    if (leaver.Wait() != 0) ++unclean;
    stage.Restart(static_cast<std::size_t>(i) % stage.workers());
  }
  Finish(publishers);
  Row row =
      Sum(stage, {},
          std::to_string(rounds) + " SIGTERMs, " + std::to_string(unclean) + " unclean exits");
  unclean += stage.Close();
  // The mock brokers, other than Kafka, take no commits while members join: one who leaves then
  // cannot say how far it has come, and what it would have said is handled again. Nothing else is.
  std::map<std::uint64_t, std::uint64_t> refused;  // by partition: up to which offset
  for (const auto& journal : stage.Handled('R')) {
    for (const JournalEntry& entry : journal) {
      std::uint64_t& below = refused[entry.id >> 40];
      below = std::max(below, entry.id);
    }
  }
  std::map<std::uint64_t, std::uint64_t> times;
  for (const auto& journal : stage.Handled('O')) {
    for (const JournalEntry& entry : journal) ++times[entry.id];
  }
  std::uint64_t excused = 0;
  for (const auto& [position, count] : times) {
    const auto found = refused.find(position >> 40);
    if (found != refused.end() && position < found->second) excused += count - 1;
  }
  if (!refused.empty()) {
    row.remark +=
        "; the mock refused commits, for which " + std::to_string(excused) + " were handled again";
  }
  row.ok = row.ok && unclean == 0 && row.duplicates == (on == Stage::On::kMock ? excused : 0);
  return row;
}

Row DeadLettersRefused(const Environment& environment) {
  Stage stage(environment, Stage::On::kMock);
  std::vector<Process> publishers;
  publishers.push_back(stage.Publish(1'000'001, 4, {"--fail_code=13", "--callers=1"}));
  publishers.push_back(stage.Publish(1, 500));
  Finish(publishers);
  // From here on only dead letters are written.
  std::string refusals = "errors Produce";
  for (int i = 0; i < 20; ++i) refusals += " TOPIC_AUTHORIZATION_FAILED";
  for (int i = 0; i < 50; ++i) stage.Tell(refusals);
  stage.StartWorker();
  // All others are done meanwhile, except those behind them in the same partition, perhaps.
  for (int i = 0; i < 200 && stage.Count('H') < 500; ++i) Wait(50);
  const std::size_t flowed = stage.Count('H');
  Wait(1'000);  // time to settle what must not be
  const std::int64_t held = stage.peek().Lag(kGroup, kSaid);
  // Even a crash in this state loses none.
  stage.worker(0).Kill();
  stage.Tell("clear Produce");
  stage.Restart(0);
  const bool settled = stage.AwaitSettled();
  std::set<std::string> dead;
  for (const PeekedRecord& letter : stage.peek().Read(kDead)) {
    EchoRequest event;
    event.ParseFromString(letter.value);
    dead.insert(event.text());
  }
  std::vector<JournalEntry> asked = stage.Asked();
  std::erase_if(asked, [](const JournalEntry& entry) { return entry.id > 1'000'000; });
  const Verdict verdict = Classify(asked, stage.Handled());
  Row row = RowOf(verdict);
  row.reordered = 0;
  row.lost += 4 - std::min<std::size_t>(4, dead.size());
  row.ok = settled && row.lost == 0 && verdict.phantom == 0 && verdict.acked == 500 &&
           flowed == 500 && held >= 4 && dead.size() == 4;
  row.remark = With(stage, std::to_string(flowed) + " of 500 went on, " + std::to_string(held) +
                               " unsettled meanwhile; then " + std::to_string(dead.size()) +
                               " dead letters of 4");
  return row;
}

Row KillBroker(const Environment& environment) {
  Stage stage(environment, KafkaBrokerOptions(), {"--session_ms=6000"});
  std::mt19937_64 random(environment.seed);
  stage.StartWorkers(2);
  std::vector<Process> publishers;
  publishers.push_back(
      stage.Publish(1, environment.longer ? 10'000 : 2'000, {"--delay_ms=1", "--gap_ms=20"}));
  std::vector<std::int64_t> faults;
  const int kills = environment.longer ? 10 : 1;
  for (int i = 0; i < kills; ++i) {
    Wait(static_cast<int>(1'000 + random() % 1'000));
    faults.push_back(MonotonicNs());
    if (!stage.own().Restart()) throw std::runtime_error("Apache Kafka did not come back");
  }
  Wait(500);
  stage.own().Pause();
  Wait(environment.longer ? 15'000 : 3'000);
  stage.own().Continue();
  Finish(publishers);
  return Sum(stage, faults,
             std::to_string(kills) + " kills of the broker, and one stop of " +
                 (environment.longer ? "15" : "3") + " s");
}

// Consume, transform, produce: the output has each once.
Row Transactions(const Environment& environment) {
  Stage stage(environment, Stage::On::kReal, {"--attempts=50"});
  std::mt19937_64 random(environment.seed);
  const long count = environment.longer ? 20'000 : 600;
  std::vector<Process> publishers;
  publishers.push_back(stage.Publish(1, count, {"--delay_ms=2"}));
  Finish(publishers);
  const Arguments mine = {"--transactional_id=" + stage.Topic("transformer")};
  std::size_t last = stage.StartWorker(mine);
  const int kills = environment.longer ? 20 : 3;
  for (int i = 0; i < kills; ++i) {
    Wait(static_cast<int>(300 + random() % 500));
    stage.worker(last).Kill();
    last = stage.StartWorker(mine);
  }
  // Another one of the same name, while the first still lives: it is fenced, and writes no more.
  Wait(500);
  const std::size_t zombie = last;
  stage.worker(zombie).Stop();
  last = stage.StartWorker(mine);
  Wait(2'500);  // the group has given up the stopped one by then
  stage.worker(zombie).Continue();
  Wait(1'000);
  stage.worker(zombie).Kill();
  const bool settled = stage.AwaitSettled(std::chrono::seconds(environment.longer ? 400 : 90));
  const auto read = [&](bool committed_only) {
    std::vector<JournalEntry> made;
    for (const PeekedRecord& record : stage.peek().Read(stage.Topic(kMade), committed_only)) {
      JournalEntry entry;
      entry.kind = 'H';
      entry.id = std::strtoull(record.value.c_str(), nullptr, 10);
      made.push_back(entry);
    }
    return made;
  };
  const std::vector<JournalEntry> committed = read(true);
  const std::size_t written = read(false).size();
  const Verdict verdict = Classify(stage.Asked(), {committed});
  Row row = RowOf(verdict);
  row.ok = settled && LostNothing(verdict) && verdict.duplicates == 0;
  row.remark = With(stage, std::to_string(kills) + " kills and a zombie of the same id; " +
                               std::to_string(written - committed.size()) +
                               " records of aborted transactions are hidden, " +
                               std::to_string(stage.Count('Z')) + " commits were fenced");
  return row;
}

}  // namespace

std::vector<FaultTest> KafkaTests() {
  const auto kill_on = [](Stage::On on) {
    return [on](const Environment& environment) { return KillWorkers(environment, on); };
  };
  const auto drain_on = [](Stage::On on) {
    return [on](const Environment& environment) { return Drain(environment, on); };
  };
  // The mock brokers let their groups wait for seconds.
  constexpr bool kBeside = true;
  return {
      {"K-01", "what was stored is handled, whoever is killed", kill_on(Stage::On::kMock), kBeside},
      {"K-02", "a crash at the worst moment loses nothing", CrashPoints, kBeside},
      {"K-03", "keys side by side, each in order; no offset is committed before its time",
       ParallelByKey, kBeside},
      {"K-04", "members come and go: nothing is lost, and the work goes on", RebalanceStorm,
       kBeside},
      {"K-05", "handlers that take longer than max_poll_interval keep their event", SlowHandler,
       kBeside},
      {"K-06", "poison becomes dead letters, exactly, and the others flow", Poison, kBeside},
      {"K-07", "a producer among errors: each send ends once, and nothing is stored twice",
       ProducerErrors, kBeside},
      {"K-08", "more than the brokers take: bounded, and told", Backpressure, kBeside},
      {"K-11", "SIGTERM settles what is in hand: nothing comes twice", drain_on(Stage::On::kMock),
       kBeside},
      {"K-12", "a dead-letter topic that refuses: held, and not lost", DeadLettersRefused, kBeside},
      {"K-07-real", "K-07, over a network that drops acknowledgements and resets",
       OrSkip(ProducerNetwork)},
      {"K-01-real", "K-01", OrSkip(kill_on(Stage::On::kReal))},
      {"K-09", "the broker is killed and stopped: what it has said it has is handled",
       OrSkip(KillBroker)},
      {"K-10", "transactions: the output has each once, and zombies are fenced",
       OrSkip(Transactions)},
      {"K-11-real", "K-11", OrSkip(drain_on(Stage::On::kReal))},
  };
}

std::vector<Role> KafkaRoles() {
  return {{"kafka-worker", WorkerRole},
          {"kafka-publisher", PublisherRole},
          {"kafka-flood", FloodRole},
          {"mock-kafka", MockRole}};
}

}  // namespace rookery::faults
