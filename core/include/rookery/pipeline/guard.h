// Guards: whether a call may proceed. Any class with CanActivate is one; there is no base class.
//
//   class AuthGuard final {
//    public:
//     explicit AuthGuard(TokenStore& tokens) : tokens_(tokens) {}     // injected
//     absl::Status CanActivate(rookery::ExecutionContext& context);   // or bool, or a Task of
//         either
//   };
//   controller.UseGuard<AuthGuard>();                                 // in Configure
//
// Guards run first: global, then the controller's, then the method's, each in the order listed,
// until one refuses. `false` refuses with PERMISSION_DENIED "Forbidden resource", a status with
// itself, an exception as it would from a handler; interceptors, pipes and the handler do not run
// then. Guards that return bool or absl::Status cost a direct call; those that return a Task may
// wait.
#ifndef ROOKERY_PIPELINE_GUARD_H_
#define ROOKERY_PIPELINE_GUARD_H_

#include <concepts>
#include <type_traits>

#include "absl/status/status.h"
#include "rookery/pipeline/execution_context.h"
#include "rookery/runtime/task.h"

namespace rookery {

namespace internal {

template <class G>
concept HasCanActivate =
    requires(G& guard, ExecutionContext& context) { guard.CanActivate(context); };

template <class R>
concept GuardVerdict = std::same_as<R, bool> || std::same_as<R, absl::Status> ||
                       std::same_as<R, Task<bool>> || std::same_as<R, Task<absl::Status>>;

// A guard's call with its type erased: exactly one of these is set.
struct GuardFunction {
  bool (*yes_or_no)(void* guard, ExecutionContext& context) = nullptr;
  absl::Status (*status)(void* guard, ExecutionContext& context) = nullptr;
  Task<bool> (*later_yes_or_no)(void* guard, ExecutionContext& context) = nullptr;
  Task<absl::Status> (*later_status)(void* guard, ExecutionContext& context) = nullptr;
};

template <class G>
[[nodiscard]] constexpr GuardFunction MakeGuardFunction() {
  GuardFunction function;
  if constexpr (!HasCanActivate<G>) {
    static_assert(HasCanActivate<G>,
                  "rookery: this class is no guard: give it a public "
                  "`bool CanActivate(rookery::ExecutionContext& context)` "
                  "(or absl::Status, or a rookery::Task of either)");
  } else {
    using R = decltype(std::declval<G&>().CanActivate(std::declval<ExecutionContext&>()));
    static_assert(GuardVerdict<R>,
                  "rookery: a guard's CanActivate must return bool, absl::Status, "
                  "rookery::Task<bool> or rookery::Task<absl::Status>");
    constexpr auto kCall = [](void* guard, ExecutionContext& context) -> R {
      return static_cast<G*>(guard)->CanActivate(context);
    };
    if constexpr (std::same_as<R, bool>) function.yes_or_no = kCall;
    if constexpr (std::same_as<R, absl::Status>) function.status = kCall;
    if constexpr (std::same_as<R, Task<bool>>) function.later_yes_or_no = kCall;
    if constexpr (std::same_as<R, Task<absl::Status>>) function.later_status = kCall;
  }
  return function;
}

}  // namespace internal

// A class that UseGuard takes.
template <class G>
concept Guard = requires(G& guard, ExecutionContext& context) {
  { guard.CanActivate(context) } -> internal::GuardVerdict;
};

}  // namespace rookery

#endif  // ROOKERY_PIPELINE_GUARD_H_
