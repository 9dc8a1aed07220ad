// ModuleRef, Select, CreateContext and LazyModuleLoader: asking for providers at run time.
#include "rookery/module/module_ref.h"

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "di/calls.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "module/graph_fixture.h"
#include "rookery/di/lazy.h"
#include "rookery/module/lazy_module_loader.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/when.h"

namespace rookery::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// What `function` throws as a ResolutionError.
template <class Fn>
std::string ErrorOf(Fn&& function) {
  try {
    (void)function();
  } catch (const ResolutionError& error) {
    return WithoutPlaces(error.what());
  }
  return "nothing was thrown";
}

struct Store {
  int value = 1;
};
struct Request {
  static constexpr Scope kScope = Scope::kRequest;
  Request() : number(++made) { ++alive; }
  ~Request() { --alive; }
  const int number;
  static inline std::atomic<int> made{0};
  static inline std::atomic<int> alive{0};
};
struct OnRequest {
  OnRequest(Request& r, Store& s) : request(r), store(s) {}
  Request& request;
  Store& store;
};
struct Transient {
  static constexpr Scope kScope = Scope::kTransient;
};
struct Holder {
  explicit Holder(ModuleRef& m) : modules(m) {}
  ModuleRef& modules;
};
struct StoreModule {
  static void Define(ModuleBuilder& module) {
    module.Provide<Store>().Provide<Request>().Provide<Transient>().Export<Store>();
  }
};
struct AppModule {
  static void Define(ModuleBuilder& module) { module.Import<StoreModule>().Provide<Holder>(); }
};

TEST(ModuleRef, GetIsStrictUnlessToldOtherwise) {
  auto app = Make<AppModule>();
  const ModuleRef modules = app.Get<Holder>().modules;
  EXPECT_EQ(modules.name(), "AppModule");
  EXPECT_EQ(&modules.Get<Holder>(), &app.Get<Holder>());
  EXPECT_EQ(ErrorOf([&] { return &modules.Get<Store>(); }),
            "Can't find Store in AppModule: it does not provide it.\n"
            "    mend: StoreModule provides it: ask the ModuleRef of StoreModule, or this one with "
            "rookery::Lookup::kAnywhere.");
  EXPECT_EQ(&modules.Get<Store>(Lookup::kAnywhere), &app.Get<Store>());
}

TEST(ModuleRef, GetIsForSingletons) {
  auto app = Make<AppModule>();
  const ModuleRef modules = app.Select<StoreModule>();
  EXPECT_EQ(ErrorOf([&] { return &modules.Get<Request>(); }),
            "Request is made once per call: Get gives singletons alone.\n"
            "    mend: co_await Resolve<Request>(id), with ContextId::Current() for that of the "
            "call.");
  EXPECT_EQ(ErrorOf([&] { return &modules.Get<Transient>(); }),
            "Transient is transient: there is one for each who asks, and none to get.\n"
            "    mend: co_await Resolve<Transient>().");
  EXPECT_THROW((void)app.Get<Request>(), ApplicationError);
}

struct Unknown {};
TEST(ModuleRef, GetOfWhatIsNotThere) {
  auto app = Make<AppModule>();
  const ModuleRef modules = app.Select<StoreModule>();
  EXPECT_EQ(ErrorOf([&] { return &modules.Get<Unknown>(); }),
            "Can't find Unknown in StoreModule: it does not provide it.\n"
            "    mend: provide Unknown in StoreModule.");
  EXPECT_THAT(ErrorOf([&] { return &modules.Get<Unknown>(Lookup::kAnywhere); }),
              HasSubstr("Can't find Unknown: no module provides it."));
}

