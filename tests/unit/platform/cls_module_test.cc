// ClsModule: what calls begin with, on every transport, and what jobs begin with.
#include "rookery/platform/cls_module.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "di/calls.h"
#include "rookery/rookery.h"
#include "rookery/rpc/handler.h"
#include "rookery/transports/grpc.h"
#include "unit/rpc/fake_call.h"

namespace rookery::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

inline constexpr ClsKey<std::string> kTenant{"tenant"};
inline constexpr ClsKey<int> kSetups{"setups"};

CallOptions With(const std::string& key, const std::string& value) {
  CallOptions options;
  EXPECT_TRUE(options.metadata.Add(key, value).ok());
  return options;
}

// Tells what it finds: "tenant|id|transport".
class TellController final : public EchoBase {
 public:
  Task<EchoReply> Say(CallContext& call, const EchoRequest&) override {
    std::string text = Cls::GetOr(kTenant, "nobody");
    text += "|" + std::string(Cls::Id()) + "|" + std::string(call.transport());
    co_return Text(text);
  }
  Stream<EchoReply> Repeat(CallContext&, const EchoRequest& request) override {
    for (int i = 0; i < request.count(); ++i) {
      EchoReply reply = Text(Cls::GetOr(kTenant, "nobody"));
      co_yield std::move(reply);
    }
  }
};

void TakeTenant(ClsRequest& request) {
  Cls::Set(kTenant, std::string(request.Header("X-Tenant").value_or("public")));
}

template <class C = TellController>
DynamicModule AppWith(const DynamicModule& cls) {
  struct Root {};
  DynamicModule root = DynamicModule::Of<Root>();
  root.Import(cls).template Controller<C>();
  return root;
}
template <class C = TellController>
Application AppOf(ClsOptions options) {
  return Application::Create(AppWith<C>(ClsModule::ForRoot(std::move(options))), Loops());
}

std::string Say(EchoClient& client, CallOptions options = {}) {
  absl::StatusOr<EchoReply> reply = SyncWaitStatus(client.Say(Asking(), std::move(options)));
  return reply.ok() ? reply->text() : reply.status().ToString();
}

// ---- where it is mounted

class ClsMounts : public ::testing::TestWithParam<ClsMount> {};

TEST_P(ClsMounts, TheSetupRunsOnceForEachCallOnEveryTransport) {
  auto runs = std::make_shared<std::atomic<int>>(0);
  ClsOptions options;
  options.mount = GetParam();
  options.setup = [runs](ClsRequest& request) {
    ++*runs;
    TakeTenant(request);
  };
  Application app = AppOf(std::move(options));
  app.Listen(Grpc{.address = "127.0.0.1:0"});
  app.Start();
  EchoClient here = app.Client<EchoClient>();
  EchoClient there = app.Client<EchoClient>(Grpc{.address = app.Endpoints().front()});
  EXPECT_THAT(Say(here, With("x-tenant", "acme")), MatchesRegex("acme\\|[0-9a-f]{32}\\|inproc"));
  EXPECT_THAT(Say(there, With("x-tenant", "globex")), MatchesRegex("globex\\|[0-9a-f]{32}\\|grpc"));
  EXPECT_THAT(Say(there), StartsWith("public|"));
  EXPECT_EQ(*runs, 3);
}

TEST_P(ClsMounts, TheSetupMayBeACoroutine) {
  ClsOptions options;
  options.mount = GetParam();
  options.setup = [](ClsRequest& request) -> Task<absl::Status> {
    co_await Sleep(std::chrono::milliseconds(1));
    TakeTenant(request);
    co_return absl::OkStatus();
  };
  Application app = AppOf(std::move(options));
  EchoClient client = app.Client<EchoClient>();
  EXPECT_THAT(Say(client, With("x-tenant", "acme")), StartsWith("acme|"));
}

TEST_P(ClsMounts, WhatTheSetupFailsWithTheCallFailsWith) {
  for (const bool waits : {false, true}) {
    ClsOptions options;
    options.mount = GetParam();
    if (waits) {
      options.setup = [](ClsRequest&) -> Task<void> {
        co_await Sleep(std::chrono::milliseconds(1));
        co_await Fail(absl::UnauthenticatedError("send x-tenant"));
      };
    } else {
      options.setup = [](ClsRequest&) { return absl::UnauthenticatedError("send x-tenant"); };
    }
    Application app = AppOf(std::move(options));
    EchoClient client = app.Client<EchoClient>();
    EXPECT_EQ(Say(client), "UNAUTHENTICATED: send x-tenant");
  }
}

