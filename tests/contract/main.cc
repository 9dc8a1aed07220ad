// The contract suite against Rookery's own transports.
#include "rookery/contract/contract.h"

#ifdef ROOKERY_CONTRACT_INPROC
#include <atomic>

#include "rookery/transports/inproc.h"
#endif
#ifdef ROOKERY_CONTRACT_GRPC
#include "rookery/transports/grpc.h"
#endif
#ifdef ROOKERY_CONTRACT_NATS
#include <iostream>
#include <memory>

#include "rookery/transports/nats.h"
#include "support/nats_broker.h"
#endif
#ifdef ROOKERY_CONTRACT_GATEWAY
#include "http_channel.h"
#include "rookery/gateway/http_gateway.h"
#endif
#ifdef ROOKERY_CONTRACT_ZEROMQ
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>

#include "rookery/transports/zeromq.h"
#endif

#ifdef ROOKERY_CONTRACT_KAFKA
#include <thread>

#include "rookery/transports/kafka.h"
#include "support/kafka_mock.h"
#endif

namespace {

using rookery::Application;
using rookery::TransportHost;
using rookery::contract::Transport;

#ifdef ROOKERY_CONTRACT_INPROC
Transport InProcessTransport() {
  Transport transport;
  transport.name = "inproc";
  transport.listen = [](Application& app) {
    static std::atomic<int> next{0};
    app.Listen(rookery::InProcess{.name = "contract-" + std::to_string(next.fetch_add(1))});
  };
  transport.connect = [](const std::string& endpoint, TransportHost& host) {
    const std::size_t colon = endpoint.find(':');
    return MakeChannel(rookery::InProcess{.name = endpoint.substr(colon + 1)}, host);
  };
  transport.max_message_bytes = 0;
  const std::string handed_over = "messages are handed over in memory: nothing is parsed or sized";
  transport.not_applicable = {
      {"oversize-request", handed_over},
      {"oversize-reply", handed_over},
      {"malformed-request", handed_over},
      {"metadata-too-large", "metadata is handed over in memory: the caller holds it already"},
      {"broker-restart", "there is no broker"},
  };
  return transport;
}
#endif

#ifdef ROOKERY_CONTRACT_GRPC
Transport GrpcTransport() {
  Transport transport;
  transport.name = "grpc";
  transport.listen = [](Application& app) {
    rookery::Grpc options{.address = "127.0.0.1:0"};
    options.threads = 2;
    app.Listen(options);
  };
  transport.connect = [](const std::string& endpoint, TransportHost& host) {
    return MakeChannel(rookery::Grpc{.address = endpoint}, host);
  };
  transport.max_message_bytes = rookery::Grpc().max_receive_bytes;
  transport.not_applicable = {{"broker-restart", "there is no broker"}};
  return transport;
}
#endif

#ifdef ROOKERY_CONTRACT_NATS
Transport NatsTransport(rookery::testing::NatsBroker& broker, bool owns_prefix) {
  Transport transport;
  transport.name = "nats";
  transport.label = owns_prefix ? "nats" : "nats-services";
  // Each node is alone with its prefix on the broker.
  transport.listen = [&broker, owns_prefix](Application& app) {
    static std::atomic<int> next{0};
    rookery::Nats options{.url = broker.url()};
    options.prefix = "contract-" + std::to_string(next.fetch_add(1));
    options.owns_prefix = owns_prefix;
    options.connections = 2;
    app.Listen(options);
  };
  transport.connect = [](const std::string& endpoint, TransportHost& host) {
    const std::size_t slash = endpoint.rfind('/');
    rookery::Nats options{.url = endpoint.substr(0, slash)};
    options.prefix = endpoint.substr(slash + 1);
    return MakeChannel(options, host);
  };
  if (!owns_prefix) {
    transport.not_applicable = {
        {"unknown-method",
         "a subject for each service: nobody is subscribed to that of a service that there is not, "
         "and the caller is told UNAVAILABLE; the other column has the whole prefix"}};
  }
  transport.max_message_bytes = rookery::Nats().max_receive_bytes;
  transport.restart_broker = [&broker] { broker.Restart(); };
  return transport;
}
#endif

#ifdef ROOKERY_CONTRACT_ZEROMQ
enum class ZeroMqOver { kTcp, kIpc, kCurve };
Transport ZeroMqTransport(ZeroMqOver over) {
  Transport transport;
  transport.name = "zeromq";
  rookery::ZeroMq server;
  rookery::ZeroMq client;
  switch (over) {
    case ZeroMqOver::kTcp:
      transport.label = "zeromq";
      server.address = "tcp://127.0.0.1:*";
      break;
    case ZeroMqOver::kIpc:
      transport.label = "zeromq-ipc";
      break;
    case ZeroMqOver::kCurve: {
      transport.label = "zeromq-curve";
      server.address = "tcp://127.0.0.1:*";
      const rookery::ZeroMqKeys servers = rookery::NewZeroMqKeys().value();
      const rookery::ZeroMqKeys clients = rookery::NewZeroMqKeys().value();
      server.curve.emplace();
      server.curve->secret_key = servers.secret_key;
      server.curve->allow = {{clients.public_key, "contract"}};
      client.curve.emplace();
      client.curve->secret_key = clients.secret_key;
      client.curve->server_key = servers.public_key;
      break;
    }
  }
  transport.listen = [server, over](Application& app) {
    static std::atomic<int> next{0};
    rookery::ZeroMq options = server;
    if (over == ZeroMqOver::kIpc) {
      options.address = "ipc://" + (std::filesystem::temp_directory_path() /
                                    ("rookery-contract-" + std::to_string(getpid()) + "-" +
                                     std::to_string(next.fetch_add(1))))
                                       .string();
    }
    app.Listen(options);
  };
  transport.connect = [client](const std::string& endpoint, TransportHost& host) {
    rookery::ZeroMq options = client;
    options.address = endpoint;
    return MakeChannel(options, host);
  };
  transport.max_message_bytes = rookery::ZeroMq().max_receive_bytes;
  transport.not_applicable = {{"broker-restart", "there is no broker"}};
  return transport;
}
#endif

#ifdef ROOKERY_CONTRACT_KAFKA
Transport KafkaTransport(rookery::testing::KafkaMock& brokers) {
  Transport transport;
  transport.name = "kafka";
  // Each node is alone with its topics and its group.
  transport.listen = [&brokers](Application& app) {
    static std::atomic<int> next{0};
    rookery::Kafka options = brokers.Options();
    options.settings["fetch.wait.max.ms"] = "5";
    options.prefix = "contract-" + std::to_string(next.fetch_add(1)) + ".";
    options.group = options.prefix + "group";
    options.request_topic = "requests";
    // By hand: the mock lets the first member of each new group wait for three seconds. Groups are
    // the affair of tests/unit/kafka and tests/faults.
    for (const char* const topic : {"requests", "contract.noted"}) {
      brokers.CreateTopic(options.prefix + topic, 1);
      options.assign.push_back({.topic = options.prefix + topic, .partition = 0});
    }
    app.Listen(options);
  };
  transport.connect = [&brokers](const std::string& endpoint, TransportHost& host) {
    rookery::Kafka options = brokers.Options();
    options.settings["fetch.wait.max.ms"] = "5";
    const std::size_t slash = endpoint.rfind('/');
    options.prefix = endpoint.substr(slash + 1, endpoint.rfind('.') - slash);
    options.request_topic = "requests";
    return MakeChannel(options, host);
  };
  transport.not_applicable = {
      {"nobody-there",
       "a request waits in its topic until somebody serves it, or its caller's deadline has "
       "passed"},
      {"drain-finishes",
       "a request that comes while a node drains is not refused: it waits in its topic for the "
       "next "
       "node; drain-stream-finishes shows that what is in flight is finished"},
  };
  transport.max_message_bytes = rookery::Kafka().max_receive_bytes;
  transport.restart_broker = [&brokers] {
    brokers.SetDown();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    brokers.SetUp();
  };
  return transport;
}
#endif

#ifdef ROOKERY_CONTRACT_GATEWAY
// The gateway's JSON, as a program calls it that has nothing but HTTP.
Transport HttpTransport() {
  constexpr std::size_t kMost = std::size_t{4} << 20;
  Transport transport;
  transport.name = "http";
  transport.listen = [](Application& app) {
    rookery::HttpGateway options{.address = "127.0.0.1:0"};
    // Bytes are a third longer in JSON.
    options.limits.body = options.limits.message = kMost / 3 * 4 + 64;
    options.limits.header_bytes = std::size_t{10} << 10;
    options.trust.proxies = {"127.0.0.1"};
    options.context.default_timeout = std::chrono::milliseconds(0);
    app.Listen(options);
  };
  transport.connect = [](const std::string& endpoint, TransportHost&) {
    return rookery::contract::MakeHttpChannel(endpoint, kMost);
  };
  transport.max_message_bytes = kMost;
  transport.not_applicable = {
      {"unknown-method", "a path that no method has is 404 in HTTP, and so NOT_FOUND"},
      {"metadata-of-streams",
       "the head of a stream's answer goes out before its handler has said anything, and a "
       "WebSocket has nothing behind its messages"},
      {"malformed-request", "text that is not UTF-8 cannot be written in JSON"},
      {"broker-restart", "there is no broker"},
  };
  return transport;
}
#endif

}  // namespace

