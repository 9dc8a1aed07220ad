// MetadataKey: a typed name under which a controller or a method carries a value for its guards and
// interceptors, as Nest's @SetMetadata.
//
//   inline constexpr rookery::MetadataKey<std::vector<std::string>> kRoles{"roles"};
//   controller.Method(kPlace).Set(kRoles, {"buyer"});                        // in Configure
//   const auto* roles = reflector.GetAllAndOverride(kRoles, {context.method(),
//       context.controller()});
//
// Not for what varies from call to call: that belongs in the context (rookery/platform/cls.h). What
// is part of the service's contract is better said in its proto file: see Reflector::GetOption.
#ifndef ROOKERY_PIPELINE_METADATA_KEY_H_
#define ROOKERY_PIPELINE_METADATA_KEY_H_

#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace rookery {

// A key whose value is a T. Its identity is its address, not its name: declare it `inline
// constexpr` at namespace scope.
template <class T>
struct MetadataKey final {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>,
                "rookery: MetadataKey<T>: T must be a plain object type");
  using value_type = T;
  constexpr explicit MetadataKey(std::string_view key_name) noexcept : name(key_name) {}
  MetadataKey(const MetadataKey&) = delete;
  MetadataKey& operator=(const MetadataKey&) = delete;

  std::string_view name;
};

// The values set on one controller or method. Immutable, and so thread-safe, once the application
// has started; copies share the values.
class MetadataValues final {
 public:
  // The value under `key`, or null.
  template <class T>
  [[nodiscard]] const T* Find(const MetadataKey<T>& key) const noexcept {
    for (const Entry& entry : entries_) {
      if (entry.key == &key) return static_cast<const T*>(entry.value.get());
    }
    return nullptr;
  }
  // Sets or replaces the value under `key`.
  template <class T>
  void Set(const MetadataKey<T>& key, T value) {
    SetEntry(Entry{&key, std::make_shared<const T>(std::move(value))});
  }
  // Sets all that `others` has.
  void SetAll(const MetadataValues& others) {
    for (const Entry& other : others.entries_) SetEntry(other);
  }
  [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }

 private:
  struct Entry {
    const void* key;
    std::shared_ptr<const void> value;
  };
  void SetEntry(Entry set) {
    for (Entry& entry : entries_) {
      if (entry.key == set.key) {
        entry.value = std::move(set.value);
        return;
      }
    }
    entries_.push_back(std::move(set));
  }
  std::vector<Entry> entries_;
};

// Whatever carries metadata: a controller (ControllerInfo) or one of its methods (MethodInfo).
class MetadataTarget {
 public:
  // The value under `key`, or null. Lives as long as the application.
  template <class T>
  [[nodiscard]] const T* Find(const MetadataKey<T>& key) const noexcept {
    return values_.Find(key);
  }

 protected:
  MetadataTarget() = default;
  explicit MetadataTarget(MetadataValues values) : values_(std::move(values)) {}
  ~MetadataTarget() = default;
  MetadataTarget(const MetadataTarget&) = default;
  MetadataTarget& operator=(const MetadataTarget&) = default;

 private:
  MetadataValues values_;
};

}  // namespace rookery

#endif  // ROOKERY_PIPELINE_METADATA_KEY_H_
