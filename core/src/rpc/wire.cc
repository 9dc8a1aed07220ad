#include "rookery/rpc/wire.h"

#include <algorithm>
#include <array>
#include <climits>
#include <cmath>
#include <cstring>
#include <utility>

#include <google/protobuf/message.h>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "rookery/rpc/call_context.h"
#include "rookery/rpc/json.h"
#include "rookery/rpc/status.h"
#include "rookery/runtime/clock.h"
#include "runtime/abseil_strings.h"

namespace rookery {
namespace {

using google::protobuf::Message;
using internal::Abs;
using internal::Std;

constexpr std::string_view kProtobufType = "application/protobuf";
constexpr std::size_t kFieldOverhead = 32;  // as gRPC and HTTP/2 count
constexpr std::size_t kShown = 64;          // of a peer's text, in messages

constexpr std::array<std::string_view, 10> kKinds = {"call", "event",  "open", "data", "half",
                                                     "end",  "credit", "ping", "pong", "cancel"};

bool StartsWithIgnoreCase(std::string_view text, std::string_view prefix) {
  return absl::StartsWithIgnoreCase(Abs(text), Abs(prefix));
}

std::string Shown(std::string_view text) { return absl::CHexEscape(Abs(text.substr(0, kShown))); }

std::optional<std::uint64_t> ParseNumber(std::string_view digits) {
  std::uint64_t number = 0;
  if (digits.empty() || digits.front() < '0' || digits.front() > '9' ||
      !absl::SimpleAtoi(Abs(digits), &number)) {
    return std::nullopt;
  }
  return number;
}

int HexValue(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string Base64(std::string_view bytes) {
  std::string text = absl::Base64Escape(Abs(bytes));
  while (!text.empty() && text.back() == '=') text.pop_back();
  return text;
}

}  // namespace

// ---- messages -----------------------------------------------------------------------------------

std::optional<std::string_view> InboundMessage::Find(std::string_view name) const noexcept {
  for (const WireField& field : fields) {
    if (field.name.size() != name.size()) continue;
    // Nearly always in the case that was asked for.
    if (field.name == name || absl::EqualsIgnoreCase(Abs(field.name), Abs(name))) {
      return field.value;
    }
  }
  return std::nullopt;
}

std::size_t InboundMessage::HeaderBytes() const noexcept {
  std::size_t bytes = 0;
  for (const WireField& field : fields) {
    bytes += field.name.size() + field.value.size() + kFieldOverhead;
  }
  return bytes;
}

void OutboundMessage::WriteBody(char* out) const {
  if (unwritten_ != nullptr) {
    unwritten_->SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(out));
  } else if (!body.empty()) {
    std::memcpy(out, body.data(), body.size());
  }
}

// ---- frames -------------------------------------------------------------------------------------

std::string FormatFrame(const WireFrame& frame) {
  std::string text =
      absl::StrCat(kWireVersion, " ", Abs(kKinds[static_cast<std::size_t>(frame.kind)]));
  if (frame.seq) absl::StrAppend(&text, " seq=", *frame.seq);
  if (frame.credit) absl::StrAppend(&text, " credit=", *frame.credit);
  return text;
}

absl::StatusOr<WireFrame> ParseFrame(std::string_view text) {
  const auto next = [&text] {
    const std::size_t begin = std::min(text.find_first_not_of(' '), text.size());
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string_view word = text.substr(begin, end - begin);
    text.remove_prefix(end);
    return word;
  };
  const std::string_view whole = text;
  const std::optional<std::uint64_t> version = ParseNumber(next());
  if (!version) {
    return absl::InvalidArgumentError(
        absl::StrCat("the header \"", Abs(kFrameHeader), "\" is no frame: \"", Shown(whole), "\""));
  }
  if (*version != kWireVersion) {
    return absl::UnimplementedError(absl::StrCat(
        "version ", *version, " of the wire protocol is not spoken here; this is ", kWireVersion));
  }
  const std::string_view kind = next();
  const auto found = std::find(kKinds.begin(), kKinds.end(), kind);
  if (found == kKinds.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("there is no frame \"", Shown(kind), "\" in the wire protocol"));
  }
  WireFrame frame;
  frame.kind = static_cast<WireFrame::Kind>(found - kKinds.begin());
  for (std::string_view word = next(); !word.empty(); word = next()) {
    const bool is_seq = word.starts_with("seq=");
    const bool is_credit = word.starts_with("credit=");
    if (!is_seq && !is_credit) continue;
    const std::optional<std::uint64_t> number = ParseNumber(word.substr(word.find('=') + 1));
    if (!number) {
      return absl::InvalidArgumentError(absl::StrCat("\"", Shown(word), "\" is no number"));
    }
    (is_seq ? frame.seq : frame.credit) = number;
  }
  using Kind = WireFrame::Kind;
  const bool ordered =
      frame.kind == Kind::kData || frame.kind == Kind::kHalf || frame.kind == Kind::kEnd;
  if (ordered && !frame.seq) {
    return absl::InvalidArgumentError(absl::StrCat("a ", Abs(kind), " frame needs seq="));
  }
  return frame;
}

