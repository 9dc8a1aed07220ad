// What follows a call: request id, trace, CLS by baggage, and isolation.
#include <algorithm>

#include "rookery/platform/cls.h"
#include "suite.h"

namespace rookery::contract {
namespace {

constexpr char kTrace[] = "4bf92f3577b34da6a3ce929d0e0e4736";

std::string Value(const Seen& seen, const std::string& key) {
  const auto found = seen.values().find(key);
  return found == seen.values().end() ? "" : found->second;
}

// Two nodes, and what both saw of a call with these options.
Seen LookTwice(const Transport& transport, CallOptions options) {
  Node second(transport);
  Node first(transport);
  first.CallNext(second);
  LookRequest request;
  request.set_hops(1);
  return ExpectOk(SyncWaitStatus(first.client().Look(request, std::move(options))), "Look");
}

void RequestId(const Transport& transport) {
  CallOptions options;
  ExpectOk(options.metadata.Add("x-request-id", "req-42.A_b:c"), "Add");
  const Seen seen = LookTwice(transport, std::move(options));
  ExpectEqual(seen.request_id(), "req-42.A_b:c", "the request id");
  ExpectEqual(seen.next().request_id(), "req-42.A_b:c", "the next node's");

  const Seen made = LookTwice(transport, CallOptions());
  ExpectEqual(made.request_id().size(), std::size_t{32}, "length of a request id made at the edge");
  ExpectEqual(made.next().request_id(), made.request_id(), "the next node's");

  CallOptions bad;
  ExpectOk(bad.metadata.Add("x-request-id", "<script>alert(1)</script>"), "Add");
  const Seen replaced = LookTwice(transport, std::move(bad));
  ExpectEqual(replaced.request_id().size(), std::size_t{32}, "length of what replaces a bad one");
  ExpectEqual(replaced.next().request_id(), replaced.request_id(), "the next node's");
}

void TraceContinued(const Transport& transport) {
  CallOptions options;
  ExpectOk(
      options.metadata.Add("traceparent", std::string("00-") + kTrace + "-00f067aa0ba902b7-00"),
      "Add");
  ExpectOk(options.metadata.Add("tracestate", "a=1,b=2"), "Add");
  const Seen seen = LookTwice(transport, std::move(options));
  ExpectEqual(seen.trace_id(), kTrace, "the trace");
  ExpectEqual(seen.parent_span_id(), "00f067aa0ba902b7", "the parent");
  ExpectEqual(seen.sampled(), false, "sampled");
  ExpectEqual(seen.tracestate(), "a=1,b=2", "tracestate");
  ExpectEqual(seen.next().trace_id(), kTrace, "the next node's trace");
  ExpectEqual(seen.next().parent_span_id(), seen.span_id(), "the next node's parent");
  ExpectEqual(seen.next().sampled(), false, "the next node's sampled");
  ExpectEqual(seen.next().tracestate(), "a=1,b=2", "the next node's tracestate");
}

void TraceBegun(const Transport& transport) {
  const Seen seen = LookTwice(transport, CallOptions());
  ExpectEqual(seen.trace_id().size(), std::size_t{32}, "length of the trace id");
  ExpectEqual(seen.parent_span_id(), "", "the parent");
  ExpectEqual(seen.next().trace_id(), seen.trace_id(), "the next node's trace");
  ExpectEqual(seen.next().parent_span_id(), seen.span_id(), "the next node's parent");
  for (const char* bad : {"garbage", "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                          "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}) {
    CallOptions options;
    ExpectOk(options.metadata.Add("traceparent", bad), "Add");
    const Seen begun = LookTwice(transport, std::move(options));
    ExpectEqual(begun.parent_span_id(), "", "the parent after a bad traceparent");
    Expect(begun.trace_id() != kTrace && begun.trace_id().size() == 32, "a new trace is begun");
  }
}

void BaggageAccepted(const Transport& transport) {
  CallOptions options;
  ExpectOk(options.metadata.Add("baggage", "tenant=acme%20inc;p=1 , level=7,secret=s,local=l,x=y"),
           "Add");
  const Seen seen = LookTwice(transport, std::move(options));
  for (const Seen* node : {&seen, &seen.next()}) {
    ExpectEqual(Value(*node, "tenant"), "acme inc", "tenant");
    ExpectEqual(Value(*node, "level"), "7", "level");
    ExpectEqual(Value(*node, "secret"), "", "secret, which no node accepts");
    ExpectEqual(Value(*node, "local"), "", "local, which is no baggage");
  }
}

void BaggageOfContext(const Transport& transport) {
  Node node(transport);
  // Outside a call: the caller's own context.
  ClsValues values;
  values.Set(kTenant, "caf\xc3\xa9, inc").Set(kSecret, "s").Set(kLocal, "l").Set(kLevel, 3);
  auto call = [&] { return node.client().Look(LookRequest()); };
  const Seen seen =
      ExpectOk(SyncWaitStatus(Cls::RunWith(std::move(values), call)), "Look in a context");
  ExpectEqual(Value(seen, "tenant"), "caf\xc3\xa9, inc", "tenant");
  ExpectEqual(Value(seen, "level"), "3", "level");
  ExpectEqual(Value(seen, "secret"), "", "secret, which the node does not accept");
  ExpectEqual(Value(seen, "local"), "", "local, which stays in its process");
}

void BaggageHostile(const Transport& transport) {
  Node node(transport);
  std::string many = "tenant=first";
  for (int i = 0; i < 200; ++i) many += ",k" + std::to_string(i) + "=v";
  many += ",level=9";
  for (const std::string& header : {many, std::string(3000, ','), std::string(3000, '='),
                                    std::string("tenant"), std::string("level=not-a-number"),
                                    std::string("tenant=%FF%FE,level=99999999999999999999")}) {
    CallOptions options;
    ExpectOk(options.metadata.Add("baggage", header), "Add");
    const Seen seen =
        ExpectOk(SyncWaitStatus(node.client().Look(LookRequest(), std::move(options))), "Look");
    ExpectEqual(Value(seen, "level"), "", "level");
    if (header == many) ExpectEqual(Value(seen, "tenant"), "first", "tenant");
  }
  std::uint64_t left_out = 0;
  for (const MethodSnapshot& method : node.app().Stats().methods) left_out += method.bad_baggage;
  Expect(left_out > 100, "what was left out is counted");
  bool logged = false;
  for (const std::string& line : node.log().lines()) {
    logged = logged || Contains(line, "baggage that cannot be read was left out");
  }
  Expect(logged, "what was left out is logged");
  node.ExpectHealthy();
}

void LogLines(const Transport& transport) {
  Node node(transport);
  CallOptions options;
  ExpectOk(options.metadata.Add("x-request-id", "req-7"), "Add");
  ExpectOk(options.metadata.Add("baggage", "tenant=acme"), "Add");
  const Seen seen =
      ExpectOk(SyncWaitStatus(node.client().Look(LookRequest(), std::move(options))), "Look");
  std::string line;
  for (const std::string& each : node.log().lines()) {
    if (Contains(each, "looking")) line = each;
  }
  for (const std::string& part : {std::string("contract: looking"), std::string("request_id=req-7"),
                                  "trace_id=" + seen.trace_id(), "span_id=" + seen.span_id(),
                                  std::string("method=/rookery.contract.Contract/Look"),
                                  "transport=" + transport.name, std::string("tenant=acme")}) {
    Expect(Contains(line, part), "the log line has " + part + ": " + line);
  }
}

void LoopKept(const Transport& transport) {
  Node node(transport);
  for (int i = 0; i < 20; ++i) {
    const Seen seen = ExpectOk(SyncWaitStatus(node.client().Look(LookRequest())), "Look");
    Expect(seen.same_loop(), "a handler resumes on the loop that it started on");
  }
}

void WorkOutlivesCall(const Transport& transport) {
  constexpr int kCalls = 20;
  Node node(transport);
  std::vector<std::string> expected;
  for (int i = 0; i < kCalls; ++i) {
    const std::string mark = "mark-" + std::to_string(i);
    const Payload reply = ExpectOk(SyncWaitStatus(node.client().Leave(Text(mark))), "Leave");
    expected.push_back(mark + " " + reply.text());
  }
  node.ExpectHealthy();  // calls that may have been given the same memory
  node.probe().after.Set();
  Eventually([&] { return node.probe().notes().size() == kCalls; }, "the work left behind is done");
  std::vector<std::string> notes = node.probe().notes();
  std::sort(notes.begin(), notes.end());
  std::sort(expected.begin(), expected.end());
  for (int i = 0; i < kCalls; ++i) {
    ExpectEqual(notes[static_cast<std::size_t>(i)], expected[static_cast<std::size_t>(i)],
                "values and request id of work that outlives its call");
  }
  node.ExpectIdle();
}

constexpr Case kCases[] = {
    {"request-id", RequestId},
    {"trace-continued", TraceContinued},
    {"trace-begun", TraceBegun},
    {"baggage-accepted", BaggageAccepted},
    {"baggage-of-context", BaggageOfContext},
    {"baggage-hostile", BaggageHostile},
    {"log-lines", LogLines},
    {"loop-kept", LoopKept},
    {"work-outlives-call", WorkOutlivesCall},
};

}  // namespace

std::span<const Case> ContextCases() { return kCases; }

}  // namespace rookery::contract
