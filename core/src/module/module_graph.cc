#include "module/module_graph.h"

#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

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
  SetDistances();
}

std::optional<ModuleGraph::Index> ModuleGraph::Visit(const ModuleImport& import,
                                                     std::vector<const Module*>* path) {
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
                     "mend: move what both need into a third module that each of them imports."}));
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
    const std::optional<Index> imported = Visit(next, path);
    if (imported.has_value() && std::find(module.imports.begin(), module.imports.end(),
                                          *imported) == module.imports.end()) {
      module.imports.push_back(*imported);
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
  ProviderSpec& self = container_->spec(modules_[index].self);
  self.where = modules_[index].where;
  modules_[index].by_token.try_emplace(self.token, modules_[index].self);
  return index;
}

void ModuleGraph::AddProviders(Index index, std::vector<ProviderSpec> statics,
                               std::vector<ProviderSpec> dynamics) {
  Module& module = modules_[index];
  absl::flat_hash_set<Token> overridden;
  for (const ProviderSpec& spec : dynamics) overridden.insert(spec.token);
  const auto add = [&](ProviderSpec& spec) {
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
    if (!overridden.contains(spec.token)) add(spec);
  }
  for (ProviderSpec& spec : dynamics) add(spec);
}

void ModuleGraph::SetDistances() {
  // Importers stand behind what they import, so one pass from the back sees the longest way.
  if (modules_.empty()) return;
  modules_[root_].distance = 1;
  std::uint32_t deepest = 1;
  for (std::size_t i = modules_.size(); i-- > 0;) {
    for (const Index import : modules_[i].imports) {
      modules_[import].distance = std::max(modules_[import].distance, modules_[i].distance + 1);
    }
    deepest = std::max(deepest, modules_[i].distance);
  }
  // Global modules come before all others, and what they import before them.
  for (Module& module : modules_) {
    if (module.global) module.distance = std::max(module.distance, deepest + 1);
  }
  for (std::size_t i = modules_.size(); i-- > 0;) {
    for (const Index import : modules_[i].imports) {
      modules_[import].distance = std::max(modules_[import].distance, modules_[i].distance + 1);
    }
  }
}

void ModuleGraph::AddInjectable(Index module, const ProviderSpec& spec) {
  Module& owner = modules_[module];
  if (owner.injectables.contains(spec.token) || owner.by_token.contains(spec.token)) return;
  owner.injectables.emplace(spec.token, container_->Add(spec, module));
}

void ModuleGraph::Override(const ProviderSpec& spec) {
  bool found = false;
  if (const auto it = builtins_.find(spec.token); it != builtins_.end()) {
    it->second.spec = spec;
    found = true;
  }
  for (Id id = 0; id < container_->size(); ++id) {
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
    container_->Replace(id, spec);
    found = true;
  }
  if (!found) {
    std::vector<std::string> details = {absl::StrCat("overridden: ", At(spec.where))};
    for (std::string& mend : Mends(root_, spec.token)) details.push_back(std::move(mend));
    faults_.push_back(WithDetails(
        absl::StrCat("Can't override ", Name(spec.token), ": no module provides it."), details));
  }
}

// ---- resolving ------------------------------------------------------------------------------

void ModuleGraph::Resolve() {
  names_.clear();
  CollectExports();
  for (Id id = 0; id < container_->size(); ++id) ResolveNode(id, &faults_);
  ReportCycles();
}

void ModuleGraph::CollectExports() {
  for (Index index = 0; index < modules_.size(); ++index) {
    Module& module = modules_[index];
    for (const ModuleExport& exported : module.exports) {
      const auto own = exported.dynamic == nullptr ? module.by_token.find(exported.token)
                                                   : module.by_token.end();
      if (own != module.by_token.end() && own->second != module.self) {
        // Its own providers win over what it re-exports.
        module.exported[exported.token] = own->second;
        continue;
      }
      bool found = own != module.by_token.end();
      if (found) module.exported.try_emplace(exported.token, own->second);
      for (const Index import : module.imports) {
        const Module& other = modules_[import];
        const bool meant = exported.dynamic != nullptr
                               ? other.dynamic == exported.dynamic
                               : exported.token == container_->spec(other.self).token;
        if (!meant) continue;
        found = true;
        for (const auto& [token, id] : other.exported) module.exported.try_emplace(token, id);
      }
      if (found) continue;
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
      faults_.push_back(
          WithDetails(absl::StrCat("Can't export ", name, " from ", module.name, ": ", module.name,
                                   " neither provides it nor imports a module of that name."),
                      details));
    }
    if (module.global) {
      for (const auto& [token, id] : module.exported) {
        Candidates& known = globals_[token];
        if (known.id == Container::kAbsent) {
          known.id = id;
          known.from = index;
        } else if (known.id != id && !known.other.has_value()) {
          known.other = index;
        }
      }
    }
  }
}

