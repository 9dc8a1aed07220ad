// Streams through the gateway without a socket: lines of JSON, events, arrays, raw bodies,
// WebSocket.
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gateway/fake_exchange.h"
#include "gateway/shelves.h"
#include "gateway/src/gzip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace rookery::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

FakeRequest Watch(const std::string& name, const std::string& accept = "") {
  FakeRequest request("GET", "/v1/watch/" + name);
  if (!accept.empty()) request.With("Accept", accept);
  return request;
}

TEST(GatewayStream, LinesOfJsonWhereNothingElseIsAskedFor) {
  FakeNode<ShelvesModule> node;
  for (const char* accept : {"", "*/*", "application/x-ndjson", "application/x-ndjson, */*"}) {
    const FakeAnswer answer = node.Ask(Watch("2", accept));
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.Header("Content-Type"), "application/x-ndjson") << accept;
    EXPECT_THAT(answer.pieces, ElementsAre("{\"id\":\"0\"}\n", "{\"id\":\"1\"}\n"));
    EXPECT_TRUE(answer.ended);
  }
  EXPECT_EQ(node.Ask(Watch("none")).body, "");
}

TEST(GatewayStream, HeadDoesNotRunIt) {
  FakeNode<ShelvesModule> node;
  EXPECT_EQ(node.Ask(FakeRequest("HEAD", "/v1/watch/endless")).status, 200);
  EXPECT_EQ(node.app().Stats().calls(), 0U);
}

TEST(GatewayStream, EventsForBrowsers) {
  FakeNode<ShelvesModule> node;
  const FakeAnswer answer = node.Ask(Watch("2", "text/event-stream"));
  EXPECT_EQ(answer.Header("Content-Type"), "text/event-stream");
  EXPECT_EQ(answer.Header("Cache-Control"), "no-store");
  EXPECT_THAT(answer.pieces,
              ElementsAre("id: 0\ndata: {\"id\":\"0\"}\n\n", "id: 1\ndata: {\"id\":\"1\"}\n\n",
                          "event: end\ndata: {}\n\n"));
}

TEST(GatewayStream, ABrowserThatComesBackGoesOnWhereItWas) {
  FakeNode<ShelvesModule> node;
  const FakeAnswer answer = node.Ask(Watch("3", "text/event-stream").With("Last-Event-ID", "1"));
  EXPECT_EQ(answer.pieces.front(), "id: 2\ndata: {\"id\":\"2\"}\n\n");
}

TEST(GatewayStream, AnArrayForThoseWhoWantPlainJson) {
  FakeNode<ShelvesModule> node;
  EXPECT_EQ(node.Ask(Watch("2", "application/json")).body, R"([{"id":"0"},{"id":"1"}])");
  EXPECT_EQ(node.Ask(Watch("none", "application/json")).body, "[]");
  EXPECT_EQ(node.Ask(Watch("1", "application/json, text/plain, */*")).body, R"([{"id":"0"}])");
  const FakeAnswer broken = node.Ask(Watch("broken", "application/json"));
  EXPECT_TRUE(broken.aborted) << "half an array must not look whole";
  EXPECT_FALSE(broken.ended);
  EXPECT_EQ(node.Ask(Watch("1", "text/html")).status, 406);
}

TEST(GatewayStream, AFailureBeforeTheFirstMessageHasACode) {
  FakeNode<ShelvesModule> node;
  for (const char* accept : {"text/event-stream", "application/x-ndjson", "application/json"}) {
    const FakeAnswer answer = node.Ask(Watch("refused", accept));
    EXPECT_EQ(answer.status, 400);
    EXPECT_EQ(answer.body, R"({"code":9,"message":"closed today"})");
  }
}

TEST(GatewayStream, AFailureLaterIsTheLastThingSaid) {
  FakeNode<ShelvesModule> node;
  EXPECT_EQ(node.Ask(Watch("broken")).pieces.back(),
            "{\"error\":{\"code\":15,\"message\":\"page torn out\"}}\n");
  EXPECT_EQ(node.Ask(Watch("broken", "text/event-stream")).pieces.back(),
            "event: error\ndata: {\"code\":15,\"message\":\"page torn out\"}\n\n");
}

TEST(GatewayStream, CommentsKeepQuietEventsAlive) {
  HttpGateway options;
  options.sse_keepalive = std::chrono::milliseconds(5);
  FakeNode<ShelvesModule> node(options);
  FakeExchange exchange(Watch("endless", "text/event-stream"));
  std::thread closer([&] {
    while (exchange.written() < 6) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    exchange.GoAway();
  });
  SyncWait(node.Serve(&exchange));
  closer.join();
  EXPECT_EQ(exchange.answer.status, 200);
  EXPECT_THAT(exchange.answer.body, HasSubstr(": still here\n\n"));
}

