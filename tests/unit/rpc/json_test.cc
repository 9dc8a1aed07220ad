#include "rookery/rpc/json.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/arena.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/message_differencer.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"
#include "rpc/json/text.h"
#include "zoo.pb.h"
#include "zoo2.pb.h"

namespace rookery {
namespace {

using google::protobuf::Message;
using testing::Demanding;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::Zoo;
using testing::Zoo2;

std::string Written(const Message& message, const JsonWriteOptions& options = {}) {
  const absl::StatusOr<std::string> text = MessageToJson(message, options);
  return text.ok() ? *text : "FAILED " + std::string(text.status().message());
}

template <class M = Zoo>
std::string Fault(std::string_view json, const JsonReadOptions& options = {}) {
  M message;
  const absl::Status status = JsonToMessage(json, &message, options);
  if (status.ok()) return "was read as " + Written(message);
  if (status.code() != absl::StatusCode::kInvalidArgument) return status.ToString();
  return std::string(status.message());
}

// What it is when it has been read and written again.
template <class M = Zoo>
std::string Again(std::string_view json, const JsonReadOptions& options = {}) {
  M message;
  const absl::Status status = JsonToMessage(json, &message, options);
  return status.ok() ? Written(message, {.sort_map_keys = true})
                     : "FAILED " + std::string(status.message());
}

#define EXPECT_SAME(json) EXPECT_EQ(Again(json), json)
#define EXPECT_SAME_AS(M, json) EXPECT_EQ(Again<M>(json), json)

TEST(JsonTest, WritesEachScalarAsTheSpecificationSpellsIt) {
  EXPECT_SAME(R"({})");
  EXPECT_SAME(
      R"({"aDouble":1.5,"aFloat":0.1,"anInt32":-7,"anInt64":"-7","aUint32":7,"aUint64":"7",)"
      R"("aSint32":-7,"aSint64":"-7","aFixed32":7,"aFixed64":"7","aSfixed32":-7,)"
      R"("aSfixed64":"-7","aBool":true,"aString":"text","aBytes":"AQID","aColour":"RED",)"
      R"("aSparse":"MILLION","aZoo":{"anInt32":1}})");
  EXPECT_SAME(R"({"anInt32":-2147483648,"anInt64":"-9223372036854775808","aUint32":4294967295,)"
              R"("aUint64":"18446744073709551615","aSint32":-2147483648,)"
              R"("aSint64":"-9223372036854775808","aFixed32":4294967295,)"
              R"("aFixed64":"18446744073709551615","aSfixed32":-2147483648,)"
              R"("aSfixed64":"-9223372036854775808"})");
  EXPECT_SAME(R"({"anInt32":2147483647,"anInt64":"9223372036854775807","aSint32":2147483647,)"
              R"("aSint64":"9223372036854775807","aSfixed32":2147483647,)"
              R"("aSfixed64":"9223372036854775807"})");
}

TEST(JsonTest, KeepsPresenceWhereThereIsSome) {
  EXPECT_SAME(R"({"maybeInt32":0,"maybeString":"","maybeColour":"COLOUR_UNSPECIFIED"})");
  EXPECT_EQ(Again(R"({"anInt32":0,"aString":"","aBool":false,"aDouble":0,"aBytes":""})"), "{}");
  EXPECT_SAME(R"({"choiceInt32":0})");
  EXPECT_SAME(R"({"choiceString":""})");
  EXPECT_SAME(R"({"choiceZoo":{}})");
  EXPECT_SAME(R"({"choiceNull":null})");
  EXPECT_SAME(R"({"choiceBool":false})");
  EXPECT_SAME(R"({"choiceValue":null})");
  EXPECT_SAME(R"({"aZoo":{}})");
  EXPECT_SAME(R"({"anEmpty":{}})");
}

TEST(JsonTest, WritesLists) {
  EXPECT_SAME(R"({"doubles":[0,-1.5],"floats":[0.25],"int32s":[0,1,-1],"int64s":["0","1"],)"
              R"("uint32s":[1],"uint64s":["1"],"sint32s":[-1],"sint64s":["-1"],"fixed32s":[1],)"
              R"("fixed64s":["1"],"sfixed32s":[-1],"sfixed64s":["-1"],"bools":[true,false],)"
              R"("strings":["","b"],"byteStrings":["","AA=="],"colours":["RED","BLUE"],)"
              R"("zoos":[{},{"anInt32":1}],"unpacked":[3,0,4]})");
  EXPECT_EQ(Again(R"({"int32s":[],"strings":[],"zoos":[]})"), "{}");
}

TEST(JsonTest, WritesMapsOfEveryKindOfKey) {
  EXPECT_SAME(R"({"byInt32":{"-1":"a","0":"b","2":"c"},"byInt64":{"-1":"2"},"byUint32":{"1":0.5},)"
              R"("byUint64":{"18446744073709551615":"AQ=="},"bySint32":{"-1":2},)"
              R"("bySint64":{"-1":true},"byFixed32":{"1":"GREEN"},"byFixed64":{"1":"2"},)"
              R"("bySfixed32":{"-1":{"anInt32":1}},"bySfixed64":{"-1":"2026-01-02T03:04:05Z"},)"
              R"("byBool":{"false":"no","true":"yes"},"byString":{"":"empty","a\"b":"c"},)"
              R"("zooByString":{"x":{"byString":{"y":"z"}}},"valueByString":{"n":null,"o":{}}})");
  EXPECT_EQ(Again(R"({"byInt32":{"1e1":"ten"},"byInt64":{"1.0":1}})"),
            R"({"byInt32":{"10":"ten"},"byInt64":{"1":"1"}})");
}

TEST(JsonTest, WritesNumbersInTheShortestFormThatReadsBack) {
  const auto d = [](double value) {
    Zoo zoo;
    zoo.add_doubles(value);
    const std::string text = Written(zoo);
    Zoo back;
    EXPECT_TRUE(JsonToMessage(text, &back).ok()) << text;
    double read = back.doubles(0);
    EXPECT_TRUE(std::isnan(value) ? std::isnan(read) : std::memcmp(&value, &read, 8) == 0) << text;
    return text.substr(12, text.size() - 14);
  };
  EXPECT_EQ(d(0), "0");
  EXPECT_EQ(d(-0.0), "-0");
  EXPECT_EQ(d(0.1), "0.1");
  EXPECT_EQ(d(1e5), "100000");
  EXPECT_EQ(d(1e20), "100000000000000000000");
  EXPECT_EQ(d(1e21), "1e+21");
  EXPECT_EQ(d(123456789012345680000.0), "123456789012345680000");
  EXPECT_EQ(d(9007199254740993.0), "9007199254740992");
  EXPECT_EQ(d(1.5e-6), "0.0000015");
  EXPECT_EQ(d(1e-7), "1e-7");
  EXPECT_EQ(d(1.25e-7), "1.25e-7");
  EXPECT_EQ(d(5e-324), "5e-324");
  EXPECT_EQ(d(1.7976931348623157e308), "1.7976931348623157e+308");
  EXPECT_EQ(d(-333333333.3333333), "-333333333.3333333");
  EXPECT_EQ(d(std::numeric_limits<double>::infinity()), "\"Infinity\"");
  EXPECT_EQ(d(-std::numeric_limits<double>::infinity()), "\"-Infinity\"");
  EXPECT_EQ(d(std::numeric_limits<double>::quiet_NaN()), "\"NaN\"");
  EXPECT_SAME(R"({"aFloat":3.4028235e+38})");
  EXPECT_SAME(R"({"aFloat":1e-45})");
  EXPECT_SAME(R"({"aFloat":16777216})");
  EXPECT_SAME(R"({"aFloat":"-Infinity"})");
}

TEST(JsonTest, EscapesTextAsItMustAndNoMore) {
  EXPECT_SAME("{\"aString\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f/\x7f\"}");
  EXPECT_SAME("{\"aString\":\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xa6 <&> \xe2\x80\xa8\"}");
  EXPECT_EQ(Again(R"({"aString":"\/\u0041\u00e9\ud83d\udc26"})"),
            "{\"aString\":\"/A\xc3\xa9\xf0\x9f\x90\xa6\"}");
  // Every position within a block, for the code that reads sixteen bytes at once.
  for (std::size_t size = 0; size < 70; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      Zoo zoo;
      zoo.set_a_string(std::string(size, 'x'));
      (*zoo.mutable_a_string())[at] = '\n';
      std::string expected(size, 'x');
      expected.replace(at, 1, "\\n");
      EXPECT_EQ(Written(zoo), "{\"aString\":\"" + expected + "\"}");
    }
  }
  Zoo zoo;
  zoo.add_strings("fine");
  zoo.add_strings("caf\xe9");
  EXPECT_EQ(Written(zoo),
            "FAILED strings[1]: is not UTF-8; text that is not belongs into a bytes field");
}

