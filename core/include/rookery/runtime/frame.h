// Frames of coroutines: where they are allocated, the guard against a compiler bug, and how a
// coroutine that ends tells whoever awaits it.
//
// Part of Task and Stream; nothing here is meant to be used directly.
#ifndef ROOKERY_RUNTIME_FRAME_H_
#define ROOKERY_RUNTIME_FRAME_H_

#include <coroutine>
#include <cstddef>
#include <new>

namespace rookery::internal {

// Frames are recycled through per-thread free lists by size class; a frame may be freed on another
// thread than it was made on. Under sanitizers, and when MALLOC_PERTURB_ is set, each frame is an
// allocation of its own, so that nothing hides a use after free.
//
// Here, and not in the .cc file, because the compiler knows most frames' sizes: what is left is to
// take the head of one list. A thread's lists stay empty, and its room nothing, where frames are
// not recycled.
struct FreeFrameNode {
  FreeFrameNode* next;
};
struct FrameCache {
  static constexpr std::size_t kClassBytes = 64;
  static constexpr std::size_t kClasses = 64;  // up to 4 KiB; larger frames go to the allocator
  [[nodiscard]] static constexpr std::size_t ClassOf(std::size_t size) noexcept {
    return (size - 1) / kClassBytes;
  }

  FreeFrameNode* lists[kClasses];
  std::size_t room;  // how many bytes more the lists may hold; 0 until the first free
  bool open;         // whether the thread keeps frames
  bool ended;        // it does no more: it is ending
};
inline constinit thread_local FrameCache tls_frames{};
[[nodiscard]] void* AllocateFrameSlow(std::size_t size);
void FreeFrameSlow(void* frame, std::size_t size) noexcept;
// How many bytes this thread keeps for reuse now.
[[nodiscard]] std::size_t CachedFrameBytes() noexcept;

[[nodiscard]] inline void* AllocateFrame(std::size_t size) {
  const std::size_t index = FrameCache::ClassOf(size);
  if (index < FrameCache::kClasses) [[likely]] {
    FrameCache& cache = tls_frames;
    FreeFrameNode* const node = cache.lists[index];
    if (node != nullptr) [[likely]] {
      cache.lists[index] = node->next;
      cache.room += (index + 1) * FrameCache::kClassBytes;
      return node;
    }
  }
  return AllocateFrameSlow(size);
}

inline void FreeFrame(void* frame, std::size_t size) noexcept {
  const std::size_t index = FrameCache::ClassOf(size);
  const std::size_t bytes = (index + 1) * FrameCache::kClassBytes;
  FrameCache& cache = tls_frames;
  if (index < FrameCache::kClasses && bytes <= cache.room) [[likely]] {
    cache.room -= bytes;
    cache.lists[index] = ::new (frame) FreeFrameNode{cache.lists[index]};
    return;
  }
  FreeFrameSlow(frame, size);
}

// A base of what is made for each call or message: its memory comes from the same lists. Freed as
// what it was made as, or through a virtual destructor.
class Recycled {
 public:
  static void* operator new(std::size_t size) { return AllocateFrame(size); }
  static void operator delete(void* object, std::size_t size) noexcept { FreeFrame(object, size); }

 protected:
  ~Recycled() = default;
};

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
