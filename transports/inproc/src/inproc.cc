#include "rookery/transports/inproc.h"

#include <atomic>
#include <chrono>
#include <mutex>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "directory.h"
#include "rookery/rpc/local_channel.h"
#include "rookery/runtime/clock.h"
#include "rookery/runtime/sleep.h"

namespace rookery {
namespace {

using google::protobuf::Message;
using internal::FindPublished;
using internal::Publication;

// How often one who waits for a name looks for it. Only start-up is ever waited for.
constexpr std::chrono::milliseconds kLook{2};

class InProcessServer final : public ServerTransport {
 public:
  explicit InProcessServer(InProcess options) : options_(std::move(options)) {}
  ~InProcessServer() override { Stop(); }

  std::string_view name() const noexcept override { return "inproc"; }
  absl::Status Start(TransportHost& host) override {
    if (options_.name.empty()) {
      return absl::InvalidArgumentError(
          "InProcess listens under a name: Listen(InProcess{.name = \"orders\"})");
    }
    LocalEndpoint::Options local;
    local.name = options_.name;
    local.max_concurrent_calls = options_.max_concurrent_calls;
    auto served = std::make_shared<LocalEndpoint>(host, std::move(local));
    auto published = Publication::Make(options_.name, served);
    if (!published.ok()) return published.status();
    served_ = std::move(served);
    published_ = *std::move(published);
    return absl::OkStatus();
  }
  std::string endpoint() const override { return absl::StrCat("inproc:", options_.name); }
  void StopIntake() noexcept override {
    published_.reset();
    if (served_ != nullptr) served_->StopIntake();
  }
  std::size_t Drain(Deadline deadline) noexcept override {
    return served_ == nullptr ? 0 : served_->Drain(deadline);
  }
  void Stop() noexcept override { StopIntake(); }

 private:
  const InProcess options_;
  std::shared_ptr<LocalEndpoint> served_;
  std::unique_ptr<Publication> published_;
};

absl::Status NobodyListens(const std::string& name) {
  return absl::UnavailableError(
      absl::StrCat("no application of this process listens as InProcess{.name = \"", name,
                   "\"} (yet); start it, or set CallOptions::wait_for_ready"));
}

// The name's endpoint, as soon as there is one; null once the call is too late or cancelled.
Task<std::shared_ptr<LocalEndpoint>> WaitFor(std::string name, const OutgoingCall* call,
                                             const std::atomic<bool>* closed) {
  std::shared_ptr<LocalEndpoint> found;
  for (;;) {
    found = FindPublished(name);
    if (found != nullptr || call->cancel.cancelled() || closed->load() ||
        call->deadline <= rookery::Now()) {
      break;
    }
    co_await Sleep(kLook);
  }
  co_return found;
}

absl::Status WhyNotFound(const std::string& name, const OutgoingCall& call) {
  if (call.cancel.cancelled()) return call.cancel.reason();
  if (call.deadline <= rookery::Now()) {
    return absl::DeadlineExceededError("Deadline Exceeded");
  }
  return NobodyListens(name);
}

Task<void> WaitThenCall(std::string name, OutgoingCall* call, const Message* request,
                        Message* response, const std::atomic<bool>* closed) {
  Task<std::shared_ptr<LocalEndpoint>> wait = WaitFor(name, call, closed);
  std::shared_ptr<LocalEndpoint> found = co_await std::move(wait);
  if (found == nullptr) co_await Fail(WhyNotFound(name, *call));
  Task<void> made = internal::CallLocally(std::move(found), *call, *request, *response);
  co_await std::move(made);
}

// A stream to a name that nobody has yet. Its first operation waits for the name, and opens.
class WaitingStream final : public ClientStream {
 public:
  WaitingStream(std::string name, OutgoingCall& call, const std::atomic<bool>* closed)
      : name_(std::move(name)), call_(call), closed_(closed) {}

