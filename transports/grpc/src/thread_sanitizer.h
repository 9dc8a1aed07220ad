// What ThreadSanitizer cannot see: that starting an operation happens before its completion comes
// out of the queue. Debian's gRPC, which passes the tag from thread to thread, is not instrumented.
#ifndef ROOKERY_TRANSPORTS_GRPC_SRC_THREAD_SANITIZER_H_
#define ROOKERY_TRANSPORTS_GRPC_SRC_THREAD_SANITIZER_H_

#if defined(__SANITIZE_THREAD__)
#define ROOKERY_GRPC_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ROOKERY_GRPC_THREAD_SANITIZER 1
#endif
#endif

#ifdef ROOKERY_GRPC_THREAD_SANITIZER
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
#endif

namespace rookery::grpc_adapter {

// Before an operation is started with this tag. Gives the tag back.
inline void* HandOver([[maybe_unused]] void* tag) noexcept {
#ifdef ROOKERY_GRPC_THREAD_SANITIZER
  __tsan_release(tag);
#endif
  return tag;
}

// When the tag has come out of a completion queue.
inline void TakeBack([[maybe_unused]] void* tag) noexcept {
#ifdef ROOKERY_GRPC_THREAD_SANITIZER
  __tsan_acquire(tag);
#endif
}

}  // namespace rookery::grpc_adapter

#endif  // ROOKERY_TRANSPORTS_GRPC_SRC_THREAD_SANITIZER_H_
