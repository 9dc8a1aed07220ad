// What a call inside one process costs: client stub, pipeline, handler and back, on one thread.
//
// The call of the budget goes through one guard, which sets a CLS value, and one interceptor. The
// baseline is the same by hand: virtual calls, a thread_local, no coroutine, no context, no stats.
//
//   bench_inproc_call --pairs=5                              times, as JSON for run.py
//   bench_inproc_call --instructions=call --calls=20000      for callgrind, --instr-atstart=no
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <valgrind/callgrind.h>

#include "allocation_counter.h"
#include "bench.pb.h"
#include "flags.h"
#include "micro.h"
#include "rookery/app/application.h"
#include "rookery/app/testing.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/runtime/task.h"
#include "rookery_modules.h"

namespace rookery::bench {
namespace {

// 64 bytes, as the network benchmarks send: more than a std::string keeps inside itself.
const std::string& Text() {
  static const std::string text(64, 'x');
  return text;
}

// ---- ours -----------------------------------------------------------------------------------

template <int kWhich>
class IdleGuard final {
 public:
  bool CanActivate(ExecutionContext& context) { return context.request().message() != nullptr; }
};

template <int kWhich>
class IdleInterceptor final {
 public:
  Task<Response> Intercept(ExecutionContext& /*context*/, Next next) {
    Response response = co_await next();
    co_return response;
  }
};

class BudgetController final : public EchoController {
 public:
  static void Configure(ControllerBuilder& controller) {
    controller.UseGuard<UserGuard>().UseInterceptor<CountingInterceptor<1>>();
  }
};

class FourGuardsController final : public EchoController {
 public:
  static void Configure(ControllerBuilder& controller) {
    controller.UseGuard<IdleGuard<1>>().UseGuard<IdleGuard<2>>();
    controller.UseGuard<IdleGuard<3>>().UseGuard<IdleGuard<4>>();
    controller.UseInterceptor<IdleInterceptor<1>>();
  }
};

class FourInterceptorsController final : public EchoController {
 public:
  static void Configure(ControllerBuilder& controller) {
    controller.UseInterceptor<IdleInterceptor<1>>().UseInterceptor<IdleInterceptor<2>>();
    controller.UseInterceptor<IdleInterceptor<3>>().UseInterceptor<IdleInterceptor<4>>();
  }
};

class OneInterceptorController final : public EchoController {
 public:
  static void Configure(ControllerBuilder& controller) {
    controller.UseInterceptor<IdleInterceptor<1>>();
  }
};

template <class Controller>
struct Serves {
  static void Define(ModuleBuilder& module) { module.template Controller<Controller>(); }
};

Task<void> Calls(EchoClient& client, int n) {
  EchoRequest request;
  request.set_text(Text());
  for (int i = 0; i < n; ++i) {
    const EchoReply reply = co_await client.Say(request);
    if (reply.text().size() != Text().size()) std::abort();
  }
}

// An application in this process, and calls to it.
template <class Controller>
class Local final {
 public:
  Local()
      : app_(testing::TestingModule::Of<Serves<Controller>>().Compile()),
        client_(app_.template Client<EchoClient>()) {}

  // On a loop of the application, as calls within a server are: see rpc/local_channel.h.
  void operator()(int n) { SyncWait(OnLoop(n)); }

  // What `n` calls take from the heap, counted on the thread that makes them.
  std::uint64_t Allocations(int n) { return SyncWait(CountOnLoop(n)); }

 private:
  Task<void> OnLoop(int n) {
    co_await ResumeOn(app_.host().loops()[0]);
    co_await Calls(client_, n);
  }
  Task<std::uint64_t> CountOnLoop(int n) {
    co_await ResumeOn(app_.host().loops()[0]);
    const std::uint64_t before = AllocationsOfThisThread();
    co_await Calls(client_, n);
    co_return AllocationsOfThisThread() - before;
  }

