// What a test replaces: providers, modules, enhancers, and what is missing.
#include "rookery/app/testing.h"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "echo.rookery.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rookery/app/application.h"
#include "rookery/di/all.h"
#include "rookery/di/lazy.h"
#include "rookery/module/dynamic_module.h"
#include "rookery/module/lazy_module_loader.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/rpc/local_channel.h"
#include "rookery/runtime/rpc_exception.h"

namespace rookery::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::NiceMock;
using ::testing::Not;
using ::testing::Return;
using ::testing::StartsWith;

EchoRequest Text(const std::string& text) {
  EchoRequest request;
  request.set_text(text);
  return request;
}

std::string FaultsOf(TestingModule& module) {
  const absl::StatusOr<Application> app = module.TryCompile();
  return app.ok() ? "" : std::string(app.status().message());
}

// ---- providers

class Mailer {
 public:
  virtual ~Mailer() = default;
  virtual std::string Send(const std::string& to) { return "sent to " + to; }
};
struct FakeMailer final : Mailer {
  explicit FakeMailer(std::string n = "fake") : name(std::move(n)) {}
  std::string Send(const std::string& to) override { return name + " for " + to; }
  std::string name;
};
struct Prefix {
  std::string text = "injected";
};
struct PrefixedMailer final : Mailer {
  explicit PrefixedMailer(Prefix& p) : prefix(p) {}
  std::string Send(const std::string& to) override { return prefix.text + " for " + to; }
  Prefix& prefix;
};
inline constexpr InjectionToken<std::string> kSender{"SENDER"};
inline constexpr InjectionToken<Mailer> kBackup{"BACKUP"};

class Signup {
 public:
  Signup(Mailer& mailer, Inject<kSender> sender, Inject<kBackup> backup)
      : mailer_(mailer), sender_(*sender), backup_(*backup) {}
  std::string Welcome() { return mailer_.Send("Ada") + " by " + sender_; }
  std::string Again() { return backup_.Send("Ada"); }

 private:
  Mailer& mailer_;
  std::string sender_;
  Mailer& backup_;
};

struct SignupModule {
  static void Define(ModuleBuilder& module) {
    module.Provide<Mailer>()
        .Provide<Signup>()
        .Provide<Prefix>()
        .ProvideValue(kSender, "us")
        .Provide<Mailer>(kBackup);
  }
};

TEST(TestingModule, OverridesInNestsOwnWords) {
  FakeMailer fake("value");
  auto by_value =
      TestingModule::Of<SignupModule>().OverrideProvider<Mailer>().UseValue(fake).Compile();
  EXPECT_EQ(by_value.Get<Signup>().Welcome(), "value for Ada by us");
  EXPECT_EQ(&by_value.Get<Mailer>(), &fake);

  auto by_class = TestingModule::Of<SignupModule>()
                      .OverrideProvider<Mailer>()
                      .UseClass<PrefixedMailer>()
                      .Compile();
  EXPECT_EQ(by_class.Get<Signup>().Welcome(), "injected for Ada by us");

  auto by_factory = TestingModule::Of<SignupModule>()
                        .OverrideProvider<Mailer>()
                        .UseFactory([](Prefix& prefix) -> Task<std::unique_ptr<Mailer>> {
                          co_return std::make_unique<FakeMailer>(prefix.text + " late");
                        })
                        .Compile();
  EXPECT_EQ(by_factory.Get<Signup>().Welcome(), "injected late for Ada by us");
}

TEST(TestingModule, OverridesByToken) {
  auto app = TestingModule::Of<SignupModule>()
                 .OverrideProvider(kSender)
                 .UseFactory([](Prefix& prefix) { return prefix.text; })
                 .OverrideProvider(kBackup)
                 .UseClass<PrefixedMailer>()
                 .Compile();
  EXPECT_EQ(app.Get<Signup>().Welcome(), "sent to Ada by injected");
  EXPECT_EQ(app.Get<Signup>().Again(), "injected for Ada");
}

TEST(TestingModule, OfTwoOverridesTheLaterHolds) {
  auto app = TestingModule::Of<SignupModule>()
                 .OverrideProvider(kSender, "first")
                 .OverrideProvider(kSender, "second")
                 .Compile();
  EXPECT_EQ(app.Get<Signup>().Welcome(), "sent to Ada by second");
}

// ---- modules

struct Store {
  explicit Store(std::string n = "real") : name(std::move(n)) {}
  virtual ~Store() = default;
  std::string name;
};
struct RealStore final : Store {
  RealStore() : Store("real") {}
};
struct TestStore final : Store {
  TestStore() : Store("test") {}
};
struct Shop {
  explicit Shop(Store& s) : store(s) {}
  Store& store;
};

