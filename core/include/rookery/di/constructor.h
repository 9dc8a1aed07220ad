// What a constructor asks for, known at compile time with no annotation.
//
//   struct Orders { Orders(Database&, std::shared_ptr<Clock>, rookery::Inject<kRegion>); };
//   // the container sees: Database&, std::shared_ptr<Clock>, Inject<REGION>
//
// Deduction needs one public constructor of at most 16 parameters, none of them an rvalue
// reference.
// For anything else a class says it itself:
//
//   struct Orders { using Inject = Orders(Database&, Clock&);  ... };
//
// Used by ModuleBuilder::Provide; users need not call anything here.
#ifndef ROOKERY_DI_CONSTRUCTOR_H_
#define ROOKERY_DI_CONSTRUCTOR_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "rookery/di/all.h"
#include "rookery/di/inject.h"
#include "rookery/di/lazy.h"
#include "rookery/di/proxy.h"
#include "rookery/di/token.h"

namespace rookery {

// How a parameter is spelled. Only for messages and graphs: the container holds all alike.
enum class DependencyForm : std::uint8_t {
  kReference,
  kPointer,
  kShared,
  kToken,
  kOptional,
  kLazy,   // looked up at the first use: no edge of the graph of construction
  kProxy,  // looked up at each use: neither
  kAll,    // every provider added by ProvideMulti
};

// One parameter of a constructor or factory.
struct Dependency {
  Token token;
  DependencyForm form = DependencyForm::kReference;
  bool optional = false;

  // Whether it has to be there before who asks for it is made.
  [[nodiscard]] constexpr bool at_construction() const noexcept {
    return form != DependencyForm::kLazy && form != DependencyForm::kProxy;
  }
};

namespace internal {

// The instances that a provider is made of, one per Dependency; a null pointer is an absent
// optional.
using Argument = std::shared_ptr<void>;
using Arguments = const Argument*;

template <class T>
inline constexpr bool kIsPlainValue =
    std::is_arithmetic_v<T> || std::is_enum_v<T> || std::is_same_v<T, std::string> ||
    std::is_same_v<T, std::string_view> || std::is_same_v<T, const char*> ||
    std::is_same_v<T, char*>;
template <class T>
inline constexpr bool kIsUniquePtr = false;
template <class T, class D>
inline constexpr bool kIsUniquePtr<std::unique_ptr<T, D>> = true;

// Slot<U>: how an argument of the type U (bare of const and &) is described, and taken from the
// container.
template <class U>
class Slot {
 public:
  static constexpr Dependency kDependency{Token::Of<U>(), DependencyForm::kReference, false};
  explicit Slot(const Argument& from) noexcept : value_(static_cast<U*>(from.get())) {
    static_assert(!kIsPlainValue<U>,
                  "rookery: a parameter is a plain value (a number, an enum or a string), which a "
                  "type alone does not name: declare `inline constexpr "
                  "rookery::InjectionToken<...> kName` and take rookery::Inject<kName>");
    static_assert(!kIsUniquePtr<U>,
                  "rookery: a parameter is a std::unique_ptr, but providers belong to the "
                  "container: take T& or std::shared_ptr<T>");
  }
  U& get() const noexcept { return *value_; }

 private:
  U* value_;
};

template <class U>
class Slot<U*> {
 public:
  static constexpr Dependency kDependency{Token::Of<U>(), DependencyForm::kPointer, false};
  explicit Slot(const Argument& from) noexcept
      : value_(static_cast<std::remove_const_t<U>*>(from.get())) {
    static_assert(!kIsPlainValue<U*>,
                  "rookery: a parameter is a plain value (a number, an enum or a string), which a "
                  "type alone does not name: declare `inline constexpr "
                  "rookery::InjectionToken<...> kName` and take rookery::Inject<kName>");
  }
  U*& get() const noexcept { return value_; }

 private:
  mutable U* value_;
};

template <class U>
class Slot<std::shared_ptr<U>> {
 public:
  static constexpr Dependency kDependency{Token::Of<U>(), DependencyForm::kShared, false};
  explicit Slot(const Argument& from) noexcept
      : value_(std::static_pointer_cast<std::remove_const_t<U>>(from)) {}
  std::shared_ptr<U>& get() const noexcept { return value_; }

