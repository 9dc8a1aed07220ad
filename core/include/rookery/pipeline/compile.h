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

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
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
namespace internal {
class Container;
}  // namespace internal

// A controller in its module. `resolve` gives the instances of the enhancers that the container
// made there, as a pointer to exactly the token's class. What is not the same for all calls has a
// node of the container instead: `node` for the controller, `scoped` for its enhancers.
struct BoundController {
  const ControllerBuilder* description = nullptr;
  std::shared_ptr<void> instance;  // of exactly the controller's class; null for CheckHandlers
  std::function<std::shared_ptr<void>(const Token& token)> resolve;
  std::optional<std::uint32_t> node = std::nullopt;
  std::function<std::optional<std::uint32_t>(const Token& token)> scoped = nullptr;
  std::string_view module = {};     // for messages
  std::source_location where = {};  // of module.Controller<C>()
};

// Global enhancers of one origin: app.UseGlobal..., or a module's GlobalGuard and kin.
struct BoundEnhancers {
  const GlobalEnhancers* enhancers = nullptr;
  std::function<std::shared_ptr<void>(const Token& token)> resolve;
  std::function<std::optional<std::uint32_t>(const Token& token)> scoped = nullptr;
  bool hooks_only = false;  // nothing of them but the pre-request hooks
};

// Everything that is wrong, in words for people: unknown methods, patterns that collide, services
// that no class implements. Constructs nothing.
[[nodiscard]] std::vector<std::string> CheckHandlers(std::span<const BoundController> controllers);

// The handlers. `accept` is what callers' baggage may set. The registry keeps the instances alive;
// `stats` and `container`, where the nodes are, outlive it, the descriptions need not. Fails with
// INVALID_ARGUMENT and all that CheckHandlers finds, or with INTERNAL if an instance is missing.
[[nodiscard]] absl::StatusOr<std::unique_ptr<HandlerRegistry>> CompileHandlers(
    std::vector<BoundController> controllers, std::vector<BoundEnhancers> globals,
    StatsRegistry& stats, BaggageAllowList accept = {}, internal::Container* container = nullptr);

}  // namespace rookery

#endif  // ROOKERY_PIPELINE_COMPILE_H_
