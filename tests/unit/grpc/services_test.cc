// The services that the adapter brings itself: health and reflection.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "node.h"
#include "rookery_wire/health.pb.h"
#include "rookery_wire/reflection.pb.h"

namespace rookery::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
namespace health = rookery_wire::grpc::health::v1;
namespace reflection = rookery_wire::grpc::reflection::v1;
using Status = health::HealthCheckResponse;

MethodDescriptor Method(std::string_view name, MethodKind kind) {
  MethodDescriptor method;
  method.full_name = name;
  method.kind = kind;
  return method;
}

absl::StatusOr<Status::ServingStatus> Check(Channel& channel, const std::string& service) {
  const MethodDescriptor method = Method("/grpc.health.v1.Health/Check", MethodKind::kUnary);
  OutgoingCall call(method);
  health::HealthCheckRequest request;
  request.set_service(service);
  health::HealthCheckResponse response;
  absl::Status status = SyncWaitStatus(channel.Unary(call, request, response));
  if (!status.ok()) return status;
  return response.status();
}

TEST(HealthTest, ChecksServices) {
  EchoNode node;
  node.is_ready = false;
  ASSERT_TRUE(node.Start({}).ok());
  const std::shared_ptr<Channel> channel = node.Connect();
  EXPECT_EQ(*Check(*channel, ""), Status::NOT_SERVING);
  node.is_ready = true;
  EXPECT_EQ(*Check(*channel, ""), Status::SERVING);
  EXPECT_EQ(*Check(*channel, "rookery.testing.Echo"), Status::SERVING);
  EXPECT_EQ(Check(*channel, "no.Such").status().code(), absl::StatusCode::kNotFound);
  node.transport->NotReady();
  EXPECT_EQ(*Check(*channel, ""), Status::NOT_SERVING);
  EXPECT_EQ(*Check(*channel, "rookery.testing.Echo"), Status::NOT_SERVING);
}

TEST(HealthTest, ListsServices) {
  EchoNode node;
  ASSERT_TRUE(node.Start({}).ok());
  const MethodDescriptor method = Method("/grpc.health.v1.Health/List", MethodKind::kUnary);
  OutgoingCall call(method);
  const health::HealthListRequest request;
  health::HealthListResponse response;
  ASSERT_TRUE(SyncWaitStatus(node.Connect()->Unary(call, request, response)).ok());
  ASSERT_EQ(response.statuses().size(), 2u);
  EXPECT_EQ(response.statuses().at("").status(), Status::SERVING);
  EXPECT_EQ(response.statuses().at("rookery.testing.Echo").status(), Status::SERVING);
}

// One stream, read step by step.
class Watcher final {
 public:
  Watcher(const std::shared_ptr<Channel>& channel, const std::string& service)
      : method_(Method("/grpc.health.v1.Health/Watch", MethodKind::kServerStreaming)),
        call_(method_),
        stream_(channel->Open(call_)) {
    health::HealthCheckRequest request;
    request.set_service(service);
    EXPECT_TRUE(SyncWait(stream_->Write(request)));
    SyncWait(stream_->WritesDone());
  }
  // -1 at the end.
  int Next() {
    health::HealthCheckResponse response;
    return SyncWait(stream_->Read(response)) ? response.status() : -1;
  }
  absl::Status Finish() { return SyncWait(stream_->Finish()); }

 private:
  MethodDescriptor method_;
  OutgoingCall call_;
  std::unique_ptr<ClientStream> stream_;
};

TEST(HealthTest, WatchersHearOfChanges) {
  EchoNode node;
  node.is_ready = false;
  ASSERT_TRUE(node.Start({}).ok());
  const std::shared_ptr<Channel> channel = node.Connect();
  Watcher all(channel, "");
  Watcher echo(channel, "rookery.testing.Echo");
  Watcher unknown(channel, "no.Such");
  EXPECT_EQ(all.Next(), Status::NOT_SERVING);
  EXPECT_EQ(echo.Next(), Status::NOT_SERVING);
  EXPECT_EQ(unknown.Next(), Status::SERVICE_UNKNOWN);
  node.is_ready = true;
  EXPECT_EQ(all.Next(), Status::SERVING);
  EXPECT_EQ(echo.Next(), Status::SERVING);
  node.transport->NotReady();
  EXPECT_EQ(all.Next(), Status::NOT_SERVING);
  EXPECT_EQ(echo.Next(), Status::NOT_SERVING);
  // Watches do not hold a drain up, nor count as calls that it had to cancel.
  node.transport->StopIntake();
  EXPECT_EQ(node.transport->Drain(std::chrono::steady_clock::now() + std::chrono::seconds(20)), 0u);
  EXPECT_EQ(all.Next(), -1);
  EXPECT_EQ(all.Finish().code(), absl::StatusCode::kUnavailable);
}

TEST(HealthTest, MayBeTurnedOff) {
  EchoNode node;
  Grpc options;
  options.health = false;
  options.reflection = false;
  ASSERT_TRUE(node.Start(options).ok());
  EXPECT_EQ(Check(*node.Connect(), "").status().code(), absl::StatusCode::kUnimplemented);
}

class ReflectionTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { ASSERT_TRUE(node_.Start({}).ok()); }

  // All answers to `requests`, on one stream.
  std::vector<reflection::ServerReflectionResponse> Ask(
      const std::vector<reflection::ServerReflectionRequest>& requests) {
    const MethodDescriptor method = Method(GetParam(), MethodKind::kBidiStreaming);
    OutgoingCall call(method);
    const std::unique_ptr<ClientStream> stream = node_.Connect()->Open(call);
    std::vector<reflection::ServerReflectionResponse> responses;
    for (const reflection::ServerReflectionRequest& request : requests) {
      EXPECT_TRUE(SyncWait(stream->Write(request)));
      reflection::ServerReflectionResponse response;
      EXPECT_TRUE(SyncWait(stream->Read(response)));
      responses.push_back(std::move(response));
    }
    SyncWait(stream->WritesDone());
    reflection::ServerReflectionResponse none;
    EXPECT_FALSE(SyncWait(stream->Read(none)));
    EXPECT_TRUE(SyncWait(stream->Finish()).ok());
    return responses;
  }
  static std::vector<std::string> FileNames(const reflection::ServerReflectionResponse& response) {
    std::vector<std::string> names;
    for (const std::string& bytes : response.file_descriptor_response().file_descriptor_proto()) {
      google::protobuf::FileDescriptorProto file;
      EXPECT_TRUE(file.ParseFromString(bytes));
      names.push_back(file.name());
    }
    return names;
  }

  EchoNode node_;
};

TEST_P(ReflectionTest, AnswersEveryKindOfQuestion) {
  std::vector<reflection::ServerReflectionRequest> requests(8);
  requests[0].set_list_services("");
  requests[1].set_file_containing_symbol("rookery.testing.Echo");
  requests[2].set_file_containing_symbol("rookery.testing.Echo.Say");
  requests[3].set_file_by_filename("echo.proto");
  requests[4].mutable_file_containing_extension()->set_containing_type(
      "google.protobuf.MethodOptions");
  requests[4].mutable_file_containing_extension()->set_extension_number(56212);
  requests[5].set_all_extension_numbers_of_type("google.protobuf.MethodOptions");
  requests[6].set_file_containing_symbol("no.Such");
  requests[7].set_host("h");
  const std::vector<reflection::ServerReflectionResponse> responses = Ask(requests);

  std::vector<std::string> services;
  for (const auto& service : responses[0].list_services_response().service()) {
    services.push_back(service.name());
  }
  EXPECT_THAT(services,
              ElementsAre("grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                          "grpc.reflection.v1alpha.ServerReflection", "rookery.testing.Echo"));
  // The file that was asked for comes first, then all that it needs.
  for (const int i : {1, 2, 3}) {
    const std::vector<std::string> files = FileNames(responses[static_cast<std::size_t>(i)]);
    ASSERT_FALSE(files.empty());
    EXPECT_EQ(files[0], "echo.proto");
    EXPECT_THAT(files, IsSupersetOf({"rookery/annotations.proto", "google/protobuf/empty.proto",
                                     "google/protobuf/descriptor.proto"}));
  }
  EXPECT_THAT(FileNames(responses[4]), Contains("rookery/annotations.proto"));
  EXPECT_THAT(responses[5].all_extension_numbers_response().extension_number(), Contains(56212));
  EXPECT_EQ(responses[6].error_response().error_code(), 5);
  EXPECT_EQ(responses[7].error_response().error_code(), 3);
  EXPECT_EQ(responses[7].valid_host(), "h");
  EXPECT_EQ(responses[7].original_request().host(), "h");
}

// The adapter's own services are described under the names that peers know.
TEST_P(ReflectionTest, DescribesHealthAndItself) {
  std::vector<reflection::ServerReflectionRequest> requests(3);
  requests[0].set_file_containing_symbol("grpc.health.v1.Health");
  requests[1].set_file_containing_symbol("grpc.reflection.v1.ServerReflection");
  requests[2].set_file_containing_symbol("grpc.reflection.v1alpha.ServerReflection");
  const std::vector<reflection::ServerReflectionResponse> responses = Ask(requests);
  EXPECT_THAT(FileNames(responses[0]), ElementsAre("grpc/health/v1/health.proto"));
  EXPECT_THAT(FileNames(responses[1]), ElementsAre("grpc/reflection/v1/reflection.proto"));
  EXPECT_THAT(FileNames(responses[2]), ElementsAre("grpc/reflection/v1alpha/reflection.proto"));
  for (const reflection::ServerReflectionResponse& response : responses) {
    EXPECT_THAT(response.file_descriptor_response().file_descriptor_proto(0),
                ::testing::Not(HasSubstr("rookery")));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Versions, ReflectionTest,
    ::testing::Values("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                      "/grpc.reflection.v1alpha.ServerReflection/"
                      "ServerReflectionInfo"));

}  // namespace
}  // namespace rookery::testing
