// Orders: the front door. Calls Inventory and Payments through injected clients that do not know
// which transport carries them.
#ifndef SHOP_ORDERS_H_
#define SHOP_ORDERS_H_

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "rookery/rookery.h"
#include "shop/v1/inventory.rookery.h"
#include "shop/v1/orders.rookery.h"
#include "shop/v1/payments.rookery.h"

namespace shop {

// The orders placed so far, and those who watch for new ones. Shared by all loops.
class OrderBook final {
 public:
  // Stores an order under a new id and tells the watchers.
  v1::Order Insert(const v1::PlaceOrder& request, const v1::Receipt& receipt);
  void CountRefusal(const v1::PlaceOrder& request);
  // The events of `customer` (empty: of all) from now on. A watcher who falls 1,000 events behind
  // is dropped with RESOURCE_EXHAUSTED: memory stays bounded and buyers never wait.
  rookery::Stream<v1::OrderEvent> Changes(std::string customer);
  v1::SalesReport Report();

 private:
  struct Watcher {
    std::string customer;
    rookery::Queue<v1::OrderEvent> events{1000};
  };
  void Tell(const v1::OrderEvent& event);

  std::mutex mutex_;
  v1::SalesReport report_;
  std::list<std::shared_ptr<Watcher>> watchers_;
};

class OrdersController final : public v1::OrdersService {
 public:
  OrdersController(OrderBook& book, v1::InventoryClient& inventory, v1::PaymentsClient& payments,
                   rookery::Logger& log)
      : book_(book), inventory_(inventory), payments_(payments), log_(log) {}

  static void Configure(rookery::ControllerBuilder& controller);

  rookery::Task<v1::Order> Place(rookery::CallContext& call,
                                 const v1::PlaceOrder& request) override;
  rookery::Stream<v1::OrderResult> PlaceAll(rookery::CallContext& call,
                                            rookery::Stream<v1::PlaceOrder> requests) override;
  rookery::Stream<v1::OrderEvent> Watch(rookery::CallContext& call,
                                        const v1::WatchOrders& request) override;
  rookery::Task<v1::SalesReport> Report(rookery::CallContext& call,
                                        const v1::ReportRequest& request) override;

 private:
  rookery::Task<v1::Order> PlaceOne(v1::PlaceOrder request);

  OrderBook& book_;
  v1::InventoryClient& inventory_;
  v1::PaymentsClient& payments_;
  rookery::Logger& log_;
};

// `Clients` is a module that exports InventoryClient and PaymentsClient: over gRPC in a process of
// its own, in process with --inproc.
struct OrdersModule {
  static rookery::DynamicModule With(const rookery::DynamicModule& clients);
};

}  // namespace shop

#endif  // SHOP_ORDERS_H_
