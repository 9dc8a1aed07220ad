#include "rookery/module/configurable_module.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "module/graph_fixture.h"
#include "rookery/di/inject.h"
#include "rookery/runtime/sleep.h"

namespace rookery::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct MailOptions {
  std::string host;
  int port = 25;
};
struct Mailer {
  explicit Mailer(const MailOptions& o) : options(o) {}
  const MailOptions& options;
};
struct MailModule : ConfigurableModule<MailModule, MailOptions> {
  static void Define(ModuleBuilder& module) { module.Provide<Mailer>().Export<Mailer>(); }
  static absl::Status CheckOptions(const MailOptions& options) {
    if (options.port > 0 && options.port < 65'536) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("MailOptions::port is ", options.port, ": give one from 1 to 65535"));
  }
};

struct Config {
  std::string host = "configured";
};
struct ConfigModule {
  static void Define(ModuleBuilder& module) { module.Provide<Config>().Export<Config>(); }
};
struct ConfigMail {
  explicit ConfigMail(Config& c) : config(c) {}
  MailOptions Create() const { return {config.host, 465}; }
  Config& config;
};
struct ConfigMailModule {
  static void Define(ModuleBuilder& module) {
    module.Import<ConfigModule>().Provide<ConfigMail>().Export<ConfigMail>();
  }
};

// An application that imports `module` alone.
struct Root {};
class Importing final {
 public:
  explicit Importing(const DynamicModule& module) : root_(DynamicModule::Of<Root>()) {
    root_.Import(module);
    graph.emplace(internal::ImportOf(root_, std::source_location::current()));
  }

 private:
  DynamicModule root_;

 public:
  std::optional<Graph<Root>> graph;
};

MailOptions OptionsOf(const DynamicModule& module) {
  Importing app(module);
  EXPECT_THAT(app.graph->faults(), IsEmpty());
  EXPECT_THAT(app.graph->Construct(), IsEmpty());
  const auto* const mailer = app.graph->Get<Mailer>();
  return mailer == nullptr ? MailOptions() : mailer->options;
}

TEST(ConfigurableModule, RegisterInjectsTheOptions) {
  const MailOptions options = OptionsOf(MailModule::Register({.host = "smtp", .port = 587}));
  EXPECT_EQ(options.host, "smtp");
  EXPECT_EQ(options.port, 587);
}

TEST(ConfigurableModule, RegisterAsyncCallsAFunctionWithWhatItAsksFor) {
  auto from_config = [](Config& config) { return MailOptions{config.host, 1}; };
  EXPECT_EQ(OptionsOf(MailModule::RegisterAsync(from_config).Import<ConfigModule>()).host,
            "configured");
}

Task<MailOptions> AskSomebody(Config& config) {
  co_await Sleep(std::chrono::milliseconds(1));
  MailOptions options{config.host + " later", 2};
  co_return options;
}

TEST(ConfigurableModule, RegisterAsyncAwaitsATask) {
  EXPECT_EQ(OptionsOf(MailModule::RegisterAsync(&AskSomebody).Import<ConfigModule>()).host,
            "configured later");
}

TEST(ConfigurableModule, RegisterAsyncTakesAClass) {
  EXPECT_EQ(
      OptionsOf(MailModule::RegisterAsync(UseClass<ConfigMail>()).Import<ConfigModule>()).port,
      465);
}

TEST(ConfigurableModule, RegisterAsyncTakesAnExistingProvider) {
  EXPECT_EQ(
      OptionsOf(MailModule::RegisterAsync(UseExisting<ConfigMail>()).Import<ConfigMailModule>())
          .port,
      465);
}

TEST(ConfigurableModule, EachCallIsAModuleOfItsOwnAndACopyIsTheSame) {
  static int made;
  made = 0;  // the test may run again in the same process
  struct Counted {
    explicit Counted(const MailOptions& o) : host(o.host) { ++made; }
    std::string host;
  };
  struct CountedModule : ConfigurableModule<CountedModule, MailOptions> {
    static void Define(ModuleBuilder& module) { module.Provide<Counted>(); }
  };
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      const DynamicModule one = CountedModule::Register({.host = "one"});
      module.Import(one).Import(one).Import(CountedModule::Register({.host = "two"}));
    }
  };
  Graph<AppModule> graph;
  EXPECT_THAT(graph.Construct(), IsEmpty());
  EXPECT_EQ(made, 2);
}

