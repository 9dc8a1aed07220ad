// Ours, for "JetStream consume and ack": a handler of an event.
//
//   rookery_jetstream_worker --port=4222 --count=20000
//
// Makes its stream, in memory, and fills it before it begins.
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "bench.pb.h"
#include "drain_meter.h"
#include "flags.h"
#include "rookery/app/application.h"
#include "rookery/module/dynamic_module.h"
#include "rookery/module/module_builder.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/rpc/channel.h"
#include "rookery/rpc/invoke.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/runtime/when.h"
#include "rookery/transports/jetstream.h"

namespace rookery::bench {
namespace {

class Worker final {
 public:
  explicit Worker(DrainMeter& meter) : meter_(meter) {}
  Task<void> OnSaid(CallContext& /*call*/, const EchoRequest& /*event*/) {
    meter_.Count();
    co_return;
  }
  static void Configure(ControllerBuilder& controller) {
    controller.Event("bench.ours", &Worker::OnSaid);
  }

 private:
  DrainMeter& meter_;
};

Task<void> Publish(std::shared_ptr<Channel> channel, const MethodDescriptor* method) {
  OutgoingCall call(*method);
  EchoRequest event;
  event.set_text(std::string(64, 'x'));
  EchoReply nothing;
  Task<void> sent = channel->Unary(call, event, nothing);
  co_await std::move(sent);
}

Task<void> Fill(std::shared_ptr<Channel> channel, const MethodDescriptor* method, int count) {
  constexpr int kAtATime = 500;
  while (count > 0) {
    std::vector<Task<void>> some;
    for (int i = 0; i < kAtATime && count > 0; ++i, --count) {
      some.push_back(Publish(channel, method));
    }
    co_await WhenAll(std::move(some));
  }
}

int Work(const Flags& flags) {
  const int count = flags.Int("count", 20'000);
  JetStream stream{.nats = {.url = "nats://127.0.0.1:" + std::to_string(flags.Int("port", 4222))},
                   .stream = "OURS"};
  stream.config.subjects = {"bench.ours"};
  stream.config.in_memory = true;
  {
    JetStream filling = stream;
    filling.setup = StreamSetup::kUpdate;
    auto handler = &Worker::OnSaid;
    const MethodDescriptor method =
        internal::DescribePattern<Worker, decltype(handler)>("bench.ours", &handler);
    SyncWait(Fill(MakeChannel(filling), &method, count));
  }
  DrainMeter meter(count);
  struct WorkerModule {};
  DynamicModule module = DynamicModule::Of<WorkerModule>();
  module.ProvideValue(std::ref(meter)).Controller<Worker>();
  ApplicationOptions options;
  options.loop_threads = 1;
  options.log.level = LogLevel::kWarn;
  Application app = Application::Create(std::move(module), std::move(options));
  app.Listen(stream);
  app.Start();
  const bool done = meter.WaitAndReport();
  app.Close();
  return done ? 0 : 1;
}

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) {
  const rookery::bench::Flags flags(argc, argv);
  return rookery::bench::Work(flags);
}
