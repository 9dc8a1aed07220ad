// Lazy, Proxy and All: what is looked up later, what changes with the call, what there are several
// of.
#include "rookery/di/lazy.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "di/calls.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "module/graph_fixture.h"
#include "rookery/di/all.h"
#include "rookery/di/proxy.h"
#include "rookery/di/resolution_error.h"
#include "rookery/di/scope.h"
#include "rookery/platform/cls.h"
#include "rookery/runtime/sleep.h"

namespace rookery::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// ---- Lazy

struct Dogs;
struct Cats {
  explicit Cats(Lazy<Dogs> d) : dogs(d) {}
  Lazy<Dogs> dogs;
};
struct Dogs {
  explicit Dogs(Cats& c) : cats(c) {}
  Cats& cats;
};

// Nest: injector/e2e/circular.
TEST(Lazy, BreaksACircle) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<Cats>().Provide<Dogs>(); }
  };
  auto app = Make<AppModule>();
  Cats& cats = app.Get<Cats>();
  EXPECT_EQ(&cats.dogs.get(), &app.Get<Dogs>());
  EXPECT_EQ(&cats.dogs->cats, &cats);
  const Lazy<Dogs> copy = cats.dogs;
  EXPECT_EQ(&*copy, &app.Get<Dogs>());
}

struct Chicken;
struct Egg {
  explicit Egg(Lazy<Chicken> c) : chicken(c) {}
  Lazy<Chicken> chicken;
};
struct Chicken {
  explicit Chicken(Lazy<Egg> e) : egg(e) {}
  Lazy<Egg> egg;
};
TEST(Lazy, OnBothSides) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<Egg>().Provide<Chicken>(); }
  };
  auto app = Make<AppModule>();
  EXPECT_EQ(&app.Get<Egg>().chicken->egg.get(), &app.Get<Egg>());
}

// Nest: scopes/e2e/circular-request-scope, circular-transient-scope.
TEST(Lazy, BreaksACircleOfRequestScope) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Cats>(Scope::kRequest).Provide<Dogs>(Scope::kRequest);
    }
  };
  auto app = Make<AppModule>();
  const ContextId id = ContextId::New();
  const auto cats = SyncWait(app.Resolve<Cats>(id));
  const auto dogs = SyncWait(app.Resolve<Dogs>(id));
  EXPECT_EQ(&cats->dogs.get(), dogs.get()) << "looked up where its user was made";
  EXPECT_EQ(&dogs->cats, cats.get());
}
TEST(Lazy, BreaksACircleOfTransients) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Egg>(Scope::kTransient).Provide<Chicken>(Scope::kTransient);
    }
  };
  auto app = Make<AppModule>();
  const auto egg = SyncWait(app.Resolve<Egg>());
  Chicken& chicken = egg->chicken.get();
  EXPECT_EQ(&chicken, &egg->chicken.get()) << "each has one of its own, and keeps it";
  EXPECT_NE(&chicken.egg.get(), egg.get());
}

struct Hasty {
  explicit Hasty(Lazy<Cats> cats) { (void)cats.get(); }
};
TEST(Lazy, IsNotForTheConstructor) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Hasty>().Provide<Cats>().Provide<Dogs>();
    }
  };
  EXPECT_THAT(FaultsOf<AppModule>(), HasSubstr("Can't construct Hasty of AppModule"));
  EXPECT_THAT(FaultsOf<AppModule>(),
              HasSubstr("is not made yet: a Lazy was used while the application was being "
                        "constructed.\n    mend: use it later, in OnModuleInit or in a call."));
}

TEST(Lazy, MustBeProvidedAllTheSame) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<Cats>(); }
  };
  EXPECT_THAT(Graph<AppModule>().faults(),
              ElementsAre("Can't resolve Cats (?): argument 0 is Lazy<Dogs>, and AppModule neither "
                          "provides nor imports it.\n"
                          "    registered: here\n"
                          "    mend: provide Dogs in AppModule, or import a module that exports "
                          "it."));
}

