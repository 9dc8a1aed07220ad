// Application: modules, wired and running, with listeners in front of them.
//
//   int main() {
//     auto app = rookery::Application::Create<AppModule>();
//     app.Listen(Grpc{.address = "0.0.0.0:50051"});
//     return app.Run();                    // until SIGTERM; then drains and runs the shutdown
//         hooks
//   }
//
// Create looks at everything that can be wrong before it constructs anything, and reports all
// faults at once. See docs/modules.md for modules and docs/getting-started.md for the whole.
#ifndef ROOKERY_APP_APPLICATION_H_
#define ROOKERY_APP_APPLICATION_H_

#include <chrono>
#include <csignal>
#include <cstddef>
#include <memory>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/di/durable.h"
#include "rookery/di/provider.h"
#include "rookery/di/scope.h"
#include "rookery/di/token.h"
#include "rookery/module/module_builder.h"
#include "rookery/module/module_ref.h"
#include "rookery/module/overrides.h"
#include "rookery/pipeline/enhancers.h"
#include "rookery/platform/log.h"
#include "rookery/rpc/baggage.h"
#include "rookery/rpc/channel.h"
#include "rookery/rpc/stats.h"
#include "rookery/rpc/transport.h"

namespace rookery {

struct ApplicationGraph;

// How an application runs. All durations are upper limits.
struct ApplicationOptions {
  std::string name = "rookery";  // of its threads, and in its logs
  std::size_t loop_threads = 0;  // 0: one per core
  // A handler that holds a loop longer than this is named in the log; zero: off.
  std::chrono::milliseconds watchdog{0};

