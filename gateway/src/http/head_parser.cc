#include "http/head_parser.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "http/grammar.h"

namespace rookery::internal::gateway {
namespace {

constexpr std::size_t kMaxMethod = 32;
// Below 2^63, whatever is added to it.
constexpr std::size_t kMaxLengthDigits = 18;
constexpr int kMaxSizeDigits = 15;
// Nobody has a use for extensions; a body in chunks of one byte, each with one, costs us dearly.
constexpr std::size_t kMaxExtensions = 4096;

constexpr bool IsDigit(char c) noexcept { return c >= '0' && c <= '9'; }

int HexValue(char c) noexcept {
  if (IsDigit(c)) return c - '0';
  const char lower = ToLower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Headers that say where a message ends, or whose it is. The same with underscores is taken for
// them by CGI and its kin.
bool DelimitsMessages(std::string_view name) noexcept {
  return SameHeader(name, "content-length") || SameHeader(name, "transfer-encoding") ||
         SameHeader(name, "host");
}
bool LooksLikeFraming(std::string_view name) noexcept {
  const auto same = [name](std::string_view wanted) {
    return name.size() == wanted.size() &&
           std::equal(name.begin(), name.end(), wanted.begin(),
                      [](char x, char y) { return (x == '_' ? '-' : ToLower(x)) == y; });
  };
  return same("content-length") || same("transfer-encoding");
}

// Calls fn(element) for each element of a list, without the white space around it.
template <class Fn>
void ForEachElement(std::string_view list, Fn&& fn) {
  for (;;) {
    const std::size_t comma = std::min(list.find(','), list.size());
    fn(TrimSpace(list.substr(0, comma)));
    if (comma == list.size()) return;
    list.remove_prefix(comma + 1);
  }
}

// host [ ":" port ]
bool IsAuthority(std::string_view text) noexcept {
  if (text.empty() || !IsHost(text)) return false;
  std::string_view port;
  if (text.front() == '[') {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || end == 1) return false;
    for (const char c : text.substr(1, end - 1)) {
      if (c == '[') return false;
    }
    port = text.substr(end + 1);
    if (port.empty()) return true;
    if (port.front() != ':') return false;
    port.remove_prefix(1);
  } else {
    if (text.find_first_of("[]") != std::string_view::npos) return false;
    const std::size_t colon = text.find(':');
    if (colon == 0) return false;
    if (colon == std::string_view::npos) return true;
    port = text.substr(colon + 1);
  }
  return port.size() <= 5 && std::all_of(port.begin(), port.end(), IsDigit);
}

}  // namespace

// ---- HeadParser -----------------------------------------------------------------------------

void HeadParser::Reset() noexcept {
  text_.clear();
  line_start_ = 0;
  header_start_ = 0;
  skipped_line_ = false;
  lines_.clear();
  absolute_ = false;
  request_.headers.clear();
  framing_ = Framing();
  fault_ = {};
}

HeadParser::Result HeadParser::Feed(std::string_view* input) {
  while (!input->empty()) {
    if (text_.empty()) {
      // Some old clients end a body with a line too many (RFC 9112, 2.2).
      const auto first = input->front();
      if (first == '\r' ? skipped_line_ : !IsToken(input->substr(0, 1))) {
        static_cast<void>(Fail(400, "this is no HTTP/1 request"));
        return kFault;
      }
    }
    const void* const found = std::memchr(input->data(), '\n', input->size());
    const std::size_t take =
        found == nullptr
            ? input->size()
            : static_cast<std::size_t>(static_cast<const char*>(found) - input->data()) + 1;
    const bool first_line = header_start_ == 0;
    const std::size_t limit = (first_line ? limits_.request_line : limits_.header_bytes) + 2;
    const std::size_t used = text_.size() - header_start_;
    if (used + take > limit) {
      if (first_line) {
        // A method that never ends is none that is known.
        text_.append(input->substr(0, kMaxMethod + 1));
        const bool method = text_.find(' ') > kMaxMethod;
        static_cast<void>(method ? Fail(501, "the method is not known here")
                                 : Fail(414, "the request line is too long"));
      } else {
        static_cast<void>(Fail(431, "the headers are too large"));
      }
      return kFault;
    }
    text_.append(input->data(), take);
    input->remove_prefix(take);
    if (found == nullptr) return kMore;

    const std::size_t line_end = text_.size();
    if (line_end - line_start_ < 2 || text_[line_end - 2] != '\r') {
      static_cast<void>(Fail(400, "a line ends without a carriage return"));
      return kFault;
    }
    const std::size_t offset = line_start_;
    const std::string_view line(text_.data() + offset, line_end - offset - 2);
    line_start_ = line_end;
    if (first_line) {
      if (line.empty()) {
        skipped_line_ = true;
        text_.clear();
        line_start_ = 0;
        continue;
      }
      if (!RequestLine(line)) return kFault;
      header_start_ = line_end;
    } else if (line.empty()) {
      return Finish() ? kDone : kFault;
    } else if (!HeaderLine(line, offset)) {
      return kFault;
    }
  }
  return kMore;
}

bool HeadParser::RequestLine(std::string_view line) {
  const std::size_t method_end = line.find(' ');
  const std::string_view method = line.substr(0, method_end);
  if (!IsToken(method)) return Fail(400, "the method is malformed");
  if (method.size() > kMaxMethod) return Fail(501, "the method is not known here");
  if (method_end == std::string_view::npos) return Fail(400, "the request line is malformed");
  const std::string_view rest = line.substr(method_end + 1);
  const std::size_t target_end = rest.find(' ');
  if (target_end == std::string_view::npos) return Fail(400, "the request line has no version");
  const std::string_view target = rest.substr(0, target_end);
  const std::string_view version = rest.substr(target_end + 1);
  if (!IsTarget(target)) return Fail(400, "the target has characters that need escaping");
  if (version.size() != 8 || !version.starts_with("HTTP/") || !IsDigit(version[5]) ||
      version[6] != '.' || !IsDigit(version[7])) {
    return Fail(400, "the version is malformed");
  }
  if (version[5] != '1' || version[7] > '1') return Fail(505, "this is an HTTP/1.1 server");
  version_ = version[7] == '1' ? 11 : 10;
  method_size_ = method.size();
  target_at_ = static_cast<std::size_t>(target.data() - text_.data());
  target_size_ = target.size();
  return true;
}

bool HeadParser::HeaderLine(std::string_view line, std::size_t offset) {
  if (line.front() == ' ' || line.front() == '\t') {
    return Fail(400, "a header goes on over a second line");
  }
  if (lines_.size() == limits_.headers) return Fail(431, "there are too many headers");
  const std::size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  if (colon == std::string_view::npos || !IsToken(name)) {
    return Fail(400, "a header's name is malformed");
  }
  const std::string_view raw = line.substr(colon + 1);
  if (!IsFieldValue(raw)) return Fail(400, "a header's value has control characters");
  const std::string_view value = TrimSpace(raw);
  const auto at = static_cast<std::uint32_t>(offset);
  lines_.push_back({at, static_cast<std::uint32_t>(colon),
                    static_cast<std::uint32_t>(value.data() - text_.data()),
                    static_cast<std::uint32_t>(value.size())});
  return true;
}

bool HeadParser::Finish() {
  const std::string_view text(text_);
  request_.method = text.substr(0, method_size_);
  request_.version = version_;
  bool connection_close = false;
  bool connection_keep = false;
  bool host_seen = false;
  bool coding_seen = false;
  bool coding_foreign = false;
  bool expect_foreign = false;
  std::string_view host;
  for (const Line& line : lines_) {
    const HttpField field{text.substr(line.name, line.name_size),
                          text.substr(line.value, line.value_size)};
    request_.headers.push_back(field);
    // Told apart by their lengths first: most headers mean nothing here.
    switch (field.name.size()) {
      case 4:
        if (!SameHeader(field.name, "host")) break;
        if (host_seen) return Fail(400, "there are two Host headers");
        host_seen = true;
        host = field.value;
        break;
      case 6:
        if (!SameHeader(field.name, "expect")) break;
        if (SameHeader(field.value, "100-continue")) {
          framing_.expects_continue = version_ == 11;
        } else {
          expect_foreign = true;
        }
        break;
      case 10: {
        if (!SameHeader(field.name, "connection")) break;
        bool forbidden = false;
        ForEachElement(field.value, [&](std::string_view option) {
          if (SameHeader(option, "close")) {
            connection_close = true;
          } else if (SameHeader(option, "keep-alive")) {
            connection_keep = true;
          } else if (SameHeader(option, "upgrade")) {
            framing_.upgrade = true;
          } else if (DelimitsMessages(option)) {
            forbidden = true;
          }
        });
        if (forbidden) return Fail(400, "Connection names a header that delimits the message");
        break;
      }
      case 14:
        if (!LooksLikeFraming(field.name)) break;
        if (!SameHeader(field.name, "content-length")) {
          return Fail(400, "a header looks like Content-Length");
        }
        if (framing_.has_length) return Fail(400, "there are two Content-Length headers");
        if (field.value.empty() || field.value.size() > kMaxLengthDigits) {
          return Fail(400, "Content-Length is malformed");
        }
        for (const char c : field.value) {
          if (!IsDigit(c)) return Fail(400, "Content-Length is malformed");
          framing_.length = framing_.length * 10 + static_cast<std::uint64_t>(c - '0');
        }
        framing_.has_length = true;
        break;
      case 17: {
        if (!LooksLikeFraming(field.name)) break;
        if (!SameHeader(field.name, "transfer-encoding")) {
          return Fail(400, "a header looks like Transfer-Encoding");
        }
        if (coding_seen) return Fail(400, "there are two Transfer-Encoding headers");
        coding_seen = true;
        if (SameHeader(field.value, "chunked")) {
          framing_.chunked = true;
          break;
        }
        // RFC 9112, 6.1 and 6.3: where the length cannot be told it is 400, where only the coding
        // is not known 501. Nothing but "chunked" may stand there twice, or in disguise.
        std::size_t chunked = 0;
        bool last_chunked = false;
        bool well_formed = true;
        ForEachElement(field.value, [&](std::string_view coding) {
          last_chunked = SameHeader(coding, "chunked");
          chunked += last_chunked ? 1 : 0;
          well_formed = well_formed && IsToken(coding);
        });
        if (!last_chunked || chunked != 1 || !well_formed) {
          return Fail(400, "Transfer-Encoding does not tell where the body ends");
        }
        coding_foreign = true;
        break;
      }
      default:
        break;
    }
  }
  if (!host_seen && version_ == 11) return Fail(400, "there is no Host header");
  if (host_seen && !IsAuthority(host)) return Fail(400, "the Host header is malformed");
  if (!Target(text.substr(target_at_, target_size_))) return false;
  if (absolute_ && host_seen && !SameHeader(authority_, host)) {
    return Fail(400, "the target and the Host header name different hosts");
  }
  if (coding_seen && framing_.has_length) {
    return Fail(400, "there are both Content-Length and Transfer-Encoding");
  }
  if (coding_seen && version_ == 10) return Fail(400, "HTTP/1.0 knows no Transfer-Encoding");
  if (coding_foreign) return Fail(501, "the only transfer coding here is chunked");
  if (expect_foreign) return Fail(417, "the only expectation met here is 100-continue");
  if (version_ == 10 && !framing_.has_length &&
      (request_.method == "POST" || request_.method == "PUT" || request_.method == "PATCH")) {
    return Fail(411, "HTTP/1.0 needs a Content-Length");
  }
  if (framing_.length == 0 && !framing_.chunked) framing_.expects_continue = false;
  framing_.keep_alive = !connection_close && (version_ == 11 || connection_keep);
  return true;
}

bool HeadParser::Target(std::string_view target) {
  if (request_.method == "CONNECT") return Fail(501, "this is no proxy");
  if (target.front() == '/') {
    request_.target = target;
    return true;
  }
  if (target == "*") {
    if (request_.method != "OPTIONS") return Fail(400, "the target must begin with a slash");
    request_.target = target;
    return true;
  }
  const std::size_t scheme = target.find("://");
  if (scheme == std::string_view::npos || (!SameHeader(target.substr(0, scheme), "http") &&
                                           !SameHeader(target.substr(0, scheme), "https"))) {
    return Fail(400, "the target must begin with a slash");
  }
  target.remove_prefix(scheme + 3);
  const std::size_t end = std::min(target.find_first_of("/?"), target.size());
  authority_ = target.substr(0, end);
  absolute_ = true;
  if (!IsAuthority(authority_)) return Fail(400, "the target's host is malformed");
  target.remove_prefix(end);
  if (target.empty()) {
    request_.target = request_.method == "OPTIONS" ? "*" : "/";
  } else if (target.front() == '?') {
    made_target_.assign("/").append(target);
    request_.target = made_target_;
  } else {
    request_.target = target;
  }
  return true;
}

// ---- BodyDecoder ----------------------------------------------------------------------------

void BodyDecoder::Reset(const Framing& framing, const HeadLimits& limits) noexcept {
  chunked_ = framing.chunked;
  left_ = framing.chunked ? 0 : framing.length;
  state_ = chunked_ ? State::kSize : left_ > 0 ? State::kLength : State::kDone;
  digits_ = 0;
  around_ = 0;
  trailers_ = 0;
  limits_ = limits;
  line_.clear();
  what_ = {};
}

BodyDecoder::Result BodyDecoder::Feed(std::string_view* input, std::string_view* data) {
  for (;;) {
    if (state_ == State::kDone) return kEnd;
    if (input->empty()) return kMore;
    switch (state_) {
      case State::kLength:
      case State::kData: {
        const std::size_t take = std::min<std::uint64_t>(left_, input->size());
        *data = input->substr(0, take);
        input->remove_prefix(take);
        left_ -= take;
        if (left_ == 0) state_ = state_ == State::kLength ? State::kDone : State::kDataCr;
        return kData;
      }
      case State::kTrailer: {
        const std::size_t end = input->find('\n');
        const std::size_t take = end == std::string_view::npos ? input->size() : end + 1;
        around_ += take;
        if (around_ > limits_.header_bytes) return Fail("the trailers are too large");
        line_.append(input->substr(0, take));
        input->remove_prefix(take);
        if (end == std::string_view::npos) return kMore;
        if (line_ == "\r\n") {
          state_ = State::kDone;
          return kEnd;
        }
        if (!TrailerLine()) return kFault;
        line_.clear();
        continue;
      }
      default:
        break;
    }
    const char c = input->front();
    input->remove_prefix(1);
    switch (state_) {
      case State::kSize: {
        const int value = HexValue(c);
        if (value >= 0) {
          if (++digits_ > kMaxSizeDigits) return Fail("a chunk's size is malformed");
          left_ = left_ * 16 + static_cast<std::uint64_t>(value);
          continue;
        }
        if (digits_ == 0) return Fail("a chunk's size is malformed");
        if (c == ';') {
          state_ = State::kExtension;
          quoted_ = escaped_ = false;
        } else if (c == '\r') {
          state_ = State::kSizeEnd;
        } else {
          return Fail("a chunk's size is malformed");
        }
        continue;
      }
      case State::kExtension:
        if (++around_ > kMaxExtensions) return Fail("the chunk extensions are too large");
        if (c == '\r' && !quoted_) {
          state_ = State::kSizeEnd;
        } else if (quoted_) {
          if (!IsFieldValue(std::string_view(&c, 1))) {
            return Fail("a chunk extension is malformed");
          }
          if (!escaped_ && c == '"') quoted_ = false;
          escaped_ = !escaped_ && c == '\\';
        } else if (c == '"') {
          quoted_ = true;
        } else if (c != ';' && c != '=' && !IsToken(std::string_view(&c, 1))) {
          return Fail("a chunk extension is malformed");
        }
        continue;
      case State::kSizeEnd:
        if (c != '\n') return Fail("a chunk's size is malformed");
        digits_ = 0;
        if (left_ == 0) {
          state_ = State::kTrailer;
          around_ = 0;
        } else {
          state_ = State::kData;
        }
        continue;
      case State::kDataCr:
        if (c != '\r') return Fail("a chunk is longer than it says");
        state_ = State::kDataLf;
        continue;
      case State::kDataLf:
        if (c != '\n') return Fail("a chunk is longer than it says");
        state_ = State::kSize;
        continue;
      default:
        return Fail("a body goes on after its end");
    }
  }
}

bool BodyDecoder::TrailerLine() {
  const std::string_view whole(line_);
  const auto fail = [this](std::string_view what) {
    what_ = what;
    return false;
  };
  if (!whole.ends_with("\r\n")) return fail("a line ends without a carriage return");
  const std::string_view line = whole.substr(0, whole.size() - 2);
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !IsToken(line.substr(0, colon)) ||
      !IsFieldValue(line.substr(colon + 1))) {
    return fail("a trailer is malformed");
  }
  const std::string_view name = line.substr(0, colon);
  if (DelimitsMessages(name) || LooksLikeFraming(name)) {
    return fail("a trailer may not delimit the message");
  }
  if (++trailers_ > limits_.headers) return fail("there are too many trailers");
  return true;
}

}  // namespace rookery::internal::gateway
