// Every mistake below must end in exactly one error, the text behind "expect:". Compiled by
// compile_errors_test.cc; never part of a build.
#include <any>
#include <memory>
#include <string>

#include "rookery/module/module_builder.h"

namespace rookery {
class ControllerBuilder {};
template <class C>
void DescribeController(ControllerBuilder&) {}
}  // namespace rookery

using rookery::ModuleBuilder;
inline constexpr rookery::InjectionToken<std::string> kName{"NAME"};

struct Repo {};
struct Abstract {
  virtual ~Abstract() = default;
  virtual void Do() = 0;
};

// expect: rookery: T is abstract, so the container cannot construct it: name the class that
// implements it, Provide<T, Implementation>(), or implement its pure virtuals
void AbstractClass(ModuleBuilder& m) { m.Provide<Abstract>(); }

struct Private {
 private:
  explicit Private(Repo&);
};
// expect: rookery: the constructor of T cannot be deduced: it must be public, the only one of its
// number of parameters, with at most 16, none an rvalue reference or std::unique_ptr; or say which
// one is meant: `using Inject = T(A&, B&);`
void PrivateConstructor(ModuleBuilder& m) { m.Provide<Private>(); }

struct Several {
  Several();
  explicit Several(Repo&);
};
// expect: rookery: T can be constructed from different numbers of arguments: say which constructor
// is meant: `using Inject = T(A&, B&);`
void SeveralConstructors(ModuleBuilder& m) { m.Provide<Several>(); }

struct Greedy {
  template <class U>
  explicit Greedy(U&&);
};
// expect: rookery: the constructor of T is a template, whose parameters cannot be deduced: say
// which ones are meant: `using Inject = T(A&, B&);`
void TemplateConstructor(ModuleBuilder& m) { m.Provide<Greedy>(); }

struct PlainValue {
  explicit PlainValue(std::string name);
};
// expect: rookery: a parameter is a plain value (a number, an enum or a string), which a type alone
// does not name: declare `inline constexpr rookery::InjectionToken<...> kName` and take
// rookery::Inject<kName>
void PlainParameter(ModuleBuilder& m) { m.Provide<PlainValue>(); }

struct NotASignature {
  using Inject = Repo;
};
// expect: rookery: T::Inject must be a signature: `using Inject = T(A&, B&);`
void InjectOfAnotherKind(ModuleBuilder& m) { m.Provide<NotASignature>(); }

struct WrongResult {
  using Inject = Repo(Abstract&);
};
// expect: rookery: T::Inject must return T itself: `using Inject = T(A&, B&);`
void InjectReturnsAnother(ModuleBuilder& m) { m.Provide<WrongResult>(); }

struct WrongParameters {
  using Inject = WrongParameters(Repo&);
  explicit WrongParameters(Abstract&);
};
// expect: rookery: T::Inject does not match any public constructor of T
void InjectMatchesNothing(ModuleBuilder& m) { m.Provide<WrongParameters>(); }

// expect: rookery: Provide<Interface, Implementation>: Implementation must derive publicly from
// Interface
void NotDerived(ModuleBuilder& m) { m.Provide<Abstract, Repo>(); }

// expect: rookery: Provide<T>: T must be a class; give a plain value a token: ProvideValue(kToken,
// value)
void NotAClass(ModuleBuilder& m) { m.Provide<int>(); }

// expect: rookery: ProvideValue: a number, an enum or a string needs a token, since its type alone
// does not name it: ProvideValue(kToken, value)
void ValueWithoutToken(ModuleBuilder& m) { m.ProvideValue(std::string("x")); }

// expect: rookery: ProvideValue: the value is neither of the token's type, nor derived from it, nor
// convertible to it
void ValueOfAnotherType(ModuleBuilder& m) { m.ProvideValue(kName, Repo{}); }

// expect: rookery: ProvideFactory: pass a function, or a lambda whose parameters have types (not
// auto): the types say what to inject
void GenericFactory(ModuleBuilder& m) {
  m.ProvideFactory([](auto&) { return Repo{}; });
}

Repo* MakePointer();
// expect: rookery: ProvideFactory: the function must return T, std::unique_ptr<T>,
// std::shared_ptr<T>, or absl::StatusOr or rookery::Task of these
void PointerFactory(ModuleBuilder& m) { m.ProvideFactory(&MakePointer); }

