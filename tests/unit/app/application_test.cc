// Building, starting, asking and draining an application.
#include "rookery/app/application.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "app/fake_transport.h"
#include "echo.rookery.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rookery/app/testing.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/pipeline/execution_context.h"
#include "rookery/pipeline/reflector.h"

namespace rookery::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ApplicationOptions Quiet(std::shared_ptr<LogSink> sink = std::make_shared<CapturingSink>()) {
  ApplicationOptions options;
  options.loop_threads = 1;
  options.log.sink = std::move(sink);
  return options;
}

inline constexpr InjectionToken<std::string> kGreeting{"GREETING"};

class Greeter {
 public:
  explicit Greeter(Inject<kGreeting> greeting) : greeting_(*greeting) {}
  virtual ~Greeter() = default;
  virtual std::string Greet(const std::string& name) { return greeting_ + ", " + name; }

 private:
  std::string greeting_;
};

class EchoController final : public EchoService {
 public:
  explicit EchoController(Greeter& greeter) : greeter_(greeter) {}

  Task<EchoReply> Say(CallContext&, const EchoRequest& request) override {
    EchoReply reply;
    reply.set_text(greeter_.Greet(request.text()));
    co_return reply;
  }
  Stream<EchoReply> Repeat(CallContext&, const EchoRequest& request) override {
    for (int i = 0; i < request.count(); ++i) {
      EchoReply reply;
      reply.set_index(i);
      co_yield std::move(reply);
    }
  }
  Task<EchoReply> Join(CallContext&, Stream<EchoRequest>) override { co_return EchoReply(); }
  Stream<EchoReply> Chat(CallContext&, Stream<EchoRequest>) override { co_return; }
  Task<void> OnSaid(CallContext&, const EchoRequest&) override { co_return; }
  Task<EchoReply> SayAgain(CallContext& call, const EchoRequest& request) override {
    return Say(call, request);
  }

 private:
  Greeter& greeter_;
};

struct EchoModule {
  static void Define(ModuleBuilder& module) {
    module.Controller<EchoController>()
        .Provide<Greeter>()
        .ProvideValue(kGreeting, "Hello")
        .Export<Greeter>();
  }
};

EchoRequest Say(const std::string& text) {
  EchoRequest request;
  request.set_text(text);
  return request;
}

// ---- building

struct Lonely {
  explicit Lonely(Greeter&) {}
};
struct Proud {
  explicit Proud(Proud*) {}
};

TEST(Application, CreateThrowsWithAllFaults) {
  struct BrokenModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Lonely>().Provide<Proud>().Export<Greeter>();
    }
  };
  try {
    (void)Application::Create<BrokenModule>(Quiet());
    FAIL() << "nothing was thrown";
  } catch (const ApplicationError& error) {
    const std::string what = error.what();
    EXPECT_THAT(what, ::testing::StartsWith("BrokenModule cannot be built, 3 faults:\n\n1. "));
    EXPECT_THAT(what, HasSubstr("Can't resolve Lonely (?): argument 0 is Greeter&"));
    EXPECT_THAT(what, HasSubstr("Circular dependency: Proud -> Proud."));
    EXPECT_THAT(what, HasSubstr("Can't export Greeter from BrokenModule"));
    EXPECT_EQ(error.status().code(), absl::StatusCode::kFailedPrecondition);
  }
}

class TwinController final {
 public:
  static void Configure(ControllerBuilder& controller) {
    controller.Message("twin", &TwinController::Handle);
  }
  Task<EchoReply> Handle(CallContext&, const EchoRequest&) { co_return EchoReply(); }
};
class OtherTwinController final {
 public:
  static void Configure(ControllerBuilder& controller) {
    controller.Message("twin", &OtherTwinController::Handle);
  }
  Task<EchoReply> Handle(CallContext&, const EchoRequest&) { co_return EchoReply(); }
};

int constructed = 0;
struct Counted {
  Counted() { ++constructed; }
};

TEST(Application, FaultsOfHandlersAndOfWiringComeTogetherAndNothingIsConstructed) {
  struct BrokenModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Counted>()
          .Provide<Lonely>()
          .Controller<TwinController>()
          .Controller<OtherTwinController>();
    }
  };
  constructed = 0;
  const absl::StatusOr<Application> app = Application::TryCreate<BrokenModule>(Quiet());
  ASSERT_FALSE(app.ok());
  EXPECT_THAT(std::string(app.status().message()),
              HasSubstr("BrokenModule cannot be built, 2 faults:"));
  EXPECT_THAT(std::string(app.status().message()), HasSubstr("twin"));
  EXPECT_EQ(constructed, 0);
}

