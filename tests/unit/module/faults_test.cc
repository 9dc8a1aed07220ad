// Every mistake of wiring, word for word, and all of them at once.
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "module/graph_fixture.h"

namespace rookery::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Database {};
struct Cache {};
struct Cachet {};
struct OrderRepository {
  OrderRepository(Database&, Cache&) {}
};

TEST(Faults, MissingProvider) {
  struct OrdersModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Database>().Provide<OrderRepository>();
    }
  };
  EXPECT_THAT(
      Graph<OrdersModule>().faults(),
      ElementsAre("Can't resolve OrderRepository (Database&, ?): argument 1 is Cache&, and "
                  "OrdersModule neither provides nor imports it.\n"
                  "    registered: here\n"
                  "    mend: provide Cache in OrdersModule, or import a module that exports it."));
}

TEST(Faults, MissingImport) {
  struct CacheModule {
    static void Define(ModuleBuilder& module) { module.Provide<Cache>().Export<Cache>(); }
  };
  struct OrdersModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Database>().Provide<OrderRepository>();
    }
  };
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Import<CacheModule>().Import<OrdersModule>();
    }
  };
  EXPECT_THAT(Graph<AppModule>().faults(),
              ElementsAre("Can't resolve OrderRepository (Database&, ?): argument 1 is Cache&, and "
                          "OrdersModule neither provides nor imports it.\n"
                          "    registered: here\n"
                          "    mend: CacheModule exports Cache: import CacheModule into "
                          "OrdersModule."));
}

TEST(Faults, ImportedButNotExported) {
  struct CacheModule {
    static void Define(ModuleBuilder& module) { module.Provide<Cache>(); }
  };
  struct OrdersModule {
    static void Define(ModuleBuilder& module) {
      module.Import<CacheModule>().Provide<Database>().Provide<OrderRepository>();
    }
  };
  EXPECT_THAT(Graph<OrdersModule>().faults(),
              ElementsAre("Can't resolve OrderRepository (Database&, ?): argument 1 is Cache&, and "
                          "OrdersModule neither provides nor imports it.\n"
                          "    registered: here\n"
                          "    mend: CacheModule provides Cache but does not export it: add the "
                          "export to CacheModule."));
}

TEST(Faults, NeitherImportedNorExported) {
  struct CacheModule {
    static void Define(ModuleBuilder& module) { module.Provide<Cache>(); }
  };
  struct OrdersModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Database>().Provide<OrderRepository>();
    }
  };
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Import<CacheModule>().Import<OrdersModule>();
    }
  };
  EXPECT_THAT(Graph<AppModule>().faults(),
              ElementsAre("Can't resolve OrderRepository (Database&, ?): argument 1 is Cache&, and "
                          "OrdersModule neither provides nor imports it.\n"
                          "    registered: here\n"
                          "    mend: CacheModule provides Cache but does not export it: add the "
                          "export to CacheModule, and import it into OrdersModule."));
}

TEST(Faults, DidYouMean) {
  struct OrdersModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Database>().Provide<Cachet>().Provide<OrderRepository>();
    }
  };
  EXPECT_THAT(Graph<OrdersModule>().faults(),
              ElementsAre("Can't resolve OrderRepository (Database&, ?): argument 1 is Cache&, and "
                          "OrdersModule neither provides nor imports it.\n"
                          "    registered: here\n"
                          "    did you mean Cachet, which OrdersModule sees?"));
}

// ---- tokens

inline constexpr InjectionToken<std::string> kUrl{"DATABASE_URL"};
inline constexpr InjectionToken<std::string> kOtherUrl{"DATABASE_URL"};
inline constexpr InjectionToken<Cache> kNearCache{"NEAR_CACHE"};
struct Client {
  Client(Cache*, Inject<kUrl>) {}
};

