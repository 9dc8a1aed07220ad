// Applications on a test's clock: deadlines that travel, what their expiry cancels, and what the
// message engine waits for.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "echo.rookery.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rookery/app/testing.h"
#include "rookery/runtime/clock.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/sleep.h"
#include "unit/pipeline/harness.h"
#include "unit/rpc/memory_carrier.h"

namespace rookery::testing {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

EchoRequest Delay(milliseconds delay, const std::string& text = "x") {
  EchoRequest request;
  request.set_text(text);
  request.set_delay_ms(static_cast<int>(delay.count()));
  return request;
}
CallOptions Within(nanoseconds timeout) {
  CallOptions options;
  options.timeout = timeout;
  return options;
}

// What handlers have seen, and whom they call.
struct Scene {
  std::atomic<int> running{0};
  std::atomic<int> cancelled_code{0};
  std::atomic<std::int64_t> left_ms{-1};
  std::optional<EchoClient> onward;
};
Task<void> Nap(milliseconds duration) { co_await Sleep(duration); }

// Says what it was told to after the request's delay; SayAgain passes the request on to Say.
class SlowController final : public EchoService {
 public:
  explicit SlowController(Scene& scene) : scene_(scene) {}

  Task<EchoReply> Say(CallContext& call, const EchoRequest& request) override {
    ++scene_.running;
    scene_.left_ms = call.time_remaining() / milliseconds(1);
    absl::Status waited = co_await AsStatusOr(Nap(milliseconds(request.delay_ms())));
    --scene_.running;
    if (!waited.ok()) {
      scene_.cancelled_code = static_cast<int>(waited.code());
      co_return waited;
    }
    EchoReply reply;
    reply.set_text(request.text());
    co_return reply;
  }
  Stream<EchoReply> Repeat(CallContext&, const EchoRequest& request) override {
    for (int i = 0; i < request.count(); ++i) {
      co_await Sleep(milliseconds(request.delay_ms()));
      EchoReply reply;
      reply.set_index(i);
      co_yield std::move(reply);
    }
  }
  Task<EchoReply> Join(CallContext&, Stream<EchoRequest>) override { co_return EchoReply(); }
  Stream<EchoReply> Chat(CallContext&, Stream<EchoRequest>) override { co_return; }
  Task<void> OnSaid(CallContext&, const EchoRequest&) override { co_return; }
  Task<EchoReply> SayAgain(CallContext&, const EchoRequest& request) override {
    co_await Sleep(seconds(1));
    co_return co_await scene_.onward->Say(request);
  }

