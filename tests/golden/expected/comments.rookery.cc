// Made by protoc-gen-rookery of comments.proto. Do not edit.
#include "comments.rookery.h"

#include <utility>

#include "rookery/rpc/generated.h"

static_assert(::rookery::internal::kCodegenVersion == 1,
              "comments.rookery.cc was made by a protoc-gen-rookery that does not belong to "
              "the rookery headers in use: generate it again with theirs");

namespace rookery_generated::comments_2eproto {
namespace {

const ::google::protobuf::ServiceDescriptor* Proto_Comments() {
  return ::zoo::comments::Word::descriptor()->file()->service(0);
}

constexpr ::rookery::MethodDescriptor kMethods_Comments[] = {
    {
        .full_name = "/zoo.comments.Comments/Block",
        .service = "zoo.comments.Comments",
        .name = "Block",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::comments::Word>,
        .response = &::rookery::internal::DefaultInstance<::zoo::comments::Word>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::comments::Word>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::comments::Word>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::comments::CommentsService, &::zoo::comments::CommentsService::Block>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Comments, 0>,
    },
    {
        .full_name = "/zoo.comments.Comments/Trailing",
        .service = "zoo.comments.Comments",
        .name = "Trailing",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::comments::Word>,
        .response = &::rookery::internal::DefaultInstance<::zoo::comments::Word>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::comments::Word>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::comments::Word>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::comments::CommentsService, &::zoo::comments::CommentsService::Trailing>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Comments, 1>,
    },
    {
        .full_name = "/zoo.comments.Comments/Both",
        .service = "zoo.comments.Comments",
        .name = "Both",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::comments::Word>,
        .response = &::rookery::internal::DefaultInstance<::zoo::comments::Word>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::comments::Word>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::comments::Word>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::comments::CommentsService, &::zoo::comments::CommentsService::Both>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Comments, 2>,
    },
    {
        .full_name = "/zoo.comments.Comments/Blank",
        .service = "zoo.comments.Comments",
        .name = "Blank",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::comments::Word>,
        .response = &::rookery::internal::DefaultInstance<::zoo::comments::Word>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::comments::Word>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::comments::Word>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::comments::CommentsService, &::zoo::comments::CommentsService::Blank>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Comments, 3>,
    },
    {
        .full_name = "/zoo.comments.Comments/Tight",
        .service = "zoo.comments.Comments",
        .name = "Tight",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::comments::Word>,
        .response = &::rookery::internal::DefaultInstance<::zoo::comments::Word>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::comments::Word>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::comments::Word>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::comments::CommentsService, &::zoo::comments::CommentsService::Tight>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Comments, 4>,
    },
    {
        .full_name = "/zoo.comments.Comments/None",
        .service = "zoo.comments.Comments",
        .name = "None",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::zoo::comments::Word>,
        .response = &::rookery::internal::DefaultInstance<::zoo::comments::Word>,
        .move_request = &::rookery::internal::MoveMessage<::zoo::comments::Word>,
        .move_response = &::rookery::internal::MoveMessage<::zoo::comments::Word>,
        .invoke = &::rookery::internal::InvokeMember<
            ::zoo::comments::CommentsService, &::zoo::comments::CommentsService::None>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Comments, 5>,
    },
};

constexpr ::rookery::ServiceDescriptor kService_Comments = {
    .full_name = "zoo.comments.Comments",
    .methods = kMethods_Comments,
    .proto = &Proto_Comments,
};

}  // namespace
}  // namespace rookery_generated::comments_2eproto

namespace zoo::comments {

const ::rookery::ServiceDescriptor& CommentsService::Descriptor() {
  return ::rookery_generated::comments_2eproto::kService_Comments;
}

CommentsClient::CommentsClient(::std::shared_ptr<::rookery::Channel> channel) noexcept
    : ::rookery::ClientBase(::std::move(channel)) {}

const ::rookery::ServiceDescriptor& CommentsClient::Descriptor() {
  return ::rookery_generated::comments_2eproto::kService_Comments;
}

::rookery::Task<::zoo::comments::Word> CommentsClient::Block(
    const ::zoo::comments::Word& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::comments::Word>(
      *this, ::rookery_generated::comments_2eproto::kMethods_Comments[0], request, ::std::move(options));
}
::rookery::Task<::zoo::comments::Word> CommentsClient::Block(
    ::zoo::comments::Word&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::comments::Word>(
      *this, ::rookery_generated::comments_2eproto::kMethods_Comments[0], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::comments::Word> CommentsClient::Trailing(
    const ::zoo::comments::Word& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::comments::Word>(
      *this, ::rookery_generated::comments_2eproto::kMethods_Comments[1], request, ::std::move(options));
}
::rookery::Task<::zoo::comments::Word> CommentsClient::Trailing(
    ::zoo::comments::Word&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::comments::Word>(
      *this, ::rookery_generated::comments_2eproto::kMethods_Comments[1], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::comments::Word> CommentsClient::Both(
    const ::zoo::comments::Word& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::comments::Word>(
      *this, ::rookery_generated::comments_2eproto::kMethods_Comments[2], request, ::std::move(options));
}
::rookery::Task<::zoo::comments::Word> CommentsClient::Both(
    ::zoo::comments::Word&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::comments::Word>(
      *this, ::rookery_generated::comments_2eproto::kMethods_Comments[2], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::comments::Word> CommentsClient::Blank(
    const ::zoo::comments::Word& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::comments::Word>(
      *this, ::rookery_generated::comments_2eproto::kMethods_Comments[3], request, ::std::move(options));
}
::rookery::Task<::zoo::comments::Word> CommentsClient::Blank(
    ::zoo::comments::Word&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::comments::Word>(
      *this, ::rookery_generated::comments_2eproto::kMethods_Comments[3], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::comments::Word> CommentsClient::Tight(
    const ::zoo::comments::Word& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::comments::Word>(
      *this, ::rookery_generated::comments_2eproto::kMethods_Comments[4], request, ::std::move(options));
}
::rookery::Task<::zoo::comments::Word> CommentsClient::Tight(
    ::zoo::comments::Word&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::comments::Word>(
      *this, ::rookery_generated::comments_2eproto::kMethods_Comments[4], ::std::move(request), ::std::move(options));
}

::rookery::Task<::zoo::comments::Word> CommentsClient::None(
    const ::zoo::comments::Word& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::comments::Word>(
      *this, ::rookery_generated::comments_2eproto::kMethods_Comments[5], request, ::std::move(options));
}
::rookery::Task<::zoo::comments::Word> CommentsClient::None(
    ::zoo::comments::Word&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::zoo::comments::Word>(
      *this, ::rookery_generated::comments_2eproto::kMethods_Comments[5], ::std::move(request), ::std::move(options));
}

}  // namespace zoo::comments
