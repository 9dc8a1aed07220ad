// The server side: listeners, threads, drain.
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "acceptor.h"
#include "cq_loop.h"
#include "credentials.h"
#include "health.h"
#include "library.h"
#include "options.h"
#include "reflection.h"
#include "rookery/rpc/handler.h"
#include "rookery/rpc/transport.h"
#include "rookery/transports/grpc.h"
#include "server_call.h"
#include "thread_sanitizer.h"

namespace rookery {
namespace grpc_adapter {
namespace {

// Each request posted to gRPC counts among what is outstanding on a queue, and Debian's gRPC, built
// with assertions, looks through all of it at every completion. So one request is posted per method
// (a call that finds none waits in gRPC's own list, at no cost), and methods beyond these share the
// requests for any method, which cost a batch more per call.
constexpr std::size_t kRegisteredMethods = 48;
constexpr std::size_t kSharedRequests = 8;
// How long handlers that were cancelled may take to end, by themselves and once more after their
// calls have been ended for them.
constexpr std::chrono::milliseconds kUnwind{500};

grpc_server_register_method_payload_handling PayloadOf(MethodKind kind) {
  return HasRequestStream(kind) ? GRPC_SRM_PAYLOAD_NONE : GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER;
}

class GrpcServer final : public ServerTransport, private PeerFaults {
 public:
  explicit GrpcServer(Grpc options) : options_(std::move(options)) {}
  ~GrpcServer() override { Stop(); }

  std::string_view name() const noexcept override { return "grpc"; }
  absl::Status Start(TransportHost& host) override;
  std::string endpoint() const override { return endpoint_; }
  void NotReady() noexcept override {
    if (health_ != nullptr) health_->NotReady();
  }
  void StopIntake() noexcept override;
  std::size_t Drain(Deadline deadline) noexcept override;
  void Stop() noexcept override;

 private:
  // One of a server's threads, with what belongs to it.
  struct Worker {
    Worker(ServerPolicy& policy, std::function<LoopPool&()> fd_loops)
        : loop(std::make_unique<ServerLoop>(policy, std::move(fd_loops))) {}
    std::unique_ptr<ServerLoop> loop;
    std::deque<Arrival> arrivals;
    std::thread thread;
  };
  struct ShutdownTag final : CqTag {
    explicit ShutdownTag(GrpcServer* owner) noexcept
        : CqTag([](CqTag* tag, bool) noexcept {
            GrpcServer& self = *static_cast<ShutdownTag*>(tag)->server;
            const std::lock_guard<std::mutex> lock(self.mutex_);
            self.shut_down_ = true;
            self.changed_.notify_all();
          }),
          server(owner) {}
    GrpcServer* const server;
  };

  void OnPeerFault(const absl::Status& fault) noexcept override {
    policy_.registry->CountRejected("grpc", "", fault);
  }
  void AddMethod(const Handler* handler, bool internal);
  // Puts an acceptor in front of a TCP listener, if this gRPC takes connections from it.
  void MakeAcceptor(ChannelArguments& arguments);
  MethodEntry* Find(std::string_view path) noexcept;
  absl::Status Listen();
  void PostRequests(Worker& worker);
  void Request(Arrival& arrival) noexcept;
  static void OnArrival(CqTag* tag, bool ok) noexcept;
  // Runs `act` on every active call of every loop, each on its own loop.
  void OnEachCall(void (*act)(ServerCall& call)) noexcept;
  // Cancels what is in flight; whether all of it has ended then.
  bool CancelAll() noexcept;
  // Waits until no call is in flight, or `deadline`.
  bool WaitIdle(Deadline deadline) noexcept;

  const Grpc options_;
  std::unique_ptr<Library> library_;
  TransportHost* host_ = nullptr;
  ServerPolicy policy_;
  std::unique_ptr<Health> health_;
  std::unique_ptr<Reflection> reflection_;
  ServerCertificatesPtr certificates_;
  std::deque<MethodEntry> methods_;
  absl::flat_hash_map<std::string_view, MethodEntry*> by_path_;
  std::unique_ptr<Acceptor> acceptor_;
  grpc_server* server_ = nullptr;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::string endpoint_;
  ShutdownTag shutdown_tag_{this};

