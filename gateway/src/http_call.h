// InboundCall: one request on its way through the gateway: its headers as middleware left them,
// what its call is told of them, and what every answer to it carries.
#ifndef ROOKERY_SRC_GATEWAY_HTTP_CALL_H_
#define ROOKERY_SRC_GATEWAY_HTTP_CALL_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "headers.h"
#include "http/exchange.h"
#include "rookery/gateway/http_gateway.h"
#include "rookery/gateway/http_middleware.h"
#include "rookery/rpc/channel.h"

namespace rookery::internal::gateway {

// What the options say, in the form that requests need it in.
struct EdgeRules {
  explicit EdgeRules(const HttpGateway& options);

  const HttpGateway& options;
  std::vector<Network> proxies;
  NamePatterns open_headers;     // from anybody
  NamePatterns trusted_headers;  // from trusted peers
  std::string request_id_header;
  std::string timeout_header;
  // The security headers as lines, without and with TLS.
  std::string security_lines;
  std::string security_lines_tls;
};

// The exchange's context and its face for middleware. Handlers of the process may hold it longer
// than the exchange lasts: see Detach.
class InboundCall final : public CallOrigin, public HttpCall {
 public:
  InboundCall(const EdgeRules& rules, HttpExchange& exchange);

  // Nothing of the exchange is looked at from here on; those who still hold this find it empty.
  void Detach() noexcept;

  // HttpCall
  [[nodiscard]] std::string_view method() const noexcept override;
  [[nodiscard]] std::string_view path() const noexcept override { return path_; }
  [[nodiscard]] std::string_view query() const noexcept override { return query_; }
  [[nodiscard]] std::optional<std::string_view> Header(std::string_view name) const override;
  void SetHeader(std::string_view name, std::string_view value) override;
  void RemoveHeader(std::string_view name) override;
  [[nodiscard]] std::string_view client_address() const override { return client_; }
  [[nodiscard]] const Peer& peer() const noexcept override;
  [[nodiscard]] bool secure() const noexcept override;
  [[nodiscard]] bool trusted() const noexcept override { return trusted_; }
  [[nodiscard]] std::string_view request_id() const noexcept override { return request_id_; }
  void AddResponseHeader(std::string_view name, std::string_view value) override;
  void set_status(int status) override {
    if (status >= 200 && status <= 399) wanted_status_ = status;
  }
  [[nodiscard]] Task<void> Answer(int status, std::string_view content_type,
                                  std::string_view body) override;
  [[nodiscard]] int status() const noexcept override { return status_; }

  // CallOrigin
  [[nodiscard]] std::string_view transport() const noexcept override { return "http"; }
  void LoadPeer(Peer* peer) const override { *peer = told_peer_; }
  [[nodiscard]] void* FindTransportRequest(const std::type_info& type) noexcept override;

  // All values of one header, joined by ",": lists may come in several.
  [[nodiscard]] std::string Joined(std::string_view name) const;
  // The deadline, the metadata and the cancellation of the call that the request becomes.
  // INVALID_ARGUMENT for a header that cannot be read.
  [[nodiscard]] absl::Status Prepare(bool streams, OutgoingCall* call);

  // The answer. `metadata`: what the handler sent along; may be null.
  [[nodiscard]] HttpResponseHead Head(int status, const OutgoingCall* call);
  // A good answer's code: what the handler's x-http-code or middleware says, else 200.
  [[nodiscard]] int GoodStatus(const OutgoingCall& call) const;
  [[nodiscard]] HttpExchange& exchange() noexcept { return *exchange_; }
  [[nodiscard]] const EdgeRules& rules() const noexcept { return rules_; }
  // `code`: of HTTP; 0: what stands for the status.
  [[nodiscard]] Task<void> Refuse(absl::Status status, int code, const OutgoingCall* call);
  [[nodiscard]] Task<void> Refuse(absl::Status status) {
    return Refuse(std::move(status), 0, nullptr);
  }
  // The body as gzip, if the peer takes it and it is worth it; else as it is. Says so in `head`.
  [[nodiscard]] std::string_view Pack(std::string_view body, std::string_view content_type,
                                      HttpResponseHead* head, std::string* packed) const;
  [[nodiscard]] bool AllowsOrigin(std::string_view origin) const;

 private:
  struct SetField {
    std::string name;  // in lower case
    std::optional<std::string> value;
  };
  [[nodiscard]] const SetField* FindSet(std::string_view name) const noexcept;
  void AddCors(HttpResponseHead* head) const;
  void AddMetadata(const Metadata& metadata, std::string_view prefix, HttpResponseHead* head) const;
  [[nodiscard]] absl::Status AddHeader(std::string_view name, std::string_view value,
                                       Metadata* metadata) const;

  const EdgeRules& rules_;
  HttpExchange* exchange_;  // null: detached
  std::string_view path_;
  std::string_view query_;
  bool trusted_ = false;
  std::string client_;
  Peer told_peer_;
  std::string request_id_;
  std::vector<SetField> set_;  // by middleware
  std::vector<std::pair<std::string, std::string>> response_headers_;
  int wanted_status_ = 0;
  int status_ = 0;
};

}  // namespace rookery::internal::gateway

#endif  // ROOKERY_SRC_GATEWAY_HTTP_CALL_H_
