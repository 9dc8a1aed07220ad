// Grpc: calls over gRPC, both to serve them and to make them.
//
//   app.Listen(rookery::Grpc{.address = "0.0.0.0:50051"});
//   rookery::Client<pay::v1::PaymentsClient>(rookery::Grpc{.address = "dns:///payments:50051"});
//
//   rookery::Grpc secure{.address = "0.0.0.0:50051"};
//   secure.tls = rookery::GrpcTls{.certificate_file = "server.pem", .key_file = "server.key"};
//
// Nothing of gRPC's own headers is needed to use it. docs/grpc.md is the guide.
#ifndef ROOKERY_TRANSPORTS_GRPC_H_
#define ROOKERY_TRANSPORTS_GRPC_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace rookery {

class Channel;
class ServerTransport;
class TransportHost;

// TLS of a listener or of a client. Each of certificate, key and ca is either PEM text or a file; a
// file is read again when it has changed, without a restart and without losing a connection.
struct GrpcTls {
  enum class ClientAuth : std::uint8_t {
    kNone,     // clients are not asked for a certificate
    kRequest,  // one that is shown must be good; none is fine: see Peer::authenticated
    kRequire,  // mTLS: no good certificate, no connection
  };

  // Who we are. Needed by a server; by a client only for mTLS. The certificate may be a chain, the
  // leaf first.
  std::string certificate = {};
  std::string certificate_file = {};
  std::string key = {};
  std::string key_file = {};
  // Whom we trust: PEM certificates. Client: empty means the system's. Server: needed for kRequest
  // and kRequire, which have no system's roots.
  std::string ca = {};
  std::string ca_file = {};
  ClientAuth client_auth = ClientAuth::kNone;  // server
  // Client: the name that the server's certificate must carry, instead of the target's host. Tests
  // and tunnels need it.
  std::string server_name = {};
  // How often files are looked at. At least one second.
  std::chrono::seconds reload_interval{30};
};

