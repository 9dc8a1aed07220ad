// A carrier of messages within the process, for MessageServer and MessageClient, that loses,
// repeats and reorders what a test tells it to.
#ifndef ROOKERY_TESTS_UNIT_RPC_MEMORY_CARRIER_H_
#define ROOKERY_TESTS_UNIT_RPC_MEMORY_CARRIER_H_

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "rookery/rpc/channel.h"
#include "rookery/rpc/handler.h"
#include "rookery/rpc/message_client.h"
#include "rookery/rpc/message_server.h"
#include "rookery/rpc/wire.h"
#include "rookery/runtime/loop.h"

namespace rookery::testing {

// A message on its way.
struct Packet {
  std::string to;
  std::string reply_to;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;

  [[nodiscard]] std::string Header(std::string_view name) const {
    for (const auto& [key, value] : fields) {
      if (absl::EqualsIgnoreCase(key, absl::string_view(name.data(), name.size()))) return value;
    }
    return "";
  }
  // "data", "credit", ...; empty for plain requests and replies.
  [[nodiscard]] std::string Kind() const {
    const absl::StatusOr<WireFrame> frame = ParseFrame(Header(kFrameHeader));
    if (!frame.ok()) return "";
    const std::string text = FormatFrame(*frame);
    const std::size_t end = text.find(' ', 2);
    return text.substr(2, end == std::string::npos ? end : end - 2);
  }
};

inline InboundMessage ToInbound(Packet packet) {
  auto held = std::make_unique<Packet>(std::move(packet));
  Packet* const kept = held.get();
  InboundMessage message(InboundMessage::Owner(held.release(), [](void* p) noexcept {
    const std::unique_ptr<Packet> gone(static_cast<Packet*>(p));
  }));
  for (const auto& [key, value] : kept->fields) message.fields.push_back({key, value});
  message.body = kept->body;
  message.reply_to = kept->reply_to;
  return message;
}

enum class Fate : std::uint8_t { kDeliver, kDrop, kTwice, kLate };

// Server on one loop, client on another, and the fate of each message in between.
class MemoryCarrier final {
 public:
  explicit MemoryCarrier(const HandlerRegistry& handlers, MessageServer::Options server = {},
                         MessageClient::Options client = {})
      : handlers_(handlers), loops_(TwoThreads()) {
    server.transport = "memory";
    client.target = "memory";
    server_link_ = std::make_unique<ServerLink>(*this);
    server_ = std::make_unique<MessageServer>(loops_[0], handlers, *server_link_, server);
    client_ =
        std::make_shared<MessageClient>(loops_[1], std::make_shared<ClientLink>(*this), client);
    inbox_ = client_->inbox();
  }
  ~MemoryCarrier() {
    OnServer([this] { server_.reset(); });
    client_.reset();
    loops_.Stop();
  }

  // A channel; must not outlive the carrier.
  [[nodiscard]] std::shared_ptr<Channel> channel() {
    return std::make_shared<MemoryChannel>(client_);
  }
  [[nodiscard]] MessageClient& client() { return *client_; }
  [[nodiscard]] MessageServer& server() { return *server_; }

  // What becomes of each message, in the order sent.
  void set_fate(std::function<Fate(const Packet&)> fate) {
    const std::scoped_lock lock(mutex_);
    fate_ = std::move(fate);
  }
  void set_reachable(bool reachable) { reachable_ = reachable; }
  // A message from outside.
  void Inject(Packet packet) { Pass(std::move(packet)); }
  // All that was sent to anybody, lost or not.
  [[nodiscard]] std::vector<Packet> sent() {
    const std::scoped_lock lock(mutex_);
    return sent_;
  }
  // Runs `work` on the server's loop.
  void OnServer(std::function<void()> work) {
    std::promise<void> done;
    loops_[0].Post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }

 private:
  class ServerLink final : public MessageLink {
   public:
    explicit ServerLink(MemoryCarrier& carrier) : carrier_(carrier) {}
    absl::Status Send(const OutboundMessage& message) override { return carrier_.Send(message); }
    std::string AddressOf(std::uint64_t id) const override { return absl::StrCat("s/", id); }

