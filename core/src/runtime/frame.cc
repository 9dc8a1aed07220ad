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

constexpr std::size_t kClassBytes = 64;
constexpr std::size_t kClasses = 64;  // up to 4 KiB; larger frames go to the allocator
constexpr std::size_t kCacheLimit = std::size_t{1} << 20;

struct FreeNode {
  FreeNode* next;
};

// One thread's free frames. Plain data, so that it may be used at any point of the thread's life;
// the guard below empties it at the end of the thread.
struct FrameCache {
  FreeNode* lists[kClasses];
  std::size_t bytes;
  std::size_t limit;  // 0 until the first free, and again once the thread is ending
  bool ended;
};
constinit thread_local FrameCache tls_cache{};

struct CacheGuard {
  CacheGuard() noexcept = default;
  CacheGuard(const CacheGuard&) = delete;
  CacheGuard& operator=(const CacheGuard&) = delete;
  ~CacheGuard() {
    FrameCache& cache = tls_cache;
    cache.limit = 0;
    cache.ended = true;
    for (FreeNode*& list : cache.lists) {
      while (list != nullptr) {
        FreeNode* const node = list;
        list = node->next;
        ::operator delete(node);
      }
    }
    cache.bytes = 0;
  }
};

// The first free on a thread: decides whether it keeps frames at all.
void OpenCache(FrameCache& cache) {
  static const bool perturbed = std::getenv("MALLOC_PERTURB_") != nullptr;
  if (cache.ended || perturbed) return;
  thread_local CacheGuard guard;
  static_cast<void>(&guard);
  cache.limit = kCacheLimit;
}

[[nodiscard]] constexpr std::size_t ClassOf(std::size_t size) noexcept {
  return (size - 1) / kClassBytes;
}

[[gnu::noinline, maybe_unused]] void* AllocateSlow(std::size_t size) {
  const std::size_t index = ClassOf(size);
  return ::operator new(index < kClasses ? (index + 1) * kClassBytes : size);
}

[[gnu::noinline, maybe_unused]] void FreeSlow(void* frame, std::size_t index) noexcept {
  FrameCache& cache = tls_cache;
  if (index < kClasses && cache.limit == 0) OpenCache(cache);
  const std::size_t bytes = (index + 1) * kClassBytes;
  if (index >= kClasses || cache.bytes + bytes > cache.limit) {
    ::operator delete(frame);
    return;
  }
  cache.bytes += bytes;
  cache.lists[index] = ::new (frame) FreeNode{cache.lists[index]};
}

}  // namespace

#ifdef ROOKERY_PLAIN_FRAMES

void* AllocateFrame(std::size_t size) { return ::operator new(size); }
void FreeFrame(void* frame, std::size_t /*size*/) noexcept { ::operator delete(frame); }

#else

void* AllocateFrame(std::size_t size) {
  const std::size_t index = ClassOf(size);
  FrameCache& cache = tls_cache;
  if (index < kClasses) [[likely]] {
    FreeNode* const node = cache.lists[index];
    if (node != nullptr) [[likely]] {
      cache.lists[index] = node->next;
      cache.bytes -= (index + 1) * kClassBytes;
      return node;
    }
  }
  return AllocateSlow(size);
}

void FreeFrame(void* frame, std::size_t size) noexcept {
  const std::size_t index = ClassOf(size);
  FrameCache& cache = tls_cache;
  const std::size_t bytes = (index + 1) * kClassBytes;
  if (index < kClasses && cache.bytes + bytes <= cache.limit) [[likely]] {
    cache.bytes += bytes;
    cache.lists[index] = ::new (frame) FreeNode{cache.lists[index]};
    return;
  }
  FreeSlow(frame, index);
}

#endif

std::size_t CachedFrameBytes() noexcept { return tls_cache.bytes; }

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
