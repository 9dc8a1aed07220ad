// The streaming kinds: order, ends, failures, backpressure, and readers that go away.
#include <atomic>
#include <thread>

#include "rookery/runtime/queue.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/spawn.h"
#include "rookery/runtime/when.h"
#include "suite.h"

namespace rookery::contract {
namespace {

using std::chrono::milliseconds;

constexpr std::int64_t kBlock = 65536;

Number NumberOf(std::int64_t value) {
  Number number;
  number.set_value(value);
  return number;
}

CountRequest CountTo(std::int64_t count, std::int64_t bytes = 0) {
  CountRequest request;
  request.set_count(count);
  request.set_bytes(bytes);
  return request;
}

// Reads numbers from 0 on to the end, and checks their order.
Task<std::int64_t> ReadInOrder(Stream<Number> numbers) {
  std::int64_t count = 0;
  for (;;) {
    std::optional<Number> number = co_await numbers.Next();
    if (!number) break;
    if (number->value() != count) co_return absl::DataLossError("out of order");
    ++count;
  }
  co_return count;
}

void ServerStream(const Transport& transport) {
  Node node(transport);
  for (const std::int64_t count : {0, 1, 1000}) {
    const std::int64_t read =
        ExpectOk(SyncWaitStatus(ReadInOrder(node.client().Count(CountTo(count)))), "Count");
    ExpectEqual(read, count, "messages");
  }
  node.ExpectIdle();
  const StatsSnapshot stats = node.app().Stats();
  const MethodSnapshot* const row = stats.Find("/rookery.contract.Contract/Count", transport.name);
  Expect(row != nullptr && row->calls == 3, "the streams are counted as three calls");
}

Stream<Number> Numbers(std::int64_t count, std::int64_t bytes, std::atomic<std::int64_t>* yielded) {
  const std::string data(static_cast<std::size_t>(bytes), 'd');
  for (std::int64_t i = 0; i < count; ++i) {
    Number number;
    number.set_value(i);
    number.set_data(data);
    if (yielded != nullptr) yielded->fetch_add(1);
    co_yield std::move(number);
  }
}

void ClientStreamCase(const Transport& transport) {
  Node node(transport);
  for (const std::int64_t count : {0, 1, 1000}) {
    const Summary summary =
        ExpectOk(SyncWaitStatus(node.client().Sum(Numbers(count, 0, nullptr))), "Sum");
    ExpectEqual(summary.count(), count, "messages");
    ExpectEqual(summary.sum(), count * (count - 1) / 2, "their sum");
  }
  node.ExpectIdle();
}

// Each request is written only after the reply to the one before has been read.
void BidiPingPong(const Transport& transport) {
  Node node(transport);
  auto talk = [&]() -> Task<void> {
    Queue<Number> outgoing(1);
    Stream<Number> replies = node.client().Chat(outgoing.ReadAll());
    for (std::int64_t i = 0; i < 100; ++i) {
      Number request = NumberOf(i);
      const bool pushed = co_await outgoing.Push(std::move(request));
      Expect(pushed, "the request is taken");
      std::optional<Number> reply = co_await replies.Next();
      Expect(reply.has_value(), "there is a reply");
      ExpectEqual(reply->value(), i * 2, "the reply");
    }
    outgoing.Close();
    std::optional<Number> end = co_await replies.Next();
    Expect(!end.has_value(), "the stream ends after the requests have");
  };
  ExpectOk(SyncWaitStatus(talk()), "the conversation");
  node.ExpectIdle();
}

void BidiHalfClose(const Transport& transport) {
  Node node(transport);
  auto tally = [&]() -> Task<std::int64_t> {
    Stream<Number> replies = node.client().Tally(Numbers(500, 0, nullptr));
    std::optional<Number> first = co_await replies.Next();
    Expect(first.has_value(), "there is a reply after the last request");
    std::optional<Number> second = co_await replies.Next();
    Expect(second.has_value(), "there is a second");
    std::optional<Number> third = co_await replies.Next();
    Expect(!third.has_value(), "there is no third");
    co_return first->value() + second->value();
  };
  ExpectEqual(ExpectOk(SyncWaitStatus(tally()), "Tally"), std::int64_t{1000}, "what was told");
  node.ExpectIdle();
}

void StreamLarge(const Transport& transport) {
  Node node(transport);
  const std::int64_t read =
      ExpectOk(SyncWaitStatus(ReadInOrder(node.client().Count(CountTo(20, 1 << 20)))), "Count");
  ExpectEqual(read, std::int64_t{20}, "messages of 1 MiB");
  const Summary summary =
      ExpectOk(SyncWaitStatus(node.client().Sum(Numbers(20, 1 << 20, nullptr))), "Sum");
  ExpectEqual(summary.count(), std::int64_t{20}, "messages of 1 MiB");
}

// Waits until `counter` has not moved for half a second.
Task<std::int64_t> Settled(const std::atomic<std::int64_t>& counter) {
  std::int64_t seen = counter.load();
  int still = 0;
  for (int i = 0; i < 600 && still < 10; ++i) {
    co_await Sleep(milliseconds(50));
    const std::int64_t now = counter.load();
    still = now == seen ? still + 1 : 0;
    seen = now;
  }
  co_return seen;
}

void BackpressureServer(const Transport& transport) {
  constexpr std::int64_t kCount = 1500;  // some 94 MiB in all
  Node node(transport);
  const auto most = static_cast<std::int64_t>(transport.max_ahead_bytes) / kBlock;
  auto read = [&]() -> Task<void> {
    Stream<Number> numbers = node.client().Count(CountTo(kCount, kBlock));
    std::optional<Number> first = co_await numbers.Next();
    Expect(first.has_value(), "the first message comes");
    const std::int64_t ahead = co_await Settled(node.probe().produced);
    Expect(ahead < kCount, "a reader that has stopped stops the writer");
    Expect(ahead <= most, "the writer is no more than max_ahead_bytes ahead: " +
                              std::to_string(ahead) + " messages of 64 KiB");
    std::int64_t count = 1;
    for (;;) {
      std::optional<Number> number = co_await numbers.Next();
      if (!number) break;
      ExpectEqual(number->value(), count, "order");
      ++count;
    }
    ExpectEqual(count, kCount, "messages in the end");
  };
  ExpectOk(SyncWaitStatus(read()), "the stream");
  node.ExpectIdle();
}

Stream<Number> GatedNumbers(std::int64_t count, std::atomic<std::int64_t>* yielded) {
  Number gate = NumberOf(-1);
  co_yield std::move(gate);
  Stream<Number> rest = Numbers(count, kBlock, yielded);
  for (;;) {
    std::optional<Number> number = co_await rest.Next();
    if (!number) break;
    co_yield *std::move(number);
  }
}

void BackpressureClient(const Transport& transport) {
  constexpr std::int64_t kCount = 1500;
  Node node(transport);
  const auto most = static_cast<std::int64_t>(transport.max_ahead_bytes) / kBlock;
  std::atomic<std::int64_t> yielded{0};
  auto write = [&]() -> Task<Summary> {
    JoinHandle<Summary> call = Spawn(node.client().Sum(GatedNumbers(kCount, &yielded)));
    for (int i = 0; i < 600 && node.probe().consumed.load() == 0; ++i) {
      co_await Sleep(milliseconds(20));
    }
    const std::int64_t ahead = co_await Settled(yielded);
    Expect(ahead < kCount, "a handler that does not read stops the caller");
    Expect(ahead <= most, "the caller is no more than max_ahead_bytes ahead: " +
                              std::to_string(ahead) + " messages of 64 KiB");
    node.probe().gate.Set();
    Summary summary = co_await std::move(call);
    co_return summary;
  };
  const Summary summary = ExpectOk(SyncWaitStatus(write()), "Sum");
  ExpectEqual(summary.count(), kCount + 1, "messages in the end");
  node.ExpectIdle();
}

void StreamErrorMiddle(const Transport& transport) {
  Node node(transport);
  for (const Failure::How how : {Failure::RETURN, Failure::THROW}) {
    for (const int before : {0, 7}) {
      CountRequest request = CountTo(before);
      request.mutable_failure()->set_how(how);
      request.mutable_failure()->set_code(10);
      request.mutable_failure()->set_message("half way");
      *request.mutable_failure()->add_details() = Text("why");
      int messages = 0;
      auto read = [&]() -> Task<void> {
        Stream<Number> numbers = node.client().Count(request);
        for (;;) {
          std::optional<Number> number = co_await numbers.Next();
          if (!number) break;
          ++messages;
        }
      };
      const absl::Status status = SyncWaitStatus(read());
      ExpectCode(status, absl::StatusCode::kAborted, "the stream");
      ExpectEqual(Message(status), "half way", "message");
      const std::optional<Payload> detail = GetDetail<Payload>(status);
      Expect(detail.has_value() && detail->text() == "why", "the detail came along");
      ExpectEqual(messages, before, "messages before the failure");
    }
  }
  // In the middle of a conversation.
  auto talk = [&]() -> Task<int> {
    Queue<Number> outgoing(4);
    Stream<Number> replies = node.client().Chat(outgoing.ReadAll());
    for (const std::int64_t value : {1, 2, -1}) {
      Number request = NumberOf(value);
      const bool pushed = co_await outgoing.Push(std::move(request));
      Expect(pushed, "the request is taken");
    }
    int messages = 0;
    absl::Status failure;
    try {
      for (;;) {
        std::optional<Number> reply = co_await replies.Next();
        if (!reply) break;
        ++messages;
      }
    } catch (const RpcException& error) {
      failure = error.status();
    }
    ExpectCode(failure, absl::StatusCode::kOutOfRange, "the conversation");
    co_return messages;
  };
  ExpectEqual(ExpectOk(SyncWaitStatus(talk()), "Chat"), 2, "replies before the failure");
  node.ExpectIdle();
  node.ExpectHealthy();
}

Stream<Number> NumbersThenFailure() {
  for (std::int64_t i = 0; i < 3; ++i) {
    Number number = NumberOf(i);
    co_yield std::move(number);
  }
  co_await rookery::Fail(absl::DataLossError("the caller's disk is gone"));
}

void StreamErrorOfCaller(const Transport& transport) {
  Node node(transport);
  const absl::Status status = SyncWaitStatus(node.client().Sum(NumbersThenFailure())).status();
  ExpectCode(status, absl::StatusCode::kDataLoss, "Sum");
  Eventually([&] { return node.probe().entered.load() == node.probe().ended.load(); },
             "the handler ends");
  ExpectEqual(node.probe().consumed.load() <= 3, true, "no more than was sent is read");
  node.ExpectIdle();
  node.ExpectHealthy();
}

void StreamReaderLeaves(const Transport& transport) {
  Node node(transport);
  for (const bool waiting : {false, true}) {
    const int before = node.probe().ended.load();
    auto read = [&]() -> Task<void> {
      CountRequest request = CountTo(waiting ? 3 : std::int64_t{1} << 40, 100);
      request.set_hold(waiting);
      Stream<Number> numbers = node.client().Count(request);
      for (int i = 0; i < 3; ++i) {
        std::optional<Number> number = co_await numbers.Next();
        Expect(number.has_value(), "messages come");
      }
    };
    ExpectOk(SyncWaitStatus(read()), "reading three");
    Eventually([&] { return node.probe().ended.load() == before + 1; },
               "the producer is told that nobody reads any more");
  }
  node.ExpectIdle();
  node.ExpectHealthy();
}

void StreamCancelled(const Transport& transport) {
  Node node(transport);
  CancelSource source;
  Background<std::int64_t> call([&] {
    CallOptions options;
    options.cancel = source.token();
    CountRequest request = CountTo(5);
    request.set_hold(true);
    return ReadInOrder(node.client().Count(std::move(request), std::move(options)));
  });
  Eventually([&] { return node.probe().produced.load() == 5; }, "the producer has sent all");
  source.Cancel(absl::CancelledError("enough"));
  ExpectCode(call.Get().status(), absl::StatusCode::kCancelled, "Count");
  Eventually([&] { return node.probe().ended.load() == 1; }, "the producer ends");
  node.ExpectIdle();
  node.ExpectHealthy();
}

Stream<Number> EndlessAfter(std::int64_t first) {
  Number number = NumberOf(first);
  co_yield std::move(number);
  for (std::int64_t i = 0;; ++i) {
    Number more = NumberOf(i);
    co_yield std::move(more);
  }
}

void StreamHandlerLeaves(const Transport& transport) {
  Node node(transport);
  // Hears -2, and answers although the caller would go on for ever.
  const Summary summary = ExpectOk(SyncWaitStatus(node.client().Sum(EndlessAfter(-2))), "Sum");
  ExpectEqual(summary.count(), std::int64_t{0}, "messages counted");
  node.ExpectIdle();
  node.ExpectHealthy();
}

// Counts the frames of request streams that are alive.
class Alive final {
 public:
  explicit Alive(std::atomic<int>& count) : count_(count) { count_.fetch_add(1); }
  Alive(const Alive&) = delete;
  Alive& operator=(const Alive&) = delete;
  ~Alive() { count_.fetch_sub(1); }

