#include "rpc/json/writer.h"

#include <bit>
#include <charconv>
#include <climits>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>

#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "absl/strings/str_cat.h"
#include "rpc/json/fault.h"
#include "rpc/json/text.h"
#include "runtime/abseil_strings.h"

namespace rookery::internal::json {
namespace {

using google::protobuf::DynamicMessageFactory;
using google::protobuf::MessageFactory;

// Behind the wire format stand so many zeros: a number that is cut off ends there, and not
// somewhere in memory.
constexpr std::size_t kSlack = 16;

constexpr std::uint32_t kLengthDelimited = 2;

// The bytes in an Any in an Any in an Any are parsed once a level: in all so often the message.
constexpr std::size_t kMostParses = 8;
constexpr std::size_t kFreeParses = std::size_t{1} << 20;

// Past the varint, or null for one of more than ten bytes. May step beyond the message's end, but
// not beyond the slack.
inline const char* Varint(const char* at, std::uint64_t* value) noexcept {
  std::uint64_t result = static_cast<unsigned char>(*at++);
  if (result < 0x80) {
    *value = result;
    return at;
  }
  result &= 0x7f;
  for (int shift = 7; shift < 70; shift += 7) {
    const std::uint64_t byte = static_cast<unsigned char>(*at++);
    result |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      *value = result;
      return at;
    }
  }
  return nullptr;
}

// Past the length, or null if it does not fit.
inline const char* Length(const char* at, const char* end, std::size_t* length) noexcept {
  std::uint64_t value = 0;
  at = Varint(at, &value);
  if (at == nullptr || at > end || value > static_cast<std::uint64_t>(end - at)) return nullptr;
  *length = static_cast<std::size_t>(value);
  return at;
}

inline const char* Tag(const char* at, const char* end, std::uint32_t* tag) noexcept {
  std::uint64_t value = 0;
  at = Varint(at, &value);
  if (at == nullptr || at > end) return nullptr;
  *tag = static_cast<std::uint32_t>(value);
  return at;
}

const char* SkipOther(std::uint32_t tag, const char* at, const char* end, int depth) noexcept;

// Past the value behind `tag`.
inline const char* Skip(std::uint32_t tag, const char* at, const char* end,
                        int depth = 0) noexcept {
  if ((tag & 7) != kLengthDelimited) return SkipOther(tag, at, end, depth);
  std::size_t length = 0;
  at = Length(at, end, &length);
  return at == nullptr ? nullptr : at + length;
}

const char* SkipOther(std::uint32_t tag, const char* at, const char* end, int depth) noexcept {
  switch (tag & 7) {
    case 0: {
      std::uint64_t ignored = 0;
      at = Varint(at, &ignored);
      return at == nullptr || at > end ? nullptr : at;
    }
    case 1:
      return end - at < 8 ? nullptr : at + 8;
    case 3: {
      if (depth == kJsonMaxDepth) return nullptr;
      while (at < end) {
        std::uint32_t inner = 0;
        at = Tag(at, end, &inner);
        if (at == nullptr) return nullptr;
        if (inner == tag + 1) return at;  // the group's end
        at = Skip(inner, at, end, depth + 1);
        if (at == nullptr) return nullptr;
      }
      return nullptr;
    }
    case 5:
      return end - at < 4 ? nullptr : at + 4;
    default:
      return nullptr;
  }
}

template <class Number>
Number Load(const char* at) noexcept {
  Number number;
  std::memcpy(&number, at, sizeof(number));
  if constexpr (std::endian::native == std::endian::big) {
    auto* bytes = reinterpret_cast<char*>(&number);
    for (std::size_t i = 0; i < sizeof(number) / 2; ++i) {
      std::swap(bytes[i], bytes[sizeof(number) - 1 - i]);
    }
  }
  return number;
}

template <class Int>
constexpr Int ZigZag(std::make_unsigned_t<Int> bits) noexcept {
  return static_cast<Int>((bits >> 1) ^ (~(bits & 1) + 1));
}

// Whether a value behind `tag` is one of the field's. If not it is an unknown field that happens to
// have the number.
inline bool Matches(const FieldPlan& field, std::uint32_t tag) noexcept {
  return tag == field.tag || (field.packable && (tag & 7) == kLengthDelimited);
}

// Serialises with zeros behind. False above protobuf's limit.
bool SerializeTo(const google::protobuf::Message& message, bool deterministic, Bytes* out) {
  const std::size_t size = message.ByteSizeLong();
  if (size > INT_MAX) return false;
  char* const at = out->Room(size + kSlack);
  if (deterministic) {
    google::protobuf::io::ArrayOutputStream array(at, static_cast<int>(size));
    google::protobuf::io::CodedOutputStream coded(&array);
    coded.SetSerializationDeterministic(true);
    message.SerializeWithCachedSizes(&coded);
  } else {
    message.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(at));
  }
  std::memset(at + size, 0, kSlack);
  out->End(at + size);
  return true;
}

}  // namespace

