#include "support/kafka_broker.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>

namespace rookery::testing {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

const char* const kScripts = ROOKERY_SOURCE_DIR "/deploy/kafka";

// All of them held at once, so that no two are the same.
void FreePorts(int* ports, int count) {
  std::vector<int> held;
  for (int i = 0; i < count; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    bind(fd, reinterpret_cast<sockaddr*>(&address), size);
    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    ports[i] = ntohs(address.sin_port);
    held.push_back(fd);
  }
  for (const int fd : held) close(fd);
}

[[noreturn]] void Fail(const std::string& what, rd_kafka_resp_err_t code) {
  throw std::runtime_error("Kafka: " + what + ": " + rd_kafka_err2str(code));
}

void Must(rd_kafka_resp_err_t code, const std::string& what) {
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) Fail(what, code);
}

struct Destroy {
  void operator()(rd_kafka_t* client) const { rd_kafka_destroy(client); }
  void operator()(rd_kafka_topic_partition_list_t* list) const {
    rd_kafka_topic_partition_list_destroy(list);
  }
  void operator()(const rd_kafka_metadata_t* metadata) const {
    rd_kafka_metadata_destroy(metadata);
  }
  void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
  void operator()(rd_kafka_event_t* event) const { rd_kafka_event_destroy(event); }
  void operator()(rd_kafka_message_t* message) const { rd_kafka_message_destroy(message); }
  void operator()(rd_kafka_AdminOptions_t* options) const {
    rd_kafka_AdminOptions_destroy(options);
  }
};
template <class T>
using Owned = std::unique_ptr<T, Destroy>;

Owned<rd_kafka_t> Open(rd_kafka_type_t type, const std::string& brokers,
                       const KafkaPeek::Settings& settings, int* failed = nullptr) {
  char why[512] = "";
  rd_kafka_conf_t* const conf = rd_kafka_conf_new();
  const auto set = [&](const std::string& name, const std::string& value) {
    if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), why, sizeof why) != RD_KAFKA_CONF_OK) {
      rd_kafka_conf_destroy(conf);
      throw std::runtime_error(std::string("Kafka: ") + why);
    }
  };
  set("bootstrap.servers", brokers);
  set("log_level", "0");
  // What fails is asked again, and not left to the log.
  set("socket.connection.setup.timeout.ms", "5000");
  set("reconnect.backoff.max.ms", "500");
  for (const auto& [name, value] : settings) set(name, value);
  if (failed != nullptr) {
    rd_kafka_conf_set_opaque(conf, failed);
    rd_kafka_conf_set_dr_msg_cb(conf, [](rd_kafka_t*, const rd_kafka_message_t* report, void* to) {
      if (report->err != RD_KAFKA_RESP_ERR_NO_ERROR) ++*static_cast<int*>(to);
    });
  }
  rd_kafka_t* const client = rd_kafka_new(type, conf, why, sizeof why);
  if (client == nullptr) {
    rd_kafka_conf_destroy(conf);
    throw std::runtime_error(std::string("Kafka: ") + why);
  }
  return Owned<rd_kafka_t>(client);
}

Owned<rd_kafka_event_t> Answer(rd_kafka_queue_t* queue, int patience_ms, const std::string& what) {
  Owned<rd_kafka_event_t> event(rd_kafka_queue_poll(queue, patience_ms));
  if (event == nullptr) Fail(what, RD_KAFKA_RESP_ERR__TIMED_OUT);
  Must(rd_kafka_event_error(event.get()), what);
  return event;
}

}  // namespace

// ---- KafkaBroker --------------------------------------------------------------------------------

std::string KafkaBroker::Missing() {
  const std::string command = std::string(kScripts) + "/fetch --check 2>&1 </dev/null";
  FILE* const pipe = popen(command.c_str(), "re");
  if (pipe == nullptr) return "no shell";
  std::string said;
  char buffer[256];
  while (fgets(buffer, sizeof buffer, pipe) != nullptr) said += buffer;
  const int status = pclose(pipe);
  while (!said.empty() && said.back() == '\n') said.pop_back();
  if (status == 0) return "";
  return said.empty() ? "deploy/kafka/fetch failed" : said;
}

