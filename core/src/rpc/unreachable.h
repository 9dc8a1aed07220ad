// Unreachable: what a transport says of a failure of its own, with hosts, ports and files in it.
//
//   status_ = internal::Unreachable(absl::UnavailableError("no route to 10.0.7.3:9092"));
//
// Whoever made the call reads all of it. If the status goes on to a peer (a handler lets a client's
// failure through, or a gateway forwarded the call), ForPeer logs the text and shows another.
#ifndef ROOKERY_SRC_RPC_UNREACHABLE_H_
#define ROOKERY_SRC_RPC_UNREACHABLE_H_

#include "absl/status/status.h"
#include "absl/strings/cord.h"

namespace rookery::internal {

inline constexpr char kUnreachablePayload[] = "rookery.unreachable";

// Marks an UNAVAILABLE; all others stay as they are.
[[nodiscard]] inline absl::Status Unreachable(absl::Status status) {
  if (absl::IsUnavailable(status)) status.SetPayload(kUnreachablePayload, absl::Cord());
  return status;
}

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_RPC_UNREACHABLE_H_
