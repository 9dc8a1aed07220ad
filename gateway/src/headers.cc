#include "headers.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "http/exchange.h"

namespace rookery::internal::gateway {
namespace {

[[nodiscard]] char LowerChar(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// "q=0.5" in thousandths; 1000 without one, 0 for what is none.
[[nodiscard]] int WeightOf(std::string_view text) noexcept {
  text = TrimSpace(text);
  if (text.empty() || (text[0] != '0' && text[0] != '1')) return 0;
  int weight = text[0] == '1' ? 1000 : 0;
  if (text.size() == 1) return weight;
  if (text[1] != '.' || text.size() > 5) return 0;
  int scale = 100;
  for (const char c : text.substr(2)) {
    if (c < '0' || c > '9') return 0;
    weight += (c - '0') * scale;
    scale /= 10;
  }
  return std::min(weight, 1000);
}

// The name of a weighted member and its weight; other parameters are passed over.
struct Weighted {
  std::string_view name;
  int weight = 1000;
};
[[nodiscard]] Weighted ReadWeighted(std::string_view member) noexcept {
  Weighted read;
  const std::size_t end = member.find(';');
  read.name = TrimSpace(member.substr(0, end));
  while (end != std::string_view::npos && !member.empty()) {
    const std::size_t semicolon = member.find(';');
    if (semicolon == std::string_view::npos) break;
    member.remove_prefix(semicolon + 1);
    const std::string_view parameter = TrimSpace(member.substr(0, member.find(';')));
    if (parameter.size() > 1 && LowerChar(parameter[0]) == 'q' && parameter[1] == '=') {
      read.weight = WeightOf(parameter.substr(2));
    }
  }
  return read;
}

// 0: does not match; 1: "*/*"; 2: "type/*"; 3: the very type.
[[nodiscard]] int Specificity(std::string_view range, std::string_view media_type) noexcept {
  if (range == "*/*" || range == "*") return 1;
  const std::size_t slash = media_type.find('/');
  if (range.size() == slash + 2 && range.ends_with("/*") &&
      SameHeader(range.substr(0, slash), media_type.substr(0, slash))) {
    return 2;
  }
  return SameHeader(range, media_type) ? 3 : 0;
}

[[nodiscard]] std::string_view Unquote(std::string_view text) noexcept {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') {
    text.remove_prefix(1);
    text.remove_suffix(1);
  }
  return text;
}

// The value of for= in one element of Forwarded.
[[nodiscard]] std::string_view ForOf(std::string_view element) noexcept {
  while (!element.empty()) {
    std::size_t end = 0;
    bool quoted = false;
    while (end < element.size() && (quoted || element[end] != ';')) {
      if (element[end] == '"') quoted = !quoted;
      ++end;
    }
    const std::string_view pair = TrimSpace(element.substr(0, end));
    if (pair.size() > 4 && SameHeader(pair.substr(0, 4), "for=")) return Unquote(pair.substr(4));
    element.remove_prefix(std::min(end + 1, element.size()));
  }
  return {};
}

}  // namespace

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = LowerChar(c);
  return lower;
}

std::string_view TrimSpace(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool IsToken(std::string_view text) noexcept {
  static constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

bool IsFieldValue(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  });
}

std::optional<std::string_view> NextListed(std::string_view* list) noexcept {
  while (!list->empty()) {
    std::size_t end = 0;
    bool quoted = false;
    while (end < list->size() && (quoted || (*list)[end] != ',')) {
      if (quoted && (*list)[end] == '\\') ++end;
      if (end < list->size() && (*list)[end] == '"') quoted = !quoted;
      ++end;
    }
    end = std::min(end, list->size());
    const std::string_view member = TrimSpace(list->substr(0, end));
    list->remove_prefix(std::min(end + 1, list->size()));
    if (!member.empty()) return member;
  }
  return std::nullopt;
}

std::optional<std::string_view> MediaType::Parameter(std::string_view name) const {
  for (const auto& [key, value] : parameters) {
    if (key == name) return value;
  }
  return std::nullopt;
}

std::optional<MediaType> ParseMediaType(std::string_view text) {
  const std::size_t end = text.find(';');
  const std::string_view whole = TrimSpace(text.substr(0, end));
  const std::size_t slash = whole.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  MediaType media;
  media.type = Lower(whole.substr(0, slash));
  media.subtype = Lower(whole.substr(slash + 1));
  if (!IsToken(media.type) || !IsToken(media.subtype)) return std::nullopt;
  std::string_view rest = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  while (!rest.empty()) {
    const std::size_t semicolon = rest.find(';');
    const std::string_view parameter = TrimSpace(rest.substr(0, semicolon));
    const std::size_t equals = parameter.find('=');
    if (equals != std::string_view::npos) {
      media.parameters.emplace_back(Lower(TrimSpace(parameter.substr(0, equals))),
                                    std::string(Unquote(TrimSpace(parameter.substr(equals + 1)))));
    }
    if (semicolon == std::string_view::npos) break;
    rest.remove_prefix(semicolon + 1);
  }
  return media;
}

