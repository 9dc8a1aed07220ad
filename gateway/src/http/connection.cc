#include "http/connection.h"

#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "http/grammar.h"
#include "http/websocket_codec.h"
#include "rookery/rpc/call_context.h"
#include "rookery/runtime/await.h"
#include "rookery/runtime/cancel.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/start.h"
#include "rookery/runtime/task.h"
#include "runtime/asio_loop.h"

namespace rookery::internal::gateway {
namespace {

using Socket =
    boost::asio::basic_stream_socket<boost::asio::ip::tcp, boost::asio::io_context::executor_type>;

// An idle connection holds one of these; a body that fills it gets the larger one.
constexpr std::size_t kSmallBuffer = 4096;
constexpr std::size_t kLargeBuffer = 65'536;
// What may wait for a peer before whoever writes is held up, and where he may go on.
constexpr std::size_t kHighWater = 65'536;
constexpr std::size_t kLowWater = 16'384;
// What is read and thrown away of a body that nobody wanted, or of a peer that is being refused.
constexpr std::size_t kMaxDiscard = 65'536;
constexpr std::chrono::milliseconds kLinger{1'000};
constexpr std::chrono::milliseconds kWebSocketGoodbye{5'000};

std::string_view ReasonOf(int status) noexcept {
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 426:
      return "Upgrade Required";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "";
  }
}

void AppendNumber(std::string* out, std::uint64_t number, int base = 10) {
  std::array<char, 24> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number, base).ptr;
  out->append(text.data(), static_cast<std::size_t>(end - text.data()));
}

// Those that are no headers are left out: what comes from users must not forge an answer.
void AppendHeaders(std::string* out, const HttpResponseHead& head) {
  for (const auto& [name, value] : head.headers) {
    if (!IsToken(name) || !IsFieldValue(value)) continue;
    const std::size_t at = out->size();
    out->resize(at + name.size() + value.size() + 4);
    char* to = out->data() + at;
    std::memcpy(to, name.data(), name.size());
    to += name.size();
    *to++ = ':';
    *to++ = ' ';
    std::memcpy(to, value.data(), value.size());
    to += value.size();
    *to++ = '\r';
    *to = '\n';
  }
}

absl::Status Gone() { return absl::CancelledError("the client went away"); }

enum class Filled : unsigned char { kNotYet, kData, kEnd, kTimeout, kCancelled };

class Connection;

// Waits for bytes from the peer.
class FillAwaiter final : public LeafAwaiter {
 public:
  explicit FillAwaiter(Connection* connection) noexcept : connection_(connection) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> handle);
  Filled await_resume();

  // Whether the caller ends the wait, and has to wake it.
  bool EndAs(Filled filled) noexcept {
    Filled expected = Filled::kNotYet;
    return filled_.compare_exchange_strong(expected, filled, std::memory_order_acq_rel);
  }

 private:
  Connection* connection_;
  std::atomic<Filled> filled_{Filled::kNotYet};
  CancelCallback on_cancel_;
};

// Waits until little enough is waiting for the peer.
class RoomAwaiter final : public LeafAwaiter {
 public:
  RoomAwaiter(Connection* connection, std::size_t limit) noexcept
      : connection_(connection), limit_(limit) {}
  bool await_ready() const noexcept;
  bool await_suspend(std::coroutine_handle<> handle);
  // Whether there is room; else the peer is gone, or the context was cancelled.
  bool await_resume();

  [[nodiscard]] std::size_t limit() const noexcept { return limit_; }
  bool End() noexcept { return !ended_.exchange(true, std::memory_order_acq_rel); }

 private:
  Connection* connection_;
  const std::size_t limit_;
  std::atomic<bool> ended_{false};
  CancelCallback on_cancel_;
};

class WebSocketSession;

class Connection final : public ConnectionNode, public HttpExchange {
 public:
  Connection(std::shared_ptr<Worker> worker, int fd, std::string address, bool refused)
      : worker_(std::move(worker)),
        state_(worker_->state()),
        socket_(AsioContext(worker_->loop())),
        fd_(fd),
        refused_(refused),
        parser_(state_.head_limits),
        buffer_(std::make_unique<char[]>(kSmallBuffer)),
        capacity_(kSmallBuffer) {
    peer_.address = std::move(address);
    boost::system::error_code error;
    socket_.assign(boost::asio::ip::tcp::v4(), fd, error);
    if (!error) socket_.non_blocking(true, error);
    if (error) {
      ::close(fd);
      aborted_ = true;
    }
    state_.connections.fetch_add(1, std::memory_order_relaxed);
  }
  ~Connection() override {
    SetBusy(false);
    state_.connections.fetch_sub(1, std::memory_order_acq_rel);
    if (state_.draining.load(std::memory_order_relaxed)) state_.Changed();
  }

  void Launch() {
    serving_ = Run();
    Start(serving_, nullptr, this, [](void* self, TaskPromise<void>& promise) noexcept {
      auto& connection = *static_cast<Connection*>(self);
      if (promise.failed()) ReportUnhandled("an HTTP connection", promise.TakeStatus());
      connection.ended_ = true;
      connection.CloseSocket();
      connection.MaybeDestroy();
    });
  }

  // ---- ConnectionNode; Abort is HttpExchange's, too
  void Tick(Deadline now) noexcept override;
  void StopIntake() noexcept override;
  bool Cancel(const absl::Status& reason) noexcept override;
  void Abort() noexcept override;

