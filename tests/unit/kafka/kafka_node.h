// KafkaNode: an application that handles Echo's events and serves its calls over Kafka, and a
// Kafka user who has never heard of Rookery; for tests.
//
//   KafkaNode node(seen, brokers.Options());
//   KafkaStranger stranger(brokers.address());
//   stranger.Send("echo.said", "key", bytes, {{"ce_id", "7"}});
#ifndef ROOKERY_TESTS_UNIT_KAFKA_KAFKA_NODE_H_
#define ROOKERY_TESTS_UNIT_KAFKA_KAFKA_NODE_H_

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "echo.rookery.h"
#include "rookery/app/application.h"
#include "rookery/module/dynamic_module.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/platform/log.h"
#include "rookery/rpc/batch.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/sleep.h"
#include "rookery/transports/kafka.h"

namespace rookery::testing {

// Generous: a loaded machine under TSan is slow.
template <class F>
bool Eventually(F holds) {
  for (int i = 0; i < 6'000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

class KafkaSeen final {
 public:
  void Add(std::string what) {
    const std::scoped_lock lock(mutex_);
    all_.push_back(std::move(what));
  }
  std::vector<std::string> all() const {
    const std::scoped_lock lock(mutex_);
    return all_;
  }
  std::size_t size() const { return all().size(); }
  std::size_t Count(const std::string& what) const {
    const std::scoped_lock lock(mutex_);
    return static_cast<std::size_t>(std::count(all_.begin(), all_.end(), what));
  }
  Event gate;
  std::atomic<int> running{0};
  std::atomic<int> failures{0};  // of "commit": transactions that did not come to their end

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> all_;
};

inline EchoRequest Said(std::string text, std::string key = "") {
  EchoRequest request;
  request.set_text(std::move(text));
  request.set_secret(std::move(key));
  return request;
}

class KafkaHandlers final : public EchoService {
 public:
  explicit KafkaHandlers(KafkaSeen& seen) : seen_(seen) {}
  Task<void> OnSaid(CallContext& call, const EchoRequest& event) override {
    Delivery* const delivery = Delivery::Of(call);
    const int attempt = delivery == nullptr ? 0 : delivery->attempt();
    const KafkaRecordInfo* const record = KafkaRecordInfo::Of(call);
    const std::string text = record != nullptr && record->tombstone ? "tombstone" : event.text();
    seen_.Add(text + "#" + std::to_string(attempt));
    ++seen_.running;
    if (text.starts_with("gate")) co_await seen_.gate.Wait();
    if (text.starts_with("slow")) co_await Sleep(std::chrono::milliseconds(20));
    --seen_.running;
    if (text.starts_with("fail2") && attempt <= 2) {
      co_await Fail(absl::UnavailableError("not yet"));
    }
    if (text.starts_with("fail")) {
      if (!text.starts_with("fail2")) co_await Fail(absl::UnavailableError("never"));
    }
    if (text.ends_with("poison")) co_await Fail(absl::InvalidArgumentError("poison"));
    if (text.starts_with("bad")) co_await Fail(absl::InvalidArgumentError("bad for ever"));
    if (text.starts_with("produce")) {
      Task<void> produce = Produce(call, text);
      co_await std::move(produce);
    }
  }
  Task<void> Produce(CallContext& call, std::string text) {
    Task<KafkaTransaction> begin = KafkaTransaction::Begin(call);
    KafkaTransaction transaction = co_await std::move(begin);
    KafkaRecord record;
    record.topic = "made";
    record.value = text;
    transaction.Send(record);
    transaction.SendEvent("made.event", Said(text), "k");
    Task<void> commit = transaction.Commit();
    co_await std::move(commit);
    seen_.Add("committed " + text);
  }
  Task<void> OnKeyed(CallContext& call, const EchoRequest& event) { return OnSaid(call, event); }
  Task<void> OnBatch(CallContext&, const Batch<EchoRequest>& batch) {
    seen_.Add("batch of " + std::to_string(batch.size()));
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const KafkaRecordInfo* const record = KafkaRecordInfo::Of(*batch.delivery(i));
      if (record == nullptr || record->position.topic != "batch") seen_.Add("no record");
      if (batch.size() > 1 && batch[i].text() == "poison") {
        co_await Fail(absl::UnavailableError("one of us"));
      }
      if (batch[i].text() == "poison") co_await Fail(absl::InvalidArgumentError("it is me"));
    }
  }
  Task<EchoReply> Say(CallContext&, const EchoRequest& request) override {
    ++seen_.running;
    if (request.text() == "gate") co_await seen_.gate.Wait();
    --seen_.running;
    EchoReply reply;
    reply.set_text(request.text());
    co_return reply;
  }
  Task<EchoReply> SayAgain(CallContext& call, const EchoRequest& request) override {
    return Say(call, request);
  }
  Stream<EchoReply> Repeat(CallContext&, const EchoRequest& request) override {
    for (int i = 0; i < request.count(); ++i) {
      EchoReply reply;
      reply.set_index(i);
      co_yield std::move(reply);
    }
  }
  Task<EchoReply> Join(CallContext&, Stream<EchoRequest>) override { co_return EchoReply(); }
  Stream<EchoReply> Chat(CallContext&, Stream<EchoRequest>) override { co_return; }
  static void Configure(ControllerBuilder& controller) {
    DeliveryPolicy policy;
    policy.initial_backoff = std::chrono::milliseconds(5);
    policy.key_field = "secret";
    controller.Event("audit.>", &KafkaHandlers::OnKeyed);
    controller.Event("keyed", &KafkaHandlers::OnKeyed).Set(kDelivery, policy);
    policy.key_field = "";
    policy.batch_wait = std::chrono::milliseconds(200);
    controller.Event("batch", &KafkaHandlers::OnBatch).Set(kDelivery, policy);
  }

 private:
  KafkaSeen& seen_;
};

class KafkaNode final {
 public:
  KafkaNode(KafkaSeen& seen, const Kafka& options) : seen_(seen) {
    ApplicationOptions mine;
    mine.loop_threads = 1;
    mine.drain_grace = std::chrono::milliseconds(20'000);
    mine.log.sink = log_;
    mine.signals = {};
    struct KafkaModule {};
    DynamicModule module = DynamicModule::Of<KafkaModule>();
    module.ProvideValue(std::ref(seen_)).Controller<KafkaHandlers>();
    app_ = std::make_unique<Application>(Application::Create(std::move(module), std::move(mine)));
    group_ = options.group;
    app_->Listen(options);
    app_->Start();
  }
  ~KafkaNode() { Close(); }
  KafkaNode(const KafkaNode&) = delete;
  KafkaNode& operator=(const KafkaNode&) = delete;

  void Close() { app_->Close(); }
  Application& app() { return *app_; }
  WorkerSnapshot stats() {
    const StatsSnapshot stats = app_->Stats();
    const WorkerSnapshot* const worker = stats.FindWorker(group_);
    return worker == nullptr ? WorkerSnapshot() : *worker;
  }
  // The log's last words of trouble.
  std::string Why() const {
    std::string why;
    for (const std::string& line : log_->lines()) {
      if (line.find("WARN") != std::string::npos || line.find("ERROR") != std::string::npos) {
        why += line + "\n";
      }
    }
    return why;
  }
  bool Logged(std::string_view text) const { return log_->Contains(text); }

 private:
  KafkaSeen& seen_;
  const std::shared_ptr<CapturingSink> log_ = std::make_shared<CapturingSink>();
  std::string group_;
  std::unique_ptr<Application> app_;
};

class KafkaStranger final {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;
  struct Record {
    std::string key;
    std::optional<std::string> value;
    std::map<std::string, std::string> headers;
  };

  explicit KafkaStranger(std::string address) : address_(std::move(address)) {}
  ~KafkaStranger() {
    if (producer_ != nullptr) {
      rd_kafka_flush(producer_, 10'000);
      rd_kafka_destroy(producer_);
    }
  }
  KafkaStranger(const KafkaStranger&) = delete;
  KafkaStranger& operator=(const KafkaStranger&) = delete;

  // Returns when it is stored. Without a value: a tombstone.
  void Send(const std::string& topic, const std::string& key,
            const std::optional<std::string>& value, const Headers& headers = {},
            int partition = -1) {
    if (producer_ == nullptr) producer_ = New(RD_KAFKA_PRODUCER, {});
    rd_kafka_headers_t* all = rd_kafka_headers_new(headers.size() + 1);
    for (const auto& [name, text] : headers) {
      rd_kafka_header_add(all, name.c_str(), -1, text.data(), static_cast<ssize_t>(text.size()));
    }
    void* const bytes = value ? const_cast<char*>(value->data()) : nullptr;
    const std::size_t size = value ? value->size() : 0;
    rd_kafka_producev(producer_, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_PARTITION(partition),
                      RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                      RD_KAFKA_V_KEY(key.empty() ? nullptr : key.data(), key.size()),
                      RD_KAFKA_V_VALUE(bytes, size), RD_KAFKA_V_HEADERS(all), RD_KAFKA_V_END);
    rd_kafka_flush(producer_, 10'000);
  }
  // All records of a topic, waiting until there are `count`, or for 30 s.
  std::vector<Record> Read(const std::string& topic, std::size_t count, int partitions = 4) {
    rd_kafka_t* const consumer =
        New(RD_KAFKA_CONSUMER, {{"group.id", "stranger"}, {"fetch.wait.max.ms", "10"}});
    rd_kafka_topic_partition_list_t* const list = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; ++i) {
      rd_kafka_topic_partition_list_add(list, topic.c_str(), i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    }
    rd_kafka_assign(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    std::vector<Record> records;
    for (int i = 0; i < 300 && records.size() < count; ++i) {
      rd_kafka_message_t* const raw = rd_kafka_consumer_poll(consumer, 100);
      if (raw == nullptr) continue;
      if (raw->err == RD_KAFKA_RESP_ERR_NO_ERROR) records.push_back(Copy(raw));
      rd_kafka_message_destroy(raw);
    }
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    return records;
  }
  // What the group has committed, over all partitions of the topic; -1: nothing at all.
  std::int64_t Committed(const std::string& group, const std::string& topic, int partitions) {
    rd_kafka_t* const consumer = New(RD_KAFKA_CONSUMER, {{"group.id", group}});
    rd_kafka_topic_partition_list_t* const list = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; ++i) {
      rd_kafka_topic_partition_list_add(list, topic.c_str(), i);
    }
    std::int64_t sum = -1;
    if (rd_kafka_committed(consumer, list, 10'000) == RD_KAFKA_RESP_ERR_NO_ERROR) {
      for (int i = 0; i < partitions; ++i) {
        if (list->elems[i].offset >= 0)
          sum = std::max<std::int64_t>(sum, 0) + list->elems[i].offset;
      }
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(consumer);
    return sum;
  }

 private:
  static Record Copy(const rd_kafka_message_t* raw) {
    Record record;
    if (raw->key != nullptr) record.key.assign(static_cast<const char*>(raw->key), raw->key_len);
    if (raw->payload != nullptr) {
      record.value.emplace(static_cast<const char*>(raw->payload), raw->len);
    }
    rd_kafka_headers_t* headers = nullptr;
    if (rd_kafka_message_headers(raw, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return record;
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    for (std::size_t i = 0;
         rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
         ++i) {
      record.headers[name] = std::string(static_cast<const char*>(value), size);
    }
    return record;
  }
  rd_kafka_t* New(rd_kafka_type_t type, const std::map<std::string, std::string>& settings) {
    rd_kafka_conf_t* const conf = rd_kafka_conf_new();
    char why[256];
    rd_kafka_conf_set(conf, "bootstrap.servers", address_.c_str(), why, sizeof why);
    rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why);
    for (const auto& [name, value] : settings) {
      rd_kafka_conf_set(conf, name.c_str(), value.c_str(), why, sizeof why);
    }
    rd_kafka_t* const client = rd_kafka_new(type, conf, why, sizeof why);
    if (client == nullptr) std::abort();
    if (type == RD_KAFKA_CONSUMER) rd_kafka_poll_set_consumer(client);
    return client;
  }

  const std::string address_;
  rd_kafka_t* producer_ = nullptr;
};

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_UNIT_KAFKA_KAFKA_NODE_H_
