#include "rookery/rpc/local_channel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "echo.rookery.h"
#include "rookery/platform/cls.h"
#include "rookery/rpc/status.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/sync_wait.h"
#include "unit/pipeline/harness.h"

namespace rookery::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

inline constexpr ClsKey<std::string> kTenant{"tenant", Propagation::kBaggage};
inline constexpr ClsKey<std::string> kPrivate{"private"};

EchoRequest Text(std::string text, int count = 0) {
  EchoRequest request;
  request.set_text(std::move(text));
  request.set_count(count);
  return request;
}

Task<void> Pause(milliseconds time) { co_await Sleep(time); }

// Says whether it still lives.
struct Alive {
  explicit Alive(int* c) : count(c) { ++*count; }
  Alive(const Alive&) = delete;
  ~Alive() { --*count; }
  int* count;
};

class EchoController final : public EchoService {
 public:
  const EchoRequest* seen = nullptr;
  std::vector<std::string> events;
  std::string tenant;
  std::string request_id;
  TraceContext trace;
  Peer peer;
  absl::Status cancelled_with;
  int producers = 0;
  int produced = 0;
  Event release;

  Task<EchoReply> Say(CallContext& call, const EchoRequest& request) override {
    const Alive alive(&producers);
    seen = &request;
    peer = call.peer();
    if (const auto sent = call.metadata().Get("x-echo")) {
      call.response_headers().Add("x-echo", *sent).IgnoreError();
      call.response_trailers().Add("x-trail", "end").IgnoreError();
    }
    if (request.text() == "context") {
      if (const auto* found = Cls::Get(kTenant)) tenant = *found;
      if (Cls::Get(kPrivate) != nullptr) tenant += "!";
      request_id = call.request_id();
      trace = call.trace();
    }
    if (request.delay_ms() > 0) {
      Task<void> sleep = Pause(milliseconds(request.delay_ms()));
      absl::Status slept = co_await AsStatusOr(std::move(sleep));
      if (!slept.ok()) {
        cancelled_with = slept;
        co_return slept;
      }
    }
    if (request.text() == "stubborn") co_await release.Wait();
    if (request.fail_code() != 0) {
      absl::Status status(static_cast<absl::StatusCode>(request.fail_code()),
                          request.fail_message());
      co_return WithDetails(std::move(status), request);
    }
    if (request.text() == "throw") throw std::runtime_error("the secret of the house");
    EchoReply reply;
    reply.set_text(request.text());
    co_return reply;
  }
  Stream<EchoReply> Repeat(CallContext& /*call*/, const EchoRequest& request) override {
    const Alive alive(&producers);
    for (int i = 0; i < request.count(); ++i) {
      EchoReply reply;
      reply.set_text(request.text());
      reply.set_index(i);
      ++produced;
      co_yield std::move(reply);
      if (request.delay_ms() > 0) co_await Sleep(milliseconds(request.delay_ms()));
    }
    if (request.fail_code() != 0) {
      co_await Fail(
          absl::Status(static_cast<absl::StatusCode>(request.fail_code()), request.fail_message()));
    }
  }
  Task<EchoReply> Join(CallContext& call, Stream<EchoRequest> requests) override {
    const Alive alive(&producers);
    call.response_headers().Add("x-join", "yes").IgnoreError();
    EchoReply reply;
    for (;;) {
      std::optional<EchoRequest> request = co_await requests.Next();
      if (!request) break;
      if (request->text() == "enough") break;
      reply.set_text(reply.text() + request->text());
      reply.set_index(reply.index() + 1);
    }
    co_return reply;
  }
  Stream<EchoReply> Chat(CallContext& /*call*/, Stream<EchoRequest> requests) override {
    const Alive alive(&producers);
    for (;;) {
      std::optional<EchoRequest> request = co_await requests.Next();
      if (!request) break;
      if (request->text() == "bye") break;
      EchoReply reply;
      reply.set_text(request->text());
      co_yield std::move(reply);
    }
  }
  Task<void> OnSaid(CallContext& /*call*/, const EchoRequest& event) override {
    events.push_back(event.text());
    if (event.fail_code() != 0) co_await Fail(absl::NotFoundError("no such thing"));
  }
  Task<EchoReply> SayAgain(CallContext& call, const EchoRequest& request) override {
    return Say(call, request);
  }
};

class LocalChannelTest : public ::testing::Test {
 protected:
  LocalChannelTest() { harness_.Add(controller_); }
  EchoClient client() { return harness_.client<EchoClient>(); }

  std::shared_ptr<EchoController> controller_ = std::make_shared<EchoController>();
  Harness harness_;
};