std::unique_ptr<KafkaBroker> KafkaBroker::Start(const KafkaBrokerOptions& options,
                                                std::string* why) {
  *why = Missing();
  if (!why->empty()) return nullptr;
  for (int attempt = 0; attempt < 3; ++attempt) {
    auto broker = std::make_unique<KafkaBroker>(options);
    if (broker->Run()) return broker;
    *why = "Apache Kafka does not start";
  }
  return nullptr;
}

KafkaBroker::KafkaBroker(KafkaBrokerOptions options) : options_(std::move(options)) {
  FreePorts(ports_, 5);
  if (options_.front) front_ = options_.front(ports_[0]);
  std::string name = (std::filesystem::temp_directory_path() / "rookery-kafka-XXXXXX").string();
  if (mkdtemp(name.data()) != nullptr) folder_ = name;
}

KafkaBroker::~KafkaBroker() {
  Kill();
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

void KafkaBroker::Kill() {
  if (process_ <= 0) return;
  kill(process_, SIGKILL);
  waitpid(std::exchange(process_, -1), nullptr, 0);
}
void KafkaBroker::Pause() { kill(process_, SIGSTOP); }
void KafkaBroker::Continue() { kill(process_, SIGCONT); }

bool KafkaBroker::Run() {
  if (folder_.empty()) return false;
  std::vector<std::string> words = {std::string(kScripts) + "/run", "--data=" + folder_.string(),
                                    "--port=" + std::to_string(ports_[0]),
                                    "--controller-port=" + std::to_string(ports_[1]),
                                    "--ssl-port=" + std::to_string(ports_[3])};
  if (!options_.users.empty()) {
    words.push_back("--sasl-port=" + std::to_string(ports_[2]));
    words.push_back("--sasl-ssl-port=" + std::to_string(ports_[4]));
  }
  for (const auto& [user, password] : options_.users) {
    words.push_back("--user=" + user + ":" + password);
  }
  if (options_.acl) words.emplace_back("--acl");
  if (front_ != 0) {
    words.push_back("--set=advertised.listeners=PLAINTEXT://127.0.0.1:" + std::to_string(front_));
  }
  for (const std::string& line : options_.settings) words.push_back("--set=" + line);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const std::string said = folder_ / "said";
  process_ = fork();
  if (process_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int out = open(said.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(out, 1);
    dup2(out, 2);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  const auto end = steady_clock::now() + std::chrono::seconds(90);
  while (steady_clock::now() < end) {
    if (waitpid(process_, nullptr, WNOHANG) == process_) {
      process_ = -1;
      return false;
    }
    // It listens long before it serves: it serves when it says that there is a broker, itself.
    try {
      const Owned<rd_kafka_t> client =
          Open(RD_KAFKA_PRODUCER, plain(), {{"reconnect.backoff.max.ms", "100"}});
      const rd_kafka_metadata_t* metadata = nullptr;
      if (rd_kafka_metadata(client.get(), 0, nullptr, &metadata, 2'000) ==
          RD_KAFKA_RESP_ERR_NO_ERROR) {
        const Owned<const rd_kafka_metadata_t> owned(metadata);
        if (metadata->broker_cnt > 0) return true;
      }
    } catch (const std::runtime_error&) {
      Kill();
      return false;
    }
    std::this_thread::sleep_for(milliseconds(50));
  }
  Kill();
  return false;
}

// ---- KafkaPeek ----------------------------------------------------------------------------------

KafkaPeek::KafkaPeek(std::string brokers, Settings settings, int patience_ms)
    : brokers_(std::move(brokers)), settings_(std::move(settings)), patience_ms_(patience_ms) {}

void KafkaPeek::CreateTopic(const std::string& topic, int partitions) const {
  const auto client = Open(RD_KAFKA_PRODUCER, brokers_, settings_);
  const Owned<rd_kafka_queue_t> queue(rd_kafka_queue_new(client.get()));
  char why[256] = "";
  rd_kafka_NewTopic_t* fresh = rd_kafka_NewTopic_new(topic.c_str(), partitions, 1, why, sizeof why);
  if (fresh == nullptr) throw std::runtime_error("Kafka: " + topic + ": " + why);
  rd_kafka_CreateTopics(client.get(), &fresh, 1, nullptr, queue.get());
  rd_kafka_NewTopic_destroy(fresh);
  const auto event = Answer(queue.get(), patience_ms_, "creating " + topic);
  std::size_t count = 0;
  const rd_kafka_topic_result_t** const results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
  const rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[0]);
  if (code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) Must(code, "creating " + topic);
  // The answer may be there before the broker serves the topic.
  const auto end = steady_clock::now() + milliseconds(patience_ms_);
  while (Partitions(topic) < partitions) {
    if (steady_clock::now() > end) Fail("creating " + topic, RD_KAFKA_RESP_ERR__TIMED_OUT);
    std::this_thread::sleep_for(milliseconds(20));
  }
}

void KafkaPeek::DeleteTopic(const std::string& topic) const {
  const auto client = Open(RD_KAFKA_PRODUCER, brokers_, settings_);
  const Owned<rd_kafka_queue_t> queue(rd_kafka_queue_new(client.get()));
  rd_kafka_DeleteTopic_t* old = rd_kafka_DeleteTopic_new(topic.c_str());
  rd_kafka_DeleteTopics(client.get(), &old, 1, nullptr, queue.get());
  rd_kafka_DeleteTopic_destroy(old);
  const auto event = Answer(queue.get(), patience_ms_, "deleting " + topic);
  std::size_t count = 0;
  const rd_kafka_topic_result_t** const results =
      rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event.get()), &count);
  Must(rd_kafka_topic_result_error(results[0]), "deleting " + topic);
}

void KafkaPeek::Authorize(const std::string& user, bool allowed) const {
  const auto client = Open(RD_KAFKA_PRODUCER, brokers_, settings_);
  const Owned<rd_kafka_queue_t> queue(rd_kafka_queue_new(client.get()));
  const std::string principal = "User:" + user;
  char why[256] = "";
  for (const rd_kafka_ResourceType_t kind : {RD_KAFKA_RESOURCE_TOPIC, RD_KAFKA_RESOURCE_GROUP}) {
    if (allowed) {
      rd_kafka_AclBinding_t* acl = rd_kafka_AclBinding_new(
          kind, "*", RD_KAFKA_RESOURCE_PATTERN_LITERAL, principal.c_str(), "*",
          RD_KAFKA_ACL_OPERATION_ALL, RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, why, sizeof why);
      rd_kafka_CreateAcls(client.get(), &acl, 1, nullptr, queue.get());
      rd_kafka_AclBinding_destroy(acl);
      const auto event = Answer(queue.get(), patience_ms_, "allowing " + user);
      std::size_t count = 0;
      const rd_kafka_acl_result_t** const results =
          rd_kafka_CreateAcls_result_acls(rd_kafka_event_CreateAcls_result(event.get()), &count);
      if (const rd_kafka_error_t* error = rd_kafka_acl_result_error(results[0])) {
        Fail("allowing " + user, rd_kafka_error_code(error));
      }
    } else {
      rd_kafka_AclBindingFilter_t* filter = rd_kafka_AclBindingFilter_new(
          kind, nullptr, RD_KAFKA_RESOURCE_PATTERN_ANY, principal.c_str(), nullptr,
          RD_KAFKA_ACL_OPERATION_ANY, RD_KAFKA_ACL_PERMISSION_TYPE_ANY, why, sizeof why);
      rd_kafka_DeleteAcls(client.get(), &filter, 1, nullptr, queue.get());
      rd_kafka_AclBinding_destroy(filter);
      (void)Answer(queue.get(), patience_ms_, "forbidding " + user);
    }
  }
}

int KafkaPeek::Partitions(const std::string& topic) const {
  // A consumer, because to ask as a producer makes the topic where topics are made by themselves.
  Settings settings = settings_;
  settings["group.id"] = "peek";
  settings["allow.auto.create.topics"] = "false";
  const auto client = Open(RD_KAFKA_CONSUMER, brokers_, settings);
  const rd_kafka_metadata_t* metadata = nullptr;
  Must(rd_kafka_metadata(client.get(), 1, nullptr, &metadata, patience_ms_), "metadata");
  const Owned<const rd_kafka_metadata_t> owned(metadata);
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    if (topic == metadata->topics[i].topic) return metadata->topics[i].partition_cnt;
  }
  return 0;
}

