// ModuleRef: asks a module for its providers at run time.
//
//   class Jobs {
//    public:
//     explicit Jobs(rookery::ModuleRef& modules) : modules_(modules) {}
//     rookery::Task<void> Run() {
//       Mailer& mailer = modules_.Get<Mailer>();                              // a singleton
//       std::shared_ptr<Report> report = co_await modules_.Resolve<Report>();  // one of its own
//       std::shared_ptr<Export> job = co_await modules_.Create<Export>();      // provided nowhere
//     }
//   };
//
// Every module has one, for all its providers. What a constructor can ask for outright is checked
// at start-up and costs nothing later: prefer that.
#ifndef ROOKERY_MODULE_MODULE_REF_H_
#define ROOKERY_MODULE_MODULE_REF_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "rookery/di/provider.h"
#include "rookery/di/resolution_error.h"
#include "rookery/di/scope.h"
#include "rookery/di/token.h"
#include "rookery/module/module_builder.h"
#include "rookery/runtime/task.h"

namespace rookery {

class ModuleRef;

// Where a provider is looked for.
enum class Lookup : std::uint8_t {
  kStrict,    // in this module alone: its own providers, controllers and enhancers
  kAnywhere,  // what this module sees, else the only one in the whole application
};

// What ModuleRef::Introspect tells of a provider: its scope as it turned out, by what it asks for.
struct Introspection {
  Scope scope = Scope::kSingleton;
  bool durable = false;
};

namespace internal {

// What an application does for its ModuleRefs. Thread-safe.
class ModuleHost {
 public:
  using Module = std::uint32_t;
  [[nodiscard]] virtual absl::StatusOr<std::shared_ptr<void>> GetInstance(Module module,
                                                                          const Token& token,
                                                                          Lookup lookup) = 0;
  [[nodiscard]] virtual std::vector<std::shared_ptr<void>> GetInstances(Module module,
                                                                        const Token& token,
                                                                        Lookup lookup) = 0;
  [[nodiscard]] virtual Task<std::shared_ptr<void>> ResolveInstance(Module module, Token token,
                                                                    ContextId id,
                                                                    Lookup lookup) = 0;
  [[nodiscard]] virtual Task<std::shared_ptr<void>> CreateInstance(Module module, ProviderSpec spec,
                                                                   ContextId id) = 0;
  [[nodiscard]] virtual absl::StatusOr<Introspection> IntrospectProvider(Module module,
                                                                         const Token& token,
                                                                         Lookup lookup) = 0;
  [[nodiscard]] virtual Task<ModuleRef> LoadModule(ModuleImport import) = 0;
  [[nodiscard]] virtual std::string ModuleName(Module module) = 0;

 protected:
  ~ModuleHost() = default;
};

template <class T>
Task<std::shared_ptr<T>> CastInstance(Task<std::shared_ptr<void>> task) {
  std::shared_ptr<void> instance = co_await std::move(task);
  co_return std::static_pointer_cast<T>(std::move(instance));
}

}  // namespace internal

// See the top of this file. A handle of a module; copyable; valid as long as the application. Its
// functions may be called from any thread once the application is built; all but Get, GetAll and
// Introspect make what they give in the context of who awaits them. Failures of wiring come as
// ResolutionError; what a provider's own constructor or factory fails with comes as it is.
class ModuleRef final {
 public:
  // "OrdersModule"; "OrdersModule#2" for the second of a class.
  [[nodiscard]] std::string name() const { return host_->ModuleName(module_); }

  // The singleton T of this module (or, per loop, the instance of the loop that this thread runs).
  // T may be a controller. Throws ResolutionError for what is not there, and for transient and
  // request-scoped providers: Resolve those.
  template <class T>
  [[nodiscard]] T& Get(Lookup lookup = Lookup::kStrict) const {
    return *static_cast<T*>(Take(host_->GetInstance(module_, Token::Of<T>(), lookup)).get());
  }
  template <class T>
  [[nodiscard]] T& Get(const InjectionToken<T>& token, Lookup lookup = Lookup::kStrict) const {
    return *static_cast<T*>(Take(host_->GetInstance(module_, token, lookup)).get());
  }

