// Metadata, in both directions.
#include "suite.h"

namespace rookery::contract {
namespace {

std::string AllBytes() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  return bytes;
}

std::vector<std::string> ValuesOf(const Seen& seen, std::string_view key) {
  std::vector<std::string> values;
  for (const Field& field : seen.metadata()) {
    if (field.key() == key) values.push_back(field.value());
  }
  return values;
}

void Add(google::protobuf::RepeatedPtrField<Field>* fields, std::string_view key,
         std::string_view value) {
  Field& field = *fields->Add();
  field.set_key(std::string(key));
  field.set_value(std::string(value));
}

void ExpectField(const Metadata& metadata, std::string_view key,
                 const std::vector<std::string>& expected, std::string_view where_found,
                 Where where = Where::current()) {
  const std::vector<std::string_view> values = metadata.GetAll(key);
  ExpectEqual(values.size(), expected.size(),
              "number of \"" + std::string(key) + "\" in the " + std::string(where_found), where);
  for (std::size_t i = 0; i < values.size(); ++i) {
    Expect(values[i] == expected[i],
           std::string(key) + " came back as it was in the " + std::string(where_found), where);
  }
}

void MetadataRequest(const Transport& transport) {
  Node node(transport);
  CallOptions options;
  ExpectOk(options.metadata.Add("x-plain", "one"), "Add");
  ExpectOk(options.metadata.Add("X-Plain", "two words, \"quoted\" ; = %41"), "Add");
  ExpectOk(options.metadata.Add("x_odd.key-1", "~!"), "Add");
  ExpectOk(options.metadata.Add("x-blob-bin", AllBytes()), "Add");
  ExpectOk(options.metadata.Add("x-blob-bin", std::string("\0", 1)), "Add");
  const Seen seen =
      ExpectOk(SyncWaitStatus(node.client().Look(LookRequest(), std::move(options))), "Look");
  const std::vector<std::string> plain = ValuesOf(seen, "x-plain");
  ExpectEqual(plain.size(), std::size_t{2}, "values of x-plain");
  ExpectEqual(plain[0], "one", "the first");
  ExpectEqual(plain[1], "two words, \"quoted\" ; = %41", "the second");
  ExpectEqual(ValuesOf(seen, "x_odd.key-1").at(0), "~!", "x_odd.key-1");
  const std::vector<std::string> blobs = ValuesOf(seen, "x-blob-bin");
  ExpectEqual(blobs.size(), std::size_t{2}, "values of x-blob-bin");
  Expect(blobs[0] == AllBytes(), "all bytes come through in a -bin value");
  Expect(blobs[1] == std::string("\0", 1), "a NUL comes through in a -bin value");
  ExpectEqual(seen.transport(), transport.name, "CallContext::transport()");
  ExpectEqual(seen.method(), "/rookery.contract.Contract/Look", "CallContext::method()");
  Expect(!seen.peer().empty(), "CallContext::peer() says who calls");
  // Nothing of the transport's own shows.
  for (const Field& field : seen.metadata()) {
    Expect(!field.key().starts_with(":") && !field.key().starts_with("grpc-"),
           "no handler sees \"" + field.key() + "\"");
  }
}

ReplyRequest FullReply() {
  ReplyRequest request;
  Add(request.mutable_headers(), "x-head", "h1");
  Add(request.mutable_headers(), "x-head", "h2");
  Add(request.mutable_headers(), "x-head-bin", AllBytes());
  Add(request.mutable_trailers(), "x-tail", "t1");
  Add(request.mutable_trailers(), "x-tail-bin", AllBytes());
  return request;
}

void MetadataResponse(const Transport& transport) {
  Node node(transport);
  CallInfo info;
  CallOptions options;
  options.info = &info;
  ExpectOk(SyncWaitStatus(node.client().Reply(FullReply(), std::move(options))), "Reply");
  ExpectField(info.headers, "x-head", {"h1", "h2"}, "headers");
  ExpectField(info.headers, "x-head-bin", {AllBytes()}, "headers");
  ExpectField(info.trailers, "x-tail", {"t1"}, "trailers");
  ExpectField(info.trailers, "x-tail-bin", {AllBytes()}, "trailers");
  ExpectField(info.headers, "x-tail", {}, "headers");
  ExpectField(info.trailers, "x-head", {}, "trailers");
  Expect(!info.peer.empty(), "CallInfo::peer says who answered");
}

void MetadataOfErrors(const Transport& transport) {
  Node node(transport);
  ReplyRequest request = FullReply();
  request.mutable_failure()->set_code(5);
  request.mutable_failure()->set_message("nothing here");
  CallInfo info;
  CallOptions options;
  options.info = &info;
  const absl::Status status =
      SyncWaitStatus(node.client().Reply(request, std::move(options))).status();
  ExpectCode(status, absl::StatusCode::kNotFound, "Reply");
  ExpectField(info.trailers, "x-tail", {"t1"}, "trailers");
  ExpectField(info.trailers, "x-tail-bin", {AllBytes()}, "trailers");
}

void MetadataOfStreams(const Transport& transport) {
  Node node(transport);
  for (const bool failing : {false, true}) {
    ReplyRequest request = FullReply();
    if (failing) request.mutable_failure()->set_code(5);
    CallInfo info;
    CallOptions options;
    options.info = &info;
    int messages = 0;
    auto read = [&]() -> Task<void> {
      Stream<Payload> replies = node.client().ReplyStream(request, std::move(options));
      for (;;) {
        std::optional<Payload> reply = co_await replies.Next();
        if (!reply) break;
        ++messages;
      }
    };
    const absl::Status status = SyncWaitStatus(read());
    ExpectCode(status, failing ? absl::StatusCode::kNotFound : absl::StatusCode::kOk, "the stream");
    ExpectEqual(messages, 2, "messages");
    ExpectField(info.headers, "x-head", {"h1", "h2"}, "headers");
    ExpectField(info.trailers, "x-tail", {"t1"}, "trailers");
    ExpectField(info.trailers, "x-tail-bin", {AllBytes()}, "trailers");
  }
}

void MetadataBad(const Transport& transport) {
  Node node(transport);
  Metadata metadata;
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, std::string>>{{"bad key", "v"},
                                                        {"x\n", "v"},
                                                        {":path", "/x"},
                                                        {"grpc-timeout", "1n"},
                                                        {"", "v"},
                                                        {"x-text", "two\nlines"},
                                                        {"x-text", "\xff\xfe"},
                                                        {"x-text", "\xc3\xa9"}}) {
    ExpectCode(metadata.Add(key, value), absl::StatusCode::kInvalidArgument, "Add");
  }
  Expect(metadata.empty(), "nothing bad is in the metadata");
  // A handler that tries the same is told; its peer gets a status.
  ReplyRequest request;
  Add(request.mutable_trailers(), "x-text", "two\nlines");
  const absl::Status status = SyncWaitStatus(node.client().Reply(request)).status();
  ExpectCode(status, absl::StatusCode::kInvalidArgument, "Reply with bad trailers");
  Expect(Contains(Message(status), "x-text"), "the message names the key");
  node.ExpectHealthy();
}

