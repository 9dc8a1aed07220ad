// What HTTP's headers say: lists with weights, media types, addresses of proxies, patterns of
// names.
//
//   Weigh("gzip;q=0.5, *;q=0", "gzip");                            // 500
//   MediaType type = *ParseMediaType("application/json; charset=utf-8");
//   std::optional<Network> net = ParseNetwork("10.0.0.0/8");
#ifndef ROOKERY_SRC_GATEWAY_HEADERS_H_
#define ROOKERY_SRC_GATEWAY_HEADERS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rookery::internal::gateway {

[[nodiscard]] std::string Lower(std::string_view text);
[[nodiscard]] std::string_view TrimSpace(std::string_view text) noexcept;
// A name of a header (RFC 9110 token), and a value without what could end its line.
[[nodiscard]] bool IsToken(std::string_view text) noexcept;
[[nodiscard]] bool IsFieldValue(std::string_view text) noexcept;

// The next of a comma-separated list, trimmed, off `list`; nullopt at its end. Commas within quotes
// do not count; empty members are passed over.
[[nodiscard]] std::optional<std::string_view> NextListed(std::string_view* list) noexcept;

struct MediaType {
  std::string type;                                             // "application", in lower case
  std::string subtype;                                          // "json"
  std::vector<std::pair<std::string, std::string>> parameters;  // names in lower case, unquoted
  [[nodiscard]] std::optional<std::string_view> Parameter(std::string_view name) const;
};
[[nodiscard]] std::optional<MediaType> ParseMediaType(std::string_view text);

// How much an Accept header wants "application/json" and the like: 0 (not at all) to 1000. The most
// specific range counts. An empty or absent header wants everything.
[[nodiscard]] int WeighMediaType(std::string_view accept, std::string_view media_type);
// Whether it is named by its full name, and not by "*/*" alone.
[[nodiscard]] bool NamesMediaType(std::string_view accept, std::string_view media_type);
// The same for Accept-Encoding: `coding` or "*". An absent one wants none but identity.
[[nodiscard]] int WeighCoding(std::string_view accept_encoding, std::string_view coding);

// An IP address as 16 bytes, IPv4 as ::ffff:a.b.c.d.
using Address = std::array<std::uint8_t, 16>;
// "203.0.113.7", "[2001:db8::1]:4711", "2001:db8::1", "ipv4:1.2.3.4:80", "ipv6:[::1]:80".
[[nodiscard]] std::optional<Address> ParseAddress(std::string_view text);
[[nodiscard]] std::string FormatAddress(const Address& address);
struct Network {
  Address address = {};
  int bits = 128;
  [[nodiscard]] bool Contains(const Address& other) const noexcept;
};
// "10.0.0.0/8", "::1".
[[nodiscard]] std::optional<Network> ParseNetwork(std::string_view text);
[[nodiscard]] bool AnyContains(std::span<const Network> networks, const Address& address) noexcept;

// The client's address, told by proxies: the last of `forwarded` (RFC 7239), or else of
// `x_forwarded_for`, that is no trusted proxy itself. nullopt: they say none that can be believed.
[[nodiscard]] std::optional<Address> ClientOf(std::string_view forwarded,
                                              std::string_view x_forwarded_for,
                                              std::span<const Network> proxies);

// Names of headers, in lower case, perhaps with a trailing '*'.
class NamePatterns final {
 public:
  NamePatterns() = default;
  explicit NamePatterns(std::span<const std::string> patterns);
  [[nodiscard]] bool Match(std::string_view lower_name) const noexcept;

 private:
  std::vector<std::string> names_;
  std::vector<std::string> prefixes_;
};

}  // namespace rookery::internal::gateway

#endif  // ROOKERY_SRC_GATEWAY_HEADERS_H_
