// The wire protocol of message transports: how a call becomes messages with headers, and back.
//
//   rookery::OutboundMessage message;
//   message.to = subject;
//   rookery::AddFrame({.kind = rookery::WireFrame::Kind::kCall}, &message);
//   rookery::AddTimeout(deadline, now, &message);
//   rookery::AddMetadata(call.metadata, "", &message);
//   absl::Status sent = link.Send(message);
//
// docs/wire.md specifies every byte. For adapters (NATS, Kafka, ZeroMQ), by way of MessageServer
// and
// MessageClient; users do not need this header. No broker's library is in sight here: an adapter
// carries headers and a body from one address to another, and knows nothing of what they mean.
#ifndef ROOKERY_RPC_WIRE_H_
#define ROOKERY_RPC_WIRE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <forward_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/rpc/metadata.h"
#include "rookery/runtime/context.h"

namespace google::protobuf {
class Message;
}

namespace rookery {

struct Peer;

// One header. The text is somebody else's.
struct WireField {
  std::string_view name;
  std::string_view value;
};

// A message that has come in: views into what the adapter's library holds, and the means to let go
// of it. Move-only.
class InboundMessage final {
 public:
  using Owner = std::unique_ptr<void, void (*)(void* held) noexcept>;

  InboundMessage() noexcept = default;
  explicit InboundMessage(Owner owner) noexcept : owner_(std::move(owner)) {}
  InboundMessage(InboundMessage&&) noexcept = default;
  InboundMessage& operator=(InboundMessage&&) noexcept = default;

  // The first header of that name, in whichever case it was sent, or nullopt.
  [[nodiscard]] std::optional<std::string_view> Find(std::string_view name) const noexcept;
  // What the headers weigh, as gRPC counts metadata: key, value and 32 bytes each.
  [[nodiscard]] std::size_t HeaderBytes() const noexcept;
  // Lets go of all it holds.
  void Clear() noexcept {
    fields.clear();
    body = {};
    reply_to = {};
    load_peer = nullptr;
    owner_.reset();
  }

  absl::InlinedVector<WireField, 8> fields;
  std::string_view body;
  std::string_view reply_to;  // where an answer goes; empty: nobody waits for one
  // Says who sent it, where the carrier can tell; null: its reply address stands for it. `held` is
  // the owner's.
  void (*load_peer)(const void* held, Peer* peer) = nullptr;
  [[nodiscard]] const void* held() const noexcept { return owner_.get(); }

 private:
  Owner owner_{nullptr, [](void*) noexcept {}};
};

// A message to be sent: views, and storage for what had to be encoded. Not copyable.
class OutboundMessage final {
 public:
  OutboundMessage() = default;
  OutboundMessage(const OutboundMessage&) = delete;
  OutboundMessage& operator=(const OutboundMessage&) = delete;

  // `name` and `value` outlive the message.
  void Add(std::string_view name, std::string_view value) { fields.push_back({name, value}); }
  // Keeps the value.
  void AddKept(std::string_view name, std::string value) {
    kept_.push_front(std::move(value));
    fields.push_back({name, kept_.front()});
  }
  [[nodiscard]] std::string_view Keep(std::string text) {
    kept_.push_front(std::move(text));
    return kept_.front();
  }

  // Gives it a body that is not written yet, for a link that WritesBodies: `message`, whose
  // ByteSizeLong() was `size` a moment ago, and which nobody touches until it is sent.
  void SetUnwritten(const google::protobuf::Message* message, std::size_t size) noexcept {
    unwritten_ = message;
    unwritten_size_ = size;
  }
  // For such links, in place of `body`.
  [[nodiscard]] std::size_t body_size() const noexcept {
    return unwritten_ == nullptr ? body.size() : unwritten_size_;
  }
  // Writes body_size() bytes.
  void WriteBody(char* out) const;

  std::string_view to;
  std::string_view reply_to;
  absl::InlinedVector<WireField, 8> fields;
  std::string_view body;

