// Patterns of events with wildcards, as NATS writes them: "*" stands for one part between dots, ">"
// at the end for one or more.
//
//   internal::MatchesSubject("orders.*.paid", "orders.eu.paid")   // true
#ifndef ROOKERY_SRC_RPC_SUBJECT_PATTERN_H_
#define ROOKERY_SRC_RPC_SUBJECT_PATTERN_H_

#include <string_view>

namespace rookery::internal {

[[nodiscard]] bool HasWildcard(std::string_view pattern) noexcept;
// `subject` has no wildcards.
[[nodiscard]] bool MatchesSubject(std::string_view pattern, std::string_view subject) noexcept;

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_RPC_SUBJECT_PATTERN_H_
