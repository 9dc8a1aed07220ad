// The one client of the gRPC benchmarks: a closed loop that keeps C calls outstanding over K
// connections, checks each reply, and prints one line of JSON.
//
//   client --port=50051 --mode=unary  --outstanding=64 --connections=4 --warmup_ms=200
//   --duration_ms=800 --server_pid=42 client --port=50051 --mode=stream --outstanding=8
//   --count=1000 ...     // server streaming: messages a second client --port=50051 --mode=unary
//   --outstanding=16 --warmup_calls=500 --calls=3000 --wait=1
//
// The measured window starts when the warm-up is over with all calls in flight, and ends, in flight
// still, after duration_ms or after `calls` calls: connecting and hanging up are outside. With
// --server_pid the window's share of that process's CPU clock is reported too. With --wait=1 the
// client says WARM after the warm-up, waits for a line before it goes on, and after its JSON waits
// for the end of its input: the runner reads the server's counters in between.
//
// Bounded in count, in time, and by an alarm that ends the process if the server stops answering.
#include <grpcpp/grpcpp.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench.grpc.pb.h"
#include "flags.h"

namespace rookery::bench {
namespace {

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
std::string Payload(int slot) {
  std::string text = "slot " + std::to_string(slot) + " ";
  while (text.size() < kPayloadBytes) text.push_back(static_cast<char>('a' + text.size() % 26));
  return text;
}

class Slot {
 public:
  virtual ~Slot() = default;
  virtual void Proceed(bool ok) = 0;
};

class UnarySlot final : public Slot {
 public:
  UnarySlot(int index, Echo::Stub* stub, grpc::CompletionQueue* queue, Tally* tally)
      : stub_(stub), queue_(queue), tally_(tally) {
    request_.set_text(Payload(index));
    Call();
  }

  void Proceed(bool /*ok*/) override {
    --tally_->in_flight;
    if (!status_.ok()) {
      tally_->Fail(status_.error_message());
    } else if (reply_.text() != request_.text()) {
      tally_->Fail("a reply that answers another request: " + reply_.text());
    } else {
      tally_->Done(started_);
    }
    if (!tally_->stopping) Call();
  }

 private:
  void Call() {
    ++tally_->in_flight;
    started_ = Clock::now();
    reader_.reset();
    context_.emplace();
    reader_ = stub_->AsyncSay(&*context_, request_, queue_);
    reader_->Finish(&reply_, &status_, this);
  }

  Echo::Stub* const stub_;
  grpc::CompletionQueue* const queue_;
  Tally* const tally_;
  EchoRequest request_;
  EchoReply reply_;
  grpc::Status status_;
  std::optional<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<EchoReply>> reader_;
  Clock::time_point started_;
};

class StreamSlot final : public Slot {
 public:
  StreamSlot(int index, int count, Echo::Stub* stub, grpc::CompletionQueue* queue, Tally* tally)
      : stub_(stub), queue_(queue), tally_(tally) {
    request_.set_text(Payload(index));
    request_.set_count(count);
    Call();
  }

  void Proceed(bool ok) override {
    switch (state_) {
      case State::kStarting:
        state_ = State::kReading;
        received_ = 0;
        reader_->Read(&reply_, this);
        return;
      case State::kReading:
        if (!ok) {
          state_ = State::kFinishing;
          reader_->Finish(&status_, this);
          return;
        }
        if (reply_.text() == request_.text()) {
          ++received_;
          ++tally_->messages;
        } else {
          tally_->Fail("a message of another stream: " + reply_.text());
        }
        if (tally_->stopping) context_->TryCancel();
        reader_->Read(&reply_, this);
        return;
      case State::kFinishing:
        --tally_->in_flight;
        if (tally_->stopping) return;  // Cut short by us: neither whole nor an error.
        if (!status_.ok()) {
          tally_->Fail(status_.error_message());
        } else if (received_ != request_.count()) {
          tally_->Fail("a stream of " + std::to_string(received_) + " messages");
        } else {
          tally_->Done(started_);
        }
        Call();
        return;
    }
  }

 private:
  enum class State { kStarting, kReading, kFinishing };

  void Call() {
    ++tally_->in_flight;
    started_ = Clock::now();
    state_ = State::kStarting;
    reader_.reset();
    context_.emplace();
    reader_ = stub_->AsyncWatch(&*context_, request_, queue_, this);
  }