inline constexpr InjectionToken<int> kPort{"PORT"};
struct UsesToken {
  using Inject = UsesToken(Lazy<rookery::Inject<kPort>>);
  explicit UsesToken(Lazy<rookery::Inject<kPort>> p) : port(p) {}
  Lazy<rookery::Inject<kPort>> port;
};
TEST(Lazy, OfAToken) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<UsesToken>().ProvideValue(kPort, 8080);
    }
  };
  auto app = Make<AppModule>();
  EXPECT_EQ(*app.Get<UsesToken>().port, 8080);
}

struct SlowToMake {
  static constexpr Scope kScope = Scope::kRequest;
  SlowToMake() {
    const int number = ++tries;
    while (!go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (number <= failures) throw std::runtime_error("not today");
  }
  static inline std::atomic<int> tries{0};
  static inline std::atomic<int> failures{0};
  static inline std::atomic<bool> go{false};
};
struct SlowHolder {
  static constexpr Scope kScope = Scope::kRequest;
  explicit SlowHolder(Lazy<SlowToMake> l) : slow(l) {}
  Lazy<SlowToMake> slow;
};
TEST(Lazy, WaitsForAnotherThreadThatMakesIt) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<SlowHolder>().Provide<SlowToMake>();
    }
  };
  auto app = Make<AppModule>();
  for (const int failures : {0, 1}) {
    SlowToMake::tries = 0;
    SlowToMake::failures = failures;
    SlowToMake::go = false;
    const auto user = SyncWait(app.Resolve<SlowHolder>(ContextId::New()));
    std::atomic<int> failed{0};
    SlowToMake* found[4] = {};
    std::vector<std::thread> threads;
    for (SlowToMake*& mine : found) {
      threads.emplace_back([&user, &mine, &failed] {
        try {
          mine = &user->slow.get();
        } catch (const std::exception&) {
          ++failed;
        }
      });
    }
    while (SlowToMake::tries == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));  // the others begin to wait
    EXPECT_EQ(SlowToMake::tries, 1);
    SlowToMake::go = true;
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(failed, failures);
    EXPECT_EQ(SlowToMake::tries, 1 + failures) << "one that is given back is made by the next";
    const SlowToMake* const made = &user->slow.get();
    for (const SlowToMake* const one : found) EXPECT_TRUE(one == made || one == nullptr);
  }
}

// ---- Proxy

struct User {
  static constexpr Scope kScope = Scope::kRequest;
  User() : number(++made) {}
  const int number;
  static inline std::atomic<int> made{0};
};
struct Audit {
  static constexpr Scope kScope = Scope::kSingleton;
  explicit Audit(Proxy<User> u) : user(u) {}
  int Who() const { return user->number; }
  Proxy<User> user;
};
class AuditedController final : public EchoBase {
 public:
  AuditedController(Audit& audit, User& user) : audit_(audit), user_(user) {}
  Task<EchoReply> Say(CallContext&, const EchoRequest&) override {
    co_await Sleep(std::chrono::milliseconds(1));
    co_return Text(audit_.Who() == user_.number ? std::to_string(user_.number) : "another's");
  }

 private:
  Audit& audit_;
  User& user_;
};
struct AuditModule {
  static void Define(ModuleBuilder& module) {
    module.Controller<AuditedController>().Provide<Audit>().Provide<User>();
  }
};

TEST(Proxy, MeansTheInstanceOfTheCallThatRuns) {
  User::made = 0;
  auto app = Make<AuditModule>();
  auto client = app.Client<EchoClient>();
  EXPECT_EQ(SyncWait(client.Say(Asking())).text(), "1");
  EXPECT_EQ(SyncWait(client.Say(Asking())).text(), "2");
  EXPECT_EQ(User::made, 2);
}

