#include "rookery/runtime/context.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>
#include <utility>

namespace rookery {

Context::~Context() {
  // In this order: no cancellation may arrive while the rest goes, and the values may live in the
  // parent, or point into it.
  parent_cancel_.Disarm();
  ClearValues();
  delete[] more_slots_;
  if (parent_ != nullptr) parent_->Unref();
}

Context* Context::NewChild(Context* parent, Nesting nesting) {
  auto child = std::make_unique<Context>();
  if (parent != nullptr) {
    parent->Ref();
    child->parent_ = parent;
    child->deadline_ = parent->deadline_;
    child->call_ = parent->call_;
    child->running_name_ = parent->running_name_;
    if (nesting == Nesting::kInherit) child->CopyValuesFrom(*parent);
    if (nesting == Nesting::kShare) child->store_ = parent->store_;
    child->parent_cancel_.Arm(
        parent->cancel_token(),
        [](void* argument) noexcept {
          auto* const self = static_cast<Context*>(argument);
          // Whoever is woken by this may drop the last reference.
          if (!self->TryRef()) return;
          self->cancel_.Cancel(self->parent_->cancel_.reason());
          self->Unref();
        },
        child.get());
  }
  return child.release();
}

Context* Context::NewDetached(Context* parent) {
  auto child = std::make_unique<Context>();
  if (parent != nullptr) {
    parent->Ref();
    child->parent_ = parent;
    child->call_ = parent->call_;
    child->running_name_ = parent->running_name_;
    child->CopyValuesFrom(*parent);
  }
  return child.release();
}

bool Context::TryRef() noexcept {
  std::uint32_t refs = refs_.load(std::memory_order_relaxed);
  while (refs != 0) {
    if (refs_.compare_exchange_weak(refs, refs + 1, std::memory_order_relaxed)) return true;
  }
  return false;
}

bool Context::SetText(const ContextKeyBase& key, std::string_view text) {
  if (key.from_text == nullptr) return false;
  Slot& slot = store_->Prepare(key);
  if (!key.from_text(text, slot.storage)) return false;
  slot.value = slot.storage;
  return true;
}

void Context::Erase(const ContextKeyBase& key) noexcept {
  Context& from = *store_;
  for (std::uint32_t i = 0; i < from.count_; ++i) {
    Slot& slot = from.SlotAt(i);
    if (slot.key != &key) continue;
    void* const value = std::exchange(slot.value, nullptr);
    if (value != nullptr) key.destroy(value);
    return;
  }
}

void Context::OnUnreferenced() noexcept {
  // While all of it is there still: a request-scoped provider may look at its call to the last.
  DropValues();
  delete this;
}

void Context::ResetContext() noexcept {
  parent_cancel_.Disarm();
  ClearValues();
  store_ = this;
  if (parent_ != nullptr) std::exchange(parent_, nullptr)->Unref();
  if (call_ != this) call_ = nullptr;
  deadline_ = kNoDeadline;
  running_name_ = {};
  cancel_.Reset();
  refs_.store(1, std::memory_order_release);
}

void* Context::FindMany(const ContextKeyBase* key) const noexcept {
  for (std::uint32_t i = 0; i < count_; ++i) {
    const Slot& slot = SlotAt(i);
    if (slot.key == key) return slot.value;
  }
  return nullptr;
}

Context::Slot& Context::Prepare(const ContextKeyBase& key) {
  for (std::uint32_t i = 0; i < count_; ++i) {
    Slot& slot = SlotAt(i);
    if (slot.key != &key) continue;
    void* const value = std::exchange(slot.value, nullptr);
    if (value != nullptr) key.destroy(value);
    return slot;
  }
  return AddSlot(key);
}

Context::Slot& Context::AddSlot(const ContextKeyBase& key) {
  if (count_ == kInlineSlots + more_capacity_) {
    const std::uint32_t capacity = more_capacity_ == 0 ? kInlineSlots : more_capacity_ * 2;
    auto grown = std::make_unique<Slot[]>(capacity);
    std::copy_n(more_slots_, more_capacity_, grown.get());
    delete[] more_slots_;
    more_slots_ = grown.release();
    more_capacity_ = capacity;
  }
  Slot& slot = SlotAt(count_);
  slot = Slot{&key, nullptr, nullptr, false};
  const std::size_t at = (used_bytes_ + key.align - 1) & ~(key.align - 1);
  if (key.align <= alignof(std::max_align_t) && at + key.size <= kInlineBytes) {
    slot.storage = inline_bytes_ + at;
    used_bytes_ = static_cast<std::uint32_t>(at + key.size);
  } else {
    slot.storage = ::operator new(key.size, std::align_val_t{key.align});
    slot.heap = true;
  }
  ++count_;
  return slot;
}

void Context::CopyValuesFrom(const Context& other) {
  const Context& from = *other.store_;
  for (std::uint32_t i = 0; i < from.count_; ++i) {
    const Slot& source = from.SlotAt(i);
    if (source.value == nullptr) continue;
    Slot& slot = AddSlot(*source.key);
    source.key->copy(source.value, slot.storage);
    slot.value = slot.storage;
  }
}

void Context::ClearValues() noexcept {
  // Later values may refer to earlier ones.
  while (count_ > 0) {
    const Slot slot = SlotAt(--count_);
    if (slot.value != nullptr) slot.key->destroy(slot.value);
    if (slot.heap) ::operator delete(slot.storage, std::align_val_t{slot.key->align});
  }
  used_bytes_ = 0;
}

}  // namespace rookery
