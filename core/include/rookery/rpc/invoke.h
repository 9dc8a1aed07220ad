// How a call, its types erased, reaches a handler's typed method.
//
// For the framework: generated tables and hand-registered patterns are made of these. A handler is
// a member function of one of six shapes:
//
//   Task<Reply>   F(CallContext& call, const Request& request);     // unary
//   Stream<Reply> F(CallContext& call, const Request& request);     // server streaming
//   Task<Reply>   F(CallContext& call, Stream<Request> requests);   // client streaming
//   Stream<Reply> F(CallContext& call, Stream<Request> requests);   // bidirectional streaming
//   Task<void>    F(CallContext& call, const Request& event);       // an event
//   Task<void>    F(CallContext& call, const Batch<Request>& batch);  // several of them
//
//   static constexpr auto kSum = &MathController::Sum;
//   MethodDescriptor sum = rookery::internal::DescribePattern<MathController>("math.sum", &kSum);
#ifndef ROOKERY_RPC_INVOKE_H_
#define ROOKERY_RPC_INVOKE_H_

#include <coroutine>
#include <exception>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include <google/protobuf/message.h>

#include "absl/status/status.h"
#include "google/protobuf/empty.pb.h"
#include "rookery/rpc/batch.h"
#include "rookery/rpc/call_context.h"
#include "rookery/rpc/descriptor.h"
#include "rookery/rpc/message.h"
#include "rookery/runtime/await.h"
#include "rookery/runtime/stream.h"
#include "rookery/runtime/task.h"

namespace rookery::internal {

// A handler's task without its type, so that one coroutine in invoke.cc finishes them all.
class ErasedTask final {
 public:
  template <class T>
  explicit ErasedTask(Task<T> task) noexcept {
    const auto frame = task.Release();
    frame_ = frame;
    if (frame) promise_ = &frame.promise();
    if constexpr (!std::is_void_v<T>) {
      value_ = [](TaskPromiseBase& promise) noexcept -> google::protobuf::Message* {
        return &static_cast<TaskPromise<T>&>(promise).value();
      };
    }
  }
  ErasedTask(ErasedTask&& other) noexcept
      : frame_(std::exchange(other.frame_, {})), promise_(other.promise_), value_(other.value_) {}
  ErasedTask& operator=(ErasedTask&&) = delete;
  ~ErasedTask() {
    if (frame_) frame_.destroy();
  }

  explicit operator bool() const noexcept { return static_cast<bool>(frame_); }
  [[nodiscard]] std::coroutine_handle<> frame() const noexcept { return frame_; }
  [[nodiscard]] TaskPromiseBase& promise() const noexcept { return *promise_; }
  // Only after the outcome kValue.
  [[nodiscard]] google::protobuf::Message* value() const noexcept { return value_(*promise_); }
  [[nodiscard]] std::coroutine_handle<> Release() noexcept { return std::exchange(frame_, {}); }

