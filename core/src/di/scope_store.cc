#include "di/scope_store.h"

#include <utility>

#include "rookery/runtime/rpc_exception.h"

namespace rookery {

namespace internal {

namespace {

// A context's share of its store. The one that was set ends it; a nested context has a copy, which
// goes before the context that it was copied from.
class ScopeHandle final {
 public:
  explicit ScopeHandle(std::shared_ptr<ScopeStore> store) noexcept
      : store_(std::move(store)), owner_(true) {}
  ScopeHandle(const ScopeHandle& other) noexcept : store_(other.store_) {}
  ScopeHandle(ScopeHandle&& other) noexcept
      : store_(std::move(other.store_)), owner_(std::exchange(other.owner_, false)) {}
  ScopeHandle& operator=(const ScopeHandle&) = delete;
  ScopeHandle& operator=(ScopeHandle&&) = delete;
  ~ScopeHandle() {
    if (owner_) store_->End();
  }
  [[nodiscard]] const std::shared_ptr<ScopeStore>& store() const noexcept { return store_; }

 private:
  std::shared_ptr<ScopeStore> store_;
  bool owner_ = false;
};

constexpr ContextKey<ScopeHandle> kScopeKey{"rookery.scope"};

}  // namespace

std::shared_ptr<ScopeStore> StoreOf(Context& context) {
  Context& owner = context.call() != nullptr ? *context.call() : context;
  if (const ScopeHandle* const handle = owner.Find(kScopeKey)) return handle->store();
  return owner.Set(kScopeKey, ScopeHandle(std::make_shared<ScopeStore>(&owner))).store();
}

ScopeStore::~ScopeStore() {
  attached_.clear();
  entries_.clear();
  while (!order_.empty()) {
    const std::shared_ptr<void> last = std::move(order_.back());
    order_.pop_back();
  }
}

ScopeStore::Claim ScopeStore::Begin(Key key) {
  Claim claim;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto [it, added] = entries_.try_emplace(key);
  Entry& entry = it->second;
  if (added) {
    entry.maker = std::this_thread::get_id();
    claim.store_ = this;
    claim.key_ = key;
  } else if (entry.made != kNotMade) {
    claim.made_ = order_[entry.made];
  } else {
    if (entry.busy == nullptr) entry.busy = std::make_shared<Event>();
    claim.busy_ = entry.busy;
    claim.by_this_thread_ = entry.maker == std::this_thread::get_id();
  }
  return claim;
}

std::shared_ptr<void> ScopeStore::Find(Key key) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto it = entries_.find(key);
  return it == entries_.end() || it->second.made == kNotMade ? nullptr : order_[it->second.made];
}

bool ScopeStore::WaitWhileMade(Key key, std::chrono::steady_clock::time_point until) {
  std::unique_lock<std::mutex> lock(mutex_);
  return settled_.wait_until(lock, until, [this, key] {
    const auto it = entries_.find(key);
    return it == entries_.end() || it->second.made != kNotMade;
  });
}

void ScopeStore::Finish(Key key, std::shared_ptr<void> instance) {
  std::shared_ptr<Event> busy;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    Entry& entry = entries_[key];
    order_.push_back(std::move(instance));
    entry.made = order_.size() - 1;
    busy = std::move(entry.busy);
    settled_.notify_all();
  }
  if (busy != nullptr) busy->Set();
}

void ScopeStore::Abandon(Key key) noexcept {
  std::shared_ptr<Event> busy;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto it = entries_.find(key);
    if (it == entries_.end()) return;
    busy = std::move(it->second.busy);
    entries_.erase(it);
    settled_.notify_all();
  }
  if (busy != nullptr) busy->Set();
}

void ScopeStore::WillWait(Key key) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (const auto it = entries_.find(key); it != entries_.end()) it->second.maker = {};
}

void ScopeStore::Attach(const void* key, std::shared_ptr<void> thing) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto& [known, held] : attached_) {
    if (known == key) {
      held.swap(thing);
      return;
    }
  }
  attached_.emplace_back(key, std::move(thing));
}

std::shared_ptr<void> ScopeStore::Attached(const void* key) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [known, held] : attached_) {
    if (known == key) return held;
  }
  return nullptr;
}

std::shared_ptr<ScopeStore> ScopeStore::durable(std::uint32_t container) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [known, held] : durable_) {
    if (known == container) return held;
  }
  return nullptr;
}

std::shared_ptr<ScopeStore> ScopeStore::SetDurable(std::uint32_t container,
                                                   std::shared_ptr<ScopeStore> durable) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [known, held] : durable_) {
    if (known == container) return held;
  }
  return durable_.emplace_back(container, std::move(durable)).second;
}

Context* ScopeStore::context() const noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  return context_;
}

void ScopeStore::End() noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  context_ = nullptr;
  ended_ = true;
}

bool ScopeStore::ended() const noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  return ended_;
}

}  // namespace internal

std::string_view ScopeName(Scope scope) noexcept {
  switch (scope) {
    case Scope::kSingleton:
      return "singleton";
    case Scope::kPerLoop:
      return "per loop";
    case Scope::kTransient:
      return "transient";
    case Scope::kRequest:
      return "request";
  }
  return "";
}

ContextId ContextId::New() { return ContextId(std::make_shared<internal::ScopeStore>()); }

ContextId ContextId::Of(Context& context) { return ContextId(internal::StoreOf(context)); }

ContextId ContextId::Current() {
  Context* const context = Context::Current();
  if (context == nullptr) {
    throw RpcException(absl::FailedPreconditionError(
        "ContextId::Current() outside any context: call it inside a call or Cls::Run, or make one "
        "with ContextId::New()"));
  }
  return Of(*context);
}

}  // namespace rookery
