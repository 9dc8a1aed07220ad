// The client side: connections, unary calls and streams. Private.
#ifndef ROOKERY_TRANSPORTS_GRPC_SRC_CHANNEL_H_
#define ROOKERY_TRANSPORTS_GRPC_SRC_CHANNEL_H_

#include <grpc/grpc.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "buffers.h"
#include "cq_loop.h"
#include "library.h"
#include "rookery/rpc/channel.h"
#include "rookery/transports/grpc.h"

namespace rookery::grpc_adapter {

// The thread on which calls complete that are not made on a completion queue's own thread. All
// channels of the process share one; it ends with the last of them.
class ClientThread final {
 public:
  [[nodiscard]] static std::shared_ptr<ClientThread> Shared();
  ClientThread();
  ~ClientThread();
  ClientThread(const ClientThread&) = delete;
  ClientThread& operator=(const ClientThread&) = delete;
  [[nodiscard]] CqLoop& loop() noexcept { return *loop_; }

 private:
  std::shared_ptr<CqLoop> loop_;  // shared with the thread
  std::thread thread_;
};

// A method on every connection of a channel.
struct ClientMethod {
  std::string path;
  bool retry = false;
  std::vector<void*> handles;  // gRPC's, by connection
};

// What a channel and its calls stand on.
class Connections final {
 public:
  explicit Connections(const Grpc& options);
  ~Connections();
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  // A call of `method` that completes on `queue`.
  [[nodiscard]] grpc_call* NewCall(const MethodDescriptor& method, Deadline deadline,
                                   grpc_completion_queue* queue);
  // The queue for a call that is made now: this thread's own, or the client thread's.
  [[nodiscard]] CqLoop& PickLoop() noexcept;

  [[nodiscard]] const Grpc& options() const noexcept { return options_; }
  [[nodiscard]] std::string_view compression() const noexcept { return compression_; }
  [[nodiscard]] ConnectionState state(bool connect) noexcept;
  [[nodiscard]] bool closed() const noexcept { return closed_.load(std::memory_order_acquire); }
  void Close() noexcept { closed_.store(true, std::memory_order_release); }

 private:
  const ClientMethod& Find(const MethodDescriptor& method);
  std::vector<grpc_channel*> MakeChannels(const std::string& service_config) const;

  const Library library_;
  const Grpc options_;
  const std::string_view compression_;
  const std::string retry_config_;
  const std::shared_ptr<ClientThread> thread_;
  grpc_channel_credentials* credentials_ = nullptr;
  std::vector<grpc_channel*> channels_;
  std::atomic<bool> closed_{false};
  std::atomic<std::size_t> next_{0};

  // A cache in front of the map, looked up without a lock: entries only ever come.
  struct Cached {
    const MethodDescriptor* descriptor;
    const ClientMethod* method;
  };
  static constexpr std::size_t kCache = 64;
  std::array<std::atomic<const Cached*>, kCache> cache_ = {};
  std::mutex mutex_;
  std::vector<grpc_channel*> retrying_;  // guarded by mutex_, as is all below
  absl::flat_hash_map<std::string, std::unique_ptr<ClientMethod>> methods_;
  std::vector<std::unique_ptr<Cached>> cached_;
};

// What an outgoing call sends first.
class OutgoingHeaders final {
 public:
  // Borrows everything from `call`, which outlives the call.
  void Fill(const OutgoingCall& call, const Connections& connections);
  void AddTo(grpc_op& op) const noexcept;

 private:
  absl::InlinedVector<grpc_metadata, 8> fields_;
  std::uint32_t flags_ = 0;
};

// How a call ended, as gRPC reports it.
class CallEnd final {
 public:
  CallEnd() noexcept;
  ~CallEnd();
  CallEnd(const CallEnd&) = delete;
  CallEnd& operator=(const CallEnd&) = delete;

  void AddTo(grpc_op& initial, grpc_op& end) noexcept;
  // The status, with its details; also fills in what came back.
  [[nodiscard]] absl::Status Take(grpc_call* call, OutgoingCall& into);
  [[nodiscard]] bool ok() const noexcept { return code_ == GRPC_STATUS_OK; }

 private:
  grpc_metadata_array initial_;
  grpc_metadata_array trailing_;
  grpc_status_code code_ = GRPC_STATUS_UNKNOWN;
  grpc_slice text_;
  const char* error_ = nullptr;  // of gRPC's own account; none for OK
};

class GrpcChannel final : public Channel {
 public:
  explicit GrpcChannel(const Grpc& options)
      : connections_(std::make_shared<Connections>(options)) {}

  std::string_view transport() const noexcept override { return "grpc"; }
  std::string target() const override { return connections_->options().address; }
  ConnectionState state() const noexcept override { return connections_->state(false); }
  Task<void> Unary(OutgoingCall& call, const google::protobuf::Message& request,
                   google::protobuf::Message& response) override;
  std::unique_ptr<ClientStream> Open(OutgoingCall& call) override;
  void Connect() noexcept override { static_cast<void>(connections_->state(true)); }
  void Close() noexcept override { connections_->Close(); }

 private:
  const std::shared_ptr<Connections> connections_;
};

[[nodiscard]] std::unique_ptr<ClientStream> OpenStream(std::shared_ptr<Connections> connections,
                                                       OutgoingCall& call);

}  // namespace rookery::grpc_adapter

#endif  // ROOKERY_TRANSPORTS_GRPC_SRC_CHANNEL_H_
