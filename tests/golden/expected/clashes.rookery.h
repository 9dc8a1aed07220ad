// Made by protoc-gen-rookery of clashes.proto. Do not edit.
#ifndef ROOKERY_GENERATED_clashes_2eproto_
#define ROOKERY_GENERATED_clashes_2eproto_

#include <memory>

#include "rookery/rpc/client.h"
#include "rookery/rpc/service.h"
#include "clashes.pb.h"
#include "google/protobuf/empty.pb.h"

namespace zoo::rookery::google {

// Derive a controller from it and override every method.
class ClashesService : public ::rookery::Service {
 public:
  using ServiceType = ClashesService;
  static const ::rookery::ServiceDescriptor& Descriptor();

  // Members of the generated classes.
  static constexpr ::rookery::MethodRef kDescriptor{0};
  virtual ::rookery::Task<::zoo::rookery::google::Stream> Descriptor_(
      ::rookery::CallContext& call, const ::zoo::rookery::google::Task& request) = 0;

  static constexpr ::rookery::MethodRef kServiceType{1};
  virtual ::rookery::Task<::zoo::rookery::google::Stream> ServiceType_(
      ::rookery::CallContext& call, const ::zoo::rookery::google::Task& request) = 0;

  static constexpr ::rookery::MethodRef kChannel{2};
  virtual ::rookery::Task<::zoo::rookery::google::Stream> channel_(
      ::rookery::CallContext& call, const ::zoo::rookery::google::Task& request) = 0;

  static constexpr ::rookery::MethodRef kClashesService{3};
  virtual ::rookery::Task<::zoo::rookery::google::Stream> ClashesService_(
      ::rookery::CallContext& call, const ::zoo::rookery::google::Task& request) = 0;

  static constexpr ::rookery::MethodRef kClashesClient{4};
  virtual ::rookery::Task<::zoo::rookery::google::Stream> ClashesClient_(
      ::rookery::CallContext& call, const ::zoo::rookery::google::Task& request) = 0;

  // Constants: both are kPlace.
  static constexpr ::rookery::MethodRef kPlace_{5};
  virtual ::rookery::Task<::zoo::rookery::google::Stream> Place(
      ::rookery::CallContext& call, const ::zoo::rookery::google::Task& request) = 0;

  static constexpr ::rookery::MethodRef kPlace_2{6};
  virtual ::rookery::Task<::zoo::rookery::google::Stream> place(
      ::rookery::CallContext& call, const ::zoo::rookery::google::Task& request) = 0;

  // And this is what a constant is called.
  static constexpr ::rookery::MethodRef kKPlace{7};
  virtual ::rookery::Task<::zoo::rookery::google::Stream> kPlace(
      ::rookery::CallContext& call, const ::zoo::rookery::google::Task& request) = 0;

  // Mangled names that are taken.
  static constexpr ::rookery::MethodRef kDelete{8};
  virtual ::rookery::Task<::zoo::rookery::google::Stream> delete_(
      ::rookery::CallContext& call, const ::zoo::rookery::google::Task& request) = 0;

  static constexpr ::rookery::MethodRef kDelete_{9};
  virtual ::rookery::Task<::zoo::rookery::google::Stream> delete_2(
      ::rookery::CallContext& call, const ::zoo::rookery::google::Task& request) = 0;

  // As their own messages.
  static constexpr ::rookery::MethodRef kTask{10};
  virtual ::rookery::Task<::zoo::rookery::google::Stream> Task(
      ::rookery::CallContext& call, const ::zoo::rookery::google::Task& request) = 0;

  static constexpr ::rookery::MethodRef kStream{11};
  virtual ::rookery::Stream<::zoo::rookery::google::Task> Stream(
      ::rookery::CallContext& call, ::rookery::Stream<::zoo::rookery::google::Stream> requests) = 0;

  // As namespaces.
  static constexpr ::rookery::MethodRef kRookery{12};
  virtual ::rookery::Task<::zoo::rookery::google::Stream> rookery(
      ::rookery::CallContext& call, const ::zoo::rookery::google::Task& request) = 0;

  static constexpr ::rookery::MethodRef kStd{13};
  virtual ::rookery::Task<::zoo::rookery::google::Stream> std(
      ::rookery::CallContext& call, const ::zoo::rookery::google::Task& request) = 0;

  static constexpr ::rookery::MethodRef kGoogle{14};
  virtual ::rookery::Task<::zoo::rookery::google::Stream> google(
      ::rookery::CallContext& call, const ::zoo::rookery::google::Task& request) = 0;

  static constexpr ::rookery::MethodRef kZoo{15};
  virtual ::rookery::Task<::zoo::rookery::google::Stream> zoo(
      ::rookery::CallContext& call, const ::zoo::rookery::google::Task& request) = 0;

