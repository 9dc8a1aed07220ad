// Mistakes with tasks and streams: never linked; see compile_errors_test.cc.
#include "rookery/runtime/stream.h"
#include "rookery/runtime/task.h"

namespace {

using rookery::Stream;
using rookery::Task;

Task<void> Work();

// expect: rookery: a Task is awaited once, as an rvalue: write co_await std::move(task)
Task<void> AwaitsALvalue() {
  Task<void> work = Work();
  co_await work;
}

// expect: rookery: Task<T&>: return a pointer instead
constexpr auto kSize = sizeof(Task<int&>);

// expect: rookery: Stream<T>: T must be a plain object type
Stream<const int> constants;

}  // namespace
