#include "http_channel.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/status.pb.h"
#include "rookery/rpc/json.h"
#include "rookery/rpc/status.h"
#include "rookery/rpc/wire.h"
#include "rookery/runtime/await.h"
#include "rookery/runtime/clock.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/semaphore.h"
#include "rookery/runtime/sleep.h"

namespace rookery::contract {
namespace {

using google::protobuf::Message;

absl::string_view Abs(std::string_view text) { return {text.data(), text.size()}; }

// Waits until a socket is ready.
class Readiness final : public LeafAwaiter {
 public:
  Readiness(int fd, FdEvent event) noexcept : fd_(fd), event_(event) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    Suspend(handle);
    loop()->WaitFd(fd_, event_, &wait_);
  }
  void await_resume() noexcept { Resumed(); }

 private:
  struct Wait final : FdWait {
    explicit Wait(Readiness* o) noexcept
        : FdWait([](FdWait* self, bool) noexcept { static_cast<Wait*>(self)->owner->WakeLater(); }),
          owner(o) {}
    Readiness* owner;
  };
  const int fd_;
  const FdEvent event_;
  Wait wait_{this};
};

// A connection. Cut() may come from any thread, and ends whatever waits.
class Connection final {
 public:
  Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    if (fd_ >= 0) ::close(fd_);
  }

  [[nodiscard]] Task<bool> Open(std::string target) {
    const std::size_t colon = target.rfind(':');
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(target.substr(colon + 1))));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = -1;
    {
      const std::scoped_lock lock(mutex_);
      fd_ = fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    }
    if (fd < 0) co_return false;
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const int begun = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    if (begun != 0 && errno != EINPROGRESS) co_return false;
    Readiness ready(fd, FdEvent::kWritable);
    co_await ready;
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    co_return error == 0;
  }
  [[nodiscard]] Task<bool> Write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent > 0) {
        bytes.remove_prefix(static_cast<std::size_t>(sent));
        continue;
      }
      if (sent < 0 && errno != EAGAIN) co_return false;
      Readiness ready(fd_, FdEvent::kWritable);
      co_await ready;
    }
    co_return true;
  }
  // More into received; false: it is closed.
  [[nodiscard]] Task<bool> ReadMore() {
    for (;;) {
      char buffer[16384];
      const ssize_t got = ::recv(fd_, buffer, sizeof buffer, 0);
      if (got > 0) {
        received.append(buffer, static_cast<std::size_t>(got));
        co_return true;
      }
      if (got == 0 || errno != EAGAIN) co_return false;
      Readiness ready(fd_, FdEvent::kReadable);
      co_await ready;
    }
  }
  void Cut() noexcept {
    const std::scoped_lock lock(mutex_);
    if (fd_ >= 0) ::shutdown(fd_, SHUT_RDWR);
    cut_ = true;
  }
  [[nodiscard]] bool cut() noexcept {
    const std::scoped_lock lock(mutex_);
    return cut_;
  }

  std::string received;

 private:
  std::mutex mutex_;
  bool cut_ = false;
  int fd_ = -1;
};

// Cuts a connection at the call's deadline and with its cancellation, and says which it was.
class Watch final {
 public:
  Watch(Connection& connection, const OutgoingCall& call)
      : connection_(connection), call_(call), loop_(Loop::Current()) {
    if (call.deadline != kNoDeadline) loop_->Arm(&timer_, call.deadline);
    on_cancel_.Arm(
        call.cancel, [](void* self) noexcept { static_cast<Watch*>(self)->connection_.Cut(); },
        this);
  }
  ~Watch() {
    on_cancel_.Disarm();
    loop_->Disarm(&timer_);
  }
  // Why there was no answer.
  [[nodiscard]] absl::Status Reason(std::string_view otherwise) const {
    if (call_.cancel.cancelled()) return call_.cancel.reason();
    if (late_) return absl::DeadlineExceededError("Deadline Exceeded");
    return absl::UnavailableError(Abs(otherwise));
  }

