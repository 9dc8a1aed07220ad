// TestingModule: an application for a test, with no network, and with what the test replaces.
//
//   auto app = rookery::testing::TestingModule::Of<OrdersModule>()
//                  .OverrideProvider<OrderRepository>(fake_orders)
//                  .OverrideGuard<AuthGuard>([](rookery::ExecutionContext&) { return true; })
//                  .Compile();
//   Order order = rookery::SyncWait(app.Client<shop::v1::OrdersClient>().Place(request));
//
// See docs/testing.md.
#ifndef ROOKERY_APP_TESTING_H_
#define ROOKERY_APP_TESTING_H_

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "rookery/app/application.h"
#include "rookery/di/provider.h"
#include "rookery/di/token.h"
#include "rookery/module/module_builder.h"
#include "rookery/module/overrides.h"
#include "rookery/pipeline/enhancers.h"
#include "rookery/pipeline/exception_filter.h"
#include "rookery/pipeline/execution_context.h"
#include "rookery/pipeline/guard.h"
#include "rookery/pipeline/interceptor.h"
#include "rookery/pipeline/pipe.h"
#include "rookery/runtime/fake_clock.h"  // IWYU pragma: export
#include "rookery/runtime/loop.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/sync_wait.h"  // IWYU pragma: export
#include "rookery/runtime/task.h"