TEST_P(ClsMounts, WhatTheSetupThrowsIsToldToFiltersAndNotToPeers) {
  ClsOptions options;
  options.mount = GetParam();
  options.setup = [](ClsRequest&) { throw std::runtime_error("secret"); };
  struct Filter {
    absl::Status Catch(const std::runtime_error& error, ExecutionContext&) {
      return absl::AbortedError(absl::StrCat("filtered ", error.what()));
    }
  };
  Application plain = AppOf(options);
  EchoClient client = plain.Client<EchoClient>();
  EXPECT_THAT(Say(client), Not(HasSubstr("secret")));
  Application filtered = AppOf(options);
  filtered.UseGlobalFilter<Filter>();
  EchoClient other = filtered.Client<EchoClient>();
  EXPECT_EQ(Say(other), "ABORTED: filtered secret");
}

TEST_P(ClsMounts, StreamsSeeTheValuesToTheEnd) {
  ClsOptions options;
  options.mount = GetParam();
  options.setup = &TakeTenant;
  Application app = AppOf(std::move(options));
  EchoClient client = app.Client<EchoClient>();
  EchoRequest request;
  request.set_count(2);
  auto read = [](Stream<EchoReply> stream) -> Task<std::string> {
    std::string all;
    for (;;) {
      auto next = co_await stream.Next();
      if (!next) break;
      all += next->text() + " ";
    }
    co_return all;
  };
  EXPECT_EQ(SyncWait(read(client.Repeat(request, With("x-tenant", "acme")))), "acme acme ");
}

INSTANTIATE_TEST_SUITE_P(Everywhere, ClsMounts,
                         ::testing::Values(ClsMount::kMiddleware, ClsMount::kGuard,
                                           ClsMount::kInterceptor));

// What is made for the call sees what a middleware did, and not what a guard did.
struct Eager {
  static constexpr Scope kScope = Scope::kRequest;
  Eager() : tenant(Cls::GetOr(kTenant, "too early")) {}
  std::string tenant;
};
class EagerController final : public EchoBase {
 public:
  explicit EagerController(Eager& eager) : eager_(eager) {}
  Task<EchoReply> Say(CallContext&, const EchoRequest&) override { co_return Text(eager_.tenant); }

 private:
  Eager& eager_;
};

TEST(ClsModule, AMiddlewareComesBeforeWhatIsMadeForTheCallAndAGuardDoesNot) {
  for (const bool waits : {false, true}) {
    const auto say = [waits](ClsMount mount) {
      ClsOptions options;
      options.mount = mount;
      if (waits) {
        options.setup = [](ClsRequest& request) -> Task<void> {
          co_await Sleep(std::chrono::milliseconds(1));
          TakeTenant(request);
        };
      } else {
        options.setup = &TakeTenant;
      }
      DynamicModule root = AppWith<EagerController>(ClsModule::ForRoot(std::move(options)));
      root.Provide<Eager>();
      Application app = Application::Create(root, Loops());
      EchoClient client = app.Client<EchoClient>();
      return Say(client, With("x-tenant", "acme"));
    };
    EXPECT_EQ(say(ClsMount::kMiddleware), "acme");
    EXPECT_EQ(say(ClsMount::kGuard), "too early");
  }
}

TEST(ClsModule, AFailureBeforeAnythingIsMadeGoesToTheFiltersThatAreThere) {
  ClsOptions options;
  options.setup = [](ClsRequest&) { return absl::UnauthenticatedError("no"); };
  struct Filter {
    absl::Status Catch(const absl::Status& status, ExecutionContext&) {
      return absl::AbortedError(absl::StrCat("filtered ", status.message()));
    }
  };
  DynamicModule root = AppWith<EagerController>(ClsModule::ForRoot(std::move(options)));
  root.Provide<Eager>().GlobalFilter<Filter>();
  Application app = Application::Create(root, Loops());
  EchoClient client = app.Client<EchoClient>();
  EXPECT_EQ(Say(client), "ABORTED: filtered no");
}

TEST(ClsModule, GuardsSeeAMiddlewaresValues) {
  struct Guard {
    bool CanActivate(ExecutionContext&) { return Cls::GetOr(kTenant, "") == "acme"; }
  };
  ClsOptions options;
  options.setup = &TakeTenant;
  Application app = AppOf(std::move(options));
  app.UseGlobalGuard<Guard>();
  EchoClient client = app.Client<EchoClient>();
  EXPECT_THAT(Say(client, With("x-tenant", "acme")), StartsWith("acme|"));
  EXPECT_EQ(Say(client, With("x-tenant", "other")), "PERMISSION_DENIED: Forbidden resource");
}

// Two handlers of one event are one call, and its set-up is one.
struct Heard {
  static inline std::atomic<int> setups{0};
  static inline std::atomic<int> handled{0};
};
class FirstListener final {
 public:
  static void Configure(ControllerBuilder& controller) {
    controller.Event("cls.heard", &FirstListener::On);
  }
  Task<void> On(CallContext&, const EchoRequest&) {
    Heard::handled += Cls::GetOr(kSetups, 0);
    co_return;
  }
};
class SecondListener final {
 public:
  static void Configure(ControllerBuilder& controller) {
    controller.Event("cls.heard", &SecondListener::On);
  }
  Task<void> On(CallContext&, const EchoRequest&) {
    Heard::handled += Cls::GetOr(kSetups, 0);
    co_return;
  }
};

