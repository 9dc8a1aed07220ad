// ProtoJSON: protobuf messages as JSON and back, as the protobuf specification maps them.
//
//   absl::StatusOr<std::string> text = rookery::MessageToJson(order);
//   shop::v1::Order order;
//   absl::Status read = rookery::JsonToMessage(R"({"lines": [{"quantity": 2}]})", &order);
//   // Of {"lines": [{}, {"quantity": 1e400}]}: INVALID_ARGUMENT,
//   //     lines[1].quantity: 1e400 is out of range for int32
//
// https://protobuf.dev/programming-guides/json/ is the rule; docs/json.md lists each choice it leaves
// open, and where protobuf's own json_util does otherwise.
#ifndef ROOKERY_RPC_JSON_H_
#define ROOKERY_RPC_JSON_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace google::protobuf {
class Descriptor;
class DescriptorPool;
class FieldDescriptor;
class Message;
}  // namespace google::protobuf

namespace rookery {

namespace internal::json {
class Plans;
}

// No JSON of ours nests deeper, nor do the messages that it stands for: protobuf's own limit.
inline constexpr int kJsonMaxDepth = 100;

struct JsonWriteOptions {
  // Names as the proto file has them (order_id), not in lowerCamelCase or as json_name says.
  bool preserve_proto_names = false;
  // Fields that cannot be told from unset (implicit presence, repeated, maps) are written even if
  // they have their default value: 0, "", [], {}.
  bool always_print_fields_with_no_presence = false;
  // Numbers for enum values, not names.
  bool enums_as_numbers = false;
  // Maps in the order of their keys, so that equal messages give equal text. Costs a sort.
  bool sort_map_keys = false;
  // Indented by two spaces, for people.
  bool pretty = false;
  // An Any of a type that is not linked in becomes {"@type": ..., "value": "<base64>"}, where it
  // would be an error. For error details: what cannot be shown must not hide the error.
  bool unknown_any_as_base64 = false;
};

struct JsonReadOptions {
  // Passes over names that the message does not have, and over unknown names of enum values. They
  // must be well-formed JSON all the same.
  bool ignore_unknown_fields = false;
  // How deep {} and [] may nest; at most kJsonMaxDepth.
  int max_depth = kJsonMaxDepth;
};

// Where and why something failed: the two halves of the status' message.
struct JsonFault {
  std::string path;    // "lines[1].quantity"; empty: the whole
  std::string reason;  // "1e400 is out of range for int32"
};

// All of these are thread-safe, take any message (generated or dynamic, on an arena or not), and
// fail with INVALID_ARGUMENT and "<path>: <reason>" unless it says otherwise. Names in paths are
// the ones of JSON.
//
// Messages of a DescriptorPool other than the generated one are compiled anew on each call, since
// the pool may end at any time: whoever handles many keeps a JsonCodec beside the pool.

// Fails for what has no JSON: text that is not UTF-8, a Timestamp outside the years 1 to 9999, a
// Value without a kind, an Any of unknown type. RESOURCE_EXHAUSTED above 2 GiB. Required fields are
// not asked for.
[[nodiscard]] absl::StatusOr<std::string> MessageToJson(const google::protobuf::Message& message,
                                                        const JsonWriteOptions& options = {});
// The same, behind what `out` holds; on failure `out` is as it was.
[[nodiscard]] absl::Status AppendMessageAsJson(const google::protobuf::Message& message,
                                               const JsonWriteOptions& options, std::string* out,
                                               JsonFault* fault = nullptr);

// Replaces `message` by what `json` says. A message that could not be read is left as it was,
// unless required fields are all that it lacks.
[[nodiscard]] absl::Status JsonToMessage(std::string_view json, google::protobuf::Message* message,
                                         const JsonReadOptions& options = {},
                                         JsonFault* fault = nullptr);

// One field's value: {"response_body": "lines"} and {"body": "order"} of google.api.http.
// Writing an unset field gives its default; null for a message.
[[nodiscard]] absl::Status AppendFieldAsJson(const google::protobuf::Message& message,
                                             const google::protobuf::FieldDescriptor& field,
                                             const JsonWriteOptions& options, std::string* out,
                                             JsonFault* fault = nullptr);
// Replaces one field of `message`, whose other fields stay; null clears it.
[[nodiscard]] absl::Status JsonToField(std::string_view json,
                                       const google::protobuf::FieldDescriptor& field,
                                       google::protobuf::Message* message,
                                       const JsonReadOptions& options = {},
                                       JsonFault* fault = nullptr);
// Sets a field from text as URLs have it: JSON without the quotes ("17", "RED", "2026-01-01T00:00Z"
// is not: seconds are a must). Appends to a repeated field. For scalars, enums and the well-known
// types whose JSON is one value; INVALID_ARGUMENT for maps and other messages.
[[nodiscard]] absl::Status TextToField(std::string_view text,
                                       const google::protobuf::FieldDescriptor& field,
                                       google::protobuf::Message* message,
                                       JsonFault* fault = nullptr);

// The same for the messages of one DescriptorPool, each compiled once.
//
//   google::protobuf::DescriptorPool pool = ...;   // of files that came over the wire, say
//   rookery::JsonCodec codec(&pool);
//   absl::Status read = codec.Read(json, dynamic_message.get());
//
// Not needed for generated messages. Thread-safe. The pool, and what it was built on, outlive the
// codec; so do the messages' factories. Types in Any are looked for in `pool`.
class JsonCodec final {
 public:
  explicit JsonCodec(const google::protobuf::DescriptorPool* pool);
  JsonCodec(const JsonCodec&) = delete;
  JsonCodec& operator=(const JsonCodec&) = delete;
  ~JsonCodec();

  // INVALID_ARGUMENT for a message whose type is not of the pool (nor of the one under it).
  [[nodiscard]] absl::Status Append(const google::protobuf::Message& message,
                                    const JsonWriteOptions& options, std::string* out,
                                    JsonFault* fault = nullptr) const;
  [[nodiscard]] absl::Status Read(std::string_view json, google::protobuf::Message* message,
                                  const JsonReadOptions& options = {},
                                  JsonFault* fault = nullptr) const;

 private:
  const std::unique_ptr<internal::json::Plans> plans_;
};

}  // namespace rookery

#endif  // ROOKERY_RPC_JSON_H_
