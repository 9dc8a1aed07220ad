// Channel: the client side of a transport. The typed clients that users call stand on it.
//
// Implementers of transports need this header; users meet Channel only as what a client is made of:
//
//   std::shared_ptr<rookery::Channel> channel = MakeChannel(Grpc{.address = "localhost:50051"},
//       app);
//   OrdersClient orders(channel);
#ifndef ROOKERY_RPC_CHANNEL_H_
#define ROOKERY_RPC_CHANNEL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <typeinfo>

#include "absl/status/status.h"
#include "rookery/rpc/descriptor.h"
#include "rookery/rpc/metadata.h"
#include "rookery/runtime/cancel.h"
#include "rookery/runtime/context.h"
#include "rookery/runtime/task.h"

namespace google::protobuf {
class Message;
}

namespace rookery {

// gRPC's connectivity states, for every transport.
enum class ConnectionState : std::uint8_t {
  kIdle,
  kConnecting,
  kReady,
  kTransientFailure,
  kShutdown
};

struct Peer;

// What a call came in as, where an adapter makes calls of what it receives and brings them to
// handlers of the same process: a gateway. Made by the adapter, one per call; it is the current
// context of the code that receives. The handler's call has copies of its values, and holds it.
class CallOrigin : public Context {
 public:
  // What CallContext's functions of the same names give.
  [[nodiscard]] virtual std::string_view transport() const noexcept = 0;
  virtual void LoadPeer(Peer* peer) const = 0;
  [[nodiscard]] virtual void* FindTransportRequest(const std::type_info& /*type*/) noexcept {
    return nullptr;
  }

 protected:
  CallOrigin() noexcept = default;
  ~CallOrigin() override = default;
};

// One outgoing call, as core has prepared it: the user's options merged with what the current
// context says (earliest deadline, its cancellation, traceparent, tracestate, baggage,
// x-request-id).
// The adapter sends what is here and fills in what comes back.
struct OutgoingCall {
  explicit OutgoingCall(const MethodDescriptor& m) noexcept : method(&m) {}

  const MethodDescriptor* method;
  Deadline deadline = kNoDeadline;
  CancelToken cancel;  // fires: stop, tell the peer, fail with the token's reason
  Metadata metadata;   // all of it, ready to go
  bool wait_for_ready = false;
  bool owns_request = false;     // the request may be moved from (rvalue overload)
  CallOrigin* origin = nullptr;  // for channels within the process; usually there is none
  std::string_view compression;  // "gzip", "deflate", or empty
  // Which messages to compress; null or empty: all of them.
  const std::function<bool(const google::protobuf::Message&)>* compress_if = nullptr;
  // What came back; may be left empty if nobody wants it.
  bool wants_info = true;
  Metadata headers;
  Metadata trailers;
  std::string peer;

  // Whether this message is to go out as it is, whatever the channel's default.
  [[nodiscard]] bool SendsPlain(const google::protobuf::Message& message) const {
    return compression == "identity" ||
           (compress_if != nullptr && *compress_if && !(*compress_if)(message));
  }
};

// One outgoing stream. Reads and writes may overlap; two reads, or two writes, may not.
class ClientStream {
 public:
  // Cancels the call if it is still running.
  virtual ~ClientStream() = default;
  // Sends a message and waits until the transport will take the next (flow control). False when the
  // call has ended meanwhile: read on for its status.
  [[nodiscard]] virtual Task<bool> Write(const google::protobuf::Message& message) = 0;
  // The same for a message that the caller has no more use for: it may be moved from.
  [[nodiscard]] virtual Task<bool> WriteMoved(google::protobuf::Message& message) {
    return Write(message);
  }
  // No more messages from us.
  [[nodiscard]] virtual Task<void> WritesDone() = 0;
  // The next message, or false when the peer sends no more; then Finish() says how it ended.
  [[nodiscard]] virtual Task<bool> Read(google::protobuf::Message& into) = 0;
  // The call's status; headers and trailers are in the OutgoingCall then.
  [[nodiscard]] virtual Task<absl::Status> Finish() = 0;
  // Ends the call from our side. Any thread.
  virtual void Cancel(absl::Status reason) noexcept = 0;
};

// A connection, or a pool of them, to one target. Thread-safe.
class Channel {
 public:
  virtual ~Channel() = default;
  // "grpc", "inproc", ...
  [[nodiscard]] virtual std::string_view transport() const noexcept = 0;
  [[nodiscard]] virtual std::string target() const = 0;
  [[nodiscard]] virtual ConnectionState state() const noexcept = 0;
  // True: the peer reads trace, request id and baggage from the caller's context itself, so core
  // does not write them into OutgoingCall::metadata.
  [[nodiscard]] virtual bool in_process() const noexcept { return false; }

  // A unary call or an event (response is then ignored). Completes by the deadline, or when
  // `call.cancel` fires, whatever the peer does. Fails with the peer's status, details included.
  // `call`, `request` and `response` outlive the task.
  [[nodiscard]] virtual Task<void> Unary(OutgoingCall& call,
                                         const google::protobuf::Message& request,
                                         google::protobuf::Message& response) = 0;
  // As Unary, for a caller who awaits the task at once: the call may begin before that, and an
  // empty task (false) says that it has ended well already. For channels whose calls often need not
  // wait.
  [[nodiscard]] virtual Task<void> StartUnary(OutgoingCall& call,
                                              const google::protobuf::Message& request,
                                              google::protobuf::Message& response) {
    return Unary(call, request, response);
  }
  // Any streaming kind; for server streaming the caller writes one message and WritesDone().
  // `call` outlives the stream.
  [[nodiscard]] virtual std::unique_ptr<ClientStream> Open(OutgoingCall& call) = 0;

  // Starts to connect now rather than at the first call.
  virtual void Connect() noexcept {}
  // Fails new calls with UNAVAILABLE, waits for none. Idempotent.
  virtual void Close() noexcept {}
};

}  // namespace rookery

#endif  // ROOKERY_RPC_CHANNEL_H_