TEST_F(LocalChannelTest, AnswersUnaryCalls) {
  const EchoReply reply = SyncWait(client().Say(Text("hello")));
  EXPECT_EQ(reply.text(), "hello");
  EXPECT_EQ(controller_->peer.address, "inproc");
  EXPECT_EQ(harness_.endpoint()->in_flight(), 0u);
  const StatsSnapshot stats = harness_.stats.Snapshot();
  const MethodSnapshot* const say = stats.Find("/rookery.testing.Echo/Say", "inproc");
  ASSERT_NE(say, nullptr);
  EXPECT_EQ(say->code(absl::StatusCode::kOk), 1u);
  EXPECT_EQ(say->in_flight, 0u);
}

TEST_F(LocalChannelTest, LendsTheRequestToWhoWaitsAnyway) {
  const EchoRequest request = Text("lent");
  (void)SyncWait(client().Say(request));
  EXPECT_EQ(controller_->seen, &request);
}

TEST_F(LocalChannelTest, CopiesTheRequestOfACallerWhoMayLeave) {
  const EchoRequest request = Text("copied");
  CallOptions options;
  options.timeout = std::chrono::seconds(100);
  (void)SyncWait(client().Say(request, options));
  EXPECT_NE(controller_->seen, &request);
  EXPECT_EQ(request.text(), "copied");
}

TEST_F(LocalChannelTest, StatusAndDetailsComeBack) {
  EchoRequest request = Text("fail");
  request.set_fail_code(static_cast<int>(absl::StatusCode::kFailedPrecondition));
  request.set_fail_message("not yet");
  const absl::StatusOr<EchoReply> reply = SyncWaitStatus(client().Say(request));
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(reply.status().message(), "not yet");
  const auto detail = GetDetail<EchoRequest>(reply.status());
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->text(), "fail");
}

TEST_F(LocalChannelTest, ForeignExceptionsTellNothing) {
  const absl::StatusOr<EchoReply> reply = SyncWaitStatus(client().Say(Text("throw")));
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(reply.status().message()), HasSubstr("incident"));
  EXPECT_THAT(reply.status().ToString(), Not(HasSubstr("secret of the house")));
}

TEST_F(LocalChannelTest, MetadataGoesBothWays) {
  CallInfo info;
  CallOptions options;
  options.metadata.Add("x-echo", "there and back").IgnoreError();
  options.info = &info;
  (void)SyncWait(client().Say(Text("hi"), std::move(options)));
  EXPECT_EQ(info.headers.Get("x-echo"), "there and back");
  EXPECT_EQ(info.trailers.Get("x-trail"), "end");
  EXPECT_EQ(info.peer, "inproc");
}

TEST_F(LocalChannelTest, ServerStream) {
  Stream<EchoReply> replies = client().Repeat(Text("x", 3));
  std::vector<int> got;
  for (int i = 0; i < 4; ++i) {
    const std::optional<EchoReply> reply =
        SyncWait([](Stream<EchoReply>& s) -> Task<std::optional<EchoReply>> {
          co_return co_await s.Next();
        }(replies));
    if (!reply) break;
    got.push_back(reply->index());
  }
  EXPECT_THAT(got, ElementsAre(0, 1, 2));
  EXPECT_EQ(controller_->producers, 0);
}

Task<std::vector<EchoReply>> All(Stream<EchoReply> replies) {
  std::vector<EchoReply> all;
  for (;;) {
    std::optional<EchoReply> reply = co_await replies.Next();
    if (!reply) break;
    all.push_back(*std::move(reply));
  }
  co_return all;
}

Stream<EchoRequest> Requests(std::vector<std::string> texts) {
  for (std::string& text : texts) {
    EchoRequest request = Text(std::move(text));
    co_yield std::move(request);
  }
}

