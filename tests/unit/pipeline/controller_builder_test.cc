#include "rookery/pipeline/controller_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "echo.rookery.h"
#include "rookery/annotations.pb.h"
#include "rookery/pipeline/reflector.h"
#include "rookery/runtime/sync_wait.h"
#include "unit/pipeline/harness.h"

namespace rookery::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

inline constexpr MetadataKey<std::vector<std::string>> kRoles{"roles"};
inline constexpr MetadataKey<std::set<std::string>> kTags{"tags"};
inline constexpr MetadataKey<std::map<std::string, int>> kLimits{"limits"};
inline constexpr MetadataKey<bool> kPublic{"public"};
inline constexpr MetadataKey<std::string> kTitle{"title"};

class Echo : public EchoService {
 public:
  Task<EchoReply> Say(CallContext&, const EchoRequest&) override { co_return EchoReply(); }
  Stream<EchoReply> Repeat(CallContext&, const EchoRequest&) override { return {}; }
  Task<EchoReply> Join(CallContext&, Stream<EchoRequest>) override { co_return EchoReply(); }
  Stream<EchoReply> Chat(CallContext&, Stream<EchoRequest>) override { return {}; }
  Task<void> OnSaid(CallContext&, const EchoRequest&) override { co_return; }
  Task<EchoReply> SayAgain(CallContext&, const EchoRequest&) override { co_return EchoReply(); }
};

// ---- metadata -------------------------------------------------------------------------------

struct Seen {
  std::vector<std::string> overridden;
  std::vector<std::string> merged;
  std::set<std::string> tags;
  std::map<std::string, int> limits;
  std::vector<bool> publics;
  std::vector<std::string> titles;
  std::vector<std::string> proto_roles;
  bool own_public = false;
  std::string controller;
};
Seen& TheSeen() {
  static Seen seen;
  return seen;
}

struct Looking {
  explicit Looking(Reflector& r) : reflector(r) {}
  bool CanActivate(ExecutionContext& context) {
    Seen& seen = TheSeen();
    seen = Seen();
    if (const auto* roles =
            reflector.GetAllAndOverride(kRoles, {context.method(), context.controller()})) {
      seen.overridden = *roles;
    }
    const Reflector::Targets both = {context.method(), context.controller()};
    seen.merged = reflector.GetAllAndMerge(kRoles, both);
    seen.tags = reflector.GetAllAndMerge(kTags, both);
    seen.limits = reflector.GetAllAndMerge(kLimits, both);
    seen.publics = reflector.GetAllAndMerge(kPublic, both);
    seen.titles = reflector.GetAllAndMerge(kTitle, both);
    seen.own_public = reflector.Get(kPublic, context.method()) != nullptr;
    for (const auto& role : reflector.GetOption(rookery::auth, context.method()).roles()) {
      seen.proto_roles.push_back(role);
    }
    seen.controller = context.controller().name();
    return true;
  }
  Reflector& reflector;
};

class Annotated final : public Echo {
 public:
  static void Configure(ControllerBuilder& controller) {
    static Reflector reflector;
    controller.UseGuard(std::make_shared<Looking>(reflector))
        .Set(kRoles, {"buyer"})
        .Set(kTags, {"a", "b"})
        .Set(kLimits, {{"x", 1}, {"y", 1}})
        .Set(kTitle, "controller");
    controller.Method(kSay)
        .Set(kRoles, {"admin", "root"})
        .Set(kTags, {"b", "c"})
        .Set(kLimits, {{"x", 2}})
        .Set(kPublic, true)
        .Set(kTitle, "wrong")
        .Set(kTitle, "method");
  }
};

TEST(ReflectorTest, OverridesAndMerges) {
  Harness harness;
  harness.Add(std::make_shared<Annotated>());
  EchoClient client = harness.client<EchoClient>();
  (void)SyncWait(client.Say(EchoRequest()));
  const Seen& seen = TheSeen();
  EXPECT_THAT(seen.overridden, ElementsAre("admin", "root"));
  EXPECT_THAT(seen.merged, ElementsAre("admin", "root", "buyer"));
  EXPECT_THAT(seen.tags, UnorderedElementsAre("a", "b", "c"));
  // The later target wins.
  EXPECT_THAT(seen.limits, UnorderedElementsAre(Pair("x", 1), Pair("y", 1)));
  EXPECT_THAT(seen.publics, ElementsAre(true));
  EXPECT_THAT(seen.titles, ElementsAre("method", "controller"));
  EXPECT_TRUE(seen.own_public);
  EXPECT_EQ(seen.controller, "Annotated");
  EXPECT_THAT(seen.proto_roles, IsEmpty());

  (void)SyncWait(client.SayAgain(EchoRequest()));
  EXPECT_THAT(seen.overridden, ElementsAre("buyer"));
  EXPECT_FALSE(seen.own_public);
  EXPECT_THAT(seen.publics, IsEmpty());
  EXPECT_THAT(seen.proto_roles, ElementsAre("admin"));
}

TEST(ReflectorTest, ReadsOptionsOfMethodsAndServices) {
  const ControllerInfo controller("Echo");
  const MethodDescriptor pattern;
  const MethodInfo by_pattern(pattern, controller);
  const MethodInfo on_said(EchoService::Descriptor().methods[EchoService::kOnSaid.index],
                           controller);
  const Reflector reflector;
  EXPECT_EQ(reflector.GetOption(rookery::event, on_said).pattern(), "echo.said");
  EXPECT_EQ(reflector.GetOption(rookery::event, by_pattern).pattern(), "");
  EXPECT_EQ(reflector.GetOption(rookery::pattern, on_said), "");
  EXPECT_EQ(reflector.GetOption(rookery::service_auth, on_said).roles_size(), 0);
  EXPECT_EQ(reflector.GetOption(rookery::service_auth, by_pattern).roles_size(), 0);
}

