#include "suite.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

namespace rookery::contract {
namespace {

constexpr std::chrono::seconds kPatience{30};  // for what must happen, on a loaded machine
constexpr std::chrono::seconds kHang{120};     // a case that takes longer will not end

}  // namespace

void FailCase(const std::string& what, Where where) {
  const std::string_view file = where.file_name();
  const std::size_t slash = file.rfind('/');
  throw CaseFailed(std::string(slash == std::string_view::npos ? file : file.substr(slash + 1)) +
                   ":" + std::to_string(where.line()) + ": " + what);
}

void Expect(bool holds, std::string_view what, Where where) {
  if (!holds) FailCase("not so: " + std::string(what), where);
}

void ExpectCode(const absl::Status& status, absl::StatusCode code, std::string_view what,
                Where where) {
  if (status.code() == code) return;
  FailCase(std::string(what) + " ended with " + status.ToString() + ", expected " +
               absl::StatusCodeToString(code),
           where);
}

void Eventually(const std::function<bool()>& holds, std::string_view what, Where where) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) {
      FailCase("never happened: " + std::string(what), where);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string Message(const absl::Status& status) { return std::string(status.message()); }

// ---- Node -----------------------------------------------------------------------------------

namespace {

struct Present {
  std::mutex mutex;
  std::set<Node*> nodes;  // guarded by mutex
};
Present& EveryNode() {
  static Present present;
  return present;
}

}  // namespace

std::shared_ptr<Node> Node::Listed(Node* node) {
  const std::scoped_lock lock(EveryNode().mutex);
  EveryNode().nodes.insert(node);
  return {node, [](Node* gone) {
            const std::scoped_lock last(EveryNode().mutex);
            EveryNode().nodes.erase(gone);
          }};
}
std::string Node::LastWords() {
  constexpr std::size_t kLines = 20;
  std::string words;
  const std::scoped_lock lock(EveryNode().mutex);
  for (Node* const node : EveryNode().nodes) {
    const std::vector<std::string> lines = node->log_->lines();
    words += "a node at " + (node->endpoint_.empty() ? "no endpoint yet" : node->endpoint_) +
             ", handlers entered " + std::to_string(node->probe_->entered.load()) + ", ended " +
             std::to_string(node->probe_->ended.load()) + "\n";
    for (std::size_t i = lines.size() - std::min(lines.size(), kLines); i < lines.size(); ++i) {
      words += "    " + lines[i] + "\n";
    }
  }
  return words;
}

Node::Node(const Transport& transport, const NodeOptions& options) : transport_(transport) {
  ApplicationOptions mine;
  mine.name = "contract";
  mine.loop_threads = 2;
  mine.drain_grace = options.drain_grace;
  mine.accept_baggage = BaggageAllowList({kTenant, kLevel});
  mine.log.sink = log_;
  mine.log.context_keys = {&kTenant};
  mine.signals = {};
  ApplicationOptions callers = mine;
  callers.name = "caller";

  struct CallerModule {};
  caller_ = std::make_unique<Application>(
      Application::Create(DynamicModule::Of<CallerModule>(), std::move(callers)));
  app_ = std::make_unique<Application>(Application::Create(MakeModule(*probe_), std::move(mine)));
  transport_.listen(*app_);
  app_->Start();
  const std::vector<std::string> endpoints = app_->Endpoints();
  if (endpoints.size() != 1) {
    throw CaseFailed("Transport::listen must add one listener; the application has " +
                     std::to_string(endpoints.size()));
  }
  endpoint_ = endpoints.front();
  client_ = std::make_unique<ContractClient>(Connect());
  enhanced_ = std::make_unique<EnhancedClient>(client_->channel());
}

Node::~Node() {
  // Whatever a failed case left waiting must not keep the application from closing.
  probe_->release.Set();
  probe_->gate.Set();
  probe_->after.Set();
  app_->Close();
  caller_->Close();
  probe_->set_next(nullptr);  // a channel goes before the application that lent it its loops
}

std::shared_ptr<Channel> Node::Connect() { return transport_.connect(endpoint_, caller_->host()); }

void Node::CallNext(Node& next) {
  probe_->set_next(
      std::make_unique<ContractClient>(transport_.connect(next.endpoint_, app_->host())));
}

void Node::ExpectHealthy(Where where) {
  const Payload reply =
      ExpectOk(SyncWaitStatus(client_->Echo(Text("still there?"))), "a plain call", where);
  ExpectEqual(reply.text(), "still there?", "its reply", where);
}

void Node::ExpectIdle(Where where) {
  Eventually([this] { return app_->Stats().in_flight() == 0; }, "no call is in flight", where);
}

// ---- running --------------------------------------------------------------------------------

namespace {

std::vector<Case> AllCases() {
  std::vector<Case> all;
  for (const std::span<const Case> some :
       {UnaryCases(), MetadataCases(), TimeCases(), StreamCases(), ContextCases(), PipelineCases(),
        LimitCases()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

struct Arguments {
  std::vector<std::string> transports;
  std::vector<std::string> cases;
  int repeat = 1;
  std::string json;
  bool list = false;
  bool help = false;
};

constexpr char kUsage[] =
    "Options: --transport=NAME (all), --case=NAME (all; may be repeated, and end in *), "
    "--repeat=N,\n"
    "         --json=PATH, --list, --help\n";

std::optional<Arguments> Parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const std::size_t equals = argument.find('=');
    const std::string_view name = argument.substr(0, equals);
    const std::string value(equals == std::string_view::npos ? std::string_view()
                                                             : argument.substr(equals + 1));
    if (name == "--transport" && !value.empty()) {
      arguments.transports.push_back(value);
    } else if (name == "--case" && !value.empty()) {
      arguments.cases.push_back(value);
    } else if (name == "--repeat" && std::atoi(value.c_str()) > 0) {
      arguments.repeat = std::atoi(value.c_str());
    } else if (name == "--json" && !value.empty()) {
      arguments.json = value;
    } else if (argument == "--list") {
      arguments.list = true;
    } else if (argument == "--help") {
      arguments.help = true;
    } else {
      std::cerr << "contract: what is \"" << argument << "\"?\n" << kUsage;
      return std::nullopt;
    }
  }
  return arguments;
}

bool Matches(const std::string& pattern, std::string_view name) {
  if (pattern.ends_with('*')) {
    return name.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1));
  }
  return name == pattern;
}

bool Chosen(const std::vector<std::string>& patterns, std::string_view name) {
  return patterns.empty() || std::any_of(patterns.begin(), patterns.end(),
                                         [name](const auto& p) { return Matches(p, name); });
}

std::string JsonString(std::string_view text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') json += '\\';
    json += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return json + "\"";
}

// The verdicts of one transport, by case.
struct Column {
  std::string transport;
  std::vector<std::pair<std::string, std::string>> verdicts;
  std::vector<std::string> failures;  // for people
};

void WriteJson(const std::string& path, const std::vector<Column>& columns) {
  std::ofstream file(path, std::ios::trunc);
  file << "{";
  for (std::size_t i = 0; i < columns.size(); ++i) {
    file << (i == 0 ? "\n" : ",\n") << "  " << JsonString(columns[i].transport) << ": {";
    for (std::size_t j = 0; j < columns[i].verdicts.size(); ++j) {
      file << (j == 0 ? "\n" : ",\n") << "    " << JsonString(columns[i].verdicts[j].first) << ": "
           << JsonString(columns[i].verdicts[j].second);
    }
    file << "\n  }";
  }
  file << "\n}\n";
  if (!file.flush()) std::cerr << "contract: could not write " << path << "\n";
}

// Ends the process when a case hangs: what it left behind cannot be cleaned up.
class Watchdog final {
 public:
  explicit Watchdog(std::function<void(const std::string& what)> on_hang)
      : on_hang_(std::move(on_hang)), thread_([this] { Watch(); }) {}
  ~Watchdog() {
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  void Begin(std::string what) {
    const std::scoped_lock lock(mutex_);
    what_ = std::move(what);
    until_ = std::chrono::steady_clock::now() + kHang;
    changed_.notify_all();
  }
  void End() {
    const std::scoped_lock lock(mutex_);
    until_ = std::chrono::steady_clock::time_point::max();
    changed_.notify_all();
  }

 private:
  void Watch() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (until_ == std::chrono::steady_clock::time_point::max()) {
        changed_.wait(lock);
      } else if (changed_.wait_until(lock, until_) == std::cv_status::timeout &&
                 std::chrono::steady_clock::now() >= until_) {
        on_hang_(what_);
        std::_Exit(1);
      }
    }
  }

  std::function<void(const std::string&)> on_hang_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::chrono::steady_clock::time_point until_ = std::chrono::steady_clock::time_point::max();
  std::string what_;
  bool stopping_ = false;
  std::thread thread_;
};

