// Lifecycle hooks: their order, and what happens when one fails. The orders are those of NestJS's
// own integration tests (integration/hooks/e2e).
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "app/fake_transport.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rookery/app/application.h"
#include "rookery/runtime/sleep.h"

namespace rookery::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Journal& Lines() {
  static Journal journal;
  return journal;
}

ApplicationOptions Quiet(std::shared_ptr<CapturingSink> sink = std::make_shared<CapturingSink>()) {
  ApplicationOptions options;
  options.loop_threads = 1;
  options.log.sink = std::move(sink);
  return options;
}

// All five hooks, each a line.
template <int kName>
struct Hooked {
  void OnModuleInit() { Note("init"); }
  void OnApplicationBootstrap() { Note("bootstrap"); }
  void OnModuleDestroy() { Note("destroy"); }
  void BeforeApplicationShutdown(ShutdownSignal) { Note("before shutdown"); }
  void OnApplicationShutdown(ShutdownSignal) { Note("shutdown"); }
  static void Note(const char* what) {
    Lines().Write(std::string(1, static_cast<char>(kName)) + " " + what);
  }
};
using A = Hooked<'a'>;
using B = Hooked<'b'>;
using C = Hooked<'c'>;

// Nest: lifecycle-hook-order.spec.ts
TEST(Hooks, RunInOrder) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<A>(); }
  };
  (void)Lines().Take();
  {
    auto app = Application::Create<AppModule>(Quiet());
    EXPECT_THAT(Lines().Take(), IsEmpty());  // constructed, not yet initialised
    app.Start();
    app.Close();
  }
  EXPECT_THAT(Lines().Take(),
              ElementsAre("a init", "a bootstrap", "a destroy", "a before shutdown", "a shutdown"));
}

struct CModule {
  static void Define(ModuleBuilder& module) { module.Provide<C>(); }
};
struct BModule {
  static void Define(ModuleBuilder& module) { module.Import<CModule>().Provide<B>(); }
};
struct GlobalModule {
  static void Define(ModuleBuilder& module) { module.Global().Provide<Hooked<'g'>>(); }
};

// Nest: on-module-init.spec.ts, on-app-boostrap.spec.ts, on-module-destroy.spec.ts,
// before-app-shutdown.spec.ts, on-app-shutdown.spec.ts
TEST(Hooks, DeepestModuleFirstGlobalsBeforeAllAndBackInReverse) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Import<BModule>().Import<GlobalModule>().Provide<A>();
    }
  };
  (void)Lines().Take();
  auto app = Application::Create<AppModule>(Quiet());
  app.Init();
  EXPECT_THAT(Lines().Take(), ElementsAre("g init", "c init", "b init", "a init", "g bootstrap",
                                          "c bootstrap", "b bootstrap", "a bootstrap"));
  app.Close();
  EXPECT_THAT(Lines().Take(),
              ElementsAre("a destroy", "b destroy", "c destroy", "g destroy", "a before shutdown",
                          "b before shutdown", "c before shutdown", "g before shutdown",
                          "a shutdown", "b shutdown", "c shutdown", "g shutdown"));
}

struct Dependent : Hooked<'d'> {
  explicit Dependent(A&) {}
};
struct ModuleWithHooks : Hooked<'m'> {
  explicit ModuleWithHooks(Dependent&) {}
  static void Define(ModuleBuilder& module) { module.Provide<Dependent>().Provide<A>(); }
};

TEST(Hooks, DependenciesBeforeDependentsAndTheModulesOwnClassLast) {
  (void)Lines().Take();
  auto app = Application::Create<ModuleWithHooks>(Quiet());
  app.Init();
  EXPECT_THAT(Lines().Take(), ElementsAre("a init", "d init", "m init", "a bootstrap",
                                          "d bootstrap", "m bootstrap"));
  app.Close();
  EXPECT_THAT(
      Lines().Take(),
      ElementsAre("m destroy", "d destroy", "a destroy", "m before shutdown", "d before shutdown",
                  "a before shutdown", "m shutdown", "d shutdown", "a shutdown"));
}

// ---- asynchronous ones

template <int kName, int kMillis>
struct Waits {
  Task<void> OnModuleInit() {
    co_await Sleep(std::chrono::milliseconds(kMillis));
    Lines().Write(std::string(1, static_cast<char>(kName)) + " init");
  }
  Task<absl::Status> OnModuleDestroy() {
    co_await Sleep(std::chrono::milliseconds(kMillis));
    Lines().Write(std::string(1, static_cast<char>(kName)) + " destroy");
    co_return absl::OkStatus();
  }
};