  // ---- HttpExchange
  const HttpRequest& request() const noexcept override { return parser_.request(); }
  const Peer& peer() const noexcept override { return peer_; }
  bool secure() const noexcept override { return ssl_ != nullptr; }
  CancelToken cancelled() noexcept override { return cancel_.token(); }
  CancelToken draining() noexcept override { return worker_->draining().token(); }
  bool has_body() const noexcept override {
    return parser_.framing().chunked || parser_.framing().length > 0;
  }
  std::optional<std::uint64_t> content_length() const noexcept override {
    if (parser_.framing().chunked) return std::nullopt;
    return parser_.framing().length;
  }
  Task<bool> Read(std::string* chunk) override;
  std::optional<std::string_view> TakeBuffered() noexcept override;
  void set_body_limit(std::uint64_t bytes) noexcept override { body_limit_ = bytes; }
  void set_streaming() noexcept override {
    streaming_ = true;
    total_deadline_ = kNoDeadline;
  }
  Task<bool> Respond(const HttpResponseHead& head, std::string_view body) override;
  Task<bool> Begin(const HttpResponseHead& head) override;
  Task<bool> Write(std::string_view bytes) override;
  Task<bool> End() override;
  bool answered() const noexcept override { return answer_ != Answer::kNone; }
  bool wants_websocket() const noexcept override;
  Task<std::unique_ptr<WebSocket>> UpgradeToWebSocket(const HttpResponseHead& head,
                                                      std::size_t message_limit) override;

 private:
  friend class FillAwaiter;
  friend class RoomAwaiter;
  friend class WebSocketSession;

  enum class Answer : std::uint8_t { kNone, kBegun, kWhole, kWebSocket };
  struct Work final : LoopWork {
    Work(Connection* owner, Run function) noexcept : LoopWork(function), connection(owner) {}
    Connection* connection;
  };

  Task<void> Run();
  Task<bool> Handshake();
  // Sends what is left, and waits for the peer to hear of it if it may still be sending.
  Task<void> Goodbye(bool linger);
  // Whether the connection goes on.
  bool FinishExchange(const absl::Status& served);
  void BeginExchange();
  void RespondWithError(int status, std::string_view what, bool close);
  Task<bool> DiscardBody();
  absl::Status FailBody(int status, absl::StatusCode code, std::string_view what);

  // ---- input
  [[nodiscard]] std::string_view input() const noexcept {
    return {buffer_.get() + begin_, end_ - begin_};
  }
  // Begins a read unless one is under way; nothing moves in the buffer if `keep`. Whether bytes, or
  // the end, are there already.
  bool StartRead(bool keep);
  void OnRead(const boost::system::error_code& error, std::size_t size) noexcept;
  void OnReadable(const boost::system::error_code& error) noexcept;
  void GotInput() noexcept;
  // TLS: what has been decrypted already. Whether anything came, or the end.
  bool ReadTls() noexcept;
  void NoteEnd() noexcept;
  void WakeReader(Filled filled) noexcept {
    if (reader_ != nullptr && reader_->EndAs(filled)) std::exchange(reader_, nullptr)->Wake();
  }
  [[nodiscard]] FillAwaiter Fill(Deadline until) noexcept {
    read_deadline_ = until;
    return FillAwaiter(this);
  }

  // ---- output
  [[nodiscard]] std::size_t unsent() const noexcept { return out_.size() - sent_; }
  void Flush() noexcept;
  void OnWritable(const boost::system::error_code& error) noexcept;
  [[nodiscard]] RoomAwaiter Room(std::size_t limit) noexcept { return RoomAwaiter(this, limit); }
  void WakeWriterLater() noexcept {
    if (writer_ != nullptr && writer_->End()) std::exchange(writer_, nullptr)->WakeLater();
  }
  void AppendHead(const HttpResponseHead& head, std::optional<std::uint64_t> length, bool chunked);
  void PostFlush() noexcept {
    if (std::exchange(flush_posted_, true)) return;
    worker_->loop().Post(&flush_work_);
  }

  // Whether a request has come and has not been read yet: it is still served when a drain begins.
  [[nodiscard]] bool HasArrived() const noexcept {
    int waiting = 0;
    return ::ioctl(fd_, FIONREAD, &waiting) == 0 && waiting > 0;
  }
  void CloseSocket() noexcept;
  void MaybeDestroy() noexcept {
    if (ended_ && !read_pending_ && !write_pending_ && !flush_posted_ && !destroying_) {
      destroying_ = true;
      worker_->loop().Post(&destroy_work_);
    }
  }
  void SetBusy(bool busy) noexcept {
    if (busy_ == busy) return;
    busy_ = busy;
    if (busy) {
      state_.busy.fetch_add(1, std::memory_order_relaxed);
    } else {
      state_.busy.fetch_sub(1, std::memory_order_acq_rel);
      if (state_.draining.load(std::memory_order_relaxed)) state_.Changed();
    }
  }
  [[nodiscard]] bool bodiless(int status) const noexcept {
    return status < 200 || status == 204 || status == 304;
  }
  // A WebSocket's frames, as far as they have come.
  void Pump() noexcept;

  const std::shared_ptr<Worker> worker_;
  ServerState& state_;
  Socket socket_;
  int fd_;
  SslPtr ssl_;
  const bool refused_;
  Peer peer_;
  Task<void> serving_{nullptr};
  HeadParser parser_;
  BodyDecoder body_;
  CancelSource cancel_;

  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool read_pending_ = false;
  bool filled_up_ = false;  // the last read took all the room there was
  bool end_of_input_ = false;
  bool shaking_ = false;  // in the TLS handshake: only readiness is of interest
  FillAwaiter* reader_ = nullptr;
  Deadline read_deadline_ = kNoDeadline;