// One case; empty if it passed, else why not.
std::string RunCase(const Case& one, const Transport& transport) {
  try {
    one.run(transport);
    return {};
  } catch (const std::exception& error) {
    return error.what()[0] == '\0' ? "failed without a word" : error.what();
  } catch (...) {
    return "threw something that is no std::exception";
  }
}

void PrintTable(const std::vector<Case>& cases, const std::vector<Column>& columns) {
  std::size_t width = 4;
  for (const Case& one : cases) width = std::max(width, std::string_view(one.name).size());
  std::printf("\n%-*s", static_cast<int>(width), "case");
  const auto width_of = [](const Column& column) {
    return static_cast<int>(std::max<std::size_t>(8, column.transport.size()));
  };
  for (const Column& column : columns) {
    std::printf("  %-*s", width_of(column), column.transport.c_str());
  }
  std::printf("\n");
  for (const Case& one : cases) {
    std::string row;
    bool any = false;
    for (const Column& column : columns) {
      std::string shown = "-";
      for (const auto& [name, verdict] : column.verdicts) {
        if (name != one.name) continue;
        any = true;
        shown = verdict == "fail" ? "FAIL" : verdict.substr(0, 4) == "n/a:" ? "n/a" : verdict;
      }
      shown.resize(static_cast<std::size_t>(width_of(column)), ' ');
      row += "  " + shown;
    }
    if (any) std::printf("%-*s%s\n", static_cast<int>(width), one.name, row.c_str());
  }
  for (const Column& column : columns) {
    for (const auto& [name, verdict] : column.verdicts) {
      if (verdict.starts_with("n/a: ")) {
        std::printf("n/a  %s %s: %s\n", column.transport.c_str(), name.c_str(),
                    verdict.substr(5).c_str());
      }
    }
  }
  for (const Column& column : columns) {
    for (const std::string& failure : column.failures) std::printf("FAIL %s\n", failure.c_str());
  }
  std::fflush(stdout);
}

}  // namespace

