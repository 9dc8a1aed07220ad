#include "generator.h"

#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/printer.h>
#include <google/protobuf/io/zero_copy_stream.h>

#include "check.h"
#include "comment.h"
#include "names.h"
#include "rookery/annotations.pb.h"

namespace rookery::plugin {

namespace pb = ::google::protobuf;

namespace {

using Variables = std::map<std::string, std::string>;

enum class Kind { kUnary, kServerStream, kClientStream, kBidi, kEvent };

Kind KindOf(const pb::MethodDescriptor* method) {
  if (method->options().HasExtension(event)) return Kind::kEvent;
  if (method->client_streaming()) {
    return method->server_streaming() ? Kind::kBidi : Kind::kClientStream;
  }
  return method->server_streaming() ? Kind::kServerStream : Kind::kUnary;
}

bool TakesStream(Kind kind) { return kind == Kind::kClientStream || kind == Kind::kBidi; }

// The enumerator of rookery::MethodKind.
const char* KindName(Kind kind) {
  switch (kind) {
    case Kind::kUnary:
      return "kUnary";
    case Kind::kServerStream:
      return "kServerStreaming";
    case Kind::kClientStream:
      return "kClientStreaming";
    case Kind::kBidi:
      return "kBidiStreaming";
    case Kind::kEvent:
      return "kEvent";
  }
  return "";
}

// What follows Call in the names of rookery/rpc/generated.h.
const char* TemplateSuffix(Kind kind) {
  switch (kind) {
    case Kind::kUnary:
      return "Unary";
    case Kind::kServerStream:
      return "ServerStream";
    case Kind::kClientStream:
      return "ClientStream";
    case Kind::kBidi:
      return "Bidi";
    case Kind::kEvent:
      return "Event";
  }
  return "";
}

std::string ReturnType(const pb::MethodDescriptor* method) {
  const std::string reply = CppType(method->output_type());
  switch (KindOf(method)) {
    case Kind::kUnary:
    case Kind::kClientStream:
      return "::rookery::Task<" + reply + ">";
    case Kind::kServerStream:
    case Kind::kBidi:
      return "::rookery::Stream<" + reply + ">";
    case Kind::kEvent:
      return "::rookery::Task<void>";
  }
  return "";
}

// `text` between quotes, as C++ reads it.
std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      // Octal escapes end after three digits, whatever follows; \x would go on.
      out += '\\';
      out += static_cast<char>('0' + (byte >> 6));
      out += static_cast<char>('0' + ((byte >> 3) & 7));
      out += static_cast<char>('0' + (byte & 7));
    } else {
      out += c;
    }
  }
  // "??x" would be a trigraph before C++17, and draws a warning still.
  for (std::size_t at = out.find("??"); at != std::string::npos; at = out.find("??", at)) {
    out.replace(at, 2, "?\\?");
  }
  return out + "\"";
}

bool IsDeprecated(const pb::Descriptor* message) { return message->options().deprecated(); }

bool UsesDeprecatedMessages(const pb::FileDescriptor* file) {
  for (int s = 0; s < file->service_count(); ++s) {
    for (int m = 0; m < file->service(s)->method_count(); ++m) {
      const pb::MethodDescriptor* const method = file->service(s)->method(m);
      if (IsDeprecated(method->input_type()) || IsDeprecated(method->output_type())) return true;
    }
  }
  return false;
}

bool UsesDeprecated(const pb::FileDescriptor* file) {
  if (UsesDeprecatedMessages(file)) return true;
  for (int s = 0; s < file->service_count(); ++s) {
    if (file->service(s)->options().deprecated()) return true;
    for (int m = 0; m < file->service(s)->method_count(); ++m) {
      if (file->service(s)->method(m)->options().deprecated()) return true;
    }
  }
  return false;
}

// A message of the file that C++ code can name without a warning, or null.
const pb::Descriptor* AnyMessage(const pb::FileDescriptor* file) {
  for (int i = 0; i < file->message_type_count(); ++i) {
    if (!IsDeprecated(file->message_type(i))) return file->message_type(i);
  }
  return nullptr;
}

class FileWriter final {
 public:
  FileWriter(const pb::FileDescriptor* file, pb::compiler::GeneratorContext* context)
      : file_(file), context_(context), namespace_(CppNamespace(file->package())) {
    for (int i = 0; i < file->service_count(); ++i) {
      classes_.emplace_back(file->service(i));
      names_.emplace_back(file->service(i), classes_.back());
    }
  }

