#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "http_node.h"

namespace rookery::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string Get(const std::string& path, const std::string& headers = "") {
  return absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: test\r\n", headers, "\r\n");
}
std::string Post(const std::string& path, const std::string& body,
                 const std::string& headers = "") {
  return absl::StrCat("POST ", path, " HTTP/1.1\r\nHost: test\r\nContent-Length: ", body.size(),
                      "\r\n", headers, "\r\n", body);
}

TEST(HttpServer, AnswersAndKeepsTheConnection) {
  HttpNode node;
  ASSERT_TRUE(node.Start().ok());
  HttpPeer peer(node.port());
  for (int i = 0; i < 3; ++i) {
    peer.Send(Get("/hello"));
    const HttpAnswer answer = peer.ReadAnswer();
    EXPECT_EQ(answer.status, 200);
    EXPECT_THAT(answer.head, StartsWith("HTTP/1.1 200 OK\r\nDate: "));
    EXPECT_THAT(answer.head, HasSubstr(" GMT\r\n"));
    EXPECT_TRUE(answer.Has("Content-Type: text/plain"));
    EXPECT_THAT(answer.head, Not(HasSubstr("Connection")));
    EXPECT_THAT(answer.head, Not(HasSubstr("Server")));
    EXPECT_EQ(answer.body, "hello");
  }
}

