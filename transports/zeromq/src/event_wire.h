// Events in ZeroMQ's frames, and the book that a subscriber keeps of their numbers. Private.
//
// docs/wire.md, "Events on ZeroMQ", says the same in prose.
#ifndef ROOKERY_TRANSPORTS_ZEROMQ_SRC_EVENT_WIRE_H_
#define ROOKERY_TRANSPORTS_ZEROMQ_SRC_EVENT_WIRE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace rookery::zeromq_adapter {

// The subject of what publishers say of themselves, and of their answers to who has just come.
// libzmq sends subscriptions anew, to whoever it connects to, in the order of their bytes: these
// are the last, so that all others are there when a publisher sees them. (No UTF-8 begins so.)
inline constexpr std::string_view kSequencesSubject = "\xffseq";
inline constexpr std::string_view kSyncSubject = "\xffsync";
// What follows the numbers of both: whether there is more of this publisher's list, or of others'.
inline constexpr char kMoreFollows = 'M';
inline constexpr char kListEnds = 'L';
inline constexpr char kLastOfAll = 'E';
inline constexpr std::size_t kSubjectsPerMessage = 1'000;

// The numbers in an event's first frame.
struct EventStamp {
  std::uint64_t publisher = 0;
  std::uint64_t sequence = 0;  // from 1, of this publisher and subject
};
// subject, NUL, publisher, sequence: little-endian, in front of the header. Subscriptions are by
// the beginning of it.
[[nodiscard]] std::string FormatTopic(std::string_view subject, const EventStamp& stamp);
// *rest: what follows.
[[nodiscard]] bool ParseTopic(std::string_view frame, std::string_view* subject, EventStamp* stamp,
                              std::string_view* rest) noexcept;
// The number alone, into a frame that has room for it at topic[subject.size() + kSequenceAt].
void PutSequence(char* at, std::uint64_t sequence) noexcept;
inline constexpr std::size_t kSequenceAt = 9;
inline constexpr std::size_t kTopicTail = 17;

// What to subscribe to for `pattern`, which may have NATS's wildcards; more may come than matches.
[[nodiscard]] std::string SubscriptionFor(std::string_view pattern);
[[nodiscard]] std::string SyncSubscription(std::uint64_t nonce);
[[nodiscard]] bool ReadSyncSubscription(std::string_view topic, std::uint64_t* nonce) noexcept;

// Subjects and the last number of each: the body of kSequencesSubject and kSyncSubject.
void AppendSequence(std::string* out, std::string_view subject, std::uint64_t sequence);
// False if it is malformed; `each` has been called for what came before.
[[nodiscard]] bool ReadSequences(
    std::string_view body,
    const std::function<void(std::string_view subject, std::uint64_t sequence)>& each);

// What has come, and what must have been lost on the way. Not thread-safe, but for ForEach.
//
// Numbers ascend one by one for each publisher and subject, over one path: a number that is not the
// next one says how many are missing, one that has been is a repetition. A publisher is *known*
// from its first list of all its numbers; of one that is not, the first number that comes counts as
// the beginning.
class EventLedger final {
 public:
  // Written by one thread, read by any.
  struct Counts {
    std::atomic<std::uint64_t> received{0};
    std::atomic<std::uint64_t> lost{0};
    std::atomic<std::uint64_t> repeated{0};
  };
  // `wanted`: which subjects are subscribed to; the others of a publisher's lists do not matter.
  explicit EventLedger(std::function<bool(std::string_view subject)> wanted);

  // An event. False: a repetition, to be dropped.
  [[nodiscard]] bool OnEvent(std::string_view subject, const EventStamp& stamp);
  // A publisher's list of all its numbers (`last`: its last part).
  void OnSequences(std::uint64_t publisher, std::string_view body, bool last);

  // All subjects so far. Any thread.
  void ForEach(
      const std::function<void(const std::string& subject, const Counts& counts)>& each) const;
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }
  [[nodiscard]] std::size_t publishers() const noexcept { return publishers_.size(); }

  // Memory is bounded whatever is sent: of more publishers the one that was silent for longest is
  // forgotten, and more subjects are not counted.
  static constexpr std::size_t kMostPublishers = 4'096;
  static constexpr std::size_t kMostSubjects = 10'000;

 private:
  struct Track {
    std::uint64_t last = 0;
    Counts* counts = nullptr;
  };
  struct Publisher {
    bool known = false;
    std::uint64_t heard = 0;  // ledger's clock
    absl::flat_hash_map<std::string, Track> subjects;
  };
  Publisher* Find(std::uint64_t id);
  // Null: there are too many.
  Track* Find(Publisher& publisher, std::string_view subject, bool* fresh);
  void Lose(Track& track, std::uint64_t sequence);

  const std::function<bool(std::string_view)> wanted_;
  absl::flat_hash_map<std::uint64_t, std::unique_ptr<Publisher>> publishers_;
  mutable std::mutex mutex_;  // for what is new in counts_
  std::map<std::string, Counts, std::less<>> counts_;
  std::uint64_t lost_ = 0;
  std::uint64_t clock_ = 0;
  // The last one that was asked for: most events come in runs.
  std::uint64_t last_id_ = 0;
  Publisher* last_publisher_ = nullptr;
  // Its track that was asked for last; until its publisher gets another one.
  std::string_view last_subject_;
  Track* last_track_ = nullptr;
};

}  // namespace rookery::zeromq_adapter

#endif  // ROOKERY_TRANSPORTS_ZEROMQ_SRC_EVENT_WIRE_H_
