// Scopes: how many instances there are, who shares them, and when they go.
#include "rookery/di/scope.h"

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "di/calls.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "module/graph_fixture.h"
#include "rookery/di/durable.h"
#include "rookery/module/module_ref.h"
#include "rookery/platform/cls.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/when.h"

namespace rookery::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// ---- request scope

// Counts what is made and what is left.
template <int kTag>
struct Counted {
  Counted() : number(++made) { ++alive; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --alive; }
  static void Reset() {
    made = 0;
    alive = 0;
  }
  const int number;
  static inline std::atomic<int> made{0};
  static inline std::atomic<int> alive{0};
};

struct Config : Counted<1> {};
struct Session : Counted<2> {
  static constexpr Scope kScope = Scope::kRequest;
  explicit Session(Config&) {}
};
struct Basket : Counted<3> {  // narrow because Session is
  explicit Basket(Session& s) : session(s) {}
  Session& session;
};
struct SessionGuard : Counted<4> {
  SessionGuard(Session& s, Basket& b) : same(&b.session == &s) {}
  bool CanActivate(ExecutionContext&) { return same; }
  bool same;
};
struct SessionInterceptor : Counted<5> {
  explicit SessionInterceptor(Session&) {}
  Task<Response> Intercept(ExecutionContext&, Next next) {
    Task<Response> rest = next();
    Response response = co_await std::move(rest);
    co_return response;
  }
};
struct PlainGuard : Counted<6> {
  bool CanActivate(ExecutionContext&) { return true; }
};

class ShopController final : public EchoBase, public Counted<7> {
 public:
  ShopController(Session& session, Basket& basket) : session_(session), basket_(basket) {}
  static void Configure(ControllerBuilder& controller) {
    controller.UseGuard<PlainGuard>().UseGuard<SessionGuard>();
    controller.UseInterceptor<SessionInterceptor>();
  }
  Task<EchoReply> Say(CallContext&, const EchoRequest&) override {
    co_return Text(&basket_.session == &session_ ? std::to_string(session_.number) : "two");
  }
  Stream<EchoReply> Repeat(CallContext&, const EchoRequest& request) override {
    for (int i = 0; i < request.count(); ++i) {
      EchoReply reply = Text(std::to_string(session_.number));
      co_yield std::move(reply);
    }
  }

 private:
  Session& session_;
  Basket& basket_;
};
struct ShopModule {
  static void Define(ModuleBuilder& module) {
    module.Controller<ShopController>().Provide<Basket>().Provide<Session>().Provide<Config>();
  }
};

void ResetShop() {
  Counted<1>::Reset();
  Counted<2>::Reset();
  Counted<3>::Reset();
  Counted<4>::Reset();
  Counted<5>::Reset();
  Counted<6>::Reset();
  Counted<7>::Reset();
}

// Nest: scopes/e2e/msvc-request-scope.
TEST(RequestScope, ThreeCallsMakeThreeOfEverythingNarrowAndOneOfTheRest) {
  ResetShop();
  auto app = Make<ShopModule>();
  auto client = app.Client<EchoClient>();
  EXPECT_EQ(Session::made, 0) << "nothing is made before a call";
  EXPECT_EQ(ShopController::made, 0);
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(SyncWait(client.Say(Asking())).text(), std::to_string(i));
  EXPECT_EQ(Session::made, 3);
  EXPECT_EQ(Basket::made, 3);
  EXPECT_EQ(SessionGuard::made, 3);
  EXPECT_EQ(SessionInterceptor::made, 3);
  EXPECT_EQ(ShopController::made, 3);
  EXPECT_EQ(Config::made, 1);
  EXPECT_EQ(PlainGuard::made, 1);
}

TEST(RequestScope, InstancesGoWhenTheCallEnds) {
  ResetShop();
  auto app = Make<ShopModule>();
  auto client = app.Client<EchoClient>();
  (void)SyncWait(client.Say(Asking()));
  EXPECT_TRUE(Soon([] { return Session::alive == 0 && ShopController::alive == 0; }));
  EXPECT_EQ(Basket::alive, 0);
  EXPECT_EQ(Config::alive, 1);
}

Task<std::vector<std::string>> ReadAll(Stream<EchoReply> stream) {
  std::vector<std::string> texts;
  for (;;) {
    auto next = co_await stream.Next();
    if (!next) break;
    texts.push_back(next->text());
  }
  co_return texts;
}

