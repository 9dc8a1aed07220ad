// JsClient: requests to a NATS server's JetStream, and what it answers. Private.
#ifndef ROOKERY_TRANSPORTS_NATS_SRC_JETSTREAM_API_H_
#define ROOKERY_TRANSPORTS_NATS_SRC_JETSTREAM_API_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "connection.h"
#include "google/protobuf/struct.pb.h"
#include "rookery/rpc/wire.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/task.h"
#include "rookery/transports/jetstream.h"

namespace rookery::nats_adapter {

using Json = google::protobuf::Struct;
// Zero values for what is not there.
[[nodiscard]] std::string JsonText(const Json& json, const std::string& name);
[[nodiscard]] double JsonNumber(const Json& json, const std::string& name);
[[nodiscard]] const Json& JsonObject(const Json& json, const std::string& name);
[[nodiscard]] std::vector<std::string> JsonTexts(const Json& json, const std::string& name);
// What JetStream answered; its error as a status: NOT_FOUND, ALREADY_EXISTS, ...
[[nodiscard]] absl::StatusOr<Json> ParseAnswer(std::string_view body);
[[nodiscard]] inline std::int64_t Nanos(std::chrono::milliseconds time) {
  return std::chrono::nanoseconds(time).count();
}

// A connection, and an inbox for answers. Thread-safe.
class JsClient final : public std::enable_shared_from_this<JsClient> {
 public:
  // As Connection::Open.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<JsClient>> Open(
      const Nats& options, Loop& loop, bool background, Connection::Events events,
      std::shared_ptr<void> keep = nullptr);
  explicit JsClient(const Nats& options);  // use Open
  ~JsClient();
  JsClient(const JsClient&) = delete;
  JsClient& operator=(const JsClient&) = delete;

  // Sends it with a reply address of its own, and waits for the answer. UNAVAILABLE: not connected,
  // or lost meanwhile, or nobody answers to that subject; DEADLINE_EXCEEDED.
  [[nodiscard]] Task<InboundMessage> Request(OutboundMessage* message,
                                             std::chrono::milliseconds timeout);
  // A request of JetStream's own API: "STREAM.INFO.ORDERS".
  [[nodiscard]] Task<Json> Api(std::string name, std::string body);
  // Publishes, and waits until the stream has it: its answer.
  [[nodiscard]] Task<Json> Publish(OutboundMessage* message, std::chrono::milliseconds timeout);

  // The stream as `config` wants it; `subjects` where config has none. See StreamSetup.
  [[nodiscard]] Task<absl::Status> SetUpStream(std::string name, StreamSetup setup,
                                               StreamConfig config);

  [[nodiscard]] Connection& connection() noexcept { return *connection_; }
  // Ends it; blocks until no callback can come any more. Not on the loop.
  void Close() noexcept;

 private:
  struct Waiting {
    Event done;
    InboundMessage reply;
    absl::Status status;
  };
  [[nodiscard]] absl::Status Subscribe();
  void OnInbox(MessagePtr message);
  void FailAll(const absl::Status& status);
  [[nodiscard]] std::shared_ptr<Waiting> Take(std::uint64_t id);
  [[nodiscard]] static Task<void> WaitFor(std::shared_ptr<Waiting> waiting);

  const Nats options_;
  const std::string inbox_;
  std::shared_ptr<Connection> connection_;
  std::shared_ptr<Connection::Subscription> subscription_;
  std::mutex mutex_;
  absl::flat_hash_map<std::uint64_t, std::shared_ptr<Waiting>> waiting_;  // guarded by mutex_
  std::uint64_t last_id_ = 0;                                             // the same
  bool closed_ = false;                                                   // by Close()
};

}  // namespace rookery::nats_adapter

#endif  // ROOKERY_TRANSPORTS_NATS_SRC_JETSTREAM_API_H_
