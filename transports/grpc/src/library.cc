#include "library.h"

#include <grpc/grpc.h>
#include <grpc/support/log.h>

#include <cstring>
#include <mutex>
#include <string>

#include "absl/synchronization/mutex.h"
#include "rookery/platform/log.h"

namespace rookery::grpc_adapter {

namespace {

constinit thread_local std::string* tls_captured = nullptr;

// gRPC's own lines go to the application's log, with the place in gRPC that they come from.
void OnLog(gpr_log_func_args* args) {
  if (tls_captured != nullptr) {
    tls_captured->append(args->message);
    return;
  }
  const char* const slash = std::strrchr(args->file, '/');
  const LogLevel level = args->severity == GPR_LOG_SEVERITY_ERROR  ? LogLevel::kWarn
                         : args->severity == GPR_LOG_SEVERITY_INFO ? LogLevel::kInfo
                                                                   : LogLevel::kDebug;
  Logger::Default().Named("grpc").Write(
      level, args->message,
      {{"source", slash == nullptr ? args->file : slash + 1}, {"line", args->line}});
}

}  // namespace

LogCapture::LogCapture() noexcept { tls_captured = &text_; }

LogCapture::~LogCapture() { tls_captured = nullptr; }

Library::Library() {
  static std::once_flag once;
  std::call_once(once, [] {
    // Debian builds Abseil without NDEBUG, which puts a search for deadlocks behind every lock that
    // gRPC takes: a tenth of a call. Release builds of Abseil have it off.
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    gpr_set_log_function(&OnLog);
  });
  grpc_init();
}

Library::~Library() { grpc_shutdown(); }

void Log(Severity severity, std::string_view text) noexcept {
  const LogLevel level = severity == Severity::kError     ? LogLevel::kError
                         : severity == Severity::kWarning ? LogLevel::kWarn
                                                          : LogLevel::kInfo;
  Logger::Default().Named("grpc").Write(level, text);
}

}  // namespace rookery::grpc_adapter
