// Made by protoc-gen-rookery of nested_imported.proto. Do not edit.
#ifndef ROOKERY_GENERATED_nested_5fimported_2eproto_
#define ROOKERY_GENERATED_nested_5fimported_2eproto_

#include <memory>

#include "rookery/rpc/client.h"
#include "rookery/rpc/service.h"
#include "nested_imported.pb.h"
#include "common.pb.h"
#include "google/protobuf/any.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "google/rpc/status.pb.h"
#include "twins/a/twin.pb.h"

namespace zoo::nested {

// Nested messages, and messages of other files and packages.
//
// Derive a controller from it and override every method.
class NestedService : public ::rookery::Service {
 public:
  using ServiceType = NestedService;
  static const ::rookery::ServiceDescriptor& Descriptor();

  static constexpr ::rookery::MethodRef kOwn{0};
  virtual ::rookery::Task<::zoo::nested::Outer_Middle> Own(
      ::rookery::CallContext& call, const ::zoo::nested::Outer_Middle_Inner& request) = 0;

  // By way of a public import.
  static constexpr ::rookery::MethodRef kShared{1};
  virtual ::rookery::Task<::zoo::common::Shared> Shared(
      ::rookery::CallContext& call, const ::zoo::common::Shared_Inner_Innermost& request) = 0;

  static constexpr ::rookery::MethodRef kSibling{2};
  virtual ::rookery::Stream<::twins::a::Twin> Sibling(
      ::rookery::CallContext& call, const ::twins::a::Twin& request) = 0;

  static constexpr ::rookery::MethodRef kWellKnown{3};
  virtual ::rookery::Task<::google::protobuf::Timestamp> WellKnown(
      ::rookery::CallContext& call, const ::google::protobuf::Any& request) = 0;

  static constexpr ::rookery::MethodRef kStatus{4};
  virtual ::rookery::Task<::google::protobuf::Any> Status(
      ::rookery::CallContext& call, ::rookery::Stream<::google::rpc::Status> requests) = 0;
};

// Nested messages, and messages of other files and packages.
//
// Calls zoo.nested.Nested over any channel. Copyable; thread-safe.
class NestedClient final : public ::rookery::ClientBase {
 public:
  using ServiceType = NestedService;
  explicit NestedClient(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();

  ::rookery::Task<::zoo::nested::Outer_Middle> Own(
      const ::zoo::nested::Outer_Middle_Inner& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::nested::Outer_Middle> Own(
      ::zoo::nested::Outer_Middle_Inner&& request, ::rookery::CallOptions options = {});

  // By way of a public import.
  ::rookery::Task<::zoo::common::Shared> Shared(
      const ::zoo::common::Shared_Inner_Innermost& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::common::Shared> Shared(
      ::zoo::common::Shared_Inner_Innermost&& request, ::rookery::CallOptions options = {});

  ::rookery::Stream<::twins::a::Twin> Sibling(
      const ::twins::a::Twin& request, ::rookery::CallOptions options = {});
  ::rookery::Stream<::twins::a::Twin> Sibling(
      ::twins::a::Twin&& request, ::rookery::CallOptions options = {});

  ::rookery::Task<::google::protobuf::Timestamp> WellKnown(
      const ::google::protobuf::Any& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::google::protobuf::Timestamp> WellKnown(
      ::google::protobuf::Any&& request, ::rookery::CallOptions options = {});

  ::rookery::Task<::google::protobuf::Any> Status(
      ::rookery::Stream<::google::rpc::Status> requests, ::rookery::CallOptions options = {});
};

}  // namespace zoo::nested

#endif  // ROOKERY_GENERATED_nested_5fimported_2eproto_
