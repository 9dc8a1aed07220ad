// Made by protoc-gen-rookery of twins/a/twin.proto. Do not edit.
#ifndef ROOKERY_GENERATED_twins_2fa_2ftwin_2eproto_
#define ROOKERY_GENERATED_twins_2fa_2ftwin_2eproto_

#include <memory>

#include "rookery/rpc/client.h"
#include "rookery/rpc/service.h"
#include "twins/a/twin.pb.h"

namespace twins::a {

// Two files of one name, with services and messages of one name.
//
// Derive a controller from it and override every method.
class TwinsService : public ::rookery::Service {
 public:
  using ServiceType = TwinsService;
  static const ::rookery::ServiceDescriptor& Descriptor();

  static constexpr ::rookery::MethodRef kGet{0};
  virtual ::rookery::Task<::twins::a::Twin> Get(
      ::rookery::CallContext& call, const ::twins::a::Twin& request) = 0;
};

// Two files of one name, with services and messages of one name.
//
// Calls twins.a.Twins over any channel. Copyable; thread-safe.
class TwinsClient final : public ::rookery::ClientBase {
 public:
  using ServiceType = TwinsService;
  explicit TwinsClient(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();

  ::rookery::Task<::twins::a::Twin> Get(
      const ::twins::a::Twin& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::twins::a::Twin> Get(
      ::twins::a::Twin&& request, ::rookery::CallOptions options = {});
};

}  // namespace twins::a

#endif  // ROOKERY_GENERATED_twins_2fa_2ftwin_2eproto_
