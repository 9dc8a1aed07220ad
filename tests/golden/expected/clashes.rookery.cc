// Made by protoc-gen-rookery of clashes.proto. Do not edit.
#include "clashes.rookery.h"

#include <utility>

#include "rookery/rpc/generated.h"

static_assert(::rookery::internal::kCodegenVersion == 1,
              "clashes.rookery.cc was made by a protoc-gen-rookery that does not belong to "
              "the rookery headers in use: generate it again with theirs");

namespace rookery_generated::clashes_2eproto {
namespace {

const ::google::protobuf::ServiceDescriptor* Proto_Clashes() {
  return ::zoo::rookery::google::Task::descriptor()->file()->service(0);
}

constexpr ::rookery::MethodDescriptor kMethods_Clashes[] = {
    {
        .full_name = "/zoo.rookery.google.Clashes/Descriptor",
        .service = "zoo.rookery.google.Clashes",
        .name = "Descriptor",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::Descriptor_>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 0>,
    },
    {
        .full_name = "/zoo.rookery.google.Clashes/ServiceType",
        .service = "zoo.rookery.google.Clashes",
        .name = "ServiceType",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::ServiceType_>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 1>,
    },
    {
        .full_name = "/zoo.rookery.google.Clashes/channel",
        .service = "zoo.rookery.google.Clashes",
        .name = "channel",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::channel_>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 2>,
    },
    {
        .full_name = "/zoo.rookery.google.Clashes/ClashesService",
        .service = "zoo.rookery.google.Clashes",
        .name = "ClashesService",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::ClashesService_>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 3>,
    },
    {
        .full_name = "/zoo.rookery.google.Clashes/ClashesClient",
        .service = "zoo.rookery.google.Clashes",
        .name = "ClashesClient",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::ClashesClient_>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 4>,
    },
    {
        .full_name = "/zoo.rookery.google.Clashes/Place",
        .service = "zoo.rookery.google.Clashes",
        .name = "Place",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::Place>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 5>,
    },
    {
        .full_name = "/zoo.rookery.google.Clashes/place",
        .service = "zoo.rookery.google.Clashes",
        .name = "place",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::place>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 6>,
    },
    {
        .full_name = "/zoo.rookery.google.Clashes/kPlace",
        .service = "zoo.rookery.google.Clashes",
        .name = "kPlace",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::kPlace>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 7>,
    },
    {
        .full_name = "/zoo.rookery.google.Clashes/delete",
        .service = "zoo.rookery.google.Clashes",
        .name = "delete",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::delete_>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 8>,
    },
    {
        .full_name = "/zoo.rookery.google.Clashes/delete_",
        .service = "zoo.rookery.google.Clashes",
        .name = "delete_",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::delete_2>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 9>,
    },
    {
        .full_name = "/zoo.rookery.google.Clashes/Task",
        .service = "zoo.rookery.google.Clashes",
        .name = "Task",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::Task>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 10>,
    },
    {
        .full_name = "/zoo.rookery.google.Clashes/Stream",
        .service = "zoo.rookery.google.Clashes",
        .name = "Stream",
        .kind = ::rookery::MethodKind::kBidiStreaming,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::Stream>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 11>,
    },
    {
        .full_name = "/zoo.rookery.google.Clashes/rookery",
        .service = "zoo.rookery.google.Clashes",
        .name = "rookery",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::rookery>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 12>,
    },
    {
        .full_name = "/zoo.rookery.google.Clashes/std",
        .service = "zoo.rookery.google.Clashes",
        .name = "std",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::std>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 13>,
    },
    {
        .full_name = "/zoo.rookery.google.Clashes/google",
        .service = "zoo.rookery.google.Clashes",
        .name = "google",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::google>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 14>,
    },
    {
        .full_name = "/zoo.rookery.google.Clashes/zoo",
        .service = "zoo.rookery.google.Clashes",
        .name = "zoo",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::zoo>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 15>,
    },
    {
        .full_name = "/zoo.rookery.google.Clashes/call",
        .service = "zoo.rookery.google.Clashes",
        .name = "call",
        .kind = ::rookery::MethodKind::kClientStreaming,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::call>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 16>,
    },
    {
        .full_name = "/zoo.rookery.google.Clashes/request",
        .service = "zoo.rookery.google.Clashes",
        .name = "request",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::request>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 17>,
    },
    {
        .full_name = "/zoo.rookery.google.Clashes/requests",
        .service = "zoo.rookery.google.Clashes",
        .name = "requests",
        .kind = ::rookery::MethodKind::kClientStreaming,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::requests>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 18>,
    },
    {
        .full_name = "/zoo.rookery.google.Clashes/options",
        .service = "zoo.rookery.google.Clashes",
        .name = "options",
        .kind = ::rookery::MethodKind::kServerStreaming,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::options>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 19>,
    },
    {
        .full_name = "/zoo.rookery.google.Clashes/event",
        .service = "zoo.rookery.google.Clashes",
        .name = "event",
        .kind = ::rookery::MethodKind::kEvent,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::google::protobuf::Empty>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::google::protobuf::Empty>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::event>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 20>,
    },
    {
        .full_name = "/zoo.rookery.google.Clashes/Service",
        .service = "zoo.rookery.google.Clashes",
        .name = "Service",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::Service>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 21>,
    },
    {
        .full_name = "/zoo.rookery.google.Clashes/ClientBase",
        .service = "zoo.rookery.google.Clashes",
        .name = "ClientBase",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::ClashesService, &::zoo::rookery::google::ClashesService::ClientBase>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Clashes, 22>,
    },
};

constexpr ::rookery::ServiceDescriptor kService_Clashes = {
    .full_name = "zoo.rookery.google.Clashes",
    .methods = kMethods_Clashes,
    .proto = &Proto_Clashes,
};

const ::google::protobuf::ServiceDescriptor* Proto_Order() {
  return ::zoo::rookery::google::Task::descriptor()->file()->service(1);
}

constexpr ::rookery::MethodDescriptor kMethods_Order[] = {
    {
        .full_name = "/zoo.rookery.google.Order/Get",
        .service = "zoo.rookery.google.Order",
        .name = "Get",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::OrderService>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::OrderClient>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::OrderService>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::OrderClient>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::OrderService_, &::zoo::rookery::google::OrderService_::Get>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Order, 0>,
    },
};

constexpr ::rookery::ServiceDescriptor kService_Order = {
    .full_name = "zoo.rookery.google.Order",
    .methods = kMethods_Order,
    .proto = &Proto_Order,
};

const ::google::protobuf::ServiceDescriptor* Proto_Echo() {
  return ::zoo::rookery::google::Task::descriptor()->file()->service(2);
}

constexpr ::rookery::MethodDescriptor kMethods_Echo[] = {
    {
        .full_name = "/zoo.rookery.google.Echo/Say",
        .service = "zoo.rookery.google.Echo",
        .name = "Say",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::EchoService, &::zoo::rookery::google::EchoService::Say>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Echo, 0>,
    },
};

constexpr ::rookery::ServiceDescriptor kService_Echo = {
    .full_name = "zoo.rookery.google.Echo",
    .methods = kMethods_Echo,
    .proto = &Proto_Echo,
};

const ::google::protobuf::ServiceDescriptor* Proto_EchoService() {
  return ::zoo::rookery::google::Task::descriptor()->file()->service(3);
}

constexpr ::rookery::MethodDescriptor kMethods_EchoService[] = {
    {
        .full_name = "/zoo.rookery.google.EchoService/Say",
        .service = "zoo.rookery.google.EchoService",
        .name = "Say",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Task>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Stream>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::Task>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Stream>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::EchoServiceService, &::zoo::rookery::google::EchoServiceService::Say>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_EchoService, 0>,
    },
};

constexpr ::rookery::ServiceDescriptor kService_EchoService = {
    .full_name = "zoo.rookery.google.EchoService",
    .methods = kMethods_EchoService,
    .proto = &Proto_EchoService,
};

const ::google::protobuf::ServiceDescriptor* Proto_Call() {
  return ::zoo::rookery::google::Task::descriptor()->file()->service(4);
}

constexpr ::rookery::MethodDescriptor kMethods_Call[] = {
    {
        .full_name = "/zoo.rookery.google.Call/Context",
        .service = "zoo.rookery.google.Call",
        .name = "Context",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::rookery::google::CallContext>,
        .response = &::rookery::internal::DefaultInstance<::zoo::rookery::google::Channel>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::rookery::google::CallContext>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::rookery::google::Channel>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::rookery::google::CallService, &::zoo::rookery::google::CallService::Context>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Call, 0>,
    },
};

constexpr ::rookery::ServiceDescriptor kService_Call = {
    .full_name = "zoo.rookery.google.Call",
    .methods = kMethods_Call,
    .proto = &Proto_Call,
};

}  // namespace
}  // namespace rookery_generated::clashes_2eproto

