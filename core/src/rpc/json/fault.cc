#include "rpc/json/fault.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "rpc/utf8.h"
#include "runtime/abseil_strings.h"

namespace rookery::internal::json {
namespace {

constexpr std::size_t kShown = 60;
// Names and keys are the peer's, and there may be a hundred of them.
constexpr std::size_t kLongestPath = 1000;

void Prepend(std::string part, std::string* path) {
  if (path->size() > kLongestPath) return;
  if (!path->empty() && path->front() != '[') part.push_back('.');
  path->insert(0, part);
}

}  // namespace

void Under(std::string_view name, JsonFault* fault) { Prepend(std::string(name), &fault->path); }

void UnderIndex(std::size_t index, JsonFault* fault) {
  Prepend(absl::StrCat("[", index, "]"), &fault->path);
}

void UnderKey(std::string_view key, JsonFault* fault) {
  Prepend(absl::StrCat("[\"", Shown(key), "\"]"), &fault->path);
}

std::string Shown(std::string_view text) {
  const std::string_view cut = CutUtf8(text, kShown);
  std::string shown = absl::Utf8SafeCHexEscape(Abs(cut));
  if (cut.size() < text.size()) shown += "...";
  return shown;
}

}  // namespace rookery::internal::json