 private:
  mutable std::shared_ptr<U> value_;
};

template <const auto& kToken>
class Slot<Inject<kToken>> {
 public:
  static constexpr Dependency kDependency{Token(kToken), DependencyForm::kToken, false};
  explicit Slot(const Argument& from) noexcept
      : value_(*static_cast<typename Inject<kToken>::value_type*>(from.get())) {}
  Inject<kToken>& get() const noexcept { return value_; }

 private:
  mutable Inject<kToken> value_;
};

template <class U>
class Slot<Optional<U>> {
 public:
  static constexpr Dependency kDependency{Token::Of<U>(), DependencyForm::kOptional, true};
  explicit Slot(const Argument& from) noexcept
      : value_(static_cast<typename Optional<U>::value_type*>(from.get())) {}
  Optional<U>& get() const noexcept { return value_; }

 private:
  mutable Optional<U> value_;
};

template <const auto& kToken>
class Slot<Optional<Inject<kToken>>> {
 public:
  static constexpr Dependency kDependency{Token(kToken), DependencyForm::kOptional, true};
  explicit Slot(const Argument& from) noexcept
      : value_(static_cast<typename Inject<kToken>::value_type*>(from.get())) {}
  Optional<Inject<kToken>>& get() const noexcept { return value_; }

 private:
  mutable Optional<Inject<kToken>> value_;
};

template <class U>
struct TokenOf {
  static constexpr Token kValue = Token::Of<U>();
};
template <const auto& kToken>
struct TokenOf<Inject<kToken>> {
  static constexpr Token kValue = Token(kToken);
};

template <class U>
class Slot<Lazy<U>> {
 public:
  static constexpr Dependency kDependency{TokenOf<U>::kValue, DependencyForm::kLazy, false};
  explicit Slot(const Argument& from) noexcept : value_(std::static_pointer_cast<LazyCell>(from)) {
    static_assert(!kIsPlainValue<U>,
                  "rookery: Lazy<T>: T is a plain value (a number, an enum or a string), which a "
                  "type alone does not name: Lazy<rookery::Inject<kToken>>");
  }
  Lazy<U>& get() const noexcept { return value_; }

 private:
  mutable Lazy<U> value_;
};

template <class U>
class Slot<Proxy<U>> {
 public:
  static constexpr Dependency kDependency{TokenOf<U>::kValue, DependencyForm::kProxy, false};
  explicit Slot(const Argument& from) noexcept : value_(std::static_pointer_cast<LazyCell>(from)) {
    static_assert(!kIsPlainValue<U>,
                  "rookery: Proxy<T>: T is a plain value (a number, an enum or a string), which a "
                  "type alone does not name: Proxy<rookery::Inject<kToken>>");
  }
  Proxy<U>& get() const noexcept { return value_; }

 private:
  mutable Proxy<U> value_;
};

template <class U>
class Slot<All<U>> {
 public:
  static constexpr Dependency kDependency{TokenOf<U>::kValue, DependencyForm::kAll, false};
  explicit Slot(const Argument& from) noexcept
      : value_(*static_cast<const Instances*>(from.get())) {
    static_assert(!kIsPlainValue<U>,
                  "rookery: All<T>: T is a plain value (a number, an enum or a string), which a "
                  "type alone does not name: All<rookery::Inject<kToken>>");
  }
  All<U>& get() const noexcept { return value_; }

 private:
  mutable All<U> value_;
};

// The standard's own spelling of an optional reference.
template <class U>
class Slot<std::optional<std::reference_wrapper<U>>> {
 public:
  static constexpr Dependency kDependency{Token::Of<U>(), DependencyForm::kOptional, true};
  explicit Slot(const Argument& from) noexcept {
    if (from) value_.emplace(*static_cast<std::remove_const_t<U>*>(from.get()));
  }
  std::optional<std::reference_wrapper<U>>& get() const noexcept { return value_; }

