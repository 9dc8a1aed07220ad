// Handler and HandlerRegistry: what a transport delivers calls to.
//
//   const rookery::Handler* handler = registry.Find("/shop.v1.Orders/Place");
//   // for each call, with `call` the transport's CallContext:
//   rookery::Response response = co_await handler->Call(call, request);     // fails with a status
//       only
//
// Implementers of transports need this header, transport.h and message.h; users do not.
#ifndef ROOKERY_RPC_HANDLER_H_
#define ROOKERY_RPC_HANDLER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "rookery/rpc/call_context.h"
#include "rookery/rpc/descriptor.h"
#include "rookery/rpc/message.h"
#include "rookery/runtime/task.h"

namespace rookery {

class MetadataTarget;

// A method with its pipeline, compiled. Immutable after start-up; shared by all loops.
class Handler {
 public:
  virtual ~Handler() = default;

  [[nodiscard]] const MethodDescriptor& descriptor() const noexcept { return *descriptor_; }

  // Runs guards, interceptors, pipes, the method and, on failure, one exception filter. The call is
  // current while it runs. The task fails with an absl::Status fit for the peer (ForPeer), and
  // never with anything else. `request` must outlive the task and, for streams, the response.
  [[nodiscard]] virtual Task<Response> Call(CallContext& call, Request& request) const = 0;

  // For a response with a stream: the next message, or null at its end. A failure of the producer
  // goes through the exception filters and comes out as a status fit for the peer.
  [[nodiscard]] virtual Task<google::protobuf::Message*> Next(CallContext& call,
                                                              Response& response) const = 0;

  // What was Set on the method in code (see MetadataKey), and then on its controller; null:
  // unknown.
  [[nodiscard]] virtual const MetadataTarget* method_metadata() const noexcept { return nullptr; }
  [[nodiscard]] virtual const MetadataTarget* controller_metadata() const noexcept {
    return nullptr;
  }
  // Whether Call() takes a request with a source, and reads all of it: an event that is handled in
  // batches.
  [[nodiscard]] virtual bool takes_batches() const noexcept { return descriptor_->batch; }

  // Bookkeeping, to be called by the transport around each call: CallStarted before Call();
  // CallEnded when the status is settled. Both cheap, thread-safe.
  virtual void CallStarted(CallContext& call) const noexcept = 0;
  virtual void CallEnded(CallContext& call, absl::StatusCode code) const noexcept = 0;

 protected:
  explicit Handler(const MethodDescriptor* descriptor) noexcept : descriptor_(descriptor) {}

 private:
  const MethodDescriptor* descriptor_;
};

// All handlers of an application, by full method name. Read-only once transports have started.
class HandlerRegistry {
 public:
  virtual ~HandlerRegistry() = default;

  // By "/package.Service/Method" or pattern; null if there is none. Several handlers of one event
  // are found as one, which runs them all.
  [[nodiscard]] virtual const Handler* Find(std::string_view full_name) const = 0;
  // All of them by full name, in the order registered. Transports that route by pattern subscribe
  // to each descriptor's pattern once, and deliver what comes to Find(pattern).
  [[nodiscard]] virtual std::span<const Handler* const> all() const = 0;
  // A refusal that never reached a handler (unknown method, over a limit, malformed message):
  // counts and logs it. `method` may be whatever the peer sent.
  virtual void CountRejected(std::string_view transport, std::string_view method,
                             const absl::Status& status) const noexcept = 0;
};

}  // namespace rookery

#endif  // ROOKERY_RPC_HANDLER_H_
