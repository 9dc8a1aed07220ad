#include "rookery/runtime/frame.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/runtime/task.h"

namespace rookery {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
#else
constexpr bool kSanitized = false;
#endif

bool Recycles() { return !kSanitized && std::getenv("MALLOC_PERTURB_") == nullptr; }

TEST(Frame, IsRecycledByTheThreadThatFreesIt) {
  if (!Recycles()) GTEST_SKIP() << "frames are not recycled under sanitizers and MALLOC_PERTURB_";
  void* const first = internal::AllocateFrame(200);
  internal::FreeFrame(first, 200);
  void* const second = internal::AllocateFrame(250);  // the same class of 64 bytes
  EXPECT_EQ(first, second);
  void* const other = internal::AllocateFrame(300);
  EXPECT_NE(first, other);
  internal::FreeFrame(second, 250);
  internal::FreeFrame(other, 300);
}

TEST(Frame, TheCacheIsBounded) {
  std::vector<void*> frames;
  for (int i = 0; i < 4000; ++i) frames.push_back(internal::AllocateFrame(1000));
  for (void* frame : frames) internal::FreeFrame(frame, 1000);
  EXPECT_LE(internal::CachedFrameBytes(), std::size_t{1} << 20);
}

TEST(Frame, MayBeFreedOnAnotherThread) {
  std::vector<void*> frames;
  for (int i = 0; i < 1000; ++i) {
    const std::size_t size = 64 + static_cast<std::size_t>(i) * 5;
    frames.push_back(internal::AllocateFrame(size));
    std::memset(frames.back(), 0xab, size);
  }
  std::thread([&frames] {
    for (int i = 0; i < 1000; ++i) {
      internal::FreeFrame(frames[static_cast<std::size_t>(i)],
                          64 + static_cast<std::size_t>(i) * 5);
    }
    for (int i = 0; i < 1000; ++i) internal::FreeFrame(internal::AllocateFrame(700), 700);
  }).join();
}

#include "miscompiled_coroutine.inc"

TEST(FrameGuardDeathTest, StopsACoroutineThatTheCompilerLaidOutWrongly) {
  if constexpr (!internal::kFrameGuard) {
    GTEST_SKIP() << "this compiler has no PR106188: nothing to guard against";
  } else {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
          bool ran = false;
          static_cast<void>(SyncWait(Miscompiled(&ran)));
        },
        "PR106188.*\n.*condition of an if.*\n.*const bool ok = co_await");
  }
}

}  // namespace
}  // namespace rookery
