#include "convert.h"

#include <chrono>

namespace rookery::grpc_adapter {
namespace {

constexpr std::int64_t kNanosPerSecond = 1'000'000'000;

}  // namespace

gpr_timespec ToTimespec(Deadline deadline) noexcept {
  if (deadline == kNoDeadline) return gpr_inf_future(GPR_CLOCK_MONOTONIC);
  const std::int64_t nanos =
      std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch()).count();
  gpr_timespec time;
  time.clock_type = GPR_CLOCK_MONOTONIC;
  time.tv_sec = nanos / kNanosPerSecond;
  time.tv_nsec = static_cast<std::int32_t>(nanos % kNanosPerSecond);
  return time;
}

Deadline ToDeadline(gpr_timespec time) noexcept {
  if (time.tv_sec == std::numeric_limits<std::int64_t>::max()) return kNoDeadline;
  if (time.clock_type != GPR_CLOCK_MONOTONIC) [[unlikely]] {
    time = gpr_convert_clock_type(time, GPR_CLOCK_MONOTONIC);
  }
  if (time.tv_sec > std::numeric_limits<std::int64_t>::max() / kNanosPerSecond - 1) {
    return kNoDeadline;
  }
  return Deadline(std::chrono::duration_cast<Deadline::duration>(
      std::chrono::nanoseconds(time.tv_sec * kNanosPerSecond + time.tv_nsec)));
}

std::size_t SizeOf(const grpc_metadata_array& metadata) noexcept {
  std::size_t size = 0;
  for (std::size_t i = 0; i < metadata.count; ++i) {
    size += GRPC_SLICE_LENGTH(metadata.metadata[i].key) +
            GRPC_SLICE_LENGTH(metadata.metadata[i].value) + kFieldOverhead;
  }
  return size;
}

void AppendTo(Metadata& out, const grpc_metadata_array& metadata) {
  for (std::size_t i = 0; i < metadata.count; ++i) {
    out.AddUnchecked(View(metadata.metadata[i].key), View(metadata.metadata[i].value));
  }
}

void OutgoingMetadata::Add(const Metadata& metadata) {
  fields_.reserve(fields_.size() + metadata.size());
  for (const Metadata::Entry& entry : metadata) Add(entry.first, entry.second);
}

void OutgoingMetadata::Add(std::string_view key, std::string_view value) {
  grpc_metadata field = {};
  field.key = Copy(key);
  field.value = Copy(value);
  fields_.push_back(field);
}

void OutgoingMetadata::Clear() noexcept {
  for (grpc_metadata& field : fields_) {
    grpc_slice_unref(field.key);
    grpc_slice_unref(field.value);
  }
  fields_.clear();
}

}  // namespace rookery::grpc_adapter
