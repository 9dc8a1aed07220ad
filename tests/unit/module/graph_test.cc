// How modules see each other, and how instances are made.
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "module/graph_fixture.h"
#include "rookery/runtime/sleep.h"

namespace rookery::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

inline constexpr InjectionToken<std::string> kName{"NAME"};
inline constexpr InjectionToken<int> kLimit{"LIMIT"};

struct Database {
  int tables = 3;
};
struct Repo {
  explicit Repo(Database& d) : database(d) {}
  Database& database;
};
struct DatabaseModule {
  static void Define(ModuleBuilder& module) { module.Provide<Database>().Export<Database>(); }
};

TEST(Modules, ASharedModuleIsOneModule) {
  struct AModule {
    static void Define(ModuleBuilder& module) {
      module.Import<DatabaseModule>().Provide<Repo>().Export<Repo>();
    }
  };
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Import<AModule>().Import<DatabaseModule>(); }
  };
  Graph<AppModule> app;
  ASSERT_THAT(app.faults(), IsEmpty());
  ASSERT_THAT(app.Construct(), IsEmpty());
  EXPECT_EQ(&app.Get<Repo>()->database, app.template Get<Database>());
}

TEST(Modules, ReExportsReachThrough) {
  struct CoreModule {
    static void Define(ModuleBuilder& module) {
      module.Import<DatabaseModule>().Export<DatabaseModule>();
    }
  };
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Import<CoreModule>().Provide<Repo>(); }
  };
  EXPECT_THAT(Graph<AppModule>().faults(), IsEmpty());
}

TEST(Modules, WithoutReExportNothingReachesThrough) {
  struct CoreModule {
    static void Define(ModuleBuilder& module) { module.Import<DatabaseModule>(); }
  };
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Import<CoreModule>().Provide<Repo>(); }
  };
  EXPECT_THAT(Graph<AppModule>().faults(), SizeIs(1));
}

TEST(Modules, GlobalModulesAreSeenEverywhere) {
  struct GlobalModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Database>().Export<Database>().Global();
    }
  };
  struct FeatureModule {
    static void Define(ModuleBuilder& module) { module.Provide<Repo>(); }
  };
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Import<FeatureModule>().Import<GlobalModule>();
    }
  };
  EXPECT_THAT(Graph<AppModule>().faults(), IsEmpty());
}

// Nest 12: for-root-for-feature-resolution.
DynamicModule NameModule(const std::string& name, bool global) {
  struct Named {};
  return DynamicModule::Of<Named>().ProvideValue(kName, name).Export(kName).Global(global);
}
struct Reader {
  explicit Reader(Inject<kName> n) : name(*n) {}
  std::string name;
};
TEST(Modules, AnImportBeatsAGlobalInAnyOrder) {
  struct FirstModule {
    static void Define(ModuleBuilder& module) {
      module.Import(NameModule("global", true))
          .Import(NameModule("feature", false))
          .Provide<Reader>();
    }
  };
  struct LastModule {
    static void Define(ModuleBuilder& module) {
      module.Import(NameModule("feature", false)).Provide<Reader>();
    }
  };
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Import(NameModule("global", true)).Import<LastModule>();
    }
  };
  Graph<AppModule> app;
  ASSERT_THAT(app.faults(), IsEmpty());
  ASSERT_THAT(app.Construct(), IsEmpty());
  const auto found = app.graph.FindAnywhere(app.graph.root(), Token::Of<Reader>());
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(static_cast<Reader*>(app.container.instance(*found).get())->name, "feature");
  // An explicit import of the global one and of the other is a matter of choice, and is refused.
  EXPECT_THAT(Graph<FirstModule>().faults(), SizeIs(1));
}

// Nest: many-global-modules.spec.ts. A search that walked all of them for each argument would not
// end.
template <int N>
struct GlobalPart {
  template <int M>
  struct Service {};
  static void Define(ModuleBuilder& module) {
    module.Global().Provide<Service<N>>().template Export<Service<N>>();
    if constexpr (N > 0) module.Import<GlobalPart<N - 1>>().template Import<GlobalPart<N / 2>>();
  }
};
TEST(Modules, ManyGlobalModules) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Import<GlobalPart<120>>().ProvideFactory(
          [](GlobalPart<0>::Service<0>&, GlobalPart<60>::Service<60>&) { return Database(); });
    }
  };
  Graph<AppModule> app;
  ASSERT_THAT(app.faults(), IsEmpty());
  ASSERT_THAT(app.Construct(), IsEmpty());
  EXPECT_EQ(app.graph.modules().size(), 122u);
}

