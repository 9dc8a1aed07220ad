// ScopeStore: the instances that one context, one durable key or one loop has of its own.
//
//   std::shared_ptr<ScopeStore> store = StoreOf(*Context::Current());
//   ScopeStore::Claim claim = store->Begin(key);
//   if (claim.mine()) claim.Finish(instance);           // or drop it: the next one tries again
//
// Who makes an instance claims its key first, so that it is made once however many ask.
#ifndef ROOKERY_SRC_DI_SCOPE_STORE_H_
#define ROOKERY_SRC_DI_SCOPE_STORE_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "rookery/di/scope.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/event.h"

namespace rookery::internal {

// See the top of this file. Thread-safe. Destroys the instances, last made first.
class ScopeStore final {
 public:
  using Key = std::uint64_t;

  // `context` is what the instances are made in; null: none in particular.
  explicit ScopeStore(Context* context = nullptr) noexcept : context_(context) {}
  ~ScopeStore();
  ScopeStore(const ScopeStore&) = delete;
  ScopeStore& operator=(const ScopeStore&) = delete;

  // What came of asking for a key: it is there, somebody else is making it, or it is the caller's
  // to make; then a Claim that goes without Finish gives it back.
  class [[nodiscard]] Claim final {
   public:
    Claim(Claim&& other) noexcept
        : made_(std::move(other.made_)),
          busy_(std::move(other.busy_)),
          by_this_thread_(other.by_this_thread_),
          store_(std::exchange(other.store_, nullptr)),
          key_(other.key_) {}
    Claim& operator=(Claim&&) = delete;
    ~Claim() {
      if (store_ != nullptr) store_->Abandon(key_);
    }
    [[nodiscard]] const std::shared_ptr<void>& made() const noexcept { return made_; }
    [[nodiscard]] bool mine() const noexcept { return store_ != nullptr; }
    // Set when whoever makes it has ended.
    [[nodiscard]] const std::shared_ptr<Event>& busy() const noexcept { return busy_; }
    // Whether this thread makes it, further up its stack, without waiting for anything.
    [[nodiscard]] bool by_this_thread() const noexcept { return by_this_thread_; }
    // Said by the maker before it waits.
    void WillWait() noexcept { store_->WillWait(key_); }
    void Finish(std::shared_ptr<void> instance) {
      std::exchange(store_, nullptr)->Finish(key_, std::move(instance));
    }

   private:
    friend class ScopeStore;
    Claim() noexcept = default;
    std::shared_ptr<void> made_;
    std::shared_ptr<Event> busy_;
    bool by_this_thread_ = false;
    ScopeStore* store_ = nullptr;
    Key key_ = 0;
  };
  Claim Begin(Key key);
  // Null unless it is there.
  [[nodiscard]] std::shared_ptr<void> Find(Key key) const;
  // Blocks this thread until nobody is making it (it is there, or was given back); false if that
  // takes longer than `until`. For those who cannot co_await busy().
  [[nodiscard]] bool WaitWhileMade(Key key, std::chrono::steady_clock::time_point until);

  // What else belongs to this context alone: found by an address.
  void Attach(const void* key, std::shared_ptr<void> thing);
  [[nodiscard]] std::shared_ptr<void> Attached(const void* key) const;

  // The tree of durable instances that this context uses, once known.
  [[nodiscard]] std::shared_ptr<ScopeStore> durable(std::uint32_t container) const;
  // The first one set stays; gives the one that holds.
  std::shared_ptr<ScopeStore> SetDurable(std::uint32_t container,
                                         std::shared_ptr<ScopeStore> durable);
  void set_key(std::shared_ptr<DurableKey> key) noexcept { durable_key_ = std::move(key); }
  [[nodiscard]] const std::shared_ptr<DurableKey>& key() const noexcept { return durable_key_; }

  // Null after End().
  [[nodiscard]] Context* context() const noexcept;
  // The context is about to go.
  void End() noexcept;
  [[nodiscard]] bool ended() const noexcept;

 private:
  static constexpr std::size_t kNotMade = static_cast<std::size_t>(-1);
  struct Entry {
    std::size_t made = kNotMade;  // where in order_
    std::shared_ptr<Event> busy;  // for those who wait; made by the first of them
    std::thread::id maker;        // of none once the maker waits
  };
  void Finish(Key key, std::shared_ptr<void> instance);
  void Abandon(Key key) noexcept;
  void WillWait(Key key) noexcept;

  mutable std::mutex mutex_;
  std::condition_variable settled_;  // for those who block
  Context* context_;
  bool ended_ = false;
  absl::flat_hash_map<Key, Entry> entries_;
  std::vector<std::shared_ptr<void>> order_;
  std::vector<std::pair<const void*, std::shared_ptr<void>>> attached_;
  std::vector<std::pair<std::uint32_t, std::shared_ptr<ScopeStore>>> durable_;
  std::shared_ptr<DurableKey> durable_key_;
};

// The store of the call that `context` belongs to, or of the context itself outside calls. Made at
// the first use; on the thread that runs the call.
[[nodiscard]] std::shared_ptr<ScopeStore> StoreOf(Context& context);

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_DI_SCOPE_STORE_H_
