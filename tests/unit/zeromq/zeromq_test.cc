// Calls over ZeroMQ: several servers, their coming and going, CURVE.
#include "rookery/transports/zeromq.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zmq.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "rookery/rpc/channel.h"
#include "rookery/rpc/wire.h"
#include "rookery/runtime/rpc_exception.h"
#include "transports/zeromq/src/options.h"
#include "zeromq/zeromq_node.h"

namespace rookery::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kAnywhere[] = "tcp://127.0.0.1:*";

// A server of a stranger's: a ROUTER that answers as the test says.
class StrangeServer final {
 public:
  StrangeServer() : context_(zmq_ctx_new()), socket_(zmq_socket(context_, ZMQ_ROUTER)) {
    constexpr int kNow = 0;
    zmq_setsockopt(socket_, ZMQ_LINGER, &kNow, sizeof kNow);
    zmq_bind(socket_, kAnywhere);
    char text[256];
    std::size_t size = sizeof text;
    zmq_getsockopt(socket_, ZMQ_LAST_ENDPOINT, text, &size);
    endpoint_ = text;
  }
  ~StrangeServer() {
    Die();
    zmq_ctx_term(context_);
  }
  StrangeServer(const StrangeServer&) = delete;
  StrangeServer& operator=(const StrangeServer&) = delete;
  void Die() {
    if (socket_ != nullptr) zmq_close(std::exchange(socket_, nullptr));
  }
  struct Request {
    std::vector<std::string> frames;  // caller, message
    std::string to;
    std::string reply_to;
    std::string body;
  };
  // The next request: not what callers say beside them.
  Request Next() {
    for (;;) {
      Request request;
      int more = 1;
      while (more != 0) {
        zmq_msg_t part;
        zmq_msg_init(&part);
        EXPECT_GE(zmq_msg_recv(&part, socket_, 0), 0);
        request.frames.emplace_back(static_cast<char*>(zmq_msg_data(&part)), zmq_msg_size(&part));
        more = zmq_msg_more(&part);
        zmq_msg_close(&part);
      }
      zeromq_adapter::Header header;
      InboundMessage fields;
      EXPECT_EQ(request.frames.size(), 2U);
      EXPECT_TRUE(zeromq_adapter::DecodeMessage(request.frames[1], &header, &fields).ok());
      request.to = header.to;
      request.reply_to = header.reply_to;
      request.body = fields.body;
      if (!request.to.starts_with('!')) return request;
    }
  }
  void Send(const std::string& caller, std::string_view to, const OutboundMessage& message) {
    std::string frame;
    EXPECT_TRUE(zeromq_adapter::EncodeMessage(message, to, "", &frame).ok());
    zmq_send(socket_, caller.data(), caller.size(), ZMQ_SNDMORE);
    zmq_send(socket_, frame.data(), frame.size(), 0);
  }
  void SendRaw(const std::vector<std::string>& frames) {
    for (std::size_t i = 0; i < frames.size(); ++i) {
      zmq_send(socket_, frames[i].data(), frames[i].size(),
               i + 1 == frames.size() ? 0 : ZMQ_SNDMORE);
    }
  }
  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }

 private:
  void* const context_;
  void* socket_;
  std::string endpoint_;
};

// ---- options

TEST(ZeroMqOptionsTest, AllFaultsAreToldAtOnceWithTheirMend) {
  ZeroMq options;
  options.address = "udp://x, tcp://nowhere, tcp://0.0.0.0:5555,tcp://127.0.0.1.example.com:1";
  options.high_water_mark = 0;
  options.heartbeat = milliseconds(0);
  const absl::Status status = CheckZeroMqOptions(options);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("udp://x"), HasSubstr("\"tcp://nowhere\" has no port"),
                    HasSubstr("\"tcp://0.0.0.0:5555\" is beyond this machine"),
                    HasSubstr("127.0.0.1.example.com"), HasSubstr("allow_plain_text"),
                    HasSubstr("high_water_mark"), HasSubstr("heartbeat")));
  EXPECT_TRUE(CheckZeroMqOptions(ZeroMq{.address = "tcp://[::1]:5,ipc:///tmp/x"}).ok());
  EXPECT_TRUE(
      CheckZeroMqOptions(ZeroMq{.address = "tcp://0.0.0.0:5555", .allow_plain_text = true}).ok());
}

