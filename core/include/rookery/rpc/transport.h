// The transport SPI, server side. The client side is channel.h.
//
// An adapter is an options struct and two functions found by argument-dependent lookup:
//
//   struct Grpc { std::string address; ... };
//   std::unique_ptr<rookery::ServerTransport> MakeServerTransport(const Grpc& options);
//   std::shared_ptr<rookery::Channel> MakeChannel(const Grpc& options, rookery::TransportHost&
//       host);
//
// so that a user writes app.Listen(Grpc{...}) and Client<OrdersClient>(Grpc{...}).
// Adapters translate; they decide nothing: what is allowed, what an error means and what is logged
// is decided in core, the same for all.
#ifndef ROOKERY_RPC_TRANSPORT_H_
#define ROOKERY_RPC_TRANSPORT_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "rookery/di/token.h"
#include "rookery/rpc/stats.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/task.h"

namespace rookery {

class HandlerRegistry;
class LoopPool;

// What an application lends to its transports. Outlives them.
class TransportHost {
 public:
  virtual ~TransportHost() = default;
  [[nodiscard]] virtual const HandlerRegistry& handlers() const = 0;
  // The application's loops, started at the first use.
  [[nodiscard]] virtual LoopPool& loops() = 0;
  // Whether the node is ready to serve; false once draining has begun. Thread-safe.
  [[nodiscard]] virtual bool ready() const noexcept = 0;
  // What has been counted so far, of all transports. Thread-safe.
  [[nodiscard]] virtual StatsSnapshot Stats() const { return {}; }
  // All singletons that modules provide under `token`: what they have to say to an adapter (a
  // gateway's middleware). Those of global modules first, then of those nearest to the root.
  [[nodiscard]] virtual std::vector<std::shared_ptr<void>> Provided(const Token& /*token*/) {
    return {};
  }
};

// One listener. Methods are called by the application in the order shown, from one thread.
class ServerTransport {
 public:
  virtual ~ServerTransport() = default;

  // "grpc", "inproc", ...: as in logs, stats and CallContext::transport().
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  // Binds and starts to serve. Fails with what, where and how to mend it.
  [[nodiscard]] virtual absl::Status Start(TransportHost& host) = 0;
  // Where it listens, after Start: "127.0.0.1:50051".
  [[nodiscard]] virtual std::string endpoint() const = 0;
  // Why it gets nowhere, although it was started: a worker whose consumer is gone, say. The node is
  // not ready then. From Start to Stop, on any thread.
  [[nodiscard]] virtual absl::Status CheckHealth() const { return absl::OkStatus(); }
  // Adds what the transport counts itself. As CheckHealth().
  virtual void AddStats(StatsSnapshot* /*stats*/) const {}
  // The node is no longer ready: health checks say so, calls are still served.
  virtual void NotReady() noexcept {}
  // Takes no new calls (peers are told to go elsewhere: GOAWAY and the like). Returns at once.
  virtual void StopIntake() noexcept = 0;
  // Waits until every call in flight has ended, or `deadline`; then cancels what is left with
  // UNAVAILABLE. Blocks. Returns how many calls were cancelled.
  virtual std::size_t Drain(Deadline deadline) noexcept = 0;
  // Closes everything and joins the adapter's threads. Idempotent.
  virtual void Stop() noexcept = 0;
};

}  // namespace rookery

#endif  // ROOKERY_RPC_TRANSPORT_H_