std::nullptr_t Writer::Fail(std::string_view reason) {
  fault_.reason = reason;
  return nullptr;
}

std::nullptr_t Writer::FailWire() {
  return Fail("the message changed while it was written, or its bytes are no message of its type");
}

bool Writer::Enter() {
  if (++depth_ <= kJsonMaxDepth) return true;
  Fail(absl::StrCat("nests deeper than ", kJsonMaxDepth, " levels"));
  return false;
}

bool Writer::Serialize(const google::protobuf::Message& message) {
  if (SerializeTo(message, options_.sort_map_keys, &wire_)) return true;
  too_large_ = true;
  Fail("is larger than 2 GiB");
  return false;
}

bool Writer::Message(const google::protobuf::Message& message) {
  if (!Serialize(message)) return false;
  const char* const at = wire_.data();
  return Typed(plans_.Of(*message.GetDescriptor()), at, at + wire_.size());
}

bool Writer::Field(const google::protobuf::Message& message, const FieldPlan& field) {
  if (!Serialize(message)) return false;
  const char* at = wire_.data();
  const char* const end = at + wire_.size();
  const std::size_t begin = out_.size();
  while (at < end) {
    std::uint32_t tag = 0;
    at = Tag(at, end, &tag);
    if (at == nullptr) return FailWire() != nullptr;
    if (tag >> 3 != field.number || !Matches(field, tag)) {
      at = Skip(tag, at, end);
      if (at == nullptr) return FailWire() != nullptr;
      continue;
    }
    bool first = true;
    at = FieldOf(field, tag, at, end, &first);
    if (at == nullptr) return false;
    if (first) continue;  // an unknown field with the number
    // Without the name and the colon.
    const std::size_t key = field.key_size[options_.preserve_proto_names ? 1 : 0] - 1;
    const std::size_t value = out_.size() - begin - key;
    std::memmove(out_.data() + begin, out_.data() + begin + key, value);
    out_.Truncate(begin + value);
    return true;
  }
  Default(field);
  return true;
}

bool Writer::Typed(const MessagePlan& plan, Place at, Place end) {
  switch (plan.known) {
    case WellKnown::kNone:
      return Object(plan, at, end);
    case WellKnown::kAny:
      return Any(plan, at, end);
    case WellKnown::kTimestamp:
    case WellKnown::kDuration:
      return Time(plan, at, end);
    case WellKnown::kFieldMask:
      return FieldMask(at, end);
    case WellKnown::kStruct:
      return Struct(plan, at, end);
    case WellKnown::kValue:
      return DynamicValue(plan, at, end);
    case WellKnown::kListValue:
      return ListValue(plan, at, end);
    case WellKnown::kWrapper:
      return Wrapper(plan, at, end);
  }
  return false;
}

