// Hooks: where the runtime tells what it has nobody to return to. The log installs itself here.
//
//   rookery::internal::SetUnhandledErrorHook(&WriteToLog);   // (string_view what, const Status&)
//
// Part of the framework; without a hook both write a line to stderr.
#ifndef ROOKERY_RUNTIME_HOOKS_H_
#define ROOKERY_RUNTIME_HOOKS_H_

#include <chrono>
#include <exception>
#include <string_view>

#include "absl/status/status.h"

namespace rookery::internal {

// `what` failed and nobody awaits it: "a spawned task", for one. Called on any thread, with the
// context that it ran in current. `error` may carry kExceptionPayload.
using UnhandledErrorHook = void (*)(std::string_view what, const absl::Status& error);
// Returns the previous hook; null stands for the default.
UnhandledErrorHook SetUnhandledErrorHook(UnhandledErrorHook hook) noexcept;
void ReportUnhandled(std::string_view what, const absl::Status& error) noexcept;
void ReportUnhandled(std::string_view what, std::exception_ptr error) noexcept;

// A loop does not come back: `running` (what it runs, possibly empty) has held `loop` for `held`.
// Called on the watchdog's thread, once for each time.
struct WatchdogReport {
  std::string_view loop;
  std::string_view running;
  std::chrono::milliseconds held;
};
using WatchdogHook = void (*)(const WatchdogReport& report);
WatchdogHook SetWatchdogHook(WatchdogHook hook) noexcept;
void ReportHeldLoop(const WatchdogReport& report) noexcept;

}  // namespace rookery::internal

#endif  // ROOKERY_RUNTIME_HOOKS_H_
