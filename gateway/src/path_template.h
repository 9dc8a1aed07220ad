// PathTemplate: the paths of google.api.http, parsed.
//
//   absl::StatusOr<PathTemplate> path = ParsePathTemplate("/v1/{name=shelves/*/books/*}:publish");
//   path->segments;   // v1, shelves, *, books, *
//   path->variables;  // name = segments 1 to 5
//   path->verb;       // publish
//
// The grammar is the one in google/api/http.proto.
#ifndef ROOKERY_SRC_GATEWAY_PATH_TEMPLATE_H_
#define ROOKERY_SRC_GATEWAY_PATH_TEMPLATE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace rookery::internal::gateway {

struct PathSegment {
  enum class Kind : std::uint8_t { kLiteral, kOne, kRest };
  Kind kind = Kind::kLiteral;
  std::string literal;  // percent-decoded
  bool operator==(const PathSegment&) const = default;
};

// Binds segments [begin, end) to a field; with kRest as its last, up to the path's end.
struct PathVariable {
  std::vector<std::string> field_path;
  std::size_t begin = 0;
  std::size_t end = 0;
  bool rest = false;
  // More than one segment by its template: then %2F stays as it is.
  bool multiple = false;
};

struct PathTemplate {
  std::vector<PathSegment> segments;
  std::vector<PathVariable> variables;
  std::string verb;  // without the colon; empty: none
};

// INVALID_ARGUMENT with the column and the reason.
[[nodiscard]] absl::StatusOr<PathTemplate> ParsePathTemplate(std::string_view text);

// Undoes percent-encoding; nullopt for what is none ("%4", "%zz"), and for %00. `keep_slash` leaves
// %2F alone, `plus_is_space` is for query strings.
struct PercentOptions {
  bool keep_slash = false;
  bool plus_is_space = false;
};
[[nodiscard]] std::optional<std::string> DecodePercent(std::string_view text,
                                                       PercentOptions options = {});

}  // namespace rookery::internal::gateway

#endif  // ROOKERY_SRC_GATEWAY_PATH_TEMPLATE_H_
