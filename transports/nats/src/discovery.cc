#include "discovery.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "options.h"
#include "runtime/abseil_strings.h"

namespace rookery::nats_adapter {
namespace {

using internal::Abs;

constexpr std::string_view kPrefix = "$SRV.";

// Letters, digits, dash and underscore are what a name may have.
std::string NameFor(std::string_view text) {
  std::string name(text);
  for (char& c : name) {
    const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_';
    if (!fine) c = '_';
  }
  return name;
}

std::string_view KindName(MethodKind kind) {
  switch (kind) {
    case MethodKind::kUnary:
      return "unary";
    case MethodKind::kServerStreaming:
      return "server-streaming";
    case MethodKind::kClientStreaming:
      return "client-streaming";
    case MethodKind::kBidiStreaming:
      return "bidi-streaming";
    case MethodKind::kEvent:
      return "event";
  }
  return "";
}

}  // namespace

Discovery::Discovery(const Nats& options, const HandlerRegistry& registry, std::string id,
                     std::function<StatsSnapshot()> stats)
    : id_(std::move(id)),
      version_(options.version),
      queue_(options.queue_groups ? QueueOf(options) : std::string()),
      started_(absl::FormatTime("%Y-%m-%d%ET%H:%M:%E6SZ", absl::Now(), absl::UTCTimeZone())),
      stats_(std::move(stats)) {
  for (const Handler* const handler : registry.all()) {
    const MethodDescriptor& method = handler->descriptor();
    const bool named = !method.service.empty();
    const std::string name = NameFor(named ? std::string(method.service) : QueueOf(options));
    const std::string full_name(named ? method.service : std::string_view());
    auto service = std::find_if(services_.begin(), services_.end(), [&](const Service& one) {
      return one.name == name && one.full_name == full_name;
    });
    if (service == services_.end()) {
      services_.push_back({name, full_name, {}});
      service = services_.end() - 1;
    }
    const std::string endpoint = NameFor(method.name.empty() ? method.full_name : method.name);
    // Several handlers of one event are one endpoint.
    const bool known = std::any_of(service->endpoints.begin(), service->endpoints.end(),
                                   [&](const Endpoint& one) { return one.name == endpoint; });
    if (known) continue;
    service->endpoints.push_back({endpoint, std::string(method.full_name),
                                  std::string(KindName(method.kind)), SubjectOf(options, method)});
  }
}

std::vector<std::string> Discovery::subjects() const {
  std::vector<std::string> all;
  if (services_.empty()) return all;
  all.push_back(absl::StrCat(Abs(kPrefix), "*"));
  for (const Service& service : services_) {
    all.push_back(absl::StrCat(Abs(kPrefix), "*.", service.name));
    all.push_back(absl::StrCat(Abs(kPrefix), "*.", service.name, ".", id_));
  }
  return all;
}

std::vector<std::string> Discovery::Answer(std::string_view subject) const {
  std::vector<std::string> answers;
  if (subject.substr(0, kPrefix.size()) != kPrefix) return answers;
  const std::vector<std::string> words = absl::StrSplit(Abs(subject.substr(kPrefix.size())), '.');
  const std::string& verb = words[0];
  const bool with_stats = verb == "STATS";
  if (!with_stats && verb != "PING" && verb != "INFO") return answers;
  if (words.size() > 3 || (words.size() == 3 && words[2] != id_)) return answers;
  const StatsSnapshot stats = with_stats ? stats_() : StatsSnapshot();
  for (const Service& service : services_) {
    if (words.size() > 1 && words[1] != service.name) continue;
    if (with_stats) {
      answers.push_back(StatsOf(service, stats));
    } else {
      answers.push_back(verb == "INFO" ? Info(service)
                                       : absl::StrCat(Head(service, "ping_response"), "}"));
    }
  }
  return answers;
}

std::string Discovery::Head(const Service& service, std::string_view type) const {
  const std::string metadata =
      service.full_name.empty()
          ? std::string("{}")
          : absl::StrCat("{\"rookery.service\":", Quoted(service.full_name), "}");
  return absl::StrCat("{\"name\":", Quoted(service.name), ",\"id\":", Quoted(id_),
                      ",\"version\":", Quoted(version_), ",\"metadata\":", metadata,
                      ",\"type\":\"io.nats.micro.v1.", Abs(type), "\"");
}

std::string Discovery::Info(const Service& service) const {
  std::string json = Head(service, "info_response");
  absl::StrAppend(&json, ",\"description\":", Quoted(service.full_name), ",\"endpoints\":[");
  bool first = true;
  for (const Endpoint& one : service.endpoints) {
    absl::StrAppend(&json, std::exchange(first, false) ? "" : ",", "{\"name\":", Quoted(one.name),
                    ",\"subject\":", Quoted(one.subject), ",\"queue_group\":", Quoted(queue_),
                    ",\"metadata\":{\"rookery.method\":", Quoted(one.method),
                    ",\"rookery.kind\":", Quoted(one.kind), "}}");
  }
  return absl::StrCat(json, "]}");
}

std::string Discovery::StatsOf(const Service& service, const StatsSnapshot& stats) const {
  std::string json = Head(service, "stats_response");
  absl::StrAppend(&json, ",\"started\":", Quoted(started_), ",\"endpoints\":[");
  bool first = true;
  for (const Endpoint& one : service.endpoints) {
    std::uint64_t requests = 0;
    std::uint64_t errors = 0;
    std::uint64_t in_flight = 0;
    std::int64_t time = 0;
    std::string last_error;
    if (const MethodSnapshot* const method = stats.Find(one.method, "nats")) {
      const std::uint64_t well = method->code(absl::StatusCode::kOk);
      requests = method->calls + method->rejected;
      errors = requests - well;
      in_flight = method->in_flight;
      time = method->latency.sum.count();
      // Which one was the last is not kept; the commonest says more, anyway.
      std::uint64_t most = 0;
      for (std::size_t code = 1; code < method->codes.size(); ++code) {
        if (method->codes[code] <= most) continue;
        most = method->codes[code];
        last_error = absl::StatusCodeToString(static_cast<absl::StatusCode>(code));
      }
    }
    const std::int64_t average = requests == 0 ? 0 : time / static_cast<std::int64_t>(requests);
    absl::StrAppend(&json, std::exchange(first, false) ? "" : ",", "{\"name\":", Quoted(one.name),
                    ",\"subject\":", Quoted(one.subject), ",\"queue_group\":", Quoted(queue_),
                    ",\"num_requests\":", requests, ",\"num_errors\":", errors,
                    ",\"last_error\":", Quoted(last_error), ",\"processing_time\":", time,
                    ",\"average_processing_time\":", average,
                    ",\"data\":{\"in_flight\":", in_flight, "}}");
  }
  return absl::StrCat(json, "]}");
}

}  // namespace rookery::nats_adapter