TEST_F(LocalChannelTest, StreamFailsAfterItsMessages) {
  EchoRequest request = Text("x", 2);
  request.set_fail_code(static_cast<int>(absl::StatusCode::kDataLoss));
  request.set_fail_message("torn");
  const auto all = SyncWaitStatus(All(client().Repeat(request)));
  EXPECT_EQ(all.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(controller_->produced, 2);
}

TEST_F(LocalChannelTest, ASlowReaderSlowsTheWriter) {
  SyncWait(
      [](LocalChannelTest* /*test*/, EchoClient client, EchoController* controller) -> Task<void> {
        Stream<EchoReply> replies = client.Repeat(Text("x", 1000));
        for (int i = 0; i < 5; ++i) {
          const std::optional<EchoReply> reply = co_await replies.Next();
          EXPECT_EQ(reply->index(), i);
          // The one read, and the one that waits for its reader.
          EXPECT_LE(controller->produced, i + 2);
        }
      }(this, client(), controller_.get()));
  // Dropped: the producer is gone, and nothing is in flight.
  SyncWait(Pause(milliseconds(0)));
  EXPECT_EQ(controller_->producers, 0);
  EXPECT_EQ(harness_.endpoint()->in_flight(), 0u);
}

TEST_F(LocalChannelTest, ClientStream) {
  CallInfo info;
  CallOptions options;
  options.info = &info;
  const EchoReply reply = SyncWait(client().Join(Requests({"a", "b", "c"}), std::move(options)));
  EXPECT_EQ(reply.text(), "abc");
  EXPECT_EQ(reply.index(), 3);
  EXPECT_EQ(info.headers.Get("x-join"), "yes");
}

TEST_F(LocalChannelTest, AHandlerMayStopReading) {
  const EchoReply reply = SyncWait(client().Join(Requests({"a", "enough", "never", "seen"})));
  EXPECT_EQ(reply.text(), "a");
  EXPECT_EQ(harness_.endpoint()->in_flight(), 0u);
}

TEST_F(LocalChannelTest, Bidi) {
  const std::vector<EchoReply> all = SyncWait(All(client().Chat(Requests({"a", "b", "c"}))));
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[2].text(), "c");
}

Stream<EchoRequest> Failing() {
  EchoRequest request = Text("one");
  co_yield std::move(request);
  throw RpcException(absl::OutOfRangeError("no more paper"));
}

TEST_F(LocalChannelTest, AFailingRequestStreamFailsTheCall) {
  const auto all = SyncWaitStatus(All(client().Chat(Failing())));
  EXPECT_EQ(all.status().code(), absl::StatusCode::kOutOfRange);
  SyncWait(Pause(milliseconds(0)));
  EXPECT_EQ(controller_->producers, 0);
  EXPECT_EQ(harness_.endpoint()->in_flight(), 0u);
}

// A stream of requests that waits for ever after its first.
Stream<EchoRequest> Waiting(Event& never, int* alive) {
  const Alive here(alive);
  EchoRequest request = Text("one");
  co_yield std::move(request);
  co_await never.Wait();
}

TEST_F(LocalChannelTest, ADroppedBidiStreamLeavesNothing) {
  Event never;
  int alive = 0;
  SyncWait([](EchoClient client, Event* forever, int* lives) -> Task<void> {
    Stream<EchoReply> replies = client.Chat(Waiting(*forever, lives));
    const std::optional<EchoReply> reply = co_await replies.Next();
    EXPECT_EQ(reply->text(), "one");
    EXPECT_EQ(*lives, 1);
  }(client(), &never, &alive));
  SyncWait(Pause(milliseconds(1)));
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(controller_->producers, 0);
  EXPECT_EQ(harness_.endpoint()->in_flight(), 0u);
}

TEST_F(LocalChannelTest, EventsRunAndFail) {
  SyncWait(client().OnSaid(Text("first")));
  EchoRequest bad = Text("second");
  bad.set_fail_code(1);
  EXPECT_EQ(SyncWaitStatus(client().OnSaid(bad)).code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(controller_->events, ElementsAre("first", "second"));
}

TEST_F(LocalChannelTest, TheDeadlineCancelsTheHandler) {
  EchoRequest request = Text("slow");
  request.set_delay_ms(60000);
  CallOptions options;
  options.timeout = milliseconds(5);
  const auto reply = SyncWaitStatus(client().Say(request, std::move(options)));
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kDeadlineExceeded);
  SyncWait(Pause(milliseconds(0)));
  EXPECT_EQ(controller_->cancelled_with.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(harness_.endpoint()->in_flight(), 0u);
  const StatsSnapshot stats = harness_.stats.Snapshot();
  const MethodSnapshot* const say = stats.Find("/rookery.testing.Echo/Say", "inproc");
  ASSERT_NE(say, nullptr);
  EXPECT_EQ(say->code(absl::StatusCode::kDeadlineExceeded), 1u);
  EXPECT_EQ(say->in_flight, 0u);
}

TEST_F(LocalChannelTest, TheCallerIsAnsweredAtTheDeadlineByAStubbornHandler) {
  CallOptions options;
  options.timeout = milliseconds(5);
  const auto reply = SyncWaitStatus(client().Say(Text("stubborn"), std::move(options)));
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kDeadlineExceeded);
  controller_->release.Set();
  SyncWait(Pause(milliseconds(1)));
  EXPECT_EQ(harness_.endpoint()->in_flight(), 0u);
}

