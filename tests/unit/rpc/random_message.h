// Fills a message at random, by Reflection: every field there is, in time.
//
//   RandomMessage random(seed);
//   random.Fill(&zoo);
//
// What it makes has a JSON form: text is UTF-8, times are in range, a Value has a kind. The same
// seed gives the same messages.
#ifndef ROOKERY_TESTS_UNIT_RPC_RANDOM_MESSAGE_H_
#define ROOKERY_TESTS_UNIT_RPC_RANDOM_MESSAGE_H_

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <string_view>

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/field_mask.pb.h>
#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>

namespace rookery::testing {

class RandomMessage final {
 public:
  explicit RandomMessage(std::uint64_t seed) : bits_(seed) {}

  // One field in `rarity` is set.
  void Fill(google::protobuf::Message* message, int depth = 0) {
    using google::protobuf::FieldDescriptor;
    const auto& type = *message->GetDescriptor();
    if (type.full_name() == "google.protobuf.Any") return FillAny(message, depth);
    if (type.full_name() == "google.protobuf.Value") return FillValue(message, depth);
    if (type.full_name() == "google.protobuf.Timestamp") {
      auto* const time = static_cast<google::protobuf::Timestamp*>(message);
      time->set_seconds(Between(-62'135'596'800, 253'402'300'799));
      time->set_nanos(Nanos());
      return;
    }
    if (type.full_name() == "google.protobuf.Duration") {
      auto* const duration = static_cast<google::protobuf::Duration*>(message);
      duration->set_seconds(Between(0, 3) == 0 ? 0 : Between(-315'575'999'999, 315'575'999'999));
      const int sign = duration->seconds() < 0 || (duration->seconds() == 0 && Coin()) ? -1 : 1;
      duration->set_nanos(sign * Nanos());
      return;
    }
    if (type.full_name() == "google.protobuf.FieldMask") {
      auto* const mask = static_cast<google::protobuf::FieldMask*>(message);
      for (std::int64_t i = Between(0, 3); i > 0; --i) {
        mask->add_paths(Coin() ? "foo_bar.baz" : "a");
      }
      return;
    }
    const std::int64_t rarity = depth == 0 ? 2 : 8;
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor& field = *type.field(i);
      const bool deep = field.message_type() != nullptr && depth > 3;
      if (field.is_required() || (Between(0, rarity) == 0 && !deep)) Set(message, field, depth);
    }
  }

  std::string Text() {
    static constexpr std::string_view kPieces[] = {"a",
                                                   "Z",
                                                   "0",
                                                   " ",
                                                   "\"",
                                                   "\\",
                                                   "/",
                                                   "\n",
                                                   "\t",
                                                   "\x01",
                                                   "\x7f",
                                                   "<",
                                                   "&",
                                                   "\xc3\xa9",
                                                   "\xe2\x82\xac",
                                                   "\xe2\x80\xa8",
                                                   "\xf0\x9f\x90\xa6",
                                                   "plain text of some length",
                                                   "\xef\xbf\xbd"};
    std::string text;
    for (std::int64_t i = Between(0, 12); i > 0; --i) {
      text += kPieces[static_cast<std::size_t>(Between(0, std::size(kPieces) - 1))];
    }
    return text;
  }

  std::int64_t Between(std::int64_t least, std::int64_t greatest) {
    return std::uniform_int_distribution<std::int64_t>(least, greatest)(bits_);
  }
  bool Coin() { return Between(0, 1) == 1; }
  std::uint64_t Bits() { return bits_(); }

