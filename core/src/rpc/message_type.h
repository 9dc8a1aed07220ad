// What can be said of a message by its type.
#ifndef ROOKERY_SRC_RPC_MESSAGE_TYPE_H_
#define ROOKERY_SRC_RPC_MESSAGE_TYPE_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <cstring>
#include <typeinfo>

namespace rookery::internal {

// Whether two messages are of one type, at the cost of a comparison: by class, which says it all
// but for a DynamicMessage. GetDescriptor() costs some 200 instructions: it makes sure each time
// that the file's descriptors have been built.
[[nodiscard]] inline bool SameType(const google::protobuf::Message& one,
                                   const google::protobuf::Message& other) {
  // protobuf keeps the class to itself; its name, as the Itanium ABI writes it, is no secret.
  constexpr const char* kDynamicMessage = "N6google8protobuf14DynamicMessageE";
  const std::type_info& type = typeid(one);
  const char* const name = type.name();
  // Namespaces of six letters are few: most names differ in their second character.
  const bool dynamic = name[1] == kDynamicMessage[1] && std::strcmp(name, kDynamicMessage) == 0;
  if (type == typeid(other) && !dynamic) [[likely]] {
    return true;
  }
  return one.GetDescriptor() == other.GetDescriptor();
}

// Whether a message of this type, cleared and parsed into again and again, comes to hold no more
// than each field's greatest value: lists and the messages below keep what they have held.
[[nodiscard]] inline bool IsPlain(const google::protobuf::Descriptor& type) {
  for (int i = 0; i < type.field_count(); ++i) {
    const google::protobuf::FieldDescriptor& field = *type.field(i);
    if (field.is_repeated() ||
        field.cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) {
      return false;
    }
  }
  return type.extension_range_count() == 0;
}

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_RPC_MESSAGE_TYPE_H_
