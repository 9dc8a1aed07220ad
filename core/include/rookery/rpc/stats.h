// Stats: how many calls each method had on each transport, how they ended and how long they took.
//
//   rookery::StatsSnapshot stats = app.Stats();
//   const rookery::MethodSnapshot* place = stats.Find("/shop.v1.Orders/Place", "grpc");
//   place->calls; place->in_flight; place->code(absl::StatusCode::kNotFound);
//   place->latency.Percentile(99);
//
// Counting takes no lock and no atomic read-modify-write: each thread has counters of its own,
// which a snapshot adds up. A snapshot taken while calls run is a little behind, and never wrong
// for long.
#ifndef ROOKERY_RPC_STATS_H_
#define ROOKERY_RPC_STATS_H_

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace rookery {

class CallContext;

// How many canonical codes there are (0 to 16).
inline constexpr std::size_t kStatusCodes = 17;

// Durations in buckets whose bounds grow by at most a quarter, from about 0.1 us to minutes.
struct LatencySnapshot {
  struct Bucket {
    std::chrono::nanoseconds upper;  // durations below this, and not below the bucket before
    std::uint64_t count;
  };
  std::vector<Bucket> buckets;  // ascending; empty ones are left out
  std::uint64_t count = 0;
  std::chrono::nanoseconds sum{0};

  // The bound below which `percent` (0 to 100) of the calls stayed; zero without calls.
  [[nodiscard]] std::chrono::nanoseconds Percentile(double percent) const;
  [[nodiscard]] std::chrono::nanoseconds Mean() const;
};

// One method on one transport.
struct MethodSnapshot {
  std::string method;           // "/shop.v1.Orders/Place", or a pattern
  std::string transport;        // "grpc"
  std::uint64_t calls = 0;      // ended ones: the sum of all codes
  std::uint64_t in_flight = 0;  // started and not ended
  std::uint64_t rejected = 0;   // refused before the handler ran; not among `calls`
  // Members of callers' baggage that could not be read; the calls went on without.
  std::uint64_t bad_baggage = 0;
  std::array<std::uint64_t, kStatusCodes> codes{};
  LatencySnapshot latency;

  [[nodiscard]] std::uint64_t code(absl::StatusCode c) const {
    return codes[static_cast<std::size_t>(c)];
  }
};

// Refusals that belong to no method: unknown methods, malformed requests.
struct RejectedSnapshot {
  std::string transport;
  absl::StatusCode code;
  std::uint64_t count;
};

// One consumer of a broker: see docs/workers.md.
struct WorkerSnapshot {
  std::string name;                // of the consumer
  std::string transport;           // "nats"
  std::uint64_t held = 0;          // fetched and not settled: the sum of what follows
  std::uint64_t running = 0;       // with a handler
  std::uint64_t waiting = 0;       // for another attempt, or for their dead letter to be written
  std::uint64_t delivered = 0;     // handed out by the broker
  std::uint64_t redelivered = 0;   // ... of these not for the first time
  std::uint64_t duplicates = 0;    // ... of these known, and not handled again
  std::uint64_t handled = 0;       // settled after success
  std::uint64_t retries = 0;       // failed attempts after which there is another
  std::uint64_t deferred = 0;      // by the handler
  std::uint64_t returned = 0;      // to the broker, unhandled, in a shutdown
  std::uint64_t expired = 0;       // too old when they came: settled, not handled
  std::uint64_t dead_letters = 0;  // written and confirmed
  std::uint64_t dead_letters_refused = 0;  // attempts to write one that failed
  std::uint64_t settle_failures = 0;       // the broker could not be told: it will hand out again
  // Where messages have partitions, which instances share:
  struct Partition {
    std::string topic;
    std::int32_t partition = 0;
    std::int64_t lag = 0;  // behind what is stored, by what is settled; -1: not known yet
    std::uint64_t held = 0;
    bool paused = false;  // it has too much unsettled
  };
  std::vector<Partition> partitions;  // that this consumer has now
  std::uint64_t rebalances = 0;       // so often partitions came or went

  // Of all partitions together, as far as it is known.
  [[nodiscard]] std::int64_t lag() const;
};

// Events of one subject that came over a carrier which keeps none, but numbers them.
struct EventSnapshot {
  std::string subject;
  std::string transport;       // "zeromq"
  std::uint64_t received = 0;  // handed to the handlers, or refused by them
  std::uint64_t lost = 0;      // published after we listened, and never came
  std::uint64_t repeated = 0;  // came again, and were dropped
};

// All of an application's counters at one moment. A value.
struct StatsSnapshot {
  std::vector<MethodSnapshot> methods;  // those with any activity, by method, then by transport
  std::vector<RejectedSnapshot> rejected;
  std::vector<WorkerSnapshot> workers;  // of all listeners
  std::vector<EventSnapshot> events;    // the same

  // Null if nothing of that subject has come or was lost.
  [[nodiscard]] const EventSnapshot* FindEvents(std::string_view subject) const;

  // Null if there is no such consumer.
  [[nodiscard]] const WorkerSnapshot* FindWorker(std::string_view name) const;

  // Null if that method had no call on that transport.
  [[nodiscard]] const MethodSnapshot* Find(std::string_view method,
                                           std::string_view transport) const;
  // Sums over all methods and transports.
  [[nodiscard]] std::uint64_t calls() const;
  [[nodiscard]] std::uint64_t in_flight() const;
  [[nodiscard]] std::uint64_t total_rejected() const;
  // A table for people.
  [[nodiscard]] std::string ToString() const;
};

namespace internal {
struct StatsShard;
struct TransportCounters;

// A cheap monotonic clock in ticks of unknown length: the processor's own counter where it is
// invariant, else steady_clock.
[[nodiscard]] std::uint64_t TickNow() noexcept;
// The length of a tick.
[[nodiscard]] double NanosecondsPerTick() noexcept;
}  // namespace internal

// The counters of one method. Made by StatsRegistry; lives as long as it. Thread-safe.
class MethodStats final {
 public:
  MethodStats(const MethodStats&) = delete;
  MethodStats& operator=(const MethodStats&) = delete;
  ~MethodStats();

  // Around each call: Started when it arrives, Ended when its status is settled, on any thread. The
  // call's transport() must be a name that lives for ever (a literal).
  void Started(CallContext& call) noexcept;
  void Ended(CallContext& call, absl::StatusCode code) noexcept;
  // Instead of both: refused before the handler ran (over a limit, malformed).
  void Rejected(std::string_view transport) noexcept;
  // Beside them: so many members of a call's baggage could not be read. Gives whether that is worth
  // a line in the log: once a second at most.
  [[nodiscard]] bool BadBaggage(std::string_view transport, std::uint64_t members) noexcept;

 private:
  friend class StatsRegistry;
  explicit MethodStats(std::string_view name);
  [[nodiscard]] internal::TransportCounters* ForTransport(std::string_view transport) noexcept;
  [[nodiscard]] internal::TransportCounters* FindTransport(std::string_view transport) noexcept;

  static constexpr std::size_t kMaxTransports = 8;
  std::string name_;
  std::array<std::atomic<internal::TransportCounters*>, kMaxTransports> transports_{};
  std::atomic<std::int64_t> baggage_second_{-1};
};

// The counters of an application. Thread-safe.
class StatsRegistry final {
 public:
  StatsRegistry();
  ~StatsRegistry();
  StatsRegistry(const StatsRegistry&) = delete;
  StatsRegistry& operator=(const StatsRegistry&) = delete;

  // The counters of that method, made at the first use. Call it at start-up and keep the reference.
  [[nodiscard]] MethodStats& Method(std::string_view full_name);
  // A refusal that belongs to no method.
  void Rejected(std::string_view transport, absl::StatusCode code) noexcept;

  [[nodiscard]] StatsSnapshot Snapshot() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rookery

#endif  // ROOKERY_RPC_STATS_H_
