#include "support/fault_journal.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace rookery::testing {
namespace {

JournalEntry Entry(char kind, std::uint64_t id, std::int64_t at, std::int64_t extra = 0) {
  return {kind, id, at, extra};
}

class JournalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "rookery-journal-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
};

TEST_F(JournalTest, KeepsWhatManyThreadsWriteAndLeavesOutATornLine) {
  const auto path = folder_ / "j";
  {
    FaultJournal journal(path, FaultJournal::Sync::kDisk);
    std::vector<std::thread> writers;
    for (std::uint64_t t = 0; t < 4; ++t) {
      writers.emplace_back([&journal, t] {
        for (std::uint64_t i = 0; i < 10; ++i) journal.Write('I', t * 10 + i, 7);
      });
    }
    for (std::thread& writer : writers) writer.join();
  }
  std::ofstream(path, std::ios::app) << "I 99 12";
  const std::vector<JournalEntry> entries = ReadJournal(path);
  ASSERT_EQ(entries.size(), 40U);
  for (const JournalEntry& entry : entries) {
    EXPECT_EQ(entry.kind, 'I');
    EXPECT_LT(entry.id, 40U);
    EXPECT_EQ(entry.extra, 7);
    EXPECT_GT(entry.at_ns, 0);
  }
  EXPECT_TRUE(ReadJournal(folder_ / "none").empty());
}

TEST(ClassifyTest, TellsEachKindOfFault) {
  const std::vector<JournalEntry> asked = {
      Entry('I', 1, 0, 5),  Entry('A', 1, 1), Entry('I', 2, 2, 5), Entry('A', 2, 3),
      Entry('I', 3, 4, 5),  Entry('A', 3, 5), Entry('I', 4, 6, 5), Entry('F', 4, 7, 14),
      Entry('I', 6, 10, 9), Entry('A', 6, 11)};
  // 3 before 2; 1 twice, by two processes; 4 failed and was handled all the same; 6 lost; 77 from
  // nowhere; 5 not even intended yet.
  const Verdict verdict = Classify(asked, {{Entry('H', 1, 10, 5), Entry('H', 3, 20, 5)},
                                           {Entry('H', 2, 30, 5), Entry('H', 1, 40, 5),
                                            Entry('H', 4, 50, 5), Entry('H', 77, 60)}});
  EXPECT_EQ(verdict.intended, 5U);
  EXPECT_EQ(verdict.acked, 4U);
  EXPECT_EQ(verdict.failed, 1U);
  EXPECT_EQ(verdict.unfinished, 0U);
  EXPECT_EQ(verdict.handled, 5U);
  EXPECT_EQ(verdict.lost, 1U);
  EXPECT_EQ(verdict.duplicates, 1U);
  EXPECT_EQ(verdict.reordered, 1U);
  EXPECT_EQ(verdict.phantom, 1U);
}

TEST(ClassifyTest, OrderHoldsPerKeyAloneAndWithoutAKeyNotAtAll) {
  const std::vector<JournalEntry> asked = {Entry('I', 1, 0), Entry('I', 2, 0), Entry('I', 3, 0)};
  EXPECT_EQ(Classify(asked, {{Entry('H', 2, 1, 7), Entry('H', 1, 2, 8)}}).reordered, 0U);
  EXPECT_EQ(Classify(asked, {{Entry('H', 2, 1), Entry('H', 1, 2)}}).reordered, 0U);
  EXPECT_EQ(Classify(asked, {{Entry('H', 2, 1, 7), Entry('H', 1, 2, 7)}}).reordered, 1U);
  EXPECT_EQ(Classify(asked, {}).unfinished, 3U);
}

TEST(ClassifyTest, RecoveryCountsFromTheFaultToWhatWasAskedAfterIt) {
  const std::vector<JournalEntry> asked = {Entry('I', 1, 1'000'000), Entry('I', 2, 12'000'000),
                                           Entry('A', 1, 13'000'000), Entry('A', 2, 15'000'000)};
  EXPECT_DOUBLE_EQ(RecoveryMs(asked, {10'000'000}), 5.0);
  EXPECT_DOUBLE_EQ(RecoveryMs(asked, {}), 0.0);
  EXPECT_LT(RecoveryMs(asked, {14'000'000}), 0.0);
}

}  // namespace
}  // namespace rookery::testing
