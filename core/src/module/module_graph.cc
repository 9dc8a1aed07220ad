#include "module/module_graph.h"

#include <algorithm>
#include <exception>
#include <limits>
#include <set>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "rookery/module/lazy_module_loader.h"
#include "rookery/runtime/rpc_exception.h"

namespace rookery::internal {

std::string At(const std::source_location& where) {
  return absl::StrCat(where.file_name(), ":", where.line());
}

namespace {

// How deep modules of one class may import each other.
constexpr int kMaxNesting = 64;
constexpr std::uint32_t kBuiltinModule = static_cast<std::uint32_t>(-1);

const void* KeyOf(const ModuleImport& import) {
  return import.dynamic != nullptr ? static_cast<const void*>(import.dynamic.get()) : import.type;
}

// Levenshtein's distance, given up beyond `limit`.
std::size_t EditDistance(std::string_view a, std::string_view b, std::size_t limit) {
  if (a.size() > b.size()) std::swap(a, b);
  if (b.size() - a.size() > limit) return limit + 1;
  std::vector<std::size_t> row(a.size() + 1);
  for (std::size_t i = 0; i <= a.size(); ++i) row[i] = i;
  for (std::size_t j = 1; j <= b.size(); ++j) {
    std::size_t diagonal = row[0];
    row[0] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
      const std::size_t keep = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[i];
      row[i] = std::min({keep, row[i] + 1, row[i - 1] + 1});
    }
  }
  return row[a.size()];
}

std::string WithDetails(std::string line, const std::vector<std::string>& details) {
  for (const std::string& detail : details) absl::StrAppend(&line, "\n    ", detail);
  return line;
}

// "A", "A and B", "A, B and C"
std::string JoinNames(const std::vector<std::string>& names) {
  if (names.size() < 2) return names.empty() ? "" : names.front();
  return absl::StrCat(absl::StrJoin(names.begin(), names.end() - 1, ", "), " and ", names.back());
}

}  // namespace

// ---- scanning -------------------------------------------------------------------------------

void ModuleGraph::AddBuiltin(ProviderSpec spec) {
  const Token token = spec.token;
  builtins_[token].spec = std::move(spec);
}

void ModuleGraph::Scan(const ModuleImport& root) {
  std::vector<const Module*> path;
  root_ = Visit(root, &path).value_or(0);
  VisitForward();
  SetDistances();
}

void ModuleGraph::VisitForward() {
  for (std::size_t i = 0; i < forward_.size(); ++i) {
    const Forward next = forward_[i];
    std::vector<const Module*> path;
    const std::optional<Index> imported = Visit(next.import, &path, next.from);
    if (!imported.has_value()) continue;
    Module& from = modules_[index_.at(next.from)];
    if (std::find(from.imports.begin(), from.imports.end(), *imported) != from.imports.end()) {
      continue;
    }
    from.imports.push_back(*imported);
    from.forward.push_back(*imported);
    any_forward_ = true;
  }
  forward_.clear();
}

std::optional<ModuleGraph::Index> ModuleGraph::Visit(const ModuleImport& wanted,
                                                     std::vector<const Module*>* path,
                                                     const void* importer) {
  if (!path->empty()) importer = KeyOf({path->back()->type, path->back()->dynamic, {}});
  const ModuleImport* const substitute =
      wanted.type == nullptr ? nullptr
                             : Substitute(wanted.type->type, wanted.dynamic.get(), importer);
  const ModuleImport& import = substitute != nullptr ? *substitute : wanted;
  if (import.type == nullptr) {
    faults_.push_back(WithDetails(
        absl::StrCat(path->empty() ? std::string("An import") : path->back()->name,
                     path->empty() ? "" : " imports a dynamic module", " without a module in it."),
        {absl::StrCat("imported: ", At(import.where)),
         "mend: the DynamicModule was moved from before it was imported: import it first, or "
         "import a copy."}));
    return std::nullopt;
  }
  const void* const key = KeyOf(import);
  if (const auto it = index_.find(key); it != index_.end()) return it->second;

  Module module;
  module.type = import.type;
  module.dynamic = import.dynamic;
  module.where = import.where;
  module.name = ShortTypeName(import.type->type->name);
  if (visiting_[key]) {
    std::vector<std::string> names;
    bool inside = false;
    for (const Module* step : *path) {
      inside = inside || KeyOf({step->type, step->dynamic, {}}) == key;
      if (inside) names.push_back(step->name);
    }
    names.push_back(module.name);
    faults_.push_back(
        WithDetails(absl::StrCat("Modules import each other: ", absl::StrJoin(names, " -> "), "."),
                    {absl::StrCat("the last of these imports is at ", At(import.where)),
                     absl::StrCat("mend: move what both need into a third module that each of them "
                                  "imports; or let one of these imports be "
                                  "module.Import<rookery::ForwardRef<",
                                  ShortTypeName(import.type->type->name), ">>().")}));
    return std::nullopt;
  }
  // A Define that imports a new dynamic module of its own class would go on for ever.
  const auto same_class = std::count_if(path->begin(), path->end(), [&import](const Module* step) {
    return step->type == import.type;
  });
  if (same_class >= kMaxNesting) {
    faults_.push_back(WithDetails(
        absl::StrCat("Modules import each other: ", module.name, " -> ... -> ", module.name, "."),
        {absl::StrCat("the last of these imports is at ", At(import.where)),
         absl::StrCat(
             "mend: each time, ", module.name,
             " makes a new dynamic module of its own class: import one that is made once.")}));
    return std::nullopt;
  }
  visiting_[key] = true;

  ModuleDefinition definition;
  if (import.type->define != nullptr) {
    ModuleBuilder builder(&definition);
    import.type->define(builder);
  }
  std::vector<ProviderSpec> dynamic_providers;
  const int count = ++count_[import.type];
  if (count > 1) absl::StrAppend(&module.name, "#", count);
  if (import.dynamic != nullptr) {
    const ModuleDefinition& more = import.dynamic->definition;
    const auto append = [](auto* to, const auto& from) {
      to->insert(to->end(), from.begin(), from.end());
    };
    append(&definition.imports, more.imports);
    append(&definition.exports, more.exports);
    append(&definition.controllers, more.controllers);
    append(&definition.enhancers, more.enhancers);
    dynamic_providers = more.providers;
    definition.global = definition.global || more.global;
  }
  module.global = definition.global;
  module.exports = std::move(definition.exports);
  module.enhancers = std::move(definition.enhancers);

  path->push_back(&module);
  for (const ModuleImport& next : definition.imports) {
    if (next.forward) {
      forward_.push_back({key, next});
      continue;
    }
    const std::optional<Index> imported = Visit(next, path);
    if (!imported.has_value()) continue;
    const bool known =
        std::find(module.imports.begin(), module.imports.end(), *imported) != module.imports.end();
    if (!known) module.imports.push_back(*imported);
    if (next.lazy) {
      if (!known) module.lazy.push_back(*imported);
      any_lazy_ = true;
    } else {
      std::erase(module.lazy, *imported);
    }
  }
  path->pop_back();
  visiting_[key] = false;

  const auto index = static_cast<Index>(modules_.size());
  index_[key] = index;
  modules_.push_back(std::move(module));
  AddProviders(index, std::move(definition.providers), std::move(dynamic_providers));
  for (ControllerSpec& controller : definition.controllers) {
    const auto& all = modules_[index].controllers;
    const auto twin = std::find_if(all.begin(), all.end(), [&](const Controller& other) {
      return container_->spec(other.id).token == controller.provider.token;
    });
    if (twin != all.end()) {
      faults_.push_back(
          WithDetails(absl::StrCat(modules_[index].name, " has the controller ",
                                   Name(controller.provider.token), " twice."),
                      {absl::StrCat("registered: ", At(container_->spec(twin->id).where), " and ",
                                    At(controller.provider.where)),
                       "mend: remove one of them."}));
      continue;
    }
    const Id id = container_->Add(std::move(controller.provider), index);
    modules_[index].controllers.push_back({id, controller.describe});
  }
  modules_[index].self = container_->Add(import.type->self(), index);
  container_->Pin(modules_[index].self);
  ProviderSpec& self = container_->spec(modules_[index].self);
  self.where = modules_[index].where;
  modules_[index].by_token.try_emplace(self.token, modules_[index].self);
  return index;
}