// expect: rookery: ProvideFactory: what the function returns is neither of the token's type, nor
// derived from it, nor convertible to it
void FactoryOfAnotherType(ModuleBuilder& m) {
  m.ProvideFactory(kName, [] { return Repo{}; });
}

// expect: rookery: ProvideExisting<Alias, Target>: Target must be, or derive publicly from, Alias
void AliasOfAnotherType(ModuleBuilder& m) { m.ProvideExisting<Abstract, Repo>(); }

// expect: rookery: M is not a module: give it a public `static void Define(rookery::ModuleBuilder&
// module)`
void NotAModule(ModuleBuilder& m) { m.Import<Repo>(); }

struct HookWithResult {
  int OnModuleInit();
};
// expect: rookery: OnModuleInit must return void, absl::Status, Task<void> or Task<absl::Status>
void HookResult(ModuleBuilder& m) { m.Provide<HookWithResult>(); }

struct HookWithParameter {
  void OnApplicationBootstrap(int);
};
// expect: rookery: OnApplicationBootstrap takes no parameters
void HookParameter(ModuleBuilder& m) { m.Provide<HookWithParameter>(); }

struct HookWithOddSignal {
  void OnApplicationShutdown(Repo&);
};
// expect: rookery: OnApplicationShutdown takes a rookery::ShutdownSignal or nothing
void HookSignal(ModuleBuilder& m) { m.Provide<HookWithOddSignal>(); }

struct Unique {
  using Inject = Unique(const std::unique_ptr<Repo>&);
  explicit Unique(const std::unique_ptr<Repo>&);
};
// expect: rookery: a parameter is a std::unique_ptr, but providers belong to the container: take T&
// or std::shared_ptr<T>
void UniqueParameter(ModuleBuilder& m) { m.Provide<Unique>(); }

struct Rvalue {
  using Inject = Rvalue(Repo&&);
  explicit Rvalue(Repo&&);
};
// expect: rookery: a parameter is an rvalue reference, but providers are shared and cannot be moved
// out of the container: take T&, const T& or std::shared_ptr<T>
void RvalueParameter(ModuleBuilder& m) { m.Provide<Rvalue>(); }
// expect: rookery: a parameter is an rvalue reference, but providers are shared and cannot be moved
// out of the container: take T&, const T& or std::shared_ptr<T>
void RvalueFactory(ModuleBuilder& m) {
  m.ProvideFactory([](Repo&&) { return Repo{}; });
}

struct OddScope {
  static constexpr int kScope = 3;
};
// expect: rookery: T::kScope must be `static constexpr rookery::Scope kScope =
// rookery::Scope::...;` (or rookery::ScopeOptions, for rookery::kDurable)
void ScopeOfAnotherType(ModuleBuilder& m) { m.Provide<OddScope>(); }

struct Other {
  virtual ~Other() = default;
};
// expect: rookery: Provide<Interface, Implementation>: Implementation must derive publicly from
// Interface
void MultiOfAnotherType(ModuleBuilder& m) { m.ProvideMulti<Other, Repo>(rookery::Scope::kRequest); }

struct LazyNumber {
  explicit LazyNumber(rookery::Lazy<int>);
};
// expect: rookery: Lazy<T>: T is a plain value (a number, an enum or a string), which a type alone
// does not name: Lazy<rookery::Inject<kToken>>
void LazyOfANumber(ModuleBuilder& m) { m.Provide<LazyNumber>(); }

struct AllNumbers {
  explicit AllNumbers(rookery::All<int>);
};
// expect: rookery: All<T>: T is a plain value (a number, an enum or a string), which a type alone
// does not name: All<rookery::Inject<kToken>>
void AllOfANumber(ModuleBuilder& m) { m.Provide<AllNumbers>(); }

// expect: rookery: M is not a module: give it a public `static void Define(rookery::ModuleBuilder&
// module)`
void ForwardToNoModule(ModuleBuilder& m) { m.Import<rookery::ForwardRef<OddScope>>(); }

// expect: rookery: M is not a module: give it a public `static void Define(rookery::ModuleBuilder&
// module)`
void LazyNoModule(ModuleBuilder& m) { m.Import(rookery::DynamicModule::Lazy<LazyNumber>()); }
