// Made by protoc-gen-rookery of shop/v1/orders.proto. Do not edit.
#ifndef ROOKERY_GENERATED_shop_2fv1_2forders_2eproto_
#define ROOKERY_GENERATED_shop_2fv1_2forders_2eproto_

#include <memory>

#include "rookery/rpc/client.h"
#include "rookery/rpc/service.h"
#include "shop/v1/orders.pb.h"
#include "google/protobuf/empty.pb.h"

namespace shop::v1 {

// Takes orders and tells what becomes of them.
//
// Orders are kept for ten years.
//
// Derive a controller from it and override every method.
class OrdersService : public ::rookery::Service {
 public:
  using ServiceType = OrdersService;
  static const ::rookery::ServiceDescriptor& Descriptor();

  // Places an order.
  //
  // FAILED_PRECONDITION when the stock does not suffice.
  static constexpr ::rookery::MethodRef kPlace{0};
  virtual ::rookery::Task<::shop::v1::Order> Place(
      ::rookery::CallContext& call, const ::shop::v1::PlaceOrder& request) = 0;

  // One order.
  static constexpr ::rookery::MethodRef kGet{1};
  virtual ::rookery::Task<::shop::v1::Order> Get(
      ::rookery::CallContext& call, const ::shop::v1::GetOrder& request) = 0;

  // Follows a customer's orders.
  static constexpr ::rookery::MethodRef kWatch{2};
  virtual ::rookery::Stream<::shop::v1::OrderEvent> Watch(
      ::rookery::CallContext& call, const ::shop::v1::WatchOrders& request) = 0;

  // Takes many orders at once.
  static constexpr ::rookery::MethodRef kUpload{3};
  virtual ::rookery::Task<::shop::v1::Summary> Upload(
      ::rookery::CallContext& call, ::rookery::Stream<::shop::v1::PlaceOrder> requests) = 0;

  // Asks and answers as it goes.
  static constexpr ::rookery::MethodRef kHaggle{4};
  virtual ::rookery::Stream<::shop::v1::OrderEvent> Haggle(
      ::rookery::CallContext& call, ::rookery::Stream<::shop::v1::PlaceOrder> requests) = 0;

  // Nobody waits for this one.
  static constexpr ::rookery::MethodRef kOnPaid{5};
  virtual ::rookery::Task<void> OnPaid(
      ::rookery::CallContext& call, const ::shop::v1::PaymentReceived& event) = 0;

  // Returns nothing, but is waited for.
  static constexpr ::rookery::MethodRef kForget{6};
  virtual ::rookery::Task<::google::protobuf::Empty> Forget(
      ::rookery::CallContext& call, const ::shop::v1::GetOrder& request) = 0;
};

// Takes orders and tells what becomes of them.
//
// Orders are kept for ten years.
//
// Calls shop.v1.Orders over any channel. Copyable; thread-safe.
class OrdersClient final : public ::rookery::ClientBase {
 public:
  using ServiceType = OrdersService;
  explicit OrdersClient(::std::shared_ptr<::rookery::Channel> channel) noexcept;
  static const ::rookery::ServiceDescriptor& Descriptor();

  // Places an order.
  //
  // FAILED_PRECONDITION when the stock does not suffice.
  ::rookery::Task<::shop::v1::Order> Place(
      const ::shop::v1::PlaceOrder& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::shop::v1::Order> Place(
      ::shop::v1::PlaceOrder&& request, ::rookery::CallOptions options = {});

  // One order.
  ::rookery::Task<::shop::v1::Order> Get(
      const ::shop::v1::GetOrder& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::shop::v1::Order> Get(
      ::shop::v1::GetOrder&& request, ::rookery::CallOptions options = {});

  // Follows a customer's orders.
  ::rookery::Stream<::shop::v1::OrderEvent> Watch(
      const ::shop::v1::WatchOrders& request, ::rookery::CallOptions options = {});
  ::rookery::Stream<::shop::v1::OrderEvent> Watch(
      ::shop::v1::WatchOrders&& request, ::rookery::CallOptions options = {});

  // Takes many orders at once.
  ::rookery::Task<::shop::v1::Summary> Upload(
      ::rookery::Stream<::shop::v1::PlaceOrder> requests, ::rookery::CallOptions options = {});

  // Asks and answers as it goes.
  ::rookery::Stream<::shop::v1::OrderEvent> Haggle(
      ::rookery::Stream<::shop::v1::PlaceOrder> requests, ::rookery::CallOptions options = {});

  // Nobody waits for this one.
  ::rookery::Task<void> OnPaid(
      const ::shop::v1::PaymentReceived& event, ::rookery::CallOptions options = {});
  ::rookery::Task<void> OnPaid(
      ::shop::v1::PaymentReceived&& event, ::rookery::CallOptions options = {});

  // Returns nothing, but is waited for.
  ::rookery::Task<::google::protobuf::Empty> Forget(
      const ::shop::v1::GetOrder& request, ::rookery::CallOptions options = {});
  ::rookery::Task<::google::protobuf::Empty> Forget(
      ::shop::v1::GetOrder&& request, ::rookery::CallOptions options = {});
};

}  // namespace shop::v1

#endif  // ROOKERY_GENERATED_shop_2fv1_2forders_2eproto_