TEST(ZeroMqOptionsTest, KeysAreChecked) {
  ZeroMq options;
  options.curve.emplace();
  options.curve->secret_key = "short";
  options.curve->allow = {{"no key", "orders"}};
  EXPECT_THAT(std::string(CheckZeroMqOptions(options).message()),
              AllOf(HasSubstr("curve.secret_key is no key"), HasSubstr("\"orders\" is no key"),
                    Not(HasSubstr("short"))));
  const ZeroMqKeys keys = NewZeroMqKeys().value();
  options.curve = ZeroMqCurve{.secret_key = keys.secret_key};
  EXPECT_TRUE(CheckZeroMqOptions(options).ok());
  // Each side needs something that the other does not.
  try {
    static_cast<void>(MakeChannel(options));
    FAIL();
  } catch (const RpcException& error) {
    EXPECT_THAT(std::string(error.status().message()), HasSubstr("curve.server_key"));
  }
  try {
    const ZeroMqNode node(options);
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_THAT(error.what(), HasSubstr("curve.allow is empty"));
  }
}

TEST(ZeroMqOptionsTest, PlainTextBeyondThisMachineIsRefused) {
  try {
    const ZeroMqNode node(ZeroMq{.address = "tcp://0.0.0.0:*"});
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_THAT(error.what(), HasSubstr("allow_plain_text"));
  }
  try {
    static_cast<void>(MakeChannel(ZeroMq{.address = "tcp://192.0.2.1:5555"}));
    FAIL();
  } catch (const RpcException& error) {
    EXPECT_EQ(error.status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(ZeroMqOptionsTest, AnAddressInUseIsToldWithWhatToDo) {
  const ZeroMqNode first(ZeroMq{.address = kAnywhere});
  try {
    const ZeroMqNode second(ZeroMq{.address = first.endpoint()});
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr(first.endpoint()), HasSubstr("in use")));
  }
}

// ---- several servers

TEST(ZeroMqTest, ServersShareTheCalls) {
  ZeroMqNode nodes[3] = {ZeroMqNode(ZeroMq{.address = kAnywhere}),
                         ZeroMqNode(ZeroMq{.address = kAnywhere}),
                         ZeroMqNode(ZeroMq{.address = kAnywhere})};
  EchoClient client(MakeChannel(ZeroMqQuick(
      absl::StrCat(nodes[0].endpoint(), ",", nodes[1].endpoint(), ",", nodes[2].endpoint()))));
  // Until all three are connected.
  ASSERT_TRUE(ZeroMqEventually([&] {
    EXPECT_TRUE(ZeroMqCall(client).ok());
    return nodes[0].state().calls > 0 && nodes[1].state().calls > 0 && nodes[2].state().calls > 0;
  }));
  const int before = nodes[1].state().calls;
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(ZeroMqCall(client).ok());
  EXPECT_EQ(nodes[1].state().calls - before, 10);
}

TEST(ZeroMqTest, CallsOfADeadServerFailAtOnceAndTheOthersTakeItsPlace) {
  ZeroMqNode node(ZeroMq{.address = kAnywhere});
  StrangeServer silent;
  EchoClient client(
      MakeChannel(ZeroMqQuick(absl::StrCat(node.endpoint(), ",", silent.endpoint()))));
  while (node.state().calls == 0) ZeroMqCall(client, "x", milliseconds(50)).IgnoreError();
  // One of each few goes to the one that says nothing.
  std::atomic<int> ended{0};
  std::atomic<int> lost{0};
  std::vector<std::thread> threads;
  std::atomic<bool> asked{false};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (!asked) {
        const absl::Status status = ZeroMqCall(client, "now", milliseconds(600'000));
        if (!status.ok()) {
          EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
          EXPECT_THAT(std::string(status.message()), HasSubstr("was lost"));
          ++lost;
          break;
        }
      }
      ++ended;
    });
  }
  while (silent.Next().body != ZeroMqText("now").SerializeAsString()) {
  }
  asked = true;
  silent.Die();
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(lost, 1);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(ZeroMqCall(client).ok());
}

