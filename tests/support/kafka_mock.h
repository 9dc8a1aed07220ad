// KafkaMock: librdkafka's mock brokers inside this process, for tests.
//
//   KafkaMock brokers;
//   brokers.CreateTopic("payments", 4);
//   Kafka options = brokers.Options();              // brokers' address, settings that fit a test
//   brokers.FailRequests(kProduce, {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION});
//
// What they cannot do: docs/kafka.md, "The mock". They listen on 127.0.0.1, on ports of their own.
#ifndef ROOKERY_TESTS_SUPPORT_KAFKA_MOCK_H_
#define ROOKERY_TESTS_SUPPORT_KAFKA_MOCK_H_

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <string>
#include <vector>

#include "rookery/transports/kafka.h"

namespace rookery::testing {

class KafkaMock final {
 public:
  // Kafka's numbers of its requests.
  enum ApiKey : std::int16_t {
    kProduce = 0,
    kFetch = 1,
    kListOffsets = 2,
    kMetadata = 3,
    kOffsetCommit = 8,
    kOffsetFetch = 9,
    kFindCoordinator = 10,
    kJoinGroup = 11,
    kHeartbeat = 12,
    kInitProducerId = 22,
    kAddPartitionsToTxn = 24,
    kAddOffsetsToTxn = 25,
    kEndTxn = 26,
    kTxnOffsetCommit = 28,
  };

  explicit KafkaMock(int brokers = 1) : count_(brokers) {
    rd_kafka_conf_t* const conf = rd_kafka_conf_new();
    char why[256];
    rd_kafka_conf_set(conf, "client.id", "mock", why, sizeof why);
    rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why);
    client_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (client_ == nullptr) std::abort();
    cluster_ = rd_kafka_mock_cluster_new(client_, brokers);
    if (cluster_ == nullptr) std::abort();
  }
  ~KafkaMock() {
    rd_kafka_mock_cluster_destroy(cluster_);
    rd_kafka_destroy(client_);
  }
  KafkaMock(const KafkaMock&) = delete;
  KafkaMock& operator=(const KafkaMock&) = delete;

  [[nodiscard]] std::string address() const { return rd_kafka_mock_cluster_bootstraps(cluster_); }
  // The mock answers a fetch that finds nothing when its time is over, and no sooner: keep it
  // short.
  [[nodiscard]] Kafka Options() const {
    Kafka options;
    options.brokers = address();
    options.settings["fetch.wait.max.ms"] = "10";
    options.settings["retry.backoff.ms"] = "20";
    options.commit_interval = std::chrono::milliseconds(50);
    options.session_timeout = std::chrono::milliseconds(6'000);
    options.heartbeat_interval = std::chrono::milliseconds(200);
    return options;
  }

  void CreateTopic(const std::string& name, int partitions) {
    rd_kafka_mock_topic_create(cluster_, name.c_str(), partitions, count_);
  }
  void FailTopic(const std::string& name, rd_kafka_resp_err_t error) {
    rd_kafka_mock_topic_set_error(cluster_, name.c_str(), error);
  }
  // The next requests of that kind fail, one with each of these.
  void FailRequests(ApiKey key, const std::vector<rd_kafka_resp_err_t>& errors) {
    rd_kafka_mock_push_request_errors_array(cluster_, key, errors.size(), errors.data());
  }
  void SetDown() {
    for (int i = 1; i <= count_; ++i) rd_kafka_mock_broker_set_down(cluster_, i);
  }
  void SetUp() {
    for (int i = 1; i <= count_; ++i) rd_kafka_mock_broker_set_up(cluster_, i);
  }
  void SetRoundTrip(std::chrono::milliseconds time) {
    for (int i = 1; i <= count_; ++i) {
      rd_kafka_mock_broker_set_rtt(cluster_, i, static_cast<int>(time.count()));
    }
  }
  [[nodiscard]] rd_kafka_mock_cluster_t* cluster() const noexcept { return cluster_; }

 private:
  const int count_;
  rd_kafka_t* client_ = nullptr;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
};

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_SUPPORT_KAFKA_MOCK_H_
