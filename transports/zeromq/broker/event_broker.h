// EventBroker: takes events from publishers at one address and hands them to subscribers at another
// (XSUB and XPUB). Private to rookery-zmq-broker.
//
//   EventBroker events(context, loop, options);
//   absl::Status opened = events.Open("tcp://127.0.0.1:5561", "tcp://127.0.0.1:5562");
//
// It keeps no event, but the last number of each publisher and subject: whoever subscribes is told
// them, and knows from then on what was lost, here or on the way.
#ifndef ROOKERY_TRANSPORTS_ZEROMQ_BROKER_EVENT_BROKER_H_
#define ROOKERY_TRANSPORTS_ZEROMQ_BROKER_EVENT_BROKER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "event_socket.h"
#include "rookery/runtime/loop.h"
#include "rookery/transports/zeromq.h"
#include "sockets.h"

namespace rookery::zeromq_adapter {

// Open, Drain and Close from any thread but the loop's; counters from any.
class EventBroker final {
 public:
  EventBroker(std::shared_ptr<ZmqContext> context, Loop& loop, const ZeroMq& options);
  EventBroker(const EventBroker&) = delete;
  EventBroker& operator=(const EventBroker&) = delete;
  ~EventBroker();

  [[nodiscard]] absl::Status Open(const std::string& publishers, const std::string& subscribers);
  [[nodiscard]] const std::string& publishers() const noexcept { return publishers_endpoint_; }
  [[nodiscard]] const std::string& subscribers() const noexcept { return subscribers_endpoint_; }
  // Hands on what publishers have sent so far. Then closes.
  void Close();

  [[nodiscard]] std::uint64_t forwarded() const noexcept { return forwarded_.load(); }
  [[nodiscard]] std::uint64_t refused() const noexcept { return refused_.load(); }

 private:
  struct Publisher {
    std::uint64_t heard = 0;
    absl::flat_hash_map<std::string, std::uint64_t> subjects;
  };

  absl::Status OpenHere(const std::string& publishers, const std::string& subscribers);
  template <class F>
  void OnLoop(F act);
  bool ReadEvents();
  bool ReadSubscriptions();
  Publisher& Of(std::uint64_t id);
  void Note(Publisher& publisher, std::string_view subject, std::uint64_t sequence);
  void Answer(std::uint64_t nonce);
  void SendPart(std::uint64_t nonce, std::uint64_t publisher, char kind, std::string_view body);

  const std::shared_ptr<ZmqContext> context_;
  Loop& loop_;
  const ZeroMq options_;
  const std::uint64_t id_;
  std::string publishers_endpoint_;
  std::string subscribers_endpoint_;
  // The loop's.
  std::unique_ptr<EventSocket> in_;
  std::unique_ptr<EventSocket> out_;
  EventFrames frames_;
  EventFrames subscription_;
  EventFrames answer_;
  absl::flat_hash_map<std::uint64_t, Publisher> known_;
  std::uint64_t clock_ = 0;
  std::atomic<std::uint64_t> forwarded_{0};
  std::atomic<std::uint64_t> refused_{0};
};

}  // namespace rookery::zeromq_adapter

#endif  // ROOKERY_TRANSPORTS_ZEROMQ_BROKER_EVENT_BROKER_H_
