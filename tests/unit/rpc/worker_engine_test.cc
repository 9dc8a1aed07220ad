// The worker machinery over a broker in memory, which redelivers, refuses and forgets as it is
// told.
#include "rookery/rpc/worker_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <chrono>
#include <deque>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "echo.rookery.h"
#include "rookery/app/application.h"
#include "rookery/module/dynamic_module.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/rpc/batch.h"
#include "rookery/rpc/status.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/sleep.h"
#include "worker.rookery.h"

namespace rookery::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

template <class F>
bool Eventually(F holds) {
  for (int i = 0; i < 4'000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return false;
}

// What handlers have seen, and how they are to behave.
class Script final {
 public:
  void Saw(std::string what) {
    const std::scoped_lock lock(mutex_);
    seen_.push_back(std::move(what));
  }
  std::vector<std::string> seen() const {
    const std::scoped_lock lock(mutex_);
    return seen_;
  }
  std::size_t count() const { return seen().size(); }

  std::atomic<int> running{0};
  std::atomic<int> most{0};
  Event gate;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> seen_;
};

// For batches: upper-cases each event, and lets "INVALID" not pass.
class Upper final {
 public:
  absl::Status Transform(EchoRequest& event, const ArgumentMetadata&) {
    for (char& c : *event.mutable_text()) c = static_cast<char>(std::toupper(c));
    return event.text() == "INVALID" ? absl::InvalidArgumentError("not valid") : absl::OkStatus();
  }
};

class Closed final {
 public:
  bool CanActivate(ExecutionContext&) { return false; }
};

// text: what to do, and a name: "ok a", "fail a", "fail2 a" (the first two attempts), "gate a", ...
class Worker final : public EchoService {
 public:
  explicit Worker(Script& script) : script_(script) {}

  Task<void> OnSaid(CallContext& call, const EchoRequest& event) override {
    const int now = ++script_.running;
    int most = script_.most;
    while (now > most && !script_.most.compare_exchange_weak(most, now)) {
    }
    Delivery* const delivery = Delivery::Of(call);
    const std::string& text = event.text();
    const int attempt = delivery == nullptr ? 0 : delivery->attempt();
    script_.Saw(text + "#" + std::to_string(attempt));
    if (text.starts_with("gate")) co_await script_.gate.Wait();
    if (text.starts_with("slow")) co_await Sleep(milliseconds(event.delay_ms()));
    --script_.running;
    if (text.starts_with("fail2")) {
      if (attempt <= 2) co_await Fail(absl::UnavailableError("not yet"));
    } else if (text.starts_with("fail")) {
      co_await Fail(absl::UnavailableError("as told"));
    }
    if (text.ends_with("then fail")) co_await Fail(absl::UnavailableError("as told"));
    if (text.starts_with("bad")) co_await Fail(absl::InvalidArgumentError("bad for ever"));
    if (text.starts_with("throw")) throw std::runtime_error("secret");
    if (text.starts_with("ack")) {
      delivery->Ack();
      co_await Fail(absl::InternalError("after the ack"));
    }
    if (text.starts_with("reject")) delivery->Reject("not wanted");
    if (text.starts_with("defer") && !delivery->redelivered()) delivery->Defer(milliseconds(1));
    if (text.starts_with("later") && attempt == 1) {
      co_await Fail(RetryAfter(absl::UnavailableError("busy"), milliseconds(1)));
    }
  }
  Task<void> OnBatch(CallContext& call, const Batch<EchoRequest>& batch) {
    std::string all;
    bool poison = false;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      all += (i == 0 ? "" : "+") + batch[i].text();
      poison = poison || batch[i].text() == "poison";
      if (batch[i].text() == "reject" && batch.delivery(i) != nullptr) {
        batch.delivery(i)->Reject("one of many");
      }
    }
    script_.Saw(all);
    EXPECT_EQ(Delivery::Of(call), nullptr);
    if (poison) co_await Fail(absl::UnavailableError("poisoned"));
  }
  Task<void> OnKeyed(CallContext& call, const EchoRequest& event) { return OnSaid(call, event); }

  Task<EchoReply> Say(CallContext&, const EchoRequest&) override { co_return EchoReply(); }
  Task<EchoReply> SayAgain(CallContext&, const EchoRequest&) override { co_return EchoReply(); }
  Stream<EchoReply> Repeat(CallContext&, const EchoRequest&) override { co_return; }
  Task<EchoReply> Join(CallContext&, Stream<EchoRequest>) override { co_return EchoReply(); }
  Stream<EchoReply> Chat(CallContext&, Stream<EchoRequest>) override { co_return; }

  static void Configure(ControllerBuilder& controller) {
    DeliveryPolicy quick;
    quick.initial_backoff = milliseconds(1);
    quick.max_attempts = 3;
    quick.batch_wait = milliseconds(30);
    quick.max_batch = 4;
    controller.Event("batch", &Worker::OnBatch).Set(kDelivery, quick);
    controller.Event("piped", &Worker::OnBatch).Set(kDelivery, quick).UsePipe<Upper>();
    controller.Event("guarded", &Worker::OnBatch).Set(kDelivery, quick).UseGuard<Closed>();
    quick.key_field = "secret";
    controller.Event("keyed_batch", &Worker::OnBatch).Set(kDelivery, quick);
    controller.Event("keyed", &Worker::OnKeyed).Set(kDelivery, quick);
  }

 private:
  Script& script_;
};

