// Lifecycle hooks: members that a provider, controller or module may have, found by their presence.
//
//   class Database {
//    public:
//     rookery::Task<void> OnModuleInit();                        // void, absl::Status or a Task of
//         them
//     void OnApplicationBootstrap();
//     void OnModuleDestroy();
//     void BeforeApplicationShutdown(rookery::ShutdownSignal signal);
//     absl::Status OnApplicationShutdown(rookery::ShutdownSignal signal);   // the signal may be
//         left out
//   };
//
// Order (NestJS 12's): OnModuleInit and OnApplicationBootstrap from the deepest module to the root,
// inside a module dependencies before dependents and the module's own class last; the other three
// in exact reverse. Independent ones run concurrently. They must be public.
#ifndef ROOKERY_DI_HOOKS_H_
#define ROOKERY_DI_HOOKS_H_

#include <cstddef>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "rookery/runtime/task.h"

namespace rookery {

// Why an application shuts down: a signal, or none when the program itself called Close().
class ShutdownSignal final {
 public:
  constexpr ShutdownSignal() noexcept = default;
  explicit constexpr ShutdownSignal(int number) noexcept : number_(number) {}
  // SIGTERM and so on; 0: none.
  [[nodiscard]] constexpr int number() const noexcept { return number_; }
  // "SIGTERM"; "" for none.
  [[nodiscard]] std::string_view name() const noexcept;
  explicit constexpr operator bool() const noexcept { return number_ != 0; }
  operator std::string_view() const noexcept { return name(); }  // NOLINT: Nest passes the name