TEST(ClsModule, SeveralHandlersOfAnEventAreOneCall) {
  Heard::setups = 0;
  Heard::handled = 0;
  ClsOptions options;
  options.setup = [](ClsRequest&) {
    ++Heard::setups;
    Cls::Set(kSetups, Cls::GetOr(kSetups, 0) + 1);
  };
  DynamicModule root = AppWith<FirstListener>(ClsModule::ForRoot(std::move(options)));
  root.Controller<SecondListener>();
  Application app = Application::Create(root, Loops());
  app.Init();
  const Handler* const handler = app.host().handlers().Find("cls.heard");
  ASSERT_NE(handler, nullptr);
  FakeCall call;
  EchoRequest message;
  Request request(&message, /*owned=*/false);
  const auto done = SyncWaitStatus(handler->Call(call, request));
  EXPECT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(Heard::setups, 1);
  EXPECT_EQ(Heard::handled, 2);
}

TEST(ClsModule, ASetupThatFailsKeepsAllHandlersOfAnEventFromRunning) {
  for (const bool waits : {false, true}) {
    Heard::setups = 0;
    Heard::handled = 0;
    ClsOptions options;
    options.id.generate = [](const ClsRequest&) { return absl::StrCat("id-", ++Heard::handled); };
    if (waits) {
      options.setup = [](ClsRequest&) -> Task<absl::Status> {
        co_await Sleep(std::chrono::milliseconds(1));
        ++Heard::setups;
        co_return absl::UnauthenticatedError("no");
      };
    } else {
      options.setup = [](ClsRequest&) {
        ++Heard::setups;
        return absl::UnauthenticatedError("no");
      };
    }
    DynamicModule root = AppWith<FirstListener>(ClsModule::ForRoot(std::move(options)));
    root.Controller<SecondListener>();
    Application app = Application::Create(root, Loops());
    app.Init();
    FakeCall call;
    EchoRequest message;
    Request request(&message, /*owned=*/false);
    const auto done = SyncWaitStatus(app.host().handlers().Find("cls.heard")->Call(call, request));
    EXPECT_EQ(done.status(), absl::UnauthenticatedError("no"));
    EXPECT_EQ(Heard::setups, 2);
    EXPECT_EQ(Heard::handled, 1);  // one id, and no handler
    EXPECT_EQ(call.request_id(), "id-1");
  }
}

TEST(ClsModule, OfTwoTheFirstGivesTheIdAndBothSetUp) {
  const auto options = [](const std::string& name) {
    ClsOptions made;
    made.id.generate = [name](const ClsRequest&) { return name; };
    made.setup = [name](ClsRequest&) { Cls::Set(kTenant, Cls::GetOr(kTenant, "") + name); };
    return made;
  };
  DynamicModule root = AppWith(ClsModule::ForRoot(options("one")));
  root.Import(ClsModule::ForRoot(options("two")));
  Application app = Application::Create(root, Loops());
  EchoClient client = app.Client<EchoClient>();
  EXPECT_EQ(Say(client), "onetwo|one|inproc");
}

// ---- the id

TEST(ClsModule, WithoutOptionsIdsAreAsTheyAlwaysAre) {
  Application app = AppOf({});
  EchoClient client = app.Client<EchoClient>();
  EXPECT_THAT(Say(client), MatchesRegex("nobody\\|[0-9a-f]{32}\\|inproc"));
  EXPECT_EQ(Say(client, With("x-request-id", "r-1")), "nobody|r-1|inproc");
}

TEST(ClsModule, IdsComeInUnderAnyNameIfTheyAreAcceptable) {
  ClsOptions options;
  options.id.header = "x-correlation-id";
  options.id.max_length = 8;
  options.id.generate = [](const ClsRequest& request) {
    return "made-" + std::string(request.Header("x-tenant").value_or("x"));
  };
  Application app = AppOf(std::move(options));
  app.Listen(Grpc{.address = "127.0.0.1:0"});
  app.Start();
  EchoClient here = app.Client<EchoClient>();
  EchoClient there = app.Client<EchoClient>(Grpc{.address = app.Endpoints().front()});
  for (EchoClient* const client : {&here, &there}) {
    EXPECT_THAT(Say(*client, With("x-correlation-id", "c-1")), StartsWith("nobody|c-1|"));
    EXPECT_THAT(Say(*client, With("x-request-id", "c-1")), StartsWith("nobody|made-x|"));
    EXPECT_THAT(Say(*client, With("x-correlation-id", "123456789")), StartsWith("nobody|made-x|"));
    EXPECT_THAT(Say(*client, With("x-correlation-id", "a b")), StartsWith("nobody|made-x|"));
    EXPECT_THAT(Say(*client, With("x-correlation-id", "a/b")), StartsWith("nobody|made-x|"));
    EXPECT_THAT(Say(*client, With("x-tenant", "acme")), StartsWith("nobody|made-acme|"));
  }
}

