// Context: what follows a call wherever it goes — its values (CLS), deadline and cancellation.
//
//   inline constexpr rookery::ContextKey<std::string> kUserId{"user.id"};
//   rookery::Context::Current()->Set(kUserId, "u-1");        // inside a call
//   const std::string* user = rookery::Context::Current()->Find(kUserId);
//
// The current context is a thread-local pointer. Every framework awaitable saves it when a
// coroutine suspends and puts it back when the coroutine resumes, on whichever thread that is; the
// code that resumes a coroutine never sees the pointer changed (internal::Resume). So a context is
// seen by all that the call awaits, spawns or posts, and by nothing else.
//
// Most users want rookery/platform/cls.h, which is a friendlier face of the same thing.
#ifndef ROOKERY_RUNTIME_CONTEXT_H_
#define ROOKERY_RUNTIME_CONTEXT_H_

#include <atomic>
#include <charconv>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "rookery/runtime/cancel.h"
#include "rookery/runtime/frame.h"

namespace rookery {

// A point in time on the monotonic clock; kNoDeadline means none.
using Deadline = std::chrono::steady_clock::time_point;
inline constexpr Deadline kNoDeadline = Deadline::max();

// What a ContextKey is without its value's type. Identity is the key's address: declare keys
// `inline constexpr` at namespace scope.
struct ContextKeyBase {
  std::string_view name;
  bool propagates = false;                              // may travel to other processes (baggage)
  std::string (*to_text)(const void* value) = nullptr;  // for propagation and logs; may be null
  bool (*from_text)(std::string_view text,
                    void* storage) = nullptr;          // constructs T in storage
  void (*copy)(const void* from, void* to) = nullptr;  // copy-constructs T
  void (*destroy)(void* value) = nullptr;
  std::size_t size = 0;
  std::size_t align = 0;
};

// Turns a context value into text and back, for logs and for W3C baggage. Given here for strings,
// integers and bool; specialise it for a type of your own.
template <class T>
struct ContextText {
  static constexpr bool kDefined = false;
};

// Whether a key's value may leave the process.
enum class Propagation : std::uint8_t { kLocal, kBaggage };

// A typed key of the context. `name` is used in logs and as the baggage member's name. T must be
// copyable: nested contexts copy their parent's values (wrap others in std::shared_ptr).
template <class T>
struct ContextKey final : ContextKeyBase {
  static_assert(std::is_copy_constructible_v<T>,
                "ContextKey<T>: T must be copyable, because a nested context "
                "copies its parent's "
                "values; use std::shared_ptr<T> instead");
  consteval explicit ContextKey(std::string_view key_name,
                                Propagation propagation = Propagation::kLocal);
  ContextKey(const ContextKey&) = delete;
  ContextKey& operator=(const ContextKey&) = delete;
};

class Context;

namespace internal {
inline constinit thread_local Context* tls_context = nullptr;
}  // namespace internal

// The values, deadline and cancellation of one call, or of a nested part of it.
//
// Lifetime: counted references (Ref/Unref); a call holds one, each spawned task holds one. When the
// last goes, OnUnreferenced() runs (frees by default; a transport recycles its slot instead).
// Threads: values are touched by one thread at a time, that which runs the call; the count and the
// cancellation are thread-safe.
class Context {
 public:
  // How a nested context begins: nestjs-cls `ifNested`. (Its `reuse` needs no new context at all.)
  enum class Nesting : std::uint8_t {
    kInherit,   // a copy of the parent's values; later changes stay apart
    kOverride,  // empty
    kShare,     // the parent's values themselves: only deadline and cancellation
                // are its own
  };

  // The context of whatever runs on this thread, or null outside any.
  [[nodiscard]] static Context* Current() noexcept { return internal::tls_context; }

  Context() noexcept = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  virtual ~Context();

  // A heap-allocated context below `parent` (may be null: a root), with one reference, which
  // ContextRef::Adopt takes. It has the parent's deadline and is cancelled with it.
  [[nodiscard]] static Context* NewChild(Context* parent, Nesting nesting = Nesting::kInherit);
  // As NewChild(parent, kInherit), but without the parent's deadline and cancellation: for work
  // that must end even though its call was given up. See SpawnDetached.
  [[nodiscard]] static Context* NewDetached(Context* parent);

  void Ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
  void Unref() noexcept {
    // Nobody can find a context that only the caller refers to, except through the callback that a
    // parent's cancellation runs: without a parent no locked instruction is needed.
    if ((parent_ == nullptr && unique()) || refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      OnUnreferenced();
    }
  }
  // True when the caller's is the only reference.
  [[nodiscard]] bool unique() const noexcept { return refs_.load(std::memory_order_acquire) == 1; }