TEST(ZeroMqTest, ACallThatAServerDidNotReadIsMadeElsewhere) {
  ZeroMqNode node(ZeroMq{.address = kAnywhere});
  StrangeServer leaving;
  EchoClient client(
      MakeChannel(ZeroMqQuick(absl::StrCat(node.endpoint(), ",", leaving.endpoint()))));
  // Until the other one is there to take the call.
  while (node.state().calls == 0) ZeroMqCall(client, "x", milliseconds(50)).IgnoreError();
  std::atomic<bool> done{false};
  std::thread caller([&] {
    while (!done) {
      const absl::Status status = ZeroMqCall(client, "now");
      EXPECT_TRUE(status.ok()) << status;
    }
  });
  StrangeServer::Request request = leaving.Next();
  while (request.body != ZeroMqText("now").SerializeAsString()) request = leaving.Next();
  OutboundMessage refusal;
  AddStatus(absl::UnavailableError("leaving"), &refusal);
  refusal.Add(kUnreadHeader, "1");
  leaving.Send(request.frames[0], request.reply_to, refusal);
  const int before = node.state().calls;
  EXPECT_TRUE(ZeroMqEventually([&] { return node.state().calls > before + 5; }));
  done = true;
  caller.join();
}

TEST(ZeroMqTest, AServerThatLeavesFinishesItsCallsAndLosesNone) {
  auto leaving = std::make_unique<ZeroMqNode>(ZeroMq{.address = kAnywhere});
  ZeroMqNode staying(ZeroMq{.address = kAnywhere});
  EchoClient client(
      MakeChannel(ZeroMqQuick(absl::StrCat(leaving->endpoint(), ",", staying.endpoint()))));
  ASSERT_TRUE(ZeroMqEventually([&] {
    EXPECT_TRUE(ZeroMqCall(client).ok());
    return leaving->state().calls > 0 && staying.state().calls > 0;
  }));
  std::atomic<bool> done{false};
  std::atomic<int> failed{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 2; ++i) {
    callers.emplace_back([&] {
      while (!done) {
        const absl::Status status = ZeroMqCall(client);
        EXPECT_TRUE(status.ok()) << status;
        if (!status.ok()) ++failed;
      }
    });
  }
  leaving.reset();
  const int before = staying.state().calls;
  EXPECT_TRUE(ZeroMqEventually([&] { return staying.state().calls > before + 20; }));
  done = true;
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(failed, 0);
}

