// Options as nats.c wants them, and names on NATS. Private.
#ifndef ROOKERY_TRANSPORTS_NATS_SRC_OPTIONS_H_
#define ROOKERY_TRANSPORTS_NATS_SRC_OPTIONS_H_

#include <nats/nats.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rookery/rpc/descriptor.h"
#include "rookery/transports/nats.h"

namespace rookery::nats_adapter {

struct OptionsDeleter {
  void operator()(natsOptions* options) const noexcept { natsOptions_Destroy(options); }
};
using OptionsPtr = std::unique_ptr<natsOptions, OptionsDeleter>;

// All that does not depend on who connects: servers, credentials, TLS, timing.
[[nodiscard]] absl::StatusOr<OptionsPtr> ToNatsOptions(const Nats& options);

// What nats.c says, as a status: `what` was tried.
[[nodiscard]] absl::Status ToStatus(natsStatus status, std::string_view what);

// "nats://a:4222,nats://b:4222" without users, passwords and tokens.
[[nodiscard]] std::string PublicUrl(std::string_view url);
[[nodiscard]] std::string NameOf(const Nats& options);
[[nodiscard]] std::string QueueOf(const Nats& options);

// OK, or what is wrong with a subject. Wildcards are for subscriptions.
[[nodiscard]] absl::Status CheckSubject(std::string_view subject, bool wildcards);

// Where a method is called: its pattern, or its full name with dots; below the prefix.
[[nodiscard]] std::string SubjectOf(const Nats& options, const MethodDescriptor& method);
// "shop.v1.Orders" for its methods without a pattern; else the pattern.
[[nodiscard]] std::string GroupOf(const MethodDescriptor& method);
// As a JSON string.
[[nodiscard]] std::string Quoted(std::string_view text);
[[nodiscard]] std::string Prefixed(const Nats& options, std::string_view subject);
[[nodiscard]] std::string CancelSubject(const Nats& options, std::string_view group);

// "PREFIX.ID." with a new ID; the addresses of calls follow.
[[nodiscard]] std::string NewInbox(const Nats& options);
void AppendBase62(std::string* out, std::uint64_t number);
// What AppendBase62 wrote, from the last token of a subject.
[[nodiscard]] std::optional<std::uint64_t> IdOf(std::string_view subject) noexcept;

}  // namespace rookery::nats_adapter

#endif  // ROOKERY_TRANSPORTS_NATS_SRC_OPTIONS_H_