  std::string out_;
  std::size_t sent_ = 0;
  bool write_pending_ = false;
  RoomAwaiter* writer_ = nullptr;
  Deadline write_deadline_ = kNoDeadline;

  bool aborted_ = false;  // the socket is closed
  bool ended_ = false;    // nothing runs any more
  bool destroying_ = false;
  bool flush_posted_ = false;
  bool busy_ = false;
  bool idle_ = false;  // waits for the first byte of a request
  std::size_t requests_ = 0;

  // Of the exchange.
  bool active_ = false;
  Answer answer_ = Answer::kNone;
  bool head_only_ = false;  // HEAD
  bool in_chunks_ = false;
  bool close_ = false;
  bool continue_wanted_ = false;
  bool streaming_ = false;
  bool total_reported_ = false;
  int body_status_ = 0;  // why the body cannot be had: 400, 408, 413
  std::string_view body_what_;
  std::uint64_t body_limit_ = 0;
  std::uint64_t body_bytes_ = 0;
  Deadline body_deadline_ = kNoDeadline;
  Deadline total_deadline_ = kNoDeadline;

  std::unique_ptr<WebSocketParser> frames_;
  bool message_ready_ = false;
  bool ws_closed_by_peer_ = false;  // its close frame, or what was no frame, has come
  bool ws_close_sent_ = false;
  absl::Status ws_fault_;
  Deadline last_sign_{};
  bool pinged_ = false;

  Work flush_work_{this, [](LoopWork* self) noexcept {
                     Connection& connection = *static_cast<Work*>(self)->connection;
                     connection.flush_posted_ = false;
                     connection.Flush();
                     connection.MaybeDestroy();
                   }};
  Work destroy_work_{this, [](LoopWork* self) noexcept {
                       Connection* const connection = static_cast<Work*>(self)->connection;
                       const std::shared_ptr<Worker> worker = connection->worker_;
                       worker->Remove(connection);
                     }};
};

// ---- awaiters -------------------------------------------------------------------------------

bool FillAwaiter::await_suspend(std::coroutine_handle<> handle) {
  Connection& connection = *connection_;
  if (connection.end_of_input_ || connection.aborted_) {
    filled_.store(Filled::kEnd, std::memory_order_relaxed);
    return false;
  }
  if (connection.StartRead(/*keep=*/false)) {
    filled_.store(connection.end_of_input_ && connection.begin_ == connection.end_ ? Filled::kEnd
                                                                                   : Filled::kData,
                  std::memory_order_relaxed);
    return false;
  }
  Suspend(handle);
  if (context() != nullptr && context()->cancelled()) {
    filled_.store(Filled::kCancelled, std::memory_order_relaxed);
    return false;
  }
  connection.reader_ = this;
  // Wakes by a post, which cannot run before this returns: both are on the loop's thread.
  if (context() != nullptr) {
    on_cancel_.Arm(
        context()->cancel_token(),
        [](void* self) noexcept {
          auto* const waiting = static_cast<FillAwaiter*>(self);
          if (waiting->EndAs(Filled::kCancelled)) waiting->WakeLater();
        },
        this);
  }
  return true;
}

Filled FillAwaiter::await_resume() {
  Resumed();
  on_cancel_.Disarm();
  if (connection_->reader_ == this) connection_->reader_ = nullptr;
  return filled_.load(std::memory_order_acquire);
}

bool RoomAwaiter::await_ready() const noexcept {
  return connection_->aborted_ || connection_->unsent() <= limit_;
}

bool RoomAwaiter::await_suspend(std::coroutine_handle<> handle) {
  Suspend(handle);
  if (context() != nullptr && context()->cancelled()) return false;
  connection_->writer_ = this;
  if (context() != nullptr) {
    on_cancel_.Arm(
        context()->cancel_token(),
        [](void* self) noexcept {
          auto* const waiting = static_cast<RoomAwaiter*>(self);
          if (waiting->End()) waiting->WakeLater();
        },
        this);
  }
  return true;
}

bool RoomAwaiter::await_resume() {
  Resumed();
  on_cancel_.Disarm();
  if (connection_->writer_ == this) connection_->writer_ = nullptr;
  return !connection_->aborted_ && connection_->unsent() <= limit_;
}

absl::Status CancelReason() {
  Context* const context = Context::Current();
  return context != nullptr && context->cancelled() ? context->cancel_source().reason() : Gone();
}

// ---- input ----------------------------------------------------------------------------------

bool Connection::StartRead(bool keep) {
  if (read_pending_ || end_of_input_ || aborted_) return false;
  if (!keep && begin_ == end_) {
    begin_ = end_ = 0;
    if (filled_up_ && capacity_ < kLargeBuffer && active_) {
      buffer_ = std::make_unique<char[]>(kLargeBuffer);
      capacity_ = kLargeBuffer;
    } else if (capacity_ > kSmallBuffer && !active_) {
      buffer_ = std::make_unique<char[]>(kSmallBuffer);
      capacity_ = kSmallBuffer;
    }
    filled_up_ = false;
  } else if (!keep && begin_ > 0) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == capacity_ && !shaking_) return false;
  if (ssl_ == nullptr) {
    read_pending_ = true;
    socket_.async_read_some(
        boost::asio::buffer(buffer_.get() + end_, capacity_ - end_),
        [this](const boost::system::error_code& error, std::size_t size) { OnRead(error, size); });
    return false;
  }
  if (!shaking_ && ReadTls()) return true;
  read_pending_ = true;
  socket_.async_wait(Socket::wait_read,
                     [this](const boost::system::error_code& error) { OnReadable(error); });
  return false;
}

