// Made by protoc-gen-rookery of proto2.proto. Do not edit.
#ifndef ROOKERY_GENERATED_proto2_2eproto_
#define ROOKERY_GENERATED_proto2_2eproto_

#include <memory>

#include "rookery/rpc/client.h"
#include "rookery/rpc/service.h"
#include "proto2.pb.h"

namespace zoo::two {

// Derive a controller from it and override every method.
class ElderService : public ::rookery::Service {
 public:
  using ServiceType = ElderService;
  static const ::rookery::ServiceDescriptor& Descriptor();

  static constexpr ::rookery::MethodRef kAsk{0};
  virtual ::rookery::Task<::zoo::two::Question_Answer> Ask(
      ::rookery::CallContext& call, const ::zoo::two::Question& request) = 0;
};

// Calls zoo.two.Elder over any channel. Copyable; thread-safe.
class ElderClient final : public ::rookery::ClientBase {
 public:
  using ServiceType = ElderService;
  explicit ElderClient(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();

  ::rookery::Task<::zoo::two::Question_Answer> Ask(
      const ::zoo::two::Question& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::two::Question_Answer> Ask(
      ::zoo::two::Question&& request, ::rookery::CallOptions options = {});
};

}  // namespace zoo::two

#endif  // ROOKERY_GENERATED_proto2_2eproto_
