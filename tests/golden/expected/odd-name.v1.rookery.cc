// Made by protoc-gen-rookery of odd-name.v1.proto. Do not edit.
#include "odd-name.v1.rookery.h"

#include <utility>

#include "rookery/rpc/generated.h"

static_assert(::rookery::internal::kCodegenVersion == 1,
              "odd-name.v1.rookery.cc was made by a protoc-gen-rookery that does not belong to "
              "the rookery headers in use: generate it again with theirs");

namespace rookery_generated::odd_2dname_2ev1_2eproto {
namespace {

const ::google::protobuf::ServiceDescriptor* Proto_Odd() {
  return ::zoo::odd_name::v1::Thing::descriptor()->file()->service(0);
}

constexpr ::rookery::MethodDescriptor kMethods_Odd[] = {
    {
        .full_name = "/zoo.odd_name.v1.Odd/Get",
        .service = "zoo.odd_name.v1.Odd",
        .name = "Get",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::odd_name::v1::Thing>,
        .response = &::rookery::internal::DefaultInstance<::zoo::odd_name::v1::Thing>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::odd_name::v1::Thing>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::odd_name::v1::Thing>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::odd_name::v1::OddService, &::zoo::odd_name::v1::OddService::Get>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Odd, 0>,
    },
};

constexpr ::rookery::ServiceDescriptor kService_Odd = {
    .full_name = "zoo.odd_name.v1.Odd",
    .methods = kMethods_Odd,
    .proto = &Proto_Odd,
};

}  // namespace
}  // namespace rookery_generated::odd_2dname_2ev1_2eproto

namespace zoo::odd_name::v1 {

const ::rookery::ServiceDescriptor& OddService::Descriptor() {
  return ::rookery_generated::odd_2dname_2ev1_2eproto::kService_Odd;
}

OddClient::OddClient(::std::shared_ptr<::rookery::Channel> channel) noexcept
    : ::rookery::ClientBase(::std::move(channel)) {}

const ::rookery::ServiceDescriptor& OddClient::Descriptor() {
  return ::rookery_generated::odd_2dname_2ev1_2eproto::kService_Odd;
}

::rookery::Task<::zoo::odd_name::v1::Thing> OddClient::Get(
    const ::zoo::odd_name::v1::Thing& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::odd_name::v1::Thing>(
      *this, ::rookery_generated::odd_2dname_2ev1_2eproto::kMethods_Odd[0], request, ::std::move(options));
}
::rookery::Task<::zoo::odd_name::v1::Thing> OddClient::Get(
    ::zoo::odd_name::v1::Thing&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::odd_name::v1::Thing>(
      *this, ::rookery_generated::odd_2dname_2ev1_2eproto::kMethods_Odd[0], ::std::move(request), ::std::move(options));
}

}  // namespace zoo::odd_name::v1
