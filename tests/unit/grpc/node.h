// A node with the Echo service on a gRPC listener, without an application around it.
//
//   EchoNode node;
//   ASSERT_TRUE(node.Start({}).ok());
//   EchoClient client(node.Connect());
#ifndef ROOKERY_TESTS_UNIT_GRPC_NODE_H_
#define ROOKERY_TESTS_UNIT_GRPC_NODE_H_

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "echo.rookery.h"
#include "rookery/pipeline/compile.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/rpc/channel.h"
#include "rookery/rpc/stats.h"
#include "rookery/rpc/status.h"
#include "rookery/rpc/transport.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/transports/grpc.h"
#include "rookery/transports/grpc_call.h"

namespace rookery::testing {

// Does what requests say, and remembers what it saw.
class EchoController final : public EchoService {
 public:
  Task<EchoReply> Say(CallContext& call, const EchoRequest& request) override {
    Seen(call);
    if (request.delay_ms() > 0) co_await Sleep(std::chrono::milliseconds(request.delay_ms()));
    if (hold) co_await Sleep(std::chrono::hours(1));
    if (request.fail_code() != 0) co_return Failure(request);
    if (downstream != nullptr) {
      // What a call from a handler does: it comes back where it was made.
      const auto thread = std::this_thread::get_id();
      EchoReply relayed = co_await downstream->Say(request);
      if (std::this_thread::get_id() == thread) ++stayed;
      co_return relayed;
    }
    if (call.metadata().Has("x-echo")) {
      call.response_headers().Add("x-echo", *call.metadata().Get("x-echo")).IgnoreError();
    }
    if (call.metadata().Has("x-echo-bin")) {
      call.response_trailers().Add("x-echo-bin", *call.metadata().Get("x-echo-bin")).IgnoreError();
    }
    if (call.metadata().Has("x-compress")) {
      call.set_response_compression("gzip");
    }
    if (request.text() == "spawn") SpawnLater(call);
    if (request.text() == "spawn for ever") static_cast<void>(Spawn(Sleep1h()));
    EchoReply reply;
    reply.set_text(request.text());
    reply.set_payload(std::string(static_cast<std::size_t>(request.reply_bytes()), 'x'));
    co_return reply;
  }
  Task<EchoReply> SayAgain(CallContext& call, const EchoRequest& request) override {
    return Say(call, request);
  }

  Stream<EchoReply> Repeat(CallContext& call, const EchoRequest& request) override {
    Seen(call);
    for (int i = 0; i < request.count(); ++i) {
      if (request.delay_ms() > 0) co_await Sleep(std::chrono::milliseconds(request.delay_ms()));
      EchoReply reply;
      reply.set_text(request.text());
      reply.set_index(i);
      reply.set_payload(std::string(static_cast<std::size_t>(request.reply_bytes()), 'x'));
      ++produced;
      co_yield std::move(reply);
    }
    if (request.fail_code() != 0) co_await Fail(Failure(request));
  }

  Task<EchoReply> Join(CallContext& call, Stream<EchoRequest> requests) override {
    Seen(call);
    if (downstream != nullptr) {
      EchoReply relayed = co_await downstream->Join(std::move(requests));
      co_return relayed;
    }
    EchoReply reply;
    for (;;) {
      std::optional<EchoRequest> request = co_await requests.Next();
      if (!request) break;
      last_compressed = call.TransportRequest<GrpcCall>()->last_message_compressed();
      reply.mutable_text()->append(request->text());
      reply.set_index(reply.index() + 1);
    }
    co_return reply;
  }

  Stream<EchoReply> Chat(CallContext& call, Stream<EchoRequest> requests) override {
    Seen(call);
    if (downstream != nullptr) {
      Stream<EchoReply> relayed = downstream->Chat(std::move(requests));
      for (;;) {
        std::optional<EchoReply> reply = co_await relayed.Next();
        if (!reply) break;
        co_yield *std::move(reply);
      }
      co_return;
    }
    for (;;) {
      std::optional<EchoRequest> request = co_await requests.Next();
      if (!request) break;
      if (request->fail_code() != 0) co_await Fail(Failure(*request));
      EchoReply reply;
      reply.set_text(request->text());
      co_yield std::move(reply);
    }
  }

  Task<void> OnSaid(CallContext& call, const EchoRequest& request) override {
    Seen(call);
    const std::lock_guard<std::mutex> lock(mutex_);
    said_.push_back(request.text());
    co_return;
  }

