#include "http/exchange.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "http/grammar.h"

namespace rookery::internal::gateway {

bool SameHeader(std::string_view one, std::string_view other) noexcept {
  return one.size() == other.size() &&
         std::equal(one.begin(), one.end(), other.begin(),
                    [](char x, char y) { return ToLower(x) == ToLower(y); });
}

std::optional<std::string_view> HttpRequest::Find(std::string_view name) const noexcept {
  for (const HttpField& field : headers) {
    if (SameHeader(field.name, name)) return field.value;
  }
  return std::nullopt;
}

}  // namespace rookery::internal::gateway