  void Header() {
    const std::unique_ptr<pb::io::ZeroCopyOutputStream> output(
        context_->Open(BaseName(file_) + ".rookery.h"));
    pb::io::Printer printer(output.get(), '$');
    out_ = &printer;
    const Variables vars = {{"file", file_->name()},
                            {"guard", "ROOKERY_GENERATED_" + FileIdentifier(file_) + "_"}};
    out_->Print(vars,
                "// Made by protoc-gen-rookery of $file$. Do not edit.\n"
                "#ifndef $guard$\n"
                "#define $guard$\n"
                "\n");
    if (file_->service_count() > 0) {
      out_->Print(
          "#include <memory>\n"
          "\n"
          "#include \"rookery/rpc/client.h\"\n"
          "#include \"rookery/rpc/service.h\"\n");
    }
    for (const std::string& header : MessageHeaders()) {
      out_->Print("#include \"$header$\"\n", "header", header);
    }
    out_->Print("\n");
    if (file_->service_count() == 0) {
      out_->Print("// $file$ has no services.\n\n", "file", file_->name());
    } else {
      if (UsesDeprecatedMessages(file_)) PushDeprecated();
      OpenNamespace();
      for (int i = 0; i < file_->service_count(); ++i) {
        ServiceClass(i);
        ClientClass(i);
      }
      CloseNamespace();
      if (UsesDeprecatedMessages(file_)) PopDeprecated();
    }
    out_->Print(vars, "#endif  // $guard$\n");
    out_ = nullptr;
  }

  void Source() {
    const std::unique_ptr<pb::io::ZeroCopyOutputStream> output(
        context_->Open(BaseName(file_) + ".rookery.cc"));
    pb::io::Printer printer(output.get(), '$');
    out_ = &printer;
    out_->Print(
        "// Made by protoc-gen-rookery of $file$. Do not edit.\n"
        "#include \"$base$.rookery.h\"\n",
        "file", file_->name(), "base", BaseName(file_));
    if (file_->service_count() > 0) {
      out_->Print(
          "\n"
          "#include <utility>\n"
          "\n"
          "#include \"rookery/rpc/generated.h\"\n"
          "\n"
          "static_assert(::rookery::internal::kCodegenVersion == $version$,\n"
          "              \"$base$.rookery.cc was made by a protoc-gen-rookery that does not belong "
          "to \"\n"
          "              \"the rookery headers in use: generate it again with theirs\");\n"
          "\n",
          "version", std::to_string(kCodegenVersion), "base", BaseName(file_));
      if (UsesDeprecated(file_)) PushDeprecated();
      Tables();
      out_->Print("\n");
      OpenNamespace();
      for (int i = 0; i < file_->service_count(); ++i) {
        if (i > 0) out_->Print("\n");
        Definitions(i);
      }
      out_->Print("\n");
      CloseNamespace(/*last=*/!UsesDeprecated(file_));
      if (UsesDeprecated(file_)) PopDeprecated(/*last=*/true);
    }
    out_ = nullptr;
  }

 private:
  // The .pb.h of the file and of every message that its methods name, each once, sorted but for the
  // first.
  [[nodiscard]] std::vector<std::string> MessageHeaders() const {
    std::set<std::string> others;
    for (int s = 0; s < file_->service_count(); ++s) {
      for (int m = 0; m < file_->service(s)->method_count(); ++m) {
        const pb::MethodDescriptor* const method = file_->service(s)->method(m);
        others.insert(BaseName(method->input_type()->file()) + ".pb.h");
        others.insert(BaseName(method->output_type()->file()) + ".pb.h");
      }
    }
    const std::string own = BaseName(file_) + ".pb.h";
    others.erase(own);
    std::vector<std::string> headers = {own};
    headers.insert(headers.end(), others.begin(), others.end());
    return headers;
  }

  void OpenNamespace() {
    if (!namespace_.empty()) out_->Print("namespace $name$ {\n\n", "name", namespace_);
  }
  void CloseNamespace(bool last = false) {
    if (namespace_.empty()) return;
    out_->Print("}  // namespace $name$\n", "name", namespace_);
    if (!last) out_->Print("\n");
  }
  // Both compilers know this spelling.
  void PushDeprecated() {
    out_->Print(
        "#pragma GCC diagnostic push\n"
        "#pragma GCC diagnostic ignored \"-Wdeprecated-declarations\"\n"
        "\n");
  }
  void PopDeprecated(bool last = false) {
    out_->Print("#pragma GCC diagnostic pop\n");
    if (!last) out_->Print("\n");
  }