void AddFrame(const WireFrame& frame, OutboundMessage* message) {
  // What every unary call says.
  if (frame.kind == WireFrame::Kind::kCall) {
    message->Add(kFrameHeader, "1 call");
  } else {
    message->AddKept(kFrameHeader, FormatFrame(frame));
  }
}

// ---- timeouts -----------------------------------------------------------------------------------

std::string FormatTimeout(std::chrono::nanoseconds remaining) {
  struct Unit {
    std::int64_t nanos;
    char letter;
  };
  constexpr Unit kUnits[] = {{1, 'n'},
                             {1'000, 'u'},
                             {1'000'000, 'm'},
                             {1'000'000'000, 'S'},
                             {60'000'000'000, 'M'},
                             {3'600'000'000'000, 'H'}};
  constexpr std::int64_t kMost = 99'999'999;  // eight digits
  const std::int64_t nanos = std::max<std::int64_t>(remaining.count(), 1);
  for (const Unit& unit : kUnits) {
    const std::int64_t count = nanos / unit.nanos + (nanos % unit.nanos != 0 ? 1 : 0);
    if (count <= kMost) return absl::StrCat(count, std::string(1, unit.letter));
  }
  return absl::StrCat(kMost, "H");  // ten thousand years
}

std::optional<std::chrono::nanoseconds> ParseTimeout(std::string_view text) noexcept {
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  std::int64_t count = 0;
  for (const char c : text.substr(0, text.size() - 1)) {
    if (c < '0' || c > '9') return std::nullopt;
    count = count * 10 + (c - '0');
  }
  std::int64_t unit = 0;
  switch (text.back()) {
    case 'n':
      unit = 1;
      break;
    case 'u':
      unit = 1'000;
      break;
    case 'm':
      unit = 1'000'000;
      break;
    case 'S':
      unit = 1'000'000'000;
      break;
    case 'M':
      unit = 60'000'000'000;
      break;
    case 'H':
      unit = 3'600'000'000'000;
      break;
    default:
      return std::nullopt;
  }
  constexpr std::int64_t kMost = std::chrono::nanoseconds::max().count();
  if (count > kMost / unit) return std::chrono::nanoseconds::max();
  return std::chrono::nanoseconds(count * unit);
}

void AddTimeout(Deadline deadline, Deadline now, OutboundMessage* message) {
  if (deadline == kNoDeadline) return;
  message->AddKept(
      kTimeoutHeader,
      FormatTimeout(std::chrono::duration_cast<std::chrono::nanoseconds>(deadline - now)));
}

// ---- metadata -----------------------------------------------------------------------------------

bool IsProtocolField(std::string_view name) noexcept {
  return StartsWithIgnoreCase(name, "grpc-") || StartsWithIgnoreCase(name, "nats-") ||
         absl::EqualsIgnoreCase(Abs(name), Abs(kFrameHeader)) ||
         absl::EqualsIgnoreCase(Abs(name), Abs(kCallHeader)) ||
         absl::EqualsIgnoreCase(Abs(name), Abs(kUnreadHeader)) ||
         absl::EqualsIgnoreCase(Abs(name), Abs(kContentTypeHeader));
}

void AddMetadata(const Metadata& metadata, std::string_view prefix, OutboundMessage* message) {
  for (const auto& [key, value] : metadata) {
    const std::string_view name =
        prefix.empty() ? std::string_view(key) : message->Keep(absl::StrCat(Abs(prefix), key));
    if (Metadata::IsBinary(key)) {
      message->AddKept(name, Base64(value));
    } else {
      message->Add(name, value);
    }
  }
}

void ReadMetadata(const InboundMessage& message, std::string_view prefix, Metadata* metadata) {
  for (const WireField& field : message.fields) {
    std::string_view name = field.name;
    if (IsProtocolField(name)) continue;
    const bool trailer = StartsWithIgnoreCase(name, kTrailerPrefix);
    if (prefix.empty()) {
      if (trailer) continue;
    } else {
      if (!StartsWithIgnoreCase(name, prefix)) continue;
      name.remove_prefix(prefix.size());
    }
    const std::string key = absl::AsciiStrToLower(Abs(name));
    if (Metadata::IsBinary(key)) {
      std::string bytes;
      if (!absl::Base64Unescape(Abs(field.value), &bytes)) continue;
      if (Metadata::Check(key, {}).ok()) metadata->AddUnchecked(key, bytes);
    } else if (Metadata::Check(key, field.value).ok()) {
      metadata->AddUnchecked(key, field.value);
    }
  }
}

// ---- status -------------------------------------------------------------------------------------

std::string PercentEncode(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    // Carriers trim what stands at the ends.
    const bool edge = c == ' ' && (i == 0 || i + 1 == text.size());
    if (c >= 0x20 && c <= 0x7e && c != '%' && !edge) {
      out.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.push_back('%');
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    }
  }
  return out;
}

std::string PercentDecode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = HexValue(text[i + 1]);
      const int low = HexValue(text[i + 2]);
      if (high >= 0 && low >= 0) {
        out.push_back(static_cast<char>(high * 16 + low));
        i += 2;
        continue;
      }
    }
    out.push_back(text[i]);
  }
  return out;
}

