// LoopPulse: what a loop's thread is doing, for a watchdog to read. Private.
//
//   pulse.Begin();
//   pulse.SetName("Orders/Place");
//   pulse.End();
#ifndef ROOKERY_SRC_RUNTIME_LOOP_PULSE_H_
#define ROOKERY_SRC_RUNTIME_LOOP_PULSE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace rookery::internal {

// What a loop's thread is doing. Written by that thread alone; `turn` is odd while something runs,
// and changes with each unit of work and each name, so that a reader knows whether it read one
// state.
struct LoopPulse {
  std::atomic<std::uint64_t> turn{0};
  std::atomic<std::uint64_t> name_turn{0};  // odd while the name is being changed
  std::atomic<const char*> name{nullptr};
  std::atomic<std::size_t> name_size{0};

  void Begin() noexcept { turn.fetch_add(1, std::memory_order_relaxed); }
  void End() noexcept {
    SetName({});
    turn.fetch_add(1, std::memory_order_relaxed);
  }
  [[nodiscard]] bool running() const noexcept {
    return turn.load(std::memory_order_relaxed) % 2 != 0;
  }
  void SetName(std::string_view text) noexcept {
    name_turn.fetch_add(1, std::memory_order_acq_rel);
    name.store(text.data(), std::memory_order_relaxed);
    name_size.store(text.size(), std::memory_order_relaxed);
    name_turn.fetch_add(1, std::memory_order_release);
  }
  // Only on the loop's thread.
  [[nodiscard]] std::string_view own_name() const noexcept {
    return {name.load(std::memory_order_relaxed), name_size.load(std::memory_order_relaxed)};
  }
  // On any thread; empty if it changes at this moment.
  [[nodiscard]] std::string_view ReadName() const noexcept {
    const std::uint64_t before = name_turn.load(std::memory_order_acquire);
    const std::string_view text = own_name();
    std::atomic_thread_fence(std::memory_order_acquire);
    const std::uint64_t after = name_turn.load(std::memory_order_relaxed);
    return before == after && before % 2 == 0 ? text : std::string_view();
  }
};

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_RUNTIME_LOOP_PULSE_H_
