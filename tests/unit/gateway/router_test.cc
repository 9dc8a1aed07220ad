#include "gateway/src/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"

namespace rookery::internal::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class GatewayRouter : public ::testing::Test {
 protected:
  absl::Status Add(const std::string& method, const std::string& path) {
    const auto parsed = ParsePathTemplate(path);
    if (!parsed.ok()) return parsed.status();
    const std::string what = absl::StrCat(method, " ", path);
    const absl::Status added = router_.Add(method, *parsed, whats_.size(), what);
    if (added.ok()) whats_.push_back(what);
    return added;
  }
  // The route as it was added, or the code and the methods allowed.
  std::string Find(std::string_view method, std::string_view path) {
    const Router::Match match = router_.Find(method, path);
    if (match.malformed) return "400";
    if (match.route != Router::kNone) return whats_[match.route];
    if (match.allowed.empty()) return "404";
    std::string allowed = "405";
    for (const std::string& each : match.allowed) absl::StrAppend(&allowed, " ", each);
    return allowed;
  }

  Router router_;
  std::vector<std::string> whats_;
};

TEST_F(GatewayRouter, LiteralBeatsStarBeatsRest) {
  for (const char* path : {"/v1/books/best", "/v1/books/*", "/v1/**", "/", "/v1/*/best"}) {
    ASSERT_TRUE(Add("GET", path).ok()) << path;
  }
  EXPECT_EQ(Find("GET", "/v1/books/best"), "GET /v1/books/best");
  EXPECT_EQ(Find("GET", "/v1/books/worst"), "GET /v1/books/*");
  EXPECT_EQ(Find("GET", "/v1/films/best"), "GET /v1/*/best");
  EXPECT_EQ(Find("GET", "/v1/films/worst"), "GET /v1/**");
  EXPECT_EQ(Find("GET", "/v1"), "GET /v1/**");
  EXPECT_EQ(Find("GET", "/v1/a/b/c/d"), "GET /v1/**");
  EXPECT_EQ(Find("GET", "/"), "GET /");
  EXPECT_EQ(Find("GET", "/v2"), "404");
}

TEST_F(GatewayRouter, GoesBackWhenTheBetterBranchLeadsNowhere) {
  ASSERT_TRUE(Add("GET", "/a/b/c").ok());
  ASSERT_TRUE(Add("GET", "/a/*/d").ok());
  ASSERT_TRUE(Add("POST", "/a/b/d").ok());
  EXPECT_EQ(Find("GET", "/a/b/d"), "GET /a/*/d");
  EXPECT_EQ(Find("POST", "/a/b/d"), "POST /a/b/d");
}

TEST_F(GatewayRouter, SaysWhichMethodsAPathHas) {
  ASSERT_TRUE(Add("GET", "/v1/books/{id}").ok());
  ASSERT_TRUE(Add("DELETE", "/v1/books/{id}").ok());
  ASSERT_TRUE(Add("PATCH", "/v1/books/best").ok());
  EXPECT_EQ(Find("POST", "/v1/books/7"), "405 DELETE GET");
  EXPECT_EQ(Find("POST", "/v1/books/best"), "405 DELETE GET PATCH");
  EXPECT_EQ(Find("POST", "/v1/films/7"), "404");
}

TEST_F(GatewayRouter, AnyMethodComesLast) {
  ASSERT_TRUE(Add("*", "/proxy/**").ok());
  ASSERT_TRUE(Add("GET", "/proxy/**").ok());
  EXPECT_EQ(Find("GET", "/proxy/x"), "GET /proxy/**");
  EXPECT_EQ(Find("BREW", "/proxy/x"), "* /proxy/**");
}

TEST_F(GatewayRouter, VerbsAreRoutesOfTheirOwnAndUnknownOnesAreText) {
  ASSERT_TRUE(Add("POST", "/v1/{name=books/*}:publish").ok());
  ASSERT_TRUE(Add("GET", "/v1/{name=books/*}").ok());
  EXPECT_EQ(Find("POST", "/v1/books/7:publish"), "POST /v1/{name=books/*}:publish");
  EXPECT_EQ(Find("GET", "/v1/books/7:other"), "GET /v1/{name=books/*}");
  // GET has no such verb, so the colon is text.
  EXPECT_EQ(Find("GET", "/v1/books/a:b:publish"), "GET /v1/{name=books/*}");
  const Router::Match match = router_.Find("POST", "/v1/books/7:publish");
  EXPECT_THAT(match.segments, ElementsAre("v1", "books", "7"));
}

TEST_F(GatewayRouter, EmptySegmentsMatchNoVariable) {
  ASSERT_TRUE(Add("GET", "/v1/{id}").ok());
  ASSERT_TRUE(Add("GET", "/files/{path=**}").ok());
  EXPECT_EQ(Find("GET", "/v1/"), "404");
  EXPECT_EQ(Find("GET", "/v1/7/"), "404");
  EXPECT_EQ(Find("GET", "//v1/7"), "404");
  EXPECT_EQ(Find("GET", "/files//etc/passwd"), "404");
  EXPECT_EQ(Find("GET", "/files/a//b"), "GET /files/{path=**}");
}

TEST_F(GatewayRouter, RefusesWhatCouldMeanAnotherPathElsewhere) {
  ASSERT_TRUE(Add("GET", "/**").ok());
  for (const char* path : {"/a/../b", "/a/%2e%2E/b", "/./a", "/a%00b", "/a%", "/%zz", "", "a"}) {
    EXPECT_EQ(Find("GET", path), "400") << path;
  }
  EXPECT_EQ(Find("GET", "/a/..b"), "GET /**");
}

TEST_F(GatewayRouter, MatchesLiteralsDecoded) {
  ASSERT_TRUE(Add("GET", "/caf%C3%A9/menu").ok());
  EXPECT_EQ(Find("GET", "/caf%c3%a9/menu"), "GET /caf%C3%A9/menu");
  EXPECT_EQ(Find("GET", "/caf%C3%A9/men%75"), "GET /caf%C3%A9/menu");
}

TEST_F(GatewayRouter, TwoRoutesOfOneShapeAreAConflictThatNamesBoth) {
  ASSERT_TRUE(Add("GET", "/v1/{id}/x").ok());
  const absl::Status status = Add("GET", "/v1/{name}/x");
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(status.message()), HasSubstr("GET /v1/{id}/x"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("GET /v1/{name}/x"));
  EXPECT_TRUE(Add("PUT", "/v1/{name}/x").ok());
  EXPECT_TRUE(Add("GET", "/v1/{name}/x:verb").ok());
}

TEST_F(GatewayRouter, FindsEachOfManyRoutes) {
  for (int i = 0; i < 2'000; ++i) {
    ASSERT_TRUE(Add("GET", absl::StrCat("/v1/resource", i, "/{id}/parts/*")).ok());
  }
  EXPECT_EQ(router_.size(), 2'000u);
  for (int i = 0; i < 2'000; ++i) {
    const Router::Match match = router_.Find("GET", absl::StrCat("/v1/resource", i, "/7/parts/x"));
    EXPECT_EQ(match.route, static_cast<std::size_t>(i));
  }
}

}  // namespace
}  // namespace rookery::internal::gateway