void AddStatus(const absl::Status& status, OutboundMessage* message) {
  if (status.ok()) {
    message->Add(kStatusHeader, "0");
    return;
  }
  message->AddKept(kStatusHeader, absl::StrCat(static_cast<int>(status.code())));
  if (!status.message().empty()) {
    message->AddKept(kMessageHeader, PercentEncode(Std(status.message())));
  }
  const std::string details = SerializeDetails(status);
  if (!details.empty()) message->AddKept(kDetailsHeader, Base64(details));
}

absl::Status ReadStatus(const InboundMessage& message) {
  const std::optional<std::string_view> code = message.Find(kStatusHeader);
  if (!code || *code == "0") return absl::OkStatus();
  const std::optional<std::uint64_t> number = ParseNumber(*code);
  if (!number || *number > 16) {
    return absl::UnknownError(
        absl::StrCat("the peer answered with grpc-status \"", Shown(*code), "\""));
  }
  const std::string text = PercentDecode(message.Find(kMessageHeader).value_or(""));
  std::string details;
  if (const auto encoded = message.Find(kDetailsHeader);
      encoded && !absl::Base64Unescape(Abs(*encoded), &details)) {
    details.clear();
  }
  return MakeStatus(static_cast<int>(*number), text, details);
}

// ---- payloads -----------------------------------------------------------------------------------

std::string_view ContentTypeOf(WireCodec codec) noexcept {
  return codec == WireCodec::kJson ? "application/json" : kProtobufType;
}

absl::StatusOr<WireCodec> CodecOf(const InboundMessage& message) {
  const std::optional<std::string_view> type = message.Find(kContentTypeHeader);
  if (!type || *type == kProtobufType) return WireCodec::kProtobuf;
  const std::string_view essence =
      Std(absl::StripAsciiWhitespace(Abs(type->substr(0, type->find(';')))));
  const auto is = [essence](std::string_view name) {
    return absl::EqualsIgnoreCase(Abs(essence), Abs(name));
  };
  if (is(kProtobufType) || is("application/x-protobuf") || is("application/grpc") ||
      is("application/grpc+proto")) {
    return WireCodec::kProtobuf;
  }
  if (is("application/json") || is("application/grpc+json")) return WireCodec::kJson;
  return absl::InvalidArgumentError(
      absl::StrCat("content-type \"", Shown(*type),
                   "\" is not read here; send application/protobuf or application/json"));
}

