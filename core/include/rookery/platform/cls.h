// Cls: continuation-local storage. Values that follow a call through everything it awaits, spawns
// or posts, and that no other call sees.
//
//   inline constexpr rookery::ClsKey<std::string> kUserId{"user.id"};
//   rookery::Cls::Set(kUserId, "u-1");                         // in a guard, say
//   const std::string* user = rookery::Cls::Get(kUserId);      // anywhere below, on any thread
//   co_await rookery::Cls::Run([] { return Nightly(); });      // a context where there is no call
//   const rookery::ClsScope cls = rookery::Cls::Enter();       // the same for the rest of a test
//
// What nestjs-cls gives Node. Inside a call there is always a context: its CallContext.
#ifndef ROOKERY_PLATFORM_CLS_H_
#define ROOKERY_PLATFORM_CLS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "rookery/di/token.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/task.h"

namespace rookery {

// A typed key; declare it `inline constexpr` at namespace scope. With Propagation::kBaggage the
// value goes along to other processes (see rpc/baggage.h).
template <class T>
using ClsKey = ContextKey<T>;

// What Cls::Run does where there is a context already (nestjs-cls: ifNested).
enum class ClsNesting : std::uint8_t {
  kInherit,   // a new context with a copy of the values; changes stay inside
  kReuse,     // the same context
  kOverride,  // a new context without values
};

// Options of Cls::Run. A class with constructors, so that g++ 12 compiles awaits with it rightly.
class ClsRunOptions final {
 public:
  ClsRunOptions() {}  // NOLINT(modernize-use-equals-default): not an aggregate
  explicit ClsRunOptions(ClsNesting n) : nesting(n) {}

  ClsNesting nesting = ClsNesting::kInherit;
  // What Cls::Id() gives inside. Empty: the id of the context around, or a new one.
  std::string id;
};

// Values to start a context with, for Cls::RunWith:
//
//   rookery::ClsValues values;
//   values.Set(kUserId, "u-1").Set(kTenant, "acme");
class ClsValues final {
 public:
  ClsValues() {}  // NOLINT(modernize-use-equals-default): not an aggregate
  ClsValues(ClsValues&&) noexcept = default;
  ClsValues& operator=(ClsValues&&) noexcept = default;
  ~ClsValues() = default;

  template <class T, class U = T>
  ClsValues& Set(const ClsKey<T>& key, U&& value) & {
    setters_.emplace_back([&key, stored = T(std::forward<U>(value))](Context& context) mutable {
      context.Set(key, std::move(stored));
    });
    return *this;
  }
  template <class T, class U = T>
  ClsValues&& Set(const ClsKey<T>& key, U&& value) && {
    Set(key, std::forward<U>(value));
    return std::move(*this);
  }

  // Moves the values into `context`.
  void MoveTo(Context& context) && {
    for (auto& setter : setters_) std::move(setter)(context);
    setters_.clear();
  }

 private:
  std::vector<absl::AnyInvocable<void(Context&) &&>> setters_;
};

namespace internal {

[[noreturn]] void ThrowNoContext(std::string_view what, std::string_view key);
ContextRef MakeClsContext(const ClsRunOptions& options);

template <class R>
struct TaskValue {
  static constexpr bool kIsTask = false;
};
template <class T>
struct TaskValue<Task<T>> {
  static constexpr bool kIsTask = true;
  using Type = T;
};

// Awaits a task in a context of its own. Whoever starts the awaiting coroutine finds its own
// context as it was, also when the task suspends.
template <class T>
class InContextAwaitable final : public NativeAwaitable {
 public:
  InContextAwaitable(const Task<T>& task, Context* context) noexcept
      : handle_(task.handle()), context_(context) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> parent) noexcept {
    Context* const outer = tls_context;
    outer_ = outer;
    handle_.promise().set_continuation(parent);
    tls_context = context_;
    // From here on `this` may be gone: the task may end on another thread.
    const bool suspended = StartNested(handle_);
    tls_context = outer;
    return suspended;
  }
  TaskPromise<T>& await_resume() const noexcept {
    tls_context = outer_;
    return handle_.promise();
  }

