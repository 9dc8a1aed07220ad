// Our JSON against protobuf's own json_util, over random messages and a corpus of texts. Where the
// two differ is listed, each with its reason; docs/json.md repeats the list.
#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/util/field_comparator.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>

#include "rookery/rpc/json.h"
#include "unit/rpc/random_message.h"
#include "zoo.pb.h"
#include "zoo2.pb.h"

namespace rookery {
namespace {

using google::protobuf::Message;
using google::protobuf::util::DefaultFieldComparator;
using google::protobuf::util::MessageDifferencer;
using ::testing::ContainsRegex;
using testing::RandomMessage;
using testing::Zoo;
using testing::Zoo2;

// Why we refuse what they read: peers would have to guess.
constexpr std::string_view kLooseNumbers =
    "they take 1. and -.5, and what C's strtod takes in quotes";
constexpr std::string_view kLooseTypes = "they take text for a bool, and quoted numbers for enums";
constexpr std::string_view kLooseEscapes = "they drop the backslash of an escape that is none";
constexpr std::string_view kLooseLists =
    "they take one value for a list, lists in lists, {} for []";
constexpr std::string_view kLooseTimes =
    "they take spaces, signs, short forms, and years 0 and 10000";
constexpr std::string_view kLooseMasks = "they take any text for a path";
constexpr std::string_view kNullElements = "they leave null elements and entries out";
constexpr std::string_view kTrailingComma = "they take a comma behind the last";
constexpr std::string_view kTwice = "they take a field twice: the last wins, or both are merged";
constexpr std::string_view kWrapperAsObject = "they read a wrapper as the message it is, too";
constexpr std::string_view kJavaScript = "they take JavaScript's names and quotes";
constexpr std::string_view kControl = "they take control characters within strings";
// Why they refuse what we read.
constexpr std::string_view kQuotedExponent = "in quotes they take no point and no exponent";
constexpr std::string_view kStrictBase64 = "they want the bits behind the last byte to be zero";
constexpr std::string_view kAnyOfList = "they cannot read an Any of a list";
constexpr std::string_view kAnyOfEmpty =
    "Go's protojson writes Empty with a value, which they refuse";
constexpr std::string_view kAnyHost = "they take no type's URL but type.googleapis.com's";

// Empty if they are the same, else where they differ. NaN is the same as NaN.
std::string Difference(const Message& a, const Message& b) {
  MessageDifferencer differencer;
  DefaultFieldComparator comparator;
  comparator.set_treat_nan_as_equal(true);
  differencer.set_field_comparator(&comparator);
  std::string where;
  differencer.ReportDifferencesToString(&where);
  return differencer.Compare(a, b) ? "" : where;
}

std::string Theirs(const Message& message) {
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text);
  EXPECT_TRUE(status.ok()) << status << "\n" << message.DebugString();
  return text;
}

// json_util fails a CHECK of its own on some texts, which throws in Debian's build.
bool TheyRead(std::string_view json, Message* message, std::string* why = nullptr) {
  std::string reason;
  try {
    const auto status =
        google::protobuf::util::JsonStringToMessage({json.data(), json.size()}, message);
    if (status.ok()) return true;
    reason = std::string(status.message());
  } catch (const google::protobuf::FatalException& failed) {
    reason = failed.what();
  }
  if (why != nullptr) *why = reason;
  return false;
}

// Directly: what is in a group in a group was not compared either.
bool HasGroup(const Message& message) {
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  return std::any_of(fields.begin(), fields.end(), [](const auto* field) {
    return field->type() == google::protobuf::FieldDescriptor::TYPE_GROUP;
  });
}

template <class M>
void CompareRandomMessages(std::uint64_t seed, int count) {
  RandomMessage random(seed);
  for (int i = 0; i < count; ++i) {
    M message;
    random.Fill(&message);
    const std::string text = *MessageToJson(message);
    M ours;
    const absl::Status read = JsonToMessage(text, &ours);
    ASSERT_TRUE(read.ok()) << read << "\n" << text;
    ASSERT_EQ(Difference(message, ours), "") << text;

    // They know no groups.
    if (message.GetTypeName() == Zoo2::descriptor()->full_name() && HasGroup(message)) continue;
    M theirs;
    ASSERT_TRUE(TheyRead(text, &theirs)) << text;
    ASSERT_EQ(Difference(message, theirs), "") << text;

    const std::string their_text = Theirs(message);
    M back;
    const absl::Status of_theirs = JsonToMessage(their_text, &back);
    ASSERT_TRUE(of_theirs.ok()) << of_theirs << "\n" << their_text;
    ASSERT_EQ(Difference(message, back), "") << their_text;

    std::string pretty;
    ASSERT_TRUE(AppendMessageAsJson(
                    message,
                    {.preserve_proto_names = true, .enums_as_numbers = true, .pretty = true},
                    &pretty)
                    .ok());
    M numbers;
    const absl::Status of_pretty = JsonToMessage(pretty, &numbers);
    ASSERT_TRUE(of_pretty.ok()) << of_pretty << "\n" << pretty;
    ASSERT_EQ(Difference(message, numbers), "") << pretty;
  }
}

TEST(JsonDifferentialTest, RandomMessagesComeBackFromEither) {
  CompareRandomMessages<Zoo>(20'261'121, 400);
}

TEST(JsonDifferentialTest, RandomProto2MessagesComeBackFromEither) {
  CompareRandomMessages<Zoo2>(7, 400);
}

// Whatever we read, they read as the same, but for three things. The texts are spoilt by a byte or
// two, so most are read by nobody.
TEST(JsonDifferentialTest, WhatWeReadOfSpoiltTextsTheyReadTheSame) {
  RandomMessage random(99);
  static constexpr std::string_view kBytes = "{}[]:,\"\\ 0123456789-+.eEtfnulrasx/\n";
  int read_by_us = 0;
  int read_by_them = 0;
  for (int i = 0; i < 4000; ++i) {
    Zoo message;
    random.Fill(&message, 1);
    // In an order that does not change from run to run.
    std::string text = *MessageToJson(message, {.sort_map_keys = true});
    for (std::int64_t n = random.Between(1, 2); n > 0; --n) {
      const auto at =
          static_cast<std::size_t>(random.Between(0, static_cast<std::int64_t>(text.size()) - 1));
      const char c = kBytes[static_cast<std::size_t>(
          random.Between(0, static_cast<std::int64_t>(kBytes.size()) - 1))];
      switch (random.Between(0, 2)) {
        case 0:
          text[at] = c;
          break;
        case 1:
          text.insert(at, 1, c);
          break;
        default:
          text.erase(at, 1);
      }
      if (text.empty()) text = "{";
    }
    Zoo ours;
    Zoo theirs;
    const bool we_read = JsonToMessage(text, &ours).ok();
    std::string why;
    const bool they_read = TheyRead(text, &theirs, &why);
    read_by_us += we_read ? 1 : 0;
    read_by_them += they_read ? 1 : 0;
    if (!we_read) continue;
    if (!they_read) {
      EXPECT_THAT(why, ContainsRegex("Invalid type URL|for type TYPE_(BYTES|[US]?INT|S?FIXED)"))
          << kAnyHost << "; " << kStrictBase64 << "; " << kQuotedExponent << "\n"
          << text;
      continue;
    }
    ASSERT_EQ(Difference(ours, theirs), "") << text;
  }
  EXPECT_GT(read_by_us, 100);
  EXPECT_GE(read_by_them, read_by_us);
}

// ---- the corpus ---------------------------------------------------------------------------------

enum class Reads { kBoth, kNeither, kOnlyWe, kOnlyThey, kDiffer };

std::string NameOf(Reads reads) {
  static constexpr const char* kNames[] = {"both", "neither", "only we", "only they", "differ"};
  return kNames[static_cast<int>(reads)];
}

template <class M>
Reads WhoReads(std::string_view json) {
  M ours;
  M theirs;
  const bool we = JsonToMessage(json, &ours).ok();
  const bool they = TheyRead(json, &theirs);
  if (we != they) return we ? Reads::kOnlyWe : Reads::kOnlyThey;
  if (!we) return Reads::kNeither;
  return Difference(ours, theirs).empty() ? Reads::kBoth : Reads::kDiffer;
}

struct Case {
  std::string_view json;
  Reads reads;
  std::string_view reason = "";  // of every difference
};

template <class M>
void ExpectAll(const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    EXPECT_EQ(NameOf(WhoReads<M>(one.json)), NameOf(one.reads)) << one.json << "\n" << one.reason;
    const bool differs = one.reads != Reads::kBoth && one.reads != Reads::kNeither;
    EXPECT_EQ(differs, !one.reason.empty()) << one.json;
  }
}

