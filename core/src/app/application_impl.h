// ApplicationImpl: what an Application is made of, and the order in which it comes and goes.
#ifndef ROOKERY_SRC_APP_APPLICATION_IMPL_H_
#define ROOKERY_SRC_APP_APPLICATION_IMPL_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "di/container.h"
#include "module/module_graph.h"
#include "rookery/app/application.h"
#include "rookery/app/graph.h"
#include "rookery/module/module_ref.h"
#include "rookery/pipeline/compile.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/pipeline/enhancers.h"
#include "rookery/rpc/handler.h"
#include "rookery/rpc/local_channel.h"
#include "rookery/runtime/fake_clock.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/semaphore.h"

namespace rookery::internal {

// Set where a module is being loaded: its own providers cannot load another meanwhile.
inline constexpr ContextKey<bool> kLoading{"rookery.loading"};

// The application, as a listener knows it whose calls go through enhancers of its own.
class ListenerHost final : public TransportHost {
 public:
  // `app` outlives it.
  ListenerHost(TransportHost& app, std::unique_ptr<HandlerRegistry> registry) noexcept
      : app_(app), registry_(std::move(registry)) {}
  [[nodiscard]] const HandlerRegistry& handlers() const override;
  [[nodiscard]] LoopPool& loops() override { return app_.loops(); }
  [[nodiscard]] bool ready() const noexcept override { return app_.ready(); }
  [[nodiscard]] StatsSnapshot Stats() const override { return app_.Stats(); }
  [[nodiscard]] std::vector<std::shared_ptr<void>> Provided(const Token& token) override {
    return app_.Provided(token);
  }
  // Before the instances go that they point at.
  void DropHandlers() noexcept { registry_.reset(); }