// Says nothing in code: its proto does.
class LedgerController final : public LedgerService {
 public:
  explicit LedgerController(Script& script) : script_(script) {}
  Task<void> OnPaid(CallContext& call, const Paid& event) override {
    Delivery* const delivery = Delivery::Of(call);
    script_.Saw(event.text() + "/" + std::string(delivery->key()) + "#" +
                std::to_string(delivery->attempt()) + (delivery->last_attempt() ? "!" : ""));
    if (event.text() == "busy") co_await Fail(absl::UnavailableError("busy"));
    if (event.text() == "wrong") co_await Fail(absl::NotFoundError("wrong"));
  }

 private:
  Script& script_;
};

// Keeps what it was given until it is settled.
class MemoryBroker final : public WorkerSource {
 public:
  struct Kept {
    std::string subject;
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
    int deliveries = 0;
    bool settled = false;
  };
  struct Dead {
    std::string subject;
    std::map<std::string, std::string> headers;
    std::string body;
  };
  class OneReceipt final : public WorkerMessage::Receipt {
   public:
    OneReceipt(std::size_t i, Kept of) : index(i), kept(std::move(of)) {}
    std::string Origin() const override {
      return "memory/" + kept.subject + "#" + std::to_string(index);
    }
    const std::size_t index;
    const Kept kept;  // what the message's texts are views of
  };

  explicit MemoryBroker(Loop& loop) : loop_(loop) {}

  std::size_t lost = static_cast<std::size_t>(-1);  // somebody else has it

  bool Holds(const WorkerMessage& message) const override {
    return static_cast<OneReceipt&>(*message.receipt).index != lost;
  }
  absl::Status Settle(WorkerMessage& message, Settlement how, milliseconds delay) override {
    if (fail_settle) return absl::UnavailableError("the line is cut");
    const std::size_t index = static_cast<OneReceipt&>(*message.receipt).index;
    if (how == Settlement::kReturn) {
      ++returned;
      last_delay = delay;
      if (takes) {
        // As one does who sends it somewhere else: looked at when its job is long gone.
        loop_.Post([this, taken = std::make_shared<WorkerMessage>(std::move(message))] {
          const std::scoped_lock lock(mutex_);
          taken_.push_back(std::string(taken->subject) + " " + std::string(taken->message.body));
        });
      }
      if (redeliver) {
        again_.push_back(index);
        loop_.Post([this] { RedeliverAll(); });
      }
    } else {
      kept_[index].settled = true;
      ++settled;
    }
    return absl::OkStatus();
  }
  void WriteDeadLetter(WorkerMessage& message, const DeadLetterCause& cause,
                       std::function<void(absl::Status)> done) override {
    if (refuse_dead > 0) {
      --refuse_dead;
      done(absl::PermissionDeniedError("no dead letters here"));
      return;
    }
    OutboundMessage out;
    AddDeadLetter(message, cause, &out);
    Dead dead{std::string(message.subject), {}, std::string(out.body)};
    for (const WireField& field : out.fields) {
      dead.headers.emplace(std::string(field.name), std::string(field.value));
    }
    {
      const std::scoped_lock lock(mutex_);
      dead_.push_back(std::move(dead));
    }
    // Confirmed later, as brokers do.
    loop_.Post([done = std::move(done)] { done(absl::OkStatus()); });
  }
  void KeepAlive(WorkerMessage&) override { ++kept_alive; }
  bool can_delay() const noexcept override { return delays; }

  // On the loop.
  void Hand(WorkerEngine& engine, const Handler* handler, std::size_t index) {
    engine_ = &engine;
    WorkerMessage message;
    message.deliveries = ++kept_[index].deliveries;
    auto receipt = std::make_unique<OneReceipt>(index, kept_[index]);
    const Kept& kept = receipt->kept;
    for (const auto& [name, value] : kept.headers) message.message.fields.push_back({name, value});
    message.message.body = kept.body;
    message.subject = kept.subject;
    message.position.offset = index;
    message.receipt = std::move(receipt);
    handlers_[index] = handler;
    engine.Deliver(handler, std::move(message));
  }
  std::size_t Keep(Kept kept) {
    kept_.push_back(std::move(kept));
    return kept_.size() - 1;
  }
  std::vector<Dead> dead() const {
    const std::scoped_lock lock(mutex_);
    return dead_;
  }
  std::vector<std::string> taken() const {
    const std::scoped_lock lock(mutex_);
    return taken_;
  }
  std::deque<Kept>& kept() { return kept_; }

