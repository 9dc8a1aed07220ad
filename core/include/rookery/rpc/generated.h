// What generated .rookery.cc files are made of. For them alone.
//
//   rookery::Task<Order> OrdersClient::Place(const PlaceOrder& request, CallOptions options) {
//     return rookery::internal::CallUnary<Order>(*this, kMethods[0], request, std::move(options));
//   }
//   ... .invoke = &rookery::internal::InvokeMember<OrdersService, &OrdersService::Place> ...
#ifndef ROOKERY_RPC_GENERATED_H_
#define ROOKERY_RPC_GENERATED_H_

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <google/protobuf/descriptor.h>

#include "absl/status/status.h"
#include "google/protobuf/empty.pb.h"
#include "rookery/rpc/client.h"
#include "rookery/rpc/client_call.h"
#include "rookery/rpc/descriptor.h"
#include "rookery/rpc/invoke.h"
#include "rookery/runtime/stream.h"
#include "rookery/runtime/task.h"

namespace rookery::internal {

// Raised when generated code and this header no longer fit; protoc-gen-rookery writes the version
// that it was made for.
inline constexpr int kCodegenVersion = 1;

// ---- tables ---------------------------------------------------------------------------------

// The service in the pool of linked-in files. `keep` is protobuf's table of its file: naming it
// makes the linker keep the file, of which nothing else may be used.
[[nodiscard]] const google::protobuf::ServiceDescriptor* FindService(const void* keep,
                                                                     const char* full_name);

// INTERNAL: a client-streaming call that ended well and brought no reply.
[[nodiscard]] absl::Status NoReply(const MethodDescriptor& method);

template <const google::protobuf::ServiceDescriptor* (*kService)(), int kIndex>
[[nodiscard]] const google::protobuf::MethodDescriptor* ProtoMethod() {
  return kService()->method(kIndex);
}

// ---- clients --------------------------------------------------------------------------------
//
// Each pair: what the generated method calls, and the coroutine behind it, which owns all that it
// needs but a unary request given as an lvalue. Failures go on as a status and are not thrown here.

// A unary request as it was given: an lvalue stays where it is and outlives the task, an rvalue
// moves in. One class for both, so that a method costs one coroutine.
template <class Req>
class GivenRequest final {
 public:
  explicit GivenRequest(const Req* borrowed) noexcept : borrowed_(borrowed) {}
  explicit GivenRequest(Req&& owned) : owned_(std::move(owned)) {}

  [[nodiscard]] const Req& message() const noexcept { return owned_ ? *owned_ : *borrowed_; }
  [[nodiscard]] bool owned() const noexcept { return owned_.has_value(); }