namespace rookery::internal::testkit {

// A provider of T out of what a test gave for it: see TestingModule::OverrideProvider.
template <class T, class W>
[[nodiscard]] ProviderSpec SpecOfGiven(Token token, W&& with, std::source_location where) {
  using Plain = std::decay_t<W>;
  constexpr bool kOwnClass = std::is_class_v<T> && kServesAs<T, Plain>;
  if constexpr (kOwnClass && std::is_lvalue_reference_v<W> &&
                !std::is_const_v<std::remove_reference_t<W>>) {
    return ValueProvider<T>(token, std::ref(with), where);
  } else if constexpr (!kOwnClass && CallableSignature<Plain>::kValid) {
    return FactoryProvider<T>(token, std::forward<W>(with), where);
  } else {
    return ValueProvider<T>(token, std::forward<W>(with), where);
  }
}

// A mock of the class M for who asks for T. Both can be asked for: M, to say what is expected.
template <class T, class M>
[[nodiscard]] std::vector<ProviderSpec> SpecsOfMock(std::source_location where) {
  static_assert(kServesAs<T, M>,
                "rookery: Mock<T, M>: the class M of the mock must derive publicly from T");
  std::vector<ProviderSpec> specs;
  if constexpr (kServesAs<T, M>) {
    if constexpr (!std::is_same_v<T, M>) {
      specs.push_back(AliasProvider<T, M>(Token::Of<T>(), where));
    }
    // A default constructor is meant where there is one: GoogleMock's NiceMock<M> has templates
    // besides.
    if constexpr (std::is_default_constructible_v<M>) {
      specs.push_back(
          FactoryProvider<M>(Token::Of<M>(), [] { return std::make_shared<M>(); }, where));
    } else {
      specs.push_back(ClassProvider<M>(where));
    }
  }
  return specs;
}

// ---- enhancers: a kind says what makes a class one of it, and a function.

template <class F, class Parameters>
struct GuardCall {
  static constexpr bool kValid = false;
};
template <class F, class... P>
  requires std::same_as<TypeList<P...>, TypeList<ExecutionContext&>>
struct GuardCall<F, TypeList<P...>> {
  static constexpr bool kValid = true;
  F function;
  auto CanActivate(ExecutionContext& context) { return function(context); }
};
struct GuardKind {
  template <class E>
  static constexpr bool kIs = HasCanActivate<E>;
  template <class F, class Parameters>
  using Call = GuardCall<F, Parameters>;
  template <class E>
  static constexpr auto FunctionOf() {
    return MakeGuardFunction<E>();
  }
};

template <class F, class Parameters>
struct InterceptorCall {
  static constexpr bool kValid = false;
};
template <class F>
struct InterceptorCall<F, TypeList<ExecutionContext&, Next>> {
  static constexpr bool kValid = true;
  F function;
  auto Intercept(ExecutionContext& context, Next next) { return function(context, next); }
};
struct InterceptorKind {
  template <class E>
  static constexpr bool kIs = HasIntercept<E>;
  template <class F, class Parameters>
  using Call = InterceptorCall<F, Parameters>;
  template <class E>
  static constexpr auto FunctionOf() {
    return MakeInterceptorFunction<E>();
  }
};

template <class F, class Parameters>
struct PipeCall {
  static constexpr bool kValid = false;
};
template <class F, class M>
struct PipeCall<F, TypeList<M&, const ArgumentMetadata&>> {
  static constexpr bool kValid = true;
  F function;
  auto Transform(M& message, const ArgumentMetadata& argument) {
    return function(message, argument);
  }
};
struct PipeKind {
  template <class E>
  static constexpr bool kIs = Pipe<E>;
  template <class F, class Parameters>
  using Call = PipeCall<F, Parameters>;
  template <class E>
  static constexpr auto FunctionOf() {
    return MakePipeFunction<E>();
  }
};

template <class F, class Parameters>
struct FilterCall {
  static constexpr bool kValid = false;
};
template <class F, class E>
struct FilterCall<F, TypeList<const E&, ExecutionContext&>> {
  static constexpr bool kValid = true;
  F function;
  auto Catch(const E& error, ExecutionContext& context) { return function(error, context); }
};
struct FilterKind {
  template <class E>
  static constexpr bool kIs = ExceptionFilter<E>;
  template <class F, class Parameters>
  using Call = FilterCall<F, Parameters>;
  template <class E>
  static constexpr auto FunctionOf() {
    return MakeFilterFunction<E>();
  }
};

template <class F>
struct ExactParameters {
  using type = void;
};
template <class F>
  requires CallableSignature<F>::kValid
struct ExactParameters<F> {
  using type = typename CallableSignature<F>::Exact;
};
// F called as an enhancer of the kind is, if its parameters are those.
template <class Kind, class F>
using CallOf = typename Kind::template Call<F, typename ExactParameters<F>::type>;

// What the container keeps the replacement of Replaced under, so that it collides with nothing.
template <class Kind, class Replaced, class E>
inline constexpr InjectionToken<E> kReplacementToken{TypeName<E>()};

template <class Kind, class Replaced, class E>
[[nodiscard]] EnhancerOverride ReplaceBy(std::source_location where) {
  EnhancerOverride replacement;
  replacement.replaced = Token::Of<Replaced>();
  replacement.with.function = Kind::template FunctionOf<E>();
  replacement.with.token = kReplacementToken<Kind, Replaced, E>;
  replacement.with.where = where;
  return replacement;
}
template <class Kind, class Replaced, class E>
[[nodiscard]] EnhancerOverride ReplaceByInstance(std::shared_ptr<E> instance,
                                                 std::source_location where) {
  if (instance == nullptr) {
    throw std::invalid_argument("rookery: OverrideGuard and its kin were given a null instance");
  }
  EnhancerOverride replacement = ReplaceBy<Kind, Replaced, E>(where);
  replacement.with.instance = std::move(instance);
  return replacement;
}
template <class Kind, class Replaced, class E>
[[nodiscard]] EnhancerOverride ReplaceByClass(std::source_location where) {
  EnhancerOverride replacement = ReplaceBy<Kind, Replaced, E>(where);
  replacement.provider = ClassProvider<E>(where);
  replacement.provider->token = replacement.with.token;
  return replacement;
}
template <class Kind, class Replaced, class F>
[[nodiscard]] EnhancerOverride ReplaceByFactory(F&& factory, std::source_location where) {
  using Plain = std::decay_t<F>;
  static_assert(CallableSignature<Plain>::kValid,
                "rookery: this is neither an enhancer of the kind that is overridden, nor a "
                "function that acts as one or makes one (with parameters that have types, not "
                "auto)");
  if constexpr (CallableSignature<Plain>::kValid) {
    using E = ProvidedType<FactoryValue<Plain>>;
    EnhancerOverride replacement = ReplaceBy<Kind, Replaced, E>(where);
    replacement.provider =
        FactoryProvider<E>(replacement.with.token, std::forward<F>(factory), where);
    return replacement;
  } else {
    return {};
  }
}
template <class Kind, class Replaced, class W>
[[nodiscard]] EnhancerOverride ReplaceByGiven(W&& with, std::source_location where) {
  using Plain = std::decay_t<W>;
  using E = ProvidedType<Plain>;
  if constexpr (!std::is_same_v<E, Plain>) {
    if constexpr (std::is_same_v<Plain, std::reference_wrapper<E>>) {
      return ReplaceByGiven<Kind, Replaced>(with.get(), where);
    } else {
      return ReplaceByInstance<Kind, Replaced, E>(std::shared_ptr<E>(std::forward<W>(with)), where);
    }
  } else if constexpr (Kind::template kIs<Plain>) {
    if constexpr (std::is_lvalue_reference_v<W> && !std::is_const_v<std::remove_reference_t<W>>) {
      // Not owned: it stays the test's.
      return ReplaceByInstance<Kind, Replaced, Plain>(
          std::shared_ptr<Plain>(std::shared_ptr<void>(), &with), where);
    } else {
      return ReplaceByInstance<Kind, Replaced, Plain>(
          std::make_shared<Plain>(std::forward<W>(with)), where);
    }
  } else if constexpr (CallOf<Kind, Plain>::kValid) {
    using Call = CallOf<Kind, Plain>;
    return ReplaceByInstance<Kind, Replaced, Call>(
        std::make_shared<Call>(Call{std::forward<W>(with)}), where);
  } else {
    return ReplaceByFactory<Kind, Replaced>(std::forward<W>(with), where);
  }
}

}  // namespace rookery::internal::testkit

