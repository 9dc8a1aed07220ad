// Made by protoc-gen-rookery of empty_service.proto. Do not edit.
#include "empty_service.rookery.h"

#include <utility>

#include "rookery/rpc/generated.h"

static_assert(::rookery::internal::kCodegenVersion == 1,
              "empty_service.rookery.cc was made by a protoc-gen-rookery that does not belong to "
              "the rookery headers in use: generate it again with theirs");

namespace rookery_generated::empty_5fservice_2eproto {
namespace {

const ::google::protobuf::ServiceDescriptor* Proto_Nothing() {
  return ::zoo::empty::It::descriptor()->file()->service(0);
}

constexpr ::rookery::ServiceDescriptor kService_Nothing = {
    .full_name = "zoo.empty.Nothing",
    .methods = {},
    .proto = &Proto_Nothing,
};

const ::google::protobuf::ServiceDescriptor* Proto_Something() {
  return ::zoo::empty::It::descriptor()->file()->service(1);
}

constexpr ::rookery::MethodDescriptor kMethods_Something[] = {
    {
        .full_name = "/zoo.empty.Something/Do",
        .service = "zoo.empty.Something",
        .name = "Do",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::empty::It>,
        .response = &::rookery::internal::DefaultInstance<::zoo::empty::It>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::empty::It>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::empty::It>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::empty::SomethingService, &::zoo::empty::SomethingService::Do>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Something, 0>,
    },
};

constexpr ::rookery::ServiceDescriptor kService_Something = {
    .full_name = "zoo.empty.Something",
    .methods = kMethods_Something,
    .proto = &Proto_Something,
};

}  // namespace
}  // namespace rookery_generated::empty_5fservice_2eproto

namespace zoo::empty {

const ::rookery::ServiceDescriptor& NothingService::Descriptor() {
  return ::rookery_generated::empty_5fservice_2eproto::kService_Nothing;
}

NothingClient::NothingClient(::std::shared_ptr<::rookery::Channel> channel) noexcept
    : ::rookery::ClientBase(::std::move(channel)) {}

const ::rookery::ServiceDescriptor& NothingClient::Descriptor() {
  return ::rookery_generated::empty_5fservice_2eproto::kService_Nothing;
}

const ::rookery::ServiceDescriptor& SomethingService::Descriptor() {
  return ::rookery_generated::empty_5fservice_2eproto::kService_Something;
}

SomethingClient::SomethingClient(::std::shared_ptr<::rookery::Channel> channel) noexcept
    : ::rookery::ClientBase(::std::move(channel)) {}

const ::rookery::ServiceDescriptor& SomethingClient::Descriptor() {
  return ::rookery_generated::empty_5fservice_2eproto::kService_Something;
}

::rookery::Task<::zoo::empty::It> SomethingClient::Do(
    const ::zoo::empty::It& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::empty::It>(
      *this, ::rookery_generated::empty_5fservice_2eproto::kMethods_Something[0], request, ::std::move(options));
}
::rookery::Task<::zoo::empty::It> SomethingClient::Do(
    ::zoo::empty::It&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::empty::It>(
      *this, ::rookery_generated::empty_5fservice_2eproto::kMethods_Something[0], ::std::move(request), ::std::move(options));
}

}  // namespace zoo::empty
