#include "rpc/subject_pattern.h"

#include <algorithm>

namespace rookery::internal {

bool HasWildcard(std::string_view pattern) noexcept {
  return pattern.find_first_of("*>") != std::string_view::npos;
}

bool MatchesSubject(std::string_view pattern, std::string_view subject) noexcept {
  for (;;) {
    const std::size_t pattern_end = std::min(pattern.find('.'), pattern.size());
    const std::size_t subject_end = std::min(subject.find('.'), subject.size());
    const std::string_view want = pattern.substr(0, pattern_end);
    if (want == ">") return !subject.empty();
    if (subject.empty() || (want != "*" && want != subject.substr(0, subject_end))) return false;
    if (pattern_end == pattern.size() || subject_end == subject.size()) {
      return pattern_end == pattern.size() && subject_end == subject.size();
    }
    pattern.remove_prefix(pattern_end + 1);
    subject.remove_prefix(subject_end + 1);
  }
}

}  // namespace rookery::internal