// Nest: injector/e2e/scoped-instances.
TEST(ModuleRef, ResolveSharesWithinAContext) {
  Request::made = 0;
  {
    auto app = Make<AppModule>();
    const ModuleRef modules = app.Select<StoreModule>();
    const ContextId id = ContextIdFactory::Create();
    const auto a = SyncWait(modules.Resolve<Request>(id));
    const auto b = SyncWait(modules.Resolve<Request>(id));
    EXPECT_EQ(a.get(), b.get());
    const auto c = SyncWait(modules.Resolve<Request>());
    EXPECT_NE(a.get(), c.get());
    const auto t = SyncWait(modules.Resolve<Transient>(id));
    EXPECT_EQ(t.get(), SyncWait(modules.Resolve<Transient>(id)).get());
    EXPECT_NE(t.get(), SyncWait(modules.Resolve<Transient>()).get());
    EXPECT_EQ(SyncWait(modules.Resolve<Store>()).get(), &app.Get<Store>());
    EXPECT_EQ(Request::made, 2);
  }
  EXPECT_EQ(Request::alive, 0);
}

TEST(ModuleRef, WhatIsResolvedKeepsItsDependenciesAlive) {
  auto app = Make<AppModule>();
  const ModuleRef modules = app.Select<StoreModule>();
  std::shared_ptr<OnRequest> made = SyncWait(modules.Create<OnRequest>());
  EXPECT_EQ(Request::alive, 1);
  EXPECT_EQ(&made->store, &app.Get<Store>());
  made.reset();
  EXPECT_EQ(Request::alive, 0);
}

struct NeedsUnknown {
  explicit NeedsUnknown(Unknown&) {}
};
TEST(ModuleRef, CreateSaysWhatIsMissing) {
  auto app = Make<AppModule>();
  const ModuleRef modules = app.Select<StoreModule>();
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(ErrorOf([&] { return SyncWait(modules.Create<NeedsUnknown>()); }),
              "Can't resolve NeedsUnknown (?): argument 0 is Unknown&, and StoreModule neither "
              "provides nor imports it.\n"
              "    registered: here\n"
              "    mend: provide Unknown in StoreModule, or import a module that exports it.");
  }
  EXPECT_NE(SyncWait(modules.Create<OnRequest>()), nullptr) << "nothing of it was left behind";
}

TEST(ModuleRef, CreateFromManyThreads) {
  auto app = Make<AppModule>();
  const ModuleRef modules = app.Select<StoreModule>();
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        if (SyncWait(modules.Create<OnRequest>())->store.value == 1) ++good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 800);
  EXPECT_EQ(Request::alive, 0);
}

struct Bubbled {
  explicit Bubbled(Request&) {}
};
struct Durable {
  static constexpr ScopeOptions kScope = kDurable;
};
struct Looped {
  static constexpr Scope kScope = Scope::kPerLoop;
};
// Nest: injector/e2e/introspection.
TEST(ModuleRef, IntrospectTellsTheScopeAsItTurnedOut) {
  struct ScopesModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Store>()
          .Provide<Request>()
          .Provide<Transient>()
          .Provide<Bubbled>()
          .Provide<Durable>()
          .Provide<Looped>();
    }
  };
  auto app = Make<ScopesModule>();
  const ModuleRef modules = app.Select<ScopesModule>();
  EXPECT_EQ(modules.Introspect<Store>().scope, Scope::kSingleton);
  EXPECT_EQ(modules.Introspect<Request>().scope, Scope::kRequest);
  EXPECT_FALSE(modules.Introspect<Request>().durable);
  EXPECT_EQ(modules.Introspect<Transient>().scope, Scope::kTransient);
  EXPECT_EQ(modules.Introspect<Bubbled>().scope, Scope::kRequest);
  EXPECT_EQ(modules.Introspect<Durable>().scope, Scope::kRequest);
  EXPECT_TRUE(modules.Introspect<Durable>().durable);
  EXPECT_EQ(modules.Introspect<Looped>().scope, Scope::kPerLoop);
  EXPECT_THROW((void)modules.Introspect<Unknown>(), ResolutionError);
}

