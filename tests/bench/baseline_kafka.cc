// The baselines of "kafka": librdkafka alone, as its introduction says that an at-least-once worker
// and an idempotent producer are written.
//
//   baseline_kafka --mode=fill --brokers=127.0.0.1:9092 --topic=bench.said --count=100000 --keys=4
//   baseline_kafka --mode=consume ... --group=bare [--handler_ms=1] [--headers=1]
//   baseline_kafka --mode=produce ... --outstanding=16 --linger_ms=0
//
// `consume`: a loop that polls, parses the event and stores its offset, which is committed in the
// background. With a handler that takes time: a thread for each key, and of each partition the
// offset up to which all is done. With headers=1 it looks at each record's headers, as one has to
// that reads CloudEvents: an event's id and the format of its data are there. `produce`: each
// delivery report sends the next record.
#include <librdkafka/rdkafka.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench.pb.h"
#include "drain_meter.h"
#include "flags.h"

namespace rookery::bench {
namespace {

using Settings = std::vector<std::pair<std::string, std::string>>;

[[noreturn]] void Die(const char* what, const char* why) {
  std::fprintf(stderr, "%s: %s\n", what, why);
  std::exit(1);
}

void Must(rd_kafka_resp_err_t code, const char* what) {
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) Die(what, rd_kafka_err2str(code));
}

rd_kafka_conf_t* Configure(const Flags& flags, const Settings& settings) {
  char why[256] = "";
  rd_kafka_conf_t* const conf = rd_kafka_conf_new();
  const auto set = [&](const std::string& name, const std::string& value) {
    if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), why, sizeof why) != RD_KAFKA_CONF_OK) {
      Die(name.c_str(), why);
    }
  };
  set("bootstrap.servers", std::string(flags.Text("brokers", "")));
  for (const auto& [name, value] : settings) set(name, value);
  return conf;
}

rd_kafka_t* Open(rd_kafka_type_t type, rd_kafka_conf_t* conf) {
  char why[256] = "";
  rd_kafka_t* const client = rd_kafka_new(type, conf, why, sizeof why);
  if (client == nullptr) Die("rd_kafka_new", why);
  return client;
}

std::string Event() {
  EchoRequest event;
  event.set_text(std::string(64, 'x'));
  return event.SerializeAsString();
}

// ---- fill ---------------------------------------------------------------------------------------