namespace {

absl::Status TooLarge(std::size_t size, std::size_t limit) {
  return absl::ResourceExhaustedError(
      absl::StrCat("a message of ", size, " bytes exceeds the limit of ", limit));
}
absl::Status Uninitialized(const Message& message) {
  return absl::InternalError(absl::StrCat("a ", message.GetTypeName(), " lacks required fields: ",
                                          message.InitializationErrorString()));
}

}  // namespace

absl::StatusOr<std::size_t> PayloadSize(const Message& message, std::size_t limit) {
  if (!message.IsInitialized()) return Uninitialized(message);
  const std::size_t size = message.ByteSizeLong();
  if (size > limit || size > INT_MAX) return TooLarge(size, limit);
  return size;
}

absl::Status EncodePayload(WireCodec codec, const Message& message, std::size_t limit,
                           std::string* out) {
  out->clear();
  if (codec == WireCodec::kProtobuf) {
    const absl::StatusOr<std::size_t> size = PayloadSize(message, limit);
    if (!size.ok()) return size.status();
    out->resize(*size);
    // The sizes of its parts are known now, and not computed again.
    message.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(out->data()));
    return absl::OkStatus();
  }
  if (!message.IsInitialized()) return Uninitialized(message);
  const absl::Status written = AppendMessageAsJson(message, {}, out);
  if (absl::IsResourceExhausted(written)) return written;
  if (!written.ok()) {
    return absl::InternalError(absl::StrCat("a ", message.GetTypeName(),
                                            " cannot be written as JSON: ", written.message()));
  }
  return out->size() <= limit && out->size() <= INT_MAX ? absl::OkStatus()
                                                        : TooLarge(out->size(), limit);
}

absl::Status DecodePayload(WireCodec codec, std::string_view bytes, std::size_t limit,
                           absl::StatusCode malformed, Message* message) {
  if (bytes.size() > limit || bytes.size() > INT_MAX) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a message of ", bytes.size(), " bytes exceeds the limit of ", limit));
  }
  if (codec == WireCodec::kProtobuf) {
    if (message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return absl::OkStatus();
    }
    return absl::Status(malformed, absl::StrCat("what came is no ", message->GetTypeName()));
  }
  const absl::Status parsed = JsonToMessage(bytes, message);
  if (parsed.ok()) return absl::OkStatus();
  return absl::Status(malformed, absl::StrCat("what came is no ", message->GetTypeName(),
                                              " as JSON: ", parsed.message()));
}

// ---- events -------------------------------------------------------------------------------------

namespace {

// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
// section 3.1.3.2: what is not printable ASCII, and space, quote and percent.
std::string EncodeAttribute(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (c > 0x20 && c < 0x7f && c != '"' && c != '%') {
      out.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return out;
}

}  // namespace

CloudEvent NewCloudEvent(std::string_view source, std::string_view type) {
  CloudEvent event;
  event.id = NewRequestId();
  event.source = source;
  event.type = type;
  event.time = absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", absl::Now(), absl::UTCTimeZone());
  return event;
}

void AddCloudEvent(const CloudEvent& event, std::string_view prefix, OutboundMessage* message) {
  const auto add = [&](std::string_view name, std::string value) {
    message->AddKept(message->Keep(absl::StrCat(Abs(prefix), Abs(name))), std::move(value));
  };
  add("specversion", "1.0");
  add("id", EncodeAttribute(event.id));
  add("source", EncodeAttribute(event.source));
  add("type", EncodeAttribute(event.type));
  if (!event.time.empty()) add("time", event.time);
}

void AddExpiry(Deadline deadline, Deadline now, std::string_view prefix, OutboundMessage* message) {
  if (deadline == kNoDeadline) return;
  const absl::Time when = absl::FromChrono(WallNow()) + absl::FromChrono(deadline - now);
  message->AddKept(message->Keep(absl::StrCat(Abs(prefix), "expirytime")),
                   absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", when, absl::UTCTimeZone()));
}

bool IsExpired(const InboundMessage& message, std::string_view prefix) {
  if (message.fields.empty()) return false;
  const auto text = message.Find(absl::StrCat(Abs(prefix), "expirytime"));
  absl::Time when;
  std::string error;
  return text && absl::ParseTime(absl::RFC3339_full, Abs(*text), &when, &error) &&
         absl::FromChrono(WallNow()) > when + absl::FromChrono(kClockSkew);
}

}  // namespace rookery
