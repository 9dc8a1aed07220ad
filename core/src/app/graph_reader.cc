#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "app/graph_names.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "rookery/app/graph.h"
#include "rookery/di/hooks.h"

namespace rookery {

namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

// Reads values, and keeps the first fault; what is read after it means nothing.
class Reader final {
 public:
  [[nodiscard]] const absl::Status& status() const noexcept { return status_; }

  void Fail(const std::string& path, const std::string& what) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
  }

  // Null if it is not there, which is a fault.
  const Value* Get(const Struct& from, const std::string& path, const char* key) {
    const auto it = from.fields().find(key);
    if (it != from.fields().end()) return &it->second;
    Fail(Join(path, key), "is missing");
    return nullptr;
  }
  std::string Text(const Struct& from, const std::string& path, const char* key) {
    const Value* const value = Get(from, path, key);
    if (value == nullptr) return "";
    if (value->kind_case() != Value::kStringValue) Fail(Join(path, key), "is not a string");
    return value->string_value();
  }
  bool Bool(const Struct& from, const std::string& path, const char* key) {
    const Value* const value = Get(from, path, key);
    if (value == nullptr) return false;
    if (value->kind_case() != Value::kBoolValue) Fail(Join(path, key), "is neither true nor false");
    return value->bool_value();
  }
  std::int64_t Number(const Value& value, const std::string& path, std::int64_t end) {
    const double number = value.number_value();
    if (value.kind_case() != Value::kNumberValue || std::floor(number) != number || number < 0) {
      Fail(path, "is not a number from 0 up");
      return 0;
    }
    if (number >= static_cast<double>(end)) {
      Fail(path, absl::StrCat("is ", number, ", and there are only ", end));
      return 0;
    }
    return static_cast<std::int64_t>(number);
  }
  std::int64_t Number(const Struct& from, const std::string& path, const char* key,
                      std::int64_t end) {
    const Value* const value = Get(from, path, key);
    return value == nullptr ? 0 : Number(*value, Join(path, key), end);
  }
  std::optional<std::chrono::nanoseconds> Took(const Struct& from, const std::string& path) {
    const Value* const value = Get(from, path, "took_ns");
    if (value == nullptr || value->kind_case() == Value::kNullValue) return std::nullopt;
    return std::chrono::nanoseconds(Number(*value, Join(path, "took_ns"), kMost));
  }
  // One of `names`, which stay.
  template <class Names>
  std::size_t OneOf(const Struct& from, const std::string& path, const char* key,
                    const Names& names) {
    const std::string text = Text(from, path, key);
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (names[i] == text) return i;
    }
    Fail(Join(path, key), absl::StrCat("no ", key, " is called \"", text, "\""));
    return 0;
  }
  // Calls `one(value, path)` for each.
  template <class F>
  void List(const Struct& from, const std::string& path, const char* key, F&& one) {
    const Value* const value = Get(from, path, key);
    if (value == nullptr) return;
    if (value->kind_case() != Value::kListValue) return Fail(Join(path, key), "is not a list");
    int i = 0;
    for (const Value& element : value->list_value().values()) {
      one(element, absl::StrCat(Join(path, key), "[", i++, "]"));
    }
  }
  template <class F>
  void Objects(const Struct& from, const std::string& path, const char* key, F&& one) {
    List(from, path, key, [&](const Value& value, const std::string& at) {
      if (value.kind_case() != Value::kStructValue) return Fail(at, "is not an object");
      one(value.struct_value(), at);
    });
  }
  std::vector<std::size_t> Numbers(const Struct& from, const std::string& path, const char* key,
                                   std::size_t end) {
    std::vector<std::size_t> out;
    List(from, path, key, [&](const Value& value, const std::string& at) {
      out.push_back(static_cast<std::size_t>(Number(value, at, static_cast<std::int64_t>(end))));
    });
    return out;
  }

  static std::string Join(const std::string& path, const char* key) {
    return path.empty() ? key : absl::StrCat(path, ".", key);
  }

  static constexpr std::int64_t kMost = std::int64_t{1} << 53;  // what a double counts exactly

 private:
  absl::Status status_;
};

constexpr std::array<Scope, 4> kScopes{Scope::kSingleton, Scope::kPerLoop, Scope::kTransient,
                                       Scope::kRequest};

std::vector<GraphEnhancer> ReadEnhancers(Reader& reader, const Struct& from,
                                         const std::string& path) {
  std::vector<GraphEnhancer> out;
  reader.Objects(from, path, "enhancers", [&](const Struct& one, const std::string& at) {
    GraphEnhancer enhancer;
    enhancer.kind =
        static_cast<EnhancerKind>(reader.OneOf(one, at, "kind", internal::kEnhancerNames));
    enhancer.name = reader.Text(one, at, "name");
    out.push_back(std::move(enhancer));
  });
  return out;
}