 private:
  std::atomic<int>& count_;
};
Stream<Number> Counted(std::int64_t first, int count, std::atomic<int>& alive) {
  const Alive here(alive);
  for (int i = 0; i < count; ++i) {
    Number number = NumberOf(first + i);
    co_yield std::move(number);
  }
}

// Nothing of a call that is over goes on behind the caller's back, who may be gone for good.
void StreamCallersEnd(const Transport& transport) {
  Node node(transport);
  std::atomic<int> alive{0};
  std::atomic<int> left_behind{0};
  std::atomic<int> failed{0};
  for (int i = 0; i < 100; ++i) {
    std::thread caller([&] {
      auto tally = [&]() -> Task<void> {
        Stream<Number> replies = node.client().Tally(Counted(0, 3, alive));
        for (;;) {
          std::optional<Number> reply = co_await replies.Next();
          if (!reply) break;
        }
      };
      if (!SyncWaitStatus(tally()).ok()) failed.fetch_add(1);
      // Hears the first, and answers although there are more to come.
      if (!SyncWaitStatus(node.client().Sum(Counted(-2, 1000, alive))).ok()) failed.fetch_add(1);
      if (alive.load() != 0) left_behind.fetch_add(1);
    });
    caller.join();
  }
  ExpectEqual(failed.load(), 0, "calls that failed");
  ExpectEqual(left_behind.load(), 0, "callers who left a stream of requests behind");
  node.ExpectIdle();
  node.ExpectHealthy();
}

Task<std::int64_t> ReadLane(ContractClient& client, int streams) {
  std::int64_t right = 0;
  for (int i = 0; i < streams; ++i) {
    std::int64_t read = co_await ReadInOrder(client.Count(CountTo(50, 200)));
    right += read;
  }
  co_return right;
}

void StreamsInterleaved(const Transport& transport) {
  Node node(transport);
  std::vector<Task<std::int64_t>> lanes;
  for (int i = 0; i < 20; ++i) lanes.push_back(ReadLane(node.client(), 10));
  const std::vector<std::int64_t> read =
      ExpectOk(SyncWaitStatus(WhenAll(std::move(lanes))), "200 streams");
  for (const std::int64_t messages : read) ExpectEqual(messages, std::int64_t{500}, "messages");
  node.ExpectIdle();
}

constexpr Case kCases[] = {
    {"stream-server", ServerStream},
    {"stream-client", ClientStreamCase},
    {"stream-bidi-ping-pong", BidiPingPong},
    {"stream-bidi-half-close", BidiHalfClose},
    {"stream-large", StreamLarge},
    {"stream-backpressure-server", BackpressureServer},
    {"stream-backpressure-client", BackpressureClient},
    {"stream-error-middle", StreamErrorMiddle},
    {"stream-error-of-caller", StreamErrorOfCaller},
    {"stream-reader-leaves", StreamReaderLeaves},
    {"stream-cancelled", StreamCancelled},
    {"stream-handler-leaves", StreamHandlerLeaves},
    {"stream-callers-end", StreamCallersEnd},
    {"streams-interleaved", StreamsInterleaved},
};

}  // namespace

std::span<const Case> StreamCases() { return kCases; }

}  // namespace rookery::contract
