// Ours: an application that handles an event over ZeroMQ.
//
//   rookery_zeromq_subscriber --address=tcp://127.0.0.1:5556 --messages=200000
#include <chrono>
#include <string>

#include "bench.pb.h"
#include "drain_meter.h"
#include "flags.h"
#include "rookery/app/application.h"
#include "rookery/module/dynamic_module.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/transports/zeromq_events.h"

namespace rookery::bench {
namespace {

class EventController final {
 public:
  explicit EventController(DrainMeter& meter) : meter_(meter) {}
  Task<void> OnSaid(CallContext& /*call*/, const EchoRequest& /*event*/) {
    meter_.Count();
    co_return;
  }
  static void Configure(ControllerBuilder& controller) {
    controller.Event("bench.said", &EventController::OnSaid);
  }

 private:
  DrainMeter& meter_;
};

int Listen(const Flags& flags) {
  DrainMeter meter(flags.Int("messages", 200'000));
  struct EventModule {};
  DynamicModule module = DynamicModule::Of<EventModule>();
  module.ProvideValue(std::ref(meter)).Controller<EventController>();
  ApplicationOptions options;
  options.loop_threads = 1;
  options.log.level = LogLevel::kWarn;
  Application app = Application::Create(std::move(module), std::move(options));
  ZeroMqEvents events;
  events.address = std::string(flags.Text("address", "tcp://127.0.0.1:5556"));
  events.zeromq.high_water_mark = 1'000'000'000;
  // The publisher is not one of ours.
  events.synchronise_timeout = std::chrono::milliseconds(0);
  app.Listen(std::move(events));
  app.Start();
  const bool done = meter.WaitAndReport();
  app.Close();
  return done ? 0 : 1;
}

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) {
  const rookery::bench::Flags flags(argc, argv);
  return rookery::bench::Listen(flags);
}