  // The comment of a thing; false if it has none.
  template <class D>
  bool Comment(const D* descriptor) {
    pb::SourceLocation location;
    if (!descriptor->GetSourceLocation(&location)) return false;
    const std::vector<std::string> lines = CommentLines(location);
    for (const std::string& line : lines) {
      out_->Print("$line$\n", "line", line);
    }
    return !lines.empty();
  }

  [[nodiscard]] Variables ServiceVariables(int index) const {
    const pb::ServiceDescriptor* const service = file_->service(index);
    const ClassNames& classes = classes_[static_cast<std::size_t>(index)];
    const std::string scope = namespace_.empty() ? "::" : "::" + namespace_ + "::";
    return {{"name", service->name()},
            {"full_name", service->full_name()},
            {"service", classes.service},
            {"client", classes.client},
            {"qualified_service", scope + classes.service},
            {"tables", "::rookery_generated::" + FileIdentifier(file_)},
            {"deprecated", service->options().deprecated() ? "[[deprecated]] " : ""}};
  }
  [[nodiscard]] Variables MethodVariables(int service, int index) const {
    const pb::MethodDescriptor* const method = file_->service(service)->method(index);
    const MemberNames& names = names_[static_cast<std::size_t>(service)];
    Variables vars = ServiceVariables(service);
    const bool is_event = KindOf(method) == Kind::kEvent;
    vars["rpc"] = method->name();
    vars["method"] = names.method(index);
    vars["constant"] = names.constant(index);
    vars["index"] = std::to_string(index);
    vars["request"] = CppType(method->input_type());
    vars["reply"] = CppType(method->output_type());
    vars["returns"] = ReturnType(method);
    vars["argument"] = is_event ? "event" : "request";
    vars["kind"] = KindName(KindOf(method));
    vars["suffix"] = TemplateSuffix(KindOf(method));
    vars["deprecated"] = method->options().deprecated() ? "[[deprecated]] " : "";
    return vars;
  }

  void ServiceClass(int index) {
    const pb::ServiceDescriptor* const service = file_->service(index);
    const Variables vars = ServiceVariables(index);
    if (Comment(service)) out_->Print("//\n");
    out_->Print(vars, "// Derive a controller from it and override every method.\n");
    if (service->options().deprecated()) out_->Print("// Deprecated.\n");
    out_->Print(vars,
                "class $service$ : public ::rookery::Service {\n"
                " public:\n");
    out_->Indent();
    out_->Print(vars,
                "using ServiceType = $service$;\n"
                "static const ::rookery::ServiceDescriptor& Descriptor();\n");
    for (int i = 0; i < service->method_count(); ++i) {
      const pb::MethodDescriptor* const method = service->method(i);
      const Variables method_vars = MethodVariables(index, i);
      out_->Print("\n");
      Comment(method);
      if (method->options().deprecated()) out_->Print("// Deprecated.\n");
      out_->Print(method_vars, "static constexpr ::rookery::MethodRef $constant${$index$};\n");
      if (TakesStream(KindOf(method))) {
        out_->Print(
            method_vars,
            "virtual $returns$ $method$(\n"
            "    ::rookery::CallContext& call, ::rookery::Stream<$request$> requests) = 0;\n");
      } else {
        out_->Print(method_vars,
                    "virtual $returns$ $method$(\n"
                    "    ::rookery::CallContext& call, const $request$& $argument$) = 0;\n");
      }
    }
    out_->Outdent();
    out_->Print("};\n\n");
  }