bool Writer::Object(const MessagePlan& plan, Place at, Place end) {
  if (!Enter()) return false;
  out_.Put('{');
  if (Fields(plan, at, end, 0, true) == nullptr) return false;
  out_.Put('}');
  --depth_;
  return true;
}

Writer::Place Writer::Fields(const MessagePlan& plan, Place at, Place end, std::uint32_t group_end,
                             bool first) {
  std::size_t next = 0;  // all before have been written, or are not to be
  while (at < end) {
    std::uint32_t tag = 0;
    at = Tag(at, end, &tag);
    if (at == nullptr) return FailWire();
    if (tag == group_end && tag != 0) {
      group_end = 0;
      break;
    }
    const FieldPlan* field = plan.ByNumber(tag >> 3);
    if (field == nullptr && plan.extendable) {
      const FieldDescriptor* const extension =
          plan.descriptor->file()->pool()->FindExtensionByNumber(plan.descriptor,
                                                                 static_cast<int>(tag >> 3));
      if (extension != nullptr) field = &plans_.Of(*extension);
    }
    if (field == nullptr || !Matches(*field, tag)) {
      at = Skip(tag, at, end);
      if (at == nullptr) return FailWire();
      continue;
    }
    if (!options_.always_print_fields_with_no_presence) {
      at = FieldOf(*field, tag, at, end, &first);
      if (at == nullptr) return nullptr;
      continue;
    }
    // What was serialised is in the order of numbers, so that whatever was left out stands before.
    const bool own = field->index < plan.size && &plan.fields[field->index] == field;
    if (own && field->index > next) {
      DefaultsBetween(plan, next, field->index, &first);
      next = field->index;
    }
    const std::size_t before = out_.size();
    at = FieldOf(*field, tag, at, end, &first);
    if (at == nullptr) return nullptr;
    if (own && field->index == next && out_.size() != before) ++next;
  }
  if (group_end != 0) return FailWire();
  if (options_.always_print_fields_with_no_presence) {
    DefaultsBetween(plan, next, plan.size, &first);
  }
  return at;
}

void Writer::DefaultsBetween(const MessagePlan& plan, std::size_t from, std::size_t to,
                             bool* first) {
  for (std::size_t i = from; i < to; ++i) {
    if (plan.fields[i].has_presence) continue;
    Key(plan.fields[i], first);
    Default(plan.fields[i]);
  }
}

Writer::Place Writer::FieldOf(const FieldPlan& field, std::uint32_t tag, Place at, Place end,
                              bool* first) {
  if (field.map) {
    at = Entries(field, tag, at, end, first);
  } else if (field.repeated) {
    at = Elements(field, tag, at, end, first);
  } else if (field.closed_enum && IsUnknownEnum(field, at)) {
    return Skip(tag, at, end);
  } else {
    Key(field, first);
    at = Value(field, at, end);
  }
  if (at == nullptr) Under(field.json_name, &fault_);
  return at;
}

bool Writer::IsUnknownEnum(const FieldPlan& field, Place at) const noexcept {
  std::uint64_t bits = 0;
  return Varint(at, &bits) != nullptr &&
         field.enumeration->NameOf(static_cast<std::int32_t>(bits)).empty();
}

Writer::Place Writer::Elements(const FieldPlan& field, std::uint32_t tag, Place at, Place end,
                               bool* first) {
  if (!Enter()) return nullptr;
  bool open = false;
  std::size_t index = 0;
  const auto element = [&](Place from, Place stop) -> Place {
    if (field.closed_enum && IsUnknownEnum(field, from)) return Skip(0, from, stop);
    if (open) {
      out_.Put(',');
    } else {
      Key(field, first);
      out_.Put('[');
      open = true;
    }
    const Place after = Value(field, from, stop);
    if (after == nullptr) UnderIndex(index, &fault_);
    ++index;
    return after;
  };
  for (;;) {
    if (field.packable && (tag & 7) == kLengthDelimited) {
      std::size_t length = 0;
      at = Length(at, end, &length);
      if (at == nullptr) return FailWire();
      const Place stop = at + length;
      while (at < stop) {
        at = element(at, stop);
        if (at == nullptr) return nullptr;
      }
    } else {
      at = element(at, end);
      if (at == nullptr) return nullptr;
    }
    if (at >= end) break;
    std::uint32_t following = 0;
    const Place after = Tag(at, end, &following);
    if (after == nullptr || following >> 3 != field.number || !Matches(field, following)) break;
    at = after;
    tag = following;
  }
  if (open) out_.Put(']');
  --depth_;
  return at;
}

