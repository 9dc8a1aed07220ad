#include "transcode.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "google/api/annotations.pb.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "rookery/rpc/status.h"
#include "rpc/utf8.h"
#include "runtime/abseil_strings.h"

namespace rookery::internal::gateway {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::MethodDescriptor;
using google::protobuf::Reflection;

constexpr std::string_view kHttpBody = "google.api.HttpBody";

[[nodiscard]] bool IsHttpBody(const Descriptor* type) {
  return type != nullptr && type->full_name() == kHttpBody;
}

[[nodiscard]] const FieldDescriptor* FindField(const Descriptor& type, std::string_view name) {
  const std::string text(name);
  if (const FieldDescriptor* field = type.FindFieldByName(text)) return field;
  if (const FieldDescriptor* field = type.FindFieldByCamelcaseName(text);
      field != nullptr && field->json_name() == text) {
    return field;
  }
  for (int i = 0; i < type.field_count(); ++i) {
    if (type.field(i)->json_name() == text) return type.field(i);
  }
  return nullptr;
}

[[nodiscard]] std::string NameOf(const FieldPath& path) {
  return absl::StrJoin(path, ".", [](std::string* out, const FieldDescriptor* field) {
    absl::StrAppend(out, field->json_name());
  });
}

[[nodiscard]] absl::Status BadField(std::string_view field, std::string_view reason) {
  google::rpc::BadRequest details;
  auto& violation = *details.add_field_violations();
  violation.set_field(std::string(field));
  violation.set_description(std::string(reason));
  std::string message =
      field.empty() ? std::string(reason) : absl::StrCat(Abs(field), ": ", Abs(reason));
  return WithDetails(absl::InvalidArgumentError(message), details);
}

[[nodiscard]] absl::Status BadJson(const JsonFault& fault, const absl::Status& status) {
  return fault.reason.empty() ? status : BadField(fault.path, fault.reason);
}

// The message that holds the last field of `path`, made on the way.
[[nodiscard]] Message* Holder(const FieldPath& path, Message* message) {
  for (std::size_t i = 0; i + 1 < path.size(); ++i) {
    message = message->GetReflection()->MutableMessage(message, path[i]);
  }
  return message;
}

// ---- rules ------------------------------------------------------------------------------------

class Rules final {
 public:
  explicit Rules(const MethodDescriptor& method) : method_(method) {}

  void Add(const google::api::HttpRule& rule, bool additional) {
    Binding binding;
    switch (rule.pattern_case()) {
      case google::api::HttpRule::kGet:
        Set("GET", rule.get(), &binding);
        break;
      case google::api::HttpRule::kPut:
        Set("PUT", rule.put(), &binding);
        break;
      case google::api::HttpRule::kPost:
        Set("POST", rule.post(), &binding);
        break;
      case google::api::HttpRule::kDelete:
        Set("DELETE", rule.delete_(), &binding);
        break;
      case google::api::HttpRule::kPatch:
        Set("PATCH", rule.patch(), &binding);
        break;
      case google::api::HttpRule::kCustom:
        Set(rule.custom().kind(), rule.custom().path(), &binding);
        if (binding.http_method.empty()) {
          Fault("a custom pattern needs a kind: the HTTP method, or \"*\"");
        }
        if (binding.http_method == "HEAD" || binding.http_method == "OPTIONS") {
          Fault(absl::StrCat(binding.http_method, " is answered by the gateway itself"));
        }
        break;
      case google::api::HttpRule::PATTERN_NOT_SET:
        Fault("a rule has no pattern: say get, put, post, delete, patch or custom");
        return;
    }
    where_ = absl::StrCat(binding.http_method, " ", binding.path);
    absl::StatusOr<PathTemplate> path = ParsePathTemplate(binding.path);
    if (!path.ok()) {
      Fault(std::string(path.status().message()));
      return;
    }
    binding.path_template = *std::move(path);
    const Descriptor& request = *method_.input_type();
    for (const PathVariable& variable : binding.path_template.variables) {
      std::optional<FieldPath> field = Resolve(request, variable);
      if (field) binding.variables.push_back({*std::move(field), variable});
    }
    if (rule.body() == "*") {
      binding.whole_body = true;
    } else if (!rule.body().empty()) {
      binding.body = FindField(request, rule.body());
      if (binding.body == nullptr) {
        Fault(absl::StrCat("body: \"", rule.body(), "\" is no field of ", request.full_name()));
      }
      for (const BoundVariable& bound : binding.variables) {
        if (binding.body != nullptr && bound.field.front() == binding.body) {
          Fault(absl::StrCat("the path and the body both set ", NameOf(bound.field)));
        }
      }
    }
    if (method_.client_streaming() && !binding.whole_body) {
      Fault("a method with a stream of requests takes them from the body: say body: \"*\"");
    }
    if (!rule.response_body().empty()) {
      binding.response = FindField(*method_.output_type(), rule.response_body());
      if (binding.response == nullptr) {
        Fault(absl::StrCat("response_body: \"", rule.response_body(), "\" is no field of ",
                           method_.output_type()->full_name()));
      }
    }
    if (additional && rule.additional_bindings_size() > 0) {
      Fault("additional_bindings do not nest");
    }
    bindings_.push_back(std::move(binding));
    if (!additional) {
      for (const google::api::HttpRule& each : rule.additional_bindings()) Add(each, true);
    }
  }

