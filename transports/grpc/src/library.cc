#include "library.h"

#include <grpc/grpc.h>
#include <grpc/support/log.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/synchronization/mutex.h"
#include "convert.h"
#include "rookery/platform/log.h"

namespace rookery::grpc_adapter {

namespace {

constinit thread_local std::string* tls_captured = nullptr;

constinit thread_local PeerFaults* tls_faults = nullptr;
// The least that the user wants to see of gRPC's log, as GRPC_VERBOSITY says.
gpr_log_severity shown = GPR_LOG_SEVERITY_ERROR;

// Of all threads that have a scope; a listener has several.
class FaultsOfProcess final {
 public:
  [[nodiscard]] static FaultsOfProcess& Instance() {
    static FaultsOfProcess& instance = *std::make_unique<FaultsOfProcess>().release();
    return instance;
  }
  void Add(PeerFaults* faults) {
    const std::scoped_lock lock(mutex_);
    all_.push_back(faults);
  }
  void Remove(PeerFaults* faults) {
    const std::scoped_lock lock(mutex_);
    all_.erase(std::find(all_.begin(), all_.end(), faults));
  }
  void ToTheOnlyOne(const absl::Status& fault) {
    const std::scoped_lock lock(mutex_);
    if (all_.empty() ||
        std::adjacent_find(all_.begin(), all_.end(), std::not_equal_to<>()) != all_.end()) {
      return;
    }
    all_.front()->OnPeerFault(fault);
  }

 private:
  std::mutex mutex_;
  std::vector<PeerFaults*> all_;  // guarded by mutex_
};

// Debug lines that are a fault of a peer's. Where they come from is part of what they mean: the
// server's file reports no handshake of a client.
absl::Status FaultIn(std::string_view file, std::string_view message) {
  if (file == "chttp2_server.cc" && message.starts_with("Handshaking failed: ")) {
    return absl::UnauthenticatedError(Absl(message));
  }
  if (message.find("metadata size exceeds limit") != std::string_view::npos) {
    return absl::ResourceExhaustedError(Absl(message));
  }
  return absl::OkStatus();
}

// gRPC's own lines go to the application's log, with the place in gRPC that they come from.
void OnLog(gpr_log_func_args* args) {
  if (tls_captured != nullptr) {
    tls_captured->append(args->message);
    return;
  }
  const char* const slash = std::strrchr(args->file, '/');
  if (args->severity == GPR_LOG_SEVERITY_DEBUG) {
    const absl::Status fault = FaultIn(slash == nullptr ? args->file : slash + 1, args->message);
    if (!fault.ok() && tls_faults != nullptr) {
      tls_faults->OnPeerFault(fault);
    } else if (!fault.ok()) {
      FaultsOfProcess::Instance().ToTheOnlyOne(fault);
    }
  }
  if (args->severity < shown) return;
  const LogLevel level = args->severity == GPR_LOG_SEVERITY_ERROR  ? LogLevel::kWarn
                         : args->severity == GPR_LOG_SEVERITY_INFO ? LogLevel::kInfo
                                                                   : LogLevel::kDebug;
  Logger::Default().Named("grpc").Write(
      level, args->message,
      {{"source", slash == nullptr ? args->file : slash + 1}, {"line", args->line}});
}

}  // namespace

PeerFaultsScope::PeerFaultsScope(PeerFaults* faults) noexcept {
  tls_faults = faults;
  FaultsOfProcess::Instance().Add(faults);
}

PeerFaultsScope::~PeerFaultsScope() {
  FaultsOfProcess::Instance().Remove(std::exchange(tls_faults, nullptr));
}

LogCapture::LogCapture() noexcept { tls_captured = &text_; }

LogCapture::~LogCapture() { tls_captured = nullptr; }

Library::Library() {
  static std::once_flag once;
  std::call_once(once, [] {
    // Debian builds Abseil without NDEBUG, which puts a search for deadlocks behind every lock that
    // gRPC takes: a tenth of a call. Release builds of Abseil have it off.
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    gpr_set_log_function(&OnLog);
    // Faults of peers are debug lines. There are none on the way of a call that is in order.
    const char* const named = std::getenv("GRPC_VERBOSITY");
    const absl::string_view verbosity = named == nullptr ? "" : named;
    if (absl::EqualsIgnoreCase(verbosity, "debug")) shown = GPR_LOG_SEVERITY_DEBUG;
    if (absl::EqualsIgnoreCase(verbosity, "info")) shown = GPR_LOG_SEVERITY_INFO;
    gpr_set_log_verbosity(GPR_LOG_SEVERITY_DEBUG);
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