 private:
  mutable std::optional<std::reference_wrapper<U>> value_;
};

template <class... U>
struct TypeList {
  static constexpr std::size_t kSize = sizeof...(U);
};

// ---- deduction: Probe<T, I> stands for argument I of T's constructor. The compiler, trying to
// convert it to the parameter's type U, instantiates Record<T, I, U>, whose friend fixes
// Param(Tag<T, I>) to U.

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-template-friend"
#endif
template <class T, std::size_t I>
struct ParamTag {
  friend auto Param(ParamTag<T, I>);
};
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
template <class U>
struct ParamType {
  using type = U;
};
template <class T, std::size_t I, class U>
struct Record {
  friend auto Param(ParamTag<T, I>) { return ParamType<U>{}; }
};
template <class T, std::size_t I>
struct Record<T, I, T> {};  // a copy constructor asks for nothing

// Converts to anything, records nothing: counts parameters.
template <class T>
struct AnyArgument {
  template <class U>
    requires(!std::is_same_v<std::remove_cv_t<U>, T>)
  operator U&() const;  // NOLINT: must be implicit
};
template <class T, std::size_t I>
struct Probe {
  template <class U, std::size_t = sizeof(Record<T, I, std::remove_cv_t<U>>)>
    requires(!std::is_same_v<std::remove_cv_t<U>, T>)
  operator U&() const;  // NOLINT: must be implicit
};

inline constexpr std::size_t kMaxParameters = 16;
inline constexpr std::size_t kNotDeduced = static_cast<std::size_t>(-1);
inline constexpr std::size_t kSeveral = static_cast<std::size_t>(-2);
inline constexpr std::size_t kGreedy = static_cast<std::size_t>(-3);

// Converts to nothing: only a constructor template can take it.
struct OpaqueArgument {};

template <class T, std::size_t... I>
constexpr bool Takes(std::index_sequence<I...>) {
  return requires { T(((void)I, AnyArgument<T>{})...); };
}
template <class T, std::size_t... I>
constexpr bool TakesAnything(std::index_sequence<I...>) {
  return sizeof...(I) > 0 && requires { T(((void)I, OpaqueArgument{})...); };
}
template <class T, std::size_t N>
constexpr std::size_t FirstArity() {
  if constexpr (N > kMaxParameters) {
    return kNotDeduced;
  } else if constexpr (Takes<T>(std::make_index_sequence<N>{})) {
    return N;
  } else {
    return FirstArity<T, N + 1>();
  }
}
template <class T>
constexpr std::size_t ArityOf() {
  constexpr std::size_t kFirst = FirstArity<T, 0>();
  // An aggregate may always be given more members; the first form that works is meant.
  if constexpr (kFirst == kNotDeduced || std::is_aggregate_v<T>) {
    return kFirst;
  } else if constexpr (TakesAnything<T>(std::make_index_sequence<kFirst>{})) {
    return kGreedy;
  } else {
    return FirstArity<T, kFirst + 1>() == kNotDeduced ? kFirst : kSeveral;
  }
}

template <class T, std::size_t... I>
auto DeduceParameters(std::index_sequence<I...>) {
  using Force [[maybe_unused]] = decltype(T(Probe<T, I>{}...));
  return TypeList<typename decltype(Param(ParamTag<T, I>{}))::type...>{};
}

// Converts to exactly the deduced parameter.
template <class U>
class SlotArgument final : public Slot<U> {
 public:
  using Slot<U>::Slot;
  operator U&() const noexcept { return this->get(); }  // NOLINT: must be implicit
};

// ---- signatures: `using Inject = T(A&, B&)` and the parameters of factories.

template <class Signature>
struct SignatureOf {
  static constexpr bool kValid = false;
};
template <class R, class... P>
struct SignatureOf<R(P...)> {
  static constexpr bool kValid = true;
  using Result = R;
  using Parameters = TypeList<std::remove_cvref_t<P>...>;
  // Providers are shared: nobody may move one out of the container.
  static constexpr bool kTakesRvalues = (std::is_rvalue_reference_v<P> || ...);
  using Exact = TypeList<P...>;
  template <class T>
  static constexpr bool kConstructs = std::is_constructible_v<T, P...>;
};

// Whether T itself says what it asks for. A base's `Inject` names the base, and is not meant.
template <class T>
constexpr bool HasOwnInject() {
  if constexpr (requires { typename T::Inject; }) {
    using Signature = SignatureOf<typename T::Inject>;
    if constexpr (Signature::kValid) {
      using Result = typename Signature::Result;
      return std::is_same_v<Result, T> || !std::is_base_of_v<Result, T>;
    } else {
      return true;
    }
  } else {
    return false;
  }
}

template <class Parameters>
struct DependencyArray;
template <class... U>
struct DependencyArray<TypeList<U...>> {
  static constexpr std::array<Dependency, sizeof...(U)> kValue{Slot<U>::kDependency...};
};

template <class T>
struct FailedConstruction {
  using Parameters = TypeList<>;
  static std::shared_ptr<T> Make(Arguments) { return nullptr; }
};

template <class T>
struct DeducedConstruction {
  using Parameters = decltype(DeduceParameters<T>(std::make_index_sequence<ArityOf<T>()>{}));
  static std::shared_ptr<T> Make(Arguments arguments) {
    return MakeWith(arguments, Parameters{}, std::make_index_sequence<Parameters::kSize>{});
  }