  absl::StatusOr<std::vector<Binding>> Take() && {
    if (!faults_.empty()) return absl::InvalidArgumentError(absl::StrJoin(faults_, "\n"));
    return std::move(bindings_);
  }

 private:
  static void Set(std::string_view http_method, const std::string& path, Binding* binding) {
    binding->http_method = http_method;
    binding->path = path;
  }

  void Fault(std::string reason) {
    faults_.push_back(absl::StrCat("google.api.http of ", method_.full_name(),
                                   where_.empty() ? "" : " (", where_, where_.empty() ? "" : ")",
                                   ": ", reason));
  }

  std::optional<FieldPath> Resolve(const Descriptor& request, const PathVariable& variable) {
    FieldPath path;
    const Descriptor* type = &request;
    const std::string name = absl::StrJoin(variable.field_path, ".");
    for (const std::string& part : variable.field_path) {
      if (type == nullptr) {
        Fault(absl::StrCat("{", name, "}: ", path.back()->full_name(), " is no message"));
        return std::nullopt;
      }
      const FieldDescriptor* const field = FindField(*type, part);
      if (field == nullptr) {
        Fault(absl::StrCat("{", name, "}: ", type->full_name(), " has no field \"", part, "\""));
        return std::nullopt;
      }
      if (field->is_repeated()) {
        Fault(absl::StrCat("{", name, "}: a path's variable cannot be repeated or a map, as ",
                           field->full_name(), " is"));
        return std::nullopt;
      }
      path.push_back(field);
      type = field->message_type();
    }
    if (type != nullptr) {
      Fault(absl::StrCat("{", name, "}: a path's variable cannot be a message, as ",
                         path.back()->full_name(), " is; name a field in it"));
      return std::nullopt;
    }
    return path;
  }

  const MethodDescriptor& method_;
  std::string where_;
  std::vector<Binding> bindings_;
  std::vector<std::string> faults_;
};

// ---- requests ---------------------------------------------------------------------------------

// Sets one leaf from text; what is wrong with it is told under its whole name.
[[nodiscard]] absl::Status SetLeaf(const FieldPath& path, std::string_view text, Message* message) {
  Message* const holder = Holder(path, message);
  JsonFault fault;
  const absl::Status status = TextToField(text, *path.back(), holder, &fault);
  if (status.ok()) return status;
  return BadField(NameOf(path), fault.reason.empty() ? Std(status.message()) : fault.reason);
}

class Query final {
 public:
  Query(const Binding& binding, const TranscodeOptions& options, Message* message)
      : binding_(binding), options_(options), message_(message) {}