TEST(GatewayStream, ASlowReaderSlowsTheHandler) {
  FakeNode<ShelvesModule> node;
  auto& controller = node.app().template Get<ReadingController>();
  FakeRequest request = Watch("1000");
  request.room = 3;
  FakeExchange exchange(request);
  std::thread reader([&] {
    while (exchange.written() < 4) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_LE(controller.made.load(), 6);
    exchange.TakeMore();
  });
  SyncWait(node.Serve(&exchange));
  reader.join();
  EXPECT_EQ(controller.made.load(), 1000);
  EXPECT_EQ(exchange.answer.pieces.size(), 1000U);
}

TEST(GatewayStream, AClosedBrowserCancelsTheHandler) {
  FakeNode<ShelvesModule> node;
  FakeExchange exchange(Watch("endless"));
  std::thread closer([&] {
    while (exchange.written() < 3) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    exchange.GoAway();
  });
  SyncWait(node.Serve(&exchange));  // it sleeps for ever otherwise
  closer.join();
}

TEST(GatewayStream, LinesGoOutPackedOneByOne) {
  FakeNode<ShelvesModule> node;
  const FakeAnswer answer = node.Ask(Watch("3").With("Accept-Encoding", "gzip"));
  EXPECT_EQ(answer.Header("Content-Encoding"), "gzip");
  gw::GzipReader reader(0);
  std::string plain;
  ASSERT_TRUE(reader.Add(answer.pieces[0], &plain).ok());
  EXPECT_EQ(plain, "{\"id\":\"0\"}\n") << "each line can be read at once";
  plain.clear();
  gw::GzipReader whole(0);
  ASSERT_TRUE(whole.Add(answer.body, &plain).ok());
  EXPECT_TRUE(whole.End().ok());
  EXPECT_EQ(plain, "{\"id\":\"0\"}\n{\"id\":\"1\"}\n{\"id\":\"2\"}\n");
}

TEST(GatewayStream, RawBodiesFlowBothWays) {
  FakeNode<ShelvesModule> node;
  const FakeAnswer down = node.Ask(FakeRequest("GET", "/v1/download/x"));
  EXPECT_EQ(down.Header("Content-Type"), "text/csv");
  EXPECT_EQ(down.body, "x,0\nx,1\nx,2\n");
  EXPECT_TRUE(node.Ask(FakeRequest("GET", "/v1/download/broken")).aborted);
  FakeRequest up("POST", "/v1/receive");
  up.Body("ab", "application/octet-stream").body.push_back("cd");
  EXPECT_EQ(node.Ask(up).body, R"({"id":"abcd","pages":"2"})");
}

// ---- client streaming
// -----------------------------------------------------------------------------

FakeRequest Collect(std::vector<std::string> pieces) {
  FakeRequest request("POST", "/v1/collect");
  request.Body("", "application/x-ndjson").body = std::move(pieces);
  return request;
}

TEST(GatewayCollect, ReadsLinesHoweverTheyAreCut) {
  FakeNode<ShelvesModule> node;
  EXPECT_EQ(node.Ask(Collect({"{\"id\":\"1\"}\n{\"i", "d\":\"2\"}\r\n\n", "{\"id\":\"3\"}"})).body,
            R"({"books":[{"id":"1"},{"id":"2"},{"id":"3"}]})");
  EXPECT_EQ(node.Ask(Collect({})).body, "{}");
  FakeRequest packed = Collect({*gw::GzipWhole("{\"id\":\"1\"}\n")});
  EXPECT_EQ(node.Ask(packed.With("Content-Encoding", "gzip")).body, R"({"books":[{"id":"1"}]})");
}

TEST(GatewayCollect, SaysWhichLineIsWrong) {
  FakeNode<ShelvesModule> node;
  const FakeAnswer answer = node.Ask(Collect({"{\"id\":\"1\"}\n{\"pages\":\"x\"}\n"}));
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.body, HasSubstr("line 2: pages: "));
  EXPECT_THAT(answer.body, HasSubstr("google.rpc.BadRequest"));
}

TEST(GatewayCollect, LimitsLinesAndBombs) {
  HttpGateway options;
  options.limits.message = 100;
  options.limits.stream_body = 10'000;
  FakeNode<ShelvesModule> node(options);
  EXPECT_EQ(node.Ask(Collect({std::string(101, ' ')})).status, 413);
  FakeRequest bomb = Collect({*gw::GzipWhole(std::string(1 << 20, '\n'))});
  EXPECT_EQ(node.Ask(bomb.With("Content-Encoding", "gzip")).status, 413);
}

