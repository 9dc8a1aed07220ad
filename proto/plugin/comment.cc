#include "comment.h"

#include <cstdint>
#include <cstdio>
#include <string_view>

namespace rookery::plugin {

namespace {

// The code point at the beginning of `text`, and its length; length 0 if it is not UTF-8.
struct CodePoint {
  std::uint32_t value = 0;
  std::size_t length = 0;
};
CodePoint Decode(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i]));
  };
  const std::uint32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (length == 0 || first > 0xf4 || text.size() < length) return {};
  std::uint32_t value = first & (0x7fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    value = (value << 6) | (byte(i) & 0x3f);
  }
  const bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
  if (overlong || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return {};
  return {value, length};
}

// "Trojan source": https://www.cve.org/CVERecord?id=CVE-2021-42574
bool TurnsDirection(std::uint32_t c) {
  return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e ||
         c == 0x200f || c == 0x061c;
}
// Unicode's own line ends, which some editors and compilers take for such.
bool IsOddLineEnd(std::uint32_t c) { return c == 0x85 || c == 0x2028 || c == 0x2029; }

std::string Defuse(std::string_view line) {
  std::string out;
  while (!line.empty()) {
    const CodePoint c = Decode(line);
    if (c.length == 0) {
      out += '?';
      line.remove_prefix(1);
      continue;
    }
    if (c.value == '\t') {
      out += "  ";
    } else if (c.value < 0x20 || c.value == 0x7f) {
      // Dropped: '\r' of a file with DOS line ends, above all.
    } else if (TurnsDirection(c.value) || IsOddLineEnd(c.value)) {
      char name[16];
      std::snprintf(name, sizeof(name), "<U+%04X>", static_cast<unsigned>(c.value));
      out += name;
    } else {
      out.append(line.substr(0, c.length));
    }
    line.remove_prefix(c.length);
  }
  while (!out.empty() && out.back() == ' ') out.pop_back();
  // A backslash here would make the next line part of the comment, even with spaces after it; so
  // would the trigraph that stands for one, before C++17.
  if (!out.empty() && (out.back() == '\\' || out.ends_with("?"
                                                           "?/")))
    out += " .";
  return out;
}

}  // namespace

std::vector<std::string> CommentLines(const google::protobuf::SourceLocation& location) {
  std::string_view text =
      location.leading_comments.empty() ? location.trailing_comments : location.leading_comments;
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string line = Defuse(text.substr(0, end));
    lines.push_back(line.empty() ? "//" : line.front() == ' ' ? "//" + line : "// " + line);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  while (!lines.empty() && lines.back() == "//") lines.pop_back();
  while (!lines.empty() && lines.front() == "//") lines.erase(lines.begin());
  return lines;
}

}  // namespace rookery::plugin