GraphModule ReadModule(Reader& reader, const Struct& one, const std::string& at,
                       std::size_t modules) {
  GraphModule module;
  module.name = reader.Text(one, at, "name");
  module.global = reader.Bool(one, at, "global");
  module.dynamic = reader.Bool(one, at, "dynamic");
  module.deferred = reader.Bool(one, at, "deferred");
  module.distance = static_cast<std::uint32_t>(
      reader.Number(one, at, "distance", std::numeric_limits<std::uint32_t>::max()));
  module.where = reader.Text(one, at, "where");
  module.imports = reader.Numbers(one, at, "imports", modules);
  reader.List(one, at, "exports", [&](const Value& value, const std::string& path) {
    if (value.kind_case() != Value::kStringValue) return reader.Fail(path, "is not a string");
    module.exports.push_back(value.string_value());
  });
  module.enhancers = ReadEnhancers(reader, one, at);
  return module;
}

GraphProvider ReadProvider(Reader& reader, const Struct& one, const std::string& at,
                           std::size_t modules, std::size_t providers) {
  GraphProvider provider;
  provider.name = reader.Text(one, at, "name");
  provider.type = reader.Text(one, at, "type");
  const Value* const module = reader.Get(one, at, "module");
  if (module != nullptr && module->kind_case() != Value::kNullValue) {
    provider.module = static_cast<std::size_t>(
        reader.Number(*module, Reader::Join(at, "module"), static_cast<std::int64_t>(modules)));
  }
  provider.role = internal::kRoleNames[reader.OneOf(one, at, "role", internal::kRoleNames)];
  provider.kind = internal::kKindNames[reader.OneOf(one, at, "kind", internal::kKindNames)];
  std::array<std::string_view, kScopes.size()> scopes;
  for (std::size_t i = 0; i < kScopes.size(); ++i) scopes[i] = ScopeName(kScopes[i]);
  provider.scope = kScopes[reader.OneOf(one, at, "scope", scopes)];
  provider.durable = reader.Bool(one, at, "durable");
  provider.where = reader.Text(one, at, "where");
  provider.took = reader.Took(one, at);
  std::array<std::string_view, internal::kHookPhases> hooks;
  for (std::size_t i = 0; i < hooks.size(); ++i) {
    hooks[i] = internal::HookName(static_cast<internal::HookPhase>(i));
  }
  reader.Objects(one, at, "hooks", [&](const Struct& hook, const std::string& path) {
    provider.hooks.push_back(
        {hooks[reader.OneOf(hook, path, "name", hooks)], reader.Took(hook, path)});
  });
  reader.Objects(one, at, "dependencies", [&](const Struct& from, const std::string& path) {
    GraphDependency dependency;
    dependency.index = static_cast<std::size_t>(reader.Number(from, path, "index", Reader::kMost));
    dependency.name = reader.Text(from, path, "name");
    dependency.form = internal::kFormNames[reader.OneOf(from, path, "form", internal::kFormNames)];
    dependency.optional = reader.Bool(from, path, "optional");
    dependency.targets = reader.Numbers(from, path, "targets", providers);
    provider.dependencies.push_back(std::move(dependency));
  });
  return provider;
}

GraphController ReadController(Reader& reader, const Struct& one, const std::string& at,
                               std::size_t providers) {
  GraphController controller;
  controller.provider = static_cast<std::size_t>(
      reader.Number(one, at, "provider", static_cast<std::int64_t>(providers)));
  reader.Objects(one, at, "endpoints", [&](const Struct& from, const std::string& path) {
    controller.endpoints.push_back(
        {reader.Text(from, path, "name"),
         static_cast<MethodKind>(reader.OneOf(from, path, "kind", internal::kMethodNames))});
  });
  controller.enhancers = ReadEnhancers(reader, one, at);
  return controller;
}

// How long the list at `key` is; 0 if it is none, which is heard of later.
std::size_t Length(const Struct& from, const char* key) {
  const auto it = from.fields().find(key);
  if (it == from.fields().end()) return 0;
  return static_cast<std::size_t>(it->second.list_value().values_size());
}

}  // namespace

absl::StatusOr<ApplicationGraph> ApplicationGraph::FromJson(std::string_view json) {
  Struct from;
  const auto parsed = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(json.data(), json.size()), &from);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("this is not the JSON of a graph: ", std::string(parsed.message())));
  }
  Reader reader;
  const std::int64_t version = reader.Number(from, "", "version", Reader::kMost);
  if (reader.status().ok() && version != kVersion) {
    reader.Fail("version", absl::StrCat("is ", version, ", and this program knows ", kVersion,
                                        ": take the one that was built with the application"));
  }
  if (!reader.status().ok()) return reader.status();

  const std::size_t modules = Length(from, "modules");
  const std::size_t providers = Length(from, "providers");
  ApplicationGraph graph;
  graph.name = reader.Text(from, "", "name");
  graph.root =
      static_cast<std::size_t>(reader.Number(from, "", "root", static_cast<std::int64_t>(modules)));
  reader.Objects(from, "", "modules", [&](const Struct& one, const std::string& at) {
    graph.modules.push_back(ReadModule(reader, one, at, modules));
  });
  reader.Objects(from, "", "providers", [&](const Struct& one, const std::string& at) {
    graph.providers.push_back(ReadProvider(reader, one, at, modules, providers));
  });
  reader.Objects(from, "", "controllers", [&](const Struct& one, const std::string& at) {
    graph.controllers.push_back(ReadController(reader, one, at, providers));
  });
  graph.enhancers = ReadEnhancers(reader, from, "");
  if (!reader.status().ok()) return reader.status();
  return graph;
}

}  // namespace rookery
