// Workers: events from brokers that keep a message until it is settled, handled at least once.
//
//   rookery::Task<void> OnPaid(rookery::CallContext& call, const PaymentReceived& event) override {
//     co_await ledger_.Add(event);            // returns: settled. Fails: tried again, with backoff
//   }
//   static void Configure(rookery::ControllerBuilder& controller) {
//     controller.Method(kOnPaid).Set(rookery::kDelivery, {.max_attempts = 8});
//   }
//
// A handler is the same as for any event; what it ends with decides. Those that want to say more
// ask for the Delivery:
//
//   if (auto* delivery = rookery::Delivery::Of(call)) delivery->Defer(std::chrono::minutes(10));
//
// docs/workers.md is the guide.
#ifndef ROOKERY_RPC_WORKER_H_
#define ROOKERY_RPC_WORKER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <typeinfo>
#include <vector>

#include "absl/status/status.h"
#include "rookery/pipeline/metadata_key.h"
#include "rookery/rpc/call_context.h"

namespace google::protobuf {
class Message;
}

namespace rookery {

// Where a message waits for its next attempt.
enum class RetryPlace : std::uint8_t {
  // At the broker where it can do that and the message has no key; else here.
  kAuto,
  // In the worker, which keeps it: messages of the same key wait behind it, so that order holds.
  kHere,
  // At the broker: it may go to another instance, and those of its key overtake it.
  kBroker,
};

// How events of one method are delivered. A value; wrong ones are reported at start-up. Said in
// code, controller.Method(kOnPaid).Set(kDelivery, {...}), in the proto ((rookery.event).retry and
// .key), or for a whole listener in its options; the first of these that says something counts, as
// a whole.
struct DeliveryPolicy {
  // Runs of the handler in all; then the message is a dead letter. At least 1.
  int max_attempts = 5;
  // The pause after the first failure, multiplied after each further one, up to the most; a random
  // part of it, +-jitter, so that what failed together is not tried together.
  std::chrono::milliseconds initial_backoff{100};
  std::chrono::milliseconds max_backoff{30'000};
  double backoff_multiplier = 2.0;
  double jitter = 0.2;
  // The pauses themselves, in order, instead of these; the last one repeats.
  std::vector<std::chrono::milliseconds> backoff = {};
  // Which failures are worth another attempt. Empty: all but `fatal`.
  std::vector<absl::StatusCode> retryable = {};
  // Failures that are dead letters at once.
  std::vector<absl::StatusCode> fatal = {
      absl::StatusCode::kInvalidArgument, absl::StatusCode::kOutOfRange,
      absl::StatusCode::kUnimplemented, absl::StatusCode::kDataLoss};
  RetryPlace retry_place = RetryPlace::kAuto;
  // Deliveries by the broker after which a message is a dead letter although no attempt of it was
  // seen to fail: it takes the process down with it. At least max_attempts.
  int max_deliveries = 20;
  // The deadline of one attempt. Zero: none.
  std::chrono::milliseconds attempt_timeout{0};

  // Events of one key are handled one after the other, in the order sent; those of different keys,
  // or without one, side by side. Either names a field of the event ("order.customer_id"), or gives
  // the key itself (empty: none). Without both: the CloudEvents attribute partitionkey, or what the
  // broker has for a key.
  std::string key_field = {};
  std::function<std::string(const google::protobuf::Message& event)> key = {};

  // For handlers of a Batch: at most so many, and how long the first waits for the others.
  std::size_t max_batch = 100;
  std::chrono::milliseconds batch_wait{20};
};

// controller.Method(kOnPaid).Set(kDelivery, {.max_attempts = 8});
inline constexpr MetadataKey<DeliveryPolicy> kDelivery{"rookery.delivery"};

// OK, or INVALID_ARGUMENT with all that is wrong. `event`: what key_field is a field of; may be
// null.
[[nodiscard]] absl::Status CheckDeliveryPolicy(const DeliveryPolicy& policy,
                                               const google::protobuf::Message* event);
// The pause after the failed attempt `attempt` (1 is the first). `random` is from [0, 1).
[[nodiscard]] std::chrono::milliseconds BackoffAfter(const DeliveryPolicy& policy, int attempt,
                                                     double random);
// `status` with the wish to be tried again after so long (a google.rpc.RetryInfo, which servers
// send, too): co_return RetryAfter(absl::UnavailableError("busy"), std::chrono::seconds(5)).
[[nodiscard]] absl::Status RetryAfter(absl::Status status, std::chrono::milliseconds delay);

// One delivery of a message. Belongs to the attempt that is running: valid until the handler has
// ended, used by the call alone. What is decided here takes effect when the handler ends, whatever
// it ends with; the last decision counts. Without one: settled on success, retried on failure.
class Delivery {
 public:
  Delivery(const Delivery&) = delete;
  Delivery& operator=(const Delivery&) = delete;

