// Kafka: events and calls over Kafka, both to handle them and to make them.
//
//   app.Listen(rookery::Kafka{.brokers = "localhost:9092", .group = "ledger"});
//   rookery::Client<bank::v1::LedgerClient>(rookery::Kafka{.brokers = "localhost:9092"});
//
//   co_await ledger.OnPaid(event);        // returns when the brokers have stored it
//
// Events are handled at least once by the members of a consumer group; docs/workers.md says what
// handlers may do, docs/kafka.md what exactly is promised, docs/wire.md what is in the records.
// Calls (unary and streams) go by request and reply topics. Nothing of librdkafka's headers is
// needed to use it.
#ifndef ROOKERY_TRANSPORTS_KAFKA_H_
#define ROOKERY_TRANSPORTS_KAFKA_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/rpc/call_context.h"
#include "rookery/rpc/worker.h"
#include "rookery/runtime/task.h"

namespace google::protobuf {
class Message;
}

namespace rookery {

class Channel;
class ServerTransport;
class TransportHost;

// TLS towards the brokers. Each of certificate, key and ca is PEM text or a file.
struct KafkaTls {
  // Who we are; needed if the brokers verify their clients.
  std::string certificate = {};
  std::string certificate_file = {};
  std::string key = {};
  std::string key_file = {};
  std::string key_password = {};
  // Whom we trust; empty: the system's.
  std::string ca = {};
  std::string ca_file = {};
  // The broker's certificate must carry the name that it was reached under. False is for tests
  // alone, and said in the log.
  bool verify_host = true;
};

// How we say who we are.
enum class KafkaSasl : std::uint8_t { kNone, kPlain, kScramSha256, kScramSha512 };

enum class KafkaCompression : std::uint8_t { kNone, kGzip, kSnappy, kLz4, kZstd };

// What happens at start to topics that are needed: those of events, requests, retries, dead letters
// and replies.
enum class KafkaTopics : std::uint8_t {
  kCheck,   // they must be there; Start() fails and names those that are not
  kCreate,  // those that are not there are made
};

// How partitions are shared out in the group. All members of a group must agree.
enum class KafkaAssignor : std::uint8_t { kCooperativeSticky, kRange, kRoundRobin };

// Where reading begins.
enum class KafkaStart : std::uint8_t {
  kCommitted,       // where the group left off; what it has never read: from the beginning
  kCommittedOrEnd,  // the same; what it has never read: with what comes from now on
  kBeginning,       // at each start of this process again: at the oldest record there is
  kEnd,             // at each start of this process: with what comes from now on
  kTime,  // at each start of this process: with the first record not before Kafka::start_time
};

// Which events are handled side by side.
enum class KafkaOrder : std::uint8_t {
  kKey,        // one key's one after the other; those without a key by their partition
  kPartition,  // one partition's one after the other
  kNone,       // in no order
};

// What becomes of a record without a value, by which compacted topics say that a key is gone.
enum class KafkaTombstone : std::uint8_t {
  kDeadLetter,
  kSkip,     // settled; nobody hears of it
  kDeliver,  // handled as an empty event; KafkaRecordInfo::Of(call)->tombstone says what it is
};

// What a producer does that has too much under way.
enum class KafkaWhenFull : std::uint8_t {
  kWait,  // the caller waits its turn, until its deadline
  kFail,  // RESOURCE_EXHAUSTED at once
};

// A partition that is read without a group's assignment.
struct KafkaPartition {
  std::string topic = {};  // as it is called at the brokers, with the prefix
  std::int32_t partition = 0;
  // The offset to begin with, at each start of this process; none: as Kafka::start says.
  std::optional<std::int64_t> offset = {};
};

// Options of a listener (app.Listen), of a client (Client<X>, MakeChannel) and of a KafkaProducer.
// What belongs to one of them says so, and is ignored by the others. A value; wrong ones are
// reported all at once, by CheckKafkaOptions and by whatever is made from them.
struct Kafka {
  // One or more, separated by commas: "a:9092,b:9092". The others are found through these.
  std::string brokers = "localhost:9092";
  // Listener: the consumer group. Instances of one group share the work; each group gets all
  // events. Empty: the program's name.
  std::string group = {};
  // In front of the names of all topics: "staging." makes payments.received
  // staging.payments.received. All sides.
  std::string prefix = {};
  // Listener and client: one topic for all requests, instead of one for each service; requests for
  // methods that the listener does not have are answered UNIMPLEMENTED. The same on both sides.
  std::string request_topic = {};
  // The client's name at the brokers (client.id). Empty: the program's name.
  std::string name = {};

