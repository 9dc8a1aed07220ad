#include "acceptor.h"

#include <arpa/inet.h>
#include <grpc/grpc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "convert.h"
#include "library.h"

namespace rookery::grpc_adapter {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
// The preface, and the header of the SETTINGS frame that must follow it (RFC 9113, 3.4).
constexpr std::size_t kOpening = kPreface.size() + 9;
// A TLS record header: its type (handshake) and major version.
constexpr std::size_t kTlsOpening = 2;
constexpr std::size_t kMaxPending = 1024;
constexpr int kAcceptsPerTurn = 64;
// After accept() has run out of file descriptors or memory.
constexpr std::chrono::milliseconds kPause{100};

enum class Verdict { kGood, kBad, kMore };

struct Opinion {
  Verdict verdict;
  std::string_view why;
};

Opinion JudgeTls(std::string_view bytes) {
  if (bytes[0] != 0x16 || (bytes.size() > 1 && bytes[1] != 0x03)) {
    return {Verdict::kBad, kPreface.starts_with(bytes.substr(0, kPreface.size()))
                               ? "speaks plain text to a port with TLS"
                               : "sent what is no TLS handshake"};
  }
  return {bytes.size() < kTlsOpening ? Verdict::kMore : Verdict::kGood, {}};
}

Opinion JudgePlain(std::string_view bytes) {
  const std::string_view opening = bytes.substr(0, kPreface.size());
  if (!kPreface.starts_with(opening)) {
    if (bytes[0] == 0x16 && (bytes.size() == 1 || bytes[1] == 0x03)) {
      return {Verdict::kBad, "speaks TLS to a port without"};
    }
    const std::size_t line = std::min(bytes.find("\r\n"), bytes.size());
    if (bytes.substr(0, line).find(" HTTP/1.") != std::string_view::npos) {
      return {Verdict::kBad, "speaks HTTP/1, gRPC takes HTTP/2"};
    }
    return {Verdict::kBad, "sent what is no HTTP/2"};
  }
  if (bytes.size() < kOpening) return {Verdict::kMore, {}};
  const auto at = [&](std::size_t i) {
    return static_cast<std::uint8_t>(bytes[kPreface.size() + i]);
  };
  const std::uint32_t length = (std::uint32_t{at(0)} << 16) | (std::uint32_t{at(1)} << 8) | at(2);
  const bool settings = at(3) == 4 && (at(4) & 1) == 0 && (at(5) & 0x7f) == 0 && at(6) == 0 &&
                        at(7) == 0 && at(8) == 0 && length % 6 == 0 && length <= 16'384;
  if (!settings) return {Verdict::kBad, "sent no SETTINGS frame after the HTTP/2 preface"};
  return {Verdict::kGood, {}};
}

std::string PeerOf(int fd) {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  std::array<char, NI_MAXHOST> host = {};
  std::array<char, NI_MAXSERV> port = {};
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      ::getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host.data(), host.size(),
                    port.data(), port.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "a peer that has gone";
  }
  std::string_view shown(host.data());
  if (shown.starts_with("::ffff:")) shown.remove_prefix(7);
  return shown.find(':') == std::string_view::npos
             ? absl::StrCat(Absl(shown), ":", port.data())
             : absl::StrCat("[", Absl(shown), "]:", port.data());
}

void SetInt(int fd, int level, int option, int value) noexcept {
  static_cast<void>(::setsockopt(fd, level, option, &value, sizeof value));
}

int PortOf(int fd) noexcept {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return address.ss_family == AF_INET6
             ? ntohs(reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port)
             : ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

// A listening socket, or -1 with errno.
int ListenOn(const sockaddr* address, socklen_t size, std::chrono::milliseconds user_timeout) {
  const int fd = ::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  SetInt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  // Connections inherit these.
  SetInt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (user_timeout.count() > 0) {
    SetInt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(user_timeout.count()));
  }
  if (address->sa_family == AF_INET6) {
    const bool any =
        IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr);
    SetInt(fd, IPPROTO_IPV6, IPV6_V6ONLY, any ? 0 : 1);
  }
  if (::bind(fd, address, size) == 0 && ::listen(fd, SOMAXCONN) == 0) return fd;
  const int error = errno;
  ::close(fd);
  errno = error;
  return -1;
}

}  // namespace