TEST(RequestScope, LastsAsLongAsTheStream) {
  ResetShop();
  auto app = Make<ShopModule>();
  auto client = app.Client<EchoClient>();
  EchoRequest request;
  request.set_count(3);
  EXPECT_THAT(SyncWait(ReadAll(client.Repeat(request))), ElementsAre("1", "1", "1"));
  EXPECT_THAT(SyncWait(ReadAll(client.Repeat(request))), ElementsAre("2", "2", "2"));
  EXPECT_TRUE(Soon([] { return Session::alive == 0; }));
}

TEST(RequestScope, OverlappingCallsAreApart) {
  ResetShop();
  auto app = Make<ShopModule>(Loops(3));
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::set<std::string> seen;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      auto client = app.Client<EchoClient>();
      for (int i = 0; i < 250; ++i) {
        const std::string text = SyncWait(client.Say(Asking())).text();
        const std::lock_guard<std::mutex> lock(mutex);
        seen.insert(text);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(seen.size(), 1000u);
  EXPECT_FALSE(seen.contains("two"));
  EXPECT_TRUE(Soon([] { return Session::alive == 0; }));
}

// ---- what a request-scoped provider may ask for

struct Caller {
  static constexpr Scope kScope = Scope::kRequest;
  explicit Caller(CallContext& c) : call(c) {}
  ~Caller() { last = std::string(call.method().name) + " " + std::string(call.transport()); }
  CallContext& call;
  static inline std::string last;
};
class CallerController final : public EchoBase {
 public:
  explicit CallerController(Caller& caller) : caller_(caller) {}
  Task<EchoReply> Say(CallContext& call, const EchoRequest&) override {
    co_return Text(&call == &caller_.call ? "mine" : "another's");
  }

 private:
  Caller& caller_;
};

TEST(RequestScope, CallContextIsTheCallAndIsThereUntilTheDestructor) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Controller<CallerController>().Provide<Caller>();
    }
  };
  Caller::last.clear();
  {
    auto app = Make<AppModule>();
    EXPECT_EQ(SyncWait(app.Client<EchoClient>().Say(Asking())).text(), "mine");
  }
  EXPECT_EQ(Caller::last, "Say inproc");
}

struct Loaded {
  std::string text;
};
inline constexpr ClsKey<std::string> kWho{"who"};

class LoadedController final : public EchoBase {
 public:
  explicit LoadedController(Loaded& loaded) : loaded_(loaded) {}
  Task<EchoReply> Say(CallContext&, const EchoRequest&) override { co_return Text(loaded_.text); }

 private:
  Loaded& loaded_;
};
struct WhoGuard {
  bool CanActivate(ExecutionContext&) {
    Cls::Set(kWho, "guard");
    return true;
  }
};

TEST(RequestScope, FactoriesMayBeTasksAndSeeTheCallsContext) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Controller<LoadedController>().ProvideFactory(
          [](CallContext& call) -> Task<Loaded> {
            co_await Sleep(std::chrono::milliseconds(1));
            const CallContext* const current = CallContext::Current();
            co_return Loaded{current == &call ? "in the call" : "lost"};
          },
          Scope::kRequest);
    }
  };
  auto app = Make<AppModule>();
  auto client = app.Client<EchoClient>();
  EXPECT_EQ(SyncWait(client.Say(Asking())).text(), "in the call");
  EXPECT_EQ(SyncWait(client.Say(Asking())).text(), "in the call");
}

TEST(RequestScope, WhatAFactoryFailsWithIsWhatTheCallerGets) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Controller<LoadedController>().ProvideFactory(
          [](CallContext&) -> absl::StatusOr<Loaded> {
            return absl::UnauthenticatedError("who are you?");
          },
          Scope::kRequest);
    }
  };
  auto app = Make<AppModule>();
  const auto reply = SyncWaitStatus(app.Client<EchoClient>().Say(Asking()));
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(reply.status().message(), "who are you?");
}

TEST(RequestScope, AnAsyncFactorysFailureIsTheCallersToo) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Controller<LoadedController>().ProvideFactory(
          []() -> Task<Loaded> {
            co_await Sleep(std::chrono::milliseconds(1));
            co_return absl::NotFoundError("no such user");
          },
          Scope::kRequest);
    }
  };
  auto app = Make<AppModule>();
  const auto reply = SyncWaitStatus(app.Client<EchoClient>().Say(Asking()));
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kNotFound);
}

