#include "options.h"

#include <errno.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "runtime/abseil_strings.h"

namespace rookery {
namespace kafka_adapter {
namespace {

using internal::Abs;
using std::chrono::milliseconds;

constexpr std::string_view kDigits =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr int kInstanceIdLength = 22;
constexpr std::size_t kMostTopic = 249;  // Kafka's own limit
// Room for headers, and for what a batch of records costs beside them.
constexpr std::size_t kRecordOverhead = std::size_t{256} << 10;

// What the promises rest on, and what has an option of its own.
constexpr std::array<std::string_view, 28> kOurs = {
    "bootstrap.servers",
    "metadata.broker.list",
    "client.id",
    "group.id",
    "group.instance.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "auto.commit.interval.ms",
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "transactional.id",
    "transaction.timeout.ms",
    "partition.assignment.strategy",
    "isolation.level",
    "security.protocol",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "sasl.password",
    "enable.ssl.certificate.verification",
    "ssl.endpoint.identification.algorithm",
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "max.poll.interval.ms",
    "enable.partition.eof",
    "delivery.timeout.ms",
};

std::vector<std::string> Hosts(const std::string& brokers) {
  std::vector<std::string> hosts;
  for (absl::string_view each : absl::StrSplit(brokers, ',', absl::SkipWhitespace())) {
    hosts.emplace_back(absl::StripAsciiWhitespace(each));
  }
  return hosts;
}

bool IsThisMachine(const std::string& host) {
  return absl::StartsWith(host, "localhost") || absl::StartsWith(host, "127.") ||
         absl::StartsWith(host, "[::1]");
}
bool LeavesThisMachine(const Kafka& options) {
  const std::vector<std::string> hosts = Hosts(options.brokers);
  return !std::all_of(hosts.begin(), hosts.end(), IsThisMachine);
}

std::string_view MechanismOf(KafkaSasl sasl) {
  switch (sasl) {
    case KafkaSasl::kPlain:
      return "PLAIN";
    case KafkaSasl::kScramSha256:
      return "SCRAM-SHA-256";
    case KafkaSasl::kScramSha512:
      return "SCRAM-SHA-512";
    case KafkaSasl::kNone:
      break;
  }
  return "";
}

std::string_view NameOfCompression(KafkaCompression compression) {
  switch (compression) {
    case KafkaCompression::kGzip:
      return "gzip";
    case KafkaCompression::kSnappy:
      return "snappy";
    case KafkaCompression::kLz4:
      return "lz4";
    case KafkaCompression::kZstd:
      return "zstd";
    case KafkaCompression::kNone:
      break;
  }
  return "none";
}

std::string_view NameOfAssignor(KafkaAssignor assignor) {
  switch (assignor) {
    case KafkaAssignor::kRange:
      return "range";
    case KafkaAssignor::kRoundRobin:
      return "roundrobin";
    case KafkaAssignor::kCooperativeSticky:
      break;
  }
  return "cooperative-sticky";
}

absl::StatusOr<std::string> PasswordOf(const Kafka& options) {
  if (options.password_file.empty()) return options.password;
  std::ifstream file(options.password_file);
  std::string line;
  if (!file || !std::getline(file, line)) {
    return absl::InvalidArgumentError(
        absl::StrCat("password_file ", options.password_file, " cannot be read, or is empty"));
  }
  return std::string(absl::StripTrailingAsciiWhitespace(line));
}

void OnLog(const rd_kafka_t* /*client*/, int level, const char* facility, const char* text) {
  constexpr int kWarning = 4;
  constexpr int kInfo = 6;
  // One set of settings serves consumers and producers, and what librdkafka says of old brokers
  // nobody can mend.
  const std::string_view what = facility;
  if (what == "CONFWARN" || what == "AUTOCREATE") {
    Log().Debug(text, {{"librdkafka", facility}});
    return;
  }
  // The text names the client.
  if (level <= kWarning) {
    Log().Warn(text, {{"librdkafka", facility}});
  } else if (level < kInfo) {
    Log().Info(text, {{"librdkafka", facility}});
  } else {
    Log().Debug(text, {{"librdkafka", facility}});
  }
}

// Sets one property after the other, and remembers what failed.
class Setter final {
 public:
  explicit Setter(rd_kafka_conf_t* conf) noexcept : conf_(conf) {}
  void Set(const std::string& name, const std::string& value) {
    std::array<char, 512> why{};
    if (rd_kafka_conf_set(conf_, name.c_str(), value.c_str(), why.data(), why.size()) !=
        RD_KAFKA_CONF_OK) {
      faults_.push_back(absl::StrCat(name, ": ", why.data()));
    }
  }
  void Set(const std::string& name, std::string_view value) { Set(name, std::string(value)); }
  void Set(const std::string& name, const char* value) { Set(name, std::string(value)); }
  void Set(const std::string& name, bool value) { Set(name, value ? "true" : "false"); }
  void Set(const std::string& name, milliseconds value) { Set(name, absl::StrCat(value.count())); }
  void SetCount(const std::string& name, std::size_t value) { Set(name, absl::StrCat(value)); }
  void Fault(std::string what) { faults_.push_back(std::move(what)); }
  [[nodiscard]] const std::vector<std::string>& faults() const noexcept { return faults_; }