struct Reader {
  explicit Reader(Mailer& m) : mailer(m) {}
  Mailer& mailer;
};
struct ReaderModule {  // imports nothing
  static void Define(ModuleBuilder& module) { module.Provide<Reader>(); }
};

TEST(ConfigurableModule, ExtrasMakeItGlobalAndAreNotInjected) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Import(MailModule::Register({.host = "smtp"}, {.is_global = true}))
          .Import<ReaderModule>();
    }
  };
  Graph<AppModule> graph;
  EXPECT_THAT(graph.faults(), IsEmpty());
  EXPECT_EQ(graph.Get<ModuleExtras>(), nullptr);
}

struct QueueExtras : ModuleExtras {
  std::string alias;
};
inline constexpr InjectionToken<std::string> kAlias{"ALIAS"};
struct QueueModule : ConfigurableModule<QueueModule, std::string, QueueExtras> {
  static void Define(ModuleBuilder&) {}
  static void ApplyExtras(DynamicModule& module, const QueueExtras& extras) {
    module.Global(extras.is_global).ProvideValue(kAlias, extras.alias).Export(kAlias);
    module.Export(kOptions);
  }
};
struct QueueUser {
  QueueUser(Inject<QueueModule::kOptions> o, Inject<kAlias> a) : options(*o), alias(*a) {}
  std::string options;
  std::string alias;
};

TEST(ConfigurableModule, ExtrasOfItsOwnDoWhatItSays) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      QueueExtras e;
      e.alias = "work";
      module.Import(QueueModule::Register("amqp://here", e)).Provide<QueueUser>();
    }
  };
  Graph<AppModule> graph;
  EXPECT_THAT(graph.faults(), IsEmpty());
  EXPECT_THAT(graph.Construct(), IsEmpty());
  ASSERT_NE(graph.Get<QueueUser>(), nullptr);
  EXPECT_EQ(graph.Get<QueueUser>()->options, "amqp://here");
  EXPECT_EQ(graph.Get<QueueUser>()->alias, "work");
}

// Nest's setFactoryMethodName.
struct Provider {
  absl::StatusOr<MailOptions> CreateMailOptions() { return MailOptions{"named", 9}; }
};
struct NamedModule : ConfigurableModule<NamedModule, MailOptions> {
  static void Define(ModuleBuilder& module) { module.Provide<Mailer>().Export<Mailer>(); }
  template <class F>
  static auto CreateOptions(F& factory) {
    return factory.CreateMailOptions();
  }
};

TEST(ConfigurableModule, TheFactoryMethodMayHaveAnyName) {
  EXPECT_EQ(OptionsOf(NamedModule::RegisterAsync(UseClass<Provider>())).host, "named");
}

struct DatabaseOptions {
  std::string url;
};
struct TableOptions {
  std::string table;
};
struct Table {
  Table(const TableOptions& o, DatabaseOptions& d) : name(o.table), url(d.url) {}
  std::string name;
  std::string url;
};
struct DatabaseModule : ConfigurableRoot<DatabaseModule, DatabaseOptions>,
                        ConfigurableFeature<DatabaseModule, TableOptions> {};

TEST(ConfigurableModule, RootAndFeatureAreTwoPairsOfNames) {
  struct Orders {
    static void Define(ModuleBuilder& module) {
      module.Import(
          DatabaseModule::ForFeature({.table = "orders"}).Provide<Table>().Export<Table>());
    }
  };
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module
          .Import(DatabaseModule::ForRoot({.url = "pg://"}, {.is_global = true})
                      .Export<DatabaseOptions>())
          .Import<Orders>()
          .Export<Orders>();
      module.Import(DatabaseModule::ForFeatureAsync([] { return TableOptions{"users"}; })
                        .Provide<Table>()
                        .Export<Table>());
    }
  };
  Graph<AppModule> graph;
  EXPECT_THAT(graph.faults(), IsEmpty());
  EXPECT_THAT(graph.Construct(), IsEmpty());
  ASSERT_NE(graph.Get<Table>(), nullptr);
  EXPECT_EQ(graph.Get<Table>()->name, "users");
  EXPECT_EQ(graph.Get<Table>()->url, "pg://");
}

