#include "rookery/app/graph.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "app/application_impl.h"
#include "app/graph_names.h"
#include "rpc/utf8.h"

namespace rookery {

namespace {

using internal::kEnhancerNames;
using internal::kMethodNames;

template <class Names, class E>
std::string_view NameOf(const Names& names, E value) {
  return names[static_cast<std::size_t>(value)];
}

// ---- quoting: names of tokens are whatever users wrote

std::string JsonText(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  const bool readable = internal::IsUtf8(text);
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      absl::StrAppend(&out, "\\u00", std::string(1, kHex[byte >> 4]),
                      std::string(1, kHex[byte & 15]));
    } else if (byte >= 0x80 && !readable) {
      out += "\\ufffd";
    } else {
      out += c;
    }
  }
  out += '"';
  return out;
}

// What no renderer may take for an end of line, and no terminal for a command.
std::string Printable(std::string_view text) {
  const bool readable = internal::IsUtf8(text);
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7f ? ' ' : byte >= 0x80 && !readable ? '?' : c;
  }
  return out;
}

std::string MermaidText(std::string_view text) {
  std::string out;
  for (const char c : Printable(text)) {
    // Entities are the only escapes that Mermaid has; letters, digits and the rest are as they are.
    if (std::string_view("\"#&<>`;\\{}[]()|").find(c) == std::string_view::npos) {
      out += c;
    } else {
      absl::StrAppend(&out, "#", static_cast<int>(c), ";");
    }
  }
  return out;
}

