// Global enhancers, and what each listener has of them.
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "di/calls.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rookery/rookery.h"
#include "rookery/transports/grpc.h"
#include "rookery/transports/inproc.h"

namespace rookery::testing {
namespace {

using ::testing::HasSubstr;

// Each enhancer writes its name into CLS; the handler answers with all of them.
inline constexpr ClsKey<std::string> kTrail{"trail"};

bool Leave(const std::string& name) {
  Cls::Set(kTrail, Cls::GetOr(kTrail, "") + name + " ");
  return true;
}
struct TrailController final : EchoBase {
  Task<EchoReply> Say(CallContext&, const EchoRequest&) override {
    co_return Text(Cls::GetOr(kTrail, ""));
  }
};
struct AppGuard {
  bool CanActivate(ExecutionContext&) { return Leave("app-guard"); }
};
struct ModuleGuard {
  bool CanActivate(ExecutionContext&) { return Leave("module-guard"); }
};
struct AppInterceptor {
  Task<Response> Intercept(ExecutionContext&, Next next) {
    Leave("app-interceptor");
    Task<Response> rest = next();
    Response response = co_await std::move(rest);
    co_return response;
  }
};
struct ModulePipe {
  absl::Status Transform(const EchoRequest&, const ArgumentMetadata&) {
    Leave("module-pipe");
    return absl::OkStatus();
  }
};
struct ControllerGuard {
  bool CanActivate(ExecutionContext&) { return Leave("controller-guard"); }
};
struct GuardedController final : EchoBase {
  static void Configure(ControllerBuilder& controller) {
    controller.UseGuard<ControllerGuard>().Method("Join").UsePipe<ModulePipe>();
  }
  Task<EchoReply> Say(CallContext&, const EchoRequest& request) override {
    if (request.text() == "fail") co_return absl::NotFoundError("nothing");
    co_return Text(Cls::GetOr(kTrail, ""));
  }
};
struct AppFilter {
  absl::Status Catch(const absl::Status& status, ExecutionContext&) {
    return absl::AbortedError(absl::StrCat("app: ", status.message()));
  }
};
struct Hook {
  void PreRequest(ExecutionContext&) { Leave("hook"); }
};
struct GuardedModule {
  static void Define(ModuleBuilder& module) {
    module.Controller<GuardedController>()
        .GlobalGuard<ModuleGuard>()
        .GlobalPipe<ModulePipe>()
        .PreRequestHook<Hook>();
  }
};

Application Guarded() {
  Application app = Make<GuardedModule>();
  app.UseGlobalGuard<AppGuard>()
      .UseGlobalInterceptor<AppInterceptor>()
      .UseGlobalFilter<AppFilter>();
  return app;
}

std::string Say(EchoClient& client, const std::string& text = "") {
  absl::StatusOr<EchoReply> reply = SyncWaitStatus(client.Say(Asking(text)));
  return reply.ok() ? reply->text() : reply.status().ToString();
}
std::string Over(Application& app, const Grpc& grpc, const std::string& text = "") {
  EchoClient client = app.Client<EchoClient>(grpc);
  return Say(client, text);
}
Grpc At(const Application& app, std::size_t listener) {
  Grpc grpc;
  grpc.address = app.Endpoints().at(listener);
  return grpc;
}
Grpc Anywhere() {
  Grpc grpc;
  grpc.address = "127.0.0.1:0";
  return grpc;
}

constexpr char kAll[] = "hook app-guard module-guard controller-guard app-interceptor module-pipe ";

TEST(ListenOptions, EveryListenerInheritsTheGlobalEnhancersUnlessItSaysOtherwise) {
  Application app = Guarded();
  app.Listen(Anywhere());
  app.Listen(InProcess{.name = "listen-options-inherit"});
  app.Listen(Anywhere(), ListenOptions().InheritGlobalEnhancers(false));
  app.Start();

  EchoClient client = app.Client<EchoClient>();
  EXPECT_EQ(Say(client), kAll);
  EXPECT_EQ(Over(app, At(app, 0)), kAll);
  EchoClient inproc = app.Client<EchoClient>(InProcess{.name = "listen-options-inherit"});
  EXPECT_EQ(Say(inproc), kAll);
  EXPECT_EQ(Over(app, At(app, 0), "fail"), "ABORTED: app: nothing");

  // Neither the application's nor the modules'; what the controller says stays, and so do hooks.
  EXPECT_EQ(Over(app, At(app, 2)), "hook controller-guard ");
  EXPECT_EQ(Over(app, At(app, 2), "fail"), "NOT_FOUND: nothing");
}

struct OwnGuard {
  explicit OwnGuard(Reflector&) {}  // injected
  bool CanActivate(ExecutionContext&) { return Leave("own-guard"); }
};
struct OwnFilter {
  absl::Status Catch(const absl::Status& status, ExecutionContext&) {
    return absl::DataLossError(absl::StrCat("own: ", status.message()));
  }
};

TEST(ListenOptions, AListenerMayHaveEnhancersOfItsOwnAfterTheGlobalOnes) {
  Application app = Guarded();
  app.Listen(Anywhere(), ListenOptions().UseGuard<OwnGuard>().UseFilter<OwnFilter>());
  app.Listen(Anywhere(), ListenOptions()
                             .InheritGlobalEnhancers(false)
                             .UseGuard(std::make_shared<AppGuard>())
                             .UseInterceptor<AppInterceptor>()
                             .UsePipe<ModulePipe>());
  app.Listen(Anywhere());
  app.Start();
  EXPECT_EQ(Over(app, At(app, 0)),
            "hook app-guard module-guard own-guard controller-guard app-interceptor module-pipe ");
  EXPECT_EQ(Over(app, At(app, 0), "fail"), "DATA_LOSS: own: nothing");
  EXPECT_EQ(Over(app, At(app, 1)), "hook app-guard controller-guard app-interceptor module-pipe ");
  EXPECT_EQ(Over(app, At(app, 2)), kAll);
}

TEST(ListenOptions, HoldForAListenerThatComesAfterTheStart) {
  Application app = Guarded();
  app.Start();
  app.Listen(Anywhere());
  app.Listen(Anywhere(), ListenOptions().InheritGlobalEnhancers(false).UseGuard<OwnGuard>());
  EXPECT_EQ(Over(app, At(app, 0)), kAll);
  EXPECT_EQ(Over(app, At(app, 1)), "hook own-guard controller-guard ");
}

// Between Init and Start is neither.
TEST(ListenOptions, HoldForAListenerThatComesAfterInit) {
  Application app = Guarded();
  app.Init();
  app.Listen(Anywhere(), ListenOptions().InheritGlobalEnhancers(false));
  app.Start();
  EXPECT_EQ(Over(app, At(app, 0)), "hook controller-guard ");
}

struct UnmadeGuard {
  explicit UnmadeGuard(ModulePipe&) {}
  bool CanActivate(ExecutionContext&) { return true; }
};

TEST(ListenOptions, AnEnhancerThatCannotBeMadeIsAFaultBeforeAnythingIsBound) {
  Application early = Guarded();
  early.Listen(Anywhere(), ListenOptions().UseGuard<UnmadeGuard>());
  const absl::Status status = early.TryStart();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("Can't resolve UnmadeGuard (?)"));
  EXPECT_TRUE(early.Endpoints().empty());

