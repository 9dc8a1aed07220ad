#include "rookery/rpc/status.h"

#include <gmock/gmock.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "absl/strings/cord.h"
#include "google/rpc/status.pb.h"
#include "rookery/platform/log.h"
#include "rookery/runtime/rpc_exception.h"

namespace rookery {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

google::protobuf::Duration Seconds(int seconds) {
  google::protobuf::Duration duration;
  duration.set_seconds(seconds);
  return duration;
}

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST(StatusTest, CarriesDetailsOfSeveralTypes) {
  google::protobuf::StringValue text;
  text.set_value("sku");
  absl::Status status = absl::InvalidArgumentError("bad order");
  status = WithDetails(std::move(status), Seconds(3));
  status = WithDetails(std::move(status), text);
  EXPECT_EQ(GetDetail<google::protobuf::Duration>(status)->seconds(), 3);
  EXPECT_EQ(GetDetail<google::protobuf::StringValue>(status)->value(), "sku");
  EXPECT_FALSE(GetDetail<google::protobuf::Timestamp>(status));
  const std::vector<StatusDetail> details = DetailsOf(status);
  ASSERT_EQ(details.size(), 2u);
  EXPECT_EQ(details[0].type_url, "type.googleapis.com/google.protobuf.Duration");
}

TEST(StatusTest, AnOkStatusTakesNoDetails) {
  EXPECT_TRUE(WithDetails(absl::OkStatus(), Seconds(1)).ok());
  EXPECT_EQ(SerializeDetails(absl::NotFoundError("x")), "");
}

TEST(StatusTest, WritesGoogleRpcStatus) {
  const absl::Status status = WithDetails(absl::NotFoundError("no order"), Seconds(3));
  google::rpc::Status wire;
  ASSERT_TRUE(wire.ParseFromString(SerializeDetails(status)));
  EXPECT_EQ(wire.code(), 5);
  EXPECT_EQ(wire.message(), "no order");
  ASSERT_EQ(wire.details_size(), 1);
  google::protobuf::Duration duration;
  ASSERT_TRUE(wire.details(0).UnpackTo(&duration));
  EXPECT_EQ(duration.seconds(), 3);
}

TEST(StatusTest, ReadsGoogleRpcStatus) {
  google::rpc::Status wire;
  wire.set_code(5);
  wire.set_message("other words");
  wire.add_details()->PackFrom(Seconds(4));
  const absl::Status status = MakeStatus(5, "no order", wire.SerializeAsString());
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Message(status), "no order");
  EXPECT_EQ(GetDetail<google::protobuf::Duration>(status)->seconds(), 4);
  // And once more around the world.
  const absl::Status again = MakeStatus(5, "no order", SerializeDetails(status));
  EXPECT_EQ(again, status);
}

