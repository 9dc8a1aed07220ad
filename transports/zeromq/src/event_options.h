// Options of events as libzmq wants them. Private.
#ifndef ROOKERY_TRANSPORTS_ZEROMQ_SRC_EVENT_OPTIONS_H_
#define ROOKERY_TRANSPORTS_ZEROMQ_SRC_EVENT_OPTIONS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "event_socket.h"
#include "rookery/transports/zeromq_events.h"

namespace rookery::zeromq_adapter {

// The options of the socket, with the address in them: what CheckZeroMqOptions and Configure take.
[[nodiscard]] ZeroMq SocketOptions(const ZeroMqEvents& options);
// Whether this side waits at the address.
[[nodiscard]] bool Binds(const ZeroMqEvents& options, bool publisher) noexcept;
// Binds or connects to each of `addresses`. INVALID_ARGUMENT or UNAVAILABLE with the address.
[[nodiscard]] absl::Status Attach(EventSocket& socket, const std::vector<std::string>& addresses,
                                  bool bind);
[[nodiscard]] absl::Status SetCurve(Socket& socket, const ZeroMqEvents& options, bool binds);
// For people: "tcp://127.0.0.1:5556", or "the events of rookery on this machine".
[[nodiscard]] std::string NameOf(const ZeroMqEvents& options);

}  // namespace rookery::zeromq_adapter

#endif  // ROOKERY_TRANSPORTS_ZEROMQ_SRC_EVENT_OPTIONS_H_
