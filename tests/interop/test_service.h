// TestService of gRPC's interoperability tests, as a Rookery controller.
// Source: https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md
#ifndef ROOKERY_TESTS_INTEROP_TEST_SERVICE_H_
#define ROOKERY_TESTS_INTEROP_TEST_SERVICE_H_

#include <mutex>

#include "grpc/testing/test.rookery.h"
#include "rookery/rookery.h"
#include "xds/service/orca/v3/orca.rookery.h"

namespace rookery::interop {

// Headers that the server echoes, the first as a header and the second as a trailer.
inline constexpr char kEchoInitial[] = "x-grpc-test-echo-initial";
inline constexpr char kEchoTrailing[] = "x-grpc-test-echo-trailing-bin";
// Where the server's load is reported: a serialised xds.data.orca.v3.OrcaLoadReport.
inline constexpr char kLoadTrailer[] = "endpoint-load-metrics-bin";

// The load that a client last asked the server to report outside any request. Shared by all loops.
class ReportedLoad final {
 public:
  void Set(const grpc::testing::TestOrcaReport& report);
  [[nodiscard]] xds::data::orca::v3::OrcaLoadReport Get() const;

 private:
  mutable std::mutex mutex_;
  xds::data::orca::v3::OrcaLoadReport report_;
};

class TestController final : public grpc::testing::TestServiceService {
 public:
  explicit TestController(ReportedLoad& load) : load_(load) {}

  Task<grpc::testing::Empty> EmptyCall(CallContext& call,
                                       const grpc::testing::Empty& request) override;
  Task<grpc::testing::SimpleResponse> UnaryCall(
      CallContext& call, const grpc::testing::SimpleRequest& request) override;
  Task<grpc::testing::SimpleResponse> CacheableUnaryCall(
      CallContext& call, const grpc::testing::SimpleRequest& request) override;
  Stream<grpc::testing::StreamingOutputCallResponse> StreamingOutputCall(
      CallContext& call, const grpc::testing::StreamingOutputCallRequest& request) override;
  Task<grpc::testing::StreamingInputCallResponse> StreamingInputCall(
      CallContext& call, Stream<grpc::testing::StreamingInputCallRequest> requests) override;
  Stream<grpc::testing::StreamingOutputCallResponse> FullDuplexCall(
      CallContext& call, Stream<grpc::testing::StreamingOutputCallRequest> requests) override;
  Stream<grpc::testing::StreamingOutputCallResponse> HalfDuplexCall(
      CallContext& call, Stream<grpc::testing::StreamingOutputCallRequest> requests) override;
  Task<grpc::testing::Empty> UnimplementedCall(CallContext& call,
                                               const grpc::testing::Empty& request) override;

 private:
  Stream<grpc::testing::StreamingOutputCallResponse> Respond(
      CallContext& call, grpc::testing::StreamingOutputCallRequest request);

  ReportedLoad& load_;
};

// Load reports at an interval.
class LoadController final : public xds::service::orca::v3::OpenRcaServiceService {
 public:
  explicit LoadController(ReportedLoad& load) : load_(load) {}
  Stream<xds::data::orca::v3::OrcaLoadReport> StreamCoreMetrics(
      CallContext& call, const xds::service::orca::v3::OrcaLoadReportRequest& request) override;

 private:
  ReportedLoad& load_;
};

struct TestServiceModule {
  static void Define(ModuleBuilder& module) {
    module.Provide<ReportedLoad>().Controller<TestController>().Controller<LoadController>();
  }
};

}  // namespace rookery::interop

#endif  // ROOKERY_TESTS_INTEROP_TEST_SERVICE_H_
