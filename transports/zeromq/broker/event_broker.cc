#include "event_broker.h"

#include <zmq.h>

#include <algorithm>
#include <cstring>
#include <future>
#include <utility>

#include "event_options.h"
#include "event_wire.h"
#include "options.h"
#include "rpc/random.h"

namespace rookery::zeromq_adapter {
namespace {

constexpr int kMessagesPerTurn = 512;
constexpr int kLastTurns = 1'000;

}  // namespace

EventBroker::EventBroker(std::shared_ptr<ZmqContext> context, Loop& loop, const ZeroMq& options)
    : context_(std::move(context)), loop_(loop), options_(options), id_(internal::FastRandom64()) {}

EventBroker::~EventBroker() { Close(); }

template <class F>
void EventBroker::OnLoop(F act) {
  const auto done = std::make_shared<std::promise<void>>();
  loop_.Post([&, done] {
    act();
    done->set_value();
  });
  done->get_future().wait();
}

absl::Status EventBroker::Open(const std::string& publishers, const std::string& subscribers) {
  absl::Status status;
  OnLoop([&] { status = OpenHere(publishers, subscribers); });
  if (!status.ok()) Close();
  return status;
}

absl::Status EventBroker::OpenHere(const std::string& publishers, const std::string& subscribers) {
  in_ = std::make_unique<EventSocket>(context_->get(), ZMQ_XSUB, loop_);
  out_ = std::make_unique<EventSocket>(context_->get(), ZMQ_XPUB, loop_);
  for (EventSocket* const socket : {in_.get(), out_.get()}) {
    socket->raw().Configure(options_);
    if (options_.curve) SetListenerCurve(socket->raw(), *options_.curve);
  }
  absl::Status status = Attach(*in_, {publishers}, /*bind=*/true);
  if (status.ok()) status = Attach(*out_, {subscribers}, /*bind=*/true);
  if (!status.ok()) return status;
  publishers_endpoint_ = in_->raw().last_endpoint();
  subscribers_endpoint_ = out_->raw().last_endpoint();
  // All of it: what nobody here has subscribed to ends here, so that a subscription need not travel
  // further than to us, and is in force when we say so. The second one counts us as a subscriber,
  // and lets new publishers tell us what they have published.
  for (const std::string& topic : {std::string(), SyncSubscription(id_)}) {
    const std::string subscribe = std::string(1, '\1') + topic;
    if (zmq_send(in_->raw().get(), subscribe.data(), subscribe.size(), 0) < 0) {
      return LastError("cannot subscribe");
    }
  }
  in_->set_on_readable([this] { return ReadEvents(); });
  out_->set_on_readable([this] { return ReadSubscriptions(); });
  in_->Start();
  out_->Start();
  return absl::OkStatus();
}

void EventBroker::Close() {
  OnLoop([this] {
    if (in_ != nullptr) {
      // Of a publisher that goes on and on, no more than there can be at a time.
      for (int turn = 0; turn < kLastTurns && ReadEvents(); ++turn) {
      }
    }
    in_.reset();
    out_.reset();
  });
}

EventBroker::Publisher& EventBroker::Of(std::uint64_t id) {
  Publisher& publisher = known_[id];
  publisher.heard = ++clock_;
  if (known_.size() <= EventLedger::kMostPublishers) [[likely]] {
    return publisher;
  }
  auto oldest = known_.end();
  for (auto each = known_.begin(); each != known_.end(); ++each) {
    if (oldest == known_.end() || each->second.heard < oldest->second.heard) oldest = each;
  }
  known_.erase(oldest);
  return known_[id];
}

void EventBroker::Note(Publisher& publisher, std::string_view subject, std::uint64_t sequence) {
  const absl::string_view key(subject.data(), subject.size());
  const auto found = publisher.subjects.find(key);
  if (found != publisher.subjects.end()) {
    found->second = std::max(found->second, sequence);
  } else if (publisher.subjects.size() < EventLedger::kMostSubjects) {
    publisher.subjects.emplace(key, sequence);
  }
}

bool EventBroker::ReadEvents() {
  bool more = true;
  int left = kMessagesPerTurn;
  for (; left > 0; --left) {
    if (!in_->Receive(&frames_)) {
      more = false;
      break;
    }
    std::string_view subject;
    EventStamp stamp;
    std::string_view rest;
    if (frames_.count() != EventFrames::kMost || frames_.too_many() ||
        !ParseTopic(frames_[0], &subject, &stamp, &rest)) {
      refused_.fetch_add(1, std::memory_order_relaxed);
      continue;
    }
    if (subject.front() == '\xff') {
      const bool answer = subject == kSyncSubject;
      if (!answer && subject != kSequencesSubject) continue;
      if (answer && stamp.publisher != id_) continue;
      const std::uint64_t id = answer ? stamp.sequence : stamp.publisher;
      Publisher& publisher = Of(id);
      // What is malformed is passed on up to there: subscribers do the same.
      (void)ReadSequences(
          rest.substr(std::min<std::size_t>(1, rest.size())),
          [&](std::string_view name, std::uint64_t sequence) { Note(publisher, name, sequence); });
      if (answer) {
        // News to our subscribers, too.
        const std::string topic = FormatTopic(kSequencesSubject, {id, 0}) + std::string(rest);
        zmq_msg_close(&frames_.raw(0));
        zmq_msg_init_size(&frames_.raw(0), topic.size());
        std::memcpy(zmq_msg_data(&frames_.raw(0)), topic.data(), topic.size());
      }
    } else {
      Note(Of(stamp.publisher), subject, stamp.sequence);
      forwarded_.fetch_add(1, std::memory_order_relaxed);
    }
    // A subscriber that does not keep up misses it, and notices.
    if (!out_->Send(&frames_)) frames_.Clear();
  }
  out_->Check();
  return more;
}

bool EventBroker::ReadSubscriptions() {
  for (int i = 0; i < kMessagesPerTurn; ++i) {
    if (!out_->Receive(&subscription_)) return false;
    const std::string_view frame = subscription_[0];
    std::uint64_t nonce = 0;
    if (frame.empty() || frame[0] != 1 || subscription_.count() != 1) continue;
    if (ReadSyncSubscription(frame.substr(1), &nonce)) Answer(nonce);
  }
  return true;
}

void EventBroker::Answer(std::uint64_t nonce) {
  std::string body;
  for (const auto& [id, publisher] : known_) {
    std::size_t count = 0;
    body.clear();
    for (const auto& [subject, sequence] : publisher.subjects) {
      AppendSequence(&body, subject, sequence);
      if (++count % kSubjectsPerMessage != 0) continue;
      SendPart(nonce, id, kMoreFollows, body);
      body.clear();
    }
    SendPart(nonce, id, kListEnds, body);
  }
  // In our own name: that was all.
  SendPart(nonce, id_, kLastOfAll, "");
}

void EventBroker::SendPart(std::uint64_t nonce, std::uint64_t publisher, char kind,
                           std::string_view body) {
  std::string said = FormatTopic(kSyncSubject, {nonce, publisher}) + kind;
  said.append(body);
  zmq_msg_close(&answer_.raw(0));
  zmq_msg_init_size(&answer_.raw(0), said.size());
  std::memcpy(zmq_msg_data(&answer_.raw(0)), said.data(), said.size());
  answer_.set_count(EventFrames::kMost);
  if (!out_->Send(&answer_)) answer_.Clear();
}

}  // namespace rookery::zeromq_adapter