struct Explosive {
  static constexpr Scope kScope = Scope::kRequest;
  Explosive() { throw std::runtime_error("secret: the password is 1234"); }
};
class ExplosiveController final : public EchoBase {
 public:
  explicit ExplosiveController(Explosive&) {}
};
struct RuntimeFilter {
  static constexpr Scope kScope = Scope::kRequest;
  explicit RuntimeFilter(CallContext& call) : name(call.method().name) {}
  absl::Status Catch(const std::runtime_error&, ExecutionContext&) {
    return absl::AbortedError("caught in " + name);
  }
  std::string name;
};

TEST(RequestScope, AConstructorsExceptionStaysInside) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Controller<ExplosiveController>().Provide<Explosive>();
    }
  };
  auto app = Make<AppModule>();
  const auto reply = SyncWaitStatus(app.Client<EchoClient>().Say(Asking()));
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(reply.status().message()), ::testing::Not(HasSubstr("secret")));
}

TEST(RequestScope, FiltersSeeWhatConstructionFailsWith) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Controller<ExplosiveController>().Provide<Explosive>().GlobalFilter<RuntimeFilter>();
    }
  };
  auto app = Make<AppModule>();
  const auto reply = SyncWaitStatus(app.Client<EchoClient>().Say(Asking()));
  EXPECT_EQ(reply.status(), absl::AbortedError("caught in Say"));
}

// ---- bubbling and widening

struct NarrowGuard {
  explicit NarrowGuard(Session&) {}
  bool CanActivate(ExecutionContext&) { return true; }
};
class CountedController final : public EchoBase, public Counted<8> {
 public:
  static void Configure(ControllerBuilder& controller) { controller.UseGuard<NarrowGuard>(); }
};

TEST(Bubbling, ANarrowEnhancerLeavesAWideControllerAlone) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Controller<CountedController>().Provide<Session>().Provide<Config>();
    }
  };
  ResetShop();
  CountedController::Reset();
  auto app = Make<AppModule>();
  auto client = app.Client<EchoClient>();
  (void)SyncWait(client.Say(Asking()));
  (void)SyncWait(client.Say(Asking()));
  EXPECT_EQ(CountedController::made, 1);
  EXPECT_EQ(Session::made, 2);
}

struct AuditLog {
  static constexpr Scope kScope = Scope::kSingleton;
  explicit AuditLog(Basket&) {}
};

TEST(Widening, ASingletonThatSaysSoMayNotKeepWhatIsNarrower) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<AuditLog>().Provide<Basket>().Provide<Session>().Provide<Config>();
    }
  };
  EXPECT_THAT(
      Graph<AppModule>().faults(),
      ElementsAre("AuditLog is a singleton, and would keep Session, which is made once per call: "
                  "AuditLog -> Basket -> Session.\n"
                  "    AuditLog of AppModule (registered at here): argument 0 is Basket&\n"
                  "    Basket of AppModule (registered at here): argument 0 is Session&\n"
                  "    Session of AppModule (registered at here) is made once per call\n"
                  "    mend: register AuditLog with rookery::Scope::kRequest, too; or ask for "
                  "rookery::Proxy<Basket>, which means the one of the call that runs; or resolve "
                  "it there: ModuleRef::Resolve<Basket>(ContextId::Current())."));
}

struct Parser {};
struct LoopCache {
  explicit LoopCache(Session&) {}
};

TEST(Widening, PerLoopMayNotKeepACalls) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<LoopCache>(Scope::kPerLoop).Provide<Session>().Provide<Config>();
    }
  };
  EXPECT_THAT(
      Graph<AppModule>().faults(),
      ElementsAre("LoopCache is made once per loop, and would keep Session, which is made once per "
                  "call: LoopCache -> Session.\n"
                  "    LoopCache of AppModule (registered at here): argument 0 is Session&\n"
                  "    Session of AppModule (registered at here) is made once per call\n"
                  "    mend: register LoopCache with rookery::Scope::kRequest, too; or ask for "
                  "rookery::Proxy<Session>, which means the one of the call that runs; or resolve "
                  "it there: ModuleRef::Resolve<Session>(ContextId::Current())."));
}

struct ParserUser {
  explicit ParserUser(Parser&) {}
};