// By the names of protobuf's conformance suite, in the order of its JSON part.
TEST(JsonDifferentialTest, ConformanceCorpus) {
  using enum Reads;
  ExpectAll<Zoo>({
      {"{}", kBoth},
      {R"({"aZoo":{}})", kBoth},
      {R"({"fieldName1":1,"FieldName2":2,"fieldName3":3,"FieldName4":4})", kBoth},
      {R"({"field_name1":1,"_field_name2":2,"field__name3_":3,"FieldName4":4})", kBoth},
      {R"({"FIELDNAME5":5})", kBoth},
      {R"({"FIELD_NAME5":5})", kBoth},
      {R"({"fIELDNAME5":5})", kNeither},
      {R"({"anInt32":2147483647})", kBoth},
      {R"({"anInt32":-2147483648})", kBoth},
      {R"({"aUint32":4294967295})", kBoth},
      {R"({"anInt64":"9223372036854775807"})", kBoth},
      {R"({"anInt64":"-9223372036854775808"})", kBoth},
      {R"({"aUint64":"18446744073709551615"})", kBoth},
      {R"({"anInt64":9223372036854774784})", kBoth},
      {R"({"aUint64":18446744073709549568})", kBoth},
      {R"({"anInt32":2147483648})", kNeither},
      {R"({"anInt32":-2147483649})", kNeither},
      {R"({"aUint32":4294967296})", kNeither},
      {R"({"anInt64":"9223372036854775808"})", kNeither},
      {R"({"anInt64":"-9223372036854775809"})", kNeither},
      {R"({"aUint64":"18446744073709551616"})", kNeither},
      {R"({"anInt32":1e5})", kBoth},
      {R"({"anInt32":100000.000})", kBoth},
      {R"({"anInt32":2.147483647e9})", kBoth},
      {R"({"anInt32":-2.147483648e9})", kBoth},
      {R"({"anInt32":"1e5"})", kOnlyWe, kQuotedExponent},
      {R"({"anInt32":"100000.000"})", kOnlyWe, kQuotedExponent},
      {R"({"anInt64":"1e5"})", kOnlyWe, kQuotedExponent},
      {R"({"aUint32":4.294967295e9})", kBoth},
      {R"({"anInt32":0.5})", kNeither},
      {R"({"aUint32":0.5})", kNeither},
      {R"({"anInt64":"0.5"})", kNeither},
      {R"({"aUint64":"0.5"})", kNeither},
      {R"({"anInt32":"3x3"})", kNeither},
      {R"({"anInt32":01})", kNeither},
      {R"({"anInt32":-01})", kNeither},
      {R"({"anInt32":+1})", kNeither},
      {R"({"anInt32":1.})", kOnlyThey, kLooseNumbers},
      {R"({"anInt32":" 1"})", kNeither},
      {R"({"anInt32":"1 "})", kNeither},
      {R"({"anInt32":"01"})", kOnlyThey, kLooseNumbers},
      {R"({"anInt32":"+1"})", kOnlyThey, kLooseNumbers},
      {R"({"anInt32":""})", kNeither},
      {R"({"anInt32":"0x1"})", kNeither},
      {R"({"anInt32":true})", kNeither},
      {R"({"anInt32":[1]})", kNeither},
      {R"({"anInt32":1e400})", kNeither},
      {R"({"aUint32":-1})", kNeither},
      {R"({"aUint64":"-1"})", kNeither},
      {R"({"aUint32":-0})", kBoth},
      {R"({"aBool":true})", kBoth},
      {R"({"aBool":false})", kBoth},
      {R"({"aBool":True})", kNeither},
      {R"({"aBool":"true"})", kOnlyThey, kLooseTypes},
      {R"({"aBool":1})", kNeither},
      {R"({"aBool":0})", kNeither},
      {R"({"aFloat":1.175494e-38})", kBoth},
      {R"({"aFloat":3.402823e+38})", kBoth},
      {R"({"aFloat":-3.402823e+38})", kBoth},
      {R"({"aFloat":1})", kBoth},
      {R"({"aFloat":"1"})", kBoth},
      {R"({"aFloat":"NaN"})", kBoth},
      {R"({"aFloat":"Infinity"})", kBoth},
      {R"({"aFloat":"-Infinity"})", kBoth},
      {R"({"aFloat":NaN})", kNeither},
      {R"({"aFloat":Infinity})", kNeither},
      {R"({"aFloat":-Infinity})", kNeither},
      {R"({"aFloat":-3.502823e+38})", kNeither},
      {R"({"aFloat":3.502823e+38})", kNeither},
      {R"({"aDouble":2.22507e-308})", kBoth},
      {R"({"aDouble":1.79769e+308})", kBoth},
      {R"({"aDouble":"1"})", kBoth},
      {R"({"aDouble":"1.5e3"})", kBoth},
      {R"({"aDouble":"NaN"})", kBoth},
      {R"({"aDouble":NaN})", kNeither},
      {R"({"aDouble":-1.89769e+308})", kNeither},
      {R"({"aDouble":1.89769e+308})", kNeither},
      {R"({"aDouble":"inf"})", kNeither},
      {R"({"aDouble":"nan"})", kNeither},
      {R"({"aDouble":" 1"})", kNeither},
      {R"({"aDouble":"0x1p1"})", kOnlyThey, kLooseNumbers},
      {R"({"aDouble":""})", kNeither},
      {R"({"aDouble":.5})", kNeither},
      {R"({"aDouble":1e})", kNeither},
      {R"({"aDouble":1e-400})", kBoth},
      {R"({"aColour":"GREEN"})", kBoth},
      {R"({"aColour":"NOPE"})", kNeither},
      {R"({"aColour":1})", kBoth},
      {R"({"aColour":-3})", kBoth},
      {R"({"aColour":0})", kBoth},
      {R"({"aColour":123})", kBoth},
      {R"({"aColour":"green"})", kNeither},
      {R"({"aColour":"1"})", kOnlyThey, kLooseTypes},
      {R"({"aColour":1.5})", kNeither},
      {R"({"aColour":null})", kBoth},
      {R"({"aSparse":"MEGA"})", kBoth},
      {R"({"aColour":2147483648})", kNeither},
      {R"({"aString":"Hello world!"})", kBoth},
      {R"({"aString":"\u8c37\u6b4c"})", kBoth},
      {R"({"aString":"\u8C37\u6B4C"})", kBoth},
      {R"({"aString":"\"\\\/\b\f\n\r\t"})", kBoth},
      {R"({"aString":"\ud801\udc01"})", kBoth},
      {R"({"aString":"\ud800"})", kNeither},
      {R"({"aString":"\udc00\ud800"})", kNeither},
      {R"({"aString":"\ud800\u0041"})", kNeither},
      {R"({"aString":12345})", kNeither},
      {R"({"aString":"\U0041"})", kOnlyThey, kLooseEscapes},
      {R"({"aString":"\x41"})", kOnlyThey, kLooseEscapes},
      {R"({"aString":"\u004"})", kNeither},
      {R"({"aString":"\u0000"})", kBoth},
      {R"({"aString":true})", kNeither},
      {R"({"aBytes":"AQI="})", kBoth},
      {R"({"aBytes":"-_"})", kOnlyWe, kStrictBase64},
      {R"({"aBytes":"AQI"})", kBoth},
      {R"({"aBytes":"+/+/"})", kBoth},
      {R"({"aBytes":"AQ I="})", kNeither},
      {R"({"aBytes":"A"})", kNeither},
      {R"({"aBytes":"AQI=="})", kNeither},
      {R"({"aBytes":"AQ="})", kNeither},
      {R"({"aBytes":"*"})", kNeither},
      {R"({"aBytes":5})", kNeither},
      {R"({"anInt32":null,"aString":null,"aBytes":null,"aBool":null,"zoos":null,"byInt32":null,)"
       R"("aZoo":null})",
       kBoth},
      {R"({"choiceInt32":1,"choiceString":"a"})", kNeither},
      {R"({"choiceInt32":null,"choiceString":"a"})", kBoth},
      {R"({"choiceString":"a","choiceInt32":null})", kBoth},
      {R"({"choiceNull":null})", kBoth},
      {R"({"choiceNull":"NULL_VALUE"})", kBoth},
      {R"({"anInt32":1,"anInt32":2})", kOnlyThey, kTwice},
      {R"({"anInt32":1,"an_int32":2})", kOnlyThey, kTwice},
      {R"({"aZoo":{},"aZoo":{}})", kOnlyThey, kTwice},
      {R"({"unknown":1})", kNeither},
      {R"({"aZoo":{"unknown":[]}})", kNeither},
      {R"({"int32s":[1,2,3]})", kBoth},
      {R"({"int32s":[]})", kBoth},
      {R"({"int32s":[1,"2"]})", kBoth},
      {R"({"int32s":1})", kOnlyThey, kLooseLists},
      {R"({"int32s":[1,null]})", kOnlyThey, kNullElements},
      {R"({"strings":["a",null]})", kOnlyThey, kNullElements},
      {R"({"strings":["a",1]})", kNeither},
      {R"({"zoos":[{},null]})", kOnlyThey, kNullElements},
      {R"({"zoos":[{"anInt32":1},{"anInt32":2}]})", kBoth},
      {R"({"zoos":{}})", kOnlyThey, kLooseLists},
      {R"({"bools":[true,"false"]})", kOnlyThey, kLooseTypes},
      {R"({"int32s":[1,2,3,4,]})", kOnlyThey, kTrailingComma},
      {R"({"int32s":[,1]})", kNeither},
      {R"({"int32s":[1 2]})", kNeither},
      {R"({"int32s":[[1]]})", kOnlyThey, kLooseLists},
      {R"({"colours":["RED",1,"BLUE"]})", kBoth},
      {R"({"byteStrings":["AQI=","AQI"]})", kBoth},
      {R"({"byInt32":{"1":"a","2":"b"}})", kBoth},
      {R"({"byInt64":{"9223372036854775807":"1"}})", kBoth},
      {R"({"byUint64":{"18446744073709551615":"AQ=="}})", kBoth},
      {R"({"byBool":{"true":"a","false":"b"}})", kBoth},
      {R"({"byBool":{"1":"a"}})", kOnlyThey, kLooseTypes},
      {R"({"byString":{"a":"b"}})", kBoth},
      {R"({"byString":{"\"\\\/\b\f\n\r\t":"b"}})", kBoth},
      {R"({"bySfixed32":{"1":{"anInt32":1}}})", kBoth},
      {R"({"byFixed32":{"1":"GREEN"}})", kBoth},
      {R"({"byString":{"a":null}})", kOnlyThey, kNullElements},
      {R"({"byString":{"a":"1","a":"2"}})", kNeither},
      {R"({"byInt32":{"1":"a","1":"b"}})", kNeither},
      {R"({"byInt32":{"x":"a"}})", kNeither},
      {R"({"byInt32":{1:"a"}})", kNeither},
      {R"({"byInt32":{"2147483648":"a"}})", kNeither},
      {R"({"byInt32":[]})", kNeither},
      {R"({"byInt32":{" 1":"a"}})", kNeither},
      {R"({"byString":{}})", kBoth},
      {R"({"byInt32":{"1.0":"a"}})", kOnlyWe, kQuotedExponent},
      {R"({"doubleWrapper":0,"floatWrapper":0,"int64Wrapper":0,"uint64Wrapper":"0",)"
       R"("int32Wrapper":0,"uint32Wrapper":0,"boolWrapper":false,"stringWrapper":"",)"
       R"("bytesWrapper":""})",
       kBoth},
      {R"({"doubleWrapper":null,"stringWrapper":null,"bytesWrapper":null})", kBoth},
      {R"({"int64Wrapper":"1"})", kBoth},
      {R"({"int32Wrapper":{"value":1}})", kOnlyThey, kWrapperAsObject},
      {R"({"stringWrapper":1})", kNeither},
      {R"({"aDuration":"315576000000.999999999s"})", kBoth},
      {R"({"aDuration":"-315576000000.999999999s"})", kBoth},
      {R"({"aDuration":"1.5s"})", kBoth},
      {R"({"aDuration":"-1.5s"})", kBoth},
      {R"({"aDuration":"0s"})", kBoth},
      {R"({"aDuration":"1"})", kNeither},
      {R"({"aDuration":"315576000001s"})", kNeither},
      {R"({"aDuration":"-315576000001s"})", kNeither},
      {R"({"aDuration":"1.0000000001s"})", kNeither},
      {R"({"aDuration":"1ss"})", kNeither},
      {R"({"aDuration":".5s"})", kNeither},
      {R"({"aDuration":"1.s"})", kOnlyThey, kLooseTimes},
      {R"({"aDuration":"--1s"})", kNeither},
      {R"({"aDuration":"+1s"})", kOnlyThey, kLooseTimes},
      {R"({"aDuration":" 1s"})", kOnlyThey, kLooseTimes},
      {R"({"aDuration":1})", kNeither},
      {R"({"aDuration":null})", kBoth},
      {R"({"aTimestamp":"0001-01-01T00:00:00Z"})", kBoth},
      {R"({"aTimestamp":"9999-12-31T23:59:59.999999999Z"})", kBoth},
      {R"({"aTimestamp":"1970-01-01T00:00:00.010Z"})", kBoth},
      {R"({"aTimestamp":"1970-01-01T08:00:00+08:00"})", kBoth},
      {R"({"aTimestamp":"1969-12-31T16:00:00-08:00"})", kBoth},
      {R"({"aTimestamp":"1970-01-01T00:00:00.1Z"})", kBoth},
      {R"({"aTimestamp":"0000-01-01T00:00:00Z"})", kNeither},
      {R"({"aTimestamp":"10000-01-01T00:00:00Z"})", kNeither},
      {R"({"aTimestamp":"0001-01-01T00:00:00"})", kNeither},
      {R"({"aTimestamp":"0001-01-01 00:00:00Z"})", kNeither},
      {R"({"aTimestamp":"0001-01-01t00:00:00Z"})", kNeither},
      {R"({"aTimestamp":"0001-01-01T00:00:00z"})", kNeither},
      {R"({"aTimestamp":"2026-02-29T00:00:00Z"})", kNeither},
      {R"({"aTimestamp":"2024-02-29T00:00:00Z"})", kBoth},
      {R"({"aTimestamp":"2026-01-01T00:00:60Z"})", kNeither},
      {R"({"aTimestamp":"2026-01-01T24:00:00Z"})", kNeither},
      {R"({"aTimestamp":"9999-12-31T23:59:59-01:00"})", kOnlyThey, kLooseTimes},
      {R"({"aTimestamp":"0001-01-01T00:00:00+01:00"})", kOnlyThey, kLooseTimes},
      {R"({"aTimestamp":"2026-01-01T00:00:00+24:00"})", kNeither},
      {R"({"aTimestamp":"2026-01-01T00:00:00.1234567891Z"})", kOnlyThey, kLooseTimes},
      {R"({"aTimestamp":"2026-1-1T0:0:0Z"})", kOnlyThey, kLooseTimes},
      {R"({"aTimestamp":""})", kNeither},
      {R"({"aTimestamp":null})", kBoth},
      {R"({"aMask":"foo,barBaz"})", kBoth},
      {R"({"aMask":""})", kBoth},
      {R"({"aMask":"foo,bar_bar"})", kOnlyThey, kLooseMasks},
      {R"({"aMask":"a,,b"})", kOnlyThey, kLooseMasks},
      {R"({"aMask":"a b"})", kOnlyThey, kLooseMasks},
      {R"({"aMask":null})", kBoth},
      {R"({"aMask":["a"]})", kNeither},
      {R"({"aStruct":{"null":null,"number":1.5,"string":"x","bool":true,"list":[1,[2]],)"
       R"("object":{"a":{}}}})",
       kBoth},
      {R"({"aStruct":{}})", kBoth},
      {R"({"aStruct":[]})", kNeither},
      {R"({"aStruct":1})", kNeither},
      {R"({"aStruct":null})", kBoth},
      {R"({"aStruct":{"a":1,"a":2}})", kNeither},
      {R"({"aValue":1})", kBoth},
      {R"({"aValue":"x"})", kBoth},
      {R"({"aValue":null})", kBoth},
      {R"({"aValue":true})", kBoth},
      {R"({"aValue":[1,{}]})", kBoth},
      {R"({"aValue":{"a":[]}})", kBoth},
      {R"({"values":[null,1,[null]]})", kBoth},
      {R"({"valueByString":{"a":null}})", kBoth},
      {R"({"aValue":1e400})", kNeither},
      {R"({"aValue":NaN})", kNeither},
      {R"({"aValue":9007199254740993})", kBoth},
      {R"({"aValue":18446744073709551615})", kBoth},
      {R"({"aList":[1,"a",null,[],{}]})", kBoth},
      {R"({"aList":[]})", kBoth},
      {R"({"aList":{}})", kOnlyThey, kLooseLists},
      {R"({"aList":null})", kBoth},
      {R"({"lists":[[],[1]]})", kBoth},
      {R"({"nulls":[null,null]})", kBoth},
      {R"({"aNull":null})", kBoth},
      {R"({"aNull":0})", kBoth},
      {R"({"aNull":1})", kBoth},
      {R"({"anEmpty":{}})", kBoth},
      {R"({"anEmpty":null})", kBoth},
      {R"({"anEmpty":{"a":1}})", kNeither},
      {R"({"anAny":{"@type":"type.googleapis.com/rookery.testing.Zoo","anInt32":12345}})", kBoth},
      {R"({"anAny":{"@type":"type.googleapis.com/google.protobuf.Any","value":{)"
       R"("@type":"type.googleapis.com/rookery.testing.Zoo","anInt32":1}}})",
       kBoth},
      {R"({"anAny":{"@type":"type.googleapis.com/google.protobuf.Int32Value","value":12345}})",
       kBoth},
      {R"({"anAny":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1.5s"}})",
       kBoth},
      {R"({"anAny":{"@type":"type.googleapis.com/google.protobuf.Timestamp",)"
       R"("value":"1970-01-01T00:00:00Z"}})",
       kBoth},
      {R"({"anAny":{"@type":"type.googleapis.com/google.protobuf.FieldMask","value":"foo,)"
       R"(barBaz"}})",
       kBoth},
      {R"({"anAny":{"@type":"type.googleapis.com/google.protobuf.Struct","value":{"a":1}}})",
       kBoth},
      {R"({"anAny":{"@type":"type.googleapis.com/google.protobuf.Value","value":{"a":1}}})", kBoth},
      {R"({"anAny":{"@type":"type.googleapis.com/google.protobuf.Value","value":1}})", kBoth},
      {R"({"anAny":{"@type":"type.googleapis.com/google.protobuf.Value","value":null}})", kBoth},
      {R"({"anAny":{"@type":"type.googleapis.com/google.protobuf.ListValue","value":[1]}})",
       kOnlyWe, kAnyOfList},
      {R"({"anAny":{"@type":"type.googleapis.com/google.protobuf.Empty"}})", kBoth},
      {R"({"anAny":{"@type":"type.googleapis.com/google.protobuf.Empty","value":{}}})", kOnlyWe,
       kAnyOfEmpty},
      {R"({"anAny":{"value":{"anInt32":1},"@type":"type.googleapis.com/google.protobuf.Struct"}})",
       kBoth},
      {R"({"anAny":{"anInt32":1,"@type":"type.googleapis.com/rookery.testing.Zoo"}})", kBoth},
      {R"({"anAny":{}})", kBoth},
      {R"({"anAny":null})", kBoth},
      {R"({"anAny":{"anInt32":1}})", kNeither},
      {R"({"anAny":{"@type":"type.googleapis.com/no.Such"}})", kNeither},
      {R"({"anAny":{"@type":5}})", kNeither},
      {R"({"anAny":{"@type":"rookery.testing.Zoo"}})", kNeither},
      {R"({"anAny":{"@type":"example.com/rookery.testing.Zoo"}})", kOnlyWe, kAnyHost},
      {R"({"anAny":{"@type":"type.googleapis.com/google.protobuf.Duration"}})", kBoth},
      {R"({"anAny":{"@type":"type.googleapis.com/rookery.testing.Zoo","nope":1}})", kNeither},
      {R"({"anAny":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s",)"
       R"("more":1}})",
       kNeither},
  });
}

