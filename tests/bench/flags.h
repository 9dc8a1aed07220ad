// Reads `--name=value` flags of the benchmark programs.
//
//   const bench::Flags flags(argc, argv);
//   int threads = flags.Int("threads", 1);
//   bool hints = flags.Text("mode", "plain") == "hints";
//
// Small on purpose: a benchmark's binary carries nothing that its service would not.

#ifndef ROOKERY_TESTS_BENCH_FLAGS_H_
#define ROOKERY_TESTS_BENCH_FLAGS_H_

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace rookery::bench {

class Flags final {
 public:
  Flags(int argc, char** argv) : arguments_(argv + 1, argv + argc) {}

  std::string_view Text(std::string_view name, std::string_view otherwise) const {
    for (std::string_view argument : arguments_) {
      if (argument.substr(0, 2) != "--") continue;
      argument.remove_prefix(2);
      if (argument.substr(0, name.size()) != name) continue;
      argument.remove_prefix(name.size());
      if (!argument.empty() && argument.front() == '=') return argument.substr(1);
    }
    return otherwise;
  }

  // Exits with a message if the value is no whole number: a benchmark must not run with a guessed
  // setting.
  int Int(std::string_view name, int otherwise) const {
    const std::string text(Text(name, ""));
    if (text.empty()) return otherwise;
    char* end = nullptr;
    const long value = std::strtol(text.c_str(), &end, 10);
    if (*end != '\0') {
      std::fprintf(stderr, "--%s=%s: expected a whole number\n", std::string(name).c_str(),
                   text.c_str());
      std::exit(2);
    }
    return static_cast<int>(value);
  }

 private:
  std::vector<std::string_view> arguments_;
};

}  // namespace rookery::bench

#endif  // ROOKERY_TESTS_BENCH_FLAGS_H_
