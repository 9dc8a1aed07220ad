#include "check.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "names.h"
#include "rookery/annotations.pb.h"

namespace rookery::plugin {

namespace pb = ::google::protobuf;

namespace {

// Collects faults; knows where in the file things stand.
class Checker final {
 public:
  explicit Checker(std::vector<std::string>* faults) : faults_(faults) {}

  // Names that protobuf's C++ generator writes as they stand although C++20 has taken them. Better
  // said here, at their line, than by the compiler in generated code.
  void Names(const pb::FileDescriptor* file) {
    std::string_view rest = file->package();
    const std::string cpp = CppNamespace(file->package());
    std::string_view cpp_rest = cpp;
    while (!rest.empty()) {
      const std::string part(rest.substr(0, rest.find('.')));
      const std::string cpp_part(cpp_rest.substr(0, cpp_rest.find("::")));
      Name(file, {pb::FileDescriptorProto::kPackageFieldNumber}, "the package " + file->package(),
           part, cpp_part);
      rest.remove_prefix(std::min(rest.size(), part.size() + 1));
      cpp_rest.remove_prefix(std::min(cpp_rest.size(), cpp_part.size() + 2));
    }
    for (int i = 0; i < file->enum_type_count(); ++i) {
      Names(file->enum_type(i), {pb::FileDescriptorProto::kEnumTypeFieldNumber, i});
    }
    for (int i = 0; i < file->message_type_count(); ++i) {
      Names(file->message_type(i), {pb::FileDescriptorProto::kMessageTypeFieldNumber, i});
    }
  }

  // Descriptors and reflection are what pipes, logs and the gateway look at messages with.
  void Runtime(const pb::FileDescriptor* file) {
    if (file->service_count() == 0 ||
        file->options().optimize_for() != pb::FileOptions::LITE_RUNTIME) {
      return;
    }
    Fault(file,
          {pb::FileDescriptorProto::kOptionsFieldNumber, pb::FileOptions::kOptimizeForFieldNumber},
          "services need messages with descriptors, and this file has `optimize_for = "
          "LITE_RUNTIME`; remove that, or move the services to a file without it");
  }

  void Service(const pb::ServiceDescriptor* service) {
    if (service->options().HasExtension(service_auth)) {
      Auth(service->options().GetExtension(service_auth), "rookery.service_auth",
           service->full_name(), service->file(), ServiceOption(service, service_auth.number()));
    }
    std::map<std::string, const pb::MethodDescriptor*> by_pattern;
    for (int i = 0; i < service->method_count(); ++i) Method(service->method(i), &by_pattern);
  }

 private:
  using Path = std::vector<int>;

  static Path Append(Path path, int field, int index) {
    path.push_back(field);
    path.push_back(index);
    return path;
  }

  void Names(const pb::Descriptor* message, const Path& path) {
    if (message->options().map_entry()) return;
    Name(message->file(), path, "the message " + message->full_name(), message->name(),
         CppName(message));
    for (int i = 0; i < message->field_count(); ++i) {
      Name(message->file(), Append(path, pb::DescriptorProto::kFieldFieldNumber, i),
           "the field " + message->field(i)->full_name(), message->field(i)->name(),
           CppName(message->field(i)));
    }
    for (int i = 0; i < message->enum_type_count(); ++i) {
      Names(message->enum_type(i), Append(path, pb::DescriptorProto::kEnumTypeFieldNumber, i));
    }
    for (int i = 0; i < message->nested_type_count(); ++i) {
      Names(message->nested_type(i), Append(path, pb::DescriptorProto::kNestedTypeFieldNumber, i));
    }
  }

  void Names(const pb::EnumDescriptor* type, const Path& path) {
    Name(type->file(), path, "the enum " + type->full_name(), type->name(), CppName(type));
    for (int i = 0; i < type->value_count(); ++i) {
      Name(type->file(), Append(path, pb::EnumDescriptorProto::kValueFieldNumber, i),
           "the value " + type->value(i)->full_name(), type->value(i)->name(),
           CppName(type->value(i)));
    }
  }

