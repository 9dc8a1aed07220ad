#include "rpc/json/text.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>

#include "rpc/json/structure.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace rookery::internal::json {
namespace {

constexpr char kHex[] = "0123456789abcdef";

// What stands behind the backslash, 'u' for the \u00XX form, 0 for a character that stays. 1: not
// ASCII, so look whether it is UTF-8.
constexpr std::array<char, 256> kEscapes = [] {
  std::array<char, 256> table{};
  for (std::size_t i = 0; i < 0x20; ++i) table[i] = 'u';
  for (std::size_t i = 0x80; i < 0x100; ++i) table[i] = 1;
  table['\b'] = 'b';
  table['\f'] = 'f';
  table['\n'] = 'n';
  table['\r'] = 'r';
  table['\t'] = 't';
  table['"'] = '"';
  table['\\'] = '\\';
  return table;
}();

constexpr std::uint64_t Repeat(unsigned char byte) noexcept {
  return std::uint64_t{0x0101010101010101} * byte;
}

// Zero if eight bytes are ASCII that needs no escape.
inline std::uint64_t Stops(std::uint64_t bytes) noexcept {
  const auto has_zero = [](std::uint64_t x) { return (x - Repeat(1)) & ~x; };
  const std::uint64_t stop = (bytes - Repeat(0x20)) | bytes | has_zero(bytes ^ Repeat('"')) |
                             has_zero(bytes ^ Repeat('\\'));
  return stop & Repeat(0x80);
}

// Copies up to 32 bytes if they are ASCII that needs no escape; the pieces overlap. True if so.
inline bool CopyShortPlain(const char* from, std::size_t size, char* to) noexcept {
  if (size >= 8) {
    const auto piece = [&](std::size_t i) {
      std::uint64_t bytes;
      std::memcpy(&bytes, from + i, 8);
      std::memcpy(to + i, &bytes, 8);
      return Stops(bytes);
    };
    std::uint64_t stops = piece(0) | piece(size - 8);
    if (size > 16) stops |= piece(8) | piece(size - 16);
    return stops == 0;
  }
  if (size >= 4) {
    std::uint32_t first;
    std::uint32_t last;
    std::memcpy(&first, from, 4);
    std::memcpy(&last, from + size - 4, 4);
    std::memcpy(to, &first, 4);
    std::memcpy(to + size - 4, &last, 4);
    return Stops(std::uint64_t{first} << 32 | last) == 0;
  }
  int stops = 0;
  for (std::size_t i = 0; i < size; ++i) {
    to[i] = from[i];
    stops |= kEscapes[static_cast<unsigned char>(from[i])];
  }
  return stops == 0;
}

// How many bytes at the front need no escape. With `ascii`, stops at what is not ASCII, too.
template <bool ascii>
std::size_t PlainPrefix(const char* text, std::size_t size) noexcept {
  std::size_t i = 0;
#if defined(__SSE2__)
  for (; i + 16 <= size; i += 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text + i));
    // Signed: bytes from 0x80 up are less than space.
    __m128i stop = _mm_cmplt_epi8(block, _mm_set1_epi8(0x20));
    if constexpr (!ascii) {
      stop = _mm_and_si128(stop, _mm_cmpgt_epi8(block, _mm_set1_epi8(-1)));
    }
    stop = _mm_or_si128(stop, _mm_cmpeq_epi8(block, _mm_set1_epi8('"')));
    stop = _mm_or_si128(stop, _mm_cmpeq_epi8(block, _mm_set1_epi8('\\')));
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(stop));
    if (mask != 0) return i + static_cast<std::size_t>(std::countr_zero(mask));
  }
#endif
  for (; i < size; ++i) {
    const char escape = kEscapes[static_cast<unsigned char>(text[i])];
    if (ascii ? escape != 0 : escape > 1) break;
  }
  return i;
}

// "00", "01", ...
constexpr std::array<char, 200> kPairs = [] {
  std::array<char, 200> table{};
  for (std::size_t i = 0; i < 100; ++i) {
    table[2 * i] = static_cast<char>('0' + i / 10);
    table[2 * i + 1] = static_cast<char>('0' + i % 10);
  }
  return table;
}();

