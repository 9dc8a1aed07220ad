#include "rookery/platform/log.h"

#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "rookery/platform/cls.h"
#include "rookery/runtime/hooks.h"
#include "rookery/runtime/rpc_exception.h"
#include "unit/rpc/fake_call.h"

namespace rookery {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

inline constexpr ClsKey<std::string> kUser{"user.id"};
inline constexpr ClsKey<std::string> kPassword{"password"};
inline constexpr ClsKey<std::vector<int>> kNoText{"no.text"};

class LogTest : public ::testing::Test {
 protected:
  Logger Make() { return Logger(options_); }
  std::string Line() { return captured_->lines().empty() ? "" : captured_->lines().back(); }
  // The last line's fields, parsed by protobuf's own reader of JSON.
  google::protobuf::Struct Json() {
    google::protobuf::Struct object;
    const auto status = google::protobuf::util::JsonStringToMessage(Line(), &object);
    EXPECT_TRUE(status.ok()) << Line();
    return object;
  }
  std::string Text(const std::string& key) { return Json().fields().at(key).string_value(); }

  std::shared_ptr<CapturingSink> captured_ = std::make_shared<CapturingSink>();
  LogOptions options_ = [this] {
    LogOptions options;
    options.sink = captured_;
    return options;
  }();
};

TEST_F(LogTest, WritesALine) {
  const std::string owned = "o-1";
  const absl::Status status = absl::NotFoundError("no such thing");
  Make().Named("orders").Info("order placed", {{"order", owned},
                                               {"total", 120},
                                               {"ratio", 0.5},
                                               {"paid", true},
                                               {"big", std::numeric_limits<std::uint64_t>::max()},
                                               {"why", status.message()}});
  EXPECT_THAT(Line(), MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\."
                                   "[0-9]{6}Z INFO  orders: order placed .*"));
  EXPECT_THAT(Line(), EndsWith("order=o-1 total=120 ratio=0.5 paid=true big=18446744073709551615 "
                               "why=\"no such thing\""));
}

TEST_F(LogTest, ALineCannotForgeAnother) {
  Make().Info("a\nb\x1b[31m", {{"k", "x\ny \"q\" \\ \xc2\x85 \xff"}, {"e", ""}, {"k\n2", "a=b"}});
  EXPECT_THAT(Line(), Not(HasSubstr("\n")));
  EXPECT_THAT(Line(), Not(HasSubstr("\x1b")));
  EXPECT_THAT(Line(), HasSubstr("a\\nb\\u001b[31m"));
  EXPECT_THAT(Line(), HasSubstr("k=\"x\\ny \\\"q\\\" \\\\ \\u0085 \xef\xbf\xbd\""));
  EXPECT_THAT(Line(), HasSubstr("e=\"\""));
  EXPECT_THAT(Line(), HasSubstr("k\\n2=\"a=b\""));
}

TEST_F(LogTest, JsonIsJson) {
  options_.format = LogFormat::kJson;
  Make().Named("orders").Warn("say \"hi\"\n\\", {{"text", "\xff\x01\xc3\xa9"},
                                                 {"n", -5},
                                                 {"d", 1e300},
                                                 {"nan", std::numeric_limits<double>::quiet_NaN()},
                                                 {"b", false}});
  EXPECT_EQ(Text("level"), "warn");
  EXPECT_EQ(Text("logger"), "orders");
  EXPECT_EQ(Text("message"), "say \"hi\"\n\\");
  EXPECT_EQ(Text("text"), "\xef\xbf\xbd\x01\xc3\xa9");
  EXPECT_EQ(Json().fields().at("n").number_value(), -5);
  EXPECT_EQ(Json().fields().at("d").number_value(), 1e300);
  EXPECT_TRUE(Json().fields().at("nan").has_null_value());
  EXPECT_FALSE(Json().fields().at("b").bool_value());
}

