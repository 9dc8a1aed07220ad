// Measures how a program empties a stream of messages, from the first to the last.
//
//   bench::DrainMeter meter(20'000);
//   meter.Count();                 // for each message, on any thread; the first starts the clock
//   meter.WaitAndReport();         // one line of JSON
#ifndef ROOKERY_TESTS_BENCH_DRAIN_METER_H_
#define ROOKERY_TESTS_BENCH_DRAIN_METER_H_

#include <time.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <thread>

namespace rookery::bench {

class DrainMeter final {
 public:
  explicit DrainMeter(int messages) : messages_(messages) {}

  void Count() {
    const int before = counted_.fetch_add(1);
    if (before == 0) Read(&began_cpu_, &began_);
    if (before + 1 == messages_) {
      Read(&ended_cpu_, &ended_);
      done_.store(true);
    }
  }
  // False if they have not come within a minute.
  [[nodiscard]] bool WaitAndReport() {
    for (int i = 0; i < 6'000 && !done_.load(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    if (!done_.load()) {
      std::fprintf(stderr, "%d of %d messages came\n", counted_.load(), messages_);
      return false;
    }
    const double messages = messages_ - 1;
    std::printf("{\"cpu_us_per_message\": %.4f, \"messages_per_s\": %.0f}\n",
                static_cast<double>(ended_cpu_ - began_cpu_) / 1'000 / messages,
                messages * 1e9 / static_cast<double>(ended_ - began_));
    std::fflush(stdout);
    return true;
  }

 private:
  static void Read(std::int64_t* cpu, std::int64_t* wall) {
    *cpu = Now(CLOCK_PROCESS_CPUTIME_ID);
    *wall = Now(CLOCK_MONOTONIC);
  }
  static std::int64_t Now(clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  }

  const int messages_;
  std::atomic<int> counted_{0};
  std::int64_t began_cpu_ = 0;
  std::int64_t began_ = 0;
  std::int64_t ended_cpu_ = 0;  // before done_
  std::int64_t ended_ = 0;      // the same
  std::atomic<bool> done_{false};
};

}  // namespace rookery::bench

#endif  // ROOKERY_TESTS_BENCH_DRAIN_METER_H_
