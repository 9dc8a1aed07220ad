// HttpExchange: one HTTP request and the answer to it, as the server gives them to what stands
// above.
//
//   Task<void> Hello::Serve(HttpExchange& exchange) {
//     HttpResponseHead head(200);
//     head.Add("Content-Type", "text/plain");
//     Task<bool> sent = exchange.Respond(head, "hello");
//     (void)co_await std::move(sent);
//   }
//
// The server below reads and writes HTTP/1.1; nothing here depends on the library it does so with.
// All of it happens on the connection's loop.
#ifndef ROOKERY_SRC_GATEWAY_HTTP_EXCHANGE_H_
#define ROOKERY_SRC_GATEWAY_HTTP_EXCHANGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "rookery/rpc/call_context.h"
#include "rookery/runtime/cancel.h"
#include "rookery/runtime/task.h"

namespace rookery {
class LoopPool;
struct HttpGateway;
struct StatsSnapshot;
}  // namespace rookery

namespace rookery::internal::gateway {

// Whether two names of headers are the same: case does not matter.
[[nodiscard]] bool SameHeader(std::string_view one, std::string_view other) noexcept;

struct HttpField {
  std::string_view name;
  std::string_view value;  // without the space around it
};

// What came before the body. Views, valid until the exchange has ended.
struct HttpRequest {
  std::string_view method;  // as sent: it is case-sensitive
  std::string_view target;  // in origin form: "/v1/orders?page=2"; "*" for OPTIONS *
  int version = 11;         // 10 or 11
  absl::InlinedVector<HttpField, 16> headers;  // in order

  // The first of that name, or nullopt.
  [[nodiscard]] std::optional<std::string_view> Find(std::string_view name) const noexcept;
};

// Status and headers of an answer. The server adds Date, Connection, Content-Length and
// Transfer-Encoding; nobody else does. Values must be free of CR, LF and NUL: what is not is left
// out.
class HttpResponseHead final {
 public:
  explicit HttpResponseHead(int code) : status(code) {}
  void Add(std::string_view name, std::string_view value) {
    headers.emplace_back(std::string(name), std::string(value));
  }
  int status;
  absl::InlinedVector<std::pair<std::string, std::string>, 8> headers;
  // More of them, the same in every answer: lines as they go out, each with its CRLF. They are not
  // looked at any more, and live as long as the exchange.
  std::string_view prepared;
};

enum class WebSocketKind : std::uint8_t { kText, kBinary };

// A connection that has become a WebSocket. One read and one write at a time; they may overlap.
// Pings are answered and sent by the server below, which also closes those that stay silent.
class WebSocket {
 public:
  // Cuts the connection, unless Close() has ended it.
  virtual ~WebSocket() = default;
  // The next whole message into *message (replaced); false once the peer has closed, or is gone.
  // RESOURCE_EXHAUSTED for one above the limit (the peer is told 1009), INVALID_ARGUMENT for what
  // is no message (1002, 1007).
  [[nodiscard]] virtual Task<bool> Read(std::string* message, WebSocketKind* kind) = 0;
  // Waits until the peer has room. False: it is gone. `message` is borrowed until then.
  [[nodiscard]] virtual Task<bool> Write(std::string_view message, WebSocketKind kind) = 0;
  // Says goodbye and waits, within limits, for the peer to do the same. `reason` is cut to 123
  // bytes at a character's end.
  [[nodiscard]] virtual Task<void> Close(std::uint16_t code, std::string_view reason) = 0;
};

// See the top of this file.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;

  [[nodiscard]] virtual const HttpRequest& request() const noexcept = 0;
  // The socket's other end: address as "ipv4:127.0.0.1:53412", and who it proved to be by mTLS.
  [[nodiscard]] virtual const Peer& peer() const noexcept = 0;
  [[nodiscard]] virtual bool secure() const noexcept = 0;  // over TLS
  // Fires when the peer is gone, or the server gives the exchange up (drain, total time).
  [[nodiscard]] virtual CancelToken cancelled() noexcept = 0;
  // No new exchanges are taken: an endless answer should end soon.
  [[nodiscard]] virtual CancelToken draining() noexcept { return {}; }

