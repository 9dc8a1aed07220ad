// The characters of RFC 9110 and 9112, by table. Private.
#ifndef ROOKERY_SRC_GATEWAY_HTTP_GRAMMAR_H_
#define ROOKERY_SRC_GATEWAY_HTTP_GRAMMAR_H_

#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace rookery::internal::gateway {

enum CharClass : std::uint8_t { kTokenChar = 1, kValueChar = 2, kTargetChar = 4, kHostChar = 8 };

consteval std::array<std::uint8_t, 256> MakeCharTable() {
  std::array<std::uint8_t, 256> table{};
  const auto add = [&table](std::string_view characters, std::uint8_t kind) {
    for (const char c : characters) table[static_cast<unsigned char>(c)] |= kind;
  };
  for (unsigned c = 0x21; c <= 0x7e; ++c) table[c] |= kValueChar | kTargetChar;
  for (unsigned c = 0x80; c <= 0xff; ++c) table[c] |= kValueChar;
  table[' '] |= kValueChar;
  table['\t'] |= kValueChar;
  for (unsigned c = '0'; c <= '9'; ++c) table[c] |= kTokenChar | kHostChar;
  for (unsigned c = 'a'; c <= 'z'; ++c) table[c] |= kTokenChar | kHostChar;
  for (unsigned c = 'A'; c <= 'Z'; ++c) table[c] |= kTokenChar | kHostChar;
  add("!#$%&'*+-.^_`|~", kTokenChar);
  // reg-name, IP literals and the port (RFC 3986, 3.2.2), without user information.
  add("-._~%!$&'()*+;=:[]", kHostChar);
  // A fragment is never sent; a backslash is a slash to some; nobody sends the others unescaped.
  for (const char c : std::string_view("#\"<>\\")) {
    table[static_cast<unsigned char>(c)] &= static_cast<std::uint8_t>(~kTargetChar);
  }
  return table;
}
inline constexpr std::array<std::uint8_t, 256> kCharTable = MakeCharTable();

[[nodiscard]] constexpr bool All(std::string_view text, CharClass kind) noexcept {
  for (const char c : text) {
    if ((kCharTable[static_cast<unsigned char>(c)] & kind) == 0) return false;
  }
  return true;
}

[[nodiscard]] constexpr char ToLower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}
[[nodiscard]] constexpr bool IsToken(std::string_view text) noexcept {
  return !text.empty() && All(text, kTokenChar);
}
// Visible characters, spaces, tabs and bytes above ASCII; nothing that ends a line.
[[nodiscard]] inline bool IsFieldValue(std::string_view text) noexcept {
  // Eight at a time, as long as none of them is a control character or a delete.
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  constexpr std::uint64_t kHighs = 0x8080808080808080;
  while (text.size() >= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data(), 8);
    const std::uint64_t controls = (word - kOnes * 0x20) & ~word;
    const std::uint64_t deletes = ((word ^ kOnes * 0x7f) - kOnes) & ~(word ^ kOnes * 0x7f);
    if (((controls | deletes) & kHighs) != 0) break;
    text.remove_prefix(8);
  }
  return All(text, kValueChar);
}
[[nodiscard]] constexpr bool IsTarget(std::string_view text) noexcept {
  return !text.empty() && All(text, kTargetChar);
}
[[nodiscard]] constexpr bool IsHost(std::string_view text) noexcept { return All(text, kHostChar); }
[[nodiscard]] constexpr std::string_view TrimSpace(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace rookery::internal::gateway

#endif  // ROOKERY_SRC_GATEWAY_HTTP_GRAMMAR_H_
