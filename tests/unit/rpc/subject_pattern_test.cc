#include "rpc/subject_pattern.h"

#include <gtest/gtest.h>

namespace rookery::internal {
namespace {

TEST(SubjectPatternTest, MatchesAsNatsDoes) {
  EXPECT_TRUE(MatchesSubject("a.*", "a.b"));
  EXPECT_FALSE(MatchesSubject("a.*", "a.b.c"));
  EXPECT_TRUE(MatchesSubject("a.>", "a.b.c"));
  EXPECT_FALSE(MatchesSubject("a.>", "a"));
  EXPECT_TRUE(MatchesSubject("*.b", "a.b"));
  EXPECT_FALSE(MatchesSubject("a.b", "a.c"));
  EXPECT_FALSE(MatchesSubject("a.b", "a.b.c"));
  EXPECT_FALSE(MatchesSubject("a.b.c", "a.b"));
  EXPECT_TRUE(MatchesSubject(">", "a"));
  EXPECT_FALSE(MatchesSubject(">", ""));
}

TEST(SubjectPatternTest, KnowsWildcards) {
  EXPECT_TRUE(HasWildcard("a.*.b"));
  EXPECT_TRUE(HasWildcard("a.>"));
  EXPECT_FALSE(HasWildcard("a.b"));
  EXPECT_FALSE(HasWildcard(""));
}

}  // namespace
}  // namespace rookery::internal