bool Connection::ReadTls() noexcept {
  const std::size_t before = end_;
  while (end_ < capacity_) {
    ERR_clear_error();
    const int got = SSL_read(ssl_.get(), buffer_.get() + end_, static_cast<int>(capacity_ - end_));
    if (got > 0) {
      end_ += static_cast<std::size_t>(got);
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), got);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) NoteEnd();
    break;
  }
  filled_up_ = end_ == capacity_;
  return end_ > before || end_of_input_;
}

void Connection::OnRead(const boost::system::error_code& error, std::size_t size) noexcept {
  read_pending_ = false;
  const RunningScope running("http");
  if (ended_) {
    MaybeDestroy();
    return;
  }
  if (error) {
    NoteEnd();
  } else {
    end_ += size;
    filled_up_ = end_ == capacity_;
  }
  GotInput();
}

void Connection::OnReadable(const boost::system::error_code& error) noexcept {
  read_pending_ = false;
  const RunningScope running("http");
  if (ended_) {
    MaybeDestroy();
    return;
  }
  if (error || aborted_) {
    NoteEnd();
  } else if (!shaking_ && !ReadTls()) {
    // A part of a record.
    static_cast<void>(StartRead(/*keep=*/true));
    if (read_pending_) return;
  }
  GotInput();
}

void Connection::GotInput() noexcept {
  last_sign_ = worker_->now();
  pinged_ = false;
  if (frames_ != nullptr && !end_of_input_) Pump();
  if (reader_ != nullptr) {
    WakeReader(end_of_input_ && begin_ == end_ ? Filled::kEnd : Filled::kData);
  } else if (active_ && !end_of_input_) {
    // Nobody reads, yet the client's going must be noticed.
    static_cast<void>(StartRead(/*keep=*/true));
  }
}

void Connection::NoteEnd() noexcept {
  if (std::exchange(end_of_input_, true)) return;
  if (active_) cancel_.Cancel(Gone());
}

// ---- output ---------------------------------------------------------------------------------

void Connection::Flush() noexcept {
  if (aborted_ || write_pending_) return;
  while (unsent() > 0) {
    if (ssl_ != nullptr) {
      ERR_clear_error();
      const std::size_t size = std::min(unsent(), std::size_t{1} << 20);
      const int sent = SSL_write(ssl_.get(), out_.data() + sent_, static_cast<int>(size));
      if (sent > 0) {
        sent_ += static_cast<std::size_t>(sent);
        continue;
      }
      if (SSL_get_error(ssl_.get(), sent) != SSL_ERROR_WANT_WRITE) {
        Abort();
        return;
      }
    } else {
      const ssize_t sent = ::send(fd_, out_.data() + sent_, unsent(), MSG_NOSIGNAL);
      if (sent >= 0) {
        sent_ += static_cast<std::size_t>(sent);
        continue;
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) {
        Abort();
        return;
      }
    }
    write_pending_ = true;
    write_deadline_ = worker_->After(state_.limits.write_idle);
    socket_.async_wait(Socket::wait_write,
                       [this](const boost::system::error_code& error) { OnWritable(error); });
    return;
  }
  if (out_.capacity() > 4 * kHighWater) {
    std::string().swap(out_);
  } else {
    out_.clear();
  }
  sent_ = 0;
  write_deadline_ = kNoDeadline;
}

void Connection::OnWritable(const boost::system::error_code& error) noexcept {
  write_pending_ = false;
  const RunningScope running("http");
  if (ended_) {
    MaybeDestroy();
    return;
  }
  if (error || aborted_) return;
  Flush();
  if (idle_ && unsent() == 0) {
    SetBusy(false);
    if (state_.draining.load(std::memory_order_relaxed)) WakeReader(Filled::kEnd);
    return;
  }
  if (writer_ != nullptr && unsent() <= writer_->limit() && writer_->End()) {
    std::exchange(writer_, nullptr)->Wake();
  }
}

void Connection::AppendHead(const HttpResponseHead& head, std::optional<std::uint64_t> length,
                            bool chunked) {
  const HttpRequest& asked = parser_.request();
  const Framing& framing = parser_.framing();
  close_ = close_ || !framing.keep_alive || state_.draining.load(std::memory_order_relaxed) ||
           (state_.limits.requests_per_connection != 0 &&
            requests_ >= state_.limits.requests_per_connection);
  // What nobody wants of a long body is not waited for; nor is one that waits for leave.
  if (!body_.done() && (continue_wanted_ || (!body_.chunked() && body_.left() > kMaxDiscard))) {
    close_ = true;
  }
  if (head.status == 200) {
    out_.append("HTTP/1.1 200 OK\r\n");
  } else {
    out_.append("HTTP/1.1 ");
    AppendNumber(&out_, static_cast<std::uint64_t>(head.status));
    out_.append(" ").append(ReasonOf(head.status)).append("\r\n");
  }
  out_.append(worker_->date()).append(head.prepared);
  AppendHeaders(&out_, head);
  if (length.has_value()) {
    out_.append("Content-Length: ");
    AppendNumber(&out_, *length);
    out_.append("\r\n");
  }
  if (chunked) out_.append("Transfer-Encoding: chunked\r\n");
  if (close_) {
    out_.append("Connection: close\r\n");
  } else if (asked.version == 10) {
    out_.append("Connection: keep-alive\r\n");
  }
  out_.append("\r\n");
}