  std::atomic<bool> delays{false};
  std::atomic<bool> redeliver{true};
  std::atomic<bool> takes{false};
  std::atomic<bool> fail_settle{false};
  std::atomic<int> refuse_dead{0};
  std::atomic<int> settled{0};
  std::atomic<int> returned{0};
  std::atomic<int> kept_alive{0};
  std::atomic<milliseconds> last_delay{milliseconds(0)};

 private:
  void RedeliverAll() {
    std::vector<std::size_t> again;
    again.swap(again_);
    for (const std::size_t index : again) Hand(*engine_, handlers_[index], index);
  }
  Loop& loop_;
  WorkerEngine* engine_ = nullptr;
  std::deque<Kept> kept_;
  std::map<std::size_t, const Handler*> handlers_;
  std::vector<std::size_t> again_;
  mutable std::mutex mutex_;
  std::vector<Dead> dead_;
  std::vector<std::string> taken_;
};

class WorkerEngineTest : public ::testing::Test {
 protected:
  WorkerEngineTest() : loops_({.threads = 1}), broker_(loops_[0]) {
    ApplicationOptions mine;
    mine.log.level = LogLevel::kOff;
    mine.signals = {};
    struct WorkerModule {};
    DynamicModule module = DynamicModule::Of<WorkerModule>();
    module.ProvideValue(std::ref(script_)).Controller<Worker>().Controller<LedgerController>();
    app_ = std::make_unique<Application>(Application::Create(std::move(module), std::move(mine)));
    app_->Init();
    options_.transport = "memory";
    options_.name = "workers";
    options_.policy.initial_backoff = milliseconds(1);
    options_.policy.max_attempts = 3;
    options_.dead_letter_backoff = milliseconds(1);
  }
  ~WorkerEngineTest() override {
    script_.gate.Set();
    if (engine_ != nullptr) {
      OnLoop([&] { engine_.reset(); });
      // Attempts that were cut off end on the loop.
      EXPECT_TRUE(Eventually([&] { return script_.running == 0; }));
    }
    loops_.Stop();
  }
  template <class F>
  void OnLoop(F act) {
    std::promise<void> done;
    loops_[0].Post([&] {
      act();
      done.set_value();
    });
    done.get_future().wait();
  }
  WorkerEngine& engine() {
    if (engine_ == nullptr) {
      engine_ =
          std::make_unique<WorkerEngine>(loops_[0], app_->host().handlers(), broker_, options_);
    }
    return *engine_;
  }
  std::size_t Put(const std::string& subject, const std::string& text, const std::string& key = "",
                  std::vector<std::pair<std::string, std::string>> headers = {}, int delay_ms = 0) {
    EchoRequest event;
    event.set_text(text);
    event.set_secret(key);
    event.set_delay_ms(delay_ms);
    return PutBytes(subject, event.SerializeAsString(), std::move(headers));
  }
  std::size_t PutBytes(const std::string& subject, std::string body,
                       std::vector<std::pair<std::string, std::string>> headers = {}) {
    std::size_t index = 0;
    WorkerEngine& worker = engine();
    OnLoop([&] {
      index = broker_.Keep({subject, std::move(body), std::move(headers)});
      broker_.Hand(worker, app_->host().handlers().Find(subject), index);
    });
    return index;
  }
  void Again(std::size_t index) {
    OnLoop([&] {
      broker_.Hand(engine(), app_->host().handlers().Find(broker_.kept()[index].subject), index);
    });
  }
  bool Idle() {
    return Eventually([&] { return engine().held() == 0; });
  }
  WorkerSnapshot stats() { return engine().Stats(); }

  Script script_;
  std::unique_ptr<Application> app_;
  LoopPool loops_;
  MemoryBroker broker_;
  WorkerEngine::Options options_;
  std::unique_ptr<WorkerEngine> engine_;
};

TEST_F(WorkerEngineTest, SettlesAfterSuccessAlone) {
  Put("echo.said", "gate a");
  EXPECT_TRUE(Eventually([&] { return script_.count() == 1; }));
  EXPECT_EQ(broker_.settled, 0);
  EXPECT_EQ(stats().running, 1U);
  script_.gate.Set();
  ASSERT_TRUE(Idle());
  EXPECT_EQ(broker_.settled, 1);
  EXPECT_EQ(stats().handled, 1U);
  EXPECT_EQ(app_->Stats().Find("/rookery.testing.Echo/OnSaid", "memory")->calls, 1U);
}

TEST_F(WorkerEngineTest, TriesAgainHereWithBackoff) {
  Put("echo.said", "fail2 a");
  ASSERT_TRUE(Idle());
  EXPECT_THAT(script_.seen(), ElementsAre("fail2 a#1", "fail2 a#2", "fail2 a#3"));
  EXPECT_EQ(broker_.settled, 1);
  EXPECT_THAT(broker_.dead(), IsEmpty());
  EXPECT_EQ(stats().retries, 2U);
}

