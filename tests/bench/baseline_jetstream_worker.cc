// The baseline of "JetStream consume and ack": bare nats.c, which fetches in batches, parses the
// message and acknowledges it.
//
//   baseline_jetstream_worker --port=4222 --count=20000
//
// Makes its stream, in memory, and fills it before it begins.
#include <nats/nats.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "bench.pb.h"
#include "drain_meter.h"
#include "flags.h"

namespace rookery::bench {
namespace {

void Must(natsStatus status, const char* what) {
  if (status == NATS_OK) return;
  std::fprintf(stderr, "%s: %s\n", what, natsStatus_GetText(status));
  std::exit(1);
}

int Work(const Flags& flags) {
  constexpr int kBatch = 256;
  constexpr int kFetchTimeoutMs = 2'000;
  const int count = flags.Int("count", 20'000);
  const std::string url = "nats://127.0.0.1:" + std::to_string(flags.Int("port", 4222));
  natsConnection* connection = nullptr;
  jsCtx* js = nullptr;
  Must(natsConnection_ConnectTo(&connection, url.c_str()), "connect");
  Must(natsConnection_JetStream(&js, connection, nullptr), "jetstream");
  const char* subject = "bench.bare";
  jsStreamConfig config;
  jsStreamConfig_Init(&config);
  config.Name = "BARE";
  config.Subjects = &subject;
  config.SubjectsLen = 1;
  config.Storage = js_MemoryStorage;
  Must(js_AddStream(nullptr, js, &config, nullptr, nullptr), "stream");
  EchoRequest event;
  event.set_text(std::string(64, 'x'));
  const std::string body = event.SerializeAsString();
  for (int i = 0; i < count; ++i) {
    Must(js_PublishAsync(js, subject, body.data(), static_cast<int>(body.size()), nullptr),
         "publish");
  }
  Must(js_PublishAsyncComplete(js, nullptr), "publish");

  natsSubscription* subscription = nullptr;
  jsSubOptions options;
  jsSubOptions_Init(&options);
  options.Config.MaxAckPending = 4 * kBatch;
  Must(js_PullSubscribe(&subscription, js, subject, "bare", nullptr, &options, nullptr),
       "subscribe");
  DrainMeter meter(count);
  for (int taken = 0; taken < count;) {
    natsMsgList list;
    Must(natsSubscription_Fetch(&list, subscription, kBatch, kFetchTimeoutMs, nullptr), "fetch");
    for (int i = 0; i < list.Count; ++i) {
      EchoRequest request;
      if (!request.ParseFromArray(natsMsg_GetData(list.Msgs[i]),
                                  natsMsg_GetDataLength(list.Msgs[i]))) {
        Must(NATS_ERR, "parse");
      }
      Must(natsMsg_Ack(list.Msgs[i], nullptr), "ack");
      meter.Count();
    }
    taken += list.Count;
    natsMsgList_Destroy(&list);
  }
  const bool done = meter.WaitAndReport();
  natsSubscription_Destroy(subscription);
  jsCtx_Destroy(js);
  natsConnection_Destroy(connection);
  nats_Close();
  return done ? 0 : 1;
}

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) {
  const rookery::bench::Flags flags(argc, argv);
  return rookery::bench::Work(flags);
}
