#include "rookery/rpc/generated.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "echo.rookery.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/sync_wait.h"

namespace rookery {
namespace {

using testing::EchoClient;
using testing::EchoReply;
using testing::EchoRequest;

// What the peer does, and what it saw.
struct FakePeer {
  absl::Status status;                // how each call ends
  std::vector<std::string> replies;   // of streams
  std::vector<std::string> received;  // texts of requests
  std::vector<std::string> methods;
  const void* request_address = nullptr;
  bool owned = false;
  bool cancelled = false;
  int open_streams = 0;
};

class FakeStream final : public ClientStream {
 public:
  FakeStream(FakePeer* peer, OutgoingCall* call) : peer_(peer), call_(call) {
    ++peer_->open_streams;
  }
  ~FakeStream() override { --peer_->open_streams; }
  Task<bool> Write(const google::protobuf::Message& message) override {
    peer_->received.push_back(static_cast<const EchoRequest&>(message).text());
    co_return true;
  }
  Task<void> WritesDone() override {
    peer_->received.emplace_back("(done)");
    co_return;
  }
  Task<bool> Read(google::protobuf::Message& into) override {
    if (next_ == peer_->replies.size()) co_return false;
    static_cast<EchoReply&>(into).set_text(peer_->replies[next_++]);
    co_return true;
  }
  Task<absl::Status> Finish() override {
    call_->trailers.AddUnchecked("x-end", "1");
    co_return peer_->status;
  }
  void Cancel(absl::Status /*reason*/) noexcept override { peer_->cancelled = true; }

 private:
  FakePeer* peer_;
  OutgoingCall* call_;
  std::size_t next_ = 0;
};

class FakeChannel final : public Channel {
 public:
  explicit FakeChannel(FakePeer* peer) : peer_(peer) {}
  std::string_view transport() const noexcept override { return "fake"; }
  std::string target() const override { return "fake"; }
  ConnectionState state() const noexcept override { return ConnectionState::kReady; }

  Task<void> Unary(OutgoingCall& call, const google::protobuf::Message& request,
                   google::protobuf::Message& response) override {
    peer_->methods.emplace_back(call.method->full_name);
    peer_->request_address = &request;
    peer_->owned = call.owns_request;
    peer_->received.push_back(static_cast<const EchoRequest&>(request).text());
    call.peer = "fake:1";
    call.headers.AddUnchecked("x-head", "1");
    if (!peer_->status.ok()) co_await Fail(peer_->status);
    if (call.method->kind == MethodKind::kUnary) {
      static_cast<EchoReply&>(response).set_text("re: " + peer_->received.back());
    }
  }
  std::unique_ptr<ClientStream> Open(OutgoingCall& call) override {
    peer_->methods.emplace_back(call.method->full_name);
    peer_->owned = call.owns_request;
    return std::make_unique<FakeStream>(peer_, &call);
  }

 private:
  FakePeer* peer_;
};

class GeneratedClient : public ::testing::Test {
 protected:
  static EchoRequest RequestOf(std::string text) {
    EchoRequest request;
    request.set_text(std::move(text));
    return request;
  }
  static Stream<EchoRequest> RequestsOf(std::vector<std::string> texts) {
    for (const std::string& text : texts) {
      EchoRequest request = RequestOf(text);
      co_yield std::move(request);
    }
  }
  static Task<std::vector<std::string>> Texts(Stream<EchoReply> replies) {
    std::vector<std::string> texts;
    for (;;) {
      std::optional<EchoReply> reply = co_await replies.Next();
      if (!reply) break;
      texts.push_back(reply->text());
    }
    co_return std::move(texts);
  }
  EchoClient Client() { return EchoClient(std::make_shared<FakeChannel>(&peer_)); }

