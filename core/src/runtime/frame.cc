#include "rookery/runtime/frame.h"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define ROOKERY_PLAIN_FRAMES 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ROOKERY_PLAIN_FRAMES 1
#endif

namespace rookery::internal {

namespace {

constexpr std::size_t kCacheLimit = std::size_t{1} << 20;

#ifndef ROOKERY_PLAIN_FRAMES

// Empties the cache at the end of the thread. The cache itself is plain data, so that it may be
// used at any point of the thread's life.
struct CacheGuard {
  CacheGuard() noexcept = default;
  CacheGuard(const CacheGuard&) = delete;
  CacheGuard& operator=(const CacheGuard&) = delete;
  ~CacheGuard() {
    FrameCache& cache = tls_frames;
    cache.room = 0;
    cache.open = false;
    cache.ended = true;
    for (FreeFrameNode*& list : cache.lists) {
      while (list != nullptr) {
        FreeFrameNode* const node = list;
        list = node->next;
        ::operator delete(node);
      }
    }
  }
};

// The first free on a thread: decides whether it keeps frames at all.
void OpenCache(FrameCache& cache) {
  static const bool perturbed = std::getenv("MALLOC_PERTURB_") != nullptr;
  if (cache.ended || perturbed) return;
  thread_local CacheGuard guard;
  static_cast<void>(&guard);
  cache.open = true;
  cache.room = kCacheLimit;
}

#endif

}  // namespace

#ifdef ROOKERY_PLAIN_FRAMES

void* AllocateFrameSlow(std::size_t size) { return ::operator new(size); }
void FreeFrameSlow(void* frame, std::size_t /*size*/) noexcept { ::operator delete(frame); }

#else

void* AllocateFrameSlow(std::size_t size) {
  // Of its class's full size: it may be freed on any thread, and then serve any of that class.
  const std::size_t index = FrameCache::ClassOf(size);
  const bool listed = index < FrameCache::kClasses;
  return ::operator new(listed ? (index + 1) * FrameCache::kClassBytes : size);
}

void FreeFrameSlow(void* frame, std::size_t size) noexcept {
  FrameCache& cache = tls_frames;
  const std::size_t index = FrameCache::ClassOf(size);
  if (index < FrameCache::kClasses && !cache.open) {
    OpenCache(cache);
    if (cache.open) {
      FreeFrame(frame, size);
      return;
    }
  }
  ::operator delete(frame);
}

#endif

std::size_t CachedFrameBytes() noexcept {
  return tls_frames.open ? kCacheLimit - tls_frames.room : 0;
}

void CheckFrameLayout(void* promised, void* allocated) noexcept {
  // A coroutine made while the parameters of this one were copied moves tls_last_frame elsewhere:
  // that is no fault. The bug shows as a frame a few bytes off its own allocation.
  const auto distance = static_cast<std::intptr_t>(reinterpret_cast<std::uintptr_t>(promised) -
                                                   reinterpret_cast<std::uintptr_t>(allocated));
  if (distance < -64 || distance > 64) return;
  std::fputs(
      "rookery: this coroutine's frame is laid out wrongly (g++ before 12.3: "
      "https://gcc.gnu.org/PR106188).\n"
      "A co_await stands in the condition of an if, while, do, for or switch. "
      "Bind it to a name first:\n"
      "    const bool ok = co_await Check();\n"
      "    if (!ok) ...\n"
      "The backtrace shows the function. Going on would corrupt the heap.\n",
      stderr);
  std::fflush(stderr);
  std::abort();
}

}  // namespace rookery::internal
