// JetStream: events over NATS streams, which keep them: handled at least once, published with the
// stream's word that it has them. And KeyValue, a small store on the same.
//
//   app.Listen(rookery::JetStream{.nats = {.url = "nats://localhost:4222"}, .stream = "PAYMENTS"});
//   rookery::Client<pay::v1::PaymentsClient>(rookery::JetStream{.stream = "PAYMENTS"});
//
//   co_await payments.OnPaid(event);      // returns when the stream has stored it
//
// docs/workers.md says what handlers may do, docs/nats.md what exactly is promised. Nothing of
// NATS's own headers is needed to use it.
#ifndef ROOKERY_TRANSPORTS_JETSTREAM_H_
#define ROOKERY_TRANSPORTS_JETSTREAM_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/rpc/worker.h"
#include "rookery/runtime/stream.h"
#include "rookery/runtime/task.h"
#include "rookery/transports/nats.h"

namespace rookery {

// What happens to a stream at start.
enum class StreamSetup : std::uint8_t {
  kCheck,  // it must be there; what differs from the options is an error that names each difference
  kCreate,  // made if it is not there; else as kCheck
  kUpdate,  // made, or changed to what the options say, as far as NATS lets a stream be changed
};
enum class StreamRetention : std::uint8_t {
  kLimits,     // messages stay until max_age, max_bytes or max_messages
  kWorkQueue,  // until they are settled; each message has one consumer
  kInterest,   // until all consumers have settled them
};

// How a stream is to be. Only what is said here is compared with one that exists.
struct StreamConfig {
  // Empty: those of the events that the program handles (a listener), or nothing is checked (a
  // client).
  std::vector<std::string> subjects = {};
  std::optional<StreamRetention> retention = {};
  std::optional<bool> in_memory = {};  // else on disk
  std::optional<int> replicas = {};
  std::optional<std::chrono::milliseconds> max_age = {};
  std::optional<std::int64_t> max_bytes = {};
  std::optional<std::int64_t> max_messages = {};
  // How long the stream knows the ids of what it stored: a repetition within it is not stored.
  std::optional<std::chrono::milliseconds> duplicate_window = {};
};

// Options of a listener and of a client. A value; wrong ones are reported all at once.
struct JetStream {
  // The connection, and the subjects' prefix. Its limits of messages count here as well.
  Nats nats = {};
  std::string stream = {};  // its name; needed
  StreamSetup setup = StreamSetup::kCreate;
  StreamConfig config = {};