int real_modules = 0;
struct StoreModule {
  static void Define(ModuleBuilder& module) {
    ++real_modules;
    module.Provide<Store, RealStore>().Export<Store>();
  }
};
struct TestStoreModule {
  static void Define(ModuleBuilder& module) { module.Provide<Store, TestStore>().Export<Store>(); }
};
struct ShopModule {
  static void Define(ModuleBuilder& module) { module.Import<StoreModule>().Provide<Shop>(); }
};

TEST(TestingModule, OverridesAModule) {
  real_modules = 0;
  auto app = TestingModule::Of<ShopModule>()
                 .OverrideModule<StoreModule>()
                 .UseModule<TestStoreModule>()
                 .Compile();
  EXPECT_EQ(app.Get<Shop>().store.name, "test");
  EXPECT_EQ(real_modules, 0) << "what is replaced is not even defined";
  // Whoever selects the one means what stands in its place.
  EXPECT_EQ(app.Select<StoreModule>().Get<Store>().name, "test");
}

TEST(TestingModule, OverridesTheRoot) {
  auto app =
      TestingModule::Of<StoreModule>().OverrideModule<StoreModule, TestStoreModule>().Compile();
  EXPECT_EQ(app.Get<Store>().name, "test");
}

// What imports StoreModule is imported in turn, and re-exports it.
struct MiddleModule {
  static void Define(ModuleBuilder& module) { module.Import<StoreModule>().Export<StoreModule>(); }
};
struct OuterModule {
  static void Define(ModuleBuilder& module) { module.Import<MiddleModule>().Provide<Shop>(); }
};

TEST(TestingModule, OverridesANestedModuleThatIsReExported) {
  auto app =
      TestingModule::Of<OuterModule>().OverrideModule<StoreModule, TestStoreModule>().Compile();
  EXPECT_EQ(app.Get<Shop>().store.name, "test");
}

struct OptionedStoreModule {
  static DynamicModule Register(const std::string& name) {
    return DynamicModule::Of<OptionedStoreModule>()
        .ProvideValue<Store>(Store(name))
        .Export<Store>();
  }
};
struct DynamicShopModule {
  static void Define(ModuleBuilder& module) {
    module.Import(OptionedStoreModule::Register("dynamic")).Provide<Shop>();
  }
};

TEST(TestingModule, OverridesEveryDynamicModuleOfAClass) {
  auto plain = TestingModule::Of<DynamicShopModule>()
                   .OverrideModule<OptionedStoreModule>()
                   .UseModule<TestStoreModule>()
                   .Compile();
  EXPECT_EQ(plain.Get<Shop>().store.name, "test");
  // By another one of the same class, which is itself left alone.
  auto other = TestingModule::Of<DynamicShopModule>()
                   .OverrideModule<OptionedStoreModule>()
                   .UseModule(OptionedStoreModule::Register("other"))
                   .Compile();
  EXPECT_EQ(other.Get<Shop>().store.name, "other");
}

struct SecondShop {
  explicit SecondShop(Store& s) : store(s) {}
  Store& store;
};
struct SecondShopModule {
  static DynamicModule With(const DynamicModule& store) {
    return DynamicModule::Of<SecondShopModule>()
        .Import(store)
        .Export(store)
        .Provide<SecondShop>()
        .Export<SecondShop>();
  }
};

TEST(TestingModule, OverridesOneDynamicModuleByItself) {
  const DynamicModule mine = OptionedStoreModule::Register("mine");
  const DynamicModule theirs = OptionedStoreModule::Register("theirs");
  struct BothModule {};
  const DynamicModule root =
      DynamicModule::Of<BothModule>().Import(SecondShopModule::With(mine)).Import(theirs);
  auto app =
      TestingModule::Of(
          DynamicModule::Of<BothModule>().Import(SecondShopModule::With(mine)).Provide<Shop>())
          .OverrideModule(mine)
          .UseModule<TestStoreModule>()
          .Compile();
  EXPECT_EQ(app.Get<SecondShop>().store.name, "test");
  EXPECT_EQ(app.Get<Shop>().store.name, "test") << "its re-export is replaced, too";
  auto rest = TestingModule::Of(root).OverrideModule(mine).UseModule<TestStoreModule>().Compile();
  EXPECT_EQ(rest.Get<SecondShop>().store.name, "test");
  EXPECT_EQ(rest.Select<OptionedStoreModule>().Get<Store>().name, "theirs");
}

// Two modules that import each other.
struct NorthModule;
struct SouthModule {
  static void Define(ModuleBuilder& module);
};
struct North {
  std::string name = "north";
};
struct South {
  explicit South(North& n) : north(n) {}
  North& north;
};
struct NorthModule {
  static void Define(ModuleBuilder& module) {
    module.Import<ForwardRef<SouthModule>>().Provide<North>().Export<North>();
  }
};
void SouthModule::Define(ModuleBuilder& module) {
  module.Import<ForwardRef<NorthModule>>().Provide<South>().Export<South>();
}
struct TestNorthModule {
  static void Define(ModuleBuilder& module) {
    module.Import<ForwardRef<SouthModule>>()
        .ProvideFactory([] {
          North north;
          north.name = "test";
          return north;
        })
        .Export<North>();
  }
};
struct CircleModule {
  static void Define(ModuleBuilder& module) { module.Import<NorthModule>().Import<SouthModule>(); }
};

