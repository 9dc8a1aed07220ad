#include "load.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace rookery::bench {
namespace {

// Nanoseconds of CPU, user and system, that all threads of the process have used, those that ended
// included.
std::int64_t CpuNanoseconds(pid_t pid) {
  clockid_t clock{};
  timespec now{};
  if (pid == 0 || clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &now) != 0)
    return 0;
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

double Percentile(std::vector<std::uint32_t>& sorted, double share) {
  if (sorted.empty()) return 0;
  const auto last = static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<std::size_t>(share * last)] / 1000.0;
}

// The server stopped answering. Only what a signal handler may call.
void GiveUp(int /*signal*/) {
  constexpr char kText[] = "client: gave up, the server has stopped answering\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kText, sizeof kText - 1);
  _exit(1);
}

bool WaitForRunner() {
  char line[16];
  return std::fgets(line, sizeof line, stdin) != nullptr;
}

}  // namespace

// 64 bytes that no other slot sends, so that a reply meant for another call is an error.
std::string Payload(int slot) {
  std::string text = "slot " + std::to_string(slot) + " ";
  while (text.size() < kPayloadBytes) text.push_back(static_cast<char>('a' + text.size() % 26));
  return text;
}

Load::Load(const Flags& flags)
    : outstanding_(flags.Int("outstanding", 16)),
      warmup_calls_(flags.Int("warmup_calls", 0)),
      calls_(flags.Int("calls", 0)),
      warmup_(flags.Int("warmup_ms", 200)),
      duration_(flags.Int("duration_ms", 1000)),
      server_(flags.Int("server_pid", 0)),
      wait_(flags.Int("wait", 0) != 0) {
  tally_.latencies_ns.reserve(kMostLatencies);
  std::signal(SIGALRM, GiveUp);
  alarm(static_cast<unsigned>(flags.Int("give_up_s", 60)));
}

int Load::Run() {
  Until(warmup_calls_, warmup_);
  if (wait_) {
    std::puts("WARM");
    std::fflush(stdout);
    if (!WaitForRunner()) return 1;
  }
  tally_.Start();
  const std::int64_t cpu_before = CpuNanoseconds(server_);
  const std::int64_t own_before = CpuNanoseconds(getpid());
  const Clock::time_point began = Clock::now();
  Until(calls_, duration_);
  const Clock::time_point ended = Clock::now();
  const std::int64_t own = CpuNanoseconds(getpid()) - own_before;
  const std::int64_t cpu = CpuNanoseconds(server_) - cpu_before;
  Report(std::chrono::duration<double>(ended - began).count(), cpu, own);
  if (wait_) WaitForRunner();

  tally_.stopping = true;
  while (tally_.in_flight > 0) Step();
  return tally_.errors == 0 ? 0 : 1;
}

// Until so many calls are done, or, if that is 0, until the time is over. Gives up at the first
// error: a wrong server is not worth measuring.
void Load::Until(int calls, std::chrono::milliseconds time) {
  const std::uint64_t target = tally_.calls + static_cast<std::uint64_t>(calls);
  const Clock::time_point end = Clock::now() + time;
  while (tally_.errors == 0 && (calls > 0 ? tally_.calls < target : Clock::now() < end)) Step();
}

void Load::Report(double seconds, std::int64_t server_ns, std::int64_t client_ns) {
  std::sort(tally_.latencies_ns.begin(), tally_.latencies_ns.end());
  const auto calls = static_cast<double>(std::max<std::uint64_t>(tally_.calls, 1));
  const auto messages = static_cast<double>(tally_.messages);
  std::printf(
      "{\"calls\": %llu, \"errors\": %llu, \"wall_s\": %.4f, \"calls_per_s\": %.0f, "
      "\"messages_per_s\": %.0f, "
      "\"p50_us\": %.1f, \"p99_us\": %.1f, \"server_cpu_us_per_call\": %.3f, "
      "\"server_cpu_us_per_message\": %.3f, "
      "\"client_cpu_us_per_call\": %.3f}\n",
      static_cast<unsigned long long>(tally_.calls), static_cast<unsigned long long>(tally_.errors),
      seconds, static_cast<double>(tally_.calls) / seconds, messages / seconds,
      Percentile(tally_.latencies_ns, 0.5), Percentile(tally_.latencies_ns, 0.99),
      static_cast<double>(server_ns) / 1000 / calls,
      static_cast<double>(server_ns) / 1000 / std::max(messages, 1.0),
      static_cast<double>(client_ns) / 1000 / calls);
  std::fflush(stdout);
  if (tally_.errors > 0) std::fprintf(stderr, "client: %s\n", tally_.first_error.c_str());
}

}  // namespace rookery::bench
