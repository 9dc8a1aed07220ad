#include "http_call.h"

#include <algorithm>
#include <charconv>
#include <chrono>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "google/rpc/error_details.pb.h"
#include "gzip.h"
#include "rookery/rpc/call_context.h"
#include "rookery/rpc/status.h"
#include "rookery/rpc/wire.h"
#include "rookery/runtime/clock.h"
#include "runtime/abseil_strings.h"
#include "transcode.h"

namespace rookery::internal::gateway {
namespace {

constexpr std::string_view kForwardedMetadata = "grpc-metadata-";
constexpr std::string_view kRequestId = "x-request-id";  // what calls have anyway

// What the server writes, or what would change how the answer is read, is nobody else's to say.
[[nodiscard]] bool IsServers(std::string_view lower_name) noexcept {
  static constexpr std::string_view kNames[] = {
      "connection", "content-encoding",  "content-length",   "content-type",
      "date",       "keep-alive",        "proxy-connection", "te",
      "trailer",    "transfer-encoding", "upgrade",          "x-http-code"};
  return lower_name.starts_with("grpc-") ||
         std::find(std::begin(kNames), std::end(kNames), lower_name) != std::end(kNames);
}

// "*", or one value of a list of headers.
[[nodiscard]] std::string Listed(std::span<const std::string> values) {
  return absl::StrJoin(values, ", ");
}

[[nodiscard]] bool IsCompressible(std::string_view content_type) {
  return content_type.starts_with("application/json") || content_type.starts_with("text/") ||
         content_type.starts_with("application/x-ndjson") ||
         content_type.starts_with("application/xml") ||
         content_type.starts_with("application/javascript") ||
         content_type.starts_with("image/svg");
}

[[nodiscard]] std::string RetryAfter(const absl::Status& status, const OutgoingCall* call,
                                     std::chrono::seconds usual) {
  if (const auto info = GetDetail<google::rpc::RetryInfo>(status)) {
    // Rounded up: who comes a moment too early is refused again.
    const auto& delay = info->retry_delay();
    const std::int64_t seconds = delay.seconds() + (delay.nanos() > 0 ? 1 : 0);
    if (seconds >= 0) return absl::StrCat(seconds);
  }
  if (call != nullptr) {
    for (const Metadata* from : {&call->headers, &call->trailers}) {
      if (const auto said = from->Get("retry-after")) return std::string(*said);
    }
  }
  return absl::StrCat(usual.count());
}

// The host of a peer's address: "ipv4:127.0.0.1:53412", "ipv6:[::1]:53412".
std::string_view HostOf(std::string_view address) {
  const bool known = address.starts_with("ipv4:") || address.starts_with("ipv6:");
  const std::size_t colon = address.rfind(':');
  if (!known || colon < 5) return address;
  std::string_view host = address.substr(5, colon - 5);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return host;
}

}  // namespace

EdgeRules::EdgeRules(const HttpGateway& o)
    : options(o),
      open_headers(o.context.headers),
      trusted_headers(o.trust.headers),
      request_id_header(Lower(o.context.request_id_header)),
      timeout_header(Lower(o.context.timeout_header)) {
  for (const std::string& text : o.trust.proxies) {
    if (const std::optional<Network> network = ParseNetwork(text)) proxies.push_back(*network);
  }
  const HttpSecurityHeaders& security = o.security_headers;
  if (!security.enabled) return;
  const auto add = [this](std::string_view name, std::string_view value) {
    if (!value.empty()) security_lines.append(name).append(": ").append(value).append("\r\n");
  };
  add("X-Content-Type-Options", "nosniff");
  add("Content-Security-Policy", security.content_security_policy);
  add("Referrer-Policy", security.referrer_policy);
  add("X-Frame-Options", security.frame_options);
  add("Cross-Origin-Resource-Policy", security.cross_origin_resource_policy);
  security_lines_tls = security_lines;
  if (security.hsts.count() > 0) {
    absl::StrAppend(&security_lines_tls,
                    "Strict-Transport-Security: max-age=", security.hsts.count(),
                    "; includeSubDomains\r\n");
  }
}

InboundCall::InboundCall(const EdgeRules& rules, HttpExchange& exchange)
    : rules_(rules), exchange_(&exchange) {
  const HttpRequest& request = exchange.request();
  const std::size_t question = request.target.find('?');
  path_ = request.target.substr(0, question);
  if (question != std::string_view::npos) query_ = request.target.substr(question + 1);
  const Peer& peer = exchange.peer();
  const std::optional<Address> address =
      rules.proxies.empty() ? std::nullopt : ParseAddress(peer.address);
  const bool behind_proxy = address && AnyContains(rules.proxies, *address);
  const auto& identities = rules.options.trust.identities;
  trusted_ = behind_proxy ||
             (peer.authenticated && !peer.identity.empty() &&
              std::find(identities.begin(), identities.end(), peer.identity) != identities.end());
  std::optional<Address> client;
  if (behind_proxy) {
    client = ClientOf(Joined("forwarded"), Joined("x-forwarded-for"), rules.proxies);
  }
  if (client) {
    // The proxy's certificate says nothing of the client.
    client_ = FormatAddress(*client);
    const bool v6 = client_.find(':') != std::string::npos;
    told_peer_.address = v6 ? absl::StrCat("ipv6:[", client_, "]") : absl::StrCat("ipv4:", client_);
  } else {
    client_ = HostOf(peer.address);
    told_peer_ = peer;
  }
  const std::optional<std::string_view> sent =
      rules.request_id_header.empty() ? std::nullopt : request.Find(rules.request_id_header);
  request_id_ = sent && IsSaneRequestId(*sent) ? std::string(*sent) : NewRequestId();
  RequestIdentity identity;
  identity.id = request_id_;
  Set(kRequestIdentity, std::move(identity));
}

void InboundCall::Detach() noexcept {
  exchange_ = nullptr;
  path_ = {};
  query_ = {};
}

std::string_view InboundCall::method() const noexcept {
  return exchange_ == nullptr ? std::string_view() : exchange_->request().method;
}

const InboundCall::SetField* InboundCall::FindSet(std::string_view name) const noexcept {
  for (const SetField& field : set_) {
    if (SameHeader(field.name, name)) return &field;
  }
  return nullptr;
}

std::optional<std::string_view> InboundCall::Header(std::string_view name) const {
  if (const SetField* const set = FindSet(name)) {
    if (!set->value) return std::nullopt;
    return *set->value;
  }
  return exchange_ == nullptr ? std::nullopt : exchange_->request().Find(name);
}

std::string InboundCall::Joined(std::string_view name) const {
  if (const SetField* const set = FindSet(name)) return set->value.value_or("");
  std::string joined;
  if (exchange_ == nullptr) return joined;
  for (const HttpField& field : exchange_->request().headers) {
    if (!SameHeader(field.name, name)) continue;
    if (!joined.empty()) joined += ',';
    joined += field.value;
  }
  return joined;
}

void InboundCall::SetHeader(std::string_view name, std::string_view value) {
  RemoveHeader(name);
  for (SetField& field : set_) {
    if (SameHeader(field.name, name)) field.value = std::string(value);
  }
}

void InboundCall::RemoveHeader(std::string_view name) {
  for (SetField& field : set_) {
    if (!SameHeader(field.name, name)) continue;
    field.value.reset();
    return;
  }
  set_.push_back({Lower(name), std::nullopt});
}

const Peer& InboundCall::peer() const noexcept {
  return exchange_ == nullptr ? told_peer_ : exchange_->peer();
}
bool InboundCall::secure() const noexcept { return exchange_ != nullptr && exchange_->secure(); }

void InboundCall::AddResponseHeader(std::string_view name, std::string_view value) {
  if (exchange_ == nullptr || status_ != 0 || !IsToken(name) || !IsFieldValue(value)) return;
  if (IsServers(Lower(name))) return;
  response_headers_.emplace_back(std::string(name), std::string(value));
}

void* InboundCall::FindTransportRequest(const std::type_info& type) noexcept {
  if (exchange_ == nullptr || type != typeid(HttpCall)) return nullptr;
  return static_cast<HttpCall*>(this);
}

// ---- the call -----------------------------------------------------------------------------------

absl::Status InboundCall::AddHeader(std::string_view name, std::string_view value,
                                    Metadata* metadata) const {
  absl::Status added;
  if (Metadata::IsBinary(name)) {
    std::string bytes;
    if (!absl::Base64Unescape(Abs(value), &bytes)) {
      added = absl::InvalidArgumentError("its value is no base64");
    } else {
      added = metadata->Add(name, bytes);
    }
  } else {
    added = metadata->Add(name, value);
  }
  if (added.ok()) return added;
  return absl::InvalidArgumentError(absl::StrCat("header ", Abs(name), ": ", added.message()));
}

absl::Status InboundCall::Prepare(bool streams, OutgoingCall* call) {
  const HttpRequest& request = exchange_->request();
  Metadata& metadata = call->metadata;
  bool authorized = false;
  for (const HttpField& field : request.headers) {
    const std::string name = Lower(field.name);
    if (FindSet(name) != nullptr || name == rules_.request_id_header) continue;
    std::string_view key = name;
    bool passes = rules_.open_headers.Match(name) || name == "traceparent" ||
                  name == "tracestate" || (streams && name == "last-event-id");
    if (!passes && trusted_) {
      if (key.starts_with(kForwardedMetadata)) {
        key.remove_prefix(kForwardedMetadata.size());
        passes = !key.empty();
      } else {
        passes = name == "baggage" || rules_.trusted_headers.Match(name);
      }
    }
    if (!passes || key.starts_with("grpc-")) continue;
    if (name == "authorization" && std::exchange(authorized, true)) {
      return absl::InvalidArgumentError("header authorization: given twice");
    }
    if (absl::Status added = AddHeader(key, field.value, &metadata); !added.ok()) return added;
  }
  for (const SetField& field : set_) {
    if (!field.value || field.name.starts_with("grpc-")) continue;
    if (absl::Status added = AddHeader(field.name, *field.value, &metadata); !added.ok()) {
      return added;
    }
  }
  if (!rules_.request_id_header.empty()) {
    metadata.AddUnchecked(rules_.request_id_header, request_id_);
  }
  if (rules_.request_id_header != kRequestId && !metadata.Has(kRequestId)) {
    metadata.AddUnchecked(kRequestId, request_id_);
  }
  metadata.AddUnchecked("x-forwarded-for", client_);

  const HttpContext& context = rules_.options.context;
  std::chrono::nanoseconds timeout = std::chrono::nanoseconds::max();
  if (!streams && context.default_timeout.count() > 0) timeout = context.default_timeout;
  const std::optional<std::string_view> told =
      rules_.timeout_header.empty() ? std::nullopt : Header(rules_.timeout_header);
  if (told) {
    const std::string_view text = TrimSpace(*told);
    std::uint32_t milliseconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), milliseconds);
    if (error == std::errc() && end == text.data() + text.size()) {
      timeout = std::chrono::milliseconds(milliseconds);
    } else if (const auto parsed = ParseTimeout(text)) {
      timeout = *parsed;
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("header ", rules_.timeout_header,
                       ": a number of milliseconds is expected, or gRPC's form, as in 250m"));
    }
  }
  if (context.max_timeout.count() > 0) {
    timeout = std::min<std::chrono::nanoseconds>(timeout, context.max_timeout);
  }
  const Deadline now = rookery::Now();
  if (timeout < kNoDeadline - now) {
    call->deadline = now + std::chrono::duration_cast<Deadline::duration>(timeout);
  }
  call->cancel = exchange_->cancelled();
  call->origin = this;
  return absl::OkStatus();
}

