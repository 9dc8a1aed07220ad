#include "support/mock_kafka.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include <memory>
#include <string>

namespace rookery::testing {
namespace {

using ::testing::StartsWith;

TEST(MockKafka, HasTheTopicsItWasTold) {
  const std::unique_ptr<MockKafka> mock = MockKafka::Start(2);
  ASSERT_NE(mock, nullptr);
  EXPECT_EQ(mock->Obey("topic payments 12"), "OK");
  EXPECT_EQ(mock->Obey("bootstraps"), "OK " + mock->bootstraps());

  char why[256] = "";
  rd_kafka_conf_t* const conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "bootstrap.servers", mock->bootstraps().c_str(), why, sizeof why);
  rd_kafka_t* const client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
  ASSERT_NE(client, nullptr) << why;
  rd_kafka_topic_t* const topic = rd_kafka_topic_new(client, "payments", nullptr);
  const rd_kafka_metadata_t* metadata = nullptr;
  ASSERT_EQ(rd_kafka_metadata(client, 0, topic, &metadata, 20'000), RD_KAFKA_RESP_ERR_NO_ERROR);
  EXPECT_EQ(metadata->broker_cnt, 2);
  ASSERT_EQ(metadata->topic_cnt, 1);
  EXPECT_EQ(metadata->topics[0].partition_cnt, 12);
  rd_kafka_metadata_destroy(metadata);
  rd_kafka_topic_destroy(topic);
  rd_kafka_destroy(client);
}

TEST(MockKafka, SaysWhatIsWrongWithALine) {
  const std::unique_ptr<MockKafka> mock = MockKafka::Start(1);
  ASSERT_NE(mock, nullptr);
  for (const char* good :
       {"errors Produce NOT_LEADER_FOR_PARTITION 7", "broker-errors 1 Fetch _TRANSPORT:10",
        "clear Produce", "rtt all 5", "rtt 1 0", "down 1", "up all", "coordinator group g 1",
        "topic a 1", "leader a 0 1", "topic-error a TOPIC_AUTHORIZATION_FAILED",
        "topic-error a NO_ERROR", "apiversion EndTxn -1 -1"}) {
    EXPECT_EQ(mock->Obey(good), "OK") << good;
  }
  for (const char* bad :
       {"", "dance", "errors", "errors Produce", "errors Nothing 7", "errors Produce NO_SUCH",
        "rtt 2 5", "rtt 1 soon", "rtt 1", "down", "leader a", "topic a", "topic a none",
        "broker-errors 1 Fetch 7:soon", "coordinator group g", "apiversion EndTxn"}) {
    EXPECT_THAT(mock->Obey(bad), StartsWith("ERROR ")) << bad;
  }
}

}  // namespace
}  // namespace rookery::testing
