// Kafka's options: what is refused, with which words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "rookery/transports/kafka.h"
#include "support/kafka_mock.h"

namespace rookery::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Wrong(const Kafka& options) {
  return std::string(CheckKafkaOptions(options).message());
}

TEST(KafkaOptions, DefaultsAreGood) {
  EXPECT_EQ(CheckKafkaOptions(Kafka()), absl::OkStatus());
  EXPECT_EQ(CheckKafkaOptions(KafkaMock().Options()), absl::OkStatus());
}

TEST(KafkaOptions, AllFaultsAtOnce) {
  Kafka options;
  options.brokers = "kafka://a:9092";
  options.prefix = "a b";
  options.concurrency = 0;
  options.sasl = KafkaSasl::kScramSha256;
  options.retry_topics = {milliseconds(1'000), milliseconds(10)};
  options.rebalance_grace = options.max_poll_interval;
  EXPECT_THAT(Wrong(options),
              AllOf(HasSubstr("without a scheme"), HasSubstr("prefix"), HasSubstr("concurrency"),
                    HasSubstr("sasl needs a user"), HasSubstr("password"),
                    HasSubstr("retry_topics must grow"), HasSubstr("rebalance_grace")));
}

TEST(KafkaOptions, PasswordsInTheClearAreRefused) {
  Kafka options;
  options.brokers = "kafka.example:9092";
  options.sasl = KafkaSasl::kPlain;
  options.user = "ada";
  options.password = "secret";
  EXPECT_THAT(Wrong(options), AllOf(HasSubstr("allow_plain_text"), Not(HasSubstr("secret"))));
  options.tls.emplace();
  EXPECT_EQ(CheckKafkaOptions(options), absl::OkStatus());
  options.tls.reset();
  options.allow_plain_text = true;
  EXPECT_EQ(CheckKafkaOptions(options), absl::OkStatus());
  options.allow_plain_text = false;
  options.brokers = "localhost:9092,127.0.0.1:9093";
  EXPECT_EQ(CheckKafkaOptions(options), absl::OkStatus());
}

TEST(KafkaOptions, SettingsOfLibrdkafka) {
  Kafka options;
  options.settings = {{"fetch.wait.max.ms", "50"}};
  EXPECT_EQ(CheckKafkaOptions(options), absl::OkStatus());
  options.settings = {{"fetch.wait.mox.ms", "50"}};
  EXPECT_THAT(Wrong(options), HasSubstr("fetch.wait.mox.ms"));
  options.settings = {{"enable.auto.offset.store", "true"}};
  EXPECT_THAT(Wrong(options), HasSubstr("is not to be set"));
}

TEST(KafkaOptions, OneConsumerWhereOneIsNamed) {
  Kafka options;
  options.consumers = 2;
  options.instance_id = "ledger-0";
  options.transactional_id = "ledger-0";
  EXPECT_THAT(Wrong(options), AllOf(HasSubstr("instance_id"), HasSubstr("transactional_id")));
}

}  // namespace
}  // namespace rookery::testing
