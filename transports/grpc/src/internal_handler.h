// InternalHandler: the base of the handlers that the adapter itself brings. They have no pipeline.
#ifndef ROOKERY_TRANSPORTS_GRPC_SRC_INTERNAL_HANDLER_H_
#define ROOKERY_TRANSPORTS_GRPC_SRC_INTERNAL_HANDLER_H_

#include "rookery/rpc/handler.h"

namespace rookery::grpc_adapter {

class InternalHandler : public Handler {
 public:
  Task<google::protobuf::Message*> Next(CallContext& call, Response& response) const override;
  void CallStarted(CallContext& /*call*/) const noexcept override {}
  void CallEnded(CallContext& /*call*/, absl::StatusCode /*code*/) const noexcept override {}

 protected:
  using Handler::Handler;
};

}  // namespace rookery::grpc_adapter

#endif  // ROOKERY_TRANSPORTS_GRPC_SRC_INTERNAL_HANDLER_H_
