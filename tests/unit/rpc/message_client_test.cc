// MessageClient and MessageServer against each other, over a carrier that loses, repeats and
// reorders; and each against messages that nobody should send.
#include "rookery/rpc/message_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "echo.rookery.h"
#include "rookery/platform/cls.h"
#include "rookery/rpc/status.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/queue.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/runtime/when.h"
#include "unit/pipeline/harness.h"
#include "unit/rpc/memory_carrier.h"

namespace rookery::testing {
namespace {

using std::chrono::milliseconds;
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

Task<void> WaitFor(Event& event) { co_await event.Wait(); }

struct Presence {
  explicit Presence(std::atomic<int>& c) : count(c) { ++count; }
  Presence(const Presence&) = delete;
  ~Presence() { --count; }
  std::atomic<int>& count;
};

class Controller final : public EchoService {
 public:
  std::atomic<int> said{0};
  std::atomic<int> running{0};
  std::atomic<int> produced{0};
  std::atomic<int> events{0};
  std::atomic<int> cancelled_code{0};
  std::atomic<bool> saw_deadline{false};
  Event release;

  Task<EchoReply> Say(CallContext& call, const EchoRequest& request) override {
    const Presence presence(running);
    ++said;
    saw_deadline = call.deadline() != kNoDeadline;
    if (const auto sent = call.metadata().Get("x-echo")) {
      call.response_headers().Add("x-echo", *sent).IgnoreError();
      call.response_trailers().Add("x-trail-bin", std::string("\0\1", 2)).IgnoreError();
    }
    if (request.text() == "wait") {
      absl::Status waited = co_await AsStatusOr(WaitFor(release));
      if (!waited.ok()) {
        cancelled_code = static_cast<int>(waited.code());
        co_return waited;
      }
    }
    if (request.fail_code() != 0) {
      absl::Status status(static_cast<absl::StatusCode>(request.fail_code()),
                          request.fail_message());
      co_return WithDetails(std::move(status), request);
    }
    EchoReply reply;
    reply.set_text(request.text());
    co_return reply;
  }
  Task<EchoReply> SayAgain(CallContext& call, const EchoRequest& request) override {
    return Say(call, request);
  }
  Stream<EchoReply> Repeat(CallContext&, const EchoRequest& request) override {
    const Presence presence(running);
    for (int i = 0; i < request.count(); ++i) {
      EchoReply reply;
      reply.set_text(request.text());
      reply.set_index(i);
      reply.set_payload(std::string(static_cast<std::size_t>(request.reply_bytes()), 'x'));
      ++produced;
      co_yield std::move(reply);
    }
    if (request.text() == "wait") co_await release.Wait();
    if (request.fail_code() != 0) {
      co_await Fail(
          absl::Status(static_cast<absl::StatusCode>(request.fail_code()), request.fail_message()));
    }
  }
  Task<EchoReply> Join(CallContext&, Stream<EchoRequest> requests) override {
    const Presence presence(running);
    EchoReply reply;
    for (;;) {
      std::optional<EchoRequest> request;
      absl::Status failure;
      try {
        request = co_await requests.Next();
      } catch (const RpcException& error) {
        failure = error.status();
      }
      if (!failure.ok()) {
        cancelled_code = static_cast<int>(failure.code());
        co_return failure;
      }
      if (!request) break;
      if (request->text() == "wait") co_await release.Wait();
      reply.set_text(reply.text() + request->text());
      reply.set_index(reply.index() + 1);
    }
    co_return reply;
  }
  Stream<EchoReply> Chat(CallContext&, Stream<EchoRequest> requests) override {
    const Presence presence(running);
    for (;;) {
      std::optional<EchoRequest> request = co_await requests.Next();
      if (!request) break;
      EchoReply reply;
      reply.set_text(request->text());
      co_yield std::move(reply);
    }
  }
  Task<void> OnSaid(CallContext&, const EchoRequest&) override {
    ++events;
    co_return;
  }
};

class MessageEngineTest : public ::testing::Test {
 protected:
  MessageEngineTest() { harness_.Add(controller_); }
  ~MessageEngineTest() override {
    controller_->release.Set();
    // Handlers of calls that were given up are told so, and end; whatever is on its way then would
    // be lost with the loops.
    if (carrier_ != nullptr) {
      EXPECT_TRUE(Idle());
    }
    carrier_.reset();
  }
  MemoryCarrier& carrier() {
    if (carrier_ == nullptr) {
      carrier_ =
          std::make_unique<MemoryCarrier>(harness_.registry(), server_options_, client_options_);
    }
    return *carrier_;
  }
  EchoClient client() { return EchoClient(carrier().channel()); }
  std::uint64_t rejected() { return harness_.stats.Snapshot().total_rejected(); }
  // A plain request as somebody else may send it; the status of the answer.
  Packet Ask(const std::string& to, std::vector<std::pair<std::string, std::string>> fields,
             std::string body) {
    Packet packet;
    packet.to = to;
    packet.reply_to = absl::StrCat("nobody/", ++asked_);
    packet.fields = std::move(fields);
    packet.body = std::move(body);
    const std::string address = packet.reply_to;
    carrier().Inject(std::move(packet));
    Packet answer;
    EXPECT_TRUE(Eventually([&] {
      for (const Packet& sent : carrier().sent()) {
        if (sent.to == address) {
          answer = sent;
          return true;
        }
      }
      return false;
    }));
    return answer;
  }
  bool Idle() {
    return Eventually([&] { return carrier().server().in_flight() == 0; }) &&
           Eventually([&] { return carrier().client().in_flight() == 0; });
  }

