// Descriptors: what the framework knows of a service and its methods, without any transport.
//
// protoc-gen-rookery emits one table per service; transports, guards and the CLI read it.
//
//   for (const rookery::MethodDescriptor& method : OrdersService::Descriptor().methods) {
//     std::cout << method.full_name << "\n";            // /shop.v1.Orders/Place
//   }
#ifndef ROOKERY_RPC_DESCRIPTOR_H_
#define ROOKERY_RPC_DESCRIPTOR_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace google::protobuf {
class Message;
class MethodDescriptor;
class ServiceDescriptor;
}  // namespace google::protobuf

namespace rookery {

class CallContext;
class Request;
class Response;
template <class T>
class Task;

// The four kinds of gRPC, and events, which have no reply.
enum class MethodKind : std::uint8_t {
  kUnary,
  kServerStreaming,
  kClientStreaming,
  kBidiStreaming,
  kEvent,
};
[[nodiscard]] constexpr bool HasRequestStream(MethodKind kind) {
  return kind == MethodKind::kClientStreaming || kind == MethodKind::kBidiStreaming;
}
[[nodiscard]] constexpr bool HasResponseStream(MethodKind kind) {
  return kind == MethodKind::kServerStreaming || kind == MethodKind::kBidiStreaming;
}

// google.protobuf.MethodOptions.IdempotencyLevel. Only what is not kUnknown may be retried.
enum class Idempotency : std::uint8_t { kUnknown, kNoSideEffects, kIdempotent };

// Runs a method on its service; `closure` is MethodDescriptor::closure.
using Invoke = Task<Response> (*)(const void* closure, void* service, CallContext& call,
                                  Request& request);

// One method. Immutable; generated tables are constants.
struct MethodDescriptor {
  std::string_view full_name;  // "/shop.v1.Orders/Place", or the pattern of a hand-registered one
  std::string_view service;    // "shop.v1.Orders"; empty for a hand-registered pattern
  std::string_view name;       // "Place"
  MethodKind kind = MethodKind::kUnary;
  Idempotency idempotency = Idempotency::kUnknown;
  bool deprecated = false;
  bool batch =
      false;  // an event whose handler takes a Batch: given a source it reads it to its end
  std::string_view pattern;  // (rookery.event).pattern or (rookery.pattern); empty: full_name
  const google::protobuf::Message& (*request)() = nullptr;  // default instances
  const google::protobuf::Message& (*response)() = nullptr;
  // Moves *from into *into, both of the request's (response's) type. For transports in one process.
  void (*move_request)(google::protobuf::Message* into, google::protobuf::Message* from) = nullptr;
  void (*move_response)(google::protobuf::Message* into, google::protobuf::Message* from) = nullptr;
  Invoke invoke = nullptr;
  const void* closure = nullptr;
  // The proto's own descriptor, with all its options; null for a hand-registered pattern.
  const google::protobuf::MethodDescriptor* (*proto)() = nullptr;
};

struct ServiceDescriptor {
  std::string_view full_name;  // "shop.v1.Orders"
  std::span<const MethodDescriptor> methods;
  const google::protobuf::ServiceDescriptor* (*proto)() = nullptr;
};

// Names a method of a generated service: `controller.Method(kPlace)`.
struct MethodRef {
  std::size_t index;
};

}  // namespace rookery

#endif  // ROOKERY_RPC_DESCRIPTOR_H_
