// CallContext: everything about the call being served — who calls, with what metadata, until when.
//
//   rookery::Task<Order> Place(rookery::CallContext& call, const PlaceOrder& request) override {
//     if (auto tenant = call.metadata().Get("x-tenant")) ...
//     call.response_headers().Add("x-cost", "3").IgnoreError();
//     if (call.cancelled()) co_return absl::CancelledError();
//   }
//
// It is a Context: CLS values, deadline and cancellation live in it and follow whatever the call
// awaits, spawns or posts. Client calls made below it inherit deadline, cancellation and trace.
#ifndef ROOKERY_RPC_CALL_CONTEXT_H_
#define ROOKERY_RPC_CALL_CONTEXT_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <typeinfo>
#include <vector>

#include "absl/status/status.h"
#include "rookery/rpc/descriptor.h"
#include "rookery/rpc/metadata.h"
#include "rookery/rpc/trace.h"
#include "rookery/runtime/context.h"

namespace google::protobuf {
class Arena;
}

namespace rookery {

// Who calls.
struct Peer {
  std::string address;  // "ipv4:127.0.0.1:53412", "inproc:orders"; as the transport writes it
  bool authenticated = false;  // proved by the transport (mTLS), not by anything in the metadata
  std::string identity;        // SPIFFE id, else first DNS SAN, else subject common name
  std::string subject;         // X.509 subject common name
  std::vector<std::string> names;  // all subject alternative names
  std::string certificate_pem;
};

// See the top of this file. Made by a transport, one per call; valid until the handler has ended
// and nothing that it spawned holds the context. Not thread-safe but for cancellation: a call runs
// on one loop.
class CallContext : public Context {
 public:
  // The call that the current context belongs to, or null.
  [[nodiscard]] static CallContext* Current() noexcept {
    Context* const context = Context::Current();
    return context == nullptr ? nullptr : static_cast<CallContext*>(context->call());
  }

  [[nodiscard]] const MethodDescriptor& method() const noexcept { return *method_; }
  // False for a call that no method was found for.
  [[nodiscard]] bool has_method() const noexcept { return method_ != nullptr; }
  // "grpc", "inproc", ...
  [[nodiscard]] virtual std::string_view transport() const noexcept = 0;

  // What the caller sent. Read from the transport at the first use.
  [[nodiscard]] const Metadata& metadata() const {
    if (!Loaded(kMetadata)) [[unlikely]]
      LoadMetadataOnce();
    return metadata_;
  }
  // The first value of one key, without reading the rest where the transport can do that.
  [[nodiscard]] virtual std::optional<std::string_view> PeekMetadata(std::string_view key) const {
    return metadata().Get(key);
  }
  // What goes back before the first message (until then: later additions are lost) ...
  [[nodiscard]] Metadata& response_headers() noexcept { return response_headers_; }
  // ... and with the status.
  [[nodiscard]] Metadata& response_trailers() noexcept { return response_trailers_; }
  [[nodiscard]] const Metadata& response_headers() const noexcept { return response_headers_; }
  [[nodiscard]] const Metadata& response_trailers() const noexcept { return response_trailers_; }
  // Asks that this call's messages go out compressed ("gzip", "deflate", "identity"), where the
  // transport and the peer can; unknown names are ignored.
  void set_response_compression(std::string_view algorithm) { response_compression_ = algorithm; }
  [[nodiscard]] std::string_view response_compression() const noexcept {
    return response_compression_;
  }

  [[nodiscard]] const Peer& peer() const {
    if (!Loaded(kPeer)) [[unlikely]]
      LoadPeerOnce();
    return peer_;
  }

  // Until the deadline; duration::max() without one. Never negative.
  [[nodiscard]] std::chrono::nanoseconds time_remaining() const noexcept;

  // The request's id: the caller's x-request-id, if it sent a sane one, else made here. Kept in
  // CLS, logged with every line, sent on with every call below.
  [[nodiscard]] const std::string& request_id() {
    if (!Loaded(kRequestId)) [[unlikely]]
      LoadRequestIdOnce();
    return request_id_;
  }
  // Decides what request_id() gives, for the framework: see ClsModule. It must be fit for a header.
  // False, and nothing changed, if somebody has asked for it before.
  bool SetRequestId(std::string id);
  // This call's place in the trace: the caller's traceparent continued, or a new trace.
  [[nodiscard]] const TraceContext& trace() {
    if (!Loaded(kTrace)) [[unlikely]]
      LoadTraceOnce();
    return trace_;
  }

