// What all kinds of calls have in common: bodies that are read, and formats that are agreed on.
#ifndef ROOKERY_SRC_GATEWAY_CALLS_H_
#define ROOKERY_SRC_GATEWAY_CALLS_H_

#include <memory>
#include <string>
#include <string_view>

#include <google/protobuf/message.h>

#include "absl/status/status.h"
#include "edge.h"
#include "rookery/runtime/task.h"

namespace rookery::internal::gateway {

// What keeps a request from being served, with the HTTP code if the status' own will not do.
class Refusal final {
 public:
  Refusal() = default;
  Refusal(absl::Status s, int c = 0) : status(std::move(s)), code(c) {}  // NOLINT: a status is one
  [[nodiscard]] bool ok() const noexcept { return status.ok(); }
  absl::Status status;
  int code = 0;
};

// How the request's body is written.
struct BodyFormat {
  bool gzip = false;
  std::string_view content_type;
};
// 415, with what would do, unless the body can be read: as it is (`raw`), as lines of JSON, as
// JSON.
[[nodiscard]] Refusal CheckBody(InboundCall& call, bool raw, bool lines, BodyFormat* format);
// 406 unless the peer takes JSON.
[[nodiscard]] Refusal CheckAccept(const InboundCall& call);
// 413, 408, 400 for a body that could not be read.
[[nodiscard]] Refusal RefusalOfBody(absl::Status status);

// The one message of a request: body, path and query. `message` is as new.
[[nodiscard]] Task<Refusal> ReadRequest(Routed routed, google::protobuf::Message* message);

// Ends a call that has one answer: `response` as JSON, or, unless `status` is OK, its refusal.
[[nodiscard]] Task<void> AnswerUnary(Routed routed, OutgoingCall& outgoing,
                                     const google::protobuf::Message& response,
                                     absl::Status status);

}  // namespace rookery::internal::gateway

#endif  // ROOKERY_SRC_GATEWAY_CALLS_H_
