#include "names.h"

#include <algorithm>
#include <array>
#include <set>

#include <google/protobuf/compiler/cpp/names.h>
#include <google/protobuf/descriptor.pb.h>

namespace rookery::plugin {

namespace pb = ::google::protobuf;
namespace pbcpp = ::google::protobuf::compiler::cpp;

namespace {

// Keywords that protobuf 3.21 does not know of: those of C++20.
constexpr std::array<std::string_view, 10> kNewKeywords = {
    "char8_t",  "char16_t", "char32_t",  "co_await",  "co_return",
    "co_yield", "concept",  "consteval", "constinit", "requires"};

// protobuf's generator gives out its rules by example only: this is what it makes of a message.
template <class Ask>
std::string AskOfMessage(const std::string& package, const std::string& name, Ask ask) {
  pb::FileDescriptorProto file;
  file.set_name("ask.proto");
  file.set_package(package);
  file.add_message_type()->set_name(name);
  pb::DescriptorPool pool;
  return ask(pool.BuildFile(file)->message_type(0));
}

// protobuf calls its own namespace by a macro that only its own headers define.
std::string WithoutMacros(std::string name) {
  constexpr std::string_view kMacro = "::PROTOBUF_NAMESPACE_ID";
  if (name.starts_with(kMacro)) name.replace(0, kMacro.size(), "::google::protobuf");
  return name;
}

void CollectNested(const pb::Descriptor* message, std::set<std::string>* names) {
  names->insert(pbcpp::ClassName(message));
  for (int i = 0; i < message->nested_type_count(); ++i)
    CollectNested(message->nested_type(i), names);
  for (int i = 0; i < message->enum_type_count(); ++i) {
    const pb::EnumDescriptor* const type = message->enum_type(i);
    const std::string name = pbcpp::ClassName(type);
    names->insert(name);
    // A nested enum's values become Outer_Inner_VALUE.
    for (int v = 0; v < type->value_count(); ++v)
      names->insert(name + "_" + type->value(v)->name());
  }
}

void CollectFile(const pb::FileDescriptor* file, const std::string& package,
                 std::set<const pb::FileDescriptor*>* seen, std::set<std::string>* names) {
  if (!seen->insert(file).second) return;
  if (file->package() == package) {
    for (int i = 0; i < file->message_type_count(); ++i)
      CollectNested(file->message_type(i), names);
    for (int i = 0; i < file->enum_type_count(); ++i) {
      const pb::EnumDescriptor* const type = file->enum_type(i);
      names->insert(type->name());
      for (int v = 0; v < type->value_count(); ++v) names->insert(type->value(v)->name());
    }
    for (int i = 0; i < file->extension_count(); ++i) names->insert(file->extension(i)->name());
  }
  for (int i = 0; i < file->dependency_count(); ++i) {
    CollectFile(file->dependency(i), package, seen, names);
  }
}

// Packages below ours are namespaces inside it: package a.OrdersClient beside service a.Orders.
void CollectPackages(const pb::FileDescriptor* file, const std::string& package,
                     std::set<const pb::FileDescriptor*>* seen, std::set<std::string>* names) {
  if (!seen->insert(file).second) return;
  const std::string prefix = package.empty() ? "" : package + ".";
  if (file->package().size() > prefix.size() &&
      file->package().compare(0, prefix.size(), prefix) == 0) {
    const std::string rest = file->package().substr(prefix.size());
    names->insert(Unkeyword(rest.substr(0, rest.find('.'))));
  }
  for (int i = 0; i < file->dependency_count(); ++i) {
    CollectPackages(file->dependency(i), package, seen, names);
  }
}

// `name`, or `name_`, `name_2`, `name_3`, ... (two underscores in a row belong to the compiler).
std::string TakeName(const std::string& name, std::set<std::string>* taken) {
  if (taken->insert(name).second) return name;
  const std::string stem = name.ends_with('_') ? name : name + "_";
  if (taken->insert(stem).second) return stem;
  for (int n = 2;; ++n) {
    const std::string numbered = stem + std::to_string(n);
    if (taken->insert(numbered).second) return numbered;
  }
}

}  // namespace

std::string CppType(const pb::Descriptor* message) {
  return WithoutMacros(pbcpp::QualifiedClassName(message));
}

std::string CppNamespace(const std::string& package) {
  if (package.empty()) return "";
  const std::string qualified =
      WithoutMacros(AskOfMessage(package, "M", [](const pb::Descriptor* message) {
        return pbcpp::QualifiedClassName(message);  // "::shop::v1::M"
      }));
  constexpr std::size_t kAround = std::string_view("::").size() + std::string_view("::M").size();
  return qualified.substr(2, qualified.size() - kAround);
}

std::string Unkeyword(const std::string& name) {
  if (std::find(kNewKeywords.begin(), kNewKeywords.end(), name) != kNewKeywords.end()) {
    return name + "_";
  }
  return AskOfMessage("", name,
                      [](const pb::Descriptor* message) { return pbcpp::ClassName(message); });
}

std::string CppName(const pb::Descriptor* message) { return pbcpp::ClassName(message); }
std::string CppName(const pb::EnumDescriptor* type) { return pbcpp::ClassName(type); }
std::string CppName(const pb::EnumValueDescriptor* value) { return pbcpp::EnumValueName(value); }
std::string CppName(const pb::FieldDescriptor* field) { return pbcpp::FieldName(field); }

bool IsKeyword(const std::string& name) { return Unkeyword(name) != name; }

std::string FileIdentifier(const pb::FileDescriptor* file) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : file->name()) {
    const auto byte = static_cast<unsigned char>(c);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) {
      out += c;
    } else {
      out += '_';
      if (byte >= 0x10) out += kDigits[byte >> 4];
      out += kDigits[byte & 0xf];
    }
  }
  return out;
}

std::string BaseName(const pb::FileDescriptor* file) { return pbcpp::StripProto(file->name()); }

std::string DescriptorTable(const pb::FileDescriptor* file) {
  return "::descriptor_table_" + FileIdentifier(file);
}

ClassNames::ClassNames(const pb::ServiceDescriptor* descriptor) {
  const pb::FileDescriptor* const file = descriptor->file();
  std::set<std::string> taken;
  std::set<const pb::FileDescriptor*> seen;
  CollectFile(file, file->package(), &seen, &taken);
  seen.clear();
  CollectPackages(file, file->package(), &seen, &taken);
  // The services of the file one after the other: that of an earlier one may have taken a name.
  for (int i = 0; i <= descriptor->index(); ++i) {
    service = TakeName(file->service(i)->name() + "Service", &taken);
    client = TakeName(file->service(i)->name() + "Client", &taken);
  }
}

MemberNames::MemberNames(const pb::ServiceDescriptor* service, const ClassNames& classes) {
  std::set<std::string> taken = {"Descriptor", "ServiceType", "channel", classes.service,
                                 classes.client};
  // Methods first: they keep their names as far as possible, and the constants give way.
  for (int i = 0; i < service->method_count(); ++i) {
    methods_.push_back(TakeName(Unkeyword(service->method(i)->name()), &taken));
  }
  for (int i = 0; i < service->method_count(); ++i) {
    std::string name = service->method(i)->name();
    if (name[0] >= 'a' && name[0] <= 'z') name[0] = static_cast<char>(name[0] - 'a' + 'A');
    constants_.push_back(TakeName("k" + name, &taken));
  }
}

}  // namespace rookery::plugin