  std::atomic<int> calls{0};
  std::atomic<int> ended{0};
  std::atomic<int> cancelled{0};
  std::atomic<int> produced{0};
  std::atomic<int> spawned{0};
  std::atomic<int> stayed{0};
  std::atomic<bool> hold{false};     // Say waits until it is cancelled
  EchoClient* downstream = nullptr;  // Say, Join and Chat ask it
  std::atomic<bool> last_compressed{false};
  // What the last call was.
  Peer peer() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return peer_;
  }
  std::string encoding() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return encoding_;
  }
  std::chrono::nanoseconds remaining() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return remaining_;
  }
  std::vector<std::string> said() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return said_;
  }

 private:
  static absl::Status Failure(const EchoRequest& request) {
    EchoReply detail;
    detail.set_text("detail");
    return WithDetails(
        absl::Status(static_cast<absl::StatusCode>(request.fail_code()), request.fail_message()),
        detail);
  }
  // A task that outlives its call, and reads what the call was sent after it has ended.
  void SpawnLater(CallContext& call) { SpawnDetached(Later(this, &call)); }
  static Task<void> Later(EchoController* self, CallContext* call) {
    co_await Sleep(std::chrono::milliseconds(50));
    if (call->metadata().Get("x-tenant") == "acme" && !call->peer().address.empty()) {
      ++self->spawned;
    }
  }
  static Task<void> Sleep1h() { co_await Sleep(std::chrono::hours(1)); }
  void Seen(CallContext& call) {
    ++calls;
    const std::lock_guard<std::mutex> lock(mutex_);
    peer_ = call.peer();
    remaining_ = call.time_remaining();
    if (auto* const grpc = call.TransportRequest<GrpcCall>(); grpc != nullptr) {
      encoding_ = grpc->peer_encoding();
      last_compressed = grpc->last_message_compressed();
    }
  }

  std::mutex mutex_;
  std::vector<std::string> said_;
  Peer peer_;
  std::string encoding_;
  std::chrono::nanoseconds remaining_{0};
};

// The listener, and what an application would lend it.
class EchoNode final : public TransportHost {
 public:
  explicit EchoNode(std::function<void(ControllerBuilder&)> describe_more = {}) {
    DescribeController<EchoController>(description_);
    if (describe_more) describe_more(description_);
  }
  ~EchoNode() override {
    if (transport != nullptr) transport->Stop();
  }

  absl::Status Start(Grpc options) {
    if (options.address.empty()) options.address = "127.0.0.1:0";
    if (options.threads == 0) options.threads = 2;
    BoundController bound;
    bound.description = &description_;
    bound.instance = controller;
    bound.resolve = [](const Token&) { return std::shared_ptr<void>(); };
    bound.module = "TestModule";
    absl::StatusOr<std::unique_ptr<HandlerRegistry>> compiled =
        CompileHandlers({std::move(bound)}, {}, stats);
    if (!compiled.ok()) return compiled.status();
    registry_ = *std::move(compiled);
    transport = MakeServerTransport(options);
    return transport->Start(*this);
  }
  std::shared_ptr<Channel> Connect(Grpc options = {}) {
    if (options.address.empty()) options.address = transport->endpoint();
    return MakeChannel(options, *this);
  }
  int port() const {
    const std::string endpoint = transport->endpoint();
    return std::stoi(endpoint.substr(endpoint.rfind(':') + 1));
  }

  const HandlerRegistry& handlers() const override { return *registry_; }
  LoopPool& loops() override {
    if (loops_ == nullptr) loops_ = std::make_unique<LoopPool>();
    return *loops_;
  }
  bool ready() const noexcept override { return is_ready; }

  std::shared_ptr<EchoController> controller = std::make_shared<EchoController>();
  StatsRegistry stats;
  std::unique_ptr<ServerTransport> transport;
  std::atomic<bool> is_ready{true};

 private:
  ControllerBuilder description_;
  std::unique_ptr<HandlerRegistry> registry_;
  std::unique_ptr<LoopPool> loops_;
};

inline EchoRequest Text(std::string_view text) {
  EchoRequest request;
  request.set_text(std::string(text));
  return request;
}

// Waits (for as long as a test may run) until `condition` holds.
template <class Condition>
bool Eventually(Condition&& condition) {
  for (int i = 0; i < 2'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_UNIT_GRPC_NODE_H_