TEST_F(LogTest, ALineKnowsItsCall) {
  options_.format = LogFormat::kJson;
  options_.context_keys = {&kUser, &kNoText, &kPassword, nullptr};
  FakeCall call(Sent{{"x-request-id", "r-1"},
                     {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}});
  const Logger log = Make();
  {
    const ContextScope scope(&call);
    Cls::Set(kUser, "ada");
    Cls::Set(kNoText, std::vector<int>{1});
    Cls::Set(kPassword, "hunter2");
    log.Info("inside");
  }
  EXPECT_EQ(Text("request_id"), "r-1");
  EXPECT_EQ(Text("trace_id"), "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(Text("span_id"), call.trace().span_id());
  EXPECT_EQ(Text("method"), "/test.Fake/Do");
  EXPECT_EQ(Text("transport"), "fake");
  EXPECT_EQ(Text("user.id"), "ada");
  EXPECT_EQ(Text("password"), "[redacted]");
  EXPECT_EQ(Json().fields().count("no.text"), 0u);
  log.Info("outside");
  EXPECT_EQ(Json().fields().count("request_id"), 0u);
  EXPECT_EQ(Json().fields().count("user.id"), 0u);
}

TEST_F(LogTest, ANestedContextSeesItsOwnValues) {
  options_.context_keys = {&kUser};
  const Logger log = Make();
  FakeCall call(Sent{{"x-request-id", "r-1"}});
  const ContextScope scope(&call);
  Cls::Set(kUser, "ada");
  Cls::Run([&log] {
    Cls::Set(kUser, "tom");
    log.Info("nested");
  });
  EXPECT_THAT(Line(), HasSubstr(" request_id=r-1 "));
  EXPECT_THAT(Line(), HasSubstr(" user.id=tom"));
}

TEST_F(LogTest, WhatALineSaysItselfIsNotSaidTwice) {
  FakeCall call;
  const ContextScope scope(&call);
  Make().Info("x", {{"method", "mine"}});
  EXPECT_THAT(Line(), HasSubstr("method=mine"));
  EXPECT_THAT(Line(), Not(HasSubstr("/test.Fake/Do")));
}

TEST_F(LogTest, RedactsByName) {
  options_.redact.push_back("card");
  Make().Info("x", {{"Password", "hunter2"}, {"card", 4111}, {"cards", 2}});
  EXPECT_THAT(Line(), HasSubstr("Password=[redacted] card=[redacted] cards=2"));
}

TEST_F(LogTest, LevelsChangeWhileRunning) {
  Logger log = Make();
  const Logger orders = log.Named("orders");
  const Logger payments = log.Named("payments");
  orders.Debug("no");
  EXPECT_TRUE(captured_->lines().empty());
  log.SetLevel("orders", LogLevel::kDebug);
  orders.Debug("yes");
  payments.Debug("no");
  EXPECT_EQ(captured_->lines().size(), 1u);
  log.SetLevel(LogLevel::kError);
  payments.Warn("no");
  orders.Debug("yes: a level of its own");
  EXPECT_EQ(captured_->lines().size(), 2u);
  EXPECT_FALSE(log.Named("new").enabled(LogLevel::kWarn));
  EXPECT_TRUE(log.Named("orders").enabled(LogLevel::kDebug));
  log.SetLevel(LogLevel::kOff);
  payments.Error("no");
  payments.Write(LogLevel::kOff, "never");
  EXPECT_EQ(captured_->lines().size(), 2u);
  log.SetLevel(LogLevel::kTrace);
  payments.Trace("yes");
  EXPECT_EQ(captured_->lines().size(), 3u);
}

TEST(LogLevelTest, NamesGoBothWays) {
  for (const LogLevel level : {LogLevel::kTrace, LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarn,
                               LogLevel::kError, LogLevel::kOff}) {
    EXPECT_EQ(ParseLogLevel(LogLevelName(level)), level);
  }
  EXPECT_EQ(ParseLogLevel("Warn"), LogLevel::kWarn);
  EXPECT_EQ(ParseLogLevel("loud"), std::nullopt);
  EXPECT_EQ(ParseLogLevel(""), std::nullopt);
}

TEST_F(LogTest, HugeValuesAreCut) {
  Make().Info("x", {{"k", std::string(1 << 20, 'v')}});
  EXPECT_LT(Line().size(), 20000u);
  EXPECT_THAT(Line(), EndsWith("...\""));
}

TEST_F(LogTest, ManyThreadsWriteWholeLines) {
  const Logger log = Make();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&log, t] {
      for (int i = 0; i < 500; ++i) log.Named("n").Info("line", {{"t", t}, {"i", i}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(captured_->lines().size(), 2000u);
  for (const std::string& line : captured_->lines()) EXPECT_THAT(line, HasSubstr(" line t="));
}

std::string ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class LogFileTest : public ::testing::TestWithParam<bool> {};

TEST_P(LogFileTest, WritesToAFile) {
  const std::string path = ::testing::TempDir() + "/rookery_log_" + std::to_string(getpid()) +
                           (GetParam() ? "_async" : "_sync");
  LogOptions options;
  options.output = LogOutput::kFile;
  options.file = path;
  options.async = GetParam();
  {
    const Logger log(options);
    for (int i = 0; i < 100; ++i) log.Info("line", {{"i", i}});
    log.Flush();
    EXPECT_THAT(ReadFile(path), HasSubstr("line i=99\n"));
    log.Info("last");
    EXPECT_EQ(log.dropped(), 0u);
  }
  const std::string text = ReadFile(path);
  EXPECT_THAT(text, EndsWith("last\n"));  // what is queued is written at the end
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 101);
  unlink(path.c_str());
}

INSTANTIATE_TEST_SUITE_P(SyncAndAsync, LogFileTest, ::testing::Bool());

TEST(LogFileFaultTest, SaysWhichFileAndWhy) {
  LogOptions options;
  options.output = LogOutput::kFile;
  EXPECT_THROW(Logger{options}, RpcException);
  options.file = "/dev/null/x.log";
  try {
    const Logger log(options);
    FAIL() << "no exception";
  } catch (const RpcException& error) {
    EXPECT_THAT(error.what(), HasSubstr("/dev/null/x.log"));
  }
}

TEST(LogDefaultTest, UnhandledErrorsOfDetachedWorkAreLogged) {
  const Logger before = Logger::Default();
  auto captured = std::make_shared<CapturingSink>();
  LogOptions options;
  options.sink = captured;
  Logger::SetDefault(Logger(options));
  internal::ReportUnhandled("a spawned task", absl::DataLossError("disk gone"));
  Logger::SetDefault(before);
  EXPECT_TRUE(captured->Contains("a spawned task"));
  EXPECT_TRUE(captured->Contains("disk gone"));
}

}  // namespace
}  // namespace rookery
