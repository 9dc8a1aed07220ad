// What NATS's own tools see of a node: the services protocol, ADR-32.
#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "nats/nats_node.h"
#include "rookery/rpc/channel.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/transports/nats.h"
#include "support/nats_broker.h"

namespace rookery::testing {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;
using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

Struct Parse(const std::string& json) {
  Struct parsed;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json, &parsed).ok()) << json;
  return parsed;
}

std::string Text(const Struct& json, const std::string& key) {
  const auto found = json.fields().find(key);
  return found == json.fields().end() ? "absent" : found->second.string_value();
}

std::vector<std::string> KeysOf(const Struct& json) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.fields()) keys.push_back(key);
  return keys;
}

Struct EndpointOf(const Struct& json, const std::string& name) {
  for (const Value& each : json.fields().at("endpoints").list_value().values()) {
    if (Text(each.struct_value(), "name") == name) return each.struct_value();
  }
  ADD_FAILURE() << "there is no endpoint " << name;
  return {};
}

class NatsDiscoveryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    broker_ = NatsBroker::Start();
    ASSERT_NE(broker_, nullptr) << "install nats-server";
  }
  Nats options() const {
    Nats nats{.url = broker_->url()};
    nats.queue = "echo";
    nats.version = "1.2.3";
    return nats;
  }
  // Waits for so many answers; then whether one more comes.
  std::vector<std::string> Ask(const std::string& subject, std::size_t count) {
    NatsStranger stranger(broker_->url());
    std::vector<std::string> answers = stranger.AskAll(subject, count, milliseconds(20'000));
    EXPECT_THAT(answers, SizeIs(count)) << subject;
    return answers;
  }
  std::unique_ptr<NatsBroker> broker_;
};

constexpr char kName[] = "rookery_testing_Echo";

TEST_F(NatsDiscoveryTest, PingIsAnsweredByEachInstanceAndByItsIdAlone) {
  NatsNode first(options());
  NatsNode second(options());
  std::vector<std::string> ids;
  for (const std::string& json : Ask("$SRV.PING", 2)) {
    const Struct answer = Parse(json);
    EXPECT_THAT(KeysOf(answer), UnorderedElementsAre("name", "id", "version", "metadata", "type"));
    EXPECT_EQ(Text(answer, "type"), "io.nats.micro.v1.ping_response");
    EXPECT_EQ(Text(answer, "name"), kName);
    EXPECT_EQ(Text(answer, "version"), "1.2.3");
    ids.push_back(Text(answer, "id"));
  }
  ASSERT_THAT(ids, SizeIs(2));
  EXPECT_NE(ids[0], ids[1]);
  EXPECT_THAT(Ask(std::string("$SRV.PING.") + kName, 2), SizeIs(2));
  const std::vector<std::string> one = Ask(std::string("$SRV.PING.") + kName + "." + ids[1], 1);
  ASSERT_THAT(one, SizeIs(1));
  EXPECT_EQ(Text(Parse(one[0]), "id"), ids[1]);
}

TEST_F(NatsDiscoveryTest, InfoNamesTheEndpoints) {
  Nats prefixed = options();
  prefixed.prefix = "staging";
  NatsNode node(prefixed);
  const std::vector<std::string> answers = Ask("$SRV.INFO", 1);
  ASSERT_THAT(answers, SizeIs(1));
  const Struct info = Parse(answers[0]);
  EXPECT_THAT(KeysOf(info), UnorderedElementsAre("name", "id", "version", "metadata", "type",
                                                 "description", "endpoints"));
  EXPECT_EQ(Text(info, "type"), "io.nats.micro.v1.info_response");
  const Struct say = EndpointOf(info, "Say");
  EXPECT_THAT(KeysOf(say), UnorderedElementsAre("name", "subject", "queue_group", "metadata"));
  EXPECT_EQ(Text(say, "subject"), "staging.rookery.testing.Echo.Say");
  EXPECT_EQ(Text(say, "queue_group"), "echo");
  EXPECT_EQ(Text(EndpointOf(info, "OnSaid"), "subject"), "staging.echo.said");
  EXPECT_EQ(Text(EndpointOf(info, "Repeat").fields().at("metadata").struct_value(), "rookery.kind"),
            "server-streaming");
}

TEST_F(NatsDiscoveryTest, StatsCountCallsAndFailures) {
  NatsNode node(options());
  EchoClient client(MakeChannel(options()));
  EchoRequest request;
  request.set_text("x");
  for (int i = 0; i < 3; ++i) (void)SyncWait(client.Say(request));
  request.set_fail_code(5);
  EXPECT_FALSE(SyncWaitStatus(client.Say(request)).ok());
  Struct stats;
  // A call is counted when it has been answered, and perhaps a little later.
  EXPECT_TRUE(Eventually([&] {
    const std::vector<std::string> answers = Ask(std::string("$SRV.STATS.") + kName, 1);
    if (answers.empty()) return true;
    stats = Parse(answers[0]);
    return EndpointOf(stats, "Say").fields().at("num_requests").number_value() == 4;
  }));
  EXPECT_EQ(Text(stats, "type"), "io.nats.micro.v1.stats_response");
  EXPECT_THAT(Text(stats, "started"), ::testing::MatchesRegex("20[-0-9]+T[:0-9]+\\.[0-9]+Z"));
  const Struct say = EndpointOf(stats, "Say");
  EXPECT_EQ(say.fields().at("num_requests").number_value(), 4);
  EXPECT_EQ(say.fields().at("num_errors").number_value(), 1);
  EXPECT_EQ(Text(say, "last_error"), "NOT_FOUND");
  EXPECT_GT(say.fields().at("processing_time").number_value(), 0);
  EXPECT_GT(say.fields().at("average_processing_time").number_value(), 0);
  EXPECT_EQ(EndpointOf(stats, "Repeat").fields().at("num_requests").number_value(), 0);
}

TEST_F(NatsDiscoveryTest, WhatIsNoQuestionForUsIsPassedOver) {
  NatsNode node(options());
  NatsStranger stranger(broker_->url());
  for (const char* const subject :
       {"$SRV.NONSENSE", "$SRV.PING.other", "$SRV.PING.rookery_testing_Echo.not-the-id",
        "$SRV.NONSENSE.rookery_testing_Echo"}) {
    EXPECT_THAT(stranger.AskAll(subject, 1, milliseconds(100)), IsEmpty()) << subject;
  }
  stranger.Publish("$SRV.PING", "nobody waits for this");
  EXPECT_THAT(Ask("$SRV.PING", 1), SizeIs(1));
}

TEST_F(NatsDiscoveryTest, CanBeSwitchedOff) {
  Nats silent = options();
  silent.discovery = false;
  NatsNode node(silent);
  NatsStranger stranger(broker_->url());
  EXPECT_THAT(stranger.AskAll("$SRV.PING", 1, milliseconds(10'000)), IsEmpty());
  Nats wrong = options();
  wrong.version = "one";
  EXPECT_THAT(std::string(CheckNatsOptions(wrong).message()), HasSubstr("MAJOR.MINOR.PATCH"));
}

TEST_F(NatsDiscoveryTest, ANodeThatHasDrainedIsNotSeen) {
  NatsStranger stranger(broker_->url());
  {
    NatsNode node(options());
    EXPECT_THAT(Ask("$SRV.PING", 1), SizeIs(1));
  }
  EXPECT_THAT(stranger.AskAll("$SRV.PING", 1, milliseconds(10'000)), IsEmpty());
}

}  // namespace
}  // namespace rookery::testing