TEST(Widening, ASingletonMayNotKeepALoops) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<ParserUser>(Scope::kSingleton).Provide<Parser>(Scope::kPerLoop);
    }
  };
  EXPECT_THAT(
      Graph<AppModule>().faults(),
      ElementsAre("ParserUser is a singleton, and would keep Parser, which is made once per loop: "
                  "ParserUser -> Parser.\n"
                  "    ParserUser of AppModule (registered at here): argument 0 is Parser&\n"
                  "    Parser of AppModule (registered at here) is made once per loop\n"
                  "    mend: register ParserUser with rookery::Scope::kPerLoop, too; or ask for "
                  "rookery::Proxy<Parser>, which means the one of the loop that runs; or resolve "
                  "it there: ModuleRef::Resolve<Parser>(ContextId::Current())."));
}

struct NosyModule {
  explicit NosyModule(Session&) {}
  static void Define(ModuleBuilder& module) { module.Provide<Session>().Provide<Config>(); }
};

TEST(Widening, AModulesClassIsASingleton) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Import<NosyModule>(); }
  };
  EXPECT_THAT(
      Graph<AppModule>().faults(),
      ElementsAre(
          "NosyModule is a module's class, made once, and would keep Session, which is made "
          "once per call: NosyModule -> Session.\n"
          "    NosyModule (registered at here): argument 0 is Session&\n"
          "    Session of NosyModule (registered at here) is made once per call\n"
          "    mend: ask for rookery::Proxy<Session>, which means the one of the call that "
          "runs; or resolve it there: ModuleRef::Resolve<Session>(ContextId::Current())."));
}

// ---- transient

struct Prefix : Counted<9> {
  static constexpr Scope kScope = Scope::kTransient;
  explicit Prefix(const Inquirer& who) : name(who.name()) {}
  const std::string name;
};
struct Alpha {
  explicit Alpha(Prefix& p) : prefix(p) {}
  Prefix& prefix;
};
struct Beta {
  Beta(Prefix& p, Alpha& a) : prefix(p), alpha(a) {}
  Prefix& prefix;
  Alpha& alpha;
};
struct Nested {  // a transient that asks for another
  static constexpr Scope kScope = Scope::kTransient;
  Nested(Prefix& p, const Inquirer& who) : prefix(p), name(who.name()) {}
  Prefix& prefix;
  std::string name;
};
struct Gamma {
  Gamma(Nested& a, Alpha&) : nested(a) {}
  Nested& nested;
};

// Nest: scopes/e2e/transient-scope, inject-inquirer.
TEST(TransientScope, OneForEachWhoAsksWhoIsKnownByName) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Prefix>().Provide<Alpha>().Provide<Beta>().Provide<Nested>().Provide<Gamma>();
    }
  };
  Prefix::Reset();
  auto app = Make<AppModule>();
  Beta& beta = app.Get<Beta>();
  EXPECT_NE(&beta.prefix, &beta.alpha.prefix);
  EXPECT_EQ(beta.prefix.name, "Beta");
  EXPECT_EQ(beta.alpha.prefix.name, "Alpha");
  EXPECT_EQ(app.Get<Gamma>().nested.name, "Gamma");
  EXPECT_EQ(app.Get<Gamma>().nested.prefix.name, "Nested");
  EXPECT_EQ(Prefix::made, 3) << "one for each of Alpha, Beta and Nested, and none of its own";
}

TEST(TransientScope, IsNotMadeWithoutAnyoneWhoAsks) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<Prefix>(); }
  };
  Prefix::Reset();
  auto app = Make<AppModule>();
  EXPECT_EQ(Prefix::made, 0);
}

struct TwoOfThem {
  TwoOfThem(Prefix& a, Prefix& b) : same(&a == &b) {}
  bool same;
};
TEST(TransientScope, AskedForTwiceByOneIsTwo) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<Prefix>().Provide<TwoOfThem>(); }
  };
  auto app = Make<AppModule>();
  EXPECT_FALSE(app.Get<TwoOfThem>().same);
}

struct Curious {
  explicit Curious(const Inquirer&) {}
};
TEST(TransientScope, InquirerIsForTransientsAlone) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<Curious>(); }
  };
  EXPECT_THAT(Graph<AppModule>().faults(),
              ElementsAre("Curious asks for Inquirer, but is shared by all who ask for it.\n"
                          "    registered: here\n"
                          "    mend: register it with rookery::Scope::kTransient, so that each "
                          "gets one of its own."));
}

