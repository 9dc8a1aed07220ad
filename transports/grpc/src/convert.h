// Small conversions between gRPC's C types and ours.
#ifndef ROOKERY_TRANSPORTS_GRPC_SRC_CONVERT_H_
#define ROOKERY_TRANSPORTS_GRPC_SRC_CONVERT_H_

#include <grpc/grpc.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>

#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "absl/strings/string_view.h"
#include "rookery/rpc/metadata.h"
#include "rookery/runtime/context.h"

namespace rookery::grpc_adapter {

// Both clocks are CLOCK_MONOTONIC.
[[nodiscard]] gpr_timespec ToTimespec(Deadline deadline) noexcept;
[[nodiscard]] Deadline ToDeadline(gpr_timespec time) noexcept;

// Debian's Abseil has a string_view of its own.
[[nodiscard]] inline absl::string_view Absl(std::string_view text) noexcept {
  return {text.data(), text.size()};
}
[[nodiscard]] inline std::string_view Std(absl::string_view text) noexcept {
  return {text.data(), text.size()};
}

[[nodiscard]] inline std::string_view View(const grpc_slice& slice) noexcept {
  return {reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice)), GRPC_SLICE_LENGTH(slice)};
}
// A slice onto memory that outlives it.
[[nodiscard]] inline grpc_slice Borrow(std::string_view text) noexcept {
  return grpc_slice_from_static_buffer(text.data(), text.size());
}
[[nodiscard]] inline grpc_slice Copy(std::string_view text) noexcept {
  return grpc_slice_from_copied_buffer(text.data(), text.size());
}

// What HTTP/2 counts for a field: RFC 9113, 6.5.2.
inline constexpr std::size_t kFieldOverhead = 32;
[[nodiscard]] std::size_t SizeOf(const grpc_metadata_array& metadata) noexcept;
// Appends all fields.
void AppendTo(Metadata& out, const grpc_metadata_array& metadata);

// Metadata to send, as gRPC wants it. The bytes are copied into counted slices, so that whatever
// happens to the source afterwards cannot be seen by the transport.
class OutgoingMetadata final {
 public:
  OutgoingMetadata() = default;
  ~OutgoingMetadata() { Clear(); }
  OutgoingMetadata(const OutgoingMetadata&) = delete;
  OutgoingMetadata& operator=(const OutgoingMetadata&) = delete;

  void Add(const Metadata& metadata);
  void Add(std::string_view key, std::string_view value);
  void Clear() noexcept;
  [[nodiscard]] grpc_metadata* data() noexcept { return fields_.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return fields_.size(); }

 private:
  std::vector<grpc_metadata> fields_;
};

}  // namespace rookery::grpc_adapter

#endif  // ROOKERY_TRANSPORTS_GRPC_SRC_CONVERT_H_
