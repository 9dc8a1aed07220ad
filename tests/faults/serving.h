// What fault tests of calls share, whatever carries them: a server that writes down what it does, a
// caller that writes down what it asks, servers that are killed and started again.
//
//   int ServerRole(const Arguments& arguments) {
//     return ServeEcho(arguments, Nats{.url = Flag(arguments, "url")});
//   }
//   int CallerRole(const Arguments& arguments) {
//     return CallEcho(arguments, MakeChannel(Nats{.url = Flag(arguments, "url")}));
//   }
#ifndef ROOKERY_TESTS_FAULTS_SERVING_H_
#define ROOKERY_TESTS_FAULTS_SERVING_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
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
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/sync_wait.h"
#include "support/fault_journal.h"

namespace rookery::faults {

using Arguments = std::vector<std::string>;

struct Served {
  explicit Served(const std::string& path) : journal(path, testing::FaultJournal::Sync::kKernel) {}
  // Only the process is killed here, never the machine: what the kernel has is safe.
  testing::FaultJournal journal;
  std::atomic<std::uint64_t> events{0};
  std::atomic<std::uint64_t> produced{0};
};

// Requests carry their id as text, and their key in `count`.
class ServingController final : public testing::EchoService {
 public:
  explicit ServingController(Served& served) : served_(served) {}

  Task<testing::EchoReply> Say(CallContext& call, const testing::EchoRequest& request) override {
    const std::uint64_t id = std::strtoull(request.text().c_str(), nullptr, 10);
    served_.journal.Write('H', id, request.count());
    if (request.delay_ms() != 0) {
      const absl::Status slept = co_await AsStatusOr(Pause(request.delay_ms()));
      // Cancelled.
      if (!slept.ok()) {
        served_.journal.Write('C', id);
        co_return slept;
      }
    }
    if (call.cancelled()) served_.journal.Write('C', id);
    testing::EchoReply reply;
    reply.set_text(request.text());
    co_return reply;
  }
  Task<testing::EchoReply> SayAgain(CallContext& call,
                                    const testing::EchoRequest& request) override {
    return Say(call, request);
  }
  Stream<testing::EchoReply> Repeat(CallContext&, const testing::EchoRequest& request) override {
    for (int i = 0; i < request.count(); ++i) {
      testing::EchoReply reply;
      reply.set_index(i);
      reply.set_payload(std::string(static_cast<std::size_t>(request.reply_bytes()), 'x'));
      ++served_.produced;
      co_yield std::move(reply);
    }
  }
  Task<testing::EchoReply> Join(CallContext&, Stream<testing::EchoRequest> requests) override {
    testing::EchoReply reply;
    for (;;) {
      std::optional<testing::EchoRequest> request = co_await requests.Next();
      if (!request) break;
      reply.set_index(reply.index() + 1);
    }
    co_return reply;
  }
  Stream<testing::EchoReply> Chat(CallContext&, Stream<testing::EchoRequest> requests) override {
    for (;;) {
      std::optional<testing::EchoRequest> request = co_await requests.Next();
      if (!request) break;
      testing::EchoReply reply;
      reply.set_text(request->text());
      co_yield std::move(reply);
    }
  }
  Task<void> OnSaid(CallContext&, const testing::EchoRequest& request) override {
    if (request.delay_ms() != 0) co_await Pause(request.delay_ms());
    ++served_.events;
  }

