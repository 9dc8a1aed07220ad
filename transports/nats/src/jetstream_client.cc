// The publishing side of JetStream: a call to an event ends when the stream has stored it.
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "connection.h"
#include "jetstream_api.h"
#include "options.h"
#include "rookery/annotations.pb.h"
#include "rookery/rpc/channel.h"
#include "rookery/rpc/transport.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/semaphore.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/sync_wait.h"
#include "rookery/transports/jetstream.h"
#include "rpc/worker_key.h"
#include "runtime/abseil_strings.h"

namespace rookery {
namespace nats_adapter {
namespace {

using google::protobuf::Message;
using internal::Abs;
using std::chrono::milliseconds;

class JetStreamChannel final : public Channel {
 public:
  JetStreamChannel(const JetStream& options, std::shared_ptr<JsClient> client)
      : options_(options),
        target_(PublicUrl(options.nats.url)),
        client_(std::move(client)),
        pending_(options.max_pending_events) {}
  ~JetStreamChannel() override { Close(); }

  std::string_view transport() const noexcept override { return "jetstream"; }
  std::string target() const override { return target_; }
  ConnectionState state() const noexcept override {
    return closed_.load() ? ConnectionState::kShutdown : client_->connection().state();
  }

  Task<void> Unary(OutgoingCall& call, const Message& request, Message& response) override {
    if (call.method->kind != MethodKind::kEvent) return Core()->Unary(call, request, response);
    return WithCancellation(WithDeadline(Publish(call, request), call.deadline), call.cancel);
  }
  std::unique_ptr<ClientStream> Open(OutgoingCall& call) override { return Core()->Open(call); }
  void Close() noexcept override {
    closed_.store(true);
    const std::scoped_lock lock(mutex_);
    if (core_ != nullptr) core_->Close();
  }

 private:
  // For what is no event; most have no use for it.
  std::shared_ptr<Channel> Core() {
    const std::scoped_lock lock(mutex_);
    if (core_ == nullptr) {
      core_ = MakeChannel(options_.nats);
      if (closed_.load()) core_->Close();
    }
    return core_;
  }

  // The event's key by its proto; empty: none.
  std::string KeyOf(const MethodDescriptor& method, const Message& event) {
    if (method.proto == nullptr) return "";
    const std::scoped_lock lock(mutex_);
    const auto [found, is_new] = keys_.try_emplace(method.full_name);
    if (is_new) {
      const auto* const proto = method.proto();
      if (proto != nullptr && proto->options().HasExtension(rookery::event)) {
        const std::string& field = proto->options().GetExtension(rookery::event).key();
        auto path = internal::KeyPathOf(field, *event.GetDescriptor());
        if (!field.empty() && path.ok()) found->second = *std::move(path);
      }
    }
    return found->second.empty() ? "" : internal::KeyAt(found->second, event);
  }

  Task<void> Publish(OutgoingCall& call, const Message& event) {
    const std::shared_ptr<JsClient> client = client_;
    if (closed_.load()) {
      co_await Fail(absl::UnavailableError("the channel is closed"));
    }
    const Semaphore::Permit permit = co_await pending_.Acquire();
    OutboundMessage out;
    const std::string subject = SubjectOf(options_.nats, *call.method);
    std::string body;
    absl::Status status = CheckSubject(subject, /*wildcards=*/false);
    const WireCodec codec = options_.nats.json ? WireCodec::kJson : WireCodec::kProtobuf;
    if (status.ok()) {
      status = EncodePayload(codec, event, options_.nats.max_send_bytes, &body);
    }
    if (!status.ok()) co_await Fail(std::move(status));
    out.to = subject;
    AddFrame({.kind = WireFrame::Kind::kEvent}, &out);
    out.Add(kContentTypeHeader, ContentTypeOf(codec));
    // An id that the caller chose stays the same when the event is sent again.
    if (!call.metadata.Has("ce-id")) {
      const std::string_view type =
          call.method->pattern.empty() ? call.method->full_name : call.method->pattern;
      const std::string source =
          options_.nats.event_source.empty() ? NameOf(options_.nats) : options_.nats.event_source;
      AddCloudEvent(NewCloudEvent(source, type), "ce-", &out);
    }
    if (!call.metadata.Has("ce-partitionkey")) {
      const std::string key = KeyOf(*call.method, event);
      if (!key.empty()) out.AddKept("ce-partitionkey", PercentEncode(key));
    }
    // The call's deadline is for publishing alone: what is stored is to be handled, however late.
    // Who wants it otherwise gives ce-expirytime in the metadata.
    AddMetadata(call.metadata, "", &out);
    out.body = body;
    call.peer = target_;
    const bool patient = call.wait_for_ready || options_.nats.wait_for_ready;
    milliseconds pause = options_.nats.reconnect_wait;
    for (int attempt = 1;; ++attempt) {
      // The same id each time: the stream stores it once.
      Task<Json> publish = client->Publish(&out, options_.ack_timeout);
      const absl::StatusOr<Json> stored = co_await AsStatusOr(std::move(publish));
      if (stored.ok()) co_return;
      status = stored.status();
      const bool worth_it = status.code() == absl::StatusCode::kUnavailable ||
                            status.code() == absl::StatusCode::kDeadlineExceeded;
      const bool more = patient || attempt < options_.publish_attempts;
      if (!worth_it || !more || closed_.load()) break;
      // Fails when the call's own deadline is over, or it is cancelled.
      co_await Sleep(pause);
      pause = std::min(pause * 2, options_.nats.max_reconnect_wait);
    }
    absl::Status failed(
        status.code(),
        absl::StrCat("the event ", subject, " is not known to be stored: ", status.message()));
    co_await Fail(std::move(failed));
  }

  const JetStream options_;
  const std::string target_;
  const std::shared_ptr<JsClient> client_;
  Semaphore pending_;
  std::atomic<bool> closed_{false};
  std::mutex mutex_;
  std::shared_ptr<Channel> core_;                                  // guarded by mutex_
  absl::flat_hash_map<std::string_view, internal::KeyPath> keys_;  // the same
};

Task<void> SetUp(std::shared_ptr<JsClient> client, JetStream options) {
  Task<absl::Status> set_up = client->SetUpStream(options.stream, options.setup, options.config);
  absl::Status status = co_await std::move(set_up);
  if (!status.ok()) co_await Fail(std::move(status));
}

}  // namespace
}  // namespace nats_adapter

std::shared_ptr<Channel> MakeChannel(const JetStream& options) {
  using nats_adapter::JsClient;
  if (absl::Status checked = CheckJetStreamOptions(options); !checked.ok()) {
    throw RpcException(std::move(checked));
  }
  const std::shared_ptr<LoopPool> loops = nats_adapter::ClientLoops();
  auto client = JsClient::Open(options.nats, (*loops)[0], /*background=*/true, {}, loops);
  if (!client.ok()) throw RpcException(client.status());
  if (options.setup == StreamSetup::kUpdate) SyncWait(nats_adapter::SetUp(*client, options));
  return std::make_shared<nats_adapter::JetStreamChannel>(options, *std::move(client));
}

std::shared_ptr<Channel> MakeChannel(const JetStream& options, TransportHost& /*host*/) {
  return MakeChannel(options);
}

}  // namespace rookery
