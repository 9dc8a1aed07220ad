// All: every provider that was added to one interface by ProvideMulti.
//
//   module.ProvideMulti<Check, DiskCheck>().ProvideMulti<Check, QueueCheck>();
//   explicit Health(rookery::All<Check> checks);                 // asks for them
//   for (Check& check : checks) check.Run();
#ifndef ROOKERY_DI_ALL_H_
#define ROOKERY_DI_ALL_H_

#include <cstddef>
#include <iterator>
#include <memory>
#include <vector>

#include "rookery/di/inject.h"

namespace rookery {

namespace internal {
using Instances = std::vector<std::shared_ptr<void>>;
}  // namespace internal

// The providers added to T (a type, or Inject<kToken>) that are visible: those of the module itself
// first, in the order added, then those that each import exports, in the order imported, then
// those of global modules. None is fine: then it is empty. A view; copyable; valid as long as its
// owner's instance.
template <class T>
class All final {
 public:
  using value_type = typename internal::InjectedValue<T>::type;

  class iterator final {
   public:
    using iterator_category = std::forward_iterator_tag;
    using difference_type = std::ptrdiff_t;
    using value_type = typename internal::InjectedValue<T>::type;
    using pointer = value_type*;
    using reference = value_type&;

    iterator() noexcept = default;
    explicit iterator(internal::Instances::const_iterator at) noexcept : at_(at) {}
    reference operator*() const noexcept { return *static_cast<pointer>(at_->get()); }
    pointer operator->() const noexcept { return static_cast<pointer>(at_->get()); }
    iterator& operator++() noexcept {
      ++at_;
      return *this;
    }
    iterator operator++(int) noexcept {
      iterator old = *this;
      ++at_;
      return old;
    }
    friend bool operator==(const iterator&, const iterator&) noexcept = default;

   private:
    internal::Instances::const_iterator at_;
  };

  // For the container.
  explicit All(const internal::Instances& instances) noexcept : instances_(&instances) {}

  [[nodiscard]] iterator begin() const noexcept { return iterator(instances_->begin()); }
  [[nodiscard]] iterator end() const noexcept { return iterator(instances_->end()); }
  [[nodiscard]] std::size_t size() const noexcept { return instances_->size(); }
  [[nodiscard]] bool empty() const noexcept { return instances_->empty(); }
  // `index` must be less than size().
  [[nodiscard]] value_type& operator[](std::size_t index) const noexcept {
    return *static_cast<value_type*>((*instances_)[index].get());
  }

 private:
  const internal::Instances* instances_;
};

}  // namespace rookery

#endif  // ROOKERY_DI_ALL_H_
