#include "rpc/json/reader.h"

#include <algorithm>
#include <bit>
#include <climits>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "rpc/json/fault.h"
#include "rpc/json/text.h"
#include "rpc/utf8.h"
#include "runtime/abseil_strings.h"

namespace rookery::internal::json {
namespace {

// With more text than this to come a message's length gets all the room it may need at once: moving
// a large message up costs its size, at each of a hundred levels.
constexpr std::size_t kLongRest = 16'384;
constexpr std::uint8_t kWideLength = 5;
// And up to here it is moved back, to make the length short.
constexpr std::size_t kShortMessage = 256;

// How often all of the text may be looked through for the types of Any.
constexpr std::size_t kMostSearches = 8;
constexpr std::size_t kFreeSearches = std::size_t{1} << 20;

constexpr std::string_view kTooDeep = "nests messages deeper than protobuf reads them (100)";

bool IsSpace(char c) noexcept { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
bool IsDigit(char c) noexcept { return c >= '0' && c <= '9'; }

char* PutVarint(std::uint64_t value, char* at) noexcept {
  for (; value >= 0x80; value >>= 7) *at++ = static_cast<char>(value | 0x80);
  *at++ = static_cast<char>(value);
  return at;
}

// As four bytes that go on and a fifth that does not.
void PutWide(std::uint32_t value, char* at) noexcept {
  for (int i = 0; i < 4; ++i, value >>= 7) *at++ = static_cast<char>(value | 0x80);
  *at = static_cast<char>(value);
}

// The keys that a map has had.
class Keys final {
 public:
  // False if one that hashes alike is there; *where is what came with it.
  bool Add(std::uint64_t hash, std::uint32_t here, std::uint32_t* where) {
    if (many_.empty()) {
      for (const auto& [known, at] : few_) {
        if (known != hash) continue;
        *where = at;
        return false;
      }
      if (few_.size() < kFew) {
        few_.emplace_back(hash, here);
        return true;
      }
      many_.insert(few_.begin(), few_.end());
    }
    const auto [found, added] = many_.try_emplace(hash, here);
    *where = found->second;
    return added;
  }

 private:
  static constexpr std::size_t kFew = 8;
  absl::InlinedVector<std::pair<std::uint64_t, std::uint32_t>, kFew> few_;
  absl::flat_hash_map<std::uint64_t, std::uint32_t> many_;
};

}  // namespace

// ---- faults -------------------------------------------------------------------------------------

bool Reader::Fail(std::string_view reason) {
  fault_.reason = reason;
  return false;
}

bool Reader::Syntax(std::string_view reason) {
  const std::size_t place = at_ == end_ ? size_ : *at_;
  const std::string_view before(text_, place);
  const std::size_t line = before.rfind('\n') + 1;  // npos + 1 is 0
  return Fail(absl::StrCat(Abs(reason), " at line ",
                           1 + std::count(before.begin(), before.end(), '\n'), ", column ",
                           place - line + 1));
}

bool Reader::Expected(std::string_view what) {
  std::string found;
  switch (Peek()) {
    case '\0':
      if (at_ == end_) return Syntax(absl::StrCat("expected ", Abs(what), ", but the text ends"));
      found = "a null byte";
      break;
    case '{':
      found = "an object";
      break;
    case '[':
      found = "a list";
      break;
    case '}':
    case ']':
    case ',':
    case ':':
      return Syntax(absl::StrCat("expected ", Abs(what), ", got '", Abs(Token()), "'"));
    case '"': {
      const std::string_view token = Token();
      found = absl::StrCat("\"", Shown(token.substr(1, token.size() - 2)), "\"");
      break;
    }
    default:
      found = Shown(Token());
  }
  return Fail(absl::StrCat("expected ", Abs(what), ", got ", found));
}

bool Reader::OutOfRange(std::string_view text, const char* type) {
  return Fail(absl::StrCat(Shown(text), " is out of range for ", type));
}

// ---- tokens -------------------------------------------------------------------------------------

bool Reader::Begin(std::string_view json) {
  using Fault = JsonStructure::Fault;
  text_ = json.data();
  size_ = json.size();
  const Fault fault = structure_.Index(json);
  switch (fault) {
    case Fault::kNone:
      break;
    case Fault::kEmpty:
      return Fail("the text is empty, where JSON is expected");
    case Fault::kOpenString:
      return Fail("the text ends within a string");
    case Fault::kControl:
      return Fail("a string holds a control character, which is written \\u00XX");
    case Fault::kTooLarge:
      too_large_ = true;
      return Fail("the text is larger than 2 GiB");
    case Fault::kUtf8: {
      std::string_view rest = json;
      while (const std::size_t length = Utf8CharacterLength(rest)) rest.remove_prefix(length);
      return Fail(absl::StrCat("the text is not UTF-8, at byte ", json.size() - rest.size()));
    }
  }
  if (json.starts_with("\xef\xbb\xbf")) {
    return Fail("the text begins with a byte order mark, which JSON does not have");
  }
  at_ = structure_.tokens().data();
  end_ = at_ + structure_.tokens().size();
  return true;
}

bool Reader::Finish() {
  if (at_ != end_) return Syntax("there is more behind the value");
  if (wire_.size() > INT_MAX) {
    too_large_ = true;
    return Fail("the message is larger than 2 GiB");
  }
  return true;
}

std::string_view Reader::Token() const noexcept {
  const std::size_t begin = *at_;
  std::size_t end = at_[1];
  while (end > begin + 1 && IsSpace(text_[end - 1])) --end;
  return {text_ + begin, end - begin};
}

bool Reader::String(std::string_view* content) {
  if (Peek() != '"') return Expected("a string");
  const std::string_view token = Token();
  if (token.size() < 2 || token.back() != '"') return Syntax("the string has no end");
  const std::string_view inside = token.substr(1, token.size() - 2);
  if (inside.empty() || std::memchr(inside.data(), '\\', inside.size()) == nullptr) {
    *content = inside;
  } else {
    std::string_view why;
    if (!Unescape(inside, &scratch_, &why)) return Syntax(why);
    *content = scratch_;
  }
  Advance();
  return true;
}

bool Reader::More(char close, bool* failed) {
  const char c = Peek();
  if (c == ',') {
    Advance();
    if (wire_.size() <= INT_MAX) return true;
    too_large_ = true;
    *failed = true;
    return Fail("the message is larger than 2 GiB");
  }
  if (c == close) {
    Advance();
    --depth_;
    return false;
  }
  *failed = true;
  return Syntax(close == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
}

bool Reader::Enter() {
  if (++depth_ <= max_depth_) {
    Advance();
    return true;
  }
  return Fail(absl::StrCat("nests deeper than ", max_depth_, " levels"));
}

bool Reader::Skip() {
  bool failed = false;
  std::string_view ignored;
  switch (Peek()) {
    case '{':
      if (!Enter()) return false;
      if (Peek() == '}') {
        Advance();
        --depth_;
        return true;
      }
      do {
        if (Peek() != '"') return Syntax("expected a name in quotes");
        if (!String(&ignored)) return false;
        if (Peek() != ':') return Syntax("expected ':'");
        Advance();
        if (!Skip()) return false;
      } while (More('}', &failed));
      return !failed;
    case '[':
      if (!Enter()) return false;
      if (Peek() == ']') {
        Advance();
        --depth_;
        return true;
      }
      do {
        if (!Skip()) return false;
      } while (More(']', &failed));
      return !failed;
    case '"':
      return String(&ignored);
    case 't':
    case 'f':
    case 'n': {
      const std::string_view word = Token();
      if (word != "true" && word != "false" && word != "null") return Expected("a value");
      Advance();
      return true;
    }
    default: {
      double number = 0;
      if (at_ == end_ || ParseDouble(Token(), &number) == NumberFault::kSyntax) {
        return Expected("a value");
      }
      Advance();
      return true;
    }
  }
}

// ---- messages -----------------------------------------------------------------------------------

bool Reader::Message(std::string_view json, const MessagePlan& plan) {
  return Begin(json) && Typed(plan) && Finish();
}

bool Reader::FieldValue(std::string_view json, const FieldPlan& field) {
  if (!Begin(json)) return false;
  if (Field(field, nullptr)) return Finish();
  Under(field.json_name, &fault_);
  return false;
}

bool Reader::Typed(const MessagePlan& plan) {
  switch (plan.known) {
    case WellKnown::kNone:
      return Object(plan, false);
    case WellKnown::kAny:
      return Any(plan);
    case WellKnown::kTimestamp:
    case WellKnown::kDuration:
      return Time(plan);
    case WellKnown::kFieldMask:
      return FieldMask();
    case WellKnown::kStruct:
      return Map(plan.fields[0]);
    case WellKnown::kValue:
      return DynamicValue(plan);
    case WellKnown::kListValue:
      return List(plan.fields[0]);
    case WellKnown::kWrapper:
      return Singular(plan.fields[0], true, false) != Outcome::kFailed;
  }
  return false;
}

bool Reader::Object(const MessagePlan& plan, bool in_any) {
  if (Peek() != '{') return Expected("an object");
  if (!Enter()) return false;
  if (Peek() == '}') {
    Advance();
    --depth_;
    return true;
  }
  Seen seen;
  seen.bits.resize(plan.seen_words);
  bool had_type = false;
  bool failed = false;
  // Most peers write the fields in the order of the proto file: try the next one first.
  std::size_t guess = 0;
  do {
    if (Peek() != '"') return Syntax("expected a name in quotes");
    const FieldPlan* field = nullptr;
    std::string_view name;
    const std::string_view token = Token();
    if (guess < plan.size && plan.fields[guess].plain_name &&
        plan.fields[guess].json_name.size() + 2 == token.size() &&
        std::memcmp(token.data() + 1, plan.fields[guess].json_name.data(), token.size() - 2) == 0) {
      field = &plan.fields[guess];
      Advance();
    } else {
      if (!String(&name)) return false;
      field = plan.ByName(name);
    }
    if (Peek() != ':') return Syntax("expected ':'");
    Advance();
    if (field != nullptr) {
      guess = field->index + 1;
      std::uint64_t& word = seen.bits[field->index / 64];
      const std::uint64_t bit = std::uint64_t{1} << (field->index % 64);
      if ((word & bit) != 0) {
        Fail("appears twice");
      } else {
        word |= bit;
        if (Field(*field, &seen)) continue;
      }
      Under(field->json_name, &fault_);
      return false;
    }
    if (in_any && name == "@type") {
      if (had_type) return Fail("\"@type\" appears twice");
      had_type = true;
      Advance();  // a string, which FindType() has read
    } else if (!Named(plan, name, in_any, &seen)) {
      return false;
    }
  } while (More('}', &failed));
  return !failed;
}

// A member that is no field of the message itself.
bool Reader::Named(const MessagePlan& plan, std::string_view name, bool in_any, Seen* seen) {
  if (plan.extendable && name.size() > 2 && name.starts_with('[') && name.ends_with(']')) {
    const FieldDescriptor* const extension =
        plan.descriptor->file()->pool()->FindExtensionByPrintableName(
            plan.descriptor, std::string(name.substr(1, name.size() - 2)));
    if (extension != nullptr) {
      const FieldPlan& field = plans_.Of(*extension);
      if (std::find(seen->extensions.begin(), seen->extensions.end(), field.number) !=
          seen->extensions.end()) {
        Fail("appears twice");
      } else {
        seen->extensions.push_back(field.number);
        if (Field(field, nullptr)) return true;
      }
      Under(field.json_name, &fault_);
      return false;
    }
  }
  // Some write Empty in an Any as the well-known type that it is.
  if (in_any && name == "value" && plan.size == 0 &&
      plan.descriptor->full_name() == "google.protobuf.Empty") {
    return Object(plan, false);
  }
  if (ignore_unknown_) return Skip();
  return Fail(
      absl::StrCat("there is no field \"", Shown(name), "\" in ", plan.descriptor->full_name()));
}

bool Reader::Field(const FieldPlan& field, Seen* seen) {
  const bool single = !field.repeated && !field.map;
  if (IsNull() && !(field.takes_null && single)) {
    Advance();
    return true;
  }
  if (field.oneof >= 0 && seen != nullptr) {
    const auto index = static_cast<std::size_t>(field.oneof);
    std::uint64_t& word = seen->bits[index / 64];
    const std::uint64_t bit = std::uint64_t{1} << (index % 64);
    if ((word & bit) != 0) {
      return Fail(absl::StrCat("another field of the oneof \"",
                               field.descriptor->containing_oneof()->name(), "\" is set already"));
    }
    word |= bit;
  }
  if (field.map) return Map(field);
  if (field.repeated) return List(field);
  return Singular(field, true, field.has_presence) != Outcome::kFailed;
}

bool Reader::List(const FieldPlan& field) {
  if (Peek() != '[') return Expected("a list");
  if (!Enter()) return false;
  if (Peek() == ']') {
    Advance();
    --depth_;
    return true;
  }
  const std::size_t before = wire_.size();
  Opened opened{};
  std::size_t content = 0;
  if (field.packed) {
    char* const at = wire_.Room(sizeof(field.packed_tag_bytes));
    std::memcpy(at, field.packed_tag_bytes, sizeof(field.packed_tag_bytes));
    wire_.End(at + field.tag_size);
    opened = Open();
    content = wire_.size();
  }
  std::size_t index = 0;
  bool failed = false;
  do {
    if (!field.takes_null && IsNull()) {
      Fail("null is no element of a list");
    } else if (Singular(field, !field.packed, true) != Outcome::kFailed) {
      ++index;
      continue;
    }
    UnderIndex(index, &fault_);
    return false;
  } while (More(']', &failed));
  if (failed) return false;
  if (!field.packed) return true;
  if (wire_.size() == content) {
    wire_.Truncate(before);
    return true;
  }
  return Close(opened);
}

bool Reader::Map(const FieldPlan& field) {
  if (Peek() != '{') return Expected("an object");
  if (!Enter()) return false;
  if (Peek() == '}') {
    Advance();
    --depth_;
    return true;
  }
  const MessagePlan& entry = plans_.Of(field);
  const FieldPlan& key = entry.fields[0];
  const FieldPlan& value = entry.fields[1];
  Keys keys;
  bool failed = false;
  do {
    if (Peek() != '"') return Syntax("expected a key in quotes");
    const std::uint32_t place = *at_;
    std::string_view name;
    if (!String(&name)) return false;
    const std::size_t before = wire_.size();
    Tag(field);
    if (!EnterMessage()) return false;
    const Opened opened = Open();
    const std::size_t content = wire_.size();
    if (!MapKey(key, name)) {
      UnderKey(name, &fault_);
      return false;
    }
    // What is on the wire tells keys apart, however they were spelled.
    const std::string_view spelled = wire_.view().substr(content);
    std::uint32_t earlier = 0;
    if (!keys.Add(absl::Hash<absl::string_view>()(Abs(spelled)), place, &earlier)) {
      std::string other;
      std::string_view why;
      const std::string_view quoted(text_ + earlier + 1, size_ - earlier - 1);
      std::size_t length = 0;
      while (quoted[length] != '"') length += quoted[length] == '\\' ? 2 : 1;
      const bool is_text = key.type == FieldDescriptor::TYPE_STRING;
      if (!is_text || (Unescape(quoted.substr(0, length), &other, &why) && other == name)) {
        Fail("appears twice");
        UnderKey(name, &fault_);
        return false;
      }
    }
    if (Peek() != ':') return Syntax("expected ':'");
    Advance();
    Outcome outcome = Outcome::kFailed;
    if (IsNull() && !value.takes_null) {
      Fail("null is no value of a map");
    } else {
      outcome = Singular(value, true, true);
    }
    if (outcome == Outcome::kFailed) {
      // The name may have gone with the value's strings.
      std::string again;
      std::string_view why;
      const std::string_view quoted(text_ + place + 1, size_ - place - 1);
      std::size_t length = 0;
      while (quoted[length] != '"') length += quoted[length] == '\\' ? 2 : 1;
      if (Unescape(quoted.substr(0, length), &again, &why)) UnderKey(again, &fault_);
      return false;
    }
    --messages_;
    if (outcome == Outcome::kIgnored) {
      wire_.Truncate(before);
    } else if (!Close(opened)) {
      return false;
    }
  } while (More('}', &failed));
  return !failed;
}

bool Reader::MapKey(const FieldPlan& key, std::string_view name) {
  if (key.type == FieldDescriptor::TYPE_STRING) {
    Delimited(key, name);
    return true;
  }
  if (key.type == FieldDescriptor::TYPE_BOOL) {
    if (name != "true" && name != "false") {
      return Fail("is no key of a map by bool: \"true\" or \"false\"");
    }
    Tag(key);
    Varint(name == "true" ? 1 : 0);
    return true;
  }
  // The string has been read; its content is a number like any other.
  --at_;
  return Singular(key, true, true) != Outcome::kFailed;
}

// ---- values -------------------------------------------------------------------------------------

bool Reader::NumberText(std::string_view* text) {
  const char c = Peek();
  if (c == '"') return String(text);
  if (c != '-' && !IsDigit(c)) return Expected("a number");
  *text = Token();
  Advance();
  return true;
}

bool Reader::Integer(const char* type, bool is_signed, int bits, std::uint64_t* value) {
  std::string_view text;
  if (!NumberText(&text)) return false;
  bool negative = text.starts_with('-');
  std::uint64_t magnitude = 0;
  std::size_t i = negative ? 1 : 0;
  const std::size_t begin = i;
  // Eighteen digits never overflow.
  const std::size_t most = std::min(text.size(), begin + 18);
  for (; i < most && IsDigit(text[i]); ++i) {
    magnitude = magnitude * 10 + static_cast<std::uint64_t>(text[i] - '0');
  }
  if (i != text.size() || i == begin || (text[begin] == '0' && i - begin > 1)) {
    switch (ParseInteger(text, &negative, &magnitude)) {
      case NumberFault::kNone:
        break;
      case NumberFault::kSyntax:
        return Fail(absl::StrCat("\"", Shown(text), "\" is no number"));
      case NumberFault::kFraction:
        return Fail(absl::StrCat(Shown(text), " is no whole number, as ", type, " has them"));
      case NumberFault::kRange:
        return OutOfRange(text, type);
    }
  }
  const std::uint64_t greatest =
      std::numeric_limits<std::uint64_t>::max() >> (64 - bits + (is_signed ? 1 : 0));
  const std::uint64_t least = is_signed ? greatest + 1 : 0;  // below zero
  if (magnitude > (negative ? least : greatest)) return OutOfRange(text, type);
  *value = negative ? ~magnitude + 1 : magnitude;
  return true;
}

template <class Float>
bool Reader::Floating(Float* value) {
  const bool quoted = Peek() == '"';
  std::string_view text;
  if (!NumberText(&text)) return false;
  if (quoted) {
    constexpr Float kInfinity = std::numeric_limits<Float>::infinity();
    if (text == "NaN") {
      *value = std::numeric_limits<Float>::quiet_NaN();
      return true;
    }
    if (text == "Infinity" || text == "-Infinity") {
      *value = text[0] == '-' ? -kInfinity : kInfinity;
      return true;
    }
  }
  NumberFault fault = NumberFault::kNone;
  if constexpr (sizeof(Float) == sizeof(float)) {
    fault = ParseFloat(text, value);
  } else {
    fault = ParseDouble(text, value);
  }
  if (fault == NumberFault::kNone) return true;
  if (fault == NumberFault::kRange) {
    return OutOfRange(text, sizeof(Float) == sizeof(float) ? "float" : "double");
  }
  return Fail(absl::StrCat("\"", Shown(text), "\" is no number"));
}

Reader::Outcome Reader::Enum(const FieldPlan& field, std::int32_t* number) {
  if (field.takes_null && IsNull()) {
    Advance();
    *number = 0;
    return Outcome::kWritten;
  }
  if (Peek() == '"') {
    std::string_view name;
    if (!String(&name)) return Outcome::kFailed;
    if (const std::int32_t* known = field.enumeration->NumberOf(name)) {
      *number = *known;
      return Outcome::kWritten;
    }
    if (ignore_unknown_) return Outcome::kIgnored;
    Fail(absl::StrCat("there is no value \"", Shown(name), "\" in ",
                      field.enumeration->descriptor->full_name()));
    return Outcome::kFailed;
  }
  const char c = Peek();
  if (c != '-' && !IsDigit(c)) {
    Expected(absl::StrCat("a name or number of ", field.enumeration->descriptor->full_name()));
    return Outcome::kFailed;
  }
  std::uint64_t value = 0;
  if (!Integer("an enum", true, 32, &value)) return Outcome::kFailed;
  *number = static_cast<std::int32_t>(value);
  if (field.closed_enum && field.enumeration->NameOf(*number).empty()) {
    if (ignore_unknown_) return Outcome::kIgnored;
    Fail(absl::StrCat("there is no value ", *number, " in ",
                      field.enumeration->descriptor->full_name()));
    return Outcome::kFailed;
  }
  return Outcome::kWritten;
}

Reader::Outcome Reader::Singular(const FieldPlan& field, bool tagged, bool keep_zero) {
  const auto varint = [&](std::uint64_t value) {
    if (value != 0 || keep_zero) {
      if (tagged) Tag(field);
      Varint(value);
    }
    return Outcome::kWritten;
  };
  const auto fixed = [&](auto number) {
    if (number != 0 || keep_zero) {
      if (tagged) Tag(field);
      Fixed(number);
    }
    return Outcome::kWritten;
  };
  std::uint64_t value = 0;
  switch (field.type) {
    case FieldDescriptor::TYPE_INT32:
      return Integer("int32", true, 32, &value) ? varint(value) : Outcome::kFailed;
    case FieldDescriptor::TYPE_INT64:
      return Integer("int64", true, 64, &value) ? varint(value) : Outcome::kFailed;
    case FieldDescriptor::TYPE_UINT32:
      return Integer("uint32", false, 32, &value) ? varint(value) : Outcome::kFailed;
    case FieldDescriptor::TYPE_UINT64:
      return Integer("uint64", false, 64, &value) ? varint(value) : Outcome::kFailed;
    case FieldDescriptor::TYPE_SINT32: {
      if (!Integer("sint32", true, 32, &value)) return Outcome::kFailed;
      const auto bits = static_cast<std::uint32_t>(value);
      return varint(std::uint32_t{(bits << 1) ^ (~(bits >> 31) + 1)});
    }
    case FieldDescriptor::TYPE_SINT64:
      if (!Integer("sint64", true, 64, &value)) return Outcome::kFailed;
      return varint((value << 1) ^ (~(value >> 63) + 1));
    case FieldDescriptor::TYPE_FIXED32:
      if (!Integer("fixed32", false, 32, &value)) return Outcome::kFailed;
      return fixed(static_cast<std::uint32_t>(value));
    case FieldDescriptor::TYPE_SFIXED32:
      if (!Integer("sfixed32", true, 32, &value)) return Outcome::kFailed;
      return fixed(static_cast<std::uint32_t>(value));
    case FieldDescriptor::TYPE_FIXED64:
      return Integer("fixed64", false, 64, &value) ? fixed(value) : Outcome::kFailed;
    case FieldDescriptor::TYPE_SFIXED64:
      return Integer("sfixed64", true, 64, &value) ? fixed(value) : Outcome::kFailed;
    case FieldDescriptor::TYPE_FLOAT: {
      float number = 0;
      // By its bits: -0 is not the default.
      return Floating(&number) ? fixed(std::bit_cast<std::uint32_t>(number)) : Outcome::kFailed;
    }
    case FieldDescriptor::TYPE_DOUBLE: {
      double number = 0;
      return Floating(&number) ? fixed(std::bit_cast<std::uint64_t>(number)) : Outcome::kFailed;
    }
    case FieldDescriptor::TYPE_BOOL: {
      const std::string_view word = at_ == end_ ? std::string_view() : Token();
      if (word != "true" && word != "false") {
        Expected("true or false");
        return Outcome::kFailed;
      }
      Advance();
      return varint(word == "true" ? 1 : 0);
    }
    case FieldDescriptor::TYPE_ENUM: {
      std::int32_t number = 0;
      const Outcome outcome = Enum(field, &number);
      if (outcome != Outcome::kWritten) return outcome;
      return varint(static_cast<std::uint64_t>(std::int64_t{number}));
    }
    case FieldDescriptor::TYPE_STRING: {
      std::string_view text;
      if (!String(&text)) return Outcome::kFailed;
      if (!text.empty() || keep_zero) Delimited(field, text);
      return Outcome::kWritten;
    }
    case FieldDescriptor::TYPE_BYTES:
      return Bytes64(field, tagged, keep_zero) ? Outcome::kWritten : Outcome::kFailed;
    case FieldDescriptor::TYPE_MESSAGE:
    case FieldDescriptor::TYPE_GROUP:
      return Submessage(field);
  }
  return Outcome::kFailed;
}

bool Reader::Bytes64(const FieldPlan& field, bool tagged, bool keep_zero) {
  std::string_view text;
  if (!String(&text)) return false;
  if (text.empty() && !keep_zero) return true;
  const std::string_view whole = text;
  const std::optional<std::size_t> size = Base64Size(&text);
  bool good = size.has_value();
  if (good) {
    if (tagged) Tag(field);
    Varint(*size);
    char* const at = wire_.Room(*size);
    good = DecodeBase64(text, at);
    wire_.End(at + *size);
  }
  return good || Fail(absl::StrCat("\"", Shown(whole), "\" is no base64"));
}

Reader::Outcome Reader::Submessage(const FieldPlan& field) {
  Tag(field);
  if (!EnterMessage()) return Outcome::kFailed;
  bool good = false;
  if (field.type == FieldDescriptor::TYPE_GROUP) {
    good = Object(plans_.Of(field), false);
    Varint(field.tag + 1);  // the group's end
  } else {
    const Opened opened = Open();
    good = Typed(plans_.Of(field)) && Close(opened);
  }
  --messages_;
  return good ? Outcome::kWritten : Outcome::kFailed;
}

// ---- well-known types ---------------------------------------------------------------------------

bool Reader::Time(const MessagePlan& plan) {
  const bool timestamp = plan.known == WellKnown::kTimestamp;
  if (Peek() != '"') {
    return Expected(timestamp ? "a time such as \"2026-01-31T23:59:59Z\""
                              : "a duration such as \"1.5s\"");
  }
  std::string_view text;
  if (!String(&text)) return false;
  std::int64_t seconds = 0;
  std::int32_t nanos = 0;
  const char* const why =
      timestamp ? ParseTimestamp(text, &seconds, &nanos) : ParseDuration(text, &seconds, &nanos);
  if (why != nullptr) return Fail(absl::StrCat("\"", Shown(text), "\" ", why));
  if (seconds != 0) {
    Tag(plan.fields[0]);
    Varint(static_cast<std::uint64_t>(seconds));
  }
  if (nanos != 0) {
    Tag(plan.fields[1]);
    Varint(static_cast<std::uint64_t>(std::int64_t{nanos}));
  }
  return true;
}

bool Reader::FieldMask() {
  if (Peek() != '"') return Expected("a field mask such as \"user.displayName,photo\"");
  std::string_view text;
  if (!String(&text)) return false;
  std::string path;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    if (!SnakePath(rest.substr(0, comma), &path) || comma + 1 == rest.size()) {
      return Fail(absl::StrCat("\"", Shown(text), "\" is no list of paths in lowerCamelCase"));
    }
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    char* const at = wire_.Room(16);
    at[0] = 1 << 3 | 2;
    wire_.End(PutVarint(path.size(), at + 1));
    wire_.Put(path);
  }
  return true;
}

bool Reader::DynamicValue(const MessagePlan& plan) {
  // null_value, number_value, string_value, bool_value, struct_value, list_value
  const FieldPlan* const kinds = plan.fields.get();
  std::size_t kind = 0;
  switch (Peek()) {
    case '"':
      kind = 2;
      break;
    case 't':
    case 'f':
      kind = 3;
      break;
    case '{':
      kind = 4;
      break;
    case '[':
      kind = 5;
      break;
    case 'n':
      if (!IsNull()) return Expected("a value");
      break;
    default:
      if (Peek() != '-' && !IsDigit(Peek())) return Expected("a value");
      kind = 1;
  }
  return Singular(kinds[kind], true, true) != Outcome::kFailed;
}

// Finds "@type" in the object that is next, and leaves it there; *count is how many members come
// before it, or all of them if it is not there.
bool Reader::FindType(std::string_view* url, std::size_t* count) {
  const std::uint32_t* const begin = at_;
  bool failed = false;
  *count = 0;
  if (!Enter()) return false;
  if (Peek() == '}') {
    Advance();
    --depth_;
    return true;
  }
  do {
    std::string_view name;
    if (Peek() != '"') return Syntax("expected a name in quotes");
    if (!String(&name)) return false;
    const bool is_type = name == "@type";
    if (Peek() != ':') return Syntax("expected ':'");
    Advance();
    ++*count;
    if (is_type) {
      if (!String(url)) {
        Under("@type", &fault_);
        return false;
      }
      // An Any in an Any in an Any, each with its type behind the rest, is read once a level.
      searched_ += *at_ - *begin;
      if (searched_ > kFreeSearches + kMostSearches * size_) {
        return Fail("\"@type\" stands at the end of too many an Any within an Any; put it first");
      }
      at_ = begin;
      --depth_;
      return true;
    }
    if (!Skip()) return false;
  } while (More('}', &failed));
  return !failed;
}

bool Reader::Any(const MessagePlan& plan) {
  if (Peek() != '{') return Expected("an object with \"@type\"");
  std::string_view url;
  std::size_t count = 0;
  const std::uint32_t* const begin = at_;
  if (!FindType(&url, &count)) return false;
  if (count == 0) return true;
  if (at_ != begin) return Fail("lacks \"@type\", which says what message this is");
  const std::size_t slash = url.rfind('/');
  const std::string name(slash == std::string_view::npos ? "" : url.substr(slash + 1));
  const Descriptor* const type = name.empty() ? nullptr : plans_.pool().FindMessageTypeByName(name);
  if (type == nullptr) {
    Fail(absl::StrCat(
        "\"", Shown(url), "\" is no message type that this program knows",
        slash == std::string_view::npos ? "; one begins with \"type.googleapis.com/\"" : ""));
    Under("@type", &fault_);
    return false;
  }
  Delimited(plan.fields[0], url);
  const std::size_t before = wire_.size();
  Tag(plan.fields[1]);
  ++canonical_;
  const int outer = std::exchange(messages_, 0);
  const Opened opened = Open();
  const std::size_t content = wire_.size();
  const MessagePlan& inner = plans_.Of(*type);
  if (!(inner.known == WellKnown::kNone ? Object(inner, true) : AnyValue(inner))) return false;
  if (wire_.size() == content) {
    wire_.Truncate(before);
  } else if (!Close(opened)) {
    return false;
  }
  messages_ = outer;
  --canonical_;
  return true;
}

// {"@type": ..., "value": ...} of a type whose JSON is no object of its fields.
bool Reader::AnyValue(const MessagePlan& inner) {
  bool had_type = false;
  bool had_value = false;
  bool failed = false;
  if (!Enter()) return false;
  do {
    std::string_view name;
    if (Peek() != '"') return Syntax("expected a name in quotes");
    if (!String(&name)) return false;
    const bool is_type = name == "@type";
    const bool is_value = name == "value";
    if (Peek() != ':') return Syntax("expected ':'");
    Advance();
    if (is_type || is_value) {
      bool& had = is_type ? had_type : had_value;
      if (had) return Fail(is_type ? "\"@type\" appears twice" : "\"value\" appears twice");
      had = true;
    }
    if (is_type) {
      Advance();
    } else if (is_value) {
      if (!Typed(inner)) {
        Under("value", &fault_);
        return false;
      }
    } else if (!ignore_unknown_) {
      return Fail(absl::StrCat("has \"@type\" of ", inner.descriptor->full_name(),
                               ", and so only \"value\" beside it, but not \"", Shown(name), "\""));
    } else if (!Skip()) {
      return false;
    }
  } while (More('}', &failed));
  if (failed) return false;
  // json_util leaves the value out of what is empty, a FieldMask without paths, say. An empty Value
  // would be none.
  return had_value || inner.known != WellKnown::kValue ||
         Fail("lacks \"value\", which google.protobuf.Value has in an Any");
}

// ---- the wire -----------------------------------------------------------------------------------

void Reader::Tag(const FieldPlan& field) {
  char* const at = wire_.Room(sizeof(field.tag_bytes));
  std::memcpy(at, field.tag_bytes, sizeof(field.tag_bytes));
  wire_.End(at + field.tag_size);
}

void Reader::Varint(std::uint64_t value) { wire_.End(PutVarint(value, wire_.Room(10))); }

template <class Number>
void Reader::Fixed(Number number) {
  char* const at = wire_.Room(sizeof(number));
  for (std::size_t i = 0; i < sizeof(number); ++i) at[i] = static_cast<char>(number >> (8 * i));
  wire_.End(at + sizeof(number));
}

void Reader::Delimited(const FieldPlan& field, std::string_view bytes) {
  char* at = wire_.Room(sizeof(field.tag_bytes) + 10 + bytes.size());
  std::memcpy(at, field.tag_bytes, sizeof(field.tag_bytes));
  at = PutVarint(bytes.size(), at + field.tag_size);
  if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
  wire_.End(at + bytes.size());
}

Reader::Opened Reader::Open() {
  const std::size_t rest = at_ == end_ ? 0 : size_ - *at_;
  const std::uint8_t width = canonical_ == 0 && rest > kLongRest ? kWideLength : std::uint8_t{1};
  const Opened opened{wire_.size(), width};
  wire_.End(wire_.Room(kWideLength) + width);
  return opened;
}

bool Reader::Close(Opened opened) {
  const std::size_t length = wire_.size() - opened.at - opened.width;
  if (length > INT_MAX) {
    too_large_ = true;
    return Fail("the message is larger than 2 GiB");
  }
  if (opened.width == 1 && length < 0x80) {
    wire_.data()[opened.at] = static_cast<char>(length);
    return true;
  }
  if (opened.width == kWideLength && length > kShortMessage) {
    PutWide(static_cast<std::uint32_t>(length), wire_.data() + opened.at);
    return true;
  }
  char bytes[10];
  const auto needed = static_cast<std::size_t>(PutVarint(length, bytes) - bytes);
  wire_.Room(kWideLength);
  char* const at = wire_.data() + opened.at;
  std::memmove(at + needed, at + opened.width, length);
  std::memcpy(at, bytes, needed);
  wire_.End(at + needed + length);
  return true;
}

bool Reader::EnterMessage() { return ++messages_ <= kJsonMaxDepth || Fail(kTooDeep); }

}  // namespace rookery::internal::json
