#include "library.h"

#include <grpc/grpc.h>

#include <mutex>

#include "absl/synchronization/mutex.h"
#include "rookery/platform/log.h"

namespace rookery::grpc_adapter {

Library::Library() {
  // Debian builds Abseil without NDEBUG, which puts a search for deadlocks behind every lock that
  // gRPC takes: a tenth of a call. Release builds of Abseil have it off.
  static std::once_flag once;
  std::call_once(once, [] { absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore); });
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