 private:
  struct Timer final : LoopTimer {
    explicit Timer(Watch* o) noexcept
        : LoopTimer([](LoopTimer* self) noexcept {
            Watch* const watch = static_cast<Timer*>(self)->owner;
            watch->late_ = true;
            watch->connection_.Cut();
          }),
          owner(o) {}
    Watch* owner;
  };
  Connection& connection_;
  const OutgoingCall& call_;
  Loop* const loop_;
  Timer timer_{this};
  CancelCallback on_cancel_;
  bool late_ = false;
};

// The head of a request, but for its body.
std::string Head(const OutgoingCall& call, std::string_view verb, std::string_view more) {
  std::string head = absl::StrCat(Abs(verb), " ", Abs(call.method->full_name),
                                  " HTTP/1.1\r\nHost: gateway\r\n", Abs(more));
  for (const auto& [key, value] : call.metadata) {
    const bool plain = key == "x-request-id" || key == "traceparent" || key == "tracestate" ||
                       key == "baggage" || key == "authorization";
    absl::StrAppend(&head, plain ? "" : "Grpc-Metadata-", key, ": ",
                    Metadata::IsBinary(key) ? absl::Base64Escape(value) : value, "\r\n");
  }
  if (call.deadline != kNoDeadline) {
    absl::StrAppend(&head, "grpc-timeout: ", FormatTimeout(call.deadline - rookery::Now()), "\r\n");
  }
  return head;
}

absl::Status StatusOf(const std::string& json, int http_status) {
  google::rpc::Status proto;
  if (!JsonToMessage(json, &proto).ok()) {
    return absl::UnknownError(absl::StrCat("HTTP ", http_status, ": ", json));
  }
  return MakeStatus(proto.code(), proto.message(), proto.SerializeAsString());
}

// One head of an answer off the front of `text`.
struct AnswerHead {
  int status = 0;
  std::size_t length = 0;
  bool close = false;
};
AnswerHead TakeHead(std::string* text, std::size_t end, OutgoingCall* call) {
  AnswerHead head;
  std::string_view lines(text->data(), end + 2);
  head.status = std::atoi(std::string(lines.substr(9, 3)).c_str());
  lines.remove_prefix(lines.find("\r\n") + 2);
  while (!lines.empty()) {
    const std::size_t line_end = lines.find("\r\n");
    const std::string_view line = lines.substr(0, line_end);
    lines.remove_prefix(line_end + 2);
    const std::size_t colon = line.find(':');
    std::string name(line.substr(0, colon));
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    std::string value(line.substr(colon + 2));
    if (name == "content-length") head.length = std::stoul(value);
    if (name == "connection" && value == "close") head.close = true;
    Metadata* into = &call->headers;
    if (name.starts_with("grpc-trailer-")) {
      into = &call->trailers;
      name = name.substr(13);
    }
    if (Metadata::IsBinary(name)) {
      std::string bytes;
      if (absl::Base64Unescape(value, &bytes)) value = std::move(bytes);
    }
    into->AddUnchecked(name, value);
  }
  text->erase(0, end + 4);
  return head;
}

// Reads on until the head is there; its end, or npos when the connection is gone.
Task<std::size_t> ReadHead(Connection& connection) {
  for (;;) {
    const std::size_t end = connection.received.find("\r\n\r\n");
    if (end != std::string::npos) co_return end;
    Task<bool> read = connection.ReadMore();
    const bool more = co_await std::move(read);
    if (!more) co_return std::string::npos;
  }
}