struct HookedTransient {
  static constexpr Scope kScope = Scope::kTransient;
  void OnModuleInit() { ++inits; }
  void OnModuleDestroy() { ++ends; }
  static inline int inits = 0;
  static inline int ends = 0;
};
struct UserA {
  explicit UserA(HookedTransient&) {}
};
struct UserB {
  explicit UserB(HookedTransient&) {}
};
TEST(TransientScope, HooksRunOnEachInstance) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<HookedTransient>().Provide<UserA>().Provide<UserB>();
    }
  };
  HookedTransient::inits = HookedTransient::ends = 0;
  {
    auto app = Make<AppModule>();
    app.Init();
    EXPECT_EQ(HookedTransient::inits, 2);
  }
  EXPECT_EQ(HookedTransient::ends, 2);
}

class TransientInACallController final : public EchoBase {
 public:
  TransientInACallController(Prefix& prefix, Session& session)
      : prefix_(prefix), session_(session) {}
  Task<EchoReply> Say(CallContext&, const EchoRequest&) override {
    co_return Text(prefix_.name + " " + std::to_string(prefix_.number) + " " +
                   std::to_string(session_.number));
  }

 private:
  Prefix& prefix_;
  Session& session_;
};
TEST(TransientScope, LivesAsLongAsWhoAskedForIt) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Controller<TransientInACallController>()
          .Provide<Prefix>()
          .Provide<Session>()
          .Provide<Config>();
    }
  };
  ResetShop();
  Prefix::Reset();
  auto app = Make<AppModule>();
  auto client = app.Client<EchoClient>();
  EXPECT_EQ(SyncWait(client.Say(Asking())).text(), "TransientInACallController 1 1");
  EXPECT_EQ(SyncWait(client.Say(Asking())).text(), "TransientInACallController 2 2");
  EXPECT_TRUE(Soon([] { return Prefix::alive == 0; }));
}

struct TransientGuard : Counted<10> {
  static constexpr Scope kScope = Scope::kTransient;
  bool CanActivate(ExecutionContext&) { return true; }
};
class GuardedA final {
 public:
  static void Configure(ControllerBuilder& controller) {
    controller.UseGuard<TransientGuard>();
    controller.Message("a", &GuardedA::Do);
  }
  Task<EchoReply> Do(CallContext&, const EchoRequest&) { co_return EchoReply(); }
};
class GuardedB final {
 public:
  static void Configure(ControllerBuilder& controller) {
    controller.UseGuard<TransientGuard>();
    controller.Message("b", &GuardedB::Do);
  }
  Task<EchoReply> Do(CallContext&, const EchoRequest&) { co_return EchoReply(); }
};
TEST(TransientScope, EachControllerHasAnEnhancerOfItsOwn) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Controller<GuardedA>().Controller<GuardedB>();
    }
  };
  TransientGuard::Reset();
  auto app = Make<AppModule>();
  app.Init();
  EXPECT_EQ(TransientGuard::made, 2);
}

// ---- per loop

struct LoopState : Counted<11> {
  static constexpr Scope kScope = Scope::kPerLoop;
  explicit LoopState(Loop& l) : loop(l), thread(std::this_thread::get_id()) {}
  void OnModuleInit() { ++inits; }
  Loop& loop;
  const std::thread::id thread;
  int calls = 0;  // no lock: touched by its loop alone
  static inline std::atomic<int> inits{0};
};
class LoopController final : public EchoBase, public Counted<12> {
 public:
  explicit LoopController(LoopState& state) : state_(state) {}
  Task<EchoReply> Say(CallContext&, const EchoRequest&) override {
    ++state_.calls;
    co_return Text(&state_.loop == Loop::Current() ? "home" : "astray");
  }
  Stream<EchoReply> Repeat(CallContext&, const EchoRequest& request) override {
    for (int i = 0; i < request.count(); ++i) {
      EchoReply reply = Text(&state_.loop == Loop::Current() ? "home" : "astray");
      co_yield std::move(reply);
    }
  }

 private:
  LoopState& state_;
};
struct LoopModule {
  static void Define(ModuleBuilder& module) {
    module.Controller<LoopController>().Provide<LoopState>();
  }
};