  // ---- the body of the request
  [[nodiscard]] virtual bool has_body() const noexcept = 0;
  // The length as declared; nullopt: chunked.
  [[nodiscard]] virtual std::optional<std::uint64_t> content_length() const noexcept = 0;
  // Appends what has come to *chunk, at least one byte; false at the end. Fails: RESOURCE_EXHAUSTED
  // above the limit (413), INVALID_ARGUMENT for what is no HTTP (400), DEADLINE_EXCEEDED when it
  // takes too long (408), CANCELLED when the peer is gone. Answers "100-continue" at the first
  // call.
  [[nodiscard]] virtual Task<bool> Read(std::string* chunk) = 0;
  // The whole body, if all of it is there already: then nothing needs to be awaited. Ends the body.
  [[nodiscard]] virtual std::optional<std::string_view> TakeBuffered() noexcept {
    return std::nullopt;
  }
  // For bodies that are longer, or shorter, than the server's limit allows elsewhere (streams).
  virtual void set_body_limit(std::uint64_t bytes) noexcept = 0;
  // This exchange lasts as long as both sides like: the times of a body and of a request do not
  // apply, a silent client is given the time between two requests. Begin() does so for the answer,
  // UpgradeToWebSocket for both.
  virtual void set_streaming() noexcept {}

  // ---- the answer: Respond, or Begin, Write... and End; once
  // Sends all of it. For HEAD, and for 1xx, 204 and 304, the body stays here; its length is told
  // (HEAD, 304). False: the peer is gone. A request's body that was not read to its end is thrown
  // away within limits, or the connection is closed.
  [[nodiscard]] virtual Task<bool> Respond(const HttpResponseHead& head, std::string_view body) = 0;
  // Sends the head; the body follows in chunks, whatever its length.
  [[nodiscard]] virtual Task<bool> Begin(const HttpResponseHead& head) = 0;
  // Waits until the peer has room for more. False: it is gone.
  [[nodiscard]] virtual Task<bool> Write(std::string_view bytes) = 0;
  [[nodiscard]] virtual Task<bool> End() = 0;
  // After Begin, instead of End: the answer cannot be completed. The connection is cut, so that the
  // peer does not take what it has for the whole.
  virtual void Abort() noexcept = 0;
  // Whether an answer has begun, so that no other can be given.
  [[nodiscard]] virtual bool answered() const noexcept = 0;

  // ---- WebSocket, instead of an answer
  // Whether the request asks for it, rightly (RFC 6455 4.2.1).
  [[nodiscard]] virtual bool wants_websocket() const noexcept = 0;
  // `head` may carry headers of one's own (Sec-WebSocket-Protocol). Null: the peer is gone.
  // `message_limit`: bytes of one message.
  [[nodiscard]] virtual Task<std::unique_ptr<WebSocket>> UpgradeToWebSocket(
      const HttpResponseHead& head, std::size_t message_limit) = 0;
};

// What stands above the server. Called on all its loops.
class HttpApplication {
 public:
  virtual ~HttpApplication() = default;
  // Answers the exchange, which lives until the task has ended. The task does not fail; one that
  // does so all the same, without having answered, is answered with 500.
  [[nodiscard]] virtual Task<void> Serve(HttpExchange& exchange) = 0;
  // The body (JSON, "application/json") of an answer that the server gives by itself: 400, 408,
  // 413, 414, 431, 501, 503, 505. Any thread.
  [[nodiscard]] virtual std::string ErrorBody(int http_status, std::string_view message) const = 0;
};

// Listens as the options say. As ServerTransport's methods of the same names.
class HttpServer {
 public:
  virtual ~HttpServer() = default;
  // `loops` and `application` outlive it.
  [[nodiscard]] virtual absl::Status Start(LoopPool& loops, HttpApplication& application) = 0;
  [[nodiscard]] virtual std::string endpoint() const = 0;
  virtual void AddStats(StatsSnapshot* stats) const = 0;
  virtual void StopIntake() noexcept = 0;
  virtual std::size_t Drain(Deadline deadline) noexcept = 0;
  virtual void Stop() noexcept = 0;
};
[[nodiscard]] std::unique_ptr<HttpServer> MakeHttpServer(const HttpGateway& options);

}  // namespace rookery::internal::gateway

#endif  // ROOKERY_SRC_GATEWAY_HTTP_EXCHANGE_H_
