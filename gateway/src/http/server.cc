#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "http/connection.h"
#include "http/exchange.h"
#include "rookery/gateway/http_gateway.h"
#include "rookery/platform/log.h"
#include "rookery/rpc/stats.h"
#include "rookery/runtime/hooks.h"
#include "rookery/runtime/loop.h"
#include "runtime/abseil_strings.h"

namespace rookery::internal::gateway {

// ---- Worker ---------------------------------------------------------------------------------

Worker::Timer::Timer(Worker* owner) noexcept
    : LoopTimer([](LoopTimer* self) noexcept { static_cast<Timer*>(self)->worker->Tick(); }),
      worker(owner) {}

Worker::Worker(std::shared_ptr<ServerState> state, Loop& loop)
    : state_(std::move(state)), loop_(loop) {}

void Worker::Refresh() noexcept {
  now_ = loop_.Now();
  const std::int64_t second =
      std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  if (second == date_second_) return;
  date_second_ = second;
  const std::time_t time = second;
  std::tm parts = {};
  ::gmtime_r(&time, &parts);
  // Not strftime's names of days and months, which are those of the process's locale.
  static constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed",
                                                       "Thu", "Fri", "Sat"};
  static constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const int size = std::snprintf(
      date_.data(), date_.size(), "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n",
      kDays[static_cast<std::size_t>(parts.tm_wday) % 7], parts.tm_mday % 100,
      kMonths[static_cast<std::size_t>(parts.tm_mon) % 12], (parts.tm_year + 1900) % 10000,
      parts.tm_hour % 100, parts.tm_min % 100, parts.tm_sec % 100);
  date_size_ = static_cast<std::size_t>(size);
}

void Worker::Tick() noexcept {
  ticking_ = false;
  Refresh();
  ForEach([this](ConnectionNode& each) { each.Tick(now_); });
  if (first_ != nullptr) {
    ticking_ = true;
    loop_.Arm(&timer_, now_ + state_->tick);
  }
}

void Worker::Add(std::unique_ptr<ConnectionNode> connection) {
  ConnectionNode* const node = connection.release();
  node->next_ = first_;
  if (first_ != nullptr) first_->previous_ = node;
  first_ = node;
  if (!std::exchange(ticking_, true)) {
    Refresh();
    loop_.Arm(&timer_, now_ + state_->tick);
  }
}

void Worker::Remove(ConnectionNode* connection) noexcept {
  const std::unique_ptr<ConnectionNode> owned(connection);
  if (owned->previous_ != nullptr) {
    owned->previous_->next_ = owned->next_;
  } else {
    first_ = owned->next_;
  }
  if (owned->next_ != nullptr) owned->next_->previous_ = owned->previous_;
  if (first_ == nullptr && std::exchange(ticking_, false)) loop_.Disarm(&timer_);
}

void Worker::BeginDrain() noexcept {
  draining_.Cancel(absl::UnavailableError("the server is going away"));
  ForEach([](ConnectionNode& each) { each.StopIntake(); });
}

void ServerState::CountRejected(int http_status) noexcept {
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
  switch (http_status) {
    case 401:
      code = absl::StatusCode::kUnauthenticated;
      break;
    case 408:
      code = absl::StatusCode::kDeadlineExceeded;
      break;
    case 413:
    case 414:
    case 431:
      code = absl::StatusCode::kResourceExhausted;
      break;
    case 500:
      code = absl::StatusCode::kInternal;
      break;
    case 501:
    case 505:
      code = absl::StatusCode::kUnimplemented;
      break;
    case 503:
      code = absl::StatusCode::kUnavailable;
      break;
    default:
      break;
  }
  rejected[static_cast<std::size_t>(code)].fetch_add(1, std::memory_order_relaxed);
}

// ---- listening ------------------------------------------------------------------------------