TEST(PerLoopScope, OneForEachLoopMadeAtStartOnItsOwnThread) {
  LoopState::Reset();
  LoopController::Reset();
  LoopState::inits = 0;
  {
    auto app = Make<LoopModule>(Loops(3));
    EXPECT_EQ(LoopState::made, 3);
    EXPECT_EQ(LoopController::made, 3);
    app.Init();
    EXPECT_EQ(LoopState::inits, 3) << "hooks run on each";
    std::vector<std::thread> threads;
    std::atomic<int> astray{0};
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        auto client = app.Client<EchoClient>();
        for (int i = 0; i < 100; ++i) {
          if (SyncWait(client.Say(Asking())).text() != "home") ++astray;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(astray, 0);
    EchoRequest request;
    request.set_count(2);
    auto client = app.Client<EchoClient>();
    EXPECT_THAT(SyncWait(ReadAll(client.Repeat(request))), ElementsAre("home", "home"));
  }
  EXPECT_EQ(LoopState::alive, 0);
  EXPECT_EQ(LoopController::alive, 0);
}

TEST(PerLoopScope, GetIsForThreadsThatRunALoop) {
  auto app = Make<LoopModule>();
  try {
    (void)app.Get<LoopState>();
    FAIL() << "this thread runs no loop";
  } catch (const ApplicationError& error) {
    EXPECT_EQ(WithoutPlaces(error.what()),
              "LoopState of LoopModule (registered at here) is made once per loop, and this thread "
              "runs none.\n    mend: ask for it in a call, or in what is posted to a loop.");
  }
}

struct FailingOnLoops {
  static constexpr Scope kScope = Scope::kPerLoop;
  FailingOnLoops() { throw std::runtime_error("no such device"); }
};
TEST(PerLoopScope, AFailureSaysWhichLoop) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<FailingOnLoops>(); }
  };
  EXPECT_THAT(FaultsOf<AppModule>(), HasSubstr("Can't construct FailingOnLoops of AppModule"));
  EXPECT_THAT(FaultsOf<AppModule>(), HasSubstr("for loop 0: "));
  EXPECT_THAT(FaultsOf<AppModule>(), HasSubstr("no such device"));
}

struct AsyncLoopThing {
  bool at_home = false;
};
struct AsyncLoopUser {
  AsyncLoopUser(AsyncLoopThing& thing, Loop& loop) {
    if (thing.at_home && Loop::Current() == &loop) ++good;
  }
  static inline std::atomic<int> good{0};
};
TEST(PerLoopScope, TasksRunOnTheirLoop) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<AsyncLoopUser>().ProvideFactory(
          [](Loop& loop) -> Task<AsyncLoopThing> {
            co_await Sleep(std::chrono::milliseconds(1));
            co_return AsyncLoopThing{Loop::Current() == &loop};
          },
          Scope::kPerLoop);
    }
  };
  AsyncLoopUser::good = 0;
  auto app = Make<AppModule>(Loops(2));
  EXPECT_EQ(AsyncLoopUser::good, 2);
}

// ---- durable

struct Tenant : Counted<13> {
  explicit Tenant(const DurableKey& k) : key(k.value()) {}
  const std::string key;
  std::atomic<int> calls{0};
};
class TenantController final : public EchoBase, public Counted<14> {
 public:
  explicit TenantController(Tenant& tenant) : tenant_(tenant) {}
  Task<EchoReply> Say(CallContext&, const EchoRequest&) override {
    co_return Text(tenant_.key + " " + std::to_string(++tenant_.calls));
  }

 private:
  Tenant& tenant_;
};
struct TenantModule {
  static void Define(ModuleBuilder& module) {
    module.Controller<TenantController>().Provide<Tenant>(kDurable);
  }
};
ApplicationOptions ByTenant(std::size_t max = 1000) {
  ApplicationOptions options = Loops();
  options.durable.key = [](CallContext& call) -> std::optional<std::string> {
    const auto tenant = call.metadata().Get("x-tenant");
    if (!tenant) return std::nullopt;
    return std::string(*tenant);
  };
  options.durable.max_keys = max;
  return options;
}
std::string AskAs(Application& app, const std::string& tenant) {
  CallOptions options;
  if (!tenant.empty()) options.metadata.Add("x-tenant", tenant).IgnoreError();
  return SyncWait(app.Client<EchoClient>().Say(Asking(), options)).text();
}

