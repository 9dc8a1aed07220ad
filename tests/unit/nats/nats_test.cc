// The NATS transport against a real nats-server: what the contract, which gives each node a prefix
// of its own, does not show.
#include "rookery/transports/nats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nats/nats.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "echo.rookery.h"
#include "rookery/app/application.h"
#include "rookery/module/dynamic_module.h"
#include "rookery/module/module_builder.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/rpc/channel.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/sync_wait.h"
#include "support/nats_broker.h"
#include "support/tcp_fault_proxy.h"

namespace rookery::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

EchoRequest Text(std::string text) {
  EchoRequest request;
  request.set_text(std::move(text));
  return request;
}

template <class F>
bool Eventually(F holds) {
  for (int i = 0; i < 2'000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return false;
}

struct Seen {
  std::atomic<int> said{0};
  std::atomic<int> events{0};
  std::atomic<int> wild{0};
  std::atomic<int> running{0};
  Event release;
};

class Controller final : public EchoService {
 public:
  explicit Controller(Seen& seen) : seen_(seen) {}

  Task<EchoReply> Say(CallContext& call, const EchoRequest& request) override {
    ++seen_.said;
    ++seen_.running;
    if (request.text() == "wait") co_await seen_.release.Wait();
    --seen_.running;
    if (request.fail_code() != 0) {
      co_return absl::Status(static_cast<absl::StatusCode>(request.fail_code()), "as told");
    }
    EchoReply reply;
    reply.set_text(request.text() + " from " + std::string(call.transport()));
    co_return reply;
  }
  Task<EchoReply> SayAgain(CallContext& call, const EchoRequest& request) override {
    return Say(call, request);
  }
  Stream<EchoReply> Repeat(CallContext&, const EchoRequest& request) override {
    ++seen_.running;
    for (int i = 0; i < request.count(); ++i) {
      EchoReply reply;
      reply.set_index(i);
      reply.set_payload(std::string(static_cast<std::size_t>(request.reply_bytes()), 'x'));
      co_yield std::move(reply);
    }
    if (request.text() == "wait") co_await seen_.release.Wait();
    --seen_.running;
  }
  Task<EchoReply> Join(CallContext&, Stream<EchoRequest> requests) override {
    EchoReply reply;
    for (;;) {
      std::optional<EchoRequest> request = co_await requests.Next();
      if (!request) break;
      reply.set_index(reply.index() + 1);
    }
    co_return reply;
  }
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
  Task<EchoReply> Sum(CallContext&, const EchoRequest& request) {
    EchoReply reply;
    reply.set_index(request.count() + 1);
    co_return reply;
  }
  Task<void> OnAny(CallContext&, const EchoRequest&) {
    ++seen_.wild;
    co_return;
  }
  static void Configure(ControllerBuilder& controller) {
    controller.Message("math.sum", &Controller::Sum);
    controller.Event("audit.>", &Controller::OnAny);
  }

 private:
  Seen& seen_;
};

// An application on NATS.
class Node final {
 public:
  explicit Node(Nats options) : Node(std::move(options), nullptr) {}
  Node(Nats options, Seen* shared) : seen_(shared == nullptr ? own_ : *shared) {
    ApplicationOptions mine;
    mine.loop_threads = 1;
    mine.drain_grace = milliseconds(5'000);
    mine.log.level = LogLevel::kOff;
    mine.signals = {};
    struct NatsModule {};
    DynamicModule module = DynamicModule::Of<NatsModule>();
    module.ProvideValue(std::ref(seen_)).Controller<Controller>();
    app_ = std::make_unique<Application>(Application::Create(std::move(module), std::move(mine)));
    app_->Listen(std::move(options));
    app_->Start();
  }
  ~Node() {
    seen_.release.Set();
    app_->Close();
  }
  Application& app() { return *app_; }
  Seen& seen() { return seen_; }

 private:
  Seen own_;
  Seen& seen_;
  std::unique_ptr<Application> app_;
};

Task<int> ReadAll(Stream<EchoReply> replies) {
  int count = 0;
  for (;;) {
    std::optional<EchoReply> reply = co_await replies.Next();
    if (!reply) break;
    ++count;
  }
  co_return count;
}

class NatsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    broker_ = NatsBroker::Start();
    ASSERT_NE(broker_, nullptr) << "install nats-server";
  }
  Nats options() const {
    Nats nats{.url = broker_->url()};
    nats.queue = "echo";
    return nats;
  }
  EchoClient client(const Nats& nats) { return EchoClient(MakeChannel(nats)); }
  EchoClient client() { return client(options()); }

  std::unique_ptr<NatsBroker> broker_;
};