// In the manner of JSONTestSuite (y_: must be read, n_: must not, i_: as one likes).
TEST(JsonDifferentialTest, ParserCorpus) {
  using enum Reads;
  using google::protobuf::Value;
  ExpectAll<Value>({
      {"[]", kBoth},
      {"{}", kBoth},
      {R"("a")", kBoth},
      {"1", kBoth},
      {"-0", kBoth},
      {"true", kBoth},
      {"null", kBoth},
      {" [] ", kBoth},
      {"[1]\n", kBoth},
      {R"([null, 1, "1", {}])", kBoth},
      {"[ 4]", kBoth},
      {"[1,null,null,null,2]", kBoth},
      {"[0e+1]", kBoth},
      {"[0e1]", kBoth},
      {"[0.4e66]", kBoth},
      {"[20e1]", kBoth},
      {"[-0]", kBoth},
      {"[-123]", kBoth},
      {"[-1]", kBoth},
      {"[1E22]", kBoth},
      {"[1E-2]", kBoth},
      {"[1E+2]", kBoth},
      {"[123e45]", kBoth},
      {"[123.456e78]", kBoth},
      {"[1e-2]", kBoth},
      {"[123.456789]", kBoth},
      {"[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]",
       kBoth},
      {R"({"asd":"sdf"})", kBoth},
      {R"({"":0})", kBoth},
      {R"({"foo\u0000bar":42})", kBoth},
      {R"({"min":-1.0e+28,"max":1.0e+28})", kBoth},
      {R"({"a":[]})", kBoth},
      {"{\n\"a\": \"b\"\n}", kBoth},
      {R"(["\u0060\u012a\u12AB"])", kBoth},
      {R"(["\uD801\udc37"])", kBoth},
      {R"(["\ud83d\ude39\ud83d\udc8d"])", kBoth},
      {R"(["\"\\\/\b\f\n\r\t"])", kBoth},
      {R"(["\\u0000"])", kBoth},
      {R"(["\\a"])", kBoth},
      {R"(["a/*b*/c/*d//e"])", kBoth},
      {R"(["\uFFFF"])", kBoth},
      {"[\"\x7f\"]", kBoth},
      {R"(["\u0022"])", kBoth},
      {"[\"\xe2\x82\xac\"]", kBoth},
      {R"(["\u200B"])", kBoth},
      {"", kNeither},
      {" ", kNeither},
      {"[", kNeither},
      {"]", kNeither},
      {"{", kNeither},
      {"}", kNeither},
      {"[1,", kNeither},
      {"[1", kNeither},
      {"[1 true]", kNeither},
      {"[a\xe5]", kNeither},
      {R"(["": 1])", kNeither},
      {R"([""],)", kNeither},
      {"[,1]", kNeither},
      {"[1,,2]", kNeither},
      {R"(["x"]])", kNeither},
      {R"(["",])", kOnlyThey, kTrailingComma},
      {R"(["x")", kNeither},
      {"[x", kNeither},
      {"[3[4]]", kNeither},
      {"[,]", kNeither},
      {"[-]", kNeither},
      {"[\"a\",\n4\n,1,", kNeither},
      {"[1,\n1\n,1", kNeither},
      {"[{}", kNeither},
      {"[fals]", kNeither},
      {"[nul]", kNeither},
      {"[tru]", kNeither},
      {"[True]", kNeither},
      {"[*]", kNeither},
      {"[++1234]", kNeither},
      {"[+1]", kNeither},
      {"[+Inf]", kNeither},
      {"[-01]", kNeither},
      {"[-1.0.]", kNeither},
      {"[-2.]", kOnlyThey, kLooseNumbers},
      {"[-NaN]", kNeither},
      {"[.-1]", kNeither},
      {"[.2e-3]", kNeither},
      {"[0.1.2]", kNeither},
      {"[0.3e+]", kNeither},
      {"[0.3e]", kNeither},
      {"[0.e1]", kOnlyThey, kLooseNumbers},
      {"[0E+]", kNeither},
      {"[0E]", kNeither},
      {"[0e+]", kNeither},
      {"[0e]", kNeither},
      {"[1.0e+]", kNeither},
      {"[1.0e-]", kNeither},
      {"[1.0e]", kNeither},
      {"[1 000.0]", kNeither},
      {"[1eE2]", kNeither},
      {"[2.e+3]", kOnlyThey, kLooseNumbers},
      {"[2.e-3]", kOnlyThey, kLooseNumbers},
      {"[2.e3]", kOnlyThey, kLooseNumbers},
      {"[9.e+]", kNeither},
      {"[1+2]", kNeither},
      {"[0x1]", kNeither},
      {"[0x42]", kNeither},
      {"[Infinity]", kNeither},
      {"[NaN]", kNeither},
      {"[-Infinity]", kNeither},
      {"[0e+-1]", kNeither},
      {"[-foo]", kNeither},
      {"[- 1]", kNeither},
      {"[-012]", kNeither},
      {"[-.123]", kOnlyThey, kLooseNumbers},
      {"[-1x]", kNeither},
      {"[1ea]", kNeither},
      {"[1.8011670033376514H-308]", kNeither},
      {"[.123]", kNeither},
      {"[012]", kNeither},
      {"[123\xe5]", kNeither},
      {"[1e1\xe5]", kNeither},
      {"[0\xe5]", kNeither},
      {R"(["x", truth])", kNeither},
      {"{[: \"x\"}\n", kNeither},
      {R"({"x", null})", kNeither},
      {R"({"x"::"b"})", kNeither},
      {"{\xf0\x9f\x87\xa8\xf0\x9f\x87\xad}", kNeither},
      {R"({"a":"a" 123})", kNeither},
      {"{key: 'value'}", kOnlyThey, kJavaScript},
      {"{\"\xb9\":\"0\",}", kNeither},
      {R"({"a" b})", kNeither},
      {R"({:"b"})", kNeither},
      {R"({"a" "b"})", kNeither},
      {R"({"a":)", kNeither},
      {R"({"a")", kNeither},
      {"{1:1}", kNeither},
      {"{9999E9999:1}", kNeither},
      {"{null:null,null:null}", kNeither},
      {R"({"id":0,,,,,})", kNeither},
      {"{'a':0}", kOnlyThey, kJavaScript},
      {R"({"id":0,})", kOnlyThey, kTrailingComma},
      {R"({"a":"b"}/**/)", kNeither},
      {R"({"a":"b"}/**//)", kNeither},
      {R"({"a":"b"}//)", kNeither},
      {R"({"a":"b",,"c":"d"})", kNeither},
      {R"({a: "b"})", kOnlyThey, kJavaScript},
      {R"({"a":"a)", kNeither},
      {R"({ "foo" : "bar", "a" })", kNeither},
      {R"({"a":"b"}#)", kNeither},
      {R"(["\uD800\"])", kNeither},
      {R"(["\uD800\u"])", kNeither},
      {R"(["\uD800\u1"])", kNeither},
      {R"(["\uD800\u1x"])", kNeither},
      {"[\xc3\xa9]", kNeither},
      {R"(["\x00"])", kOnlyThey, kLooseEscapes},
      {R"(["\\\"])", kNeither},
      {"[\"\\\t\"]", kOnlyThey, kLooseEscapes},
      {"[\"\\\xf0\x9f\x8c\x80\"]", kOnlyThey, kLooseEscapes},
      {R"(["\"])", kNeither},
      {R"(["\u00A"])", kNeither},
      {R"(["\uD834\uDd"])", kNeither},
      {R"(["\uD800\uD800\x"])", kNeither},
      {R"(["\a"])", kOnlyThey, kLooseEscapes},
      {R"(["\uqqqq"])", kNeither},
      {"[\"\\u\xe5\"]", kNeither},
      {R"(["\)", kNeither},
      {R"([\u0020"asd"])", kNeither},
      {R"([\n])", kNeither},
      {R"(")", kNeither},
      {"['single quote']", kOnlyThey, kJavaScript},
      {"abc", kNeither},
      {"[\"new\nline\"]", kOnlyThey, kControl},
      {"[\"\t\"]", kOnlyThey, kControl},
      {R"("\UA66D")", kOnlyThey, kLooseEscapes},
      {R"(""x)", kNeither},
      {"<.>", kNeither},
      {"[<null>]", kNeither},
      {"[1]x", kNeither},
      {"[1]]", kNeither},
      {R"(["asd])", kNeither},
      {"a\xc3\xa5", kNeither},
      {"[True]", kNeither},
      {"1]", kNeither},
      {R"({"x": true,)", kNeither},
      {"[][]", kNeither},
      {"2@", kNeither},
      {"{}}", kNeither},
      {R"({"":)", kNeither},
      {R"({"a":/*comment*/"b"})", kNeither},
      {R"({"a": true} "x")", kNeither},
      {"['", kNeither},
      {"[,", kNeither},
      {"[{", kNeither},
      {R"(["a)", kNeither},
      {R"(["a")", kNeither},
      {"{,", kNeither},
      {"{[", kNeither},
      {R"({"a)", kNeither},
      {"{'a'", kNeither},
      {R"(["\{["\{["\{["\{)", kNeither},
      {"\xe9", kNeither},
      {"*", kNeither},
      {R"({"a":"b"}#{})", kNeither},
      {R"([\u000A""])", kNeither},
      {"[1", kNeither},
      {"[ false, nul", kNeither},
      {"[ true, fals", kNeither},
      {"[ false, tru", kNeither},
      {R"({"asd":"asd")", kNeither},
      {"\xc3\xa5", kNeither},
      {"[\xe2\x81\xa0]", kNeither},
      {"\xef\xbb\xbf", kNeither},
      {"\xef\xbb\xbf{}", kNeither},
      {"[123.456e-789]", kBoth},
      {"[1e400]", kNeither},
      {"[-1e9999]", kNeither},
      {"[123123e100000]", kNeither},
      {"[0."
       "4e00669999999999999999999999999999999999999999999999999999999999999999999999999999999999999"
       "999999999999969999999006]",
       kNeither},
      {"[-123123123123123123123123123123]", kBoth},
      {"[100000000000000000000]", kBoth},
      {R"({"\uDFAA":0})", kNeither},
      {R"(["\uDADA"])", kNeither},
      {R"(["\uD888\u1234"])", kNeither},
      {"[\"\xe6\x97\xa5\xd1\x88\xfa\"]", kNeither},
      {R"(["\uD800\n"])", kNeither},
      {R"(["\uDd1ea"])", kNeither},
      {R"(["\uD800\uD800\n"])", kNeither},
      {R"(["\ud800"])", kNeither},
      {R"(["\ud800abc"])", kNeither},
      {"[\"\xff\"]", kNeither},
      {R"(["\uDd1e\uD834"])", kNeither},
      {"[\"\xed\xa0\x80\"]", kNeither},
      {"[\"\xf4\xbf\xbf\xbf\"]", kNeither},
      {R"(["\uDFAA"])", kNeither},
      {"[\"\xf5\xbf\"]", kNeither},
      {"[\"\xe0\xff\"]", kNeither},
      {"[\"\xe0\x80\xaf\"]", kNeither},
      {"[\"\xc0\xaf\"]", kNeither},
      {"[\"\xfc\x83\xbf\xbf\xbf\xbf\"]", kNeither},
      {"[\"\x81\"]", kNeither},
  });
}

}  // namespace
}  // namespace rookery
