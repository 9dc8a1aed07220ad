// Container: providers as nodes, who needs whom as edges; makes the instances, runs their hooks,
// and destroys them in the reverse order of their making.
//
//   Container container;
//   Container::Id db = container.Add(ClassProvider<Database>(), module);
//   Container::Id repo = container.Add(ClassProvider<Repo>(), module);
//   container.Bind(repo, 0, db);
//   if (container.FindCycles().empty()) container.Construct(runner, deadline, describe);
//
// It knows nothing of modules but a number: module/module_graph.h decides which node an argument
// means.
#ifndef ROOKERY_SRC_DI_CONTAINER_H_
#define ROOKERY_SRC_DI_CONTAINER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "di/task_runner.h"
#include "rookery/di/provider.h"

namespace rookery::internal {

// See the top of this file. Used by one thread at a time.
class Container final {
 public:
  using Id = std::uint32_t;
  static constexpr Id kAbsent = static_cast<Id>(-1);
  // "DB_URL of ConfigModule (registered at config.cc:12)"
  using Describe = std::function<std::string(Id)>;

  Container() = default;
  ~Container();
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;

  [[nodiscard]] Id Add(ProviderSpec spec, std::uint32_t module);
  // Puts another provider in the place of `id`, with its own dependencies. Before Bind.
  void Replace(Id id, ProviderSpec spec);
  // Argument `index` of `id` is `target`; kAbsent for an optional that is missing.
  void Bind(Id id, std::size_t index, Id target);

  [[nodiscard]] std::size_t size() const noexcept { return nodes_.size(); }
  [[nodiscard]] ProviderSpec& spec(Id id) noexcept { return nodes_[id].spec; }
  [[nodiscard]] const ProviderSpec& spec(Id id) const noexcept { return nodes_[id].spec; }
  [[nodiscard]] std::uint32_t module(Id id) const noexcept { return nodes_[id].module; }
  [[nodiscard]] std::span<const Id> targets(Id id) const noexcept;

  // Each cycle as the nodes along it, first one not repeated; none twice.
  [[nodiscard]] std::vector<std::vector<Id>> FindCycles() const;

  // Makes everything that is not made yet; there must be no cycle. Dependencies come first; what
  // has none between them comes in the order added; tasks run at the same time. All failures that
  // occur are reported, each as a line; what depends on a failed node is not tried.
  [[nodiscard]] std::vector<std::string> Construct(TaskRunner& runner, Deadline deadline,
                                                   const Describe& describe);
  // Null before Construct.
  [[nodiscard]] const std::shared_ptr<void>& instance(Id id) const noexcept {
    return nodes_[id].made.instance;
  }
  [[nodiscard]] bool constructed(Id id) const noexcept { return nodes_[id].constructed; }
  // 0: depends on nothing; else one more than the highest of its dependencies. After Construct.
  [[nodiscard]] std::uint32_t level(Id id) const noexcept { return nodes_[id].level; }

  // Runs one hook of all `ids` (those that have it) at the same time; waits for all. Each failure
  // is a line; `failed`, if not null, is told which nodes they were.
  [[nodiscard]] std::vector<std::string> RunHooks(HookPhase phase, std::span<const Id> ids,
                                                  ShutdownSignal signal, TaskRunner& runner,
                                                  Deadline deadline, const Describe& describe,
                                                  std::vector<Id>* failed = nullptr);

  // Drops the instances, last made first. The destructor does it too.
  void Destroy() noexcept;

 private:
  struct Node {
    ProviderSpec spec;
    Made made;
    std::uint32_t module = 0;
    std::uint32_t first_target = 0;  // in targets_
    std::uint32_t level = 0;
    bool constructed = false;
  };
  // Calls the provider; true if it is there (or failed) at once, false if a task was started.
  bool MakeOne(Id id, TaskRunner& runner, Deadline deadline, absl::Status* status);
  void SetLevel(Id id) noexcept;

  std::vector<Node> nodes_;
  std::vector<Id> targets_;
  std::vector<Id> order_;  // as constructed
  std::vector<Argument> arguments_;
};

// "deadline exceeded" and the like, on one line: CODE: message.
[[nodiscard]] std::string Cause(const absl::Status& status);

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_DI_CONTAINER_H_