namespace rookery::testing {

class TestingModule;

// What a mocker is asked for: an argument of somebody's that nobody provides.
//
//   module.UseMocker([](rookery::testing::MissingProvider& missing) {
//     missing.Supply<Mailer, NiceMock<MockMailer>>() || missing.Supply<Clock>(clock);
//   });
//
// Only valid during the mocker's call.
class MissingProvider final {
 public:
  using Where = std::source_location;

  [[nodiscard]] const Token& token() const noexcept { return token_; }
  // As messages show it: "Mailer".
  [[nodiscard]] std::string name() const { return token_.name(); }
  template <class T>
  [[nodiscard]] bool Is() const noexcept {
    return token_ == Token::Of<T>();
  }
  template <class T>
  [[nodiscard]] bool Is(const InjectionToken<T>& token) const noexcept {
    return token_ == Token(token);
  }

  // Each supplies T if T is what is missing, and returns whether it is. `with` is what
  // TestingModule::OverrideProvider takes.
  template <class T, class W>
  bool Supply(W&& with, Where where = Where::current()) {
    if (!Is<T>()) return false;
    specs_ = {internal::testkit::SpecOfGiven<T>(token_, std::forward<W>(with), where)};
    return true;
  }
  template <class T, class W>
  bool Supply(const InjectionToken<T>& token, W&& with, Where where = Where::current()) {
    if (!Is(token)) return false;
    specs_ = {internal::testkit::SpecOfGiven<T>(token_, std::forward<W>(with), where)};
    return true;
  }
  // A mock of the class M: made by its default constructor, or else injected.
  template <class T, class M>
  bool Supply(Where where = Where::current()) {
    if (!Is<T>()) return false;
    specs_ = internal::testkit::SpecsOfMock<T, M>(where);
    return true;
  }

 private:
  friend class TestingModule;
  explicit MissingProvider(const Token& token) noexcept : token_(token) {}

  Token token_;
  std::vector<ProviderSpec> specs_;
};

// What OverrideProvider<T>() waits for.
template <class T>
class [[nodiscard]] ProviderOverride final {
 public:
  using Where = std::source_location;

  // An object of T or of a class derived from it (a named one stays the test's own), a smart
  // pointer to one, or, under a named token, a value.
  template <class V>
  TestingModule& UseValue(V&& value, Where where = Where::current());
  // The class Fake, constructed with what its constructor asks for.
  template <class Fake>
  TestingModule& UseClass(Where where = Where::current());
  // What `factory` returns; its parameters are injected.
  template <class F>
  TestingModule& UseFactory(F&& factory, Where where = Where::current());

