// The client of gRPC's interoperability tests, on Rookery:
//
//   rookery_interop_client --server_host=127.0.0.1 --server_port=10000 --test_case=large_unary
//       [--use_tls --tls_ca=FILE --server_host_override=NAME]
//
// Exit code 0: the case passed; 1: it failed, with the reason on standard error; 3: there is no
// such case, or it cannot be played here.
// Source: https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md
#include <array>
#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "flags.h"
#include "rookery/transports/grpc.h"
#include "test_service.h"

namespace rookery::interop {
namespace {

namespace pb = grpc::testing;
using std::chrono::milliseconds;

constexpr std::array<std::int32_t, 4> kReplySizes = {31415, 9, 2653, 58979};
constexpr std::array<std::size_t, 4> kRequestSizes = {27182, 8, 1828, 45904};
constexpr char kSpecialMessage[] =
    "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n";

// A case that this program cannot play.
class NotApplicable final : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A case fails by this.
void Check(bool ok, const std::string& what) {
  if (!ok) throw RpcException(absl::FailedPreconditionError(what));
}
template <class A, class B>
void CheckEqual(const A& actual, const B& wanted, const std::string& what) {
  Check(actual == wanted, absl::StrCat(what, ": got ", actual, ", wanted ", wanted));
}
void CheckStatus(const absl::Status& status, absl::StatusCode code) {
  Check(status.code() == code,
        absl::StrCat("got ", status.ToString(), ", wanted ", absl::StatusCodeToString(code)));
}

pb::SimpleRequest LargeRequest() {
  pb::SimpleRequest request;
  request.set_response_size(314159);
  request.mutable_payload()->mutable_body()->resize(271828);
  return request;
}
void CheckLarge(const pb::SimpleResponse& response) {
  CheckEqual(response.payload().body().size(), 314159U, "payload size");
}
pb::StreamingInputCallRequest InputOf(std::size_t size) {
  pb::StreamingInputCallRequest request;
  request.mutable_payload()->mutable_body()->resize(size);
  return request;
}
pb::StreamingOutputCallRequest OutputOf(std::int32_t reply_size, std::size_t request_size) {
  pb::StreamingOutputCallRequest request;
  request.add_response_parameters()->set_size(reply_size);
  request.mutable_payload()->mutable_body()->resize(request_size);
  return request;
}
template <class T>
Stream<T> FromVector(std::vector<T> values) {
  for (T& value : values) co_yield std::move(value);
}

class Cases final {
 public:
  explicit Cases(std::function<std::shared_ptr<Channel>()> connect)
      : connect_(std::move(connect)), channel_(connect_()), client_(channel_) {}