  // Where messages of this call may be allocated; freed when the call ends. May be null.
  [[nodiscard]] virtual google::protobuf::Arena* arena() noexcept { return nullptr; }

  // The transport's own request, for those who know it, e.g. call.TransportRequest<GrpcCall>();
  // null on any other transport.
  template <class R>
  [[nodiscard]] R* TransportRequest() noexcept {
    return static_cast<R*>(FindTransportRequest(typeid(R)));
  }

  // For the framework: see dispatcher.h.
  void set_method(const MethodDescriptor* method) noexcept { method_ = method; }
  // For MethodStats alone: when the call started, and what counts it.
  struct StatsMark {
    std::uint64_t started = 0;
    void* counters = nullptr;
  };
  [[nodiscard]] StatsMark& stats_mark() noexcept { return stats_mark_; }

 protected:
  CallContext() noexcept { set_call(this); }
  ~CallContext() override = default;

  // Each is called once at most, under a lock: they must not use other parts of this call, nor log.
  virtual void LoadMetadata(Metadata* metadata) const = 0;
  virtual void LoadPeer(Peer* peer) const = 0;
  virtual void* FindTransportRequest(const std::type_info& /*type*/) noexcept { return nullptr; }
  // For transports that recycle calls.
  void ResetCall() noexcept;

 private:
  const MethodDescriptor* method_ = nullptr;
  // What is made at the first use. Guarded, because a task that the call spawned may log on another
  // thread; costs nothing once made.
  enum Part : std::uint8_t { kMetadata = 1, kPeer = 2, kRequestId = 4, kTrace = 8, kBusy = 128 };
  [[nodiscard]] bool Loaded(Part part) const noexcept {
    return (loaded_.load(std::memory_order_acquire) & part) != 0;
  }
  // Whether this thread is to make `part`: then it calls EndLoad.
  [[nodiscard]] bool BeginLoad(Part part) const noexcept;
  void EndLoad(Part part) const noexcept;
  void LoadMetadataOnce() const;
  void LoadPeerOnce() const;
  void LoadRequestIdOnce();
  void LoadTraceOnce();

  mutable std::atomic<std::uint8_t> loaded_{0};
  mutable Metadata metadata_;
  mutable Peer peer_;
  Metadata response_headers_;
  Metadata response_trailers_;
  std::string_view response_compression_;
  std::string request_id_;
  TraceContext trace_;
  StatsMark stats_mark_;
};

// A request id that may be taken over from a caller: 1 to 128 characters of [A-Za-z0-9._:-].
[[nodiscard]] bool IsSaneRequestId(std::string_view id) noexcept;
// Whether it is of these characters, however many there are.
[[nodiscard]] bool HasRequestIdCharacters(std::string_view id) noexcept;
// A new one: 32 hex digits, as unique as a UUID.
[[nodiscard]] std::string NewRequestId();
// The id of what runs in `context`: one of its own (a Cls::Run that was given one), else its
// call's, else one made now. Valid until the context's id changes or the context ends.
[[nodiscard]] std::string_view RequestIdOf(Context& context);

namespace internal {

// To whom an id is told. ClsModule makes it of its options.
struct RequestIdPolicy {
  std::string header;  // that outgoing calls carry it under; empty: they do not
  bool log = true;
};
// What a context says of its id, where that is not simply its call's, told to everybody.
struct RequestIdentity {
  std::string id;                                 // empty: the call's
  std::shared_ptr<const RequestIdPolicy> policy;  // null: x-request-id, and logged
};
inline constexpr ContextKey<RequestIdentity> kRequestIdentity{"request.id"};

// Adds the id of `context` to what a call made there sends, unless that says something else.
void AddRequestId(Context& context, Metadata* metadata);

}  // namespace internal

}  // namespace rookery

#endif  // ROOKERY_RPC_CALL_CONTEXT_H_
