// Made by protoc-gen-rookery of proto2.proto. Do not edit.
#include "proto2.rookery.h"

#include <utility>

#include "rookery/rpc/generated.h"

static_assert(::rookery::internal::kCodegenVersion == 1,
              "proto2.rookery.cc was made by a protoc-gen-rookery that does not belong to "
              "the rookery headers in use: generate it again with theirs");

namespace rookery_generated::proto2_2eproto {
namespace {

const ::google::protobuf::ServiceDescriptor* Proto_Elder() {
  return ::zoo::two::Question::descriptor()->file()->service(0);
}

constexpr ::rookery::MethodDescriptor kMethods_Elder[] = {
    {
        .full_name = "/zoo.two.Elder/Ask",
        .service = "zoo.two.Elder",
        .name = "Ask",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::two::Question>,
        .response = &::rookery::internal::DefaultInstance<::zoo::two::Question_Answer>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::two::Question>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::two::Question_Answer>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::two::ElderService, &::zoo::two::ElderService::Ask>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Elder, 0>,
    },
};

constexpr ::rookery::ServiceDescriptor kService_Elder = {
    .full_name = "zoo.two.Elder",
    .methods = kMethods_Elder,
    .proto = &Proto_Elder,
};

}  // namespace
}  // namespace rookery_generated::proto2_2eproto

namespace zoo::two {

const ::rookery::ServiceDescriptor& ElderService::Descriptor() {
  return ::rookery_generated::proto2_2eproto::kService_Elder;
}

ElderClient::ElderClient(::std::shared_ptr<::rookery::Channel> channel) noexcept
    : ::rookery::ClientBase(::std::move(channel)) {}

const ::rookery::ServiceDescriptor& ElderClient::Descriptor() {
  return ::rookery_generated::proto2_2eproto::kService_Elder;
}

::rookery::Task<::zoo::two::Question_Answer> ElderClient::Ask(
    const ::zoo::two::Question& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::two::Question_Answer>(
      *this, ::rookery_generated::proto2_2eproto::kMethods_Elder[0], request, ::std::move(options));
}
::rookery::Task<::zoo::two::Question_Answer> ElderClient::Ask(
    ::zoo::two::Question&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::two::Question_Answer>(
      *this, ::rookery_generated::proto2_2eproto::kMethods_Elder[0], ::std::move(request), ::std::move(options));
}

}  // namespace zoo::two
