// Faults over core NATS: calls, streams, cancellation, drain, slow consumers.
#include <nats/nats.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "echo.rookery.h"
#include "faults.h"
#include "process.h"
#include "rookery/rpc/channel.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/transports/nats.h"
#include "serving.h"
#include "support/fault_journal.h"
#include "support/nats_broker.h"
#include "support/tcp_fault_proxy.h"

namespace rookery::faults {
namespace {

using rookery::testing::Classify;
using rookery::testing::EchoClient;
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
using std::chrono::steady_clock;

// What one message of a stream costs beyond its body: see docs/wire.md.
constexpr std::size_t kFrameCost = 256;
constexpr std::size_t kWindow = std::size_t{1} << 20;

// ---- roles --------------------------------------------------------------------------------------

int ServerRole(const Arguments& arguments) {
  Nats nats{.url = Flag(arguments, "url")};
  nats.queue = "faults";
  nats.max_concurrent_calls = static_cast<std::size_t>(NumberFlag(arguments, "max_calls", 16'384));
  return ServeEcho(arguments, std::move(nats));
}

int CallerRole(const Arguments& arguments) {
  return CallEcho(arguments, MakeChannel(Nats{.url = Flag(arguments, "url")}));
}

// Calls a handler that takes a minute, and gives up after 20 ms.
int CancellerRole(const Arguments& arguments) {
  FaultJournal journal(Flag(arguments, "journal"), FaultJournal::Sync::kDisk);
  EchoClient client(MakeChannel(Nats{.url = Flag(arguments, "url")}));
  const long calls = NumberFlag(arguments, "calls", 100);
  std::atomic<long> next{1};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (long id = next++; id <= calls; id = next++) {
        EchoRequest request;
        request.set_text(std::to_string(id));
        request.set_delay_ms(60'000);
        CancelSource source;
        CallOptions options;
        options.cancel = source.token();
        journal.Write('I', static_cast<std::uint64_t>(id));
        std::thread canceller([&] {
          std::this_thread::sleep_for(milliseconds(20));
          journal.Write('X', static_cast<std::uint64_t>(id));
          source.Cancel(absl::CancelledError("enough"));
        });
        const absl::StatusOr<EchoReply> reply =
            SyncWaitStatus(client.Say(request, std::move(options)));
        canceller.join();
        journal.Write(reply.ok() ? 'A' : 'F', static_cast<std::uint64_t>(id),
                      static_cast<int>(reply.status().code()));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  Say("DONE");
  return 0;
}

// Reads a stream slowly, and writes down each message.
int ReaderRole(const Arguments& arguments) {
  FaultJournal journal(Flag(arguments, "journal"), FaultJournal::Sync::kKernel);
  EchoClient client(MakeChannel(Nats{.url = Flag(arguments, "url")}));
  Say("READY");
  auto read = [&]() -> Task<void> {
    EchoRequest request;
    request.set_count(static_cast<int>(NumberFlag(arguments, "count", 10'000)));
    request.set_reply_bytes(static_cast<int>(NumberFlag(arguments, "bytes", 1'000)));
    Stream<EchoReply> replies = client.Repeat(request);
    for (std::uint64_t n = 1;; ++n) {
      std::optional<EchoReply> reply = co_await replies.Next();
      if (!reply) break;
      // Ids from 1: 0 would be "handled before anything".
      journal.Write('H', static_cast<std::uint64_t>(reply->index()) + 1, 1);
      if (n % 10 == 0) co_await Sleep(milliseconds(1));
    }
  };
  const absl::Status status = SyncWaitStatus(read());
  Say("DONE " + std::to_string(static_cast<int>(status.code())));
  return 0;
}

// Publishes so many events, as fast as it can.
int PublisherRole(const Arguments& arguments) {
  const std::shared_ptr<Channel> channel = MakeChannel(Nats{.url = Flag(arguments, "url")});
  EchoClient client(channel);
  EchoRequest event;
  event.set_delay_ms(static_cast<int>(NumberFlag(arguments, "delay_ms", 5)));
  event.set_payload(std::string(64, 'x'));
  const long count = NumberFlag(arguments, "count", 20'000);
  long sent = 0;
  for (long i = 0; i < count; ++i) {
    if (SyncWaitStatus(client.OnSaid(event)).ok()) ++sent;
  }
  Say("DONE " + std::to_string(sent));
  // What was handed to the connection must leave before we do.
  Obey([](const std::string&) {});
  return 0;
}

// ---- tests --------------------------------------------------------------------------------------

std::unique_ptr<NatsBroker> StartBroker(const std::string& config = "") {
  std::unique_ptr<NatsBroker> broker = NatsBroker::Start(config);
  if (broker == nullptr) {
    throw std::runtime_error("nats-server cannot be started (apt-get install nats-server)");
  }
  return broker;
}

Row KilledServers(const Environment& environment) {
  constexpr int kCallers = 16;
  const auto broker = StartBroker();
  std::mt19937_64 random(environment.seed);
  Servers servers(environment, {"nats-server", "--url=" + broker->url()});
  for (int i = 0; i < 3; ++i) servers.Start();
  const std::string path = environment.folder / "caller.journal";
  Process caller({"nats-caller", "--url=" + broker->url(), "--journal=" + path,
                  "--callers=" + std::to_string(kCallers)});
  caller.Expect("READY");
  Wait(300);
  std::vector<std::int64_t> faults;
  int kills = 0;
  const int rounds = environment.longer ? 40 : 6;
  for (int round = 0; round < rounds; ++round) {
    const std::size_t victim = random() % servers.size();
    faults.push_back(MonotonicNs());
    if (round % 3 == 2) {
      servers[victim].Stop();
      Wait(static_cast<int>(300 + random() % 400));
      servers[victim].Continue();
    } else {
      servers[victim].Kill();
      ++kills;
      Wait(static_cast<int>(100 + random() % 300));
      servers.Restart(victim);
    }
    Wait(static_cast<int>(200 + random() % 300));
  }
  Finish(caller);
  const std::vector<JournalEntry> asked = ReadJournal(path);
  const Verdict verdict = Classify(asked, servers.Journals());
  Row row = RowOf(verdict);
  row.recovery_ms = RecoveryMs(asked, faults);
  // Only what the dead had in hand may fail.
  const auto most = static_cast<std::uint64_t>(kills * kCallers);
  row.ok = KeepsItsWord(verdict) && verdict.failed <= most && row.recovery_ms >= 0;
  row.remark = std::to_string(kills) + " kills, " + FailuresOf(asked) + " (at most " +
               std::to_string(most) + " in all)";
  return row;
}

// All calls fail at once when nobody serves; not at their deadline.
Row NobodyServes(const Environment& environment) {
  const auto broker = StartBroker();
  const std::string path = environment.folder / "caller.journal";
  Process caller({"nats-caller", "--url=" + broker->url(), "--journal=" + path, "--callers=1",
                  "--timeout_ms=60000"});
  caller.Expect("READY");
  Wait(environment.longer ? 5'000 : 1'000);
  Servers servers(environment, {"nats-server", "--url=" + broker->url()});
  const std::int64_t served = MonotonicNs();
  servers.Start();
  Wait(300);
  Finish(caller);
  const std::vector<JournalEntry> asked = ReadJournal(path);
  const Verdict verdict = Classify(asked, servers.Journals());
  std::vector<double> took;
  std::int64_t begun = 0;
  bool all_unavailable = true;
  for (const JournalEntry& entry : asked) {
    if (entry.kind == 'I') begun = entry.at_ns;
    if (entry.kind != 'F') continue;
    took.push_back(static_cast<double>(entry.at_ns - begun) / 1e6);
    all_unavailable &= entry.extra == static_cast<int>(absl::StatusCode::kUnavailable);
  }
  std::sort(took.begin(), took.end());
  Row row = RowOf(verdict);
  row.recovery_ms = RecoveryMs(asked, {served});
  row.ok = KeepsItsWord(verdict) && !took.empty() && all_unavailable;
  char text[80];
  std::snprintf(text, sizeof text, "%zu calls failed, after %.2f ms (median, the journal included)",
                took.size(), took.empty() ? 0.0 : took[took.size() / 2]);
  row.remark = text;
  return row;
}

// What a network does: resets, silence, slow peers, slices; `corrupt`: changed bytes.
Row BadNetwork(const Environment& environment, bool corrupt) {
  const auto broker = StartBroker();
  TcpFaultProxy proxy(broker->port());
  const std::string through = "nats://127.0.0.1:" + std::to_string(proxy.port());
  std::mt19937_64 random(environment.seed);
  Servers servers(environment, {"nats-server", "--url=" + through});
  servers.Start();
  const std::string path = environment.folder / "caller.journal";
  Process caller(
      {"nats-caller", "--url=" + through, "--journal=" + path, "--callers=8", "--timeout_ms=1000"});
  caller.Expect("READY");
  Wait(200);
  std::vector<std::int64_t> faults;
  const int rounds = environment.longer ? 60 : 12;
  for (int round = 0; round < rounds; ++round) {
    const auto direction = random() % 2 == 0 ? TcpFaultProxy::kToServer : TcpFaultProxy::kToClient;
    switch (corrupt ? 5 : round % 5) {
      case 0:
        proxy.Reset();
        break;
      case 1:
        proxy.Set(direction, {.delay = milliseconds(40)});
        break;
      case 2:
        proxy.Set(direction, {.drop = true});
        break;
      case 3:
        proxy.Set(direction, {.stop_reading = true});
        break;
      case 4:
        proxy.Set(direction, {.slice = 1 + random() % 9});
        break;
      default:
        proxy.Set(direction, {.corrupt_every = 2'000 + random() % 1'000});
    }
    Wait(static_cast<int>(200 + random() % 200));
    proxy.Heal();
    // Bytes that are missing in the middle, or changed, leave a connection that makes no sense any
    // more; the NATS server or nats.c ends it as soon as it notices, which we do not wait for.
    proxy.Reset();
    faults.push_back(MonotonicNs());
    Wait(static_cast<int>(400 + random() % 200));
  }
  Finish(caller);
  const std::vector<JournalEntry> asked = ReadJournal(path);
  const Verdict verdict = Classify(asked, servers.Journals());
  Row row = RowOf(verdict);
  row.recovery_ms = RecoveryMs(asked, faults);
  // A byte that is changed within a request may make another request of it: NATS has no checksums,
  // and so phantoms are possible then. All else holds.
  row.ok = (corrupt || KeepsItsWord(verdict)) && verdict.acked > 0 && verdict.unfinished == 0 &&
           row.recovery_ms >= 0 && !servers[0].Ask("stats").empty();
  row.remark = std::to_string(rounds) + " faults, " + FailuresOf(asked) + ", " +
               std::to_string(proxy.accepted()) + " connections";
  return row;
}

// A handler that cannot keep up: what is refused is counted, nothing vanishes, memory is bounded.
Row SlowConsumer(const Environment& environment) {
  constexpr std::uint64_t kMostKib = 200 << 10;
  const auto broker = StartBroker();
  Servers servers(environment, {"nats-server", "--url=" + broker->url(), "--max_calls=200"});
  servers.Start();
  const long count = environment.longer ? 400'000 : 40'000;
  Process publisher({"nats-publisher", "--url=" + broker->url(), "--count=" + std::to_string(count),
                     "--delay_ms=20"});
  const std::uint64_t sent =
      std::strtoull(publisher.Expect("DONE", std::chrono::seconds(240)).c_str(), nullptr, 10);
  std::uint64_t handled = 0;
  std::uint64_t rejected = 0;
  for (int i = 0; i < 600; ++i) {
    const std::string stats = servers[0].Ask("stats");
    std::sscanf(stats.c_str(), "%" SCNu64 " %" SCNu64, &handled, &rejected);
    if (handled + rejected >= sent) break;
    Wait(50);
  }
  Row row;
  row.acked = sent;
  row.lost = sent > handled + rejected ? sent - handled - rejected : 0;
  row.phantom = handled + rejected > sent ? handled + rejected - sent : 0;
  const std::uint64_t peak = servers[0].peak_kib();
  row.ok = sent == static_cast<std::uint64_t>(count) && row.lost == 0 && row.phantom == 0 &&
           handled > 0 && rejected > 0 && peak < kMostKib;
  row.remark = std::to_string(handled) + " handled, " + std::to_string(rejected) +
               " refused and counted, peak " + std::to_string(peak >> 10) + " MiB";
  return row;
}

Row Cancellation(const Environment& environment) {
  const auto broker = StartBroker();
  Servers servers(environment, {"nats-server", "--url=" + broker->url()});
  servers.Start();
  const int calls = environment.longer ? 2'000 : 200;
  const std::string path = environment.folder / "canceller.journal";
  Process canceller({"nats-canceller", "--url=" + broker->url(), "--journal=" + path,
                     "--calls=" + std::to_string(calls)});
  canceller.Expect("DONE", std::chrono::seconds(240));
  canceller.Wait();
  std::vector<double> latencies;
  std::uint64_t never = 0;
  std::vector<JournalEntry> asked;
  // The last cancellation may still be on its way.
  for (int attempt = 0; attempt < 200; ++attempt) {
    Wait(20);
    asked = ReadJournal(path);
    std::vector<std::int64_t> asked_to_stop(static_cast<std::size_t>(calls) + 1);
    std::vector<std::int64_t> stopped(static_cast<std::size_t>(calls) + 1);
    std::vector<bool> started(static_cast<std::size_t>(calls) + 1);
    for (const JournalEntry& entry : asked) {
      if (entry.kind == 'X') asked_to_stop[entry.id] = entry.at_ns;
    }
    for (const auto& journal : servers.Journals()) {
      for (const JournalEntry& entry : journal) {
        if (entry.kind == 'H') started[entry.id] = true;
        if (entry.kind == 'C') stopped[entry.id] = entry.at_ns;
      }
    }
    latencies.clear();
    never = 0;
    for (std::size_t id = 1; id < started.size(); ++id) {
      if (!started[id]) continue;
      if (stopped[id] == 0) {
        ++never;
      } else {
        latencies.push_back(static_cast<double>(stopped[id] - asked_to_stop[id]) / 1e6);
      }
    }
    if (never == 0) break;
  }
  const Verdict verdict = Classify(asked, servers.Journals());
  Row row = RowOf(verdict);
  row.lost = never;
  std::sort(latencies.begin(), latencies.end());
  row.recovery_ms = latencies.empty() ? 0 : latencies[latencies.size() * 99 / 100];
  const bool all_cancelled = std::all_of(asked.begin(), asked.end(), [](const JournalEntry& e) {
    return e.kind != 'F' || e.extra == static_cast<int>(absl::StatusCode::kCancelled);
  });
  row.ok = never == 0 && !latencies.empty() && verdict.acked == 0 && verdict.duplicates == 0 &&
           verdict.phantom == 0 && verdict.unfinished == 0 && all_cancelled;
  row.remark = std::to_string(latencies.size()) + " handlers stopped, none left running; " +
               "recovery_ms is the p99 from giving up to the handler's end";
  return row;
}

Row SlowReader(const Environment& environment) {
  const int count = environment.longer ? 100'000 : 10'000;
  constexpr std::size_t kBytes = 1'000;
  constexpr std::uint64_t kMostKib = 200 << 10;
  const auto broker = StartBroker();
  Servers servers(environment, {"nats-server", "--url=" + broker->url()});
  servers.Start();
  const std::string path = environment.folder / "reader.journal";
  Process reader({"nats-reader", "--url=" + broker->url(), "--journal=" + path,
                  "--count=" + std::to_string(count), "--bytes=" + std::to_string(kBytes)});
  reader.Expect("READY");
  std::uint64_t most = 0;
  const int stops = environment.longer ? 10 : 3;
  for (int i = 0; i < stops; ++i) {
    Wait(250);
    reader.Stop();
    Wait(600);
    // Stopped: what it has read stands still, and so must what is produced, but for the credit.
    const std::uint64_t read = ReadJournal(path).size();
    std::uint64_t produced = 0;
    std::sscanf(servers[0].Ask("stats").c_str(), "%*u %*u %" SCNu64, &produced);
    most = std::max(most, produced - std::min(read, produced));
    reader.Continue();
  }
  const std::string status = reader.Expect("DONE", std::chrono::seconds(240));
  const std::vector<JournalEntry> read = ReadJournal(path);
  // What was meant: each once, in order.
  std::vector<JournalEntry> asked;
  for (int i = 1; i <= count; ++i) {
    asked.push_back({'I', static_cast<std::uint64_t>(i), 0, 1});
    asked.push_back({'A', static_cast<std::uint64_t>(i), 0, 0});
  }
  const Verdict verdict = Classify(asked, {read});
  Row row = RowOf(verdict);
  // The last may exceed the credit, one is in the writer's hands, and one in the reader's.
  const std::uint64_t allowed = kWindow / (kBytes + kFrameCost) + 3;
  const std::uint64_t peak = std::max(servers[0].peak_kib(), reader.peak_kib());
  row.ok = status == "0" && verdict.lost == 0 && verdict.duplicates == 0 &&
           verdict.reordered == 0 && verdict.phantom == 0 && most <= allowed && peak < kMostKib;
  row.remark = "at most " + std::to_string(most) +
               " messages ahead of a stopped reader (credit: " + std::to_string(allowed) +
               "), peak " + std::to_string(peak >> 10) + " MiB";
  return row;
}

Row Drain(const Environment& environment) {
  const auto broker = StartBroker();
  Servers servers(environment, {"nats-server", "--url=" + broker->url()});
  servers.Start();
  servers.Start();
  const std::string path = environment.folder / "caller.journal";
  Process caller({"nats-caller", "--url=" + broker->url(), "--journal=" + path, "--callers=8",
                  "--delay_ms=10", "--timeout_ms=20000"});
  caller.Expect("READY");
  Wait(200);
  const int rounds = environment.longer ? 50 : 12;
  std::vector<std::int64_t> faults;
  int unclean = 0;
  for (int round = 0; round < rounds; ++round) {
    const auto victim = static_cast<std::size_t>(round % 2);
    faults.push_back(MonotonicNs());
    servers[victim].Terminate();
    if (servers[victim].Wait() != 0) ++unclean;
    servers.Restart(victim);
    Wait(60);
  }
  Finish(caller);
  const std::vector<JournalEntry> asked = ReadJournal(path);
  const Verdict verdict = Classify(asked, servers.Journals());
  Row row = RowOf(verdict);
  row.recovery_ms = RecoveryMs(asked, faults);
  row.ok = KeepsItsWord(verdict) && verdict.failed == 0 && unclean == 0;
  row.remark = std::to_string(rounds) + " SIGTERMs, " + std::to_string(verdict.failed) +
               " calls failed, " + std::to_string(unclean) + " unclean exits";
  return row;
}

// What comes in reply to one request, until none has come for so long.
std::vector<std::string> AskAll(const std::string& url, const std::string& subject, int silence) {
  natsConnection* connection = nullptr;
  if (natsConnection_ConnectTo(&connection, url.c_str()) != NATS_OK) return {};
  natsInbox* inbox = nullptr;
  natsInbox_Create(&inbox);
  natsSubscription* replies = nullptr;
  natsConnection_SubscribeSync(&replies, connection, inbox);
  natsConnection_PublishRequestString(connection, subject.c_str(), inbox, "");
  std::vector<std::string> answers;
  natsMsg* message = nullptr;
  while (natsSubscription_NextMsg(&message, replies, silence) == NATS_OK) {
    answers.emplace_back(natsMsg_GetData(message),
                         static_cast<std::size_t>(natsMsg_GetDataLength(message)));
    natsMsg_Destroy(message);
  }
  natsSubscription_Destroy(replies);
  natsInbox_Destroy(inbox);
  natsConnection_Destroy(connection);
  return answers;
}

// "acked" are questions that every node answered in the right form, "lost" answers that are
// missing, "phantom" such as nobody should have given.
Row Discovery(const Environment& environment) {
  const auto broker = StartBroker();
  Servers servers(environment, {"nats-server", "--url=" + broker->url()});
  for (int i = 0; i < 3; ++i) servers.Start();
  Row row;
  const std::string name = "rookery_testing_Echo";
  const auto expect = [&](const std::string& subject, const std::string& type, std::size_t nodes) {
    // Answers of a loaded machine come late, and one that is one too many is worth the wait.
    const std::vector<std::string> answers = AskAll(broker->url(), subject, 500);
    bool right = answers.size() == nodes;
    for (const std::string& answer : answers) {
      right &= answer.find("\"type\":\"io.nats.micro.v1." + type + "\"") != std::string::npos &&
               answer.find("\"name\":\"" + name + "\"") != std::string::npos;
    }
    if (right) ++row.acked;
    if (answers.size() < nodes) row.lost += nodes - answers.size();
    if (answers.size() > nodes) row.phantom += answers.size() - nodes;
    return answers;
  };
  std::string id;
  for (const std::string verb : {"PING", "INFO", "STATS"}) {
    std::string type = verb + "_response";
    for (char& c : type) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    expect("$SRV." + verb, type, 3);
    const std::vector<std::string> answers = expect("$SRV." + verb + "." + name, type, 3);
    if (id.empty() && !answers.empty()) {
      const std::size_t begin = answers[0].find("\"id\":\"") + 6;
      id = answers[0].substr(begin, answers[0].find('"', begin) - begin);
    }
    expect("$SRV." + verb + "." + name + "." + id, type, 1);
  }
  servers[0].Kill();
  expect("$SRV.PING", "ping_response", 2);
  row.ok = row.acked == 10 && row.lost == 0 && row.phantom == 0;
  row.remark = std::to_string(row.acked) + " of 10 questions answered rightly";
  return row;
}

}  // namespace

std::vector<FaultTest> NatsTests() {
  return {
      {"N-06", "calls while servers are killed and stopped", KilledServers},
      {"N-06-none", "calls that nobody serves fail at once", NobodyServes},
      {"N-06-net", "calls over a bad network all end",
       [](const Environment& environment) { return BadNetwork(environment, false); }},
      {"N-06-bytes", "calls over a network that changes bytes all end",
       [](const Environment& environment) { return BadNetwork(environment, true); }},
      {"N-08", "events faster than their handler", SlowConsumer},
      {"N-09", "cancellation reaches the handler", Cancellation},
      {"N-10", "a stream with a slow reader that stops", SlowReader},
      {"N-11", "drain at SIGTERM", Drain},
      {"N-12", "NATS's own tools see each service of each node", Discovery},
  };
}

std::vector<Role> NatsRoles() {
  return {
      {"nats-server", ServerRole},       {"nats-caller", CallerRole},
      {"nats-canceller", CancellerRole}, {"nats-reader", ReaderRole},
      {"nats-publisher", PublisherRole},
  };
}

}  // namespace rookery::faults
