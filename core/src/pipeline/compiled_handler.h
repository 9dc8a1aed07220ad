// CompiledHandler: one method with its enhancers, flat. EventGroup: several handlers of one event.
#ifndef ROOKERY_SRC_PIPELINE_COMPILED_HANDLER_H_
#define ROOKERY_SRC_PIPELINE_COMPILED_HANDLER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rookery/pipeline/exception_filter.h"
#include "rookery/pipeline/execution_context.h"
#include "rookery/pipeline/guard.h"
#include "rookery/pipeline/interceptor.h"
#include "rookery/pipeline/pipe.h"
#include "rookery/rpc/baggage.h"
#include "rookery/rpc/handler.h"
#include "rookery/rpc/stats.h"

namespace rookery::internal {

template <class Function>
struct Stage {
  Function function;
  void* instance;
};

// Everything that a handler needs for a call. Immutable once made.
struct HandlerPlan {
  const MethodInfo* method = nullptr;
  void* service = nullptr;                               // what MethodDescriptor::invoke takes
  std::vector<Stage<GuardFunction>> guards;              // in the order run
  std::size_t hooks = 0;                                 // how many of them are pre-request hooks
  std::vector<Stage<InterceptorFunction>> interceptors;  // outermost first
  std::vector<Stage<PipeFunction>> pipes;                // those that take this method's request
  std::vector<Stage<FilterFunction>> filters;            // in the order asked
  MethodStats* stats = nullptr;
  const BaggageAllowList* accept = nullptr;
};

// What comes first in every call: the context values of the caller's baggage that `plan` accepts.
// What cannot be read is left out, counted and logged.
void AdoptBaggage(CallContext& call, const HandlerPlan& plan);

class CompiledHandler final : public Handler {
 public:
  explicit CompiledHandler(HandlerPlan plan);

  [[nodiscard]] Task<Response> Call(CallContext& call, Request& request) const override;
  [[nodiscard]] Task<google::protobuf::Message*> Next(CallContext& call,
                                                      Response& response) const override;
  void CallStarted(CallContext& call) const noexcept override;
  void CallEnded(CallContext& call, absl::StatusCode code) const noexcept override;

  [[nodiscard]] const MetadataTarget* method_metadata() const noexcept override {
    return plan_.method;
  }
  [[nodiscard]] const MetadataTarget* controller_metadata() const noexcept override {
    return &plan_.method->controller();
  }

  [[nodiscard]] const MethodInfo& method() const noexcept { return *plan_.method; }

 private:
  class PipedSource;
  struct StreamState;
  class MessageCall;
  class StreamCall;

  [[nodiscard]] Task<Response> CallDirect(CallContext& call, Request& request) const;
  template <class Kept>  // MessageCall or StreamCall
  [[nodiscard]] Task<Response> CallPiped(CallContext& call, Request& request) const;
  // Guards none of which waits. Whether all let the call in; if not *refusal says why.
  [[nodiscard]] bool RunGuardsAtOnce(ExecutionContext& context, absl::Status* refusal) const;
  [[nodiscard]] Task<absl::Status> RunGuards(ExecutionContext& context) const;
  // What comes after the guards; an empty task if pipes that do not wait refuse, and *refusal.
  [[nodiscard]] Task<Response> Enter(ExecutionContext& context, absl::Status* refusal) const;
  // After a failure: what the filters make of it.
  [[nodiscard]] Task<Response> Recover(ExecutionContext& context, Failure& failure) const;
  // From interceptor `index` inwards.
  [[nodiscard]] Task<Response> Proceed(ExecutionContext& context, std::size_t index) const;
  [[nodiscard]] static Task<Response> ProceedFrom(const void* rest, ExecutionContext* context,
                                                  std::size_t index);
  [[nodiscard]] Task<Response> PipeThenInvoke(ExecutionContext& context) const;
  [[nodiscard]] Task<Response> Invoke(CallContext& call, Request& request) const {
    return descriptor().invoke(descriptor().closure, plan_.service, call, request);
  }
  // Runs the pipes on one message; the request may be another message afterwards.
  [[nodiscard]] Task<absl::Status> RunPipes(Request& request) const;
  [[nodiscard]] absl::Status RunPipesAtOnce(Request& request) const;
  // What the first filter that catches `failure` makes of it; its own status if there is none.
  [[nodiscard]] Task<FilterResult> Filter(ExecutionContext& context, Failure& failure) const;
  // OK, or INTERNAL if `response` is not what the method answers with.
  [[nodiscard]] absl::Status CheckResponse(const Response& response) const;

  HandlerPlan plan_;
  const Stage<InterceptorFunction>* interceptors_;  // plan_'s
  std::size_t interceptor_count_;
  bool direct_;          // nothing but the method
  bool streams_;         // requests or responses
  bool guards_at_once_;  // no guard waits
  bool pipes_at_once_;   // no pipe waits
};

// The handlers of one event: all of them run, one after the other, each through its own pipeline;
// if some fail the event has failed, with the first one's status.
class EventGroup final : public Handler {
 public:
  EventGroup(std::vector<const Handler*> handlers, MethodStats* stats);

  [[nodiscard]] Task<Response> Call(CallContext& call, Request& request) const override;
  [[nodiscard]] Task<google::protobuf::Message*> Next(CallContext& call,
                                                      Response& response) const override;
  void CallStarted(CallContext& call) const noexcept override;
  void CallEnded(CallContext& call, absl::StatusCode code) const noexcept override;
  // The first one's: a worker delivers the event to all of them by one policy.
  [[nodiscard]] const MetadataTarget* method_metadata() const noexcept override {
    return handlers_.front()->method_metadata();
  }
  [[nodiscard]] const MetadataTarget* controller_metadata() const noexcept override {
    return handlers_.front()->controller_metadata();
  }
  [[nodiscard]] bool takes_batches() const noexcept override { return false; }

 private:
  std::vector<const Handler*> handlers_;
  MethodStats* stats_;
};

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_PIPELINE_COMPILED_HANDLER_H_