TEST_F(LocalChannelTest, AStreamEndsAtItsDeadline) {
  EchoRequest request = Text("x", 1000);
  request.set_delay_ms(60000);
  CallOptions options;
  options.timeout = milliseconds(5);
  const auto all = SyncWaitStatus(All(client().Repeat(request, std::move(options))));
  EXPECT_EQ(all.status().code(), absl::StatusCode::kDeadlineExceeded);
  SyncWait(Pause(milliseconds(1)));
  EXPECT_EQ(controller_->producers, 0);
}

TEST_F(LocalChannelTest, TooLateOrCancelledBeforehandIsNotSent) {
  CallOptions late;
  late.timeout = std::chrono::nanoseconds(-1);
  EXPECT_EQ(SyncWaitStatus(client().Say(Text("x"), late)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  CancelSource source;
  source.Cancel(absl::AbortedError("changed my mind"));
  CallOptions cancelled;
  cancelled.cancel = source.token();
  EXPECT_EQ(SyncWaitStatus(client().Say(Text("x"), cancelled)).status().code(),
            absl::StatusCode::kAborted);
  EXPECT_EQ(controller_->seen, nullptr);
  const auto all = SyncWaitStatus(All(client().Repeat(Text("x", 1), cancelled)));
  EXPECT_EQ(all.status().code(), absl::StatusCode::kAborted);
}

TEST_F(LocalChannelTest, CancellationFromAnotherThread) {
  CancelSource source;
  CallOptions options;
  options.cancel = source.token();
  EchoRequest request = Text("slow");
  request.set_delay_ms(60000);
  std::thread other([&source] {
    std::this_thread::sleep_for(milliseconds(5));
    source.Cancel(absl::CancelledError("enough"));
  });
  const auto reply = SyncWaitStatus(client().Say(request, options));
  other.join();
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(reply.status().message(), "enough");
}

TEST_F(LocalChannelTest, ContextTravels) {
  harness_.accept = BaggageAllowList({kTenant});
  const ContextRef root = ContextRef::Adopt(Context::NewChild(nullptr));
  const ContextScope scope(root.get());
  Cls::Set(kTenant, "acme");
  Cls::Set(kPrivate, "mine");
  (void)SyncWait(client().Say(Text("context")));
  EXPECT_EQ(controller_->tenant, "acme");
}

TEST_F(LocalChannelTest, UnknownMethodsAndLimits) {
  harness_.endpoint_options.max_concurrent_calls = 1;
  const absl::StatusOr<EchoReply> over = SyncWait(
      [](EchoClient client, EchoController* controller) -> Task<absl::StatusOr<EchoReply>> {
        JoinHandle<EchoReply> first = Spawn(client.Say(Text("stubborn")));
        co_await Sleep(milliseconds(1));
        Task<EchoReply> second = client.Say(Text("second"));
        absl::StatusOr<EchoReply> result = co_await AsStatusOr(std::move(second));
        controller->release.Set();
        (void)co_await std::move(first);
        co_return result;
      }(client(), controller_.get()));
  EXPECT_EQ(over.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(harness_.stats.Snapshot().total_rejected(), 1u);
}

TEST_F(LocalChannelTest, DrainWaitsThenCancels) {
  auto endpoint = harness_.endpoint();
  std::thread caller([&] {
    EchoRequest request = Text("slow");
    request.set_delay_ms(60000);
    CallOptions options;
    options.timeout = std::chrono::hours(1);
    const auto reply = SyncWaitStatus(client().Say(request, std::move(options)));
    EXPECT_EQ(reply.status().code(), absl::StatusCode::kUnavailable);
  });
  while (endpoint->in_flight() == 0) std::this_thread::yield();
  std::this_thread::sleep_for(milliseconds(20));
  EXPECT_EQ(endpoint->Drain(std::chrono::steady_clock::now() + milliseconds(1)), 1u);
  caller.join();
  EXPECT_EQ(SyncWaitStatus(client().Say(Text("late"))).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(endpoint->Drain(kNoDeadline), 0u);
}

TEST_F(LocalChannelTest, TenThousandInterleavedCalls) {
  SyncWait([](EchoClient client) -> Task<void> {
    std::vector<JoinHandle<EchoReply>> calls;
    for (int i = 0; i < 10000; ++i) {
      EchoRequest request = Text(std::to_string(i));
      request.set_delay_ms(i % 3);
      CallOptions options;
      if (i % 2 == 0) options.timeout = std::chrono::minutes(1);
      calls.push_back(Spawn(client.Say(std::move(request), std::move(options))));
    }
    for (int i = 0; i < 10000; ++i) {
      const EchoReply reply = co_await std::move(calls[static_cast<std::size_t>(i)]);
      EXPECT_EQ(reply.text(), std::to_string(i));
    }
  }(client()));
  EXPECT_EQ(harness_.endpoint()->in_flight(), 0u);
}

}  // namespace
}  // namespace rookery::testing
