#include "gateway/src/path_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace rookery::internal::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Kind = PathSegment::Kind;

TEST(PathTemplate, LiteralsStarsVariablesAndVerb) {
  const auto path = ParsePathTemplate("/v1/{name=shelves/*/books/*}/{page.id}:publish");
  ASSERT_TRUE(path.ok()) << path.status();
  ASSERT_EQ(path->segments.size(), 6u);
  EXPECT_EQ(path->segments[0].literal, "v1");
  EXPECT_EQ(path->segments[1].literal, "shelves");
  EXPECT_EQ(path->segments[2].kind, Kind::kOne);
  EXPECT_EQ(path->verb, "publish");
  ASSERT_EQ(path->variables.size(), 2u);
  EXPECT_THAT(path->variables[0].field_path, ElementsAre("name"));
  EXPECT_EQ(path->variables[0].begin, 1u);
  EXPECT_EQ(path->variables[0].end, 5u);
  EXPECT_TRUE(path->variables[0].multiple);
  EXPECT_THAT(path->variables[1].field_path, ElementsAre("page", "id"));
  EXPECT_FALSE(path->variables[1].multiple);
}

TEST(PathTemplate, TheRootAndTheRest) {
  const auto root = ParsePathTemplate("/");
  ASSERT_TRUE(root.ok()) << root.status();
  EXPECT_TRUE(root->segments.empty());
  const auto rest = ParsePathTemplate("/files/{path=**}:raw");
  ASSERT_TRUE(rest.ok()) << rest.status();
  EXPECT_TRUE(rest->variables[0].rest);
  EXPECT_EQ(rest->segments.back().kind, Kind::kRest);
}

TEST(PathTemplate, SaysWhereAndWhyItIsWrong) {
  const struct {
    const char* text;
    const char* reason;
  } kCases[] = {
      {"", "begins with '/'"},
      {"v1", "begins with '/'"},
      {"//a", "must not be empty"},
      {"/a/", "must not be empty"},
      {"/**/a", "'**' must be the last"},
      {"/{a=**}/b", "'**' must be the last"},
      {"/{a", "'}' is expected"},
      {"/{a={b}}", "do not nest"},
      {"/{}", "field's name is expected"},
      {"/{1a}", "field's name is expected"},
      {"/{a.}", "field's name is expected"},
      {"/{a}/{a}", "twice"},
      {"/a:", "verb follows"},
      {"/a:b:c", "unexpected text"},
      {"/a b", "percent-encoded"},
      {"/a?b", "percent-encoded"},
      {"/%4", "malformed percent-encoding"},
      {"/a}", "unexpected text"},
      {"/***", "unexpected text"},
      {"/a*", "unexpected text"},
  };
  for (const auto& each : kCases) {
    const auto path = ParsePathTemplate(each.text);
    ASSERT_FALSE(path.ok()) << each.text;
    EXPECT_EQ(path.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(path.status().message()), HasSubstr(each.reason)) << each.text;
    EXPECT_THAT(std::string(path.status().message()), HasSubstr("column ")) << each.text;
  }
}

TEST(PathTemplate, DecodesPercent) {
  EXPECT_EQ(DecodePercent("a%20b%2Fc"), "a b/c");
  EXPECT_EQ(DecodePercent("a%2Fb%2fc%20", {.keep_slash = true}), "a%2Fb%2fc ");
  EXPECT_EQ(DecodePercent("a+b", {.plus_is_space = true}), "a b");
  EXPECT_EQ(DecodePercent("a+b"), "a+b");
  EXPECT_EQ(DecodePercent("%"), std::nullopt);
  EXPECT_EQ(DecodePercent("%4"), std::nullopt);
  EXPECT_EQ(DecodePercent("%4g"), std::nullopt);
  EXPECT_EQ(DecodePercent("%00"), std::nullopt);
}

// Whatever the text, parsing ends and what it gives is consistent with itself.
TEST(PathTemplate, SurvivesArbitraryText) {
  constexpr std::string_view kAlphabet = "/{}*:.=a%2F_1";
  std::uint32_t seed = 12345;
  int parsed = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text = "/";
    seed = seed * 1664525u + 1013904223u;
    const std::size_t length = seed >> 28;
    for (std::size_t i = 0; i < length; ++i) {
      seed = seed * 1664525u + 1013904223u;
      text.push_back(kAlphabet[(seed >> 16) % kAlphabet.size()]);
    }
    const auto path = ParsePathTemplate(text);
    if (!path.ok()) continue;
    ++parsed;
    for (std::size_t i = 0; i < path->segments.size(); ++i) {
      if (path->segments[i].kind == Kind::kRest) {
        EXPECT_EQ(i + 1, path->segments.size()) << text;
      }
    }
    for (const PathVariable& variable : path->variables) {
      EXPECT_LT(variable.begin, variable.end) << text;
      EXPECT_LE(variable.end, path->segments.size()) << text;
      EXPECT_FALSE(variable.field_path.empty()) << text;
    }
  }
  EXPECT_GT(parsed, 100);
}

}  // namespace
}  // namespace rookery::internal::gateway
