// Fuzzes path templates and the router: the input's first line is a template, the second a path.
//
// Whatever parses can be routed to, and a template made of plain segments finds itself.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "path_template.h"
#include "router.h"

namespace rookery::internal::gateway {
namespace {

[[noreturn]] void Fail(const char* what, std::string_view text) {
  std::fprintf(stderr, "%s: %.*s\n", what, static_cast<int>(text.size()), text.data());
  std::abort();
}

void Check(std::string_view text, std::string_view path) {
  const absl::StatusOr<PathTemplate> parsed = ParsePathTemplate(text);
  Router router;
  if (parsed.ok()) {
    for (const PathVariable& variable : parsed->variables) {
      if (variable.begin >= variable.end || variable.end > parsed->segments.size()) {
        Fail("a variable outside of its template", text);
      }
    }
    if (!router.Add("GET", *parsed, 7, "fuzzed").ok()) Fail("the first route clashes", text);
    if (router.Add("GET", *parsed, 8, "again").ok()) Fail("the same route twice", text);
    bool plain = parsed->verb.empty() && text.find('%') == std::string_view::npos;
    for (const PathSegment& segment : parsed->segments) {
      plain = plain && segment.kind == PathSegment::Kind::kLiteral && segment.literal != "." &&
              segment.literal != "..";
    }
    if (plain && parsed->variables.empty() && router.Find("GET", text).route != 7) {
      Fail("it does not find itself", text);
    }
  }
  const Router::Match match = router.Find("GET", path);
  if (match.route != Router::kNone && match.route != 7) Fail("a route from nowhere", path);
  if (match.route == 7) {
    // What variables bind must be there.
    for (const PathVariable& variable : parsed->variables) {
      const std::size_t end = variable.rest ? match.segments.size() : variable.end;
      if (end > match.segments.size()) Fail("a variable beyond the path", path);
    }
    for (const std::string_view segment : match.segments) {
      if (!DecodePercent(segment)) Fail("a match that cannot be decoded", path);
    }
  }
}

}  // namespace
}  // namespace rookery::internal::gateway

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t line = input.find('\n');
  rookery::internal::gateway::Check(input.substr(0, line), line == std::string_view::npos
                                                               ? std::string_view()
                                                               : input.substr(line + 1));
  return 0;
}