 private:
  rd_kafka_conf_t* const conf_;
  std::vector<std::string> faults_;
};

void SetSecurity(const Kafka& options, Setter* set) {
  const bool sasl = options.sasl != KafkaSasl::kNone;
  if (options.tls) {
    set->Set("security.protocol", sasl ? "sasl_ssl" : "ssl");
    const KafkaTls& tls = *options.tls;
    const auto given = [&](const char* name, const std::string& value) {
      if (!value.empty()) set->Set(name, value);
    };
    given("ssl.ca.pem", tls.ca);
    given("ssl.ca.location", tls.ca_file);
    given("ssl.certificate.pem", tls.certificate);
    given("ssl.certificate.location", tls.certificate_file);
    given("ssl.key.pem", tls.key);
    given("ssl.key.location", tls.key_file);
    given("ssl.key.password", tls.key_password);
    set->Set("ssl.endpoint.identification.algorithm", tls.verify_host ? "https" : "none");
  } else {
    set->Set("security.protocol", sasl ? "sasl_plaintext" : "plaintext");
  }
  if (sasl) {
    set->Set("sasl.mechanism", MechanismOf(options.sasl));
    set->Set("sasl.username", options.user);
    absl::StatusOr<std::string> password = PasswordOf(options);
    if (password.ok()) {
      set->Set("sasl.password", *password);
    } else {
      set->Fault(std::string(password.status().message()));
    }
  }
}

void SetConsumer(const Kafka& options, Role role, Setter* set) {
  const std::size_t largest = options.max_receive_bytes + kRecordOverhead;
  set->Set("enable.auto.offset.store", false);
  set->Set("enable.partition.eof", false);
  set->Set("check.crcs", true);
  set->Set("allow.auto.create.topics", false);
  // What a fetch brings is held in memory until its last record is settled.
  set->SetCount("message.max.bytes", std::max<std::size_t>(largest, 1'000'000));
  set->SetCount("fetch.max.bytes", std::max<std::size_t>(largest * 2, std::size_t{16} << 20));
  set->SetCount("receive.message.max.bytes",
                std::max<std::size_t>(largest * 3, std::size_t{100'000'000}));
  set->Set("queued.max.messages.kbytes", "16384");
  set->Set("fetch.error.backoff.ms", "100");
  set->Set("isolation.level", options.read_committed ? "read_committed" : "read_uncommitted");
  if (role == Role::kInbox) {
    // Its offsets are nobody's affair, and so is its group, which librdkafka wants a name of.
    set->Set("group.id", absl::StrCat(NameOf(options), ".inbox"));
    set->Set("enable.auto.commit", false);
    set->Set("auto.offset.reset", "latest");
    return;
  }
  set->Set("group.id", GroupOf(options));
  // With transactions: one that is committed by the way may come between the offsets of a
  // transaction and its end, and takes the group back to before it.
  set->Set("enable.auto.commit", options.transactional_id.empty());
  set->Set("auto.commit.interval.ms", options.commit_interval);
  set->Set("auto.offset.reset",
           options.start == KafkaStart::kCommittedOrEnd || options.start == KafkaStart::kEnd
               ? "latest"
               : "earliest");
  set->Set("partition.assignment.strategy", NameOfAssignor(options.assignor));
  set->Set("session.timeout.ms", options.session_timeout);
  set->Set("heartbeat.interval.ms", options.heartbeat_interval);
  set->Set("max.poll.interval.ms", options.max_poll_interval);
  if (!options.instance_id.empty()) set->Set("group.instance.id", options.instance_id);
  // Topics that appear, or grow, are seen soon.
  set->Set("topic.metadata.refresh.interval.ms", "30000");
}

void SetProducer(const Kafka& options, Setter* set) {
  set->Set("acks", "all");
  set->Set("enable.idempotence", options.idempotent || !options.transactional_id.empty());
  set->Set("linger.ms", options.linger);
  set->Set("compression.type", NameOfCompression(options.compression));
  set->Set("message.timeout.ms", options.delivery_timeout);
  set->SetCount("message.max.bytes",
                std::max(options.max_send_bytes, options.max_receive_bytes) + kRecordOverhead);
  // Callers wait in our line. Replies and dead letters do not, and need room of their own.
  set->SetCount("queue.buffering.max.messages", options.max_pending * 2);
  set->SetCount("queue.buffering.max.kbytes", options.max_pending_bytes / 1'024 * 2 + 1'024);
  if (!options.transactional_id.empty()) {
    set->Set("transactional.id", options.transactional_id);
    set->Set("transaction.timeout.ms", options.transaction_timeout);
    // No record may be under way for longer than its transaction.
    set->Set("message.timeout.ms", std::min(options.delivery_timeout, options.transaction_timeout));
  }
}

}  // namespace

Logger Log() { return Logger::Default().Named("kafka"); }

absl::StatusOr<ConfPtr> ToConf(const Kafka& options, Role role) {
  ConfPtr conf(rd_kafka_conf_new());
  Setter set(conf.get());
  set.Set("bootstrap.servers", options.brokers);
  set.Set("client.id", SafeName(NameOf(options)));
  set.Set("client.software.name", "rookery");
  set.Set("log.connection.close", false);
  set.Set("reconnect.backoff.ms", "50");
  set.Set("reconnect.backoff.max.ms", "2000");
  // Says every second which brokers are there.
  set.Set("statistics.interval.ms", "1000");
  set.Set("socket.nagle.disable", true);
  SetSecurity(options, &set);
  if (role == Role::kProducer) {
    SetProducer(options, &set);
  } else {
    SetConsumer(options, role, &set);
  }
  for (const auto& [name, value] : options.settings) {
    if (std::find(kOurs.begin(), kOurs.end(), name) != kOurs.end()) {
      set.Fault(absl::StrCat("settings: ", name,
                             " is not to be set: the options have what may be changed about it"));
      continue;
    }
    set.Set(name, value);
  }
  rd_kafka_conf_set_log_cb(conf.get(), OnLog);
  if (!set.faults().empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(set.faults(), "; "));
  }
  return conf;
}

absl::Status ToStatus(rd_kafka_resp_err_t error, std::string_view what) {
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return absl::OkStatus();
  const std::string text =
      absl::StrCat(Abs(what), ": ", rd_kafka_err2str(error), " (", rd_kafka_err2name(error), ")");
  switch (error) {
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
      return absl::UnavailableError(text);
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
      return absl::ResourceExhaustedError(text);
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
      return absl::PermissionDeniedError(text);
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
      return absl::UnauthenticatedError(text);
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
      return absl::NotFoundError(text);
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
      return absl::InvalidArgumentError(text);
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR__SSL:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
      return absl::FailedPreconditionError(text);
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
      return absl::AbortedError(text);
    default:
      // Brokers that are gone, leaders that move: it may well go the next time.
      return absl::UnavailableError(text);
  }
}

absl::Status TakeError(rd_kafka_error_t* error, std::string_view what) {
  if (error == nullptr) return absl::OkStatus();
  const absl::Status status = ToStatus(rd_kafka_error_code(error),
                                       absl::StrCat(Abs(what), ": ", rd_kafka_error_string(error)));
  rd_kafka_error_destroy(error);
  return status;
}

void WarnOfUnsafe(const Kafka& options) {
  if (options.tls && !options.tls->verify_host) {
    Log().Warn(
        "tls.verify_host is off: whoever has any certificate of the same authority can read and "
        "change what is sent",
        {{"brokers", options.brokers}});
  }
  if (options.sasl != KafkaSasl::kNone && !options.tls && LeavesThisMachine(options)) {
    Log().Warn(options.sasl == KafkaSasl::kPlain
                   ? "the password travels in the clear: give Kafka::tls"
                   : "records travel in the clear, and whoever listens can guess at the password: "
                     "give Kafka::tls",
               {{"brokers", options.brokers}});
  }
}

// ---- names --------------------------------------------------------------------------------------

std::string SafeName(std::string_view text) {
  std::string name(text.substr(0, kMostTopic));
  for (char& c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-') {
      c = '_';
    }
  }
  return name.empty() ? "rookery" : name;
}

