// ModuleBuilder: what a module consists of. A module is any struct with a static Define.
//
//   struct OrdersModule {
//     static void Define(rookery::ModuleBuilder& module) {
//       module.Import<DatabaseModule>()
//           .Controller<OrdersController>()
//           .Provide<OrderRepository>()          // constructor parameters are deduced and injected
//           .Export<OrderRepository>();
//     }
//   };
//
// A provider sees the providers of its own module, what the modules imported there export (the
// first import that has it wins), and what global modules export, in this order. See
// docs/modules.md.
#ifndef ROOKERY_MODULE_MODULE_BUILDER_H_
#define ROOKERY_MODULE_MODULE_BUILDER_H_

#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
#include <vector>

#include "rookery/di/provider.h"
#include "rookery/di/token.h"

namespace rookery {

class ControllerBuilder;
class DynamicModule;
class GlobalEnhancers;
class ModuleBuilder;

// Import<ForwardRef<M>>() imports a module that imports this one, directly or not: Nest's
// forwardRef(() => M). Of the imports that make up a circle one at least has to be such.
template <class M>
struct ForwardRef {};

// Defined in rookery/pipeline/controller_builder.h, which comes with every generated service
// header.
template <class C>
void DescribeController(ControllerBuilder& controller);
template <class G>
void DescribeGlobalGuard(GlobalEnhancers& enhancers);
template <class I>
void DescribeGlobalInterceptor(GlobalEnhancers& enhancers);
template <class P>
void DescribeGlobalPipe(GlobalEnhancers& enhancers);
template <class F>
void DescribeGlobalFilter(GlobalEnhancers& enhancers);
template <class H>
void DescribePreRequestHook(GlobalEnhancers& enhancers);

namespace internal {

template <class M>
struct IsForwardRef : std::false_type {
  using Module = M;
};
template <class M>
struct IsForwardRef<ForwardRef<M>> : std::true_type {
  using Module = M;
};

// A module's class, with its type erased. One constant a type.
struct ModuleType {
  const TypeTag* type;
  void (*define)(ModuleBuilder& module);  // null: the class has no Define (dynamic modules only)
  ProviderSpec (*self)();                 // the class itself, as a provider
};

template <class M>
concept DefinesModule = requires(ModuleBuilder& module) { M::Define(module); };

template <class M>
ProviderSpec ModuleSelf() {
  return ClassProvider<M>();
}
template <class M>
constexpr ModuleType MakeModuleType() {
  ModuleType type{&kTypeTag<M>, nullptr, &ModuleSelf<M>};
  if constexpr (DefinesModule<M>) {
    type.define = [](ModuleBuilder& module) { M::Define(module); };
  }
  return type;
}
template <class M>
inline constexpr ModuleType kModuleType = MakeModuleType<M>();

template <class M>
constexpr const ModuleType* StaticModuleType() {
  static_assert(DefinesModule<M>,
                "rookery: M is not a module: give it a public "
                "`static void Define(rookery::ModuleBuilder& module)`");
  return &kModuleType<M>;
}

struct DynamicContent;

struct ModuleImport {
  const ModuleType* type = nullptr;
  std::shared_ptr<DynamicContent> dynamic;  // null for a module known by its class
  std::source_location where;
  bool forward = false;  // may close a circle
  bool lazy = false;     // checked at start-up, made when it is needed
};
struct ModuleExport {
  Token token;                              // a provider, or a module's class
  std::shared_ptr<DynamicContent> dynamic;  // re-exports this one
  std::source_location where;
};
struct ControllerSpec {
  ProviderSpec provider;
  void (*describe)(ControllerBuilder& controller) = nullptr;
};
struct GlobalEnhancerSpec {
  void (*describe)(GlobalEnhancers& enhancers) = nullptr;
  std::source_location where;
};

// All that a module's Define (or a DynamicModule) has said, in the order said.
struct ModuleDefinition {
  std::vector<ModuleImport> imports;
  std::vector<ProviderSpec> providers;
  std::vector<ControllerSpec> controllers;
  std::vector<ModuleExport> exports;
  std::vector<GlobalEnhancerSpec> enhancers;
  bool global = false;
};

struct DynamicContent {
  const ModuleType* type = nullptr;
  ModuleDefinition definition;
  std::source_location where;
  bool lazy = false;  // stands for the module of that class itself, made when it is needed
};

}  // namespace internal

// The verbs of ModuleBuilder and DynamicModule. Each returns the builder, so they chain.
template <class Self>
class ModuleVerbs {
 public:
  using Where = std::source_location;

