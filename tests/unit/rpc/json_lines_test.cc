#include "rookery/rpc/json_lines.h"

#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rookery {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Taken(JsonLines* lines) {
  std::vector<std::string> taken;
  while (const auto line = lines->Next()) taken.emplace_back(*line);
  return taken;
}

TEST(JsonLinesTest, CutsAtNewlinesHoweverTheBytesCome) {
  const std::string_view text = "{\"a\":1}\n\r\n  [2] \r\n\n\"\\n\"\n3";
  for (std::size_t piece = 1; piece <= text.size(); ++piece) {
    JsonLines lines(100);
    std::vector<std::string> taken;
    for (std::size_t at = 0; at < text.size(); at += piece) {
      lines.Add(text.substr(at, piece));
      for (const std::string& line : Taken(&lines)) taken.push_back(line);
    }
    EXPECT_THAT(taken, ElementsAre("{\"a\":1}", "[2]", "\"\\n\"")) << piece;
    EXPECT_EQ(lines.Last(), "3");
    EXPECT_EQ(lines.Last(), std::nullopt);
    EXPECT_TRUE(lines.status().ok());
  }
}

TEST(JsonLinesTest, NothingIsLeftBehindANewline) {
  JsonLines lines(100);
  EXPECT_EQ(lines.Next(), std::nullopt);
  EXPECT_EQ(lines.Last(), std::nullopt);
  lines.Add("1\n \t");
  EXPECT_THAT(Taken(&lines), ElementsAre("1"));
  EXPECT_EQ(lines.Last(), std::nullopt);
}

TEST(JsonLinesTest, BoundsLinesCompleteOrNot) {
  JsonLines whole(4);
  whole.Add("1234\n12345\n1\n");
  EXPECT_THAT(Taken(&whole), ElementsAre("1234"));
  EXPECT_EQ(whole.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(whole.status().message(), "a line of JSON exceeds the limit of 4 bytes");
  whole.Add("\n2\n");
  EXPECT_THAT(Taken(&whole), IsEmpty());
  EXPECT_EQ(whole.Last(), std::nullopt);

  JsonLines open(4);
  open.Add("12345");
  EXPECT_THAT(Taken(&open), IsEmpty());
  EXPECT_EQ(open.status().code(), absl::StatusCode::kResourceExhausted);

  JsonLines last(4);
  last.Add("1234");
  EXPECT_THAT(Taken(&last), IsEmpty());
  EXPECT_EQ(last.Last(), "1234");
  JsonLines unasked(4);
  unasked.Add("12345");
  EXPECT_EQ(unasked.Last(), std::nullopt);
  EXPECT_FALSE(unasked.status().ok());
}

}  // namespace
}  // namespace rookery
