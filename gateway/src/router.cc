#include "router.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/abseil_strings.h"

namespace rookery::internal::gateway {

absl::Status Router::Add(std::string_view method, const PathTemplate& path, std::size_t route,
                         std::string_view what) {
  Node* node = &root_;
  for (const PathSegment& segment : path.segments) {
    std::unique_ptr<Node>* next = nullptr;
    switch (segment.kind) {
      case PathSegment::Kind::kLiteral:
        next = &node->literals[segment.literal];
        break;
      case PathSegment::Kind::kOne:
        next = &node->one;
        break;
      case PathSegment::Kind::kRest:
        next = &node->rest;
        break;
    }
    if (*next == nullptr) *next = std::make_unique<Node>();
    node = next->get();
  }
  for (const Leaf& leaf : node->leaves) {
    if (leaf.verb == path.verb && leaf.method == method) {
      return absl::AlreadyExistsError(absl::StrCat(
          "two methods have the same HTTP route: ", leaf.what, " and ", Abs(what), " both answer ",
          Abs(method), " on paths of that shape; change one of the paths"));
    }
  }
  if (!path.verb.empty()) verbs_.insert(path.verb);
  node->leaves.push_back({path.verb, std::string(method), route, std::string(what)});
  ++size_;
  return absl::OkStatus();
}

struct Router::Search {
  std::string_view method;
  std::string_view verb;
  const absl::InlinedVector<std::string_view, 12>* segments;
  absl::InlinedVector<std::string, 12> decoded = {};
  std::size_t route = kNone;
  std::vector<std::string> allowed = {};
};

bool Router::TakeLeaf(const Node& node, Search& search) {
  const Leaf* any = nullptr;
  for (const Leaf& leaf : node.leaves) {
    if (leaf.verb != search.verb) continue;
    if (leaf.method == search.method) {
      search.route = leaf.route;
      return true;
    }
    if (leaf.method == "*") {
      any = &leaf;
    } else {
      search.allowed.push_back(leaf.method);
    }
  }
  if (any == nullptr) return false;
  search.route = any->route;
  return true;
}

bool Router::Walk(const Node& node, std::size_t depth, Search& search) {
  if (depth == search.segments->size()) {
    if (TakeLeaf(node, search)) return true;
    return node.rest != nullptr && TakeLeaf(*node.rest, search);
  }
  const std::string& segment = search.decoded[depth];
  if (!segment.empty()) {
    const auto literal = node.literals.find(segment);
    if (literal != node.literals.end() && Walk(*literal->second, depth + 1, search)) return true;
    if (node.one != nullptr && Walk(*node.one, depth + 1, search)) return true;
    // A variable never captures a leading "/", so ** does not begin with an empty segment.
    if (node.rest != nullptr && TakeLeaf(*node.rest, search)) return true;
  }
  return false;
}

Router::Match Router::Find(std::string_view method, std::string_view path) const {
  Match match;
  if (path.empty() || path.front() != '/') {
    match.malformed = true;
    return match;
  }
  path.remove_prefix(1);
  Search search{.method = method, .verb = {}, .segments = &match.segments};
  while (!path.empty() || !match.segments.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view segment = path.substr(0, slash);
    std::optional<std::string> decoded = DecodePercent(segment);
    if (!decoded || *decoded == "." || *decoded == "..") {
      match.malformed = true;
      return match;
    }
    match.segments.push_back(segment);
    search.decoded.push_back(*std::move(decoded));
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  bool found = false;
  if (!match.segments.empty() && !verbs_.empty()) {
    // Only a verb that some route has is one; else the colon belongs to the segment.
    const std::string_view last = match.segments.back();
    const std::size_t colon = last.rfind(':');
    if (colon != std::string_view::npos) {
      const std::optional<std::string> verb = DecodePercent(last.substr(colon + 1));
      if (verb && verbs_.contains(*verb)) {
        search.verb = *verb;
        match.segments.back() = last.substr(0, colon);
        std::string whole =
            std::exchange(search.decoded.back(), *DecodePercent(last.substr(0, colon)));
        found = Walk(root_, 0, search);
        search.verb = {};
        if (!found) {
          match.segments.back() = last;
          search.decoded.back() = std::move(whole);
        }
      }
    }
  }
  if (!found) found = Walk(root_, 0, search);
  if (found) {
    match.route = search.route;
  } else {
    std::sort(search.allowed.begin(), search.allowed.end());
    search.allowed.erase(std::unique(search.allowed.begin(), search.allowed.end()),
                         search.allowed.end());
    match.allowed = std::move(search.allowed);
  }
  return match;
}

}  // namespace rookery::internal::gateway