// The least numbers of two digits, three, and so on; zero has one digit, too.
constexpr std::array<std::uint64_t, 20> kPowers = [] {
  std::array<std::uint64_t, 20> table{};
  std::uint64_t power = 1;
  for (std::size_t i = 1; i < 20; ++i) table[i] = power *= 10;
  return table;
}();

// ---- decimal ------------------------------------------------------------------------------------

bool IsDigit(char c) noexcept { return c >= '0' && c <= '9'; }

// A JSON number taken apart.
struct Decimal {
  bool negative = false;
  std::string_view whole;     // at least one digit
  std::string_view fraction;  // without the point
  std::int64_t exponent = 0;  // clamped far outside of what any type holds
};

bool ParseDecimal(std::string_view text, Decimal* out) noexcept {
  std::size_t i = 0;
  const auto digits = [&] {
    const std::size_t begin = i;
    while (i < text.size() && IsDigit(text[i])) ++i;
    return text.substr(begin, i - begin);
  };
  if (i < text.size() && text[i] == '-') {
    out->negative = true;
    ++i;
  }
  out->whole = digits();
  if (out->whole.empty() || (out->whole.size() > 1 && out->whole[0] == '0')) return false;
  if (i < text.size() && text[i] == '.') {
    ++i;
    out->fraction = digits();
    if (out->fraction.empty()) return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    bool minus = false;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) minus = text[i++] == '-';
    const std::string_view exponent = digits();
    if (exponent.empty()) return false;
    constexpr std::int64_t kFar = std::int64_t{1} << 40;
    for (const char digit : exponent) {
      if (out->exponent < kFar) out->exponent = out->exponent * 10 + (digit - '0');
    }
    if (minus) out->exponent = -out->exponent;
  }
  return i == text.size();
}

// Shortest digits laid out as ECMAScript's Number::toString does (ECMA-262 6.1.6.1.20; RFC 8785).
template <class Float>
char* FormatShortest(Float value, char* out) noexcept {
  // All whole numbers up to here have a neighbour nearer than one.
  constexpr Float kWhole =
      static_cast<Float>(std::int64_t{1} << std::numeric_limits<Float>::digits);
  if (value > -kWhole && value < kWhole) {
    const auto whole = static_cast<std::int64_t>(value);
    if (static_cast<Float>(whole) == value && (whole != 0 || !std::signbit(value))) {
      return FormatInteger(whole, out);
    }
  }
  // Most fractions that people write have few decimals. A decimal of no more digits than the type
  // holds in any case (15 of double) is read as it was written, and no other such is read the same:
  // if division gives the value, this is its shortest form.
  constexpr Float kMost = std::numeric_limits<Float>::digits10 == 15 ? Float{1e15F} : Float{1e6F};
  const Float positive = std::abs(value);
  for (const int decimals : {3, 6}) {
    const Float scale = decimals == 3 ? Float{1e3F} : Float{1e6F};
    const Float scaled = positive * scale + Float{0.5F};
    if (!(scaled >= 1 && scaled < kMost)) continue;
    const auto digits = static_cast<std::uint64_t>(scaled);
    if (static_cast<Float>(digits) / scale != positive) continue;
    if (value < 0) *out++ = '-';
    const auto divisor = static_cast<std::uint64_t>(scale);
    out = FormatDigits(digits / divisor, out);
    *out++ = '.';
    auto rest = static_cast<std::uint32_t>(digits % divisor);
    for (int i = decimals - 1; i >= 0; --i) {
      out[i] = static_cast<char>('0' + rest % 10);
      rest /= 10;
    }
    out += decimals;
    while (out[-1] == '0') --out;
    return out;
  }
  char text[kNumberRoom];
  const char* const end =
      std::to_chars(text, text + sizeof(text), value, std::chars_format::scientific).ptr;
  const char* at = text;
  if (*at == '-') *out++ = *at++;
  char digits[kNumberRoom];
  int count = 0;
  for (; *at != 'e'; ++at) {
    if (*at != '.') digits[count++] = *at;
  }
  int exponent = 0;
  for (const char* digit = at + 2; digit != end; ++digit) exponent = exponent * 10 + (*digit - '0');
  if (at[1] == '-') exponent = -exponent;
  const int point = exponent + 1;  // digits before the decimal point
  const auto put = [&](const char* from, int n) {
    std::memcpy(out, from, static_cast<std::size_t>(n));
    out += n;
  };
  const auto zeros = [&](int n) {
    std::memset(out, '0', static_cast<std::size_t>(n));
    out += n;
  };
  if (count <= point && point <= 21) {
    put(digits, count);
    zeros(point - count);
  } else if (0 < point && point <= 21) {
    put(digits, point);
    *out++ = '.';
    put(digits + point, count - point);
  } else if (-6 < point && point <= 0) {
    *out++ = '0';
    *out++ = '.';
    zeros(-point);
    put(digits, count);
  } else {
    *out++ = digits[0];
    if (count > 1) {
      *out++ = '.';
      put(digits + 1, count - 1);
    }
    *out++ = 'e';
    *out++ = exponent < 0 ? '-' : '+';
    out = std::to_chars(out, out + 8, std::abs(exponent)).ptr;
  }
  return out;
}