// HTTP/2 pings, which find a peer that vanished without a word.
struct GrpcKeepalive {
  // A ping after this long without a sign of life; zero: gRPC's default (server two hours, client
  // never). A client should stay above the server's min_ping_interval.
  std::chrono::milliseconds time{0};
  // No answer for this long: the connection is closed, its calls fail with UNAVAILABLE.
  std::chrono::milliseconds timeout{20'000};
  // Client: ping also while no call is running.
  bool permit_without_calls = false;
  // Server: pings that come faster than this are strikes; more than max_ping_strikes of them and
  // the client is sent away (ENHANCE_YOUR_CALM).
  std::chrono::milliseconds min_ping_interval{300'000};
  int max_ping_strikes = 2;
};

// Retries by gRPC itself, for methods declared idempotent alone (option idempotency_level).
// Retries that no server can have seen happen for every method and need no policy.
struct GrpcRetry {
  int max_attempts = 1;  // in all, the first one counted: 1 (none) to 5
  std::chrono::milliseconds initial_backoff{100};
  std::chrono::milliseconds max_backoff{1'000};
  double backoff_multiplier = 2.0;
  // Which statuses are worth another attempt.
  std::vector<absl::StatusCode> codes = {absl::StatusCode::kUnavailable};
};

// Limits of one method; zero: the listener's.
struct GrpcMethodLimits {
  std::size_t max_concurrent_calls = 0;
  std::size_t max_receive_bytes = 0;
};

enum class GrpcCompression : std::uint8_t { kNone, kGzip, kDeflate };

// Options of a listener (app.Listen) and of a client (Client<X>, MakeChannel). What belongs to one
// side says so, and is ignored by the other. A value; wrong ones are reported all at once, by
// CheckGrpcOptions and by whatever is made from them.
struct Grpc {
  // Server: "host:port" ("0.0.0.0:50051", "[::]:50051", "localhost:0"; port 0: one is picked, see
  // endpoint()) or "unix:/path". Client: any gRPC target: "host:port", "dns:///host:port",
  // "ipv4:1.2.3.4:50051,1.2.3.5:50051", "unix:/path", "xds:///name".
  std::string address = {};
  // Server: threads, each with a completion queue of its own; calls stay on one. Zero: one per
  // core.
  std::size_t threads = 0;
  // None: plain text.
  std::optional<GrpcTls> tls = {};

  // Messages, in bytes, after decompression. Larger: RESOURCE_EXHAUSTED, for that call alone.
  std::size_t max_receive_bytes = std::size_t{4} << 20;
  std::size_t max_send_bytes = std::size_t{64} << 20;
  // Sum of all metadata of a call, as HTTP/2 counts it (key + value + 32 each). Above: that call
  // gets
  // RESOURCE_EXHAUSTED, counted and logged; above twice that: the HTTP/2 layer refuses it unread.
  std::size_t max_metadata_bytes = std::size_t{8} << 10;

  // Server: calls in flight per connection (the client queues further ones), and in all (further
  // ones get RESOURCE_EXHAUSTED before they are parsed).
  std::size_t max_concurrent_streams = 1'000;
  std::size_t max_concurrent_calls = 16'384;
  // Server: bytes that gRPC may hold for all connections together; under pressure it stops to read,
  // then closes connections. Zero: no limit.
  std::size_t max_buffer_bytes = std::size_t{256} << 20;
  // Server: limits by full method name ("/shop.v1.Orders/Place").
  std::map<std::string, GrpcMethodLimits> methods = {};

  GrpcKeepalive keepalive = {};
  // Server: a connection without calls is closed after `idle`; any connection is asked to go after
  // `age` (so that clients behind a load balancer spread anew) and closed `age_grace` later.
  // Zero: never.
  std::chrono::milliseconds max_connection_idle{0};
  std::chrono::milliseconds max_connection_age{0};
  std::chrono::milliseconds max_connection_age_grace{0};
  // Server: how long a connection may take for its handshake.
  std::chrono::milliseconds handshake_timeout{20'000};

  // What is sent is compressed by this, where the peer can; one call may say otherwise.
  GrpcCompression compression = GrpcCompression::kNone;

  // Server: grpc.reflection.v1 and v1alpha, for grpcurl and its kin; grpc.health.v1.
  bool reflection = true;
  bool health = true;

  // Client: how calls spread over a target's addresses: "pick_first" or "round_robin".
  std::string load_balancing_policy = "pick_first";
  GrpcRetry retry = {};
  // Client: connections per address. One carries about max_concurrent_streams calls at a time.
  std::size_t connections = 1;
  // Client: goes in front of gRPC's own user agent.
  std::string user_agent = {};
  // Client: calls wait for a connection instead of failing at once with UNAVAILABLE.
  bool wait_for_ready = false;
};

// OK, or INVALID_ARGUMENT with every fault of `options`, one a line. Reads certificate files.
[[nodiscard]] absl::Status CheckGrpcListener(const Grpc& options);
[[nodiscard]] absl::Status CheckGrpcClient(const Grpc& options);

// For app.Listen(Grpc{...}). Faults in the options are reported by Start().
[[nodiscard]] std::unique_ptr<ServerTransport> MakeServerTransport(const Grpc& options);

// For Client<X>(Grpc{...}). Connects at the first call. Calls made on one of a listener's threads
// complete on that thread, others on a thread that all channels share. Throws RpcException
// (INVALID_ARGUMENT) if the options are wrong.
[[nodiscard]] std::shared_ptr<Channel> MakeChannel(const Grpc& options, TransportHost& host);
// The same, for programs that have no application.
[[nodiscard]] std::shared_ptr<Channel> MakeChannel(const Grpc& options);

}  // namespace rookery

#endif  // ROOKERY_TRANSPORTS_GRPC_H_
