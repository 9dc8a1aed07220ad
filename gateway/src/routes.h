// RouteTable: which method of which service answers a request. Built once, then read by all loops.
//
//   absl::StatusOr<std::unique_ptr<RouteTable>> table = RouteTable::Build(options, host, local);
//   RouteTable::Found found = table->Find("GET", "/api/v1/orders/17", versions);
//   found.route->method->full_name;              // "/shop.v1.Orders/Get"
#ifndef ROOKERY_SRC_GATEWAY_ROUTES_H_
#define ROOKERY_SRC_GATEWAY_ROUTES_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/message.h>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "rookery/gateway/http_gateway.h"
#include "rookery/rpc/channel.h"
#include "rookery/rpc/descriptor.h"
#include "rookery/rpc/transport.h"
#include "router.h"
#include "transcode.h"

namespace rookery::internal::gateway {

// One binding of one method, and the way to it.
struct Route {
  Binding binding;
  const MethodDescriptor* method = nullptr;
  std::shared_ptr<Channel> channel;
  const google::protobuf::FieldDescriptor* event_id = nullptr;  // for SSE; may be null
  bool raw_request = false;                                     // google.api.HttpBody
  bool raw_response = false;
};

// Under which upgrades to WebSocket are looked up: no method of HTTP has a space.
inline constexpr std::string_view kWebSocketMethod = "WEB SOCKET";

class RouteTable final {
 public:
  // INVALID_ARGUMENT with every fault, one a line. `local` leads to the host's own handlers.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<RouteTable>> Build(
      const HttpGateway& options, TransportHost& host, const std::shared_ptr<Channel>& local);

  struct Found {
    const Route* route = nullptr;  // null: none
    absl::InlinedVector<std::string_view, 12> segments;
    std::vector<std::string> allowed;  // without a route: see Router::Match
    bool malformed = false;
  };
  // `versions`: those that the request asks for, the best first; empty where paths say it.
  [[nodiscard]] Found Find(std::string_view method, std::string_view path,
                           std::span<const std::string> versions) const;

  [[nodiscard]] std::size_t size() const noexcept { return routes_.size(); }
  // Those of `channels` that were opened for what is forwarded.
  [[nodiscard]] std::span<const std::shared_ptr<Channel>> channels() const noexcept {
    return channels_;
  }

 private:
  class Builder;
  std::vector<std::unique_ptr<Route>> routes_;
  Router neutral_;                                     // whatever the version
  absl::flat_hash_map<std::string, Router> versions_;  // by version, where headers say it
  std::vector<std::shared_ptr<Channel>> channels_;
};

// Paths as options name them: "/v1/*", "GET /v1/**". Against a request's path, or a route's.
class PathPattern final {
 public:
  [[nodiscard]] static absl::StatusOr<PathPattern> Parse(std::string_view text);
  // `path` as sent, without the query.
  [[nodiscard]] bool Match(std::string_view method, std::string_view path) const;

 private:
  std::string method_;  // empty: any
  PathTemplate path_;
};

}  // namespace rookery::internal::gateway

#endif  // ROOKERY_SRC_GATEWAY_ROUTES_H_
