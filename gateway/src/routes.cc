#include "routes.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <google/protobuf/descriptor.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "headers.h"
#include "rookery/rpc/handler.h"
#include "runtime/abseil_strings.h"

namespace rookery::internal::gateway {
namespace {

using google::protobuf::FieldDescriptor;

// "/api/v2" in front of a path's template: its variables move by as many segments.
void PutBefore(std::span<const PathSegment> front, PathTemplate* path) {
  path->segments.insert(path->segments.begin(), front.begin(), front.end());
  for (PathVariable& variable : path->variables) {
    variable.begin += front.size();
    variable.end += front.size();
  }
}

void PutBefore(std::span<const PathSegment> front, Binding* binding) {
  PutBefore(front, &binding->path_template);
  for (BoundVariable& bound : binding->variables) {
    bound.variable.begin += front.size();
    bound.variable.end += front.size();
  }
}

[[nodiscard]] bool HasVersion(std::span<const std::string> versions, std::string_view version) {
  return std::find(versions.begin(), versions.end(), version) != versions.end();
}

}  // namespace

absl::StatusOr<PathPattern> PathPattern::Parse(std::string_view text) {
  PathPattern pattern;
  const std::size_t space = text.find(' ');
  if (space != std::string_view::npos) {
    pattern.method_ = std::string(text.substr(0, space));
    text = TrimSpace(text.substr(space + 1));
  }
  absl::StatusOr<PathTemplate> path = ParsePathTemplate(text);
  if (!path.ok()) return path.status();
  if (!path->variables.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("pattern \"", Abs(text), "\": variables mean nothing here; write *"));
  }
  if (!pattern.method_.empty() && pattern.method_ != "*" && !IsToken(pattern.method_)) {
    return absl::InvalidArgumentError(
        absl::StrCat("pattern \"", Abs(text), "\": \"", pattern.method_, "\" is no HTTP method"));
  }
  if (pattern.method_ == "*") pattern.method_.clear();
  pattern.path_ = *std::move(path);
  return pattern;
}

bool PathPattern::Match(std::string_view method, std::string_view path) const {
  if (!method_.empty() && method != method_) return false;
  if (!path.starts_with('/')) return false;
  path.remove_prefix(1);
  bool more = !path.empty();
  for (const PathSegment& wanted : path_.segments) {
    if (wanted.kind == PathSegment::Kind::kRest) return true;
    if (!more) return false;
    const std::size_t slash = path.find('/');
    std::string_view segment = path.substr(0, slash);
    more = slash != std::string_view::npos;
    path.remove_prefix(more ? slash + 1 : path.size());
    if (!more && !path_.verb.empty()) {
      const std::size_t colon = segment.rfind(':');
      if (colon == std::string_view::npos || segment.substr(colon + 1) != path_.verb) return false;
      segment = segment.substr(0, colon);
    }
    if (segment.empty()) return false;
    if (wanted.kind == PathSegment::Kind::kOne) continue;
    const std::optional<std::string> decoded = DecodePercent(segment);
    if (!decoded || *decoded != wanted.literal) return false;
  }
  return !more;
}

class RouteTable::Builder final {
 public:
  Builder(const HttpGateway& options, RouteTable* table) : options_(options), table_(*table) {
    if (!options.prefix.empty() && options.prefix != "/") {
      absl::StatusOr<PathTemplate> prefix = ParsePathTemplate(options.prefix);
      if (!prefix.ok()) {
        faults_.push_back(absl::StrCat("prefix: ", prefix.status().message()));
      } else if (!prefix->variables.empty() || !prefix->verb.empty() ||
                 std::any_of(prefix->segments.begin(), prefix->segments.end(),
                             [](const auto& s) { return s.kind != PathSegment::Kind::kLiteral; })) {
        faults_.push_back(
            absl::StrCat("prefix: \"", options.prefix, "\" must be made of plain segments"));
      } else {
        prefix_ = std::move(prefix->segments);
      }
    }
    for (const std::string& text : options.prefix_exclude) {
      absl::StatusOr<PathPattern> pattern = PathPattern::Parse(text);
      if (pattern.ok()) {
        excludes_.push_back(*std::move(pattern));
      } else {
        faults_.push_back(absl::StrCat("prefix_exclude: ", pattern.status().message()));
      }
    }
  }

  void AddLocal(const HandlerRegistry& handlers, const std::shared_ptr<Channel>& local) {
    if (options_.serve == HttpGateway::Serve::kNone) return;
    for (const Handler* const handler : handlers.all()) {
      const MethodDescriptor& method = handler->descriptor();
      std::vector<std::string> versions = options_.versioning.default_versions;
      std::string event_id;
      // What the method says counts, then what its controller says.
      for (const MetadataTarget* target :
           {handler->controller_metadata(), handler->method_metadata()}) {
        if (target == nullptr) continue;
        if (const auto* said = target->Find(kHttpVersions)) versions = *said;
        if (const auto* said = target->Find(kHttpEventId)) event_id = *said;
      }
      auto binding = options_.default_binding;
      if (options_.serve == HttpGateway::Serve::kAnnotated) {
        binding = HttpGateway::DefaultBinding::kNone;
      }
      AddMethod(method, local, versions, event_id, binding);
    }
  }
  void AddForward(const HttpForward& forward, const std::shared_ptr<Channel>& channel) {
    const auto& versions =
        forward.versions().empty() ? options_.versioning.default_versions : forward.versions();
    for (const MethodDescriptor& method : forward.service().methods) {
      AddMethod(method, channel, versions, "", options_.default_binding);
    }
  }

