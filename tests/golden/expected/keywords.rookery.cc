// Made by protoc-gen-rookery of keywords.proto. Do not edit.
#include "keywords.rookery.h"

#include <utility>

#include "rookery/rpc/generated.h"

static_assert(::rookery::internal::kCodegenVersion == 1,
              "keywords.rookery.cc was made by a protoc-gen-rookery that does not belong to "
              "the rookery headers in use: generate it again with theirs");

namespace rookery_generated::keywords_2eproto {
namespace {

const ::google::protobuf::ServiceDescriptor* Proto_Keywords() {
  return ::zoo::keywords::union_::descriptor()->file()->service(0);
}

constexpr ::rookery::MethodDescriptor kMethods_Keywords[] = {
    {
        .full_name = "/zoo.keywords.Keywords/delete",
        .service = "zoo.keywords.Keywords",
        .name = "delete",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::keywords::union_>,
        .response = &::rookery::internal::DefaultInstance<::zoo::keywords::struct_>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::keywords::union_>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::keywords::struct_>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::keywords::KeywordsService, &::zoo::keywords::KeywordsService::delete_>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Keywords, 0>,
    },
    {
        .full_name = "/zoo.keywords.Keywords/new",
        .service = "zoo.keywords.Keywords",
        .name = "new",
        .kind = ::rookery::MethodKind::kClientStreaming,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::keywords::union_>,
        .response = &::rookery::internal::DefaultInstance<::zoo::keywords::struct_>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::keywords::union_>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::keywords::struct_>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::keywords::KeywordsService, &::zoo::keywords::KeywordsService::new_>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Keywords, 1>,
    },
    {
        .full_name = "/zoo.keywords.Keywords/operator",
        .service = "zoo.keywords.Keywords",
        .name = "operator",
        .kind = ::rookery::MethodKind::kServerStreaming,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::keywords::union_>,
        .response = &::rookery::internal::DefaultInstance<::zoo::keywords::struct_>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::keywords::union_>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::keywords::struct_>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::keywords::KeywordsService, &::zoo::keywords::KeywordsService::operator_>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Keywords, 2>,
    },
    {
        .full_name = "/zoo.keywords.Keywords/namespace",
        .service = "zoo.keywords.Keywords",
        .name = "namespace",
        .kind = ::rookery::MethodKind::kBidiStreaming,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::keywords::union_>,
        .response = &::rookery::internal::DefaultInstance<::zoo::keywords::struct_>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::keywords::union_>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::keywords::struct_>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::keywords::KeywordsService, &::zoo::keywords::KeywordsService::namespace_>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Keywords, 3>,
    },
    {
        .full_name = "/zoo.keywords.Keywords/typename",
        .service = "zoo.keywords.Keywords",
        .name = "typename",
        .kind = ::rookery::MethodKind::kEvent,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "typename",
        .request = &::rookery::internal::DefaultInstance<::zoo::keywords::struct_>,
        .response = &::rookery::internal::DefaultInstance<::google::protobuf::Empty>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::keywords::struct_>,
        .move_response = &::rookery::internal::MoveMessage<::google::protobuf::Empty>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::keywords::KeywordsService, &::zoo::keywords::KeywordsService::typename_>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Keywords, 4>,
    },
    {
        .full_name = "/zoo.keywords.Keywords/co_await",
        .service = "zoo.keywords.Keywords",
        .name = "co_await",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::keywords::union_>,
        .response = &::rookery::internal::DefaultInstance<::zoo::keywords::struct_>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::keywords::union_>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::keywords::struct_>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::keywords::KeywordsService, &::zoo::keywords::KeywordsService::co_await_>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Keywords, 5>,
    },
    {
        .full_name = "/zoo.keywords.Keywords/requires",
        .service = "zoo.keywords.Keywords",
        .name = "requires",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::keywords::union_>,
        .response = &::rookery::internal::DefaultInstance<::zoo::keywords::struct_>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::keywords::union_>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::keywords::struct_>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::keywords::KeywordsService, &::zoo::keywords::KeywordsService::requires_>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Keywords, 6>,
    },
    {
        .full_name = "/zoo.keywords.Keywords/concept",
        .service = "zoo.keywords.Keywords",
        .name = "concept",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::keywords::union_>,
        .response = &::rookery::internal::DefaultInstance<::zoo::keywords::struct_>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::keywords::union_>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::keywords::struct_>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::keywords::KeywordsService, &::zoo::keywords::KeywordsService::concept_>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Keywords, 7>,
    },
    {
        .full_name = "/zoo.keywords.Keywords/char8_t",
        .service = "zoo.keywords.Keywords",
        .name = "char8_t",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::keywords::union_>,
        .response = &::rookery::internal::DefaultInstance<::zoo::keywords::struct_>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::keywords::union_>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::keywords::struct_>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::keywords::KeywordsService, &::zoo::keywords::KeywordsService::char8_t_>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Keywords, 8>,
    },
    {
        .full_name = "/zoo.keywords.Keywords/NULL",
        .service = "zoo.keywords.Keywords",
        .name = "NULL",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::keywords::union_>,
        .response = &::rookery::internal::DefaultInstance<::zoo::keywords::struct_>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::keywords::union_>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::keywords::struct_>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::keywords::KeywordsService, &::zoo::keywords::KeywordsService::NULL_>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Keywords, 9>,
    },
    {
        .full_name = "/zoo.keywords.Keywords/interface",
        .service = "zoo.keywords.Keywords",
        .name = "interface",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::keywords::union_>,
        .response = &::rookery::internal::DefaultInstance<::zoo::keywords::struct_>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::keywords::union_>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::keywords::struct_>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::keywords::KeywordsService, &::zoo::keywords::KeywordsService::interface>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Keywords, 10>,
    },
};

constexpr ::rookery::ServiceDescriptor kService_Keywords = {
    .full_name = "zoo.keywords.Keywords",
    .methods = kMethods_Keywords,
    .proto = &Proto_Keywords,
};

const ::google::protobuf::ServiceDescriptor* Proto_for() {
  return ::zoo::keywords::union_::descriptor()->file()->service(1);
}

constexpr ::rookery::MethodDescriptor kMethods_for[] = {
    {
        .full_name = "/zoo.keywords.for/Get",
        .service = "zoo.keywords.for",
        .name = "Get",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::keywords::union__this>,
        .response = &::rookery::internal::DefaultInstance<::zoo::keywords::union__this_enum>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::keywords::union__this>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::keywords::union__this_enum>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::keywords::forService, &::zoo::keywords::forService::Get>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_for, 0>,
    },
};

constexpr ::rookery::ServiceDescriptor kService_for = {
    .full_name = "zoo.keywords.for",
    .methods = kMethods_for,
    .proto = &Proto_for,
};

}  // namespace
}  // namespace rookery_generated::keywords_2eproto