 private:
  friend class TestingModule;
  ProviderOverride(TestingModule* module, const Token& token) noexcept
      : module_(module), token_(token) {}
  TestingModule* module_;
  Token token_;
};

// What OverrideGuard<G>() and its kin wait for.
template <class Kind, class Replaced>
class [[nodiscard]] EnhancerReplacement final {
 public:
  using Where = std::source_location;

  // An enhancer of that kind (a named one stays the test's own), a smart pointer to one, or a
  // function that is called as one.
  template <class V>
  TestingModule& UseValue(V&& value, Where where = Where::current());
  template <class Fake>
  TestingModule& UseClass(Where where = Where::current());
  template <class F>
  TestingModule& UseFactory(F&& factory, Where where = Where::current());

 private:
  friend class TestingModule;
  explicit EnhancerReplacement(TestingModule* module) noexcept : module_(module) {}
  TestingModule* module_;
};

// What OverrideModule<M>() waits for.
class [[nodiscard]] ModuleReplacement final {
 public:
  using Where = std::source_location;

  template <class N>
  TestingModule& UseModule(Where where = Where::current());
  TestingModule& UseModule(const DynamicModule& module, Where where = Where::current());

 private:
  friend class TestingModule;
  ModuleReplacement(TestingModule* module, internal::ModuleOverride replacement) noexcept
      : module_(module), override_(std::move(replacement)) {}
  TestingModule* module_;
  internal::ModuleOverride override_;
};

// Builds an Application as Application::Create does, after replacing what the test names, in
// whichever module it is; modules that are loaded later included. What is replaced is not
// constructed, and what only that needed need not be there.
//
// Compile constructs the application; hooks run with app.Init(), or with the first app.Client().
// Logs warnings and errors only, to stderr, unless WithOptions says otherwise. Of two overrides of
// one thing the later holds. An override of what is not there is a fault (Nest ignores it): a test
// that replaces nothing tests something else than it says.
//
// Each Override... has two forms, which do the same:
//   .OverrideProvider<Mailer>(fake)          .OverrideProvider<Mailer>().UseValue(fake)
//   .OverrideProvider<Mailer, FakeMailer>()  .OverrideProvider<Mailer>().UseClass<FakeMailer>()
//   .OverrideProvider<Mailer>([](Log& log) { return FakeMailer(log); })    ...UseFactory(...)
class TestingModule final {
 public:
  using Where = std::source_location;

  template <class M>
  [[nodiscard]] static TestingModule Of(Where where = Where::current()) {
    internal::ModuleImport root = internal::RootImport<M>();
    root.where = where;
    return TestingModule(std::move(root));
  }
  [[nodiscard]] static TestingModule Of(const DynamicModule& root) {
    return TestingModule(internal::ImportOf(root, std::source_location::current()));
  }

  // Replaces the provider of T, those of ProvideMulti by one. `with` is one of
  //  - an object of T or of a class derived from it: a named one stays the test's own and must
  //    outlive the application; a temporary is moved in;
  //  - std::shared_ptr or std::unique_ptr of such;
  //  - a factory: a function whose parameters are injected, as for ModuleBuilder::ProvideFactory.
  // A fault, if no module provides T. Guards and their kin are called without virtual functions:
  // OverrideGuard is for those.
  template <class T, class W>
  TestingModule& OverrideProvider(W&& with, Where where = Where::current()) {
    return Add(internal::testkit::SpecOfGiven<T>(Token::Of<T>(), std::forward<W>(with), where));
  }
  // The same for a named token. A value is copied or moved in.
  template <class T, class W>
  TestingModule& OverrideProvider(const InjectionToken<T>& token, W&& with,
                                  Where where = Where::current()) {
    return Add(internal::testkit::SpecOfGiven<T>(token, std::forward<W>(with), where));
  }
  // Replaces the provider of T by the class Fake, constructed with what its constructor asks for.
  template <class T, class Fake>
  TestingModule& OverrideProvider(Where where = Where::current()) {
    return Add(ClassProviderAs<T, Fake>(Token::Of<T>(), where));
  }
  template <class T>
  ProviderOverride<T> OverrideProvider() {
    return ProviderOverride<T>(this, Token::Of<T>());
  }
  template <class T>
  ProviderOverride<T> OverrideProvider(const InjectionToken<T>& token) {
    return ProviderOverride<T>(this, token);
  }