void ModuleGraph::AddProviders(Index index, std::vector<ProviderSpec> statics,
                               std::vector<ProviderSpec> dynamics) {
  Module& module = modules_[index];
  absl::flat_hash_set<Token> overridden;
  for (const ProviderSpec& spec : dynamics) {
    if (!spec.multi) overridden.insert(spec.token);
  }
  const auto add = [&](ProviderSpec& spec) {
    if (spec.multi) {
      const Token token = spec.token;
      const Id id = container_->Add(std::move(spec), index);
      module.multi[token].push_back(id);
      module.providers.push_back(id);
      return;
    }
    const auto it = module.by_token.find(spec.token);
    if (it != module.by_token.end()) {
      faults_.push_back(WithDetails(
          absl::StrCat(module.name, " provides ", Name(spec.token), " twice."),
          {absl::StrCat("registered: ", At(container_->spec(it->second).where), " and ",
                        At(spec.where)),
           absl::StrCat(
               "mend: remove one of them, or put each under an InjectionToken of its own.")}));
      return;
    }
    const Token token = spec.token;
    const Id id = container_->Add(std::move(spec), index);
    module.by_token.emplace(token, id);
    module.providers.push_back(id);
  };
  for (ProviderSpec& spec : statics) {
    if (spec.multi || !overridden.contains(spec.token)) add(spec);
  }
  for (ProviderSpec& spec : dynamics) add(spec);
}

void ModuleGraph::SetDistances() {
  if (modules_.empty()) return;
  // Importers stand behind what they import (but for forward references, which close circles and
  // count only where nothing else leads to a module), so one pass from the back sees the longest
  // way.
  const auto spread = [this] {
    for (std::size_t i = modules_.size(); i-- > 0;) {
      const Module& module = modules_[i];
      if (module.distance == 0) continue;
      for (const Index import : module.imports) {
        if (import > i || std::find(module.forward.begin(), module.forward.end(), import) !=
                              module.forward.end()) {
          continue;
        }
        modules_[import].distance = std::max(modules_[import].distance, module.distance + 1);
      }
    }
  };
  modules_[root_].distance = 1;
  spread();
  for (bool moved = any_forward_; moved;) {
    moved = false;
    for (const Module& module : modules_) {
      if (module.distance == 0) continue;
      for (const Index import : module.forward) {
        if (modules_[import].distance != 0) continue;
        modules_[import].distance = module.distance + 1;
        moved = true;
      }
    }
    if (moved) spread();
  }
  std::uint32_t deepest = 1;
  for (const Module& module : modules_) deepest = std::max(deepest, module.distance);
  // Global modules come before all others, and what they import before them.
  for (Module& module : modules_) {
    if (module.global) module.distance = std::max(module.distance, deepest + 1);
  }
  spread();
}

void ModuleGraph::MarkDeferred() {
  if (!any_lazy_) return;
  std::vector<bool> eager(modules_.size(), false);
  std::vector<Index> open = {root_};
  eager[root_] = true;
  while (!open.empty()) {
    const Module& module = modules_[open.back()];
    open.pop_back();
    for (const Index import : module.imports) {
      if (eager[import] ||
          std::find(module.lazy.begin(), module.lazy.end(), import) != module.lazy.end()) {
        continue;
      }
      eager[import] = true;
      open.push_back(import);
    }
  }
  for (Index i = 0; i < modules_.size(); ++i) modules_[i].deferred = !eager[i];
  for (Id id = 0; id < container_->size(); ++id) {
    const std::uint32_t module = container_->module(id);
    if (module != kBuiltinModule && modules_[module].deferred) container_->Defer(id);
  }
}

void ModuleGraph::AddInjectable(Index module, const ProviderSpec& spec) {
  Module& owner = modules_[module];
  if (owner.injectables.contains(spec.token) || owner.by_token.contains(spec.token)) return;
  owner.injectables.emplace(spec.token, container_->Add(spec, module));
}

// ---- overriding -----------------------------------------------------------------------------

void ModuleGraph::SetOverrides(GraphOverrides overrides) {
  overrides_ = std::move(overrides);
  module_override_used_.assign(overrides_.modules.size(), false);
  provider_override_used_.assign(overrides_.providers.size(), false);
  // Overrides of what takes the place of another are followed, so none may lead back to itself.
  std::vector<ModuleOverride>& all = overrides_.modules;
  for (const ModuleOverride& start : all) {
    std::vector<std::string> names = {ShortTypeName(start.type->name)};
    const ModuleOverride* at = &start;
    for (std::size_t steps = 0; at != nullptr && at->with.type != nullptr; ++steps) {
      names.push_back(ShortTypeName(at->with.type->type->name));
      if (steps > all.size()) break;
      const ModuleOverride* const from = at;
      at = nullptr;
      for (const ModuleOverride& next : all) {
        const bool same = next.dynamic != nullptr ? next.dynamic == from->with.dynamic
                                                  : next.type == from->with.type->type;
        if (same && KeyOf(next.with) != KeyOf(from->with)) at = &next;
      }
    }
    if (at == nullptr || at->with.type == nullptr) continue;
    names.resize(std::min<std::size_t>(names.size(), all.size() + 1));
    faults_.push_back(WithDetails(
        absl::StrCat("Modules are overridden in a circle: ", absl::StrJoin(names, " -> "), "."),
        {absl::StrCat("overridden: ", At(start.where)),
         "mend: leave out one of these OverrideModule."}));
    all.clear();
    return;
  }
}