bool KafkaPeek::HasTopic(const std::string& topic) const { return Partitions(topic) > 0; }

std::vector<std::int64_t> KafkaPeek::Ends(const std::string& topic) const {
  const int partitions = Partitions(topic);
  Settings settings = settings_;
  settings["group.id"] = "peek";
  const auto client = Open(RD_KAFKA_CONSUMER, brokers_, settings);
  std::vector<std::int64_t> ends;
  for (int i = 0; i < partitions; ++i) {
    std::int64_t low = 0;
    std::int64_t high = 0;
    Must(
        rd_kafka_query_watermark_offsets(client.get(), topic.c_str(), i, &low, &high, patience_ms_),
        "the end of " + topic);
    ends.push_back(high);
  }
  return ends;
}

std::int64_t KafkaPeek::Records(const std::string& topic) const {
  std::int64_t sum = 0;
  for (const std::int64_t end : Ends(topic)) sum += end;
  return sum;
}

std::vector<std::int64_t> KafkaPeek::Committed(const std::string& group,
                                               const std::string& topic) const {
  const int partitions = Partitions(topic);
  Settings settings = settings_;
  settings["group.id"] = group;
  const auto client = Open(RD_KAFKA_CONSUMER, brokers_, settings);
  const Owned<rd_kafka_topic_partition_list_t> list(rd_kafka_topic_partition_list_new(partitions));
  for (int i = 0; i < partitions; ++i) {
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), i);
  }
  Must(rd_kafka_committed(client.get(), list.get(), patience_ms_), "what " + group + " committed");
  std::vector<std::int64_t> offsets;
  for (int i = 0; i < partitions; ++i) offsets.push_back(list->elems[i].offset);
  return offsets;
}

