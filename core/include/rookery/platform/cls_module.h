// ClsModule: prepares the context of every call, on every transport, before anything of yours runs.
//
//   rookery::ClsOptions options;
//   options.id.header = "x-correlation-id";                 // taken over from callers, and sent on
//   options.setup = [](rookery::ClsRequest& request) {      // may fail, may be a coroutine
//     rookery::Cls::Set(kTenant, std::string(request.Header("x-tenant").value_or("public")));
//   };
//   module.Import(rookery::ClsModule::ForRoot(options))
//       .Import(rookery::ClsModule::ForFeature<CurrentUser>());   // gives Proxy<CurrentUser>
//
// What nestjs-cls gives Node. CLS itself (platform/cls.h) works without it; import it where calls
// are to begin with values, or with ids of your own making. See docs/context.md.
#ifndef ROOKERY_PLATFORM_CLS_MODULE_H_
#define ROOKERY_PLATFORM_CLS_MODULE_H_

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "rookery/di/proxy.h"
#include "rookery/di/scope.h"
#include "rookery/module/configurable_module.h"
#include "rookery/module/dynamic_module.h"
#include "rookery/platform/cls.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/task.h"

namespace rookery {

class CallContext;
class ExecutionContext;
class Logger;
class ModuleRef;
namespace internal {
struct RequestIdPolicy;
}  // namespace internal

// What a context is prepared for: a call, or what a gateway has received and has not made one of
// yet. A small value; valid as long as that.
class ClsRequest final {
 public:
  // The first value under a lower-case name, or nullopt.
  using Headers = std::function<std::optional<std::string_view>(std::string_view name)>;

  // A call: its headers are its metadata.
  explicit ClsRequest(CallContext& call);
  // The same, once the pipeline knows what it is for.
  explicit ClsRequest(ExecutionContext& execution);
  // Anything else that arrives with headers: a gateway's request, a message of one's own. `context`
  // is where its values go, `carrier` says what brought it ("http").
  ClsRequest(Context& context, std::string_view carrier, Headers headers)
      : context_(&context), carrier_(carrier), headers_(std::move(headers)) {}

  [[nodiscard]] Context& context() const noexcept { return *context_; }
  // The first value that came under the name, whose case does not matter; nullopt if there is none.
  // Callers can write what they like there.
  [[nodiscard]] std::optional<std::string_view> Header(std::string_view name) const;
  // "grpc", "inproc", "http", ...; empty for a job.
  [[nodiscard]] std::string_view carrier() const noexcept { return carrier_; }
  // The call; null if it is none (yet).
  [[nodiscard]] CallContext* call() const noexcept { return call_; }
  // The method, the message and so on: null before the pipeline.
  [[nodiscard]] ExecutionContext* execution() const noexcept { return execution_; }

 private:
  Context* context_;
  CallContext* call_ = nullptr;
  ExecutionContext* execution_ = nullptr;
  std::string_view carrier_;
  Headers headers_;
};

// What is done to each context: a function of a ClsRequest& that returns nothing, absl::Status, or
// a Task of either. It runs in the context, so Cls::Set goes there. What it fails with, or throws,
// the call fails with. Called from all loops at the same time.
class ClsSetup final {
 public:
  ClsSetup() = default;
  template <class F>
    requires(!std::same_as<std::decay_t<F>, ClsSetup>)
  ClsSetup(F&& function) {  // NOLINT(google-explicit-constructor): options.setup = [](...) {...}
    using Plain = std::decay_t<F>;
    constexpr bool kTakes = std::is_invocable_v<Plain&, ClsRequest&>;
    static_assert(kTakes, "rookery: ClsOptions::setup: pass a function of a rookery::ClsRequest&");
    constexpr bool kCopies = std::is_copy_constructible_v<Plain>;
    static_assert(kCopies,
                  "rookery: ClsOptions::setup: the function must be copyable; share what it keeps "
                  "with std::shared_ptr");
    if constexpr (kTakes && kCopies) {
      using R = std::invoke_result_t<Plain&, ClsRequest&>;
      if constexpr (std::is_void_v<R>) {
        now_ = [function = Plain(std::forward<F>(function))](ClsRequest& request) mutable {
          function(request);
          return absl::OkStatus();
        };
      } else if constexpr (std::same_as<R, absl::Status>) {
        now_ = std::forward<F>(function);
      } else if constexpr (std::same_as<R, Task<void>>) {
        later_ = std::forward<F>(function);
      } else if constexpr (std::same_as<R, Task<absl::Status>>) {
        later_ = [function = Plain(std::forward<F>(function))](ClsRequest& request) mutable {
          return OrFail(function(request));
        };
      } else {
        static_assert(std::is_void_v<R>,
                      "rookery: ClsOptions::setup must return nothing, absl::Status, "
                      "rookery::Task<void> or rookery::Task<absl::Status>");
      }
    }
  }

