// Ours, for "kafka": a handler of an event, and senders that each await what they have sent.
//
//   rookery_kafka --mode=consume --brokers=127.0.0.1:9092 --group=ours --count=100000
//   rookery_kafka --mode=produce ... --topic=bench.said --outstanding=16 --linger_ms=0
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
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
#include "rookery/runtime/loop.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/runtime/when.h"
#include "rookery/transports/kafka.h"

namespace rookery::bench {
namespace {

struct Work {
  std::chrono::milliseconds handler;
  DrainMeter* meter;
};

class Worker final {
 public:
  explicit Worker(Work& work) : work_(work) {}
  Task<void> OnSaid(CallContext& /*call*/, const EchoRequest& /*event*/) {
    if (work_.handler.count() > 0) co_await Sleep(work_.handler);
    work_.meter->Count();
    co_return;
  }

  static void Configure(ControllerBuilder& controller) {
    controller.Event("bench.said", &Worker::OnSaid);
  }

 private:
  Work& work_;
};

Kafka Options(const Flags& flags) {
  Kafka options{.brokers = std::string(flags.Text("brokers", ""))};
  options.settings["fetch.wait.max.ms"] = "10";
  options.topics = KafkaTopics::kCheck;
  return options;
}

int MeasureConsumer(const Flags& flags) {
  DrainMeter meter(flags.Int("count", 0));
  Work work{std::chrono::milliseconds(flags.Int("handler_ms", 0)), &meter};
  struct WorkerModule {};
  DynamicModule module = DynamicModule::Of<WorkerModule>();
  module.ProvideValue(std::ref(work)).Controller<Worker>();
  ApplicationOptions options;
  options.loop_threads = 1;
  options.log.level = LogLevel::kWarn;
  Application app = Application::Create(std::move(module), std::move(options));
  Kafka kafka = Options(flags);
  kafka.group = std::string(flags.Text("group", ""));
  app.Listen(std::move(kafka));
  app.Start();
  const bool done = meter.WaitAndReport();
  app.Close();
  return done ? 0 : 1;
}

struct Sender {
  KafkaProducer* producer;
  DrainMeter* meter;
  std::string topic;
  std::string body;
  int left;
};

Task<void> Send(Sender* sender, std::string key) {
  while (sender->left > 0) {
    --sender->left;
    KafkaRecord record;
    record.topic = sender->topic;
    record.key = key;
    record.value = sender->body;
    Task<KafkaPosition> sent = sender->producer->Send(std::move(record));
    co_await std::move(sent);
    sender->meter->Count();
  }
}

Task<void> Produce(Loop* loop, Sender* sender, int outstanding, int keys) {
  co_await ResumeOn(*loop);
  // The first waits for the connection, and counts for nothing but the start of the clock.
  const int all = std::exchange(sender->left, 1);
  std::string first = "key-0";
  co_await Send(sender, std::move(first));
  sender->left = all - 1;
  std::vector<Task<void>> senders;
  for (int i = 0; i < outstanding; ++i) {
    senders.push_back(Send(sender, "key-" + std::to_string(i % keys)));
  }
  co_await WhenAll(std::move(senders));
}

int MeasureProducer(const Flags& flags) {
  DrainMeter meter(flags.Int("count", 0));
  Kafka options = Options(flags);
  options.linger = std::chrono::milliseconds(flags.Int("linger_ms", 0));
  const std::shared_ptr<KafkaProducer> producer = KafkaProducer::Open(options);
  EchoRequest event;
  event.set_text(std::string(64, 'x'));
  Sender sender{producer.get(), &meter, std::string(flags.Text("topic", "")),
                event.SerializeAsString(), flags.Int("count", 0)};
  // On a loop, as handlers are.
  LoopPool loops(LoopPool::Options{.threads = 1});
  SyncWait(Produce(&loops.Pick(), &sender, flags.Int("outstanding", 1), flags.Int("keys", 1)));
  return meter.WaitAndReport() ? 0 : 1;
}

int Run(const Flags& flags) {
  const std::string_view mode = flags.Text("mode", "");
  if (mode == "consume") return MeasureConsumer(flags);
  if (mode == "produce") return MeasureProducer(flags);
  std::fprintf(stderr, "--mode=consume or produce\n");
  return 2;
}

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) {
  const rookery::bench::Flags flags(argc, argv);
  return rookery::bench::Run(flags);
}