  void ClientClass(int index) {
    const pb::ServiceDescriptor* const service = file_->service(index);
    const Variables vars = ServiceVariables(index);
    if (Comment(service)) out_->Print("//\n");
    out_->Print(vars, "// Calls $full_name$ over any channel. Copyable; thread-safe.\n");
    out_->Print(vars,
                "class $deprecated$$client$ final : public ::rookery::ClientBase {\n"
                " public:\n");
    out_->Indent();
    out_->Print(vars,
                "using ServiceType = $service$;\n"
                "explicit $client$(::std::shared_ptr<::rookery::Channel> channel) noexcept;\n"
                "static const ::rookery::ServiceDescriptor& Descriptor();\n");
    for (int i = 0; i < service->method_count(); ++i) {
      const pb::MethodDescriptor* const method = service->method(i);
      const Variables method_vars = MethodVariables(index, i);
      out_->Print("\n");
      Comment(method);
      if (TakesStream(KindOf(method))) {
        out_->Print(
            method_vars,
            "$deprecated$$returns$ $method$(\n"
            "    ::rookery::Stream<$request$> requests, ::rookery::CallOptions options = {});\n");
      } else {
        out_->Print(method_vars,
                    "$deprecated$$returns$ $method$(\n"
                    "    const $request$& $argument$, ::rookery::CallOptions options = {});\n"
                    "$deprecated$$returns$ $method$(\n"
                    "    $request$&& $argument$, ::rookery::CallOptions options = {});\n");
      }
    }
    out_->Outdent();
    out_->Print("};\n\n");
  }

  // The tables live in a namespace that no package can meet, so that their names may be plain.
  void Tables() {
    out_->Print("namespace rookery_generated::$id$ {\nnamespace {\n", "id", FileIdentifier(file_));
    for (int s = 0; s < file_->service_count(); ++s) {
      const pb::ServiceDescriptor* const service = file_->service(s);
      const Variables vars = ServiceVariables(s);
      out_->Print(vars, "\nconst ::google::protobuf::ServiceDescriptor* Proto_$name$() {\n");
      if (const pb::Descriptor* const message = AnyMessage(file_)) {
        out_->Print("  return $message$::descriptor()->file()->service($index$);\n", "message",
                    CppType(message), "index", std::to_string(s));
      } else {
        out_->Print("  return ::rookery::internal::FindService(&$table$, \"$full_name$\");\n",
                    "table", DescriptorTable(file_), "full_name", service->full_name());
      }
      out_->Print("}\n");
      if (service->method_count() > 0) {
        out_->Print(vars, "\nconstexpr ::rookery::MethodDescriptor kMethods_$name$[] = {\n");
        for (int m = 0; m < service->method_count(); ++m) TableEntry(s, m);
        out_->Print("};\n");
      }
      out_->Print(vars,
                  "\nconstexpr ::rookery::ServiceDescriptor kService_$name$ = {\n"
                  "    .full_name = \"$full_name$\",\n");
      if (service->method_count() > 0) {
        out_->Print(vars, "    .methods = kMethods_$name$,\n");
      } else {
        out_->Print("    .methods = {},\n");
      }
      out_->Print(vars, "    .proto = &Proto_$name$,\n};\n");
    }
    out_->Print("\n}  // namespace\n}  // namespace rookery_generated::$id$\n", "id",
                FileIdentifier(file_));
  }

  void TableEntry(int s, int m) {
    const pb::MethodDescriptor* const method = file_->service(s)->method(m);
    const Variables vars = MethodVariables(s, m);
    out_->Print(vars,
                "    {\n"
                "        .full_name = \"/$full_name$/$rpc$\",\n"
                "        .service = \"$full_name$\",\n"
                "        .name = \"$rpc$\",\n"
                "        .kind = ::rookery::MethodKind::$kind$,\n");
    switch (method->options().idempotency_level()) {
      case pb::MethodOptions::NO_SIDE_EFFECTS:
        out_->Print("        .idempotency = ::rookery::Idempotency::kNoSideEffects,\n");
        break;
      case pb::MethodOptions::IDEMPOTENT:
        out_->Print("        .idempotency = ::rookery::Idempotency::kIdempotent,\n");
        break;
      default:
        out_->Print("        .idempotency = ::rookery::Idempotency::kUnknown,\n");
        break;
    }
    out_->Print("        .deprecated = $value$,\n", "value",
                method->options().deprecated() ? "true" : "false");
    const std::string text = KindOf(method) == Kind::kEvent
                                 ? method->options().GetExtension(event).pattern()
                                 : method->options().GetExtension(pattern);
    out_->Print("        .pattern = $pattern$,\n", "pattern", Quoted(text));
    out_->Print(vars,
                "        .request = &::rookery::internal::DefaultInstance<$request$>,\n"
                "        .response = &::rookery::internal::DefaultInstance<$reply$>,\n"
                "        .move_request = &::rookery::internal::MoveMessage<$request$>,\n"
                "        .move_response = &::rookery::internal::MoveMessage<$reply$>,\n"
                "        .invoke = &::rookery::internal::InvokeMember<\n"
                "            $qualified_service$, &$qualified_service$::$method$>,\n"
                "        .closure = nullptr,\n"
                "        .proto = &::rookery::internal::ProtoMethod<&Proto_$name$, $index$>,\n"
                "    },\n");
  }