TEST(Hooks, TasksOfOneLevelRunTogetherAndAreAwaited) {
  struct Late : Hooked<'l'> {
    Late(Waits<'s', 60>&, Waits<'f', 5>&) {}
  };
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Late>().Provide<Waits<'s', 60>>().Provide<Waits<'f', 5>>();
    }
  };
  (void)Lines().Take();
  auto app = Application::Create<AppModule>(Quiet());
  app.Init();
  EXPECT_THAT(Lines().Take(), ElementsAre("f init", "s init", "l init", "l bootstrap"));
  app.Close();
  EXPECT_THAT(Lines().Take(), ElementsAre("l destroy", "f destroy", "s destroy",
                                          "l before shutdown", "l shutdown"));
}

// ---- failures

struct BadInit : Hooked<'x'> {
  static absl::Status OnModuleInit() { return absl::UnavailableError("no broker"); }
};

TEST(Hooks, AFailedInitStopsTheStartAndUndoesWhatWasDone) {
  struct FailingModule {
    static void Define(ModuleBuilder& module) { module.Import<CModule>().Provide<BadInit>(); }
  };
  (void)Lines().Take();
  auto app = Application::Create<FailingModule>(Quiet());
  const absl::Status status = app.TryStart();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("FailingModule cannot be started:\n\nOnModuleInit of BadInit of "
                        "FailingModule (registered at "));
  EXPECT_THAT(std::string(status.message()), HasSubstr(") failed: UNAVAILABLE: no broker."));
  // c was initialised, and is told to let go; x was not.
  EXPECT_THAT(Lines().Take(),
              ElementsAre("c init", "c destroy", "c before shutdown", "c shutdown"));
  EXPECT_FALSE(app.TryStart().ok());
}

struct BadShutdown {
  void OnModuleDestroy() { throw std::runtime_error("stuck"); }
  absl::Status BeforeApplicationShutdown() { return absl::InternalError("leaking"); }
  Task<void> OnApplicationShutdown(ShutdownSignal) {
    co_await Sleep(std::chrono::milliseconds(1));
    throw std::runtime_error("late");
  }
};

TEST(Hooks, AFailedShutdownHookIsLoggedAndTheOthersRun) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<BadShutdown>().Provide<A>(); }
  };
  (void)Lines().Take();
  const auto log = std::make_shared<CapturingSink>();
  auto app = Application::Create<AppModule>(Quiet(log));
  app.Init();
  (void)Lines().Take();
  app.Close();
  EXPECT_THAT(Lines().Take(), ElementsAre("a destroy", "a before shutdown", "a shutdown"));
  EXPECT_TRUE(log->Contains("OnModuleDestroy of BadShutdown of AppModule"));
  EXPECT_TRUE(log->Contains("stuck"));
  EXPECT_TRUE(log->Contains("leaking"));
  EXPECT_TRUE(log->Contains("late"));
}

struct NeverInit {
  static Task<void> OnModuleInit() { co_await Sleep(std::chrono::hours(1)); }
};

TEST(Hooks, AnInitThatNeverEndsMeetsTheDeadline) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<NeverInit>(); }
  };
  ApplicationOptions options = Quiet();
  options.startup_timeout = std::chrono::milliseconds(50);
  auto app = Application::Create<AppModule>(options);
  EXPECT_THAT(std::string(app.TryStart().message()),
              HasSubstr("OnModuleInit of NeverInit of AppModule"));
}

struct SignalHook {
  void OnApplicationShutdown(std::string_view signal) {
    Lines().Write("signal '" + std::string(signal) + "'");
  }
};

TEST(Hooks, CloseHasNoSignal) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<SignalHook>(); }
  };
  (void)Lines().Take();
  auto app = Application::Create<AppModule>(Quiet());
  app.Start();
  app.Close();
  app.Close();  // once only
  EXPECT_THAT(Lines().Take(), ElementsAre("signal ''"));
}

TEST(Hooks, NeverInitialisedNeverShutDown) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<A>(); }
  };
  (void)Lines().Take();
  {
    auto app = Application::Create<AppModule>(Quiet());
  }
  EXPECT_THAT(Lines().Take(), IsEmpty());
}

// Values and what factories return have hooks as well: they are found by the static type.
TEST(Hooks, OfValuesAndFactories) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.ProvideValue(A()).ProvideFactory([] { return std::make_unique<B>(); });
    }
  };
  (void)Lines().Take();
  auto app = Application::Create<AppModule>(Quiet());
  app.Init();
  EXPECT_THAT(Lines().Take(), ElementsAre("a init", "b init", "a bootstrap", "b bootstrap"));
}

}  // namespace
}  // namespace rookery::testing
