#include "routes.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "rookery/rpc/worker_engine.h"
#include "rpc/subject_pattern.h"
#include "runtime/abseil_strings.h"

namespace rookery::kafka_adapter {

using internal::Abs;
using std::chrono::milliseconds;

absl::Status Routes::Build(const Kafka& options, const HandlerRegistry& registry) {
  not_events_ =
      options.dead_letter_topic.empty() ? options.dead_letter_suffix : DeadLetterTopic(options, "");
  ours_ = Prefixed(options, "rookery.");
  std::vector<std::string> faults;
  std::vector<std::string> missing = options.events;
  for (const Handler* const handler : registry.all()) {
    const MethodDescriptor& method = handler->descriptor();
    const Handler* const named = registry.Find(method.full_name);
    const Handler* const found = named == nullptr ? handler : named;
    if (method.kind == MethodKind::kEvent) {
      if (!options.serve_events) continue;
      Kafka bare = options;
      bare.prefix.clear();
      const std::string plain = EventTopic(bare, method);
      if (!options.events.empty()) {
        if (std::find(options.events.begin(), options.events.end(), plain) ==
            options.events.end()) {
          continue;
        }
        missing.erase(std::remove(missing.begin(), missing.end(), plain), missing.end());
      }
      if (absl::Status checked = WorkerEngine::Check(*found, options.policy); !checked.ok()) {
        faults.emplace_back(checked.message());
      }
      Add(Use::kEvent, EventTopic(options, method), found, &faults);
      has_events_ = true;
    } else if (options.serve_requests) {
      const bool pattern = !method.pattern.empty() && options.request_topic.empty();
      Add(Use::kRequest, RequestTopic(options, method), pattern ? found : nullptr, &faults);
      has_requests_ = true;
    }
  }
  for (const std::string& event : missing) {
    faults.push_back(absl::StrCat("Kafka::events names ", event, ", which nobody handles"));
  }
  if (!has_events_ && !has_requests_ && faults.empty()) {
    faults.emplace_back(
        "nothing here is served: no controller has a method that Kafka::serve_events and "
        "serve_requests let through");
  }
  if (has_events_) {
    for (const milliseconds delay : options.retry_topics) {
      Add(Use::kRetry, RetryTopic(options, delay), nullptr, &faults);
      exact_[RetryTopic(options, delay)]->delay = delay;
    }
  }
  if (faults.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrJoin(faults, "; "));
}

const Route* Routes::Find(std::string_view topic) const {
  const auto found = exact_.find(Abs(topic));
  if (found != exact_.end()) return found->second;
  // What a wildcard finds beside events: dead letters would be handled, and die, for ever.
  if (topic.ends_with(not_events_) || topic.starts_with(ours_)) return nullptr;
  for (const Route* const route : wild_) {
    if (internal::MatchesSubject(route->topic, topic)) return route;
  }
  return nullptr;
}

const Handler* Routes::HandlerOf(std::string_view topic) const {
  const Route* const route = Find(topic);
  return route == nullptr || route->use != Use::kEvent ? nullptr : route->handler;
}

std::vector<std::string> Routes::Topics() const {
  std::vector<std::string> topics;
  for (const Route& each : all_) {
    if (!internal::HasWildcard(each.topic)) topics.push_back(each.topic);
  }
  return topics;
}

std::vector<std::string> Routes::EventTopics() const {
  std::vector<std::string> topics;
  for (const Route& each : all_) {
    if (each.use == Use::kEvent && !internal::HasWildcard(each.topic)) topics.push_back(each.topic);
  }
  return topics;
}

ListPtr Routes::Subscription() const {
  ListPtr list = NewList(static_cast<int>(all_.size()));
  for (const Route& each : all_) {
    const std::string name = internal::HasWildcard(each.topic) ? ToRegex(each.topic) : each.topic;
    rd_kafka_topic_partition_list_add(list.get(), name.c_str(), RD_KAFKA_PARTITION_UA);
  }
  return list;
}

void Routes::Add(Use use, const std::string& topic, const Handler* handler,
                 std::vector<std::string>* faults) {
  const bool wild = internal::HasWildcard(topic) && use == Use::kEvent;
  std::string plain = topic;
  if (wild) {
    for (char& c : plain) c = c == '*' || c == '>' ? 'x' : c;
  }
  if (absl::Status checked = CheckTopic(plain); !checked.ok()) {
    faults->emplace_back(checked.message());
    return;
  }
  if (const auto found = exact_.find(topic); found != exact_.end()) {
    if (found->second->use != use) {
      faults->push_back(absl::StrCat("the topic ", topic,
                                     " is to carry events as well as something else: give one "
                                     "of them another pattern"));
    }
    return;
  }
  all_.push_back({use, topic, handler, milliseconds(0)});
  if (wild) {
    wild_.push_back(&all_.back());
  }
  exact_.emplace(topic, &all_.back());
}

}  // namespace rookery::kafka_adapter
