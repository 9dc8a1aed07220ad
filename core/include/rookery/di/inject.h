// Inject and Optional: what a constructor may ask for beside a plain T&.
//
//   class Database {
//    public:
//     Database(rookery::Inject<kDatabaseUrl> url,            // the value under a named token
//              Metrics& metrics,                             // the provider of a type
//              rookery::Optional<QueryLog> log);             // null where nobody provides it
//   };
//
// A constructor may ask for T&, const T&, T* (never null), std::shared_ptr<T>, Inject<kToken>,
// Optional<T> and Optional<Inject<kToken>>; and, of T or Inject<kToken>, for Lazy (lazy.h), Proxy
// (proxy.h) and All (all.h).
#ifndef ROOKERY_DI_INJECT_H_
#define ROOKERY_DI_INJECT_H_

#include <type_traits>

#include "rookery/di/token.h"

namespace rookery {

// The value under a named token. A view: the container owns the value, which outlives all that it
// is injected into. Copyable, so that a class may keep it as a member.
//
// A class that writes `using Inject = T(...)` spells this one rookery::Inject<kToken>.
template <const auto& kToken>
class Inject final {
 public:
  using value_type = typename std::remove_cvref_t<decltype(kToken)>::value_type;
  static_assert(std::is_same_v<std::remove_cvref_t<decltype(kToken)>, InjectionToken<value_type>>,
                "rookery: Inject<kToken>: kToken must be an `inline constexpr InjectionToken<T>`");

  explicit constexpr Inject(value_type& value) noexcept : value_(&value) {}
  [[nodiscard]] constexpr value_type& get() const noexcept { return *value_; }
  constexpr value_type& operator*() const noexcept { return *value_; }
  constexpr value_type* operator->() const noexcept { return value_; }
  constexpr operator value_type&() const noexcept { return *value_; }  // NOLINT: stands for it

 private:
  value_type* value_;
};

namespace internal {
template <class T>
struct InjectedValue {
  using type = T;
};
template <const auto& kToken>
struct InjectedValue<Inject<kToken>> {
  using type = typename Inject<kToken>::value_type;
};
}  // namespace internal

// A dependency that may be missing: null where no provider is visible, Nest's @Optional(). A
// provider that is there but fails is still an error. T is a type, or Inject<kToken>.
template <class T>
class Optional final {
 public:
  using value_type = typename internal::InjectedValue<T>::type;

  constexpr Optional() noexcept = default;
  explicit constexpr Optional(value_type* value) noexcept : value_(value) {}
  [[nodiscard]] constexpr bool has_value() const noexcept { return value_ != nullptr; }
  explicit constexpr operator bool() const noexcept { return value_ != nullptr; }
  // Null if there is none.
  [[nodiscard]] constexpr value_type* get() const noexcept { return value_; }
  // Only if there is one.
  constexpr value_type& operator*() const noexcept { return *value_; }
  constexpr value_type* operator->() const noexcept { return value_; }
  template <class U>
  [[nodiscard]] constexpr value_type value_or(U&& other) const {
    return value_ != nullptr ? *value_ : static_cast<value_type>(static_cast<U&&>(other));
  }

 private:
  value_type* value_ = nullptr;
};

}  // namespace rookery

#endif  // ROOKERY_DI_INJECT_H_
