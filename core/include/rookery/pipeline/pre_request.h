// Pre-request hooks: what runs first of all in a call, on every transport. Any class with
// PreRequest is one; there is no base class.
//
//   class TenantHook final {
//    public:
//     // Or void, or a Task of either.
//     absl::Status PreRequest(rookery::ExecutionContext& context);
//   };
//   app.UsePreRequestHook<TenantHook>();            // or module.PreRequestHook<TenantHook>()
//
// They run before the guards, and before the call's request-scoped providers are made: so these,
// too, see what a hook puts into CLS. A hook that fails ends the call; exception filters are told.
// Nest's registerPreRequestHook, and the place of its middleware where there is no HTTP. For
// anything else a guard is the better place: it knows which methods it is for.
#ifndef ROOKERY_PIPELINE_PRE_REQUEST_H_
#define ROOKERY_PIPELINE_PRE_REQUEST_H_

#include <concepts>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "rookery/pipeline/execution_context.h"
#include "rookery/pipeline/guard.h"
#include "rookery/runtime/task.h"

namespace rookery {

namespace internal {

template <class H>
concept HasPreRequest = requires(H& hook, ExecutionContext& context) { hook.PreRequest(context); };

template <class R>
concept PreRequestResult = std::same_as<R, void> || std::same_as<R, absl::Status> ||
                           std::same_as<R, Task<void>> || std::same_as<R, Task<absl::Status>>;

// A hook is run as a guard that refuses with a status, or not at all.
struct PreRequestFunction {
  GuardFunction run;
};

template <class H>
Task<absl::Status> RunPreRequestHook(void* hook, ExecutionContext& context) {
  Task<void> task = static_cast<H*>(hook)->PreRequest(context);
  absl::Status status = co_await AsStatusOr(std::move(task));
  co_return status;
}

template <class H>
[[nodiscard]] constexpr PreRequestFunction MakePreRequestFunction() {
  PreRequestFunction function;
  if constexpr (!HasPreRequest<H>) {
    static_assert(HasPreRequest<H>,
                  "rookery: this class is no pre-request hook: give it a public "
                  "`absl::Status PreRequest(rookery::ExecutionContext& context)` "
                  "(or void, or a rookery::Task of either)");
  } else {
    using R = decltype(std::declval<H&>().PreRequest(std::declval<ExecutionContext&>()));
    static_assert(PreRequestResult<R>,
                  "rookery: a pre-request hook's PreRequest must return void, absl::Status, "
                  "rookery::Task<void> or rookery::Task<absl::Status>");
    if constexpr (std::same_as<R, void>) {
      function.run.status = [](void* hook, ExecutionContext& context) {
        static_cast<H*>(hook)->PreRequest(context);
        return absl::OkStatus();
      };
    } else if constexpr (std::same_as<R, absl::Status>) {
      function.run.status = [](void* hook, ExecutionContext& context) {
        return static_cast<H*>(hook)->PreRequest(context);
      };
    } else if constexpr (std::same_as<R, Task<void>>) {
      function.run.later_status = &RunPreRequestHook<H>;
    } else if constexpr (std::same_as<R, Task<absl::Status>>) {
      function.run.later_status = [](void* hook, ExecutionContext& context) {
        return static_cast<H*>(hook)->PreRequest(context);
      };
    }
  }
  return function;
}

}  // namespace internal

// A class that UsePreRequestHook takes.
template <class H>
concept PreRequestHook = requires(H& hook, ExecutionContext& context) {
  { hook.PreRequest(context) } -> internal::PreRequestResult;
};

}  // namespace rookery

#endif  // ROOKERY_PIPELINE_PRE_REQUEST_H_
