#include "rookery/rpc/stats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "unit/rpc/fake_call.h"

namespace rookery {
namespace {

using ::testing::HasSubstr;

TEST(StatsTest, CountsCallsCodesAndWhatRuns) {
  StatsRegistry registry;
  MethodStats& method = registry.Method("/test.Fake/Do");
  EXPECT_EQ(&registry.Method("/test.Fake/Do"), &method);
  FakeCall a;
  FakeCall b;
  FakeCall c({}, "other");
  method.Started(a);
  method.Started(b);
  method.Started(c);
  method.Ended(a, absl::StatusCode::kOk);
  method.Ended(c, absl::StatusCode::kNotFound);
  method.Rejected("fake");
  const StatsSnapshot stats = registry.Snapshot();
  ASSERT_EQ(stats.methods.size(), 2u);
  const MethodSnapshot* const fake = stats.Find("/test.Fake/Do", "fake");
  ASSERT_NE(fake, nullptr);
  EXPECT_EQ(fake->calls, 1u);
  EXPECT_EQ(fake->in_flight, 1u);
  EXPECT_EQ(fake->rejected, 1u);
  EXPECT_EQ(fake->code(absl::StatusCode::kOk), 1u);
  EXPECT_EQ(fake->latency.count, 1u);
  EXPECT_EQ(stats.Find("/test.Fake/Do", "other")->code(absl::StatusCode::kNotFound), 1u);
  EXPECT_EQ(stats.Find("/test.Fake/Do", "none"), nullptr);
  EXPECT_EQ(stats.calls(), 2u);
  EXPECT_EQ(stats.in_flight(), 1u);
  method.Ended(b, absl::StatusCode::kOk);
  method.Ended(b, absl::StatusCode::kOk);  // counts once
  EXPECT_EQ(registry.Snapshot().in_flight(), 0u);
  EXPECT_EQ(registry.Snapshot().calls(), 3u);
  EXPECT_THAT(registry.Snapshot().ToString(), HasSubstr("/test.Fake/Do"));
}

TEST(StatsTest, AMethodWithoutCallsIsNotListed) {
  StatsRegistry registry;
  (void)registry.Method("/test.Fake/Do");
  EXPECT_TRUE(registry.Snapshot().methods.empty());
}

TEST(StatsTest, CountsRefusalsOfNoMethod) {
  StatsRegistry registry;
  registry.Rejected("grpc", absl::StatusCode::kUnimplemented);
  registry.Rejected("grpc", absl::StatusCode::kUnimplemented);
  registry.Rejected("inproc", absl::StatusCode::kResourceExhausted);
  const StatsSnapshot stats = registry.Snapshot();
  ASSERT_EQ(stats.rejected.size(), 2u);
  EXPECT_EQ(stats.rejected[0].transport, "grpc");
  EXPECT_EQ(stats.rejected[0].code, absl::StatusCode::kUnimplemented);
  EXPECT_EQ(stats.rejected[0].count, 2u);
  EXPECT_EQ(stats.total_rejected(), 3u);
}

TEST(StatsTest, MeasuresDurations) {
  StatsRegistry registry;
  MethodStats& method = registry.Method("m");
  FakeCall call;
  const auto begin = std::chrono::steady_clock::now();
  method.Started(call);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  method.Ended(call, absl::StatusCode::kOk);
  const auto most = std::chrono::steady_clock::now() - begin;
  const StatsSnapshot stats = registry.Snapshot();
  const LatencySnapshot& latency = stats.methods[0].latency;
  // The clocks differ by their calibration, the bucket by a quarter.
  EXPECT_GE(latency.Mean(), std::chrono::milliseconds(19));
  EXPECT_LE(latency.Mean(), most * 1.05);
  EXPECT_GE(latency.Percentile(50), std::chrono::milliseconds(19));
  EXPECT_LE(latency.Percentile(50), most * 1.3);
  EXPECT_EQ(LatencySnapshot().Percentile(99), std::chrono::nanoseconds::zero());
  EXPECT_EQ(LatencySnapshot().Mean(), std::chrono::nanoseconds::zero());
}

TEST(StatsTest, PercentilesWalkTheBuckets) {
  LatencySnapshot latency;
  latency.buckets = {{std::chrono::microseconds(1), 50},
                     {std::chrono::microseconds(2), 49},
                     {std::chrono::microseconds(9), 1}};
  latency.count = 100;
  EXPECT_EQ(latency.Percentile(0), std::chrono::microseconds(1));
  EXPECT_EQ(latency.Percentile(50), std::chrono::microseconds(1));
  EXPECT_EQ(latency.Percentile(99), std::chrono::microseconds(2));
  EXPECT_EQ(latency.Percentile(100), std::chrono::microseconds(9));
}

TEST(StatsTest, LosesNothingUnderManyThreads) {
  constexpr int kThreads = 8;
  constexpr int kRounds = 3;  // threads end and others take over their counters
  constexpr int kCalls = 5000;
  StatsRegistry registry;
  MethodStats& method = registry.Method("m");
  std::atomic<bool> done{false};
  std::thread reader([&] {
    while (!done.load()) {
      const StatsSnapshot stats = registry.Snapshot();
      for (const MethodSnapshot& row : stats.methods) {
        EXPECT_LE(row.calls, static_cast<std::uint64_t>(kThreads) * kRounds * kCalls);
      }
    }
  });
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&method, t] {
        FakeCall call({}, t % 2 == 0 ? "even" : "odd");
        for (int i = 0; i < kCalls; ++i) {
          method.Started(call);
          method.Ended(call, i % 5 == 0 ? absl::StatusCode::kAborted : absl::StatusCode::kOk);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  done = true;
  reader.join();
  const StatsSnapshot stats = registry.Snapshot();
  EXPECT_EQ(stats.calls(), static_cast<std::uint64_t>(kThreads) * kRounds * kCalls);
  EXPECT_EQ(stats.in_flight(), 0u);
  EXPECT_EQ(stats.Find("m", "even")->code(absl::StatusCode::kAborted),
            static_cast<std::uint64_t>(kThreads) / 2 * kRounds * kCalls / 5);
  EXPECT_EQ(stats.Find("m", "odd")->latency.count,
            static_cast<std::uint64_t>(kThreads) / 2 * kRounds * kCalls);
}

TEST(StatsTest, MoreThreadsThanShardsStillCount) {
  constexpr int kThreads = 100;
  StatsRegistry registry;
  MethodStats& method = registry.Method("m");
  std::atomic<int> ready{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      FakeCall call;
      method.Started(call);
      ready.fetch_add(1);
      while (ready.load() < kThreads) std::this_thread::yield();  // all alive at once
      method.Ended(call, absl::StatusCode::kOk);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(registry.Snapshot().calls(), static_cast<std::uint64_t>(kThreads));
  EXPECT_EQ(registry.Snapshot().in_flight(), 0u);
}

}  // namespace
}  // namespace rookery