namespace zoo::rookery::google {

const ::rookery::ServiceDescriptor& ClashesService::Descriptor() {
  return ::rookery_generated::clashes_2eproto::kService_Clashes;
}

ClashesClient::ClashesClient(::std::shared_ptr<::rookery::Channel> channel) noexcept
    : ::rookery::ClientBase(::std::move(channel)) {}

const ::rookery::ServiceDescriptor& ClashesClient::Descriptor() {
  return ::rookery_generated::clashes_2eproto::kService_Clashes;
}

::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::Descriptor_(
    const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[0], request, ::std::move(options));
}
::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::Descriptor_(
    ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[0], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::ServiceType_(
    const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[1], request, ::std::move(options));
}
::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::ServiceType_(
    ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[1], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::channel_(
    const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[2], request, ::std::move(options));
}
::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::channel_(
    ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[2], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::ClashesService_(
    const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[3], request, ::std::move(options));
}
::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::ClashesService_(
    ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[3], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::ClashesClient_(
    const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[4], request, ::std::move(options));
}
::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::ClashesClient_(
    ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[4], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::Place(
    const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[5], request, ::std::move(options));
}
::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::Place(
    ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[5], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::place(
    const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[6], request, ::std::move(options));
}
::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::place(
    ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[6], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::kPlace(
    const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[7], request, ::std::move(options));
}
::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::kPlace(
    ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[7], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::delete_(
    const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[8], request, ::std::move(options));
}
::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::delete_(
    ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[8], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::delete_2(
    const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[9], request, ::std::move(options));
}
::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::delete_2(
    ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[9], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::Task(
    const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[10], request, ::std::move(options));
}
::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::Task(
    ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[10], ::std::move(request), ::std::move(options));
}

