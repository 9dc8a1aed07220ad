// Providers: how the container comes by an instance. ModuleBuilder makes these; the framework reads
// them.
//
//   rookery::ProviderSpec spec = rookery::ClassProvider<OrderRepository>();
//   spec.dependencies;       // Database&, Clock&: known before anything is constructed
//
// Everything that depends on the provider's type is here, and small: a function that makes the
// instance, a constant list of dependencies, a table of hooks. The container itself is no template.
#ifndef ROOKERY_DI_PROVIDER_H_
#define ROOKERY_DI_PROVIDER_H_

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/di/constructor.h"
#include "rookery/di/hooks.h"
#include "rookery/di/scope.h"
#include "rookery/di/token.h"
#include "rookery/runtime/task.h"

namespace rookery {

namespace internal {

// An instance: as its token's type, which is what others get, and as what it is, for its hooks.
struct Made {
  std::shared_ptr<void> instance;
  void* self = nullptr;
};

// What making came to: an instance, a failure, or a task that will tell.
struct Making {
  absl::Status status;
  Made made;
  std::optional<Task<Made>> pending;
};

using Make = void (*)(void* closure, Arguments arguments, Making* result);

}  // namespace internal

enum class ProviderKind : std::uint8_t {
  kClass,
  kValue,
  kFactory,
  kAlias,
  kCollection,  // what All<T> asks for; made by the framework
};

// One provider. Copyable: copies share the value or the factory.
struct ProviderSpec {
  Token token;
  ProviderKind kind = ProviderKind::kClass;
  const internal::TypeTag* type = nullptr;   // of what is made
  std::span<const Dependency> dependencies;  // constants
  internal::Make make = nullptr;
  std::shared_ptr<void> closure;  // the value, or the factory function
  const internal::HookTable* hooks = nullptr;
  std::optional<ScopeOptions> scope;  // none given: as narrow as its narrowest dependency
  bool is_async = false;              // a factory that returns a Task
  bool multi = false;                 // added by ProvideMulti: one of several under its token
  std::source_location where;         // of the call that registered it
};

namespace internal {

template <class T>
struct PointerTarget {
  using type = void;
};
template <class T>
struct PointerTarget<std::shared_ptr<T>> {
  using type = T;
};
template <class T, class D>
struct PointerTarget<std::unique_ptr<T, D>> {
  using type = T;
};
template <class T>
struct PointerTarget<std::reference_wrapper<T>> {
  using type = T;
};

// What V provides: T for T, std::shared_ptr<T>, std::unique_ptr<T> and std::reference_wrapper<T>.
template <class V>
using ProvidedType =
    std::remove_const_t<std::conditional_t<std::is_void_v<typename PointerTarget<V>::type>, V,
                                           typename PointerTarget<V>::type>>;

// Whether an instance of T can stand under a token of type As.
template <class As, class T>
inline constexpr bool kServesAs = std::is_same_v<As, T> || std::is_convertible_v<T*, As*>;

template <class As, class T>
Made MadeOf(std::shared_ptr<T> instance) {
  Made made;
  made.self = instance.get();
  made.instance = std::shared_ptr<As>(std::move(instance));
  return made;
}

// Keeps a value under a token of type As: as it is if it is an As, else converted to one.
template <class As, class V>
Made Keep(V&& value) {
  using Plain = std::remove_cvref_t<V>;
  using T = ProvidedType<Plain>;
  if constexpr (std::is_same_v<Plain, std::reference_wrapper<T>>) {
    // Not owned: whoever passed std::ref keeps it alive.
    return MadeOf<As, T>(std::shared_ptr<T>(std::shared_ptr<void>(), &value.get()));
  } else if constexpr (!std::is_same_v<T, Plain>) {
    return MadeOf<As, T>(std::shared_ptr<T>(std::forward<V>(value)));
  } else if constexpr (kServesAs<As, T>) {
    return MadeOf<As, T>(std::make_shared<T>(std::forward<V>(value)));
  } else {
    return MadeOf<As, As>(std::make_shared<As>(std::forward<V>(value)));
  }
}

template <class As, class V>
constexpr bool CanKeep() {
  using T = ProvidedType<V>;
  if constexpr (std::is_same_v<T, V>) {
    return kServesAs<As, T> || std::is_constructible_v<As, V>;
  } else {
    return kServesAs<As, T>;
  }
}

// The class whose hooks an instance kept from V has.
template <class As, class V>
constexpr const HookTable* HooksOfKept() {
  using T = ProvidedType<V>;
  if constexpr (kServesAs<As, T>) {
    return HooksOf<T>();
  } else {
    return HooksOf<As>();
  }
}

template <class As, class T>
void MakeClass(void*, Arguments arguments, Making* result) {
  result->made = MadeOf<As, T>(Construction<T>::Make(arguments));
}

// A value is kept as the Made itself.
void MakeValue(void* closure, Arguments arguments, Making* result);

template <class As, class Target>
void MakeAlias(void*, Arguments arguments, Making* result) {
  std::shared_ptr<As> instance = std::static_pointer_cast<Target>(arguments[0]);
  result->made.instance = std::move(instance);
}

// ---- factories

template <class R>
struct FactoryResult {
  using Value = R;  // T, or a smart pointer to it
  static constexpr bool kAsync = false;
};
template <class R>
struct FactoryResult<absl::StatusOr<R>> : FactoryResult<R> {};
template <class R>
struct FactoryResult<Task<R>> : FactoryResult<R> {
  static constexpr bool kAsync = true;
};

template <class F>
struct CallableSignature {
  static constexpr bool kValid = false;
};
template <class F>
  requires requires { &F::operator(); }
struct CallableSignature<F> : CallableSignature<decltype(&F::operator())> {};
template <class R, class... P>
struct CallableSignature<R (*)(P...)> : SignatureOf<R(P...)> {};
template <class R, class... P>
struct CallableSignature<R (*)(P...) noexcept> : SignatureOf<R(P...)> {};
template <class C, class R, class... P>
struct CallableSignature<R (C::*)(P...)> : SignatureOf<R(P...)> {};
template <class C, class R, class... P>
struct CallableSignature<R (C::*)(P...) const> : SignatureOf<R(P...)> {};
template <class C, class R, class... P>
struct CallableSignature<R (C::*)(P...) noexcept> : SignatureOf<R(P...)> {};
template <class C, class R, class... P>
struct CallableSignature<R (C::*)(P...) const noexcept> : SignatureOf<R(P...)> {};

[[nodiscard]] absl::Status NullFromFactory();

template <class As, class R>
void KeepResult(R value, Making* result) {
  if constexpr (IsStatusOr<R>::value) {
    if (!value.ok()) {
      result->status = std::move(value).status();
    } else {
      KeepResult<As>(*std::move(value), result);
    }
  } else {
    result->made = Keep<As>(std::move(value));
    if (result->made.instance == nullptr) result->status = NullFromFactory();
  }
}

template <class As, class F>
struct Factory {
  using Signature = CallableSignature<F>;
  using Parameters = typename Signature::Parameters;