TEST_F(WorkerEngineTest, TriesAgainByTheBrokerWhereItCanWait) {
  broker_.delays = true;
  Put("echo.said", "fail2 a");
  ASSERT_TRUE(Eventually([&] { return broker_.settled == 1; }));
  EXPECT_THAT(script_.seen(), ElementsAre("fail2 a#1", "fail2 a#2", "fail2 a#3"));
  EXPECT_EQ(broker_.returned, 2);
  EXPECT_EQ(stats().redelivered, 2U);
}

TEST_F(WorkerEngineTest, AfterTheLastAttemptItIsADeadLetterWithItsCause) {
  const std::size_t index = Put("echo.said", "fail a", "",
                                {{"traceparent",
                                  "00-0af7651916cd43dd8448eb211c80319c-"
                                  "b7ad6b7169203331-01"},
                                 {"Nats-Msg-Id", "m1"}});
  ASSERT_TRUE(Idle());
  EXPECT_THAT(script_.seen(), SizeIs(3));
  ASSERT_THAT(broker_.dead(), SizeIs(1));
  const MemoryBroker::Dead dead = broker_.dead().front();
  EXPECT_EQ(dead.headers.at("rookery-dead-code"), "14");
  EXPECT_EQ(dead.headers.at("rookery-dead-cause"), "as told");
  EXPECT_EQ(dead.headers.at("rookery-dead-attempts"), "3");
  EXPECT_EQ(dead.headers.at("rookery-dead-origin"), "memory/echo.said#0");
  EXPECT_EQ(dead.headers.at("rookery-dead-method"), "/rookery.testing.Echo/OnSaid");
  EXPECT_THAT(dead.headers.at("traceparent"), HasSubstr("0af7651916cd43dd8448eb211c80319c"));
  EXPECT_FALSE(dead.headers.contains("Nats-Msg-Id"));
  EXPECT_EQ(dead.body, broker_.kept()[index].body);
  EXPECT_TRUE(broker_.kept()[index].settled);
  EXPECT_EQ(stats().dead_letters, 1U);
}

TEST_F(WorkerEngineTest, WhatCannotEndBetterIsADeadLetterAtOnce) {
  Put("echo.said", "bad a");
  PutBytes("echo.said", "\xff\xff");
  PutBytes("no.such.event", "");
  PutBytes("echo.said", "<x/>", {{"content-type", "text/xml"}});
  ASSERT_TRUE(Idle());
  EXPECT_THAT(script_.seen(), ElementsAre("bad a#1"));
  ASSERT_THAT(broker_.dead(), SizeIs(4));
  EXPECT_EQ(broker_.dead()[2].headers.at("rookery-dead-code"), "12");
  EXPECT_EQ(broker_.settled, 4);
}

TEST_F(WorkerEngineTest, TheTextOfAnExceptionStaysHere) {
  Put("echo.said", "throw a");
  ASSERT_TRUE(Idle());
  ASSERT_THAT(broker_.dead(), SizeIs(1));
  EXPECT_EQ(broker_.dead()[0].headers.at("rookery-dead-code"), "13");
  EXPECT_THAT(broker_.dead()[0].headers.at("rookery-dead-cause"),
              ::testing::Not(HasSubstr("secret")));
}

