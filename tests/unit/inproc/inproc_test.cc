#include "rookery/transports/inproc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "echo.rookery.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/sync_wait.h"
#include "unit/pipeline/harness.h"

namespace rookery::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

class Parrot final : public EchoService {
 public:
  explicit Parrot(std::string prefix) : prefix_(std::move(prefix)) {}
  Task<EchoReply> Say(CallContext& call, const EchoRequest& request) override {
    EchoReply reply;
    reply.set_text(prefix_ + request.text() + "@" + call.peer().address);
    co_return reply;
  }
  Stream<EchoReply> Repeat(CallContext& /*call*/, const EchoRequest& request) override {
    for (int i = 0; i < request.count(); ++i) {
      EchoReply reply;
      reply.set_index(i);
      co_yield std::move(reply);
    }
  }
  Task<EchoReply> Join(CallContext& /*call*/, Stream<EchoRequest> requests) override {
    EchoReply reply;
    for (;;) {
      std::optional<EchoRequest> request = co_await requests.Next();
      if (!request) break;
      reply.set_text(reply.text() + request->text());
    }
    co_return reply;
  }
  Stream<EchoReply> Chat(CallContext& /*call*/, Stream<EchoRequest> requests) override {
    for (;;) {
      std::optional<EchoRequest> request = co_await requests.Next();
      if (!request) break;
      EchoReply reply;
      reply.set_text(request->text());
      co_yield std::move(reply);
    }
  }
  Task<void> OnSaid(CallContext& /*call*/, const EchoRequest& /*event*/) override { co_return; }
  Task<EchoReply> SayAgain(CallContext& call, const EchoRequest& request) override {
    return Say(call, request);
  }

 private:
  const std::string prefix_;
};

// An application as far as a transport sees it.
class Host final : public TransportHost {
 public:
  explicit Host(std::string prefix) { harness_.Add(std::make_shared<Parrot>(std::move(prefix))); }
  const HandlerRegistry& handlers() const override { return harness_.registry(); }
  LoopPool& loops() override { return loops_; }
  bool ready() const noexcept override { return true; }

 private:
  mutable Harness harness_;
  LoopPool loops_;
};

EchoRequest Text(std::string text) {
  EchoRequest request;
  request.set_text(std::move(text));
  return request;
}

InProcess Named(std::string name) {
  InProcess options;
  options.name = std::move(name);
  return options;
}

TEST(InProcessTest, ReachesTheHostItselfWithoutAName) {
  Host host("me:");
  EchoClient client(MakeChannel(InProcess(), host));
  EXPECT_EQ(SyncWait(client.Say(Text("hi"))).text(), "me:hi@inproc");
}

TEST(InProcessTest, ReachesAnotherByName) {
  Host one("one:");
  Host two("two:");
  const auto server_one = MakeServerTransport(Named("one"));
  const auto server_two = MakeServerTransport(Named("two"));
  ASSERT_TRUE(server_one->Start(one).ok());
  ASSERT_TRUE(server_two->Start(two).ok());
  EXPECT_EQ(server_two->endpoint(), "inproc:two");
  EchoClient client(MakeChannel(Named("two"), one));
  EXPECT_EQ(SyncWait(client.Say(Text("hi"))).text(), "two:hi@inproc:two");
  EXPECT_EQ(client.channel()->state(), ConnectionState::kReady);
}

TEST(InProcessTest, ANameIsForOneAtATime) {
  Host host("x:");
  const auto first = MakeServerTransport(Named("taken"));
  ASSERT_TRUE(first->Start(host).ok());
  const absl::Status second = MakeServerTransport(Named("taken"))->Start(host);
  EXPECT_EQ(second.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(second.message()), HasSubstr("another name"));
  first->Stop();
  EXPECT_TRUE(MakeServerTransport(Named("taken"))->Start(host).ok());
  EXPECT_EQ(MakeServerTransport(InProcess())->Start(host).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(InProcessTest, UnavailableUntilSomebodyListens) {
  Host host("late:");
  EchoClient client(MakeChannel(Named("later")));
  const auto refused = SyncWaitStatus(client.Say(Text("hi")));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("\"later\""));

  const auto server = MakeServerTransport(Named("later"));
  std::thread starter([&] {
    std::this_thread::sleep_for(milliseconds(10));
    ASSERT_TRUE(server->Start(host).ok());
  });
  CallOptions waits;
  waits.wait_for_ready = true;
  EXPECT_EQ(SyncWait(client.Say(Text("hi"), waits)).text(), "late:hi@inproc:later");
  starter.join();

  server->StopIntake();
  EXPECT_EQ(SyncWaitStatus(client.Say(Text("hi"))).status().code(), absl::StatusCode::kUnavailable);
  CallOptions brief;
  brief.wait_for_ready = true;
  brief.timeout = milliseconds(5);
  EXPECT_EQ(SyncWaitStatus(client.Say(Text("hi"), brief)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
}

Stream<EchoRequest> Letters() {
  for (const char* letter : {"a", "b", "c"}) {
    EchoRequest request = Text(letter);
    co_yield std::move(request);
  }
}

TEST(InProcessTest, StreamsWaitForTheNameToo) {
  Host host("");
  const auto server = MakeServerTransport(Named("stream"));
  EchoClient client(MakeChannel(Named("stream")));
  std::thread starter([&] {
    std::this_thread::sleep_for(milliseconds(10));
    ASSERT_TRUE(server->Start(host).ok());
  });
  CallOptions waits;
  waits.wait_for_ready = true;
  EXPECT_EQ(SyncWait(client.Join(Letters(), waits)).text(), "abc");
  starter.join();
  EXPECT_EQ(SyncWait(client.Join(Letters())).text(), "abc");
}

TEST(InProcessTest, AClosedChannelCallsNobody) {
  Host host("x:");
  EchoClient client(MakeChannel(InProcess(), host));
  client.channel()->Close();
  EXPECT_EQ(SyncWaitStatus(client.Say(Text("hi"))).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(client.channel()->state(), ConnectionState::kShutdown);
}

}  // namespace
}  // namespace rookery::testing
