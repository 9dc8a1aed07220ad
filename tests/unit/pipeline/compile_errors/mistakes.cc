// Mistakes with enhancers and controllers: never linked; see compile_errors_test.cc.
#include "absl/status/status.h"
#include "google/protobuf/empty.pb.h"
#include "rookery/pipeline/controller_builder.h"

namespace {

using google::protobuf::Empty;
using rookery::CallContext;
using rookery::ControllerBuilder;
using rookery::ExecutionContext;
using rookery::Next;
using rookery::Response;
using rookery::Task;

struct Nothing {};

// expect: rookery: this class is no guard: give it a public `bool
// CanActivate(rookery::ExecutionContext& context)` (or absl::Status, or a rookery::Task of either)
void NoGuard(ControllerBuilder& c) { c.UseGuard<Nothing>(); }

struct GuardOfInt {
  int CanActivate(ExecutionContext& context);
};
// expect: rookery: a guard's CanActivate must return bool, absl::Status, rookery::Task<bool> or
// rookery::Task<absl::Status>
void GuardResult(ControllerBuilder& c) { c.UseGuard<GuardOfInt>(); }

// expect: rookery: this class is no interceptor: give it a public
// `rookery::Task<rookery::Response> Intercept(rookery::ExecutionContext& context, rookery::Next
// next)`
void NoInterceptor(ControllerBuilder& c) { c.UseInterceptor<Nothing>(); }

struct InterceptorOfStatus {
  Task<absl::Status> Intercept(ExecutionContext& context, Next next);
};
// expect: rookery: an interceptor's Intercept must return rookery::Task<rookery::Response>
void InterceptorResult(ControllerBuilder& c) { c.UseInterceptor<InterceptorOfStatus>(); }

// expect: rookery: this class is no pipe: give it a public `absl::Status Transform(M& message,
// const rookery::ArgumentMetadata& argument)` (or void, or a rookery::Task of either), M being
// google::protobuf::Message or a message's class, const if it is only looked at
void NoPipe(ControllerBuilder& c) { c.UsePipe<Nothing>(); }

struct PipeOfInt {
  absl::Status Transform(int& message, const rookery::ArgumentMetadata& argument);
};
// expect: rookery: a pipe's Transform must take a protobuf message by reference
void PipeMessage(ControllerBuilder& c) { c.UsePipe<PipeOfInt>(); }

struct PipeToBool {
  bool Transform(Empty& message, const rookery::ArgumentMetadata& argument);
};
// expect: rookery: a pipe's Transform must return void, absl::Status, rookery::Task<void> or
// rookery::Task<absl::Status>
void PipeResult(ControllerBuilder& c) { c.UsePipe<PipeToBool>(); }

// expect: rookery: this class is no exception filter: give it a public `absl::Status Catch(const E&
// error, rookery::ExecutionContext& context)`, E being what it catches (std::exception,
// absl::Status, an exception of yours); where Catch is overloaded, also `using Catches =
// rookery::CatchTypes<A, B>;`
void NoFilter(ControllerBuilder& c) { c.UseFilter<Nothing>(); }

struct FilterToInt {
  int Catch(const std::exception& error, ExecutionContext& context);
};
// expect: rookery: a filter's Catch must return absl::Status, rookery::Response,
// absl::StatusOr<rookery::Response>, or a rookery::Task of one of them
void FilterResult(ControllerBuilder& c) { c.UseFilter<FilterToInt>(); }

struct Patterns {
  Task<Empty> Reply(CallContext& call, const Empty& request);
  Task<void> Hear(CallContext& call, const Empty& event);
};
// expect: rookery: a message handler gives a reply: let it return rookery::Task<Reply>
// (google::protobuf::Empty for none), or register it with Event()
void MessageWithoutReply(ControllerBuilder& c) { c.Message("a", &Patterns::Hear); }

// expect: rookery: an event handler gives no reply: let it return rookery::Task<void>, or register
// it with Message()
void EventWithReply(ControllerBuilder& c) { c.Event("a", &Patterns::Reply); }

// expect: rookery: this controller serves nothing: derive it publicly from a generated service, or
// give it a public `static void Configure(rookery::ControllerBuilder& controller)` with
// controller.Message(...) or controller.Event(...)
void ServesNothing(ControllerBuilder& c) { rookery::DescribeController<Nothing>(c); }

}  // namespace