  FakePeer peer_;
};

TEST_F(GeneratedClient, UnaryLvalueStaysWhereItIs) {
  EchoClient client = Client();
  const EchoRequest request = RequestOf("hi");
  const EchoReply reply = SyncWait(client.Say(request));
  EXPECT_EQ(reply.text(), "re: hi");
  EXPECT_EQ(peer_.request_address, &request) << "copied";
  EXPECT_FALSE(peer_.owned);
  EXPECT_EQ(peer_.methods, std::vector<std::string>{"/rookery.testing.Echo/Say"});
}

TEST_F(GeneratedClient, UnaryRvalueIsOwnedByTheCall) {
  EchoClient client = Client();
  std::optional<EchoRequest> request = RequestOf("hi");
  Task<EchoReply> task = client.Say(*std::move(request));
  request.reset();  // nothing of the caller's is used from here on
  EXPECT_EQ(SyncWait(std::move(task)).text(), "re: hi");
  EXPECT_TRUE(peer_.owned);
}

TEST_F(GeneratedClient, TasksOutliveTheClientAndItsChannelsOtherOwners) {
  std::optional<EchoClient> client = Client();
  Task<EchoReply> unary = client->Say(RequestOf("a"));
  Stream<EchoReply> stream = client->Repeat(RequestOf("b"));
  Task<void> event = client->OnSaid(RequestOf("c"));
  Stream<EchoReply> chat = client->Chat(RequestsOf({"d"}));
  Task<EchoReply> join = client->Join(RequestsOf({"e"}));
  client.reset();
  peer_.replies = {"r"};
  EXPECT_EQ(SyncWait(std::move(unary)).text(), "re: a");
  EXPECT_EQ(SyncWait(Texts(std::move(stream))), std::vector<std::string>{"r"});
  SyncWait(std::move(event));
  EXPECT_EQ(SyncWait(Texts(std::move(chat))), std::vector<std::string>{"r"});
  EXPECT_EQ(SyncWait(std::move(join)).text(), "r");
  EXPECT_EQ(peer_.open_streams, 0);
}

TEST_F(GeneratedClient, TasksThatNobodyAwaitsDoNothing) {
  {
    EchoClient client = Client();
    const EchoRequest request = RequestOf("a");
    Task<EchoReply> unary = client.Say(request);
    Stream<EchoReply> stream = client.Repeat(request);
    Stream<EchoReply> chat = client.Chat(RequestsOf({"d"}));
  }
  EXPECT_TRUE(peer_.methods.empty());
}

TEST_F(GeneratedClient, AStatusComesBackAsItIs) {
  peer_.status = absl::NotFoundError("nobody");
  EchoClient client = Client();
  const EchoRequest request = RequestOf("hi");
  EXPECT_EQ(SyncWaitStatus(client.Say(request)).status(), absl::NotFoundError("nobody"));
  EXPECT_EQ(SyncWaitStatus(client.OnSaid(request)), absl::NotFoundError("nobody"));
  EXPECT_EQ(SyncWaitStatus(client.Join(RequestsOf({}))).status(), absl::NotFoundError("nobody"));
  try {
    (void)SyncWait(client.Say(request));
    FAIL() << "did not throw";
  } catch (const RpcException& error) {
    EXPECT_EQ(error.status(), absl::NotFoundError("nobody"));
  }
}

TEST_F(GeneratedClient, EventsCopyAnLvalue) {
  EchoClient client = Client();
  std::optional<EchoRequest> event = RequestOf("gone");
  Task<void> task = client.OnSaid(*event);
  event.reset();
  SyncWait(std::move(task));
  EXPECT_EQ(peer_.received, std::vector<std::string>{"gone"});
}

TEST_F(GeneratedClient, InfoIsFilledIn) {
  EchoClient client = Client();
  CallInfo info;
  CallOptions options;
  options.info = &info;
  (void)SyncWait(client.Say(RequestOf("hi"), std::move(options)));
  EXPECT_EQ(info.peer, "fake:1");
  EXPECT_EQ(info.headers.Get("x-head"), "1");

  CallInfo of_stream;
  CallOptions more;
  more.info = &of_stream;
  (void)SyncWait(Texts(client.Repeat(RequestOf("hi"), std::move(more))));
  EXPECT_EQ(of_stream.trailers.Get("x-end"), "1");
}

TEST_F(GeneratedClient, AClientWithoutAChannelFailsAndDoesNotCrash) {
  EchoClient client(nullptr);
  const EchoRequest request = RequestOf("hi");
  const auto code = absl::StatusCode::kFailedPrecondition;
  EXPECT_EQ(SyncWaitStatus(client.Say(request)).status().code(), code);
  EXPECT_EQ(SyncWaitStatus(client.OnSaid(request)).code(), code);
  EXPECT_EQ(SyncWaitStatus(Texts(client.Repeat(request))).status().code(), code);
  EXPECT_EQ(SyncWaitStatus(client.Join(RequestsOf({"a"}))).status().code(), code);
  EXPECT_EQ(SyncWaitStatus(Texts(client.Chat(RequestsOf({"a"})))).status().code(), code);
}

TEST_F(GeneratedClient, ServerStreams) {
  peer_.replies = {"0", "1", "2"};
  EchoClient client = Client();
  std::optional<EchoRequest> request = RequestOf("again");
  Stream<EchoReply> replies = client.Repeat(*request);
  request.reset();  // copied: a stream is read later
  EXPECT_EQ(SyncWait(Texts(std::move(replies))), (std::vector<std::string>{"0", "1", "2"}));
  EXPECT_EQ(peer_.received, (std::vector<std::string>{"again", "(done)"}));
  EXPECT_FALSE(peer_.cancelled);
  EXPECT_EQ(peer_.open_streams, 0);
}

TEST_F(GeneratedClient, AServerStreamTellsItsStatusAfterItsMessages) {
  peer_.replies = {"0"};
  peer_.status = absl::DataLossError("cut");
  EchoClient client = Client();
  Stream<EchoReply> replies = client.Repeat(RequestOf("x"));
  const auto one = [](Stream<EchoReply>& stream) -> Task<bool> {
    std::optional<EchoReply> reply = co_await stream.Next();
    co_return reply.has_value();
  };
  EXPECT_TRUE(SyncWait(one(replies)));
  EXPECT_EQ(SyncWaitStatus(one(replies)).status(), absl::DataLossError("cut"));
}

TEST_F(GeneratedClient, DroppingAStreamCancelsIt) {
  peer_.replies = {"0", "1"};
  EchoClient client = Client();
  {
    Stream<EchoReply> replies = client.Repeat(RequestOf("x"));
    const auto one = [](Stream<EchoReply>& stream) -> Task<std::string> {
      std::optional<EchoReply> reply = co_await stream.Next();
      co_return reply->text();
    };
    EXPECT_EQ(SyncWait(one(replies)), "0");
    EXPECT_FALSE(peer_.cancelled);
  }
  EXPECT_TRUE(peer_.cancelled);
  EXPECT_EQ(peer_.open_streams, 0);
}

TEST_F(GeneratedClient, ClientStreams) {
  peer_.replies = {"joined"};
  EchoClient client = Client();
  EXPECT_EQ(SyncWait(client.Join(RequestsOf({"a", "b"}))).text(), "joined");
  EXPECT_EQ(peer_.received, (std::vector<std::string>{"a", "b", "(done)"}));
  EXPECT_EQ(peer_.open_streams, 0);
}

TEST_F(GeneratedClient, AClientStreamWithoutAReplyIsTheServersFault) {
  EchoClient client = Client();
  EXPECT_EQ(SyncWaitStatus(client.Join(RequestsOf({"a"}))).status(),
            absl::InternalError("/rookery.testing.Echo/Join ended with OK and without a reply"));
}

TEST_F(GeneratedClient, BidiStreams) {
  peer_.replies = {"x", "y"};
  EchoClient client = Client();
  EXPECT_EQ(SyncWait(Texts(client.Chat(RequestsOf({"a", "b"})))),
            (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(peer_.received, (std::vector<std::string>{"a", "b", "(done)"}));
  EXPECT_EQ(peer_.open_streams, 0);
}

TEST_F(GeneratedClient, ARequestStreamThatFailsFailsTheCall) {
  EchoClient client = Client();
  const auto broken = []() -> Stream<EchoRequest> {
    EchoRequest first;
    co_yield std::move(first);
    co_await Fail(absl::OutOfRangeError("no more"));
  };
  EXPECT_EQ(SyncWaitStatus(client.Join(broken())).status(), absl::OutOfRangeError("no more"));
  EXPECT_TRUE(peer_.cancelled);
}

TEST_F(GeneratedClient, ClientsAreCopiedWithTheirChannel) {
  EchoClient client = Client();
  const EchoClient& same = client;
  EchoClient copy = same;
  EXPECT_EQ(copy.channel(), client.channel());
  EXPECT_EQ(SyncWait(copy.Say(RequestOf("hi"))).text(), "re: hi");
}

}  // namespace
}  // namespace rookery
