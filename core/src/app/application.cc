#include "rookery/app/application.h"

#include <unistd.h>

#include <algorithm>
#include <exception>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "app/application_impl.h"
#include "app/signals.h"
#include "rookery/module/lazy_module_loader.h"
#include "rookery/pipeline/reflector.h"
#include "rookery/rpc/call_context.h"
#include "rookery/runtime/rpc_exception.h"

namespace rookery {

namespace internal {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxLoopThreads = 1024;

double MillisSince(Deadline start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// What handlers() gives until there are some.
class NoHandlers final : public HandlerRegistry {
 public:
  [[nodiscard]] const Handler* Find(std::string_view) const override { return nullptr; }
  [[nodiscard]] std::span<const Handler* const> all() const override { return {}; }
  void CountRejected(std::string_view, std::string_view,
                     const absl::Status&) const noexcept override {}
};
// What request-scoped and per-loop providers may ask for: Nest's REQUEST, and the loop itself.
// Neither is the container's to keep.
absl::StatusOr<std::shared_ptr<CallContext>> CurrentCall() {
  CallContext* const call = CallContext::Current();
  if (call == nullptr) {
    return absl::FailedPreconditionError("CallContext was asked for where no call runs");
  }
  return std::shared_ptr<CallContext>(std::shared_ptr<void>(), call);
}
std::shared_ptr<Loop> CurrentLoop() {
  return std::shared_ptr<Loop>(std::shared_ptr<void>(), Loop::Current());
}

// Whether nothing is different about a listener.
bool IsUsual(const ListenOptions& how) {
  return how.inherits() && how.enhancers().enhancers().uses().empty();
}

const HandlerRegistry& Nobody() {
  static const NoHandlers nobody;
  return nobody;
}

}  // namespace

const HandlerRegistry& ListenerHost::handlers() const {
  return registry_ == nullptr ? Nobody() : *registry_;
}

ApplicationImpl::ApplicationImpl(ApplicationOptions options)
    : options_(std::move(options)),
      log_(Logger(options_.log).Named(options_.name)),
      stats_(std::make_shared<StatsRegistry>()),
      clock_(ThreadClock()) {}

ApplicationImpl::~ApplicationImpl() { Teardown(); }

std::shared_ptr<LoopPool> ApplicationImpl::SharedLoops() {
  const std::lock_guard<std::mutex> lock(loops_mutex_);
  if (loops_ == nullptr) {
    LoopPool::Options options;
    options.threads = options_.loop_threads;
    options.name = options_.name;
    options.watchdog = options_.watchdog;
    const ClockScope scope(clock_);
    loops_ = std::make_shared<LoopPool>(options);
  }
  return loops_;
}

const HandlerRegistry& ApplicationImpl::handlers() const {
  return registry_ == nullptr ? Nobody() : *registry_;
}

Container::Describe ApplicationImpl::Describe() {
  return [this](Container::Id id) { return DescribeLocked(id); };
}

absl::Status ApplicationImpl::Faulty(std::string_view what, const std::vector<std::string>& faults,
                                     absl::StatusCode code) const {
  const std::string& root = graph_.modules()[graph_.root()].name;
  std::string text =
      absl::StrCat(root, std::string(what),
                   faults.size() == 1 ? ":" : absl::StrCat(", ", faults.size(), " faults:"));
  for (std::size_t i = 0; i < faults.size(); ++i) {
    absl::StrAppend(&text, "\n\n", faults.size() == 1 ? "" : absl::StrCat(i + 1, ". "), faults[i]);
  }
  return absl::Status(code, text);
}

// ---- building -------------------------------------------------------------------------------

std::vector<std::string> ApplicationImpl::CheckOptions() const {
  std::vector<std::string> faults;
  const auto check = [&faults](const char* name, std::chrono::milliseconds value) {
    if (value.count() >= 0) return;
    faults.push_back(absl::StrCat("ApplicationOptions::", name, " is ", value.count(),
                                  " ms, which is no duration.\n    mend: give it 0 or more."));
  };
  check("startup_timeout", options_.startup_timeout);
  check("shutdown_delay", options_.shutdown_delay);
  check("drain_grace", options_.drain_grace);
  check("shutdown_hooks_timeout", options_.shutdown_hooks_timeout);
  check("watchdog", options_.watchdog);
  if (options_.durable.key && options_.durable.max_keys == 0) {
    faults.push_back(
        "ApplicationOptions::durable.max_keys is 0, so nothing durable would last.\n"
        "    mend: give it 1 or more, or leave out durable.key.");
  }
  if (options_.loop_threads > kMaxLoopThreads) {
    faults.push_back(absl::StrCat("ApplicationOptions::loop_threads is ", options_.loop_threads,
                                  ".\n    mend: give it at most ", kMaxLoopThreads,
                                  "; 0 means one per core."));
  }
  return faults;
}

void ApplicationImpl::AddBuiltins() {
  graph_.AddBuiltin(ValueProvider<Logger>(Token::Of<Logger>(), log_));
  graph_.AddBuiltin(ValueProvider<StatsRegistry>(Token::Of<StatsRegistry>(), stats_));
  graph_.AddBuiltin(ValueProvider<TransportHost>(Token::Of<TransportHost>(),
                                                 std::ref(static_cast<TransportHost&>(*this))));
  graph_.AddBuiltin(
      FactoryProvider<LoopPool>(Token::Of<LoopPool>(), [this] { return SharedLoops(); }));
  graph_.AddBuiltin(ClassProvider<Reflector>());
  graph_.AddBuiltin(
      ValueProvider<LazyModuleLoader>(Token::Of<LazyModuleLoader>(), LazyModuleLoader(this)));
  graph_.AddBuiltin(
      ValueProvider<DurableContexts>(Token::Of<DurableContexts>(), DurableContexts(&container_)));
  ProviderSpec call = FactoryProvider<CallContext>(Token::Of<CallContext>(), &CurrentCall);
  call.scope = Scope::kRequest;
  graph_.AddBuiltin(std::move(call));
  ProviderSpec loop = FactoryProvider<Loop>(Token::Of<Loop>(), &CurrentLoop);
  loop.scope = Scope::kPerLoop;
  graph_.AddBuiltin(std::move(loop));
}

void ApplicationImpl::DescribeControllers(std::vector<std::string>* faults) {
  const auto modules = graph_.modules();
  for (ModuleGraph::Index index = 0; index < modules.size(); ++index) {
    // Copies: AddInjectable may not move the vectors, but a reader need not know.
    const std::vector<ModuleGraph::Controller> controllers = modules[index].controllers;
    for (const ModuleGraph::Controller& controller : controllers) {
      Described described{index, controller.id, ControllerBuilder()};
      try {
        controller.describe(described.builder);
      } catch (...) {
        faults->push_back(absl::StrCat(graph_.Describe(controller.id), " failed in Configure: ",
                                       Cause(StatusFromException(std::current_exception())), "."));
        continue;
      }
      OverrideEnhancers(&described.builder);
      for (const ProviderSpec& spec : described.builder.injectables()) {
        graph_.AddInjectable(index, spec);
      }
      controllers_.push_back(std::move(described));
    }
    if (modules[index].enhancers.empty()) continue;
    ModuleEnhancers own{index, GlobalEnhancers()};
    for (const GlobalEnhancerSpec& spec : modules[index].enhancers) spec.describe(own.enhancers);
    OverrideEnhancers(&own.enhancers);
    for (ProviderSpec spec : own.enhancers.injectables()) graph_.AddInjectable(index, spec);
    module_enhancers_.push_back(std::move(own));
  }
}

std::vector<std::string> ApplicationImpl::UnusedOverrides() const {
  static constexpr std::string_view kKinds[] = {"Guard", "Interceptor", "Pipe", "Filter"};
  std::vector<std::string> faults;
  for (std::size_t i = 0; i < enhancer_overrides_.size(); ++i) {
    if (enhancer_override_used_[i]) continue;
    const EnhancerOverride& unused = enhancer_overrides_[i];
    const std::string kind(kKinds[unused.with.function.index()]);
    const std::string name = graph_.Name(unused.replaced);
    faults.push_back(absl::StrCat(
        "Can't override ", name, ": nothing uses it by Use", kind, ", UseGlobal", kind,
        " or Global", kind, ".\n    overridden: ", At(unused.with.where),
        "\n    mend: leave it out; or, if it is injected as a provider, say OverrideProvider<",
        name, ">."));
  }
  return faults;
}

Container::Id ApplicationImpl::EnhancerNode(ModuleGraph::Index module, const Token& user,
                                            const Token& token) const {
  const Container::Id id = graph_.FindEnhancer(module, token);
  if (id == Container::kAbsent || !container_.transient(id)) return id;
  const auto own = own_enhancers_.find(std::tuple(module, user, token));
  return own == own_enhancers_.end() ? Container::kAbsent : own->second;
}

std::shared_ptr<void> ApplicationImpl::EnhancerInstance(Container::Id id) const {
  return id == Container::kAbsent ? nullptr : container_.instance(id);
}

std::optional<std::uint32_t> ApplicationImpl::EnhancerScope(Container::Id id) const {
  if (id == Container::kAbsent || container_.singleton(id)) return std::nullopt;
  return id;
}

void ApplicationImpl::BindTransientEnhancers(ModuleGraph::Index module, const Token& user,
                                             std::span<const ProviderSpec> specs) {
  for (const ProviderSpec& spec : specs) {
    const Container::Id id = graph_.FindEnhancer(module, spec.token);
    if (id == Container::kAbsent || !container_.transient(id)) continue;
    Container::Id& own =
        own_enhancers_.try_emplace(std::tuple(module, user, spec.token), Container::kAbsent)
            .first->second;
    if (own == Container::kAbsent) own = graph_.NodeFor(id, user);
  }
}

void ApplicationImpl::BindTransients() {
  if (!container_.any_scoped()) return;
  for (Described& described : controllers_) {
    const Token user = container_.spec(described.id).token;
    described.node = graph_.NodeFor(described.id, Token());
    BindTransientEnhancers(described.module, user, described.builder.injectables());
  }
  BindTransientEnhancers(graph_.root(), Token(), globals_.injectables());
  for (const Listener& listener : listeners_) {
    BindTransientEnhancers(graph_.root(), Token(), listener.how.enhancers().injectables());
  }
  for (const ModuleEnhancers& own : module_enhancers_) {
    BindTransientEnhancers(own.module, Token(), own.enhancers.injectables());
  }
}

Container::Id ApplicationImpl::EnhancerOf(const Described& described, const Token& token) const {
  return EnhancerNode(described.module, container_.spec(described.id).token, token);
}

std::vector<BoundController> ApplicationImpl::Bind() {
  std::vector<BoundController> bound;
  bound.reserve(controllers_.size());
  for (const Described& described : controllers_) {
    BoundController controller;
    controller.description = &described.builder;
    const Container::Id node = described.node == Container::kAbsent ? described.id : described.node;
    if (container_.singleton(node)) {
      controller.instance = container_.instance(node);
    } else {
      controller.node = node;
    }
    // Two words each, which a std::function holds without allocating.
    const Described* const owner = &described;
    controller.resolve = [this, owner](const Token& token) {
      return EnhancerInstance(EnhancerOf(*owner, token));
    };
    controller.scoped = [this, owner](const Token& token) {
      return EnhancerScope(EnhancerOf(*owner, token));
    };
    controller.module = graph_.modules()[described.module].name;
    controller.where = container_.spec(described.id).where;
    bound.push_back(std::move(controller));
  }
  return bound;
}

std::vector<std::string> ApplicationImpl::Construct(Deadline deadline) {
  TaskRunner runner([this] { return SharedLoops(); }, shared_from_this());
  if (Context* const context = Context::Current();
      context != nullptr && context->Find(kLoading) != nullptr) {
    runner.context().Set(kLoading, true);
  }
  std::vector<std::string> failures = container_.Construct(runner, deadline, Describe());
  if (failures.empty() && container_.has_per_loop()) {
    const std::shared_ptr<LoopPool> loops = SharedLoops();
    failures = container_.ConstructOnLoops(*loops, runner, deadline, Describe());
  }
  if (!runner.Settle()) abandoned_ = true;
  return failures;
}

void ApplicationImpl::WarnOfHooks() {
  if (!container_.any_scoped()) return;
  for (Container::Id id = 0; id < container_.size(); ++id) {
    const ProviderSpec& spec = container_.spec(id);
    const Lifetime lifetime = container_.lifetime(id);
    // Whoever chose the scope knows; this one was made narrower by what it asks for.
    if (spec.hooks == nullptr || spec.scope.has_value() || container_.copy(id) ||
        (lifetime != Lifetime::kCall && lifetime != Lifetime::kDurable)) {
      continue;
    }
    log_.Warn(
        "lifecycle hooks do not run: the provider is made for each call, as something that "
        "it asks for is",
        {{"provider", graph_.Describe(id)}});
  }
}

absl::Status ApplicationImpl::Build(const ModuleImport& root,
                                    const ApplicationOverrides& overrides) {
  std::vector<std::string> faults;
  faults = CheckOptions();
  if (root.type == nullptr) {
    return absl::FailedPreconditionError(
        "The root is a dynamic module without a module in it: it was moved from.");
  }
  container_.set_describe(Describe());
  container_.set_demand([this](Container::Id id) { return Demand(id); });
  if (options_.durable.key) {
    container_.SetDurable(
        [this](Context& call) { return options_.durable.key(static_cast<CallContext&>(call)); },
        options_.durable.max_keys);
  }
  graph_.set_host(this);
  AddBuiltins();
  graph_.SetOverrides(overrides.graph);
  enhancer_overrides_ = overrides.enhancers;
  enhancer_override_used_.assign(enhancer_overrides_.size(), false);
  try {
    graph_.Scan(root);
  } catch (...) {
    return absl::FailedPreconditionError(absl::StrCat(
        ShortTypeName(root.type->type->name), " cannot be built: a module's Define failed: ",
        Cause(StatusFromException(std::current_exception())), "."));
  }
  std::vector<std::string> handlers;
  DescribeControllers(&handlers);
  graph_.Resolve();
  faults.insert(faults.end(), graph_.faults().begin(), graph_.faults().end());
  faults.insert(faults.end(), handlers.begin(), handlers.end());
  const std::vector<BoundController> bound = Bind();
  for (std::string& fault : CheckHandlers(bound)) faults.push_back(std::move(fault));
  if (!faults.empty()) {
    return Faulty(" cannot be built", faults, absl::StatusCode::kFailedPrecondition);
  }
  WarnOfHooks();
  faults = Construct(Clock::now() + options_.startup_timeout);
  if (!faults.empty()) {
    return Faulty(" cannot be built", faults, absl::StatusCode::kFailedPrecondition);
  }
  built_ = true;
  return absl::OkStatus();
}

// ---- starting -------------------------------------------------------------------------------

absl::Status ApplicationImpl::AddEnhancers(const GlobalEnhancers& enhancers) {
  for (const ProviderSpec& spec : enhancers.injectables()) {
    absl::StatusOr<Container::Id> id = graph_.AddLate(graph_.root(), spec);
    if (!id.ok()) return id.status();
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<HandlerRegistry>> ApplicationImpl::CompileFor(
    const ListenOptions* how) {
  const bool inherits = how == nullptr || how->inherits();
  std::vector<BoundEnhancers> enhancers;
  const auto bind = [&](const GlobalEnhancers& own, ModuleGraph::Index module, bool hooks_only) {
    BoundEnhancers bound;
    bound.enhancers = &own;
    bound.resolve = [this, module](const Token& token) {
      return EnhancerInstance(EnhancerNode(module, Token(), token));
    };
    bound.scoped = [this, module](const Token& token) {
      return EnhancerScope(EnhancerNode(module, Token(), token));
    };
    bound.hooks_only = hooks_only;
    enhancers.push_back(std::move(bound));
  };
  // app.UseGlobal... first, then the providers of modules: Nest's order.
  bind(globals_, graph_.root(), !inherits);
  for (const ModuleEnhancers& own : module_enhancers_) bind(own.enhancers, own.module, !inherits);
  if (how != nullptr) bind(how->enhancers(), graph_.root(), false);
  return CompileHandlers(Bind(), std::move(enhancers), *stats_, options_.accept_baggage,
                         &container_);
}

absl::Status ApplicationImpl::CompileListener(Listener* listener) {
  const ListenOptions& how = listener->how;
  if (IsUsual(how)) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<HandlerRegistry>> registry = CompileFor(&how);
  if (!registry.ok()) return registry.status();
  listener->host = std::make_unique<ListenerHost>(*this, *std::move(registry));
  return absl::OkStatus();
}

absl::Status ApplicationImpl::PrepareLateListener(Listener* listener) {
  if (IsUsual(listener->how)) return absl::OkStatus();
  GlobalEnhancers& enhancers = listener->how.enhancers();
  OverrideEnhancers(&enhancers);
  const std::lock_guard<std::mutex> loading(load_mutex_);
  {
    const std::lock_guard<std::mutex> lock(graph_mutex_);
    if (absl::Status status = AddEnhancers(enhancers); !status.ok()) return status;
    BindTransientEnhancers(graph_.root(), Token(), enhancers.injectables());
  }
  const std::vector<std::string> failures = Construct(StartupDeadline());
  if (!failures.empty())
    return Faulty(" cannot listen", failures, absl::StatusCode::kFailedPrecondition);
  const std::lock_guard<std::mutex> lock(graph_mutex_);
  return CompileListener(listener);
}

absl::Status ApplicationImpl::Compile() {
  // Enhancers that the application itself named: classes are made now, in the root module.
  OverrideEnhancers(&globals_);
  for (const Listener& listener : listeners_) OverrideEnhancers(&listener.how.enhancers());
  if (const std::vector<std::string> unused = UnusedOverrides(); !unused.empty()) {
    return Faulty(" cannot be started", unused, absl::StatusCode::kFailedPrecondition);
  }
  {
    const std::lock_guard<std::mutex> lock(graph_mutex_);
    if (absl::Status status = AddEnhancers(globals_); !status.ok()) return status;
    for (const Listener& listener : listeners_) {
      if (absl::Status status = AddEnhancers(listener.how.enhancers()); !status.ok()) return status;
    }
    BindTransients();
  }
  const std::vector<std::string> failures = Construct(Clock::now() + options_.startup_timeout);
  if (!failures.empty()) {
    return Faulty(" cannot be started", failures, absl::StatusCode::kFailedPrecondition);
  }
  absl::StatusOr<std::unique_ptr<HandlerRegistry>> registry = CompileFor(nullptr);
  if (!registry.ok()) return registry.status();
  registry_ = *std::move(registry);
  for (Listener& listener : listeners_) {
    if (absl::Status status = CompileListener(&listener); !status.ok()) return status;
  }
  // With the host: a caller in SyncWait may leave before its call has ended, which goes on there.
  local_ = std::make_shared<LocalEndpoint>(static_cast<TransportHost&>(*this));
  return absl::OkStatus();
}

std::shared_ptr<Channel> ApplicationImpl::OpenLocal() {
  return std::make_shared<LocalChannel>(local_);
}

std::vector<std::string> ApplicationImpl::RunInitHooks(HookPhase phase, Deadline deadline) {
  std::vector<std::string> failures;
  TaskRunner runner([this] { return SharedLoops(); }, shared_from_this());
  hooked_.resize(container_.size(), false);
  std::vector<ModuleGraph::Index> order;
  {
    const std::lock_guard<std::mutex> lock(graph_mutex_);
    order = graph_.InitOrder();
  }
  for (const ModuleGraph::Index module : order) {
    std::vector<std::vector<Container::Id>> groups;
    {
      const std::lock_guard<std::mutex> lock(graph_mutex_);
      groups = graph_.InitGroups(module);
    }
    for (const std::vector<Container::Id>& group : groups) {
      std::vector<Container::Id> failed;
      failures = container_.RunHooks(phase, group, ShutdownSignal(), runner, deadline, Describe(),
                                     &failed);
      if (phase == HookPhase::kOnModuleInit) {
        for (const Container::Id id : group) {
          if (id >= hooked_.size()) continue;
          hooked_[id] = std::find(failed.begin(), failed.end(), id) == failed.end();
        }
      }
      if (!failures.empty()) {
        if (!runner.Settle()) abandoned_ = true;
        return failures;
      }
    }
  }
  return failures;
}

absl::Status ApplicationImpl::Init() {
  {
    const std::lock_guard<std::mutex> lock(init_mutex_);
    if (phase_ != Phase::kBuilt) {
      return phase_.load() >= Phase::kClosing
                 ? absl::FailedPreconditionError("the application is closed; make a new one")
                 : absl::OkStatus();
    }
    if (absl::Status status = Compile(); !status.ok()) return status;
    // From here on hooks may ask for clients, from whichever thread they run on.
    phase_ = Phase::kInitialised;
  }
  const Deadline deadline = Clock::now() + options_.startup_timeout;
  for (const HookPhase phase : {HookPhase::kOnModuleInit, HookPhase::kOnApplicationBootstrap}) {
    const std::vector<std::string> failures = RunInitHooks(phase, deadline);
    if (failures.empty()) continue;
    absl::Status status =
        Faulty(" cannot be started", failures, absl::StatusCode::kFailedPrecondition);
    // Who is initialised is told to let go again.
    Close(ShutdownSignal());
    return status;
  }
  WriteGraph();
  return absl::OkStatus();
}

TransportHost& ApplicationImpl::HostOf(std::size_t listener) noexcept {
  ListenerHost* const own = listeners_[listener].host.get();
  return own == nullptr ? static_cast<TransportHost&>(*this) : *own;
}

absl::Status ApplicationImpl::AddTransport(std::unique_ptr<ServerTransport> transport,
                                           const ListenOptions& how) {
  Listener listener{how, nullptr};
  if (initialised()) {
    absl::Status status = PrepareLateListener(&listener);
    if (!status.ok()) {
      return absl::Status(
          status.code(),
          absl::StrCat("Can't listen on ", std::string(transport->name()), ": ", status.message()));
    }
  }
  listeners_.push_back(std::move(listener));
  transports_.push_back(std::move(transport));
  if (phase_ != Phase::kStarted) return absl::OkStatus();
  ServerTransport& added = *transports_.back();
  TransportHost& host = HostOf(transports_.size() - 1);
  if (absl::Status status = added.Start(host); !status.ok()) {
    absl::Status failed(status.code(), absl::StrCat("Can't listen on ", std::string(added.name()),
                                                    ": ", status.message()));
    transports_.pop_back();
    listeners_.pop_back();
    return failed;
  }
  started_ = transports_.size();
  {
    const std::scoped_lock lock(running_mutex_);
    running_.push_back(&added);
  }
  log_.Info("listening", {{"on", added.name()}, {"endpoint", added.endpoint()}});
  return absl::OkStatus();
}

absl::Status ApplicationImpl::Start() {
  if (phase_ == Phase::kStarted) return absl::OkStatus();
  const Deadline began = Clock::now();
  if (absl::Status status = Init(); !status.ok()) return status;
  for (const std::unique_ptr<ServerTransport>& transport : transports_) {
    absl::Status status;
    try {
      status = transport->Start(HostOf(started_));
    } catch (...) {
      status = StatusFromException(std::current_exception());
    }
    if (!status.ok()) {
      absl::Status failed(
          status.code(),
          absl::StrCat("Can't listen on ", std::string(transport->name()), ": ", Cause(status)));
      transport->Stop();
      Close(ShutdownSignal());
      return failed;
    }
    ++started_;
    {
      const std::scoped_lock lock(running_mutex_);
      running_.push_back(transport.get());
    }
    log_.Info("listening", {{"on", transport->name()}, {"endpoint", transport->endpoint()}});
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    phase_ = Phase::kStarted;
  }
  ready_.store(true, std::memory_order_release);
  log_.Info("ready", {{"modules", graph_.modules().size()},
                      {"providers", container_.size()},
                      {"handlers", handlers().all().size()},
                      {"listeners", started_},
                      {"ms", MillisSince(began)}});
  return absl::OkStatus();
}

std::vector<std::string> ApplicationImpl::Endpoints() const {
  std::vector<std::string> endpoints;
  for (std::size_t i = 0; i < started_; ++i) endpoints.push_back(transports_[i]->endpoint());
  return endpoints;
}

// ---- running --------------------------------------------------------------------------------

int ApplicationImpl::Run() {
  const SignalWatcher watcher(options_.signals, [this](int number) {
    const ShutdownSignal signal(number);
    bool second = false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      second = std::exchange(signalled_, true);
    }
    if (!second) {
      RequestStop(signal);
      return;
    }
    log_.Error("second signal: ending at once", {{"signal", signal.name()}});
    log_.Flush();
    // No destructors: they are what may be stuck.
    _exit(128 + number);
  });
  absl::Status status = watcher.status();
  if (status.ok()) status = Start();
  if (!status.ok()) {
    log_.Error("cannot start", {{"why", Cause(status)}});
    log_.Flush();
    Close(ShutdownSignal());
    return 1;
  }
  ShutdownSignal signal;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return stop_requested_ || phase_ >= Phase::kClosing; });
    signal = stop_signal_;
  }
  Close(signal);
  return 0;
}

