// The shop: three services and a demonstration of them, in one program.
//
//   shop inventory                                      serves Inventory, prints "READY HOST:PORT"
//   shop payments                                       serves Payments
//   shop orders --inventory=HOST:PORT --payments=HOST:PORT
//   shop gateway --orders=HOST:PORT                     Orders as HTTP and JSON, for browsers
//   shop demo ORDERS.csv [--inproc]                     starts all three and tells what happens;
//                                                       with --inproc in this one process
//
// With --nats=URL beside these, everything goes over NATS, and an address is that URL; with
// --kafka=BROKERS over Kafka; with --zeromq over ZeroMQ, and an address is what READY said, as over
// gRPC. The services are the same; what changes is what Listen and Client are given.
#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "context.h"
#include "demo.h"
#include "inventory.h"
#include "orders.h"
#include "payments.h"
#include "rookery/transports/grpc.h"
#ifdef SHOP_WITH_GATEWAY
#include "rookery/gateway/http_gateway.h"
#endif
#ifdef SHOP_WITH_NATS
#include "rookery/transports/nats.h"
#endif
#ifdef SHOP_WITH_ZEROMQ
#include "rookery/transports/zeromq.h"
#endif
#ifdef SHOP_WITH_KAFKA
#include "kafka.h"
#endif

