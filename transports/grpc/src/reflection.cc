#include "reflection.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "rookery_wire/health.pb.h"
#include "rookery_wire/reflection.pb.h"

namespace rookery::grpc_adapter {
namespace {

namespace pb = google::protobuf;
namespace wire = rookery_wire::grpc::reflection::v1;

constexpr MethodDescriptor Describe(std::string_view full_name, std::string_view service) {
  return MethodDescriptor{
      .full_name = full_name,
      .service = service,
      .name = "ServerReflectionInfo",
      .kind = MethodKind::kBidiStreaming,
      .idempotency = Idempotency::kNoSideEffects,
      .pattern = "",
      .request = []() -> const pb::Message& {
        return wire::ServerReflectionRequest::default_instance();
      },
      .response = []() -> const pb::Message& {
        return wire::ServerReflectionResponse::default_instance();
      },
  };
}
constexpr MethodDescriptor kV1 =
    Describe("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
             "grpc.reflection.v1.ServerReflection");
constexpr MethodDescriptor kV1Alpha =
    Describe("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
             "grpc.reflection.v1alpha.ServerReflection");

// Replaces the package `from` by `to`, wherever it is named in a file of ours.
void Rename(std::string* name, std::string_view from, std::string_view to) {
  const bool absolute = name->starts_with('.');
  const std::string_view rest = std::string_view(*name).substr(absolute ? 1 : 0);
  if (rest != from && !(rest.starts_with(from) && rest.substr(from.size()).starts_with('.')))
    return;
  name->replace(absolute ? 1 : 0, from.size(), to);
}

void Rename(pb::DescriptorProto* message, std::string_view from, std::string_view to) {
  for (pb::FieldDescriptorProto& field : *message->mutable_field()) {
    if (field.has_type_name()) Rename(field.mutable_type_name(), from, to);
  }
  for (pb::DescriptorProto& nested : *message->mutable_nested_type()) Rename(&nested, from, to);
}

pb::FileDescriptorProto Published(const pb::FileDescriptor& file, std::string_view from,
                                  std::string_view to, std::string_view path) {
  pb::FileDescriptorProto copy;
  file.CopyTo(&copy);
  copy.set_name(std::string(path));
  Rename(copy.mutable_package(), from, to);
  for (pb::DescriptorProto& message : *copy.mutable_message_type()) Rename(&message, from, to);
  for (pb::ServiceDescriptorProto& service : *copy.mutable_service()) {
    for (pb::MethodDescriptorProto& method : *service.mutable_method()) {
      Rename(method.mutable_input_type(), from, to);
      Rename(method.mutable_output_type(), from, to);
    }
  }
  return copy;
}

}  // namespace

// Answers questions. Thread-safe.
class ReflectionSource final {
 public:
  ReflectionSource(const HandlerRegistry& registry, bool health) : health_(health) {
    for (const Handler* handler : registry.all()) {
      const MethodDescriptor& method = handler->descriptor();
      if (!method.service.empty()) services_.emplace(method.service);
      if (method.proto != nullptr) protos_.push_back(method.proto);
    }
    if (health) services_.emplace("grpc.health.v1.Health");
    services_.emplace(kV1.service);
    services_.emplace(kV1Alpha.service);
  }

  void Answer(const wire::ServerReflectionRequest& request,
              wire::ServerReflectionResponse* response) {
    LoadFiles();
    response->set_valid_host(request.host());
    *response->mutable_original_request() = request;
    using Request = wire::ServerReflectionRequest;
    switch (request.message_request_case()) {
      case Request::kFileByFilename:
        AnswerFile(Find([&](const pb::DescriptorPool& pool) {
                     return pool.FindFileByName(request.file_by_filename());
                   }),
                   absl::StrCat("no file ", request.file_by_filename()), response);
        return;
      case Request::kFileContainingSymbol:
        AnswerFile(Find([&](const pb::DescriptorPool& pool) {
                     return pool.FindFileContainingSymbol(request.file_containing_symbol());
                   }),
                   absl::StrCat("no symbol ", request.file_containing_symbol()), response);
        return;
      case Request::kFileContainingExtension: {
        const wire::ExtensionRequest& wanted = request.file_containing_extension();
        AnswerFile(Find([&](const pb::DescriptorPool& pool) -> const pb::FileDescriptor* {
                     const pb::Descriptor* const type =
                         pool.FindMessageTypeByName(wanted.containing_type());
                     if (type == nullptr) return nullptr;
                     const pb::FieldDescriptor* const extension =
                         pool.FindExtensionByNumber(type, wanted.extension_number());
                     return extension == nullptr ? nullptr : extension->file();
                   }),
                   absl::StrCat("no extension ", wanted.extension_number(), " of ",
                                wanted.containing_type()),
                   response);
        return;
      }
      case Request::kAllExtensionNumbersOfType:
        AnswerExtensions(request.all_extension_numbers_of_type(), response);
        return;
      case Request::kListServices:
        for (const std::string& service : services_) {
          response->mutable_list_services_response()->add_service()->set_name(service);
        }
        return;
      case Request::MESSAGE_REQUEST_NOT_SET:
        break;
    }
    Fail(absl::StatusCode::kInvalidArgument, "the request asks nothing", response);
  }

