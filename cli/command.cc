#include "command.h"

#include <ostream>

#include "graph_command.h"

namespace rookery::cli {

namespace {

constexpr char kHelp[] =
    R"(usage: rookery COMMAND [ARGUMENTS]

  graph     draws what an application is made of: modules, providers, who asks for whom
  help      this text

`rookery COMMAND --help` tells more.
)";

}  // namespace

int Run(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  if (arguments.empty()) {
    err << kHelp;
    return kWrongUse;
  }
  const std::string& command = arguments.front();
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  if (command == "graph") return RunGraph(rest, out, err);
  if (command == "help" || command == "--help" || command == "-h") {
    out << kHelp;
    return kDone;
  }
  err << "rookery: there is no command \"" << command << "\"; see `rookery help`\n";
  return kWrongUse;
}

}  // namespace rookery::cli
