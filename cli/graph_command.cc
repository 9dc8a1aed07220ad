#include "graph_command.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <ostream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "command.h"
#include "graph_source.h"

namespace rookery::cli {

namespace {

constexpr char kHelp[] =
    R"(usage: rookery graph [OPTIONS] FILE
       rookery graph [OPTIONS] -- PROGRAM [ARGUMENTS]

FILE has the JSON that an application wrote; -: standard input. A PROGRAM is started, and ended
when it has initialised.

  --format F         mermaid (as it is), dot, json, or times: what took how long to start
  --module NAME      only this module, and what its providers ask for (mermaid, dot)
  --output FILE      rather than standard output
  --timeout SECONDS  for PROGRAM to initialise; 30 as it is

An application writes the JSON itself when it is started with ROOKERY_GRAPH=FILE.json.
)";

struct Options {
  std::string format = "mermaid";
  std::string module;
  std::string output;
  double timeout_seconds = 30;
  std::string file;
  std::vector<std::string> program;
  bool help = false;
};

// What is wrong with the arguments; empty if nothing.
std::string Read(const std::vector<std::string>& arguments, Options* options) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string word = arguments[i];
    if (word == "--") {
      options->program.assign(arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                              arguments.end());
      if (options->program.empty()) return "-- is followed by no program";
      break;
    }
    if (word == "--help" || word == "-h") {
      options->help = true;
      return "";
    }
    if (word == "-" || word.empty() || word[0] != '-') {
      if (!options->file.empty()) return absl::StrCat("one file at a time, and not ", word);
      options->file = word;
      continue;
    }
    std::string value;
    if (const std::size_t equals = word.find('='); equals != std::string::npos) {
      value = word.substr(equals + 1);
      word.resize(equals);
    } else if (i + 1 < arguments.size()) {
      value = arguments[++i];
    } else {
      return absl::StrCat(word, " is followed by nothing");
    }
    if (word == "--format") {
      if (value != "mermaid" && value != "dot" && value != "json" && value != "times") {
        return absl::StrCat("no format is called \"", value,
                            "\": there are mermaid, dot, json and times");
      }
      options->format = value;
    } else if (word == "--module") {
      options->module = value;
    } else if (word == "--output") {
      options->output = value;
    } else if (word == "--timeout") {
      // Not a number compares false, too.
      if (!absl::SimpleAtod(value, &options->timeout_seconds) ||
          !(options->timeout_seconds > 0 && options->timeout_seconds <= 86'400)) {
        return absl::StrCat("--timeout is a number of seconds up to a day, and not \"", value,
                            "\"");
      }
    } else {
      return absl::StrCat("there is no option ", word);
    }
  }
  if (options->file.empty() == options->program.empty()) {
    return "give it a file, or -- and a program";
  }
  return "";
}

// The slowest first: what is made, and the hooks.
std::string Times(const ApplicationGraph& graph) {
  struct Row {
    std::chrono::nanoseconds took;
    std::string what;
  };
  std::vector<Row> rows;
  for (const GraphProvider& provider : graph.providers) {
    const std::string who =
        provider.module.has_value()
            ? absl::StrCat(provider.name, " (", graph.modules[*provider.module].name, ")")
            : provider.name;
    if (provider.took.has_value()) rows.push_back({*provider.took, who});
    for (const GraphHook& hook : provider.hooks) {
      if (hook.took.has_value()) {
        rows.push_back({*hook.took, absl::StrCat(std::string(hook.name), " of ", who)});
      }
    }
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& one, const Row& other) { return one.took > other.took; });
  std::string out;
  for (const Row& row : rows) {
    absl::StrAppendFormat(&out, "%12.3f ms  %s\n", static_cast<double>(row.took.count()) / 1e6,
                          row.what);
  }
  return out;
}

std::string Render(const ApplicationGraph& graph, const Options& options) {
  if (options.format == "json") return graph.ToJson();
  if (options.format == "dot") return graph.ToDot(options.module);
  if (options.format == "times") return Times(graph);
  return graph.ToMermaid(options.module);
}

bool HasModule(const ApplicationGraph& graph, const std::string& name) {
  return std::any_of(graph.modules.begin(), graph.modules.end(),
                     [&name](const GraphModule& module) { return module.name == name; });
}

}  // namespace

int RunGraph(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  Options options;
  if (const std::string fault = Read(arguments, &options); !fault.empty()) {
    err << "rookery graph: " << fault << "; see `rookery graph --help`\n";
    return kWrongUse;
  }
  if (options.help) {
    out << kHelp;
    return kDone;
  }
  const auto timeout = std::chrono::milliseconds(
      std::max<std::int64_t>(1, static_cast<std::int64_t>(options.timeout_seconds * 1'000)));
  const absl::StatusOr<ApplicationGraph> graph = options.program.empty()
                                                     ? GraphFromFile(options.file)
                                                     : GraphFromProgram(options.program, timeout);
  if (!graph.ok()) {
    err << "rookery graph: " << graph.status().message() << "\n";
    return kFailed;
  }
  if (!options.module.empty() && !HasModule(*graph, options.module)) {
    err << "rookery graph: no module is called \"" << options.module << "\"; there are";
    const char* comma = " ";
    for (const GraphModule& module : graph->modules) {
      err << comma << module.name;
      comma = ", ";
    }
    err << "\n";
    return kFailed;
  }
  const std::string text = Render(*graph, options);
  if (options.output.empty()) {
    out << text << std::flush;
    if (out) return kDone;
    err << "rookery graph: standard output cannot be written\n";
    return kFailed;
  }
  std::ofstream file(options.output, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file.fail()) return kDone;
  err << "rookery graph: " << options.output << " cannot be written\n";
  return kFailed;
}

}  // namespace rookery::cli
