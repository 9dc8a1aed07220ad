#include "orders.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "auth.h"

namespace shop {

v1::Order OrderBook::Insert(const v1::PlaceOrder& request, const v1::Receipt& receipt) {
  v1::OrderEvent event;
  event.set_kind(v1::OrderEvent::PLACED);
  v1::Order& order = *event.mutable_order();
  order.set_customer(request.customer());
  order.set_sku(request.sku());
  order.set_quantity(request.quantity());
  order.set_total(receipt.amount());
  order.set_receipt(receipt.id());
  const std::scoped_lock lock(mutex_);
  report_.set_orders(report_.orders() + 1);
  report_.set_revenue(report_.revenue() + receipt.amount());
  order.set_id(absl::StrCat("o-", report_.orders()));
  Tell(event);
  return order;
}

void OrderBook::CountRefusal(const v1::PlaceOrder& request) {
  v1::OrderEvent event;
  event.set_kind(v1::OrderEvent::REFUSED);
  event.mutable_order()->set_customer(request.customer());
  event.mutable_order()->set_sku(request.sku());
  event.mutable_order()->set_quantity(request.quantity());
  const std::scoped_lock lock(mutex_);
  report_.set_refused(report_.refused() + 1);
  Tell(event);
}

void OrderBook::Tell(const v1::OrderEvent& event) {
  for (auto at = watchers_.begin(); at != watchers_.end();) {
    Watcher& watcher = **at;
    const bool wanted = watcher.customer.empty() || watcher.customer == event.order().customer();
    if (wanted && !watcher.events.TryPush(event)) {
      watcher.events.Close(absl::ResourceExhaustedError("the watcher fell 1,000 events behind"));
      at = watchers_.erase(at);
    } else {
      ++at;
    }
  }
}

rookery::Stream<v1::OrderEvent> OrderBook::Changes(std::string customer) {
  auto watcher = std::make_shared<Watcher>();
  watcher->customer = std::move(customer);
  {
    const std::scoped_lock lock(mutex_);
    watchers_.push_back(watcher);
  }
  // Runs whichever way this stream ends, also when its consumer goes away.
  struct Leave {
    Leave(OrderBook* b, Watcher* w) : book(b), watcher(w) {}
    Leave(const Leave&) = delete;
    ~Leave() {
      const std::scoped_lock lock(book->mutex_);
      book->watchers_.remove_if([this](const auto& other) { return other.get() == watcher; });
    }
    OrderBook* book;
    Watcher* watcher;
  };
  const Leave leave(this, watcher.get());
  v1::OrderEvent watching;
  watching.set_kind(v1::OrderEvent::WATCHING);
  co_yield std::move(watching);
  for (;;) {
    std::optional<v1::OrderEvent> event = co_await watcher->events.Pop();
    if (!event) break;
    co_yield *std::move(event);
  }
}

v1::SalesReport OrderBook::Report() {
  const std::scoped_lock lock(mutex_);
  return report_;
}

void OrdersController::Configure(rookery::ControllerBuilder& controller) {
  controller.UseGuard<AuthGuard>().UseGuard<RolesGuard>();
}

rookery::Task<v1::Order> OrdersController::PlaceOne(v1::PlaceOrder request) {
  if (request.quantity() <= 0) co_return absl::InvalidArgumentError("quantity must be positive");
  v1::ReserveRequest wanted;
  wanted.set_sku(request.sku());
  wanted.set_quantity(request.quantity());
  absl::StatusOr<v1::Reservation> goods = co_await rookery::AsStatusOr(inventory_.Reserve(wanted));
  if (!goods.ok()) {
    book_.CountRefusal(request);
    co_return goods.status();
  }
  v1::ChargeRequest charge;
  charge.set_card(request.card());
  charge.set_amount(request.price() * request.quantity());
  absl::StatusOr<v1::Receipt> receipt = co_await rookery::AsStatusOr(payments_.Charge(charge));
  if (!receipt.ok()) {
    log_.Warn("order refused", {{"sku", request.sku()}, {"why", receipt.status().message()}});
    book_.CountRefusal(request);
    // Whatever became of the caller, the goods go back: a task of its own, outside this call's
    // deadline.
    rookery::SpawnDetached(inventory_.Release(*std::move(goods)));
    co_return receipt.status();
  }
  v1::Order order = book_.Insert(request, *receipt);
  log_.Info("order placed", {{"order", order.id()}, {"total", order.total()}});
  co_return order;
}

rookery::Task<v1::Order> OrdersController::Place(rookery::CallContext& /*call*/,
                                                 const v1::PlaceOrder& request) {
  return PlaceOne(request);
}

rookery::Stream<v1::OrderResult> OrdersController::PlaceAll(
    rookery::CallContext& /*call*/, rookery::Stream<v1::PlaceOrder> requests) {
  for (;;) {
    std::optional<v1::PlaceOrder> request = co_await requests.Next();
    if (!request) break;
    absl::StatusOr<v1::Order> order = co_await rookery::AsStatusOr(PlaceOne(*std::move(request)));
    v1::OrderResult result;
    if (order.ok()) {
      *result.mutable_order() = *std::move(order);
    } else {
      result.mutable_refusal()->set_code(order.status().raw_code());
      result.mutable_refusal()->set_message(std::string(order.status().message()));
    }
    co_yield std::move(result);
  }
}

rookery::Stream<v1::OrderEvent> OrdersController::Watch(rookery::CallContext& /*call*/,
                                                        const v1::WatchOrders& request) {
  return book_.Changes(request.customer());
}

rookery::Task<v1::SalesReport> OrdersController::Report(rookery::CallContext& /*call*/,
                                                        const v1::ReportRequest& /*request*/) {
  co_return book_.Report();
}

rookery::DynamicModule OrdersModule::With(const rookery::DynamicModule& clients) {
  return rookery::DynamicModule::Of<OrdersModule>()
      .Import(clients)
      .Provide<OrderBook>()
      .Controller<OrdersController>();
}

}  // namespace shop
