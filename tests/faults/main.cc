// Runs the fault tests, prints one table and writes one JSON file.
//
//   rookery_faults [--test=N-06]... [--seed=N] [--long] [--repeat=N] [--json=PATH] [--list]
//
// Exit code 0 only if all are as promised. The same program is its children, in the role that the
// first argument names.
#include <signal.h>
#include <stdlib.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "faults.h"
#include "process.h"

namespace rookery::faults {
namespace {

constexpr int kBeside = 3;

std::vector<FaultTest> AllTests() {
  std::vector<FaultTest> all = JetStreamTests();
  for (FaultTest& test : NatsTests()) all.push_back(std::move(test));
#ifdef ROOKERY_FAULTS_ZEROMQ
  for (FaultTest& test : ZeroMqTests()) all.push_back(std::move(test));
#endif
#ifdef ROOKERY_FAULTS_KAFKA
  for (FaultTest& test : KafkaTests()) all.push_back(std::move(test));
  for (FaultTest& test : RealKafkaTests()) all.push_back(std::move(test));
#endif
  return all;
}

std::vector<Role> AllRoles() {
  std::vector<Role> all = NatsRoles();
  for (Role& role : JetStreamRoles()) all.push_back(std::move(role));
#ifdef ROOKERY_FAULTS_ZEROMQ
  for (Role& role : ZeroMqRoles()) all.push_back(std::move(role));
#endif
#ifdef ROOKERY_FAULTS_KAFKA
  for (Role& role : KafkaRoles()) all.push_back(std::move(role));
#endif
  return all;
}

Row RunOne(const FaultTest& test, Environment environment) {
  std::string name = (std::filesystem::temp_directory_path() / "rookery-faults-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) {
    std::perror("mkdtemp");
    exit(2);
  }
  environment.folder = name;
  Row row;
  try {
    row = test.run(environment);
  } catch (const std::exception& error) {
    row = Row();
    row.remark = error.what();
  }
  std::error_code ignored;
  if (row.ok) {
    std::filesystem::remove_all(environment.folder, ignored);
  } else {
    row.remark += "; journals in " + name;
  }
  return row;
}

std::string JsonOf(const std::vector<FaultTest>& tests, const std::vector<Row>& rows) {
  std::string json = "[\n";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    char line[400];
    std::snprintf(
        line, sizeof line,
        " {\"test\": \"%s\", \"acked\": %llu, \"lost\": %llu, \"duplicates\": %llu, "
        "\"reordered\": %llu, \"phantom\": %llu, \"recovery_ms\": %.1f, \"ok\": %s%s}%s\n",
        tests[i].name.c_str(), static_cast<unsigned long long>(row.acked),
        static_cast<unsigned long long>(row.lost), static_cast<unsigned long long>(row.duplicates),
        static_cast<unsigned long long>(row.reordered),
        static_cast<unsigned long long>(row.phantom), row.recovery_ms, row.ok ? "true" : "false",
        row.skipped.empty() ? "" : ", \"skipped\": true", i + 1 < rows.size() ? "," : "");
    json += line;
  }
  return json + "]\n";
}

void Show(const FaultTest& test, const Row& row, double seconds) {
  if (!row.skipped.empty()) {
    // At the beginning of a line, where ./dev looks for what to repeat at the end of its output.
    std::printf("SKIPPED: %s (%s): %s\n", test.name.c_str(), test.title.c_str(),
                row.skipped.c_str());
    std::fflush(stdout);
    return;
  }
  std::printf("%-10s %9llu %6llu %6llu %10llu %8llu %12.1f  %-5s %5.1f s  %s%s%s\n",
              test.name.c_str(), static_cast<unsigned long long>(row.acked),
              static_cast<unsigned long long>(row.lost),
              static_cast<unsigned long long>(row.duplicates),
              static_cast<unsigned long long>(row.reordered),
              static_cast<unsigned long long>(row.phantom), row.recovery_ms, row.ok ? "ok" : "FAIL",
              seconds, test.title.c_str(), row.remark.empty() ? "" : ": ", row.remark.c_str());
  std::fflush(stdout);
}

bool Chosen(const std::vector<std::string>& arguments, const std::string& name) {
  bool any = false;
  for (const std::string& argument : arguments) {
    if (argument.compare(0, 7, "--test=") != 0) continue;
    any = true;
    if (argument.substr(7) == name) return true;
  }
  return !any;
}

int Run(const std::vector<std::string>& arguments) {
  // A child that has died is told nothing: the write fails, and says so.
  signal(SIGPIPE, SIG_IGN);
  if (!arguments.empty() && arguments[0].compare(0, 2, "--") != 0) {
    for (const Role& role : AllRoles()) {
      if (role.name == arguments[0]) return role.run(arguments);
    }
    std::fprintf(stderr, "rookery_faults has no role %s\n", arguments[0].c_str());
    return 2;
  }
  bool list = false;
  Environment environment;
  std::string json_path;
  int repeat = 1;
  for (const std::string& argument : arguments) {
    if (argument == "--list") {
      list = true;
    } else if (argument == "--long") {
      environment.longer = true;
    } else if (argument.compare(0, 7, "--seed=") == 0) {
      environment.seed = static_cast<std::uint64_t>(NumberFlag(arguments, "seed", 1));
    } else if (argument.compare(0, 9, "--repeat=") == 0) {
      repeat = static_cast<int>(NumberFlag(arguments, "repeat", 1));
    } else if (argument.compare(0, 7, "--json=") == 0) {
      json_path = argument.substr(7);
    } else if (argument.compare(0, 7, "--test=") != 0) {
      std::fprintf(stderr, "rookery_faults does not know %s\n", argument.c_str());
      return 2;
    }
  }
  std::vector<FaultTest> tests;
  for (FaultTest& test : AllTests()) {
    if (!Chosen(arguments, test.name)) continue;
    for (int i = 0; i < repeat; ++i) tests.push_back(test);
  }
  if (tests.empty()) {
    std::fprintf(stderr, "rookery_faults has no such test; see --list\n");
    return 2;
  }
  if (list) {
    for (const FaultTest& test : tests) {
      std::printf("%-10s %s\n", test.name.c_str(), test.title.c_str());
    }
    return 0;
  }
  std::printf("seed %llu%s\n%-10s %9s %6s %6s %10s %8s %12s\n",
              static_cast<unsigned long long>(environment.seed), environment.longer ? ", long" : "",
              "test", "acked", "lost", "dup.", "reordered", "phantom", "recovery_ms");
  std::vector<Row> rows(tests.size());
  std::vector<double> seconds(tests.size());
  const auto run = [&](std::size_t i) {
    Environment mine = environment;
    // Another schedule each time.
    if (repeat > 1) mine.seed += i;
    const auto began = std::chrono::steady_clock::now();
    rows[i] = RunOne(tests[i], mine);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    seconds[i] = took.count();
  };
  // A child lives no longer than the thread that started it: each test has one of its own.
  std::vector<std::size_t> together;
  for (std::size_t i = 0; i < tests.size(); ++i) {
    if (tests[i].beside) together.push_back(i);
  }
  std::atomic<std::size_t> next{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kBeside; ++i) {
    threads.emplace_back([&] {
      for (std::size_t at = next++; at < together.size(); at = next++) {
        run(together[at]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  bool ok = true;
  for (std::size_t i = 0; i < tests.size(); ++i) {
    if (!tests[i].beside) run(i);
    Show(tests[i], rows[i], seconds[i]);
    ok = ok && rows[i].ok;
  }
  if (!json_path.empty() && !(std::ofstream(json_path) << JsonOf(tests, rows))) {
    std::fprintf(stderr, "cannot write %s\n", json_path.c_str());
    return 2;
  }
  return ok ? 0 : 1;
}

}  // namespace
}  // namespace rookery::faults

int main(int argc, char** argv) {
  return rookery::faults::Run(std::vector<std::string>(argv + 1, argv + argc));
}
