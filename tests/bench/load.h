// What the clients of the benchmarks share: a closed loop that keeps C calls outstanding, checks
// each reply, and prints one line of JSON.
//
//   class MyLoad final : public bench::Load { void Step() override { ... tally().Done(start); } };
//   int main(int argc, char** argv) {
//     const bench::Flags flags(argc, argv);
//     return MyLoad(flags).Run();
//   }
//
// The measured window starts when the warm-up is over with all calls in flight, and ends, in flight
// still, after duration_ms or after `calls` calls: connecting and hanging up are outside. With
// --server_pid the window's share of that process's CPU clock is reported too. With --wait=1 the
// client says WARM after the warm-up, waits for a line before it goes on, and after its JSON waits
// for the end of its input: the runner reads the server's counters in between.
//
// Bounded in count, in time, and by an alarm that ends the process if the server stops answering.
#ifndef ROOKERY_TESTS_BENCH_LOAD_H_
#define ROOKERY_TESTS_BENCH_LOAD_H_

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "flags.h"

namespace rookery::bench {

constexpr std::size_t kPayloadBytes = 64;
constexpr std::size_t kMostLatencies =
    1 << 20;  // 4 MiB of samples; beyond it the rest is counted but not kept

using Clock = std::chrono::steady_clock;

// What the whole run counts. One thread, so nothing here is atomic.
struct Tally {
  std::uint64_t calls = 0;
  std::uint64_t messages = 0;
  std::uint64_t errors = 0;
  std::string first_error;
  std::vector<std::uint32_t> latencies_ns;
  bool stopping = false;
  int in_flight = 0;

  void Start() {
    calls = 0;
    messages = 0;
    latencies_ns.clear();
  }
  void Fail(const std::string& what) {
    if (errors++ == 0) first_error = what;
  }
  void Done(Clock::time_point started) {
    ++calls;
    if (latencies_ns.size() < kMostLatencies) {
      latencies_ns.push_back(static_cast<std::uint32_t>(
          std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - started).count()));
    }
  }
};

// 64 bytes that no other slot sends, so that a reply meant for another call is an error.
[[nodiscard]] std::string Payload(int slot);

class Load {
 public:
  explicit Load(const Flags& flags);
  virtual ~Load() = default;
  // The exit status.
  [[nodiscard]] int Run();

 protected:
  // Waits for something, and deals with it: a call that is done is followed by the next, unless the
  // tally says that it is stopping.
  virtual void Step() = 0;

  [[nodiscard]] Tally& tally() noexcept { return tally_; }
  [[nodiscard]] int outstanding() const noexcept { return outstanding_; }

 private:
  void Until(int calls, std::chrono::milliseconds time);
  void Report(double seconds, std::int64_t server_ns, std::int64_t client_ns);

  const int outstanding_;
  const int warmup_calls_;
  const int calls_;
  const std::chrono::milliseconds warmup_;
  const std::chrono::milliseconds duration_;
  const pid_t server_;
  const bool wait_;
  Tally tally_;
};

}  // namespace rookery::bench

#endif  // ROOKERY_TESTS_BENCH_LOAD_H_
