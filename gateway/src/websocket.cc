#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <google/protobuf/message.h>

#include "absl/strings/str_cat.h"
#include "calls.h"
#include "rookery/rpc/channel.h"
#include "rookery/rpc/status.h"
#include "rookery/runtime/await.h"
#include "rookery/runtime/spawn.h"
#include "runtime/abseil_strings.h"
#include "transcode.h"

namespace rookery::internal::gateway {
namespace {

using google::protobuf::Message;

// RFC 6455 7.4: 1000 normal, 1003 unsupported data, 4000 and up: ours, with gRPC's code.
constexpr std::uint16_t kNormal = 1000;
constexpr std::uint16_t kUnsupported = 1003;
constexpr std::uint16_t kStatusBase = 4000;

// What comes from the peer, on its way to the call. The call ends with whatever goes wrong here.
class Incoming final {
 public:
  Incoming(Routed routed, WebSocket& socket, ClientStream& stream, Message& request)
      : routed_(routed), socket_(socket), stream_(stream), request_(request) {}

  // Until the peer has closed, or said that it sends no more (an empty message).
  [[nodiscard]] Task<void> Pump() {
    for (;;) {
      Task<bool> next = Next();
      absl::StatusOr<bool> got = co_await AsStatusOr(std::move(next));
      if (!got.ok()) {
        failure_ = std::move(got).status();
        stream_.Cancel(failure_);
        break;
      }
      if (closed_) {
        stream_.Cancel(absl::CancelledError("the peer has closed the WebSocket"));
        break;
      }
      if (!*got) {
        if (!done_) {
          done_ = true;
          Task<void> done = stream_.WritesDone();
          co_await std::move(done);
        }
        continue;  // to hear of the peer's going
      }
      if (done_) continue;  // it said that it would send no more
      Task<bool> write = stream_.WriteMoved(request_);
      const bool written = co_await std::move(write);
      // The call has ended; its status is on its way to the peer.
      if (!written) done_ = true;
    }
  }
  // The next message into the request; false for an empty one, or when the peer has closed.
  [[nodiscard]] Task<bool> Next() {
    WebSocketKind kind = WebSocketKind::kText;
    Task<bool> read = socket_.Read(&text_, &kind);
    const bool got = co_await std::move(read);
    if (!got) {
      closed_ = true;
      co_return false;
    }
    if (kind != WebSocketKind::kText) {
      unsupported_ = true;
      co_return absl::InvalidArgumentError("binary messages cannot be read here; JSON as text can");
    }
    if (text_.empty()) co_return false;
    request_.Clear();
    absl::Status filled =
        FillRequest(routed_.route.binding, routed_.Parts(text_, "application/json"),
                    routed_.transcode, &request_);
    if (!filled.ok()) co_return std::move(filled);
    co_return true;
  }
  [[nodiscard]] bool closed() const noexcept { return closed_; }
  [[nodiscard]] bool unsupported() const noexcept { return unsupported_; }
  [[nodiscard]] const absl::Status& failure() const noexcept { return failure_; }