class Shared final {
 public:
  Shared(std::string t, std::size_t m) : target(std::move(t)), max_bytes(m) {}
  [[nodiscard]] std::unique_ptr<Connection> Idle() {
    const std::scoped_lock lock(mutex_);
    if (idle_.empty()) return nullptr;
    std::unique_ptr<Connection> connection = std::move(idle_.back());
    idle_.pop_back();
    return connection;
  }
  void Keep(std::unique_ptr<Connection> connection) {
    const std::scoped_lock lock(mutex_);
    if (!closed.load()) idle_.push_back(std::move(connection));
  }
  void Close() {
    closed.store(true);
    const std::scoped_lock lock(mutex_);
    idle_.clear();
  }
  const std::string target;
  const std::size_t max_bytes;
  std::atomic<bool> closed{false};

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_;
};

// An open connection, or null when nobody answers in time.
Task<std::unique_ptr<Connection>> Dial(Shared& shared, const OutgoingCall& call) {
  for (;;) {
    auto connection = std::make_unique<Connection>();
    bool open = false;
    {
      const Watch watch(*connection, call);
      Task<bool> opening = connection->Open(shared.target);
      open = co_await std::move(opening);
    }
    if (open) co_return std::move(connection);
    if (!call.wait_for_ready || call.cancel.cancelled() || shared.closed.load() ||
        call.deadline <= rookery::Now()) {
      break;
    }
    co_await Sleep(std::chrono::milliseconds(10));
  }
  co_return std::unique_ptr<Connection>();
}

absl::Status WhyNot(const Shared& shared, const OutgoingCall& call) {
  if (call.cancel.cancelled()) return call.cancel.reason();
  if (call.deadline <= rookery::Now()) return absl::DeadlineExceededError("Deadline Exceeded");
  return absl::UnavailableError(absl::StrCat("nobody answers at ", shared.target));
}

Task<void> Post(std::shared_ptr<Shared> shared, OutgoingCall* call, const Message* request,
                Message* response) {
  std::string body;
  absl::Status status = AppendMessageAsJson(*request, {}, &body);
  if (!status.ok()) co_await Fail(std::move(status));
  if (shared->closed.load()) co_await Fail(absl::UnavailableError("the channel is closed"));
  const std::string bytes =
      absl::StrCat(Head(*call, "POST", "TE: trailers\r\nContent-Type: application/json\r\n"),
                   "Content-Length: ", body.size(), "\r\n\r\n", body);
  std::unique_ptr<Connection> connection = shared->Idle();
  bool reused = connection != nullptr;
  for (;;) {
    if (connection == nullptr) {
      Task<std::unique_ptr<Connection>> dial = Dial(*shared, *call);
      connection = co_await std::move(dial);
    }
    if (connection == nullptr) co_await Fail(WhyNot(*shared, *call));
    std::size_t end = std::string::npos;
    absl::Status reason;
    {
      const Watch watch(*connection, *call);
      Task<bool> write = connection->Write(bytes);
      // A server that refuses a body may not read it to its end, and still answer.
      (void)co_await std::move(write);
      Task<std::size_t> read = ReadHead(*connection);
      end = co_await std::move(read);
      reason = watch.Reason("the gateway closed the connection");
      if (end != std::string::npos) {
        const AnswerHead head = TakeHead(&connection->received, end, call);
        bool whole = true;
        while (connection->received.size() < head.length && whole) {
          Task<bool> more = connection->ReadMore();
          whole = co_await std::move(more);
        }
        reason = watch.Reason("the answer broke off");
        if (whole) {
          const std::string answer = connection->received.substr(0, head.length);
          connection->received.erase(0, head.length);
          status =
              head.status == 200 ? JsonToMessage(answer, response) : StatusOf(answer, head.status);
          if (head.status == 200 && response->ByteSizeLong() > shared->max_bytes) {
            status = absl::ResourceExhaustedError("the answer is too large");
          }
          if (head.close) connection->Cut();
        } else {
          status = reason;
          connection->Cut();
        }
      }
    }
    if (end != std::string::npos) break;
    if (!reused || call->cancel.cancelled() || call->deadline <= rookery::Now()) {
      co_await Fail(std::move(reason));
    }
    // An idle connection that the server had closed: no call was made of it.
    reused = false;
    connection.reset();
  }
  call->peer = shared->target;
  if (!connection->cut()) shared->Keep(std::move(connection));
  if (!status.ok()) co_await Fail(std::move(status));
}