namespace {

Logger Log() { return Logger::Default().Named("http"); }

constexpr int kAcceptsPerTurn = 64;
constexpr int kBacklog = 1024;
// After accept() has run out of file descriptors or memory.
constexpr std::chrono::milliseconds kPause{100};
// How long handlers may take to end after they were cancelled.
constexpr std::chrono::seconds kUnwind{2};
// Above the limit of connections so many more are told so; the others are closed without a word.
constexpr std::size_t kMaxRefused = 64;

class Fd final {
 public:
  explicit Fd(int fd = -1) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

std::string ToText(const sockaddr* address, socklen_t size, bool scheme) {
  std::array<char, NI_MAXHOST> host = {};
  std::array<char, NI_MAXSERV> port = {};
  if (::getnameinfo(address, size, host.data(), host.size(), port.data(), port.size(),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "unknown";
  }
  std::string_view shown(host.data());
  if (shown.starts_with("::ffff:") && shown.find('.') != std::string_view::npos) {
    shown.remove_prefix(7);
  }
  const bool v6 = shown.find(':') != std::string_view::npos;
  return absl::StrCat(scheme ? (v6 ? "ipv6:" : "ipv4:") : "", v6 ? "[" : "", Abs(shown),
                      v6 ? "]:" : ":", port.data());
}

absl::Status BadAddress(std::string_view address, std::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("HttpGateway.address \"", Abs(address), "\": ", Abs(why),
                   "; write host:port, as \"0.0.0.0:8080\", \"[::]:8080\" or \"localhost:0\""));
}

// Sockets that listen on "host:port", all on the same port.
absl::StatusOr<std::vector<Fd>> Listen(const std::string& address, std::string* endpoint) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) return BadAddress(address, "it has no port");
  std::string host = address.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string::npos) {
    return BadAddress(address, "an IPv6 address stands in brackets");
  }
  int port = 0;
  if (!absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 0 || port > 65'535) {
    return BadAddress(address, "the port is no number up to 65535");
  }
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* raw = nullptr;
  const std::string service = absl::StrCat(port);
  const int resolved =
      ::getaddrinfo(host.empty() ? nullptr : host.c_str(), service.c_str(), &hints, &raw);
  if (resolved != 0) return BadAddress(address, ::gai_strerror(resolved));
  struct Free {
    void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
  };
  const std::unique_ptr<addrinfo, Free> found(raw);
  std::vector<Fd> sockets;
  int error = EADDRNOTAVAIL;
  for (const addrinfo* each = found.get(); each != nullptr; each = each->ai_next) {
    sockaddr_storage at = {};
    std::memcpy(&at, each->ai_addr, each->ai_addrlen);
    if (!sockets.empty() && port == 0) {
      // The other families on the port that the first was given.
      sockaddr_storage first = {};
      socklen_t size = sizeof first;
      ::getsockname(sockets.front().get(), reinterpret_cast<sockaddr*>(&first), &size);
      const in_port_t picked = first.ss_family == AF_INET6
                                   ? reinterpret_cast<const sockaddr_in6&>(first).sin6_port
                                   : reinterpret_cast<const sockaddr_in&>(first).sin_port;
      if (at.ss_family == AF_INET6) {
        reinterpret_cast<sockaddr_in6&>(at).sin6_port = picked;
      } else {
        reinterpret_cast<sockaddr_in&>(at).sin_port = picked;
      }
    }
    Fd fd(::socket(each->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (each->ai_family == AF_INET6) {
      // "[::]" means every address, of both families.
      const int only = host == "::" ? 0 : 1;
      ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    }
    if (fd.get() < 0 ||
        ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&at), each->ai_addrlen) != 0 ||
        ::listen(fd.get(), kBacklog) != 0) {
      error = errno;
      continue;
    }
    if (sockets.empty()) {
      socklen_t size = sizeof at;
      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&at), &size);
      *endpoint = ToText(reinterpret_cast<const sockaddr*>(&at), size, /*scheme=*/false);
    }
    sockets.push_back(std::move(fd));
  }
  if (sockets.empty()) {
    return absl::UnavailableError(absl::StrCat("HttpGateway cannot listen on ", address, ": ",
                                               std::strerror(error),
                                               "; is something else listening there?"));
  }
  return sockets;
}

// Accepts connections on one loop, and hands them to all in turn.
class Door final {
 public:
  Door(std::shared_ptr<ServerState> state, std::vector<std::shared_ptr<Worker>> workers)
      : state_(std::move(state)), workers_(std::move(workers)) {}
  Door(const Door&) = delete;
  Door& operator=(const Door&) = delete;

  [[nodiscard]] Loop& loop() const noexcept { return workers_.front()->loop(); }
  // On the loop.
  void Open(std::vector<Fd> sockets) {
    for (Fd& socket : sockets) {
      waits_.push_back(std::make_unique<Wait>(this, std::move(socket)));
      waits_.back()->Arm();
    }
  }
  // Takes those who have connected already, and no more. On the loop.
  void Close() noexcept {
    loop().Disarm(&pause_);
    for (const std::unique_ptr<Wait>& wait : waits_) {
      wait->closing = true;
      if (wait->armed) loop().CancelWait(wait.get());
      AcceptAll(wait->socket.get());
    }
    waits_.clear();
  }