ModuleGraph::Candidates ModuleGraph::Lookup(Index index, const Token& token) {
  Candidates found;
  found.from = index;
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

void ModuleGraph::ResolveNode(Id id, std::vector<std::string>* faults) {
  const std::span<const Dependency> dependencies = container_->spec(id).dependencies;
  for (std::size_t i = 0; i < dependencies.size(); ++i) {
    const Candidates found = Lookup(container_->module(id), dependencies[i].token);
    if (found.other.has_value() || (found.id == Container::kAbsent && !dependencies[i].optional)) {
      faults->push_back(Missing(id, i, found));
    } else {
      container_->Bind(id, i, found.id);
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

absl::StatusOr<ModuleGraph::Id> ModuleGraph::FindAnywhere(const Token& token) {
  const Candidates seen = Lookup(root_, token);
  if (seen.id != Container::kAbsent && !seen.other.has_value()) return seen.id;
  std::vector<Id> all;
  for (Id id = 0; id < container_->size(); ++id) {
    if (container_->spec(id).token == token) all.push_back(id);
  }
  if (all.size() == 1) return all.front();
  if (all.empty()) {
    std::vector<std::string> details = Mends(root_, token);
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
                   " each have one, and ", modules_[root_].name, " sees none of them."),
      {absl::StrCat("mend: import the module that is meant into ", modules_[root_].name, ".")}));
}

absl::StatusOr<ModuleGraph::Id> ModuleGraph::AddLate(const ProviderSpec& spec) {
  if (const Id known = FindEnhancer(root_, spec.token); known != Container::kAbsent) return known;
  names_.clear();
  const Id id = container_->Add(spec, root_);
  modules_[root_].injectables.emplace(spec.token, id);
  std::vector<std::string> faults;
  ResolveNode(id, &faults);
  if (!faults.empty()) return absl::FailedPreconditionError(absl::StrJoin(faults, "\n"));
  return id;
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
  for (const Controller& controller : module.controllers) nodes.push_back(controller.id);
  for (const auto& [token, id] : module.injectables) nodes.push_back(id);
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
  groups.push_back({module.self});
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
    case ProviderKind::kValue:
      break;
  }
  return Name(spec.token);
}

std::string ModuleGraph::Describe(Id id) const {
  const std::uint32_t module = container_->module(id);
  if (module == kBuiltinModule) return absl::StrCat(Subject(id), " of the framework");
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

void ModuleGraph::ReportCycles() {
  for (const std::vector<Id>& cycle : container_->FindCycles()) {
    std::vector<std::string> names;
    std::vector<std::string> details;
    bool factory = false;
    for (std::size_t i = 0; i < cycle.size(); ++i) {
      const Id id = cycle[i];
      const Id next = cycle[(i + 1) % cycle.size()];
      const std::span<const Id> targets = container_->targets(id);
      const auto index = static_cast<std::size_t>(std::find(targets.begin(), targets.end(), next) -
                                                  targets.begin());
      const ProviderSpec& spec = container_->spec(id);
      factory = factory || spec.kind == ProviderKind::kFactory;
      names.push_back(Name(spec.token));
      details.push_back(absl::StrCat(Describe(id), ": argument ", index, " is ",
                                     Spell(spec.dependencies[index])));
    }
    names.push_back(names.front());
    details.push_back(
        cycle.size() == 1
            ? "mend: a provider cannot be made of itself; if another one of that type "
              "is meant, put it under an InjectionToken of its own."
            : "mend: move what both sides need into a third provider, or hand one the "
              "other in a call instead of in its constructor.");
    if (factory) {
      details.push_back(
          "note: a factory is called once, so no later step can close such a circle.");
    }
    faults_.push_back(WithDetails(
        absl::StrCat("Circular dependency: ", absl::StrJoin(names, " -> "), "."), details));
  }
}

}  // namespace rookery::internal
