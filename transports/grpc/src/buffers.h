// Messages to and from gRPC's byte buffers.
#ifndef ROOKERY_TRANSPORTS_GRPC_SRC_BUFFERS_H_
#define ROOKERY_TRANSPORTS_GRPC_SRC_BUFFERS_H_

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>

#include <cstddef>
#include <string_view>
#include <utility>

#include "absl/status/status.h"

namespace google::protobuf {
class Message;
}

namespace rookery::grpc_adapter {

// A byte buffer to send from, refilled for every message: gRPC takes the slices and leaves the
// shell.
class SendBuffer final {
 public:
  SendBuffer() noexcept : buffer_(grpc_raw_byte_buffer_create(nullptr, 0)) {}
  ~SendBuffer() { grpc_byte_buffer_destroy(buffer_); }
  SendBuffer(const SendBuffer&) = delete;
  SendBuffer& operator=(const SendBuffer&) = delete;

  // Serialises `message`. RESOURCE_EXHAUSTED above `limit`, INTERNAL if required fields are
  // missing.
  [[nodiscard]] absl::Status Fill(const google::protobuf::Message& message, std::size_t limit);
  // An empty message.
  void FillEmpty() noexcept;
  void Clear() noexcept;
  [[nodiscard]] grpc_byte_buffer* get() noexcept { return buffer_; }

 private:
  grpc_byte_buffer* const buffer_;
};

// Owns what gRPC received.
class ReceivedBuffer final {
 public:
  ReceivedBuffer() noexcept = default;
  ~ReceivedBuffer() { Reset(); }
  ReceivedBuffer(const ReceivedBuffer&) = delete;
  ReceivedBuffer& operator=(const ReceivedBuffer&) = delete;

  // For gRPC to write to; empty now.
  [[nodiscard]] grpc_byte_buffer** Slot() noexcept {
    Reset();
    return &buffer_;
  }
  void Adopt(grpc_byte_buffer* buffer) noexcept {
    Reset();
    buffer_ = buffer;
  }
  void Reset() noexcept {
    if (buffer_ != nullptr) grpc_byte_buffer_destroy(std::exchange(buffer_, nullptr));
  }
  explicit operator bool() const noexcept { return buffer_ != nullptr; }
  // kNone when it came uncompressed.
  [[nodiscard]] grpc_compression_algorithm compression() const noexcept {
    return buffer_->data.raw.compression;
  }

  // Parses into `message`, inflating first if need be. Never holds more than `limit` bytes of
  // inflated text. `malformed` is the code for what does not parse.
  [[nodiscard]] absl::Status Parse(google::protobuf::Message* message, std::size_t limit,
                                   absl::StatusCode malformed) const;

 private:
  grpc_byte_buffer* buffer_ = nullptr;
};

[[nodiscard]] std::string_view NameOf(grpc_compression_algorithm algorithm) noexcept;

}  // namespace rookery::grpc_adapter

#endif  // ROOKERY_TRANSPORTS_GRPC_SRC_BUFFERS_H_
