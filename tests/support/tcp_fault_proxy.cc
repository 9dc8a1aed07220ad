#include "support/tcp_fault_proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>
#include <utility>

namespace rookery::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// What may wait in one direction of a connection; then no more is read.
constexpr std::size_t kBuffer = std::size_t{1} << 20;

sockaddr_in Local(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

void CloseWithReset(int fd) {
  const linger now{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(fd);
}

}  // namespace

// One direction of a connection.
struct TcpFaultProxy::Pipe {
  struct Piece {
    steady_clock::time_point when;
    std::string bytes;
  };
  std::deque<Piece> pieces;
  std::size_t size = 0;
  bool ended = false;      // the sender sends no more
  bool shut_down = false;  // and the receiver knows
};

struct TcpFaultProxy::Connection {
  // By the direction of what is read there: the client's socket, the server's socket.
  std::array<int, 2> from{-1, -1};
  std::array<Pipe, 2> pipes;
};

TcpFaultProxy::TcpFaultProxy(int server_port) : server_port_(server_port) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  sockaddr_in address = Local(0);
  socklen_t size = sizeof address;
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener_, 128) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::perror("TcpFaultProxy");
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Run(); });
}

TcpFaultProxy::~TcpFaultProxy() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  Wake();
  thread_.join();
  close(listener_);
  close(wake_);
}

void TcpFaultProxy::Wake() {
  const std::uint64_t one = 1;
  if (write(wake_, &one, sizeof one) < 0) {
    // It is full, and so awake already.
  }
}

void TcpFaultProxy::Set(Direction direction, const Faults& faults) {
  {
    const std::scoped_lock lock(mutex_);
    faults_[direction] = faults;
  }
  Wake();
}

void TcpFaultProxy::Heal() {
  {
    const std::scoped_lock lock(mutex_);
    faults_ = {};
    refuse_ = false;
  }
  Wake();
}

void TcpFaultProxy::Reset() {
  {
    const std::scoped_lock lock(mutex_);
    reset_ = true;
  }
  Wake();
}

void TcpFaultProxy::Refuse(bool refuse) {
  {
    const std::scoped_lock lock(mutex_);
    refuse_ = refuse;
  }
  Wake();
}

std::size_t TcpFaultProxy::accepted() const {
  const std::scoped_lock lock(mutex_);
  return accepted_;
}

std::uint64_t TcpFaultProxy::delivered(Direction direction) const {
  const std::scoped_lock lock(mutex_);
  return delivered_[direction];
}

void TcpFaultProxy::Accept() {
  for (;;) {
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0) return;
    ++accepted_;
    const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = Local(server_port_);
    // Blocks, but on loopback no longer than the server's backlog is full.
    if (refuse_ ||
        connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      CloseWithReset(client);
      close(server);
      continue;
    }
    fcntl(server, F_SETFL, O_NONBLOCK);
    const int on = 1;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    auto connection = std::make_unique<Connection>();
    connection->from = {client, server};
    connections_.push_back(std::move(connection));
  }
}

bool TcpFaultProxy::Read(Connection& connection, Direction direction) {
  Faults& faults = faults_[direction];
  Pipe& pipe = connection.pipes[direction];
  while (!faults.stop_reading && !pipe.ended && pipe.size < kBuffer) {
    char buffer[16 << 10];
    const ssize_t got = recv(connection.from[direction], buffer, sizeof buffer, 0);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) {
      pipe.ended = true;
      break;
    }
    std::string bytes(buffer, static_cast<std::size_t>(got));
    if (faults.reset_after != 0) {
      if (bytes.size() >= faults.reset_after) {
        faults.reset_after = 0;
        return false;
      }
      faults.reset_after -= bytes.size();
    }
    if (faults.drop) continue;
    if (faults.corrupt_every != 0) {
      for (char& byte : bytes) {
        if (++seen_ % faults.corrupt_every == 0) byte = static_cast<char>(byte ^ 0x55);
      }
    }
    pipe.size += bytes.size();
    pipe.pieces.push_back({steady_clock::now() + faults.delay, std::move(bytes)});
  }
  return true;
}

