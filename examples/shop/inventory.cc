#include "inventory.h"

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"

namespace shop {

Stock::Stock() {
  for (const char* sku : {"tea-green", "tea-black", "cup-blue", "cup-white", "pot-iron",
                          "spoon-wood", "filter-paper", "honey-lime"}) {
    pieces_[sku] = 1'000'000;
  }
  pieces_["unicorn"] = 0;
}

absl::StatusOr<v1::Reservation> Stock::Take(const std::string& sku, std::int32_t quantity) {
  const std::scoped_lock lock(mutex_);
  const auto found = pieces_.find(sku);
  if (found == pieces_.end()) return absl::NotFoundError(absl::StrCat("no article ", sku));
  if (found->second < quantity) {
    google::rpc::PreconditionFailure failure;
    auto* violation = failure.add_violations();
    violation->set_type("STOCK");
    violation->set_subject(sku);
    violation->set_description(absl::StrCat(quantity, " wanted, ", found->second, " in stock"));
    return rookery::WithDetails(absl::FailedPreconditionError(absl::StrCat(sku, " is sold out")),
                                failure);
  }
  found->second -= quantity;
  v1::Reservation reservation;
  reservation.set_id(absl::StrCat("r-", next_id_++));
  reservation.set_sku(sku);
  reservation.set_quantity(quantity);
  reserved_[reservation.id()] = reservation;
  return reservation;
}

void Stock::GiveBack(const v1::Reservation& reservation) {
  const std::scoped_lock lock(mutex_);
  const auto found = reserved_.find(reservation.id());
  if (found == reserved_.end()) return;
  pieces_[found->second.sku()] += found->second.quantity();
  reserved_.erase(found);
}

rookery::Task<v1::Reservation> InventoryController::Reserve(rookery::CallContext& /*call*/,
                                                            const v1::ReserveRequest& request) {
  absl::StatusOr<v1::Reservation> reservation = stock_.Take(request.sku(), request.quantity());
  if (reservation.ok()) {
    log_.Info("reserved", {{"sku", request.sku()}, {"quantity", request.quantity()}});
  } else {
    log_.Warn("not reserved", {{"sku", request.sku()}, {"why", reservation.status().message()}});
  }
  co_return reservation;
}

rookery::Task<v1::ReleaseReply> InventoryController::Release(rookery::CallContext& /*call*/,
                                                             const v1::Reservation& request) {
  stock_.GiveBack(request);
  log_.Info("released", {{"sku", request.sku()}, {"quantity", request.quantity()}});
  co_return v1::ReleaseReply();
}

}  // namespace shop
