// Where `rookery graph` gets a graph from.
#ifndef ROOKERY_CLI_GRAPH_SOURCE_H_
#define ROOKERY_CLI_GRAPH_SOURCE_H_

#include <chrono>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "rookery/app/graph.h"

namespace rookery::cli {

// Reads the JSON of a file, or of standard input ("-").
[[nodiscard]] absl::StatusOr<ApplicationGraph> GraphFromFile(const std::string& file);

// Starts a program, which says what it is made of once it has initialised (or loaded its modules,
// and ended), and is then told to end by SIGTERM; by SIGKILL ten seconds later. What it prints goes
// to standard error.
//
// INVALID_ARGUMENT: it cannot be started. FAILED_PRECONDITION: it ended without a graph.
// DEADLINE_EXCEEDED: it did not initialise within `timeout`.
[[nodiscard]] absl::StatusOr<ApplicationGraph> GraphFromProgram(
    const std::vector<std::string>& command, std::chrono::milliseconds timeout);

}  // namespace rookery::cli

#endif  // ROOKERY_CLI_GRAPH_SOURCE_H_
