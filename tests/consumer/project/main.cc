// The smallest whole program: it serves itself in this process and over gRPC, and calls both.
#include <cstdio>
#include <string>

#include "greeter.rookery.h"
#include "rookery/rookery.h"
#include "rookery/transports/grpc.h"
#include "rookery/transports/inproc.h"

namespace {

class GreeterController final : public consumer::v1::GreeterService {
 public:
  rookery::Task<consumer::v1::HelloReply> Hello(
      rookery::CallContext& call, const consumer::v1::HelloRequest& request) override {
    consumer::v1::HelloReply reply;
    reply.set_text("Hello, " + request.name() + ", over " + std::string(call.transport()));
    co_return reply;
  }
};

struct GreeterModule {
  static void Define(rookery::ModuleBuilder& module) { module.Controller<GreeterController>(); }
};

void Greet(consumer::v1::GreeterClient greeter) {
  consumer::v1::HelloRequest request;
  request.set_name("Ada");
  std::printf("%s\n", rookery::SyncWait(greeter.Hello(request)).text().c_str());
}

}  // namespace

int main() {
  auto app = rookery::Application::Create<GreeterModule>();
  app.Listen(rookery::InProcess{.name = "greeter"});
  app.Listen(rookery::Grpc{.address = "127.0.0.1:0"});
  app.Start();
  Greet(app.Client<consumer::v1::GreeterClient>(rookery::InProcess{.name = "greeter"}));
  Greet(app.Client<consumer::v1::GreeterClient>(rookery::Grpc{.address = app.Endpoints()[1]}));
  app.Close();
}
