// Discovery: what NATS's own tools ask every service, answered ($SRV.PING, $SRV.INFO, $SRV.STATS:
// ADR-32 of NATS). Private.
//
//   Discovery discovery(options, registry, id, [&host] { return host.Stats(); });
//   for (const std::string& subject : discovery.subjects()) ...   // subscribe, in no queue group
//   for (const std::string& json : discovery.Answer(subject)) ... // one for each service
#ifndef ROOKERY_TRANSPORTS_NATS_SRC_DISCOVERY_H_
#define ROOKERY_TRANSPORTS_NATS_SRC_DISCOVERY_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "rookery/rpc/handler.h"
#include "rookery/rpc/stats.h"
#include "rookery/transports/nats.h"

namespace rookery::nats_adapter {

// The services of one listener. Each service of a proto is one of NATS's, under its full name with
// underscores for dots, which NATS does not allow there; all patterns that belong to no service are
// one more, under the listener's queue group. Not thread-safe.
class Discovery final {
 public:
  // `registry` outlives this. `id`: of this instance, the same for all its services.
  Discovery(const Nats& options, const HandlerRegistry& registry, std::string id,
            std::function<StatsSnapshot()> stats);
  Discovery(const Discovery&) = delete;
  Discovery& operator=(const Discovery&) = delete;
  ~Discovery() = default;

  // What to listen to. None if there is nothing to tell of.
  [[nodiscard]] std::vector<std::string> subjects() const;
  // The answers to a message to `subject`, as JSON; none if it is not for us.
  [[nodiscard]] std::vector<std::string> Answer(std::string_view subject) const;

 private:
  struct Endpoint {
    std::string name;
    std::string method;   // as in statistics
    std::string kind;     // "unary", ...
    std::string subject;  // where it is called
  };
  struct Service {
    std::string name;
    std::string full_name;  // the proto's; empty for patterns
    std::vector<Endpoint> endpoints;
  };

  [[nodiscard]] std::string Head(const Service& service, std::string_view type) const;
  [[nodiscard]] std::string Info(const Service& service) const;
  [[nodiscard]] std::string StatsOf(const Service& service, const StatsSnapshot& stats) const;

  const std::string id_;
  const std::string version_;
  const std::string queue_;  // empty: no queue group
  const std::string started_;
  const std::function<StatsSnapshot()> stats_;
  std::vector<Service> services_;
};

}  // namespace rookery::nats_adapter

#endif  // ROOKERY_TRANSPORTS_NATS_SRC_DISCOVERY_H_