TEST(JsonTest, ReadsNamesOfBothKindsAndWritesTheOneAskedFor) {
  const std::string_view json =
      R"({"fieldName1":1,"FieldName2":2,"fieldName3":3,"FieldName4":4,"FIELDNAME5":5,)"
      R"("a \"quoted\"\\name":6,"far":"f"})";
  EXPECT_SAME(json);
  const std::string_view proto =
      R"({"field_name1":1,"_field_name2":2,"field__name3_":3,"FieldName4":4,"FIELD_NAME5":5,)"
      R"("named":6,"far":"f"})";
  EXPECT_EQ(Again(proto), json);
  Zoo zoo;
  ASSERT_TRUE(JsonToMessage(json, &zoo).ok());
  EXPECT_EQ(Written(zoo, {.preserve_proto_names = true}), proto);
  EXPECT_EQ(Again(R"({"an\u0049nt32":1})"), R"({"anInt32":1})");
  EXPECT_EQ(Fault(R"({"anInt32":1,"an_int32":2})"), "anInt32: appears twice");
}

TEST(JsonTest, WritesDefaultsWhenAsked) {
  Zoo zoo;
  zoo.set_an_int64(1);
  zoo.add_strings("s");
  zoo.set_far("f");
  const std::string all = Written(zoo, {.always_print_fields_with_no_presence = true});
  EXPECT_THAT(all, StartsWith(R"({"aDouble":0,"aFloat":0,"anInt32":0,"anInt64":"1","aUint32":0,)"
                              R"("aUint64":"0",)"));
  EXPECT_THAT(all,
              HasSubstr(R"("aBool":false,"aString":"","aBytes":"",)"
                        R"("aColour":"COLOUR_UNSPECIFIED","aSparse":"SPARSE_NONE","doubles":[])"));
  EXPECT_THAT(all, HasSubstr(R"("bools":[],"strings":["s"],"byteStrings":[])"));
  EXPECT_THAT(all, HasSubstr(R"("byInt32":{})"));
  EXPECT_THAT(all, HasSubstr(R"("aNull":null)"));
  EXPECT_THAT(all, ::testing::EndsWith(R"("a \"quoted\"\\name":0,"far":"f"})"));
  EXPECT_THAT(all, ::testing::Not(HasSubstr("maybe")));
  EXPECT_THAT(all, ::testing::Not(HasSubstr("choice")));
  EXPECT_THAT(all, ::testing::Not(HasSubstr("aZoo")));
  Zoo back;
  ASSERT_TRUE(JsonToMessage(all, &back).ok());
  EXPECT_EQ(back.SerializeAsString(), zoo.SerializeAsString());
}

TEST(JsonTest, ReadsAndWritesEnums) {
  EXPECT_EQ(Again(R"({"aColour":-3,"colours":[1,7,"BLUE",2.0,1e0],"aSparse":1000000})"),
            R"({"aColour":"BLUE","aSparse":"MILLION","colours":["RED",7,"BLUE","GREEN","RED"]})");
  EXPECT_EQ(Again(R"({"aSparse":"MEGA"})"), R"({"aSparse":"MILLION"})");
  EXPECT_SAME(R"({"aSparse":"LEAST"})");
  EXPECT_SAME(R"({"aSparse":"GREATEST"})");
  EXPECT_SAME(R"({"aSparse":5})");
  Zoo zoo;
  zoo.set_a_colour(testing::RED);
  zoo.set_choice_null(google::protobuf::NULL_VALUE);
  EXPECT_EQ(Written(zoo, {.enums_as_numbers = true}), R"({"aColour":1,"choiceNull":null})");
  EXPECT_EQ(Fault(R"({"aColour":"PINK"})"),
            "aColour: there is no value \"PINK\" in rookery.testing.Colour");
  EXPECT_EQ(Fault(R"({"aColour":"red"})"),
            "aColour: there is no value \"red\" in rookery.testing.Colour");
  EXPECT_EQ(Fault(R"({"aColour":"1"})"),
            "aColour: there is no value \"1\" in rookery.testing.Colour");
  EXPECT_EQ(Fault(R"({"aColour":1.5})"), "aColour: 1.5 is no whole number, as an enum has them");
  EXPECT_EQ(Fault(R"({"aColour":2147483648})"), "aColour: 2147483648 is out of range for an enum");
  EXPECT_EQ(Fault(R"({"aColour":true})"),
            "aColour: expected a name or number of rookery.testing.Colour, got true");
  const JsonReadOptions lenient{.ignore_unknown_fields = true};
  EXPECT_EQ(
      Again(R"({"aColour":"PINK","colours":["PINK","RED"],"byFixed32":{"1":"PINK","2":"RED"},)"
            R"("int32s":[1]})",
            lenient),
      R"({"int32s":[1],"colours":["RED"],"byFixed32":{"2":"RED"}})");
  EXPECT_EQ(Again(R"({"colours":["PINK"]})", lenient), "{}");
}

TEST(JsonTest, ReadsIntegersInAnySpellingExactly) {
  const auto i32 = [](std::string_view spelled) {
    return Again("{\"maybeInt32\":" + std::string(spelled) + "}");
  };
  for (const char* one : {"1", "1.0", "1.000", "10e-1", "0.1e1", "100E-2", "0.01e+2", "\"1\"",
                          "\"1.0\"", "\"1e0\"", "\"\\u0031\"", " 1 "}) {
    EXPECT_EQ(i32(one), R"({"maybeInt32":1})") << one;
  }
  for (const char* zero : {"0", "-0", "0.0", "0e999999999999999999", "0e-5", "-0.0e7", "\"0\""}) {
    EXPECT_EQ(i32(zero), R"({"maybeInt32":0})") << zero;
  }
  EXPECT_EQ(i32("2.147483647e9"), R"({"maybeInt32":2147483647})");
  EXPECT_EQ(i32("-2.147483648e9"), R"({"maybeInt32":-2147483648})");
  EXPECT_EQ(Again(R"({"anInt64":9.223372036854775807E18,"aUint64":"1.8446744073709551615e19"})"),
            R"({"anInt64":"9223372036854775807","aUint64":"18446744073709551615"})");
  EXPECT_EQ(Again(R"({"anInt64":-9223372036854775808,"aUint64":18446744073709551615})"),
            R"({"anInt64":"-9223372036854775808","aUint64":"18446744073709551615"})");

  for (const char* large : {"2147483648", "-2147483649", "1e400", "1e10", "99999999999999999999999",
                            "1e9223372036854775808", "\"4294967296\""}) {
    EXPECT_THAT(i32(large), HasSubstr("is out of range for int32")) << large;
  }
  for (const char* fraction : {"0.5", "1.5", "1e-1", "\"0.1\"", "2147483647.5", "1e-400"}) {
    EXPECT_THAT(i32(fraction), HasSubstr("is no whole number, as int32 has them")) << fraction;
  }
  for (const char* bad :
       {"\"\"",   "\" 1\"", "\"1 \"", "\"+1\"",  "\"01\"",  "\"0x1\"",   "\"1.\"",
        "\".5\"", "\"1e\"", "\"-\"",  "\"--1\"", "\"NaN\"", "\"1_000\"", "01",
        "1.",     "-",      "1e+",    "-01",     "00",      "1a",        "0x10"}) {
    EXPECT_THAT(i32(bad), HasSubstr("is no number")) << bad;
  }
  for (const char* bad : {"true", "[1]", "{}", "+1", ".5", "NaN", "Infinity", "tru"}) {
    EXPECT_THAT(i32(bad), HasSubstr("expected a number")) << bad;
  }
  EXPECT_EQ(Fault(R"({"aUint32":-1})"), "aUint32: -1 is out of range for uint32");
  EXPECT_EQ(Fault(R"({"aUint64":-1})"), "aUint64: -1 is out of range for uint64");
  EXPECT_EQ(Fault(R"({"aUint64":18446744073709551616})"),
            "aUint64: 18446744073709551616 is out of range for uint64");
  EXPECT_EQ(Fault(R"({"anInt64":"9223372036854775808"})"),
            "anInt64: 9223372036854775808 is out of range for int64");
  EXPECT_EQ(Fault(R"({"anInt64":"-9223372036854775809"})"),
            "anInt64: -9223372036854775809 is out of range for int64");
  EXPECT_EQ(Fault(R"({"aSfixed32":2147483648})"),
            "aSfixed32: 2147483648 is out of range for sfixed32");
}