TEST(TestingModule, OverridesAModuleOfACircle) {
  auto app =
      TestingModule::Of<CircleModule>().OverrideModule<NorthModule, TestNorthModule>().Compile();
  EXPECT_EQ(app.Get<South>().north.name, "test");
}

struct GlobalStoreModule {
  static void Define(ModuleBuilder& module) {
    module.Provide<Store, RealStore>().Export<Store>().Global();
  }
};
struct GlobalTestStoreModule {
  static void Define(ModuleBuilder& module) {
    module.Provide<Store, TestStore>().Export<Store>().Global();
  }
};
struct UnimportingShopModule {
  static void Define(ModuleBuilder& module) { module.Provide<Shop>(); }
};
struct GlobalRootModule {
  static void Define(ModuleBuilder& module) {
    module.Import<GlobalStoreModule>().Import<UnimportingShopModule>();
  }
};

TEST(TestingModule, OverridesAGlobalModule) {
  auto app = TestingModule::Of<GlobalRootModule>()
                 .OverrideModule<GlobalStoreModule, GlobalTestStoreModule>()
                 .Compile();
  EXPECT_EQ(app.Get<Shop>().store.name, "test");
}

struct LoadingModule {
  static void Define(ModuleBuilder& module) { module.Provide<Loading>(); }
  struct Loading {
    explicit Loading(LazyModuleLoader& l) : loader(l) {}
    LazyModuleLoader& loader;
  };
};

Task<std::string> LoadStore(LazyModuleLoader& loader) {
  Task<ModuleRef> load = loader.Load<ShopModule>();
  ModuleRef loaded = co_await std::move(load);
  co_return loaded.Get<Shop>().store.name;
}

TEST(TestingModule, OverridesModulesAndProvidersOfWhatIsLoadedLater) {
  auto by_module =
      TestingModule::Of<LoadingModule>().OverrideModule<StoreModule, TestStoreModule>().Compile();
  by_module.Init();
  EXPECT_EQ(SyncWait(LoadStore(by_module.Get<LoadingModule::Loading>().loader)), "test");

  Store mine("mine");
  auto by_provider = TestingModule::Of<LoadingModule>().OverrideProvider<Store>(mine).Compile();
  by_provider.Init();
  EXPECT_EQ(SyncWait(LoadStore(by_provider.Get<LoadingModule::Loading>().loader)), "mine");
}

struct LazyShopModule {
  static void Define(ModuleBuilder& module) {
    module.Import(DynamicModule::Lazy<ShopModule>()).Provide<Holder>();
  }
  struct Holder {
    explicit Holder(LazyModuleLoader& l) : loader(l) {}
    LazyModuleLoader& loader;
  };
};

TEST(TestingModule, OverridesAModuleThatIsImportedLazily) {
  struct TestShopModule {
    static void Define(ModuleBuilder& module) { module.Import<TestStoreModule>().Provide<Shop>(); }
  };
  auto app =
      TestingModule::Of<LazyShopModule>().OverrideModule<ShopModule, TestShopModule>().Compile();
  app.Init();
  EXPECT_EQ(SyncWait(LoadStore(app.Get<LazyShopModule::Holder>().loader)), "test");
}

// The replacement adds to what it replaces.
struct WrappingStoreModule {
  static void Define(ModuleBuilder& module) {
    module.Import<StoreModule>()
        .ProvideFactory<Shop>([](Store& real) { return Shop(real); })
        .Export<Shop>()
        .Export<StoreModule>();
  }
};

TEST(TestingModule, AReplacementMayImportWhatItReplaces) {
  auto app = TestingModule::Of<ShopModule>()
                 .OverrideModule<StoreModule>()
                 .UseModule<WrappingStoreModule>()
                 .Compile();
  EXPECT_EQ(app.Select<ShopModule>().Get<Shop>().store.name, "real");
}

TEST(TestingModule, OverridesOfModulesAreFollowed) {
  struct StepModule {
    static void Define(ModuleBuilder&) { FAIL() << "it is replaced itself"; }
  };
  auto app = TestingModule::Of<ShopModule>()
                 .OverrideModule<StoreModule, StepModule>()
                 .OverrideModule<StepModule, TestStoreModule>()
                 .Compile();
  EXPECT_EQ(app.Get<Shop>().store.name, "test");
}

TEST(TestingModule, OverridesOfModulesInACircleAreAFault) {
  auto module = TestingModule::Of<ShopModule>();
  module.OverrideModule<StoreModule, TestStoreModule>()
      .OverrideModule<TestStoreModule, StoreModule>();
  EXPECT_THAT(FaultsOf(module),
              HasSubstr("Modules are overridden in a circle: StoreModule -> TestStoreModule -> "
                        "StoreModule.\n    overridden: "));
}