  Application app_;
  EchoClient client_;
};

// ---- by hand --------------------------------------------------------------------------------

thread_local std::string current_user;
thread_local int current_steps = 0;

struct Endpoint {
  virtual ~Endpoint() = default;
  virtual EchoReply Say(const EchoRequest& request) = 0;
};
struct EchoByHand final : Endpoint {
  EchoReply Say(const EchoRequest& request) override {
    EchoReply reply;
    reply.set_text(request.text());
    return reply;
  }
};
struct Check {
  virtual ~Check() = default;
  virtual bool Allows(const EchoRequest& request) = 0;
};
struct UserCheck final : Check {
  bool Allows(const EchoRequest& /*request*/) override {
    current_user = "user-1";
    current_steps = 0;
    return true;
  }
};
struct IdleCheck final : Check {
  bool Allows(const EchoRequest& request) override { return !request.text().empty(); }
};
struct CountingEndpoint final : Endpoint {
  explicit CountingEndpoint(Endpoint& inner) : inner_(inner) {}
  EchoReply Say(const EchoRequest& request) override {
    ++current_steps;
    return inner_.Say(request);
  }

 private:
  Endpoint& inner_;
};
class ByHand final {
 public:
  ByHand(std::unique_ptr<Check> check, Endpoint* endpoint)
      : check_(std::move(check)), endpoint_(endpoint) {}

  void operator()(int n) {
    EchoRequest request;
    request.set_text(Text());
    for (int i = 0; i < n; ++i) {
      if (!check_->Allows(request)) std::abort();
      const EchoReply reply = endpoint_->Say(request);
      if (reply.text().size() != Text().size()) std::abort();
      Keep(reply);
    }
  }

  std::uint64_t Allocations(int n) {
    const std::uint64_t before = AllocationsOfThisThread();
    (*this)(n);
    return AllocationsOfThisThread() - before;
  }

 private:
  const std::unique_ptr<Check> check_;
  Endpoint* const endpoint_;
};

// Allocations of one call, once everything is warm.
template <class Calls>
double Allocations(Calls& calls) {
  constexpr int kCalls = 1'000;
  calls(kCalls);
  const std::uint64_t around = calls.Allocations(0);
  return static_cast<double>(calls.Allocations(kCalls) - around) / kCalls;
}

// For callgrind, which counts what lies between: a warm case's calls and nothing else.
template <class Calls>
int CountInstructions(Calls& calls, int n) {
  calls(1'000);
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
  calls(n);
  CALLGRIND_DUMP_STATS;
  CALLGRIND_STOP_INSTRUMENTATION;
  return 0;
}

int Run(int argc, char** argv) {
  const Flags flags(argc, argv);
  Micro micro(argc, argv);
  Local<EchoController> bare;
  Local<BudgetController> budget;
  Local<FourGuardsController> four_guards;
  Local<OneInterceptorController> one_interceptor;
  Local<FourInterceptorsController> four_interceptors;

  EchoByHand echo;
  CountingEndpoint counting(echo);
  ByHand by_hand(std::make_unique<UserCheck>(), &counting);
  ByHand bare_by_hand(std::make_unique<IdleCheck>(), &echo);

  if (const std::string_view which = flags.Text("instructions", ""); !which.empty()) {
    const int n = flags.Int("calls", 20'000);
    if (which == "call") return CountInstructions(budget, n);
    if (which == "baseline") return CountInstructions(by_hand, n);
    if (which == "empty") return CountInstructions(bare, n);
    if (which == "guards") return CountInstructions(four_guards, n);
    if (which == "interceptor") return CountInstructions(one_interceptor, n);
    if (which == "interceptors") return CountInstructions(four_interceptors, n);
    std::fprintf(stderr, "--instructions knows no \"%s\"\n", std::string(which).c_str());
    return 2;
  }

  micro.Compare("call", "ns", std::ref(budget), std::ref(by_hand));
  micro.Compare("call, empty pipeline", "ns", std::ref(bare), std::ref(bare_by_hand));
  micro.Count("allocations", "per call", Allocations(budget), Allocations(by_hand));

  // The baselines here: one more virtual call.
  IdleCheck idle;
  Check* const check = &idle;
  EchoRequest request;
  request.set_text(Text());
  const auto virtual_calls = [check, &request](int n) {
    for (int i = 0; i < n; ++i) {
      bool allowed = check->Allows(request);
      Keep(check);
      Keep(allowed);
    }
  };
  micro.CompareDifference("one more guard", "ns", std::ref(four_guards), std::ref(one_interceptor),
                          virtual_calls, 4);
  micro.CompareDifference("one more interceptor", "ns", std::ref(four_interceptors),
                          std::ref(one_interceptor), virtual_calls, 3);
  return micro.Print();
}

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) { return rookery::bench::Run(argc, argv); }
