// The baseline of the ZeroMQ benchmarks: what a program on bare libzmq writes, with the same
// messages.
//
//   baseline_zeromq_router --address=tcp://127.0.0.1:*      // a ROUTER that answers
//   baseline_zeromq_router --address=ipc:///tmp/echo
//   baseline_zeromq_router --frames=1
//
// A request is a frame that the caller knows its call by, and a frame with the EchoRequest; or,
// with --frames=1, eight bytes that the caller knows its call by and the EchoRequest behind them,
// which is the least that libzmq can be given to do. One thread receives, parses, serialises and
// sends; libzmq has one of its own for the socket.
#include <zmq.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "bench.pb.h"
#include "flags.h"
#include "server_control.h"

namespace rookery::bench {
namespace {

void Must(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
  std::exit(1);
}

// The frames of one request; their memory is libzmq's.
struct Frames {
  Frames() {
    zmq_msg_init(&peer);
    zmq_msg_init(&call);
    zmq_msg_init(&body);
  }
  ~Frames() {
    zmq_msg_close(&peer);
    zmq_msg_close(&call);
    zmq_msg_close(&body);
  }
  Frames(const Frames&) = delete;
  Frames& operator=(const Frames&) = delete;
  zmq_msg_t peer;
  zmq_msg_t call;
  zmq_msg_t body;
};

// Until the context ends.
void Answer(void* socket) {
  Frames frames;
  EchoRequest request;
  EchoReply reply;
  for (;;) {
    if (zmq_msg_recv(&frames.peer, socket, 0) < 0) {
      if (zmq_errno() == EINTR) continue;
      break;
    }
    if (zmq_msg_more(&frames.peer) == 0) continue;
    if (zmq_msg_recv(&frames.call, socket, 0) < 0 || zmq_msg_more(&frames.call) == 0) continue;
    if (zmq_msg_recv(&frames.body, socket, 0) < 0) continue;
    if (!request.ParseFromArray(zmq_msg_data(&frames.body),
                                static_cast<int>(zmq_msg_size(&frames.body)))) {
      continue;
    }
    reply.set_text(request.text());
    zmq_msg_t out;
    zmq_msg_init_size(&out, reply.ByteSizeLong());
    reply.SerializeWithCachedSizesToArray(static_cast<std::uint8_t*>(zmq_msg_data(&out)));
    // A part that was sent is libzmq's, and the frame is empty again.
    if (zmq_msg_send(&frames.peer, socket, ZMQ_SNDMORE) < 0 ||
        zmq_msg_send(&frames.call, socket, ZMQ_SNDMORE) < 0 || zmq_msg_send(&out, socket, 0) < 0) {
      zmq_msg_close(&out);
    }
  }
  zmq_close(socket);
}

// The same with one frame.
void AnswerOneFrame(void* socket) {
  constexpr std::size_t kCall = 8;
  Frames frames;
  EchoRequest request;
  EchoReply reply;
  for (;;) {
    if (zmq_msg_recv(&frames.peer, socket, 0) < 0) {
      if (zmq_errno() == EINTR) continue;
      break;
    }
    if (zmq_msg_more(&frames.peer) == 0 || zmq_msg_recv(&frames.body, socket, 0) < 0) continue;
    const char* const data = static_cast<const char*>(zmq_msg_data(&frames.body));
    const std::size_t size = zmq_msg_size(&frames.body);
    if (size < kCall || !request.ParseFromArray(data + kCall, static_cast<int>(size - kCall))) {
      continue;
    }
    reply.set_text(request.text());
    zmq_msg_t out;
    zmq_msg_init_size(&out, kCall + reply.ByteSizeLong());
    auto* const at = static_cast<std::uint8_t*>(zmq_msg_data(&out));
    std::memcpy(at, data, kCall);
    reply.SerializeWithCachedSizesToArray(at + kCall);
    if (zmq_msg_send(&frames.peer, socket, ZMQ_SNDMORE) < 0 || zmq_msg_send(&out, socket, 0) < 0) {
      zmq_msg_close(&out);
    }
  }
  zmq_close(socket);
}

int Serve(const Flags& flags) {
  const std::string address(flags.Text("address", "tcp://127.0.0.1:*"));
  void* const context = zmq_ctx_new();
  void* const socket = zmq_socket(context, ZMQ_ROUTER);
  Must(socket != nullptr, "socket");
  const int none = 0;
  zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none);
  Must(zmq_bind(socket, address.c_str()) == 0, address.c_str());
  char endpoint[256];
  std::size_t size = sizeof endpoint;
  Must(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size) == 0, "endpoint");
  const std::string bound(endpoint);
  const int port =
      bound.rfind("tcp://", 0) == 0 ? std::atoi(bound.c_str() + bound.rfind(':') + 1) : 0;
  const bool one_frame = flags.Int("frames", 2) == 1;
  std::thread answering([socket, one_frame] { (one_frame ? AnswerOneFrame : Answer)(socket); });
  SayReady(port);
  ObeyRunner();
  // Ends what waits in recv.
  zmq_ctx_shutdown(context);
  answering.join();
  zmq_ctx_term(context);
  return 0;
}

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) {
  const rookery::bench::Flags flags(argc, argv);
  return rookery::bench::Serve(flags);
}
