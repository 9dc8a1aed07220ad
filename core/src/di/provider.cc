#include "rookery/di/provider.h"

#include <csignal>
#include <string_view>

#include "absl/status/status.h"

namespace rookery {

std::string_view ShutdownSignal::name() const noexcept {
  switch (number_) {
    case 0:
      return "";
    case SIGTERM:
      return "SIGTERM";
    case SIGINT:
      return "SIGINT";
    case SIGHUP:
      return "SIGHUP";
    case SIGQUIT:
      return "SIGQUIT";
    case SIGUSR1:
      return "SIGUSR1";
    case SIGUSR2:
      return "SIGUSR2";
    default:
      return "signal";
  }
}

namespace internal {

const char* HookName(HookPhase phase) noexcept {
  switch (phase) {
    case HookPhase::kOnModuleInit:
      return "OnModuleInit";
    case HookPhase::kOnApplicationBootstrap:
      return "OnApplicationBootstrap";
    case HookPhase::kOnModuleDestroy:
      return "OnModuleDestroy";
    case HookPhase::kBeforeApplicationShutdown:
      return "BeforeApplicationShutdown";
    case HookPhase::kOnApplicationShutdown:
      return "OnApplicationShutdown";
  }
  return "";
}

void MakeValue(void* closure, Arguments, Making* result) {
  result->made = *static_cast<const Made*>(closure);
  if (result->made.instance == nullptr) {
    result->status = absl::FailedPreconditionError("the value is a null pointer");
  }
}

absl::Status NullFromFactory() {
  return absl::FailedPreconditionError("the factory returned a null pointer");
}

}  // namespace internal

}  // namespace rookery
