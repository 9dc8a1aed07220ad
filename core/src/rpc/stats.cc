#include "rookery/rpc/stats.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

#include <algorithm>
#include <bit>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "rookery/rpc/call_context.h"
#include "runtime/abseil_strings.h"

namespace rookery {
namespace internal {
namespace {

// ---- clock ----------------------------------------------------------------------------------

std::uint64_t SteadyNanoseconds() noexcept {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

#if defined(__x86_64__)
// Whether the time stamp counter runs at one rate in every state and on every core.
bool HasInvariantCounter() noexcept {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d & 1u << 8) != 0;
}

struct Calibration {
  Calibration() noexcept
      : invariant(HasInvariantCounter()), tick(__rdtsc()), nanoseconds(SteadyNanoseconds()) {}
  bool invariant;
  std::uint64_t tick;
  std::uint64_t nanoseconds;
};
// Both clocks at one moment early in the process: the longer ago, the better the ratio.
const Calibration& Start() noexcept {
  static const Calibration start;
  return start;
}
#endif

// ---- the shard of a thread ------------------------------------------------------------------

// A number for each live thread, the smallest free one, so that counters are as many as threads run
// at a time. Given back at the thread's end: the lock orders the old owner's writes before the
// new's.
class ThreadNumbers {
 public:
  std::size_t Take() {
    const std::scoped_lock lock(mutex_);
    for (std::size_t i = 0; i < taken_.size(); ++i) {
      if (!taken_[i]) {
        taken_[i] = true;
        return i;
      }
    }
    taken_.push_back(true);
    return taken_.size() - 1;
  }
  void Give(std::size_t number) {
    const std::scoped_lock lock(mutex_);
    taken_[number] = false;
  }

 private:
  std::mutex mutex_;
  std::vector<bool> taken_;
};

ThreadNumbers& Numbers() {
  // Never destroyed: threads may end after main() has.
  static ThreadNumbers* const numbers = std::make_unique<ThreadNumbers>().release();
  return *numbers;
}

struct ThreadNumber {
  ThreadNumber() : value(Numbers().Take()) {}
  ~ThreadNumber();
  std::size_t value;
};

constexpr std::size_t kNoNumber = static_cast<std::size_t>(-1);
constexpr std::size_t kThreadEnds = kNoNumber - 1;  // the number is given back: use what is shared
constinit thread_local std::size_t tls_number = kNoNumber;

ThreadNumber::~ThreadNumber() {
  tls_number = kThreadEnds;
  Numbers().Give(value);
}

[[gnu::noinline]] std::size_t TakeNumber() {
  thread_local const ThreadNumber number;
  return tls_number = number.value;
}

// ---- buckets --------------------------------------------------------------------------------

// Four to each power of two of ticks: [2^k, 2^k * 1.25), ...
constexpr int kLowestPower = 7;    // below 128 ticks, some 50 ns: bucket 0
constexpr int kHighestPower = 41;  // 2^42 ticks, some 25 minutes, and above: the last bucket
constexpr std::size_t kBuckets = 1 + (kHighestPower - kLowestPower + 1) * 4;

std::size_t BucketOf(std::uint64_t ticks) noexcept {
  if (ticks < 1u << kLowestPower) return 0;
  const int power = 63 - std::countl_zero(ticks);
  if (power > kHighestPower) return kBuckets - 1;
  return 1 + static_cast<std::size_t>(power - kLowestPower) * 4 + ((ticks >> (power - 2)) & 3);
}

double UpperBoundTicks(std::size_t bucket) noexcept {
  if (bucket == 0) return static_cast<double>(1u << kLowestPower);
  const std::size_t power = kLowestPower + (bucket - 1) / 4;
  return static_cast<double>(std::uint64_t{1} << power) *
         (1.25 + 0.25 * static_cast<double>((bucket - 1) % 4));
}

using Counter = std::atomic<std::uint64_t>;

// One writer: no locked instruction.
void Bump(Counter& counter, std::uint64_t by = 1) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

}  // namespace

std::uint64_t TickNow() noexcept {
#if defined(__x86_64__)
  static const bool invariant = Start().invariant;
  if (invariant) [[likely]] {
    return __rdtsc();
  }
#endif
  return SteadyNanoseconds();
}

double NanosecondsPerTick() noexcept {
#if defined(__x86_64__)
  const Calibration& start = Start();
  if (start.invariant) {
    constexpr std::uint64_t kLongEnough = 2'000'000;  // ns: the ratio is then good to 0.1 %
    for (;;) {
      const std::uint64_t elapsed = SteadyNanoseconds() - start.nanoseconds;
      if (elapsed >= kLongEnough) {
        return static_cast<double>(elapsed) / static_cast<double>(__rdtsc() - start.tick);
      }
      std::this_thread::sleep_for(std::chrono::nanoseconds(kLongEnough - elapsed));
    }
  }
#endif
  return 1.0;
}

// What one thread counts for one method on one transport. Written by that thread alone.
struct alignas(64) StatsShard {
  Counter started{0};
  Counter ticks{0};
  std::array<Counter, kStatusCodes> codes{};
  std::array<Counter, kBuckets> buckets{};
};

struct TransportCounters {
  static constexpr std::size_t kShards = 64;

