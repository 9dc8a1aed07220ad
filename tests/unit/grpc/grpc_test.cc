#include "rookery/transports/grpc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "node.h"
#include "rookery/rpc/status.h"
#include "rookery/runtime/cancel.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/when.h"

namespace rookery::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

absl::StatusOr<EchoReply> Say(EchoClient& client, EchoRequest request, CallOptions options = {}) {
  return SyncWaitStatus(client.Say(std::move(request), std::move(options)));
}

TEST(GrpcTest, CallsAndAnswers) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect());
  for (int i = 0; i < 100; ++i) {
    const absl::StatusOr<EchoReply> reply = Say(client, Text(absl::StrCat("hello ", i)));
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->text(), absl::StrCat("hello ", i));
  }
  EXPECT_EQ(client.channel()->state(), ConnectionState::kReady);
  EXPECT_EQ(node.controller->calls, 100);
}

TEST(GrpcTest, CarriesEmptyAndLargeMessages) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect());
  EXPECT_TRUE(Say(client, EchoRequest()).ok());
  EchoRequest large;
  large.set_payload(std::string(3 << 20, 'p'));
  large.set_reply_bytes(3 << 20);
  const absl::StatusOr<EchoReply> reply = Say(client, large);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->payload().size(), std::size_t{3} << 20);
}

TEST(GrpcTest, CarriesMetadataBothWays) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect());
  CallInfo info;
  CallOptions options;
  options.info = &info;
  ASSERT_TRUE(options.metadata.Add("x-echo", "a header value that is longer than 23 bytes").ok());
  const std::string binary("\0\x01\xff\xfe", 4);
  ASSERT_TRUE(options.metadata.Add("x-echo-bin", binary).ok());
  ASSERT_TRUE(Say(client, Text("hi"), std::move(options)).ok());
  EXPECT_EQ(info.headers.Get("x-echo"), "a header value that is longer than 23 bytes");
  EXPECT_EQ(info.trailers.Get("x-echo-bin"), binary);
  EXPECT_THAT(info.peer, HasSubstr("127.0.0.1"));
  EXPECT_THAT(node.controller->peer().address, HasSubstr("127.0.0.1"));
  EXPECT_FALSE(node.controller->peer().authenticated);
}

TEST(GrpcTest, CarriesStatusWithDetails) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect());
  for (int code = 1; code <= 16; ++code) {
    EchoRequest request;
    request.set_fail_code(code);
    request.set_fail_message("\t\ntest with whitespace\r\nand Unicode \xe2\x98\xba\t\n");
    const absl::StatusOr<EchoReply> reply = Say(client, request);
    EXPECT_EQ(static_cast<int>(reply.status().code()), code);
    EXPECT_EQ(reply.status().message(), request.fail_message());
    const std::optional<EchoReply> detail = GetDetail<EchoReply>(reply.status());
    ASSERT_TRUE(detail.has_value());
    EXPECT_EQ(detail->text(), "detail");
  }
}

TEST(GrpcTest, EndsAtTheDeadline) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect());
  EchoRequest slow;
  slow.set_delay_ms(60'000);
  CallOptions options;
  options.timeout = std::chrono::milliseconds(50);
  EXPECT_EQ(Say(client, slow, std::move(options)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_GT(node.controller->remaining().count(), 0);
  EXPECT_LE(node.controller->remaining(), std::chrono::milliseconds(55));
  // The handler hears of it too: drain finds nobody left.
  EXPECT_EQ(node.transport->Drain(std::chrono::steady_clock::now() + std::chrono::seconds(20)), 0u);
}

TEST(GrpcTest, CancelsFromTheClient) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect());
  CancelSource source;
  EchoRequest slow;
  slow.set_delay_ms(60'000);
  CallOptions options;
  options.cancel = source.token();
  std::thread canceller([&] {
    EXPECT_TRUE(Eventually([&] { return node.controller->calls == 1; }));
    source.Cancel(absl::AbortedError("changed my mind"));
  });
  const absl::StatusOr<EchoReply> reply = Say(client, slow, std::move(options));
  canceller.join();
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(reply.status().message(), "changed my mind");
  EXPECT_EQ(node.transport->Drain(std::chrono::steady_clock::now() + std::chrono::seconds(20)), 0u);
}

TEST(GrpcTest, ACancelledTokenEndsTheCallAtOnce) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect());
  CancelSource source;
  source.Cancel(absl::CancelledError("too late"));
  CallOptions options;
  options.cancel = source.token();
  EXPECT_EQ(Say(client, Text("hi"), std::move(options)).status().message(), "too late");
}