 private:
  const Routed routed_;
  WebSocket& socket_;
  ClientStream& stream_;
  Message& request_;
  std::string text_;
  bool closed_ = false;
  bool done_ = false;
  bool unsupported_ = false;
  absl::Status failure_;
};

// What comes from the call, on its way to the peer; the call's status.
[[nodiscard]] Task<absl::Status> PassOn(Routed routed, ClientStream& stream, WebSocket& socket,
                                        Message& into) {
  std::string text;
  std::string content_type;
  for (;;) {
    Task<bool> read = stream.Read(into);
    const bool got = co_await std::move(read);
    if (!got) break;
    text.clear();
    absl::Status written =
        AppendResponse(routed.route.binding, into, routed.transcode, &text, &content_type);
    if (!written.ok()) {
      written = absl::InternalError(
          absl::StrCat("a message cannot be written as JSON: ", written.message()));
      stream.Cancel(written);
      co_return written;
    }
    const WebSocketKind kind =
        routed.route.raw_response ? WebSocketKind::kBinary : WebSocketKind::kText;
    Task<bool> write = socket.Write(text, kind);
    const bool sent = co_await std::move(write);
    if (!sent) {
      absl::Status gone = absl::CancelledError("the peer is gone");
      stream.Cancel(gone);
      co_return gone;
    }
  }
  Task<absl::Status> finish = stream.Finish();
  absl::Status status = co_await std::move(finish);
  co_return status;
}

}  // namespace

Task<void> ServeWebSocket(Routed routed) {
  InboundCall& call = routed.call;
  const Route& route = routed.route;
  const MethodDescriptor& method = *route.method;
  OutgoingCall outgoing(method);
  const std::unique_ptr<Message> request(method.request().New());
  const std::unique_ptr<Message> response(method.response().New());
  // Without a body the one request is in the URL, and must be right before the upgrade.
  const bool from_url = !route.binding.takes_body();
  absl::Status status = call.Prepare(/*streams=*/true, &outgoing);
  if (status.ok() && from_url) {
    status = FillRequest(route.binding, routed.Parts("", ""), routed.transcode, request.get());
  }
  if (!status.ok()) {
    Task<void> refuse = call.Refuse(std::move(status));
    co_await std::move(refuse);
    co_return;
  }
  const HttpResponseHead head = call.Head(101, nullptr);
  Task<std::unique_ptr<WebSocket>> upgrade =
      call.exchange().UpgradeToWebSocket(head, call.rules().options.limits.message);
  const std::unique_ptr<WebSocket> socket = co_await std::move(upgrade);
  if (socket == nullptr) co_return;

  const std::unique_ptr<ClientStream> stream = route.channel->Open(outgoing);
  Incoming incoming(routed, *socket, *stream, *request);
  std::optional<JoinHandle<void>> pump;
  if (HasRequestStream(method.kind)) {
    pump.emplace(Spawn(incoming.Pump()));
  } else {
    if (!from_url) {
      Task<bool> next = incoming.Next();
      absl::StatusOr<bool> got = co_await AsStatusOr(std::move(next));
      status = got.status();
      if (status.ok() && !*got) {
        status = incoming.closed()
                     ? absl::CancelledError("the peer has closed the WebSocket")
                     : absl::InvalidArgumentError("the one message of the request was empty");
      }
    }
    if (status.ok()) {
      Task<bool> write = stream->Write(*request);
      const bool written = co_await std::move(write);
      if (written) {
        Task<void> done = stream->WritesDone();
        co_await std::move(done);
      }
      // From here on it listens for the peer's going.
      pump.emplace(Spawn(incoming.Pump()));
    } else {
      stream->Cancel(status);
    }
  }
  if (status.ok()) {
    Task<absl::Status> pass = PassOn(routed, *stream, *socket, *response);
    absl::StatusOr<absl::Status> passed = co_await AsStatusOr(std::move(pass));
    status = passed.ok() ? *std::move(passed) : std::move(passed).status();
  }
  if (!incoming.failure().ok()) status = incoming.failure();
  status = ForPeer(status);
  if (!incoming.closed()) {
    std::uint16_t code = kNormal;
    if (!status.ok()) {
      code = incoming.unsupported()
                 ? kUnsupported
                 : static_cast<std::uint16_t>(kStatusBase + static_cast<int>(status.code()));
      const std::string told = absl::StrCat("{\"error\":", StatusAsJson(status), "}");
      Task<bool> write = socket->Write(told, WebSocketKind::kText);
      (void)co_await std::move(write);
    }
    Task<void> close = socket->Close(code, Std(status.message()));
    (void)co_await AsStatusOr(std::move(close));
  }
  if (pump) (void)co_await AsStatusOr(*std::move(pump));
}

}  // namespace rookery::internal::gateway