// Any streaming kind, as a WebSocket.
class SocketStream final : public ClientStream {
 public:
  SocketStream(std::shared_ptr<Shared> shared, OutgoingCall& call)
      : shared_(std::move(shared)), call_(call) {}
  ~SocketStream() override {
    watch_.reset();
    if (connection_ != nullptr) connection_->Cut();
  }

  Task<bool> Write(const Message& message) override {
    std::string text;
    absl::Status status = AppendMessageAsJson(message, {}, &text);
    if (!status.ok()) {
      End(std::move(status));
      co_return false;
    }
    Task<bool> send = Send(std::move(text));
    co_return co_await std::move(send);
  }
  Task<void> WritesDone() override {
    Task<bool> send = Send("");
    (void)co_await std::move(send);
  }
  Task<bool> Read(Message& into) override {
    Task<bool> open = EnsureOpen();
    const bool opened = co_await std::move(open);
    while (opened && !ended_) {
      std::optional<Frame> frame = TakeFrame();
      if (!frame) {
        Task<bool> read = connection_->ReadMore();
        const bool more = co_await std::move(read);
        if (!more) End(watch_->Reason("the gateway closed the connection"));
        continue;
      }
      if (frame->opcode == 8) {
        const std::string& said = frame->payload;
        const int code = said.size() < 2 ? 0
                                         : (static_cast<unsigned char>(said[0]) << 8) |
                                               static_cast<unsigned char>(said[1]);
        absl::Status status = told_;
        if (code != 1000 && status.ok()) {
          status = absl::UnavailableError(absl::StrCat("closed with ", code));
        }
        End(std::move(status));
      } else if (frame->opcode == 1 && frame->payload.starts_with("{\"error\":{")) {
        told_ = StatusOf(frame->payload.substr(9, frame->payload.size() - 10), 0);
      } else if (frame->opcode == 1) {
        absl::Status status = JsonToMessage(frame->payload, &into);
        if (status.ok() && into.ByteSizeLong() > shared_->max_bytes) {
          status = absl::ResourceExhaustedError("a message is too large");
        }
        if (status.ok()) co_return true;
        Cancel(std::move(status));
      }
    }
    co_return false;
  }
  Task<absl::Status> Finish() override {
    const std::unique_ptr<Message> unread(call_.method->response().New());
    for (;;) {
      Task<bool> read = Read(*unread);
      const bool more = co_await std::move(read);
      if (!more) break;
    }
    call_.peer = shared_->target;
    const std::scoped_lock lock(mutex_);
    co_return status_;
  }
  void Cancel(absl::Status reason) noexcept override {
    End(std::move(reason));
    const std::scoped_lock lock(mutex_);
    if (connection_ != nullptr) connection_->Cut();
  }

