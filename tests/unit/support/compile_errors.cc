#include "unit/support/compile_errors.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>

#include "gtest/gtest.h"

namespace rookery::testing {
namespace {

#if defined(__clang__)
constexpr char kCompiler[] = "clang++-19";
#else
constexpr char kCompiler[] = "g++";
#endif

std::string RunCommand(const std::string& command) {
  std::string output;
  FILE* const pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return output;
  char buffer[4096];
  for (std::size_t n = fread(buffer, 1, sizeof(buffer), pipe); n > 0;
       n = fread(buffer, 1, sizeof(buffer), pipe)) {
    output.append(buffer, n);
  }
  pclose(pipe);
  return output;
}

std::size_t Count(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
    ++count;
  }
  return count;
}

}  // namespace

void ExpectNamedErrors(const std::string& file, std::size_t at_least) {
  const std::filesystem::path root = ROOKERY_SOURCE_DIR;
  const std::filesystem::path source = root / "tests" / "unit" / file;
  const std::filesystem::path include = root / "core" / "include";
  ASSERT_TRUE(std::filesystem::exists(source)) << source;

  std::map<std::string, std::size_t> expected;
  std::ifstream in(source);
  const std::string mark = "// expect: ";
  std::string message;  // may be wrapped over several comment lines
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(mark, 0) == 0) {
      message = line.substr(mark.size());
    } else if (line.rfind("// ", 0) == 0 && !message.empty()) {
      message += line.substr(2);
    } else if (!message.empty()) {
      ++expected[std::exchange(message, {})];
    }
  }
  ASSERT_GE(expected.size(), at_least);

  const std::string output =
      RunCommand(std::string(kCompiler) + " -std=c++20 -fsyntax-only -fno-diagnostics-color " +
                 (kCompiler[0] == 'c' ? "-ferror-limit=0 " : "") + "-I" + include.string() + " " +
                 source.string());
  std::size_t mistakes = 0;
  for (const auto& [text, count] : expected) {
    mistakes += count;
    // The message stands in the error's own line and, with some compilers, again in the source
    // line shown below it, there cut into string literals.
    EXPECT_EQ(Count(output, text + "\n") + Count(output, text + "\"\n"), count)
        << text << "\n--- the compiler said:\n"
        << output;
  }
  EXPECT_EQ(Count(output, " error: "), mistakes) << output;
}

}  // namespace rookery::testing
