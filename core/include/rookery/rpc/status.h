// Status: errors of calls are absl::Status, with google.rpc.Status details attached.
//
//   google::rpc::BadRequest bad = ...;
//   co_return rookery::WithDetails(absl::InvalidArgumentError("bad order"), bad);
//   ...
//   std::optional<google::rpc::BadRequest> bad =
//       rookery::GetDetail<google::rpc::BadRequest>(status);
//
// Details travel as grpc-status-details-bin (a serialised google.rpc.Status) or its like elsewhere.
#ifndef ROOKERY_RPC_STATUS_H_
#define ROOKERY_RPC_STATUS_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace google::protobuf {
class Message;
}

namespace rookery {

// The payload of an absl::Status under which a serialised google.rpc.Status is kept.
inline constexpr char kStatusDetailsPayload[] = "type.googleapis.com/google.rpc.Status";

// `status` with `detail` appended to its details (an OK status stays as it is).
[[nodiscard]] absl::Status WithDetails(absl::Status status,
                                       const google::protobuf::Message& detail);

// One detail: its type ("google.rpc.BadRequest") and serialised bytes.
struct StatusDetail {
  std::string type_url;
  std::string value;
};
[[nodiscard]] std::vector<StatusDetail> DetailsOf(const absl::Status& status);

// Finds the first detail of that message's type and parses it into `into`; false if there is none.
[[nodiscard]] bool FindDetail(const absl::Status& status, google::protobuf::Message* into);
template <class M>
[[nodiscard]] std::optional<M> GetDetail(const absl::Status& status) {
  M detail;
  if (!FindDetail(status, &detail)) return std::nullopt;
  return detail;
}

// For transports: the bytes of grpc-status-details-bin for `status` (empty: no details), and back.
// Bytes that do not parse are dropped: the code and message still count.
[[nodiscard]] std::string SerializeDetails(const absl::Status& status);
[[nodiscard]] absl::Status MakeStatus(int code, std::string_view message,
                                      std::string_view serialized_details);

// What may be shown to the peer: the code, the message cut to 4 KiB at a character's end, and the
// details. An INTERNAL made from a foreign exception becomes "Internal error (incident ID)", logged
// with the text under that id.
[[nodiscard]] absl::Status ForPeer(const absl::Status& status);

namespace internal {

// Told of each foreign exception that ForPeer hides: its incident id and its text. The log installs
// itself here; null stands for a line on stderr. Returns the previous hook.
using IncidentHook = void (*)(std::string_view incident, std::string_view what);
IncidentHook SetIncidentHook(IncidentHook hook) noexcept;

}  // namespace internal

}  // namespace rookery

#endif  // ROOKERY_RPC_STATUS_H_