const ModuleImport* ModuleGraph::Substitute(const TypeTag* type, const DynamicContent* dynamic,
                                            const void* importer) {
  const ModuleImport* found = nullptr;
  for (bool again = !overrides_.modules.empty(); again;) {
    again = false;
    for (std::size_t i = 0; i < overrides_.modules.size(); ++i) {
      const ModuleOverride& one = overrides_.modules[i];
      const bool meant = one.dynamic != nullptr ? one.dynamic.get() == dynamic : one.type == type;
      if (!meant) continue;
      const void* const key = one.with.type == nullptr ? nullptr : KeyOf(one.with);
      const void* const present =
          found != nullptr ? KeyOf(*found) : static_cast<const void*>(dynamic);
      // The replacement itself, and what it imports, are as they are written.
      if (key != nullptr && (key == present || key == importer)) continue;
      module_override_used_[i] = true;
      found = &one.with;
      if (found->type == nullptr) return found;
      type = found->type->type;
      dynamic = found->dynamic.get();
      again = true;
      break;
    }
  }
  return found;
}

bool ModuleGraph::Override(const ProviderSpec& spec, Id first) {
  bool found = false;
  bool multi = false;
  if (const auto it = builtins_.find(spec.token); it != builtins_.end() && !it->second.mock) {
    it->second.spec = spec;
    found = true;
  }
  for (Id id = first; id < container_->size(); ++id) {
    ProviderSpec& old = container_->spec(id);
    if (!(old.token == spec.token)) continue;
    const std::uint32_t module = container_->module(id);
    if (module != kBuiltinModule) {
      const Module& owner = modules_[module];
      if (id == owner.self || std::any_of(owner.controllers.begin(), owner.controllers.end(),
                                          [id](const Controller& c) { return c.id == id; })) {
        continue;
      }
    }
    if (old.multi) {
      // One takes the place of all.
      if (std::exchange(multi, true)) {
        container_->Defer(id);
        for (Module& owner : modules_) {
          for (auto& [token, ids] : owner.multi) std::erase(ids, id);
        }
        continue;
      }
      ProviderSpec one = spec;
      one.multi = true;
      container_->Replace(id, std::move(one));
    } else {
      container_->Replace(id, spec);
    }
    found = true;
  }
  return found;
}

void ModuleGraph::ApplyOverrides(Id first) {
  for (std::size_t i = 0; i < overrides_.providers.size(); ++i) {
    if (Override(overrides_.providers[i], first)) provider_override_used_[i] = true;
  }
}

void ModuleGraph::ReportUnused() {
  // What is loaded later is not seen yet.
  const auto loader = builtins_.find(Token::Of<LazyModuleLoader>());
  const bool more_to_come = loader != builtins_.end() && loader->second.id != Container::kAbsent;
  for (std::size_t i = 0; i < overrides_.modules.size() && !more_to_come; ++i) {
    if (module_override_used_[i]) continue;
    const ModuleOverride& unused = overrides_.modules[i];
    const std::string name = ShortTypeName(unused.type->name);
    std::vector<std::string> details = {absl::StrCat("overridden: ", At(unused.where))};
    if (unused.dynamic != nullptr) {
      details.push_back(absl::StrCat(
          "mend: keep the DynamicModule that is imported in a variable, and override that one; or "
          "OverrideModule<",
          name, ">(), which means every module of that class."));
    } else {
      details.push_back(absl::StrCat(
          "mend: leave it out; or, if it is loaded later, import rookery::DynamicModule::Lazy<",
          name, ">() somewhere."));
    }
    faults_.push_back(WithDetails(absl::StrCat("Can't override ", name, ": no module imports ",
                                               unused.dynamic != nullptr ? "this object." : "it."),
                                  details));
  }
  for (std::size_t i = 0; i < overrides_.providers.size() && !more_to_come; ++i) {
    if (provider_override_used_[i]) continue;
    const ProviderSpec& spec = overrides_.providers[i];
    std::vector<std::string> details = {absl::StrCat("overridden: ", At(spec.where))};
    for (std::string& mend : Mends(root_, spec.token)) details.push_back(std::move(mend));
    details.push_back(
        absl::StrCat("or: say Mock of ", Name(spec.token), ", which is for what nobody provides."));
    faults_.push_back(WithDetails(
        absl::StrCat("Can't override ", Name(spec.token), ": no module provides it."), details));
  }
  for (const ProviderSpec& spec : overrides_.mocks) {
    if (mocked_.contains(spec.token)) continue;
    for (const Module& module : modules_) {
      const auto own = module.by_token.find(spec.token);
      if (own == module.by_token.end()) continue;
      const std::string name = Name(spec.token);
      faults_.push_back(WithDetails(
          absl::StrCat("Mock of ", name, " is not used: ", module.name,
                       " provides one, and nobody "
                       "is without it."),
          {absl::StrCat("mocked: ", At(spec.where)),
           absl::StrCat("mend: say OverrideProvider of ", name, " instead, or leave it out.")}));
      break;
    }
  }
}

bool ModuleGraph::Mock(const Token& token, std::vector<std::string>* faults) {
  if (overrides_.mocks.empty() && !overrides_.mocker) return false;
  if (const auto it = mocked_.find(token); it != mocked_.end()) return it->second;
  mocked_[token] = false;
  std::vector<ProviderSpec> specs;
  for (const ProviderSpec& spec : overrides_.mocks) {
    if (spec.token == token) specs = {spec};
  }
  if (specs.empty() && overrides_.mocker) {
    try {
      specs = overrides_.mocker(token);
    } catch (...) {
      faults->push_back(absl::StrCat("UseMocker failed when it was asked for ", Name(token), ": ",
                                     Cause(StatusFromException(std::current_exception())), "."));
      return false;
    }
  }
  for (ProviderSpec& spec : specs) {
    mocked_[spec.token] = true;
    const Token own = spec.token;
    builtins_.try_emplace(own, Builtin{std::move(spec), Container::kAbsent, true});
  }
  return mocked_[token];
}

// ---- resolving ------------------------------------------------------------------------------

void ModuleGraph::Resolve() {
  names_.clear();
  ApplyOverrides(0);
  CollectExports(0);
  for (Id id = 0; id < container_->size(); ++id) ResolveNode(id, &faults_);
  ReportUnused();
  MarkDeferred();
  for (const Module& module : modules_) {
    if (module.deferred) CheckLazy(module, &faults_);
  }
  if (ReportCycles(&faults_)) FinishScopes(0, &faults_);
}

void ModuleGraph::CheckLazy(const Module& module, std::vector<std::string>* faults) const {
  const auto report = [&](std::string_view what, std::string_view why) {
    faults->push_back(WithDetails(
        absl::StrCat(module.name, " is loaded lazily, and ", std::string(what), "."),
        {absl::StrCat("imported: ", At(module.where)),
         absl::StrCat("mend: ", std::string(why), ", or import the module outright.")}));
  };
  if (!module.controllers.empty()) {
    report(absl::StrCat("has the controller ",
                        Name(container_->spec(module.controllers.front().id).token)),
           "handlers are compiled at start-up: move the controller elsewhere");
  }
  if (!module.enhancers.empty()) {
    report("names a global enhancer", "handlers are compiled at start-up: name it elsewhere");
  }
  if (module.global) {
    report("is global", "what it exports cannot appear everywhere later: leave out Global()");
  }
}