  // ---- security

  KafkaSasl sasl = KafkaSasl::kNone;
  std::string user = {};
  std::string password = {};
  // The password, in the first line of a file, instead.
  std::string password_file = {};
  // None: records and passwords travel in the clear. A password in the clear to a host that is not
  // this machine is warned about at each start; PLAIN with it is refused unless allow_plain_text.
  std::optional<KafkaTls> tls = {};
  bool allow_plain_text = false;

  // ---- topics

  KafkaTopics topics = KafkaTopics::kCreate;
  // Of topics that are made: -1 is what the brokers have as their default.
  int partitions = -1;
  int replication = -1;

  // ---- a listener

  // False: leaves the program's events, or its other methods, to other listeners.
  bool serve_events = true;
  bool serve_requests = true;
  // Which of the program's events; empty: all. Their topics, as in the proto, without the prefix.
  std::vector<std::string> events = {};
  // Consumers, each on a loop of its own: handlers run on that loop, so that one consumer keeps one
  // core busy.
  std::size_t consumers = 1;
  // Handlers of events that run at a time, and events held in all, of each consumer. One
  // partition has half of these at most if there are others, and is paused meanwhile.
  std::size_t concurrency = 64;
  std::size_t prefetch = 1'000;
  // How far a partition may be ahead of its oldest event that is not settled yet: what would be
  // handled again after a crash. Beyond it the partition is paused.
  std::size_t max_unsettled = 10'000;
  KafkaOrder order = KafkaOrder::kKey;
  KafkaTombstone tombstones = KafkaTombstone::kDeadLetter;
  KafkaStart start = KafkaStart::kCommitted;
  std::chrono::system_clock::time_point start_time = {};
  // Reads these, and joins no group: other instances are none of its business. Offsets are still
  // committed under `group`. Empty: the group's coordinator assigns.
  std::vector<KafkaPartition> assign = {};
  KafkaAssignor assignor = KafkaAssignor::kCooperativeSticky;
  // Static membership: a name of this instance that outlives its process ("ledger-0"), so that a
  // restart within session_timeout moves no partition. Not together with consumers > 1.
  std::string instance_id = {};
  std::chrono::milliseconds session_timeout{45'000};
  std::chrono::milliseconds heartbeat_interval{3'000};
  // Handlers may take as long as they like. This is how long the loop itself may be held, and the
  // rebalancing group waits for a member.
  std::chrono::milliseconds max_poll_interval{300'000};
  // When partitions go to another member: how long events of theirs that have begun may take; then
  // they are given up, unfinished, and the next owner handles them again.
  std::chrono::milliseconds rebalance_grace{10'000};
  // How often settled offsets are committed.
  std::chrono::milliseconds commit_interval{1'000};
  // Only what committed transactions have written.
  bool read_committed = true;
  // Where neither the method nor its proto says otherwise.
  DeliveryPolicy policy = {};
  std::size_t dedupe_window = 8'192;
  // Topics where failed events wait for another attempt instead of in the worker, one for each of
  // these delays: PREFIX + GROUP + ".retry.10s". An event goes to the first whose delay is not
  // shorter than the pause that its policy says. Those that are in an order (all, but with
  // KafkaOrder::kNone) go there only if their policy's retry_place is kBroker: others of their key
  // overtake them. Empty: events wait in the worker.
  std::vector<std::chrono::milliseconds> retry_topics = {};
  // Behind the topic's name: where its dead letters go.
  std::string dead_letter_suffix = ".DLT";
  // All of them to this topic instead; the prefix goes in front.
  std::string dead_letter_topic = {};
  // All handlers busy, and none has ended for so long: not ready. Zero: never.
  std::chrono::milliseconds stuck_after{300'000};
  // Requests without a deadline that are older than that when they are read are not served.
  std::chrono::milliseconds max_request_age{60'000};

  // ---- messages; both sides

  // Larger: a dead letter, or RESOURCE_EXHAUSTED for that call alone. The brokers' own limit
  // (message.max.bytes, 1 MiB unless configured) counts as well.
  std::size_t max_receive_bytes = std::size_t{4} << 20;
  std::size_t max_send_bytes = std::size_t{4} << 20;
  // Of all headers of an event or a request (key + value + 32 each).
  std::size_t max_metadata_bytes = std::size_t{8} << 10;
  std::size_t max_concurrent_calls = 16'384;
  // How far the sender of a stream may be ahead of its reader, in bytes.
  std::size_t window_bytes = std::size_t{1} << 20;
  // Listener: what has no content-type is JSON. Client: sends JSON, and is answered in JSON.
  bool json = false;

  // ---- whatever is sent: events, requests, replies, dead letters

  // Exactly once in the log and in order, by sequence numbers; acks=all in any case. False for
  // brokers that cannot.
  bool idempotent = true;
  // How long a record may wait for others to share its request with. Zero for calls.
  std::chrono::milliseconds linger{0};
  KafkaCompression compression = KafkaCompression::kNone;
  // How long a record may be under way, with all repetitions, until it has failed.
  std::chrono::milliseconds delivery_timeout{30'000};
  // Records and bytes under way.
  std::size_t max_pending = 10'000;
  std::size_t max_pending_bytes = std::size_t{64} << 20;
  KafkaWhenFull when_full = KafkaWhenFull::kWait;
  // For KafkaTransaction: the name under which the brokers know this instance's producer, and fence
  // an older one of the same name. Unique in the cluster among what runs at a time ("ledger-0").
  // Events are then handled in the order of their partition.
  std::string transactional_id = {};
  std::chrono::milliseconds transaction_timeout{60'000};

  // ---- a client

  // The topic that replies come to, which instances then share; the prefix goes in front. Empty: a
  // topic of its own, which is made at the first call, and deleted at the end.
  std::string reply_topic = {};
  // The "source" of CloudEvents that are sent. Empty: `name`.
  std::string event_source = {};
  // Calls wait for a connection instead of failing with UNAVAILABLE at once.
  bool wait_for_ready = false;

  // ---- time

  // How long a client's first call may wait for its reply topic.
  std::chrono::milliseconds connect_timeout{10'000};
  // Listener: how long Start() waits for brokers, topics and its first assignment before it fails.
  std::chrono::milliseconds start_timeout{30'000};
  // The two ends of a call that takes long tell each other that often that they are there; after
  // three times in silence it fails with UNAVAILABLE (listener: is cancelled). The same on both
  // sides. Zero: never.
  std::chrono::milliseconds keepalive{10'000};

  // Settings of librdkafka itself that have no option here: {{"fetch.wait.max.ms", "50"}}. Those
  // that the promises rest on (offsets, idempotence, acks) are refused.
  std::map<std::string, std::string> settings = {};
};

// INVALID_ARGUMENT with all that is wrong, and how to mend it. Does not connect.
[[nodiscard]] absl::Status CheckKafkaOptions(const Kafka& options);

// Handles the program's events as a worker, and serves its other methods.
[[nodiscard]] std::unique_ptr<ServerTransport> MakeServerTransport(const Kafka& options);
// A call to an event ends when all brokers that must have stored it have: OK says so. What fails
// with DEADLINE_EXCEEDED or UNAVAILABLE may have been stored. Throws RpcException for wrong
// options. Connects in the background: see Channel::state().
[[nodiscard]] std::shared_ptr<Channel> MakeChannel(const Kafka& options);
[[nodiscard]] std::shared_ptr<Channel> MakeChannel(const Kafka& options, TransportHost& host);

// A record as it is sent.
struct KafkaRecord {
  std::string topic = {};  // as it is called at the brokers: the prefix is not added
  // Records of one key go to one partition. None: to any.
  std::optional<std::string> key = {};
  // None: a tombstone.
  std::optional<std::string> value = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::optional<std::int32_t> partition = {};
};

// Where a record was stored.
struct KafkaPosition {
  std::string topic = {};
  std::int32_t partition = 0;
  std::int64_t offset = 0;
};

// The record that a handler runs for:
//
//   if (const auto* record = rookery::KafkaRecordInfo::Of(call)) Log(record->position.offset);
//
// Valid until the handler has ended.
struct KafkaRecordInfo {
  // Of this call, or null: it came over something else, or it is a Batch, whose records are
  // Of(*batch.delivery(i)).
  [[nodiscard]] static const KafkaRecordInfo* Of(CallContext& call);
  [[nodiscard]] static const KafkaRecordInfo* Of(const Delivery& delivery);

  KafkaPosition position = {};
  std::optional<std::string> key = {};
  std::chrono::system_clock::time_point timestamp = {};
  bool tombstone = false;
};

// Sends records of any kind:
//
//   module.ProvideValue(rookery::KafkaProducer::Open({.brokers = "localhost:9092"}));
//   ...
//   rookery::KafkaRecord record{.topic = "audit", .key = id, .value = text};
//   rookery::KafkaPosition at = co_await producer.Send(std::move(record));
//
// For events of a proto use its generated client. Thread-safe. Records of one key that are sent one
// after the other (each Send begun after the one before was) are stored in that order.
class KafkaProducer final {
  class Impl;

 public:
  // Throws RpcException for wrong options; does not wait for a connection.
  [[nodiscard]] static std::shared_ptr<KafkaProducer> Open(const Kafka& options);
  explicit KafkaProducer(std::shared_ptr<Impl> impl);  // use Open
  // Waits for what is under way, for delivery_timeout at most. Not on a loop.
  ~KafkaProducer();
  KafkaProducer(const KafkaProducer&) = delete;
  KafkaProducer& operator=(const KafkaProducer&) = delete;

  // Returns when the brokers have stored the record. Fails with UNAVAILABLE or DEADLINE_EXCEEDED
  // when that is not known, RESOURCE_EXHAUSTED when the record is too large, or too much is under
  // way (kFail), INVALID_ARGUMENT or NOT_FOUND for a topic that cannot be or is not there,
  // PERMISSION_DENIED. If the call is cancelled, or its deadline passes, the record may be stored
  // all the same.
  [[nodiscard]] Task<KafkaPosition> Send(KafkaRecord record);
  // Waits until all that was sent before has been stored, or has failed.
  [[nodiscard]] Task<void> Flush();
  // Records under way. Thread-safe.
  [[nodiscard]] std::size_t pending() const noexcept;

 private:
  const std::shared_ptr<Impl> impl_;
};

// A transaction of a handler: what it sends, and that its event has been handled, are stored
// together or not at all, and readers with read_committed see nothing of what was aborted.
//
//   rookery::Task<void> OnOrder(rookery::CallContext& call, const Order& order) override {
//     rookery::KafkaTransaction transaction = co_await rookery::KafkaTransaction::Begin(call);
//     transaction.Send({.topic = "invoices", .key = order.id(), .value = Invoice(order)});
//     co_await transaction.Commit();
//   }
//
// Needs Kafka::transactional_id on the listener. One transaction of a listener runs at a time: a
// handler of a Batch is what makes them fast. If the handler fails, or ends without Commit(), the
// transaction is aborted and the event is tried again as its policy says. Only what goes to Kafka
// is in the transaction.
class KafkaTransaction final {
  class Impl;

 public:
  // Waits for its turn. FAILED_PRECONDITION if the call is no event of a listener with a
  // transactional_id; ABORTED once another instance has taken over the transactional_id.
  [[nodiscard]] static Task<KafkaTransaction> Begin(CallContext& call);
  explicit KafkaTransaction(std::unique_ptr<Impl> impl);  // use Begin
  KafkaTransaction(KafkaTransaction&&) noexcept;
  KafkaTransaction& operator=(KafkaTransaction&&) noexcept;
  ~KafkaTransaction();  // aborts, unless it was committed

  // Adds a record. What cannot be sent makes Commit() fail.
  void Send(const KafkaRecord& record);
  // Adds an event, as a generated client would send it: `topic` is the event's pattern, without the
  // prefix.
  void SendEvent(std::string_view topic, const google::protobuf::Message& message,
                 std::string_view key = {});
  // Stores what was added, and the event's offset. When it fails all is aborted: ABORTED if the
  // partition has gone to another member or the producer was fenced; UNAVAILABLE where another
  // attempt may help.
  [[nodiscard]] Task<void> Commit();

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace rookery

#endif  // ROOKERY_TRANSPORTS_KAFKA_H_