std::int64_t KafkaPeek::Lag(const std::string& group, const std::string& topic) const {
  const std::vector<std::int64_t> ends = Ends(topic);
  const std::vector<std::int64_t> committed = Committed(group, topic);
  std::int64_t lag = 0;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    lag += ends[i] - (committed[i] < 0 ? 0 : committed[i]);
  }
  return lag;
}

std::vector<PeekedRecord> KafkaPeek::Read(const std::string& topic, bool committed_only) const {
  const std::vector<std::int64_t> ends = Ends(topic);
  Settings settings = settings_;
  settings["group.id"] = "peek";
  settings["enable.auto.commit"] = "false";
  settings["auto.offset.reset"] = "earliest";
  // The end is reached where the last record is one that is not shown, too.
  settings["enable.partition.eof"] = "true";
  settings["isolation.level"] = committed_only ? "read_committed" : "read_uncommitted";
  settings["fetch.wait.max.ms"] = "10";
  const auto client = Open(RD_KAFKA_CONSUMER, brokers_, settings);
  rd_kafka_poll_set_consumer(client.get());
  const Owned<rd_kafka_topic_partition_list_t> list(
      rd_kafka_topic_partition_list_new(static_cast<int>(ends.size())));
  std::size_t open = 0;
  std::vector<bool> done(ends.size(), true);
  for (std::size_t i = 0; i < ends.size(); ++i) {
    if (ends[i] == 0) continue;
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), static_cast<std::int32_t>(i))
        ->offset = RD_KAFKA_OFFSET_BEGINNING;
    done[i] = false;
    ++open;
  }
  Must(rd_kafka_assign(client.get(), list.get()), "reading " + topic);
  std::vector<PeekedRecord> records;
  const auto end = steady_clock::now() + milliseconds(patience_ms_);
  while (open > 0) {
    if (steady_clock::now() > end) Fail("reading " + topic, RD_KAFKA_RESP_ERR__TIMED_OUT);
    const Owned<rd_kafka_message_t> message(rd_kafka_consumer_poll(client.get(), 100));
    if (message == nullptr) continue;
    const auto at = static_cast<std::size_t>(message->partition);
    bool last = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      PeekedRecord record;
      record.partition = message->partition;
      record.offset = message->offset;
      record.key.assign(static_cast<const char*>(message->key), message->key_len);
      record.value.assign(static_cast<const char*>(message->payload), message->len);
      rd_kafka_headers_t* headers = nullptr;
      if (rd_kafka_message_headers(message.get(), &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        const char* name = nullptr;
        const void* value = nullptr;
        std::size_t size = 0;
        for (std::size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) ==
                                RD_KAFKA_RESP_ERR_NO_ERROR;
             ++i) {
          record.headers[name] = std::string(static_cast<const char*>(value), size);
        }
      }
      last = record.offset + 1 >= ends[at];
      records.push_back(std::move(record));
    }
    if (last && at < done.size() && !done[at]) {
      done[at] = true;
      --open;
    }
  }
  return records;
}

