#include "app/signals.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>

namespace rookery::internal {

namespace {

// One pipe per watcher. A handler may run on any thread up to the moment it is uninstalled, and
// even be on its way then: so pipes are never closed, only used again by the next watcher.
struct Slot {
  std::atomic<bool> taken{false};
  std::atomic<std::uint64_t> mask{0};  // bit n: signal n
  std::atomic<int> write_end{-1};
  int read_end = -1;
};
constexpr std::size_t kSlots = 16;
constinit std::array<Slot, kSlots> slots{};

constexpr unsigned char kEnd = 0;
constexpr int kSignals = 64;

// What was installed before the first watcher of a signal came; put back when the last one goes.
struct Installed {
  int watchers = 0;
  struct sigaction before = {};
};
std::mutex& InstalledMutex() {
  static std::mutex mutex;
  return mutex;
}
constinit std::array<Installed, kSignals> installed{};  // guarded by InstalledMutex()

// Only what is async-signal-safe.
void OnSignal(int signal) {
  const int saved = errno;
  for (Slot& slot : slots) {
    if ((slot.mask.load(std::memory_order_acquire) >> static_cast<unsigned>(signal) & 1U) == 0) {
      continue;
    }
    const auto byte = static_cast<unsigned char>(signal);
    // A full pipe holds thousands of signals already: one more says nothing new.
    [[maybe_unused]] const ssize_t written = write(slot.write_end.load(), &byte, 1);
  }
  errno = saved;
}

// 0, or errno.
int Install(int signal) {
  if (signal <= 0 || signal >= kSignals) return EINVAL;
  const std::lock_guard<std::mutex> lock(InstalledMutex());
  Installed& entry = installed[static_cast<std::size_t>(signal)];
  if (entry.watchers == 0) {
    struct sigaction action = {};
    action.sa_handler = &OnSignal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    if (sigaction(signal, &action, &entry.before) != 0) return errno;
  }
  ++entry.watchers;
  return 0;
}

void Uninstall(int signal) {
  const std::lock_guard<std::mutex> lock(InstalledMutex());
  Installed& entry = installed[static_cast<std::size_t>(signal)];
  if (--entry.watchers == 0) sigaction(signal, &entry.before, nullptr);
}

}  // namespace

SignalWatcher::SignalWatcher(const std::vector<int>& signals, std::function<void(int)> on_signal)
    : on_signal_(std::move(on_signal)), slot_(0) {
  while (slot_ < kSlots && slots[slot_].taken.exchange(true)) ++slot_;
  if (slot_ == kSlots) {
    status_ = absl::ResourceExhaustedError("too many applications run in this process at a time");
    return;
  }
  Slot& slot = slots[slot_];
  if (slot.read_end < 0) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
      status_ = absl::ErrnoToStatus(errno, "cannot make a pipe for signals");
      slot.taken = false;
      slot_ = kSlots;
      return;
    }
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    slot.read_end = ends[0];
    slot.write_end = ends[1];
  }
  // The mask first: a signal between the two would be swallowed.
  std::uint64_t mask = 0;
  for (const int signal : signals) {
    if (signal > 0 && signal < kSignals) mask |= std::uint64_t{1} << static_cast<unsigned>(signal);
  }
  slot.mask.store(mask, std::memory_order_release);
  for (const int signal : signals) {
    const int error = Install(signal);
    if (error == 0) {
      signals_.push_back(signal);
    } else {
      status_ = absl::InvalidArgumentError("ApplicationOptions::signals: signal " +
                                           std::to_string(signal) +
                                           " cannot be handled: " + std::strerror(error));
    }
  }
  thread_ = std::thread([this] { Listen(); });
}

SignalWatcher::~SignalWatcher() {
  if (slot_ == kSlots) return;
  for (const int signal : signals_) Uninstall(signal);
  Slot& slot = slots[slot_];
  slot.mask.store(0, std::memory_order_release);
  ssize_t written = 0;
  do {
    written = write(slot.write_end.load(), &kEnd, 1);
  } while (written != 1);
  thread_.join();
  slot.taken = false;
}

void SignalWatcher::Listen() {
  pthread_setname_np(pthread_self(), "rookery-signals");
  const int fd = slots[slot_].read_end;
  while (true) {
    unsigned char byte = 0;
    const ssize_t got = read(fd, &byte, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got != 1 || byte == kEnd) return;
    on_signal_(byte);
  }
}

}  // namespace rookery::internal