 private:
  std::coroutine_handle<> frame_;
  TaskPromiseBase* promise_ = nullptr;
  google::protobuf::Message* (*value_)(TaskPromiseBase&) noexcept = nullptr;
};

// Runs the task; its result where it stands is the response. A status goes on without being thrown.
[[nodiscard]] Task<Response> FinishUnary(ErasedTask task);
// Runs the task; the response is empty.
[[nodiscard]] Task<Response> FinishEvent(ErasedTask task);
// A response that is there already.
[[nodiscard]] Task<Response> ReadyResponse(Response response);
// Failures from before the handler's coroutine was there.
[[nodiscard]] Task<Response> FailedResponse(absl::Status status);
[[nodiscard]] Task<Response> FailedResponse(std::exception_ptr error);
// INVALID_ARGUMENT: the request is not what the handler takes.
[[nodiscard]] absl::Status WrongRequest(const CallContext& call, const Request& request,
                                        const google::protobuf::Message& expected);

// The request as M, or null. Compares types exactly, which costs less than a dynamic_cast.
template <class M>
[[nodiscard]] const M* RequestAs(const Request& request) noexcept {
  const google::protobuf::Message* const message = request.message();
  if (message == nullptr || typeid(*message) != typeid(M)) return nullptr;
  return static_cast<const M*>(message);
}

// The typed stream that a streaming handler reads. `source` outlives what is read from it.
template <class M>
[[nodiscard]] Stream<M> ReadRequests(MessageSource* source) {
  M message;
  for (;;) {
    const bool more = co_await source->Read(message);
    if (!more) break;
    co_yield std::move(message);
  }
}

template <class T>
inline constexpr bool kIsMessage = std::is_base_of_v<google::protobuf::Message, T>;

// What a handler's type says about it. The five shapes are specialisations.
template <class M>
struct HandlerTraits {
  static_assert(
      !std::is_same_v<M, M>,
      "a handler must be Task<Reply> or Stream<Reply> (Task<void> for events) "
      "F(CallContext&, const Request&) or F(CallContext&, Stream<Request>), and not overloaded");
};

template <class Req, class Rep, MethodKind K>
struct HandlerShape {
  static_assert(kIsMessage<Req>, "a handler's request must be a protobuf message");
  static_assert(kIsMessage<Rep>, "a handler's reply must be a protobuf message");
  using RequestType = Req;
  using ReplyType = Rep;
  static constexpr MethodKind kKind = K;
  static constexpr bool kBatch = false;
};
template <class C, class Rep, class Req>
struct HandlerTraits<Task<Rep> (C::*)(CallContext&, const Req&)>
    : HandlerShape<Req, Rep, MethodKind::kUnary> {};
template <class C, class Req>
struct HandlerTraits<Task<void> (C::*)(CallContext&, const Req&)>
    : HandlerShape<Req, google::protobuf::Empty, MethodKind::kEvent> {};
template <class C, class Req>
struct HandlerTraits<Task<void> (C::*)(CallContext&, const Batch<Req>&)>
    : HandlerShape<Req, google::protobuf::Empty, MethodKind::kEvent> {
  static constexpr bool kBatch = true;
};
template <class C, class Rep, class Req>
struct HandlerTraits<Stream<Rep> (C::*)(CallContext&, const Req&)>
    : HandlerShape<Req, Rep, MethodKind::kServerStreaming> {};
template <class C, class Rep, class Req>
struct HandlerTraits<Task<Rep> (C::*)(CallContext&, Stream<Req>)>
    : HandlerShape<Req, Rep, MethodKind::kClientStreaming> {};
template <class C, class Rep, class Req>
struct HandlerTraits<Stream<Rep> (C::*)(CallContext&, Stream<Req>)>
    : HandlerShape<Req, Rep, MethodKind::kBidiStreaming> {};
template <class C, class R, class A>
struct HandlerTraits<R (C::*)(CallContext&, A) const> : HandlerTraits<R (C::*)(CallContext&, A)> {};

// The deliveries of a batch, if the call's transport has them.
[[nodiscard]] std::vector<Delivery*> DeliveriesOf(CallContext& call);

// Collects what there is and hands it over as one: the stream of a worker, or the one message of a
// transport that does not collect.
template <class Req, class S, class M>
[[nodiscard]] Task<Response> InvokeBatch(S* service, M method, CallContext& call,
                                         Request& request) {
  std::vector<Req> messages;
  if (MessageSource* const source = request.source(); source != nullptr) {
    for (;;) {
      Req message;
      Task<bool> read = source->Read(message);
      const bool more = co_await std::move(read);
      if (!more) break;
      messages.push_back(std::move(message));
    }
  } else {
    const Req* const message = RequestAs<Req>(request);
    if (message == nullptr) co_return WrongRequest(call, request, Req::default_instance());
    messages.push_back(*message);
  }
  const Batch<Req> batch(std::move(messages), DeliveriesOf(call));
  Task<void> task = (service->*method)(call, batch);
  Task<Response> finish = FinishEvent(ErasedTask(std::move(task)));
  Response response = co_await std::move(finish);
  co_return std::move(response);
}

// Calls `method` of `service` with a request whose type is checked here.
template <class S, class M>
[[nodiscard]] Task<Response> InvokeMethod(S* service, M method, CallContext& call,
                                          Request& request) {
  using Traits = HandlerTraits<M>;
  using Req = typename Traits::RequestType;
  constexpr MethodKind kKind = Traits::kKind;
  // A handler need not be a coroutine itself, and may then throw at once.
  try {
    if constexpr (Traits::kBatch) {
      return InvokeBatch<Req>(service, method, call, request);
    } else if constexpr (HasRequestStream(kKind)) {
      MessageSource* const source = request.source();
      if (source == nullptr) [[unlikely]] {
        return FailedResponse(WrongRequest(call, request, Req::default_instance()));
      }
      if constexpr (HasResponseStream(kKind)) {
        return ReadyResponse(Response::Adopt((service->*method)(call, ReadRequests<Req>(source))));
      } else {
        return FinishUnary(ErasedTask((service->*method)(call, ReadRequests<Req>(source))));
      }
    } else {
      const Req* const message = RequestAs<Req>(request);
      if (message == nullptr) [[unlikely]] {
        return FailedResponse(WrongRequest(call, request, Req::default_instance()));
      }
      if constexpr (HasResponseStream(kKind)) {
        return ReadyResponse(Response::Adopt((service->*method)(call, *message)));
      } else if constexpr (kKind == MethodKind::kEvent) {
        return FinishEvent(ErasedTask((service->*method)(call, *message)));
      } else {
        return FinishUnary(ErasedTask((service->*method)(call, *message)));
      }
    }
  } catch (...) {
    return FailedResponse(std::current_exception());
  }
}

// MethodDescriptor::invoke for a method known at compile time; `service` is an S*.
template <class S, auto kMethod>
[[nodiscard]] Task<Response> InvokeMember(const void* /*closure*/, void* service, CallContext& call,
                                          Request& request) {
  return InvokeMethod(static_cast<S*>(service), kMethod, call, request);
}

// MethodDescriptor::invoke for a pointer to member kept at `closure`; `service` is a C*.
template <class C, class M>
[[nodiscard]] Task<Response> InvokeClosure(const void* closure, void* service, CallContext& call,
                                           Request& request) {
  return InvokeMethod(static_cast<C*>(service), *static_cast<const M*>(closure), call, request);
}

template <class M>
[[nodiscard]] const google::protobuf::Message& DefaultInstance() {
  return M::default_instance();
}

template <class M>
void MoveMessage(google::protobuf::Message* into, google::protobuf::Message* from) {
  *static_cast<M*>(into) = std::move(*static_cast<M*>(from));
}

// Describes the handler *closure of class C under a pattern of its own (Nest's @MessagePattern and
// @EventPattern). `pattern` and `closure` outlive the descriptor; what is passed to invoke as
// service must be a C*.
template <class C, class M>
[[nodiscard]] MethodDescriptor DescribePattern(std::string_view pattern, const M* closure) {
  using Traits = HandlerTraits<M>;
  using Req = typename Traits::RequestType;
  using Rep = typename Traits::ReplyType;
  MethodDescriptor method;
  method.full_name = pattern;
  method.name = pattern;
  method.kind = Traits::kKind;
  method.batch = Traits::kBatch;
  method.pattern = pattern;
  method.request = &DefaultInstance<Req>;
  method.response = &DefaultInstance<Rep>;
  method.move_request = &MoveMessage<Req>;
  method.move_response = &MoveMessage<Rep>;
  method.invoke = &InvokeClosure<C, M>;
  method.closure = closure;
  return method;
}

}  // namespace rookery::internal

#endif  // ROOKERY_RPC_INVOKE_H_
