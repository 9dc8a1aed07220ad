// The verbs that controllers, methods and applications share: UseGuard, UseInterceptor, UsePipe and
// UseFilter. And GlobalEnhancers, those of a whole application.
//
//   controller.UseGuard<AuthGuard>();                                 // made and injected by the container
//   controller.UseGuard(std::make_shared<QuotaGuard>(100));           // made here
//   app.UseGlobalFilter<ProblemFilter>();
//
// Enhancer is the common name of guards, interceptors, pipes and filters.
#ifndef ROOKERY_PIPELINE_ENHANCERS_H_
#define ROOKERY_PIPELINE_ENHANCERS_H_

#include <memory>
#include <source_location>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "rookery/di/provider.h"
#include "rookery/di/token.h"
#include "rookery/pipeline/exception_filter.h"
#include "rookery/pipeline/guard.h"
#include "rookery/pipeline/interceptor.h"
#include "rookery/pipeline/pipe.h"

namespace rookery {

namespace internal {

// One use of an enhancer: what to call, and on which instance.
struct EnhancerUse {
  std::variant<GuardFunction, InterceptorFunction, PipeFunction, FilterFunction> function;
  Token token;                     // for the container, unless there is an instance
  std::shared_ptr<void> instance;  // of exactly the enhancer's class
  std::source_location where;
};

// Enhancers in the order used, and the providers of those that the container makes. `injectables` may
// be shared by several lists.
class EnhancerList {
 public:
  explicit EnhancerList(std::vector<ProviderSpec>* injectables) noexcept
      : injectables_(injectables) {}

  // `provider` null: `use` has its instance.
  void Add(EnhancerUse use, ProviderSpec (*provider)(std::source_location where));
  [[nodiscard]] const std::vector<EnhancerUse>& uses() const noexcept { return uses_; }
  void set_injectables(std::vector<ProviderSpec>* injectables) noexcept {
    injectables_ = injectables;
  }

 private:
  std::vector<EnhancerUse> uses_;
  std::vector<ProviderSpec>* injectables_;
};

}  // namespace internal

// The verbs. Each says: use this one, after those named before; and returns the builder, so they
// chain. A class is made by the container, once per module, with what its constructor asks for; an
// instance is used as it is, shared by all calls of all threads: it must be thread-safe.
template <class Self>
class EnhancerVerbs {
 public:
  using Where = std::source_location;

  template <class G>
  Self& UseGuard(Where where = Where::current()) {
    return Use<G>(internal::MakeGuardFunction<G>(), nullptr, where);
  }
  template <class G>
  Self& UseGuard(std::shared_ptr<G> guard, Where where = Where::current()) {
    return Use<G>(internal::MakeGuardFunction<G>(), std::move(guard), where);
  }
  template <class I>
  Self& UseInterceptor(Where where = Where::current()) {
    return Use<I>(internal::MakeInterceptorFunction<I>(), nullptr, where);
  }
  template <class I>
  Self& UseInterceptor(std::shared_ptr<I> interceptor, Where where = Where::current()) {
    return Use<I>(internal::MakeInterceptorFunction<I>(), std::move(interceptor), where);
  }
  template <class P>
  Self& UsePipe(Where where = Where::current()) {
    return Use<P>(internal::MakePipeFunction<P>(), nullptr, where);
  }
  template <class P>
  Self& UsePipe(std::shared_ptr<P> pipe, Where where = Where::current()) {
    return Use<P>(internal::MakePipeFunction<P>(), std::move(pipe), where);
  }
  template <class F>
  Self& UseFilter(Where where = Where::current()) {
    return Use<F>(internal::MakeFilterFunction<F>(), nullptr, where);
  }
  template <class F>
  Self& UseFilter(std::shared_ptr<F> filter, Where where = Where::current()) {
    return Use<F>(internal::MakeFilterFunction<F>(), std::move(filter), where);
  }

  // For the framework.
  [[nodiscard]] const internal::EnhancerList& enhancers() const noexcept { return enhancers_; }

 protected:
  explicit EnhancerVerbs(std::vector<ProviderSpec>* injectables) noexcept
      : enhancers_(injectables) {}
  ~EnhancerVerbs() = default;
  EnhancerVerbs(EnhancerVerbs&&) = default;
  EnhancerVerbs& operator=(EnhancerVerbs&&) = default;

  internal::EnhancerList enhancers_;

 private:
  template <class E, class Function>
  Self& Use(Function function, std::shared_ptr<E> instance, Where where) {
    internal::EnhancerUse use;
    use.function = function;
    use.token = Token::Of<E>();
    use.where = where;
    const bool made_here = instance != nullptr;
    use.instance = std::move(instance);
    enhancers_.Add(std::move(use), made_here ? nullptr : &MakeProvider<E>);
    return static_cast<Self&>(*this);
  }
  template <class E>
  static ProviderSpec MakeProvider(std::source_location where) {
    return ClassProvider<E>(where);
  }
};

// The enhancers of all controllers of an application. Movable.
class GlobalEnhancers final : public EnhancerVerbs<GlobalEnhancers> {
 public:
  GlobalEnhancers() : GlobalEnhancers(std::make_unique<std::vector<ProviderSpec>>()) {}

  // The providers of the classes named, each once, for the container.
  [[nodiscard]] std::span<const ProviderSpec> injectables() const noexcept { return *injectables_; }

 private:
  explicit GlobalEnhancers(std::unique_ptr<std::vector<ProviderSpec>> injectables)
      : EnhancerVerbs(injectables.get()), injectables_(std::move(injectables)) {}

  std::unique_ptr<std::vector<ProviderSpec>> injectables_;
};

// What ModuleBuilder::GlobalGuard<G>() and its kin keep the address of.
template <class G>
void DescribeGlobalGuard(GlobalEnhancers& enhancers) {
  enhancers.UseGuard<G>();
}
template <class I>
void DescribeGlobalInterceptor(GlobalEnhancers& enhancers) {
  enhancers.UseInterceptor<I>();
}
template <class P>
void DescribeGlobalPipe(GlobalEnhancers& enhancers) {
  enhancers.UsePipe<P>();
}
template <class F>
void DescribeGlobalFilter(GlobalEnhancers& enhancers) {
  enhancers.UseFilter<F>();
}

}  // namespace rookery

#endif  // ROOKERY_PIPELINE_ENHANCERS_H_
