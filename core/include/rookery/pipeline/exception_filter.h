// Exception filters: turn a failure into the status (or the response) that the caller gets. Any
// class with Catch is one; there is no base class. What Catch takes is what it catches.
//
//   class OutOfStockFilter final {
//    public:
//     absl::Status Catch(const OutOfStock& error, rookery::ExecutionContext&) {
//       return rookery::WithDetails(absl::FailedPreconditionError("out of stock"),
//           error.details());
//     }
//   };
//   controller.Method(kPlace).UseFilter<OutOfStockFilter>();
//
// | Catch takes                                  | it catches                                   |
// |----------------------------------------------|----------------------------------------------|
// | std::exception_ptr, const std::exception&     | everything                                   |
// | const absl::Status&, const RpcException&      | statuses, returned or thrown                 |
// | const E& of any other class                   | exceptions of that class and its derived ones |
// | several: `using Catches = CatchTypes<A, B>;`   | each, by an overload of Catch                |
//
// Filters see what guards, interceptors, pipes and the handler fail with, in the middle of a
// response stream too. The method's are asked first, then the controller's, then the global ones,
// within a level the last listed first; exactly one handles the failure. Catch returns an
// absl::Status, a Response, absl::StatusOr<Response>, or a Task of one. An OK status means that
// nothing needs to be said: right for events, the end of a response stream, INTERNAL where a reply
// is due. A filter that throws a status fails with it; one that throws anything else fails with
// INTERNAL and an incident id.
#ifndef ROOKERY_PIPELINE_EXCEPTION_FILTER_H_
#define ROOKERY_PIPELINE_EXCEPTION_FILTER_H_

#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/pipeline/execution_context.h"
#include "rookery/rpc/message.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/task.h"

namespace rookery {

// What a filter catches, where it is more than one class.
template <class... E>
struct CatchTypes {};

namespace internal {

// What a call failed with: a status, or an exception. Not thread-safe.
class Failure final {
 public:
  explicit Failure(absl::Status status) noexcept : status_(std::move(status)) {}
  explicit Failure(std::exception_ptr error) noexcept : error_(std::move(error)) {}

  // As E, or null: valid as long as this lives.
  template <class E>
  [[nodiscard]] const E* As() {
    if constexpr (std::is_same_v<E, absl::Status>) {
      return AsStatus();
    } else if constexpr (std::is_same_v<E, std::exception_ptr>) {
      return &Pointer();
    } else if constexpr (std::is_same_v<E, std::exception>) {
      return AsException();
    } else if constexpr (std::is_same_v<E, RpcException>) {
      return AsRpc();
    } else {
      if (!error_) return nullptr;
      try {
        std::rethrow_exception(error_);
      } catch (const E& error) {
        // The exception itself, which error_ keeps alive, not a copy.
        return std::addressof(error);
      } catch (...) {
        return nullptr;
      }
    }
  }
  // What the caller would get without any filter, before ForPeer.
  [[nodiscard]] absl::Status ToStatus() const noexcept;

 private:
  [[nodiscard]] const absl::Status* AsStatus();
  [[nodiscard]] const RpcException* AsRpc();
  [[nodiscard]] const std::exception* AsException();
  [[nodiscard]] const std::exception_ptr& Pointer();

