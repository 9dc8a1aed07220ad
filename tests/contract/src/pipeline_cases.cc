// Guards, interceptors, pipes and filters apply on every transport alike.
#include <algorithm>

#include "suite.h"

namespace rookery::contract {
namespace {

CallOptions As(std::string_view user) {
  CallOptions options;
  ExpectOk(options.metadata.Add("x-user", user), "Add");
  return options;
}

std::string Joined(const std::vector<std::string>& notes) {
  std::string all;
  for (const std::string& note : notes) all += (all.empty() ? "" : " ") + note;
  return all;
}

void PipelineOrder(const Transport& transport) {
  Node node(transport);
  const Payload reply = ExpectOk(SyncWaitStatus(node.enhanced().Do(Text("hi"))), "Do");
  ExpectEqual(reply.text(), "[hi+piped]", "the reply");
  ExpectEqual(Joined(node.probe().notes()), "guard in pipe handler out", "the order");
}

void PipelineGuards(const Transport& transport) {
  Node node(transport);
  const absl::Status stranger =
      SyncWaitStatus(node.enhanced().Do(Text("hi"), As("stranger"))).status();
  ExpectCode(stranger, absl::StatusCode::kUnauthenticated, "a stranger's call");
  ExpectEqual(Message(stranger), "who are you?", "message");
  const absl::Status banned = SyncWaitStatus(node.enhanced().Do(Text("hi"), As("banned"))).status();
  ExpectCode(banned, absl::StatusCode::kPermissionDenied, "a banned user's call");
  ExpectEqual(Message(banned), "Forbidden resource", "message");
  ExpectEqual(Joined(node.probe().notes()), "guard guard", "what ran");
  ExpectOk(SyncWaitStatus(node.enhanced().Do(Text("hi"), As("ada"))), "anybody else's call");
  node.ExpectIdle();
}

void PipelineInterceptor(const Transport& transport) {
  Node node(transport);
  CallOptions options;
  ExpectOk(options.metadata.Add("x-cached", "yes"), "Add");
  const Payload reply =
      ExpectOk(SyncWaitStatus(node.enhanced().Do(Text("hi"), std::move(options))), "Do");
  ExpectEqual(reply.text(), "from the cache", "the reply");
  ExpectEqual(Joined(node.probe().notes()), "guard in", "what ran");
}

void PipelinePipe(const Transport& transport) {
  Node node(transport);
  const Payload request = Text("bad");
  const absl::Status status = SyncWaitStatus(node.enhanced().Do(request)).status();
  ExpectCode(status, absl::StatusCode::kInvalidArgument, "Do");
  ExpectEqual(Message(status), "text: must not be bad", "message");
  const Payload good = Text("good");
  ExpectOk(SyncWaitStatus(node.enhanced().Do(good)), "Do");
  ExpectEqual(good.text(), "good", "the caller's own message afterwards");
}

void PipelineFilter(const Transport& transport) {
  Node node(transport);
  Payload request = Text("boom");
  request.set_number(13);
  const absl::Status status = SyncWaitStatus(node.enhanced().Do(request)).status();
  ExpectCode(status, absl::StatusCode::kFailedPrecondition, "Do");
  ExpectEqual(Message(status), transport.name + " filtered boom+piped", "message");
  node.ExpectIdle();
}

Stream<Payload> Texts(std::vector<std::string> texts) {
  for (const std::string& text : texts) {
    Payload payload = Text(text);
    if (text == "thirteen") payload.set_number(13);
    co_yield std::move(payload);
  }
}

// The texts that came back, and how the stream ended.
std::pair<std::vector<std::string>, absl::Status> DoMany(Node& node, std::vector<std::string> texts,
                                                         CallOptions options = CallOptions()) {
  std::vector<std::string> replies;
  auto read = [&]() -> Task<void> {
    Stream<Payload> payloads = node.enhanced().DoMany(Texts(std::move(texts)), std::move(options));
    for (;;) {
      std::optional<Payload> payload = co_await payloads.Next();
      if (!payload) break;
      replies.push_back(payload->text());
    }
  };
  absl::Status status = SyncWaitStatus(read());
  return {std::move(replies), std::move(status)};
}

void PipelineOfStreams(const Transport& transport) {
  Node node(transport);
  const auto [replies, status] = DoMany(node, {"a", "b"});
  ExpectOk(status, "DoMany");
  ExpectEqual(Joined(replies), "a+piped b+piped", "each request is piped");
  ExpectEqual(
      DoMany(node, {"a"}, As("banned")).second.code() == absl::StatusCode::kPermissionDenied, true,
      "guards stand before streams");
  const auto [before_bad, bad] = DoMany(node, {"a", "bad", "c"});
  ExpectCode(bad, absl::StatusCode::kInvalidArgument, "a bad message in the middle");
  ExpectEqual(Joined(before_bad), "a+piped", "replies before it");
  const auto [before_boom, boom] = DoMany(node, {"a", "thirteen"});
  ExpectCode(boom, absl::StatusCode::kFailedPrecondition, "a failure of the producer");
  ExpectEqual(Message(boom), transport.name + " filtered thirteen+piped", "message");
  ExpectEqual(Joined(before_boom), "a+piped", "replies before it");
  node.ExpectIdle();
}

constexpr Case kCases[] = {
    {"pipeline-order", PipelineOrder},
    {"pipeline-guards", PipelineGuards},
    {"pipeline-interceptor", PipelineInterceptor},
    {"pipeline-pipe", PipelinePipe},
    {"pipeline-filter", PipelineFilter},
    {"pipeline-of-streams", PipelineOfStreams},
};

}  // namespace

std::span<const Case> PipelineCases() { return kCases; }

}  // namespace rookery::contract