  // Makes what M exports visible here. Importing a module twice, anywhere, is one module.
  template <class M>
  Self& Import(Where where = Where::current()) {
    using Forward = internal::IsForwardRef<M>;
    internal::ModuleImport import;
    import.type = internal::StaticModuleType<typename Forward::Module>();
    import.where = where;
    import.forward = Forward::value;
    definition().imports.push_back(std::move(import));
    return self();
  }
  // The same for a dynamic module. Its identity is the object: copies are the same module, two
  // calls of Register() are two.
  Self& Import(const DynamicModule& module, Where where = Where::current());

  // Makes this module's exports visible everywhere, without an import.
  Self& Global(bool global = true) {
    definition().global = global;
    return self();
  }

  // T, constructed with what its constructor asks for: once, unless a scope says otherwise (see
  // rookery/di/scope.h).
  template <class T>
  Self& Provide(Where where = Where::current()) {
    return Add(ClassProvider<T>(where));
  }
  template <class T>
  Self& Provide(ScopeOptions scope, Where where = Where::current()) {
    return AddScoped(ClassProvider<T>(where), scope);
  }
  // Implementation, for all who ask for Interface.
  template <class Interface, class Implementation>
  Self& Provide(Where where = Where::current()) {
    return Add(ClassProviderAs<Interface, Implementation>(Token::Of<Interface>(), where));
  }
  template <class Interface, class Implementation>
  Self& Provide(ScopeOptions scope, Where where = Where::current()) {
    return AddScoped(ClassProviderAs<Interface, Implementation>(Token::Of<Interface>(), where),
                     scope);
  }
  // T, under a named token.
  template <class T, class V>
  Self& Provide(const InjectionToken<V>& token, Where where = Where::current()) {
    return Add(ClassProviderAs<V, T>(token, where));
  }
  template <class T, class V>
  Self& Provide(const InjectionToken<V>& token, ScopeOptions scope,
                Where where = Where::current()) {
    return AddScoped(ClassProviderAs<V, T>(token, where), scope);
  }

  // A value that is there already: a T, moved in; or std::shared_ptr<T>, std::unique_ptr<T>; or
  // std::ref(t), which stays the caller's and must outlive the application. ProvideValue<Interface>
  // puts it under the token of a base.
  template <class Interface = void, class V>
  Self& ProvideValue(V&& value, Where where = Where::current()) {
    using T = internal::ProvidedType<std::decay_t<V>>;
    using As = std::conditional_t<std::is_void_v<Interface>, T, Interface>;
    if constexpr (internal::kIsPlainValue<As>) {
      static_assert(!internal::kIsPlainValue<As>,
                    "rookery: ProvideValue: a number, an enum or a string needs a token, since its "
                    "type alone does not name it: ProvideValue(kToken, value)");
      return self();
    } else {
      return Add(ValueProvider<As>(Token::Of<As>(), std::forward<V>(value), where));
    }
  }
  // A value under a named token.
  template <class T, class V>
  Self& ProvideValue(const InjectionToken<T>& token, V&& value, Where where = Where::current()) {
    return Add(ValueProvider<T>(token, std::forward<V>(value), where));
  }

