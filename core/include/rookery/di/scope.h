// Scope: how many instances of a provider there are, and how long each lives.
//
//   module.Provide<Cache>()                                      // one for the application
//       .Provide<Parser>(rookery::Scope::kPerLoop)               // one a loop: needs no locks
//       .Provide<CurrentUser>(rookery::Scope::kRequest)          // one a call, gone with the call
//       .Provide<TenantPool>(rookery::kDurable)                  // one a tenant
//       .Provide<PrefixedLogger>(rookery::Scope::kTransient);    // one for each who asks
//
// See docs/modules.md.
#ifndef ROOKERY_DI_SCOPE_H_
#define ROOKERY_DI_SCOPE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "rookery/di/token.h"

namespace rookery {

class Context;

// How many instances of a provider there are.
//
// What a provider is made of decides with it: one that was given no scope and depends on something
// of a narrower scope is of that scope, too, and so are those who depend on it, up to controllers
// and enhancers (Nest calls it bubbling up). One that was given kSingleton or kPerLoop says that it
// must not be: then a narrower dependency is a fault at start-up.
enum class Scope : std::uint8_t {
  // One instance for the application, made at start-up and shared by all its threads: what it
  // keeps must be guarded, or never change.
  kSingleton,
  // One instance for each loop, made at start-up and touched by that loop's thread alone: no locks.
  kPerLoop,
  // One instance for each who asks, as old and as long-lived as that one.
  kTransient,
  // One instance for each call, made when the call first needs it, shared by all that the call
  // touches, destroyed when the call has ended and nothing that it spawned runs any more. Its
  // lifecycle hooks do not run.
  kRequest,
};

// "singleton", "per loop", "transient", "request".
[[nodiscard]] std::string_view ScopeName(Scope scope) noexcept;

// A scope with its details. Made from a Scope by itself.
class ScopeOptions final {
 public:
  constexpr ScopeOptions(Scope scope) noexcept : scope_(scope) {}  // NOLINT: a Scope says it all
  [[nodiscard]] constexpr Scope scope() const noexcept { return scope_; }
  // Request scope, shared by all calls of one key: see kDurable.
  [[nodiscard]] constexpr bool durable() const noexcept { return durable_; }

  [[nodiscard]] static constexpr ScopeOptions MakeDurable() noexcept {
    ScopeOptions options(Scope::kRequest);
    options.durable_ = true;
    return options;
  }
  friend constexpr bool operator==(const ScopeOptions&, const ScopeOptions&) noexcept = default;

 private:
  Scope scope_;
  bool durable_ = false;
};

// One instance for each key that ApplicationOptions::durable gives for a call (a tenant's name,
// say), shared by all calls of that key, on all threads: what it keeps must be guarded. It may
// depend on singletons and on other durable providers; with any other request-scoped dependency it
// is made for each call, as Nest has it. It may ask for DurableKey.
inline constexpr ScopeOptions kDurable = ScopeOptions::MakeDurable();

// The key that a durable provider is made for. Ask for `const rookery::DurableKey&`.
class DurableKey final {
 public:
  explicit DurableKey(std::string value) noexcept : value_(std::move(value)) {}
  [[nodiscard]] const std::string& value() const noexcept { return value_; }

 private:
  std::string value_;
};

// Who asked for a transient provider: Nest's INQUIRER. Ask for `const rookery::Inquirer&` in the
// constructor of one; anywhere else it is a fault at start-up.
//
//   PrefixedLogger(rookery::Logger& log, const rookery::Inquirer& who)
//       : log_(log.Named(who.name())) {}
class Inquirer final {
 public:
  Inquirer() noexcept = default;
  explicit Inquirer(Token token) : token_(token), name_(token.name()) {}
  // The token of the provider (or the class of the controller) that asked; the empty Token if it
  // was asked for by ModuleRef::Resolve.
  [[nodiscard]] const Token& token() const noexcept { return token_; }
  // "OrderRepository"; "" if token() is empty.
  [[nodiscard]] std::string_view name() const noexcept { return name_; }

 private:
  Token token_;
  std::string name_;
};

namespace internal {

class ScopeStore;

// The scope that a class gives itself: `static constexpr rookery::Scope kScope`, and kDurable.
template <class T>
constexpr std::optional<ScopeOptions> ScopeOfClass() {
  if constexpr (requires { T::kScope; }) {
    using S = std::remove_cvref_t<decltype(T::kScope)>;
    constexpr bool kIsScope = std::is_same_v<S, Scope> || std::is_same_v<S, ScopeOptions>;
    static_assert(kIsScope,
                  "rookery: T::kScope must be `static constexpr rookery::Scope kScope = "
                  "rookery::Scope::...;` (or rookery::ScopeOptions, for rookery::kDurable)");
    if constexpr (kIsScope) {
      return ScopeOptions(T::kScope);
    } else {
      return std::nullopt;
    }
  } else {
    return std::nullopt;
  }
}

}  // namespace internal

// What request-scoped and transient instances are shared within: Nest's ContextId. A handle: copies
// are the same context. The instances live as long as the last copy does, or the call that it is
// of. Thread-safe. Do not keep one in a request-scoped provider: it would keep itself alive.
//
//   const auto id = rookery::ContextIdFactory::Create();
//   auto a = co_await module_ref.Resolve<CurrentUser>(id);
//   auto b = co_await module_ref.Resolve<CurrentUser>(id);      // the same instance
class ContextId final {
 public:
  // A new one, which shares nothing with any other.
  [[nodiscard]] static ContextId New();
  // That of a call, or of another context, such as Cls::Run's: what is resolved under it is shared
  // with the providers that the call itself was given. On the thread that runs the call.
  [[nodiscard]] static ContextId Of(Context& context);
  // That of what runs on this thread. Outside any context: throws RpcException
  // (FAILED_PRECONDITION).
  [[nodiscard]] static ContextId Current();

  friend bool operator==(const ContextId& a, const ContextId& b) noexcept {
    return a.store_ == b.store_;
  }

  // For the framework.
  explicit ContextId(std::shared_ptr<internal::ScopeStore> store) noexcept
      : store_(std::move(store)) {}
  [[nodiscard]] const std::shared_ptr<internal::ScopeStore>& store() const noexcept {
    return store_;
  }

 private:
  std::shared_ptr<internal::ScopeStore> store_;
};

// Makes ContextIds, under the names that users of Nest look for.
struct ContextIdFactory final {
  // A new context.
  [[nodiscard]] static ContextId Create() { return ContextId::New(); }
  // That of a call.
  [[nodiscard]] static ContextId GetByRequest(Context& call) { return ContextId::Of(call); }
};

}  // namespace rookery

#endif  // ROOKERY_DI_SCOPE_H_
