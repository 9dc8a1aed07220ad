// What all processes of the shop say to Kafka.
#ifndef SHOP_KAFKA_H_
#define SHOP_KAFKA_H_

#include <string>

#include "rookery/transports/kafka.h"

namespace shop {

inline rookery::Kafka KafkaOf(const std::string& brokers) {
  rookery::Kafka kafka{.brokers = brokers};
  // The demonstration's mock brokers answer a fetch that finds nothing at the end of its time, and
  // no sooner; real ones answer as soon as there is something.
  kafka.settings["fetch.wait.max.ms"] = "1";
  return kafka;
}

}  // namespace shop

#endif  // SHOP_KAFKA_H_