TEST(GatewayCollect, TheHandlerMayEndItEarly) {
  FakeNode<ShelvesModule> node;
  EXPECT_EQ(node.Ask(Collect({"{\"id\":\"1\"}\n", "{\"id\":\"enough\"}\n", "{}\n", "{}\n"})).body,
            R"({"books":[{"id":"1"}]})");
  EXPECT_EQ(node.Ask(Collect({"{\"id\":\"bad\"}\n", "{}\n", "{}\n"})).status, 409);
}

TEST(GatewayCollect, ABrokenBodyEndsTheCall) {
  FakeNode<ShelvesModule> node;
  FakeRequest request = Collect({"{\"id\":\"1\"}\n"});
  request.body_failure = absl::DeadlineExceededError("too slow");
  EXPECT_EQ(node.Ask(request).status, 408);
}

// ---- WebSocket
// --------------------------------------------------------------------------------------

FakeRequest Discuss(std::vector<std::string> messages, const std::string& path = "/v1/discuss") {
  FakeRequest request("GET", path);
  request.With("Host", "shop.example").websocket = std::move(messages);
  return request;
}

TEST(GatewayWebSocket, CarriesBothDirections) {
  FakeNode<ShelvesModule> node;
  const FakeAnswer answer = node.Ask(Discuss({R"({"id":"a"})", R"({"id":"b","pages":1})", ""}));
  EXPECT_EQ(answer.status, 101);
  EXPECT_THAT(answer.messages,
              ElementsAre(R"({"id":"a","pages":"1"})", R"({"id":"b","pages":"2"})"));
  EXPECT_EQ(answer.close_code, 1000);
}

TEST(GatewayWebSocket, FailuresCloseItWithTheirCode) {
  FakeNode<ShelvesModule> node;
  const FakeAnswer failed = node.Ask(Discuss({R"({"id":"fail"})"}));
  EXPECT_THAT(failed.messages, ElementsAre(R"({"error":{"code":11,"message":"too far"}})"));
  EXPECT_EQ(failed.close_code, 4011);
  EXPECT_EQ(failed.close_reason, "too far");
  const FakeAnswer bad = node.Ask(Discuss({R"({"pages":"x"})"}));
  EXPECT_EQ(bad.close_code, 4003);
  EXPECT_THAT(bad.close_reason, HasSubstr("pages: "));
  EXPECT_EQ(node.Ask(Discuss({"<binary>"})).close_code, 1003);
  EXPECT_EQ(node.Ask(Discuss({"<too long>"})).close_code, 4008);
}

TEST(GatewayWebSocket, APeerThatClosesCancels) {
  FakeNode<ShelvesModule> node;
  const FakeAnswer answer = node.Ask(Discuss({R"({"id":"a"})", "<bye>"}));
  EXPECT_EQ(answer.close_code, 0) << "it has closed already";
  FakeRequest watch = Discuss({"<bye>"}, "/v1/watch/endless");
  EXPECT_EQ(node.Ask(watch).close_code, 0);
}

TEST(GatewayWebSocket, OtherKindsOfStreamsCanBeOpenedSo) {
  FakeNode<ShelvesModule> node;
  const FakeAnswer watch = node.Ask(Discuss({""}, "/v1/watch/2"));
  EXPECT_THAT(watch.messages, ElementsAre(R"({"id":"0"})", R"({"id":"1"})"));
  const FakeAnswer collect = node.Ask(Discuss({R"({"id":"1"})", ""}, "/v1/collect"));
  EXPECT_THAT(collect.messages, ElementsAre(R"({"books":[{"id":"1"}]})"));
}

TEST(GatewayWebSocket, ForeignPagesAreRefused) {
  FakeNode<ShelvesModule> node;
  const FakeAnswer refused = node.Ask(Discuss({""}).With("Origin", "https://evil.example"));
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(node.Ask(Discuss({""}).With("Origin", "https://shop.example")).status, 101);
  HttpGateway options;
  options.cors = HttpCors{.origins = {"https://evil.example"}};
  FakeNode<ShelvesModule> open(options);
  EXPECT_EQ(open.Ask(Discuss({""}).With("Origin", "https://evil.example")).status, 101);
}

TEST(GatewayWebSocket, WhatStreamsBothWaysNeedsOne) {
  FakeNode<ShelvesModule> node;
  const FakeAnswer answer = node.Ask(FakeRequest("POST", "/v1/discuss").Body("{}"));
  EXPECT_EQ(answer.status, 426);
  EXPECT_EQ(answer.Header("Upgrade"), "websocket");
}

}  // namespace
}  // namespace rookery::testing
