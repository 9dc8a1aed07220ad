// Token: what a provider is known by — a type, or a named constant where a type would not say
// enough.
//
//   inline constexpr rookery::InjectionToken<std::string> kDatabaseUrl{"DATABASE_URL"};
//   module.ProvideValue(kDatabaseUrl, "postgres://localhost/shop");
//   explicit Database(rookery::Inject<kDatabaseUrl> url);      // a constructor that asks for it
//
//   rookery::Token::Of<OrderRepository>();                     // a type is its own token
#ifndef ROOKERY_DI_TOKEN_H_
#define ROOKERY_DI_TOKEN_H_

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace rookery {

namespace internal {

template <class T>
constexpr auto RawTypeName() {
  return std::string_view(__PRETTY_FUNCTION__);
}

// The compiler's spelling of T, namespaces included.
template <class T>
constexpr std::string_view TypeName() {
  constexpr std::string_view kProbe = RawTypeName<double>();
  constexpr std::size_t kPrefix = kProbe.find("double");
  constexpr std::size_t kSuffix = kProbe.size() - kPrefix - std::string_view("double").size();
  std::string_view name = RawTypeName<T>();
  name.remove_prefix(kPrefix);
  name.remove_suffix(kSuffix);
  return name;
}

// One object a type: its address is the type's identity, also without RTTI.
struct TypeTag {
  std::string_view name;
};
template <class T>
inline constexpr TypeTag kTypeTag{TypeName<T>()};

// "shop::v1::Cache" -> "Cache"; std:: stays. For messages.
[[nodiscard]] std::string ShortTypeName(std::string_view name);

struct InjectionTokenBase {
  constexpr InjectionTokenBase(std::string_view n, const TypeTag* t) noexcept : name(n), type(t) {}
  InjectionTokenBase(const InjectionTokenBase&) = delete;
  InjectionTokenBase& operator=(const InjectionTokenBase&) = delete;

  std::string_view name;
  const TypeTag* type;
};

}  // namespace internal

// A named, typed token, as Nest's string and symbol tokens: for values, and for several providers
// of one type. Its identity is its address, not its name: declare it `inline constexpr` at
// namespace scope, so that every file means the same one.
template <class T>
struct InjectionToken final : internal::InjectionTokenBase {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>,
                "rookery: InjectionToken<T>: T must be a plain object type");
  using value_type = T;
  constexpr explicit InjectionToken(std::string_view token_name) noexcept
      : InjectionTokenBase(token_name, &internal::kTypeTag<T>) {}
};

// A key of the container: a type or an InjectionToken. A value; cheap to copy, compare and hash.
class Token final {
 public:
  // No token at all; equal to itself only.
  constexpr Token() noexcept = default;
  template <class T>
  [[nodiscard]] static constexpr Token Of() noexcept {
    return Token(&internal::kTypeTag<std::remove_cvref_t<T>>, nullptr);
  }
  template <class T>
  constexpr Token(const InjectionToken<T>& token) noexcept  // NOLINT: a token is a Token
      : Token(token.type, &token) {}

  // As messages show it: "OrderRepository", "DATABASE_URL".
  [[nodiscard]] std::string name() const;
  // With namespaces: "shop::OrderRepository".
  [[nodiscard]] std::string_view qualified_name() const noexcept;
  [[nodiscard]] constexpr bool is_type() const noexcept { return key_ == nullptr; }
  // Of the type, or of the named token's value.
  [[nodiscard]] constexpr const internal::TypeTag* type() const noexcept { return type_; }

  friend constexpr bool operator==(const Token& a, const Token& b) noexcept {
    return a.type_ == b.type_ && a.key_ == b.key_;
  }
  template <class H>
  friend H AbslHashValue(H state, const Token& token) {
    return H::combine(std::move(state), token.identity());
  }
  [[nodiscard]] const void* identity() const noexcept {
    return key_ != nullptr ? static_cast<const void*>(key_) : type_;
  }

 private:
  constexpr Token(const internal::TypeTag* type, const internal::InjectionTokenBase* key) noexcept
      : type_(type), key_(key) {}

  const internal::TypeTag* type_ = nullptr;
  const internal::InjectionTokenBase* key_ = nullptr;
};

}  // namespace rookery

template <>
struct std::hash<rookery::Token> {
  std::size_t operator()(const rookery::Token& token) const noexcept {
    return std::hash<const void*>()(token.identity());
  }
};

#endif  // ROOKERY_DI_TOKEN_H_
