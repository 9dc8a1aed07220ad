#include "rookery/rpc/baggage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "unit/rpc/fake_call.h"

namespace rookery {
namespace {

inline constexpr ContextKey<std::string> kTenant{"tenant", Propagation::kBaggage};
inline constexpr ContextKey<int> kLevel{"level", Propagation::kBaggage};
inline constexpr ContextKey<std::string> kLocal{"local"};
inline constexpr ContextKey<std::string> kBadName{"bad name", Propagation::kBaggage};

TEST(BaggageTest, ReadsTheExamplesOfTheSpecification) {
  const Baggage baggage = Baggage::Parse(
      "key1=value1;property1;property2, key2 = value2, key3=value3; propertyKey=propertyValue");
  ASSERT_EQ(baggage.members().size(), 3u);
  EXPECT_EQ(baggage.members()[0].key, "key1");
  EXPECT_EQ(baggage.members()[0].value, "value1");
  EXPECT_EQ(baggage.members()[0].properties, "property1;property2");
  EXPECT_EQ(baggage.Get("key2"), "value2");
  EXPECT_EQ(baggage.members()[2].properties, "propertyKey=propertyValue");
  EXPECT_EQ(baggage.ToHeader(),
            "key1=value1;property1;property2,key2=value2,key3=value3;propertyKey=propertyValue");
  EXPECT_EQ(Baggage::Parse("serverNode=DF%2028,isProduction=false").Get("serverNode"), "DF 28");
  EXPECT_EQ(Baggage::Parse("userId=Am%C3%A9lie").Get("userId"), "Am\xc3\xa9lie");
}

TEST(BaggageTest, PercentEncodes) {
  Baggage baggage;
  ASSERT_TRUE(baggage.Set("k", "a b,c;d\"e\\f%g=h\xc3\xa9\n").ok());
  EXPECT_EQ(baggage.ToHeader(), "k=a%20b%2Cc%3Bd%22e%5Cf%25g=h%C3%A9%0A");
  EXPECT_EQ(Baggage::Parse(baggage.ToHeader()).Get("k"), "a b,c;d\"e\\f%g=h\xc3\xa9\n");
}

TEST(BaggageTest, LeavesOutInvalidMembersAlone) {
  const Baggage baggage =
      Baggage::Parse("novalue,=x,bad key=1,a=b c,\xff=1,k=\x01,,  ,good=1,q=\"x\",empty=");
  ASSERT_EQ(baggage.members().size(), 2u);
  EXPECT_EQ(baggage.Get("good"), "1");
  EXPECT_EQ(baggage.Get("empty"), "");
}

TEST(BaggageTest, MendsWhatIsNotUtf8) {
  EXPECT_EQ(Baggage::Parse("k=a%FFb").Get("k"),
            "a\xef\xbf\xbd"
            "b");
  EXPECT_EQ(Baggage::Parse("k=%C3").Get("k"), "\xef\xbf\xbd");
  EXPECT_EQ(Baggage::Parse("k=%ED%A0%80").Get("k"),
            "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");  // a surrogate
  EXPECT_EQ(Baggage::Parse("k=100%").Get("k"), "100%");
  EXPECT_EQ(Baggage::Parse("k=%4").Get("k"), "%4");
  EXPECT_EQ(Baggage::Parse("k=%41").Get("k"), "A");
  EXPECT_EQ(Baggage::Parse("k=%zz").Get("k"), "%zz");
}

TEST(BaggageTest, TheLastOfOneKeyCounts) {
  EXPECT_EQ(Baggage::Parse("k=1,k=2").Get("k"), "2");
  Baggage baggage = Baggage::Parse("k=1,j=0");
  ASSERT_TRUE(baggage.Set("k", "3").ok());
  EXPECT_EQ(baggage.ToHeader(), "j=0,k=3");
}

TEST(BaggageTest, HoldsAtMost64MembersAnd8192Bytes) {
  std::string header;
  for (int i = 0; i < 80; ++i) absl::StrAppend(&header, i == 0 ? "" : ",", "k", i, "=v");
  EXPECT_EQ(Baggage::Parse(header).members().size(), 64u);

  const std::string kilobyte(1000, 'v');
  header.clear();
  for (int i = 0; i < 9; ++i) absl::StrAppend(&header, i == 0 ? "" : ",", "k", i, "=", kilobyte);
  const Baggage big = Baggage::Parse(header);
  EXPECT_EQ(big.members().size(), 8u);
  EXPECT_LE(big.ToHeader().size(), 8192u);
  EXPECT_EQ(big.members().back().value, kilobyte);  // whole

  Baggage baggage;
  for (int i = 0; i < 64; ++i) ASSERT_TRUE(baggage.Set(absl::StrCat("k", i), "v").ok());
  EXPECT_EQ(baggage.Set("one-more", "v").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(baggage.Set("k0", "w").ok());
  Baggage wide;
  EXPECT_EQ(wide.Set("k", std::string(8191, 'v')).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(wide.Set("k", std::string(8190, 'v')).ok());
  EXPECT_EQ(wide.Set("bad key", "v").code(), absl::StatusCode::kInvalidArgument);
}

TEST(BaggageTest, GrowsNoHeaderBeyondItsLimitByMendingIt) {
  std::string header = "k=";
  for (int i = 0; i < 2700; ++i) header += "%FF";  // each becomes U+FFFD: nine bytes when sent on
  EXPECT_LE(Baggage::Parse(header).ToHeader().size(), Baggage::kMaxBytes);
}

TEST(BaggageTest, HostileHeadersCostNothingMuch) {
  EXPECT_TRUE(Baggage::Parse(std::string(1 << 20, ',')).empty());
  EXPECT_TRUE(Baggage::Parse(std::string(1 << 20, 'x')).empty());
  EXPECT_TRUE(Baggage::Parse(std::string(1 << 20, '=')).empty());
  EXPECT_TRUE(Baggage::Parse(std::string(1 << 20, '\0')).empty());
}

TEST(BaggageOfTest, TakesWhatPropagates) {
  FakeCall call;
  EXPECT_EQ(BaggageOf(call), "");
  call.Set(kTenant, std::string("a,b"));
  call.Set(kLocal, std::string("stays"));
  call.Set(kLevel, 7);
  call.Set(kBadName, std::string("x"));
  EXPECT_EQ(BaggageOf(call), "tenant=a%2Cb,level=7");
  call.Set(kTenant, std::string(9000, 'x'));
  EXPECT_EQ(BaggageOf(call), "level=7");
  call.Erase(kLevel);
  EXPECT_EQ(BaggageOf(call), "");
}

TEST(BaggageTest, CountsWhatItLeavesOut) {
  EXPECT_EQ(Baggage::Parse("a=1,b=2").left_out(), 0U);
  EXPECT_EQ(Baggage::Parse(" , ,a=1").left_out(), 0U);
  EXPECT_EQ(Baggage::Parse("a,b=2,c d=3,e=\"4\"").left_out(), 3U);
  std::string many = "k=v";
  for (std::size_t i = 1; i < Baggage::kMaxMembers + 5; ++i)
    many += ",k" + std::to_string(i) + "=v";
  EXPECT_EQ(Baggage::Parse(many).left_out(), 5U);
}

TEST(AdoptInboundTest, TakesWhatIsListedAndNothingElse) {
  FakeCall call(Sent{{"baggage", "tenant=acme,level=3,local=x,role=admin"}});
  EXPECT_EQ(AdoptInbound(call, BaggageAllowList({kTenant, kLocal})), 0U);
  ASSERT_NE(call.Find(kTenant), nullptr);
  EXPECT_EQ(*call.Find(kTenant), "acme");
  EXPECT_EQ(call.Find(kLevel), nullptr);
  EXPECT_EQ(call.Find(kLocal), nullptr);  // not a key that propagates
}

TEST(AdoptInboundTest, JoinsSeveralHeaders) {
  FakeCall call(Sent{{"baggage", "tenant=acme"}, {"x", "y"}, {"baggage", "level=3"}});
  EXPECT_EQ(AdoptInbound(call, BaggageAllowList({kTenant, kLevel})), 0U);
  EXPECT_EQ(*call.Find(kTenant), "acme");
  EXPECT_EQ(*call.Find(kLevel), 3);
}

TEST(AdoptInboundTest, LeavesOutWhatTheTypeCannotRead) {
  FakeCall call(Sent{{"baggage", "level=three,tenant=acme"}});
  EXPECT_EQ(AdoptInbound(call, BaggageAllowList({kTenant, kLevel})), 1U);
  EXPECT_EQ(call.Find(kLevel), nullptr);
  EXPECT_EQ(*call.Find(kTenant), "acme");
}

TEST(AdoptInboundTest, LooksAtNothingWithoutNeed) {
  FakeCall call(Sent{{"baggage", "tenant=acme"}});
  EXPECT_EQ(AdoptInbound(call, BaggageAllowList()), 0U);
  EXPECT_EQ(call.loads(), 0);
  EXPECT_EQ(call.peeks(), 0);
  FakeCall plain(Sent{{"x", "y"}});
  EXPECT_EQ(AdoptInbound(plain, BaggageAllowList({kTenant})), 0U);
  EXPECT_EQ(plain.loads(), 0);
  EXPECT_EQ(plain.peeks(), 1);
}

}  // namespace
}  // namespace rookery
