// RpcException: the one exception type that carries a canonical status.
//
//   throw rookery::RpcException(absl::NotFoundError("no order 42"));
//
// Handlers may throw it, `co_return absl::NotFoundError(...)` instead (cheaper: nothing unwinds),
// or throw anything else, which the peer sees as INTERNAL with an incident id and no text.
#ifndef ROOKERY_RUNTIME_RPC_EXCEPTION_H_
#define ROOKERY_RUNTIME_RPC_EXCEPTION_H_

#include <exception>
#include <string>

#include "absl/status/status.h"

namespace rookery {

// An absl::Status as an exception. Awaiting a Task that failed with a status throws it.
// `status` must not be OK; an OK status becomes INTERNAL, because nothing else could be meant.
class RpcException : public std::exception {
 public:
  explicit RpcException(absl::Status status);

  [[nodiscard]] const absl::Status& status() const noexcept { return status_; }
  [[nodiscard]] const char* what() const noexcept override { return what_.c_str(); }

 private:
  absl::Status status_;
  std::string what_;
};

// The status that `error` stands for: that of an RpcException; for anything else INTERNAL, with the
// exception's text in the payload kExceptionPayload, which never leaves the process (see
// rpc/status.h).
[[nodiscard]] absl::Status StatusFromException(std::exception_ptr error) noexcept;

// Payload key under which StatusFromException keeps the text of a foreign exception, for the log
// alone.
inline constexpr char kExceptionPayload[] = "rookery/exception";

}  // namespace rookery

#endif  // ROOKERY_RUNTIME_RPC_EXCEPTION_H_