TEST(ModuleRef, SelectOfWhatIsNoModule) {
  auto app = Make<AppModule>();
  struct ElsewhereModule {};
  try {
    (void)app.Select<ElsewhereModule>();
    FAIL();
  } catch (const ApplicationError& error) {
    EXPECT_EQ(std::string(error.what()),
              "Can't select ElsewhereModule: it is no module of AppModule's.\n"
              "    mend: import it somewhere.");
  }
}

// A call's own instances, by the call's id.
class ResolvingController final : public EchoBase {
 public:
  ResolvingController(ModuleRef& modules, Lazy<Request> lazy) : modules_(modules), lazy_(lazy) {}
  Task<EchoReply> Say(CallContext& call, const EchoRequest&) override {
    const ContextId id = ContextIdFactory::GetByRequest(call);
    const auto first = co_await modules_.Resolve<Request>(id);
    co_await Sleep(std::chrono::milliseconds(1));
    const auto second = co_await modules_.Resolve<Request>(ContextId::Current());
    const bool same = first == second && &lazy_.get() == first.get();
    kept = id;
    co_return Text(same ? std::to_string(first->number) : "another's");
  }
  static inline std::optional<ContextId> kept;

 private:
  ModuleRef& modules_;
  Lazy<Request> lazy_;
};
TEST(ModuleRef, ResolvesInTheCall) {
  struct CallsModule {
    static void Define(ModuleBuilder& module) {
      module.Controller<ResolvingController>().Provide<Request>();
    }
  };
  Request::made = 0;
  {
    auto app = Make<CallsModule>();
    auto client = app.Client<EchoClient>();
    EXPECT_EQ(SyncWait(client.Say(Asking())).text(), "1");
    EXPECT_EQ(SyncWait(client.Say(Asking())).text(), "2");
    const ModuleRef modules = app.Select<CallsModule>();
    // The id of a call that has ended.
    EXPECT_TRUE(Soon([&] {
      return ErrorOf(
                 [&] { return SyncWait(modules.Resolve<Request>(*ResolvingController::kept)); }) ==
             "Can't resolve Request of CallsModule (registered at here): the call that the "
             "ContextId is of has ended.";
    }));
    ResolvingController::kept.reset();
    EXPECT_TRUE(Soon([] { return Request::alive == 0; }));
  }
}

struct Worm;
struct EarlyBird {
  explicit EarlyBird(ModuleRef& modules) { (void)modules.Get<Worm>(); }
};
struct Worm {
  explicit Worm(EarlyBird&) {}
};
TEST(ModuleRef, WhatIsNotMadeYetIsSaidToBeSo) {
  struct EarlyModule {
    static void Define(ModuleBuilder& module) { module.Provide<EarlyBird>().Provide<Worm>(); }
  };
  EXPECT_THAT(WithoutPlaces(FaultsOf<EarlyModule>()),
              HasSubstr("Can't construct EarlyBird of EarlyModule (registered at here): "
                        "rookery::ResolutionError: Worm of EarlyModule (registered at here) is not "
                        "made yet.\n    mend: ask for it "
                        "later, in OnModuleInit or in a call."));
}

TEST(ModuleRef, GetsAController) {
  struct CallsModule {
    static void Define(ModuleBuilder& module) { module.Controller<EchoBaseController>(); }
    class EchoBaseController final : public EchoBase {};
  };
  auto app = Make<CallsModule>();
  EXPECT_EQ(&app.Select<CallsModule>().Get<CallsModule::EchoBaseController>(),
            &app.Get<CallsModule::EchoBaseController>());
}

// ---- standalone

