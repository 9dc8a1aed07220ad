// What runs when: guards, interceptors, pipes, the handler, filters, at every level.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "echo.rookery.h"
#include "rookery/platform/log.h"
#include "rookery/rpc/status.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/sync_wait.h"
#include "unit/pipeline/harness.h"

namespace rookery::testing {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// The sequence of everything that ran. Tests run one at a time.
std::vector<std::string>& Trail() {
  static std::vector<std::string> trail;
  return trail;
}
void Note(std::string what) { Trail().push_back(std::move(what)); }

EchoRequest Text(std::string text, int count = 0) {
  EchoRequest request;
  request.set_text(std::move(text));
  request.set_count(count);
  return request;
}

Task<std::vector<std::string>> All(Stream<EchoReply> replies) {
  std::vector<std::string> all;
  for (;;) {
    std::optional<EchoReply> reply = co_await replies.Next();
    if (!reply) break;
    all.push_back(reply->text());
  }
  co_return all;
}

Stream<EchoRequest> Requests(std::vector<std::string> texts) {
  for (std::string& text : texts) {
    EchoRequest request = Text(std::move(text));
    co_yield std::move(request);
  }
}

struct OutOfPaper : std::runtime_error {
  OutOfPaper() : std::runtime_error("the printer in room 12 is out of paper") {}
};
struct OutOfInk final : OutOfPaper {};

// One of each, that notes its name.
struct NotingGuard {
  explicit NotingGuard(std::string n) : name(std::move(n)) {}
  bool CanActivate(ExecutionContext&) {
    Note("guard " + name);
    return true;
  }
  std::string name;
};
struct WaitingGuard {
  explicit WaitingGuard(std::string n) : name(std::move(n)) {}
  Task<bool> CanActivate(ExecutionContext& context) {
    co_await Sleep(milliseconds(1));
    EXPECT_EQ(CallContext::Current(), &context.call());
    Note("guard " + name);
    co_return true;
  }
  std::string name;
};
struct NotingInterceptor {
  explicit NotingInterceptor(std::string n) : name(std::move(n)) {}
  Task<Response> Intercept(ExecutionContext& context, Next next) {
    Note("in " + name);
    EXPECT_EQ(CallContext::Current(), &context.call());
    Response response = co_await next();
    Note("out " + name);
    co_return response;
  }
  std::string name;
};
struct NotingPipe {
  explicit NotingPipe(std::string n) : name(std::move(n)) {}
  void Transform(const google::protobuf::Message&, const ArgumentMetadata& argument) {
    Note("pipe " + name + (argument.streamed() ? " " + std::to_string(argument.index()) : ""));
  }
  std::string name;
};
struct NotingFilter {
  explicit NotingFilter(std::string n) : name(std::move(n)) {}
  absl::Status Catch(const std::exception& error, ExecutionContext&) {
    Note("filter " + name);
    caught = error.what();
    return absl::AbortedError("by " + name);
  }
  std::string name;
  std::string caught;
};

class Controller : public EchoService {
 public:
  Task<EchoReply> Say(CallContext& call, const EchoRequest& request) override {
    Note("handler");
    EXPECT_EQ(CallContext::Current(), &call);
    if (request.delay_ms() > 0) co_await Sleep(milliseconds(request.delay_ms()));
    if (request.text() == "status") co_return absl::NotFoundError("no such text");
    if (request.text() == "paper") throw OutOfPaper();
    if (request.text() == "ink") throw OutOfInk();
    if (request.text() == "number") throw 42;
    EchoReply reply;
    reply.set_text(request.text());
    co_return reply;
  }
  Stream<EchoReply> Repeat(CallContext&, const EchoRequest& request) override {
    for (int i = 0; i < request.count(); ++i) {
      EchoReply reply;
      reply.set_text(request.text() + std::to_string(i));
      co_yield std::move(reply);
    }
    if (request.fail_code() != 0) throw OutOfPaper();
  }
  Task<EchoReply> Join(CallContext&, Stream<EchoRequest> requests) override {
    EchoReply reply;
    for (;;) {
      std::optional<EchoRequest> request = co_await requests.Next();
      if (!request) break;
      reply.set_text(reply.text() + request->text());
    }
    co_return reply;
  }
  Stream<EchoReply> Chat(CallContext&, Stream<EchoRequest> requests) override {
    for (;;) {
      std::optional<EchoRequest> request = co_await requests.Next();
      if (!request) break;
      EchoReply reply;
      reply.set_text(request->text());
      co_yield std::move(reply);
    }
  }
  Task<void> OnSaid(CallContext&, const EchoRequest& event) override {
    Note("event " + event.text());
    if (event.text() == "paper") throw OutOfPaper();
    co_return;
  }
  Task<EchoReply> SayAgain(CallContext& call, const EchoRequest& request) override {
    return Say(call, request);
  }
};

// A controller whose Configure is given by the test.
template <int kWhich>
class Configured : public Controller {
 public:
  static inline void (*configure)(ControllerBuilder& controller) = nullptr;
  static void Configure(ControllerBuilder& controller) {
    if (configure != nullptr) configure(controller);
  }
};
using One = Configured<1>;

class PipelineTest : public ::testing::Test {
 protected:
  PipelineTest() { Trail().clear(); }