void Connection::RespondWithError(int status, std::string_view what, bool close) {
  state_.CountRejected(status);
  answer_ = Answer::kWhole;
  close_ = close_ || close;
  HttpResponseHead head(status);
  head.Add("Content-Type", "application/json");
  if (status == 503) head.Add("Retry-After", std::to_string(state_.retry_after.count()));
  const std::string body = state_.application->ErrorBody(status, what);
  AppendHead(head, body.size(), false);
  if (!head_only_) out_.append(body);
}

// ---- the exchange ---------------------------------------------------------------------------

void Connection::BeginExchange() {
  SetBusy(true);
  active_ = true;
  ++requests_;
  if (cancel_.cancelled()) cancel_.Reset();
  const Framing& framing = parser_.framing();
  body_.Reset(framing, state_.head_limits);
  answer_ = Answer::kNone;
  head_only_ = parser_.request().method == "HEAD";
  in_chunks_ = false;
  close_ = false;
  continue_wanted_ = framing.expects_continue;
  streaming_ = false;
  total_reported_ = false;
  body_status_ = 0;
  body_limit_ = state_.limits.body;
  body_bytes_ = 0;
  body_deadline_ = kNoDeadline;
  total_deadline_ = state_.limits.request_time.count() == 0
                        ? kNoDeadline
                        : worker_->After(state_.limits.request_time);
  // While the handler runs the client may go. (The next request may come as well; its bytes wait.)
  static_cast<void>(StartRead(/*keep=*/false));
}

bool Connection::FinishExchange(const absl::Status& served) {
  active_ = false;
  total_deadline_ = kNoDeadline;
  if (!served.ok()) ReportUnhandled("an HTTP exchange", served);
  if (aborted_) return false;
  switch (answer_) {
    case Answer::kNone:
      if (body_status_ != 0) {
        RespondWithError(body_status_, body_what_, /*close=*/true);
      } else if (cancel_.cancelled()) {
        RespondWithError(503, "the request took too long", /*close=*/true);
      } else {
        RespondWithError(500, "the request was not answered", /*close=*/true);
      }
      break;
    case Answer::kBegun:
      Abort();
      return false;
    case Answer::kWebSocket:
      return false;
    case Answer::kWhole:
      break;
  }
  return !close_;
}

absl::Status Connection::FailBody(int status, absl::StatusCode code, std::string_view what) {
  body_status_ = status;
  body_what_ = what;
  close_ = true;
  return absl::Status(code, absl::string_view(what.data(), what.size()));
}

Task<bool> Connection::Read(std::string* chunk) {
  if (body_status_ != 0) {
    absl::Status again = absl::FailedPreconditionError("the body was given up before");
    co_await Fail(std::move(again));
  }
  const Framing& framing = parser_.framing();
  if (!framing.chunked && framing.length > body_limit_) {
    absl::Status large =
        FailBody(413, absl::StatusCode::kResourceExhausted, "the body is too large");
    co_await Fail(std::move(large));
  }
  const std::size_t before = chunk->size();
  absl::Status failure;
  for (;;) {
    std::string_view bytes = input();
    std::string_view data;
    const BodyDecoder::Result decoded = body_.Feed(&bytes, &data);
    begin_ = end_ - bytes.size();
    if (decoded == BodyDecoder::kData) {
      body_bytes_ += data.size();
      if (body_bytes_ > body_limit_) {
        failure = FailBody(413, absl::StatusCode::kResourceExhausted, "the body is too large");
        break;
      }
      chunk->append(data);
      continue;
    }
    if (chunk->size() > before) co_return true;
    if (decoded == BodyDecoder::kEnd) co_return false;
    if (decoded == BodyDecoder::kFault) {
      failure = FailBody(400, absl::StatusCode::kInvalidArgument, body_.what());
      break;
    }
    if (std::exchange(continue_wanted_, false) && answer_ == Answer::kNone) {
      out_.append("HTTP/1.1 100 Continue\r\n\r\n");
    }
    Flush();
    const HttpLimits& limits = state_.limits;
    Deadline until = worker_->After(streaming_ ? limits.idle : limits.body_idle);
    if (!streaming_) {
      if (body_deadline_ == kNoDeadline) body_deadline_ = worker_->After(limits.body_time);
      until = std::min(until, body_deadline_);
    }
    const Filled filled = co_await Fill(until);
    if (filled == Filled::kData) continue;
    if (filled == Filled::kTimeout) {
      failure = FailBody(408, absl::StatusCode::kDeadlineExceeded, "the body came too slowly");
    } else if (filled == Filled::kCancelled) {
      close_ = true;
      failure = CancelReason();
    } else {
      close_ = true;
      failure = Gone();
    }
    break;
  }
  co_await Fail(std::move(failure));
  co_return false;
}

std::optional<std::string_view> Connection::TakeBuffered() noexcept {
  const Framing& framing = parser_.framing();
  if (body_.done()) return body_bytes_ == 0 ? std::optional<std::string_view>("") : std::nullopt;
  if (framing.chunked || body_bytes_ != 0 || body_status_ != 0 || framing.length > body_limit_ ||
      framing.length > end_ - begin_) {
    return std::nullopt;
  }
  std::string_view bytes = input();
  std::string_view data;
  static_cast<void>(body_.Feed(&bytes, &data));
  begin_ = end_ - bytes.size();
  body_bytes_ = data.size();
  continue_wanted_ = false;
  return data;
}