  // For the framework: at most one is set.
  [[nodiscard]] const std::function<absl::Status(ClsRequest&)>& now() const noexcept {
    return now_;
  }
  [[nodiscard]] const std::function<Task<void>(ClsRequest&)>& later() const noexcept {
    return later_;
  }

 private:
  static Task<void> OrFail(Task<absl::Status> task);

  std::function<absl::Status(ClsRequest&)> now_;
  std::function<Task<void>(ClsRequest&)> later_;
};

// Where calls are prepared.
enum class ClsMount : std::uint8_t {
  // Before the guards, and before the call's request-scoped providers are made; on every listener.
  // nestjs-cls's middleware.
  kMiddleware,
  // As a global guard, after those of the application and of modules named before: request-scoped
  // controllers and enhancers are made before that. Not on listeners that do not inherit global
  // enhancers.
  kGuard,
  // As a global interceptor: guards see nothing of it.
  kInterceptor,
  // Nowhere: for who calls ClsInitializer::Prepare.
  kNone,
};

// The request's id: what Cls::Id() and CallContext::request_id() give. As it is, these say what
// happens without ClsModule, too.
struct ClsIdOptions {
  // Where an id comes in, and goes out: a name of metadata, in lower case. Empty: neither.
  std::string header = "x-request-id";
  // Whether a caller's id is taken over, if it is at most `max_length` characters (1 to 1024) of
  // printable ASCII, and `acceptable`, or else of [A-Za-z0-9._:-]. Any other is ignored.
  bool take_over = true;
  std::size_t max_length = 128;
  std::function<bool(std::string_view id)> acceptable;
  // Makes an id where none was taken over; called from all loops at the same time. By default: 32
  // random hex digits. What is longer, or is not printable ASCII, is replaced by such.
  std::function<std::string(const ClsRequest& request)> generate;
  // To whom it is told: to those that are called below, under `header`; in every line of the log.
  bool send = true;
  bool log = true;
};

// What ClsModule::ForRoot is given.
struct ClsOptions {
  ClsMount mount = ClsMount::kMiddleware;
  ClsIdOptions id;
  ClsSetup setup;
  // Whether what ForFeature and ForFeatureAsync named is made now, after `setup`: then Proxy::get()
  // never finds one whose Task nobody has awaited. Otherwise each is made when it is first asked
  // for.
  bool resolve_proxy_providers = true;
};

namespace internal {

// A proxy provider, to be made with the context. One for each that ForFeature names.
class ClsProxyProvider {
 public:
  [[nodiscard]] Task<std::shared_ptr<void>> Resolve() const { return cell_->Resolve(); }

 protected:
  explicit ClsProxyProvider(std::shared_ptr<LazyCell> cell) noexcept : cell_(std::move(cell)) {}
  ~ClsProxyProvider() = default;

 private:
  std::shared_ptr<LazyCell> cell_;
};

template <class T>
class ClsProxyProviderOf final : public ClsProxyProvider {
 public:
  explicit ClsProxyProviderOf(Proxy<T> proxy) : ClsProxyProvider(proxy.cell()) {}
};

// The module that ForFeature makes.
struct ClsFeatureModule {};

}  // namespace internal

// Prepares contexts as ClsOptions say. ClsModule::ForRoot exports it, for those who receive
// requests themselves (a gateway) and for jobs that are to begin as calls do. Thread-safe.
//
//   co_await cls_.Run([this] { return Nightly(); });
class ClsInitializer final {
 public:
  // For the container.
  ClsInitializer(const ClsOptions& options, ModuleRef& module, Logger& log);
  ClsInitializer(const ClsInitializer&) = delete;
  ClsInitializer& operator=(const ClsInitializer&) = delete;

  // Gives the request's context its id, unless it has one; runs the setup; makes the proxy
  // providers. Fails as these fail. Once a context: where that went well before, nothing happens.
  // To be awaited in that context, which ends after the task.
  [[nodiscard]] Task<void> Prepare(ClsRequest request);

  // Runs `function` in a context of its own that is prepared as a call's, without headers. It
  // returns a Task; the result is awaited. nestjs-cls's UseCls, for jobs and consumers.
  template <class Fn>
  [[nodiscard]] auto Run(Fn function) {
    return Run(ClsRunOptions(ClsNesting::kOverride), std::move(function));
  }
  template <class Fn>
  [[nodiscard]] auto Run(const ClsRunOptions& options, Fn function) {
    using R = std::invoke_result_t<Fn&>;
    constexpr bool kIsTask = internal::TaskValue<R>::kIsTask;
    static_assert(kIsTask,
                  "rookery: ClsInitializer::Run: the function must return a rookery::Task");
    if constexpr (kIsTask) {
      using T = typename internal::TaskValue<R>::Type;
      return Cls::Run(options, [this, function = std::move(function)]() mutable {
        return Prepared<T, Fn>(function);
      });
    }
  }

