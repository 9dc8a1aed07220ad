// WhenAll and WhenAny: several tasks at once.
//
//   auto [user, orders] = co_await rookery::WhenAll(LoadUser(id), LoadOrders(id));
//   std::vector<Quote> quotes = co_await rookery::WhenAll(std::move(requests));   //
//       vector<Task<Quote>>
//   auto fastest = co_await rookery::WhenAny(std::move(replicas));  // fastest.index, fastest.value
//
// The tasks start in the order given, on this thread, and interleave where they suspend. Nothing is
// left behind: both return only when all tasks have ended, so the tasks may refer to the caller's
// locals. The tasks see the caller's context values, and are cancelled with its context.
#ifndef ROOKERY_RUNTIME_WHEN_H_
#define ROOKERY_RUNTIME_WHEN_H_

#include <array>
#include <atomic>
#include <coroutine>
#include <cstddef>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "rookery/runtime/await.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/start.h"
#include "rookery/runtime/task.h"

namespace rookery {

// The first task of a WhenAny to end, and what it ended with.
template <class T>
struct AnyResult {
  AnyResult(std::size_t i, StatusOrOf<T> v) : index(i), value(std::move(v)) {}
  std::size_t index;
  StatusOrOf<T> value;
};

namespace internal {

template <class T>
using WhenValue = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

class WhenGroup;

struct WhenChild {
  WhenGroup* group = nullptr;
  std::size_t index = 0;
  TaskPromiseBase* promise = nullptr;  // once ended
};

// The tasks of one WhenAll or WhenAny: counts them, and cancels the rest when one decides.
class WhenGroup final {
 public:
  enum class Decides : unsigned char { kFailure, kAny };
  WhenGroup(std::size_t count, Decides decides);
  WhenGroup(const WhenGroup&) = delete;
  WhenGroup& operator=(const WhenGroup&) = delete;

  // Starts the next task, unless it has been decided already: then it is never run.
  template <class T>
  void StartChild(const Task<T>& task, WhenChild& child, std::size_t index) noexcept {
    child.group = this;
    child.index = index;
    if (decided()) {
      ChildEnded();
      return;
    }
    Start(task, context_.get(), &child, [](void* self, TaskPromise<T>& promise) noexcept {
      auto* const ended = static_cast<WhenChild*>(self);
      ended->promise = &promise;
      ended->group->ChildDone(*ended);
    });
  }

  class Awaiter final : public LeafAwaiter {
   public:
    explicit Awaiter(WhenGroup* group) noexcept : group_(group) {}
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> handle) noexcept {
      Suspend(handle);
      group_->awaiter_ = this;
      return group_->remaining_.fetch_sub(1, std::memory_order_acq_rel) != 1;
    }
    void await_resume() noexcept { Resumed(); }

   private:
    WhenGroup* group_;
  };
  // Waits until all have ended.
  [[nodiscard]] Awaiter Ended() noexcept { return Awaiter(this); }

  [[nodiscard]] bool decided() const noexcept {
    return first_.load(std::memory_order_acquire) != kNone;
  }
  // Which one decided.
  [[nodiscard]] std::size_t first() const noexcept {
    return first_.load(std::memory_order_acquire);
  }

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  void ChildDone(const WhenChild& child) noexcept;
  void ChildEnded() noexcept {
    if (remaining_.fetch_sub(1, std::memory_order_acq_rel) == 1) awaiter_->Wake();
  }

  const Decides decides_;
  ContextRef context_;  // below the caller's: shares its values
  std::atomic<std::size_t> remaining_;
  std::atomic<std::size_t> first_{kNone};
  Awaiter* awaiter_ = nullptr;
};

template <class T>
[[nodiscard]] WhenValue<T> TakeWhenValue(const Task<T>& task) {
  if constexpr (std::is_void_v<T>) {
    task.handle().promise().Take();
    return std::monostate();
  } else {
    return task.handle().promise().Take();
  }
}

template <std::size_t... kIndex, class... Ts>
[[nodiscard]] std::variant<StatusOrOf<Ts>...> TakeAny(std::index_sequence<kIndex...>,
                                                      std::size_t first, const Task<Ts>&... tasks) {
  std::optional<std::variant<StatusOrOf<Ts>...>> result;
  static_cast<void>(((kIndex == first && (result.emplace(std::in_place_index<kIndex>,
                                                         tasks.handle().promise().TakeStatusOr()),
                                          true)) ||
                     ...));
  return *std::move(result);
}

}  // namespace internal

