// Made by protoc-gen-rookery of old.proto. Do not edit.
#include "old.rookery.h"

#include <utility>

#include "rookery/rpc/generated.h"

static_assert(::rookery::internal::kCodegenVersion == 1,
              "old.rookery.cc was made by a protoc-gen-rookery that does not belong to "
              "the rookery headers in use: generate it again with theirs");

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace rookery_generated::old_2eproto {
namespace {

const ::google::protobuf::ServiceDescriptor* Proto_Fading() {
  return ::zoo::old::Kept::descriptor()->file()->service(0);
}

constexpr ::rookery::MethodDescriptor kMethods_Fading[] = {
    {
        .full_name = "/zoo.old.Fading/Fresh",
        .service = "zoo.old.Fading",
        .name = "Fresh",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::old::Kept>,
        .response = &::rookery::internal::DefaultInstance<::zoo::old::Kept>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::old::Kept>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::old::Kept>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::old::FadingService, &::zoo::old::FadingService::Fresh>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Fading, 0>,
    },
    {
        .full_name = "/zoo.old.Fading/Stale",
        .service = "zoo.old.Fading",
        .name = "Stale",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = true,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::old::Kept>,
        .response = &::rookery::internal::DefaultInstance<::zoo::old::Kept>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::old::Kept>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::old::Kept>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::old::FadingService, &::zoo::old::FadingService::Stale>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Fading, 1>,
    },
    {
        .full_name = "/zoo.old.Fading/Worn",
        .service = "zoo.old.Fading",
        .name = "Worn",
        .kind = ::rookery::MethodKind::kBidiStreaming,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = true,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::old::Kept>,
        .response = &::rookery::internal::DefaultInstance<::zoo::old::Kept>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::old::Kept>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::old::Kept>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::old::FadingService, &::zoo::old::FadingService::Worn>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Fading, 2>,
    },
};

constexpr ::rookery::ServiceDescriptor kService_Fading = {
    .full_name = "zoo.old.Fading",
    .methods = kMethods_Fading,
    .proto = &Proto_Fading,
};

const ::google::protobuf::ServiceDescriptor* Proto_Gone() {
  return ::zoo::old::Kept::descriptor()->file()->service(1);
}

constexpr ::rookery::MethodDescriptor kMethods_Gone[] = {
    {
        .full_name = "/zoo.old.Gone/Get",
        .service = "zoo.old.Gone",
        .name = "Get",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::old::Kept>,
        .response = &::rookery::internal::DefaultInstance<::zoo::old::Kept>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::old::Kept>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::old::Kept>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::old::GoneService, &::zoo::old::GoneService::Get>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Gone, 0>,
    },
};

constexpr ::rookery::ServiceDescriptor kService_Gone = {
    .full_name = "zoo.old.Gone",
    .methods = kMethods_Gone,
    .proto = &Proto_Gone,
};

const ::google::protobuf::ServiceDescriptor* Proto_Heirloom() {
  return ::zoo::old::Kept::descriptor()->file()->service(2);
}

constexpr ::rookery::MethodDescriptor kMethods_Heirloom[] = {
    {
        .full_name = "/zoo.old.Heirloom/Get",
        .service = "zoo.old.Heirloom",
        .name = "Get",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::old::Dropped>,
        .response = &::rookery::internal::DefaultInstance<::zoo::old::Kept>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::old::Dropped>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::old::Kept>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::old::HeirloomService, &::zoo::old::HeirloomService::Get>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Heirloom, 0>,
    },
};

constexpr ::rookery::ServiceDescriptor kService_Heirloom = {
    .full_name = "zoo.old.Heirloom",
    .methods = kMethods_Heirloom,
    .proto = &Proto_Heirloom,
};

}  // namespace
}  // namespace rookery_generated::old_2eproto

namespace zoo::old {

const ::rookery::ServiceDescriptor& FadingService::Descriptor() {
  return ::rookery_generated::old_2eproto::kService_Fading;
}

FadingClient::FadingClient(::std::shared_ptr<::rookery::Channel> channel) noexcept
    : ::rookery::ClientBase(::std::move(channel)) {}

const ::rookery::ServiceDescriptor& FadingClient::Descriptor() {
  return ::rookery_generated::old_2eproto::kService_Fading;
}

::rookery::Task<::zoo::old::Kept> FadingClient::Fresh(
    const ::zoo::old::Kept& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::old::Kept>(
      *this, ::rookery_generated::old_2eproto::kMethods_Fading[0], request, ::std::move(options));
}
::rookery::Task<::zoo::old::Kept> FadingClient::Fresh(
    ::zoo::old::Kept&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::old::Kept>(
      *this, ::rookery_generated::old_2eproto::kMethods_Fading[0], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::old::Kept> FadingClient::Stale(
    const ::zoo::old::Kept& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::old::Kept>(
      *this, ::rookery_generated::old_2eproto::kMethods_Fading[1], request, ::std::move(options));
}
::rookery::Task<::zoo::old::Kept> FadingClient::Stale(
    ::zoo::old::Kept&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::old::Kept>(
      *this, ::rookery_generated::old_2eproto::kMethods_Fading[1], ::std::move(request), ::std::move(options));
}

::rookery::Stream<::zoo::old::Kept> FadingClient::Worn(
    ::rookery::Stream<::zoo::old::Kept> requests, ::rookery::CallOptions options) {
  return ::rookery::internal::CallBidi<::zoo::old::Kept>(
      *this, ::rookery_generated::old_2eproto::kMethods_Fading[2], ::std::move(requests), ::std::move(options));
}

const ::rookery::ServiceDescriptor& GoneService::Descriptor() {
  return ::rookery_generated::old_2eproto::kService_Gone;
}

GoneClient::GoneClient(::std::shared_ptr<::rookery::Channel> channel) noexcept
    : ::rookery::ClientBase(::std::move(channel)) {}

const ::rookery::ServiceDescriptor& GoneClient::Descriptor() {
  return ::rookery_generated::old_2eproto::kService_Gone;
}

::rookery::Task<::zoo::old::Kept> GoneClient::Get(
    const ::zoo::old::Kept& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::old::Kept>(
      *this, ::rookery_generated::old_2eproto::kMethods_Gone[0], request, ::std::move(options));
}
::rookery::Task<::zoo::old::Kept> GoneClient::Get(
    ::zoo::old::Kept&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::old::Kept>(
      *this, ::rookery_generated::old_2eproto::kMethods_Gone[0], ::std::move(request), ::std::move(options));
}

const ::rookery::ServiceDescriptor& HeirloomService::Descriptor() {
  return ::rookery_generated::old_2eproto::kService_Heirloom;
}

HeirloomClient::HeirloomClient(::std::shared_ptr<::rookery::Channel> channel) noexcept
    : ::rookery::ClientBase(::std::move(channel)) {}

const ::rookery::ServiceDescriptor& HeirloomClient::Descriptor() {
  return ::rookery_generated::old_2eproto::kService_Heirloom;
}

::rookery::Task<::zoo::old::Kept> HeirloomClient::Get(
    const ::zoo::old::Dropped& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::old::Kept>(
      *this, ::rookery_generated::old_2eproto::kMethods_Heirloom[0], request, ::std::move(options));
}
::rookery::Task<::zoo::old::Kept> HeirloomClient::Get(
    ::zoo::old::Dropped&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::old::Kept>(
      *this, ::rookery_generated::old_2eproto::kMethods_Heirloom[0], ::std::move(request), ::std::move(options));
}

}  // namespace zoo::old

#pragma GCC diagnostic pop