  // For the framework: whether Prepare may suspend, and Prepare where it does not.
  [[nodiscard]] bool waits() const;
  [[nodiscard]] absl::Status PrepareNow(ClsRequest& request);
  [[nodiscard]] ClsMount mount() const noexcept { return options_.mount; }

 private:
  template <class T, class Fn>
  Task<T> Prepared(Fn& function) {
    Task<void> prepare = PrepareCurrent();
    co_await std::move(prepare);
    Task<T> task = function();
    if constexpr (std::is_void_v<T>) {
      co_await std::move(task);
    } else {
      T result = co_await std::move(task);
      co_return std::move(result);
    }
  }
  [[nodiscard]] Task<void> PrepareCurrent();
  // Whether it is to be prepared; sets the id the first time. End says that it is.
  [[nodiscard]] bool Begin(ClsRequest& request);
  void End(ClsRequest& request);
  void SetId(ClsRequest& request);
  [[nodiscard]] std::string TakenOver(const ClsRequest& request) const;
  [[nodiscard]] std::string MakeId(const ClsRequest& request);
  [[nodiscard]] const std::vector<internal::ClsProxyProvider*>& proxies() const;

  const ClsOptions& options_;
  ModuleRef& module_;
  Logger& log_;
  bool own_ids_;                                             // unlike those that calls have anyway
  std::shared_ptr<const internal::RequestIdPolicy> policy_;  // null: the usual
  mutable std::once_flag found_;
  mutable std::vector<internal::ClsProxyProvider*> proxies_;
  std::atomic<bool> warned_{false};
};

// See the top of this file.
//
//   ForRoot(ClsOptions), ForRootAsync(...): once for the application. As all ConfigurableRoots:
//       docs/configurable-modules.md; ModuleExtras::is_global makes Cls and ClsInitializer visible
//       everywhere. Calls are prepared everywhere in any case.
//   ForFeature<T...>(): proxy providers, in the module that imports it: each T is made once a
//       context, with what its constructor asks for; singletons take a rookery::Proxy<T>.
//   ForFeatureAsync<T>(function): the same, made by a function whose parameters are injected; it
//       may return a Task. By token: ForFeatureAsync(kToken, function) and Proxy<Inject<kToken>>.
//
// What their constructors ask for must be visible in the module that these make: import it there,
// ClsModule::ForFeature<CurrentUser>().Import<UsersModule>().
//
// Importing ClsModule itself gives Cls alone.
struct ClsModule final : ConfigurableRoot<ClsModule, ClsOptions> {
  using Where = std::source_location;

  static void Define(ModuleBuilder& module);
  static absl::Status CheckOptions(const ClsOptions& options);
  static void ApplyExtras(DynamicModule& module, const ModuleExtras& extras);

  template <class... T>
  [[nodiscard]] static DynamicModule ForFeature(Where where = Where::current()) {
    DynamicModule module = DynamicModule::Of<internal::ClsFeatureModule>(where);
    (AddProxy<T>(module.Provide<T>(Scope::kRequest, where).template Export<T>(where), where), ...);
    return module;
  }
  template <class T, class F>
  [[nodiscard]] static DynamicModule ForFeatureAsync(F&& function, Where where = Where::current()) {
    DynamicModule module = DynamicModule::Of<internal::ClsFeatureModule>(where);
    module.template ProvideFactory<T>(std::forward<F>(function), Scope::kRequest, where);
    AddProxy<T>(module.template Export<T>(where), where);
    return module;
  }
  template <const auto& kToken, class F>
  [[nodiscard]] static DynamicModule ForFeatureAsync(F&& function, Where where = Where::current()) {
    DynamicModule module = DynamicModule::Of<internal::ClsFeatureModule>(where);
    module.ProvideFactory(kToken, std::forward<F>(function), Scope::kRequest, where);
    AddProxy<Inject<kToken>>(module.Export(kToken, where), where);
    return module;
  }

 private:
  template <class T>
  static void AddProxy(DynamicModule& module, Where where) {
    module.ProvideMulti<internal::ClsProxyProvider, internal::ClsProxyProviderOf<T>>(where);
  }
};

}  // namespace rookery

#endif  // ROOKERY_PLATFORM_CLS_MODULE_H_