TEST(GrpcTest, DeliversEvents) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect());
  EXPECT_TRUE(SyncWaitStatus(client.OnSaid(Text("hear, hear"))).ok());
  EXPECT_THAT(node.controller->said(), ElementsAre("hear, hear"));
}

Task<std::vector<int>> Collect(Stream<EchoReply> replies) {
  std::vector<int> indices;
  for (;;) {
    std::optional<EchoReply> reply = co_await replies.Next();
    if (!reply) break;
    indices.push_back(reply->index());
  }
  co_return indices;
}

TEST(GrpcTest, StreamsFromTheServer) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect());
  for (const int count : {0, 1, 2, 3, 5'000}) {
    EchoRequest request = Text("again");
    request.set_count(count);
    const absl::StatusOr<std::vector<int>> indices =
        SyncWaitStatus(Collect(client.Repeat(request)));
    ASSERT_TRUE(indices.ok()) << indices.status();
    ASSERT_EQ(indices->size(), static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) EXPECT_EQ((*indices)[static_cast<std::size_t>(i)], i);
  }
}

// A producer that suspends after each message: none may be left in gRPC's buffer meanwhile.
TEST(GrpcTest, StreamsWhatASlowProducerGives) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect());
  EchoRequest request = Text("slowly");
  request.set_count(20);
  request.set_delay_ms(2);
  const absl::StatusOr<std::vector<int>> indices = SyncWaitStatus(Collect(client.Repeat(request)));
  ASSERT_TRUE(indices.ok()) << indices.status();
  EXPECT_EQ(indices->size(), 20u);
}

Task<int> TakeOneOf(Stream<EchoReply> replies) {
  std::optional<EchoReply> first = co_await replies.Next();
  co_return first ? first->index() : -1;
}

TEST(GrpcTest, AStreamThatSuspendsForeverStillDeliversItsFirstMessage) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect());
  EchoRequest request = Text("one, then silence");
  request.set_count(3);
  request.set_delay_ms(400);
  EXPECT_EQ(SyncWait(TakeOneOf(client.Repeat(request))), 0);
  EXPECT_EQ(node.transport->Drain(std::chrono::steady_clock::now() + std::chrono::seconds(20)), 0u);
}

TEST(GrpcTest, AStreamThatFailsDeliversWhatCameBefore) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  std::shared_ptr<Channel> channel = node.Connect();
  EchoClient client(channel);
  EchoRequest request = Text("then fail");
  request.set_count(3);
  request.set_fail_code(9);
  request.set_fail_message("enough");
  OutgoingCall call(EchoClient::Descriptor().methods[1]);
  std::vector<int> indices;
  absl::Status status;
  const auto run = [&]() -> Task<void> {
    std::unique_ptr<ClientStream> stream = channel->Open(call);
    Task<bool> write = stream->Write(request);
    co_await std::move(write);
    Task<void> done = stream->WritesDone();
    co_await std::move(done);
    for (;;) {
      EchoReply reply;
      Task<bool> read = stream->Read(reply);
      const bool more = co_await std::move(read);
      if (!more) break;
      indices.push_back(reply.index());
    }
    Task<absl::Status> finish = stream->Finish();
    status = co_await std::move(finish);
  };
  SyncWait(run());
  EXPECT_THAT(indices, ElementsAre(0, 1, 2));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(GetDetail<EchoReply>(status).has_value());
}

Stream<EchoRequest> Requests(std::vector<std::string> texts) {
  for (const std::string& text : texts) co_yield Text(text);
}