// Awaits all tasks and gives their values (std::monostate for void). The first failure cancels the
// others, whose outcomes are then dropped, and is what WhenAll fails with once they have ended.
template <class... Ts>
Task<std::tuple<internal::WhenValue<Ts>...>> WhenAll(Task<Ts>... tasks) {
  internal::WhenGroup group(sizeof...(Ts), internal::WhenGroup::Decides::kFailure);
  std::array<internal::WhenChild, sizeof...(Ts)> children;
  std::size_t index = 0;
  ((group.StartChild(tasks, children[index], index), ++index), ...);
  co_await group.Ended();
  if (group.decided()) co_await children[group.first()].promise->TakeFailure();
  co_return std::tuple<internal::WhenValue<Ts>...>(internal::TakeWhenValue(tasks)...);
}

// The same for any number of one type; the values in the tasks' order.
template <class T>
  requires(!std::is_void_v<T>)
Task<std::vector<T>> WhenAll(std::vector<Task<T>> tasks) {
  internal::WhenGroup group(tasks.size(), internal::WhenGroup::Decides::kFailure);
  std::vector<internal::WhenChild> children(tasks.size());
  for (std::size_t i = 0; i < tasks.size(); ++i) group.StartChild(tasks[i], children[i], i);
  co_await group.Ended();
  if (group.decided()) co_await children[group.first()].promise->TakeFailure();
  std::vector<T> values;
  values.reserve(tasks.size());
  for (const Task<T>& task : tasks) values.push_back(internal::TakeWhenValue(task));
  co_return values;
}
template <class T>
  requires(std::is_void_v<T>)
Task<void> WhenAll(std::vector<Task<T>> tasks) {
  internal::WhenGroup group(tasks.size(), internal::WhenGroup::Decides::kFailure);
  std::vector<internal::WhenChild> children(tasks.size());
  for (std::size_t i = 0; i < tasks.size(); ++i) group.StartChild(tasks[i], children[i], i);
  co_await group.Ended();
  if (group.decided()) co_await children[group.first()].promise->TakeFailure();
}

// Awaits the first task to end, be it with a value or a failure, and cancels the others; returns
// when they have ended, too, their outcomes dropped. The variant's index says which it was.
template <class... Ts>
  requires(sizeof...(Ts) > 0)
Task<std::variant<StatusOrOf<Ts>...>> WhenAny(Task<Ts>... tasks) {
  internal::WhenGroup group(sizeof...(Ts), internal::WhenGroup::Decides::kAny);
  std::array<internal::WhenChild, sizeof...(Ts)> children;
  std::size_t index = 0;
  ((group.StartChild(tasks, children[index], index), ++index), ...);
  co_await group.Ended();
  co_return internal::TakeAny(std::index_sequence_for<Ts...>(), group.first(), tasks...);
}

// The same for any number of one type. Fails with INVALID_ARGUMENT if there is none.
template <class T>
Task<AnyResult<T>> WhenAny(std::vector<Task<T>> tasks) {
  if (tasks.empty()) co_return absl::InvalidArgumentError("WhenAny was given no task");
  internal::WhenGroup group(tasks.size(), internal::WhenGroup::Decides::kAny);
  std::vector<internal::WhenChild> children(tasks.size());
  for (std::size_t i = 0; i < tasks.size(); ++i) group.StartChild(tasks[i], children[i], i);
  co_await group.Ended();
  const std::size_t first = group.first();
  co_return AnyResult<T>(first, tasks[first].handle().promise().TakeStatusOr());
}

}  // namespace rookery

#endif  // ROOKERY_RUNTIME_WHEN_H_