struct NeedsUnseen {
  explicit NeedsUnseen(Greeter&) {}
};
class GuardWithNeeds final {
 public:
  explicit GuardWithNeeds(NeedsUnseen&) {}
  bool CanActivate(ExecutionContext&) { return true; }
};
class GuardedController final {
 public:
  static void Configure(ControllerBuilder& controller) {
    controller.UseGuard<GuardWithNeeds>();
    controller.Message("guarded", &GuardedController::Handle);
  }
  Task<EchoReply> Handle(CallContext&, const EchoRequest&) { co_return EchoReply(); }
};

TEST(Application, EnhancersOfControllersAreCheckedInTheirModule) {
  struct GuardedModule {
    static void Define(ModuleBuilder& module) { module.Controller<GuardedController>(); }
  };
  const absl::StatusOr<Application> app = Application::TryCreate<GuardedModule>(Quiet());
  ASSERT_FALSE(app.ok());
  EXPECT_THAT(std::string(app.status().message()),
              HasSubstr("Can't resolve GuardWithNeeds (?): argument 0 is NeedsUnseen&, and "
                        "GuardedModule neither provides nor imports it."));
}

TEST(Application, ADynamicModuleMayBeTheRoot) {
  auto app =
      Application::Create(DynamicModule::Of<EchoModule>().ProvideValue(kGreeting, "Hi"), Quiet());
  EXPECT_EQ(app.Get(kGreeting), "Hi");
  EXPECT_EQ(app.Get<Greeter>().Greet("Ada"), "Hi, Ada");
}

// ---- asking

struct LeftModule {
  static void Define(ModuleBuilder& module) { module.ProvideValue(kGreeting, "left"); }
};
struct RightModule {
  static void Define(ModuleBuilder& module) { module.ProvideValue(kGreeting, "right"); }
};

TEST(Application, GetSaysWhatIsMissingOrAmbiguous) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Import<LeftModule>().Import<RightModule>(); }
  };
  auto app = Application::Create<AppModule>(Quiet());
  try {
    (void)app.Get<Greeter>();
    FAIL();
  } catch (const ApplicationError& error) {
    EXPECT_STREQ(error.what(),
                 "Can't find Greeter: no module provides it.\n"
                 "    mend: provide Greeter in AppModule, or import a module that exports it.");
    EXPECT_EQ(error.status().code(), absl::StatusCode::kNotFound);
  }
  try {
    (void)app.Get(kGreeting);
    FAIL();
  } catch (const ApplicationError& error) {
    EXPECT_STREQ(
        error.what(),
        "Can't tell which GREETING is meant: LeftModule and RightModule each have one, and "
        "AppModule sees none of them.\n"
        "    mend: import the module that is meant into AppModule.");
  }
}

TEST(Application, GetFindsWhatTheRootDoesNotSee) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Import<EchoModule>(); }
  };
  auto app = Application::Create<AppModule>(Quiet());
  EXPECT_EQ(app.Get(kGreeting), "Hello");  // not exported
  EXPECT_NO_THROW((void)app.Get<EchoController>());
  EXPECT_NO_THROW((void)app.Get<EchoModule>());
}

struct Inside {
  Inside(Logger& l, StatsRegistry& s, TransportHost& h, LoopPool& p, Reflector& r)
      : logger(l), stats(s), host(h), loops(p), reflector(r) {}
  Logger& logger;
  StatsRegistry& stats;
  TransportHost& host;
  LoopPool& loops;
  Reflector& reflector;
};

// Nest: core-injectables.spec.ts
TEST(Application, TheFrameworksOwnAreInjectable) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<Inside>(); }
  };
  auto app = Application::Create<AppModule>(Quiet());
  EXPECT_EQ(&app.Get<Inside>().host, &app.host());
  EXPECT_EQ(&app.Get<Inside>().loops, &app.host().loops());
  struct BareModule {
    static void Define(ModuleBuilder&) {}
  };
  auto bare = Application::Create<BareModule>(Quiet());
  EXPECT_EQ(&bare.Get<LoopPool>(), &bare.host().loops());  // made when asked for
}