std::string NameOf(const Kafka& options) {
  return options.name.empty() ? std::string(program_invocation_short_name) : options.name;
}
std::string GroupOf(const Kafka& options) {
  return options.group.empty() ? SafeName(program_invocation_short_name) : options.group;
}
std::string Prefixed(const Kafka& options, std::string_view topic) {
  return absl::StrCat(options.prefix, Abs(topic));
}

absl::Status CheckTopic(std::string_view topic) {
  const auto bad = [topic](std::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", Abs(topic.substr(0, 128)), "\" is no Kafka topic: ", Abs(why)));
  };
  if (topic.empty()) return bad("it is empty");
  if (topic == "." || topic == "..") return bad("that is no name");
  if (topic.size() > kMostTopic) return bad("it has more than 249 characters");
  for (const char c : topic) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-') {
      return bad("it may have letters, digits, dots, underscores and hyphens alone");
    }
  }
  return absl::OkStatus();
}

std::string ToRegex(std::string_view pattern) {
  // librdkafka takes what begins with "^" for a regular expression.
  std::string regex = "^";
  for (const char c : pattern) {
    if (c == '*') {
      regex += "[^.]+";
    } else if (c == '>') {
      regex += ".+";
    } else if (c == '.') {
      regex += "[.]";
    } else {
      regex += c;
    }
  }
  return regex + "$";
}