TEST(Faults, AllAtOnceAndTokensByName) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Client>()
          .ProvideValue(kOtherUrl, "postgres://x")
          .ProvideValue(kNearCache, Cache())
          .ProvideFactory([](std::shared_ptr<Cachet>, const Database&) {
            return OrderRepository(*std::make_unique<Database>(), *std::make_unique<Cache>());
          });
    }
  };
  EXPECT_THAT(
      Graph<AppModule>().faults(),
      ElementsAre(
          "Can't resolve Client (?, Inject<DATABASE_URL>): argument 0 is Cache*, and AppModule "
          "neither provides nor imports it.\n"
          "    registered: here\n"
          "    mend: NEAR_CACHE is a Cache under a named token: ask for rookery::Inject of that "
          "token.",
          "Can't resolve Client (Cache*, ?): argument 1 is Inject<DATABASE_URL>, and AppModule "
          "neither provides nor imports it.\n"
          "    registered: here\n"
          "    mend: a token named DATABASE_URL is visible, but it is another object: declare it "
          "`inline constexpr`, once, in a header.",
          "Can't resolve the factory of OrderRepository (?, Database&): argument 0 is "
          "std::shared_ptr<Cachet>, and AppModule neither provides nor imports it.\n"
          "    registered: here\n"
          "    mend: provide Cachet in AppModule, or import a module that exports it.",
          "Can't resolve the factory of OrderRepository (std::shared_ptr<Cachet>, ?): argument 1 "
          "is Database&, and AppModule neither provides nor imports it.\n"
          "    registered: here\n"
          "    mend: provide Database in AppModule, or import a module that exports it."));
}

namespace other {
struct Cache {};
}  // namespace other

TEST(Faults, NamesThatMeanTwoThingsAreWrittenOut) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Database>().Provide<other::Cache>().Provide<OrderRepository>();
    }
  };
  const auto faults = Graph<AppModule>().faults();
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_THAT(faults[0], ::testing::HasSubstr("argument 1 is rookery::testing::"));
  EXPECT_THAT(faults[0], ::testing::HasSubstr("::Cache&, and AppModule"));
}

// ---- ambiguity and duplicates

struct LeftModule {
  static void Define(ModuleBuilder& module) { module.Provide<Cache>().Export<Cache>(); }
};
struct RightModule {
  static void Define(ModuleBuilder& module) { module.Provide<Cache>().Export<Cache>(); }
};

TEST(Faults, Ambiguous) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Import<LeftModule>()
          .Import<RightModule>()
          .Provide<Database>()
          .Provide<OrderRepository>();
    }
  };
  EXPECT_THAT(Graph<AppModule>().faults(),
              ElementsAre("Can't resolve OrderRepository (Database&, ?): argument 1 is Cache&, and "
                          "AppModule sees two of them, from LeftModule and from RightModule.\n"
                          "    registered: here\n"
                          "    mend: import only the one that is meant into AppModule, or put each "
                          "under an InjectionToken of its own."));
}

TEST(Faults, NotAmbiguousWhileNobodyAsks) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Import<LeftModule>().Import<RightModule>(); }
  };
  EXPECT_THAT(Graph<AppModule>().faults(), IsEmpty());
}

TEST(Faults, Duplicate) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<Cache>().ProvideValue(Cache()); }
  };
  EXPECT_THAT(
      Graph<AppModule>().faults(),
      ElementsAre("AppModule provides Cache twice.\n"
                  "    registered: here and here\n"
                  "    mend: remove one of them, or put each under an InjectionToken of its "
                  "own."));
}

// ---- exports

TEST(Faults, UnknownExport) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Export<Cache>(); }
  };
  EXPECT_THAT(
      Graph<AppModule>().faults(),
      ElementsAre("Can't export Cache from AppModule: AppModule neither provides it nor "
                  "imports a module of that name.\n"
                  "    exported: here\n"
                  "    mend: provide Cache in AppModule, or import the module Cache there, or "
                  "do not export it."));
}

TEST(Faults, ExportOfWhatIsOnlyImported) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Import<LeftModule>().Export<Cache>(); }
  };
  EXPECT_THAT(Graph<AppModule>().faults(),
              ElementsAre("Can't export Cache from AppModule: AppModule neither provides it nor "
                          "imports a module of that name.\n"
                          "    exported: here\n"
                          "    mend: it comes from LeftModule: re-export that module: "
                          "module.Export<LeftModule>()."));
}

// ---- circles

struct Dogs;
struct Cats {
  explicit Cats(Dogs&) {}
};
struct Birds {
  Birds(Database&, Cats&) {}
};
struct Dogs {
  explicit Dogs(std::shared_ptr<Birds>) {}
};

