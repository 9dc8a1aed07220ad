// What NATS, and whoever else is on it, can do to a node: it stays up, says what is wrong, counts
// it, and is well again when the cause is gone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "nats/nats_node.h"
#include "rookery/rpc/channel.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/transports/nats.h"
#include "support/nats_broker.h"
#include "support/tcp_fault_proxy.h"
#ifdef ROOKERY_TEST_OPENSSL
#include "grpc/certificates.h"
#include "nats/nats_credentials.h"
#endif

namespace rookery::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

EchoRequest Text(std::string text) {
  EchoRequest request;
  request.set_text(std::move(text));
  return request;
}

// Fails at last, so that a connection that has gone silent is no reason to wait for ever.
absl::Status Call(EchoClient& client, milliseconds timeout = milliseconds(20'000)) {
  CallOptions options;
  options.timeout = timeout;
  return SyncWaitStatus(client.Say(Text("x"), std::move(options))).status();
}

// By a channel of its own, which may not even be made.
[[maybe_unused]] absl::Status CallOnce(const Nats& options) {
  try {
    EchoClient client(MakeChannel(options));
    return Call(client, milliseconds(300));
  } catch (const RpcException& error) {
    return error.status();
  }
}

// Reconnects quickly.
Nats Quick(const std::string& url) {
  Nats nats{.url = url};
  nats.queue = "echo";
  nats.reconnect_wait = milliseconds(20);
  nats.max_reconnect_wait = milliseconds(200);
  return nats;
}

[[maybe_unused]] void Write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path) << text;
}

// nats.c takes such an end of a connection for final, and never comes back.
TEST(NatsBadInputTest, AConnectionThatTheServerEndsWithAnErrorIsReplaced) {
  const auto broker = NatsBroker::Start();
  ASSERT_NE(broker, nullptr) << "install nats-server";
  TcpFaultProxy proxy(broker->port());
  const std::string through = "nats://127.0.0.1:" + std::to_string(proxy.port());
  NatsNode node(Quick(through));
  const std::shared_ptr<Channel> direct = MakeChannel(Quick(broker->url()));
  EchoClient client(direct);
  ASSERT_TRUE(Call(client).ok());
  for (int round = 0; round < 3; ++round) {
    // Every second byte of what the node says is another: the NATS server knows no such verb.
    proxy.Set(TcpFaultProxy::kToServer, {.corrupt_every = 2});
    const std::size_t before = proxy.accepted();
    EXPECT_TRUE(Eventually([&] {
      (void)Call(client, milliseconds(50));
      return proxy.accepted() > before || node.Logged("connection lost");
    }));
    proxy.Heal();
    proxy.Reset();
    EXPECT_TRUE(Eventually([&] { return Call(client, milliseconds(500)).ok(); })) << round;
  }
  EXPECT_TRUE(node.Logged("connection lost"));
  // Streams, cancellations and $SRV listen again, too.
  NatsStranger stranger(broker->url());
  EXPECT_EQ(stranger.AskAll("$SRV.PING", 2, milliseconds(500)).size(), 1U);
  std::thread canceller;
  CancelSource source;
  CallOptions options;
  options.cancel = source.token();
  canceller = std::thread([&] {
    EXPECT_TRUE(Eventually([&] { return node.state().running == 1; }));
    source.Cancel(absl::CancelledError("enough"));
  });
  EXPECT_TRUE(
      absl::IsCancelled(SyncWaitStatus(client.Say(Text("wait"), std::move(options))).status()));
  canceller.join();
  EXPECT_TRUE(Eventually([&] { return node.app().Stats().in_flight() == 0; }));
}

TEST(NatsBadInputTest, AClientsConnectionIsReplacedToo) {
  const auto broker = NatsBroker::Start();
  ASSERT_NE(broker, nullptr) << "install nats-server";
  TcpFaultProxy proxy(broker->port());
  NatsNode node(Quick(broker->url()));
  const std::shared_ptr<Channel> channel =
      MakeChannel(Quick("nats://127.0.0.1:" + std::to_string(proxy.port())));
  EchoClient client(channel);
  ASSERT_TRUE(Call(client).ok());
  for (int round = 0; round < 3; ++round) {
    proxy.Set(TcpFaultProxy::kToServer, {.corrupt_every = 2});
    EXPECT_FALSE(Call(client).ok());
    proxy.Heal();
    proxy.Reset();
    EXPECT_TRUE(Eventually([&] { return Call(client, milliseconds(500)).ok(); })) << round;
  }
  channel->Close();
  EXPECT_EQ(channel->state(), ConnectionState::kShutdown);
}