  // The value under `key`, or null. Valid until the key is set again or erased, or the context
  // ends.
  template <class T>
  [[nodiscard]] T* Find(const ContextKey<T>& key) noexcept {
    return static_cast<T*>(FindRaw(&key));
  }
  template <class T>
  [[nodiscard]] const T* Find(const ContextKey<T>& key) const noexcept {
    return static_cast<const T*>(FindRaw(&key));
  }
  // The same for a key whose type is not known here.
  [[nodiscard]] const void* FindErased(const ContextKeyBase& key) const noexcept {
    return FindRaw(&key);
  }
  // Sets or replaces the value under `key`; returns it.
  template <class T, class U = T>
  T& Set(const ContextKey<T>& key, U&& value);
  // Sets the value under `key` from text, as it came from another process; false if the key has no
  // text form or the text does not parse.
  bool SetText(const ContextKeyBase& key, std::string_view text);
  // Removes the value under `key`, if there is one.
  void Erase(const ContextKeyBase& key) noexcept;
  // Calls fn(const ContextKeyBase&, const void* value) for each value, in the order first set.
  template <class Fn>
  void ForEach(Fn&& fn) const {
    const Context& from = *store_;
    for (std::uint32_t i = 0; i < from.count_; ++i) {
      const Slot& slot = from.SlotAt(i);
      if (slot.value != nullptr) fn(*slot.key, static_cast<const void*>(slot.value));
    }
  }

  [[nodiscard]] Deadline deadline() const noexcept { return deadline_; }
  // Only ever earlier: a later deadline than the present one is ignored. Whoever sets it sees to it
  // that the context is cancelled then: WithTimeout does both.
  void TightenDeadline(Deadline deadline) noexcept {
    if (deadline < deadline_) deadline_ = deadline;
  }

  [[nodiscard]] CancelSource& cancel_source() noexcept { return cancel_; }
  [[nodiscard]] CancelToken cancel_token() noexcept { return CancelToken(&cancel_); }
  [[nodiscard]] bool cancelled() const noexcept { return cancel_.cancelled(); }

  // The innermost call that this context belongs to (a CallContext), or null. Nested contexts share
  // their call's. See CallContext::Current().
  [[nodiscard]] Context* call() const noexcept { return call_; }

  // What the watchdog calls the code that runs in this context; empty if nobody said. The text must
  // outlive the process's loops: the name of a method does. See internal::RunningScope.
  [[nodiscard]] std::string_view running_name() const noexcept { return running_name_; }
  void set_running_name(std::string_view name) noexcept { running_name_ = name; }

 protected:
  // Runs when the last reference goes. The default drops the values and deletes this.
  virtual void OnUnreferenced() noexcept;

  // Destroys the values. Before anything else of a call goes, since they may refer to it: by those
  // who override OnUnreferenced.
  void DropValues() noexcept {
    if (count_ != 0) ClearValues();
  }

  // Back to the state after construction, for recycling: values destroyed, deadline and
  // cancellation cleared, one reference. A context that is its own call() stays so.
  void ResetContext() noexcept;