 private:
  struct Wait final : FdWait {
    Wait(Door* owner, Fd fd)
        : FdWait([](FdWait* self, bool ready) noexcept {
            auto* const wait = static_cast<Wait*>(self);
            wait->armed = false;
            if (wait->closing || !ready) return;
            if (wait->door->AcceptAll(wait->socket.get())) {
              wait->Arm();
            } else {
              wait->door->Pause();
            }
          }),
          door(owner),
          socket(std::move(fd)) {}
    void Arm() {
      armed = true;
      door->loop().WaitFd(socket.get(), FdEvent::kReadable, this);
    }
    Door* door;
    Fd socket;
    bool armed = false;
    bool closing = false;
  };
  struct PauseTimer final : LoopTimer {
    explicit PauseTimer(Door* owner) noexcept
        : LoopTimer([](LoopTimer* self) noexcept {
            for (const auto& wait : static_cast<PauseTimer*>(self)->door->waits_) {
              if (!wait->armed) wait->Arm();
            }
          }),
          door(owner) {}
    Door* door;
  };

  void Pause() noexcept { loop().Arm(&pause_, loop().Now() + kPause); }

  // False: it cannot go on for now.
  bool AcceptAll(int listener) noexcept {
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
      sockaddr_storage from = {};
      socklen_t size = sizeof from;
      const int fd = ::accept4(listener, reinterpret_cast<sockaddr*>(&from), &size,
                               SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return true;
        Log().Error("the HTTP listener cannot accept; it waits a moment",
                    {{"why", std::strerror(errno)}});
        return false;
      }
      Take(fd, reinterpret_cast<const sockaddr*>(&from), size);
    }
    return true;
  }

  void Take(int fd, const sockaddr* from, socklen_t size) noexcept {
    const std::size_t limit = state_->limits.connections;
    const std::size_t present = state_->connections.load(std::memory_order_relaxed) +
                                handed_over_->load(std::memory_order_relaxed);
    const bool refused = limit != 0 && present >= limit;
    if (refused && present >= limit + kMaxRefused) {
      state_->CountRejected(503);
      ::close(fd);
      return;
    }
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    const std::shared_ptr<Worker>& worker = workers_[next_++ % workers_.size()];
    handed_over_->fetch_add(1, std::memory_order_relaxed);
    worker->loop().Post([worker, fd, refused, handed_over = handed_over_,
                         address = ToText(from, size, /*scheme=*/true)]() mutable {
      ServeConnection(worker, fd, std::move(address), refused);
      handed_over->fetch_sub(1, std::memory_order_release);
    });
  }

  const std::shared_ptr<ServerState> state_;
  const std::vector<std::shared_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<Wait>> waits_;
  PauseTimer pause_{this};
  std::size_t next_ = 0;
  // On their way to a loop.
  std::shared_ptr<std::atomic<std::size_t>> handed_over_ =
      std::make_shared<std::atomic<std::size_t>>(0);
};

// ---- the server -----------------------------------------------------------------------------

class Server final : public HttpServer {
 public:
  explicit Server(const HttpGateway& options) : options_(options) {}
  ~Server() override { Stop(); }