  // Adds the controller with this Configure.
  void Serve(void (*configure)(ControllerBuilder& controller)) {
    One::configure = configure;
    harness_.Add(std::make_shared<One>());
  }
  absl::StatusOr<EchoReply> Say(EchoRequest request) {
    return SyncWaitStatus(harness_.client<EchoClient>().Say(std::move(request)));
  }
  Harness harness_;
};

constexpr MethodRef kSay = EchoService::kSay;

TEST_F(PipelineTest, GlobalThenControllerThenMethod) {
  for (const char* name : {"g1", "g2"}) {
    harness_.globals.UseGuard(std::make_shared<NotingGuard>(name))
        .UseInterceptor(std::make_shared<NotingInterceptor>(name))
        .UsePipe(std::make_shared<NotingPipe>(name))
        .UseFilter(std::make_shared<NotingFilter>(name));
  }
  Serve([](ControllerBuilder& controller) {
    for (const char* name : {"c1", "c2"}) {
      controller.UseGuard(std::make_shared<WaitingGuard>(name))
          .UseInterceptor(std::make_shared<NotingInterceptor>(name))
          .UsePipe(std::make_shared<NotingPipe>(name));
    }
    for (const char* name : {"m1", "m2"}) {
      controller.Method(kSay)
          .UseGuard(std::make_shared<NotingGuard>(name))
          .UseInterceptor(std::make_shared<NotingInterceptor>(name))
          .UsePipe(std::make_shared<NotingPipe>(name));
    }
  });
  EXPECT_EQ(Say(Text("hi"))->text(), "hi");
  EXPECT_THAT(Trail(),
              ElementsAre("guard g1", "guard g2", "guard c1", "guard c2", "guard m1", "guard m2",
                          "in g1", "in g2", "in c1", "in c2", "in m1", "in m2", "pipe g1",
                          "pipe g2", "pipe c1", "pipe c2", "pipe m1", "pipe m2", "handler",
                          "out m2", "out m1", "out c2", "out c1", "out g2", "out g1"));
  // Another method has not the enhancers of Say.
  Trail().clear();
  SyncWait(harness_.client<EchoClient>().OnSaid(Text("x")));
  EXPECT_THAT(Trail(), ElementsAre("guard g1", "guard g2", "guard c1", "guard c2", "in g1", "in g2",
                                   "in c1", "in c2", "pipe g1", "pipe g2", "pipe c1", "pipe c2",
                                   "event x", "out c2", "out c1", "out g2", "out g1"));
}

TEST_F(PipelineTest, PipesAloneRunBeforeTheHandler) {
  Serve(
      [](ControllerBuilder& controller) { controller.UsePipe(std::make_shared<NotingPipe>("p")); });
  EXPECT_TRUE(Say(Text("hi")).ok());
  EXPECT_THAT(Trail(), ElementsAre("pipe p", "handler"));
}

struct No {
  bool CanActivate(ExecutionContext&) { return false; }
};
struct NoLater {
  Task<bool> CanActivate(ExecutionContext&) { co_return false; }
};
struct Unauthenticated {
  absl::Status CanActivate(ExecutionContext&) { return absl::UnauthenticatedError("who are you?"); }
};
struct UnauthenticatedLater {
  Task<absl::Status> CanActivate(ExecutionContext&) {
    co_return absl::UnauthenticatedError("who are you?");
  }
};
struct FailingLater {
  Task<bool> CanActivate(ExecutionContext&) { co_return absl::UnavailableError("no user store"); }
};
struct ThrowingGuard {
  bool CanActivate(ExecutionContext&) { throw OutOfPaper(); }
};

TEST_F(PipelineTest, AGuardStopsEverythingAfterIt) {
  Serve([](ControllerBuilder& controller) {
    controller.UseGuard(std::make_shared<NotingGuard>("before"))
        .UseGuard<No>()
        .UseGuard(std::make_shared<NotingGuard>("after"))
        .UseInterceptor(std::make_shared<NotingInterceptor>("i"))
        .UsePipe(std::make_shared<NotingPipe>("p"));
  });
  const auto reply = Say(Text("hi"));
  EXPECT_EQ(reply.status(), absl::PermissionDeniedError("Forbidden resource"));
  EXPECT_THAT(Trail(), ElementsAre("guard before"));
}

template <class G>
absl::Status Refusal() {
  Harness harness;
  One::configure = [](ControllerBuilder& controller) { controller.UseGuard<G>(); };
  harness.Add(std::make_shared<One>());
  return SyncWaitStatus(harness.client<EchoClient>().Say(Text("hi"))).status();
}

TEST_F(PipelineTest, GuardsOfEveryShape) {
  EXPECT_EQ(Refusal<NoLater>(), absl::PermissionDeniedError("Forbidden resource"));
  EXPECT_EQ(Refusal<Unauthenticated>(), absl::UnauthenticatedError("who are you?"));
  EXPECT_EQ(Refusal<UnauthenticatedLater>(), absl::UnauthenticatedError("who are you?"));
  EXPECT_EQ(Refusal<FailingLater>(), absl::UnavailableError("no user store"));
  EXPECT_EQ(Refusal<ThrowingGuard>().code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(Trail().empty());
}

TEST_F(PipelineTest, ForeignExceptionsAreLoggedAndNotTold) {
  auto captured = std::make_shared<CapturingSink>();
  LogOptions options;
  options.sink = captured;
  const Logger before = Logger::Default();
  Logger::SetDefault(Logger(options));
  Serve(nullptr);
  for (const char* text : {"paper", "number"}) {
    const auto reply = Say(Text(text));
    EXPECT_EQ(reply.status().code(), absl::StatusCode::kInternal);
    EXPECT_THAT(reply.status().ToString(), HasSubstr("incident"));
    EXPECT_THAT(reply.status().ToString(), Not(HasSubstr("room 12")));
    bool payload = false;
    reply.status().ForEachPayload([&payload](auto, const auto&) { payload = true; });
    EXPECT_FALSE(payload);
  }
  Logger::SetDefault(before);
  EXPECT_TRUE(captured->Contains("the printer in room 12 is out of paper"));
}

// ---- filters --------------------------------------------------------------------------------

TEST_F(PipelineTest, FiltersFromTheInsideOutLastListedFirst) {
  harness_.globals.UseFilter(std::make_shared<NotingFilter>("global"));
  Serve([](ControllerBuilder& controller) {
    controller.UseFilter(std::make_shared<NotingFilter>("c1"))
        .UseFilter(std::make_shared<NotingFilter>("c2"));
    controller.Method(kSay)
        .UseFilter(std::make_shared<NotingFilter>("m1"))
        .UseFilter(std::make_shared<NotingFilter>("m2"));
  });
  EXPECT_EQ(Say(Text("status")).status(), absl::AbortedError("by m2"));
  EXPECT_THAT(Trail(), ElementsAre("handler", "filter m2"));
  Trail().clear();
  EXPECT_EQ(SyncWaitStatus(harness_.client<EchoClient>().OnSaid(Text("paper"))),
            absl::AbortedError("by c2"));
  EXPECT_THAT(Trail(), ElementsAre("event paper", "filter c2"));
}

struct PaperFilter {
  absl::Status Catch(const OutOfPaper& error, ExecutionContext& context) {
    EXPECT_STREQ(error.what(), "the printer in room 12 is out of paper");
    EXPECT_EQ(CallContext::Current(), &context.call());
    EXPECT_EQ(context.method().name(), "Say");
    Note("paper filter");
    return absl::ResourceExhaustedError("out of paper");
  }
};
struct StatusFilter {
  Task<absl::Status> Catch(const absl::Status& status, ExecutionContext&) {
    co_await Sleep(milliseconds(1));
    Note("status filter");
    co_return absl::Status(status.code(), "filtered");
  }
};
struct RpcFilter {
  absl::Status Catch(const RpcException& error, ExecutionContext&) {
    Note("rpc filter");
    return error.status();
  }
};

TEST_F(PipelineTest, AFilterCatchesWhatItsCatchTakes) {
  Serve([](ControllerBuilder& controller) {
    controller.UseFilter<StatusFilter>().UseFilter<PaperFilter>();
  });
  EXPECT_EQ(Say(Text("paper")).status(), absl::ResourceExhaustedError("out of paper"));
  EXPECT_EQ(Say(Text("ink")).status(), absl::ResourceExhaustedError("out of paper"));
  EXPECT_EQ(Say(Text("status")).status(), absl::NotFoundError("filtered"));
  // Neither catches it.
  EXPECT_EQ(Say(Text("number")).status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(Trail(), ElementsAre("handler", "paper filter", "handler", "paper filter", "handler",
                                   "status filter", "handler"));
}

TEST_F(PipelineTest, StatusesAreRpcExceptionsToFilters) {
  Serve([](ControllerBuilder& controller) { controller.UseFilter<RpcFilter>(); });
  EXPECT_EQ(Say(Text("status")).status(), absl::NotFoundError("no such text"));
  EXPECT_EQ(Say(Text("paper")).status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(Trail(), ElementsAre("handler", "rpc filter", "handler"));
}

struct SeveralFilter {
  using Catches = CatchTypes<OutOfInk, absl::Status>;
  absl::Status Catch(const OutOfInk&, ExecutionContext&) { return absl::AbortedError("ink"); }
  absl::Status Catch(const absl::Status&, ExecutionContext&) {
    return absl::AbortedError("status");
  }
};

TEST_F(PipelineTest, AFilterMayCatchSeveral) {
  Serve([](ControllerBuilder& controller) { controller.UseFilter<SeveralFilter>(); });
  EXPECT_EQ(Say(Text("ink")).status(), absl::AbortedError("ink"));
  EXPECT_EQ(Say(Text("status")).status(), absl::AbortedError("status"));
  EXPECT_EQ(Say(Text("paper")).status().code(), absl::StatusCode::kInternal);
}

struct EverythingFilter {
  absl::Status Catch(std::exception_ptr error, ExecutionContext&) {
    EXPECT_TRUE(error);
    return absl::DataLossError("everything");
  }
};
struct RepairingFilter {
  absl::StatusOr<Response> Catch(const std::exception&, ExecutionContext&) {
    EchoReply reply;
    reply.set_text("instead");
    return Response::Of(std::move(reply));
  }
};
struct SilentFilter {
  absl::Status Catch(const std::exception&, ExecutionContext&) { return absl::OkStatus(); }
};
struct ThrowingFilter {
  absl::Status Catch(const std::exception&, ExecutionContext&) {
    throw std::logic_error("the filter is clogged");
  }
};
struct WrongFilter {
  Response Catch(const std::exception&, ExecutionContext&) { return Response::Of(EchoRequest()); }
};

template <class F>
absl::StatusOr<EchoReply> Filtered(const char* text) {
  Harness harness;
  harness.globals.UseFilter(std::make_shared<NotingFilter>("outer"));
  One::configure = [](ControllerBuilder& controller) { controller.UseFilter<F>(); };
  harness.Add(std::make_shared<One>());
  return SyncWaitStatus(harness.client<EchoClient>().Say(Text(text)));
}

TEST_F(PipelineTest, WhatFiltersMayGive) {
  EXPECT_EQ(Filtered<EverythingFilter>("number").status(), absl::DataLossError("everything"));
  EXPECT_EQ(Filtered<EverythingFilter>("status").status(), absl::DataLossError("everything"));
  EXPECT_EQ(Filtered<RepairingFilter>("number")->text(), "instead");
  // A reply is due.
  EXPECT_EQ(Filtered<SilentFilter>("paper").status().code(), absl::StatusCode::kInternal);
  const absl::Status thrown = Filtered<ThrowingFilter>("paper").status();
  EXPECT_EQ(thrown.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(thrown.ToString(), Not(HasSubstr("clogged")));
  EXPECT_EQ(Filtered<WrongFilter>("paper").status().code(), absl::StatusCode::kInternal);
  // Exactly one handled each.
  for (const std::string& what : Trail()) EXPECT_EQ(what, "handler");
}

TEST_F(PipelineTest, AnEventNeedsNoReply) {
  Serve([](ControllerBuilder& controller) { controller.UseFilter<SilentFilter>(); });
  EXPECT_TRUE(SyncWaitStatus(harness_.client<EchoClient>().OnSaid(Text("paper"))).ok());
}

TEST_F(PipelineTest, GuardsAndPipesFailThroughFilters) {
  Serve([](ControllerBuilder& controller) {
    controller.UseGuard<ThrowingGuard>().UseFilter<PaperFilter>();
  });
  EXPECT_EQ(Say(Text("hi")).status(), absl::ResourceExhaustedError("out of paper"));
}

struct StreamFilter {
  absl::Status Catch(const OutOfPaper&, ExecutionContext& context) {
    EXPECT_EQ(context.method().name(), "Repeat");
    EXPECT_EQ(context.request().As<EchoRequest>()->text(), "x");
    return absl::ResourceExhaustedError("out of paper");
  }
};
struct StreamRepair {
  Response Catch(const OutOfPaper&, ExecutionContext&) { return Response::Of(More()); }
  static Stream<EchoReply> More() {
    EchoReply reply;
    reply.set_text("by hand");
    co_yield std::move(reply);
  }
};

TEST_F(PipelineTest, AFailureInMidStreamIsFiltered) {
  Serve([](ControllerBuilder& controller) { controller.UseFilter<StreamFilter>(); });
  EchoRequest request = Text("x", 2);
  request.set_fail_code(1);
  Stream<EchoReply> replies = harness_.client<EchoClient>().Repeat(request);
  EXPECT_EQ(SyncWaitStatus(All(std::move(replies))).status(),
            absl::ResourceExhaustedError("out of paper"));
}

TEST_F(PipelineTest, AFilterMayEndOrContinueAStream) {
  EchoRequest request = Text("x", 2);
  request.set_fail_code(1);
  Serve([](ControllerBuilder& controller) { controller.UseFilter<StreamRepair>(); });
  EXPECT_THAT(SyncWait(All(harness_.client<EchoClient>().Repeat(request))),
              ElementsAre("x0", "x1", "by hand"));
  Harness silent;
  One::configure = [](ControllerBuilder& controller) { controller.UseFilter<SilentFilter>(); };
  silent.Add(std::make_shared<One>());
  EXPECT_THAT(SyncWait(All(silent.client<EchoClient>().Repeat(request))), ElementsAre("x0", "x1"));
}

// ---- interceptors ---------------------------------------------------------------------------

struct Shortcut {
  Task<Response> Intercept(ExecutionContext&, Next) {
    EchoReply reply;
    reply.set_text("cached");
    co_return Response::Of(std::move(reply));
  }
};
struct Mutating {
  Task<Response> Intercept(ExecutionContext&, Next next) {
    Response response = co_await next();
    auto* const reply = response.As<EchoReply>();
    reply->set_text(reply->text() + "!");
    co_return response;
  }
};
struct Retrying {
  Task<Response> Intercept(ExecutionContext&, Next next) {
    for (int i = 0; i < 2; ++i) {
      Task<Response> rest = next();
      absl::StatusOr<Response> response = co_await AsStatusOr(std::move(rest));
      if (response.ok()) co_return *std::move(response);
    }
    co_return co_await next();
  }
};
struct Catching {
  Task<Response> Intercept(ExecutionContext&, Next next) {
    try {
      Response response = co_await next();
      co_return response;
    } catch (const OutOfPaper&) {
      Note("caught");
    }
    co_return absl::UnavailableError("no printer");
  }
};
struct WrongType {
  Task<Response> Intercept(ExecutionContext&, Next) { co_return Response::Of(EchoRequest()); }
};

TEST_F(PipelineTest, AnInterceptorMayAnswerByItself) {
  Serve([](ControllerBuilder& controller) {
    controller.UseInterceptor<Mutating>().UseInterceptor<Shortcut>();
  });
  EXPECT_EQ(Say(Text("hi"))->text(), "cached!");
  EXPECT_TRUE(Trail().empty());
}

TEST_F(PipelineTest, AnInterceptorMayTryAgain) {
  Serve([](ControllerBuilder& controller) { controller.UseInterceptor<Retrying>(); });
  EXPECT_EQ(Say(Text("status")).status(), absl::NotFoundError("no such text"));
  EXPECT_THAT(Trail(), ElementsAre("handler", "handler", "handler"));
}

TEST_F(PipelineTest, AnInterceptorMayCatch) {
  Serve([](ControllerBuilder& controller) { controller.UseInterceptor<Catching>(); });
  EXPECT_EQ(Say(Text("ink")).status(), absl::UnavailableError("no printer"));
  EXPECT_THAT(Trail(), ElementsAre("handler", "caught"));
}

TEST_F(PipelineTest, AnInterceptorMustGiveWhatIsDue) {
  Serve([](ControllerBuilder& controller) { controller.UseInterceptor<WrongType>(); });
  EXPECT_EQ(Say(Text("hi")).status().code(), absl::StatusCode::kInternal);
  const auto all = SyncWaitStatus(All(harness_.client<EchoClient>().Repeat(Text("x", 1))));
  EXPECT_EQ(all.status().code(), absl::StatusCode::kInternal);
}

struct Stamping {
  Task<Response> Intercept(ExecutionContext& context, Next next) {
    Response response = co_await next();
    co_return Response::Of(Stamp(std::move(response), &context));
  }
  // Uses the execution context while the stream runs, long after Intercept has ended.
  static Stream<EchoReply> Stamp(Response inner, ExecutionContext* context) {
    for (;;) {
      google::protobuf::Message* const message = co_await inner.Next();
      if (message == nullptr) break;
      auto& reply = static_cast<EchoReply&>(*message);
      reply.set_text(std::string(context->method().name()) + " " + reply.text());
      co_yield std::move(reply);
    }
  }
};
class Doubling final : public MessageStream {
 public:
  explicit Doubling(Response inner) : inner_(std::move(inner)) {}
  Task<google::protobuf::Message*> Next() override {
    if (again_) {
      again_ = false;
      co_return &reply_;
    }
    google::protobuf::Message* const message = co_await inner_.Next();
    if (message == nullptr) co_return nullptr;
    reply_.CopyFrom(*message);
    again_ = true;
    co_return message;
  }

 private:
  Response inner_;
  EchoReply reply_;
  bool again_ = false;
};
struct DoublingInterceptor {
  Task<Response> Intercept(ExecutionContext&, Next next) {
    Response response = co_await next();
    co_return Response(std::make_unique<Doubling>(std::move(response)));
  }
};

TEST_F(PipelineTest, AnInterceptorMayWrapAStream) {
  Serve([](ControllerBuilder& controller) {
    controller.UseInterceptor<DoublingInterceptor>().UseInterceptor<Stamping>();
  });
  EXPECT_THAT(SyncWait(All(harness_.client<EchoClient>().Repeat(Text("x", 2)))),
              ElementsAre("Repeat x0", "Repeat x0", "Repeat x1", "Repeat x1"));
  EXPECT_THAT(SyncWait(All(harness_.client<EchoClient>().Chat(Requests({"a"})))),
              ElementsAre("Chat a", "Chat a"));
}

TEST_F(PipelineTest, NextMayBeTestedAlone) {
  const auto rest = []() -> Task<Response> {
    EchoReply reply;
    reply.set_text("rest");
    co_return Response::Of(std::move(reply));
  };
  Mutating mutating;
  ControllerInfo controller("None");
  MethodInfo method(EchoService::Descriptor().methods[0], controller);
  struct Call final : CallContext {
    std::string_view transport() const noexcept override { return "test"; }
    void LoadMetadata(Metadata*) const override {}
    void LoadPeer(Peer*) const override {}
  } call;
  const EchoRequest message;
  Request request(&message, false);
  ExecutionContext context(call, method, request);
  Response response = SyncWait(mutating.Intercept(context, Next::To(rest)));
  EXPECT_EQ(response.As<EchoReply>()->text(), "rest!");
}

// ---- pipes ----------------------------------------------------------------------------------

struct Upper {
  void Transform(EchoRequest& request, const ArgumentMetadata&) {
    for (char& c : *request.mutable_text()) c = static_cast<char>(std::toupper(c));
  }
};
struct Never {
  void Transform(EchoReply&, const ArgumentMetadata&) { FAIL() << "this is no request"; }
};
struct Checking {
  Task<absl::Status> Transform(const EchoRequest& request, const ArgumentMetadata& argument) {
    co_await Sleep(milliseconds(1));
    if (request.text() == "BAD") {
      co_return absl::InvalidArgumentError("message " + std::to_string(argument.index()) +
                                           " is bad");
    }
    co_return absl::OkStatus();
  }
};

TEST_F(PipelineTest, PipesChangeAndCheckTheMessage) {
  Serve([](ControllerBuilder& controller) {
    controller.UsePipe<Never>().UsePipe<Upper>().UsePipe<Checking>();
  });
  const EchoRequest request = Text("hi");
  EXPECT_EQ(SyncWait(harness_.client<EchoClient>().Say(request)).text(), "HI");
  // The caller's own message is as it was.
  EXPECT_EQ(request.text(), "hi");
  EXPECT_EQ(Say(Text("bad")).status(), absl::InvalidArgumentError("message 0 is bad"));
  EXPECT_THAT(Trail(), ElementsAre("handler"));
}

TEST_F(PipelineTest, PipesRunOnEachMessageOfAStream) {
  Serve([](ControllerBuilder& controller) {
    controller.UsePipe<Upper>().UsePipe<Checking>().UsePipe(std::make_shared<NotingPipe>("p"));
    controller.UseInterceptor(std::make_shared<NotingInterceptor>("i"));
  });
  EXPECT_EQ(SyncWait(harness_.client<EchoClient>().Join(Requests({"a", "b"}))).text(), "AB");
  EXPECT_THAT(Trail(), ElementsAre("in i", "pipe p 0", "pipe p 1", "out i"));
  EXPECT_EQ(SyncWaitStatus(harness_.client<EchoClient>().Join(Requests({"a", "bad"}))).status(),
            absl::InvalidArgumentError("message 1 is bad"));
}

// ---- patterns and events --------------------------------------------------------------------

class MathController final {
 public:
  static void Configure(ControllerBuilder& controller) {
    controller.Message("math.upper", &MathController::Upper)
        .UseInterceptor(std::make_shared<NotingInterceptor>("upper"));
    controller.Event("echo.said", &MathController::OnSaid);
  }
  Task<EchoReply> Upper(CallContext&, const EchoRequest& request) {
    EchoReply reply;
    reply.set_text("upper " + request.text());
    co_return reply;
  }
  Task<void> OnSaid(CallContext&, const EchoRequest& event) {
    Note("math heard " + event.text());
    if (event.text() == "bad") co_await Fail(absl::NotFoundError("in math"));
  }
};

TEST_F(PipelineTest, PatternsAreFoundByName) {
  harness_.Add(std::make_shared<MathController>());
  const Handler* const handler = harness_.registry().Find("math.upper");
  ASSERT_NE(handler, nullptr);
  EXPECT_EQ(handler->descriptor().kind, MethodKind::kUnary);
  EXPECT_EQ(harness_.registry().Find("math.lower"), nullptr);

  class UpperClient final : public ClientBase {
   public:
    using ClientBase::ClientBase;
    explicit UpperClient(std::shared_ptr<Channel> channel) : ClientBase(std::move(channel)) {}
  };
  const UpperClient client = harness_.client<UpperClient>();
  OutgoingCall call(handler->descriptor());
  EchoReply reply;
  const EchoRequest request = Text("x");
  SyncWait(client.channel()->Unary(call, request, reply));
  EXPECT_EQ(reply.text(), "upper x");
  EXPECT_THAT(Trail(), ElementsAre("in upper", "out upper"));
}

TEST_F(PipelineTest, AllHandlersOfAnEventRun) {
  harness_.Add(std::make_shared<Controller>()).Add(std::make_shared<MathController>());
  EXPECT_TRUE(harness_.Check().empty());
  SyncWait(harness_.client<EchoClient>().OnSaid(Text("hello")));
  EXPECT_THAT(Trail(), ElementsAre("event hello", "math heard hello"));
  Trail().clear();
  // One fails, the others still run, and the event has failed.
  EXPECT_EQ(SyncWaitStatus(harness_.client<EchoClient>().OnSaid(Text("paper"))).code(),
            absl::StatusCode::kInternal);
  EXPECT_EQ(SyncWaitStatus(harness_.client<EchoClient>().OnSaid(Text("bad"))).code(),
            absl::StatusCode::kNotFound);
  EXPECT_THAT(Trail(),
              ElementsAre("event paper", "math heard paper", "event bad", "math heard bad"));
}

// A pattern that two share is there once: with the method whose name is not the pattern.
TEST_F(PipelineTest, WhatAllReturns) {
  harness_.Add(std::make_shared<Controller>()).Add(std::make_shared<MathController>());
  std::vector<std::string> names;
  for (const Handler* const handler : harness_.registry().all()) {
    names.emplace_back(handler->descriptor().full_name);
  }
  EXPECT_THAT(names, ElementsAre("/rookery.testing.Echo/Say", "/rookery.testing.Echo/Repeat",
                                 "/rookery.testing.Echo/Join", "/rookery.testing.Echo/Chat",
                                 "/rookery.testing.Echo/OnSaid", "/rookery.testing.Echo/SayAgain",
                                 "math.upper"));
}

}  // namespace
}  // namespace rookery::testing
