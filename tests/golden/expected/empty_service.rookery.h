// Made by protoc-gen-rookery of empty_service.proto. Do not edit.
#ifndef ROOKERY_GENERATED_empty_5fservice_2eproto_
#define ROOKERY_GENERATED_empty_5fservice_2eproto_

#include <memory>

#include "rookery/rpc/client.h"
#include "rookery/rpc/service.h"
#include "empty_service.pb.h"

namespace zoo::empty {

// Derive a controller from it and override every method.
class NothingService : public ::rookery::Service {
 public:
  using ServiceType = NothingService;
  static const ::rookery::ServiceDescriptor& Descriptor();
};

// Calls zoo.empty.Nothing over any channel. Copyable; thread-safe.
class NothingClient final : public ::rookery::ClientBase {
 public:
  using ServiceType = NothingService;
  explicit NothingClient(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();
};

// Derive a controller from it and override every method.
class SomethingService : public ::rookery::Service {
 public:
  using ServiceType = SomethingService;
  static const ::rookery::ServiceDescriptor& Descriptor();

  static constexpr ::rookery::MethodRef kDo{0};
  virtual ::rookery::Task<::zoo::empty::It> Do(
      ::rookery::CallContext& call, const ::zoo::empty::It& request) = 0;
};

// Calls zoo.empty.Something over any channel. Copyable; thread-safe.
class SomethingClient final : public ::rookery::ClientBase {
 public:
  using ServiceType = SomethingService;
  explicit SomethingClient(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();

  ::rookery::Task<::zoo::empty::It> Do(
      const ::zoo::empty::It& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::empty::It> Do(
      ::zoo::empty::It&& request, ::rookery::CallOptions options = {});
};

}  // namespace zoo::empty

#endif  // ROOKERY_GENERATED_empty_5fservice_2eproto_