TEST(StatusTest, EveryCodeComesBack) {
  for (int code = 0; code <= 16; ++code) {
    const absl::Status status = MakeStatus(code, "m", "");
    EXPECT_EQ(static_cast<int>(status.code()), code);
  }
  EXPECT_EQ(MakeStatus(17, "m", "").code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(MakeStatus(-1, "m", "").code(), absl::StatusCode::kUnknown);
}

TEST(StatusTest, HostileDetailsAreDropped) {
  for (const std::string& bytes :
       {std::string("\xff\xff\xff\xff\xff"),
        std::string("\x1a\xff\xff\xff\x7f"
                    "abc"),
        std::string("\x1a\x03"
                    "abc"),
        std::string("\x1a\x02\x0a\x7f"), std::string("\x0b"), std::string(100, '\x1a')}) {
    const absl::Status status = MakeStatus(5, "m", bytes);
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_TRUE(DetailsOf(status).empty());
    EXPECT_EQ(SerializeDetails(status), "");
  }
  // An Any whose value is no such message: there is a detail, and it does not parse.
  google::rpc::Status wire;
  wire.add_details()->set_type_url("type.googleapis.com/google.protobuf.Duration");
  wire.mutable_details(0)->set_value("\xff\xff");
  EXPECT_FALSE(GetDetail<google::protobuf::Duration>(MakeStatus(5, "m", wire.SerializeAsString())));
}

class ForPeerTest : public ::testing::Test {
 protected:
  ForPeerTest() : before_(Logger::Default()) {
    LogOptions options;
    options.sink = captured_;
    Logger::SetDefault(Logger(options));
  }
  ~ForPeerTest() override { Logger::SetDefault(before_); }

  std::shared_ptr<CapturingSink> captured_ = std::make_shared<CapturingSink>();

 private:
  Logger before_;
};

TEST_F(ForPeerTest, LeavesAGoodStatusAlone) {
  const absl::Status status = WithDetails(absl::NotFoundError("no order"), Seconds(3));
  EXPECT_EQ(ForPeer(status), status);
  EXPECT_TRUE(ForPeer(absl::OkStatus()).ok());
}

TEST_F(ForPeerTest, HidesForeignExceptionsUnderAnIncident) {
  const absl::Status foreign =
      StatusFromException(std::make_exception_ptr(std::runtime_error("password=hunter2")));
  const absl::Status shown = ForPeer(foreign);
  EXPECT_EQ(shown.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(Message(shown), MatchesRegex("Internal error \\(incident [0-9a-f]{16}\\)"));
  EXPECT_THAT(shown.ToString(), Not(HasSubstr("hunter2")));
  const std::string incident = Message(shown).substr(25, 16);
  ASSERT_EQ(captured_->lines().size(), 1u);
  EXPECT_THAT(captured_->lines()[0], HasSubstr(incident));
  EXPECT_THAT(captured_->lines()[0], HasSubstr("hunter2"));
  EXPECT_EQ(ForPeer(shown), shown);  // and again: nothing more to hide or to log
  EXPECT_EQ(captured_->lines().size(), 1u);
}

TEST_F(ForPeerTest, KeepsWhatARpcExceptionSays) {
  const absl::Status status = StatusFromException(
      std::make_exception_ptr(RpcException(absl::AbortedError("again, please"))));
  EXPECT_EQ(ForPeer(status), absl::AbortedError("again, please"));
  EXPECT_TRUE(captured_->lines().empty());
}

TEST_F(ForPeerTest, CutsLongMessagesBetweenCharacters) {
  std::string text;
  while (text.size() < 5000) text += "\xe2\x82\xac";  // three bytes each
  const absl::Status shown = ForPeer(WithDetails(absl::NotFoundError(text), Seconds(3)));
  EXPECT_EQ(shown.message().size(), 4095u);
  EXPECT_EQ(Message(shown), text.substr(0, 4095));
  EXPECT_EQ(GetDetail<google::protobuf::Duration>(shown)->seconds(), 3);
  EXPECT_EQ(ForPeer(absl::NotFoundError(std::string(4096, 'x'))).message().size(), 4096u);
  EXPECT_EQ(ForPeer(absl::NotFoundError(std::string(4097, 'x'))).message().size(), 4096u);
}

TEST_F(ForPeerTest, MendsMessagesThatAreNotUtf8) {
  EXPECT_EQ(Message(ForPeer(absl::NotFoundError("a\xff"
                                                "b"))),
            "a\xef\xbf\xbd"
            "b");
}

TEST_F(ForPeerTest, LetsNoOtherPayloadOut) {
  absl::Status status = WithDetails(absl::NotFoundError("x"), Seconds(3));
  status.SetPayload("secret/thing", absl::Cord("hunter2"));
  const absl::Status shown = ForPeer(status);
  EXPECT_FALSE(shown.GetPayload("secret/thing").has_value());
  EXPECT_EQ(GetDetail<google::protobuf::Duration>(shown)->seconds(), 3);
}

}  // namespace
}  // namespace rookery
