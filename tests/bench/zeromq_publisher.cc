// The one publisher of the ZeroMQ benchmarks, a bare XPUB.
//
//   zeromq_publisher --address=tcp://127.0.0.1:* --messages=200000 --wire=bare
//
// Says READY, waits for a subscriber, and sends all as fast as it goes. To the baseline an event
// is two frames, its subject and itself; ours are one, in which numbers and a header, the shortest
// ones that there can be, stand between the two (docs/wire.md).
#include <zmq.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>

#include "bench.pb.h"
#include "flags.h"
#include "load.h"
#include "server_control.h"
#include "zeromq_wire.h"

namespace rookery::bench {
namespace {

void Must(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
  std::exit(1);
}

void Publish(void* socket, bool ours, int messages) {
  const std::string subject("bench.said\0", 11);
  // Until somebody wants to hear it.
  for (;;) {
    char frame[256];
    const int size = zmq_recv(socket, frame, sizeof frame, 0);
    if (size < 0 && zmq_errno() != EINTR) return;
    if (size > 0 && std::string_view(frame, static_cast<std::size_t>(size)) == '\1' + subject)
      break;
  }
  EchoRequest event;
  event.set_text(Payload(1));
  const std::string body = event.SerializeAsString();
  std::string topic = subject + std::string(16, '\0') + ZeroMqHeader("", "");
  topic[subject.size()] = '\1';
  topic += body;
  for (std::uint64_t i = 1; i <= static_cast<std::uint64_t>(messages); ++i) {
    if (ours) {
      std::memcpy(topic.data() + subject.size() + 8, &i, sizeof i);
      if (zmq_send(socket, topic.data(), topic.size(), 0) < 0) return;
      continue;
    }
    zmq_send(socket, subject.data(), subject.size(), ZMQ_SNDMORE);
    if (zmq_send(socket, body.data(), body.size(), 0) < 0) return;
  }
}

int Serve(const Flags& flags) {
  const std::string address(flags.Text("address", "tcp://127.0.0.1:*"));
  void* const context = zmq_ctx_new();
  void* const socket = zmq_socket(context, ZMQ_XPUB);
  Must(socket != nullptr, "socket");
  // All of them arrive.
  const int none = 0;
  zmq_setsockopt(socket, ZMQ_SNDHWM, &none, sizeof none);
  zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none);
  Must(zmq_bind(socket, address.c_str()) == 0, address.c_str());
  char endpoint[256];
  std::size_t size = sizeof endpoint;
  Must(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size) == 0, "endpoint");
  const std::string bound(endpoint);
  const int port =
      bound.rfind("tcp://", 0) == 0 ? std::atoi(bound.c_str() + bound.rfind(':') + 1) : 0;
  const bool ours = flags.Text("wire", "bare") == "rookery";
  const int messages = flags.Int("messages", 200'000);
  std::thread publishing([=] { Publish(socket, ours, messages); });
  SayReady(port);
  ObeyRunner();
  zmq_ctx_shutdown(context);
  publishing.join();
  zmq_close(socket);
  zmq_ctx_term(context);
  return 0;
}

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) {
  const rookery::bench::Flags flags(argc, argv);
  return rookery::bench::Serve(flags);
}
