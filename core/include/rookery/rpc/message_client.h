// MessageClient: makes calls as messages with headers, over any carrier of such.
//
//   class PigeonLink final : public rookery::MessageClientLink { ... };
//   rookery::MessageClient client(loop, link, {.target = "pigeon://loft"});
//   // a Channel's methods are the client's:
//   Task<void> Unary(...) override { return client_.Unary(call, request, response); }
//   // for each message to an address that link->AddressOf(id) made, on any thread:
//   client.OnFrame(id, std::move(message));
//
// For adapters: everything of docs/wire.md on the calling side is in here.
#ifndef ROOKERY_RPC_MESSAGE_CLIENT_H_
#define ROOKERY_RPC_MESSAGE_CLIENT_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/rpc/channel.h"
#include "rookery/rpc/wire.h"
#include "rookery/runtime/loop.h"
#include "rookery/runtime/task.h"

namespace rookery {

namespace internal {
class MessageClientCore;
}

// What a client needs of its carrier beside sending. Thread-safe.
class MessageClientLink : public MessageLink {
 public:
  // Where requests of a method go. INVALID_ARGUMENT for a name that the carrier cannot address.
  [[nodiscard]] virtual absl::StatusOr<std::string> AddressOfMethod(
      const MethodDescriptor& method) const = 0;
  // Where all who serve the method hear of a call that is given up; empty if the carrier has no
  // such address: such calls then end at their deadline.
  [[nodiscard]] virtual std::string CancelAddressOf(const MethodDescriptor& method) const = 0;
  // Why nothing can be sent now (UNAVAILABLE), or OK.
  [[nodiscard]] virtual absl::Status Ready() const = 0;
  // Whether there may be another server behind this link for a call that reached nobody: it is
  // tried again, three times at most, although its caller does not wait for servers.
  [[nodiscard]] virtual bool HasOthers() const { return false; }
};

// Thread-safe. Streams that it opened may outlive it; they keep the link.
class MessageClient final {
 public:
  struct Options {
    std::string target = {};  // for CallInfo::peer and messages
    std::size_t max_receive_bytes = std::size_t{4} << 20;
    std::size_t max_send_bytes = std::size_t{4} << 20;
    // Of all headers of a reply.
    std::size_t max_metadata_bytes = std::size_t{64} << 10;
    // How far a server may be ahead of the reader of a stream, in bytes.
    std::size_t window_bytes = std::size_t{1} << 20;
    // A server that is silent for three of these, in the middle of a call, is taken for dead:
    // UNAVAILABLE. It says something that often. Zero: calls wait for their deadline.
    std::chrono::milliseconds keepalive{10'000};
    // How long a message of a stream may be missing while later ones are here.
    std::chrono::milliseconds gap_timeout{2'000};
    WireCodec codec = WireCodec::kProtobuf;
    // CloudEvents' "source" of the events that are sent, and what is in front of attributes' names.
    std::string event_source = "rookery";
    std::string event_prefix = "ce-";
  };
  // `loop` keeps the time, and must run as long as there are calls. It must outlive the link.
  MessageClient(Loop& loop, std::shared_ptr<MessageClientLink> link, Options options);
  MessageClient(const MessageClient&) = delete;
  MessageClient& operator=(const MessageClient&) = delete;
  ~MessageClient();

  // As Channel's.
  [[nodiscard]] Task<void> Unary(OutgoingCall& call, const google::protobuf::Message& request,
                                 google::protobuf::Message& response);
  [[nodiscard]] std::unique_ptr<ClientStream> Open(OutgoingCall& call);
  // New calls fail with UNAVAILABLE.
  void Close() noexcept;

  // A message to the address of `id`. Late ones, and such to nobody, are dropped. Any thread.
  void OnFrame(std::uint64_t id, InboundMessage message);
  // The carrier says that what was sent for `id` reached nobody. Any thread.
  void OnUnreachable(std::uint64_t id);
  // The call of `id` fails: the carrier could not store its request, say, or its server is gone.
  // `unreached`: nobody has seen it, and it may be tried again. Any thread.
  void FailCall(std::uint64_t id, const absl::Status& status, bool unreached = false);
  // All calls in flight fail: the connection is gone. Any thread.
  void FailAll(const absl::Status& status);
  // Those whose requests go to `address`: the carrier refuses them, and cannot say which. Any
  // thread.
  void FailAt(std::string_view address, const absl::Status& status);

  [[nodiscard]] std::size_t in_flight() const;
  // Replies that came when their call was over.
  [[nodiscard]] std::uint64_t late_replies() const noexcept;

  // The same for callbacks that may come after the client has gone; the loop is still there.
  class Inbox final {
   public:
    void OnFrame(std::uint64_t id, InboundMessage message) const;
    void OnUnreachable(std::uint64_t id) const;
    void FailCall(std::uint64_t id, const absl::Status& status, bool unreached = false) const;
    void FailAll(const absl::Status& status) const;
    void FailAt(std::string_view address, const absl::Status& status) const;

   private:
    friend class MessageClient;
    std::weak_ptr<internal::MessageClientCore> core_;
  };
  [[nodiscard]] Inbox inbox() const;

 private:
  const std::shared_ptr<internal::MessageClientCore> core_;
};

}  // namespace rookery

#endif  // ROOKERY_RPC_MESSAGE_CLIENT_H_