TEST(Modules, OwnProvidersComeFirst) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      Database mine;
      mine.tables = 9;
      module.Import<DatabaseModule>().ProvideValue(mine).Provide<Repo>();
    }
  };
  Graph<AppModule> app;
  ASSERT_THAT(app.Construct(), IsEmpty());
  EXPECT_EQ(app.Get<Repo>()->database.tables, 9);
}

// ---- dynamic modules

struct Counter {
  int value = 0;
};
struct CounterModule {
  static void Define(ModuleBuilder& module) { module.Provide<Database>().Export<Database>(); }
  static DynamicModule Register(int start) {
    Counter counter;
    counter.value = start;
    return DynamicModule::Of<CounterModule>().ProvideValue(counter).Export<Counter>();
  }
};
struct CounterUser {
  CounterUser(Counter& c, Database&) : counter(c) {}
  Counter& counter;
};

TEST(DynamicModules, AddToTheirClassesOwnDefinition) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Import(CounterModule::Register(5)).Provide<CounterUser>();
    }
  };
  Graph<AppModule> app;
  ASSERT_THAT(app.faults(), IsEmpty());
  ASSERT_THAT(app.Construct(), IsEmpty());
  EXPECT_EQ(app.Get<CounterUser>()->counter.value, 5);
}

TEST(DynamicModules, TheSameObjectIsOneModuleAndTwoCallsAreTwo) {
  struct AModule {
    static DynamicModule With(const DynamicModule& counter) {
      return DynamicModule::Of<AModule>()
          .Import(counter)
          .Provide<CounterUser>()
          .Export<CounterUser>();
    }
  };
  struct AppModule {
    static DynamicModule Make() {
      const DynamicModule shared = CounterModule::Register(1);
      return DynamicModule::Of<AppModule>()
          .Import(shared)
          .Import(AModule::With(shared))
          .Import(AModule::With(CounterModule::Register(2)));
    }
  };
  const DynamicModule root = AppModule::Make();
  Graph<AppModule> app(internal::ModuleImport{root.content()->type, root.content(), {}});
  ASSERT_THAT(app.faults(), IsEmpty());
  std::vector<std::string> names;
  for (const auto& module : app.graph.modules()) names.push_back(module.name);
  EXPECT_THAT(names,
              ElementsAre("CounterModule", "AModule", "CounterModule#2", "AModule#2", "AppModule"));
}

TEST(DynamicModules, TheDynamicPartWins) {
  struct BaseModule {
    static void Define(ModuleBuilder& module) { module.ProvideValue(kLimit, 1).Export(kLimit); }
    static DynamicModule With(int limit) {
      return DynamicModule::Of<BaseModule>().ProvideValue(kLimit, limit);
    }
  };
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Import(BaseModule::With(7)); }
  };
  Graph<AppModule> app;
  ASSERT_THAT(app.faults(), IsEmpty());
  ASSERT_THAT(app.Construct(), IsEmpty());
  EXPECT_EQ(*app.Get<int>(Token(kLimit)), 7);
}

// Nest: dynamic exports by object.
TEST(DynamicModules, ReExportByObjectAndByClass) {
  struct ByObject {
    static void Define(ModuleBuilder& module) {
      const DynamicModule counter = CounterModule::Register(1);
      module.Import(counter).Export(counter);
    }
  };
  struct ByClass {
    static void Define(ModuleBuilder& module) {
      module.Import(CounterModule::Register(1)).Export<CounterModule>();
    }
  };
  struct AModule {
    static void Define(ModuleBuilder& module) { module.Import<ByObject>().Provide<CounterUser>(); }
  };
  struct BModule {
    static void Define(ModuleBuilder& module) { module.Import<ByClass>().Provide<CounterUser>(); }
  };
  EXPECT_THAT(Graph<AModule>().faults(), IsEmpty());
  EXPECT_THAT(Graph<BModule>().faults(), IsEmpty());
}