  // Replaces the module M wherever it is imported, re-exported or loaded: M itself, and every
  // dynamic module of that class; with a DynamicModule, only that object. The replacement may
  // import what it replaces, and then gets the real one. A fault, if no module imports M.
  template <class M>
  ModuleReplacement OverrideModule(Where where = Where::current()) {
    internal::ModuleOverride replacement;
    replacement.type = &internal::kTypeTag<M>;
    replacement.where = where;
    return ModuleReplacement(this, std::move(replacement));
  }
  template <class M, class N>
  TestingModule& OverrideModule(Where where = Where::current()) {
    return OverrideModule<M>(where).template UseModule<N>(where);
  }
  ModuleReplacement OverrideModule(const DynamicModule& module, Where where = Where::current());

  // Replaces the guard (interceptor, pipe, filter) G wherever it is used as one: by a controller, a
  // method, a module (GlobalGuard), the application (UseGlobalGuard); by class or as an instance.
  // The replacement is any class of that kind, related to G or not. `with` is one of
  //  - such an object: a named one stays the test's own, a temporary is moved in; or a
  //    std::shared_ptr or std::unique_ptr of one;
  //  - a function called as one: [](ExecutionContext& context) { return true; };
  //  - a factory of one, whose parameters are injected.
  // A fault when the application is initialised, if nothing uses G as that kind of enhancer.
  template <class G, class W>
  TestingModule& OverrideGuard(W&& with, Where where = Where::current()) {
    return Replace<internal::testkit::GuardKind, G>(std::forward<W>(with), where);
  }
  template <class G, class Fake>
  TestingModule& OverrideGuard(Where where = Where::current()) {
    return Add(internal::testkit::ReplaceByClass<internal::testkit::GuardKind, G, Fake>(where));
  }
  template <class G>
  EnhancerReplacement<internal::testkit::GuardKind, G> OverrideGuard() {
    return EnhancerReplacement<internal::testkit::GuardKind, G>(this);
  }
  template <class I, class W>
  TestingModule& OverrideInterceptor(W&& with, Where where = Where::current()) {
    return Replace<internal::testkit::InterceptorKind, I>(std::forward<W>(with), where);
  }
  template <class I, class Fake>
  TestingModule& OverrideInterceptor(Where where = Where::current()) {
    return Add(
        internal::testkit::ReplaceByClass<internal::testkit::InterceptorKind, I, Fake>(where));
  }
  template <class I>
  EnhancerReplacement<internal::testkit::InterceptorKind, I> OverrideInterceptor() {
    return EnhancerReplacement<internal::testkit::InterceptorKind, I>(this);
  }
  template <class P, class W>
  TestingModule& OverridePipe(W&& with, Where where = Where::current()) {
    return Replace<internal::testkit::PipeKind, P>(std::forward<W>(with), where);
  }
  template <class P, class Fake>
  TestingModule& OverridePipe(Where where = Where::current()) {
    return Add(internal::testkit::ReplaceByClass<internal::testkit::PipeKind, P, Fake>(where));
  }
  template <class P>
  EnhancerReplacement<internal::testkit::PipeKind, P> OverridePipe() {
    return EnhancerReplacement<internal::testkit::PipeKind, P>(this);
  }
  template <class F, class W>
  TestingModule& OverrideFilter(W&& with, Where where = Where::current()) {
    return Replace<internal::testkit::FilterKind, F>(std::forward<W>(with), where);
  }
  template <class F, class Fake>
  TestingModule& OverrideFilter(Where where = Where::current()) {
    return Add(internal::testkit::ReplaceByClass<internal::testkit::FilterKind, F, Fake>(where));
  }
  template <class F>
  EnhancerReplacement<internal::testkit::FilterKind, F> OverrideFilter() {
    return EnhancerReplacement<internal::testkit::FilterKind, F>(this);
  }