TEST(Proxy, OutsideACallTheContextAroundIsMeant) {
  User::made = 0;
  auto app = Make<AuditModule>();
  Audit& audit = app.Get<Audit>();
  const int twice = Cls::Run([&audit] { return audit.Who() == audit.Who() ? audit.Who() : -1; });
  EXPECT_EQ(twice, 1);
  EXPECT_EQ(Cls::Run([&audit] { return audit.Who(); }), 2);
  const int nested = Cls::Run([&audit] {
    const int outer = audit.Who();
    return Cls::Run([&audit] { return audit.Who(); }) == outer ? outer : -1;
  });
  EXPECT_EQ(nested, 3) << "a nested context has what the one around it has";
}

TEST(Proxy, OutsideAnyContextItSaysSo) {
  auto app = Make<AuditModule>();
  try {
    (void)app.Get<Audit>().Who();
    FAIL() << "there is no context";
  } catch (const ResolutionError& error) {
    EXPECT_EQ(WithoutPlaces(error.what()),
              "User of AuditModule (registered at here) is made once per call, and no call runs "
              "here.\n    mend: ask for it in a call or inside rookery::Cls::Run, or resolve it "
              "with a ContextId of your own.");
    EXPECT_EQ(error.status().code(), absl::StatusCode::kFailedPrecondition);
  }
}

struct SlowUser {
  int number = 0;
};
struct SlowAudit {
  explicit SlowAudit(Proxy<SlowUser> u) : user(u) {}
  Proxy<SlowUser> user;
};
struct SlowAuditModule {
  static void Define(ModuleBuilder& module) {
    module.Provide<SlowAudit>().ProvideFactory(
        []() -> Task<SlowUser> {
          co_await Sleep(std::chrono::milliseconds(1));
          co_return SlowUser{7};
        },
        Scope::kRequest);
  }
};

Task<int> ResolveThenUse(SlowAudit* audit) {
  const std::shared_ptr<SlowUser> user = co_await audit->user.Resolve();
  co_return audit->user->number == user->number ? user->number : -1;
}
TEST(Proxy, WhatATaskMakesHasToBeResolvedFirst) {
  auto app = Make<SlowAuditModule>();
  SlowAudit* const audit = &app.Get<SlowAudit>();
  try {
    (void)Cls::Run([audit] { return audit->user->number; });
    FAIL() << "nobody has awaited it";
  } catch (const ResolutionError& error) {
    EXPECT_EQ(WithoutPlaces(error.what()),
              "the factory of SlowUser of SlowAuditModule (registered at here) is made by a Task, "
              "which nobody has awaited here.\n    mend: co_await Resolve() first.");
  }
  EXPECT_EQ(SyncWait(Cls::Run([audit] { return ResolveThenUse(audit); })), 7);
}

struct ProxiesASingleton {
  explicit ProxiesASingleton(Proxy<Audit>) {}
};
TEST(Proxy, OfASingletonIsAFault) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<ProxiesASingleton>().Provide<Audit>().Provide<User>();
    }
  };
  EXPECT_THAT(
      Graph<AppModule>().faults(),
      ElementsAre("ProxiesASingleton asks for Proxy<Audit>, but Audit is a singleton: there "
                  "is one only.\n"
                  "    registered: here\n"
                  "    mend: ask for Audit& instead of argument 0."));
}

struct SelfProxy {
  static constexpr Scope kScope = Scope::kRequest;
  explicit SelfProxy(Proxy<SelfProxy> self) { (void)self.get(); }
};
TEST(Proxy, OfItselfInItsConstructorIsAnErrorNotAHang) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<SelfProxy>(); }
  };
  auto app = Make<AppModule>();
  try {
    (void)Cls::Run([&app] { return SyncWait(app.Resolve<SelfProxy>(ContextId::Current())); });
    FAIL() << "it cannot be made";
  } catch (const ResolutionError& error) {
    EXPECT_THAT(std::string(error.what()), HasSubstr("was asked for while it was being made."));
  }
}