// ---- kinds of provider

struct Speaker {
  virtual ~Speaker() = default;
  virtual std::string Say() const = 0;
};
struct Loud final : Speaker {
  std::string Say() const override { return "LOUD"; }
};
struct Listener {
  Listener(Speaker& s, Optional<Counter> c, Optional<Inject<kLimit>> l)
      : heard(s.Say()), counter(c.get()), limit(l.value_or(10)) {}
  std::string heard;
  Counter* counter;
  int limit;
};

TEST(Providers, InterfacesOptionalsAndDefaults) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Speaker, Loud>().Provide<Listener>();
    }
  };
  Graph<AppModule> app;
  ASSERT_THAT(app.faults(), IsEmpty());
  ASSERT_THAT(app.Construct(), IsEmpty());
  EXPECT_EQ(app.Get<Listener>()->heard, "LOUD");
  EXPECT_EQ(app.Get<Listener>()->counter, nullptr);
  EXPECT_EQ(app.Get<Listener>()->limit, 10);
}

TEST(Providers, AliasesAreTheSameInstance) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Loud>().ProvideExisting<Speaker, Loud>().Provide<Listener>();
    }
  };
  Graph<AppModule> app;
  ASSERT_THAT(app.Construct(), IsEmpty());
  EXPECT_EQ(app.Get<Speaker>(), static_cast<Speaker*>(app.Get<Loud>()));
}

// Nest: optional-factory-provider-dep.spec.ts
TEST(Providers, OptionalDependenciesOfFactories) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.ProvideFactory(
          kName, [](Optional<Database> db, Optional<Inject<kLimit>> limit) -> std::string {
            return std::string(db ? "db" : "no db") + (limit ? " limit" : " no limit");
          });
    }
  };
  Graph<AppModule> app;
  ASSERT_THAT(app.faults(), IsEmpty());
  ASSERT_THAT(app.Construct(), IsEmpty());
  EXPECT_EQ(*app.Get<std::string>(Token(kName)), "no db no limit");
}

// Optional covers a provider that is missing, not one that is broken.
struct BrokenDatabase {
  explicit BrokenDatabase(Counter&) {}
};
TEST(Providers, AnOptionalOneThatIsBrokenIsStillAFault) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<BrokenDatabase>().ProvideFactory(kLimit,
                                                      [](Optional<BrokenDatabase>) { return 1; });
    }
  };
  EXPECT_THAT(Graph<AppModule>().faults(), SizeIs(1));
}

TEST(Providers, FactoriesOfEveryKind) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.ProvideFactory(kName, [] { return "literal"; })
          .ProvideFactory(kLimit,
                          [](Inject<kName> name) -> absl::StatusOr<int> {
                            return static_cast<int>(name->size());
                          })
          .ProvideFactory<Speaker>([](Inject<kLimit>) { return std::make_unique<Loud>(); })
          .ProvideFactory([](Speaker&) -> Task<std::shared_ptr<Database>> {
            co_return std::make_shared<Database>();
          })
          .ProvideFactory([](Database& db) -> Task<absl::StatusOr<Counter>> {
            Counter counter;
            counter.value = db.tables;
            co_return counter;
          });
    }
  };
  Graph<AppModule> app;
  ASSERT_THAT(app.faults(), IsEmpty());
  ASSERT_THAT(app.Construct(), IsEmpty());
  EXPECT_EQ(*app.Get<std::string>(Token(kName)), "literal");
  EXPECT_EQ(*app.Get<int>(Token(kLimit)), 7);
  EXPECT_EQ(app.Get<Speaker>()->Say(), "LOUD");
  EXPECT_EQ(app.Get<Counter>()->value, 3);
}

TEST(Providers, AFactoryCoroutineMayTakeReferences) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.ProvideValue(kName, "kept")
          .ProvideFactory(
              [](const std::shared_ptr<Database>& db, const Inject<kName>& name) -> Task<Counter> {
                co_await Sleep(std::chrono::milliseconds(5));
                Counter counter;
                counter.value = db->tables + static_cast<int>(name->size());
                co_return counter;
              })
          .Provide<Database>();
    }
  };
  Graph<AppModule> app;
  ASSERT_THAT(app.Construct(), IsEmpty());
  EXPECT_EQ(app.Get<Counter>()->value, 7);
}

