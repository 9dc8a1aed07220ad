// The side that serves: controllers that do as they are told, and a Probe that the cases look
// through.
#ifndef ROOKERY_CONTRACT_SERVER_H_
#define ROOKERY_CONTRACT_SERVER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "contract.rookery.h"
#include "rookery/module/dynamic_module.h"
#include "rookery/pipeline/exception_filter.h"
#include "rookery/pipeline/guard.h"
#include "rookery/pipeline/interceptor.h"
#include "rookery/pipeline/pipe.h"
#include "rookery/platform/cls.h"
#include "rookery/platform/log.h"
#include "rookery/runtime/event.h"

namespace rookery::contract {

// Travel by baggage; the nodes of the suite accept the first two.
inline constexpr ClsKey<std::string> kTenant{"tenant", Propagation::kBaggage};
inline constexpr ClsKey<std::int64_t> kLevel{"level", Propagation::kBaggage};
inline constexpr ClsKey<std::string> kSecret{"secret", Propagation::kBaggage};
// Stays in the process.
inline constexpr ClsKey<std::string> kLocal{"local"};
inline constexpr ClsKey<std::int64_t> kNumber{"number"};

// What the handlers of one node did, and what they wait for. Thread-safe.
struct Probe {
  std::atomic<int> entered{0};    // handlers of Hold, Count and Sum that began
  std::atomic<int> ended{0};      // ... and whose frames are gone
  std::atomic<int> cancelled{0};  // heard of a cancellation while they waited
  std::atomic<std::int64_t> produced{0};
  std::atomic<std::int64_t> consumed{0};
  std::atomic<std::int64_t> remaining_ns{0};  // at the start of the last Hold
  std::atomic<int> echoed{0};
  std::atomic<int> interfered{0};  // times that Isolate saw another call's value
  Event release;                   // lets Hold go on
  Event gate;                      // lets Sum go on after a number below zero
  Event after;                     // lets the work go on that Leave started

  // The node that handlers call next; only while no handler is about to.
  void set_next(std::unique_ptr<ContractClient> client) {
    const std::scoped_lock lock(mutex_);
    next_ = std::move(client);
  }
  ContractClient& next() const {
    const std::scoped_lock lock(mutex_);
    return *next_;
  }

  void Note(std::string text) {
    const std::scoped_lock lock(mutex_);
    notes_.push_back(std::move(text));
  }
  std::vector<std::string> notes() const {
    const std::scoped_lock lock(mutex_);
    return notes_;
  }
  void NoteReason(const absl::Status& status) {
    const std::scoped_lock lock(mutex_);
    reason_ = status;
  }
  absl::Status reason() const {
    const std::scoped_lock lock(mutex_);
    return reason_;
  }

 private:
  mutable std::mutex mutex_;
  std::unique_ptr<ContractClient> next_;
  std::vector<std::string> notes_;
  absl::Status reason_;
};

class ContractController final : public ContractService {
 public:
  ContractController(Probe& probe, Logger& log) : probe_(probe), log_(log.Named("contract")) {}

  Task<Payload> Echo(CallContext& call, const Payload& request) override;
  Task<Payload> Fail(CallContext& call, const Failure& request) override;
  Task<Payload> Reply(CallContext& call, const ReplyRequest& request) override;
  Stream<Payload> ReplyStream(CallContext& call, const ReplyRequest& request) override;
  Task<Seen> Look(CallContext& call, const LookRequest& request) override;
  Task<Payload> Hold(CallContext& call, const HoldRequest& request) override;
  Task<Isolation> Isolate(CallContext& call, const Payload& request) override;
  Task<Payload> Leave(CallContext& call, const Payload& request) override;
  Stream<Number> Count(CallContext& call, const CountRequest& request) override;
  Task<Summary> Sum(CallContext& call, Stream<Number> requests) override;
  Stream<Number> Chat(CallContext& call, Stream<Number> requests) override;
  Stream<Number> Tally(CallContext& call, Stream<Number> requests) override;
  Task<void> OnNote(CallContext& call, const Payload& event) override;

 private:
  Task<void> WaitForRelease();

  Probe& probe_;
  Logger log_;
};

// ---- the pipeline of Enhanced ---------------------------------------------------------------

// What the filter catches.
struct DomainError {
  std::string what;
};

class Guard final {
 public:
  explicit Guard(Probe& probe) : probe_(probe) {}
  Task<absl::Status> CanActivate(ExecutionContext& context);

 private:
  Probe& probe_;
};
class Doorman final {  // says no with a bool
 public:
  bool CanActivate(ExecutionContext& context);
};
class Interceptor final {
 public:
  explicit Interceptor(Probe& probe) : probe_(probe) {}
  Task<Response> Intercept(ExecutionContext& context, Next next);

 private:
  Probe& probe_;
};
class Pipe final {
 public:
  explicit Pipe(Probe& probe) : probe_(probe) {}
  absl::Status Transform(Payload& message, const ArgumentMetadata&);

 private:
  Probe& probe_;
};
class Filter final {
 public:
  absl::Status Catch(const DomainError& error, ExecutionContext& context);
};

class EnhancedController final : public EnhancedService {
 public:
  explicit EnhancedController(Probe& probe) : probe_(probe) {}

  Task<Payload> Do(CallContext& call, const Payload& request) override;
  Stream<Payload> DoMany(CallContext& call, Stream<Payload> requests) override;

  static void Configure(ControllerBuilder& controller);

 private:
  Probe& probe_;
};

// A node's root module; `probe` outlives the application.
DynamicModule MakeModule(Probe& probe);

}  // namespace rookery::contract

#endif  // ROOKERY_CONTRACT_SERVER_H_