// ---- calling in process

TEST(Application, ClientCallsThroughThePipeline) {
  auto app = Application::Create<EchoModule>(Quiet());
  auto client = app.Client<EchoClient>();
  EXPECT_EQ(SyncWait(client.Say(Say("Ada"))).text(), "Hello, Ada");
  const StatsSnapshot stats = app.Stats();
  EXPECT_EQ(stats.calls(), 1u);
}

absl::StatusCode CodeOfCall(Application& app) {
  try {
    (void)SyncWait(app.Client<EchoClient>().Say(Say("x")));
  } catch (const RpcException& error) {
    return error.status().code();
  }
  return absl::StatusCode::kOk;
}

struct Deny {
  int* asked;
  bool CanActivate(ExecutionContext&) {
    ++*asked;
    return false;
  }
};
class InjectedGuard final {
 public:
  explicit InjectedGuard(Greeter& greeter) : greeter_(greeter) {}
  bool CanActivate(ExecutionContext&) { return greeter_.Greet("") == "never"; }

 private:
  Greeter& greeter_;
};

TEST(Application, GlobalGuardsByInstanceByClassAndByModule) {
  int asked = 0;
  auto app = Application::Create<EchoModule>(Quiet());
  app.UseGlobalGuard(std::make_shared<Deny>(Deny{&asked}));
  EXPECT_EQ(CodeOfCall(app), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(asked, 1);
  try {
    app.UseGlobalGuard<InjectedGuard>();
    FAIL();
  } catch (const ApplicationError& error) {
    EXPECT_STREQ(
        error.what(),
        "UseGlobal... comes too late: the handlers are compiled. Call it before Start, Init "
        "and the first Client().");
  }

  auto other = Application::Create<EchoModule>(Quiet());
  other.UseGlobalGuard<InjectedGuard>();
  EXPECT_EQ(CodeOfCall(other), absl::StatusCode::kPermissionDenied);

  struct GuardModule {
    static void Define(ModuleBuilder& module) {
      module.Import<EchoModule>().GlobalGuard<InjectedGuard>();
    }
  };
  auto third = Application::Create<GuardModule>(Quiet());
  EXPECT_EQ(CodeOfCall(third), absl::StatusCode::kPermissionDenied);
}

TEST(Application, AGlobalGuardThatCannotBeInjectedStopsTheStart) {
  struct BareModule {
    static void Define(ModuleBuilder&) {}
  };
  auto app = Application::Create<BareModule>(Quiet());
  app.UseGlobalGuard<InjectedGuard>();
  EXPECT_THAT(std::string(app.TryStart().message()),
              HasSubstr("Can't resolve InjectedGuard (?): argument 0 is Greeter&, and BareModule "
                        "neither provides nor imports it."));
}

TEST(Application, TheFirstClientsMayComeFromManyThreads) {
  auto app = Application::Create<EchoModule>(Quiet());
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&app] {
      EXPECT_EQ(SyncWait(app.Client<EchoClient>().Say(Say("Ada"))).text(), "Hello, Ada");
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(app.Stats().calls(), 8u);
}

struct AsksItself {
  static inline Application* app = nullptr;
  static inline std::string heard;
  static Task<void> OnApplicationBootstrap() {
    auto client = app->Client<EchoClient>();
    const EchoReply reply = co_await client.Say(Say("me"));
    heard = reply.text();
  }
};

TEST(Application, HooksMayCallTheApplicationsOwnServices) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Import<EchoModule>().Provide<AsksItself>(); }
  };
  auto app = Application::Create<AppModule>(Quiet());
  AsksItself::app = &app;
  app.Init();
  EXPECT_EQ(AsksItself::heard, "Hello, me");
}

TEST(Application, AClosedOneServesNobody) {
  auto app = Application::Create<EchoModule>(Quiet());
  auto client = app.Client<EchoClient>();
  app.Close();
  try {
    (void)SyncWait(client.Say(Say("x")));
    FAIL();
  } catch (const RpcException& error) {
    EXPECT_EQ(error.status().code(), absl::StatusCode::kUnavailable);
  }
  try {
    (void)app.Client<EchoClient>();
    FAIL();
  } catch (const ApplicationError& error) {
    EXPECT_STREQ(error.what(), "the application is closed; make a new one");
  }
}

