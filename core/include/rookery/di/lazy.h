// Lazy: a provider that is looked up at its first use, not when its user is constructed.
//
//   class Cats {
//    public:
//     explicit Cats(rookery::Lazy<Dogs> dogs) : dogs_(dogs) {}    // Dogs may ask for Cats&
//     void Meow() { dogs_->Bark(); }
//
//    private:
//     rookery::Lazy<Dogs> dogs_;
//   };
//
// It breaks a cycle on purpose (Nest's forwardRef between providers), lets a singleton use what is
// made once per call, and puts off what a lazily imported module provides until it is needed.
#ifndef ROOKERY_DI_LAZY_H_
#define ROOKERY_DI_LAZY_H_

#include <memory>
#include <utility>

#include "rookery/di/inject.h"
#include "rookery/runtime/task.h"

namespace rookery {

namespace internal {

// Where a Lazy or a Proxy finds its instance. Thread-safe.
class LazyCell {
 public:
  LazyCell() = default;
  LazyCell(const LazyCell&) = delete;
  LazyCell& operator=(const LazyCell&) = delete;
  virtual ~LazyCell() = default;

  // The instance; never null. Throws RpcException with what is wrong.
  [[nodiscard]] virtual std::shared_ptr<void> Get() = 0;
  // The same where making it may take time. Fails with what is wrong.
  [[nodiscard]] virtual Task<std::shared_ptr<void>> Resolve() = 0;
};

template <class T>
Task<std::shared_ptr<T>> ResolveCell(std::shared_ptr<LazyCell> cell) {
  std::shared_ptr<void> instance = co_await cell->Resolve();
  co_return std::static_pointer_cast<T>(std::move(instance));
}

}  // namespace internal

// See the top of this file. T is a type or Inject<kToken>. Copyable; copies are the same. That
// somebody provides T is checked at start-up, as for any other dependency.
//
// What it finds depends on the scope of T:
//  - a singleton: that one, once it is made; asking in a constructor that runs before is an error;
//  - per loop: the instance of the loop that this thread runs;
//  - request: the instance of the call that runs on this thread, made now if it is not there yet;
//    where there is no call, that of the context around (Cls::Run), and an error without one;
//  - transient: one of its own, made at the first use.
//
// Not for what a constructor can ask for outright: a plain T& is checked more and costs less.
template <class T>
class Lazy final {
 public:
  using value_type = typename internal::InjectedValue<T>::type;

  // For the container.
  explicit Lazy(std::shared_ptr<internal::LazyCell> cell) noexcept : cell_(std::move(cell)) {}

  // The instance: valid as long as its scope lasts (a call's, until the call ends). Throws
  // RpcException (FAILED_PRECONDITION) with the reason where there is none, or what making it
  // failed with. An instance that a Task makes has to be resolved first.
  [[nodiscard]] value_type& get() const { return *static_cast<value_type*>(cell_->Get().get()); }
  value_type& operator*() const { return get(); }
  value_type* operator->() const { return &get(); }

  // The same, waiting for a factory that is a Task.
  [[nodiscard]] Task<std::shared_ptr<value_type>> Resolve() const {
    return internal::ResolveCell<value_type>(cell_);
  }

 private:
  std::shared_ptr<internal::LazyCell> cell_;
};

}  // namespace rookery

#endif  // ROOKERY_DI_LAZY_H_
