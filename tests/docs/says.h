// What the framework says of the mistakes that the guides show: see extract.py.
#ifndef ROOKERY_TESTS_DOCS_SAYS_H_
#define ROOKERY_TESTS_DOCS_SAYS_H_

#include <exception>
#include <memory>
#include <regex>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "rookery/rookery.h"

namespace rookery::docs {

// A text as a guide shows it: of a path the name alone; and how long something was waited for is a
// limit less what had passed already.
inline std::string Shown(const std::string& text) {
  static const std::regex path("[^ (]*/([^ /]*\\.cc:[0-9]+)");
  static const std::regex limit("within [0-9.]+m?s");
  return std::regex_replace(std::regex_replace(text, path, "$1"), limit, "within 1s");
}

// Whether they are the same word for word: a guide breaks its lines where it likes.
inline ::testing::AssertionResult SameWords(const std::string& said, const std::string& guide) {
  const auto words = [](const std::string& text) {
    std::istringstream in(text);
    std::string out;
    for (std::string word; in >> word;) out += (out.empty() ? "" : " ") + word;
    return out;
  };
  if (words(said) == words(guide)) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "it says:\n\n"
                                       << said << "\n\nand the guide:\n\n"
                                       << guide;
}

// What `ask` throws; else what it returns.
template <class Ask>
std::string Said(Ask ask) {
  try {
    if constexpr (std::is_same_v<decltype(ask()), absl::Status>) {
      return Shown(std::string(ask().message()));
    } else if constexpr (std::is_convertible_v<decltype(ask()), std::string>) {
      return Shown(ask());
    } else {
      ask();
      return "";
    }
  } catch (const std::exception& error) {
    return Shown(error.what());
  }
}

// Why an application of the module M cannot be built or started; "" if it can.
template <class M>
std::string Faults() {
  return Said([] {
    ApplicationOptions options;
    options.loop_threads = 1;
    options.log.level = LogLevel::kError;
    auto app = Application::Create<M>(std::move(options));
    app.Start();
  });
}

}  // namespace rookery::docs

#endif  // ROOKERY_TESTS_DOCS_SAYS_H_