// ---- the answer ---------------------------------------------------------------------------------

bool InboundCall::AllowsOrigin(std::string_view origin) const {
  if (!rules_.options.cors) return false;
  const HttpCors& cors = *rules_.options.cors;
  for (const std::string& allowed : cors.origins) {
    if (allowed == "*" || allowed == origin) return true;
  }
  return cors.allow && cors.allow(std::string(origin));
}

void InboundCall::AddCors(HttpResponseHead* head) const {
  if (!rules_.options.cors) return;
  const HttpCors& cors = *rules_.options.cors;
  const bool any = !cors.credentials && !cors.allow &&
                   std::find(cors.origins.begin(), cors.origins.end(), "*") != cors.origins.end();
  // Caches must not give one origin what was said to another, also not that there was none.
  if (!any) head->Add("Vary", "Origin");
  const std::optional<std::string_view> origin = Header("origin");
  if (!origin || !AllowsOrigin(*origin)) return;
  head->Add("Access-Control-Allow-Origin", any ? std::string_view("*") : *origin);
  if (cors.credentials) head->Add("Access-Control-Allow-Credentials", "true");
  if (!cors.exposed_headers.empty()) {
    head->Add("Access-Control-Expose-Headers", Listed(cors.exposed_headers));
  }
}

void InboundCall::AddMetadata(const Metadata& metadata, std::string_view prefix,
                              HttpResponseHead* head) const {
  for (const auto& [key, value] : metadata) {
    if (IsServers(key) || key == rules_.request_id_header) continue;
    const std::string name = absl::StrCat(Abs(prefix), key);
    if (Metadata::IsBinary(key)) {
      head->Add(name, absl::Base64Escape(value));
    } else if (IsToken(key) && IsFieldValue(value)) {
      head->Add(name, value);
    }
  }
}

