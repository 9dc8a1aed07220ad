// Events as records. Private.
#ifndef ROOKERY_TRANSPORTS_KAFKA_SRC_EVENTS_H_
#define ROOKERY_TRANSPORTS_KAFKA_SRC_EVENTS_H_

#include <mutex>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "connection.h"
#include "rookery/rpc/descriptor.h"
#include "rookery/rpc/metadata.h"
#include "rookery/rpc/wire.h"
#include "rpc/worker_key.h"

namespace rookery::kafka_adapter {

// The key of an event, by its proto. Thread-safe.
class EventKeys final {
 public:
  // Empty: none.
  [[nodiscard]] std::string Of(const MethodDescriptor& method,
                               const google::protobuf::Message& event);

 private:
  std::mutex mutex_;
  absl::flat_hash_map<std::string_view, internal::KeyPath> keys_;  // guarded by mutex_
};

// One event, encoded; what the record has views of.
struct EncodedEvent {
  OutboundMessage out;
  std::string topic;
  std::string body;
  std::string key;
  OutRecord record;
};
// `type`: CloudEvents' type. `metadata` outlives the event; may be empty.
[[nodiscard]] absl::Status EncodeEvent(const Kafka& options, std::string topic,
                                       std::string_view type, std::string key,
                                       const google::protobuf::Message& event,
                                       const Metadata& metadata, EncodedEvent* encoded);

}  // namespace rookery::kafka_adapter

#endif  // ROOKERY_TRANSPORTS_KAFKA_SRC_EVENTS_H_