Writer::Place Writer::Entries(const FieldPlan& field, std::uint32_t tag, Place at, Place end,
                              bool* first) {
  if (!Enter()) return nullptr;
  bool open = false;
  for (;;) {
    at = Entry(field, at, end, [&] {
      if (open) {
        out_.Put(',');
      } else {
        Key(field, first);
        out_.Put('{');
        open = true;
      }
    });
    if (at == nullptr) return nullptr;
    if (at >= end) break;
    std::uint32_t following = 0;
    const Place after = Tag(at, end, &following);
    if (following != tag) break;
    at = after;
  }
  if (open) out_.Put('}');
  --depth_;
  return at;
}

template <class Begin>
Writer::Place Writer::Entry(const FieldPlan& field, Place at, Place end, const Begin& begin) {
  std::size_t length = 0;
  at = Length(at, end, &length);
  if (at == nullptr) return FailWire();
  const Place stop = at + length;
  const MessagePlan& entry = plans_.Of(field);
  const FieldPlan& key = entry.fields[0];
  const FieldPlan& value = entry.fields[1];
  Place key_at = nullptr;
  Place value_at = nullptr;
  // As everybody writes it: the key, the value, and nothing else.
  if (stop - at >= 2 && static_cast<unsigned char>(*at) == key.tag) {
    const Place after = Skip(key.tag, at + 1, stop);
    if (after != nullptr && after < stop && static_cast<unsigned char>(*after) == value.tag) {
      const Place beyond = Skip(value.tag, after + 1, stop);
      if (beyond == stop) {
        key_at = at + 1;
        value_at = after + 1;
        at = stop;
      }
    }
  }
  while (at < stop) {
    std::uint32_t tag = 0;
    at = Tag(at, stop, &tag);
    if (at == nullptr) return FailWire();
    if (tag == key.tag) {
      key_at = at;
    } else if (tag == value.tag) {
      value_at = at;
    }
    at = Skip(tag, at, stop);
    if (at == nullptr) return FailWire();
  }
  // An entry whose value is no value of a closed enum is an unknown field.
  if (value.closed_enum && value_at != nullptr && IsUnknownEnum(value, value_at)) return stop;
  begin();
  const std::size_t key_begin = out_.size();
  if (!MapKey(key, key_at, stop)) return nullptr;
  const std::size_t key_size = out_.size() - key_begin;
  out_.Put(':');
  bool written = true;
  if (value_at != nullptr) {
    written = Value(value, value_at, stop) != nullptr;
  } else if (value.descriptor->message_type() != nullptr) {
    written = Typed(plans_.Of(value), stop, stop);
  } else {
    Default(value);
  }
  if (!written) {
    UnderKey(out_.view().substr(key_begin + 1, key_size - 2), &fault_);
    return nullptr;
  }
  return stop;
}

bool Writer::MapKey(const FieldPlan& key, Place at, Place end) {
  if (key.type == FieldDescriptor::TYPE_STRING) {
    std::size_t length = 0;
    if (at == nullptr) return String({});
    at = Length(at, end, &length);
    return String({at, length});
  }
  const std::size_t begin = out_.size();
  out_.Put('"');
  if (at == nullptr) {
    out_.Put(key.type == FieldDescriptor::TYPE_BOOL ? "false" : "0");
  } else if (Value(key, at, end) == nullptr) {
    return false;
  }
  // Of 64 bits: it has its quotes already.
  if (out_.data()[begin + 1] == '"') {
    const std::size_t size = out_.size() - begin - 1;
    std::memmove(out_.data() + begin, out_.data() + begin + 1, size);
    out_.Truncate(begin + size);
  } else {
    out_.Put('"');
  }
  return true;
}

