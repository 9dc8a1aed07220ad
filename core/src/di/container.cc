#include "di/container.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <queue>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "rookery/di/resolution_error.h"
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

// What others say may be a whole sentence, or several.
std::string WithPeriod(std::string text) {
  if (text.empty() || text.back() != '.') text += '.';
  return text;
}

std::string Missed(Deadline deadline, Deadline from) {
  return absl::FormatDuration(
      absl::Trunc(absl::FromChrono(deadline - from), absl::Milliseconds(1)));
}

}  // namespace

namespace {

// Instances of several applications may share a store: a call of one may run inside another's.
std::atomic<std::uint32_t> next_serial{1};

void MakeCollection(void* closure, Arguments arguments, Making* result) {
  const std::size_t count = *static_cast<const std::size_t*>(closure);
  result->made.instance = std::make_shared<Instances>(arguments, arguments + count);
}

}  // namespace

Container::Container() : serial_(next_serial.fetch_add(1, std::memory_order_relaxed)) {}

Container::~Container() { Destroy(); }

Container::Id* Container::NewTargets(std::size_t count) {
  if (block_left_ < count) {
    block_left_ = std::max<std::size_t>(count, 1024);
    target_blocks_.push_back(std::make_unique<Id[]>(block_left_));
    block_at_ = target_blocks_.back().get();
  }
  Id* const targets = block_at_;
  block_at_ += count;
  block_left_ -= count;
  std::fill_n(targets, count, kAbsent);
  return targets;
}

Container::Id Container::Add(ProviderSpec spec, std::uint32_t module) {
  Node& node = nodes_.emplace_back();
  node.module = module;
  node.target_count = static_cast<std::uint32_t>(spec.dependencies.size());
  node.targets = NewTargets(node.target_count);
  any_scoped_ = any_scoped_ || spec.scope.has_value();
  node.spec = std::move(spec);
  return static_cast<Id>(nodes_.size() - 1);
}

Container::Id Container::AddCollection(const Token& token, std::uint32_t module,
                                       const std::vector<Id>& elements) {
  ProviderSpec spec;
  spec.token = token;
  spec.kind = ProviderKind::kCollection;
  spec.type = token.type();
  spec.make = &MakeCollection;
  spec.closure = std::make_shared<std::size_t>(elements.size());
  const Id id = Add(std::move(spec), module);
  nodes_[id].target_count = static_cast<std::uint32_t>(elements.size());
  nodes_[id].targets = NewTargets(elements.size());
  std::copy(elements.begin(), elements.end(), nodes_[id].targets);
  return id;
}

void Container::Replace(Id id, ProviderSpec spec) {
  Node& node = nodes_[id];
  node.target_count = static_cast<std::uint32_t>(spec.dependencies.size());
  node.targets = NewTargets(node.target_count);
  any_scoped_ = any_scoped_ || spec.scope.has_value();
  node.spec = std::move(spec);
}

void Container::Bind(Id id, std::size_t index, Id target) {
  nodes_[id].targets[index] = target;
  any_scoped_ = any_scoped_ || target == kInquirer || target == kDurableKey;
}

