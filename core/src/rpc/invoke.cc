#include "rookery/rpc/invoke.h"

#include <string>

#include <google/protobuf/descriptor.h>

#include "rookery/rpc/generated.h"
#include "rookery/rpc/worker.h"

namespace rookery::internal {

namespace {

// Runs a task to its end and leaves its result where it is.
class ErasedCompletion final : public NativeAwaitable {
 public:
  explicit ErasedCompletion(const ErasedTask& task) noexcept
      : frame_(task.frame()), promise_(&task.promise()) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> parent) noexcept {
    promise_->set_continuation(parent);
    return StartNested(frame_);
  }
  TaskPromiseBase& await_resume() const noexcept { return *promise_; }

 private:
  std::coroutine_handle<> frame_;
  TaskPromiseBase* promise_;
};

absl::Status NoTask() {
  return absl::InternalError(
      "the handler returned a task that was moved from; return the task of a coroutine");
}

}  // namespace

Task<Response> FinishUnary(ErasedTask task) {
  if (!task) [[unlikely]] {
    co_return NoTask();
  }
  TaskPromiseBase& done = co_await ErasedCompletion(task);
  if (done.outcome() == Outcome::kValue) [[likely]] {
    google::protobuf::Message* const value = task.value();
    co_return Response::Adopt(task.Release(), value);
  }
  if (done.outcome() == Outcome::kStatus) co_return std::move(done.status());
  // Hands the exception on without throwing it again.
  co_await FailRequest(std::move(done.exception()));
  co_return Response();  // never reached
}

Task<Response> FinishEvent(ErasedTask task) {
  if (!task) [[unlikely]] {
    co_return NoTask();
  }
  TaskPromiseBase& done = co_await ErasedCompletion(task);
  if (done.outcome() == Outcome::kValue) [[likely]] {
    co_return Response();
  }
  if (done.outcome() == Outcome::kStatus) co_return std::move(done.status());
  // Hands the exception on without throwing it again.
  co_await FailRequest(std::move(done.exception()));
  co_return Response();  // never reached
}

Task<Response> ReadyResponse(Response response) { co_return std::move(response); }

Task<Response> FailedResponse(absl::Status status) { co_return std::move(status); }

Task<Response> FailedResponse(std::exception_ptr error) {
  if (error == nullptr) co_return absl::InternalError("a handler failed without an error");
  co_await FailRequest(std::move(error));
  co_return Response();  // never reached
}

std::vector<Delivery*> DeliveriesOf(CallContext& call) {
  auto* const deliveries = call.TransportRequest<Deliveries>();
  return deliveries == nullptr ? std::vector<Delivery*>() : deliveries->all();
}

absl::Status WrongRequest(const CallContext& call, const Request& request,
                          const google::protobuf::Message& expected) {
  std::string text(call.method().full_name);
  text += HasRequestStream(call.method().kind) ? " takes a stream of " : " takes ";
  text += expected.GetTypeName();
  text += ", and was given ";
  if (request.message() != nullptr) {
    text += request.message()->GetTypeName();
  } else {
    text += request.source() != nullptr ? "a stream of messages" : "nothing";
  }
  return absl::InvalidArgumentError(text);
}

absl::Status NoReply(const MethodDescriptor& method) {
  return absl::InternalError(std::string(method.full_name) + " ended with OK and without a reply");
}

const google::protobuf::ServiceDescriptor* FindService(const void* /*keep*/,
                                                       const char* full_name) {
  return google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(full_name);
}

}  // namespace rookery::internal
