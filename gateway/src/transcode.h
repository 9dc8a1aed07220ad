// Transcoding: which routes a method has by google.api.http, and how a request's parts become its
// message and the answer's message becomes a body.
//
//   absl::StatusOr<std::vector<Binding>> bindings = BindingsOf(*handler->descriptor().proto(), {});
//   absl::Status read = FillRequest(binding, match.segments, query, body, options, &message);
//   absl::Status written = AppendResponse(binding, reply, options, &text);
#ifndef ROOKERY_SRC_GATEWAY_TRANSCODE_H_
#define ROOKERY_SRC_GATEWAY_TRANSCODE_H_

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "path_template.h"
#include "rookery/rpc/json.h"

namespace rookery::internal::gateway {

using FieldPath = std::vector<const google::protobuf::FieldDescriptor*>;

struct BoundVariable {
  FieldPath field;
  PathVariable variable;
};

// One route of one method.
struct Binding {
  std::string http_method;  // "GET"; "*": any
  std::string path;         // as written
  PathTemplate path_template;
  std::vector<BoundVariable> variables;
  bool whole_body = false;                                      // body: "*"
  const google::protobuf::FieldDescriptor* body = nullptr;      // body: "field"
  const google::protobuf::FieldDescriptor* response = nullptr;  // response_body: "field"

  [[nodiscard]] bool takes_body() const noexcept { return whole_body || body != nullptr; }
};

enum class DefaultBinding { kUnannotated, kAll, kNone };

// All routes of `method`, additional bindings included. INVALID_ARGUMENT with every fault, one a
// line, each naming the method, the path and the mend.
[[nodiscard]] absl::StatusOr<std::vector<Binding>> BindingsOf(
    const google::protobuf::MethodDescriptor& method, DefaultBinding default_binding);

struct TranscodeOptions {
  JsonReadOptions read = {};
  JsonWriteOptions write = {};
  bool ignore_unknown_query_parameters = false;
  std::size_t max_query_parameters = 256;
  bool fully_decode_reserved_expansion = false;
};

struct RequestParts {
  std::span<const std::string_view> segments;
  std::string_view query;  // without the '?'
  std::string_view body;
  std::string_view content_type;
};

// Whether the body (or the message that is the body) is a google.api.HttpBody, and so taken raw.
[[nodiscard]] bool TakesRawBody(const Binding& binding,
                                const google::protobuf::Descriptor& request);
[[nodiscard]] bool GivesRawBody(const Binding& binding,
                                const google::protobuf::Descriptor& response);

// INVALID_ARGUMENT, with the field and why, and a google.rpc.BadRequest with the same; what was
// read so far is left in `message`.
[[nodiscard]] absl::Status FillRequest(const Binding& binding, const RequestParts& parts,
                                       const TranscodeOptions& options,
                                       google::protobuf::Message* message);
// The parts that are not the body: for streams, whose bodies are read message by message.
[[nodiscard]] absl::Status FillFromUrl(const Binding& binding, const RequestParts& parts,
                                       const TranscodeOptions& options,
                                       google::protobuf::Message* message);

// Appends the body, and sets `content_type` for HttpBody (else "application/json").
[[nodiscard]] absl::Status AppendResponse(const Binding& binding,
                                          const google::protobuf::Message& message,
                                          const TranscodeOptions& options, std::string* out,
                                          std::string* content_type);

// The HTTP code that stands for a canonical one.
[[nodiscard]] int HttpCodeOf(absl::StatusCode code) noexcept;
// google.rpc.Status as JSON; never fails: what cannot be shown is left out.
[[nodiscard]] std::string StatusAsJson(const absl::Status& status);

}  // namespace rookery::internal::gateway

#endif  // ROOKERY_SRC_GATEWAY_TRANSCODE_H_
