// Made by protoc-gen-rookery of old.proto. Do not edit.
#ifndef ROOKERY_GENERATED_old_2eproto_
#define ROOKERY_GENERATED_old_2eproto_

#include <memory>

#include "rookery/rpc/client.h"
#include "rookery/rpc/service.h"
#include "old.pb.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace zoo::old {

// A method that should not be called any more.
//
// Derive a controller from it and override every method.
class FadingService : public ::rookery::Service {
 public:
  using ServiceType = FadingService;
  static const ::rookery::ServiceDescriptor& Descriptor();

  static constexpr ::rookery::MethodRef kFresh{0};
  virtual ::rookery::Task<::zoo::old::Kept> Fresh(
      ::rookery::CallContext& call, const ::zoo::old::Kept& request) = 0;

  // Use Fresh.
  // Deprecated.
  static constexpr ::rookery::MethodRef kStale{1};
  virtual ::rookery::Task<::zoo::old::Kept> Stale(
      ::rookery::CallContext& call, const ::zoo::old::Kept& request) = 0;

  // Deprecated.
  static constexpr ::rookery::MethodRef kWorn{2};
  virtual ::rookery::Stream<::zoo::old::Kept> Worn(
      ::rookery::CallContext& call, ::rookery::Stream<::zoo::old::Kept> requests) = 0;
};

// A method that should not be called any more.
//
// Calls zoo.old.Fading over any channel. Copyable; thread-safe.
class FadingClient final : public ::rookery::ClientBase {
 public:
  using ServiceType = FadingService;
  explicit FadingClient(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();

  ::rookery::Task<::zoo::old::Kept> Fresh(
      const ::zoo::old::Kept& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::old::Kept> Fresh(
      ::zoo::old::Kept&& request, ::rookery::CallOptions options = {});

  // Use Fresh.
  [[deprecated]] ::rookery::Task<::zoo::old::Kept> Stale(
      const ::zoo::old::Kept& request, ::rookery::CallOptions options = {});
  [[deprecated]] ::rookery::Task<::zoo::old::Kept> Stale(
      ::zoo::old::Kept&& request, ::rookery::CallOptions options = {});

  [[deprecated]] ::rookery::Stream<::zoo::old::Kept> Worn(
      ::rookery::Stream<::zoo::old::Kept> requests, ::rookery::CallOptions options = {});
};

// A service that should not.
//
// Derive a controller from it and override every method.
// Deprecated.
class GoneService : public ::rookery::Service {
 public:
  using ServiceType = GoneService;
  static const ::rookery::ServiceDescriptor& Descriptor();

  static constexpr ::rookery::MethodRef kGet{0};
  virtual ::rookery::Task<::zoo::old::Kept> Get(
      ::rookery::CallContext& call, const ::zoo::old::Kept& request) = 0;
};

// A service that should not.
//
// Calls zoo.old.Gone over any channel. Copyable; thread-safe.
class [[deprecated]] GoneClient final : public ::rookery::ClientBase {
 public:
  using ServiceType = GoneService;
  explicit GoneClient(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();

  ::rookery::Task<::zoo::old::Kept> Get(
      const ::zoo::old::Kept& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::old::Kept> Get(
      ::zoo::old::Kept&& request, ::rookery::CallOptions options = {});
};

// Messages that should not be used.
//
// Derive a controller from it and override every method.
class HeirloomService : public ::rookery::Service {
 public:
  using ServiceType = HeirloomService;
  static const ::rookery::ServiceDescriptor& Descriptor();

  static constexpr ::rookery::MethodRef kGet{0};
  virtual ::rookery::Task<::zoo::old::Kept> Get(
      ::rookery::CallContext& call, const ::zoo::old::Dropped& request) = 0;
};

// Messages that should not be used.
//
// Calls zoo.old.Heirloom over any channel. Copyable; thread-safe.
class HeirloomClient final : public ::rookery::ClientBase {
 public:
  using ServiceType = HeirloomService;
  explicit HeirloomClient(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();

  ::rookery::Task<::zoo::old::Kept> Get(
      const ::zoo::old::Dropped& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::old::Kept> Get(
      ::zoo::old::Dropped&& request, ::rookery::CallOptions options = {});
};

}  // namespace zoo::old

#pragma GCC diagnostic pop

#endif  // ROOKERY_GENERATED_old_2eproto_
