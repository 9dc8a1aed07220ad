// GrpcCall: what only gRPC knows about a call being served, for handlers and guards that ask.
//
//   if (auto* grpc = call.TransportRequest<rookery::GrpcCall>()) {
//     if (!grpc->last_message_compressed()) ...
//   }
//
// Code that asks runs over gRPC alone: prefer CallContext where it has the answer.
#ifndef ROOKERY_TRANSPORTS_GRPC_CALL_H_
#define ROOKERY_TRANSPORTS_GRPC_CALL_H_

#include <string>
#include <string_view>

struct grpc_call;

namespace rookery {

// A view of the running call, valid as long as its CallContext. Same thread rules: the call's loop.
class GrpcCall {
 public:
  GrpcCall(const GrpcCall&) = delete;
  GrpcCall& operator=(const GrpcCall&) = delete;

  // Whether the message received last came compressed on the wire.
  [[nodiscard]] virtual bool last_message_compressed() const noexcept = 0;
  // By what it was: "gzip", "deflate", or "identity".
  [[nodiscard]] virtual std::string_view peer_encoding() const noexcept = 0;
  // Sends the response headers now instead of with the first message. Later additions to
  // response_headers() are lost. Has no effect once they are out.
  virtual void SendHeaders() noexcept = 0;
  // gRPC's own handle, for what is not here; null once the call has ended. Do not start batches.
  [[nodiscard]] virtual grpc_call* native_handle() noexcept = 0;

 protected:
  GrpcCall() = default;
  ~GrpcCall() = default;
};

}  // namespace rookery

#endif  // ROOKERY_TRANSPORTS_GRPC_CALL_H_
