// HeadParser and BodyDecoder: HTTP/1.1 requests out of bytes, as RFC 9112 says and no other way.
//
//   HeadParser parser(limits);
//   switch (parser.Feed(&bytes)) {           // takes from the front of `bytes`
//     case HeadParser::kMore: ...            // read more
//     case HeadParser::kFault: ...           // parser.fault(): answer it, and close
//     case HeadParser::kDone: ...            // parser.request(), parser.framing()
//   }
//
// What two readers of the same bytes could understand differently is refused, even where the RFC
// lets a server guess: a request that one of them takes for two is how requests are smuggled.
// Both take their input in pieces of any size, and give the same result whatever the pieces.
#ifndef ROOKERY_SRC_GATEWAY_HTTP_HEAD_PARSER_H_
#define ROOKERY_SRC_GATEWAY_HTTP_HEAD_PARSER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "http/exchange.h"

namespace rookery::internal::gateway {

// Why a request is refused. `what` is for the peer: a text of ours, with nothing of his in it.
struct HttpFault {
  int status = 0;
  std::string_view what;
};

struct HeadLimits {
  std::size_t request_line = std::size_t{8} << 10;
  std::size_t header_bytes = std::size_t{16} << 10;
  std::size_t headers = 100;
};

// How the body is delimited, and what the head says of the connection.
struct Framing {
  bool chunked = false;
  bool has_length = false;
  std::uint64_t length = 0;
  bool expects_continue = false;
  bool keep_alive = false;  // as the peer would have it
  bool upgrade = false;     // Connection: upgrade
};

class HeadParser final {
 public:
  enum Result : std::uint8_t { kMore, kDone, kFault };

  explicit HeadParser(const HeadLimits& limits) noexcept : limits_(limits) {}
  HeadParser(const HeadParser&) = delete;
  HeadParser& operator=(const HeadParser&) = delete;

  // Takes what belongs to the head from the front of *input.
  Result Feed(std::string_view* input);
  // For the next request. What was parsed is gone.
  void Reset() noexcept;

  // Whether a request has begun.
  [[nodiscard]] bool begun() const noexcept { return !text_.empty() || skipped_line_; }
  // After kDone; views, valid until Reset().
  [[nodiscard]] const HttpRequest& request() const noexcept { return request_; }
  [[nodiscard]] const Framing& framing() const noexcept { return framing_; }
  // After kFault.
  [[nodiscard]] const HttpFault& fault() const noexcept { return fault_; }

 private:
  // Offsets into text_, which moves as it grows.
  struct Line {
    std::uint32_t name;
    std::uint32_t name_size;
    std::uint32_t value;
    std::uint32_t value_size;
  };

  bool Fail(int status, std::string_view what) noexcept {
    fault_ = {status, what};
    return false;
  }
  bool RequestLine(std::string_view line);
  bool HeaderLine(std::string_view line, std::size_t offset);
  bool Finish();
  bool Target(std::string_view target);
  bool HostHeader(std::string_view host);

  const HeadLimits limits_;
  std::string text_;            // the head so far
  std::size_t line_start_ = 0;  // of the line that is not whole yet
  std::size_t header_start_ = 0;
  bool skipped_line_ = false;
  std::size_t target_at_ = 0;
  std::size_t target_size_ = 0;
  std::size_t method_size_ = 0;
  int version_ = 11;
  absl::InlinedVector<Line, 16> lines_;
  std::string made_target_;  // of an absolute one without a path
  std::string_view authority_;
  bool absolute_ = false;
  HttpRequest request_;
  Framing framing_;
  HttpFault fault_;
};

// What delimits a body: a length, or chunks.
class BodyDecoder final {
 public:
  enum Result : std::uint8_t {
    kMore,   // the input is used up
    kData,   // *data has some of the body
    kEnd,    // and *input starts with what follows
    kFault,  // see what()
  };
  // For a new body. `limits` bound what surrounds the chunks.
  void Reset(const Framing& framing, const HeadLimits& limits) noexcept;

  // Takes from the front of *input; *data is a part of it.
  Result Feed(std::string_view* input, std::string_view* data);

  [[nodiscard]] bool done() const noexcept { return state_ == State::kDone; }
  [[nodiscard]] std::string_view what() const noexcept { return what_; }
  // Of a body with a length: what is still to come. Of one in chunks: of the present chunk.
  [[nodiscard]] std::uint64_t left() const noexcept { return left_; }
  [[nodiscard]] bool chunked() const noexcept { return chunked_; }

 private:
  enum class State : std::uint8_t {
    kDone,
    kLength,
    kSize,
    kExtension,
    kSizeEnd,  // LF
    kData,
    kDataCr,
    kDataLf,
    kTrailer,
  };
  Result Fail(std::string_view what) noexcept {
    what_ = what;
    return kFault;
  }
  [[nodiscard]] bool TrailerLine();

  State state_ = State::kDone;
  bool chunked_ = false;
  bool quoted_ = false;
  bool escaped_ = false;
  int digits_ = 0;
  std::uint64_t left_ = 0;
  std::size_t around_ = 0;  // bytes of extensions and trailers so far
  std::size_t trailers_ = 0;
  HeadLimits limits_;
  std::string line_;
  std::string_view what_;
};

}  // namespace rookery::internal::gateway

#endif  // ROOKERY_SRC_GATEWAY_HTTP_HEAD_PARSER_H_
