// C11's threads on POSIX's, for programs under ThreadSanitizer.
//
// librdkafka is built on <threads.h>, which ThreadSanitizer does not intercept
// (https://github.com/llvm/llvm-project/issues/199585): a thread that it has not seen begin takes the
// process down as soon as it calls anything of ours or of libc that it does intercept, and what
// librdkafka's locks order looks like a race. Linked into a program, these come before libc's; in
// glibc the types of both are laid out alike.
#include <pthread.h>
#include <threads.h>

#include <cerrno>
#include <cstdint>
#include <ctime>
#include <memory>

namespace {

static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t));
static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t));
static_assert(sizeof(thrd_t) == sizeof(pthread_t));

pthread_mutex_t* Of(mtx_t* mutex) { return reinterpret_cast<pthread_mutex_t*>(mutex); }
pthread_cond_t* Of(cnd_t* condition) { return reinterpret_cast<pthread_cond_t*>(condition); }

int ToC11(int error) {
  switch (error) {
    case 0:
      return thrd_success;
    case ETIMEDOUT:
      return thrd_timedout;
    case EBUSY:
      return thrd_busy;
    case ENOMEM:
    case EAGAIN:
      return thrd_nomem;
    default:
      return thrd_error;
  }
}

struct Begin {
  thrd_start_t run;
  void* argument;
};

void* Run(void* raw) {
  const std::unique_ptr<Begin> owned(static_cast<Begin*>(raw));
  const Begin begin = *owned;
  return reinterpret_cast<void*>(static_cast<std::intptr_t>(begin.run(begin.argument)));
}

}  // namespace

extern "C" {

int thrd_create(thrd_t* thread, thrd_start_t run, void* argument) {
  auto begin = std::make_unique<Begin>(Begin{run, argument});
  const int error = pthread_create(thread, nullptr, Run, begin.get());
  if (error == 0) static_cast<void>(begin.release());
  return ToC11(error);
}
int thrd_join(thrd_t thread, int* result) {
  void* value = nullptr;
  const int error = pthread_join(thread, &value);
  if (result != nullptr) *result = static_cast<int>(reinterpret_cast<std::intptr_t>(value));
  return ToC11(error);
}

int mtx_init(mtx_t* mutex, int type) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  const bool recursive = (type & mtx_recursive) != 0;
  pthread_mutexattr_settype(&attributes,
                            recursive ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL);
  const int error = pthread_mutex_init(Of(mutex), &attributes);
  pthread_mutexattr_destroy(&attributes);
  return ToC11(error);
}
int mtx_lock(mtx_t* mutex) { return ToC11(pthread_mutex_lock(Of(mutex))); }
int mtx_trylock(mtx_t* mutex) { return ToC11(pthread_mutex_trylock(Of(mutex))); }
int mtx_unlock(mtx_t* mutex) { return ToC11(pthread_mutex_unlock(Of(mutex))); }
void mtx_destroy(mtx_t* mutex) { pthread_mutex_destroy(Of(mutex)); }

int cnd_init(cnd_t* condition) { return ToC11(pthread_cond_init(Of(condition), nullptr)); }
int cnd_signal(cnd_t* condition) { return ToC11(pthread_cond_signal(Of(condition))); }
int cnd_broadcast(cnd_t* condition) { return ToC11(pthread_cond_broadcast(Of(condition))); }
int cnd_wait(cnd_t* condition, mtx_t* mutex) {
  return ToC11(pthread_cond_wait(Of(condition), Of(mutex)));
}
int cnd_timedwait(cnd_t* condition, mtx_t* mutex, const timespec* until) {
  return ToC11(pthread_cond_timedwait(Of(condition), Of(mutex), until));
}
void cnd_destroy(cnd_t* condition) { pthread_cond_destroy(Of(condition)); }

}  // extern "C"
