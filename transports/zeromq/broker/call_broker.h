// CallBroker: hands calls from clients at one address to workers that registered at another (ROUTER
// and ROUTER; workers connect a DEALER). Private to rookery-zmq-broker.
//
//   CallBroker calls(context, loop, options);
//   absl::Status opened = calls.Open("tcp://127.0.0.1:5555", "tcp://127.0.0.1:5560");
//
// Messages pass as they are: [client][header][body] between us and a worker, in both directions. A
// worker says every half second what it serves; one that is silent is forgotten, and the calls that
// it had in hand fail with UNAVAILABLE.
#ifndef ROOKERY_TRANSPORTS_ZEROMQ_BROKER_CALL_BROKER_H_
#define ROOKERY_TRANSPORTS_ZEROMQ_BROKER_CALL_BROKER_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "rookery/rpc/wire.h"
#include "rookery/runtime/loop.h"
#include "rookery/transports/zeromq.h"
#include "sockets.h"

namespace rookery::zeromq_adapter {

// Open, StopIntake and Close from any thread but the loop's; counters from any.
class CallBroker final {
 public:
  CallBroker(std::shared_ptr<ZmqContext> context, Loop& loop, const ZeroMq& options,
             std::chrono::milliseconds worker_timeout);
  CallBroker(const CallBroker&) = delete;
  CallBroker& operator=(const CallBroker&) = delete;
  ~CallBroker();

  [[nodiscard]] absl::Status Open(const std::string& clients, const std::string& workers);
  [[nodiscard]] const std::string& clients() const noexcept { return clients_endpoint_; }
  [[nodiscard]] const std::string& workers() const noexcept { return workers_endpoint_; }
  // New calls are refused; clients are told to go elsewhere.
  void StopIntake();
  void Close();

  [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_.load(); }
  [[nodiscard]] std::uint64_t routed() const noexcept { return routed_.load(); }
  [[nodiscard]] std::uint64_t refused() const noexcept { return refused_.load(); }

 private:
  struct Call;
  struct Worker {
    std::string id;
    std::vector<std::string> names;  // "/shop.v1.Orders/", or a pattern
    Deadline last = kNoDeadline;
    bool leaving = false;
    std::size_t in_flight = 0;
  };
  struct Call {
    Worker* worker = nullptr;
    std::string client;
    std::string address;  // the client's, of the call
    std::string callee;   // the worker's; empty: not known yet
  };
  struct Timer final : LoopTimer {
    explicit Timer(CallBroker* owner) noexcept
        : LoopTimer([](LoopTimer* self) noexcept { static_cast<Timer*>(self)->broker->Sweep(); }),
          broker(owner) {}
    CallBroker* const broker;
  };

  template <class F>
  void OnLoop(F act);
  void OnClient(Frames& frames);
  void OnWorker(Frames& frames);
  void OnRequest(Frames& frames, std::string_view to, std::string_view reply_to);
  void OnAnswer(Frames& frames);
  void Register(const std::string& id, std::string_view names);
  void Forget(Worker& worker, const std::string& why);
  void Unlist(Worker& worker);
  void Sweep();
  // The one with the least to do; null: nobody serves it.
  [[nodiscard]] Worker* Choose(std::string_view to);
  void EndCall(const std::string& key);
  void Refuse(std::string_view client, std::string_view address, const absl::Status& status,
              bool unread);
  absl::Status SendToClient(std::string_view client, std::string_view address,
                            const OutboundMessage& message);
  // Tells a worker that nobody waits for that call any more.
  void CancelAt(Worker& worker, std::string_view client, std::string_view callee);

  const std::shared_ptr<ZmqContext> context_;
  Loop& loop_;
  const ZeroMq options_;
  const std::chrono::milliseconds worker_timeout_;
  std::string clients_endpoint_;
  std::string workers_endpoint_;
  std::shared_ptr<LoopSocket> front_;
  std::shared_ptr<LoopSocket> back_;
  // The loop's.
  absl::flat_hash_map<std::string, std::unique_ptr<Worker>> workers_;
  absl::flat_hash_map<std::string, std::vector<Worker*>> services_;
  absl::flat_hash_map<std::string, Call> calls_;           // by client and its address
  absl::flat_hash_map<std::string, std::string> callees_;  // client and callee: the key in calls_
  absl::flat_hash_set<std::string> callers_;
  std::string scratch_;
  bool draining_ = false;
  bool open_ = false;
  Timer sweep_{this};
  std::atomic<std::size_t> in_flight_{0};
  std::atomic<std::uint64_t> routed_{0};
  std::atomic<std::uint64_t> refused_{0};
};

}  // namespace rookery::zeromq_adapter

#endif  // ROOKERY_TRANSPORTS_ZEROMQ_BROKER_CALL_BROKER_H_
