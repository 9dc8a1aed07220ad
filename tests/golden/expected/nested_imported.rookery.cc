// Made by protoc-gen-rookery of nested_imported.proto. Do not edit.
#include "nested_imported.rookery.h"

#include <utility>

#include "rookery/rpc/generated.h"

static_assert(::rookery::internal::kCodegenVersion == 1,
              "nested_imported.rookery.cc was made by a protoc-gen-rookery that does not belong to "
              "the rookery headers in use: generate it again with theirs");

namespace rookery_generated::nested_5fimported_2eproto {
namespace {

const ::google::protobuf::ServiceDescriptor* Proto_Nested() {
  return ::zoo::nested::Outer::descriptor()->file()->service(0);
}

constexpr ::rookery::MethodDescriptor kMethods_Nested[] = {
    {
        .full_name = "/zoo.nested.Nested/Own",
        .service = "zoo.nested.Nested",
        .name = "Own",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::nested::Outer_Middle_Inner>,
        .response = &::rookery::internal::DefaultInstance<::zoo::nested::Outer_Middle>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::nested::Outer_Middle_Inner>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::nested::Outer_Middle>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::nested::NestedService, &::zoo::nested::NestedService::Own>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Nested, 0>,
    },
    {
        .full_name = "/zoo.nested.Nested/Shared",
        .service = "zoo.nested.Nested",
        .name = "Shared",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::common::Shared_Inner_Innermost>,
        .response = &::rookery::internal::DefaultInstance<::zoo::common::Shared>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::common::Shared_Inner_Innermost>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::common::Shared>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::nested::NestedService, &::zoo::nested::NestedService::Shared>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Nested, 1>,
    },
    {
        .full_name = "/zoo.nested.Nested/Sibling",
        .service = "zoo.nested.Nested",
        .name = "Sibling",
        .kind = ::rookery::MethodKind::kServerStreaming,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::twins::a::Twin>,
        .response = &::rookery::internal::DefaultInstance<::twins::a::Twin>,
        .move_request = &::rookery::internal::MoveMessage<::twins::a::Twin>,
        .move_response = &::rookery::internal::MoveMessage<::twins::a::Twin>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::nested::NestedService, &::zoo::nested::NestedService::Sibling>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Nested, 2>,
    },
    {
        .full_name = "/zoo.nested.Nested/WellKnown",
        .service = "zoo.nested.Nested",
        .name = "WellKnown",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::google::protobuf::Any>,
        .response = &::rookery::internal::DefaultInstance<::google::protobuf::Timestamp>,
        .move_request = &::rookery::internal::MoveMessage<::google::protobuf::Any>,
        .move_response = &::rookery::internal::MoveMessage<::google::protobuf::Timestamp>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::nested::NestedService, &::zoo::nested::NestedService::WellKnown>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Nested, 3>,
    },
    {
        .full_name = "/zoo.nested.Nested/Status",
        .service = "zoo.nested.Nested",
        .name = "Status",
        .kind = ::rookery::MethodKind::kClientStreaming,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::google::rpc::Status>,
        .response = &::rookery::internal::DefaultInstance<::google::protobuf::Any>,
        .move_request = &::rookery::internal::MoveMessage<::google::rpc::Status>,
        .move_response = &::rookery::internal::MoveMessage<::google::protobuf::Any>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::nested::NestedService, &::zoo::nested::NestedService::Status>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Nested, 4>,
    },
};

constexpr ::rookery::ServiceDescriptor kService_Nested = {
    .full_name = "zoo.nested.Nested",
    .methods = kMethods_Nested,
    .proto = &Proto_Nested,
};

}  // namespace
}  // namespace rookery_generated::nested_5fimported_2eproto

namespace zoo::nested {

const ::rookery::ServiceDescriptor& NestedService::Descriptor() {
  return ::rookery_generated::nested_5fimported_2eproto::kService_Nested;
}

NestedClient::NestedClient(::std::shared_ptr<::rookery::Channel> channel) noexcept
    : ::rookery::ClientBase(::std::move(channel)) {}

const ::rookery::ServiceDescriptor& NestedClient::Descriptor() {
  return ::rookery_generated::nested_5fimported_2eproto::kService_Nested;
}

::rookery::Task<::zoo::nested::Outer_Middle> NestedClient::Own(
    const ::zoo::nested::Outer_Middle_Inner& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::nested::Outer_Middle>(
      *this, ::rookery_generated::nested_5fimported_2eproto::kMethods_Nested[0], request, ::std::move(options));
}
::rookery::Task<::zoo::nested::Outer_Middle> NestedClient::Own(
    ::zoo::nested::Outer_Middle_Inner&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::nested::Outer_Middle>(
      *this, ::rookery_generated::nested_5fimported_2eproto::kMethods_Nested[0], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::common::Shared> NestedClient::Shared(
    const ::zoo::common::Shared_Inner_Innermost& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::common::Shared>(
      *this, ::rookery_generated::nested_5fimported_2eproto::kMethods_Nested[1], request, ::std::move(options));
}
::rookery::Task<::zoo::common::Shared> NestedClient::Shared(
    ::zoo::common::Shared_Inner_Innermost&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::common::Shared>(
      *this, ::rookery_generated::nested_5fimported_2eproto::kMethods_Nested[1], ::std::move(request), ::std::move(options));
}

::rookery::Stream<::twins::a::Twin> NestedClient::Sibling(
    const ::twins::a::Twin& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallServerStream<::twins::a::Twin>(
      *this, ::rookery_generated::nested_5fimported_2eproto::kMethods_Nested[2], request, ::std::move(options));
}
::rookery::Stream<::twins::a::Twin> NestedClient::Sibling(
    ::twins::a::Twin&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallServerStream<::twins::a::Twin>(
      *this, ::rookery_generated::nested_5fimported_2eproto::kMethods_Nested[2], ::std::move(request), ::std::move(options));
}

::rookery::Task<::google::protobuf::Timestamp> NestedClient::WellKnown(
    const ::google::protobuf::Any& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::google::protobuf::Timestamp>(
      *this, ::rookery_generated::nested_5fimported_2eproto::kMethods_Nested[3], request, ::std::move(options));
}
::rookery::Task<::google::protobuf::Timestamp> NestedClient::WellKnown(
    ::google::protobuf::Any&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::google::protobuf::Timestamp>(
      *this, ::rookery_generated::nested_5fimported_2eproto::kMethods_Nested[3], ::std::move(request), ::std::move(options));
}

::rookery::Task<::google::protobuf::Any> NestedClient::Status(
    ::rookery::Stream<::google::rpc::Status> requests, ::rookery::CallOptions options) {
  return ::rookery::internal::CallClientStream<::google::protobuf::Any>(
      *this, ::rookery_generated::nested_5fimported_2eproto::kMethods_Nested[4], ::std::move(requests), ::std::move(options));
}

}  // namespace zoo::nested
