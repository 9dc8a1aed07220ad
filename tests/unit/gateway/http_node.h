// An HTTP server with a small application behind it, and a client that says what it likes.
//
//   HttpNode node;
//   ASSERT_TRUE(node.Start().ok());
//   HttpPeer peer(node.port());
//   peer.Send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
//   EXPECT_EQ(peer.ReadAnswer().status, 200);
#ifndef ROOKERY_TESTS_UNIT_GATEWAY_HTTP_NODE_H_
#define ROOKERY_TESTS_UNIT_GATEWAY_HTTP_NODE_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/src/http/exchange.h"
#include "rookery/gateway/http_gateway.h"
#include "rookery/rpc/stats.h"
#include "rookery/runtime/cancel.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/task.h"

namespace rookery::testing {

namespace http = ::rookery::internal::gateway;

// Whether it comes to hold within half a minute.
template <class Condition>
bool Soon(Condition&& condition) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

// Does what the path says.
class PathApplication final : public http::HttpApplication {
 public:
  Task<void> Serve(http::HttpExchange& exchange) override {
    ++served;
    const std::string_view target = exchange.request().target;
    if (target == "/echo") return Echo(exchange);
    if (target == "/stream") return Pieces(exchange);
    if (target == "/flood") return Flood(exchange);
    if (target == "/hold") return Hold(exchange);
    if (target == "/who") return Who(exchange);
    if (target == "/half") return Half(exchange);
    if (target == "/silent") return Silent(exchange);
    if (target == "/throw") return Throw(exchange);
    if (target == "/read-and-leave") return ReadAndLeave(exchange);
    if (target == "/late") return Late(exchange);
    if (target == "/ws") return Chat(exchange);
    if (target == "/204") return Status(exchange, 204);
    if (target == "/304") return Status(exchange, 304);
    if (target == "/forge") return Forge(exchange);
    return Hello(exchange);
  }
  std::string ErrorBody(int status, std::string_view message) const override {
    return absl::StrCat("{\"status\":", status, ",\"message\":\"",
                        absl::string_view(message.data(), message.size()), "\"}");
  }

  std::atomic<int> served{0};
  std::atomic<int> cancelled{0};
  std::atomic<std::uint64_t> flooded{0};
  std::atomic<int> chats{0};
  std::atomic<int> failed_chats{0};
  Event release;  // of /late
  absl::Status reason() {
    const std::scoped_lock lock(mutex_);
    return reason_;
  }