 private:
  std::coroutine_handle<TaskPromise<T>> handle_;
  Context* context_;
  Context* outer_ = nullptr;
};

template <class T, class Fn>
Task<T> StartIn(Context* context, Fn& function) {
  const ContextScope scope(context);
  return function();
}

// The function lives in this frame while its task runs: a coroutine lambda with captures is safe.
template <class T, class Fn>
Task<T> RunTaskIn(ContextRef context, Fn function) {
  Task<T> task = StartIn<T>(context.get(), function);
  InContextAwaitable<T> ended(task, context.get());
  TaskPromise<T>& promise = co_await ended;
  if constexpr (std::is_void_v<T>) {
    if (promise.outcome() == Outcome::kStatus) {
      FailRequest failure(std::move(promise.status()));
      co_await std::move(failure);
    }
    promise.Take();
  } else {
    if (promise.outcome() == Outcome::kStatus) co_return std::move(promise.status());
    co_return promise.Take();
  }
}

template <class Fn>
auto RunIn(ContextRef context, Fn&& function) {
  using R = std::invoke_result_t<std::decay_t<Fn>&>;
  if constexpr (TaskValue<R>::kIsTask) {
    return RunTaskIn<typename TaskValue<R>::Type, std::decay_t<Fn>>(std::move(context),
                                                                    std::forward<Fn>(function));
  } else {
    const ContextScope scope(context.get());
    return function();
  }
}

}  // namespace internal

// Makes a context current until the end of the scope: see Cls::Enter. Neither to be moved nor kept
// across a co_await: in a coroutine use Cls::Run.
class [[nodiscard]] ClsScope final {
 public:
  explicit ClsScope(ContextRef context) noexcept
      : context_(std::move(context)), scope_(context_.get()) {}

 private:
  ContextRef context_;
  ContextScope scope_;
};

// See the top of this file. All functions work on the current context of this thread. Values are
// touched by one thread at a time: that which runs the call.
//
// Stateless, so a class that likes to be given what it uses may take a `Cls&` (or ClsService&) in
// its constructor and write cls_.Get(kUserId).
class Cls final {
 public:
  // Whether there is a context: inside a call, a task spawned by one, or Cls::Run.
  [[nodiscard]] static bool IsActive() noexcept { return Context::Current() != nullptr; }

  // The value, or null if it is not set or there is no context. Valid until the key is set again or
  // the context ends; do not keep it across a co_await that may set it.
  template <class T>
  [[nodiscard]] static T* Get(const ClsKey<T>& key) noexcept {
    Context* const context = Context::Current();
    return context == nullptr ? nullptr : context->Find(key);
  }
  // The value, or `otherwise`.
  template <class T, class U>
  [[nodiscard]] static T GetOr(const ClsKey<T>& key, U&& otherwise) {
    T* const value = Get(key);
    return value == nullptr ? T(std::forward<U>(otherwise)) : *value;
  }
  [[nodiscard]] static bool Has(const ContextKeyBase& key) noexcept;

  // Sets or replaces the value. Outside a context: throws RpcException (FAILED_PRECONDITION).
  template <class T, class U = T>
  static T& Set(const ClsKey<T>& key, U&& value) {
    return Require("Set", key)->Set(key, std::forward<U>(value));
  }
  // Sets the value unless there is one; gives what holds afterwards.
  template <class T, class U = T>
  static T& SetIfUndefined(const ClsKey<T>& key, U&& value) {
    Context* const context = Require("SetIfUndefined", key);
    T* const present = context->Find(key);
    return present != nullptr ? *present : context->Set(key, std::forward<U>(value));
  }
  // Removes the value, if there is one. Outside a context: throws, as Set.
  static void Erase(const ContextKeyBase& key) { Require("Erase", key)->Erase(key); }