TEST(ZeroMqTest, AServerThatComesBackIsCalledAgain) {
  auto node = std::make_unique<ZeroMqNode>(ZeroMq{.address = kAnywhere});
  const std::string endpoint = node->endpoint();
  const std::shared_ptr<Channel> channel = MakeChannel(ZeroMqQuick(endpoint));
  EchoClient client(channel);
  ASSERT_TRUE(ZeroMqCall(client).ok());
  EXPECT_EQ(channel->state(), ConnectionState::kReady);
  node.reset();
  EXPECT_TRUE(
      ZeroMqEventually([&] { return channel->state() == ConnectionState::kTransientFailure; }));
  EXPECT_EQ(ZeroMqCall(client).code(), absl::StatusCode::kUnavailable);
  // One that waits for it.
  std::thread patient([&] {
    CallOptions options;
    options.timeout = milliseconds(60'000);
    options.wait_for_ready = true;
    EXPECT_TRUE(SyncWaitStatus(client.Say(ZeroMqText("x"), std::move(options))).ok());
  });
  node = std::make_unique<ZeroMqNode>(ZeroMq{.address = endpoint});
  patient.join();
  EXPECT_TRUE(ZeroMqEventually([&] { return ZeroMqCall(client).ok(); }));
}

TEST(ZeroMqTest, WhatAServerShouldNotSayIsDroppedAndItsAnswerCounts) {
  StrangeServer server;
  EchoClient client(MakeChannel(ZeroMqQuick(server.endpoint())));
  absl::StatusOr<EchoReply> reply = absl::UnknownError("none yet");
  std::thread caller([&] {
    CallOptions options;
    options.timeout = milliseconds(60'000);
    reply = SyncWaitStatus(client.Say(ZeroMqText("x"), std::move(options)));
  });
  const StrangeServer::Request request = server.Next();
  const std::string& us = request.frames[0];
  const OutboundMessage empty;
  server.SendRaw({us, ""});
  server.SendRaw({us, "\x02 no header"});
  server.SendRaw({us, std::string("\x02\0\0\0\0\0\0", 7), "and one more"});
  server.SendRaw({us, std::string("\x02\xff\xff\0\0\0\0", 7), "", "and two more"});
  server.Send(us, "", empty);
  server.Send(us, "/rookery.testing.Echo/Say", empty);
  server.Send(us, "@ffffffffffffffffffff", empty);
  server.Send(us, "@abc", empty);
  EchoReply good;
  good.set_text("good");
  const std::string body = good.SerializeAsString();
  OutboundMessage answer;
  answer.body = body;
  server.Send(us, request.reply_to, answer);
  caller.join();
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->text(), "good");
}

TEST(ZeroMqTest, AServerOfAnotherVersionIsToldOf) {
  StrangeServer server;
  EchoClient client(MakeChannel(ZeroMqQuick(server.endpoint())));
  absl::Status status;
  std::thread caller([&] { status = ZeroMqCall(client); });
  const StrangeServer::Request request = server.Next();
  server.SendRaw({request.frames[0], "\x07 another version"});
  caller.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("another version"));
  EXPECT_EQ(ZeroMqCall(client).code(), absl::StatusCode::kUnimplemented);
}

// The answer to a call is its own server's alone to give.
TEST(ZeroMqTest, AServerCannotAnswerForAnother) {
  ZeroMqNode node(ZeroMq{.address = kAnywhere});
  StrangeServer liar;
  EchoClient client(MakeChannel(ZeroMqQuick(absl::StrCat(node.endpoint(), ",", liar.endpoint()))));
  std::atomic<bool> done{false};
  std::thread caller([&] {
    while (!done) static_cast<void>(ZeroMqCall(client, "x", milliseconds(500)));
  });
  const std::string us = liar.Next().frames[0];
  done = true;
  caller.join();
  std::thread waiting([&] {
    for (;;) {
      // One that is with the node: it says "wait".
      CallOptions options;
      options.timeout = milliseconds(400);
      auto reply = SyncWaitStatus(client.Say(ZeroMqText("wait"), std::move(options)));
      if (reply.ok()) {
        EXPECT_NE(reply->text(), "a lie");
        break;
      }
    }
  });
  ASSERT_TRUE(ZeroMqEventually([&] { return node.state().running > 0; }));
  EchoReply lie;
  lie.set_text("a lie");
  const std::string body = lie.SerializeAsString();
  for (std::uint64_t generation = 1; generation < 200; ++generation) {
    OutboundMessage answer;
    answer.body = body;
    liar.Send(us, zeromq_adapter::FormatId(generation << 32), answer);
  }
  node.state().release.Set();
  waiting.join();
}

// ---- CURVE

struct CurvePair {
  CurvePair() {
    server.address = kAnywhere;
    server.curve.emplace();
    server.curve->secret_key = server_keys.secret_key;
    server.curve->allow = {{client_keys.public_key, "billing"}};
  }
  ZeroMq Client(const std::string& address) const {
    ZeroMq client = ZeroMqQuick(address);
    client.connect_timeout = milliseconds(300);
    client.curve.emplace();
    client.curve->secret_key = client_keys.secret_key;
    client.curve->server_key = server_keys.public_key;
    return client;
  }
  const ZeroMqKeys server_keys = NewZeroMqKeys().value();
  const ZeroMqKeys client_keys = NewZeroMqKeys().value();
  ZeroMq server;
};

