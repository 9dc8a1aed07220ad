// Plans: what reading and writing JSON must know of a message type, worked out once.
//
//   Plans plans(DescriptorPool::generated_pool());
//   const MessagePlan& plan = plans.Of(*message.GetDescriptor());
//   const FieldPlan* field = plan.ByName("orderId");
//
// A plan never changes and lives as long as its Plans; finding one takes no lock.
#ifndef ROOKERY_RPC_JSON_PLAN_H_
#define ROOKERY_RPC_JSON_PLAN_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/descriptor.h>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"

namespace rookery::internal::json {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;

struct MessagePlan;

// Messages whose JSON is not an object of their fields.
enum class WellKnown : std::uint8_t {
  kNone,
  kAny,
  kTimestamp,
  kDuration,
  kFieldMask,
  kStruct,
  kValue,
  kListValue,
  kWrapper,
};

[[nodiscard]] WellKnown KnownAs(const Descriptor& type);

struct EnumPlan {
  explicit EnumPlan(const EnumDescriptor* type);

  // "NAME", with its quotes; empty for a number that has no name.
  [[nodiscard]] std::string_view NameOf(std::int32_t number) const noexcept {
    const std::int64_t index = std::int64_t{number} - first;
    if (index >= 0 && index < static_cast<std::int64_t>(dense.size())) {
      return dense[static_cast<std::size_t>(index)];
    }
    return dense.empty() ? Sparse(number) : std::string_view();
  }
  [[nodiscard]] const std::int32_t* NumberOf(std::string_view name) const;

  const EnumDescriptor* descriptor;
  bool is_null_value;              // google.protobuf.NullValue, which is written null
  std::int32_t first = 0;          // of `dense`
  std::vector<std::string> dense;  // by number - first; empty if the numbers are far apart
  absl::flat_hash_map<std::int32_t, std::string> sparse;
  absl::flat_hash_map<std::string, std::int32_t> numbers;

 private:
  [[nodiscard]] std::string_view Sparse(std::int32_t number) const noexcept;
};

struct FieldPlan {
  FieldPlan() noexcept = default;
  FieldPlan(const FieldPlan&) = delete;
  FieldPlan& operator=(const FieldPlan&) = delete;

  const FieldDescriptor* descriptor = nullptr;
  std::uint32_t number = 0;
  std::uint32_t index = 0;  // in the message
  FieldDescriptor::Type type = FieldDescriptor::TYPE_INT32;
  bool repeated = false;  // and no map
  bool map = false;
  bool packed = false;  // as it is written; both are read
  bool packable = false;
  bool has_presence = false;
  bool closed_enum = false;  // numbers without a name are no values of it, but unknown fields
  bool takes_null = false;   // null is a value of the type, not the lack of one
  bool plain_name = false;   // json_name stands in JSON text as it is
  std::int32_t oneof = -1;   // a bit behind those of the fields; -1: none
  // As it stands on the wire before a value, or before each element of what is not packed.
  std::uint32_t tag = 0;
  char tag_bytes[8] = {};
  std::uint8_t tag_size = 0;
  // Before a packed list.
  char packed_tag_bytes[8] = {};
  std::string json_name;
  // ,"name": of json_name and of the proto's name; Bytes::kShort bytes may be read of each.
  std::string key[2];
  std::size_t key_size[2] = {};
  const EnumPlan* enumeration = nullptr;
  mutable std::atomic<const MessagePlan*> message = nullptr;  // found on first use
};

struct MessagePlan {
  // The field of that number, or null.
  [[nodiscard]] const FieldPlan* ByNumber(std::uint32_t number) const noexcept {
    if (number < dense.size()) {
      const std::uint32_t at = dense[number];
      return at == 0 ? nullptr : &fields[at - 1];
    }
    return dense_holds_all ? nullptr : SearchNumber(number);
  }
  // The field whose json_name or proto name that is, or null.
  [[nodiscard]] const FieldPlan* ByName(std::string_view name) const noexcept;

  const Descriptor* descriptor = nullptr;
  WellKnown known = WellKnown::kNone;
  bool extendable = false;
  bool dense_holds_all = true;
  std::size_t size = 0;
  std::size_t seen_words = 0;           // 64 bits each: one a field, then one a oneof
  std::unique_ptr<FieldPlan[]> fields;  // by number
  std::vector<std::uint32_t> dense;     // index + 1 by number