  // What `function` returns: T, std::unique_ptr<T>, std::shared_ptr<T>, or absl::StatusOr or
  // rookery::Task of these. Its parameters are injected, as a constructor's are. Called once,
  // before anything that depends on it; tasks that do not depend on each other run at the same
  // time.
  template <class Interface = void, class F>
  Self& ProvideFactory(F&& function, Where where = Where::current()) {
    return Add(FactoryProvider<Interface>(std::nullopt, std::forward<F>(function), where));
  }
  template <class Interface = void, class F>
  Self& ProvideFactory(F&& function, ScopeOptions scope, Where where = Where::current()) {
    return AddScoped(FactoryProvider<Interface>(std::nullopt, std::forward<F>(function), where),
                     scope);
  }
  template <class T, class F>
  Self& ProvideFactory(const InjectionToken<T>& token, F&& function,
                       Where where = Where::current()) {
    return Add(FactoryProvider<T>(Token(token), std::forward<F>(function), where));
  }
  template <class T, class F>
  Self& ProvideFactory(const InjectionToken<T>& token, F&& function, ScopeOptions scope,
                       Where where = Where::current()) {
    return AddScoped(FactoryProvider<T>(Token(token), std::forward<F>(function), where), scope);
  }

  // One of any number of providers of Interface, for those who ask for rookery::All<Interface>.
  // Export<Interface>() exports all of them.
  template <class Interface, class Implementation>
  Self& ProvideMulti(Where where = Where::current()) {
    return AddMulti(ClassProviderAs<Interface, Implementation>(Token::Of<Interface>(), where));
  }
  template <class Interface, class Implementation>
  Self& ProvideMulti(ScopeOptions scope, Where where = Where::current()) {
    ProviderSpec spec = ClassProviderAs<Interface, Implementation>(Token::Of<Interface>(), where);
    spec.scope = scope;
    return AddMulti(std::move(spec));
  }
  template <class T, class V>
  Self& ProvideMulti(const InjectionToken<V>& token, Where where = Where::current()) {
    return AddMulti(ClassProviderAs<V, T>(token, where));
  }
  // The same with a value: a number, say, under a token.
  template <class Interface, class V>
  Self& ProvideMultiValue(V&& value, Where where = Where::current()) {
    return AddMulti(
        ValueProvider<Interface>(Token::Of<Interface>(), std::forward<V>(value), where));
  }
  template <class T, class V>
  Self& ProvideMultiValue(const InjectionToken<T>& token, V&& value,
                          Where where = Where::current()) {
    return AddMulti(ValueProvider<T>(token, std::forward<V>(value), where));
  }
  // The same with a function's result.
  template <class Interface, class F>
  Self& ProvideMultiFactory(F&& function, Where where = Where::current()) {
    return AddMulti(
        FactoryProvider<Interface>(Token::Of<Interface>(), std::forward<F>(function), where));
  }
  template <class Interface, class F>
  Self& ProvideMultiFactory(F&& function, ScopeOptions scope, Where where = Where::current()) {
    ProviderSpec spec =
        FactoryProvider<Interface>(Token::Of<Interface>(), std::forward<F>(function), where);
    spec.scope = scope;
    return AddMulti(std::move(spec));
  }
  template <class T, class F>
  Self& ProvideMultiFactory(const InjectionToken<T>& token, F&& function,
                            Where where = Where::current()) {
    return AddMulti(FactoryProvider<T>(Token(token), std::forward<F>(function), where));
  }
  template <class T, class F>
  Self& ProvideMultiFactory(const InjectionToken<T>& token, F&& function, ScopeOptions scope,
                            Where where = Where::current()) {
    ProviderSpec spec = FactoryProvider<T>(Token(token), std::forward<F>(function), where);
    spec.scope = scope;
    return AddMulti(std::move(spec));
  }

  // Another name for a provider that is visible here: the same instance, of the same scope.
  template <class Alias, class Target>
  Self& ProvideExisting(Where where = Where::current()) {
    return Add(AliasProvider<Alias, Target>(Token::Of<Alias>(), where));
  }
  template <class Target, class T>
  Self& ProvideExisting(const InjectionToken<T>& alias, Where where = Where::current()) {
    return Add(AliasProvider<T, Target>(alias, where));
  }

