// Fuzzes what reads HTTP/1.1 requests and WebSocket frames: any bytes, in pieces of any size.
//
// The first byte says which, and how large the pieces are. The pieces make no difference; a request
// that was taken, written down as it was understood, is understood the same way again.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "http/head_parser.h"
#include "http/websocket_codec.h"

namespace rookery::internal::gateway {
namespace {

[[noreturn]] void Fail(const char* what, std::string_view one, std::string_view other) {
  std::fprintf(stderr, "%s\n--- one\n%.*s\n--- other\n%.*s\n", what, static_cast<int>(one.size()),
               one.data(), static_cast<int>(other.size()), other.data());
  std::abort();
}

// All requests that the bytes hold, as they were understood, and how it ended.
std::string ReadRequests(std::string_view bytes, std::size_t piece) {
  std::string seen;
  HeadLimits limits;
  limits.request_line = 256;
  limits.header_bytes = 512;
  limits.headers = 16;
  HeadParser head(limits);
  BodyDecoder body;
  bool in_body = false;
  while (!bytes.empty() || in_body) {
    std::string_view part = bytes.substr(0, piece);
    const std::size_t before = part.size();
    if (!in_body) {
      const HeadParser::Result result = head.Feed(&part);
      bytes.remove_prefix(before - part.size());
      if (result == HeadParser::kFault) {
        seen.append("fault ").append(std::to_string(head.fault().status));
        return seen.append(head.fault().what);
      }
      if (result == HeadParser::kMore) continue;
      const HttpRequest& request = head.request();
      const Framing& framing = head.framing();
      seen.append(request.method).append(" ").append(request.target);
      seen.append(request.version == 11 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
      for (const HttpField& field : request.headers) {
        seen.append(field.name).append(": ").append(field.value).append("\r\n");
        if (field.name.find_first_of("\r\n: ") != std::string_view::npos ||
            field.value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
          Fail("a header could be taken for two", seen, {});
        }
      }
      seen.append("\r\n");
      if (framing.chunked && framing.has_length) Fail("two framings", seen, {});
      body.Reset(framing, limits);
      in_body = true;
      continue;
    }
    std::string_view data;
    const BodyDecoder::Result result = body.Feed(&part, &data);
    bytes.remove_prefix(before - part.size());
    if (result == BodyDecoder::kFault) return seen.append("fault ").append(body.what());
    if (result == BodyDecoder::kData) {
      seen.append(data);
    } else if (result == BodyDecoder::kEnd) {
      in_body = false;
      head.Reset();
    } else if (bytes.empty()) {
      return seen.append("more of the body");
    }
  }
  return seen.append(head.begun() ? "more of the head" : "end");
}

// A head that was taken is taken again when it is written down.
void ReadAgain(std::string_view bytes) {
  const auto parse = [](std::string_view text) {
    HeadParser head({});
    std::string seen;
    if (head.Feed(&text) != HeadParser::kDone) return seen;
    seen.append(head.request().method).append(" ").append(head.request().target);
    seen.append(head.request().version == 11 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
    // A target with a host became one without: that it agreed with the Host header was checked.
    for (const HttpField& field : head.request().headers) {
      seen.append(field.name).append(": ").append(field.value).append("\r\n");
    }
    return seen.append("\r\n");
  };
  const std::string once = parse(bytes);
  if (once.empty()) return;
  const std::string twice = parse(once);
  if (once != twice) Fail("what was taken is not taken again", once, twice);
}

std::string ReadFrames(std::string_view bytes, std::size_t piece) {
  constexpr std::size_t kLimit = 300;
  WebSocketParser parser(kLimit);
  std::string seen;
  while (!bytes.empty()) {
    std::string_view part = bytes.substr(0, piece);
    const std::size_t before = part.size();
    const WebSocketParser::Result result = parser.Feed(&part);
    bytes.remove_prefix(before - part.size());
    switch (result) {
      case WebSocketParser::kMore:
        break;
      case WebSocketParser::kMessage:
        if (parser.message().size() > kLimit) Fail("above the limit", parser.message(), {});
        seen.append(parser.binary() ? "binary " : "text ").append(parser.message());
        break;
      case WebSocketParser::kPing:
      case WebSocketParser::kPong:
        seen.append("control ").append(parser.control());
        break;
      case WebSocketParser::kClose:
      case WebSocketParser::kFault:
        return seen.append("end ").append(std::to_string(parser.close_code()));
    }
  }
  return seen.append("more");
}

}  // namespace
}  // namespace rookery::internal::gateway

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace gateway = rookery::internal::gateway;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t piece = 1 + (data[0] & 0x0f);
  const bool frames = (data[0] & 0x80) != 0;
  const auto read = frames ? &gateway::ReadFrames : &gateway::ReadRequests;
  const std::string whole = read(bytes, std::max<std::size_t>(bytes.size(), 1));
  const std::string pieces = read(bytes, piece);
  if (whole != pieces) gateway::Fail("the pieces make a difference", whole, pieces);
  if (!frames) gateway::ReadAgain(bytes);
  return 0;
}