void ModuleGraph::CollectExports(Index first) {
  // What passes through a circle of re-exports takes as many rounds as the circle is long.
  if (any_forward_) {
    const auto count = [this] {
      std::size_t all = 0;
      for (const Module& module : modules_) {
        all += module.exported.size();
        for (const auto& [token, ids] : module.exported_multi) all += ids.size();
      }
      return all;
    };
    for (std::size_t before = 0, after = 1; before != after;) {
      before = after;
      for (Index index = first; index < modules_.size(); ++index) {
        CollectExportsOf(index, nullptr);
      }
      after = 1 + count();
    }
  }
  for (Index index = first; index < modules_.size(); ++index) {
    CollectExportsOf(index, &faults_);
    const Module& module = modules_[index];
    if (!module.global) continue;
    for (const auto& [token, id] : module.exported) {
      Candidates& known = globals_[token];
      if (known.id == Container::kAbsent) {
        known.id = id;
        known.from = index;
      } else if (known.id != id && !known.other.has_value()) {
        known.other = index;
      }
    }
    for (const auto& [token, ids] : module.exported_multi) {
      std::vector<Id>& all = globals_multi_[token];
      for (const Id id : ids) {
        if (std::find(all.begin(), all.end(), id) == all.end()) all.push_back(id);
      }
    }
  }
}

void ModuleGraph::CollectExportsOf(Index index, std::vector<std::string>* faults) {
  Module& module = modules_[index];
  const auto add_multi = [&module](const Token& token, const std::vector<Id>& ids) {
    std::vector<Id>& all = module.exported_multi[token];
    for (const Id id : ids) {
      if (std::find(all.begin(), all.end(), id) == all.end()) all.push_back(id);
    }
  };
  for (const ModuleExport& exported : module.exports) {
    const auto own =
        exported.dynamic == nullptr ? module.by_token.find(exported.token) : module.by_token.end();
    if (own != module.by_token.end() && own->second != module.self) {
      // Its own providers win over what it re-exports.
      module.exported[exported.token] = own->second;
      continue;
    }
    bool found = own != module.by_token.end();
    if (exported.dynamic == nullptr) {
      if (const auto several = module.multi.find(exported.token); several != module.multi.end()) {
        found = true;
        add_multi(exported.token, several->second);
        if (own == module.by_token.end()) continue;
      }
    }
    if (found && own != module.by_token.end())
      module.exported.try_emplace(exported.token, own->second);
    const ModuleImport* substitute = nullptr;
    if (exported.dynamic != nullptr || exported.token.is_type()) {
      const TypeTag* const type =
          exported.dynamic != nullptr ? exported.dynamic->type->type : exported.token.type();
      substitute =
          Substitute(type, exported.dynamic.get(), KeyOf({module.type, module.dynamic, {}}));
    }
    for (const Index import : module.imports) {
      const Module& other = modules_[import];
      const bool meant =
          substitute != nullptr ? KeyOf(*substitute) == KeyOf({other.type, other.dynamic, {}})
          : exported.dynamic != nullptr ? other.dynamic == exported.dynamic
                                        : exported.token == container_->spec(other.self).token;
      if (!meant) continue;
      found = true;
      for (const auto& [token, id] : other.exported) module.exported.try_emplace(token, id);
      for (const auto& [token, ids] : other.exported_multi) add_multi(token, ids);
    }
    if (found || faults == nullptr) continue;
    const std::string name = exported.dynamic != nullptr
                                 ? ShortTypeName(exported.dynamic->type->type->name)
                                 : Name(exported.token);
    std::vector<std::string> details = {absl::StrCat("exported: ", At(exported.where))};
    for (const Index import : module.imports) {
      if (exported.dynamic == nullptr && modules_[import].exported.contains(exported.token)) {
        details.push_back(absl::StrCat("mend: it comes from ", modules_[import].name,
                                       ": re-export that module: module.Export<",
                                       Name(container_->spec(modules_[import].self).token),
                                       ">()."));
      }
    }
    if (details.size() == 1) {
      details.push_back(absl::StrCat("mend: provide ", name, " in ", module.name,
                                     ", or import the module ", name,
                                     " there, or do not export it."));
    }
    faults->push_back(
        WithDetails(absl::StrCat("Can't export ", name, " from ", module.name, ": ", module.name,
                                 " neither provides it nor imports a module of that name."),
                    details));
  }
}

ModuleGraph::Candidates ModuleGraph::Lookup(Index index, const Token& token) {
  Candidates found;
  found.from = index;
  if (token == Token::Of<ModuleRef>()) {
    found.id = ModuleRefOf(index == kBuiltinModule ? root_ : index);
    return found;
  }
  if (index != kBuiltinModule) {
    const Module& module = modules_[index];
    if (const auto own = module.by_token.find(token); own != module.by_token.end()) {
      found.id = own->second;
      return found;
    }
    for (const Index import : module.imports) {
      const auto it = modules_[import].exported.find(token);
      if (it == modules_[import].exported.end()) continue;
      if (found.id == Container::kAbsent) {
        found.id = it->second;
        found.from = import;
      } else if (found.id != it->second) {
        found.other = import;
        return found;
      }
    }
    if (found.id != Container::kAbsent) return found;
    if (const auto it = globals_.find(token); it != globals_.end()) return it->second;
  }
  if (const auto it = builtins_.find(token); it != builtins_.end()) {
    if (it->second.id == Container::kAbsent) {
      it->second.id = container_->Add(it->second.spec, kBuiltinModule);
    }
    found.id = it->second.id;
  }
  return found;
}

ModuleGraph::Id ModuleGraph::ModuleRefOf(Index index) {
  Module& module = modules_[index];
  if (module.ref == Container::kAbsent) {
    ProviderSpec spec =
        ValueProvider<ModuleRef>(Token::Of<ModuleRef>(), ModuleRef(host_, index), module.where);
    module.ref = container_->Add(std::move(spec), index);
  }
  return modules_[index].ref;
}

ModuleGraph::Id ModuleGraph::CollectionOf(Index index, const Token& token) {
  std::vector<Id> ids;
  if (index != kBuiltinModule) {
    Module& module = modules_[index];
    if (const auto it = module.collections.find(token); it != module.collections.end()) {
      return it->second;
    }
    const auto add = [&](const absl::flat_hash_map<Token, std::vector<Id>>& from) {
      const auto it = from.find(token);
      if (it == from.end()) return;
      for (const Id id : it->second) {
        if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
      }
    };
    add(module.multi);
    for (const Index import : module.imports) add(modules_[import].exported_multi);
    add(globals_multi_);
  }
  const Id id = container_->AddCollection(token, index, ids);
  if (index != kBuiltinModule) modules_[index].collections.emplace(token, id);
  return id;
}