Writer::Place Writer::Value(const FieldPlan& field, Place at, Place end) {
  switch (field.type) {
    case FieldDescriptor::TYPE_INT32:
    case FieldDescriptor::TYPE_INT64:
    case FieldDescriptor::TYPE_UINT32:
    case FieldDescriptor::TYPE_UINT64:
    case FieldDescriptor::TYPE_SINT32:
    case FieldDescriptor::TYPE_SINT64:
    case FieldDescriptor::TYPE_BOOL:
    case FieldDescriptor::TYPE_ENUM: {
      std::uint64_t bits = 0;
      at = Varint(at, &bits);
      if (at == nullptr || at > end) return FailWire();
      VarintValue(field, bits);
      return at;
    }
    case FieldDescriptor::TYPE_FIXED32:
    case FieldDescriptor::TYPE_SFIXED32:
    case FieldDescriptor::TYPE_FLOAT:
      if (end - at < 4) return FailWire();
      if (field.type == FieldDescriptor::TYPE_FIXED32) {
        Int(Load<std::uint32_t>(at));
      } else if (field.type == FieldDescriptor::TYPE_SFIXED32) {
        Int(Load<std::int32_t>(at));
      } else {
        Floating(Load<float>(at));
      }
      return at + 4;
    case FieldDescriptor::TYPE_FIXED64:
    case FieldDescriptor::TYPE_SFIXED64:
    case FieldDescriptor::TYPE_DOUBLE:
      if (end - at < 8) return FailWire();
      if (field.type == FieldDescriptor::TYPE_FIXED64) {
        QuotedInt(Load<std::uint64_t>(at));
      } else if (field.type == FieldDescriptor::TYPE_SFIXED64) {
        QuotedInt(Load<std::int64_t>(at));
      } else {
        Floating(Load<double>(at));
      }
      return at + 8;
    case FieldDescriptor::TYPE_STRING:
    case FieldDescriptor::TYPE_BYTES:
    case FieldDescriptor::TYPE_MESSAGE: {
      std::size_t length = 0;
      at = Length(at, end, &length);
      if (at == nullptr) return FailWire();
      if (field.type == FieldDescriptor::TYPE_MESSAGE) {
        if (!Typed(plans_.Of(field), at, at + length)) return nullptr;
      } else if (field.type == FieldDescriptor::TYPE_STRING) {
        if (!String({at, length})) return nullptr;
      } else {
        AppendBase64({at, length}, &out_);
      }
      return at + length;
    }
    case FieldDescriptor::TYPE_GROUP: {
      if (!Enter()) return nullptr;
      out_.Put('{');
      at = Fields(plans_.Of(field), at, end, field.tag + 1, true);
      out_.Put('}');
      --depth_;
      return at;
    }
  }
  return FailWire();
}

void Writer::VarintValue(const FieldPlan& field, std::uint64_t bits) {
  switch (field.type) {
    case FieldDescriptor::TYPE_INT32:
      return Int(static_cast<std::int32_t>(bits));
    case FieldDescriptor::TYPE_UINT32:
      return Int(static_cast<std::uint32_t>(bits));
    case FieldDescriptor::TYPE_SINT32:
      return Int(ZigZag<std::int32_t>(static_cast<std::uint32_t>(bits)));
    case FieldDescriptor::TYPE_INT64:
      return QuotedInt(static_cast<std::int64_t>(bits));
    case FieldDescriptor::TYPE_UINT64:
      return QuotedInt(bits);
    case FieldDescriptor::TYPE_SINT64:
      return QuotedInt(ZigZag<std::int64_t>(bits));
    case FieldDescriptor::TYPE_BOOL:
      return out_.Put(bits != 0 ? "true" : "false");
    default:
      return Enum(field, static_cast<std::int32_t>(bits));
  }
}

