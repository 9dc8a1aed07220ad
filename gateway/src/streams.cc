#include <chrono>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "absl/strings/str_cat.h"
#include "calls.h"
#include "gzip.h"
#include "headers.h"
#include "rookery/rpc/channel.h"
#include "rookery/rpc/json_lines.h"
#include "rookery/rpc/status.h"
#include "rookery/runtime/await.h"
#include "rookery/runtime/semaphore.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/spawn.h"
#include "runtime/abseil_strings.h"
#include "transcode.h"

namespace rookery::internal::gateway {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

enum class Format { kLines, kEvents, kArray, kRaw };

[[nodiscard]] std::string_view ContentTypeOf(Format format) {
  switch (format) {
    case Format::kEvents:
      return "text/event-stream";
    case Format::kArray:
      return "application/json";
    default:
      return "application/x-ndjson";
  }
}

// What the peer wants most; lines where it does not care. nullopt: none of what there is.
[[nodiscard]] std::optional<Format> Choose(const InboundCall& call) {
  const std::string accept = call.Joined("accept");
  struct Candidate {
    Format format;
    std::string_view media_type;
  };
  static constexpr Candidate kCandidates[] = {{Format::kLines, "application/x-ndjson"},
                                              {Format::kLines, "application/jsonl"},
                                              {Format::kEvents, "text/event-stream"},
                                              {Format::kArray, "application/json"}};
  std::optional<Format> best;
  int most = 0;
  for (const Candidate& candidate : kCandidates) {
    int weight = 2 * WeighMediaType(accept, candidate.media_type);
    // "application/json, */*" means JSON, although anything would do.
    if (weight > 0 && NamesMediaType(accept, candidate.media_type)) ++weight;
    if (weight > most) {
      most = weight;
      best = candidate.format;
    }
  }
  return best;
}

[[nodiscard]] std::string TextOf(const Message& message, const FieldDescriptor& field) {
  std::string json;
  if (!AppendFieldAsJson(message, field, {}, &json).ok()) return {};
  if (json.size() >= 2 && json.front() == '"') json = json.substr(1, json.size() - 2);
  return json;
}

// The answer of a stream, as it is written. Its head goes out with the first message, so that a
// call that fails before has a code of its own.
class StreamAnswer final {
 public:
  StreamAnswer(Routed routed, Format format) : routed_(routed), format_(format) {}

  // False: the peer is gone.
  [[nodiscard]] Task<bool> Send(const Message& message) {
    Semaphore::Permit writing = co_await mutex_.Acquire();
    Task<bool> send = SendLocked(message);
    const bool sent = co_await std::move(send);
    co_return sent;
  }
  // The end, with the call's status.
  [[nodiscard]] Task<void> End(absl::Status status, const OutgoingCall& outgoing) {
    Semaphore::Permit writing = co_await mutex_.Acquire();
    Task<void> end = EndLocked(std::move(status), outgoing);
    co_await std::move(end);
  }
  // Comments while nothing happens, so that nobody in between hangs up; until cancelled.
  [[nodiscard]] Task<void> KeepAlive(std::chrono::milliseconds interval) {
    for (;;) {
      quiet_ = true;
      co_await Sleep(interval);
      if (!quiet_) continue;
      std::optional<Semaphore::Permit> writing = mutex_.TryAcquire();
      if (!writing) continue;
      bool alive = true;
      if (!begun_) {
        Task<bool> begin = Begin(ContentTypeOf(format_));
        alive = co_await std::move(begin);
      }
      if (alive) {
        Task<bool> write = routed_.call.exchange().Write(": still here\n\n");
        alive = co_await std::move(write);
      }
      if (!alive) break;
    }
  }
  [[nodiscard]] Format format() const noexcept { return format_; }
  [[nodiscard]] const absl::Status& failure() const noexcept { return failure_; }

