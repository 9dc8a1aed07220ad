// What a peer must not be able to do: each fault gets its canonical status (or a closed
// connection), a log line and a count, and the next good call works.
#include <gmock/gmock.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "node.h"
#include "rookery/platform/log.h"
#include "tcp.h"

namespace rookery::testing {
namespace {

using ::testing::HasSubstr;

class HostileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    LogOptions options;
    options.sink = log_;
    Logger::SetDefault(Logger(options));
  }
  void TearDown() override { Logger::SetDefault(Logger()); }

  // How many calls were refused before a handler saw them.
  static std::uint64_t Rejected(const EchoNode& node) {
    return node.stats.Snapshot().total_rejected();
  }

  static absl::Status Say(EchoClient& client, EchoRequest request, CallOptions options = {}) {
    return SyncWaitStatus(client.Say(std::move(request), std::move(options))).status();
  }
  static void ExpectStillServes(EchoNode& node) {
    EchoClient client(node.Connect());
    const absl::Status status = Say(client, Text("still there"));
    EXPECT_TRUE(status.ok()) << status;
  }
  // Calls Say with a message of another type.
  static absl::Status SendAs(EchoNode& node, std::string_view method,
                             const google::protobuf::Message& message) {
    std::shared_ptr<Channel> channel = node.Connect();
    MethodDescriptor descriptor = EchoClient::Descriptor().methods[0];
    descriptor.full_name = method;
    OutgoingCall call(descriptor);
    EchoReply reply;
    return SyncWaitStatus(channel->Unary(call, message, reply));
  }

  std::shared_ptr<CapturingSink> log_ = std::make_shared<CapturingSink>();
};

TEST_F(HostileTest, MalformedMessage) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  // Field 1 as bytes that are no UTF-8: the proto3 string of EchoRequest refuses them.
  google::protobuf::BytesValue bad;
  bad.set_value("\xff\xfe\xfd");
  const absl::Status status = SendAs(node, "/rookery.testing.Echo/Say", bad);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("malformed rookery.testing.EchoRequest"));
  EXPECT_EQ(node.controller->calls, 0);
  EXPECT_EQ(Rejected(node), 1u);
  EXPECT_TRUE(log_->Contains("malformed"));
  ExpectStillServes(node);
}

TEST_F(HostileTest, UnknownMethodAndService) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  for (const char* method : {"/rookery.testing.Echo/Nothing", "/no.Such/Thing", "/odd"}) {
    EXPECT_EQ(SendAs(node, method, Text("x")).code(), absl::StatusCode::kUnimplemented) << method;
  }
  EXPECT_EQ(Rejected(node), 3u);
  EXPECT_TRUE(log_->Contains("/no.Such/Thing"));
  ExpectStillServes(node);
}