HttpResponseHead InboundCall::Head(int status, const OutgoingCall* call) {
  status_ = status;
  HttpResponseHead head(status);
  if (!rules_.request_id_header.empty())
    head.Add(rules_.options.context.request_id_header, request_id_);
  head.prepared = secure() ? rules_.security_lines_tls : rules_.security_lines;
  AddCors(&head);
  for (const auto& [name, value] : response_headers_) head.Add(name, value);
  if (call != nullptr) {
    AddMetadata(call->headers, "", &head);
    if (WeighCoding(Joined("te"), "trailers") > 0) {
      AddMetadata(call->trailers, "Grpc-Trailer-", &head);
    }
  }
  return head;
}

int InboundCall::GoodStatus(const OutgoingCall& call) const {
  if (const auto said = call.headers.Get("x-http-code")) {
    int code = 0;
    const auto [end, error] = std::from_chars(said->data(), said->data() + said->size(), code);
    if (error == std::errc() && end == said->data() + said->size() && code >= 200 && code <= 399) {
      return code;
    }
  }
  return wanted_status_ == 0 ? 200 : wanted_status_;
}

std::string_view InboundCall::Pack(std::string_view body, std::string_view content_type,
                                   HttpResponseHead* head, std::string* packed) const {
  const std::size_t least = rules_.options.gzip_min_bytes;
  if (least == 0 || body.size() < least || !IsCompressible(content_type)) return body;
  head->Add("Vary", "Accept-Encoding");
  const std::string accepted = Joined("accept-encoding");
  const int gzip = WeighCoding(accepted, "gzip");
  if (gzip == 0) return body;
  std::optional<std::string> made = GzipWhole(body);
  if (!made || made->size() >= body.size()) return body;
  *packed = *std::move(made);
  head->Add("Content-Encoding", "gzip");
  return *packed;
}

