// Baggage: context values that travel to other processes, https://www.w3.org/TR/baggage/
//
//   inline constexpr rookery::ClsKey<std::string> kTenant{"tenant",
//       rookery::Propagation::kBaggage};
//   // sent with every call made below a context that has it: "baggage: tenant=acme"
//   rookery::BaggageAllowList accept({kTenant});   // and taken in only by whom it is on the list
//       of
//
// What comes in is untrusted: anybody who can reach the port can write it. So nothing is taken in
// by default, and a value on the list may choose a tenant or a log level, but must not grant a
// right.
#ifndef ROOKERY_RPC_BAGGAGE_H_
#define ROOKERY_RPC_BAGGAGE_H_

#include <cstddef>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "rookery/runtime/context.h"

namespace rookery {

class CallContext;

// One member: `key=value;properties`. The value is decoded (any UTF-8); the properties are as they
// came, and are passed on untouched.
struct BaggageMember {
  std::string key;
  std::string value;
  std::string properties;
};

// The members of a baggage header, in order. A value.
class Baggage final {
 public:
  // What may be sent and is read: whole members only, up to the first that would exceed either.
  static constexpr std::size_t kMaxMembers = 64;
  static constexpr std::size_t kMaxBytes = 8192;

  Baggage() = default;

  // Reads a header (several: joined by ","). Members that the specification calls invalid are left
  // out, the others count; bytes that are not UTF-8 become U+FFFD.
  [[nodiscard]] static Baggage Parse(std::string_view header);

  // Sets a member, replacing one of the same key. INVALID_ARGUMENT if the key is not a token
  // (RFC 7230) or empty; RESOURCE_EXHAUSTED, and nothing set, if the header would exceed its
  // limits.
  absl::Status Set(std::string_view key, std::string_view value);
  // The last value under `key`, or nullopt. Valid until the next change.
  [[nodiscard]] std::optional<std::string_view> Get(std::string_view key) const;

  [[nodiscard]] const std::vector<BaggageMember>& members() const noexcept { return members_; }
  [[nodiscard]] bool empty() const noexcept { return members_.empty(); }
  // The header's value: percent-encoded, within the limits; empty if there is no member.
  [[nodiscard]] std::string ToHeader() const;

  // How many members Parse left out: malformed, or beyond the limits.
  [[nodiscard]] std::size_t left_out() const noexcept { return left_out_; }

 private:
  std::vector<BaggageMember> members_;
  std::size_t left_out_ = 0;
};

// The keys whose values a node accepts from others. Keys must be Propagation::kBaggage; what else
// is listed is ignored.
class BaggageAllowList final {
 public:
  BaggageAllowList() = default;
  BaggageAllowList(std::initializer_list<std::reference_wrapper<const ContextKeyBase>> keys);

  void Add(const ContextKeyBase& key);
  [[nodiscard]] bool empty() const noexcept { return keys_.empty(); }
  // The key of that name, or null.
  [[nodiscard]] const ContextKeyBase* Find(std::string_view name) const noexcept;

 private:
  std::vector<const ContextKeyBase*> keys_;
};

// The context's values that propagate, as a baggage header; empty if there are none. A value that
// would exceed the limits is left out whole.
[[nodiscard]] std::string BaggageOf(const Context& context);

// For the dispatcher, once per call before anything else runs in it: sets the context values that
// the caller's baggage holds and `accept` lists. Costs one comparison when the list is empty, and
// one look for the header when there is none. Gives how many members were left out as malformed,
// beyond the limits, or with a value that the key's type cannot read; those of other keys are
// nobody's mistake.
[[nodiscard]] std::size_t AdoptInbound(CallContext& call, const BaggageAllowList& accept);

}  // namespace rookery

#endif  // ROOKERY_RPC_BAGGAGE_H_