namespace {

using rookery::Application;
using rookery::DynamicModule;
using rookery::Grpc;

using Flags = std::map<std::string, std::string>;

// Clients of the other two services.
DynamicModule Clients(Flags& flags) {
#ifdef SHOP_WITH_NATS
  if (flags.contains("nats")) {
    const rookery::Nats nats{.url = flags["nats"]};
    return rookery::ClientsModule::Register(rookery::Client<shop::v1::InventoryClient>(nats),
                                            rookery::Client<shop::v1::PaymentsClient>(nats));
  }
#endif
#ifdef SHOP_WITH_KAFKA
  if (flags.contains("kafka")) {
    const rookery::Kafka kafka = shop::KafkaOf(flags["kafka"]);
    return rookery::ClientsModule::Register(rookery::Client<shop::v1::InventoryClient>(kafka),
                                            rookery::Client<shop::v1::PaymentsClient>(kafka));
  }
#endif
  const std::string inventory = flags["inventory"];
  const std::string payments = flags["payments"];
#ifdef SHOP_WITH_ZEROMQ
  if (flags.contains("zeromq")) {
    return rookery::ClientsModule::Register(
        rookery::Client<shop::v1::InventoryClient>(rookery::ZeroMq{.address = inventory}),
        rookery::Client<shop::v1::PaymentsClient>(rookery::ZeroMq{.address = payments}));
  }
#endif
  return rookery::ClientsModule::Register(
      rookery::Client<shop::v1::InventoryClient>(Grpc{.address = inventory}),
      rookery::Client<shop::v1::PaymentsClient>(Grpc{.address = payments}));
}

// Serves until SIGTERM.
int Serve(Application app, Flags& flags, [[maybe_unused]] const std::string& role) {
  if (flags.contains("nats")) {
#ifdef SHOP_WITH_NATS
    app.Listen(rookery::Nats{.url = flags["nats"]});
#else
    std::fprintf(stderr, "shop: built without NATS (libnats-dev)\n");
    return 2;
#endif
  } else if (flags.contains("kafka")) {
#ifdef SHOP_WITH_KAFKA
    rookery::Kafka kafka = shop::KafkaOf(flags["kafka"]);
    kafka.group = role;
    app.Listen(kafka);
#else
    std::fprintf(stderr, "shop: built without Kafka (librdkafka-dev)\n");
    return 2;
#endif
  } else if (flags.contains("zeromq")) {
#ifdef SHOP_WITH_ZEROMQ
    app.Listen(rookery::ZeroMq{.address = "tcp://127.0.0.1:*"});
#else
    std::fprintf(stderr, "shop: built without ZeroMQ (libzmq3-dev)\n");
    return 2;
#endif
  } else {
    app.Listen(Grpc{.address = "127.0.0.1:0"});
  }
  app.Start();
  std::printf("READY %s\n", app.Endpoints().front().c_str());
  std::fflush(stdout);
  return app.Run();
}

#ifdef SHOP_WITH_GATEWAY
// Has no handlers of its own: what comes in over HTTP goes to Orders, over gRPC.
struct GatewayModule {
  static void Define(rookery::ModuleBuilder&) {}
};

int ServeGateway(Flags& flags) {
  auto app = Application::Create<GatewayModule>(shop::OptionsFor("gateway"));
  rookery::HttpGateway http{.address = "127.0.0.1:0"};
  if (flags.contains("http")) http.address = flags["http"];
  http.prefix = "/api";
  http.forward.push_back(
      rookery::HttpForward::To<shop::v1::OrdersClient>(Grpc{.address = flags["orders"]}));
  http.cors = rookery::HttpCors{.origins = {"https://shop.example"}};
  app.Listen(http);
  app.Start();
  std::printf("READY %s\n", app.Endpoints().front().c_str());
  std::fflush(stdout);
  return app.Run();
}
#endif

int Usage(const std::string& why) {
  std::fprintf(stderr,
               "shop: %s\n"
               "usage: shop inventory | shop payments |\n"
               "       shop orders --inventory=HOST:PORT --payments=HOST:PORT |\n"
               "       shop gateway --orders=HOST:PORT [--http=HOST:PORT] |\n"
               "       shop demo ORDERS.csv [--inproc]\n"
               "all but the gateway, and not with --inproc, also with --nats=URL, --kafka=BROKERS\n"
               "or --zeromq\n",
               why.c_str());
  return 2;
}

// What is wrong with a command; empty: nothing.
std::string Check(const std::vector<std::string>& words, const Flags& flags) {
  struct Role {
    std::size_t words = 1;
    std::vector<std::string> needs;  // by addresses, where there is no broker
    std::vector<std::string> takes;
  };
  const std::map<std::string, Role> roles = {{"inventory", {}},
                                             {"payments", {}},
                                             {"orders", {1, {"inventory", "payments"}, {}}},
                                             {"gateway", {1, {"orders"}, {"http"}}},
                                             {"demo", {2, {}, {"inproc"}}}};
  if (words.empty()) return "say what to be";
  const auto found = roles.find(words[0]);
  if (found == roles.end()) return "there is no \"" + words[0] + "\"";
  const Role& role = found->second;
  if (words.size() < role.words) return words[0] + " needs a file of orders";
  if (words.size() > role.words) return "\"" + words[role.words] + "\" is one word too many";
  std::vector<std::string> carriers;
  for (const auto& [name, value] : flags) {
    const auto has = [&name](const std::vector<std::string>& all) {
      return std::find(all.begin(), all.end(), name) != all.end();
    };
    const bool carrier = words[0] != "gateway" && has({"nats", "kafka", "zeromq", "inproc"});
    if (carrier) carriers.push_back(name);
    if (!has(role.needs) && !has(role.takes) && (!carrier || name == "inproc")) {
      return words[0] + " takes no --" + name;
    }
    if (value.empty()) return "--" + name + " has no value";
  }
  if (carriers.size() > 1) return "--" + carriers[0] + " and --" + carriers[1] + ": only one";
  const bool brokered = flags.contains("nats") || flags.contains("kafka");
  for (const std::string& name : role.needs) {
    if (!brokered && !flags.contains(name)) return words[0] + " needs --" + name + "=HOST:PORT";
  }
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words;
  Flags flags;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const std::size_t equals = word.find('=');
    if (word.rfind("--", 0) != 0) {
      words.push_back(word);
    } else if (equals == std::string::npos) {
      flags[word.substr(2)] = "true";
    } else {
      flags[word.substr(2, equals - 2)] = word.substr(equals + 1);
    }
  }
  const std::string wrong = Check(words, flags);
  if (!wrong.empty()) return Usage(wrong);
  const std::string& role = words[0];
  if (role == "inventory") {
    return Serve(Application::Create<shop::InventoryModule>(shop::OptionsFor("inventory")), flags,
                 role);
  }
  if (role == "payments") {
    return Serve(Application::Create<shop::PaymentsModule>(shop::OptionsFor("payments")), flags,
                 role);
  }
  if (role == "orders") {
    return Serve(
        Application::Create(shop::OrdersModule::With(Clients(flags)), shop::OptionsFor("orders")),
        flags, role);
  }
  if (role == "gateway") {
#ifdef SHOP_WITH_GATEWAY
    return ServeGateway(flags);
#else
    return Usage("built without the gateway");
#endif
  }
  return flags.contains("inproc")
             ? shop::DemoInProcess(words[1])
             : shop::DemoInProcesses(argv[0], words[1],
                                     {flags["nats"], flags["kafka"], flags.contains("zeromq")});
}
