// Compiles controllers without an application, and calls them through a LocalChannel.
#ifndef ROOKERY_TESTS_UNIT_PIPELINE_HARNESS_H_
#define ROOKERY_TESTS_UNIT_PIPELINE_HARNESS_H_

#include <cstdlib>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rookery/pipeline/compile.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/rpc/local_channel.h"
#include "rookery/rpc/service.h"
#include "rookery/rpc/stats.h"

namespace rookery::testing {

class Harness final {
 public:
  GlobalEnhancers globals;
  StatsRegistry stats;
  BaggageAllowList accept;
  LocalEndpoint::Options endpoint_options;

  template <class C>
  Harness& Add(std::shared_ptr<C> controller, std::string_view module = "") {
    ControllerBuilder& builder = builders_.emplace_back();
    DescribeController<C>(builder);
    BoundController bound;
    bound.description = &builder;
    bound.instance = std::move(controller);
    bound.resolve = Resolver(builder.injectables());
    bound.module = module;
    bound_.push_back(std::move(bound));
    return *this;
  }
  [[nodiscard]] std::vector<std::string> Check() const { return CheckHandlers(bound_); }
  const HandlerRegistry& registry() {
    if (registry_ == nullptr) {
      std::vector<BoundEnhancers> globals_bound(1);
      globals_bound[0].enhancers = &globals;
      globals_bound[0].resolve = Resolver(globals.injectables());
      auto made = CompileHandlers(bound_, std::move(globals_bound), stats, accept);
      if (!made.ok()) {
        std::cerr << made.status() << "\n";
        std::abort();
      }
      registry_ = *std::move(made);
    }
    return *registry_;
  }
  const std::shared_ptr<LocalEndpoint>& endpoint() {
    if (endpoint_ == nullptr) {
      endpoint_ = std::make_shared<LocalEndpoint>(registry(), endpoint_options);
    }
    return endpoint_;
  }
  template <class Client>
  [[nodiscard]] Client client() {
    return Client(std::make_shared<LocalChannel>(endpoint()));
  }

 private:
  // Makes the classes whose constructors ask for nothing, each once.
  static std::function<std::shared_ptr<void>(const Token&)> Resolver(
      std::span<const ProviderSpec> specs) {
    auto made = std::make_shared<std::map<const void*, std::shared_ptr<void>>>();
    for (const ProviderSpec& spec : specs) {
      internal::Making making;
      spec.make(spec.closure.get(), {}, &making);
      (*made)[spec.token.identity()] = making.made.instance;
    }
    return [made](const Token& token) { return (*made)[token.identity()]; };
  }

  std::list<ControllerBuilder> builders_;
  std::vector<BoundController> bound_;
  std::unique_ptr<HandlerRegistry> registry_;
  std::shared_ptr<LocalEndpoint> endpoint_;
};

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_UNIT_PIPELINE_HARNESS_H_