  Task<void> EmptyUnary() {
    const pb::Empty reply = co_await client_.EmptyCall(pb::Empty());
    CheckEqual(reply.ByteSizeLong(), 0U, "reply size");
  }
  Task<void> CacheableUnary() {
    pb::SimpleRequest request;
    request.mutable_payload()->set_body(
        std::to_string(std::chrono::steady_clock::now().time_since_epoch().count()));
    request.set_response_size(3);
    for (int i = 0; i < 2; ++i) {
      CallOptions options;
      options.metadata.Add("x-user-ip", "1.2.3.4").IgnoreError();
      const pb::SimpleResponse reply =
          co_await client_.CacheableUnaryCall(request, std::move(options));
      CheckEqual(reply.payload().body().size(), 3U, "payload size");
    }
  }
  Task<void> LargeUnary() {
    const pb::SimpleResponse reply = co_await client_.UnaryCall(LargeRequest());
    CheckLarge(reply);
  }
  Task<void> ClientCompressedUnary() {
    pb::SimpleRequest request = LargeRequest();
    request.mutable_expect_compressed()->set_value(true);
    // The probe: a server that cannot tell would answer it.
    const auto probe = co_await AsStatusOr(client_.UnaryCall(request));
    CheckStatus(probe.status(), absl::StatusCode::kInvalidArgument);
    CallOptions options;
    options.compression = "gzip";
    const pb::SimpleResponse compressed = co_await client_.UnaryCall(request, std::move(options));
    CheckLarge(compressed);
    request.mutable_expect_compressed()->set_value(false);
    const pb::SimpleResponse plain = co_await client_.UnaryCall(request);
    CheckLarge(plain);
  }
  Task<void> ServerCompressedUnary() {
    for (const bool compressed : {true, false}) {
      pb::SimpleRequest request = LargeRequest();
      request.mutable_response_compressed()->set_value(compressed);
      const pb::SimpleResponse reply = co_await client_.UnaryCall(request);
      CheckLarge(reply);
    }
  }
  Task<void> ClientStreaming() {
    std::vector<pb::StreamingInputCallRequest> requests;
    for (const std::size_t size : kRequestSizes) requests.push_back(InputOf(size));
    auto stream = FromVector(std::move(requests));
    const auto reply = co_await client_.StreamingInputCall(std::move(stream));
    CheckEqual(reply.aggregated_payload_size(), 74922, "aggregate");
  }
  Task<void> ClientCompressedStreaming() {
    std::vector<pb::StreamingInputCallRequest> requests = {InputOf(27182), InputOf(45904)};
    requests[0].mutable_expect_compressed()->set_value(true);
    auto probe_stream = FromVector(std::vector<pb::StreamingInputCallRequest>(1, requests[0]));
    const auto probe = co_await AsStatusOr(client_.StreamingInputCall(std::move(probe_stream)));
    CheckStatus(probe.status(), absl::StatusCode::kInvalidArgument);
    requests[1].mutable_expect_compressed()->set_value(false);
    CallOptions options;
    options.compression = "gzip";
    options.compress_if = [](const google::protobuf::Message& message) {
      return static_cast<const pb::StreamingInputCallRequest&>(message).expect_compressed().value();
    };
    auto stream = FromVector(std::move(requests));
    const auto reply = co_await client_.StreamingInputCall(std::move(stream), std::move(options));
    CheckEqual(reply.aggregated_payload_size(), 73086, "aggregate");
  }
  Task<void> ServerStreaming() {
    pb::StreamingOutputCallRequest request;
    for (const std::int32_t size : kReplySizes) request.add_response_parameters()->set_size(size);
    auto replies = client_.StreamingOutputCall(request);
    for (const std::int32_t size : kReplySizes) {
      const auto reply = co_await replies.Next();
      Check(reply.has_value(), "the stream ended early");
      CheckEqual(reply->payload().body().size(), static_cast<std::size_t>(size), "size");
    }
    const auto end = co_await replies.Next();
    Check(!end.has_value(), "a message too many");
  }
  Task<void> ServerCompressedStreaming() {
    pb::StreamingOutputCallRequest request;
    for (const auto& [size, compressed] : {std::pair(31415, true), std::pair(92653, false)}) {
      auto* const parameters = request.add_response_parameters();
      parameters->set_size(size);
      parameters->mutable_compressed()->set_value(compressed);
    }
    auto replies = client_.StreamingOutputCall(request);
    for (const std::size_t size : {31415U, 92653U}) {
      const auto reply = co_await replies.Next();
      Check(reply.has_value(), "the stream ended early");
      CheckEqual(reply->payload().body().size(), size, "size");
    }
    const auto end = co_await replies.Next();
    Check(!end.has_value(), "a message too many");
  }
  Task<void> PingPong() {
    Queue<pb::StreamingOutputCallRequest> requests(1);
    auto replies = client_.FullDuplexCall(requests.ReadAll());
    for (std::size_t i = 0; i < kReplySizes.size(); ++i) {
      const bool sent = co_await requests.Push(OutputOf(kReplySizes[i], kRequestSizes[i]));
      Check(sent, "the requests were closed");
      const auto reply = co_await replies.Next();
      Check(reply.has_value(), "the stream ended early");
      CheckEqual(reply->payload().body().size(), static_cast<std::size_t>(kReplySizes[i]), "size");
    }
    requests.Close();
    const auto end = co_await replies.Next();
    Check(!end.has_value(), "a message too many");
  }
  Task<void> HalfDuplex() {
    std::vector<pb::StreamingOutputCallRequest> requests;
    for (const std::int32_t size : kReplySizes) requests.push_back(OutputOf(size, 1));
    auto stream = FromVector(std::move(requests));
    auto replies = client_.HalfDuplexCall(std::move(stream));
    for (const std::int32_t size : kReplySizes) {
      const auto reply = co_await replies.Next();
      Check(reply.has_value(), "the stream ended early");
      CheckEqual(reply->payload().body().size(), static_cast<std::size_t>(size), "size");
    }
    const auto end = co_await replies.Next();
    Check(!end.has_value(), "a message too many");
  }
  Task<void> EmptyStream() {
    Stream<pb::StreamingOutputCallRequest> nothing;
    auto replies = client_.FullDuplexCall(std::move(nothing));
    const auto end = co_await replies.Next();
    Check(!end.has_value(), "a message out of nothing");
  }
  Task<void> TimeoutOnSleepingServer() {
    Queue<pb::StreamingOutputCallRequest> requests(1);
    CallOptions options;
    options.timeout = milliseconds(1);
    auto replies = client_.FullDuplexCall(requests.ReadAll(), std::move(options));
    pb::StreamingOutputCallRequest request;
    request.mutable_payload()->mutable_body()->resize(27182);
    const bool queued = requests.TryPush(std::move(request));
    Check(queued, "the request did not fit");
    const absl::Status status = co_await EndOf(std::move(replies));
    CheckStatus(status, absl::StatusCode::kDeadlineExceeded);
  }
  Task<void> CancelAfterBegin() {
    CancelSource cancel;
    Queue<pb::StreamingInputCallRequest> requests(1);
    CallOptions options;
    options.cancel = cancel.token();
    auto call = Spawn(client_.StreamingInputCall(requests.ReadAll(), std::move(options)));
    cancel.Cancel(absl::CancelledError("the test cancels"));
    const absl::Status status = co_await StatusOf(std::move(call));
    CheckStatus(status, absl::StatusCode::kCancelled);
  }
  Task<void> CancelAfterFirstResponse() {
    CancelSource cancel;
    Queue<pb::StreamingOutputCallRequest> requests(1);
    CallOptions options;
    options.cancel = cancel.token();
    auto replies = client_.FullDuplexCall(requests.ReadAll(), std::move(options));
    const bool queued = requests.TryPush(OutputOf(31415, 27182));
    Check(queued, "the request did not fit");
    const auto first = co_await replies.Next();
    Check(first.has_value(), "no first response");
    CheckEqual(first->payload().body().size(), 31415U, "size");
    cancel.Cancel(absl::CancelledError("the test cancels"));
    const absl::Status status = co_await EndOf(std::move(replies));
    CheckStatus(status, absl::StatusCode::kCancelled);
  }
  Task<void> StatusCodeAndMessage() {
    const absl::Status unary = co_await UnaryStatus("test status message");
    CheckStatus(unary, absl::StatusCode::kUnknown);
    CheckEqual(unary.message(), "test status message", "message");
    std::vector<pb::StreamingOutputCallRequest> requests(1);
    requests[0].mutable_response_status()->set_code(2);
    requests[0].mutable_response_status()->set_message("test status message");
    auto stream = FromVector(std::move(requests));
    const absl::Status duplex = co_await EndOf(client_.FullDuplexCall(std::move(stream)));
    CheckStatus(duplex, absl::StatusCode::kUnknown);
    CheckEqual(duplex.message(), "test status message", "message");
  }
  Task<void> SpecialStatusMessage() {
    const absl::Status status = co_await UnaryStatus(kSpecialMessage);
    CheckStatus(status, absl::StatusCode::kUnknown);
    CheckEqual(status.message(), kSpecialMessage, "message");
  }
  Task<void> CustomMetadata() {
    CallInfo info;
    const pb::SimpleResponse reply = co_await client_.UnaryCall(LargeRequest(), WithEcho(&info));
    CheckLarge(reply);
    CheckEcho(info);
    CallInfo stream_info;
    std::vector<pb::StreamingOutputCallRequest> requests(1, OutputOf(314159, 271828));
    auto stream = FromVector(std::move(requests));
    auto replies = client_.FullDuplexCall(std::move(stream), WithEcho(&stream_info));
    const auto first = co_await replies.Next();
    Check(first.has_value(), "no response");
    CheckEqual(first->payload().body().size(), 314159U, "size");
    const auto end = co_await replies.Next();
    Check(!end.has_value(), "a message too many");
    CheckEcho(stream_info);
  }
  Task<void> UnimplementedMethod() {
    const auto reply = co_await AsStatusOr(client_.UnimplementedCall(pb::Empty()));
    CheckStatus(reply.status(), absl::StatusCode::kUnimplemented);
  }
  Task<void> UnimplementedService() {
    pb::UnimplementedServiceClient client(channel_);
    const auto reply = co_await AsStatusOr(client.UnimplementedCall(pb::Empty()));
    CheckStatus(reply.status(), absl::StatusCode::kUnimplemented);
  }
  Task<void> PickFirstUnary() {
    std::set<std::string> ids;
    pb::SimpleRequest request;
    request.set_response_size(1);
    request.set_fill_server_id(true);
    for (int i = 0; i < 100; ++i) {
      const pb::SimpleResponse reply = co_await client_.UnaryCall(request);
      ids.insert(reply.server_id());
    }
    Check(ids.size() == 1 && !ids.begin()->empty(), "more than one server answered, or none named");
  }
  Task<void> RpcSoak() {
    for (int i = 0; i < 10; ++i) {
      CallOptions options;
      options.timeout = std::chrono::seconds(10);
      const pb::SimpleResponse reply =
          co_await client_.UnaryCall(LargeRequest(), std::move(options));
      CheckLarge(reply);
    }
  }
  Task<void> ChannelSoak() {
    for (int i = 0; i < 10; ++i) {
      pb::TestServiceClient client(connect_());
      CallOptions options;
      options.timeout = std::chrono::seconds(10);
      const pb::SimpleResponse reply =
          co_await client.UnaryCall(LargeRequest(), std::move(options));
      CheckLarge(reply);
    }
  }
  Task<void> OrcaPerRpc() {
    pb::SimpleRequest request;
    *request.mutable_orca_per_query_report() = Report();
    CallInfo info;
    CallOptions options;
    options.info = &info;
    const pb::SimpleResponse reply = co_await client_.UnaryCall(request, std::move(options));
    static_cast<void>(reply);
    const auto trailer = info.trailers.Get(kLoadTrailer);
    // gRPC's C core (1.51) reads this trailer for its load balancing policies and does not show it
    // to the application.
    if (!trailer) throw NotApplicable("gRPC's C core keeps the load report to itself");
    xds::data::orca::v3::OrcaLoadReport load;
    Check(load.ParseFromString(std::string(*trailer)), "the load report does not parse");
    CheckLoad(load);
  }
  Task<void> OrcaOob() {
    Queue<pb::StreamingOutputCallRequest> requests(1);
    auto replies = client_.FullDuplexCall(requests.ReadAll());
    pb::StreamingOutputCallRequest request;
    *request.mutable_orca_oob_report() = Report();
    request.add_response_parameters()->set_size(1);
    const bool queued = requests.TryPush(std::move(request));
    Check(queued, "the request did not fit");
    const auto reply = co_await replies.Next();
    Check(reply.has_value(), "no response");
    xds::service::orca::v3::OrcaLoadReportRequest ask;
    ask.mutable_report_interval()->set_seconds(1);
    xds::service::orca::v3::OpenRcaServiceClient metrics(channel_);
    auto reports = metrics.StreamCoreMetrics(ask);
    for (int i = 0; i < 2; ++i) {
      const auto load = co_await reports.Next();
      Check(load.has_value(), "the reports ended");
      CheckLoad(*load);
    }
    requests.Close();
    const absl::Status status = co_await EndOf(std::move(replies));
    Check(status.ok(), status.ToString());
  }

