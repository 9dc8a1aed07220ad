// Modules that import each other, and what can be wrong with imports.
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "module/graph_fixture.h"
#include "rookery/di/lazy.h"
#include "rookery/module/dynamic_module.h"

namespace rookery::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Dog;
struct Cat {
  explicit Cat(Lazy<Dog> d) : dog(d) {}
  Lazy<Dog> dog;
};
struct Dog {
  explicit Dog(Cat& c) : cat(c) {}
  Cat& cat;
};
struct DogsModule {
  static void Define(ModuleBuilder& module);
};
struct CatsModule {
  static void Define(ModuleBuilder& module) {
    module.Import<ForwardRef<DogsModule>>().Provide<Cat>().Export<Cat>();
  }
};
void DogsModule::Define(ModuleBuilder& module) {
  module.Import<CatsModule>().Provide<Dog>().Export<Dog>();
}

// Nest: injector/e2e/circular-modules.
TEST(ForwardRef, LetsModulesImportEachOther) {
  for (const bool cats_first : {true, false}) {
    struct CatsFirst {
      static void Define(ModuleBuilder& module) {
        module.Import<CatsModule>().Import<DogsModule>();
      }
    };
    struct DogsFirst {
      static void Define(ModuleBuilder& module) {
        module.Import<DogsModule>().Import<CatsModule>();
      }
    };
    Graph<CatsFirst> a;
    Graph<DogsFirst> b;
    EXPECT_THAT(cats_first ? a.faults() : b.faults(), IsEmpty());
  }
  Graph<CatsModule> app;
  EXPECT_THAT(app.faults(), IsEmpty());
  EXPECT_THAT(app.Construct(), IsEmpty());
  EXPECT_EQ(&app.Get<Cat>()->dog->cat, app.Get<Cat>());
}

struct BothModule;
struct OneModule {
  static void Define(ModuleBuilder& module);
};
struct BothModule {
  static void Define(ModuleBuilder& module) {
    module.Import<ForwardRef<OneModule>>().Provide<Dog>().Export<Dog>().Export<OneModule>();
  }
};
void OneModule::Define(ModuleBuilder& module) {
  module.Import<ForwardRef<BothModule>>().Provide<Cat>().Export<Cat>().Export<BothModule>();
}
struct WantsBoth {
  WantsBoth(Cat&, Dog&) {}
};
TEST(ForwardRef, OnBothSidesAndReExportedBothWays) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Import<OneModule>().Provide<WantsBoth>(); }
  };
  Graph<AppModule> app;
  EXPECT_THAT(app.faults(), IsEmpty());
  EXPECT_THAT(app.Construct(), IsEmpty());
  EXPECT_NE(app.Get<WantsBoth>(), nullptr);
}

struct SelfModule {
  static void Define(ModuleBuilder& module) { module.Import<ForwardRef<SelfModule>>(); }
};
TEST(ForwardRef, OfItselfIsHarmless) { EXPECT_THAT(Graph<SelfModule>().faults(), IsEmpty()); }

struct CModule {
  static void Define(ModuleBuilder& module);
};
struct BModule {
  static void Define(ModuleBuilder& module) { module.Import<CModule>(); }
};
struct AModule {
  static void Define(ModuleBuilder& module) { module.Import<BModule>(); }
};
void CModule::Define(ModuleBuilder& module) { module.Import<AModule>(); }

TEST(ForwardRef, WithoutOneTheWholeCircleIsShown) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Import<AModule>(); }
  };
  EXPECT_THAT(Graph<AppModule>().faults(),
              ElementsAre("Modules import each other: AModule -> BModule -> CModule -> AModule.\n"
                          "    the last of these imports is at here\n"
                          "    mend: move what both need into a third module that each of them "
                          "imports; or let one of these imports be "
                          "module.Import<rookery::ForwardRef<AModule>>()."));
}

struct EmptyModule {};
TEST(DynamicModule, WithoutAModuleInIt) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      DynamicModule gone = DynamicModule::Of<EmptyModule>();
      const DynamicModule taken = std::move(gone);
      module.Import(gone).Import(taken);  // NOLINT(bugprone-use-after-move): the mistake
    }
  };
  EXPECT_THAT(Graph<AppModule>().faults(),
              ElementsAre("AppModule imports a dynamic module without a module in it.\n"
                          "    imported: here\n"
                          "    mend: the DynamicModule was moved from before it was imported: "
                          "import it first, or import a copy."));
}

}  // namespace
}  // namespace rookery::testing