int WeighMediaType(std::string_view accept, std::string_view media_type) {
  if (TrimSpace(accept).empty()) return 1000;
  int best = 0;
  int weight = 0;
  while (const auto member = NextListed(&accept)) {
    const Weighted range = ReadWeighted(*member);
    const int specificity = Specificity(range.name, media_type);
    if (specificity > best || (specificity == best && specificity > 0)) {
      weight = specificity > best ? range.weight : std::max(weight, range.weight);
      best = specificity;
    }
  }
  return weight;
}

bool NamesMediaType(std::string_view accept, std::string_view media_type) {
  while (const auto member = NextListed(&accept)) {
    const Weighted range = ReadWeighted(*member);
    if (range.weight > 0 && Specificity(range.name, media_type) == 3) return true;
  }
  return false;
}

int WeighCoding(std::string_view accept_encoding, std::string_view coding) {
  int any = 0;
  while (const auto member = NextListed(&accept_encoding)) {
    const Weighted listed = ReadWeighted(*member);
    if (SameHeader(listed.name, coding)) return listed.weight;
    if (listed.name == "*") any = listed.weight;
  }
  return any;
}

std::optional<Address> ParseAddress(std::string_view text) {
  if (text.starts_with("ipv4:") || text.starts_with("ipv6:")) text.remove_prefix(5);
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    text = text.substr(1, end - 1);
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    text = text.substr(0, text.find(':'));
  }
  if (const std::size_t zone = text.find('%'); zone != std::string_view::npos) {
    text = text.substr(0, zone);
  }
  const std::string copy(text);
  Address address = {};
  in_addr v4 = {};
  if (::inet_pton(AF_INET, copy.c_str(), &v4) == 1) {
    address[10] = address[11] = 0xff;
    std::memcpy(address.data() + 12, &v4, sizeof v4);
    return address;
  }
  if (::inet_pton(AF_INET6, copy.c_str(), address.data()) == 1) return address;
  return std::nullopt;
}

std::string FormatAddress(const Address& address) {
  static constexpr std::array<std::uint8_t, 12> kV4 = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  char text[INET6_ADDRSTRLEN] = {};
  const bool v4 = std::equal(kV4.begin(), kV4.end(), address.begin());
  ::inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? address.data() + 12 : address.data(), text,
              sizeof text);
  return text;
}

bool Network::Contains(const Address& other) const noexcept {
  for (int bit = 0; bit < bits; bit += 8) {
    const auto at = static_cast<std::size_t>(bit / 8);
    const int left = std::min(8, bits - bit);
    const auto mask = static_cast<std::uint8_t>(0xff << (8 - left));
    if ((address[at] & mask) != (other[at] & mask)) return false;
  }
  return true;
}

std::optional<Network> ParseNetwork(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string_view host = text.substr(0, slash);
  const std::optional<Address> address = ParseAddress(host);
  // A port, or a zone, would be silently passed over.
  if (!address || host.find('[') != std::string_view::npos ||
      (host.find('.') != std::string_view::npos &&
       std::count(host.begin(), host.end(), ':') == 1)) {
    return std::nullopt;
  }
  Network network;
  network.address = *address;
  if (slash == std::string_view::npos) return network;
  const std::string_view bits = text.substr(slash + 1);
  int count = 0;
  const auto [end, error] = std::from_chars(bits.data(), bits.data() + bits.size(), count);
  const bool v4 = host.find(':') == std::string_view::npos;
  if (error != std::errc() || end != bits.data() + bits.size() || count < 0 ||
      count > (v4 ? 32 : 128)) {
    return std::nullopt;
  }
  network.bits = v4 ? count + 96 : count;
  return network;
}

bool AnyContains(std::span<const Network> networks, const Address& address) noexcept {
  return std::any_of(networks.begin(), networks.end(),
                     [&](const Network& network) { return network.Contains(address); });
}

std::optional<Address> ClientOf(std::string_view forwarded, std::string_view x_forwarded_for,
                                std::span<const Network> proxies) {
  std::vector<std::string_view> told;
  if (!TrimSpace(forwarded).empty()) {
    while (const auto element = NextListed(&forwarded)) told.push_back(ForOf(*element));
  } else {
    while (const auto one = NextListed(&x_forwarded_for)) told.push_back(*one);
  }
  // Each proxy adds whom it was asked by at the end, so what the first said is the least reliable.
  std::optional<Address> client;
  for (auto at = told.rbegin(); at != told.rend(); ++at) {
    const std::optional<Address> address = ParseAddress(*at);
    if (!address) break;
    client = address;
    if (!AnyContains(proxies, *address)) break;
  }
  return client;
}

NamePatterns::NamePatterns(std::span<const std::string> patterns) {
  for (const std::string& pattern : patterns) {
    if (pattern.ends_with('*')) {
      prefixes_.push_back(Lower(std::string_view(pattern).substr(0, pattern.size() - 1)));
    } else {
      names_.push_back(Lower(pattern));
    }
  }
  std::sort(names_.begin(), names_.end());
}

bool NamePatterns::Match(std::string_view lower_name) const noexcept {
  return std::binary_search(names_.begin(), names_.end(), lower_name) ||
         std::any_of(prefixes_.begin(), prefixes_.end(),
                     [&](const std::string& prefix) { return lower_name.starts_with(prefix); });
}

}  // namespace rookery::internal::gateway
