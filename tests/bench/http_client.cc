// The one client of the gateway's benchmark: see load.h. It speaks HTTP/1.1 itself, on one thread,
// with a connection for each outstanding request, so that nothing of a library's is between the
// clock and the wire.
//
//   http_client --port=8080 --outstanding=64 --server_pid=42
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "flags.h"
#include "load.h"

namespace rookery::bench {
namespace {

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "http_client: %s\n", what.c_str());
  std::exit(1);
}

class HttpLoad final : public Load {
 public:
  explicit HttpLoad(const Flags& flags) : Load(flags), epoll_(epoll_create1(0)) {
    slots_.resize(static_cast<std::size_t>(outstanding()));
    for (int i = 0; i < outstanding(); ++i) {
      Slot& slot = slots_[static_cast<std::size_t>(i)];
      slot.body = "{\"text\":\"" + Payload(i) + "\"}";
      slot.request =
          "POST /rookery.bench.Echo/Say HTTP/1.1\r\nHost: 127.0.0.1\r\n"
          "Content-Type: application/json\r\nAccept: application/json\r\nContent-Length: " +
          std::to_string(slot.body.size()) + "\r\n\r\n" + slot.body;
      Connect(slot, flags.Int("port", 8080));
      epoll_event event = {};
      event.events = EPOLLIN;
      event.data.u64 = static_cast<std::uint64_t>(i);
      epoll_ctl(epoll_, EPOLL_CTL_ADD, slot.fd, &event);
      Send(slot);
    }
  }
  ~HttpLoad() override {
    for (const Slot& slot : slots_) close(slot.fd);
    close(epoll_);
  }

 private:
  struct Slot {
    int fd = -1;
    std::string request;
    std::string body;
    std::string in;
    Clock::time_point started;
  };

  static void Connect(Slot& slot, int port) {
    slot.fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    if (connect(slot.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      Die("no server answers on port " + std::to_string(port));
    }
    const int on = 1;
    setsockopt(slot.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }

  void Send(Slot& slot) {
    ++tally().in_flight;
    slot.started = Clock::now();
    if (send(slot.fd, slot.request.data(), slot.request.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(slot.request.size())) {
      Die("the server hung up");
    }
  }

  void Step() override {
    std::array<epoll_event, 64> events;
    const int ready = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 1000);
    for (int i = 0; i < ready; ++i) {
      Slot& slot = slots_[static_cast<std::size_t>(events[static_cast<std::size_t>(i)].data.u64)];
      std::array<char, 16'384> buffer;
      const ssize_t got = recv(slot.fd, buffer.data(), buffer.size(), 0);
      if (got <= 0) Die("the server hung up");
      slot.in.append(buffer.data(), static_cast<std::size_t>(got));
      TakeAnswer(slot);
    }
  }

  void TakeAnswer(Slot& slot) {
    const std::string_view in = slot.in;
    const std::size_t end = in.find("\r\n\r\n");
    if (end == std::string_view::npos) return;
    constexpr std::string_view kLength = "\r\nContent-Length: ";
    const std::size_t at = in.find(kLength);
    if (!in.starts_with("HTTP/1.1 200 ") || at == std::string_view::npos || at > end) {
      Die("this is no answer: " + slot.in);
    }
    const std::size_t length = std::strtoul(slot.in.c_str() + at + kLength.size(), nullptr, 10);
    if (in.size() < end + 4 + length) return;
    if (in.substr(end + 4) != slot.body) tally().Fail("another's answer: " + slot.in);
    slot.in.clear();
    --tally().in_flight;
    tally().Done(slot.started);
    if (!tally().stopping) Send(slot);
  }

  const int epoll_;
  std::vector<Slot> slots_;
};

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) {
  const rookery::bench::Flags flags(argc, argv);
  return rookery::bench::HttpLoad(flags).Run();
}