  // For asynchronous factories, OnModuleInit and OnApplicationBootstrap together.
  std::chrono::milliseconds startup_timeout{60'000};
  // Shutdown, in this order: how long to go on serving after the node has said that it is not ready
  // (so that load balancers hear of it); how long calls in flight may take to end before they are
  // cancelled; how long the shutdown hooks may take together.
  std::chrono::milliseconds shutdown_delay{0};
  std::chrono::milliseconds drain_grace{20'000};
  std::chrono::milliseconds shutdown_hooks_timeout{5'000};
  // What ends Run(). Other signals are left alone, and so are these outside Run().
  std::vector<int> signals = {SIGTERM, SIGINT};

  // What durable providers are kept by: a tenant, say.
  DurableOptions durable;

  LogOptions log;
  // What callers' baggage may set in this node's CLS. Nothing by default: baggage is untrusted.
  BaggageAllowList accept_baggage;
};

// Thrown where an application cannot be built, started or asked for something. what() is for people
// and lists all faults.
class ApplicationError final : public std::runtime_error {
 public:
  explicit ApplicationError(const absl::Status& status);
  // FAILED_PRECONDITION for faults of wiring, else what the cause had.
  [[nodiscard]] const absl::Status& status() const noexcept { return status_; }

 private:
  absl::Status status_;
};

// How one listener differs from the others: see Application::Listen. A handle: copies are the same.
//
//   app.Listen(Nats{...});                                     // as everywhere
//   app.Listen(Grpc{.address = "127.0.0.1:9000"},              // its own guard alone
//              ListenOptions().InheritGlobalEnhancers(false).UseGuard<OperatorGuard>());
class ListenOptions final {
 public:
  ListenOptions() : enhancers_(std::make_shared<GlobalEnhancers>()) {}

  // Whether its calls go through the application's global guards, interceptors, pipes and filters:
  // those of Application::UseGlobal... and those that modules provide (GlobalGuard and kin). They
  // do unless it says otherwise: what protects one way in protects all. (Nest: inheritAppConfig,
  // whose default is false.) Pre-request hooks run in any case.
  ListenOptions& InheritGlobalEnhancers(bool inherit) {
    inherit_ = inherit;
    return *this;
  }

  // Enhancers for every controller, for calls that come in here; they stand after (filters: are
  // asked before) the global ones. A class is injected as a provider of the root module is, and of
  // a listener that comes after Start its lifecycle hooks do not run; an instance is used as it is.
  template <class G>
  ListenOptions& UseGuard() {
    enhancers_->UseGuard<G>();
    return *this;
  }
  template <class G>
  ListenOptions& UseGuard(std::shared_ptr<G> guard) {
    enhancers_->UseGuard(std::move(guard));
    return *this;
  }
  template <class I>
  ListenOptions& UseInterceptor() {
    enhancers_->UseInterceptor<I>();
    return *this;
  }
  template <class I>
  ListenOptions& UseInterceptor(std::shared_ptr<I> interceptor) {
    enhancers_->UseInterceptor(std::move(interceptor));
    return *this;
  }
  template <class P>
  ListenOptions& UsePipe() {
    enhancers_->UsePipe<P>();
    return *this;
  }
  template <class P>
  ListenOptions& UsePipe(std::shared_ptr<P> pipe) {
    enhancers_->UsePipe(std::move(pipe));
    return *this;
  }
  template <class F>
  ListenOptions& UseFilter() {
    enhancers_->UseFilter<F>();
    return *this;
  }
  template <class F>
  ListenOptions& UseFilter(std::shared_ptr<F> filter) {
    enhancers_->UseFilter(std::move(filter));
    return *this;
  }

  // For the framework.
  [[nodiscard]] bool inherits() const noexcept { return inherit_; }
  [[nodiscard]] GlobalEnhancers& enhancers() const noexcept { return *enhancers_; }

 private:
  bool inherit_ = true;
  std::shared_ptr<GlobalEnhancers> enhancers_;
};

namespace internal {

class ApplicationImpl;

template <class M>
ModuleImport RootImport() {
  ModuleImport root;
  root.type = StaticModuleType<M>();
  root.where = std::source_location::current();
  return root;
}

// What a TestingModule replaces.
struct ApplicationOverrides {
  GraphOverrides graph;
  std::vector<EnhancerOverride> enhancers;
};

template <class O>
concept ServerTransportOptions = requires(const O& options) {
  { MakeServerTransport(options) } -> std::convertible_to<std::unique_ptr<ServerTransport>>;
};
template <class O>
concept ChannelOptions = requires(const O& options, TransportHost& host) {
  { MakeChannel(options, host) } -> std::convertible_to<std::shared_ptr<Channel>>;
};

}  // namespace internal

// What a program has of its modules: their providers, and their life. An Application is one that
// also serves; by itself it is Nest's standalone application, for workers, cron jobs and
// command-line tools:
//
//   int main() {
//     auto app = rookery::Application::CreateContext<JobsModule>();
//     return rookery::SyncWait(app.Get<Cleanup>().Run());
//   }
//
// Movable. One thread builds, runs and closes it; Get, GetAll, Resolve, Select, Client, Stats,
// Graph and RequestStop may be called from any thread while it runs. Destroying it closes it.
class ApplicationContext {
 public:
  ApplicationContext(ApplicationContext&&) noexcept;
  ApplicationContext& operator=(ApplicationContext&&) noexcept;
  ~ApplicationContext();

  // Compiles the handlers, then runs OnModuleInit and OnApplicationBootstrap. CreateContext and
  // Application::Start do it; tests may want it alone. Once; later calls do nothing.
  void Init() { OrThrow(TryInit()); }
  [[nodiscard]] absl::Status TryInit();

  // Serves (where there are listeners) until one of ApplicationOptions::signals, RequestStop() or
  // Close(); then shuts down as Close does. Starts first, if that was not done. Returns the
  // process's exit code: 0, or 1 when it could not start, with the reason in the log. A second
  // signal during the shutdown ends the process at once, with exit code 128 + signal.
  [[nodiscard]] int Run();
  // Makes Run() return, after a shutdown. Any thread, handlers included; returns at once.
  void RequestStop() noexcept;
  // Not ready -> no new calls -> calls in flight end, or are cancelled after the grace ->
  // OnModuleDestroy and BeforeApplicationShutdown -> listeners close -> OnApplicationShutdown. A
  // hook that fails is logged and the others run. Blocks; not from a handler. Idempotent: a second
  // caller waits for the first.
  void Close() noexcept;

  // The singleton of T that the root module sees, else the only one in the application; a
  // controller, too. Throws ApplicationError if there is none, or no telling which, and for what is
  // request-scoped or transient: Resolve that. Valid as long as the application. On a loop's thread
  // it gives that loop's instance of what there is one of per loop.
  template <class T>
  [[nodiscard]] T& Get() {
    return *static_cast<T*>(Find(Token::Of<T>()).get());
  }
  template <class T>
  [[nodiscard]] T& Get(const InjectionToken<T>& token) {
    return *static_cast<T*>(Find(token).get());
  }
  // Every singleton under the token of T, whichever module it is in; those of ProvideMulti too.
  template <class T>
  [[nodiscard]] std::vector<T*> GetAll() {
    return Root().template GetAll<T>(Lookup::kAnywhere);
  }

  // T within a context of its own, or within the context `id`: the same id, the same instance. As
  // ModuleRef::Resolve; looks where Get does.
  template <class T>
  [[nodiscard]] Task<std::shared_ptr<T>> Resolve() {
    return Root().template Resolve<T>(Lookup::kAnywhere);
  }
  template <class T>
  [[nodiscard]] Task<std::shared_ptr<T>> Resolve(ContextId id) {
    return Root().template Resolve<T>(std::move(id), Lookup::kAnywhere);
  }
  template <class T>
  [[nodiscard]] Task<std::shared_ptr<T>> Resolve(const InjectionToken<T>& token, ContextId id) {
    return Root().Resolve(token, std::move(id), Lookup::kAnywhere);
  }

  // The module M, for its own providers: app.Select<OrdersModule>().Get<OrderRepository>(). Of
  // several dynamic modules of the class M, the first. Throws ApplicationError if it is not there.
  template <class M>
  [[nodiscard]] ModuleRef Select() {
    return SelectModule(&internal::kTypeTag<M>);
  }

  // A client onto this application's own controllers, in this process, through the whole pipeline.
  // Runs Init if that was not done. The application must outlive it.
  template <class X>
  [[nodiscard]] X Client() {
    return X(LocalChannel());
  }
  // A client over a transport: app.Client<OrdersClient>(Grpc{.address = "orders:50051"}).
  template <class X, class O>
  [[nodiscard]] X Client(const O& options) {
    static_assert(
        internal::ChannelOptions<O>,
        "rookery: Client(options): these are no options of a client transport; include its "
        "header, e.g. rookery/transports/grpc.h");
    return X(MakeChannel(options, host()));
  }

  // Its modules, providers and who asks for whom, as they are now: include rookery/app/graph.h.
  [[nodiscard]] ApplicationGraph Graph() const;
  // All counters, now.
  [[nodiscard]] StatsSnapshot Stats() const;
  [[nodiscard]] const Logger& log() const noexcept;
  // What it lends to transports.
  [[nodiscard]] TransportHost& host() noexcept;

 protected:
  explicit ApplicationContext(std::shared_ptr<internal::ApplicationImpl> impl) noexcept;

  static void OrThrow(const absl::Status& status) {
    if (!status.ok()) throw ApplicationError(status);
  }
  [[nodiscard]] internal::ApplicationImpl& impl() const noexcept { return *impl_; }

 private:
  [[nodiscard]] std::shared_ptr<void> Find(const Token& token);
  [[nodiscard]] ModuleRef Root();
  [[nodiscard]] ModuleRef SelectModule(const internal::TypeTag* type);
  [[nodiscard]] std::shared_ptr<Channel> LocalChannel();

  std::shared_ptr<internal::ApplicationImpl> impl_;
};

// See the top of this file. Movable. One thread builds, starts, runs and closes it; Get, Client,
// Stats, ready and RequestStop may be called from any thread while it runs. Destroying it closes
// it.
class Application final : public ApplicationContext {
 public:
  // Builds the application whose root module is M: collects its modules, checks everything, then
  // constructs all providers and controllers. Throws ApplicationError with all faults.
  template <class M>
  [[nodiscard]] static Application Create(ApplicationOptions options = {}) {
    return OrThrow(TryCreate<M>(std::move(options)));
  }
  [[nodiscard]] static Application Create(const DynamicModule& root,
                                          ApplicationOptions options = {}) {
    return OrThrow(TryCreate(root, std::move(options)));
  }
  // The same without exceptions.
  template <class M>
  [[nodiscard]] static absl::StatusOr<Application> TryCreate(ApplicationOptions options = {}) {
    return Build(internal::RootImport<M>(), std::move(options), {});
  }
  [[nodiscard]] static absl::StatusOr<Application> TryCreate(const DynamicModule& root,
                                                             ApplicationOptions options = {}) {
    return Build(internal::ImportOf(root, std::source_location::current()), std::move(options), {});
  }

  // One without listeners, initialised: for what serves nobody. It may have controllers, which its
  // own Client<X>() calls. Throws ApplicationError with all faults, and if an initialising hook
  // fails.
  template <class M>
  [[nodiscard]] static ApplicationContext CreateContext(ApplicationOptions options = {}) {
    return InitContext(Create<M>(std::move(options)));
  }
  [[nodiscard]] static ApplicationContext CreateContext(const DynamicModule& root,
                                                        ApplicationOptions options = {}) {
    return InitContext(Create(root, std::move(options)));
  }

  Application(Application&&) noexcept = default;
  Application& operator=(Application&&) noexcept = default;
  ~Application() = default;

  // Serves on a transport too: app.Listen(Grpc{.address = "0.0.0.0:50051"}). Before Start nothing
  // is bound yet; afterwards it is bound at once, and a failure is thrown as ApplicationError.
  // `how`: what is different about it, see ListenOptions.
  template <class O>
  Application& Listen(const O& options, const ListenOptions& how = ListenOptions()) {
    static_assert(
        internal::ServerTransportOptions<O>,
        "rookery: Listen(options): these are no options of a server transport; include its "
        "header, e.g. rookery/transports/grpc.h");
    AddTransport(MakeServerTransport(options), how);
    return *this;
  }

  // Enhancers for every controller on every transport, unless a listener says that it does not
  // inherit them: see ListenOptions. A class is injected as a provider of the
  // root module is; an instance is used as it is. Before Start (or the first Client()) only.
  template <class G>
  Application& UseGlobalGuard() {
    globals().UseGuard<G>();
    return *this;
  }
  template <class G>
  Application& UseGlobalGuard(std::shared_ptr<G> guard) {
    globals().UseGuard(std::move(guard));
    return *this;
  }
  template <class I>
  Application& UseGlobalInterceptor() {
    globals().UseInterceptor<I>();
    return *this;
  }
  template <class I>
  Application& UseGlobalInterceptor(std::shared_ptr<I> interceptor) {
    globals().UseInterceptor(std::move(interceptor));
    return *this;
  }
  template <class P>
  Application& UseGlobalPipe() {
    globals().UsePipe<P>();
    return *this;
  }
  template <class P>
  Application& UseGlobalPipe(std::shared_ptr<P> pipe) {
    globals().UsePipe(std::move(pipe));
    return *this;
  }
  template <class F>
  Application& UseGlobalFilter() {
    globals().UseFilter<F>();
    return *this;
  }
  template <class F>
  Application& UseGlobalFilter(std::shared_ptr<F> filter) {
    globals().UseFilter(std::move(filter));
    return *this;
  }
  // What runs before the guards of every call: see rookery/pipeline/pre_request.h. Nest's
  // registerPreRequestHook.
  template <class H>
  Application& UsePreRequestHook() {
    globals().UsePreRequestHook<H>();
    return *this;
  }
  template <class H>
  Application& UsePreRequestHook(std::shared_ptr<H> hook) {
    globals().UsePreRequestHook(std::move(hook));
    return *this;
  }

  // Init, then binds all listeners, in the order given. When one fails, those before it are closed,
  // the shutdown hooks run, and ApplicationError says which and why.
  void Start() { OrThrow(TryStart()); }
  [[nodiscard]] absl::Status TryStart();

  // Where it listens, in the order of Listen: "127.0.0.1:50051". Empty before Start.
  [[nodiscard]] std::vector<std::string> Endpoints() const;
  // Started, not shutting down, and no listener says that it gets nowhere (a worker whose broker
  // refuses it, say).
  [[nodiscard]] bool ready() const noexcept;

  // For the framework: see rookery/app/testing.h.
  [[nodiscard]] static absl::StatusOr<Application> Build(internal::ModuleImport root,
                                                         ApplicationOptions options,
                                                         internal::ApplicationOverrides overrides);

 private:
  using ApplicationContext::ApplicationContext;
  using ApplicationContext::OrThrow;

  static Application OrThrow(absl::StatusOr<Application> app) {
    OrThrow(app.status());
    return *std::move(app);
  }
  static ApplicationContext InitContext(Application app) {
    app.Init();
    return ApplicationContext(std::move(app));
  }
  void AddTransport(std::unique_ptr<ServerTransport> transport, const ListenOptions& how);
  [[nodiscard]] GlobalEnhancers& globals();
};

}  // namespace rookery

#endif  // ROOKERY_APP_APPLICATION_H_