  void Name(const pb::FileDescriptor* file, const Path& path, const std::string& what,
            const std::string& name, const std::string& cpp_name) {
    if (!IsKeyword(cpp_name)) return;
    Fault(file, path,
          what + ": \"" + name +
              "\" is a C++ keyword, which protobuf's C++ generator writes as it stands; rename it");
  }

  void Method(const pb::MethodDescriptor* method,
              std::map<std::string, const pb::MethodDescriptor*>* by_pattern) {
    const pb::MethodOptions& options = method->options();
    const bool is_event = options.HasExtension(event);
    const Path event_path = MethodOption(method, event.number());
    const Path pattern_path = MethodOption(method, pattern.number());

    if (is_event) {
      if (method->client_streaming() || method->server_streaming()) {
        Fault(
            method->file(), event_path,
            method->full_name() +
                " is an event and streams; an event is one message: remove `stream`, or the option "
                "(rookery.event)");
      }
      if (method->output_type()->full_name() != "google.protobuf.Empty") {
        Fault(
            method->file(), event_path,
            method->full_name() + " is an event and returns " + method->output_type()->full_name() +
                "; nobody waits for an event's reply: return google.protobuf.Empty, or remove the "
                "option (rookery.event)");
      }
      if (options.HasExtension(pattern)) {
        Fault(method->file(), pattern_path,
              method->full_name() +
                  " has both (rookery.event) and (rookery.pattern); give the event's pattern as "
                  "(rookery.event) = { pattern: \"...\" }");
      }
    }

    if (is_event) Worker(method, options.GetExtension(event), event_path);

    std::string value;
    if (is_event) {
      value = options.GetExtension(event).pattern();
    } else if (options.HasExtension(pattern)) {
      value = options.GetExtension(pattern);
      if (value.empty()) {
        Fault(method->file(), pattern_path,
              method->full_name() +
                  " has an empty (rookery.pattern); give it a name, or remove the option");
      }
    }
    if (!value.empty()) {
      const Path& path = is_event ? event_path : pattern_path;
      Pattern(method, value, path);
      const auto [first, is_new] = by_pattern->emplace(value, method);
      if (!is_new) {
        Fault(method->file(), path,
              method->full_name() + " has the pattern \"" + value + "\", which " +
                  first->second->name() +
                  " has already; within a service each pattern leads to one method: rename one of "
                  "them");
      }
    }

    if (options.HasExtension(auth)) {
      Auth(options.GetExtension(auth), "rookery.auth", method->full_name(), method->file(),
           MethodOption(method, auth.number()));
    }
  }

  // What workers read.
  void Worker(const pb::MethodDescriptor* method, const EventOptions& options, const Path& path) {
    const pb::Descriptor* in = method->input_type();
    const std::string& key = options.key();
    for (std::size_t begin = 0; !key.empty() && begin <= key.size();) {
      const std::size_t end = std::min(key.find('.', begin), key.size());
      const pb::FieldDescriptor* const field =
          in == nullptr ? nullptr : in->FindFieldByName(key.substr(begin, end - begin));
      if (field == nullptr || field->is_repeated()) {
        Fault(method->file(), path,
              method->full_name() + " has the key \"" + key + "\", and " +
                  method->input_type()->full_name() +
                  " has no such single field; name one, as in \"order.customer_id\"");
        return;
      }
      in = field->message_type();
      begin = end + 1;
    }
    if (!key.empty() && in != nullptr) {
      Fault(method->file(), path,
            method->full_name() + " has the key \"" + key +
                "\", which is a message; name a field of it");
    }
    const RetryOptions& retry = options.retry();
    if (retry.max_attempts() < 0) {
      Fault(method->file(), path,
            method->full_name() + " has max_attempts below 0; 1 is: never again");
    }
    if (retry.backoff_multiplier() != 0 && !(retry.backoff_multiplier() >= 1)) {
      Fault(method->file(), path,
            method->full_name() + " has a backoff_multiplier below 1; pauses only grow");
    }
    if (retry.has_jitter() && !(retry.jitter() >= 0 && retry.jitter() <= 1)) {
      Fault(method->file(), path, method->full_name() + " has a jitter that is not from 0 to 1");
    }
    if (retry.initial_backoff().seconds() < 0 || retry.initial_backoff().nanos() < 0 ||
        retry.max_backoff().seconds() < 0 || retry.max_backoff().nanos() < 0) {
      Fault(method->file(), path, method->full_name() + " has a backoff below 0");
    }
  }

