// ServerCall: one call being served, and the slot that it lives in. Slots are recycled.
//
// A call whose handler ends without suspending is answered with one batch and one completion; only
// a call that suspends watches for its cancellation by a batch of its own. No coroutine is the
// adapter's: a call costs the frames of the handler and its pipeline alone.
#ifndef ROOKERY_TRANSPORTS_GRPC_SRC_SERVER_CALL_H_
#define ROOKERY_TRANSPORTS_GRPC_SRC_SERVER_CALL_H_

#include <google/protobuf/arena.h>
#include <grpc/grpc.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <typeinfo>

#include "absl/status/status.h"
#include "buffers.h"
#include "convert.h"
#include "cq_loop.h"
#include "rookery/rpc/call_context.h"
#include "rookery/rpc/handler.h"
#include "rookery/rpc/message.h"
#include "rookery/runtime/task.h"
#include "rookery/transports/grpc_call.h"

namespace rookery::grpc_adapter {

class ServerCall;
struct ServerLoop;

// A method as a listener serves it.
struct MethodEntry final {
  MethodEntry(const Handler* h, std::string p) : handler(h), path(std::move(p)) {}

  const Handler* const handler;
  const std::string path;
  std::size_t max_receive_bytes = 0;
  std::size_t max_concurrent_calls = 0;  // zero: no limit of its own
  bool internal = false;                 // health and reflection: never wait for them
  void* registration = nullptr;          // gRPC's; null: served by the requests for any method
  std::atomic<std::size_t> in_flight{0};
  std::atomic<std::int64_t> gone_second{
      -1};  // when the last line about a caller's going was logged
};

// A call that gRPC has handed over, before it has a slot. Posted anew as soon as it is emptied.
struct Arrival final : CqTag {
  Arrival(Done function, ServerLoop* owner, MethodEntry* served) noexcept
      : CqTag(function), loop(owner), entry(served) {
    grpc_metadata_array_init(&metadata);
    grpc_call_details_init(&details);
  }
  ~Arrival() {
    grpc_metadata_array_destroy(&metadata);
    grpc_call_details_destroy(&details);
  }

  ServerLoop* const loop;
  MethodEntry* const entry;  // null: any method that is not registered
  grpc_call* call = nullptr;
  gpr_timespec deadline = {};
  grpc_metadata_array metadata = {};
  grpc_byte_buffer* payload = nullptr;
  grpc_call_details details = {};
};

// What calls need to know of their server.
struct ServerPolicy {
  const HandlerRegistry* registry = nullptr;
  std::size_t max_send_bytes = 0;
  std::size_t max_metadata_bytes = 0;
  std::size_t max_concurrent_calls = 0;
  std::string_view compression;
  std::atomic<std::size_t> in_flight{0};
  std::atomic<bool> draining{false};
  void (*idle)(void* server) noexcept = nullptr;  // in_flight fell to zero while draining
  void* server = nullptr;
};

class ServerCall final : public CallContext, public GrpcCall, private MessageSource {
 public:
  explicit ServerCall(ServerLoop& loop);
  ~ServerCall() override;

  // Takes over an arrived call; the arrival may be posted anew. `entry` is null for an unknown
  // method.
  void Accept(Arrival& arrival, MethodEntry* entry) noexcept;
  // Serves what was accepted.
  void Serve() noexcept;
  // Asks the handler, and what it spawned, to end: UNAVAILABLE.
  void CancelFromServer() noexcept;
  // Ends the call towards the peer, whether or not its handler cooperates.
  void Kill() noexcept;
  // Gives gRPC's call up, although the handler still runs; it may never end.
  void Abandon() noexcept;
  [[nodiscard]] bool internal() const noexcept { return entry_ != nullptr && entry_->internal; }
  [[nodiscard]] std::string_view path() const noexcept {
    return entry_ == nullptr ? std::string_view() : std::string_view(entry_->path);
  }

  // CallContext
  [[nodiscard]] std::string_view transport() const noexcept override { return "grpc"; }
  [[nodiscard]] google::protobuf::Arena* arena() noexcept override { return &arena_; }

  // GrpcCall
  [[nodiscard]] bool last_message_compressed() const noexcept override {
    return last_compression_ != GRPC_COMPRESS_NONE;
  }
  [[nodiscard]] std::string_view peer_encoding() const noexcept override {
    return NameOf(last_compression_);
  }
  void SendHeaders() noexcept override;
  [[nodiscard]] grpc_call* native_handle() noexcept override { return call_; }

  // The slot's place in its loop's lists.
  ServerCall* next = nullptr;
  ServerCall* previous = nullptr;