TEST(ClsModule, WhatIsAcceptableIsTheUsersToSay) {
  ClsOptions options;
  options.id.acceptable = [](std::string_view id) { return id.starts_with("a/"); };
  Application app = AppOf(std::move(options));
  EchoClient client = app.Client<EchoClient>();
  EXPECT_EQ(Say(client, With("x-request-id", "a/b")), "nobody|a/b|inproc");
  EXPECT_THAT(Say(client, With("x-request-id", "b/b")), Not(HasSubstr("b/b")));
  // Whatever the user says: no spaces, no end of line.
  EXPECT_THAT(Say(client, With("x-request-id", "a/ b")), Not(HasSubstr("a/ b")));
}

TEST(ClsModule, CallersIdsMayBeIgnored) {
  ClsOptions options;
  options.id.take_over = false;
  Application app = AppOf(std::move(options));
  EchoClient client = app.Client<EchoClient>();
  EXPECT_THAT(Say(client, With("x-request-id", "r-1")),
              MatchesRegex("nobody\\|[0-9a-f]{32}\\|inproc"));
}

TEST(ClsModule, AGeneratorThatGivesRubbishIsNotBelieved) {
  for (const std::string& rubbish :
       {std::string(), std::string("a\r\nb"), std::string(2000, 'x')}) {
    ClsOptions options;
    options.id.generate = [rubbish](const ClsRequest&) { return rubbish; };
    Application app = AppOf(std::move(options));
    EchoClient client = app.Client<EchoClient>();
    EXPECT_THAT(Say(client), MatchesRegex("nobody\\|[0-9a-f]{32}\\|inproc"));
  }
}

// Asks for the id before the set-up.
struct NosyGuard {
  bool CanActivate(ExecutionContext& context) {
    early = context.call().request_id();
    return true;
  }
  static inline std::string early;
};
class BothIdsController final : public EchoBase {
 public:
  Task<EchoReply> Say(CallContext& call, const EchoRequest&) override {
    co_return Text(std::string(Cls::Id()) + "|" + call.request_id());
  }
};

TEST(ClsModule, AnIdThatSomebodyHasSeenStaysTheCallsAndTheNewOneIsTheContexts) {
  ClsOptions options;
  options.mount = ClsMount::kGuard;
  options.id.generate = [](const ClsRequest&) { return "mine"; };
  Application app = AppOf<BothIdsController>(std::move(options));
  app.UseGlobalGuard<NosyGuard>();
  EchoClient client = app.Client<EchoClient>();
  const std::string told = Say(client);
  EXPECT_EQ(told, "mine|" + NosyGuard::early);
  EXPECT_THAT(NosyGuard::early, MatchesRegex("[0-9a-f]{32}"));

  ClsOptions before;
  before.id.generate = [](const ClsRequest&) { return "mine"; };
  Application other = AppOf<BothIdsController>(std::move(before));
  EchoClient early = other.Client<EchoClient>();
  EXPECT_EQ(Say(early), "mine|mine");
}

// Calls on, and tells what metadata arrived there.
class FarController final : public EchoBase {
 public:
  Task<EchoReply> Say(CallContext& call, const EchoRequest&) override {
    std::string text;
    for (const char* name : {"x-request-id", "x-correlation-id"}) {
      text += absl::StrCat(name, "=", std::string(call.metadata().Get(name).value_or("-")).c_str(),
                           " ");
    }
    co_return Text(text);
  }
};
struct FarModule {
  static void Define(ModuleBuilder& module) { module.Controller<FarController>(); }
};
class NearController final : public EchoBase {
 public:
  explicit NearController(EchoClient& far) : far_(far) {}
  Task<EchoReply> Say(CallContext&, const EchoRequest& request) override {
    auto reply = far_.Say(request);
    EchoReply got = co_await std::move(reply);
    co_return got;
  }

 private:
  EchoClient& far_;
};

