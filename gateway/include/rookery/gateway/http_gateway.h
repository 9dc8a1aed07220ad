// HttpGateway: HTTP/1.1, JSON and WebSocket in front of services, as google.api.http says.
//
//   app.Listen(rookery::HttpGateway{.address = "0.0.0.0:8080"});
//
//   rookery::HttpGateway edge{.address = "0.0.0.0:8443"};       // nothing here need be said
//   edge.tls = rookery::HttpTls{.certificate_file = "edge.pem", .key_file = "edge.key"};
//   edge.cors = rookery::HttpCors{.origins = {"https://shop.example"}};
//   edge.forward = {rookery::HttpForward::To<pay::v1::PaymentsClient>(
//       rookery::Grpc{.address = "dns:///payments:50051"})};    // of another node, by any way
//   app.Listen(edge);
//
// Calls go through guards, interceptors, pipes, filters and CLS as on every transport.
// docs/gateway.md is the guide.
#ifndef ROOKERY_GATEWAY_HTTP_GATEWAY_H_
#define ROOKERY_GATEWAY_HTTP_GATEWAY_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "rookery/pipeline/metadata_key.h"
#include "rookery/rpc/client.h"
#include "rookery/rpc/json.h"

namespace rookery {

class Channel;
class ServerTransport;
class TransportHost;
struct ServiceDescriptor;

// TLS of the listener, 1.2 or later. Each of certificate, key and ca is either PEM text or a file;
// a file is read again when it has changed, without a restart and without losing a connection.
struct HttpTls {
  enum class ClientAuth : std::uint8_t {
    kNone,     // clients are not asked for a certificate
    kRequest,  // one that is shown must be good; none is fine: see Peer::authenticated
    kRequire,  // mTLS: no good certificate, no connection
  };
  // Who we are. The certificate may be a chain, the leaf first.
  std::string certificate = {};
  std::string certificate_file = {};
  std::string key = {};
  std::string key_file = {};
  // Whom we trust, for kRequest and kRequire: PEM certificates.
  std::string ca = {};
  std::string ca_file = {};
  ClientAuth client_auth = ClientAuth::kNone;
  // How often files are looked at. At least one second.
  std::chrono::seconds reload_interval{30};
};

// What one request, and one connection, may cost. Sizes in bytes. Zero: no limit, where it says so.
struct HttpLimits {
  std::size_t request_line = std::size_t{8} << 10;   // above: 414
  std::size_t header_bytes = std::size_t{16} << 10;  // of all of them: 431
  std::size_t headers = 100;                         // how many: 431
  // A body as it comes, and after decompression: 413. Not of streams.
  std::size_t body = std::size_t{1} << 20;
  std::size_t decompressed_body = std::size_t{1} << 20;
  // One message of a stream: a line of JSON, a message of a WebSocket.
  std::size_t message = std::size_t{1} << 20;
  // The whole body of a stream of requests. Zero: no limit.
  std::uint64_t stream_body = 0;
  std::size_t query_parameters = 256;  // 400
  int json_depth = kJsonMaxDepth;      // 400

