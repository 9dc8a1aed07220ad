// What an application does for its ModuleRefs: finding, resolving and loading after start-up.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "app/application_impl.h"
#include "rookery/di/resolution_error.h"
#include "rookery/platform/cls.h"
#include "rookery/runtime/offload.h"

namespace rookery::internal {

namespace {

// Keeps what an instance was made with as long as the instance itself.
struct Kept {
  std::shared_ptr<ScopeStore> store;
  std::shared_ptr<void> instance;
};

[[noreturn]] void Throw(const absl::Status& status) { throw ResolutionError(status); }

}  // namespace

absl::StatusOr<ModuleRef> ApplicationImpl::Select(const TypeTag* type) {
  const std::lock_guard<std::mutex> lock(graph_mutex_);
  absl::StatusOr<ModuleGraph::Index> module = graph_.FindModule(type);
  if (!module.ok()) return std::move(module).status();
  return ModuleRef(this, *module);
}

std::string ApplicationImpl::DescribeLocked(Container::Id id) {
  const std::lock_guard<std::mutex> lock(graph_mutex_);
  return graph_.Describe(id);
}

std::string ApplicationImpl::ModuleName(Module module) {
  const std::lock_guard<std::mutex> lock(graph_mutex_);
  return graph_.modules()[module].name;
}

absl::StatusOr<Container::Id> ApplicationImpl::Locate(Module module, const Token& token,
                                                      Lookup lookup) {
  return lookup == Lookup::kStrict ? graph_.FindStrictly(module, token)
                                   : graph_.FindAnywhere(module, token);
}

absl::StatusOr<std::shared_ptr<void>> ApplicationImpl::GetInstance(Module module,
                                                                   const Token& token,
                                                                   Lookup lookup) {
  Container::Id id;
  {
    const std::lock_guard<std::mutex> lock(graph_mutex_);
    absl::StatusOr<Container::Id> found = Locate(module, token, lookup);
    if (!found.ok()) return std::move(found).status();
    id = *found;
    if (absl::Status status = graph_.CheckGettable(id); !status.ok()) return status;
    // One of the framework's own that nobody has asked for so far.
    if (built_ && container_.singleton(id) && !container_.constructed(id) && graph_.IsBuiltin(id)) {
      if (absl::Status status = container_.ConstructOne(id); !status.ok()) {
        return absl::FailedPreconditionError(Cause(status));
      }
    }
  }
  if (container_.singleton(id)) {
    if (container_.constructed(id)) return container_.instance(id);
    const std::string title = DescribeLocked(id);
    if (container_.deferred(id)) {
      return absl::FailedPreconditionError(
          absl::StrCat(title,
                       " is not made yet: its module is loaded lazily.\n    mend: co_await "
                       "LazyModuleLoader::Load of the module first."));
    }
    return absl::FailedPreconditionError(
        absl::StrCat(title,
                     " is not made yet.\n    mend: ask for it later, in OnModuleInit or in "
                     "a call."));
  }
  try {
    return container_.GetNow(id, nullptr);
  } catch (const ResolutionError& error) {
    return error.status();
  }
}

std::vector<std::shared_ptr<void>> ApplicationImpl::GetInstances(Module module, const Token& token,
                                                                 Lookup lookup) {
  const std::lock_guard<std::mutex> lock(graph_mutex_);
  std::vector<std::shared_ptr<void>> instances;
  const auto where = lookup == Lookup::kStrict ? std::optional(module) : std::nullopt;
  for (const Container::Id id : graph_.FindAll(where, token)) {
    if (container_.singleton(id) && container_.constructed(id)) {
      instances.push_back(container_.instance(id));
    }
  }
  return instances;
}

std::vector<std::shared_ptr<void>> ApplicationImpl::Provided(const Token& token) {
  const std::lock_guard<std::mutex> lock(graph_mutex_);
  std::vector<Container::Id> ids = graph_.FindAll(std::nullopt, token);
  std::erase_if(ids, [this](Container::Id id) {
    return graph_.IsBuiltin(id) || !container_.singleton(id) || !container_.constructed(id);
  });
  // Modules are numbered as they are imported, the imported ones first.
  std::stable_sort(ids.begin(), ids.end(), [this](Container::Id one, Container::Id other) {
    const ModuleGraph::Module& first = graph_.modules()[container_.module(one)];
    const ModuleGraph::Module& second = graph_.modules()[container_.module(other)];
    if (first.global != second.global) return first.global;
    return !first.global && first.distance < second.distance;
  });
  std::vector<std::shared_ptr<void>> instances;
  for (const Container::Id id : ids) instances.push_back(container_.instance(id));
  return instances;
}

absl::StatusOr<Introspection> ApplicationImpl::IntrospectProvider(Module module, const Token& token,
                                                                  Lookup lookup) {
  const std::lock_guard<std::mutex> lock(graph_mutex_);
  absl::StatusOr<Container::Id> id = Locate(module, token, lookup);
  if (!id.ok()) return std::move(id).status();
  return ScopeOf(*id);
}

Introspection ApplicationImpl::ScopeOf(Container::Id id) const {
  Introspection told;
  if (container_.transient(id)) {
    told.scope = Scope::kTransient;
    return told;
  }
  switch (container_.lifetime(id)) {
    case Lifetime::kApplication:
      told.scope = Scope::kSingleton;
      break;
    case Lifetime::kLoop:
      told.scope = Scope::kPerLoop;
      break;
    case Lifetime::kDurable:
      told.durable = true;
      [[fallthrough]];
    case Lifetime::kCall:
      told.scope = Scope::kRequest;
      break;
  }
  return told;
}

Task<std::shared_ptr<void>> ApplicationImpl::ResolveNode(Container::Id id, ContextId context) {
  const std::shared_ptr<ScopeStore> store = context.store();
  if (store->ended()) {
    Throw(absl::FailedPreconditionError(absl::StrCat(
        "Can't resolve ", DescribeLocked(id), ": the call that the ContextId is of has ended.")));
  }
  Context* const current = Context::Current();
  Context* const wanted = store->context();
  const bool elsewhere = wanted != nullptr && (current == nullptr || StoreOf(*current) != store);
  std::shared_ptr<void> instance;
  if (elsewhere) {
    const auto get = [this, id, store] { return container_.GetLater(id, store); };
    Task<std::shared_ptr<void>> task = RunIn(ContextRef(wanted), get);
    instance = co_await std::move(task);
  } else {
    Task<std::shared_ptr<void>> task = container_.GetLater(id, store);
    instance = co_await std::move(task);
  }
  if (container_.singleton(id)) co_return instance;
  auto kept = std::make_shared<Kept>();
  kept->store = store;
  kept->instance = std::move(instance);
  void* const raw = kept->instance.get();
  co_return std::shared_ptr<void>(std::move(kept), raw);
}

Task<std::shared_ptr<void>> ApplicationImpl::ResolveInstance(Module module, Token token,
                                                             ContextId id, Lookup lookup) {
  absl::StatusOr<Container::Id> found;
  {
    const std::lock_guard<std::mutex> lock(graph_mutex_);
    found = Locate(module, token, lookup);
    if (found.ok() && built_ && container_.singleton(*found) && !container_.constructed(*found) &&
        graph_.IsBuiltin(*found)) {
      absl::Status made = container_.ConstructOne(*found);
      if (!made.ok()) found = std::move(made);
    }
  }
  if (!found.ok()) Throw(found.status());
  Task<std::shared_ptr<void>> task = ResolveNode(*found, std::move(id));
  std::shared_ptr<void> instance = co_await std::move(task);
  co_return instance;
}

Task<std::shared_ptr<void>> ApplicationImpl::CreateInstance(Module module, ProviderSpec spec,
                                                            ContextId id) {
  absl::StatusOr<Container::Id> found;
  if (!built_) {
    Throw(absl::FailedPreconditionError(
        absl::StrCat("Can't create ", spec.token.name(),
                     " while the application is being built.\n    mend: create it later, in "
                     "OnModuleInit or in a call.")));
  }
  {
    const std::lock_guard<std::mutex> lock(graph_mutex_);
    const std::pair<Module, const void*> key(module, spec.token.identity());
    if (const auto known = created_.find(key); known != created_.end()) {
      found = known->second;
    } else {
      spec.scope = Scope::kTransient;
      found = graph_.AddUnseen(module, std::move(spec));
      if (found.ok()) created_.emplace(key, *found);
    }
  }
  if (!found.ok()) Throw(found.status());
  Task<std::shared_ptr<void>> task = ResolveNode(*found, std::move(id));
  std::shared_ptr<void> instance = co_await std::move(task);
  co_return instance;
}

// ---- loading --------------------------------------------------------------------------------

absl::StatusOr<ModuleGraph::Index> ApplicationImpl::LoadHere(const ModuleImport& import) {
  const std::lock_guard<std::mutex> loading(load_mutex_);
  if (torn_down_) return absl::FailedPreconditionError("the application is closed");
  ModuleGraph::Load load;
  {
    const std::lock_guard<std::mutex> lock(graph_mutex_);
    try {
      absl::StatusOr<ModuleGraph::Load> begun = graph_.BeginLoad(import);
      if (!begun.ok()) return std::move(begun).status();
      load = *begun;
    } catch (...) {
      return absl::FailedPreconditionError(absl::StrCat(
          "Can't load ", ShortTypeName(import.type->type->name), ": a module's Define failed: ",
          Cause(StatusFromException(std::current_exception())), "."));
    }
  }
  const ContextRef context = ContextRef::Adopt(Context::NewChild(Context::Current()));
  context->Set(kLoading, true);
  const ContextScope scope(context.get());
  const std::vector<std::string> failures = Construct(StartupDeadline());
  if (failures.empty()) return load.module;
  const std::lock_guard<std::mutex> lock(graph_mutex_);
  const std::string name = graph_.modules()[load.module].name;
  graph_.RollBack(load);
  return absl::FailedPreconditionError(
      absl::StrCat("Can't load ", name, ":\n\n", absl::StrJoin(failures, "\n\n")));
}

Task<ModuleRef> ApplicationImpl::LoadModule(ModuleImport import) {
  const std::string name =
      import.type == nullptr ? "a module" : ShortTypeName(import.type->type->name);
  if (!built_) {
    Throw(absl::FailedPreconditionError(
        absl::StrCat("Can't load ", name,
                     " while the application is being built.\n    mend: load it later, in "
                     "OnModuleInit or in a call; or import it.")));
  }
  if (Context* const context = Context::Current();
      context != nullptr && context->Find(kLoading) != nullptr) {
    Throw(absl::FailedPreconditionError(
        absl::StrCat("Can't load ", name,
                     " while another module is being loaded by the same code.\n    mend: import "
                     "it there.")));
  }
  const Semaphore::Permit permit = co_await loading_.Acquire();
  // Constructors may block, and what is a Task runs on the loops meanwhile.
  auto load = [self = shared_from_this(), &import] { return self->LoadHere(import); };
  auto loaded = Offload(std::move(load));
  absl::StatusOr<ModuleGraph::Index> module = co_await std::move(loaded);
  if (!module.ok()) Throw(module.status());
  co_return ModuleRef(this, *module);
}

Task<void> ApplicationImpl::Demand(Container::Id id) {
  ModuleImport import;
  {
    const std::lock_guard<std::mutex> lock(graph_mutex_);
    const ModuleGraph::Module& module = graph_.modules()[container_.module(id)];
    import.type = module.type;
    import.dynamic = module.dynamic;
    import.where = module.where;
    import.lazy = true;
  }
  Task<ModuleRef> load = LoadModule(std::move(import));
  [[maybe_unused]] const ModuleRef module = co_await std::move(load);
}

}  // namespace rookery::internal
