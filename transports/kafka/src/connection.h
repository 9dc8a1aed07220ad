// librdkafka's handles, queues and records on our loops, and the producer. Private.
#ifndef ROOKERY_TRANSPORTS_KAFKA_SRC_CONNECTION_H_
#define ROOKERY_TRANSPORTS_KAFKA_SRC_CONNECTION_H_

#include <librdkafka/rdkafka.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <forward_list>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "options.h"
#include "rookery/rpc/channel.h"
#include "rookery/rpc/wire.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/task.h"
#include "rookery/transports/kafka.h"

namespace rookery::kafka_adapter {

// Headers of requests and frames: see docs/wire.md.
inline constexpr std::string_view kMethodHeader = "rookery-method";
inline constexpr std::string_view kReplyIdHeader = "rookery-reply-id";
inline constexpr std::string_view kCorrelationHeader = "kafka_correlationId";
inline constexpr std::string_view kReplyTopicHeader = "kafka_replyTopic";
inline constexpr std::string_view kReplyPartitionHeader = "kafka_replyPartition";
// Headers of events that wait in a retry topic.
inline constexpr std::string_view kRetryTopicHeader = "rookery-retry-topic";
inline constexpr std::string_view kRetryAtHeader = "rookery-retry-at";
inline constexpr std::string_view kRetryAttemptsHeader = "rookery-retry-attempts";
// CloudEvents' attributes are "ce_id" in records, and "ce-id" to everybody here, as they are over
// other transports.
inline constexpr std::string_view kRecordEventPrefix = "ce_";
inline constexpr std::string_view kEventPrefix = "ce-";

struct QueueDeleter {
  void operator()(rd_kafka_queue_t* queue) const noexcept { rd_kafka_queue_destroy(queue); }
};
using QueuePtr = std::unique_ptr<rd_kafka_queue_t, QueueDeleter>;

// A client of librdkafka's. What came from it keeps it. Its end blocks until librdkafka's threads
// have ended, or for ten seconds: what has not ended then is left behind.
class Handle final {
 public:
  explicit Handle(rd_kafka_t* client) noexcept : client_(client) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle();
  [[nodiscard]] rd_kafka_t* get() const noexcept { return client_; }
  // For consumers, before partitions that they do not have are assigned to them: librdkafka 2.0.2
  // does not end while something is left in the queue of a partition that its topic, or our
  // authority for it, was lost of (its change 4724). One thread at a time.
  void WillRead(const rd_kafka_topic_partition_list_t* partitions);

 private:
  rd_kafka_t* const client_;
  std::map<std::pair<std::string, std::int32_t>, QueuePtr> queues_;  // the last of each partition
};
[[nodiscard]] absl::StatusOr<std::shared_ptr<Handle>> OpenHandle(ConfPtr conf,
                                                                 rd_kafka_type_t type);

struct EventDeleter {
  void operator()(rd_kafka_event_t* event) const noexcept { rd_kafka_event_destroy(event); }
};
using EventPtr = std::unique_ptr<rd_kafka_event_t, EventDeleter>;
struct ListDeleter {
  void operator()(rd_kafka_topic_partition_list_t* list) const noexcept {
    rd_kafka_topic_partition_list_destroy(list);
  }
};
using ListPtr = std::unique_ptr<rd_kafka_topic_partition_list_t, ListDeleter>;
[[nodiscard]] inline ListPtr NewList(int size = 1) {
  return ListPtr(rd_kafka_topic_partition_list_new(size));
}
struct MessageDeleter {
  void operator()(rd_kafka_message_t* message) const noexcept { rd_kafka_message_destroy(message); }
};
using RawMessage = std::unique_ptr<rd_kafka_message_t, MessageDeleter>;

// Calls a function on the loop when there is something in a queue that was empty. Used on the loop.
class QueueWatch final {
 public:
  QueueWatch(Loop& loop, std::function<void()> on_ready);
  QueueWatch(const QueueWatch&) = delete;
  QueueWatch& operator=(const QueueWatch&) = delete;
  ~QueueWatch();  // Stop() has been called

  void Start(rd_kafka_queue_t* queue);
  // Nothing is called after that.
  void Stop() noexcept;

 private:
  struct Wait final : FdWait {
    explicit Wait(QueueWatch* watch) noexcept
        : FdWait([](FdWait* self, bool ready) noexcept {
            static_cast<Wait*>(self)->owner->OnFd(ready);
          }),
          owner(watch) {}
    QueueWatch* const owner;
  };
  void OnFd(bool ready) noexcept;

