// SameType: whether two messages are of one type, at the cost of a comparison.
#ifndef ROOKERY_SRC_RPC_SAME_TYPE_H_
#define ROOKERY_SRC_RPC_SAME_TYPE_H_

#include <google/protobuf/message.h>

#include <cstring>
#include <typeinfo>

namespace rookery::internal {

// By class, which says it all but for a DynamicMessage. GetDescriptor() costs some 200
// instructions: it makes sure each time that the file's descriptors have been built.
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

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_RPC_SAME_TYPE_H_
