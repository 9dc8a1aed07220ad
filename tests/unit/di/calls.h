// What the tests of scopes call: a controller with little in it, and an application that is quiet.
#ifndef ROOKERY_TESTS_UNIT_DI_CALLS_H_
#define ROOKERY_TESTS_UNIT_DI_CALLS_H_

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "echo.rookery.h"
#include "gtest/gtest.h"
#include "rookery/app/application.h"
#include "rookery/app/testing.h"
#include "rookery/pipeline/controller_builder.h"
#include "rookery/pipeline/execution_context.h"

namespace rookery::testing {

// Answers nothing; a test overrides what it calls.
class EchoBase : public EchoService {
 public:
  Task<EchoReply> Say(CallContext&, const EchoRequest&) override { co_return EchoReply(); }
  Stream<EchoReply> Repeat(CallContext&, const EchoRequest&) override { co_return; }
  Task<EchoReply> Join(CallContext&, Stream<EchoRequest>) override { co_return EchoReply(); }
  Stream<EchoReply> Chat(CallContext&, Stream<EchoRequest>) override { co_return; }
  Task<void> OnSaid(CallContext&, const EchoRequest&) override { co_return; }
  Task<EchoReply> SayAgain(CallContext&, const EchoRequest&) override { co_return EchoReply(); }
};

inline EchoReply Text(const std::string& text) {
  EchoReply reply;
  reply.set_text(text);
  return reply;
}
inline EchoRequest Asking(const std::string& text = "") {
  EchoRequest request;
  request.set_text(text);
  return request;
}

inline ApplicationOptions Loops(std::size_t threads = 1) {
  ApplicationOptions options;
  options.loop_threads = threads;
  options.log.level = LogLevel::kError;
  return options;
}

template <class M>
Application Make(ApplicationOptions options = Loops()) {
  return Application::Create<M>(std::move(options));
}

// What is wrong with M: the text of its faults.
template <class M>
std::string FaultsOf() {
  const absl::StatusOr<Application> app = Application::TryCreate<M>(Loops());
  return app.ok() ? "" : std::string(app.status().message());
}

// Calls end a moment after they are answered.
template <class Condition>
bool Soon(Condition&& condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_UNIT_DI_CALLS_H_