 private:
  [[nodiscard]] Task<bool> Begin(std::string_view content_type) {
    begun_ = true;
    InboundCall& call = routed_.call;
    HttpResponseHead head = call.Head(200, nullptr);
    head.Add("Content-Type", content_type);
    head.Add("Cache-Control", "no-store");
    // Proxies that collect an answer before they pass it on would hold events back.
    head.Add("X-Accel-Buffering", "no");
    if (format_ == Format::kLines || format_ == Format::kArray) {
      head.Add("Vary", "Accept-Encoding");
      if (call.rules().options.gzip_min_bytes > 0 &&
          WeighCoding(call.Joined("accept-encoding"), "gzip") > 0) {
        head.Add("Content-Encoding", "gzip");
        gzip_.emplace();
      }
    }
    Task<bool> begin = call.exchange().Begin(head);
    const bool alive = co_await std::move(begin);
    co_return alive;
  }
  // Takes text_; the answer's last, if `last`.
  [[nodiscard]] Task<bool> Write(bool last) {
    if (!gzip_) return routed_.call.exchange().Write(text_);
    packed_.clear();
    const bool done = last ? gzip_->Finish(text_, &packed_) : gzip_->Add(text_, &packed_);
    if (!done) return NoMemory();
    return routed_.call.exchange().Write(packed_);
  }
  [[nodiscard]] static Task<bool> NoMemory() { co_return false; }

  [[nodiscard]] Task<bool> SendLocked(const Message& message) {
    quiet_ = false;
    text_.clear();
    if (format_ == Format::kArray) text_ = begun_ ? "," : "[";
    if (format_ == Format::kEvents) {
      if (routed_.route.event_id != nullptr) {
        // An id must not end its line; what could is in JSON's escapes.
        absl::StrAppend(&text_, "id: ", TextOf(message, *routed_.route.event_id), "\n");
      }
      text_ += "data: ";
    }
    std::string content_type;
    failure_ =
        AppendResponse(routed_.route.binding, message, routed_.transcode, &text_, &content_type);
    if (!failure_.ok()) {
      failure_ = absl::InternalError(
          absl::StrCat("a message cannot be written as JSON: ", failure_.message()));
      co_return false;
    }
    if (format_ == Format::kLines) text_ += '\n';
    if (format_ == Format::kEvents) text_ += "\n\n";
    if (!begun_) {
      Task<bool> begin =
          Begin(format_ == Format::kRaw ? std::string_view(content_type) : ContentTypeOf(format_));
      const bool alive = co_await std::move(begin);
      if (!alive) co_return false;
    }
    if (text_.empty()) co_return true;
    Task<bool> write = Write(/*last=*/false);
    const bool written = co_await std::move(write);
    co_return written;
  }

  [[nodiscard]] Task<void> EndLocked(absl::Status status, const OutgoingCall& outgoing) {
    InboundCall& call = routed_.call;
    if (!begun_ && !status.ok()) {
      Task<void> refuse = call.Refuse(std::move(status), 0, &outgoing);
      co_await std::move(refuse);
      co_return;
    }
    text_.clear();
    if (!begun_) {
      if (format_ == Format::kArray) text_ = "[";
      Task<bool> begin =
          Begin(format_ == Format::kRaw ? "application/octet-stream" : ContentTypeOf(format_));
      const bool alive = co_await std::move(begin);
      if (!alive) co_return;
    }
    if (!status.ok() && (format_ == Format::kArray || format_ == Format::kRaw)) {
      // There is no way to say it: what has gone out must not look whole.
      call.exchange().Abort();
      co_return;
    }
    switch (format_) {
      case Format::kLines:
        if (!status.ok()) absl::StrAppend(&text_, "{\"error\":", StatusAsJson(status), "}\n");
        break;
      case Format::kEvents:
        if (status.ok()) {
          text_ += "event: end\ndata: {}\n\n";
        } else {
          absl::StrAppend(&text_, "event: error\ndata: ", StatusAsJson(status), "\n\n");
        }
        break;
      case Format::kArray:
        text_ += "]";
        break;
      case Format::kRaw:
        break;
    }
    if (!text_.empty() || gzip_) {
      Task<bool> write = Write(/*last=*/true);
      const bool alive = co_await std::move(write);
      if (!alive) co_return;
    }
    Task<bool> end = call.exchange().End();
    (void)co_await std::move(end);
  }

