// The client side: one connection, one inbox for all replies.
#include <nats/nats.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "connection.h"
#include "options.h"
#include "rookery/rpc/channel.h"
#include "rookery/rpc/message_client.h"
#include "rookery/rpc/transport.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/rpc_exception.h"
#include "rookery/transports/nats.h"
#include "runtime/shared_loop.h"

namespace rookery {
namespace nats_adapter {

// The loop that writes and reads for all clients of the process. nats.c tells of a request that
// reached nobody only to an asynchronous subscription, whose thread it brings: so replies come by
// that thread in any case, and a loop of the application's would gain nothing by reading them.
std::shared_ptr<LoopPool> ClientLoops() {
  static internal::SharedLoop shared("nats-client");
  return shared.Get();
}

namespace {

using google::protobuf::Message;

class Link final : public MessageClientLink {
 public:
  Link(const Nats& options, std::shared_ptr<Connection> connection)
      : options_(options), connection_(std::move(connection)), inbox_(NewInbox(options)) {}
  ~Link() override {
    // On the loop, behind the flush of what was said last: nats.c waits half a second for what is
    // still in its buffer. The subscription goes with the connection.
    Loop& loop = connection_->loop();
    loop.Post(
        [connection = std::move(connection_), subscription = std::move(subscription_)]() mutable {
          connection->Close();
          subscription.reset();
        });
  }

  absl::Status Send(const OutboundMessage& message) override {
    return connection_->Publish(message);
  }
  std::string AddressOf(std::uint64_t id) const override {
    std::string address;
    address.reserve(inbox_.size() + 11);
    address = inbox_;
    AppendBase62(&address, id);
    return address;
  }
  absl::StatusOr<std::string> AddressOfMethod(const MethodDescriptor& method) const override {
    std::string subject = SubjectOf(options_, method);
    absl::Status checked = CheckSubject(subject, /*wildcards=*/false);
    if (!checked.ok()) return checked;
    return subject;
  }
  std::string CancelAddressOf(const MethodDescriptor& method) const override {
    return CancelSubject(options_, GroupOf(method));
  }
  absl::Status Ready() const override {
    absl::Status status = connection_->Ready();
    if (status.ok() && deaf_.load(std::memory_order_acquire)) [[unlikely]] {
      const std::scoped_lock lock(mutex_);
      return why_deaf_;
    }
    return status;
  }
  // The NATS server does not let us listen for replies.
  void SetDeaf(const absl::Status& why) {
    const std::scoped_lock lock(mutex_);
    why_deaf_ = why;
    deaf_.store(true, std::memory_order_release);
  }
  void SetHearing() noexcept { deaf_.store(false, std::memory_order_release); }

  // Listens for replies.
  absl::Status Subscribe(MessageClient::Inbox inbox) {
    auto made = connection_->Subscribe(
        absl::StrCat(inbox_, "*"), "",
        [inbox = std::move(inbox)](MessagePtr message) { OnMessage(inbox, std::move(message)); });
    if (!made.ok()) return made.status();
    subscription_ = *std::move(made);
    return absl::OkStatus();
  }

  [[nodiscard]] Connection& connection() noexcept { return *connection_; }

 private:
  static void OnMessage(const MessageClient::Inbox& inbox, MessagePtr message) {
    const std::optional<std::uint64_t> id = IdOf(natsMsg_GetSubject(message.get()));
    if (!id) return;
    bool nobody = false;
    InboundMessage inbound = ToInbound(std::move(message), &nobody);
    if (nobody) {
      inbox.OnUnreachable(*id);
    } else {
      inbox.OnFrame(*id, std::move(inbound));
    }
  }

  const Nats options_;
  std::shared_ptr<Connection> connection_;
  const std::string inbox_;
  std::shared_ptr<Connection::Subscription> subscription_;
  std::atomic<bool> deaf_{false};
  mutable std::mutex mutex_;
  absl::Status why_deaf_;  // guarded by mutex_
};

class NatsChannel final : public Channel {
 public:
  NatsChannel(const Nats& options, std::shared_ptr<LoopPool> loops, std::shared_ptr<Link> link,
              MessageClient::Options client)
      : target_(PublicUrl(options.url)),
        wait_for_ready_(options.wait_for_ready),
        loops_(std::move(loops)),
        link_(std::move(link)),
        client_((*loops_)[0], link_, std::move(client)) {}