bool TcpFaultProxy::Write(Connection& connection, Direction direction) {
  Faults& faults = faults_[direction];
  Pipe& pipe = connection.pipes[direction];
  const int to = connection.from[1 - direction];
  const auto now = steady_clock::now();
  while (!pipe.pieces.empty() && pipe.pieces.front().when <= now) {
    std::string& bytes = pipe.pieces.front().bytes;
    std::size_t most = faults.slice == 0 ? bytes.size() : std::min(bytes.size(), faults.slice);
    if (faults.cut_after != 0) most = std::min(most, faults.cut_after);
    const ssize_t sent = send(to, bytes.data(), most, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    delivered_[direction] += static_cast<std::uint64_t>(sent);
    pipe.size -= static_cast<std::size_t>(sent);
    bytes.erase(0, static_cast<std::size_t>(sent));
    if (bytes.empty()) pipe.pieces.pop_front();
    if (faults.cut_after != 0) {
      faults.cut_after -= static_cast<std::size_t>(sent);
      if (faults.cut_after == 0) {
        // Not by RST, which would take back what has not been read yet.
        pipe.ended = true;
        pipe.pieces.clear();
        pipe.size = 0;
        connection.pipes[1 - direction].ended = true;
        connection.pipes[1 - direction].pieces.clear();
      }
    }
    // One slice a turn, so that the receiver sees it alone.
    if (faults.slice != 0) break;
  }
  if (pipe.pieces.empty() && pipe.ended && !std::exchange(pipe.shut_down, true)) {
    shutdown(to, SHUT_WR);
  }
  return true;
}

bool TcpFaultProxy::Carry(Connection& connection) {
  for (const Direction direction : {kToServer, kToClient}) {
    if (!Read(connection, direction) || !Write(connection, direction)) return false;
  }
  return !(connection.pipes[0].shut_down && connection.pipes[1].shut_down);
}

void TcpFaultProxy::Run() {
  for (;;) {
    std::vector<pollfd> watched{{wake_, POLLIN, 0}, {listener_, POLLIN, 0}};
    int wait = -1;
    {
      const std::scoped_lock lock(mutex_);
      if (stop_) break;
      const auto now = steady_clock::now();
      for (const auto& connection : connections_) {
        for (const Direction direction : {kToServer, kToClient}) {
          const Pipe& in = connection->pipes[direction];
          const Pipe& out = connection->pipes[1 - direction];
          short events = 0;
          if (!faults_[direction].stop_reading && !in.ended && in.size < kBuffer) events |= POLLIN;
          if (!out.pieces.empty()) {
            const auto left =
                std::chrono::ceil<milliseconds>(out.pieces.front().when - now).count();
            if (left <= 0) {
              events |= POLLOUT;
            } else {
              wait = wait < 0 ? static_cast<int>(left) : std::min(wait, static_cast<int>(left));
            }
          }
          // A negative descriptor is passed over: who is not listened to must not wake us either.
          watched.push_back({events == 0 ? -1 : connection->from[direction], events, 0});
        }
      }
    }
    poll(watched.data(), watched.size(), wait);
    std::uint64_t ignored = 0;
    if (read(wake_, &ignored, sizeof ignored) < 0) {
      // Nobody has woken us.
    }
    const std::scoped_lock lock(mutex_);
    const bool reset = std::exchange(reset_, false);
    std::erase_if(connections_, [&](const std::unique_ptr<Connection>& connection) {
      if (!reset && Carry(*connection)) return false;
      const bool ended_well =
          !reset && connection->pipes[0].shut_down && connection->pipes[1].shut_down;
      for (const int fd : connection->from) {
        if (ended_well) {
          close(fd);
        } else {
          CloseWithReset(fd);
        }
      }
      return true;
    });
    Accept();
  }
  for (const auto& connection : connections_) {
    for (const int fd : connection->from) CloseWithReset(fd);
  }
  connections_.clear();
}

}  // namespace rookery::testing