TEST_F(NatsTest, ServesEachServiceUnderItsOwnSubject) {
  Node node(options());
  EXPECT_THAT(node.app().Endpoints(), ::testing::ElementsAre(broker_->url()));
  EXPECT_EQ(SyncWait(client().Say(Text("hi"))).text(), "hi from nats");
  EXPECT_EQ(SyncWait(client().SayAgain(Text("again"))).text(), "again from nats");
  EchoRequest request = Text("r");
  request.set_count(50);
  EXPECT_EQ(SyncWait(ReadAll(client().Repeat(request))), 50);
}

TEST_F(NatsTest, NobodyListensIsUnavailableAndAnUnknownMethodIsUnimplemented) {
  const std::shared_ptr<Channel> channel = MakeChannel(options());
  EchoClient nobody(channel);
  EXPECT_EQ(SyncWaitStatus(nobody.Say(Text("x"))).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(SyncWaitStatus(ReadAll(nobody.Repeat(Text("x")))).status().code(),
            absl::StatusCode::kUnavailable);
  Node node(options());
  MethodDescriptor method = EchoService::Descriptor().methods[0];
  method.full_name = "/rookery.testing.Echo/Nowhere";
  OutgoingCall call(method);
  EchoReply reply;
  auto raw = [&]() -> Task<void> {
    const EchoRequest request;
    Task<void> unary = channel->Unary(call, request, reply);
    co_await std::move(unary);
  };
  EXPECT_EQ(SyncWaitStatus(raw()).code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(node.app().Stats().total_rejected(), 1U);
}

TEST_F(NatsTest, WaitForReadyWaitsUntilSomebodyServes) {
  Nats waiting = options();
  waiting.wait_for_ready = true;
  EchoClient caller = client(waiting);
  std::unique_ptr<Node> node;
  std::thread late([&] {
    std::this_thread::sleep_for(milliseconds(60));
    node = std::make_unique<Node>(options());
  });
  EXPECT_EQ(SyncWait(caller.Say(Text("hi"))).text(), "hi from nats");
  late.join();
}

TEST_F(NatsTest, InstancesOfAQueueGroupShareTheWork) {
  Node first(options());
  Node second(options());
  EchoClient caller = client();
  for (int i = 0; i < 200; ++i) (void)SyncWait(caller.Say(Text("x")));
  EXPECT_EQ(first.seen().said + second.seen().said, 200);
  EXPECT_GT(first.seen().said, 0);
  EXPECT_GT(second.seen().said, 0);
}

TEST_F(NatsTest, AnEventReachesEveryGroupOnceAndWithoutGroupsEveryInstance) {
  Nats other = options();
  other.queue = "another";
  Nats alone = options();
  alone.queue_groups = false;
  Node first(options());
  Node second(options());
  Node third(other);
  Node fourth(alone);
  Node fifth(alone);
  EchoClient caller = client();
  for (int i = 0; i < 20; ++i) SyncWait(caller.OnSaid(Text("x")));
  EXPECT_TRUE(Eventually([&] {
    return first.seen().events + second.seen().events == 20 && third.seen().events == 20 &&
           fourth.seen().events == 20 && fifth.seen().events == 20;
  }));
}

TEST_F(NatsTest, PrefixesKeepApart) {
  Nats staging = options();
  staging.prefix = "staging";
  Node node(staging);
  EXPECT_EQ(SyncWait(client(staging).Say(Text("hi"))).text(), "hi from nats");
  EXPECT_EQ(SyncWaitStatus(client().Say(Text("hi"))).status().code(),
            absl::StatusCode::kUnavailable);
}

// What somebody without a line of ours sends, and gets.
class Stranger final {
 public:
  explicit Stranger(const std::string& url) {
    if (natsConnection_ConnectTo(&connection_, url.c_str()) != NATS_OK) std::abort();
  }
  ~Stranger() { natsConnection_Destroy(connection_); }
  std::string Ask(const std::string& subject, const std::string& body, const char* name = nullptr,
                  const char* value = nullptr) {
    natsMsg* message = nullptr;
    natsMsg_Create(&message, subject.c_str(), nullptr, body.data(), static_cast<int>(body.size()));
    if (name != nullptr) natsMsgHeader_Set(message, name, value);
    natsMsg* reply = nullptr;
    const natsStatus status = natsConnection_RequestMsg(&reply, connection_, message, 10'000);
    natsMsg_Destroy(message);
    if (status != NATS_OK) return natsStatus_GetText(status);
    std::string text(natsMsg_GetData(reply),
                     static_cast<std::size_t>(natsMsg_GetDataLength(reply)));
    const char* code = nullptr;
    if (natsMsgHeader_Get(reply, "grpc-status", &code) == NATS_OK) text += std::string("#") + code;
    if (natsMsgHeader_Get(reply, "Nats-Service-Error-Code", &code) == NATS_OK) {
      text += std::string("!") + code;
    }
    natsMsg_Destroy(reply);
    return text;
  }
  void Publish(const std::string& subject, const std::string& body) {
    natsConnection_PublishString(connection_, subject.c_str(), body.c_str());
    natsConnection_Flush(connection_);
  }

 private:
  natsConnection* connection_ = nullptr;
};

TEST_F(NatsTest, PatternsAndWildcardsServeStrangers) {
  Node node(options());
  Stranger stranger(broker_->url());
  EXPECT_EQ(stranger.Ask("math.sum", R"({"count": 41})", "Content-Type", "application/json"),
            R"({"index":42})");
  EXPECT_EQ(stranger.Ask("rookery.testing.Echo.Say", Text("hi").SerializeAsString()), [] {
    EchoReply reply;
    reply.set_text("hi from nats");
    return reply.SerializeAsString();
  }());
  stranger.Publish("audit.user.login", "");
  stranger.Publish("audit.x", "");
  EXPECT_TRUE(Eventually([&] { return node.seen().wild == 2; }));
  EchoRequest failing = Text("x");
  failing.set_fail_code(5);
  EXPECT_EQ(stranger.Ask("rookery.testing.Echo.Say", failing.SerializeAsString()), "#5!5");
}

TEST_F(NatsTest, BadMessagesAreRefusedCountedAndDoNoHarm) {
  Node node(options());
  Stranger stranger(broker_->url());
  const std::string say = "rookery.testing.Echo.Say";
  EXPECT_EQ(stranger.Ask(say, "\xff\xff"), "#3!3");
  EXPECT_EQ(stranger.Ask(say, "{", "content-type", "application/json"), "#3!3");
  EXPECT_EQ(stranger.Ask(say, "", "content-type", "text/xml"), "#3!3");
  EXPECT_EQ(stranger.Ask(say, "", "rookery", "7 call"), "#12!12");
  EXPECT_EQ(stranger.Ask(say, "", "x-big", std::string(20'000, 'x').c_str()), "#8!8");
  EXPECT_EQ(stranger.Ask("rookery.testing.Echo.Repeat", ""), "#12!12");
  stranger.Publish("rookery.cancel.rookery.testing.Echo", "nonsense");
  stranger.Publish("echo.said", "\xff\xff");
  EXPECT_TRUE(Eventually([&] { return node.app().Stats().total_rejected() == 7; }));
  EXPECT_EQ(SyncWait(client().Say(Text("hi"))).text(), "hi from nats");
}

TEST_F(NatsTest, MessagesBeyondTheServersMaxPayloadAreRefused) {
  Node node(options());
  EchoRequest request = Text("x");
  request.set_payload(std::string(2 << 20, 'x'));  // nats-server takes 1 MiB
  EXPECT_EQ(SyncWaitStatus(client().Say(request)).status().code(),
            absl::StatusCode::kResourceExhausted);
  EchoRequest large = Text("r");
  large.set_count(1);
  large.set_reply_bytes(2 << 20);
  EXPECT_EQ(SyncWaitStatus(ReadAll(client().Repeat(large))).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(SyncWait(client().Say(Text("hi"))).text(), "hi from nats");
}

TEST_F(NatsTest, WhatWaitsToBeSentIsBounded) {
  Node node(options());
  Nats narrow = options();
  narrow.max_pending_bytes = 200'000;
  EchoClient caller = client(narrow);
  // One after the other leaves nothing behind, however much it is in all.
  EchoRequest request = Text("x");
  request.set_payload(std::string(100'000, 'x'));
  for (int i = 0; i < 20; ++i) EXPECT_EQ(SyncWait(caller.Say(request)).text(), "x from nats");
  // A broker that does not read.
  broker_->Pause();
  const auto flood = [&] {
    absl::Status last;
    for (int i = 0; i < 500 && last.ok(); ++i) last = SyncWaitStatus(caller.OnSaid(request));
    return last;
  };
  EXPECT_EQ(flood().code(), absl::StatusCode::kResourceExhausted);
  broker_->Continue();
  EXPECT_TRUE(Eventually([&] { return SyncWaitStatus(caller.Say(request)).ok(); }));
}

TEST_F(NatsTest, ALostBrokerFailsCallsInFlightAndIsFoundAgain) {
  Node node(options());
  const std::shared_ptr<Channel> channel = MakeChannel(options());
  EchoClient caller(channel);
  EXPECT_EQ(SyncWait(caller.Say(Text("hi"))).text(), "hi from nats");
  EXPECT_EQ(channel->state(), ConnectionState::kReady);
  std::thread killer([&] {
    EXPECT_TRUE(Eventually([&] { return node.seen().running == 1; }));
    broker_->Stop();
  });
  EXPECT_EQ(SyncWaitStatus(caller.Say(Text("wait"))).status().code(),
            absl::StatusCode::kUnavailable);
  killer.join();
  EXPECT_TRUE(Eventually([&] { return channel->state() == ConnectionState::kTransientFailure; }));
  EXPECT_EQ(SyncWaitStatus(caller.Say(Text("hi"))).status().code(), absl::StatusCode::kUnavailable);
  node.seen().release.Set();
  broker_->Restart();
  EXPECT_TRUE(Eventually([&] { return channel->state() == ConnectionState::kReady; }));
  EXPECT_TRUE(Eventually([&] { return SyncWaitStatus(caller.Say(Text("hi"))).ok(); }));
  channel->Close();
  EXPECT_EQ(channel->state(), ConnectionState::kShutdown);
}

// nats.c's parser would go on where the old connection broke off, and end each new one.
TEST_F(NatsTest, AConnectionCutInTheMiddleOfAMessageComesBack) {
  TcpFaultProxy to_client(broker_->port());
  TcpFaultProxy to_node(broker_->port());
  Nats behind = options();
  behind.url = "nats://127.0.0.1:" + std::to_string(to_node.port());
  Node node(behind);
  Nats before = options();
  before.url = "nats://127.0.0.1:" + std::to_string(to_client.port());
  EchoClient caller = client(before);
  EXPECT_EQ(SyncWait(caller.Say(Text("hi"))).text(), "hi from nats");

  EchoRequest many = Text("r");
  many.set_count(20);
  many.set_reply_bytes(100'000);
  to_client.Set(TcpFaultProxy::kToClient, {.reset_after = 150'000});
  EXPECT_EQ(SyncWaitStatus(ReadAll(caller.Repeat(many))).status().code(),
            absl::StatusCode::kUnavailable);
  to_client.Heal();
  EXPECT_TRUE(Eventually([&] { return SyncWaitStatus(caller.Say(Text("x"))).ok(); }));

  EchoRequest large = Text("x");
  large.set_payload(std::string(200'000, 'x'));
  CallOptions soon;
  soon.timeout = milliseconds(300);
  to_node.Set(TcpFaultProxy::kToClient, {.reset_after = 150'000});
  EXPECT_FALSE(SyncWaitStatus(caller.Say(large, soon)).ok());
  to_node.Heal();
  EXPECT_TRUE(Eventually([&] { return SyncWaitStatus(caller.Say(large, soon)).ok(); }));
}

TEST_F(NatsTest, AClientWithoutABrokerKeepsTrying) {
  broker_->Stop();
  const std::shared_ptr<Channel> channel = MakeChannel(options());
  EXPECT_NE(channel->state(), ConnectionState::kReady);
  EchoClient caller(channel);
  const absl::Status status = SyncWaitStatus(caller.Say(Text("x"))).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr(broker_->url()));
  broker_->Restart();
  EXPECT_TRUE(Eventually([&] { return channel->state() == ConnectionState::kReady; }));
  Node node(options());
  EXPECT_EQ(SyncWait(caller.Say(Text("hi"))).text(), "hi from nats");
}

TEST_F(NatsTest, AServerWithoutABrokerFailsInTimeAndSaysHowToMendIt) {
  broker_->Stop();
  Nats impatient = options();
  impatient.start_timeout = milliseconds(100);
  try {
    Node node(impatient);
    FAIL() << "it started";
  } catch (const std::exception& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr(broker_->url()), HasSubstr("start_timeout")));
  }
}

TEST_F(NatsTest, AServerWaitsForItsBroker) {
  broker_->Stop();
  std::unique_ptr<Node> node;
  std::thread starter([&] { EXPECT_NO_THROW(node = std::make_unique<Node>(options())); });
  std::this_thread::sleep_for(milliseconds(100));
  broker_->Restart();
  starter.join();
  EXPECT_EQ(SyncWait(client().Say(Text("hi"))).text(), "hi from nats");
}

TEST_F(NatsTest, AServerThatIsGoneFailsItsStreamsAtOnce) {
  auto node = std::make_unique<Node>(options());
  EchoClient caller = client();
  EchoRequest request = Text("wait");
  request.set_count(2);
  std::thread closer([&] {
    EXPECT_TRUE(Eventually([&] { return node->seen().running == 1; }));
    node->seen().release.Set();
    node.reset();
  });
  EXPECT_EQ(SyncWait(ReadAll(caller.Repeat(request))), 2);
  closer.join();
  EXPECT_EQ(SyncWaitStatus(caller.Say(Text("x"))).status().code(), absl::StatusCode::kUnavailable);
}

// ---- who we are ---------------------------------------------------------------------------------

void ExpectLetsIn(const Nats& good, const Nats& bad) {
  Node node(good);
  EXPECT_EQ(SyncWait(EchoClient(MakeChannel(good)).Say(Text("hi"))).text(), "hi from nats");
  Nats impatient = bad;
  impatient.start_timeout = milliseconds(10);
  EXPECT_ANY_THROW(Node{impatient});
  // Either at once or at the first call, as NATS's library finds out.
  absl::Status refused;
  try {
    refused = SyncWaitStatus(EchoClient(MakeChannel(bad)).Say(Text("hi"))).status();
  } catch (const RpcException& error) {
    refused = error.status();
  }
  EXPECT_FALSE(refused.ok());
  EXPECT_THAT(std::string(refused.message()), HasSubstr("NATS at "));
}

TEST(NatsAuthTest, UserAndPassword) {
  const auto broker = NatsBroker::Start("authorization { user: ada, password: secret }");
  ASSERT_NE(broker, nullptr);
  Nats good{.url = broker->url()};
  good.user = "ada";
  good.password = "secret";
  Nats bad = good;
  bad.password = "wrong";
  ExpectLetsIn(good, bad);
  Nats in_url{.url = "nats://ada:secret@127.0.0.1:" + std::to_string(broker->port())};
  const std::shared_ptr<Channel> channel = MakeChannel(in_url);
  EXPECT_EQ(channel->state(), ConnectionState::kReady);
  EXPECT_EQ(channel->target(), broker->url());  // and no password in it
}

TEST(NatsAuthTest, Token) {
  const auto broker = NatsBroker::Start("authorization { token: sesame }");
  ASSERT_NE(broker, nullptr);
  Nats good{.url = broker->url()};
  good.token = "sesame";
  Nats bad = good;
  bad.token = "wrong";
  ExpectLetsIn(good, bad);
}

TEST(NatsAuthTest, NKey) {
  // A pair made for this test.
  const auto broker = NatsBroker::Start(
      "authorization { users: [ { nkey: "
      "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4 } ] }");
  ASSERT_NE(broker, nullptr);
  const std::string seed_file = broker->folder() / "seed";
  std::ofstream(seed_file) << "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY\n";
  Nats good{.url = broker->url()};
  good.nkey = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
  good.nkey_seed_file = seed_file;
  Nats bad{.url = broker->url()};
  ExpectLetsIn(good, bad);
}

TEST(NatsAuthTest, Tls) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("rookery-nats-tls-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  const std::string command =
      "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
      " -addext subjectAltName=IP:127.0.0.1,DNS:localhost -keyout " +
      (folder / "key.pem").string() + " -out " + (folder / "cert.pem").string() + " 2>/dev/null";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const auto broker =
      NatsBroker::Start("tls { cert_file: \"" + (folder / "cert.pem").string() +
                        "\", key_file: \"" + (folder / "key.pem").string() + "\" }");
  ASSERT_NE(broker, nullptr);
  Nats good{.url = "tls://localhost:" + std::to_string(broker->port())};
  good.tls = NatsTls();
  good.tls->ca_file = folder / "cert.pem";
  Nats bad{.url = broker->url()};
  bad.tls = NatsTls();  // trusts the system's authorities, which do not know it
  ExpectLetsIn(good, bad);
  // More than one TLS record's worth, in both directions.
  {
    Node node(good);
    EchoClient caller(MakeChannel(good));
    EchoRequest request = Text("r");
    request.set_count(20);
    request.set_reply_bytes(100'000);
    EXPECT_EQ(SyncWait(ReadAll(caller.Repeat(request))), 20);
  }
  std::filesystem::remove_all(folder);
}

// ---- what we may do -----------------------------------------------------------------------------

constexpr char kPermissions[] = R"(authorization { users: [
  { user: all, password: x }
  { user: mute, password: x, permissions: {
      publish: { deny: "rookery.testing.Echo.Say" }, subscribe: ">" } }
  { user: deaf, password: x, permissions: {
      publish: ">", subscribe: { deny: ["_INBOX.>", "rookery.testing.>"] } } } ] })";

class NatsPermissionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    broker_ = NatsBroker::Start(kPermissions);
    ASSERT_NE(broker_, nullptr) << "install nats-server";
  }
  Nats As(const char* user) const {
    Nats nats{.url = broker_->url()};
    nats.user = user;
    nats.password = "x";
    return nats;
  }
  std::unique_ptr<NatsBroker> broker_;
};

TEST_F(NatsPermissionTest, AServerThatMayNotSubscribeDoesNotStart) {
  try {
    Nats deaf = As("deaf");
    deaf.inbox_prefix = "inbox";
    Node node(deaf);
    FAIL() << "it started";
  } catch (const std::exception& error) {
    EXPECT_THAT(
        error.what(),
        AllOf(HasSubstr("does not let this account subscribe to \"rookery.testing.Echo.*\""),
              HasSubstr("give it that permission")));
  }
}

TEST_F(NatsPermissionTest, ACallThatMayNotBeSentFailsAtOnce) {
  Node node(As("all"));
  EchoClient mute(MakeChannel(As("mute")));
  const absl::Status refused = SyncWaitStatus(mute.Say(Text("x"))).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("does not let this account publish to \"rookery.testing.Echo.Say\""));
  // The others are let through.
  EXPECT_EQ(SyncWait(mute.SayAgain(Text("x"))).text(), "x from nats");
  EXPECT_EQ(SyncWait(ReadAll(mute.Repeat([] {
              EchoRequest request = Text("r");
              request.set_count(3);
              return request;
            }()))),
            3);
}

TEST_F(NatsPermissionTest, AClientThatMayNotHearItsRepliesSaysSo) {
  Node node(As("all"));
  EchoClient deaf(MakeChannel(As("deaf")));
  EXPECT_TRUE(Eventually([&] {
    const absl::Status refused = SyncWaitStatus(deaf.Say(Text("x"))).status();
    return refused.code() == absl::StatusCode::kPermissionDenied &&
           std::string(refused.message()).find("subscribe to \"_INBOX.") != std::string::npos;
  }));
}

TEST_F(NatsPermissionTest, APermissionThatIsLostIsCountedAndTheNodeStaysUp) {
  Node node(As("all"));
  EXPECT_EQ(SyncWait(EchoClient(MakeChannel(As("all"))).Say(Text("x"))).text(), "x from nats");
  broker_->Reconfigure(R"(authorization { users: [ { user: all, password: x, permissions: {
    subscribe: { deny: "rookery.testing.Echo.*" } } } ] })");
  EXPECT_TRUE(Eventually([&] { return node.app().Stats().total_rejected() > 0; }));
  EXPECT_EQ(SyncWaitStatus(EchoClient(MakeChannel(As("all"))).Say(Text("x"))).status().code(),
            absl::StatusCode::kUnavailable);
  broker_->Reconfigure(kPermissions);
  broker_->Restart();
  EXPECT_TRUE(Eventually(
      [&] { return SyncWaitStatus(EchoClient(MakeChannel(As("all"))).Say(Text("x"))).ok(); }));
}

TEST(NatsOptionsTest, ReportsAllFaultsAtOnce) {
  EXPECT_TRUE(CheckNatsOptions(Nats()).ok());
  Nats wrong{.url = " , "};
  wrong.owns_prefix = true;
  wrong.token = "t";
  wrong.user = "u";
  wrong.queue = "two words";
  wrong.inbox_prefix = "a..b";
  wrong.nkey = "U";
  wrong.connections = 0;
  const absl::Status status = CheckNatsOptions(wrong);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("url"), HasSubstr("owns_prefix"), HasSubstr("one of user"),
                    HasSubstr("queue"), HasSubstr("inbox_prefix"), HasSubstr("nkey_seed_file"),
                    HasSubstr("connections")));
  EXPECT_ANY_THROW((void)MakeChannel(wrong));
  Nats missing;
  missing.tls = NatsTls();
  missing.tls->ca_file = "/nowhere/ca.pem";
  EXPECT_ANY_THROW((void)MakeChannel(missing));
}

}  // namespace
}  // namespace rookery::testing
