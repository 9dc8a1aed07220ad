// Options as librdkafka wants them, and names on Kafka. Private.
#ifndef ROOKERY_TRANSPORTS_KAFKA_SRC_OPTIONS_H_
#define ROOKERY_TRANSPORTS_KAFKA_SRC_OPTIONS_H_

#include <librdkafka/rdkafka.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/platform/log.h"
#include "rookery/rpc/descriptor.h"
#include "rookery/transports/kafka.h"

namespace rookery::kafka_adapter {

struct ConfDeleter {
  void operator()(rd_kafka_conf_t* conf) const noexcept { rd_kafka_conf_destroy(conf); }
};
using ConfPtr = std::unique_ptr<rd_kafka_conf_t, ConfDeleter>;

enum class Role : std::uint8_t {
  kGroup,     // a member of the consumer group, whose offsets are committed
  kInbox,     // reads topics of its own, from where it says
  kProducer,  // sends
};
[[nodiscard]] absl::StatusOr<ConfPtr> ToConf(const Kafka& options, Role role);

// What librdkafka says, as a status: `what` was tried.
[[nodiscard]] absl::Status ToStatus(rd_kafka_resp_err_t error, std::string_view what);
// Destroys the error.
[[nodiscard]] absl::Status TakeError(rd_kafka_error_t* error, std::string_view what);

[[nodiscard]] Logger Log();
// What is allowed, and should not be, goes to the log.
void WarnOfUnsafe(const Kafka& options);

[[nodiscard]] std::string NameOf(const Kafka& options);
[[nodiscard]] std::string GroupOf(const Kafka& options);
[[nodiscard]] std::string Prefixed(const Kafka& options, std::string_view topic);
// The text of a name that Kafka takes.
[[nodiscard]] std::string SafeName(std::string_view text);
[[nodiscard]] absl::Status CheckTopic(std::string_view topic);

// A pattern with wildcards ("payments.*", "payments.>"), as librdkafka subscribes to it.
[[nodiscard]] std::string ToRegex(std::string_view pattern);

// Where an event is sent: its pattern, or its full name with dots; with the prefix.
[[nodiscard]] std::string EventTopic(const Kafka& options, const MethodDescriptor& method);
// Where requests for a method are sent.
[[nodiscard]] std::string RequestTopic(const Kafka& options, const MethodDescriptor& method);
[[nodiscard]] std::string CancelTopic(const Kafka& options);
[[nodiscard]] std::string RetryTopic(const Kafka& options, std::chrono::milliseconds delay);
[[nodiscard]] std::string DeadLetterTopic(const Kafka& options, std::string_view topic);

// 22 characters that nobody guesses.
[[nodiscard]] std::string NewInstanceId();
void AppendBase62(std::string* out, std::uint64_t number);
[[nodiscard]] std::optional<std::uint64_t> ParseBase62(std::string_view text) noexcept;

}  // namespace rookery::kafka_adapter

#endif  // ROOKERY_TRANSPORTS_KAFKA_SRC_OPTIONS_H_