Task<void> InboundCall::Answer(int status, std::string_view content_type, std::string_view body) {
  if (exchange_ == nullptr || exchange_->answered()) co_return;
  HttpResponseHead head = Head(status, nullptr);
  if (!content_type.empty() && IsFieldValue(content_type)) head.Add("Content-Type", content_type);
  std::string packed;
  const std::string_view sent = Pack(body, content_type, &head, &packed);
  Task<bool> respond = exchange_->Respond(head, sent);
  (void)co_await std::move(respond);
}

Task<void> InboundCall::Refuse(absl::Status status, int code, const OutgoingCall* call) {
  if (exchange_ == nullptr || exchange_->answered()) co_return;
  if (code == 0) code = HttpCodeOf(status.code());
  HttpResponseHead head = Head(code, call);
  const auto says = [&](std::string_view name) {
    return std::any_of(head.headers.begin(), head.headers.end(),
                       [&](const auto& field) { return SameHeader(field.first, name); });
  };
  if (code == 401 && !says("www-authenticate")) {
    const auto told = call == nullptr ? std::nullopt : call->trailers.Get("www-authenticate");
    head.Add("WWW-Authenticate", told ? *told : std::string_view(rules_.options.www_authenticate));
  }
  if ((code == 429 || code == 503) && !says("retry-after")) {
    head.Add("Retry-After", RetryAfter(status, call, rules_.options.retry_after));
  }
  // What went wrong once may go well the next time.
  if (!says("cache-control")) head.Add("Cache-Control", "no-store");
  if (code == 426) head.Add("Upgrade", "websocket");
  head.Add("Content-Type", "application/json");
  const std::string body = StatusAsJson(status);
  std::string packed;
  const std::string_view sent = Pack(body, "application/json", &head, &packed);
  Task<bool> respond = exchange_->Respond(head, sent);
  (void)co_await std::move(respond);
}

}  // namespace rookery::internal::gateway
