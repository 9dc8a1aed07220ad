#include "options.h"

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdio>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "convert.h"
#include "credentials.h"

namespace rookery {
namespace grpc_adapter {
namespace {

int ToInt(std::size_t value) noexcept {
  return static_cast<int>(std::min<std::size_t>(value, INT_MAX));
}
int ToMilliseconds(std::chrono::milliseconds duration) noexcept {
  return static_cast<int>(std::min<std::chrono::milliseconds::rep>(duration.count(), INT_MAX));
}

void AddKeepalive(const GrpcKeepalive& keepalive, ChannelArguments& arguments) {
  if (keepalive.time.count() > 0) {
    arguments.Set(GRPC_ARG_KEEPALIVE_TIME_MS, ToMilliseconds(keepalive.time));
  }
  arguments.Set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, ToMilliseconds(keepalive.timeout));
}

void AddCommon(ChannelArguments& arguments) {
  // Sizes are checked here, where the refusal can be counted and logged. gRPC 1.51 would look at
  // them no earlier: it, too, has the whole message in memory when it does.
  arguments.Set(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, -1);
  arguments.Set(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1);
  // gRPC inflates without a limit: a bomb of 4 MiB would become 4 GiB. So it is done here.
  arguments.Set(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  // Counters for every call that only the channelz service reads.
  arguments.Set(GRPC_ARG_ENABLE_CHANNELZ, 0);
}

class Faults final {
 public:
  void Add(std::string text) { faults_.push_back(std::move(text)); }
  [[nodiscard]] absl::Status Join(const std::string& what) const {
    if (faults_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(what, ":\n  ", absl::StrJoin(faults_, "\n  ")));
  }

 private:
  std::vector<std::string> faults_;
};

void CheckCommon(const Grpc& options, Faults& faults) {
  if (options.address.empty()) {
    faults.Add("address is empty; say for example \"0.0.0.0:50051\"");
  }
  constexpr std::size_t kLargest = std::numeric_limits<int>::max();
  if (options.max_receive_bytes == 0 || options.max_receive_bytes > kLargest) {
    faults.Add(absl::StrCat("max_receive_bytes is ", options.max_receive_bytes,
                            "; it must be from 1 to 2147483647"));
  }
  if (options.max_send_bytes == 0 || options.max_send_bytes > kLargest) {
    faults.Add(absl::StrCat("max_send_bytes is ", options.max_send_bytes,
                            "; it must be from 1 to 2147483647"));
  }
  if (options.max_metadata_bytes < 1'024 || options.max_metadata_bytes > (std::size_t{16} << 20)) {
    faults.Add(absl::StrCat("max_metadata_bytes is ", options.max_metadata_bytes,
                            "; it must be from 1024 to 16777216"));
  }
  if (options.keepalive.time.count() < 0 || options.keepalive.timeout.count() <= 0) {
    faults.Add("keepalive.time must not be negative, and keepalive.timeout must be positive");
  }
}

// "host:port" with a port in range, or unix:.
void CheckListeningAddress(std::string_view address, Faults& faults) {
  if (address.empty() || address.starts_with("unix:") || address.starts_with("unix-abstract:")) {
    return;
  }
  const std::size_t colon = address.rfind(':');
  int port = -1;
  if (colon == std::string_view::npos || colon == 0 ||
      !absl::SimpleAtoi(Absl(address.substr(colon + 1)), &port) || port < 0 || port > 65'535) {
    faults.Add(absl::StrCat("address \"", std::string(address),
                            "\" is not host:port; say for example \"0.0.0.0:50051\", or port 0 to "
                            "have one picked"));
  }
}

}  // namespace

grpc_arg& ChannelArguments::Append(const char* key) {
  grpc_arg argument = {};
  argument.key = const_cast<char*>(key);
  arguments_.push_back(argument);
  return arguments_.back();
}

void ChannelArguments::Set(const char* key, int value) {
  grpc_arg& argument = Append(key);
  argument.type = GRPC_ARG_INTEGER;
  argument.value.integer = value;
}

void ChannelArguments::Set(const char* key, std::string value) {
  strings_.push_back(std::move(value));
  grpc_arg& argument = Append(key);
  argument.type = GRPC_ARG_STRING;
  argument.value.string = strings_.back().data();
}

void ChannelArguments::SetPointer(const char* key, void* value,
                                  const grpc_arg_pointer_vtable* vtable) {
  grpc_arg& argument = Append(key);
  argument.type = GRPC_ARG_POINTER;
  argument.value.pointer.p = value;
  argument.value.pointer.vtable = vtable;
}

const grpc_channel_args* ChannelArguments::get() noexcept {
  view_.num_args = arguments_.size();
  view_.args = arguments_.data();
  return &view_;
}

void AddListenerArguments(const Grpc& options, ChannelArguments& arguments) {
  AddCommon(arguments);
  // Twice the limit: what lies between is refused by us, with a count and a log line.
  arguments.Set(GRPC_ARG_MAX_METADATA_SIZE, ToInt(2 * options.max_metadata_bytes));
  arguments.Set(GRPC_ARG_MAX_CONCURRENT_STREAMS, ToInt(options.max_concurrent_streams));
  // Two listeners on one port would share its calls by chance; a clash is an error instead.
  arguments.Set(GRPC_ARG_ALLOW_REUSEPORT, 0);
  arguments.Set(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, ToMilliseconds(options.handshake_timeout));
  AddKeepalive(options.keepalive, arguments);
  arguments.Set(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.Set(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                ToMilliseconds(options.keepalive.min_ping_interval));
  arguments.Set(GRPC_ARG_HTTP2_MAX_PING_STRIKES, options.keepalive.max_ping_strikes);
  if (options.max_connection_idle.count() > 0) {
    arguments.Set(GRPC_ARG_MAX_CONNECTION_IDLE_MS, ToMilliseconds(options.max_connection_idle));
  }
  if (options.max_connection_age.count() > 0) {
    arguments.Set(GRPC_ARG_MAX_CONNECTION_AGE_MS, ToMilliseconds(options.max_connection_age));
  }
  if (options.max_connection_age_grace.count() > 0) {
    arguments.Set(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                  ToMilliseconds(options.max_connection_age_grace));
  }
}

void AddClientArguments(const Grpc& options, ChannelArguments& arguments) {
  AddCommon(arguments);
  arguments.Set(GRPC_ARG_MAX_METADATA_SIZE, ToInt(2 * options.max_metadata_bytes));
  arguments.Set(GRPC_ARG_LB_POLICY_NAME, options.load_balancing_policy);
  AddKeepalive(options.keepalive, arguments);
  if (options.keepalive.permit_without_calls) {
    arguments.Set(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    arguments.Set(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  }
  if (!options.user_agent.empty()) {
    arguments.Set(GRPC_ARG_PRIMARY_USER_AGENT_STRING, options.user_agent);
  }
  if (options.tls && !options.tls->server_name.empty()) {
    arguments.Set(GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, options.tls->server_name);
  }
}

std::string RetryServiceConfig(const GrpcRetry& retry) {
  if (retry.max_attempts <= 1 || retry.codes.empty()) return {};
  const auto seconds = [](std::chrono::milliseconds duration) {
    char text[32];
    std::snprintf(text, sizeof text, "%lld.%03llds",
                  static_cast<long long>(duration.count() / 1000),
                  static_cast<long long>(duration.count() % 1000));
    return std::string(text);
  };
  std::vector<std::string> codes;
  for (const absl::StatusCode code : retry.codes) {
    codes.push_back(absl::StrCat("\"", absl::StatusCodeToString(code), "\""));
  }
  return absl::StrCat(
      "{\"methodConfig\":[{\"name\":[{}],\"retryPolicy\":{\"maxAttempts\":", retry.max_attempts,
      ",\"initialBackoff\":\"", seconds(retry.initial_backoff), "\",\"maxBackoff\":\"",
      seconds(retry.max_backoff), "\",\"backoffMultiplier\":", retry.backoff_multiplier,
      ",\"retryableStatusCodes\":[", absl::StrJoin(codes, ","), "]}}]}");
}

grpc_compression_algorithm ToAlgorithm(std::string_view name) noexcept {
  if (name == "gzip") return GRPC_COMPRESS_GZIP;
  if (name == "deflate") return GRPC_COMPRESS_DEFLATE;
  return GRPC_COMPRESS_NONE;
}

std::string_view NameOf(GrpcCompression compression) noexcept {
  switch (compression) {
    case GrpcCompression::kGzip:
      return "gzip";
    case GrpcCompression::kDeflate:
      return "deflate";
    case GrpcCompression::kNone:
      break;
  }
  return {};
}

}  // namespace grpc_adapter

absl::Status CheckGrpcListener(const Grpc& options) {
  using grpc_adapter::Faults;
  Faults faults;
  grpc_adapter::CheckCommon(options, faults);
  grpc_adapter::CheckListeningAddress(options.address, faults);
  if (options.threads > 1'024) {
    faults.Add(absl::StrCat("threads is ", options.threads, "; 0 means one per core"));
  }
  if (options.max_concurrent_streams == 0) {
    faults.Add("max_concurrent_streams is 0, which would serve nobody");
  }
  if (options.max_concurrent_calls == 0) {
    faults.Add("max_concurrent_calls is 0, which would serve nobody");
  }
  if (options.max_buffer_bytes != 0 && options.max_buffer_bytes < options.max_receive_bytes) {
    faults.Add("max_buffer_bytes is less than max_receive_bytes: no such message could arrive");
  }
  if (options.keepalive.max_ping_strikes < 0 || options.keepalive.min_ping_interval.count() < 0) {
    faults.Add("keepalive.max_ping_strikes and keepalive.min_ping_interval must not be negative");
  }
  if (options.max_connection_idle.count() < 0 || options.max_connection_age.count() < 0 ||
      options.max_connection_age_grace.count() < 0) {
    faults.Add("max_connection_idle, max_connection_age and its grace must not be negative");
  }
  if (options.handshake_timeout.count() <= 0) {
    faults.Add("handshake_timeout must be positive");
  }
  for (const auto& [name, limits] : options.methods) {
    if (!name.starts_with('/') || name.find('/', 1) == std::string::npos) {
      faults.Add(absl::StrCat("methods[\"", name,
                              "\"]: name it in full, for example \"/shop.v1.Orders/Place\""));
    }
    if (limits.max_receive_bytes > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
      faults.Add(absl::StrCat("methods[\"", name, "\"].max_receive_bytes is too large"));
    }
  }
  if (options.tls) {
    for (std::string& fault : grpc_adapter::CheckTls(*options.tls, /*server=*/true)) {
      faults.Add(std::move(fault));
    }
  }
  return faults.Join(absl::StrCat("cannot serve gRPC on \"", options.address, "\""));
}

absl::Status CheckGrpcClient(const Grpc& options) {
  using grpc_adapter::Faults;
  Faults faults;
  grpc_adapter::CheckCommon(options, faults);
  if (options.load_balancing_policy != "pick_first" &&
      options.load_balancing_policy != "round_robin") {
    faults.Add(absl::StrCat("load_balancing_policy is \"", options.load_balancing_policy,
                            "\"; gRPC has \"pick_first\" and \"round_robin\""));
  }
  if (options.connections == 0 || options.connections > 1'024) {
    faults.Add(absl::StrCat("connections is ", options.connections, "; it must be from 1 to 1024"));
  }
  const GrpcRetry& retry = options.retry;
  if (retry.max_attempts < 1 || retry.max_attempts > 5) {
    faults.Add(absl::StrCat("retry.max_attempts is ", retry.max_attempts,
                            "; it must be from 1 (no retry) to 5"));
  }
  if (retry.initial_backoff.count() <= 0 || retry.max_backoff < retry.initial_backoff ||
      !(retry.backoff_multiplier > 0)) {
    faults.Add(
        "retry: backoffs and their multiplier must be positive, and max_backoff no less than "
        "initial_backoff");
  }
  if (options.tls) {
    for (std::string& fault : grpc_adapter::CheckTls(*options.tls, /*server=*/false)) {
      faults.Add(std::move(fault));
    }
  }
  return faults.Join(absl::StrCat("cannot make a gRPC client of \"", options.address, "\""));
}

}  // namespace rookery
