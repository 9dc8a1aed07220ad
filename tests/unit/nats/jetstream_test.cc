// JetStream against a real nats-server with streams on disk: workers, publishing, key-value.
#include "rookery/transports/jetstream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nats/nats.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "echo.rookery.h"
#include "rookery/app/application.h"
#include "rookery/module/dynamic_module.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/rpc/batch.h"
#include "rookery/rpc/channel.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/runtime/when.h"
#include "support/nats_broker.h"

namespace rookery::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

template <class F>
bool Eventually(F holds) {
  for (int i = 0; i < 6'000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return false;
}

EchoRequest Text(std::string text, std::string key = "") {
  EchoRequest request;
  request.set_text(std::move(text));
  request.set_secret(std::move(key));
  return request;
}

class Seen final {
 public:
  void Add(std::string what) {
    const std::scoped_lock lock(mutex_);
    all_.push_back(std::move(what));
  }
  std::vector<std::string> all() const {
    const std::scoped_lock lock(mutex_);
    return all_;
  }
  std::size_t size() const { return all().size(); }
  Event gate;
  std::atomic<int> running{0};

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> all_;
};

class Handlers final : public EchoService {
 public:
  explicit Handlers(Seen& seen) : seen_(seen) {}
  Task<void> OnSaid(CallContext& call, const EchoRequest& event) override {
    Delivery* const delivery = Delivery::Of(call);
    const int attempt = delivery == nullptr ? 0 : delivery->attempt();
    seen_.Add(event.text() + "#" + std::to_string(attempt));
    ++seen_.running;
    if (event.text().starts_with("gate")) co_await seen_.gate.Wait();
    --seen_.running;
    if (event.text().starts_with("fail2") && attempt <= 2) {
      co_await Fail(absl::UnavailableError("not yet"));
    }
    if (event.text().starts_with("bad")) co_await Fail(absl::InvalidArgumentError("bad for ever"));
    if (event.text().starts_with("defer") && attempt == 1 && !delivery->redelivered()) {
      delivery->Defer(milliseconds(50));
    }
  }
  Task<void> OnKeyed(CallContext& call, const EchoRequest& event) { return OnSaid(call, event); }
  Task<void> OnBatch(CallContext&, const Batch<EchoRequest>& batch) {
    seen_.Add("batch of " + std::to_string(batch.size()));
    co_return;
  }
  Task<EchoReply> Say(CallContext&, const EchoRequest& request) override {
    EchoReply reply;
    reply.set_text(request.text());
    co_return reply;
  }
  Task<EchoReply> SayAgain(CallContext& call, const EchoRequest& request) override {
    return Say(call, request);
  }
  Stream<EchoReply> Repeat(CallContext&, const EchoRequest&) override { co_return; }
  Task<EchoReply> Join(CallContext&, Stream<EchoRequest>) override { co_return EchoReply(); }
  Stream<EchoReply> Chat(CallContext&, Stream<EchoRequest>) override { co_return; }
  static void Configure(ControllerBuilder& controller) {
    DeliveryPolicy policy;
    policy.initial_backoff = milliseconds(5);
    policy.key_field = "secret";
    controller.Event("keyed.>", &Handlers::OnKeyed).Set(kDelivery, policy);
    policy.key_field = "";
    policy.batch_wait = milliseconds(200);
    controller.Event("batch", &Handlers::OnBatch).Set(kDelivery, policy);
  }

 private:
  Seen& seen_;
};

class Node final {
 public:
  template <class... O>
  explicit Node(Seen& seen, const O&... options) : seen_(seen) {
    ApplicationOptions mine;
    mine.loop_threads = 1;
    mine.drain_grace = milliseconds(20'000);
    mine.log.level = LogLevel::kOff;
    mine.signals = {};
    struct JsModule {};
    DynamicModule module = DynamicModule::Of<JsModule>();
    module.ProvideValue(std::ref(seen_)).Controller<Handlers>();
    app_ = std::make_unique<Application>(Application::Create(std::move(module), std::move(mine)));
    (app_->Listen(options), ...);
    app_->Start();
  }
  ~Node() { app_->Close(); }
  Application& app() { return *app_; }
  WorkerSnapshot stats() {
    const StatsSnapshot stats = app_->Stats();
    const WorkerSnapshot* const worker = stats.FindWorker("EVENTS/workers");
    return worker == nullptr ? WorkerSnapshot() : *worker;
  }

 private:
  Seen& seen_;
  std::unique_ptr<Application> app_;
};

// A NATS user who has never heard of Rookery.
class Stranger final {
 public:
  explicit Stranger(const std::string& url) {
    natsConnection_ConnectTo(&connection_, url.c_str());
    natsConnection_JetStream(&js_, connection_, nullptr);
  }
  ~Stranger() {
    jsCtx_Destroy(js_);
    natsConnection_Destroy(connection_);
  }
  // The message of a stream by its number; its headers as "name: value".
  std::string Stored(const std::string& stream, std::uint64_t sequence,
                     std::map<std::string, std::string>* headers) {
    natsMsg* message = nullptr;
    if (js_GetMsg(&message, js_, stream.c_str(), sequence, nullptr, nullptr) != NATS_OK) return "?";
    const char** keys = nullptr;
    int count = 0;
    if (headers != nullptr && natsMsgHeader_Keys(message, &keys, &count) == NATS_OK) {
      for (int i = 0; i < count; ++i) {
        const char* value = nullptr;
        natsMsgHeader_Get(message, keys[i], &value);
        (*headers)[keys[i]] = value == nullptr ? "" : value;
      }
      free(keys);
    }
    std::string subject = natsMsg_GetSubject(message);
    natsMsg_Destroy(message);
    return subject;
  }
  std::uint64_t Count(const std::string& stream) {
    jsStreamInfo* info = nullptr;
    if (js_GetStreamInfo(&info, js_, stream.c_str(), nullptr, nullptr) != NATS_OK) return 0;
    const std::uint64_t count = info->State.Msgs;
    jsStreamInfo_Destroy(info);
    return count;
  }
  // Handed out and not settled, over all consumers of the stream.
  std::int64_t Unsettled(const std::string& stream, const std::string& consumer) {
    jsConsumerInfo* info = nullptr;
    if (js_GetConsumerInfo(&info, js_, stream.c_str(), consumer.c_str(), nullptr, nullptr) !=
        NATS_OK) {
      return -1;
    }
    const std::int64_t count = info->NumAckPending + static_cast<std::int64_t>(info->NumPending);
    jsConsumerInfo_Destroy(info);
    return count;
  }
  bool DeleteConsumer(const std::string& stream, const std::string& consumer) {
    return js_DeleteConsumer(js_, stream.c_str(), consumer.c_str(), nullptr, nullptr) == NATS_OK;
  }
  bool DeleteStream(const std::string& stream) {
    return js_DeleteStream(js_, stream.c_str(), nullptr, nullptr) == NATS_OK;
  }
  bool AddStream(const std::string& stream, const char* subject) {
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    const char* subjects[] = {subject};
    config.Name = stream.c_str();
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    return js_AddStream(nullptr, js_, &config, nullptr, nullptr) == NATS_OK;
  }
  void Publish(const std::string& subject, const std::string& body) {
    js_Publish(nullptr, js_, subject.c_str(), body.data(), static_cast<int>(body.size()), nullptr,
               nullptr);
  }

 private:
  natsConnection* connection_ = nullptr;
  jsCtx* js_ = nullptr;
};

class JetStreamTest : public ::testing::Test {
 protected:
  void SetUp() override {
    broker_ = NatsBroker::Start(NatsBroker::kJetStream);
    ASSERT_NE(broker_, nullptr) << "install nats-server";
  }
  ~JetStreamTest() override { seen_.gate.Set(); }
  JetStream options() const {
    JetStream js{.nats = {.url = broker_->url()}, .stream = "EVENTS"};
    js.durable = "workers";
    js.policy.initial_backoff = milliseconds(5);
    js.ack_wait = milliseconds(30'000);
    js.nats.max_reconnect_wait = milliseconds(200);
    return js;
  }
  EchoClient client() { return EchoClient(MakeChannel(options())); }
  static constexpr const char* kConsumer = "workers_echo_said";
  // All that the stream had for the consumer is settled.
  bool AllSettled(const char* consumer = kConsumer) {
    Stranger stranger(broker_->url());
    return Eventually([&] { return stranger.Unsettled("EVENTS", consumer) == 0; });
  }

  std::unique_ptr<NatsBroker> broker_;
  Seen seen_;
};

TEST_F(JetStreamTest, AnEventIsStoredHandledAndSettled) {
  Node node(seen_, options());
  EXPECT_THAT(node.app().Endpoints(), ElementsAre(broker_->url() + "/EVENTS"));
  EchoClient events = client();
  SyncWait(events.OnSaid(Text("a")));
  EXPECT_TRUE(Eventually([&] { return node.stats().handled == 1; }));
  EXPECT_THAT(seen_.all(), ElementsAre("a#1"));
  EXPECT_TRUE(AllSettled());
  EXPECT_TRUE(node.app().ready());
}

TEST_F(JetStreamTest, WhatIsPublishedBeforeThereIsAWorkerWaitsForIt) {
  {
    Node node(seen_, options());
  }  // makes the stream
  EchoClient events = client();
  for (int i = 0; i < 50; ++i) SyncWait(events.OnSaid(Text(std::to_string(i))));
  EXPECT_EQ(seen_.size(), 0U);
  Node node(seen_, options());
  EXPECT_TRUE(Eventually([&] { return seen_.size() == 50; }));
  EXPECT_TRUE(AllSettled());
}

TEST_F(JetStreamTest, PublishingWithoutAStreamFails) {
  JetStream js = options();
  js.publish_attempts = 2;
  EchoClient events(MakeChannel(js));
  const absl::Status status = SyncWaitStatus(events.OnSaid(Text("a")));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("echo.said"));
}

TEST_F(JetStreamTest, TheSameIdIsStoredOnce) {
  {
    Node node(seen_, options());
  }
  EchoClient events = client();
  for (int i = 0; i < 3; ++i) {
    CallOptions call;
    call.metadata.Add("ce-id", "order-7").IgnoreError();
    call.metadata.Add("ce-source", "shop").IgnoreError();
    SyncWait(events.OnSaid(Text("a"), call));
  }
  EXPECT_EQ(Stranger(broker_->url()).Count("EVENTS"), 1U);
}

TEST_F(JetStreamTest, TheDeadlineOfTheCallIsNotTheEvents) {
  {
    Node node(seen_, options());
  }
  EchoClient events = client();
  CallOptions brief;
  brief.timeout = milliseconds(2'000);
  SyncWait(events.OnSaid(Text("late"), brief));
  CallOptions useless;
  useless.metadata.Add("ce-expirytime", "2020-01-01T00:00:00Z").IgnoreError();
  SyncWait(events.OnSaid(Text("expired"), useless));
  Stranger stranger(broker_->url());
  std::map<std::string, std::string> headers;
  stranger.Stored("EVENTS", 1, &headers);
  EXPECT_FALSE(headers.contains("ce-expirytime"));
  Node node(seen_, options());
  EXPECT_TRUE(AllSettled());
  EXPECT_THAT(seen_.all(), ElementsAre("late#1"));
  EXPECT_EQ(node.stats().expired, 1U);
}

TEST_F(JetStreamTest, FailuresAreTriedAgainAndThePoisonIsADeadLetter) {
  Node node(seen_, options());
  EchoClient events = client();
  SyncWait(events.OnSaid(Text("fail2")));
  CallOptions traced;
  traced.metadata.Add("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
      .IgnoreError();
  SyncWait(events.OnSaid(Text("bad"), traced));
  SyncWait(events.OnSaid(Text("ok")));
  EXPECT_TRUE(Eventually([&] { return node.stats().handled == 2; }));
  EXPECT_TRUE(Eventually([&] { return node.stats().dead_letters == 1; }));
  EXPECT_THAT(seen_.all(), AllOf(Contains("fail2#1"), Contains("fail2#2"), Contains("fail2#3")));
  EXPECT_TRUE(AllSettled());
  Stranger stranger(broker_->url());
  std::map<std::string, std::string> headers;
  EXPECT_EQ(stranger.Stored("DEAD_LETTERS", 1, &headers), "dead.EVENTS.echo.said");
  EXPECT_EQ(headers["rookery-dead-code"], "3");
  EXPECT_EQ(headers["rookery-dead-cause"], "bad for ever");
  EXPECT_EQ(headers["rookery-dead-origin"], "EVENTS/echo.said#2");
  EXPECT_THAT(headers["Nats-Msg-Id"], HasSubstr("dead-EVENTS-2-"));
  EXPECT_THAT(headers["traceparent"], HasSubstr("0af7651916cd43dd8448eb211c80319c"));
  EXPECT_EQ(headers["ce-type"], "echo.said");
}

TEST_F(JetStreamTest, ADeferredEventComesAgainAndThatIsNoAttempt) {
  Node node(seen_, options());
  EchoClient events = client();
  SyncWait(events.OnSaid(Text("defer")));
  EXPECT_TRUE(Eventually([&] { return node.stats().handled == 1; }));
  EXPECT_THAT(seen_.all(), ElementsAre("defer#1", "defer#1"));
}

TEST_F(JetStreamTest, ForeignAndMalformedMessagesDoNoHarm) {
  Node node(seen_, options());
  Stranger stranger(broker_->url());
  stranger.Publish("echo.said", "\xff\xff");
  stranger.Publish("echo.said", Text("plain").SerializeAsString());
  EXPECT_TRUE(Eventually([&] { return node.stats().handled == 1; }));
  EXPECT_TRUE(Eventually([&] { return node.stats().dead_letters == 1; }));
  EXPECT_THAT(seen_.all(), ElementsAre("plain#1"));
}

TEST_F(JetStreamTest, LongHandlersAreNotHandedOutAgain) {
  JetStream js = options();
  js.ack_wait = milliseconds(600);
  Node node(seen_, js);
  EchoClient events = client();
  SyncWait(events.OnSaid(Text("gate")));
  EXPECT_TRUE(Eventually([&] { return seen_.size() == 1; }));
  std::this_thread::sleep_for(milliseconds(2'000));
  seen_.gate.Set();
  EXPECT_TRUE(Eventually([&] { return node.stats().handled == 1; }));
  EXPECT_TRUE(AllSettled());
  EXPECT_EQ(node.stats().handled, 1U);
  EXPECT_THAT(seen_.all(), ElementsAre("gate#1"));
}

TEST_F(JetStreamTest, AnIdleWorkerIsHealthy) {
  JetStream js = options();
  js.events = {"echo.said"};
  Node node(seen_, js);
  // Longer than a consumer may be silent: the server's heartbeats keep it.
  for (int i = 0; i < 70; ++i) {
    std::this_thread::sleep_for(milliseconds(100));
    ASSERT_TRUE(node.app().ready()) << i;
  }
  EchoClient events = client();
  SyncWait(events.OnSaid(Text("a")));
  EXPECT_TRUE(Eventually([&] { return seen_.size() == 1; }));
}

TEST_F(JetStreamTest, OrderHoldsPerKeyOverWildcards) {
  Node node(seen_, options());
  Stranger stranger(broker_->url());
  for (int i = 0; i < 30; ++i) {
    const std::string text = (i % 5 == 0 ? "fail2 " : "ok ") + std::to_string(i);
    stranger.Publish("keyed.x." + std::to_string(i % 2),
                     Text(text, std::to_string(i % 3)).SerializeAsString());
  }
  EXPECT_TRUE(Eventually([&] { return node.stats().handled == 30; }));
  std::map<int, int> last;
  for (const std::string& each : seen_.all()) {
    const int number = std::stoi(each.substr(each.find(' ') + 1));
    int& before = last.try_emplace(number % 3, -1).first->second;
    EXPECT_GE(number, before) << each;
    before = number;
  }
}

TEST_F(JetStreamTest, BatchesAreHandedOverAtOnce) {
  {
    Node node(seen_, options());
  }
  Stranger stranger(broker_->url());
  for (int i = 0; i < 10; ++i) stranger.Publish("batch", Text("x").SerializeAsString());
  Node node(seen_, options());
  EXPECT_TRUE(Eventually([&] { return node.stats().handled == 10; }));
  EXPECT_LT(seen_.size(), 10U);
}

TEST_F(JetStreamTest, CoreNatsHandsOverBatchesOfOne) {
  Node node(seen_, Nats{.url = broker_->url()});
  Stranger stranger(broker_->url());
  stranger.Publish("batch", Text("x").SerializeAsString());
  EXPECT_TRUE(Eventually([&] { return seen_.size() == 1; }));
  EXPECT_THAT(seen_.all(), ElementsAre("batch of 1"));
}

TEST_F(JetStreamTest, InstancesShareTheWork) {
  JetStream js = options();
  js.prefetch = 8;
  Seen other;
  Node first(seen_, js);
  Node second(other, js);
  EchoClient events = client();
  for (int i = 0; i < 200; ++i) SyncWait(events.OnSaid(Text("x")));
  EXPECT_TRUE(Eventually([&] { return seen_.size() + other.size() == 200; }));
  EXPECT_TRUE(AllSettled());
}

TEST_F(JetStreamTest, ABrokerThatIsKilledLosesNothing) {
  JetStream js = options();
  js.ack_wait = milliseconds(2'000);
  js.nats.wait_for_ready = true;
  Node node(seen_, js);
  EchoClient events(MakeChannel(js));
  std::atomic<bool> done{false};
  std::atomic<int> acked{0};
  std::thread publisher([&] {
    for (int i = 0; i < 300; ++i) {
      const absl::Status stored = SyncWaitStatus(events.OnSaid(Text("n" + std::to_string(i))));
      EXPECT_TRUE(stored.ok()) << stored;
      ++acked;
    }
    done = true;
  });
  for (const int after : {50, 150}) {
    EXPECT_TRUE(Eventually([&] { return acked >= after; }));
    broker_->Restart();
  }
  publisher.join();
  const auto distinct = [&] {
    std::vector<std::string> all = seen_.all();
    for (std::string& each : all) each = each.substr(0, each.find('#'));
    std::sort(all.begin(), all.end());
    return std::unique(all.begin(), all.end()) - all.begin();
  };
  EXPECT_TRUE(Eventually([&] { return distinct() == 300; }));
  EXPECT_TRUE(AllSettled());
  EXPECT_TRUE(Eventually([&] { return node.app().ready(); }));
}

TEST_F(JetStreamTest, DrainSettlesAllThatIsHereAndNothingComesTwice) {
  JetStream js = options();
  js.concurrency = 2;
  EchoClient events = client();
  Seen other;
  {
    Node node(seen_, js);
    for (int i = 0; i < 100; ++i) SyncWait(events.OnSaid(Text(std::to_string(i))));
    EXPECT_TRUE(Eventually([&] { return seen_.size() >= 10; }));
  }
  Node next(other, js);
  EXPECT_TRUE(Eventually([&] { return seen_.size() + other.size() >= 100; }));
  EXPECT_TRUE(AllSettled());
  EXPECT_EQ(seen_.size() + other.size(), 100U);
  for (const std::string& each : other.all()) EXPECT_THAT(each, HasSubstr("#1"));
}

TEST_F(JetStreamTest, ConfirmedSettlementsAreKnownToTheServerWhenTheDrainEnds) {
  JetStream js = options();
  js.confirm_acks = true;
  EchoClient events = client();
  {
    Node node(seen_, js);
    for (int i = 0; i < 40; ++i) SyncWait(events.OnSaid(Text("x")));
    EXPECT_TRUE(Eventually([&] { return seen_.size() == 40; }));
  }
  EXPECT_EQ(Stranger(broker_->url()).Unsettled("EVENTS", kConsumer), 0);
}

TEST_F(JetStreamTest, ADeletedConsumerMakesTheNodeNotReadyUntilItIsThereAgain) {
  Node node(seen_, options());
  EchoClient events = client();
  SyncWait(events.OnSaid(Text("a")));
  EXPECT_TRUE(Eventually([&] { return seen_.size() == 1; }));
  // Without the stream it cannot be made again.
  Stranger stranger(broker_->url());
  ASSERT_TRUE(stranger.DeleteConsumer("EVENTS", kConsumer));
  EXPECT_TRUE(Eventually([&] { return stranger.Unsettled("EVENTS", kConsumer) >= 0; }));
  EXPECT_TRUE(Eventually([&] { return node.app().ready(); }));
  SyncWait(events.OnSaid(Text("b")));
  EXPECT_TRUE(Eventually([&] {
    const std::vector<std::string> all = seen_.all();
    return std::count(all.begin(), all.end(), "b#1") == 1;
  }));
}

TEST_F(JetStreamTest, AStreamThatIsGoneMakesTheNodeNotReady) {
  Stranger stranger(broker_->url());
  ASSERT_TRUE(stranger.AddStream("EVENTS", "echo.said"));
  ASSERT_TRUE(stranger.AddStream("DEAD_LETTERS", "dead.>"));
  JetStream js = options();
  js.setup = StreamSetup::kCheck;
  js.events = {"echo.said"};
  Node node(seen_, js);
  EXPECT_TRUE(node.app().ready());
  ASSERT_TRUE(stranger.DeleteStream("EVENTS"));
  EXPECT_TRUE(Eventually([&] { return !node.app().ready(); }));
  ASSERT_TRUE(stranger.AddStream("EVENTS", "echo.said"));
  EXPECT_TRUE(Eventually([&] { return node.app().ready(); }));
  stranger.Publish("echo.said", Text("back").SerializeAsString());
  EXPECT_TRUE(Eventually([&] { return seen_.size() == 1; }));
}

TEST_F(JetStreamTest, DeadLettersThatAreRefusedAreHeldAndTheNodeIsNotReady) {
  JetStream js = options();
  js.dead_letter_stream = "";  // somebody else's affair, who has not seen to it
  js.events = {"echo.said"};
  Node node(seen_, js);
  EchoClient events = client();
  SyncWait(events.OnSaid(Text("bad")));
  EXPECT_TRUE(Eventually([&] { return node.stats().dead_letters_refused >= 1; }));
  EXPECT_FALSE(node.app().ready());
  SyncWait(events.OnSaid(Text("good")));
  EXPECT_TRUE(Eventually([&] { return node.stats().handled == 1; }));
  ASSERT_TRUE(Stranger(broker_->url()).AddStream("MORGUE", "dead.>"));
  EXPECT_TRUE(Eventually([&] { return node.stats().dead_letters == 1; }));
  EXPECT_TRUE(Eventually([&] { return node.app().ready(); }));
  EXPECT_TRUE(AllSettled());
}

std::string StartFailure(Seen& seen, const JetStream& js) {
  try {
    Node node(seen, js);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "it started";
}

TEST_F(JetStreamTest, AStreamThatIsOtherwiseIsAnErrorWhichNamesEachDifference) {
  ASSERT_TRUE(Stranger(broker_->url()).AddStream("EVENTS", "other.>"));
  JetStream js = options();
  js.config.retention = StreamRetention::kWorkQueue;
  js.config.max_messages = 10;
  EXPECT_THAT(StartFailure(seen_, js),
              AllOf(HasSubstr("does not store echo.said but other.>"), HasSubstr("workqueue"),
                    HasSubstr("max_msgs"), HasSubstr("kUpdate")));
  js = options();
  js.setup = StreamSetup::kUpdate;
  js.config.max_messages = 1'000;
  Node node(seen_, js);
  EchoClient events = client();
  SyncWait(events.OnSaid(Text("a")));
  EXPECT_TRUE(Eventually([&] { return seen_.size() == 1; }));
}

TEST_F(JetStreamTest, AMissingStreamIsAnErrorWhereItIsOnlyChecked) {
  JetStream js = options();
  js.setup = StreamSetup::kCheck;
  EXPECT_THAT(StartFailure(seen_, js), AllOf(HasSubstr("EVENTS"), HasSubstr("kCreate")));
  js = options();
  js.events = {"echo.said", "no.such.event"};
  EXPECT_THAT(StartFailure(seen_, js), HasSubstr("no.such.event"));
}

TEST_F(JetStreamTest, CallsGoOverCoreNatsBesideAndEventsAreHandledOnce) {
  Nats nats{.url = broker_->url()};
  nats.queue = "echo";
  nats.events = false;
  Node node(seen_, nats, options());
  EchoClient both = client();
  EXPECT_EQ(SyncWait(both.Say(Text("hi"))).text(), "hi");
  SyncWait(both.OnSaid(Text("a")));
  EXPECT_TRUE(Eventually([&] { return node.stats().handled == 1; }));
  EXPECT_TRUE(AllSettled());
  EXPECT_THAT(seen_.all(), ElementsAre("a#1"));
}

TEST_F(JetStreamTest, AServerWithoutJetStreamIsSaidSo) {
  const auto plain = NatsBroker::Start();
  ASSERT_NE(plain, nullptr);
  JetStream js = options();
  js.nats.url = plain->url();
  js.nats.start_timeout = milliseconds(200);
  EXPECT_THAT(StartFailure(seen_, js), HasSubstr("JetStream"));
}

TEST(JetStreamOptionsTest, ReportsAllFaultsAtOnce) {
  JetStream js{.stream = "two words"};
  js.durable = "a.b";
  js.prefetch = 0;
  js.policy.max_attempts = 0;
  js.nats.url = "";
  const absl::Status status = CheckJetStreamOptions(js);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("two words"), HasSubstr("durable"), HasSubstr("prefetch"),
                    HasSubstr("max_attempts"), HasSubstr("url")));
  EXPECT_ANY_THROW((void)MakeChannel(js));
}

// ---- key-value ----------------------------------------------------------------------------------

TEST_F(JetStreamTest, KeyValueKeepsComparesAndDeletes) {
  const auto store = KeyValue::Open({.nats = {.url = broker_->url()}, .bucket = "sessions"});
  EXPECT_EQ(SyncWaitStatus(store->Get("a")).status().code(), absl::StatusCode::kNotFound);
  const std::uint64_t first = SyncWait(store->Put("a", "1"));
  EXPECT_EQ(SyncWait(store->Get("a")).value, "1");
  EXPECT_EQ(SyncWait(store->Get("a")).revision, first);
  EXPECT_EQ(SyncWaitStatus(store->Create("a", "x")).status().code(),
            absl::StatusCode::kAlreadyExists);
  const std::uint64_t second = SyncWait(store->Update("a", std::string("\0\xff", 2), first));
  EXPECT_GT(second, first);
  EXPECT_EQ(SyncWait(store->Get("a")).value, std::string("\0\xff", 2));
  EXPECT_EQ(SyncWaitStatus(store->Update("a", "3", first)).status().code(),
            absl::StatusCode::kAborted);
  SyncWait(store->Delete("a"));
  EXPECT_EQ(SyncWaitStatus(store->Get("a")).status().code(), absl::StatusCode::kNotFound);
  SyncWait(store->Delete("never"));
  EXPECT_GT(SyncWait(store->Create("a", "again")), second);
  EXPECT_EQ(SyncWaitStatus(store->Put("no key", "x")).status().code(),
            absl::StatusCode::kInvalidArgument);
  // Another's view of the same.
  const auto other = KeyValue::Open({.nats = {.url = broker_->url()}, .bucket = "sessions"});
  EXPECT_EQ(SyncWait(other->Get("a")).value, "again");
  EXPECT_FALSE(KeyValue::TryOpen({.bucket = "a.b"}).ok());
}

Task<std::vector<std::string>> WatchFor(KeyValue& store, std::string keys, std::size_t count,
                                        std::atomic<std::size_t>& so_far) {
  std::vector<std::string> seen;
  Stream<KeyValueEntry> changes = store.Watch(std::move(keys));
  while (seen.size() < count) {
    std::optional<KeyValueEntry> entry = co_await changes.Next();
    if (!entry) break;
    seen.push_back(entry->key + (entry->deleted ? " deleted" : "=" + entry->value));
    so_far = seen.size();
  }
  co_return seen;
}

TEST_F(JetStreamTest, KeyValueWatchGivesWhatIsThereAndWhatComesAlsoAfterARestart) {
  const auto store = KeyValue::Open({.nats = {.url = broker_->url()}, .bucket = "config"});
  SyncWait(store->Put("a.x", "0"));
  SyncWait(store->Put("a.x", "1"));
  SyncWait(store->Put("b", "2"));
  std::atomic<std::size_t> so_far{0};
  std::vector<std::string> seen;
  std::thread watcher([&] { seen = SyncWait(WatchFor(*store, "a.>", 4, so_far)); });
  EXPECT_TRUE(Eventually([&] { return so_far == 1; }));
  SyncWait(store->Put("a.y", "3"));
  EXPECT_TRUE(Eventually([&] { return so_far == 2; }));
  broker_->Restart();
  EXPECT_TRUE(Eventually([&] { return SyncWaitStatus(store->Delete("a.x")).ok(); }));
  EXPECT_TRUE(Eventually([&] { return SyncWaitStatus(store->Put("a.z", "4")).ok(); }));
  watcher.join();
  EXPECT_THAT(seen, ElementsAre("a.x=1", "a.y=3", "a.x deleted", "a.z=4"));
}

}  // namespace
}  // namespace rookery::testing