  static void Make(void* closure, Arguments arguments, Making* result) {
    Call(static_cast<F*>(closure), arguments, result, typename Signature::Exact{}, Parameters{},
         std::make_index_sequence<Parameters::kSize>{});
  }

 private:
  using R = typename Signature::Result;

  template <class... P, class... U, std::size_t... I>
  static void Call(F* function, [[maybe_unused]] Arguments arguments, Making* result,
                   TypeList<P...> exact, TypeList<U...>, std::index_sequence<I...> indices) {
    if constexpr (FactoryResult<R>::kAsync) {
      result->pending.emplace(
          CallAsync(function, std::tuple<Slot<U>...>(Slot<U>(arguments[I])...), exact, indices));
    } else {
      KeepResult<As>((*function)(static_cast<P>(Slot<U>(arguments[I]).get())...), result);
    }
  }

  // The slots live in this frame: a factory that is a coroutine may take them by reference.
  template <class... P, class... U, std::size_t... I>
  static Task<Made> CallAsync(F* function, [[maybe_unused]] std::tuple<Slot<U>...> slots,
                              TypeList<P...>, std::index_sequence<I...>) {
    R task = (*function)(static_cast<P>(std::get<I>(slots).get())...);
    auto value = co_await std::move(task);
    Making result;
    KeepResult<As>(std::move(value), &result);
    if (!result.status.ok()) co_return std::move(result.status);
    co_return std::move(result.made);
  }
};

template <class F>
using FactoryValue = typename FactoryResult<typename CallableSignature<F>::Result>::Value;

}  // namespace internal

// T, constructed by the container with what its constructor asks for.
template <class T>
[[nodiscard]] ProviderSpec ClassProvider(
    std::source_location where = std::source_location::current()) {
  ProviderSpec spec;
  spec.token = Token::Of<T>();
  spec.kind = ProviderKind::kClass;
  spec.type = &internal::kTypeTag<T>;
  spec.dependencies =
      internal::DependencyArray<typename internal::Construction<T>::Parameters>::kValue;
  spec.make = &internal::MakeClass<T, T>;
  spec.hooks = internal::HooksOf<T>();
  spec.scope = internal::ScopeOfClass<T>();
  spec.where = where;
  return spec;
}

// Impl under the token of its base As.
template <class As, class Impl>
[[nodiscard]] ProviderSpec ClassProviderAs(
    Token token, std::source_location where = std::source_location::current()) {
  ProviderSpec spec = ClassProvider<Impl>(where);
  if constexpr (internal::kServesAs<As, Impl>) {
    spec.token = token;
    spec.make = &internal::MakeClass<As, Impl>;
  } else {
    static_assert(
        internal::kServesAs<As, Impl>,
        "rookery: Provide<Interface, Implementation>: Implementation must derive publicly "
        "from Interface");
  }
  return spec;
}

// A value (or std::shared_ptr, std::unique_ptr, std::ref of one) under a token of type As.
template <class As, class V>
[[nodiscard]] ProviderSpec ValueProvider(
    Token token, V&& value, std::source_location where = std::source_location::current()) {
  using Plain = std::decay_t<V>;
  ProviderSpec spec;
  spec.token = token;
  spec.kind = ProviderKind::kValue;
  spec.where = where;
  if constexpr (internal::CanKeep<As, Plain>()) {
    spec.type = &internal::kTypeTag<internal::ProvidedType<Plain>>;
    spec.make = &internal::MakeValue;
    spec.closure = std::make_shared<internal::Made>(
        internal::Keep<As>(static_cast<Plain>(std::forward<V>(value))));
    spec.hooks = internal::HooksOfKept<As, Plain>();
  } else {
    static_assert(
        internal::CanKeep<As, Plain>(),
        "rookery: ProvideValue: the value is neither of the token's type, nor derived from "
        "it, nor convertible to it");
  }
  return spec;
}

// What `function` returns, under a token of type As (void: of the type that the function returns).
// Its parameters are injected.
template <class As, class F>
[[nodiscard]] ProviderSpec FactoryProvider(
    std::optional<Token> token, F&& function,
    std::source_location where = std::source_location::current()) {
  using Plain = std::decay_t<F>;
  ProviderSpec spec;
  spec.kind = ProviderKind::kFactory;
  spec.where = where;
  if constexpr (!internal::CallableSignature<Plain>::kValid) {
    static_assert(
        internal::CallableSignature<Plain>::kValid,
        "rookery: ProvideFactory: pass a function, or a lambda whose parameters have types "
        "(not auto): the types say what to inject");
  } else if constexpr (internal::CallableSignature<Plain>::kTakesRvalues) {
    static_assert(
        !internal::CallableSignature<Plain>::kTakesRvalues,
        "rookery: a parameter is an rvalue reference, but providers are shared and cannot "
        "be moved out of the container: take T&, const T& or std::shared_ptr<T>");
  } else if constexpr (std::is_reference_v<internal::FactoryValue<Plain>> ||
                       std::is_void_v<internal::FactoryValue<Plain>> ||
                       (std::is_pointer_v<internal::FactoryValue<Plain>> &&
                        !std::is_same_v<internal::FactoryValue<Plain>, const char*>)) {
    static_assert(!std::is_same_v<F, F>,
                  "rookery: ProvideFactory: the function must return T, std::unique_ptr<T>, "
                  "std::shared_ptr<T>, or absl::StatusOr or rookery::Task of these");
  } else {
    using Value = internal::FactoryValue<Plain>;
    using Target = std::conditional_t<std::is_void_v<As>, internal::ProvidedType<Value>, As>;
    if constexpr (!internal::CanKeep<Target, Value>()) {
      static_assert(internal::CanKeep<Target, Value>(),
                    "rookery: ProvideFactory: what the function returns is neither of the token's "
                    "type, nor derived from it, nor convertible to it");
    } else {
      spec.token = token.has_value() ? *token : Token::Of<Target>();
      spec.type = &internal::kTypeTag<internal::ProvidedType<Value>>;
      spec.dependencies = internal::DependencyArray<
          typename internal::CallableSignature<Plain>::Parameters>::kValue;
      spec.make = &internal::Factory<Target, Plain>::Make;
      spec.closure = std::make_shared<Plain>(std::forward<F>(function));
      spec.is_async =
          internal::FactoryResult<typename internal::CallableSignature<Plain>::Result>::kAsync;
      spec.hooks = internal::HooksOfKept<Target, Value>();
    }
  }
  return spec;
}

namespace internal {
template <class Target>
struct AliasDependency {
  static constexpr Dependency kValue[] = {{Token::Of<Target>(), DependencyForm::kReference, false}};
};
template <const auto& kTarget>
struct AliasTokenDependency {
  static constexpr Dependency kValue[] = {{Token(kTarget), DependencyForm::kToken, false}};
};
}  // namespace internal

// Another name, `token` of type As, for what Target's provider makes.
template <class As, class Target>
[[nodiscard]] ProviderSpec AliasProvider(
    Token token, std::source_location where = std::source_location::current()) {
  ProviderSpec spec;
  spec.token = token;
  spec.kind = ProviderKind::kAlias;
  spec.where = where;
  spec.type = &internal::kTypeTag<Target>;
  if constexpr (internal::kServesAs<As, Target>) {
    spec.dependencies = internal::AliasDependency<Target>::kValue;
    spec.make = &internal::MakeAlias<As, Target>;
  } else {
    static_assert(
        internal::kServesAs<As, Target>,
        "rookery: ProvideExisting<Alias, Target>: Target must be, or derive publicly from, "
        "Alias");
  }
  return spec;
}

}  // namespace rookery

#endif  // ROOKERY_DI_PROVIDER_H_
