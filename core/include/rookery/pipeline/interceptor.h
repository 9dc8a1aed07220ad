// Interceptors: code around a call. Any class with Intercept is one; there is no base class.
//
//   class Timing final {
//    public:
//     rookery::Task<rookery::Response> Intercept(rookery::ExecutionContext& context,
//                                                rookery::Next next) {
//       const auto start = std::chrono::steady_clock::now();
//       rookery::Response response = co_await next();         // the inner interceptors and the
//           handler
//       Record(context.method().full_name(), std::chrono::steady_clock::now() - start);
//       co_return response;
//     }
//   };
//   controller.UseInterceptor<Timing>();
//
// They nest: global outside the controller's outside the method's, each in the order listed. An
// interceptor may answer without next() (the handler then never runs), call it again (a retry),
// replace or change the response, or catch what the inside throws. A stream is wrapped: see
// message.h.
#ifndef ROOKERY_PIPELINE_INTERCEPTOR_H_
#define ROOKERY_PIPELINE_INTERCEPTOR_H_

#include <concepts>
#include <cstddef>
#include <type_traits>

#include "rookery/pipeline/execution_context.h"
#include "rookery/rpc/message.h"
#include "rookery/runtime/task.h"

namespace rookery {

// The rest of the pipeline: the inner interceptors, the pipes, the handler. A value; copies run the
// same rest. Valid as long as the ExecutionContext that came with it.
class Next final {
 public:
  // Runs the rest when awaited; fails as it does. May be called again.
  [[nodiscard]] Task<Response> operator()() const { return run_(rest_, context_, index_); }

  // For tests of interceptors: a rest that is `function`, a callable that returns Task<Response>.
  // `function` outlives what is made of it.
  template <class Fn>
    requires std::same_as<std::invoke_result_t<Fn&>, Task<Response>>
  [[nodiscard]] static Next To(Fn& function) noexcept {
    return Next([](const void* rest, ExecutionContext*,
                   std::size_t) { return (*static_cast<Fn*>(const_cast<void*>(rest)))(); },
                &function, nullptr, 0);
  }

  // For the framework.
  using Run = Task<Response> (*)(const void* rest, ExecutionContext* context, std::size_t index);
  Next(Run run, const void* rest, ExecutionContext* context, std::size_t index) noexcept
      : run_(run), rest_(rest), context_(context), index_(index) {}

 private:
  Run run_;
  const void* rest_;
  ExecutionContext* context_;
  std::size_t index_;
};

namespace internal {

template <class I>
concept HasIntercept = requires(I& interceptor, ExecutionContext& context, Next next) {
  interceptor.Intercept(context, next);
};

using InterceptorFunction = Task<Response> (*)(void* interceptor, ExecutionContext& context,
                                               Next next);

template <class I>
[[nodiscard]] constexpr InterceptorFunction MakeInterceptorFunction() {
  if constexpr (!HasIntercept<I>) {
    static_assert(HasIntercept<I>,
                  "rookery: this class is no interceptor: give it a public "
                  "`rookery::Task<rookery::Response> Intercept(rookery::ExecutionContext& context, "
                  "rookery::Next next)`");
    return nullptr;
  } else {
    using R = decltype(std::declval<I&>().Intercept(std::declval<ExecutionContext&>(),
                                                    std::declval<Next>()));
    constexpr bool kReturns = std::same_as<R, Task<Response>>;
    static_assert(
        kReturns,
        "rookery: an interceptor's Intercept must return rookery::Task<rookery::Response>");
    if constexpr (kReturns) {
      return [](void* interceptor, ExecutionContext& context, Next next) {
        return static_cast<I*>(interceptor)->Intercept(context, next);
      };
    } else {
      return nullptr;
    }
  }
}

}  // namespace internal

// A class that UseInterceptor takes.
template <class I>
concept Interceptor = requires(I& interceptor, ExecutionContext& context, Next next) {
  { interceptor.Intercept(context, next) } -> std::same_as<Task<Response>>;
};

}  // namespace rookery

#endif  // ROOKERY_PIPELINE_INTERCEPTOR_H_
