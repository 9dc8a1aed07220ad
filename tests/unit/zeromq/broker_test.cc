// rookery-zmq-broker, as the process that it is.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "echo.rookery.h"
#include "rookery/app/application.h"
#include "rookery/module/dynamic_module.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/rpc/channel.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/transports/zeromq.h"
#include "rookery/transports/zeromq_events.h"

namespace rookery::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

template <class F>
bool Eventually(F holds) {
  for (int i = 0; i < 6'000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return false;
}

EchoRequest Text(std::string text) {
  EchoRequest request;
  request.set_text(std::move(text));
  return request;
}

// A broker on addresses of its own.
class BrokerProcess final {
 public:
  explicit BrokerProcess(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), ROOKERY_ZMQ_BROKER);
    std::vector<char*> words;
    for (std::string& argument : arguments) words.push_back(argument.data());
    words.push_back(nullptr);
    int out[2];
    if (pipe2(out, O_CLOEXEC) != 0) std::abort();
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    if (posix_spawn(&id_, words[0], &actions, nullptr, words.data(), environ) != 0) std::abort();
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    out_ = out[0];
    ready_ = Line();
  }
  ~BrokerProcess() {
    if (id_ > 0) {
      kill(id_, SIGKILL);
      waitpid(id_, nullptr, 0);
    }
    close(out_);
  }
  BrokerProcess(const BrokerProcess&) = delete;
  BrokerProcess& operator=(const BrokerProcess&) = delete;

  // "calls", "workers", "publishers", "subscribers".
  std::string Address(const std::string& name) const {
    const std::size_t at = ready_.find(" " + name + "=");
    if (at == std::string::npos) return "";
    const std::size_t begin = at + name.size() + 2;
    return ready_.substr(begin, ready_.find(' ', begin) - begin);
  }
  // What it says next, or "" at its end or after a minute.
  std::string Line() {
    std::string line;
    for (;;) {
      pollfd readable{out_, POLLIN, 0};
      char c = 0;
      if (poll(&readable, 1, 60'000) <= 0 || read(out_, &c, 1) != 1 || c == '\n') return line;
      line.push_back(c);
    }
  }
  void Terminate() { kill(id_, SIGTERM); }
  int Wait() {
    int status = 0;
    waitpid(std::exchange(id_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t id_ = -1;
  int out_ = -1;
  std::string ready_;
};

struct Seen {
  std::atomic<int> said{0};
  std::atomic<int> running{0};
  std::atomic<int> events{0};
  Event release;
};

class Controller final : public EchoService {
 public:
  explicit Controller(Seen& seen) : seen_(seen) {}
  Task<EchoReply> Say(CallContext&, const EchoRequest& request) override {
    ++seen_.said;
    ++seen_.running;
    if (request.text() == "wait") co_await seen_.release.Wait();
    --seen_.running;
    if (request.fail_code() != 0) {
      co_return absl::Status(static_cast<absl::StatusCode>(request.fail_code()), "as told");
    }
    EchoReply reply;
    reply.set_text(request.text());
    co_return reply;
  }
  Task<EchoReply> SayAgain(CallContext& call, const EchoRequest& request) override {
    return Say(call, request);
  }
  Stream<EchoReply> Repeat(CallContext&, const EchoRequest& request) override {
    for (int i = 0; i < request.count(); ++i) {
      EchoReply reply;
      reply.set_index(i);
      reply.set_payload(std::string(static_cast<std::size_t>(request.reply_bytes()), 'x'));
      co_yield std::move(reply);
    }
  }
  Task<EchoReply> Join(CallContext&, Stream<EchoRequest>) override { co_return EchoReply(); }
  Stream<EchoReply> Chat(CallContext&, Stream<EchoRequest> requests) override {
    for (;;) {
      std::optional<EchoRequest> request = co_await requests.Next();
      if (!request) break;
      EchoReply reply;
      reply.set_text(request->text());
      co_yield std::move(reply);
    }
  }
  Task<void> OnSaid(CallContext&, const EchoRequest&) override {
    ++seen_.events;
    co_return;
  }

 private:
  Seen& seen_;
};

template <class Options>
class Node final {
 public:
  explicit Node(Options options) {
    ApplicationOptions mine;
    mine.loop_threads = 1;
    mine.drain_grace = milliseconds(5'000);
    mine.log.level = LogLevel::kOff;
    mine.signals = {};
    struct NodeModule {};
    DynamicModule module = DynamicModule::Of<NodeModule>();
    module.ProvideValue(std::ref(seen_)).template Controller<Controller>();
    app_ = std::make_unique<Application>(Application::Create(std::move(module), std::move(mine)));
    app_->Listen(std::move(options));
    app_->Start();
  }
  ~Node() { Close(); }
  void Close() {
    seen_.release.Set();
    app_->Close();
  }
  Seen& seen() { return seen_; }
  Application& app() { return *app_; }

 private:
  Seen seen_;
  std::unique_ptr<Application> app_;
};

absl::StatusOr<EchoReply> Say(EchoClient& client, const std::string& text) {
  CallOptions options;
  options.timeout = std::chrono::seconds(60);
  return SyncWaitStatus(client.Say(Text(text), std::move(options)));
}

const std::vector<std::string> kCalls = {"--calls=tcp://127.0.0.1:*",
                                         "--workers=tcp://127.0.0.1:*"};
const std::vector<std::string> kEvents = {"--publishers=tcp://127.0.0.1:*",
                                          "--subscribers=tcp://127.0.0.1:*"};

ZeroMq WorkerOf(const BrokerProcess& broker) {
  ZeroMq options{.address = broker.Address("workers")};
  options.via_broker = true;
  return options;
}

TEST(ZeroMqBrokerTest, HandsCallsToWorkers) {
  BrokerProcess broker(kCalls);
  EchoClient client(MakeChannel(ZeroMq{.address = broker.Address("calls")}));
  absl::Status nobody = Say(client, "x").status();
  EXPECT_EQ(nobody.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(nobody.message()), HasSubstr("no worker at the broker serves"));

  Node<ZeroMq> one(WorkerOf(broker));
  EXPECT_TRUE(Eventually([&] { return Say(client, "x").ok(); }));
  Node<ZeroMq> two(WorkerOf(broker));
  EXPECT_TRUE(Eventually([&] {
    (void)Say(client, "x");
    return two.seen().said > 0;
  }));
  const int before_one = one.seen().said;
  const int before_two = two.seen().said;
  for (int i = 0; i < 100; ++i) {
    const absl::StatusOr<EchoReply> reply = Say(client, std::to_string(i));
    ASSERT_TRUE(reply.ok()) << reply.status();
    ASSERT_EQ(reply->text(), std::to_string(i));
  }
  EXPECT_EQ(one.seen().said - before_one, 50);
  EXPECT_EQ(two.seen().said - before_two, 50);

  // A failure and its code; a method that the service does not have.
  EchoRequest failing = Text("x");
  failing.set_fail_code(static_cast<int>(absl::StatusCode::kDataLoss));
  EXPECT_EQ(SyncWaitStatus(client.Say(failing)).status().code(), absl::StatusCode::kDataLoss);
}

TEST(ZeroMqBrokerTest, HandsStreamsToOneWorker) {
  BrokerProcess broker(kCalls);
  Node<ZeroMq> one(WorkerOf(broker));
  Node<ZeroMq> two(WorkerOf(broker));
  EchoClient client(MakeChannel(ZeroMq{.address = broker.Address("calls")}));
  EXPECT_TRUE(Eventually([&] { return Say(client, "x").ok(); }));
  // Beyond the window: credit must find its way.
  const auto read = [&]() -> Task<int> {
    EchoRequest request;
    request.set_count(300);
    request.set_reply_bytes(20'000);
    Stream<EchoReply> replies = client.Repeat(request);
    int count = 0;
    for (;;) {
      std::optional<EchoReply> reply = co_await replies.Next();
      if (!reply) break;
      if (reply->index() == count) ++count;
    }
    co_return count;
  };
  for (int round = 0; round < 4; ++round) {
    const absl::StatusOr<int> count = SyncWaitStatus(read());
    ASSERT_TRUE(count.ok()) << count.status();
    EXPECT_EQ(*count, 300);
  }
  const auto chat = [&]() -> Task<int> {
    const auto ask = []() -> Stream<EchoRequest> {
      for (int i = 0; i < 50; ++i) co_yield Text(std::to_string(i));
    };
    Stream<EchoReply> replies = client.Chat(ask());
    int count = 0;
    for (;;) {
      std::optional<EchoReply> reply = co_await replies.Next();
      if (!reply) break;
      if (reply->text() == std::to_string(count)) ++count;
    }
    co_return count;
  };
  const absl::StatusOr<int> count = SyncWaitStatus(chat());
  ASSERT_TRUE(count.ok()) << count.status();
  EXPECT_EQ(*count, 50);
}

TEST(ZeroMqBrokerTest, AWorkerThatLeavesLosesNothing) {
  BrokerProcess broker(kCalls);
  auto leaving = std::make_unique<Node<ZeroMq>>(WorkerOf(broker));
  EchoClient client(MakeChannel(ZeroMq{.address = broker.Address("calls")}));
  EXPECT_TRUE(Eventually([&] { return Say(client, "x").ok(); }));
  Node<ZeroMq> staying(WorkerOf(broker));
  EXPECT_TRUE(Eventually([&] {
    (void)Say(client, "x");
    return staying.seen().said > 0;
  }));
  std::atomic<bool> stop{false};
  std::atomic<int> failed{0};
  std::atomic<int> done{0};
  std::thread calling([&] {
    while (!stop) {
      const absl::StatusOr<EchoReply> reply = Say(client, "x");
      if (!reply.ok()) {
        ++failed;
        std::this_thread::sleep_for(milliseconds(5));
      }
      ++done;
    }
  });
  EXPECT_TRUE(Eventually([&] { return done > 20; }));
  leaving.reset();
  const int then = done;
  EXPECT_TRUE(Eventually([&] { return done > then + 20; }));
  stop = true;
  calling.join();
  EXPECT_EQ(failed, 0);
}

TEST(ZeroMqBrokerTest, DrainsAtSigterm) {
  BrokerProcess broker(kCalls);
  Node<ZeroMq> node(WorkerOf(broker));
  EchoClient client(MakeChannel(ZeroMq{.address = broker.Address("calls")}));
  EXPECT_TRUE(Eventually([&] { return Say(client, "x").ok(); }));
  absl::Status status = absl::UnknownError("not yet");
  std::thread calling([&] { status = Say(client, "wait").status(); });
  EXPECT_TRUE(Eventually([&] { return node.seen().running == 1; }));
  broker.Terminate();
  EXPECT_TRUE(Eventually([&] { return !Say(client, "late").ok(); }));
  node.seen().release.Set();
  calling.join();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(broker.Line(), HasSubstr("left=0"));
  EXPECT_EQ(broker.Wait(), 0);
}

TEST(ZeroMqBrokerTest, CancelsAndDeadlinesReachTheWorker) {
  BrokerProcess broker(kCalls);
  Node<ZeroMq> node(WorkerOf(broker));
  EchoClient client(MakeChannel(ZeroMq{.address = broker.Address("calls")}));
  EXPECT_TRUE(Eventually([&] { return Say(client, "x").ok(); }));
  CancelSource source;
  CallOptions options;
  options.cancel = source.token();
  absl::Status status;
  std::thread calling(
      [&] { status = SyncWaitStatus(client.Say(Text("wait"), std::move(options))).status(); });
  EXPECT_TRUE(Eventually([&] { return node.seen().running == 1; }));
  source.Cancel(absl::CancelledError("enough"));
  calling.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  // The handler has been cancelled: nothing is in flight any more, although nobody released it.
  EXPECT_TRUE(Eventually([&] { return node.app().Stats().in_flight() == 0; }));
}

TEST(ZeroMqBrokerTest, HandsEventsToSubscribers) {
  BrokerProcess broker(kEvents);
  ZeroMqEvents publishing;
  publishing.address = broker.Address("publishers");
  publishing.listens = ZeroMqListens::kBroker;
  // The broker counts as one.
  publishing.min_subscribers = 1;
  publishing.zeromq.wait_for_ready = true;
  ZeroMqEvents subscribing;
  subscribing.address = broker.Address("subscribers");
  subscribing.listens = ZeroMqListens::kBroker;
  EchoClient one(MakeChannel(publishing));
  EchoClient two(MakeChannel(publishing));
  Node<ZeroMqEvents> early(subscribing);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(SyncWaitStatus(one.OnSaid(Text("x"))).ok());
    ASSERT_TRUE(SyncWaitStatus(two.OnSaid(Text("x"))).ok());
  }
  EXPECT_TRUE(Eventually([&] { return early.seen().events == 200; }));
  Node<ZeroMqEvents> late(subscribing);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(SyncWaitStatus(one.OnSaid(Text("x"))).ok());
  EXPECT_TRUE(Eventually([&] { return early.seen().events == 210; }));
  EXPECT_TRUE(Eventually([&] { return late.seen().events == 10; }));
  EXPECT_EQ(early.app().Stats().FindEvents("echo.said")->lost, 0U);
  EXPECT_EQ(late.app().Stats().FindEvents("echo.said")->lost, 0U);
  broker.Terminate();
  EXPECT_THAT(broker.Line(), HasSubstr("events=210"));
  EXPECT_EQ(broker.Wait(), 0);
}

TEST(ZeroMqBrokerTest, LetsInWhoHasAKey) {
  const ZeroMqKeys server = NewZeroMqKeys().value();
  const ZeroMqKeys friendly = NewZeroMqKeys().value();
  const ZeroMqKeys stranger = NewZeroMqKeys().value();
  std::string path = (std::filesystem::temp_directory_path() / "rookery-key-XXXXXX").string();
  const int file = mkstemp(path.data());
  ASSERT_GE(file, 0);
  close(file);
  std::ofstream(path) << server.secret_key << "\n";
  std::vector<std::string> arguments = kCalls;
  arguments.insert(arguments.end(), kEvents.begin(), kEvents.end());
  arguments.push_back("--curve-key-file=" + path);
  arguments.push_back("--allow=" + friendly.public_key + "=orders");
  BrokerProcess broker(arguments);
  std::filesystem::remove(path);
  const auto with = [&](const ZeroMqKeys& keys, ZeroMq options) {
    options.curve = ZeroMqCurve{.secret_key = keys.secret_key, .server_key = server.public_key};
    return options;
  };
  Node<ZeroMq> worker(with(friendly, WorkerOf(broker)));
  EchoClient client(MakeChannel(with(friendly, ZeroMq{.address = broker.Address("calls")})));
  EXPECT_TRUE(Eventually([&] { return Say(client, "x").ok(); }));
  ZeroMq unknown = with(stranger, ZeroMq{.address = broker.Address("calls")});
  unknown.connect_timeout = milliseconds(300);
  EchoClient refused(MakeChannel(unknown));
  EXPECT_FALSE(Say(refused, "x").ok());

  ZeroMqEvents publishing;
  publishing.address = broker.Address("publishers");
  publishing.listens = ZeroMqListens::kBroker;
  publishing.min_subscribers = 1;
  publishing.zeromq = with(friendly, publishing.zeromq);
  publishing.zeromq.wait_for_ready = true;
  ZeroMqEvents subscribing = publishing;
  subscribing.address = broker.Address("subscribers");
  Node<ZeroMqEvents> node(subscribing);
  EchoClient publisher(MakeChannel(publishing));
  ASSERT_TRUE(SyncWaitStatus(publisher.OnSaid(Text("x"))).ok());
  EXPECT_TRUE(Eventually([&] { return node.seen().events == 1; }));
  EXPECT_TRUE(Say(client, "x").ok());
}

TEST(ZeroMqBrokerTest, WrongArgumentsAreSaid) {
  EXPECT_EQ(BrokerProcess({"--nonsense"}).Wait(), 2);
  EXPECT_EQ(BrokerProcess({"--calls=tcp://127.0.0.1:*"}).Wait(), 2);
  EXPECT_EQ(BrokerProcess({"--calls=tcp://0.0.0.0:*", "--workers=tcp://0.0.0.0:*"}).Wait(), 2);
  EXPECT_EQ(BrokerProcess({"--allow-any"}).Wait(), 2);
  BrokerProcess help({"--help"});
  EXPECT_EQ(help.Wait(), 0);
}

}  // namespace
}  // namespace rookery::testing
