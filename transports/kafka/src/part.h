// A partition, and which of its records are settled. Private.
#ifndef ROOKERY_TRANSPORTS_KAFKA_SRC_PART_H_
#define ROOKERY_TRANSPORTS_KAFKA_SRC_PART_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

namespace rookery::kafka_adapter {

class Handle;
struct Route;
class TransactionHost;

// One partition while it is ours, and which of its records are settled. A partition that goes and
// comes back is another one. On the loop.
struct Part {
  struct Entry {
    std::int64_t offset;
    bool done;
  };

  std::string topic;
  std::int32_t partition = 0;
  std::uint64_t number = 0;      // the partition's, for as long as the consumer lives; not zero
  std::shared_ptr<Handle> from;  // whose records these are
  std::weak_ptr<TransactionHost> host;
  const Route* route = nullptr;
  std::deque<Entry> entries;         // handed out; from the oldest that is not settled
  std::int64_t next = -1;            // all below is settled; -1: nothing is known yet
  std::int64_t by_transaction = -1;  // what the last transaction has committed
  std::size_t held = 0;              // handed out, not settled
  bool dirty = false;                // `next` has grown since it was stored
  bool paused = false;               // for its own sake
  bool waits = false;                // holds a record whose time has not come
  bool leaving = false;              // revoked: what has begun is finished
  bool gone = false;                 // somebody else's now

  // False: it is known already, or older than what is settled.
  bool Add(std::int64_t offset) {
    if (!entries.empty() ? offset <= entries.back().offset : offset < next) return false;
    if (entries.empty() && next < 0) next = offset;
    entries.push_back({offset, false});
    ++held;
    return true;
  }
  void Finish(std::int64_t offset) {
    const auto found = Find(offset);
    if (found == entries.end() || found->done) return;
    found->done = true;
    --held;
    while (!entries.empty() && entries.front().done) {
      next = entries.front().offset + 1;
      dirty = true;
      entries.pop_front();
    }
  }
  // It was handed out, and is no more held here: all from it on comes again to whoever reads on.
  void Drop(std::int64_t offset) {
    const auto found = Find(offset);
    if (found != entries.end() && !found->done) --held;
  }
  // All before `offset` is settled.
  [[nodiscard]] bool Reached(std::int64_t offset) const noexcept {
    return entries.empty() || entries.front().offset >= offset;
  }
  [[nodiscard]] std::int64_t last_done() const noexcept {
    for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
      if (entry->done) return entry->offset;
    }
    return -1;
  }

 private:
  [[nodiscard]] std::deque<Entry>::iterator Find(std::int64_t offset) {
    if (entries.empty() || offset < entries.front().offset) return entries.end();
    // Offsets have gaps where topics are compacted or written in transactions; mostly not.
    const auto guess = static_cast<std::size_t>(offset - entries.front().offset);
    if (guess < entries.size() && entries[guess].offset == offset) {
      return entries.begin() + static_cast<std::ptrdiff_t>(guess);
    }
    const auto found = std::lower_bound(
        entries.begin(), entries.end(), offset,
        [](const Entry& entry, std::int64_t wanted) { return entry.offset < wanted; });
    return found != entries.end() && found->offset == offset ? found : entries.end();
  }
};

}  // namespace rookery::kafka_adapter

#endif  // ROOKERY_TRANSPORTS_KAFKA_SRC_PART_H_
