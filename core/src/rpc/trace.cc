#include "rookery/rpc/trace.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "rpc/random.h"

namespace rookery {
namespace {

constexpr std::uint8_t kSampled = 1;
constexpr std::uint8_t kRandom = 2;  // level 2: the trace id is random; kept when others set it
constexpr std::size_t kMaxTraceStateMembers = 32;
constexpr std::size_t kMaxTraceStateBytes = 512;

// Reads lower-case hex digits; false for anything else, capitals included.
bool ReadHex(std::string_view text, std::uint64_t* value) {
  std::uint64_t result = 0;
  for (const char c : text) {
    unsigned digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<unsigned>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<unsigned>(c - 'a') + 10;
    } else {
      return false;
    }
    result = result << 4 | digit;
  }
  *value = result;
  return true;
}

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsKeyCharacter(char c) {
  return IsLower(c) || IsDigit(c) || c == '_' || c == '-' || c == '*' || c == '/';
}

bool IsTraceStateKey(std::string_view key) {
  const std::size_t at = key.find('@');
  if (at == std::string_view::npos) {
    return !key.empty() && key.size() <= 256 && IsLower(key.front()) &&
           std::all_of(key.begin(), key.end(), IsKeyCharacter);
  }
  const std::string_view tenant = key.substr(0, at);
  const std::string_view system = key.substr(at + 1);
  return !tenant.empty() && tenant.size() <= 241 &&
         (IsLower(tenant.front()) || IsDigit(tenant.front())) &&
         std::all_of(tenant.begin(), tenant.end(), IsKeyCharacter) && !system.empty() &&
         system.size() <= 14 && IsLower(system.front()) &&
         std::all_of(system.begin(), system.end(), IsKeyCharacter);
}

bool IsTraceStateValue(std::string_view value) {
  return !value.empty() && value.size() <= 256 && value.back() != ' ' &&
         std::all_of(value.begin(), value.end(),
                     [](char c) { return c >= 0x20 && c <= 0x7e && c != ',' && c != '='; });
}

std::string_view TrimSpace(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool IsTraceState(std::string_view text) {
  if (text.size() > kMaxTraceStateBytes) return false;
  std::vector<std::string_view> keys;
  for (bool more = true; more;) {
    const std::size_t comma = text.find(',');
    const std::string_view member = TrimSpace(text.substr(0, comma));
    more = comma != std::string_view::npos;
    if (more) text.remove_prefix(comma + 1);
    if (member.empty()) continue;  // "Empty and whitespace-only list members are allowed"
    const std::size_t equals = member.find('=');
    if (equals == std::string_view::npos) return false;
    const std::string_view key = member.substr(0, equals);
    if (!IsTraceStateKey(key) || !IsTraceStateValue(member.substr(equals + 1))) return false;
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) return false;
    keys.push_back(key);
    if (keys.size() > kMaxTraceStateMembers) return false;
  }
  return !keys.empty();
}

std::uint64_t NonZeroRandom() {
  for (;;) {
    if (const std::uint64_t value = internal::FastRandom64(); value != 0) return value;
  }
}

}  // namespace

TraceContext TraceContext::NewRoot() {
  TraceContext trace;
  trace.trace_hi_ = NonZeroRandom();
  trace.trace_lo_ = internal::FastRandom64();
  trace.span_ = NonZeroRandom();
  trace.flags_ = kSampled;
  return trace;
}

std::optional<TraceContext> TraceContext::Parse(std::string_view traceparent,
                                                std::string_view tracestate) {
  // 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
  // 0  3                                36               53
  constexpr std::size_t kLength = 55;
  traceparent = TrimSpace(traceparent);
  if (traceparent.size() < kLength || traceparent[2] != '-' || traceparent[35] != '-' ||
      traceparent[52] != '-') {
    return std::nullopt;
  }
  std::uint64_t version = 0;
  std::uint64_t flags = 0;
  TraceContext trace;
  if (!ReadHex(traceparent.substr(0, 2), &version) ||
      !ReadHex(traceparent.substr(3, 16), &trace.trace_hi_) ||
      !ReadHex(traceparent.substr(19, 16), &trace.trace_lo_) ||
      !ReadHex(traceparent.substr(36, 16), &trace.span_) ||
      !ReadHex(traceparent.substr(53, 2), &flags)) {
    return std::nullopt;
  }
  if (version == 0xff || !trace.valid() || trace.span_ == 0) return std::nullopt;
  // Later versions may append fields after another dash; of theirs we read what version 00 has.
  if (traceparent.size() > kLength && (version == 0 || traceparent[kLength] != '-')) {
    return std::nullopt;
  }
  trace.flags_ = static_cast<std::uint8_t>(flags & (kSampled | kRandom));
  if (!tracestate.empty() && IsTraceState(tracestate)) trace.tracestate_ = TrimSpace(tracestate);
  return trace;
}

TraceContext TraceContext::Child() const {
  TraceContext child = *this;
  child.parent_ = span_;
  do {
    child.span_ = NonZeroRandom();
  } while (child.span_ == span_);
  return child;
}

void TraceContext::set_sampled(bool sampled) noexcept {
  flags_ = static_cast<std::uint8_t>(sampled ? flags_ | kSampled : flags_ & ~kSampled);
}

std::string TraceContext::trace_id() const {
  std::string id;
  id.reserve(32);
  internal::AppendHex(&id, trace_hi_, 16);
  internal::AppendHex(&id, trace_lo_, 16);
  return id;
}

std::string TraceContext::span_id() const {
  std::string id;
  internal::AppendHex(&id, span_, 16);
  return id;
}

std::string TraceContext::parent_span_id() const {
  std::string id;
  if (parent_ != 0) internal::AppendHex(&id, parent_, 16);
  return id;
}

std::string TraceContext::ToTraceparent() const {
  std::string text;
  text.reserve(55);
  text += "00-";
  internal::AppendHex(&text, trace_hi_, 16);
  internal::AppendHex(&text, trace_lo_, 16);
  text += '-';
  internal::AppendHex(&text, span_, 16);
  text += '-';
  internal::AppendHex(&text, flags_, 2);
  return text;
}

}  // namespace rookery
