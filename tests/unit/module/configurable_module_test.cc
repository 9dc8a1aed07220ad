#include "rookery/module/configurable_module.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
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
  static int made = 0;
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
