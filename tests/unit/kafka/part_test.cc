// Which offset may be committed, whatever the order in which records are settled.
#include "part.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <set>
#include <vector>

namespace rookery::kafka_adapter {
namespace {

TEST(KafkaPart, CommitsTheContiguousPrefixAlone) {
  Part part;
  for (const std::int64_t offset : {10, 11, 12, 13}) EXPECT_TRUE(part.Add(offset));
  EXPECT_EQ(part.next, 10);
  part.Finish(11);
  part.Finish(13);
  EXPECT_EQ(part.next, 10);
  EXPECT_FALSE(part.dirty);
  EXPECT_EQ(part.last_done(), 13);
  part.Finish(10);
  EXPECT_EQ(part.next, 12);
  EXPECT_TRUE(part.dirty);
  EXPECT_TRUE(part.Reached(12));
  EXPECT_FALSE(part.Reached(13));
  part.Finish(12);
  EXPECT_EQ(part.next, 14);
  EXPECT_EQ(part.held, 0U);
}

TEST(KafkaPart, GapsOfCompactionAndMarkersAreNoObstacle) {
  Part part;
  for (const std::int64_t offset : {5, 9, 10, 27, 1'000}) EXPECT_TRUE(part.Add(offset));
  part.Finish(10);
  part.Finish(1'000);
  part.Finish(9);
  EXPECT_EQ(part.next, 5);
  part.Finish(5);
  EXPECT_EQ(part.next, 11) << "up to the gap; what stands behind it is not settled";
  part.Finish(8);   // there was none
  part.Finish(28);  // nor that
  EXPECT_EQ(part.held, 1U);
  part.Finish(27);
  EXPECT_EQ(part.next, 1'001);
}

TEST(KafkaPart, RepetitionsAreKnown) {
  Part part;
  EXPECT_TRUE(part.Add(3));
  EXPECT_FALSE(part.Add(3));
  EXPECT_FALSE(part.Add(2));
  part.Finish(3);
  EXPECT_FALSE(part.Add(3));
  EXPECT_TRUE(part.Add(4));
  part.Finish(4);
  part.Finish(4);
  EXPECT_EQ(part.held, 0U);
}

// Random orders with gaps: never past what is unfinished, and in the end all of it.
TEST(KafkaPart, NeverPassesWhatIsUnfinished) {
  std::mt19937 random(20261121);
  for (int round = 0; round < 200; ++round) {
    Part part;
    std::vector<std::int64_t> held;
    std::set<std::int64_t> unfinished;
    std::int64_t offset = 0;
    for (int i = 0; i < 300; ++i) {
      if (random() % 2 == 0 || held.empty()) {
        offset += 1 + static_cast<std::int64_t>(random() % 3 == 0 ? random() % 50 : 0);
        ASSERT_TRUE(part.Add(offset));
        held.push_back(offset);
        unfinished.insert(offset);
      } else {
        const std::size_t which = random() % held.size();
        part.Finish(held[which]);
        unfinished.erase(held[which]);
        held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
      }
      ASSERT_EQ(part.held, unfinished.size());
      if (!unfinished.empty()) {
        ASSERT_LE(part.next, *unfinished.begin());
      }
    }
    for (const std::int64_t each : held) part.Finish(each);
    ASSERT_EQ(part.next, offset + 1);
    ASSERT_TRUE(part.entries.empty());
  }
}

}  // namespace
}  // namespace rookery::kafka_adapter
