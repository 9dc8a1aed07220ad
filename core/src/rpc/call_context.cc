#include "rookery/rpc/call_context.h"
#include "rookery/runtime/clock.h"

#include <algorithm>
#include <thread>

#include "rpc/random.h"

namespace rookery {

bool IsSaneRequestId(std::string_view id) noexcept {
  return !id.empty() && id.size() <= 128 && HasRequestIdCharacters(id);
}

bool HasRequestIdCharacters(std::string_view id) noexcept {
  return std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == ':' || c == '-';
  });
}

std::string NewRequestId() {
  std::string id;
  id.reserve(32);
  internal::AppendHex(&id, internal::FastRandom64(), 16);
  internal::AppendHex(&id, internal::FastRandom64(), 16);
  return id;
}

std::string_view RequestIdOf(Context& context) {
  internal::RequestIdentity* const identity = context.Find(internal::kRequestIdentity);
  if (identity != nullptr && !identity->id.empty()) return identity->id;
  if (auto* const call = static_cast<CallContext*>(context.call())) return call->request_id();
  if (identity != nullptr) return identity->id = NewRequestId();
  return context.Set(internal::kRequestIdentity, internal::RequestIdentity{NewRequestId(), nullptr})
      .id;
}

namespace internal {

void AddRequestId(Context& context, Metadata* metadata) {
  const RequestIdentity* const identity = context.Find(kRequestIdentity);
  // Outside a call nobody has an id before it is given one, or asked for it.
  if (context.call() == nullptr && (identity == nullptr || identity->id.empty())) return;
  std::string_view header = "x-request-id";
  if (identity != nullptr && identity->policy != nullptr) header = identity->policy->header;
  if (header.empty() || metadata->Has(header)) return;
  if (identity == nullptr || identity->id.empty()) {
    metadata->AddUnchecked(header, static_cast<CallContext*>(context.call())->request_id());
  } else {
    // Cls::Run takes any text, and not every header can carry it: then it stays here.
    metadata->Add(header, identity->id).IgnoreError();
  }
}

}  // namespace internal

std::chrono::nanoseconds CallContext::time_remaining() const noexcept {
  if (deadline() == kNoDeadline) return std::chrono::nanoseconds::max();
  return std::max<std::chrono::nanoseconds>(deadline() - Now(), std::chrono::nanoseconds::zero());
}

bool CallContext::BeginLoad(Part part) const noexcept {
  std::uint8_t seen = loaded_.load(std::memory_order_acquire);
  for (;;) {
    if ((seen & part) != 0) return false;
    if ((seen & kBusy) != 0) {
      std::this_thread::yield();
      seen = loaded_.load(std::memory_order_acquire);
    } else if (loaded_.compare_exchange_weak(seen, static_cast<std::uint8_t>(seen | kBusy),
                                             std::memory_order_acquire)) {
      return true;
    }
  }
}

void CallContext::EndLoad(Part part) const noexcept {
  std::uint8_t seen = loaded_.load(std::memory_order_relaxed);
  while (!loaded_.compare_exchange_weak(seen, static_cast<std::uint8_t>((seen & ~kBusy) | part),
                                        std::memory_order_release)) {
  }
}

void CallContext::LoadMetadataOnce() const {
  if (!BeginLoad(kMetadata)) return;
  LoadMetadata(&metadata_);
  EndLoad(kMetadata);
}

void CallContext::LoadPeerOnce() const {
  if (!BeginLoad(kPeer)) return;
  LoadPeer(&peer_);
  EndLoad(kPeer);
}

void CallContext::LoadRequestIdOnce() {
  // Made outside the guard: reading metadata may take it.
  const std::optional<std::string_view> sent = PeekMetadata("x-request-id");
  std::string id = sent && IsSaneRequestId(*sent) ? std::string(*sent) : NewRequestId();
  if (!BeginLoad(kRequestId)) return;
  request_id_ = std::move(id);
  EndLoad(kRequestId);
}

bool CallContext::SetRequestId(std::string id) {
  if (!BeginLoad(kRequestId)) return false;
  request_id_ = std::move(id);
  EndLoad(kRequestId);
  return true;
}

void CallContext::LoadTraceOnce() {
  std::optional<TraceContext> parent;
  if (PeekMetadata("traceparent")) {
    // More than one traceparent is as good as none: nobody can say which is meant.
    const std::vector<std::string_view> sent = metadata().GetAll("traceparent");
    if (sent.size() == 1) {
      std::string state;
      for (const std::string_view part : metadata().GetAll("tracestate")) {
        if (!state.empty()) state += ',';
        state += part;
      }
      parent = TraceContext::Parse(sent.front(), state);
    }
  }
  TraceContext trace = parent ? parent->Child() : TraceContext::NewRoot();
  if (!BeginLoad(kTrace)) return;
  trace_ = std::move(trace);
  EndLoad(kTrace);
}

void CallContext::ResetCall() noexcept {
  ResetContext();
  set_call(this);
  method_ = nullptr;
  if (const std::uint8_t loaded = loaded_.exchange(0, std::memory_order_relaxed); loaded != 0) {
    if ((loaded & kMetadata) != 0) metadata_.clear();
    if ((loaded & kPeer) != 0) peer_ = Peer();
    if ((loaded & kRequestId) != 0) request_id_.clear();
    if ((loaded & kTrace) != 0) trace_ = TraceContext();
  }
  response_headers_.clear();
  response_trailers_.clear();
  response_compression_ = {};
  stats_mark_ = {};
}

}  // namespace rookery
