// Reader: JSON to a message's wire format, by plan.
//
//   Reader reader(plans, options, &structure, &wire, &text);
//   if (!reader.Message(json, plan)) return reader.fault();
//   message->ParsePartialFromArray(wire.data(), wire.size());
//
// To the wire, and not through Reflection: generated code parses that faster than Reflection sets
// fields one by one, and nothing touches the message before the whole text has proved good.
#ifndef ROOKERY_RPC_JSON_READER_H_
#define ROOKERY_RPC_JSON_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "rookery/rpc/json.h"
#include "rpc/json/bytes.h"
#include "rpc/json/plan.h"
#include "rpc/json/structure.h"

namespace rookery::internal::json {

class Reader final {
 public:
  // All outlive the reader; `wire` is where the message goes, `text` is room to work in.
  Reader(const Plans& plans, const JsonReadOptions& options, JsonStructure* structure, Bytes* wire,
         std::string* text) noexcept
      : plans_(plans),
        ignore_unknown_(options.ignore_unknown_fields),
        max_depth_(options.max_depth < kJsonMaxDepth ? options.max_depth : kJsonMaxDepth),
        structure_(*structure),
        wire_(*wire),
        scratch_(*text) {}

  // False: fault() says why. One call a reader.
  [[nodiscard]] bool Message(std::string_view json, const MessagePlan& plan);
  // The value of a field; nothing on the wire for null.
  [[nodiscard]] bool FieldValue(std::string_view json, const FieldPlan& field);

  [[nodiscard]] JsonFault& fault() noexcept { return fault_; }
  // The message would be larger than protobuf can read.
  [[nodiscard]] bool too_large() const noexcept { return too_large_; }

 private:
  // What an object has had: a bit a field, a bit a oneof; and the extensions.
  struct Seen {
    absl::InlinedVector<std::uint64_t, 4> bits;
    absl::InlinedVector<std::uint32_t, 2> extensions;
  };
  enum class Outcome : std::uint8_t { kFailed, kWritten, kIgnored };

  // ---- tokens
  [[nodiscard]] bool Begin(std::string_view json);
  [[nodiscard]] bool Finish();
  [[nodiscard]] char Peek() const noexcept { return at_ == end_ ? '\0' : text_[*at_]; }
  void Advance() noexcept { ++at_; }
  // The token that is next, without the space behind it.
  [[nodiscard]] std::string_view Token() const noexcept;
  [[nodiscard]] bool IsNull() const noexcept { return Peek() == 'n' && Token() == "null"; }
  // Reads a string; what it says is valid until the next string is read.
  [[nodiscard]] bool String(std::string_view* content);
  // Goes on past ',' or the end of a list or object: false at the end, and on failure, in which
  // case
  // *failed is set.
  [[nodiscard]] bool More(char close, bool* failed);
  [[nodiscard]] bool Enter();
  [[nodiscard]] bool Skip();

  // ---- values
  [[nodiscard]] bool Typed(const MessagePlan& plan);
  [[nodiscard]] bool Object(const MessagePlan& plan, bool in_any);
  [[nodiscard]] bool Named(const MessagePlan& plan, std::string_view name, bool in_any, Seen* seen);
  [[nodiscard]] bool Field(const FieldPlan& field, Seen* seen);
  [[nodiscard]] bool List(const FieldPlan& field);
  [[nodiscard]] bool Map(const FieldPlan& field);
  [[nodiscard]] bool MapKey(const FieldPlan& key, std::string_view name);
  // A value, its tag in front if `tagged`; without `keep_zero` nothing is written for zero.
  [[nodiscard]] Outcome Singular(const FieldPlan& field, bool tagged, bool keep_zero);
  [[nodiscard]] Outcome Submessage(const FieldPlan& field);
  [[nodiscard]] bool Integer(const char* type, bool is_signed, int bits, std::uint64_t* value);
  [[nodiscard]] bool NumberText(std::string_view* text);
  template <class Float>
  [[nodiscard]] bool Floating(Float* value);
  [[nodiscard]] Outcome Enum(const FieldPlan& field, std::int32_t* number);
  [[nodiscard]] bool Bytes64(const FieldPlan& field, bool tagged, bool keep_zero);

  // ---- well-known types
  [[nodiscard]] bool Any(const MessagePlan& plan);
  [[nodiscard]] bool FindType(std::string_view* url, std::size_t* count);
  [[nodiscard]] bool AnyValue(const MessagePlan& inner);
  [[nodiscard]] bool Time(const MessagePlan& plan);
  [[nodiscard]] bool FieldMask();
  [[nodiscard]] bool DynamicValue(const MessagePlan& plan);

  // ---- the wire
  void Tag(const FieldPlan& field);
  void Varint(std::uint64_t value);
  template <class Number>
  void Fixed(Number number);
  void Delimited(const FieldPlan& field, std::string_view bytes);
  // What stands between Open() and Close() gets its length in front.
  struct Opened {
    std::size_t at;
    std::uint8_t width;
  };
  [[nodiscard]] Opened Open();
  [[nodiscard]] bool Close(Opened opened);
  [[nodiscard]] bool EnterMessage();

  // ---- faults; all return false
  bool Fail(std::string_view reason);
  bool Syntax(std::string_view reason);
  bool Expected(std::string_view what);
  bool OutOfRange(std::string_view text, const char* type);

  const Plans& plans_;
  const bool ignore_unknown_;
  const int max_depth_;
  JsonStructure& structure_;
  Bytes& wire_;
  std::string& scratch_;
  const char* text_ = nullptr;
  std::size_t size_ = 0;
  const std::uint32_t* at_ = nullptr;   // of the next token
  const std::uint32_t* end_ = nullptr;  // behind the last, where the text's size stands
  int depth_ = 0;
  int messages_ = 0;          // open around the next value, on the wire
  int canonical_ = 0;         // in an Any, whose bytes outlive the reading
  std::size_t searched_ = 0;  // bytes, for "@type"
  bool too_large_ = false;
  JsonFault fault_;
};

}  // namespace rookery::internal::json

#endif  // ROOKERY_RPC_JSON_READER_H_