  const Routed routed_;
  const Format format_;
  Semaphore mutex_{1};
  bool begun_ = false;
  bool quiet_ = true;
  absl::Status failure_;
  std::string text_;
  std::string packed_;
  std::optional<GzipWriter> gzip_;
};

// Sends the one request and passes on what comes; the call's status.
[[nodiscard]] Task<absl::Status> PassOn(ClientStream& stream, Message& request, Message& into,
                                        StreamAnswer& answer) {
  Task<bool> write = stream.WriteMoved(request);
  const bool written = co_await std::move(write);
  if (written) {
    Task<void> done = stream.WritesDone();
    co_await std::move(done);
  }
  for (;;) {
    Task<bool> read = stream.Read(into);
    const bool got = co_await std::move(read);
    if (!got) break;
    Task<bool> send = answer.Send(into);
    const bool sent = co_await std::move(send);
    if (!sent) {
      absl::Status reason = answer.failure();
      if (reason.ok()) reason = absl::CancelledError("the peer is gone");
      stream.Cancel(reason);
      co_return reason;
    }
  }
  Task<absl::Status> finish = stream.Finish();
  absl::Status status = co_await std::move(finish);
  co_return status;
}

// What is read of a stream of requests, one message after the other.
class LineReader final {
 public:
  LineReader(Routed routed, bool raw, const BodyFormat& format)
      : routed_(routed),
        raw_(raw),
        format_(format),
        lines_(routed.call.rules().options.limits.message),
        gzip_(routed.call.rules().options.limits.stream_body) {}

  // False at the end, or with a refusal.
  [[nodiscard]] Task<bool> Next(Message* into, Refusal* refusal) {
    for (;;) {
      std::optional<std::string_view> line = Take();
      if (!line && ended_ && !raw_) line = lines_.Last();
      if (line) {
        ++count_;
        absl::Status filled =
            FillRequest(routed_.route.binding, routed_.Parts(*line, format_.content_type),
                        routed_.transcode, into);
        if (!filled.ok()) {
          *refusal = Refusal(Located(filled));
          co_return false;
        }
        co_return true;
      }
      if (!lines_.status().ok()) {
        *refusal = Refusal(Located(lines_.status()), 413);
        co_return false;
      }
      if (ended_) co_return false;
      chunk_.clear();
      plain_.clear();
      Task<bool> read = routed_.call.exchange().Read(&chunk_);
      absl::StatusOr<bool> got = co_await AsStatusOr(std::move(read));
      absl::Status status = got.status();
      if (status.ok()) ended_ = !*got;
      if (status.ok() && format_.gzip) {
        status = gzip_.Add(chunk_, &plain_);
        if (status.ok() && ended_) status = gzip_.End();
      }
      if (!status.ok()) {
        *refusal = RefusalOfBody(std::move(status));
        co_return false;
      }
      const std::string& bytes = format_.gzip ? plain_ : chunk_;
      if (raw_) {
        piece_ = bytes;
      } else {
        lines_.Add(bytes);
      }
    }
  }

 private:
  [[nodiscard]] std::optional<std::string_view> Take() {
    if (!raw_) return lines_.Next();
    if (piece_.empty()) return std::nullopt;
    taken_ = std::exchange(piece_, {});
    return taken_;
  }
  [[nodiscard]] absl::Status Located(const absl::Status& status) const {
    if (raw_) return status;
    absl::Status located(status.code(), absl::StrCat("line ", count_, ": ", status.message()));
    status.ForEachPayload([&](absl::string_view type, const absl::Cord& payload) {
      located.SetPayload(type, payload);
    });
    return located;
  }

  const Routed routed_;
  const bool raw_;
  const BodyFormat format_;
  JsonLines lines_;
  GzipReader gzip_;
  std::string chunk_;
  std::string plain_;
  std::string piece_;
  std::string taken_;
  std::size_t count_ = 0;
  bool ended_ = false;
};

}  // namespace