Task<bool> Connection::DiscardBody() {
  std::size_t discarded = 0;
  const Deadline until = worker_->After(state_.limits.body_idle);
  for (;;) {
    std::string_view bytes = input();
    std::string_view data;
    const BodyDecoder::Result decoded = body_.Feed(&bytes, &data);
    discarded += end_ - begin_ - bytes.size();
    begin_ = end_ - bytes.size();
    if (decoded == BodyDecoder::kEnd) co_return true;
    if (decoded == BodyDecoder::kFault || discarded > kMaxDiscard) co_return false;
    if (decoded == BodyDecoder::kData) continue;
    Flush();
    const Filled filled = co_await Fill(until);
    if (filled != Filled::kData) co_return false;
  }
}

Task<bool> Connection::Respond(const HttpResponseHead& head, std::string_view body) {
  if (answer_ != Answer::kNone || aborted_) co_return false;
  answer_ = Answer::kWhole;
  const bool none = bodiless(head.status);
  // RFC 9110, 8.6: none with 1xx and 204; with 304 that of the 200.
  AppendHead(head,
             none && !(head.status == 304 && !body.empty())
                 ? std::nullopt
                 : std::optional<std::uint64_t>(body.size()),
             false);
  if (!none && !head_only_) out_.append(body);
  co_return true;
}

Task<bool> Connection::Begin(const HttpResponseHead& head) {
  if (answer_ != Answer::kNone || aborted_) co_return false;
  answer_ = Answer::kBegun;
  total_deadline_ = kNoDeadline;
  const bool none = bodiless(head.status);
  in_chunks_ = !none && parser_.request().version == 11;
  // To HTTP/1.0 the end of the connection is the end of the body.
  if (!none && !in_chunks_) close_ = true;
  if (none) head_only_ = true;
  AppendHead(head, std::nullopt, in_chunks_);
  Flush();
  co_return !aborted_;
}

Task<bool> Connection::Write(std::string_view bytes) {
  if (answer_ != Answer::kBegun || aborted_) co_return false;
  if (bytes.empty() || head_only_) co_return true;
  if (sent_ > kHighWater) {
    out_.erase(0, sent_);
    sent_ = 0;
  }
  if (in_chunks_) {
    AppendNumber(&out_, bytes.size(), 16);
    out_.append("\r\n");
  }
  out_.append(bytes);
  if (in_chunks_) out_.append("\r\n");
  Flush();
  if (unsent() > kHighWater) {
    const bool room = co_await Room(kLowWater);
    if (!room) co_return false;
  }
  co_return !aborted_;
}

Task<bool> Connection::End() {
  if (answer_ != Answer::kBegun || aborted_) co_return false;
  answer_ = Answer::kWhole;
  if (in_chunks_ && !head_only_) out_.append("0\r\n\r\n");
  co_return true;
}

// ---- the connection -------------------------------------------------------------------------

Task<bool> Connection::Handshake() {
  ssl_ = state_.tls->NewSession(fd_);
  if (ssl_ == nullptr) co_return false;
  const Deadline until = worker_->After(state_.limits.header_time);
  shaking_ = true;
  for (;;) {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_.get());
    if (result == 1) break;
    const int error = SSL_get_error(ssl_.get(), result);
    // A flight of ours fits into any socket's buffer: nothing else is waited for.
    if (error == SSL_ERROR_WANT_READ) {
      const Filled filled = co_await Fill(until);
      if (filled == Filled::kData) continue;
      co_return false;
    }
    const bool plain = ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST;
    ERR_clear_error();
    shaking_ = false;
    if (plain) {
      ssl_.reset();
      RespondWithError(400, "this port speaks TLS: use https", /*close=*/true);
    } else {
      state_.CountRejected(401);
    }
    co_return false;
  }
  shaking_ = false;
  ReadIdentity(ssl_.get(), &peer_);
  co_return true;
}

Task<void> Connection::Goodbye(bool linger) {
  idle_ = false;
  Flush();
  const bool sent = co_await Room(0);
  SetBusy(false);
  if (!sent || aborted_) co_return;
  if (ssl_ != nullptr) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }
  ::shutdown(fd_, SHUT_WR);
  if (!linger) co_return;
  // To close while the peer sends would reset the connection, and destroy what it has not read.
  frames_.reset();
  const Deadline until = worker_->After(kLinger);
  std::size_t discarded = 0;
  for (;;) {
    discarded += end_ - begin_;
    begin_ = end_;
    if (discarded > 4 * kMaxDiscard) co_return;
    const Filled filled = co_await Fill(until);
    if (filled != Filled::kData) co_return;
  }
}

