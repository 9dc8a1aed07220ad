// Scopes over gRPC, whose threads are loops of their own and whose calls are used again.
#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "di/calls.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rookery/transports/grpc.h"

namespace rookery::testing {
namespace {

using ::testing::ElementsAre;

struct Visit {
  static constexpr Scope kScope = Scope::kRequest;
  explicit Visit(CallContext& c)
      : call(c), number(++made), name(c.metadata().Get("x-name").value_or("nobody")) {
    ++alive;
  }
  ~Visit() {
    // The call is whole to the last.
    if (call.method().name.empty() || call.metadata().Get("x-name").value_or("nobody") != name) {
      ++broken;
    }
    --alive;
  }
  CallContext& call;
  const int number;
  const std::string name;
  static inline std::atomic<int> made{0};
  static inline std::atomic<int> alive{0};
  static inline std::atomic<int> broken{0};
};
struct Here {
  static constexpr Scope kScope = Scope::kPerLoop;
  explicit Here(Loop& l) : loop(l) { ++made; }
  Loop& loop;
  int calls = 0;
  static inline std::atomic<int> made{0};
};
class VisitController final : public EchoBase {
 public:
  VisitController(Visit& visit, Here& here) : visit_(visit), here_(here) {}
  Task<EchoReply> Say(CallContext& call, const EchoRequest&) override {
    ++here_.calls;
    const bool right = &call == &visit_.call && &here_.loop == Loop::Current();
    co_return Text(right ? visit_.name : "wrong");
  }
  Stream<EchoReply> Repeat(CallContext&, const EchoRequest& request) override {
    for (int i = 0; i < request.count(); ++i) {
      EchoReply reply = Text(visit_.name);
      co_yield std::move(reply);
    }
  }

 private:
  Visit& visit_;
  Here& here_;
};
class HereController final : public EchoBase {
 public:
  explicit HereController(Here& here) : here_(here) {}
  Task<EchoReply> Say(CallContext&, const EchoRequest&) override {
    ++here_.calls;
    co_return Text(&here_.loop == Loop::Current() ? "home" : "astray");
  }

 private:
  Here& here_;
};

template <class C>
struct OverGrpc {
  static void Define(ModuleBuilder& module) {
    module.Controller<C>().template Provide<Visit>().template Provide<Here>();
  }
};

Task<std::vector<std::string>> ReadTexts(Stream<EchoReply> stream) {
  std::vector<std::string> texts;
  for (;;) {
    auto next = co_await stream.Next();
    if (!next) break;
    texts.push_back(next->text());
  }
  co_return texts;
}

TEST(ScopesOverGrpc, RequestScopeIsTheCallsThoughCallsAreUsedAgain) {
  Visit::made = Visit::alive = Visit::broken = 0;
  {
    auto app = Make<OverGrpc<VisitController>>(Loops(2));
    app.Listen(Grpc{.address = "127.0.0.1:0"});
    app.Start();
    auto client = app.Client<EchoClient>(Grpc{.address = app.Endpoints().front()});
    for (int i = 0; i < 50; ++i) {
      CallOptions options;
      options.metadata.Add("x-name", "caller " + std::to_string(i)).IgnoreError();
      EXPECT_EQ(SyncWait(client.Say(Asking(), options)).text(), "caller " + std::to_string(i));
    }
    EchoRequest request;
    request.set_count(3);
    EXPECT_THAT(SyncWait(ReadTexts(client.Repeat(request))),
                ElementsAre("nobody", "nobody", "nobody"));
    EXPECT_EQ(Visit::made, 51);
    EXPECT_TRUE(Soon([] { return Visit::alive == 0; })) << Visit::alive;
  }
  EXPECT_EQ(Visit::broken, 0);
}

TEST(ScopesOverGrpc, PerLoopMeansGrpcsOwnThreadsToo) {
  Here::made = 0;
  auto app = Make<OverGrpc<HereController>>(Loops(1));
  app.Listen(Grpc{.address = "127.0.0.1:0"});
  app.Start();
  EXPECT_EQ(Here::made, 1);
  std::vector<std::thread> threads;
  std::atomic<int> astray{0};
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      auto client = app.Client<EchoClient>(Grpc{.address = app.Endpoints().front()});
      for (int i = 0; i < 50; ++i) {
        if (SyncWait(client.Say(Asking())).text() != "home") ++astray;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(astray, 0);
  EXPECT_GT(Here::made, 1);
}

}  // namespace
}  // namespace rookery::testing