// Nest: scopes/e2e/durable-providers.
TEST(DurableScope, OneForEachKey) {
  Tenant::Reset();
  TenantController::Reset();
  auto app = Make<TenantModule>(ByTenant());
  EXPECT_EQ(AskAs(app, "acme"), "acme 1");
  EXPECT_EQ(AskAs(app, "acme"), "acme 2");
  EXPECT_EQ(AskAs(app, "acme"), "acme 3");
  EXPECT_EQ(AskAs(app, "globex"), "globex 1");
  EXPECT_EQ(AskAs(app, "acme"), "acme 4");
  EXPECT_EQ(Tenant::made, 2);
  EXPECT_EQ(TenantController::made, 2) << "the controller is as durable as what it is made of";
}

TEST(DurableScope, WithoutAKeyACallHasItsOwn) {
  Tenant::Reset();
  auto app = Make<TenantModule>(ByTenant());
  EXPECT_EQ(AskAs(app, ""), " 1");
  EXPECT_EQ(AskAs(app, ""), " 1");
  EXPECT_EQ(Tenant::made, 2);
  EXPECT_TRUE(Soon([] { return Tenant::alive == 0; }));
}

TEST(DurableScope, KeepsNoMoreKeysThanItMay) {
  Tenant::Reset();
  auto app = Make<TenantModule>(ByTenant(2));
  EXPECT_EQ(AskAs(app, "a"), "a 1");
  EXPECT_EQ(AskAs(app, "b"), "b 1");
  EXPECT_EQ(AskAs(app, "a"), "a 2");
  EXPECT_EQ(AskAs(app, "c"), "c 1");  // b was not used for longest
  EXPECT_EQ(AskAs(app, "a"), "a 3");
  EXPECT_EQ(AskAs(app, "b"), "b 1");
  EXPECT_TRUE(Soon([] { return Tenant::alive == 2; })) << Tenant::alive;
  EXPECT_EQ(app.Get<DurableContexts>().size(), 2u);
}

TEST(DurableScope, CanBeEvicted) {
  auto app = Make<TenantModule>(ByTenant());
  auto& kept = app.Get<DurableContexts>();
  EXPECT_EQ(AskAs(app, "a"), "a 1");
  EXPECT_EQ(AskAs(app, "b"), "b 1");
  EXPECT_TRUE(kept.Evict("a"));
  EXPECT_FALSE(kept.Evict("a"));
  EXPECT_EQ(AskAs(app, "a"), "a 1");
  EXPECT_EQ(AskAs(app, "b"), "b 2");
  kept.Clear();
  EXPECT_EQ(kept.size(), 0u);
  EXPECT_EQ(AskAs(app, "b"), "b 1");
}

TEST(DurableScope, MustBeAllowedToKeepSomething) {
  const auto app = Application::TryCreate<TenantModule>(ByTenant(0));
  EXPECT_EQ(std::string(app.status().message()),
            "TenantModule cannot be built:\n\n"
            "ApplicationOptions::durable.max_keys is 0, so nothing durable would last.\n"
            "    mend: give it 1 or more, or leave out durable.key.");
}

TEST(DurableScope, AFailedOneIsNotKept) {
  static std::atomic<int> tries{0};
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Controller<LoadedController>().ProvideFactory(
          [](const DurableKey& key) -> absl::StatusOr<Loaded> {
            if (++tries == 1) return absl::FailedPreconditionError("not yet");
            return Loaded{key.value()};
          },
          kDurable);
    }
  };
  tries = 0;
  auto app = Make<AppModule>(ByTenant());
  CallOptions options;
  options.metadata.Add("x-tenant", "acme").IgnoreError();
  const auto first = SyncWaitStatus(app.Client<EchoClient>().Say(Asking(), options));
  EXPECT_EQ(first.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(AskAs(app, "acme"), "acme");
  EXPECT_EQ(AskAs(app, "acme"), "acme");
  EXPECT_EQ(tries, 2);
}

struct TenantSession {
  TenantSession(Tenant& t, CallContext&) : tenant(t) {}
  Tenant& tenant;
};
class MixedController final : public EchoBase, public Counted<15> {
 public:
  explicit MixedController(TenantSession& session) : session_(session) {}
  Task<EchoReply> Say(CallContext&, const EchoRequest&) override {
    co_return Text(session_.tenant.key + " " + std::to_string(++session_.tenant.calls));
  }

 private:
  TenantSession& session_;
};
TEST(DurableScope, WhatIsNotDurableWins) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Controller<MixedController>().Provide<Tenant>(kDurable).Provide<TenantSession>(
          kDurable);  // asks for the call, so it is the call's
    }
  };
  MixedController::Reset();
  auto app = Make<AppModule>(ByTenant());
  EXPECT_EQ(AskAs(app, "acme"), "acme 1");
  EXPECT_EQ(AskAs(app, "acme"), "acme 2");
  EXPECT_EQ(MixedController::made, 2);
}

