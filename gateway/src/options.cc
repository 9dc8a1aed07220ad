#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "headers.h"
#include "http/tls.h"
#include "rookery/gateway/http_gateway.h"

namespace rookery {
namespace {

using internal::gateway::IsFieldValue;
using internal::gateway::IsToken;

class Faults final {
 public:
  template <class... Part>
  void Add(const Part&... parts) {
    faults_.push_back(absl::StrCat(parts...));
  }
  template <class T>
  void AtLeast(std::string_view name, T value, T least) {
    if (value < least) Add(std::string(name), " must be at least ", least);
  }
  void Positive(std::string_view name, std::chrono::milliseconds value) {
    if (value.count() <= 0) Add(std::string(name), " must be longer than zero");
  }
  void Name(std::string_view what, const std::string& name) {
    if (!name.empty() && !IsToken(name)) {
      Add(std::string(what), ": \"", name, "\" is no name of a header");
    }
  }
  // Names that may end with '*'.
  void Names(std::string_view what, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      const std::string plain = name.ends_with('*') ? name.substr(0, name.size() - 1) : name;
      if (name.empty() || (!plain.empty() && !IsToken(plain))) {
        Add(std::string(what), ": \"", name, "\" is no name of a header");
      }
    }
  }
  void Value(std::string_view what, const std::string& value) {
    if (!IsFieldValue(value)) Add(std::string(what), ": no line ends in a header");
  }
  [[nodiscard]] absl::Status Result() const {
    if (faults_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrJoin(faults_, "\n", [](std::string* out, const std::string& fault) {
          absl::StrAppend(out, "HttpGateway: ", fault);
        }));
  }

 private:
  std::vector<std::string> faults_;
};

void CheckLimits(const HttpLimits& limits, Faults* faults) {
  const std::size_t one = 1;
  faults->AtLeast("limits.request_line", limits.request_line, std::size_t{64});
  faults->AtLeast("limits.header_bytes", limits.header_bytes, std::size_t{256});
  faults->AtLeast("limits.headers", limits.headers, one);
  faults->AtLeast("limits.body", limits.body, one);
  faults->AtLeast("limits.decompressed_body", limits.decompressed_body, one);
  faults->AtLeast("limits.message", limits.message, one);
  faults->AtLeast("limits.connections", limits.connections, one);
  faults->AtLeast("limits.pipelined", limits.pipelined, one);
  if (limits.json_depth < 1 || limits.json_depth > kJsonMaxDepth) {
    faults->Add("limits.json_depth must be from 1 to ", kJsonMaxDepth);
  }
  faults->Positive("limits.header_time", limits.header_time);
  faults->Positive("limits.body_time", limits.body_time);
  faults->Positive("limits.body_idle", limits.body_idle);
  faults->Positive("limits.write_idle", limits.write_idle);
  faults->Positive("limits.idle", limits.idle);
  faults->Positive("limits.websocket_ping", limits.websocket_ping);
  if (limits.request_time.count() < 0) faults->Add("limits.request_time must not be negative");
}

void CheckCors(const HttpCors& cors, Faults* faults) {
  if (cors.origins.empty() && !cors.allow) {
    faults->Add("cors: name origins, or say which to allow; or leave cors out");
  }
  const bool any = std::find(cors.origins.begin(), cors.origins.end(), "*") != cors.origins.end();
  if (any && cors.credentials) {
    faults->Add(
        "cors: credentials for every origin would let any page act as its visitor; name "
        "the origins");
  }
  for (const std::string& origin : cors.origins) {
    if (origin == "*") continue;
    const std::size_t scheme = origin.find("://");
    if (scheme == std::string::npos || scheme == 0 || !IsFieldValue(origin) ||
        origin.find('/', scheme + 3) != std::string::npos || origin.size() == scheme + 3) {
      faults->Add("cors: \"", origin, "\" is no origin; write https://host or https://host:port");
    }
  }
  for (const std::string& method : cors.methods) {
    if (!IsToken(method)) faults->Add("cors: \"", method, "\" is no HTTP method");
  }
  for (const auto* names : {&cors.headers, &cors.exposed_headers}) {
    for (const std::string& name : *names) {
      if (!IsToken(name)) faults->Add("cors: \"", name, "\" is no name of a header");
    }
  }
}

}  // namespace

absl::Status CheckHttpGateway(const HttpGateway& options) {
  Faults faults;
  if (options.address.empty()) {
    faults.Add("say where to listen: HttpGateway{.address = \"0.0.0.0:8080\"}");
  }
  if (options.tls) {
    for (const std::string& fault : internal::gateway::CheckHttpTls(*options.tls)) {
      faults.Add(fault);
    }
  }
  CheckLimits(options.limits, &faults);
  if (options.cors) CheckCors(*options.cors, &faults);
  for (const std::string& proxy : options.trust.proxies) {
    if (!internal::gateway::ParseNetwork(proxy)) {
      faults.Add("trust.proxies: \"", proxy,
                 "\" is neither an address nor a network; write 10.0.0.0/8 or ::1");
    }
  }
  faults.Names("trust.headers", options.trust.headers);
  faults.Names("context.headers", options.context.headers);
  faults.Name("context.request_id_header", options.context.request_id_header);
  faults.Name("context.timeout_header", options.context.timeout_header);
  if (options.context.default_timeout.count() < 0 || options.context.max_timeout.count() < 0) {
    faults.Add("context: timeouts must not be negative");
  }
  const HttpVersioning& versioning = options.versioning;
  if (versioning.type == HttpVersioning::Type::kHeader && versioning.header.empty()) {
    faults.Add("versioning.header must be given");
  }
  faults.Name("versioning.header", versioning.header);
  if (versioning.type == HttpVersioning::Type::kMediaType && versioning.media_type_key.empty()) {
    faults.Add("versioning.media_type_key must be given");
  }
  if (versioning.type == HttpVersioning::Type::kCustom && !versioning.extract) {
    faults.Add("versioning.extract must be given");
  }
  const HttpSecurityHeaders& security = options.security_headers;
  faults.Value("security_headers.content_security_policy", security.content_security_policy);
  faults.Value("security_headers.referrer_policy", security.referrer_policy);
  faults.Value("security_headers.frame_options", security.frame_options);
  faults.Value("security_headers.cross_origin_resource_policy",
               security.cross_origin_resource_policy);
  faults.Value("www_authenticate", options.www_authenticate);
  if (options.retry_after.count() < 0) faults.Add("retry_after must not be negative");
  return faults.Result();
}

}  // namespace rookery
