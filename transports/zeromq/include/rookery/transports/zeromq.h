// ZeroMq: calls from process to process over ZeroMQ, with no broker; to serve them and to make
// them.
//
//   app.Listen(rookery::ZeroMq{.address = "tcp://127.0.0.1:5555"});
//   rookery::Client<pay::v1::PaymentsClient>(rookery::ZeroMq{.address = "tcp://127.0.0.1:5555"});
//
//   rookery::ZeroMq secure{.address = "tcp://0.0.0.0:5555"};       // beyond this machine: CURVE
//   secure.curve = rookery::ZeroMqCurve{.secret_key = secret, .allow = {{client_key, "orders"}}};
//
// Nothing of ZeroMQ's own headers is needed to use it. docs/zeromq.md is the guide, docs/wire.md
// says what is on the wire.
#ifndef ROOKERY_TRANSPORTS_ZEROMQ_H_
#define ROOKERY_TRANSPORTS_ZEROMQ_H_

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace rookery {

class Channel;
class ServerTransport;
class TransportHost;

// A pair of CURVE keys, each 40 characters of Z85. The secret one is to be kept like a password.
struct ZeroMqKeys {
  std::string public_key = {};
  std::string secret_key = {};
};
// A new pair, from the system's generator. UNAVAILABLE if libzmq was built without CURVE.
[[nodiscard]] absl::StatusOr<ZeroMqKeys> NewZeroMqKeys();

// Encryption and proof of who is at the other end. Keys are Z85, as NewZeroMqKeys() makes them; the
// public one follows from the secret one.
struct ZeroMqCurve {
  // Our own. Needed by a server; empty in a client: a new one for each channel, which proves
  // nothing.
  std::string secret_key = {};
  // Client: the server's public key. Whoever does not have its secret is no server.
  std::string server_key = {};
  // Server: who may connect: public key -> identity, which guards find in CallContext::peer().
  std::map<std::string, std::string> allow = {};
  // Server: lets in keys that are not in `allow`, too: encrypted, but not authenticated.
  bool allow_any = false;
};

// Options of a listener (app.Listen) and of a client (Client<X>, MakeChannel). What belongs to one
// side says so, and is ignored by the other. A value; wrong ones are reported all at once, by
// CheckZeroMqOptions and by whatever is made from them.
struct ZeroMq {
  // Server: where to listen; client: whom to call, one or more separated by commas, which share the
  // calls. "tcp://HOST:PORT" (port 0, or "*": a free one) or "ipc://PATH".
  std::string address = "tcp://127.0.0.1:5555";
  // None: in plain text, and anybody may call. Allowed on loopback and ipc only, unless ...
  std::optional<ZeroMqCurve> curve = {};
  // ... it is asked for by this name: the network is trusted.
  bool allow_plain_text = false;

  // Server: rookery-zmq-brokers are at `address` (where they take workers): it connects to each,
  // and serves what they hand on. Clients need not know: to them a broker is a server.
  bool via_broker = false;

  // Messages, in bytes. Larger: RESOURCE_EXHAUSTED for that call alone; a peer that sends frames
  // beyond it by more than max_metadata_bytes and 64 KiB is disconnected by libzmq, unread.
  std::size_t max_receive_bytes = std::size_t{4} << 20;
  std::size_t max_send_bytes = std::size_t{4} << 20;
  // Of all headers of a request (key + value + 32 each).
  std::size_t max_metadata_bytes = std::size_t{8} << 10;
  // Server: calls in flight.
  std::size_t max_concurrent_calls = 16'384;
  // How far the sender of a stream may be ahead of its reader, in bytes.
  std::size_t window_bytes = std::size_t{1} << 20;
  // Messages that may wait for one peer in libzmq, in each direction ...
  int high_water_mark = 1'000;
  // ... and bytes that may wait on our side for all peers together; beyond it calls fail with
  // RESOURCE_EXHAUSTED, and replies are dropped and counted.
  std::size_t max_pending_bytes = std::size_t{64} << 20;

  // Client: how long MakeChannel waits for the first connection. It goes on trying afterwards.
  std::chrono::milliseconds connect_timeout{2'000};
  // Client: the pause before a lost connection is tried again: the first, doubled up to the second.
  std::chrono::milliseconds reconnect_wait{50};
  std::chrono::milliseconds max_reconnect_wait{5'000};
  // A peer whose process or machine is silent for two of these is disconnected.
  std::chrono::milliseconds heartbeat{2'000};
  // How long a handshake may take.
  std::chrono::milliseconds handshake_timeout{5'000};
  // How long what was said last may take to leave when everything is closed.
  std::chrono::milliseconds linger{1'000};
  // The two ends of a call that takes long tell each other that often that they are there; after
  // three times in silence it fails with UNAVAILABLE (server: is cancelled). The same on both
  // sides. Zero: never.
  std::chrono::milliseconds keepalive{10'000};

  // Client: sends JSON, and is answered in JSON.
  bool json = false;
  // Client: calls wait for a connection instead of failing with UNAVAILABLE at once.
  bool wait_for_ready = false;
  // Client: the "source" of CloudEvents that are sent. Empty: the program's name.
  std::string event_source = {};
};

// INVALID_ARGUMENT with all that is wrong, and how to mend it. Does not connect.
[[nodiscard]] absl::Status CheckZeroMqOptions(const ZeroMq& options);

[[nodiscard]] std::unique_ptr<ServerTransport> MakeServerTransport(const ZeroMq& options);
// Connects to all addresses, waits for one of them for connect_timeout at most, and goes on trying
// in the background: see Channel::state(). Throws RpcException for wrong options.
[[nodiscard]] std::shared_ptr<Channel> MakeChannel(const ZeroMq& options);
[[nodiscard]] std::shared_ptr<Channel> MakeChannel(const ZeroMq& options, TransportHost& host);

}  // namespace rookery

#endif  // ROOKERY_TRANSPORTS_ZEROMQ_H_