template <class Float>
NumberFault ParseFloating(std::string_view text, Float* value) {
  // Small whole numbers are exact as they are.
  if (!text.empty() && text.size() <= 7) {
    std::int32_t whole = 0;
    std::size_t i = text[0] == '-' ? 1 : 0;
    const std::size_t begin = i;
    for (; i < text.size() && IsDigit(text[i]); ++i) whole = whole * 10 + (text[i] - '0');
    const std::size_t digits = i - begin;
    if (i == text.size() && digits != 0 && (text[begin] != '0' || digits == 1)) {
      *value = text[0] == '-' ? -static_cast<Float>(whole) : static_cast<Float>(whole);
      return NumberFault::kNone;
    }
  }
  Decimal decimal;
  if (!ParseDecimal(text, &decimal)) return NumberFault::kSyntax;
  const std::from_chars_result result =
      std::from_chars(text.data(), text.data() + text.size(), *value);
  if (result.ec == std::errc::result_out_of_range) {
    // Too great and too small look alike: what matters is where the first digit that counts stands.
    std::int64_t magnitude = decimal.exponent;
    const std::size_t in_whole = decimal.whole.find_first_not_of('0');
    const std::size_t in_fraction = decimal.fraction.find_first_not_of('0');
    if (in_whole != std::string_view::npos) {
      magnitude += static_cast<std::int64_t>(decimal.whole.size() - in_whole);
    } else if (in_fraction != std::string_view::npos) {
      magnitude -= static_cast<std::int64_t>(in_fraction);
    } else {
      magnitude = 0;
    }
    if (magnitude > 0) return NumberFault::kRange;
    *value = decimal.negative ? -Float{0} : Float{0};
    return NumberFault::kNone;
  }
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) {
    return NumberFault::kSyntax;
  }
  return std::isfinite(*value) ? NumberFault::kNone : NumberFault::kRange;
}

// ---- civil time ---------------------------------------------------------------------------------

// Days since 1970-01-01 of the proleptic Gregorian calendar, counted in eras of 400 years that
// begin on 1 March.
constexpr std::int64_t DaysOf(std::int64_t year, int month, int day) noexcept {
  year -= month <= 2 ? 1 : 0;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const std::int64_t year_of_era = year - era * 400;
  const int day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const std::int64_t day_of_era =
      year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + day_of_era - 719'468;
}

struct Date {
  int year;
  int month;
  int day;
};