TEST(ClsModule, IdsGoOutUnderTheirNameIfTheyAreToAndIntoTheLog) {
  Application far = Application::Create<FarModule>(Loops());
  far.Listen(Grpc{.address = "127.0.0.1:0"});
  far.Start();
  const auto run = [&](ClsOptions options, bool in_process) {
    auto sink = std::make_shared<CapturingSink>();
    struct Speak {
      explicit Speak(Logger& l) : log(l) {}
      bool CanActivate(ExecutionContext&) {
        log.Info("speaking");
        return true;
      }
      Logger log;
    };
    ApplicationOptions quiet = Loops();
    quiet.log.level = LogLevel::kInfo;
    quiet.log.sink = sink;
    struct Root {};
    DynamicModule root = DynamicModule::Of<Root>();
    EchoClient client_of_far = in_process
                                   ? far.Client<EchoClient>()
                                   : far.Client<EchoClient>(Grpc{.address = far.Endpoints()[0]});
    root.Import(ClsModule::ForRoot(std::move(options)))
        .Controller<NearController>()
        .ProvideValue(std::ref(client_of_far))
        .GlobalGuard<Speak>();
    Application app = Application::Create(root, std::move(quiet));
    EchoClient client = app.Client<EchoClient>();
    CallOptions given = With("x-request-id", "r-1");
    EXPECT_TRUE(given.metadata.Add("x-correlation-id", "c-1").ok());
    std::string told = Say(client, std::move(given));
    std::string spoken;
    for (const std::string& line : sink->lines()) {
      if (line.find("speaking") != std::string::npos) spoken = line;
    }
    EXPECT_NE(spoken, "");
    return std::pair(told, spoken);
  };
  for (const bool in_process : {false, true}) {
    const auto usual = run({}, in_process);
    EXPECT_EQ(usual.first, "x-request-id=r-1 x-correlation-id=- ");
    EXPECT_THAT(usual.second, HasSubstr("r-1"));

    ClsOptions renamed;
    renamed.id.header = "x-correlation-id";
    const auto correlated = run(renamed, in_process);
    EXPECT_EQ(correlated.first, "x-request-id=- x-correlation-id=c-1 ");
    EXPECT_THAT(correlated.second, HasSubstr("c-1"));

    ClsOptions silent;
    silent.id.send = false;
    silent.id.log = false;
    const auto kept = run(silent, in_process);
    EXPECT_EQ(kept.first, "x-request-id=- x-correlation-id=- ");
    EXPECT_THAT(kept.second, Not(HasSubstr("r-1")));
    EXPECT_THAT(kept.second, Not(HasSubstr("request_id")));
  }
  // What is no call has an id to tell if it was given one.
  EchoClient client = far.Client<EchoClient>(Grpc{.address = far.Endpoints()[0]});
  ClsRunOptions job;
  job.id = "job-1";
  EXPECT_EQ(Cls::Run(job, [&] { return Say(client); }), "x-request-id=job-1 x-correlation-id=- ");
  job.id = "job\r\nx-evil: 1";  // no header can carry it
  EXPECT_THAT(Cls::Run(job, [&] { return Say(client); }), StartsWith("x-request-id=- "));
}

// ---- options

TEST(ClsModule, OptionsMayComeFromElsewhere) {
  struct Settings {
    std::string header = "x-trace";
  };
  struct SettingsModule {
    static void Define(ModuleBuilder& module) { module.Provide<Settings>().Export<Settings>(); }
  };
  const DynamicModule cls = ClsModule::ForRootAsync([](Settings& settings) {
                              ClsOptions options;
                              options.mount = ClsMount::kGuard;
                              options.id.header = settings.header;
                              options.setup = &TakeTenant;
                              return options;
                            }).Import<SettingsModule>();
  Application app = Application::Create(AppWith(cls), Loops());
  EchoClient client = app.Client<EchoClient>();
  EXPECT_EQ(Say(client, With("x-trace", "t-1")), "public|t-1|inproc");
}

TEST(ClsModule, WrongOptionsAreRefusedAtStartUp) {
  const auto fault = [](ClsOptions options) {
    const auto app =
        Application::TryCreate(AppWith(ClsModule::ForRoot(std::move(options))), Loops());
    return app.ok() ? std::string() : std::string(app.status().message());
  };
  ClsOptions header;
  header.id.header = "X Request";
  EXPECT_THAT(fault(header), HasSubstr("ClsOptions::id.header is \"X Request\""));
  ClsOptions length;
  length.id.max_length = 0;
  EXPECT_THAT(fault(length), HasSubstr("ClsOptions::id.max_length is 0: give 1 to 1024"));
  length.id.max_length = 1025;
  EXPECT_THAT(fault(length), HasSubstr("ClsOptions::id.max_length is 1025: give 1 to 1024"));
  EXPECT_EQ(fault({}), "");
}

TEST(ClsModule, ByItselfItGivesCls) {
  struct User {
    explicit User(ClsService&) {}
  };
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Import<ClsModule>().Provide<User>(); }
  };
  EXPECT_EQ(FaultsOf<AppModule>(), "");
}

