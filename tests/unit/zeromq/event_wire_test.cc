// Events in ZeroMQ's frames, and the subscriber's book of what is missing.
#include "transports/zeromq/src/event_wire.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rookery::zeromq_adapter {
namespace {

TEST(EventTopicTest, ComesBackAsItWas) {
  const std::string frame = FormatTopic("orders.paid", {0xfedcba9876543210, 42}) + "header";
  std::string_view subject;
  EventStamp stamp;
  std::string_view rest;
  ASSERT_TRUE(ParseTopic(frame, &subject, &stamp, &rest));
  EXPECT_EQ(subject, "orders.paid");
  EXPECT_EQ(stamp.publisher, 0xfedcba9876543210U);
  EXPECT_EQ(stamp.sequence, 42U);
  EXPECT_EQ(rest, "header");
  std::string later = frame;
  PutSequence(later.data() + subject.size() + kSequenceAt, 1ULL << 63);
  ASSERT_TRUE(ParseTopic(later, &subject, &stamp, &rest));
  EXPECT_EQ(stamp.publisher, 0xfedcba9876543210U);
  EXPECT_EQ(stamp.sequence, 1ULL << 63);
  EXPECT_EQ(rest, "header");
}

TEST(EventTopicTest, NumbersMayHoldAnyBytes) {
  const std::string frame = FormatTopic("a", {0, 0});
  std::string_view subject;
  EventStamp stamp;
  std::string_view rest;
  ASSERT_TRUE(ParseTopic(frame, &subject, &stamp, &rest));
  EXPECT_EQ(subject, "a");
}

TEST(EventTopicTest, WhatIsNoneIsRefused) {
  std::string_view subject;
  EventStamp stamp;
  std::string_view rest;
  const std::string good = FormatTopic("orders", {1, 2});
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(ParseTopic(std::string_view(good).substr(0, size), &subject, &stamp, &rest))
        << size;
  }
  EXPECT_FALSE(ParseTopic(FormatTopic("", {1, 2}), &subject, &stamp, &rest));
  EXPECT_FALSE(ParseTopic(std::string(200, 'x'), &subject, &stamp, &rest));
}

TEST(EventTopicTest, ASubscriptionIsTheBeginningOfItsEventsAlone) {
  const auto hears = [](std::string_view pattern, std::string_view subject) {
    return FormatTopic(subject, {1, 1}).starts_with(SubscriptionFor(pattern));
  };
  EXPECT_TRUE(hears("orders.paid", "orders.paid"));
  EXPECT_FALSE(hears("orders.paid", "orders.paid2"));
  EXPECT_FALSE(hears("orders.paid", "orders"));
  EXPECT_TRUE(hears("orders.>", "orders.paid"));
  EXPECT_TRUE(hears("orders.*.eu", "orders.paid.eu"));
  EXPECT_TRUE(hears(">", "anything"));
}

TEST(EventTopicTest, ControlSortsBehindAllSubjects) {
  // What ZeroMQ relies on when it subscribes anew: see kSyncSubject.
  for (const std::string_view pattern : {"~", "\xf4\x8f\xbf\xbf", "zzz", "/shop.v1.Orders/Place"}) {
    EXPECT_LT(SubscriptionFor(pattern), SubscriptionFor(kSequencesSubject));
    EXPECT_LT(SubscriptionFor(pattern), SyncSubscription(0));
  }
}

TEST(EventSequencesTest, AreReadUpToWhereTheyMakeSense) {
  std::string body;
  AppendSequence(&body, "a", 1);
  AppendSequence(&body, "b.c", 1ULL << 40);
  std::vector<std::pair<std::string, std::uint64_t>> read;
  const auto add = [&](std::string_view subject, std::uint64_t sequence) {
    read.emplace_back(subject, sequence);
  };
  EXPECT_TRUE(ReadSequences(body, add));
  const std::vector<std::pair<std::string, std::uint64_t>> all = {{"a", 1}, {"b.c", 1ULL << 40}};
  EXPECT_EQ(read, all);
  for (std::size_t size = 1; size < body.size(); ++size) {
    if (size == 11) continue;  // the first one, whole
    EXPECT_FALSE(ReadSequences(std::string_view(body).substr(0, size), add)) << size;
  }
}