 private:
  const google::protobuf::Message* unwritten_ = nullptr;
  std::size_t unwritten_size_ = 0;
  std::forward_list<std::string> kept_;
};

// What an adapter gives to the engines: a way to send, and addresses that lead back to them.
class MessageLink {
 public:
  virtual ~MessageLink() = default;
  // Hands the message over. OK says no more than that it was taken; what is borrowed is free again.
  // UNAVAILABLE: not connected. RESOURCE_EXHAUSTED: larger than the broker takes, or too much waits
  // to be sent. Thread-safe where MessageClient uses it; on the loop where MessageServer does.
  [[nodiscard]] virtual absl::Status Send(const OutboundMessage& message) = 0;
  // An address under which messages come back to this engine, with `id`.
  [[nodiscard]] virtual std::string AddressOf(std::uint64_t id) const = 0;
  // Whether Send takes bodies that are not written yet, to write them where they are to be: then it
  // reads body_size() and WriteBody() instead of `body`. Always the same answer.
  [[nodiscard]] virtual bool WritesBodies() const noexcept { return false; }
};

// ---- headers ----------------------------------------------------------------------------------

// The header that says what a message is; its value is a WireFrame as text.
inline constexpr std::string_view kFrameHeader = "rookery";
inline constexpr std::string_view kContentTypeHeader = "content-type";
inline constexpr std::string_view kTimeoutHeader = "grpc-timeout";
inline constexpr std::string_view kStatusHeader = "grpc-status";
inline constexpr std::string_view kMessageHeader = "grpc-message";
inline constexpr std::string_view kDetailsHeader = "grpc-status-details-bin";
// In front of the keys of trailing metadata.
inline constexpr std::string_view kTrailerPrefix = "trailer-";
// In a cancellation that is sent to all who serve a method: the reply address of the call meant.
inline constexpr std::string_view kCallHeader = "rookery-call";
// In a refusal: nobody has looked at the request, which may be sent to another server.
inline constexpr std::string_view kUnreadHeader = "rookery-unread";

// What a message is, beside a plain request or reply (which need no such header):
// "1 data seq=4 credit=65536".
struct WireFrame {
  enum class Kind : std::uint8_t {
    kCall,    // a unary call by a caller who understands frames
    kEvent,   // an event: nobody answers
    kOpen,    // begins a stream; with the request, if there is just one
    kData,    // one message of a stream
    kHalf,    // the caller sends no more
    kEnd,     // the callee's last word, with the status
    kCredit,  // more may be sent
    kPing,    // still there?
    kPong,    // yes
    kCancel,  // the call is over, at once
  };
  Kind kind = Kind::kCall;
  std::optional<std::uint64_t> seq = {};     // of kData, kHalf, kEnd
  std::optional<std::uint64_t> credit = {};  // the receiver takes so many bytes since the beginning
};
inline constexpr int kWireVersion = 1;

[[nodiscard]] std::string FormatFrame(const WireFrame& frame);
// UNIMPLEMENTED for a version that is not ours; INVALID_ARGUMENT for what is no frame at all. Parts
// that are not known are passed over.
[[nodiscard]] absl::StatusOr<WireFrame> ParseFrame(std::string_view text);
void AddFrame(const WireFrame& frame, OutboundMessage* message);

// "250m": the time until `deadline`, in the smallest unit that has room (gRPC's grpc-timeout);
// rounded up, and never below one nanosecond. Nothing for kNoDeadline.
[[nodiscard]] std::string FormatTimeout(std::chrono::nanoseconds remaining);
[[nodiscard]] std::optional<std::chrono::nanoseconds> ParseTimeout(std::string_view text) noexcept;
void AddTimeout(Deadline deadline, Deadline now, OutboundMessage* message);

// Adds each entry, `prefix` in front of its key; the values of binary keys as base64. Borrows.
void AddMetadata(const Metadata& metadata, std::string_view prefix, OutboundMessage* message);
// The other way: all fields whose name begins with `prefix`, without it. Fields that are no
// metadata (the protocol's own, and what may not travel as metadata) are left out, as are binary
// values that are no base64.
void ReadMetadata(const InboundMessage& message, std::string_view prefix, Metadata* metadata);
// Whether a header is the protocol's own or the transport's, and so no metadata.
[[nodiscard]] bool IsProtocolField(std::string_view name) noexcept;

// grpc-status, grpc-message (percent-encoded) and grpc-status-details-bin (base64). An OK status
// adds "grpc-status: 0".
void AddStatus(const absl::Status& status, OutboundMessage* message);
// OK without a grpc-status. A grpc-status that is no number between 0 and 16 is UNKNOWN.
[[nodiscard]] absl::Status ReadStatus(const InboundMessage& message);
// gRPC's percent-encoding of messages.
[[nodiscard]] std::string PercentEncode(std::string_view text);
[[nodiscard]] std::string PercentDecode(std::string_view text);

// ---- payloads ---------------------------------------------------------------------------------

enum class WireCodec : std::uint8_t { kProtobuf, kJson };
[[nodiscard]] std::string_view ContentTypeOf(WireCodec codec) noexcept;
// By content-type: protobuf when there is none. INVALID_ARGUMENT for what nobody here can read.
[[nodiscard]] absl::StatusOr<WireCodec> CodecOf(const InboundMessage& message);
// RESOURCE_EXHAUSTED if that takes more than `limit` bytes.
[[nodiscard]] absl::Status EncodePayload(WireCodec codec, const google::protobuf::Message& message,
                                         std::size_t limit, std::string* out);
// The first half of that for a protobuf body: checks it, and gives its size.
[[nodiscard]] absl::StatusOr<std::size_t> PayloadSize(const google::protobuf::Message& message,
                                                      std::size_t limit);
// RESOURCE_EXHAUSTED above `limit`; `malformed` for what does not parse.
[[nodiscard]] absl::Status DecodePayload(WireCodec codec, std::string_view bytes, std::size_t limit,
                                         absl::StatusCode malformed,
                                         google::protobuf::Message* message);

// ---- events -----------------------------------------------------------------------------------

// CloudEvents 1.0 in binary mode. Attributes travel as `prefix` + name: "ce-" where headers may
// have a hyphen, "ce_" on Kafka.
struct CloudEvent {
  std::string id;
  std::string source;
  std::string type;
  std::string time;  // RFC 3339; empty: none
};
// A new event of this type, its id as unique as a UUID, its time now.
[[nodiscard]] CloudEvent NewCloudEvent(std::string_view source, std::string_view type);
void AddCloudEvent(const CloudEvent& event, std::string_view prefix, OutboundMessage* message);
// An event that is too old to be of use: `ce-expirytime` (CloudEvents' expiry extension) has passed
// by more than clocks may differ.
inline constexpr std::chrono::milliseconds kClockSkew{250};
void AddExpiry(Deadline deadline, Deadline now, std::string_view prefix, OutboundMessage* message);
[[nodiscard]] bool IsExpired(const InboundMessage& message, std::string_view prefix);

}  // namespace rookery

#endif  // ROOKERY_RPC_WIRE_H_
