// What is in the tables that the plugin writes, linked and run.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include "clashes.rookery.h"
#include "empty_service.rookery.h"
#include "events.rookery.h"
#include "google/api/annotations.pb.h"
#include "keywords.rookery.h"
#include "nested_imported.rookery.h"
#include "no_package.rookery.h"
#include "old.rookery.h"
#include "proto2.rookery.h"
#include "rookery/annotations.pb.h"
#include "services_only.rookery.h"
#include "shop/v1/orders.rookery.h"

namespace {

using rookery::MethodDescriptor;
using rookery::MethodKind;
using rookery::ServiceDescriptor;

const MethodDescriptor& Row(const ServiceDescriptor& service, rookery::MethodRef method) {
  return service.methods[method.index];
}

// The table is a constant: it is there before main, and before any other static object.
const std::string_view kEarly = shop::v1::OrdersService::Descriptor().full_name;

TEST(Descriptor, NamesAndKinds) {
  EXPECT_EQ(kEarly, "shop.v1.Orders");
  const ServiceDescriptor& service = shop::v1::OrdersService::Descriptor();
  EXPECT_EQ(&service, &shop::v1::OrdersClient::Descriptor());
  struct Expected {
    std::string_view full_name;
    std::string_view name;
    MethodKind kind;
  };
  const std::vector<Expected> expected = {
      {"/shop.v1.Orders/Place", "Place", MethodKind::kUnary},
      {"/shop.v1.Orders/Get", "Get", MethodKind::kUnary},
      {"/shop.v1.Orders/Watch", "Watch", MethodKind::kServerStreaming},
      {"/shop.v1.Orders/Upload", "Upload", MethodKind::kClientStreaming},
      {"/shop.v1.Orders/Haggle", "Haggle", MethodKind::kBidiStreaming},
      {"/shop.v1.Orders/OnPaid", "OnPaid", MethodKind::kEvent},
      {"/shop.v1.Orders/Forget", "Forget", MethodKind::kUnary},
  };
  ASSERT_EQ(service.methods.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(service.methods[i].full_name, expected[i].full_name);
    EXPECT_EQ(service.methods[i].name, expected[i].name);
    EXPECT_EQ(service.methods[i].service, "shop.v1.Orders");
    EXPECT_EQ(service.methods[i].kind, expected[i].kind) << expected[i].name;
    EXPECT_NE(service.methods[i].invoke, nullptr);
  }
  static_assert(shop::v1::OrdersService::kPlace.index == 0);
  static_assert(shop::v1::OrdersService::kForget.index == 6);
}

TEST(Descriptor, OptionsOfTheTable) {
  using Orders = shop::v1::OrdersService;
  const ServiceDescriptor& service = Orders::Descriptor();
  EXPECT_EQ(Row(service, Orders::kPlace).idempotency, rookery::Idempotency::kIdempotent);
  EXPECT_EQ(Row(service, Orders::kGet).idempotency, rookery::Idempotency::kNoSideEffects);
  EXPECT_EQ(Row(service, Orders::kWatch).idempotency, rookery::Idempotency::kUnknown);
  EXPECT_EQ(Row(service, Orders::kPlace).pattern, "orders.place");
  EXPECT_EQ(Row(service, Orders::kOnPaid).pattern, "payments.received");
  EXPECT_EQ(Row(service, Orders::kWatch).pattern, "");

  using Fading = zoo::old::FadingService;
  EXPECT_FALSE(Row(Fading::Descriptor(), Fading::kFresh).deprecated);
  EXPECT_TRUE(Row(Fading::Descriptor(), Fading::kStale).deprecated);

  using Events = zoo::events::EventsService;
  EXPECT_EQ(Row(Events::Descriptor(), Events::kPlain).pattern, "");
  EXPECT_EQ(Row(Events::Descriptor(), Events::kQuoted).pattern,
            "a\"b\\c$d$?"
            "?/e%s");
  EXPECT_EQ(Row(Events::Descriptor(), Events::kForeign).pattern,
            "gr\xc3\xb6\xc3\x9f"
            "e.0");
}

TEST(Descriptor, MessagesOfBothSides) {
  using Orders = shop::v1::OrdersService;
  const MethodDescriptor& place = Row(Orders::Descriptor(), Orders::kPlace);
  EXPECT_EQ(&place.request(), &shop::v1::PlaceOrder::default_instance());
  EXPECT_EQ(&place.response(), &shop::v1::Order::default_instance());
  const MethodDescriptor& paid = Row(Orders::Descriptor(), Orders::kOnPaid);
  EXPECT_EQ(paid.response().GetTypeName(), "google.protobuf.Empty");

  shop::v1::PlaceOrder from;
  from.set_customer("ann");
  from.set_note("");
  shop::v1::PlaceOrder into;
  place.move_request(&into, &from);
  EXPECT_EQ(into.customer(), "ann");
  EXPECT_TRUE(into.has_note());
  shop::v1::Order order;
  order.set_id("7");
  shop::v1::Order moved;
  place.move_response(&moved, &order);
  EXPECT_EQ(moved.id(), "7");

  using Nested = zoo::nested::NestedService;
  EXPECT_EQ(Row(Nested::Descriptor(), Nested::kShared).request().GetTypeName(),
            "zoo.common.Shared.Inner.Innermost");
  EXPECT_EQ(Row(Nested::Descriptor(), Nested::kWellKnown).response().GetTypeName(),
            "google.protobuf.Timestamp");
}

// What guards, the gateway and the log read.
TEST(Descriptor, OptionsOfTheProto) {
  using Orders = shop::v1::OrdersService;
  const ServiceDescriptor& service = Orders::Descriptor();

  const google::protobuf::MethodDescriptor* const place = Row(service, Orders::kPlace).proto();
  ASSERT_NE(place, nullptr);
  EXPECT_EQ(place->full_name(), "shop.v1.Orders.Place");
  const rookery::AuthOptions& auth = place->options().GetExtension(rookery::auth);
  EXPECT_EQ(std::vector<std::string>(auth.roles().begin(), auth.roles().end()),
            (std::vector<std::string>{"buyer", "clerk"}));
  EXPECT_EQ(std::vector<std::string>(auth.scopes().begin(), auth.scopes().end()),
            std::vector<std::string>{"orders.write"});
  EXPECT_FALSE(auth.public_());
  EXPECT_EQ(place->options().GetExtension(google::api::http).post(), "/v1/orders");
  EXPECT_EQ(place->options().GetExtension(google::api::http).body(), "*");

  const google::protobuf::MethodDescriptor* const get = Row(service, Orders::kGet).proto();
  EXPECT_TRUE(get->options().GetExtension(rookery::auth).public_());
  EXPECT_EQ(get->options().GetExtension(google::api::http).additional_bindings_size(), 1);
  EXPECT_FALSE(Row(service, Orders::kWatch).proto()->options().HasExtension(rookery::auth));
  EXPECT_EQ(Row(service, Orders::kOnPaid).proto()->options().GetExtension(rookery::event).pattern(),
            "payments.received");

  const google::protobuf::ServiceDescriptor* const proto = service.proto();
  ASSERT_NE(proto, nullptr);
  EXPECT_EQ(proto->options().GetExtension(rookery::service_auth).roles(0), "buyer");

  const auto* const message = shop::v1::PlaceOrder::descriptor();
  EXPECT_TRUE(message->FindFieldByName("card")->options().GetExtension(rookery::sensitive));
  EXPECT_FALSE(message->FindFieldByName("note")->options().GetExtension(rookery::sensitive));
}

TEST(Descriptor, FileWithoutMessagesIsLinkedIn) {
  using Bare = zoo::services_only::BareService;
  ASSERT_NE(Bare::Descriptor().proto(), nullptr);
  EXPECT_EQ(Bare::Descriptor().proto()->full_name(), "zoo.services_only.Bare");
  const google::protobuf::MethodDescriptor* const take =
      Row(Bare::Descriptor(), Bare::kTake).proto();
  ASSERT_NE(take, nullptr);
  EXPECT_EQ(take->options().GetExtension(rookery::auth).scopes_size(), 2);
}

TEST(Descriptor, EveryServiceFindsItsProto) {
  const std::vector<const ServiceDescriptor*> services = {
      &RootlessService::Descriptor(),
      &shop::v1::OrdersService::Descriptor(),
      &zoo::empty::NothingService::Descriptor(),
      &zoo::empty::SomethingService::Descriptor(),
      &zoo::events::EventsService::Descriptor(),
      &zoo::events::MoreService::Descriptor(),
      &zoo::keywords::KeywordsService::Descriptor(),
      &zoo::keywords::forService::Descriptor(),
      &zoo::nested::NestedService::Descriptor(),
      &zoo::old::FadingService::Descriptor(),
      &zoo::old::GoneService::Descriptor(),
      &zoo::old::HeirloomService::Descriptor(),
      &zoo::rookery::google::CallService::Descriptor(),
      &zoo::rookery::google::ClashesService::Descriptor(),
      &zoo::rookery::google::OrderService_::Descriptor(),
      &zoo::two::ElderService::Descriptor(),
  };
  for (const ServiceDescriptor* const service : services) {
    ASSERT_NE(service->proto(), nullptr) << service->full_name;
    EXPECT_EQ(service->proto()->full_name(), service->full_name);
    ASSERT_EQ(static_cast<std::size_t>(service->proto()->method_count()), service->methods.size());
    for (std::size_t i = 0; i < service->methods.size(); ++i) {
      const MethodDescriptor& method = service->methods[i];
      const google::protobuf::MethodDescriptor* const proto = method.proto();
      ASSERT_EQ(proto, service->proto()->method(static_cast<int>(i)));
      EXPECT_EQ(method.name, proto->name());
      EXPECT_EQ(method.full_name, "/" + std::string(service->full_name) + "/" + proto->name());
      EXPECT_EQ(method.request().GetDescriptor(), proto->input_type()) << method.full_name;
      EXPECT_EQ(method.response().GetDescriptor(), proto->output_type()) << method.full_name;
      EXPECT_EQ(HasRequestStream(method.kind), proto->client_streaming()) << method.full_name;
      EXPECT_EQ(HasResponseStream(method.kind), proto->server_streaming()) << method.full_name;
    }
  }
}

TEST(Descriptor, ANameThatWasMangledKeepsItsOwnOnTheWire) {
  using Keywords = zoo::keywords::KeywordsService;
  EXPECT_EQ(Row(Keywords::Descriptor(), Keywords::kDelete).full_name,
            "/zoo.keywords.Keywords/delete");
  EXPECT_EQ(Row(Keywords::Descriptor(), Keywords::kCo_await).full_name,
            "/zoo.keywords.Keywords/co_await");
  using Clashes = zoo::rookery::google::ClashesService;
  EXPECT_EQ(Row(Clashes::Descriptor(), Clashes::kDescriptor).name, "Descriptor");
  EXPECT_EQ(Row(Clashes::Descriptor(), Clashes::kPlace_).name, "Place");
  EXPECT_EQ(Row(Clashes::Descriptor(), Clashes::kPlace_2).name, "place");
}

}  // namespace
