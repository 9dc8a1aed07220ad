// Utf8: what peers send as text may be anything; these tell and mend.
#ifndef ROOKERY_RPC_UTF8_H_
#define ROOKERY_RPC_UTF8_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace rookery::internal {

// The length of the well-formed character that `text` starts with (RFC 3629: no overlong forms, no
// surrogates), or 0.
[[nodiscard]] std::size_t Utf8CharacterLength(std::string_view text) noexcept;
[[nodiscard]] bool IsUtf8(std::string_view text) noexcept;
// `text` with each byte that belongs to no character replaced by U+FFFD.
[[nodiscard]] std::string MendUtf8(std::string_view text);
// The longest prefix of at most `bytes` that does not end within a character.
[[nodiscard]] std::string_view CutUtf8(std::string_view text, std::size_t bytes) noexcept;

}  // namespace rookery::internal

#endif  // ROOKERY_RPC_UTF8_H_
