// Reflector: reads what was Set on controllers and methods, and the options of their proto file.
//
//   explicit RolesGuard(rookery::Reflector& reflector);                 // injected anywhere
//   const auto* roles = reflector_.GetAllAndOverride(kRoles, {context.method(),
//       context.controller()});
//   const rookery::AuthOptions& auth = reflector_.GetOption(rookery::auth, context.method());
#ifndef ROOKERY_PIPELINE_REFLECTOR_H_
#define ROOKERY_PIPELINE_REFLECTOR_H_

#include <functional>
#include <initializer_list>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "rookery/pipeline/execution_context.h"
#include "rookery/pipeline/metadata_key.h"

namespace google::protobuf {
class MethodOptions;
class ServiceOptions;
}  // namespace google::protobuf

namespace rookery {

namespace internal {

// The options in the method's proto, or its service's; the default instance for a pattern.
[[nodiscard]] const google::protobuf::MethodOptions& OptionsOf(
    const MethodInfo& method, const google::protobuf::MethodOptions*);
[[nodiscard]] const google::protobuf::ServiceOptions& OptionsOf(
    const MethodInfo& method, const google::protobuf::ServiceOptions*);

// protobuf's ExtensionIdentifier, which says what it extends by its first parameter alone.
template <class Extension>
struct ExtensionTraits {
  static constexpr bool kIsExtension = false;
};
template <template <class, class, unsigned char, bool> class Identifier, class Extendee,
          class Traits, unsigned char kType, bool kPacked>
struct ExtensionTraits<Identifier<Extendee, Traits, kType, kPacked>> {
  static constexpr bool kIsExtension = true;
  using ExtendeeType = Extendee;
};

template <class T>
concept Concatenable = requires(T& all, const T& one) {
  all.insert(all.end(), one.begin(), one.end());
} && !requires { typename T::key_type; } && !std::is_convertible_v<const T&, std::string_view>;
template <class T>
concept Mergeable = requires(T& all, const T& one) {
  typename T::mapped_type;
  all.insert_or_assign(one.begin()->first, one.begin()->second);
};
template <class T>
concept SetLike = requires(T& all, const T& one) {
  typename T::key_type;
  all.insert(one.begin(), one.end());
} && !Mergeable<T>;

}  // namespace internal

// Stateless; injectable as Reflector&, or made on the spot. Thread-safe.
class Reflector final {
 public:
  using Targets = std::initializer_list<std::reference_wrapper<const MetadataTarget>>;

  // The value of `key` on that controller or method, or null.
  template <class T>
  [[nodiscard]] const T* Get(const MetadataKey<T>& key,
                             const MetadataTarget& target) const noexcept {
    return target.Find(key);
  }
  // The first target's value that is there, or null: with {method, controller} the method's own
  // word counts, else the controller's.
  template <class T>
  [[nodiscard]] const T* GetAllAndOverride(const MetadataKey<T>& key,
                                           Targets targets) const noexcept {
    for (const MetadataTarget& target : targets) {
      if (const T* const value = target.Find(key)) return value;
    }
    return nullptr;
  }
  // All targets' values as one: sequences are concatenated in the order of the targets, sets
  // united, maps merged (the later target wins), and anything else, strings too, collected in a
  // vector.
  template <class T>
  [[nodiscard]] auto GetAllAndMerge(const MetadataKey<T>& key, Targets targets) const {
    if constexpr (internal::Mergeable<T>) {
      T all;
      for (const MetadataTarget& target : targets) {
        if (const T* const value = target.Find(key)) {
          for (const auto& [name, one] : *value) all.insert_or_assign(name, one);
        }
      }
      return all;
    } else if constexpr (internal::SetLike<T>) {
      T all;
      for (const MetadataTarget& target : targets) {
        if (const T* const value = target.Find(key)) all.insert(value->begin(), value->end());
      }
      return all;
    } else if constexpr (internal::Concatenable<T>) {
      T all;
      for (const MetadataTarget& target : targets) {
        if (const T* const value = target.Find(key)) {
          all.insert(all.end(), value->begin(), value->end());
        }
      }
      return all;
    } else {
      std::vector<T> all;
      for (const MetadataTarget& target : targets) {
        if (const T* const value = target.Find(key)) all.push_back(*value);
      }
      return all;
    }
  }

  // An option of the method in its proto file, or of the method's service if `extension` extends
  // ServiceOptions; the option's default where it is not set, and for hand-registered patterns. A
  // service's option is not mixed into its methods': read both where both may say it.
  template <class Extension>
  [[nodiscard]] decltype(auto) GetOption(const Extension& extension,
                                         const MethodInfo& method) const {
    using Traits = internal::ExtensionTraits<Extension>;
    static_assert(Traits::kIsExtension,
                  "rookery: Reflector::GetOption takes an extension of "
                  "google.protobuf.MethodOptions or ServiceOptions, such as rookery::auth from "
                  "rookery/annotations.pb.h");
    if constexpr (Traits::kIsExtension) {
      using Options = typename Traits::ExtendeeType;
      constexpr bool kReadable = std::is_same_v<Options, google::protobuf::MethodOptions> ||
                                 std::is_same_v<Options, google::protobuf::ServiceOptions>;
      static_assert(kReadable,
                    "rookery: Reflector::GetOption: the extension must extend "
                    "google.protobuf.MethodOptions or ServiceOptions");
      if constexpr (kReadable) {
        return internal::OptionsOf(method, static_cast<const Options*>(nullptr))
            .GetExtension(extension);
      }
    }
  }
};

}  // namespace rookery

#endif  // ROOKERY_PIPELINE_REFLECTOR_H_