 private:
  struct Frame {
    int opcode = 0;
    std::string payload;
  };
  void End(absl::Status status) noexcept {
    const std::scoped_lock lock(mutex_);
    if (ended_.exchange(true)) return;
    status_ = std::move(status);
  }
  Task<bool> EnsureOpen() {
    Semaphore::Permit permit = co_await opening_.Acquire();
    if (tried_) co_return connection_ != nullptr;
    tried_ = true;
    if (shared_->closed.load()) {
      End(absl::UnavailableError("the channel is closed"));
      co_return false;
    }
    Task<std::unique_ptr<Connection>> dial = Dial(*shared_, call_);
    std::unique_ptr<Connection> connection = co_await std::move(dial);
    if (connection == nullptr) {
      End(WhyNot(*shared_, call_));
      co_return false;
    }
    {
      const std::scoped_lock lock(mutex_);
      connection_ = std::move(connection);
      if (ended_) connection_->Cut();
    }
    watch_.emplace(*connection_, call_);
    const std::string head = absl::StrCat(
        Head(call_, "GET",
             "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
        "\r\n");
    Task<bool> write = connection_->Write(head);
    (void)co_await std::move(write);
    Task<std::size_t> read = ReadHead(*connection_);
    const std::size_t end = co_await std::move(read);
    if (end == std::string::npos) {
      End(watch_->Reason("the gateway closed the connection"));
      co_return false;
    }
    const AnswerHead answer = TakeHead(&connection_->received, end, &call_);
    if (answer.status == 101) co_return true;
    while (connection_->received.size() < answer.length) {
      Task<bool> more = connection_->ReadMore();
      const bool got = co_await std::move(more);
      if (!got) break;
    }
    End(StatusOf(connection_->received, answer.status));
    co_return false;
  }
  Task<bool> Send(std::string text) {
    Task<bool> open = EnsureOpen();
    const bool opened = co_await std::move(open);
    if (!opened || ended_) co_return false;
    std::string frame(1, '\x81');
    const std::size_t size = text.size();
    if (size < 126) {
      frame += static_cast<char>(0x80 | size);
    } else {
      const int bytes = size < 65536 ? 2 : 8;
      frame += static_cast<char>(0x80 | (bytes == 2 ? 126 : 127));
      for (int i = bytes - 1; i >= 0; --i) frame += static_cast<char>(size >> (8 * i));
    }
    // The mask must be there; zeroes change nothing.
    frame.append(4, '\0');
    frame += text;
    Task<bool> write = connection_->Write(frame);
    const bool written = co_await std::move(write);
    co_return written && !ended_;
  }
  // One whole frame of what has come; the server does not break messages up.
  std::optional<Frame> TakeFrame() {
    std::string& bytes = connection_->received;
    if (bytes.size() < 2) return std::nullopt;
    std::size_t length = static_cast<unsigned char>(bytes[1]) & 0x7f;
    std::size_t at = 2;
    const std::size_t more = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (bytes.size() < at + more) return std::nullopt;
    if (more > 0) length = 0;
    for (std::size_t i = 0; i < more; ++i) {
      length = length << 8 | static_cast<unsigned char>(bytes[at++]);
    }
    if (bytes.size() < at + length) return std::nullopt;
    Frame frame{bytes[0] & 0x0f, bytes.substr(at, length)};
    bytes.erase(0, at + length);
    return frame;
  }

  const std::shared_ptr<Shared> shared_;
  OutgoingCall& call_;
  Semaphore opening_{1};
  bool tried_ = false;
  std::mutex mutex_;
  std::unique_ptr<Connection> connection_;  // set once, under mutex_
  std::optional<Watch> watch_;
  std::atomic<bool> ended_{false};
  absl::Status status_;  // guarded by mutex_
  absl::Status told_;    // by the gateway's last message
};

class HttpChannel final : public Channel {
 public:
  HttpChannel(std::string target, std::size_t max_bytes)
      : shared_(std::make_shared<Shared>(std::move(target), max_bytes)) {}
  std::string_view transport() const noexcept override { return "http"; }
  std::string target() const override { return shared_->target; }
  ConnectionState state() const noexcept override {
    return shared_->closed.load() ? ConnectionState::kShutdown : ConnectionState::kIdle;
  }
  Task<void> Unary(OutgoingCall& call, const Message& request, Message& response) override {
    return Post(shared_, &call, &request, &response);
  }
  std::unique_ptr<ClientStream> Open(OutgoingCall& call) override {
    return std::make_unique<SocketStream>(shared_, call);
  }
  void Close() noexcept override { shared_->Close(); }

 private:
  const std::shared_ptr<Shared> shared_;
};

}  // namespace

std::shared_ptr<Channel> MakeHttpChannel(std::string target, std::size_t max_bytes) {
  return std::make_shared<HttpChannel>(std::move(target), max_bytes);
}

}  // namespace rookery::contract
