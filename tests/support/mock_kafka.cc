#include "support/mock_kafka.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <sstream>
#include <utility>

namespace rookery::testing {

namespace {

struct Api {
  const char* name;
  std::int16_t key;
};
// Those that the mock serves, as Kafka's protocol guide names them.
constexpr Api kApis[] = {
    {"Produce", 0},          {"Fetch", 1},
    {"ListOffsets", 2},      {"Metadata", 3},
    {"OffsetCommit", 8},     {"OffsetFetch", 9},
    {"FindCoordinator", 10}, {"JoinGroup", 11},
    {"Heartbeat", 12},       {"LeaveGroup", 13},
    {"SyncGroup", 14},       {"ApiVersions", 18},
    {"InitProducerId", 22},  {"AddPartitionsToTxn", 24},
    {"AddOffsetsToTxn", 25}, {"EndTxn", 26},
    {"TxnOffsetCommit", 28},
};

std::optional<int> Number(const std::string& text) {
  if (text.empty()) return std::nullopt;
  char* end = nullptr;
  errno = 0;
  const long value = std::strtol(text.c_str(), &end, 10);
  if (*end != '\0' || errno != 0 || value < -1'000'000'000 || value > 1'000'000'000) {
    return std::nullopt;
  }
  return static_cast<int>(value);
}

std::optional<std::int16_t> ApiKey(const std::string& text) {
  for (const Api& api : kApis) {
    if (text == api.name) return api.key;
  }
  const std::optional<int> number = Number(text);
  if (!number || *number < 0 || *number > 127) return std::nullopt;
  return static_cast<std::int16_t>(*number);
}

std::optional<rd_kafka_resp_err_t> ErrorCode(const std::string& text) {
  const rd_kafka_err_desc* all = nullptr;
  std::size_t count = 0;
  rd_kafka_get_err_descs(&all, &count);
  const std::optional<int> number = Number(text);
  for (std::size_t i = 0; i < count; ++i) {
    if (all[i].name == nullptr) continue;
    if (text == all[i].name || (number && all[i].code == *number)) return all[i].code;
  }
  return std::nullopt;
}

volatile sig_atomic_t g_terminated = 0;

}  // namespace

class MockKafka::Impl final {
 public:
  Impl(rd_kafka_t* client, rd_kafka_mock_cluster_t* cluster, int brokers)
      : client_(client), cluster_(cluster), brokers_(brokers) {}
  ~Impl() {
    rd_kafka_mock_cluster_destroy(cluster_);
    rd_kafka_destroy(client_);
  }

  [[nodiscard]] std::string bootstraps() const {
    return rd_kafka_mock_cluster_bootstraps(cluster_);
  }

  // Empty, or what was wrong.
  std::string Obey(const std::vector<std::string>& words) {
    const std::string& verb = words[0];
    if (verb == "topic") return Topic(words);
    if (verb == "topic-error") return TopicError(words);
    if (verb == "errors") return Errors(words);
    if (verb == "broker-errors") return BrokerErrors(words);
    if (verb == "clear") return Clear(words);
    if (verb == "rtt" || verb == "down" || verb == "up") return Broker(words);
    if (verb == "leader") return Leader(words);
    if (verb == "coordinator") return Coordinator(words);
    if (verb == "apiversion") return ApiVersion(words);
    return "no command " + verb;
  }

 private:
  static std::string Outcome(rd_kafka_resp_err_t code) {
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? "" : rd_kafka_err2str(code);
  }
  // -1 is not all of them to every call of the library: they are named one by one.
  [[nodiscard]] std::optional<std::pair<int, int>> Range(const std::string& text) const {
    if (text == "all" || text == "-1") return std::pair(1, brokers_);
    const std::optional<int> number = Number(text);
    if (!number || *number < 1 || *number > brokers_) return std::nullopt;
    return std::pair(*number, *number);
  }

