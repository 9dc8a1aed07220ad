// Made by protoc-gen-rookery of shop/v1/orders.proto. Do not edit.
#include "shop/v1/orders.rookery.h"

#include <utility>

#include "rookery/rpc/generated.h"

static_assert(::rookery::internal::kCodegenVersion == 1,
              "shop/v1/orders.rookery.cc was made by a protoc-gen-rookery that does not belong to "
              "the rookery headers in use: generate it again with theirs");

namespace rookery_generated::shop_2fv1_2forders_2eproto {
namespace {

const ::google::protobuf::ServiceDescriptor* Proto_Orders() {
  return ::shop::v1::PlaceOrder::descriptor()->file()->service(0);
}

constexpr ::rookery::MethodDescriptor kMethods_Orders[] = {
    {
        .full_name = "/shop.v1.Orders/Place",
        .service = "shop.v1.Orders",
        .name = "Place",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kIdempotent,
        .deprecated = false,
        .pattern = "orders.place",
        .request = &::rookery::internal::DefaultInstance<::shop::v1::PlaceOrder>,
        .response = &::rookery::internal::DefaultInstance<::shop::v1::Order>,
        .move_request = &::rookery::internal::MoveMessage<::shop::v1::PlaceOrder>,
        .move_response = &::rookery::internal::MoveMessage<::shop::v1::Order>,
        .invoke = &::rookery::internal::InvokeMember<
            ::shop::v1::OrdersService, &::shop::v1::OrdersService::Place>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Orders, 0>,
    },
    {
        .full_name = "/shop.v1.Orders/Get",
        .service = "shop.v1.Orders",
        .name = "Get",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kNoSideEffects,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::shop::v1::GetOrder>,
        .response = &::rookery::internal::DefaultInstance<::shop::v1::Order>,
        .move_request = &::rookery::internal::MoveMessage<::shop::v1::GetOrder>,
        .move_response = &::rookery::internal::MoveMessage<::shop::v1::Order>,
        .invoke = &::rookery::internal::InvokeMember<
            ::shop::v1::OrdersService, &::shop::v1::OrdersService::Get>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Orders, 1>,
    },
    {
        .full_name = "/shop.v1.Orders/Watch",
        .service = "shop.v1.Orders",
        .name = "Watch",
        .kind = ::rookery::MethodKind::kServerStreaming,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::shop::v1::WatchOrders>,
        .response = &::rookery::internal::DefaultInstance<::shop::v1::OrderEvent>,
        .move_request = &::rookery::internal::MoveMessage<::shop::v1::WatchOrders>,
        .move_response = &::rookery::internal::MoveMessage<::shop::v1::OrderEvent>,
        .invoke = &::rookery::internal::InvokeMember<
            ::shop::v1::OrdersService, &::shop::v1::OrdersService::Watch>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Orders, 2>,
    },
    {
        .full_name = "/shop.v1.Orders/Upload",
        .service = "shop.v1.Orders",
        .name = "Upload",
        .kind = ::rookery::MethodKind::kClientStreaming,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::shop::v1::PlaceOrder>,
        .response = &::rookery::internal::DefaultInstance<::shop::v1::Summary>,
        .move_request = &::rookery::internal::MoveMessage<::shop::v1::PlaceOrder>,
        .move_response = &::rookery::internal::MoveMessage<::shop::v1::Summary>,
        .invoke = &::rookery::internal::InvokeMember<
            ::shop::v1::OrdersService, &::shop::v1::OrdersService::Upload>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Orders, 3>,
    },
    {
        .full_name = "/shop.v1.Orders/Haggle",
        .service = "shop.v1.Orders",
        .name = "Haggle",
        .kind = ::rookery::MethodKind::kBidiStreaming,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::shop::v1::PlaceOrder>,
        .response = &::rookery::internal::DefaultInstance<::shop::v1::OrderEvent>,
        .move_request = &::rookery::internal::MoveMessage<::shop::v1::PlaceOrder>,
        .move_response = &::rookery::internal::MoveMessage<::shop::v1::OrderEvent>,
        .invoke = &::rookery::internal::InvokeMember<
            ::shop::v1::OrdersService, &::shop::v1::OrdersService::Haggle>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Orders, 4>,
    },
    {
        .full_name = "/shop.v1.Orders/OnPaid",
        .service = "shop.v1.Orders",
        .name = "OnPaid",
        .kind = ::rookery::MethodKind::kEvent,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "payments.received",
        .request = &::rookery::internal::DefaultInstance<::shop::v1::PaymentReceived>,
        .response = &::rookery::internal::DefaultInstance<::google::protobuf::Empty>,
        .move_request = &::rookery::internal::MoveMessage<::shop::v1::PaymentReceived>,
        .move_response = &::rookery::internal::MoveMessage<::google::protobuf::Empty>,
        .invoke = &::rookery::internal::InvokeMember<
            ::shop::v1::OrdersService, &::shop::v1::OrdersService::OnPaid>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Orders, 5>,
    },
    {
        .full_name = "/shop.v1.Orders/Forget",
        .service = "shop.v1.Orders",
        .name = "Forget",
        .kind = ::rookery::MethodKind::kUnary,
        .idempotency = ::rookery::Idempotency::kUnknown,
        .deprecated = false,
        .pattern = "",
        .request = &::rookery::internal::DefaultInstance<::shop::v1::GetOrder>,
        .response = &::rookery::internal::DefaultInstance<::google::protobuf::Empty>,
        .move_request = &::rookery::internal::MoveMessage<::shop::v1::GetOrder>,
        .move_response = &::rookery::internal::MoveMessage<::google::protobuf::Empty>,
        .invoke = &::rookery::internal::InvokeMember<
            ::shop::v1::OrdersService, &::shop::v1::OrdersService::Forget>,
        .closure = nullptr,
        .proto = &::rookery::internal::ProtoMethod<&Proto_Orders, 6>,
    },
};

constexpr ::rookery::ServiceDescriptor kService_Orders = {
    .full_name = "shop.v1.Orders",
    .methods = kMethods_Orders,
    .proto = &Proto_Orders,
};

}  // namespace
}  // namespace rookery_generated::shop_2fv1_2forders_2eproto

