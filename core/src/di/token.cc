#include "rookery/di/token.h"

#include <array>
#include <cctype>
#include <string>
#include <string_view>

namespace rookery {

namespace internal {
namespace {

void EraseAll(std::string* text, std::string_view what) {
  for (std::size_t at = text->find(what); at != std::string::npos; at = text->find(what, at)) {
    text->erase(at, what.size());
  }
}

bool IsIdentifier(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

}  // namespace

std::string ShortTypeName(std::string_view name) {
  std::string text(name);
  // What the two compilers write for scopes that a reader does not care about.
  constexpr std::array<std::string_view, 6> kNoise = {
      "(anonymous namespace)::", "{anonymous}::", "<unnamed>::",
      "(anonymous class)::",     "__cxx11::",     "__1::"};
  for (const std::string_view noise : kNoise) EraseAll(&text, noise);
  EraseAll(&text, "()");

  std::string out;
  std::size_t chain = 0;  // where the current a::b::c begins in `out`
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ':' && i + 1 < text.size() && text[i + 1] == ':') {
      const std::string_view scope = std::string_view(out).substr(chain);
      if (scope == "std" || (!out.empty() && !IsIdentifier(out.back()))) {
        out += "::";
      } else {
        out.resize(chain);
      }
      ++i;
      continue;
    }
    out += text[i];
    if (!IsIdentifier(text[i]) && text[i] != ':') chain = out.size();
  }
  for (const std::string_view spelled : {std::string_view("std::basic_string<char>")}) {
    for (std::size_t at = out.find(spelled); at != std::string::npos; at = out.find(spelled)) {
      out.replace(at, spelled.size(), "std::string");
    }
  }
  return out;
}

}  // namespace internal

std::string Token::name() const {
  if (key_ != nullptr) return std::string(key_->name);
  return type_ == nullptr ? "nothing" : internal::ShortTypeName(type_->name);
}

std::string_view Token::qualified_name() const noexcept {
  if (key_ != nullptr) return key_->name;
  return type_ == nullptr ? "nothing" : type_->name;
}

}  // namespace rookery