 private:
  static CallOptions WithEcho(CallInfo* info) {
    CallOptions options;
    options.metadata.Add(kEchoInitial, "test_initial_metadata_value").IgnoreError();
    options.metadata.Add(kEchoTrailing, "\xab\xab\xab").IgnoreError();
    options.info = info;
    return options;
  }
  static void CheckEcho(const CallInfo& info) {
    Check(info.headers.Get(kEchoInitial) == "test_initial_metadata_value", "initial metadata");
    Check(info.trailers.Get(kEchoTrailing) == "\xab\xab\xab", "trailing metadata");
  }
  static pb::TestOrcaReport Report() {
    pb::TestOrcaReport report;
    report.set_cpu_utilization(0.8210);
    report.set_memory_utilization(0.5847);
    (*report.mutable_request_cost())["cost"] = 3456.32;
    (*report.mutable_utilization())["util"] = 0.30499;
    return report;
  }
  static void CheckLoad(const xds::data::orca::v3::OrcaLoadReport& load) {
    CheckEqual(load.cpu_utilization(), 0.8210, "cpu");
    CheckEqual(load.mem_utilization(), 0.5847, "memory");
    CheckEqual(load.utilization().at("util"), 0.30499, "utilization");
  }
  Task<absl::Status> UnaryStatus(std::string message) {
    pb::SimpleRequest request;
    request.mutable_response_status()->set_code(2);
    request.mutable_response_status()->set_message(std::move(message));
    auto reply = co_await AsStatusOr(client_.UnaryCall(request));
    co_return reply.status();
  }
  // The status a stream ends with, after whatever messages it still has.
  template <class T>
  static Task<absl::Status> EndOf(Stream<T> stream) {
    absl::Status status;
    try {
      for (;;) {
        const std::optional<T> next = co_await stream.Next();
        if (!next) break;
      }
    } catch (const RpcException& error) {
      status = error.status();
    }
    co_return status;
  }
  template <class T>
  static Task<absl::Status> StatusOf(JoinHandle<T> call) {
    absl::Status status;
    try {
      co_await std::move(call);
    } catch (const RpcException& error) {
      status = error.status();
    }
    co_return status;
  }

