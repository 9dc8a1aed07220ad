// Baseline for start-up and idle memory: the least gRPC server that serves a method, with no
// framework.
//
// A callback service is the leanest of grpc++'s three kinds when idle: it brings no thread of its
// own pool but the two that grpc++ shares, and posts no requests ahead.
#include <grpcpp/grpcpp.h>

#include <memory>

#include "baseline_settings.h"
#include "bench.grpc.pb.h"
#include "server_control.h"

namespace rookery::bench {
namespace {

class Service final : public Echo::CallbackService {
 public:
  grpc::ServerUnaryReactor* Say(grpc::CallbackServerContext* context, const EchoRequest* request,
                                EchoReply* reply) override {
    reply->set_text(request->text());
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

int Serve() {
  Service service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  TuneForDebian(builder);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  SayReady(port);
  ObeyRunner();
  server->Shutdown(std::chrono::system_clock::now());
  return 0;
}

}  // namespace
}  // namespace rookery::bench

int main() { return rookery::bench::Serve(); }