void ApplicationImpl::RequestStop(ShutdownSignal signal) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stop_requested_) return;
  stop_requested_ = true;
  stop_signal_ = signal;
  changed_.notify_all();
}

// ---- shutting down --------------------------------------------------------------------------

void ApplicationImpl::Close(ShutdownSignal signal) noexcept {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    if (phase_ >= Phase::kClosing) {
      changed_.wait(lock, [this] { return phase_ == Phase::kClosed; });
      return;
    }
    const bool begun = phase_ != Phase::kBuilt;
    phase_ = begun ? Phase::kClosing : Phase::kClosed;
    changed_.notify_all();
    if (!begun) return;
  }
  Shutdown(signal);
  const std::lock_guard<std::mutex> lock(mutex_);
  phase_ = Phase::kClosed;
  changed_.notify_all();
}

void ApplicationImpl::Shutdown(ShutdownSignal signal) noexcept {
  const Deadline began = Clock::now();
  const bool served = started_ > 0;
  const bool was_ready = ready_.exchange(false);
  if (was_ready) {
    log_.Info("shutting down: not ready", {{"signal", signal ? signal.name() : "none"}});
  }
  for (std::size_t i = 0; i < started_; ++i) transports_[i]->NotReady();
  if (served && options_.shutdown_delay.count() > 0) {
    std::this_thread::sleep_for(options_.shutdown_delay);
  }
  for (std::size_t i = 0; i < started_; ++i) transports_[i]->StopIntake();
  if (served) log_.Info("shutting down: no new calls");

  // One deadline for all: while one listener is waited for, the calls of the others end as well.
  const Deadline grace = Clock::now() + options_.drain_grace;
  std::size_t cancelled = 0;
  for (std::size_t i = 0; i < started_; ++i) cancelled += transports_[i]->Drain(grace);
  // Last: what the listeners let in may have called in this process.
  if (local_ != nullptr) cancelled += local_->Drain(grace);
  if (served) {
    log_.Write(cancelled == 0 ? LogLevel::kInfo : LogLevel::kWarn, "shutting down: drained",
               {{"cancelled", cancelled}, {"ms", MillisSince(began)}});
  }

  const Deadline hooks = Clock::now() + options_.shutdown_hooks_timeout;
  RunShutdownHooks(HookPhase::kOnModuleDestroy, signal, hooks);
  RunShutdownHooks(HookPhase::kBeforeApplicationShutdown, signal, hooks);
  StopTransports();
  RunShutdownHooks(HookPhase::kOnApplicationShutdown, signal, hooks);
  if (was_ready) log_.Info("shut down", {{"ms", MillisSince(began)}});
  log_.Flush();
}

