// Container: providers as a graph of nodes; makes them in the order of their dependencies.
//
//   Container container;
//   Container::Id db = container.Add(ClassProvider<Database>(), module);
//   Container::Id repo = container.Add(ClassProvider<OrderRepository>(), module);
//   container.Bind(repo, 0, db);
//   if (container.FindCycles().empty()) container.Construct(runner, deadline, describe);
//
// It knows nothing of modules but a number: module/module_graph.h decides which node an argument
// means.
//
// Singletons are instances of their nodes. What is narrower is made later, from the same nodes, in
// a ScopeStore: one of the call, of the durable key, or of the loop. A transient provider has a
// node for each who asks for it: see Expand.
#ifndef ROOKERY_SRC_DI_CONTAINER_H_
#define ROOKERY_SRC_DI_CONTAINER_H_

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "di/scope_store.h"
#include "di/task_runner.h"
#include "rookery/di/provider.h"
#include "rookery/runtime/loop.h"

namespace rookery::internal {

// How long an instance lives: as long as the application, its loop, the tree of its durable key, or
// its call.
enum class Lifetime : std::uint8_t { kApplication, kLoop, kDurable, kCall };

// The widest that lives no longer than either.
[[nodiscard]] constexpr Lifetime Narrower(Lifetime a, Lifetime b) noexcept {
  if (a == b || b == Lifetime::kApplication) return a;
  return a == Lifetime::kApplication ? b : Lifetime::kCall;
}

// A vector whose elements never move, so that those which are there may be read while others are
// added.
template <class T>
class StableVector final {
 public:
  [[nodiscard]] T& operator[](std::size_t index) noexcept { return *At(index); }
  [[nodiscard]] const T& operator[](std::size_t index) const noexcept { return *At(index); }
  [[nodiscard]] std::size_t size() const noexcept { return size_.load(std::memory_order_acquire); }
  T& emplace_back() {
    const std::size_t index = size_.load(std::memory_order_relaxed);
    const std::size_t chunk = ChunkOf(index);
    if (chunks_[chunk] == nullptr) chunks_[chunk] = std::make_unique<T[]>(kFirst << chunk);
    size_.store(index + 1, std::memory_order_release);
    return *At(index);
  }
  // Drops the last ones.
  void Truncate(std::size_t size) {
    while (size_ > size) {
      *At(size_ - 1) = T();
      --size_;
    }
  }

 private:
  static constexpr std::size_t kFirst = 64;
  [[nodiscard]] static std::size_t ChunkOf(std::size_t index) noexcept {
    return static_cast<std::size_t>(std::bit_width(index / kFirst + 1)) - 1;
  }
  [[nodiscard]] T* At(std::size_t index) const noexcept {
    const std::size_t chunk = ChunkOf(index);
    return &chunks_[chunk][index - kFirst * ((std::size_t{1} << chunk) - 1)];
  }
  std::array<std::unique_ptr<T[]>, 26> chunks_;
  std::atomic<std::size_t> size_{0};
};

// See the top of this file. Built by one thread at a time; what is said to be for any thread may be
// used meanwhile for nodes that are there.
class Container final {
 public:
  using Id = std::uint32_t;
  static constexpr Id kAbsent = static_cast<Id>(-1);
  // Arguments that are no nodes: who asked for a transient; what a durable tree is for.
  static constexpr Id kInquirer = static_cast<Id>(-2);
  static constexpr Id kDurableKey = static_cast<Id>(-3);
  [[nodiscard]] static constexpr bool IsNode(Id id) noexcept { return id < kDurableKey; }
  // "DB_URL of ConfigModule (registered at config.cc:12)"
  using Describe = std::function<std::string(Id)>;

  Container();
  ~Container();
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;

  [[nodiscard]] Id Add(ProviderSpec spec, std::uint32_t module);
  // What a kCollection is made of.
  [[nodiscard]] Id AddCollection(const Token& token, std::uint32_t module,
                                 const std::vector<Id>& elements);
  // Puts another provider in the place of `id`, with its own dependencies. Before Bind.
  void Replace(Id id, ProviderSpec spec);
  // Argument `index` of `id` is `target`; kAbsent for an optional that is missing.
  void Bind(Id id, std::size_t index, Id target);
  // Drops the instances of the nodes from `first` up to `end`.
  void DropInstances(std::size_t first, std::size_t end);
  // Drops the nodes from `size` on, and their instances.
  void Truncate(std::size_t size);

