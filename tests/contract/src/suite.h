// What the cases are written with: checks that throw, nodes that serve, and calls in the
// background.
#ifndef ROOKERY_CONTRACT_SUITE_H_
#define ROOKERY_CONTRACT_SUITE_H_

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <source_location>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "contract.rookery.h"
#include "rookery/app/application.h"
#include "rookery/contract/contract.h"
#include "rookery/platform/log.h"
#include "rookery/rpc/client.h"
#include "rookery/rpc/status.h"
#include "rookery/runtime/sync_wait.h"
#include "server.h"

namespace rookery::contract {

using Where = std::source_location;

// A check that did not hold.
class CaseFailed final : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

[[noreturn]] void FailCase(const std::string& what, Where where);

// Each throws CaseFailed with `what` and the line unless it holds.
void Expect(bool holds, std::string_view what, Where where = Where::current());

inline std::string Show(const std::string& value) { return "\"" + value + "\""; }
inline std::string Show(std::string_view value) { return Show(std::string(value)); }
inline std::string Show(const char* value) { return Show(std::string(value)); }
inline std::string Show(bool value) { return value ? "true" : "false"; }
template <class N>
  requires std::is_arithmetic_v<N>
std::string Show(N value) {
  return std::to_string(value);
}
template <class A, class B>
void ExpectEqual(const A& actual, const B& expected, std::string_view what,
                 Where where = Where::current()) {
  if (actual == expected) return;
  FailCase(std::string(what) + " is " + Show(actual) + ", expected " + Show(expected), where);
}
void ExpectCode(const absl::Status& status, absl::StatusCode code, std::string_view what,
                Where where = Where::current());
template <class T>
T ExpectOk(absl::StatusOr<T> value, std::string_view what, Where where = Where::current()) {
  ExpectCode(value.status(), absl::StatusCode::kOk, what, where);
  return *std::move(value);
}
inline void ExpectOk(const absl::Status& status, std::string_view what,
                     Where where = Where::current()) {
  ExpectCode(status, absl::StatusCode::kOk, what, where);
}
// Waits, generously, until `holds`. Not on a loop.
void Eventually(const std::function<bool()>& holds, std::string_view what,
                Where where = Where::current());

[[nodiscard]] bool Contains(std::string_view text, std::string_view part);
[[nodiscard]] std::string Message(const absl::Status& status);

// How a node is made.
struct NodeOptions {
  std::chrono::milliseconds drain_grace{20'000};
};

// An application that serves the suite's controllers over the transport, and its clients' side: an
// application without listeners, which lends its loops to the channels.
class Node final {
 public:
  explicit Node(const Transport& transport, const NodeOptions& options = {});
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  [[nodiscard]] Application& app() noexcept { return *app_; }
  [[nodiscard]] Probe& probe() noexcept { return *probe_; }
  [[nodiscard]] CapturingSink& log() noexcept { return *log_; }
  [[nodiscard]] const std::string& endpoint() const noexcept { return endpoint_; }
  // A channel of its own to this node, as another process would have it.
  [[nodiscard]] std::shared_ptr<Channel> Connect();
  // Calls of this node's handlers to the next go to `next`.
  void CallNext(Node& next);

  // The node's one client for cases that need no more.
  [[nodiscard]] ContractClient& client() noexcept { return *client_; }
  [[nodiscard]] EnhancedClient& enhanced() noexcept { return *enhanced_; }

  // A plain call works, whatever happened before.
  void ExpectHealthy(Where where = Where::current());
  // No call is left behind.
  void ExpectIdle(Where where = Where::current());

  // What those that are there have done last, for a person who wonders why a case hangs.
  [[nodiscard]] static std::string LastWords();

 private:
  // In a list of all, until it is let go.
  static std::shared_ptr<Node> Listed(Node* node);

  const Transport& transport_;
  std::unique_ptr<Probe> probe_ = std::make_unique<Probe>();
  std::shared_ptr<CapturingSink> log_ = std::make_shared<CapturingSink>();
  std::unique_ptr<Application> caller_;
  std::unique_ptr<Application> app_;
  std::string endpoint_;
  std::unique_ptr<ContractClient> client_;
  std::unique_ptr<EnhancedClient> enhanced_;
  const std::shared_ptr<Node> listed_ = Listed(this);  // the last: it goes first
};

// A call on a thread of its own. Get() waits for it.
template <class T>
class Background final {
 public:
  template <class Fn>
  explicit Background(Fn make_task)
      : result_(std::async(std::launch::async, [make = std::move(make_task)]() mutable {
          return SyncWaitStatus(make());
        })) {}
  [[nodiscard]] bool done() const {
    return result_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }
  [[nodiscard]] StatusOrOf<T> Get() { return result_.get(); }

 private:
  std::future<StatusOrOf<T>> result_;
};

struct Case {
  const char* name;
  void (*run)(const Transport& transport);
};
[[nodiscard]] std::span<const Case> UnaryCases();
[[nodiscard]] std::span<const Case> MetadataCases();
[[nodiscard]] std::span<const Case> TimeCases();
[[nodiscard]] std::span<const Case> StreamCases();
[[nodiscard]] std::span<const Case> ContextCases();
[[nodiscard]] std::span<const Case> PipelineCases();
[[nodiscard]] std::span<const Case> LimitCases();

[[nodiscard]] inline Payload Text(std::string_view text) {
  Payload payload;
  payload.set_text(std::string(text));
  return payload;
}

}  // namespace rookery::contract

#endif  // ROOKERY_CONTRACT_SUITE_H_
