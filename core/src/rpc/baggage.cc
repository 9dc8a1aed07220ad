#include "rookery/rpc/baggage.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "rookery/rpc/call_context.h"
#include "rpc/utf8.h"
#include "runtime/abseil_strings.h"

namespace rookery {
namespace {

using internal::Abs;

std::string_view TrimSpace(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// RFC 7230, section 3.2.6.
bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

// baggage-octet: printable ASCII without space, '"', ',', ';' and '\'.
bool IsBaggageOctet(char c) {
  return c > 0x20 && c < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\';
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// A percent sign without two digits after it stands for itself.
std::string Decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && HexDigit(text[i + 1]) >= 0 &&
        HexDigit(text[i + 2]) >= 0) {
      decoded += static_cast<char>(HexDigit(text[i + 1]) * 16 + HexDigit(text[i + 2]));
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return internal::IsUtf8(decoded) ? decoded : internal::MendUtf8(decoded);
}

void AppendEncoded(std::string* out, std::string_view value) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  for (const char c : value) {
    if (IsBaggageOctet(c) && c != '%') {
      *out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      *out += '%';
      *out += kDigits[byte >> 4];
      *out += kDigits[byte & 15];
    }
  }
}

std::size_t EncodedSize(std::string_view value) {
  std::size_t size = 0;
  for (const char c : value) size += IsBaggageOctet(c) && c != '%' ? 1 : 3;
  return size;
}

std::size_t EncodedSize(const BaggageMember& member) {
  return member.key.size() + 1 + EncodedSize(member.value) +
         (member.properties.empty() ? 0 : 1 + member.properties.size());
}

bool ArePropertiesSane(std::string_view properties) {
  return std::all_of(properties.begin(), properties.end(),
                     [](char c) { return IsBaggageOctet(c) || c == ';' || c == ' ' || c == '\t'; });
}

}  // namespace

Baggage Baggage::Parse(std::string_view header) {
  Baggage baggage;
  std::size_t bytes = 0;
  for (bool more = true; more;) {
    const std::size_t comma = header.find(',');
    const std::string_view member = TrimSpace(header.substr(0, comma));
    more = comma != std::string_view::npos;
    if (more) header.remove_prefix(comma + 1);
    if (member.empty()) continue;
    bytes += member.size() + (baggage.members_.empty() ? 0 : 1);
    if (bytes > kMaxBytes || baggage.members_.size() == kMaxMembers) {
      baggage.left_out_ += 1 + static_cast<std::size_t>(
                                   more ? std::count(header.begin(), header.end(), ',') + 1 : 0);
      break;
    }
    const std::size_t semicolon = member.find(';');
    const std::string_view pair = member.substr(0, semicolon);
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos) {
      ++baggage.left_out_;
      continue;
    }
    const std::string_view key = TrimSpace(pair.substr(0, equals));
    const std::string_view value = TrimSpace(pair.substr(equals + 1));
    const std::string_view properties = semicolon == std::string_view::npos
                                            ? std::string_view()
                                            : TrimSpace(member.substr(semicolon + 1));
    if (!IsToken(key) || !std::all_of(value.begin(), value.end(), IsBaggageOctet) ||
        !ArePropertiesSane(properties)) {
      ++baggage.left_out_;
      continue;
    }
    baggage.members_.push_back({std::string(key), Decode(value), std::string(properties)});
  }
  return baggage;
}

absl::Status Baggage::Set(std::string_view key, std::string_view value) {
  if (!IsToken(key)) {
    return absl::InvalidArgumentError(
        absl::StrCat("baggage: the key \"", Abs(key.substr(0, 64)),
                     "\" is not a token: letters, digits and !#$%&'*+-.^_`|~"));
  }
  BaggageMember member{std::string(key), std::string(value), {}};
  std::size_t bytes = EncodedSize(member);
  std::size_t count = 1;
  for (const BaggageMember& other : members_) {
    if (other.key == key) continue;
    bytes += EncodedSize(other) + 1;
    ++count;
  }
  if (bytes > kMaxBytes || count > kMaxMembers) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "baggage: with \"", Abs(key.substr(0, 64)), "\" there would be ", count, " members in ",
        bytes, " bytes; the limits are ", kMaxMembers, " and ", kMaxBytes));
  }
  std::erase_if(members_, [key](const BaggageMember& other) { return other.key == key; });
  members_.push_back(std::move(member));
  return absl::OkStatus();
}

std::optional<std::string_view> Baggage::Get(std::string_view key) const {
  for (auto member = members_.rbegin(); member != members_.rend(); ++member) {
    if (member->key == key) return member->value;
  }
  return std::nullopt;
}

std::string Baggage::ToHeader() const {
  std::string header;
  std::size_t count = 0;
  for (const BaggageMember& member : members_) {
    // What was mended on its way in may have grown: the limits hold for what goes out, too.
    if (count == kMaxMembers) break;
    if (header.size() + (header.empty() ? 0 : 1) + EncodedSize(member) > kMaxBytes) continue;
    if (!header.empty()) header += ',';
    header += member.key;
    header += '=';
    AppendEncoded(&header, member.value);
    if (!member.properties.empty()) header.append(1, ';').append(member.properties);
    ++count;
  }
  return header;
}

BaggageAllowList::BaggageAllowList(
    std::initializer_list<std::reference_wrapper<const ContextKeyBase>> keys) {
  for (const ContextKeyBase& key : keys) Add(key);
}

void BaggageAllowList::Add(const ContextKeyBase& key) {
  if (key.propagates && key.from_text != nullptr) keys_.push_back(&key);
}

const ContextKeyBase* BaggageAllowList::Find(std::string_view name) const noexcept {
  for (const ContextKeyBase* key : keys_) {
    if (key->name == name) return key;
  }
  return nullptr;
}

std::string BaggageOf(const Context& context) {
  std::string header;
  std::size_t members = 0;
  context.ForEach([&header, &members](const ContextKeyBase& key, const void* value) {
    if (!key.propagates || members == Baggage::kMaxMembers || !IsToken(key.name)) return;
    const std::string text = key.to_text(value);
    const std::size_t size = key.name.size() + 1 + EncodedSize(text) + (header.empty() ? 0 : 1);
    if (header.size() + size > Baggage::kMaxBytes) return;
    if (!header.empty()) header += ',';
    header += key.name;
    header += '=';
    AppendEncoded(&header, text);
    ++members;
  });
  return header;
}

std::size_t AdoptInbound(CallContext& call, const BaggageAllowList& accept) {
  if (accept.empty()) return 0;
  const std::optional<std::string_view> first = call.PeekMetadata("baggage");
  if (!first) return 0;
  std::string header;
  for (const std::string_view part : call.metadata().GetAll("baggage")) {
    if (!header.empty()) header += ',';
    header += part;
  }
  const Baggage baggage = Baggage::Parse(header);
  std::size_t left_out = baggage.left_out();
  for (const BaggageMember& member : baggage.members()) {
    const ContextKeyBase* const key = accept.Find(member.key);
    if (key != nullptr && !call.SetText(*key, member.value)) ++left_out;
  }
  return left_out;
}

}  // namespace rookery