Task<void> ServeServerStream(Routed routed) {
  InboundCall& call = routed.call;
  const Route& route = routed.route;
  const MethodDescriptor& method = *route.method;
  std::optional<Format> format = Format::kRaw;
  if (!route.raw_response) format = Choose(call);
  Refusal refusal;
  if (!format) {
    refusal = Refusal(
        absl::InvalidArgumentError("Accept: there is text/event-stream, application/x-ndjson and "
                                   "application/json here, and nothing else"),
        406);
  }
  const std::unique_ptr<Message> request(method.request().New());
  if (refusal.ok()) {
    Task<Refusal> read = ReadRequest(routed, request.get());
    refusal = co_await std::move(read);
  }
  OutgoingCall outgoing(method);
  if (refusal.ok()) refusal.status = call.Prepare(/*streams=*/true, &outgoing);
  if (!refusal.ok()) {
    Task<void> refuse = call.Refuse(std::move(refusal.status), refusal.code, nullptr);
    co_await std::move(refuse);
    co_return;
  }
  // The first message may be long in coming.
  call.exchange().set_streaming();
  const std::unique_ptr<Message> message(method.response().New());
  StreamAnswer answer(routed, *format);
  // The keep-alive ends with the call, and not with the request's context.
  const ContextRef beside = ContextRef::Adopt(Context::NewChild(&call, Context::Nesting::kShare));
  std::optional<JoinHandle<void>> alive;
  const std::chrono::milliseconds interval = call.rules().options.sse_keepalive;
  if (*format == Format::kEvents && interval.count() > 0) {
    alive.emplace(internal::SpawnIn(ContextRef(beside.get()), answer.KeepAlive(interval)));
  }
  absl::Status status;
  {
    const std::unique_ptr<ClientStream> stream = route.channel->Open(outgoing);
    Task<absl::Status> pass = PassOn(*stream, *request, *message, answer);
    absl::StatusOr<absl::Status> passed = co_await AsStatusOr(std::move(pass));
    status = passed.ok() ? *std::move(passed) : std::move(passed).status();
  }
  if (alive) {
    beside->cancel_source().Cancel(absl::CancelledError("the stream has ended"));
    (void)co_await AsStatusOr(*std::move(alive));
  }
  Task<void> end = answer.End(ForPeer(status), outgoing);
  co_await std::move(end);
}

Task<void> ServeClientStream(Routed routed) {
  InboundCall& call = routed.call;
  const Route& route = routed.route;
  const MethodDescriptor& method = *route.method;
  HttpExchange& exchange = call.exchange();
  const std::uint64_t limit = call.rules().options.limits.stream_body;
  exchange.set_streaming();
  exchange.set_body_limit(limit == 0 ? std::numeric_limits<std::uint64_t>::max() : limit);
  BodyFormat format;
  Refusal refusal;
  if (!route.raw_response && call.Header("accept")) refusal = CheckAccept(call);
  if (refusal.ok()) refusal = CheckBody(call, route.raw_request, /*lines=*/true, &format);
  OutgoingCall outgoing(method);
  if (refusal.ok()) refusal.status = call.Prepare(/*streams=*/true, &outgoing);
  if (!refusal.ok()) {
    Task<void> refuse = call.Refuse(std::move(refusal.status), refusal.code, nullptr);
    co_await std::move(refuse);
    co_return;
  }
  const std::unique_ptr<Message> request(method.request().New());
  const std::unique_ptr<Message> response(method.response().New());
  bool answered = false;
  absl::Status status;
  {
    const std::unique_ptr<ClientStream> stream = route.channel->Open(outgoing);
    LineReader lines(routed, route.raw_request, format);
    for (;;) {
      request->Clear();
      Task<bool> next = lines.Next(request.get(), &refusal);
      const bool got = co_await std::move(next);
      if (!got) break;
      Task<bool> write = stream->WriteMoved(*request);
      const bool written = co_await std::move(write);
      if (!written) break;
    }
    if (!refusal.ok()) {
      stream->Cancel(absl::CancelledError("the caller's stream broke off"));
    } else {
      Task<void> done = stream->WritesDone();
      co_await std::move(done);
      Task<bool> read = stream->Read(*response);
      answered = co_await std::move(read);
    }
    Task<absl::Status> finish = stream->Finish();
    status = co_await std::move(finish);
  }
  if (!refusal.ok()) {
    Task<void> refuse = call.Refuse(std::move(refusal.status), refusal.code, nullptr);
    co_await std::move(refuse);
    co_return;
  }
  if (status.ok() && !answered) status = absl::InternalError("the call ended without an answer");
  Task<void> answer = AnswerUnary(routed, outgoing, *response, std::move(status));
  co_await std::move(answer);
}

}  // namespace rookery::internal::gateway
