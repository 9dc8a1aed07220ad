#include "calls.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gzip.h"
#include "headers.h"
#include "rookery/rpc/status.h"
#include "rookery/runtime/await.h"
#include "runtime/abseil_strings.h"
#include "transcode.h"

namespace rookery::internal::gateway {
namespace {

using google::protobuf::Message;

[[nodiscard]] bool IsJson(const MediaType& media) {
  return (media.type == "application" &&
          (media.subtype == "json" || media.subtype.ends_with("+json"))) ||
         (media.type == "text" && media.subtype == "json");
}
[[nodiscard]] bool IsJsonLines(const MediaType& media) {
  return media.type == "application" &&
         (media.subtype == "x-ndjson" || media.subtype == "ndjson" || media.subtype == "jsonl" ||
          media.subtype == "x-jsonl" || media.subtype == "json-lines");
}

}  // namespace

Refusal CheckBody(InboundCall& call, bool raw, bool lines, BodyFormat* format) {
  const std::string coding = Lower(TrimSpace(call.Joined("content-encoding")));
  if (coding == "gzip" || coding == "x-gzip") {
    format->gzip = true;
  } else if (!coding.empty() && coding != "identity") {
    call.AddResponseHeader("Accept-Encoding", "gzip");
    return {absl::InvalidArgumentError(
                absl::StrCat("Content-Encoding: ", coding, " cannot be read here; gzip can")),
            415};
  }
  format->content_type = call.Header("content-type").value_or("");
  if (raw) return {};
  // Pages may post what has no type to other origins without asking first.
  const bool untyped = TrimSpace(format->content_type).empty();
  if (untyped && !call.Header("origin")) return {};
  const std::optional<MediaType> media = ParseMediaType(format->content_type);
  const bool fits = media && (IsJson(*media) || (lines && IsJsonLines(*media)));
  const auto charset = media ? media->Parameter("charset") : std::nullopt;
  if (fits && (!charset || Lower(*charset) == "utf-8")) return {};
  const std::string_view takes = lines ? "application/x-ndjson" : "application/json";
  call.AddResponseHeader("Accept", takes);
  return {absl::InvalidArgumentError(absl::StrCat("Content-Type: ", Abs(format->content_type),
                                                  " cannot be read here; ", Abs(takes),
                                                  " in UTF-8 can")),
          415};
}

Refusal CheckAccept(const InboundCall& call) {
  const std::string accept = call.Joined("accept");
  if (WeighMediaType(accept, "application/json") > 0) return {};
  std::string_view list = accept;
  while (const auto member = NextListed(&list)) {
    const std::optional<MediaType> media = ParseMediaType(*member);
    if (!media || !IsJson(*media)) continue;
    // application/vnd.shop+json is JSON, too, unless it is named to be refused.
    if (WeighMediaType(*member, absl::StrCat(media->type, "/", media->subtype)) > 0) return {};
  }
  return {absl::InvalidArgumentError(
              absl::StrCat("Accept: ", accept, ": there is nothing here but application/json")),
          406};
}

Refusal RefusalOfBody(absl::Status status) {
  switch (status.code()) {
    case absl::StatusCode::kResourceExhausted:
      return {std::move(status), 413};
    case absl::StatusCode::kDeadlineExceeded:
      return {std::move(status), 408};
    default:
      return {std::move(status), 0};
  }
}

Task<Refusal> ReadRequest(Routed routed, Message* message) {
  InboundCall& call = routed.call;
  HttpExchange& exchange = call.exchange();
  const Binding& binding = routed.route.binding;
  BodyFormat format;
  std::string held;
  std::string_view body;
  if (binding.takes_body() && exchange.has_body()) {
    Refusal refusal = CheckBody(call, routed.route.raw_request, /*lines=*/false, &format);
    if (!refusal.ok()) co_return std::move(refusal);
    if (const auto buffered = exchange.TakeBuffered(); buffered && !format.gzip) {
      body = *buffered;
    } else {
      GzipReader gzip(call.rules().options.limits.decompressed_body);
      std::string chunk(buffered.value_or(""));
      bool more = !buffered.has_value();
      for (;;) {
        if (more) {
          chunk.clear();
          Task<bool> read = exchange.Read(format.gzip ? &chunk : &held);
          absl::StatusOr<bool> got = co_await AsStatusOr(std::move(read));
          if (!got.ok()) co_return RefusalOfBody(std::move(got).status());
          more = *got;
        }
        if (format.gzip && !chunk.empty()) {
          absl::Status added = gzip.Add(chunk, &held);
          if (!added.ok()) co_return RefusalOfBody(std::move(added));
          chunk.clear();
        }
        if (!more) break;
      }
      if (format.gzip) {
        absl::Status ended = gzip.End();
        if (!ended.ok()) co_return RefusalOfBody(std::move(ended));
      }
      body = held;
    }
  }
  absl::Status filled =
      FillRequest(binding, routed.Parts(body, format.content_type), routed.transcode, message);
  co_return Refusal(std::move(filled));
}

Task<void> AnswerUnary(Routed routed, OutgoingCall& outgoing, const Message& response,
                       absl::Status status) {
  InboundCall& call = routed.call;
  std::string body;
  std::string content_type;
  if (status.ok()) {
    status = AppendResponse(routed.route.binding, response, routed.transcode, &body, &content_type);
    if (!status.ok()) {
      // The handler's answer, not the caller's request, has no JSON.
      status = absl::InternalError(
          absl::StrCat("the answer cannot be written as JSON: ", status.message()));
    }
  }
  if (!status.ok()) {
    Task<void> refuse = call.Refuse(ForPeer(status), 0, &outgoing);
    co_await std::move(refuse);
    co_return;
  }
  HttpResponseHead head = call.Head(call.GoodStatus(outgoing), &outgoing);
  head.Add("Content-Type", content_type);
  std::string packed;
  const std::string_view sent = call.Pack(body, content_type, &head, &packed);
  Task<bool> respond = call.exchange().Respond(head, sent);
  (void)co_await std::move(respond);
}

Task<void> ServeUnary(Routed routed) {
  InboundCall& call = routed.call;
  const Route& route = routed.route;
  const MethodDescriptor& method = *route.method;
  Refusal refusal;
  if (!route.raw_response && call.Header("accept")) refusal = CheckAccept(call);
  const std::unique_ptr<Message> request(method.request().New());
  if (refusal.ok()) {
    Task<Refusal> read = ReadRequest(routed, request.get());
    refusal = co_await std::move(read);
  }
  OutgoingCall outgoing(method);
  if (refusal.ok()) refusal.status = call.Prepare(/*streams=*/false, &outgoing);
  if (!refusal.ok()) {
    Task<void> refuse = call.Refuse(std::move(refusal.status), refusal.code, nullptr);
    co_await std::move(refuse);
    co_return;
  }
  outgoing.owns_request = true;
  const std::unique_ptr<Message> response(method.response().New());
  absl::Status status;
  if (outgoing.cancel.cancelled()) {
    status = outgoing.cancel.reason();
  } else {
    Task<void> unary = route.channel->StartUnary(outgoing, *request, *response);
    if (unary) status = co_await AsStatusOr(std::move(unary));
  }
  Task<void> answer = AnswerUnary(routed, outgoing, *response, std::move(status));
  co_await std::move(answer);
}

}  // namespace rookery::internal::gateway
