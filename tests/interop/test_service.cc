#include "test_service.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "rookery/transports/grpc_call.h"

namespace rookery::interop {
namespace {

namespace pb = grpc::testing;

xds::data::orca::v3::OrcaLoadReport ToLoadReport(const pb::TestOrcaReport& report) {
  xds::data::orca::v3::OrcaLoadReport load;
  load.set_cpu_utilization(report.cpu_utilization());
  load.set_mem_utilization(report.memory_utilization());
  *load.mutable_request_cost() = report.request_cost();
  *load.mutable_utilization() = report.utilization();
  return load;
}

// Echoes the two headers that the tests send.
void EchoMetadata(CallContext& call) {
  if (const auto value = call.metadata().Get(kEchoInitial)) {
    call.response_headers().Add(kEchoInitial, *value).IgnoreError();
  }
  if (const auto value = call.metadata().Get(kEchoTrailing)) {
    call.response_trailers().Add(kEchoTrailing, *value).IgnoreError();
  }
}

absl::Status Echoed(const pb::EchoStatus& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.code()), status.message());
}

// INVALID_ARGUMENT when the request came compressed otherwise than it says.
template <class Request>
absl::Status CheckCompression(CallContext& call, const Request& request) {
  if (!request.has_expect_compressed()) return absl::OkStatus();
  const auto* const grpc_call = call.TransportRequest<GrpcCall>();
  const bool compressed = grpc_call != nullptr && grpc_call->last_message_compressed();
  if (compressed == request.expect_compressed().value()) return absl::OkStatus();
  return absl::InvalidArgumentError(compressed ? "the message came compressed"
                                               : "the message did not come compressed");
}

absl::Status CheckSize(std::int32_t size) {
  constexpr std::int32_t kMost = 64 << 20;
  if (size >= 0 && size <= kMost) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("size ", size, " is not in [0, ", kMost, "]"));
}

}  // namespace

void ReportedLoad::Set(const pb::TestOrcaReport& report) {
  const std::scoped_lock lock(mutex_);
  report_ = ToLoadReport(report);
}

xds::data::orca::v3::OrcaLoadReport ReportedLoad::Get() const {
  const std::scoped_lock lock(mutex_);
  return report_;
}

Task<pb::Empty> TestController::EmptyCall(CallContext& /*call*/, const pb::Empty& /*request*/) {
  co_return pb::Empty();
}

Task<pb::SimpleResponse> TestController::UnaryCall(CallContext& call,
                                                   const pb::SimpleRequest& request) {
  EchoMetadata(call);
  absl::Status checked = CheckCompression(call, request);
  checked.Update(CheckSize(request.response_size()));
  if (!checked.ok()) co_return checked;
  if (request.response_status().code() != 0) co_return Echoed(request.response_status());
  if (request.has_orca_per_query_report()) {
    call.response_trailers()
        .Add(kLoadTrailer, ToLoadReport(request.orca_per_query_report()).SerializeAsString())
        .IgnoreError();
  }
  if (request.has_response_compressed()) {
    call.set_response_compression(request.response_compressed().value() ? "gzip" : "identity");
  }
  pb::SimpleResponse response;
  response.mutable_payload()->mutable_body()->resize(
      static_cast<std::size_t>(request.response_size()));
  if (request.fill_server_id()) response.set_server_id(absl::StrCat("rookery-", getpid()));
  co_return response;
}

Task<pb::SimpleResponse> TestController::CacheableUnaryCall(CallContext& call,
                                                            const pb::SimpleRequest& request) {
  call.response_headers().Add("cache-control", "max-age=60, public").IgnoreError();
  return UnaryCall(call, request);
}

Stream<pb::StreamingOutputCallResponse> TestController::Respond(
    CallContext& call, pb::StreamingOutputCallRequest request) {
  if (request.response_status().code() != 0) {
    co_await Fail(Echoed(request.response_status()));
  }
  if (request.has_orca_oob_report()) load_.Set(request.orca_oob_report());
  for (const pb::ResponseParameters& parameters : request.response_parameters()) {
    const absl::Status size = CheckSize(parameters.size());
    if (!size.ok()) co_await Fail(size);
    if (parameters.interval_us() > 0) {
      co_await Sleep(std::chrono::microseconds(parameters.interval_us()));
    }
    if (parameters.has_compressed()) {
      call.set_response_compression(parameters.compressed().value() ? "gzip" : "identity");
    }
    pb::StreamingOutputCallResponse response;
    response.mutable_payload()->mutable_body()->resize(static_cast<std::size_t>(parameters.size()));
    co_yield std::move(response);
  }
}

Stream<pb::StreamingOutputCallResponse> TestController::StreamingOutputCall(
    CallContext& call, const pb::StreamingOutputCallRequest& request) {
  return Respond(call, request);
}

Task<pb::StreamingInputCallResponse> TestController::StreamingInputCall(
    CallContext& call, Stream<pb::StreamingInputCallRequest> requests) {
  std::size_t total = 0;
  for (;;) {
    const std::optional<pb::StreamingInputCallRequest> request = co_await requests.Next();
    if (!request) break;
    const absl::Status compression = CheckCompression(call, *request);
    if (!compression.ok()) co_return compression;
    total += request->payload().body().size();
  }
  pb::StreamingInputCallResponse response;
  response.set_aggregated_payload_size(static_cast<std::int32_t>(total));
  co_return response;
}

Stream<pb::StreamingOutputCallResponse> TestController::FullDuplexCall(
    CallContext& call, Stream<pb::StreamingOutputCallRequest> requests) {
  EchoMetadata(call);
  for (;;) {
    std::optional<pb::StreamingOutputCallRequest> request = co_await requests.Next();
    if (!request) break;
    auto responses = Respond(call, *std::move(request));
    for (;;) {
      auto response = co_await responses.Next();
      if (!response) break;
      co_yield *std::move(response);
    }
  }
}

Stream<pb::StreamingOutputCallResponse> TestController::HalfDuplexCall(
    CallContext& call, Stream<pb::StreamingOutputCallRequest> requests) {
  std::vector<pb::StreamingOutputCallRequest> all;
  for (;;) {
    std::optional<pb::StreamingOutputCallRequest> request = co_await requests.Next();
    if (!request) break;
    all.push_back(*std::move(request));
  }
  for (pb::StreamingOutputCallRequest& request : all) {
    auto responses = Respond(call, std::move(request));
    for (;;) {
      auto response = co_await responses.Next();
      if (!response) break;
      co_yield *std::move(response);
    }
  }
}

Task<pb::Empty> TestController::UnimplementedCall(CallContext& /*call*/,
                                                  const pb::Empty& /*request*/) {
  co_return absl::UnimplementedError("the tests want this method unimplemented");
}

Stream<xds::data::orca::v3::OrcaLoadReport> LoadController::StreamCoreMetrics(
    CallContext& /*call*/, const xds::service::orca::v3::OrcaLoadReportRequest& request) {
  const auto& asked = request.report_interval();
  const auto interval = std::max<std::chrono::nanoseconds>(
      std::chrono::seconds(asked.seconds()) + std::chrono::nanoseconds(asked.nanos()),
      std::chrono::milliseconds(100));
  for (;;) {
    co_yield load_.Get();
    co_await Sleep(interval);
  }
}

}  // namespace rookery::interop