  Application late = Guarded();
  late.Start();
  try {
    late.Listen(Anywhere(), ListenOptions().UseGuard<UnmadeGuard>());
    ADD_FAILURE() << "it listens";
  } catch (const ApplicationError& error) {
    EXPECT_THAT(error.what(), HasSubstr("Can't listen on grpc: Can't resolve UnmadeGuard (?)"));
  }
  EXPECT_TRUE(late.Endpoints().empty());
}

// Scopes are the call's, whichever listener it came through.
struct PerCall {
  static constexpr Scope kScope = Scope::kRequest;
  PerCall() { ++made; }
  static inline std::atomic<int> made{0};
};
struct PerCallGuard {
  explicit PerCallGuard(PerCall&) {}
  bool CanActivate(ExecutionContext&) { return Leave("per-call"); }
};
struct TransientGuard {
  static constexpr Scope kScope = Scope::kTransient;
  TransientGuard() { ++made; }
  bool CanActivate(ExecutionContext&) { return Leave("transient"); }
  static inline std::atomic<int> made{0};
};
struct PerCallModule {
  static void Define(ModuleBuilder& module) {
    module.Controller<TrailController>().Provide<PerCall>();
  }
};

TEST(ListenOptions, TheirEnhancersMayBeScoped) {
  PerCall::made = 0;
  TransientGuard::made = 0;
  Application app = Make<PerCallModule>();
  app.Listen(Anywhere(), ListenOptions().UseGuard<PerCallGuard>().UseGuard<TransientGuard>());
  app.Listen(Anywhere());
  app.Start();
  EXPECT_EQ(Over(app, At(app, 0)), "per-call transient ");
  EXPECT_EQ(Over(app, At(app, 0)), "per-call transient ");
  EXPECT_EQ(Over(app, At(app, 1)), "");
  EXPECT_EQ(PerCall::made, 2);
  EXPECT_EQ(TransientGuard::made, 1);
}

TEST(ListenOptions, CallsAreCountedTogether) {
  Application app = Guarded();
  app.Listen(Anywhere());
  app.Listen(Anywhere(), ListenOptions().InheritGlobalEnhancers(false));
  app.Start();
  Over(app, At(app, 0));
  Over(app, At(app, 1));
  const auto two = [&app] {
    for (const MethodSnapshot& method : app.Stats().methods) {
      if (method.method == "/rookery.testing.Echo/Say" && method.transport == "grpc") {
        return method.calls == 2;
      }
    }
    return false;
  };
  EXPECT_TRUE(Soon(two));
}

// The set-up of ClsModule is no enhancer where it is a middleware, and one where it is a guard.
TEST(ListenOptions, ClsIsPreparedOnAllListenersUnlessItIsMountedAsAGlobalGuard) {
  for (const ClsMount mount : {ClsMount::kMiddleware, ClsMount::kGuard}) {
    ClsOptions options;
    options.mount = mount;
    options.setup = [](ClsRequest&) { Leave("setup"); };
    struct Root {};
    DynamicModule root = DynamicModule::Of<Root>();
    root.Import(ClsModule::ForRoot(std::move(options))).Controller<TrailController>();
    Application app = Application::Create(root, Loops());
    app.Listen(Anywhere());
    app.Listen(Anywhere(), ListenOptions().InheritGlobalEnhancers(false));
    app.Start();
    EXPECT_EQ(Over(app, At(app, 0)), "setup ");
    EXPECT_EQ(Over(app, At(app, 1)), mount == ClsMount::kMiddleware ? "setup " : "");
  }
}

}  // namespace
}  // namespace rookery::testing