TEST(ClsModule, GlobalMeansClsEverywhere) {
  struct User {
    User(ClsService&, ClsInitializer&) {}
  };
  struct Inner {
    static void Define(ModuleBuilder& module) { module.Provide<User>(); }
  };
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Import(ClsModule::ForRoot({}, {.is_global = true})).Import<Inner>();
    }
  };
  EXPECT_EQ(FaultsOf<AppModule>(), "");
}

// ---- proxy providers

struct CurrentUser {
  explicit CurrentUser(CallContext& call)
      : name(call.metadata().Get("x-user").value_or("nobody")), tenant(Cls::GetOr(kTenant, "-")) {
    ++made;
  }
  std::string name;
  std::string tenant;
  static inline std::atomic<int> made{0};
};
struct Roles {
  std::string all;
};
Task<std::unique_ptr<Roles>> LoadRoles(CurrentUser& user) {
  co_await Sleep(std::chrono::milliseconds(1));
  auto roles = std::make_unique<Roles>();
  roles->all = user.name == "ada" ? "admin" : "guest";
  co_return roles;
}
inline constexpr InjectionToken<std::string> kGreeting{"GREETING"};

// A singleton, which has the call's own all the same.
struct Audit {
  Audit(Proxy<CurrentUser> u, Proxy<Roles> r, Proxy<Inject<kGreeting>> g, Proxy<CallContext> c)
      : user(u), roles(r), greeting(g), call(c) {
    ++made;
  }
  std::string Line() const {
    return absl::StrCat(*greeting, " ", user->name, " ", roles->all, " ", user->tenant, " ",
                        std::string(call->transport()).c_str());
  }
  Proxy<CurrentUser> user;
  Proxy<Roles> roles;
  Proxy<Inject<kGreeting>> greeting;
  Proxy<CallContext> call;
  static inline std::atomic<int> made{0};
};
class AuditController final : public EchoBase {
 public:
  explicit AuditController(Audit& audit) : audit_(audit) {}
  Task<EchoReply> Say(CallContext&, const EchoRequest&) override { co_return Text(audit_.Line()); }

 private:
  Audit& audit_;
};
DynamicModule AuditApp(ClsOptions options) {
  const DynamicModule user = ClsModule::ForFeature<CurrentUser>();
  DynamicModule root = AppWith<AuditController>(ClsModule::ForRoot(std::move(options)));
  root.Import(user)
      .Import(ClsModule::ForFeatureAsync<Roles>(&LoadRoles).Import(user))
      .Import(ClsModule::ForFeatureAsync<kGreeting>([] { return std::string("hello"); }))
      .Provide<Audit>();
  return root;
}

TEST(ClsModule, ProxyProvidersAreTheCallsThoughTheirUserIsASingleton) {
  CurrentUser::made = 0;
  Audit::made = 0;
  ClsOptions options;
  options.setup = &TakeTenant;
  Application app = Application::Create(AuditApp(std::move(options)), Loops(2));
  app.Listen(Grpc{.address = "127.0.0.1:0"});
  app.Start();
  EchoClient here = app.Client<EchoClient>();
  EchoClient there = app.Client<EchoClient>(Grpc{.address = app.Endpoints().front()});
  EXPECT_EQ(Say(here, With("x-user", "ada")), "hello ada admin public inproc");
  EXPECT_EQ(Say(there, With("x-user", "eve")), "hello eve guest public grpc");
  EXPECT_EQ(CurrentUser::made, 2);
  EXPECT_EQ(Audit::made, 1);
}

TEST(ClsModule, ProxyProvidersThatAreNotResolvedAreMadeWhenAskedFor) {
  CurrentUser::made = 0;
  ClsOptions options;
  options.resolve_proxy_providers = false;
  Application app = Application::Create(AuditApp(std::move(options)), Loops());
  EchoClient client = app.Client<EchoClient>();
  // Those of a Task have to be awaited by somebody.
  EXPECT_THAT(Say(client), HasSubstr("INTERNAL"));
  EXPECT_EQ(CurrentUser::made, 1);
}

TEST(ClsModule, AProxyProviderThatFailsFailsTheCall) {
  struct Broken {};
  DynamicModule root = AppWith(ClsModule::ForRoot({}));
  root.Import(ClsModule::ForFeatureAsync<Broken>(
      []() -> absl::StatusOr<Broken> { return absl::UnavailableError("no database"); }));
  Application app = Application::Create(root, Loops());
  EchoClient client = app.Client<EchoClient>();
  EXPECT_EQ(Say(client), "UNAVAILABLE: no database");
}

// ---- the seam for those who receive requests themselves

