// Edge: what the gateway does with each exchange: CORS, middleware, routes, calls and their
// answers.
#ifndef ROOKERY_SRC_GATEWAY_EDGE_H_
#define ROOKERY_SRC_GATEWAY_EDGE_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "http/exchange.h"
#include "http_call.h"
#include "rookery/gateway/http_gateway.h"
#include "rookery/gateway/http_middleware.h"
#include "rookery/rpc/transport.h"
#include "routes.h"

namespace rookery::internal::gateway {

// Thread-safe once made.
class Edge final : public HttpApplication {
  struct Key {
    explicit Key() = default;
  };

 public:
  // INVALID_ARGUMENT with every fault. All outlive it.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Edge>> Make(
      const HttpGateway& options, TransportHost& host, const std::shared_ptr<Channel>& local);

  Edge(Key key, const HttpGateway& options, TransportHost& host);

  [[nodiscard]] Task<void> Serve(HttpExchange& exchange) override;
  [[nodiscard]] std::string ErrorBody(int http_status, std::string_view message) const override;

  [[nodiscard]] const RouteTable& routes() const noexcept { return *routes_; }

 private:
  struct Middleware {
    HttpMiddlewareUse::Function function;
    std::vector<PathPattern> excludes;
    std::vector<PathPattern> routes;
  };
  // The middleware of one request.
  struct Chain {
    const Edge* edge;
    InboundCall* call;
    std::vector<const Middleware*> middleware;
  };

  [[nodiscard]] absl::Status AddMiddleware();
  [[nodiscard]] std::vector<std::string> VersionsOf(const InboundCall& call) const;
  // Runs in the request's context.
  [[nodiscard]] Task<void> Run(InboundCall& call) const;
  [[nodiscard]] static Task<void> RunChain(void* chain, std::size_t index);
  [[nodiscard]] Task<void> Dispatch(InboundCall& call) const;
  [[nodiscard]] Task<void> AnswerOptions(InboundCall& call) const;

  const EdgeRules rules_;
  const TranscodeOptions transcode_;
  TransportHost& host_;
  std::unique_ptr<RouteTable> routes_;
  std::vector<Middleware> middleware_;
  std::string prefix_;  // that middleware's patterns leave out
};

// A request that has found its route. Not an aggregate: it is a parameter of coroutines.
class Routed final {
 public:
  Routed(InboundCall& c, const Route& r, std::span<const std::string_view> s,
         const TranscodeOptions& t) noexcept
      : call(c), route(r), segments(s), transcode(t) {}
  [[nodiscard]] RequestParts Parts(std::string_view body, std::string_view content_type) const {
    return {segments, call.query(), body, content_type};
  }

  InboundCall& call;
  const Route& route;
  std::span<const std::string_view> segments;
  const TranscodeOptions& transcode;
};

// Each answers, or fails with the status to answer with.
[[nodiscard]] Task<void> ServeUnary(Routed routed);
[[nodiscard]] Task<void> ServeServerStream(Routed routed);
[[nodiscard]] Task<void> ServeClientStream(Routed routed);
[[nodiscard]] Task<void> ServeWebSocket(Routed routed);

}  // namespace rookery::internal::gateway

#endif  // ROOKERY_SRC_GATEWAY_EDGE_H_
