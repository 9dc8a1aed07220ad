// ConfigurableModule: a module that is given options where it is imported.
//
//   struct MailOptions { std::string host; int port = 25; };
//   struct MailModule : rookery::ConfigurableModule<MailModule, MailOptions> {
//     static void Define(rookery::ModuleBuilder& module) {
//       module.Provide<Mailer>().Export<Mailer>();
//     }
//   };
//   explicit Mailer(const MailOptions& options);                      // options are a provider
//
//   module.Import(MailModule::Register({.host = "smtp.shop.example"}));
//   module.Import(MailModule::RegisterAsync([](Config& config) { return config.Mail(); }));
//
// Nest's ConfigurableModuleBuilder. See docs/configurable-modules.md.
#ifndef ROOKERY_MODULE_CONFIGURABLE_MODULE_H_
#define ROOKERY_MODULE_CONFIGURABLE_MODULE_H_

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/di/provider.h"
#include "rookery/di/token.h"
#include "rookery/module/dynamic_module.h"
#include "rookery/runtime/task.h"

namespace rookery {

// Extras change the module, and are not injected. These are the usual ones; a module may have a
// struct of its own: see ConfigurableModule.
struct ModuleExtras {
  bool is_global = false;  // what the module exports is visible everywhere
};

// Says that options come from a class with a method `Create()` (of any name: see CreateOptions in
// ConfigurableModule), made for the purpose and injected. Nest's useClass.
template <class F>
struct UseClass final {};
// The same for one that is provided already, in a module that is imported. Nest's useExisting.
template <class F>
struct UseExisting final {};

namespace internal {

enum class OptionsKind : std::uint8_t { kModule, kRoot, kFeature };

// "MailModule" -> "MAIL_MODULE_OPTIONS", without namespaces and template arguments; a feature's
// differ from the root's, so that messages tell them apart.
template <class M, OptionsKind kKind>
struct OptionsName {
  static constexpr std::string_view kSuffix =
      kKind == OptionsKind::kFeature ? "_FEATURE_OPTIONS" : "_OPTIONS";
  static constexpr std::string_view Short() {
    std::string_view name = TypeName<M>();
    name = name.substr(0, name.find('<'));
    const std::size_t colon = name.rfind(':');
    return colon == std::string_view::npos ? name : name.substr(colon + 1);
  }
  static constexpr bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
  static constexpr bool Breaks(std::string_view name, std::size_t i) {
    return i > 0 && IsUpper(name[i]) &&
           (!IsUpper(name[i - 1]) || (i + 1 < name.size() && !IsUpper(name[i + 1])));
  }
  static constexpr std::size_t Size() {
    constexpr std::string_view kShort = Short();
    std::size_t size = kShort.size() + kSuffix.size();
    for (std::size_t i = 0; i < kShort.size(); ++i) size += Breaks(kShort, i) ? 1 : 0;
    return size;
  }
  static constexpr auto Make() {
    std::array<char, Size()> out{};
    constexpr std::string_view kShort = Short();
    std::size_t at = 0;
    for (std::size_t i = 0; i < kShort.size(); ++i) {
      if (Breaks(kShort, i)) out[at++] = '_';
      const char c = kShort[i];
      out[at++] = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    for (const char c : kSuffix) out[at++] = c;
    return out;
  }
  static constexpr auto kChars = Make();
  static constexpr std::string_view kName{kChars.data(), kChars.size()};
};

// Whether M, or a base of it, has a member of the name, whoever may use it: then the name means two
// things in what derives from M and from a class with such a member.
template <class M, bool kFinal = std::is_final_v<M>>
struct MembersOf {
  struct Others {
    void CheckOptions();
    void ApplyExtras();
    void CreateOptions();
  };
  struct Both : M, Others {};
  static constexpr bool kCheckOptions = !requires { &Both::CheckOptions; };
  static constexpr bool kApplyExtras = !requires { &Both::ApplyExtras; };
  static constexpr bool kCreateOptions = !requires { &Both::CreateOptions; };
};
template <class M>
struct MembersOf<M, true> {
  static constexpr bool kCheckOptions = requires { &M::CheckOptions; };
  static constexpr bool kApplyExtras = requires { &M::ApplyExtras; };
  static constexpr bool kCreateOptions = requires { &M::CreateOptions; };
};

// M has a CheckOptions for such options; it says what it should; or it takes them in a way in which
// nobody will call it.
template <class M, class Options>
concept ChecksOptions = requires(const Options& o) { M::CheckOptions(o); };
template <class M, class Options>
concept ChecksWithStatus = requires(const Options& o) {
  { M::CheckOptions(o) } -> std::same_as<absl::Status>;
};
template <class M, class Options>
concept ChecksOtherwise = requires(Options& o) { M::CheckOptions(o); } ||
                          requires(Options o) { M::CheckOptions(std::move(o)); };
template <class M, class Options>
inline constexpr bool kMischecksOptions =
    ChecksOptions<M, Options> ? !ChecksWithStatus<M, Options> : ChecksOtherwise<M, Options>;

// The same of its extras.
template <class M, class Extras>
concept AppliesExtras =
    requires(DynamicModule& module, const Extras& e) { M::ApplyExtras(module, e); };
template <class M, class Extras>
concept AppliesInPlace = requires(DynamicModule& module, const Extras& e) {
  { M::ApplyExtras(module, e) } -> std::same_as<void>;
};
template <class M, class Extras>
concept AppliesOtherwise = requires(DynamicModule& module, Extras& e) {
  M::ApplyExtras(module, e);
} || requires(DynamicModule& module, Extras e) { M::ApplyExtras(module, std::move(e)); };
template <class M, class Extras>
inline constexpr bool kMisappliesExtras =
    AppliesExtras<M, Extras> ? !AppliesInPlace<M, Extras> : AppliesOtherwise<M, Extras>;

template <class M, class Options, class Extras, OptionsKind kKind>
class ConfigurableBlueprint;

// The options and extras that M has under one of the pairs of names, or void.
template <class O, class E>
struct BlueprintOf {
  using Options = O;
  using Extras = E;
};
template <class M, OptionsKind kKind>
struct FindBlueprint {
  template <class O, class E>
  static BlueprintOf<O, E> Ask(const ConfigurableBlueprint<M, O, E, kKind>*);
  static BlueprintOf<void, void> Ask(...);
  using Found = decltype(Ask(static_cast<M*>(nullptr)));
  static constexpr bool kThere = !std::is_void_v<typename Found::Options>;
  template <bool kHas = kThere>
  static constexpr bool Checks() {
    if constexpr (kHas) return ChecksOptions<M, typename Found::Options>;
    return false;
  }
  template <bool kHas = kThere>
  static constexpr bool Applies() {
    if constexpr (kHas) return AppliesExtras<M, typename Found::Extras>;
    return false;
  }
};
// Over all pairs of names: a module may check its root's options alone.
template <class M>
struct AnyBlueprint {
  using Module = FindBlueprint<M, OptionsKind::kModule>;
  using Root = FindBlueprint<M, OptionsKind::kRoot>;
  using Feature = FindBlueprint<M, OptionsKind::kFeature>;
  static constexpr bool kSeveral =
      int{Module::kThere} + int{Root::kThere} + int{Feature::kThere} > 1;
  static constexpr bool kChecks = Module::Checks() || Root::Checks() || Feature::Checks();
  static constexpr bool kApplies = Module::Applies() || Root::Applies() || Feature::Applies();
};

// Whether M's CheckOptions and ApplyExtras will be called, if there are any.
template <class M, class Options, class Extras>
constexpr bool ModuleIsSound() {
  constexpr bool kChecks =
      !kMischecksOptions<M, Options> && (!MembersOf<M>::kCheckOptions || AnyBlueprint<M>::kChecks);
  static_assert(kChecks,
                "rookery: the module's CheckOptions would not be called: it must be a public "
                "`static absl::Status CheckOptions(const Options& options)`, Options being those "
                "of the module");
  constexpr bool kApplies =
      !kMisappliesExtras<M, Extras> && (!MembersOf<M>::kApplyExtras || AnyBlueprint<M>::kApplies);
  static_assert(kApplies,
                "rookery: the module's ApplyExtras would not be called: it must be a public "
                "`static void ApplyExtras(rookery::DynamicModule& module, const Extras& extras)`, "
                "Extras being those of the module");
  constexpr bool kKnown =
      !kApplies || AppliesExtras<M, Extras> || std::is_base_of_v<ModuleExtras, Extras>;
  static_assert(kKnown,
                "rookery: ConfigurableModule with Extras of its own: give the module a public "
                "`static void ApplyExtras(rookery::DynamicModule& module, const Extras& "
                "extras)`");
  return kChecks && kApplies && kKnown;
}

template <class M, class Options>
absl::StatusOr<Options> CheckedOptions(absl::StatusOr<Options> options) {
  if constexpr (ChecksOptions<M, Options>) {
    if (options.ok()) {
      absl::Status status = M::CheckOptions(*options);
      if (!status.ok()) return status;
    }
  }
  return options;
}

// A user's function that gives options, with its parameters injected and its result checked.
template <class M, class Options, class F, class R, class Parameters>
class OptionsFunction;
template <class M, class Options, class F, class R, class... P>
class OptionsFunction<M, Options, F, R, TypeList<P...>> {
 public:
  explicit OptionsFunction(F function) : function_(std::move(function)) {}