TEST(ClsInitializer, PreparesWhatHasHeadersAndIsNoCall) {
  ClsOptions options;
  options.mount = ClsMount::kNone;
  options.setup = &TakeTenant;
  Application app = AppOf(std::move(options));
  auto& initializer = app.Get<ClsInitializer>();
  std::vector<std::string> asked;
  auto headers = [&asked](std::string_view name) -> std::optional<std::string_view> {
    asked.emplace_back(name);
    if (name == "x-tenant") return "acme";
    if (name == "x-request-id") return "r-7";
    return std::nullopt;
  };
  const ClsScope scope = Cls::Enter();
  SyncWait(initializer.Prepare(ClsRequest(*Context::Current(), "http", headers)));
  EXPECT_EQ(Cls::GetOr(kTenant, ""), "acme");
  EXPECT_EQ(Cls::Id(), "r-7");
  EXPECT_THAT(asked, ::testing::UnorderedElementsAre("x-request-id", "x-tenant"));
  // A second time is none.
  Cls::Set(kTenant, "changed");
  SyncWait(initializer.Prepare(ClsRequest(*Context::Current(), "http", headers)));
  EXPECT_EQ(Cls::GetOr(kTenant, ""), "changed");
  // Nothing is mounted.
  EchoClient client = app.Client<EchoClient>();
  EXPECT_THAT(Say(client, With("x-tenant", "acme")), StartsWith("nobody|"));
}

TEST(ClsInitializer, RunsJobsInAPreparedContext) {
  ClsOptions options;
  options.id.generate = [](const ClsRequest& request) {
    return request.carrier().empty() ? "job" : "call";
  };
  options.setup = [](ClsRequest& request) -> Task<void> {
    co_await Sleep(std::chrono::milliseconds(1));
    TakeTenant(request);
  };
  Application app = AppOf(std::move(options));
  auto& initializer = app.Get<ClsInitializer>();
  auto job = [](std::string suffix) -> Task<std::string> {
    co_await Sleep(std::chrono::milliseconds(1));
    co_return Cls::GetOr(kTenant, "nobody") + "|" + std::string(Cls::Id()) + suffix;
  };
  const std::string captured = "!";
  EXPECT_EQ(SyncWait(initializer.Run([&job, captured] { return job(captured); })), "public|job!");
  ClsRunOptions named;
  named.id = "nightly-1";
  EXPECT_EQ(SyncWait(initializer.Run(named, [&job] { return job(""); })), "public|nightly-1");
  bool ran = false;
  SyncWait(initializer.Run([&ran]() -> Task<void> {
    ran = Cls::Has(kTenant);
    co_return;
  }));
  EXPECT_TRUE(ran);
  EXPECT_FALSE(Cls::IsActive());
  // Within a call it is part of that: the same id, and no values of it.
  FakeCall call(Sent{{"x-request-id", "r-1"}});
  const ContextScope scope(&call);
  Cls::Set(kTenant, "acme");
  EXPECT_EQ(SyncWait(initializer.Run([&job] { return job(""); })), "public|r-1");
}

TEST(ClsInitializer, AJobWhoseSetupFailsDoesNotRun) {
  ClsOptions options;
  options.setup = [](ClsRequest&) { return absl::UnavailableError("not now"); };
  Application app = AppOf(std::move(options));
  bool ran = false;
  const absl::Status status = SyncWaitStatus(app.Get<ClsInitializer>().Run([&ran]() -> Task<void> {
    ran = true;
    co_return;
  }));
  EXPECT_EQ(status, absl::UnavailableError("not now"));
  EXPECT_FALSE(ran);
}

// ---- many calls at once

class SlowController final : public EchoBase {
 public:
  Task<EchoReply> Say(CallContext&, const EchoRequest&) override {
    const std::string before = Cls::GetOr(kTenant, "nobody") + std::string(Cls::Id());
    co_await Sleep(std::chrono::milliseconds(1));
    const std::string after = Cls::GetOr(kTenant, "nobody") + std::string(Cls::Id());
    co_return Text(before == after ? after : "mixed");
  }
};

