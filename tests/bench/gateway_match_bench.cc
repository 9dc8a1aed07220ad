// What it costs the gateway to find the route of a request among 10, 1,000 and 10,000: each against
// 10, in turn.
//
//   gateway_match_bench --pairs=5
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "micro.h"
#include "path_template.h"
#include "router.h"

namespace rookery::bench {
namespace {

using internal::gateway::ParsePathTemplate;
using internal::gateway::Router;

// Routes of four kinds, as an API of that size has them, and a path for each of some of them.
struct Api {
  explicit Api(std::size_t routes) {
    for (std::size_t i = 0; i < routes; ++i) {
      const std::string name = absl::StrCat("things", i / 4);
      const std::string text = i % 4 == 0   ? absl::StrCat("/v1/", name)
                               : i % 4 == 1 ? absl::StrCat("/v1/", name, "/{id}")
                               : i % 4 == 2 ? absl::StrCat("/v1/", name, "/{id}/parts/{part}")
                                            : absl::StrCat("/v1/", name, "/{id}:close");
      router.Add(i % 4 == 3 ? "POST" : "GET", *ParsePathTemplate(text), i, text).IgnoreError();
    }
    for (std::size_t i = 0; i < 64; ++i) {
      // Spread over all of them, whatever their number.
      const std::size_t which = i * (routes / 4) / 64;
      paths.push_back(absl::StrCat("/v1/things", which, "/a-", i, "/parts/", i));
    }
  }
  void Find(int repetitions) const {
    for (int i = 0; i < repetitions; ++i) {
      const Router::Match match = router.Find("GET", paths[static_cast<std::size_t>(i) % 64]);
      Keep(match.route);
    }
  }
  Router router;
  std::vector<std::string> paths;
};

int Run(int argc, char** argv) {
  Micro micro(argc, argv);
  const Api ten(12);
  for (const std::size_t routes : {1'000, 10'000}) {
    const Api many(routes);
    micro.Compare(
        absl::StrCat("match among ", routes, " routes, against 10"), "ns",
        [&many](int n) { many.Find(n); }, [&ten](int n) { ten.Find(n); });
  }
  return micro.Print();
}

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) { return rookery::bench::Run(argc, argv); }
