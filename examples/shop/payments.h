// Payments: charges cards at a bank that is slow for some of them.
#ifndef SHOP_PAYMENTS_H_
#define SHOP_PAYMENTS_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "rookery/rookery.h"
#include "shop/v1/payments.rookery.h"

namespace shop {

// The bank behind the service. Knows three kinds of card: "card-refused", "card-slow", any other.
class Bank final {
 public:
  // Gives the receipt's number.
  rookery::Task<std::string> Debit(std::string card, std::int64_t cents);

 private:
  std::atomic<std::int64_t> next_id_{1};
};

class PaymentsController final : public v1::PaymentsService {
 public:
  PaymentsController(Bank& bank, rookery::Logger& log) : bank_(bank), log_(log) {}

  rookery::Task<v1::Receipt> Charge(rookery::CallContext& call,
                                    const v1::ChargeRequest& request) override;

 private:
  Bank& bank_;
  rookery::Logger& log_;
};

struct PaymentsModule {
  static void Define(rookery::ModuleBuilder& module) {
    module.Provide<Bank>().Controller<PaymentsController>();
  }
};

}  // namespace shop

#endif  // SHOP_PAYMENTS_H_