  // As parameters and bases.
  static constexpr ::rookery::MethodRef kCall{16};
  virtual ::rookery::Task<::zoo::rookery::google::Stream> call(
      ::rookery::CallContext& call, ::rookery::Stream<::zoo::rookery::google::Task> requests) = 0;

  static constexpr ::rookery::MethodRef kRequest{17};
  virtual ::rookery::Task<::zoo::rookery::google::Stream> request(
      ::rookery::CallContext& call, const ::zoo::rookery::google::Task& request) = 0;

  static constexpr ::rookery::MethodRef kRequests{18};
  virtual ::rookery::Task<::zoo::rookery::google::Stream> requests(
      ::rookery::CallContext& call, ::rookery::Stream<::zoo::rookery::google::Task> requests) = 0;

  static constexpr ::rookery::MethodRef kOptions{19};
  virtual ::rookery::Stream<::zoo::rookery::google::Stream> options(
      ::rookery::CallContext& call, const ::zoo::rookery::google::Task& request) = 0;

  static constexpr ::rookery::MethodRef kEvent{20};
  virtual ::rookery::Task<void> event(
      ::rookery::CallContext& call, const ::zoo::rookery::google::Task& event) = 0;

  static constexpr ::rookery::MethodRef kService{21};
  virtual ::rookery::Task<::zoo::rookery::google::Stream> Service(
      ::rookery::CallContext& call, const ::zoo::rookery::google::Task& request) = 0;