void ModuleGraph::ResolveNode(Id id, std::vector<std::string>* faults) {
  const std::span<const Dependency> dependencies = container_->spec(id).dependencies;
  const Index module = container_->module(id);
  for (std::size_t i = 0; i < dependencies.size(); ++i) {
    const Dependency& wanted = dependencies[i];
    if (wanted.token == Token::Of<Inquirer>()) {
      container_->Bind(id, i, Container::kInquirer);
      continue;
    }
    if (wanted.token == Token::Of<DurableKey>()) {
      container_->Bind(id, i, Container::kDurableKey);
      continue;
    }
    if (wanted.form == DependencyForm::kAll) {
      const Id collection = CollectionOf(module, wanted.token);
      container_->Bind(id, i, collection);
      if (!container_->targets(collection).empty()) continue;
      const Candidates single = Lookup(module, wanted.token);
      if (single.id == Container::kAbsent) continue;
      faults->push_back(
          WithDetails(absl::StrCat(Subject(id), " asks for every ", Name(wanted.token), ", and ",
                                   Describe(single.id), " is not one of several."),
                      {absl::StrCat("registered: ", At(container_->spec(id).where)),
                       absl::StrCat("mend: register it by ProvideMulti, or ask for ",
                                    Name(wanted.token), "& instead of argument ", i, ".")}));
      continue;
    }
    any_proxy_ = any_proxy_ || wanted.form == DependencyForm::kProxy;
    Candidates found = Lookup(module, wanted.token);
    if (found.id == Container::kAbsent && Mock(wanted.token, faults)) {
      found = Lookup(module, wanted.token);
    }
    if (found.other.has_value() || (found.id == Container::kAbsent && !wanted.optional)) {
      faults->push_back(Missing(id, i, found));
    } else {
      container_->Bind(id, i, found.id);
    }
  }
}

// ---- scopes ---------------------------------------------------------------------------------

std::string_view ModuleGraph::HowMany(Lifetime lifetime) noexcept {
  switch (lifetime) {
    case Lifetime::kLoop:
      return "once per loop";
    case Lifetime::kDurable:
      return "once per durable key";
    case Lifetime::kCall:
      return "once per call";
    case Lifetime::kApplication:
      break;
  }
  return "once";
}

void ModuleGraph::FinishScopes(Id first, std::vector<std::string>* faults) {
  const std::vector<Id> widened = container_->SetScopes(first);
  if (any_proxy_ || container_->any_scoped()) ReportScopes(first, widened, faults);
  if (faults->empty()) KeepCopies(container_->Expand(first));
}

void ModuleGraph::KeepCopies(const std::vector<Id>& copies) {
  for (const Id id : copies) {
    const Index module = container_->module(id);
    if (module != kBuiltinModule) modules_[module].copies.push_back(id);
  }
}

void ModuleGraph::ReportScopes(Id first, std::span<const Id> widened,
                               std::vector<std::string>* faults) const {
  for (const Id id : widened) {
    std::vector<std::string> names = {Name(container_->spec(id).token)};
    std::vector<std::string> details;
    std::string kept;  // what it asks for, and cannot have
    Lifetime narrow = Lifetime::kApplication;
    const Lifetime own = container_->lifetime(id);
    for (Id at = id; at != Container::kAbsent;) {
      const std::span<const Id> targets = container_->targets(at);
      Id next = Container::kAbsent;
      for (std::size_t i = 0; i < targets.size(); ++i) {
        const bool key = targets[i] == Container::kDurableKey;
        if (!key && (!container_->IsEdge(at, i) ||
                     Narrower(own, container_->lifetime(targets[i])) == own)) {
          continue;
        }
        const bool collection = container_->spec(at).kind == ProviderKind::kCollection;
        if (!collection) {
          details.push_back(absl::StrCat(Describe(at), ": argument ", i, " is ",
                                         Spell(container_->spec(at).dependencies[i])));
        }
        if (key) {
          names.push_back("DurableKey");
          narrow = Lifetime::kDurable;
        } else {
          next = targets[i];
          narrow = container_->lifetime(next);
          if (container_->spec(next).kind != ProviderKind::kCollection) {
            names.push_back(Name(container_->spec(next).token));
          }
        }
        if (kept.empty() && names.size() > 1) kept = names[1];
        break;
      }
      // The last one is narrow by itself.
      if (next != Container::kAbsent && container_->spec(next).scope.has_value() &&
          container_->spec(next).scope->scope() != Scope::kTransient &&
          container_->lifetime(next) != Lifetime::kApplication) {
        const std::span<const Id> below = container_->targets(next);
        bool deeper = false;
        for (std::size_t i = 0; i < below.size(); ++i) {
          deeper = deeper || (container_->IsEdge(next, i) &&
                              container_->lifetime(below[i]) == container_->lifetime(next));
        }
        if (!deeper) {
          details.push_back(
              absl::StrCat(Describe(next), " is made ", std::string(HowMany(narrow))));
          break;
        }
      }
      at = next;
    }
    const bool module_class =
        container_->module(id) != kBuiltinModule && modules_[container_->module(id)].self == id;
    const std::string what = own == Lifetime::kLoop ? "is made once per loop"
                             : module_class         ? "is a module's class, made once"
                                                    : "is a singleton";
    const std::string wider = narrow == Lifetime::kLoop      ? "Scope::kPerLoop"
                              : narrow == Lifetime::kDurable ? "kDurable"
                                                             : "Scope::kRequest";
    const std::string handle = narrow == Lifetime::kLoop ? "loop" : "call";
    details.push_back(absl::StrCat(
        "mend: ",
        module_class ? std::string("ask for ")
                     : absl::StrCat("register ", names.front(), " with rookery::", wider,
                                    ", too; or ask for "),
        "rookery::Proxy<", kept, ">, which means the one of the ", handle,
        " that runs; or resolve it there: ModuleRef::Resolve<", kept, ">(ContextId::Current())."));
    faults->push_back(
        WithDetails(absl::StrCat(names.front(), " ", what, ", and would keep ", names.back(),
                                 ", which is made ", std::string(HowMany(narrow)), ": ",
                                 absl::StrJoin(names, " -> "), "."),
                    details));
  }
  for (Id id = first; id < container_->size(); ++id) {
    const std::span<const Id> targets = container_->targets(id);
    const ProviderSpec& spec = container_->spec(id);
    if (spec.kind == ProviderKind::kCollection) continue;
    for (std::size_t i = 0; i < targets.size(); ++i) {
      if (targets[i] == Container::kInquirer && !container_->transient(id)) {
        faults->push_back(WithDetails(
            absl::StrCat(Subject(id), " asks for Inquirer, but is shared by all who ask for it."),
            {absl::StrCat("registered: ", At(spec.where)),
             absl::StrCat("mend: register it with rookery::Scope::kTransient, so that each gets "
                          "one of its own.")}));
      }
      if (spec.dependencies[i].form != DependencyForm::kProxy || !Container::IsNode(targets[i])) {
        continue;
      }
      if (!container_->transient(targets[i]) &&
          container_->lifetime(targets[i]) != Lifetime::kApplication) {
        continue;
      }
      const std::string name = Name(spec.dependencies[i].token);
      const bool transient = container_->transient(targets[i]);
      faults->push_back(WithDetails(
          absl::StrCat(Subject(id), " asks for ", Spell(spec.dependencies[i]), ", but ", name,
                       transient ? " is transient: there is none of the call's."
                                 : " is a singleton: there is one only."),
          {absl::StrCat("registered: ", At(spec.where)),
           absl::StrCat("mend: ask for ", name, "& instead of argument ", i, ".")}));
    }
  }
}

ModuleGraph::Id ModuleGraph::Find(Index index, const Token& token) {
  return Lookup(index, token).id;
}

