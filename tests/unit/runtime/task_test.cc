#include "rookery/runtime/task.h"

#include <gtest/gtest.h>

#include <any>
#include <concepts>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/sync_wait.h"

namespace rookery {
namespace {

// Counts exceptions: every throw goes through here.
thread_local int g_throws = 0;

// Leaves a mark when it goes.
class Witness {
 public:
  explicit Witness(int* gone) noexcept : gone_(gone) {}
  Witness(Witness&& other) noexcept : gone_(std::exchange(other.gone_, nullptr)) {}
  Witness& operator=(Witness&&) = delete;
  ~Witness() {
    if (gone_ != nullptr) ++*gone_;
  }

 private:
  int* gone_;
};

struct CountedError : std::runtime_error {
  CountedError() : std::runtime_error("secret: pa55word") { ++g_throws; }
};

Task<int> GiveInt() { co_return 42; }
Task<> GiveNothing() { co_return; }
Task<std::unique_ptr<int>> GiveMoveOnly() { co_return std::make_unique<int>(7); }
Task<std::string> GiveString(std::string text) { co_return text; }
Task<std::string> GiveBraces() { co_return {}; }
Task<int> GiveStatus(absl::Status status) { co_return status; }
Task<std::unique_ptr<int>> GiveStatusOr(bool good) {
  absl::StatusOr<std::unique_ptr<int>> result = absl::NotFoundError("none");
  if (good) result = std::make_unique<int>(1);
  co_return result;
}
Task<int> Throw() {
  throw CountedError();
  co_return 0;
}
Task<int> ThrowRpc() {
  throw RpcException(absl::AbortedError("again"));
  co_return 0;
}

TEST(Task, GivesItsValue) {
  EXPECT_EQ(SyncWait(GiveInt()), 42);
  SyncWait(GiveNothing());
  EXPECT_EQ(*SyncWait(GiveMoveOnly()), 7);
  EXPECT_EQ(SyncWait(GiveString("a string that is long enough not to be stored in place")),
            "a string that is long enough not to be stored in place");
  EXPECT_EQ(SyncWait(GiveBraces()), "");
}

TEST(Task, DoesNothingUntilAwaited) {
  bool ran = false;
  int gone = 0;
  auto body = [](bool* flag, Witness) -> Task<> {
    *flag = true;
    co_return;
  };
  {
    Task<> dropped = body(&ran, Witness(&gone));
    EXPECT_FALSE(ran);
    EXPECT_EQ(gone, 0);
  }
  EXPECT_FALSE(ran);
  EXPECT_EQ(gone, 1);
}

TEST(Task, IsMoveOnlyAndAwaitedOnceAsAnRvalue) {
  static_assert(std::movable<Task<int>>);
  static_assert(!std::copyable<Task<int>>);
  static_assert(!std::default_initializable<Task<int>>);
  Task<int> first = GiveInt();
  Task<int> second = std::move(first);
  EXPECT_FALSE(static_cast<bool>(first));  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(SyncWait(std::move(second)), 42);
}

// A failure by status, however many frames it passes, throws nothing until somebody asks by
// co_await.
Task<int> PassOn(int depth) {
  if (depth == 0) co_return absl::NotFoundError("no order 42");
  absl::StatusOr<int> below = co_await AsStatusOr(PassOn(depth - 1));
  co_return below;
}
TEST(Task, FailsByStatusWithoutThrowing) {
  const absl::StatusOr<int> result = SyncWaitStatus(PassOn(10));
  EXPECT_EQ(result.status(), absl::NotFoundError("no order 42"));
  EXPECT_EQ(SyncWaitStatus(GiveStatus(absl::AbortedError("x"))).status(), absl::AbortedError("x"));
  EXPECT_EQ(SyncWaitStatus(GiveStatusOr(false)).status(), absl::NotFoundError("none"));
  EXPECT_EQ(**SyncWaitStatus(GiveStatusOr(true)), 1);
}

TEST(Task, AnOkStatusIsNoValue) {
  const absl::Status status = SyncWaitStatus(GiveStatus(absl::OkStatus())).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
}

TEST(Task, ThrowsItsStatusAtTheAwait) {
  auto test = []() -> Task<std::string> {
    std::string seen;
    try {
      static_cast<void>(co_await GiveStatus(absl::NotFoundError("gone")));
    } catch (const RpcException& error) {
      seen = error.status().ToString();
    }
    co_return seen;
  };
  EXPECT_EQ(SyncWait(test()), "NOT_FOUND: gone");
  EXPECT_THROW(SyncWait(GiveStatus(absl::NotFoundError("gone"))), RpcException);
}

TEST(Task, CarriesExceptions) {
  EXPECT_THROW(SyncWait(Throw()), CountedError);
  EXPECT_EQ(SyncWaitStatus(ThrowRpc()).status(), absl::AbortedError("again"));
  const absl::Status status = SyncWaitStatus(Throw()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(status.message().find("pa55word"), absl::string_view::npos);
  const auto text = status.GetPayload(kExceptionPayload);
  ASSERT_TRUE(text.has_value());
  EXPECT_NE(std::string(*text).find("CountedError"), std::string::npos);
  EXPECT_NE(std::string(*text).find("pa55word"), std::string::npos);
}

TEST(Task, AnExceptionIsThrownOnceAFrame) {
  auto middle = []() -> Task<int> {
    const int value = co_await Throw();
    co_return value;
  };
  g_throws = 0;
  EXPECT_THROW(SyncWait(middle()), CountedError);
  EXPECT_EQ(g_throws, 1);  // rethrown, never copied or made anew
}

// Status and StatusOr as values are values.
Task<absl::Status> StatusValue() { co_return absl::NotFoundError("a value"); }
Task<absl::StatusOr<int>> StatusOrValue(bool good) {
  if (good) co_return 5;
  co_return absl::NotFoundError("a value");
}
Task<absl::StatusOr<int>> StatusOrThatThrows() {
  throw CountedError();
  co_return 1;
}
TEST(Task, OfStatusAndStatusOr) {
  EXPECT_EQ(SyncWait(StatusValue()), absl::NotFoundError("a value"));
  EXPECT_EQ(SyncWaitStatus(StatusValue()), absl::NotFoundError("a value"));
  EXPECT_EQ(SyncWait(StatusOrValue(false)).status(), absl::NotFoundError("a value"));
  EXPECT_EQ(*SyncWait(StatusOrValue(true)), 5);
  static_assert(std::is_same_v<StatusOrOf<absl::StatusOr<int>>, absl::StatusOr<int>>);
  static_assert(std::is_same_v<StatusOrOf<void>, absl::Status>);
  EXPECT_EQ(SyncWaitStatus(StatusOrThatThrows()).status().code(), absl::StatusCode::kInternal);
}

// A type that a Status converts to still fails by status.
Task<std::any> GiveAny(bool good) {
  if (good) co_return std::string("text");
  co_return absl::NotFoundError("none");
}
TEST(Task, OfSomethingThatAStatusConvertsTo) {
  EXPECT_EQ(std::any_cast<std::string>(SyncWait(GiveAny(true))), "text");
  EXPECT_EQ(SyncWaitStatus(GiveAny(false)).status(), absl::NotFoundError("none"));
}

Task<> FailVoid(bool fail, int* after, Witness) {
  if (fail) co_await Fail(absl::FailedPreconditionError("not paid"));
  ++*after;
}
TEST(Task, OfVoidFailsByFail) {
  int after = 0;
  int gone = 0;
  EXPECT_EQ(SyncWaitStatus(FailVoid(true, &after, Witness(&gone))),
            absl::FailedPreconditionError("not paid"));
  EXPECT_EQ(after, 0);
  EXPECT_EQ(gone, 1);
  EXPECT_EQ(SyncWaitStatus(FailVoid(false, &after, Witness(&gone))), absl::OkStatus());
  EXPECT_EQ(after, 1);
  EXPECT_EQ(gone, 2);
}

Task<> FailLater(int* gone) {
  const Witness local(gone);
  co_await Yield();
  co_await Fail(absl::DataLossError("late"));
}
TEST(Task, FailAfterASuspension) {
  int gone = 0;
  EXPECT_EQ(SyncWaitStatus(FailLater(&gone)), absl::DataLossError("late"));
  EXPECT_EQ(gone, 1);
}

// Temporaries in the awaiting expression, parameters and locals are destroyed once each.
Task<int> Take(Witness, std::string text, std::unique_ptr<int> number) {
  co_await Yield();
  co_return static_cast<int>(text.size()) + *number;
}
TEST(Task, DestroysEverythingOnce) {
  int gone = 0;
  auto test = [](int* counter) -> Task<int> {
    int sum = 0;
    for (int i = 0; i < 3; ++i) {
      sum += co_await Take(Witness(counter), std::string(100, 'x'), std::make_unique<int>(i));
    }
    const Witness local(counter);
    co_return sum;
  };
  EXPECT_EQ(SyncWait(test(&gone)), 303);
  EXPECT_EQ(gone, 4);
}

TEST(Task, RunsDestructorsWhenAnExceptionPasses) {
  int gone = 0;
  auto test = [](int* counter) -> Task<> {
    const Witness local(counter);
    static_cast<void>(co_await Throw());
  };
  EXPECT_THROW(SyncWait(test(&gone)), CountedError);
  EXPECT_EQ(gone, 1);
}

// A destructor that throws after co_return replaces the value, which is destroyed.
struct ThrowsAtEnd {
  ~ThrowsAtEnd() noexcept(false) { throw CountedError(); }
};
TEST(Task, ADestructorMayThrowAfterTheValue) {
  auto test = []() -> Task<std::string> {
    const ThrowsAtEnd end;
    co_return std::string(200, 'v');
  };
  EXPECT_THROW(SyncWait(test()), CountedError);
}

TEST(Task, ResultsOfReferencesLiveInTheFrame) {
  auto test = []() -> Task<std::size_t> {
    std::vector<int> values = co_await []() -> Task<std::vector<int>> {
      std::vector<int> made(10, 1);
      co_return made;
    }();
    co_return values.size();
  };
  EXPECT_EQ(SyncWait(test()), 10U);
}

}  // namespace
}  // namespace rookery
