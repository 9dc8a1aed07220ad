// MockKafka: librdkafka's mock brokers for other processes, told what to do line by line.
//
//   $ mock_kafka --brokers=3 --topic=payments:12
//   READY 127.0.0.1:40001,127.0.0.1:40002,127.0.0.1:40003
//   errors Produce NOT_LEADER_FOR_PARTITION REQUEST_TIMED_OUT
//   OK
//
// They listen on 127.0.0.1, on ports of their own, keep 100,000 records (or 5 MiB) of a partition
// in memory, and simulate neither Admin, SASL, TLS nor what read_committed hides: docs/kafka.md.
#ifndef ROOKERY_TESTS_SUPPORT_MOCK_KAFKA_H_
#define ROOKERY_TESTS_SUPPORT_MOCK_KAFKA_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace rookery::testing {

// Thread-safe.
class MockKafka final {
  class Impl;

 public:
  // Null, and the reason on standard error, if they cannot be started.
  [[nodiscard]] static std::unique_ptr<MockKafka> Start(int brokers);
  explicit MockKafka(std::unique_ptr<Impl> impl);  // use Start
  ~MockKafka();
  MockKafka(const MockKafka&) = delete;
  MockKafka& operator=(const MockKafka&) = delete;

  // "127.0.0.1:40001,127.0.0.1:40002".
  [[nodiscard]] std::string bootstraps() const;

  // Obeys one line, and answers "OK" or "ERROR why". BROKER is its number from 1, or "all"; API a
  // request's name ("Produce") or number; ERROR its name as librdkafka has it
  // ("NOT_LEADER_FOR_PARTITION"; "_TRANSPORT" closes the connection) or number.
  //
  //   topic NAME PARTITIONS [REPLICAS]
  //   topic-error NAME ERROR             NO_ERROR mends it
  //   errors API ERROR...                the next requests to any broker, one with each
  //   broker-errors BROKER API ERROR[:MS]...   the same to one, answered MS later
  //   clear API                          forgets what is left of these
  //   rtt BROKER MS                      each answer is MS later
  //   down BROKER, up BROKER
  //   leader TOPIC PARTITION BROKER      -1: there is none
  //   coordinator group|transaction KEY BROKER
  //   apiversion API LEAST MOST          -1 -1: does not know it
  //   bootstraps
  [[nodiscard]] std::string Obey(std::string_view line);

 private:
  const std::unique_ptr<Impl> impl_;
};

// The program. `arguments`: [--brokers=N] [--topic=NAME:PARTITIONS[:REPLICAS]]... [--no-stdin]
// Says "READY " and the bootstraps, and obeys lines until standard input is closed (--no-stdin:
// until SIGTERM, which ends it in any case). Returns the exit code.
[[nodiscard]] int RunMockKafka(const std::vector<std::string>& arguments);

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_SUPPORT_MOCK_KAFKA_H_