 private:
  const Req* borrowed_ = nullptr;
  std::optional<Req> owned_;
};

template <class Rep, class Req>
[[nodiscard]] Task<Rep> UnaryTask(std::shared_ptr<Channel> channel, const MethodDescriptor* method,
                                  GivenRequest<Req> request, GivenOptions options) {
  ClientCall call(std::move(channel), *method, std::move(options));
  Rep reply;
  Task<void> sent = call.Unary(request.message(), request.owned(), reply);
  if (sent) {
    TaskPromise<void>& done = co_await CompletionAwaitable<void>(sent);
    absl::Status status = call.End(done);
    if (!status.ok()) [[unlikely]] {
      co_return std::move(status);
    }
  } else {
    call.EndWell();
  }
  co_return std::move(reply);
}
// `request` outlives the task.
template <class Rep, class Req>
[[nodiscard]] Task<Rep> CallUnary(const ClientBase& client, const MethodDescriptor& method,
                                  const Req& request, CallOptions&& options) {
  return UnaryTask<Rep, Req>(client.channel(), &method, GivenRequest<Req>(&request),
                             GivenOptions(std::move(options)));
}
template <class Rep, class Req>
  requires(!std::is_reference_v<Req> && !std::is_const_v<Req>)
[[nodiscard]] Task<Rep> CallUnary(const ClientBase& client, const MethodDescriptor& method,
                                  Req&& request, CallOptions&& options) {
  return UnaryTask<Rep, Req>(client.channel(), &method, GivenRequest<Req>(std::move(request)),
                             GivenOptions(std::move(options)));
}

template <class Req>
[[nodiscard]] Task<void> EventTask(std::shared_ptr<Channel> channel, const MethodDescriptor* method,
                                   Req event, GivenOptions options) {
  ClientCall call(std::move(channel), *method, std::move(options));
  google::protobuf::Empty nothing;
  Task<void> sent = call.Unary(event, /*owned=*/true, nothing);
  if (sent) {
    TaskPromise<void>& done = co_await CompletionAwaitable<void>(sent);
    absl::Status status = call.End(done);
    if (!status.ok()) [[unlikely]] {
      co_await Fail(std::move(status));
    }
  } else {
    call.EndWell();
  }
}
// Copies an lvalue: events are often sent by tasks that outlive it.
template <class Req>
[[nodiscard]] Task<void> CallEvent(const ClientBase& client, const MethodDescriptor& method,
                                   Req&& event, CallOptions options) {
  return EventTask<std::remove_cvref_t<Req>>(client.channel(), &method, std::forward<Req>(event),
                                             GivenOptions(std::move(options)));
}

template <class Rep, class Req>
[[nodiscard]] Stream<Rep> ServerStreamTask(std::shared_ptr<Channel> channel,
                                           const MethodDescriptor* method, Req request,
                                           GivenOptions options) {
  StreamingCall call(std::move(channel), *method, std::move(options));
  Task<void> send = call.SendOne(request, /*owned=*/true);
  absl::Status status = co_await AsStatusOr(std::move(send));
  if (status.ok()) {
    Rep reply;
    for (;;) {
      const bool more = co_await call.Read(reply);
      if (!more) break;
      co_yield std::move(reply);
    }
    status = co_await call.Finish();
  }
  if (!status.ok()) co_await Fail(std::move(status));
}
// Copies an lvalue: a stream is read long after the call that made it.
template <class Rep, class Req>
[[nodiscard]] Stream<Rep> CallServerStream(const ClientBase& client, const MethodDescriptor& method,
                                           Req&& request, CallOptions options) {
  return ServerStreamTask<Rep, std::remove_cvref_t<Req>>(
      client.channel(), &method, std::forward<Req>(request), GivenOptions(std::move(options)));
}

template <class Rep>
[[nodiscard]] Task<Rep> ClientStreamTask(std::shared_ptr<Channel> channel,
                                         const MethodDescriptor* method, Response requests,
                                         GivenOptions options) {
  StreamingCall call(std::move(channel), *method, std::move(options));
  call.Pump(std::move(requests));
  Rep reply;
  const bool got = co_await call.Read(reply);
  absl::Status status = co_await call.Finish();
  if (status.ok() && !got) status = NoReply(*method);
  if (!status.ok()) co_return std::move(status);
  co_return std::move(reply);
}
template <class Rep, class Req>
[[nodiscard]] Task<Rep> CallClientStream(const ClientBase& client, const MethodDescriptor& method,
                                         Stream<Req> requests, CallOptions options) {
  return ClientStreamTask<Rep>(client.channel(), &method, Response::Adopt(std::move(requests)),
                               GivenOptions(std::move(options)));
}

template <class Rep>
[[nodiscard]] Stream<Rep> BidiTask(std::shared_ptr<Channel> channel, const MethodDescriptor* method,
                                   Response requests, GivenOptions options) {
  StreamingCall call(std::move(channel), *method, std::move(options));
  call.Pump(std::move(requests));
  Rep reply;
  for (;;) {
    const bool more = co_await call.Read(reply);
    if (!more) break;
    co_yield std::move(reply);
  }
  absl::Status status = co_await call.Finish();
  if (!status.ok()) co_await Fail(std::move(status));
}
template <class Rep, class Req>
[[nodiscard]] Stream<Rep> CallBidi(const ClientBase& client, const MethodDescriptor& method,
                                   Stream<Req> requests, CallOptions options) {
  return BidiTask<Rep>(client.channel(), &method, Response::Adopt(std::move(requests)),
                       GivenOptions(std::move(options)));
}

}  // namespace rookery::internal

#endif  // ROOKERY_RPC_GENERATED_H_
