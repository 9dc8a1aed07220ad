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

#include <chrono>
#include <cstdint>
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
  std::string address;        // "ipv4:127.0.0.1:53412", "inproc:orders"; as the transport writes it
  bool authenticated = false; // proved by the transport (mTLS), not by anything in the metadata
  std::string identity;       // SPIFFE id, else first DNS SAN, else subject common name
  std::string subject;        // X.509 subject common name
  std::vector<std::string> names;  // all subject alternative names
  std::string certificate_pem;
};

// See the top of this file. Made by a transport, one per call; valid until the handler has ended and
// nothing that it spawned holds the context. Not thread-safe but for cancellation: a call runs on
// one loop.
class CallContext : public Context {
 public:
  // The call that the current context belongs to, or null.
  [[nodiscard]] static CallContext* Current() noexcept {
    Context* const context = Context::Current();
    return context == nullptr ? nullptr : static_cast<CallContext*>(context->call());
  }

  [[nodiscard]] const MethodDescriptor& method() const noexcept { return *method_; }
  // "grpc", "inproc", ...
  [[nodiscard]] virtual std::string_view transport() const noexcept = 0;

  // What the caller sent. Read from the transport at the first use.
  [[nodiscard]] const Metadata& metadata() const {
    if (!metadata_loaded_) [[unlikely]] {
      metadata_loaded_ = true;
      LoadMetadata(&metadata_);
    }
    return metadata_;
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
    if (!peer_loaded_) [[unlikely]] {
      peer_loaded_ = true;
      LoadPeer(&peer_);
    }
    return peer_;
  }

  // Until the deadline; duration::max() without one. Never negative.
  [[nodiscard]] std::chrono::nanoseconds time_remaining() const noexcept;

  // The request's id: the caller's x-request-id, if it sent a sane one, else made here. Kept in CLS,
  // logged with every line, sent on with every call below.
  [[nodiscard]] const std::string& request_id();
  // This call's place in the trace: the caller's traceparent continued, or a new trace.
  [[nodiscard]] const TraceContext& trace();

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

 protected:
  CallContext() noexcept { set_call(this); }
  ~CallContext() override = default;

  virtual void LoadMetadata(Metadata* metadata) const = 0;
  virtual void LoadPeer(Peer* peer) const = 0;
  virtual void* FindTransportRequest(const std::type_info& /*type*/) noexcept { return nullptr; }
  // For transports that recycle calls.
  void ResetCall() noexcept;

 private:
  const MethodDescriptor* method_ = nullptr;
  mutable bool metadata_loaded_ = false;
  mutable bool peer_loaded_ = false;
  bool trace_loaded_ = false;
  mutable Metadata metadata_;
  mutable Peer peer_;
  Metadata response_headers_;
  Metadata response_trailers_;
  std::string_view response_compression_;
  std::string request_id_;
  TraceContext trace_;
};

}  // namespace rookery

#endif  // ROOKERY_RPC_CALL_CONTEXT_H_
