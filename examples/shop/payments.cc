#include "payments.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"

namespace shop {

rookery::Task<std::string> Bank::Debit(std::string card, std::int64_t cents) {
  if (card == "card-refused") {
    co_return absl::PermissionDeniedError("the bank refused the card");
  }
  if (card == "card-slow") co_await rookery::Sleep(std::chrono::seconds(30));
  if (cents <= 0) co_return absl::InvalidArgumentError("the amount must be positive");
  co_return absl::StrCat("b-", next_id_++);
}

rookery::Task<v1::Receipt> PaymentsController::Charge(rookery::CallContext& /*call*/,
                                                      const v1::ChargeRequest& request) {
  absl::StatusOr<std::string> debit =
      co_await rookery::AsStatusOr(bank_.Debit(request.card(), request.amount()));
  if (!debit.ok()) {
    log_.Warn("not charged", {{"amount", request.amount()},
                              {"code", absl::StatusCodeToString(debit.status().code())}});
    co_return debit.status();
  }
  log_.Info("charged", {{"amount", request.amount()}, {"receipt", *debit}});
  v1::Receipt receipt;
  receipt.set_id(*std::move(debit));
  receipt.set_amount(request.amount());
  co_return receipt;
}

}  // namespace shop