  // The id of what is running: the request id inside a call (see CallContext::request_id), else
  // that given to Run, else one made at the first use. Empty outside a context.
  [[nodiscard]] static std::string_view Id();

  // Runs `function` in a context. A function that returns a Task gives a Task, to be awaited; one
  // that returns a value gives the value. A nested context keeps the deadline and the cancellation
  // of the one around.
  template <class Fn>
  static auto Run(Fn&& function) {
    return internal::RunIn(internal::MakeClsContext(ClsRunOptions()), std::forward<Fn>(function));
  }
  template <class Fn>
  static auto Run(const ClsRunOptions& options, Fn&& function) {
    return internal::RunIn(internal::MakeClsContext(options), std::forward<Fn>(function));
  }

  // Runs `function` in a context that has these values and no others.
  template <class Fn>
  static auto RunWith(ClsValues values, Fn&& function) {
    return RunWith(ClsRunOptions(ClsNesting::kOverride), std::move(values),
                   std::forward<Fn>(function));
  }
  // The same with the nesting given: kInherit adds the values to those around.
  template <class Fn>
  static auto RunWith(const ClsRunOptions& options, ClsValues values, Fn&& function) {
    ContextRef context = internal::MakeClsContext(options);
    std::move(values).MoveTo(*context.get());
    return internal::RunIn(std::move(context), std::forward<Fn>(function));
  }

  // A context that lasts until the end of the scope, for code that is no function to be passed: the
  // body of a test, main (nestjs-cls: enter, enterWith). Nested as Run is.
  static ClsScope Enter(const ClsRunOptions& options = ClsRunOptions()) {
    return ClsScope(internal::MakeClsContext(options));
  }
  // The same with these values and no others, unless the options say so.
  static ClsScope EnterWith(ClsValues values,
                            const ClsRunOptions& options = ClsRunOptions(ClsNesting::kOverride)) {
    ContextRef context = internal::MakeClsContext(options);
    std::move(values).MoveTo(*context.get());
    return ClsScope(std::move(context));
  }

  // Runs `function` outside any context (nestjs-cls: exit): no values, deadline or cancellation.
  template <class Fn>
  static auto Exit(Fn&& function) {
    return internal::RunIn(ContextRef(), std::forward<Fn>(function));
  }

 private:
  static Context* Require(std::string_view what, const ContextKeyBase& key) {
    Context* const context = Context::Current();
    if (context == nullptr) [[unlikely]]
      internal::ThrowNoContext(what, key.name);
    return context;
  }
};

// The name that users of nestjs-cls look for.
using ClsService = Cls;

// A typed store: all that an application keeps in CLS as one struct (nestjs-cls:
// ClsService<MyStore>). A class that is given a ClsStore<S>& wants it provided:
// module.Provide<ClsStore<S>>(); but all it does is static.
//
//   struct Session { std::string user; int tenant = 0; };
//   rookery::ClsStore<Session> session;
//   session->user = "ada";                                  // in a guard, say
//   Log(session->user);                                     // below
//
// S must be copyable, and default-constructible for whoever asks before it is set. Nested contexts
// copy it as they do all values. Threads and lifetime: as Cls::Get.
template <class S>
class ClsStore final {
 public:
  // For Cls::Has, ClsValues::Set and the like.
  static constexpr ClsKey<S> kKey{internal::TypeName<S>()};

  // The store, made if there is none. Outside a context: throws, as Cls::Set.
  [[nodiscard]] static S& Get() {
    S* const present = Cls::Get(kKey);
    return present != nullptr ? *present : Cls::Set(kKey, S());
  }
  // The store, or null if nobody has made it, or there is no context.
  [[nodiscard]] static S* Find() noexcept { return Cls::Get(kKey); }
  static S& Set(S value) { return Cls::Set(kKey, std::move(value)); }

  S& operator*() const { return Get(); }
  S* operator->() const { return &Get(); }
};

}  // namespace rookery

#endif  // ROOKERY_PLATFORM_CLS_H_