  // ---- a listener
  // In front of the consumers' names: one durable consumer for each event that is handled,
  // "orders_payments_received". Instances of one name share the work. Empty: Nats::queue, or the
  // program's name.
  std::string durable = {};
  // Which of the program's events; empty: all. Their subjects, as in the proto, without the prefix.
  std::vector<std::string> events = {};
  // A consumer that is new begins with what is stored already; false: with what comes from now on.
  bool from_beginning = true;
  // A message that is neither settled nor said to be in work for so long is handed out again. It is
  // said every third of that, so that handlers may take as long as they like.
  std::chrono::milliseconds ack_wait{30'000};
  // Of all instances together: messages handed out and not settled, for each consumer. With 1 order
  // holds over all instances and crashes, and nothing runs side by side.
  std::int64_t max_ack_pending = 1'000;
  // Of this listener: handlers that run at a time, and messages held in all.
  std::size_t concurrency = 64;
  std::size_t prefetch = 256;
  // A message is settled when the NATS server has confirmed that it knows, instead of when it was
  // told. Costs a round trip and saves a redelivery when the server dies at that moment.
  bool confirm_acks = false;
  // Where neither the method nor its proto says otherwise.
  DeliveryPolicy policy = {};
  std::size_t dedupe_window = 8'192;
  // Dead letters go to PREFIX.STREAM.SUBJECT, which `dead_letter_stream` stores; it is made if it
  // is not there. Empty: some other stream must have these subjects.
  std::string dead_letter_prefix = "dead";
  std::string dead_letter_stream = "DEAD_LETTERS";
  // All handlers busy, and none has ended for so long: not ready. Zero: never.
  std::chrono::milliseconds stuck_after{300'000};

  // ---- a client
  // How long the stream may take to confirm; then the event is sent again, with the same id, until
  // the call's deadline, or `publish_attempts` times.
  std::chrono::milliseconds ack_timeout{5'000};
  int publish_attempts = 3;
  // Events under way; beyond it callers wait.
  std::size_t max_pending_events = 4'096;
};

// INVALID_ARGUMENT with all that is wrong, and how to mend it. Does not connect.
[[nodiscard]] absl::Status CheckJetStreamOptions(const JetStream& options);

// Serves events alone; the other methods of a program want a Nats listener beside it, which leaves
// the events alone with Nats::events = false.
[[nodiscard]] std::unique_ptr<ServerTransport> MakeServerTransport(const JetStream& options);
// A call to an event ends when the stream has stored it: OK says that it has. What fails with
// DEADLINE_EXCEEDED or UNAVAILABLE may have been stored; sending it again with the same "ce-id" in
// the call's metadata does no harm within duplicate_window. Other calls go over core NATS. Throws
// RpcException for wrong options. The stream is not set up by a client unless `setup` is kUpdate.
[[nodiscard]] std::shared_ptr<Channel> MakeChannel(const JetStream& options);
[[nodiscard]] std::shared_ptr<Channel> MakeChannel(const JetStream& options, TransportHost& host);

// One value of a KeyValue store.
struct KeyValueEntry {
  std::string key;
  std::string value;
  std::uint64_t revision = 0;  // grows with each change of the store
  bool deleted = false;        // in Watch alone: the key has no value any more
};

// Options of a KeyValue store.
struct KeyValueOptions {
  Nats nats = {};
  std::string bucket = {};  // [A-Za-z0-9_-]+; made if it is not there
  int history = 1;          // revisions kept of each key, 1 to 64
  std::optional<std::chrono::milliseconds> max_age = {};
  bool in_memory = false;
  int replicas = 1;
  std::chrono::milliseconds timeout{5'000};  // of one operation
};

// A store of small values in a stream of NATS, as `nats kv` and NATS's own libraries keep them:
//
//   module.ProvideValue(rookery::KeyValue::Open({.bucket = "sessions"}));
//   ...
//   std::uint64_t revision = co_await store.Put("user.1", "ada");
//   rookery::KeyValueEntry entry = co_await store.Get("user.1");          // NOT_FOUND: none
//   co_await store.Update("user.1", "grace", entry.revision);             // ABORTED: has changed
//
// Keys: [-/_=.A-Za-z0-9]+, no dot at either end. Thread-safe. Each operation is one round trip, and
// fails with UNAVAILABLE, without waiting, while there is no connection.
class KeyValue final {
  class Impl;

 public:
  // Connects and opens the bucket, or makes it; blocks meanwhile. Not on a loop.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<KeyValue>> TryOpen(
      const KeyValueOptions& options);
  // Throws RpcException.
  [[nodiscard]] static std::shared_ptr<KeyValue> Open(const KeyValueOptions& options);
  explicit KeyValue(std::shared_ptr<Impl> impl);  // use Open
  ~KeyValue();
  KeyValue(const KeyValue&) = delete;
  KeyValue& operator=(const KeyValue&) = delete;

  // NOT_FOUND: there is none, or it was deleted.
  [[nodiscard]] Task<KeyValueEntry> Get(std::string key);
  // Each gives the new revision.
  Task<std::uint64_t> Put(std::string key, std::string value);
  // ALREADY_EXISTS: it has a value.
  [[nodiscard]] Task<std::uint64_t> Create(std::string key, std::string value);
  // ABORTED: its revision is another by now.
  [[nodiscard]] Task<std::uint64_t> Update(std::string key, std::string value,
                                           std::uint64_t revision);
  // OK, too, if there is none.
  Task<void> Delete(std::string key);
  // The present values of the keys that match (`*` and `>` as in subjects; ">" for all), and every
  // change after that, in order. Ends by failing when the connection is lost for long or the bucket
  // is gone; drop the stream to end it. The store must outlive it.
  [[nodiscard]] Stream<KeyValueEntry> Watch(std::string keys);

 private:
  const std::shared_ptr<Impl> impl_;
};

}  // namespace rookery

#endif  // ROOKERY_TRANSPORTS_JETSTREAM_H_