void Writer::Default(const FieldPlan& field) {
  const FieldDescriptor& descriptor = *field.descriptor;
  if (field.map) return out_.Put("{}");
  if (field.repeated) return out_.Put("[]");
  switch (descriptor.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return Int(descriptor.default_value_int32());
    case FieldDescriptor::CPPTYPE_UINT32:
      return Int(descriptor.default_value_uint32());
    case FieldDescriptor::CPPTYPE_INT64:
      return QuotedInt(descriptor.default_value_int64());
    case FieldDescriptor::CPPTYPE_UINT64:
      return QuotedInt(descriptor.default_value_uint64());
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return Floating(descriptor.default_value_double());
    case FieldDescriptor::CPPTYPE_FLOAT:
      return Floating(descriptor.default_value_float());
    case FieldDescriptor::CPPTYPE_BOOL:
      return out_.Put(descriptor.default_value_bool() ? "true" : "false");
    case FieldDescriptor::CPPTYPE_ENUM:
      return Enum(field, descriptor.default_value_enum()->number());
    case FieldDescriptor::CPPTYPE_STRING:
      if (field.type == FieldDescriptor::TYPE_BYTES) {
        AppendBase64(descriptor.default_value_string(), &out_);
      } else {
        AppendQuoted(descriptor.default_value_string(), &out_);
      }
      return;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return out_.Put("null");
  }
}

// ---- scalars ------------------------------------------------------------------------------------

void Writer::Key(const FieldPlan& field, bool* first) {
  // The comma in front is left out of the first.
  const std::size_t which = options_.preserve_proto_names ? 1 : 0;
  const std::size_t skip = *first ? 1 : 0;
  const std::size_t size = field.key_size[which] - skip;
  if (size <= Bytes::kShort) {
    out_.PutShort(field.key[which].data() + skip, size);
  } else {
    out_.Put({field.key[which].data() + skip, size});
  }
  *first = false;
}

void Writer::Enum(const FieldPlan& field, std::int32_t number) {
  if (field.enumeration->is_null_value) return out_.Put("null");
  if (!options_.enums_as_numbers) {
    const std::string_view name = field.enumeration->NameOf(number);
    if (!name.empty()) return out_.Put(name);
  }
  Int(number);
}

bool Writer::String(std::string_view text) {
  if (AppendQuoted(text, &out_)) return true;
  Fail("is not UTF-8; text that is not belongs into a bytes field");
  return false;
}

template <class Number>
void Writer::Int(Number number) {
  out_.End(FormatInteger(number, out_.Room(kNumberRoom)));
}

template <class Number>
void Writer::QuotedInt(Number number) {
  char* at = out_.Room(kNumberRoom);
  *at++ = '"';
  at = FormatInteger(number, at);
  *at++ = '"';
  out_.End(at);
}

