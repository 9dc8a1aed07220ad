// Ours: the controller that the gRPC and the in-process benchmarks serve, bare and with a pipeline.
//
//   rookery::Application::Create<bench::EmptyModule>();   // a controller and nothing else
//   rookery::Application::Create<bench::FullModule>();    // 2 guards, 2 interceptors, 1 pipe,
//                                                         // 1 filter, CLS set and read
//
// Written as a user would, with no regard for the cost of the framework below. What the guards and
// interceptors do is little, so that what is measured is the framework's part.
#ifndef ROOKERY_TESTS_BENCH_ROOKERY_MODULES_H_
#define ROOKERY_TESTS_BENCH_ROOKERY_MODULES_H_

#include <exception>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "bench.rookery.h"
#include "rookery/module/module_builder.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/pipeline/exception_filter.h"
#include "rookery/pipeline/guard.h"
#include "rookery/pipeline/interceptor.h"
#include "rookery/pipeline/pipe.h"
#include "rookery/platform/cls.h"

namespace rookery::bench {

inline constexpr ClsKey<std::string> kUser{"bench.user"};
inline constexpr ClsKey<int> kSteps{"bench.steps"};

class EchoController : public EchoService {
 public:
  Task<EchoReply> Say(CallContext& /*call*/, const EchoRequest& request) override {
    EchoReply reply;
    reply.set_text(request.text());
    co_return reply;
  }

  Stream<EchoReply> Watch(CallContext& /*call*/, const WatchRequest& request) override {
    EchoReply reply;
    for (int i = 0; i < request.count(); ++i) {
      reply.set_text(request.text());
      co_yield std::move(reply);
    }
  }
};

struct EmptyModule {
  static void Define(ModuleBuilder& module) { module.Controller<EchoController>(); }
};

// Sets CLS, as one that has read a token would.
class UserGuard final {
 public:
  bool CanActivate(ExecutionContext& /*context*/) {
    Cls::Set(kUser, "user-1");
    Cls::Set(kSteps, 0);
    return true;
  }
};

// Reads it.
class RoleGuard final {
 public:
  bool CanActivate(ExecutionContext& /*context*/) {
    const std::string* const user = Cls::Get(kUser);
    return user != nullptr && !user->empty();
  }
};

// Counts the calls that pass, in CLS: two classes, as two kinds of interceptor would be.
template <int kWhich>
class CountingInterceptor final {
 public:
  Task<Response> Intercept(ExecutionContext& /*context*/, Next next) {
    int* const steps = Cls::Get(kSteps);
    if (steps != nullptr) *steps += kWhich;
    Response response = co_await next();
    co_return response;
  }
};

class TextPipe final {
 public:
  absl::Status Transform(const EchoRequest& request, const ArgumentMetadata& /*argument*/) {
    if (request.text().empty()) return absl::InvalidArgumentError("text is empty");
    return absl::OkStatus();
  }
};

class Filter final {
 public:
  absl::Status Catch(const std::exception& /*error*/, ExecutionContext& /*context*/) {
    return absl::UnavailableError("try again");
  }
};

class GuardedEchoController final : public EchoController {
 public:
  static void Configure(ControllerBuilder& controller) {
    controller.UseGuard<UserGuard>().UseGuard<RoleGuard>();
    controller.UseInterceptor<CountingInterceptor<1>>().UseInterceptor<CountingInterceptor<2>>();
    controller.UsePipe<TextPipe>().UseFilter<Filter>();
  }
};

struct FullModule {
  static void Define(ModuleBuilder& module) { module.Controller<GuardedEchoController>(); }
};

}  // namespace rookery::bench

#endif  // ROOKERY_TESTS_BENCH_ROOKERY_MODULES_H_
