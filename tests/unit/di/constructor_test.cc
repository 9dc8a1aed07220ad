#include "rookery/di/constructor.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rookery/di/provider.h"

namespace rookery {
namespace {

inline constexpr InjectionToken<std::string> kUrl{"URL"};
inline constexpr InjectionToken<int> kPort{"PORT"};

struct Repo {
  int value = 7;
};
struct Config {};
struct Interface {
  virtual ~Interface() = default;
  virtual int Get() const = 0;
};
struct Implementation final : Interface {
  int Get() const override { return 42; }
};

// "Repo& Config* ..." of a provider's dependencies.
std::vector<std::string> Names(const ProviderSpec& spec) {
  std::vector<std::string> names;
  for (const Dependency& d : spec.dependencies) {
    static constexpr const char* kForms[] = {"&", "*", " shared", " token", " optional"};
    names.push_back(d.token.name() + kForms[static_cast<int>(d.form)]);
  }
  return names;
}
template <class T>
std::vector<std::string> DependenciesOf() {
  return Names(ClassProvider<T>());
}

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Nothing {};
struct One {
  explicit One(Repo& repo) : repo_value(repo.value) {}
  int repo_value;
};
struct Every {
  Every(Repo& a, const Config& b, std::shared_ptr<Repo> c, Repo* d, Interface& e, Inject<kUrl> f,
        Optional<Config> g, Optional<rookery::Inject<kPort>> h, const std::shared_ptr<Repo>& i,
        const Repo* j)
      : a_(a), c_(std::move(c)), d_(d), e_(e), url(*f), port(h.get()), i_(i), j_(j) {
    EXPECT_NE(&b, nullptr);
    EXPECT_FALSE(g);
  }
  Repo& a_;
  std::shared_ptr<Repo> c_;
  Repo* d_;
  Interface& e_;
  std::string url;
  int* port;
  std::shared_ptr<Repo> i_;
  const Repo* j_;
};
struct NoCopy {
  NoCopy(Repo&, One&) {}
  NoCopy(const NoCopy&) = delete;
};
struct ByValue {
  ByValue(Repo repo, rookery::Inject<kPort> port) : value(repo.value + *port) {}
  int value;
};

TEST(Constructor, NeedsNothing) { EXPECT_THAT(DependenciesOf<Nothing>(), IsEmpty()); }

TEST(Constructor, OneParameterIsNotTakenForACopy) {
  EXPECT_THAT(DependenciesOf<One>(), ElementsAre("Repo&"));
}

TEST(Constructor, EveryFormIsDeduced) {
  EXPECT_THAT(DependenciesOf<Every>(),
              ElementsAre("Repo&", "Config&", "Repo shared", "Repo*", "Interface&", "URL token",
                          "Config optional", "PORT optional", "Repo shared", "Repo*"));
}

TEST(Constructor, ClassesThatCannotBeCopied) {
  EXPECT_THAT(DependenciesOf<NoCopy>(), ElementsAre("Repo&", "One&"));
}

TEST(Constructor, MakesTheInstanceFromItsArguments) {
  const auto repo = std::make_shared<Repo>();
  const auto config = std::make_shared<Config>();
  const auto implementation = std::make_shared<Implementation>();
  const auto url = std::make_shared<std::string>("postgres://x");
  const auto port = std::make_shared<int>(5432);
  const std::shared_ptr<Interface> interface = implementation;
  const std::vector<std::shared_ptr<void>> arguments = {repo, config,  repo, repo, interface,
                                                        url,  nullptr, port, repo, repo};
  internal::Making making;
  ClassProvider<Every>().make(nullptr, arguments.data(), &making);
  ASSERT_TRUE(making.status.ok());
  const auto* every = static_cast<Every*>(making.made.self);
  EXPECT_EQ(&every->a_, repo.get());
  EXPECT_EQ(every->c_, repo);
  EXPECT_EQ(every->d_, repo.get());
  EXPECT_EQ(every->e_.Get(), 42);
  EXPECT_EQ(every->url, "postgres://x");
  EXPECT_EQ(every->port, port.get());
  EXPECT_EQ(every->i_, repo);
  EXPECT_EQ(every->j_, repo.get());
}

TEST(Constructor, ATakenCopyIsACopy) {
  EXPECT_THAT(DependenciesOf<ByValue>(), ElementsAre("Repo&", "PORT token"));
  const std::vector<std::shared_ptr<void>> arguments = {std::make_shared<Repo>(),
                                                        std::make_shared<int>(1)};
  internal::Making making;
  ClassProvider<ByValue>().make(nullptr, arguments.data(), &making);
  EXPECT_EQ(static_cast<ByValue*>(making.made.self)->value, 8);
}

// ---- the explicit form

struct Explicit {
  using Inject = Explicit(Repo&, rookery::Inject<kUrl>);
  Explicit();
  Explicit(Repo& r, rookery::Inject<kUrl> u) : repo(r), url(*u) {}
  explicit Explicit(int);
  Repo& repo;
  std::string url;
};
struct DerivedOfExplicit : Explicit {
  explicit DerivedOfExplicit(Explicit& other) : Explicit(other) {}
};
struct StandardOptional {
  using Inject = StandardOptional(std::optional<std::reference_wrapper<Repo>>);
  explicit StandardOptional(std::optional<std::reference_wrapper<Repo>> r) : repo(r) {}
  std::optional<std::reference_wrapper<Repo>> repo;
};
// More than deduction counts.
struct P0 {};
struct Many {
  using Inject = Many(P0&, P0&, P0&, P0&, P0&, P0&, P0&, P0&, P0&, P0&, P0&, P0&, P0&, P0&, P0&,
                      P0&, P0&, Repo&);
  Many(P0&, P0&, P0&, P0&, P0&, P0&, P0&, P0&, P0&, P0&, P0&, P0&, P0&, P0&, P0&, P0&, P0&, Repo&) {
  }
};

TEST(Constructor, InjectNamesTheSignature) {
  EXPECT_THAT(DependenciesOf<Explicit>(), ElementsAre("Repo&", "URL token"));
  EXPECT_EQ(DependenciesOf<Many>().size(), 18u);
}

TEST(Constructor, InjectOfABaseIsNotTheDerivedClassesOwn) {
  EXPECT_THAT(DependenciesOf<DerivedOfExplicit>(), ElementsAre("Explicit&"));
}

TEST(Constructor, StandardOptionalReference) {
  EXPECT_THAT(DependenciesOf<StandardOptional>(), ElementsAre("Repo optional"));
  internal::Making making;
  const std::vector<std::shared_ptr<void>> none = {nullptr};
  ClassProvider<StandardOptional>().make(nullptr, none.data(), &making);
  EXPECT_FALSE(static_cast<StandardOptional*>(making.made.self)->repo.has_value());
  const auto repo = std::make_shared<Repo>();
  const std::vector<std::shared_ptr<void>> some = {repo};
  ClassProvider<StandardOptional>().make(nullptr, some.data(), &making);
  EXPECT_EQ(&static_cast<StandardOptional*>(making.made.self)->repo->get(), repo.get());
}

// ---- odd classes

struct Aggregate {
  int a = 1;
  std::string b;
};
template <class T>
struct Wrapper {
  explicit Wrapper(T& t) : inner(t) {}
  T& inner;
};
struct InheritsConstructors : One {
  using One::One;
};
struct InitializerList {
  using Inject = InitializerList();
  InitializerList() = default;
  InitializerList(std::initializer_list<int>) {}
};
struct VirtualBase : virtual Interface {
  explicit VirtualBase(Repo&) {}
  int Get() const override { return 1; }
};

TEST(Constructor, AggregatesAreDefaultMade) { EXPECT_THAT(DependenciesOf<Aggregate>(), IsEmpty()); }
TEST(Constructor, Templates) { EXPECT_THAT(DependenciesOf<Wrapper<Repo>>(), ElementsAre("Repo&")); }
TEST(Constructor, InheritedConstructors) {
  EXPECT_THAT(DependenciesOf<InheritsConstructors>(), ElementsAre("Repo&"));
}
TEST(Constructor, OverloadsAreToldApartByInject) {
  EXPECT_THAT(DependenciesOf<InitializerList>(), IsEmpty());
}
TEST(Constructor, VirtualBasesAreReachedThroughTheInterface) {
  const ProviderSpec spec = ClassProviderAs<Interface, VirtualBase>(Token::Of<Interface>());
  const std::vector<std::shared_ptr<void>> arguments = {std::make_shared<Repo>()};
  internal::Making making;
  spec.make(nullptr, arguments.data(), &making);
  EXPECT_EQ(static_cast<Interface*>(making.made.instance.get())->Get(), 1);
}

// ---- factories

std::unique_ptr<Interface> MakeInterface(Repo&) { return std::make_unique<Implementation>(); }

TEST(Factory, ParametersAndTokenComeFromTheSignature) {
  const ProviderSpec plain = FactoryProvider<void>(std::nullopt, &MakeInterface);
  EXPECT_EQ(plain.token, Token::Of<Interface>());
  EXPECT_THAT(Names(plain), ElementsAre("Repo&"));
  const ProviderSpec lambda = FactoryProvider<void>(
      std::nullopt, [n = 1](const Config&, rookery::Inject<kPort>) mutable -> absl::StatusOr<Repo> {
        return Repo{++n};
      });
  EXPECT_EQ(lambda.token, Token::Of<Repo>());
  EXPECT_THAT(Names(lambda), ElementsAre("Config&", "PORT token"));
}

TEST(Factory, AFailureIsItsStatusAndNullIsOne) {
  internal::Making making;
  ProviderSpec failing = FactoryProvider<void>(
      std::nullopt, []() -> absl::StatusOr<Repo> { return absl::NotFoundError("no file"); });
  failing.make(failing.closure.get(), nullptr, &making);
  EXPECT_EQ(making.status, absl::NotFoundError("no file"));
  ProviderSpec null =
      FactoryProvider<void>(std::nullopt, [] { return std::unique_ptr<Interface>(); });
  making = internal::Making();
  null.make(null.closure.get(), nullptr, &making);
  EXPECT_EQ(making.status, absl::FailedPreconditionError("the factory returned a null pointer"));
}

// ---- tokens and values

TEST(Token, TypesAndNames) {
  EXPECT_EQ(Token::Of<const Repo&>(), Token::Of<Repo>());
  EXPECT_NE(Token::Of<Repo>(), Token::Of<Config>());
  EXPECT_NE(Token(kPort), Token::Of<int>());
  EXPECT_EQ(Token::Of<Repo>().name(), "Repo");
  EXPECT_EQ(Token(kPort).name(), "PORT");
  EXPECT_EQ((Token::Of<Wrapper<Config>>().name()), "Wrapper<Config>");
  EXPECT_EQ(Token::Of<std::string>().name(), "std::string");
}

TEST(Token, ShortNamesDropScopes) {
  using internal::ShortTypeName;
  EXPECT_EQ(ShortTypeName("shop::v1::Cache"), "Cache");
  EXPECT_EQ(ShortTypeName("(anonymous namespace)::Cache"), "Cache");
  EXPECT_EQ(ShortTypeName("a::{anonymous}::Cache"), "Cache");
  EXPECT_EQ(ShortTypeName("a::Test::TestBody()::Local"), "Local");
  EXPECT_EQ(ShortTypeName("std::vector<shop::Cache>"), "std::vector<Cache>");
  EXPECT_EQ(ShortTypeName("a::Map<b::Key, std::__cxx11::basic_string<char> >"),
            "Map<Key, std::string >");
  EXPECT_EQ(ShortTypeName("Cache"), "Cache");
}

TEST(Value, IsKeptOwnedSharedOrReferred) {
  internal::Making making;
  const auto make = [&making](const ProviderSpec& spec) {
    making = internal::Making();
    spec.make(spec.closure.get(), nullptr, &making);
    return making.made.instance.get();
  };
  const auto shared = std::make_shared<Implementation>();
  EXPECT_EQ(make(ValueProvider<Interface>(Token::Of<Interface>(), shared)),
            static_cast<Interface*>(shared.get()));
  Implementation mine;
  EXPECT_EQ(make(ValueProvider<Interface>(Token::Of<Interface>(), std::ref(mine))),
            static_cast<Interface*>(&mine));
  EXPECT_EQ(*static_cast<std::string*>(make(ValueProvider<std::string>(kUrl, "text"))), "text");
  make(ValueProvider<Interface>(Token::Of<Interface>(), std::shared_ptr<Implementation>()));
  EXPECT_EQ(making.status, absl::FailedPreconditionError("the value is a null pointer"));
}

// ---- hooks

struct AllHooks {
  Task<void> OnModuleInit() { co_return; }
  void OnApplicationBootstrap() {}
  absl::Status OnModuleDestroy() { return absl::OkStatus(); }
  void BeforeApplicationShutdown(std::string_view signal) { seen = signal; }
  Task<absl::Status> OnApplicationShutdown(ShutdownSignal) { co_return absl::OkStatus(); }
  std::string seen;
};
struct OneHook {
  void OnApplicationShutdown() {}
};

TEST(Hooks, AreFoundByPresence) {
  EXPECT_EQ(internal::HooksOf<Repo>(), nullptr);
  const internal::HookTable* all = internal::HooksOf<AllHooks>();
  ASSERT_NE(all, nullptr);
  for (const internal::Hook hook : all->hooks) EXPECT_NE(hook, nullptr);
  const internal::HookTable* one = internal::HooksOf<OneHook>();
  ASSERT_NE(one, nullptr);
  EXPECT_EQ((*one)[internal::HookPhase::kOnModuleInit], nullptr);
  EXPECT_NE((*one)[internal::HookPhase::kOnApplicationShutdown], nullptr);

  AllHooks object;
  internal::HookResult result;
  (*all)[internal::HookPhase::kBeforeApplicationShutdown](&object, ShutdownSignal(15), &result);
  EXPECT_EQ(object.seen, "SIGTERM");
}

}  // namespace
}  // namespace rookery
