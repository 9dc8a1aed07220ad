#include "buffers.h"

#include <google/protobuf/io/zero_copy_stream.h>
#include <google/protobuf/message.h>
#include <grpc/slice.h>
#include <grpc/slice_buffer.h>
#include <zlib.h>

#include <algorithm>
#include <climits>
#include <string>

#include "absl/strings/str_cat.h"

namespace rookery::grpc_adapter {
namespace {

using google::protobuf::Message;

// Reads the slices of a buffer where they are.
class SliceStream final : public google::protobuf::io::ZeroCopyInputStream {
 public:
  explicit SliceStream(const grpc_slice_buffer& slices) noexcept : slices_(slices) {}

  bool Next(const void** data, int* size) override {
    while (index_ < slices_.count) {
      const grpc_slice& slice = slices_.slices[index_];
      const std::size_t length = GRPC_SLICE_LENGTH(slice);
      if (offset_ == length) {
        ++index_;
        offset_ = 0;
        continue;
      }
      const std::size_t piece = std::min<std::size_t>(length - offset_, INT_MAX);
      *data = GRPC_SLICE_START_PTR(slice) + offset_;
      *size = static_cast<int>(piece);
      offset_ += piece;
      read_ += static_cast<std::int64_t>(piece);
      return true;
    }
    return false;
  }
  // Only ever into the piece given out last.
  void BackUp(int count) override {
    offset_ -= static_cast<std::size_t>(count);
    read_ -= count;
  }
  bool Skip(int count) override {
    const void* data = nullptr;
    int size = 0;
    while (count > 0) {
      if (!Next(&data, &size)) return false;
      if (size > count) BackUp(size - count);
      count -= std::min(size, count);
    }
    return true;
  }
  std::int64_t ByteCount() const override { return read_; }

 private:
  const grpc_slice_buffer& slices_;
  std::size_t index_ = 0;
  std::size_t offset_ = 0;
  std::int64_t read_ = 0;
};

absl::Status TooLarge(std::size_t limit) {
  return absl::ResourceExhaustedError(
      absl::StrCat("the message is larger than max_receive_bytes (", limit, ")"));
}

// Inflates all slices into `out`, and stops at `limit`: a bomb costs no more than a message.
absl::Status Inflate(const grpc_slice_buffer& slices, bool gzip, std::size_t limit,
                     std::string* out) {
  z_stream stream = {};
  constexpr int kWindowBits = 15;
  constexpr int kGzip = 16;
  if (inflateInit2(&stream, kWindowBits | (gzip ? kGzip : 0)) != Z_OK) {
    return absl::ResourceExhaustedError("no memory to decompress a message");
  }
  constexpr std::size_t kFirst = 16'384;
  out->resize(std::min(limit + 1, std::max(kFirst, 4 * slices.length)));
  std::size_t written = 0;
  int result = Z_OK;
  for (std::size_t i = 0; i < slices.count && result == Z_OK; ++i) {
    const grpc_slice& slice = slices.slices[i];
    stream.next_in = const_cast<Bytef*>(GRPC_SLICE_START_PTR(slice));
    stream.avail_in = static_cast<uInt>(GRPC_SLICE_LENGTH(slice));
    while (result == Z_OK && (stream.avail_in > 0 || stream.avail_out == 0)) {
      if (written == out->size()) {
        if (written > limit) break;
        out->resize(std::min(limit + 1, 2 * out->size()));
      }
      const std::size_t room = std::min<std::size_t>(out->size() - written, UINT_MAX);
      stream.next_out = reinterpret_cast<Bytef*>(out->data()) + written;
      stream.avail_out = static_cast<uInt>(room);
      result = inflate(&stream, Z_NO_FLUSH);
      written += room - stream.avail_out;
      if (result == Z_BUF_ERROR) result = Z_OK;  // wants more input
      if (stream.avail_in == 0 && stream.avail_out > 0) break;
    }
    if (written > limit) break;
  }
  inflateEnd(&stream);
  if (written > limit) return TooLarge(limit);
  if (result != Z_STREAM_END) {
    return absl::InternalError("a compressed message could not be decompressed");
  }
  out->resize(written);
  return absl::OkStatus();
}

absl::Status Malformed(const Message& message, absl::StatusCode code) {
  return absl::Status(code, absl::StrCat("malformed ", message.GetTypeName()));
}

}  // namespace

absl::Status SendBuffer::Fill(const Message& message, std::size_t limit) {
  Clear();
  const std::size_t size = message.ByteSizeLong();
  if (size > limit || size > static_cast<std::size_t>(INT_MAX)) [[unlikely]] {
    return absl::ResourceExhaustedError(absl::StrCat("a ", message.GetTypeName(), " of ", size,
                                                     " bytes is larger than max_send_bytes (",
                                                     limit, ")"));
  }
  if (!message.IsInitialized()) [[unlikely]] {
    return absl::InternalError(absl::StrCat(
        message.GetTypeName(), " lacks required fields: ", message.InitializationErrorString()));
  }
  grpc_slice slice = grpc_slice_malloc(size);
  message.SerializeWithCachedSizesToArray(GRPC_SLICE_START_PTR(slice));
  grpc_slice_buffer_add(&buffer_->data.raw.slice_buffer, slice);
  return absl::OkStatus();
}

void SendBuffer::FillEmpty() noexcept { Clear(); }

void SendBuffer::Clear() noexcept {
  if (buffer_->data.raw.slice_buffer.count != 0) {
    grpc_slice_buffer_reset_and_unref(&buffer_->data.raw.slice_buffer);
  }
}

absl::Status ReceivedBuffer::Parse(Message* message, std::size_t limit,
                                   absl::StatusCode malformed) const {
  const grpc_slice_buffer& slices = buffer_->data.raw.slice_buffer;
  const grpc_compression_algorithm algorithm = buffer_->data.raw.compression;
  if (algorithm != GRPC_COMPRESS_NONE) [[unlikely]] {
    std::string text;
    absl::Status inflated = Inflate(slices, algorithm == GRPC_COMPRESS_GZIP, limit, &text);
    if (!inflated.ok()) return inflated;
    return message->ParseFromString(text) ? absl::OkStatus() : Malformed(*message, malformed);
  }
  if (slices.length > limit) [[unlikely]] {
    return TooLarge(limit);
  }
  bool parsed = false;
  if (slices.count == 1 && slices.length <= INT_MAX) [[likely]] {
    parsed = message->ParseFromArray(GRPC_SLICE_START_PTR(slices.slices[0]),
                                     static_cast<int>(slices.length));
  } else if (slices.count == 0) {
    parsed = message->ParseFromArray(nullptr, 0);
  } else {
    SliceStream stream(slices);
    parsed = message->ParseFromZeroCopyStream(&stream);
  }
  return parsed ? absl::OkStatus() : Malformed(*message, malformed);
}

std::string_view NameOf(grpc_compression_algorithm algorithm) noexcept {
  switch (algorithm) {
    case GRPC_COMPRESS_GZIP:
      return "gzip";
    case GRPC_COMPRESS_DEFLATE:
      return "deflate";
    default:
      return "identity";
  }
}

}  // namespace rookery::grpc_adapter