int main(int argc, char** argv) {
  std::vector<Transport> transports;
#ifdef ROOKERY_CONTRACT_INPROC
  transports.push_back(InProcessTransport());
#endif
#ifdef ROOKERY_CONTRACT_GRPC
  transports.push_back(GrpcTransport());
#endif
#ifdef ROOKERY_CONTRACT_NATS
  const auto broker = rookery::testing::NatsBroker::Start("max_payload: 8MB");
  if (broker == nullptr) {
    std::cerr << "the contract over NATS needs nats-server: install it (apt-get install "
                 "nats-server)\n";
    return 2;
  }
  transports.push_back(NatsTransport(*broker, /*owns_prefix=*/true));
  transports.push_back(NatsTransport(*broker, /*owns_prefix=*/false));
#endif
#ifdef ROOKERY_CONTRACT_ZEROMQ
  for (const ZeroMqOver over : {ZeroMqOver::kTcp, ZeroMqOver::kIpc, ZeroMqOver::kCurve}) {
    transports.push_back(ZeroMqTransport(over));
  }
#endif
#ifdef ROOKERY_CONTRACT_KAFKA
  rookery::testing::KafkaMock brokers;
  transports.push_back(KafkaTransport(brokers));
#endif
#ifdef ROOKERY_CONTRACT_GATEWAY
  transports.push_back(HttpTransport());
#endif
  return rookery::contract::Main(argc, argv, transports);
}
