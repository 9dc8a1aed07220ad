// Made by protoc-gen-rookery of twins/b/twin.proto. Do not edit.
#ifndef ROOKERY_GENERATED_twins_2fb_2ftwin_2eproto_
#define ROOKERY_GENERATED_twins_2fb_2ftwin_2eproto_

#include <memory>

#include "rookery/rpc/client.h"
#include "rookery/rpc/service.h"
#include "twins/b/twin.pb.h"

namespace twins::b {

// Two files of one name, with services and messages of one name.
//
// Derive a controller from it and override every method.
class TwinsService : public ::rookery::Service {
 public:
  using ServiceType = TwinsService;
  static const ::rookery::ServiceDescriptor& Descriptor();

  static constexpr ::rookery::MethodRef kGet{0};
  virtual ::rookery::Task<::twins::b::Twin> Get(
      ::rookery::CallContext& call, const ::twins::b::Twin& request) = 0;
};

// Two files of one name, with services and messages of one name.
//
// Calls twins.b.Twins over any channel. Copyable; thread-safe.
class TwinsClient final : public ::rookery::ClientBase {
 public:
  using ServiceType = TwinsService;
  explicit TwinsClient(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();

  ::rookery::Task<::twins::b::Twin> Get(
      const ::twins::b::Twin& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::twins::b::Twin> Get(
      ::twins::b::Twin&& request, ::rookery::CallOptions options = {});
};

}  // namespace twins::b

#endif  // ROOKERY_GENERATED_twins_2fb_2ftwin_2eproto_