 private:
  static http::HttpResponseHead Text(int status = 200) {
    http::HttpResponseHead head(status);
    head.Add("Content-Type", "text/plain");
    return head;
  }
  static Task<void> Hello(http::HttpExchange& exchange) {
    const http::HttpResponseHead head = Text();
    static_cast<void>(co_await exchange.Respond(head, "hello"));
  }
  static Task<void> Status(http::HttpExchange& exchange, int status) {
    const http::HttpResponseHead head(status);
    static_cast<void>(co_await exchange.Respond(head, "not to be seen"));
  }
  static Task<void> Forge(http::HttpExchange& exchange) {
    http::HttpResponseHead head = Text();
    head.Add("X-Forged", "a\r\nSet-Cookie: b");
    head.Add("X-Bad Name", "a");
    head.Add("X-Good", "c");
    static_cast<void>(co_await exchange.Respond(head, "hello"));
  }
  Task<void> Echo(http::HttpExchange& exchange) {
    std::string body;
    if (const auto buffered = exchange.TakeBuffered(); buffered.has_value()) {
      body = *buffered;
    } else {
      bool more = true;
      while (more) {
        const absl::StatusOr<bool> read = co_await AsStatusOr(exchange.Read(&body));
        if (!read.ok()) {
          Note(read.status());
          co_return;
        }
        more = *read;
      }
    }
    const http::HttpResponseHead head = Text();
    static_cast<void>(co_await exchange.Respond(head, body));
  }
  static Task<void> Pieces(http::HttpExchange& exchange) {
    const http::HttpResponseHead head = Text();
    bool there = co_await exchange.Begin(head);
    for (int i = 0; i < 3 && there; ++i) {
      const std::string piece = absl::StrCat("piece ", i, "\n");
      there = co_await exchange.Write(piece);
    }
    if (there) static_cast<void>(co_await exchange.End());
  }
  // Writes until the peer is gone.
  Task<void> Flood(http::HttpExchange& exchange) {
    const http::HttpResponseHead head = Text();
    const std::string piece(10'000, 'x');
    bool there = co_await exchange.Begin(head);
    while (there) {
      there = co_await exchange.Write(piece);
      flooded += piece.size();
    }
    ++cancelled;
  }
  // Waits until it is cancelled.
  Task<void> Hold(http::HttpExchange& exchange) {
    Event gone;
    const CancelCallback on_cancel(
        exchange.cancelled(), [](void* event) noexcept { static_cast<Event*>(event)->Set(); },
        &gone);
    co_await gone.Wait();
    Note(exchange.cancelled().reason());
    ++cancelled;
  }
  Task<void> Late(http::HttpExchange& exchange) {
    co_await release.Wait();
    const http::HttpResponseHead head = Text();
    static_cast<void>(co_await exchange.Respond(head, "late"));
  }
  static Task<void> Who(http::HttpExchange& exchange) {
    const Peer& peer = exchange.peer();
    const std::string text =
        absl::StrCat(peer.address, " ", exchange.secure() ? "tls" : "plain", " ",
                     peer.authenticated ? "known" : "unknown", " ", peer.identity);
    const http::HttpResponseHead head = Text();
    static_cast<void>(co_await exchange.Respond(head, text));
  }
  static Task<void> Half(http::HttpExchange& exchange) {
    const http::HttpResponseHead head = Text();
    static_cast<void>(co_await exchange.Begin(head));
    static_cast<void>(co_await exchange.Write("half"));
  }
  static Task<void> Silent(http::HttpExchange&) { co_return; }
  static Task<void> Throw(http::HttpExchange&) {
    co_await Fail(absl::InternalError("password=canary"));
  }
  Task<void> ReadAndLeave(http::HttpExchange& exchange) {
    std::string body;
    bool more = true;
    while (more) more = co_await exchange.Read(&body);
  }
  Task<void> Chat(http::HttpExchange& exchange) {
    if (!exchange.wants_websocket()) {
      http::HttpResponseHead head(426);
      head.Add("Sec-WebSocket-Version", "13");
      static_cast<void>(co_await exchange.Respond(head, ""));
      co_return;
    }
    ++chats;
    const http::HttpResponseHead head(101);
    const std::unique_ptr<http::WebSocket> socket =
        co_await exchange.UpgradeToWebSocket(head, 100'000);
    std::string message;
    http::WebSocketKind kind = http::WebSocketKind::kText;
    for (;;) {
      const absl::StatusOr<bool> read = co_await AsStatusOr(socket->Read(&message, &kind));
      if (!read.ok()) {
        Note(read.status());
        ++failed_chats;
        break;
      }
      if (!*read) break;
      if (message == "bye") {
        co_await socket->Close(4001, "as you like");
        break;
      }
      if (message == "leave") break;
      const bool written = co_await socket->Write(message, kind);
      if (!written) break;
    }
    --chats;
  }
  void Note(const absl::Status& status) {
    const std::scoped_lock lock(mutex_);
    reason_ = status;
  }

  std::mutex mutex_;
  absl::Status reason_;
};

class HttpNode final {
 public:
  explicit HttpNode(std::size_t threads = 1) : loops_({.threads = threads, .name = "http"}) {
    options.address = "127.0.0.1:0";
  }
  ~HttpNode() { Stop(); }
  HttpNode(const HttpNode&) = delete;
  HttpNode& operator=(const HttpNode&) = delete;

  absl::Status Start() {
    server_ = http::MakeHttpServer(options);
    return server_->Start(loops_, application);
  }
  void Stop() {
    if (server_ != nullptr) server_->Stop();
    server_.reset();
  }
  http::HttpServer& server() { return *server_; }
  int port() const {
    const std::string endpoint = server_->endpoint();
    return std::atoi(endpoint.substr(endpoint.rfind(':') + 1).c_str());
  }
  std::uint64_t rejected(absl::StatusCode code) const {
    StatsSnapshot stats;
    server_->AddStats(&stats);
    for (const RejectedSnapshot& each : stats.rejected) {
      if (each.code == code) return each.count;
    }
    return 0;
  }

  HttpGateway options;
  PathApplication application;

 private:
  LoopPool loops_;
  std::unique_ptr<http::HttpServer> server_;
};

struct HttpAnswer {
  int status = 0;    // 0: none came
  std::string head;  // with its first line
  std::string body;  // as it lies on the wire, if in chunks
  bool Has(std::string_view line) const {
    const std::string lines = head + "\r\n";
    return absl::StrContains(
        lines, absl::StrCat("\r\n", absl::string_view(line.data(), line.size()), "\r\n"));
  }
};

// One connection of a client.
class HttpPeer final {
 public:
  explicit HttpPeer(int port, int receive_buffer = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer != 0) {
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      ::close(fd_);
      fd_ = -1;
    }
  }
  ~HttpPeer() { Close(); }
  HttpPeer(const HttpPeer&) = delete;
  HttpPeer& operator=(const HttpPeer&) = delete;

  int fd() const { return fd_; }
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  void Close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void CloseSending() { ::shutdown(fd_, SHUT_WR); }

  // Reads more into received(); false: the server has closed, or a minute has passed (the second is
  // seen by closed() staying false).
  bool ReadSome() {
    pollfd waiting = {fd_, POLLIN, 0};
    if (::poll(&waiting, 1, 60'000) <= 0) return false;
    char buffer[65536];
    const ssize_t got = ::recv(fd_, buffer, sizeof buffer, 0);
    if (got <= 0) {
      closed_ = true;
      return false;
    }
    received_.append(buffer, static_cast<std::size_t>(got));
    return true;
  }
  // One answer, taken from the front of what has come. `head_only`: to HEAD.
  HttpAnswer ReadAnswer(bool head_only = false) {
    HttpAnswer answer;
    std::size_t end;
    while ((end = received_.find("\r\n\r\n")) == std::string::npos) {
      if (!ReadSome()) return answer;
    }
    answer.head = received_.substr(0, end);
    received_.erase(0, end + 4);
    answer.status = std::atoi(answer.head.substr(9, 3).c_str());
    if (head_only || answer.status < 200 || answer.status == 204 || answer.status == 304) {
      return answer;
    }
    const std::string key = "\r\nContent-Length: ";
    const std::size_t length_at = answer.head.find(key);
    if (length_at != std::string::npos) {
      const std::size_t length =
          std::strtoul(answer.head.c_str() + length_at + key.size(), nullptr, 10);
      while (received_.size() < length && ReadSome()) {
      }
      answer.body = received_.substr(0, length);
      received_.erase(0, length);
    } else if (answer.Has("Transfer-Encoding: chunked")) {
      const std::string last = "0\r\n\r\n";
      while ((end = received_.find(last)) == std::string::npos && ReadSome()) {
      }
      if (end == std::string::npos) {
        answer.body = std::exchange(received_, {});
      } else {
        answer.body = received_.substr(0, end + last.size());
        received_.erase(0, end + last.size());
      }
    } else {
      while (ReadSome()) {
      }
      answer.body = std::exchange(received_, {});
    }
    return answer;
  }
  // Whether the server closes, with nothing more to say.
  bool IsClosed() {
    while (ReadSome()) {
    }
    return closed_;
  }
  std::string& received() { return received_; }

 private:
  int fd_ = -1;
  bool closed_ = false;
  std::string received_;
};

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_UNIT_GATEWAY_HTTP_NODE_H_