ModuleGraph::Id ModuleGraph::FindEnhancer(Index index, const Token& token) const {
  const Module& module = modules_[index];
  if (const auto own = module.by_token.find(token); own != module.by_token.end()) {
    return own->second;
  }
  const auto it = module.injectables.find(token);
  return it == module.injectables.end() ? Container::kAbsent : it->second;
}

absl::StatusOr<ModuleGraph::Id> ModuleGraph::FindAnywhere(Index from, const Token& token) {
  const Candidates seen = Lookup(from, token);
  if (seen.id != Container::kAbsent && !seen.other.has_value()) return seen.id;
  std::vector<Id> all;
  for (Id id = 0; id < container_->size(); ++id) {
    const ProviderSpec& spec = container_->spec(id);
    if (spec.token == token && !spec.multi && !container_->copy(id) &&
        spec.kind != ProviderKind::kCollection) {
      all.push_back(id);
    }
  }
  if (all.size() == 1) return all.front();
  if (all.empty()) {
    std::vector<std::string> details = Mends(from, token);
    return absl::NotFoundError(
        WithDetails(absl::StrCat("Can't find ", Name(token), ": no module provides it."), details));
  }
  std::vector<std::string> owners;
  for (const Id id : all) {
    owners.push_back(container_->module(id) == kBuiltinModule
                         ? "the framework"
                         : modules_[container_->module(id)].name);
  }
  return absl::FailedPreconditionError(WithDetails(
      absl::StrCat("Can't tell which ", Name(token), " is meant: ", JoinNames(owners),
                   " each have one, and ", modules_[from].name, " sees none of them."),
      {absl::StrCat("mend: import the module that is meant into ", modules_[from].name, ".")}));
}

absl::StatusOr<ModuleGraph::Id> ModuleGraph::FindStrictly(Index index, const Token& token) const {
  const Module& module = modules_[index];
  if (const Id id = FindEnhancer(index, token); id != Container::kAbsent) return id;
  for (const Controller& controller : module.controllers) {
    if (container_->spec(controller.id).token == token) return controller.id;
  }
  std::vector<std::string> details;
  for (const Module& other : modules_) {
    const auto own = other.by_token.find(token);
    if (own == other.by_token.end() || own->second == other.self) continue;
    details.push_back(absl::StrCat("mend: ", other.name, " provides it: ask the ModuleRef of ",
                                   other.name, ", or this one with rookery::Lookup::kAnywhere."));
  }
  if (module.multi.contains(token)) {
    details.push_back(
        absl::StrCat("mend: ", module.name, " has several: ask for GetAll<", Name(token), ">()."));
  }
  if (details.empty()) {
    details.push_back(absl::StrCat("mend: provide ", Name(token), " in ", module.name, "."));
  }
  std::sort(details.begin(), details.end());
  return absl::NotFoundError(WithDetails(
      absl::StrCat("Can't find ", Name(token), " in ", module.name, ": it does not provide it."),
      details));
}

std::vector<ModuleGraph::Id> ModuleGraph::FindAll(std::optional<Index> index,
                                                  const Token& token) const {
  std::vector<Id> all;
  for (Id id = 0; id < container_->size(); ++id) {
    const ProviderSpec& spec = container_->spec(id);
    if (spec.token != token || container_->copy(id) || spec.kind == ProviderKind::kCollection) {
      continue;
    }
    if (!index.has_value() || container_->module(id) == *index) all.push_back(id);
  }
  return all;
}

bool ModuleGraph::IsBuiltin(Id id) const noexcept {
  return container_->module(id) == kBuiltinModule;
}

absl::Status ModuleGraph::CheckGettable(Id id) const {
  const std::string name = Name(container_->spec(id).token);
  if (container_->transient(id)) {
    return absl::FailedPreconditionError(WithDetails(
        absl::StrCat(name, " is transient: there is one for each who asks, and none to get."),
        {absl::StrCat("mend: co_await Resolve<", name, ">().")}));
  }
  const Lifetime lifetime = container_->lifetime(id);
  if (lifetime == Lifetime::kCall || lifetime == Lifetime::kDurable) {
    return absl::FailedPreconditionError(
        WithDetails(absl::StrCat(name, " is made ", std::string(HowMany(lifetime)),
                                 ": Get gives singletons alone."),
                    {absl::StrCat("mend: co_await Resolve<", name,
                                  ">(id), with ContextId::Current() for that of the call.")}));
  }
  return absl::OkStatus();
}

absl::StatusOr<ModuleGraph::Index> ModuleGraph::FindModule(const TypeTag* type) {
  if (const ModuleImport* const substitute = Substitute(type, nullptr, nullptr)) {
    if (const auto it = index_.find(KeyOf(*substitute)); it != index_.end()) return it->second;
  }
  for (Index index = 0; index < modules_.size(); ++index) {
    if (modules_[index].type->type == type) return index;
  }
  return absl::NotFoundError(
      WithDetails(absl::StrCat("Can't select ", ShortTypeName(type->name), ": it is no module of ",
                               modules_[root_].name, "'s."),
                  {"mend: import it somewhere."}));
}

absl::StatusOr<ModuleGraph::Id> ModuleGraph::AddLate(Index module, const ProviderSpec& spec) {
  if (const Id known = FindEnhancer(module, spec.token); known != Container::kAbsent) return known;
  absl::StatusOr<Id> id = AddUnseen(module, spec);
  if (id.ok()) modules_[module].injectables.emplace(spec.token, *id);
  return id;
}

absl::StatusOr<ModuleGraph::Id> ModuleGraph::AddUnseen(Index module, ProviderSpec spec) {
  names_.clear();
  const Id first = static_cast<Id>(container_->size());
  const Id id = container_->Add(std::move(spec), module);
  std::vector<std::string> faults;
  for (Id next = first; next < container_->size(); ++next) ResolveNode(next, &faults);
  if (faults.empty()) FinishScopes(first, &faults);
  if (!faults.empty()) {
    Forget(first);
    return absl::FailedPreconditionError(absl::StrJoin(faults, "\n"));
  }
  return id;
}

ModuleGraph::Id ModuleGraph::NodeFor(Id id, const Token& inquirer) {
  if (!container_->transient(id)) return id;
  std::vector<Id> copies;
  const Id copy = container_->CloneFor(id, inquirer, &copies);
  KeepCopies(copies);
  return copy;
}

// ---- loading later --------------------------------------------------------------------------

void ModuleGraph::Forget(Id first) {
  for (auto& [token, builtin] : builtins_) {
    if (builtin.id != Container::kAbsent && builtin.id >= first) builtin.id = Container::kAbsent;
  }
  const auto gone = [first](const auto& entry) { return entry.second >= first; };
  for (Module& module : modules_) {
    std::erase_if(module.copies, [first](Id id) { return id >= first; });
    absl::erase_if(module.collections, gone);
    absl::erase_if(module.injectables, gone);
    if (module.ref != Container::kAbsent && module.ref >= first) module.ref = Container::kAbsent;
  }
  container_->Truncate(first);
  names_.clear();
}

