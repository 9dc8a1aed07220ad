// Made by protoc-gen-rookery of services_only.proto. Do not edit.
#include "services_only.rookery.h"

#include <utility>

#include "rookery/rpc/generated.h"

static_assert(::rookery::internal::kCodegenVersion == 1,
              "services_only.rookery.cc was made by a protoc-gen-rookery that does not belong to "
              "the rookery headers in use: generate it again with theirs");

namespace rookery_generated::services_5fonly_2eproto {
namespace {

const ::google::protobuf::ServiceDescriptor* Proto_Bare() {
  return ::rookery::internal::FindService(&::descriptor_table_services_5fonly_2eproto, "zoo.services_only.Bare");
}

constexpr ::rookery::MethodDescriptor kMethods_Bare[] = {
    {
        .full_name = "/zoo.services_only.Bare/Take",
        .service = "zoo.services_only.Bare",
        .name = "Take",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::google::protobuf::Empty>,
        .response = &::rookery::internal::DefaultInstance<::zoo::common::Shared>,
        .move_request = &::rookery::internal::MoveMessage<::google::protobuf::Empty>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::common::Shared>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::services_only::BareService, &::zoo::services_only::BareService::Take>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Bare, 0>,
    },
};

constexpr ::rookery::ServiceDescriptor kService_Bare = {
    .full_name = "zoo.services_only.Bare",
    .methods = kMethods_Bare,
    .proto = &Proto_Bare,
};

}  // namespace
}  // namespace rookery_generated::services_5fonly_2eproto

namespace zoo::services_only {

const ::rookery::ServiceDescriptor& BareService::Descriptor() {
  return ::rookery_generated::services_5fonly_2eproto::kService_Bare;
}

BareClient::BareClient(::std::shared_ptr<::rookery::Channel> channel) noexcept
    : ::rookery::ClientBase(::std::move(channel)) {}

const ::rookery::ServiceDescriptor& BareClient::Descriptor() {
  return ::rookery_generated::services_5fonly_2eproto::kService_Bare;
}

::rookery::Task<::zoo::common::Shared> BareClient::Take(
    const ::google::protobuf::Empty& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::common::Shared>(
      *this, ::rookery_generated::services_5fonly_2eproto::kMethods_Bare[0], request, ::std::move(options));
}
::rookery::Task<::zoo::common::Shared> BareClient::Take(
    ::google::protobuf::Empty&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::common::Shared>(
      *this, ::rookery_generated::services_5fonly_2eproto::kMethods_Bare[0], ::std::move(request), ::std::move(options));
}

}  // namespace zoo::services_only
