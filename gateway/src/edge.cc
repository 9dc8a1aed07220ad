#include "edge.h"

#include <algorithm>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "headers.h"
#include "rookery/rpc/handler.h"
#include "rookery/rpc/status.h"
#include "rookery/runtime/await.h"
#include "rookery/runtime/start.h"
#include "runtime/abseil_strings.h"
#include "transcode.h"

namespace rookery::internal::gateway {
namespace {

[[nodiscard]] absl::StatusOr<std::vector<PathPattern>> ParseAll(
    std::span<const std::string> texts) {
  std::vector<PathPattern> patterns;
  for (const std::string& text : texts) {
    absl::StatusOr<PathPattern> pattern = PathPattern::Parse(text);
    if (!pattern.ok()) return pattern.status();
    patterns.push_back(*std::move(pattern));
  }
  return patterns;
}

[[nodiscard]] bool AnyMatches(std::span<const PathPattern> patterns, std::string_view method,
                              std::string_view path) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const PathPattern& one) { return one.Match(method, path); });
}

// The canonical code for an answer that HTTP itself calls for.
[[nodiscard]] absl::StatusCode CanonicalOf(int http_status) noexcept {
  switch (http_status) {
    case 404:
      return absl::StatusCode::kNotFound;
    case 405:
    case 501:
    case 505:
      return absl::StatusCode::kUnimplemented;
    case 408:
      return absl::StatusCode::kDeadlineExceeded;
    case 413:
    case 414:
    case 429:
    case 431:
      return absl::StatusCode::kResourceExhausted;
    case 500:
      return absl::StatusCode::kInternal;
    case 503:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kInvalidArgument;
  }
}

[[nodiscard]] TranscodeOptions TranscodeOptionsOf(const HttpGateway& options) {
  TranscodeOptions transcode;
  transcode.read.ignore_unknown_fields = options.ignore_unknown_fields;
  transcode.read.max_depth = options.limits.json_depth;
  transcode.write = options.json_write;
  transcode.ignore_unknown_query_parameters = options.ignore_unknown_query_parameters;
  transcode.max_query_parameters = options.limits.query_parameters;
  transcode.fully_decode_reserved_expansion = options.fully_decode_reserved_expansion;
  return transcode;
}

// What middleware's patterns are matched with: the path without the prefix.
[[nodiscard]] std::string_view WithoutPrefix(std::string_view path, std::string_view prefix) {
  if (prefix.empty() || !path.starts_with(prefix)) return path;
  if (path.size() == prefix.size()) return "/";
  if (path[prefix.size()] != '/') return path;
  return path.substr(prefix.size());
}