constexpr Date DateOf(std::int64_t days) noexcept {
  days += 719'468;
  const std::int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
  const auto day_of_era = static_cast<int>(days - era * 146'097);
  const int year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int shifted = (5 * day_of_year + 2) / 153;
  const int month = shifted < 10 ? shifted + 3 : shifted - 9;
  return {static_cast<int>(era * 400) + year_of_era + (month <= 2 ? 1 : 0), month,
          day_of_year - (153 * shifted + 2) / 5 + 1};
}
static_assert(DaysOf(1, 1, 1) * 86'400 == kLeastSeconds);
static_assert(DaysOf(10'000, 1, 1) * 86'400 - 1 == kGreatestSeconds);
static_assert(DateOf(DaysOf(2024, 2, 29)).day == 29);

char* PutDigits(std::uint32_t value, int digits, char* out) noexcept {
  for (int i = digits - 1; i >= 0; --i) {
    out[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  return out + digits;
}

// Nothing, or a point and 3, 6 or 9 digits.
char* PutNanos(std::uint32_t nanos, char* out) noexcept {
  if (nanos == 0) return out;
  *out++ = '.';
  if (nanos % 1'000'000 == 0) return PutDigits(nanos / 1'000'000, 3, out);
  if (nanos % 1'000 == 0) return PutDigits(nanos / 1'000, 6, out);
  return PutDigits(nanos, 9, out);
}

// Reads ".123456789" if it is there; false for a point without 1 to 9 digits behind it.
bool TakeNanos(std::string_view text, std::size_t* at, std::int32_t* nanos) noexcept {
  *nanos = 0;
  if (*at >= text.size() || text[*at] != '.') return true;
  const std::size_t begin = ++*at;
  for (; *at < text.size() && IsDigit(text[*at]); ++*at) {
    if (*at - begin == 9) return false;
    *nanos = *nanos * 10 + (text[*at] - '0');
  }
  if (*at == begin) return false;
  for (std::size_t digits = *at - begin; digits < 9; ++digits) *nanos *= 10;
  return true;
}

// -1: no number of two digits there.
int TwoDigits(std::string_view text, std::size_t at) noexcept {
  if (at + 2 > text.size() || !IsDigit(text[at]) || !IsDigit(text[at + 1])) return -1;
  return (text[at] - '0') * 10 + (text[at + 1] - '0');
}

// ---- tables for base64 --------------------------------------------------------------------------

constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> kBase64Values = [] {
  std::array<std::int8_t, 256> table{};
  for (std::int8_t& value : table) value = -1;
  for (int i = 0; i < 64; ++i) {
    table[static_cast<unsigned char>(kBase64[i])] = static_cast<std::int8_t>(i);
  }
  table['-'] = 62;
  table['_'] = 63;
  return table;
}();

int HexValue(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Of four hexadecimal digits, or -1.
std::int32_t HexUnit(std::string_view text, std::size_t at) noexcept {
  if (at + 4 > text.size()) return -1;
  std::int32_t unit = 0;
  for (std::size_t i = at; i < at + 4; ++i) {
    const int digit = HexValue(text[i]);
    if (digit < 0) return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

void PutUtf8(std::uint32_t c, std::string* out) {
  if (c < 0x80) {
    out->push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out->push_back(static_cast<char>(0xc0 | (c >> 6)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3f)));
  } else if (c < 0x10000) {
    out->push_back(static_cast<char>(0xe0 | (c >> 12)));
    out->push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3f)));
  } else {
    out->push_back(static_cast<char>(0xf0 | (c >> 18)));
    out->push_back(static_cast<char>(0x80 | ((c >> 12) & 0x3f)));
    out->push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (c & 0x3f)));
  }
}

}  // namespace

// ---- strings ------------------------------------------------------------------------------------

bool IsPlain(std::string_view text) noexcept {
  return PlainPrefix<false>(text.data(), text.size()) == text.size();
}

bool AppendQuoted(std::string_view text, Bytes* out) {
  const char* from = text.data();
  std::size_t left = text.size();
  {
    char* at = out->Room(left + 2);
    *at++ = '"';
    if (left <= 32 && CopyShortPlain(from, left, at)) {
      at[left] = '"';
      out->End(at + left + 1);
      return true;
    }
    const std::size_t plain = PlainPrefix<true>(from, left);
    if (plain != 0) std::memcpy(at, from, plain);
    at += plain;
    if (plain == left) {
      *at++ = '"';
      out->End(at);
      return true;
    }
    out->End(at);
    from += plain;
    left -= plain;
  }
  if (!ValidUtf8({from, left})) return false;
  while (left != 0) {
    const std::size_t plain = PlainPrefix<false>(from, left);
    char* at = out->Room(plain + 7);
    if (plain != 0) std::memcpy(at, from, plain);
    at += plain;
    from += plain;
    left -= plain;
    if (left != 0) {
      const auto byte = static_cast<unsigned char>(*from);
      *at++ = '\\';
      *at++ = kEscapes[byte];
      if (kEscapes[byte] == 'u') {
        *at++ = '0';
        *at++ = '0';
        *at++ = kHex[byte >> 4];
        *at++ = kHex[byte & 15];
      }
      ++from;
      --left;
    }
    out->End(at);
  }
  out->Put('"');
  return true;
}

bool Unescape(std::string_view content, std::string* out, std::string_view* why) {
  out->clear();
  std::size_t i = 0;
  while (i < content.size()) {
    const std::size_t escape = std::min(content.find('\\', i), content.size());
    out->append(content, i, escape - i);
    if (escape == content.size()) break;
    i = escape + 2;  // a backslash is never the last: the quote would be escaped
    switch (content[escape + 1]) {
      case '"':
      case '\\':
      case '/':
        out->push_back(content[escape + 1]);
        break;
      case 'b':
        out->push_back('\b');
        break;
      case 'f':
        out->push_back('\f');
        break;
      case 'n':
        out->push_back('\n');
        break;
      case 'r':
        out->push_back('\r');
        break;
      case 't':
        out->push_back('\t');
        break;
      case 'u': {
        const std::int32_t unit = HexUnit(content, i);
        if (unit < 0) {
          *why = "\\u needs four hexadecimal digits";
          return false;
        }
        i += 4;
        if (unit >= 0xd800 && unit < 0xe000) {
          const std::int32_t low =
              content.substr(i).starts_with("\\u") ? HexUnit(content, i + 2) : -1;
          if (unit >= 0xdc00 || low < 0xdc00 || low >= 0xe000) {
            *why = "half of a surrogate pair stands alone";
            return false;
          }
          i += 6;
          PutUtf8(static_cast<std::uint32_t>(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)),
                  out);
        } else {
          PutUtf8(static_cast<std::uint32_t>(unit), out);
        }
        break;
      }
      default:
        *why = "there is no such escape; a backslash is written \\\\";
        return false;
    }
  }
  return true;
}

