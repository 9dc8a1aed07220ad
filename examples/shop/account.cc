#include "account.h"

#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "google/rpc/error_details.pb.h"

namespace shop {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kBuyer[] = "token-ada";
constexpr char kAuditor[] = "token-tom";
constexpr char kWatched[] = "c-032";

double MillisSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// Prints each step and remembers whether all went well.
class Story final {
 public:
  void Tell(bool ok, const std::string& what) {
    std::printf("  %s %s\n", ok ? "ok  " : "FAIL", what.c_str());
    std::fflush(stdout);
    all_ok_ = all_ok_ && ok;
  }
  static void Chapter(const char* title) { std::printf("\n%s\n", title); }
  [[nodiscard]] bool all_ok() const { return all_ok_; }

 private:
  bool all_ok_ = true;
};

rookery::CallOptions As(std::string_view token, std::string_view request_id = "") {
  rookery::CallOptions options;
  if (!token.empty()) {
    options.metadata.Add("authorization", "Bearer " + std::string(token)).IgnoreError();
  }
  if (!request_id.empty()) options.metadata.Add("x-request-id", request_id).IgnoreError();
  return options;
}

v1::PlaceOrder OrderFor(std::string sku, std::int32_t quantity, std::string card) {
  v1::PlaceOrder order;
  order.set_customer("c-001");
  order.set_sku(std::move(sku));
  order.set_quantity(quantity);
  order.set_price(450);
  order.set_card(std::move(card));
  return order;
}

// What the data must lead to, worked out without the services.
struct Expected {
  std::int64_t placed = 0;
  std::int64_t refused = 0;
  std::int64_t revenue = 0;
  std::int64_t watched_placed = 0;
  std::int64_t watched_refused = 0;
};

bool MustBeRefused(const v1::PlaceOrder& order) {
  return order.card() == "card-refused" || order.sku() == "unicorn" || order.sku() == "dodo";
}

Expected Foretell(const std::vector<v1::PlaceOrder>& data) {
  Expected expected;
  for (const v1::PlaceOrder& order : data) {
    const bool watched = order.customer() == kWatched;
    if (MustBeRefused(order)) {
      ++expected.refused;
      expected.watched_refused += watched ? 1 : 0;
    } else {
      ++expected.placed;
      expected.revenue += order.price() * order.quantity();
      expected.watched_placed += watched ? 1 : 0;
    }
  }
  return expected;
}

rookery::Task<void> TellOneOrder(v1::OrdersClient& orders, const Logs& logs, Story& story) {
  const auto start = Clock::now();
  auto placed = co_await rookery::AsStatusOr(
      orders.Place(OrderFor("tea-green", 2, "card-ok"), As(kBuyer, "demo-one-order")));
  story.Tell(placed.ok() && placed->total() == 900 && !placed->receipt().empty(),
             placed.ok()
                 ? absl::StrFormat("order %s of %d cents, receipt %s, in %.1f ms", placed->id(),
                                   placed->total(), placed->receipt(), MillisSince(start))
                 : placed.status().ToString());
  for (const char* service : {"orders", "inventory", "payments"}) {
    const int lines = logs.count(service, {"demo-one-order", "user.id", "ada"});
    story.Tell(
        lines > 0,
        absl::StrFormat("%s logged it under request id demo-one-order and user ada", service));
  }
}

rookery::Task<void> TellRefusals(v1::OrdersClient& orders, Story& story) {
  const auto nobody =
      co_await rookery::AsStatusOr(orders.Place(OrderFor("tea-green", 1, "card-ok"), As("")));
  story.Tell(nobody.status().code() == absl::StatusCode::kUnauthenticated,
             absl::StrCat("without a token: ", nobody.status().ToString()));

  const auto auditor =
      co_await rookery::AsStatusOr(orders.Place(OrderFor("tea-green", 1, "card-ok"), As(kAuditor)));
  story.Tell(
      auditor.status().code() == absl::StatusCode::kPermissionDenied,
      absl::StrCat("an auditor may not buy: ", absl::StatusCodeToString(auditor.status().code()),
                   ": ", auditor.status().message()));

  const auto unicorn =
      co_await rookery::AsStatusOr(orders.Place(OrderFor("unicorn", 1, "card-ok"), As(kBuyer)));
  const auto detail = rookery::GetDetail<google::rpc::PreconditionFailure>(unicorn.status());
  const bool right = unicorn.status().code() == absl::StatusCode::kFailedPrecondition &&
                     detail.has_value() && detail->violations_size() == 1 &&
                     detail->violations(0).subject() == "unicorn";
  story.Tell(
      right,
      absl::StrCat("from Inventory, through Orders: ", unicorn.status().message(), "; detail: ",
                   detail && detail->violations_size() > 0 ? detail->violations(0).description()
                                                           : std::string("none")));
}

rookery::Task<void> TellDeadline(v1::OrdersClient& orders, const Logs& logs, Story& story) {
  rookery::CallOptions options = As(kBuyer, "demo-deadline");
  options.timeout = std::chrono::milliseconds(300);
  const auto start = Clock::now();
  const auto slow = co_await rookery::AsStatusOr(
      orders.Place(OrderFor("tea-green", 1, "card-slow"), std::move(options)));
  story.Tell(slow.status().code() == absl::StatusCode::kDeadlineExceeded,
             absl::StrFormat("a bank that takes 30 s, a caller who gives 300 ms: %s after %.0f ms",
                             absl::StatusCodeToString(slow.status().code()), MillisSince(start)));
  story.Tell(logs.count("payments", {"demo-deadline", "not charged"}) > 0,
             "Payments, two hops down, stopped waiting for the bank");
  story.Tell(logs.count("inventory", {"demo-deadline", "released"}) > 0,
             "Orders gave the reserved goods back");
}

// Counts the watched customer's events until `wanted` have come.
rookery::Task<std::pair<std::int64_t, std::int64_t>> WatchUntil(
    rookery::Stream<v1::OrderEvent> events, std::int64_t wanted) {
  std::int64_t placed = 0;
  std::int64_t refused = 0;
  while (placed + refused < wanted) {
    const std::optional<v1::OrderEvent> event = co_await events.Next();
    if (!event) break;
    placed += event->kind() == v1::OrderEvent::PLACED ? 1 : 0;
    refused += event->kind() == v1::OrderEvent::REFUSED ? 1 : 0;
  }
  co_return std::pair(placed, refused);
}

rookery::Stream<v1::PlaceOrder> All(const std::vector<v1::PlaceOrder>& data) {
  for (const v1::PlaceOrder& order : data) co_yield order;
}

rookery::Task<void> TellManyOrders(v1::OrdersClient& orders,
                                   const std::vector<v1::PlaceOrder>& data, Story& story) {
  const Expected expected = Foretell(data);
  const v1::SalesReport before = co_await orders.Report(v1::ReportRequest(), As(kAuditor));

  v1::WatchOrders watch;
  watch.set_customer(kWatched);
  auto events = orders.Watch(watch, As(kAuditor));
  const std::optional<v1::OrderEvent> first = co_await events.Next();
  story.Tell(first.has_value() && first->kind() == v1::OrderEvent::WATCHING,
             absl::StrCat("an auditor watches customer ", kWatched));
  auto watched = rookery::Spawn(
      WatchUntil(std::move(events), expected.watched_placed + expected.watched_refused));

  const auto start = Clock::now();
  std::int64_t placed = 0;
  std::int64_t refused = 0;
  std::int64_t revenue = 0;
  bool in_sequence = true;
  auto results = orders.PlaceAll(All(data), As(kBuyer, "demo-many-orders"));
  for (std::size_t i = 0;; ++i) {
    const std::optional<v1::OrderResult> result = co_await results.Next();
    if (!result) break;
    in_sequence = in_sequence && i < data.size() &&
                  result->has_refusal() == MustBeRefused(data[i]) &&
                  (result->has_refusal() || result->order().sku() == data[i].sku());
    placed += result->has_order() ? 1 : 0;
    refused += result->has_refusal() ? 1 : 0;
    revenue += result->order().total();
  }
  const double millis = MillisSince(start);
  story.Tell(
      placed == expected.placed && refused == expected.refused && revenue == expected.revenue &&
          in_sequence,
      absl::StrFormat("%d orders streamed in %.0f ms (%.0f/s, each 2 or 3 calls further): "
                      "%d placed, %d refused, %.2f taken",
                      data.size(), millis, 1000.0 * static_cast<double>(data.size()) / millis,
                      placed, refused, static_cast<double>(revenue) / 100));
  const auto [seen_placed, seen_refused] = co_await std::move(watched);
  story.Tell(seen_placed == expected.watched_placed && seen_refused == expected.watched_refused,
             absl::StrFormat("the auditor saw %d placed and %d refused, none missed", seen_placed,
                             seen_refused));
  const v1::SalesReport after = co_await orders.Report(v1::ReportRequest(), As(kAuditor));
  story.Tell(
      after.orders() - before.orders() == expected.placed &&
          after.refused() - before.refused() == expected.refused &&
          after.revenue() - before.revenue() == expected.revenue,
      absl::StrFormat("the report agrees: %d orders, %d refused", after.orders(), after.refused()));
}

rookery::Task<void> Tell(v1::OrdersClient& orders, const std::vector<v1::PlaceOrder>& data,
                         const Logs& logs, Story& story) {
  Story::Chapter("One order, three processes, one context");
  co_await TellOneOrder(orders, logs, story);
  Story::Chapter("What is refused, and how");
  co_await TellRefusals(orders, story);
  Story::Chapter("A deadline that expires two hops down");
  co_await TellDeadline(orders, logs, story);
  Story::Chapter("Many orders, and somebody who watches");
  co_await TellManyOrders(orders, data, story);
}

}  // namespace

absl::StatusOr<std::vector<v1::PlaceOrder>> ReadOrders(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  std::vector<v1::PlaceOrder> orders;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.empty() || line[0] == '#') continue;
    const std::vector<std::string> fields = absl::StrSplit(line, ',');
    v1::PlaceOrder order;
    std::int32_t quantity = 0;
    std::int64_t price = 0;
    if (fields.size() != 5 || !absl::SimpleAtoi(fields[2], &quantity) ||
        !absl::SimpleAtoi(fields[3], &price)) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ":", number, ": wanted customer,sku,quantity,price,card; got ", line));
    }
    order.set_customer(fields[0]);
    order.set_sku(fields[1]);
    order.set_quantity(quantity);
    order.set_price(price);
    order.set_card(fields[4]);
    orders.push_back(std::move(order));
  }
  return orders;
}

bool PlayStory(v1::OrdersClient& orders, const std::vector<v1::PlaceOrder>& data,
               const Logs& logs) {
  Story story;
  const absl::Status status = rookery::SyncWaitStatus(Tell(orders, data, logs, story));
  if (!status.ok()) story.Tell(false, absl::StrCat("the story broke off: ", status.ToString()));
  return story.all_ok();
}

}  // namespace shop