  absl::Status Read(std::string_view query) {
    std::size_t count = 0;
    while (!query.empty()) {
      const std::size_t end = query.find('&');
      const std::string_view parameter = query.substr(0, end);
      query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
      if (parameter.empty()) continue;
      if (++count > options_.max_query_parameters) {
        return absl::InvalidArgumentError(
            absl::StrCat("more than ", options_.max_query_parameters, " query parameters"));
      }
      const std::size_t equals = parameter.find('=');
      const std::optional<std::string> name =
          DecodePercent(parameter.substr(0, equals), {.plus_is_space = true});
      const std::optional<std::string> value = DecodePercent(
          equals == std::string_view::npos ? std::string_view() : parameter.substr(equals + 1),
          {.plus_is_space = true});
      if (!name || !value) {
        return absl::InvalidArgumentError("the query has a malformed percent-encoding");
      }
      absl::Status status = Set(*name, *value);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Set(std::string_view name, std::string_view value) {
    if (binding_.whole_body) {
      if (options_.ignore_unknown_query_parameters) return absl::OkStatus();
      return BadField(name, "this method takes its fields from the body, not from the query");
    }
    FieldPath path;
    const Descriptor* type = message_->GetDescriptor();
    std::string_view rest = name;
    for (;;) {
      const std::size_t dot = rest.find('.');
      const std::string_view part = rest.substr(0, dot);
      const FieldDescriptor* const field =
          type == nullptr || part.empty() ? nullptr : FindField(*type, part);
      if (field == nullptr) {
        if (options_.ignore_unknown_query_parameters) return absl::OkStatus();
        return BadField(name, "no such field");
      }
      path.push_back(field);
      if (dot == std::string_view::npos) break;
      if (field->is_repeated()) {
        return BadField(name, "a repeated field's messages cannot be set by the query");
      }
      if (static_cast<int>(path.size()) > options_.read.max_depth) {
        return BadField(name, "nested too deep");
      }
      type = field->message_type();
      rest.remove_prefix(dot + 1);
    }
    if (binding_.body != nullptr && path.front() == binding_.body) {
      return BadField(name, "the body sets this field");
    }
    for (const BoundVariable& bound : binding_.variables) {
      if (bound.field == path) return BadField(name, "the path sets this field");
    }
    if (!path.back()->is_repeated()) {
      const std::string key = NameOf(path);
      if (!seen_.insert(key).second) return BadField(name, "given twice, and it is not repeated");
    }
    // Setting one member of a oneof would silently drop another.
    const Message* at = message_;
    for (const FieldDescriptor* field : path) {
      const Reflection& reflection = *at->GetReflection();
      const auto* oneof = field->real_containing_oneof();
      if (oneof != nullptr && reflection.HasOneof(*at, oneof) && !reflection.HasField(*at, field)) {
        return BadField(name,
                        absl::StrCat("another field of \"", oneof->name(), "\" is set already"));
      }
      if (field->is_repeated() || field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) break;
      if (!reflection.HasField(*at, field)) break;
      at = &reflection.GetMessage(*at, field);
    }
    return SetLeaf(path, value, message_);
  }

  const Binding& binding_;
  const TranscodeOptions& options_;
  Message* const message_;
  absl::flat_hash_set<std::string> seen_;
};

void SetRaw(const RequestParts& parts, Message* body) {
  const Reflection& reflection = *body->GetReflection();
  const Descriptor& type = *body->GetDescriptor();
  reflection.SetString(body, type.FindFieldByNumber(1), std::string(parts.content_type));
  reflection.SetString(body, type.FindFieldByNumber(2), std::string(parts.body));
}

}  // namespace

absl::StatusOr<std::vector<Binding>> BindingsOf(const MethodDescriptor& method,
                                                DefaultBinding default_binding) {
  Rules rules(method);
  const bool annotated = method.options().HasExtension(google::api::http);
  if (annotated) rules.Add(method.options().GetExtension(google::api::http), false);
  if (default_binding == DefaultBinding::kAll ||
      (default_binding == DefaultBinding::kUnannotated && !annotated)) {
    google::api::HttpRule rule;
    rule.set_post(absl::StrCat("/", method.service()->full_name(), "/", method.name()));
    rule.set_body("*");
    rules.Add(rule, false);
  }
  return std::move(rules).Take();
}

bool TakesRawBody(const Binding& binding, const Descriptor& request) {
  if (binding.whole_body) return IsHttpBody(&request);
  return binding.body != nullptr && !binding.body->is_repeated() &&
         IsHttpBody(binding.body->message_type());
}

bool GivesRawBody(const Binding& binding, const Descriptor& response) {
  if (binding.response == nullptr) return IsHttpBody(&response);
  return !binding.response->is_repeated() && IsHttpBody(binding.response->message_type());
}

absl::Status FillFromUrl(const Binding& binding, const RequestParts& parts,
                         const TranscodeOptions& options, Message* message) {
  for (const BoundVariable& bound : binding.variables) {
    const std::size_t end = bound.variable.rest ? parts.segments.size() : bound.variable.end;
    std::string value;
    for (std::size_t i = bound.variable.begin; i < end; ++i) {
      const std::optional<std::string> segment = DecodePercent(
          parts.segments[i],
          {.keep_slash = bound.variable.multiple && !options.fully_decode_reserved_expansion});
      if (!segment) return BadField(NameOf(bound.field), "malformed percent-encoding in the path");
      if (i > bound.variable.begin) value.push_back('/');
      value.append(*segment);
    }
    absl::Status status = SetLeaf(bound.field, value, message);
    if (!status.ok()) return status;
  }
  return Query(binding, options, message).Read(parts.query);
}

absl::Status FillRequest(const Binding& binding, const RequestParts& parts,
                         const TranscodeOptions& options, Message* message) {
  JsonFault fault;
  if (binding.takes_body() && TakesRawBody(binding, *message->GetDescriptor())) {
    SetRaw(parts, binding.whole_body
                      ? message
                      : message->GetReflection()->MutableMessage(message, binding.body));
  } else if (binding.whole_body) {
    // An empty body is an empty message: curl -X POST without -d.
    if (!parts.body.empty()) {
      const absl::Status status = JsonToMessage(parts.body, message, options.read, &fault);
      if (!status.ok()) return BadJson(fault, status);
    }
  } else if (binding.body != nullptr) {
    if (!parts.body.empty()) {
      const absl::Status status =
          JsonToField(parts.body, *binding.body, message, options.read, &fault);
      if (!status.ok()) return BadJson(fault, status);
    }
  }
  return FillFromUrl(binding, parts, options, message);
}

absl::Status AppendResponse(const Binding& binding, const Message& message,
                            const TranscodeOptions& options, std::string* out,
                            std::string* content_type) {
  if (GivesRawBody(binding, *message.GetDescriptor())) {
    const Message& body = binding.response == nullptr
                              ? message
                              : message.GetReflection()->GetMessage(message, binding.response);
    const Reflection& reflection = *body.GetReflection();
    const Descriptor& type = *body.GetDescriptor();
    std::string scratch;
    const std::string& type_name =
        reflection.GetStringReference(body, type.FindFieldByNumber(1), &scratch);
    // It goes into a header: what could end the line must not.
    const bool sane = std::all_of(type_name.begin(), type_name.end(),
                                  [](char c) { return c >= 0x20 && c < 0x7f; });
    *content_type = type_name.empty() || !sane ? "application/octet-stream" : type_name;
    std::string data_scratch;
    out->append(reflection.GetStringReference(body, type.FindFieldByNumber(2), &data_scratch));
    return absl::OkStatus();
  }
  *content_type = "application/json";
  if (binding.response != nullptr) {
    return AppendFieldAsJson(message, *binding.response, options.write, out);
  }
  return AppendMessageAsJson(message, options.write, out);
}

int HttpCodeOf(absl::StatusCode code) noexcept {
  switch (code) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kCancelled:
      return 499;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kAborted:
      return 409;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kUnimplemented:
      return 501;
    case absl::StatusCode::kUnavailable:
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    default:
      return 500;
  }
}

std::string StatusAsJson(const absl::Status& status) {
  google::rpc::Status proto;
  proto.set_code(static_cast<int>(status.code()));
  // Other peers' bytes may have come this far; JSON is UTF-8.
  std::string text;
  proto.set_message(MendUtf8(Std(status.message())));
  for (StatusDetail& detail : DetailsOf(status)) {
    auto& any = *proto.add_details();
    any.set_type_url(std::move(detail.type_url));
    any.set_value(std::move(detail.value));
  }
  const JsonWriteOptions options{.unknown_any_as_base64 = true};
  if (AppendMessageAsJson(proto, options, &text).ok()) return text;
  proto.clear_details();
  text.clear();
  if (AppendMessageAsJson(proto, options, &text).ok()) return text;
  return absl::StrCat("{\"code\":", static_cast<int>(status.code()), "}");
}

}  // namespace rookery::internal::gateway
