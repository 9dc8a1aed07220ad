// The key of an event, by the name of a field. Private.
#ifndef ROOKERY_SRC_RPC_WORKER_KEY_H_
#define ROOKERY_SRC_RPC_WORKER_KEY_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace google::protobuf {
class Descriptor;
class FieldDescriptor;
class Message;
}  // namespace google::protobuf

namespace rookery::internal {

using KeyPath = std::vector<const google::protobuf::FieldDescriptor*>;

// "order.customer_id", from the message outwards. INVALID_ARGUMENT if there is no such field.
[[nodiscard]] absl::StatusOr<KeyPath> KeyPathOf(const std::string& field,
                                                const google::protobuf::Descriptor& event);
// The value as text; empty if it, or what it is in, is not set.
[[nodiscard]] std::string KeyAt(const KeyPath& path, const google::protobuf::Message& event);

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_RPC_WORKER_KEY_H_
