// The client side: events that are awaited until they are stored, calls by request and reply
// topics, and records of any kind.
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "connection.h"
#include "events.h"
#include "options.h"
#include "rookery/annotations.pb.h"
#include "rookery/rpc/channel.h"
#include "rookery/rpc/message_client.h"
#include "rookery/rpc/transport.h"
#include "rookery/runtime/event.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/offload.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/runtime/sleep.h"
#include "rookery/runtime/spawn.h"
#include "rookery/transports/kafka.h"
#include "runtime/abseil_strings.h"
#include "runtime/shared_loop.h"

namespace rookery {
namespace kafka_adapter {

using google::protobuf::Message;
using internal::Abs;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

std::string EventKeys::Of(const MethodDescriptor& method, const Message& event) {
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

absl::Status EncodeEvent(const Kafka& options, std::string topic, std::string_view type,
                         std::string key, const Message& event, const Metadata& metadata,
                         EncodedEvent* encoded) {
  encoded->topic = std::move(topic);
  absl::Status status = CheckTopic(encoded->topic);
  const WireCodec codec = options.json ? WireCodec::kJson : WireCodec::kProtobuf;
  if (status.ok()) status = EncodePayload(codec, event, options.max_send_bytes, &encoded->body);
  if (!status.ok()) return status;
  OutboundMessage& out = encoded->out;
  out.Add(kContentTypeHeader, ContentTypeOf(codec));
  // An id that the caller chose stays the same when the event is sent again.
  if (!metadata.Has("ce-id")) {
    const std::string source =
        options.event_source.empty() ? NameOf(options) : options.event_source;
    AddCloudEvent(NewCloudEvent(source, type), kEventPrefix, &out);
  }
  if (const auto said = metadata.Get("ce-partitionkey")) {
    encoded->key = PercentDecode(*said);
  } else {
    encoded->key = std::move(key);
  }
  AddMetadata(metadata, "", &out);
  OutRecord& record = encoded->record;
  AddHeaders(out, &record);
  record.topic = encoded->topic;
  record.value = encoded->body;
  if (!encoded->key.empty()) record.key = encoded->key;
  return absl::OkStatus();
}

namespace {

// The loop that reads for all clients of the process. It ends with the last of them.
std::shared_ptr<LoopPool> ClientLoops() {
  static internal::SharedLoop shared("kafka-client");
  return shared.Get();
}

class Link final : public MessageClientLink {
 public:
  Link(Kafka options, std::shared_ptr<Producer> producer, Loop& loop)
      : options_(std::move(options)), producer_(std::move(producer)) {
    inbox_ = std::make_shared<Inbox>(
        options_, loop, [this](std::string_view, const RecordInfo& info, InboundMessage message) {
          if (!info.correlation) return;
          const std::optional<std::uint64_t> id = inbox_->IdOf(*info.correlation);
          if (id) receiver_.OnFrame(*id, std::move(message));
        });
  }
  ~Link() override { inbox_->Close(); }

  absl::Status Send(const OutboundMessage& message) override {
    OutRecord record;
    FillRecord(message, &record);
    if (record.value && record.value->size() > options_.max_send_bytes) {
      return absl::ResourceExhaustedError("the message is larger than max_send_bytes");
    }
    Producer::Done done;
    const auto reply = ParseReplyAddress(message.reply_to);
    const std::optional<std::uint64_t> id = reply ? inbox_->IdOf(reply->correlation) : std::nullopt;
    if (id) {
      done = [receiver = receiver_, id = *id](const absl::Status& status, const KafkaPosition&) {
        if (!status.ok()) receiver.FailCall(id, status);
      };
    }
    return producer_->Produce(record, std::move(done));
  }
  std::string AddressOf(std::uint64_t id) const override { return inbox_->AddressOf(id); }
  absl::StatusOr<std::string> AddressOfMethod(const MethodDescriptor& method) const override {
    std::string topic = RequestTopic(options_, method);
    absl::Status checked = CheckTopic(topic);
    if (!checked.ok()) return checked;
    return absl::StrCat(topic, "|", Abs(method.full_name));
  }
  std::string CancelAddressOf(const MethodDescriptor&) const override {
    return absl::StrCat(CancelTopic(options_), "|");
  }
  absl::Status Ready() const override {
    if (producer_->state() == ConnectionState::kTransientFailure) {
      return absl::UnavailableError(
          absl::StrCat("no broker of ", options_.brokers, " can be reached"));
    }
    if (inbox_->is_open()) return absl::OkStatus();
    const std::scoped_lock lock(mutex_);
    return why_.ok() ? absl::UnavailableError(absl::StrCat("the reply topic at ", options_.brokers,
                                                           " is not there yet"))
                     : why_;
  }
  void set_receiver(MessageClient::Inbox receiver) { receiver_ = std::move(receiver); }

  // Makes the reply topic, and reads it; once, and again after it has failed. Not waited for: what
  // is returned is set when this attempt, or the one that was under way, has ended.
  static std::shared_ptr<Event> Open(const std::shared_ptr<Link>& link) {
    std::shared_ptr<Event> tried;
    {
      const std::scoped_lock lock(link->mutex_);
      if (link->opening_ || link->inbox_->is_open()) return link->tried_;
      link->opening_ = true;
      link->tried_ = tried = std::make_shared<Event>();
    }
    const ContextRef root = ContextRef::Adopt(Context::NewChild(nullptr));
    const ContextScope own(root.get());
    SpawnOn(link->producer_->loop(), OpenLater(link)).Detach();
    return tried;
  }
  [[nodiscard]] bool is_open() const noexcept { return inbox_->is_open(); }

 private:
  static Task<void> OpenLater(std::shared_ptr<Link> link) {
    Link* const raw = link.get();
    auto open = [raw] {
      return raw->inbox_->Open(raw->producer_->handle(), {},
                               steady_clock::now() + raw->options_.connect_timeout);
    };
    const absl::Status opened = co_await Offload(std::move(open));
    std::shared_ptr<Event> tried;
    {
      const std::scoped_lock lock(link->mutex_);
      link->opening_ = false;
      tried = link->tried_;
      link->why_ =
          opened.ok() ? opened
                      : absl::Status(opened.code(), absl::StrCat("the reply topic cannot be read: ",
                                                                 opened.message()));
    }
    tried->Set();
    // Streams wait inside of the engine.
    if (!opened.ok() && !link->options_.wait_for_ready) link->receiver_.FailAll(link->Ready());
  }

  const Kafka options_;
  const std::shared_ptr<Producer> producer_;
  std::shared_ptr<Inbox> inbox_;
  MessageClient::Inbox receiver_;  // set before anything is sent
  mutable std::mutex mutex_;
  absl::Status why_;  // guarded by mutex_, as is what follows
  bool opening_ = false;
  std::shared_ptr<Event> tried_;  // the last attempt's; once there is one it stays
};

class KafkaChannel final : public Channel {
 public:
  KafkaChannel(const Kafka& options, std::shared_ptr<LoopPool> loops,
               std::shared_ptr<Producer> producer)
      : options_(options),
        loops_(std::move(loops)),
        producer_(std::move(producer)),
        link_(std::make_shared<Link>(options, producer_, (*loops_)[0])),
        client_((*loops_)[0], link_, ClientOptions(options)) {
    link_->set_receiver(client_.inbox());
  }
  ~KafkaChannel() override { Close(); }

  std::string_view transport() const noexcept override { return "kafka"; }
  std::string target() const override { return options_.brokers; }
  ConnectionState state() const noexcept override {
    return closed_.load() ? ConnectionState::kShutdown : producer_->state();
  }
  Task<void> Unary(OutgoingCall& call, const Message& request, Message& response) override {
    if (call.method->kind == MethodKind::kEvent) {
      return WithCancellation(WithDeadline(Publish(call, request), call.deadline), call.cancel);
    }
    call.wait_for_ready = call.wait_for_ready || options_.wait_for_ready;
    if (link_->is_open() || closed_.load()) [[likely]] {
      return client_.Unary(call, request, response);
    }
    return CallWhenOpen(call, request, response);
  }
  std::unique_ptr<ClientStream> Open(OutgoingCall& call) override {
    call.wait_for_ready = call.wait_for_ready || options_.wait_for_ready;
    if (!link_->is_open() && !closed_.load()) {
      Link::Open(link_);
      call.wait_for_ready = true;
    }
    return client_.Open(call);
  }
  void Connect() noexcept override { Link::Open(link_); }
  void Close() noexcept override {
    closed_.store(true);
    client_.Close();
  }

 private:
  static MessageClient::Options ClientOptions(const Kafka& options) {
    MessageClient::Options client;
    client.target = options.brokers;
    client.max_receive_bytes = options.max_receive_bytes;
    client.max_send_bytes = options.max_send_bytes;
    client.window_bytes = options.window_bytes;
    client.keepalive = options.keepalive;
    client.codec = options.json ? WireCodec::kJson : WireCodec::kProtobuf;
    client.event_source = options.event_source.empty() ? NameOf(options) : options.event_source;
    return client;
  }

  // Calls wait for the reply topic while it is being made.
  Task<void> CallWhenOpen(OutgoingCall& call, const Message& request, Message& response) {
    const std::shared_ptr<Link> link = link_;
    Task<void> wait =
        WithCancellation(WithDeadline(WaitFor(Link::Open(link)), call.deadline), call.cancel);
    co_await std::move(wait);
    Task<void> unary = client_.Unary(call, request, response);
    co_await std::move(unary);
  }
  static Task<void> WaitFor(std::shared_ptr<Event> event) { co_await event->Wait(); }

  Task<void> Publish(OutgoingCall& call, const Message& event) {
    const std::shared_ptr<Producer> producer = producer_;
    if (closed_.load()) {
      co_await Fail(absl::UnavailableError("the channel is closed"));
    }
    const std::string_view type =
        call.method->pattern.empty() ? call.method->full_name : call.method->pattern;
    EncodedEvent encoded;
    std::string topic = EventTopic(options_, *call.method);
    std::string key = keys_.Of(*call.method, event);
    // The call's deadline is for publishing alone: what is stored is to be handled, however late.
    // Who wants it otherwise gives ce-expirytime in the metadata.
    absl::Status status = EncodeEvent(options_, std::move(topic), type, std::move(key), event,
                                      call.metadata, &encoded);
    if (!status.ok()) co_await Fail(std::move(status));
    call.peer = options_.brokers;
    Task<KafkaPosition> sent = producer->Send(encoded.record);
    co_await std::move(sent);
  }

  const Kafka options_;
  const std::shared_ptr<LoopPool> loops_;
  const std::shared_ptr<Producer> producer_;
  const std::shared_ptr<Link> link_;
  MessageClient client_;
  EventKeys keys_;
  std::atomic<bool> closed_{false};
};

}  // namespace
}  // namespace kafka_adapter

std::shared_ptr<Channel> MakeChannel(const Kafka& options) {
  if (absl::Status checked = CheckKafkaOptions(options); !checked.ok()) {
    throw RpcException(std::move(checked));
  }
  kafka_adapter::WarnOfUnsafe(options);
  std::shared_ptr<LoopPool> loops = kafka_adapter::ClientLoops();
  auto producer = kafka_adapter::Producer::Open(options, (*loops)[0], loops);
  if (!producer.ok()) throw RpcException(producer.status());
  return std::make_shared<kafka_adapter::KafkaChannel>(options, std::move(loops),
                                                       *std::move(producer));
}

std::shared_ptr<Channel> MakeChannel(const Kafka& options, TransportHost& /*host*/) {
  return MakeChannel(options);
}

// ---- KafkaProducer ------------------------------------------------------------------------------

class KafkaProducer::Impl {
 public:
  Impl(std::shared_ptr<LoopPool> loops, std::shared_ptr<kafka_adapter::Producer> sender)
      : keep(std::move(loops)), producer(std::move(sender)) {}
  const std::shared_ptr<LoopPool> keep;
  const std::shared_ptr<kafka_adapter::Producer> producer;
};

std::shared_ptr<KafkaProducer> KafkaProducer::Open(const Kafka& options) {
  if (absl::Status checked = CheckKafkaOptions(options); !checked.ok()) {
    throw RpcException(std::move(checked));
  }
  kafka_adapter::WarnOfUnsafe(options);
  std::shared_ptr<LoopPool> loops = kafka_adapter::ClientLoops();
  auto producer = kafka_adapter::Producer::Open(options, (*loops)[0], loops);
  if (!producer.ok()) throw RpcException(producer.status());
  return std::make_shared<KafkaProducer>(
      std::make_shared<Impl>(std::move(loops), *std::move(producer)));
}

KafkaProducer::KafkaProducer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

KafkaProducer::~KafkaProducer() {
  impl_->producer->FlushBlocking(impl_->producer->options().delivery_timeout);
  impl_->producer->Close();
}

Task<KafkaPosition> KafkaProducer::Send(KafkaRecord record) {
  const std::shared_ptr<kafka_adapter::Producer> producer = impl_->producer;
  const std::size_t limit = producer->options().max_send_bytes;
  if (record.value && record.value->size() > limit) {
    co_return absl::ResourceExhaustedError(absl::StrCat(
        "the record has ", record.value->size(), " bytes, and Kafka::max_send_bytes is ", limit));
  }
  kafka_adapter::OutRecord out = kafka_adapter::ViewOf(record);
  Task<KafkaPosition> send = producer->Send(out);
  KafkaPosition at = co_await std::move(send);
  co_return at;
}

Task<void> KafkaProducer::Flush() { return impl_->producer->Flush(); }

std::size_t KafkaProducer::pending() const noexcept { return impl_->producer->pending(); }

}  // namespace rookery