struct Journal {
  static inline std::vector<std::string> entries;
};
struct Worker {
  void OnModuleInit() { Journal::entries.push_back("init"); }
  void OnApplicationBootstrap() { Journal::entries.push_back("bootstrap"); }
  void OnModuleDestroy() { Journal::entries.push_back("destroy"); }
  Task<int> Work() { co_return 42; }
};
TEST(CreateContext, IsInitialisedAndServesNobody) {
  struct WorkerModule {
    static void Define(ModuleBuilder& module) { module.Provide<Worker>(); }
  };
  Journal::entries.clear();
  {
    ApplicationContext app = Application::CreateContext<WorkerModule>(Loops());
    EXPECT_THAT(Journal::entries, ElementsAre("init", "bootstrap"));
    EXPECT_EQ(SyncWait(app.Get<Worker>().Work()), 42);
    ApplicationContext moved = std::move(app);
    EXPECT_EQ(&moved.Select<WorkerModule>().Get<Worker>(), &moved.Get<Worker>());
    moved.Close();
    EXPECT_THAT(Journal::entries, ElementsAre("init", "bootstrap", "destroy"));
  }
  EXPECT_EQ(Journal::entries.size(), 3u);
}

TEST(CreateContext, RunsUntilItIsToldToStop) {
  struct WorkerModule {
    static void Define(ModuleBuilder& module) { module.Provide<Worker>(); }
  };
  ApplicationContext app = Application::CreateContext<WorkerModule>(Loops());
  std::thread stopper([&app] { app.RequestStop(); });
  EXPECT_EQ(app.Run(), 0);
  stopper.join();
}

struct FailsAtInit {
  void OnModuleInit() { throw std::runtime_error("disk is full"); }
};
TEST(CreateContext, AHookThatThrowsKeepsItsCause) {
  struct FailingModule {
    static void Define(ModuleBuilder& module) { module.Provide<FailsAtInit>(); }
  };
  try {
    (void)Application::CreateContext<FailingModule>(Loops());
    FAIL();
  } catch (const ApplicationError& error) {
    EXPECT_THAT(WithoutPlaces(error.what()),
                HasSubstr("OnModuleInit of FailsAtInit of FailingModule (registered at here) "
                          "failed: "));
    EXPECT_THAT(std::string(error.what()), HasSubstr("disk is full"));
  }
}

// ---- loading lazily

struct Pdf {
  explicit Pdf(Store& s) : store(s) { ++made; }
  void OnModuleInit() { ++hooks; }
  void OnModuleDestroy() { ++hooks; }
  Store& store;
  static inline std::atomic<int> made{0};
  static inline std::atomic<int> hooks{0};
};
struct PdfOnRequest {
  static constexpr Scope kScope = Scope::kRequest;
  explicit PdfOnRequest(Pdf& p) : pdf(p) {}
  Pdf& pdf;
};
struct PdfModule {
  static void Define(ModuleBuilder& module) {
    module.Import<StoreModule>()
        .Provide<Pdf>()
        .Provide<PdfOnRequest>()
        .Provide<Transient>()
        .Export<Pdf>();
  }
};
struct LoaderHolder {
  explicit LoaderHolder(LazyModuleLoader& l) : loader(l) {}
  LazyModuleLoader& loader;
};
struct LoadingModule {
  static void Define(ModuleBuilder& module) {
    module.Import<StoreModule>().Provide<LoaderHolder>();
  }
};
void ResetPdf() { Pdf::made = Pdf::hooks = 0; }

// Nest: lazy-modules/e2e.
TEST(LazyModuleLoader, LoadsOnceAndSharesWhatIsThere) {
  ResetPdf();
  {
    auto app = Make<LoadingModule>();
    app.Init();
    LazyModuleLoader& loader = app.Get<LoaderHolder>().loader;
    EXPECT_EQ(Pdf::made, 0);
    const ModuleRef pdf = SyncWait(loader.Load<PdfModule>());
    EXPECT_EQ(pdf.name(), "PdfModule");
    EXPECT_EQ(&pdf.Get<Pdf>().store, &app.Get<Store>()) << "modules that are there are shared";
    const ModuleRef again = SyncWait(loader.Load<PdfModule>());
    EXPECT_EQ(&again.Get<Pdf>(), &pdf.Get<Pdf>());
    EXPECT_EQ(Pdf::made, 1);
    EXPECT_EQ(&SyncWait(pdf.Resolve<PdfOnRequest>())->pdf, &pdf.Get<Pdf>());
    EXPECT_NE(SyncWait(pdf.Resolve<Transient>()), nullptr);
  }
  EXPECT_EQ(Pdf::hooks, 0) << "as in Nest";
}

