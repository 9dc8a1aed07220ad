// Frames of coroutines: where they are allocated, and the guard against a compiler bug.
//
// Part of Task and Stream; nothing here is meant to be used directly.
#ifndef ROOKERY_RUNTIME_FRAME_H_
#define ROOKERY_RUNTIME_FRAME_H_

#include <coroutine>
#include <cstddef>

namespace rookery::internal {

// Frames are recycled through per-thread free lists by size class; a frame may be freed on another
// thread than it was made on.
[[nodiscard]] void* AllocateFrame(std::size_t size);
void FreeFrame(void* frame, std::size_t size) noexcept;

// g++ before 12.3 lays out the frame of some coroutines wrongly: those with a co_await in the
// condition of an if, while or switch when the outermost block declares no local
// (https://gcc.gnu.org/PR106188). The frame is then smaller than the code believes. FrameGuard turns
// the heap corruption that would follow into an abort that says what to change.
#if defined(__GNUC__) && !defined(__clang__) && \
    (__GNUC__ < 12 || (__GNUC__ == 12 && __GNUC_MINOR__ < 3))
#define ROOKERY_INTERNAL_FRAME_GUARD 1
inline constinit thread_local void* tls_last_frame = nullptr;
[[noreturn]] void FrameLayoutBroken() noexcept;
#endif

// The base of every promise: allocation and the guard.
class FrameBase {
 public:
  static void* operator new(std::size_t size) {
    void* const frame = AllocateFrame(size);
#ifdef ROOKERY_INTERNAL_FRAME_GUARD
    tls_last_frame = frame;
#endif
    return frame;
  }
  static void operator delete(void* frame, std::size_t size) noexcept { FreeFrame(frame, size); }

 protected:
  // Called by get_return_object.
  static void CheckFrame([[maybe_unused]] void* address) noexcept {
#ifdef ROOKERY_INTERNAL_FRAME_GUARD
    if (address != tls_last_frame) FrameLayoutBroken();
#endif
  }
};
#ifdef ROOKERY_INTERNAL_FRAME_GUARD
#undef ROOKERY_INTERNAL_FRAME_GUARD
#endif

// How a coroutine that completes while it is being started tells its starter so, instead of resuming
// it: the starter then goes on in a loop, and a million synchronous awaits need constant stack.
//
// Start() leaves an entry on this thread's list while the coroutine runs for the first time (or until
// the next value, for a Stream). A coroutine that ends finds its own entry on top only when its
// starter is right below it on this very stack; in every other case (another thread, a later wake-up)
// it resumes its continuation. No atomic is needed, since the entry belongs to one thread.
struct StartEntry {
  void* frame;
  StartEntry* below;
  bool done;
};
inline constinit thread_local StartEntry* tls_starting = nullptr;

// Runs `handle` until it suspends or ends; true if its starter must suspend.
inline bool StartNested(std::coroutine_handle<> handle) noexcept {
  StartEntry entry{handle.address(), tls_starting, false};
  tls_starting = &entry;
  handle.resume();
  tls_starting = entry.below;
  return !entry.done;
}

// The other half: `handle` has a result for `continuation`.
inline void FinishNested(std::coroutine_handle<> handle,
                         std::coroutine_handle<> continuation) noexcept {
  StartEntry* const top = tls_starting;
  if (top != nullptr && top->frame == handle.address()) {
    top->done = true;
  } else {
    continuation.resume();
  }
}

}  // namespace rookery::internal

#endif  // ROOKERY_RUNTIME_FRAME_H_