 private:
  friend class Plans;
  struct Name {
    std::uint32_t hash = 0;
    std::uint32_t field = 0;  // index + 1; 0: nothing here
    std::string_view name;
  };
  [[nodiscard]] const FieldPlan* SearchNumber(std::uint32_t number) const noexcept;
  void AddName(std::string_view name, std::uint32_t index);

  std::vector<Name> names_;  // open addressing
};

// Pointers by the descriptor they were made of. Finding takes no lock.
template <class Key, class Value>
class PlanTable final {
 public:
  [[nodiscard]] const Value* Find(const Key* key) const noexcept {
    const Slots* slots = slots_.load(std::memory_order_acquire);
    if (slots == nullptr) return nullptr;
    for (std::size_t i = Hash(key) & slots->mask;; i = (i + 1) & slots->mask) {
      const Value* value = slots->values[i].load(std::memory_order_acquire);
      if (value == nullptr || value->descriptor == key) return value;
    }
  }
  // Keeps `value`, or the one that came first; returns which is kept.
  const Value& Insert(std::unique_ptr<Value> value) {
    const absl::MutexLock lock(&mutex_);
    if (const Value* earlier = Find(value->descriptor)) return *earlier;
    if (owned_.empty() || 2 * (owned_.size() + 1) > generations_.back()->mask + 1) Rehash();
    const Value& kept = *value;
    owned_.push_back(std::move(value));
    Place(*generations_.back(), kept);
    return kept;
  }

 private:
  struct Slots {
    explicit Slots(std::size_t size)
        : mask(size - 1), values(std::make_unique<std::atomic<const Value*>[]>(size)) {}
    const std::size_t mask;
    const std::unique_ptr<std::atomic<const Value*>[]> values;
  };
  static std::size_t Hash(const Key* key) noexcept {
    const auto bits = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(key));
    return static_cast<std::size_t>((bits * 0x9e3779b97f4a7c15u) >> 32);
  }
  static void Place(Slots& slots, const Value& value) noexcept {
    std::size_t i = Hash(value.descriptor) & slots.mask;
    while (slots.values[i].load(std::memory_order_relaxed) != nullptr) i = (i + 1) & slots.mask;
    slots.values[i].store(&value, std::memory_order_release);
  }
  void Rehash() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const std::size_t size = generations_.empty() ? 64 : 4 * (generations_.back()->mask + 1);
    auto slots = std::make_unique<Slots>(size);
    for (const auto& value : owned_) Place(*slots, *value);
    slots_.store(slots.get(), std::memory_order_release);
    // The earlier ones stay: somebody may be looking at them.
    generations_.push_back(std::move(slots));
  }

  absl::Mutex mutex_;
  std::atomic<const Slots*> slots_ = nullptr;
  std::vector<std::unique_ptr<Slots>> generations_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Value>> owned_ ABSL_GUARDED_BY(mutex_);
};

// The plans of one pool's messages. Thread-safe; the pool outlives it.
class Plans final {
 public:
  explicit Plans(const DescriptorPool* pool) noexcept : pool_(pool) {}
  Plans(const Plans&) = delete;
  Plans& operator=(const Plans&) = delete;

  [[nodiscard]] const DescriptorPool& pool() const noexcept { return *pool_; }

  [[nodiscard]] const MessagePlan& Of(const Descriptor& type) const {
    const MessagePlan* plan = messages_.Find(&type);
    return plan != nullptr ? *plan : Compile(type);
  }
  // Of an extension, or of a field by itself.
  [[nodiscard]] const FieldPlan& Of(const FieldDescriptor& field) const;
  // Of the type of a message field.
  [[nodiscard]] const MessagePlan& Of(const FieldPlan& field) const {
    const MessagePlan* plan = field.message.load(std::memory_order_acquire);
    return plan != nullptr ? *plan : Resolve(field);
  }

 private:
  [[nodiscard]] const MessagePlan& Compile(const Descriptor& type) const;
  [[nodiscard]] const MessagePlan& Resolve(const FieldPlan& field) const;
  [[nodiscard]] const EnumPlan& Of(const EnumDescriptor& type) const;
  void Fill(const FieldDescriptor& field, FieldPlan* plan) const;

  const DescriptorPool* const pool_;
  mutable PlanTable<Descriptor, MessagePlan> messages_;
  mutable PlanTable<FieldDescriptor, FieldPlan> extensions_;
  mutable PlanTable<EnumDescriptor, EnumPlan> enums_;
};

}  // namespace rookery::internal::json

#endif  // ROOKERY_RPC_JSON_PLAN_H_