TEST(LazyModuleLoader, ConcurrentLoadsAreOne) {
  ResetPdf();
  auto app = Make<LoadingModule>();
  LazyModuleLoader& loader = app.Get<LoaderHolder>().loader;
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] { (void)SyncWait(loader.Load<PdfModule>()); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Pdf::made, 1);
}

TEST(LazyModuleLoader, ADynamicModuleIsTheObject) {
  ResetPdf();
  auto app = Make<LoadingModule>();
  LazyModuleLoader& loader = app.Get<LoaderHolder>().loader;
  const DynamicModule one = DynamicModule::Of<PdfModule>();
  const DynamicModule two = DynamicModule::Of<PdfModule>();
  const ModuleRef first = SyncWait(loader.Load(one));
  EXPECT_EQ(&SyncWait(loader.Load(one)).Get<Pdf>(), &first.Get<Pdf>());
  const ModuleRef second = SyncWait(loader.Load(two));
  EXPECT_NE(&second.Get<Pdf>(), &first.Get<Pdf>());
  EXPECT_EQ(second.name(), "PdfModule#2");
}

struct Fragile {
  Fragile() {
    if (++tries < 3) throw std::runtime_error("not today");
  }
  static inline int tries = 0;
};
struct FragileModule {
  static void Define(ModuleBuilder& module) { module.Provide<Store>().Provide<Fragile>(); }
};
TEST(LazyModuleLoader, AFailureLeavesNothingAndMayBeTriedAgain) {
  Fragile::tries = 0;
  auto app = Make<LoadingModule>();
  LazyModuleLoader& loader = app.Get<LoaderHolder>().loader;
  for (int i = 0; i < 2; ++i) {
    const std::string error =
        ErrorOf([&] { return SyncWait(loader.Load<FragileModule>()).name(); });
    EXPECT_THAT(error, HasSubstr("Can't load FragileModule:\n\nCan't construct Fragile of "
                                 "FragileModule (registered at here): "));
    EXPECT_THAT(error, HasSubstr("not today"));
  }
  const ModuleRef module = SyncWait(loader.Load<FragileModule>());
  EXPECT_EQ(module.name(), "FragileModule");
  EXPECT_NE(&module.Get<Store>(), &app.Get<Store>());
}

struct BadLazyModule {
  static void Define(ModuleBuilder& module) {
    module.Provide<NeedsUnknown>().Controller<Talker>().Global();
  }
  class Talker final : public EchoBase {};
};
TEST(LazyModuleLoader, SaysAllThatIsWrong) {
  auto app = Make<LoadingModule>();
  LazyModuleLoader& loader = app.Get<LoaderHolder>().loader;
  EXPECT_EQ(
      ErrorOf([&] { return SyncWait(loader.Load<BadLazyModule>()).name(); }),
      "Can't load BadLazyModule, 3 faults:\n\n"
      "1. Can't resolve NeedsUnknown (?): argument 0 is Unknown&, and BadLazyModule neither "
      "provides nor imports it.\n"
      "    registered: here\n"
      "    mend: provide Unknown in BadLazyModule, or import a module that exports it.\n\n"
      "2. BadLazyModule is loaded lazily, and has the controller Talker.\n"
      "    imported: here\n"
      "    mend: handlers are compiled at start-up: move the controller elsewhere, or import the "
      "module outright.\n\n"
      "3. BadLazyModule is loaded lazily, and is global.\n"
      "    imported: here\n"
      "    mend: what it exports cannot appear everywhere later: leave out Global(), or import the "
      "module outright.");
}