  std::string_view transport() const noexcept override { return "nats"; }
  std::string target() const override { return target_; }
  ConnectionState state() const noexcept override {
    return closed_.load() ? ConnectionState::kShutdown : link_->connection().state();
  }
  Task<void> Unary(OutgoingCall& call, const Message& request, Message& response) override {
    call.wait_for_ready = call.wait_for_ready || wait_for_ready_;
    return client_.Unary(call, request, response);
  }
  std::unique_ptr<ClientStream> Open(OutgoingCall& call) override {
    call.wait_for_ready = call.wait_for_ready || wait_for_ready_;
    return client_.Open(call);
  }
  void Close() noexcept override {
    closed_.store(true);
    client_.Close();
  }
  [[nodiscard]] MessageClient& client() noexcept { return client_; }

 private:
  const std::string target_;
  const bool wait_for_ready_;
  const std::shared_ptr<LoopPool> loops_;
  const std::shared_ptr<Link> link_;
  MessageClient client_;
  std::atomic<bool> closed_{false};
};

}  // namespace
}  // namespace nats_adapter

std::shared_ptr<Channel> MakeChannel(const Nats& options) {
  using nats_adapter::Connection;
  if (absl::Status checked = CheckNatsOptions(options); !checked.ok()) {
    throw RpcException(std::move(checked));
  }
  std::shared_ptr<LoopPool> loops = nats_adapter::ClientLoops();
  // The connection may be lost before there is a client to tell.
  struct Receiver {
    std::mutex mutex;
    MessageClient::Inbox inbox;              // guarded by mutex
    std::weak_ptr<nats_adapter::Link> link;  // the same
  };
  auto receiver = std::make_shared<Receiver>();
  Connection::Events events;
  events.on_disconnected = [receiver, url = nats_adapter::PublicUrl(options.url)] {
    MessageClient::Inbox inbox;
    {
      const std::scoped_lock lock(receiver->mutex);
      inbox = receiver->inbox;
    }
    inbox.FailAll(absl::UnavailableError(
        absl::StrCat("the connection to NATS at ", url, " was lost while the call ran")));
  };
  // Permissions may have come with the new connection.
  events.on_reconnected = [receiver] {
    const std::scoped_lock lock(receiver->mutex);
    if (const auto link = receiver->link.lock()) link->SetHearing();
  };
  events.on_refused = [receiver](bool publish, const std::string& subject,
                                 const absl::Status& why) {
    MessageClient::Inbox inbox;
    {
      const std::scoped_lock lock(receiver->mutex);
      inbox = receiver->inbox;
      const auto link = receiver->link.lock();
      if (!publish && link != nullptr) link->SetDeaf(why);
    }
    if (publish) {
      inbox.FailAt(subject, why);
    } else {
      inbox.FailAll(why);
    }
  };
  auto connection =
      Connection::Open(options, (*loops)[0], /*background=*/true, std::move(events), loops);
  if (!connection.ok()) throw RpcException(connection.status());
  auto link = std::make_shared<nats_adapter::Link>(options, *std::move(connection));
  MessageClient::Options client;
  client.target = nats_adapter::PublicUrl(options.url);
  client.max_receive_bytes = options.max_receive_bytes;
  client.max_send_bytes = options.max_send_bytes;
  client.window_bytes = options.window_bytes;
  client.keepalive = options.keepalive;
  client.codec = options.json ? WireCodec::kJson : WireCodec::kProtobuf;
  client.event_source =
      options.event_source.empty() ? nats_adapter::NameOf(options) : options.event_source;
  auto channel = std::make_shared<nats_adapter::NatsChannel>(options, std::move(loops), link,
                                                             std::move(client));
  {
    const std::scoped_lock lock(receiver->mutex);
    receiver->inbox = channel->client().inbox();
    receiver->link = link;
  }
  if (absl::Status subscribed = link->Subscribe(channel->client().inbox()); !subscribed.ok()) {
    throw RpcException(std::move(subscribed));
  }
  return channel;
}

std::shared_ptr<Channel> MakeChannel(const Nats& options, TransportHost& /*host*/) {
  return MakeChannel(options);
}

}  // namespace rookery
