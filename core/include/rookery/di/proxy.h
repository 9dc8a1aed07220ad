// Proxy: a handle that any provider may keep, and that means another instance in each call.
//
//   class AuditLog {                                            // a singleton
//    public:
//     explicit AuditLog(rookery::Proxy<CurrentUser> user) : user_(user) {}
//     void Record(std::string_view what) { Write(user_->name(), what); }   // the call's own user
//
//    private:
//     rookery::Proxy<CurrentUser> user_;
//   };
//
// What nestjs-cls calls proxy providers: request scope without its users becoming request-scoped.
#ifndef ROOKERY_DI_PROXY_H_
#define ROOKERY_DI_PROXY_H_

#include <memory>
#include <utility>

#include "rookery/di/inject.h"
#include "rookery/di/lazy.h"
#include "rookery/runtime/task.h"

namespace rookery {

// See the top of this file. T is a request-scoped (or per-loop) provider, a type or Inject<kToken>;
// a singleton is a fault at start-up: it needs no proxy. Copyable.
//
// The instance is that of the current context: the call that runs here, or a Cls::Run outside any
// call; made at the first use, shared with all who ask for T in the same context.
template <class T>
class Proxy final {
 public:
  using value_type = typename internal::InjectedValue<T>::type;

  // For the container.
  explicit Proxy(std::shared_ptr<internal::LazyCell> cell) noexcept : cell_(std::move(cell)) {}

  // The present context's instance, valid until that context ends. Throws RpcException
  // (FAILED_PRECONDITION) outside any context, and where a Task makes it that nobody has awaited:
  // see Resolve.
  [[nodiscard]] value_type& get() const { return *static_cast<value_type*>(cell_->Get().get()); }
  value_type& operator*() const { return get(); }
  value_type* operator->() const { return &get(); }

  // The same, waiting for a factory that is a Task (nestjs-cls: proxy.resolve()). After that, get()
  // does in this context.
  [[nodiscard]] Task<std::shared_ptr<value_type>> Resolve() const {
    return internal::ResolveCell<value_type>(cell_);
  }

  // For the framework.
  [[nodiscard]] const std::shared_ptr<internal::LazyCell>& cell() const noexcept { return cell_; }

 private:
  std::shared_ptr<internal::LazyCell> cell_;
};

}  // namespace rookery

#endif  // ROOKERY_DI_PROXY_H_