// ---- base64 -------------------------------------------------------------------------------------

void AppendBase64(std::string_view bytes, Bytes* out) {
  char* at = out->Room((bytes.size() + 2) / 3 * 4 + 2);
  *at++ = '"';
  const auto* from = reinterpret_cast<const unsigned char*>(bytes.data());
  std::size_t left = bytes.size();
  for (; left >= 3; left -= 3, from += 3, at += 4) {
    const std::uint32_t three = static_cast<std::uint32_t>(from[0] << 16 | from[1] << 8 | from[2]);
    at[0] = kBase64[three >> 18];
    at[1] = kBase64[three >> 12 & 63];
    at[2] = kBase64[three >> 6 & 63];
    at[3] = kBase64[three & 63];
  }
  if (left != 0) {
    const std::uint32_t rest =
        static_cast<std::uint32_t>(from[0] << 16 | (left == 2 ? from[1] << 8 : 0));
    *at++ = kBase64[rest >> 18];
    *at++ = kBase64[rest >> 12 & 63];
    *at++ = left == 2 ? kBase64[rest >> 6 & 63] : '=';
    *at++ = '=';
  }
  *at++ = '"';
  out->End(at);
}

std::optional<std::size_t> Base64Size(std::string_view* text) noexcept {
  if (text->ends_with('=')) {
    if (text->size() % 4 != 0) return std::nullopt;
    text->remove_suffix(1);
    if (text->ends_with('=')) text->remove_suffix(1);
  }
  const std::size_t rest = text->size() % 4;
  if (rest == 1) return std::nullopt;
  return text->size() / 4 * 3 + (rest == 0 ? 0 : rest - 1);
}

bool DecodeBase64(std::string_view text, char* out) noexcept {
  const auto* from = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t left = text.size();
  const auto value = [](unsigned char c) { return std::int32_t{kBase64Values[c]}; };
  for (; left >= 4; left -= 4, from += 4, out += 3) {
    const std::int32_t bits =
        value(from[0]) << 18 | value(from[1]) << 12 | value(from[2]) << 6 | value(from[3]);
    if (bits < 0) return false;
    out[0] = static_cast<char>(bits >> 16);
    out[1] = static_cast<char>(bits >> 8);
    out[2] = static_cast<char>(bits);
  }
  if (left >= 2) {
    const std::int32_t bits =
        value(from[0]) << 18 | value(from[1]) << 12 | (left == 3 ? value(from[2]) << 6 : 0);
    if (bits < 0) return false;
    out[0] = static_cast<char>(bits >> 16);
    if (left == 3) out[1] = static_cast<char>(bits >> 8);
  }
  return true;
}

// ---- numbers ------------------------------------------------------------------------------------