TEST_F(WorkerEngineTest, AMessageIsHeldUntilItsDeadLetterIsWritten) {
  broker_.refuse_dead = 1'000'000;
  const std::size_t index = Put("echo.said", "bad a");
  EXPECT_TRUE(Eventually([&] { return stats().dead_letters_refused >= 3; }));
  EXPECT_FALSE(broker_.kept()[index].settled);
  EXPECT_EQ(engine().Health().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(engine().held(), 1U);
  Put("echo.said", "ok b");  // everything else flows
  EXPECT_TRUE(Eventually([&] { return broker_.settled == 1; }));
  broker_.refuse_dead = 0;
  ASSERT_TRUE(Idle());
  EXPECT_TRUE(broker_.kept()[index].settled);
  EXPECT_TRUE(engine().Health().ok());
  EXPECT_THAT(script_.seen(), SizeIs(2));
}

TEST_F(WorkerEngineTest, HandlersDecide) {
  Put("echo.said", "ack a");
  Put("echo.said", "reject b");
  Put("echo.said", "later c");
  ASSERT_TRUE(Idle());
  EXPECT_THAT(script_.seen(),
              ::testing::UnorderedElementsAre("ack a#1", "reject b#1", "later c#1", "later c#2"));
  ASSERT_THAT(broker_.dead(), SizeIs(1));
  EXPECT_EQ(broker_.dead()[0].headers.at("rookery-dead-cause"),
            "rejected by the handler: not wanted");
  EXPECT_EQ(stats().handled, 2U);
}

TEST_F(WorkerEngineTest, ADeferralIsNoAttempt) {
  broker_.delays = true;
  Put("echo.said", "defer a");
  ASSERT_TRUE(Eventually([&] { return broker_.settled == 1; }));
  EXPECT_THAT(script_.seen(), ElementsAre("defer a#1", "defer a#1"));
  EXPECT_EQ(stats().deferred, 1U);
}

TEST_F(WorkerEngineTest, OrderHoldsPerKeyThroughRetries) {
  broker_.delays = true;  // and is not used: others would overtake
  for (int i = 0; i < 5; ++i) {
    Put("keyed", (i == 1 ? "fail2 " : "ok ") + std::to_string(i), "k");
    Put("keyed", "ok x", "other" + std::to_string(i));
  }
  ASSERT_TRUE(Idle());
  std::vector<std::string> keyed = script_.seen();
  std::erase(keyed, "ok x#1");
  EXPECT_THAT(keyed, ElementsAre("ok 0#1", "fail2 1#1", "fail2 1#2", "fail2 1#3", "ok 2#1",
                                 "ok 3#1", "ok 4#1"));
  EXPECT_EQ(broker_.returned, 0);
}

TEST_F(WorkerEngineTest, KeysRunSideBySideAndAKeyDoesNot) {
  Put("keyed", "gate a", "1");
  Put("keyed", "gate b", "1");
  Put("keyed", "gate c", "2");
  Put("echo.said", "gate d", "", {{"ce-partitionkey", "3"}});
  Put("echo.said", "gate e", "", {{"ce-partitionkey", "3"}});
  EXPECT_TRUE(Eventually([&] { return script_.count() == 3; }));
  std::this_thread::sleep_for(milliseconds(20));
  EXPECT_EQ(script_.running, 3);
  script_.gate.Set();
  ASSERT_TRUE(Idle());
  EXPECT_THAT(script_.seen(), SizeIs(5));
}

TEST_F(WorkerEngineTest, ADeadLetterThatIsRefusedHoldsItsKeyAlone) {
  broker_.refuse_dead = 1'000'000;
  Put("keyed", "bad a", "1");
  Put("keyed", "ok b", "1");
  Put("keyed", "ok c", "2");
  EXPECT_TRUE(Eventually([&] { return broker_.settled == 1; }));
  EXPECT_THAT(script_.seen(), ElementsAre("bad a#1", "ok c#1"));
  broker_.refuse_dead = 0;
  ASSERT_TRUE(Idle());
  EXPECT_THAT(script_.seen(), ElementsAre("bad a#1", "ok c#1", "ok b#1"));
}

TEST_F(WorkerEngineTest, ConcurrencyAndRoomAreBounded) {
  options_.max_concurrency = 4;
  options_.max_held = 10;
  EXPECT_EQ(engine().room(), 10U);
  for (int i = 0; i < 12; ++i) Put("echo.said", "gate " + std::to_string(i));
  EXPECT_TRUE(Eventually([&] { return script_.running == 4; }));
  EXPECT_EQ(engine().room(), 0U);
  EXPECT_EQ(engine().held(), 12U);
  script_.gate.Set();
  ASSERT_TRUE(Idle());
  EXPECT_EQ(script_.most, 4);
  EXPECT_EQ(engine().room(), 10U);
}

TEST_F(WorkerEngineTest, HandlersThatNeverEndMakeItStuckAndOneThatDoesMendsIt) {
  options_.max_concurrency = 2;
  options_.stuck_after = milliseconds(5);
  Put("echo.said", "gate a");
  std::this_thread::sleep_for(milliseconds(20));
  EXPECT_TRUE(engine().Health().ok());  // one is free
  Put("echo.said", "gate b");
  EXPECT_TRUE(Eventually([&] { return !engine().Health().ok(); }));
  EXPECT_EQ(engine().Health().code(), absl::StatusCode::kUnavailable);
  script_.gate.Set();
  ASSERT_TRUE(Idle());
  EXPECT_TRUE(engine().Health().ok());
}

TEST_F(WorkerEngineTest, LongHandlersAreKeptAlive) {
  options_.keep_alive = milliseconds(2);
  Put("echo.said", "gate a");
  EXPECT_TRUE(Eventually([&] { return broker_.kept_alive >= 3; }));
  script_.gate.Set();
  ASSERT_TRUE(Idle());
}

TEST_F(WorkerEngineTest, ARedeliveryOfWhatRunsIsTakenOverAndOfWhatHasRunSettled) {
  const std::size_t index = Put("echo.said", "gate a");
  EXPECT_TRUE(Eventually([&] { return script_.count() == 1; }));
  Again(index);
  script_.gate.Set();
  ASSERT_TRUE(Idle());
  EXPECT_EQ(broker_.settled, 1);
  Again(index);
  ASSERT_TRUE(Idle());
  EXPECT_EQ(broker_.settled, 2);
  EXPECT_THAT(script_.seen(), SizeIs(1));
  EXPECT_EQ(stats().duplicates, 2U);
}

TEST_F(WorkerEngineTest, AMessageThatWasRedeliveredTakesItsTextsWithIt) {
  broker_.delays = true;
  broker_.redeliver = false;
  broker_.takes = true;
  const std::size_t index = Put("echo.said", "gate, then fail");
  EXPECT_TRUE(Eventually([&] { return script_.count() == 1; }));
  Again(index);
  script_.gate.Set();
  ASSERT_TRUE(Idle());
  ASSERT_TRUE(Eventually([&] { return broker_.taken().size() == 1; }));
  EXPECT_THAT(broker_.taken(), ElementsAre("echo.said " + broker_.kept()[index].body));
}

TEST_F(WorkerEngineTest, ALostSettlementIsRepairedByTheRedelivery) {
  broker_.fail_settle = true;
  const std::size_t index = Put("echo.said", "ok a");
  ASSERT_TRUE(Idle());
  EXPECT_EQ(broker_.settled, 0);
  EXPECT_EQ(stats().settle_failures, 1U);
  broker_.fail_settle = false;
  Again(index);
  ASSERT_TRUE(Idle());
  EXPECT_EQ(broker_.settled, 1);
  EXPECT_THAT(script_.seen(), SizeIs(1));
}

TEST_F(WorkerEngineTest, TheSameEventStoredTwiceIsHandledOnceAndAnotherSourcesIsNot) {
  Put("echo.said", "ok a", "", {{"ce-id", "1"}, {"ce-source", "s"}});
  ASSERT_TRUE(Idle());
  Put("echo.said", "ok a", "", {{"ce-id", "1"}, {"ce-source", "s"}});
  Put("echo.said", "ok a", "", {{"ce-id", "1"}, {"ce-source", "t"}});
  ASSERT_TRUE(Idle());
  EXPECT_THAT(script_.seen(), SizeIs(2));
  EXPECT_EQ(broker_.settled, 3);
}

TEST_F(WorkerEngineTest, ADeadLetterThatIsSentAgainIsHandledAgainAndABrokersIdIsNoEventsId) {
  Put("echo.said", "bad a", "", {{"ce-id", "1"}, {"ce-source", "s"}});
  ASSERT_TRUE(Idle());
  Put("echo.said", "ok a", "", {{"ce-id", "1"}, {"ce-source", "s"}});
  Put("echo.said", "ok b", "", {{"Nats-Msg-Id", "7"}});
  ASSERT_TRUE(Idle());
  Put("echo.said", "ok b", "", {{"Nats-Msg-Id", "7"}});
  ASSERT_TRUE(Idle());
  EXPECT_THAT(script_.seen(), SizeIs(4));
}

TEST_F(WorkerEngineTest, WhatTakesTheProcessDownEachTimeIsADeadLetter) {
  options_.policy.max_deliveries = 4;
  WorkerEngine& worker = engine();
  std::size_t index = 0;
  OnLoop([&] {
    index = broker_.Keep({"echo.said", "", {}});
    broker_.kept()[index].deliveries = 4;  // by processes that are no more
    broker_.Hand(worker, app_->host().handlers().Find("echo.said"), index);
  });
  ASSERT_TRUE(Idle());
  EXPECT_THAT(script_.seen(), IsEmpty());
  ASSERT_THAT(broker_.dead(), SizeIs(1));
  EXPECT_EQ(broker_.dead()[0].headers.at("rookery-dead-code"), "10");
  EXPECT_EQ(broker_.dead()[0].headers.at("rookery-dead-deliveries"), "5");
}

TEST_F(WorkerEngineTest, BatchesAreFilledOrSentWhenTheFirstHasWaited) {
  for (const char* text : {"a", "b", "c", "d", "e"}) Put("batch", text);
  ASSERT_TRUE(Idle());
  EXPECT_THAT(script_.seen(), ElementsAre("a+b+c+d", "e"));
  EXPECT_EQ(broker_.settled, 5);
}

TEST_F(WorkerEngineTest, AFailedBatchIsTakenApartAndThePoisonAloneDies) {
  for (const char* text : {"a", "poison", "c", "d"}) Put("batch", text);
  ASSERT_TRUE(Idle());
  const std::vector<std::string> seen = script_.seen();
  EXPECT_EQ(seen.front(), "a+poison+c+d");
  EXPECT_EQ(std::count(seen.begin(), seen.end(), "poison"), 3);
  EXPECT_EQ(std::count(seen.begin(), seen.end(), "a"), 1);
  EXPECT_THAT(broker_.dead(), SizeIs(1));
  EXPECT_EQ(broker_.settled, 4);
}

TEST_F(WorkerEngineTest, PipesRunOnEachEventOfABatchAndGuardsOnTheWhole) {
  for (const char* text : {"a", "invalid", "c", "d"}) Put("piped", text);
  ASSERT_TRUE(Idle());
  EXPECT_THAT(script_.seen(), ::testing::UnorderedElementsAre("A", "C", "D"));
  ASSERT_THAT(broker_.dead(), SizeIs(1));
  EXPECT_EQ(broker_.dead()[0].headers.at("rookery-dead-cause"), "not valid");
  // As it came, and not as a pipe left it.
  EchoRequest sent;
  ASSERT_TRUE(sent.ParseFromString(broker_.dead()[0].body));
  EXPECT_EQ(sent.text(), "invalid");
  Put("guarded", "e");
  ASSERT_TRUE(Idle());
  EXPECT_EQ(broker_.dead().back().headers.at("rookery-dead-code"), "7");
}

TEST_F(WorkerEngineTest, BatchesKeepTheOrderOfEachKey) {
  for (int i = 0; i < 20; ++i) {
    Put("keyed_batch", i == 5 ? "poison" : std::to_string(i), std::to_string(i % 2));
  }
  ASSERT_TRUE(Idle());
  EXPECT_EQ(broker_.settled, 20);
  EXPECT_THAT(broker_.dead(), SizeIs(1));
  std::map<int, int> last;
  for (const std::string& batch : script_.seen()) {
    if (batch.find("poison") != std::string::npos) continue;
    for (std::size_t at = 0; at <= batch.size();) {
      const std::size_t end = std::min(batch.find('+', at), batch.size());
      const int number = std::stoi(batch.substr(at, end - at));
      int& before = last.try_emplace(number % 2, -1).first->second;
      EXPECT_GT(number, before) << batch;
      before = number;
      at = end + 1;
    }
  }
}

TEST_F(WorkerEngineTest, ABatchsHandlerDecidesAboutOneOfThem) {
  for (const char* text : {"a", "reject", "c", "d"}) Put("batch", text);
  ASSERT_TRUE(Idle());
  EXPECT_THAT(script_.seen(), ElementsAre("a+reject+c+d"));
  EXPECT_THAT(broker_.dead(), SizeIs(1));
  EXPECT_EQ(stats().handled, 3U);
}

TEST_F(WorkerEngineTest, TheProtoSaysKeyAndRetries) {
  Paid event;
  event.mutable_account()->set_id(7);
  for (const char* text : {"busy", "wrong", "ok"}) {
    event.set_text(text);
    PutBytes("ledger.paid", event.SerializeAsString());
  }
  ASSERT_TRUE(Idle());
  EXPECT_THAT(script_.seen(), ElementsAre("busy/7#1", "busy/7#2!", "wrong/7#1", "ok/7#1"));
  EXPECT_THAT(broker_.dead(), SizeIs(2));
  const Handler* const handler = app_->host().handlers().Find("ledger.paid");
  EXPECT_TRUE(WorkerEngine::Check(*handler, DeliveryPolicy()).ok());
}

TEST_F(WorkerEngineTest, AnExpiredEventIsSettledAndCounted) {
  Put("echo.said", "ok a", "", {{"ce-expirytime", "2020-01-01T00:00:00Z"}});
  ASSERT_TRUE(Idle());
  EXPECT_THAT(script_.seen(), IsEmpty());
  EXPECT_EQ(stats().expired, 1U);
  EXPECT_EQ(broker_.settled, 1);
}

TEST_F(WorkerEngineTest, AnAttemptThatTakesTooLongIsCancelledAndTriedAgain) {
  options_.policy.attempt_timeout = milliseconds(20);
  Put("echo.said", "slow a", "", {}, 60'000);
  EXPECT_TRUE(Eventually([&] { return broker_.dead().size() == 1; }));
  script_.running = 0;  // those were cut short
  EXPECT_EQ(broker_.dead()[0].headers.at("rookery-dead-code"), "4");
  EXPECT_THAT(script_.seen(), SizeIs(3));
}

TEST_F(WorkerEngineTest, DrainHandlesAllThatIsHereAndReturnsWhatWaits) {
  broker_.delays = true;
  broker_.redeliver = false;
  options_.max_concurrency = 1;
  options_.policy.initial_backoff = milliseconds(60'000);
  options_.policy.max_backoff = milliseconds(60'000);
  options_.policy.retry_place = RetryPlace::kHere;
  Put("echo.said", "fail a");
  EXPECT_TRUE(Eventually([&] { return stats().waiting == 1; }));
  for (int i = 0; i < 5; ++i) Put("echo.said", "gate " + std::to_string(i));
  OnLoop([&] { engine().StopIntake(); });
  EXPECT_EQ(broker_.returned, 1);
  EXPECT_GT(broker_.last_delay.load(), milliseconds(1'000));
  script_.gate.Set();
  ASSERT_TRUE(Idle());
  EXPECT_EQ(broker_.settled, 5);
  EXPECT_EQ(broker_.returned, 1);
}

TEST_F(WorkerEngineTest, AtTheEndOfTheGraceAllGoesBack) {
  broker_.redeliver = false;
  options_.max_concurrency = 2;
  for (int i = 0; i < 3; ++i) Put("keyed", "gate " + std::to_string(i), "k");
  for (int i = 0; i < 3; ++i) Put("echo.said", "gate " + std::to_string(i));
  Put("batch", "a");
  EXPECT_TRUE(Eventually([&] { return script_.running == 2; }));
  OnLoop([&] {
    engine().StopIntake();
    engine().CancelAll(absl::UnavailableError("the worker is shutting down"));
  });
  ASSERT_TRUE(Idle());
  script_.running = 0;  // those were cut short
  EXPECT_EQ(broker_.settled, 0);
  EXPECT_EQ(broker_.returned, 7);
  EXPECT_THAT(broker_.dead(), IsEmpty());
}

TEST_F(WorkerEngineTest, ForgetsWhatBelongsToSomebodyElseNow) {
  options_.max_concurrency = 1;
  const std::size_t running = Put("echo.said", "gate a");
  const std::size_t waiting = Put("echo.said", "ok b");
  Put("keyed", "ok c", "k");
  std::size_t left = 0;
  OnLoop([&] {
    left = engine().Forget(
        [](const WorkerMessage& message) { return message.subject == "echo.said"; });
  });
  EXPECT_EQ(left, 1U);
  script_.gate.Set();
  ASSERT_TRUE(Idle());
  EXPECT_THAT(script_.seen(), ElementsAre("gate a#1", "ok c#1"));
  EXPECT_TRUE(broker_.kept()[running].settled);
  EXPECT_FALSE(broker_.kept()[waiting].settled);
}

TEST_F(WorkerEngineTest, WhatFailsAndIsSomebodyElsesIsNotTriedAgain) {
  broker_.lost = 0;
  const std::size_t first = Put("keyed", "fail2 a", "k");
  ASSERT_EQ(first, 0U);
  Put("keyed", "ok b", "k");
  ASSERT_TRUE(Idle());
  EXPECT_THAT(script_.seen(), ElementsAre("fail2 a#1", "ok b#1"));
  EXPECT_FALSE(broker_.kept()[first].settled);
  EXPECT_EQ(broker_.settled, 1);
}

TEST_F(WorkerEngineTest, AnEngineThatIsGoneSettlesNothing) {
  Put("echo.said", "gate a");
  Put("keyed", "gate b", "k");
  Put("keyed", "gate c", "k");
  Put("batch", "d");
  EXPECT_TRUE(Eventually([&] { return script_.running == 2; }));
  OnLoop([&] { engine_.reset(); });
  script_.running = 0;
  script_.gate.Set();
  OnLoop([] {});
  EXPECT_EQ(broker_.settled, 0);
  EXPECT_EQ(broker_.returned, 0);
}

TEST_F(WorkerEngineTest, AHundredMessagesOfTenKeysWithFailuresKeepTheirOrder) {
  options_.max_concurrency = 8;
  for (int i = 0; i < 100; ++i) {
    Put("keyed", (i % 7 == 0 ? "fail2 " : "ok ") + std::to_string(i), std::to_string(i % 10));
  }
  ASSERT_TRUE(Idle());
  EXPECT_EQ(broker_.settled, 100);
  std::map<int, int> last;
  for (const std::string& seen : script_.seen()) {
    const int number = std::stoi(seen.substr(seen.find(' ') + 1));
    int& before = last.try_emplace(number % 10, -1).first->second;
    EXPECT_GE(number, before) << seen;
    before = number;
  }
}

TEST(DeliveryPolicyTest, BackoffGrowsToItsMostAndIsSpread) {
  DeliveryPolicy policy;
  policy.initial_backoff = milliseconds(100);
  policy.max_backoff = milliseconds(1'000);
  policy.jitter = 0.5;
  EXPECT_EQ(BackoffAfter(policy, 1, 0.5), milliseconds(100));
  EXPECT_EQ(BackoffAfter(policy, 2, 0.5), milliseconds(200));
  EXPECT_EQ(BackoffAfter(policy, 9, 0.5), milliseconds(1'000));
  EXPECT_EQ(BackoffAfter(policy, 2'000, 0.5), milliseconds(1'000));
  EXPECT_EQ(BackoffAfter(policy, 1, 0.0), milliseconds(50));
  policy.backoff = {milliseconds(1), milliseconds(5)};
  EXPECT_EQ(BackoffAfter(policy, 1, 0.5), milliseconds(1));
  EXPECT_EQ(BackoffAfter(policy, 7, 0.5), milliseconds(5));
}

TEST(DeliveryPolicyTest, ReportsAllFaultsAtOnce) {
  EXPECT_TRUE(CheckDeliveryPolicy(DeliveryPolicy(), nullptr).ok());
  DeliveryPolicy policy;
  policy.max_attempts = 0;
  policy.jitter = 2;
  policy.backoff_multiplier = 0.5;
  policy.key_field = "no.such";
  const absl::Status status = CheckDeliveryPolicy(policy, &EchoRequest::default_instance());
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  for (const char* text : {"max_attempts", "jitter", "backoff_multiplier", "\"no\""}) {
    EXPECT_THAT(std::string(status.message()), HasSubstr(text));
  }
}

}  // namespace
}  // namespace rookery::testing