  std::shared_ptr<Controller> controller_ = std::make_shared<Controller>();
  Harness harness_;
  MessageServer::Options server_options_;
  MessageClient::Options client_options_;
  int asked_ = 0;
  std::unique_ptr<MemoryCarrier> carrier_;
};

Task<int> ReadAll(Stream<EchoReply> replies) {
  int count = 0;
  for (;;) {
    std::optional<EchoReply> reply = co_await replies.Next();
    if (!reply) break;
    if (reply->index() != count) co_return absl::DataLossError("out of order");
    ++count;
  }
  co_return count;
}

Stream<EchoRequest> Texts(int count) {
  for (int i = 0; i < count; ++i) {
    EchoRequest request = Text(std::to_string(i % 10));
    co_yield std::move(request);
  }
}

EchoRequest Repeat(int count, int bytes = 0) {
  EchoRequest request = Text("r");
  request.set_count(count);
  request.set_reply_bytes(bytes);
  return request;
}

TEST_F(MessageEngineTest, UnaryCallsAreOneMessageEachWay) {
  CallInfo info;
  CallOptions options;
  options.info = &info;
  options.timeout = std::chrono::seconds(50);
  ASSERT_TRUE(options.metadata.Add("x-echo", "here").ok());
  const EchoReply reply = SyncWait(client().Say(Text("hello"), std::move(options)));
  EXPECT_EQ(reply.text(), "hello");
  EXPECT_TRUE(controller_->saw_deadline);
  EXPECT_EQ(info.headers.Get("x-echo"), "here");
  EXPECT_EQ(info.trailers.Get("x-trail-bin"), std::string_view("\0\1", 2));
  EXPECT_EQ(carrier().sent().size(), 2U);
  EXPECT_EQ(carrier().sent()[0].Header("rookery"), "1 call");
  EXPECT_TRUE(Idle());
}

TEST_F(MessageEngineTest, AnAnswerWithoutMetadataHasNoHeaders) {
  (void)SyncWait(client().Say(Text("hello")));
  EXPECT_TRUE(carrier().sent().back().fields.empty());
}

TEST_F(MessageEngineTest, StatusAndDetailsComeBack) {
  EchoRequest request = Text("fail");
  request.set_fail_code(9);
  request.set_fail_message("not yet: 100%");
  const absl::Status status = SyncWaitStatus(client().Say(request)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(), "not yet: 100%");
  const auto detail = GetDetail<EchoRequest>(status);
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->text(), "fail");
}

TEST_F(MessageEngineTest, JsonIsAnsweredInJson) {
  client_options_.codec = WireCodec::kJson;
  EXPECT_EQ(SyncWait(client().Say(Text("hello"))).text(), "hello");
  EXPECT_EQ(carrier().sent()[0].body, R"({"text":"hello"})");
  EXPECT_EQ(carrier().sent()[1].body, R"({"text":"hello"})");
  EXPECT_EQ(SyncWait(ReadAll(client().Repeat(Repeat(5)))), 5);
  EXPECT_EQ(SyncWait(client().Join(Texts(5))).text(), "01234");
}

TEST_F(MessageEngineTest, StrangersNeedNoHeaders) {
  EXPECT_EQ(Ask("m/rookery.testing.Echo/Say", {}, Text("hi").SerializeAsString()).body,
            Text("hi").SerializeAsString());
  const Packet json = Ask("m/rookery.testing.Echo/Say", {{"Content-Type", "application/json"}},
                          R"({"text": "hi"})");
  EXPECT_EQ(json.body, R"({"text":"hi"})");
  EXPECT_EQ(json.Header("content-type"), "application/json");
}

TEST_F(MessageEngineTest, OneAddressMayServeManyCallsOfStrangers) {
  // Both wait at the same time; neither is taken for the other's repetition.
  for (int i = 0; i < 2; ++i) {
    Packet packet;
    packet.to = "m/rookery.testing.Echo/Say";
    packet.reply_to = "nobody";
    packet.body = Text("wait").SerializeAsString();
    carrier().Inject(std::move(packet));
  }
  EXPECT_TRUE(Eventually([&] { return controller_->running == 2; }));
  controller_->release.Set();
  EXPECT_TRUE(Idle());
}

TEST_F(MessageEngineTest, RefusesWhatItCannotServeAndCountsIt) {
  const std::string say = "m/rookery.testing.Echo/Say";
  const std::string repeat = "m/rookery.testing.Echo/Repeat";
  using Fields = std::vector<std::pair<std::string, std::string>>;
  struct Case {
    std::string to;
    Fields fields;
    std::string body;
    absl::StatusCode code;
  };
  server_options_.max_receive_bytes = 1'000;
  const std::vector<Case> cases = {
      {"m/no.Such/Thing", {}, "", absl::StatusCode::kUnimplemented},
      {say, {{"rookery", "2 call"}}, "", absl::StatusCode::kUnimplemented},
      {say, {{"rookery", "what?"}}, "", absl::StatusCode::kInvalidArgument},
      {say, {{"rookery", "1 data seq=0"}}, "", absl::StatusCode::kInvalidArgument},
      {say, {{"rookery", "1 open"}}, "", absl::StatusCode::kUnimplemented},
      {repeat, {}, "", absl::StatusCode::kUnimplemented},
      {say, {{"content-type", "text/plain"}}, "", absl::StatusCode::kInvalidArgument},
      {say, {{"grpc-timeout", "soon"}}, "", absl::StatusCode::kInvalidArgument},
      {say, {}, "\xff\xff\xff", absl::StatusCode::kInvalidArgument},
      {say, {{"content-type", "application/json"}}, "{", absl::StatusCode::kInvalidArgument},
      {say, {}, std::string(2'000, 'x'), absl::StatusCode::kResourceExhausted},
      {say, {{"x-big", std::string(10'000, 'x')}}, "", absl::StatusCode::kResourceExhausted},
      {repeat, {{"rookery", "1 open credit=1"}}, "\xff", absl::StatusCode::kInvalidArgument},
  };
  for (const Case& each : cases) {
    const Packet answer = Ask(each.to, each.fields, each.body);
    EXPECT_EQ(answer.Header("grpc-status"), std::to_string(static_cast<int>(each.code)))
        << answer.Header("grpc-message");
    EXPECT_FALSE(answer.Header("grpc-message").empty());
  }
  EXPECT_EQ(rejected(), cases.size());
  EXPECT_EQ(controller_->said, 0);
  EXPECT_EQ(SyncWait(client().Say(Text("still there"))).text(), "still there");
  EXPECT_TRUE(Idle());
}

TEST_F(MessageEngineTest, NonsenseToAddressesDoesNoHarm) {
  for (const char* to : {"s/0", "s/1", "s/99999", "c/0", "c/4294967377", "c/1"}) {
    for (const char* frame : {"", "1 data seq=5", "1 end seq=0", "1 cancel", "9 x", "1 ping"}) {
      Packet packet;
      packet.to = to;
      packet.fields = {{"rookery", frame}};
      carrier().Inject(std::move(packet));
    }
  }
  EXPECT_EQ(SyncWait(client().Say(Text("fine"))).text(), "fine");
}

TEST_F(MessageEngineTest, TooManyCallsAreRefused) {
  server_options_.max_concurrent_calls = 1;
  Packet packet;
  packet.to = "m/rookery.testing.Echo/Say";
  packet.reply_to = "nobody";
  packet.body = Text("wait").SerializeAsString();
  carrier().Inject(std::move(packet));
  EXPECT_TRUE(Eventually([&] { return controller_->running == 1; }));
  EXPECT_EQ(SyncWaitStatus(client().Say(Text("x"))).status().code(),
            absl::StatusCode::kResourceExhausted);
  controller_->release.Set();
  EXPECT_TRUE(Idle());
}

TEST_F(MessageEngineTest, TheCallerIsAnsweredAtTheDeadline) {
  CallOptions options;
  options.timeout = milliseconds(50);
  carrier().set_fate([](const Packet&) { return Fate::kDrop; });
  EXPECT_EQ(SyncWaitStatus(client().Say(Text("lost"), std::move(options))).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  CallOptions again;
  again.timeout = milliseconds(50);
  EXPECT_EQ(SyncWaitStatus(ReadAll(client().Repeat(Repeat(1), std::move(again)))).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(Idle());
}

TEST_F(MessageEngineTest, TheHandlerHearsOfTheDeadline) {
  CallOptions options;
  options.timeout = milliseconds(200);
  EXPECT_EQ(SyncWaitStatus(client().Say(Text("wait"), std::move(options))).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(Eventually([&] { return controller_->running == 0; }));
  EXPECT_TRUE(Idle());
}

TEST_F(MessageEngineTest, ACancellationReachesTheHandlerAndNoReplyIsSent) {
  CancelSource source;
  CallOptions options;
  options.cancel = source.token();
  EchoClient caller = client();
  std::thread canceller([&] {
    EXPECT_TRUE(Eventually([&] { return controller_->running == 1; }));
    source.Cancel(absl::AbortedError("enough"));
  });
  EXPECT_EQ(SyncWaitStatus(caller.Say(Text("wait"), std::move(options))).status().code(),
            absl::StatusCode::kAborted);
  canceller.join();
  EXPECT_TRUE(Idle());
  EXPECT_EQ(controller_->cancelled_code, static_cast<int>(absl::StatusCode::kAborted));
  for (const Packet& sent : carrier().sent()) EXPECT_NE(sent.to.front(), 'c') << sent.Kind();
}

TEST_F(MessageEngineTest, ARequestThatComesTwiceIsServedOnceWhileItRuns) {
  carrier().set_fate([](const Packet& packet) {
    return packet.to.front() == 'm' ? Fate::kTwice : Fate::kDeliver;
  });
  std::thread releaser([&] {
    EXPECT_TRUE(Eventually([&] { return controller_->running == 1; }));
    carrier().OnServer([] {});  // the second one has come as well
    controller_->release.Set();
  });
  EXPECT_EQ(SyncWait(client().Say(Text("wait"))).text(), "wait");
  releaser.join();
  EXPECT_EQ(controller_->said, 1);
}

TEST_F(MessageEngineTest, AReplyThatComesTwiceIsTakenOnce) {
  carrier().set_fate([](const Packet&) { return Fate::kTwice; });
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(SyncWait(client().Say(Text(std::to_string(i)))).text(), std::to_string(i));
  }
  EXPECT_TRUE(Eventually([&] { return carrier().client().late_replies() >= 20; }));
}

TEST_F(MessageEngineTest, NobodyThereIsKnownAtOnce) {
  std::vector<std::thread> tellers;
  carrier().set_fate([&](const Packet& packet) {
    if (packet.to.front() != 'm') return Fate::kDeliver;
    const std::uint64_t id = std::strtoull(packet.reply_to.c_str() + 2, nullptr, 10);
    tellers.emplace_back([inbox = carrier().client().inbox(), id] { inbox.OnUnreachable(id); });
    return Fate::kDrop;
  });
  EXPECT_EQ(SyncWaitStatus(client().Say(Text("x"))).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(SyncWaitStatus(ReadAll(client().Repeat(Repeat(1)))).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_TRUE(Idle());
  for (std::thread& teller : tellers) teller.join();
}

TEST_F(MessageEngineTest, WaitForReadyWaitsForAConnection) {
  carrier().set_reachable(false);
  EXPECT_EQ(SyncWaitStatus(client().Say(Text("x"))).status().code(),
            absl::StatusCode::kUnavailable);
  std::thread connector([&] {
    std::this_thread::sleep_for(milliseconds(50));
    carrier().set_reachable(true);
  });
  CallOptions options;
  options.wait_for_ready = true;
  EXPECT_EQ(SyncWait(client().Say(Text("x"), std::move(options))).text(), "x");
  connector.join();
  carrier().set_reachable(false);
  std::thread again([&] {
    std::this_thread::sleep_for(milliseconds(50));
    carrier().set_reachable(true);
  });
  CallOptions streaming;
  streaming.wait_for_ready = true;
  EXPECT_EQ(SyncWait(ReadAll(client().Repeat(Repeat(3), std::move(streaming)))), 3);
  again.join();
}

TEST_F(MessageEngineTest, ALostConnectionFailsWhatIsInFlight) {
  std::thread breaker([&] {
    EXPECT_TRUE(Eventually([&] { return controller_->running == 1; }));
    carrier().client().FailAll(absl::UnavailableError("the connection is gone"));
  });
  EXPECT_EQ(SyncWaitStatus(client().Say(Text("wait"))).status().code(),
            absl::StatusCode::kUnavailable);
  breaker.join();
}

TEST_F(MessageEngineTest, StreamsOfAllKinds) {
  for (const int count : {0, 1, 1'000}) {
    EXPECT_EQ(SyncWait(ReadAll(client().Repeat(Repeat(count)))), count);
    EXPECT_EQ(SyncWait(client().Join(Texts(count))).index(), count);
    const auto chat = [](Stream<EchoReply> replies) -> Task<int> {
      int read = 0;
      for (;;) {
        std::optional<EchoReply> reply = co_await replies.Next();
        if (!reply) break;
        ++read;
      }
      co_return read;
    };
    EXPECT_EQ(SyncWait(chat(client().Chat(Texts(count)))), count);
  }
  EXPECT_TRUE(Idle());
}

TEST_F(MessageEngineTest, AFailureComesAfterWhatWasProduced) {
  EchoRequest request = Repeat(7);
  request.set_fail_code(10);
  request.set_fail_message("half way");
  int read = 0;
  auto run = [&](Stream<EchoReply> replies) -> Task<void> {
    for (;;) {
      std::optional<EchoReply> reply = co_await replies.Next();
      if (!reply) break;
      ++read;
    }
  };
  const absl::Status status = SyncWaitStatus(run(client().Repeat(request)));
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(status.message(), "half way");
  EXPECT_EQ(read, 7);
}

TEST_F(MessageEngineTest, StreamsSurviveRepetitionAndReordering) {
  for (const unsigned seed : {1U, 2U, 3U, 4U, 5U}) {
    auto random = std::make_shared<std::mt19937>(seed);
    carrier().set_fate([random](const Packet& packet) {
      // The opening comes first, whatever happens: before it there is no stream.
      if (packet.to.front() == 'm') return Fate::kDeliver;
      switch ((*random)() % 4) {
        case 0:
          return Fate::kTwice;
        case 1:
          // The last word of all has nothing behind it to be late for.
          return packet.Kind() == "data" ? Fate::kLate : Fate::kDeliver;
        default:
          return Fate::kDeliver;
      }
    });
    EXPECT_EQ(SyncWait(ReadAll(client().Repeat(Repeat(300, 10)))), 300) << "seed " << seed;
    EXPECT_EQ(SyncWait(client().Join(Texts(300))).index(), 300) << "seed " << seed;
  }
  EXPECT_TRUE(Idle());
}

TEST_F(MessageEngineTest, ALostMessageOfAStreamIsALossAndNoGap) {
  client_options_.gap_timeout = milliseconds(50);
  server_options_.gap_timeout = milliseconds(50);
  carrier().set_fate([](const Packet& packet) {
    return packet.Kind() == "data" && packet.Header("rookery") == "1 data seq=3" ? Fate::kDrop
                                                                                 : Fate::kDeliver;
  });
  EXPECT_EQ(SyncWaitStatus(ReadAll(client().Repeat(Repeat(10)))).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(SyncWaitStatus(client().Join(Texts(10))).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(Idle());
}

TEST_F(MessageEngineTest, ASlowReaderStopsTheWriter) {
  client_options_.window_bytes = 100'000;
  constexpr int kCount = 1'000;
  auto read = [&](Stream<EchoReply> replies) -> Task<int> {
    std::optional<EchoReply> first = co_await replies.Next();
    EXPECT_TRUE(first.has_value());
    int still = 0;
    for (int seen = -1; still < 5;) {
      co_await Sleep(milliseconds(20));
      const int now = controller_->produced;
      still = now == seen ? still + 1 : 0;
      seen = now;
    }
    EXPECT_LE(controller_->produced, 14);
    int count = 1;
    for (;;) {
      std::optional<EchoReply> reply = co_await replies.Next();
      if (!reply) break;
      ++count;
    }
    co_return count;
  };
  EXPECT_EQ(SyncWait(read(client().Repeat(Repeat(kCount, 10'000)))), kCount);
  EXPECT_TRUE(Idle());
}

TEST_F(MessageEngineTest, ASlowHandlerStopsTheCaller) {
  server_options_.window_bytes = 100'000;
  std::atomic<int> yielded{0};
  auto many = [](std::atomic<int>& count) -> Stream<EchoRequest> {
    EchoRequest wait = Text("wait");
    co_yield std::move(wait);
    for (int i = 0; i < 1'000; ++i) {
      EchoRequest request = Text("x");
      request.set_payload(std::string(10'000, 'x'));
      ++count;
      co_yield std::move(request);
    }
  };
  std::thread releaser([&] {
    int seen = -1;
    for (int still = 0; still < 10;) {
      std::this_thread::sleep_for(milliseconds(20));
      const int now = yielded;
      still = now == seen && now > 0 ? still + 1 : 0;
      seen = now;
    }
    EXPECT_LE(yielded, 15);
    controller_->release.Set();
  });
  EXPECT_EQ(SyncWait(client().Join(many(yielded))).index(), 1'001);
  releaser.join();
}

TEST_F(MessageEngineTest, AReaderWhoLeavesStopsTheProducer) {
  auto read = [](Stream<EchoReply> replies) -> Task<void> {
    std::optional<EchoReply> first = co_await replies.Next();
    EXPECT_TRUE(first.has_value());
  };
  SyncWait(read(client().Repeat(Repeat(1'000'000'000, 100))));
  EXPECT_TRUE(Eventually([&] { return controller_->running == 0; }));
  EXPECT_TRUE(Idle());
}

TEST_F(MessageEngineTest, ACallerWhoOverrunsItsCreditIsCutOff) {
  server_options_.window_bytes = 2'000;
  server_options_.max_receive_bytes = 1'000;
  Packet open;
  open.to = "m/rookery.testing.Echo/Join";
  open.reply_to = "nobody/1";
  open.fields = {{"rookery", "1 open credit=1000"}};
  carrier().Inject(open);
  EXPECT_TRUE(Eventually([&] { return controller_->running == 1; }));
  for (int i = 0; i < 100; ++i) {
    Packet data;
    data.to = "s/1";
    data.reply_to = "nobody/1";
    data.fields = {{"rookery", "1 data seq=" + std::to_string(i)}};
    data.body = Text(i == 0 ? "wait" : "x").SerializeAsString();
    carrier().Inject(std::move(data));
  }
  EXPECT_TRUE(Eventually([&] { return rejected() >= 1; }));
  controller_->release.Set();
  EXPECT_TRUE(Idle());
  EXPECT_TRUE(Eventually([&] {
    for (const Packet& sent : carrier().sent()) {
      if (sent.to == "nobody/1" && sent.Header("grpc-status") == "8") return true;
    }
    return false;
  }));
}

TEST_F(MessageEngineTest, AServerThatFallsSilentIsTakenForDead) {
  client_options_.keepalive = milliseconds(20);
  server_options_.keepalive = milliseconds(0);
  EXPECT_EQ(SyncWaitStatus(client().Say(Text("wait"))).status().code(),
            absl::StatusCode::kUnavailable);
  EchoRequest request = Repeat(1);
  request.set_text("wait");
  EXPECT_EQ(SyncWaitStatus(ReadAll(client().Repeat(request))).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(carrier().client().in_flight(), 0U);
}

TEST_F(MessageEngineTest, ALongCallIsKeptAliveByBoth) {
  client_options_.keepalive = milliseconds(400);
  server_options_.keepalive = milliseconds(400);
  EchoClient caller = client();
  std::thread releaser([&] {
    // More than either would wait for in silence.
    EXPECT_TRUE(Eventually([&] {
      int pongs = 0;
      for (const Packet& sent : carrier().sent()) pongs += sent.Kind() == "pong" ? 1 : 0;
      return pongs >= 5;
    }));
    controller_->release.Set();
  });
  const absl::StatusOr<EchoReply> reply = SyncWaitStatus(caller.Say(Text("wait")));
  releaser.join();
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->text(), "wait");
}

TEST_F(MessageEngineTest, ACallerWhoFallsSilentIsGivenUp) {
  client_options_.keepalive = milliseconds(0);
  server_options_.keepalive = milliseconds(20);
  carrier().set_fate(
      [](const Packet& packet) { return packet.Kind() == "pong" ? Fate::kDrop : Fate::kDeliver; });
  CallOptions options;
  options.timeout = std::chrono::seconds(20);
  CancelSource source;
  options.cancel = source.token();
  std::thread watcher([&] {
    EXPECT_TRUE(Eventually([&] { return controller_->running == 1; }));
    EXPECT_TRUE(Eventually([&] { return controller_->running == 0; }));
    source.Cancel(absl::CancelledError("seen enough"));
  });
  EXPECT_FALSE(SyncWaitStatus(client().Say(Text("wait"), std::move(options))).ok());
  watcher.join();
  EXPECT_EQ(controller_->cancelled_code, static_cast<int>(absl::StatusCode::kCancelled));
}

TEST_F(MessageEngineTest, EventsAreCloudEventsAndAreNotAnswered) {
  SyncWait(client().OnSaid(Text("x")));
  EXPECT_TRUE(Eventually([&] { return carrier().sent().size() == 1; }));
  const Packet event = carrier().sent()[0];
  EXPECT_EQ(event.reply_to, "");
  EXPECT_EQ(event.Header("rookery"), "1 event");
  EXPECT_EQ(event.Header("ce-specversion"), "1.0");
  EXPECT_EQ(event.Header("ce-type"), "echo.said");
  EXPECT_EQ(event.Header("content-type"), "application/protobuf");
  EXPECT_FALSE(event.Header("ce-id").empty());
}

TEST_F(MessageEngineTest, AnEventThatHasExpiredIsCountedAndNotHandled) {
  const Packet answer =
      Ask("mecho.said", {{"rookery", "1 event"}, {"ce-expirytime", "2001-01-01T00:00:00Z"}}, "");
  EXPECT_EQ(answer.Header("grpc-status"), "4");
  EXPECT_EQ(controller_->events, 0);
  EXPECT_EQ(rejected(), 1U);
}

TEST_F(MessageEngineTest, WhatIsLeftAtShutdownIsCancelledAndAnswered) {
  std::thread closer([&] {
    EXPECT_TRUE(Eventually([&] { return controller_->running == 1; }));
    carrier().OnServer([&] { carrier().server().CancelAll(absl::UnavailableError("bye")); });
  });
  EXPECT_EQ(SyncWaitStatus(client().Say(Text("wait"))).status().code(),
            absl::StatusCode::kUnavailable);
  closer.join();
  EXPECT_TRUE(Idle());
}

TEST_F(MessageEngineTest, ManyCallsAtOnceEachGetTheirOwnReply) {
  auto lane = [](EchoClient caller, int from) -> Task<int> {
    int right = 0;
    for (int i = from; i < from + 200; ++i) {
      EchoReply reply = co_await caller.Say(Text(std::to_string(i)));
      if (reply.text() == std::to_string(i)) ++right;
    }
    co_return right;
  };
  std::vector<Task<int>> lanes;
  for (int i = 0; i < 50; ++i) lanes.push_back(lane(client(), i * 1'000));
  for (const int right : SyncWait(WhenAll(std::move(lanes)))) EXPECT_EQ(right, 200);
  EXPECT_TRUE(Idle());
}

}  // namespace
}  // namespace rookery::testing
