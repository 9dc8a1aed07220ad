// What app.Graph() tells, and that its three renderings survive every name.
#include "rookery/app/graph.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "di/calls.h"
#include "gmock/gmock.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"
#include "rookery/di/all.h"
#include "rookery/di/lazy.h"
#include "rookery/runtime/sleep.h"

namespace rookery::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

struct Gateway {
  void OnModuleInit() {}
  void OnApplicationShutdown() {}
};
struct Ledger {
  explicit Ledger(Gateway& g) : gateway(g) {}
  Gateway& gateway;
};
struct Ticket {
  static constexpr Scope kScope = Scope::kRequest;
};
struct Pen {
  static constexpr Scope kScope = Scope::kTransient;
};
struct Slow {};
struct Clerk {
  Clerk(Pen&, Ledger&, Lazy<Gateway>, Optional<Slow>) {}
};
struct Doorman {
  bool CanActivate(ExecutionContext&) { return true; }
};
class DeskController final : public EchoBase {
 public:
  DeskController(Ticket&, Clerk&) {}
  static void Configure(ControllerBuilder& controller) { controller.UseGuard<Doorman>(); }
};
struct BaseModule {
  static void Define(ModuleBuilder& module) {
    module.Global().Provide<Gateway>().Provide<Ledger>().Export<Gateway>().Export<Ledger>();
  }
};
struct DeskModule {
  static void Define(ModuleBuilder& module) {
    module.Import<BaseModule>().Controller<DeskController>().Provide<Ticket>().Provide<Pen>();
    module.Provide<Clerk>().GlobalGuard<Doorman>();
  }
};

const GraphProvider& Find(const ApplicationGraph& graph, std::string_view name) {
  const auto it = std::find_if(graph.providers.begin(), graph.providers.end(),
                               [name](const GraphProvider& one) { return one.name == name; });
  if (it == graph.providers.end()) throw std::runtime_error("no " + std::string(name));
  return *it;
}
std::vector<std::string> Targets(const ApplicationGraph& graph, const GraphDependency& one) {
  std::vector<std::string> names;
  for (const std::size_t target : one.targets) names.push_back(graph.providers[target].name);
  return names;
}
google::protobuf::Struct Parsed(const std::string& json) {
  google::protobuf::Struct out;
  const auto status = google::protobuf::util::JsonStringToMessage(json, &out);
  EXPECT_TRUE(status.ok()) << status.ToString() << "\n" << json;
  return out;
}

TEST(ApplicationGraph, TellsModulesProvidersScopesAndWhoAsksForWhom) {
  auto app = Make<DeskModule>();
  const ApplicationGraph graph = app.Graph();
  ASSERT_THAT(graph.modules, SizeIs(2));
  EXPECT_EQ(graph.modules[0].name, "BaseModule");
  EXPECT_TRUE(graph.modules[0].global);
  EXPECT_THAT(graph.modules[0].exports, ElementsAre("Gateway", "Ledger"));
  EXPECT_EQ(graph.root, 1u);
  EXPECT_THAT(graph.modules[1].imports, ElementsAre(0u));
  EXPECT_EQ(graph.modules[1].distance, 1u);
  ASSERT_THAT(graph.modules[1].enhancers, SizeIs(1));
  EXPECT_EQ(graph.modules[1].enhancers[0].name, "Doorman");

  EXPECT_THAT(Find(graph, "Gateway").hooks,
              ElementsAre(Field(&GraphHook::name, "OnModuleInit"),
                          Field(&GraphHook::name, "OnApplicationShutdown")));
  EXPECT_THAT(Find(graph, "Gateway").where, HasSubstr("graph_test.cc:"));
  EXPECT_EQ(Find(graph, "Ticket").scope, Scope::kRequest);
  EXPECT_EQ(Find(graph, "Pen").scope, Scope::kTransient);
  const GraphProvider& clerk = Find(graph, "Clerk");
  EXPECT_EQ(clerk.scope, Scope::kSingleton);
  ASSERT_THAT(clerk.dependencies, SizeIs(4));
  EXPECT_THAT(Targets(graph, clerk.dependencies[0]), ElementsAre("Pen")) << "and not a copy of it";
  EXPECT_THAT(Targets(graph, clerk.dependencies[1]), ElementsAre("Ledger"));
  EXPECT_THAT(Targets(graph, clerk.dependencies[2]), ElementsAre("Gateway"));
  EXPECT_EQ(clerk.dependencies[2].form, "lazy");
  EXPECT_THAT(clerk.dependencies[3].targets, IsEmpty());
  EXPECT_TRUE(clerk.dependencies[3].optional);

  ASSERT_THAT(graph.controllers, SizeIs(1));
  const GraphController& desk = graph.controllers[0];
  EXPECT_EQ(graph.providers[desk.provider].name, "DeskController");
  EXPECT_EQ(graph.providers[desk.provider].role, "controller");
  EXPECT_EQ(graph.providers[desk.provider].scope, Scope::kRequest) << "as it turned out";
  EXPECT_THAT(desk.endpoints, SizeIs(6));
  ASSERT_THAT(desk.enhancers, SizeIs(1));
  EXPECT_EQ(desk.enhancers[0].kind, EnhancerKind::kGuard);
}