  absl::Status Start(LoopPool& loops, HttpApplication& application) override {
    state_ = std::make_shared<ServerState>();
    ServerState& state = *state_;
    const HttpLimits& limits = options_.limits;
    state.limits = limits;
    state.head_limits = {limits.request_line, limits.header_bytes, limits.headers};
    state.retry_after = options_.retry_after;
    state.application = &application;
    // Timeouts may be late by an eighth of the shortest, at most by a quarter of a second.
    std::chrono::milliseconds shortest{2'000};
    for (const std::chrono::milliseconds each :
         {limits.header_time, limits.body_time, limits.body_idle, limits.write_idle, limits.idle,
          limits.request_time, limits.websocket_ping}) {
      if (each.count() > 0) shortest = std::min(shortest, each);
    }
    state.tick = std::max(shortest / 8, std::chrono::milliseconds(5));
    if (options_.tls.has_value()) {
      state.tls = std::make_unique<TlsContexts>(*options_.tls);
      if (absl::Status loaded = state.tls->Load(); !loaded.ok()) return loaded;
    }
    absl::StatusOr<std::vector<Fd>> sockets = Listen(options_.address, &endpoint_);
    if (!sockets.ok()) return sockets.status();
    const std::size_t count =
        options_.threads == 0 ? loops.size() : std::min(options_.threads, loops.size());
    for (std::size_t i = 0; i < count; ++i) {
      workers_.push_back(std::make_shared<Worker>(state_, loops[i]));
    }
    door_ = std::make_shared<Door>(state_, workers_);
    door_->loop().Post([door = door_, open = std::make_shared<std::vector<Fd>>(
                                          *std::move(sockets))] { door->Open(std::move(*open)); });
    return absl::OkStatus();
  }

  std::string endpoint() const override { return endpoint_; }

  void AddStats(StatsSnapshot* stats) const override {
    if (state_ == nullptr) return;
    for (std::size_t code = 0; code < kStatusCodes; ++code) {
      const std::uint64_t count = state_->rejected[code].load(std::memory_order_relaxed);
      if (count != 0) {
        stats->rejected.push_back({"http", static_cast<absl::StatusCode>(code), count});
      }
    }
  }

  void StopIntake() noexcept override {
    if (door_ == nullptr || state_->draining.exchange(true)) return;
    // Those that the door hands over now come to the workers before they begin to drain.
    OnLoop(door_->loop(), [door = door_] { door->Close(); });
    for (const std::shared_ptr<Worker>& worker : workers_) {
      OnLoop(worker->loop(), [worker] { worker->BeginDrain(); });
    }
  }

  std::size_t Drain(Deadline deadline) noexcept override {
    if (door_ == nullptr) return 0;
    StopIntake();
    if (WaitUntil(deadline, state_->busy)) return 0;
    const std::size_t left = CancelAll();
    WaitUntil(std::chrono::steady_clock::now() + kUnwind, state_->busy);
    return left;
  }

  void Stop() noexcept override {
    if (door_ == nullptr) return;
    StopIntake();
    CancelAll();
    const Deadline patience = std::chrono::steady_clock::now() + kUnwind;
    WaitUntil(patience, state_->busy);
    for (const std::shared_ptr<Worker>& worker : workers_) {
      OnLoop(worker->loop(),
             [worker] { worker->ForEach([](ConnectionNode& each) { each.Abort(); }); });
    }
    if (!WaitUntil(std::chrono::steady_clock::now() + kUnwind, state_->connections)) {
      Log().Error(
          "handlers have not ended although their requests were cancelled; they are left behind. "
          "Look for an await without cancellation.",
          {{"connections", state_->connections.load()}});
    }
    door_.reset();
    workers_.clear();
  }

 private:
  // Runs `fn` on the loop, and waits for it.
  template <class Fn>
  void OnLoop(Loop& loop, Fn fn) noexcept {
    const auto done = std::make_shared<std::atomic<bool>>(false);
    loop.Post([fn = std::move(fn), done, state = state_] {
      fn();
      done->store(true, std::memory_order_release);
      state->Changed();
    });
    std::unique_lock lock(state_->mutex);
    // A loop that a handler holds up does not hold up the shutdown for ever.
    state_->changed.wait_for(lock, kUnwind, [&] { return done->load(std::memory_order_acquire); });
  }

  bool WaitUntil(Deadline deadline, const std::atomic<std::size_t>& count) noexcept {
    std::unique_lock lock(state_->mutex);
    const auto none = [&count] { return count.load(std::memory_order_acquire) == 0; };
    if (deadline == kNoDeadline) {
      state_->changed.wait(lock, none);
      return true;
    }
    return state_->changed.wait_until(lock, deadline, none);
  }

  std::size_t CancelAll() noexcept {
    const auto left = std::make_shared<std::atomic<std::size_t>>(0);
    for (const std::shared_ptr<Worker>& worker : workers_) {
      OnLoop(worker->loop(), [worker, left] {
        worker->ForEach([&left](ConnectionNode& each) {
          if (each.Cancel(absl::UnavailableError("the server is going away"))) {
            left->fetch_add(1, std::memory_order_relaxed);
          }
        });
      });
    }
    return left->load();
  }

  const HttpGateway options_;
  std::string endpoint_;
  std::shared_ptr<ServerState> state_;
  std::vector<std::shared_ptr<Worker>> workers_;
  std::shared_ptr<Door> door_;
};

}  // namespace

std::unique_ptr<HttpServer> MakeHttpServer(const HttpGateway& options) {
  return std::make_unique<Server>(options);
}

}  // namespace rookery::internal::gateway