Task<void> Connection::Run() {
  bool linger = true;
  if (aborted_) co_return;
  if (refused_) {
    if (state_.tls != nullptr) co_return;
    RespondWithError(503, "there are too many connections", /*close=*/true);
    co_await Goodbye(linger);
    co_return;
  }
  if (state_.tls != nullptr) {
    const bool shaken = co_await Handshake();
    if (!shaken) {
      if (unsent() > 0) co_await Goodbye(linger);
      co_return;
    }
  }
  const HttpLimits& limits = state_.limits;
  std::size_t batch = 0;
  for (;;) {
    parser_.Reset();
    head_only_ = false;
    body_.Reset(parser_.framing(), state_.head_limits);
    HeadParser::Result parsed = HeadParser::kMore;
    Deadline head_deadline = kNoDeadline;
    for (;;) {
      std::string_view bytes = input();
      parsed = parser_.Feed(&bytes);
      begin_ = end_ - bytes.size();
      if (parsed != HeadParser::kMore) break;
      batch = 0;
      Flush();
      if (aborted_) co_return;
      if (unsent() > kHighWater) {
        const bool room = co_await Room(kLowWater);
        if (!room) co_return;
      }
      Deadline until = kNoDeadline;
      idle_ = !parser_.begun();
      if (idle_) {
        if (unsent() == 0) {
          SetBusy(false);
          if (state_.draining.load(std::memory_order_acquire) && !HasArrived()) break;
        }
        until = worker_->After(requests_ == 0 ? limits.header_time : limits.idle);
      } else {
        SetBusy(true);
        if (head_deadline == kNoDeadline) head_deadline = worker_->After(limits.header_time);
        until = head_deadline;
      }
      const Filled filled = co_await Fill(until);
      const bool idle = std::exchange(idle_, false);
      if (filled == Filled::kData) continue;
      if (!idle && filled == Filled::kTimeout) {
        RespondWithError(408, "the headers came too slowly", /*close=*/true);
      } else {
        linger = false;
      }
      break;
    }
    if (parsed == HeadParser::kMore) break;
    if (parsed == HeadParser::kFault) {
      SetBusy(true);
      RespondWithError(parser_.fault().status, parser_.fault().what, /*close=*/true);
      break;
    }

    BeginExchange();
    // Answers to earlier requests shall not wait for this one's, if it takes its time.
    if (unsent() > 0) PostFlush();
    Task<void> exchange = state_.application->Serve(*this);
    const absl::Status served = co_await AsStatusOr(std::move(exchange));
    co_await ResumeOn(worker_->loop());
    const bool goes_on = FinishExchange(served);
    if (!goes_on) {
      linger = !body_.done() || begin_ < end_ || answer_ == Answer::kWebSocket || !end_of_input_;
      break;
    }
    if (!body_.done()) {
      const bool discarded = co_await DiscardBody();
      if (!discarded) break;
    }
    if (++batch >= limits.pipelined || unsent() > kHighWater) {
      batch = 0;
      Flush();
      const bool room = co_await Room(kHighWater);
      if (!room) co_return;
    }
  }
  if (!aborted_) co_await Goodbye(linger);
}

void Connection::Tick(Deadline now) noexcept {
  if (ended_) return;
  if (write_pending_ && now >= write_deadline_) {
    Abort();
    return;
  }
  if (active_ && now >= total_deadline_) {
    if (std::exchange(total_reported_, true)) {
      Abort();
      return;
    }
    total_deadline_ = worker_->After(state_.limits.write_idle);
    cancel_.Cancel(absl::DeadlineExceededError("the request took too long"));
  }
  if (frames_ != nullptr && !ws_close_sent_) {
    const auto silent = now - last_sign_;
    const auto ping = state_.limits.websocket_ping + state_.tick;
    if (silent >= 2 * ping) {
      Abort();
      return;
    }
    if (silent >= ping && !std::exchange(pinged_, true)) {
      AppendWebSocketFrame(&out_, kWebSocketPing, {});
      Flush();
    }
  }
  if (reader_ != nullptr && now >= read_deadline_) WakeReader(Filled::kTimeout);
}

void Connection::StopIntake() noexcept {
  if (!idle_ || unsent() > 0) return;
  if (!HasArrived()) WakeReader(Filled::kEnd);
}

bool Connection::Cancel(const absl::Status& reason) noexcept {
  if (!active_) return false;
  cancel_.Cancel(reason);
  if (frames_ != nullptr && !std::exchange(ws_close_sent_, true)) {
    // Whoever reads or writes need not listen to the cancellation: for him the peer is gone.
    AppendWebSocketClose(&out_, 1001, "the server is going away");
    Flush();
    ws_closed_by_peer_ = true;
    if (reader_ != nullptr && reader_->EndAs(Filled::kEnd)) {
      std::exchange(reader_, nullptr)->WakeLater();
    }
  }
  return true;
}

void Connection::Abort() noexcept {
  if (aborted_) return;
  if (answer_ == Answer::kBegun && !in_chunks_) {
    // The end of the connection would be taken for the end of the body: reset it.
    const linger hard = {1, 0};
    static_cast<void>(::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard));
  }
  CloseSocket();
  NoteEnd();
  if (reader_ != nullptr && reader_->EndAs(Filled::kEnd)) {
    std::exchange(reader_, nullptr)->WakeLater();
  }
  WakeWriterLater();
}

void Connection::CloseSocket() noexcept {
  if (std::exchange(aborted_, true)) return;
  boost::system::error_code ignored;
  socket_.close(ignored);
  fd_ = -1;
}

// ---- WebSocket ------------------------------------------------------------------------------

class WebSocketSession final : public WebSocket {
 public:
  explicit WebSocketSession(Connection* connection) noexcept : connection_(*connection) {}
  ~WebSocketSession() override {
    if (!connection_.ws_closed_by_peer_ && !closed_) connection_.Abort();
  }

  Task<bool> Read(std::string* message, WebSocketKind* kind) override {
    Connection& c = connection_;
    for (;;) {
      if (c.message_ready_) {
        message->swap(c.frames_->message());
        *kind = c.frames_->binary() ? WebSocketKind::kBinary : WebSocketKind::kText;
        c.message_ready_ = false;
        c.Pump();
        co_return true;
      }
      if (!c.ws_fault_.ok()) {
        absl::Status fault = std::exchange(c.ws_fault_, absl::OkStatus());
        co_await Fail(std::move(fault));
      }
      if (c.ws_closed_by_peer_ || closed_) co_return false;
      const Filled filled = co_await c.Fill(kNoDeadline);
      if (filled == Filled::kCancelled) {
        absl::Status reason = CancelReason();
        co_await Fail(std::move(reason));
      }
      if (filled == Filled::kEnd && !c.message_ready_) co_return false;
      // What TLS had in stock has not been looked at yet.
      if (!c.message_ready_) c.Pump();
    }
  }