std::string DotText(std::string_view text) {
  std::string out;
  for (const char c : Printable(text)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

// ---- JSON

template <class T, class F>
std::string JsonList(const std::vector<T>& all, F&& one) {
  std::string out = "[";
  for (std::size_t i = 0; i < all.size(); ++i)
    absl::StrAppend(&out, i == 0 ? "" : ",", one(all[i]));
  return out + "]";
}
std::string JsonNumbers(const std::vector<std::size_t>& all) {
  return JsonList(all, [](std::size_t number) { return absl::StrCat(number); });
}
std::string JsonBool(bool value) { return value ? "true" : "false"; }
std::string JsonEnhancers(const std::vector<GraphEnhancer>& all) {
  return JsonList(all, [](const GraphEnhancer& one) {
    return absl::StrCat("{\"kind\":", JsonText(NameOf(kEnhancerNames, one.kind)),
                        ",\"name\":", JsonText(one.name), "}");
  });
}

std::string JsonModule(const GraphModule& module) {
  return absl::StrCat(
      "\n{\"name\":", JsonText(module.name), ",\"global\":", JsonBool(module.global),
      ",\"dynamic\":", JsonBool(module.dynamic), ",\"deferred\":", JsonBool(module.deferred),
      ",\"distance\":", module.distance, ",\"where\":", JsonText(module.where),
      ",\"imports\":", JsonNumbers(module.imports), ",\"exports\":",
      JsonList(module.exports, [](const std::string& name) { return JsonText(name); }),
      ",\"enhancers\":", JsonEnhancers(module.enhancers), "}");
}

std::string JsonDependency(const GraphDependency& one) {
  return absl::StrCat("{\"index\":", one.index, ",\"name\":", JsonText(one.name),
                      ",\"form\":", JsonText(one.form), ",\"optional\":", JsonBool(one.optional),
                      ",\"targets\":", JsonNumbers(one.targets), "}");
}

std::string JsonTook(const std::optional<std::chrono::nanoseconds>& took) {
  return took.has_value() ? absl::StrCat(std::int64_t{took->count()}) : "null";
}

std::string JsonHook(const GraphHook& hook) {
  return absl::StrCat("{\"name\":", JsonText(hook.name), ",\"took_ns\":", JsonTook(hook.took), "}");
}

std::string JsonProvider(const GraphProvider& provider) {
  return absl::StrCat(
      "\n{\"name\":", JsonText(provider.name), ",\"type\":", JsonText(provider.type),
      ",\"module\":", provider.module.has_value() ? absl::StrCat(*provider.module) : "null",
      ",\"role\":", JsonText(provider.role), ",\"kind\":", JsonText(provider.kind),
      ",\"scope\":", JsonText(ScopeName(provider.scope)),
      ",\"durable\":", JsonBool(provider.durable), ",\"where\":", JsonText(provider.where),
      ",\"took_ns\":", JsonTook(provider.took), ",\"hooks\":", JsonList(provider.hooks, &JsonHook),
      ",\"dependencies\":", JsonList(provider.dependencies, &JsonDependency), "}");
}

std::string JsonController(const GraphController& controller) {
  const auto endpoint = [](const GraphEndpoint& one) {
    return absl::StrCat("{\"name\":", JsonText(one.name),
                        ",\"kind\":", JsonText(NameOf(kMethodNames, one.kind)), "}");
  };
  return absl::StrCat("\n{\"provider\":", controller.provider,
                      ",\"endpoints\":", JsonList(controller.endpoints, endpoint),
                      ",\"enhancers\":", JsonEnhancers(controller.enhancers), "}");
}

// ---- drawings

// What is drawn: values and the modules' own classes only where somebody asks for them.
std::vector<bool> Drawn(const ApplicationGraph& graph, std::string_view module) {
  std::vector<bool> drawn(graph.providers.size(), false);
  for (std::size_t i = 0; i < graph.providers.size(); ++i) {
    const GraphProvider& one = graph.providers[i];
    const bool here =
        one.module.has_value() && (module.empty() || graph.modules[*one.module].name == module);
    if (!here) continue;
    if (one.role != "module" || !one.dependencies.empty()) drawn[i] = true;
    for (const GraphDependency& dependency : one.dependencies) {
      for (const std::size_t target : dependency.targets) drawn[target] = true;
    }
  }
  return drawn;
}

std::string Label(const GraphProvider& provider) {
  std::string label = provider.name;
  if (provider.durable) {
    label += " (durable)";
  } else if (provider.scope != Scope::kSingleton) {
    absl::StrAppend(&label, " (", std::string(ScopeName(provider.scope)), ")");
  }
  return label;
}

std::string ModuleLabel(const GraphModule& module) {
  return absl::StrCat(module.name, module.global ? " (global)" : "",
                      module.deferred ? " (not loaded)" : "");
}

// Calls `edge` for each arrow between what is drawn: from, to, the index of the parameter, and
// whether it is looked up later.
template <class F>
void ForEachEdge(const ApplicationGraph& graph, const std::vector<bool>& drawn, F&& edge) {
  for (std::size_t i = 0; i < graph.providers.size(); ++i) {
    if (!drawn[i]) continue;
    for (const GraphDependency& one : graph.providers[i].dependencies) {
      for (const std::size_t target : one.targets) {
        if (drawn[target]) edge(i, target, one.index, one.form == "lazy" || one.form == "proxy");
      }
    }
  }
}

// By module, those without one last.
std::vector<std::vector<std::size_t>> ByModule(const ApplicationGraph& graph,
                                               const std::vector<bool>& drawn) {
  std::vector<std::vector<std::size_t>> by_module(graph.modules.size() + 1);
  for (std::size_t i = 0; i < graph.providers.size(); ++i) {
    if (drawn[i]) by_module[graph.providers[i].module.value_or(graph.modules.size())].push_back(i);
  }
  return by_module;
}

bool DrawsModule(const ApplicationGraph& graph, std::size_t index, std::string_view only,
                 const std::vector<std::vector<std::size_t>>& by_module) {
  return only.empty() || graph.modules[index].name == only || !by_module[index].empty();
}

}  // namespace

std::string ApplicationGraph::ToJson() const {
  return absl::StrCat("{\"version\":", kVersion, ",\"name\":", JsonText(name), ",\"root\":", root,
                      ",\n\"modules\":", JsonList(modules, &JsonModule),
                      ",\n\"providers\":", JsonList(providers, &JsonProvider),
                      ",\n\"controllers\":", JsonList(controllers, &JsonController),
                      ",\n\"enhancers\":", JsonEnhancers(enhancers), "}\n");
}

std::string ApplicationGraph::ToMermaid(std::string_view module) const {
  const std::vector<bool> drawn = Drawn(*this, module);
  const std::vector<std::vector<std::size_t>> by_module = ByModule(*this, drawn);
  std::string out = "flowchart LR\n";
  const auto node = [&](std::size_t i) {
    const bool controller = providers[i].role == "controller";
    absl::StrAppend(&out, "    p", i, controller ? "([\"" : "[\"", MermaidText(Label(providers[i])),
                    controller ? "\"])\n" : "\"]\n");
  };
  for (std::size_t m = 0; m < modules.size(); ++m) {
    if (!DrawsModule(*this, m, module, by_module)) continue;
    absl::StrAppend(&out, "  subgraph m", m, "[\"", MermaidText(ModuleLabel(modules[m])), "\"]\n");
    for (const std::size_t i : by_module[m]) node(i);
    out += "  end\n";
  }
  for (const std::size_t i : by_module.back()) node(i);
  for (std::size_t m = 0; m < modules.size(); ++m) {
    if (!DrawsModule(*this, m, module, by_module)) continue;
    for (const std::size_t import : modules[m].imports) {
      if (!DrawsModule(*this, import, module, by_module)) continue;
      absl::StrAppend(&out, "  m", m, " ==> m", import, "\n");
    }
  }
  ForEachEdge(*this, drawn,
              [&out](std::size_t from, std::size_t to, std::size_t index, bool later) {
                absl::StrAppend(&out, "  p", from, later ? " -. " : " -- ", index,
                                later ? " .-> p" : " --> p", to, "\n");
              });
  return out;
}

std::string ApplicationGraph::ToDot(std::string_view module) const {
  const std::vector<bool> drawn = Drawn(*this, module);
  const std::vector<std::vector<std::size_t>> by_module = ByModule(*this, drawn);
  std::string out = absl::StrCat("digraph \"", DotText(name), "\" {\n  rankdir=LR;\n",
                                 "  compound=true;\n  node [shape=box];\n");
  const auto node = [&](std::size_t i) {
    absl::StrAppend(&out, "    p", i, " [label=\"", DotText(Label(providers[i])), "\"",
                    providers[i].role == "controller" ? " style=rounded" : "", "];\n");
  };
  for (std::size_t m = 0; m < modules.size(); ++m) {
    if (!DrawsModule(*this, m, module, by_module)) continue;
    // An import is drawn between points, as Graphviz draws no edge between clusters.
    absl::StrAppend(&out, "  subgraph cluster_m", m, " {\n    label=\"",
                    DotText(ModuleLabel(modules[m])), "\";\n    m", m, " [shape=point];\n");
    for (const std::size_t i : by_module[m]) node(i);
    out += "  }\n";
  }
  for (const std::size_t i : by_module.back()) node(i);
  for (std::size_t m = 0; m < modules.size(); ++m) {
    if (!DrawsModule(*this, m, module, by_module)) continue;
    for (const std::size_t import : modules[m].imports) {
      if (!DrawsModule(*this, import, module, by_module)) continue;
      absl::StrAppend(&out, "  m", m, " -> m", import, " [style=bold ltail=cluster_m", m,
                      " lhead=cluster_m", import, "];\n");
    }
  }
  ForEachEdge(*this, drawn,
              [&out](std::size_t from, std::size_t to, std::size_t index, bool later) {
                absl::StrAppend(&out, "  p", from, " -> p", to, " [label=\"", index, "\"",
                                later ? " style=dashed" : "", "];\n");
              });
  return out + "}\n";
}

// ---- from an application

namespace internal {

namespace {

std::vector<GraphEnhancer> EnhancersOf(const EnhancerList& list, const ModuleGraph& graph) {
  std::vector<GraphEnhancer> out;
  for (const EnhancerUse& use : list.uses()) {
    out.push_back({static_cast<EnhancerKind>(use.function.index()), graph.Name(use.token)});
  }
  return out;
}

}  // namespace

ApplicationGraph ApplicationImpl::Graph() {
  const std::lock_guard<std::mutex> lock(graph_mutex_);
  ApplicationGraph out;
  out.name = options_.name;
  out.root = graph_.root();
  const auto modules = graph_.modules();

  std::map<Container::Id, std::string_view> roles;
  for (const ModuleGraph::Module& from : modules) {
    GraphModule module;
    module.name = from.name;
    module.global = from.global;
    module.dynamic = from.dynamic != nullptr;
    module.deferred = from.deferred;
    module.distance = from.distance;
    module.where = At(from.where);
    module.imports.assign(from.imports.begin(), from.imports.end());
    for (const auto& [token, id] : from.exported) module.exports.push_back(graph_.Name(token));
    for (const auto& [token, ids] : from.exported_multi) {
      module.exports.push_back(graph_.Name(token));
    }
    std::sort(module.exports.begin(), module.exports.end());
    module.exports.erase(std::unique(module.exports.begin(), module.exports.end()),
                         module.exports.end());
    out.modules.push_back(std::move(module));
    roles[from.self] = "module";
    for (const ModuleGraph::Controller& controller : from.controllers) {
      roles[controller.id] = "controller";
    }
    for (const auto& [token, id] : from.injectables) roles[id] = "enhancer";
  }

  // A transient's copies stand for it: one that is told apart by where it was registered.
  const auto same = [this](Container::Id id) {
    const ProviderSpec& spec = container_.spec(id);
    return std::tuple(container_.module(id), spec.token.identity(),
                      static_cast<const void*>(spec.type), spec.closure.get(), spec.where.line());
  };
  constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::vector<std::size_t> position(container_.size(), kNone);
  std::map<decltype(same(0)), std::size_t> originals;
  std::vector<Container::Id> shown;
  for (Container::Id id = 0; id < position.size(); ++id) {
    if (container_.copy(id) || container_.spec(id).kind == ProviderKind::kCollection) continue;
    position[id] = shown.size();
    originals.emplace(same(id), shown.size());
    shown.push_back(id);
  }
  const std::function<void(Container::Id, std::vector<std::size_t>*)> add_targets =
      [&](Container::Id id, std::vector<std::size_t>* targets) {
        if (!Container::IsNode(id)) return;
        if (container_.spec(id).kind == ProviderKind::kCollection) {
          for (const Container::Id element : container_.targets(id)) add_targets(element, targets);
        } else if (position[id] != kNone) {
          targets->push_back(position[id]);
        } else if (const auto it = originals.find(same(id)); it != originals.end()) {
          targets->push_back(it->second);
        }
      };

  for (const Container::Id id : shown) {
    const ProviderSpec& spec = container_.spec(id);
    GraphProvider provider;
    provider.name = graph_.Name(spec.token);
    provider.type = std::string(spec.type == nullptr ? spec.token.qualified_name()
                                                     : std::string_view(spec.type->name));
    if (container_.module(id) < modules.size()) provider.module = container_.module(id);
    const auto role = roles.find(id);
    provider.role = role == roles.end() ? "provider" : role->second;
    provider.kind = NameOf(kKindNames, spec.kind);
    const Introspection told = ScopeOf(id);
    provider.scope = told.scope;
    provider.durable = told.durable;
    provider.where = At(spec.where);
    provider.took = container_.took(id);
    if (spec.hooks != nullptr) {
      for (std::size_t i = 0; i < kHookPhases; ++i) {
        const auto phase = static_cast<HookPhase>(i);
        if ((*spec.hooks)[phase] == nullptr) continue;
        provider.hooks.push_back({HookName(phase), container_.hook_took(id, phase)});
      }
    }
    const std::span<const Container::Id> targets = container_.targets(id);
    for (std::size_t i = 0; i < spec.dependencies.size(); ++i) {
      const Dependency& from = spec.dependencies[i];
      GraphDependency dependency;
      dependency.index = i;
      dependency.name = graph_.Name(from.token);
      dependency.form = NameOf(kFormNames, from.form);
      dependency.optional = from.optional;
      if (i < targets.size()) add_targets(targets[i], &dependency.targets);
      provider.dependencies.push_back(std::move(dependency));
    }
    out.providers.push_back(std::move(provider));
  }

  for (const Described& from : controllers_) {
    GraphController controller;
    controller.provider = position[from.id];
    const ControllerDescription& told = from.builder.description();
    controller.enhancers = EnhancersOf(from.builder.enhancers(), graph_);
    const auto add = [&](const std::unique_ptr<MethodBuilder>& method) {
      if (method == nullptr) return;
      std::vector<GraphEnhancer> own = EnhancersOf(method->enhancers(), graph_);
      std::move(own.begin(), own.end(), std::back_inserter(controller.enhancers));
    };
    for (const auto& service : told.services) {
      for (const MethodDescriptor& method : service.descriptor->methods) {
        controller.endpoints.push_back({std::string(method.full_name), method.kind});
      }
    }
    for (const auto& method : told.methods) add(method.builder);
    for (const auto& pattern : told.patterns) {
      controller.endpoints.push_back(
          {std::string(pattern->descriptor.full_name), pattern->descriptor.kind});
      add(pattern->builder);
    }
    out.controllers.push_back(std::move(controller));
  }
  for (const ModuleEnhancers& own : module_enhancers_) {
    out.modules[own.module].enhancers = EnhancersOf(own.enhancers.enhancers(), graph_);
  }
  out.enhancers = EnhancersOf(globals_.enhancers(), graph_);
  return out;
}

void ApplicationImpl::WriteGraph() {
  const char* const file = std::getenv("ROOKERY_GRAPH");
  if (file == nullptr || *file == '\0') return;
  const ApplicationGraph graph = Graph();
  const std::string name = file;
  const std::string text = absl::EndsWith(name, ".mmd")   ? graph.ToMermaid()
                           : absl::EndsWith(name, ".dot") ? graph.ToDot()
                                                          : graph.ToJson();
  // Whoever waits for the file shall find all of it.
  const std::string partial = name + ".partial";
  std::ofstream out(partial, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  if (out.fail() || std::rename(partial.c_str(), file) != 0) {
    (void)std::remove(partial.c_str());
    log_.Warn("the graph could not be written: see ROOKERY_GRAPH", {{"file", name}});
  }
}

}  // namespace internal

ApplicationGraph ApplicationContext::Graph() const { return impl_->Graph(); }

}  // namespace rookery
