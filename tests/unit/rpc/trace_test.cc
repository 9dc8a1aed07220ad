#include "rookery/rpc/trace.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"

namespace rookery {
namespace {

constexpr char kGood[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(TraceTest, ReadsAndWritesTheExampleOfTheSpecification) {
  const auto trace = TraceContext::Parse(kGood, "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7");
  ASSERT_TRUE(trace);
  EXPECT_EQ(trace->trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(trace->span_id(), "00f067aa0ba902b7");
  EXPECT_EQ(trace->parent_span_id(), "");
  EXPECT_TRUE(trace->sampled());
  EXPECT_EQ(trace->ToTraceparent(), kGood);
  EXPECT_EQ(trace->tracestate(), "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7");
}

TEST(TraceTest, AChildStaysInTheTrace) {
  const auto trace = TraceContext::Parse(kGood, "a=b");
  const TraceContext child = trace->Child();
  EXPECT_EQ(child.trace_id(), trace->trace_id());
  EXPECT_EQ(child.parent_span_id(), trace->span_id());
  EXPECT_NE(child.span_id(), trace->span_id());
  EXPECT_EQ(child.sampled(), trace->sampled());
  EXPECT_EQ(child.tracestate(), "a=b");
}

TEST(TraceTest, FlagsAreKeptAsFarAsTheyAreKnown) {
  EXPECT_FALSE(TraceContext::Parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", "")
                   ->sampled());
  EXPECT_EQ(TraceContext::Parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff", "")
                ->ToTraceparent(),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03");
  TraceContext trace = *TraceContext::Parse(kGood, "");
  trace.set_sampled(false);
  EXPECT_EQ(trace.ToTraceparent(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
}

TEST(TraceTest, LaterVersionsAreReadAsFarAsTheyAreKnown) {
  for (const char* text : {"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                           "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes",
                           "fe-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-"}) {
    const auto trace = TraceContext::Parse(text, "");
    ASSERT_TRUE(trace) << text;
    EXPECT_EQ(trace->ToTraceparent(), kGood) << text;  // and written as version 00
  }
}

TEST(TraceTest, RefusesWhatTheSpecificationCallsInvalid) {
  for (const char* text : {
           "",
           "00",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",  // version 00 ends there
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
           "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",  // no dash
           "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",   // version 255
           "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
           "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",  // capitals
           "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902bg-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
           "0g-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
           "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
           "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
       }) {
    EXPECT_FALSE(TraceContext::Parse(text, "")) << text;
  }
}

TEST(TraceTest, ABadTraceStateIsDroppedAndTheParentKept) {
  std::string many;
  for (int i = 0; i < 33; ++i) many += absl::StrCat(i == 0 ? "" : ",", "k", i, "=v");
  for (const std::string& state :
       {std::string("foo"), std::string("foo=1,foo=2"), std::string("Foo=1"),
        std::string("foo=a=b"), std::string("foo@=1"), std::string("@foo=1"),
        std::string("foo@bar@baz=1"), std::string("foo@bar-very-long-one=1"), std::string("foo ="),
        std::string("foo=\x01"), std::string("foo=") + std::string(257, 'x'),
        std::string(257, 'k') + "=1", std::string("a=") + std::string(512, 'v'), many}) {
    const auto trace = TraceContext::Parse(kGood, state);
    ASSERT_TRUE(trace);
    EXPECT_EQ(trace->tracestate(), "") << state;
  }
}

TEST(TraceTest, GoodTraceStates) {
  for (const char* state : {"foo=1", "foo=1,bar=2", "foo=1 , bar=2", "foo=1,,bar=2",
                            "fw529a3039@dt=x", "0tenant@sys=x", "a_-*/=b", "foo=  inner space"}) {
    EXPECT_EQ(TraceContext::Parse(kGood, state)->tracestate(), state);
  }
}

TEST(TraceTest, RootsAreUniqueAlsoAcrossThreads) {
  std::vector<std::vector<std::string>> made(4);
  std::vector<std::thread> threads;
  for (auto& ids : made) {
    threads.emplace_back([&ids] {
      for (int i = 0; i < 5000; ++i) ids.push_back(TraceContext::NewRoot().ToTraceparent());
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::string> all;
  for (const auto& ids : made) all.insert(ids.begin(), ids.end());
  EXPECT_EQ(all.size(), 20000u);
  EXPECT_TRUE(TraceContext::Parse(*all.begin(), ""));
  EXPECT_TRUE(TraceContext::NewRoot().sampled());
}

TEST(TraceTest, AForkedChildDoesNotRepeatItsParentsIds) {
  (void)TraceContext::NewRoot();  // the generator of this thread is seeded
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    const std::string id = TraceContext::NewRoot().trace_id();
    _exit(write(ends[1], id.data(), id.size()) == 32 ? 0 : 1);
  }
  char id[32];
  ASSERT_EQ(read(ends[0], id, sizeof(id)), 32);
  EXPECT_NE(std::string(id, 32), TraceContext::NewRoot().trace_id());
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace rookery