TEST(TestingModule, AnOverrideOfAModuleThatNobodyImportsIsAFault) {
  auto module = TestingModule::Of<ShopModule>();
  module.OverrideModule<GlobalStoreModule, GlobalTestStoreModule>();
  const std::string faults = FaultsOf(module);
  EXPECT_THAT(faults, HasSubstr("Can't override GlobalStoreModule: no module imports it.\n"
                                "    overridden: "));
  EXPECT_THAT(faults, HasSubstr("    mend: leave it out; or, if it is loaded later, import "
                                "rookery::DynamicModule::Lazy<GlobalStoreModule>() somewhere."));
  const DynamicModule stray = OptionedStoreModule::Register("stray");
  auto dynamic = TestingModule::Of<DynamicShopModule>();
  dynamic.OverrideModule(stray).UseModule<TestStoreModule>();
  EXPECT_THAT(FaultsOf(dynamic),
              HasSubstr("Can't override OptionedStoreModule: no module imports this object."));
}

TEST(TestingModule, AMovedFromReplacementIsAFault) {
  DynamicModule gone = OptionedStoreModule::Register("gone");
  const DynamicModule taken = std::move(gone);
  auto module = TestingModule::Of<ShopModule>();
  module.OverrideModule<StoreModule>().UseModule(gone);  // NOLINT(bugprone-use-after-move)
  EXPECT_THAT(FaultsOf(module), HasSubstr("ShopModule imports a dynamic module without a module"));
  EXPECT_THROW((void)module.OverrideModule(gone), std::invalid_argument);
}

// ---- enhancers

struct Roles {
  bool admin = false;
};
struct NeverMade {};
// Needs what is nowhere: whoever replaces it needs it no more.
class AuthGuard final {
 public:
  explicit AuthGuard(NeverMade&) {}
  bool CanActivate(ExecutionContext&) { return false; }
};
class RoleGuard final {
 public:
  explicit RoleGuard(Roles& roles) : roles_(roles) {}
  bool CanActivate(ExecutionContext&) { return roles_.admin; }

 private:
  Roles& roles_;
};
class QuotaGuard final {
 public:
  explicit QuotaGuard(int left) : left_(left) {}
  absl::Status CanActivate(ExecutionContext&) {
    return left_ > 0 ? absl::OkStatus() : absl::ResourceExhaustedError("no quota left");
  }

 private:
  int left_;
};

class EchoBase : public EchoService {
 public:
  Task<EchoReply> Say(CallContext&, const EchoRequest& request) override {
    EchoReply reply;
    reply.set_text(request.text());
    co_return reply;
  }
  Stream<EchoReply> Repeat(CallContext&, const EchoRequest&) override { co_return; }
  Task<EchoReply> Join(CallContext&, Stream<EchoRequest>) override { co_return EchoReply(); }
  Stream<EchoReply> Chat(CallContext&, Stream<EchoRequest>) override { co_return; }
  Task<void> OnSaid(CallContext&, const EchoRequest&) override { co_return; }
  Task<EchoReply> SayAgain(CallContext& call, const EchoRequest& request) override {
    return Say(call, request);
  }
};

// What is used where is up to each test.
template <void (*kConfigure)(ControllerBuilder&)>
class Echo final : public EchoBase {
 public:
  static void Configure(ControllerBuilder& controller) { kConfigure(controller); }
};
template <void (*kConfigure)(ControllerBuilder&)>
struct Serving {
  static void Define(ModuleBuilder& module) {
    module.Controller<Echo<kConfigure>>().template Provide<Roles>();
  }
};

absl::StatusOr<EchoReply> CallEcho(Application& app, const std::string& text) {
  return SyncWaitStatus(app.Client<EchoClient>().Say(Text(text)));
}
absl::StatusCode CodeOf(Application& app) { return CallEcho(app, "x").status().code(); }

void UseAuth(ControllerBuilder& controller) { controller.UseGuard<AuthGuard>(); }

class YesGuard final {
 public:
  bool CanActivate(ExecutionContext&) { return ++asked, true; }
  int asked = 0;
};

