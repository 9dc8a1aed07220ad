// FakeExchange: a request and what was answered, without a server; and an application's gateway to
// send it through.
//
//   FakeNode<ShelvesModule> node;
//   FakeAnswer answer = node.Ask(FakeRequest("GET", "/v1/shelves/1/books/2"));
//   EXPECT_EQ(answer.status, 200);
#ifndef ROOKERY_TESTS_UNIT_GATEWAY_FAKE_EXCHANGE_H_
#define ROOKERY_TESTS_UNIT_GATEWAY_FAKE_EXCHANGE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/src/edge.h"
#include "gateway/src/http/exchange.h"
#include "rookery/rookery.h"
#include "rookery/rpc/local_channel.h"

namespace rookery::testing {

namespace gw = rookery::internal::gateway;

struct FakeRequest {
  FakeRequest(std::string m, std::string t) : method(std::move(m)), target(std::move(t)) {}
  FakeRequest& With(std::string name, std::string value) {
    headers.emplace_back(std::move(name), std::move(value));
    return *this;
  }
  FakeRequest& Body(std::string text, std::string type = "application/json") {
    body.push_back(std::move(text));
    if (!type.empty()) With("Content-Type", std::move(type));
    return *this;
  }
  FakeRequest& From(std::string address) {
    peer.address = std::move(address);
    return *this;
  }
  std::string method;
  std::string target;
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<std::string> body;  // in the pieces in which it comes
  absl::Status body_failure;      // after them
  Peer peer{.address = "ipv4:192.0.2.9:4711",
            .authenticated = false,
            .identity = "",
            .subject = "",
            .names = {},
            .certificate_pem = ""};
  bool secure = false;
  std::size_t room = static_cast<std::size_t>(-1);  // writes that the peer takes before it stops
  std::vector<std::string> websocket;               // what the peer sends; not empty: an upgrade
};

struct FakeAnswer {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::vector<std::string> pieces;
  bool ended = false;
  bool aborted = false;
  std::vector<std::string> messages;  // of the WebSocket
  int close_code = 0;
  std::string close_reason;

  [[nodiscard]] std::string Header(std::string_view name) const {
    std::string all;
    for (const auto& [key, value] : headers) {
      if (!gw::SameHeader(key, name)) continue;
      if (!all.empty()) all += ", ";
      all += value;
    }
    return all;
  }
};

class FakeExchange;

class FakeWebSocket final : public gw::WebSocket {
 public:
  explicit FakeWebSocket(FakeExchange& exchange) : exchange_(exchange) {}
  Task<bool> Read(std::string* message, gw::WebSocketKind* kind) override;
  Task<bool> Write(std::string_view message, gw::WebSocketKind kind) override;
  Task<void> Close(std::uint16_t code, std::string_view reason) override;

 private:
  FakeExchange& exchange_;
};

class FakeExchange final : public gw::HttpExchange {
 public:
  explicit FakeExchange(FakeRequest asked) : asked_(std::move(asked)) {
    request_.method = asked_.method;
    request_.target = asked_.target;
    for (const auto& [name, value] : asked_.headers) request_.headers.push_back({name, value});
    pieces_.assign(asked_.body.begin(), asked_.body.end());
    messages_.assign(asked_.websocket.begin(), asked_.websocket.end());
  }

  const gw::HttpRequest& request() const noexcept override { return request_; }
  const Peer& peer() const noexcept override { return asked_.peer; }
  bool secure() const noexcept override { return asked_.secure; }
  CancelToken cancelled() noexcept override { return gone_.token(); }
  bool has_body() const noexcept override {
    return !asked_.body.empty() || !asked_.body_failure.ok();
  }
  std::optional<std::uint64_t> content_length() const noexcept override { return std::nullopt; }
  Task<bool> Read(std::string* chunk) override {
    co_await Yield();
    if (pieces_.empty()) {
      if (!asked_.body_failure.ok()) co_return asked_.body_failure;
      co_return false;
    }
    chunk->append(pieces_.front());
    pieces_.pop_front();
    read_.fetch_add(1);
    co_return true;
  }
  void set_body_limit(std::uint64_t bytes) noexcept override { body_limit = bytes; }

