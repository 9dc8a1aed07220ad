// The one client of the ZeroMQ benchmarks, a bare DEALER: see load.h.
//
//   zeromq_client --port=5555 --outstanding=64 --server_pid=42              // of the baseline
//   zeromq_client --address=ipc:///tmp/echo --wire=rookery --outstanding=64 // of ours
//
// All servers get the same EchoRequests. In front of each stands what names the call: for the
// baseline a frame with its number (--wire=bare) or its number in the same frame
// (--wire=one-frame), for ours the header of docs/wire.md in the same frame.
#include <zmq.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "bench.pb.h"
#include "flags.h"
#include "load.h"
#include "zeromq_wire.h"

namespace rookery::bench {
namespace {

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "zeromq_client: %s: %s\n", what.c_str(), zmq_strerror(zmq_errno()));
  std::exit(1);
}

class ZeroMqLoad final : public Load {
 public:
  explicit ZeroMqLoad(const Flags& flags)
      : Load(flags),
        ours_(flags.Text("wire", "bare") == "rookery"),
        two_frames_(flags.Text("wire", "bare") == "bare") {
    std::string address(flags.Text("address", ""));
    if (address.empty()) address = "tcp://127.0.0.1:" + std::to_string(flags.Int("port", 5555));
    context_ = zmq_ctx_new();
    socket_ = zmq_socket(context_, ZMQ_DEALER);
    if (socket_ == nullptr) Die("socket");
    const int none = 0;
    zmq_setsockopt(socket_, ZMQ_LINGER, &none, sizeof none);
    if (zmq_connect(socket_, address.c_str()) != 0) Die(address);
    zmq_msg_init(&header_);
    zmq_msg_init(&body_);
    slots_.resize(static_cast<std::size_t>(outstanding()));
    for (int i = 0; i < outstanding(); ++i) {
      Slot& slot = slots_[static_cast<std::size_t>(i)];
      slot.text = Payload(i);
      EchoRequest request;
      request.set_text(slot.text);
      slot.body = request.SerializeAsString();
      const auto number = static_cast<std::uint64_t>(i);
      if (ours_) {
        slot.body.insert(0, ZeroMqHeader("/rookery.bench.Echo/Say", ZeroMqCallAddress(number)));
      } else {
        slot.header.assign(reinterpret_cast<const char*>(&number), sizeof number);
        if (!two_frames_) slot.body.insert(0, slot.header);
      }
      Send(slot);
    }
  }
  ~ZeroMqLoad() override {
    zmq_msg_close(&header_);
    zmq_msg_close(&body_);
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }

 private:
  struct Slot {
    std::string text;
    std::string header;
    std::string body;
    Clock::time_point started;
  };

  void Send(Slot& slot) {
    ++tally().in_flight;
    slot.started = Clock::now();
    if ((two_frames_ &&
         zmq_send(socket_, slot.header.data(), slot.header.size(), ZMQ_SNDMORE) < 0) ||
        zmq_send(socket_, slot.body.data(), slot.body.size(), 0) < 0) {
      Die("send");
    }
  }

  // Waits for one reply, and takes what else is there.
  void Step() override {
    for (int flags = 0;; flags = ZMQ_DONTWAIT) {
      if (zmq_msg_recv(two_frames_ ? &header_ : &body_, socket_, flags) < 0) {
        if (flags == 0) Die("receive");
        return;
      }
      if (two_frames_ && (zmq_msg_more(&header_) == 0 || zmq_msg_recv(&body_, socket_, 0) < 0)) {
        Die("a reply of one frame");
      }
      if (zmq_msg_more(&body_) != 0) Die("a reply of too many frames");
      OnReply();
    }
  }

  void OnReply() {
    const std::string_view header(static_cast<const char*>(zmq_msg_data(&header_)),
                                  zmq_msg_size(&header_));
    std::string_view body(static_cast<const char*>(zmq_msg_data(&body_)), zmq_msg_size(&body_));
    std::uint64_t number = ~std::uint64_t{0};
    if (ours_) {
      std::size_t begin = 0;
      number = CallOfZeroMqMessage(body, &begin);
      body.remove_prefix(begin);
    } else if (two_frames_ && header.size() == sizeof number) {
      std::memcpy(&number, header.data(), sizeof number);
    } else if (!two_frames_ && body.size() >= sizeof number) {
      std::memcpy(&number, body.data(), sizeof number);
      body.remove_prefix(sizeof number);
    }
    if (number >= slots_.size()) Die("a reply to nobody");
    Slot& slot = slots_[number];
    --tally().in_flight;
    EchoReply reply;
    if (!reply.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
      tally().Fail("a reply that is no EchoReply");
    } else if (reply.text() != slot.text) {
      tally().Fail("a reply to another request: " + reply.text());
    } else {
      tally().Done(slot.started);
    }
    if (!tally().stopping) Send(slot);
  }

  const bool ours_;
  const bool two_frames_;
  void* context_ = nullptr;
  void* socket_ = nullptr;
  zmq_msg_t header_;
  zmq_msg_t body_;
  std::vector<Slot> slots_;
};

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) {
  const rookery::bench::Flags flags(argc, argv);
  return rookery::bench::ZeroMqLoad(flags).Run();
}