 private:
  static Task<void> Pause(int ms) { co_await Sleep(std::chrono::milliseconds(ms)); }
  Served& served_;
};

// Serves Echo over the transport that `options` belong to, until it is told to stop.
template <class Options>
int ServeEcho(const Arguments& arguments, Options options_of_transport) {
  HearTermination();
  Served served(Flag(arguments, "journal"));
  struct ServingModule {};
  DynamicModule module = DynamicModule::Of<ServingModule>();
  module.ProvideValue(std::ref(served)).Controller<ServingController>();
  ApplicationOptions options;
  options.loop_threads = 1;
  options.signals = {};
  options.log.level = LogLevel::kOff;
  Application app = Application::Create(std::move(module), std::move(options));
  app.Listen(std::move(options_of_transport));
  app.Start();
  Say("READY " + app.Endpoints().front());
  Obey([&](const std::string& order) {
    if (order == "stats") {
      Say("OK " + std::to_string(served.events) + " " +
          std::to_string(app.Stats().total_rejected()) + " " + std::to_string(served.produced));
    }
  });
  app.Close();
  return 0;
}

// Calls Say with ids of its own until it is told to stop: so many at once, each with its deadline.
inline int CallEcho(const Arguments& arguments, const std::shared_ptr<Channel>& channel) {
  HearTermination();
  testing::FaultJournal journal(Flag(arguments, "journal"), testing::FaultJournal::Sync::kDisk);
  const long callers = NumberFlag(arguments, "callers", 8);
  const std::chrono::milliseconds timeout(NumberFlag(arguments, "timeout_ms", 1'500));
  const int delay = static_cast<int>(NumberFlag(arguments, "delay_ms", 2));
  testing::EchoClient client(channel);
  std::atomic<std::uint64_t> next{static_cast<std::uint64_t>(NumberFlag(arguments, "first", 1))};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (long i = 0; i < callers; ++i) {
    threads.emplace_back([&] {
      while (!stop) {
        const std::uint64_t id = next++;
        testing::EchoRequest request;
        request.set_text(std::to_string(id));
        request.set_delay_ms(delay);
        CallOptions options;
        options.timeout = timeout;
        journal.Write('I', id);
        const absl::StatusOr<testing::EchoReply> reply =
            SyncWaitStatus(client.Say(request, std::move(options)));
        // An answer to another question is as good as none.
        if (reply.ok() && reply->text() == request.text()) {
          journal.Write('A', id);
        } else {
          journal.Write('F', id, static_cast<int>(reply.status().code()));
          // As a caller with manners does, who would fail a thousand times a second otherwise.
          std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
      }
    });
  }
  Say("READY");
  Obey([&](const std::string&) {});
  stop = true;
  for (std::thread& thread : threads) thread.join();
  Say("DONE");
  return 0;
}

// Servers that are killed and started again; each life has a journal of its own.
class Servers final {
 public:
  // `launch`: "nats-server" and its options; a journal is added.
  Servers(const Environment& environment, Arguments launch)
      : folder_(environment.folder), launch_(std::move(launch)) {}

  // The number of the server.
  std::size_t Start(const Arguments& more = {}) {
    endpoints_.emplace_back();
    newest_.push_back(lives_);
    processes_.push_back(Launch(more, &endpoints_.back()));
    return processes_.size() - 1;
  }
  void Restart(std::size_t index, const Arguments& more = {}) {
    newest_[index] = lives_;
    processes_[index] = Launch(more, &endpoints_[index]);
  }
  // Until each that runs now has handled a call: callers have found them all.
  void AwaitWork() const {
    for (const int life : newest_) {
      for (int i = 0; testing::ReadJournal(PathOf(life)).empty(); ++i) {
        if (i == 1'000) throw std::runtime_error("nobody has called a server in 20 s");
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    }
  }
  Process& operator[](std::size_t index) { return processes_[index]; }
  std::size_t size() const { return processes_.size(); }
  // Where it listens, or what it is connected to.
  const std::string& endpoint(std::size_t index) const { return endpoints_[index]; }

  std::vector<std::vector<testing::JournalEntry>> Journals() const {
    std::vector<std::vector<testing::JournalEntry>> all;
    for (int life = 0; life < lives_; ++life) all.push_back(testing::ReadJournal(PathOf(life)));
    return all;
  }

 private:
  std::string PathOf(int life) const {
    return folder_ / ("server-" + std::to_string(life) + ".journal");
  }
  Process Launch(const Arguments& more, std::string* endpoint) {
    Arguments arguments = launch_;
    arguments.push_back("--journal=" + PathOf(lives_++));
    arguments.insert(arguments.end(), more.begin(), more.end());
    Process process(arguments);
    *endpoint = process.Expect("READY");
    return process;
  }

  const std::filesystem::path folder_;
  const Arguments launch_;
  int lives_ = 0;
  std::vector<int> newest_;  // the life of each process
  std::vector<Process> processes_;
  std::vector<std::string> endpoints_;
};

inline void Wait(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

// Lets a caller finish what it has begun.
inline void Finish(Process& caller) {
  caller.Terminate();
  caller.Expect("DONE");
  const int code = caller.Wait();
  if (code != 0) throw std::runtime_error("a caller ended with " + std::to_string(code));
}

inline std::string FailuresOf(const std::vector<testing::JournalEntry>& asked) {
  std::uint64_t unavailable = 0;
  std::uint64_t late = 0;
  std::uint64_t others = 0;
  for (const testing::JournalEntry& entry : asked) {
    if (entry.kind != 'F') continue;
    if (entry.extra == static_cast<int>(absl::StatusCode::kUnavailable)) {
      ++unavailable;
    } else if (entry.extra == static_cast<int>(absl::StatusCode::kDeadlineExceeded)) {
      ++late;
    } else {
      ++others;
    }
  }
  return std::to_string(unavailable) + " unavailable, " + std::to_string(late) + " late, " +
         std::to_string(others) + " otherwise";
}

// A call is made once: nothing that was answered may be unknown to the servers, nothing may have
// been done twice or out of thin air, and every call must have ended.
inline bool KeepsItsWord(const testing::Verdict& verdict) {
  return verdict.acked > 0 && verdict.lost == 0 && verdict.duplicates == 0 &&
         verdict.phantom == 0 && verdict.unfinished == 0;
}

}  // namespace rookery::faults

#endif  // ROOKERY_TESTS_FAULTS_SERVING_H_
