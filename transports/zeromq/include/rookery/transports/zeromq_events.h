// ZeroMqEvents: events from process to process over ZeroMQ, with or without a broker; to publish
// them and to handle them.
//
//   app.Listen(rookery::ZeroMqEvents{});                               // handles what comes
//   rookery::Client<pay::v1::PaymentsClient>(rookery::ZeroMqEvents{});  // publishes
//
//   rookery::ZeroMqEvents there{.address = "tcp://127.0.0.1:5556"};    // publishers listen there
//   there.listens = rookery::ZeroMqListens::kBroker;                   // a rookery-zmq-broker does
//
// Without an address the processes of one user on one machine find each other by `domain`: the
// default for programs that ask for events between processes and name no broker. An event is
// handled at most once by each subscriber; what was lost on the way is counted and logged. Not for
// events that must not be lost: see JetStream. docs/zeromq-events.md is the guide.
#ifndef ROOKERY_TRANSPORTS_ZEROMQ_EVENTS_H_
#define ROOKERY_TRANSPORTS_ZEROMQ_EVENTS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "rookery/transports/zeromq.h"

namespace rookery {

// Who waits at the address; the others connect to it.
enum class ZeroMqListens : std::uint8_t {
  kPublisher,   // subscribers name the addresses of all publishers
  kSubscriber,  // publishers name the addresses of all subscribers
  kBroker,      // a rookery-zmq-broker: both name its address
};

// Who gets an event.
enum class ZeroMqSharing : std::uint8_t {
  kEverybody,  // each subscriber (XPUB/XSUB)
  // One of the subscribers, in turn (PUSH/PULL): they share the work. An event that waits for a
  // subscriber which dies is lost, uncounted.
  kWork,
};

// What happens when a subscriber does not keep up.
enum class ZeroMqSlow : std::uint8_t {
  // It misses events, as many as do not fit between us (zeromq.high_water_mark), and counts them.
  kMisses,
  // All wait for it: publishing waits in our queue, up to zeromq.max_pending_bytes, and fails with
  // RESOURCE_EXHAUSTED beyond it.
  kHoldsUp,
};

// Options of a listener (app.Listen) and of a client (Client<X>, MakeChannel). What belongs to one
// side says so, and is ignored by the other. A value; wrong ones are reported all at once, by
// CheckZeroMqEventsOptions and by whatever is made from them.
struct ZeroMqEvents {
  // "tcp://HOST:PORT" or "ipc://PATH"; where one connects several, separated by commas. Empty: the
  // processes of this user, on this machine, that have the same `domain`.
  std::string address = {};
  std::string domain = "rookery";
  ZeroMqListens listens = ZeroMqListens::kPublisher;
  ZeroMqSharing sharing = ZeroMqSharing::kEverybody;

  // Keys, limits and times, as for calls; its address is not used. max_concurrent_calls are the
  // events that are handled at a time: beyond it a subscriber reads no further.
  ZeroMq zeromq = DefaultSocket();

  // ---- publishers
  ZeroMqSlow slow_subscribers = ZeroMqSlow::kMisses;
  // With fewer subscribers publishing fails with UNAVAILABLE (or waits, with wait_for_ready). A
  // broker counts as one.
  std::size_t min_subscribers = 0;
  // How often publishers say what they have published, so that the loss of the last events is
  // noticed, too.
  std::chrono::milliseconds announce{500};

  // ---- subscribers
  // The start waits until every publisher (or the broker) has heard of our subscriptions: no event
  // published after that is missed uncounted. For `synchronise_timeout` at most: who is not there
  // yet has published nothing. Zero: no waiting; losses before the first event are not noticed.
  std::chrono::milliseconds synchronise_timeout{1'000};

  // ZeroMq with the limits for events: 10,000 may wait for each peer in libzmq, in each direction.
  [[nodiscard]] static ZeroMq DefaultSocket();
};

// INVALID_ARGUMENT with all that is wrong, and how to mend it. Does not connect.
[[nodiscard]] absl::Status CheckZeroMqEventsOptions(const ZeroMqEvents& options);

// Handles events; methods that are none are not served.
[[nodiscard]] std::unique_ptr<ServerTransport> MakeServerTransport(const ZeroMqEvents& options);
// Publishes events. A call to an event's method ends when the event was handed over, and says
// nothing of who has got it; other methods fail with UNIMPLEMENTED. Throws RpcException for wrong
// options, and if it cannot listen.
[[nodiscard]] std::shared_ptr<Channel> MakeChannel(const ZeroMqEvents& options);
[[nodiscard]] std::shared_ptr<Channel> MakeChannel(const ZeroMqEvents& options,
                                                   TransportHost& host);

}  // namespace rookery

#endif  // ROOKERY_TRANSPORTS_ZEROMQ_EVENTS_H_
