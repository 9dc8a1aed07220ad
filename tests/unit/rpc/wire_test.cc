#include "rookery/rpc/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "echo.pb.h"
#include "rookery/rpc/status.h"
#include "rpc/wire_stream.h"
#include "unit/rpc/memory_carrier.h"

namespace rookery::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using Kind = WireFrame::Kind;

Packet Sent(const OutboundMessage& out) {
  Packet packet;
  for (const WireField& field : out.fields) packet.fields.emplace_back(field.name, field.value);
  packet.body = out.body;
  return packet;
}
InboundMessage Received(std::vector<std::pair<std::string, std::string>> fields,
                        std::string body = "") {
  Packet packet;
  packet.fields = std::move(fields);
  packet.body = std::move(body);
  return ToInbound(std::move(packet));
}

std::vector<Metadata::Entry> Entries(const Metadata& metadata) {
  return {metadata.begin(), metadata.end()};
}

TEST(WireFrameTest, IsWrittenAndReadBack) {
  EXPECT_EQ(FormatFrame({.kind = Kind::kCall}), "1 call");
  EXPECT_EQ(FormatFrame({.kind = Kind::kOpen, .credit = 65536}), "1 open credit=65536");
  EXPECT_EQ(FormatFrame({.kind = Kind::kData, .seq = 7, .credit = 9}), "1 data seq=7 credit=9");
  for (const Kind kind : {Kind::kCall, Kind::kEvent, Kind::kOpen, Kind::kData, Kind::kHalf,
                          Kind::kEnd, Kind::kCredit, Kind::kPing, Kind::kPong, Kind::kCancel}) {
    const auto frame =
        ParseFrame(FormatFrame({.kind = kind, .seq = 18446744073709551615U, .credit = 0}));
    ASSERT_TRUE(frame.ok()) << frame.status();
    EXPECT_EQ(frame->kind, kind);
    EXPECT_EQ(frame->seq, 18446744073709551615U);
    EXPECT_EQ(frame->credit, 0U);
  }
}

TEST(WireFrameTest, PassesOverWhatItDoesNotKnow) {
  const auto frame = ParseFrame("1  data later=yes seq=3 what");
  ASSERT_TRUE(frame.ok()) << frame.status();
  EXPECT_EQ(frame->seq, 3U);
}