// ---- construction

std::vector<std::string>& Journal() {
  static std::vector<std::string> journal;
  return journal;
}
template <int N, class... Needs>
struct Step {
  explicit Step(Needs&...) { Journal().push_back("+" + std::to_string(N)); }
  ~Step() { Journal().push_back("-" + std::to_string(N)); }
  Step(const Step&) = delete;
};
using S1 = Step<1>;
using S2 = Step<2, S1>;
using S3 = Step<3, S1, S2>;

TEST(Construction, DependenciesFirstAndDestroyedInReverse) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<S3>().Provide<S2>().Provide<S1>(); }
  };
  Journal().clear();
  {
    Graph<AppModule> app;
    ASSERT_THAT(app.Construct(), IsEmpty());
    EXPECT_THAT(Journal(), ElementsAre("+1", "+2", "+3"));
  }
  EXPECT_THAT(Journal(), ElementsAre("+1", "+2", "+3", "-3", "-2", "-1"));
}

struct Throws {
  Throws() { throw std::runtime_error("no such table"); }
};

TEST(Construction, AFailureKeepsItsCauseAndUndoesTheRest) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<S1>().Provide<Throws>(); }
  };
  Journal().clear();
  {
    Graph<AppModule> app;
    EXPECT_THAT(
        app.Construct(),
        ElementsAre(
            "Can't construct Throws of AppModule (registered at here): std::runtime_error: no "
            "such table."));
  }
  EXPECT_THAT(Journal(), ElementsAre("+1", "-1"));
}

template <int N>
struct Slow {
  bool there = true;
};
template <int N>
Task<Slow<N>> MakeSlow() {
  co_await Sleep(std::chrono::milliseconds(200));
  co_return Slow<N>();
}

TEST(Construction, IndependentTasksRunAtTheSameTime) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      // Each waits for the other to have begun: one after the other, they would never end.
      module.ProvideFactory([]() -> Task<Slow<1>> { return MakeSlow<1>(); })
          .ProvideFactory([]() -> Task<Slow<2>> { return MakeSlow<2>(); })
          .ProvideFactory([]() -> Task<Slow<3>> { return MakeSlow<3>(); });
    }
  };
  const auto began = std::chrono::steady_clock::now();
  Graph<AppModule> app;
  ASSERT_THAT(app.Construct(), IsEmpty());
  RecordProperty("milliseconds", static_cast<int>((std::chrono::steady_clock::now() - began) /
                                                  std::chrono::milliseconds(1)));
  EXPECT_NE(app.Get<Slow<3>>(), nullptr);
}

TEST(Construction, AllFailuresOfRunningTasksAreReported) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module
          .ProvideFactory([]() -> Task<Database> {
            co_await Sleep(std::chrono::milliseconds(1));
            co_return absl::UnavailableError("no database");
          })
          .ProvideFactory([]() -> Task<Counter> {
            co_await Sleep(std::chrono::milliseconds(20));
            throw std::runtime_error("no counter");
          });
    }
  };
  EXPECT_THAT(Graph<AppModule>().Construct(),
              ElementsAre("Can't construct the factory of Database of AppModule (registered at "
                          "here): UNAVAILABLE: no database.",
                          "Can't construct the factory of Counter of AppModule (registered at "
                          "here): std::runtime_error: no counter."));
}

TEST(Construction, ATaskThatNeverEndsMeetsTheDeadline) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.ProvideFactory([]() -> Task<Database> {
        co_await Sleep(std::chrono::hours(1));
        co_return Database();
      });
    }
  };
  const auto failures = Graph<AppModule>().Construct(std::chrono::milliseconds(50));
  ASSERT_THAT(failures, SizeIs(1));
  // Either the task's own sleep heard of the deadline first, or the application did.
  EXPECT_THAT(failures[0], ::testing::HasSubstr("the factory of Database of AppModule"));
}

}  // namespace
}  // namespace rookery::testing