  auto operator()(P... parameters) {
    if constexpr (IsTask<R>::value) {
      return Later(function_(static_cast<P>(parameters)...));
    } else {
      return CheckedOptions<M, Options>(function_(static_cast<P>(parameters)...));
    }
  }

 private:
  static Task<Options> Later(R task) {
    absl::StatusOr<Options> options = co_await AsStatusOr(std::move(task));
    absl::StatusOr<Options> checked = CheckedOptions<M, Options>(std::move(options));
    if (!checked.ok()) co_return std::move(checked).status();
    co_return *std::move(checked);
  }

  F function_;
};

// What the three pairs of names (Register, ForRoot, ForFeature) share.
template <class M, class Options, class Extras, OptionsKind kKind>
class ConfigurableBlueprint {
  static_assert(std::is_object_v<Options> && !std::is_const_v<Options>,
                "rookery: ConfigurableModule<M, Options>: Options must be a plain object type");

 public:
  using OptionsType = Options;
  using ExtrasType = Extras;
  using Where = std::source_location;

 protected:
  [[nodiscard]] static DynamicModule WithValue(const InjectionToken<Options>& token,
                                               Options options, const Extras& extras, Where where) {
    if constexpr (!ModuleIsSound<M, Options, Extras>()) {
      return DynamicModule::Of<M>(where);
    } else if constexpr (ChecksOptions<M, Options>) {
      // As a factory, so that start-up reports what is wrong with them, and where they were given.
      // Shared, since what cannot be copied may be built into an application more than once.
      auto give = [kept = std::make_shared<Options>(
                       std::move(options))]() -> absl::StatusOr<std::shared_ptr<Options>> {
        absl::Status status = M::CheckOptions(std::as_const(*kept));
        if (!status.ok()) return status;
        return kept;
      };
      return Finish(FactoryProvider<Options>(Main(token), std::move(give), where), token, extras,
                    where);
    } else {
      return Finish(ValueProvider<Options>(Main(token), std::move(options), where), token, extras,
                    where);
    }
  }