 private:
  class ReadAwaiter;
  struct Tag final : CqTag {
    Tag(Done function, ServerCall* owner) noexcept : CqTag(function), call(owner) {}
    ServerCall* const call;
  };
  // Posts one of this object's functions to its loop.
  template <void (ServerCall::*kFunction)() noexcept>
  struct Work final : LoopWork {
    explicit Work(ServerCall* owner) noexcept
        : LoopWork([](LoopWork* self) noexcept { (static_cast<Work*>(self)->call->*kFunction)(); }),
          call(owner) {}
    ServerCall* const call;
  };
  enum class State : std::uint8_t { kIdle, kFirstMessage, kRunning, kAnswered };

  void LoadMetadata(Metadata* metadata) const override;
  void LoadPeer(Peer* peer) const override;
  void* FindTransportRequest(const std::type_info& type) noexcept override;
  void OnUnreferenced() noexcept override;
  Task<bool> Read(google::protobuf::Message& into) override;

  void Dispatch() noexcept;
  void Run() noexcept;
  void Reject(const absl::Status& status, std::string_view method) noexcept;
  void WatchClose() noexcept;
  void StartRead() noexcept;

  // The handler has ended; on any thread.
  void OnHandlerEnd() noexcept;
  void TakeResponse() noexcept;
  // Streams: pulls messages until the producer suspends, a write is under way, or the end.
  void Pump() noexcept;
  void OnPulled() noexcept;
  [[nodiscard]] bool TakePulled() noexcept;
  [[nodiscard]] bool HoldPulled() noexcept;
  void EndStream(absl::Status status) noexcept;

  // Serialises a message to be sent when it is known what follows it.
  absl::Status Hold(const google::protobuf::Message& message);
  void WriteHeld(bool more_follows) noexcept;
  // The end: `message` (may be null) or what is held goes out with the status.
  void Answer(absl::Status status, const google::protobuf::Message* message) noexcept;
  void Finish(const absl::Status& status) noexcept;
  void OpEnded() noexcept;
  void Ended() noexcept;
  void Recycle() noexcept;
  absl::Status Broken() const;
  // One line a second at most.
  void LogGone();

  void AddHeaders(grpc_op& op) noexcept;
  [[nodiscard]] std::uint32_t MessageFlags() const noexcept;
  [[nodiscard]] bool Start(const grpc_op* ops, std::size_t count, Tag* tag) noexcept;

  void OnClose() noexcept;
  void OnRead(bool ok) noexcept;
  void OnWrite(bool ok) noexcept;

  static constexpr std::size_t kArenaBytes = 2'048;

  ServerLoop& loop_;
  ServerPolicy& policy_;
  MethodEntry* entry_ = nullptr;
  grpc_call* call_ = nullptr;
  grpc_metadata_array request_metadata_ = {};
  std::string unknown_method_;
  std::optional<Request> request_;
  std::optional<Task<Response>> task_;
  std::optional<Task<google::protobuf::Message*>> next_;  // of a response's stream
  absl::Status stream_status_;
  ReceivedBuffer received_;
  SendBuffer outgoing_;
  OutgoingMetadata headers_out_;
  OutgoingMetadata trailers_out_;
  ReadAwaiter* reader_ = nullptr;

  Tag close_tag_;
  Tag read_tag_;
  Tag write_tag_;
  Tag headers_tag_;
  Tag final_tag_;
  Work<&ServerCall::Recycle> recycle_work_{this};
  Work<&ServerCall::Ended> end_work_{this};
  Work<&ServerCall::StartRead> start_read_work_{this};
  Work<&ServerCall::TakeResponse> response_work_{this};
  Work<&ServerCall::OnPulled> pulled_work_{this};

  int cancelled_by_peer_ = 0;  // written by gRPC
  std::uint32_t pending_ = 0;  // batches under way
  State state_ = State::kIdle;
  bool watching_ = false;
  bool closed_ = false;
  bool abandoned_ = false;
  bool headers_sent_ = false;
  bool holding_ = false;
  bool writing_ = false;
  bool write_failed_ = false;
  bool pulling_ = false;       // inside the start of next_
  bool pulled_ = false;        // next_ ended before its start returned
  bool pulled_waits_ = false;  // a message has been pulled that waits for the write under way
  bool stream_ended_ = false;  // so has the end of the stream
  bool read_first_ = false;    // the one message of the request is still to be read
  grpc_compression_algorithm last_compression_ = GRPC_COMPRESS_NONE;

  alignas(std::max_align_t) char arena_block_[kArenaBytes];
  google::protobuf::Arena arena_;
};

// One thread of a server: a loop, its slots, and the requests that it has posted.
struct ServerLoop final {
  ServerLoop(ServerPolicy& server_policy, std::function<LoopPool&()> fd_loops)
      : policy(server_policy), loop(std::move(fd_loops)) {}
  ~ServerLoop();

  ServerCall* Take() noexcept;
  void Put(ServerCall* call) noexcept;

  ServerPolicy& policy;
  CqLoop loop;
  ServerCall* free = nullptr;    // linked by next
  ServerCall* active = nullptr;  // linked both ways
};

}  // namespace rookery::grpc_adapter

#endif  // ROOKERY_TRANSPORTS_GRPC_SRC_SERVER_CALL_H_