  // All singletons under the token of T: in this module, or in every one; those of ProvideMulti
  // too. Nest's `each: true`. None is fine.
  template <class T>
  [[nodiscard]] std::vector<T*> GetAll(Lookup lookup = Lookup::kStrict) const {
    return All<T>(host_->GetInstances(module_, Token::Of<T>(), lookup));
  }
  template <class T>
  [[nodiscard]] std::vector<T*> GetAll(const InjectionToken<T>& token,
                                       Lookup lookup = Lookup::kStrict) const {
    return All<T>(host_->GetInstances(module_, token, lookup));
  }

  // T within a context of its own, as each time: a transient or request-scoped provider is made
  // anew, together with what it depends on. All of that lives as long as what is returned.
  template <class T>
  [[nodiscard]] Task<std::shared_ptr<T>> Resolve(Lookup lookup = Lookup::kStrict) const {
    return Resolve<T>(ContextId::New(), lookup);
  }
  // T within the context `id`: the same id, the same instance. ContextId::Current() is that of the
  // call. What is returned keeps the context's instances alive.
  template <class T>
  [[nodiscard]] Task<std::shared_ptr<T>> Resolve(ContextId id,
                                                 Lookup lookup = Lookup::kStrict) const {
    return internal::CastInstance<T>(
        host_->ResolveInstance(module_, Token::Of<T>(), std::move(id), lookup));
  }
  template <class T>
  [[nodiscard]] Task<std::shared_ptr<T>> Resolve(const InjectionToken<T>& token, ContextId id,
                                                 Lookup lookup = Lookup::kStrict) const {
    return internal::CastInstance<T>(host_->ResolveInstance(module_, token, std::move(id), lookup));
  }

  // A T that no module provides, made of what this module sees. Not kept, and no hook of it runs;
  // what it depends on below singletons lives as long as it does.
  template <class T>
  [[nodiscard]] Task<std::shared_ptr<T>> Create(
      std::source_location where = std::source_location::current()) const {
    return Create<T>(ContextId::New(), where);
  }
  template <class T>
  [[nodiscard]] Task<std::shared_ptr<T>> Create(
      ContextId id, std::source_location where = std::source_location::current()) const {
    return internal::CastInstance<T>(
        host_->CreateInstance(module_, ClassProvider<T>(where), std::move(id)));
  }

  // What is known of T.
  template <class T>
  [[nodiscard]] Introspection Introspect(Lookup lookup = Lookup::kStrict) const {
    return Take(host_->IntrospectProvider(module_, Token::Of<T>(), lookup));
  }
  template <class T>
  [[nodiscard]] Introspection Introspect(const InjectionToken<T>& token,
                                         Lookup lookup = Lookup::kStrict) const {
    return Take(host_->IntrospectProvider(module_, token, lookup));
  }

  // For the framework.
  ModuleRef(internal::ModuleHost* host, internal::ModuleHost::Module module) noexcept
      : host_(host), module_(module) {}

 private:
  template <class V>
  static V Take(absl::StatusOr<V> value) {
    if (!value.ok()) throw ResolutionError(value.status());
    return *std::move(value);
  }
  template <class T>
  static std::vector<T*> All(const std::vector<std::shared_ptr<void>>& instances) {
    std::vector<T*> all;
    all.reserve(instances.size());
    for (const std::shared_ptr<void>& one : instances) all.push_back(static_cast<T*>(one.get()));
    return all;
  }

  internal::ModuleHost* host_;
  internal::ModuleHost::Module module_;
};

}  // namespace rookery

#endif  // ROOKERY_MODULE_MODULE_REF_H_
