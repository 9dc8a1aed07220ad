// Mistakes with ConfigurableModule: never linked; see compile_errors_test.cc.
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "rookery/module/configurable_module.h"

namespace {

using rookery::ConfigurableFeature;
using rookery::ConfigurableModule;
using rookery::ConfigurableRoot;
using rookery::DynamicModule;
using rookery::ModuleExtras;
using rookery::UseClass;
using rookery::UseExisting;

struct Options {
  std::string host;
};

// ---- CheckOptions that nobody would call

class PrivateCheck : public ConfigurableModule<PrivateCheck, Options> {
  static absl::Status CheckOptions(const Options& options);
};
// expect: rookery: the module's CheckOptions would not be called: it must be a public `static
// absl::Status CheckOptions(const Options& options)`, Options being those of the module
DynamicModule Private() { return PrivateCheck::Register({}); }

struct MutableCheck : ConfigurableModule<MutableCheck, Options> {
  static absl::Status CheckOptions(Options& options);
};
// expect: rookery: the module's CheckOptions would not be called: it must be a public `static
// absl::Status CheckOptions(const Options& options)`, Options being those of the module
DynamicModule Mutable() {
  return MutableCheck::RegisterAsync([] { return Options(); });
}

struct BoolCheck : ConfigurableModule<BoolCheck, Options> {
  static bool CheckOptions(const Options& options);
};
// expect: rookery: the module's CheckOptions would not be called: it must be a public `static
// absl::Status CheckOptions(const Options& options)`, Options being those of the module
DynamicModule OfBool() { return BoolCheck::Register({}); }

struct MemberCheck : ConfigurableRoot<MemberCheck, Options> {
  absl::Status CheckOptions(const Options& options);
};
// expect: rookery: the module's CheckOptions would not be called: it must be a public `static
// absl::Status CheckOptions(const Options& options)`, Options being those of the module
DynamicModule Member() { return MemberCheck::ForRoot({}); }

struct Other {};
struct OtherCheck : ConfigurableRoot<OtherCheck, Options>,
                    ConfigurableFeature<OtherCheck, Options> {
  static absl::Status CheckOptions(const Other& options);
};
// expect: rookery: the module's CheckOptions would not be called: it must be a public `static
// absl::Status CheckOptions(const Options& options)`, Options being those of the module
DynamicModule OfOther() { return OtherCheck::ForFeature({}); }

struct FinalCheck final : ConfigurableModule<FinalCheck, Options> {
  static absl::Status CheckOptions(Options& options);
};
// expect: rookery: the module's CheckOptions would not be called: it must be a public `static
// absl::Status CheckOptions(const Options& options)`, Options being those of the module
DynamicModule Final() { return FinalCheck::Register({}); }

struct Key {
  std::unique_ptr<int> secret;
};
struct ByValueCheck : ConfigurableModule<ByValueCheck, Key> {
  static absl::Status CheckOptions(Key key);
};
// expect: rookery: the module's CheckOptions would not be called: it must be a public `static
// absl::Status CheckOptions(const Options& options)`, Options being those of the module
DynamicModule ByValue() { return ByValueCheck::Register({}); }

// ---- ApplyExtras that nobody would call

struct Extras : ModuleExtras {
  bool metrics = false;
};
class PrivateExtras : public ConfigurableModule<PrivateExtras, Options, Extras> {
  static void ApplyExtras(DynamicModule& module, const Extras& extras);
};
// expect: rookery: the module's ApplyExtras would not be called: it must be a public `static void
// ApplyExtras(rookery::DynamicModule& module, const Extras& extras)`, Extras being those of the
// module
DynamicModule ExtrasPrivate() { return PrivateExtras::Register({}); }

struct MutableExtras : ConfigurableModule<MutableExtras, Options, Extras> {
  static void ApplyExtras(DynamicModule& module, Extras& extras);
};
// expect: rookery: the module's ApplyExtras would not be called: it must be a public `static void
// ApplyExtras(rookery::DynamicModule& module, const Extras& extras)`, Extras being those of the
// module
DynamicModule ExtrasMutable() { return MutableExtras::Register({}); }

struct ReturnedExtras : ConfigurableModule<ReturnedExtras, Options, Extras> {
  static DynamicModule ApplyExtras(DynamicModule module, const Extras& extras);
};
// expect: rookery: the module's ApplyExtras would not be called: it must be a public `static void
// ApplyExtras(rookery::DynamicModule& module, const Extras& extras)`, Extras being those of the
// module
DynamicModule ExtrasReturned() { return ReturnedExtras::Register({}); }

struct BuilderExtras : ConfigurableModule<BuilderExtras, Options, Extras> {
  static void ApplyExtras(rookery::ModuleBuilder& module, const Extras& extras);
};
// expect: rookery: the module's ApplyExtras would not be called: it must be a public `static void
// ApplyExtras(rookery::DynamicModule& module, const Extras& extras)`, Extras being those of the
// module
DynamicModule ExtrasOfABuilder() { return BuilderExtras::Register({}); }

struct Plain {};
struct NoExtras : ConfigurableModule<NoExtras, Options, Plain> {};
// expect: rookery: ConfigurableModule with Extras of its own: give the module a public `static void
// ApplyExtras(rookery::DynamicModule& module, const Extras& extras)`
DynamicModule ExtrasMissing() { return NoExtras::Register({}); }

// ---- factories

struct Sound : ConfigurableModule<Sound, Options> {};

// expect: rookery: RegisterAsync: pass a function that gives the options, or a lambda whose
// parameters have types (not auto): the types say what to inject; or rookery::UseClass<F>(),
// rookery::UseExisting<F>()
DynamicModule OfNoFunction() { return Sound::RegisterAsync(42); }

// expect: rookery: RegisterAsync: the function must give the module's options, or absl::StatusOr or
// rookery::Task of them
DynamicModule OfAnotherResult() {
  return Sound::RegisterAsync([] { return Other(); });
}

struct CreatesNothing {
  Options Make();
};
// expect: rookery: UseClass<F>, UseExisting<F>: F must have a public `Options Create()` (or
// absl::StatusOr or rookery::Task of it); for another name give the module `template <class F>
// static auto CreateOptions(F& factory)`
DynamicModule OfAClassWithout() { return Sound::RegisterAsync(UseClass<CreatesNothing>()); }

struct CreatesOther {
  Other Create();
};
// expect: rookery: UseClass<F>, UseExisting<F>: what F's Create (or the module's CreateOptions)
// returns must be the module's options, or absl::StatusOr or rookery::Task of them
DynamicModule OfAClassOfAnother() { return Sound::RegisterAsync(UseExisting<CreatesOther>()); }

struct Named : ConfigurableModule<Named, Options> {
  template <class F>
  static auto CreateOptions(F& factory) -> decltype(factory.CreateMailOptions()) {
    return factory.CreateMailOptions();
  }
};
// It has a Create, but that is not the method that this module asks for.
struct CreatesOptions {
  Options Create();
};
// expect: rookery: UseClass<F>, UseExisting<F>: the module's CreateOptions cannot be called with an
// F&: it must be a public `template <class F> static auto CreateOptions(F& factory)`, and F must
// have, publicly, what that calls
DynamicModule OfTheWrongName() { return Named::RegisterAsync(UseClass<CreatesOptions>()); }

class PrivatelyNamed : public ConfigurableModule<PrivatelyNamed, Options> {
  template <class F>
  static auto CreateOptions(F& factory) {
    return factory.Create();
  }
};
// expect: rookery: UseClass<F>, UseExisting<F>: the module's CreateOptions cannot be called with an
// F&: it must be a public `template <class F> static auto CreateOptions(F& factory)`, and F must
// have, publicly, what that calls
DynamicModule OfAPrivateName() {
  return PrivatelyNamed::RegisterAsync(UseExisting<CreatesOptions>());
}

}  // namespace