bool ApplicationImpl::ready() const noexcept {
  if (!ready_.load(std::memory_order_acquire)) return false;
  const std::scoped_lock lock(running_mutex_);
  return std::all_of(running_.begin(), running_.end(), [](const ServerTransport* transport) {
    return transport->CheckHealth().ok();
  });
}

StatsSnapshot ApplicationImpl::Stats() const {
  StatsSnapshot stats = stats_->Snapshot();
  const std::scoped_lock lock(running_mutex_);
  for (const ServerTransport* const transport : running_) transport->AddStats(&stats);
  return stats;
}

void ApplicationImpl::StopTransports() noexcept {
  {
    const std::scoped_lock lock(running_mutex_);
    running_.clear();
  }
  for (std::size_t i = started_; i-- > 0;) transports_[i]->Stop();
  if (started_ > 0) log_.Info("shutting down: listeners closed");
}

void ApplicationImpl::RunShutdownHooks(HookPhase phase, ShutdownSignal signal,
                                       Deadline deadline) noexcept {
  if (hooked_.empty()) return;
  TaskRunner runner([this] { return SharedLoops(); }, shared_from_this());
  std::vector<ModuleGraph::Index> order;
  {
    const std::lock_guard<std::mutex> lock(graph_mutex_);
    order = graph_.InitOrder();
  }
  std::reverse(order.begin(), order.end());
  for (const ModuleGraph::Index module : order) {
    std::vector<std::vector<Container::Id>> groups;
    {
      const std::lock_guard<std::mutex> lock(graph_mutex_);
      groups = graph_.InitGroups(module);
    }
    std::reverse(groups.begin(), groups.end());
    for (std::vector<Container::Id>& group : groups) {
      std::erase_if(group,
                    [this](Container::Id id) { return id >= hooked_.size() || !hooked_[id]; });
      std::reverse(group.begin(), group.end());
      for (const std::string& failure :
           container_.RunHooks(phase, group, signal, runner, deadline, Describe())) {
        log_.Error("a shutdown hook failed; the others run", {{"why", failure}});
      }
    }
  }
  if (!runner.Settle()) abandoned_ = true;
}

