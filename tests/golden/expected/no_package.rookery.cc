// Made by protoc-gen-rookery of no_package.proto. Do not edit.
#include "no_package.rookery.h"

#include <utility>

#include "rookery/rpc/generated.h"

static_assert(::rookery::internal::kCodegenVersion == 1,
              "no_package.rookery.cc was made by a protoc-gen-rookery that does not belong to "
              "the rookery headers in use: generate it again with theirs");

namespace rookery_generated::no_5fpackage_2eproto {
namespace {

const ::google::protobuf::ServiceDescriptor* Proto_Rootless() {
  return ::RootPing::descriptor()->file()->service(0);
}

constexpr ::rookery::MethodDescriptor kMethods_Rootless[] = {
    {
        .full_name = "/Rootless/Ping",
        .service = "Rootless",
        .name = "Ping",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::RootPing>,
        .response = &::rookery::internal::DefaultInstance<::google::protobuf::Empty>,
        .move_request = &::rookery::internal::MoveMessage<::RootPing>,
        .move_response = &::rookery::internal::MoveMessage<::google::protobuf::Empty>,
        .invoke = &::rookery::internal::InvokeMember<
            ::RootlessService, &::RootlessService::Ping>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Rootless, 0>,
    },
    {
        .full_name = "/Rootless/Flow",
        .service = "Rootless",
        .name = "Flow",
        .kind = ::rookery::MethodKind::kBidiStreaming,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::RootPing>,
        .response = &::rookery::internal::DefaultInstance<::RootPing>,
        .move_request = &::rookery::internal::MoveMessage<::RootPing>,
        .move_response = &::rookery::internal::MoveMessage<::RootPing>,
        .invoke = &::rookery::internal::InvokeMember<
            ::RootlessService, &::RootlessService::Flow>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Rootless, 1>,
    },
};

constexpr ::rookery::ServiceDescriptor kService_Rootless = {
    .full_name = "Rootless",
    .methods = kMethods_Rootless,
    .proto = &Proto_Rootless,
};

}  // namespace
}  // namespace rookery_generated::no_5fpackage_2eproto

const ::rookery::ServiceDescriptor& RootlessService::Descriptor() {
  return ::rookery_generated::no_5fpackage_2eproto::kService_Rootless;
}

RootlessClient::RootlessClient(::std::shared_ptr<::rookery::Channel> channel) noexcept
    : ::rookery::ClientBase(::std::move(channel)) {}

const ::rookery::ServiceDescriptor& RootlessClient::Descriptor() {
  return ::rookery_generated::no_5fpackage_2eproto::kService_Rootless;
}

::rookery::Task<::google::protobuf::Empty> RootlessClient::Ping(
    const ::RootPing& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::google::protobuf::Empty>(
      *this, ::rookery_generated::no_5fpackage_2eproto::kMethods_Rootless[0], request, ::std::move(options));
}
::rookery::Task<::google::protobuf::Empty> RootlessClient::Ping(
    ::RootPing&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::google::protobuf::Empty>(
      *this, ::rookery_generated::no_5fpackage_2eproto::kMethods_Rootless[0], ::std::move(request), ::std::move(options));
}

::rookery::Stream<::RootPing> RootlessClient::Flow(
    ::rookery::Stream<::RootPing> requests, ::rookery::CallOptions options) {
  return ::rookery::internal::CallBidi<::RootPing>(
      *this, ::rookery_generated::no_5fpackage_2eproto::kMethods_Rootless[1], ::std::move(requests), ::std::move(options));
}

