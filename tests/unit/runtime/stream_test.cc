#include "rookery/runtime/stream.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/sync_wait.h"

namespace rookery {
namespace {

class Witness {
 public:
  explicit Witness(int* gone) noexcept : gone_(gone) {}
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;
  ~Witness() { ++*gone_; }

 private:
  int* gone_;
};

template <class T>
Task<std::vector<T>> Collect(Stream<T> stream) {
  std::vector<T> all;
  for (;;) {
    std::optional<T> value = co_await stream.Next();
    if (!value) break;
    all.push_back(*std::move(value));
  }
  co_return all;
}

Stream<int> Count(int n) {
  for (int i = 0; i < n; ++i) co_yield i;
}
Stream<int> CountSlowly(int n) {
  for (int i = 0; i < n; ++i) {
    co_await Yield();
    co_yield i;
  }
}

TEST(Stream, GivesWhatIsYielded) {
  EXPECT_EQ(SyncWait(Collect(Count(4))), (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(SyncWait(Collect(CountSlowly(4))), (std::vector<int>{0, 1, 2, 3}));
  EXPECT_TRUE(SyncWait(Collect(Count(0))).empty());
  EXPECT_TRUE(SyncWait(Collect(Stream<int>())).empty());
}

TEST(Stream, RunsOnlyWhenPulled) {
  int made = 0;
  auto source = [](int* counter) -> Stream<int> {
    for (;;) co_yield ++*counter;
  };
  auto test = [&]() -> Task<> {
    Stream<int> stream = source(&made);
    EXPECT_EQ(made, 0);
    std::optional<int> value = co_await stream.Next();
    EXPECT_EQ(value, 1);
    EXPECT_EQ(made, 1);
    value = co_await stream.Next();
    EXPECT_EQ(made, 2);
  };
  SyncWait(test());
}

TEST(Stream, EndsForGood) {
  auto test = []() -> Task<> {
    Stream<int> stream = Count(1);
    std::optional<int> value = co_await stream.Next();
    EXPECT_TRUE(value.has_value());
    for (int i = 0; i < 3; ++i) {
      value = co_await stream.Next();
      EXPECT_FALSE(value.has_value());
    }
  };
  SyncWait(test());
}

Stream<std::unique_ptr<int>> Pointers() {
  co_yield std::make_unique<int>(1);
  std::unique_ptr<int> named = std::make_unique<int>(2);
  co_yield std::move(named);
}
Stream<std::string> Strings() {
  std::string text(100, 'a');
  co_yield text;  // a copy: the producer goes on with its own
  text.push_back('b');
  co_yield text;
  const std::string fixed = "c";
  co_yield fixed;
}
TEST(Stream, MovesTemporariesAndCopiesVariables) {
  const auto pointers = SyncWait(Collect(Pointers()));
  ASSERT_EQ(pointers.size(), 2U);
  EXPECT_EQ(*pointers[0] + *pointers[1], 3);
  const auto strings = SyncWait(Collect(Strings()));
  EXPECT_EQ(strings,
            (std::vector<std::string>{std::string(100, 'a'), std::string(100, 'a') + "b", "c"}));
}

Stream<int> FailAfter(int n) {
  for (int i = 0; i < n; ++i) co_yield i;
  co_await Fail(absl::DataLossError("broken"));
}
Stream<int> ThrowAfter(int n) {
  for (int i = 0; i < n; ++i) {
    co_await Yield();
    co_yield i;
  }
  throw std::runtime_error("broken");
}
TEST(Stream, FailsAfterWhatItGave) {
  auto test = [](Stream<int> stream) -> Task<std::string> {
    int seen = 0;
    std::string error;
    for (int i = 0; i < 4; ++i) {
      try {
        const std::optional<int> value = co_await stream.Next();
        if (value) ++seen;
      } catch (const std::exception& e) {
        error = e.what();
      }
    }
    co_return error + " after " + std::to_string(seen);
  };
  EXPECT_EQ(SyncWait(test(FailAfter(2))), "DATA_LOSS: broken after 2");
  EXPECT_EQ(SyncWait(test(ThrowAfter(2))), "broken after 2");
}

TEST(Stream, MayBeDroppedMidway) {
  int gone = 0;
  auto source = [](int* counter, bool slowly) -> Stream<int> {
    const Witness outer(counter);
    for (int i = 0;; ++i) {
      const Witness inner(counter);
      if (slowly) co_await Yield();
      co_yield i;
    }
  };
  auto test = [&](bool slowly) -> Task<> {
    Stream<int> stream = source(&gone, slowly);
    for (int i = 0; i < 3; ++i) static_cast<void>(co_await stream.Next());
    EXPECT_EQ(gone, 2);
  };
  SyncWait(test(false));
  EXPECT_EQ(gone, 4);
  gone = 0;
  SyncWait(test(true));
  EXPECT_EQ(gone, 4);
  gone = 0;
  {
    const Stream<int> never = source(&gone, false);
  }
  EXPECT_EQ(gone, 0);
}

TEST(Stream, OfStreams) {
  auto squares = [](Stream<int> source) -> Stream<int> {
    for (;;) {
      const std::optional<int> value = co_await source.Next();
      if (!value) break;
      co_yield *value** value;
    }
  };
  EXPECT_EQ(SyncWait(Collect(squares(squares(CountSlowly(3))))), (std::vector<int>{0, 1, 16}));
}

TEST(Stream, AFailureBelowPasses) {
  auto pass = [](Stream<int> source) -> Stream<int> {
    for (;;) {
      const std::optional<int> value = co_await source.Next();
      if (!value) break;
      co_yield *value;
    }
  };
  EXPECT_EQ(SyncWaitStatus(Collect(pass(FailAfter(1)))).status(), absl::DataLossError("broken"));
}

}  // namespace
}  // namespace rookery
