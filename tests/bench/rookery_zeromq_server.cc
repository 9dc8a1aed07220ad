// Ours: the Echo service over ZeroMQ.
//
//   rookery_zeromq_server --address=tcp://127.0.0.1:*
//
// One address, and so one loop, as a bare ROUTER has.
#include <cstdlib>
#include <string>

#include "flags.h"
#include "rookery/app/application.h"
#include "rookery/transports/zeromq.h"
#include "rookery_modules.h"
#include "server_control.h"

namespace rookery::bench {
namespace {

int Serve(const Flags& flags) {
  ApplicationOptions options;
  options.loop_threads = 1;
  Application app = Application::Create<EmptyModule>(options);
  app.Listen(ZeroMq{.address = std::string(flags.Text("address", "tcp://127.0.0.1:*"))});
  app.Start();
  const std::string endpoint = app.Endpoints().front();
  const bool tcp = endpoint.rfind("tcp://", 0) == 0;
  SayReady(tcp ? std::atoi(endpoint.c_str() + endpoint.rfind(':') + 1) : 0);
  ObeyRunner();
  app.Close();
  return 0;
}

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) {
  const rookery::bench::Flags flags(argc, argv);
  return rookery::bench::Serve(flags);
}