 private:
  std::int32_t Nanos() {
    const std::int64_t units[] = {1'000'000'000, 1'000'000, 1'000, 1};
    const std::int64_t unit = units[Between(0, 3)];
    return static_cast<std::int32_t>(Between(0, 1'000'000'000 / unit - 1) * unit);
  }

  // Small, extreme, or anything.
  std::uint64_t Integer() {
    switch (Between(0, 3)) {
      case 0:
        return static_cast<std::uint64_t>(Between(-2, 2));
      case 1:
        return std::uint64_t{1} << Between(0, 63);
      case 2:
        return (std::uint64_t{1} << Between(0, 63)) - 1;
      default:
        return bits_() >> Between(0, 63);
    }
  }

  double Double(bool finite) {
    switch (Between(0, 5)) {
      case 0:
        return static_cast<double>(Between(-1000, 1000));
      case 1:
        return static_cast<double>(Between(-1000, 1000)) / 8;
      case 2:
        return std::ldexp(static_cast<double>(Between(-1000, 1000)),
                          static_cast<int>(Between(-40, 40)));
      case 3:
        if (!finite) {
          return Coin() ? std::numeric_limits<double>::quiet_NaN()
                        : (Coin() ? 1 : -1) * std::numeric_limits<double>::infinity();
        }
        return -0.0;
      default: {
        const double any = std::bit_cast<double>(bits_());
        return std::isfinite(any) ? any : 0.1;
      }
    }
  }
  float Float() {
    if (Between(0, 5) == 0) {
      return Coin() ? std::numeric_limits<float>::quiet_NaN()
                    : (Coin() ? 1.0F : -1.0F) * std::numeric_limits<float>::infinity();
    }
    const float any = std::bit_cast<float>(static_cast<std::uint32_t>(bits_()));
    return Coin() && std::isfinite(any) ? any : static_cast<float>(Between(-1000, 1000)) / 4;
  }

  void Set(google::protobuf::Message* message, const google::protobuf::FieldDescriptor& field,
           int depth) {
    if (field.is_map()) return SetMap(message, field, depth);
    for (std::int64_t i = field.is_repeated() ? Between(1, 3) : 1; i > 0; --i) {
      SetOne(message, field, depth);
    }
  }

  void SetMap(google::protobuf::Message* message, const google::protobuf::FieldDescriptor& field,
              int depth) {
    // Keys that differ: a list of entries would keep the same key twice.
    std::uint64_t key = Coin() ? 0 : bits_();
    const bool two =
        field.message_type()->map_key()->type() != google::protobuf::FieldDescriptor::TYPE_BOOL;
    for (std::int64_t i = Between(1, two ? 4 : 2); i > 0; --i, ++key) {
      google::protobuf::Message* const entry =
          message->GetReflection()->AddMessage(message, &field);
      const auto* const key_field = field.message_type()->map_key();
      SetKey(entry, *key_field, key);
      SetOne(entry, *field.message_type()->map_value(), depth);
    }
  }

  void SetKey(google::protobuf::Message* entry, const google::protobuf::FieldDescriptor& field,
              std::uint64_t key) {
    using google::protobuf::FieldDescriptor;
    const google::protobuf::Reflection& set = *entry->GetReflection();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return set.SetInt32(entry, &field, static_cast<std::int32_t>(key));
      case FieldDescriptor::CPPTYPE_INT64:
        return set.SetInt64(entry, &field, static_cast<std::int64_t>(key));
      case FieldDescriptor::CPPTYPE_UINT32:
        return set.SetUInt32(entry, &field, static_cast<std::uint32_t>(key));
      case FieldDescriptor::CPPTYPE_UINT64:
        return set.SetUInt64(entry, &field, key);
      case FieldDescriptor::CPPTYPE_BOOL:
        return set.SetBool(entry, &field, key % 2 == 1);
      default:
        return set.SetString(entry, &field, Text() + std::to_string(key));
    }
  }

  void SetOne(google::protobuf::Message* message, const google::protobuf::FieldDescriptor& field,
              int depth) {
    using google::protobuf::FieldDescriptor;
    const google::protobuf::Reflection& set = *message->GetReflection();
    const bool list = field.is_repeated();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32: {
        const auto value = static_cast<std::int32_t>(Integer());
        return list ? set.AddInt32(message, &field, value) : set.SetInt32(message, &field, value);
      }
      case FieldDescriptor::CPPTYPE_INT64: {
        const auto value = static_cast<std::int64_t>(Integer());
        return list ? set.AddInt64(message, &field, value) : set.SetInt64(message, &field, value);
      }
      case FieldDescriptor::CPPTYPE_UINT32: {
        const auto value = static_cast<std::uint32_t>(Integer());
        return list ? set.AddUInt32(message, &field, value) : set.SetUInt32(message, &field, value);
      }
      case FieldDescriptor::CPPTYPE_UINT64: {
        const std::uint64_t value = Integer();
        return list ? set.AddUInt64(message, &field, value) : set.SetUInt64(message, &field, value);
      }
      case FieldDescriptor::CPPTYPE_DOUBLE: {
        const double value = Double(false);
        return list ? set.AddDouble(message, &field, value) : set.SetDouble(message, &field, value);
      }
      case FieldDescriptor::CPPTYPE_FLOAT: {
        const float value = Float();
        return list ? set.AddFloat(message, &field, value) : set.SetFloat(message, &field, value);
      }
      case FieldDescriptor::CPPTYPE_BOOL: {
        const bool value = Coin();
        return list ? set.AddBool(message, &field, value) : set.SetBool(message, &field, value);
      }
      case FieldDescriptor::CPPTYPE_ENUM: {
        const auto& type = *field.enum_type();
        const auto* const value = type.value(static_cast<int>(Between(0, type.value_count() - 1)));
        return list ? set.AddEnum(message, &field, value) : set.SetEnum(message, &field, value);
      }
      case FieldDescriptor::CPPTYPE_STRING: {
        std::string value = Text();
        if (field.type() == FieldDescriptor::TYPE_BYTES) {
          value.clear();
          for (std::int64_t i = Between(0, 20); i > 0; --i) {
            value.push_back(static_cast<char>(bits_()));
          }
        }
        return list ? set.AddString(message, &field, std::move(value))
                    : set.SetString(message, &field, std::move(value));
      }
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return Fill(list ? set.AddMessage(message, &field) : set.MutableMessage(message, &field),
                    depth + 1);
    }
  }

  void FillAny(google::protobuf::Message* message, int depth) {
    google::protobuf::FieldMask mask;
    google::protobuf::Duration duration;
    google::protobuf::Struct fields;
    google::protobuf::Message* const choices[] = {&mask, &duration, &fields};
    google::protobuf::Message* const inside = choices[Between(0, 2)];
    Fill(inside, depth + 1);
    static_cast<google::protobuf::Any*>(message)->PackFrom(*inside);
  }

  void FillValue(google::protobuf::Message* message, int depth) {
    auto* const value = static_cast<google::protobuf::Value*>(message);
    switch (Between(0, depth > 4 ? 3 : 5)) {
      case 0:
        return value->set_null_value(google::protobuf::NULL_VALUE);
      case 1:
        return value->set_number_value(Double(true));
      case 2:
        return value->set_string_value(Text());
      case 3:
        return value->set_bool_value(Coin());
      case 4:
        for (std::int64_t i = Between(0, 3); i > 0; --i) {
          FillValue(&(*value->mutable_struct_value()->mutable_fields())[Text()], depth + 1);
        }
        value->mutable_struct_value();
        return;
      default:
        value->mutable_list_value();
        for (std::int64_t i = Between(0, 3); i > 0; --i) {
          FillValue(value->mutable_list_value()->add_values(), depth + 1);
        }
    }
  }

  std::mt19937_64 bits_;
};

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_UNIT_RPC_RANDOM_MESSAGE_H_
