// What CLS costs: reading and writing a value, and carrying the context over an await that
// suspends.
//
// Baselines: a thread_local variable, and the same coroutine awaiting the least awaiter there is.
#include <coroutine>
#include <cstdint>
#include <exception>
#include <string>

#include "micro.h"
#include "rookery/platform/cls.h"
#include "rookery/runtime/await.h"
#include "rookery/runtime/context.h"

namespace rookery::bench {
namespace {

inline constexpr ClsKey<std::string> kUser{"bench.user"};
inline constexpr ClsKey<std::int64_t> kTenant{"bench.tenant"};
inline constexpr ClsKey<std::int64_t> kSteps{"bench.steps"};
inline constexpr ClsKey<std::int64_t> kMore[5] = {
    ClsKey<std::int64_t>("bench.more1"), ClsKey<std::int64_t>("bench.more2"),
    ClsKey<std::int64_t>("bench.more3"), ClsKey<std::int64_t>("bench.more4"),
    ClsKey<std::int64_t>("bench.more5")};

thread_local std::int64_t plain_value = 1;

// A coroutine that runs at once, and stands until it is destroyed.
class Standing final {
 public:
  struct promise_type {
    Standing get_return_object() noexcept {
      return Standing(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
  explicit Standing(std::coroutine_handle<> handle) noexcept : handle_(handle) {}
  Standing(const Standing&) = delete;
  Standing& operator=(const Standing&) = delete;
  ~Standing() { handle_.destroy(); }

 private:
  std::coroutine_handle<> handle_;
};

class Leaf final : public LeafAwaiter {
 public:
  explicit Leaf(Leaf** waiting) noexcept : waiting_(waiting) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    Suspend(handle);
    *waiting_ = this;
  }
  void await_resume() noexcept { Resumed(); }

 private:
  Leaf** const waiting_;
};

class PlainLeaf final {
 public:
  explicit PlainLeaf(std::coroutine_handle<>* waiting) noexcept : waiting_(waiting) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) noexcept { *waiting_ = handle; }
  void await_resume() const noexcept {}

 private:
  std::coroutine_handle<>* const waiting_;
};

Standing AwaitLeaves(Leaf** waiting, std::int64_t* count) {
  for (;;) {
    Leaf leaf(waiting);
    co_await leaf;
    ++*count;
  }
}

Standing AwaitPlainLeaves(std::coroutine_handle<>* waiting, std::int64_t* count) {
  for (;;) {
    PlainLeaf leaf(waiting);
    co_await leaf;
    ++*count;
  }
}

void ReadPlain(int n) {
  for (int i = 0; i < n; ++i) {
    std::int64_t value = plain_value;
    Keep(value);
  }
}

int Run(int argc, char** argv) {
  Micro micro(argc, argv);
  const ContextRef context = ContextRef::Adopt(Context::NewChild(nullptr));
  const ContextScope scope(context.get());
  Cls::Set(kUser, "user-1");
  Cls::Set(kTenant, 7);
  Cls::Set(kSteps, 1);

  // The last of three, as a call with a few values has them.
  micro.Compare(
      "get", "ns",
      [](int n) {
        for (int i = 0; i < n; ++i) {
          const std::int64_t value = *Cls::Get(kSteps);
          Keep(value);
        }
      },
      &ReadPlain);
  micro.Compare(
      "set", "ns",
      [](int n) {
        for (int i = 0; i < n; ++i) {
          Cls::Set(kSteps, i);
          Keep(i);
        }
      },
      [](int n) {
        for (int i = 0; i < n; ++i) {
          plain_value = i;
          Keep(plain_value);
        }
      });
  for (const ClsKey<std::int64_t>& key : kMore) Cls::Set(key, 2);
  micro.Compare(
      "get, the last of 8", "ns",
      [](int n) {
        for (int i = 0; i < n; ++i) {
          const std::int64_t value = *Cls::Get(kMore[4]);
          Keep(value);
        }
      },
      &ReadPlain);

  std::int64_t ours = 0;
  Leaf* leaf = nullptr;
  const Standing standing = AwaitLeaves(&leaf, &ours);
  std::int64_t theirs = 0;
  std::coroutine_handle<> plain_leaf;
  const Standing plain_standing = AwaitPlainLeaves(&plain_leaf, &theirs);
  micro.Compare(
      "added by a suspending await", "ns",
      [&](int n) {
        for (int i = 0; i < n; ++i) leaf->Wake();
      },
      [&](int n) {
        for (int i = 0; i < n; ++i) plain_leaf.resume();
      });
  Keep(ours);
  Keep(theirs);
  return micro.Print();
}

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) { return rookery::bench::Run(argc, argv); }
