#include "health.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "rookery/runtime/sleep.h"
#include "rookery_wire/health.pb.h"

namespace rookery::grpc_adapter {

using google::protobuf::Message;

Task<Message*> InternalHandler::Next(CallContext& /*call*/, Response& response) const {
  Message* const message = co_await response.Next();
  co_return message;
}

namespace {

namespace wire = rookery_wire::grpc::health::v1;

wire::HealthCheckResponse::ServingStatus StatusOf(const Health& health) {
  return health.serving() ? wire::HealthCheckResponse::SERVING
                          : wire::HealthCheckResponse::NOT_SERVING;
}

constexpr MethodDescriptor kCheck{
    .full_name = "/grpc.health.v1.Health/Check",
    .service = "grpc.health.v1.Health",
    .name = "Check",
    .kind = MethodKind::kUnary,
    .idempotency = Idempotency::kNoSideEffects,
    .pattern = "",
    .request = []() -> const Message& { return wire::HealthCheckRequest::default_instance(); },
    .response = []() -> const Message& { return wire::HealthCheckResponse::default_instance(); },
};
constexpr MethodDescriptor kList{
    .full_name = "/grpc.health.v1.Health/List",
    .service = "grpc.health.v1.Health",
    .name = "List",
    .kind = MethodKind::kUnary,
    .idempotency = Idempotency::kNoSideEffects,
    .pattern = "",
    .request = []() -> const Message& { return wire::HealthListRequest::default_instance(); },
    .response = []() -> const Message& { return wire::HealthListResponse::default_instance(); },
};
constexpr MethodDescriptor kWatch{
    .full_name = "/grpc.health.v1.Health/Watch",
    .service = "grpc.health.v1.Health",
    .name = "Watch",
    .kind = MethodKind::kServerStreaming,
    .idempotency = Idempotency::kNoSideEffects,
    .pattern = "",
    .request = []() -> const Message& { return wire::HealthCheckRequest::default_instance(); },
    .response = []() -> const Message& { return wire::HealthCheckResponse::default_instance(); },
};

class CheckHandler final : public InternalHandler {
 public:
  explicit CheckHandler(const Health& health) : InternalHandler(&kCheck), health_(health) {}

  Task<Response> Call(CallContext& /*call*/, Request& request) const override {
    const auto& check = static_cast<const wire::HealthCheckRequest&>(*request.message());
    if (!health_.Knows(check.service())) {
      co_return absl::NotFoundError(absl::StrCat("unknown service ", check.service()));
    }
    wire::HealthCheckResponse response;
    response.set_status(StatusOf(health_));
    co_return Response::Of(std::move(response));
  }

 private:
  const Health& health_;
};

class ListHandler final : public InternalHandler {
 public:
  explicit ListHandler(const Health& health) : InternalHandler(&kList), health_(health) {}

  Task<Response> Call(CallContext& /*call*/, Request& /*request*/) const override {
    // https://github.com/grpc/proposal/blob/master/A90-health-service-list.md
    constexpr std::size_t kMost = 100;
    if (health_.services().size() > kMost) {
      co_return absl::ResourceExhaustedError("more than 100 services: ask for one with Check");
    }
    wire::HealthListResponse response;
    for (const std::string& service : health_.services()) {
      (*response.mutable_statuses())[service].set_status(StatusOf(health_));
    }
    co_return Response::Of(std::move(response));
  }

 private:
  const Health& health_;
};

class WatchHandler final : public InternalHandler {
 public:
  explicit WatchHandler(Health& health) : InternalHandler(&kWatch), health_(health) {}

  Task<Response> Call(CallContext& /*call*/, Request& request) const override {
    const auto& check = static_cast<const wire::HealthCheckRequest&>(*request.message());
    co_return Response::Adopt(Watch(health_, health_.Knows(check.service())));
  }

 private:
  static Stream<wire::HealthCheckResponse> Watch(Health& health, bool known) {
    // A node tells nobody that it has become ready; this only matters while it starts.
    constexpr std::chrono::milliseconds kStarting{50};
    wire::HealthCheckResponse::ServingStatus last = wire::HealthCheckResponse::UNKNOWN;
    for (;;) {
      const auto now = known ? StatusOf(health) : wire::HealthCheckResponse::SERVICE_UNKNOWN;
      if (now != last) {
        last = now;
        wire::HealthCheckResponse response;
        response.set_status(now);
        co_yield std::move(response);
      }
      if (!known || health.settled()) {
        // Nothing changes any more once the node is draining; then the caller ends the call, or the
        // server does.
        if (health.not_ready().is_set()) {
          co_await Sleep(std::chrono::hours(24));
        } else {
          co_await health.not_ready().Wait();
        }
      } else {
        co_await Sleep(kStarting);
      }
    }
  }

  Health& health_;
};

}  // namespace

Health::Health(TransportHost& host)
    : host_(host),
      check_(std::make_unique<CheckHandler>(*this)),
      list_(std::make_unique<ListHandler>(*this)),
      watch_(std::make_unique<WatchHandler>(*this)) {
  services_.insert("");
  for (const Handler* handler : host.handlers().all()) {
    if (!handler->descriptor().service.empty()) {
      services_.emplace(handler->descriptor().service);
    }
  }
}

Health::~Health() = default;

std::vector<const Handler*> Health::handlers() const {
  return {check_.get(), list_.get(), watch_.get()};
}

void Health::NotReady() noexcept { not_ready_.Set(); }

bool Health::serving() const noexcept { return !not_ready_.is_set() && host_.ready(); }

bool Health::settled() const noexcept { return not_ready_.is_set() || host_.ready(); }

bool Health::Knows(std::string_view service) const {
  return services_.find(service) != services_.end();
}

}  // namespace rookery::grpc_adapter
