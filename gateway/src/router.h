// Router: from an HTTP method and a path to a route, at a cost that the number of routes does not
// change.
//
//   Router router;
//   absl::Status added = router.Add("GET", *ParsePathTemplate("/v1/{name}"), 0,
//       "/shop.Orders/Get");
//   Router::Match match = router.Find("GET", "/v1/anvil");
//   match.route;      // 0
//   match.segments;   // "v1", "anvil", still percent-encoded
//
// A trie over segments: a literal wins over *, and * over **, segment by segment from the left.
#ifndef ROOKERY_SRC_GATEWAY_ROUTER_H_
#define ROOKERY_SRC_GATEWAY_ROUTER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "path_template.h"

namespace rookery::internal::gateway {

class Router final {
 public:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  // `method` may be "*": any. `what` names the route in messages. ALREADY_EXISTS, naming both, for
  // a path that matches exactly what one before it does.
  [[nodiscard]] absl::Status Add(std::string_view method, const PathTemplate& path,
                                 std::size_t route, std::string_view what);

  struct Match {
    std::size_t route = kNone;
    // The path's segments, raw, the verb taken off; views into the path.
    absl::InlinedVector<std::string_view, 12> segments;
    // Without a route: the methods under which the path is there, sorted. Empty: it is not.
    std::vector<std::string> allowed;
    bool malformed = false;  // no path at all: a bad percent-encoding, a dot segment
  };
  // `path` without the query.
  [[nodiscard]] Match Find(std::string_view method, std::string_view path) const;

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  struct Leaf {
    std::string verb;
    std::string method;
    std::size_t route;
    std::string what;
  };
  struct Node {
    absl::flat_hash_map<std::string, std::unique_ptr<Node>> literals;
    std::unique_ptr<Node> one;
    std::unique_ptr<Node> rest;
    std::vector<Leaf> leaves;
  };
  struct Search;
  static bool Walk(const Node& node, std::size_t depth, Search& search);
  static bool TakeLeaf(const Node& node, Search& search);

  Node root_;
  absl::flat_hash_set<std::string> verbs_;
  std::size_t size_ = 0;
};

}  // namespace rookery::internal::gateway

#endif  // ROOKERY_SRC_GATEWAY_ROUTER_H_