namespace {
std::string Dotted(std::string_view full_name) {
  if (full_name.starts_with('/')) full_name.remove_prefix(1);
  std::string name(full_name);
  std::replace(name.begin(), name.end(), '/', '.');
  return name;
}
}  // namespace

std::string EventTopic(const Kafka& options, const MethodDescriptor& method) {
  if (!method.pattern.empty() && !method.pattern.starts_with('/')) {
    return Prefixed(options, method.pattern);
  }
  return Prefixed(options, Dotted(method.full_name));
}

std::string RequestTopic(const Kafka& options, const MethodDescriptor& method) {
  if (!options.request_topic.empty()) return Prefixed(options, options.request_topic);
  if (!method.pattern.empty()) return Prefixed(options, method.pattern);
  // By the name and not by the service, which a descriptor made by hand need not have.
  std::string_view name = method.full_name;
  if (name.starts_with('/')) name.remove_prefix(1);
  return Prefixed(options, Dotted(name.substr(0, name.rfind('/'))));
}

std::string CancelTopic(const Kafka& options) {
  return Prefixed(options, options.request_topic.empty()
                               ? std::string("rookery.cancel")
                               : absl::StrCat(options.request_topic, ".cancel"));
}

std::string RetryTopic(const Kafka& options, milliseconds delay) {
  const auto count = delay.count();
  const std::string shown = count % 60'000 == 0  ? absl::StrCat(count / 60'000, "m")
                            : count % 1'000 == 0 ? absl::StrCat(count / 1'000, "s")
                                                 : absl::StrCat(count, "ms");
  return Prefixed(options, absl::StrCat(SafeName(GroupOf(options)), ".retry.", shown));
}

std::string DeadLetterTopic(const Kafka& options, std::string_view topic) {
  return options.dead_letter_topic.empty() ? absl::StrCat(Abs(topic), options.dead_letter_suffix)
                                           : Prefixed(options, options.dead_letter_topic);
}

