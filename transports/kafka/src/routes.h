// Which topics a listener reads, and what comes in each. Private.
#ifndef ROOKERY_TRANSPORTS_KAFKA_SRC_ROUTES_H_
#define ROOKERY_TRANSPORTS_KAFKA_SRC_ROUTES_H_

#include <chrono>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "connection.h"
#include "options.h"
#include "rookery/rpc/handler.h"

namespace rookery::kafka_adapter {

enum class Use : std::uint8_t { kEvent, kRequest, kRetry };

// What comes in a topic.
struct Route {
  Use use = Use::kEvent;
  std::string topic;  // or a pattern, with wildcards
  const Handler* handler = nullptr;
  std::chrono::milliseconds delay{0};  // of a retry topic
};

// Built once at start, then read by all.
class Routes final {
 public:
  // All that the options let through, or all that is wrong with it.
  [[nodiscard]] absl::Status Build(const Kafka& options, const HandlerRegistry& registry);

  // Null: such records are nothing of ours.
  [[nodiscard]] const Route* Find(std::string_view topic) const;
  // Of events alone: where a retry came from.
  [[nodiscard]] const Handler* HandlerOf(std::string_view topic) const;
  // Those without wildcards.
  [[nodiscard]] std::vector<std::string> Topics() const;
  [[nodiscard]] std::vector<std::string> EventTopics() const;
  [[nodiscard]] ListPtr Subscription() const;
  [[nodiscard]] bool has_events() const noexcept { return has_events_; }
  [[nodiscard]] bool has_requests() const noexcept { return has_requests_; }

 private:
  void Add(Use use, const std::string& topic, const Handler* handler,
           std::vector<std::string>* faults);

  std::list<Route> all_;
  absl::flat_hash_map<std::string, Route*> exact_;
  std::vector<const Route*> wild_;
  std::string not_events_;  // the ends of such topics' names
  std::string ours_;        // the beginning of those of inboxes
  bool has_events_ = false;
  bool has_requests_ = false;
};

}  // namespace rookery::kafka_adapter

#endif  // ROOKERY_TRANSPORTS_KAFKA_SRC_ROUTES_H_