  std::string Topic(const std::vector<std::string>& words) {
    const std::optional<int> partitions = words.size() > 2 ? Number(words[2]) : std::nullopt;
    const std::optional<int> replicas = words.size() > 3 ? Number(words[3]) : brokers_;
    if (!partitions || *partitions < 1 || !replicas) return "topic NAME PARTITIONS [REPLICAS]";
    return Outcome(rd_kafka_mock_topic_create(cluster_, words[1].c_str(), *partitions, *replicas));
  }
  std::string TopicError(const std::vector<std::string>& words) {
    const auto code = words.size() == 3 ? ErrorCode(words[2]) : std::nullopt;
    if (!code) return "topic-error NAME ERROR";
    rd_kafka_mock_topic_set_error(cluster_, words[1].c_str(), *code);
    return "";
  }
  std::string Errors(const std::vector<std::string>& words) {
    const auto api = words.size() > 2 ? ApiKey(words[1]) : std::nullopt;
    if (!api) return "errors API ERROR...";
    std::vector<rd_kafka_resp_err_t> codes;
    for (std::size_t i = 2; i < words.size(); ++i) {
      const auto code = ErrorCode(words[i]);
      if (!code) return "no error " + words[i];
      codes.push_back(*code);
    }
    rd_kafka_mock_push_request_errors_array(cluster_, *api, codes.size(), codes.data());
    return "";
  }
  std::string BrokerErrors(const std::vector<std::string>& words) {
    const auto range = words.size() > 3 ? Range(words[1]) : std::nullopt;
    const auto api = words.size() > 3 ? ApiKey(words[2]) : std::nullopt;
    if (!range || !api) return "broker-errors BROKER API ERROR[:MS]...";
    for (std::size_t i = 3; i < words.size(); ++i) {
      const std::size_t colon = words[i].find(':');
      const auto code = ErrorCode(words[i].substr(0, colon));
      const auto later = colon == std::string::npos ? 0 : Number(words[i].substr(colon + 1));
      if (!code || !later) return "no error " + words[i];
      for (int broker = range->first; broker <= range->second; ++broker) {
        std::string wrong = Outcome(
            rd_kafka_mock_broker_push_request_error_rtts(cluster_, broker, *api, 1, *code, *later));
        if (!wrong.empty()) return wrong;
      }
    }
    return "";
  }
  std::string Clear(const std::vector<std::string>& words) {
    const auto api = words.size() == 2 ? ApiKey(words[1]) : std::nullopt;
    if (!api) return "clear API";
    rd_kafka_mock_clear_request_errors(cluster_, *api);
    return "";
  }
  std::string Broker(const std::vector<std::string>& words) {
    const bool rtt = words[0] == "rtt";
    const auto range = words.size() == (rtt ? 3 : 2) ? Range(words[1]) : std::nullopt;
    const auto ms = rtt && words.size() == 3 ? Number(words[2]) : 0;
    if (!range || !ms || *ms < 0) return rtt ? "rtt BROKER MS" : words[0] + " BROKER";
    for (int broker = range->first; broker <= range->second; ++broker) {
      std::string wrong =
          Outcome(rtt                  ? rd_kafka_mock_broker_set_rtt(cluster_, broker, *ms)
                  : words[0] == "down" ? rd_kafka_mock_broker_set_down(cluster_, broker)
                                       : rd_kafka_mock_broker_set_up(cluster_, broker));
      if (!wrong.empty()) return wrong;
    }
    return "";
  }
  std::string Leader(const std::vector<std::string>& words) {
    const auto partition = words.size() == 4 ? Number(words[2]) : std::nullopt;
    const auto broker = words.size() == 4 ? Number(words[3]) : std::nullopt;
    if (!partition || !broker) return "leader TOPIC PARTITION BROKER";
    return Outcome(
        rd_kafka_mock_partition_set_leader(cluster_, words[1].c_str(), *partition, *broker));
  }
  std::string Coordinator(const std::vector<std::string>& words) {
    const auto broker = words.size() == 4 ? Number(words[3]) : std::nullopt;
    if (!broker) return "coordinator group|transaction KEY BROKER";
    return Outcome(
        rd_kafka_mock_coordinator_set(cluster_, words[1].c_str(), words[2].c_str(), *broker));
  }
  std::string ApiVersion(const std::vector<std::string>& words) {
    const auto api = words.size() == 4 ? ApiKey(words[1]) : std::nullopt;
    const auto least = words.size() == 4 ? Number(words[2]) : std::nullopt;
    const auto most = words.size() == 4 ? Number(words[3]) : std::nullopt;
    if (!api || !least || !most) return "apiversion API LEAST MOST";
    return Outcome(rd_kafka_mock_set_apiversion(cluster_, *api, static_cast<std::int16_t>(*least),
                                                static_cast<std::int16_t>(*most)));
  }

