// ApplicationGraph: what an application is made of, to be looked at.
//
//   auto app = rookery::Application::Create<AppModule>();
//   std::ofstream("graph.mmd") << app.Graph().ToMermaid();
//   for (const rookery::GraphProvider& one : app.Graph().providers) Print(one.name, one.took);
//
// Without any code: `rookery graph -- ./my-service`; or ROOKERY_GRAPH=graph.mmd ./my-service, which
// writes the same when it has initialised.
// See docs/graph.md.
#ifndef ROOKERY_APP_GRAPH_H_
#define ROOKERY_APP_GRAPH_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "rookery/di/scope.h"
#include "rookery/rpc/descriptor.h"

namespace rookery {

enum class EnhancerKind : std::uint8_t { kGuard, kInterceptor, kPipe, kFilter };

// A guard, interceptor, pipe or filter where it is used.
struct GraphEnhancer {
  EnhancerKind kind = EnhancerKind::kGuard;
  std::string name;  // its class
};

// One parameter of a constructor or factory.
struct GraphDependency {
  std::size_t index = 0;  // which parameter, from 0
  std::string name;       // of the token
  // "reference", "pointer", "shared", "token", "optional", "lazy", "proxy" or "all".
  std::string_view form;
  bool optional = false;
  // What it gets: positions in ApplicationGraph::providers. Several for "all"; none for an optional
  // that nobody provides, and for what the framework hands out by itself.
  std::vector<std::size_t> targets;
};

// A lifecycle hook that a provider has.
struct GraphHook {
  std::string_view name;  // "OnModuleInit"
  // From its call until it ended, others running meanwhile; of a provider that each loop has, the
  // longest. nullopt if it has not run.
  std::optional<std::chrono::nanoseconds> took;
};

struct GraphProvider {
  std::string name;  // of its token: "OrderRepository"
  std::string type;  // of what is made, in full: "shop::SqlOrderRepository"
  // In ApplicationGraph::modules; nullopt for the framework's own.
  std::optional<std::size_t> module;
  std::string_view role;  // "provider", "controller", "enhancer" or "module": a module's own class
  std::string_view kind;  // "class", "value", "factory" or "alias"
  Scope scope = Scope::kSingleton;  // as it turned out, not as it was given
  bool durable = false;
  std::string where;  // it was registered: "orders.cc:12"
  // How long making it took, its dependencies not counted; of an asynchronous factory the time
  // until it ended. Only of singletons that have been made at start-up or by loading a module.
  std::optional<std::chrono::nanoseconds> took;
  std::vector<GraphHook> hooks;
  std::vector<GraphDependency> dependencies;
};

struct GraphModule {
  std::string name;  // "OrdersModule", "OrdersModule#2"
  bool global = false;
  bool dynamic = false;
  bool deferred = false;       // imported lazily, and not loaded so far
  std::uint32_t distance = 0;  // the longest way from the root, which has 1; global: beyond others
  std::string where;           // it was imported first
  std::vector<std::size_t> imports;      // in ApplicationGraph::modules
  std::vector<std::string> exports;      // names of tokens, its own and re-exported; sorted
  std::vector<GraphEnhancer> enhancers;  // GlobalGuard and kin
};

struct GraphEndpoint {
  std::string name;  // "/shop.v1.Orders/Place", or a pattern
  MethodKind kind = MethodKind::kUnary;
};

struct GraphController {
  std::size_t provider = 0;  // in ApplicationGraph::providers
  std::vector<GraphEndpoint> endpoints;
  std::vector<GraphEnhancer> enhancers;  // of the controller, and of its methods by themselves
};

// A copy, which outlives its application. Everything is in the order registered, modules that are
// imported before those that import them. Plain data: threads may share one that nobody changes.
//
// Do not build anything at run time upon it: ask ModuleRef for providers.
struct ApplicationGraph final {
  // Of the JSON. It changes where a reader would have to: new keys may come at any time.
  static constexpr int kVersion = 1;

  std::string name;      // ApplicationOptions::name
  std::size_t root = 0;  // in modules
  std::vector<GraphModule> modules;
  std::vector<GraphProvider> providers;
  std::vector<GraphController> controllers;
  std::vector<GraphEnhancer> enhancers;  // app.UseGlobalGuard and kin

  // docs/graph.md has the schema.
  [[nodiscard]] std::string ToJson() const;
  // What ToJson wrote, in this process or another. INVALID_ARGUMENT says what is wrong with it, and
  // where: "providers[3].scope: no scope is called 'forever'". Keys that it does not know are left
  // out.
  [[nodiscard]] static absl::StatusOr<ApplicationGraph> FromJson(std::string_view json);
  // A flowchart: a box a module, and who asks whom. `module`: only that one's providers and what
  // they ask for; empty: all.
  [[nodiscard]] std::string ToMermaid(std::string_view module = "") const;
  // The same for Graphviz.
  [[nodiscard]] std::string ToDot(std::string_view module = "") const;
};

}  // namespace rookery

#endif  // ROOKERY_APP_GRAPH_H_
