// Unary calls, errors and events.
#include <algorithm>
#include <array>
#include <numeric>

#include "rookery/runtime/sleep.h"
#include "rookery/runtime/when.h"
#include "suite.h"

namespace rookery::contract {
namespace {

std::string EveryByte(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 7 + i / 256);
  return bytes;
}

void Unary(const Transport& transport) {
  Node node(transport);
  Payload request = Text("h\xc3\xa9llo");
  request.set_number(-7);
  request.set_data(EveryByte(300));
  const Payload reply = ExpectOk(SyncWaitStatus(node.client().Echo(request)), "Echo");
  ExpectEqual(reply.text(), request.text(), "text");
  ExpectEqual(reply.number(), -7, "number");
  Expect(reply.data() == request.data(), "the data came back as they were");
  // The request may also be given away.
  Payload given = request;
  const Payload again = ExpectOk(SyncWaitStatus(node.client().Echo(std::move(given))), "Echo(&&)");
  Expect(again.data() == request.data(), "moved data came back as they were");
  ExpectEqual(node.probe().echoed.load(), 2, "handlers run");
  node.ExpectIdle();
}

void UnaryEmpty(const Transport& transport) {
  Node node(transport);
  const Payload reply = ExpectOk(SyncWaitStatus(node.client().Echo(Payload())), "Echo");
  ExpectEqual(reply.ByteSizeLong(), std::size_t{0}, "the reply's size");
}

void UnaryLarge(const Transport& transport) {
  Node node(transport);
  Payload request;
  const std::size_t most =
      transport.max_message_bytes == 0 ? std::size_t{4} << 20 : transport.max_message_bytes;
  for (const std::size_t size : {std::size_t{65536}, std::size_t{1} << 20, most - 1024}) {
    request.set_data(EveryByte(size));
    const Payload reply = ExpectOk(SyncWaitStatus(node.client().Echo(request)), "Echo");
    Expect(reply.data() == request.data(), std::to_string(size) + " bytes came back");
  }
}

void UnaryCompressed(const Transport& transport) {
  Node node(transport);
  Payload request;
  request.set_data(std::string(200'000, 'z'));
  for (const char* algorithm : {"gzip", "deflate", "identity", "unheard-of"}) {
    CallOptions options;
    options.compression = algorithm;
    const Payload reply =
        ExpectOk(SyncWaitStatus(node.client().Echo(request, std::move(options))), algorithm);
    Expect(reply.data() == request.data(), std::string(algorithm) + ": the data came back");
  }
}

Task<int> CallMany(ContractClient& client, int from, int to, int step) {
  int right = 0;
  for (int i = from; i < to; i += step) {
    Payload request;
    request.set_number(i);
    Isolation reply = co_await client.Isolate(request);
    if (reply.number() == i && reply.kept()) ++right;
  }
  co_return right;
}

void Interleaved(const Transport& transport) {
  constexpr int kCalls = 10'000;
  constexpr int kAtOnce = 100;
  Node node(transport);
  std::vector<Task<int>> lanes;
  for (int i = 0; i < kAtOnce; ++i) {
    lanes.push_back(CallMany(node.client(), i, kCalls, kAtOnce));
  }
  const std::vector<int> right =
      ExpectOk(SyncWaitStatus(WhenAll(std::move(lanes))), "10,000 calls");
  ExpectEqual(std::accumulate(right.begin(), right.end(), 0), kCalls, "calls answered rightly");
  ExpectEqual(node.probe().interfered.load(), 0, "values of other calls seen");
  node.ExpectIdle();
  const StatsSnapshot stats = node.app().Stats();
  const MethodSnapshot* const row =
      stats.Find("/rookery.contract.Contract/Isolate", transport.name);
  Expect(row != nullptr, "the method is in the stats under the transport's name");
  ExpectEqual(row->calls, std::uint64_t{kCalls}, "calls counted");
  ExpectEqual(row->code(absl::StatusCode::kOk), std::uint64_t{kCalls}, "OK counted");
}

// ---- errors ---------------------------------------------------------------------------------

void ErrorCodes(const Transport& transport) {
  Node node(transport);
  for (const Failure::How how : {Failure::RETURN, Failure::THROW}) {
    for (int code = 1; code <= 16; ++code) {
      Failure request;
      request.set_how(how);
      request.set_code(code);
      request.set_message("code " + std::to_string(code));
      const absl::Status status = SyncWaitStatus(node.client().Fail(request)).status();
      ExpectCode(status, static_cast<absl::StatusCode>(code), "Fail");
      ExpectEqual(Message(status), request.message(), "message");
      Expect(DetailsOf(status).empty(), "there are no details");
    }
  }
  node.ExpectIdle();
}

void ErrorMessages(const Transport& transport) {
  Node node(transport);
  for (const std::string& message : {std::string(), std::string("100 % sure"),
                                     std::string("%41 %zz %"), std::string("two\nlines\r\n\ttab"),
                                     std::string("Am\xc3\xa9lie \xe2\x82\xac \xf0\x9f\x90\xa6"),
                                     std::string(" edges "), std::string("\x7f \\ \" ,;=")}) {
    Failure request;
    request.set_code(9);
    request.set_message(message);
    const absl::Status status = SyncWaitStatus(node.client().Fail(request)).status();
    ExpectCode(status, absl::StatusCode::kFailedPrecondition, "Fail");
    ExpectEqual(Message(status), message, "message");
  }
  // Longer than a peer should have to hold in a header: cut at 4 KiB, between characters.
  Failure request;
  request.set_code(9);
  for (int i = 0; i < 3000; ++i) request.mutable_message()->append("\xc3\xa9");
  const absl::Status status = SyncWaitStatus(node.client().Fail(request)).status();
  ExpectCode(status, absl::StatusCode::kFailedPrecondition, "Fail");
  ExpectEqual(Message(status), request.message().substr(0, 4096), "the long message");
}

void ErrorDetails(const Transport& transport) {
  Node node(transport);
  Failure request;
  request.set_code(3);
  request.set_message("bad order");
  *request.add_details() = Text("first");
  Payload& second = *request.add_details();
  second.set_text("second");
  second.set_data(EveryByte(512));
  const absl::Status status = SyncWaitStatus(node.client().Fail(request)).status();
  ExpectCode(status, absl::StatusCode::kInvalidArgument, "Fail");
  ExpectEqual(Message(status), "bad order", "message");
  const std::vector<StatusDetail> details = DetailsOf(status);
  ExpectEqual(details.size(), std::size_t{2}, "number of details");
  for (int i = 0; i < 2; ++i) {
    const StatusDetail& detail = details[static_cast<std::size_t>(i)];
    ExpectEqual(detail.type_url, "type.googleapis.com/rookery.contract.Payload", "type");
    Payload payload;
    Expect(payload.ParseFromString(detail.value), "the detail parses");
    ExpectEqual(payload.text(), request.details(i).text(), "text of the detail");
    Expect(payload.data() == request.details(i).data(), "data of the detail");
  }
}

void ExceptionHidden(const Transport& transport) {
  constexpr char kCanary[] = "password=hunter2";
  Node node(transport);
  for (const bool streaming : {false, true}) {
    for (const Failure::How how : {Failure::THROW_FOREIGN, Failure::THROW_INT}) {
      node.log().Clear();
      Failure failure;
      failure.set_how(how);
      failure.set_message(kCanary);
      CallInfo info;
      CallOptions options;
      options.info = &info;
      absl::Status status;
      if (streaming) {
        CountRequest request;
        request.set_count(1);
        *request.mutable_failure() = failure;
        auto read = [&]() -> Task<void> {
          Stream<Number> numbers = node.client().Count(request, std::move(options));
          for (;;) {
            std::optional<Number> number = co_await numbers.Next();
            if (!number) break;
          }
        };
        status = SyncWaitStatus(read());
      } else {
        status = SyncWaitStatus(node.client().Fail(failure, std::move(options))).status();
      }
      ExpectCode(status, absl::StatusCode::kInternal, "a handler that throws");
      Expect(Message(status).starts_with("Internal error (incident "),
             "the peer is told an incident: " + Message(status));
      Expect(!Contains(status.ToString(), "hunter2"), "the status does not say the text");
      for (const Metadata* metadata : {&info.headers, &info.trailers}) {
        for (const auto& [key, value] : *metadata) {
          Expect(!Contains(value, "hunter2"), "no metadata says the text");
        }
      }
      const std::string incident = Message(status).substr(25, 16);
      Expect(node.log().Contains(incident), "the log has the incident");
      if (how == Failure::THROW_FOREIGN) {
        Expect(node.log().Contains(kCanary), "the log has the text");
      }
    }
  }
  node.ExpectHealthy();
  node.ExpectIdle();
}

Task<void> CallRaw(Channel& channel, OutgoingCall& call, const google::protobuf::Message& request,
                   google::protobuf::Message& response) {
  Task<void> unary = channel.Unary(call, request, response);
  co_await std::move(unary);
}

void UnknownMethod(const Transport& transport) {
  Node node(transport);
  for (const std::string_view name : {std::string_view("/rookery.contract.Contract/Nowhere"),
                                      std::string_view("/no.Such/Thing")}) {
    MethodDescriptor nowhere = ContractService::Descriptor().methods[0];
    nowhere.full_name = name;
    OutgoingCall call(nowhere);
    Payload reply;
    const absl::Status status =
        SyncWaitStatus(CallRaw(*node.client().channel(), call, Text("x"), reply));
    ExpectCode(status, absl::StatusCode::kUnimplemented, name);
    // The other kinds find nothing either.
    MethodDescriptor stream = nowhere;
    stream.kind = MethodKind::kBidiStreaming;
    OutgoingCall streaming(stream);
    auto read = [&]() -> Task<absl::Status> {
      const std::unique_ptr<ClientStream> opened = node.client().channel()->Open(streaming);
      Number number;
      const bool any = co_await opened->Read(number);
      absl::Status end = co_await opened->Finish();
      if (any) co_return absl::InternalError("a message came");
      co_return end;
    };
    ExpectCode(SyncWait(read()), absl::StatusCode::kUnimplemented, "a stream");
  }
  Eventually([&] { return node.app().Stats().total_rejected() >= 4; }, "the refusals are counted");
  node.ExpectHealthy();
}

// ---- events ---------------------------------------------------------------------------------

void Events(const Transport& transport) {
  constexpr int kEvents = 100;
  Node node(transport);
  for (int i = 0; i < kEvents; ++i) {
    CallOptions options;
    ExpectOk(options.metadata.Add("x-mark", "m" + std::to_string(i)), "Add");
    ExpectOk(SyncWaitStatus(node.client().OnNote(Text("note"), std::move(options))), "OnNote");
  }
  Eventually([&] { return node.probe().notes().size() >= kEvents; }, "all events are handled");
  node.ExpectIdle();
  std::vector<std::string> notes = node.probe().notes();
  ExpectEqual(notes.size(), std::size_t{kEvents}, "events handled");
  std::sort(notes.begin(), notes.end());
  Expect(std::adjacent_find(notes.begin(), notes.end()) == notes.end(), "each is handled once");
  ExpectEqual(notes.front(), "note m0", "what the handler got");
}

constexpr Case kCases[] = {
    {"unary", Unary},
    {"unary-empty", UnaryEmpty},
    {"unary-large", UnaryLarge},
    {"unary-compressed", UnaryCompressed},
    {"interleaved-10000", Interleaved},
    {"error-codes", ErrorCodes},
    {"error-messages", ErrorMessages},
    {"error-details", ErrorDetails},
    {"exception-hidden", ExceptionHidden},
    {"unknown-method", UnknownMethod},
    {"events", Events},
};

}  // namespace

std::span<const Case> UnaryCases() { return kCases; }

}  // namespace rookery::contract