  [[nodiscard]] std::size_t size() const noexcept { return nodes_.size(); }
  [[nodiscard]] ProviderSpec& spec(Id id) noexcept { return nodes_[id].spec; }
  [[nodiscard]] const ProviderSpec& spec(Id id) const noexcept { return nodes_[id].spec; }
  [[nodiscard]] std::uint32_t module(Id id) const noexcept { return nodes_[id].module; }
  [[nodiscard]] std::span<const Id> targets(Id id) const noexcept;
  // Whether argument `index` has to be there before `id` is made.
  [[nodiscard]] bool IsEdge(Id id, std::size_t index) const noexcept;

  // Each cycle as the nodes along it, first one not repeated; none twice.
  [[nodiscard]] std::vector<std::vector<Id>> FindCycles() const;

  // ---- scopes: after Bind of all, where there are no cycles

  // That `id` may not be narrower than a singleton.
  void Pin(Id id) noexcept { nodes_[id].pinned = true; }
  // That it is not made at start-up unless something needs it then.
  void Defer(Id id) noexcept {
    nodes_[id].deferred = true;
    any_deferred_ = true;
  }
  // From now on it may be made.
  void Undefer(Id id) noexcept {
    if (!constructed(id)) nodes_[id].late = true;
    nodes_[id].deferred = false;
  }
  // Made after start-up: without hooks.
  [[nodiscard]] bool late(Id id) const noexcept { return nodes_[id].late; }
  // Whether any provider was given a scope.
  [[nodiscard]] bool any_scoped() const noexcept { return any_scoped_; }
  // Decides how long instances of the nodes from `first` on live. Those that say they must live
  // longer than something they are made of are returned.
  [[nodiscard]] std::vector<Id> SetScopes(Id first);
  // Gives each who asks for a transient among the nodes from `first` on a node of its own; these
  // are returned.
  [[nodiscard]] std::vector<Id> Expand(Id first);
  // A node of the transient `id` for somebody that is no node.
  [[nodiscard]] Id CloneFor(Id id, const Token& inquirer, std::vector<Id>* made);
  [[nodiscard]] Lifetime lifetime(Id id) const noexcept { return nodes_[id].lifetime; }
  // One for each who asks; this node itself is only what they are copied from.
  [[nodiscard]] bool transient(Id id) const noexcept { return nodes_[id].transient; }
  [[nodiscard]] bool deferred(Id id) const noexcept { return nodes_[id].deferred; }
  // Made by Expand or CloneFor.
  [[nodiscard]] bool copy(Id id) const noexcept { return nodes_[id].copy; }
  // An instance of its own, made at start-up.
  [[nodiscard]] bool singleton(Id id) const noexcept {
    return nodes_[id].lifetime == Lifetime::kApplication && !nodes_[id].transient;
  }

  // ---- at start-up

  // Makes every singleton that is not made yet and not deferred, and what those need; there must be
  // no cycle. Dependencies come first; what has none between them comes in the order added; tasks
  // run at the same time. All failures that occur are reported, each as a line; what depends on a
  // failed node is not tried.
  [[nodiscard]] std::vector<std::string> Construct(TaskRunner& runner, Deadline deadline,
                                                   const Describe& describe);
  // Makes what there is one of per loop, on each of `loops`. After Construct.
  [[nodiscard]] std::vector<std::string> ConstructOnLoops(LoopPool& loops, TaskRunner& runner,
                                                          Deadline deadline,
                                                          const Describe& describe);
  // Whether there is any such provider.
  [[nodiscard]] bool has_per_loop() const noexcept { return has_per_loop_; }
  // Null before Construct. Any thread, of what is constructed.
  [[nodiscard]] const std::shared_ptr<void>& instance(Id id) const noexcept {
    return nodes_[id].made.instance;
  }
  [[nodiscard]] bool constructed(Id id) const noexcept {
    return nodes_[id].constructed.load(std::memory_order_acquire);
  }
  // How long Construct took to make it; nullopt if it did not. Any thread.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> took(Id id) const noexcept {
    if (!constructed(id) || nodes_[id].took.count() < 0) return std::nullopt;
    return nodes_[id].took;
  }
  // How long the hook of one node took; nullopt if it has not run. Any thread.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> hook_took(Id id, HookPhase phase) const;
  // 0: depends on nothing; else one more than the highest of its dependencies. After Construct.
  [[nodiscard]] std::uint32_t level(Id id) const noexcept { return nodes_[id].level; }