void ApplicationImpl::Teardown() noexcept {
  {
    const std::lock_guard<std::mutex> lock(load_mutex_);
    torn_down_ = true;
  }
  std::shared_ptr<LoopPool> loops;
  {
    const std::lock_guard<std::mutex> lock(loops_mutex_);
    loops = loops_;
  }
  // What is posted ends first; nothing runs on the loops while instances go.
  if (loops != nullptr) loops->Stop();
  local_.reset();
  registry_.reset();
  for (const Listener& listener : listeners_) {
    if (listener.host != nullptr) listener.host->DropHandlers();
  }
  if (!abandoned_) container_.Destroy();
  transports_.clear();
}

}  // namespace internal

// ---- the face -------------------------------------------------------------------------------

ApplicationError::ApplicationError(const absl::Status& status)
    : std::runtime_error(std::string(status.message())), status_(status) {}

ApplicationContext::ApplicationContext(std::shared_ptr<internal::ApplicationImpl> impl) noexcept
    : impl_(std::move(impl)) {}
ApplicationContext::ApplicationContext(ApplicationContext&&) noexcept = default;
ApplicationContext& ApplicationContext::operator=(ApplicationContext&& other) noexcept {
  if (this != &other) {
    ApplicationContext old(std::move(impl_));
    impl_ = std::move(other.impl_);
  }
  return *this;
}
ApplicationContext::~ApplicationContext() {
  if (impl_ == nullptr) return;
  impl_->Close(ShutdownSignal());
  impl_->Teardown();
}

