// Names: how things of a proto file are called in C++.
//
//   CppType(method->input_type());        // "::shop::v1::PlaceOrder"
//   CppNamespace(file->package());        // "shop::v1"
//   MemberNames names(service);       // names.method(0) == "Place", names.constant(0) == "kPlace"
//
// Messages are named by protobuf's own C++ generator, so that the two always agree; this is the one
// place that asks it.
#ifndef ROOKERY_PROTO_PLUGIN_NAMES_H_
#define ROOKERY_PROTO_PLUGIN_NAMES_H_

#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/descriptor.h>

namespace rookery::plugin {

// Fully qualified, with a leading "::".
[[nodiscard]] std::string CppType(const google::protobuf::Descriptor* message);

// "shop::v1" for "shop.v1", keywords mangled as protobuf does; empty for no package.
[[nodiscard]] std::string CppNamespace(const std::string& package);

// `name`, with an underscore appended if it is a C++20 keyword.
[[nodiscard]] std::string Unkeyword(const std::string& name);

// How protobuf's C++ generator calls these; what it does not mangle, though it should, is left so.
[[nodiscard]] std::string CppName(const google::protobuf::Descriptor* message);
[[nodiscard]] std::string CppName(const google::protobuf::EnumDescriptor* type);
[[nodiscard]] std::string CppName(const google::protobuf::EnumValueDescriptor* value);
[[nodiscard]] std::string CppName(const google::protobuf::FieldDescriptor* field);

// Whether C++20 has the name to itself.
[[nodiscard]] bool IsKeyword(const std::string& name);

// A C++ identifier that no other file has: "shop_2fv1_2forders_2eproto".
[[nodiscard]] std::string FileIdentifier(const google::protobuf::FileDescriptor* file);

// "shop/v1/orders" for "shop/v1/orders.proto".
[[nodiscard]] std::string BaseName(const google::protobuf::FileDescriptor* file);

// protobuf's object for a file, declared in its .pb.h: naming it makes the linker keep the .pb.cc.
[[nodiscard]] std::string DescriptorTable(const google::protobuf::FileDescriptor* file);

// The names of a service's two classes: X + "Service" and X + "Client", with an underscore (or _2,
// _3, ...) appended where a message, an enum, an enum value or an extension of the same package has
// that name already (as far as this file and what it imports can tell).
struct ClassNames {
  explicit ClassNames(const google::protobuf::ServiceDescriptor* service);
  std::string service;
  std::string client;
};

// The names of a service's methods in those classes and of the constants that stand for them, with
// an underscore (or _2, _3, ...) appended where they would meet a keyword, a member that we add, or
// each other.
class MemberNames final {
 public:
  MemberNames(const google::protobuf::ServiceDescriptor* service, const ClassNames& classes);

  [[nodiscard]] const std::string& method(int index) const {
    return methods_[static_cast<std::size_t>(index)];
  }
  [[nodiscard]] const std::string& constant(int index) const {
    return constants_[static_cast<std::size_t>(index)];
  }

 private:
  std::vector<std::string> methods_;
  std::vector<std::string> constants_;
};

}  // namespace rookery::plugin

#endif  // ROOKERY_PROTO_PLUGIN_NAMES_H_
