#include "rookery/rpc/metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rookery {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(MetadataTest, KeepsOrderAndRepeats) {
  Metadata metadata;
  ASSERT_TRUE(metadata.Add("x-tenant", "acme").ok());
  ASSERT_TRUE(metadata.Add("x-hop", "1").ok());
  ASSERT_TRUE(metadata.Add("X-Hop", "2").ok());
  EXPECT_EQ(metadata.Get("x-hop"), "1");
  EXPECT_EQ(metadata.Get("X-HOP"), "1");
  EXPECT_THAT(metadata.GetAll("x-hop"), ElementsAre("1", "2"));
  EXPECT_EQ(metadata.begin()->first, "x-tenant");
  EXPECT_EQ(metadata.size(), 3u);
}

TEST(MetadataTest, SetReplacesAllAndRemoveCounts) {
  Metadata metadata;
  ASSERT_TRUE(metadata.Add("a", "1").ok());
  ASSERT_TRUE(metadata.Add("a", "2").ok());
  ASSERT_TRUE(metadata.Set("A", "3").ok());
  EXPECT_THAT(metadata.GetAll("a"), ElementsAre("3"));
  EXPECT_EQ(metadata.Remove("a"), 1u);
  EXPECT_FALSE(metadata.Has("a"));
  EXPECT_TRUE(metadata.empty());
}

TEST(MetadataTest, BinaryValuesMayBeAnything) {
  Metadata metadata;
  const std::string bytes("\x00\xff\n\x80", 4);
  ASSERT_TRUE(metadata.Add("x-blob-bin", bytes).ok());
  EXPECT_EQ(metadata.Get("x-blob-bin"), bytes);
}

class BadMetadataTest : public ::testing::TestWithParam<std::pair<std::string, std::string>> {};

TEST_P(BadMetadataTest, IsRefusedAndNothingIsAdded) {
  Metadata metadata;
  const absl::Status status = metadata.Add(GetParam().first, GetParam().second);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("metadata: the "));
  EXPECT_TRUE(metadata.empty());
}

INSTANTIATE_TEST_SUITE_P(All, BadMetadataTest,
                         ::testing::Values(std::pair<std::string, std::string>{"", "v"},
                                           std::pair<std::string, std::string>{"a b", "v"},
                                           std::pair<std::string, std::string>{":path", "v"},
                                           std::pair<std::string, std::string>{"k\n", "v"},
                                           std::pair<std::string, std::string>{"k\xc3\xa9", "v"},
                                           std::pair<std::string, std::string>{"grpc-x", "v"},
                                           std::pair<std::string, std::string>{"GRPC-x", "v"},
                                           std::pair<std::string, std::string>{"k", "a\nb"},
                                           std::pair<std::string, std::string>{"k", "a\r\nb: c"},
                                           std::pair<std::string, std::string>{"k", "\xff"},
                                           std::pair<std::string, std::string>{"k", "\x7f"},
                                           std::pair<std::string, std::string>{
                                               "k", std::string("\0", 1)}));

}  // namespace
}  // namespace rookery
