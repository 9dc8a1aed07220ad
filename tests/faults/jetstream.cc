// Faults over JetStream: what a stream has said it has is handled, whoever dies.
#include <nats/nats.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "echo.rookery.h"
#include "faults.h"
#include "process.h"
#include "rookery/app/application.h"
#include "rookery/module/dynamic_module.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/rpc/channel.h"
#include "rookery/rpc/invoke.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/transports/jetstream.h"
#include "support/fault_journal.h"
#include "support/nats_broker.h"
#include "support/tcp_fault_proxy.h"

namespace rookery::faults {
namespace {

using rookery::testing::Classify;
using rookery::testing::EchoReply;
using rookery::testing::EchoRequest;
using rookery::testing::FaultJournal;
using rookery::testing::JournalEntry;
using rookery::testing::MonotonicNs;
using rookery::testing::NatsBroker;
using rookery::testing::ReadJournal;
using rookery::testing::RecoveryMs;
using rookery::testing::TcpFaultProxy;
using rookery::testing::Verdict;
using std::chrono::milliseconds;

using Arguments = std::vector<std::string>;

constexpr char kSaid[] = "faults.said";

void Wait(int ms) { std::this_thread::sleep_for(milliseconds(ms)); }

// ---- roles --------------------------------------------------------------------------------------

// Events carry their id as text, and their key in `count`.
class SaidController final {
 public:
  explicit SaidController(FaultJournal& journal) : journal_(journal) {}

  Task<void> OnSaid(CallContext& /*call*/, const EchoRequest& event) {
    const std::uint64_t id = std::strtoull(event.text().c_str(), nullptr, 10);
    if (event.fail_code() != 0) {
      journal_.Write('T', id);
      co_await Fail(absl::Status(static_cast<absl::StatusCode>(event.fail_code()), "as told"));
    }
    journal_.Write('H', id, event.count());
    if (event.delay_ms() != 0) co_await Sleep(milliseconds(event.delay_ms()));
  }
  static void Configure(ControllerBuilder& controller) {
    controller.Event(kSaid, &SaidController::OnSaid);
  }