struct SlowTenant {
  std::string key;
};
class SlowController final : public EchoBase {
 public:
  explicit SlowController(SlowTenant& tenant) : tenant_(tenant) {}
  Task<EchoReply> Say(CallContext&, const EchoRequest&) override { co_return Text(tenant_.key); }

 private:
  SlowTenant& tenant_;
};
TEST(DurableScope, CallsAtTheSameTimeShareOneInTheMaking) {
  static std::atomic<int> made{0};
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Controller<SlowController>().ProvideFactory(
          [](const DurableKey& key) -> Task<SlowTenant> {
            ++made;
            co_await Sleep(std::chrono::milliseconds(30));
            co_return SlowTenant{key.value()};
          },
          kDurable);
    }
  };
  made = 0;
  ApplicationOptions options = ByTenant();
  options.loop_threads = 3;
  auto app = Make<AppModule>(std::move(options));
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      if (AskAs(app, "acme") == "acme") ++good;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 8);
  EXPECT_EQ(made, 1);
}

// ---- what hooks do not do

struct HookedRequest {
  static constexpr Scope kScope = Scope::kRequest;
  void OnModuleInit() { ++hooks; }
  void OnModuleDestroy() { ++hooks; }
  static inline int hooks = 0;
};
class HookedController final : public EchoBase {
 public:
  explicit HookedController(HookedRequest&) {}
};
TEST(RequestScope, HooksDoNotRun) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Controller<HookedController>().Provide<HookedRequest>();
    }
  };
  HookedRequest::hooks = 0;
  {
    auto app = Make<AppModule>();
    (void)SyncWait(app.Client<EchoClient>().Say(Asking()));
  }
  EXPECT_EQ(HookedRequest::hooks, 0);
}

struct HookedBasket {
  explicit HookedBasket(Session&) {}
  void OnModuleInit() {}
};
TEST(RequestScope, HooksThatWillNotRunAreWarnedOf) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<HookedBasket>().Provide<HookedRequest>().Provide<Session>().Provide<Config>();
    }
  };
  auto sink = std::make_shared<CapturingSink>();
  ApplicationOptions options = Loops();
  options.log.level = LogLevel::kWarn;
  options.log.sink = sink;
  auto app = Application::Create<AppModule>(options);
  int warned = 0;
  for (const std::string& line : sink->lines()) {
    if (line.find("lifecycle hooks do not run") != std::string::npos) ++warned;
  }
  EXPECT_EQ(warned, 1) << "HookedRequest has chosen its scope";
}

// ---- all the handlers' shapes

class SessionEvents final : public EchoBase {
 public:
  explicit SessionEvents(Session& session) : session_(session) {}
  static void Configure(ControllerBuilder& controller) {
    controller.Event("echo.said", &SessionEvents::OnThings);
  }
  Task<void> OnSaid(CallContext&, const EchoRequest&) override {
    sum += session_.number;
    co_return;
  }
  // By pointer to member, through a base that is not the first thing in the object.
  Task<void> OnThings(CallContext&, const EchoRequest&) {
    sum += 100 * session_.number;
    co_return;
  }
  static inline std::atomic<int> sum{0};

 private:
  Session& session_;
};
class MoreEvents final {
 public:
  static void Configure(ControllerBuilder& controller) {
    controller.Event("echo.said", &MoreEvents::On);
  }
  Task<void> On(CallContext&, const EchoRequest&) {
    ++heard;
    co_return;
  }
  static inline std::atomic<int> heard{0};
};
TEST(RequestScope, EventsWithSeveralHandlers) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Controller<SessionEvents>()
          .Controller<MoreEvents>()
          .Provide<Session>()
          .Provide<Config>();
    }
  };
  ResetShop();
  SessionEvents::sum = 0;
  MoreEvents::heard = 0;
  auto app = Make<AppModule>();
  SyncWait(app.Client<EchoClient>().OnSaid(Asking()));
  EXPECT_TRUE(Soon([] { return SessionEvents::sum == 101 && MoreEvents::heard == 1; }))
      << SessionEvents::sum << " " << MoreEvents::heard;
  EXPECT_EQ(Session::made, 1) << "handlers of one event share what is the call's";
}

}  // namespace
}  // namespace rookery::testing
