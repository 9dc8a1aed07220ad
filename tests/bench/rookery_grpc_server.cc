// Ours: the Echo service over gRPC, with an empty or a full pipeline.
//
//   rookery_grpc_server --pipeline=empty --threads=1
//   rookery_grpc_server --pipeline=full
//
// One thread by default, as the baseline on completion queues has: what is compared is a call.
#include <cstdlib>
#include <string>
#include <string_view>

#include "flags.h"
#include "rookery/app/application.h"
#include "rookery/transports/grpc.h"
#include "rookery_modules.h"
#include "server_control.h"

namespace rookery::bench {
namespace {

template <class Module>
int Serve(const Flags& flags) {
  Application app = Application::Create<Module>();
  Grpc grpc;
  grpc.address = "127.0.0.1:0";
  grpc.threads = static_cast<std::size_t>(flags.Int("threads", 1));
  app.Listen(grpc);
  app.Start();
  const std::string endpoint = app.Endpoints().front();
  SayReady(std::atoi(endpoint.c_str() + endpoint.rfind(':') + 1));
  ObeyRunner();
  app.Close();
  return 0;
}

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) {
  const rookery::bench::Flags flags(argc, argv);
  if (flags.Text("pipeline", "empty") == "full") {
    return rookery::bench::Serve<rookery::bench::FullModule>(flags);
  }
  return rookery::bench::Serve<rookery::bench::EmptyModule>(flags);
}
