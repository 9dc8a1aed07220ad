// WorkerEngine: runs handlers for a broker that keeps messages until they are settled.
//
//   class PigeonPost final : public rookery::WorkerSource { ... };
//   rookery::WorkerEngine engine(loop, host.handlers(), source, {.transport = "pigeon"});
//   // on the loop's thread, while engine.room() > 0:
//   engine.Deliver(handler_of_subject, std::move(message));
//
// For adapters: retries, dead letters, order by key, bounds, batches and drain are in here, and an
// adapter is left with fetching messages and settling them. docs/workers.md says what users see.
#ifndef ROOKERY_RPC_WORKER_ENGINE_H_
#define ROOKERY_RPC_WORKER_ENGINE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "rookery/rpc/handler.h"
#include "rookery/rpc/stats.h"
#include "rookery/rpc/wire.h"
#include "rookery/rpc/worker.h"
#include "rookery/runtime/loop.h"

namespace rookery {

namespace internal {
class WorkerCore;
}

// What the broker handed out, and the adapter's own means to settle it. Texts are views of what
// `message` or `receipt` owns; moved as a whole, they stay good.
struct WorkerMessage {
  // The adapter's own; its class is the adapter's.
  class Receipt {
   public:
    virtual ~Receipt() = default;
    // Where the message stands, for people: "ORDERS/orders.paid#42". Seldom asked for.
    [[nodiscard]] virtual std::string Origin() const = 0;
    // What handlers may ask for by its type, with Delivery::TransportMessage.
    [[nodiscard]] virtual void* Find(const std::type_info& /*type*/) noexcept { return nullptr; }
  };
  // Unique among what the broker keeps: two messages of one position are one, delivered twice.
  struct Position {
    std::uint64_t log = 0;     // the adapter's own number of a partition, say
    std::uint64_t offset = 0;  // in it

    friend bool operator==(const Position&, const Position&) noexcept = default;
    template <class H>
    friend H AbslHashValue(H state, const Position& at) {
      return H::combine(std::move(state), at.log, at.offset);
    }
  };

  InboundMessage message;
  std::unique_ptr<Receipt> receipt;
  // The engine's: those of earlier deliveries, of which the texts are views.
  std::vector<std::unique_ptr<Receipt>> earlier;
  std::string_view subject;  // where it was sent
  std::string_view id;       // the broker's; where there is a ce-id, that is it
  std::string_view key;      // if the broker has one; the policy's comes first
  Position position;
  // What has no key of its own is handled in the order of its lane: a partition, say. Zero: in no
  // order.
  std::uint64_t lane = 0;
  int deliveries = 1;  // how often the broker has handed it out, this time included
  // Not OK: the adapter knows already that no handler can take it, and why: a dead letter.
  absl::Status fault = absl::OkStatus();
  // Set by the engine before it returns the message: runs of the handler so far that count.
  int attempts = 0;
};

// What becomes of a message.
enum class Settlement : std::uint8_t {
  kDone,    // handled: the broker forgets it
  kDead,    // its dead letter is written: the broker forgets it
  kReturn,  // the broker hands it out again, after the delay
};

// Why a message is a dead letter.
struct DeadLetterCause {
  absl::Status status;
  int attempts = 0;  // runs of the handler
  std::string_view method;
};
// Adds to `out` all headers of `message`, and the cause in those of worker.h. `out` borrows from
// the message.
void AddDeadLetter(const WorkerMessage& message, const DeadLetterCause& cause,
                   OutboundMessage* out);

// What the engine needs of the broker. Called on the engine's loop.
class WorkerSource {
 public:
  virtual ~WorkerSource() = default;