TEST(ApplicationGraph, TellsHowLongMakingTook) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Ledger>().Provide<Gateway>().Provide<Ticket>().ProvideFactory(
          []() -> Task<Slow> {
            co_await Sleep(std::chrono::milliseconds(20));
            co_return Slow();
          });
    }
  };
  auto app = Make<AppModule>();
  const ApplicationGraph graph = app.Graph();
  EXPECT_TRUE(Find(graph, "Ledger").took.has_value());
  EXPECT_GE(Find(graph, "Slow").took.value(), std::chrono::milliseconds(20));
  EXPECT_FALSE(Find(graph, "Ticket").took.has_value()) << "made for each call";
}

struct Sleeper {
  Task<void> OnModuleInit() { co_await Sleep(std::chrono::milliseconds(20)); }
  void OnApplicationBootstrap() {}
  void OnApplicationShutdown() {}
};
TEST(ApplicationGraph, TellsHowLongHooksTook) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<Sleeper>(); }
  };
  auto app = Make<AppModule>();
  EXPECT_FALSE(Find(app.Graph(), "Sleeper").hooks.at(0).took.has_value()) << "it has not run";
  app.Init();
  const ApplicationGraph graph = app.Graph();
  const std::vector<GraphHook>& hooks = Find(graph, "Sleeper").hooks;
  ASSERT_THAT(hooks, SizeIs(3));
  EXPECT_GE(hooks[0].took.value(), std::chrono::milliseconds(20));
  EXPECT_TRUE(hooks[1].took.has_value());
  EXPECT_FALSE(hooks[2].took.has_value());
}

TEST(ApplicationGraph, IsReadAsItWasWritten) {
  auto app = Make<DeskModule>();
  app.Init();
  const std::string json = app.Graph().ToJson();
  const absl::StatusOr<ApplicationGraph> read = ApplicationGraph::FromJson(json);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->ToJson(), json);
}

struct Step {};
struct Steps {
  explicit Steps(All<Step>) {}
};
TEST(ApplicationGraph, AllMeansEachOfThem) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.ProvideMulti<Step, Step>().ProvideMulti<Step, Step>().Provide<Steps>();
    }
  };
  auto app = Make<AppModule>();
  const ApplicationGraph graph = app.Graph();
  const GraphDependency& all = Find(graph, "Steps").dependencies.at(0);
  ASSERT_THAT(all.targets, SizeIs(2));
  EXPECT_NE(all.targets[0], all.targets[1]);
  EXPECT_EQ(all.form, "all");
}

TEST(ApplicationGraph, JsonHasItAll) {
  auto app = Make<DeskModule>();
  const auto json = Parsed(app.Graph().ToJson());
  EXPECT_EQ(json.fields().at("version").number_value(), ApplicationGraph::kVersion);
  EXPECT_EQ(json.fields().at("modules").list_value().values_size(), 2);
  const auto& modules = json.fields().at("modules").list_value();
  EXPECT_EQ(modules.values(1).struct_value().fields().at("name").string_value(), "DeskModule");
  EXPECT_EQ(json.fields().at("providers").list_value().values_size(),
            std::ssize(app.Graph().providers));
  EXPECT_EQ(json.fields().at("controllers").list_value().values_size(), 1);
}