  // Time for a request's head, from its first byte; for its body, in all and between two pieces of
  // it; for the peer to take the next piece of the answer; between two requests. 408, or the
  // connection is closed.
  std::chrono::milliseconds header_time{10'000};
  std::chrono::milliseconds body_time{60'000};
  std::chrono::milliseconds body_idle{15'000};
  std::chrono::milliseconds write_idle{30'000};
  std::chrono::milliseconds idle{65'000};
  // From the first byte of a request to the last of its answer. Not of streams. Zero: no limit.
  std::chrono::milliseconds request_time{120'000};
  // WebSocket: a ping after this long without a sign of life; closed after as long again.
  std::chrono::milliseconds websocket_ping{30'000};

  std::size_t connections = 10'000;  // above: 503, Retry-After
  // After so many the connection is closed, to be made anew. Zero: no limit.
  std::size_t requests_per_connection = 0;
  // Requests of one connection that are taken before the first is answered. They are answered one
  // after the other.
  std::size_t pipelined = 16;
};

// Who is believed, and what is passed on. Nobody, and little, by default: what comes over HTTP can
// be written by anybody.
struct HttpTrust {
  // Proxies, as addresses or networks ("10.0.0.0/8", "::1"). From these alone the client's address
  // is taken from Forwarded (RFC 7239) or X-Forwarded-For, the last that is no proxy itself; and
  // baggage, the headers below, and what begins with Grpc-Metadata- are taken in.
  std::vector<std::string> proxies = {};
  // Beside proxies: whoever proved to be one of these by mTLS (Peer::identity).
  std::vector<std::string> identities = {};
  // Headers that become metadata from trusted peers only, and are dropped from all others. A
  // trailing * stands for anything: {"x-user-id", "x-auth-*"}.
  std::vector<std::string> headers = {};
};

// What a request's headers become.
struct HttpContext {
  // Headers that become metadata, under the same name in lower case, whoever sends them. A trailing
  // * stands for anything. traceparent, tracestate, and the two below always are.
  std::vector<std::string> headers = {"authorization", "accept-language", "user-agent",
                                      "idempotency-key"};
  // Taken over if it is sane, made otherwise; passed on, and echoed in the answer. Give ClsModule's
  // ClsIdOptions::header the same name.
  std::string request_id_header = "x-request-id";
  // How long the caller waits: "250m" as gRPC writes it, or a number of milliseconds. Empty: not
  // asked for.
  std::string timeout_header = "grpc-timeout";
  // Of unary calls whose caller says nothing, and the most that a caller gets. Zero: none.
  std::chrono::milliseconds default_timeout{60'000};
  std::chrono::milliseconds max_timeout{0};
};

// Cross-origin requests. Without these no origin is told that it may read anything.
struct HttpCors {
  // "https://shop.example"; "*": any (not together with credentials).
  std::vector<std::string> origins = {};
  // Instead: whether that origin may.
  std::function<bool(const std::string& origin)> allow = {};
  std::vector<std::string> methods = {"GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"};
  // Request headers; empty: those that the preflight asks for.
  std::vector<std::string> headers = {};
  // Response headers that scripts may read.
  std::vector<std::string> exposed_headers = {};
  bool credentials = false;
  std::chrono::seconds max_age{600};
};

// What answers carry to keep browsers out of trouble: Helmet's set, for an API.
struct HttpSecurityHeaders {
  bool enabled = true;
  std::string content_security_policy = "default-src 'none'; frame-ancestors 'none'";
  std::string referrer_policy = "no-referrer";
  std::string frame_options = "DENY";
  std::string cross_origin_resource_policy = "same-origin";
  // Over TLS alone. Zero: not sent.
  std::chrono::seconds hsts{15'552'000};
};

// Versions of methods: Nest's app.enableVersioning. Which a method has is said by kHttpVersions;
// one without has `default_versions`, and if there are none either it answers whatever the version.
struct HttpVersioning {
  enum class Type : std::uint8_t {
    kNone,
    kPath,       // /v1/orders: `path_prefix` and the version, in front of the method's own path
    kHeader,     // `header`: 1
    kMediaType,  // Accept: application/json;v=1
    kCustom,     // what `extract` says
  };
  Type type = Type::kNone;
  std::string path_prefix = "v";
  std::string header = "x-api-version";
  std::string media_type_key = "v";
  // Given a way to look at headers: the versions that will do, the best first.
  using Header = std::function<std::string(std::string_view name)>;
  std::function<std::vector<std::string>(const Header& header)> extract = {};
  std::vector<std::string> default_versions = {};
};

// The versions that a controller, or one of its methods, is there under. Nest's @Version.
//
//   controller.Set(rookery::kHttpVersions, {"1", "2"});
inline constexpr MetadataKey<std::vector<std::string>> kHttpVersions{"http.versions"};
// Among the versions: it answers whatever the version. Nest's VERSION_NEUTRAL.
inline constexpr char kHttpVersionNeutral[] = "*";

// Where a streaming method's messages have their event's id for SSE: a field of the message. A
// browser that comes back says the last it got as metadata "last-event-id".
//
//   controller.Method(kWatch).Set(rookery::kHttpEventId, "sequence");
inline constexpr MetadataKey<std::string> kHttpEventId{"http.event_id"};

// A service of another node, behind this gateway. A value.
class HttpForward final {
 public:
  // The methods of client X (a generated XClient), called over the transport that `options` belong
  // to. Guards and interceptors are run there, not here.
  template <class X, class Options>
  [[nodiscard]] static HttpForward To(Options options) {
    static_assert(std::is_base_of_v<ClientBase, X>,
                  "rookery: HttpForward::To<X>(options): X must be a generated client such as "
                  "OrdersClient");
    static_assert(
        requires(TransportHost& host) { MakeChannel(options, host); },
        "rookery: HttpForward::To<X>(options): these are no options of a client transport; "
        "include its header, e.g. rookery/transports/grpc.h");
    return HttpForward(&X::Descriptor(), [options = std::move(options)](TransportHost& host) {
      return MakeChannel(options, host);
    });
  }
  // By a channel that is there already.
  template <class X>
  [[nodiscard]] static HttpForward To(std::shared_ptr<Channel> channel) {
    static_assert(std::is_base_of_v<ClientBase, X>,
                  "rookery: HttpForward::To<X>(channel): X must be a generated client such as "
                  "OrdersClient");
    return HttpForward(&X::Descriptor(),
                       [channel = std::move(channel)](TransportHost&) { return channel; });
  }
  // As kHttpVersions says of what is here.
  HttpForward&& Versions(std::vector<std::string> versions) && {
    versions_ = std::move(versions);
    return std::move(*this);
  }

  // For the gateway.
  [[nodiscard]] const ServiceDescriptor& service() const noexcept { return *service_; }
  [[nodiscard]] std::shared_ptr<Channel> Open(TransportHost& host) const { return open_(host); }
  [[nodiscard]] const std::vector<std::string>& versions() const noexcept { return versions_; }

 private:
  HttpForward(const ServiceDescriptor* service,
              std::function<std::shared_ptr<Channel>(TransportHost&)> open)
      : service_(service), open_(std::move(open)) {}

  const ServiceDescriptor* service_;
  std::function<std::shared_ptr<Channel>(TransportHost&)> open_;
  std::vector<std::string> versions_;
};

// Options of a listener. A value; wrong ones are reported all at once, by CheckHttpGateway and by
// the application's start.
struct HttpGateway {
  // Which methods get POST /package.Service/Method, with the message as the body.
  enum class DefaultBinding : std::uint8_t { kUnannotated, kAll, kNone };
  // Which of the application's methods are served.
  enum class Serve : std::uint8_t { kAll, kAnnotated, kNone };

  // "host:port" ("0.0.0.0:8080", "[::]:8080"; port 0: one is picked, see endpoint()).
  std::string address = {};
  // Loops that take connections. Zero: all of the application's.
  std::size_t threads = 0;
  // None: plain text.
  std::optional<HttpTls> tls = {};
  HttpLimits limits = {};

  Serve serve = Serve::kAll;
  DefaultBinding default_binding = DefaultBinding::kUnannotated;
  std::vector<HttpForward> forward = {};

  // In front of every path: "/api". But for these: "/health", "GET /metrics/*".
  std::string prefix = {};
  std::vector<std::string> prefix_exclude = {};
  HttpVersioning versioning = {};

  HttpContext context = {};
  HttpTrust trust = {};
  // None: nothing is said of other origins, and preflights are answered without leave.
  std::optional<HttpCors> cors = {};
  HttpSecurityHeaders security_headers = {};

  // JSON as it is written and read; see json.h.
  JsonWriteOptions json_write = {};
  bool ignore_unknown_fields = false;            // of JSON
  bool ignore_unknown_query_parameters = false;  // else 400
  // Whether %2F in a variable of several segments becomes "/": see google/api/http.proto.
  bool fully_decode_reserved_expansion = false;

  // Bodies of answers at least this long go out as gzip to those who take it. Zero: none do.
  std::size_t gzip_min_bytes = 1024;
  // SSE: a comment after this long without an event, so that nobody in between hangs up.
  std::chrono::milliseconds sse_keepalive{15'000};
  // What 503 and 429 tell of when to come again, unless the error's RetryInfo says it.
  std::chrono::seconds retry_after{1};
  // What 401 says of how to do better, unless the handler's www-authenticate does.
  std::string www_authenticate = "Bearer";
};

// OK, or INVALID_ARGUMENT with every fault of `options`, one a line. Reads certificate files.
[[nodiscard]] absl::Status CheckHttpGateway(const HttpGateway& options);

// For app.Listen(HttpGateway{...}). Faults in the options, and in the methods' google.api.http, are
// reported by Start().
[[nodiscard]] std::unique_ptr<ServerTransport> MakeServerTransport(const HttpGateway& options);

}  // namespace rookery

#endif  // ROOKERY_GATEWAY_HTTP_GATEWAY_H_
