#include "rpc/json/plan.h"

#include <algorithm>
#include <bit>
#include <utility>

#include <google/protobuf/wire_format_lite.h>

#include "absl/strings/str_cat.h"
#include "rpc/json/bytes.h"
#include "rpc/json/text.h"

namespace rookery::internal::json {
namespace {

using google::protobuf::FileDescriptor;
using google::protobuf::internal::WireFormatLite;

// Up to here a message's fields are found by their number alone.
constexpr std::uint32_t kDenseNumbers = 1024;

std::uint32_t HashName(std::string_view name) noexcept {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  const std::size_t n = std::min<std::size_t>(name.size(), 8);
  std::memcpy(&first, name.data(), n);
  std::memcpy(&last, name.data() + name.size() - n, n);
  std::uint64_t hash = (first ^ std::rotl(last, 32) ^ name.size()) * 0x9e3779b97f4a7c15u;
  if (name.size() > 16) {
    for (std::size_t i = 8; i + 8 < name.size(); i += 8) {
      std::uint64_t middle = 0;
      std::memcpy(&middle, name.data() + i, 8);
      hash = (hash ^ middle) * 0x9e3779b97f4a7c15u;
    }
  }
  return static_cast<std::uint32_t>(hash >> 32);
}

std::uint8_t WriteTag(std::uint32_t tag, char* at) {
  std::uint8_t size = 0;
  for (; tag >= 0x80; tag >>= 7) at[size++] = static_cast<char>(tag | 0x80);
  at[size++] = static_cast<char>(tag);
  return size;
}

std::string Key(std::string_view name) {
  Bytes bytes;
  bytes.Put(',');
  AppendQuoted(name, &bytes);
  bytes.Put(':');
  return std::string(bytes.view());
}

}  // namespace

WellKnown KnownAs(const Descriptor& type) {
  if (type.file()->package() != "google.protobuf") return WellKnown::kNone;
  static constexpr std::pair<std::string_view, WellKnown> kTypes[] = {
      {"Any", WellKnown::kAny},
      {"Timestamp", WellKnown::kTimestamp},
      {"Duration", WellKnown::kDuration},
      {"FieldMask", WellKnown::kFieldMask},
      {"Struct", WellKnown::kStruct},
      {"Value", WellKnown::kValue},
      {"ListValue", WellKnown::kListValue},
      {"DoubleValue", WellKnown::kWrapper},
      {"FloatValue", WellKnown::kWrapper},
      {"Int64Value", WellKnown::kWrapper},
      {"UInt64Value", WellKnown::kWrapper},
      {"Int32Value", WellKnown::kWrapper},
      {"UInt32Value", WellKnown::kWrapper},
      {"BoolValue", WellKnown::kWrapper},
      {"StringValue", WellKnown::kWrapper},
      {"BytesValue", WellKnown::kWrapper},
  };
  for (const auto& [name, known] : kTypes) {
    if (type.name() == name && type.containing_type() == nullptr) return known;
  }
  return WellKnown::kNone;
}

// ---- enums --------------------------------------------------------------------------------------

EnumPlan::EnumPlan(const EnumDescriptor* type)
    : descriptor(type), is_null_value(type->full_name() == "google.protobuf.NullValue") {
  std::int64_t least = type->value(0)->number();
  std::int64_t greatest = least;
  for (int i = 0; i < type->value_count(); ++i) {
    least = std::min<std::int64_t>(least, type->value(i)->number());
    greatest = std::max<std::int64_t>(greatest, type->value(i)->number());
    numbers.try_emplace(type->value(i)->name(), type->value(i)->number());
  }
  const bool is_dense = greatest - least < 4 * type->value_count() + 16;
  if (is_dense) {
    first = static_cast<std::int32_t>(least);
    dense.resize(static_cast<std::size_t>(greatest - least + 1));
  }
  for (int i = 0; i < type->value_count(); ++i) {
    const std::int32_t number = type->value(i)->number();
    // Of aliases the first is the name.
    std::string& name = is_dense ? dense[static_cast<std::size_t>(number - least)] : sparse[number];
    if (name.empty()) name = absl::StrCat("\"", type->value(i)->name(), "\"");
  }
}

std::string_view EnumPlan::Sparse(std::int32_t number) const noexcept {
  const auto found = sparse.find(number);
  return found == sparse.end() ? std::string_view() : std::string_view(found->second);
}

const std::int32_t* EnumPlan::NumberOf(std::string_view name) const {
  const auto found = numbers.find(absl::string_view(name.data(), name.size()));
  return found == numbers.end() ? nullptr : &found->second;
}

// ---- messages -----------------------------------------------------------------------------------

const FieldPlan* MessagePlan::SearchNumber(std::uint32_t number) const noexcept {
  const FieldPlan* const end = fields.get() + size;
  const FieldPlan* const found = std::lower_bound(
      static_cast<const FieldPlan*>(fields.get()), end, number,
      [](const FieldPlan& field, std::uint32_t wanted) { return field.number < wanted; });
  return found != end && found->number == number ? found : nullptr;
}

const FieldPlan* MessagePlan::ByName(std::string_view name) const noexcept {
  if (names_.empty()) return nullptr;
  const std::size_t mask = names_.size() - 1;
  const std::uint32_t hash = HashName(name);
  for (std::size_t i = hash & mask;; i = (i + 1) & mask) {
    const Name& slot = names_[i];
    if (slot.field == 0) return nullptr;
    if (slot.hash == hash && slot.name == name) return &fields[slot.field - 1];
  }
}

void MessagePlan::AddName(std::string_view name, std::uint32_t index) {
  const std::size_t mask = names_.size() - 1;
  const std::uint32_t hash = HashName(name);
  std::size_t i = hash & mask;
  for (; names_[i].field != 0; i = (i + 1) & mask) {
    if (names_[i].name == name) return;
  }
  names_[i] = {hash, index + 1, name};
}

void Plans::Fill(const FieldDescriptor& field, FieldPlan* plan) const {
  plan->descriptor = &field;
  plan->number = static_cast<std::uint32_t>(field.number());
  plan->type = field.type();
  plan->map = field.is_map();
  plan->repeated = field.is_repeated() && !plan->map;
  plan->packed = field.is_packed();
  plan->packable = field.is_packable();
  plan->has_presence = field.has_presence();
  plan->json_name =
      field.is_extension() ? absl::StrCat("[", field.full_name(), "]") : field.json_name();
  plan->plain_name = IsPlain(plan->json_name);
  plan->key[0] = Key(plan->json_name);
  plan->key[1] = field.is_extension() ? plan->key[0] : Key(field.name());
  for (int i = 0; i < 2; ++i) {
    plan->key_size[i] = plan->key[i].size();
    // One more: the first of an object is written without the comma.
    plan->key[i].resize(std::max(plan->key[i].size(), Bytes::kShort + 1));
  }
  const WireFormatLite::WireType wire_type =
      WireFormatLite::WireTypeForFieldType(static_cast<WireFormatLite::FieldType>(field.type()));
  plan->tag = WireFormatLite::MakeTag(field.number(), wire_type);
  plan->tag_size = WriteTag(plan->tag, plan->tag_bytes);
  WriteTag(WireFormatLite::MakeTag(field.number(), WireFormatLite::WIRETYPE_LENGTH_DELIMITED),
           plan->packed_tag_bytes);
  if (field.enum_type() != nullptr) {
    plan->enumeration = &Of(*field.enum_type());
    plan->closed_enum = field.file()->syntax() == FileDescriptor::SYNTAX_PROTO2;
    plan->takes_null = plan->enumeration->is_null_value;
  } else if (field.message_type() != nullptr) {
    plan->takes_null = KnownAs(*field.message_type()) == WellKnown::kValue;
  }
}

const MessagePlan& Plans::Compile(const Descriptor& type) const {
  auto plan = std::make_unique<MessagePlan>();
  plan->descriptor = &type;
  plan->known = KnownAs(type);
  plan->extendable = type.extension_range_count() != 0;
  plan->size = static_cast<std::size_t>(type.field_count());
  plan->fields = std::make_unique<FieldPlan[]>(plan->size);

  std::vector<const FieldDescriptor*> fields;
  fields.reserve(plan->size);
  for (int i = 0; i < type.field_count(); ++i) fields.push_back(type.field(i));
  std::sort(fields.begin(), fields.end(), [](const FieldDescriptor* a, const FieldDescriptor* b) {
    return a->number() < b->number();
  });
  // At least half empty.
  if (plan->size != 0) plan->names_.resize(std::bit_ceil(4 * plan->size));
  for (std::size_t i = 0; i < plan->size; ++i) {
    FieldPlan& field = plan->fields[i];
    Fill(*fields[i], &field);
    field.index = static_cast<std::uint32_t>(i);
    if (const auto* oneof = fields[i]->real_containing_oneof()) {
      field.oneof = static_cast<std::int32_t>(plan->size) + oneof->index();
    }
    if (field.number < kDenseNumbers) {
      plan->dense.resize(field.number + 1);
      plan->dense[field.number] = static_cast<std::uint32_t>(i + 1);
    } else {
      plan->dense_holds_all = false;
    }
    plan->AddName(field.json_name, field.index);
  }
  // Behind all the JSON names, which win.
  for (std::size_t i = 0; i < plan->size; ++i) {
    plan->AddName(fields[i]->name(), static_cast<std::uint32_t>(i));
  }
  plan->seen_words =
      (plan->size + static_cast<std::size_t>(type.real_oneof_decl_count()) + 63) / 64;
  return messages_.Insert(std::move(plan));
}

const MessagePlan& Plans::Resolve(const FieldPlan& field) const {
  const MessagePlan& plan = Of(*field.descriptor->message_type());
  field.message.store(&plan, std::memory_order_release);
  return plan;
}

const FieldPlan& Plans::Of(const FieldDescriptor& field) const {
  if (!field.is_extension()) {
    return *Of(*field.containing_type()).ByNumber(static_cast<std::uint32_t>(field.number()));
  }
  if (const FieldPlan* plan = extensions_.Find(&field)) return *plan;
  auto plan = std::make_unique<FieldPlan>();
  Fill(field, plan.get());
  return extensions_.Insert(std::move(plan));
}

const EnumPlan& Plans::Of(const EnumDescriptor& type) const {
  if (const EnumPlan* plan = enums_.Find(&type)) return *plan;
  return enums_.Insert(std::make_unique<EnumPlan>(&type));
}

}  // namespace rookery::internal::json