 private:
  int number_ = 0;
};

namespace internal {

// What a hook did: ended with `status`, or began a task.
struct HookResult {
  absl::Status status;
  std::optional<Task<void>> task;
  std::optional<Task<absl::Status>> status_task;
};

using Hook = void (*)(void* self, ShutdownSignal signal, HookResult* result);

enum class HookPhase : unsigned char {
  kOnModuleInit,
  kOnApplicationBootstrap,
  kOnModuleDestroy,
  kBeforeApplicationShutdown,
  kOnApplicationShutdown,
};
inline constexpr std::size_t kHookPhases = 5;
[[nodiscard]] const char* HookName(HookPhase phase) noexcept;

// The hooks of one class; null where it has none.
struct HookTable {
  Hook hooks[kHookPhases] = {};
  [[nodiscard]] constexpr Hook operator[](HookPhase phase) const noexcept {
    return hooks[static_cast<std::size_t>(phase)];
  }
};

template <class R>
inline constexpr bool kIsHookResult =
    std::is_void_v<R> || std::is_same_v<R, absl::Status> || std::is_same_v<R, Task<void>> ||
    std::is_same_v<R, Task<absl::Status>>;

template <class R, class Call>
void KeepHookResult(Call&& call, HookResult* result) {
  if constexpr (std::is_void_v<R>) {
    call();
  } else if constexpr (std::is_same_v<R, absl::Status>) {
    result->status = call();
  } else if constexpr (std::is_same_v<R, Task<void>>) {
    result->task.emplace(call());
  } else if constexpr (std::is_same_v<R, Task<absl::Status>>) {
    result->status_task.emplace(call());
  }
}

template <class T>
constexpr Hook OnModuleInitOf() {
  if constexpr (requires(T& self) { self.OnModuleInit(); }) {
    using R = decltype(std::declval<T&>().OnModuleInit());
    static_assert(kIsHookResult<R>,
                  "rookery: OnModuleInit must return void, absl::Status, Task<void> or "
                  "Task<absl::Status>");
    return [](void* self, ShutdownSignal, HookResult* result) {
      KeepHookResult<R>([self] { return static_cast<T*>(self)->OnModuleInit(); }, result);
    };
  } else {
    static_assert(!requires { &T::OnModuleInit; }, "rookery: OnModuleInit takes no parameters");
    return nullptr;
  }
}

template <class T>
constexpr Hook OnApplicationBootstrapOf() {
  if constexpr (requires(T& self) { self.OnApplicationBootstrap(); }) {
    using R = decltype(std::declval<T&>().OnApplicationBootstrap());
    static_assert(kIsHookResult<R>,
                  "rookery: OnApplicationBootstrap must return void, absl::Status, Task<void> or "
                  "Task<absl::Status>");
    return [](void* self, ShutdownSignal, HookResult* result) {
      KeepHookResult<R>([self] { return static_cast<T*>(self)->OnApplicationBootstrap(); }, result);
    };
  } else {
    static_assert(
        !requires { &T::OnApplicationBootstrap; },
        "rookery: OnApplicationBootstrap takes no parameters");
    return nullptr;
  }
}

template <class T>
constexpr Hook OnModuleDestroyOf() {
  if constexpr (requires(T& self) { self.OnModuleDestroy(); }) {
    using R = decltype(std::declval<T&>().OnModuleDestroy());
    static_assert(kIsHookResult<R>,
                  "rookery: OnModuleDestroy must return void, absl::Status, Task<void> or "
                  "Task<absl::Status>");
    return [](void* self, ShutdownSignal, HookResult* result) {
      KeepHookResult<R>([self] { return static_cast<T*>(self)->OnModuleDestroy(); }, result);
    };
  } else {
    static_assert(
        !requires { &T::OnModuleDestroy; }, "rookery: OnModuleDestroy takes no parameters");
    return nullptr;
  }
}

template <class T>
constexpr Hook BeforeApplicationShutdownOf() {
  if constexpr (requires(T& self, ShutdownSignal s) { self.BeforeApplicationShutdown(s); }) {
    using R = decltype(std::declval<T&>().BeforeApplicationShutdown(ShutdownSignal()));
    static_assert(kIsHookResult<R>,
                  "rookery: BeforeApplicationShutdown must return void, absl::Status, Task<void> "
                  "or Task<absl::Status>");
    return [](void* self, ShutdownSignal signal, HookResult* result) {
      KeepHookResult<R>(
          [self, signal] { return static_cast<T*>(self)->BeforeApplicationShutdown(signal); },
          result);
    };
  } else if constexpr (requires(T& self) { self.BeforeApplicationShutdown(); }) {
    using R = decltype(std::declval<T&>().BeforeApplicationShutdown());
    static_assert(kIsHookResult<R>,
                  "rookery: BeforeApplicationShutdown must return void, absl::Status, Task<void> "
                  "or Task<absl::Status>");
    return [](void* self, ShutdownSignal, HookResult* result) {
      KeepHookResult<R>([self] { return static_cast<T*>(self)->BeforeApplicationShutdown(); },
                        result);
    };
  } else {
    static_assert(
        !requires { &T::BeforeApplicationShutdown; },
        "rookery: BeforeApplicationShutdown takes a rookery::ShutdownSignal or nothing");
    return nullptr;
  }
}

template <class T>
constexpr Hook OnApplicationShutdownOf() {
  if constexpr (requires(T& self, ShutdownSignal s) { self.OnApplicationShutdown(s); }) {
    using R = decltype(std::declval<T&>().OnApplicationShutdown(ShutdownSignal()));
    static_assert(kIsHookResult<R>,
                  "rookery: OnApplicationShutdown must return void, absl::Status, Task<void> or "
                  "Task<absl::Status>");
    return [](void* self, ShutdownSignal signal, HookResult* result) {
      KeepHookResult<R>(
          [self, signal] { return static_cast<T*>(self)->OnApplicationShutdown(signal); }, result);
    };
  } else if constexpr (requires(T& self) { self.OnApplicationShutdown(); }) {
    using R = decltype(std::declval<T&>().OnApplicationShutdown());
    static_assert(kIsHookResult<R>,
                  "rookery: OnApplicationShutdown must return void, absl::Status, Task<void> or "
                  "Task<absl::Status>");
    return [](void* self, ShutdownSignal, HookResult* result) {
      KeepHookResult<R>([self] { return static_cast<T*>(self)->OnApplicationShutdown(); }, result);
    };
  } else {
    static_assert(
        !requires { &T::OnApplicationShutdown; },
        "rookery: OnApplicationShutdown takes a rookery::ShutdownSignal or nothing");
    return nullptr;
  }
}

template <class T>
inline constexpr HookTable kHookTable{{
    OnModuleInitOf<T>(),
    OnApplicationBootstrapOf<T>(),
    OnModuleDestroyOf<T>(),
    BeforeApplicationShutdownOf<T>(),
    OnApplicationShutdownOf<T>(),
}};

// Null for a class without hooks.
template <class T>
constexpr const HookTable* HooksOf() {
  if constexpr (std::is_class_v<T>) {
    for (const Hook hook : kHookTable<T>.hooks) {
      if (hook != nullptr) return &kHookTable<T>;
    }
  }
  return nullptr;
}

}  // namespace internal

}  // namespace rookery

#endif  // ROOKERY_DI_HOOKS_H_