  Loop& loop_;
  const std::function<void()> on_ready_;
  rd_kafka_queue_t* queue_ = nullptr;
  int fd_ = -1;
  Wait wait_{this};
};

// Runs `act` on the loop and waits for it. Not on the loop.
template <class F>
void RunOn(Loop& loop, F act) noexcept {
  std::mutex mutex;
  std::condition_variable changed;
  bool over = false;
  loop.Post([&] {
    act();
    const std::scoped_lock lock(mutex);
    over = true;
    changed.notify_all();
  });
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return over; });
}

// What stands in a record beside what the engines see.
struct RecordInfo {
  std::optional<std::string_view> correlation;
  std::optional<std::string_view> method;
  std::optional<std::string_view> retry_topic;
  std::optional<std::string_view> retry_at;
  std::optional<std::string_view> retry_attempts;
  std::int64_t timestamp = -1;  // milliseconds since 1970; -1: none
  bool has_timeout = false;
  bool expired = false;  // its grpc-timeout has passed since it was written
};
// A record that has come, with what had to be written anew to read it as a message.
struct Record {
  RawMessage raw;
  std::string reply_to;
  std::forward_list<std::string> names;
};
// Fills the two with views of the record, which stays where it is.
void ReadRecord(Record* record, InboundMessage* message, RecordInfo* info);
// Takes the record over; `info` has views of it.
[[nodiscard]] InboundMessage ToInbound(const std::shared_ptr<Handle>& from, RawMessage raw,
                                       RecordInfo* info);

// A record to be sent; views.
struct OutRecord {
  std::string_view topic;
  std::int32_t partition = RD_KAFKA_PARTITION_UA;
  std::optional<std::string_view> key;
  std::optional<std::string_view> value;
  absl::InlinedVector<WireField, 12> headers;
  std::forward_list<std::string> kept;  // what of this had to be written anew

  [[nodiscard]] std::size_t bytes() const noexcept {
    std::size_t sum = topic.size() + (key ? key->size() : 0) + (value ? value->size() : 0);
    for (const WireField& each : headers) sum += each.name.size() + each.value.size();
    return sum + 128;
  }
};
[[nodiscard]] OutRecord ViewOf(const KafkaRecord& record);
// Hands a record to librdkafka, which copies it. `mine` comes back with the delivery report.
[[nodiscard]] rd_kafka_resp_err_t ProduceRaw(rd_kafka_t* client, const OutRecord& record,
                                             void* mine);

// "topic#partition/correlation" or "topic/correlation": an address to reply to.
struct ReplyAddress {
  std::string_view topic;
  std::int32_t partition = RD_KAFKA_PARTITION_UA;
  std::string_view correlation;
};
[[nodiscard]] std::optional<ReplyAddress> ParseReplyAddress(std::string_view address);
// The headers of a message as those of a record.
void AddHeaders(const OutboundMessage& message, OutRecord* record);
// The frame, reply or request of an engine as a record, which borrows from it.
void FillRecord(const OutboundMessage& message, OutRecord* record);

// Sends records. Thread-safe; delivery reports come on `loop`.
class Producer final : public std::enable_shared_from_this<Producer> {
 public:
  using Done = std::function<void(const absl::Status&, KafkaPosition)>;