char* FormatDigits(std::uint64_t value, char* out) noexcept {
  // How many there are, so that each is written where it stays: 1233 / 4096 is log10(2).
  const int bits = 64 - std::countl_zero(value | 1);
  const auto guess = static_cast<std::size_t>(bits * 1233 >> 12);
  char* const end = out + guess + (value < kPowers[guess] ? 0 : 1);
  char* at = end;
  while (value >= 100) {
    at -= 2;
    std::memcpy(at, &kPairs[2 * (value % 100)], 2);
    value /= 100;
  }
  if (value >= 10) {
    std::memcpy(at - 2, &kPairs[2 * value], 2);
  } else {
    at[-1] = static_cast<char>('0' + value);
  }
  return end;
}

char* FormatDouble(double value, char* out) noexcept { return FormatShortest(value, out); }
char* FormatFloat(float value, char* out) noexcept { return FormatShortest(value, out); }

NumberFault ParseInteger(std::string_view text, bool* negative, std::uint64_t* magnitude) noexcept {
  Decimal decimal;
  if (!ParseDecimal(text, &decimal)) return NumberFault::kSyntax;
  *negative = decimal.negative;
  *magnitude = 0;
  // The digits that count, as one number, and the power of ten that it is to be multiplied by.
  while (decimal.fraction.ends_with('0')) decimal.fraction.remove_suffix(1);
  std::int64_t exponent = decimal.exponent - static_cast<std::int64_t>(decimal.fraction.size());
  if (decimal.fraction.empty()) {
    while (decimal.whole.ends_with('0')) {
      decimal.whole.remove_suffix(1);
      ++exponent;
    }
    if (decimal.whole.empty()) return NumberFault::kNone;  // zero, whatever its exponent
  } else if (decimal.whole.find_first_not_of('0') == std::string_view::npos) {
    decimal.whole = {};
  }
  if (exponent < 0) return NumberFault::kFraction;
  const auto add = [magnitude](std::uint64_t digit) {
    return !__builtin_mul_overflow(*magnitude, std::uint64_t{10}, magnitude) &&
           !__builtin_add_overflow(*magnitude, digit, magnitude);
  };
  for (const std::string_view part : {decimal.whole, decimal.fraction}) {
    for (const char digit : part) {
      if (!add(static_cast<std::uint64_t>(digit - '0'))) return NumberFault::kRange;
    }
  }
  for (; exponent > 0; --exponent) {
    if (!add(0)) return NumberFault::kRange;
  }
  return NumberFault::kNone;
}

NumberFault ParseDouble(std::string_view text, double* value) { return ParseFloating(text, value); }
NumberFault ParseFloat(std::string_view text, float* value) { return ParseFloating(text, value); }

// ---- times --------------------------------------------------------------------------------------

char* FormatTimestamp(std::int64_t seconds, std::int32_t nanos, char* out) noexcept {
  if (seconds < kLeastSeconds || seconds > kGreatestSeconds || nanos < 0 || nanos > 999'999'999) {
    return nullptr;
  }
  std::int64_t days = seconds / 86'400;
  std::int64_t of_day = seconds % 86'400;
  if (of_day < 0) {
    of_day += 86'400;
    --days;
  }
  const Date date = DateOf(days);
  const auto second = static_cast<std::uint32_t>(of_day);
  *out++ = '"';
  out = PutDigits(static_cast<std::uint32_t>(date.year), 4, out);
  *out++ = '-';
  out = PutDigits(static_cast<std::uint32_t>(date.month), 2, out);
  *out++ = '-';
  out = PutDigits(static_cast<std::uint32_t>(date.day), 2, out);
  *out++ = 'T';
  out = PutDigits(second / 3600, 2, out);
  *out++ = ':';
  out = PutDigits(second / 60 % 60, 2, out);
  *out++ = ':';
  out = PutDigits(second % 60, 2, out);
  out = PutNanos(static_cast<std::uint32_t>(nanos), out);
  *out++ = 'Z';
  *out++ = '"';
  return out;
}

char* FormatDuration(std::int64_t seconds, std::int32_t nanos, char* out) noexcept {
  if (seconds < -kGreatestDuration || seconds > kGreatestDuration || nanos < -999'999'999 ||
      nanos > 999'999'999 || (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0)) {
    return nullptr;
  }
  *out++ = '"';
  if (seconds < 0 || nanos < 0) *out++ = '-';
  out = std::to_chars(out, out + 20, seconds < 0 ? -seconds : seconds).ptr;
  out = PutNanos(static_cast<std::uint32_t>(nanos < 0 ? -nanos : nanos), out);
  *out++ = 's';
  *out++ = '"';
  return out;
}

