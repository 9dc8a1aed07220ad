// rookery-zmq-broker: a fixed address for processes that speak ZeroMQ. See --help, and
// docs/zeromq-events.md.
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "call_broker.h"
#include "event_broker.h"
#include "rookery/runtime/loop.h"
#include "rookery/transports/zeromq.h"
#include "rookery/transports/zeromq_events.h"
#include "sockets.h"
#include "zap.h"

namespace rookery::zeromq_adapter {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr char kHelp[] = R"(Usage: rookery-zmq-broker [OPTION]...

Passes calls from clients to workers, and events from publishers to subscribers. Without the first
four it does both at the addresses shown.

  --calls=ADDRESS        where clients connect             (tcp://127.0.0.1:5555)
  --workers=ADDRESS      where workers connect             (tcp://127.0.0.1:5560)
  --publishers=ADDRESS   where events come from            (tcp://127.0.0.1:5561)
  --subscribers=ADDRESS  where events go                   (tcp://127.0.0.1:5562)
                         "tcp://HOST:PORT" (port *: a free one) or "ipc://PATH"

  --curve-key-file=PATH  the broker's secret key: encryption, and who may connect is said by
  --allow=KEY=NAME       a public key and whose it is (may be repeated), or
  --allow-any            any key
  --allow-plain-text     addresses beyond this machine without keys
  --new-keys             makes a pair of keys, prints it and ends

  --worker-timeout-ms=N  a worker that is silent for so long is gone           (2000)
  --high-water-mark=N    messages that may wait for each peer                  (10000)
  --max-calls=N          calls in flight                                       (16384)
  --drain-ms=N           at SIGTERM, how long calls in flight may take to end  (10000)
  --help                 this text

Says "READY calls=... workers=... publishers=... subscribers=..." when it can be used. SIGTERM or
SIGINT: takes no new calls, lets those in flight end, and exits with 0; with 1 if some did not; a
second one ends it at once.
)";

struct Flags {
  std::string calls, workers, publishers, subscribers;
  std::string key_file;
  ZeroMqCurve curve;
  bool plain = false;
  milliseconds worker_timeout{2'000};
  milliseconds drain{10'000};
  ZeroMq socket = ZeroMqEvents::DefaultSocket();
};

[[noreturn]] void Die(const std::string& what) {
  std::cerr << "rookery-zmq-broker: " << what << "\n";
  std::exit(2);
}

int NumberOf(std::string_view name, const std::string& text) {
  char* end = nullptr;
  const long number = std::strtol(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || number <= 0 || number > 1'000'000'000) {
    Die(std::string(name) + " wants a number above 0, and not \"" + text + "\"");
  }
  return static_cast<int>(number);
}

void ReadArgument(const std::string& argument, Flags* flags) {
  const std::size_t equals = argument.find('=');
  const std::string name = argument.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : argument.substr(equals + 1);
  if (name == "--calls") {
    flags->calls = value;
  } else if (name == "--workers") {
    flags->workers = value;
  } else if (name == "--publishers") {
    flags->publishers = value;
  } else if (name == "--subscribers") {
    flags->subscribers = value;
  } else if (name == "--curve-key-file") {
    flags->key_file = value;
  } else if (name == "--allow") {
    const std::size_t split = value.rfind('=');
    // Z85 has '=' in it: the key is the 40 characters in front.
    if (split == std::string::npos || value.size() < 42 || value[40] != '=') {
      Die("--allow wants KEY=NAME, the key in 40 characters");
    }
    flags->curve.allow[value.substr(0, 40)] = value.substr(41);
  } else if (argument == "--allow-any") {
    flags->curve.allow_any = true;
  } else if (argument == "--allow-plain-text") {
    flags->plain = true;
  } else if (name == "--worker-timeout-ms") {
    flags->worker_timeout = milliseconds(NumberOf(name, value));
  } else if (name == "--high-water-mark") {
    flags->socket.high_water_mark = NumberOf(name, value);
  } else if (name == "--max-calls") {
    flags->socket.max_concurrent_calls = static_cast<std::size_t>(NumberOf(name, value));
  } else if (name == "--drain-ms") {
    flags->drain = milliseconds(NumberOf(name, value));
  } else if (argument == "--new-keys") {
    const auto keys = NewZeroMqKeys();
    if (!keys.ok()) Die(std::string(keys.status().message()));
    std::cout << "public " << keys->public_key << "\nsecret " << keys->secret_key << "\n";
    std::exit(0);
  } else if (argument == "--help") {
    std::cout << kHelp;
    std::exit(0);
  } else {
    Die("unknown argument \"" + argument + "\"; see --help");
  }
}

void Check(const Flags& flags, const std::string& address) {
  ZeroMq one = flags.socket;
  one.address = address;
  if (const absl::Status checked = CheckZeroMqOptions(one); !checked.ok()) {
    Die(std::string(checked.message()));
  }
}

int Run(const std::vector<std::string>& arguments) {
  // Before any thread: all of them leave it to sigwait below.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  Flags flags;
  flags.socket.max_concurrent_calls = 16'384;
  for (const std::string& argument : arguments) ReadArgument(argument, &flags);
  if (flags.calls.empty() != flags.workers.empty() ||
      flags.publishers.empty() != flags.subscribers.empty()) {
    Die("--calls goes with --workers, and --publishers with --subscribers");
  }
  if (flags.calls.empty() && flags.publishers.empty()) {
    flags.calls = "tcp://127.0.0.1:5555";
    flags.workers = "tcp://127.0.0.1:5560";
    flags.publishers = "tcp://127.0.0.1:5561";
    flags.subscribers = "tcp://127.0.0.1:5562";
  }
  if (!flags.key_file.empty()) {
    std::ifstream file(flags.key_file);
    if (!(file >> flags.curve.secret_key)) Die("cannot read a key from " + flags.key_file);
    flags.socket.curve = flags.curve;
  } else if (flags.curve.allow_any || !flags.curve.allow.empty()) {
    Die("--allow and --allow-any need --curve-key-file");
  }
  flags.socket.allow_plain_text = flags.plain;
  for (const std::string& address :
       {flags.calls, flags.workers, flags.publishers, flags.subscribers}) {
    if (!address.empty()) Check(flags, address);
  }
  flags.socket.address = flags.calls.empty() ? flags.publishers : flags.calls;

  auto context = ZmqContext::Make();
  if (!context.ok()) Die(std::string(context.status().message()));
  LoopPool::Options loop_options;
  loop_options.threads = 1;
  loop_options.name = "zmq-broker";
  LoopPool loops(loop_options);
  std::shared_ptr<ZapHandler> zap;
  if (flags.socket.curve) {
    auto started = ZapHandler::Start(*context, loops[0], flags.socket);
    if (!started.ok()) Die(std::string(started.status().message()));
    zap = *std::move(started);
  }
  auto calls = std::make_unique<CallBroker>(*context, loops[0], flags.socket, flags.worker_timeout);
  auto events = std::make_unique<EventBroker>(*context, loops[0], flags.socket);
  std::string ready = "READY";
  absl::Status opened;
  if (!flags.calls.empty()) {
    opened = calls->Open(flags.calls, flags.workers);
    ready += " calls=" + calls->clients() + " workers=" + calls->workers();
  }
  if (opened.ok() && !flags.publishers.empty()) {
    opened = events->Open(flags.publishers, flags.subscribers);
    ready += " publishers=" + events->publishers() + " subscribers=" + events->subscribers();
  }
  int code = opened.ok() ? 0 : 2;
  if (opened.ok()) {
    std::cout << ready << std::endl;
    int number = 0;
    sigwait(&signals, &number);
    // The next one is not waited for.
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
    calls->StopIntake();
    const auto end = steady_clock::now() + flags.drain;
    while (calls->in_flight() != 0 && steady_clock::now() < end) {
      std::this_thread::sleep_for(milliseconds(2));
    }
    const std::size_t left = calls->in_flight();
    if (left != 0) code = 1;
    std::cout << "DONE calls=" << calls->routed() << " refused=" << calls->refused()
              << " left=" << left << " events=" << events->forwarded()
              << " malformed=" << events->refused() << std::endl;
  } else {
    std::cerr << "rookery-zmq-broker: " << opened.message() << "\n";
  }
  events.reset();
  calls.reset();
  if (zap != nullptr) zap->Stop();
  zap.reset();
  // Lets what has been said leave, for the linger at most.
  context->reset();
  loops.Stop();
  return code;
}

}  // namespace
}  // namespace rookery::zeromq_adapter

int main(int argc, char** argv) {
  return rookery::zeromq_adapter::Run(std::vector<std::string>(argv + 1, argv + argc));
}
