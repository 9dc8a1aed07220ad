// ExecutionContext: what a guard, an interceptor or a filter is told about the call it stands
// before.
//
//   bool RolesGuard::CanActivate(rookery::ExecutionContext& context) {
//     const auto& wanted = reflector_.GetOption(rookery::auth, context.method()).roles();
//     return HasOneOf(wanted, context.call().metadata().Get("x-roles"));
//   }
//
// The same for every transport: transport() tells which one, TransportRequest<R>() hands out the
// transport's own request to those who know its type.
#ifndef ROOKERY_PIPELINE_EXECUTION_CONTEXT_H_
#define ROOKERY_PIPELINE_EXECUTION_CONTEXT_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rookery/pipeline/metadata_key.h"
#include "rookery/rpc/call_context.h"
#include "rookery/rpc/descriptor.h"
#include "rookery/rpc/message.h"

namespace rookery {

// A controller class, as the pipeline knows it. Lives as long as the application.
class ControllerInfo final : public MetadataTarget {
 public:
  explicit ControllerInfo(std::string name, std::vector<const ServiceDescriptor*> services = {},
                          MetadataValues values = {})
      : MetadataTarget(std::move(values)), name_(std::move(name)), services_(std::move(services)) {}

  // "OrdersController".
  [[nodiscard]] std::string_view name() const noexcept { return name_; }
  // The proto services that it implements; none if it has patterns alone.
  [[nodiscard]] const std::vector<const ServiceDescriptor*>& services() const noexcept {
    return services_;
  }

 private:
  std::string name_;
  std::vector<const ServiceDescriptor*> services_;
};

// A method of a controller. Lives as long as the application. The arguments of the constructor
// outlive it.
class MethodInfo final : public MetadataTarget {
 public:
  MethodInfo(const MethodDescriptor& descriptor, const ControllerInfo& controller,
             MetadataValues values = {})
      : MetadataTarget(std::move(values)), descriptor_(&descriptor), controller_(&controller) {}

  [[nodiscard]] const MethodDescriptor& descriptor() const noexcept { return *descriptor_; }
  [[nodiscard]] const ControllerInfo& controller() const noexcept { return *controller_; }
  // "Place", or the pattern.
  [[nodiscard]] std::string_view name() const noexcept { return descriptor_->name; }
  // "/shop.v1.Orders/Place", or the pattern.
  [[nodiscard]] std::string_view full_name() const noexcept { return descriptor_->full_name; }
  [[nodiscard]] MethodKind kind() const noexcept { return descriptor_->kind; }

 private:
  const MethodDescriptor* descriptor_;
  const ControllerInfo* controller_;
};

// See the top of this file. Lives until the handler has ended and, where it answers with a stream,
// until that stream has; touched by the call alone.
class ExecutionContext final {
 public:
  // For the framework, and for tests of guards and interceptors. All arguments outlive it.
  ExecutionContext(CallContext& call, const MethodInfo& method, Request& request) noexcept
      : call_(&call), method_(&method), request_(&request) {}
  ExecutionContext(const ExecutionContext&) = delete;
  ExecutionContext& operator=(const ExecutionContext&) = delete;

  [[nodiscard]] CallContext& call() const noexcept { return *call_; }
  // What the call is for (Nest's getHandler and getClass).
  [[nodiscard]] const MethodInfo& method() const noexcept { return *method_; }
  [[nodiscard]] const ControllerInfo& controller() const noexcept { return method_->controller(); }
  // The message, or the source of them. Guards and interceptors may look at the message before the
  // pipes have seen it: context.request().As<PlaceOrder>().
  [[nodiscard]] Request& request() const noexcept { return *request_; }

  // "grpc", "inproc", ...
  [[nodiscard]] std::string_view transport() const noexcept { return call_->transport(); }
  // The transport's own request, or null on another transport.
  template <class R>
  [[nodiscard]] R* TransportRequest() const noexcept {
    return call_->TransportRequest<R>();
  }

 private:
  CallContext* call_;
  const MethodInfo* method_;
  Request* request_;
};

}  // namespace rookery

#endif  // ROOKERY_PIPELINE_EXECUTION_CONTEXT_H_
