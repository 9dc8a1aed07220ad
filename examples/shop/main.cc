// The shop: three services and a demonstration of them, in one program.
//
//   shop inventory                                      serves Inventory, prints "READY HOST:PORT"
//   shop payments                                       serves Payments
//   shop orders --inventory=HOST:PORT --payments=HOST:PORT
//   shop demo ORDERS.csv [--inproc]                     starts all three and tells what happens;
//                                                       with --inproc in this one process
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

namespace {

using rookery::Application;
using rookery::DynamicModule;
using rookery::Grpc;

// Clients of the other two services, over gRPC.
DynamicModule GrpcClients(const std::string& inventory, const std::string& payments) {
  return rookery::ClientsModule::Register(
      rookery::Client<shop::v1::InventoryClient>(Grpc{.address = inventory}),
      rookery::Client<shop::v1::PaymentsClient>(Grpc{.address = payments}));
}

// Serves until SIGTERM.
int Serve(Application app) {
  app.Listen(Grpc{.address = "127.0.0.1:0"});
  app.Start();
  std::printf("READY %s\n", app.Endpoints().front().c_str());
  std::fflush(stdout);
  return app.Run();
}

int Usage() {
  std::fprintf(stderr,
               "usage: shop inventory | shop payments |\n"
               "       shop orders --inventory=HOST:PORT --payments=HOST:PORT |\n"
               "       shop demo ORDERS.csv [--inproc]\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words;
  std::map<std::string, std::string> flags;
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
  if (words.empty()) return Usage();
  const std::string& role = words[0];
  if (role == "inventory") {
    return Serve(Application::Create<shop::InventoryModule>(shop::OptionsFor("inventory")));
  }
  if (role == "payments") {
    return Serve(Application::Create<shop::PaymentsModule>(shop::OptionsFor("payments")));
  }
  if (role == "orders" && flags.contains("inventory") && flags.contains("payments")) {
    return Serve(Application::Create(
        shop::OrdersModule::With(GrpcClients(flags["inventory"], flags["payments"])),
        shop::OptionsFor("orders")));
  }
  if (role == "demo" && words.size() == 2) {
    return flags.contains("inproc") ? shop::DemoInProcess(words[1])
                                    : shop::DemoInProcesses(argv[0], words[1]);
  }
  return Usage();
}
