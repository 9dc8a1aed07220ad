// Events over ZeroMQ, between real sockets.
#include "rookery/transports/zeromq_events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zmq.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
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
#include "rookery/platform/log.h"
#include "rookery/rpc/channel.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/sync_wait.h"

namespace rookery::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Generous: a loaded machine under TSan is slow.
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

struct Heard {
  void Add(const std::string& text) {
    const std::scoped_lock lock(mutex);
    texts.push_back(text);
  }
  std::vector<std::string> all() {
    const std::scoped_lock lock(mutex);
    return texts;
  }
  std::size_t count() {
    const std::scoped_lock lock(mutex);
    return texts.size();
  }
  std::mutex mutex;
  std::vector<std::string> texts;  // guarded by mutex
  std::atomic<int> running{0};
  std::atomic<int> most{0};
  Event release;
};

// "wait" is handled until Release.
class Listener final {
 public:
  explicit Listener(Heard& heard) : heard_(heard) {}
  Task<void> OnSaid(CallContext& call, const EchoRequest& event) {
    const int running = ++heard_.running;
    if (running > heard_.most) heard_.most = running;
    if (event.text() == "wait") co_await heard_.release.Wait();
    if (event.text() == "who") {
      heard_.Add(call.peer().identity);
      --heard_.running;
      co_return;
    }
    heard_.Add(event.text() == "id" ? std::string(call.metadata().Get("ce-type").value_or("none"))
                                    : event.text());
    --heard_.running;
  }
  static void Configure(ControllerBuilder& controller) {
    controller.Event("echo.said", &Listener::OnSaid);
  }

 private:
  Heard& heard_;
};