namespace {
const std::string& LabelOf(const Transport& transport) {
  return transport.label.empty() ? transport.name : transport.label;
}
}  // namespace

std::vector<std::string> CaseNames() {
  std::vector<std::string> names;
  for (const Case& one : AllCases()) names.emplace_back(one.name);
  return names;
}

int Main(int argc, char** argv, const std::vector<Transport>& transports) {
  const std::optional<Arguments> arguments = Parse(argc, argv);
  if (!arguments) return 2;
  const std::vector<Case> cases = AllCases();
  if (arguments->help) {
    std::fputs(kUsage, stdout);
    return 0;
  }
  if (arguments->list) {
    for (const Case& one : cases) std::printf("%s\n", one.name);
    return 0;
  }

  // A table with mistakes in it proves nothing.
  std::set<std::string_view> names;
  for (const Case& one : cases) names.insert(one.name);
  int mistakes = 0;
  for (const Transport& transport : transports) {
    for (const auto& [name, reason] : transport.not_applicable) {
      if (!names.contains(name)) {
        std::cerr << "contract: " << LabelOf(transport) << " declares \"" << name
                  << "\" as not applicable, which is no case\n";
        ++mistakes;
      }
      if (reason.empty()) {
        std::cerr << "contract: " << LabelOf(transport) << " gives no reason why \"" << name
                  << "\" is not applicable\n";
        ++mistakes;
      }
    }
  }
  for (const std::string& pattern : arguments->cases) {
    if (std::none_of(cases.begin(), cases.end(),
                     [&](const Case& one) { return Matches(pattern, one.name); })) {
      std::cerr << "contract: no case is called \"" << pattern << "\"; see --list\n";
      ++mistakes;
    }
  }
  for (const std::string& pattern : arguments->transports) {
    if (std::none_of(transports.begin(), transports.end(),
                     [&](const Transport& one) { return Matches(pattern, LabelOf(one)); })) {
      std::cerr << "contract: no transport is called \"" << pattern << "\"\n";
      ++mistakes;
    }
  }
  if (mistakes != 0) return 2;

  std::vector<Column> columns;
  int failed = 0;
  const auto finish = [&] {
    PrintTable(cases, columns);
    if (!arguments->json.empty()) WriteJson(arguments->json, columns);
  };
  Watchdog watchdog([&](const std::string& what) {
    columns.back().failures.push_back(what + ": hangs\n" + Node::LastWords());
    columns.back().verdicts.emplace_back(what.substr(what.find(' ') + 1), "fail");
    finish();
  });
  for (const Transport& transport : transports) {
    if (!Chosen(arguments->transports, LabelOf(transport))) continue;
    columns.push_back({LabelOf(transport), {}, {}});
    for (const Case& one : cases) {
      if (!Chosen(arguments->cases, one.name)) continue;
      if (const auto excuse = transport.not_applicable.find(one.name);
          excuse != transport.not_applicable.end()) {
        columns.back().verdicts.emplace_back(one.name, "n/a: " + excuse->second);
        continue;
      }
      const std::string what = LabelOf(transport) + " " + one.name;
      std::printf("%s ... ", what.c_str());
      std::fflush(stdout);
      std::string failure;
      for (int i = 0; i < arguments->repeat && failure.empty(); ++i) {
        watchdog.Begin(what);
        failure = RunCase(one, transport);
        watchdog.End();
      }
      std::printf("%s\n", failure.empty() ? "pass" : ("FAIL\n    " + failure).c_str());
      std::fflush(stdout);
      columns.back().verdicts.emplace_back(one.name, failure.empty() ? "pass" : "fail");
      if (!failure.empty()) {
        columns.back().failures.push_back(what + ": " + failure);
        ++failed;
      }
    }
  }
  finish();
  std::printf("%d failed\n", failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace rookery::contract