  // Settles the message. Not OK: the broker may hand it out again, and the engine knows it then.
  [[nodiscard]] virtual absl::Status Settle(WorkerMessage& message, Settlement how,
                                            std::chrono::milliseconds delay) = 0;
  // Writes the message to where dead letters go. `done`, later or at once, on the loop: OK says
  // that it is stored. The message stays where it is until then; `cause` does not.
  virtual void WriteDeadLetter(WorkerMessage& message, const DeadLetterCause& cause,
                               std::function<void(absl::Status)> done) = 0;
  // The message is still being worked on: called every Options::keep_alive.
  virtual void KeepAlive(WorkerMessage& /*message*/) {}
  // Whether the message is still ours. One whose attempt has failed, and that is not, is forgotten:
  // somebody else has it now.
  [[nodiscard]] virtual bool Holds(const WorkerMessage& /*message*/) const { return true; }
  // Whether kReturn with a delay works.
  [[nodiscard]] virtual bool can_delay() const noexcept { return false; }
  // There is room for more again: room() has grown.
  virtual void OnRoom() {}
  // For the log: `what` has happened to the message ("failed: tried again", "is a dead letter").
  virtual void OnTrouble(std::string_view /*what*/, const WorkerMessage& /*message*/,
                         const absl::Status& /*why*/) {}
};

// One per consumer. Not thread-safe: made anywhere, then used on the loop's thread alone, but for
// what says so. An attempt whose handler does not end, although it was cancelled, outlives the
// engine: it is cut off from the source and left behind, its message unsettled.
class WorkerEngine final {
 public:
  struct Options {
    std::string_view transport = {};  // CallContext::transport(): a literal, which counters keep
    std::string name = {};            // of the consumer, in statistics and logs
    // Handlers that run at a time, and messages held: running, waiting for their turn, for another
    // attempt, or for their dead letter to be written.
    std::size_t max_concurrency = 64;
    std::size_t max_held = 256;
    std::size_t max_receive_bytes = std::size_t{4} << 20;
    std::size_t max_metadata_bytes = std::size_t{64} << 10;
    // Where neither the method nor its proto says otherwise.
    DeliveryPolicy policy = {};
    // How often the broker is told that a message is still being worked on. Zero: never.
    std::chrono::milliseconds keep_alive{0};
    // So many messages that were handled are remembered, by ce-source and ce-id, or by `position`,
    // in 16 bytes each: a repetition is settled without being handled again. Zero: none.
    std::size_t dedupe_window = 8'192;
    // The pause before a dead letter that was refused is tried again: the first, doubled up to the
    // most.
    std::chrono::milliseconds dead_letter_backoff{100};
    std::chrono::milliseconds max_dead_letter_backoff{30'000};
    // All handlers busy, and none has ended for so long: the consumer is stuck. Zero: never.
    std::chrono::milliseconds stuck_after{300'000};
    // Order is by WorkerMessage::lane alone, whatever has a key.
    bool order_by_lane = false;
    std::string event_prefix = "ce-";  // in front of the names of CloudEvents' attributes
  };
  // `source` and `handlers` outlive the engine; `handlers` outlives all calls, too.
  WorkerEngine(Loop& loop, const HandlerRegistry& handlers, WorkerSource& source, Options options);
  WorkerEngine(const WorkerEngine&) = delete;
  WorkerEngine& operator=(const WorkerEngine&) = delete;
  // On the loop. What is held is neither settled nor returned: the broker will hand it out again.
  ~WorkerEngine();

  // A policy for the handler, as its metadata, its proto or the options have it; with all faults.
  [[nodiscard]] static absl::Status Check(const Handler& handler, const DeliveryPolicy& otherwise);

  // A message for `handler` (null: there is none, which makes a dead letter). May be more than
  // room(): it is taken all the same.
  void Deliver(const Handler* handler, WorkerMessage&& message);
  // How many more may be held.
  [[nodiscard]] std::size_t room() const noexcept;

  // From here on what waits for another attempt goes back to the broker, where it can wait there;
  // all else is handled.
  void StopIntake();
  // Returns what has not been started, and cancels what runs: it goes back as well.
  void CancelAll(const absl::Status& reason);
  // Forgets, unsettled, those held messages that have not been started and that `which` is true of:
  // their partition belongs to somebody else now. Gives how many of the others are still held.
  std::size_t Forget(const std::function<bool(const WorkerMessage&)>& which);

  // Tells of all messages held: whether their handler runs, or has ended already.
  void ForEach(const std::function<void(const WorkerMessage&, bool started)>& tell) const;

  // Messages held. Any thread.
  [[nodiscard]] std::size_t held() const noexcept;
  // Runs, on the loop, each time that held() has become zero.
  void set_on_idle(std::function<void()> on_idle);
  // Why the consumer gets nowhere: dead letters are refused, or handlers do not end. OK: it does.
  // Any thread.
  [[nodiscard]] absl::Status Health() const;
  // Any thread.
  [[nodiscard]] WorkerSnapshot Stats() const;

 private:
  const std::shared_ptr<internal::WorkerCore> core_;
};

}  // namespace rookery

#endif  // ROOKERY_RPC_WORKER_ENGINE_H_
