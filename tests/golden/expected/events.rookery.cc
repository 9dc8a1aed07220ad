// Made by protoc-gen-rookery of events.proto. Do not edit.
#include "events.rookery.h"

#include <utility>

#include "rookery/rpc/generated.h"

static_assert(::rookery::internal::kCodegenVersion == 1,
              "events.rookery.cc was made by a protoc-gen-rookery that does not belong to "
              "the rookery headers in use: generate it again with theirs");

namespace rookery_generated::events_2eproto {
namespace {

const ::google::protobuf::ServiceDescriptor* Proto_Events() {
  return ::zoo::events::Happening::descriptor()->file()->service(0);
}

constexpr ::rookery::MethodDescriptor kMethods_Events[] = {
    {
        .full_name = "/zoo.events.Events/Plain",
        .service = "zoo.events.Events",
        .name = "Plain",
        .kind = ::rookery::MethodKind::kEvent,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::events::Happening>,
        .response = &::rookery::internal::DefaultInstance<::google::protobuf::Empty>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::events::Happening>,
        .move_response = &::rookery::internal::MoveMessage<::google::protobuf::Empty>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::events::EventsService, &::zoo::events::EventsService::Plain>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Events, 0>,
    },
    {
        .full_name = "/zoo.events.Events/Wild",
        .service = "zoo.events.Events",
        .name = "Wild",
        .kind = ::rookery::MethodKind::kEvent,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "orders.*.>",
        .request = &::rookery::internal::DefaultInstance<::zoo::events::Happening>,
        .response = &::rookery::internal::DefaultInstance<::google::protobuf::Empty>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::events::Happening>,
        .move_response = &::rookery::internal::MoveMessage<::google::protobuf::Empty>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::events::EventsService, &::zoo::events::EventsService::Wild>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Events, 1>,
    },
    {
        .full_name = "/zoo.events.Events/Quoted",
        .service = "zoo.events.Events",
        .name = "Quoted",
        .kind = ::rookery::MethodKind::kEvent,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "a\"b\\c$d$?\?/e%s",
        .request = &::rookery::internal::DefaultInstance<::zoo::events::Happening>,
        .response = &::rookery::internal::DefaultInstance<::google::protobuf::Empty>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::events::Happening>,
        .move_response = &::rookery::internal::MoveMessage<::google::protobuf::Empty>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::events::EventsService, &::zoo::events::EventsService::Quoted>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Events, 2>,
    },
    {
        .full_name = "/zoo.events.Events/Foreign",
        .service = "zoo.events.Events",
        .name = "Foreign",
        .kind = ::rookery::MethodKind::kEvent,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "gr\303\266\303\237e.0",
        .request = &::rookery::internal::DefaultInstance<::zoo::events::Happening>,
        .response = &::rookery::internal::DefaultInstance<::google::protobuf::Empty>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::events::Happening>,
        .move_response = &::rookery::internal::MoveMessage<::google::protobuf::Empty>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::events::EventsService, &::zoo::events::EventsService::Foreign>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Events, 3>,
    },
    {
        .full_name = "/zoo.events.Events/Nothing",
        .service = "zoo.events.Events",
        .name = "Nothing",
        .kind = ::rookery::MethodKind::kEvent,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "nothing",
        .request = &::rookery::internal::DefaultInstance<::google::protobuf::Empty>,
        .response = &::rookery::internal::DefaultInstance<::google::protobuf::Empty>,
        .move_request = &::rookery::internal::MoveMessage<::google::protobuf::Empty>,
        .move_response = &::rookery::internal::MoveMessage<::google::protobuf::Empty>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::events::EventsService, &::zoo::events::EventsService::Nothing>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Events, 4>,
    },
    {
        .full_name = "/zoo.events.Events/Asked",
        .service = "zoo.events.Events",
        .name = "Asked",
        .kind = ::rookery::MethodKind::kBidiStreaming,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "events.asked",
        .request = &::rookery::internal::DefaultInstance<::zoo::events::Happening>,
        .response = &::rookery::internal::DefaultInstance<::zoo::events::Happening>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::events::Happening>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::events::Happening>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::events::EventsService, &::zoo::events::EventsService::Asked>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Events, 5>,
    },
};

constexpr ::rookery::ServiceDescriptor kService_Events = {
    .full_name = "zoo.events.Events",
    .methods = kMethods_Events,
    .proto = &Proto_Events,
};

const ::google::protobuf::ServiceDescriptor* Proto_More() {
  return ::zoo::events::Happening::descriptor()->file()->service(1);
}

constexpr ::rookery::MethodDescriptor kMethods_More[] = {
    {
        .full_name = "/zoo.events.More/Wild",
        .service = "zoo.events.More",
        .name = "Wild",
        .kind = ::rookery::MethodKind::kEvent,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "orders.*.>",
        .request = &::rookery::internal::DefaultInstance<::zoo::events::Happening>,
        .response = &::rookery::internal::DefaultInstance<::google::protobuf::Empty>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::events::Happening>,
        .move_response = &::rookery::internal::MoveMessage<::google::protobuf::Empty>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::events::MoreService, &::zoo::events::MoreService::Wild>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_More, 0>,
    },
};

constexpr ::rookery::ServiceDescriptor kService_More = {
    .full_name = "zoo.events.More",
    .methods = kMethods_More,
    .proto = &Proto_More,
};

}  // namespace
}  // namespace rookery_generated::events_2eproto

