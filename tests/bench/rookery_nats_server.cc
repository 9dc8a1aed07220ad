// Ours: the Echo service over NATS, and an event.
//
//   rookery_nats_server --port=4222
//
// One connection, and so one loop, as a responder on bare nats.c has.
#include <string>

#include "flags.h"
#include "rookery/app/application.h"
#include "rookery/transports/nats.h"
#include "rookery_modules.h"
#include "server_control.h"

namespace rookery::bench {
namespace {

class NatsController final : public EchoController {
 public:
  Task<void> OnSaid(CallContext& /*call*/, const EchoRequest& /*event*/) { co_return; }
  static void Configure(ControllerBuilder& controller) {
    controller.Event("bench.said", &NatsController::OnSaid);
  }
};

struct NatsModule {
  static void Define(ModuleBuilder& module) { module.Controller<NatsController>(); }
};

int Serve(const Flags& flags) {
  const int port = flags.Int("port", 4222);
  ApplicationOptions options;
  options.loop_threads = 1;
  Application app = Application::Create<NatsModule>(options);
  app.Listen(Nats{.url = "nats://127.0.0.1:" + std::to_string(port)});
  app.Start();
  SayReady(port);
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
