// What NestJS's own tests of its injector, scopes and global enhancers assert, where no other test
// of ours does. docs/nestjs-parity.md says which test stands for which of theirs.
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "di/calls.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rookery/di/durable.h"
#include "rookery/di/inject.h"
#include "rookery/di/lazy.h"
#include "rookery/module/lazy_module_loader.h"
#include "rookery/module/module_ref.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/runtime/when.h"

namespace rookery::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

// ---- injector/e2e/multiple-providers

inline constexpr InjectionToken<std::string> kLetter{"LETTER"};

struct LetterA {
  static void Define(ModuleBuilder& module) { module.ProvideValue(kLetter, std::string("A")); }
};
struct LetterB {
  static void Define(ModuleBuilder& module) { module.ProvideValue(kLetter, std::string("B")); }
};
struct LetterC {
  static void Define(ModuleBuilder& module) { module.ProvideValue(kLetter, std::string("C")); }
};
struct LettersModule {
  static void Define(ModuleBuilder& module) {
    module.Import<LetterA>().Import<LetterB>().Import<LetterC>();
  }
};

std::vector<std::string> Values(const std::vector<std::string*>& found) {
  std::vector<std::string> values;
  for (const std::string* one : found) values.push_back(*one);
  return values;
}

TEST(NestMultipleProviders, GetEachGivesThoseOfAllModules) {
  auto app = Make<LettersModule>();
  const ModuleRef root = app.Select<LettersModule>();
  EXPECT_THAT(Values(root.GetAll(kLetter, Lookup::kAnywhere)), UnorderedElementsAre("A", "B", "C"));
  EXPECT_THAT(root.GetAll(kLetter), IsEmpty()) << "strictly: the root provides none";
}

TEST(NestMultipleProviders, GetEachIsStrictWithinAModule) {
  auto app = Make<LettersModule>();
  EXPECT_THAT(Values(app.Select<LetterB>().GetAll(kLetter)), ElementsAre("B"));
}

TEST(NestMultipleProviders, GetOfOneAmongSeveralIsAmbiguous) {
  auto app = Make<LettersModule>();
  EXPECT_THROW((void)app.Get(kLetter), ApplicationError);
}

// ---- injector/e2e/parallel-request-scoped-resolution (v12)

struct Numbered {
  explicit Numbered(int n) : number(n) {}
  int number;
};
struct Left {
  explicit Left(Numbered& n) : numbered(n) {}
  Numbered& numbered;
};
struct Right {
  Right(Numbered& n, Left& l) : numbered(n), left(l) {}
  Numbered& numbered;
  Left& left;
};

// Both sides of one context, a pause in the making of what they share.
Task<int> ResolveBoth(ModuleRef modules) {
  const ContextId id = ContextIdFactory::Create();
  Task<std::shared_ptr<Right>> right = modules.Resolve<Right>(id);
  Task<std::shared_ptr<Left>> left = modules.Resolve<Left>(id);
  auto both = WhenAll(std::move(right), std::move(left));
  const auto [r, l] = co_await std::move(both);
  const bool shared = &r->left == l.get() && &r->numbered == &l->numbered;
  co_return shared ? r->numbered.number : -1;
}

TEST(NestParallelRequestScopedResolution, AThousandOverlappingContextsAreApart) {
  static std::atomic<int> made{0};
  made = 0;
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Right>().Provide<Left>().ProvideFactory(
          []() -> Task<Numbered> {
            const int number = ++made;
            co_await Sleep(std::chrono::milliseconds(1));
            co_return Numbered(number);
          },
          Scope::kRequest);
    }
  };
  auto app = Make<AppModule>();
  const ModuleRef modules = app.Select<AppModule>();
  std::vector<Task<int>> tasks;
  for (int i = 0; i < 1000; ++i) tasks.push_back(ResolveBoth(modules));
  const std::vector<int> numbers = SyncWait(WhenAll(std::move(tasks)));
  const std::set<int> different(numbers.begin(), numbers.end());
  EXPECT_EQ(different.size(), 1000u);
  EXPECT_EQ(different.count(-1), 0u) << "a context saw another's, or two of its own";
  EXPECT_EQ(made, 1000) << "one for each context";
}

// ---- injector/e2e/inherited-optional (v12)

struct Nowhere {};
struct OptionalBase {
  explicit OptionalBase(Optional<Nowhere> n) : found(static_cast<bool>(n)) {}
  bool found;
};
struct OptionalHeir : OptionalBase {
  using OptionalBase::OptionalBase;
};