  // Of this call, or null: the transport does not redeliver, or it is a Batch, which has them.
  [[nodiscard]] static Delivery* Of(CallContext& call) noexcept {
    return call.TransportRequest<Delivery>();
  }

  // The id under which repetitions are known: ce-id, or what the broker has; without both origin().
  [[nodiscard]] std::string id() const { return id_.empty() ? origin() : std::string(id_); }
  // Empty: none.
  [[nodiscard]] std::string_view key() const noexcept { return key_; }
  // Where it stands: "ORDERS/orders.paid#42".
  [[nodiscard]] std::string origin() const { return Origin(); }
  // 1 for the first.
  [[nodiscard]] int attempt() const noexcept { return attempt_; }
  // If this one fails the message is a dead letter.
  [[nodiscard]] bool last_attempt() const noexcept { return last_attempt_; }
  // The broker has delivered it before; whether a handler has seen it nobody knows.
  [[nodiscard]] bool redelivered() const noexcept { return redelivered_; }

  // Handled, even if the handler fails afterwards.
  void Ack() { Decide(Decision::kAck); }
  // Try again, after the policy's backoff or after `delay`. Counts as an attempt.
  void Retry() { Decide(Decision::kRetry); }
  void Retry(std::chrono::milliseconds delay) {
    Decide(Decision::kRetry);
    delay_ = delay;
  }
  // A dead letter, at once.
  void Reject(std::string_view why) {
    Decide(Decision::kReject);
    why_ = why;
  }
  // Not now: comes again after `delay`, and does not count as an attempt. (The broker counts it as
  // a delivery: so does another instance, should it come to one.)
  void Defer(std::chrono::milliseconds delay) {
    Decide(Decision::kDefer);
    delay_ = delay;
  }

  // What the transport says of this message itself, by its type; null: it has no such thing. Its
  // header has a function that asks.
  template <class T>
  [[nodiscard]] T* TransportMessage() const noexcept {
    return static_cast<T*>(Find(typeid(T)));
  }

  // For the framework.
  enum class Decision : std::uint8_t { kNone, kAck, kRetry, kReject, kDefer };
  [[nodiscard]] Decision decision() const noexcept { return decision_; }
  [[nodiscard]] std::optional<std::chrono::milliseconds> delay() const noexcept { return delay_; }
  [[nodiscard]] const std::string& why() const noexcept { return why_; }

 protected:
  Delivery() = default;
  ~Delivery() = default;
  [[nodiscard]] virtual void* Find(const std::type_info& /*type*/) const noexcept {
    return nullptr;
  }
  [[nodiscard]] virtual std::string Origin() const = 0;

  std::string_view id_;
  std::string_view key_;
  int attempt_ = 1;
  bool last_attempt_ = false;
  bool redelivered_ = false;

 private:
  void Decide(Decision decision) {
    decision_ = decision;
    delay_.reset();
  }
  Decision decision_ = Decision::kNone;
  std::optional<std::chrono::milliseconds> delay_;
  std::string why_;
};

// The deliveries of a Batch: for the framework; handlers have batch.delivery(i).
class Deliveries {
 public:
  [[nodiscard]] virtual std::vector<Delivery*> all() = 0;

 protected:
  ~Deliveries() = default;
};

// Headers of a dead letter, beside all that the message had.
inline constexpr std::string_view kDeadCode = "rookery-dead-code";    // canonical, in decimal
inline constexpr std::string_view kDeadCause = "rookery-dead-cause";  // percent-encoded
inline constexpr std::string_view kDeadAttempts = "rookery-dead-attempts";
inline constexpr std::string_view kDeadDeliveries = "rookery-dead-deliveries";
inline constexpr std::string_view kDeadOrigin = "rookery-dead-origin";  // Delivery::origin()
inline constexpr std::string_view kDeadSubject = "rookery-dead-subject";
inline constexpr std::string_view kDeadMethod = "rookery-dead-method";
inline constexpr std::string_view kDeadTime = "rookery-dead-time";  // RFC 3339

}  // namespace rookery

#endif  // ROOKERY_RPC_WORKER_H_