TEST(JsonTest, ReadsFloatingPointNumbers) {
  EXPECT_EQ(Again(R"({"aDouble":"1.5","aFloat":"-2"})"), R"({"aDouble":1.5,"aFloat":-2})");
  EXPECT_EQ(Again(R"({"doubles":["NaN","Infinity","-Infinity",-0,"-0",1E3,123456789]})"),
            R"({"doubles":["NaN","Infinity","-Infinity",-0,-0,1000,123456789]})");
  EXPECT_EQ(Again(R"({"doubles":[1e-400,-1e-999999999999,0.0000e500,4.9e-324]})"),
            R"({"doubles":[0,-0,0,5e-324]})");
  EXPECT_EQ(Again(R"({"aFloat":3.4028235677973367e38})"),
            "FAILED aFloat: 3.4028235677973367e38 is out of range for float");
  EXPECT_EQ(Again(R"({"aFloat":3.40282350e38})"), R"({"aFloat":3.4028235e+38})");
  EXPECT_EQ(Again(R"({"aFloat":1e-46})"), "{}");
  // The nearest float to the text, and not to the double nearest to the text.
  Zoo zoo;
  ASSERT_TRUE(JsonToMessage(R"({"aFloat":1.00000017881393432617187499})", &zoo).ok());
  EXPECT_EQ(zoo.a_float(), 1.00000011920928955078125F);
  EXPECT_EQ(Fault(R"({"aDouble":1e400})"), "aDouble: 1e400 is out of range for double");
  EXPECT_EQ(Fault(R"({"aDouble":"-1.8e308"})"), "aDouble: -1.8e308 is out of range for double");
  EXPECT_EQ(Fault(R"({"aDouble":NaN})"), "aDouble: expected a number, got NaN");
  EXPECT_EQ(Fault(R"({"aDouble":"nan"})"), "aDouble: \"nan\" is no number");
  EXPECT_EQ(Fault(R"({"aDouble":"inf"})"), "aDouble: \"inf\" is no number");
  EXPECT_EQ(Fault(R"({"aDouble":"0x1p3"})"), "aDouble: \"0x1p3\" is no number");
  EXPECT_EQ(Fault(R"({"aDouble":""})"), "aDouble: \"\" is no number");
  EXPECT_EQ(Fault(R"({"aDouble":1.5.5})"), "aDouble: \"1.5.5\" is no number");
}