template <class Float>
void Writer::Floating(Float value) {
  if (!std::isfinite(value)) {
    return out_.Put(std::isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
  }
  char* const at = out_.Room(kNumberRoom);
  if constexpr (sizeof(Float) == sizeof(float)) {
    out_.End(FormatFloat(value, at));
  } else {
    out_.End(FormatDouble(value, at));
  }
}

// ---- well-known types ---------------------------------------------------------------------------

bool Writer::Time(const MessagePlan& plan, Place at, Place end) {
  std::int64_t seconds = 0;
  std::int32_t nanos = 0;
  while (at < end) {
    std::uint32_t tag = 0;
    std::uint64_t bits = 0;
    at = Tag(at, end, &tag);
    if (at == nullptr) return FailWire() != nullptr;
    if (tag != plan.fields[0].tag && tag != plan.fields[1].tag) {
      at = Skip(tag, at, end);
    } else {
      at = Varint(at, &bits);
      if (tag == plan.fields[0].tag) {
        seconds = static_cast<std::int64_t>(bits);
      } else {
        nanos = static_cast<std::int32_t>(bits);
      }
    }
    if (at == nullptr || at > end) return FailWire() != nullptr;
  }
  char* out = out_.Room(kNumberRoom);
  const bool timestamp = plan.known == WellKnown::kTimestamp;
  out = timestamp ? FormatTimestamp(seconds, nanos, out) : FormatDuration(seconds, nanos, out);
  if (out == nullptr) {
    Fail(absl::StrCat(seconds, " seconds and ", nanos, " nanoseconds are no ",
                      timestamp ? "time within the years 0001 to 9999"
                                : "duration within 10,000 years, with signs that agree"));
    return false;
  }
  out_.End(out);
  return true;
}

bool Writer::FieldMask(Place at, Place end) {
  out_.Put('"');
  bool first = true;
  std::string camel;
  while (at < end) {
    std::uint32_t tag = 0;
    std::size_t length = 0;
    at = Tag(at, end, &tag);
    if (at == nullptr) return FailWire() != nullptr;
    if (tag != (1 << 3 | kLengthDelimited)) {
      at = Skip(tag, at, end);
      if (at == nullptr) return FailWire() != nullptr;
      continue;
    }
    at = Length(at, end, &length);
    if (at == nullptr) return FailWire() != nullptr;
    const std::string_view path(at, length);
    if (!CamelPath(path, &camel)) {
      Fail(absl::StrCat("\"", Shown(path),
                        "\" is no path in lower_snake_case, and would not come back the same"));
      return false;
    }
    if (!first) out_.Put(',');
    first = false;
    out_.Put(camel);
    at += length;
  }
  out_.Put('"');
  return true;
}

bool Writer::Struct(const MessagePlan& plan, Place at, Place end) {
  if (!Enter()) return false;
  out_.Put('{');
  bool first = true;
  while (at < end) {
    std::uint32_t tag = 0;
    at = Tag(at, end, &tag);
    if (at == nullptr) return FailWire() != nullptr;
    if (tag != plan.fields[0].tag) {
      at = Skip(tag, at, end);
      if (at == nullptr) return FailWire() != nullptr;
      continue;
    }
    at = Entry(plan.fields[0], at, end, [&] {
      if (!first) out_.Put(',');
      first = false;
    });
    if (at == nullptr) return false;
  }
  out_.Put('}');
  --depth_;
  return true;
}

bool Writer::ListValue(const MessagePlan& plan, Place at, Place end) {
  if (!Enter()) return false;
  out_.Put('[');
  std::size_t index = 0;
  while (at < end) {
    std::uint32_t tag = 0;
    at = Tag(at, end, &tag);
    if (at == nullptr) return FailWire() != nullptr;
    if (tag != plan.fields[0].tag) {
      at = Skip(tag, at, end);
      if (at == nullptr) return FailWire() != nullptr;
      continue;
    }
    if (index != 0) out_.Put(',');
    at = Value(plan.fields[0], at, end);
    if (at == nullptr) {
      UnderIndex(index, &fault_);
      return false;
    }
    ++index;
  }
  out_.Put(']');
  --depth_;
  return true;
}

bool Writer::DynamicValue(const MessagePlan& plan, Place at, Place end) {
  while (at < end) {
    std::uint32_t tag = 0;
    at = Tag(at, end, &tag);
    if (at == nullptr) return FailWire() != nullptr;
    const FieldPlan* const kind = plan.ByNumber(tag >> 3);
    if (kind == nullptr || kind->tag != tag) {
      at = Skip(tag, at, end);
      if (at == nullptr) return FailWire() != nullptr;
      continue;
    }
    if (kind->type == FieldDescriptor::TYPE_DOUBLE && end - at >= 8 &&
        !std::isfinite(Load<double>(at))) {
      Fail("a google.protobuf.Value cannot be NaN or infinite: JSON has no such number");
      return false;
    }
    return Value(*kind, at, end) != nullptr;
  }
  Fail("a google.protobuf.Value has none of its kinds set; JSON's null is null_value");
  return false;
}

bool Writer::Wrapper(const MessagePlan& plan, Place at, Place end) {
  const FieldPlan& value = plan.fields[0];
  while (at < end) {
    std::uint32_t tag = 0;
    at = Tag(at, end, &tag);
    if (at == nullptr) return FailWire() != nullptr;
    if (tag == value.tag) return Value(value, at, end) != nullptr;
    at = Skip(tag, at, end);
    if (at == nullptr) return FailWire() != nullptr;
  }
  Default(value);
  return true;
}

bool Writer::Any(const MessagePlan& plan, Place at, Place end) {
  std::string_view url;
  std::string_view value;
  while (at < end) {
    std::uint32_t tag = 0;
    at = Tag(at, end, &tag);
    if (at == nullptr) return FailWire() != nullptr;
    if (tag == plan.fields[0].tag || tag == plan.fields[1].tag) {
      std::size_t length = 0;
      at = Length(at, end, &length);
      if (at == nullptr) return FailWire() != nullptr;
      (tag == plan.fields[0].tag ? url : value) = {at, length};
      at += length;
    } else {
      at = Skip(tag, at, end);
      if (at == nullptr) return FailWire() != nullptr;
    }
  }
  if (url.empty() && value.empty()) {
    out_.Put("{}");
    return true;
  }
  if (!Enter()) return false;
  out_.Put("{\"@type\":");
  if (!String(url)) {
    Under("@type", &fault_);
    return false;
  }
  any_bytes_ += value.size();
  if (any_bytes_ > kFreeParses + kMostParses * wire_.size()) {
    Fail("holds too many an Any within an Any");
    return false;
  }
  const std::size_t slash = url.rfind('/');
  const std::string name(slash == std::string_view::npos ? "" : url.substr(slash + 1));
  const Descriptor* const type = name.empty() ? nullptr : plans_.pool().FindMessageTypeByName(name);

  // Whoever filled the Any may have used any order of fields, and written some twice: a message of
  // the type tells what is meant.
  Bytes content;
  std::string_view broken;
  if (type == nullptr) {
    broken = "is no message type that this program knows";
  } else {
    // Before the message, which refers to it.
    DynamicMessageFactory dynamic(&plans_.pool());
    const google::protobuf::Message* prototype = nullptr;
    if (type->file()->pool() == DescriptorPool::generated_pool()) {
      prototype = MessageFactory::generated_factory()->GetPrototype(type);
    }
    if (prototype == nullptr) prototype = dynamic.GetPrototype(type);
    const std::unique_ptr<google::protobuf::Message> message(prototype->New());
    if (!message->ParsePartialFromArray(value.data(), static_cast<int>(value.size()))) {
      broken = "does not describe the bytes of the value";
    } else if (!SerializeTo(*message, options_.sort_map_keys, &content)) {
      broken = "is larger than 2 GiB";
    }
  }
  if (!broken.empty()) {
    if (!options_.unknown_any_as_base64) {
      Fail(absl::StrCat("\"", Shown(url), "\" ", Abs(broken)));
      Under("@type", &fault_);
      return false;
    }
    out_.Put(",\"value\":");
    AppendBase64(value, &out_);
  } else {
    const MessagePlan& inner = plans_.Of(*type);
    const char* const begin = content.data();
    if (inner.known == WellKnown::kNone) {
      if (Fields(inner, begin, begin + content.size(), 0, false) == nullptr) return false;
    } else {
      out_.Put(",\"value\":");
      if (!Typed(inner, begin, begin + content.size())) {
        Under("value", &fault_);
        return false;
      }
    }
  }
  out_.Put('}');
  --depth_;
  return true;
}

}  // namespace rookery::internal::json
