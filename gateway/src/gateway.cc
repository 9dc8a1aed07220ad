#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "edge.h"
#include "http/exchange.h"
#include "rookery/gateway/http_gateway.h"
#include "rookery/rpc/local_channel.h"
#include "rookery/rpc/stats.h"
#include "rookery/rpc/transport.h"

namespace rookery {
namespace {

using internal::gateway::Edge;
using internal::gateway::HttpServer;

// One listener.
class GatewayServer final : public ServerTransport {
 public:
  explicit GatewayServer(HttpGateway options) : options_(std::move(options)) {}
  ~GatewayServer() override { Stop(); }

  std::string_view name() const noexcept override { return "http"; }
  absl::Status Start(TransportHost& host) override {
    if (absl::Status status = CheckHttpGateway(options_); !status.ok()) return status;
    LocalEndpoint::Options local;
    local.name = "http";
    endpoint_ = std::make_shared<LocalEndpoint>(host, std::move(local));
    absl::StatusOr<std::unique_ptr<Edge>> edge =
        Edge::Make(options_, host, std::make_shared<LocalChannel>(endpoint_));
    if (!edge.ok()) return edge.status();
    edge_ = *std::move(edge);
    server_ = internal::gateway::MakeHttpServer(options_);
    absl::Status started = server_->Start(host.loops(), *edge_);
    if (!started.ok()) Stop();
    return started;
  }
  std::string endpoint() const override {
    return server_ == nullptr ? std::string() : server_->endpoint();
  }
  void AddStats(StatsSnapshot* stats) const override {
    if (server_ != nullptr) server_->AddStats(stats);
  }
  // The server alone stops: what it has taken in may still make calls.
  void StopIntake() noexcept override {
    if (server_ != nullptr) server_->StopIntake();
  }
  std::size_t Drain(Deadline deadline) noexcept override {
    if (server_ == nullptr) return 0;
    const std::size_t cut = server_->Drain(deadline);
    // Handlers whose callers have left may still run.
    return cut + endpoint_->Drain(deadline);
  }
  void Stop() noexcept override {
    if (server_ != nullptr) server_->Stop();
    if (edge_ != nullptr) {
      for (const std::shared_ptr<Channel>& channel : edge_->routes().channels()) channel->Close();
    }
  }

 private:
  const HttpGateway options_;
  std::shared_ptr<LocalEndpoint> endpoint_;
  std::unique_ptr<Edge> edge_;
  std::unique_ptr<HttpServer> server_;  // goes before what it calls
};

}  // namespace

std::unique_ptr<ServerTransport> MakeServerTransport(const HttpGateway& options) {
  return std::make_unique<GatewayServer>(options);
}

}  // namespace rookery