  // Ref and Unref without a locked instruction. RefUnshared: while no other thread knows of this.
  // UnrefSecond: by one who holds both of the last two references; false, and nothing done, if
  // there are more.
  void RefUnshared() noexcept {
    refs_.store(refs_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  [[nodiscard]] bool UnrefSecond() noexcept {
    if (parent_ != nullptr || refs_.load(std::memory_order_acquire) != 2) return false;
    refs_.store(1, std::memory_order_relaxed);
    return true;
  }

  void set_deadline(Deadline deadline) noexcept { deadline_ = deadline; }
  void set_call(Context* call) noexcept { call_ = call; }
  // Copies of another's values, which replace those of the same keys.
  void CopyValuesFrom(const Context& other);

 private:
  struct Slot {
    const ContextKeyBase* key;
    void* value;    // null while there is none
    void* storage;  // where it is put
    bool heap;
  };
  static constexpr std::uint32_t kInlineSlots = 6;
  static constexpr std::uint32_t kInlineBytes = 192;

  // Few keys, in one or two cache lines: nothing beats looking at each.
  [[nodiscard]] void* FindRaw(const ContextKeyBase* key) const noexcept {
    const Context& from = *store_;
    const std::uint32_t count = from.count_;
    if (count > kInlineSlots) [[unlikely]] {
      return from.FindMany(key);
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      if (from.slots_[i].key == key) return from.slots_[i].value;
    }
    return nullptr;
  }
  [[nodiscard]] void* FindMany(const ContextKeyBase* key) const noexcept;
  [[nodiscard]] const Slot& SlotAt(std::uint32_t index) const noexcept {
    return index < kInlineSlots ? slots_[index] : more_slots_[index - kInlineSlots];
  }
  [[nodiscard]] Slot& SlotAt(std::uint32_t index) noexcept {
    return const_cast<Slot&>(std::as_const(*this).SlotAt(index));
  }
  // A slot for the key with room for its value: one that had a value has been emptied.
  Slot& Prepare(const ContextKeyBase& key);
  Slot& AddSlot(const ContextKeyBase& key);
  void ClearValues() noexcept;
  bool TryRef() noexcept;

  Context* store_ = this;  // whose values these are: another's with Nesting::kShare
  std::uint32_t count_ = 0;
  std::uint32_t more_capacity_ = 0;
  std::uint32_t used_bytes_ = 0;
  std::atomic<std::uint32_t> refs_{1};
  Context* call_ = nullptr;
  Context* parent_ = nullptr;  // referenced: keeps a recycled call alive while a nested one is
  Deadline deadline_ = kNoDeadline;
  std::string_view running_name_;
  CancelSource cancel_;
  CancelCallback parent_cancel_;
  Slot* more_slots_ = nullptr;  // those after the first few
  Slot slots_[kInlineSlots];
  alignas(std::max_align_t) unsigned char inline_bytes_[kInlineBytes];
};

// Makes `context` current on this thread until the end of the scope. Not across a co_await.
class [[nodiscard]] ContextScope final {
 public:
  explicit ContextScope(Context* context) noexcept
      : previous_(std::exchange(internal::tls_context, context)) {}
  ~ContextScope() { internal::tls_context = previous_; }
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;

 private:
  Context* previous_;
};

// A counted reference to a context; empty when made from null.
class ContextRef final {
 public:
  ContextRef() noexcept = default;
  // Adds a reference.
  explicit ContextRef(Context* context) noexcept : context_(context) {
    if (context_ != nullptr) context_->Ref();
  }
  // Takes over the caller's reference, e.g. that of Context::NewChild.
  [[nodiscard]] static ContextRef Adopt(Context* context) noexcept {
    ContextRef ref;
    ref.context_ = context;
    return ref;
  }
  ContextRef(ContextRef&& other) noexcept : context_(std::exchange(other.context_, nullptr)) {}
  ContextRef& operator=(ContextRef&& other) noexcept {
    std::swap(context_, other.context_);
    return *this;
  }
  ~ContextRef() {
    if (context_ != nullptr) context_->Unref();
  }
  [[nodiscard]] Context* get() const noexcept { return context_; }
  Context* operator->() const noexcept { return context_; }
  explicit operator bool() const noexcept { return context_ != nullptr; }

 private:
  Context* context_ = nullptr;
};

namespace internal {

// Resumes `handle` and leaves this thread's current context as it was: what every primitive that
// wakes a coroutine must use instead of handle.resume().
inline void Resume(std::coroutine_handle<> handle) noexcept {
  Context* const context = tls_context;
  StartEntry* const starting = std::exchange(tls_starting, nullptr);
  handle.resume();
  tls_starting = starting;
  tls_context = context;
}

}  // namespace internal

// ---- implementation
// -------------------------------------------------------------------------

template <>
struct ContextText<std::string> {
  static constexpr bool kDefined = true;
  static std::string Format(const std::string& value) { return value; }
  static bool Parse(std::string_view text, std::string* value) {
    value->assign(text);
    return true;
  }
};
template <class T>
  requires(std::is_integral_v<T>)
struct ContextText<T> {
  static constexpr bool kDefined = true;
  static std::string Format(const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      return value ? "true" : "false";
    } else {
      return std::to_string(value);
    }
  }
  // Decimal, the whole text, in range; for bool also "true" and "false".
  static bool Parse(std::string_view text, T* value) {
    if constexpr (std::is_same_v<T, bool>) {
      *value = text == "true" || text == "1";
      return *value || text == "false" || text == "0";
    } else {
      using Wide = std::conditional_t<std::is_signed_v<T>, long long, unsigned long long>;
      Wide wide = 0;
      const char* const end = text.data() + text.size();
      const auto [at, error] = std::from_chars(text.data(), end, wide);
      if (error != std::errc() || at != end || text.empty()) return false;
      *value = static_cast<T>(wide);
      return static_cast<Wide>(*value) == wide;
    }
  }
};

template <class T>
consteval ContextKey<T>::ContextKey(std::string_view key_name, Propagation propagation) {
  name = key_name;
  propagates = propagation == Propagation::kBaggage;
  copy = [](const void* from, void* to) { ::new (to) T(*static_cast<const T*>(from)); };
  destroy = [](void* value) { static_cast<T*>(value)->~T(); };
  size = sizeof(T);
  align = alignof(T);
  if constexpr (ContextText<T>::kDefined) {
    to_text = [](const void* value) {
      return ContextText<T>::Format(*static_cast<const T*>(value));
    };
    from_text = [](std::string_view text, void* storage) {
      T value{};
      if (!ContextText<T>::Parse(text, &value)) return false;
      ::new (storage) T(std::move(value));
      return true;
    };
  } else {
    // Not a constant expression, so the compiler stops here and shows this line.
    if (propagates) throw "a key that propagates needs ContextText<T>: specialise it for T";
  }
}

template <class T, class U>
T& Context::Set(const ContextKey<T>& key, U&& value) {
  if constexpr (std::is_nothrow_constructible_v<T, U&&>) {
    if (FindRaw(&key) == nullptr) {
      Slot& slot = store_->Prepare(key);
      T* const placed = ::new (slot.storage) T(std::forward<U>(value));
      slot.value = placed;
      return *placed;
    }
  }
  // The new value may be made from the old one, and making it may throw or use the context.
  T made(std::forward<U>(value));
  Slot& slot = store_->Prepare(key);
  T* const placed = ::new (slot.storage) T(std::move(made));
  slot.value = placed;
  return *placed;
}

}  // namespace rookery

#endif  // ROOKERY_RUNTIME_CONTEXT_H_
