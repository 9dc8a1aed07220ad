// ClientBase: the base of every generated XClient, and the options of one call.
//
//   rookery::CallOptions options;
//   options.timeout = std::chrono::milliseconds(200);
//   Order order = co_await orders.Place(request, std::move(options));
//
// Inside a handler nothing needs to be passed: deadline, cancellation, trace, request id and the
// CLS values that propagate go along by themselves.
#ifndef ROOKERY_RPC_CLIENT_H_
#define ROOKERY_RPC_CLIENT_H_

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "rookery/rpc/channel.h"
#include "rookery/rpc/descriptor.h"
#include "rookery/rpc/metadata.h"
#include "rookery/runtime/stream.h"
#include "rookery/runtime/task.h"

namespace rookery {

// What came back with a call beside its message. Filled in when the call ends.
struct CallInfo {
  Metadata headers;
  Metadata trailers;
  std::string peer;
};

// Options of one call. A class with a constructor, not an aggregate, so that g++ 12 compiles
// `co_await client.Place(request, options)` rightly.
class CallOptions final {
 public:
  CallOptions() {}  // NOLINT(modernize-use-equals-default): not an aggregate

  // The earliest of these and the current context's deadline counts.
  std::optional<std::chrono::nanoseconds> timeout;
  Deadline deadline = kNoDeadline;
  Metadata metadata;
  CancelToken cancel;           // beside the current context's
  bool wait_for_ready = false;  // queue while there is no connection instead of UNAVAILABLE
  std::string compression;      // "gzip", "deflate"; empty: the channel's default
  // Which messages to compress; empty: all of them.
  std::function<bool(const google::protobuf::Message& message)> compress_if;
  CallInfo* info = nullptr;  // if not null: filled in; must outlive the call

  // Whether all of it is as constructed.
  [[nodiscard]] bool is_default() const noexcept {
    return !timeout && deadline == kNoDeadline && metadata.empty() && cancel.source() == nullptr &&
           !wait_for_ready && compression.empty() && !compress_if && info == nullptr;
  }
};

namespace internal {

// A call's options on their way into its coroutine: nothing is moved, or kept, where there are
// none.
class GivenOptions final {
 public:
  explicit GivenOptions(CallOptions&& options)
      : options_(options.is_default() ? nullptr
                                      : std::make_unique<CallOptions>(std::move(options))) {}
  // Null: the default.
  [[nodiscard]] CallOptions* get() const noexcept { return options_.get(); }

 private:
  std::unique_ptr<CallOptions> options_;
};

}  // namespace internal

// Holds the channel. Copyable: copies share it. Thread-safe as the channel is.
class ClientBase {
 public:
  [[nodiscard]] const std::shared_ptr<Channel>& channel() const noexcept { return channel_; }

 protected:
  explicit ClientBase(std::shared_ptr<Channel> channel) noexcept : channel_(std::move(channel)) {}
  ~ClientBase() = default;
  ClientBase(const ClientBase&) = default;
  ClientBase& operator=(const ClientBase&) = default;

 private:
  std::shared_ptr<Channel> channel_;
};

}  // namespace rookery

#endif  // ROOKERY_RPC_CLIENT_H_
