// The demonstration's story, told against an Orders client whichever transport carries it.
#ifndef SHOP_ACCOUNT_H_
#define SHOP_ACCOUNT_H_

#include <functional>
#include <string>
#include <vector>

#include "rookery/rookery.h"
#include "shop/v1/orders.rookery.h"

namespace shop {

// One line of data/orders.csv; INVALID_ARGUMENT with the line's number for anything else.
absl::StatusOr<std::vector<v1::PlaceOrder>> ReadOrders(const std::string& path);

// How a service's log is asked for lines that contain all of `words`.
struct Logs {
  // The number of such lines in the log of "orders", "inventory" or "payments"; waits a little for
  // the first one, since logs are written beside the calls.
  std::function<int(const std::string& service, const std::vector<std::string>& words)> count;
};

// Plays the whole story, printing as it goes. True only if everything was as it must be.
bool PlayStory(v1::OrdersClient& orders, const std::vector<v1::PlaceOrder>& data, const Logs& logs);

}  // namespace shop

#endif  // SHOP_ACCOUNT_H_
