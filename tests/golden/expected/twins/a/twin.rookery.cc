// Made by protoc-gen-rookery of twins/a/twin.proto. Do not edit.
#include "twins/a/twin.rookery.h"

#include <utility>

#include "rookery/rpc/generated.h"

static_assert(::rookery::internal::kCodegenVersion == 1,
              "twins/a/twin.rookery.cc was made by a protoc-gen-rookery that does not belong to "
              "the rookery headers in use: generate it again with theirs");

namespace rookery_generated::twins_2fa_2ftwin_2eproto {
namespace {

const ::google::protobuf::ServiceDescriptor* Proto_Twins() {
  return ::twins::a::Twin::descriptor()->file()->service(0);
}

constexpr ::rookery::MethodDescriptor kMethods_Twins[] = {
    {
        .full_name = "/twins.a.Twins/Get",
        .service = "twins.a.Twins",
        .name = "Get",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::twins::a::Twin>,
        .response = &::rookery::internal::DefaultInstance<::twins::a::Twin>,
        .move_request = &::rookery::internal::MoveMessage<::twins::a::Twin>,
        .move_response = &::rookery::internal::MoveMessage<::twins::a::Twin>,
        .invoke = &::rookery::internal::InvokeMember<
            ::twins::a::TwinsService, &::twins::a::TwinsService::Get>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Twins, 0>,
    },
};

constexpr ::rookery::ServiceDescriptor kService_Twins = {
    .full_name = "twins.a.Twins",
    .methods = kMethods_Twins,
    .proto = &Proto_Twins,
};

}  // namespace
}  // namespace rookery_generated::twins_2fa_2ftwin_2eproto

namespace twins::a {

const ::rookery::ServiceDescriptor& TwinsService::Descriptor() {
  return ::rookery_generated::twins_2fa_2ftwin_2eproto::kService_Twins;
}

TwinsClient::TwinsClient(::std::shared_ptr<::rookery::Channel> channel) noexcept
    : ::rookery::ClientBase(::std::move(channel)) {}

const ::rookery::ServiceDescriptor& TwinsClient::Descriptor() {
  return ::rookery_generated::twins_2fa_2ftwin_2eproto::kService_Twins;
}

::rookery::Task<::twins::a::Twin> TwinsClient::Get(
    const ::twins::a::Twin& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::twins::a::Twin>(
      *this, ::rookery_generated::twins_2fa_2ftwin_2eproto::kMethods_Twins[0], request, ::std::move(options));
}
::rookery::Task<::twins::a::Twin> TwinsClient::Get(
    ::twins::a::Twin&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::twins::a::Twin>(
      *this, ::rookery_generated::twins_2fa_2ftwin_2eproto::kMethods_Twins[0], ::std::move(request), ::std::move(options));
}

}  // namespace twins::a