  explicit TransportCounters(std::string_view name) noexcept : transport(name) {}
  ~TransportCounters() {
    for (std::atomic<StatsShard*>& shard : shards) {
      const std::unique_ptr<StatsShard> gone(shard.load(std::memory_order_acquire));
    }
  }

  // This thread's shard; null if there is no memory for one, or more threads than shards.
  StatsShard* Mine() noexcept {
    std::size_t number = tls_number;
    if (number == kNoNumber) [[unlikely]]
      number = TakeNumber();
    if (number >= kShards) [[unlikely]]
      return nullptr;
    StatsShard* const shard = shards[number].load(std::memory_order_relaxed);
    return shard != nullptr ? shard : MakeMine(number);
  }
  StatsShard* MakeMine(std::size_t number) noexcept {
    std::unique_ptr<StatsShard> made(::new (std::nothrow) StatsShard);
    StatsShard* const shard = made.release();
    shards[number].store(shard, std::memory_order_release);
    return shard;
  }

  const std::string_view transport;
  Counter rejected{0};
  Counter bad_baggage{0};
  std::array<std::atomic<StatsShard*>, kShards> shards{};
  // For threads without a shard of their own.
  Counter shared_started{0};
  Counter shared_ticks{0};
  std::array<Counter, kStatusCodes> shared_codes{};
  std::array<Counter, kBuckets> shared_buckets{};
};

}  // namespace internal

using internal::StatsShard;
using internal::TransportCounters;

// ---- MethodStats ----------------------------------------------------------------------------

MethodStats::MethodStats(std::string_view name) : name_(name) {}

MethodStats::~MethodStats() {
  for (std::atomic<TransportCounters*>& slot : transports_) {
    const std::unique_ptr<TransportCounters> gone(slot.load(std::memory_order_acquire));
  }
}

TransportCounters* MethodStats::ForTransport(std::string_view transport) noexcept {
  // The names are literals: nearly always the very same one.
  TransportCounters* const first = transports_.front().load(std::memory_order_acquire);
  if (first != nullptr && first->transport.data() == transport.data() &&
      first->transport.size() == transport.size()) [[likely]] {
    return first;
  }
  return FindTransport(transport);
}

TransportCounters* MethodStats::FindTransport(std::string_view transport) noexcept {
  for (std::atomic<TransportCounters*>& slot : transports_) {
    TransportCounters* counters = slot.load(std::memory_order_acquire);
    if (counters == nullptr) [[unlikely]] {
      std::unique_ptr<TransportCounters> made(::new (std::nothrow) TransportCounters(transport));
      if (made == nullptr) return nullptr;
      if (slot.compare_exchange_strong(counters, made.get(), std::memory_order_acq_rel)) {
        return made.release();
      }
    }
    if (counters->transport == transport) return counters;
  }
  // More kinds of transports than there are: the last slot takes what is left.
  return transports_.back().load(std::memory_order_acquire);
}

void MethodStats::Started(CallContext& call) noexcept {
  TransportCounters* const counters = ForTransport(call.transport());
  call.stats_mark() = {internal::TickNow(), counters};
  if (counters == nullptr) [[unlikely]]
    return;
  if (StatsShard* const shard = counters->Mine(); shard != nullptr) [[likely]] {
    internal::Bump(shard->started);
  } else {
    counters->shared_started.fetch_add(1, std::memory_order_relaxed);
  }
}

void MethodStats::Ended(CallContext& call, absl::StatusCode code) noexcept {
  const CallContext::StatsMark mark = call.stats_mark();
  auto* const counters = static_cast<TransportCounters*>(mark.counters);
  if (counters == nullptr) [[unlikely]]
    return;
  call.stats_mark().counters = nullptr;  // a second Ended counts nothing
  const std::uint64_t now = internal::TickNow();
  const std::uint64_t ticks = now > mark.started ? now - mark.started : 0;
  auto index = static_cast<std::size_t>(code);
  if (index >= kStatusCodes) index = static_cast<std::size_t>(absl::StatusCode::kUnknown);
  if (StatsShard* const shard = counters->Mine(); shard != nullptr) [[likely]] {
    internal::Bump(shard->ticks, ticks);
    internal::Bump(shard->codes[index]);
    internal::Bump(shard->buckets[internal::BucketOf(ticks)]);
  } else {
    counters->shared_ticks.fetch_add(ticks, std::memory_order_relaxed);
    counters->shared_codes[index].fetch_add(1, std::memory_order_relaxed);
    counters->shared_buckets[internal::BucketOf(ticks)].fetch_add(1, std::memory_order_relaxed);
  }
}

void MethodStats::Rejected(std::string_view transport) noexcept {
  if (TransportCounters* const counters = ForTransport(transport)) {
    counters->rejected.fetch_add(1, std::memory_order_relaxed);
  }
}

bool MethodStats::BadBaggage(std::string_view transport, std::uint64_t members) noexcept {
  if (TransportCounters* const counters = ForTransport(transport)) {
    counters->bad_baggage.fetch_add(members, std::memory_order_relaxed);
  }
  const std::int64_t second = std::chrono::duration_cast<std::chrono::seconds>(
                                  std::chrono::steady_clock::now().time_since_epoch())
                                  .count();
  return baggage_second_.exchange(second, std::memory_order_relaxed) != second;
}

// ---- StatsRegistry --------------------------------------------------------------------------

struct StatsRegistry::Impl {
  struct Refusals {
    explicit Refusals(std::string_view name) : transport(name) {}
    std::string transport;
    std::array<std::uint64_t, kStatusCodes> codes{};
  };

