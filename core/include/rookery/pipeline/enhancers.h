// The verbs that controllers, methods and applications share: UseGuard, UseInterceptor, UsePipe and
// UseFilter. And GlobalEnhancers, those of a whole application.
//
//   controller.UseGuard<AuthGuard>();                                 // made and injected by the
//       container
//   controller.UseGuard(std::make_shared<QuotaGuard>(100));           // made here
//   app.UseGlobalFilter<ProblemFilter>();
//
// Enhancer is the common name of guards, interceptors, pipes and filters.
#ifndef ROOKERY_PIPELINE_ENHANCERS_H_
#define ROOKERY_PIPELINE_ENHANCERS_H_

#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "rookery/di/provider.h"
#include "rookery/di/token.h"
#include "rookery/pipeline/exception_filter.h"
#include "rookery/pipeline/guard.h"
#include "rookery/pipeline/interceptor.h"
#include "rookery/pipeline/pipe.h"
#include "rookery/pipeline/pre_request.h"

namespace rookery {

namespace internal {

using EnhancerFunction = std::variant<GuardFunction, InterceptorFunction, PipeFunction,
                                      FilterFunction, PreRequestFunction>;

// One use of an enhancer: what to call, and on which instance.
struct EnhancerUse {
  EnhancerFunction function;
  Token token;                     // for the container, unless there is an instance
  std::shared_ptr<void> instance;  // of exactly the enhancer's class
  std::source_location where;
  // Whether the instance is to be used at all; null: it is. See MountedEnhancer.
  bool (*mounted)(const void* instance) = nullptr;
};

// The base of an enhancer that may turn out, once it is made, not to be wanted: then it costs
// nothing. For the framework's own.
class MountedEnhancer {
 public:
  [[nodiscard]] virtual bool mounted() const = 0;

 protected:
  ~MountedEnhancer() = default;
};

// What takes the place of the class `replaced` wherever that is used as an enhancer of the same
// kind: see TestingModule.
struct EnhancerOverride {
  Token replaced;
  EnhancerUse with;
  std::optional<ProviderSpec> provider;  // of with.token, unless `with` has its instance
};

// Enhancers in the order used, and the providers of those that the container makes. `injectables`
// may be shared by several lists.
class EnhancerList {
 public:
  explicit EnhancerList(std::vector<ProviderSpec>* injectables) noexcept
      : injectables_(injectables) {}

  // `provider` null: `use` has its instance.
  void Add(EnhancerUse use, ProviderSpec (*provider)(std::source_location where));
  [[nodiscard]] const std::vector<EnhancerUse>& uses() const noexcept { return uses_; }
  // Whether it was used here. The injectables are left as they are.
  bool Override(const EnhancerOverride& replacement);
  // Whether the container has to make a `token` for this list.
  [[nodiscard]] bool Needs(const Token& token) const noexcept;
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
    return UseClass<G>(internal::MakeGuardFunction<G>(), where);
  }
  template <class G>
  Self& UseGuard(std::shared_ptr<G> guard, Where where = Where::current()) {
    return UseInstance<G>(internal::MakeGuardFunction<G>(), std::move(guard), where);
  }
  template <class I>
  Self& UseInterceptor(Where where = Where::current()) {
    return UseClass<I>(internal::MakeInterceptorFunction<I>(), where);
  }
  template <class I>
  Self& UseInterceptor(std::shared_ptr<I> interceptor, Where where = Where::current()) {
    return UseInstance<I>(internal::MakeInterceptorFunction<I>(), std::move(interceptor), where);
  }
  template <class P>
  Self& UsePipe(Where where = Where::current()) {
    return UseClass<P>(internal::MakePipeFunction<P>(), where);
  }
  template <class P>
  Self& UsePipe(std::shared_ptr<P> pipe, Where where = Where::current()) {
    return UseInstance<P>(internal::MakePipeFunction<P>(), std::move(pipe), where);
  }
  template <class F>
  Self& UseFilter(Where where = Where::current()) {
    return UseClass<F>(internal::MakeFilterFunction<F>(), where);
  }
  template <class F>
  Self& UseFilter(std::shared_ptr<F> filter, Where where = Where::current()) {
    return UseInstance<F>(internal::MakeFilterFunction<F>(), std::move(filter), where);
  }

  // For the framework.
  [[nodiscard]] const internal::EnhancerList& enhancers() const noexcept { return enhancers_; }
  [[nodiscard]] internal::EnhancerList& enhancers() noexcept { return enhancers_; }

 protected:
  explicit EnhancerVerbs(std::vector<ProviderSpec>* injectables) noexcept
      : enhancers_(injectables) {}
  ~EnhancerVerbs() = default;
  EnhancerVerbs(EnhancerVerbs&&) = default;
  EnhancerVerbs& operator=(EnhancerVerbs&&) = default;

  internal::EnhancerList enhancers_;

  // Apart from the other, so that an instance's class need not be one that can be injected into.
  template <class E, class Function>
  Self& UseClass(Function function, Where where) {
    return Add<E>(function, nullptr, &MakeProvider<E>, where);
  }
  template <class E, class Function>
  Self& UseInstance(Function function, std::shared_ptr<E> instance, Where where) {
    if (instance == nullptr) {
      throw std::invalid_argument("rookery: UseGuard and its kin were given a null instance");
    }
    return Add<E>(function, std::move(instance), nullptr, where);
  }

 private:
  template <class E, class Function>
  Self& Add(Function function, std::shared_ptr<void> instance,
            ProviderSpec (*provider)(std::source_location where), Where where) {
    internal::EnhancerUse use;
    use.function = function;
    use.token = Token::Of<E>();
    use.instance = std::move(instance);
    use.where = where;
    if constexpr (std::is_base_of_v<internal::MountedEnhancer, E>) {
      use.mounted = [](const void* enhancer) { return static_cast<const E*>(enhancer)->mounted(); };
    }
    enhancers_.Add(std::move(use), provider);
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

  // What runs before all guards, and before anything is made for the call: see pre_request.h.
  template <class H>
  GlobalEnhancers& UsePreRequestHook(Where where = Where::current()) {
    return UseClass<H>(internal::MakePreRequestFunction<H>(), where);
  }
  template <class H>
  GlobalEnhancers& UsePreRequestHook(std::shared_ptr<H> hook, Where where = Where::current()) {
    return UseInstance<H>(internal::MakePreRequestFunction<H>(), std::move(hook), where);
  }

  // The providers of the classes named, each once, for the container.
  [[nodiscard]] std::span<const ProviderSpec> injectables() const noexcept { return *injectables_; }
  // For the framework: whether the replaced class was used here.
  bool Override(const internal::EnhancerOverride& replacement);

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
template <class H>
void DescribePreRequestHook(GlobalEnhancers& enhancers) {
  enhancers.UsePreRequestHook<H>();
}

}  // namespace rookery

#endif  // ROOKERY_PIPELINE_ENHANCERS_H_