 private:
  TransportHost& app_;
  std::unique_ptr<HandlerRegistry> registry_;
};

// Shared by the Application and by nothing else but tasks that ignored their deadline.
class ApplicationImpl final : public TransportHost,
                              public ModuleHost,
                              public std::enable_shared_from_this<ApplicationImpl> {
 public:
  explicit ApplicationImpl(ApplicationOptions options);
  ~ApplicationImpl() override;

  // Checks and constructs.
  [[nodiscard]] absl::Status Build(const ModuleImport& root, const ApplicationOverrides& overrides);
  [[nodiscard]] absl::Status Init();
  [[nodiscard]] absl::Status Start();
  [[nodiscard]] int Run();
  void RequestStop(ShutdownSignal signal) noexcept;
  void Close(ShutdownSignal signal) noexcept;
  // Destroys all instances, last made first.
  void Teardown() noexcept;

  [[nodiscard]] absl::Status AddTransport(std::unique_ptr<ServerTransport> transport,
                                          const ListenOptions& how);
  [[nodiscard]] bool initialised() const noexcept { return phase_ >= Phase::kInitialised; }
  [[nodiscard]] GlobalEnhancers& globals() noexcept { return globals_; }
  [[nodiscard]] Module root() const noexcept { return graph_.root(); }
  [[nodiscard]] absl::StatusOr<ModuleRef> Select(const TypeTag* type);
  // After Init.
  [[nodiscard]] std::shared_ptr<Channel> OpenLocal();
  [[nodiscard]] std::vector<std::string> Endpoints() const;
  [[nodiscard]] ApplicationGraph Graph();
  [[nodiscard]] const Logger& log() const noexcept { return log_; }

  // TransportHost
  [[nodiscard]] const HandlerRegistry& handlers() const override;
  [[nodiscard]] LoopPool& loops() override { return *SharedLoops(); }
  // Started, not shutting down, and every listener gets on with its work.
  [[nodiscard]] bool ready() const noexcept override;
  [[nodiscard]] StatsSnapshot Stats() const override;
  [[nodiscard]] std::vector<std::shared_ptr<void>> Provided(const Token& token) override;

  // ModuleHost
  [[nodiscard]] absl::StatusOr<std::shared_ptr<void>> GetInstance(Module module, const Token& token,
                                                                  Lookup lookup) override;
  [[nodiscard]] std::vector<std::shared_ptr<void>> GetInstances(Module module, const Token& token,
                                                                Lookup lookup) override;
  [[nodiscard]] Task<std::shared_ptr<void>> ResolveInstance(Module module, Token token,
                                                            ContextId id, Lookup lookup) override;
  [[nodiscard]] Task<std::shared_ptr<void>> CreateInstance(Module module, ProviderSpec spec,
                                                           ContextId id) override;
  [[nodiscard]] absl::StatusOr<Introspection> IntrospectProvider(Module module, const Token& token,
                                                                 Lookup lookup) override;
  [[nodiscard]] Task<ModuleRef> LoadModule(ModuleImport import) override;
  [[nodiscard]] std::string ModuleName(Module module) override;

 private:
  enum class Phase { kBuilt, kInitialised, kStarted, kClosing, kClosed };

  [[nodiscard]] std::shared_ptr<LoopPool> SharedLoops();
  // Where ROOKERY_GRAPH says, if it does.
  void WriteGraph();
  // As it turned out.
  [[nodiscard]] Introspection ScopeOf(Container::Id id) const;
  [[nodiscard]] std::vector<std::string> CheckOptions() const;
  void AddBuiltins();
  // Of enhancers that a test replaces, in `enhancers`.
  template <class Enhancers>
  void OverrideEnhancers(Enhancers* enhancers) {
    for (std::size_t i = 0; i < enhancer_overrides_.size(); ++i) {
      if (enhancers->Override(enhancer_overrides_[i])) enhancer_override_used_[i] = true;
    }
  }
  [[nodiscard]] std::vector<std::string> UnusedOverrides() const;
  // Of hooks that will not run because of a scope that nobody chose.
  void WarnOfHooks();
  void DescribeControllers(std::vector<std::string>* faults);
  [[nodiscard]] std::vector<BoundController> Bind();
  // Gives each who uses a transient enhancer, and each transient controller, an instance to use.
  void BindTransients();
  void BindTransientEnhancers(ModuleGraph::Index module, const Token& user,
                              std::span<const ProviderSpec> specs);
  // Has the classes that the application, or a listener, named made in the root module. Under
  // graph_mutex_.
  [[nodiscard]] absl::Status AddEnhancers(const GlobalEnhancers& enhancers);
  // As a listener's calls go through them: null for what all the others go through.
  [[nodiscard]] absl::StatusOr<std::unique_ptr<HandlerRegistry>> CompileFor(
      const ListenOptions* how);
  // The node of the enhancer `token` that `user` uses in `module`; kAbsent if there is none.
  [[nodiscard]] Container::Id EnhancerNode(ModuleGraph::Index module, const Token& user,
                                           const Token& token) const;
  [[nodiscard]] std::shared_ptr<void> EnhancerInstance(Container::Id id) const;
  [[nodiscard]] std::optional<std::uint32_t> EnhancerScope(Container::Id id) const;
  [[nodiscard]] absl::StatusOr<Container::Id> Locate(Module module, const Token& token,
                                                     Lookup lookup);
  // `id` within `context`, made where that is current.
  [[nodiscard]] Task<std::shared_ptr<void>> ResolveNode(Container::Id id, ContextId context);
  // Loads the module of a provider that was put off.
  [[nodiscard]] Task<void> Demand(Container::Id id);
  // The blocking part of LoadModule.
  [[nodiscard]] absl::StatusOr<ModuleGraph::Index> LoadHere(const ModuleImport& import);
  [[nodiscard]] absl::Status Compile();
  [[nodiscard]] std::vector<std::string> Construct(Deadline deadline);
  // Runs an initialising phase, deepest module first; remembers who got through.
  [[nodiscard]] std::vector<std::string> RunInitHooks(HookPhase phase, Deadline deadline);
  // Runs a phase of the shutdown in exact reverse; logs failures.
  void RunShutdownHooks(HookPhase phase, ShutdownSignal signal, Deadline deadline) noexcept;
  void Shutdown(ShutdownSignal signal) noexcept;
  void StopTransports() noexcept;
  [[nodiscard]] absl::Status Faulty(std::string_view what, const std::vector<std::string>& faults,
                                    absl::StatusCode code) const;
  [[nodiscard]] Container::Describe Describe();
  [[nodiscard]] std::string DescribeLocked(Container::Id id);
  [[nodiscard]] Deadline StartupDeadline() const {
    return std::chrono::steady_clock::now() + options_.startup_timeout;
  }

  const ApplicationOptions options_;
  Logger log_;
  std::shared_ptr<StatsRegistry> stats_;
  const std::shared_ptr<SharedClock> clock_;  // a test's; null: the system's
  std::mutex loops_mutex_;
  std::shared_ptr<LoopPool> loops_;  // guarded by loops_mutex_
  Container container_;
  ModuleGraph graph_{&container_};
  // Of the graph, and of what is added to the container once the application is built. Never held
  // while users' code runs.
  std::mutex graph_mutex_;
  Semaphore loading_{1};
  // Held while a module is loaded, on a thread that is no loop's: the application waits for it.
  std::mutex load_mutex_;
  bool torn_down_ = false;  // guarded by load_mutex_
  std::atomic<bool> built_{false};
  // What ModuleRef::Create makes, by module and class. Guarded by graph_mutex_.
  absl::flat_hash_map<std::pair<Module, const void*>, Container::Id> created_;

  struct Described {
    ModuleGraph::Index module;
    Container::Id id;
    ControllerBuilder builder;
    Container::Id node = Container::kAbsent;  // its own, if `id` is transient
  };
  [[nodiscard]] Container::Id EnhancerOf(const Described& described, const Token& token) const;
  std::vector<Described> controllers_;
  // Copies of transient enhancers: by module, who uses it, and what.
  absl::flat_hash_map<std::tuple<ModuleGraph::Index, Token, Token>, Container::Id> own_enhancers_;
  struct ModuleEnhancers {
    ModuleGraph::Index module;
    GlobalEnhancers enhancers;
  };
  std::vector<ModuleEnhancers> module_enhancers_;
  GlobalEnhancers globals_;
  std::vector<EnhancerOverride> enhancer_overrides_;
  std::vector<bool> enhancer_override_used_;
  std::unique_ptr<HandlerRegistry> registry_;
  std::shared_ptr<LocalEndpoint> local_;  // what Client<X>() calls

  // What is different about a listener.
  struct Listener {
    ListenOptions how;
    std::unique_ptr<ListenerHost> host;  // null: nothing
  };
  // What a listener's transport is started with, once it is compiled.
  [[nodiscard]] TransportHost& HostOf(std::size_t listener) noexcept;
  [[nodiscard]] absl::Status CompileListener(Listener* listener);
  // Its own enhancers are made, too: for one that comes after the start.
  [[nodiscard]] absl::Status PrepareLateListener(Listener* listener);
  std::vector<Listener> listeners_;  // as transports_, which go first
  std::vector<std::unique_ptr<ServerTransport>> transports_;
  // Those that are started and not closed, for other threads to ask.
  mutable std::mutex running_mutex_;
  std::vector<const ServerTransport*> running_;  // guarded by running_mutex_
  std::size_t started_ = 0;                      // how many of them
  std::vector<bool> hooked_;  // by node: OnModuleInit succeeded, so the shutdown hooks are due
  std::atomic<bool> ready_{false};
  bool abandoned_ = false;  // a task that may still touch the instances ignored its deadline

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::mutex init_mutex_;                    // for a first Client() from several threads
  std::atomic<Phase> phase_{Phase::kBuilt};  // kClosing and on: under mutex_
  bool stop_requested_ = false;              // guarded by mutex_
  ShutdownSignal stop_signal_;               // guarded by mutex_
  bool signalled_ = false;                   // guarded by mutex_: the next signal ends the process
};

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_APP_APPLICATION_IMPL_H_
