// ScopedHandler: a method whose controller, or one of whose enhancers, is not the same for all
// calls. Has the container make what a call needs, then runs a CompiledHandler made of that.
#ifndef ROOKERY_SRC_PIPELINE_SCOPED_HANDLER_H_
#define ROOKERY_SRC_PIPELINE_SCOPED_HANDLER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "di/container.h"
#include "pipeline/compiled_handler.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/rpc/handler.h"

namespace rookery::internal {

// A HandlerPlan with gaps, and what fills them.
struct ScopedPlan {
  enum class List : std::uint8_t { kGuards, kInterceptors, kPipes, kFilters };
  struct Patch {
    List list;
    std::size_t index;
    Container::Id node;
  };
  HandlerPlan plan;
  std::vector<Patch> patches;
  // Of the controller, if plan.service is to be filled in.
  std::optional<Container::Id> controller;
  ClassIdentity type;
  Cast cast = nullptr;
};

class ScopedHandler final : public Handler {
 public:
  // `container` outlives it.
  ScopedHandler(ScopedPlan plan, Container& container);

  [[nodiscard]] Task<Response> Call(CallContext& call, Request& request) const override;
  [[nodiscard]] Task<google::protobuf::Message*> Next(CallContext& call,
                                                      Response& response) const override;
  void CallStarted(CallContext& call) const noexcept override;
  void CallEnded(CallContext& call, absl::StatusCode code) const noexcept override;
  [[nodiscard]] const MetadataTarget* method_metadata() const noexcept override {
    return plan_.plan.method;
  }
  [[nodiscard]] const MetadataTarget* controller_metadata() const noexcept override {
    return &plan_.plan.method->controller();
  }

 private:
  struct Filled;

  // Of this loop, for a method that differs between loops alone; null if there is none yet.
  [[nodiscard]] std::shared_ptr<Filled> OfThisLoop() const;
  [[nodiscard]] Task<Response> CallScoped(CallContext& call, Request& request) const;
  // Runs the pre-request hooks: what is made afterwards sees what they did.
  [[nodiscard]] Task<absl::Status> RunHooks(CallContext& call, Request& request) const;
  [[nodiscard]] std::shared_ptr<Filled> Fill(const Container::Scopes& scopes) const;
  // Nothing but a failure, and those filters that could be made.
  [[nodiscard]] std::shared_ptr<Filled> Broken(const Container::Scopes& scopes, absl::Status status,
                                               std::exception_ptr error) const;
  [[nodiscard]] void* ServiceOf(void* controller) const;

  ScopedPlan plan_;
  Container& container_;
  std::shared_ptr<const Container::Plan> make_;
  bool per_loop_alone_;
  // From the controller to the service that it implements: the same for all of one class.
  mutable std::atomic<std::ptrdiff_t> offset_;
};

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_PIPELINE_SCOPED_HANDLER_H_
