// Limits, malformed input, drain, and peers that go away.
#include <thread>

#include "suite.h"

namespace rookery::contract {
namespace {

using std::chrono::milliseconds;

void OversizeRequest(const Transport& transport) {
  Node node(transport);
  Payload request;
  request.set_data(std::string(transport.max_message_bytes + 1024, 'x'));
  ExpectCode(SyncWaitStatus(node.client().Echo(request)).status(),
             absl::StatusCode::kResourceExhausted, "a request over the limit");
  ExpectEqual(node.probe().echoed.load(), 0, "handlers run");
  node.ExpectHealthy();
  node.ExpectIdle();
}

void OversizeReply(const Transport& transport) {
  Node node(transport);
  CountRequest request;
  request.set_count(1);
  request.set_bytes(static_cast<std::int64_t>(transport.max_message_bytes) + 1024);
  auto read = [&]() -> Task<void> {
    Stream<Number> numbers = node.client().Count(request);
    std::optional<Number> number = co_await numbers.Next();
    Expect(!number.has_value(), "no message comes");
  };
  ExpectCode(SyncWaitStatus(read()), absl::StatusCode::kResourceExhausted,
             "a reply over the limit");
  node.ExpectHealthy();
  node.ExpectIdle();
}

Task<void> CallRaw(Channel& channel, OutgoingCall& call, const google::protobuf::Message& request,
                   google::protobuf::Message& response) {
  Task<void> unary = channel.Unary(call, request, response);
  co_await std::move(unary);
}

void Malformed(const Transport& transport) {
  Node node(transport);
  RawPayload garbage;
  garbage.set_text("\xff\xfe\x80");  // no UTF-8: a proto3 string refuses it
  for (const MethodDescriptor& method : ContractService::Descriptor().methods) {
    if (method.name != "Echo") continue;
    OutgoingCall call(method);
    Payload reply;
    const absl::Status status =
        SyncWaitStatus(CallRaw(*node.client().channel(), call, garbage, reply));
    ExpectCode(status, absl::StatusCode::kInvalidArgument, "a request that does not parse");
  }
  ExpectEqual(node.probe().echoed.load(), 0, "handlers run");
  Eventually([&] { return node.app().Stats().total_rejected() >= 1; }, "the refusal is counted");
  node.ExpectHealthy();
  node.ExpectIdle();
}

void DrainFinishes(const Transport& transport) {
  Node node(transport);
  Background<Payload> held([&] { return node.client().Hold(HoldRequest()); });
  Eventually([&] { return node.probe().entered.load() == 1; }, "the handler runs");
  std::thread closer([&] { node.app().Close(); });
  try {
    Eventually([&] { return !node.app().ready(); }, "the node is not ready any more");
    ContractClient late(node.Connect());
    Eventually(
        [&] {
          return SyncWaitStatus(late.Echo(Text("late"))).status().code() ==
                 absl::StatusCode::kUnavailable;
        },
        "new calls are refused with UNAVAILABLE");
    ExpectCode(SyncWaitStatus(node.client().Echo(Text("late"))).status(),
               absl::StatusCode::kUnavailable, "a new call on the old channel");
    Expect(!held.done(), "the call in flight is still held");
    node.probe().release.Set();
    const Payload reply = ExpectOk(held.Get(), "the call in flight");
    ExpectEqual(reply.text(), "released", "its reply");
  } catch (...) {
    node.probe().release.Set();
    closer.join();
    throw;
  }
  closer.join();
  ExpectEqual(node.probe().cancelled.load(), 0, "handlers cancelled");
  ExpectEqual(node.app().Stats().in_flight(), std::uint64_t{0}, "calls in flight");
}

void DrainStreamFinishes(const Transport& transport) {
  Node node(transport);
  Background<int> held([&] {
    return [](ContractClient& client) -> Task<int> {
      CountRequest request;
      request.set_count(3);
      request.set_hold(true);
      Stream<Number> numbers = client.Count(request);
      int messages = 0;
      for (;;) {
        std::optional<Number> number = co_await numbers.Next();
        if (!number) break;
        ++messages;
      }
      co_return messages;
    }(node.client());
  });
  Eventually([&] { return node.probe().produced.load() == 3; },
             "the producer has sent its messages");
  std::thread closer([&] { node.app().Close(); });
  std::this_thread::sleep_for(milliseconds(50));
  const bool early = held.done();
  node.probe().release.Set();
  closer.join();
  Expect(!early, "the stream in flight is left alone");
  ExpectEqual(ExpectOk(held.Get(), "the stream in flight"), 3, "its messages");
}

void DrainCancels(const Transport& transport) {
  NodeOptions options;
  options.drain_grace = milliseconds(200);
  Node node(transport, options);
  Background<Payload> held([&] { return node.client().Hold(HoldRequest()); });
  Eventually([&] { return node.probe().entered.load() == 1; }, "the handler runs");
  node.app().Close();
  ExpectCode(held.Get().status(), absl::StatusCode::kUnavailable, "the call that did not end");
  Eventually([&] { return node.probe().cancelled.load() == 1; }, "the handler hears of it");
  ExpectEqual(node.probe().ended.load(), 1, "handlers that ended");
}

void NobodyThere(const Transport& transport) {
  std::shared_ptr<Channel> channel;
  Node other(transport);
  {
    Node node(transport);
    node.ExpectHealthy();
    channel = transport.connect(node.endpoint(), other.app().host());
    ContractClient client(channel);
    ExpectOk(SyncWaitStatus(client.Echo(Text("x"))), "Echo");
  }
  ContractClient client(channel);
  ExpectCode(SyncWaitStatus(client.Echo(Text("x"))).status(), absl::StatusCode::kUnavailable,
             "a call to a node that is gone");
  auto read = [&]() -> Task<void> {
    Stream<Number> numbers = client.Count(CountRequest());
    (void)co_await numbers.Next();
  };
  ExpectCode(SyncWaitStatus(read()), absl::StatusCode::kUnavailable, "a stream from it");
  other.ExpectHealthy();
}

void ChannelClosed(const Transport& transport) {
  Node node(transport);
  const std::shared_ptr<Channel> channel = node.Connect();
  ContractClient client(channel);
  ExpectOk(SyncWaitStatus(client.Echo(Text("x"))), "Echo");
  channel->Close();
  channel->Close();
  ExpectCode(SyncWaitStatus(client.Echo(Text("x"))).status(), absl::StatusCode::kUnavailable,
             "a call on a closed channel");
  node.ExpectHealthy();
}

// Clients come and go in the middle of their calls.
void ClientsVanish(const Transport& transport) {
  Node node(transport);
  for (int i = 0; i < 10; ++i) {
    CancelSource source;
    std::shared_ptr<Channel> channel = node.Connect();
    ContractClient client(channel);
    const int before = node.probe().ended.load();
    Background<int> gone([&] {
      return [](ContractClient& caller) -> Task<int> {
        CountRequest request;
        request.set_count(std::int64_t{1} << 40);
        request.set_bytes(1000);
        Stream<Number> numbers = caller.Count(request);
        std::optional<Number> number = co_await numbers.Next();
        co_return number.has_value() ? 1 : 0;
      }(client);
    });
    ExpectEqual(ExpectOk(gone.Get(), "the first message"), 1, "messages read");
    channel->Close();
    channel.reset();
    Eventually([&] { return node.probe().ended.load() == before + 1; }, "the producer ends");
  }
  node.ExpectIdle();
  node.ExpectHealthy();
}

void StartStop(const Transport& transport) {
  for (int i = 0; i < 10; ++i) {
    Node node(transport);
    node.ExpectHealthy();
    node.app().Close();
    node.app().Close();
  }
}

void BrokerRestart(const Transport& transport) {
  Node node(transport);
  node.ExpectHealthy();
  Expect(static_cast<bool>(transport.restart_broker),
         "Transport::restart_broker is set, or broker-restart declared as not applicable");
  transport.restart_broker();
  Eventually(
      [&] {
        CallOptions options;
        options.timeout = std::chrono::seconds(2);
        return SyncWaitStatus(node.client().Echo(Text("x"), std::move(options))).ok();
      },
      "calls work again after the broker has come back");
  node.ExpectIdle();
}

constexpr Case kCases[] = {
    {"oversize-request", OversizeRequest},
    {"oversize-reply", OversizeReply},
    {"malformed-request", Malformed},
    {"drain-finishes", DrainFinishes},
    {"drain-stream-finishes", DrainStreamFinishes},
    {"drain-cancels", DrainCancels},
    {"nobody-there", NobodyThere},
    {"channel-closed", ChannelClosed},
    {"clients-vanish", ClientsVanish},
    {"start-stop", StartStop},
    {"broker-restart", BrokerRestart},
};

}  // namespace

std::span<const Case> LimitCases() { return kCases; }

}  // namespace rookery::contract
