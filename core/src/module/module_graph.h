// ModuleGraph: the modules of an application, who imports whom, and which provider each argument
// means.
//
//   Container container;
//   ModuleGraph graph(&container);
//   graph.Scan({&kModuleType<AppModule>});
//   graph.Resolve();                                  // nothing is constructed
//   for (const std::string& fault : graph.faults()) ...
//
// All faults are collected, each a first line that says what is wrong and indented lines that say
// where and how to mend it.
#ifndef ROOKERY_SRC_MODULE_MODULE_GRAPH_H_
#define ROOKERY_SRC_MODULE_MODULE_GRAPH_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "di/container.h"
#include "rookery/module/module_builder.h"
#include "rookery/module/module_ref.h"
#include "rookery/module/overrides.h"

namespace rookery::internal {

// See the top of this file. Used by one thread.
class ModuleGraph final {
 public:
  using Id = Container::Id;
  using Index = std::uint32_t;

  struct Controller {
    Id id = 0;
    void (*describe)(ControllerBuilder& controller) = nullptr;
  };
  struct Module {
    const ModuleType* type = nullptr;
    std::shared_ptr<DynamicContent> dynamic;
    std::string name;  // "OrdersModule"; "OrdersModule#2" for a second dynamic one
    std::source_location where;
    bool global = false;
    std::uint32_t distance =
        0;                  // the longest way from the root, which has 1; global: beyond all others
    bool deferred = false;  // named by lazy imports alone, and not loaded
    bool loaded = false;    // by LazyModuleLoader: its hooks do not run
    std::vector<Index> imports;
    std::vector<Index> forward;  // those of the imports that may close a circle
    std::vector<Index> lazy;     // those that are made when they are needed
    std::vector<ModuleExport> exports;
    std::vector<GlobalEnhancerSpec> enhancers;
    std::vector<Controller> controllers;
    Id self = Container::kAbsent;  // the module's own class
    std::vector<Id> providers;     // in the order given
    absl::flat_hash_map<Token, Id> by_token;
    absl::flat_hash_map<Token, Id> injectables;
    std::vector<Id> copies;                   // of transient providers, one for each who asks
    Id ref = Container::kAbsent;              // its ModuleRef, once somebody asks
    absl::flat_hash_map<Token, Id> exported;  // own and re-exported
    // Several under one token.
    absl::flat_hash_map<Token, std::vector<Id>> multi;
    absl::flat_hash_map<Token, std::vector<Id>> exported_multi;
    absl::flat_hash_map<Token, Id> collections;  // what All<T> gets here
  };

  explicit ModuleGraph(Container* container) : container_(container) {}
  ModuleGraph(const ModuleGraph&) = delete;
  ModuleGraph& operator=(const ModuleGraph&) = delete;

  // What ModuleRefs ask; before Resolve.
  void set_host(ModuleHost* host) noexcept { host_ = host; }
  // What every module sees unless it sees something nearer: the framework's own providers. Made
  // only if somebody asks for them.
  void AddBuiltin(ProviderSpec spec);
  // What a test replaces. Before Scan; modules that are loaded later are treated the same way.
  void SetOverrides(GraphOverrides overrides);
  // Collects the modules from `root` down.
  void Scan(const ModuleImport& root);
  // Adds an enhancer's class to a module unless the module sees a provider of that token already.
  // After Scan, before Resolve.
  void AddInjectable(Index module, const ProviderSpec& spec);
  // Decides what each argument means, and looks for every fault.
  void Resolve();

  [[nodiscard]] const std::vector<std::string>& faults() const noexcept { return faults_; }
  [[nodiscard]] std::span<const Module> modules() const noexcept { return modules_; }
  [[nodiscard]] Index root() const noexcept { return root_; }

  // The provider that `token` means in `module`; kAbsent if none.
  [[nodiscard]] Id Find(Index module, const Token& token);
  // The enhancer of that class in `module`: the module's own provider, or what AddInjectable added.
  [[nodiscard]] Id FindEnhancer(Index module, const Token& token) const;
  // The one that `token` means in the whole application: what `from` sees, else the only one that
  // any module has. Otherwise NOT_FOUND or FAILED_PRECONDITION with the reason.
  [[nodiscard]] absl::StatusOr<Id> FindAnywhere(Index from, const Token& token);
  // The one of `module` itself: a provider, controller or enhancer. Otherwise NOT_FOUND.
  [[nodiscard]] absl::StatusOr<Id> FindStrictly(Index module, const Token& token) const;
  // Every one of `module`, or of all modules (nullopt), those of ProvideMulti too.
  [[nodiscard]] std::vector<Id> FindAll(std::optional<Index> module, const Token& token) const;
  // Of the framework, and of no module.
  [[nodiscard]] bool IsBuiltin(Id id) const noexcept;
  // OK if `id` is a singleton, or per loop; else why not.
  [[nodiscard]] absl::Status CheckGettable(Id id) const;
  // The module of that class; NOT_FOUND if there is none.
  [[nodiscard]] absl::StatusOr<Index> FindModule(const TypeTag* type);
  // Adds a class to a module after Resolve, as an injectable; faults come as the status.
  [[nodiscard]] absl::StatusOr<Id> AddLate(Index module, const ProviderSpec& spec);
  // A node of the transient `id` for `inquirer`; of anything else, itself.
  [[nodiscard]] Id NodeFor(Id id, const Token& inquirer);
  // Adds a class to a module after Resolve that nobody can ask for: what ModuleRef::Create makes.
  [[nodiscard]] absl::StatusOr<Id> AddUnseen(Index module, ProviderSpec spec);

