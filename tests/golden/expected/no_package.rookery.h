// Made by protoc-gen-rookery of no_package.proto. Do not edit.
#ifndef ROOKERY_GENERATED_no_5fpackage_2eproto_
#define ROOKERY_GENERATED_no_5fpackage_2eproto_

#include <memory>

#include "rookery/rpc/client.h"
#include "rookery/rpc/service.h"
#include "no_package.pb.h"
#include "google/protobuf/empty.pb.h"

// Everything in the global namespace.
//
// Derive a controller from it and override every method.
class RootlessService : public ::rookery::Service {
 public:
  using ServiceType = RootlessService;
  static const ::rookery::ServiceDescriptor& Descriptor();

  static constexpr ::rookery::MethodRef kPing{0};
  virtual ::rookery::Task<::google::protobuf::Empty> Ping(
      ::rookery::CallContext& call, const ::RootPing& request) = 0;

  static constexpr ::rookery::MethodRef kFlow{1};
  virtual ::rookery::Stream<::RootPing> Flow(
      ::rookery::CallContext& call, ::rookery::Stream<::RootPing> requests) = 0;
};

// Everything in the global namespace.
//
// Calls Rootless over any channel. Copyable; thread-safe.
class RootlessClient final : public ::rookery::ClientBase {
 public:
  using ServiceType = RootlessService;
  explicit RootlessClient(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();

  ::rookery::Task<::google::protobuf::Empty> Ping(
      const ::RootPing& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::google::protobuf::Empty> Ping(
      ::RootPing&& request, ::rookery::CallOptions options = {});

  ::rookery::Stream<::RootPing> Flow(
      ::rookery::Stream<::RootPing> requests, ::rookery::CallOptions options = {});
};

#endif  // ROOKERY_GENERATED_no_5fpackage_2eproto_
