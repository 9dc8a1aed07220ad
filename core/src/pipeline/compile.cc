#include "rookery/pipeline/compile.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <utility>

#include <google/protobuf/descriptor.h>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "pipeline/compiled_handler.h"
#include "pipeline/scoped_handler.h"
#include "rookery/platform/log.h"
#include "rookery/rpc/stats.h"
#include "runtime/abseil_strings.h"

namespace rookery {
namespace {

using internal::Abs;
using internal::CompiledHandler;
using internal::ControllerDescription;
using internal::EnhancerUse;
using internal::EventGroup;
using internal::FilterFunction;
using internal::GuardFunction;
using internal::HandlerPlan;
using internal::InterceptorFunction;
using internal::PipeFunction;
using internal::PreRequestFunction;
using internal::ScopedHandler;
using internal::ScopedPlan;
using internal::Stage;

const ControllerDescription& Description(const BoundController& controller) {
  return controller.description->description();
}

std::string ClassName(const BoundController& controller) {
  const internal::TypeTag* const tag = Description(controller).type.tag;
  return tag == nullptr ? "a controller" : internal::ShortTypeName(tag->name);
}

// "OrdersController (OrdersModule)".
std::string Title(const BoundController& controller) {
  std::string title = ClassName(controller);
  if (!controller.module.empty()) absl::StrAppend(&title, " (", Abs(controller.module), ")");
  return title;
}

std::string At(const std::source_location& where) {
  std::string_view file = where.file_name();
  if (file.empty()) return "";
  file = file.substr(file.rfind('/') + 1);
  return absl::StrCat(" [", Abs(file), ":", where.line(), "]");
}

// A method that a controller serves, before it is compiled.
struct Served {
  const BoundController* controller;
  const MethodDescriptor* method;
  internal::Cast cast;
  const MethodBuilder* builder;  // of a pattern
  std::size_t service;           // index in the description's services; their number for a pattern
  std::size_t index;             // in the service
};

std::vector<Served> ServedBy(const BoundController& controller) {
  const ControllerDescription& description = Description(controller);
  std::vector<Served> served;
  for (std::size_t s = 0; s < description.services.size(); ++s) {
    const auto& service = description.services[s];
    const auto methods = service.descriptor->methods;
    for (std::size_t m = 0; m < methods.size(); ++m) {
      served.push_back(Served{&controller, &methods[m], service.cast, nullptr, s, m});
    }
  }
  for (const auto& pattern : description.patterns) {
    served.push_back(Served{&controller, &pattern->descriptor, pattern->cast,
                            pattern->builder.get(), description.services.size(), 0});
  }
  return served;
}

// Whether controller.Method(...) of `entry` means `served`.
bool Means(const ControllerDescription::MethodEntry& entry, const Served& served) {
  if (entry.index) return entry.service == served.service && *entry.index == served.index;
  return entry.name == served.method->full_name || entry.name == served.method->name;
}

// The names that a method is found under.
template <class Fn>
void ForEachName(const MethodDescriptor& method, Fn&& fn) {
  fn(method.full_name);
  if (!method.pattern.empty() && method.pattern != method.full_name) fn(method.pattern);
}

void CheckNames(const BoundController& controller, const std::vector<Served>& served,
                std::vector<std::string>* faults) {
  const ControllerDescription& description = Description(controller);
  for (const auto& entry : description.methods) {
    const auto count = std::count_if(served.begin(), served.end(),
                                     [&entry](const Served& one) { return Means(entry, one); });
    if (count == 1) continue;
    std::vector<absl::string_view> names;
    for (const Served& one : served) {
      names.push_back(
          Abs(description.services.size() > 1 ? one.method->full_name : one.method->name));
    }
    const std::string which = entry.index ? absl::StrCat("the method of index ", *entry.index)
                                          : absl::StrCat("the method \"", entry.name, "\"");
    if (count == 0) {
      faults->push_back(absl::StrCat(
          Title(controller), ": Configure names ", which, At(entry.where), ", which ",
          entry.index && description.services.empty()
              ? "belongs to no service: the class implements none"
              : "it does not serve",
          "; it serves ", names.empty() ? "nothing" : absl::StrJoin(names, ", "), "."));
    } else {
      faults->push_back(absl::StrCat(Title(controller), ": Configure names ", which,
                                     At(entry.where),
                                     ", which several of its services have; give "
                                     "the full name: ",
                                     absl::StrJoin(names, ", "), "."));
    }
  }
}

void CheckBases(const BoundController& controller, std::vector<std::string>* faults) {
  const ControllerDescription& description = Description(controller);
  void* ignored = nullptr;
  for (const auto& service : description.services) {
    if (service.cast(description.type, nullptr, &ignored)) continue;
    faults->push_back(absl::StrCat(Title(controller), ": Service<S>() names ",
                                   Abs(service.descriptor->full_name), At(service.where),
                                   ", which the class does not publicly derive from."));
  }
  for (const auto& pattern : description.patterns) {
    if (pattern->pattern->empty()) {
      faults->push_back(absl::StrCat(Title(controller), ": a message or event pattern is empty",
                                     At(pattern->where), "."));
    }
    if (pattern->cast(description.type, nullptr, &ignored)) continue;
    faults->push_back(absl::StrCat(Title(controller), ": the handler of pattern \"",
                                   *pattern->pattern, "\" is a member of another class",
                                   At(pattern->where), "."));
  }
  if (description.services.empty() && description.patterns.empty()) {
    faults->push_back(absl::StrCat(Title(controller),
                                   " serves nothing: derive it from a generated service, or name "
                                   "messages and events in Configure."));
  }
}

// What is registered under one name, in the order registered.
using ByName = absl::flat_hash_map<std::string_view, std::vector<const Served*>>;

ByName Index(const std::vector<Served>& all, std::vector<std::string_view>* order) {
  ByName by_name;
  by_name.reserve(all.size());
  for (const Served& one : all) {
    ForEachName(*one.method, [&](std::string_view name) {
      auto& list = by_name[name];
      if (list.empty() && order != nullptr) order->push_back(name);
      list.push_back(&one);
    });
  }
  return by_name;
}

void CheckCollisions(const std::vector<Served>& all, std::vector<std::string>* faults) {
  std::vector<std::string_view> order;
  const ByName by_name = Index(all, &order);
  for (const std::string_view name : order) {
    const auto& list = by_name.find(name)->second;
    if (list.size() == 1) continue;
    const bool events = std::all_of(list.begin(), list.end(), [](const Served* one) {
      return one->method->kind == MethodKind::kEvent;
    });
    if (!events) {
      std::vector<std::string> titles;
      for (const Served* const one : list) titles.push_back(Title(*one->controller));
      faults->push_back(absl::StrCat("\"", Abs(name), "\" is handled by ",
                                     absl::StrJoin(titles, " and "),
                                     "; only events may have several handlers."));
      continue;
    }
    for (const Served* const one : list) {
      const auto& wanted = list.front()->method->request();
      const auto& has = one->method->request();
      if (has.GetDescriptor() == wanted.GetDescriptor()) continue;
      faults->push_back(absl::StrCat("The event \"", Abs(name), "\" is a ", wanted.GetTypeName(),
                                     " to ", Title(*list.front()->controller), " and a ",
                                     has.GetTypeName(), " to ", Title(*one->controller),
                                     "; all its handlers must take the same message."));
    }
  }
}

// An enhancer: with its instance, or with the node that instances of it come from.
template <class Function>
struct Use {
  Stage<Function> stage;
  std::optional<std::uint32_t> node;
};

// Enhancers of one level, by kind.
struct Level {
  std::vector<Stage<PreRequestFunction>> hooks;
  std::vector<Use<GuardFunction>> guards;
  std::vector<Use<InterceptorFunction>> interceptors;
  std::vector<Use<PipeFunction>> pipes;
  std::vector<Use<FilterFunction>> filters;
};

using Resolve = std::function<std::shared_ptr<void>(const Token&)>;
using ResolveScoped = std::function<std::optional<std::uint32_t>(const Token&)>;

class Registry final : public HandlerRegistry {
 public:
  Registry(StatsRegistry& stats, BaggageAllowList accept, internal::Container* container)
      : stats_(stats), accept_(std::move(accept)), container_(container) {}

