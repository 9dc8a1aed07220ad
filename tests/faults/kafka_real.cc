// What librdkafka's mock brokers cannot show, on a real Apache Kafka: who may and who may not, TLS,
// topics that are not there, and what read_committed hides.
#include "kafka_shared.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "echo.rookery.h"
#include "rookery/app/application.h"
#include "rookery/module/dynamic_module.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/platform/log.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/transports/kafka.h"

namespace rookery::faults {

namespace {

using rookery::testing::EchoRequest;
using rookery::testing::KafkaBroker;
using rookery::testing::KafkaPeek;
using rookery::testing::PeekedRecord;
using std::chrono::milliseconds;

constexpr char kSaid[] = "real.said";

void Wait(int ms) { std::this_thread::sleep_for(milliseconds(ms)); }

// What a handler has heard. Thread-safe.
class Heard final {
 public:
  void Add(std::string text) {
    const std::lock_guard lock(mutex_);
    all_.push_back(std::move(text));
  }
  [[nodiscard]] std::set<std::string> texts() const {
    const std::lock_guard lock(mutex_);
    return {all_.begin(), all_.end()};
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> all_;
};

class Listener final {
 public:
  explicit Listener(Heard& heard) : heard_(heard) {}
  Task<void> OnSaid(CallContext& /*call*/, const EchoRequest& event) {
    heard_.Add(event.text());
    co_return;
  }
  static void Configure(ControllerBuilder& controller) {
    controller.Event(kSaid, &Listener::OnSaid);
  }

 private:
  Heard& heard_;
};

// A worker in this process. Its log goes to `log`, if there is one.
class Node final {
 public:
  Node(Heard* heard, Kafka options, std::shared_ptr<LogSink> log = nullptr)
      : application_(Make(heard, std::move(log))) {
    options.group = options.prefix + "group";
    application_.Listen(std::move(options));
    started_ = application_.TryStart();
  }
  ~Node() {
    if (started_.ok()) application_.Close();
  }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  [[nodiscard]] const absl::Status& started() const { return started_; }
  [[nodiscard]] bool ready() const { return application_.ready(); }
  [[nodiscard]] WorkerSnapshot stats() const {
    const StatsSnapshot stats = application_.Stats();
    return stats.workers.empty() ? WorkerSnapshot() : stats.workers.front();
  }

 private:
  static Application Make(Heard* heard, std::shared_ptr<LogSink> log) {
    struct NodeModule {};
    DynamicModule module = DynamicModule::Of<NodeModule>();
    module.ProvideValue(std::ref(*heard)).Controller<Listener>();
    ApplicationOptions options;
    options.loop_threads = 1;
    options.signals = {};
    options.log.level = getenv("ROOKERY_FAULTS_VERBOSE") == nullptr && log == nullptr
                            ? LogLevel::kOff
                            : LogLevel::kInfo;
    options.log.sink = std::move(log);
    return Application::Create(std::move(module), std::move(options));
  }

  Application application_;
  absl::Status started_;
};

// Collects what did not hold.
class Findings final {
 public:
  void Expect(bool holds, const std::string& what) {
    ++checked_;
    if (!holds) wrong_.push_back(what);
  }
  [[nodiscard]] bool Eventually(const std::string& what, const std::function<bool()>& holds) {
    bool held = false;
    for (int i = 0; i < 600 && !(held = holds()); ++i) Wait(50);
    Expect(held, what);
    return held;
  }
  [[nodiscard]] Row Sum(const std::string& what) const {
    Row row;
    row.acked = checked_ - wrong_.size();
    row.lost = wrong_.size();
    row.ok = wrong_.empty() && checked_ > 0;
    row.remark = absl::StrCat("Apache Kafka; ", what);
    if (!wrong_.empty()) {
      absl::StrAppend(&row.remark, "; WRONG: ", absl::StrJoin(wrong_, "; "));
    }
    return row;
  }

