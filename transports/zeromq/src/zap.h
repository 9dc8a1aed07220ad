// ZapHandler: says who may connect with which CURVE key, and who that is (ZAP, RFC 27). Private.
//
//   auto zap = ZapHandler::Start(context, loop, options);   // before the sockets of the context
//   ...                                                     // bind
//   (*zap)->Stop();                                         // after they have gone
//
// A context has one such handler: a server has a context of its own. Messages of a peer that is let
// in carry its identity as "User-Id".
#ifndef ROOKERY_TRANSPORTS_ZEROMQ_SRC_ZAP_H_
#define ROOKERY_TRANSPORTS_ZEROMQ_SRC_ZAP_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "rookery/runtime/loop.h"
#include "rookery/transports/zeromq.h"
#include "sockets.h"

namespace rookery::zeromq_adapter {

class ZapHandler final : public std::enable_shared_from_this<ZapHandler> {
 public:
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<ZapHandler>> Start(
      std::shared_ptr<ZmqContext> context, Loop& loop, const ZeroMq& options);
  // Use Start.
  explicit ZapHandler(const ZeroMqCurve& curve);
  // Not on the loop, which must run: waits until the socket has gone. Idempotent.
  void Stop() noexcept;

 private:
  void OnRequest(const Frames& request);

  absl::flat_hash_map<std::string, std::string> allowed_;  // the keys' 32 bytes -> identity
  const bool allow_any_;
  std::shared_ptr<LoopSocket> socket_;
};

}  // namespace rookery::zeromq_adapter

#endif  // ROOKERY_TRANSPORTS_ZEROMQ_SRC_ZAP_H_
