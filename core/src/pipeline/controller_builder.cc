#include "rookery/pipeline/controller_builder.h"

#include <algorithm>
#include <vector>

namespace rookery {

namespace internal {

void EnhancerList::Add(EnhancerUse use, ProviderSpec (*provider)(std::source_location where)) {
  if (provider != nullptr) {
    const bool known =
        std::any_of(injectables_->begin(), injectables_->end(),
                    [&use](const ProviderSpec& spec) { return spec.token == use.token; });
    if (!known) injectables_->push_back(provider(use.where));
  }
  uses_.push_back(std::move(use));
}

bool EnhancerList::Override(const EnhancerOverride& replacement) {
  bool used = false;
  for (EnhancerUse& use : uses_) {
    if (use.token != replacement.replaced ||
        use.function.index() != replacement.with.function.index()) {
      continue;
    }
    use = replacement.with;
    used = true;
  }
  return used;
}

bool EnhancerList::Needs(const Token& token) const noexcept {
  return std::any_of(uses_.begin(), uses_.end(), [&token](const EnhancerUse& use) {
    return use.instance == nullptr && use.token == token;
  });
}

namespace {

// After an override: who is needed no longer is not made, either.
void SwapInjectables(const EnhancerOverride& replacement, const std::vector<EnhancerList*>& lists,
                     std::vector<ProviderSpec>* injectables) {
  const auto needed = [&lists](const Token& token) {
    return std::any_of(lists.begin(), lists.end(),
                       [&token](const EnhancerList* list) { return list->Needs(token); });
  };
  if (!needed(replacement.replaced)) {
    std::erase_if(*injectables, [&replacement](const ProviderSpec& spec) {
      return spec.token == replacement.replaced;
    });
  }
  if (replacement.provider.has_value()) injectables->push_back(*replacement.provider);
}

bool OverrideIn(const EnhancerOverride& replacement, const std::vector<EnhancerList*>& lists,
                std::vector<ProviderSpec>* injectables) {
  bool used = false;
  for (EnhancerList* const list : lists) used = list->Override(replacement) || used;
  if (used) SwapInjectables(replacement, lists, injectables);
  return used;
}

}  // namespace
}  // namespace internal

bool GlobalEnhancers::Override(const internal::EnhancerOverride& replacement) {
  return internal::OverrideIn(replacement, {&enhancers_}, injectables_.get());
}

bool ControllerBuilder::Override(const internal::EnhancerOverride& replacement) {
  std::vector<internal::EnhancerList*> lists = {&enhancers_};
  for (const auto& entry : description_->methods) lists.push_back(&entry.builder->enhancers());
  for (const auto& entry : description_->patterns) lists.push_back(&entry->builder->enhancers());
  return internal::OverrideIn(replacement, lists, &description_->injectables);
}

using internal::ControllerDescription;

ControllerBuilder::ControllerBuilder()
    : ControllerBuilder(std::make_unique<ControllerDescription>()) {}

ControllerBuilder::ControllerBuilder(std::unique_ptr<ControllerDescription> description)
    : EnhancerVerbs(&description->injectables), description_(std::move(description)) {}

ControllerBuilder::~ControllerBuilder() = default;
ControllerBuilder::ControllerBuilder(ControllerBuilder&&) noexcept = default;
ControllerBuilder& ControllerBuilder::operator=(ControllerBuilder&&) noexcept = default;

std::span<const ProviderSpec> ControllerBuilder::injectables() const noexcept {
  return description_->injectables;
}

void ControllerBuilder::SetType(const internal::ClassIdentity& type) { description_->type = type; }

void ControllerBuilder::AddService(const ServiceDescriptor& descriptor, internal::Cast cast,
                                   Where where) {
  auto& services = description_->services;
  const auto known = std::find_if(services.begin(), services.end(), [&](const auto& service) {
    return service.descriptor->full_name == descriptor.full_name;
  });
  if (known == services.end()) {
    services.push_back(ControllerDescription::ServiceEntry{&descriptor, cast, where});
  } else {
    // Named again, to go on about it: the last one is what Method(kX) means.
    std::rotate(known, known + 1, services.end());
    const auto moved = static_cast<std::size_t>(known - services.begin());
    for (ControllerDescription::MethodEntry& method : description_->methods) {
      if (method.service == moved) {
        method.service = services.size() - 1;
      } else if (method.service > moved) {
        --method.service;
      }
    }
  }
}

MethodBuilder& ControllerBuilder::Method(MethodRef method, Where where) {
  const std::size_t service =
      description_->services.empty() ? 0 : description_->services.size() - 1;
  for (ControllerDescription::MethodEntry& known : description_->methods) {
    if (known.index == method.index && known.service == service) return *known.builder;
  }
  ControllerDescription::MethodEntry entry;
  entry.index = method.index;
  entry.service = service;
  entry.where = where;
  entry.builder = std::make_unique<MethodBuilder>(&description_->injectables);
  description_->methods.push_back(std::move(entry));
  return *description_->methods.back().builder;
}

MethodBuilder& ControllerBuilder::Method(std::string_view name, Where where) {
  for (ControllerDescription::MethodEntry& known : description_->methods) {
    if (!known.index && known.name == name) return *known.builder;
  }
  ControllerDescription::MethodEntry entry;
  entry.name = name;
  entry.where = where;
  entry.builder = std::make_unique<MethodBuilder>(&description_->injectables);
  description_->methods.push_back(std::move(entry));
  return *description_->methods.back().builder;
}

MethodBuilder& ControllerBuilder::AddPattern(
    std::shared_ptr<ControllerDescription::PatternEntry> entry) {
  entry->builder = std::make_unique<MethodBuilder>(&description_->injectables);
  description_->patterns.push_back(std::move(entry));
  return *description_->patterns.back()->builder;
}

}  // namespace rookery
