// A Rookery node on NATS, for clients in other languages that were written from docs/wire.md:
//
//   rookery_wire_server --url=nats://127.0.0.1:4222 --keepalive_ms=200
//
// Says READY when it serves, and ends when its standard input does. It serves rookery.testing.Echo;
// what its handlers do beyond the comments of echo.proto stands beside them.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "echo.rookery.h"
#include "rookery/app/application.h"
#include "rookery/module/dynamic_module.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/rpc/status.h"
#include "rookery/runtime/sleep.h"
#include "rookery/transports/nats.h"

namespace rookery::testing {
namespace {

using std::chrono::milliseconds;

// Counts handlers that ended before their time, and what else a caller cannot see.
struct Counts {
  std::atomic<int> started{0};
  std::atomic<int> cancelled{0};
  std::atomic<int> events{0};
};

class Watch final {
 public:
  Watch(Counts& counts, CallContext& call) : counts_(counts), call_(call) { ++counts_.started; }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch() {
    if (call_.cancelled()) ++counts_.cancelled;
  }

 private:
  Counts& counts_;
  CallContext& call_;
};

class Controller final : public EchoService {
 public:
  explicit Controller(Counts& counts) : counts_(counts) {}

  // "counts": how many handlers started and how many were cancelled; "events": how many events;
  // "trace", "deadline": what the call carries. Metadata x-echo and x-echo-bin go back as headers
  // and as trailers.
  Task<EchoReply> Say(CallContext& call, const EchoRequest& request) override {
    EchoReply reply;
    if (request.text() == "counts") {
      reply.set_text(std::to_string(counts_.started) + " " + std::to_string(counts_.cancelled));
      co_return reply;
    }
    const Watch watch(counts_, call);
    for (const char* const key : {"x-echo", "x-echo-bin"}) {
      if (const auto value = call.metadata().Get(key)) {
        call.response_headers().Add(key, *value).IgnoreError();
        call.response_trailers().Add(key, *value).IgnoreError();
      }
    }
    if (request.delay_ms() != 0) co_await Sleep(milliseconds(request.delay_ms()));
    if (request.fail_code() != 0) {
      EchoRequest detail;
      detail.set_text("more");
      const absl::Status status(static_cast<absl::StatusCode>(request.fail_code()),
                                request.fail_message());
      co_return WithDetails(status, detail);
    }
    reply.set_text(request.text());
    if (request.text() == "events") reply.set_index(counts_.events);
    if (request.text() == "trace") reply.set_text(call.trace().trace_id());
    if (request.text() == "deadline") reply.set_index(call.deadline() != kNoDeadline);
    reply.set_payload(std::string(static_cast<std::size_t>(request.reply_bytes()), 'x'));
    co_return reply;
  }
  Task<EchoReply> SayAgain(CallContext& call, const EchoRequest& request) override {
    return Say(call, request);
  }
  Stream<EchoReply> Repeat(CallContext& call, const EchoRequest& request) override {
    const Watch watch(counts_, call);
    for (int i = 0; i < request.count(); ++i) {
      EchoReply reply;
      reply.set_index(i);
      reply.set_text(request.text());
      reply.set_payload(std::string(static_cast<std::size_t>(request.reply_bytes()), 'x'));
      co_yield std::move(reply);
    }
    if (request.delay_ms() != 0) co_await Sleep(milliseconds(request.delay_ms()));
    call.response_trailers().Add("x-last", "word").IgnoreError();
    if (request.fail_code() != 0) {
      absl::Status status(static_cast<absl::StatusCode>(request.fail_code()),
                          request.fail_message());
      co_await Fail(std::move(status));
    }
  }
  Task<EchoReply> Join(CallContext& call, Stream<EchoRequest> requests) override {
    const Watch watch(counts_, call);
    EchoReply reply;
    for (;;) {
      std::optional<EchoRequest> request = co_await requests.Next();
      if (!request) break;
      reply.set_text(reply.text() + request->text());
      reply.set_index(reply.index() + 1);
    }
    co_return reply;
  }
  // With metadata x-stall it reads nothing.
  Stream<EchoReply> Chat(CallContext& call, Stream<EchoRequest> requests) override {
    const Watch watch(counts_, call);
    if (call.metadata().Get("x-stall")) co_await Sleep(milliseconds(600'000));
    for (;;) {
      std::optional<EchoRequest> request = co_await requests.Next();
      if (!request) break;
      EchoReply reply;
      reply.set_text(request->text());
      co_yield std::move(reply);
    }
  }
  Task<void> OnSaid(CallContext& call, const EchoRequest&) override {
    if (call.metadata().Get("ce-id") == "id-1") ++counts_.events;
    co_return;
  }

 private:
  Counts& counts_;
};

std::string_view Flag(int argc, char** argv, std::string_view name, std::string_view otherwise) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument.substr(0, name.size()) == name) return argument.substr(name.size());
  }
  return otherwise;
}

int Run(int argc, char** argv) {
  Counts counts;
  struct WireModule {};
  DynamicModule module = DynamicModule::Of<WireModule>();
  module.ProvideValue(std::ref(counts)).Controller<Controller>();
  ApplicationOptions options;
  options.loop_threads = 1;
  options.signals = {};
  Application app = Application::Create(std::move(module), std::move(options));
  Nats nats{.url = std::string(Flag(argc, argv, "--url=", "nats://localhost:4222"))};
  nats.queue = "echo";
  nats.keepalive =
      milliseconds(std::atoi(std::string(Flag(argc, argv, "--keepalive_ms=", "10000")).c_str()));
  app.Listen(std::move(nats));
  app.Start();
  std::puts("READY");
  std::fflush(stdout);
  char byte = 0;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  app.Close();
  return 0;
}

}  // namespace
}  // namespace rookery::testing

int main(int argc, char** argv) { return rookery::testing::Run(argc, argv); }
