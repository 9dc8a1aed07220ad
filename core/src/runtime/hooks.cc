#include "rookery/runtime/hooks.h"

#include <atomic>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "rookery/runtime/rpc_exception.h"

namespace rookery::internal {

namespace {

constinit std::atomic<UnhandledErrorHook> g_unhandled_hook{nullptr};
constinit std::atomic<WatchdogHook> g_watchdog_hook{nullptr};

void PrintUnhandled(std::string_view what, const absl::Status& error) {
  std::string line = "rookery: ";
  line.append(what);
  line.append(" failed: ");
  line.append(error.ToString(absl::StatusToStringMode::kWithNoExtraData));
  const auto text = error.GetPayload(kExceptionPayload);
  if (text.has_value()) line.append(" (").append(std::string(*text)).append(")");
  line.push_back('\n');
  std::fputs(line.c_str(), stderr);
}

void PrintHeldLoop(const WatchdogReport& report) {
  std::string line = "rookery: ";
  line.append(report.running.empty() ? std::string_view("something") : report.running);
  line.append(" has held loop ").append(report.loop);
  line.append(" for ").append(std::to_string(report.held.count()));
  line.append(
      " ms; move what blocks or computes for long to co_await "
      "rookery::Offload(...)\n");
  std::fputs(line.c_str(), stderr);
}

}  // namespace

UnhandledErrorHook SetUnhandledErrorHook(UnhandledErrorHook hook) noexcept {
  return g_unhandled_hook.exchange(hook, std::memory_order_acq_rel);
}

void ReportUnhandled(std::string_view what, const absl::Status& error) noexcept {
  const UnhandledErrorHook hook = g_unhandled_hook.load(std::memory_order_acquire);
  try {
    (hook != nullptr ? hook : &PrintUnhandled)(what, error);
  } catch (...) {
    std::fputs("rookery: the hook for unhandled errors threw\n", stderr);
  }
}

void ReportUnhandled(std::string_view what, std::exception_ptr error) noexcept {
  ReportUnhandled(what, StatusFromException(std::move(error)));
}

WatchdogHook SetWatchdogHook(WatchdogHook hook) noexcept {
  return g_watchdog_hook.exchange(hook, std::memory_order_acq_rel);
}

void ReportHeldLoop(const WatchdogReport& report) noexcept {
  const WatchdogHook hook = g_watchdog_hook.load(std::memory_order_acquire);
  try {
    (hook != nullptr ? hook : &PrintHeldLoop)(report);
  } catch (...) {
    std::fputs("rookery: the hook of the watchdog threw\n", stderr);
  }
}

}  // namespace rookery::internal
