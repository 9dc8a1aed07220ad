// Workers over librdkafka's mock brokers: what becomes of each record.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kafka/kafka_node.h"
#include "rookery/rpc/channel.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/transports/kafka.h"
#include "support/kafka_mock.h"

namespace rookery::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;

class KafkaWorker : public ::testing::Test {
 protected:
  KafkaWorker() {
    for (const char* const topic : {"echo.said", "keyed", "batch"}) brokers_.CreateTopic(topic, 4);
  }
  ~KafkaWorker() override { seen_.gate.Set(); }
  Kafka options() const {
    Kafka options = brokers_.Options();
    options.group = "workers";
    options.serve_requests = false;
    options.policy.initial_backoff = milliseconds(5);
    // The mock lets the first member of a new group wait for three seconds; most tests have no use
    // for a group.
    for (const char* const topic : {"echo.said", "keyed", "batch"}) {
      for (int partition = 0; partition < 4; ++partition) {
        options.assign.push_back({.topic = topic, .partition = partition});
      }
    }
    return options;
  }
  Kafka member() const {
    Kafka member = options();
    member.assign.clear();
    return member;
  }
  Kafka sender() const {
    Kafka options = brokers_.Options();
    options.event_source = "tests";
    return options;
  }
  EchoClient client() { return EchoClient(MakeChannel(sender())); }
  std::int64_t Committed(const std::string& topic = "echo.said") {
    return KafkaStranger(brokers_.address()).Committed("workers", topic, 4);
  }

  KafkaMock brokers_;
  KafkaSeen seen_;
};

TEST_F(KafkaWorker, AnEventIsStoredHandledAndCommitted) {
  KafkaNode node(seen_, member());
  EXPECT_THAT(node.app().Endpoints(), ElementsAre(brokers_.address() + "/workers"));
  EchoClient events = client();
  SyncWait(events.OnSaid(Said("a")));
  EXPECT_TRUE(Eventually([&] { return node.stats().handled == 1; }));
  EXPECT_THAT(seen_.all(), ElementsAre("a#1"));
  EXPECT_TRUE(Eventually([&] { return Committed() == 1; }));
  EXPECT_TRUE(node.app().ready()) << node.Why();
  const WorkerSnapshot stats = node.stats();
  EXPECT_GE(stats.rebalances, 1U);
  EXPECT_THAT(stats.partitions, Not(::testing::IsEmpty()));
  EXPECT_TRUE(Eventually([&] { return node.stats().lag() == 0; }));
}

TEST_F(KafkaWorker, WhatWasHandledBeforeAStopIsNotHandledAgain) {
  EchoClient events = client();
  for (int i = 0; i < 20; ++i) SyncWait(events.OnSaid(Said(std::to_string(i))));
  {
    KafkaNode node(seen_, member());
    EXPECT_TRUE(Eventually([&] { return seen_.size() >= 20; }));
  }
  EXPECT_EQ(Committed(), 20);
  for (int i = 20; i < 30; ++i) SyncWait(events.OnSaid(Said(std::to_string(i))));
  KafkaNode node(seen_, member());
  EXPECT_TRUE(Eventually([&] { return seen_.size() >= 30; }));
  EXPECT_THAT(seen_.all(), SizeIs(30));
}