  // Makes one node, whose dependencies are there, outside of Construct: one that does not wait.
  [[nodiscard]] absl::Status ConstructOne(Id id);

  // Runs one hook of all `ids` (those that have it) at the same time; waits for all. Each failure
  // is a line; `failed`, if not null, is told which nodes they were.
  [[nodiscard]] std::vector<std::string> RunHooks(HookPhase phase, std::span<const Id> ids,
                                                  ShutdownSignal signal, TaskRunner& runner,
                                                  Deadline deadline, const Describe& describe,
                                                  std::vector<Id>* failed = nullptr);

  // ---- later, from any thread

  // What has to be made before `roots` can be used, in that order; singletons are not in it.
  struct Plan {
    std::vector<Id> order;
    bool per_loop = false;
    bool durable = false;
    bool per_call = false;
    bool is_async = false;  // some of it comes from factories that are Tasks
  };
  [[nodiscard]] std::shared_ptr<const Plan> MakePlan(std::span<const Id> roots) const;
  // The plan of one node, kept.
  [[nodiscard]] std::shared_ptr<const Plan> PlanOf(Id root);

  // Where the instances of a plan are kept.
  struct Scopes {
    std::shared_ptr<ScopeStore> call;
    std::shared_ptr<ScopeStore> durable;
    ScopeStore* loop = nullptr;
  };
  // The stores that `plan` needs, within `call`, which may be null if the plan needs none. Fails
  // with ResolutionError where there is no loop or no call.
  [[nodiscard]] Scopes Enter(const Plan& plan, std::shared_ptr<ScopeStore> call);
  // Makes what is not there yet, as far as that needs no waiting; true if all is there then. Throws
  // what making failed with. `busy` is set to what another thread is making, if that is why not.
  [[nodiscard]] bool TryMake(const Plan& plan, const Scopes& scopes, Id* busy = nullptr);
  // The same, waiting. The container outlives it.
  [[nodiscard]] Task<void> Make(std::shared_ptr<const Plan> plan, Scopes scopes);
  // What is to be resolved for `id`: itself, or the copy of a transient for whoever resolves it.
  [[nodiscard]] Id Resolvable(Id id) const noexcept {
    return nodes_[id].transient ? nodes_[id].to_resolve : id;
  }
  // The instance of `id`, made by now.
  [[nodiscard]] std::shared_ptr<void> InstanceIn(Id id, const Scopes& scopes) const;
  // The same; null if it is not there.
  [[nodiscard]] std::shared_ptr<void> MadeIn(Id id, const Scopes& scopes) const;
  // TryMake, then InstanceIn; waits for another thread if that is making it. Throws ResolutionError
  // where it would have to wait for a task.
  [[nodiscard]] std::shared_ptr<void> GetNow(Id id, std::shared_ptr<ScopeStore> call);
  [[nodiscard]] Task<std::shared_ptr<void>> GetLater(Id id, std::shared_ptr<ScopeStore> call);

  // What a deferred singleton is made by, at its first use. Set before anything is used.
  using Demand = std::function<Task<void>(Id)>;
  void set_demand(Demand demand) { demand_ = std::move(demand); }
  // For messages at run time.
  void set_describe(Describe describe) { describe_ = std::move(describe); }

  // Which durable tree a call belongs to, and how many are kept: beyond that the least recently
  // used goes.
  using KeyOfCall = std::function<std::optional<std::string>(Context& call)>;
  void SetDurable(KeyOfCall key, std::size_t max);
  [[nodiscard]] std::size_t durable_size() const;
  // Calls that use it keep it until they end.
  bool EvictDurable(std::string_view key);
  void EvictAllDurable();

  // Drops the instances, last made first. The destructor does it too.
  void Destroy() noexcept;

 private:
  struct Node {
    ProviderSpec spec;
    Made made;
    std::uint32_t module = 0;
    std::uint32_t level = 0;
    Id* targets = nullptr;
    std::uint32_t target_count = 0;
    Lifetime lifetime = Lifetime::kApplication;
    bool transient = false;
    bool pinned = false;
    bool copy = false;
    bool late = false;
    std::atomic<bool> deferred{false};
    Id to_resolve = kAbsent;  // of a transient: its copy for whoever resolves it
    Token inquirer;           // of a transient's copy
    std::chrono::nanoseconds took{-1};
    std::atomic<bool> constructed{false};

