// Inventory: the stock, and the service that hands it out.
#ifndef SHOP_INVENTORY_H_
#define SHOP_INVENTORY_H_

#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "absl/status/statusor.h"
#include "rookery/rookery.h"
#include "shop/v1/inventory.rookery.h"

namespace shop {

// Pieces by article. A singleton that every loop's calls share, hence the lock.
class Stock final {
 public:
  Stock();
  // Takes `quantity` pieces of `sku`.
  absl::StatusOr<v1::Reservation> Take(const std::string& sku, std::int32_t quantity);
  // Puts a reservation back; a second time does nothing.
  void GiveBack(const v1::Reservation& reservation);

 private:
  std::mutex mutex_;
  std::int64_t next_id_ = 1;
  std::unordered_map<std::string, std::int32_t> pieces_;
  std::unordered_map<std::string, v1::Reservation> reserved_;
};

class InventoryController final : public v1::InventoryService {
 public:
  InventoryController(Stock& stock, rookery::Logger& log) : stock_(stock), log_(log) {}

  rookery::Task<v1::Reservation> Reserve(rookery::CallContext& call,
                                         const v1::ReserveRequest& request) override;
  rookery::Task<v1::ReleaseReply> Release(rookery::CallContext& call,
                                          const v1::Reservation& request) override;

 private:
  Stock& stock_;
  rookery::Logger& log_;
};

struct InventoryModule {
  static void Define(rookery::ModuleBuilder& module) {
    module.Provide<Stock>().Controller<InventoryController>();
  }
};

}  // namespace shop

#endif  // SHOP_INVENTORY_H_
