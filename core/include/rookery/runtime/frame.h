// Frames of coroutines: where they are allocated, the guard against a compiler bug, and how a
// coroutine that ends tells whoever awaits it.
//
// Part of Task and Stream; nothing here is meant to be used directly.
#ifndef ROOKERY_RUNTIME_FRAME_H_
#define ROOKERY_RUNTIME_FRAME_H_

#include <coroutine>
#include <cstddef>

namespace rookery::internal {

// Frames are recycled through per-thread free lists by size class; a frame may be freed on another
// thread than it was made on. Under sanitizers, and when MALLOC_PERTURB_ is set, each frame is an
// allocation of its own, so that nothing hides a use after free.
[[nodiscard]] void* AllocateFrame(std::size_t size);
void FreeFrame(void* frame, std::size_t size) noexcept;
// How many bytes this thread keeps for reuse now.
[[nodiscard]] std::size_t CachedFrameBytes() noexcept;

// g++ before 12.3 lays out the frame of some coroutines wrongly: those with a co_await in the
// condition of an if, while or switch when the outermost block declares no local
// (https://gcc.gnu.org/PR106188). The frame is then smaller than the code believes. The guard turns
// the heap corruption that would follow into an abort that says what to change.
#if defined(__GNUC__) && !defined(__clang__) && \
    (__GNUC__ < 12 || (__GNUC__ == 12 && __GNUC_MINOR__ < 3))
inline constexpr bool kFrameGuard = true;
#else
inline constexpr bool kFrameGuard = false;
#endif
inline constinit thread_local void* tls_last_frame = nullptr;
// Aborts with an explanation, if the two addresses show that bug.
void CheckFrameLayout(void* promised, void* allocated) noexcept;

// The base of every promise: allocation and the guard.
class FrameBase {
 public:
  static void* operator new(std::size_t size) {
    void* const frame = AllocateFrame(size);
    if constexpr (kFrameGuard) tls_last_frame = frame;
    return frame;
  }
  static void operator delete(void* frame, std::size_t size) noexcept { FreeFrame(frame, size); }

 protected:
  // Called by get_return_object.
  static void CheckFrame([[maybe_unused]] void* address) noexcept {
    if constexpr (kFrameGuard) {
      if (address != tls_last_frame) [[unlikely]] {
        CheckFrameLayout(address, tls_last_frame);
      }
    }
  }
};

// How a coroutine that completes while it is being started tells its starter so, instead of
// resuming it: the starter then goes on in a loop, and a million synchronous awaits need constant
// stack.
//
// StartNested() leaves an entry on this thread's list while the coroutine runs for the first time
// (or until the next value, for a Stream). A coroutine that ends finds its own entry on top only
// when its starter is right below it on this very stack; in every other case (another thread, a
// later wake-up) it resumes its continuation. No atomic is needed, since an entry belongs to one
// thread, and whoever wakes a coroutine hides the entries below it (internal::Resume), so that none
// can be mistaken for that of a frame which has since been freed and made anew at the same address.
struct StartEntry {
  void* frame;
  StartEntry* below;
  bool done;
};
inline constinit thread_local StartEntry* tls_starting = nullptr;

// Runs `handle` until it suspends or ends; true if its starter must suspend. From the moment that
// `handle` suspends, it and the starter may be resumed, and destroyed, on another thread: nothing
// of theirs is touched afterwards.
inline bool StartNested(std::coroutine_handle<> handle) noexcept {
  StartEntry entry{handle.address(), tls_starting, false};
  tls_starting = &entry;
  handle.resume();
  tls_starting = entry.below;
  return !entry.done;
}

// Whether `handle`, which has just got its result, was run by a StartNested right below on this
// stack (which has now been told): if not, its continuation must be resumed.
[[nodiscard]] inline bool FinishedNested(std::coroutine_handle<> handle) noexcept {
  StartEntry* const top = tls_starting;
  if (top == nullptr || top->frame != handle.address()) return false;
  top->done = true;
  return true;
}

}  // namespace rookery::internal

#endif  // ROOKERY_RUNTIME_FRAME_H_
