// Made by protoc-gen-rookery of events.proto. Do not edit.
#ifndef ROOKERY_GENERATED_events_2eproto_
#define ROOKERY_GENERATED_events_2eproto_

#include <memory>

#include "rookery/rpc/client.h"
#include "rookery/rpc/service.h"
#include "events.pb.h"
#include "google/protobuf/empty.pb.h"

namespace zoo::events {

// Derive a controller from it and override every method.
class EventsService : public ::rookery::Service {
 public:
  using ServiceType = EventsService;
  static const ::rookery::ServiceDescriptor& Descriptor();

  // Listens to its full name.
  static constexpr ::rookery::MethodRef kPlain{0};
  virtual ::rookery::Task<void> Plain(
      ::rookery::CallContext& call, const ::zoo::events::Happening& event) = 0;

  // Wildcards are the broker's to understand.
  static constexpr ::rookery::MethodRef kWild{1};
  virtual ::rookery::Task<void> Wild(
      ::rookery::CallContext& call, const ::zoo::events::Happening& event) = 0;

  // What C++ must not misread.
  static constexpr ::rookery::MethodRef kQuoted{2};
  virtual ::rookery::Task<void> Quoted(
      ::rookery::CallContext& call, const ::zoo::events::Happening& event) = 0;

  static constexpr ::rookery::MethodRef kForeign{3};
  virtual ::rookery::Task<void> Foreign(
      ::rookery::CallContext& call, const ::zoo::events::Happening& event) = 0;

  // An empty message is an event's own business.
  static constexpr ::rookery::MethodRef kNothing{4};
  virtual ::rookery::Task<void> Nothing(
      ::rookery::CallContext& call, const ::google::protobuf::Empty& event) = 0;

  static constexpr ::rookery::MethodRef kAsked{5};
  virtual ::rookery::Stream<::zoo::events::Happening> Asked(
      ::rookery::CallContext& call, ::rookery::Stream<::zoo::events::Happening> requests) = 0;
};

// Calls zoo.events.Events over any channel. Copyable; thread-safe.
class EventsClient final : public ::rookery::ClientBase {
 public:
  using ServiceType = EventsService;
  explicit EventsClient(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();

  // Listens to its full name.
  ::rookery::Task<void> Plain(
      const ::zoo::events::Happening& event, ::rookery::CallOptions options = {});
  ::rookery::Task<void> Plain(
      ::zoo::events::Happening&& event, ::rookery::CallOptions options = {});

  // Wildcards are the broker's to understand.
  ::rookery::Task<void> Wild(
      const ::zoo::events::Happening& event, ::rookery::CallOptions options = {});
  ::rookery::Task<void> Wild(
      ::zoo::events::Happening&& event, ::rookery::CallOptions options = {});

  // What C++ must not misread.
  ::rookery::Task<void> Quoted(
      const ::zoo::events::Happening& event, ::rookery::CallOptions options = {});
  ::rookery::Task<void> Quoted(
      ::zoo::events::Happening&& event, ::rookery::CallOptions options = {});

  ::rookery::Task<void> Foreign(
      const ::zoo::events::Happening& event, ::rookery::CallOptions options = {});
  ::rookery::Task<void> Foreign(
      ::zoo::events::Happening&& event, ::rookery::CallOptions options = {});

  // An empty message is an event's own business.
  ::rookery::Task<void> Nothing(
      const ::google::protobuf::Empty& event, ::rookery::CallOptions options = {});
  ::rookery::Task<void> Nothing(
      ::google::protobuf::Empty&& event, ::rookery::CallOptions options = {});

  ::rookery::Stream<::zoo::events::Happening> Asked(
      ::rookery::Stream<::zoo::events::Happening> requests, ::rookery::CallOptions options = {});
};

// May listen to what another service listens to.
//
// Derive a controller from it and override every method.
class MoreService : public ::rookery::Service {
 public:
  using ServiceType = MoreService;
  static const ::rookery::ServiceDescriptor& Descriptor();

  static constexpr ::rookery::MethodRef kWild{0};
  virtual ::rookery::Task<void> Wild(
      ::rookery::CallContext& call, const ::zoo::events::Happening& event) = 0;
};

// May listen to what another service listens to.
//
// Calls zoo.events.More over any channel. Copyable; thread-safe.
class MoreClient final : public ::rookery::ClientBase {
 public:
  using ServiceType = MoreService;
  explicit MoreClient(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();

  ::rookery::Task<void> Wild(
      const ::zoo::events::Happening& event, ::rookery::CallOptions options = {});
  ::rookery::Task<void> Wild(
      ::zoo::events::Happening&& event, ::rookery::CallOptions options = {});
};

}  // namespace zoo::events

#endif  // ROOKERY_GENERATED_events_2eproto_
