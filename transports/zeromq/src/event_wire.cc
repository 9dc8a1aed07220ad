#include "event_wire.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <utility>

#include "runtime/abseil_strings.h"

namespace rookery::zeromq_adapter {
namespace {

using internal::Abs;

void PutLong(std::string* out, std::uint64_t number) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(number >> (8 * i) & 0xff);
  out->append(bytes, sizeof bytes);
}

// One writer: no need for more than a plain addition.
void Add(std::atomic<std::uint64_t>* counter, std::uint64_t more) noexcept {
  counter->store(counter->load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
}

std::uint64_t GetLong(std::string_view bytes) noexcept {
  std::uint64_t number = 0;
  if constexpr (std::endian::native == std::endian::little) {
    std::memcpy(&number, bytes.data(), sizeof number);
  } else {
    for (std::size_t i = 0; i < 8; ++i) {
      number |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    }
  }
  return number;
}

}  // namespace

std::string FormatTopic(std::string_view subject, const EventStamp& stamp) {
  std::string frame;
  frame.reserve(subject.size() + kTopicTail);
  frame.append(subject);
  frame.push_back('\0');
  PutLong(&frame, stamp.publisher);
  PutLong(&frame, stamp.sequence);
  return frame;
}

bool ParseTopic(std::string_view frame, std::string_view* subject, EventStamp* stamp,
                std::string_view* rest) noexcept {
  const std::size_t end = frame.find('\0');
  if (end == 0 || end == std::string_view::npos || frame.size() < end + kTopicTail) return false;
  *subject = frame.substr(0, end);
  stamp->publisher = GetLong(frame.substr(end + 1));
  stamp->sequence = GetLong(frame.substr(end + kSequenceAt));
  *rest = frame.substr(end + kTopicTail);
  return true;
}

void PutSequence(char* at, std::uint64_t sequence) noexcept {
  for (int i = 0; i < 8; ++i) at[i] = static_cast<char>(sequence >> (8 * i) & 0xff);
}

std::string SubscriptionFor(std::string_view pattern) {
  const std::size_t wild = pattern.find_first_of("*>");
  if (wild != std::string_view::npos) return std::string(pattern.substr(0, wild));
  std::string topic(pattern);
  topic.push_back('\0');
  return topic;
}

std::string SyncSubscription(std::uint64_t nonce) {
  std::string topic(kSyncSubject);
  topic.push_back('\0');
  PutLong(&topic, nonce);
  return topic;
}

bool ReadSyncSubscription(std::string_view topic, std::uint64_t* nonce) noexcept {
  constexpr std::size_t kSize = kSyncSubject.size() + 1 + 8;
  if (topic.size() != kSize || !topic.starts_with(kSyncSubject)) return false;
  if (topic[kSyncSubject.size()] != '\0') return false;
  *nonce = GetLong(topic.substr(kSyncSubject.size() + 1));
  return true;
}

void AppendSequence(std::string* out, std::string_view subject, std::uint64_t sequence) {
  const std::size_t size = std::min<std::size_t>(subject.size(), 0xffff);
  out->push_back(static_cast<char>(size & 0xff));
  out->push_back(static_cast<char>(size >> 8));
  out->append(subject.substr(0, size));
  PutLong(out, sequence);
}

bool ReadSequences(std::string_view body,
                   const std::function<void(std::string_view, std::uint64_t)>& each) {
  while (!body.empty()) {
    if (body.size() < 2) return false;
    const std::size_t size = static_cast<unsigned char>(body[0]) |
                             static_cast<std::size_t>(static_cast<unsigned char>(body[1])) << 8;
    if (body.size() < 2 + size + 8) return false;
    each(body.substr(2, size), GetLong(body.substr(2 + size)));
    body.remove_prefix(2 + size + 8);
  }
  return true;
}

// ---- EventLedger --------------------------------------------------------------------------------

EventLedger::EventLedger(std::function<bool(std::string_view)> wanted)
    : wanted_(std::move(wanted)) {}

EventLedger::Publisher* EventLedger::Find(std::uint64_t id) {
  ++clock_;
  if (last_publisher_ == nullptr || last_id_ != id) {
    last_track_ = nullptr;
    std::unique_ptr<Publisher>& slot = publishers_[id];
    if (slot == nullptr) {
      slot = std::make_unique<Publisher>();
      last_publisher_ = slot.get();
      if (publishers_.size() > kMostPublishers) {
        auto oldest = publishers_.end();
        for (auto each = publishers_.begin(); each != publishers_.end(); ++each) {
          if (each->first == id) continue;
          if (oldest == publishers_.end() || each->second->heard < oldest->second->heard) {
            oldest = each;
          }
        }
        publishers_.erase(oldest);
      }
    } else {
      last_publisher_ = slot.get();
    }
    last_id_ = id;
  }
  last_publisher_->heard = clock_;
  return last_publisher_;
}

EventLedger::Track* EventLedger::Find(Publisher& publisher, std::string_view subject, bool* fresh) {
  if (last_track_ != nullptr && last_subject_ == subject) {
    *fresh = false;
    return last_track_;
  }
  const auto found = publisher.subjects.find(Abs(subject));
  *fresh = found == publisher.subjects.end();
  if (!*fresh) {
    last_subject_ = found->first;
    last_track_ = &found->second;
    return last_track_;
  }
  // What is new may move what is there.
  last_track_ = nullptr;
  if (publisher.subjects.size() >= kMostSubjects) return nullptr;
  auto counts = counts_.find(subject);
  if (counts == counts_.end()) {
    if (counts_.size() >= kMostSubjects) return nullptr;
    const std::scoped_lock lock(mutex_);
    counts = counts_.try_emplace(std::string(subject)).first;
  }
  Track& track = publisher.subjects[std::string(subject)];
  track.counts = &counts->second;
  return &track;
}

void EventLedger::ForEach(
    const std::function<void(const std::string&, const Counts&)>& each) const {
  const std::scoped_lock lock(mutex_);
  for (const auto& [subject, counts] : counts_) each(subject, counts);
}

void EventLedger::Lose(Track& track, std::uint64_t sequence) {
  const std::uint64_t missing = sequence - track.last;
  track.last = sequence;
  Add(&track.counts->lost, missing);
  lost_ += missing;
}

bool EventLedger::OnEvent(std::string_view subject, const EventStamp& stamp) {
  Publisher& publisher = *Find(stamp.publisher);
  bool fresh = false;
  Track* const track = Find(publisher, subject, &fresh);
  if (track == nullptr) return true;
  if (fresh && !publisher.known) {
    track->last = stamp.sequence;
  } else if (stamp.sequence <= track->last) {
    Add(&track->counts->repeated, 1);
    return false;
  } else {
    if (stamp.sequence != track->last + 1) Lose(*track, stamp.sequence - 1);
    track->last = stamp.sequence;
  }
  Add(&track->counts->received, 1);
  return true;
}

void EventLedger::OnSequences(std::uint64_t id, std::string_view body, bool last) {
  Publisher& publisher = *Find(id);
  const bool read = ReadSequences(body, [&](std::string_view subject, std::uint64_t sequence) {
    if (!wanted_(subject)) return;
    bool fresh = false;
    Track* const track = Find(publisher, subject, &fresh);
    if (track == nullptr) return;
    if (fresh && !publisher.known) {
      track->last = sequence;
    } else if (sequence > track->last) {
      Lose(*track, sequence);
    }
  });
  if (read && last) publisher.known = true;
}

}  // namespace rookery::zeromq_adapter