  // What LazyModuleLoader does before anything is made: `import` and all it imports that is not
  // there yet. Faults come as the status, and leave nothing behind.
  struct Load {
    Index module = 0;
    std::size_t modules = 0;  // how many there were before
    std::size_t nodes = 0;
    std::size_t end = 0;       // and after
    std::vector<Index> woken;  // were there, deferred
  };
  [[nodiscard]] absl::StatusOr<Load> BeginLoad(const ModuleImport& import);
  // Undoes it after what it made has failed.
  void RollBack(const Load& load);

  // The nodes of the module by groups that may be initialised at the same time: by level, the
  // module's own class last. After Construct.
  [[nodiscard]] std::vector<std::vector<Id>> InitGroups(Index module) const;
  // Modules in the order of initialisation: deepest first, global ones before all others.
  [[nodiscard]] std::vector<Index> InitOrder() const;

  // "OrderRepository of OrdersModule (registered at orders.cc:12)"
  [[nodiscard]] std::string Describe(Id id) const;
  // "OrderRepository", with namespaces where that would mean two things.
  [[nodiscard]] std::string Name(const Token& token) const;

 private:
  struct Candidates {
    Id id = Container::kAbsent;
    Index from = 0;
    std::optional<Index> other;  // a second module that offers another provider
  };

  std::optional<Index> Visit(const ModuleImport& wanted, std::vector<const Module*>* path,
                             const void* importer = nullptr);
  // What stands in the place of that module for `importer`; null if nothing does.
  [[nodiscard]] const ModuleImport* Substitute(const TypeTag* type, const DynamicContent* dynamic,
                                               const void* importer);
  // Replaces every provider and injectable under the token of `spec` among the nodes from `first`
  // on; whether there was one.
  bool Override(const ProviderSpec& spec, Id first);
  void ApplyOverrides(Id first);
  // Of overrides that have replaced nothing.
  void ReportUnused();
  // Whether there is a mock of `token` now. Asks once.
  bool Mock(const Token& token, std::vector<std::string>* faults);
  void AddProviders(Index index, std::vector<ProviderSpec> statics,
                    std::vector<ProviderSpec> dynamics);
  void SetDistances();
  void VisitForward();
  void CollectExports(Index first);
  void CollectExportsOf(Index index, std::vector<std::string>* faults);
  void MarkDeferred();
  // What a module that is loaded lazily may not have.
  void CheckLazy(const Module& module, std::vector<std::string>* faults) const;
  // Drops the nodes from `first` on.
  void Forget(Id first);
  // Scopes and copies of the nodes from `first` on.
  void FinishScopes(Id first, std::vector<std::string>* faults);
  void ReportScopes(Id first, std::span<const Id> widened, std::vector<std::string>* faults) const;
  void KeepCopies(const std::vector<Id>& copies);
  [[nodiscard]] Id ModuleRefOf(Index module);
  // What All<T> asks for in `module`.
  [[nodiscard]] Id CollectionOf(Index module, const Token& token);
  [[nodiscard]] static std::string_view HowMany(Lifetime lifetime) noexcept;
  [[nodiscard]] Candidates Lookup(Index module, const Token& token);
  void ResolveNode(Id id, std::vector<std::string>* faults);
  // Whether there are none.
  bool ReportCycles(std::vector<std::string>* faults) const;
  [[nodiscard]] std::string Missing(Id id, std::size_t index, const Candidates& found) const;
  [[nodiscard]] std::vector<std::string> Mends(Index module, const Token& token) const;
  [[nodiscard]] std::string Spell(const Dependency& dependency) const;
  [[nodiscard]] std::string Subject(Id id) const;

  Container* container_;
  ModuleHost* host_ = nullptr;
  struct Forward {
    const void* from;
    ModuleImport import;
  };
  std::vector<Forward> forward_;  // to be visited
  bool any_forward_ = false;
  bool any_lazy_ = false;
  bool any_proxy_ = false;
  absl::flat_hash_map<Token, std::vector<Id>> globals_multi_;
  std::vector<Module> modules_;  // imported ones before those who import them
  Index root_ = 0;
  std::vector<std::string> faults_;
  absl::flat_hash_map<const void*, Index> index_;  // by ModuleType or DynamicContent
  absl::flat_hash_map<const void*, bool> visiting_;
  absl::flat_hash_map<const void*, int> count_;  // modules of one class
  absl::flat_hash_map<Token, Candidates> globals_;
  struct Builtin {
    ProviderSpec spec;
    Id id = Container::kAbsent;  // until somebody asks
    bool mock = false;
  };
  absl::flat_hash_map<Token, Builtin> builtins_;
  GraphOverrides overrides_;
  std::vector<bool> module_override_used_;
  std::vector<bool> provider_override_used_;
  absl::flat_hash_map<Token, bool> mocked_;  // what mocks were asked for, and whether there is one
  // Short names to the token they mean, if one only.
  mutable absl::flat_hash_map<std::string, std::vector<Token>> names_;
};

// "orders.cc:12"
[[nodiscard]] std::string At(const std::source_location& where);

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_MODULE_MODULE_GRAPH_H_