// A token of bytes that mean something to JSON, to Mermaid, to Graphviz or to a terminal.
constexpr char kNasty[] = "a\"b\\c\n]; x[\"<b>&#35;\x1b[31m`\xff";
inline constexpr InjectionToken<std::string> kNastyToken{kNasty};
struct NastyModule {
  static void Define(ModuleBuilder& module) { module.ProvideValue(kNastyToken, std::string()); }
};

TEST(ApplicationGraph, NoNameEscapesItsQuotes) {
  auto app = Make<NastyModule>();
  const ApplicationGraph graph = app.Graph();
  const auto json = Parsed(graph.ToJson());
  EXPECT_EQ(json.fields()
                .at("providers")
                .list_value()
                .values(0)
                .struct_value()
                .fields()
                .at("name")
                .string_value(),
            "a\"b\\c\n]; x[\"<b>&#35;\x1b[31m`\xef\xbf\xbd");

  const std::string mermaid = graph.ToMermaid();
  EXPECT_THAT(mermaid, HasSubstr("p0[\"a#34;b#92;c #93;#59; x#91;#34;#60;b#62;#38;#35;35#59; "
                                 "#91;31m#96;?\"]\n"));
  const std::string dot = graph.ToDot();
  EXPECT_THAT(dot, HasSubstr("p0 [label=\"a\\\"b\\\\c ]; x[\\\"<b>&#35; [31m`?\"];\n"));
  for (const std::string& text : {mermaid, dot}) {
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
    EXPECT_THAT(text, Not(HasSubstr("\xff")));
  }
}

TEST(ApplicationGraph, DrawingsShowModulesAndArrows) {
  auto app = Make<DeskModule>();
  const ApplicationGraph graph = app.Graph();
  const std::string mermaid = graph.ToMermaid();
  EXPECT_THAT(mermaid, HasSubstr("flowchart LR\n  subgraph m0[\"BaseModule #40;global#41;\"]\n"));
  EXPECT_THAT(mermaid, HasSubstr("  m1 ==> m0\n"));
  EXPECT_THAT(mermaid, HasSubstr("([\"DeskController #40;request#41;\"])"));
  EXPECT_THAT(mermaid, HasSubstr(" -. 2 .-> p")) << "Lazy is dotted";
  const std::string dot = graph.ToDot();
  EXPECT_THAT(dot, HasSubstr("subgraph cluster_m1 {\n    label=\"DeskModule\";"));
  EXPECT_THAT(dot, HasSubstr("  m1 -> m0 [style=bold ltail=cluster_m1 lhead=cluster_m0];\n"));
  EXPECT_EQ(std::count(dot.begin(), dot.end(), '{'), std::count(dot.begin(), dot.end(), '}'));
}

TEST(ApplicationGraph, OfOneModuleIsThatAndWhatItAsksFor) {
  auto app = Make<DeskModule>();
  const std::string base = app.Graph().ToMermaid("BaseModule");
  EXPECT_THAT(base, HasSubstr("Ledger"));
  EXPECT_THAT(base, Not(HasSubstr("Clerk")));
  EXPECT_EQ(app.Graph().ToMermaid("NoSuchModule"), "flowchart LR\n");
}

class GraphFile : public ::testing::Test {
 protected:
  GraphFile() {
    folder_ = (std::filesystem::temp_directory_path() / "rookery_graph_XXXXXX").string();
    EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
  }
  ~GraphFile() override {
    ::unsetenv("ROOKERY_GRAPH");
    std::filesystem::remove_all(folder_);
  }
  // What an application leaves in a file of that name.
  std::string Written(const std::string& name) {
    const std::string file = folder_ + "/" + name;
    ::setenv("ROOKERY_GRAPH", file.c_str(), 1);
    auto app = Make<DeskModule>();
    app.Init();
    std::ifstream in(file);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }
  std::string folder_;
};

TEST_F(GraphFile, TheEnvironmentAsksForIt) {
  EXPECT_THAT(Written("graph.mmd"), HasSubstr("flowchart LR"));
  EXPECT_THAT(Written("graph.dot"), HasSubstr("digraph \"rookery\""));
  EXPECT_EQ(Parsed(Written("graph.json")).fields().at("root").number_value(), 1);
}

TEST_F(GraphFile, AFileThatCannotBeWrittenStopsNobody) {
  EXPECT_EQ(Written("no/such/folder/graph.json"), "");
}

}  // namespace
}  // namespace rookery::testing
