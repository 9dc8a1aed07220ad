// The two ways to run the demonstration. Each returns the program's exit code: 0 only if everything
// was as it must be.
#ifndef SHOP_DEMO_H_
#define SHOP_DEMO_H_

#include <string>

namespace shop {

// What carries the calls: NATS at that URL, Kafka at those brokers, ZeroMQ; with none of them gRPC.
struct Carrier {
  std::string nats_url;
  std::string kafka_brokers;
  bool zeromq = false;
};

// Starts `program` three times, as Inventory, Payments and Orders, and talks to Orders.
int DemoInProcesses(const std::string& program, const std::string& data_file,
                    const Carrier& carrier);

// The same modules in this process, no network.
int DemoInProcess(const std::string& data_file);

}  // namespace shop

#endif  // SHOP_DEMO_H_