absl::StatusOr<ModuleGraph::Load> ModuleGraph::BeginLoad(const ModuleImport& import) {
  Load load;
  load.modules = modules_.size();
  load.nodes = container_->size();
  const std::size_t old_faults = faults_.size();
  names_.clear();
  std::vector<const Module*> path;
  const std::optional<Index> found = Visit(import, &path);
  if (found.has_value()) {
    load.module = *found;
    VisitForward();
    // Everything below it that was put off.
    std::vector<Index> open = {load.module};
    while (!open.empty()) {
      const Index index = open.back();
      open.pop_back();
      Module& module = modules_[index];
      if (index < load.modules && !module.deferred) continue;
      if (module.loaded) continue;
      module.loaded = true;
      if (index < load.modules) {
        module.deferred = false;
        load.woken.push_back(index);
      }
      for (const Index next : module.imports) {
        if (std::find(module.lazy.begin(), module.lazy.end(), next) == module.lazy.end()) {
          open.push_back(next);
        } else if (next >= load.modules) {
          modules_[next].deferred = true;
        }
      }
    }
    const auto first = static_cast<Id>(load.nodes);
    ApplyOverrides(first);
    CollectExports(static_cast<Index>(load.modules));
    for (Id id = first; id < container_->size(); ++id) ResolveNode(id, &faults_);
    for (Index index = static_cast<Index>(load.modules); index < modules_.size(); ++index) {
      CheckLazy(modules_[index], &faults_);
    }
    std::vector<std::string> faults(faults_.begin() + static_cast<std::ptrdiff_t>(old_faults),
                                    faults_.end());
    if (ReportCycles(&faults)) FinishScopes(first, &faults);
    faults_.resize(old_faults);
    faults_.insert(faults_.end(), faults.begin(), faults.end());
    for (Id id = 0; id < container_->size(); ++id) {
      const std::uint32_t module = container_->module(id);
      if (module == kBuiltinModule) continue;
      if (modules_[module].deferred && id >= first) container_->Defer(id);
      if (modules_[module].loaded) container_->Undefer(id);
    }
  }
  load.end = container_->size();
  if (faults_.size() == old_faults) return load;
  std::string text = absl::StrCat(
      "Can't load ", import.type == nullptr ? "a module" : ShortTypeName(import.type->type->name));
  const std::size_t count = faults_.size() - old_faults;
  absl::StrAppend(&text, count == 1 ? ":" : absl::StrCat(", ", count, " faults:"));
  for (std::size_t i = 0; i < count; ++i) {
    absl::StrAppend(&text, "\n\n", count == 1 ? "" : absl::StrCat(i + 1, ". "),
                    faults_[old_faults + i]);
  }
  faults_.resize(old_faults);
  RollBack(load);
  return absl::FailedPreconditionError(text);
}

void ModuleGraph::RollBack(const Load& load) {
  forward_.clear();
  for (const Index index : load.woken) {
    modules_[index].deferred = true;
    modules_[index].loaded = false;
    for (Id id = 0; id < load.nodes; ++id) {
      if (container_->module(id) == index && !container_->constructed(id)) container_->Defer(id);
    }
  }
  absl::erase_if(index_, [&](const auto& known) { return known.second >= load.modules; });
  if (container_->size() != load.end) {
    // Somebody has added to the container meanwhile, and refers to what is there: what was loaded
    // stays as an empty shell that nobody finds.
    container_->DropInstances(load.nodes, load.end);
    for (Id id = static_cast<Id>(load.nodes); id < load.end; ++id) container_->Defer(id);
    return;
  }
  while (modules_.size() > load.modules) {
    --count_[modules_.back().type];
    modules_.pop_back();
  }
  visiting_.clear();
  Forget(static_cast<Id>(load.nodes));
}

std::vector<ModuleGraph::Index> ModuleGraph::InitOrder() const {
  std::vector<Index> order(modules_.size());
  for (Index i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [this](Index a, Index b) {
    return modules_[a].distance > modules_[b].distance;
  });
  return order;
}

std::vector<std::vector<ModuleGraph::Id>> ModuleGraph::InitGroups(Index index) const {
  const Module& module = modules_[index];
  std::vector<Id> nodes = module.providers;
  nodes.insert(nodes.end(), module.copies.begin(), module.copies.end());
  for (const Controller& controller : module.controllers) nodes.push_back(controller.id);
  for (const auto& [token, id] : module.injectables) nodes.push_back(id);
  std::erase_if(nodes, [this](Id id) { return container_->late(id); });
  std::sort(nodes.begin(), nodes.end(), [this](Id a, Id b) {
    return std::pair(container_->level(a), a) < std::pair(container_->level(b), b);
  });
  std::vector<std::vector<Id>> groups;
  for (const Id id : nodes) {
    if (groups.empty() || container_->level(groups.back().front()) != container_->level(id)) {
      groups.emplace_back();
    }
    groups.back().push_back(id);
  }
  if (!container_->late(module.self)) groups.push_back({module.self});
  return groups;
}

// ---- messages -------------------------------------------------------------------------------

std::string ModuleGraph::Name(const Token& token) const {
  if (names_.empty()) {
    absl::flat_hash_set<Token> seen;
    const auto note = [&](const Token& t) {
      if (seen.insert(t).second) names_[t.name()].push_back(t);
    };
    for (Id id = 0; id < container_->size(); ++id) {
      note(container_->spec(id).token);
      for (const Dependency& d : container_->spec(id).dependencies) note(d.token);
    }
  }
  std::string name = token.name();
  const auto it = names_.find(name);
  const bool clear = it == names_.end() || it->second.size() == 1;
  return clear ? name : std::string(token.qualified_name());
}

std::string ModuleGraph::Spell(const Dependency& dependency) const {
  std::string name = Name(dependency.token);
  if (!dependency.token.is_type()) name = absl::StrCat("Inject<", name, ">");
  switch (dependency.form) {
    case DependencyForm::kReference:
      return absl::StrCat(name, "&");
    case DependencyForm::kPointer:
      return absl::StrCat(name, "*");
    case DependencyForm::kShared:
      return absl::StrCat("std::shared_ptr<", name, ">");
    case DependencyForm::kOptional:
      return absl::StrCat("Optional<", name, ">");
    case DependencyForm::kLazy:
      return absl::StrCat("Lazy<", name, ">");
    case DependencyForm::kProxy:
      return absl::StrCat("Proxy<", name, ">");
    case DependencyForm::kAll:
      return absl::StrCat("All<", name, ">");
    case DependencyForm::kToken:
      break;
  }
  return name;
}

std::string ModuleGraph::Subject(Id id) const {
  const ProviderSpec& spec = container_->spec(id);
  switch (spec.kind) {
    case ProviderKind::kFactory:
      return absl::StrCat("the factory of ", Name(spec.token));
    case ProviderKind::kAlias:
      return absl::StrCat("the alias ", Name(spec.token));
    case ProviderKind::kClass:
      return spec.token.type() == spec.type ? Name(spec.token) : ShortTypeName(spec.type->name);
    case ProviderKind::kCollection:
      return absl::StrCat("All<", Name(spec.token), ">");
    case ProviderKind::kValue:
      break;
  }
  return Name(spec.token);
}