[[nodiscard]] bool IsCrossOrigin(const InboundCall& call, std::string_view origin) {
  const std::string_view host = call.Header("host").value_or("");
  const std::size_t slashes = origin.find("://");
  return slashes == std::string_view::npos || !SameHeader(origin.substr(slashes + 3), host);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Edge>> Edge::Make(const HttpGateway& options, TransportHost& host,
                                                 const std::shared_ptr<Channel>& local) {
  std::unique_ptr<Edge> edge(std::make_unique<Edge>(Key(), options, host));
  absl::StatusOr<std::unique_ptr<RouteTable>> routes = RouteTable::Build(options, host, local);
  if (!routes.ok()) return routes.status();
  edge->routes_ = *std::move(routes);
  if (absl::Status status = edge->AddMiddleware(); !status.ok()) return status;
  return edge;
}

Edge::Edge(Key /*key*/, const HttpGateway& options, TransportHost& host)
    : rules_(options),
      transcode_(TranscodeOptionsOf(options)),
      host_(host),
      prefix_(options.prefix == "/" ? std::string() : options.prefix) {}

absl::Status Edge::AddMiddleware() {
  std::vector<std::string> faults;
  for (const std::shared_ptr<void>& provided : host_.Provided(Token::Of<HttpMiddlewareUse>())) {
    const auto& use = *static_cast<const HttpMiddlewareUse*>(provided.get());
    absl::StatusOr<std::vector<PathPattern>> excludes = ParseAll(use.excludes);
    absl::StatusOr<std::vector<PathPattern>> routes = ParseAll(use.routes);
    for (const absl::Status& status : {excludes.status(), routes.status()}) {
      if (!status.ok()) faults.push_back(absl::StrCat("HttpMiddleware: ", status.message()));
    }
    if (!excludes.ok() || !routes.ok()) continue;
    for (const HttpMiddlewareUse::Function& function : use.functions) {
      middleware_.push_back({function, *excludes, *routes});
    }
  }
  if (faults.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(faults, "\n"));
}

std::string Edge::ErrorBody(int http_status, std::string_view message) const {
  return StatusAsJson(absl::Status(CanonicalOf(http_status), Abs(message)));
}

Task<void> Edge::Serve(HttpExchange& exchange) {
  ContextRef ref = ContextRef::Adopt(std::make_unique<InboundCall>(rules_, exchange).release());
  auto& call = static_cast<InboundCall&>(*ref.get());
  Task<void> run = Run(call);
  // Not by AsStatusOr: the task runs in the request's own context.
  auto running = RunIn(ContextRef(&call), std::move(run));
  try {
    co_await running;
  } catch (...) {
    // Run answers whatever happens; this is for what it cannot: no memory.
    call.exchange().Abort();
  }
  call.Detach();
}

Task<void> Edge::Run(InboundCall& call) const {
  if (call.method() == "OPTIONS") {
    const bool preflight = call.Header("origin") && call.Header("access-control-request-method");
    if (preflight) {
      Task<void> answer = AnswerOptions(call);
      co_await std::move(answer);
      co_return;
    }
  }
  Chain chain{this, &call, {}};
  if (!middleware_.empty()) {
    const std::string_view path = WithoutPrefix(call.path(), prefix_);
    for (const Middleware& one : middleware_) {
      if (AnyMatches(one.routes, call.method(), path) &&
          !AnyMatches(one.excludes, call.method(), path)) {
        chain.middleware.push_back(&one);
      }
    }
  }
  Task<void> run = RunChain(&chain, 0);
  absl::Status status = co_await AsStatusOr(std::move(run));
  if (call.exchange().answered()) {
    // What has gone out must not look whole.
    if (!status.ok()) call.exchange().Abort();
    co_return;
  }
  if (status.ok()) {
    // A middleware that neither answers nor goes on would leave the peer waiting for ever.
    status = absl::InternalError("a middleware has ended without an answer");
  }
  const absl::Status told = ForPeer(status);
  host_.handlers().CountRejected("http", call.path(), told);
  Task<void> refuse = call.Refuse(told);
  co_await std::move(refuse);
}

Task<void> Edge::RunChain(void* chain, std::size_t index) {
  const auto& links = *static_cast<Chain*>(chain);
  if (index < links.middleware.size()) {
    return links.middleware[index]->function(*links.call, HttpNext(&RunChain, chain, index + 1));
  }
  return links.edge->Dispatch(*links.call);
}

std::vector<std::string> Edge::VersionsOf(const InboundCall& call) const {
  const HttpVersioning& versioning = rules_.options.versioning;
  std::vector<std::string> versions;
  switch (versioning.type) {
    case HttpVersioning::Type::kNone:
    case HttpVersioning::Type::kPath:
      break;
    case HttpVersioning::Type::kHeader:
      if (const auto said = call.Header(versioning.header)) versions.emplace_back(TrimSpace(*said));
      break;
    case HttpVersioning::Type::kMediaType: {
      const std::string accept = call.Joined("accept");
      std::string_view list = accept;
      const std::string key = Lower(versioning.media_type_key);
      while (const auto member = NextListed(&list)) {
        const std::optional<MediaType> media = ParseMediaType(*member);
        if (!media) continue;
        if (const auto version = media->Parameter(key)) versions.emplace_back(*version);
      }
      break;
    }
    case HttpVersioning::Type::kCustom:
      if (versioning.extract) {
        versions = versioning.extract(
            [&call](std::string_view name) { return std::string(call.Header(name).value_or("")); });
      }
      break;
  }
  return versions;
}

Task<void> Edge::AnswerOptions(InboundCall& call) const {
  std::vector<std::string> allowed;
  if (call.exchange().request().target != "*") {
    const RouteTable::Found found = routes_->Find("OPTIONS", call.path(), VersionsOf(call));
    allowed = found.allowed;
    if (found.route != nullptr) allowed.emplace_back(found.route->binding.http_method);
    if (allowed.empty()) {
      Task<void> refuse =
          call.Refuse(absl::NotFoundError(absl::StrCat("no resource ", Abs(call.path()))));
      co_await std::move(refuse);
      co_return;
    }
  }
  if (std::find(allowed.begin(), allowed.end(), "GET") != allowed.end()) {
    allowed.emplace_back("HEAD");
  }
  allowed.emplace_back("OPTIONS");
  std::sort(allowed.begin(), allowed.end());
  allowed.erase(std::unique(allowed.begin(), allowed.end()), allowed.end());
  HttpResponseHead head = call.Head(204, nullptr);
  head.Add("Allow", absl::StrJoin(allowed, ", "));
  const std::optional<std::string_view> origin = call.Header("origin");
  const std::optional<std::string_view> wanted = call.Header("access-control-request-method");
  if (rules_.options.cors && origin && wanted && call.AllowsOrigin(*origin)) {
    const HttpCors& cors = *rules_.options.cors;
    head.Add("Access-Control-Allow-Methods", absl::StrJoin(cors.methods, ", "));
    head.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers");
    std::string headers = absl::StrJoin(cors.headers, ", ");
    if (cors.headers.empty()) headers = call.Joined("access-control-request-headers");
    if (!headers.empty()) head.Add("Access-Control-Allow-Headers", headers);
    if (cors.max_age.count() > 0) {
      head.Add("Access-Control-Max-Age", absl::StrCat(cors.max_age.count()));
    }
  }
  Task<bool> respond = call.exchange().Respond(head, "");
  (void)co_await std::move(respond);
}

Task<void> Edge::Dispatch(InboundCall& call) const {
  HttpExchange& exchange = call.exchange();
  // A middleware that calls next() twice must not have the method run twice.
  if (exchange.answered()) co_return;
  std::string_view method = call.method();
  if (method == "OPTIONS" && exchange.request().target == "*") {
    Task<void> answer = AnswerOptions(call);
    co_await std::move(answer);
    co_return;
  }
  const bool websocket = exchange.wants_websocket();
  const std::vector<std::string> versions = VersionsOf(call);
  RouteTable::Found found;
  if (websocket) {
    found = routes_->Find(kWebSocketMethod, call.path(), versions);
    const std::optional<std::string_view> origin = call.Header("origin");
    if (found.route != nullptr && origin && IsCrossOrigin(call, *origin) &&
        !call.AllowsOrigin(*origin)) {
      // Browsers do not ask first for WebSockets, and send cookies along.
      Task<void> refuse = call.Refuse(absl::PermissionDeniedError(
          absl::StrCat("origin ", Abs(*origin), " may not open a WebSocket here")));
      co_await std::move(refuse);
      co_return;
    }
  }
  if (found.route == nullptr && !found.malformed) {
    if (method == "HEAD") method = "GET";
    found = routes_->Find(method, call.path(), versions);
  }
  if (found.route == nullptr) {
    if (method == "OPTIONS" && !found.malformed) {
      Task<void> answer = AnswerOptions(call);
      co_await std::move(answer);
      co_return;
    }
    absl::Status status;
    int code = 0;
    if (found.malformed) {
      status = absl::InvalidArgumentError(
          "the path is malformed: a bad percent-encoding, or a segment \".\" or \"..\"");
    } else if (!found.allowed.empty()) {
      std::vector<std::string> allowed = found.allowed;
      if (std::find(allowed.begin(), allowed.end(), "GET") != allowed.end()) {
        allowed.emplace_back("HEAD");
      }
      allowed.emplace_back("OPTIONS");
      std::sort(allowed.begin(), allowed.end());
      const std::string list = absl::StrJoin(allowed, ", ");
      call.AddResponseHeader("Allow", list);
      code = 405;
      status = absl::UnimplementedError(
          absl::StrCat("no ", Abs(call.method()), " on this path; it has ", list));
    } else {
      status = absl::NotFoundError(
          absl::StrCat("no resource ", Abs(call.method()), " ", Abs(call.path())));
    }
    host_.handlers().CountRejected("http", call.path(), status);
    Task<void> refuse = call.Refuse(std::move(status), code, nullptr);
    co_await std::move(refuse);
    co_return;
  }
  Routed routed(call, *found.route, found.segments, transcode_);
  Task<void> serve(nullptr);
  const MethodKind kind = found.route->method->kind;
  if (websocket && (HasRequestStream(kind) || HasResponseStream(kind))) {
    serve = ServeWebSocket(routed);
  } else if (kind == MethodKind::kBidiStreaming) {
    call.AddResponseHeader("Sec-WebSocket-Version", "13");
    serve = call.Refuse(
        absl::FailedPreconditionError("both sides of this method stream: open it as a WebSocket"),
        426, nullptr);
  } else if (kind == MethodKind::kServerStreaming && call.method() == "HEAD") {
    // Nobody would read the stream, nor end it.
    serve = call.Answer(200, "application/x-ndjson", "");
  } else if (kind == MethodKind::kServerStreaming) {
    serve = ServeServerStream(routed);
  } else if (kind == MethodKind::kClientStreaming) {
    serve = ServeClientStream(routed);
  } else {
    serve = ServeUnary(routed);
  }
  co_await std::move(serve);
}

}  // namespace rookery::internal::gateway
