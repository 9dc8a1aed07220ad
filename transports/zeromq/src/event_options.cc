#include "event_options.h"

#include <zmq.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "options.h"

namespace rookery {
namespace zeromq_adapter {

ZeroMq SocketOptions(const ZeroMqEvents& options) {
  ZeroMq socket = options.zeromq;
  // Those who find each other do so over ipc.
  socket.address = options.address.empty() ? "ipc://events" : options.address;
  return socket;
}

bool Binds(const ZeroMqEvents& options, bool publisher) noexcept {
  if (options.listens == ZeroMqListens::kBroker) return false;
  return (options.listens == ZeroMqListens::kPublisher) == publisher;
}

absl::Status Attach(EventSocket& socket, const std::vector<std::string>& addresses, bool bind) {
  if (!socket.raw().status().ok()) return socket.raw().status();
  for (const std::string& address : addresses) {
    const int result = bind ? zmq_bind(socket.raw().get(), address.c_str())
                            : zmq_connect(socket.raw().get(), address.c_str());
    if (result != 0) {
      return LastError(
          absl::StrCat(bind ? "cannot listen for events at " : "cannot connect to ", address));
    }
  }
  return absl::OkStatus();
}

absl::Status SetCurve(Socket& socket, const ZeroMqEvents& options, bool binds) {
  if (!options.zeromq.curve) return absl::OkStatus();
  const ZeroMq all = SocketOptions(options);
  absl::Status checked = binds ? CheckServerCurve(all) : CheckClientCurve(all);
  if (!checked.ok()) return checked;
  if (!binds) return SetConnectorCurve(socket, *all.curve);
  SetListenerCurve(socket, *all.curve);
  return socket.status();
}

std::string NameOf(const ZeroMqEvents& options) {
  return options.address.empty() ? absl::StrCat("events:", options.domain) : options.address;
}

}  // namespace zeromq_adapter

ZeroMq ZeroMqEvents::DefaultSocket() {
  ZeroMq socket;
  socket.high_water_mark = 10'000;
  socket.max_concurrent_calls = 1'024;
  return socket;
}

absl::Status CheckZeroMqEventsOptions(const ZeroMqEvents& options) {
  std::vector<std::string> faults;
  if (absl::Status socket = CheckZeroMqOptions(zeromq_adapter::SocketOptions(options));
      !socket.ok()) {
    faults.emplace_back(socket.message());
  }
  if (options.address.empty()) {
    if (options.listens != ZeroMqListens::kPublisher) {
      faults.push_back("address is empty: say where the broker, or the subscriber, listens");
    }
    const bool plain = options.domain.find_first_not_of(
                           "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") ==
                       std::string::npos;
    if (options.domain.empty() || options.domain.size() > 32 || !plain) {
      faults.push_back("domain is 1 to 32 letters, digits, '-' and '_'");
    }
    if (options.zeromq.curve) {
      faults.push_back(
          "zeromq.curve needs an address: without one only this user's own processes "
          "meet");
    }
  }
  if (options.announce.count() <= 0) faults.push_back("announce must be above 0");
  if (options.synchronise_timeout.count() < 0) {
    faults.push_back("synchronise_timeout must not be below 0");
  }
  if (options.sharing == ZeroMqSharing::kWork && options.listens == ZeroMqListens::kBroker) {
    faults.push_back(
        "a broker gives events to everybody; for shared work let the publishers "
        "listen, or use calls");
  }
  if (options.sharing == ZeroMqSharing::kWork && options.min_subscribers != 0) {
    faults.push_back("min_subscribers is for events that go to everybody");
  }
  if (faults.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "ZeroMQ events at \"", zeromq_adapter::NameOf(options), "\": ", absl::StrJoin(faults, "; ")));
}

}  // namespace rookery