struct MeddlingModule {
  static void Define(ModuleBuilder& module) {
    module.Provide<Store>().ProvideFactory(
        [](ModuleRef& modules, Store&) -> absl::StatusOr<Fragile> {
          // Adds to the container while the load may yet fail.
          (void)SyncWait(modules.Create<OnSide>());
          return absl::UnavailableError("no luck");
        });
  }
  struct OnSide {};
};
TEST(LazyModuleLoader, AFailureAmidstOtherWorkLeavesNothingToBeFound) {
  auto app = Make<LoadingModule>();
  LazyModuleLoader& loader = app.Get<LoaderHolder>().loader;
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(ErrorOf([&] { return SyncWait(loader.Load<MeddlingModule>()).name(); }),
                HasSubstr("UNAVAILABLE: no luck"));
  }
  EXPECT_EQ(app.Get<Store>().value, 1);
  EXPECT_NE(SyncWait(app.Select<StoreModule>().Create<OnRequest>()), nullptr);
}

struct LoadsInFactory {
  static void Define(ModuleBuilder& module) {
    module.ProvideFactory([](LazyModuleLoader& loader) -> Task<Fragile> {
      [[maybe_unused]] const ModuleRef other = co_await loader.Load<PdfModule>();
      co_return absl::InternalError("not reached");
    });
  }
};
TEST(LazyModuleLoader, NotWhileTheApplicationIsBuilt) {
  EXPECT_THAT(FaultsOf<LoadsInFactory>(),
              HasSubstr("Can't load PdfModule while the application is being built.\n    mend: "
                        "load it later, in OnModuleInit or in a call; or import it."));
}
TEST(LazyModuleLoader, NotWhileAnotherIsLoadedByTheSameCode) {
  auto app = Make<LoadingModule>();
  LazyModuleLoader& loader = app.Get<LoaderHolder>().loader;
  EXPECT_THAT(ErrorOf([&] { return SyncWait(loader.Load<LoadsInFactory>()).name(); }),
              HasSubstr("Can't load PdfModule while another module is being loaded by the same "
                        "code.\n    mend: import it there."));
  EXPECT_EQ(SyncWait(loader.Load<PdfModule>()).name(), "PdfModule");
}

class LoadsInHook {
 public:
  explicit LoadsInHook(LazyModuleLoader& loader) : loader_(loader) {}
  Task<void> OnModuleInit() {
    const ModuleRef pdf = co_await loader_.Load<PdfModule>();
    value = pdf.Get<Pdf>().store.value;
  }
  int value = 0;

 private:
  LazyModuleLoader& loader_;
};
TEST(LazyModuleLoader, InAHook) {
  struct HookModule {
    static void Define(ModuleBuilder& module) { module.Provide<LoadsInHook>(); }
  };
  ResetPdf();
  {
    auto app = Make<HookModule>();
    app.Init();
    EXPECT_EQ(app.Get<LoadsInHook>().value, 1);
  }
  EXPECT_EQ(Pdf::hooks, 0);
}

struct SlowPart {
  int value = 0;
};
struct SlowModule {
  static void Define(ModuleBuilder& module) {
    module.ProvideFactory([]() -> Task<SlowPart> {
      co_await Sleep(std::chrono::milliseconds(5));
      co_return SlowPart{9};
    });
  }
};
class LoadingController final : public EchoBase {
 public:
  explicit LoadingController(LazyModuleLoader& loader) : loader_(loader) {}
  Task<EchoReply> Say(CallContext&, const EchoRequest&) override {
    const ModuleRef module = co_await loader_.Load<SlowModule>();
    co_return Text(std::to_string(module.Get<SlowPart>().value));
  }