 private:
  // The pools that served methods come from, then health and reflection themselves under the names
  // that peers know. At the first question: most processes are never asked, and protobuf builds no
  // descriptor before somebody wants one, which would be a tenth of the start-up.
  void LoadFiles() {
    std::call_once(once_, [this] {
      pools_.push_back(pb::DescriptorPool::generated_pool());
      for (const auto proto : protos_) {
        const pb::DescriptorPool* const pool = proto()->file()->pool();
        if (std::find(pools_.begin(), pools_.end(), pool) == pools_.end()) pools_.push_back(pool);
      }
      const pb::FileDescriptor& reflection = *wire::ServerReflectionRequest::descriptor()->file();
      const pb::FileDescriptor& health =
          *rookery_wire::grpc::health::v1::HealthCheckRequest::descriptor()->file();
      if (health_) {
        own_.BuildFile(Published(health, "rookery_wire.grpc.health.v1", "grpc.health.v1",
                                 "grpc/health/v1/health.proto"));
      }
      own_.BuildFile(Published(reflection, "rookery_wire.grpc.reflection.v1", "grpc.reflection.v1",
                               "grpc/reflection/v1/reflection.proto"));
      own_.BuildFile(Published(reflection, "rookery_wire.grpc.reflection.v1",
                               "grpc.reflection.v1alpha",
                               "grpc/reflection/v1alpha/reflection.proto"));
      pools_.push_back(&own_);
    });
  }

  template <class Look>
  const pb::FileDescriptor* Find(Look&& look) const {
    for (const pb::DescriptorPool* pool : pools_) {
      if (const pb::FileDescriptor* const file = look(*pool); file != nullptr) return file;
    }
    return nullptr;
  }

  static void Fail(absl::StatusCode code, std::string_view text,
                   wire::ServerReflectionResponse* response) {
    response->mutable_error_response()->set_error_code(static_cast<int>(code));
    response->mutable_error_response()->set_error_message(std::string(text));
  }

  static void AnswerFile(const pb::FileDescriptor* file, std::string_view missing,
                         wire::ServerReflectionResponse* response) {
    if (file == nullptr) {
      Fail(absl::StatusCode::kNotFound, missing, response);
      return;
    }
    std::set<const pb::FileDescriptor*> seen;
    AddFile(*file, &seen, response->mutable_file_descriptor_response());
  }

  static void AddFile(const pb::FileDescriptor& file, std::set<const pb::FileDescriptor*>* seen,
                      wire::FileDescriptorResponse* response) {
    if (!seen->insert(&file).second) return;
    pb::FileDescriptorProto proto;
    file.CopyTo(&proto);
    response->add_file_descriptor_proto(proto.SerializeAsString());
    for (int i = 0; i < file.dependency_count(); ++i) AddFile(*file.dependency(i), seen, response);
  }

  void AnswerExtensions(const std::string& type_name,
                        wire::ServerReflectionResponse* response) const {
    std::set<int> numbers;
    bool known = false;
    for (const pb::DescriptorPool* pool : pools_) {
      const pb::Descriptor* const type = pool->FindMessageTypeByName(type_name);
      if (type == nullptr) continue;
      known = true;
      std::vector<const pb::FieldDescriptor*> extensions;
      pool->FindAllExtensions(type, &extensions);
      for (const pb::FieldDescriptor* extension : extensions) numbers.insert(extension->number());
    }
    if (!known) {
      Fail(absl::StatusCode::kNotFound, absl::StrCat("no message type ", type_name), response);
      return;
    }
    wire::ExtensionNumberResponse& answer = *response->mutable_all_extension_numbers_response();
    answer.set_base_type_name(type_name);
    for (const int number : numbers) answer.add_extension_number(number);
  }

  const bool health_;
  std::set<std::string> services_;
  std::vector<const pb::MethodDescriptor* (*)()> protos_;
  std::once_flag once_;
  pb::DescriptorPool own_;
  std::vector<const pb::DescriptorPool*> pools_;
};

namespace {

class ReflectionHandler final : public InternalHandler {
 public:
  ReflectionHandler(const MethodDescriptor* method, ReflectionSource& source)
      : InternalHandler(method), source_(source) {}

  Task<Response> Call(CallContext& /*call*/, Request& request) const override {
    co_return Response::Adopt(Serve(source_, *request.source()));
  }

 private:
  static Stream<wire::ServerReflectionResponse> Serve(ReflectionSource& source,
                                                      MessageSource& requests) {
    for (;;) {
      wire::ServerReflectionRequest request;
      const bool more = co_await requests.Read(request);
      if (!more) break;
      wire::ServerReflectionResponse response;
      source.Answer(request, &response);
      co_yield std::move(response);
    }
  }

  ReflectionSource& source_;
};

}  // namespace

Reflection::Reflection(const HandlerRegistry& registry, bool health)
    : source_(std::make_unique<ReflectionSource>(registry, health)),
      v1_(std::make_unique<ReflectionHandler>(&kV1, *source_)),
      v1alpha_(std::make_unique<ReflectionHandler>(&kV1Alpha, *source_)) {}

Reflection::~Reflection() = default;

std::vector<const Handler*> Reflection::handlers() const { return {v1_.get(), v1alpha_.get()}; }

}  // namespace rookery::grpc_adapter