void Container::DropInstances(std::size_t first, std::size_t end) {
  std::vector<Made> dropped;  // go after the lock, last made first
  {
    const std::lock_guard<std::mutex> lock(order_mutex_);
    for (std::size_t i = order_.size(); i-- > 0;) {
      if (order_[i] < first || order_[i] >= end) continue;
      Node& node = nodes_[order_[i]];
      node.constructed = false;
      dropped.push_back(std::exchange(node.made, Made()));
      order_.erase(order_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  for (Made& made : dropped) made = Made();
}

void Container::Truncate(std::size_t size) {
  DropInstances(size, nodes_.size());
  nodes_.Truncate(size);
  const std::lock_guard<std::mutex> lock(plans_mutex_);
  absl::erase_if(plans_, [size](const auto& plan) { return plan.first >= size; });
}

std::span<const Container::Id> Container::targets(Id id) const noexcept {
  const Node& node = nodes_[id];
  return std::span<const Id>(node.targets, node.target_count);
}

bool Container::IsEdge(Id id, std::size_t index) const noexcept {
  const Node& node = nodes_[id];
  return IsNode(node.targets[index]) && (node.spec.kind == ProviderKind::kCollection ||
                                         node.spec.dependencies[index].at_construction());
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
      const std::size_t index = step.next++;
      if (!IsEdge(step.id, index)) continue;
      const Id target = edges[index];
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
  Making making;
  try {
    CallMake(id, Scopes(), &making);
  } catch (...) {
    making.status = StatusFromException(std::current_exception());
  }
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
  const std::span<const Id> edges = targets(id);
  for (std::size_t i = 0; i < edges.size(); ++i) {
    if (IsEdge(id, i)) level = std::max(level, nodes_[edges[i]].level + 1);
  }
  nodes_[id].level = level;
}

std::vector<std::string> Container::Construct(TaskRunner& runner, Deadline deadline,
                                              const Describe& describe) {
  const Deadline began = std::chrono::steady_clock::now();
  // What is added meanwhile is somebody else's.
  const std::size_t size = nodes_.size();
  const std::vector<bool> wanted = Wanted(size);
  const auto due = [&](Id id) {
    return id < size && wanted[id] && singleton(id) &&
           !nodes_[id].constructed.load(std::memory_order_relaxed);
  };
  std::vector<std::uint32_t> unmet(size, 0);
  std::vector<std::uint32_t> dependents_of(size + 1, 0);  // offsets, then filled
  for (Id id = 0; id < size; ++id) {
    if (!due(id)) continue;
    const std::span<const Id> edges = targets(id);
    for (std::size_t i = 0; i < edges.size(); ++i) {
      if (!IsEdge(id, i) || !due(edges[i])) continue;
      ++unmet[id];
      ++dependents_of[edges[i] + 1];
    }
  }
  for (std::size_t i = 1; i < dependents_of.size(); ++i) dependents_of[i] += dependents_of[i - 1];
  std::vector<Id> dependents(dependents_of.back());
  std::vector<std::uint32_t> fill(dependents_of.begin(), dependents_of.end() - 1);
  for (Id id = 0; id < size; ++id) {
    if (!due(id)) continue;
    const std::span<const Id> edges = targets(id);
    for (std::size_t i = 0; i < edges.size(); ++i) {
      if (IsEdge(id, i) && due(edges[i])) dependents[fill[edges[i]]++] = id;
    }
  }

  std::priority_queue<Id, std::vector<Id>, std::greater<>> ready;
  for (Id id = 0; id < size; ++id) {
    if (unmet[id] == 0 && due(id)) ready.push(id);
  }
  std::vector<std::string> failures;
  // One look at the clock a provider: where one ends the next begins.
  Deadline last = std::chrono::steady_clock::now();
  absl::flat_hash_map<Id, Deadline> running_since;
  const auto settle = [&](Id id, const absl::Status& status) {
    const Deadline now = std::chrono::steady_clock::now();
    const auto since = running_since.find(id);
    nodes_[id].took = now - (since == running_since.end() ? last : since->second);
    last = now;
    if (!status.ok()) {
      failures.push_back(
          absl::StrCat("Can't construct ", describe(id), ": ", WithPeriod(Cause(status))));
      return;
    }
    SetLevel(id);
    nodes_[id].deferred = false;
    nodes_[id].constructed.store(true, std::memory_order_release);
    {
      const std::lock_guard<std::mutex> lock(order_mutex_);
      order_.push_back(id);
    }
    for (std::uint32_t i = dependents_of[id]; i < dependents_of[id + 1]; ++i) {
      if (--unmet[dependents[i]] == 0) ready.push(dependents[i]);
    }
  };

  std::vector<bool> running(size, false);
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
        running_since.emplace(id, last);
        last = std::chrono::steady_clock::now();
      }
    }
    if (runner.pending() == 0) break;
    std::optional<TaskRunner::Done> done = runner.Wait(deadline);
    if (!done.has_value()) {
      for (Id id = 0; id < size; ++id) {
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

absl::Status Container::ConstructOne(Id id) {
  Making making;
  try {
    CallMake(id, Scopes(), &making);
  } catch (...) {
    return StatusFromException(std::current_exception());
  }
  if (!making.status.ok()) return std::move(making.status);
  nodes_[id].made = std::move(making.made);
  SetLevel(id);
  const std::lock_guard<std::mutex> lock(order_mutex_);
  order_.push_back(id);
  nodes_[id].constructed.store(true, std::memory_order_release);
  return absl::OkStatus();
}

std::vector<std::string> Container::RunHooks(HookPhase phase, std::span<const Id> ids,
                                             ShutdownSignal signal, TaskRunner& runner,
                                             Deadline deadline, const Describe& describe,
                                             std::vector<Id>* failed) {
  const Deadline began = std::chrono::steady_clock::now();
  std::vector<std::string> failures;
  std::vector<std::size_t> running;         // keys: the node, and in the upper half which loop
  absl::flat_hash_map<Id, Deadline> since;  // of those that wait
  const auto ended = [&](Id id, Deadline start) {
    const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - start;
    const std::lock_guard<std::mutex> lock(order_mutex_);
    // The last copy of a provider that each loop has took longest.
    hook_took_[HookKey(id, phase)] = took;
  };
  const auto fail = [&](Id id, const absl::Status& status) {
    if (failed != nullptr) failed->push_back(id);
    failures.push_back(absl::StrCat(HookName(phase), " of ", describe(id),
                                    " failed: ", WithPeriod(Cause(status))));
  };
  for (const Id id : ids) {
    Node& node = nodes_[id];
    if (node.spec.hooks == nullptr) continue;
    const Hook hook = (*node.spec.hooks)[phase];
    if (hook == nullptr) continue;
    if (node.lifetime == Lifetime::kLoop) {
      for (const LoopSelf& one : loop_selves_) {
        if (one.id != id) continue;
        const std::size_t key = (one.loop + 1) << 32 | id;
        since.emplace(id, std::chrono::steady_clock::now());
        runner.StartOn(one.loop, key, RunHookOnLoop(hook, one.self, signal), deadline);
        running.push_back(key);
      }
      continue;
    }
    if (!constructed(id) || node.made.self == nullptr) continue;
    HookResult result;
    const Deadline start = std::chrono::steady_clock::now();
    try {
      hook(node.made.self, signal, &result);
    } catch (...) {
      result.status = StatusFromException(std::current_exception());
    }
    if (result.task.has_value()) {
      since.emplace(id, start);
      runner.Start(id, *std::move(result.task), deadline);
      running.push_back(id);
    } else if (result.status_task.has_value()) {
      since.emplace(id, start);
      runner.Start(id, *std::move(result.status_task), deadline);
      running.push_back(id);
    } else {
      ended(id, start);
      if (!result.status.ok()) fail(id, result.status);
    }
  }
  while (!running.empty()) {
    const std::optional<TaskRunner::Done> done = runner.Wait(deadline);
    if (!done.has_value()) {
      for (const std::size_t key : running) {
        const Id id = static_cast<Id>(key);
        if (failed != nullptr) failed->push_back(id);
        failures.push_back(absl::StrCat(HookName(phase), " of ", describe(id),
                                        " has not ended within ", Missed(deadline, began), "."));
      }
      break;
    }
    std::erase(running, done->key);
    ended(static_cast<Id>(done->key), since[static_cast<Id>(done->key)]);
    if (!done->status.ok()) fail(static_cast<Id>(done->key), done->status);
  }
  return failures;
}

std::optional<std::chrono::nanoseconds> Container::hook_took(Id id, HookPhase phase) const {
  const std::lock_guard<std::mutex> lock(order_mutex_);
  const auto it = hook_took_.find(HookKey(id, phase));
  if (it == hook_took_.end()) return std::nullopt;
  return it->second;
}

Task<absl::Status> Container::RunHookOnLoop(Hook hook, void* self, ShutdownSignal signal) {
  HookResult result;
  hook(self, signal, &result);
  if (result.task.has_value()) {
    Task<void> task = *std::move(result.task);
    co_await std::move(task);
  } else if (result.status_task.has_value()) {
    Task<absl::Status> task = *std::move(result.status_task);
    result.status = co_await std::move(task);
  }
  co_return std::move(result.status);
}

// ---- scopes ---------------------------------------------------------------------------------

std::vector<Container::Id> Container::PostOrder(Id first) const {
  std::vector<Id> order;
  order.reserve(nodes_.size() - first);
  std::vector<bool> seen(nodes_.size(), false);
  struct Step {
    Id id;
    std::size_t next;
  };
  std::vector<Step> stack;
  for (Id root = first; root < nodes_.size(); ++root) {
    if (seen[root]) continue;
    seen[root] = true;
    stack.push_back({root, 0});
    while (!stack.empty()) {
      Step& step = stack.back();
      const std::span<const Id> edges = targets(step.id);
      if (step.next == edges.size()) {
        order.push_back(step.id);
        stack.pop_back();
        continue;
      }
      const std::size_t index = step.next++;
      if (!IsEdge(step.id, index)) continue;
      const Id target = edges[index];
      if (target < first || seen[target]) continue;
      seen[target] = true;
      stack.push_back({target, 0});
    }
  }
  return order;
}

std::vector<Container::Id> Container::SetScopes(Id first) {
  std::vector<Id> widened;
  if (!any_scoped_) return widened;
  for (const Id id : PostOrder(first)) {
    Node& node = nodes_[id];
    std::optional<Scope> chosen;
    if (node.spec.scope.has_value()) chosen = node.spec.scope->scope();
    if (node.pinned) chosen = Scope::kSingleton;
    Lifetime lifetime = Lifetime::kApplication;
    if (chosen == Scope::kPerLoop) lifetime = Lifetime::kLoop;
    if (chosen == Scope::kRequest) {
      lifetime = node.spec.scope->durable() ? Lifetime::kDurable : Lifetime::kCall;
    }
    const Lifetime wanted = lifetime;
    // These are nothing of their own.
    const bool passes =
        node.spec.kind == ProviderKind::kAlias || node.spec.kind == ProviderKind::kCollection;
    node.transient = chosen == Scope::kTransient;
    const std::span<const Id> edges = targets(id);
    for (std::size_t i = 0; i < edges.size(); ++i) {
      if (edges[i] == kDurableKey) lifetime = Narrower(lifetime, Lifetime::kDurable);
      if (!IsEdge(id, i)) continue;
      lifetime = Narrower(lifetime, nodes_[edges[i]].lifetime);
      node.transient = node.transient || (passes && nodes_[edges[i]].transient);
    }
    const bool must = chosen == Scope::kSingleton || chosen == Scope::kPerLoop;
    node.lifetime = lifetime;
    if (must && lifetime != wanted) {
      widened.push_back(id);
      // One fault to mend at a time.
      node.lifetime = wanted;
    }
    if (node.lifetime == Lifetime::kLoop && !node.transient) has_per_loop_ = true;
  }
  return widened;
}

Container::Id Container::Clone(Id id, Lifetime lifetime, const Token& inquirer,
                               std::vector<Id>* made) {
  const Node& from = nodes_[id];
  Node& copy = nodes_.emplace_back();
  const Id copied = static_cast<Id>(nodes_.size() - 1);
  copy.spec = from.spec;
  copy.module = from.module;
  copy.target_count = from.target_count;
  copy.targets = NewTargets(from.target_count);
  std::copy_n(from.targets, from.target_count, copy.targets);
  copy.lifetime = lifetime;
  copy.inquirer = inquirer;
  copy.copy = true;
  copy.deferred = from.deferred.load();
  made->push_back(copied);
  ExpandTargets(copied, made);
  return copied;
}

void Container::ExpandTargets(Id id, std::vector<Id>* made) {
  Node& node = nodes_[id];
  // What passes on a transient asks in the name of who asked.
  const bool passes =
      node.spec.kind == ProviderKind::kAlias || node.spec.kind == ProviderKind::kCollection;
  const Token inquirer = passes ? node.inquirer : node.spec.token;
  for (std::size_t i = 0; i < node.target_count; ++i) {
    if (!IsEdge(id, i) || !nodes_[node.targets[i]].transient) continue;
    node.targets[i] = Clone(node.targets[i], node.lifetime, inquirer, made);
  }
}

std::vector<Container::Id> Container::Expand(Id first) {
  std::vector<Id> made;
  if (!any_scoped_) return made;
  const std::size_t end = nodes_.size();
  for (Id id = first; id < end; ++id) {
    if (nodes_[id].transient) {
      nodes_[id].to_resolve = Clone(id, Lifetime::kCall, Token(), &made);
    } else {
      ExpandTargets(id, &made);
    }
  }
  return made;
}

Container::Id Container::CloneFor(Id id, const Token& inquirer, std::vector<Id>* made) {
  return Clone(id, nodes_[id].lifetime, inquirer, made);
}

std::vector<bool> Container::Wanted(std::size_t end) const {
  std::vector<bool> wanted(end, true);
  if (!any_deferred_) return wanted;
  std::vector<Id> open;
  for (Id id = 0; id < end; ++id) {
    wanted[id] = !nodes_[id].deferred;
    if (wanted[id]) open.push_back(id);
  }
  while (!open.empty()) {
    const Id id = open.back();
    open.pop_back();
    const std::span<const Id> edges = targets(id);
    for (std::size_t i = 0; i < edges.size(); ++i) {
      if (!IsEdge(id, i) || wanted[edges[i]]) continue;
      wanted[edges[i]] = true;
      open.push_back(edges[i]);
    }
  }
  return wanted;
}

// ---- what is made later ---------------------------------------------------------------------

// Where a Lazy or a Proxy looks.
class Container::Cell final : public LazyCell {
 public:
  Cell(Container* container, Id id, bool proxy, std::weak_ptr<ScopeStore> home)
      : container_(container), id_(id), proxy_(proxy), home_(std::move(home)) {}

  std::shared_ptr<void> Get() override {
    if (container_->singleton(id_)) {
      if (container_->constructed(id_)) [[likely]] {
        return container_->instance(id_);
      }
      throw ResolutionError(absl::FailedPreconditionError(absl::StrCat(
          container_->Title(id_), " is not made yet: ",
          container_->deferred(id_)
              ? "its module is loaded lazily.\n    mend: await Lazy::Resolve() once, or "
                "LazyModuleLoader::Load of the module."
              : "a Lazy was used while the application was being constructed.\n    mend: use it "
                "later, in OnModuleInit or in a call.")));
    }
    return container_->GetNow(id_, Store());
  }

  Task<std::shared_ptr<void>> Resolve() override {
    return container_->GetLater(id_, container_->singleton(id_) ? nullptr : Store());
  }

 private:
  std::shared_ptr<ScopeStore> Store() {
    if (container_->transient(id_) && container_->lifetime(id_) == Lifetime::kApplication) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (own_ == nullptr) own_ = std::make_shared<ScopeStore>();
      return own_;
    }
    if (!proxy_) {
      if (std::shared_ptr<ScopeStore> home = home_.lock()) return home;
    }
    Context* const context = Context::Current();
    return context == nullptr ? nullptr : StoreOf(*context);
  }

  Container* const container_;
  const Id id_;
  const bool proxy_;
  const std::weak_ptr<ScopeStore> home_;  // of a request-scoped user
  std::mutex mutex_;
  std::shared_ptr<ScopeStore> own_;  // guarded by mutex_
};

std::string Container::Title(Id id) const {
  return describe_ ? describe_(id) : nodes_[id].spec.token.name();
}

Argument Container::MakeCell(Id id, std::size_t index, const Scopes& scopes) {
  const bool proxy = nodes_[id].spec.dependencies[index].form == DependencyForm::kProxy;
  std::weak_ptr<ScopeStore> home;
  if (nodes_[id].lifetime == Lifetime::kCall) home = scopes.call;
  // As what it is taken for.
  const std::shared_ptr<LazyCell> cell =
      std::make_shared<Cell>(this, nodes_[id].targets[index], proxy, std::move(home));
  return cell;
}

ScopeStore* Container::StoreFor(Lifetime lifetime, const Scopes& scopes) const noexcept {
  switch (lifetime) {
    case Lifetime::kLoop:
      return scopes.loop;
    case Lifetime::kDurable:
      return scopes.durable.get();
    case Lifetime::kCall:
      return scopes.call.get();
    case Lifetime::kApplication:
      break;
  }
  return nullptr;
}

void Container::CollectArguments(Id id, const Scopes& scopes, std::vector<Argument>* arguments) {
  const Node& node = nodes_[id];
  arguments->reserve(node.target_count);
  for (std::size_t i = 0; i < node.target_count; ++i) {
    const Id target = node.targets[i];
    if (target == kAbsent) {
      arguments->emplace_back();
    } else if (target == kInquirer) {
      arguments->push_back(std::make_shared<Inquirer>(
          node.inquirer == Token() ? Inquirer() : Inquirer(node.inquirer)));
    } else if (target == kDurableKey) {
      arguments->push_back(scopes.durable->key());
    } else if (!IsEdge(id, i)) {
      arguments->push_back(MakeCell(id, i, scopes));
    } else if (nodes_[target].lifetime == Lifetime::kApplication) {
      if (!constructed(target)) {
        throw ResolutionError(absl::FailedPreconditionError(
            absl::StrCat(Title(target), " is not made yet, and ", Title(id),
                         " needs it.\n    mend: ask for it later, in OnModuleInit or in a call.")));
      }
      arguments->push_back(nodes_[target].made.instance);
    } else {
      arguments->push_back(StoreFor(nodes_[target].lifetime, scopes)->Find(KeyOf(target)));
    }
  }
}

void Container::CallMake(Id id, const Scopes& scopes, Making* making) {
  // A constructor may ask for something in its turn, so this is nobody's member.
  std::vector<Argument> arguments;
  CollectArguments(id, scopes, &arguments);
  nodes_[id].spec.make(nodes_[id].spec.closure.get(), arguments.data(), making);
}

std::shared_ptr<const Container::Plan> Container::MakePlan(std::span<const Id> roots) const {
  auto plan = std::make_shared<Plan>();
  absl::flat_hash_set<Id> seen;
  struct Step {
    Id id;
    std::size_t next;
  };
  std::vector<Step> stack;
  const auto visit = [&](Id id) {
    if (singleton(id) || !seen.insert(id).second) return;
    stack.push_back({id, 0});
  };
  for (const Id root : roots) {
    visit(root);
    while (!stack.empty()) {
      Step& step = stack.back();
      const std::span<const Id> edges = targets(step.id);
      if (step.next < edges.size()) {
        const std::size_t index = step.next++;
        if (edges[index] == kDurableKey) plan->durable = true;
        if (IsEdge(step.id, index)) visit(edges[index]);
        continue;
      }
      const Node& node = nodes_[step.id];
      plan->order.push_back(step.id);
      plan->per_loop = plan->per_loop || node.lifetime == Lifetime::kLoop;
      plan->durable = plan->durable || node.lifetime == Lifetime::kDurable;
      plan->per_call = plan->per_call || node.lifetime == Lifetime::kCall;
      plan->is_async = plan->is_async || node.spec.is_async;
      stack.pop_back();
    }
  }
  return plan;
}

std::shared_ptr<const Container::Plan> Container::PlanOf(Id root) {
  {
    const std::lock_guard<std::mutex> lock(plans_mutex_);
    if (const auto it = plans_.find(root); it != plans_.end()) return it->second;
  }
  std::shared_ptr<const Plan> plan = MakePlan(std::span(&root, 1));
  const std::lock_guard<std::mutex> lock(plans_mutex_);
  return plans_.try_emplace(root, std::move(plan)).first->second;
}

Container::Scopes Container::Enter(const Plan& plan, std::shared_ptr<ScopeStore> call) {
  Scopes scopes;
  const auto fail = [&](std::string_view why) {
    throw ResolutionError(absl::FailedPreconditionError(
        absl::StrCat(plan.order.empty() ? "" : Title(plan.order.back()), std::string(why))));
  };
  if (plan.per_loop) {
    const Loop* const loop = Loop::Current();
    if (loop == nullptr) {
      fail(
          " is made once per loop, and this thread runs none.\n    mend: ask for it in a call, or "
          "in what is posted to a loop.");
    }
    scopes.loop = &LoopStore(loop);
  }
  if (plan.per_call || plan.durable) {
    if (call == nullptr) {
      fail(
          " is made once per call, and no call runs here.\n    mend: ask for it in a call or "
          "inside rookery::Cls::Run, or resolve it with a ContextId of your own.");
    }
    if (plan.durable) scopes.durable = DurableStore(*call);
    scopes.call = std::move(call);
  }
  return scopes;
}

void Container::NoteSelf(Id id, const Scopes& scopes, void* self) {
  if (nodes_[id].spec.hooks == nullptr || nodes_[id].lifetime != Lifetime::kLoop) return;
  if (pool_ == nullptr) return;
  const Loop* const loop = Loop::Current();
  for (std::size_t i = 0; i < pool_->size(); ++i) {
    if (&(*pool_)[i] != loop) continue;
    const std::lock_guard<std::mutex> lock(loops_mutex_);
    loop_selves_.push_back({id, i, self});
  }
  (void)scopes;
}

bool Container::TryMake(const Plan& plan, const Scopes& scopes, Id* busy) {
  for (const Id id : plan.order) {
    ScopeStore& store = *StoreFor(nodes_[id].lifetime, scopes);
    if (nodes_[id].spec.is_async) {
      if (store.Find(KeyOf(id)) == nullptr) return false;
      continue;
    }
    ScopeStore::Claim claim = store.Begin(KeyOf(id));
    if (claim.made() != nullptr) continue;
    if (!claim.mine()) {
      if (!claim.by_this_thread()) {
        if (busy != nullptr) *busy = id;
        return false;
      }
      throw ResolutionError(absl::FailedPreconditionError(
          absl::StrCat(Title(id),
                       " was asked for while it was being made.\n    mend: do not use a "
                       "Lazy or Proxy of it in what its constructor calls.")));
    }
    Making making;
    CallMake(id, scopes, &making);
    if (!making.status.ok()) throw RpcException(making.status);
    claim.Finish(std::move(making.made.instance));
  }
  return true;
}

Task<void> Container::MakeNode(Id id, const Scopes& scopes) {
  ScopeStore& store = *StoreFor(nodes_[id].lifetime, scopes);
  for (;;) {
    ScopeStore::Claim claim = store.Begin(KeyOf(id));
    if (claim.made() != nullptr) co_return;
    if (!claim.mine()) {
      if (claim.by_this_thread()) {
        throw ResolutionError(absl::FailedPreconditionError(
            absl::StrCat(Title(id), " was asked for while it was being made.")));
      }
      const std::shared_ptr<Event> busy = claim.busy();
      co_await busy->Wait();
      continue;
    }
    Making making;
    CallMake(id, scopes, &making);
    if (making.pending.has_value()) {
      claim.WillWait();
      Task<Made> pending = *std::move(making.pending);
      making.made = co_await std::move(pending);
    } else if (!making.status.ok()) {
      throw RpcException(making.status);
    }
    NoteSelf(id, scopes, making.made.self);
    claim.Finish(std::move(making.made.instance));
    co_return;
  }
}

Task<void> Container::Make(std::shared_ptr<const Plan> plan, Scopes scopes) {
  for (const Id id : plan->order) {
    if (StoreFor(nodes_[id].lifetime, scopes)->Find(KeyOf(id)) != nullptr) continue;
    Task<void> one = MakeNode(id, scopes);
    co_await std::move(one);
  }
}

std::shared_ptr<void> Container::InstanceIn(Id id, const Scopes& scopes) const {
  if (singleton(id)) return nodes_[id].made.instance;
  return StoreFor(nodes_[id].lifetime, scopes)->Find(KeyOf(id));
}

std::shared_ptr<void> Container::MadeIn(Id id, const Scopes& scopes) const {
  if (singleton(id)) return nodes_[id].made.instance;
  ScopeStore* const store = StoreFor(nodes_[id].lifetime, scopes);
  return store == nullptr ? nullptr : store->Find(KeyOf(id));
}

std::shared_ptr<void> Container::GetNow(Id id, std::shared_ptr<ScopeStore> call) {
  constexpr std::chrono::seconds kPatience{10};
  id = Resolvable(id);
  const std::shared_ptr<const Plan> plan = PlanOf(id);
  const Scopes scopes = Enter(*plan, std::move(call));
  const Deadline until = std::chrono::steady_clock::now() + kPatience;
  for (Id busy = kAbsent; !TryMake(*plan, scopes, &busy); busy = kAbsent) {
    if (busy == kAbsent) {
      for (const Id step : plan->order) {
        if (!nodes_[step].spec.is_async) continue;
        if (StoreFor(nodes_[step].lifetime, scopes)->Find(KeyOf(step)) != nullptr) continue;
        throw ResolutionError(absl::FailedPreconditionError(
            absl::StrCat(Title(step),
                         " is made by a Task, which nobody has awaited here.\n    mend: "
                         "co_await Resolve() first.")));
      }
      continue;  // it was made meanwhile
    }
    // Another thread is in its constructor.
    if (!StoreFor(nodes_[busy].lifetime, scopes)->WaitWhileMade(KeyOf(busy), until)) {
      throw ResolutionError(absl::DeadlineExceededError(
          absl::StrCat(Title(busy),
                       " has been under construction on another thread for 10 s: does "
                       "its constructor wait for something that this thread makes?")));
    }
  }
  return InstanceIn(id, scopes);
}

Task<std::shared_ptr<void>> Container::GetLater(Id id, std::shared_ptr<ScopeStore> call) {
  if (deferred(id) && demand_) {
    Task<void> demanded = demand_(id);
    co_await std::move(demanded);
  }
  id = Resolvable(id);
  if (singleton(id)) {
    if (!constructed(id)) {
      throw ResolutionError(
          absl::FailedPreconditionError(absl::StrCat(Title(id), " is not made yet.")));
    }
    co_return nodes_[id].made.instance;
  }
  std::shared_ptr<const Plan> plan = PlanOf(id);
  Scopes scopes = Enter(*plan, std::move(call));
  if (!TryMake(*plan, scopes)) {
    Task<void> make = Make(plan, scopes);
    co_await std::move(make);
  }
  co_return InstanceIn(id, scopes);
}

// ---- per loop -------------------------------------------------------------------------------

ScopeStore& Container::LoopStore(const Loop* loop) {
  if (const LoopTable* const table = loops_.load(std::memory_order_acquire)) {
    for (const auto& [known, store] : table->stores) {
      if (known == loop) return *store;
    }
  }
  const std::lock_guard<std::mutex> lock(loops_mutex_);
  auto table = std::make_unique<LoopTable>();
  if (const LoopTable* const old = loops_.load(std::memory_order_relaxed)) {
    table->stores = old->stores;
    for (const auto& [known, store] : table->stores) {
      if (known == loop) return *store;
    }
  }
  loop_stores_.push_back(std::make_unique<ScopeStore>());
  ScopeStore& added = *loop_stores_.back();
  table->stores.emplace_back(loop, &added);
  loops_.store(table.get(), std::memory_order_release);
  loop_tables_.push_back(std::move(table));
  return added;
}

Task<absl::Status> Container::MakeOnLoop(std::shared_ptr<const Plan> plan, Id* at) {
  const Scopes scopes = Enter(*plan, nullptr);
  for (const Id id : plan->order) {
    *at = id;
    Task<void> one = MakeNode(id, scopes);
    co_await std::move(one);
  }
  co_return absl::OkStatus();
}

std::vector<std::string> Container::ConstructOnLoops(LoopPool& loops, TaskRunner& runner,
                                                     Deadline deadline, const Describe& describe) {
  const Deadline began = std::chrono::steady_clock::now();
  if (pool_ == nullptr) pool_ = &loops;
  const std::size_t size = nodes_.size();
  const std::vector<bool> wanted = Wanted(size);
  std::vector<Id> roots;
  for (Id id = 0; id < size; ++id) {
    if (wanted[id] && nodes_[id].lifetime == Lifetime::kLoop && !nodes_[id].transient) {
      roots.push_back(id);
    }
  }
  const std::shared_ptr<const Plan> plan = MakePlan(roots);
  for (const Id id : plan->order) SetLevel(id);
  std::vector<std::string> failures;
  // Shared: a task that is given up may still write there.
  auto at = std::make_shared<std::vector<Id>>(loops.size(), Id{0});
  std::vector<bool> running(loops.size(), true);
  for (std::size_t i = 0; i < loops.size(); ++i) {
    runner.StartOn(i, i, MakeOnLoop(plan, &(*at)[i]), deadline);
  }
  const auto fail = [&](std::size_t loop, std::string_view why) {
    failures.push_back(absl::StrCat("Can't construct ", describe((*at)[loop]), " for loop ", loop,
                                    ": ", WithPeriod(std::string(why))));
  };
  while (runner.pending() > 0) {
    const std::optional<TaskRunner::Done> done = runner.Wait(deadline);
    if (!done.has_value()) {
      for (std::size_t i = 0; i < loops.size(); ++i) {
        if (running[i]) {
          fail(i, absl::StrCat("its factory has not ended within ", Missed(deadline, began),
                               " (ApplicationOptions::startup_timeout)"));
        }
      }
      break;
    }
    running[done->key] = false;
    if (!done->status.ok()) fail(done->key, Cause(done->status));
  }
  return failures;
}

// ---- durable --------------------------------------------------------------------------------

void Container::SetDurable(KeyOfCall key, std::size_t max) {
  durable_key_ = std::move(key);
  durable_max_ = max;
}

std::shared_ptr<ScopeStore> Container::DurableStore(ScopeStore& call) {
  if (std::shared_ptr<ScopeStore> known = call.durable(serial_)) return known;
  std::optional<std::string> key;
  Context* const context = call.context();
  if (durable_key_ && context != nullptr && context->call() != nullptr) {
    key = durable_key_(*context->call());
  }
  std::shared_ptr<ScopeStore> store;
  std::shared_ptr<ScopeStore> evicted;  // goes after the lock
  if (!key.has_value()) {
    store = std::make_shared<ScopeStore>();
    store->set_key(std::make_shared<DurableKey>(""));
  } else {
    const std::lock_guard<std::mutex> lock(durable_mutex_);
    if (const auto it = durable_index_.find(*key); it != durable_index_.end()) {
      durables_.splice(durables_.begin(), durables_, it->second);
      store = it->second->second;
    } else {
      store = std::make_shared<ScopeStore>();
      store->set_key(std::make_shared<DurableKey>(*key));
      durables_.emplace_front(*std::move(key), store);
      durable_index_.emplace(durables_.front().first, durables_.begin());
      if (durables_.size() > durable_max_) {
        evicted = std::move(durables_.back().second);
        durable_index_.erase(durables_.back().first);
        durables_.pop_back();
      }
    }
  }
  return call.SetDurable(serial_, std::move(store));
}

std::size_t Container::durable_size() const {
  const std::lock_guard<std::mutex> lock(durable_mutex_);
  return durables_.size();
}

bool Container::EvictDurable(std::string_view key) {
  std::shared_ptr<ScopeStore> evicted;  // goes after the lock: destructors are users' code
  const std::lock_guard<std::mutex> lock(durable_mutex_);
  const auto it = durable_index_.find(key);
  if (it == durable_index_.end()) return false;
  evicted = std::move(it->second->second);
  durables_.erase(it->second);
  durable_index_.erase(it);
  return true;
}

void Container::EvictAllDurable() {
  DurableList all;
  const std::lock_guard<std::mutex> lock(durable_mutex_);
  durable_index_.clear();
  all.swap(durables_);
}

void Container::Destroy() noexcept {
  EvictAllDurable();
  {
    const std::lock_guard<std::mutex> lock(loops_mutex_);
    loops_ = nullptr;
    loop_selves_.clear();
  }
  while (!loop_stores_.empty()) loop_stores_.pop_back();
  while (!order_.empty()) {
    Node& node = nodes_[order_.back()];
    order_.pop_back();
    node.made = Made();
    node.constructed = false;
  }
}

}  // namespace rookery::internal