TEST(GrpcTest, StreamsToTheServer) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect());
  const absl::StatusOr<EchoReply> reply =
      SyncWaitStatus(client.Join(Requests({"a", "b", "", "c"})));
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->text(), "abc");
  EXPECT_EQ(reply->index(), 4);
  EXPECT_EQ(SyncWait(client.Join(Requests({}))).index(), 0);
}

Task<std::vector<std::string>> Texts(Stream<EchoReply> replies) {
  std::vector<std::string> texts;
  for (;;) {
    std::optional<EchoReply> reply = co_await replies.Next();
    if (!reply) break;
    texts.push_back(reply->text());
  }
  co_return texts;
}

TEST(GrpcTest, StreamsBothWays) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect());
  EXPECT_THAT(SyncWait(Texts(client.Chat(Requests({"a", "b", "c"})))), ElementsAre("a", "b", "c"));
  EXPECT_THAT(SyncWait(Texts(client.Chat(Requests({})))), ElementsAre());
}

Stream<EchoRequest> FailingRequests() {
  co_yield Text("a");
  co_await Fail(absl::DataLossError("my file is broken"));
}

TEST(GrpcTest, ARequestStreamThatFailsCancelsTheCall) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect());
  EXPECT_EQ(SyncWaitStatus(client.Join(FailingRequests())).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(node.transport->Drain(std::chrono::steady_clock::now() + std::chrono::seconds(20)), 0u);
}

// The reader takes one message and waits: the writer must come to a halt long before its end.
TEST(GrpcTest, ASlowReaderHoldsTheWriterBack) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect());
  constexpr int kMessages = 4'000;
  EchoRequest request = Text("big");
  request.set_count(kMessages);
  request.set_reply_bytes(64 << 10);  // 256 MiB in all
  Stream<EchoReply> replies = client.Repeat(request);
  const auto read_one = [&]() -> Task<bool> {
    std::optional<EchoReply> reply = co_await replies.Next();
    co_return reply.has_value();
  };
  EXPECT_TRUE(SyncWait(read_one()));
  int last = -1;
  EXPECT_TRUE(Eventually([&] {
    const int now = node.controller->produced;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return std::exchange(last, now) == now;
  }));
  EXPECT_LT(last, kMessages / 2);
  EXPECT_TRUE(SyncWait(read_one()));
  replies = Stream<EchoReply>();  // drops the call
  EXPECT_EQ(node.transport->Drain(std::chrono::steady_clock::now() + std::chrono::seconds(20)), 0u);
}