  // Gives T to whoever asks for it and does not see one: a service without the modules around it.
  // `with` is what OverrideProvider takes. One for the whole application. A fault, if a module
  // provides T and nobody is without: that takes an override.
  template <class T, class W>
  TestingModule& Mock(W&& with, Where where = Where::current()) {
    return AddMock(internal::testkit::SpecOfGiven<T>(Token::Of<T>(), std::forward<W>(with), where));
  }
  template <class T, class W>
  TestingModule& Mock(const InjectionToken<T>& token, W&& with, Where where = Where::current()) {
    return AddMock(internal::testkit::SpecOfGiven<T>(token, std::forward<W>(with), where));
  }
  // The same by a class: Mock<Mailer, NiceMock<MockMailer>>(), which
  // app.Get<NiceMock<MockMailer>>() then gives. Made by its default constructor, or else with what
  // its constructor asks for.
  template <class T, class M>
  TestingModule& Mock(Where where = Where::current()) {
    for (ProviderSpec& spec : internal::testkit::SpecsOfMock<T, M>(where)) AddMock(std::move(spec));
    return *this;
  }
  // Asks `mocker` once for each token that somebody asks for and does not see (optional arguments
  // included, as in Nest), unless a Mock is there. What it supplies is for the whole application;
  // what it does not supply is reported as missing.
  TestingModule& UseMocker(std::function<void(MissingProvider& missing)> mocker) {
    overrides_.graph.mocker = [mocker = std::move(mocker)](const Token& token) {
      MissingProvider missing(token);
      mocker(missing);
      return std::move(missing.specs_);
    };
    return *this;
  }

  TestingModule& WithOptions(ApplicationOptions options) {
    options_ = std::move(options);
    return *this;
  }

  // Builds the application. Throws ApplicationError with all faults.
  [[nodiscard]] Application Compile() {
    absl::StatusOr<Application> app = TryCompile();
    if (!app.ok()) throw ApplicationError(app.status());
    return *std::move(app);
  }
  [[nodiscard]] absl::StatusOr<Application> TryCompile() {
    return Application::Build(root_, options_, overrides_);
  }

 private:
  template <class T>
  friend class ProviderOverride;
  template <class Kind, class Replaced>
  friend class EnhancerReplacement;
  friend class ModuleReplacement;

  explicit TestingModule(internal::ModuleImport root) : root_(std::move(root)) {
    options_.name = "test";
    options_.loop_threads = 1;
    options_.log.level = LogLevel::kWarn;
  }
  TestingModule& Add(ProviderSpec spec) {
    std::erase_if(overrides_.graph.providers,
                  [&spec](const ProviderSpec& old) { return old.token == spec.token; });
    overrides_.graph.providers.push_back(std::move(spec));
    return *this;
  }
  TestingModule& AddMock(ProviderSpec spec) {
    std::erase_if(overrides_.graph.mocks,
                  [&spec](const ProviderSpec& old) { return old.token == spec.token; });
    overrides_.graph.mocks.push_back(std::move(spec));
    return *this;
  }
  TestingModule& Add(internal::EnhancerOverride replacement) {
    using Old = internal::EnhancerOverride;
    std::erase_if(overrides_.enhancers, [&replacement](const Old& old) {
      return old.replaced == replacement.replaced &&
             old.with.function.index() == replacement.with.function.index();
    });
    overrides_.enhancers.push_back(std::move(replacement));
    return *this;
  }
  TestingModule& Add(internal::ModuleOverride replacement) {
    using Old = internal::ModuleOverride;
    std::erase_if(overrides_.graph.modules, [&replacement](const Old& old) {
      return old.type == replacement.type && old.dynamic == replacement.dynamic;
    });
    // Those of one object before those of its class, which means it, too.
    auto& all = overrides_.graph.modules;
    all.insert(replacement.dynamic != nullptr ? all.begin() : all.end(), std::move(replacement));
    return *this;
  }
  template <class Kind, class Replaced, class W>
  TestingModule& Replace(W&& with, Where where) {
    return Add(internal::testkit::ReplaceByGiven<Kind, Replaced>(std::forward<W>(with), where));
  }

