// Made by protoc-gen-rookery of comments.proto. Do not edit.
#ifndef ROOKERY_GENERATED_comments_2eproto_
#define ROOKERY_GENERATED_comments_2eproto_

#include <memory>

#include "rookery/rpc/client.h"
#include "rookery/rpc/service.h"
#include "comments.pb.h"

namespace zoo::comments {

// Comments that could do harm: a backslash at the end \ .
// or one with spaces after it \ .
// a trigraph ??/ .
// variables $file$ and $nothing
// / three slashes, /* a block */ and */ alone
//
//  a tab, ünïcödé, <U+202E>turned, <U+2028>ended
//
// Derive a controller from it and override every method.
class CommentsService : public ::rookery::Service {
 public:
  using ServiceType = CommentsService;
  static const ::rookery::ServiceDescriptor& Descriptor();

  // A block comment,
  // with stars,
  //
  //   and an indented line.
  static constexpr ::rookery::MethodRef kBlock{0};
  virtual ::rookery::Task<::zoo::comments::Word> Block(
      ::rookery::CallContext& call, const ::zoo::comments::Word& request) = 0;

  // Behind the method.
  static constexpr ::rookery::MethodRef kTrailing{1};
  virtual ::rookery::Task<::zoo::comments::Word> Trailing(
      ::rookery::CallContext& call, const ::zoo::comments::Word& request) = 0;

  // Before the method.
  static constexpr ::rookery::MethodRef kBoth{2};
  virtual ::rookery::Task<::zoo::comments::Word> Both(
      ::rookery::CallContext& call, const ::zoo::comments::Word& request) = 0;

  static constexpr ::rookery::MethodRef kBlank{3};
  virtual ::rookery::Task<::zoo::comments::Word> Blank(
      ::rookery::CallContext& call, const ::zoo::comments::Word& request) = 0;

  // No space.
  static constexpr ::rookery::MethodRef kTight{4};
  virtual ::rookery::Task<::zoo::comments::Word> Tight(
      ::rookery::CallContext& call, const ::zoo::comments::Word& request) = 0;

  static constexpr ::rookery::MethodRef kNone{5};
  virtual ::rookery::Task<::zoo::comments::Word> None(
      ::rookery::CallContext& call, const ::zoo::comments::Word& request) = 0;
};

// Comments that could do harm: a backslash at the end \ .
// or one with spaces after it \ .
// a trigraph ??/ .
// variables $file$ and $nothing
// / three slashes, /* a block */ and */ alone
//
//  a tab, ünïcödé, <U+202E>turned, <U+2028>ended
//
// Calls zoo.comments.Comments over any channel. Copyable; thread-safe.
class CommentsClient final : public ::rookery::ClientBase {
 public:
  using ServiceType = CommentsService;
  explicit CommentsClient(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();

  // A block comment,
  // with stars,
  //
  //   and an indented line.
  ::rookery::Task<::zoo::comments::Word> Block(
      const ::zoo::comments::Word& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::comments::Word> Block(
      ::zoo::comments::Word&& request, ::rookery::CallOptions options = {});

  // Behind the method.
  ::rookery::Task<::zoo::comments::Word> Trailing(
      const ::zoo::comments::Word& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::comments::Word> Trailing(
      ::zoo::comments::Word&& request, ::rookery::CallOptions options = {});

  // Before the method.
  ::rookery::Task<::zoo::comments::Word> Both(
      const ::zoo::comments::Word& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::comments::Word> Both(
      ::zoo::comments::Word&& request, ::rookery::CallOptions options = {});

  ::rookery::Task<::zoo::comments::Word> Blank(
      const ::zoo::comments::Word& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::comments::Word> Blank(
      ::zoo::comments::Word&& request, ::rookery::CallOptions options = {});

  // No space.
  ::rookery::Task<::zoo::comments::Word> Tight(
      const ::zoo::comments::Word& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::comments::Word> Tight(
      ::zoo::comments::Word&& request, ::rookery::CallOptions options = {});

  ::rookery::Task<::zoo::comments::Word> None(
      const ::zoo::comments::Word& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::comments::Word> None(
      ::zoo::comments::Word&& request, ::rookery::CallOptions options = {});
};

}  // namespace zoo::comments

#endif  // ROOKERY_GENERATED_comments_2eproto_