  template <class F>
  [[nodiscard]] static DynamicModule WithFunction(const InjectionToken<Options>& token, F function,
                                                  const Extras& extras, Where where) {
    constexpr bool kCallable = CallableSignature<F>::kValid;
    if constexpr (!ModuleIsSound<M, Options, Extras>()) {
      return DynamicModule::Of<M>(where);
    } else if constexpr (!kCallable) {
      static_assert(kCallable,
                    "rookery: RegisterAsync: pass a function that gives the options, or a lambda "
                    "whose parameters have types (not auto): the types say what to inject; or "
                    "rookery::UseClass<F>(), rookery::UseExisting<F>()");
      return DynamicModule::Of<M>(where);
    } else {
      using Signature = CallableSignature<F>;
      constexpr bool kGives = std::is_convertible_v<FactoryValue<F>, Options>;
      if constexpr (!kGives) {
        static_assert(kGives,
                      "rookery: RegisterAsync: the function must give the module's options, or "
                      "absl::StatusOr or rookery::Task of them");
        return DynamicModule::Of<M>(where);
      } else {
        using Function =
            OptionsFunction<M, Options, F, typename Signature::Result, typename Signature::Exact>;
        return Finish(FactoryProvider<Options>(Main(token), Function(std::move(function)), where),
                      token, extras, where);
      }
    }
  }

  template <class F>
  [[nodiscard]] static DynamicModule WithFactoryClass(const InjectionToken<Options>& token,
                                                      bool provide, const Extras& extras,
                                                      Where where) {
    if constexpr (!CreatesOptions<F>()) {
      return DynamicModule::Of<M>(where);
    } else {
      DynamicModule module =
          WithFunction(token, [](F& factory) { return Create(factory); }, extras, where);
      if (provide) module.Add(ClassProvider<F>(where));
      return module;
    }
  }