  [[nodiscard]] absl::Status Result() const {
    if (faults_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrJoin(faults_, "\n"));
  }

 private:
  void AddMethod(const MethodDescriptor& method, const std::shared_ptr<Channel>& channel,
                 std::span<const std::string> versions, const std::string& event_id,
                 HttpGateway::DefaultBinding default_binding) {
    if (method.proto == nullptr) return;  // a pattern: it has no path
    DefaultBinding binding_rule = DefaultBinding::kUnannotated;
    if (default_binding == HttpGateway::DefaultBinding::kAll) binding_rule = DefaultBinding::kAll;
    if (default_binding == HttpGateway::DefaultBinding::kNone) binding_rule = DefaultBinding::kNone;
    absl::StatusOr<std::vector<Binding>> bindings = BindingsOf(*method.proto(), binding_rule);
    if (!bindings.ok()) {
      faults_.push_back(std::string(bindings.status().message()));
      return;
    }
    const FieldDescriptor* id_field = nullptr;
    if (!event_id.empty()) {
      id_field = method.proto()->output_type()->FindFieldByName(event_id);
      if (id_field == nullptr || id_field->is_repeated() ||
          id_field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        faults_.push_back(absl::StrCat("kHttpEventId of ", Abs(method.full_name), ": \"", event_id,
                                       "\" is no plain field of ",
                                       method.proto()->output_type()->full_name()));
        return;
      }
    }
    for (Binding& binding : *bindings) {
      Route route;
      route.binding = std::move(binding);
      route.method = &method;
      route.channel = channel;
      route.event_id = id_field;
      route.raw_request =
          route.binding.takes_body() && TakesRawBody(route.binding, *method.proto()->input_type());
      route.raw_response = GivesRawBody(route.binding, *method.proto()->output_type());
      AddRoute(std::move(route), versions);
    }
  }

  void AddRoute(Route route, std::span<const std::string> versions) {
    const bool prefixed =
        !prefix_.empty() && std::none_of(excludes_.begin(), excludes_.end(), [&](const auto& one) {
          return one.Match(route.binding.http_method, route.binding.path);
        });
    using Type = HttpVersioning::Type;
    const HttpVersioning& versioning = options_.versioning;
    const bool neutral = versioning.type == Type::kNone || versions.empty() ||
                         HasVersion(versions, kHttpVersionNeutral);
    if (versioning.type == Type::kPath) {
      for (const std::string& version : versions) {
        if (version == kHttpVersionNeutral) continue;
        Route versioned = route;
        const PathSegment segment{PathSegment::Kind::kLiteral,
                                  absl::StrCat(versioning.path_prefix, version)};
        PutBefore(std::span(&segment, 1), &versioned.binding);
        if (prefixed) PutBefore(prefix_, &versioned.binding);
        Register(std::move(versioned), &table_.neutral_);
      }
    }
    if (prefixed) PutBefore(prefix_, &route.binding);
    if (versioning.type != Type::kPath && !neutral) {
      for (const std::string& version : versions) Register(route, &table_.versions_[version]);
    }
    if (neutral) Register(std::move(route), &table_.neutral_);
  }

  void Register(Route route, Router* router) {
    const std::size_t index = table_.routes_.size();
    const std::string what = absl::StrCat(Abs(route.method->full_name), " (",
                                          route.binding.http_method, " ", route.binding.path, ")");
    const bool streams =
        HasRequestStream(route.method->kind) || HasResponseStream(route.method->kind);
    if (absl::Status added =
            router->Add(route.binding.http_method, route.binding.path_template, index, what);
        !added.ok()) {
      faults_.push_back(std::string(added.message()));
      return;
    }
    if (streams) {
      // Two methods may share a path, one for GET and one for POST: the first has the WebSocket.
      router->Add(kWebSocketMethod, route.binding.path_template, index, what).IgnoreError();
    }
    table_.routes_.push_back(std::make_unique<Route>(std::move(route)));
  }

  const HttpGateway& options_;
  RouteTable& table_;
  std::vector<PathSegment> prefix_;
  std::vector<PathPattern> excludes_;
  std::vector<std::string> faults_;
};

absl::StatusOr<std::unique_ptr<RouteTable>> RouteTable::Build(
    const HttpGateway& options, TransportHost& host, const std::shared_ptr<Channel>& local) {
  auto table = std::make_unique<RouteTable>();
  Builder builder(options, table.get());
  builder.AddLocal(host.handlers(), local);
  for (const HttpForward& forward : options.forward) {
    table->channels_.push_back(forward.Open(host));
    builder.AddForward(forward, table->channels_.back());
  }
  if (absl::Status status = builder.Result(); !status.ok()) return status;
  return table;
}

RouteTable::Found RouteTable::Find(std::string_view method, std::string_view path,
                                   std::span<const std::string> versions) const {
  Found found;
  const auto look = [&](const Router& router) {
    Router::Match match = router.Find(method, path);
    found.malformed = match.malformed;
    if (match.route != Router::kNone) {
      found.route = routes_[match.route].get();
      found.segments = std::move(match.segments);
      return true;
    }
    for (std::string& allowed : match.allowed) {
      if (allowed != kWebSocketMethod) found.allowed.push_back(std::move(allowed));
    }
    return found.malformed;
  };
  for (const std::string& version : versions) {
    const auto router = versions_.find(version);
    if (router != versions_.end() && look(router->second)) return found;
  }
  if (look(neutral_)) return found;
  std::sort(found.allowed.begin(), found.allowed.end());
  found.allowed.erase(std::unique(found.allowed.begin(), found.allowed.end()), found.allowed.end());
  return found;
}

}  // namespace rookery::internal::gateway
