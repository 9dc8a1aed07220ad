// Options as libzmq wants them, and messages as they are in its frames. Private.
#ifndef ROOKERY_TRANSPORTS_ZEROMQ_SRC_OPTIONS_H_
#define ROOKERY_TRANSPORTS_ZEROMQ_SRC_OPTIONS_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "rookery/rpc/descriptor.h"
#include "rookery/rpc/wire.h"
#include "rookery/transports/zeromq.h"

namespace rookery::zeromq_adapter {

inline constexpr std::string_view kZapDomain = "rookery";

// The version of a message's header.
inline constexpr char kHeaderVersion = 2;
// Addresses that are no method's: where cancellations go, ...
inline constexpr std::string_view kCancelAddress = "!cancel";
// ... what a caller says first, so that it can be told when no more calls are taken, ...
inline constexpr std::string_view kHelloAddress = "!hello";
inline constexpr std::string_view kGoAwayAddress = "!goaway";
// ... what it answers: behind this there are no more calls of its, ...
inline constexpr std::string_view kByeAddress = "!bye";
// ... and the answer to a header of a version that is not ours.
inline constexpr std::string_view kVersionAddress = "!version";

// What a server says to a broker: which services and patterns it serves, in lines, again and again;
// and that it takes no more calls.
inline constexpr std::string_view kRegisterAddress = "!register";
inline constexpr std::string_view kLeaveAddress = "!leave";
// The value of kUnreadHeader in a broker's refusals: it goes on taking calls.
inline constexpr std::string_view kUnreadHere = "here";
inline constexpr std::chrono::milliseconds kRegisterInterval{400};

[[nodiscard]] std::vector<std::string> Addresses(const std::string& address);
[[nodiscard]] std::string AddressOf(const MethodDescriptor& method);
// INVALID_ARGUMENT for a pattern that looks like one of the addresses that are no method's.
[[nodiscard]] absl::Status CheckMethodAddress(std::string_view address);
[[nodiscard]] std::string ProgramName();
// What CheckZeroMqOptions cannot know: which side the options are for.
[[nodiscard]] absl::Status CheckServerCurve(const ZeroMq& options);
[[nodiscard]] absl::Status CheckClientCurve(const ZeroMq& options);
// libzmq's last error as a status: `what` was tried.
[[nodiscard]] absl::Status LastError(std::string_view what);

// A socket of libzmq that nobody else closes.
class Socket final {
 public:
  Socket(void* context, int type);
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket();
  [[nodiscard]] void* get() const noexcept { return socket_; }
  // The first that fails is remembered.
  void Set(int option, int value);
  void Set(int option, std::string_view value);
  // Sets what both sides share.
  void Configure(const ZeroMq& options);
  [[nodiscard]] absl::Status status() const { return status_; }
  [[nodiscard]] int fd() const noexcept;
  [[nodiscard]] std::string last_endpoint() const;

 private:
  void* const socket_;
  absl::Status status_;
};

// Sets what CURVE needs at the side that listens, and at the one that connects. (The latter's keys
// are new ones if the options have none.) A context whose sockets listen has a ZapHandler.
void SetListenerCurve(Socket& socket, const ZeroMqCurve& curve);
[[nodiscard]] absl::Status SetConnectorCurve(Socket& socket, const ZeroMqCurve& curve);

// A message in its frame: the header (to, reply_to and fields), and the body behind it. Its size
// (0: it does not fit), and what fills that; or both at once.
[[nodiscard]] std::size_t MessageSize(const OutboundMessage& message, std::string_view to,
                                      std::string_view reply_to) noexcept;
void WriteMessage(const OutboundMessage& message, std::string_view to, std::string_view reply_to,
                  char* out);
[[nodiscard]] absl::Status EncodeMessage(const OutboundMessage& message, std::string_view to,
                                         std::string_view reply_to, std::string* out);
inline absl::Status DoesNotFit() {
  return absl::ResourceExhaustedError("too many headers, or too long ones");
}
struct Header {
  std::string_view to;
  std::string_view reply_to;
};
// UNIMPLEMENTED for another version; INVALID_ARGUMENT for what does not parse. Sets the message's
// fields and body, which are views into `bytes` as those of the header are.
[[nodiscard]] absl::Status DecodeMessage(std::string_view bytes, Header* header,
                                         InboundMessage* message);

// "@1f": the address of a call.
[[nodiscard]] std::string FormatId(std::uint64_t id);
// Up to the end, or a dot, which *rest begins with then.
[[nodiscard]] std::optional<std::uint64_t> ParseId(std::string_view address,
                                                   std::string_view* rest = nullptr) noexcept;
// SipHash-2-4.
[[nodiscard]] std::uint64_t KeyedHash(const std::uint64_t (&key)[2],
                                      std::string_view text) noexcept;

}  // namespace rookery::zeromq_adapter

#endif  // ROOKERY_TRANSPORTS_ZEROMQ_SRC_OPTIONS_H_
