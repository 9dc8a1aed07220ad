// Nats: calls and events over NATS, both to serve them and to make them.
//
//   app.Listen(rookery::Nats{.url = "nats://localhost:4222", .queue = "orders"});
//   rookery::Client<pay::v1::PaymentsClient>(rookery::Nats{.url = "nats://localhost:4222"});
//
//   rookery::Nats secure{.url = "tls://nats.internal:4222"};
//   secure.creds_file = "/etc/orders/nats.creds";
//
// Nothing of NATS's own headers is needed to use it. docs/nats.md is the guide, docs/wire.md says
// what is on the wire. This is core NATS, which delivers at most once.
#ifndef ROOKERY_TRANSPORTS_NATS_H_
#define ROOKERY_TRANSPORTS_NATS_H_

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"

namespace rookery {

class Channel;
class ServerTransport;
class TransportHost;

// TLS towards the NATS server. Each of certificate, key and ca is PEM text or a file.
struct NatsTls {
  // Who we are; needed if the server verifies its clients.
  std::string certificate = {};
  std::string certificate_file = {};
  std::string key = {};
  std::string key_file = {};
  // Whom we trust; empty: the system's.
  std::string ca = {};
  std::string ca_file = {};
  // The name that the server's certificate must carry, instead of the URL's host.
  std::string server_name = {};
};

// Options of a listener (app.Listen) and of a client (Client<X>, MakeChannel). What belongs to one
// side says so, and is ignored by the other. A value; wrong ones are reported all at once, by
// CheckNatsOptions and by whatever is made from them.
struct Nats {
  // One or more, separated by commas: "nats://a:4222,nats://b:4222". A user and a password, or a
  // token, may be in them: "nats://user:password@a:4222".
  std::string url = "nats://localhost:4222";
  // Server: instances of one queue group share the work. Empty: the program's name, so that
  // instances of one program share, and events reach every program that handles them.
  std::string queue = {};
  // Server: false: every instance gets every message, requests included.
  bool queue_groups = true;
  // Server: false: leaves the program's events to another listener, JetStream above all: what is
  // sent to a stream's subject reaches core NATS's subscribers as well.
  bool events = true;
  // In front of all subjects: "staging" makes shop.v1.Orders.Place staging.shop.v1.Orders.Place.
  // Both sides.
  std::string prefix = {};
  // Server: everything below `prefix` is this program's: one subscription instead of one for each
  // service, and services that it does not have are answered UNIMPLEMENTED. Needs a prefix.
  bool owns_prefix = false;
  // Where replies go: for accounts whose permissions do not have _INBOX.>.
  std::string inbox_prefix = "_INBOX";
  // The connection's name in NATS's monitoring. Empty: the program's name.
  std::string name = {};

  // Who we are: at most one of user (with password), token, nkey (with its seed), creds.
  std::string user = {};
  std::string password = {};
  std::string token = {};
  std::string nkey = {};            // public: "U..."
  std::string nkey_seed_file = {};  // its seed
  std::string creds_file = {};      // user JWT and seed, as `nsc` writes them
  // None: as the URL says (tls://), with the system's certificates.
  std::optional<NatsTls> tls = {};

  // Server: answers NATS's own tools that look for services ($SRV.PING, INFO, STATS), with this
  // version, which is MAJOR.MINOR.PATCH.
  bool discovery = true;
  std::string version = "0.0.0";

  // Server: connections, each on a loop of its own: handlers run on that loop, so that one
  // connection keeps one core busy.
  std::size_t connections = 1;

  // Messages, in bytes; the NATS server's max_payload (1 MiB unless configured) limits them as
  // well.
  // Larger: RESOURCE_EXHAUSTED, for that call alone.
  std::size_t max_receive_bytes = std::size_t{4} << 20;
  std::size_t max_send_bytes = std::size_t{4} << 20;
  // Of all headers of a request (key + value + 32 each).
  std::size_t max_metadata_bytes = std::size_t{8} << 10;
  // Server: calls in flight, of each connection.
  std::size_t max_concurrent_calls = 16'384;
  // How far the sender of a stream may be ahead of its reader, in bytes.
  std::size_t window_bytes = std::size_t{1} << 20;
  // What may wait to be written to a connection; beyond it calls and replies fail with
  // RESOURCE_EXHAUSTED.
  std::size_t max_pending_bytes = std::size_t{64} << 20;

  // How long one attempt to connect may take.
  std::chrono::milliseconds connect_timeout{2'000};
  // Server: how long Start() tries, with backoff, before it fails. A client never gives up.
  std::chrono::milliseconds start_timeout{30'000};
  // The pause after a failed attempt: the first, doubled up to the second, a fifth of it random.
  std::chrono::milliseconds reconnect_wait{50};
  std::chrono::milliseconds max_reconnect_wait{5'000};
  // A connection that does not answer two of these pings is given up.
  std::chrono::milliseconds ping_interval{20'000};
  // The two ends of a call that takes long tell each other that often that they are there; after
  // three times in silence it fails with UNAVAILABLE (server: is cancelled). The same on both
  // sides.
  // Zero: never.
  std::chrono::milliseconds keepalive{10'000};

  // Client: sends JSON, and is answered in JSON.
  bool json = false;
  // Client: calls wait for a connection, and for somebody who serves them, instead of failing with
  // UNAVAILABLE at once.
  bool wait_for_ready = false;
  // Client: the "source" of CloudEvents that are sent. Empty: `name`.
  std::string event_source = {};
};

// INVALID_ARGUMENT with all that is wrong, and how to mend it. Does not connect.
[[nodiscard]] absl::Status CheckNatsOptions(const Nats& options);

[[nodiscard]] std::unique_ptr<ServerTransport> MakeServerTransport(const Nats& options);
// Connects, for connect_timeout at most, and goes on trying in the background: see
// Channel::state().
// Throws RpcException for wrong options.
[[nodiscard]] std::shared_ptr<Channel> MakeChannel(const Nats& options);
[[nodiscard]] std::shared_ptr<Channel> MakeChannel(const Nats& options, TransportHost& host);

}  // namespace rookery

#endif  // ROOKERY_TRANSPORTS_NATS_H_