// ---- All

struct Check {
  virtual ~Check() = default;
  virtual std::string Run() = 0;
};
struct DiskCheck final : Check {
  std::string Run() override { return "disk"; }
};
struct QueueCheck final : Check {
  explicit QueueCheck(Inject<kPort> port) : number(*port) {}
  std::string Run() override { return "queue " + std::to_string(number); }
  int number;
};
struct Health {
  explicit Health(All<Check> c) : checks(c) {}
  std::vector<std::string> Run() {
    std::vector<std::string> said;
    for (Check& check : checks) said.push_back(check.Run());
    return said;
  }
  All<Check> checks;
};
struct NetCheck final : Check {
  std::string Run() override { return "net"; }
};
struct GlobalCheck final : Check {
  std::string Run() override { return "global"; }
};

TEST(All, InTheOrderAddedAcrossModules) {
  struct NetModule {
    static void Define(ModuleBuilder& module) {
      module.ProvideMulti<Check, NetCheck>().Export<Check>();
    }
  };
  struct HiddenModule {  // exports nothing
    static void Define(ModuleBuilder& module) { module.ProvideMulti<Check, NetCheck>(); }
  };
  struct GlobalModule {
    static void Define(ModuleBuilder& module) {
      module.ProvideMulti<Check, GlobalCheck>().Export<Check>().Global();
    }
  };
  struct ReExportingModule {
    static void Define(ModuleBuilder& module) { module.Import<NetModule>().Export<NetModule>(); }
  };
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Import<GlobalModule>()
          .Import<HiddenModule>()
          .Import<ReExportingModule>()
          .Import<NetModule>()
          .Provide<Health>()
          .ProvideValue(kPort, 5)
          .ProvideMulti<Check, DiskCheck>()
          .ProvideMulti<Check, QueueCheck>();
    }
  };
  auto app = Make<AppModule>();
  Health& health = app.Get<Health>();
  EXPECT_THAT(health.Run(), ElementsAre("disk", "queue 5", "global", "net"));
  EXPECT_EQ(health.checks.size(), 4u);
  EXPECT_EQ(health.checks[1].Run(), "queue 5");
  EXPECT_EQ(app.GetAll<Check>().size(), 5u) << "all there are, seen or not";
}

TEST(All, NoneIsFine) {
  struct AppModule {
    static void Define(ModuleBuilder& module) { module.Provide<Health>(); }
  };
  auto app = Make<AppModule>();
  EXPECT_TRUE(app.Get<Health>().checks.empty());
}

inline constexpr InjectionToken<std::string> kLocale{"LOCALE"};
struct Locales {
  using Inject = Locales(All<rookery::Inject<kLocale>>);
  explicit Locales(All<rookery::Inject<kLocale>> all) {
    for (const std::string& one : all) names.push_back(one);
  }
  std::vector<std::string> names;
};
TEST(All, ValuesAndFactoriesUnderAToken) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Locales>()
          .ProvideMultiValue(kLocale, "de")
          .ProvideMultiFactory(kLocale, [] { return std::string("en"); })
          .ProvideMultiFactory(kLocale, []() -> Task<std::string> {
            co_await Sleep(std::chrono::milliseconds(1));
            co_return "fr";
          });
    }
  };
  auto app = Make<AppModule>();
  EXPECT_THAT(app.Get<Locales>().names, ElementsAre("de", "en", "fr"));
}

struct WantsOne {
  explicit WantsOne(Check&) {}
};
inline constexpr InjectionToken<Check> kNightly{"NIGHTLY"};
struct Nightly {
  using Inject = Nightly(All<rookery::Inject<kNightly>>);
  explicit Nightly(All<rookery::Inject<kNightly>> all) {
    for (Check& check : all) said.push_back(check.Run());
  }
  std::vector<std::string> said;
};
TEST(All, ClassesUnderAToken) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Nightly>().ProvideMulti<DiskCheck>(kNightly).ProvideMulti<NetCheck>(kNightly);
    }
  };
  auto app = Make<AppModule>();
  EXPECT_THAT(app.Get<Nightly>().said, ElementsAre("disk", "net"));
}

