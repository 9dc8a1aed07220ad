// The spellings that ProtoJSON gives to values, and what may be read as one.
//
//   AppendQuoted(name, &bytes);
//   char* end = FormatDouble(0.1, bytes.Room(kNumberRoom));
//   NumberFault fault = ParseInteger("1e3", &negative, &magnitude);
#ifndef ROOKERY_RPC_JSON_TEXT_H_
#define ROOKERY_RPC_JSON_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "rpc/json/bytes.h"

namespace rookery::internal::json {

// ---- strings ------------------------------------------------------------------------------------

// Whether nothing in it needs an escape.
[[nodiscard]] bool IsPlain(std::string_view text) noexcept;
// In quotes, escaped as RFC 8259 must have it and no more. False if it is not UTF-8.
bool AppendQuoted(std::string_view text, Bytes* out);
// The content of a JSON string (which has no bare quote or control character in it, and is UTF-8)
// without its escapes. False, and `*why` says it, for an escape that is none.
[[nodiscard]] bool Unescape(std::string_view content, std::string* out, std::string_view* why);

// ---- base64 -------------------------------------------------------------------------------------

// With padding, in the standard alphabet, in quotes.
void AppendBase64(std::string_view bytes, Bytes* out);
// How many bytes the text stands for if it is base64, or nullopt for a length that cannot be. Both
// alphabets; padding or none.
[[nodiscard]] std::optional<std::size_t> Base64Size(std::string_view* text) noexcept;
// Into as many bytes; `text` as Base64Size() left it. False for a character that is none of it.
[[nodiscard]] bool DecodeBase64(std::string_view text, char* out) noexcept;

// ---- numbers ------------------------------------------------------------------------------------

inline constexpr std::size_t kNumberRoom = 48;

// In decimal; of any integer type.
char* FormatDigits(std::uint64_t value, char* out) noexcept;
template <class Number>
char* FormatInteger(Number value, char* out) noexcept {
  if constexpr (std::is_signed_v<Number>) {
    if (value < 0) {
      *out++ = '-';
      return FormatDigits(~static_cast<std::uint64_t>(std::int64_t{value}) + 1, out);
    }
  }
  return FormatDigits(static_cast<std::uint64_t>(value), out);
}
// As ECMAScript prints numbers (the shortest that reads back the same), and "-0" for that. Not for
// infinities and NaN.
char* FormatDouble(double value, char* out) noexcept;
char* FormatFloat(float value, char* out) noexcept;

enum class NumberFault : std::uint8_t { kNone, kSyntax, kFraction, kRange };
// JSON's numbers; exact in any spelling (1e3, 10.0). kRange: beyond 64 bits.
[[nodiscard]] NumberFault ParseInteger(std::string_view text, bool* negative,
                                       std::uint64_t* magnitude) noexcept;
// kRange: beyond the greatest; what is below the least is zero.
[[nodiscard]] NumberFault ParseDouble(std::string_view text, double* value);
[[nodiscard]] NumberFault ParseFloat(std::string_view text, float* value);

// ---- times --------------------------------------------------------------------------------------

inline constexpr std::int64_t kLeastSeconds = -62'135'596'800;     // 0001-01-01T00:00:00Z
inline constexpr std::int64_t kGreatestSeconds = 253'402'300'799;  // 9999-12-31T23:59:59Z
inline constexpr std::int64_t kGreatestDuration = 315'576'000'000;

// In quotes. Room: kNumberRoom. Null if it is out of range.
[[nodiscard]] char* FormatTimestamp(std::int64_t seconds, std::int32_t nanos, char* out) noexcept;
[[nodiscard]] char* FormatDuration(std::int64_t seconds, std::int32_t nanos, char* out) noexcept;
// Null, or what is wrong.
[[nodiscard]] const char* ParseTimestamp(std::string_view text, std::int64_t* seconds,
                                         std::int32_t* nanos) noexcept;
[[nodiscard]] const char* ParseDuration(std::string_view text, std::int64_t* seconds,
                                        std::int32_t* nanos) noexcept;

// ---- field masks --------------------------------------------------------------------------------

// One path, snake_case to lowerCamelCase and back. False for what would not come back the same.
[[nodiscard]] bool CamelPath(std::string_view path, std::string* out);
[[nodiscard]] bool SnakePath(std::string_view path, std::string* out);

}  // namespace rookery::internal::json

#endif  // ROOKERY_RPC_JSON_TEXT_H_
