// The baseline of ZeroMQ's events: what a program on bare libzmq writes.
//
//   baseline_zeromq_subscriber --address=tcp://127.0.0.1:5556 --messages=200000
//
// Receives, parses and counts.
#include <zmq.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "bench.pb.h"
#include "drain_meter.h"
#include "flags.h"

namespace rookery::bench {
namespace {

int Listen(const Flags& flags) {
  DrainMeter meter(flags.Int("messages", 200'000));
  void* const context = zmq_ctx_new();
  void* const socket = zmq_socket(context, ZMQ_SUB);
  const int none = 0;
  zmq_setsockopt(socket, ZMQ_RCVHWM, &none, sizeof none);
  zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none);
  zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "bench.said\0", 11);
  const std::string address(flags.Text("address", "tcp://127.0.0.1:5556"));
  if (zmq_connect(socket, address.c_str()) != 0) {
    std::fprintf(stderr, "%s: %s\n", address.c_str(), zmq_strerror(zmq_errno()));
    return 1;
  }
  std::thread listening([socket, &meter] {
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    EchoRequest event;
    // Until the context ends.
    while (zmq_msg_recv(&frame, socket, 0) >= 0) {
      if (zmq_msg_more(&frame) != 0) continue;
      if (event.ParseFromArray(zmq_msg_data(&frame), static_cast<int>(zmq_msg_size(&frame)))) {
        meter.Count();
      }
    }
    zmq_msg_close(&frame);
    zmq_close(socket);
  });
  const bool done = meter.WaitAndReport();
  zmq_ctx_shutdown(context);
  listening.join();
  zmq_ctx_term(context);
  return done ? 0 : 1;
}

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) {
  const rookery::bench::Flags flags(argc, argv);
  return rookery::bench::Listen(flags);
}