absl::StatusOr<Application> Application::Build(internal::ModuleImport root,
                                               ApplicationOptions options,
                                               internal::ApplicationOverrides overrides) {
  std::shared_ptr<internal::ApplicationImpl> impl;
  try {
    impl = std::make_shared<internal::ApplicationImpl>(std::move(options));
  } catch (...) {
    return StatusFromException(std::current_exception());  // the log's file cannot be opened
  }
  Logger::SetDefault(impl->log());
  Application app(impl);
  if (absl::Status status = impl->Build(root, overrides); !status.ok()) return status;
  return app;
}

absl::Status ApplicationContext::TryInit() { return impl_->Init(); }
int ApplicationContext::Run() { return impl_->Run(); }
void ApplicationContext::RequestStop() noexcept { impl_->RequestStop(ShutdownSignal()); }
void ApplicationContext::Close() noexcept { impl_->Close(ShutdownSignal()); }

std::shared_ptr<void> ApplicationContext::Find(const Token& token) {
  absl::StatusOr<std::shared_ptr<void>> found =
      impl_->GetInstance(impl_->root(), token, Lookup::kAnywhere);
  OrThrow(found.status());
  return *std::move(found);
}

ModuleRef ApplicationContext::Root() { return ModuleRef(impl_.get(), impl_->root()); }