namespace {

void Put(rd_kafka_t* client, const std::string& topic,
         const std::vector<std::pair<std::string, std::string>>& records) {
  for (const auto& [key, value] : records) {
    Must(rd_kafka_producev(client, RD_KAFKA_V_TOPIC(topic.c_str()),
                           RD_KAFKA_V_KEY(key.data(), key.size()),
                           RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
                           RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
         "writing " + topic);
  }
}

void MustNot(rd_kafka_error_t* error, const std::string& what) {
  if (error == nullptr) return;
  const rd_kafka_resp_err_t code = rd_kafka_error_code(error);
  rd_kafka_error_destroy(error);
  Fail(what, code);
}

}  // namespace

void KafkaPeek::Write(const std::string& topic,
                      const std::vector<std::pair<std::string, std::string>>& records) const {
  Settings settings = settings_;
  settings["enable.idempotence"] = "true";
  settings["linger.ms"] = "1";
  settings["message.timeout.ms"] = std::to_string(patience_ms_);
  settings["queue.buffering.max.messages"] = "1000000";
  int failed = 0;
  const auto client = Open(RD_KAFKA_PRODUCER, brokers_, settings, &failed);
  Put(client.get(), topic, records);
  Must(rd_kafka_flush(client.get(), patience_ms_), "writing " + topic);
  if (failed > 0) {
    throw std::runtime_error("Kafka: writing " + topic + ": " + std::to_string(failed) +
                             " records were not stored");
  }
}

void KafkaPeek::WriteTransaction(const std::string& topic, const std::string& transactional_id,
                                 const std::vector<std::pair<std::string, std::string>>& records,
                                 bool commit) const {
  Settings settings = settings_;
  settings["transactional.id"] = transactional_id;
  const auto client = Open(RD_KAFKA_PRODUCER, brokers_, settings);
  MustNot(rd_kafka_init_transactions(client.get(), patience_ms_), "init_transactions");
  MustNot(rd_kafka_begin_transaction(client.get()), "begin_transaction");
  Put(client.get(), topic, records);
  // Before it is aborted: what has not been sent yet would never be in the log.
  Must(rd_kafka_flush(client.get(), patience_ms_), "writing " + topic);
  MustNot(commit ? rd_kafka_commit_transaction(client.get(), patience_ms_)
                 : rd_kafka_abort_transaction(client.get(), patience_ms_),
          commit ? "commit_transaction" : "abort_transaction");
}

}  // namespace rookery::testing
