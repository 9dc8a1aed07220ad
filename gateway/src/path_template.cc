#include "path_template.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "runtime/abseil_strings.h"

namespace rookery::internal::gateway {
namespace {

[[nodiscard]] int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

[[nodiscard]] bool IsIdentStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
[[nodiscard]] bool IsIdent(char c) { return IsIdentStart(c) || (c >= '0' && c <= '9'); }

// Recursive descent over the grammar, which nests two levels deep.
class Parser final {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  absl::StatusOr<PathTemplate> Parse() {
    if (!Take('/')) return Fault("a path begins with '/'");
    if (AtEnd()) return std::move(result_);
    absl::Status status = Segments(/*inside=*/false);
    if (!status.ok()) return status;
    if (Take(':')) {
      const std::size_t begin = at_;
      while (!AtEnd() && text_[at_] != '/' && text_[at_] != '{' && text_[at_] != '}' &&
             text_[at_] != ':' && text_[at_] != '*') {
        ++at_;
      }
      if (at_ == begin) return Fault("a verb follows ':'");
      const std::optional<std::string> verb = DecodePercent(text_.substr(begin, at_ - begin));
      if (!verb) return Fault("the verb has a malformed percent-encoding");
      result_.verb = *verb;
    }
    if (!AtEnd()) return Fault("unexpected text");
    return std::move(result_);
  }

 private:
  [[nodiscard]] bool AtEnd() const { return at_ == text_.size(); }
  [[nodiscard]] bool Peek(char c) const { return !AtEnd() && text_[at_] == c; }
  bool Take(char c) {
    if (!Peek(c)) return false;
    ++at_;
    return true;
  }
  [[nodiscard]] absl::Status Fault(std::string_view reason) const {
    return absl::InvalidArgumentError(
        absl::StrCat("path template \"", Abs(text_), "\", column ", at_ + 1, ": ", Abs(reason)));
  }

  absl::Status Segments(bool inside) {
    do {
      if (!result_.segments.empty() && result_.segments.back().kind == PathSegment::Kind::kRest) {
        return Fault("'**' must be the last segment");
      }
      absl::Status status = Segment(inside);
      if (!status.ok()) return status;
    } while (Take('/'));
    return absl::OkStatus();
  }

  absl::Status Segment(bool inside) {
    if (Take('{')) {
      if (inside) return Fault("variables do not nest");
      return Variable();
    }
    if (Take('*')) {
      const auto kind = Take('*') ? PathSegment::Kind::kRest : PathSegment::Kind::kOne;
      result_.segments.push_back({kind, {}});
      return absl::OkStatus();
    }
    const std::size_t begin = at_;
    while (!AtEnd()) {
      const char c = text_[at_];
      if (c == '/' || c == ':' || c == '}' || c == '{' || c == '*') break;
      if (c <= 0x20 || c == 0x7f || c == '?' || c == '#') {
        return Fault("not allowed in a path; write it percent-encoded");
      }
      ++at_;
    }
    if (at_ == begin) return Fault("a segment must not be empty");
    std::optional<std::string> literal = DecodePercent(text_.substr(begin, at_ - begin));
    if (!literal) return Fault("malformed percent-encoding");
    result_.segments.push_back({PathSegment::Kind::kLiteral, *std::move(literal)});
    return absl::OkStatus();
  }

  absl::Status Variable() {
    PathVariable variable;
    do {
      const std::size_t begin = at_;
      if (!AtEnd() && IsIdentStart(text_[at_])) {
        while (!AtEnd() && IsIdent(text_[at_])) ++at_;
      }
      if (at_ == begin) return Fault("a field's name is expected");
      variable.field_path.emplace_back(text_.substr(begin, at_ - begin));
    } while (Take('.'));
    for (const PathVariable& other : result_.variables) {
      if (other.field_path == variable.field_path) return Fault("the variable is there twice");
    }
    variable.begin = result_.segments.size();
    if (Take('=')) {
      absl::Status status = Segments(/*inside=*/true);
      if (!status.ok()) return status;
    } else {
      result_.segments.push_back({PathSegment::Kind::kOne, {}});
    }
    if (!Take('}')) return Fault("'}' is expected");
    variable.end = result_.segments.size();
    variable.rest = result_.segments.back().kind == PathSegment::Kind::kRest;
    variable.multiple = variable.rest || variable.end - variable.begin > 1;
    result_.variables.push_back(std::move(variable));
    return absl::OkStatus();
  }

  const std::string_view text_;
  std::size_t at_ = 0;
  PathTemplate result_;
};

}  // namespace

absl::StatusOr<PathTemplate> ParsePathTemplate(std::string_view text) {
  return Parser(text).Parse();
}

std::optional<std::string> DecodePercent(std::string_view text, PercentOptions options) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && options.plus_is_space) {
      decoded.push_back(' ');
      continue;
    }
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int high = HexDigit(text[i + 1]);
    const int low = HexDigit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    const int byte = high * 16 + low;
    if (byte == 0) return std::nullopt;
    if (byte == '/' && options.keep_slash) {
      decoded.append(text.substr(i, 3));
    } else {
      decoded.push_back(static_cast<char>(byte));
    }
    i += 2;
  }
  return decoded;
}

}  // namespace rookery::internal::gateway
