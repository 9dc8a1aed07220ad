// Abs and Std: between std::string_view and absl::string_view, which are two types in Debian's
// build of Abseil (ABSL_OPTION_USE_STD_STRING_VIEW is 0) and do not convert by themselves.
//
//   absl::StrCat("no method ", internal::Abs(name));
#ifndef ROOKERY_RUNTIME_ABSEIL_STRINGS_H_
#define ROOKERY_RUNTIME_ABSEIL_STRINGS_H_

#include <string_view>

#include "absl/strings/string_view.h"

namespace rookery::internal {

[[nodiscard]] inline absl::string_view Abs(std::string_view text) noexcept {
  return absl::string_view(text.data(), text.size());
}
[[nodiscard]] inline std::string_view Std(absl::string_view text) noexcept {
  return std::string_view(text.data(), text.size());
}

}  // namespace rookery::internal

#endif  // ROOKERY_RUNTIME_ABSEIL_STRINGS_H_