 private:
  // Whether the module's own CreateOptions is asked, rather than the class's Create.
  template <class F>
  static constexpr bool kModuleCreates = requires(F& factory) { M::CreateOptions(factory); };
  template <class F>
  static decltype(auto) Create(F& factory) {
    if constexpr (kModuleCreates<F>) {
      return M::CreateOptions(factory);
    } else {
      return factory.Create();
    }
  }
  template <class F>
  static constexpr bool CreatesOptions() {
    constexpr bool kCreates = requires(F& factory) { factory.Create(); };
    // A module with a root and features may have a CreateOptions for the classes of one of them.
    constexpr bool kAsked = kModuleCreates<F> || !MembersOf<M>::kCreateOptions ||
                            (AnyBlueprint<M>::kSeveral && kCreates);
    static_assert(kAsked,
                  "rookery: UseClass<F>, UseExisting<F>: the module's CreateOptions cannot be "
                  "called with an F&: it must be a public `template <class F> static auto "
                  "CreateOptions(F& factory)`, and F must have, publicly, what that calls");
    constexpr bool kGiven = !kAsked || kModuleCreates<F> || kCreates;
    static_assert(kGiven,
                  "rookery: UseClass<F>, UseExisting<F>: F must have a public `Options Create()` "
                  "(or absl::StatusOr or rookery::Task of it); for another name give the module "
                  "`template <class F> static auto CreateOptions(F& factory)`");
    if constexpr (kAsked && kGiven) {
      using Result = decltype(Create(std::declval<F&>()));
      using Plain = std::remove_cvref_t<Result>;
      constexpr bool kRight = std::is_constructible_v<Plain, Result> &&
                              std::is_convertible_v<typename FactoryResult<Plain>::Value, Options>;
      static_assert(kRight,
                    "rookery: UseClass<F>, UseExisting<F>: what F's Create (or the module's "
                    "CreateOptions) returns must be the module's options, or absl::StatusOr or "
                    "rookery::Task of them");
      return kRight;
    } else {
      return false;
    }
  }
  // Options of a class are known by it, and by the token; a number or a string by the token alone.
  static Token Main(const InjectionToken<Options>& token) {
    if constexpr (kIsPlainValue<Options>) {
      return Token(token);
    } else {
      return Token::Of<Options>();
    }
  }
  static DynamicModule Finish(ProviderSpec options, const InjectionToken<Options>& token,
                              const Extras& extras, Where where) {
    DynamicModule module = DynamicModule::Of<M>(where);
    module.Add(std::move(options));
    if constexpr (!kIsPlainValue<Options>) {
      module.Add(AliasProvider<Options, Options>(token, where));
    }
    if constexpr (AppliesExtras<M, Extras>) {
      M::ApplyExtras(module, extras);
    } else {
      module.Global(extras.is_global);
    }
    return module;
  }
};

}  // namespace internal

// The base of a module with Register and RegisterAsync. Each call makes a module of its own: keep
// the result in a variable to import the same one in several places. What they return may be added
// to before it is imported:
//
//   module.Import(MailModule::RegisterAsync([](Config& config) { return config.Mail(); })
//                     .Import<ConfigModule>());
//
// Options are injected as `const Options&`, or as Inject<M::kOptions>, into what the module
// provides. A module that wants others to see them exports them.
//
// The module M may say more, with public static functions:
//  - absl::Status CheckOptions(const Options&): what is wrong with them, field and mend. Asked at
//    start-up, whichever way they came; a failure names the module and where it was registered.
//    One that is private, or takes or returns something else, does not compile.
//  - void ApplyExtras(DynamicModule&, const Extras&): what its own Extras do. ModuleExtras, and
//    what derives from it, know `is_global` without.
//  - template <class F> auto CreateOptions(F&): how UseClass and UseExisting get options from a
//    class whose method is not called Create (Nest's setFactoryMethodName). With the type spelled
//    out, `-> decltype(factory.CreateMailOptions())`, a class without that method is refused by
//    name.
// Options need not be copyable.
template <class M, class Options, class Extras = ModuleExtras>
class ConfigurableModule
    : public internal::ConfigurableBlueprint<M, Options, Extras, internal::OptionsKind::kModule> {
  using Blueprint =
      internal::ConfigurableBlueprint<M, Options, Extras, internal::OptionsKind::kModule>;

 public:
  using typename Blueprint::Where;
  // Under this token the options are provided, "MAIL_MODULE_OPTIONS".
  static constexpr InjectionToken<Options> kOptions{
      internal::OptionsName<M, internal::OptionsKind::kModule>::kName};

  [[nodiscard]] static DynamicModule Register(Options options, Extras extras = {},
                                              Where where = Where::current()) {
    return Blueprint::WithValue(kOptions, std::move(options), extras, where);
  }
  // What `function` gives: Options, or absl::StatusOr or Task of them; its parameters are injected.
  // Called once, at start-up.
  template <class F>
  [[nodiscard]] static DynamicModule RegisterAsync(F function, Extras extras = {},
                                                   Where where = Where::current()) {
    return Blueprint::WithFunction(kOptions, std::move(function), extras, where);
  }
  template <class F>
  [[nodiscard]] static DynamicModule RegisterAsync(UseClass<F>, Extras extras = {},
                                                   Where where = Where::current()) {
    return Blueprint::template WithFactoryClass<F>(kOptions, true, extras, where);
  }
  template <class F>
  [[nodiscard]] static DynamicModule RegisterAsync(UseExisting<F>, Extras extras = {},
                                                   Where where = Where::current()) {
    return Blueprint::template WithFactoryClass<F>(kOptions, false, extras, where);
  }
};

// The same with the names ForRoot and ForRootAsync, for a module that is set up once for the
// application. It may derive from ConfigurableFeature as well, with other options.
template <class M, class Options, class Extras = ModuleExtras>
class ConfigurableRoot
    : public internal::ConfigurableBlueprint<M, Options, Extras, internal::OptionsKind::kRoot> {
  using Blueprint =
      internal::ConfigurableBlueprint<M, Options, Extras, internal::OptionsKind::kRoot>;

 public:
  using Where = std::source_location;
  static constexpr InjectionToken<Options> kRootOptions{
      internal::OptionsName<M, internal::OptionsKind::kRoot>::kName};

  [[nodiscard]] static DynamicModule ForRoot(Options options, Extras extras = {},
                                             Where where = Where::current()) {
    return Blueprint::WithValue(kRootOptions, std::move(options), extras, where);
  }
  template <class F>
  [[nodiscard]] static DynamicModule ForRootAsync(F function, Extras extras = {},
                                                  Where where = Where::current()) {
    return Blueprint::WithFunction(kRootOptions, std::move(function), extras, where);
  }
  template <class F>
  [[nodiscard]] static DynamicModule ForRootAsync(UseClass<F>, Extras extras = {},
                                                  Where where = Where::current()) {
    return Blueprint::template WithFactoryClass<F>(kRootOptions, true, extras, where);
  }
  template <class F>
  [[nodiscard]] static DynamicModule ForRootAsync(UseExisting<F>, Extras extras = {},
                                                  Where where = Where::current()) {
    return Blueprint::template WithFactoryClass<F>(kRootOptions, false, extras, where);
  }
};

// The same with the names ForFeature and ForFeatureAsync, for what each module that uses it says
// for itself (its tables, its queues).
template <class M, class Options, class Extras = ModuleExtras>
class ConfigurableFeature
    : public internal::ConfigurableBlueprint<M, Options, Extras, internal::OptionsKind::kFeature> {
  using Blueprint =
      internal::ConfigurableBlueprint<M, Options, Extras, internal::OptionsKind::kFeature>;

 public:
  using Where = std::source_location;
  static constexpr InjectionToken<Options> kFeatureOptions{
      internal::OptionsName<M, internal::OptionsKind::kFeature>::kName};

  [[nodiscard]] static DynamicModule ForFeature(Options options, Extras extras = {},
                                                Where where = Where::current()) {
    return Blueprint::WithValue(kFeatureOptions, std::move(options), extras, where);
  }
  template <class F>
  [[nodiscard]] static DynamicModule ForFeatureAsync(F function, Extras extras = {},
                                                     Where where = Where::current()) {
    return Blueprint::WithFunction(kFeatureOptions, std::move(function), extras, where);
  }
  template <class F>
  [[nodiscard]] static DynamicModule ForFeatureAsync(UseClass<F>, Extras extras = {},
                                                     Where where = Where::current()) {
    return Blueprint::template WithFactoryClass<F>(kFeatureOptions, true, extras, where);
  }
  template <class F>
  [[nodiscard]] static DynamicModule ForFeatureAsync(UseExisting<F>, Extras extras = {},
                                                     Where where = Where::current()) {
    return Blueprint::template WithFactoryClass<F>(kFeatureOptions, false, extras, where);
  }
};

}  // namespace rookery

#endif  // ROOKERY_MODULE_CONFIGURABLE_MODULE_H_