namespace zoo::events {

const ::rookery::ServiceDescriptor& EventsService::Descriptor() {
  return ::rookery_generated::events_2eproto::kService_Events;
}

EventsClient::EventsClient(::std::shared_ptr<::rookery::Channel> channel) noexcept
    : ::rookery::ClientBase(::std::move(channel)) {}

const ::rookery::ServiceDescriptor& EventsClient::Descriptor() {
  return ::rookery_generated::events_2eproto::kService_Events;
}

::rookery::Task<void> EventsClient::Plain(
    const ::zoo::events::Happening& event, ::rookery::CallOptions options) {
  return ::rookery::internal::CallEvent(
      *this, ::rookery_generated::events_2eproto::kMethods_Events[0], event, ::std::move(options));
}
::rookery::Task<void> EventsClient::Plain(
    ::zoo::events::Happening&& event, ::rookery::CallOptions options) {
  return ::rookery::internal::CallEvent(
      *this, ::rookery_generated::events_2eproto::kMethods_Events[0], ::std::move(event), ::std::move(options));
}

::rookery::Task<void> EventsClient::Wild(
    const ::zoo::events::Happening& event, ::rookery::CallOptions options) {
  return ::rookery::internal::CallEvent(
      *this, ::rookery_generated::events_2eproto::kMethods_Events[1], event, ::std::move(options));
}
::rookery::Task<void> EventsClient::Wild(
    ::zoo::events::Happening&& event, ::rookery::CallOptions options) {
  return ::rookery::internal::CallEvent(
      *this, ::rookery_generated::events_2eproto::kMethods_Events[1], ::std::move(event), ::std::move(options));
}

::rookery::Task<void> EventsClient::Quoted(
    const ::zoo::events::Happening& event, ::rookery::CallOptions options) {
  return ::rookery::internal::CallEvent(
      *this, ::rookery_generated::events_2eproto::kMethods_Events[2], event, ::std::move(options));
}
::rookery::Task<void> EventsClient::Quoted(
    ::zoo::events::Happening&& event, ::rookery::CallOptions options) {
  return ::rookery::internal::CallEvent(
      *this, ::rookery_generated::events_2eproto::kMethods_Events[2], ::std::move(event), ::std::move(options));
}

::rookery::Task<void> EventsClient::Foreign(
    const ::zoo::events::Happening& event, ::rookery::CallOptions options) {
  return ::rookery::internal::CallEvent(
      *this, ::rookery_generated::events_2eproto::kMethods_Events[3], event, ::std::move(options));
}
::rookery::Task<void> EventsClient::Foreign(
    ::zoo::events::Happening&& event, ::rookery::CallOptions options) {
  return ::rookery::internal::CallEvent(
      *this, ::rookery_generated::events_2eproto::kMethods_Events[3], ::std::move(event), ::std::move(options));
}

::rookery::Task<void> EventsClient::Nothing(
    const ::google::protobuf::Empty& event, ::rookery::CallOptions options) {
  return ::rookery::internal::CallEvent(
      *this, ::rookery_generated::events_2eproto::kMethods_Events[4], event, ::std::move(options));
}
::rookery::Task<void> EventsClient::Nothing(
    ::google::protobuf::Empty&& event, ::rookery::CallOptions options) {
  return ::rookery::internal::CallEvent(
      *this, ::rookery_generated::events_2eproto::kMethods_Events[4], ::std::move(event), ::std::move(options));
}

::rookery::Stream<::zoo::events::Happening> EventsClient::Asked(
    ::rookery::Stream<::zoo::events::Happening> requests, ::rookery::CallOptions options) {
  return ::rookery::internal::CallBidi<::zoo::events::Happening>(
      *this, ::rookery_generated::events_2eproto::kMethods_Events[5], ::std::move(requests), ::std::move(options));
}

const ::rookery::ServiceDescriptor& MoreService::Descriptor() {
  return ::rookery_generated::events_2eproto::kService_More;
}

MoreClient::MoreClient(::std::shared_ptr<::rookery::Channel> channel) noexcept
    : ::rookery::ClientBase(::std::move(channel)) {}

const ::rookery::ServiceDescriptor& MoreClient::Descriptor() {
  return ::rookery_generated::events_2eproto::kService_More;
}

::rookery::Task<void> MoreClient::Wild(
    const ::zoo::events::Happening& event, ::rookery::CallOptions options) {
  return ::rookery::internal::CallEvent(
      *this, ::rookery_generated::events_2eproto::kMethods_More[0], event, ::std::move(options));
}
::rookery::Task<void> MoreClient::Wild(
    ::zoo::events::Happening&& event, ::rookery::CallOptions options) {
  return ::rookery::internal::CallEvent(
      *this, ::rookery_generated::events_2eproto::kMethods_More[0], ::std::move(event), ::std::move(options));
}

}  // namespace zoo::events