TEST(TestingModule, OverridesAGuardByValueClassAndFactory) {
  using Module = Serving<&UseAuth>;
  YesGuard yes;
  auto by_object = TestingModule::Of<Module>().OverrideGuard<AuthGuard>(yes).Compile();
  EXPECT_EQ(CodeOf(by_object), absl::StatusCode::kOk);
  EXPECT_EQ(yes.asked, 1);

  const auto shared = std::make_shared<YesGuard>();
  auto by_pointer =
      TestingModule::Of<Module>().OverrideGuard<AuthGuard>().UseValue(shared).Compile();
  EXPECT_EQ(CodeOf(by_pointer), absl::StatusCode::kOk);
  EXPECT_EQ(shared->asked, 1);

  int calls = 0;
  auto by_function = TestingModule::Of<Module>()
                         .OverrideGuard<AuthGuard>([&calls](ExecutionContext&) {
                           ++calls;
                           return absl::OkStatus();
                         })
                         .Compile();
  EXPECT_EQ(CodeOf(by_function), absl::StatusCode::kOk);
  EXPECT_EQ(calls, 1);

  auto by_class = TestingModule::Of<Module>().OverrideGuard<AuthGuard, YesGuard>().Compile();
  EXPECT_EQ(CodeOf(by_class), absl::StatusCode::kOk);

  // Injected, the class as well as the factory's parameters.
  auto injected =
      TestingModule::Of<Module>().OverrideGuard<AuthGuard>().UseClass<RoleGuard>().Compile();
  EXPECT_EQ(CodeOf(injected), absl::StatusCode::kPermissionDenied);
  injected.Get<Roles>().admin = true;
  EXPECT_EQ(CodeOf(injected), absl::StatusCode::kOk);

  auto by_factory = TestingModule::Of<Module>()
                        .OverrideGuard<AuthGuard>([](Roles& roles) {
                          roles.admin = true;
                          return std::make_unique<RoleGuard>(roles);
                        })
                        .Compile();
  EXPECT_EQ(CodeOf(by_factory), absl::StatusCode::kOk);
  auto by_task = TestingModule::Of<Module>()
                     .OverrideGuard<AuthGuard>()
                     .UseFactory([]() -> Task<QuotaGuard> { co_return QuotaGuard(0); })
                     .Compile();
  EXPECT_EQ(CodeOf(by_task), absl::StatusCode::kResourceExhausted);
}

void UseQuotaInstance(ControllerBuilder& controller) {
  controller.UseGuard(std::make_shared<QuotaGuard>(0));
}

TEST(TestingModule, OverridesAGuardThatTheControllerMadeItself) {
  auto app = TestingModule::Of<Serving<&UseQuotaInstance>>()
                 .OverrideGuard<QuotaGuard, YesGuard>()
                 .Compile();
  EXPECT_EQ(CodeOf(app), absl::StatusCode::kOk);
}

void UseOnMethod(ControllerBuilder& controller) {
  controller.Method("Say").UseGuard(std::make_shared<QuotaGuard>(0)).UseGuard<AuthGuard>();
  controller.Message("pattern", &EchoBase::Say).UseGuard<AuthGuard>();
}

TEST(TestingModule, OverridesGuardsOfMethodsAndPatterns) {
  YesGuard quota;
  YesGuard auth;
  auto app = TestingModule::Of<Serving<&UseOnMethod>>()
                 .OverrideGuard<QuotaGuard>(quota)
                 .OverrideGuard<AuthGuard>(auth)
                 .Compile();
  EXPECT_EQ(CodeOf(app), absl::StatusCode::kOk);
  EXPECT_EQ(quota.asked, 1);
  EXPECT_EQ(auth.asked, 1);
  const Handler* const pattern = app.host().handlers().Find("pattern");
  ASSERT_NE(pattern, nullptr);
  EchoReply reply;
  auto channel = MakeLocalChannel(app.host());
  OutgoingCall call(pattern->descriptor());
  const EchoRequest request = Text("x");
  EXPECT_TRUE(SyncWaitStatus(channel->Unary(call, request, reply)).ok());
  EXPECT_EQ(auth.asked, 2);
}

void UseNothing(ControllerBuilder&) {}

struct GuardedModule {
  static void Define(ModuleBuilder& module) {
    module.Import<Serving<&UseNothing>>().GlobalGuard<AuthGuard>();
  }
};

TEST(TestingModule, OverridesGlobalEnhancersOfModulesAndOfTheApplication) {
  auto of_module =
      TestingModule::Of<GuardedModule>().OverrideGuard<AuthGuard, YesGuard>().Compile();
  EXPECT_EQ(CodeOf(of_module), absl::StatusCode::kOk);

  auto of_app =
      TestingModule::Of<Serving<&UseNothing>>().OverrideGuard<AuthGuard, YesGuard>().Compile();
  of_app.UseGlobalGuard<AuthGuard>();
  EXPECT_EQ(CodeOf(of_app), absl::StatusCode::kOk);
  auto of_instance =
      TestingModule::Of<Serving<&UseNothing>>().OverrideGuard<QuotaGuard, YesGuard>().Compile();
  of_instance.UseGlobalGuard(std::make_shared<QuotaGuard>(0));
  EXPECT_EQ(CodeOf(of_instance), absl::StatusCode::kOk);
}

