// Calls over Kafka, and records of any kind; what the contract suite does not ask.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kafka/kafka_node.h"
#include "rookery/rpc/channel.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/runtime/when.h"
#include "rookery/transports/kafka.h"
#include "support/kafka_mock.h"

namespace rookery::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class KafkaCalls : public ::testing::Test {
 protected:
  ~KafkaCalls() override { seen_.gate.Set(); }
  Kafka options() const {
    Kafka options = brokers_.Options();
    options.group = "echo";
    options.serve_events = false;
    return options;
  }
  static CallOptions Within(int millis) {
    CallOptions call;
    call.timeout = milliseconds(millis);
    return call;
  }

  KafkaMock brokers_;
  KafkaSeen seen_;
};

TEST_F(KafkaCalls, AnAnswerThatCannotBeStoredIsTold) {
  for (const char* const topic : {"rookery.test.Echo", "echo.again"})
    brokers_.CreateTopic(topic, 2);
  KafkaNode node(seen_, options());
  EchoClient client(MakeChannel(options()));
  ASSERT_EQ(SyncWaitStatus(client.Say(Said("first"), Within(60'000))).status(), absl::OkStatus());
  absl::Status status;
  std::thread caller(
      [&] { status = SyncWaitStatus(client.Say(Said("gate"), Within(3'000))).status(); });
  EXPECT_TRUE(Eventually([&] { return seen_.running == 1; }));
  brokers_.FailRequests(KafkaMock::kProduce, std::vector<rd_kafka_resp_err_t>(
                                                 4, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED));
  seen_.gate.Set();
  EXPECT_TRUE(Eventually([&] { return node.Logged("an answer was not stored"); }));
  caller.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(KafkaCalls, ARequestWaitsInItsTopicForWhoServesIt) {
  for (const char* const topic : {"rookery.test.Echo", "echo.again"})
    brokers_.CreateTopic(topic, 2);
  EchoClient client(MakeChannel(options()));
  const absl::Status late = SyncWaitStatus(client.Say(Said("nobody"), Within(1'500))).status();
  EXPECT_EQ(late.code(), absl::StatusCode::kDeadlineExceeded);
  absl::StatusOr<EchoReply> reply;
  std::thread caller([&] { reply = SyncWaitStatus(client.Say(Said("patient"), Within(60'000))); });
  std::this_thread::sleep_for(milliseconds(300));
  KafkaNode node(seen_, options());
  caller.join();
  ASSERT_EQ(reply.status(), absl::OkStatus());
  EXPECT_EQ(reply->text(), "patient");
  // The one whose caller had gone was not served.
  EXPECT_TRUE(Eventually([&] { return node.app().Stats().total_rejected() == 1; }));
  EXPECT_EQ(SyncWait(client.SayAgain(Said("pattern"))).text(), "pattern");
}

TEST_F(KafkaCalls, RepliesGoWhereStrangersSay) {
  KafkaNode node(seen_, options());
  brokers_.CreateTopic("answers", 2);
  KafkaStranger stranger(brokers_.address());
  stranger.Send("echo.again", "", R"({"text": "hello"})",
                {{"kafka_correlationId", "c-1"},
                 {"kafka_replyTopic", "answers"},
                 {"kafka_replyPartition", "1"},
                 {"content-type", "application/json"}});
  stranger.Send("echo.again", "", R"({"text": "spring"})",
                {{"kafka_correlationId", std::string("\x01\x00/|#", 5)},
                 {"kafka_replyTopic", "answers"},
                 {"kafka_replyPartition", std::string("\0\0\0\1", 4)},
                 {"content-type", "application/json"}});
  // Nobody waits for these; none of them harms anybody.
  stranger.Send("echo.again", "", "garbage \xff", {{"kafka_replyTopic", "no/topic"}});
  stranger.Send("echo.again", "", std::nullopt, {{"kafka_correlationId", ""}});
  const auto answers = stranger.Read("answers", 2, 2);
  ASSERT_THAT(answers, SizeIs(2));
  for (const auto& each : answers) {
    const bool spring = each.headers.at("kafka_correlationId").size() == 5;
    EXPECT_THAT(*each.value, HasSubstr(spring ? "spring" : "hello"));
    EXPECT_EQ(each.headers.at("content-type"), "application/json");
  }
}

TEST_F(KafkaCalls, InstancesShareARepliesTopic) {
  brokers_.CreateTopic("replies", 3);
  Kafka shared = options();
  shared.reply_topic = "replies";
  KafkaNode node(seen_, shared);
  EchoClient one(MakeChannel(shared));
  EchoClient other(MakeChannel(shared));
  EXPECT_EQ(SyncWait(one.Say(Said("1"))).text(), "1");
  EXPECT_EQ(SyncWait(other.Say(Said("2"))).text(), "2");
  auto count = [](EchoClient& client) -> Task<int> {
    EchoRequest request;
    request.set_count(50);
    Stream<EchoReply> replies = client.Repeat(request);
    int sum = 0;
    for (;;) {
      std::optional<EchoReply> reply = co_await replies.Next();
      if (!reply) break;
      sum += reply->index() == sum ? 1 : 1'000;
    }
    co_return sum;
  };
  EXPECT_EQ(SyncWait(count(one)), 50);
  EXPECT_EQ(SyncWait(count(other)), 50);
}

TEST_F(KafkaCalls, NoBrokerIsUnavailable) {
  brokers_.SetDown();
  Kafka impatient = options();
  impatient.connect_timeout = milliseconds(500);
  impatient.delivery_timeout = milliseconds(700);
  EchoClient client(MakeChannel(impatient));
  EXPECT_EQ(SyncWaitStatus(client.Say(Said("x"))).status().code(), absl::StatusCode::kUnavailable);
  const absl::Status event = SyncWaitStatus(client.OnSaid(Said("x")));
  EXPECT_EQ(event.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(event.message()), HasSubstr("echo.said"));
  brokers_.SetUp();
  EXPECT_TRUE(Eventually([&] { return SyncWaitStatus(client.OnSaid(Said("x"))).ok(); }));
}

class KafkaSends : public KafkaCalls {};

TEST_F(KafkaSends, ARecordIsStoredWhereItSays) {
  brokers_.CreateTopic("audit", 3);
  const auto producer = KafkaProducer::Open(brokers_.Options());
  KafkaRecord record{.topic = "audit", .key = "k", .value = "v"};
  record.partition = 2;
  record.headers = {{"x", "1"}};
  const KafkaPosition first = SyncWait(producer->Send(record));
  EXPECT_EQ(first.topic, "audit");
  EXPECT_EQ(first.partition, 2);
  EXPECT_EQ(first.offset, 0);
  record.value.reset();
  EXPECT_EQ(SyncWait(producer->Send(record)).offset, 1);
  const auto read = KafkaStranger(brokers_.address()).Read("audit", 2, 3);
  ASSERT_THAT(read, SizeIs(2));
  EXPECT_EQ(read[0].value, "v");
  EXPECT_EQ(read[0].headers.at("x"), "1");
  EXPECT_FALSE(read[1].value.has_value());
}

TEST_F(KafkaSends, WhatCannotBeSentSaysWhy) {
  Kafka small = brokers_.Options();
  small.max_send_bytes = 100;
  const auto producer = KafkaProducer::Open(small);
  KafkaRecord record{.topic = "no topic", .value = "v"};
  EXPECT_EQ(SyncWaitStatus(producer->Send(record)).status().code(),
            absl::StatusCode::kInvalidArgument);
  record.topic = "audit";
  record.value = std::string(101, 'x');
  EXPECT_EQ(SyncWaitStatus(producer->Send(record)).status().code(),
            absl::StatusCode::kResourceExhausted);
  brokers_.CreateTopic("audit", 1);
  record.value = "v";
  EXPECT_EQ(SyncWaitStatus(producer->Send(record)).status(), absl::OkStatus());
  brokers_.FailRequests(KafkaMock::kProduce, {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED});
  EXPECT_EQ(SyncWaitStatus(producer->Send(record)).status().code(),
            absl::StatusCode::kPermissionDenied);
}

TEST_F(KafkaSends, BrokersThatStumbleLoseNothing) {
  brokers_.CreateTopic("audit", 1);
  const auto producer = KafkaProducer::Open(brokers_.Options());
  brokers_.FailRequests(
      KafkaMock::kProduce,
      {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
       RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS});
  for (int i = 0; i < 20; ++i) {
    KafkaRecord record{.topic = "audit", .key = "k", .value = std::to_string(i)};
    EXPECT_EQ(SyncWaitStatus(producer->Send(record)).status(), absl::OkStatus());
  }
  const auto read = KafkaStranger(brokers_.address()).Read("audit", 20, 1);
  ASSERT_THAT(read, SizeIs(20));
  for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(read[i].value, std::to_string(i));
}

TEST_F(KafkaSends, TooMuchWaitsItsTurnOrFails) {
  brokers_.CreateTopic("audit", 1);
  const auto send_all = [this](KafkaWhenFull when_full) {
    Kafka options = brokers_.Options();
    options.max_pending = 4;
    options.when_full = when_full;
    const auto producer = KafkaProducer::Open(options);
    std::size_t most = 0;
    auto all = [&]() -> Task<int> {
      std::vector<JoinHandle<KafkaPosition>> sends;
      for (int i = 0; i < 50; ++i) {
        KafkaRecord record{.topic = "audit", .value = std::to_string(i)};
        Task<KafkaPosition> send = producer->Send(std::move(record));
        sends.push_back(Spawn(std::move(send)));
        most = std::max(most, producer->pending());
      }
      int stored = 0;
      for (auto& each : sends) {
        const absl::StatusOr<KafkaPosition> at = co_await AsStatusOr(std::move(each));
        if (at.ok()) {
          ++stored;
        } else {
          EXPECT_EQ(at.status().code(), absl::StatusCode::kResourceExhausted);
        }
      }
      co_return stored;
    };
    const int stored = SyncWait(all());
    EXPECT_LE(most, 4U);
    return stored;
  };
  EXPECT_EQ(send_all(KafkaWhenFull::kWait), 50);
  EXPECT_LT(send_all(KafkaWhenFull::kFail), 50);
}

TEST_F(KafkaSends, ACallerWhoGivesUpLeavesTheLine) {
  brokers_.CreateTopic("audit", 1);
  Kafka options = brokers_.Options();
  options.max_pending = 1;
  const auto producer = KafkaProducer::Open(options);
  KafkaRecord record{.topic = "audit", .value = "v"};
  SyncWait(producer->Send(record));
  brokers_.SetRoundTrip(milliseconds(500));
  auto two = [&]() -> Task<absl::StatusCode> {
    Task<KafkaPosition> first = producer->Send(record);
    JoinHandle<KafkaPosition> under_way = Spawn(std::move(first));
    Task<KafkaPosition> second = producer->Send(record);
    Task<KafkaPosition> bounded = WithTimeout(std::move(second), milliseconds(50));
    const absl::StatusOr<KafkaPosition> gave_up = co_await AsStatusOr(std::move(bounded));
    const absl::StatusOr<KafkaPosition> stored = co_await AsStatusOr(std::move(under_way));
    EXPECT_TRUE(stored.ok());
    co_return gave_up.status().code();
  };
  EXPECT_EQ(SyncWait(two()), absl::StatusCode::kDeadlineExceeded);
  brokers_.SetRoundTrip(milliseconds(0));
  EXPECT_TRUE(SyncWaitStatus(producer->Send(record)).ok());
  EXPECT_THAT(KafkaStranger(brokers_.address()).Read("audit", 3, 1), SizeIs(3));
}

}  // namespace
}  // namespace rookery::testing
