// The baseline of the NATS benchmarks: what a program on bare nats.c writes, with the same
// messages.
//
//   baseline_nats_responder --port=4222             // answers leave in batches, a millisecond late
//   baseline_nats_responder --port=4222 --asap=1    // each at once, by a write of its own
//
// nats.c reads and delivers on threads of its own.
#include <nats/nats.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "bench.pb.h"
#include "flags.h"
#include "server_control.h"

namespace rookery::bench {
namespace {

void Must(natsStatus status, const char* what) {
  if (status == NATS_OK) return;
  std::fprintf(stderr, "%s: %s\n", what, natsStatus_GetText(status));
  std::exit(1);
}

void OnSay(natsConnection* connection, natsSubscription*, natsMsg* message, void*) {
  EchoRequest request;
  if (request.ParseFromArray(natsMsg_GetData(message), natsMsg_GetDataLength(message))) {
    EchoReply reply;
    reply.set_text(request.text());
    const std::string body = reply.SerializeAsString();
    (void)natsConnection_Publish(connection, natsMsg_GetReply(message), body.data(),
                                 static_cast<int>(body.size()));
  }
  natsMsg_Destroy(message);
}

void OnSaid(natsConnection*, natsSubscription*, natsMsg* message, void*) {
  EchoRequest event;
  (void)event.ParseFromArray(natsMsg_GetData(message), natsMsg_GetDataLength(message));
  natsMsg_Destroy(message);
}

int Serve(const Flags& flags) {
  const int port = flags.Int("port", 4222);
  const std::string url = "nats://127.0.0.1:" + std::to_string(port);
  natsOptions* options = nullptr;
  natsConnection* connection = nullptr;
  natsSubscription* say = nullptr;
  natsSubscription* said = nullptr;
  Must(natsOptions_Create(&options), "options");
  Must(natsOptions_SetURL(options, url.c_str()), "url");
  Must(natsOptions_SetSendAsap(options, flags.Int("asap", 0) != 0), "asap");
  Must(natsConnection_Connect(&connection, options), "connect");
  Must(natsConnection_QueueSubscribe(&say, connection, "rookery.bench.Echo.*", "echo", OnSay,
                                     nullptr),
       "subscribe");
  Must(natsConnection_QueueSubscribe(&said, connection, "bench.said", "echo", OnSaid, nullptr),
       "subscribe");
  Must(natsSubscription_SetPendingLimits(said, -1, -1), "limits");
  Must(natsConnection_Flush(connection), "flush");
  SayReady(port);
  ObeyRunner();
  natsConnection_Close(connection);
  natsSubscription_Destroy(say);
  natsSubscription_Destroy(said);
  natsConnection_Destroy(connection);
  natsOptions_Destroy(options);
  nats_Close();
  return 0;
}

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) {
  const rookery::bench::Flags flags(argc, argv);
  return rookery::bench::Serve(flags);
}