    Node() = default;
    Node& operator=(Node&& other) noexcept {
      spec = std::move(other.spec);
      made = std::move(other.made);
      targets = other.targets;
      target_count = other.target_count;
      lifetime = other.lifetime;
      transient = other.transient;
      pinned = other.pinned;
      copy = other.copy;
      late = other.late;
      deferred.store(other.deferred.load());
      to_resolve = other.to_resolve;
      inquirer = other.inquirer;
      took = other.took;
      constructed.store(other.constructed.load());
      return *this;
    }
  };
  class Cell;
  struct LoopTable {
    std::vector<std::pair<const Loop*, ScopeStore*>> stores;
  };

  [[nodiscard]] Id* NewTargets(std::size_t count);
  // Calls the provider; true if it is there (or failed) at once, false if a task was started.
  bool MakeOne(Id id, TaskRunner& runner, Deadline deadline, absl::Status* status);
  void SetLevel(Id id) noexcept;
  // Those from `first` on, what they depend on before them.
  [[nodiscard]] std::vector<Id> PostOrder(Id first) const;
  [[nodiscard]] std::vector<bool> Wanted(std::size_t end) const;
  [[nodiscard]] ScopeStore::Key KeyOf(Id id) const noexcept {
    return ScopeStore::Key{serial_} << 32 | id;
  }
  [[nodiscard]] ScopeStore* StoreFor(Lifetime lifetime, const Scopes& scopes) const noexcept;
  void CollectArguments(Id id, const Scopes& scopes, std::vector<Argument>* arguments);
  void CallMake(Id id, const Scopes& scopes, Making* making);
  [[nodiscard]] ScopeStore& LoopStore(const Loop* loop);
  [[nodiscard]] std::shared_ptr<ScopeStore> DurableStore(ScopeStore& call);
  [[nodiscard]] Argument MakeCell(Id id, std::size_t index, const Scopes& scopes);
  [[nodiscard]] std::string Title(Id id) const;
  [[nodiscard]] static std::uint64_t HookKey(Id id, HookPhase phase) noexcept {
    return std::uint64_t{id} << 8 | static_cast<std::uint8_t>(phase);
  }
  [[nodiscard]] static Task<absl::Status> RunHookOnLoop(Hook hook, void* self,
                                                        ShutdownSignal signal);
  Task<void> MakeNode(Id id, const Scopes& scopes);
  Task<absl::Status> MakeOnLoop(std::shared_ptr<const Plan> plan, Id* at);
  void NoteSelf(Id id, const Scopes& scopes, void* self);
  Id Clone(Id id, Lifetime lifetime, const Token& inquirer, std::vector<Id>* made);
  void ExpandTargets(Id id, std::vector<Id>* made);

  const std::uint32_t serial_;
  StableVector<Node> nodes_;
  std::vector<std::unique_ptr<Id[]>> target_blocks_;
  std::size_t block_left_ = 0;
  Id* block_at_ = nullptr;
  mutable std::mutex order_mutex_;
  absl::flat_hash_map<std::uint64_t, std::chrono::nanoseconds> hook_took_;  // guarded by it
  std::vector<Id> order_;                                                   // as constructed
  bool any_scoped_ = false;
  bool any_deferred_ = false;
  std::atomic<bool> has_per_loop_{false};
  Demand demand_;
  Describe describe_;

  std::mutex plans_mutex_;
  absl::flat_hash_map<Id, std::shared_ptr<const Plan>> plans_;

  std::mutex loops_mutex_;
  std::atomic<const LoopTable*> loops_{nullptr};
  std::vector<std::unique_ptr<const LoopTable>> loop_tables_;  // old ones, too: they may be read
  std::vector<std::unique_ptr<ScopeStore>> loop_stores_;
  // For the hooks of what there is one of per loop.
  struct LoopSelf {
    Id id;
    std::size_t loop;
    void* self;
  };
  LoopPool* pool_ = nullptr;
  std::vector<LoopSelf> loop_selves_;

  mutable std::mutex durable_mutex_;
  KeyOfCall durable_key_;
  std::size_t durable_max_ = 0;
  using DurableList = std::list<std::pair<std::string, std::shared_ptr<ScopeStore>>>;
  DurableList durables_;  // the most recently used first
  absl::flat_hash_map<std::string_view, DurableList::iterator> durable_index_;
};

// "deadline exceeded" and the like, on one line: CODE: message.
[[nodiscard]] std::string Cause(const absl::Status& status);

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_DI_CONTAINER_H_
