// The real Apache Kafka that the tests over Kafka share, and what they say when there is none.
//
//   KafkaPeek peek(SharedKafka().plain());            // throws Skip
//   return {{"K-tls", "...", OrSkip(Tls)}};
#ifndef ROOKERY_TESTS_FAULTS_KAFKA_SHARED_H_
#define ROOKERY_TESTS_FAULTS_KAFKA_SHARED_H_

#include <functional>
#include <stdexcept>
#include <string>

#include "faults.h"
#include "support/kafka_broker.h"

namespace rookery::faults {

// Thrown where a test cannot be run: the reason.
class Skip final : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Started at the first call, with ACLs and a user, ended at the end. Whoever uses it has topics and
// groups of its own, by this prefix; who kills or changes it starts one of its own instead.
[[nodiscard]] testing::KafkaBroker& SharedKafka();
[[nodiscard]] std::string FreshPrefix();
inline constexpr char kKafkaUser[] = "alice";
inline constexpr char kKafkaPassword[] = "wonder-land-1";

// `run`, or a row that says loudly why not.
[[nodiscard]] std::function<Row(const Environment& environment)> OrSkip(
    std::function<Row(const Environment& environment)> run);

}  // namespace rookery::faults

#endif  // ROOKERY_TESTS_FAULTS_KAFKA_SHARED_H_
