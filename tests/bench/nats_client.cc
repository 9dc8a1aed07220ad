// The one client of the NATS benchmarks: see load.h. It speaks the protocol of NATS itself, over
// one socket and on one thread, so that nothing of a library's is between the clock and the wire.
//
//   nats_client --port=4222 --outstanding=64 --server_pid=42
//   nats_client --port=4222 --mode=events --batch=100 --outstanding=1    // events, then a request
//
// Protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "bench.pb.h"
#include "flags.h"
#include "load.h"

namespace rookery::bench {
namespace {

constexpr char kSay[] = "rookery.bench.Echo.Say";
constexpr char kSaid[] = "bench.said";

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "nats_client: %s\n", what.c_str());
  std::exit(1);
}

class NatsLoad final : public Load {
 public:
  explicit NatsLoad(const Flags& flags)
      : Load(flags),
        batch_(flags.Text("mode", "requests") == "events" ? flags.Int("batch", 100) : 0) {
    Connect(flags.Int("port", 4222));
    slots_.resize(static_cast<std::size_t>(outstanding()));
    for (int i = 0; i < outstanding(); ++i) {
      Slot& slot = slots_[static_cast<std::size_t>(i)];
      slot.text = Payload(i);
      EchoRequest request;
      request.set_text(slot.text);
      const std::string body = request.SerializeAsString();
      const std::string sized = std::to_string(body.size()) + "\r\n" + body + "\r\n";
      for (int n = 0; n < batch_; ++n) {
        slot.wire += std::string("PUB ") + kSaid + " " + sized;
      }
      slot.wire += std::string("PUB ") + kSay + " inbox." + std::to_string(i) + " " + sized;
      Send(slot);
    }
    Flush();
  }
  ~NatsLoad() override { close(fd_); }

 private:
  struct Slot {
    std::string text;
    std::string wire;
    Clock::time_point started;
  };

  void Connect(int port) {
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      Die("no NATS server answers on port " + std::to_string(port));
    }
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    out_ =
        "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\n"
        "SUB inbox.* 1\r\nPING\r\n";
    Flush();
    while (!ponged_) Read();
  }

  void Send(Slot& slot) {
    ++tally().in_flight;
    slot.started = Clock::now();
    out_ += slot.wire;
  }
  void Flush() {
    for (std::size_t sent = 0; sent < out_.size();) {
      const ssize_t n = write(fd_, out_.data() + sent, out_.size() - sent);
      if (n < 0 && errno != EINTR) Die(std::string("write: ") + std::strerror(errno));
      if (n > 0) sent += static_cast<std::size_t>(n);
    }
    out_.clear();
  }

  void Step() override {
    Read();
    Flush();
  }
  void Read() {
    char buffer[65'536];
    const ssize_t n = read(fd_, buffer, sizeof buffer);
    if (n <= 0) Die("the NATS server hung up");
    in_.append(buffer, static_cast<std::size_t>(n));
    std::string_view rest = in_;
    while (TakeOne(rest)) {
    }
    in_.erase(0, in_.size() - rest.size());
  }

  // False: the rest of it has not come yet.
  bool TakeOne(std::string_view& rest) {
    const std::size_t end = rest.find("\r\n");
    if (end == std::string_view::npos) return false;
    const std::string_view line = rest.substr(0, end);
    const bool headers = line.starts_with("HMSG ");
    if (headers || line.starts_with("MSG ")) {
      std::vector<std::string_view> words;
      for (std::size_t at = 0; at < line.size();) {
        const std::size_t space = line.find(' ', at);
        const std::size_t stop = space == std::string_view::npos ? line.size() : space;
        if (stop > at) words.push_back(line.substr(at, stop - at));
        at = stop + 1;
      }
      const std::size_t size = Number(words.back());
      if (rest.size() < end + 2 + size + 2) return false;
      const std::size_t skip = headers ? Number(words[words.size() - 2]) : 0;
      OnReply(words[1], rest.substr(end + 2 + skip, size - skip));
      rest.remove_prefix(end + 2 + size + 2);
      return true;
    }
    if (line == "PING") out_ += "PONG\r\n";
    if (line == "PONG") ponged_ = true;
    if (line.starts_with("-ERR")) Die(std::string(line));
    rest.remove_prefix(end + 2);
    return true;
  }
  static std::size_t Number(std::string_view digits) {
    return static_cast<std::size_t>(std::strtoull(std::string(digits).c_str(), nullptr, 10));
  }

  void OnReply(std::string_view subject, std::string_view body) {
    const std::size_t index = Number(subject.substr(subject.rfind('.') + 1));
    if (index >= slots_.size()) Die("a reply to nobody");
    Slot& slot = slots_[index];
    --tally().in_flight;
    EchoReply reply;
    if (!reply.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
      tally().Fail("a reply that is no EchoReply");
    } else if (reply.text() != slot.text) {
      tally().Fail(body.empty() ? "an empty reply: nobody serves it"
                                : "a reply to another request: " + reply.text());
    } else {
      tally().Done(slot.started);
      tally().messages += static_cast<std::uint64_t>(batch_);
    }
    if (!tally().stopping) Send(slot);
  }

  const int batch_;  // events before each request
  int fd_ = -1;
  bool ponged_ = false;
  std::string in_;
  std::string out_;
  std::vector<Slot> slots_;
};

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) {
  const rookery::bench::Flags flags(argc, argv);
  return rookery::bench::NatsLoad(flags).Run();
}
