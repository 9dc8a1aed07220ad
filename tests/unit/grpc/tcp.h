// Raw TCP for hostile peers: a client that says what it likes, and a gate that lets bytes through
// until it does not.
#ifndef ROOKERY_TESTS_UNIT_GRPC_TCP_H_
#define ROOKERY_TESTS_UNIT_GRPC_TCP_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace rookery::testing {

inline sockaddr_in Loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// A connected socket, or -1.
inline int Dial(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(port);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  ::close(fd);
  return -1;
}

// Sends `bytes`, and reads until the peer closes (true) or ten seconds have passed.
inline bool SendsAndIsClosed(int port, std::string_view bytes) {
  const int fd = Dial(port);
  if (fd < 0) return false;
  static_cast<void>(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL));
  bool closed = false;
  for (;;) {
    pollfd waiting = {fd, POLLIN, 0};
    if (::poll(&waiting, 1, 10'000) <= 0) break;
    char buffer[4096];
    if (::recv(fd, buffer, sizeof buffer, 0) <= 0) {
      closed = true;
      break;
    }
  }
  ::close(fd);
  return closed;
}

// Forwards one connection to `port` and back.
class Gate final {
 public:
  explicit Gate(int port) : target_(port) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = Loopback(0);
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    ::listen(listener_, 4);
    socklen_t size = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Run(); });
  }
  ~Gate() {
    stopping_ = true;
    thread_.join();
    ::close(listener_);
  }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  int port() const { return port_; }
  // Closes both sides at once.
  void Cut() { cut_ = true; }
  // Reads nothing more from the server.
  void Stall() { stalled_ = true; }

 private:
  void Run() {
    int client = -1;
    int server = -1;
    const auto drop = [&] {
      if (client >= 0) ::close(client);
      if (server >= 0) ::close(server);
      client = server = -1;
    };
    while (!stopping_) {
      if (cut_.exchange(false)) {
        drop();
        refusing_ = true;
      }
      std::vector<pollfd> fds;
      if (client < 0) {
        fds.push_back({listener_, POLLIN, 0});
      } else {
        fds.push_back({client, POLLIN, 0});
        if (!stalled_) fds.push_back({server, POLLIN, 0});
      }
      if (::poll(fds.data(), fds.size(), 20) <= 0) continue;
      if (client < 0) {
        client = ::accept(listener_, nullptr, nullptr);
        if (refusing_) {
          drop();
          continue;
        }
        server = Dial(target_);
        continue;
      }
      if ((fds[0].revents != 0 && !Forward(client, server)) ||
          (fds.size() > 1 && fds[1].revents != 0 && !Forward(server, client))) {
        drop();
      }
    }
    drop();
  }
  static bool Forward(int from, int to) {
    char buffer[65536];
    const ssize_t size = ::recv(from, buffer, sizeof buffer, MSG_DONTWAIT);
    if (size <= 0) return false;
    return ::send(to, buffer, static_cast<std::size_t>(size), MSG_NOSIGNAL) == size;
  }

  const int target_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> cut_{false};
  std::atomic<bool> stalled_{false};
  bool refusing_ = false;
  std::thread thread_;
};

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_UNIT_GRPC_TCP_H_