::rookery::Stream<::zoo::rookery::google::Task> ClashesClient::Stream(
    ::rookery::Stream<::zoo::rookery::google::Stream> requests, ::rookery::CallOptions options) {
  return ::rookery::internal::CallBidi<::zoo::rookery::google::Task>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[11], ::std::move(requests), ::std::move(options));
}

::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::rookery(
    const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[12], request, ::std::move(options));
}
::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::rookery(
    ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[12], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::std(
    const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[13], request, ::std::move(options));
}
::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::std(
    ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[13], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::google(
    const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[14], request, ::std::move(options));
}
::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::google(
    ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[14], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::zoo(
    const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[15], request, ::std::move(options));
}
::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::zoo(
    ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[15], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::call(
    ::rookery::Stream<::zoo::rookery::google::Task> requests, ::rookery::CallOptions options) {
  return ::rookery::internal::CallClientStream<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[16], ::std::move(requests), ::std::move(options));
}

::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::request(
    const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[17], request, ::std::move(options));
}
::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::request(
    ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[17], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::requests(
    ::rookery::Stream<::zoo::rookery::google::Task> requests, ::rookery::CallOptions options) {
  return ::rookery::internal::CallClientStream<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[18], ::std::move(requests), ::std::move(options));
}

::rookery::Stream<::zoo::rookery::google::Stream> ClashesClient::options(
    const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallServerStream<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[19], request, ::std::move(options));
}
::rookery::Stream<::zoo::rookery::google::Stream> ClashesClient::options(
    ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallServerStream<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[19], ::std::move(request), ::std::move(options));
}

