#include "server_control.h"

#include <unistd.h>
#include <valgrind/callgrind.h>

#include <cstdio>
#include <cstring>

namespace rookery::bench {

void SayReady(int port) {
  std::printf("READY %d\n", port);
  std::fflush(stdout);
}

void ObeyRunner() {
  char line[16];
  while (std::fgets(line, sizeof line, stdin) != nullptr) {
    if (std::strcmp(line, "count\n") == 0) {
      CALLGRIND_START_INSTRUMENTATION;
      CALLGRIND_ZERO_STATS;
    } else if (std::strcmp(line, "dump\n") == 0) {
      CALLGRIND_DUMP_STATS;
      CALLGRIND_STOP_INSTRUMENTATION;
    } else {
      continue;
    }
    std::puts("OK");
    std::fflush(stdout);
  }
}

}  // namespace rookery::bench
