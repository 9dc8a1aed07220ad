// The two ways to run the demonstration. Each returns the program's exit code: 0 only if everything
// was as it must be.
#ifndef SHOP_DEMO_H_
#define SHOP_DEMO_H_

#include <string>

namespace shop {

// Starts `program` three times, as Inventory, Payments and Orders, and talks to Orders: over NATS
// at that URL, over Kafka at those brokers, or if both are empty over gRPC.
int DemoInProcesses(const std::string& program, const std::string& data_file,
                    const std::string& nats_url, const std::string& kafka_brokers);

// The same modules in this process, no network.
int DemoInProcess(const std::string& data_file);

}  // namespace shop

#endif  // SHOP_DEMO_H_