  absl::Status status_;
  std::exception_ptr error_;
};

// What a filter made of a failure: a response, or else a status.
struct FilterResult {
  FilterResult() noexcept = default;
  explicit FilterResult(absl::Status s) noexcept : status(std::move(s)) {}
  explicit FilterResult(Response r) noexcept : response(std::move(r)) {}
  explicit FilterResult(absl::StatusOr<Response> result) noexcept {
    if (result.ok()) {
      response.emplace(*std::move(result));
    } else {
      status = std::move(result).status();
    }
  }
  absl::Status status;
  std::optional<Response> response;
};

// A filter's calls with their types erased: one of the last two is set.
struct FilterFunction {
  bool (*catches)(Failure& failure) = nullptr;
  FilterResult (*handle)(void* filter, Failure& failure, ExecutionContext& context) = nullptr;
  Task<FilterResult> (*later)(void* filter, Failure& failure, ExecutionContext& context) = nullptr;
};

// The class that a Catch takes; void if it cannot be told.
template <class F>
struct CatchParameter {
  using type = void;
};
template <class F, class R, class E>
struct CatchParameter<R (F::*)(E, ExecutionContext&)> {
  using type = std::remove_cvref_t<E>;
};
template <class F, class R, class E>
struct CatchParameter<R (F::*)(E, ExecutionContext&) const> {
  using type = std::remove_cvref_t<E>;
};
template <class F, class R, class E>
struct CatchParameter<R (F::*)(E, ExecutionContext&) noexcept> {
  using type = std::remove_cvref_t<E>;
};
template <class F, class R, class E>
struct CatchParameter<R (F::*)(E, ExecutionContext&) const noexcept> {
  using type = std::remove_cvref_t<E>;
};

template <class F>
constexpr auto CatchTypesOf() {
  if constexpr (requires { typename F::Catches; }) {
    return typename F::Catches();
  } else if constexpr (requires { &F::Catch; }) {
    using E = typename CatchParameter<decltype(&F::Catch)>::type;
    if constexpr (std::is_void_v<E>) {
      return CatchTypes<>();
    } else {
      return CatchTypes<E>();
    }
  } else {
    return CatchTypes<>();
  }
}

template <class R>
struct FilterVerdict {
  static constexpr bool kValid = std::same_as<R, absl::Status> || std::same_as<R, Response> ||
                                 std::same_as<R, absl::StatusOr<Response>>;
  static constexpr bool kLater = false;
};
template <class R>
struct FilterVerdict<Task<R>> {
  static constexpr bool kValid = FilterVerdict<R>::kValid;
  static constexpr bool kLater = true;
};

template <class F, class E>
Task<FilterResult> CatchLater(F* filter, const E* error, ExecutionContext* context) {
  auto task = filter->Catch(*error, *context);
  auto result = co_await std::move(task);
  co_return FilterResult(std::move(result));
}
// Nothing that was asked to catch it does: cannot happen, since `catches` was asked first.
[[nodiscard]] Task<FilterResult> CaughtByNone();

template <class F, class... E>
struct FilterFunctions {
  static bool Catches(Failure& failure) { return ((failure.As<E>() != nullptr) || ...); }
  static FilterResult Handle(void* filter, Failure& failure, ExecutionContext& context) {
    FilterResult result;
    [[maybe_unused]] const bool handled =
        (HandleAs<E>(static_cast<F*>(filter), failure, context, &result) || ...);
    return result;
  }
  static Task<FilterResult> Later(void* filter, Failure& failure, ExecutionContext& context) {
    std::optional<Task<FilterResult>> task;
    [[maybe_unused]] const bool handled =
        (LaterAs<E>(static_cast<F*>(filter), failure, context, &task) || ...);
    return task ? *std::move(task) : CaughtByNone();
  }

 private:
  template <class Error>
  static bool HandleAs(F* filter, Failure& failure, ExecutionContext& context,
                       FilterResult* result) {
    const Error* const error = failure.As<Error>();
    if (error == nullptr) return false;
    *result = FilterResult(filter->Catch(*error, context));
    return true;
  }
  template <class Error>
  static bool LaterAs(F* filter, Failure& failure, ExecutionContext& context,
                      std::optional<Task<FilterResult>>* task) {
    const Error* const error = failure.As<Error>();
    if (error == nullptr) return false;
    task->emplace(CatchLater<F, Error>(filter, error, &context));
    return true;
  }
};

template <class F, class First, class... E>
[[nodiscard]] constexpr FilterFunction MakeFilterFunctionFor(CatchTypes<First, E...>) {
  using R = decltype(std::declval<F&>().Catch(std::declval<const First&>(),
                                              std::declval<ExecutionContext&>()));
  static_assert(FilterVerdict<R>::kValid,
                "rookery: a filter's Catch must return absl::Status, rookery::Response, "
                "absl::StatusOr<rookery::Response>, or a rookery::Task of one of them");
  FilterFunction function;
  if constexpr (FilterVerdict<R>::kValid) {
    function.catches = &FilterFunctions<F, First, E...>::Catches;
    if constexpr (FilterVerdict<R>::kLater) {
      function.later = &FilterFunctions<F, First, E...>::Later;
    } else {
      function.handle = &FilterFunctions<F, First, E...>::Handle;
    }
  }
  return function;
}
template <class F>
[[nodiscard]] constexpr FilterFunction MakeFilterFunctionFor(CatchTypes<>) {
  static_assert(
      !std::is_same_v<F, F>,
      "rookery: this class is no exception filter: give it a public "
      "`absl::Status Catch(const E& error, rookery::ExecutionContext& context)`, E being "
      "what it catches (std::exception, absl::Status, an exception of yours); where Catch "
      "is overloaded, also `using Catches = rookery::CatchTypes<A, B>;`");
  return FilterFunction();
}
template <class F>
[[nodiscard]] constexpr FilterFunction MakeFilterFunction() {
  return MakeFilterFunctionFor<F>(CatchTypesOf<F>());
}

}  // namespace internal

// A class that UseFilter takes.
template <class F>
concept ExceptionFilter = !std::same_as<decltype(internal::CatchTypesOf<F>()), CatchTypes<>>;

}  // namespace rookery

#endif  // ROOKERY_PIPELINE_EXCEPTION_FILTER_H_