  std::function<std::shared_ptr<Channel>()> connect_;
  std::shared_ptr<Channel> channel_;
  pb::TestServiceClient client_;
};

int Main(int argc, char** argv) {
  const Flags flags(argc, argv);
  Grpc grpc{.address = flags.Get("server_host", "127.0.0.1") + ":" + flags.Get("server_port", "")};
  grpc.max_receive_bytes = 64 << 20;
  if (flags.GetBool("use_tls")) {
    grpc.tls.emplace();
    grpc.tls->ca_file = flags.Get("tls_ca", "");
    grpc.tls->server_name = flags.Get("server_host_override", "");
  }
  const std::map<std::string, Task<void> (Cases::*)()> cases = {
      {"empty_unary", &Cases::EmptyUnary},
      {"cacheable_unary", &Cases::CacheableUnary},
      {"large_unary", &Cases::LargeUnary},
      {"client_compressed_unary", &Cases::ClientCompressedUnary},
      {"server_compressed_unary", &Cases::ServerCompressedUnary},
      {"client_streaming", &Cases::ClientStreaming},
      {"client_compressed_streaming", &Cases::ClientCompressedStreaming},
      {"server_streaming", &Cases::ServerStreaming},
      {"server_compressed_streaming", &Cases::ServerCompressedStreaming},
      {"ping_pong", &Cases::PingPong},
      {"half_duplex", &Cases::HalfDuplex},
      {"empty_stream", &Cases::EmptyStream},
      {"timeout_on_sleeping_server", &Cases::TimeoutOnSleepingServer},
      {"cancel_after_begin", &Cases::CancelAfterBegin},
      {"cancel_after_first_response", &Cases::CancelAfterFirstResponse},
      {"status_code_and_message", &Cases::StatusCodeAndMessage},
      {"special_status_message", &Cases::SpecialStatusMessage},
      {"custom_metadata", &Cases::CustomMetadata},
      {"unimplemented_method", &Cases::UnimplementedMethod},
      {"unimplemented_service", &Cases::UnimplementedService},
      {"pick_first_unary", &Cases::PickFirstUnary},
      {"rpc_soak", &Cases::RpcSoak},
      {"channel_soak", &Cases::ChannelSoak},
      {"orca_per_rpc", &Cases::OrcaPerRpc},
      {"orca_oob", &Cases::OrcaOob},
  };
  const std::string name = flags.Get("test_case", "");
  const auto found = cases.find(name);
  if (found == cases.end()) {
    std::fprintf(stderr, "no such case: --test_case=%s; there are:", name.c_str());
    for (const auto& [known, run] : cases) std::fprintf(stderr, " %s", known.c_str());
    std::fprintf(stderr, "\n");
    return 3;
  }
  Cases suite([&grpc] { return MakeChannel(grpc); });
  try {
    SyncWait((suite.*found->second)());
  } catch (const NotApplicable& reason) {
    std::fprintf(stderr, "%s: not applicable: %s\n", name.c_str(), reason.what());
    return 3;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), error.what());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace rookery::interop

int main(int argc, char** argv) { return rookery::interop::Main(argc, argv); }