TEST(NestInheritedOptional, IsOptionalToo) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<OptionalHeir>(); }
  };
  auto app = Make<AppModule>();
  EXPECT_FALSE(app.Get<OptionalHeir>().found);
}

// ---- lazy-modules/e2e/lazy-import-global-modules

struct Settings {
  int value = 7;
};
struct SettingsModule {
  static void Define(ModuleBuilder& module) {
    module.Global().Provide<Settings>().Export<Settings>();
  }
};
struct Report {
  explicit Report(Settings& s) : settings(s) {}
  Settings& settings;
};
struct ReportModule {  // imports nothing
  static void Define(ModuleBuilder& module) { module.Provide<Report>(); }
};

TEST(NestLazyModules, SeeWhatIsGlobal) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Import<SettingsModule>(); }
  };
  auto app = Make<AppModule>();
  const ModuleRef report = SyncWait(app.Get<LazyModuleLoader>().Load<ReportModule>());
  EXPECT_EQ(&report.Get<Report>().settings, &app.Get<Settings>()) << "none is made again";
}

// ---- discovery/e2e/discover-by-meta

// What a decorator marks there, an interface says here, with what is to be known of it.
struct CronJob {
  virtual ~CronJob() = default;
  [[nodiscard]] virtual std::string Schedule() const = 0;
};
struct NightlyJob final : CronJob {
  [[nodiscard]] std::string Schedule() const override { return "0 3 * * *"; }
};
struct HourlyJob final : CronJob {
  explicit HourlyJob(Settings& s) : settings(s) {}
  [[nodiscard]] std::string Schedule() const override {
    return std::to_string(settings.value) + " * * * *";
  }
  Settings& settings;
};
struct BillingModule {  // exports nothing
  static void Define(ModuleBuilder& module) { module.ProvideMulti<CronJob, NightlyJob>(); }
};
struct StockModule {
  static void Define(ModuleBuilder& module) {
    module.Provide<Settings>().ProvideMulti<CronJob, HourlyJob>();
  }
};
struct Scheduler {
  explicit Scheduler(ModuleRef& m) : modules(m) {}
  void OnApplicationBootstrap() {
    for (const CronJob* const job : modules.GetAll<CronJob>(Lookup::kAnywhere)) {
      schedules.push_back(job->Schedule());
    }
  }
  ModuleRef& modules;
  std::vector<std::string> schedules;
};
struct SchedulerModule {  // knows neither of the others
  static void Define(ModuleBuilder& module) { module.Provide<Scheduler>(); }
};

TEST(NestDiscovery, ProvidersOfAKindAreFoundInEveryModule) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Import<SchedulerModule>().Import<BillingModule>().Import<StockModule>();
    }
  };
  auto app = Make<AppModule>();
  app.Init();
  EXPECT_THAT(app.Get<Scheduler>().schedules, UnorderedElementsAre("0 3 * * *", "7 * * * *"));
}

// ---- scopes/e2e/transient-scope, nested isolation

struct Leaf {
  static constexpr Scope kScope = Scope::kTransient;
  explicit Leaf(const Inquirer& who) : asked_by(who.name()) {}
  std::string asked_by;
};
struct Branch {
  static constexpr Scope kScope = Scope::kTransient;
  explicit Branch(Leaf& l) : leaf(l) {}
  Leaf& leaf;
};
struct FirstTree {
  explicit FirstTree(Branch& b) : branch(b) {}
  Branch& branch;
};
struct SecondTree {
  explicit SecondTree(Branch& b) : branch(b) {}
  Branch& branch;
};

TEST(NestTransientScope, NestedTransientsAreIsolatedByWhoAsks) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Leaf>().Provide<Branch>().Provide<FirstTree>().Provide<SecondTree>();
    }
  };
  auto app = Make<AppModule>();
  FirstTree& first = app.Get<FirstTree>();
  SecondTree& second = app.Get<SecondTree>();
  EXPECT_NE(&first.branch, &second.branch);
  EXPECT_NE(&first.branch.leaf, &second.branch.leaf);
  EXPECT_EQ(first.branch.leaf.asked_by, "Branch");
}

// ---- scopes/e2e/durable-forward-ref (v12)

