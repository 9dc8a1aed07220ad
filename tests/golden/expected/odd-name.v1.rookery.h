// Made by protoc-gen-rookery of odd-name.v1.proto. Do not edit.
#ifndef ROOKERY_GENERATED_odd_2dname_2ev1_2eproto_
#define ROOKERY_GENERATED_odd_2dname_2ev1_2eproto_

#include <memory>

#include "rookery/rpc/client.h"
#include "rookery/rpc/service.h"
#include "odd-name.v1.pb.h"

namespace zoo::odd_name::v1 {

// Derive a controller from it and override every method.
class OddService : public ::rookery::Service {
 public:
  using ServiceType = OddService;
  static const ::rookery::ServiceDescriptor& Descriptor();

  static constexpr ::rookery::MethodRef kGet{0};
  virtual ::rookery::Task<::zoo::odd_name::v1::Thing> Get(
      ::rookery::CallContext& call, const ::zoo::odd_name::v1::Thing& request) = 0;
};

// Calls zoo.odd_name.v1.Odd over any channel. Copyable; thread-safe.
class OddClient final : public ::rookery::ClientBase {
 public:
  using ServiceType = OddService;
  explicit OddClient(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();

  ::rookery::Task<::zoo::odd_name::v1::Thing> Get(
      const ::zoo::odd_name::v1::Thing& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::odd_name::v1::Thing> Get(
      ::zoo::odd_name::v1::Thing&& request, ::rookery::CallOptions options = {});
};

}  // namespace zoo::odd_name::v1

#endif  // ROOKERY_GENERATED_odd_2dname_2ev1_2eproto_
