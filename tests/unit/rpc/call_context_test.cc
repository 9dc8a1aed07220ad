#include "rookery/rpc/call_context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "unit/rpc/fake_call.h"

namespace rookery {
namespace {

using ::testing::MatchesRegex;

constexpr char kParent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(CallContextTest, MetadataIsReadAtTheFirstUseAndOnce) {
  FakeCall call(Sent{{"x-tenant", "acme"}});
  EXPECT_EQ(call.loads(), 0);
  EXPECT_EQ(call.metadata().Get("x-tenant"), "acme");
  EXPECT_EQ(call.metadata().Get("x-tenant"), "acme");
  EXPECT_EQ(call.loads(), 1);
  EXPECT_EQ(call.peer().address, "fake:1");
}

TEST(CallContextTest, TakesOverASaneRequestId) {
  FakeCall call(Sent{{"x-request-id", "abc-DEF_1.2:3"}});
  EXPECT_EQ(call.request_id(), "abc-DEF_1.2:3");
}

TEST(CallContextTest, MakesARequestIdInPlaceOfABadOne) {
  for (const std::string& bad :
       {std::string(), std::string("a b"), std::string("a\nb"), std::string("a\"b"),
        std::string("\xff"), std::string(129, 'x'), std::string("<script>")}) {
    FakeCall call(Sent{{"x-request-id", bad}});
    EXPECT_THAT(call.request_id(), MatchesRegex("[0-9a-f]{32}"));
  }
  FakeCall longest(Sent{{"x-request-id", std::string(128, 'x')}});
  EXPECT_EQ(longest.request_id(), std::string(128, 'x'));
  FakeCall none;
  const std::string id = none.request_id();
  EXPECT_THAT(id, MatchesRegex("[0-9a-f]{32}"));
  EXPECT_EQ(none.request_id(), id);
}

TEST(CallContextTest, ContinuesTheCallersTrace) {
  FakeCall call(Sent{{"traceparent", kParent}, {"tracestate", "a=1"}, {"tracestate", "b=2"}});
  EXPECT_EQ(call.trace().trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(call.trace().parent_span_id(), "00f067aa0ba902b7");
  EXPECT_EQ(call.trace().tracestate(), "a=1,b=2");
}

TEST(CallContextTest, StartsATraceWhereThereIsNoneOrABadOne) {
  std::set<std::string> ids;
  for (const auto& sent : std::vector<std::vector<std::pair<std::string, std::string>>>{
           {},
           {{"traceparent", "garbage"}, {"tracestate", "a=1"}},
           {{"traceparent", kParent}, {"traceparent", kParent}}}) {
    FakeCall call(sent);
    EXPECT_TRUE(call.trace().valid());
    EXPECT_EQ(call.trace().parent_span_id(), "");
    EXPECT_EQ(call.trace().tracestate(), "");
    ids.insert(call.trace().trace_id());
  }
  EXPECT_EQ(ids.size(), 3u);
  EXPECT_EQ(ids.count("4bf92f3577b34da6a3ce929d0e0e4736"), 0u);
}

TEST(CallContextTest, KnowsTheTimeThatRemains) {
  FakeCall call;
  EXPECT_EQ(call.time_remaining(), std::chrono::nanoseconds::max());
  call.TightenDeadline(std::chrono::steady_clock::now() + std::chrono::hours(1));
  EXPECT_GT(call.time_remaining(), std::chrono::minutes(50));
  EXPECT_LE(call.time_remaining(), std::chrono::hours(1));
  call.TightenDeadline(std::chrono::steady_clock::now() - std::chrono::hours(1));
  EXPECT_EQ(call.time_remaining(), std::chrono::nanoseconds::zero());
}

TEST(CallContextTest, IsTheCallOfNestedContexts) {
  FakeCall call;
  EXPECT_EQ(CallContext::Current(), nullptr);
  {
    const ContextScope scope(&call);
    EXPECT_EQ(CallContext::Current(), &call);
    const ContextRef nested = ContextRef::Adopt(Context::NewChild(&call));
    const ContextScope inner(nested.get());
    EXPECT_EQ(CallContext::Current(), &call);
  }
  EXPECT_EQ(CallContext::Current(), nullptr);
}

TEST(CallContextTest, ARecycledCallRemembersNothing) {
  FakeCall call(Sent{{"x-request-id", "first"}, {"traceparent", kParent}});
  EXPECT_EQ(call.request_id(), "first");
  const std::string trace = call.trace().trace_id();
  (void)call.peer();
  ASSERT_TRUE(call.response_headers().Add("a", "b").ok());
  ASSERT_TRUE(call.response_trailers().Add("a", "b").ok());
  call.set_response_compression("gzip");
  call.TightenDeadline(std::chrono::steady_clock::now());
  call.stats_mark().started = 7;
  call.ResetCall();
  call.Send({});
  EXPECT_FALSE(call.has_method());
  EXPECT_TRUE(call.metadata().empty());
  EXPECT_NE(call.request_id(), "first");
  EXPECT_NE(call.trace().trace_id(), trace);
  EXPECT_TRUE(call.response_headers().empty());
  EXPECT_TRUE(call.response_trailers().empty());
  EXPECT_EQ(call.response_compression(), "");
  EXPECT_EQ(call.deadline(), kNoDeadline);
  EXPECT_EQ(call.call(), &call);
  EXPECT_EQ(call.stats_mark().started, 0u);
}

TEST(CallContextTest, PartsMadeByManyThreadsAtOnceAreMadeOnce) {
  for (int round = 0; round < 200; ++round) {
    FakeCall call(Sent{{"traceparent", kParent}});
    std::vector<std::string> ids(4);
    std::vector<std::thread> threads;
    for (std::string& id : ids) {
      threads.emplace_back(
          [&call, &id] { id = call.request_id() + call.trace().span_id() + call.peer().address; });
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::string& id : ids) EXPECT_EQ(id, ids[0]);
    EXPECT_EQ(call.loads(), 1);
  }
}

}  // namespace
}  // namespace rookery