// ---- faults ---------------------------------------------------------------------------------

class Misspelt final : public Echo {
 public:
  static void Configure(ControllerBuilder& controller) {
    controller.Method("Sya");
    controller.Method(MethodRef{17});
    controller.Method("Say");
    controller.Method("/rookery.testing.Echo/Join");
  }
};

TEST(HandlersTest, AllFaultsAtOnce) {
  Harness harness;
  harness.Add(std::make_shared<Misspelt>(), "EchoModule")
      .Add(std::make_shared<Echo>(), "OtherModule");
  EXPECT_THAT(
      harness.Check(),
      ElementsAre(
          AllOf(HasSubstr("Misspelt (EchoModule)"), HasSubstr("\"Sya\""),
                HasSubstr("controller_builder_test.cc:"),
                HasSubstr("it serves Say, Repeat, Join, Chat, OnSaid, SayAgain")),
          HasSubstr("the method of index 17"),
          AllOf(HasSubstr("\"/rookery.testing.Echo/Say\" is handled by Misspelt (EchoModule) "
                          "and Echo (OtherModule)"),
                HasSubstr("only events may have several handlers")),
          HasSubstr("/Repeat\""), HasSubstr("/Join\""), HasSubstr("/Chat\""),
          HasSubstr("/SayAgain\""), HasSubstr("\"echo.again\"")));
  StatsRegistry stats;
  std::vector<BoundController> none;
  EXPECT_TRUE(CompileHandlers(none, {}, stats).ok());
}

class Nothing final {
 public:
  static void Configure(ControllerBuilder&) {}
};
class Stranger {
 public:
  Task<EchoReply> Say(CallContext&, const EchoRequest&) { co_return EchoReply(); }
  Task<void> OnSaid(CallContext&, const EchoReply&) { co_return; }
};
class Borrowing final : public Echo {
 public:
  static void Configure(ControllerBuilder& controller) {
    controller.Message("stranger", &Stranger::Say);
    controller.Message("", &Borrowing::SayAgain);
  }
};
class OtherSaid final : public Stranger {
 public:
  static void Configure(ControllerBuilder& controller) {
    controller.Event("echo.said", &Stranger::OnSaid);
    controller.Message("echo.other", &Stranger::Say);
  }
};

TEST(HandlersTest, MoreFaults) {
  Harness harness;
  harness.Add(std::make_shared<Nothing>()).Add(std::make_shared<Borrowing>());
  harness.Add(std::make_shared<OtherSaid>());
  EXPECT_THAT(harness.Check(), ElementsAre(HasSubstr("Nothing serves nothing"),
                                           HasSubstr("\"stranger\" is a member of another class"),
                                           HasSubstr("pattern is empty"),
                                           AllOf(HasSubstr("The event \"echo.said\""),
                                                 HasSubstr("must take the same message"))));
}

TEST(HandlersTest, AHandlerOfABaseIsFine) {
  Harness harness;
  harness.Add(std::make_shared<OtherSaid>());
  EXPECT_THAT(harness.Check(), IsEmpty());
  EXPECT_NE(harness.registry().Find("echo.other"), nullptr);
}

// A controller of several services: here the same service under two classes.
class Bystander {
 public:
  virtual ~Bystander() = default;
  int padding = 7;
};
class Second : public Bystander, public Echo {
 public:
  static void Configure(ControllerBuilder& controller) {
    controller.Service<EchoService>().Method(EchoService::kSay).Set(kTitle, "second");
  }
};

TEST(HandlersTest, ABaseThatIsNotTheFirstIsReached) {
  Harness harness;
  harness.Add(std::make_shared<Second>());
  EXPECT_THAT(harness.Check(), IsEmpty());
  EXPECT_TRUE(SyncWaitStatus(harness.client<EchoClient>().Say(EchoRequest())).ok());
}

struct G {
  bool CanActivate(ExecutionContext&) { return true; }
};
class Guarded final : public Echo {
 public:
  static void Configure(ControllerBuilder& controller) {
    controller.UseGuard<G>();
    controller.Method(kSay).UseGuard<G>();
    controller.Event("x", &Guarded::OnSaid).UseGuard<G>();
  }
};

TEST(HandlersTest, AnEnhancerIsInjectableOnce) {
  ControllerBuilder builder;
  DescribeController<Guarded>(builder);
  ControllerBuilder moved = std::move(builder);
  ASSERT_THAT(moved.injectables(), SizeIs(1));
  EXPECT_EQ(moved.injectables()[0].token, Token::Of<G>());
}

// ---- concepts -------------------------------------------------------------------------------

struct OverloadedPipe {
  template <class M>
  absl::Status Transform(M&, const ArgumentMetadata&) {
    return absl::OkStatus();
  }
};
struct ConstPipe {
  void Transform(const EchoRequest&, const ArgumentMetadata&) const noexcept {}
};
static_assert(Guard<G> && !Guard<OverloadedPipe> && !Guard<int>);
static_assert(Pipe<OverloadedPipe> && Pipe<ConstPipe> && !Pipe<G>);
static_assert(!Interceptor<G> && !ExceptionFilter<G>);

}  // namespace
}  // namespace rookery::testing