  static constexpr ::rookery::MethodRef kClientBase{22};
  virtual ::rookery::Task<::zoo::rookery::google::Stream> ClientBase(
      ::rookery::CallContext& call, const ::zoo::rookery::google::Task& request) = 0;
};

// Calls zoo.rookery.google.Clashes over any channel. Copyable; thread-safe.
class ClashesClient final : public ::rookery::ClientBase {
 public:
  using ServiceType = ClashesService;
  explicit ClashesClient(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();

  // Members of the generated classes.
  ::rookery::Task<::zoo::rookery::google::Stream> Descriptor_(
      const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::rookery::google::Stream> Descriptor_(
      ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options = {});

  ::rookery::Task<::zoo::rookery::google::Stream> ServiceType_(
      const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::rookery::google::Stream> ServiceType_(
      ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options = {});

  ::rookery::Task<::zoo::rookery::google::Stream> channel_(
      const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::rookery::google::Stream> channel_(
      ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options = {});

  ::rookery::Task<::zoo::rookery::google::Stream> ClashesService_(
      const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::rookery::google::Stream> ClashesService_(
      ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options = {});

  ::rookery::Task<::zoo::rookery::google::Stream> ClashesClient_(
      const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::rookery::google::Stream> ClashesClient_(
      ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options = {});

  // Constants: both are kPlace.
  ::rookery::Task<::zoo::rookery::google::Stream> Place(
      const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::rookery::google::Stream> Place(
      ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options = {});

  ::rookery::Task<::zoo::rookery::google::Stream> place(
      const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::rookery::google::Stream> place(
      ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options = {});

  // And this is what a constant is called.
  ::rookery::Task<::zoo::rookery::google::Stream> kPlace(
      const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::rookery::google::Stream> kPlace(
      ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options = {});

  // Mangled names that are taken.
  ::rookery::Task<::zoo::rookery::google::Stream> delete_(
      const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::rookery::google::Stream> delete_(
      ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options = {});

  ::rookery::Task<::zoo::rookery::google::Stream> delete_2(
      const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::rookery::google::Stream> delete_2(
      ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options = {});

  // As their own messages.
  ::rookery::Task<::zoo::rookery::google::Stream> Task(
      const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::rookery::google::Stream> Task(
      ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options = {});

  ::rookery::Stream<::zoo::rookery::google::Task> Stream(
      ::rookery::Stream<::zoo::rookery::google::Stream> requests, ::rookery::CallOptions options = {});

  // As namespaces.
  ::rookery::Task<::zoo::rookery::google::Stream> rookery(
      const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::rookery::google::Stream> rookery(
      ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options = {});

  ::rookery::Task<::zoo::rookery::google::Stream> std(
      const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::rookery::google::Stream> std(
      ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options = {});

  ::rookery::Task<::zoo::rookery::google::Stream> google(
      const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::rookery::google::Stream> google(
      ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options = {});

  ::rookery::Task<::zoo::rookery::google::Stream> zoo(
      const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::rookery::google::Stream> zoo(
      ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options = {});

  // As parameters and bases.
  ::rookery::Task<::zoo::rookery::google::Stream> call(
      ::rookery::Stream<::zoo::rookery::google::Task> requests, ::rookery::CallOptions options = {});

  ::rookery::Task<::zoo::rookery::google::Stream> request(
      const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::rookery::google::Stream> request(
      ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options = {});

  ::rookery::Task<::zoo::rookery::google::Stream> requests(
      ::rookery::Stream<::zoo::rookery::google::Task> requests, ::rookery::CallOptions options = {});

  ::rookery::Stream<::zoo::rookery::google::Stream> options(
      const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options = {});
  ::rookery::Stream<::zoo::rookery::google::Stream> options(
      ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options = {});

  ::rookery::Task<void> event(
      const ::zoo::rookery::google::Task& event, ::rookery::CallOptions options = {});
  ::rookery::Task<void> event(
      ::zoo::rookery::google::Task&& event, ::rookery::CallOptions options = {});

  ::rookery::Task<::zoo::rookery::google::Stream> Service(
      const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::rookery::google::Stream> Service(
      ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options = {});

  ::rookery::Task<::zoo::rookery::google::Stream> ClientBase(
      const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::rookery::google::Stream> ClientBase(
      ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options = {});
};

// Its classes would be called as two messages are.
//
// Derive a controller from it and override every method.
class OrderService_ : public ::rookery::Service {
 public:
  using ServiceType = OrderService_;
  static const ::rookery::ServiceDescriptor& Descriptor();

  static constexpr ::rookery::MethodRef kGet{0};
  virtual ::rookery::Task<::zoo::rookery::google::OrderClient> Get(
      ::rookery::CallContext& call, const ::zoo::rookery::google::OrderService& request) = 0;
};

// Its classes would be called as two messages are.
//
// Calls zoo.rookery.google.Order over any channel. Copyable; thread-safe.
class OrderClient_ final : public ::rookery::ClientBase {
 public:
  using ServiceType = OrderService_;
  explicit OrderClient_(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();

  ::rookery::Task<::zoo::rookery::google::OrderClient> Get(
      const ::zoo::rookery::google::OrderService& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::rookery::google::OrderClient> Get(
      ::zoo::rookery::google::OrderService&& request, ::rookery::CallOptions options = {});
};

// Close, but not the same.
//
// Derive a controller from it and override every method.
class EchoService : public ::rookery::Service {
 public:
  using ServiceType = EchoService;
  static const ::rookery::ServiceDescriptor& Descriptor();

  static constexpr ::rookery::MethodRef kSay{0};
  virtual ::rookery::Task<::zoo::rookery::google::Stream> Say(
      ::rookery::CallContext& call, const ::zoo::rookery::google::Task& request) = 0;
};

// Close, but not the same.
//
// Calls zoo.rookery.google.Echo over any channel. Copyable; thread-safe.
class EchoClient final : public ::rookery::ClientBase {
 public:
  using ServiceType = EchoService;
  explicit EchoClient(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();

  ::rookery::Task<::zoo::rookery::google::Stream> Say(
      const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::rookery::google::Stream> Say(
      ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options = {});
};

// Derive a controller from it and override every method.
class EchoServiceService : public ::rookery::Service {
 public:
  using ServiceType = EchoServiceService;
  static const ::rookery::ServiceDescriptor& Descriptor();

  static constexpr ::rookery::MethodRef kSay{0};
  virtual ::rookery::Task<::zoo::rookery::google::Stream> Say(
      ::rookery::CallContext& call, const ::zoo::rookery::google::Task& request) = 0;
};

// Calls zoo.rookery.google.EchoService over any channel. Copyable; thread-safe.
class EchoServiceClient final : public ::rookery::ClientBase {
 public:
  using ServiceType = EchoServiceService;
  explicit EchoServiceClient(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();

  ::rookery::Task<::zoo::rookery::google::Stream> Say(
      const ::zoo::rookery::google::Task& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::rookery::google::Stream> Say(
      ::zoo::rookery::google::Task&& request, ::rookery::CallOptions options = {});
};

// As the framework's own classes.
//
// Derive a controller from it and override every method.
class CallService : public ::rookery::Service {
 public:
  using ServiceType = CallService;
  static const ::rookery::ServiceDescriptor& Descriptor();

  static constexpr ::rookery::MethodRef kContext{0};
  virtual ::rookery::Task<::zoo::rookery::google::Channel> Context(
      ::rookery::CallContext& call, const ::zoo::rookery::google::CallContext& request) = 0;
};

// As the framework's own classes.
//
// Calls zoo.rookery.google.Call over any channel. Copyable; thread-safe.
class CallClient final : public ::rookery::ClientBase {
 public:
  using ServiceType = CallService;
  explicit CallClient(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();

  ::rookery::Task<::zoo::rookery::google::Channel> Context(
      const ::zoo::rookery::google::CallContext& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::zoo::rookery::google::Channel> Context(
      ::zoo::rookery::google::CallContext&& request, ::rookery::CallOptions options = {});
};

}  // namespace zoo::rookery::google

#endif  // ROOKERY_GENERATED_clashes_2eproto_