TEST_F(HostileTest, MessageTooLarge) {
  EchoNode node;
  Grpc options;
  options.max_receive_bytes = 10'000;
  options.methods["/rookery.testing.Echo/Join"].max_receive_bytes = 1'000;
  ASSERT_TRUE(node.Start(options).ok());
  EchoClient client(node.Connect());
  const absl::Status status = Say(client, Text(std::string(10'001, 'x')));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("max_receive_bytes (10000)"));
  EXPECT_TRUE(Say(client, Text(std::string(9'900, 'x'))).ok());
  const auto join = [&](std::size_t size) {
    const auto one = [](std::size_t bytes) -> Stream<EchoRequest> {
      EchoRequest request = Text(std::string(bytes, 'x'));
      co_yield std::move(request);
    };
    return SyncWaitStatus(client.Join(one(size))).status();
  };
  EXPECT_TRUE(join(900).ok());
  EXPECT_EQ(join(2'000).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Rejected(node), 2u);
  ExpectStillServes(node);
}

TEST_F(HostileTest, ReplyTooLarge) {
  EchoNode node;
  Grpc options;
  options.max_send_bytes = 10'000;
  ASSERT_TRUE(node.Start(options).ok());
  EchoClient client(node.Connect());
  EchoRequest request;
  request.set_reply_bytes(10'001);
  EXPECT_EQ(Say(client, request).code(), absl::StatusCode::kResourceExhausted);
  Grpc small;
  small.max_receive_bytes = 1'000;
  EchoClient frugal(node.Connect(small));
  request.set_reply_bytes(2'000);
  EXPECT_EQ(Say(frugal, request).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Say(frugal, Text("x")).ok());
}

TEST_F(HostileTest, CompressionBomb) {
  EchoNode node;
  Grpc options;
  options.max_receive_bytes = 1 << 20;
  ASSERT_TRUE(node.Start(options).ok());
  EchoClient client(node.Connect());
  for (const char* algorithm : {"gzip", "deflate"}) {
    CallOptions compressed;
    compressed.compression = algorithm;
    // 32 MiB that travel as 32 KiB.
    EXPECT_EQ(Say(client, Text(std::string(32 << 20, 'a')), std::move(compressed)).code(),
              absl::StatusCode::kResourceExhausted);
  }
  EXPECT_EQ(node.controller->calls, 0);
  EXPECT_EQ(Rejected(node), 2u);
  ExpectStillServes(node);
}

TEST_F(HostileTest, MetadataTooLarge) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  Grpc generous;
  generous.max_metadata_bytes = 1 << 20;
  EchoClient client(node.Connect(generous));
  const auto say = [&](std::size_t bytes) {
    CallOptions options;
    EXPECT_TRUE(options.metadata.Add("x-big", std::string(bytes, 'm')).ok());
    return Say(client, Text("x"), std::move(options)).code();
  };
  EXPECT_EQ(say(7'000), absl::StatusCode::kOk);
  EXPECT_EQ(say(9'000), absl::StatusCode::kResourceExhausted);  // ours: counted
  EXPECT_EQ(Rejected(node), 1u);
  EXPECT_TRUE(log_->Contains("metadata is larger"));
  // The HTTP/2 layer's, which may close the connection as well.
  EXPECT_THAT(say(100'000), ::testing::AnyOf(absl::StatusCode::kResourceExhausted,
                                             absl::StatusCode::kUnavailable));
  EXPECT_TRUE(Eventually([&] { return Rejected(node) >= 2; }));
  EXPECT_TRUE(log_->Contains("metadata size exceeds limit"));
  EXPECT_TRUE(Eventually([&] { return say(100) == absl::StatusCode::kOk; }));
}

TEST_F(HostileTest, TooManyCalls) {
  EchoNode node;
  Grpc options;
  options.max_concurrent_calls = 2;
  options.methods["/rookery.testing.Echo/SayAgain"].max_concurrent_calls = 1;
  ASSERT_TRUE(node.Start(options).ok());
  EchoClient client(node.Connect());
  EchoRequest slow;
  slow.set_delay_ms(60'000);
  CancelSource source;
  const auto hold = [&](bool again) {
    return std::thread([&, again] {
      CallOptions held;
      held.cancel = source.token();
      static_cast<void>(SyncWaitStatus(again ? client.SayAgain(slow, std::move(held))
                                             : client.Say(slow, std::move(held))));
    });
  };
  std::thread first = hold(true);
  ASSERT_TRUE(Eventually([&] { return node.controller->calls == 1; }));
  EXPECT_EQ(SyncWaitStatus(client.SayAgain(Text("x"))).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Say(client, Text("x")).ok());
  std::thread second = hold(false);
  ASSERT_TRUE(Eventually([&] { return node.controller->calls == 3; }));
  EXPECT_EQ(Say(client, Text("x")).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Rejected(node), 2u);
  source.Cancel(absl::CancelledError("enough"));
  first.join();
  second.join();
  EXPECT_TRUE(Eventually([&] { return Say(client, Text("x")).ok(); }));
}

TEST_F(HostileTest, GarbageOnThePort) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EXPECT_TRUE(SendsAndIsClosed(node.port(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_TRUE(SendsAndIsClosed(node.port(), std::string(100'000, '\xa5')));
  EXPECT_TRUE(SendsAndIsClosed(node.port(),
                               "P"  // right so far, then not
                               "OST"));
  EXPECT_TRUE(SendsAndIsClosed(node.port(), std::string("\x16\x03\x01\x02\0\x01", 6)));
  // The preface is right, the frame after it claims 16 MiB of SETTINGS.
  EXPECT_TRUE(SendsAndIsClosed(
      node.port(), std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x04\0\0\0\0\0", 33)));
  EXPECT_TRUE(Eventually([&] { return Rejected(node) == 5; })) << Rejected(node);
  EXPECT_TRUE(log_->Contains("speaks HTTP/1, gRPC takes HTTP/2: \\\"GET / HTTP/1.1"));
  EXPECT_TRUE(log_->Contains("sent what is no HTTP/2"));
  EXPECT_TRUE(log_->Contains("speaks TLS to a port without"));
  EXPECT_TRUE(log_->Contains("no SETTINGS frame"));
  EXPECT_TRUE(log_->Contains("127.0.0.1:"));
  ExpectStillServes(node);
  EXPECT_EQ(Rejected(node), 5u);
}

// Who says nothing, or stops in the middle of the first bytes, is shown out after a while; checks
// of the port that leave by themselves are not worth a word.
TEST_F(HostileTest, SilenceOnThePort) {
  EchoNode node;
  Grpc options;
  options.handshake_timeout = std::chrono::milliseconds(300);
  ASSERT_TRUE(node.Start(options).ok());
  ::close(Dial(node.port()));
  EXPECT_TRUE(SendsAndIsClosed(node.port(), ""));
  EXPECT_TRUE(SendsAndIsClosed(node.port(), "PRI * HTT"));
  EXPECT_TRUE(Eventually([&] { return Rejected(node) == 2; })) << Rejected(node);
  EXPECT_TRUE(log_->Contains("until the handshake's timeout"));
  // Leaves in the middle.
  const int fd = Dial(node.port());
  ASSERT_EQ(::send(fd, "PRI", 3, MSG_NOSIGNAL), 3);
  ::shutdown(fd, SHUT_WR);
  EXPECT_TRUE(Eventually([&] { return Rejected(node) == 3; })) << Rejected(node);
  ::close(fd);
  ExpectStillServes(node);
}

// A crowd that says nothing does not keep others out, however large it is.
TEST_F(HostileTest, CrowdThatSaysNothing) {
  constexpr int kCrowd = 1'500;
  rlimit limit = {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 8'192);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  if (limit.rlim_cur < 2 * kCrowd + 200) GTEST_SKIP() << "too few file descriptors are allowed";
  EchoNode node;
  Grpc options;
  options.handshake_timeout = std::chrono::seconds(20);
  ASSERT_TRUE(node.Start(options).ok());
  std::vector<int> crowd;
  for (int i = 0; i < kCrowd; ++i) crowd.push_back(Dial(node.port()));
  ExpectStillServes(node);
  // Those that made room for the last.
  EXPECT_TRUE(Eventually([&] { return Rejected(node) >= kCrowd - 1024; })) << Rejected(node);
  EXPECT_TRUE(log_->Contains("while many others came"));
  for (const int fd : crowd) ::close(fd);
  ExpectStillServes(node);
}

TEST_F(HostileTest, ClientThatVanishes) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  Gate gate(node.port());
  Grpc options;
  options.address = absl::StrCat("127.0.0.1:", gate.port());
  EchoClient client(node.Connect(options));
  EchoRequest endless = Text("x");
  endless.set_count(1'000'000);
  endless.set_delay_ms(1);
  Stream<EchoReply> replies = client.Repeat(endless);
  const auto read_one = [&]() -> Task<bool> {
    std::optional<EchoReply> reply = co_await replies.Next();
    co_return reply.has_value();
  };
  ASSERT_TRUE(SyncWait(read_one()));
  gate.Cut();
  const auto read_all = [&]() -> Task<void> {
    for (;;) {
      std::optional<EchoReply> reply = co_await replies.Next();
      if (!reply) break;
    }
  };
  EXPECT_EQ(SyncWaitStatus(read_all()).code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(Eventually([&] { return log_->Contains("cancelled its call, or went away"); }));
  EXPECT_TRUE(Eventually([&] {
    const StatsSnapshot stats = node.stats.Snapshot();
    const MethodSnapshot* const repeat = stats.Find("/rookery.testing.Echo/Repeat", "grpc");
    return repeat != nullptr && repeat->code(absl::StatusCode::kCancelled) == 1;
  }));
  ExpectStillServes(node);
  // The handler was told: nothing is left to wait for.
  EXPECT_EQ(node.transport->Drain(std::chrono::steady_clock::now() + std::chrono::seconds(20)), 0u);
}

TEST_F(HostileTest, PeerThatNeverReads) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  Gate gate(node.port());
  Grpc options;
  options.address = absl::StrCat("127.0.0.1:", gate.port());
  EchoClient client(node.Connect(options));
  EchoRequest request = Text("x");
  request.set_count(100'000);
  request.set_reply_bytes(64 << 10);  // 6 GiB, were they produced
  Stream<EchoReply> replies = client.Repeat(request);
  const auto read_one = [&]() -> Task<bool> {
    std::optional<EchoReply> reply = co_await replies.Next();
    co_return reply.has_value();
  };
  ASSERT_TRUE(SyncWait(read_one()));
  gate.Stall();
  int last = -1;
  EXPECT_TRUE(Eventually([&] {
    const int now = node.controller->produced;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    return std::exchange(last, now) == now;
  }));
  EXPECT_LT(last, 1'000);
  ExpectStillServes(node);
  // And the good call, if its answer is still on its way.
  EXPECT_GE(node.transport->Drain(std::chrono::steady_clock::now()), 1u);
}

}  // namespace
}  // namespace rookery::testing