 private:
  LazyModuleLoader& loader_;
};
TEST(LazyModuleLoader, InACallOnTheOnlyLoop) {
  struct CallsModule {
    static void Define(ModuleBuilder& module) { module.Controller<LoadingController>(); }
  };
  auto app = Make<CallsModule>();
  EXPECT_EQ(SyncWait(app.Client<EchoClient>().Say(Asking())).text(), "9");
}

// ---- DynamicModule::Lazy

struct ReportUser {
  explicit ReportUser(Lazy<Pdf> p) : pdf(p) {}
  Lazy<Pdf> pdf;
};
struct ReportModule {
  static void Define(ModuleBuilder& module) {
    module.Import<StoreModule>()
        .Import(DynamicModule::Lazy<PdfModule>())
        .Provide<ReportUser>()
        .Provide<LoaderHolder>();
  }
};
Task<int> UseIt(ReportUser* user) {
  const std::shared_ptr<Pdf> pdf = co_await user->pdf.Resolve();
  co_return pdf->store.value;
}
TEST(LazyImport, IsMadeWhenItIsNeeded) {
  ResetPdf();
  auto app = Make<ReportModule>();
  app.Init();
  EXPECT_EQ(Pdf::made, 0);
  ReportUser* const user = &app.Get<ReportUser>();
  EXPECT_THAT(ErrorOf([&] { return &user->pdf.get(); }),
              HasSubstr("Pdf of PdfModule (registered at here) is not made yet: its module is "
                        "loaded lazily."));
  EXPECT_EQ(SyncWait(UseIt(user)), 1);
  EXPECT_EQ(SyncWait(UseIt(user)), 1);
  EXPECT_EQ(user->pdf->store.value, 1);
  const ModuleRef module = SyncWait(app.Get<LoaderHolder>().loader.Load<PdfModule>());
  EXPECT_EQ(&module.Get<Pdf>(), &user->pdf.get());
  EXPECT_EQ(Pdf::made, 1);
  EXPECT_EQ(Pdf::hooks, 0);
}

struct BrokenModule {
  static void Define(ModuleBuilder& module) { module.Provide<NeedsUnknown>(); }
};
TEST(LazyImport, IsCheckedAtStart) {
  struct RootModule {
    static void Define(ModuleBuilder& module) {
      module.Import(DynamicModule::Lazy<BrokenModule>());
    }
  };
  EXPECT_THAT(FaultsOf<RootModule>(), HasSubstr("Can't resolve NeedsUnknown (?)"));
}

struct PdfUser {
  explicit PdfUser(Pdf& p) : pdf(p) {}
  Pdf& pdf;
};
TEST(LazyImport, WhatIsAskedForAtStartIsMadeAtStart) {
  struct RootModule {
    static void Define(ModuleBuilder& module) {
      module.Import(DynamicModule::Lazy<PdfModule>()).Provide<PdfUser>();
    }
  };
  ResetPdf();
  {
    auto app = Make<RootModule>();
    EXPECT_EQ(Pdf::made, 1);
    EXPECT_EQ(&app.Get<PdfUser>().pdf, &app.Get<Pdf>());
    app.Init();
    EXPECT_EQ(Pdf::hooks, 1);
    (void)SyncWait(app.Get<LazyModuleLoader>().Load<PdfModule>());
    EXPECT_EQ(Pdf::made, 1);
  }
  EXPECT_EQ(Pdf::hooks, 2) << "what was initialised is told to let go";
}

TEST(LazyImport, AnOutrightImportWins) {
  struct OtherModule {
    static void Define(ModuleBuilder& module) { module.Import<PdfModule>(); }
  };
  struct RootModule {
    static void Define(ModuleBuilder& module) {
      module.Import(DynamicModule::Lazy<PdfModule>()).Import<OtherModule>();
    }
  };
  ResetPdf();
  auto app = Make<RootModule>();
  EXPECT_EQ(Pdf::made, 1);
}

}  // namespace
}  // namespace rookery::testing