std::string ModuleGraph::Describe(Id id) const {
  const std::uint32_t module = container_->module(id);
  if (module == kBuiltinModule) {
    const auto it = builtins_.find(container_->spec(id).token);
    if (it != builtins_.end() && it->second.mock) {
      return absl::StrCat(Subject(id), " of the test (mocked at ", At(it->second.spec.where), ")");
    }
    return absl::StrCat(Subject(id), " of the framework");
  }
  if (id == modules_[module].self) {
    return absl::StrCat(modules_[module].name, " (registered at ", At(container_->spec(id).where),
                        ")");
  }
  return absl::StrCat(Subject(id), " of ", modules_[module].name, " (registered at ",
                      At(container_->spec(id).where), ")");
}

std::string ModuleGraph::Missing(Id id, std::size_t index, const Candidates& found) const {
  const ProviderSpec& spec = container_->spec(id);
  const Dependency& wanted = spec.dependencies[index];
  const Index at = container_->module(id);
  const std::string module = at == kBuiltinModule ? "the framework" : modules_[at].name;
  std::vector<std::string> arguments;
  for (std::size_t i = 0; i < spec.dependencies.size(); ++i) {
    arguments.push_back(i == index ? "?" : Spell(spec.dependencies[i]));
  }
  std::string line =
      absl::StrCat("Can't resolve ", Subject(id), " (", absl::StrJoin(arguments, ", "),
                   "): argument ", index, " is ", Spell(wanted), ", and ", module);
  std::vector<std::string> details = {absl::StrCat("registered: ", At(spec.where))};
  if (found.other.has_value()) {
    absl::StrAppend(&line, " sees two of them, from ", modules_[found.from].name, " and from ",
                    modules_[*found.other].name, ".");
    details.push_back(absl::StrCat("mend: import only the one that is meant into ", module,
                                   ", or put each under an InjectionToken of its own."));
    return WithDetails(std::move(line), details);
  }
  absl::StrAppend(&line, " neither provides nor imports it.");
  if (at != kBuiltinModule) {
    for (std::string& mend : Mends(at, wanted.token)) details.push_back(std::move(mend));
  }
  return WithDetails(std::move(line), details);
}

std::vector<std::string> ModuleGraph::Mends(Index at, const Token& token) const {
  const std::string name = Name(token);
  const std::string& here = modules_[at].name;
  std::vector<std::string> mends;
  for (Index i = 0; i < modules_.size(); ++i) {
    const Module& other = modules_[i];
    if (i == at) continue;
    const auto own = other.by_token.find(token);
    const bool provides = own != other.by_token.end();
    if (provides && own->second == other.self) {
      mends.push_back(absl::StrCat("mend: ", name, " is a module: ask for one of its providers."));
    } else if (other.exported.contains(token) && provides) {
      mends.push_back(absl::StrCat("mend: ", other.name, " exports ", name, ": import ", other.name,
                                   " into ", here, "."));
    } else if (provides) {
      const bool imported = std::find(modules_[at].imports.begin(), modules_[at].imports.end(),
                                      i) != modules_[at].imports.end();
      mends.push_back(absl::StrCat("mend: ", other.name, " provides ", name,
                                   " but does not export it: add the export to ", other.name,
                                   imported || other.global
                                       ? std::string(".")
                                       : absl::StrCat(", and import it into ", here, ".")));
    }
  }
  if (std::any_of(modules_.begin(), modules_.end(),
                  [&token](const Module& module) { return module.multi.contains(token); })) {
    mends.push_back(absl::StrCat("mend: ", name, " is added by ProvideMulti: ask for rookery::All<",
                                 name, ">."));
  }
  for (const Module& module : modules_) {
    for (const Controller& controller : module.controllers) {
      if (container_->spec(controller.id).token == token) {
        mends.push_back(absl::StrCat("mend: ", name, " is a controller of ", module.name,
                                     ", and controllers cannot be injected: move what is asked of "
                                     "it into a provider."));
      }
    }
  }

  // What is visible here and nearly the same.
  absl::flat_hash_map<std::string, Token> visible;
  const auto see = [&visible](const absl::flat_hash_map<Token, Id>& tokens) {
    for (const auto& [seen, id] : tokens) visible.emplace(seen.name(), seen);
  };
  see(modules_[at].by_token);
  for (const Index import : modules_[at].imports) see(modules_[import].exported);
  for (const auto& [seen, candidates] : globals_) visible.emplace(seen.name(), seen);
  visible.erase(here);
  std::vector<std::pair<std::size_t, std::string>> near;
  for (const auto& [seen_name, seen] : visible) {
    if (seen_name == token.name() && !token.is_type() && !seen.is_type()) {
      mends.push_back(absl::StrCat("mend: a token named ", seen_name,
                                   " is visible, but it is another object: declare it `inline "
                                   "constexpr`, once, in a header."));
    } else if (token.is_type() && !seen.is_type() && seen.type() == token.type()) {
      mends.push_back(absl::StrCat("mend: ", seen_name, " is a ", name,
                                   " under a named token: ask for rookery::Inject of that token."));
    } else {
      const std::size_t limit = std::max<std::size_t>(2, token.name().size() / 3);
      const std::size_t distance = EditDistance(token.name(), seen_name, limit);
      if (distance <= limit && distance < seen_name.size()) near.emplace_back(distance, seen_name);
    }
  }
  std::sort(mends.begin(), mends.end());
  std::sort(near.begin(), near.end());
  if (!near.empty()) {
    mends.push_back(absl::StrCat("did you mean ", near.front().second, ", which ", here, " sees?"));
  }
  if (mends.empty()) {
    mends.push_back(absl::StrCat("mend: provide ", name, " in ", here,
                                 ", or import a module that exports it."));
  }
  return mends;
}

bool ModuleGraph::ReportCycles(std::vector<std::string>* faults) const {
  bool none = true;
  for (const std::vector<Id>& cycle : container_->FindCycles()) {
    none = false;
    std::vector<std::string> names;
    std::vector<std::string> details;
    for (std::size_t i = 0; i < cycle.size(); ++i) {
      const Id id = cycle[i];
      const Id next = cycle[(i + 1) % cycle.size()];
      const std::span<const Id> targets = container_->targets(id);
      const auto index = static_cast<std::size_t>(std::find(targets.begin(), targets.end(), next) -
                                                  targets.begin());
      const ProviderSpec& spec = container_->spec(id);
      // What stands between All<T> and its elements is nobody's to see.
      if (spec.kind == ProviderKind::kCollection) continue;
      names.push_back(Name(spec.token));
      details.push_back(absl::StrCat(Describe(id), ": argument ", index, " is ",
                                     Spell(spec.dependencies[index])));
    }
    names.push_back(names.front());
    details.push_back(
        cycle.size() == 1
            ? std::string("mend: a provider cannot be made of itself; if another one of that type "
                          "is meant, put it under an InjectionToken of its own.")
            : absl::StrCat("mend: move what both sides need into a third provider, or let one side "
                           "ask for rookery::Lazy<",
                           names.front(), ">, which is looked up at its first use."));
    faults->push_back(WithDetails(
        absl::StrCat("Circular dependency: ", absl::StrJoin(names, " -> "), "."), details));
  }
  return none;
}

}  // namespace rookery::internal