TEST(HttpServer, ReadsBodiesInPiecesOfAnySize) {
  HttpNode node;
  node.options.limits.body = 1 << 20;
  ASSERT_TRUE(node.Start().ok());
  HttpPeer peer(node.port());
  const std::string small = "{\"a\":1}";
  const std::string large(300'000, 'b');
  peer.Send(Post("/echo", small));
  EXPECT_EQ(peer.ReadAnswer().body, small);
  peer.Send(Post("/echo", large));
  EXPECT_EQ(peer.ReadAnswer().body, large);
  peer.Send(Post("/echo", ""));
  EXPECT_EQ(peer.ReadAnswer().status, 200);
  // Byte by byte.
  for (const char c : Post("/echo", small)) peer.Send(std::string_view(&c, 1));
  EXPECT_EQ(peer.ReadAnswer().body, small);
  // In chunks, with an extension and a trailer.
  for (const char c :
       std::string("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                   "\r\n5\r\nhello\r\n6;a=b;c=\"d\"\r\n world\r\n0\r\nX-T: 1\r\n\r\n")) {
    peer.Send(std::string_view(&c, 1));
  }
  EXPECT_EQ(peer.ReadAnswer().body, "hello world");
  peer.Send(Get("/hello"));
  EXPECT_EQ(peer.ReadAnswer().body, "hello");
}

TEST(HttpServer, AnswersPipelinedRequestsInOrder) {
  HttpNode node;
  node.options.limits.pipelined = 4;
  ASSERT_TRUE(node.Start().ok());
  HttpPeer peer(node.port());
  std::string requests;
  for (int i = 0; i < 50; ++i) {
    requests += i % 3 == 0 ? Get("/hello") : Post("/echo", absl::StrCat("body ", i));
  }
  std::thread sender([&] { peer.Send(requests); });
  for (int i = 0; i < 50; ++i) {
    const HttpAnswer answer = peer.ReadAnswer();
    EXPECT_EQ(answer.body, i % 3 == 0 ? "hello" : absl::StrCat("body ", i));
  }
  sender.join();
}

TEST(HttpServer, SendsEarlierAnswersWhileALaterOneIsAwaited) {
  HttpNode node;
  ASSERT_TRUE(node.Start().ok());
  HttpPeer peer(node.port());
  peer.Send(Get("/hello") + Get("/late") + Get("/hello"));
  EXPECT_EQ(peer.ReadAnswer().body, "hello");
  node.application.release.Set();
  EXPECT_EQ(peer.ReadAnswer().body, "late");
  EXPECT_EQ(peer.ReadAnswer().body, "hello");
}

TEST(HttpServer, StreamsInChunks) {
  HttpNode node;
  ASSERT_TRUE(node.Start().ok());
  HttpPeer peer(node.port());
  peer.Send(Get("/stream"));
  const HttpAnswer answer = peer.ReadAnswer();
  EXPECT_TRUE(answer.Has("Transfer-Encoding: chunked"));
  EXPECT_THAT(answer.head, Not(HasSubstr("Content-Length")));
  EXPECT_EQ(answer.body, "8\r\npiece 0\n\r\n8\r\npiece 1\n\r\n8\r\npiece 2\n\r\n0\r\n\r\n");
  peer.Send("HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n" + Get("/hello"));
  EXPECT_EQ(peer.ReadAnswer(/*head_only=*/true).status, 200);
  EXPECT_EQ(peer.ReadAnswer().body, "hello");
}

TEST(HttpServer, LeavesOutBodiesThatThereAreNot) {
  HttpNode node;
  ASSERT_TRUE(node.Start().ok());
  HttpPeer peer(node.port());
  peer.Send("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n" + Get("/204") + Get("/304") + Get("/hello"));
  HttpAnswer answer = peer.ReadAnswer(/*head_only=*/true);
  EXPECT_TRUE(answer.Has("Content-Length: 5"));
  answer = peer.ReadAnswer();
  EXPECT_EQ(answer.status, 204);
  EXPECT_THAT(answer.head, Not(HasSubstr("Content-Length")));
  EXPECT_EQ(peer.ReadAnswer().status, 304);
  EXPECT_EQ(peer.ReadAnswer().body, "hello");
}

TEST(HttpServer, SpeaksHttp10) {
  HttpNode node;
  ASSERT_TRUE(node.Start().ok());
  {
    HttpPeer peer(node.port());
    peer.Send("GET /hello HTTP/1.0\r\n\r\n");
    const HttpAnswer answer = peer.ReadAnswer();
    EXPECT_EQ(answer.body, "hello");
    EXPECT_TRUE(answer.Has("Connection: close"));
    EXPECT_TRUE(peer.IsClosed());
  }
  {
    HttpPeer peer(node.port());
    peer.Send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_TRUE(peer.ReadAnswer().Has("Connection: keep-alive"));
    // No chunks: the end of the connection is the end of the body.
    peer.Send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    const HttpAnswer answer = peer.ReadAnswer();
    EXPECT_EQ(answer.body, "piece 0\npiece 1\npiece 2\n");
    EXPECT_TRUE(answer.Has("Connection: close"));
  }
  HttpPeer peer(node.port());
  peer.Send("POST /echo HTTP/1.0\r\n\r\n");
  EXPECT_EQ(peer.ReadAnswer().status, 411);
  EXPECT_TRUE(peer.IsClosed());
}

TEST(HttpServer, ContinuesWhoAsks) {
  HttpNode node;
  ASSERT_TRUE(node.Start().ok());
  {
    HttpPeer peer(node.port());
    peer.Send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_EQ(peer.ReadAnswer().status, 100);
    peer.Send("hello");
    EXPECT_EQ(peer.ReadAnswer().body, "hello");
    // Who does not wait needs no leave.
    peer.Send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\nagain");
    EXPECT_EQ(peer.ReadAnswer().body, "again");
  }
  {
    // Nobody wants the body: the final answer comes at once, and the connection is closed.
    HttpPeer peer(node.port());
    peer.Send(
        "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    const HttpAnswer answer = peer.ReadAnswer();
    EXPECT_EQ(answer.status, 200);
    EXPECT_TRUE(answer.Has("Connection: close"));
    EXPECT_TRUE(peer.IsClosed());
  }
  {
    // Too large: no leave is given.
    HttpPeer peer(node.port());
    peer.Send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\nExpect: "
        "100-continue\r\n\r\n");
    EXPECT_EQ(peer.ReadAnswer().status, 413);
    EXPECT_TRUE(peer.IsClosed());
  }
  HttpPeer peer(node.port());
  peer.Send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: a miracle\r\n\r\n");
  EXPECT_EQ(peer.ReadAnswer().status, 417);
  EXPECT_TRUE(peer.IsClosed());
}

TEST(HttpServer, ThrowsAwayBodiesThatNobodyReads) {
  HttpNode node;
  ASSERT_TRUE(node.Start().ok());
  HttpPeer peer(node.port());
  peer.Send(Post("/hello", std::string(20'000, 'x')) + Get("/hello"));
  EXPECT_EQ(peer.ReadAnswer().body, "hello");
  EXPECT_EQ(peer.ReadAnswer().body, "hello");
  // Not without end.
  peer.Send("POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\nxx");
  const HttpAnswer answer = peer.ReadAnswer();
  EXPECT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.Has("Connection: close"));
  EXPECT_TRUE(peer.IsClosed());
}

TEST(HttpServer, RefusesByStatus) {
  HttpNode node;
  node.options.limits.body = 10;
  ASSERT_TRUE(node.Start().ok());
  const auto status = [&](const std::string& bytes) {
    HttpPeer peer(node.port());
    peer.Send(bytes);
    const HttpAnswer answer = peer.ReadAnswer();
    EXPECT_TRUE(answer.Has("Connection: close")) << answer.head;
    EXPECT_TRUE(answer.Has("Content-Type: application/json")) << answer.head;
    EXPECT_THAT(answer.body, StartsWith(absl::StrCat("{\"status\":", answer.status)));
    EXPECT_TRUE(peer.IsClosed());
    return answer.status;
  };
  std::string many;
  for (int i = 0; i < 101; ++i) absl::StrAppend(&many, "X-", i, ": 1\r\n");
  EXPECT_EQ(status(Get("/" + std::string(9'000, 'a'))), 414);
  EXPECT_EQ(status(Get("/hello", many)), 431);
  EXPECT_EQ(status(Get("/hello", absl::StrCat("X: ", std::string(17'000, 'a'), "\r\n"))), 431);
  EXPECT_EQ(status(Post("/echo", "12345678901")), 413);
  EXPECT_EQ(status("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "6\r\n123456\r\n6\r\n123456\r\n0\r\n\r\n"),
            413);
  EXPECT_EQ(status("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
  EXPECT_EQ(status("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
  EXPECT_EQ(status("GET / HTTP/1.2\r\nHost: a\r\n\r\n"), 505);
  EXPECT_EQ(status("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"), 501);
  EXPECT_EQ(status(std::string(40, 'G') + " / HTTP/1.1\r\nHost: a\r\n\r\n"), 501);
  EXPECT_EQ(status("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
            501);
  EXPECT_EQ(status(Get("/silent")), 500);
  EXPECT_EQ(status(Get("/throw")), 500);
  EXPECT_EQ(status("\x16\x03\x01\x02"), 400);
  EXPECT_EQ(node.rejected(absl::StatusCode::kUnimplemented), 6);
  EXPECT_EQ(node.rejected(absl::StatusCode::kResourceExhausted), 5);
}

TEST(HttpServer, TellsNothingOfWhatFailed) {
  HttpNode node;
  ASSERT_TRUE(node.Start().ok());
  HttpPeer peer(node.port());
  peer.Send(Get("/throw"));
  const HttpAnswer answer = peer.ReadAnswer();
  EXPECT_EQ(answer.status, 500);
  EXPECT_THAT(answer.head + answer.body, Not(HasSubstr("canary")));
}

TEST(HttpServer, SendsNoHeaderThatForgesAnother) {
  HttpNode node;
  ASSERT_TRUE(node.Start().ok());
  HttpPeer peer(node.port());
  peer.Send(Get("/forge"));
  const HttpAnswer answer = peer.ReadAnswer();
  EXPECT_THAT(answer.head, Not(HasSubstr("Set-Cookie")));
  EXPECT_THAT(answer.head, Not(HasSubstr("X-Bad")));
  EXPECT_TRUE(answer.Has("X-Good: c"));
}

TEST(HttpServer, CutsAnAnswerThatIsNotWhole) {
  HttpNode node;
  ASSERT_TRUE(node.Start().ok());
  HttpPeer peer(node.port());
  peer.Send(Get("/half"));
  const HttpAnswer answer = peer.ReadAnswer();
  EXPECT_THAT(answer.body, Not(EndsWith("0\r\n\r\n")));
  EXPECT_TRUE(peer.IsClosed());
}

TEST(HttpServer, CancelsWhenTheClientGoes) {
  HttpNode node;
  ASSERT_TRUE(node.Start().ok());
  HttpPeer peer(node.port());
  peer.Send(Get("/hold"));
  EXPECT_TRUE(Soon([&] { return node.application.served == 1; }));
  peer.Close();
  EXPECT_TRUE(Soon([&] { return node.application.cancelled == 1; }));
  EXPECT_EQ(node.application.reason().code(), absl::StatusCode::kCancelled);
}

TEST(HttpServer, SlowReadersSlowTheHandler) {
  HttpNode node;
  ASSERT_TRUE(node.Start().ok());
  HttpPeer peer(node.port(), /*receive_buffer=*/4096);
  peer.Send(Get("/flood"));
  // Until nothing moves any more.
  std::uint64_t before = 1;
  EXPECT_TRUE(Soon([&] {
    std::this_thread::sleep_for(milliseconds(200));
    const std::uint64_t now = node.application.flooded;
    return std::exchange(before, now) == now && now > 0;
  }));
  EXPECT_LT(node.application.flooded, 16u << 20);
  EXPECT_EQ(node.application.cancelled, 0);
  // Whoever reads goes on.
  EXPECT_TRUE(Soon([&] { return peer.ReadSome() && node.application.flooded > before; }));
  EXPECT_EQ(node.application.cancelled, 0);
  peer.Close();
  EXPECT_TRUE(Soon([&] { return node.application.cancelled == 1; }));
}

TEST(HttpServer, ClosesWhoDoesNotReadAtAll) {
  HttpNode node;
  node.options.limits.write_idle = milliseconds(200);
  ASSERT_TRUE(node.Start().ok());
  HttpPeer peer(node.port(), /*receive_buffer=*/4096);
  peer.Send(Get("/flood"));
  EXPECT_TRUE(Soon([&] { return node.application.cancelled == 1; }));
}

TEST(HttpServer, TimesOut) {
  HttpNode node;
  node.options.limits.header_time = milliseconds(150);
  node.options.limits.body_idle = milliseconds(150);
  node.options.limits.idle = milliseconds(150);
  ASSERT_TRUE(node.Start().ok());
  HttpPeer silent(node.port());
  HttpPeer slow_head(node.port());
  HttpPeer slow_body(node.port());
  HttpPeer idle(node.port());
  slow_head.Send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow");
  slow_body.Send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
  idle.Send(Get("/hello"));
  EXPECT_EQ(idle.ReadAnswer().status, 200);
  EXPECT_EQ(slow_head.ReadAnswer().status, 408);
  EXPECT_EQ(slow_body.ReadAnswer().status, 408);
  EXPECT_EQ(node.application.reason().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(slow_head.IsClosed());
  EXPECT_TRUE(slow_body.IsClosed());
  // These have begun nothing: there is nothing to answer.
  EXPECT_TRUE(silent.IsClosed());
  EXPECT_TRUE(idle.IsClosed());
  EXPECT_EQ(silent.received(), "");
  EXPECT_EQ(idle.received(), "");
}

TEST(HttpServer, BodiesThatTrickleTimeOutAsAWhole) {
  HttpNode node;
  node.options.limits.body_time = milliseconds(300);
  ASSERT_TRUE(node.Start().ok());
  HttpPeer peer(node.port());
  peer.Send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
  std::atomic<bool> done{false};
  std::thread trickle([&] {
    while (!done && peer.Send("x")) std::this_thread::sleep_for(milliseconds(20));
  });
  EXPECT_EQ(peer.ReadAnswer().status, 408);
  done = true;
  trickle.join();
}

TEST(HttpServer, RequestsHaveATimeInAll) {
  HttpNode node;
  node.options.limits.request_time = milliseconds(150);
  ASSERT_TRUE(node.Start().ok());
  HttpPeer peer(node.port());
  peer.Send(Get("/hold"));
  const HttpAnswer answer = peer.ReadAnswer();
  EXPECT_EQ(answer.status, 503);
  EXPECT_TRUE(answer.Has("Retry-After: 1"));
  EXPECT_EQ(node.application.reason().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(HttpServer, RefusesConnectionsAboveTheLimit) {
  HttpNode node;
  node.options.limits.connections = 2;
  ASSERT_TRUE(node.Start().ok());
  auto first = std::make_unique<HttpPeer>(node.port());
  HttpPeer second(node.port());
  first->Send(Get("/hello"));
  second.Send(Get("/hello"));
  EXPECT_EQ(first->ReadAnswer().status, 200);
  EXPECT_EQ(second.ReadAnswer().status, 200);
  {
    HttpPeer third(node.port());
    third.Send(Get("/hello"));
    const HttpAnswer answer = third.ReadAnswer();
    EXPECT_EQ(answer.status, 503);
    EXPECT_TRUE(answer.Has("Retry-After: 1"));
    EXPECT_TRUE(third.IsClosed());
  }
  // There is room again.
  first.reset();
  EXPECT_TRUE(Soon([&] {
    HttpPeer again(node.port());
    again.Send(Get("/hello"));
    return again.ReadAnswer().status == 200;
  }));
  EXPECT_GE(node.rejected(absl::StatusCode::kUnavailable), 1u);
}

TEST(HttpServer, ClosesAfterSoManyRequests) {
  HttpNode node;
  node.options.limits.requests_per_connection = 2;
  ASSERT_TRUE(node.Start().ok());
  HttpPeer peer(node.port());
  peer.Send(Get("/hello") + Get("/hello") + Get("/hello"));
  EXPECT_FALSE(peer.ReadAnswer().Has("Connection: close"));
  EXPECT_TRUE(peer.ReadAnswer().Has("Connection: close"));
  EXPECT_EQ(peer.ReadAnswer().status, 0);
  EXPECT_EQ(node.application.served, 2);
}

TEST(HttpServer, DrainsWhatIsInFlight) {
  HttpNode node(2);
  ASSERT_TRUE(node.Start().ok());
  std::vector<std::unique_ptr<HttpPeer>> busy;
  HttpPeer idle(node.port());
  idle.Send(Get("/hello"));
  EXPECT_EQ(idle.ReadAnswer().status, 200);
  for (int i = 0; i < 4; ++i) {
    busy.push_back(std::make_unique<HttpPeer>(node.port()));
    busy.back()->Send(Get("/late"));
  }
  EXPECT_TRUE(Soon([&] { return node.application.served == 5; }));
  node.server().StopIntake();
  EXPECT_TRUE(idle.IsClosed());
  EXPECT_LT(HttpPeer(node.port()).fd(), 0);
  std::thread later([&] {
    std::this_thread::sleep_for(milliseconds(50));
    node.application.release.Set();
  });
  EXPECT_EQ(node.server().Drain(std::chrono::steady_clock::now() + std::chrono::seconds(60)), 0u);
  later.join();
  for (const auto& peer : busy) {
    const HttpAnswer answer = peer->ReadAnswer();
    EXPECT_EQ(answer.body, "late");
    EXPECT_TRUE(answer.Has("Connection: close"));
  }
}

TEST(HttpServer, CancelsWhatADrainDoesNotWaitFor) {
  HttpNode node;
  ASSERT_TRUE(node.Start().ok());
  HttpPeer peer(node.port());
  peer.Send(Get("/hold"));
  EXPECT_TRUE(Soon([&] { return node.application.served == 1; }));
  EXPECT_EQ(node.server().Drain(std::chrono::steady_clock::now()), 1u);
  EXPECT_EQ(node.application.reason().code(), absl::StatusCode::kUnavailable);
  const HttpAnswer answer = peer.ReadAnswer();
  EXPECT_EQ(answer.status, 503);
  EXPECT_TRUE(answer.Has("Retry-After: 1"));
}

TEST(HttpServer, SaysWhatIsWrongWithAnAddress) {
  HttpNode first;
  ASSERT_TRUE(first.Start().ok());
  HttpNode second;
  second.options.address = first.server().endpoint();
  const absl::Status taken = second.Start();
  EXPECT_EQ(taken.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(taken.message()), HasSubstr("Address already in use"));
  for (const char* bad : {"127.0.0.1", "127.0.0.1:http", "::1:80", "127.0.0.1:70000", ":-1"}) {
    HttpNode node;
    node.options.address = bad;
    const absl::Status status = node.Start();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(std::string(status.message()), HasSubstr("write host:port"));
  }
}

TEST(HttpServer, ListensOnAllAddresses) {
  HttpNode node;
  node.options.address = "localhost:0";
  ASSERT_TRUE(node.Start().ok());
  HttpPeer peer(node.port());
  peer.Send(Get("/who"));
  EXPECT_THAT(peer.ReadAnswer().body, StartsWith("ipv4:127.0.0.1:"));
}

// S-05: a thousand who do nothing, slowly, and one who works.
TEST(HttpServer, SlowClientsDoNotHoldUpOthers) {
  HttpNode node;
  node.options.limits.header_time = milliseconds(1'000);
  ASSERT_TRUE(node.Start().ok());
  std::vector<std::unique_ptr<HttpPeer>> slow;
  for (int i = 0; i < 300; ++i) {
    slow.push_back(std::make_unique<HttpPeer>(node.port()));
    ASSERT_GE(slow.back()->fd(), 0);
    slow.back()->Send(i % 2 == 0 ? "GET / HTTP/1.1\r\nX: " : "POST /echo HTTP/1.1\r\nHost: a\r\n");
  }
  HttpPeer good(node.port());
  for (int i = 0; i < 500; ++i) {
    good.Send(Post("/echo", "good"));
    ASSERT_EQ(good.ReadAnswer().body, "good");
  }
  for (const auto& each : slow) {
    EXPECT_EQ(each->ReadAnswer().status, 408);
    EXPECT_TRUE(each->IsClosed());
  }
}

}  // namespace
}  // namespace rookery::testing
