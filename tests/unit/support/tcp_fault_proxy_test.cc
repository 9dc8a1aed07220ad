// The faults that other tests inject must be there: this is what fails if they are not.
#include "support/tcp_fault_proxy.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

namespace rookery::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

sockaddr_in Local(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

// Takes one connection at a time, and sends back what it gets.
class EchoPeer final {
 public:
  EchoPeer() {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = Local(0);
    socklen_t size = sizeof address;
    bind(listener_, reinterpret_cast<sockaddr*>(&address), size);
    listen(listener_, 8);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] {
      for (;;) {
        const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) return;
        char buffer[4096];
        for (;;) {
          const ssize_t got = recv(fd, buffer, sizeof buffer, 0);
          if (got <= 0) break;
          received_ += static_cast<std::size_t>(got);
          for (ssize_t at = 0; at < got;) {
            const ssize_t sent =
                send(fd, buffer + at, static_cast<std::size_t>(got - at), MSG_NOSIGNAL);
            if (sent <= 0) break;
            at += sent;
          }
        }
        close(fd);
      }
    });
  }
  ~EchoPeer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  int port() const { return port_; }
  std::size_t received() const { return received_; }

 private:
  int listener_ = -1;
  int port_ = 0;
  std::atomic<std::size_t> received_{0};
  std::thread thread_;
};

class Client final {
 public:
  explicit Client(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const sockaddr_in address = Local(port);
    connected_ = connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { close(fd_); }
  bool connected() const { return connected_; }
  void Send(const std::string& bytes) {
    for (std::size_t at = 0; at < bytes.size();) {
      const ssize_t sent = send(fd_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (sent <= 0) return;
      at += static_cast<std::size_t>(sent);
    }
  }
  // What would not fit is left unsent.
  std::size_t SendWhatFits(std::size_t most) {
    const std::string bytes(16'384, 'x');
    std::size_t sum = 0;
    while (sum < most) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent <= 0) break;
      sum += static_cast<std::size_t>(sent);
    }
    return sum;
  }
  std::string Receive(std::size_t size, int wait_ms = 30'000) {
    std::string all;
    while (all.size() < size) {
      pollfd ready{fd_, POLLIN, 0};
      if (poll(&ready, 1, wait_ms) <= 0) break;
      char buffer[4096];
      const ssize_t got = recv(fd_, buffer, sizeof buffer, 0);
      if (got < 0) error_ = errno;
      if (got <= 0) break;
      pieces_ += 1;
      all.append(buffer, static_cast<std::size_t>(got));
    }
    return all;
  }
  int error() const { return error_; }
  int pieces() const { return pieces_; }

 private:
  const int fd_;
  bool connected_ = false;
  int error_ = 0;
  int pieces_ = 0;
};

TEST(TcpFaultProxyTest, PassesEverything) {
  EchoPeer peer;
  TcpFaultProxy proxy(peer.port());
  Client client(proxy.port());
  ASSERT_TRUE(client.connected());
  const std::string much(300'000, 'm');
  std::thread sender([&] { client.Send(much); });
  EXPECT_EQ(client.Receive(much.size()), much);
  sender.join();
  EXPECT_EQ(proxy.accepted(), 1U);
  EXPECT_EQ(proxy.delivered(TcpFaultProxy::kToServer), much.size());
}

TEST(TcpFaultProxyTest, Delays) {
  EchoPeer peer;
  TcpFaultProxy proxy(peer.port());
  proxy.Set(TcpFaultProxy::kToClient, {.delay = milliseconds(120)});
  Client client(proxy.port());
  const auto began = steady_clock::now();
  client.Send("x");
  EXPECT_EQ(client.Receive(1), "x");
  EXPECT_GE(steady_clock::now() - began, milliseconds(120));
}

TEST(TcpFaultProxyTest, DropsOneDirection) {
  EchoPeer peer;
  TcpFaultProxy proxy(peer.port());
  Client client(proxy.port());
  proxy.Set(TcpFaultProxy::kToClient, {.drop = true});
  client.Send("gone");
  EXPECT_EQ(client.Receive(1, 200), "");
  EXPECT_EQ(peer.received(), 4U);
  proxy.Heal();
  client.Send("here");
  EXPECT_EQ(client.Receive(4), "here");
}

TEST(TcpFaultProxyTest, StopsReading) {
  EchoPeer peer;
  TcpFaultProxy proxy(peer.port());
  Client client(proxy.port());
  proxy.Set(TcpFaultProxy::kToServer, {.stop_reading = true});
  const std::size_t most = std::size_t{64} << 20;
  EXPECT_LT(client.SendWhatFits(most), most);
  EXPECT_EQ(peer.received(), 0U);
  proxy.Heal();
  EXPECT_FALSE(client.Receive(1).empty());
}

TEST(TcpFaultProxyTest, Slices) {
  EchoPeer peer;
  TcpFaultProxy proxy(peer.port());
  proxy.Set(TcpFaultProxy::kToServer, {.slice = 3});
  proxy.Set(TcpFaultProxy::kToClient, {.slice = 3});
  Client client(proxy.port());
  client.Send("abcdefghij");
  EXPECT_EQ(client.Receive(10), "abcdefghij");
}

TEST(TcpFaultProxyTest, Corrupts) {
  EchoPeer peer;
  TcpFaultProxy proxy(peer.port());
  proxy.Set(TcpFaultProxy::kToServer, {.corrupt_every = 4});
  Client client(proxy.port());
  client.Send("aaaaaaaa");
  EXPECT_EQ(client.Receive(8), "aaa4aaa4");
}

TEST(TcpFaultProxyTest, CutsOffInTheMiddle) {
  EchoPeer peer;
  TcpFaultProxy proxy(peer.port());
  proxy.Set(TcpFaultProxy::kToClient, {.cut_after = 5});
  Client client(proxy.port());
  client.Send("abcdefghij");
  EXPECT_EQ(client.Receive(10), "abcde");
  EXPECT_EQ(client.error(), 0);
  Client next(proxy.port());
  next.Send("abcdefghij");
  EXPECT_EQ(next.Receive(10), "abcdefghij");
}

TEST(TcpFaultProxyTest, ResetsAndRefuses) {
  EchoPeer peer;
  TcpFaultProxy proxy(peer.port());
  {
    Client client(proxy.port());
    client.Send("x");
    EXPECT_EQ(client.Receive(1), "x");
    proxy.Reset();
    EXPECT_EQ(client.Receive(1), "");
    EXPECT_EQ(client.error(), ECONNRESET);
  }
  proxy.Refuse(true);
  {
    Client client(proxy.port());
    client.Send("x");
    EXPECT_EQ(client.Receive(1), "");
  }
  proxy.Heal();
  Client client(proxy.port());
  client.Send("x");
  EXPECT_EQ(client.Receive(1), "x");
  proxy.Set(TcpFaultProxy::kToServer, {.reset_after = 3});
  client.Send("abcd");
  EXPECT_EQ(client.Receive(4), "");
  EXPECT_EQ(client.error(), ECONNRESET);
}

}  // namespace
}  // namespace rookery::testing