TEST(All, OneOfSeveralCannotBeAskedForByItself) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<WantsOne>().ProvideMulti<Check, DiskCheck>();
    }
  };
  EXPECT_THAT(
      Graph<AppModule>().faults(),
      ElementsAre("Can't resolve WantsOne (?): argument 0 is Check&, and AppModule neither "
                  "provides nor imports it.\n"
                  "    registered: here\n"
                  "    mend: Check is added by ProvideMulti: ask for rookery::All<Check>."));
}

TEST(All, OfWhatIsProvidedSinglyIsAFault) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Health>().Provide<Check, DiskCheck>();
    }
  };
  EXPECT_THAT(Graph<AppModule>().faults(),
              ElementsAre("Health asks for every Check, and DiskCheck of AppModule (registered at "
                          "here) is not one of several.\n"
                          "    registered: here\n"
                          "    mend: register it by ProvideMulti, or ask for Check& instead of "
                          "argument 0."));
}

struct CallCheck final : Check {
  CallCheck() : number(++made) {}
  std::string Run() override { return "call " + std::to_string(number); }
  int number;
  static inline std::atomic<int> made{0};
};
class HealthController final : public EchoBase {
 public:
  explicit HealthController(Health& health) : health_(health) {}
  Task<EchoReply> Say(CallContext&, const EchoRequest&) override {
    std::string all;
    for (const std::string& one : health_.Run()) all += one + ";";
    co_return Text(all);
  }

 private:
  Health& health_;
};
TEST(All, IsAsNarrowAsItsNarrowestElement) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Controller<HealthController>()
          .Provide<Health>()
          .ProvideMulti<Check, DiskCheck>()
          .ProvideMultiFactory<Check>([] { return std::make_unique<CallCheck>(); },
                                      Scope::kRequest);
    }
  };
  CallCheck::made = 0;
  auto app = Make<AppModule>();
  auto client = app.Client<EchoClient>();
  EXPECT_EQ(SyncWait(client.Say(Asking())).text(), "disk;call 1;");
  EXPECT_EQ(SyncWait(client.Say(Asking())).text(), "disk;call 2;");
}

struct Narcissist {
  explicit Narcissist(All<Check>) {}
};
struct LoopingCheck final : Check {
  explicit LoopingCheck(Narcissist&) {}
  std::string Run() override { return ""; }
};
TEST(All, ACircleThroughItIsShown) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Narcissist>().ProvideMulti<Check, LoopingCheck>();
    }
  };
  EXPECT_THAT(Graph<AppModule>().faults(),
              ElementsAre("Circular dependency: Narcissist -> Check -> Narcissist.\n"
                          "    Narcissist of AppModule (registered at here): argument 0 is "
                          "All<Check>\n"
                          "    LoopingCheck of AppModule (registered at here): argument 0 is "
                          "Narcissist&\n"
                          "    mend: move what both sides need into a third provider, or let one "
                          "side ask for rookery::Lazy<Narcissist>, which is looked up at its first "
                          "use."));
}

TEST(All, AnOverrideTakesThePlaceOfAll) {
  struct AppModule {
    static void Define(ModuleBuilder& module) {
      module.Provide<Health>().ProvideMulti<Check, DiskCheck>().ProvideMulti<Check, NetCheck>();
    }
  };
  GlobalCheck fake;
  auto app = TestingModule::Of<AppModule>().OverrideProvider<Check>(fake).Compile();
  EXPECT_THAT(app.Get<Health>().Run(), ElementsAre("global"));
}

}  // namespace
}  // namespace rookery::testing