bool Acceptor::Supported() noexcept {
  return std::string_view(grpc_version_string()).starts_with("29.");  // the core of 1.51
}

Acceptor::Acceptor(Options options, Refuse refuse)
    : options_(options),
      refuse_(std::move(refuse)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

absl::StatusOr<int> Acceptor::Listen(std::string_view address) {
  const std::size_t colon = address.rfind(':');
  std::string_view host = address.substr(0, colon);
  int port = 0;
  if (colon == std::string_view::npos ||
      !absl::SimpleAtoi(Absl(address.substr(colon + 1)), &port) || port < 0 || port > 65'535) {
    return absl::InvalidArgumentError("the address has no port: write host:port");
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);

  if (host == "0.0.0.0" || host == "::" || host.empty()) {
    // One socket for both families where the system has them.
    sockaddr_in6 six = {};
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(static_cast<std::uint16_t>(port));
    int fd = ListenOn(reinterpret_cast<const sockaddr*>(&six), sizeof six, options_.user_timeout);
    if (fd < 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
      sockaddr_in four = {};
      four.sin_family = AF_INET;
      four.sin_port = six.sin6_port;
      fd = ListenOn(reinterpret_cast<const sockaddr*>(&four), sizeof four, options_.user_timeout);
    }
    if (fd < 0) return absl::FailedPreconditionError(std::strerror(errno));
    listeners_.push_back(fd);
    return PortOf(fd);
  }

  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const std::string name(host);
  const int failed = ::getaddrinfo(name.c_str(), "0", &hints, &list);
  if (failed != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("the host is not known (", ::gai_strerror(failed), ")"));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(list, &::freeaddrinfo);
  int error = 0;
  for (addrinfo* one = list; one != nullptr; one = one->ai_next) {
    if (one->ai_family != AF_INET && one->ai_family != AF_INET6) continue;
    // "localhost:0" means one port on both its addresses.
    const auto number = htons(static_cast<std::uint16_t>(port));
    if (one->ai_family == AF_INET6) {
      reinterpret_cast<sockaddr_in6*>(one->ai_addr)->sin6_port = number;
    } else {
      reinterpret_cast<sockaddr_in*>(one->ai_addr)->sin_port = number;
    }
    const int fd = ListenOn(one->ai_addr, one->ai_addrlen, options_.user_timeout);
    if (fd < 0) {
      error = errno;
      continue;
    }
    listeners_.push_back(fd);
    if (port == 0) port = PortOf(fd);
  }
  if (listeners_.empty()) return absl::FailedPreconditionError(std::strerror(error));
  return port;
}

void Acceptor::Start() {
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), "grpc-accept");
}

void Acceptor::Stop() noexcept {
  if (thread_.joinable()) {
    const std::uint64_t one = 1;
    static_cast<void>(::write(wake_, &one, sizeof one));
    thread_.join();
  }
  for (const Pending& pending : std::exchange(pending_, {})) ::close(pending.fd);
  for (const int fd : std::exchange(listeners_, {})) ::close(fd);
  if (wake_ >= 0) ::close(std::exchange(wake_, -1));
}