 private:
  FaultJournal& journal_;
};

JetStream StreamAt(const Arguments& arguments) {
  JetStream stream{.nats = {.url = Flag(arguments, "url")}, .stream = "FAULTS"};
  stream.nats.reconnect_wait = milliseconds(20);
  stream.nats.max_reconnect_wait = milliseconds(200);
  stream.config.subjects = {kSaid};
  // Empty when all is settled.
  stream.config.retention = StreamRetention::kWorkQueue;
  return stream;
}

int WorkerRole(const Arguments& arguments) {
  HearTermination();
  FaultJournal journal(Flag(arguments, "journal"), FaultJournal::Sync::kKernel);
  struct WorkerModule {};
  DynamicModule module = DynamicModule::Of<WorkerModule>();
  module.ProvideValue(std::ref(journal)).Controller<SaidController>();
  ApplicationOptions options;
  options.loop_threads = 1;
  options.signals = {};
  options.log.level = LogLevel::kOff;
  Application app = Application::Create(std::move(module), std::move(options));
  JetStream stream = StreamAt(arguments);
  stream.durable = "worker";
  stream.ack_wait = milliseconds(NumberFlag(arguments, "ack_wait_ms", 1'000));
  stream.policy.max_attempts = static_cast<int>(NumberFlag(arguments, "attempts", 3));
  stream.policy.jitter = 0;
  stream.policy.backoff = {milliseconds(NumberFlag(arguments, "backoff1", 10)),
                           milliseconds(NumberFlag(arguments, "backoff2", 20)),
                           milliseconds(NumberFlag(arguments, "backoff3", 40))};
  stream.policy.max_deliveries = 1'000;
  stream.policy.key = [](const google::protobuf::Message& event) {
    return std::to_string(static_cast<const EchoRequest&>(event).count());
  };
  app.Listen(std::move(stream));
  app.Start();
  Say("READY");
  Obey([](const std::string&) {});
  app.Close();
  return 0;
}

// Publishes ids from `from` on, each caller those of a key of its own; an event that fails is sent
// again, as the same, until the stream has it.
int PublisherRole(const Arguments& arguments) {
  FaultJournal journal(Flag(arguments, "journal"), FaultJournal::Sync::kDisk);
  const long count = NumberFlag(arguments, "count", 1'000);
  const long callers = NumberFlag(arguments, "callers", 8);
  const long from = NumberFlag(arguments, "from", 1);
  auto handler = &SaidController::OnSaid;
  const MethodDescriptor method =
      internal::DescribePattern<SaidController, decltype(handler)>(kSaid, &handler);
  JetStream stream = StreamAt(arguments);
  stream.setup = StreamSetup::kUpdate;
  stream.ack_timeout = milliseconds(500);
  const std::shared_ptr<Channel> channel = MakeChannel(stream);
  std::atomic<long> next{0};
  std::vector<std::thread> threads;
  for (long caller = 0; caller < callers; ++caller) {
    threads.emplace_back([&, caller] {
      const long key = from + caller;
      while (next++ < count) {
        // Of one key they ascend.
        static std::atomic<std::uint64_t> ids{static_cast<std::uint64_t>(from)};
        const std::uint64_t id = ids++;
        EchoRequest event;
        event.set_text(std::to_string(id));
        event.set_count(static_cast<int>(key));
        event.set_delay_ms(static_cast<int>(NumberFlag(arguments, "delay_ms", 0)));
        event.set_fail_code(static_cast<int>(NumberFlag(arguments, "fail_code", 0)));
        journal.Write('I', id, key);
        for (int attempt = 0;; ++attempt) {
          OutgoingCall call(method);
          call.metadata.AddUnchecked("ce-id", "event-" + event.text());
          call.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
          EchoReply nothing;
          const absl::Status sent = SyncWaitStatus(channel->Unary(call, event, nothing));
          if (sent.ok()) {
            journal.Write('A', id);
            break;
          }
          if (attempt == 200) {
            journal.Write('F', id, static_cast<int>(sent.code()));
            break;
          }
          Wait(20);
        }
      }
    });
  }
  Say("READY");
  for (std::thread& thread : threads) thread.join();
  Say("DONE");
  return 0;
}

// ---- tests --------------------------------------------------------------------------------------

// A broker with a stream on disk, workers that are killed and started again, publishers.
class Stage final {
 public:
  explicit Stage(const Environment& environment, Arguments worker = {})
      : folder_(environment.folder),
        broker_(NatsBroker::Start("jetstream { store_dir: \"" +
                                  (environment.folder / "store").string() + "\" }")),
        worker_(std::move(worker)) {
    if (broker_ == nullptr) {
      throw std::runtime_error("nats-server cannot be started (apt-get install nats-server)");
    }
  }

  [[nodiscard]] NatsBroker& broker() { return *broker_; }
  [[nodiscard]] Process Publish(const std::string& url, long from, long count,
                                Arguments more = {}) {
    const std::string journal = folder_ / ("publisher-" + std::to_string(asked_.size()));
    asked_.push_back(journal);
    more.insert(more.begin(),
                {"js-publisher", "--url=" + url, "--journal=" + journal,
                 "--from=" + std::to_string(from), "--count=" + std::to_string(count)});
    Process publisher(more);
    publisher.Expect("READY");
    return publisher;
  }
  [[nodiscard]] Process Publish(long from, long count, Arguments more = {}) {
    return Publish(broker_->url(), from, count, std::move(more));
  }
  // Its number.
  std::size_t StartWorker() {
    workers_.push_back(Launch());
    return workers_.size() - 1;
  }
  void Restart(std::size_t index) { workers_[index] = Launch(); }
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
  // When the workers have settled all; false if that does not come about. Of their consumer, and
  // not of the stream: a NATS server that is killed may find messages again that were settled and
  // removed.
  [[nodiscard]] bool AwaitSettled(std::chrono::seconds most = std::chrono::seconds(60)) {
    const auto end = std::chrono::steady_clock::now() + most;
    while (std::chrono::steady_clock::now() < end) {
      if (Unsettled() == 0) return true;
      Wait(50);
    }
    return false;
  }
  // Negative if it cannot be asked.
  [[nodiscard]] std::int64_t Unsettled() {
    std::int64_t unsettled = -1;
    Ask([&](jsCtx* js) {
      jsConsumerInfo* info = nullptr;
      if (js_GetConsumerInfo(&info, js, "FAULTS", "worker_faults_said", nullptr, nullptr) ==
          NATS_OK) {
        unsettled = static_cast<std::int64_t>(info->NumPending) + info->NumAckPending;
      }
      jsConsumerInfo_Destroy(info);
    });
    return unsettled;
  }
  // How many a stream has; negative if it cannot be asked.
  [[nodiscard]] std::int64_t Messages(const char* stream) {
    std::int64_t messages = -1;
    Ask([&](jsCtx* js) {
      jsStreamInfo* info = nullptr;
      if (js_GetStreamInfo(&info, js, stream, nullptr, nullptr) == NATS_OK) {
        messages = static_cast<std::int64_t>(info->State.Msgs);
      }
      jsStreamInfo_Destroy(info);
    });
    return messages;
  }

 private:
  template <class F>
  void Ask(F ask) {
    natsConnection* connection = nullptr;
    jsCtx* js = nullptr;
    if (natsConnection_ConnectTo(&connection, broker_->url().c_str()) == NATS_OK &&
        natsConnection_JetStream(&js, connection, nullptr) == NATS_OK) {
      ask(js);
    }
    jsCtx_Destroy(js);
    natsConnection_Destroy(connection);
  }
  Process Launch() {
    const std::string journal = folder_ / ("worker-" + std::to_string(handled_.size()));
    handled_.push_back(journal);
    Arguments arguments = {"js-worker", "--url=" + broker_->url(), "--journal=" + journal};
    arguments.insert(arguments.end(), worker_.begin(), worker_.end());
    Process worker(arguments);
    worker.Expect("READY");
    return worker;
  }

  const std::filesystem::path folder_;
  const std::unique_ptr<NatsBroker> broker_;
  const Arguments worker_;
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
    publisher.Expect("DONE", std::chrono::seconds(120));
    publisher.Wait();
  }
}

Row AckedIsHandled(const Environment& environment) {
  Stage stage(environment);
  std::mt19937_64 random(environment.seed);
  const long count = environment.longer ? 25'000 : 4'000;
  std::vector<Process> publishers;
  publishers.push_back(stage.Publish(1, count, {"--delay_ms=1"}));
  publishers.push_back(stage.Publish(1'000'001, count, {"--delay_ms=1"}));
  for (int i = 0; i < 3; ++i) stage.StartWorker();
  std::vector<std::int64_t> faults;
  const int kills = environment.longer ? 20 : 6;
  for (int i = 0; i < kills; ++i) {
    Wait(static_cast<int>(200 + random() % 300));
    const std::size_t victim = random() % stage.workers();
    stage.worker(victim).Kill();
    faults.push_back(MonotonicNs());
    Wait(static_cast<int>(random() % 200));
    stage.Restart(victim);
    if (i % 3 == 2) stage.broker().Restart();  // by SIGKILL
  }
  Finish(publishers);
  const std::vector<JournalEntry> asked = stage.Asked();
  Verdict verdict = Classify(asked, stage.Handled());
  for (int waited = 0; verdict.lost != 0 && waited < 600; ++waited) {
    Wait(100);
    verdict = Classify(asked, stage.Handled());
  }
  Wait(1'500);  // what would be handed out again is by then
  verdict = Classify(asked, stage.Handled());
  Row row = RowOf(verdict);
  // Another instance may handle what comes later first: order is promised within one that lives.
  row.reordered = 0;
  row.recovery_ms = std::max(0.0, RecoveryMs(asked, {faults.front()}));
  row.ok = LostNothing(verdict);
  // A server that was killed may have forgotten that something was settled, and never ask again.
  row.remark = std::to_string(kills) + " kills of workers, " + std::to_string(kills / 3) +
               " of the server, which believes " + std::to_string(stage.Unsettled()) +
               " to be unsettled";
  return row;
}

Row PublishedOnce(const Environment& environment) {
  Stage stage(environment);
  TcpFaultProxy proxy(stage.broker().port());
  std::mt19937_64 random(environment.seed);
  std::vector<Process> publishers;
  publishers.push_back(stage.Publish("nats://127.0.0.1:" + std::to_string(proxy.port()), 1,
                                     environment.longer ? 25'000 : 3'000));
  std::vector<std::int64_t> faults;
  for (int i = 0; i < (environment.longer ? 40 : 8); ++i) {
    Wait(static_cast<int>(100 + random() % 200));
    // Acknowledgements vanish; then the connection does.
    proxy.Set(TcpFaultProxy::kToClient, {.drop = true});
    Wait(static_cast<int>(20 + random() % 60));
    proxy.Heal();
    proxy.Reset();
    faults.push_back(MonotonicNs());
  }
  Finish(publishers);
  stage.StartWorker();
  const bool settled = stage.AwaitSettled();
  const std::vector<JournalEntry> asked = stage.Asked();
  const Verdict verdict = Classify(asked, stage.Handled());
  Row row = RowOf(verdict);
  row.recovery_ms = std::max(0.0, RecoveryMs(asked, {faults.front()}));
  row.ok = settled && LostNothing(verdict) && verdict.duplicates == 0 && verdict.reordered == 0;
  row.remark = std::to_string(faults.size()) + " times without acknowledgements";
  return row;
}

Row LongHandler(const Environment& environment) {
  Stage stage(environment, {"--ack_wait_ms=1000"});
  const std::size_t first = stage.StartWorker();
  std::vector<Process> publishers;
  publishers.push_back(stage.Publish(1, 8, {"--delay_ms=3000"}));
  Finish(publishers);
  const bool once = stage.AwaitSettled();
  const Verdict calm = Classify(stage.Asked(), stage.Handled());
  // One that stops in the middle: somebody else has it, and what the first says later does no harm.
  publishers.clear();
  publishers.push_back(stage.Publish(101, 1, {"--delay_ms=400"}));
  Finish(publishers);
  const auto handled = [&] {
    std::size_t sum = 0;
    for (const auto& journal : stage.Handled()) {
      for (const JournalEntry& entry : journal) sum += entry.id == 101 ? 1 : 0;
    }
    return sum;
  };
  for (int i = 0; i < 500 && handled() == 0; ++i) Wait(10);
  stage.worker(first).Stop();
  stage.StartWorker();
  const bool taken_over = stage.AwaitSettled();
  stage.worker(first).Continue();
  Wait(2'500);
  const Verdict verdict = Classify(stage.Asked(), stage.Handled());
  Row row = RowOf(verdict);
  row.ok = once && taken_over && calm.duplicates == 0 && LostNothing(verdict) && handled() == 2;
  row.remark = "none handed out again while its worker lives, " + std::to_string(handled() - 1) +
               " redelivery after SIGSTOP";
  return row;
}

Row Poison(const Environment& environment) {
  Stage stage(environment);
  const long good = environment.longer ? 5'000 : 500;
  const long bad = environment.longer ? 1'000 : 100;
  for (int i = 0; i < 2; ++i) stage.StartWorker();
  std::vector<Process> publishers;
  publishers.push_back(stage.Publish(1, good, {"--delay_ms=1"}));
  publishers.push_back(stage.Publish(1'000'001, bad, {"--fail_code=13"}));
  Wait(150);
  stage.worker(0).Kill();
  stage.Restart(0);
  Finish(publishers);
  const bool settled = stage.AwaitSettled();
  const std::int64_t dead = stage.Messages("DEAD_LETTERS");
  std::vector<JournalEntry> asked = stage.Asked();
  std::erase_if(asked, [](const JournalEntry& entry) { return entry.id > 1'000'000; });
  const Verdict verdict = Classify(asked, stage.Handled());
  Row row = RowOf(verdict);
  row.reordered = 0;
  row.ok = settled && LostNothing(verdict) && dead == bad;
  row.remark = std::to_string(dead) + " dead letters of " + std::to_string(bad) + " poisoned, " +
               std::to_string(stage.Messages("FAULTS")) + " stranded";
  return row;
}

Row Backoff(const Environment& environment) {
  constexpr std::int64_t kPauses[] = {100, 400, 800};
  Stage stage(environment, {"--attempts=4", "--backoff1=100", "--backoff2=400", "--backoff3=800"});
  stage.StartWorker();
  const long count = environment.longer ? 100 : 20;
  std::vector<Process> publishers;
  publishers.push_back(stage.Publish(1, count, {"--fail_code=14"}));
  Finish(publishers);
  const bool settled = stage.AwaitSettled();
  std::map<std::uint64_t, std::vector<std::int64_t>> tries;
  for (const auto& journal : stage.Handled('T')) {
    for (const JournalEntry& entry : journal) tries[entry.id].push_back(entry.at_ns);
  }
  bool kept = static_cast<long>(tries.size()) == count;
  std::vector<std::int64_t> last_gaps;
  for (const auto& [id, times] : tries) {
    kept = kept && times.size() == 4;
    for (std::size_t i = 1; i < times.size() && i <= 3; ++i) {
      const std::int64_t gap_ms = (times[i] - times[i - 1]) / 1'000'000;
      // Never sooner; later is the machine's affair.
      kept = kept && gap_ms >= kPauses[i - 1] * 8 / 10;
      if (i == 3) last_gaps.push_back(gap_ms);
    }
  }
  std::sort(last_gaps.begin(), last_gaps.end());
  const Verdict verdict = Classify(stage.Asked(), {});
  Row row;
  row.acked = verdict.acked;
  row.ok = settled && kept && verdict.failed == 0 && stage.Messages("DEAD_LETTERS") == count;
  row.remark =
      "pauses of 100, 400 and 800 ms; the last was " +
      (last_gaps.empty() ? std::string("never")
                         : std::to_string(last_gaps[last_gaps.size() / 2]) + " ms (median), " +
                               std::to_string(last_gaps.back()) + " at most");
  return row;
}

Row Drain(const Environment& environment) {
  Stage stage(environment, {"--ack_wait_ms=30000"});
  std::mt19937_64 random(environment.seed);
  for (int i = 0; i < 2; ++i) stage.StartWorker();
  std::vector<Process> publishers;
  publishers.push_back(stage.Publish(1, environment.longer ? 25'000 : 4'000, {"--delay_ms=2"}));
  const int rounds = environment.longer ? 50 : 8;
  int unclean = 0;
  for (int i = 0; i < rounds; ++i) {
    Wait(static_cast<int>(50 + random() % 150));
    Process& leaver = stage.worker(static_cast<std::size_t>(i) % stage.workers());
    leaver.Terminate();
    if (leaver.Wait() != 0) ++unclean;
    stage.Restart(static_cast<std::size_t>(i) % stage.workers());
  }
  Finish(publishers);
  const bool settled = stage.AwaitSettled();
  const Verdict verdict = Classify(stage.Asked(), stage.Handled());
  Row row = RowOf(verdict);
  row.reordered = 0;
  row.ok = settled && LostNothing(verdict) && verdict.duplicates == 0 && unclean == 0;
  row.remark = std::to_string(rounds) + " SIGTERMs, " + std::to_string(unclean) + " unclean exits";
  return row;
}

}  // namespace

std::vector<FaultTest> JetStreamTests() {
  return {
      {"N-01", "what the stream has is handled, whoever is killed", AckedIsHandled},
      {"N-02", "an event published again is stored once", PublishedOnce},
      {"N-03", "long handlers keep their event; one that stops loses it to another", LongHandler},
      {"N-04", "poison becomes dead letters, exactly, and nothing is stranded", Poison},
      {"N-05", "failures wait before they are tried again", Backoff},
      {"N-11-js", "SIGTERM settles what is in hand: nothing comes twice", Drain},
  };
}

std::vector<Role> JetStreamRoles() {
  return {{"js-worker", WorkerRole}, {"js-publisher", PublisherRole}};
}

}  // namespace rookery::faults