 private:
  Scene& scene_;
};
struct SlowModule {
  static void Define(ModuleBuilder& module) {
    module.Controller<SlowController>().Provide<Scene>();
  }
};

TEST(ApplicationClock, AHandlerSleepsByIt) {
  FakeClock clock;
  auto app = TestingModule::Of<SlowModule>().Compile();
  auto call = InBackground(app, app.Client<EchoClient>().Say(Delay(hours(1), "an hour later")));
  clock.Advance(hours(1) - milliseconds(1));
  EXPECT_FALSE(call.done());
  clock.Advance(milliseconds(1));
  ASSERT_TRUE(call.done());
  EXPECT_EQ(call.Get().text(), "an hour later");
}

TEST(ApplicationClock, ADeadlineEndsTheCallAndCancelsTheHandler) {
  FakeClock clock;
  auto app = TestingModule::Of<SlowModule>().Compile();
  Scene& scene = app.Get<Scene>();
  auto call = InBackground(app, app.Client<EchoClient>().Say(Delay(hours(1)), Within(seconds(30))));
  clock.Settle();
  EXPECT_EQ(scene.running, 1);
  EXPECT_EQ(scene.left_ms, 30'000);
  clock.Advance(milliseconds(29'999));
  EXPECT_FALSE(call.done());
  EXPECT_EQ(scene.running, 1);
  clock.Advance(milliseconds(1));
  ASSERT_TRUE(call.done());
  EXPECT_EQ(call.Wait().status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(scene.running, 0);
  EXPECT_EQ(scene.cancelled_code, static_cast<int>(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(clock.timers(), 0U) << "nothing of the call is left";
}

TEST(ApplicationClock, ADeadlineTravelsWithNestedCalls) {
  FakeClock clock;
  auto app = TestingModule::Of<SlowModule>().Compile();
  Scene& scene = app.Get<Scene>();
  scene.onward = app.Client<EchoClient>();
  auto call =
      InBackground(app, app.Client<EchoClient>().SayAgain(Delay(hours(1)), Within(seconds(10))));
  clock.Advance(seconds(1));
  EXPECT_EQ(scene.left_ms, 9'000) << "what the outer handler has left";
  clock.Advance(seconds(9));
  EXPECT_EQ(call.Wait().status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(scene.cancelled_code, static_cast<int>(absl::StatusCode::kDeadlineExceeded));
}

TEST(ApplicationClock, ADeadlineThatIsPastRefusesTheCall) {
  FakeClock clock;
  auto app = TestingModule::Of<SlowModule>().Compile();
  CallOptions options;
  options.deadline = Now() + seconds(1);
  clock.Advance(seconds(1));
  EXPECT_EQ(SyncWaitStatus(app.Client<EchoClient>().Say(Delay(milliseconds(0)), std::move(options)))
                .status()
                .code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(app.Get<Scene>().left_ms, -1) << "no handler has seen it";
}

Task<std::vector<nanoseconds>> Arrivals(Stream<EchoReply> replies, Deadline began) {
  std::vector<nanoseconds> at;
  for (;;) {
    const std::optional<EchoReply> reply = co_await replies.Next();
    if (!reply.has_value()) break;
    at.push_back(Now() - began);
  }
  co_return at;
}

TEST(ApplicationClock, StreamsArriveAtTheirTimes) {
  FakeClock clock;
  auto app = TestingModule::Of<SlowModule>().Compile();
  EchoRequest request = Delay(seconds(5));
  request.set_count(3);
  auto stream = InBackground(app, Arrivals(app.Client<EchoClient>().Repeat(request), clock.Now()));
  clock.Advance(seconds(20));
  EXPECT_THAT(stream.Get(), ::testing::ElementsAre(seconds(5), seconds(10), seconds(15)));
}

// In one coroutine, with the application's loops going on meanwhile.
Task<absl::StatusCode> PassDuringACall(FakeClock& clock, Application& app) {
  JoinHandle<EchoReply> call =
      Spawn(app.Client<EchoClient>().Say(Delay(hours(1)), Within(seconds(2))));
  co_await clock.Pass(seconds(2));
  absl::StatusOr<EchoReply> reply = co_await AsStatusOr(std::move(call));
  co_return reply.status().code();
}

TEST(ApplicationClock, PassesWhileACoroutineOfTheTestWaits) {
  FakeClock clock;
  auto app = TestingModule::Of<SlowModule>().Compile();
  EXPECT_EQ(SyncWait(PassDuringACall(clock, app)), absl::StatusCode::kDeadlineExceeded);
}

Task<void> Failing() {
  co_await Sleep(seconds(1));
  co_await Fail(absl::AbortedError("after a second"));
}

TEST(ApplicationClock, TasksWithoutAValueRunInTheBackgroundToo) {
  FakeClock clock;
  auto app = TestingModule::Of<SlowModule>().Compile();
  auto nap = InBackground(app, Nap(milliseconds(5)));
  auto failing = InBackground(app, Failing());
  auto thrown = InBackground(app, Failing());
  clock.Advance(seconds(1));
  nap.Get();
  EXPECT_EQ(failing.Wait(), absl::AbortedError("after a second"));
  EXPECT_THROW(thrown.Get(), RpcException);
}

class PeriodicJob final {
 public:
  explicit PeriodicJob(LoopPool& loops) : loops_(loops) {}
  void OnApplicationBootstrap() {
    context_ = ContextRef::Adopt(Context::NewDetached(nullptr));
    const ContextScope scope(context_.get());
    job_.emplace(SpawnOn(loops_.Pick(), Run()));
  }
  Task<void> OnModuleDestroy() {
    if (!job_.has_value()) co_return;
    context_->cancel_source().Cancel(absl::CancelledError("the application closes"));
    JoinHandle<void> job = *std::move(job_);
    const absl::Status ended = co_await AsStatusOr(std::move(job));
    EXPECT_TRUE(absl::IsCancelled(ended)) << ended;
  }
  std::atomic<int> runs{0};

 private:
  Task<void> Run() {
    for (;;) {
      co_await Sleep(std::chrono::minutes(5));
      ++runs;
    }
  }
  LoopPool& loops_;
  ContextRef context_;
  std::optional<JoinHandle<void>> job_;
};

TEST(ApplicationClock, JobsRunByItAndTwoApplicationsShareIt) {
  struct JobModule {
    static void Define(ModuleBuilder& module) { module.Provide<PeriodicJob>(); }
  };
  FakeClock clock;
  auto one = TestingModule::Of<JobModule>().Compile();
  auto two = TestingModule::Of<JobModule>().Compile();
  one.Init();
  clock.Advance(std::chrono::minutes(5));
  two.Init();
  clock.Advance(hours(1));
  EXPECT_EQ(one.Get<PeriodicJob>().runs, 13);
  EXPECT_EQ(two.Get<PeriodicJob>().runs, 12);
}

// Hooks are told their deadline on the application's clock, however far that has gone.
class HookedClock final {
 public:
  explicit HookedClock(Scene& scene) : scene_(scene) {}
  Task<void> OnModuleDestroy() {
    co_await Yield();
    scene_.left_ms = (Context::Current()->deadline() - Now()) / seconds(1);
  }

 private:
  Scene& scene_;
};

TEST(ApplicationClock, HooksHaveTheirTimeHoweverFarItHasGone) {
  struct HookModule {
    static void Define(ModuleBuilder& module) { module.Provide<HookedClock>().Provide<Scene>(); }
  };
  FakeClock clock;
  auto app = TestingModule::Of<HookModule>().Compile();
  app.Init();
  clock.Advance(hours(24));
  Scene& scene = app.Get<Scene>();
  app.Close();
  EXPECT_GE(scene.left_ms, 0);
  EXPECT_LE(scene.left_ms, 5);
}

// ---- the message engine that NATS and others stand on

class EngineClock : public ::testing::Test {
 protected:
  EngineClock() {
    auto scene = std::make_shared<Scene>();
    scene_ = scene;
    harness_.Add(std::make_shared<SlowController>(*scene));
  }
  MemoryCarrier& carrier() {
    if (carrier_ == nullptr) {
      carrier_ =
          std::make_unique<MemoryCarrier>(harness_.registry(), server_options_, client_options_);
    }
    return *carrier_;
  }
  // A call from a loop of its own.
  JoinHandle<EchoReply> Call(EchoRequest request, CallOptions options = {}) {
    return SpawnOn(callers_[0],
                   EchoClient(carrier().channel()).Say(std::move(request), std::move(options)));
  }
  static Task<EchoReply> Join(JoinHandle<EchoReply> handle) {
    co_return co_await std::move(handle);
  }
  static LoopPool::Options OneThread() {
    LoopPool::Options options;
    options.threads = 1;
    return options;
  }
  std::size_t Sent(std::string_view kind) {
    std::size_t count = 0;
    for (const Packet& packet : carrier().sent()) count += packet.Kind() == kind ? 1 : 0;
    return count;
  }

  FakeClock clock_;  // before all that follows it
  LoopPool callers_{OneThread()};
  std::shared_ptr<Scene> scene_;
  Harness harness_;
  MessageServer::Options server_options_;
  MessageClient::Options client_options_;
  std::unique_ptr<MemoryCarrier> carrier_;
};

TEST_F(EngineClock, ADeadlineGoesOverTheWireAndEndsBothSides) {
  auto call = Call(Delay(hours(1)), Within(seconds(30)));
  clock_.Settle();
  EXPECT_EQ(scene_->left_ms, 30'000);
  clock_.Advance(milliseconds(29'999));
  EXPECT_FALSE(call.done());
  clock_.Advance(milliseconds(1));
  ASSERT_TRUE(call.done());
  EXPECT_EQ(SyncWaitStatus(Join(std::move(call))).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(scene_->running, 0);
}

TEST_F(EngineClock, ALongCallIsKeptAlive) {
  client_options_.keepalive = seconds(10);
  server_options_.keepalive = seconds(10);
  auto call = Call(Delay(hours(1), "kept"));
  clock_.Advance(seconds(9));
  EXPECT_EQ(Sent("ping"), 0U);
  clock_.Advance(std::chrono::minutes(59));
  EXPECT_FALSE(call.done());
  EXPECT_GT(Sent("ping"), 100U);
  EXPECT_GT(Sent("pong"), 100U);
  clock_.Advance(std::chrono::minutes(1));
  ASSERT_TRUE(call.done());
  EXPECT_EQ(SyncWait(Join(std::move(call))).text(), "kept");
}

TEST_F(EngineClock, AServerThatFallsSilentIsTakenForDead) {
  client_options_.keepalive = seconds(10);
  server_options_.keepalive = seconds(0);
  carrier().set_fate(
      [](const Packet& packet) { return packet.Kind() == "pong" ? Fate::kDrop : Fate::kDeliver; });
  auto call = Call(Delay(hours(1)));
  clock_.Advance(seconds(10));
  EXPECT_FALSE(call.done()) << "one silence is none";
  clock_.Advance(std::chrono::minutes(1));
  ASSERT_TRUE(call.done());
  EXPECT_EQ(SyncWaitStatus(Join(std::move(call))).status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace rookery::testing