class EventLedgerTest : public ::testing::Test {
 protected:
  EventLedger::Counts& Of(const std::string& subject) {
    EventLedger::Counts* found = &none_;
    ledger_.ForEach([&](const std::string& name, const EventLedger::Counts& counts) {
      if (name == subject) found = const_cast<EventLedger::Counts*>(&counts);
    });
    return *found;
  }
  bool Event(std::uint64_t publisher, std::uint64_t sequence, std::string_view subject = "a") {
    return ledger_.OnEvent(subject, {publisher, sequence});
  }
  void Sequences(std::uint64_t publisher,
                 const std::vector<std::pair<std::string, std::uint64_t>>& all, bool last = true) {
    std::string body;
    for (const auto& [subject, sequence] : all) AppendSequence(&body, subject, sequence);
    ledger_.OnSequences(publisher, body, last);
  }

  EventLedger::Counts none_;
  EventLedger ledger_{[](std::string_view subject) { return subject != "others"; }};
};

TEST_F(EventLedgerTest, CountsWhatIsMissing) {
  EXPECT_TRUE(Event(1, 5));
  EXPECT_EQ(Of("a").lost, 0U);  // nobody knows what was before
  EXPECT_TRUE(Event(1, 6));
  EXPECT_TRUE(Event(1, 10));
  EXPECT_EQ(Of("a").lost, 3U);
  EXPECT_EQ(Of("a").received, 3U);
  EXPECT_EQ(ledger_.lost(), 3U);
}

TEST_F(EventLedgerTest, CountsEachPublisherAndSubjectByItself) {
  EXPECT_TRUE(Event(1, 1));
  EXPECT_TRUE(Event(2, 7));
  EXPECT_TRUE(Event(1, 100, "b"));
  EXPECT_TRUE(Event(2, 8));
  EXPECT_TRUE(Event(1, 2));
  EXPECT_TRUE(Event(1, 102, "b"));
  EXPECT_EQ(Of("a").lost, 0U);
  EXPECT_EQ(Of("b").lost, 1U);
}

TEST_F(EventLedgerTest, DropsRepetitions) {
  EXPECT_TRUE(Event(1, 1));
  EXPECT_TRUE(Event(1, 2));
  EXPECT_FALSE(Event(1, 2));
  EXPECT_FALSE(Event(1, 1));
  EXPECT_EQ(Of("a").repeated, 2U);
  EXPECT_EQ(Of("a").received, 2U);
}

TEST_F(EventLedgerTest, OfAKnownPublisherEvenTheFirstIsMissed) {
  Sequences(1, {{"a", 4}});
  EXPECT_TRUE(Event(1, 7));
  EXPECT_EQ(Of("a").lost, 2U);
  EXPECT_TRUE(Event(1, 2, "new"));
  EXPECT_EQ(Of("new").lost, 1U);
}

TEST_F(EventLedgerTest, AListTellsOfTheLastOnes) {
  Sequences(1, {});
  EXPECT_TRUE(Event(1, 1));
  Sequences(1, {{"a", 3}, {"b", 2}, {"others", 50}});
  EXPECT_EQ(Of("a").lost, 2U);
  EXPECT_EQ(Of("b").lost, 2U);
  EXPECT_EQ(ledger_.lost(), 4U);
  Sequences(1, {{"a", 3}, {"b", 2}});
  EXPECT_EQ(ledger_.lost(), 4U);
}

TEST_F(EventLedgerTest, AListInPartsIsKnownAtItsEnd) {
  Sequences(1, {{"a", 3}}, /*last=*/false);
  Sequences(1, {{"b", 9}});
  EXPECT_EQ(ledger_.lost(), 0U);
  EXPECT_TRUE(Event(1, 11, "b"));
  EXPECT_EQ(Of("b").lost, 1U);
}

TEST_F(EventLedgerTest, IsBoundedWhateverComes) {
  for (std::uint64_t publisher = 1; publisher <= EventLedger::kMostPublishers + 100; ++publisher) {
    EXPECT_TRUE(Event(publisher, 1));
    EXPECT_TRUE(Event(9'999, publisher));  // heard of all the time, and so not forgotten
  }
  EXPECT_EQ(ledger_.publishers(), EventLedger::kMostPublishers);
  EXPECT_TRUE(Event(9'999, EventLedger::kMostPublishers + 102));
  EXPECT_EQ(Of("a").lost, 1U);
  for (std::size_t i = 0; i < EventLedger::kMostSubjects + 10; ++i) {
    EXPECT_TRUE(Event(9'999, 1, "subject " + std::to_string(i)));
  }
  std::size_t subjects = 0;
  ledger_.ForEach([&](const std::string&, const EventLedger::Counts&) { ++subjects; });
  EXPECT_LE(subjects, EventLedger::kMostSubjects);
}

}  // namespace
}  // namespace rookery::zeromq_adapter