   private:
    MemoryCarrier& carrier_;
  };
  class ClientLink final : public MessageClientLink {
   public:
    explicit ClientLink(MemoryCarrier& carrier) : carrier_(carrier) {}
    absl::Status Send(const OutboundMessage& message) override { return carrier_.Send(message); }
    std::string AddressOf(std::uint64_t id) const override { return absl::StrCat("c/", id); }
    absl::StatusOr<std::string> AddressOfMethod(const MethodDescriptor& method) const override {
      return "m" + std::string(method.full_name);
    }
    std::string CancelAddressOf(const MethodDescriptor&) const override { return "x"; }
    absl::Status Ready() const override {
      return carrier_.reachable_ ? absl::OkStatus() : absl::UnavailableError("not connected");
    }

   private:
    MemoryCarrier& carrier_;
  };
  class MemoryChannel final : public Channel {
   public:
    explicit MemoryChannel(std::shared_ptr<MessageClient> client) : client_(std::move(client)) {}
    std::string_view transport() const noexcept override { return "memory"; }
    std::string target() const override { return "memory"; }
    ConnectionState state() const noexcept override { return ConnectionState::kReady; }
    Task<void> Unary(OutgoingCall& call, const google::protobuf::Message& request,
                     google::protobuf::Message& response) override {
      return client_->Unary(call, request, response);
    }
    std::unique_ptr<ClientStream> Open(OutgoingCall& call) override { return client_->Open(call); }

   private:
    const std::shared_ptr<MessageClient> client_;
  };

  static LoopPool::Options TwoThreads() {
    LoopPool::Options options;
    options.threads = 2;
    return options;
  }

  absl::Status Send(const OutboundMessage& message) {
    Packet packet;
    packet.to = message.to;
    packet.reply_to = message.reply_to;
    for (const WireField& field : message.fields)
      packet.fields.emplace_back(field.name, field.value);
    packet.body = message.body;
    Pass(std::move(packet));
    return absl::OkStatus();
  }

  void Pass(Packet packet) {
    const std::scoped_lock lock(mutex_);
    sent_.push_back(packet);
    const Fate fate = fate_ ? fate_(packet) : Fate::kDeliver;
    switch (fate) {
      case Fate::kDrop:
        return;
      case Fate::kLate:
        late_.push_back(std::move(packet));
        return;
      case Fate::kTwice:
        Deliver(packet);
        [[fallthrough]];
      case Fate::kDeliver:
        Deliver(std::move(packet));
    }
    for (Packet& each : std::exchange(late_, {})) Deliver(std::move(each));
  }

  void Deliver(Packet packet) {
    const char where = packet.to.empty() ? '?' : packet.to.front();
    if (where == 'c') {
      const std::uint64_t id = std::strtoull(packet.to.c_str() + 2, nullptr, 10);
      loops_[1].Post([inbox = inbox_, id, held = std::make_shared<Packet>(std::move(packet))] {
        inbox.OnFrame(id, ToInbound(std::move(*held)));
      });
      return;
    }
    if (where == 'n') return;  // nobody
    loops_[0].Post([this, where, held = std::make_shared<Packet>(std::move(packet))] {
      if (server_ == nullptr) return;
      const std::string to = held->to;
      if (where == 'x') {
        server_->OnCancel(ToInbound(std::move(*held)));
      } else if (where == 's') {
        server_->OnFrame(std::strtoull(to.c_str() + 2, nullptr, 10), ToInbound(std::move(*held)));
      } else {
        server_->OnRequest(handlers_.Find(to.substr(1)), to.substr(1), ToInbound(std::move(*held)));
      }
    });
  }

  const HandlerRegistry& handlers_;
  LoopPool loops_;
  std::unique_ptr<ServerLink> server_link_;
  std::unique_ptr<MessageServer> server_;
  std::shared_ptr<MessageClient> client_;
  MessageClient::Inbox inbox_;
  std::atomic<bool> reachable_{true};
  std::mutex mutex_;
  std::function<Fate(const Packet&)> fate_;  // guarded by mutex_, as is all below
  std::vector<Packet> sent_;
  std::vector<Packet> late_;
};

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_UNIT_RPC_MEMORY_CARRIER_H_
