#include "call_broker.h"

#include <zmq.h>

#include <algorithm>
#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "options.h"
#include "rookery/platform/log.h"
#include "runtime/abseil_strings.h"

namespace rookery::zeromq_adapter {
namespace {

using internal::Abs;
using std::chrono::milliseconds;

constexpr std::size_t kMostCallers = 16'384;
constexpr std::size_t kMostWorkers = 10'000;
constexpr std::size_t kMostNames = 10'000;

Logger Log() { return Logger::Default().Named("zmq-broker"); }

std::string KeyOf(std::string_view client, std::string_view address) {
  std::string key;
  key.reserve(client.size() + address.size() + 1);
  key.push_back(static_cast<char>(static_cast<unsigned char>(client.size())));
  key.append(client);
  key.append(address);
  return key;
}

// What a request is served under.
std::string_view ServiceOf(std::string_view to) {
  return to.starts_with('/') ? to.substr(0, to.rfind('/') + 1) : to;
}

// Whether nothing follows it.
bool IsLast(const InboundMessage& message) {
  const auto text = message.Find(kFrameHeader);
  if (!text) return true;
  const absl::StatusOr<WireFrame> frame = ParseFrame(*text);
  return frame.ok() &&
         (frame->kind == WireFrame::Kind::kEnd || frame->kind == WireFrame::Kind::kCancel);
}

}  // namespace

CallBroker::CallBroker(std::shared_ptr<ZmqContext> context, Loop& loop, const ZeroMq& options,
                       milliseconds worker_timeout)
    : context_(std::move(context)),
      loop_(loop),
      options_(options),
      worker_timeout_(worker_timeout) {}

CallBroker::~CallBroker() { Close(); }

template <class F>
void CallBroker::OnLoop(F act) {
  const auto done = std::make_shared<std::promise<void>>();
  loop_.Post([&, done] {
    act();
    done->set_value();
  });
  done->get_future().wait();
}

absl::Status CallBroker::Open(const std::string& clients, const std::string& workers) {
  const auto make = [&](void (CallBroker::*handle)(Frames&), const std::string& address,
                        std::string* endpoint) -> absl::StatusOr<std::shared_ptr<LoopSocket>> {
    LoopSocket::Callbacks on;
    // Until Close, which comes before our end.
    on.message = [this, handle](Frames& frames) {
      if (open_) (this->*handle)(frames);
    };
    auto socket = LoopSocket::Make(context_, loop_, ZMQ_ROUTER, options_, std::move(on));
    if (!socket.ok()) return socket.status();
    if (options_.curve) {
      SetListenerCurve((*socket)->raw(), *options_.curve);
    }
    absl::StatusOr<std::string> bound = (*socket)->Bind(address);
    if (!bound.ok()) return bound.status();
    *endpoint = *std::move(bound);
    return socket;
  };
  auto front = make(&CallBroker::OnClient, clients, &clients_endpoint_);
  if (!front.ok()) return front.status();
  front_ = *std::move(front);
  auto back = make(&CallBroker::OnWorker, workers, &workers_endpoint_);
  if (!back.ok()) return back.status();
  back_ = *std::move(back);
  OnLoop([this] {
    open_ = true;
    loop_.Arm(&sweep_, loop_.Now() + worker_timeout_ / 4);
  });
  front_->Start();
  back_->Start();
  return absl::OkStatus();
}

void CallBroker::StopIntake() {
  OnLoop([this] {
    if (std::exchange(draining_, true) || front_ == nullptr) return;
    for (const std::string& caller : callers_) {
      SendToClient(caller, kGoAwayAddress, OutboundMessage()).IgnoreError();
    }
    callers_.clear();
  });
}

void CallBroker::Close() {
  OnLoop([this] {
    loop_.Disarm(&sweep_);
    open_ = false;
    if (front_ != nullptr) front_->Close();
    if (back_ != nullptr) back_->Close();
  });
  // Behind what the sockets have posted.
  OnLoop([] {});
  front_.reset();
  back_.reset();
}

// ---- clients ------------------------------------------------------------------------------------

void CallBroker::OnClient(Frames& frames) {
  if (frames.size() < 2) {
    refused_.fetch_add(1);
    return;
  }
  Header header;
  InboundMessage message;
  const std::string_view client = frames[0].view();
  absl::Status parsed = DecodeMessage(frames[1].view(), &header, &message);
  // Another version may have another number of frames.
  if (parsed.ok() && frames.size() != 2) parsed = absl::InvalidArgumentError("too many frames");
  if (!parsed.ok()) {
    refused_.fetch_add(1);
    if (absl::IsUnimplemented(parsed)) Refuse(client, kVersionAddress, parsed, /*unread=*/false);
    return;
  }
  const std::string_view to = header.to;
  if (to.starts_with('@')) {
    const auto found = callees_.find(KeyOf(client, to));
    // Of a call that is over.
    if (found == callees_.end()) return;
    const auto call = calls_.find(found->second);
    if (call == calls_.end()) return;
    frames.emplace(frames.begin(), call->second.worker->id);
    back_->Send(std::move(frames)).IgnoreError();
  } else if (to == kCancelAddress) {
    const auto address = message.Find(kCallHeader);
    if (!address) return;
    const auto call = calls_.find(KeyOf(client, *address));
    if (call == calls_.end()) return;
    const std::string key = call->first;
    frames.emplace(frames.begin(), call->second.worker->id);
    back_->Send(std::move(frames)).IgnoreError();
    // Nothing is answered to that.
    EndCall(key);
  } else if (to == kHelloAddress) {
    if (draining_) {
      SendToClient(client, kGoAwayAddress, OutboundMessage()).IgnoreError();
      return;
    }
    if (callers_.size() >= kMostCallers) callers_.erase(callers_.begin());
    callers_.emplace(client);
  } else if (to == kByeAddress) {
    // It has heard that we leave.
  } else if (to.starts_with('!')) {
    refused_.fetch_add(1);
  } else {
    OnRequest(frames, to, header.reply_to);
  }
}

void CallBroker::OnRequest(Frames& frames, std::string_view to, std::string_view reply_to) {
  const std::string client(frames[0].view());
  if (draining_) {
    Refuse(client, reply_to, absl::UnavailableError("the broker is shutting down"), true);
    return;
  }
  if (in_flight_.load(std::memory_order_relaxed) >= options_.max_concurrent_calls) {
    Refuse(client, reply_to, absl::ResourceExhaustedError("too many calls in flight at the broker"),
           true);
    return;
  }
  // A request that comes again while the first is served goes where that one went.
  std::string key = KeyOf(client, reply_to);
  const auto known = reply_to.empty() ? calls_.end() : calls_.find(key);
  Worker* worker = known != calls_.end() ? known->second.worker : Choose(to);
  if (worker == nullptr) {
    Refuse(
        client, reply_to,
        absl::UnavailableError(absl::StrCat("no worker at the broker serves ", Abs(ServiceOf(to)))),
        true);
    return;
  }
  if (!reply_to.empty() && known == calls_.end()) {
    Call call;
    call.worker = worker;
    call.client = client;
    call.address = std::string(reply_to);
    ++worker->in_flight;
    calls_.emplace(key, std::move(call));
    in_flight_.store(calls_.size());
  }
  const std::string address(reply_to);
  frames.emplace(frames.begin(), worker->id);
  const absl::Status sent = back_->Send(std::move(frames));
  if (sent.ok()) {
    routed_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  EndCall(key);
  Refuse(client, address, sent, true);
  if (absl::IsUnavailable(sent)) Forget(*worker, "its connection is gone");
}

CallBroker::Worker* CallBroker::Choose(std::string_view to) {
  const auto found = services_.find(Abs(ServiceOf(to)));
  if (found == services_.end()) return nullptr;
  std::vector<Worker*>& all = found->second;
  const auto best = std::min_element(all.begin(), all.end(), [](const Worker* a, const Worker* b) {
    return std::pair(a->leaving, a->in_flight) < std::pair(b->leaving, b->in_flight);
  });
  if (best == all.end() || (*best)->leaving) return nullptr;
  // The next time another one of those with as little to do.
  Worker* const worker = *best;
  std::rotate(best, best + 1, all.end());
  return worker;
}

// ---- workers ------------------------------------------------------------------------------------

void CallBroker::OnWorker(Frames& frames) {
  if (frames.size() != 3) {
    refused_.fetch_add(1);
    return;
  }
  if (!frames[1].view().empty()) {
    OnAnswer(frames);
    return;
  }
  Header header;
  InboundMessage message;
  if (!DecodeMessage(frames[2].view(), &header, &message).ok()) {
    refused_.fetch_add(1);
    return;
  }
  const std::string id(frames[0].view());
  if (header.to == kRegisterAddress) {
    Register(id, message.body);
  } else if (header.to == kLeaveAddress) {
    const auto found = workers_.find(id);
    if (found != workers_.end()) found->second->leaving = true;
    // Behind all that it was handed: from now on nothing more comes.
    OutboundMessage bye;
    if (!EncodeMessage(bye, kByeAddress, "", &scratch_).ok()) return;
    Frames answer;
    answer.emplace_back(id);
    answer.emplace_back(std::string_view());
    answer.emplace_back(scratch_);
    back_->Send(std::move(answer)).IgnoreError();
  } else {
    refused_.fetch_add(1);
  }
}

void CallBroker::Register(const std::string& id, std::string_view names) {
  auto found = workers_.find(id);
  if (found == workers_.end()) {
    if (workers_.size() >= kMostWorkers) {
      refused_.fetch_add(1);
      return;
    }
    found = workers_.emplace(id, std::make_unique<Worker>()).first;
    found->second->id = id;
  }
  Worker& worker = *found->second;
  const bool fresh = worker.names.empty();
  worker.last = loop_.Now();
  std::vector<std::string> list = absl::StrSplit(Abs(names), '\n', absl::SkipEmpty());
  if (list.size() > kMostNames) list.resize(kMostNames);
  if (list == worker.names) return;
  Unlist(worker);
  worker.names = std::move(list);
  for (const std::string& name : worker.names) services_[name].push_back(&worker);
  if (fresh) Log().Info("a worker has come", {{"services", worker.names.size()}});
}

void CallBroker::Unlist(Worker& worker) {
  for (const std::string& name : worker.names) {
    const auto found = services_.find(name);
    if (found == services_.end()) continue;
    std::erase(found->second, &worker);
    if (found->second.empty()) services_.erase(found);
  }
  worker.names.clear();
}

void CallBroker::OnAnswer(Frames& frames) {
  const std::string worker_id(frames[0].view());
  const auto worker = workers_.find(worker_id);
  if (worker == workers_.end()) {
    refused_.fetch_add(1);
    return;
  }
  const std::string client(frames[1].view());
  Header header;
  InboundMessage message;
  if (!DecodeMessage(frames[2].view(), &header, &message).ok()) {
    refused_.fetch_add(1);
    return;
  }
  const std::string key = KeyOf(client, header.to);
  const auto call = calls_.find(key);
  // Late, or somebody else's.
  if (call == calls_.end() || call->second.worker != worker->second.get()) {
    if (!header.reply_to.empty()) CancelAt(*worker->second, client, header.reply_to);
    return;
  }
  const std::string callee(header.reply_to);
  if (!callee.empty() && call->second.callee.empty()) {
    call->second.callee = callee;
    callees_.emplace(KeyOf(client, callee), key);
  }
  const bool last = IsLast(message);
  frames.erase(frames.begin());
  const absl::Status sent = front_->Send(std::move(frames));
  if (absl::IsUnavailable(sent)) {
    CancelAt(*worker->second, client, callee);
    EndCall(key);
  } else if (last) {
    EndCall(key);
  }
}

void CallBroker::CancelAt(Worker& worker, std::string_view client, std::string_view callee) {
  if (callee.empty()) return;
  OutboundMessage cancel;
  AddFrame({.kind = WireFrame::Kind::kCancel}, &cancel);
  AddStatus(absl::CancelledError("the caller went away"), &cancel);
  if (!EncodeMessage(cancel, callee, "", &scratch_).ok()) return;
  Frames frames;
  frames.emplace_back(worker.id);
  frames.emplace_back(client);
  frames.emplace_back(scratch_);
  back_->Send(std::move(frames)).IgnoreError();
}

void CallBroker::Sweep() {
  if (!open_) return;
  loop_.Arm(&sweep_, loop_.Now() + worker_timeout_ / 4);
  const Deadline now = loop_.Now();
  std::vector<Worker*> silent;
  for (const auto& [id, worker] : workers_) {
    if (now - worker->last > worker_timeout_) silent.push_back(worker.get());
  }
  for (Worker* const worker : silent) Forget(*worker, "it has fallen silent");
}

void CallBroker::Forget(Worker& worker, const std::string& why) {
  Unlist(worker);
  std::vector<std::string> lost;
  for (const auto& [key, call] : calls_) {
    if (call.worker == &worker) lost.push_back(key);
  }
  if (!worker.leaving || !lost.empty()) {
    Log().Warn("a worker is gone", {{"why", why}, {"calls_in_hand", lost.size()}});
  }
  for (const std::string& key : lost) {
    const Call call = calls_.find(key)->second;
    EndCall(key);
    Refuse(call.client, call.address,
           absl::UnavailableError("the worker that had the call is gone"), /*unread=*/false);
  }
  workers_.erase(std::string(worker.id));
}

// ---- both ---------------------------------------------------------------------------------------

void CallBroker::EndCall(const std::string& key) {
  const auto call = calls_.find(key);
  if (call == calls_.end()) return;
  --call->second.worker->in_flight;
  if (!call->second.callee.empty()) {
    callees_.erase(KeyOf(call->second.client, call->second.callee));
  }
  calls_.erase(call);
  in_flight_.store(calls_.size());
}

void CallBroker::Refuse(std::string_view client, std::string_view address,
                        const absl::Status& status, bool unread) {
  refused_.fetch_add(1);
  if (address.empty()) return;
  OutboundMessage out;
  AddStatus(status, &out);
  if (unread) out.Add(kUnreadHeader, draining_ ? std::string_view("1") : kUnreadHere);
  SendToClient(client, address, out).IgnoreError();
}

absl::Status CallBroker::SendToClient(std::string_view client, std::string_view address,
                                      const OutboundMessage& message) {
  absl::Status encoded = EncodeMessage(message, address, "", &scratch_);
  if (!encoded.ok()) return encoded;
  Frames frames;
  frames.emplace_back(client);
  frames.emplace_back(scratch_);
  return front_->Send(std::move(frames));
}

}  // namespace rookery::zeromq_adapter