struct UpperPipe {
  void Transform(EchoRequest& message, const ArgumentMetadata&) { message.set_text("UPPER"); }
};
struct LowerPipe {
  void Transform(EchoRequest& message, const ArgumentMetadata&) { message.set_text("lower"); }
};
struct LoudInterceptor {
  Task<Response> Intercept(ExecutionContext&, Next next) {
    Response response = co_await next();
    static_cast<EchoReply*>(response.message())->set_text("loud");
    co_return response;
  }
};
struct QuietInterceptor {
  Task<Response> Intercept(ExecutionContext&, Next next) { return next(); }
};
struct TeapotFilter {
  absl::Status Catch(const std::exception&, ExecutionContext&) {
    return absl::UnimplementedError("a teapot");
  }
};
struct KettleFilter {
  absl::Status Catch(const std::exception&, ExecutionContext&) {
    return absl::DataLossError("a kettle");
  }
};

void UseAllKinds(ControllerBuilder& controller) {
  controller.UsePipe<UpperPipe>().UseInterceptor<LoudInterceptor>().UseFilter<TeapotFilter>();
}

TEST(TestingModule, OverridesPipesInterceptorsAndFilters) {
  using Module = Serving<&UseAllKinds>;
  auto real = TestingModule::Of<Module>().Compile();
  EXPECT_EQ(CallEcho(real, "x")->text(), "loud");
  auto piped = TestingModule::Of<Module>()
                   .OverrideInterceptor<LoudInterceptor, QuietInterceptor>()
                   .OverridePipe<UpperPipe, LowerPipe>()
                   .Compile();
  EXPECT_EQ(CallEcho(piped, "x")->text(), "lower");
  auto by_functions =
      TestingModule::Of<Module>()
          .OverrideInterceptor<LoudInterceptor>(
              [](ExecutionContext&, Next next) -> Task<Response> { return next(); })
          .OverridePipe<UpperPipe>(
              [](EchoRequest& message, const ArgumentMetadata&) { message.set_text("function"); })
          .Compile();
  EXPECT_EQ(CallEcho(by_functions, "x")->text(), "function");
  const auto failing = [](ExecutionContext&, Next) -> Task<Response> {
    throw std::runtime_error("boom");
  };
  auto filtered = TestingModule::Of<Module>()
                      .OverrideInterceptor<LoudInterceptor>(failing)
                      .OverrideFilter<TeapotFilter>()
                      .UseClass<KettleFilter>()
                      .Compile();
  EXPECT_EQ(CallEcho(filtered, "x").status(), absl::DataLossError("a kettle"));
  auto by_filter =
      TestingModule::Of<Module>()
          .OverrideInterceptor<LoudInterceptor>(failing)
          .OverrideFilter<TeapotFilter>([](const std::runtime_error& error, ExecutionContext&) {
            return absl::AbortedError(error.what());
          })
          .Compile();
  EXPECT_EQ(CallEcho(by_filter, "x").status(), absl::AbortedError("boom"));
}

// A guard that others ask for as a provider stays their provider.
class NoGuard final {
 public:
  bool CanActivate(ExecutionContext&) { return false; }
};
struct Asker {
  explicit Asker(NoGuard& g) : guard(g) {}
  NoGuard& guard;
};
void UseNo(ControllerBuilder& controller) { controller.UseGuard<NoGuard>(); }
struct SharedGuardModule {
  static void Define(ModuleBuilder& module) {
    module.Controller<Echo<&UseNo>>().Provide<NoGuard>().Provide<Asker>();
  }
};

TEST(TestingModule, AnOverriddenGuardStaysTheProviderOfOthers) {
  auto real = TestingModule::Of<SharedGuardModule>().Compile();
  EXPECT_EQ(CodeOf(real), absl::StatusCode::kPermissionDenied);
  auto app = TestingModule::Of<SharedGuardModule>().OverrideGuard<NoGuard, YesGuard>().Compile();
  EXPECT_EQ(CodeOf(app), absl::StatusCode::kOk);
  EXPECT_EQ(&app.Get<Asker>().guard, &app.Get<NoGuard>());
}

// One class that is both; only what it is as a guard is replaced.
class Both final {
 public:
  bool CanActivate(ExecutionContext&) { return false; }
  Task<Response> Intercept(ExecutionContext&, Next next) { return ++calls, next(); }
  static inline int calls = 0;
};
void UseBoth(ControllerBuilder& controller) { controller.UseGuard<Both>().UseInterceptor<Both>(); }

TEST(TestingModule, ReplacesAClassAsTheKindThatIsNamed) {
  Both::calls = 0;
  auto app = TestingModule::Of<Serving<&UseBoth>>().OverrideGuard<Both, YesGuard>().Compile();
  EXPECT_EQ(CodeOf(app), absl::StatusCode::kOk);
  EXPECT_EQ(Both::calls, 1);
  auto neither = TestingModule::Of<Serving<&UseBoth>>()
                     .OverrideGuard<Both, YesGuard>()
                     .OverrideInterceptor<Both, QuietInterceptor>()
                     .Compile();
  EXPECT_EQ(CodeOf(neither), absl::StatusCode::kOk);
  EXPECT_EQ(Both::calls, 1);
}