TEST_F(KafkaWorker, FailuresAreTriedAgainAndThePoisonIsADeadLetter) {
  KafkaNode node(seen_, options());
  EchoClient events = client();
  SyncWait(events.OnSaid(Said("fail2")));
  CallOptions traced;
  traced.metadata.Add("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
      .IgnoreError();
  traced.metadata.Add("ce-partitionkey", "ada").IgnoreError();
  SyncWait(events.OnSaid(Said("bad"), traced));
  SyncWait(events.OnSaid(Said("ok")));
  EXPECT_TRUE(Eventually([&] { return node.stats().handled == 2; }));
  EXPECT_TRUE(Eventually([&] { return node.stats().dead_letters == 1; }));
  EXPECT_THAT(seen_.all(), IsSupersetOf({"fail2#1", "fail2#2", "fail2#3", "bad#1", "ok#1"}));
  const auto letters = KafkaStranger(brokers_.address()).Read("echo.said.DLT", 1);
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_EQ(letters[0].key, "ada");
  EXPECT_EQ(letters[0].value, Said("bad").SerializeAsString());
  const auto& headers = letters[0].headers;
  EXPECT_THAT(
      headers,
      IsSupersetOf({Pair("rookery-dead-code", "3"), Pair("rookery-dead-cause", "bad for ever"),
                    Pair("rookery-dead-attempts", "1"), Pair("rookery-dead-subject", "echo.said"),
                    Pair("ce_source", "tests"), Pair("ce_type", "echo.said"),
                    Pair("ce_specversion", "1.0")}));
  EXPECT_THAT(headers.at("traceparent"), HasSubstr("0af7651916cd43dd8448eb211c80319c"));
  EXPECT_THAT(headers.at("rookery-dead-origin"), HasSubstr("echo.said["));
  EXPECT_TRUE(Eventually([&] { return Committed() == 3; }));
}

TEST_F(KafkaWorker, OneKeyIsInOrderWhileOthersGoOn) {
  KafkaNode node(seen_, options());
  KafkaStranger stranger(brokers_.address());
  // One partition, several keys; the first of one key waits.
  stranger.Send("keyed", "", Said("gate-a1", "a").SerializeAsString(), {}, 0);
  stranger.Send("keyed", "", Said("a2", "a").SerializeAsString(), {}, 0);
  stranger.Send("keyed", "", Said("b1", "b").SerializeAsString(), {}, 0);
  stranger.Send("keyed", "", Said("b2", "b").SerializeAsString(), {}, 0);
  EXPECT_TRUE(Eventually([&] { return seen_.size() == 3; }));
  EXPECT_THAT(seen_.all(), ElementsAre("gate-a1#1", "b1#1", "b2#1"));
  // What stands behind is settled, and nothing of it is committed.
  EXPECT_TRUE(Eventually([&] { return node.stats().handled == 2; }));
  EXPECT_LE(Committed("keyed"), 0);
  seen_.gate.Set();
  EXPECT_TRUE(Eventually([&] { return seen_.size() == 4; }));
  EXPECT_EQ(seen_.all().back(), "a2#1");
  EXPECT_TRUE(Eventually([&] { return Committed("keyed") == 4; }));
}

TEST_F(KafkaWorker, RecordsWithoutAKeyKeepTheOrderOfTheirPartition) {
  KafkaNode node(seen_, options());
  KafkaStranger stranger(brokers_.address());
  for (int i = 0; i < 5; ++i) {
    stranger.Send("echo.said", "", Said("slow" + std::to_string(i)).SerializeAsString(), {}, 1);
  }
  EXPECT_TRUE(Eventually([&] { return seen_.size() == 5; }));
  EXPECT_THAT(seen_.all(), ElementsAre("slow0#1", "slow1#1", "slow2#1", "slow3#1", "slow4#1"));
}

TEST_F(KafkaWorker, WhatNobodyCanReadIsADeadLetterAndTheRestFlows) {
  KafkaNode node(seen_, options());
  KafkaStranger stranger(brokers_.address());
  stranger.Send("echo.said", "k", std::string("\xff\xff\xff garbage", 11), {}, 0);
  stranger.Send("echo.said", "k", std::nullopt, {{"ce_id", "gone"}}, 0);  // a tombstone
  stranger.Send("echo.said", "k", "{}", {{"content-type", "text/xml"}}, 0);
  stranger.Send("echo.said", "k", Said("foreign").SerializeAsString(),
                {{"Spring_Header \xff", std::string("\0\1\2", 3)}, {"kafka_replyTopic", "x y"}}, 0);
  stranger.Send("echo.said", "k", std::string(std::size_t{1} << 10, 'x'),
                {{"huge", std::string(20'000, 'h')}}, 0);
  EXPECT_TRUE(Eventually([&] { return node.stats().dead_letters == 4; }));
  EXPECT_TRUE(Eventually([&] { return node.stats().handled == 1; }));
  EXPECT_THAT(seen_.all(), ElementsAre("foreign#1"));
  EXPECT_TRUE(Eventually([&] { return Committed() == 5; }));
  const auto letters = KafkaStranger(brokers_.address()).Read("echo.said.DLT", 4);
  ASSERT_THAT(letters, SizeIs(4));
  int without = 0;
  for (const auto& each : letters) without += each.value ? 0 : 1;
  EXPECT_EQ(without, 1) << "a tombstone stays one";
}

TEST_F(KafkaWorker, WildcardsFindEventsAndNoDeadLetters) {
  for (const char* const topic : {"audit.created", "audit.created.DLT", "audit.gone.late"}) {
    brokers_.CreateTopic(topic, 1);
  }
  KafkaNode node(seen_, member());
  KafkaStranger stranger(brokers_.address());
  stranger.Send("audit.created", "", Said("bad").SerializeAsString());
  EXPECT_TRUE(Eventually([&] { return node.stats().dead_letters == 1; }));
  stranger.Send("audit.gone.late", "", Said("ok").SerializeAsString());
  EXPECT_TRUE(Eventually([&] { return seen_.size() == 2; }));
  EXPECT_THAT(seen_.all(), ElementsAre("bad#1", "ok#1"));
  EXPECT_THAT(stranger.Read("audit.created.DLT", 1, 1), SizeIs(1));
  EXPECT_EQ(node.stats().delivered, 2U);
}

TEST_F(KafkaWorker, TombstonesCanBeHandledOrSkipped) {
  KafkaStranger stranger(brokers_.address());
  stranger.Send("echo.said", "k", std::nullopt, {}, 0);
  {
    Kafka deliver = options();
    deliver.tombstones = KafkaTombstone::kDeliver;
    KafkaNode node(seen_, deliver);
    EXPECT_TRUE(Eventually([&] { return seen_.size() == 1; }));
    EXPECT_THAT(seen_.all(), ElementsAre("tombstone#1"));
  }
  stranger.Send("echo.said", "k", std::nullopt, {}, 0);
  Kafka skip = options();
  skip.tombstones = KafkaTombstone::kSkip;
  KafkaNode node(seen_, skip);
  EXPECT_TRUE(Eventually([&] { return Committed() == 2; }));
  EXPECT_THAT(seen_.all(), SizeIs(1));
}

TEST_F(KafkaWorker, BatchesAreTakenApartWhenTheyFail) {
  KafkaNode node(seen_, options());
  KafkaStranger stranger(brokers_.address());
  for (const char* const text : {"one", "poison", "three"}) {
    stranger.Send("batch", "", Said(text).SerializeAsString(), {}, 0);
  }
  EXPECT_TRUE(Eventually([&] { return node.stats().dead_letters == 1; }));
  EXPECT_TRUE(Eventually([&] { return node.stats().handled == 2; }));
  EXPECT_THAT(seen_.all(), Not(Contains("no record")));
  EXPECT_TRUE(Eventually([&] { return Committed("batch") == 3; }));
}

TEST_F(KafkaWorker, ADeadLetterThatIsRefusedIsHeldAndSaid) {
  KafkaNode node(seen_, options());
  KafkaStranger stranger(brokers_.address());
  stranger.Send("echo.said", "k", Said("gate poison").SerializeAsString(), {}, 0);
  for (int i = 0; i < 5; ++i) {
    stranger.Send("echo.said", "other", Said("ok").SerializeAsString(), {}, 0);
  }
  EXPECT_TRUE(Eventually([&] { return node.stats().handled == 5; }));
  brokers_.FailRequests(KafkaMock::kProduce, std::vector<rd_kafka_resp_err_t>(
                                                 4, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED));
  seen_.gate.Set();
  EXPECT_TRUE(Eventually([&] { return !node.app().ready(); }));
  EXPECT_LE(Committed(), 0) << "what is held is not settled, nor what stands behind it";
  EXPECT_TRUE(Eventually([&] { return node.stats().dead_letters == 1; }));
  EXPECT_GE(node.stats().dead_letters_refused, 1U);
  EXPECT_TRUE(Eventually([&] { return node.app().ready(); }));
  EXPECT_TRUE(Eventually([&] { return Committed() == 6; }));
}

TEST_F(KafkaWorker, RetryTopicsKeepNothingBack) {
  Kafka mine = member();
  mine.retry_topics = {milliseconds(50), milliseconds(200)};
  mine.policy.retry_place = RetryPlace::kBroker;
  mine.policy.max_attempts = 3;
  KafkaNode node(seen_, mine);
  KafkaStranger stranger(brokers_.address());
  stranger.Send("echo.said", "k", Said("fail2").SerializeAsString(), {}, 0);
  stranger.Send("echo.said", "k", Said("fail for ever").SerializeAsString(), {}, 0);
  stranger.Send("echo.said", "k", Said("ok").SerializeAsString(), {}, 0);
  EXPECT_TRUE(Eventually([&] { return node.stats().dead_letters == 1; }));
  EXPECT_TRUE(Eventually([&] { return node.stats().handled == 2; }));
  EXPECT_THAT(seen_.all(), IsSupersetOf({"fail2#1", "fail2#2", "fail2#3", "fail for ever#1",
                                         "fail for ever#2", "fail for ever#3", "ok#1"}));
  EXPECT_TRUE(Eventually([&] { return Committed() == 3; }));
  const auto letters = KafkaStranger(brokers_.address()).Read("echo.said.DLT", 1);
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_EQ(letters[0].headers.at("rookery-dead-attempts"), "3");
  EXPECT_EQ(letters[0].headers.at("rookery-dead-subject"), "echo.said");
}

TEST_F(KafkaWorker, PartitionsThatGoAreFinishedFirst) {
  // The mock, other than Kafka, refuses commits while members join: where the new member has joined
  // again before the old one has let go, what was handled since is handled again.
  bool refused = true;
  for (int round = 0; round < 6 && refused; ++round) {
    KafkaMock brokers;
    brokers.CreateTopic("echo.said", 4);
    Kafka mine = member();
    mine.brokers = brokers.address();
    mine.events = {"echo.said"};
    Kafka theirs = sender();
    theirs.brokers = brokers.address();
    EchoClient events(MakeChannel(theirs));
    KafkaSeen seen;
    KafkaNode first(seen, mine);
    for (int i = 0; i < 40; ++i) SyncWait(events.OnSaid(Said("slow" + std::to_string(i))));
    KafkaNode second(seen, mine);
    for (int i = 40; i < 80; ++i) SyncWait(events.OnSaid(Said("slow" + std::to_string(i))));
    EXPECT_TRUE(Eventually([&] { return seen.size() >= 80; }));
    EXPECT_TRUE(Eventually([&] {
      return KafkaStranger(brokers.address()).Committed("workers", "echo.said", 4) == 80;
    }));
    EXPECT_TRUE(Eventually([&] { return second.stats().partitions.size() == 2; }));
    std::map<std::string, int> times;
    for (const std::string& each : seen.all()) ++times[each];
    EXPECT_THAT(times, SizeIs(80));
    refused = first.Logged("a commit was refused");
    if (!refused) {
      EXPECT_THAT(times, Each(Pair(::testing::_, 1))) << first.Why() << second.Why();
    }
  }
  EXPECT_FALSE(refused) << "in each of the rounds";
}

TEST_F(KafkaWorker, PartitionsThatComeBackAreReadAgain) {
  KafkaNode first(seen_, member());
  KafkaStranger stranger(brokers_.address());
  const auto send = [&] {
    for (int partition = 0; partition < 4; ++partition) {
      stranger.Send("echo.said", "", Said("a").SerializeAsString(), {}, partition);
      stranger.Send("keyed", "", Said("b").SerializeAsString(), {}, partition);
    }
  };
  // What has been read is paused while it leaves; librdkafka remembers that.
  send();
  EXPECT_TRUE(Eventually([&] { return seen_.size() == 8; })) << first.Why();
  EXPECT_TRUE(Eventually([&] { return Committed() == 4; }));
  {
    KafkaNode second(seen_, member());
    EXPECT_TRUE(Eventually([&] { return first.stats().partitions.size() == 6; }));
  }
  EXPECT_TRUE(Eventually([&] { return first.stats().partitions.size() == 12; }));
  send();
  EXPECT_TRUE(Eventually([&] { return seen_.size() == 16; })) << first.Why();
  EXPECT_TRUE(Eventually([&] { return Committed() == 8; }));
  EXPECT_THAT(seen_.all(), SizeIs(16));
}

TEST_F(KafkaWorker, AMemberThatGetsNothingStartsAllTheSame) {
  KafkaMock brokers;
  brokers.CreateTopic("echo.said", 1);
  Kafka mine = member();
  mine.brokers = brokers.address();
  mine.events = {"echo.said"};
  KafkaNode first(seen_, mine);
  KafkaNode second(seen_, mine);
  EXPECT_TRUE(first.app().ready());
  EXPECT_TRUE(second.app().ready());
  EXPECT_TRUE(Eventually(
      [&] { return first.stats().partitions.size() + second.stats().partitions.size() == 1; }));
}

TEST_F(KafkaWorker, LongHandlersKeepTheirPartitions) {
  Kafka mine = member();
  mine.session_timeout = milliseconds(3'000);
  mine.max_poll_interval = milliseconds(3'000);
  mine.rebalance_grace = milliseconds(500);
  mine.prefetch = 2;
  mine.max_unsettled = 2;
  KafkaNode node(seen_, mine);
  const std::uint64_t before = node.stats().rebalances;
  KafkaStranger stranger(brokers_.address());
  for (int i = 0; i < 6; ++i) {
    stranger.Send("echo.said", "", Said("gate" + std::to_string(i)).SerializeAsString(), {}, 0);
  }
  EXPECT_TRUE(Eventually([&] { return seen_.size() == 1; }));
  std::this_thread::sleep_for(milliseconds(4'500));
  EXPECT_EQ(node.stats().rebalances, before);
  EXPECT_TRUE(node.app().ready());
  seen_.gate.Set();
  EXPECT_TRUE(Eventually([&] { return Committed() == 6; }));
  EXPECT_THAT(seen_.all(), SizeIs(6));
}

TEST_F(KafkaWorker, AStopFinishesWhatHasBegunAndReturnsTheRest) {
  auto node = std::make_unique<KafkaNode>(seen_, member());
  EchoClient events = client();
  for (int i = 0; i < 30; ++i) SyncWait(events.OnSaid(Said("slow" + std::to_string(i))));
  EXPECT_TRUE(Eventually([&] { return seen_.size() >= 3; }));
  node = nullptr;
  KafkaNode next(seen_, member());
  EXPECT_TRUE(Eventually([&] { return seen_.size() >= 30; }));
  EXPECT_TRUE(Eventually([&] { return Committed() == 30; }));
  EXPECT_THAT(seen_.all(), SizeIs(30));
}

TEST_F(KafkaWorker, StartsBeforeItsBrokers) {
  brokers_.SetDown();
  Kafka impatient = options();
  impatient.start_timeout = milliseconds(300);
  try {
    KafkaNode node(seen_, impatient);
    ADD_FAILURE() << "started without brokers";
  } catch (const std::exception& error) {
    EXPECT_THAT(std::string(error.what()),
                AllOf(HasSubstr(brokers_.address()), HasSubstr("start_timeout")));
  }
  std::thread later([this] {
    std::this_thread::sleep_for(milliseconds(2'000));
    brokers_.SetUp();
  });
  KafkaNode node(seen_, options());
  later.join();
  EXPECT_TRUE(node.Logged("waiting for Kafka"));
  EchoClient events = client();
  SyncWait(events.OnSaid(Said("a")));
  EXPECT_TRUE(Eventually([&] { return seen_.size() == 1; }));
}

TEST_F(KafkaWorker, BrokersThatGoAreSaidAndComeBack) {
  KafkaNode node(seen_, options());
  EchoClient events = client();
  SyncWait(events.OnSaid(Said("a")));
  EXPECT_TRUE(Eventually([&] { return seen_.size() == 1; }));
  brokers_.SetDown();
  EXPECT_TRUE(Eventually([&] { return !node.app().ready(); }));
  brokers_.SetUp();
  EXPECT_TRUE(Eventually([&] { return node.app().ready(); }));
  SyncWait(events.OnSaid(Said("b")));
  EXPECT_TRUE(Eventually([&] { return seen_.Count("b#1") == 1; }));
}

TEST_F(KafkaWorker, BeginsWhereItIsTold) {
  KafkaStranger stranger(brokers_.address());
  for (int i = 0; i < 4; ++i) {
    stranger.Send("echo.said", "", Said(std::to_string(i)).SerializeAsString(), {}, 0);
  }
  {
    Kafka end = options();
    end.start = KafkaStart::kEnd;
    KafkaNode node(seen_, end);
    EchoClient events = client();
    // Until it reads, the end moves.
    EXPECT_TRUE(Eventually([&] {
      SyncWait(events.OnSaid(Said("new")));
      return seen_.size() > 0;
    }));
    EXPECT_THAT(seen_.all(), Each("new#1"));
  }
  const std::size_t before = seen_.size();
  {
    Kafka beginning = options();
    beginning.start = KafkaStart::kBeginning;
    beginning.assign = {{.topic = "echo.said", .partition = 0}};
    KafkaNode node(seen_, beginning);
    EXPECT_TRUE(Eventually([&] { return seen_.Count("3#1") == 1; }));
    EXPECT_EQ(seen_.Count("0#1"), 1U);
  }
  EXPECT_GE(seen_.size(), before + 4);
  Kafka by_hand = options();
  by_hand.group = "others";
  by_hand.assign = {{.topic = "echo.said", .partition = 0, .offset = 2}};
  KafkaNode node(seen_, by_hand);
  EXPECT_TRUE(Eventually([&] { return seen_.Count("3#1") == 2; }));
  EXPECT_EQ(seen_.Count("1#1"), 1U);
  EXPECT_EQ(seen_.Count("2#1"), 2U);
}

TEST_F(KafkaWorker, TransactionsCommitWhatIsSentWithTheOffset) {
  brokers_.CreateTopic("made", 1);
  brokers_.CreateTopic("made.event", 1);
  Kafka mine = member();
  mine.transactional_id = "workers-0";
  KafkaNode node(seen_, mine);
  EchoClient events = client();
  for (int i = 0; i < 3; ++i) SyncWait(events.OnSaid(Said("produce" + std::to_string(i))));
  EXPECT_TRUE(Eventually([&] { return node.stats().handled == 3; }));
  EXPECT_THAT(seen_.all(),
              IsSupersetOf({"committed produce0", "committed produce1", "committed produce2"}));
  KafkaStranger stranger(brokers_.address());
  EXPECT_THAT(stranger.Read("made", 3, 1), SizeIs(3));
  const auto made = stranger.Read("made.event", 3, 1);
  ASSERT_THAT(made, SizeIs(3));
  EXPECT_EQ(made[0].key, "k");
  EXPECT_THAT(made[0].headers, Contains(Pair("ce_type", "made.event")));
  // The mock forgets the offsets of a transaction; tests/faults looks at them on real brokers
  // (K-10).
}

TEST_F(KafkaWorker, ATransactionThatFailsIsNoAttempt) {
  brokers_.CreateTopic("made", 1);
  brokers_.CreateTopic("made.event", 1);
  Kafka mine = options();
  mine.transactional_id = "workers-0";
  mine.policy.max_attempts = 1;
  KafkaNode node(seen_, mine);
  brokers_.FailRequests(KafkaMock::kAddOffsetsToTxn,
                        {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED});
  EchoClient events = client();
  SyncWait(events.OnSaid(Said("produce")));
  EXPECT_TRUE(Eventually([&] { return seen_.Count("committed produce") == 1; }));
  EXPECT_EQ(seen_.Count("produce#1"), 2U) << "aborted, and handled again from the beginning";
  EXPECT_TRUE(Eventually([&] { return node.stats().handled == 1; }));
  EXPECT_EQ(node.stats().dead_letters, 0U);
}

TEST_F(KafkaWorker, AnotherInstanceOfTheSameTransactionsTakesOver) {
  brokers_.CreateTopic("made", 1);
  brokers_.CreateTopic("made.event", 1);
  Kafka mine = member();
  mine.transactional_id = "workers-0";
  KafkaNode node(seen_, mine);
  brokers_.FailRequests(KafkaMock::kEndTxn, {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH});
  EchoClient events = client();
  SyncWait(events.OnSaid(Said("produce")));
  EXPECT_TRUE(Eventually([&] { return !node.app().ready(); }));
  EXPECT_TRUE(Eventually([&] { return node.stats().partitions.empty(); }));
  EXPECT_EQ(node.stats().dead_letters, 0U);
  EXPECT_EQ(node.stats().handled, 0U);
}

}  // namespace
}  // namespace rookery::testing
