#include "rookery/platform/cls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "unit/platform/manual.h"
#include "unit/rpc/fake_call.h"

namespace rookery {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

inline constexpr ClsKey<std::string> kUser{"user.id"};
inline constexpr ClsKey<int> kCount{"count"};

TEST(ClsTest, OutsideAContextThereIsNothing) {
  EXPECT_FALSE(Cls::IsActive());
  EXPECT_EQ(Cls::Get(kUser), nullptr);
  EXPECT_EQ(Cls::GetOr(kUser, "nobody"), "nobody");
  EXPECT_FALSE(Cls::Has(kUser));
  EXPECT_EQ(Cls::Id(), "");
}

TEST(ClsTest, SettingOutsideAContextSaysHowToMendIt) {
  const auto message = [](auto&& act) -> std::string {
    try {
      act();
    } catch (const RpcException& error) {
      EXPECT_EQ(error.status().code(), absl::StatusCode::kFailedPrecondition);
      return std::string(error.status().message());
    }
    return "nothing thrown";
  };
  EXPECT_THAT(message([] { Cls::Set(kUser, "u"); }),
              HasSubstr("Cls::Set(\"user.id\") outside a context"));
  EXPECT_THAT(message([] { Cls::Set(kUser, "u"); }), HasSubstr("wrap the code in Cls::Run"));
  EXPECT_THAT(message([] { Cls::SetIfUndefined(kUser, "u"); }), HasSubstr("Cls::SetIfUndefined("));
  EXPECT_THAT(message([] { Cls::Erase(kUser); }), HasSubstr("Cls::Erase("));
}

TEST(ClsTest, WorksInsideACall) {
  FakeCall call(Sent{{"x-request-id", "r-1"}});
  const ContextScope scope(&call);
  EXPECT_TRUE(Cls::IsActive());
  EXPECT_EQ(Cls::Set(kUser, "ada"), "ada");
  EXPECT_EQ(*Cls::Get(kUser), "ada");
  EXPECT_TRUE(Cls::Has(kUser));
  EXPECT_EQ(Cls::SetIfUndefined(kUser, "tom"), "ada");
  EXPECT_EQ(Cls::SetIfUndefined(kCount, 1), 1);
  EXPECT_EQ(Cls::GetOr(kCount, 9), 1);
  Cls::Erase(kUser);
  EXPECT_FALSE(Cls::Has(kUser));
  EXPECT_EQ(Cls::Id(), "r-1");
}

TEST(ClsTest, IsInjectableAsAnObject) {
  FakeCall call;
  const ContextScope scope(&call);
  ClsService cls;
  cls.Set(kCount, 3);
  EXPECT_EQ(*cls.Get(kCount), 3);
}

TEST(ClsRunTest, AFunctionOfValuesRunsAtOnce) {
  const std::string user = Cls::Run([] {
    Cls::Set(kUser, "ada");
    return *Cls::Get(kUser);
  });
  EXPECT_EQ(user, "ada");
  EXPECT_FALSE(Cls::IsActive());
  Cls::Run([] { Cls::Set(kUser, "eve"); });
}

TEST(ClsRunTest, AnIdIsMadeOnceOrGiven) {
  Cls::Run([] {
    const std::string id(Cls::Id());
    EXPECT_THAT(id, MatchesRegex("[0-9a-f]{32}"));
    EXPECT_EQ(Cls::Id(), id);
    Cls::Run([&id] { EXPECT_EQ(Cls::Id(), id); });
    Cls::Run(ClsRunOptions(ClsNesting::kOverride), [&id] { EXPECT_EQ(Cls::Id(), id); });
  });
  ClsRunOptions options;
  options.id = "nightly-7";
  Cls::Run(options, [] { EXPECT_EQ(Cls::Id(), "nightly-7"); });
}

TEST(ClsRunTest, NestedContextsInheritReuseOrOverride) {
  Cls::Run([] {
    Cls::Set(kUser, "ada");
    Cls::Run([] {
      EXPECT_EQ(*Cls::Get(kUser), "ada");
      Cls::Set(kUser, "tom");
      Cls::Set(kCount, 1);
    });
    EXPECT_EQ(*Cls::Get(kUser), "ada");
    EXPECT_FALSE(Cls::Has(kCount));
    Cls::Run(ClsRunOptions(ClsNesting::kReuse), [] { Cls::Set(kCount, 2); });
    EXPECT_EQ(*Cls::Get(kCount), 2);
    Cls::Run(ClsRunOptions(ClsNesting::kOverride), [] {
      EXPECT_FALSE(Cls::Has(kUser));
      Cls::Set(kUser, "eve");
    });
    EXPECT_EQ(*Cls::Get(kUser), "ada");
  });
}

TEST(ClsRunTest, RunWithStartsFromValues) {
  Cls::Run([] {
    Cls::Set(kCount, 5);
    const auto look = [] { return std::pair(Cls::GetOr(kUser, "-"), Cls::GetOr(kCount, 0)); };
    EXPECT_EQ(Cls::RunWith(ClsValues().Set(kUser, "ada"), look), std::pair(std::string("ada"), 0));
    EXPECT_EQ(
        Cls::RunWith(ClsRunOptions(ClsNesting::kInherit), ClsValues().Set(kUser, "ada"), look),
        std::pair(std::string("ada"), 5));
    EXPECT_FALSE(Cls::Has(kUser));
  });
}

TEST(ClsRunTest, ExitRunsOutside) {
  FakeCall call;
  const ContextScope scope(&call);
  EXPECT_FALSE(Cls::Exit([] { return Cls::IsActive(); }));
  EXPECT_TRUE(Cls::IsActive());
}

TEST(ClsRunTest, AnExceptionLeavesTheContextAsItWas) {
  EXPECT_THROW(Cls::Run([]() -> int { throw std::runtime_error("x"); }), std::runtime_error);
  EXPECT_FALSE(Cls::IsActive());
}

// ---- with tasks -----------------------------------------------------------------------------

TEST(ClsRunTest, ATaskKeepsItsContextAcrossSuspensionsAndThreads) {
  ManualEvent event;
  std::optional<std::string> result;
  const std::string captured = "ada";  // the lambda's captures live as long as its task
  auto task = Cls::Run([&event, captured]() -> Task<std::string> {
    Cls::Set(kUser, captured);
    co_await event;
    co_return *Cls::Get(kUser) + captured;
  });
  Store(std::move(task), &result);
  EXPECT_FALSE(Cls::IsActive());  // suspended: whoever started it has its own context back
  EXPECT_FALSE(result.has_value());
  std::thread other([&event] {
    event.Fire();
    EXPECT_FALSE(Cls::IsActive());
  });
  other.join();
  EXPECT_EQ(result, "adaada");
}

Task<int> NestedRuns(ManualEvent& event) {
  Cls::Set(kCount, 1);
  auto inner = [&event]() -> Task<int> {
    Cls::Set(kCount, 2);
    co_await event;
    co_return Cls::GetOr(kCount, 0);
  };
  auto run = Cls::Run(inner);
  const int inside = co_await std::move(run);
  co_return inside * 10 + Cls::GetOr(kCount, 0);
}

TEST(ClsRunTest, AfterANestedRunTheOuterContextIsBack) {
  for (const bool at_once : {true, false}) {
    ManualEvent event;
    if (at_once) event.Fire();
    std::optional<int> result;
    auto outer = [&event]() -> Task<int> { return NestedRuns(event); };
    Store(Cls::Run(outer), &result);
    EXPECT_FALSE(Cls::IsActive());
    if (!at_once) event.Fire();
    EXPECT_EQ(result, 21);
    EXPECT_FALSE(Cls::IsActive());
  }
}

TEST(ClsRunTest, TwoInterleavedRunsDoNotMeet) {
  ManualEvent first;
  ManualEvent second;
  std::optional<std::string> a;
  std::optional<std::string> b;
  const auto body = [](ManualEvent* event, std::string name) -> Task<std::string> {
    Cls::Set(kUser, name);
    co_await *event;
    co_return *Cls::Get(kUser);
  };
  auto run_a = Cls::Run([&] { return body(&first, "a"); });
  auto run_b = Cls::Run([&] { return body(&second, "b"); });
  Store(std::move(run_a), &a);
  Store(std::move(run_b), &b);
  second.Fire();
  first.Fire();
  EXPECT_EQ(a, "a");
  EXPECT_EQ(b, "b");
}

TEST(ClsRunTest, FailuresComeThrough) {
  std::optional<absl::StatusOr<int>> result;
  auto failing = Cls::Run([]() -> Task<int> { co_return absl::NotFoundError("no"); });
  StoreStatus(std::move(failing), &result);
  EXPECT_EQ(result->status(), absl::NotFoundError("no"));
  auto throwing = Cls::Run([]() -> Task<int> {
    throw RpcException(absl::AbortedError("x"));
    co_return 1;
  });
  result.reset();
  StoreStatus(std::move(throwing), &result);
  EXPECT_EQ(result->status(), absl::AbortedError("x"));
  std::optional<absl::Status> status;
  auto plain = Cls::Run([]() -> Task<void> { co_await Fail(absl::DataLossError("y")); });
  StoreStatus(std::move(plain), &status);
  EXPECT_EQ(*status, absl::DataLossError("y"));
}

TEST(ClsRunTest, ANestedContextHasTheDeadlineAndTheCancellationAround) {
  FakeCall call;
  const Deadline deadline = std::chrono::steady_clock::now() + std::chrono::hours(1);
  call.TightenDeadline(deadline);
  const ContextScope scope(&call);
  Cls::Run([&] {
    EXPECT_EQ(Context::Current()->deadline(), deadline);
    EXPECT_FALSE(Context::Current()->cancelled());
    call.cancel_source().Cancel(absl::CancelledError("gone"));
    EXPECT_TRUE(Context::Current()->cancelled());
  });
}

}  // namespace
}  // namespace rookery