TEST(WireFrameTest, RefusesWhatIsNone) {
  for (const char* text : {"", "data", "x data seq=1", "1", "1 nonsense", "1 data", "1 end",
                           "1 data seq=", "1 data seq=-1", "1 data seq=+1", "1 data seq=1x",
                           "1 data seq=18446744073709551616", "1 credit credit=x"}) {
    EXPECT_EQ(ParseFrame(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  const absl::Status other = ParseFrame("2 data seq=1").status();
  EXPECT_EQ(other.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(other.message()), HasSubstr("version 2"));
}

TEST(WireTimeoutTest, KeepsTheFinestUnitThatHasRoom) {
  using std::chrono::nanoseconds;
  EXPECT_EQ(FormatTimeout(nanoseconds(-5)), "1n");
  EXPECT_EQ(FormatTimeout(nanoseconds(99'999'999)), "99999999n");
  EXPECT_EQ(FormatTimeout(nanoseconds(100'000'000)), "100000u");
  EXPECT_EQ(FormatTimeout(nanoseconds(100'000'001)), "100001u");  // never less than was given
  EXPECT_EQ(FormatTimeout(std::chrono::minutes(5)), "300000m");
  EXPECT_EQ(ParseTimeout("100001u"), nanoseconds(100'001'000));
  EXPECT_EQ(ParseTimeout("3H"), nanoseconds(std::chrono::hours(3)));
  EXPECT_EQ(ParseTimeout("99999999H"), nanoseconds::max());
  for (const char* text : {"", "n", "1", "1x", "-1S", "123456789n", "1.5S", " 1S"}) {
    EXPECT_EQ(ParseTimeout(text), std::nullopt) << text;
  }
}

TEST(WireMetadataTest, GoesThereAndBack) {
  Metadata metadata;
  ASSERT_TRUE(metadata.Add("x-plain", "one").ok());
  ASSERT_TRUE(metadata.Add("x-plain", "two").ok());
  const std::string bytes("\0\xff\x01", 3);
  ASSERT_TRUE(metadata.Add("x-blob-bin", bytes).ok());
  OutboundMessage out;
  AddMetadata(metadata, "", &out);
  AddMetadata(metadata, kTrailerPrefix, &out);
  const Packet packet = Sent(out);
  EXPECT_EQ(packet.Header("x-blob-bin"), "AP8B");
  EXPECT_EQ(packet.Header("trailer-x-blob-bin"), "AP8B");
  const InboundMessage in = ToInbound(packet);
  for (const std::string_view prefix : {std::string_view(""), kTrailerPrefix}) {
    Metadata read;
    ReadMetadata(in, prefix, &read);
    EXPECT_THAT(Entries(read), ElementsAre(Pair("x-plain", "one"), Pair("x-plain", "two"),
                                           Pair("x-blob-bin", bytes)));
  }
}

TEST(WireMetadataTest, LeavesOutWhatIsNone) {
  const InboundMessage in = Received({{"Content-Type", "application/json"},
                                      {"Grpc-Timeout", "1S"},
                                      {"Nats-Msg-Id", "7"},
                                      {"rookery", "1 call"},
                                      {"trailer-x", "1"},
                                      {"X-Upper", "yes"},
                                      {"x bad", "1"},
                                      {"x-control", "a\x01"},
                                      {"x-blob-bin", "!!"},
                                      {"ce-id", "42"}});
  Metadata read;
  ReadMetadata(in, "", &read);
  EXPECT_THAT(Entries(read), ElementsAre(Pair("x-upper", "yes"), Pair("ce-id", "42")));
}

TEST(WireStatusTest, GoesThereAndBack) {
  EchoReply detail;
  detail.set_text("why");
  const absl::Status status = WithDetails(absl::NotFoundError(" 100% gone\n\xc3\xa9 "), detail);
  OutboundMessage out;
  AddStatus(status, &out);
  const Packet packet = Sent(out);
  EXPECT_EQ(packet.Header("grpc-status"), "5");
  EXPECT_EQ(packet.Header("grpc-message"), "%20100%25 gone%0A%C3%A9%20");
  const absl::Status read = ReadStatus(ToInbound(packet));
  EXPECT_EQ(read.code(), status.code());
  EXPECT_EQ(read.message(), status.message());
  const auto found = GetDetail<EchoReply>(read);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->text(), "why");
}

TEST(WireStatusTest, ReadsWhatOthersSend) {
  EXPECT_TRUE(ReadStatus(Received({})).ok());
  EXPECT_TRUE(ReadStatus(Received({{"Grpc-Status", "0"}})).ok());
  for (const char* code : {"", "x", "17", "-1", "5x", "99999999999999999999"}) {
    EXPECT_EQ(ReadStatus(Received({{"grpc-status", code}})).code(), absl::StatusCode::kUnknown)
        << code;
  }
  // Details that do not parse are dropped; the code still counts.
  const absl::Status status = ReadStatus(Received(
      {{"grpc-status", "9"}, {"grpc-message", "50% %zz %4"}, {"grpc-status-details-bin", "*"}}));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(), "50% %zz %4");
}

TEST(WirePayloadTest, SpeaksProtobufAndJson) {
  EchoRequest request;
  request.set_text("h\xc3\xa9");
  request.set_fail_code(3);
  for (const WireCodec codec : {WireCodec::kProtobuf, WireCodec::kJson}) {
    std::string bytes;
    ASSERT_TRUE(EncodePayload(codec, request, 1000, &bytes).ok());
    EchoRequest read;
    ASSERT_TRUE(DecodePayload(codec, bytes, 1000, absl::StatusCode::kInternal, &read).ok());
    EXPECT_EQ(read.text(), request.text());
    EXPECT_EQ(read.fail_code(), 3);
    EXPECT_EQ(EncodePayload(codec, request, 3, &bytes).code(),
              absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(
        DecodePayload(codec, "\xff\xfe{", 1000, absl::StatusCode::kInvalidArgument, &read).code(),
        absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(DecodePayload(codec, "12345", 4, absl::StatusCode::kInternal, &read).code(),
              absl::StatusCode::kResourceExhausted);
  }
}

TEST(WirePayloadTest, ContentTypeChooses) {
  EXPECT_EQ(*CodecOf(Received({})), WireCodec::kProtobuf);
  EXPECT_EQ(*CodecOf(Received({{"content-type", "application/protobuf"}})), WireCodec::kProtobuf);
  EXPECT_EQ(*CodecOf(Received({{"Content-Type", "Application/JSON; charset=utf-8"}})),
            WireCodec::kJson);
  const absl::Status refused = CodecOf(Received({{"content-type", "text/xml"}})).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("text/xml"));
}

TEST(WireEventTest, IsACloudEvent) {
  OutboundMessage out;
  CloudEvent event = NewCloudEvent("/shop \"one\"", "order.placed");
  AddCloudEvent(event, "ce-", &out);
  const Packet packet = Sent(out);
  EXPECT_EQ(packet.Header("ce-specversion"), "1.0");
  EXPECT_EQ(packet.Header("ce-id").size(), 32U);
  EXPECT_EQ(packet.Header("ce-source"), "/shop%20%22one%22");
  EXPECT_EQ(packet.Header("ce-type"), "order.placed");
  EXPECT_THAT(packet.Header("ce-time"), HasSubstr("T"));
}

TEST(WireEventTest, ExpiresAfterTheSkewOfClocks) {
  const Deadline now = std::chrono::steady_clock::now();
  const auto expired = [&](std::chrono::milliseconds from_now) {
    OutboundMessage out;
    AddExpiry(now + from_now, now, "ce_", &out);
    return IsExpired(ToInbound(Sent(out)), "ce_");
  };
  EXPECT_TRUE(expired(-kClockSkew - std::chrono::milliseconds(50)));
  EXPECT_FALSE(expired(std::chrono::minutes(1)));
  EXPECT_FALSE(IsExpired(Received({}), "ce_"));
  EXPECT_FALSE(IsExpired(Received({{"ce_expirytime", "tomorrow"}}), "ce_"));
  EXPECT_TRUE(IsExpired(Received({{"ce_expirytime", "2001-01-01T00:00:00Z"}}), "ce_"));
}

// ---- one direction of a stream ------------------------------------------------------------------

using internal::CreditCost;
using internal::StreamReceiver;
using internal::StreamSender;

InboundMessage Body(std::string body) { return Received({}, std::move(body)); }

TEST(StreamReceiverTest, PutsInOrderAndDropsWhatComesTwice) {
  StreamReceiver receiver(100'000, 1'000);
  EXPECT_EQ(receiver.Add(1, false, Body("b")), StreamReceiver::Put::kEarly);
  EXPECT_TRUE(receiver.gap());
  EXPECT_EQ(receiver.missing(), 0U);
  EXPECT_FALSE(receiver.has_message());
  EXPECT_EQ(receiver.Add(1, false, Body("b")), StreamReceiver::Put::kDuplicate);
  EXPECT_EQ(receiver.Add(2, true, Body("")), StreamReceiver::Put::kEarly);
  EXPECT_EQ(receiver.Add(0, false, Body("a")), StreamReceiver::Put::kInOrder);
  EXPECT_EQ(receiver.Add(0, false, Body("a")), StreamReceiver::Put::kDuplicate);
  EXPECT_FALSE(receiver.gap());
  EXPECT_TRUE(receiver.ended());
  EXPECT_EQ(receiver.Take().body, "a");
  EXPECT_EQ(receiver.Take().body, "b");
  EXPECT_FALSE(receiver.has_message());
  EXPECT_EQ(receiver.Add(7, false, Body("late")), StreamReceiver::Put::kDuplicate);
}

TEST(StreamReceiverTest, GrantsHalfAWindowAtATime) {
  const std::size_t window = 10 * CreditCost(0);
  StreamReceiver receiver(window, 0);
  EXPECT_EQ(receiver.granted(), window);
  for (std::uint64_t i = 0; i < 10; ++i) {
    ASSERT_EQ(receiver.Add(i, false, Body("")), StreamReceiver::Put::kInOrder);
  }
  for (int i = 0; i < 4; ++i) {
    (void)receiver.Take();
    EXPECT_EQ(receiver.Grant(), std::nullopt);
  }
  (void)receiver.Take();
  EXPECT_EQ(receiver.Grant(), window + 5 * CreditCost(0));
  EXPECT_EQ(receiver.Grant(), std::nullopt);
}

TEST(StreamReceiverTest, FindsASenderWhoDoesNotKeepToItsCredit) {
  StreamReceiver receiver(1'000, 500);
  std::uint64_t seq = 0;
  StreamReceiver::Put put = StreamReceiver::Put::kInOrder;
  for (; seq < 100 && put == StreamReceiver::Put::kInOrder; ++seq) {
    put = receiver.Add(seq, false, Body("x"));
  }
  EXPECT_EQ(put, StreamReceiver::Put::kOverrun);
  EXPECT_LT(seq, 10U);
  StreamReceiver early(1'000, 500);
  put = StreamReceiver::Put::kEarly;
  for (seq = 1; seq < 100 && put == StreamReceiver::Put::kEarly; ++seq) {
    put = early.Add(seq * 1000, false, Body("x"));
  }
  EXPECT_EQ(put, StreamReceiver::Put::kOverrun);
}

TEST(StreamSenderTest, StopsWithoutCreditAndLetsOneLargeMessagePass) {
  StreamSender sender;
  EXPECT_FALSE(sender.may_send());
  sender.Raise(10);
  EXPECT_TRUE(sender.may_send());
  EXPECT_EQ(sender.Next(1'000'000), 0U);
  EXPECT_FALSE(sender.may_send());
  sender.Raise(5);  // late: never lowers
  EXPECT_FALSE(sender.may_send());
  sender.Raise(CreditCost(1'000'000) + 1);
  EXPECT_TRUE(sender.may_send());
  EXPECT_EQ(sender.NextLast(), 1U);
}

}  // namespace
}  // namespace rookery::testing