  std::mutex mutex_;
  std::condition_variable changed_;
  bool shut_down_ = false;  // guarded by mutex_
  bool intake_stopped_ = false;
};

// "Address already in use", out of gRPC's report of a failure.
std::string SystemErrorIn(std::string_view report) {
  constexpr std::string_view kKey = "os_error:\"";
  const std::size_t begin = report.rfind(kKey);
  if (begin == std::string_view::npos) return {};
  const std::string_view rest = report.substr(begin + kKey.size());
  return std::string(rest.substr(0, rest.find('"')));
}

// The gRPC path of a method; patterns registered by hand have no slash of their own.
std::string PathOf(std::string_view full_name) {
  return full_name.starts_with('/') ? std::string(full_name) : absl::StrCat("/", Absl(full_name));
}

void GrpcServer::AddMethod(const Handler* handler, bool internal) {
  MethodEntry& entry = methods_.emplace_back(handler, PathOf(handler->descriptor().full_name));
  entry.internal = internal;
  entry.max_receive_bytes = options_.max_receive_bytes;
  if (const auto limits = options_.methods.find(entry.path); limits != options_.methods.end()) {
    entry.max_concurrent_calls = limits->second.max_concurrent_calls;
    if (limits->second.max_receive_bytes != 0) {
      entry.max_receive_bytes = limits->second.max_receive_bytes;
    }
  }
  // An application that brings a health service of its own keeps it.
  if (!by_path_.emplace(entry.path, &entry).second) methods_.pop_back();
}

MethodEntry* GrpcServer::Find(std::string_view path) noexcept {
  const auto it = by_path_.find(path);
  return it == by_path_.end() ? nullptr : it->second;
}

absl::Status GrpcServer::Start(TransportHost& host) {
  if (absl::Status checked = CheckGrpcListener(options_); !checked.ok()) return checked;
  if (server_ != nullptr) return absl::FailedPreconditionError("this listener was started before");
  host_ = &host;
  for (const auto& limits : options_.methods) {
    bool known = false;
    for (const Handler* handler : host.handlers().all()) {
      known = known || PathOf(handler->descriptor().full_name) == limits.first;
    }
    if (!known) {
      return absl::InvalidArgumentError(
          absl::StrCat("gRPC on \"", options_.address, "\": methods[\"", limits.first,
                       "\"] names a method that no controller serves"));
    }
  }
  library_ = std::make_unique<Library>();
  policy_.registry = &host.handlers();
  policy_.max_send_bytes = options_.max_send_bytes;
  policy_.max_metadata_bytes = options_.max_metadata_bytes;
  policy_.max_concurrent_calls = options_.max_concurrent_calls;
  policy_.compression = NameOf(options_.compression);
  policy_.server = this;
  policy_.idle = [](void* self) noexcept {
    auto* const server = static_cast<GrpcServer*>(self);
    const std::lock_guard<std::mutex> lock(server->mutex_);
    server->changed_.notify_all();
  };
  for (const Handler* handler : host.handlers().all()) AddMethod(handler, /*internal=*/false);
  if (options_.health) {
    health_ = std::make_unique<Health>(host);
    for (const Handler* handler : health_->handlers()) AddMethod(handler, /*internal=*/true);
  }
  if (options_.reflection) {
    reflection_ = std::make_unique<Reflection>(host.handlers(), options_.health);
    for (const Handler* handler : reflection_->handlers()) AddMethod(handler, /*internal=*/true);
  }

  ChannelArguments arguments;
  AddListenerArguments(options_, arguments);
  grpc_resource_quota* quota = nullptr;
  if (options_.max_buffer_bytes != 0) {
    quota = grpc_resource_quota_create("rookery");
    grpc_resource_quota_resize(quota, options_.max_buffer_bytes);
    arguments.SetPointer(GRPC_ARG_RESOURCE_QUOTA, quota, grpc_resource_quota_arg_vtable());
  }
  MakeAcceptor(arguments);
  server_ = grpc_server_create(arguments.get(), nullptr);
  if (quota != nullptr) grpc_resource_quota_unref(quota);

  const std::size_t threads = options_.threads != 0
                                  ? options_.threads
                                  : std::max<std::size_t>(1, std::thread::hardware_concurrency());
  for (std::size_t i = 0; i < threads; ++i) {
    workers_.push_back(
        std::make_unique<Worker>(policy_, [&host]() -> LoopPool& { return host.loops(); }));
    grpc_server_register_completion_queue(server_, workers_.back()->loop->loop.queue(), nullptr);
  }
  std::size_t registered = 0;
  for (MethodEntry& entry : methods_) {
    if (entry.internal || registered == kRegisteredMethods) continue;
    entry.registration = grpc_server_register_method(
        server_, entry.path.c_str(), nullptr, PayloadOf(entry.handler->descriptor().kind), 0);
    if (entry.registration != nullptr) ++registered;
  }
  const absl::Status listening = Listen();
  grpc_server_start(server_);
  for (const std::unique_ptr<Worker>& worker : workers_) {
    if (listening.ok()) PostRequests(*worker);
    worker->thread = std::thread([this, loop = &worker->loop->loop] {
      const PeerFaultsScope faults(this);
      loop->Run();
    });
    const std::string thread_name = absl::StrCat("grpc-", &worker - workers_.data());
    pthread_setname_np(worker->thread.native_handle(), thread_name.c_str());
  }
  if (!listening.ok()) {
    Stop();
  } else if (acceptor_ != nullptr) {
    acceptor_->Start();
  }
  return listening;
}

void GrpcServer::MakeAcceptor(ChannelArguments& arguments) {
  if (options_.address.starts_with("unix") || !Acceptor::Supported()) return;
  Acceptor::Options options;
  options.tls = options_.tls.has_value();
  options.handshake_timeout = options_.handshake_timeout;
  // As gRPC does where it listens.
  if (options_.keepalive.time.count() > 0) options.user_timeout = options_.keepalive.timeout;
  acceptor_ =
      std::make_unique<Acceptor>(options, [this](const absl::Status& why) { OnPeerFault(why); });
  static constexpr grpc_arg_pointer_vtable kBorrowed = {[](void* pointer) { return pointer; },
                                                        [](void*) {},
                                                        [](void* a, void* b) {
                                                          return a < b ? -1 : a > b ? 1 : 0;
                                                        }};
  arguments.SetPointer(Acceptor::kTarget, acceptor_->slot(), &kBorrowed);
}

absl::Status GrpcServer::Listen() {
  grpc_server_credentials* credentials = nullptr;
  if (options_.tls) {
    certificates_ = MakeServerCertificates(*options_.tls);
    credentials = MakeServerCredentials(*options_.tls, *certificates_);
  } else {
    credentials = grpc_insecure_server_credentials_create();
  }
  int port = 0;
  std::string cause;
  if (acceptor_ != nullptr) {
    // It returns nothing of use: what it has put into the slot says how it went.
    static_cast<void>(grpc_server_add_http2_port(server_, Acceptor::kTarget, credentials));
    const absl::StatusOr<int> bound = acceptor_->Listen(options_.address);
    if (!bound.ok()) {
      cause = std::string(bound.status().message());
    } else if (!acceptor_->attached()) {
      cause = "gRPC takes no connections from outside";
    } else {
      port = *bound;
    }
  } else {
    const LogCapture capture;
    port = grpc_server_add_http2_port(server_, options_.address.c_str(), credentials);
    cause = SystemErrorIn(capture.text());
  }
  grpc_server_credentials_release(credentials);
  if (port == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot listen for gRPC on \"", options_.address,
                     "\": ", cause.empty() ? "the host is not known" : cause,
                     ". Stop what listens there, choose another address, or port 0 to have a port "
                     "picked."));
  }
  if (options_.address.starts_with("unix")) {
    endpoint_ = options_.address;
  } else {
    endpoint_ = absl::StrCat(options_.address.substr(0, options_.address.rfind(':')), ":", port);
  }
  return absl::OkStatus();
}

void GrpcServer::PostRequests(Worker& worker) {
  for (MethodEntry& entry : methods_) {
    if (entry.registration == nullptr) continue;
    Request(worker.arrivals.emplace_back(&OnArrival, worker.loop.get(), &entry));
  }
  for (std::size_t i = 0; i < kSharedRequests; ++i) {
    Request(worker.arrivals.emplace_back(&OnArrival, worker.loop.get(), nullptr));
  }
}

void GrpcServer::Request(Arrival& arrival) noexcept {
  grpc_completion_queue* const queue = arrival.loop->loop.queue();
  if (arrival.entry != nullptr) {
    const bool payload = !HasRequestStream(arrival.entry->handler->descriptor().kind);
    grpc_server_request_registered_call(
        server_, arrival.entry->registration, &arrival.call, &arrival.deadline, &arrival.metadata,
        payload ? &arrival.payload : nullptr, queue, queue, HandOver(&arrival));
  } else {
    grpc_server_request_call(server_, &arrival.call, &arrival.details, &arrival.metadata, queue,
                             queue, HandOver(&arrival));
  }
}

void GrpcServer::OnArrival(CqTag* tag, bool ok) noexcept {
  if (!ok) return;  // the server takes no more calls
  Arrival& arrival = *static_cast<Arrival*>(tag);
  const ServerLoop& owner = *arrival.loop;
  GrpcServer& server = *static_cast<GrpcServer*>(owner.policy.server);
  MethodEntry* const entry =
      arrival.entry != nullptr ? arrival.entry : server.Find(View(arrival.details.method));
  ServerCall& call = *arrival.loop->Take();
  call.Accept(arrival, entry);
  // Before the handler runs, so that intake never starves.
  server.Request(arrival);
  call.Serve();
}

void GrpcServer::OnEachCall(void (*act)(ServerCall& call)) noexcept {
  for (const std::unique_ptr<Worker>& worker : workers_) {
    ServerLoop* const loop = worker->loop.get();
    loop->loop.Post([loop, act] {
      // A copy, because `act` may end calls. Slots live as long as their loop.
      std::vector<ServerCall*> calls;
      for (ServerCall* call = loop->active; call != nullptr; call = call->next) {
        calls.push_back(call);
      }
      for (ServerCall* call : calls) act(*call);
    });
  }
}

bool GrpcServer::WaitIdle(Deadline deadline) noexcept {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto idle = [this] { return policy_.in_flight.load(std::memory_order_seq_cst) == 0; };
  if (deadline == kNoDeadline) {
    changed_.wait(lock, idle);
    return true;
  }
  return changed_.wait_until(lock, deadline, idle);
}

void GrpcServer::StopIntake() noexcept {
  if (server_ == nullptr || std::exchange(intake_stopped_, true)) return;
  if (acceptor_ != nullptr) acceptor_->Stop();
  policy_.draining.store(true, std::memory_order_seq_cst);
  grpc_server_shutdown_and_notify(server_, workers_.front()->loop->loop.queue(),
                                  HandOver(&shutdown_tag_));
}

bool GrpcServer::CancelAll() noexcept {
  OnEachCall([](ServerCall& call) { call.CancelFromServer(); });
  if (WaitIdle(std::chrono::steady_clock::now() + kUnwind)) return true;
  OnEachCall([](ServerCall& call) { call.Kill(); });
  return WaitIdle(std::chrono::steady_clock::now() + kUnwind);
}

std::size_t GrpcServer::Drain(Deadline deadline) noexcept {
  if (server_ == nullptr) return 0;
  StopIntake();
  // Health watches and reflection streams stay open as long as their clients like.
  OnEachCall([](ServerCall& call) {
    if (call.internal()) call.CancelFromServer();
  });
  if (WaitIdle(deadline)) return 0;
  const std::size_t left = policy_.in_flight.load();
  CancelAll();
  return left;
}

void GrpcServer::Stop() noexcept {
  if (server_ == nullptr) return;
  StopIntake();
  if (!CancelAll()) {
    OnEachCall([](ServerCall& call) {
      Log(Severity::kError, absl::StrCat("a handler of ", Absl(call.path()),
                                         " has not ended although its call was cancelled; it is "
                                         "left behind. Look for an await without cancellation."));
      call.Abandon();
    });
  }
  grpc_server_cancel_all_calls(server_);
  {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return shut_down_; });
  }
  for (const std::unique_ptr<Worker>& worker : workers_) {
    CqLoop* const loop = &worker->loop->loop;
    loop->Post([loop] {
      loop->AbortClients();
      loop->Close();
    });
  }
  for (const std::unique_ptr<Worker>& worker : workers_) worker->thread.join();
  grpc_server_destroy(std::exchange(server_, nullptr));
  for (const std::unique_ptr<Worker>& worker : workers_) {
    // A handler that was left behind may still be woken one day, and then posts to its loop.
    if (worker->loop->active != nullptr) static_cast<void>(worker->loop.release());
  }
  workers_.clear();
  acceptor_.reset();
  reflection_.reset();
  health_.reset();
  certificates_.reset();
  library_.reset();
}

}  // namespace
}  // namespace grpc_adapter

std::unique_ptr<ServerTransport> MakeServerTransport(const Grpc& options) {
  return std::make_unique<grpc_adapter::GrpcServer>(options);
}

}  // namespace rookery