  void Definitions(int s) {
    const pb::ServiceDescriptor* const service = file_->service(s);
    const Variables vars = ServiceVariables(s);
    out_->Print(vars,
                "const ::rookery::ServiceDescriptor& $service$::Descriptor() {\n"
                "  return $tables$::kService_$name$;\n"
                "}\n"
                "\n"
                "$client$::$client$(::std::shared_ptr<::rookery::Channel> channel) noexcept\n"
                "    : ::rookery::ClientBase(::std::move(channel)) {}\n"
                "\n"
                "const ::rookery::ServiceDescriptor& $client$::Descriptor() {\n"
                "  return $tables$::kService_$name$;\n"
                "}\n");
    for (int m = 0; m < service->method_count(); ++m) {
      const pb::MethodDescriptor* const method = service->method(m);
      Variables method_vars = MethodVariables(s, m);
      method_vars["row"] = "*this, " + vars.at("tables") + "::kMethods_" + service->name() + "[" +
                           std::to_string(m) + "]";
      switch (KindOf(method)) {
        case Kind::kClientStream:
        case Kind::kBidi:
          out_->Print(
              method_vars,
              "\n"
              "$returns$ $client$::$method$(\n"
              "    ::rookery::Stream<$request$> requests, ::rookery::CallOptions options) {\n"
              "  return ::rookery::internal::Call$suffix$<$reply$>(\n"
              "      $row$, ::std::move(requests), ::std::move(options));\n"
              "}\n");
          break;
        case Kind::kUnary:
        case Kind::kServerStream:
        case Kind::kEvent:
          method_vars["reply_argument"] =
              KindOf(method) == Kind::kEvent ? "" : "<" + method_vars["reply"] + ">";
          out_->Print(method_vars,
                      "\n"
                      "$returns$ $client$::$method$(\n"
                      "    const $request$& $argument$, ::rookery::CallOptions options) {\n"
                      "  return ::rookery::internal::Call$suffix$$reply_argument$(\n"
                      "      $row$, $argument$, ::std::move(options));\n"
                      "}\n"
                      "$returns$ $client$::$method$(\n"
                      "    $request$&& $argument$, ::rookery::CallOptions options) {\n"
                      "  return ::rookery::internal::Call$suffix$$reply_argument$(\n"
                      "      $row$, ::std::move($argument$), ::std::move(options));\n"
                      "}\n");
          break;
      }
    }
  }

  const pb::FileDescriptor* file_;
  pb::compiler::GeneratorContext* context_;
  std::string namespace_;
  std::vector<ClassNames> classes_;
  std::vector<MemberNames> names_;
  pb::io::Printer* out_ = nullptr;
};

}  // namespace

bool Generator::Generate(const pb::FileDescriptor* file, const std::string& parameter,
                         pb::compiler::GeneratorContext* context, std::string* error) const {
  return GenerateAll({file}, parameter, context, error);
}

bool Generator::GenerateAll(const std::vector<const pb::FileDescriptor*>& files,
                            const std::string& parameter, pb::compiler::GeneratorContext* context,
                            std::string* error) const {
  std::vector<std::pair<std::string, std::string>> options;
  pb::compiler::ParseGeneratorParameter(parameter, &options);
  if (!options.empty()) {
    *error = "unknown parameter '" + options.front().first +
             "': protoc-gen-rookery takes none; remove what stands before the colon of "
             "--rookery_out.";
    return false;
  }
  std::string all;
  for (const pb::FileDescriptor* const file : files) {
    // On lines of their own, as editors look for them.
    for (const std::string& fault : FindFaults(file)) all += "\n" + fault;
  }
  if (!all.empty()) {
    *error = std::move(all);
    return false;
  }
  for (const pb::FileDescriptor* const file : files) {
    FileWriter writer(file, context);
    writer.Header();
    writer.Source();
  }
  return true;
}

}  // namespace rookery::plugin
