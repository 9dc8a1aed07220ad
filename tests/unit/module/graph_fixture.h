// A module graph without an application: scans, resolves, constructs. For tests of core/module.
#ifndef ROOKERY_TESTS_UNIT_MODULE_GRAPH_FIXTURE_H_
#define ROOKERY_TESTS_UNIT_MODULE_GRAPH_FIXTURE_H_

#include <chrono>
#include <memory>
#include <regex>
#include <string>
#include <vector>

#include "di/container.h"
#include "module/module_graph.h"
#include "rookery/module/module_builder.h"

namespace rookery::testing {

// "registered: path/graph_test.cc:12" -> "registered: here"
inline std::string WithoutPlaces(const std::string& text) {
  static const std::regex place("[^ (]*\\.cc:[0-9]+");
  return std::regex_replace(text, place, "here");
}

template <class M>
class Graph final {
 public:
  Graph() : Graph(internal::ModuleImport{&internal::kModuleType<M>, nullptr, {}}) {}
  explicit Graph(const internal::ModuleImport& root) {
    graph.Scan(root);
    graph.Resolve();
  }

  [[nodiscard]] std::vector<std::string> faults() const {
    std::vector<std::string> out;
    for (const std::string& fault : graph.faults()) out.push_back(WithoutPlaces(fault));
    return out;
  }
  // Constructs everything; the failures.
  std::vector<std::string> Construct(std::chrono::milliseconds timeout = std::chrono::seconds(30)) {
    std::vector<std::string> out;
    for (const std::string& failure :
         container.Construct(runner, std::chrono::steady_clock::now() + timeout,
                             [this](internal::Container::Id id) { return graph.Describe(id); })) {
      out.push_back(WithoutPlaces(failure));
    }
    return out;
  }
  // The instance that `token` means in the root module.
  template <class T>
  T* Get(const Token& token = Token::Of<T>()) {
    const auto id = graph.Find(graph.root(), token);
    return id == internal::Container::kAbsent ? nullptr
                                              : static_cast<T*>(container.instance(id).get());
  }
  ~Graph() {
    runner.Settle();
    container.Destroy();
    if (loops) loops->Stop();
  }

  internal::Container container;
  internal::ModuleGraph graph{&container};
  std::shared_ptr<LoopPool> loops;
  internal::TaskRunner runner{[this] {
                                LoopPool::Options options;
                                options.threads = 1;
                                loops = std::make_shared<LoopPool>(options);
                                return loops;
                              },
                              nullptr};
};

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_UNIT_MODULE_GRAPH_FIXTURE_H_