// Events as Rookery's clients send them, of `keys` keys in turn.
int Fill(const Flags& flags) {
  const std::string topic(flags.Text("topic", ""));
  const int keys = flags.Int("keys", 1);
  // The mock brokers keep 5 MiB of a partition, and answer a fetch with one batch of it.
  rd_kafka_t* const client =
      Open(RD_KAFKA_PRODUCER, Configure(flags, {{"linger.ms", "20"},
                                                {"compression.codec", "lz4"},
                                                {"batch.num.messages", "2000"},
                                                {"queue.buffering.max.messages", "1000000"}}));
  const std::string body = Event();
  for (int i = 0; i < flags.Int("count", 0); ++i) {
    const std::string key = "key-" + std::to_string(i % keys);
    const std::string id = "bench-" + std::to_string(i);
    Must(
        rd_kafka_producev(
            client, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_KEY(key.data(), key.size()),
            RD_KAFKA_V_VALUE(const_cast<char*>(body.data()), body.size()),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_HEADER("ce_specversion", "1.0", 3),
            RD_KAFKA_V_HEADER("ce_id", id.data(), static_cast<ssize_t>(id.size())),
            RD_KAFKA_V_HEADER("ce_source", "bench", 5),
            RD_KAFKA_V_HEADER("ce_type", topic.data(), static_cast<ssize_t>(topic.size())),
            RD_KAFKA_V_HEADER("ce_time", "2026-01-01T00:00:00.000000Z", 27),
            RD_KAFKA_V_HEADER("content-type", "application/protobuf", 20), RD_KAFKA_V_END),
        "produce");
  }
  Must(rd_kafka_flush(client, 60'000), "flush");
  rd_kafka_destroy(client);
  return 0;
}

// ---- consume ------------------------------------------------------------------------------------

struct Destroy {
  void operator()(rd_kafka_message_t* message) const { rd_kafka_message_destroy(message); }
};
using Message = std::unique_ptr<rd_kafka_message_t, Destroy>;

void Parse(const rd_kafka_message_t& message) {
  EchoRequest request;
  if (!request.ParseFromArray(message.payload, static_cast<int>(message.len))) {
    Die("parse", "not an event");
  }
}

// Of one partition.
class Progress final {
 public:
  void Begin(std::int64_t offset) { open_.insert(open_.end(), offset); }
  // The last offset up to which all is done; -1: nothing new.
  std::int64_t End(std::int64_t offset) {
    latest_ = std::max(latest_, offset);
    const bool oldest = *open_.begin() == offset;
    open_.erase(offset);
    if (!oldest) return -1;
    return open_.empty() ? latest_ : *open_.begin() - 1;
  }

 private:
  std::set<std::int64_t> open_;
  std::int64_t latest_ = -1;
};

// Finds the event's id and the format of its data.
void ReadHeaders(const rd_kafka_message_t& message) {
  rd_kafka_headers_t* headers = nullptr;
  const void* id = nullptr;
  const void* type = nullptr;
  std::size_t size = 0;
  if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR ||
      rd_kafka_header_get_last(headers, "ce_id", &id, &size) != RD_KAFKA_RESP_ERR_NO_ERROR ||
      rd_kafka_header_get_last(headers, "content-type", &type, &size) !=
          RD_KAFKA_RESP_ERR_NO_ERROR) {
    Die("headers", "not an event");
  }
}

// A thread for each key.
class Pool final {
 public:
  Pool(int threads, std::chrono::milliseconds handler, DrainMeter* meter)
      : handler_(handler), meter_(*meter), lanes_(static_cast<std::size_t>(threads)) {
    for (Lane& lane : lanes_) {
      lane.thread = std::thread([this, &lane] { Run(&lane); });
    }
  }
  ~Pool() {
    for (Lane& lane : lanes_) {
      {
        const std::lock_guard lock(lane.mutex);
        lane.closed = true;
      }
      lane.changed.notify_one();
      lane.thread.join();
    }
  }
  void Add(Message message) {
    // "key-7"
    const int key = std::atoi(static_cast<const char*>(message->key) + 4);
    Lane& lane = lanes_[static_cast<std::size_t>(key) % lanes_.size()];
    {
      const std::lock_guard lock(mutex_);
      progress_[message->partition].Begin(message->offset);
    }
    {
      const std::lock_guard lock(lane.mutex);
      lane.waiting.push_back(std::move(message));
    }
    lane.changed.notify_one();
  }

 private:
  struct Lane {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Message> waiting;
    bool closed = false;
    std::thread thread;
  };
  void Run(Lane* lane) {
    for (;;) {
      Message message;
      {
        std::unique_lock lock(lane->mutex);
        lane->changed.wait(lock, [&] { return lane->closed || !lane->waiting.empty(); });
        if (lane->waiting.empty()) return;
        message = std::move(lane->waiting.front());
        lane->waiting.pop_front();
      }
      Parse(*message);
      std::this_thread::sleep_for(handler_);
      {
        const std::lock_guard lock(mutex_);
        const std::int64_t done = progress_[message->partition].End(message->offset);
        if (done >= 0) {
          Must(rd_kafka_offset_store(message->rkt, message->partition, done), "store");
        }
      }
      meter_.Count();
    }
  }

  const std::chrono::milliseconds handler_;
  DrainMeter& meter_;
  std::mutex mutex_;
  std::map<std::int32_t, Progress> progress_;
  std::vector<Lane> lanes_;
};

int Consume(const Flags& flags) {
  const int count = flags.Int("count", 0);
  const int handler_ms = flags.Int("handler_ms", 0);
  const bool headers = flags.Int("headers", 0) != 0;
  rd_kafka_t* const client =
      Open(RD_KAFKA_CONSUMER,
           Configure(flags, {{"group.id", std::string(flags.Text("group", ""))},
                             {"enable.auto.offset.store", "false"},
                             {"auto.offset.reset", "earliest"},
                             {"fetch.wait.max.ms", "10"},
                             {"auto.commit.interval.ms", "1000"},
                             {"partition.assignment.strategy", "cooperative-sticky"}}));
  rd_kafka_poll_set_consumer(client);
  rd_kafka_topic_partition_list_t* const topics = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(topics, std::string(flags.Text("topic", "")).c_str(),
                                    RD_KAFKA_PARTITION_UA);
  Must(rd_kafka_subscribe(client, topics), "subscribe");
  rd_kafka_topic_partition_list_destroy(topics);
  DrainMeter meter(count);
  std::unique_ptr<Pool> pool;
  if (handler_ms > 0) {
    pool =
        std::make_unique<Pool>(flags.Int("keys", 1), std::chrono::milliseconds(handler_ms), &meter);
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  for (int taken = 0; taken < count;) {
    Message message(rd_kafka_consumer_poll(client, 100));
    if (message == nullptr || message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      if (std::chrono::steady_clock::now() > end) Die("consume", "nothing comes");
      continue;
    }
    ++taken;
    if (pool != nullptr) {
      pool->Add(std::move(message));
      continue;
    }
    if (headers) ReadHeaders(*message);
    Parse(*message);
    Must(rd_kafka_offset_store(message->rkt, message->partition, message->offset), "store");
    meter.Count();
  }
  const bool done = meter.WaitAndReport();
  pool.reset();
  rd_kafka_consumer_close(client);
  rd_kafka_destroy(client);
  return done ? 0 : 1;
}

// ---- produce ------------------------------------------------------------------------------------

class Producer final {
 public:
  explicit Producer(const Flags& flags)
      : topic_(flags.Text("topic", "")),
        count_(flags.Int("count", 0)),
        keys_(flags.Int("keys", 1)),
        body_(Event()),
        meter_(count_) {
    rd_kafka_conf_t* const conf = Configure(
        flags,
        {{"enable.idempotence", "true"}, {"linger.ms", std::to_string(flags.Int("linger_ms", 0))}});
    rd_kafka_conf_set_opaque(conf, this);
    rd_kafka_conf_set_dr_msg_cb(conf,
                                [](rd_kafka_t*, const rd_kafka_message_t* report, void* self) {
                                  static_cast<Producer*>(self)->OnReport(*report);
                                });
    client_ = Open(RD_KAFKA_PRODUCER, conf);
    handle_ = rd_kafka_topic_new(client_, topic_.c_str(), nullptr);
  }
  ~Producer() {
    rd_kafka_topic_destroy(handle_);
    rd_kafka_destroy(client_);
  }
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  int Run(int outstanding) {
    // The first waits for the connection, and counts for nothing but the start of the clock.
    Send(0);
    while (reported_ < 1) rd_kafka_poll(client_, 100);
    for (int i = 0; i < outstanding; ++i) Send(i % keys_);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (reported_ < count_) {
      rd_kafka_poll(client_, 100);
      if (std::chrono::steady_clock::now() > end) Die("produce", "too slow");
    }
    return meter_.WaitAndReport() ? 0 : 1;
  }

 private:
  void Send(int key) {
    if (sent_ == count_) return;
    ++sent_;
    const std::string name = "key-" + std::to_string(key);
    Must(rd_kafka_producev(
             client_, RD_KAFKA_V_RKT(handle_), RD_KAFKA_V_KEY(name.data(), name.size()),
             RD_KAFKA_V_VALUE(body_.data(), body_.size()), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
             RD_KAFKA_V_OPAQUE(reinterpret_cast<void*>(std::intptr_t{key})), RD_KAFKA_V_END),
         "produce");
  }
  void OnReport(const rd_kafka_message_t& report) {
    Must(report.err, "produce");
    meter_.Count();
    if (++reported_ > 1) Send(static_cast<int>(reinterpret_cast<std::intptr_t>(report._private)));
  }

  const std::string topic_;
  const int count_;
  const int keys_;
  std::string body_;
  DrainMeter meter_;
  rd_kafka_t* client_ = nullptr;
  rd_kafka_topic_t* handle_ = nullptr;
  int sent_ = 0;
  int reported_ = 0;
};

int Run(const Flags& flags) {
  const std::string_view mode = flags.Text("mode", "");
  if (mode == "fill") return Fill(flags);
  if (mode == "consume") return Consume(flags);
  if (mode == "produce") return Producer(flags).Run(flags.Int("outstanding", 1));
  std::fprintf(stderr, "--mode=fill, consume or produce\n");
  return 2;
}

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) {
  const rookery::bench::Flags flags(argc, argv);
  return rookery::bench::Run(flags);
}
