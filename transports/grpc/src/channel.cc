#include "channel.h"

#include <google/protobuf/message.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <pthread.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "convert.h"
#include "credentials.h"
#include "options.h"
#include "rookery/rpc/status.h"
#include "rookery/rpc/transport.h"
#include "rookery/runtime/await.h"
#include "rookery/runtime/rpc_exception.h"
#include "rpc/unreachable.h"
#include "thread_sanitizer.h"

namespace rookery {
namespace grpc_adapter {

using google::protobuf::Message;

// ---- the shared thread ------------------------------------------------------------------------

std::shared_ptr<ClientThread> ClientThread::Shared() {
  static std::mutex mutex;
  static std::weak_ptr<ClientThread> shared;
  const std::lock_guard<std::mutex> lock(mutex);
  std::shared_ptr<ClientThread> thread = shared.lock();
  if (thread == nullptr) {
    thread = std::make_shared<ClientThread>();
    shared = thread;
  }
  return thread;
}

ClientThread::ClientThread() {
  // Nobody's home: only a coroutine that was started on no loop at all can end up here, and only
  // there an fd is waited for on this thread's behalf.
  auto fd_loops = std::make_shared<std::unique_ptr<LoopPool>>();
  loop_ = std::make_shared<CqLoop>([fd_loops]() -> LoopPool& {
    if (*fd_loops == nullptr) {
      LoopPool::Options options;
      options.threads = 1;
      options.name = "grpc-fd";
      *fd_loops = std::make_unique<LoopPool>(options);
    }
    return **fd_loops;
  });
  thread_ = std::thread([loop = loop_] { loop->Run(); });
  pthread_setname_np(thread_.native_handle(), "grpc-client");
}

ClientThread::~ClientThread() {
  loop_->Close();
  // The last channel may be let go by code that a completion resumed, on this very thread.
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();
  } else {
    thread_.join();
  }
}

// ---- connections ------------------------------------------------------------------------------

Connections::Connections(const Grpc& options)
    : options_(options),
      compression_(NameOf(options_.compression)),
      retry_config_(RetryServiceConfig(options_.retry)),
      thread_(ClientThread::Shared()) {
  credentials_ =
      options_.tls ? MakeChannelCredentials(*options_.tls) : grpc_insecure_credentials_create();
  channels_ = MakeChannels("");
}

Connections::~Connections() {
  for (grpc_channel* channel : channels_) grpc_channel_destroy(channel);
  for (grpc_channel* channel : retrying_) grpc_channel_destroy(channel);
  grpc_channel_credentials_release(credentials_);
}

std::vector<grpc_channel*> Connections::MakeChannels(const std::string& service_config) const {
  std::vector<grpc_channel*> channels;
  for (std::size_t i = 0; i < options_.connections; ++i) {
    ChannelArguments arguments;
    AddClientArguments(options_, arguments);
    if (!service_config.empty()) arguments.Set(GRPC_ARG_SERVICE_CONFIG, service_config);
    // Channels of equal arguments share their connections, and so they get unequal ones.
    if (options_.connections > 1) arguments.Set(GRPC_ARG_CHANNEL_ID, static_cast<int>(i));
    channels.push_back(
        grpc_channel_create(options_.address.c_str(), credentials_, arguments.get()));
  }
  return channels;
}

const ClientMethod& Connections::Find(const MethodDescriptor& method) {
  const std::size_t hash =
      (reinterpret_cast<std::uintptr_t>(&method) / sizeof(MethodDescriptor)) % kCache;
  const Cached* const cached = cache_[hash].load(std::memory_order_acquire);
  // The name as well, because a descriptor made at run time may be followed by another at its
  // place.
  if (cached != nullptr && cached->descriptor == &method) [[likely]] {
    std::string_view path = cached->method->path;
    if (!method.full_name.starts_with('/')) path.remove_prefix(1);
    if (path == method.full_name) [[likely]] {
      return *cached->method;
    }
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  std::string path = method.full_name.starts_with('/') ? std::string(method.full_name)
                                                       : absl::StrCat("/", Absl(method.full_name));
  const bool retry = !retry_config_.empty() && method.idempotency != Idempotency::kUnknown;
  std::unique_ptr<ClientMethod>& entry = methods_[path];
  if (entry == nullptr) {
    entry = std::make_unique<ClientMethod>();
    entry->path = std::move(path);
    entry->retry = retry;
    // A channel has one service config, and it names no methods of its own: so methods that may be
    // retried have channels apart, which share the others' connections.
    if (retry && retrying_.empty()) retrying_ = MakeChannels(retry_config_);
    for (grpc_channel* channel : retry ? retrying_ : channels_) {
      entry->handles.push_back(
          grpc_channel_register_call(channel, entry->path.c_str(), nullptr, nullptr));
    }
  }
  cached_.push_back(std::make_unique<Cached>(Cached{&method, entry.get()}));
  cache_[hash].store(cached_.back().get(), std::memory_order_release);
  return *entry;
}

grpc_call* Connections::NewCall(const MethodDescriptor& method, Deadline deadline,
                                grpc_completion_queue* queue) {
  const ClientMethod& registered = Find(method);
  const std::size_t connection =
      channels_.size() == 1 ? 0 : next_.fetch_add(1, std::memory_order_relaxed) % channels_.size();
  grpc_channel* channel = channels_[connection];
  if (registered.retry) {
    const std::lock_guard<std::mutex> lock(mutex_);
    channel = retrying_[connection];
  }
  return grpc_channel_create_registered_call(channel, nullptr, GRPC_PROPAGATE_DEFAULTS, queue,
                                             registered.handles[connection], ToTimespec(deadline),
                                             nullptr);
}

CqLoop& Connections::PickLoop() noexcept {
  CqLoop* const own = CqLoop::Current();
  return own != nullptr && own->accepting() ? *own : thread_->loop();
}

ConnectionState Connections::state(bool connect) noexcept {
  if (closed()) return ConnectionState::kShutdown;
  // The best of all, since one that works is enough for a call.
  int best = GRPC_CHANNEL_SHUTDOWN;
  const auto rank = [](int state) {
    switch (state) {
      case GRPC_CHANNEL_READY:
        return 4;
      case GRPC_CHANNEL_CONNECTING:
        return 3;
      case GRPC_CHANNEL_IDLE:
        return 2;
      case GRPC_CHANNEL_TRANSIENT_FAILURE:
        return 1;
      default:
        return 0;
    }
  };
  for (grpc_channel* channel : channels_) {
    const int state = grpc_channel_check_connectivity_state(channel, connect ? 1 : 0);
    if (rank(state) > rank(best)) best = state;
  }
  switch (best) {
    case GRPC_CHANNEL_READY:
      return ConnectionState::kReady;
    case GRPC_CHANNEL_CONNECTING:
      return ConnectionState::kConnecting;
    case GRPC_CHANNEL_IDLE:
      return ConnectionState::kIdle;
    case GRPC_CHANNEL_TRANSIENT_FAILURE:
      return ConnectionState::kTransientFailure;
    default:
      return ConnectionState::kShutdown;
  }
}

// ---- what calls share -------------------------------------------------------------------------

void OutgoingHeaders::Fill(const OutgoingCall& call, const Connections& connections) {
  fields_.reserve(call.metadata.size() + 1);
  const auto add = [this](std::string_view key, std::string_view value) {
    grpc_metadata field = {};
    field.key = Borrow(key);
    field.value = Borrow(value);
    fields_.push_back(field);
  };
  for (const Metadata::Entry& entry : call.metadata) add(entry.first, entry.second);
  const std::string_view compression =
      call.compression.empty() ? connections.compression() : call.compression;
  if (ToAlgorithm(compression) != GRPC_COMPRESS_NONE) {
    add(GRPC_COMPRESSION_REQUEST_ALGORITHM_MD_KEY, compression);
  }
  if (call.wait_for_ready || connections.options().wait_for_ready) {
    flags_ =
        GRPC_INITIAL_METADATA_WAIT_FOR_READY | GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET;
  }
}

void OutgoingHeaders::AddTo(grpc_op& op) const noexcept {
  op.op = GRPC_OP_SEND_INITIAL_METADATA;
  op.flags = flags_;
  op.data.send_initial_metadata.count = fields_.size();
  op.data.send_initial_metadata.metadata = const_cast<grpc_metadata*>(fields_.data());
}

CallEnd::CallEnd() noexcept : text_(grpc_empty_slice()) {
  grpc_metadata_array_init(&initial_);
  grpc_metadata_array_init(&trailing_);
}

CallEnd::~CallEnd() {
  grpc_metadata_array_destroy(&initial_);
  grpc_metadata_array_destroy(&trailing_);
  grpc_slice_unref(text_);
  gpr_free(const_cast<char*>(error_));
}

void CallEnd::AddTo(grpc_op& initial, grpc_op& end) noexcept {
  initial.op = GRPC_OP_RECV_INITIAL_METADATA;
  initial.data.recv_initial_metadata.recv_initial_metadata = &initial_;
  end.op = GRPC_OP_RECV_STATUS_ON_CLIENT;
  end.data.recv_status_on_client.trailing_metadata = &trailing_;
  end.data.recv_status_on_client.status = &code_;
  end.data.recv_status_on_client.status_details = &text_;
  end.data.recv_status_on_client.error_string = &error_;
}

absl::Status CallEnd::Take(grpc_call* call, OutgoingCall& into) {
  AppendTo(into.headers, initial_);
  std::string_view details;
  for (std::size_t i = 0; i < trailing_.count; ++i) {
    const std::string_view key = View(trailing_.metadata[i].key);
    const std::string_view value = View(trailing_.metadata[i].value);
    if (key == "grpc-status-details-bin") {
      details = value;
    } else {
      into.trailers.AddUnchecked(key, value);
    }
  }
  char* const peer = grpc_call_get_peer(call);
  if (peer != nullptr) {
    into.peer = peer;
    gpr_free(peer);
  }
  if (code_ == GRPC_STATUS_OK) return absl::OkStatus();
  absl::Status status = MakeStatus(static_cast<int>(code_), View(text_), details);
  // gRPC says so in its own account, and nowhere else, if it was the server who said it.
  const bool from_peer =
      error_ != nullptr && std::string_view(error_).find("from peer") != std::string_view::npos;
  return from_peer ? status : internal::Unreachable(std::move(status));
}

// ---- unary ------------------------------------------------------------------------------------

namespace {

// One unary call, one batch. Lives in the frame of the coroutine that awaits it.
class UnaryOp final : public LeafAwaiter, private CqTag, private CqClient {
 public:
  UnaryOp(Connections& connections, OutgoingCall& call, const Message& request,
          Message& response) noexcept
      : CqTag([](CqTag* tag, bool) noexcept { static_cast<UnaryOp*>(tag)->OnEnd(); }),
        connections_(connections),
        call_(call),
        request_(request),
        response_(response) {}

  bool await_ready() const noexcept { return false; }

  bool await_suspend(std::coroutine_handle<> handle) {
    if (connections_.closed()) {
      status_ = internal::Unreachable(absl::UnavailableError(
          absl::StrCat("the client of ", connections_.options().address, " is closed")));
      return false;
    }
    status_ = outgoing_.Fill(request_, connections_.options().max_send_bytes);
    if (!status_.ok()) return false;
    headers_.Fill(call_, connections_);
    Suspend(handle);
    CqLoop& loop = connections_.PickLoop();
    grpc_ = connections_.NewCall(*call_.method, call_.deadline, loop.queue());
    if (CqLoop::Current() == &loop) {
      listed_on_ = &loop;
      loop.AddClient(this);
    }
    grpc_op ops[6] = {};
    headers_.AddTo(ops[0]);
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = outgoing_.get();
    if (call_.SendsPlain(request_)) ops[1].flags = GRPC_WRITE_NO_COMPRESS;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    end_.AddTo(ops[3], ops[5]);
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = received_.Slot();
    // Before the batch: after it, this may be gone.
    on_cancel_.Arm(
        call_.cancel, [](void* self) noexcept { static_cast<UnaryOp*>(self)->OnCancel(); }, this);
    const grpc_call_error error =
        grpc_call_start_batch(grpc_, ops, 6, HandOver(static_cast<CqTag*>(this)), nullptr);
    if (error == GRPC_CALL_OK) [[likely]] {
      return true;
    }
    status_ = error == GRPC_CALL_ERROR_INVALID_METADATA
                  ? absl::InvalidArgumentError("the call's metadata cannot be sent")
                  : absl::InternalError(
                        absl::StrCat("gRPC refused the call: ", grpc_call_error_to_string(error)));
    Release();
    return false;
  }

  absl::Status await_resume() noexcept {
    Resumed();
    return std::move(status_);
  }

 private:
  void OnCancel() noexcept {
    cancelled_.store(true, std::memory_order_relaxed);
    grpc_call_cancel_with_status(grpc_, GRPC_STATUS_CANCELLED, "cancelled by the caller", nullptr);
  }
  void Abort() noexcept override {
    grpc_call_cancel_with_status(grpc_, GRPC_STATUS_UNAVAILABLE, "the server is shutting down",
                                 nullptr);
  }

  void OnEnd() noexcept {
    const bool ok = end_.ok();
    status_ = end_.Take(grpc_, call_);
    if (ok) [[likely]] {
      TakeResponse();
    } else if (cancelled_.load(std::memory_order_relaxed)) {
      status_ = call_.cancel.reason();
    }
    Release();
    Wake();
  }

  void TakeResponse() noexcept {
    if (call_.method->kind == MethodKind::kEvent) return;
    if (!received_) [[unlikely]] {
      // https://github.com/grpc/grpc/blob/master/doc/statuscodes.md: response cardinality violation.
      status_ = absl::UnimplementedError("the server answered OK without a message");
      return;
    }
    status_ = received_.Parse(&response_, connections_.options().max_receive_bytes,
                              absl::StatusCode::kInternal);
  }

  void Release() noexcept {
    on_cancel_.Disarm();
    if (listed_on_ != nullptr) std::exchange(listed_on_, nullptr)->RemoveClient(this);
    grpc_call_unref(std::exchange(grpc_, nullptr));
  }

  Connections& connections_;
  OutgoingCall& call_;
  const Message& request_;
  Message& response_;
  grpc_call* grpc_ = nullptr;
  CqLoop* listed_on_ = nullptr;
  OutgoingHeaders headers_;
  SendBuffer outgoing_;
  ReceivedBuffer received_;
  CallEnd end_;
  CancelCallback on_cancel_;
  std::atomic<bool> cancelled_{false};
  absl::Status status_;
};

}  // namespace

Task<void> GrpcChannel::Unary(OutgoingCall& call, const Message& request, Message& response) {
  UnaryOp operation(*connections_, call, request, response);
  absl::Status status = co_await operation;
  if (!status.ok()) co_await Fail(std::move(status));
}

std::unique_ptr<ClientStream> GrpcChannel::Open(OutgoingCall& call) {
  return OpenStream(connections_, call);
}

}  // namespace grpc_adapter

std::shared_ptr<Channel> MakeChannel(const Grpc& options) {
  if (absl::Status checked = CheckGrpcClient(options); !checked.ok()) {
    throw RpcException(std::move(checked));
  }
  return std::make_shared<grpc_adapter::GrpcChannel>(options);
}

std::shared_ptr<Channel> MakeChannel(const Grpc& options, TransportHost& /*host*/) {
  return MakeChannel(options);
}

}  // namespace rookery