class CountingGuard final {
 public:
  explicit CountingGuard(CallContext&) { ++made; }
  bool CanActivate(ExecutionContext&) { return true; }
  static inline int made = 0;
};

TEST(TestingModule, AReplacementMayBeRequestScoped) {
  CountingGuard::made = 0;
  auto app =
      TestingModule::Of<Serving<&UseAuth>>().OverrideGuard<AuthGuard, CountingGuard>().Compile();
  EXPECT_EQ(CodeOf(app), absl::StatusCode::kOk);
  EXPECT_EQ(CodeOf(app), absl::StatusCode::kOk);
  EXPECT_EQ(CountingGuard::made, 2);
}

TEST(TestingModule, AnOverrideOfAnEnhancerThatNobodyUsesIsAFaultAtTheStart) {
  auto app = TestingModule::Of<Serving<&UseAllKinds>>()
                 .OverrideGuard<QuotaGuard, YesGuard>()
                 .OverrideFilter<KettleFilter, TeapotFilter>()
                 .Compile();
  const std::string why(app.TryInit().message());
  EXPECT_THAT(why, StartsWith("Serving"));
  EXPECT_THAT(why, HasSubstr("2 faults"));
  EXPECT_THAT(why, HasSubstr("Can't override QuotaGuard: nothing uses it by UseGuard, "
                             "UseGlobalGuard or GlobalGuard.\n    overridden: "));
  EXPECT_THAT(why, HasSubstr("mend: leave it out; or, if it is injected as a provider, say "
                             "OverrideProvider<QuotaGuard>."));
  EXPECT_THAT(why, HasSubstr("Can't override KettleFilter: nothing uses it by UseFilter"));
}

TEST(TestingModule, ANullReplacementIsRefused) {
  auto module = TestingModule::Of<Serving<&UseAuth>>();
  EXPECT_THROW(module.OverrideGuard<AuthGuard>(std::shared_ptr<YesGuard>()), std::invalid_argument);
}

// ---- what is missing

class MockMailer : public Mailer {
 public:
  MOCK_METHOD(std::string, Send, (const std::string& to), (override));
};
struct BareSignupModule {
  static void Define(ModuleBuilder& module) { module.Provide<Signup>(); }
};

TEST(TestingModule, MocksWhatIsMissing) {
  FakeMailer backup("backup");
  auto app = TestingModule::Of<BareSignupModule>()
                 .Mock<Mailer, NiceMock<MockMailer>>()
                 .Mock(kSender, "mocked")
                 .Mock<Mailer>(kBackup, backup)
                 .Compile();
  // The very object that the service got, as what it is.
  auto& mailer = app.Get<NiceMock<MockMailer>>();
  EXPECT_EQ(&app.Get<Mailer>(), &mailer);
  EXPECT_CALL(mailer, Send("Ada")).WillOnce(Return("mock"));
  EXPECT_EQ(app.Get<Signup>().Welcome(), "mock by mocked");
  EXPECT_EQ(app.Get<Signup>().Again(), "backup for Ada");
}

TEST(TestingModule, AMockIsForThoseAloneWhoAreWithout) {
  struct OtherModule {
    struct Mine {
      explicit Mine(Mailer& m) : mailer(m) {}
      Mailer& mailer;
    };
    static void Define(ModuleBuilder& module) { module.Provide<Mine>(); }
  };
  struct RootModule {
    static void Define(ModuleBuilder& module) {
      module.Import<SignupModule>().Import<OtherModule>();
    }
  };
  FakeMailer fake("mock");
  auto app = TestingModule::Of<RootModule>().Mock<Mailer>(fake).Compile();
  EXPECT_EQ(app.Get<OtherModule::Mine>().mailer.Send("x"), "mock for x");
  EXPECT_EQ(app.Get<Signup>().Welcome(), "sent to Ada by us");
}

TEST(TestingModule, AMockOfWhatIsProvidedIsAFault) {
  FakeMailer fake;
  auto module = TestingModule::Of<SignupModule>();
  module.Mock<Mailer>(fake);
  const std::string faults = FaultsOf(module);
  EXPECT_THAT(faults, HasSubstr("Mock of Mailer is not used: SignupModule provides one, and nobody "
                                "is without it.\n    mocked: "));
  EXPECT_THAT(faults, HasSubstr("mend: say OverrideProvider of Mailer instead, or leave it out."));
  // Of what nobody asks for it is not: fixtures are shared.
  struct EmptyModule {
    static void Define(ModuleBuilder&) {}
  };
  auto unused = TestingModule::Of<EmptyModule>();
  unused.Mock<Mailer>(fake);
  EXPECT_EQ(FaultsOf(unused), "");
}