TEST(ClsModule, CallsThatRunAtTheSameTimeDoNotMeet) {
  ClsOptions options;
  options.id.header = "x-id";
  options.setup = [](ClsRequest& request) -> Task<void> {
    co_await Sleep(std::chrono::milliseconds(1));
    TakeTenant(request);
  };
  Application app =
      Application::Create(AppWith<SlowController>(ClsModule::ForRoot(options)), Loops(3));
  app.Init();
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&app, &wrong, t] {
      EchoClient client = app.Client<EchoClient>();
      for (int i = 0; i < 25; ++i) {
        CallOptions given = With("x-tenant", absl::StrCat("t", t));
        given.metadata.Add("x-id", absl::StrCat("-", i)).IgnoreError();
        if (Say(client, std::move(given)) != absl::StrCat("t", t, "-", i)) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

// ---- ClsScope, ClsStore

TEST(ClsScope, IsAContextUntilTheEndOfTheBlock) {
  {
    const ClsScope scope = Cls::Enter();
    Cls::Set(kTenant, "acme");
    {
      const ClsScope inner = Cls::EnterWith(ClsValues().Set(kSetups, 3));
      EXPECT_FALSE(Cls::Has(kTenant));
      EXPECT_EQ(Cls::GetOr(kSetups, 0), 3);
    }
    {
      const ClsScope inner =
          Cls::EnterWith(ClsValues().Set(kSetups, 3), ClsRunOptions(ClsNesting::kInherit));
      EXPECT_TRUE(Cls::Has(kTenant));
    }
    EXPECT_FALSE(Cls::Has(kSetups));
    {
      const ClsScope same = Cls::Enter(ClsRunOptions(ClsNesting::kReuse));
      Cls::Set(kSetups, 4);
    }
    EXPECT_EQ(Cls::GetOr(kSetups, 0), 4);
  }
  EXPECT_FALSE(Cls::IsActive());
}

struct Session {
  std::string user = "nobody";
  int tenant = 0;
};
struct SessionUser {
  explicit SessionUser(ClsStore<Session>& s) : session(s) {}
  ClsStore<Session>& session;
};

TEST(ClsStore, IsOneStructAContext) {
  EXPECT_EQ(ClsStore<Session>::Find(), nullptr);
  EXPECT_THROW((void)ClsStore<Session>::Get(), RpcException);
  const ClsStore<Session> session;
  Cls::Run([&session] {
    EXPECT_EQ(session->user, "nobody");
    session->user = "ada";
    Cls::Run([&session] {
      EXPECT_EQ(session->user, "ada");
      (*session).user = "eve";
    });
    EXPECT_EQ(ClsStore<Session>::Find()->user, "ada");
    ClsStore<Session>::Set({"tom", 3});
    EXPECT_EQ(session->tenant, 3);
  });
  Cls::RunWith(ClsValues().Set(ClsStore<Session>::kKey, Session{"ann", 1}),
               [&session] { EXPECT_EQ(session->user, "ann"); });
}

TEST(ClsStore, CanBeInjected) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<ClsStore<Session>>().Provide<SessionUser>();
    }
  };
  EXPECT_EQ(FaultsOf<AppModule>(), "");
}

// ---- pre-request hooks, which it is made of

struct Order {
  static inline std::vector<std::string> lines;
};
struct FirstHook {
  void PreRequest(ExecutionContext& context) {
    Order::lines.push_back("first " + std::string(context.method().name()));
  }
};
struct SecondHook {
  Task<void> PreRequest(ExecutionContext&) {
    Order::lines.emplace_back("second");
    co_return;
  }
};
struct OrderGuard {
  bool CanActivate(ExecutionContext&) {
    Order::lines.emplace_back("guard");
    return true;
  }
};

TEST(PreRequestHook, RunsBeforeTheGuardsTheApplicationsFirst) {
  Order::lines.clear();
  struct Root {
    static void Define(ModuleBuilder& module) {
      module.GlobalGuard<OrderGuard>().PreRequestHook<SecondHook>().Controller<TellController>();
    }
  };
  Application app = Application::Create<Root>(Loops());
  app.UsePreRequestHook<FirstHook>();
  EchoClient client = app.Client<EchoClient>();
  EXPECT_THAT(Say(client), StartsWith("nobody"));
  EXPECT_THAT(Order::lines, ::testing::ElementsAre("first Say", "second", "guard"));
}

TEST(PreRequestHook, MustBeASingleton) {
  struct Hook {
    explicit Hook(Eager&) {}
    absl::Status PreRequest(ExecutionContext&) { return absl::OkStatus(); }
  };
  struct Root {
    static void Define(ModuleBuilder& module) {
      module.Provide<Eager>().PreRequestHook<Hook>().Controller<TellController>();
    }
  };
  Application app = Application::Create<Root>(Loops());
  const absl::Status status = app.TryInit();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("is not a singleton, or something that it asks for is not"));
}

// Controllers of which there is one per loop run the hooks, too, each call.
struct PerLoop {
  static constexpr Scope kScope = Scope::kPerLoop;
};
class PerLoopController final : public EchoBase {
 public:
  explicit PerLoopController(PerLoop&) {}
  Task<EchoReply> Say(CallContext&, const EchoRequest&) override {
    co_return Text(Cls::GetOr(kTenant, "nobody"));
  }
};

TEST(PreRequestHook, RunsForEachCallOfAControllerPerLoop) {
  ClsOptions options;
  options.setup = &TakeTenant;
  DynamicModule root = AppWith<PerLoopController>(ClsModule::ForRoot(std::move(options)));
  root.Provide<PerLoop>();
  Application app = Application::Create(root, Loops());
  app.Listen(Grpc{.address = "127.0.0.1:0"});
  app.Start();
  EchoClient client = app.Client<EchoClient>(Grpc{.address = app.Endpoints().front()});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Say(client, With("x-tenant", "acme")), "acme");
}

}  // namespace
}  // namespace rookery::testing