class Node final {
 public:
  explicit Node(ZeroMqEvents options) {
    ApplicationOptions mine;
    mine.loop_threads = 1;
    mine.drain_grace = milliseconds(5'000);
    mine.log.sink = log_;
    mine.signals = {};
    struct NodeModule {};
    DynamicModule module = DynamicModule::Of<NodeModule>();
    module.ProvideValue(std::ref(heard_)).Controller<Listener>();
    app_ = std::make_unique<Application>(Application::Create(std::move(module), std::move(mine)));
    app_->Listen(std::move(options));
    app_->Start();
  }
  ~Node() { Close(); }
  void Close() {
    heard_.release.Set();
    app_->Close();
  }

  Heard& heard() { return heard_; }
  Application& app() { return *app_; }
  bool Logged(std::string_view text) const { return log_->Contains(text); }
  EventSnapshot counts() {
    const StatsSnapshot stats = app_->Stats();
    const EventSnapshot* const found = stats.FindEvents("echo.said");
    return found == nullptr ? EventSnapshot() : *found;
  }

 private:
  const std::shared_ptr<CapturingSink> log_ = std::make_shared<CapturingSink>();
  Heard heard_;
  std::unique_ptr<Application> app_;
};

class ZeroMqEventsTest : public ::testing::Test {
 protected:
  ZeroMqEventsTest() {
    std::string name = (std::filesystem::temp_directory_path() / "rookery-zmq-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    folder_ = name;
  }
  ~ZeroMqEventsTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  ZeroMqEvents At(const std::string& name) {
    ZeroMqEvents options;
    options.address = "ipc://" + (folder_ / name).string();
    return options;
  }
  std::filesystem::path folder_;
};

absl::Status Publish(EchoClient& client, const std::string& text) {
  return SyncWaitStatus(client.OnSaid(Text(text)));
}

TEST_F(ZeroMqEventsTest, ReachEverySubscriberInOrder) {
  const ZeroMqEvents options = At("a");
  EchoClient client(MakeChannel(options));
  Node one(options);
  Node two(options);
  std::vector<std::string> meant;
  for (int i = 0; i < 1'000; ++i) {
    meant.push_back(std::to_string(i));
    ASSERT_TRUE(Publish(client, meant.back()).ok());
  }
  EXPECT_TRUE(Eventually([&] { return one.heard().count() == 1'000; }));
  EXPECT_TRUE(Eventually([&] { return two.heard().count() == 1'000; }));
  EXPECT_EQ(one.heard().all(), meant);
  EXPECT_EQ(two.heard().all(), meant);
  EXPECT_EQ(one.counts().received, 1'000U);
  EXPECT_EQ(one.counts().lost, 0U);
}

TEST_F(ZeroMqEventsTest, CarryCloudEventsOverTcp) {
  ZeroMqEvents options;
  options.address = "tcp://127.0.0.1:*";
  const std::shared_ptr<Channel> channel = MakeChannel(options);
  EXPECT_THAT(channel->target(), HasSubstr("tcp://127.0.0.1:"));
  EXPECT_EQ(channel->state(), ConnectionState::kReady);
  EchoClient client(channel);
  options.address = channel->target();
  Node node(options);
  ASSERT_TRUE(Publish(client, "id").ok());
  EXPECT_TRUE(Eventually([&] { return node.heard().count() == 1; }));
  EXPECT_THAT(node.heard().all(), ElementsAre("echo.said"));
}

TEST_F(ZeroMqEventsTest, AfterTheStartNothingIsMissed) {
  const ZeroMqEvents options = At("a");
  EchoClient client(MakeChannel(options));
  std::atomic<bool> stop{false};
  std::atomic<int> last{0};
  std::thread publishing([&] {
    for (int i = 1; !stop; ++i) {
      (void)Publish(client, std::to_string(i));
      last = i;
      if (i % 16 == 0) std::this_thread::sleep_for(milliseconds(1));
    }
  });
  for (int round = 0; round < 5; ++round) {
    Node node(options);
    const int ready = last;
    EXPECT_TRUE(Eventually([&] { return last > ready + 50; }));
    EXPECT_TRUE(Eventually([&] {
      const std::vector<std::string> all = node.heard().all();
      return !all.empty() && std::atoi(all.back().c_str()) > ready + 50;
    }));
    const std::vector<std::string> all = node.heard().all();
    // From the first one on, which is not after what was said when the node was ready, no gap.
    EXPECT_LE(std::atoi(all.front().c_str()), ready + 2);
    for (std::size_t i = 0; i < all.size(); ++i) {
      ASSERT_EQ(std::atoi(all[i].c_str()), std::atoi(all.front().c_str()) + static_cast<int>(i));
    }
    EXPECT_EQ(node.counts().lost, 0U);
  }
  stop = true;
  publishing.join();
}

TEST_F(ZeroMqEventsTest, LostOnesAreCountedAndLogged) {
  ZeroMqEvents options = At("a");
  options.zeromq.high_water_mark = 10;
  options.zeromq.max_concurrent_calls = 1;
  options.announce = milliseconds(50);
  EchoClient client(MakeChannel(options));
  Node node(options);
  ASSERT_TRUE(Publish(client, "wait").ok());
  EXPECT_TRUE(Eventually([&] { return node.heard().running == 1; }));
  // More than the kernel's buffers take, too.
  EchoRequest large = Text("x");
  large.set_payload(std::string(20'000, 'x'));
  constexpr std::uint64_t kCount = 2'000;
  for (std::uint64_t i = 0; i < kCount; ++i) {
    ASSERT_TRUE(SyncWaitStatus(client.OnSaid(large)).ok());
  }
  node.heard().release.Set();
  EXPECT_TRUE(Eventually([&] {
    const EventSnapshot counts = node.counts();
    return counts.received + counts.lost == kCount + 1;
  })) << node.counts().received
      << " and " << node.counts().lost;
  const EventSnapshot counts = node.counts();
  EXPECT_GT(counts.lost, 0U);
  EXPECT_TRUE(Eventually([&] { return node.heard().count() == counts.received; }));
  EXPECT_EQ(node.heard().most, 1);
  EXPECT_TRUE(Eventually([&] { return node.Logged("events were lost on the way"); }));
  EXPECT_THAT(node.app().Stats().ToString(), HasSubstr("echo.said"));
}

TEST_F(ZeroMqEventsTest, ASlowSubscriberMayHoldAllUp) {
  ZeroMqEvents options = At("a");
  options.slow_subscribers = ZeroMqSlow::kHoldsUp;
  options.zeromq.high_water_mark = 10;
  options.zeromq.max_concurrent_calls = 1;
  options.zeromq.max_pending_bytes = 400'000;
  EchoClient client(MakeChannel(options));
  Node node(options);
  ASSERT_TRUE(Publish(client, "wait").ok());
  EXPECT_TRUE(Eventually([&] { return node.heard().running == 1; }));
  EchoRequest large = Text("x");
  large.set_payload(std::string(20'000, 'x'));
  std::uint64_t sent = 1;
  absl::Status status;
  for (int i = 0; i < 10'000 && status.ok(); ++i) {
    status = SyncWaitStatus(client.OnSaid(large));
    if (status.ok()) ++sent;
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("max_pending_bytes"));
  node.heard().release.Set();
  EXPECT_TRUE(Eventually([&] { return node.heard().count() == sent; }));
  EXPECT_EQ(node.counts().lost, 0U);
}

TEST_F(ZeroMqEventsTest, PublishersMayConnectToASubscriber) {
  ZeroMqEvents options = At("a");
  options.listens = ZeroMqListens::kSubscriber;
  Node node(options);
  options.min_subscribers = 1;
  options.zeromq.wait_for_ready = true;
  EchoClient one(MakeChannel(options));
  EchoClient two(MakeChannel(options));
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(Publish(one, "one").ok());
    ASSERT_TRUE(Publish(two, "two").ok());
  }
  EXPECT_TRUE(Eventually([&] { return node.heard().count() == 200; }));
  EXPECT_EQ(node.counts().lost, 0U);
}

TEST_F(ZeroMqEventsTest, PublishersMayInsistOnSubscribers) {
  ZeroMqEvents options = At("a");
  options.min_subscribers = 1;
  const std::shared_ptr<Channel> channel = MakeChannel(options);
  EchoClient client(channel);
  absl::Status status = Publish(client, "nobody");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("0 subscribers of 1"));
  EXPECT_EQ(channel->state(), ConnectionState::kConnecting);
  {
    Node node(options);
    EXPECT_TRUE(Publish(client, "somebody").ok());
    EXPECT_TRUE(Eventually([&] { return node.heard().count() == 1; }));
  }
  EXPECT_TRUE(Eventually([&] { return !Publish(client, "nobody").ok(); }));
}

TEST_F(ZeroMqEventsTest, WorkIsShared) {
  ZeroMqEvents options = At("a");
  options.sharing = ZeroMqSharing::kWork;
  EchoClient client(MakeChannel(options));
  // Before anybody is there: it waits.
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(Publish(client, "early").ok());
  Node one(options);
  EXPECT_TRUE(Eventually([&] { return one.heard().count() == 10; }));
  Node two(options);
  int more = 0;
  EXPECT_TRUE(Eventually([&] {
    (void)Publish(client, "more");
    ++more;
    return two.heard().count() > 5;
  }));
  EXPECT_TRUE(Eventually([&] {
    return one.heard().count() + two.heard().count() == 10 + static_cast<std::size_t>(more);
  }));
}

TEST_F(ZeroMqEventsTest, WorkThatWaitsIsTakenWhileThePublisherCloses) {
  ZeroMqEvents options = At("a");
  options.sharing = ZeroMqSharing::kWork;
  options.zeromq.linger = milliseconds(60'000);
  auto client = std::make_unique<EchoClient>(MakeChannel(options));
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(Publish(*client, "x").ok());
  std::thread closing([&] { client.reset(); });
  options.synchronise_timeout = milliseconds(0);
  Node node(options);
  closing.join();
  EXPECT_TRUE(Eventually([&] { return node.heard().count() == 500; })) << node.heard().count();
}

TEST_F(ZeroMqEventsTest, WorkThatNobodyTakesIsBounded) {
  ZeroMqEvents options = At("a");
  options.sharing = ZeroMqSharing::kWork;
  options.zeromq.max_pending_bytes = 100'000;
  options.zeromq.linger = milliseconds(10);
  EchoClient client(MakeChannel(options));
  absl::Status status;
  int sent = 0;
  for (; sent < 100'000 && status.ok(); ++sent) status = Publish(client, "x");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_GT(sent, 100);
}

TEST_F(ZeroMqEventsTest, WhatHasComeIsHandledBeforeTheEnd) {
  ZeroMqEvents options = At("a");
  options.sharing = ZeroMqSharing::kWork;
  options.zeromq.max_concurrent_calls = 1;
  EchoClient client(MakeChannel(options));
  Node node(options);
  ASSERT_TRUE(Publish(client, "wait").ok());
  EXPECT_TRUE(Eventually([&] { return node.heard().running == 1; }));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(Publish(client, "x").ok());
  // On their way into the subscriber's queue; it reads none of them now.
  std::this_thread::sleep_for(milliseconds(300));
  node.Close();
  EXPECT_EQ(node.heard().count(), 101U);
}

TEST_F(ZeroMqEventsTest, ProcessesFindEachOtherByDomain) {
  setenv("XDG_RUNTIME_DIR", folder_.c_str(), 1);
  const std::filesystem::path meeting = folder_ / "rookery-events" / "rookery" / "all";
  {
    Node early{ZeroMqEvents()};
    EchoClient client(MakeChannel(ZeroMqEvents()));
    // The publisher waits for who is there already: its first event is heard.
    ASSERT_TRUE(Publish(client, "first").ok());
    EXPECT_TRUE(Eventually([&] { return early.heard().count() == 1; }));
    Node late{ZeroMqEvents()};
    ASSERT_TRUE(Publish(client, "second").ok());
    EXPECT_TRUE(Eventually([&] { return late.heard().count() == 1; }));
    {
      EchoClient another(MakeChannel(ZeroMqEvents()));
      ASSERT_TRUE(Publish(another, "third").ok());
      EXPECT_TRUE(Eventually([&] { return late.heard().count() == 2; }));
    }
    EXPECT_TRUE(Eventually([&] { return early.heard().count() == 3; }));
    ZeroMqEvents elsewhere;
    elsewhere.domain = "elsewhere";
    EchoClient stranger(MakeChannel(elsewhere));
    ASSERT_TRUE(Publish(stranger, "unheard").ok());
    ASSERT_TRUE(Publish(client, "last").ok());
    EXPECT_TRUE(Eventually([&] { return early.heard().count() == 4; }));
    EXPECT_EQ(early.heard().all().back(), "last");
  }
  EXPECT_TRUE(std::filesystem::is_empty(meeting));
  // What a process leaves that was killed is swept away.
  std::ofstream(meeting / "00000000deadbeef.publisher") << "";
  std::ofstream(meeting / "00000000deadbeef.ipc") << "";
  {
    Node node{ZeroMqEvents()};
    EchoClient client(MakeChannel(ZeroMqEvents()));
    ASSERT_TRUE(Publish(client, "x").ok());
    EXPECT_TRUE(Eventually([&] { return node.heard().count() == 1; }));
  }
  EXPECT_TRUE(std::filesystem::is_empty(meeting));
  // A folder that others may write to is not trusted.
  std::filesystem::permissions(meeting, std::filesystem::perms::all);
  EXPECT_THROW((void)MakeChannel(ZeroMqEvents()), RpcException);
  unsetenv("XDG_RUNTIME_DIR");
}

TEST_F(ZeroMqEventsTest, ARestartedPublisherIsHeardAgain) {
  const ZeroMqEvents options = At("a");
  auto client = std::make_unique<EchoClient>(MakeChannel(options));
  Node node(options);
  ASSERT_TRUE(Publish(*client, "1").ok());
  EXPECT_TRUE(Eventually([&] { return node.heard().count() == 1; }));
  client.reset();
  ZeroMqEvents again = options;
  again.min_subscribers = 1;
  again.zeromq.wait_for_ready = true;
  client = std::make_unique<EchoClient>(MakeChannel(again));
  ASSERT_TRUE(Publish(*client, "2").ok());
  EXPECT_TRUE(Eventually([&] { return node.heard().count() == 2; }));
  EXPECT_EQ(node.counts().lost, 0U);
}

TEST_F(ZeroMqEventsTest, CurveLetsInWhoHasAKeyAndSaysWhoItIs) {
  const ZeroMqKeys listener = NewZeroMqKeys().value();
  const ZeroMqKeys friendly = NewZeroMqKeys().value();
  const ZeroMqKeys stranger = NewZeroMqKeys().value();
  ZeroMqEvents listening = At("a");
  listening.listens = ZeroMqListens::kSubscriber;
  listening.zeromq.curve =
      ZeroMqCurve{.secret_key = listener.secret_key, .allow = {{friendly.public_key, "payments"}}};
  Node node(listening);
  const auto with = [&](const ZeroMqKeys& keys, const std::string& server) {
    ZeroMqEvents options = At("a");
    options.listens = ZeroMqListens::kSubscriber;
    options.min_subscribers = 1;
    options.zeromq.curve = ZeroMqCurve{.secret_key = keys.secret_key, .server_key = server};
    return options;
  };
  EchoClient unknown(MakeChannel(with(stranger, listener.public_key)));
  EchoClient deceived(MakeChannel(with(friendly, stranger.public_key)));
  ZeroMqEvents good = with(friendly, listener.public_key);
  good.zeromq.wait_for_ready = true;
  EchoClient known(MakeChannel(good));
  ASSERT_TRUE(Publish(known, "who").ok());
  EXPECT_TRUE(Eventually([&] { return node.heard().count() == 1; }));
  EXPECT_THAT(node.heard().all(), ElementsAre("payments"));
  EXPECT_EQ(Publish(unknown, "x").code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Publish(deceived, "x").code(), absl::StatusCode::kUnavailable);
  // The other way round: publishers listen.
  ZeroMqEvents publishing = At("b");
  publishing.zeromq.curve = listening.zeromq.curve;
  EchoClient publisher(MakeChannel(publishing));
  ZeroMqEvents subscribing = At("b");
  subscribing.zeromq.curve =
      ZeroMqCurve{.secret_key = friendly.secret_key, .server_key = listener.public_key};
  Node subscriber(subscribing);
  ASSERT_TRUE(Publish(publisher, "x").ok());
  EXPECT_TRUE(Eventually([&] { return subscriber.heard().count() == 1; }));
  // A listener without a list of keys would let in nobody.
  publishing.zeromq.curve->allow.clear();
  publishing.address = At("c").address;
  EXPECT_THROW((void)MakeChannel(publishing), RpcException);
}

TEST_F(ZeroMqEventsTest, WhatIsNoEventIsRefusedAndCounted) {
  ZeroMqEvents options = At("a");
  options.listens = ZeroMqListens::kSubscriber;
  options.synchronise_timeout = milliseconds(0);
  Node node(options);
  void* const context = zmq_ctx_new();
  void* const stranger = zmq_socket(context, ZMQ_XPUB);
  const int none = 0;
  zmq_setsockopt(stranger, ZMQ_LINGER, &none, sizeof none);
  ASSERT_EQ(zmq_connect(stranger, options.address.c_str()), 0);
  char subscription[64];
  ASSERT_GT(zmq_recv(stranger, subscription, sizeof subscription, 0), 0);
  const std::string topic("echo.said\0", 10);
  // A topic without numbers, alone or not; no header, one of another version; four frames.
  zmq_send(stranger, topic.data(), topic.size(), 0);
  zmq_send(stranger, topic.data(), topic.size(), ZMQ_SNDMORE);
  zmq_send(stranger, "", 0, 0);
  std::string stamped = topic + std::string(15, 'x') + '\1';
  for (const std::string header : {"", "\7"}) {
    const std::string full = stamped + header;
    zmq_send(stranger, full.data(), full.size(), 0);
    stamped.back() = '\2';
  }
  for (int i = 0; i < 4; ++i) {
    zmq_send(stranger, stamped.data(), stamped.size(), i == 3 ? 0 : ZMQ_SNDMORE);
  }
  EXPECT_TRUE(Eventually([&] { return node.app().Stats().total_rejected() >= 5; }))
      << node.app().Stats().ToString();
  zmq_close(stranger);
  zmq_ctx_term(context);
  options.min_subscribers = 1;
  options.zeromq.wait_for_ready = true;
  EchoClient client(MakeChannel(options));
  ASSERT_TRUE(Publish(client, "good").ok());
  EXPECT_TRUE(Eventually([&] { return node.heard().count() == 1; }));
}

TEST_F(ZeroMqEventsTest, CallsAreRefused) {
  EchoClient client(MakeChannel(At("a")));
  const absl::Status status = SyncWaitStatus(client.Say(Text("x"))).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()), HasSubstr("rookery::ZeroMq"));
}

TEST_F(ZeroMqEventsTest, WrongOptionsAreAllNamed) {
  ZeroMqEvents options;
  options.domain = "../../etc";
  options.listens = ZeroMqListens::kBroker;
  options.sharing = ZeroMqSharing::kWork;
  options.announce = milliseconds(0);
  options.zeromq.high_water_mark = 0;
  const absl::Status status = CheckZeroMqEventsOptions(options);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  for (const char* const fault :
       {"domain", "address is empty", "announce", "high_water_mark", "a broker gives events"}) {
    EXPECT_THAT(std::string(status.message()), HasSubstr(fault));
  }
  EXPECT_THROW((void)MakeChannel(options), RpcException);
  ZeroMqEvents public_address;
  public_address.address = "tcp://10.0.0.1:5556";
  EXPECT_THAT(std::string(CheckZeroMqEventsOptions(public_address).message()),
              HasSubstr("allow_plain_text"));
  EXPECT_TRUE(CheckZeroMqEventsOptions(ZeroMqEvents()).ok());
}

TEST_F(ZeroMqEventsTest, AnAddressThatIsTakenIsSaid) {
  ZeroMqEvents options;
  options.address = "tcp://127.0.0.1:*";
  const std::shared_ptr<Channel> first = MakeChannel(options);
  options.address = first->target();
  try {
    (void)MakeChannel(options);
    FAIL() << "two listen at one address";
  } catch (const RpcException& error) {
    EXPECT_THAT(error.what(), HasSubstr(options.address));
  }
}

}  // namespace
}  // namespace rookery::testing