  // `keep` lives as long as the producer.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<Producer>> Open(
      const Kafka& options, Loop& loop, std::shared_ptr<LoopPool> keep = nullptr);
  Producer(Kafka options, Loop& loop, std::shared_ptr<LoopPool> keep);  // use Open
  ~Producer();

  // At once, whatever is under way. `done`, if there is one, on the loop; not if this fails.
  [[nodiscard]] absl::Status Produce(const OutRecord& record, Done done);
  // Waits for its turn, and until the record is stored. `record` outlives the task.
  [[nodiscard]] Task<KafkaPosition> Send(const OutRecord& record);
  [[nodiscard]] Task<void> Flush();
  // Waits, not on the loop.
  bool FlushBlocking(std::chrono::milliseconds timeout) noexcept;
  // Gives up what is under way, and ends. Not on the loop. Idempotent.
  void Close() noexcept;

  [[nodiscard]] std::size_t pending() const noexcept { return pending_.load(); }
  [[nodiscard]] ConnectionState state() const noexcept { return state_.load(); }
  // For requests about topics; null when closed.
  [[nodiscard]] std::shared_ptr<Handle> handle() const;
  [[nodiscard]] Loop& loop() noexcept { return loop_; }
  [[nodiscard]] const Kafka& options() const noexcept { return options_; }

 private:
  struct Pending {
    Producer* producer;
    std::size_t bytes;
    Done done;
  };
  // A client, and the watch on its queue.
  struct Line {
    std::shared_ptr<Handle> handle;
    QueuePtr queue;
    std::unique_ptr<QueueWatch> watch;
  };
  struct Waiter {
    Event event;
    std::size_t bytes = 0;
    bool granted = false;
  };
  class Turn;

  [[nodiscard]] absl::StatusOr<std::shared_ptr<Line>> NewLine();
  void Watch(const std::shared_ptr<Line>& line);
  static void OnDelivery(rd_kafka_t* client, const rd_kafka_message_t* message, void* opaque);
  static void OnError(rd_kafka_t* client, int error, const char* reason, void* opaque);
  static int OnStats(rd_kafka_t* client, char* json, std::size_t length, void* opaque);
  void OnReady();
  void Renew();
  void Delivered(std::size_t bytes);
  // With the mutex held.
  [[nodiscard]] bool Fits(std::size_t bytes) const noexcept;
  void Grant();

  const Kafka options_;
  Loop& loop_;
  const std::shared_ptr<LoopPool> keep_;
  mutable std::mutex mutex_;
  std::shared_ptr<Line> line_;              // guarded by mutex_, as is all below
  std::vector<std::shared_ptr<Line>> old_;  // on the loop
  std::deque<std::shared_ptr<Waiter>> waiters_;
  std::size_t reserved_ = 0;  // records, and bytes, that were let in and are not over
  std::size_t reserved_bytes_ = 0;
  std::deque<std::shared_ptr<Event>> flushers_;
  bool closed_ = false;
  std::atomic<std::size_t> pending_{0};
  std::atomic<bool> fatal_{false};
  std::atomic<ConnectionState> state_{ConnectionState::kConnecting};
};

// Whether a broker is connected, by librdkafka's statistics.
[[nodiscard]] bool AnyBrokerUp(std::string_view json) noexcept;

// The topics are there, with so many partitions (topic -> count); those that are not are made if
// `create`. Blocks until `give_up`.
[[nodiscard]] absl::StatusOr<std::map<std::string, int>> EnsureTopics(
    rd_kafka_t* client, const Kafka& options, const std::vector<std::string>& topics, bool create,
    int partitions, const std::map<std::string, std::string>& config, Deadline give_up,
    bool* made_here = nullptr);
void DeleteTopic(rd_kafka_t* client, const std::string& topic,
                 std::chrono::milliseconds timeout) noexcept;

// Reads topics that nobody shares: replies, frames, cancellations. Records come on the loop.
class Inbox final : public std::enable_shared_from_this<Inbox> {
 public:
  using OnRecord =
      std::function<void(std::string_view topic, const RecordInfo& info, InboundMessage message)>;
  Inbox(Kafka options, Loop& loop, OnRecord on_record);
  ~Inbox();

  // Makes our own topic, and reads it and `others`, these from now on. Blocks; not on the loop.
  [[nodiscard]] absl::Status Open(const std::shared_ptr<Handle>& producer,
                                  const std::vector<std::string>& others, Deadline give_up);
  // Nothing comes after that. Not on the loop.
  void Close() noexcept;

  // "TOPIC/INSTANCE.ID": where an answer with this id comes in.
  [[nodiscard]] std::string AddressOf(std::uint64_t id) const;
  // The id, if the correlation is of this instance.
  [[nodiscard]] std::optional<std::uint64_t> IdOf(std::string_view correlation) const noexcept;
  [[nodiscard]] const std::string& topic() const noexcept { return topic_; }
  [[nodiscard]] bool is_open() const noexcept { return open_.load(); }

 private:
  void Poll();

  const Kafka options_;
  Loop& loop_;
  const OnRecord on_record_;
  const std::string instance_;
  const bool own_topic_;
  const std::string topic_;
  std::shared_ptr<Handle> handle_;
  std::shared_ptr<Handle> producer_;
  QueuePtr queue_;
  std::unique_ptr<QueueWatch> watch_;
  std::atomic<bool> open_{false};
  bool made_ = false;  // our own topic, by our own request
};

}  // namespace rookery::kafka_adapter

#endif  // ROOKERY_TRANSPORTS_KAFKA_SRC_CONNECTION_H_