// nats.c, driven by an event loop, reads on in the new connection where it was in the old one.
TEST(NatsBadInputTest, WhatWasCutOffInTheMiddleIsNotReadOnInTheNextConnection) {
  const auto broker = NatsBroker::Start();
  ASSERT_NE(broker, nullptr) << "install nats-server";
  TcpFaultProxy proxy(broker->port());
  NatsNode node(Quick(broker->url()));
  EchoClient client(MakeChannel(Quick("nats://127.0.0.1:" + std::to_string(proxy.port()))));
  for (const std::size_t cut : {1, 3, 20, 60, 5'000, 9'000}) {
    ASSERT_TRUE(Eventually([&] { return Call(client, milliseconds(500)).ok(); })) << cut;
    proxy.Set(TcpFaultProxy::kToClient, {.cut_after = cut});
    CallOptions options;
    options.timeout = milliseconds(20'000);
    EXPECT_FALSE(SyncWaitStatus(client.Say(Text(std::string(10'000, 'a')), options)).ok()) << cut;
    proxy.Heal();
    // The first that come through are right, and all of them do.
    EXPECT_TRUE(Eventually([&] { return Call(client, milliseconds(500)).ok(); })) << cut;
    for (int i = 0; i < 20; ++i) {
      const std::string text = "right " + std::to_string(i);
      const absl::StatusOr<EchoReply> reply = SyncWaitStatus(client.Say(Text(text), options));
      ASSERT_TRUE(reply.ok()) << cut << " " << reply.status();
      EXPECT_EQ(reply->text(), text);
    }
  }
}

TEST(NatsBadInputTest, ANodeThatIsClosedWhileItsConnectionIsReplacedEnds) {
  const auto broker = NatsBroker::Start();
  ASSERT_NE(broker, nullptr) << "install nats-server";
  TcpFaultProxy proxy(broker->port());
  Nats slow = Quick("nats://127.0.0.1:" + std::to_string(proxy.port()));
  slow.reconnect_wait = slow.max_reconnect_wait = milliseconds(60'000);
  NatsNode node(slow);
  const std::shared_ptr<Channel> channel = MakeChannel(slow);
  EchoClient client(channel);
  ASSERT_TRUE(Call(client).ok());
  proxy.Set(TcpFaultProxy::kToServer, {.corrupt_every = 2});
  EXPECT_FALSE(Call(client).ok());
  EXPECT_TRUE(Eventually([&] { return channel->state() != ConnectionState::kReady; }));
  EXPECT_FALSE(Call(client).ok());
  channel->Close();
}

TEST(NatsBadInputTest, SubscriptionsThatAreNotAllowedAreTriedAgainWithTheNextConnection) {
  const auto file = [](bool allowed) {
    return std::string("authorization { users: [") +
           "{ user: server, password: s, permissions: { publish: \">\", subscribe: " +
           (allowed ? "\">\"" : "[\"_INBOX.>\", \"rookery.cancel.>\", \"$SRV.>\", \"echo.>\"]") +
           " } }, { user: client, password: c } ] }";
  };
  const auto broker = NatsBroker::Start(file(true));
  ASSERT_NE(broker, nullptr) << "install nats-server";
  Nats served = Quick(broker->url());
  served.user = "server";
  served.password = "s";
  NatsNode node(served);
  Nats called = Quick(broker->url());
  called.user = "client";
  called.password = "c";
  EchoClient client(MakeChannel(called));
  EXPECT_TRUE(Call(client).ok());
  broker->Reconfigure(file(false));
  EXPECT_TRUE(Eventually([&] { return node.Logged("subscribe to"); }));
  EXPECT_TRUE(node.Logged("rookery.testing.Echo"));
  EXPECT_TRUE(Eventually([&] { return absl::IsUnavailable(Call(client)); }));
  // An operator mends it. The NATS server has dropped the subscription, and takes it again with the
  // next connection; the node need not be restarted.
  broker->Reconfigure(file(true));
  broker->Restart();
  EXPECT_TRUE(Eventually([&] { return Call(client).ok(); }));
}

TEST(NatsBadInputTest, RepliesThatMayNotBePublishedLeaveTheNodeUp) {
  const auto broker = NatsBroker::Start(
      "authorization { users: [ { user: server, password: s, permissions: { subscribe: \">\", "
      "publish: \"nothing\" } }, { user: client, password: c } ] }");
  ASSERT_NE(broker, nullptr) << "install nats-server";
  Nats served = Quick(broker->url());
  served.user = "server";
  served.password = "s";
  NatsNode node(served);
  Nats called = Quick(broker->url());
  called.user = "client";
  called.password = "c";
  EchoClient client(MakeChannel(called));
  EXPECT_TRUE(absl::IsDeadlineExceeded(Call(client, milliseconds(200))));
  EXPECT_TRUE(Eventually([&] { return node.Logged("publish to"); }));
  EXPECT_TRUE(Eventually([&] { return node.app().Stats().in_flight() == 0; }));
}

TEST(NatsBadInputTest, StrangersOnOurAddressesDoNoHarm) {
  const auto broker = NatsBroker::Start();
  ASSERT_NE(broker, nullptr) << "install nats-server";
  NatsNode node(Quick(broker->url()));
  EchoClient client(MakeChannel(Quick(broker->url())));
  ASSERT_TRUE(Call(client).ok());
  // Inboxes cannot be guessed; whoever listens to all of them can send there all the same.
  natsConnection* spy = nullptr;
  ASSERT_EQ(natsConnection_ConnectTo(&spy, broker->url().c_str()), NATS_OK);
  natsSubscription* all = nullptr;
  ASSERT_EQ(natsConnection_SubscribeSync(&all, spy, ">"), NATS_OK);
  ASSERT_EQ(natsConnection_Flush(spy), NATS_OK);
  ASSERT_TRUE(Call(client).ok());
  natsMsg* request = nullptr;
  ASSERT_EQ(natsSubscription_NextMsg(&request, all, 20'000), NATS_OK);
  const std::string inbox = natsMsg_GetReply(request);
  natsMsg_Destroy(request);
  const std::string before_id = inbox.substr(0, inbox.rfind('.') + 1);
  for (const std::string& subject : {inbox, before_id + "zzzzzzzzzzz", before_id + "zzzzzzzzzzzz",
                                     before_id + "~", before_id + "0"}) {
    natsConnection_PublishString(spy, subject.c_str(), "nonsense");
    natsMsg* frame = nullptr;
    ASSERT_EQ(natsMsg_Create(&frame, subject.c_str(), nullptr, "x", 1), NATS_OK);
    natsMsgHeader_Set(frame, "rookery", "1 data seq=99999999999999999999999");
    natsConnection_PublishMsg(spy, frame);
    natsMsg_Destroy(frame);
  }
  ASSERT_EQ(natsConnection_Flush(spy), NATS_OK);
  natsSubscription_Destroy(all);
  natsConnection_Destroy(spy);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(Call(client).ok());
}

#ifdef ROOKERY_TEST_OPENSSL

class NatsCredentialsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    broker_ = NatsBroker::Start(credentials_.config() + "debug: true\n");
    ASSERT_NE(broker_, nullptr) << "install nats-server";
    file_ = broker_->folder() / "user.creds";
  }
  // Why somebody was refused is known to the NATS server alone.
  void TearDown() override {
    if (HasFailure()) ADD_FAILURE() << std::ifstream(broker_->folder() / "log").rdbuf();
  }
  Nats options() const {
    Nats nats = Quick(broker_->url());
    nats.creds_file = file_;
    return nats;
  }
  NatsCredentials credentials_;
  std::unique_ptr<NatsBroker> broker_;
  std::filesystem::path file_;
};

TEST_F(NatsCredentialsTest, AreLetIn) {
  Write(file_, credentials_.UserFile(3'600));
  NatsNode node(options());
  EchoClient client(MakeChannel(options()));
  // nats.c may be refused wrongly first: see Connection::Open.
  EXPECT_TRUE(Eventually([&] { return Call(client).ok(); }));
}

TEST_F(NatsCredentialsTest, ThatHaveExpiredAreAnErrorAtStartThatNamesNoSecret) {
  const std::string secret = credentials_.UserFile(-10);
  Write(file_, secret);
  try {
    NatsNode node(options());
    FAIL() << "it started";
  } catch (const std::exception& error) {
    EXPECT_THAT(error.what(), HasSubstr("NATS at "));
    const std::size_t seed = secret.find("SU", secret.find("SEED-----"));
    EXPECT_THAT(error.what(), ::testing::Not(HasSubstr(secret.substr(seed, 20))));
  }
  Write(file_, "no credentials");
  EXPECT_ANY_THROW(NatsNode node(options()));
  std::filesystem::remove(file_);
  EXPECT_ANY_THROW(NatsNode node(options()));
}

// A node outlives its credentials: whoever renews the file need not restart it.
TEST_F(NatsCredentialsTest, ThatExpireAreReadAgainWhenTheyHaveBeenRenewed) {
  Write(file_, credentials_.UserFile(2));
  NatsNode node(options());
  const std::shared_ptr<Channel> channel = MakeChannel(options());
  EchoClient client(channel);
  EXPECT_TRUE(Eventually([&] { return Call(client).ok(); }));
  EXPECT_TRUE(Eventually([&] { return !Call(client, milliseconds(500)).ok(); }));
  EXPECT_TRUE(Eventually([&] { return node.Logged("connection lost"); }));
  Write(file_, credentials_.UserFile(3'600));
  EXPECT_TRUE(Eventually([&] { return Call(client, milliseconds(500)).ok(); }));
}

TEST(NatsMutualTlsTest, TheServerAsksWhoWeAre) {
  Authority authority("test CA");
  const Identity server = authority.Issue("nats", {"DNS:localhost", "IP:127.0.0.1"});
  const Identity mine = authority.Issue("orders", {"DNS:orders"});
  std::string name = (std::filesystem::temp_directory_path() / "rookery-nats-mtls-XXXXXX").string();
  ASSERT_NE(mkdtemp(name.data()), nullptr);
  const std::filesystem::path folder = name;
  Write(folder / "ca.pem", authority.pem());
  Write(folder / "server.pem", server.certificate);
  Write(folder / "server.key", server.key);
  Write(folder / "mine.pem", mine.certificate);
  Write(folder / "mine.key", mine.key);
  const auto broker =
      NatsBroker::Start("tls { cert_file: \"" + (folder / "server.pem").string() +
                        "\", key_file: \"" + (folder / "server.key").string() + "\", ca_file: \"" +
                        (folder / "ca.pem").string() + "\", verify: true }");
  ASSERT_NE(broker, nullptr) << "install nats-server";
  Nats good = Quick("tls://localhost:" + std::to_string(broker->port()));
  good.tls = NatsTls();
  good.tls->ca_file = folder / "ca.pem";
  Nats stranger = good;
  good.tls->certificate_file = folder / "mine.pem";
  good.tls->key_file = folder / "mine.key";
  {
    NatsNode node(good);
    EchoClient client(MakeChannel(good));
    EXPECT_TRUE(Call(client).ok());
    // In memory instead of files.
    Nats in_memory = good;
    in_memory.tls = NatsTls();
    in_memory.tls->ca = authority.pem();
    in_memory.tls->certificate = mine.certificate;
    in_memory.tls->key = mine.key;
    EchoClient another(MakeChannel(in_memory));
    EXPECT_TRUE(Call(another).ok());
    // The wrong name.
    Nats elsewhere = good;
    elsewhere.tls->server_name = "elsewhere";
    EXPECT_FALSE(CallOnce(elsewhere).ok());
    EXPECT_FALSE(CallOnce(stranger).ok());
  }
  stranger.start_timeout = milliseconds(200);
  EXPECT_ANY_THROW(NatsNode node(stranger));
  std::filesystem::remove_all(folder);
}

#endif  // ROOKERY_TEST_OPENSSL

TEST(NatsBadInputTest, ANodeSaysThatItWaitsForNats) {
  auto broker = NatsBroker::Start();
  ASSERT_NE(broker, nullptr) << "install nats-server";
  broker->Stop();
  auto log = std::make_shared<CapturingSink>();
  ApplicationOptions options;
  options.log.sink = log;
  options.signals = {};
  options.loop_threads = 1;
  struct EmptyModule {};
  Application app = Application::Create(DynamicModule::Of<EmptyModule>(), std::move(options));
  Nats patient = Quick(broker->url());
  patient.start_timeout = milliseconds(60'000);
  app.Listen(patient);
  std::thread starter([&] { app.Start(); });
  EXPECT_TRUE(Eventually([&] { return log->Contains("waiting for NATS"); }));
  EXPECT_TRUE(log->Contains(broker->url()));
  broker->Restart();
  starter.join();
  EXPECT_TRUE(log->Contains("ready"));
  app.Close();
}

}  // namespace
}  // namespace rookery::testing
