#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "rookery/runtime/fake_clock.h"
#include "rookery/runtime/hooks.h"
#include "rookery/runtime/loop.h"
#include "runtime/asio_loop.h"
#include "runtime/loop_base.h"

namespace rookery {

namespace {

void NameThisThread(const std::string& name) noexcept {
  // The kernel takes 15 characters; the number at the end tells threads apart.
  const std::string text =
      name.size() <= 15 ? name : name.substr(0, 11) + name.substr(name.size() - 4);
  pthread_setname_np(pthread_self(), text.c_str());
}

// Looks at the loops a few times in the span that is allowed, and reports each unit of work that
// was there all the while, once. Reads no clock on the loops' threads.
class Watchdog final {
 public:
  Watchdog(std::chrono::milliseconds limit, std::vector<std::string> names)
      : limit_(limit), names_(std::move(names)), pulses_(names_.size()) {}
  ~Watchdog() { Stop(); }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  [[nodiscard]] internal::LoopPulse* pulse(std::size_t loop) noexcept { return &pulses_[loop]; }
  void Start(const std::string& name) {
    thread_ = std::thread([this, name] {
      NameThisThread(name);
      Run();
    });
  }
  void Stop() noexcept {
    if (!thread_.joinable()) return;
    {
      const std::scoped_lock lock(mutex_);
      stopped_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

 private:
  struct Seen {
    std::uint64_t turn = 0;
    Deadline since{};
    bool reported = false;
  };

  void Run() {
    const auto period =
        std::max<std::chrono::milliseconds>(limit_ / 4, std::chrono::milliseconds(1));
    std::vector<Seen> seen(pulses_.size());
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, period, [this] { return stopped_; })) {
      const Deadline now = std::chrono::steady_clock::now();
      for (std::size_t i = 0; i < pulses_.size(); ++i) Look(i, now, seen[i]);
    }
  }

  void Look(std::size_t loop, Deadline now, Seen& seen) const noexcept {
    const internal::LoopPulse& pulse = pulses_[loop];
    const std::uint64_t turn = pulse.turn.load(std::memory_order_relaxed);
    if (turn != seen.turn || turn % 2 == 0) {
      seen = Seen{turn, now, false};
      return;
    }
    const auto held = std::chrono::duration_cast<std::chrono::milliseconds>(now - seen.since);
    if (seen.reported || held < limit_) return;
    const std::string_view running = pulse.ReadName();
    // Still the same: the name is that of what held the loop.
    if (pulse.turn.load(std::memory_order_relaxed) != turn) return;
    seen.reported = true;
    internal::ReportHeldLoop({names_[loop], running, held});
  }

  const std::chrono::milliseconds limit_;
  const std::vector<std::string> names_;
  std::vector<internal::LoopPulse> pulses_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopped_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace

struct LoopPool::Impl {
  std::vector<std::unique_ptr<internal::AsioLoop>> loops;
  std::unique_ptr<Watchdog> watchdog;
  std::vector<std::thread> threads;
  std::atomic<std::size_t> next{0};
  std::mutex stop_mutex;
};

LoopPool::LoopPool() : LoopPool(Options()) {}

LoopPool::LoopPool(Options options) : impl_(std::make_unique<Impl>()) {
  std::size_t count = options.threads;
  if (count == 0) count = std::max(1U, std::thread::hardware_concurrency());
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.push_back(absl::StrCat(options.name, "-", i));
  for (const std::string& name : names) {
    impl_->loops.push_back(std::make_unique<internal::AsioLoop>(name));
  }
  if (options.watchdog.count() > 0) {
    impl_->watchdog = std::make_unique<Watchdog>(options.watchdog, names);
    for (std::size_t i = 0; i < count; ++i) impl_->loops[i]->set_pulse(impl_->watchdog->pulse(i));
    impl_->watchdog->Start(absl::StrCat(options.name, "-dog"));
  }
  for (const auto& loop : impl_->loops) loop->set_clock(internal::ThreadClock());
  for (const auto& loop : impl_->loops) {
    impl_->threads.emplace_back([raw = loop.get()] {
      NameThisThread(raw->name());
      raw->Run();
    });
  }
}

LoopPool::~LoopPool() { Stop(); }

std::size_t LoopPool::size() const noexcept { return impl_->loops.size(); }

Loop& LoopPool::operator[](std::size_t index) noexcept { return *impl_->loops[index]; }

Loop& LoopPool::Pick() noexcept {
  Loop* const current = Loop::Current();
  for (const auto& loop : impl_->loops) {
    if (loop.get() == current) return *loop;
  }
  return *impl_->loops[impl_->next.fetch_add(1, std::memory_order_relaxed) % impl_->loops.size()];
}

void LoopPool::Stop() noexcept {
  const std::scoped_lock lock(impl_->stop_mutex);
  for (const auto& loop : impl_->loops) loop->Stop();
  for (std::thread& thread : impl_->threads) {
    if (thread.joinable()) thread.join();
  }
  if (impl_->watchdog != nullptr) impl_->watchdog->Stop();
}

}  // namespace rookery
