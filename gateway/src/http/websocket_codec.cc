#include "http/websocket_codec.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/escaping.h"
#include "rpc/utf8.h"

namespace rookery::internal::gateway {
namespace {

constexpr std::size_t kMaxControl = 125;
constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

// RFC 6455, 7.4: what a peer may put into a close frame.
bool IsCloseCode(unsigned code) noexcept {
  return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
         (code >= 3000 && code <= 4999);
}

}  // namespace

WebSocketParser::Result WebSocketParser::Feed(std::string_view* input) {
  for (;;) {
    if (!in_payload_) {
      // The header grows to its full size as its first bytes say how long it is.
      const auto needed = [this]() -> std::size_t {
        if (header_size_ < 2) return 2;
        const unsigned length = header_[1] & 0x7fU;
        return 2 + (length == 126 ? 2U : length == 127 ? 8U : 0U) + 4;
      };
      while (header_size_ < needed()) {
        if (input->empty()) return kMore;
        header_[header_size_++] = static_cast<unsigned char>(input->front());
        input->remove_prefix(1);
        // Refused at once, not when the rest has come.
        if (header_size_ == 2 && (header_[1] & 0x80U) == 0) {
          return Fail(1002, "a frame is not masked");
        }
      }
      const Result taken = TakeHeader();
      if (taken != kMore) return taken;
      in_payload_ = true;
    }
    const std::size_t take = std::min<std::uint64_t>(left_, input->size());
    if (take > 0) {
      std::string& into = opcode_ >= kWebSocketClose ? control_ : message_;
      const std::size_t at = into.size();
      into.append(input->data(), take);
      for (std::size_t i = 0; i < take; ++i) {
        into[at + i] =
            static_cast<char>(static_cast<unsigned char>(into[at + i]) ^ mask_[mask_at_++ & 3U]);
      }
      input->remove_prefix(take);
      left_ -= take;
    }
    if (left_ > 0) return kMore;
    in_payload_ = false;
    header_size_ = 0;
    const Result done = FrameDone();
    if (done != kMore) return done;
  }
}

WebSocketParser::Result WebSocketParser::TakeHeader() {
  if ((header_[0] & 0x70U) != 0) return Fail(1002, "a frame uses an extension");
  final_ = (header_[0] & 0x80U) != 0;
  opcode_ = header_[0] & 0x0fU;
  left_ = header_[1] & 0x7fU;
  std::size_t at = 2;
  if (left_ >= 126) {
    const std::size_t bytes = left_ == 126 ? 2 : 8;
    const std::uint64_t least = left_ == 126 ? 126 : 65'536;
    left_ = 0;
    for (std::size_t i = 0; i < bytes; ++i) left_ = (left_ << 8) | header_[at++];
    if (left_ < least || (left_ >> 63) != 0) return Fail(1002, "a frame's length is malformed");
  }
  std::copy_n(header_.begin() + static_cast<std::ptrdiff_t>(at), 4, mask_.begin());
  mask_at_ = 0;
  if (opcode_ >= kWebSocketClose) {
    if (opcode_ > kWebSocketPong) return Fail(1002, "a frame's kind is not known");
    if (!final_ || left_ > kMaxControl) return Fail(1002, "a control frame is malformed");
    control_.clear();
    return kMore;
  }
  if (opcode_ > kWebSocketBinary) return Fail(1002, "a frame's kind is not known");
  if ((opcode_ == 0) != fragmented_) {
    return Fail(1002, fragmented_ ? "a message begins within another"
                                  : "a message goes on that has not begun");
  }
  if (opcode_ != 0) binary_ = opcode_ == kWebSocketBinary;
  if (message_taken_) {
    message_.clear();
    message_taken_ = false;
  }
  if (left_ > limit_ || message_.size() > limit_ - left_) {
    return Fail(1009, "a message is too large");
  }
  return kMore;
}

WebSocketParser::Result WebSocketParser::FrameDone() {
  switch (opcode_) {
    case kWebSocketPing:
      return kPing;
    case kWebSocketPong:
      return kPong;
    case kWebSocketClose: {
      if (control_.empty()) {
        close_code_ = 1005;
        return kClose;
      }
      if (control_.size() == 1) return Fail(1002, "a close frame is malformed");
      const unsigned code = (static_cast<unsigned>(static_cast<unsigned char>(control_[0])) << 8) |
                            static_cast<unsigned char>(control_[1]);
      if (!IsCloseCode(code)) return Fail(1002, "a close frame's code is none");
      if (!IsUtf8(std::string_view(control_).substr(2))) {
        return Fail(1007, "a close frame's reason is not UTF-8");
      }
      close_code_ = static_cast<std::uint16_t>(code);
      return kClose;
    }
    default:
      fragmented_ = !final_;
      if (!final_) return kMore;
      message_taken_ = true;
      if (!binary_ && !IsUtf8(message_)) return Fail(1007, "a text message is not UTF-8");
      return kMessage;
  }
}

void AppendWebSocketFrame(std::string* out, std::uint8_t opcode, std::string_view payload) {
  out->push_back(static_cast<char>(0x80U | opcode));
  const std::uint64_t size = payload.size();
  if (size < 126) {
    out->push_back(static_cast<char>(size));
  } else {
    const int bytes = size < 65'536 ? 2 : 8;
    out->push_back(static_cast<char>(bytes == 2 ? 126 : 127));
    for (int i = bytes - 1; i >= 0; --i) {
      out->push_back(static_cast<char>((size >> (8 * i)) & 0xffU));
    }
  }
  out->append(payload);
}

void AppendWebSocketClose(std::string* out, std::uint16_t code, std::string_view reason) {
  std::string payload;
  if (code != 1005) {
    payload.push_back(static_cast<char>(code >> 8));
    payload.push_back(static_cast<char>(code & 0xff));
    payload.append(CutUtf8(reason, kMaxControl - 2));
  }
  AppendWebSocketFrame(out, kWebSocketClose, payload);
}

bool IsWebSocketKey(std::string_view key) noexcept {
  if (key.size() != 24 || !key.ends_with("==")) return false;
  const std::string_view digits = key.substr(0, 22);
  return std::all_of(digits.begin(), digits.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
  });
}

std::string WebSocketAccept(std::string_view key) {
  std::string text(key);
  text.append(kGuid);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
  return absl::Base64Escape(absl::string_view(reinterpret_cast<const char*>(digest.data()), size));
}

}  // namespace rookery::internal::gateway