struct Branches;
struct Customer {
  explicit Customer(Lazy<Branches> b) : branches(std::move(b)) {}
  Lazy<Branches> branches;
  int visits = 0;
};
struct Branches {
  explicit Branches(Customer& c) : customer(c) {}
  Customer& customer;
};
class BranchController final : public EchoBase {
 public:
  explicit BranchController(Branches& branches) : branches_(branches) {}
  Task<EchoReply> Say(CallContext&, const EchoRequest&) override {
    const bool closed = &branches_.customer.branches.get() == &branches_;
    co_return Text(closed ? std::to_string(++branches_.customer.visits) : "two of them");
  }

 private:
  Branches& branches_;
};

TEST(NestDurableForwardRef, ACircleIsOneForEachKey) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Controller<BranchController>().Provide<Customer>(kDurable).Provide<Branches>(kDurable);
    }
  };
  ApplicationOptions options = Loops();
  options.durable.key = [](CallContext& call) -> std::optional<std::string> {
    return std::string(call.metadata().Get("x-tenant").value_or(""));
  };
  auto app = Make<AppModule>(std::move(options));
  auto client = app.Client<EchoClient>();
  const auto ask = [&client](std::string_view tenant) {
    CallOptions call;
    call.metadata.Add("x-tenant", tenant).IgnoreError();
    return SyncWait(client.Say(Asking(), call)).text();
  };
  EXPECT_EQ(ask("acme"), "1");
  EXPECT_EQ(ask("acme"), "2");
  EXPECT_EQ(ask("globex"), "1");
  EXPECT_EQ(ask("acme"), "3");
}

// ---- scopes/e2e/transient-global-enhancers, and request-scoped APP_GUARD

struct CallId {
  static constexpr Scope kScope = Scope::kRequest;
  CallId() : number(++made) {}
  int number;
  static inline std::atomic<int> made{0};
};
struct CallGuard {
  explicit CallGuard(CallId& call_id) : id(call_id) { ++made; }
  bool CanActivate(ExecutionContext&) { return id.number > 0; }
  CallId& id;
  static inline std::atomic<int> made{0};
};
struct TransientGuard {
  static constexpr Scope kScope = Scope::kTransient;
  TransientGuard() { ++made; }
  bool CanActivate(ExecutionContext&) {
    ++asked;
    return true;
  }
  static inline std::atomic<int> made{0};
  static inline std::atomic<int> asked{0};
};
struct DenyGuard {
  bool CanActivate(ExecutionContext&) { return false; }
};
class AnsweringController final : public EchoBase {
 public:
  explicit AnsweringController(CallId& id) : id_(id) {}
  Task<EchoReply> Say(CallContext&, const EchoRequest&) override {
    co_return Text(std::to_string(id_.number));
  }

 private:
  CallId& id_;
};

TEST(NestGlobalEnhancers, AGuardOfAModuleMayBeRequestScoped) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Controller<AnsweringController>().Provide<CallId>().GlobalGuard<CallGuard>();
    }
  };
  CallId::made = 0;
  CallGuard::made = 0;
  auto app = Make<AppModule>();
  auto client = app.Client<EchoClient>();
  EXPECT_EQ(CallGuard::made, 0) << "nothing is made before a call";
  for (int i = 1; i <= 3; ++i) {
    EXPECT_EQ(SyncWait(client.Say(Asking())).text(), std::to_string(i));
  }
  EXPECT_EQ(CallGuard::made, 3);
  EXPECT_EQ(CallId::made, 3) << "guard and controller share the call's";
}

TEST(NestGlobalEnhancers, AGuardOfAModuleMayBeTransient) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Controller<AnsweringController>().Provide<CallId>().GlobalGuard<TransientGuard>();
    }
  };
  TransientGuard::made = 0;
  TransientGuard::asked = 0;
  auto app = Make<AppModule>();
  auto client = app.Client<EchoClient>();
  for (int i = 0; i < 3; ++i) (void)SyncWait(client.Say(Asking()));
  EXPECT_EQ(TransientGuard::made, 1) << "one for the application, which is who asks";
  EXPECT_EQ(TransientGuard::asked, 3);
}

TEST(NestGlobalEnhancers, ADenialIsPermissionDenied) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Controller<AnsweringController>().Provide<CallId>().GlobalGuard<DenyGuard>();
    }
  };
  CallId::made = 0;
  auto app = Make<AppModule>();
  const auto reply = SyncWaitStatus(app.Client<EchoClient>().Say(Asking()));
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace rookery::testing
