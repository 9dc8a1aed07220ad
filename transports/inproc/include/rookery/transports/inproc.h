// InProcess: calls between the modules, or the applications, of one process.
//
//   module.Import(ClientsModule::Register(Client<pay::v1::PaymentsClient>(InProcess{})));  //
//       ourselves
//
//   payments.Listen(InProcess{.name = "payments"});                  // one application
//   Client<pay::v1::PaymentsClient>(InProcess{.name = "payments"});  // another one's client of it
//
// The same semantics as over a network (see rookery/rpc/local_channel.h), at the cost of a few
// function calls: the way to run as one process what is written as several, in tests or in
// production.
#ifndef ROOKERY_TRANSPORTS_INPROC_H_
#define ROOKERY_TRANSPORTS_INPROC_H_

#include <cstddef>
#include <memory>
#include <string>

#include "rookery/rpc/channel.h"
#include "rookery/rpc/transport.h"

namespace rookery {

// Options of both sides.
//
// A name is published for the whole process from Start() until the drain begins; one application at
// a time may have it. A client finds it at each call, so the order in which applications start does
// not matter, and one that is started anew is found again; while there is none, calls fail with
// UNAVAILABLE, or wait with CallOptions::wait_for_ready.
struct InProcess {
  // For Listen: required. For a client: empty means the application that the client is part of.
  std::string name = {};
  // Of a listener: calls at a time, over which callers get RESOURCE_EXHAUSTED; 0: no limit.
  std::size_t max_concurrent_calls = 0;
};

[[nodiscard]] std::unique_ptr<ServerTransport> MakeServerTransport(const InProcess& options);
// `host` outlives the channel.
[[nodiscard]] std::shared_ptr<Channel> MakeChannel(const InProcess& options, TransportHost& host);
// From outside any application; the name must not be empty.
[[nodiscard]] std::shared_ptr<Channel> MakeChannel(const InProcess& options);

}  // namespace rookery

#endif  // ROOKERY_TRANSPORTS_INPROC_H_
