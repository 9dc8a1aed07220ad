// The contract suite: what every transport of Rookery must do, as cases that run against any.
//
//   int main(int argc, char** argv) {
//     rookery::contract::Transport carrier;
//     carrier.name = "pigeon";
//     carrier.listen = [](rookery::Application& app) { app.Listen(Pigeon{.address =
//         "127.0.0.1:0"}); };
//     carrier.connect = [](const std::string& endpoint, rookery::TransportHost& host) {
//       return MakeChannel(Pigeon{.address = endpoint}, host);
//     };
//     carrier.not_applicable = {{"broker-restart", "there is no broker"}};
//     return rookery::contract::Main(argc, argv, {carrier});
//   }
//
// Link with rookery::contract and the transport. docs/contract.md is the guide.
#ifndef ROOKERY_CONTRACT_CONTRACT_H_
#define ROOKERY_CONTRACT_CONTRACT_H_

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rookery/app/application.h"
#include "rookery/rpc/channel.h"
#include "rookery/rpc/transport.h"

namespace rookery::contract {

// A transport that stands the test.
struct Transport {
  // As its CallContext::transport() says: "grpc".
  std::string name;
  // What the table and the JSON call it, if one transport is tried in several ways: "nats, one
  // subscription". Empty: its name.
  std::string label;
  // Makes `app` listen on a free endpoint of its own: app.Listen(...), and no more.
  std::function<void(Application& app)> listen;
  // A channel to what app.Endpoints() names once it has started.
  std::function<std::shared_ptr<Channel>(const std::string& endpoint, TransportHost& host)> connect;
  // Larger requests and replies must be refused. What `listen` and `connect` set up; zero if
  // messages have no limit (then declare oversize-request and oversize-reply as not applicable).
  std::size_t max_message_bytes = std::size_t{4} << 20;
  // How much a writer may be ahead of a reader that has stopped, in bytes. Flow control's window,
  // with all buffers on the way.
  std::size_t max_ahead_bytes = std::size_t{16} << 20;
  // Stops and starts the broker, and returns when it is up again; empty if there is none.
  std::function<void()> restart_broker;
  // What it cannot do: case -> reason. The reason is for readers: why it cannot be, not that it is
  // not done yet. Names that are no case are an error.
  std::map<std::string, std::string> not_applicable;
};

// The names of all cases, in the order they run.
[[nodiscard]] std::vector<std::string> CaseNames();

// Runs the cases against the transports and prints a table. Returns the exit code: 0 if none
// failed.
//   --transport=NAME   only this one (its label, if it has one); may be repeated
//   --case=NAME        only this one, or with a star at the end all that begin so; may be repeated
//   --repeat=N         each case N times
//   --json=PATH        writes {"TRANSPORT": {"CASE": "pass" | "fail" | "n/a: reason"}}
//   --list             prints the names of the cases and ends
// A case that hangs is reported after two minutes, and ends the process with exit code 1.
[[nodiscard]] int Main(int argc, char** argv, const std::vector<Transport>& transports);

}  // namespace rookery::contract

#endif  // ROOKERY_CONTRACT_CONTRACT_H_