  Echo::Stub* const stub_;
  grpc::CompletionQueue* const queue_;
  Tally* const tally_;
  WatchRequest request_;
  EchoReply reply_;
  grpc::Status status_;
  std::optional<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientAsyncReader<EchoReply>> reader_;
  Clock::time_point started_;
  State state_ = State::kStarting;
  int received_ = 0;
};

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

class Load final {
 public:
  explicit Load(const Flags& flags)
      : outstanding_(flags.Int("outstanding", 16)),
        warmup_calls_(flags.Int("warmup_calls", 0)),
        calls_(flags.Int("calls", 0)),
        warmup_(flags.Int("warmup_ms", 200)),
        duration_(flags.Int("duration_ms", 1000)),
        server_(flags.Int("server_pid", 0)),
        wait_(flags.Int("wait", 0) != 0) {
    const std::string target = "127.0.0.1:" + std::to_string(flags.Int("port", 0));
    for (int i = 0; i < flags.Int("connections", 4); ++i) {
      // Channels with equal arguments share one connection.
      grpc::ChannelArguments arguments;
      arguments.SetInt("rookery.bench.connection", i);
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
      auto channel =
          grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
      if (!channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(20))) {
        std::fprintf(stderr, "no server answers on %s\n", target.c_str());
        std::exit(1);
      }
      stubs_.push_back(Echo::NewStub(channel));
    }
    const bool streaming = flags.Text("mode", "unary") == "stream";
    tally_.latencies_ns.reserve(kMostLatencies);
    for (int i = 0; i < outstanding_; ++i) {
      Echo::Stub* const stub = stubs_[static_cast<std::size_t>(i) % stubs_.size()].get();
      if (streaming) {
        slots_.push_back(
            std::make_unique<StreamSlot>(i, flags.Int("count", 1000), stub, &queue_, &tally_));
      } else {
        slots_.push_back(std::make_unique<UnarySlot>(i, stub, &queue_, &tally_));
      }
    }
  }

  int Run() {
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
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
    return tally_.errors == 0 ? 0 : 1;
  }

 private:
  void Step() {
    void* tag = nullptr;
    bool ok = false;
    if (queue_.Next(&tag, &ok)) static_cast<Slot*>(tag)->Proceed(ok);
  }

  // Until so many calls are done, or, if that is 0, until the time is over. Gives up at the first
  // error: a wrong server is not worth measuring.
  void Until(int calls, std::chrono::milliseconds time) {
    const std::uint64_t target = tally_.calls + static_cast<std::uint64_t>(calls);
    const Clock::time_point end = Clock::now() + time;
    while (tally_.errors == 0 && (calls > 0 ? tally_.calls < target : Clock::now() < end)) Step();
  }

  static bool WaitForRunner() {
    char line[16];
    return std::fgets(line, sizeof line, stdin) != nullptr;
  }

  void Report(double seconds, std::int64_t server_ns, std::int64_t client_ns) {
    std::sort(tally_.latencies_ns.begin(), tally_.latencies_ns.end());
    const auto calls = static_cast<double>(std::max<std::uint64_t>(tally_.calls, 1));
    const auto messages = static_cast<double>(tally_.messages);
    std::printf(
        "{\"calls\": %llu, \"errors\": %llu, \"wall_s\": %.4f, \"calls_per_s\": %.0f, "
        "\"messages_per_s\": %.0f, "
        "\"p50_us\": %.1f, \"p99_us\": %.1f, \"server_cpu_us_per_call\": %.3f, "
        "\"server_cpu_us_per_message\": %.3f, "
        "\"client_cpu_us_per_call\": %.3f}\n",
        static_cast<unsigned long long>(tally_.calls),
        static_cast<unsigned long long>(tally_.errors), seconds,
        static_cast<double>(tally_.calls) / seconds, messages / seconds,
        Percentile(tally_.latencies_ns, 0.5), Percentile(tally_.latencies_ns, 0.99),
        static_cast<double>(server_ns) / 1000 / calls,
        static_cast<double>(server_ns) / 1000 / std::max(messages, 1.0),
        static_cast<double>(client_ns) / 1000 / calls);
    std::fflush(stdout);
    if (tally_.errors > 0) std::fprintf(stderr, "client: %s\n", tally_.first_error.c_str());
  }

  const int outstanding_;
  const int warmup_calls_;
  const int calls_;
  const std::chrono::milliseconds warmup_;
  const std::chrono::milliseconds duration_;
  const pid_t server_;
  const bool wait_;
  Tally tally_;
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<Echo::Stub>> stubs_;
  std::vector<std::unique_ptr<Slot>> slots_;
};

// The server stopped answering. Only what a signal handler may call.
void GiveUp(int /*signal*/) {
  constexpr char kText[] = "client: gave up, the server has stopped answering\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kText, sizeof kText - 1);
  _exit(1);
}

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) {
  const rookery::bench::Flags flags(argc, argv);
  std::signal(SIGALRM, rookery::bench::GiveUp);
  alarm(static_cast<unsigned>(flags.Int("give_up_s", 60)));
  return rookery::bench::Load(flags).Run();
}