  absl::Status Compile(std::vector<BoundController>& controllers,
                       std::vector<BoundEnhancers>& globals);

  const Handler* Find(std::string_view full_name) const override {
    const auto found = by_name_.find(Abs(full_name));
    return found == by_name_.end() ? nullptr : found->second;
  }
  std::span<const Handler* const> all() const override { return all_; }
  void CountRejected(std::string_view transport, std::string_view method,
                     const absl::Status& status) const noexcept override;

 private:
  absl::Status Bind(const std::vector<EnhancerUse>& uses, const Resolve& resolve,
                    const ResolveScoped& scoped, Level* level, bool hooks_only = false);
  absl::Status CompileController(const BoundController& controller, const Level& global,
                                 std::vector<const Handler*>* compiled);

  StatsRegistry& stats_;
  BaggageAllowList accept_;
  internal::Container* container_;
  // What the handlers point at. Destroyed after them: the last member goes first.
  std::vector<std::shared_ptr<void>> instances_;
  std::vector<std::shared_ptr<ControllerDescription::PatternEntry>> patterns_;
  std::deque<ControllerInfo> controllers_;
  std::deque<MethodInfo> methods_;
  std::vector<std::unique_ptr<Handler>> handlers_;
  std::vector<const Handler*> all_;
  absl::flat_hash_map<absl::string_view, const Handler*> by_name_;
  // A peer that sends rubbish must not fill the log.
  mutable std::atomic<std::int64_t> log_second_{0};
  mutable std::atomic<std::uint32_t> logged_{0};
};

absl::Status Registry::Bind(const std::vector<EnhancerUse>& uses, const Resolve& resolve,
                            const ResolveScoped& scoped, Level* level, bool hooks_only) {
  for (const EnhancerUse& use : uses) {
    if (hooks_only && !std::holds_alternative<PreRequestFunction>(use.function)) continue;
    std::shared_ptr<void> instance = use.instance;
    std::optional<std::uint32_t> node;
    if (instance == nullptr && scoped) node = scoped(use.token);
    if (instance == nullptr && !node.has_value() && resolve) instance = resolve(use.token);
    if (instance == nullptr && !node.has_value()) {
      return absl::InternalError(
          absl::StrCat("nobody made the enhancer ", use.token.name(), At(use.where)));
    }
    void* const raw = instance.get();
    if (raw != nullptr && use.mounted != nullptr && !use.mounted(raw)) continue;
    if (instance != nullptr) instances_.push_back(std::move(instance));
    if (const auto* hook = std::get_if<PreRequestFunction>(&use.function)) {
      if (node.has_value()) {
        return absl::FailedPreconditionError(absl::StrCat(
            "The pre-request hook ", use.token.name(), At(use.where),
            " is not a singleton, or something that it asks for is not: but it runs before "
            "anything is made for a call.\n    mend: let it ask for rookery::Proxy<T>, or be a "
            "guard."));
      }
      level->hooks.push_back({*hook, raw});
    } else if (const auto* guard = std::get_if<GuardFunction>(&use.function)) {
      level->guards.push_back({{*guard, raw}, node});
    } else if (const auto* interceptor = std::get_if<InterceptorFunction>(&use.function)) {
      level->interceptors.push_back({{*interceptor, raw}, node});
    } else if (const auto* pipe = std::get_if<PipeFunction>(&use.function)) {
      level->pipes.push_back({{*pipe, raw}, node});
    } else {
      level->filters.push_back({{*std::get_if<FilterFunction>(&use.function), raw}, node});
    }
  }
  return absl::OkStatus();
}

template <class Function>
void Append(const Use<Function>& use, ScopedPlan::List list, std::vector<Stage<Function>>* stages,
            ScopedPlan* plan) {
  if (use.node.has_value()) plan->patches.push_back({list, stages->size(), *use.node});
  stages->push_back(use.stage);
}

// Filters are asked from the inside out, and the last listed of a level first.
void AppendFilters(const Level& level, ScopedPlan* plan) {
  for (auto use = level.filters.rbegin(); use != level.filters.rend(); ++use) {
    Append(*use, ScopedPlan::List::kFilters, &plan->plan.filters, plan);
  }
}

void AppendStages(const Level& level, const MethodDescriptor& method, ScopedPlan* plan) {
  for (const auto& use : level.guards) {
    Append(use, ScopedPlan::List::kGuards, &plan->plan.guards, plan);
  }
  for (const auto& use : level.interceptors) {
    Append(use, ScopedPlan::List::kInterceptors, &plan->plan.interceptors, plan);
  }
  for (const Use<PipeFunction>& use : level.pipes) {
    const PipeFunction& pipe = use.stage.function;
    if (pipe.only == nullptr || pipe.only()->GetDescriptor() == method.request().GetDescriptor()) {
      Append(use, ScopedPlan::List::kPipes, &plan->plan.pipes, plan);
    }
  }
}

absl::Status Registry::CompileController(const BoundController& controller, const Level& global,
                                         std::vector<const Handler*>* compiled) {
  const ControllerDescription& description = Description(controller);
  if (controller.instance == nullptr && !controller.node.has_value()) {
    return absl::InternalError(absl::StrCat("nobody made the controller ", Title(controller)));
  }
  if (controller.instance != nullptr) instances_.push_back(controller.instance);
  patterns_.insert(patterns_.end(), description.patterns.begin(), description.patterns.end());
  std::vector<const ServiceDescriptor*> services;
  for (const auto& service : description.services) services.push_back(service.descriptor);
  const ControllerInfo& info =
      controllers_.emplace_back(ClassName(controller), std::move(services), description.metadata);
  Level own;
  absl::Status status =
      Bind(controller.description->enhancers().uses(), controller.resolve, controller.scoped, &own);
  if (!status.ok()) return status;

  for (const Served& served : ServedBy(controller)) {
    const MethodBuilder* builder = served.builder;
    MetadataValues metadata;
    Level level;
    const auto add = [&](const MethodBuilder& from) {
      metadata.SetAll(from.metadata());
      return Bind(from.enhancers().uses(), controller.resolve, controller.scoped, &level);
    };
    if (builder != nullptr) status = add(*builder);
    for (const auto& entry : description.methods) {
      if (status.ok() && Means(entry, served)) status = add(*entry.builder);
    }
    if (!status.ok()) return status;

    ScopedPlan scoped;
    HandlerPlan& plan = scoped.plan;
    plan.method = &methods_.emplace_back(*served.method, info, std::move(metadata));
    if (controller.node.has_value()) {
      scoped.controller = *controller.node;
      scoped.type = description.type;
      scoped.cast = served.cast;
    } else if (!served.cast(description.type, controller.instance.get(), &plan.service)) {
      return absl::InternalError(
          absl::StrCat(Title(controller), " is not what serves ", Abs(served.method->full_name)));
    }
    for (const Stage<PreRequestFunction>& hook : global.hooks) {
      plan.guards.push_back({hook.function.run, hook.instance});
    }
    plan.hooks = plan.guards.size();
    AppendStages(global, *served.method, &scoped);
    AppendStages(own, *served.method, &scoped);
    AppendStages(level, *served.method, &scoped);
    AppendFilters(level, &scoped);
    AppendFilters(own, &scoped);
    AppendFilters(global, &scoped);
    plan.stats = &stats_.Method(served.method->full_name);
    plan.accept = &accept_;
    std::unique_ptr<Handler> handler;
    if (scoped.patches.empty() && !scoped.controller.has_value()) {
      handler = std::make_unique<CompiledHandler>(std::move(plan));
    } else {
      handler = std::make_unique<ScopedHandler>(std::move(scoped), *container_);
    }
    compiled->push_back(handler.get());
    handlers_.push_back(std::move(handler));
  }
  return absl::OkStatus();
}

absl::Status Registry::Compile(std::vector<BoundController>& controllers,
                               std::vector<BoundEnhancers>& globals) {
  Level global;
  for (const BoundEnhancers& one : globals) {
    absl::Status status =
        Bind(one.enhancers->enhancers().uses(), one.resolve, one.scoped, &global, one.hooks_only);
    if (!status.ok()) return status;
  }
  std::vector<const Handler*> compiled;
  for (const BoundController& controller : controllers) {
    absl::Status status = CompileController(controller, global, &compiled);
    if (!status.ok()) return status;
  }

  absl::flat_hash_map<std::string_view, std::vector<const Handler*>> lists;
  lists.reserve(compiled.size());
  for (const Handler* const handler : compiled) {
    ForEachName(handler->descriptor(),
                [&](std::string_view name) { lists[name].push_back(handler); });
  }
  by_name_.reserve(lists.size());
  for (const Handler* const handler : compiled) {
    ForEachName(handler->descriptor(), [&](std::string_view name) {
      auto& list = lists[name];
      if (list.front() != handler) return;
      const Handler* found = handler;
      if (list.size() > 1) {
        auto group = std::make_unique<EventGroup>(list, &stats_.Method(name));
        found = group.get();
        handlers_.push_back(std::move(group));
      }
      by_name_.emplace(Abs(name), found);
      if (name == handler->descriptor().full_name) all_.push_back(found);
    });
  }
  return absl::OkStatus();
}

void Registry::CountRejected(std::string_view transport, std::string_view method,
                             const absl::Status& status) const noexcept {
  constexpr std::uint32_t kLinesPerSecond = 20;
  constexpr std::size_t kShownBytes = 200;
  const std::int64_t second = std::chrono::duration_cast<std::chrono::seconds>(
                                  std::chrono::steady_clock::now().time_since_epoch())
                                  .count();
  if (log_second_.exchange(second, std::memory_order_relaxed) != second) {
    logged_.store(0, std::memory_order_relaxed);
  }
  if (logged_.fetch_add(1, std::memory_order_relaxed) < kLinesPerSecond) {
    Logger::Default().Warn("call refused", {{"transport", transport},
                                            {"method", method.substr(0, kShownBytes)},
                                            {"status", status.ToString()}});
  }
  // After the line: who sees the count may look for it.
  const auto known = by_name_.find(Abs(method));
  if (known != by_name_.end()) {
    stats_.Method(internal::Std(known->first)).Rejected(transport);
  } else {
    stats_.Rejected(transport, status.code());
  }
}

}  // namespace

std::vector<std::string> CheckHandlers(std::span<const BoundController> controllers) {
  std::vector<std::string> faults;
  std::vector<Served> all;
  for (const BoundController& controller : controllers) {
    const std::vector<Served> served = ServedBy(controller);
    CheckBases(controller, &faults);
    CheckNames(controller, served, &faults);
    all.insert(all.end(), served.begin(), served.end());
  }
  CheckCollisions(all, &faults);
  return faults;
}

absl::StatusOr<std::unique_ptr<HandlerRegistry>> CompileHandlers(
    std::vector<BoundController> controllers, std::vector<BoundEnhancers> globals,
    StatsRegistry& stats, BaggageAllowList accept, internal::Container* container) {
  const std::vector<std::string> faults = CheckHandlers(controllers);
  if (!faults.empty()) return absl::InvalidArgumentError(absl::StrJoin(faults, "\n"));
  auto registry = std::make_unique<Registry>(stats, std::move(accept), container);
  absl::Status status = registry->Compile(controllers, globals);
  if (!status.ok()) return status;
  return std::unique_ptr<HandlerRegistry>(std::move(registry));
}

}  // namespace rookery