void Acceptor::Run() noexcept {
  std::vector<pollfd> polled;
  for (;;) {
    const Clock::time_point now = Clock::now();
    const bool open = now >= paused_until_;
    Clock::time_point next = open ? Clock::time_point::max() : paused_until_;
    polled.clear();
    polled.push_back({wake_, POLLIN, 0});
    for (const int fd : listeners_) {
      polled.push_back({fd, static_cast<short>(open ? POLLIN : 0), 0});
    }
    for (const Pending& pending : pending_) {
      polled.push_back({pending.fd, POLLIN, 0});
      next = std::min(next, pending.deadline);
    }
    int timeout = -1;
    if (next != Clock::time_point::max()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - now).count();
      timeout = static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
    }
    if (::poll(polled.data(), polled.size(), timeout) < 0 && errno != EINTR) {
      Log(Severity::kError,
          absl::StrCat("gRPC's listener cannot wait for connections: ", std::strerror(errno)));
      std::this_thread::sleep_for(kPause);
      continue;
    }
    if (polled[0].revents != 0) return;

    const Clock::time_point after = Clock::now();
    const std::size_t first = 1 + listeners_.size();
    std::deque<Pending> kept;
    for (std::size_t i = 0; i < pending_.size(); ++i) {
      const Pending& pending = pending_[i];
      if (polled[first + i].revents != 0 && Look(pending)) continue;
      if (after >= pending.deadline) {
        Close(pending, "said nothing, or too little, until the handshake's timeout");
        continue;
      }
      kept.push_back(pending);
    }
    pending_ = std::move(kept);
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
      if (polled[1 + i].revents != 0) AcceptFrom(listeners_[i]);
    }
  }
}

void Acceptor::AcceptFrom(int listener) noexcept {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) {
        Log(Severity::kError, absl::StrCat("gRPC's listener cannot accept: ", std::strerror(errno),
                                           "; it waits a moment"));
        paused_until_ = Clock::now() + kPause;
      }
      return;
    }
    const Pending pending{fd, listener, Clock::now() + options_.handshake_timeout};
    // Most have spoken already.
    if (Look(pending)) continue;
    // A crowd that says nothing must not keep those out who do: the longest silent makes room.
    if (pending_.size() == kMaxPending) {
      Close(pending_.front(), "said nothing, or too little, while many others came");
      pending_.pop_front();
    }
    pending_.push_back(pending);
  }
}

bool Acceptor::Look(const Pending& pending) noexcept {
  std::array<char, 64> buffer = {};
  const ssize_t got = ::recv(pending.fd, buffer.data(), buffer.size(), MSG_PEEK | MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return false;
  if (got <= 0) {
    // Checks of a port, by load balancers and the like, connect and leave: not worth a word.
    ::close(pending.fd);
    return true;
  }
  const std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
  const Opinion opinion = options_.tls ? JudgeTls(bytes) : JudgePlain(bytes);
  switch (opinion.verdict) {
    case Verdict::kGood:
      SetInt(pending.fd, SOL_SOCKET, SO_RCVLOWAT, 1);
      handler_->Handle(pending.listener, pending.fd, nullptr);
      return true;
    case Verdict::kBad:
      Close(pending, opinion.why);
      return true;
    case Verdict::kMore:
      break;
  }
  // Right so far: poll shall not come back for the same bytes, only for all of them, or the end.
  const int wanted = static_cast<int>(options_.tls ? kTlsOpening : kOpening);
  int set = 0;
  socklen_t size = sizeof set;
  static_cast<void>(::getsockopt(pending.fd, SOL_SOCKET, SO_RCVLOWAT, &set, &size));
  if (set == wanted) {
    Close(pending, "left in the middle of its first bytes");
    return true;
  }
  SetInt(pending.fd, SOL_SOCKET, SO_RCVLOWAT, wanted);
  return false;
}

void Acceptor::Close(const Pending& pending, std::string_view why) noexcept {
  std::array<char, 24> buffer = {};
  const ssize_t got = ::recv(pending.fd, buffer.data(), buffer.size(), MSG_PEEK | MSG_DONTWAIT);
  std::string text = absl::StrCat(PeerOf(pending.fd), " ", Absl(why));
  if (got > 0) {
    const std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
    absl::StrAppend(&text, ": \"", absl::CHexEscape(Absl(bytes)), "\"");
  }
  ::close(pending.fd);
  refuse_(absl::InvalidArgumentError(text));
}

}  // namespace rookery::grpc_adapter