  Task<bool> Write(std::string_view message, WebSocketKind kind) override {
    Connection& c = connection_;
    if (c.aborted_ || c.ws_close_sent_) co_return false;
    if (c.sent_ > kHighWater) {
      c.out_.erase(0, c.sent_);
      c.sent_ = 0;
    }
    AppendWebSocketFrame(&c.out_, kind == WebSocketKind::kText ? kWebSocketText : kWebSocketBinary,
                         message);
    c.Flush();
    if (c.unsent() > kHighWater) {
      const bool room = co_await c.Room(kLowWater);
      if (!room) co_return false;
    }
    co_return !c.aborted_;
  }

  Task<void> Close(std::uint16_t code, std::string_view reason) override {
    Connection& c = connection_;
    if (std::exchange(closed_, true) || c.aborted_) co_return;
    if (!std::exchange(c.ws_close_sent_, true)) AppendWebSocketClose(&c.out_, code, reason);
    c.Flush();
    const Deadline until = c.worker_->After(kWebSocketGoodbye);
    if (c.reader_ != nullptr) {
      // A Read that is under way hears the peer's goodbye, or ends with the time for it.
      c.read_deadline_ = until;
      co_return;
    }
    for (;;) {
      c.message_ready_ = false;
      c.Pump();
      if (c.message_ready_) continue;
      if (c.ws_closed_by_peer_ || c.aborted_) co_return;
      const Filled filled = co_await c.Fill(until);
      if (filled != Filled::kData) co_return;
    }
  }

 private:
  Connection& connection_;
  bool closed_ = false;
};

void Connection::Pump() noexcept {
  while (!message_ready_ && !ws_closed_by_peer_) {
    std::string_view bytes = input();
    const WebSocketParser::Result result = frames_->Feed(&bytes);
    begin_ = end_ - bytes.size();
    switch (result) {
      case WebSocketParser::kMore:
        // Also while nobody reads: pings are answered, and a peer that goes is noticed.
        if (StartRead(/*keep=*/false) && !end_of_input_) continue;
        return;
      case WebSocketParser::kMessage:
        message_ready_ = true;
        break;
      case WebSocketParser::kPing:
        // Nobody is owed more answers than he reads.
        if (!ws_close_sent_ && unsent() < kHighWater) {
          AppendWebSocketFrame(&out_, kWebSocketPong, frames_->control());
          Flush();
        }
        break;
      case WebSocketParser::kPong:
        break;
      case WebSocketParser::kClose:
      case WebSocketParser::kFault: {
        const bool fault = result == WebSocketParser::kFault;
        const std::uint16_t code = frames_->close_code();
        ws_closed_by_peer_ = true;
        if (fault) {
          const std::string_view what = frames_->what();
          ws_fault_ = absl::Status(code == 1009 ? absl::StatusCode::kResourceExhausted
                                                : absl::StatusCode::kInvalidArgument,
                                   absl::string_view(what.data(), what.size()));
        }
        if (!std::exchange(ws_close_sent_, true)) {
          AppendWebSocketClose(&out_, code, fault ? frames_->what() : std::string_view());
          Flush();
        }
        if (active_) cancel_.Cancel(absl::CancelledError("the client closed the WebSocket"));
        break;
      }
    }
  }
  if (message_ready_) static_cast<void>(StartRead(/*keep=*/true));
}

bool Connection::wants_websocket() const noexcept {
  const HttpRequest& asked = parser_.request();
  if (asked.version != 11 || asked.method != "GET" || has_body() || !parser_.framing().upgrade) {
    return false;
  }
  int keys = 0;
  int versions = 0;
  bool upgrade = false;
  for (const HttpField& field : asked.headers) {
    if (SameHeader(field.name, "upgrade")) {
      upgrade = upgrade || SameHeader(field.value, "websocket");
    } else if (SameHeader(field.name, "sec-websocket-version")) {
      if (field.value != "13") return false;
      ++versions;
    } else if (SameHeader(field.name, "sec-websocket-key")) {
      if (!IsWebSocketKey(field.value)) return false;
      ++keys;
    }
  }
  return upgrade && keys == 1 && versions == 1;
}

Task<std::unique_ptr<WebSocket>> Connection::UpgradeToWebSocket(const HttpResponseHead& head,
                                                                std::size_t message_limit) {
  if (answer_ != Answer::kNone || aborted_ || !wants_websocket()) {
    co_return std::unique_ptr<WebSocket>();
  }
  answer_ = Answer::kWebSocket;
  set_streaming();
  close_ = true;
  out_.append("HTTP/1.1 101 Switching Protocols\r\n");
  out_.append(worker_->date());
  out_.append("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ");
  out_.append(WebSocketAccept(parser_.request().Find("sec-websocket-key").value_or("")));
  out_.append("\r\n");
  out_.append(head.prepared);
  AppendHeaders(&out_, head);
  out_.append("\r\n");
  Flush();
  frames_ = std::make_unique<WebSocketParser>(message_limit);
  message_ready_ = ws_closed_by_peer_ = ws_close_sent_ = pinged_ = false;
  last_sign_ = worker_->now();
  Pump();
  auto session = std::make_unique<WebSocketSession>(this);
  co_return std::unique_ptr<WebSocket>(std::move(session));
}

}  // namespace

void ServeConnection(const std::shared_ptr<Worker>& worker, int fd, std::string address,
                     bool refused) {
  auto made = std::make_unique<Connection>(worker, fd, std::move(address), refused);
  Connection& connection = *made;
  worker->Add(std::move(made));
  connection.Launch();
}

}  // namespace rookery::internal::gateway