TEST(ConfigurableModule, RootAndFeatureOptionsHaveNamesOfTheirOwn) {
  EXPECT_EQ(DatabaseModule::kRootOptions.name, "DATABASE_MODULE_OPTIONS");
  EXPECT_EQ(DatabaseModule::kFeatureOptions.name, "DATABASE_MODULE_FEATURE_OPTIONS");
  struct Both {
    Both(Inject<DatabaseModule::kRootOptions>, Inject<DatabaseModule::kFeatureOptions>) {}
  };
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<Both>(); }
  };
  Graph<AppModule> graph;
  EXPECT_THAT(
      graph.faults(),
      ElementsAre(::testing::HasSubstr("mend: provide DATABASE_MODULE_OPTIONS in"),
                  ::testing::HasSubstr("mend: provide DATABASE_MODULE_FEATURE_OPTIONS in")));
}

// Checks its root's options, and leaves the features' alone.
struct CacheOptions {
  int size = 0;
};
struct RegionOptions {
  std::string name;
};
struct RegionExtras : ModuleExtras {
  bool pinned = false;
};
inline constexpr InjectionToken<bool> kPinned{"PINNED"};
struct CacheModule : ConfigurableRoot<CacheModule, CacheOptions>,
                     ConfigurableFeature<CacheModule, RegionOptions, RegionExtras> {
  static absl::Status CheckOptions(const CacheOptions& options) {
    if (options.size > 0) return absl::OkStatus();
    return absl::InvalidArgumentError("CacheOptions::size is 0: give it 1 or more");
  }
  static void ApplyExtras(DynamicModule& module, const RegionExtras& extras) {
    module.ProvideValue(kPinned, extras.pinned);
  }
  // For the classes of the root; those of a feature have a Create.
  template <class F>
  static auto CreateOptions(F& factory) -> decltype(factory.CreateCacheOptions()) {
    return factory.CreateCacheOptions();
  }
};
struct CacheSettings {
  CacheOptions CreateCacheOptions() { return {0}; }
};
struct RegionSettings {
  RegionOptions Create() { return {"eu"}; }
};
struct RegionUser {
  RegionUser(const RegionOptions& o, Inject<kPinned> p) : region(o.name), pinned(*p) {}
  std::string region;
  bool pinned;
};

TEST(ConfigurableModule, WhatAModuleSaysOfItsRootNeedNotBeSaidOfItsFeatures) {
  RegionExtras extras;
  extras.pinned = true;
  Importing feature(CacheModule::ForFeatureAsync(UseClass<RegionSettings>(), extras)
                        .Provide<RegionUser>()
                        .Export<RegionUser>());
  EXPECT_THAT(feature.graph->faults(), IsEmpty());
  EXPECT_THAT(feature.graph->Construct(), IsEmpty());
  ASSERT_NE(feature.graph->Get<RegionUser>(), nullptr);
  EXPECT_EQ(feature.graph->Get<RegionUser>()->region, "eu");
  EXPECT_TRUE(feature.graph->Get<RegionUser>()->pinned);

  Importing root(CacheModule::ForRootAsync(UseClass<CacheSettings>()));
  EXPECT_THAT(root.graph->Construct(),
              ElementsAre("Can't construct the factory of CacheOptions of CacheModule (registered "
                          "at here): INVALID_ARGUMENT: CacheOptions::size is 0: give it 1 or "
                          "more."));
}

// Options that can be moved alone, and are checked.
struct KeyOptions {
  std::unique_ptr<std::string> key;
};
struct Signer {
  explicit Signer(const KeyOptions& o) : options(o) {}
  const KeyOptions& options;
};
struct KeyModule : ConfigurableModule<KeyModule, KeyOptions> {
  static void Define(ModuleBuilder& module) { module.Provide<Signer>().Export<Signer>(); }
  static absl::Status CheckOptions(const KeyOptions& options) {
    if (options.key != nullptr) return absl::OkStatus();
    return absl::InvalidArgumentError("KeyOptions::key is null: give a key");
  }
};
Task<KeyOptions> KeyFromVault(Config& config) {
  co_await Sleep(std::chrono::milliseconds(1));
  KeyOptions options;
  options.key = std::make_unique<std::string>(config.host);
  co_return options;
}
struct KeySettings {
  absl::StatusOr<KeyOptions> Create() { return KeyOptions{std::make_unique<std::string>("c")}; }
};

