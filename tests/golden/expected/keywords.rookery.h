// Made by protoc-gen-rookery of keywords.proto. Do not edit.
#ifndef ROOKERY_GENERATED_keywords_2eproto_
#define ROOKERY_GENERATED_keywords_2eproto_

#include <memory>

#include "rookery/rpc/client.h"
#include "rookery/rpc/service.h"
#include "keywords.pb.h"
#include "google/protobuf/empty.pb.h"

namespace zoo::keywords {

// Derive a controller from it and override every method.
class KeywordsService : public ::rookery::Service {
 public:
  using ServiceType = KeywordsService;
  static const ::rookery::ServiceDescriptor& Descriptor();

  static constexpr ::rookery::MethodRef kDelete{0};
  virtual ::rookery::Task<::zoo::keywords::struct_> delete_(
      ::rookery::CallContext& call, const ::zoo::keywords::union_& request) = 0;

  static constexpr ::rookery::MethodRef kNew{1};
  virtual ::rookery::Task<::zoo::keywords::struct_> new_(
      ::rookery::CallContext& call, ::rookery::Stream<::zoo::keywords::union_> requests) = 0;

  static constexpr ::rookery::MethodRef kOperator{2};
  virtual ::rookery::Stream<::zoo::keywords::struct_> operator_(
      ::rookery::CallContext& call, const ::zoo::keywords::union_& request) = 0;

  static constexpr ::rookery::MethodRef kNamespace{3};
  virtual ::rookery::Stream<::zoo::keywords::struct_> namespace_(
      ::rookery::CallContext& call, ::rookery::Stream<::zoo::keywords::union_> requests) = 0;

  static constexpr ::rookery::MethodRef kTypename{4};
  virtual ::rookery::Task<void> typename_(
      ::rookery::CallContext& call, const ::zoo::keywords::struct_& event) = 0;

  // Keywords since C++20.
  static constexpr ::rookery::MethodRef kCo_await{5};
  virtual ::rookery::Task<::zoo::keywords::struct_> co_await_(
      ::rookery::CallContext& call, const ::zoo::keywords::union_& request) = 0;

  static constexpr ::rookery::MethodRef kRequires{6};
  virtual ::rookery::Task<::zoo::keywords::struct_> requires_(
      ::rookery::CallContext& call, const ::zoo::keywords::union_& request) = 0;

  static constexpr ::rookery::MethodRef kConcept{7};
  virtual ::rookery::Task<::zoo::keywords::struct_> concept_(
      ::rookery::CallContext& call, const ::zoo::keywords::union_& request) = 0;

  static constexpr ::rookery::MethodRef kChar8_t{8};
  virtual ::rookery::Task<::zoo::keywords::struct_> char8_t_(
      ::rookery::CallContext& call, const ::zoo::keywords::union_& request) = 0;

  // A macro of the standard library.
  static constexpr ::rookery::MethodRef kNULL{9};
  virtual ::rookery::Task<::zoo::keywords::struct_> NULL_(
      ::rookery::CallContext& call, const ::zoo::keywords::union_& request) = 0;

  // Keywords of other languages, and none here.
  static constexpr ::rookery::MethodRef kInterface{10};
  virtual ::rookery::Task<::zoo::keywords::struct_> interface(
      ::rookery::CallContext& call, const ::zoo::keywords::union_& request) = 0;
};

// Calls zoo.keywords.Keywords over any channel. Copyable; thread-safe.
class KeywordsClient final : public ::rookery::ClientBase {
 public:
  using ServiceType = KeywordsService;
  explicit KeywordsClient(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();

  ::rookery::Task<::zoo::keywords::struct_> delete_(
      const ::zoo::keywords::union_& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::keywords::struct_> delete_(
      ::zoo::keywords::union_&& request, ::rookery::CallOptions options = {});

  ::rookery::Task<::zoo::keywords::struct_> new_(
      ::rookery::Stream<::zoo::keywords::union_> requests, ::rookery::CallOptions options = {});

  ::rookery::Stream<::zoo::keywords::struct_> operator_(
      const ::zoo::keywords::union_& request, ::rookery::CallOptions options = {});
  ::rookery::Stream<::zoo::keywords::struct_> operator_(
      ::zoo::keywords::union_&& request, ::rookery::CallOptions options = {});

  ::rookery::Stream<::zoo::keywords::struct_> namespace_(
      ::rookery::Stream<::zoo::keywords::union_> requests, ::rookery::CallOptions options = {});

  ::rookery::Task<void> typename_(
      const ::zoo::keywords::struct_& event, ::rookery::CallOptions options = {});
  ::rookery::Task<void> typename_(
      ::zoo::keywords::struct_&& event, ::rookery::CallOptions options = {});

  // Keywords since C++20.
  ::rookery::Task<::zoo::keywords::struct_> co_await_(
      const ::zoo::keywords::union_& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::keywords::struct_> co_await_(
      ::zoo::keywords::union_&& request, ::rookery::CallOptions options = {});

  ::rookery::Task<::zoo::keywords::struct_> requires_(
      const ::zoo::keywords::union_& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::keywords::struct_> requires_(
      ::zoo::keywords::union_&& request, ::rookery::CallOptions options = {});

  ::rookery::Task<::zoo::keywords::struct_> concept_(
      const ::zoo::keywords::union_& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::keywords::struct_> concept_(
      ::zoo::keywords::union_&& request, ::rookery::CallOptions options = {});

  ::rookery::Task<::zoo::keywords::struct_> char8_t_(
      const ::zoo::keywords::union_& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::keywords::struct_> char8_t_(
      ::zoo::keywords::union_&& request, ::rookery::CallOptions options = {});

  // A macro of the standard library.
  ::rookery::Task<::zoo::keywords::struct_> NULL_(
      const ::zoo::keywords::union_& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::keywords::struct_> NULL_(
      ::zoo::keywords::union_&& request, ::rookery::CallOptions options = {});

  // Keywords of other languages, and none here.
  ::rookery::Task<::zoo::keywords::struct_> interface(
      const ::zoo::keywords::union_& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::keywords::struct_> interface(
      ::zoo::keywords::union_&& request, ::rookery::CallOptions options = {});
};

// The name becomes part of a longer one.
//
// Derive a controller from it and override every method.
class forService : public ::rookery::Service {
 public:
  using ServiceType = forService;
  static const ::rookery::ServiceDescriptor& Descriptor();

  static constexpr ::rookery::MethodRef kGet{0};
  virtual ::rookery::Task<::zoo::keywords::union__this_enum> Get(
      ::rookery::CallContext& call, const ::zoo::keywords::union__this& request) = 0;
};

// The name becomes part of a longer one.
//
// Calls zoo.keywords.for over any channel. Copyable; thread-safe.
class forClient final : public ::rookery::ClientBase {
 public:
  using ServiceType = forService;
  explicit forClient(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();

  ::rookery::Task<::zoo::keywords::union__this_enum> Get(
      const ::zoo::keywords::union__this& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::keywords::union__this_enum> Get(
      ::zoo::keywords::union__this&& request, ::rookery::CallOptions options = {});
};

}  // namespace zoo::keywords

#endif  // ROOKERY_GENERATED_keywords_2eproto_