::rookery::Task<void> ClashesClient::event(
    const ::zoo::rookery::google::Task& event, ::rookery::CallOptions options) {
  return ::rookery::internal::CallEvent(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[20], event, ::std::move(options));
}
::rookery::Task<void> ClashesClient::event(
    ::zoo::rookery::google::Task&& event, ::rookery::CallOptions options) {
  return ::rookery::internal::CallEvent(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[20], ::std::move(event), ::std::move(options));
}

::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::Service(
    const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[21], request, ::std::move(options));
}
::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::Service(
    ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[21], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::ClientBase(
    const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[22], request, ::std::move(options));
}
::rookery::Task<::zoo::rookery::google::Stream> ClashesClient::ClientBase(
    ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Clashes[22], ::std::move(request), ::std::move(options));
}

const ::rookery::ServiceDescriptor& OrderService_::Descriptor() {
  return ::rookery_generated::clashes_2eproto::kService_Order;
}

OrderClient_::OrderClient_(::std::shared_ptr<::rookery::Channel> channel) noexcept
    : ::rookery::ClientBase(::std::move(channel)) {}

const ::rookery::ServiceDescriptor& OrderClient_::Descriptor() {
  return ::rookery_generated::clashes_2eproto::kService_Order;
}

::rookery::Task<::zoo::rookery::google::OrderClient> OrderClient_::Get(
    const ::zoo::rookery::google::OrderService& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::OrderClient>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Order[0], request, ::std::move(options));
}
::rookery::Task<::zoo::rookery::google::OrderClient> OrderClient_::Get(
    ::zoo::rookery::google::OrderService&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::OrderClient>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Order[0], ::std::move(request), ::std::move(options));
}

const ::rookery::ServiceDescriptor& EchoService::Descriptor() {
  return ::rookery_generated::clashes_2eproto::kService_Echo;
}

EchoClient::EchoClient(::std::shared_ptr<::rookery::Channel> channel) noexcept
    : ::rookery::ClientBase(::std::move(channel)) {}

const ::rookery::ServiceDescriptor& EchoClient::Descriptor() {
  return ::rookery_generated::clashes_2eproto::kService_Echo;
}

::rookery::Task<::zoo::rookery::google::Stream> EchoClient::Say(
    const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Echo[0], request, ::std::move(options));
}
::rookery::Task<::zoo::rookery::google::Stream> EchoClient::Say(
    ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Echo[0], ::std::move(request), ::std::move(options));
}

const ::rookery::ServiceDescriptor& EchoServiceService::Descriptor() {
  return ::rookery_generated::clashes_2eproto::kService_EchoService;
}

EchoServiceClient::EchoServiceClient(::std::shared_ptr<::rookery::Channel> channel) noexcept
    : ::rookery::ClientBase(::std::move(channel)) {}

const ::rookery::ServiceDescriptor& EchoServiceClient::Descriptor() {
  return ::rookery_generated::clashes_2eproto::kService_EchoService;
}

::rookery::Task<::zoo::rookery::google::Stream> EchoServiceClient::Say(
    const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_EchoService[0], request, ::std::move(options));
}
::rookery::Task<::zoo::rookery::google::Stream> EchoServiceClient::Say(
    ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Stream>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_EchoService[0], ::std::move(request), ::std::move(options));
}

const ::rookery::ServiceDescriptor& CallService::Descriptor() {
  return ::rookery_generated::clashes_2eproto::kService_Call;
}

CallClient::CallClient(::std::shared_ptr<::rookery::Channel> channel) noexcept
    : ::rookery::ClientBase(::std::move(channel)) {}

const ::rookery::ServiceDescriptor& CallClient::Descriptor() {
  return ::rookery_generated::clashes_2eproto::kService_Call;
}

::rookery::Task<::zoo::rookery::google::Channel> CallClient::Context(
    const ::zoo::rookery::google::CallContext& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Channel>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Call[0], request, ::std::move(options));
}
::rookery::Task<::zoo::rookery::google::Channel> CallClient::Context(
    ::zoo::rookery::google::CallContext&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::rookery::google::Channel>(
      *this, ::rookery_generated::clashes_2eproto::kMethods_Call[0], ::std::move(request), ::std::move(options));
}

}  // namespace zoo::rookery::google