void MetadataTooLarge(const Transport& transport) {
  Node node(transport);
  const auto call_with = [&](int kilobytes) {
    CallOptions options;
    for (int i = 0; i < kilobytes; ++i) {
      ExpectOk(options.metadata.Add("x-big-" + std::to_string(i), std::string(1024, 'v')), "Add");
    }
    return SyncWaitStatus(node.client().Look(LookRequest(), std::move(options))).status();
  };
  ExpectCode(call_with(12), absl::StatusCode::kResourceExhausted, "12 KiB of metadata");
  node.ExpectHealthy();
  // Far beyond: a transport may close the connection, and the next calls have a new one.
  const absl::Status refused = call_with(256);
  Expect(refused.code() == absl::StatusCode::kResourceExhausted ||
             refused.code() == absl::StatusCode::kUnavailable,
         "256 KiB of metadata are refused: " + refused.ToString());
  Eventually([&] { return SyncWaitStatus(node.client().Echo(Text("x"))).ok(); },
             "calls work again");
  node.ExpectIdle();
}

constexpr Case kCases[] = {
    {"metadata-request", MetadataRequest},
    {"metadata-response", MetadataResponse},
    {"metadata-of-errors", MetadataOfErrors},
    {"metadata-of-streams", MetadataOfStreams},
    {"metadata-bad", MetadataBad},
    {"metadata-too-large", MetadataTooLarge},
};

}  // namespace

std::span<const Case> MetadataCases() { return kCases; }

}  // namespace rookery::contract