TEST(Application, BadOptionsAreFaultsLikeOthers) {
  ApplicationOptions options = Quiet();
  options.drain_grace = std::chrono::milliseconds(-1);
  options.loop_threads = 5000;
  const auto app = Application::TryCreate<EchoModule>(std::move(options));
  ASSERT_FALSE(app.ok());
  EXPECT_EQ(std::string(app.status().message()),
            "EchoModule cannot be built, 2 faults:\n\n"
            "1. ApplicationOptions::drain_grace is -1 ms, which is no duration.\n"
            "    mend: give it 0 or more.\n\n"
            "2. ApplicationOptions::loop_threads is 5000.\n"
            "    mend: give it at most 1024; 0 means one per core.");
}

// ---- listening and draining

TEST(Application, ListensInOrderAndShutsDownInPhases) {
  const auto journal = std::make_shared<Journal>();
  const auto log = std::make_shared<CapturingSink>();
  struct Hook {
    explicit Hook(std::shared_ptr<Journal> j) : lines(std::move(j)) {}
    void OnModuleDestroy() { lines->Write("OnModuleDestroy"); }
    void BeforeApplicationShutdown() { lines->Write("BeforeApplicationShutdown"); }
    void OnApplicationShutdown() { lines->Write("OnApplicationShutdown"); }
    std::shared_ptr<Journal> lines;
  };
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<Hook>(); }
  };
  auto app = Application::Create(DynamicModule::Of<AppModule>().ProvideValue(journal), Quiet(log));
  app.Listen(
      Fake{.journal = journal, .endpoint = "a:1", .start = {}, .cancelled = 2, .in_drain = {}});
  app.Listen(Fake{.journal = journal, .endpoint = "b:2", .start = {}, .in_drain = {}});
  EXPECT_THAT(app.Endpoints(), IsEmpty());
  EXPECT_FALSE(app.ready());
  app.Start();
  app.Start();  // once only
  EXPECT_TRUE(app.ready());
  EXPECT_THAT(app.Endpoints(), ElementsAre("a:1", "b:2"));
  app.Listen(Fake{.journal = journal, .endpoint = "c:3", .start = {}, .in_drain = {}});
  EXPECT_THAT(app.Endpoints(), ElementsAre("a:1", "b:2", "c:3"));
  app.Close();
  EXPECT_FALSE(app.ready());
  EXPECT_THAT(journal->Take(),
              ElementsAre("start a:1", "start b:2", "start c:3", "not ready a:1", "not ready b:2",
                          "not ready c:3", "stop intake a:1", "stop intake b:2", "stop intake c:3",
                          "drain a:1", "drain b:2", "drain c:3", "OnModuleDestroy",
                          "BeforeApplicationShutdown", "stop c:3", "stop b:2", "stop a:1",
                          "OnApplicationShutdown"));
  EXPECT_TRUE(log->Contains("shutting down: not ready"));
  EXPECT_TRUE(log->Contains("shutting down: no new calls"));
  EXPECT_TRUE(log->Contains("shutting down: drained cancelled=2"));
  EXPECT_TRUE(log->Contains("shutting down: listeners closed"));
  EXPECT_TRUE(log->Contains("shut down"));
}

TEST(Application, AListenerThatCannotStartUndoesTheOthers) {
  const auto journal = std::make_shared<Journal>();
  auto app = Application::Create<EchoModule>(Quiet());
  app.Listen(Fake{.journal = journal, .endpoint = "a:1", .start = {}, .in_drain = {}});
  app.Listen(Fake{.journal = journal,
                  .endpoint = "b:2",
                  .start = absl::UnavailableError("address b:2 is in use"),
                  .in_drain = {}});
  app.Listen(Fake{.journal = journal, .endpoint = "c:3", .start = {}, .in_drain = {}});
  try {
    app.Start();
    FAIL();
  } catch (const ApplicationError& error) {
    EXPECT_STREQ(error.what(), "Can't listen on fake: UNAVAILABLE: address b:2 is in use");
    EXPECT_EQ(error.status().code(), absl::StatusCode::kUnavailable);
  }
  EXPECT_THAT(journal->Take(), ElementsAre("start a:1", "start b:2", "stop b:2", "not ready a:1",
                                           "stop intake a:1", "drain a:1", "stop a:1"));
  EXPECT_FALSE(app.ready());
  EXPECT_FALSE(app.TryStart().ok());
}