 private:
  template <class... U, std::size_t... I>
  static std::shared_ptr<T> MakeWith([[maybe_unused]] Arguments arguments, TypeList<U...>,
                                     std::index_sequence<I...>) {
    return std::make_shared<T>(SlotArgument<U>(arguments[I])...);
  }
};

template <class T>
struct SignatureConstruction {
  using Signature = SignatureOf<typename T::Inject>;
  using Parameters = typename Signature::Parameters;
  static std::shared_ptr<T> Make(Arguments arguments) {
    return MakeWith(arguments, typename Signature::Exact{}, Parameters{},
                    std::make_index_sequence<Parameters::kSize>{});
  }

 private:
  template <class... P, class... U, std::size_t... I>
  static std::shared_ptr<T> MakeWith([[maybe_unused]] Arguments arguments, TypeList<P...>,
                                     TypeList<U...>, std::index_sequence<I...>) {
    return std::make_shared<T>(static_cast<P>(Slot<U>(arguments[I]).get())...);
  }
};

// Picks how T is made, and says what is wrong with a T that cannot be.
template <class T>
constexpr auto ChooseConstruction() {
  if constexpr (!std::is_class_v<T>) {
    static_assert(std::is_class_v<T>,
                  "rookery: Provide<T>: T must be a class; give a plain value a token: "
                  "ProvideValue(kToken, value)");
    return FailedConstruction<T>{};
  } else if constexpr (std::is_abstract_v<T>) {
    static_assert(
        !std::is_abstract_v<T>,
        "rookery: T is abstract, so the container cannot construct it: name the class that "
        "implements it, Provide<T, Implementation>(), or implement its pure virtuals");
    return FailedConstruction<T>{};
  } else if constexpr (HasOwnInject<T>()) {
    using Signature = SignatureOf<typename T::Inject>;
    if constexpr (!Signature::kValid) {
      static_assert(Signature::kValid,
                    "rookery: T::Inject must be a signature: `using Inject = T(A&, B&);`");
      return FailedConstruction<T>{};
    } else if constexpr (!std::is_same_v<typename Signature::Result, T>) {
      static_assert(std::is_same_v<typename Signature::Result, T>,
                    "rookery: T::Inject must return T itself: `using Inject = T(A&, B&);`");
      return FailedConstruction<T>{};
    } else if constexpr (Signature::kTakesRvalues) {
      static_assert(
          !Signature::kTakesRvalues,
          "rookery: a parameter is an rvalue reference, but providers are shared and "
          "cannot be moved out of the container: take T&, const T& or std::shared_ptr<T>");
      return FailedConstruction<T>{};
    } else if constexpr (!Signature::template kConstructs<T>) {
      static_assert(Signature::template kConstructs<T>,
                    "rookery: T::Inject does not match any public constructor of T");
      return FailedConstruction<T>{};
    } else {
      return SignatureConstruction<T>{};
    }
  } else {
    constexpr std::size_t kArity = ArityOf<T>();
    if constexpr (kArity == kNotDeduced) {
      static_assert(
          kArity != kNotDeduced,
          "rookery: the constructor of T cannot be deduced: it must be public, the only one "
          "of its number of parameters, with at most 16, none an rvalue reference or "
          "std::unique_ptr; or say which one is meant: `using Inject = T(A&, B&);`");
      return FailedConstruction<T>{};
    } else if constexpr (kArity == kGreedy) {
      static_assert(
          kArity != kGreedy,
          "rookery: the constructor of T is a template, whose parameters cannot be deduced: "
          "say which ones are meant: `using Inject = T(A&, B&);`");
      return FailedConstruction<T>{};
    } else if constexpr (kArity == kSeveral) {
      static_assert(kArity != kSeveral,
                    "rookery: T can be constructed from different numbers of arguments: say which "
                    "constructor is meant: `using Inject = T(A&, B&);`");
      return FailedConstruction<T>{};
    } else {
      return DeducedConstruction<T>{};
    }
  }
}

template <class T>
using Construction = decltype(ChooseConstruction<T>());

}  // namespace internal

}  // namespace rookery

#endif  // ROOKERY_DI_CONSTRUCTOR_H_