TEST(Faults, CircleOfProviders) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Database>().Provide<Cats>().Provide<Dogs>().Provide<Birds>();
    }
  };
  EXPECT_THAT(
      Graph<AppModule>().faults(),
      ElementsAre(
          "Circular dependency: Cats -> Dogs -> Birds -> Cats.\n"
          "    Cats of AppModule (registered at here): argument 0 is Dogs&\n"
          "    Dogs of AppModule (registered at here): argument 0 is std::shared_ptr<Birds>\n"
          "    Birds of AppModule (registered at here): argument 1 is Cats&\n"
          "    mend: move what both sides need into a third provider, or let one side ask for "
          "rookery::Lazy<Cats>, which is looked up at its first use."));
}

struct Narcissus {
  explicit Narcissus(Narcissus*) {}
};

TEST(Faults, MadeOfItself) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<Narcissus>(); }
  };
  EXPECT_THAT(
      Graph<AppModule>().faults(),
      ElementsAre("Circular dependency: Narcissus -> Narcissus.\n"
                  "    Narcissus of AppModule (registered at here): argument 0 is Narcissus*\n"
                  "    mend: a provider cannot be made of itself; if another one of that type is "
                  "meant, put it under an InjectionToken of its own."));
}

TEST(Faults, CircularFactories) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.ProvideFactory([](Cachet&) { return Cache(); }).ProvideFactory([](Cache&) {
        return Cachet();
      });
    }
  };
  EXPECT_THAT(
      Graph<AppModule>().faults(),
      ElementsAre(
          "Circular dependency: Cache -> Cachet -> Cache.\n"
          "    the factory of Cache of AppModule (registered at here): argument 0 is Cachet&\n"
          "    the factory of Cachet of AppModule (registered at here): argument 0 is Cache&\n"
          "    mend: move what both sides need into a third provider, or let one side ask for "
          "rookery::Lazy<Cache>, which is looked up at its first use."));
}

TEST(Faults, CircularAliases) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.ProvideExisting<Cache, Cache>(); }
  };
  const auto faults = Graph<AppModule>().faults();
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_THAT(faults[0], ::testing::StartsWith("Circular dependency: Cache -> Cache."));
}

struct CatsModule;
struct DogsModule {
  static void Define(ModuleBuilder& module);
};
struct CatsModule {
  static void Define(ModuleBuilder& module) { module.Import<DogsModule>(); }
};
void DogsModule::Define(ModuleBuilder& module) { module.Import<CatsModule>(); }

TEST(Faults, CircleOfModules) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Import<CatsModule>(); }
  };
  EXPECT_THAT(Graph<AppModule>().faults(),
              ElementsAre("Modules import each other: CatsModule -> DogsModule -> CatsModule.\n"
                          "    the last of these imports is at here\n"
                          "    mend: move what both need into a third module that each of them "
                          "imports; or let one of these imports be "
                          "module.Import<rookery::ForwardRef<CatsModule>>()."));
}

struct MatryoshkaModule {
  static void Define(ModuleBuilder& module) {
    module.Import(DynamicModule::Of<MatryoshkaModule>());
  }
};

TEST(Faults, ADynamicModuleWithinItselfForEver) {
  EXPECT_THAT(Graph<MatryoshkaModule>().faults(),
              ElementsAre("Modules import each other: MatryoshkaModule -> ... -> "
                          "MatryoshkaModule.\n"
                          "    the last of these imports is at here\n"
                          "    mend: each time, MatryoshkaModule makes a new dynamic module of its "
                          "own class: import one that is made once."));
}

TEST(Faults, AModuleIsNoProviderOfItsInsides) {
  struct User {
    explicit User(LeftModule&) {}
  };
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Import<LeftModule>().Provide<User>(); }
  };
  EXPECT_THAT(
      Graph<AppModule>().faults(),
      ElementsAre("Can't resolve User (?): argument 0 is LeftModule&, and AppModule neither "
                  "provides nor imports it.\n"
                  "    registered: here\n"
                  "    mend: LeftModule is a module: ask for one of its providers."));
}

// Nothing is constructed while there is a fault: faults are found without it.
TEST(Faults, ManyKindsTogether) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<OrderRepository>().Provide<Narcissus>().Export<Cachet>().Provide<Narcissus>();
    }
  };
  EXPECT_EQ(Graph<AppModule>().faults().size(), 5u);
}

}  // namespace
}  // namespace rookery::testing
