// Deadlines and cancellation. What is checked is who hears of them and in which order, never how
// fast.
#include <functional>
#include <thread>

#include "suite.h"

namespace rookery::contract {
namespace {

using std::chrono::milliseconds;

CallOptions Within(std::chrono::nanoseconds timeout) {
  CallOptions options;
  options.timeout = timeout;
  return options;
}

// Runs `attempt` with a longer and longer time until it says that the time was enough for the call
// to get where it should expire: how long that takes is the machine's affair.
void WithEnoughTime(const std::function<bool(milliseconds timeout)>& attempt) {
  for (milliseconds timeout{150}; timeout < std::chrono::seconds(20); timeout *= 2) {
    if (attempt(timeout)) return;
  }
  FailCase("the call never got to its handler", Where::current());
}

// Whether `counter` has as many as handlers have begun. Both are read each time: a call that
// expired on its way to the server reaches its handler after the next one has, if that came by
// another thread, and its handler begins when the case has long looked at the other.
std::function<bool()> AllOf(const std::atomic<int>& counter, const Probe& probe) {
  return [&] { return counter.load() == probe.entered.load(); };
}

void DeadlineBefore(const Transport& transport) {
  Node node(transport);
  CallOptions options;
  options.deadline = std::chrono::steady_clock::now() - milliseconds(1);
  ExpectCode(SyncWaitStatus(node.client().Echo(Text("x"), std::move(options))).status(),
             absl::StatusCode::kDeadlineExceeded, "Echo");
  ExpectCode(SyncWaitStatus(node.client().Echo(Text("x"), Within(milliseconds(0)))).status(),
             absl::StatusCode::kDeadlineExceeded, "Echo");
  node.ExpectHealthy();
  ExpectEqual(node.probe().echoed.load(), 1, "handlers run");
}

void DeadlineDuring(const Transport& transport) {
  Node node(transport);
  WithEnoughTime([&](milliseconds timeout) {
    ExpectCode(SyncWaitStatus(node.client().Hold(HoldRequest(), Within(timeout))).status(),
               absl::StatusCode::kDeadlineExceeded, "Hold");
    node.ExpectIdle();
    return node.probe().entered.load() > 0;
  });
  Eventually(AllOf(node.probe().cancelled, node.probe()), "the handler hears of it");
  Eventually(AllOf(node.probe().ended, node.probe()), "the handler ends");
  node.ExpectIdle();
  node.ExpectHealthy();
}

void DeadlineDeaf(const Transport& transport) {
  Node node(transport);
  HoldRequest request;
  request.set_deaf(true);
  // A call that ended at its deadline although its handler did not.
  WithEnoughTime([&](milliseconds timeout) {
    ExpectCode(SyncWaitStatus(node.client().Hold(request, Within(timeout))).status(),
               absl::StatusCode::kDeadlineExceeded, "Hold");
    return node.probe().entered.load() > 0;
  });
  ExpectEqual(node.probe().ended.load(), 0, "handlers that ended");
  node.ExpectHealthy();
  node.probe().release.Set();
  Eventually([&] { return node.probe().ended.load() == node.probe().entered.load(); },
             "the handler ends at last");
  node.ExpectIdle();
  node.ExpectHealthy();
}

void DeadlineSeen(const Transport& transport) {
  Node second(transport);
  Node first(transport);
  first.CallNext(second);
  LookRequest request;
  request.set_hops(1);
  const Seen seen = ExpectOk(
      SyncWaitStatus(first.client().Look(request, Within(std::chrono::seconds(60)))), "Look");
  Expect(seen.has_deadline() && seen.next().has_deadline(), "both nodes know of the deadline");
  const std::int64_t most = std::chrono::nanoseconds(std::chrono::seconds(60)).count();
  // A transport may round up to its own unit: gRPC's for a minute is a tenth of a second.
  const std::int64_t unit = most / 50;
  Expect(seen.remaining_ns() > 0 && seen.remaining_ns() <= most + unit, "the first has the rest");
  Expect(seen.next().remaining_ns() > 0 && seen.next().remaining_ns() <= seen.remaining_ns() + unit,
         "the second has no more than the first");
  const Seen without = ExpectOk(SyncWaitStatus(first.client().Look(request)), "Look");
  Expect(!without.has_deadline() && !without.next().has_deadline(), "no deadline, none seen");
}

void DeadlineTwoHops(const Transport& transport) {
  Node second(transport);
  Node first(transport);
  first.CallNext(second);
  HoldRequest request;
  request.set_hops(1);
  milliseconds given{0};
  WithEnoughTime([&](milliseconds timeout) {
    given = timeout;
    ExpectCode(SyncWaitStatus(first.client().Hold(request, Within(timeout))).status(),
               absl::StatusCode::kDeadlineExceeded, "Hold");
    first.ExpectIdle();
    second.ExpectIdle();
    return second.probe().entered.load() > 0;
  });
  Eventually(AllOf(second.probe().cancelled, second.probe()), "the second node hears of it");
  Eventually(AllOf(first.probe().ended, first.probe()), "the first handler ends");
  // How much of it the second node has left is deadline-seen's affair, where a minute is given. Of
  // a fraction of a second a busy machine makes anything: gRPC, for one, computes what is left from
  // the time at which its thread began its turn.
  const std::int64_t most = std::chrono::nanoseconds(given + std::chrono::minutes(1)).count();
  const std::int64_t remaining = second.probe().remaining_ns.load();
  Expect(remaining <= most,
         "the second node knew of the deadline: it had " + std::to_string(remaining) + " ns left");
  first.ExpectIdle();
  second.ExpectIdle();
  first.ExpectHealthy();
  second.ExpectHealthy();
}

void DeadlineOfStreams(const Transport& transport) {
  Node node(transport);
  CountRequest request;
  request.set_count(3);
  request.set_hold(true);
  WithEnoughTime([&](milliseconds timeout) {
    int messages = 0;
    auto read = [&]() -> Task<void> {
      Stream<Number> numbers = node.client().Count(request, Within(timeout));
      for (;;) {
        std::optional<Number> number = co_await numbers.Next();
        if (!number) break;
        ++messages;
      }
    };
    ExpectCode(SyncWaitStatus(read()), absl::StatusCode::kDeadlineExceeded, "the stream");
    node.ExpectIdle();
    return messages == 3;  // all that came before the producer waited
  });
  Eventually([&] { return node.probe().ended.load() == node.probe().entered.load(); },
             "the producer ends");
  node.ExpectIdle();
  node.ExpectHealthy();
}

void CancelUnary(const Transport& transport) {
  Node node(transport);
  CancelSource source;
  Background<Payload> call([&] {
    CallOptions options;
    options.cancel = source.token();
    return node.client().Hold(HoldRequest(), std::move(options));
  });
  Eventually([&] { return node.probe().entered.load() == 1; }, "the handler runs");
  source.Cancel(absl::CancelledError("enough"));
  ExpectCode(call.Get().status(), absl::StatusCode::kCancelled, "Hold");
  Eventually([&] { return node.probe().cancelled.load() == 1; }, "the handler hears of it");
  ExpectCode(node.probe().reason(), absl::StatusCode::kCancelled, "the handler's wait");
  node.ExpectIdle();
  node.ExpectHealthy();
}

void CancelBefore(const Transport& transport) {
  Node node(transport);
  CancelSource source;
  source.Cancel(absl::CancelledError("never mind"));
  CallOptions options;
  options.cancel = source.token();
  ExpectCode(SyncWaitStatus(node.client().Echo(Text("x"), std::move(options))).status(),
             absl::StatusCode::kCancelled, "Echo");
  node.ExpectHealthy();
  ExpectEqual(node.probe().echoed.load(), 1, "handlers run");
}

void CancelTwoHops(const Transport& transport) {
  Node second(transport);
  Node first(transport);
  first.CallNext(second);
  CancelSource source;
  Background<Payload> call([&] {
    CallOptions options;
    options.cancel = source.token();
    HoldRequest request;
    request.set_hops(1);
    return first.client().Hold(std::move(request), std::move(options));
  });
  Eventually([&] { return second.probe().entered.load() == 1; }, "the second handler runs");
  source.Cancel(absl::CancelledError("enough"));
  ExpectCode(call.Get().status(), absl::StatusCode::kCancelled, "Hold");
  Eventually([&] { return second.probe().cancelled.load() == 1; },
             "the second handler hears of it");
  Eventually([&] { return first.probe().ended.load() == 1; }, "the first handler ends");
  first.ExpectIdle();
  second.ExpectIdle();
  first.ExpectHealthy();
}

// Many calls given up at every moment of their lives: none may be lost, nothing may be left.
void CancelStorm(const Transport& transport) {
  constexpr int kCalls = 300;
  Node node(transport);
  std::vector<std::unique_ptr<CancelSource>> sources;
  std::vector<Background<Isolation>> calls;  // which end before what they listen to
  for (int round = 0; round < kCalls / 10; ++round) {
    for (int i = 0; i < 10; ++i) {
      sources.push_back(std::make_unique<CancelSource>());
      calls.emplace_back([&node, source = sources.back().get(), round, i] {
        CallOptions options;
        options.cancel = source->token();
        Payload request;
        request.set_number(round * 10 + i);
        return node.client().Isolate(std::move(request), std::move(options));
      });
    }
    for (std::size_t i = sources.size() - 10; i < sources.size(); ++i) {
      if (i % 3 == 0) std::this_thread::yield();
      sources[i]->Cancel(absl::CancelledError("storm"));
    }
    for (auto& call : calls) {
      const absl::Status status = call.Get().status();
      Expect(status.ok() || status.code() == absl::StatusCode::kCancelled,
             "a call either went through or was cancelled: " + status.ToString());
    }
    calls.clear();
  }
  node.ExpectIdle();
  node.ExpectHealthy();
  ExpectEqual(node.probe().interfered.load(), 0, "values of other calls seen");
}

constexpr Case kCases[] = {
    {"deadline-before", DeadlineBefore},    {"deadline-during", DeadlineDuring},
    {"deadline-deaf", DeadlineDeaf},        {"deadline-seen", DeadlineSeen},
    {"deadline-two-hops", DeadlineTwoHops}, {"deadline-of-streams", DeadlineOfStreams},
    {"cancel-unary", CancelUnary},          {"cancel-before", CancelBefore},
    {"cancel-two-hops", CancelTwoHops},     {"cancel-storm", CancelStorm},
};

}  // namespace

std::span<const Case> TimeCases() { return kCases; }

}  // namespace rookery::contract