const char* ParseTimestamp(std::string_view text, std::int64_t* seconds,
                           std::int32_t* nanos) noexcept {
  constexpr const char* kForm = "is no RFC 3339 time such as 2026-01-31T23:59:59.5Z";
  const int century = TwoDigits(text, 0);
  const int year_of_century = TwoDigits(text, 2);
  const int month = TwoDigits(text, 5);
  const int day = TwoDigits(text, 8);
  const int hour = TwoDigits(text, 11);
  const int minute = TwoDigits(text, 14);
  const int second = TwoDigits(text, 17);
  if (century < 0 || year_of_century < 0 || month < 0 || day < 0 || hour < 0 || minute < 0 ||
      second < 0 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
      text[16] != ':') {
    return kForm;
  }
  std::size_t at = 19;
  if (!TakeNanos(text, &at, nanos)) return kForm;
  std::int64_t offset = 0;
  if (at < text.size() && text[at] == 'Z') {
    ++at;
  } else if (at < text.size() && (text[at] == '+' || text[at] == '-')) {
    const int hours = TwoDigits(text, at + 1);
    const int minutes = TwoDigits(text, at + 4);
    if (hours < 0 || minutes < 0 || text[at + 3] != ':') return kForm;
    if (hours > 23 || minutes > 59) return "has an offset beyond 23:59";
    offset = (hours * 60 + minutes) * 60 * (text[at] == '-' ? -1 : 1);
    at += 6;
  } else {
    return kForm;
  }
  if (at != text.size()) return kForm;
  const int year = century * 100 + year_of_century;
  static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  if (month < 1 || month > 12 || day < 1 || day > kDays[month - 1] + (month == 2 && leap ? 1 : 0)) {
    return "is no day of the calendar";
  }
  if (hour > 23 || minute > 59 || second > 59) return "is no time of the day";
  *seconds = DaysOf(year, month, day) * 86'400 + hour * 3600 + minute * 60 + second - offset;
  if (*seconds < kLeastSeconds || *seconds > kGreatestSeconds) {
    return "is not within the years 0001 to 9999";
  }
  return nullptr;
}

const char* ParseDuration(std::string_view text, std::int64_t* seconds,
                          std::int32_t* nanos) noexcept {
  constexpr const char* kForm = "is no duration such as 1.5s";
  const bool negative = text.starts_with('-');
  std::size_t at = negative ? 1 : 0;
  const std::size_t begin = at;
  *seconds = 0;
  for (; at < text.size() && IsDigit(text[at]); ++at) {
    if (*seconds <= kGreatestDuration) *seconds = *seconds * 10 + (text[at] - '0');
  }
  if (at == begin || !TakeNanos(text, &at, nanos) || text.substr(at) != "s") return kForm;
  if (*seconds > kGreatestDuration) return "is longer than 315576000000s";
  if (negative) {
    *seconds = -*seconds;
    *nanos = -*nanos;
  }
  return nullptr;
}

// ---- field masks --------------------------------------------------------------------------------

bool CamelPath(std::string_view path, std::string* out) {
  out->clear();
  bool underscore = false;
  for (const char c : path) {
    const bool lower = c >= 'a' && c <= 'z';
    if (underscore && !lower) return false;
    if (c == '_') {
      underscore = true;
      continue;
    }
    if (!lower && !IsDigit(c) && c != '.') return false;
    out->push_back(underscore ? static_cast<char>(c - 'a' + 'A') : c);
    underscore = false;
  }
  return !underscore && !path.empty();
}

bool SnakePath(std::string_view path, std::string* out) {
  out->clear();
  for (const char c : path) {
    if (c >= 'A' && c <= 'Z') {
      out->push_back('_');
      out->push_back(static_cast<char>(c - 'A' + 'a'));
    } else if ((c >= 'a' && c <= 'z') || IsDigit(c) || c == '.') {
      out->push_back(c);
    } else {
      return false;
    }
  }
  return !path.empty();
}

}  // namespace rookery::internal::json