ModuleRef ApplicationContext::SelectModule(const internal::TypeTag* type) {
  absl::StatusOr<ModuleRef> module = impl_->Select(type);
  OrThrow(module.status());
  return *module;
}

std::shared_ptr<Channel> ApplicationContext::LocalChannel() {
  OrThrow(impl_->Init());
  return impl_->OpenLocal();
}

StatsSnapshot ApplicationContext::Stats() const { return impl_->Stats(); }
const Logger& ApplicationContext::log() const noexcept { return impl_->log(); }
TransportHost& ApplicationContext::host() noexcept { return *impl_; }

absl::Status Application::TryStart() { return impl().Start(); }

void Application::AddTransport(std::unique_ptr<ServerTransport> transport,
                               const ListenOptions& how) {
  OrThrow(impl().AddTransport(std::move(transport), how));
}

GlobalEnhancers& Application::globals() {
  if (impl().initialised()) {
    throw ApplicationError(
        absl::FailedPreconditionError("UseGlobal... comes too late: the handlers are compiled. "
                                      "Call it before Start, Init and the "
                                      "first Client()."));
  }
  return impl().globals();
}

std::vector<std::string> Application::Endpoints() const { return impl().Endpoints(); }
bool Application::ready() const noexcept { return impl().ready(); }

}  // namespace rookery
