#include "gzip.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>

#include "absl/strings/str_cat.h"

namespace rookery::internal::gateway {
namespace {

// 15 is the largest window; 16 more: with gzip's head and tail, and nothing else.
constexpr int kGzipWindow = 15 + 16;
constexpr std::size_t kBuffer = std::size_t{16} << 10;

[[nodiscard]] Bytef* Input(std::string_view bytes) noexcept {
  return reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
}

}  // namespace

struct GzipReader::State {
  z_stream stream = {};
  bool ready = false;
  bool begun = false;  // a member that has not ended
  std::uint64_t made = 0;
  std::uint64_t limit = 0;
};

GzipReader::GzipReader(std::uint64_t limit) : state_(std::make_unique<State>()) {
  state_->limit = limit == 0 ? std::numeric_limits<std::uint64_t>::max() : limit;
  state_->ready = ::inflateInit2(&state_->stream, kGzipWindow) == Z_OK;
}

GzipReader::~GzipReader() {
  if (state_->ready) ::inflateEnd(&state_->stream);
}

absl::Status GzipReader::Add(std::string_view bytes, std::string* plain) {
  State& state = *state_;
  if (!state.ready) return absl::ResourceExhaustedError("no memory to decompress the body");
  std::array<char, kBuffer> buffer;
  z_stream& stream = state.stream;
  while (!bytes.empty()) {
    const std::size_t piece = std::min<std::size_t>(bytes.size(), 1U << 30);
    stream.next_in = Input(bytes);
    stream.avail_in = static_cast<uInt>(piece);
    do {
      stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
      stream.avail_out = static_cast<uInt>(buffer.size());
      state.begun = state.begun || stream.avail_in > 0;
      const int result = ::inflate(&stream, Z_NO_FLUSH);
      const std::size_t made = buffer.size() - stream.avail_out;
      state.made += made;
      if (state.made > state.limit) {
        return absl::ResourceExhaustedError(
            absl::StrCat("the body is larger than ", state.limit, " bytes once decompressed"));
      }
      plain->append(buffer.data(), made);
      if (result == Z_STREAM_END) {
        state.begun = false;
        if (::inflateReset(&stream) != Z_OK) {
          return absl::ResourceExhaustedError("no memory to decompress the body");
        }
      } else if (result == Z_MEM_ERROR) {
        return absl::ResourceExhaustedError("no memory to decompress the body");
      } else if (result != Z_OK && result != Z_BUF_ERROR) {
        return absl::InvalidArgumentError("the body is no gzip, although Content-Encoding says so");
      }
    } while (stream.avail_in > 0 || stream.avail_out == 0);
    bytes.remove_prefix(piece);
  }
  return absl::OkStatus();
}

absl::Status GzipReader::End() const {
  if (state_->begun) return absl::InvalidArgumentError("the body's gzip ends too early");
  return absl::OkStatus();
}

struct GzipWriter::State {
  z_stream stream = {};
  bool ready = false;
  [[nodiscard]] bool Run(std::string_view plain, int flush, std::string* packed) {
    if (!ready) return false;
    std::array<char, kBuffer> buffer;
    do {
      const std::size_t piece = std::min<std::size_t>(plain.size(), 1U << 30);
      stream.next_in = Input(plain);
      stream.avail_in = static_cast<uInt>(piece);
      plain.remove_prefix(piece);
      int result = Z_OK;
      do {
        stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
        stream.avail_out = static_cast<uInt>(buffer.size());
        result = ::deflate(&stream, plain.empty() ? flush : Z_NO_FLUSH);
        if (result == Z_STREAM_ERROR) return false;
        packed->append(buffer.data(), buffer.size() - stream.avail_out);
      } while (stream.avail_out == 0);
    } while (!plain.empty());
    return true;
  }
};

GzipWriter::GzipWriter() : state_(std::make_unique<State>()) {
  // Level 1 to 6 differ by a tenth in size for JSON, and by three times in time.
  state_->ready =
      ::deflateInit2(&state_->stream, 3, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) == Z_OK;
}
GzipWriter::~GzipWriter() {
  if (state_->ready) ::deflateEnd(&state_->stream);
}
bool GzipWriter::Add(std::string_view plain, std::string* packed) {
  return state_->Run(plain, Z_SYNC_FLUSH, packed);
}
bool GzipWriter::Finish(std::string_view plain, std::string* packed) {
  return state_->Run(plain, Z_FINISH, packed);
}

std::optional<std::string> GzipWhole(std::string_view plain) {
  GzipWriter writer;
  std::string packed;
  packed.reserve(plain.size() / 4 + 64);
  if (!writer.Finish(plain, &packed)) return std::nullopt;
  return packed;
}

}  // namespace rookery::internal::gateway