  internal::ModuleImport root_;
  ApplicationOptions options_;
  internal::ApplicationOverrides overrides_;
};

// A task that goes on while the test does something else: moves a clock on, or makes another call.
//
//   auto call = rookery::testing::InBackground(app, client.Place(request));
//   clock.Advance(std::chrono::seconds(30));
//   EXPECT_EQ(call.Wait().status().code(), absl::StatusCode::kDeadlineExceeded);
//
// Movable. Dropping it lets the task go on by itself.
template <class T>
class [[nodiscard]] Background final {
 public:
  explicit Background(JoinHandle<T> handle) noexcept : handle_(std::move(handle)) {}

  [[nodiscard]] bool done() const noexcept { return handle_.done(); }
  // Blocks until the task has ended; what it ended with. Once.
  [[nodiscard]] StatusOrOf<T> Wait() { return SyncWaitStatus(Join(std::move(handle_))); }
  // The same; throws if the task failed.
  T Get() { return SyncWait(Join(std::move(handle_))); }

 private:
  static Task<T> Join(JoinHandle<T> handle) { co_return co_await std::move(handle); }

  JoinHandle<T> handle_;
};

// Starts `task` on one of the application's loops.
template <class T>
[[nodiscard]] Background<T> InBackground(ApplicationContext& app, Task<T> task) {
  return Background<T>(SpawnOn(app.host().loops().Pick(), std::move(task)));
}

// ---- implementation -------------------------------------------------------------------------

template <class T>
template <class V>
TestingModule& ProviderOverride<T>::UseValue(V&& value, Where where) {
  if constexpr (std::is_class_v<T> && internal::kServesAs<T, std::decay_t<V>> &&
                std::is_lvalue_reference_v<V> && !std::is_const_v<std::remove_reference_t<V>>) {
    return module_->Add(ValueProvider<T>(token_, std::ref(value), where));
  } else {
    return module_->Add(ValueProvider<T>(token_, std::forward<V>(value), where));
  }
}
template <class T>
template <class Fake>
TestingModule& ProviderOverride<T>::UseClass(Where where) {
  return module_->Add(ClassProviderAs<T, Fake>(token_, where));
}
template <class T>
template <class F>
TestingModule& ProviderOverride<T>::UseFactory(F&& factory, Where where) {
  return module_->Add(FactoryProvider<T>(token_, std::forward<F>(factory), where));
}

template <class Kind, class Replaced>
template <class V>
TestingModule& EnhancerReplacement<Kind, Replaced>::UseValue(V&& value, Where where) {
  return module_->template Replace<Kind, Replaced>(std::forward<V>(value), where);
}
template <class Kind, class Replaced>
template <class Fake>
TestingModule& EnhancerReplacement<Kind, Replaced>::UseClass(Where where) {
  return module_->Add(internal::testkit::ReplaceByClass<Kind, Replaced, Fake>(where));
}
template <class Kind, class Replaced>
template <class F>
TestingModule& EnhancerReplacement<Kind, Replaced>::UseFactory(F&& factory, Where where) {
  return module_->Add(
      internal::testkit::ReplaceByFactory<Kind, Replaced>(std::forward<F>(factory), where));
}

template <class N>
TestingModule& ModuleReplacement::UseModule(Where where) {
  override_.with.type = internal::StaticModuleType<N>();
  override_.with.where = where;
  return module_->Add(std::move(override_));
}
inline TestingModule& ModuleReplacement::UseModule(const DynamicModule& module, Where where) {
  override_.with = internal::ImportOf(module, where);
  return module_->Add(std::move(override_));
}
inline ModuleReplacement TestingModule::OverrideModule(const DynamicModule& module, Where where) {
  internal::ModuleOverride replacement;
  if (module.content() != nullptr) {
    replacement.type = module.content()->type->type;
    if (!module.content()->lazy) replacement.dynamic = module.content();
  }
  if (replacement.type == nullptr) {
    throw std::invalid_argument(
        "rookery: OverrideModule was given a dynamic module that was moved from");
  }
  replacement.where = where;
  return ModuleReplacement(this, std::move(replacement));
}

}  // namespace rookery::testing

#endif  // ROOKERY_APP_TESTING_H_
