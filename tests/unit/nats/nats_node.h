// NatsNode: an application that serves Echo over NATS, and what it has logged; for tests.
//
//   NatsNode node(Nats{.url = broker->url()});
//   EXPECT_TRUE(Eventually([&] { return node.Logged("connection lost"); }));
#ifndef ROOKERY_TESTS_UNIT_NATS_NATS_NODE_H_
#define ROOKERY_TESTS_UNIT_NATS_NATS_NODE_H_

#include <nats/nats.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "echo.rookery.h"
#include "rookery/app/application.h"
#include "rookery/module/dynamic_module.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/platform/log.h"
#include "rookery/runtime/event.h"
#include "rookery/transports/nats.h"

namespace rookery::testing {

// Generous: a loaded machine under TSan is slow.
template <class F>
bool Eventually(F holds) {
  for (int i = 0; i < 6'000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

// "wait" waits until Release(); else answers with the text, or fails as told.
class NatsNodeController final : public EchoService {
 public:
  struct State {
    std::atomic<int> running{0};
    std::atomic<int> events{0};
    Event release;
  };
  explicit NatsNodeController(State& state) : state_(state) {}

  Task<EchoReply> Say(CallContext&, const EchoRequest& request) override {
    ++state_.running;
    if (request.text() == "wait") co_await state_.release.Wait();
    --state_.running;
    if (request.fail_code() != 0) {
      co_return absl::Status(static_cast<absl::StatusCode>(request.fail_code()), "as told");
    }
    EchoReply reply;
    reply.set_text(request.text());
    co_return reply;
  }
  Task<EchoReply> SayAgain(CallContext& call, const EchoRequest& request) override {
    return Say(call, request);
  }
  Stream<EchoReply> Repeat(CallContext&, const EchoRequest& request) override {
    for (int i = 0; i < request.count(); ++i) {
      EchoReply reply;
      reply.set_index(i);
      co_yield std::move(reply);
    }
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

class NatsNode final {
 public:
  explicit NatsNode(Nats options) {
    ApplicationOptions mine;
    mine.loop_threads = 1;
    mine.drain_grace = std::chrono::milliseconds(5'000);
    mine.log.sink = log_;
    mine.signals = {};
    struct NatsNodeModule {};
    DynamicModule module = DynamicModule::Of<NatsNodeModule>();
    module.ProvideValue(std::ref(state_)).Controller<NatsNodeController>();
    app_ = std::make_unique<Application>(Application::Create(std::move(module), std::move(mine)));
    app_->Listen(std::move(options));
    app_->Start();
  }
  ~NatsNode() {
    state_.release.Set();
    app_->Close();
  }
  NatsNode(const NatsNode&) = delete;
  NatsNode& operator=(const NatsNode&) = delete;

  Application& app() { return *app_; }
  NatsNodeController::State& state() { return state_; }
  bool Logged(std::string_view text) const { return log_->Contains(text); }

 private:
  const std::shared_ptr<CapturingSink> log_ = std::make_shared<CapturingSink>();
  NatsNodeController::State state_;
  std::unique_ptr<Application> app_;
};

// NATS as any program uses it, without a line of ours. Aborts if it cannot connect.
class NatsStranger final {
 public:
  explicit NatsStranger(const std::string& url) {
    if (natsConnection_ConnectTo(&connection_, url.c_str()) != NATS_OK) std::abort();
  }
  ~NatsStranger() { natsConnection_Destroy(connection_); }
  NatsStranger(const NatsStranger&) = delete;
  NatsStranger& operator=(const NatsStranger&) = delete;

  // What comes in reply to one request: up to `most` messages, and no more when none has come for
  // so long.
  std::vector<std::string> AskAll(const std::string& subject, std::size_t most,
                                  std::chrono::milliseconds silence) {
    std::vector<std::string> answers;
    natsInbox* inbox = nullptr;
    natsInbox_Create(&inbox);
    natsSubscription* subscription = nullptr;
    natsConnection_SubscribeSync(&subscription, connection_, inbox);
    natsConnection_PublishRequestString(connection_, subject.c_str(), inbox, "");
    while (answers.size() < most) {
      natsMsg* message = nullptr;
      if (natsSubscription_NextMsg(&message, subscription, silence.count()) != NATS_OK) break;
      answers.emplace_back(natsMsg_GetData(message),
                           static_cast<std::size_t>(natsMsg_GetDataLength(message)));
      natsMsg_Destroy(message);
    }
    natsSubscription_Destroy(subscription);
    natsInbox_Destroy(inbox);
    return answers;
  }
  void Publish(const std::string& subject, const std::string& body) {
    natsConnection_PublishString(connection_, subject.c_str(), body.c_str());
    natsConnection_Flush(connection_);
  }

 private:
  natsConnection* connection_ = nullptr;
};

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_UNIT_NATS_NATS_NODE_H_
