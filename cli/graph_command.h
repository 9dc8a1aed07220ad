// `rookery graph`: draws the graph of an application. See docs/graph.md.
#ifndef ROOKERY_CLI_GRAPH_COMMAND_H_
#define ROOKERY_CLI_GRAPH_COMMAND_H_

#include <iosfwd>
#include <string>
#include <vector>

namespace rookery::cli {

// As command.h's Run.
[[nodiscard]] int RunGraph(const std::vector<std::string>& arguments, std::ostream& out,
                           std::ostream& err);

}  // namespace rookery::cli

#endif  // ROOKERY_CLI_GRAPH_COMMAND_H_