TEST(JsonTest, ReadsBytesInBothAlphabets) {
  EXPECT_EQ(Again(R"({"byteStrings":["-_-_","+/+/","AQI=","AQI","-_","AQ==","AQ","\u0041Q\/\/"]})"),
            R"({"byteStrings":["+/+/","+/+/","AQI=","AQI=","+w==","AQ==","AQ==","AQ//"]})");
  for (const char* bad : {"A", "AQI==", "A===", "=", "====", "AQ=", "AQ I", "AQ\\n", "AQ*=", "AQ=I",
                          "\\u00e9\\u00e9"}) {
    EXPECT_THAT(Fault("{\"aBytes\":\"" + std::string(bad) + "\"}"), HasSubstr("is no base64"))
        << bad;
  }
  Zoo zoo;
  for (int size = 0; size < 9; ++size) {
    std::string bytes;
    for (int i = 0; i < size; ++i) bytes.push_back(static_cast<char>(0xf9 + 31 * i));
    zoo.add_byte_strings(bytes);
  }
  Zoo back;
  ASSERT_TRUE(JsonToMessage(Written(zoo), &back).ok());
  EXPECT_EQ(back.SerializeAsString(), zoo.SerializeAsString());
}

TEST(JsonTest, TakesNullForWhatIsNotThere) {
  EXPECT_EQ(Again(R"({"anInt32":null,"maybeString":null,"aZoo":null,"zoos":null,"byInt32":null,)"
                  R"("aTimestamp":null,"anAny":null,"int64Wrapper":null,"aStruct":null,)"
                  R"("aList":null,"choiceInt32":null,"choiceString":"this one"})"),
            R"({"choiceString":"this one"})");
  EXPECT_SAME(R"({"choiceString":"x","aValue":null})");
  EXPECT_SAME(R"({"aValue":null,"values":[null,null],"nulls":[null]})");
  EXPECT_EQ(Again(R"({"choiceNull":"NULL_VALUE"})"), R"({"choiceNull":null})");
  EXPECT_EQ(Again(R"({"nulls":["NULL_VALUE",0,null]})"), R"({"nulls":[null,null,null]})");
  EXPECT_EQ(Fault(R"({"int32s":[1,null]})"), "int32s[1]: null is no element of a list");
  EXPECT_EQ(Fault(R"({"zoos":[null]})"), "zoos[0]: null is no element of a list");
  EXPECT_EQ(Fault(R"({"byString":{"k":null}})"), "byString[\"k\"]: null is no value of a map");
  EXPECT_EQ(Fault(R"({"anInt32":null,"anInt32":1})"), "anInt32: appears twice");
  EXPECT_EQ(Fault("null"), "expected an object, got null");
}

TEST(JsonTest, RefusesWhatIsSaidTwice) {
  EXPECT_EQ(Fault(R"({"anInt32":1,"anInt32":1})"), "anInt32: appears twice");
  EXPECT_EQ(Fault(R"({"far":"","far":""})"), "far: appears twice");
  EXPECT_EQ(Fault(R"({"choiceInt32":1,"choiceString":"x"})"),
            "choiceString: another field of the oneof \"choice\" is set already");
  EXPECT_EQ(Fault(R"({"choiceNull":null,"choiceString":"x"})"),
            "choiceString: another field of the oneof \"choice\" is set already");
  EXPECT_EQ(Fault(R"({"byString":{"a":"1","\u0061":"2"}})"), "byString[\"a\"]: appears twice");
  EXPECT_EQ(Fault(R"({"byInt32":{"1":"a","1.0":"b"}})"), "byInt32[\"1.0\"]: appears twice");
  EXPECT_EQ(Fault(R"({"byBool":{"true":"a","true":"b"}})"), "byBool[\"true\"]: appears twice");
  EXPECT_EQ(Fault(R"({"aStruct":{"x":1,"x":2}})"), "aStruct[\"x\"]: appears twice");
  // Beyond what is looked through one by one.
  std::string many = R"({"byString":{)";
  for (int i = 0; i < 100; ++i) many += "\"k" + std::to_string(i) + "\":\"v\",";
  EXPECT_EQ(Fault(many + R"("k57":"again"}})"), "byString[\"k57\"]: appears twice");
  EXPECT_THAT(Again(many + R"("k100":"new"}})"), HasSubstr(R"("k100":"new")"));
}

TEST(JsonTest, NamesThePlaceAndTheReason) {
  EXPECT_EQ(Fault(R"({"zoos":[{},{"zooByString":{"a b":{"int32s":[1,1e400]}}}]})"),
            "zoos[1].zooByString[\"a b\"].int32s[1]: 1e400 is out of range for int32");
  EXPECT_EQ(Fault(R"({"aZoo":{"nope":1}})"),
            "aZoo: there is no field \"nope\" in rookery.testing.Zoo");
  EXPECT_EQ(Fault(R"({"byInt32":{"x":"a"}})"), "byInt32[\"x\"]: \"x\" is no number");
  EXPECT_EQ(Fault(R"({"byBool":{"1":"a"}})"),
            "byBool[\"1\"]: is no key of a map by bool: \"true\" or \"false\"");
  EXPECT_EQ(Fault(R"({"byString":{"a\nb":1}})"), "byString[\"a\\nb\"]: expected a string, got 1");
  EXPECT_EQ(Fault(R"({"aBool":"true"})"), "aBool: expected true or false, got \"true\"");
  EXPECT_EQ(Fault(R"({"aBool":1})"), "aBool: expected true or false, got 1");
  EXPECT_EQ(Fault(R"({"aString":5})"), "aString: expected a string, got 5");
  EXPECT_EQ(Fault(R"({"aZoo":[]})"), "aZoo: expected an object, got a list");
  EXPECT_EQ(Fault(R"({"zoos":{}})"), "zoos: expected a list, got an object");
  EXPECT_EQ(Fault(R"({"byInt32":[]})"), "byInt32: expected an object, got a list");
  EXPECT_EQ(Fault("{\n  \"anInt32\": 1\n  \"aBool\": true}"),
            "expected ',' or '}' at line 3, column 3");
  const std::string text(200, 'x');
  EXPECT_EQ(
      Fault("{\"aColour\":\"" + text + "\"}"),
      "aColour: there is no value \"" + text.substr(0, 60) + "...\" in rookery.testing.Colour");
  JsonFault fault;
  Zoo zoo;
  zoo.set_an_int32(5);
  EXPECT_FALSE(JsonToMessage(R"({"aZoo":{"anInt32":"x"}})", &zoo, {}, &fault).ok());
  EXPECT_EQ(fault.path, "aZoo.anInt32");
  EXPECT_EQ(fault.reason, "\"x\" is no number");
  EXPECT_EQ(zoo.an_int32(), 5) << "a message that could not be read is left as it was";
}

TEST(JsonTest, IgnoresUnknownNamesWhenAsked) {
  const JsonReadOptions lenient{.ignore_unknown_fields = true};
  EXPECT_EQ(
      Again(R"({"x":{"y":[1,-2.5e3,"z",true,false,null,{}],"w":[]},"anInt32":1,"x":0})", lenient),
      R"({"anInt32":1})");
  // But they must be JSON.
  for (const char* bad :
       {R"({"x":[}})", R"({"x":{]})", R"({"x":tru})", R"({"x":01})", R"({"x":"\q"})",
        R"({"x":[1,]})", R"({"x":{"a":1,}})", R"({"x":{"a"}})", R"({"x":{1:2}})", R"({"x":})",
        R"({"x":nul})", R"({"x":"\ud800"})", R"({"x":1 2})"}) {
    EXPECT_THAT(Again(bad, lenient), StartsWith("FAILED")) << bad;
  }
}

TEST(JsonTest, BoundsDepth) {
  const auto nested = [](int depth) {
    std::string json;
    for (int i = 1; i < depth; ++i) json += "{\"aZoo\":";
    json += "{}";
    for (int i = 1; i < depth; ++i) json += "}";
    return json;
  };
  EXPECT_SAME(nested(100));
  EXPECT_THAT(Fault(nested(101)), HasSubstr("nests deeper than 100 levels"));
  EXPECT_THAT(Fault(nested(100'000)), HasSubstr("nests deeper than 100 levels"));
  EXPECT_LT(Fault(nested(101)).size(), 1200U);
  EXPECT_THAT(Fault(nested(4), {.max_depth = 3}), HasSubstr("nests deeper than 3 levels"));
  EXPECT_SAME(nested(3));
  const std::string open(200'000, '[');
  EXPECT_THAT(Fault("{\"x\":" + open, {.ignore_unknown_fields = true}),
              HasSubstr("nests deeper than 100 levels"));
  EXPECT_THAT(Fault("{\"aValue\":" + open), HasSubstr("nests"));
  EXPECT_THAT(Fault("{\"anAny\":" + open), HasSubstr("expected an object"));
  // Each level of a Struct is three messages, of which protobuf reads a hundred.
  std::string value = "{\"aValue\":";
  for (int i = 0; i < 60; ++i) value += "{\"a\":";
  value += "1";
  for (int i = 0; i < 61; ++i) value += "}";
  EXPECT_THAT(Fault(value), HasSubstr("nests messages deeper than protobuf reads them"));

  Zoo zoo;
  Zoo* inner = &zoo;
  for (int i = 0; i < 150; ++i) inner = inner->mutable_a_zoo();
  EXPECT_THAT(Written(zoo), HasSubstr("nests deeper than 100 levels"));
}

// Against the library's own shortest form, in numbers with few decimals, many, and their
// neighbours.
TEST(JsonTest, NumbersAreTheShortest) {
  const auto check = [](double value) {
    char ours[internal::json::kNumberRoom];
    const std::string_view text(
        ours, static_cast<std::size_t>(internal::json::FormatDouble(value, ours) - ours));
    double back = 0;
    std::from_chars(text.data(), text.data() + text.size(), back);
    ASSERT_EQ(back, value) << text;
    char theirs[64];
    char* const end = std::to_chars(theirs, theirs + 64, value, std::chars_format::scientific).ptr;
    const auto digits = [](std::string_view number) {
      std::string only;
      for (const char c : number.substr(0, number.find('e'))) {
        if (c >= '0' && c <= '9') only += c;
      }
      only.erase(0, std::min(only.find_first_not_of('0'), only.size()));
      while (only.ends_with('0')) only.pop_back();
      return only;
    };
    ASSERT_EQ(digits(text), digits({theirs, static_cast<std::size_t>(end - theirs)})) << text;
  };
  const auto check_float = [](float value) {
    char ours[internal::json::kNumberRoom];
    const std::string_view text(
        ours, static_cast<std::size_t>(internal::json::FormatFloat(value, ours) - ours));
    float back = 0;
    std::from_chars(text.data(), text.data() + text.size(), back);
    ASSERT_EQ(back, value) << text;
    char theirs[64];
    const char* const end = std::to_chars(theirs, theirs + 64, value).ptr;
    ASSERT_LE(
        text.find('e') == std::string_view::npos && value < 1e6F && value > 1e-3F ? text.size() : 0,
        static_cast<std::size_t>(end - theirs) + 1)
        << text;
  };
  for (int i = 1; i < 200'000; i += 7) {
    for (const double scale : {1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e-9}) {
      const double value = i / scale;
      check(value);
      check(-value);
      check(std::nextafter(value, 0));
      check(value * 1e9 + 1 / scale);
      check_float(static_cast<float>(value));
    }
  }
}

// ---- well-known types ---------------------------------------------------------------------------

TEST(JsonWellKnownTest, Timestamp) {
  EXPECT_SAME(R"({"timestamps":["1970-01-01T00:00:00Z","0001-01-01T00:00:00Z",)"
              R"("9999-12-31T23:59:59.999999999Z","2026-02-28T12:34:56.780Z",)"
              R"("1969-12-31T23:59:59.000001Z","2000-02-29T00:00:00.100Z",)"
              R"("1900-03-01T00:00:00.000000001Z"]})");
  EXPECT_EQ(Again(R"({"timestamps":["2026-01-01T00:00:00+05:30","2025-12-31T23:59:59.5-00:01",)"
                  R"("1970-01-01T00:00:00.123456Z","1970-01-01T00:00:00.1200Z"]})"),
            R"({"timestamps":["2025-12-31T18:30:00Z","2026-01-01T00:00:59.500Z",)"
            R"("1970-01-01T00:00:00.123456Z","1970-01-01T00:00:00.120Z"]})");
  for (const char* bad : {"",
                          "2026-01-01",
                          "2026-01-01T00:00:00",
                          "2026-01-01t00:00:00Z",
                          "2026-01-01T00:00:00z",
                          "2026-01-01 00:00:00Z",
                          "2026-1-01T00:00:00Z",
                          "2026-02-29T00:00:00Z",
                          "2026-13-01T00:00:00Z",
                          "2026-00-01T00:00:00Z",
                          "2026-01-00T00:00:00Z",
                          "2026-04-31T00:00:00Z",
                          "2026-01-01T24:00:00Z",
                          "2026-01-01T00:60:00Z",
                          "2026-01-01T00:00:60Z",
                          "2026-01-01T00:00:00.Z",
                          "2026-01-01T00:00:00.1234567890Z",
                          "2026-01-01T00:00:00+0530",
                          "2026-01-01T00:00:00+05",
                          "2026-01-01T00:00:00+24:00",
                          "2026-01-01T00:00:00ZZ",
                          "0000-12-31T23:59:59Z",
                          "0001-01-01T00:00:00+00:01",
                          "9999-12-31T23:59:59-00:01",
                          "10000-01-01T00:00:00Z",
                          "1900-02-29T00:00:00Z",
                          " 2026-01-01T00:00:00Z",
                          "2026-01-01T00:00:00Z "}) {
    EXPECT_THAT(Fault("{\"aTimestamp\":\"" + std::string(bad) + "\"}"),
                StartsWith("aTimestamp: \"" + std::string(bad) + "\" "))
        << bad;
  }
  EXPECT_THAT(Fault(R"({"aTimestamp":5})"), HasSubstr("expected a time such as"));
  Zoo zoo;
  zoo.mutable_a_timestamp()->set_seconds(253'402'300'800);
  EXPECT_THAT(Written(zoo), StartsWith("FAILED aTimestamp: 253402300800 seconds"));
  zoo.mutable_a_timestamp()->set_seconds(0);
  zoo.mutable_a_timestamp()->set_nanos(-1);
  EXPECT_THAT(Written(zoo), StartsWith("FAILED aTimestamp: "));
  zoo.mutable_a_timestamp()->set_nanos(1'000'000'000);
  EXPECT_THAT(Written(zoo), StartsWith("FAILED aTimestamp: "));
  zoo.mutable_a_timestamp()->set_nanos(0);
  zoo.mutable_a_timestamp()->set_seconds(-62'135'596'801);
  EXPECT_THAT(Written(zoo), StartsWith("FAILED aTimestamp: "));
}

TEST(JsonWellKnownTest, EveryDayOfFourCenturiesComesBack) {
  for (std::int64_t day = -719'162; day < 2'932'896; day += 37) {
    const std::int64_t second = (day & 0xffff) + 7;
    char out[internal::json::kNumberRoom];
    const char* const end = internal::json::FormatTimestamp(day * 86'400 + second, 0, out);
    ASSERT_NE(end, nullptr) << day;
    std::int64_t seconds = 0;
    std::int32_t nanos = 0;
    const std::string_view inside(out + 1, static_cast<std::size_t>(end - out) - 2);
    ASSERT_EQ(internal::json::ParseTimestamp(inside, &seconds, &nanos), nullptr) << inside;
    ASSERT_EQ(seconds, day * 86'400 + second) << inside;
  }
}

TEST(JsonWellKnownTest, Duration) {
  EXPECT_SAME(R"({"durations":["0s","1s","-1s","0.500s","-0.500s","1.000340012s","0.000001s",)"
              R"("315576000000s","-315576000000s","-3.000000001s"]})");
  EXPECT_EQ(Again(R"({"durations":["1.5s","-0.1s","1.0s","007s","-0s"]})"),
            R"({"durations":["1.500s","-0.100s","1s","7s","0s"]})");
  for (const char* bad :
       {"", "s", "1", "1.s", ".5s", "1.1234567890s", "1 s", "+1s", "1S", "1ms", "--1s",
        "315576000001s", "-315576000001s", "99999999999999999999999s", "1e3s", "1s "}) {
    EXPECT_THAT(Fault("{\"aDuration\":\"" + std::string(bad) + "\"}"),
                StartsWith("aDuration: \"" + std::string(bad) + "\" is "))
        << bad;
  }
  EXPECT_THAT(Fault(R"({"aDuration":5})"), HasSubstr("expected a duration such as"));
  Zoo zoo;
  zoo.mutable_a_duration()->set_seconds(1);
  zoo.mutable_a_duration()->set_nanos(-1);
  EXPECT_THAT(Written(zoo), StartsWith("FAILED aDuration: 1 seconds and -1 nanoseconds"));
  zoo.mutable_a_duration()->set_seconds(-1);
  EXPECT_EQ(Written(zoo), R"({"aDuration":"-1.000000001s"})");
  zoo.mutable_a_duration()->set_nanos(0);
  zoo.mutable_a_duration()->set_seconds(315'576'000'001);
  EXPECT_THAT(Written(zoo), StartsWith("FAILED aDuration: "));
}

TEST(JsonWellKnownTest, FieldMask) {
  EXPECT_SAME(R"({"masks":["","a","fooBar,baz.quxQuux","a1,b2c.dE3"]})");
  Zoo zoo;
  ASSERT_TRUE(JsonToMessage(R"({"aMask":"fooBar,baz.quxQuux"})", &zoo).ok());
  EXPECT_THAT(zoo.a_mask().paths(), ::testing::ElementsAre("foo_bar", "baz.qux_quux"));
  for (const char* bad : {"foo_bar", "a,,b", ",a", "a,", "a b", "a-b", "\\u00e9", ","}) {
    EXPECT_THAT(Fault("{\"aMask\":\"" + std::string(bad) + "\"}"),
                HasSubstr("is no list of paths in lowerCamelCase"))
        << bad;
  }
  for (const char* bad : {"fooBar", "foo__bar", "foo_3_bar", "foo_", "a b", ""}) {
    Zoo mask;
    mask.mutable_a_mask()->add_paths(bad);
    EXPECT_THAT(Written(mask), HasSubstr("is no path in lower_snake_case")) << bad;
  }
}

TEST(JsonWellKnownTest, StructValueAndList) {
  EXPECT_SAME(R"({"aStruct":{"a":1,"b":"two","c":[true,null,{"d":-0.5,"e":[]}],"f":{},"g":false},)"
              R"("aValue":{"x":["y"]},"aList":[1,[2,[3]],{},"s",null]})");
  EXPECT_SAME(R"({"structs":[{},{"a":null}],"values":[1,"1",true,null,[],{}],"lists":[[],[1]]})");
  EXPECT_SAME(R"({"aValue":"NaN"})");
  EXPECT_EQ(Fault(R"({"aValue":1e400})"), "aValue: 1e400 is out of range for double");
  EXPECT_EQ(Fault(R"({"aStruct":{"a":[1,{"b":1e400}]}})"),
            "aStruct[\"a\"][1][\"b\"]: 1e400 is out of range for double");
  EXPECT_EQ(Fault(R"({"aStruct":[]})"), "aStruct: expected an object, got a list");
  EXPECT_EQ(Fault(R"({"aList":{}})"), "aList: expected a list, got an object");
  EXPECT_EQ(Fault(R"({"aValue":nul})"), "aValue: expected a value, got nul");
  EXPECT_EQ(Fault(R"({"aValue":@})"), "aValue: expected a value, got @");
  Zoo zoo;
  zoo.add_values()->set_number_value(std::numeric_limits<double>::quiet_NaN());
  EXPECT_THAT(Written(zoo), StartsWith("FAILED values[0]: a google.protobuf.Value cannot be NaN"));
  zoo.mutable_values(0)->set_number_value(-std::numeric_limits<double>::infinity());
  EXPECT_THAT(Written(zoo), StartsWith("FAILED values[0]: a google.protobuf.Value cannot be NaN"));
  zoo.mutable_values(0)->Clear();
  EXPECT_THAT(Written(zoo), StartsWith("FAILED values[0]: a google.protobuf.Value has none"));
  google::protobuf::Struct fields;
  (*fields.mutable_fields())["k"].set_number_value(std::nan(""));
  EXPECT_THAT(Written(fields), StartsWith("FAILED [\"k\"]: a google.protobuf.Value cannot be NaN"));
}

TEST(JsonWellKnownTest, Wrappers) {
  EXPECT_SAME(
      R"({"doubleWrapper":1.5,"floatWrapper":"NaN","int64Wrapper":"-1","uint64Wrapper":"1",)"
      R"("int32Wrapper":-1,"uint32Wrapper":1,"boolWrapper":true,"stringWrapper":"s",)"
      R"("bytesWrapper":"AQ=="})");
  EXPECT_SAME(R"({"doubleWrapper":0,"floatWrapper":0,"int64Wrapper":"0","uint64Wrapper":"0",)"
              R"("int32Wrapper":0,"uint32Wrapper":0,"boolWrapper":false,"stringWrapper":"",)"
              R"("bytesWrapper":""})");
  EXPECT_SAME(R"({"int64Wrappers":["0","1"],"stringWrappers":["","a"]})");
  EXPECT_EQ(Fault(R"({"int64Wrappers":[null]})"), "int64Wrappers[0]: null is no element of a list");
  EXPECT_EQ(Fault(R"({"int32Wrapper":{"value":1}})"),
            "int32Wrapper: expected a number, got an object");
}

TEST(JsonWellKnownTest, StandAloneAsWell) {
  EXPECT_SAME_AS(google::protobuf::Int64Value, "\"5\"");
  EXPECT_SAME_AS(google::protobuf::StringValue, "\"text\"");
  EXPECT_SAME_AS(google::protobuf::Timestamp, "\"2026-01-01T00:00:00Z\"");
  EXPECT_SAME_AS(google::protobuf::Duration, "\"1.500s\"");
  EXPECT_SAME_AS(google::protobuf::Struct, R"({"a":[1]})");
  EXPECT_SAME_AS(google::protobuf::Value, "null");
  EXPECT_SAME_AS(google::protobuf::Value, "[1,{\"a\":null}]");
  EXPECT_SAME_AS(google::protobuf::ListValue, "[]");
  EXPECT_SAME_AS(google::protobuf::Empty, "{}");
  EXPECT_SAME_AS(google::protobuf::FieldMask, "\"a,b\"");
  EXPECT_EQ(Fault<google::protobuf::Empty>(R"({"a":1})"),
            "there is no field \"a\" in google.protobuf.Empty");
}

TEST(JsonWellKnownTest, Any) {
  EXPECT_SAME(R"({"anAny":{"@type":"type.googleapis.com/rookery.testing.Zoo","anInt32":1,)"
              R"("int64s":["1","2"],"byString":{"a":"b"}}})");
  EXPECT_SAME(
      R"({"anAny":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1.500s"}})");
  EXPECT_SAME(R"({"anAny":{"@type":"x/google.protobuf.Value","value":{"a":null}}})");
  EXPECT_SAME(R"({"anAny":{"@type":"x/google.protobuf.Value","value":null}})");
  EXPECT_SAME(R"({"anAny":{"@type":"x/google.protobuf.Int32Value","value":0}})");
  EXPECT_SAME(
      R"({"anAny":{"@type":"x/google.protobuf.Any","value":{"@type":"y/google.protobuf.Struct",)"
      R"("value":{"a":1}}}})");
  EXPECT_SAME(R"({"anAny":{}})");
  EXPECT_SAME(R"({"anAny":{"@type":"x/google.protobuf.Empty"}})");
  EXPECT_EQ(Again(R"({"anAny":{"@type":"x/google.protobuf.Empty","value":{}}})"),
            R"({"anAny":{"@type":"x/google.protobuf.Empty"}})");
  // "@type" may come anywhere.
  EXPECT_EQ(Again(R"({"anAny":{"anInt32":1,"zoos":[{"anInt32":2}],"@type":"x/rookery.testing.Zoo",)"
                  R"("aBool":true}})"),
            R"({"anAny":{"@type":"x/rookery.testing.Zoo","anInt32":1,"aBool":true,)"
            R"("zoos":[{"anInt32":2}]}})");
  EXPECT_EQ(Again(R"({"anAny":{"value":"1s","@type":"x/google.protobuf.Duration"}})"),
            R"({"anAny":{"@type":"x/google.protobuf.Duration","value":"1s"}})");
  // What is within is a message like any other.
  Zoo zoo;
  ASSERT_TRUE(JsonToMessage(
                  R"({"anAny":{"@type":"x/rookery.testing.Zoo","zoos":[{"aString":"hi"}]}})", &zoo)
                  .ok());
  Zoo inside;
  ASSERT_TRUE(zoo.an_any().UnpackTo(&inside));
  EXPECT_EQ(inside.zoos(0).a_string(), "hi");

  EXPECT_EQ(Fault(R"({"anAny":{"anInt32":1}})"),
            "anAny: lacks \"@type\", which says what message this is");
  EXPECT_EQ(Fault(R"({"anAny":{"@type":"x/no.Such"}})"),
            "anAny.@type: \"x/no.Such\" is no message type that this program knows");
  EXPECT_THAT(Fault(R"({"anAny":{"@type":"rookery.testing.Zoo"}})"), HasSubstr("begins with"));
  EXPECT_THAT(Fault(R"({"anAny":{"@type":""}})"), HasSubstr("anAny.@type: "));
  EXPECT_THAT(Fault(R"({"anAny":{"@type":1}})"), HasSubstr("anAny.@type: expected a string"));
  EXPECT_EQ(Again(R"({"anAny":{"@type":"x/google.protobuf.FieldMask"}})"),
            R"({"anAny":{"@type":"x/google.protobuf.FieldMask","value":""}})");
  EXPECT_EQ(Fault(R"({"anAny":{"@type":"x/google.protobuf.Value"}})"),
            "anAny: lacks \"value\", which google.protobuf.Value has in an Any");
  EXPECT_THAT(Fault(R"({"anAny":{"@type":"x/google.protobuf.Duration","value":"1s","more":1}})"),
              HasSubstr("and so only \"value\" beside it"));
  EXPECT_EQ(Fault(R"({"anAny":{"@type":"x/rookery.testing.Zoo","anInt32":1.5}})"),
            "anAny.anInt32: 1.5 is no whole number, as int32 has them");
  EXPECT_EQ(Fault(R"({"anAny":{"@type":"x/google.protobuf.Duration","value":"1"}})"),
            "anAny.value: \"1\" is no duration such as 1.5s");
  EXPECT_EQ(Fault(R"({"anAny":{"@type":"x/rookery.testing.Zoo","@type":"x/rookery.testing.Zoo"}})"),
            "anAny: \"@type\" appears twice");
  EXPECT_EQ(Fault(R"({"anAny":{"@type":"x/google.protobuf.Value","value":1,"value":2}})"),
            "anAny: \"value\" appears twice");
}

TEST(JsonWellKnownTest, AnAnyInAnAnyCostsNoMoreThanItMay) {
  const auto nested = [](int levels, bool first) {
    std::string json =
        R"({"@type":"x/google.protobuf.StringValue","value":")" + std::string(100'000, 'x') + "\"}";
    for (int i = 0; i < levels; ++i) {
      json = first ? R"({"@type":"x/google.protobuf.Any","value":)" + json + "}"
                   : R"({"value":)" + json + R"(,"@type":"x/google.protobuf.Any"})";
    }
    return json;
  };
  EXPECT_EQ(Again<google::protobuf::Any>(nested(6, false)), nested(6, true));
  EXPECT_THAT(Fault<google::protobuf::Any>(nested(90, false)), HasSubstr("put it first"));
  google::protobuf::Any any;
  ASSERT_TRUE(JsonToMessage(nested(90, true), &any).ok());
  EXPECT_THAT(Written(any), HasSubstr("holds too many an Any within an Any"));
}

TEST(JsonWellKnownTest, AnAnyThatCannotBeShown) {
  Zoo zoo;
  zoo.mutable_an_any()->set_type_url("type.googleapis.com/no.Such");
  zoo.mutable_an_any()->set_value("\x01\x02");
  EXPECT_EQ(Written(zoo),
            "FAILED anAny.@type: \"type.googleapis.com/no.Such\" is no message type that "
            "this program knows");
  EXPECT_EQ(Written(zoo, {.unknown_any_as_base64 = true}),
            R"({"anAny":{"@type":"type.googleapis.com/no.Such","value":"AQI="}})");
  zoo.mutable_an_any()->set_type_url("x/rookery.testing.Zoo");
  zoo.mutable_an_any()->set_value("\x0a");
  EXPECT_THAT(Written(zoo), HasSubstr("does not describe the bytes of the value"));
  EXPECT_EQ(Written(zoo, {.unknown_any_as_base64 = true}),
            R"({"anAny":{"@type":"x/rookery.testing.Zoo","value":"Cg=="}})");
  zoo.mutable_an_any()->set_type_url("");
  EXPECT_THAT(Written(zoo), StartsWith("FAILED anAny.@type: \"\" is no message type"));
  // Bytes in an order that no serialiser has, with a field twice: what protobuf makes of them.
  zoo.mutable_an_any()->set_type_url("x/rookery.testing.Zoo");
  zoo.mutable_an_any()->set_value(std::string("\x28\x07\x18\x01\x18\x02", 6));
  EXPECT_EQ(Written(zoo), R"({"anAny":{"@type":"x/rookery.testing.Zoo","anInt32":2,"aUint32":7}})");
}

// ---- proto2 -------------------------------------------------------------------------------------

TEST(JsonProto2Test, GroupsExtensionsAndClosedEnums) {
  EXPECT_SAME_AS(Zoo2,
                 R"({"count":0,"name":"","closed":"TWO","closeds":["ONE"],"packedCloseds":["TWO"],)"
                 R"("closedByString":{"a":"ONE"},"burrow":{"depth":3,"guest":{"count":1}},)"
                 R"("den":[{"owner":"a"},{}],"numbers":[1,2],"thatOne":"x",)"
                 R"("[rookery.testing.visitors]":5,"[rookery.testing.keepers]":["k"],)"
                 R"("[rookery.testing.neighbour]":{"last":false},"last":true})");
  EXPECT_EQ(Fault<Zoo2>(R"({"closed":3})"),
            "closed: there is no value 3 in rookery.testing.Zoo2.Closed");
  EXPECT_EQ(Again<Zoo2>(R"({"closed":3,"closeds":[1,3],"closedByString":{"a":3}})",
                        {.ignore_unknown_fields = true}),
            R"({"closeds":["ONE"]})");
  EXPECT_EQ(Fault<Zoo2>(R"({"[rookery.testing.visitors]":1,"[rookery.testing.visitors]":1})"),
            "[rookery.testing.visitors]: appears twice");
  EXPECT_EQ(Fault<Zoo2>(R"({"[rookery.testing.nothing]":1})"),
            "there is no field \"[rookery.testing.nothing]\" in rookery.testing.Zoo2");
  EXPECT_EQ(Fault<Zoo2>(R"({"[rookery.testing.neighbour]":{"count":"x"}})"),
            "[rookery.testing.neighbour].count: \"x\" is no number");
  EXPECT_EQ(Fault<Zoo2>(R"({"den":[{"owner":1}]})"), "den[0].owner: expected a string, got 1");
}

TEST(JsonProto2Test, WhatIsNotKnownIsNotWritten) {
  // 3: closed = 9; 4: closeds = 1, 9, 2; 6: closed_by_string = {"k": 9}; 1: count as a string; 999.
  std::string bytes;
  const auto put = [&](std::initializer_list<int> more) {
    for (const int byte : more) bytes.push_back(static_cast<char>(byte));
  };
  put({3 << 3, 9, 4 << 3, 1, 4 << 3, 9, 4 << 3, 2, 6 << 3 | 2, 5, 0x0a, 1, 'k', 0x10, 9});
  put({1 << 3 | 2, 1, 'x', 0xb8, 0x3e, 5});
  Zoo2 zoo;
  ASSERT_TRUE(zoo.ParseFromString(bytes));
  EXPECT_EQ(Written(zoo), R"({"closeds":["ONE","TWO"]})");
  EXPECT_EQ(
      Written(zoo, {.always_print_fields_with_no_presence = true}),
      R"({"closeds":["ONE","TWO"],"packedCloseds":[],"closedByString":{},"den":[],"numbers":[]})");
}

TEST(JsonProto2Test, RequiredFieldsAreRequired) {
  EXPECT_SAME_AS(Demanding, R"({"needed":0,"below":{"needed":1}})");
  EXPECT_EQ(Fault<Demanding>("{}"), "lacks required fields: needed");
  EXPECT_EQ(Fault<Demanding>(R"({"needed":1,"below":{}})"), "lacks required fields: below.needed");
  EXPECT_EQ(Written(Demanding()), "{}");
}

// ---- fields -------------------------------------------------------------------------------------

const google::protobuf::FieldDescriptor& ZooField(const char* name) {
  return *Zoo::descriptor()->FindFieldByName(name);
}

TEST(JsonFieldTest, WritesOne) {
  Zoo zoo;
  ASSERT_TRUE(JsonToMessage(R"({"anInt32":1,"strings":["a","b"],"byString":{"k":"v"},)"
                            R"("aZoo":{"anInt32":2},"aTimestamp":"1970-01-01T00:00:00Z"})",
                            &zoo)
                  .ok());
  const auto value = [&](const char* name) {
    std::string out = ">";
    const absl::Status status = AppendFieldAsJson(zoo, ZooField(name), {}, &out);
    return status.ok() ? out : status.ToString();
  };
  EXPECT_EQ(value("an_int32"), ">1");
  EXPECT_EQ(value("strings"), R"(>["a","b"])");
  EXPECT_EQ(value("by_string"), R"(>{"k":"v"})");
  EXPECT_EQ(value("a_zoo"), R"(>{"anInt32":2})");
  EXPECT_EQ(value("a_timestamp"), R"(>"1970-01-01T00:00:00Z")");
  EXPECT_EQ(value("an_int64"), R"(>"0")");
  EXPECT_EQ(value("a_string"), R"(>"")");
  EXPECT_EQ(value("zoos"), ">[]");
  EXPECT_EQ(value("by_int32"), ">{}");
  EXPECT_EQ(value("an_empty"), ">null");
  EXPECT_EQ(value("a_colour"), ">\"COLOUR_UNSPECIFIED\"");
  std::string out;
  EXPECT_EQ(AppendFieldAsJson(zoo, *Zoo2::descriptor()->field(0), {}, &out).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(JsonFieldTest, ReadsOneAndLeavesTheOthers) {
  Zoo zoo;
  zoo.set_a_string("kept");
  zoo.add_int32s(9);
  const auto read = [&](const char* name, std::string_view json) {
    return std::string(JsonToField(json, ZooField(name), &zoo).message());
  };
  EXPECT_EQ(read("int32s", "[1,2]"), "");
  EXPECT_EQ(read("a_zoo", R"({"anInt32":1})"), "");
  EXPECT_EQ(read("by_string", R"({"a":"b"})"), "");
  EXPECT_EQ(read("choice_null", "null"), "");
  EXPECT_EQ(Written(zoo), R"({"aString":"kept","aZoo":{"anInt32":1},"int32s":[1,2],)"
                          R"("byString":{"a":"b"},"choiceNull":null})");
  EXPECT_EQ(read("a_zoo", R"({"aBool":true})"), "");
  EXPECT_EQ(read("int32s", "null"), "");
  EXPECT_EQ(read("by_string", "{}"), "");
  EXPECT_EQ(read("choice_null", "0"), "");
  EXPECT_EQ(read("an_int32", "0"), "");
  EXPECT_EQ(Written(zoo), R"({"aString":"kept","aZoo":{"aBool":true},"choiceNull":null})");
  EXPECT_EQ(read("a_zoo", R"({"anInt32":"x"})"), "aZoo.anInt32: \"x\" is no number");
  EXPECT_EQ(read("a_zoo", "{} 1"), "there is more behind the value at line 1, column 4");
  EXPECT_EQ(Written(zoo), R"({"aString":"kept","aZoo":{"aBool":true},"choiceNull":null})");
}

TEST(JsonFieldTest, ReadsTextAsItStandsInAUrl) {
  Zoo zoo;
  const auto set = [&](const char* name, std::string_view text) {
    return std::string(TextToField(text, ZooField(name), &zoo).message());
  };
  EXPECT_EQ(set("an_int32", "-7"), "");
  EXPECT_EQ(set("an_int64", "1e3"), "");
  EXPECT_EQ(set("a_bool", "true"), "");
  EXPECT_EQ(set("a_string", "a \"b\" \\ \n"), "");
  EXPECT_EQ(set("a_bytes", "AQI"), "");
  EXPECT_EQ(set("a_colour", "RED"), "");
  EXPECT_EQ(set("colours", "-3"), "");
  EXPECT_EQ(set("colours", "GREEN"), "");
  EXPECT_EQ(set("strings", "true"), "");
  EXPECT_EQ(set("strings", ""), "");
  EXPECT_EQ(set("a_double", "NaN"), "");
  EXPECT_EQ(set("a_timestamp", "1970-01-01T00:00:00Z"), "");
  EXPECT_EQ(set("a_duration", "1s"), "");
  EXPECT_EQ(set("a_mask", "a,bC"), "");
  EXPECT_EQ(set("bool_wrapper", "false"), "");
  EXPECT_EQ(set("int64_wrapper", "5"), "");
  EXPECT_EQ(set("string_wrapper", "null"), "");
  EXPECT_EQ(
      Written(zoo),
      R"({"aDouble":"NaN","anInt32":-7,"anInt64":"1000","aBool":true,"aString":"a \"b\" \\ \n",)"
      R"("aBytes":"AQI=","aColour":"RED","strings":["true",""],"colours":["BLUE","GREEN"],)"
      R"("aTimestamp":"1970-01-01T00:00:00Z","aDuration":"1s","aMask":"a,bC",)"
      R"("int64Wrapper":"5","boolWrapper":false,"stringWrapper":"null"})");
  EXPECT_EQ(set("a_bool", "1"), "aBool: expected true or false, got \"1\"");
  EXPECT_EQ(set("a_bool", "TRUE"), "aBool: expected true or false, got \"TRUE\"");
  EXPECT_EQ(set("an_int32", ""), "anInt32: \"\" is no number");
  EXPECT_EQ(set("an_int32", "1]"), "anInt32: \"1]\" is no number");
  EXPECT_EQ(set("a_colour", "1,2"), "aColour: there is no value \"1,2\" in rookery.testing.Colour");
  EXPECT_EQ(set("int32s", "x"), "int32s[0]: \"x\" is no number");
  EXPECT_EQ(set("a_string", "\xff"), "aString: is not UTF-8");
  EXPECT_THAT(set("a_zoo", "{}"), HasSubstr("which has no spelling as text"));
  EXPECT_THAT(set("by_string", "{}"), HasSubstr("which has no spelling as text"));
  EXPECT_THAT(set("a_value", "1"), HasSubstr("which has no spelling as text"));
}

// ---- pools, threads, memory ---------------------------------------------------------------------

// A pool of its own with the zoo in it.
struct DynamicZoo {
  DynamicZoo() {
    for (const char* name : {"google/protobuf/any.proto", "google/protobuf/duration.proto",
                             "google/protobuf/empty.proto", "google/protobuf/field_mask.proto",
                             "google/protobuf/struct.proto", "google/protobuf/timestamp.proto",
                             "google/protobuf/wrappers.proto", "zoo.proto"}) {
      google::protobuf::FileDescriptorProto file;
      google::protobuf::DescriptorPool::generated_pool()->FindFileByName(name)->CopyTo(&file);
      google::protobuf::DescriptorPool::generated_pool()->FindFileByName(name)->CopyJsonNameTo(
          &file);
      EXPECT_NE(pool.BuildFile(file), nullptr) << name;
    }
    type = pool.FindMessageTypeByName("rookery.testing.Zoo");
  }
  std::unique_ptr<Message> New() {
    return std::unique_ptr<Message>(factory.GetPrototype(type)->New());
  }
  google::protobuf::DescriptorPool pool;
  google::protobuf::DynamicMessageFactory factory{&pool};
  const google::protobuf::Descriptor* type = nullptr;
};

TEST(JsonPoolTest, DynamicMessages) {
  const std::string_view json =
      R"({"anInt32":1,"a \"quoted\"\\name":2,"zoos":[{"aColour":"RED"}],"byString":{"a":"b"},)"
      R"("anAny":{"@type":"x/rookery.testing.Zoo","aTimestamp":"1970-01-01T00:00:00Z"},)"
      R"("aStruct":{"a":[1,null]}})";
  const std::string expected = Again(json);
  for (int i = 0; i < 3; ++i) {
    // A pool after a pool, in all likelihood at the same place.
    DynamicZoo zoo;
    const std::unique_ptr<Message> message = zoo.New();
    ASSERT_TRUE(JsonToMessage(json, message.get()).ok());
    EXPECT_EQ(Written(*message, {.sort_map_keys = true}), expected);
    const JsonCodec codec(&zoo.pool);
    const std::unique_ptr<Message> again = zoo.New();
    ASSERT_TRUE(codec.Read(json, again.get()).ok());
    std::string out;
    ASSERT_TRUE(codec.Append(*again, {.sort_map_keys = true}, &out).ok());
    EXPECT_EQ(out, expected);
  }
}

TEST(JsonPoolTest, ACodecKeepsToItsPool) {
  DynamicZoo zoo;
  const JsonCodec codec(&zoo.pool);
  Zoo generated;
  std::string out;
  EXPECT_EQ(codec.Append(generated, {}, &out).message(),
            "the type rookery.testing.Zoo is of another pool than the JsonCodec");
  EXPECT_EQ(codec.Read("{}", &generated).code(), absl::StatusCode::kInvalidArgument);
  // A pool above another has the types of both.
  const google::protobuf::DescriptorPool above(google::protobuf::DescriptorPool::generated_pool());
  const JsonCodec both(&above);
  ASSERT_TRUE(both.Read(R"({"anInt32":1})", &generated).ok());
  ASSERT_TRUE(both.Append(generated, {}, &out).ok());
  EXPECT_EQ(out, R"({"anInt32":1})");
}

TEST(JsonPoolTest, ManyThreadsCompileAtOnce) {
  DynamicZoo zoo;
  const std::string_view json = R"({"aZoo":{"zoos":[{"byString":{"a":"b"}}]},"aColour":"RED"})";
  const JsonCodec codec(&zoo.pool);
  std::vector<std::thread> threads;
  std::vector<std::string> out(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const std::unique_ptr<Message> message = zoo.New();
        std::string text;
        if (codec.Read(json, message.get()).ok() && codec.Append(*message, {}, &text).ok()) {
          out[static_cast<std::size_t>(t)] = text;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string expected = Again(json);
  for (const std::string& one : out) EXPECT_EQ(one, expected);
}

TEST(JsonTest, ReadsIntoMessagesOnAnArena) {
  google::protobuf::Arena arena;
  auto* const zoo = google::protobuf::Arena::CreateMessage<Zoo>(&arena);
  ASSERT_TRUE(JsonToMessage(R"({"strings":["a"],"aZoo":{"aString":"b"}})", zoo).ok());
  EXPECT_EQ(Written(*zoo), R"({"aZoo":{"aString":"b"},"strings":["a"]})");
}

TEST(JsonTest, IndentsForPeople) {
  Zoo zoo;
  ASSERT_TRUE(
      JsonToMessage(R"({"int32s":[1,2],"zoos":[{}],"aString":"{,:\"}","byString":{"a":"b"}})", &zoo)
          .ok());
  const std::string text = Written(zoo, {.pretty = true});
  EXPECT_EQ(text, R"({
  "aString": "{,:\"}",
  "int32s": [
    1,
    2
  ],
  "zoos": [
    {}
  ],
  "byString": {
    "a": "b"
  }
})");
  EXPECT_EQ(Again(text), Written(zoo));
}

TEST(JsonTest, AppendsAndLeavesTheRestAloneOnFailure) {
  Zoo zoo;
  std::string out = "data: ";
  ASSERT_TRUE(AppendMessageAsJson(zoo, {}, &out).ok());
  EXPECT_EQ(out, "data: {}");
  zoo.set_a_string("\xff");
  JsonFault fault;
  EXPECT_FALSE(AppendMessageAsJson(zoo, {}, &out, &fault).ok());
  EXPECT_EQ(out, "data: {}");
  EXPECT_EQ(fault.path, "aString");
}

TEST(JsonTest, BigMessagesComeBack) {
  // Nested messages of each length around the steps of a varint, in a text long enough that lengths
  // get wide room, and in one that is not.
  for (const int rest : {0, 40'000}) {
    Zoo zoo;
    for (const int size :
         {0,   1,   100, 120, 121, 122, 123, 124, 125, 126,    127,    128,    129,
          250, 251, 252, 253, 254, 255, 256, 257, 258, 16'370, 16'380, 16'384, 16'390}) {
      zoo.add_zoos()->set_a_string(std::string(static_cast<std::size_t>(size), 'x'));
      zoo.add_zoos()->mutable_a_zoo()->set_a_string(
          std::string(static_cast<std::size_t>(size), 'y'));
      (*zoo.mutable_by_string())[std::string(static_cast<std::size_t>(size), 'k')] = "v";
      *zoo.add_anys()->mutable_type_url() = "x/rookery.testing.Zoo";
      zoo.mutable_anys(zoo.anys_size() - 1)
          ->set_value(zoo.zoos(zoo.zoos_size() - 1).SerializeAsString());
    }
    for (int i = 0; i < rest; ++i) zoo.add_doubles(i);
    zoo.set_far(std::string(static_cast<std::size_t>(rest), 'z'));
    Zoo back;
    ASSERT_TRUE(JsonToMessage(Written(zoo), &back).ok());
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(back, zoo));
    EXPECT_EQ(back.anys(5).value(), zoo.anys(5).value())
        << "bytes in an Any are as short as can be";
  }
}

// The text ends where memory does: nothing reads beyond it.
TEST(JsonTest, ReadsNothingBehindTheText) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* const map =
      mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(map, MAP_FAILED);
  char* const end = static_cast<char*>(map) + page;
  ASSERT_EQ(mprotect(end, page, PROT_NONE), 0);
  const std::string padding(300, ' ');
  for (const char* json :
       {R"({})", R"({"anInt32":1})", R"({"aString":"0123456789abcdef0123456789abcdef"})", R"({"a)",
        R"({"aString":"x\)", R"({"anInt32":12)", R"({"aBool":tru)", R"([)", R"("x")", R"(1)",
        R"({"aDouble":1.5e)", R"({"anInt32")", "{\"aString\":\"\xe2\x82",
        R"({"aString":"\ud83d)"}) {
    for (std::size_t before = 0; before <= padding.size(); before += 7) {
      const std::string text = padding.substr(0, before) + json;
      char* const begin = end - text.size();
      std::memcpy(begin, text.data(), text.size());
      Zoo zoo;
      const absl::Status placed = JsonToMessage({begin, text.size()}, &zoo);
      EXPECT_EQ(placed, JsonToMessage(text, &zoo)) << text;
    }
  }
  munmap(map, 2 * page);
}

}  // namespace
}  // namespace rookery
