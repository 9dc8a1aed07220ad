// What every baseline sets so that Debian's gRPC serves as fast as it can.
//
//   grpc::ServerBuilder builder;
//   bench::TuneForDebian(builder);
//
// Both settings are public, change nothing that a caller can see, and are worth a tenth of a call.

#ifndef ROOKERY_TESTS_BENCH_BASELINE_SETTINGS_H_
#define ROOKERY_TESTS_BENCH_BASELINE_SETTINGS_H_

#include <grpcpp/server_builder.h>

#include "absl/synchronization/mutex.h"

namespace rookery::bench {

inline void TuneForDebian(grpc::ServerBuilder& builder) {
  // Debian builds Abseil without NDEBUG, and so with a search for deadlocks behind each lock that
  // gRPC takes: 4,500 instructions a call. Release builds of Abseil have it off.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  // On by default and counted for every call, though only the channelz service ever reads it.
  builder.AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, 0);
}

}  // namespace rookery::bench

#endif  // ROOKERY_TESTS_BENCH_BASELINE_SETTINGS_H_
