// ZeroMqNode: an application that serves Echo over ZeroMQ, and what it has logged; for tests.
//
//   ZeroMqNode node(ZeroMq{.address = "tcp://127.0.0.1:*"});
//   EchoClient client(MakeChannel(ZeroMq{.address = node.endpoint()}));
#ifndef ROOKERY_TESTS_UNIT_ZEROMQ_ZEROMQ_NODE_H_
#define ROOKERY_TESTS_UNIT_ZEROMQ_ZEROMQ_NODE_H_

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "echo.rookery.h"
#include "rookery/app/application.h"
#include "rookery/module/dynamic_module.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/platform/log.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/transports/zeromq.h"

namespace rookery::testing {

// Generous: a loaded machine under TSan is slow.
template <class F>
bool ZeroMqEventually(F holds) {
  for (int i = 0; i < 6'000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

// "wait" waits until Release(); "stream" in Chat never ends; else answers with the text.
class ZeroMqNodeController final : public EchoService {
 public:
  struct State {
    std::atomic<int> calls{0};
    std::atomic<int> running{0};
    std::atomic<int> events{0};
    std::mutex mutex;
    Peer peer;  // of the last call; guarded by mutex
    Event release;
  };
  explicit ZeroMqNodeController(State& state) : state_(state) {}

  Task<EchoReply> Say(CallContext& call, const EchoRequest& request) override {
    ++state_.calls;
    ++state_.running;
    {
      const std::scoped_lock lock(state_.mutex);
      state_.peer = call.peer();
    }
    if (request.text() == "wait") co_await state_.release.Wait();
    --state_.running;
    EchoReply reply;
    reply.set_text(request.text());
    co_return reply;
  }
  Task<EchoReply> SayAgain(CallContext& call, const EchoRequest& request) override {
    return Say(call, request);
  }
  Stream<EchoReply> Repeat(CallContext&, const EchoRequest& request) override {
    ++state_.running;
    for (int i = 0; i < request.count(); ++i) {
      EchoReply reply;
      reply.set_index(i);
      reply.set_text(request.text());
      co_yield std::move(reply);
    }
    --state_.running;
  }
  Task<EchoReply> Join(CallContext&, Stream<EchoRequest>) override { co_return EchoReply(); }
  Stream<EchoReply> Chat(CallContext&, Stream<EchoRequest> requests) override {
    for (;;) {
      std::optional<EchoRequest> request = co_await requests.Next();
      if (!request) break;
      EchoReply reply;
      reply.set_text(request->text());
      co_yield std::move(reply);
    }
  }
  Task<void> OnSaid(CallContext&, const EchoRequest&) override {
    ++state_.events;
    co_return;
  }

 private:
  State& state_;
};

class ZeroMqNode final {
 public:
  explicit ZeroMqNode(ZeroMq options) {
    ApplicationOptions mine;
    mine.loop_threads = 1;
    mine.drain_grace = std::chrono::milliseconds(5'000);
    mine.log.sink = log_;
    mine.signals = {};
    struct ZeroMqNodeModule {};
    DynamicModule module = DynamicModule::Of<ZeroMqNodeModule>();
    module.ProvideValue(std::ref(state_)).Controller<ZeroMqNodeController>();
    app_ = std::make_unique<Application>(Application::Create(std::move(module), std::move(mine)));
    app_->Listen(std::move(options));
    app_->Start();
    // "zeromq:tcp://127.0.0.1:41234" or without the transport's name.
    endpoint_ = app_->Endpoints().front();
  }
  ~ZeroMqNode() {
    state_.release.Set();
    app_->Close();
  }
  ZeroMqNode(const ZeroMqNode&) = delete;
  ZeroMqNode& operator=(const ZeroMqNode&) = delete;

  Application& app() { return *app_; }
  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }
  ZeroMqNodeController::State& state() { return state_; }
  [[nodiscard]] bool Logged(std::string_view text) const { return log_->Contains(text); }
  [[nodiscard]] std::uint64_t rejected() { return app_->Stats().total_rejected(); }

 private:
  const std::shared_ptr<CapturingSink> log_ = std::make_shared<CapturingSink>();
  ZeroMqNodeController::State state_;
  std::unique_ptr<Application> app_;
  std::string endpoint_;
};

inline EchoRequest ZeroMqText(std::string text) {
  EchoRequest request;
  request.set_text(std::move(text));
  return request;
}

// Fails at last, so that silence is no reason to wait for ever.
inline absl::Status ZeroMqCall(
    EchoClient& client, std::string text = "x",
    std::chrono::milliseconds timeout = std::chrono::milliseconds(60'000)) {
  CallOptions options;
  options.timeout = timeout;
  return SyncWaitStatus(client.Say(ZeroMqText(std::move(text)), std::move(options))).status();
}

// Reconnects quickly.
inline ZeroMq ZeroMqQuick(const std::string& address) {
  ZeroMq options;
  options.address = address;
  options.reconnect_wait = std::chrono::milliseconds(20);
  options.max_reconnect_wait = std::chrono::milliseconds(100);
  options.connect_timeout = std::chrono::milliseconds(20'000);
  return options;
}

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_UNIT_ZEROMQ_ZEROMQ_NODE_H_
