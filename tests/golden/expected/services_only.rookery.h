// Made by protoc-gen-rookery of services_only.proto. Do not edit.
#ifndef ROOKERY_GENERATED_services_5fonly_2eproto_
#define ROOKERY_GENERATED_services_5fonly_2eproto_

#include <memory>

#include "rookery/rpc/client.h"
#include "rookery/rpc/service.h"
#include "services_only.pb.h"
#include "common.pb.h"
#include "google/protobuf/empty.pb.h"

namespace zoo::services_only {

// Derive a controller from it and override every method.
class BareService : public ::rookery::Service {
 public:
  using ServiceType = BareService;
  static const ::rookery::ServiceDescriptor& Descriptor();

  static constexpr ::rookery::MethodRef kTake{0};
  virtual ::rookery::Task<::zoo::common::Shared> Take(
      ::rookery::CallContext& call, const ::google::protobuf::Empty& request) = 0;
};

// Calls zoo.services_only.Bare over any channel. Copyable; thread-safe.
class BareClient final : public ::rookery::ClientBase {
 public:
  using ServiceType = BareService;
  explicit BareClient(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();

  ::rookery::Task<::zoo::common::Shared> Take(
      const ::google::protobuf::Empty& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::common::Shared> Take(
      ::google::protobuf::Empty&& request, ::rookery::CallOptions options = {});
};

}  // namespace zoo::services_only

#endif  // ROOKERY_GENERATED_services_5fonly_2eproto_