TEST(ConfigurableModule, OptionsNeedNotBeCopyable) {
  const auto key = [](const DynamicModule& module) -> std::string {
    Importing app(module);
    EXPECT_THAT(app.graph->faults(), IsEmpty());
    EXPECT_THAT(app.graph->Construct(), IsEmpty());
    auto* const signer = app.graph->Get<Signer>();
    return signer == nullptr ? "nobody" : *signer->options.key;
  };
  const DynamicModule by_value =
      KeyModule::Register(KeyOptions{std::make_unique<std::string>("v")});
  EXPECT_EQ(key(by_value), "v");
  EXPECT_EQ(key(by_value), "v");  // in a second application
  EXPECT_EQ(
      key(KeyModule::RegisterAsync([] { return KeyOptions{std::make_unique<std::string>("f")}; })),
      "f");
  EXPECT_EQ(key(KeyModule::RegisterAsync(&KeyFromVault).Import<ConfigModule>()), "configured");
  EXPECT_EQ(key(KeyModule::RegisterAsync(UseClass<KeySettings>())), "c");

  Importing wrong(KeyModule::Register(KeyOptions{}));
  EXPECT_THAT(wrong.graph->Construct(),
              ElementsAre("Can't construct the factory of KeyOptions of KeyModule (registered at "
                          "here): INVALID_ARGUMENT: KeyOptions::key is null: give a key."));
}

TEST(ConfigurableModule, TheTokenIsNamedAsNestNamesIt) {
  EXPECT_EQ(MailModule::kOptions.name, "MAIL_MODULE_OPTIONS");
  struct HTTPGatewayModule : ConfigurableModule<HTTPGatewayModule, MailOptions> {};
  EXPECT_EQ(HTTPGatewayModule::kOptions.name, "HTTP_GATEWAY_MODULE_OPTIONS");
}

TEST(ConfigurableModule, WrongOptionsAreAStartUpFault) {
  Importing app(MailModule::Register({.host = "smtp", .port = 0}));
  EXPECT_THAT(app.graph->faults(), IsEmpty());
  EXPECT_THAT(app.graph->Construct(),
              ElementsAre("Can't construct the factory of MailOptions of MailModule (registered at "
                          "here): INVALID_ARGUMENT: MailOptions::port is 0: give one from 1 to "
                          "65535."));
}

TEST(ConfigurableModule, WrongOptionsOfAFactoryAreToo) {
  auto give = [](Config&) -> absl::StatusOr<MailOptions> { return MailOptions{"smtp", 70'000}; };
  Importing app(MailModule::RegisterAsync(give).Import<ConfigModule>());
  EXPECT_THAT(app.graph->Construct(),
              ElementsAre("Can't construct the factory of MailOptions of MailModule (registered at "
                          "here): INVALID_ARGUMENT: MailOptions::port is 70000: give one from 1 to "
                          "65535."));
}

TEST(ConfigurableModule, AFactoryThatFailsKeepsItsCause) {
  auto give = []() -> absl::StatusOr<MailOptions> { return absl::NotFoundError("no vault"); };
  Importing app(MailModule::RegisterAsync(give));
  EXPECT_THAT(app.graph->Construct(),
              ElementsAre("Can't construct the factory of MailOptions of MailModule (registered at "
                          "here): NOT_FOUND: no vault."));
}

TEST(ConfigurableModule, WhatAFactoryAsksForMustBeVisible) {
  auto give = [](Config&) { return MailOptions{}; };
  Importing app(MailModule::RegisterAsync(give));
  ASSERT_EQ(app.graph->faults().size(), 1u);
  EXPECT_THAT(app.graph->faults()[0],
              ::testing::HasSubstr("Can't resolve the factory of MailOptions (?): argument 0 is "
                                   "Config&, and MailModule neither provides nor imports it."));
}

}  // namespace
}  // namespace rookery::testing
