// The whole gateway, over sockets: what the parts' own tests cannot see.
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/http_node.h"
#include "gateway/shelves.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rookery/rpc/channel.h"

namespace rookery::testing {
namespace {

using ::testing::HasSubstr;

// An application that listens.
class Node final {
 public:
  explicit Node(HttpGateway options = {}, ApplicationOptions how = {})
      : app_(Application::Create<ShelvesModule>(std::move(how))) {
    options.address = "127.0.0.1:0";
    app_.Listen(options);
    app_.Start();
    const std::string endpoint = app_.Endpoints().front();
    port_ = std::stoi(endpoint.substr(endpoint.rfind(':') + 1));
  }
  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] Application& app() { return app_; }

 private:
  Application app_;
  int port_ = 0;
};

std::string Get(const std::string& path, const std::string& more = "") {
  return absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: a\r\n", more, "\r\n");
}
std::string Post(const std::string& path, const std::string& body, const std::string& more = "") {
  return absl::StrCat("POST ", path, " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n",
                      more, "Content-Length: ", body.size(), "\r\n\r\n", body);
}
bool Reads(HttpPeer& peer, const std::string& text) {
  while (!absl::StrContains(peer.received(), text)) {
    if (!peer.ReadSome()) return false;
  }
  return true;
}

TEST(Gateway, AnswersOverASocketOneRequestAfterTheOther) {
  Node node;
  HttpPeer peer(node.port());
  peer.Send(Get("/v1/shelves/1/books/2") + Post("/v1/shelves/1/books", R"({"id":"7"})") +
            Get("/v1/shelves/1/books/missing"));
  const HttpAnswer first = peer.ReadAnswer();
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.body, R"({"id":"shelves/1/books/2"})");
  EXPECT_TRUE(first.Has("Content-Type: application/json"));
  EXPECT_EQ(peer.ReadAnswer().body, R"({"id":"shelves/1/books/7"})");
  EXPECT_EQ(peer.ReadAnswer().status, 404);
}

TEST(Gateway, CountsCallsAndRefusals) {
  Node node;
  HttpPeer peer(node.port());
  peer.Send(Get("/v1/shelves/1/books/2") + Get("/nowhere"));
  EXPECT_EQ(peer.ReadAnswer().status, 200);
  EXPECT_EQ(peer.ReadAnswer().status, 404);
  const StatsSnapshot stats = node.app().Stats();
  const MethodSnapshot* const method = stats.Find("/rookery.testing.Shelves/GetBook", "http");
  ASSERT_NE(method, nullptr) << stats.ToString();
  EXPECT_EQ(stats.total_rejected(), 1U);
}

