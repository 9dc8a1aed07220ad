// Ours: the Echo service through the HTTP gateway, on one loop.
//
//   rookery_gateway_server       // POST /rookery.bench.Echo/Say {"text": ...}
#include <cstdlib>
#include <string>

#include "flags.h"
#include "rookery/app/application.h"
#include "rookery/gateway/http_gateway.h"
#include "rookery_modules.h"
#include "server_control.h"

namespace rookery::bench {
namespace {

struct GatewayModule {
  static void Define(ModuleBuilder& module) { module.Controller<EchoController>(); }
};

int Serve() {
  ApplicationOptions options;
  options.loop_threads = 1;
  Application app = Application::Create<GatewayModule>(options);
  app.Listen(HttpGateway{.address = "127.0.0.1:0"});
  app.Start();
  const std::string endpoint = app.Endpoints().front();
  SayReady(std::atoi(endpoint.substr(endpoint.rfind(':') + 1).c_str()));
  ObeyRunner();
  app.Close();
  return 0;
}

}  // namespace
}  // namespace rookery::bench

int main() { return rookery::bench::Serve(); }