TEST(TestingModule, AMockerIsAskedOnceForEachTokenThatIsMissing) {
  struct Second {
    explicit Second(Mailer& m) : mailer(m) {}
    Mailer& mailer;
  };
  struct TwoModule {
    static void Define(ModuleBuilder& module) {
      module.Import<BareSignupModule>().Provide<Second>();
    }
  };
  std::vector<std::string> asked;
  auto app = TestingModule::Of<TwoModule>()
                 .UseMocker([&asked](MissingProvider& missing) {
                   asked.push_back(missing.name());
                   missing.Supply<Mailer, NiceMock<MockMailer>>() ||
                       missing.Supply(kSender, "mocked") ||
                       missing.Supply<Mailer>(kBackup, [](Mailer& main) {
                         return std::make_unique<FakeMailer>(main.Send("nobody") + "backup");
                       });
                 })
                 .Compile();
  EXPECT_THAT(asked, ElementsAre("Mailer", "SENDER", "BACKUP"));
  EXPECT_EQ(&app.Get<Second>().mailer, &app.Get<NiceMock<MockMailer>>());
  EXPECT_EQ(app.Get<Signup>().Again(), "backup for Ada") << "a mock may ask for another";
}

TEST(TestingModule, WhatAMockerDoesNotSupplyIsMissing) {
  auto module = TestingModule::Of<BareSignupModule>();
  FakeMailer fake;
  module.UseMocker([&fake](MissingProvider& missing) {
    if (missing.Is<Mailer>()) missing.Supply<Mailer>(fake);
    if (missing.token() == Token(kBackup)) missing.Supply<Mailer>(kBackup, fake);
  });
  const std::string faults = FaultsOf(module);
  EXPECT_THAT(faults, HasSubstr("argument 1 is Inject<SENDER>"));
  EXPECT_THAT(faults, Not(HasSubstr("faults:"))) << "the others are there";
}

TEST(TestingModule, AMockerThatThrowsIsAFault) {
  auto module = TestingModule::Of<BareSignupModule>();
  module.UseMocker([](MissingProvider& missing) {
    if (missing.Is(kSender)) throw std::runtime_error("no idea");
  });
  EXPECT_THAT(FaultsOf(module), HasSubstr("UseMocker failed when it was asked for SENDER: "));
}

TEST(TestingModule, MocksWhatEnhancersAndLateModulesMiss) {
  auto guarded = TestingModule::Of<Serving<&UseAuth>>().Mock<NeverMade, NeverMade>().Compile();
  EXPECT_EQ(CodeOf(guarded), absl::StatusCode::kPermissionDenied);
  struct LateModule {
    static void Define(ModuleBuilder& module) { module.Provide<Shop>(); }
  };
  Store mock("mock");
  auto loading = TestingModule::Of<LoadingModule>().Mock<Store>(mock).Compile();
  loading.Init();
  struct Load {
    static Task<std::string> Late(LazyModuleLoader& loader) {
      Task<ModuleRef> load = loader.Load<LateModule>();
      ModuleRef loaded = co_await std::move(load);
      co_return loaded.Get<Shop>().store.name;
    }
  };
  EXPECT_EQ(SyncWait(Load::Late(loading.Get<LoadingModule::Loading>().loader)), "mock");
}

// ---- scopes, hooks

struct PerCall {
  explicit PerCall(Mailer& m) : mailer(m) {}
  Mailer& mailer;
};
struct PerCallModule {
  static void Define(ModuleBuilder& module) {
    module.Provide<PerCall>(Scope::kRequest).Provide<Mailer>();
  }
};

TEST(TestingModule, ResolvesWhatIsRequestScoped) {
  FakeMailer fake;
  auto app = TestingModule::Of<PerCallModule>().OverrideProvider<Mailer>(fake).Compile();
  app.Init();
  const ContextId one = ContextId::New();
  const auto first = SyncWait(app.Resolve<PerCall>(one));
  const auto again = SyncWait(app.Resolve<PerCall>(one));
  const auto other = SyncWait(app.Resolve<PerCall>(ContextId::New()));
  EXPECT_EQ(first, again);
  EXPECT_NE(first, other);
  EXPECT_EQ(&first->mailer, &fake);
}

struct HookedMailer final : Mailer {
  explicit HookedMailer(std::vector<std::string>* j) : journal(j) {}
  void OnModuleInit() { journal->push_back("init"); }
  void OnModuleDestroy() { journal->push_back("destroy"); }
  std::vector<std::string>* journal;
};

TEST(TestingModule, HooksOfReplacementsRun) {
  std::vector<std::string> journal;
  {
    HookedMailer hooked(&journal);
    auto app = TestingModule::Of<SignupModule>().OverrideProvider<Mailer>(hooked).Compile();
    app.Init();
    EXPECT_THAT(journal, ElementsAre("init"));
    app.Close();
  }
  EXPECT_THAT(journal, ElementsAre("init", "destroy"));
}

}  // namespace
}  // namespace rookery::testing