TEST(Application, RequestStopEndsRunFromAnyThread) {
  const auto journal = std::make_shared<Journal>();
  auto app = Application::Create<EchoModule>(Quiet());
  app.Listen(Fake{.journal = journal, .endpoint = "a:1", .start = {}, .in_drain = {}});
  std::thread stopper([&app] {
    while (!app.ready()) std::this_thread::yield();
    app.RequestStop();
  });
  EXPECT_EQ(app.Run(), 0);
  stopper.join();
  EXPECT_THAT(journal->Take(), ElementsAre("start a:1", "not ready a:1", "stop intake a:1",
                                           "drain a:1", "stop a:1"));
}

TEST(Application, RunSaysWhyItCannotStart) {
  const auto log = std::make_shared<CapturingSink>();
  auto app = Application::Create<EchoModule>(Quiet(log));
  app.Listen(Fake{.journal = std::make_shared<Journal>(),
                  .start = absl::UnavailableError("address is in use"),
                  .in_drain = {}});
  EXPECT_EQ(app.Run(), 1);
  EXPECT_TRUE(log->Contains("cannot start"));
  EXPECT_TRUE(log->Contains("address is in use"));
}

TEST(Application, ACloseDuringACloseWaitsForIt) {
  const auto journal = std::make_shared<Journal>();
  auto app = Application::Create<EchoModule>(Quiet());
  std::thread second;
  app.Listen(Fake{.journal = journal, .endpoint = "a:1", .start = {}, .in_drain = [&] {
                    second = std::thread([&] {
                      app.Close();
                      journal->Write("second close returned");
                    });
                  }});
  app.Start();
  app.Close();
  second.join();
  EXPECT_THAT(journal->Take(), ElementsAre("start a:1", "not ready a:1", "stop intake a:1",
                                           "drain a:1", "stop a:1", "second close returned"));
}

// ---- testing

struct FakeGreeter : Greeter {
  FakeGreeter() : Greeter(Inject<kGreeting>(text)) {}
  std::string Greet(const std::string& name) override { return ++calls, "fake " + name; }
  int calls = 0;
  static inline std::string text;
};

TEST(TestingModule, OverridesByAnObjectOfTheTest) {
  FakeGreeter fake;
  auto app = TestingModule::Of<EchoModule>().OverrideProvider<Greeter>(fake).Compile();
  EXPECT_EQ(SyncWait(app.Client<EchoClient>().Say(Say("Ada"))).text(), "fake Ada");
  EXPECT_EQ(fake.calls, 1);
}

TEST(TestingModule, OverridesByPointerValueFactoryAndClass) {
  const auto shared = std::make_shared<FakeGreeter>();
  auto a = TestingModule::Of<EchoModule>().OverrideProvider<Greeter>(shared).Compile();
  EXPECT_EQ(a.Get<Greeter>().Greet("x"), "fake x");
  auto b = TestingModule::Of<EchoModule>().OverrideProvider(kGreeting, "Bye").Compile();
  EXPECT_EQ(b.Get<Greeter>().Greet("x"), "Bye, x");
  auto c = TestingModule::Of<EchoModule>()
               .OverrideProvider<Greeter>(
                   [](Inject<kGreeting>) { return std::make_unique<FakeGreeter>(); })
               .Compile();
  EXPECT_EQ(c.Get<Greeter>().Greet("x"), "fake x");
  auto d = TestingModule::Of<EchoModule>().OverrideProvider<Greeter, FakeGreeter>().Compile();
  EXPECT_EQ(d.Get<Greeter>().Greet("x"), "fake x");
}

TEST(TestingModule, AnOverrideOfNothingIsAFault) {
  FakeGreeter fake;
  struct BareModule {
    static void Define(ModuleBuilder&) {}
  };
  const auto app = TestingModule::Of<BareModule>().OverrideProvider<Greeter>(fake).TryCompile();
  ASSERT_FALSE(app.ok());
  EXPECT_THAT(std::string(app.status().message()),
              HasSubstr("Can't override Greeter: no module provides it."));
}

}  // namespace
}  // namespace rookery::testing