  void Pattern(const pb::MethodDescriptor* method, const std::string& value, const Path& path) {
    for (const char c : value) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte <= 0x20 || byte == 0x7f) {
        Fault(
            method->file(), path,
            method->full_name() +
                " has a pattern with a space or a control character in it, which no broker takes; "
                "use dots: \"orders.placed\"");
        return;
      }
    }
    if (value.front() == '/') {
      Fault(method->file(), path,
            method->full_name() + " has the pattern \"" + value +
                "\"; patterns that begin with a slash are taken by full names "
                "(/package.Service/Method): leave the slash out");
    }
    if (value.size() > kMaxPattern) {
      Fault(method->file(), path,
            method->full_name() + " has a pattern of " + std::to_string(value.size()) +
                " bytes; a topic's name has at most " + std::to_string(kMaxPattern) +
                ": shorten it");
    }
  }

  void Auth(const AuthOptions& options, std::string_view option, const std::string& owner,
            const pb::FileDescriptor* file, const Path& path) {
    const std::string name = "(" + std::string(option) + ")";
    if (options.public_() && (options.roles_size() > 0 || options.scopes_size() > 0)) {
      Fault(file, path,
            owner + " has " + name +
                " with `public: true` and with roles or scopes; who is not asked who they are has "
                "none: keep one of the two");
    }
    for (const std::string& role : options.roles()) {
      if (role.empty()) {
        Fault(file, path, owner + " has an empty role in " + name + "; name it, or remove it");
      }
    }
    for (const std::string& scope : options.scopes()) {
      if (scope.empty()) {
        Fault(file, path, owner + " has an empty scope in " + name + "; name it, or remove it");
      }
    }
  }

  // Kafka's limit, the lowest of the brokers'.
  static constexpr std::size_t kMaxPattern = 249;

  static Path ServiceOption(const pb::ServiceDescriptor* service, int number) {
    return {pb::FileDescriptorProto::kServiceFieldNumber, service->index(),
            pb::ServiceDescriptorProto::kOptionsFieldNumber, number};
  }
  static Path MethodOption(const pb::MethodDescriptor* method, int number) {
    return {pb::FileDescriptorProto::kServiceFieldNumber,   method->service()->index(),
            pb::ServiceDescriptorProto::kMethodFieldNumber, method->index(),
            pb::MethodDescriptorProto::kOptionsFieldNumber, number};
  }

  void Fault(const pb::FileDescriptor* file, Path path, const std::string& text) {
    // The option's own line, or else that of what it belongs to.
    pb::SourceLocation location;
    while (!path.empty() && !file->GetSourceLocation(path, &location)) {
      path.resize(path.size() < 2 ? 0 : path.size() - 2);
    }
    std::string where = file->name();
    if (!path.empty()) {
      where += ":" + std::to_string(location.start_line + 1) + ":" +
               std::to_string(location.start_column + 1);
    }
    faults_->push_back(where + ": " + text + ".");
  }

  std::vector<std::string>* faults_;
};

}  // namespace

std::vector<std::string> FindFaults(const pb::FileDescriptor* file) {
  std::vector<std::string> faults;
  Checker checker(&faults);
  checker.Names(file);
  checker.Runtime(file);
  for (int i = 0; i < file->service_count(); ++i) checker.Service(file->service(i));
  return faults;
}

}  // namespace rookery::plugin