  Task<bool> Respond(const gw::HttpResponseHead& head, std::string_view body) override {
    Note(head);
    answer.body = asked_.method == "HEAD" ? "" : std::string(body);
    answer.ended = true;
    co_return true;
  }
  Task<bool> Begin(const gw::HttpResponseHead& head) override {
    Note(head);
    co_return true;
  }
  Task<bool> Write(std::string_view bytes) override {
    written_.fetch_add(1);
    if (answer.pieces.size() >= asked_.room) {
      Event& released = room_made_;
      co_await released.Wait();
    }
    if (gone_.cancelled()) co_return false;
    answer.pieces.emplace_back(bytes);
    answer.body.append(bytes);
    co_return true;
  }
  Task<bool> End() override {
    answer.ended = true;
    co_return true;
  }
  void Abort() noexcept override { answer.aborted = true; }
  bool answered() const noexcept override { return answer.status != 0; }
  bool wants_websocket() const noexcept override { return !asked_.websocket.empty(); }
  Task<std::unique_ptr<gw::WebSocket>> UpgradeToWebSocket(const gw::HttpResponseHead& head,
                                                          std::size_t) override {
    Note(head);
    co_return std::make_unique<FakeWebSocket>(*this);
  }

  // ---- the test's side; any thread
  void GoAway() {
    gone_.Cancel(absl::CancelledError("the peer is gone"));
    room_made_.Set();
  }
  void TakeMore() { room_made_.Set(); }
  [[nodiscard]] std::size_t written() const { return written_.load(); }
  [[nodiscard]] std::size_t read() const { return read_.load(); }

  FakeAnswer answer;
  std::uint64_t body_limit = 0;

 private:
  friend class FakeWebSocket;
  void Note(const gw::HttpResponseHead& head) {
    answer.status = head.status;
    for (const auto& field : head.headers) answer.headers.push_back(field);
    for (std::string_view rest = head.prepared; !rest.empty();) {
      const std::string_view line = rest.substr(0, rest.find("\r\n"));
      rest.remove_prefix(line.size() + 2);
      const std::size_t colon = line.find(": ");
      answer.headers.emplace_back(std::string(line.substr(0, colon)),
                                  std::string(line.substr(colon + 2)));
    }
  }
  const FakeRequest asked_;
  gw::HttpRequest request_;
  std::deque<std::string> pieces_;
  std::deque<std::string> messages_;
  CancelSource gone_;
  Event room_made_;
  Event closed_;
  std::atomic<std::size_t> written_{0};
  std::atomic<std::size_t> read_{0};
};

// A peer whose messages are "<bye>" closes, and who sends nothing more waits for the end.
inline Task<bool> FakeWebSocket::Read(std::string* message, gw::WebSocketKind* kind) {
  co_await Yield();
  if (exchange_.messages_.empty()) {
    co_await exchange_.closed_.Wait();
    co_return false;
  }
  *message = exchange_.messages_.front();
  exchange_.messages_.pop_front();
  *kind = gw::WebSocketKind::kText;
  if (*message == "<binary>") *kind = gw::WebSocketKind::kBinary;
  if (*message == "<too long>") co_return absl::ResourceExhaustedError("a message is too long");
  co_return *message != "<bye>";
}
inline Task<bool> FakeWebSocket::Write(std::string_view message, gw::WebSocketKind) {
  exchange_.answer.messages.emplace_back(message);
  co_return true;
}
inline Task<void> FakeWebSocket::Close(std::uint16_t code, std::string_view reason) {
  exchange_.answer.close_code = code;
  exchange_.answer.close_reason = std::string(reason);
  exchange_.closed_.Set();
  co_return;
}

// An application with a gateway that listens nowhere.
template <class M>
class FakeNode final {
 public:
  explicit FakeNode(HttpGateway options = {}, ApplicationOptions how = {})
      : options_(std::move(options)), app_(Application::Create<M>(std::move(how))) {
    app_.Init();
    channel_ = MakeLocalChannel(app_.host());
    auto made = gw::Edge::Make(options_, app_.host(), channel_);
    if (made.ok()) {
      edge_ = *std::move(made);
    } else {
      status_ = made.status();
    }
  }
  [[nodiscard]] const absl::Status& status() const { return status_; }
  [[nodiscard]] Application& app() { return app_; }
  [[nodiscard]] gw::Edge& edge() { return *edge_; }

  [[nodiscard]] FakeAnswer Ask(FakeRequest request) {
    FakeExchange exchange(std::move(request));
    SyncWait(Serve(&exchange));
    return std::move(exchange.answer);
  }
  // For tests that do something meanwhile.
  [[nodiscard]] Task<void> Serve(FakeExchange* exchange) {
    JoinHandle<void> served = SpawnOn(app_.host().loops()[0], edge_->Serve(*exchange));
    co_await std::move(served);
  }

 private:
  const HttpGateway options_;
  Application app_;
  std::shared_ptr<Channel> channel_;
  std::unique_ptr<gw::Edge> edge_;
  absl::Status status_;
};

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_UNIT_GATEWAY_FAKE_EXCHANGE_H_
