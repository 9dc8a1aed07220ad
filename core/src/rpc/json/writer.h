// Writer: a message's wire format to JSON, by plan.
//
//   Writer writer(plans, options, &scratch);
//   if (!writer.Write(message)) return writer.fault();
//   out->append(scratch.text.view());
//
// From the wire, and not through Reflection: generated code serialises faster than Reflection tells
// which fields are set, and maps, extensions and the bytes in an Any come out the same way.
#ifndef ROOKERY_RPC_JSON_WRITER_H_
#define ROOKERY_RPC_JSON_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <google/protobuf/message.h>

#include "rookery/rpc/json.h"
#include "rpc/json/bytes.h"
#include "rpc/json/plan.h"

namespace rookery::internal::json {

class Writer final {
 public:
  // Both outlive the writer; `text` is where the JSON goes.
  Writer(const Plans& plans, const JsonWriteOptions& options, Bytes* wire, Bytes* text) noexcept
      : plans_(plans), options_(options), wire_(*wire), out_(*text) {}

  // False: fault() says why. One call a writer.
  [[nodiscard]] bool Message(const google::protobuf::Message& message);
  // The value of one field, its default if it is not set.
  [[nodiscard]] bool Field(const google::protobuf::Message& message, const FieldPlan& field);

  [[nodiscard]] JsonFault& fault() noexcept { return fault_; }
  // The message is larger than protobuf can write.
  [[nodiscard]] bool too_large() const noexcept { return too_large_; }

 private:
  // Where reading the wire goes on, or null after a failure.
  using Place = const char*;

  [[nodiscard]] bool Serialize(const google::protobuf::Message& message);
  [[nodiscard]] bool Typed(const MessagePlan& plan, Place at, Place end);
  [[nodiscard]] bool Object(const MessagePlan& plan, Place at, Place end);
  // The fields between `at` and `end` (or the group's end), each after a comma, but for the very
  // first if `first`.
  [[nodiscard]] Place Fields(const MessagePlan& plan, Place at, Place end, std::uint32_t group_end,
                             bool first);
  [[nodiscard]] Place FieldOf(const FieldPlan& field, std::uint32_t tag, Place at, Place end,
                              bool* first);
  [[nodiscard]] Place Elements(const FieldPlan& field, std::uint32_t tag, Place at, Place end,
                               bool* first);
  [[nodiscard]] Place Entries(const FieldPlan& field, std::uint32_t tag, Place at, Place end,
                              bool* first);
  // One entry of a map; `begin` writes what stands before it.
  template <class Begin>
  [[nodiscard]] Place Entry(const FieldPlan& field, Place at, Place end, const Begin& begin);
  [[nodiscard]] bool MapKey(const FieldPlan& key, Place at, Place end);
  [[nodiscard]] Place Value(const FieldPlan& field, Place at, Place end);
  void VarintValue(const FieldPlan& field, std::uint64_t bits);
  [[nodiscard]] bool IsUnknownEnum(const FieldPlan& field, Place at) const noexcept;
  void Default(const FieldPlan& field);
  void DefaultsBetween(const MessagePlan& plan, std::size_t from, std::size_t to, bool* first);

  [[nodiscard]] bool Any(const MessagePlan& plan, Place at, Place end);
  [[nodiscard]] bool Time(const MessagePlan& plan, Place at, Place end);
  [[nodiscard]] bool FieldMask(Place at, Place end);
  [[nodiscard]] bool Struct(const MessagePlan& plan, Place at, Place end);
  [[nodiscard]] bool DynamicValue(const MessagePlan& plan, Place at, Place end);
  [[nodiscard]] bool ListValue(const MessagePlan& plan, Place at, Place end);
  [[nodiscard]] bool Wrapper(const MessagePlan& plan, Place at, Place end);

  void Enum(const FieldPlan& field, std::int32_t number);
  [[nodiscard]] bool String(std::string_view text);
  void Key(const FieldPlan& field, bool* first);
  template <class Number>
  void Int(Number number);
  template <class Number>
  void QuotedInt(Number number);
  template <class Float>
  void Floating(Float value);
  [[nodiscard]] bool Enter();

  std::nullptr_t Fail(std::string_view reason);
  std::nullptr_t FailWire();

  const Plans& plans_;
  const JsonWriteOptions& options_;
  Bytes& wire_;
  Bytes& out_;
  int depth_ = 0;
  std::size_t any_bytes_ = 0;
  bool too_large_ = false;
  JsonFault fault_;
};

}  // namespace rookery::internal::json

#endif  // ROOKERY_RPC_JSON_WRITER_H_