std::string NewInstanceId() {
  // Whoever can guess it can answer in another's name: from the system's generator.
  std::random_device random;
  std::uniform_int_distribution<std::size_t> digit(0, kDigits.size() - 1);
  std::string id;
  for (int i = 0; i < kInstanceIdLength; ++i) id.push_back(kDigits[digit(random)]);
  return id;
}

void AppendBase62(std::string* out, std::uint64_t number) {
  std::array<char, 11> digits{};
  std::size_t count = 0;
  do {
    digits[count++] = kDigits[number % kDigits.size()];
    number /= kDigits.size();
  } while (number != 0);
  while (count > 0) out->push_back(digits[--count]);
}

std::optional<std::uint64_t> ParseBase62(std::string_view text) noexcept {
  if (text.empty() || text.size() > 11) return std::nullopt;
  std::uint64_t number = 0;
  for (const char c : text) {
    const std::size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    number = number * kDigits.size() + digit;
  }
  return number;
}

}  // namespace kafka_adapter

absl::Status CheckKafkaOptions(const Kafka& options) {
  using kafka_adapter::CheckTopic;
  using kafka_adapter::Role;
  std::vector<std::string> faults;
  const auto need = [&faults](bool holds, std::string_view what) {
    if (!holds) faults.emplace_back(what);
  };
  const auto topic = [&](const char* name, const std::string& text) {
    if (text.empty()) return;
    const absl::Status checked = CheckTopic(text);
    if (!checked.ok()) faults.push_back(absl::StrCat(name, ": ", checked.message()));
  };
  need(!kafka_adapter::Hosts(options.brokers).empty(), "brokers is empty: say \"HOST:9092\"");
  for (const std::string& host : kafka_adapter::Hosts(options.brokers)) {
    need(!absl::StrContains(host, "://"),
         absl::StrCat("brokers has \"", host, "\": it is HOST:PORT, without a scheme"));
  }
  topic("prefix", options.prefix);
  topic("group", options.group);
  topic("request_topic", options.request_topic);
  topic("reply_topic", options.reply_topic);
  topic("dead_letter_topic", options.dead_letter_topic);
  topic("dead_letter_suffix", options.dead_letter_suffix);
  need(!options.dead_letter_suffix.empty() || !options.dead_letter_topic.empty(),
       "dead letters must go somewhere: give dead_letter_suffix or dead_letter_topic");

  const bool sasl = options.sasl != KafkaSasl::kNone;
  need(!sasl || !options.user.empty(), "sasl needs a user");
  need(!sasl || !options.password.empty() || !options.password_file.empty(),
       "sasl needs a password or a password_file");
  need(sasl || (options.user.empty() && options.password.empty() && options.password_file.empty()),
       "user and password do nothing without sasl: say which mechanism");
  need(options.password.empty() || options.password_file.empty(),
       "give one of password and password_file");
  need(options.sasl != KafkaSasl::kPlain || options.tls || options.allow_plain_text ||
           !kafka_adapter::LeavesThisMachine(options),
       "SASL PLAIN without TLS shows the password to the network: give tls, use SCRAM, or say "
       "allow_plain_text");
  if (options.tls) {
    const KafkaTls& tls = *options.tls;
    need(tls.certificate.empty() || tls.certificate_file.empty(),
         "give one of tls.certificate and tls.certificate_file");
    need(tls.key.empty() || tls.key_file.empty(), "give one of tls.key and tls.key_file");
    need(tls.ca.empty() || tls.ca_file.empty(), "give one of tls.ca and tls.ca_file");
    const bool certificate = !tls.certificate.empty() || !tls.certificate_file.empty();
    const bool key = !tls.key.empty() || !tls.key_file.empty();
    need(certificate == key, "tls.certificate and tls.key belong together");
  }

  need(options.partitions == -1 || options.partitions >= 1,
       "partitions must be -1 (the brokers' default) or at least 1");
  need(options.replication == -1 || options.replication >= 1,
       "replication must be -1 (the brokers' default) or at least 1");
  need(options.serve_events || options.serve_requests,
       "serve_events and serve_requests are both false: nothing would be served");
  need(options.consumers >= 1, "consumers must be at least 1");
  need(options.instance_id.empty() || options.consumers == 1,
       "instance_id names one consumer: consumers must be 1");
  need(options.transactional_id.empty() || options.consumers == 1,
       "transactional_id names one producer: consumers must be 1");
  need(options.assign.empty() || options.instance_id.empty(),
       "instance_id is for members of a group, which assign replaces");
  need(options.assign.empty() || options.consumers == 1, "assign is for one consumer");
  for (const KafkaPartition& each : options.assign) {
    topic("assign", each.topic);
    need(!each.topic.empty(), "assign: a topic is empty");
    need(each.partition >= 0, "assign: a partition is below 0");
    need(!each.offset || *each.offset >= 0, "assign: an offset is below 0");
  }
  need(options.start != KafkaStart::kTime || options.start_time.time_since_epoch().count() > 0,
       "start is kTime: say start_time");
  need(options.concurrency >= 1, "concurrency must not be 0");
  need(options.prefetch >= 1, "prefetch must not be 0");
  need(options.max_unsettled >= options.prefetch, "max_unsettled must not be below prefetch");
  need(options.heartbeat_interval.count() > 0 &&
           options.heartbeat_interval * 3 <= options.session_timeout,
       "heartbeat_interval must be above 0, and a third of session_timeout at most");
  need(options.max_poll_interval >= options.session_timeout,
       "max_poll_interval must not be below session_timeout");
  need(options.rebalance_grace.count() >= 0 &&
           options.rebalance_grace * 2 <= options.max_poll_interval,
       "rebalance_grace must be half of max_poll_interval at most, for which the group waits");
  need(options.commit_interval.count() > 0, "commit_interval must be above 0");
  for (std::size_t i = 0; i < options.retry_topics.size(); ++i) {
    need(options.retry_topics[i].count() > 0, "retry_topics: a delay is not above 0");
    need(i == 0 || options.retry_topics[i] > options.retry_topics[i - 1], "retry_topics must grow");
  }
  need(options.max_request_age.count() > 0, "max_request_age must be above 0");
  need(options.max_receive_bytes > 0, "max_receive_bytes must not be 0");
  need(options.max_send_bytes > 0, "max_send_bytes must not be 0");
  need(options.max_receive_bytes <= std::size_t{256} << 20 &&
           options.max_send_bytes <= std::size_t{256} << 20,
       "max_receive_bytes and max_send_bytes must not be above 256 MiB");
  need(options.max_concurrent_calls > 0, "max_concurrent_calls must not be 0");
  need(options.window_bytes > 0, "window_bytes must not be 0");
  need(options.linger.count() >= 0, "linger must not be below 0");
  need(options.delivery_timeout > options.linger, "delivery_timeout must be above linger");
  need(options.max_pending >= 1 && options.max_pending <= 1'000'000,
       "max_pending must be from 1 to 1,000,000");
  need(options.max_pending_bytes >= 1'024 && options.max_pending_bytes <= std::size_t{1} << 30,
       "max_pending_bytes must be from 1 KiB to 1 GiB");
  need(options.transaction_timeout.count() >= 1'000, "transaction_timeout must be at least 1 s");
  need(options.transactional_id.empty() || options.idempotent,
       "transactions need idempotent = true");
  need(options.keepalive.count() >= 0, "keepalive must not be below 0");
  need(options.connect_timeout.count() > 0, "connect_timeout must be above 0");
  if (absl::Status policy = CheckDeliveryPolicy(options.policy, nullptr); !policy.ok()) {
    faults.push_back(absl::StrCat("policy: ", policy.message()));
  }
  // The rest is librdkafka's to judge.
  if (faults.empty()) {
    for (const Role role : {Role::kGroup, Role::kProducer}) {
      const auto conf = kafka_adapter::ToConf(options, role);
      if (conf.ok()) continue;
      const std::string fault(conf.status().message());
      if (faults.empty() || faults.back() != fault) faults.push_back(fault);
    }
  }
  if (faults.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("Kafka at \"", options.brokers, "\": ", absl::StrJoin(faults, "; ")));
}

}  // namespace rookery
