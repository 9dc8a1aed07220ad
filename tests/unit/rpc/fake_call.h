// FakeCall: a CallContext without a transport, for tests.
#ifndef ROOKERY_TESTS_UNIT_RPC_FAKE_CALL_H_
#define ROOKERY_TESTS_UNIT_RPC_FAKE_CALL_H_

#include <atomic>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rookery/rpc/call_context.h"

namespace rookery {

inline constexpr MethodDescriptor kFakeMethod{.full_name = "/test.Fake/Do",
                                              .service = "test.Fake",
                                              .name = "Do",
                                              .kind = MethodKind::kUnary,
                                              .idempotency = Idempotency::kUnknown,
                                              .deprecated = false,
                                              .pattern = {}};

using Sent = std::vector<std::pair<std::string, std::string>>;

// On the stack: the test holds the only reference that counts.
class FakeCall final : public CallContext {
 public:
  explicit FakeCall(Sent sent = {}, std::string_view transport = "fake")
      : sent_(std::move(sent)), transport_(transport) {
    set_method(&kFakeMethod);
  }

  std::string_view transport() const noexcept override { return transport_; }
  using CallContext::ResetCall;
  void Send(Sent sent) { sent_ = std::move(sent); }
  int loads() const { return loads_; }
  int peeks() const { return peeks_; }

  std::optional<std::string_view> PeekMetadata(std::string_view key) const override {
    ++peeks_;
    for (const auto& [name, value] : sent_) {
      if (name == key) return value;
    }
    return std::nullopt;
  }

 private:
  void LoadMetadata(Metadata* metadata) const override {
    ++loads_;
    for (const auto& [key, value] : sent_) metadata->AddUnchecked(key, value);
  }
  void LoadPeer(Peer* peer) const override { peer->address = "fake:1"; }
  void OnUnreferenced() noexcept override {}

  Sent sent_;
  std::string_view transport_;
  mutable int loads_ = 0;
  mutable std::atomic<int> peeks_ = 0;
};

}  // namespace rookery

#endif  // ROOKERY_TESTS_UNIT_RPC_FAKE_CALL_H_