TEST(Gateway, WhatTheServerRefusesIsAStatus) {
  HttpGateway options;
  options.limits.body = 10;
  Node node(options);
  HttpPeer peer(node.port());
  peer.Send(Post("/v1/shelves/1/books", std::string(11, ' ')));
  const HttpAnswer answer = peer.ReadAnswer();
  EXPECT_EQ(answer.status, 413);
  EXPECT_THAT(answer.body, HasSubstr(R"({"code":8,"message":")"));
}

TEST(Gateway, EventsArriveOneByOneAndAClosedBrowserCancels) {
  Node node;
  auto& controller = node.app().Get<ReadingController>();
  HttpPeer peer(node.port());
  peer.Send(Get("/v1/watch/endless", "Accept: text/event-stream\r\n"));
  ASSERT_TRUE(Reads(peer, "id: 2\ndata: {\"id\":\"2\"}\n\n")) << peer.received();
  EXPECT_EQ(controller.made.load(), 3);
  EXPECT_EQ(node.app().Stats().in_flight(), 1U);
  peer.Close();
  EXPECT_TRUE(Soon([&] { return node.app().Stats().in_flight() == 0; }));
}

TEST(Gateway, AReaderThatStopsHoldsTheHandlerBack) {
  Node node;
  auto& controller = node.app().Get<ReadingController>();
  HttpPeer peer(node.port(), /*receive_buffer=*/4096);
  peer.Send(Get("/v1/watch/10000000"));
  ASSERT_TRUE(Reads(peer, "{\"id\":\"0\"}"));
  int before = -1;
  // The sockets' buffers fill, and then nothing moves.
  EXPECT_TRUE(Soon([&] {
    const int now = controller.made.load();
    if (now == std::exchange(before, now)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    return false;
  }));
  EXPECT_LT(controller.made.load(), 10'000'000);
}

TEST(Gateway, ReadsAStreamOfRequestsAsItComes) {
  Node node;
  HttpPeer peer(node.port());
  peer.Send(
      "POST /v1/collect HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\n"
      "Transfer-Encoding: chunked\r\n\r\nb\r\n{\"id\":\"1\"}\n\r\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  peer.Send("5\r\n{\"id\"\r\n5\r\n:\"2\"}\r\n0\r\n\r\n");
  EXPECT_EQ(peer.ReadAnswer().body, R"({"books":[{"id":"1"},{"id":"2"}]})");
}

// A frame of a client, which must be masked; zeroes hide nothing.
std::string Frame(const std::string& text, char opcode = '\x81') {
  std::string frame(1, opcode);
  frame += static_cast<char>(0x80 | text.size());
  frame += std::string(4, '\0');
  return frame + text;
}

TEST(Gateway, CarriesAConversationOverAWebSocket) {
  Node node;
  HttpPeer peer(node.port());
  peer.Send(Get("/v1/discuss",
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
  ASSERT_TRUE(Reads(peer, "\r\n\r\n"));
  EXPECT_THAT(peer.received(), HasSubstr("HTTP/1.1 101"));
  EXPECT_THAT(peer.received(), HasSubstr("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
  peer.Send(Frame(R"({"id":"a"})"));
  ASSERT_TRUE(Reads(peer, R"({"id":"a","pages":"1"})"));
  peer.Send(Frame(R"({"id":"b","pages":"4"})") + Frame(""));
  ASSERT_TRUE(Reads(peer, R"({"id":"b","pages":"5"})"));
  // A close frame with 1000.
  ASSERT_TRUE(Reads(peer, std::string("\x88\x02\x03\xe8", 4)));
  peer.Send(Frame(std::string("\x03\xe8", 2), '\x88'));
  EXPECT_TRUE(peer.IsClosed());
}

TEST(Gateway, AClosedWebSocketCancelsTheCall) {
  Node node;
  HttpPeer peer(node.port());
  peer.Send(Get("/v1/watch/endless",
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
  ASSERT_TRUE(Reads(peer, R"({"id":"2"})"));
  EXPECT_EQ(node.app().Stats().in_flight(), 1U);
  peer.Send(Frame(std::string("\x03\xe9", 2), '\x88'));
  EXPECT_TRUE(Soon([&] { return node.app().Stats().in_flight() == 0; }));
}

TEST(Gateway, ShutsDownWithinItsGraceAndCutsWhatIsLeft) {
  ApplicationOptions how;
  how.drain_grace = std::chrono::milliseconds(50);
  Node node({}, how);
  HttpPeer slow(node.port());
  slow.Send(Get("/v1/shelves/1/books/slow"));
  HttpPeer watcher(node.port());
  watcher.Send(Get("/v1/watch/endless", "Accept: text/event-stream\r\n"));
  ASSERT_TRUE(Reads(watcher, "id: 2"));
  EXPECT_TRUE(Soon([&] { return node.app().Stats().in_flight() == 2; }));
  node.app().Close();
  EXPECT_TRUE(slow.IsClosed());
  EXPECT_TRUE(watcher.IsClosed());
}

TEST(Gateway, FaultsStopTheStart) {
  auto app = Application::Create<ShelvesModule>();
  app.Listen(HttpGateway{.address = "127.0.0.1:0", .prefix = "/a/{b}"});
  const absl::Status status = app.TryStart();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("prefix: \"/a/{b}\""));
}

}  // namespace
}  // namespace rookery::testing