TEST(GrpcTest, ManyCallsInterleave) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect());
  const auto call = [&](int i) -> Task<bool> {
    EchoRequest request = Text(absl::StrCat(i));
    request.set_delay_ms(i % 7);
    const EchoReply reply = co_await client.Say(request);
    co_return reply.text() == absl::StrCat(i);
  };
  const auto all = [&]() -> Task<int> {
    std::vector<Task<bool>> tasks;
    for (int i = 0; i < 2'000; ++i) tasks.push_back(call(i));
    std::vector<bool> good = co_await WhenAll(std::move(tasks));
    int count = 0;
    for (const bool ok : good) count += ok ? 1 : 0;
    co_return count;
  };
  EXPECT_EQ(SyncWait(all()), 2'000);
}

// Calls made from a handler complete on the handler's own thread, and inherit its deadline.
TEST(GrpcTest, ACallFromAHandlerStaysOnItsThread) {
  EchoNode backend;
  ASSERT_TRUE(backend.Start({}).ok());
  EchoClient to_backend(backend.Connect());
  EchoNode front;
  front.controller->downstream = &to_backend;
  ASSERT_TRUE(front.Start({}).ok());
  EchoClient client(front.Connect());
  for (int i = 0; i < 50; ++i) {
    CallOptions options;
    options.timeout = std::chrono::seconds(20);
    const absl::StatusOr<EchoReply> reply = Say(client, Text("x"), std::move(options));
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->text(), "x");
  }
  EXPECT_EQ(front.controller->stayed, 50);
  // gRPC rounds what it sends of a deadline up, to two or three digits.
  EXPECT_LT(backend.controller->remaining(), std::chrono::seconds(21));
  // A deadline that passes two hops down ends both handlers.
  EchoRequest slow;
  slow.set_delay_ms(60'000);
  front.controller->downstream = nullptr;
  CallOptions options;
  options.timeout = std::chrono::milliseconds(50);
  EXPECT_EQ(Say(client, slow, std::move(options)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  const auto soon = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  EXPECT_EQ(front.transport->Drain(soon), 0u);
  EXPECT_EQ(backend.transport->Drain(soon), 0u);
}

// What a handler streams on is gathered into larger writes: all of it must arrive, in order, and
// the end with it.
TEST(GrpcTest, AHandlerStreamsOnWhatItIsSent) {
  EchoNode backend;
  ASSERT_TRUE(backend.Start({}).ok());
  EchoClient to_backend(backend.Connect());
  EchoNode front;
  front.controller->downstream = &to_backend;
  ASSERT_TRUE(front.Start({}).ok());
  EchoClient client(front.Connect());
  for (const int count : {0, 1, 2, 3'000}) {
    std::vector<std::string> texts;
    std::string joined;
    for (int i = 0; i < count; ++i) {
      texts.push_back(std::to_string(i) + ",");
      joined += texts.back();
    }
    CallOptions options;
    options.timeout = std::chrono::seconds(60);
    const absl::StatusOr<EchoReply> reply =
        SyncWaitStatus(client.Join(Requests(texts), std::move(options)));
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->index(), count);
    EXPECT_EQ(reply->text(), joined);
    CallOptions again;
    again.timeout = std::chrono::seconds(60);
    EXPECT_EQ(SyncWait(Texts(client.Chat(Requests(texts), std::move(again)))), texts);
  }
}

// Says a word only when the one before has come back.
Stream<EchoRequest> WordByWord(const std::atomic<int>& heard, int count) {
  for (int i = 0; i < count; ++i) {
    while (heard.load() < i) co_await Sleep(std::chrono::milliseconds(1));
    co_yield Text(std::to_string(i));
  }
}

Task<void> CountReplies(Stream<EchoReply> replies, std::atomic<int>& heard) {
  for (;;) {
    std::optional<EchoReply> reply = co_await replies.Next();
    if (!reply) break;
    ++heard;
  }
}

// A handler that waits for its caller's next word must have sent the last one on.
TEST(GrpcTest, AHandlerHoldsNothingBackWhileItWaits) {
  EchoNode backend;
  ASSERT_TRUE(backend.Start({}).ok());
  EchoClient to_backend(backend.Connect());
  EchoNode front;
  front.controller->downstream = &to_backend;
  ASSERT_TRUE(front.Start({}).ok());
  EchoClient client(front.Connect());
  std::atomic<int> heard{0};
  CallOptions options;
  options.timeout = std::chrono::seconds(60);
  const absl::Status status =
      SyncWaitStatus(CountReplies(client.Chat(WordByWord(heard, 50), std::move(options)), heard));
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(heard.load(), 50);
}

// The call goes while the last message of the stream is still held back.
TEST(GrpcTest, AHandlerThatIsCancelledDropsWhatItHeldBack) {
  EchoNode backend;
  ASSERT_TRUE(backend.Start({}).ok());
  EchoClient to_backend(backend.Connect());
  EchoNode front;
  front.controller->downstream = &to_backend;
  ASSERT_TRUE(front.Start({}).ok());
  EchoClient client(front.Connect());
  for (int i = 0; i < 100; ++i) {
    CallOptions options;
    options.timeout = std::chrono::microseconds(200 + 50 * i);
    const absl::StatusOr<EchoReply> reply = SyncWaitStatus(
        client.Join(Requests(std::vector<std::string>(100, "x")), std::move(options)));
    EXPECT_TRUE(reply.ok() || absl::IsDeadlineExceeded(reply.status())) << reply.status();
  }
  const auto soon = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  EXPECT_EQ(front.transport->Drain(soon), 0u);
  EXPECT_EQ(backend.transport->Drain(soon), 0u);
}

// A listener that stops ends the calls that its handlers are making.
TEST(GrpcTest, StopsAlthoughAHandlerWaitsForAnotherServer) {
  EchoNode backend;
  ASSERT_TRUE(backend.Start({}).ok());
  EchoClient to_backend(backend.Connect());
  EchoNode front;
  front.controller->downstream = &to_backend;
  ASSERT_TRUE(front.Start({}).ok());
  EchoClient client(front.Connect());
  absl::StatusOr<EchoReply> reply;
  std::thread caller([&] {
    EchoRequest slow;
    slow.set_delay_ms(1);  // at the front
    reply = Say(client, slow);
  });
  caller.join();
  ASSERT_TRUE(reply.ok()) << reply.status();
  backend.controller->hold = true;
  std::thread waiting([&] { reply = Say(client, Text("held")); });
  ASSERT_TRUE(Eventually([&] { return backend.controller->calls == 2; }));
  EXPECT_GE(front.transport->Drain(std::chrono::steady_clock::now()), 1u);
  front.transport->Stop();
  waiting.join();
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kUnavailable);
}

TEST(GrpcTest, ATaskThatOutlivesItsCallStillReadsIt) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect());
  for (int i = 0; i < 10; ++i) {
    CallOptions options;
    ASSERT_TRUE(options.metadata.Add("x-tenant", "acme").ok());
    ASSERT_TRUE(Say(client, Text("spawn"), std::move(options)).ok());
  }
  EXPECT_TRUE(Eventually([&] { return node.controller->spawned == 10; }));
}