  rd_kafka_t* const client_;
  rd_kafka_mock_cluster_t* const cluster_;
  const int brokers_;
};

MockKafka::MockKafka(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
MockKafka::~MockKafka() = default;

std::unique_ptr<MockKafka> MockKafka::Start(int brokers) {
  char why[256] = "";
  rd_kafka_conf_t* const conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "client.id", "mock", why, sizeof why);
  // The client is only there to hold the brokers, and has none of its own to complain of.
  rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why);
  rd_kafka_t* const client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
  if (client == nullptr) {
    rd_kafka_conf_destroy(conf);
    std::fprintf(stderr, "mock_kafka: no client: %s\n", why);
    return nullptr;
  }
  rd_kafka_mock_cluster_t* const cluster = rd_kafka_mock_cluster_new(client, brokers);
  if (cluster == nullptr) {
    rd_kafka_destroy(client);
    std::fprintf(stderr, "mock_kafka: no brokers: are there ports on 127.0.0.1?\n");
    return nullptr;
  }
  return std::make_unique<MockKafka>(std::make_unique<Impl>(client, cluster, brokers));
}

std::string MockKafka::bootstraps() const { return impl_->bootstraps(); }

std::string MockKafka::Obey(std::string_view line) {
  std::istringstream in{std::string(line)};
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  if (words.empty()) return "ERROR an empty line";
  if (words[0] == "bootstraps") return "OK " + bootstraps();
  const std::string wrong = impl_->Obey(words);
  return wrong.empty() ? "OK" : "ERROR " + wrong;
}

int RunMockKafka(const std::vector<std::string>& arguments) {
  int brokers = 1;
  bool listen = true;
  std::vector<std::string> topics;
  for (const std::string& argument : arguments) {
    if (argument.compare(0, 10, "--brokers=") == 0) {
      const std::optional<int> number = Number(argument.substr(10));
      if (!number || *number < 1 || *number > 100) {
        std::fprintf(stderr, "mock_kafka: %s: expected 1 to 100\n", argument.c_str());
        return 2;
      }
      brokers = *number;
    } else if (argument.compare(0, 8, "--topic=") == 0) {
      std::string line = "topic " + argument.substr(8);
      for (char& letter : line) {
        if (letter == ':') letter = ' ';
      }
      topics.push_back(line);
    } else if (argument == "--no-stdin") {
      listen = false;
    } else if (argument.compare(0, 2, "--") == 0) {
      std::fprintf(stderr,
                   "mock_kafka: no option %s\nusage: mock_kafka [--brokers=N] "
                   "[--topic=NAME:PARTITIONS[:REPLICAS]]... [--no-stdin]\n",
                   argument.c_str());
      return 2;
    }
  }
  struct sigaction terminate = {};
  terminate.sa_handler = [](int) { g_terminated = 1; };
  sigaction(SIGTERM, &terminate, nullptr);
  sigaction(SIGINT, &terminate, nullptr);
  const std::unique_ptr<MockKafka> mock = MockKafka::Start(brokers);
  if (mock == nullptr) return 1;
  for (const std::string& topic : topics) {
    const std::string answer = mock->Obey(topic);
    if (answer != "OK") {
      std::fprintf(stderr, "mock_kafka: %s: %s\n", topic.c_str(), answer.c_str());
      return 2;
    }
  }
  // By one write each, so that who reads lines is not given half of one.
  const auto say = [](std::string line) {
    line += '\n';
    if (write(1, line.data(), line.size()) < 0) g_terminated = 1;
  };
  say("READY " + mock->bootstraps());
  std::string unread;
  while (g_terminated == 0) {
    pollfd ready{0, POLLIN, 0};
    // A signal between the test and the wait is seen after this time at most.
    if (poll(&ready, listen ? 1 : 0, 50) <= 0) continue;
    char buffer[512];
    const ssize_t got = read(0, buffer, sizeof buffer);
    if (got <= 0) break;
    unread.append(buffer, static_cast<std::size_t>(got));
    for (std::size_t end = 0; (end = unread.find('\n')) != std::string::npos;) {
      say(mock->Obey(std::string_view(unread).substr(0, end)));
      unread.erase(0, end + 1);
    }
  }
  return 0;
}

}  // namespace rookery::testing