namespace zoo::keywords {

const ::rookery::ServiceDescriptor& KeywordsService::Descriptor() {
  return ::rookery_generated::keywords_2eproto::kService_Keywords;
}

KeywordsClient::KeywordsClient(::std::shared_ptr<::rookery::Channel> channel) noexcept
    : ::rookery::ClientBase(::std::move(channel)) {}

const ::rookery::ServiceDescriptor& KeywordsClient::Descriptor() {
  return ::rookery_generated::keywords_2eproto::kService_Keywords;
}

::rookery::Task<::zoo::keywords::struct_> KeywordsClient::delete_(
    const ::zoo::keywords::union_& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::keywords::struct_>(
      *this, ::rookery_generated::keywords_2eproto::kMethods_Keywords[0], request, ::std::move(options));
}
::rookery::Task<::zoo::keywords::struct_> KeywordsClient::delete_(
    ::zoo::keywords::union_&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::keywords::struct_>(
      *this, ::rookery_generated::keywords_2eproto::kMethods_Keywords[0], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::keywords::struct_> KeywordsClient::new_(
    ::rookery::Stream<::zoo::keywords::union_> requests, ::rookery::CallOptions options) {
  return ::rookery::internal::CallClientStream<::zoo::keywords::struct_>(
      *this, ::rookery_generated::keywords_2eproto::kMethods_Keywords[1], ::std::move(requests), ::std::move(options));
}

::rookery::Stream<::zoo::keywords::struct_> KeywordsClient::operator_(
    const ::zoo::keywords::union_& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallServerStream<::zoo::keywords::struct_>(
      *this, ::rookery_generated::keywords_2eproto::kMethods_Keywords[2], request, ::std::move(options));
}
::rookery::Stream<::zoo::keywords::struct_> KeywordsClient::operator_(
    ::zoo::keywords::union_&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallServerStream<::zoo::keywords::struct_>(
      *this, ::rookery_generated::keywords_2eproto::kMethods_Keywords[2], ::std::move(request), ::std::move(options));
}

::rookery::Stream<::zoo::keywords::struct_> KeywordsClient::namespace_(
    ::rookery::Stream<::zoo::keywords::union_> requests, ::rookery::CallOptions options) {
  return ::rookery::internal::CallBidi<::zoo::keywords::struct_>(
      *this, ::rookery_generated::keywords_2eproto::kMethods_Keywords[3], ::std::move(requests), ::std::move(options));
}

::rookery::Task<void> KeywordsClient::typename_(
    const ::zoo::keywords::struct_& event, ::rookery::CallOptions options) {
  return ::rookery::internal::CallEvent(
      *this, ::rookery_generated::keywords_2eproto::kMethods_Keywords[4], event, ::std::move(options));
}
::rookery::Task<void> KeywordsClient::typename_(
    ::zoo::keywords::struct_&& event, ::rookery::CallOptions options) {
  return ::rookery::internal::CallEvent(
      *this, ::rookery_generated::keywords_2eproto::kMethods_Keywords[4], ::std::move(event), ::std::move(options));
}

::rookery::Task<::zoo::keywords::struct_> KeywordsClient::co_await_(
    const ::zoo::keywords::union_& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::keywords::struct_>(
      *this, ::rookery_generated::keywords_2eproto::kMethods_Keywords[5], request, ::std::move(options));
}
::rookery::Task<::zoo::keywords::struct_> KeywordsClient::co_await_(
    ::zoo::keywords::union_&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::keywords::struct_>(
      *this, ::rookery_generated::keywords_2eproto::kMethods_Keywords[5], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::keywords::struct_> KeywordsClient::requires_(
    const ::zoo::keywords::union_& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::keywords::struct_>(
      *this, ::rookery_generated::keywords_2eproto::kMethods_Keywords[6], request, ::std::move(options));
}
::rookery::Task<::zoo::keywords::struct_> KeywordsClient::requires_(
    ::zoo::keywords::union_&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::keywords::struct_>(
      *this, ::rookery_generated::keywords_2eproto::kMethods_Keywords[6], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::keywords::struct_> KeywordsClient::concept_(
    const ::zoo::keywords::union_& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::keywords::struct_>(
      *this, ::rookery_generated::keywords_2eproto::kMethods_Keywords[7], request, ::std::move(options));
}
::rookery::Task<::zoo::keywords::struct_> KeywordsClient::concept_(
    ::zoo::keywords::union_&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::keywords::struct_>(
      *this, ::rookery_generated::keywords_2eproto::kMethods_Keywords[7], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::keywords::struct_> KeywordsClient::char8_t_(
    const ::zoo::keywords::union_& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::keywords::struct_>(
      *this, ::rookery_generated::keywords_2eproto::kMethods_Keywords[8], request, ::std::move(options));
}
::rookery::Task<::zoo::keywords::struct_> KeywordsClient::char8_t_(
    ::zoo::keywords::union_&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::keywords::struct_>(
      *this, ::rookery_generated::keywords_2eproto::kMethods_Keywords[8], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::keywords::struct_> KeywordsClient::NULL_(
    const ::zoo::keywords::union_& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::keywords::struct_>(
      *this, ::rookery_generated::keywords_2eproto::kMethods_Keywords[9], request, ::std::move(options));
}
::rookery::Task<::zoo::keywords::struct_> KeywordsClient::NULL_(
    ::zoo::keywords::union_&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::keywords::struct_>(
      *this, ::rookery_generated::keywords_2eproto::kMethods_Keywords[9], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::keywords::struct_> KeywordsClient::interface(
    const ::zoo::keywords::union_& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::keywords::struct_>(
      *this, ::rookery_generated::keywords_2eproto::kMethods_Keywords[10], request, ::std::move(options));
}
::rookery::Task<::zoo::keywords::struct_> KeywordsClient::interface(
    ::zoo::keywords::union_&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::keywords::struct_>(
      *this, ::rookery_generated::keywords_2eproto::kMethods_Keywords[10], ::std::move(request), ::std::move(options));
}

const ::rookery::ServiceDescriptor& forService::Descriptor() {
  return ::rookery_generated::keywords_2eproto::kService_for;
}

forClient::forClient(::std::shared_ptr<::rookery::Channel> channel) noexcept
    : ::rookery::ClientBase(::std::move(channel)) {}

const ::rookery::ServiceDescriptor& forClient::Descriptor() {
  return ::rookery_generated::keywords_2eproto::kService_for;
}

::rookery::Task<::zoo::keywords::union__this_enum> forClient::Get(
    const ::zoo::keywords::union__this& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::keywords::union__this_enum>(
      *this, ::rookery_generated::keywords_2eproto::kMethods_for[0], request, ::std::move(options));
}
::rookery::Task<::zoo::keywords::union__this_enum> forClient::Get(
    ::zoo::keywords::union__this&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::keywords::union__this_enum>(
      *this, ::rookery_generated::keywords_2eproto::kMethods_for[0], ::std::move(request), ::std::move(options));
}

}  // namespace zoo::keywords
