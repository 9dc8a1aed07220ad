// Compiles controllers and their enhancers into the handlers that transports deliver calls to.
//
//   std::vector<std::string> faults = rookery::CheckHandlers(controllers, globals);  // nothing is
//       made yet
//   if (faults.empty()) { ... construct the controllers, fill in `instance` and `resolve` ...
//     auto registry = rookery::CompileHandlers(std::move(controllers), std::move(globals), stats);
//   }
//
// For the application; users do not meet it.
#ifndef ROOKERY_PIPELINE_COMPILE_H_
#define ROOKERY_PIPELINE_COMPILE_H_

#include <functional>
#include <memory>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "rookery/di/token.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/pipeline/enhancers.h"
#include "rookery/rpc/baggage.h"
#include "rookery/rpc/handler.h"

namespace rookery {

class StatsRegistry;

// A controller in its module. `resolve` gives the instances of the enhancers that the container
// made there, as a pointer to exactly the token's class.
struct BoundController {
  const ControllerBuilder* description = nullptr;
  std::shared_ptr<void> instance;  // of exactly the controller's class; null for CheckHandlers
  std::function<std::shared_ptr<void>(const Token& token)> resolve;
  std::string_view module;     // for messages
  std::source_location where;  // of module.Controller<C>()
};

// Global enhancers of one origin: app.UseGlobal..., or a module's GlobalGuard and kin.
struct BoundEnhancers {
  const GlobalEnhancers* enhancers = nullptr;
  std::function<std::shared_ptr<void>(const Token& token)> resolve;
};

// Everything that is wrong, in words for people: unknown methods, patterns that collide, services
// that no class implements. Constructs nothing.
[[nodiscard]] std::vector<std::string> CheckHandlers(std::span<const BoundController> controllers);

// The handlers. `accept` is what callers' baggage may set. The registry keeps the instances alive;
// `stats` outlives it, the descriptions need not. Fails with INVALID_ARGUMENT and all that
// CheckHandlers finds, or with INTERNAL if an instance is missing.
[[nodiscard]] absl::StatusOr<std::unique_ptr<HandlerRegistry>> CompileHandlers(
    std::vector<BoundController> controllers, std::vector<BoundEnhancers> globals,
    StatsRegistry& stats, BaggageAllowList accept = {});

}  // namespace rookery

#endif  // ROOKERY_PIPELINE_COMPILE_H_
