// Pipes: check or change a message before the handler sees it. Any class with Transform is one;
// there is no base class.
//
//   class TrimNames final {                     // for PlaceOrder alone; others are left alone
//    public:
//     void Transform(PlaceOrder& order, const rookery::ArgumentMetadata&) {
//       order.set_customer(std::string(absl::StripAsciiWhitespace(order.customer())));
//     }
//   };
//   class Validate final {                      // for every message
//    public:
//     absl::Status Transform(const google::protobuf::Message& message,
//                            const rookery::ArgumentMetadata& argument);
//   };
//   controller.Method(kPlace).UsePipe<TrimNames>().UsePipe<Validate>();
//
// Pipes run after guards and interceptors' way in, right before the handler: global, then the
// controller's, then the method's. On a request stream they run for each message as it is read. A
// pipe that takes its message by const reference never costs a copy; one that takes it by reference
// makes the framework copy a message that its caller still owns.
#ifndef ROOKERY_PIPELINE_PIPE_H_
#define ROOKERY_PIPELINE_PIPE_H_

#include <concepts>
#include <cstdint>
#include <type_traits>

#include <google/protobuf/message.h>

#include "absl/status/status.h"
#include "rookery/pipeline/execution_context.h"
#include "rookery/runtime/task.h"

namespace rookery {

// What a pipe is told about the message before it.
class ArgumentMetadata final {
 public:
  ArgumentMetadata(const MethodInfo& method, std::uint64_t index) noexcept
      : method_(&method), index_(index) {}

  // Whose argument it is.
  [[nodiscard]] const MethodInfo& method() const noexcept { return *method_; }
  // Whether it is one message of a request stream ...
  [[nodiscard]] bool streamed() const noexcept { return HasRequestStream(method_->kind()); }
  // ... and which, from 0.
  [[nodiscard]] std::uint64_t index() const noexcept { return index_; }

 private:
  const MethodInfo* method_;
  std::uint64_t index_;
};

namespace internal {

template <class R>
concept PipeVerdict = std::same_as<R, void> || std::same_as<R, absl::Status> ||
                      std::same_as<R, Task<absl::Status>> || std::same_as<R, Task<void>>;

// A pipe's call with its type erased: exactly one of the last three is set.
struct PipeFunction {
  const google::protobuf::Message* (*only)() = nullptr;  // null: for every message
  bool changes = false;                                  // takes a message that is not const
  void (*nothing)(void* pipe, google::protobuf::Message& message,
                  const ArgumentMetadata& argument) = nullptr;
  absl::Status (*status)(void* pipe, google::protobuf::Message& message,
                         const ArgumentMetadata& argument) = nullptr;
  Task<absl::Status> (*later)(void* pipe, google::protobuf::Message& message,
                              const ArgumentMetadata& argument) = nullptr;
};

// What a Transform says about itself.
template <class F>
struct PipeSignature {
  static constexpr bool kValid = false;
};
template <class R, class M>
struct PipeShape {
  static constexpr bool kValid = true;
  using Result = R;
  using MessageType = M;  // const where it is taken by const reference
};
template <class P, class R, class M>
struct PipeSignature<R (P::*)(M&, const ArgumentMetadata&)> : PipeShape<R, M> {};
template <class P, class R, class M>
struct PipeSignature<R (P::*)(M&, const ArgumentMetadata&) const> : PipeShape<R, M> {};
template <class P, class R, class M>
struct PipeSignature<R (P::*)(M&, const ArgumentMetadata&) noexcept> : PipeShape<R, M> {};
template <class P, class R, class M>
struct PipeSignature<R (P::*)(M&, const ArgumentMetadata&) const noexcept> : PipeShape<R, M> {};

template <class P>
concept HasOneTransform = requires { &P::Transform; };
// Overloaded or a template: then it must take any message.
template <class P>
concept HasAnyTransform =
    requires(P& pipe, google::protobuf::Message& message, const ArgumentMetadata& argument) {
      pipe.Transform(message, argument);
    };

template <class P>
constexpr auto ShapeOfPipe() {
  if constexpr (HasOneTransform<P>) {
    return PipeSignature<decltype(&P::Transform)>();
  } else if constexpr (HasAnyTransform<P>) {
    return PipeShape<decltype(std::declval<P&>().Transform(
                         std::declval<google::protobuf::Message&>(),
                         std::declval<const ArgumentMetadata&>())),
                     google::protobuf::Message>();
  } else {
    return PipeSignature<void>();
  }
}

template <class P, class M>
Task<absl::Status> TransformLater(P* pipe, M* message, const ArgumentMetadata* argument) {
  co_await pipe->Transform(*message, *argument);
  co_return absl::OkStatus();
}

template <class P>
[[nodiscard]] constexpr PipeFunction MakePipeFunction() {
  using Shape = decltype(ShapeOfPipe<P>());
  PipeFunction function;
  if constexpr (!Shape::kValid) {
    static_assert(Shape::kValid,
                  "rookery: this class is no pipe: give it a public "
                  "`absl::Status Transform(M& message, const rookery::ArgumentMetadata& argument)` "
                  "(or void, or a rookery::Task of either), M being google::protobuf::Message or a "
                  "message's class, const if it is only looked at");
  } else {
    using R = typename Shape::Result;
    using M = typename Shape::MessageType;
    using Plain = std::remove_const_t<M>;
    constexpr bool kMessage = std::is_base_of_v<google::protobuf::Message, Plain>;
    static_assert(kMessage,
                  "rookery: a pipe's Transform must take a protobuf message by reference");
    static_assert(PipeVerdict<R>,
                  "rookery: a pipe's Transform must return void, absl::Status, rookery::Task<void> "
                  "or rookery::Task<absl::Status>");
    if constexpr (kMessage && PipeVerdict<R>) {
      function.changes = !std::is_const_v<M>;
      if constexpr (!std::is_same_v<Plain, google::protobuf::Message>) {
        function.only = []() -> const google::protobuf::Message* {
          return &Plain::default_instance();
        };
      }
      if constexpr (std::same_as<R, void>) {
        function.nothing = [](void* pipe, google::protobuf::Message& message,
                              const ArgumentMetadata& argument) {
          static_cast<P*>(pipe)->Transform(static_cast<M&>(message), argument);
        };
      } else if constexpr (std::same_as<R, absl::Status>) {
        function.status = [](void* pipe, google::protobuf::Message& message,
                             const ArgumentMetadata& argument) {
          return static_cast<P*>(pipe)->Transform(static_cast<M&>(message), argument);
        };
      } else if constexpr (std::same_as<R, Task<absl::Status>>) {
        function.later = [](void* pipe, google::protobuf::Message& message,
                            const ArgumentMetadata& argument) {
          return static_cast<P*>(pipe)->Transform(static_cast<M&>(message), argument);
        };
      } else {
        function.later = [](void* pipe, google::protobuf::Message& message,
                            const ArgumentMetadata& argument) {
          return TransformLater<P, M>(static_cast<P*>(pipe), static_cast<M*>(&message), &argument);
        };
      }
    }
  }
  return function;
}

}  // namespace internal

// A class that UsePipe takes.
template <class P>
concept Pipe = decltype(internal::ShapeOfPipe<P>())::kValid;

}  // namespace rookery

#endif  // ROOKERY_PIPELINE_PIPE_H_