namespace shop::v1 {

const ::rookery::ServiceDescriptor& OrdersService::Descriptor() {
  return ::rookery_generated::shop_2fv1_2forders_2eproto::kService_Orders;
}

OrdersClient::OrdersClient(::std::shared_ptr<::rookery::Channel> channel) noexcept
    : ::rookery::ClientBase(::std::move(channel)) {}

const ::rookery::ServiceDescriptor& OrdersClient::Descriptor() {
  return ::rookery_generated::shop_2fv1_2forders_2eproto::kService_Orders;
}

::rookery::Task<::shop::v1::Order> OrdersClient::Place(
    const ::shop::v1::PlaceOrder& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::shop::v1::Order>(
      *this, ::rookery_generated::shop_2fv1_2forders_2eproto::kMethods_Orders[0], request, ::std::move(options));
}
::rookery::Task<::shop::v1::Order> OrdersClient::Place(
    ::shop::v1::PlaceOrder&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::shop::v1::Order>(
      *this, ::rookery_generated::shop_2fv1_2forders_2eproto::kMethods_Orders[0], ::std::move(request), ::std::move(options));
}

::rookery::Task<::shop::v1::Order> OrdersClient::Get(
    const ::shop::v1::GetOrder& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::shop::v1::Order>(
      *this, ::rookery_generated::shop_2fv1_2forders_2eproto::kMethods_Orders[1], request, ::std::move(options));
}
::rookery::Task<::shop::v1::Order> OrdersClient::Get(
    ::shop::v1::GetOrder&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::shop::v1::Order>(
      *this, ::rookery_generated::shop_2fv1_2forders_2eproto::kMethods_Orders[1], ::std::move(request), ::std::move(options));
}

::rookery::Stream<::shop::v1::OrderEvent> OrdersClient::Watch(
    const ::shop::v1::WatchOrders& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallServerStream<::shop::v1::OrderEvent>(
      *this, ::rookery_generated::shop_2fv1_2forders_2eproto::kMethods_Orders[2], request, ::std::move(options));
}
::rookery::Stream<::shop::v1::OrderEvent> OrdersClient::Watch(
    ::shop::v1::WatchOrders&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallServerStream<::shop::v1::OrderEvent>(
      *this, ::rookery_generated::shop_2fv1_2forders_2eproto::kMethods_Orders[2], ::std::move(request), ::std::move(options));
}

::rookery::Task<::shop::v1::Summary> OrdersClient::Upload(
    ::rookery::Stream<::shop::v1::PlaceOrder> requests, ::rookery::CallOptions options) {
  return ::rookery::internal::CallClientStream<::shop::v1::Summary>(
      *this, ::rookery_generated::shop_2fv1_2forders_2eproto::kMethods_Orders[3], ::std::move(requests), ::std::move(options));
}

::rookery::Stream<::shop::v1::OrderEvent> OrdersClient::Haggle(
    ::rookery::Stream<::shop::v1::PlaceOrder> requests, ::rookery::CallOptions options) {
  return ::rookery::internal::CallBidi<::shop::v1::OrderEvent>(
      *this, ::rookery_generated::shop_2fv1_2forders_2eproto::kMethods_Orders[4], ::std::move(requests), ::std::move(options));
}

::rookery::Task<void> OrdersClient::OnPaid(
    const ::shop::v1::PaymentReceived& event, ::rookery::CallOptions options) {
  return ::rookery::internal::CallEvent(
      *this, ::rookery_generated::shop_2fv1_2forders_2eproto::kMethods_Orders[5], event, ::std::move(options));
}
::rookery::Task<void> OrdersClient::OnPaid(
    ::shop::v1::PaymentReceived&& event, ::rookery::CallOptions options) {
  return ::rookery::internal::CallEvent(
      *this, ::rookery_generated::shop_2fv1_2forders_2eproto::kMethods_Orders[5], ::std::move(event), ::std::move(options));
}

::rookery::Task<::google::protobuf::Empty> OrdersClient::Forget(
    const ::shop::v1::GetOrder& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::google::protobuf::Empty>(
      *this, ::rookery_generated::shop_2fv1_2forders_2eproto::kMethods_Orders[6], request, ::std::move(options));
}
::rookery::Task<::google::protobuf::Empty> OrdersClient::Forget(
    ::shop::v1::GetOrder&& request, ::rookery::CallOptions options) {
  return ::rookery::internal::CallUnary<::google::protobuf::Empty>(
      *this, ::rookery_generated::shop_2fv1_2forders_2eproto::kMethods_Orders[6], ::std::move(request), ::std::move(options));
}

}  // namespace shop::v1