  Task<bool> Write(const Message& message) override {
    co_await Open();
    Task<bool> write = stream_->Write(message);
    co_return co_await std::move(write);
  }
  Task<bool> WriteMoved(Message& message) override {
    co_await Open();
    Task<bool> write = stream_->WriteMoved(message);
    co_return co_await std::move(write);
  }
  Task<void> WritesDone() override {
    co_await Open();
    Task<void> done = stream_->WritesDone();
    co_await std::move(done);
  }
  Task<bool> Read(Message& into) override {
    co_await Open();
    Task<bool> read = stream_->Read(into);
    co_return co_await std::move(read);
  }
  Task<absl::Status> Finish() override {
    co_await Open();
    Task<absl::Status> finish = stream_->Finish();
    co_return co_await std::move(finish);
  }
  void Cancel(absl::Status reason) noexcept override {
    const std::scoped_lock lock(mutex_);
    if (stream_ != nullptr) {
      stream_->Cancel(std::move(reason));
    } else if (cancelled_.ok()) {
      cancelled_ = std::move(reason);
    }
  }

 private:
  // Reading and writing may both wait here: who is first opens the stream for both.
  Task<void> Open() {
    for (;;) {
      std::shared_ptr<LocalEndpoint> found = FindPublished(name_);
      const bool too_late =
          call_.cancel.cancelled() || closed_->load() || call_.deadline <= rookery::Now();
      {
        const std::scoped_lock lock(mutex_);
        if (stream_ == nullptr && !cancelled_.ok()) {
          stream_ = internal::RefusedStream(cancelled_);
        } else if (stream_ == nullptr && found != nullptr) {
          stream_ = internal::OpenLocally(found, call_);
        } else if (stream_ == nullptr && too_late) {
          stream_ = internal::RefusedStream(WhyNotFound(name_, call_));
        }
        if (stream_ != nullptr) break;
      }
      co_await Sleep(kLook);
    }
  }

  const std::string name_;
  OutgoingCall& call_;
  const std::atomic<bool>* const closed_;
  std::mutex mutex_;
  absl::Status cancelled_;
  std::unique_ptr<ClientStream> stream_;  // set once
};

// Finds its endpoint by name at each call.
class NamedChannel final : public Channel {
 public:
  explicit NamedChannel(std::string name) : name_(std::move(name)) {}

  std::string_view transport() const noexcept override { return "inproc"; }
  std::string target() const override { return absl::StrCat("inproc:", name_); }
  bool in_process() const noexcept override { return true; }
  ConnectionState state() const noexcept override {
    if (closed_.load()) return ConnectionState::kShutdown;
    return FindPublished(name_) != nullptr ? ConnectionState::kReady : ConnectionState::kIdle;
  }
  Task<void> Unary(OutgoingCall& call, const Message& request, Message& response) override {
    if (closed_.load()) return internal::RefusedCall(Closed());
    std::shared_ptr<LocalEndpoint> found = FindPublished(name_);
    if (found != nullptr) {
      return internal::CallLocally(std::move(found), call, request, response);
    }
    if (!call.wait_for_ready) return internal::RefusedCall(NobodyListens(name_));
    return WaitThenCall(name_, &call, &request, &response, &closed_);
  }
  Task<void> StartUnary(OutgoingCall& call, const Message& request, Message& response) override {
    const std::shared_ptr<LocalEndpoint> found = closed_.load() ? nullptr : FindPublished(name_);
    if (found == nullptr) return Unary(call, request, response);
    return internal::StartLocally(found, call, request, response);
  }
  std::unique_ptr<ClientStream> Open(OutgoingCall& call) override {
    if (closed_.load()) return internal::RefusedStream(Closed());
    const std::shared_ptr<LocalEndpoint> found = FindPublished(name_);
    if (found != nullptr) return internal::OpenLocally(found, call);
    if (!call.wait_for_ready) return internal::RefusedStream(NobodyListens(name_));
    return std::make_unique<WaitingStream>(name_, call, &closed_);
  }
  void Close() noexcept override { closed_.store(true); }

 private:
  [[nodiscard]] absl::Status Closed() const {
    return absl::UnavailableError(absl::StrCat("the channel to ", target(), " is closed"));
  }
  const std::string name_;
  std::atomic<bool> closed_{false};
};

}  // namespace

std::unique_ptr<ServerTransport> MakeServerTransport(const InProcess& options) {
  return std::make_unique<InProcessServer>(options);
}

std::shared_ptr<Channel> MakeChannel(const InProcess& options, TransportHost& host) {
  if (options.name.empty()) return MakeLocalChannel(host);
  return std::make_shared<NamedChannel>(options.name);
}

std::shared_ptr<Channel> MakeChannel(const InProcess& options) {
  return std::make_shared<NamedChannel>(options.name);
}

}  // namespace rookery
