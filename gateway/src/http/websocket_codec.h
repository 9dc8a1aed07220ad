// WebSocket frames (RFC 6455) out of bytes and into bytes, for a server. No extensions.
//
//   WebSocketParser parser(limit);
//   switch (parser.Feed(&bytes)) {        // takes from the front of `bytes`
//     case WebSocketParser::kMessage: Use(parser.message(), parser.binary()); ...
//     case WebSocketParser::kPing: AppendWebSocketFrame(&out, kWebSocketPong, parser.control());
//     ...
//   }
#ifndef ROOKERY_SRC_GATEWAY_HTTP_WEBSOCKET_CODEC_H_
#define ROOKERY_SRC_GATEWAY_HTTP_WEBSOCKET_CODEC_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace rookery::internal::gateway {

inline constexpr std::uint8_t kWebSocketText = 1;
inline constexpr std::uint8_t kWebSocketBinary = 2;
inline constexpr std::uint8_t kWebSocketClose = 8;
inline constexpr std::uint8_t kWebSocketPing = 9;
inline constexpr std::uint8_t kWebSocketPong = 10;

class WebSocketParser final {
 public:
  enum Result : std::uint8_t {
    kMore,     // the input is used up
    kMessage,  // message() is whole
    kPing,     // of these three: control()
    kPong,
    kClose,  // close_code(); nothing is parsed after it
    kFault,  // close_code() to tell the peer, and what()
  };
  explicit WebSocketParser(std::size_t message_limit) noexcept : limit_(message_limit) {}

  Result Feed(std::string_view* input);

  // May be moved from.
  [[nodiscard]] std::string& message() noexcept { return message_; }
  [[nodiscard]] bool binary() const noexcept { return binary_; }
  [[nodiscard]] const std::string& control() const noexcept { return control_; }
  // 1005: the peer gave none.
  [[nodiscard]] std::uint16_t close_code() const noexcept { return close_code_; }
  [[nodiscard]] std::string_view what() const noexcept { return what_; }

 private:
  Result Fail(std::uint16_t code, std::string_view what) noexcept {
    close_code_ = code;
    what_ = what;
    return kFault;
  }
  // Of a whole header; kMore: all is well.
  Result TakeHeader();
  Result FrameDone();

  const std::size_t limit_;
  std::array<unsigned char, 14> header_{};
  std::size_t header_size_ = 0;
  bool in_payload_ = false;
  bool final_ = false;
  std::uint8_t opcode_ = 0;
  std::uint64_t left_ = 0;
  std::array<unsigned char, 4> mask_{};
  unsigned mask_at_ = 0;
  bool fragmented_ = false;    // a message has begun and not ended
  bool message_taken_ = true;  // message_ belongs to the past
  bool binary_ = false;
  std::string message_;
  std::string control_;
  std::uint16_t close_code_ = 1005;
  std::string_view what_;
};

// A frame of a server: whole and not masked. `payload` of control frames: at most 125 bytes.
void AppendWebSocketFrame(std::string* out, std::uint8_t opcode, std::string_view payload);
// A close frame; `reason` is cut to what fits, at a character's end.
void AppendWebSocketClose(std::string* out, std::uint16_t code, std::string_view reason);

// Whether `key` is 16 bytes in base64, as Sec-WebSocket-Key must be.
[[nodiscard]] bool IsWebSocketKey(std::string_view key) noexcept;
// Sec-WebSocket-Accept of a key.
[[nodiscard]] std::string WebSocketAccept(std::string_view key);

}  // namespace rookery::internal::gateway

#endif  // ROOKERY_SRC_GATEWAY_HTTP_WEBSOCKET_CODEC_H_