 private:
  std::size_t checked_ = 0;
  std::vector<std::string> wrong_;
};

std::string Encoded(const std::string& text) {
  EchoRequest event;
  event.set_text(text);
  return event.SerializeAsString();
}

Kafka At(const std::string& brokers, const std::string& prefix) {
  Kafka kafka{.brokers = brokers};
  kafka.prefix = prefix;
  kafka.settings["fetch.wait.max.ms"] = "20";
  kafka.settings["reconnect.backoff.max.ms"] = "300";
  kafka.settings["topic.metadata.refresh.interval.ms"] = "500";
  kafka.settings["topic.metadata.refresh.fast.interval.ms"] = "100";
  kafka.start_timeout = milliseconds(10'000);
  kafka.delivery_timeout = milliseconds(5'000);
  kafka.session_timeout = milliseconds(6'000);
  kafka.heartbeat_interval = milliseconds(500);
  kafka.commit_interval = milliseconds(100);
  return kafka;
}

absl::Status Send(const Kafka& options, const std::string& text) {
  const std::shared_ptr<KafkaProducer> producer = KafkaProducer::Open(options);
  KafkaRecord record;
  record.topic = options.prefix + kSaid;
  record.key = text;
  record.value = Encoded(text);
  record.headers = {{"ce_specversion", "1.0"},
                    {"ce_id", text},
                    {"ce_source", "real"},
                    {"ce_type", kSaid},
                    {"content-type", "application/protobuf"}};
  return SyncWaitStatus(producer->Send(std::move(record))).status();
}

// A sender and a worker with these options get along, or both are told why not.
void Try(Findings* findings, const std::string& what, const Kafka& options, bool allowed) {
  Heard heard;
  const absl::Status sent = Send(options, what);
  findings->Expect(sent.ok() == allowed, absl::StrCat(what, ": sending: ", sent.ToString()));
  const Node node(&heard, options);
  findings->Expect(node.started().ok() == allowed,
                   absl::StrCat(what, ": starting: ", node.started().ToString()));
  if (!allowed) {
    findings->Expect(!node.started().ok() && node.started().message().size() > 20,
                     absl::StrCat(what, ": no reason is given: ", node.started().ToString()));
    return;
  }
  (void)findings->Eventually(absl::StrCat(what, ": what was sent is handled"),
                             [&] { return heard.texts().contains(what); });
}

Row Sasl(const Environment& /*environment*/) {
  KafkaBroker& broker = SharedKafka();
  const KafkaPeek peek(broker.plain());
  peek.Authorize(kKafkaUser, true);
  Findings findings;
  const std::pair<const char*, KafkaSasl> mechanisms[] = {
      {"PLAIN", KafkaSasl::kPlain},
      {"SCRAM-SHA-256", KafkaSasl::kScramSha256},
      {"SCRAM-SHA-512", KafkaSasl::kScramSha512}};
  for (const auto& [name, mechanism] : mechanisms) {
    Kafka options = At(broker.sasl(), FreshPrefix());
    peek.CreateTopic(options.prefix + kSaid, 2);
    options.topics = KafkaTopics::kCreate;
    options.sasl = mechanism;
    options.user = kKafkaUser;
    options.password = kKafkaPassword;
    options.allow_plain_text = true;
    Try(&findings, name, options, true);
  }
  // Within TLS, and with a wrong password.
  Kafka options = At(broker.sasl_tls(), FreshPrefix());
  peek.CreateTopic(options.prefix + kSaid, 2);
  options.sasl = KafkaSasl::kScramSha512;
  options.user = kKafkaUser;
  options.password = kKafkaPassword;
  options.tls.emplace();
  options.tls->ca_file = broker.ca_file();
  Try(&findings, "SCRAM within TLS", options, true);
  options.password = "queen-of-hearts";
  options.start_timeout = milliseconds(1'500);
  options.delivery_timeout = milliseconds(1'500);
  Try(&findings, "a wrong password", options, false);
  return findings.Sum("PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512, in the clear and within TLS");
}

Row Tls(const Environment& /*environment*/) {
  KafkaBroker& broker = SharedKafka();
  Findings findings;
  Kafka options = At(broker.tls(), FreshPrefix());
  const KafkaPeek peek(broker.plain());
  peek.CreateTopic(options.prefix + kSaid, 2);
  // Who comes to the TLS listener is nobody in particular, and a super user.
  options.tls.emplace();
  options.tls->ca_file = broker.ca_file();
  Try(&findings, "a known authority", options, true);
  options.start_timeout = milliseconds(1'500);
  options.delivery_timeout = milliseconds(1'500);
  Kafka stranger = options;
  stranger.tls->ca_file.clear();
  Try(&findings, "an unknown authority", stranger, false);
  Kafka other = options;
  other.brokers = "127.0.0.1:" + std::to_string(broker.tls_port());
  Try(&findings, "another host's certificate", other, false);
  return findings.Sum("the broker's certificate is verified, and its name");
}

Row Topics(const Environment& /*environment*/) {
  KafkaBroker& broker = SharedKafka();
  const KafkaPeek peek(broker.plain());
  Findings findings;
  Kafka options = At(broker.plain(), FreshPrefix());
  const std::string topic = options.prefix + kSaid;
  options.topics = KafkaTopics::kCheck;
  options.start_timeout = milliseconds(3'000);
  {
    Heard heard;
    const Node node(&heard, options);
    findings.Expect(
        !node.started().ok() && node.started().message().find(topic) != absl::string_view::npos,
        absl::StrCat("the topic that is not there is named: ", node.started().ToString()));
    Wait(500);  // time to make what should not be
    findings.Expect(!peek.HasTopic(topic), "who checks makes no topics");
  }
  options.topics = KafkaTopics::kCreate;
  options.partitions = 3;
  options.start_timeout = milliseconds(15'000);
  {
    Heard heard;
    const Node node(&heard, options);
    findings.Expect(node.started().ok(), node.started().ToString());
    findings.Expect(peek.Ends(topic).size() == 3, "made with as many partitions as asked for");
    findings.Expect(peek.HasTopic(topic + ".DLT"), "the dead letters' topic is made as well");
    findings.Expect(Send(options, "one").ok(), "it can be written");
    (void)findings.Eventually("what was sent is handled",
                              [&] { return heard.texts().contains("one"); });
  }
  return findings.Sum("topics that are not there are named, or made");
}

Row AuthorityLost(const Environment& /*environment*/) {
  KafkaBroker& broker = SharedKafka();
  const KafkaPeek peek(broker.plain());
  Findings findings;
  Kafka options = At(broker.sasl_tls(), FreshPrefix());
  const std::string topic = options.prefix + kSaid;
  peek.CreateTopic(topic, 4);
  peek.CreateTopic(topic + ".DLT", 1);
  peek.Authorize(kKafkaUser, true);
  options.topics = KafkaTopics::kCheck;
  options.sasl = KafkaSasl::kScramSha256;
  options.user = kKafkaUser;
  options.password = kKafkaPassword;
  options.tls.emplace();
  options.tls->ca_file = broker.ca_file();
  Heard heard;
  const auto log = std::make_shared<CapturingSink>();
  auto node = std::make_unique<Node>(&heard, options, log);
  findings.Expect(node->started().ok(), node->started().ToString());
  std::set<std::string> sent;
  const auto send = [&](int from, int to) {
    std::vector<std::pair<std::string, std::string>> records;
    for (int i = from; i < to; ++i) {
      sent.insert(std::to_string(i));
      records.emplace_back("key-" + std::to_string(i % 7), Encoded(std::to_string(i)));
    }
    peek.Write(topic, records);
  };
  send(0, 200);
  (void)findings.Eventually("all is handled while it is allowed",
                            [&] { return heard.texts() == sent; });
  peek.Authorize(kKafkaUser, false);
  (void)findings.Eventually("who may not read is not ready", [&] { return !node->ready(); });
  send(200, 400);
  const absl::Status refused = Send(options, "by the one who may not");
  findings.Expect(refused.code() == absl::StatusCode::kPermissionDenied,
                  "sending without authority: " + refused.ToString());
  peek.Authorize(kKafkaUser, true);
  (void)findings.Eventually("nothing is lost when it is allowed again",
                            [&] { return heard.texts() == sent; });
  (void)findings.Eventually("and ready again", [&] { return node->ready(); });
  // Nor when the topic itself is gone does it keep its threads.
  peek.DeleteTopic(topic);
  (void)findings.Eventually("a topic that is gone is told", [&] { return !node->ready(); });
  node.reset();
  findings.Expect(!log->Contains("does not end"), "librdkafka ends");
  return findings.Sum("ACLs are taken away in the middle, and given back");
}

// A stranger's transactions.
Row ReadCommitted(const Environment& /*environment*/) {
  KafkaBroker& broker = SharedKafka();
  const KafkaPeek peek(broker.plain());
  Findings findings;
  Kafka options = At(broker.plain(), FreshPrefix());
  const std::string topic = options.prefix + kSaid;
  peek.CreateTopic(topic, 2);
  peek.CreateTopic(topic + ".DLT", 1);
  Heard heard;
  const Node node(&heard, options);
  findings.Expect(node.started().ok(), node.started().ToString());
  std::set<std::string> kept;
  std::set<std::string> all;
  for (int i = 0; i < 4; ++i) {
    std::vector<std::pair<std::string, std::string>> records;
    const bool commit = i % 2 == 0;
    for (int j = 0; j < 20; ++j) {
      const std::string text = std::to_string(i * 100 + j);
      all.insert(text);
      if (commit) kept.insert(text);
      records.emplace_back(text, Encoded(text));
    }
    peek.WriteTransaction(topic, options.prefix + "stranger", records, commit);
  }
  (void)findings.Eventually("what was committed is handled", [&] { return heard.texts() == kept; });
  findings.Expect(peek.Read(topic, true).size() == kept.size(), "others see the same");
  findings.Expect(peek.Read(topic, false).size() == all.size(),
                  "what was aborted is in the log all the same");
  findings.Expect(heard.texts() == kept, "what was aborted is handled by nobody");
  return findings.Sum("what a transaction has aborted is handled by nobody");
}

// A name for each of `from` to `to` - 1, and the records of these names.
std::set<std::string> Names(int from, int to) {
  std::set<std::string> names;
  for (int i = from; i < to; ++i) names.insert(std::to_string(i));
  return names;
}
std::vector<std::pair<std::string, std::string>> Records(const std::set<std::string>& names) {
  std::vector<std::pair<std::string, std::string>> records;
  records.reserve(names.size());
  for (const std::string& name : names) records.emplace_back(name, Encoded(name));
  return records;
}

Row Starts(const Environment& /*environment*/) {
  KafkaBroker& broker = SharedKafka();
  const KafkaPeek peek(broker.plain());
  Findings findings;
  Kafka options = At(broker.plain(), FreshPrefix());
  const std::string topic = options.prefix + kSaid;
  peek.CreateTopic(topic, 3);
  peek.CreateTopic(topic + ".DLT", 1);
  const std::set<std::string> early = Names(0, 30);
  const std::set<std::string> late = Names(30, 60);
  peek.Write(topic, Records(early));
  Wait(50);
  options.start_time = std::chrono::system_clock::now();
  Wait(50);
  peek.Write(topic, Records(late));
  std::set<std::string> both = early;
  both.insert(late.begin(), late.end());
  const auto hears = [&](const std::string& what, const std::set<std::string>& all) {
    Heard heard;
    const Node node(&heard, options);
    findings.Expect(node.started().ok(), absl::StrCat(what, ": ", node.started().ToString()));
    (void)findings.Eventually(absl::StrCat(what, ": all from there on"),
                              [&] { return heard.texts() == all; });
    // That the group has come so far makes no difference at the next start.
    (void)findings.Eventually(absl::StrCat(what, ": is committed"),
                              [&] { return peek.Lag(options.prefix + "group", topic) == 0; });
    findings.Expect(heard.texts() == all, absl::StrCat(what, ": and nothing else"));
  };
  options.start = KafkaStart::kTime;
  hears("a time", late);
  hears("a time, again", late);
  options.start = KafkaStart::kBeginning;
  hears("the beginning", both);
  options.start = KafkaStart::kCommitted;
  // In each partition these stand behind all that was heard before.
  const std::set<std::string> rest = Names(60, 90);
  peek.Write(topic, Records(rest));
  hears("where the group left off", rest);
  both.insert(rest.begin(), rest.end());
  {
    options.start = KafkaStart::kEnd;
    Heard heard;
    const Node node(&heard, options);
    int tick = 100;
    (void)findings.Eventually("the end: what comes from now on", [&] {
      peek.Write(topic, Records(Names(tick, tick + 3)));
      tick += 3;
      return heard.texts().size() > 2;
    });
    for (const std::string& name : heard.texts()) {
      findings.Expect(!both.contains(name), "the end: nothing from before: " + name);
    }
  }
  return findings.Sum("at a time, the beginning, the end, and where the group left off");
}

Row StaticMembers(const Environment& /*environment*/) {
  KafkaBroker& broker = SharedKafka();
  const KafkaPeek peek(broker.plain());
  Findings findings;
  Kafka options = At(broker.plain(), FreshPrefix());
  options.session_timeout = milliseconds(20'000);
  const std::string topic = options.prefix + kSaid;
  peek.CreateTopic(topic, 4);
  peek.CreateTopic(topic + ".DLT", 1);
  Kafka other = options;
  options.instance_id = "ledger-0";
  other.instance_id = "ledger-1";
  Heard heard;
  const Node stays(&heard, options);
  findings.Expect(stays.started().ok(), stays.started().ToString());
  auto goes = std::make_unique<Node>(&heard, other);
  findings.Expect(goes->started().ok(), goes->started().ToString());
  (void)findings.Eventually("each has its half", [&] {
    return stays.stats().partitions.size() == 2 && goes->stats().partitions.size() == 2;
  });
  const std::uint64_t before = stays.stats().rebalances;
  const auto parts = [](const Node& node) {
    std::set<std::int32_t> numbers;
    for (const WorkerSnapshot::Partition& each : node.stats().partitions) {
      numbers.insert(each.partition);
    }
    return numbers;
  };
  const std::set<std::int32_t> its = parts(*goes);
  goes.reset();
  const std::set<std::string> names = Names(0, 40);
  peek.Write(topic, Records(names));
  Wait(1'000);  // time to do what must not be done
  findings.Expect(stays.stats().partitions.size() == 2, "what is away for a moment is kept for it");
  goes = std::make_unique<Node>(&heard, other);
  findings.Expect(goes->started().ok(), goes->started().ToString());
  findings.Expect(parts(*goes) == its, "who comes back has what it had");
  (void)findings.Eventually("and does what came meanwhile", [&] { return heard.texts() == names; });
  findings.Expect(stays.stats().rebalances == before, "nobody else was troubled");

  // Two of a name: the one that came last is believed, and the other says so.
  const Node twin(&heard, other);
  findings.Expect(twin.started().ok(), twin.started().ToString());
  (void)findings.Eventually("the first of two of a name is not ready",
                            [&] { return !goes->ready(); });
  const std::set<std::string> more = Names(40, 80);
  peek.Write(topic, Records(more));
  (void)findings.Eventually("the second does its work", [&] { return heard.texts().size() == 80; });
  return findings.Sum("a member that comes back under its name has its partitions");
}

}  // namespace

KafkaBroker& SharedKafka() {
  static std::string why;
  static const std::unique_ptr<KafkaBroker> broker =
      KafkaBroker::Start({.acl = true, .users = {{kKafkaUser, kKafkaPassword}}}, &why);
  if (broker == nullptr) throw Skip(why);
  return *broker;
}

std::string FreshPrefix() {
  static int runs = 0;
  return "run" + std::to_string(++runs) + ".";
}

std::function<Row(const Environment&)> OrSkip(std::function<Row(const Environment&)> run) {
  return [run = std::move(run)](const Environment& environment) {
    try {
      return run(environment);
    } catch (const Skip& skipped) {
      Row row;
      row.ok = true;
      row.skipped = skipped.what();
      return row;
    }
  };
}

std::vector<FaultTest> RealKafkaTests() {
  return {
      {"K-sasl", "who may, by SASL", OrSkip(Sasl)},
      {"K-tls", "only brokers that prove who they are", OrSkip(Tls)},
      {"K-topics", "topics that do not exist", OrSkip(Topics)},
      {"K-acl", "authority that is lost in the middle: held, and not lost", OrSkip(AuthorityLost)},
      {"K-read", "only what was committed is handled", OrSkip(ReadCommitted)},
      {"K-start", "reading begins where it was told to", OrSkip(Starts)},
      {"K-static", "a restart within the session's time moves no partition", OrSkip(StaticMembers)},
  };
}

}  // namespace rookery::faults