TEST(GrpcTest, ADrainEndsWhatOutlivesItsCall) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Say(client, Text("spawn for ever")).ok());
  EXPECT_EQ(node.transport->Drain(std::chrono::steady_clock::now()), 3u);
  EXPECT_EQ(node.transport->Drain(std::chrono::steady_clock::now()), 0u);
}

TEST(GrpcTest, Compresses) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect());
  for (const std::string algorithm : {"gzip", "deflate"}) {
    CallOptions options;
    options.compression = algorithm;
    ASSERT_TRUE(options.metadata.Add("x-compress", "1").ok());
    EchoRequest request = Text(std::string(10'000, 'a'));
    request.set_reply_bytes(10'000);
    const absl::StatusOr<EchoReply> reply = Say(client, request, std::move(options));
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->text(), request.text());
    EXPECT_EQ(reply->payload().size(), 10'000u);
    EXPECT_TRUE(node.controller->last_compressed);
    EXPECT_EQ(node.controller->encoding(), algorithm);
  }
  ASSERT_TRUE(Say(client, Text("plain")).ok());
  EXPECT_FALSE(node.controller->last_compressed);
  EXPECT_EQ(node.controller->encoding(), "identity");
  // A client that compresses by default, and two ways to leave a message as it is.
  Grpc gzip;
  gzip.compression = GrpcCompression::kGzip;
  EchoClient compressing(node.Connect(gzip));
  const EchoRequest request = Text(std::string(10'000, 'a'));
  ASSERT_TRUE(Say(compressing, request).ok());
  EXPECT_TRUE(node.controller->last_compressed);
  CallOptions plain;
  plain.compression = "identity";
  ASSERT_TRUE(Say(compressing, request, std::move(plain)).ok());
  EXPECT_FALSE(node.controller->last_compressed);
  CallOptions choosy;
  choosy.compress_if = [](const google::protobuf::Message&) { return false; };
  ASSERT_TRUE(Say(compressing, request, std::move(choosy)).ok());
  EXPECT_FALSE(node.controller->last_compressed);
}

TEST(GrpcTest, DrainsWhatIsInFlight) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect());
  absl::StatusOr<EchoReply> reply;
  std::thread caller([&] {
    EchoRequest slow = Text("still here");
    slow.set_delay_ms(300);
    reply = Say(client, slow);
  });
  ASSERT_TRUE(Eventually([&] { return node.controller->calls == 1; }));
  node.transport->NotReady();
  node.transport->StopIntake();
  EXPECT_EQ(node.transport->Drain(std::chrono::steady_clock::now() + std::chrono::seconds(20)), 0u);
  caller.join();
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->text(), "still here");
  EXPECT_EQ(Say(client, Text("too late")).status().code(), absl::StatusCode::kUnavailable);
}

TEST(GrpcTest, CancelsWhatOutlastsTheDrain) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect());
  absl::StatusOr<EchoReply> reply;
  std::thread caller([&] {
    EchoRequest slow;
    slow.set_delay_ms(60'000);
    reply = Say(client, slow);
  });
  ASSERT_TRUE(Eventually([&] { return node.controller->calls == 1; }));
  EXPECT_EQ(node.transport->Drain(std::chrono::steady_clock::now()), 1u);
  caller.join();
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(reply.status().message()), HasSubstr("shutting down"));
  node.transport->Stop();
  node.transport->Stop();
}