TEST(ZeroMqCurveTest, TheKeyIsTheCallersIdentity) {
  const CurvePair pair;
  ZeroMqNode node(pair.server);
  EchoClient client(MakeChannel(pair.Client(node.endpoint())));
  ASSERT_TRUE(ZeroMqEventually([&] { return ZeroMqCall(client).ok(); }));
  const std::scoped_lock lock(node.state().mutex);
  EXPECT_TRUE(node.state().peer.authenticated);
  EXPECT_EQ(node.state().peer.identity, "billing");
  EXPECT_THAT(node.state().peer.address, HasSubstr("127.0.0.1"));
}

TEST(ZeroMqCurveTest, PlainTextGivesNoIdentity) {
  ZeroMqNode node(ZeroMq{.address = kAnywhere});
  EchoClient client(MakeChannel(ZeroMqQuick(node.endpoint())));
  ASSERT_TRUE(ZeroMqCall(client).ok());
  const std::scoped_lock lock(node.state().mutex);
  EXPECT_FALSE(node.state().peer.authenticated);
  EXPECT_EQ(node.state().peer.identity, "");
}

TEST(ZeroMqCurveTest, WhoeverIsNotInTheListDoesNotGetIn) {
  const CurvePair pair;
  ZeroMqNode node(pair.server);
  ZeroMq stranger = pair.Client(node.endpoint());
  stranger.curve->secret_key = "";  // a new key
  const std::shared_ptr<Channel> channel = MakeChannel(stranger);
  EchoClient client(channel);
  EXPECT_TRUE(ZeroMqEventually(
      [&] { return ZeroMqCall(client).code() == absl::StatusCode::kUnauthenticated; }));
  EXPECT_TRUE(ZeroMqEventually([&] { return node.Logged("ZeroMqCurve::allow"); }));
  EXPECT_GE(node.rejected(), 1U);
  EXPECT_EQ(node.state().calls, 0);
  EchoClient good(MakeChannel(pair.Client(node.endpoint())));
  EXPECT_TRUE(ZeroMqEventually([&] { return ZeroMqCall(good).ok(); }));
}

TEST(ZeroMqCurveTest, AnyKeyIsLetInWhereThatWasAskedForAndIsNobody) {
  CurvePair pair;
  pair.server.curve->allow_any = true;
  ZeroMqNode node(pair.server);
  ZeroMq stranger = pair.Client(node.endpoint());
  stranger.curve->secret_key = "";
  EchoClient client(MakeChannel(stranger));
  ASSERT_TRUE(ZeroMqEventually([&] { return ZeroMqCall(client).ok(); }));
  const std::scoped_lock lock(node.state().mutex);
  EXPECT_FALSE(node.state().peer.authenticated);
}

TEST(ZeroMqCurveTest, AServerWithAnotherKeyIsNotTheServer) {
  const CurvePair pair;
  ZeroMqNode node(pair.server);
  ZeroMq misled = pair.Client(node.endpoint());
  misled.curve->server_key = NewZeroMqKeys().value().public_key;
  EchoClient client(MakeChannel(misled));
  EXPECT_EQ(ZeroMqCall(client).code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(ZeroMqEventually([&] { return node.rejected() >= 1; }));
  EXPECT_EQ(node.state().calls, 0);
}

TEST(ZeroMqCurveTest, PlainTextAndCurveDoNotMeet) {
  const CurvePair pair;
  ZeroMqNode secure(pair.server);
  ZeroMqNode plain(ZeroMq{.address = kAnywhere});
  ZeroMq open = ZeroMqQuick(secure.endpoint());
  open.connect_timeout = milliseconds(300);
  EchoClient to_secure(MakeChannel(open));
  EXPECT_EQ(ZeroMqCall(to_secure).code(), absl::StatusCode::kUnavailable);
  EchoClient to_plain(MakeChannel(pair.Client(plain.endpoint())));
  EXPECT_EQ(ZeroMqCall(to_plain).code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(ZeroMqEventually([&] { return secure.rejected() >= 1 && plain.rejected() >= 1; }));
  EXPECT_EQ(secure.state().calls + plain.state().calls, 0);
}

}  // namespace
}  // namespace rookery::testing
