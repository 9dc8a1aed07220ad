// Faults over ZeroMQ: calls without a broker and with one, events that are lost and counted, peers
// that speak no ZeroMQ.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
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
#include "rookery/runtime/sync_wait.h"
#include "rookery/transports/zeromq.h"
#include "rookery/transports/zeromq_events.h"
#include "serving.h"
#include "support/fault_journal.h"
#include "support/tcp_fault_proxy.h"

namespace rookery::faults {
namespace {

using rookery::testing::Classify;
using rookery::testing::EchoClient;
using rookery::testing::EchoRequest;
using rookery::testing::FaultJournal;
using rookery::testing::JournalEntry;
using rookery::testing::MonotonicNs;
using rookery::testing::ReadJournal;
using rookery::testing::RecoveryMs;
using rookery::testing::TcpFaultProxy;
using rookery::testing::Verdict;
using std::chrono::milliseconds;

// What a process may grow to, whatever is done to it.
constexpr std::uint64_t kMostKib = 200 << 10;

// ---- roles --------------------------------------------------------------------------------------

ZeroMq CallOptionsOf(const Arguments& arguments) {
  ZeroMq options{.address = Flag(arguments, "address")};
  options.heartbeat = milliseconds(NumberFlag(arguments, "heartbeat_ms", 200));
  options.keepalive = milliseconds(NumberFlag(arguments, "keepalive_ms", 10'000));
  options.max_reconnect_wait = milliseconds(200);
  options.via_broker = NumberFlag(arguments, "via_broker", 0) != 0;
  return options;
}

int ServerRole(const Arguments& arguments) {
  return ServeEcho(arguments, CallOptionsOf(arguments));
}

// Becomes a rookery-zmq-broker, which says READY as we do.
int BrokerRole(const Arguments& arguments) {
  Arguments words = arguments;
  words[0] = ROOKERY_ZMQ_BROKER;
  std::vector<char*> raw;
  for (std::string& word : words) raw.push_back(word.data());
  raw.push_back(nullptr);
  execv(raw[0], raw.data());
  std::perror(raw[0]);
  return 2;
}

int CallerRole(const Arguments& arguments) {
  return CallEcho(arguments, MakeChannel(CallOptionsOf(arguments)));
}

ZeroMqEvents EventOptionsOf(const Arguments& arguments) {
  ZeroMqEvents options;
  options.address = Flag(arguments, "address");
  options.announce = milliseconds(100);
  options.zeromq.high_water_mark = static_cast<int>(NumberFlag(arguments, "hwm", 10'000));
  options.zeromq.max_concurrent_calls = static_cast<std::size_t>(NumberFlag(arguments, "room", 64));
  options.zeromq.max_reconnect_wait = milliseconds(200);
  return options;
}

// Publishes ids of its own, as fast as it can or so many a millisecond, until it has sent `count`
// (0: until it is told to stop), and says how many it has sent.
int PublisherRole(const Arguments& arguments) {
  HearTermination();
  FaultJournal journal(Flag(arguments, "journal"), FaultJournal::Sync::kKernel);
  ZeroMqEvents options = EventOptionsOf(arguments);
  options.min_subscribers = static_cast<std::size_t>(NumberFlag(arguments, "subscribers", 0));
  options.zeromq.wait_for_ready = true;
  EchoClient client(MakeChannel(options));
  Say("READY");
  const long count = NumberFlag(arguments, "count", 0);
  const long each_ms = NumberFlag(arguments, "each_ms", 0);
  const bool journaled = NumberFlag(arguments, "journaled", 1) != 0;
  std::atomic<bool> stop{false};
  std::thread publishing([&] {
    EchoRequest event;
    event.set_payload(
        std::string(static_cast<std::size_t>(NumberFlag(arguments, "bytes", 64)), 'x'));
    std::uint64_t sent = 0;
    for (long i = 1; !stop && (count == 0 || i <= count); ++i) {
      event.set_text(std::to_string(i));
      if (journaled) journal.Write('I', static_cast<std::uint64_t>(i), 1);
      if (SyncWaitStatus(client.OnSaid(event)).ok()) ++sent;
      if (each_ms != 0 && i % each_ms == 0) Wait(1);
    }
    Say("SENT " + std::to_string(sent));
  });
  Obey([](const std::string&) {});
  stop = true;
  publishing.join();
  Say("DONE");
  return 0;
}

struct Hearing {
  explicit Hearing(const std::string& path) : journal(path, FaultJournal::Sync::kKernel) {}
  FaultJournal journal;
  std::atomic<std::uint64_t> handled{0};
};

class HearingController final {
 public:
  explicit HearingController(Hearing& hearing) : hearing_(hearing) {}
  Task<void> OnSaid(CallContext&, const EchoRequest& event) {
    hearing_.journal.Write('H', std::strtoull(event.text().c_str(), nullptr, 10), 1);
    ++hearing_.handled;
    co_return;
  }
  static void Configure(ControllerBuilder& controller) {
    controller.Event("echo.said", &HearingController::OnSaid);
  }

 private:
  Hearing& hearing_;
};

// "stats": handled, received and lost.
int SubscriberRole(const Arguments& arguments) {
  HearTermination();
  Hearing hearing(Flag(arguments, "journal"));
  struct HearingModule {};
  DynamicModule module = DynamicModule::Of<HearingModule>();
  module.ProvideValue(std::ref(hearing)).Controller<HearingController>();
  ApplicationOptions options;
  options.loop_threads = 1;
  options.signals = {};
  options.log.level = LogLevel::kOff;
  Application app = Application::Create(std::move(module), std::move(options));
  app.Listen(EventOptionsOf(arguments));
  app.Start();
  hearing.journal.Write('R', 0);
  Say("READY");
  Obey([&](const std::string& order) {
    if (order != "stats") return;
    const StatsSnapshot stats = app.Stats();
    const EventSnapshot* const events = stats.FindEvents("echo.said");
    Say("OK " + std::to_string(hearing.handled) + " " +
        std::to_string(events == nullptr ? 0 : events->received) + " " +
        std::to_string(events == nullptr ? 0 : events->lost));
  });
  app.Close();
  return 0;
}

// ---- tests: events ------------------------------------------------------------------------------

struct Counted {
  std::uint64_t handled = 0;
  std::uint64_t received = 0;
  std::uint64_t lost = 0;
};
Counted Ask(Process& subscriber) {
  Counted counted;
  std::sscanf(subscriber.Ask("stats").c_str(), "%" SCNu64 " %" SCNu64 " %" SCNu64, &counted.handled,
              &counted.received, &counted.lost);
  return counted;
}

// A subscriber that stops in between (SIGSTOP) while events come faster than any queue holds.
// "lost" are events that were neither handled nor counted as lost.
Row LostEvents(const Environment& environment) {
  const std::string address = "ipc://" + (environment.folder / "events").string();
  const std::uint64_t count = environment.longer ? 1'000'000 : 100'000;
  Process publisher({"zeromq-publisher", "--address=" + address, "--subscribers=1", "--hwm=1000",
                     "--count=" + std::to_string(count), "--journaled=0", "--bytes=200",
                     "--journal=" + (environment.folder / "publisher.journal").string()});
  publisher.Expect("READY");
  const std::string path = environment.folder / "subscriber.journal";
  Process subscriber(
      {"zeromq-subscriber", "--address=" + address, "--journal=" + path, "--hwm=1000"});
  subscriber.Expect("READY");
  for (int i = 0; i < 3; ++i) {
    Wait(30);
    subscriber.Stop();
    Wait(150);
    subscriber.Continue();
  }
  const std::uint64_t sent =
      std::strtoull(publisher.Expect("SENT", std::chrono::seconds(120)).c_str(), nullptr, 10);
  const std::int64_t last = MonotonicNs();
  Counted counted;
  for (int i = 0; i < 1'200; ++i) {
    counted = Ask(subscriber);
    if (counted.received + counted.lost >= sent && counted.handled == counted.received) break;
    Wait(10);
  }
  Row row;
  row.recovery_ms = static_cast<double>(MonotonicNs() - last) / 1e6;
  row.acked = sent;
  const std::uint64_t accounted = counted.handled + counted.lost;
  row.lost = sent > accounted ? sent - accounted : 0;
  row.phantom = accounted > sent ? accounted - sent : 0;
  std::uint64_t before = 0;
  for (const JournalEntry& entry : ReadJournal(path)) {
    if (entry.kind != 'H') continue;
    if (entry.id <= before) ++row.reordered;
    before = entry.id;
  }
  const std::uint64_t peak = std::max(subscriber.peak_kib(), publisher.peak_kib());
  row.ok = sent == count && row.lost == 0 && row.phantom == 0 && row.reordered == 0 &&
           counted.lost > 0 && counted.handled > 0 && peak < kMostKib;
  row.remark = std::to_string(counted.handled) + " handled, " + std::to_string(counted.lost) +
               " counted as lost, peak " + std::to_string(peak >> 10) + " MiB";
  return row;
}

// Subscribers that come while events are published: from their READY on none is missing.
Row LateSubscribers(const Environment& environment) {
  const std::string address = "ipc://" + (environment.folder / "events").string();
  const std::string published = environment.folder / "publisher.journal";
  Process publisher(
      {"zeromq-publisher", "--address=" + address, "--journal=" + published, "--each_ms=20"});
  publisher.Expect("READY");
  const int rounds = environment.longer ? 50 : 8;
  Row row;
  std::vector<std::string> paths;
  for (int round = 0; round < rounds; ++round) {
    paths.push_back(environment.folder / ("subscriber-" + std::to_string(round) + ".journal"));
    Process subscriber({"zeromq-subscriber", "--address=" + address, "--journal=" + paths.back()});
    subscriber.Expect("READY");
    Wait(100);
    row.lost += Ask(subscriber).lost;
  }
  publisher.Terminate();
  publisher.Expect("SENT");
  publisher.Expect("DONE");
  publisher.Wait();
  const std::vector<JournalEntry> asked = ReadJournal(published);
  std::uint64_t gaps = 0;
  for (const std::string& path : paths) {
    std::int64_t ready = 0;
    std::vector<std::uint64_t> heard;
    for (const JournalEntry& entry : ReadJournal(path)) {
      if (entry.kind == 'R') ready = entry.at_ns;
      if (entry.kind == 'H') heard.push_back(entry.id);
    }
    // The first that was meant after we were ready.
    const auto first = std::find_if(asked.begin(), asked.end(), [&](const JournalEntry& entry) {
      return entry.kind == 'I' && entry.at_ns > ready;
    });
    if (heard.empty() || first == asked.end()) throw std::runtime_error("nothing was heard");
    if (heard.front() > first->id) gaps += heard.front() - first->id;
    for (std::size_t i = 1; i < heard.size(); ++i) {
      if (heard[i] <= heard[i - 1]) ++row.reordered;
      if (heard[i] > heard[i - 1] + 1) gaps += heard[i] - heard[i - 1] - 1;
    }
    row.acked += heard.size();
  }
  row.lost += gaps;
  row.ok = row.lost == 0 && row.reordered == 0;
  row.remark = std::to_string(rounds) + " subscribers while events were published";
  return row;
}

// Nobody is there: publishing work fails when the queue is full, and takes neither time nor memory;
// calls fail at once.
Row NobodyThere(const Environment& environment) {
  ZeroMqEvents events;
  events.address = "ipc://" + (environment.folder / "work").string();
  events.sharing = ZeroMqSharing::kWork;
  events.zeromq.max_pending_bytes = 8U << 20;
  events.zeromq.linger = milliseconds(10);
  EchoClient publisher(MakeChannel(events));
  ZeroMq calls{.address = "ipc://" + (environment.folder / "nobody").string()};
  calls.connect_timeout = milliseconds(50);
  EchoClient caller(MakeChannel(calls));
  const auto count = static_cast<std::uint64_t>(environment.longer ? 1'000'000 : 100'000);
  rusage before{};
  getrusage(RUSAGE_SELF, &before);
  std::uint64_t refused = 0;
  std::int64_t longest = 0;
  EchoRequest event;
  event.set_payload(std::string(200, 'x'));
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::int64_t began = MonotonicNs();
    const absl::Status status = SyncWaitStatus(publisher.OnSaid(event));
    longest = std::max(longest, MonotonicNs() - began);
    if (absl::IsResourceExhausted(status)) ++refused;
  }
  std::uint64_t unavailable = 0;
  for (int i = 0; i < 100; ++i) {
    CallOptions options;
    options.timeout = std::chrono::seconds(60);
    if (absl::IsUnavailable(SyncWaitStatus(caller.Say(event, std::move(options))).status())) {
      ++unavailable;
    }
  }
  rusage after{};
  getrusage(RUSAGE_SELF, &after);
  const auto grown = static_cast<std::uint64_t>(std::max(0L, after.ru_maxrss - before.ru_maxrss));
  Row row;
  row.acked = count - refused;
  row.recovery_ms = static_cast<double>(longest) / 1e6;
  row.ok = refused > count / 4 && unavailable == 100 && grown < (100U << 10);
  row.remark = std::to_string(refused) + " of " + std::to_string(count) +
               " events refused, 100 calls unavailable at once; recovery_ms is the longest time "
               "that publishing took; grown by " +
               std::to_string(grown >> 10) + " MiB";
  return row;
}

// ---- tests: calls -------------------------------------------------------------------------------

std::string IpcAddress(const Environment& environment, std::size_t index) {
  return "ipc://" + (environment.folder / ("server-" + std::to_string(index))).string();
}

Row KilledServers(const Environment& environment) {
  constexpr int kCallers = 16;
  std::mt19937_64 random(environment.seed);
  Servers servers(environment, {"zeromq-server", "--heartbeat_ms=100"});
  std::string addresses;
  for (std::size_t i = 0; i < 3; ++i) {
    servers.Start({"--address=" + IpcAddress(environment, i)});
    addresses += (i == 0 ? "" : ",") + IpcAddress(environment, i);
  }
  const std::string path = environment.folder / "caller.journal";
  Process caller({"zeromq-caller", "--address=" + addresses, "--journal=" + path,
                  "--heartbeat_ms=100", "--callers=" + std::to_string(kCallers)});
  caller.Expect("READY");
  Wait(300);
  std::vector<std::int64_t> faults;
  int kills = 0;
  int stops = 0;
  const int rounds = environment.longer ? 40 : 6;
  for (int round = 0; round < rounds; ++round) {
    const std::size_t victim = random() % servers.size();
    faults.push_back(MonotonicNs());
    if (round % 3 == 2) {
      servers[victim].Stop();
      ++stops;
      Wait(static_cast<int>(600 + random() % 400));
      servers[victim].Continue();
    } else {
      servers[victim].Kill();
      ++kills;
      Wait(static_cast<int>(100 + random() % 300));
      servers.Restart(victim, {"--address=" + IpcAddress(environment, victim)});
    }
    Wait(static_cast<int>(200 + random() % 300));
  }
  Finish(caller);
  const std::vector<JournalEntry> asked = ReadJournal(path);
  const Verdict verdict = Classify(asked, servers.Journals());
  Row row = RowOf(verdict);
  row.recovery_ms = RecoveryMs(asked, faults);
  // Only what the dead and the silent had in hand may fail.
  const auto most = static_cast<std::uint64_t>((kills + stops) * kCallers);
  row.ok = KeepsItsWord(verdict) && verdict.failed <= most && row.recovery_ms >= 0;
  row.remark = std::to_string(kills) + " kills, " + std::to_string(stops) + " stops, " +
               FailuresOf(asked) + " (at most " + std::to_string(most) + " in all)";
  return row;
}

// The same behind a broker, which is not harmed.
Row KilledWorkers(const Environment& environment) {
  constexpr int kCallers = 16;
  std::mt19937_64 random(environment.seed);
  const std::string clients = "ipc://" + (environment.folder / "calls").string();
  const std::string workers = "ipc://" + (environment.folder / "workers").string();
  Process broker(
      {"zeromq-broker", "--calls=" + clients, "--workers=" + workers, "--worker-timeout-ms=800"});
  broker.Expect("READY");
  Servers servers(environment, {"zeromq-server", "--via_broker=1", "--address=" + workers});
  for (std::size_t i = 0; i < 3; ++i) servers.Start();
  // They have registered.
  Wait(500);
  const std::string path = environment.folder / "caller.journal";
  Process caller({"zeromq-caller", "--address=" + clients, "--journal=" + path,
                  "--timeout_ms=10000", "--callers=" + std::to_string(kCallers)});
  caller.Expect("READY");
  Wait(300);
  std::vector<std::int64_t> faults;
  int harmed = 0;
  const int rounds = environment.longer ? 40 : 4;
  for (int round = 0; round < rounds; ++round) {
    const std::size_t victim = random() % servers.size();
    faults.push_back(MonotonicNs());
    ++harmed;
    if (round % 2 == 1) {
      servers[victim].Stop();
      Wait(1'500);
      servers[victim].Continue();
    } else {
      servers[victim].Kill();
      Wait(200);
      servers.Restart(victim);
    }
    Wait(300);
  }
  Finish(caller);
  broker.Terminate();
  broker.Expect("DONE");
  const int code = broker.Wait();
  const std::vector<JournalEntry> asked = ReadJournal(path);
  const Verdict verdict = Classify(asked, servers.Journals());
  Row row = RowOf(verdict);
  row.recovery_ms = RecoveryMs(asked, faults);
  const auto late = std::count_if(asked.begin(), asked.end(), [](const JournalEntry& entry) {
    return entry.kind == 'F' &&
           entry.extra == static_cast<int>(absl::StatusCode::kDeadlineExceeded);
  });
  // What it had in hand, and the call by which the broker finds out.
  const auto most = static_cast<std::uint64_t>(harmed * (kCallers + 1));
  row.ok = KeepsItsWord(verdict) && verdict.failed <= most && late == 0 && code == 0 &&
           row.recovery_ms >= 0;
  row.remark = std::to_string(harmed) + " workers killed or stopped, " + FailuresOf(asked) +
               " (at most " + std::to_string(most) + " in all), the broker's exit " +
               std::to_string(code);
  return row;
}

// A network that swallows everything, without a word: found out by the heartbeat, and calls go to
// the other server.
Row SilentNetwork(const Environment& environment) {
  Servers servers(environment, {"zeromq-server", "--heartbeat_ms=100"});
  servers.Start({"--address=tcp://127.0.0.1:*"});
  servers.Start({"--address=tcp://127.0.0.1:*"});
  const std::string endpoint = servers.endpoint(0);
  TcpFaultProxy proxy(std::atoi(endpoint.c_str() + endpoint.rfind(':') + 1));
  const std::string path = environment.folder / "caller.journal";
  Process caller(
      {"zeromq-caller",
       "--address=tcp://127.0.0.1:" + std::to_string(proxy.port()) + "," + servers.endpoint(1),
       "--journal=" + path, "--heartbeat_ms=100", "--callers=8", "--timeout_ms=10000"});
  caller.Expect("READY");
  Wait(300);
  std::vector<std::int64_t> faults;
  const int rounds = environment.longer ? 20 : 3;
  for (int round = 0; round < rounds; ++round) {
    proxy.Set(TcpFaultProxy::kToServer, {.drop = true});
    proxy.Set(TcpFaultProxy::kToClient, {.drop = true});
    faults.push_back(MonotonicNs());
    Wait(800);
    proxy.Heal();
    proxy.Reset();
    Wait(400);
  }
  Finish(caller);
  const std::vector<JournalEntry> asked = ReadJournal(path);
  const Verdict verdict = Classify(asked, servers.Journals());
  Row row = RowOf(verdict);
  row.recovery_ms = RecoveryMs(asked, faults);
  std::vector<std::int64_t> begun(asked.size() + 2);
  std::int64_t longest = 0;
  for (const JournalEntry& entry : asked) {
    if (entry.id >= begun.size()) begun.resize(entry.id + 1);
    if (entry.kind == 'I') begun[entry.id] = entry.at_ns;
    if (entry.kind == 'F') longest = std::max(longest, entry.at_ns - begun[entry.id]);
  }
  const auto late = std::count_if(asked.begin(), asked.end(), [](const JournalEntry& entry) {
    return entry.kind == 'F' &&
           entry.extra == static_cast<int>(absl::StatusCode::kDeadlineExceeded);
  });
  // What was under way is given up when the heartbeat is missed, and not at its deadline.
  row.ok = KeepsItsWord(verdict) && late == 0 && row.recovery_ms >= 0;
  char text[120];
  std::snprintf(text, sizeof text,
                "%d silences, %s; a lost call was given up after %.0f ms at most", rounds,
                FailuresOf(asked).c_str(), static_cast<double>(longest) / 1e6);
  row.remark = text;
  return row;
}

int ConnectTo(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

// Connections that say what no ZeroMQ says, and such as say nothing; meanwhile calls go on.
Row Hostile(const Environment& environment) {
  std::mt19937_64 random(environment.seed);
  Servers servers(environment, {"zeromq-server", "--address=tcp://127.0.0.1:*"});
  servers.Start();
  const std::string endpoint = servers.endpoint(0);
  const int port = std::atoi(endpoint.c_str() + endpoint.rfind(':') + 1);
  const std::string path = environment.folder / "caller.journal";
  Process caller({"zeromq-caller", "--address=" + endpoint, "--journal=" + path, "--callers=4"});
  caller.Expect("READY");
  // A ZMTP 3.0 greeting for NULL, and READY of a DEALER.
  std::string greeting("\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL", 16);
  greeting.resize(64, '\0');
  const std::string ready(
      "\x04\x1d\x05READY\x0bSocket-Type\0\0\0\x06"
      "DEALER",
      31);
  const int count = environment.longer ? 2'000 : 200;
  std::vector<int> open;
  for (int i = 0; i < count; ++i) {
    const int fd = ConnectTo(port);
    if (fd < 0) continue;
    open.push_back(fd);
    std::string said;
    switch (i % 6) {
      case 0:  // nothing
        break;
      case 1:  // half a greeting
        said = greeting.substr(0, 1 + random() % 63);
        break;
      case 2:  // garbage
        for (int byte = 0; byte < 300; ++byte) said.push_back(static_cast<char>(random()));
        break;
      case 3:  // a frame of 2 GiB
        said =
            greeting + ready + std::string("\x02\0\0\0\0\x80\0\0\0", 9) + std::string(1'000, 'x');
        break;
      case 4:  // frames that are no call
        said = greeting + ready;
        for (int frame = 0; frame < 50; ++frame) said += std::string("\0\x03xyz", 5);
        break;
      default:  // another protocol
        said = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    }
    (void)!send(fd, said.data(), said.size(), MSG_NOSIGNAL);
    if (open.size() > 100) {
      close(open.front());
      open.erase(open.begin());
    }
  }
  Wait(500);
  for (const int fd : open) close(fd);
  Wait(200);
  Finish(caller);
  std::uint64_t rejected = 0;
  std::sscanf(servers[0].Ask("stats").c_str(), "%*u %" SCNu64, &rejected);
  const std::vector<JournalEntry> asked = ReadJournal(path);
  const Verdict verdict = Classify(asked, servers.Journals());
  Row row = RowOf(verdict);
  const std::uint64_t peak = servers[0].peak_kib();
  row.ok = KeepsItsWord(verdict) && verdict.failed == 0 && rejected > 0 && peak < kMostKib;
  row.remark = std::to_string(count) + " hostile connections, " + std::to_string(rejected) +
               " refusals counted, " + std::to_string(verdict.failed) +
               " good calls failed, peak " + std::to_string(peak >> 10) + " MiB";
  return row;
}

Row Drain(const Environment& environment) {
  Servers servers(environment, {"zeromq-server"});
  for (std::size_t i = 0; i < 2; ++i) {
    servers.Start({"--address=" + IpcAddress(environment, i)});
  }
  const std::string path = environment.folder / "caller.journal";
  Process caller({"zeromq-caller",
                  "--address=" + IpcAddress(environment, 0) + "," + IpcAddress(environment, 1),
                  "--journal=" + path, "--callers=8", "--delay_ms=10", "--timeout_ms=20000"});
  caller.Expect("READY");
  const int rounds = environment.longer ? 50 : 12;
  std::vector<std::int64_t> faults;
  std::vector<double> exits;
  int unclean = 0;
  for (int round = 0; round < rounds; ++round) {
    // One that has come back is connected to again after a pause, which the other must outlive.
    servers.AwaitWork();
    const auto victim = static_cast<std::size_t>(round % 2);
    faults.push_back(MonotonicNs());
    servers[victim].Terminate();
    if (servers[victim].Wait() != 0) ++unclean;
    exits.push_back(static_cast<double>(MonotonicNs() - faults.back()) / 1e6);
    servers.Restart(victim, {"--address=" + IpcAddress(environment, victim)});
    Wait(400);
  }
  servers.AwaitWork();
  Finish(caller);
  const std::vector<JournalEntry> asked = ReadJournal(path);
  const Verdict verdict = Classify(asked, servers.Journals());
  Row row = RowOf(verdict);
  row.recovery_ms = RecoveryMs(asked, faults);
  row.ok = KeepsItsWord(verdict) && verdict.failed == 0 && unclean == 0;
  std::sort(exits.begin(), exits.end());
  char text[160];
  std::snprintf(text, sizeof text,
                "%d SIGTERMs, %" PRIu64
                " calls failed, %d unclean exits, at most "
                "%.0f ms each",
                rounds, verdict.failed, unclean, exits.back());
  row.remark = text;
  return row;
}

// Servers that come again at the same address, and several callers: no reply goes to another call
// than the one it answers. "phantom" includes replies that did.
Row NoReplyToOthers(const Environment& environment) {
  constexpr int kCallers = 3;
  Servers servers(environment, {"zeromq-server", "--address=" + IpcAddress(environment, 0)});
  servers.Start();
  std::vector<Process> callers;
  std::vector<std::string> paths;
  for (int i = 0; i < kCallers; ++i) {
    paths.push_back(environment.folder / ("caller-" + std::to_string(i) + ".journal"));
    callers.emplace_back(Arguments{"zeromq-caller", "--address=" + IpcAddress(environment, 0),
                                   "--journal=" + paths.back(), "--callers=4", "--heartbeat_ms=100",
                                   "--first=" + std::to_string(1 + i * 100'000'000)});
    callers.back().Expect("READY");
  }
  const int rounds = environment.longer ? 50 : 10;
  for (int round = 0; round < rounds; ++round) {
    Wait(100);
    servers[0].Kill();
    servers.Restart(0);
  }
  Wait(400);
  for (Process& caller : callers) Finish(caller);
  std::vector<JournalEntry> asked;
  for (const std::string& path : paths) {
    const std::vector<JournalEntry> one = ReadJournal(path);
    asked.insert(asked.end(), one.begin(), one.end());
  }
  const Verdict verdict = Classify(asked, servers.Journals());
  Row row = RowOf(verdict);
  // The one failure without a code: an answer that belongs to another question.
  const auto misrouted = static_cast<std::uint64_t>(
      std::count_if(asked.begin(), asked.end(), [](const JournalEntry& entry) {
        return entry.kind == 'F' && entry.extra == static_cast<int>(absl::StatusCode::kOk);
      }));
  row.phantom += misrouted;
  row.ok = KeepsItsWord(verdict) && misrouted == 0;
  row.remark = std::to_string(rounds) + " restarts at one address, " + std::to_string(kCallers) +
               " callers, " + FailuresOf(asked);
  return row;
}

}  // namespace

std::vector<FaultTest> ZeroMqTests() {
  return {
      {"Z-01", "calls while servers are killed and stopped", KilledServers},
      {"Z-01-broker", "the same behind a broker", KilledWorkers},
      {"Z-02", "calls over a network that falls silent", SilentNetwork},
      {"Z-03", "events that are lost are counted", LostEvents},
      {"Z-04", "subscribers that come late miss nothing from then on", LateSubscribers},
      {"Z-05", "nothing blocks where nobody is", NobodyThere},
      {"Z-06", "connections that speak no ZeroMQ", Hostile},
      {"Z-07", "drain at SIGTERM", Drain},
      {"Z-08", "servers that come again at their address", NoReplyToOthers},
  };
}

std::vector<Role> ZeroMqRoles() {
  return {
      {"zeromq-server", ServerRole},         {"zeromq-broker", BrokerRole},
      {"zeromq-caller", CallerRole},         {"zeromq-publisher", PublisherRole},
      {"zeromq-subscriber", SubscriberRole},
  };
}

}  // namespace rookery::faults