  mutable std::mutex mutex;
  std::vector<std::unique_ptr<MethodStats>> methods;
  std::unordered_map<std::string_view, MethodStats*> by_name;
  std::vector<Refusals> refusals;
};

StatsRegistry::StatsRegistry() : impl_(std::make_unique<Impl>()) {
  (void)internal::TickNow();  // the calibration begins
}
StatsRegistry::~StatsRegistry() = default;

MethodStats& StatsRegistry::Method(std::string_view full_name) {
  const std::scoped_lock lock(impl_->mutex);
  if (const auto found = impl_->by_name.find(full_name); found != impl_->by_name.end()) {
    return *found->second;
  }
  std::unique_ptr<MethodStats> made(::new MethodStats(full_name));
  MethodStats& stats = *made;
  impl_->methods.push_back(std::move(made));
  impl_->by_name.emplace(stats.name_, &stats);
  return stats;
}

void StatsRegistry::Rejected(std::string_view transport, absl::StatusCode code) noexcept {
  const auto index = std::min(static_cast<std::size_t>(code), kStatusCodes - 1);
  try {
    const std::scoped_lock lock(impl_->mutex);
    auto& all = impl_->refusals;
    auto found = std::find_if(all.begin(), all.end(),
                              [&](const Impl::Refusals& r) { return r.transport == transport; });
    if (found == all.end()) found = all.emplace(all.end(), transport);
    ++found->codes[index];
  } catch (...) {
    // Out of memory: a lost count is the least of it.
  }
}

namespace {

std::chrono::nanoseconds ToDuration(double nanoseconds) {
  return std::chrono::nanoseconds(static_cast<std::int64_t>(nanoseconds));
}

}  // namespace

StatsSnapshot StatsRegistry::Snapshot() const {
  const double per_tick = internal::NanosecondsPerTick();
  StatsSnapshot snapshot;
  const std::scoped_lock lock(impl_->mutex);
  for (const std::unique_ptr<MethodStats>& method : impl_->methods) {
    for (const std::atomic<TransportCounters*>& slot : method->transports_) {
      const TransportCounters* const counters = slot.load(std::memory_order_acquire);
      if (counters == nullptr) break;
      MethodSnapshot row;
      row.method = method->name_;
      row.transport = std::string(counters->transport);
      row.rejected = counters->rejected.load(std::memory_order_relaxed);
      row.bad_baggage = counters->bad_baggage.load(std::memory_order_relaxed);
      std::uint64_t ticks = counters->shared_ticks.load(std::memory_order_relaxed);
      std::array<std::uint64_t, internal::kBuckets> buckets{};
      const auto add = [&row, &buckets](const auto& codes, const auto& more) {
        for (std::size_t i = 0; i < kStatusCodes; ++i) {
          row.codes[i] += codes[i].load(std::memory_order_relaxed);
        }
        for (std::size_t i = 0; i < buckets.size(); ++i) {
          buckets[i] += more[i].load(std::memory_order_relaxed);
        }
      };
      add(counters->shared_codes, counters->shared_buckets);
      for (const auto& pointer : counters->shards) {
        const StatsShard* const shard = pointer.load(std::memory_order_acquire);
        if (shard == nullptr) continue;
        add(shard->codes, shard->buckets);
        ticks += shard->ticks.load(std::memory_order_relaxed);
      }
      for (const std::uint64_t count : row.codes) row.calls += count;
      // After the ends: what started meanwhile shows as in flight, and never less than nothing.
      std::uint64_t started = counters->shared_started.load(std::memory_order_relaxed);
      for (const auto& pointer : counters->shards) {
        const StatsShard* const shard = pointer.load(std::memory_order_acquire);
        if (shard != nullptr) started += shard->started.load(std::memory_order_relaxed);
      }
      row.in_flight = started > row.calls ? started - row.calls : 0;
      for (std::size_t i = 0; i < buckets.size(); ++i) {
        if (buckets[i] == 0) continue;
        row.latency.count += buckets[i];
        row.latency.buckets.push_back(
            {ToDuration(internal::UpperBoundTicks(i) * per_tick), buckets[i]});
      }
      row.latency.sum = ToDuration(static_cast<double>(ticks) * per_tick);
      if (started != 0 || row.calls != 0 || row.rejected != 0) {
        snapshot.methods.push_back(std::move(row));
      }
    }
  }
  std::sort(snapshot.methods.begin(), snapshot.methods.end(),
            [](const MethodSnapshot& a, const MethodSnapshot& b) {
              return std::tie(a.method, a.transport) < std::tie(b.method, b.transport);
            });
  for (const Impl::Refusals& refusals : impl_->refusals) {
    for (std::size_t i = 0; i < kStatusCodes; ++i) {
      if (refusals.codes[i] == 0) continue;
      snapshot.rejected.push_back(
          {refusals.transport, static_cast<absl::StatusCode>(i), refusals.codes[i]});
    }
  }
  return snapshot;
}

// ---- snapshots ------------------------------------------------------------------------------

std::chrono::nanoseconds LatencySnapshot::Percentile(double percent) const {
  if (count == 0) return std::chrono::nanoseconds::zero();
  const double wanted = std::clamp(percent, 0.0, 100.0) / 100.0 * static_cast<double>(count);
  std::uint64_t seen = 0;
  for (const Bucket& bucket : buckets) {
    seen += bucket.count;
    if (static_cast<double>(seen) >= wanted) return bucket.upper;
  }
  return buckets.back().upper;
}

std::chrono::nanoseconds LatencySnapshot::Mean() const {
  return count == 0 ? std::chrono::nanoseconds::zero() : sum / static_cast<std::int64_t>(count);
}

std::int64_t WorkerSnapshot::lag() const {
  std::int64_t sum = 0;
  for (const Partition& each : partitions) sum += std::max<std::int64_t>(each.lag, 0);
  return sum;
}

const WorkerSnapshot* StatsSnapshot::FindWorker(std::string_view name) const {
  for (const WorkerSnapshot& worker : workers) {
    if (worker.name == name) return &worker;
  }
  return nullptr;
}

const EventSnapshot* StatsSnapshot::FindEvents(std::string_view subject) const {
  for (const EventSnapshot& row : events) {
    if (row.subject == subject) return &row;
  }
  return nullptr;
}

const MethodSnapshot* StatsSnapshot::Find(std::string_view method,
                                          std::string_view transport) const {
  for (const MethodSnapshot& row : methods) {
    if (row.method == method && row.transport == transport) return &row;
  }
  return nullptr;
}

std::uint64_t StatsSnapshot::calls() const {
  std::uint64_t sum = 0;
  for (const MethodSnapshot& row : methods) sum += row.calls;
  return sum;
}

std::uint64_t StatsSnapshot::in_flight() const {
  std::uint64_t sum = 0;
  for (const MethodSnapshot& row : methods) sum += row.in_flight;
  return sum;
}

std::uint64_t StatsSnapshot::total_rejected() const {
  std::uint64_t sum = 0;
  for (const MethodSnapshot& row : methods) sum += row.rejected;
  for (const RejectedSnapshot& row : rejected) sum += row.count;
  return sum;
}

std::string StatsSnapshot::ToString() const {
  std::size_t width = 6;
  for (const MethodSnapshot& row : methods) width = std::max(width, row.method.size());
  std::string table =
      absl::StrFormat("%-*s  %-9s %10s %9s %8s %8s %9s %9s\n", static_cast<int>(width), "method",
                      "transport", "calls", "failed", "rejected", "running", "p50 us", "p99 us");
  const auto micros = [](std::chrono::nanoseconds d) {
    return static_cast<double>(d.count()) / 1000.0;
  };
  for (const MethodSnapshot& row : methods) {
    absl::StrAppendFormat(&table, "%-*s  %-9s %10d %9d %8d %8d %9.1f %9.1f\n",
                          static_cast<int>(width), row.method, row.transport, row.calls,
                          row.calls - row.code(absl::StatusCode::kOk), row.rejected, row.in_flight,
                          micros(row.latency.Percentile(50)), micros(row.latency.Percentile(99)));
  }
  for (const RejectedSnapshot& row : rejected) {
    absl::StrAppendFormat(&table, "rejected  %-9s %10d %s\n", row.transport, row.count,
                          absl::StatusCodeToString(row.code));
  }
  for (const EventSnapshot& row : events) {
    absl::StrAppendFormat(&table, "events    %-9s %10d received %d lost %d repeated  %s\n",
                          row.transport, row.received, row.lost, row.repeated, row.subject);
  }
  return table;
}

}  // namespace rookery