TEST(GrpcTest, AnswersUnavailableWhereNobodyListens) {
  Grpc options;
  options.address = "127.0.0.1:1";
  EchoClient client(MakeChannel(options));
  EXPECT_EQ(Say(client, Text("x")).status().code(), absl::StatusCode::kUnavailable);
  CallOptions patient;
  patient.wait_for_ready = true;
  patient.timeout = std::chrono::milliseconds(50);
  EXPECT_EQ(Say(client, Text("x"), std::move(patient)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
}

TEST(GrpcTest, WhereAServerWouldHaveBeenIsForNoPeer) {
  Grpc options;
  options.address = "127.0.0.1:1";
  EchoClient nowhere(MakeChannel(options));
  const absl::Status ours = Say(nowhere, Text("x")).status();
  EXPECT_THAT(std::string(ours.message()), HasSubstr("127.0.0.1:1"));
  const absl::Status theirs = ForPeer(ours);
  EXPECT_EQ(theirs.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(theirs.ToString(), Not(HasSubstr("127.0.0.1")));
  EXPECT_THAT(std::string(theirs.message()), HasSubstr("incident"));
  // What a server says by itself goes on.
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect({}));
  EchoRequest request;
  request.set_fail_code(14);
  const absl::Status said = Say(client, request).status();
  EXPECT_EQ(said.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ForPeer(said), said);
}

TEST(GrpcTest, AClosedClientMakesNoCalls) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  EchoClient client(node.Connect());
  client.channel()->Close();
  EXPECT_EQ(Say(client, Text("x")).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(SyncWaitStatus(Collect(client.Repeat(Text("x")))).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(client.channel()->state(), ConnectionState::kShutdown);
}

TEST(GrpcTest, ServesOnAUnixSocket) {
  EchoNode node;
  Grpc options;
  options.address = absl::StrCat("unix:", ::testing::TempDir(), "rookery-grpc-test.sock");
  ASSERT_TRUE(node.Start(options).ok());
  EchoClient client(node.Connect());
  EXPECT_TRUE(Say(client, Text("x")).ok());
}

TEST(GrpcTest, ListensOnAddressesOfEveryKind) {
  for (const char* address : {"0.0.0.0:0", "[::]:0", "localhost:0", "127.0.0.1:0"}) {
    EchoNode node;
    Grpc options;
    options.address = address;
    ASSERT_TRUE(node.Start(options).ok()) << address;
    Grpc to;
    to.address = absl::StrCat("127.0.0.1:", node.port());
    EchoClient client(node.Connect(to));
    const absl::StatusOr<EchoReply> reply = SyncWaitStatus(client.Say(Text("hello")));
    EXPECT_TRUE(reply.ok()) << address << ": " << reply.status();
    EXPECT_THAT(node.controller->peer().address, ::testing::StartsWith("ipv4:127.0.0.1:"))
        << address;
  }
  Grpc options;
  options.address = "no-such-host.invalid:50051";
  EchoNode lost;
  const absl::Status status = lost.Start(options);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the host is not known"));
}

TEST(GrpcTest, PoolsConnections) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  Grpc options;
  options.connections = 3;
  options.load_balancing_policy = "round_robin";
  EchoClient client(node.Connect(options));
  std::vector<std::string> peers;
  for (int i = 0; i < 9; ++i) {
    ASSERT_TRUE(Say(client, Text("x")).ok());
    peers.push_back(node.controller->peer().address);
  }
  std::sort(peers.begin(), peers.end());
  peers.erase(std::unique(peers.begin(), peers.end()), peers.end());
  EXPECT_EQ(peers.size(), 3u);
}

// Only a method that is declared idempotent is retried.
TEST(GrpcTest, RetriesIdempotentMethodsAlone) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  Grpc options;
  options.retry.max_attempts = 3;
  options.retry.initial_backoff = std::chrono::milliseconds(1);
  options.retry.max_backoff = std::chrono::milliseconds(2);
  EchoClient client(node.Connect(options));
  EchoRequest request;
  request.set_fail_code(14);
  EXPECT_EQ(Say(client, request).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(node.controller->calls, 1);
  EXPECT_EQ(SyncWaitStatus(client.SayAgain(request)).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(node.controller->calls, 1 + 3);
  EXPECT_TRUE(SyncWaitStatus(client.SayAgain(Text("fine"))).ok());
}

// More methods than are registered one by one: the rest go another way, and answer the same.
TEST(GrpcTest, ServesManyMethods) {
  std::vector<std::string> patterns;
  for (int i = 0; i < 120; ++i) patterns.push_back(absl::StrCat("echo.many.", i));
  EchoNode node([&](ControllerBuilder& controller) {
    for (const std::string& pattern : patterns) {
      controller.Message(pattern, &EchoController::Say);
      controller.Message(absl::StrCat(pattern, ".repeat"), &EchoController::Repeat);
      controller.Message(absl::StrCat(pattern, ".join"), &EchoController::Join);
    }
  });
  ASSERT_TRUE(node.Start({}).ok());
  std::shared_ptr<Channel> channel = node.Connect();
  for (const std::string& pattern : patterns) {
    MethodDescriptor method = EchoClient::Descriptor().methods[0];
    method.full_name = pattern;
    OutgoingCall call(method);
    EchoReply reply;
    const EchoRequest request = Text(pattern);
    const absl::Status status = SyncWaitStatus(channel->Unary(call, request, reply));
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(reply.text(), pattern);
  }
}

TEST(GrpcTest, ReportsEveryFaultOfItsOptions) {
  Grpc options;
  options.address = "nonsense";
  options.max_receive_bytes = 0;
  options.tls = GrpcTls();
  options.methods["Say"] = {};
  const absl::Status status = CheckGrpcListener(options);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const std::string text(status.message());
  EXPECT_THAT(text, HasSubstr("\"nonsense\" is not host:port"));
  EXPECT_THAT(text, HasSubstr("max_receive_bytes is 0"));
  EXPECT_THAT(text, HasSubstr("a server needs a certificate and a key"));
  EXPECT_THAT(text, HasSubstr("methods[\"Say\"]: name it in full"));
  Grpc client;
  client.load_balancing_policy = "best";
  EXPECT_THROW(static_cast<void>(MakeChannel(client)), RpcException);
}

TEST(GrpcTest, SaysThatAPortIsTaken) {
  EchoNode first;
  ASSERT_TRUE(first.Start({}).ok());
  EchoNode second;
  Grpc options;
  options.address = first.transport->endpoint();
  const absl::Status status = second.Start(options);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("Address already in use"));
}

TEST(GrpcTest, AMethodLimitMustNameAMethod) {
  EchoNode node;
  Grpc options;
  options.methods["/rookery.testing.Echo/Sey"].max_concurrent_calls = 1;
  EXPECT_THAT(std::string(node.Start(options).message()), HasSubstr("/rookery.testing.Echo/Sey"));
}

}  // namespace
}  // namespace rookery::testing
