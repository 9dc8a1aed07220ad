#include "di/container.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <queue>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "rookery/runtime/rpc_exception.h"

namespace rookery::internal {

std::string Cause(const absl::Status& status) {
  // What a foreign exception said is for the operator, and start-up has no other reader.
  if (const auto text = status.GetPayload(kExceptionPayload)) {
    return std::string(*text);
  }
  return absl::StrCat(absl::StatusCodeToString(status.code()), ": ", status.message());
}

namespace {

std::string Missed(Deadline deadline, Deadline from) {
  return absl::FormatDuration(
      absl::Trunc(absl::FromChrono(deadline - from), absl::Milliseconds(1)));
}

}  // namespace

Container::~Container() { Destroy(); }

Container::Id Container::Add(ProviderSpec spec, std::uint32_t module) {
  Node node;
  node.module = module;
  node.first_target = static_cast<std::uint32_t>(targets_.size());
  targets_.resize(targets_.size() + spec.dependencies.size(), kAbsent);
  node.spec = std::move(spec);
  nodes_.push_back(std::move(node));
  return static_cast<Id>(nodes_.size() - 1);
}

void Container::Replace(Id id, ProviderSpec spec) {
  Node& node = nodes_[id];
  node.first_target = static_cast<std::uint32_t>(targets_.size());
  targets_.resize(targets_.size() + spec.dependencies.size(), kAbsent);
  node.spec = std::move(spec);
}

void Container::Bind(Id id, std::size_t index, Id target) {
  targets_[nodes_[id].first_target + index] = target;
}

std::span<const Container::Id> Container::targets(Id id) const noexcept {
  const Node& node = nodes_[id];
  return std::span(targets_).subspan(node.first_target, node.spec.dependencies.size());
}

std::vector<std::vector<Container::Id>> Container::FindCycles() const {
  enum class Mark : unsigned char { kNew, kOpen, kClosed };
  std::vector<Mark> marks(nodes_.size(), Mark::kNew);
  std::vector<bool> reported(nodes_.size(), false);
  std::vector<std::vector<Id>> cycles;
  struct Step {
    Id id;
    std::size_t next;
  };
  // An explicit stack: a chain of dependencies may be longer than the thread's.
  std::vector<Step> stack;
  for (Id root = 0; root < nodes_.size(); ++root) {
    if (marks[root] != Mark::kNew) continue;
    marks[root] = Mark::kOpen;
    stack.push_back({root, 0});
    while (!stack.empty()) {
      Step& step = stack.back();
      const std::span<const Id> edges = targets(step.id);
      if (step.next == edges.size()) {
        marks[step.id] = Mark::kClosed;
        stack.pop_back();
        continue;
      }
      const Id target = edges[step.next++];
      if (target == kAbsent) continue;
      if (marks[target] == Mark::kNew) {
        marks[target] = Mark::kOpen;
        stack.push_back({target, 0});
      } else if (marks[target] == Mark::kOpen) {
        std::vector<Id> cycle;
        const auto first = std::find_if(stack.begin(), stack.end(),
                                        [target](const Step& s) { return s.id == target; });
        for (auto it = first; it != stack.end(); ++it) cycle.push_back(it->id);
        // Several cycles through the same nodes are one fault to mend at a time.
        if (std::none_of(cycle.begin(), cycle.end(), [&](Id id) { return reported[id]; })) {
          for (const Id id : cycle) reported[id] = true;
          cycles.push_back(std::move(cycle));
        }
      }
    }
  }
  return cycles;
}

bool Container::MakeOne(Id id, TaskRunner& runner, Deadline deadline, absl::Status* status) {
  arguments_.clear();
  for (const Id target : targets(id)) {
    arguments_.push_back(target == kAbsent ? Argument() : nodes_[target].made.instance);
  }
  Making making;
  try {
    nodes_[id].spec.make(nodes_[id].spec.closure.get(), arguments_.data(), &making);
  } catch (...) {
    making.status = StatusFromException(std::current_exception());
  }
  arguments_.clear();
  if (making.pending.has_value()) {
    runner.Start(id, *std::move(making.pending), deadline);
    return false;
  }
  *status = std::move(making.status);
  nodes_[id].made = std::move(making.made);
  return true;
}

void Container::SetLevel(Id id) noexcept {
  std::uint32_t level = 0;
  for (const Id target : targets(id)) {
    if (target != kAbsent) level = std::max(level, nodes_[target].level + 1);
  }
  nodes_[id].level = level;
}

std::vector<std::string> Container::Construct(TaskRunner& runner, Deadline deadline,
                                              const Describe& describe) {
  const Deadline began = std::chrono::steady_clock::now();
  std::vector<std::uint32_t> unmet(nodes_.size(), 0);
  std::vector<std::uint32_t> dependents_of(nodes_.size() + 1, 0);  // offsets, then filled
  for (Id id = 0; id < nodes_.size(); ++id) {
    if (nodes_[id].constructed) continue;
    for (const Id target : targets(id)) {
      if (target == kAbsent || nodes_[target].constructed) continue;
      ++unmet[id];
      ++dependents_of[target + 1];
    }
  }
  for (std::size_t i = 1; i < dependents_of.size(); ++i) dependents_of[i] += dependents_of[i - 1];
  std::vector<Id> dependents(dependents_of.back());
  std::vector<std::uint32_t> fill(dependents_of.begin(), dependents_of.end() - 1);
  for (Id id = 0; id < nodes_.size(); ++id) {
    if (nodes_[id].constructed) continue;
    for (const Id target : targets(id)) {
      if (target == kAbsent || nodes_[target].constructed) continue;
      dependents[fill[target]++] = id;
    }
  }

  std::priority_queue<Id, std::vector<Id>, std::greater<>> ready;
  for (Id id = 0; id < nodes_.size(); ++id) {
    if (!nodes_[id].constructed && unmet[id] == 0) ready.push(id);
  }
  std::vector<std::string> failures;
  const auto settle = [&](Id id, const absl::Status& status) {
    if (!status.ok()) {
      failures.push_back(absl::StrCat("Can't construct ", describe(id), ": ", Cause(status), "."));
      return;
    }
    nodes_[id].constructed = true;
    SetLevel(id);
    order_.push_back(id);
    for (std::uint32_t i = dependents_of[id]; i < dependents_of[id + 1]; ++i) {
      if (--unmet[dependents[i]] == 0) ready.push(dependents[i]);
    }
  };

  std::vector<bool> running(nodes_.size(), false);
  while (true) {
    // A failure stops what has not begun; what runs is still heard, for its own failure.
    while (!ready.empty() && failures.empty()) {
      const Id id = ready.top();
      ready.pop();
      absl::Status status;
      if (MakeOne(id, runner, deadline, &status)) {
        settle(id, status);
      } else {
        running[id] = true;
      }
    }
    if (runner.pending() == 0) break;
    std::optional<TaskRunner::Done> done = runner.Wait(deadline);
    if (!done.has_value()) {
      for (Id id = 0; id < nodes_.size(); ++id) {
        if (!running[id]) continue;
        failures.push_back(
            absl::StrCat("Can't construct ", describe(id), ": its factory has not ended within ",
                         Missed(deadline, began), " (ApplicationOptions::startup_timeout)."));
      }
      break;
    }
    const Id id = static_cast<Id>(done->key);
    running[id] = false;
    nodes_[id].made = std::move(done->made);
    settle(id, done->status);
  }
  return failures;
}

std::vector<std::string> Container::RunHooks(HookPhase phase, std::span<const Id> ids,
                                             ShutdownSignal signal, TaskRunner& runner,
                                             Deadline deadline, const Describe& describe,
                                             std::vector<Id>* failed) {
  const Deadline began = std::chrono::steady_clock::now();
  std::vector<std::string> failures;
  std::vector<Id> running;
  const auto fail = [&](Id id, const absl::Status& status) {
    if (failed != nullptr) failed->push_back(id);
    failures.push_back(
        absl::StrCat(HookName(phase), " of ", describe(id), " failed: ", Cause(status), "."));
  };
  for (const Id id : ids) {
    Node& node = nodes_[id];
    if (!node.constructed || node.spec.hooks == nullptr || node.made.self == nullptr) continue;
    const Hook hook = (*node.spec.hooks)[phase];
    if (hook == nullptr) continue;
    HookResult result;
    try {
      hook(node.made.self, signal, &result);
    } catch (...) {
      result.status = StatusFromException(std::current_exception());
    }
    if (result.task.has_value()) {
      runner.Start(id, *std::move(result.task), deadline);
      running.push_back(id);
    } else if (result.status_task.has_value()) {
      runner.Start(id, *std::move(result.status_task), deadline);
      running.push_back(id);
    } else if (!result.status.ok()) {
      fail(id, result.status);
    }
  }
  while (!running.empty()) {
    const std::optional<TaskRunner::Done> done = runner.Wait(deadline);
    if (!done.has_value()) {
      for (const Id id : running) {
        if (failed != nullptr) failed->push_back(id);
        failures.push_back(absl::StrCat(HookName(phase), " of ", describe(id),
                                        " has not ended within ", Missed(deadline, began), "."));
      }
      break;
    }
    std::erase(running, static_cast<Id>(done->key));
    if (!done->status.ok()) fail(static_cast<Id>(done->key), done->status);
  }
  return failures;
}

void Container::Destroy() noexcept {
  while (!order_.empty()) {
    Node& node = nodes_[order_.back()];
    order_.pop_back();
    node.made = Made();
    node.constructed = false;
  }
}

}  // namespace rookery::internal