  // Makes a provider of this module visible to those who import it; or, if T is a module imported
  // here, re-exports all that T exports.
  template <class T>
  Self& Export(Where where = Where::current()) {
    definition().exports.push_back({Token::Of<T>(), nullptr, where});
    return self();
  }
  template <class T>
  Self& Export(const InjectionToken<T>& token, Where where = Where::current()) {
    definition().exports.push_back({Token(token), nullptr, where});
    return self();
  }
  // Re-exports a dynamic module that is imported here.
  Self& Export(const DynamicModule& module, Where where = Where::current());

  // C serves its proto services and patterns. It is injected like a provider, but nothing can ask
  // for it. `static void Configure(ControllerBuilder&)` is optional.
  template <class C>
  Self& Controller(Where where = Where::current()) {
    definition().controllers.push_back({ClassProvider<C>(where), &DescribeController<C>});
    return self();
  }
  // The same, one for each call (Scope::kRequest, rookery::kDurable) or loop (Scope::kPerLoop).
  // Without a scope it is as narrow as its narrowest dependency.
  template <class C>
  Self& Controller(ScopeOptions scope, Where where = Where::current()) {
    ProviderSpec spec = ClassProvider<C>(where);
    spec.scope = scope;
    definition().controllers.push_back({std::move(spec), &DescribeController<C>});
    return self();
  }

  // A guard (interceptor, pipe, filter) for every controller of the application, injected as a
  // provider of this module is: Nest's APP_GUARD and its kin.
  template <class G>
  Self& GlobalGuard(Where where = Where::current()) {
    definition().enhancers.push_back({&DescribeGlobalGuard<G>, where});
    return self();
  }
  template <class I>
  Self& GlobalInterceptor(Where where = Where::current()) {
    definition().enhancers.push_back({&DescribeGlobalInterceptor<I>, where});
    return self();
  }
  template <class P>
  Self& GlobalPipe(Where where = Where::current()) {
    definition().enhancers.push_back({&DescribeGlobalPipe<P>, where});
    return self();
  }
  template <class F>
  Self& GlobalFilter(Where where = Where::current()) {
    definition().enhancers.push_back({&DescribeGlobalFilter<F>, where});
    return self();
  }
  // What runs before the guards of every call: see rookery/pipeline/pre_request.h.
  template <class H>
  Self& PreRequestHook(Where where = Where::current()) {
    definition().enhancers.push_back({&DescribePreRequestHook<H>, where});
    return self();
  }

  // A provider made elsewhere.
  Self& Add(ProviderSpec provider) {
    definition().providers.push_back(std::move(provider));
    return self();
  }

 protected:
  explicit ModuleVerbs(internal::ModuleDefinition* definition) noexcept : definition_(definition) {}
  ~ModuleVerbs() = default;
  ModuleVerbs(const ModuleVerbs&) = default;
  ModuleVerbs& operator=(const ModuleVerbs&) = default;

 private:
  Self& self() noexcept { return static_cast<Self&>(*this); }
  Self& AddScoped(ProviderSpec spec, ScopeOptions scope) {
    spec.scope = scope;
    return Add(std::move(spec));
  }
  Self& AddMulti(ProviderSpec spec) {
    spec.multi = true;
    return Add(std::move(spec));
  }
  internal::ModuleDefinition& definition() noexcept { return *definition_; }

  internal::ModuleDefinition* definition_;
};

// What a module's Define is given. Only valid during that call.
class ModuleBuilder final : public ModuleVerbs<ModuleBuilder> {
 public:
  // For the framework.
  explicit ModuleBuilder(internal::ModuleDefinition* definition) noexcept
      : ModuleVerbs(definition) {}
  ModuleBuilder(const ModuleBuilder&) = delete;
  ModuleBuilder& operator=(const ModuleBuilder&) = delete;
};

}  // namespace rookery

#include "rookery/module/dynamic_module.h"  // IWYU pragma: export

#endif  // ROOKERY_MODULE_MODULE_BUILDER_H_
