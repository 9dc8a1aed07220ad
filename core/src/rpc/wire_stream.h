// StreamReceiver and StreamSender: one direction of a stream on the wire, at either end. Private.
//
// The sender numbers what it sends, and stops when it has no credit; the receiver puts what comes
// in order, drops what comes twice, and grants credit as it is read. Numbers and credit count from
// the beginning of the stream, so that a frame that is lost, repeated or late does no harm to the
// count.
// Not thread-safe.
#ifndef ROOKERY_SRC_RPC_WIRE_STREAM_H_
#define ROOKERY_SRC_RPC_WIRE_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "rookery/rpc/wire.h"

namespace rookery::internal {

// What a message counts against the credit: its body, and what it costs to keep.
[[nodiscard]] inline std::uint64_t CreditCost(std::size_t body_bytes) noexcept {
  return body_bytes + 256;
}

class StreamReceiver final {
 public:
  // `window`: how far the sender may be ahead. `largest`: of one message, by which it may exceed
  // it.
  StreamReceiver(std::size_t window, std::size_t largest) noexcept
      : window_(window), largest_(largest), granted_(window) {}

  enum class Put : std::uint8_t {
    kInOrder,    // taken; there may be more to read now
    kEarly,      // taken; something before it is missing
    kDuplicate,  // dropped
    kOverrun,    // the sender does not keep to its credit: the call must end
  };
  // `last`: the end of the stream (kHalf, kEnd), which costs nothing.
  Put Add(std::uint64_t seq, bool last, InboundMessage message) {
    if (seq < next_ || early_.contains(seq)) return Put::kDuplicate;
    if (ended_ || (last_seq_ && seq >= *last_seq_)) return Put::kDuplicate;
    const std::uint64_t cost = last ? 0 : CreditCost(message.body.size());
    if (received_ + cost > granted_ + CreditCost(largest_) || (last && last_seq_)) {
      return Put::kOverrun;
    }
    received_ += cost;
    if (last) last_seq_ = seq;
    if (seq != next_) {
      early_.emplace(seq, std::move(message));
      return Put::kEarly;
    }
    Append(last, std::move(message));
    for (auto it = early_.begin(); it != early_.end() && it->first == next_;) {
      Append(last_seq_ == it->first, std::move(it->second));
      it = early_.erase(it);
    }
    return Put::kInOrder;
  }

  // Frames are here whose predecessors are not.
  [[nodiscard]] bool gap() const noexcept { return !ended_ && !early_.empty(); }
  [[nodiscard]] std::uint64_t missing() const noexcept { return next_; }
  [[nodiscard]] bool has_message() const noexcept { return !ready_.empty(); }
  // The last frame has come, and all before it; messages may still be unread.
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  [[nodiscard]] InboundMessage& end() noexcept { return end_; }

  // Only if has_message().
  [[nodiscard]] InboundMessage Take() {
    InboundMessage message = std::move(ready_.front());
    ready_.pop_front();
    consumed_ += CreditCost(message.body.size());
    return message;
  }
  // The credit to announce, when it is worth a message.
  [[nodiscard]] std::optional<std::uint64_t> Grant() noexcept {
    const std::uint64_t credit = consumed_ + window_;
    if (ended_ || credit - granted_ < (window_ + 1) / 2) return std::nullopt;
    granted_ = credit;
    return credit;
  }
  [[nodiscard]] std::uint64_t granted() const noexcept { return granted_; }

 private:
  void Append(bool last, InboundMessage message) {
    ++next_;
    if (last) {
      ended_ = true;
      end_ = std::move(message);
    } else {
      ready_.push_back(std::move(message));
    }
  }

  const std::uint64_t window_;
  const std::size_t largest_;
  std::uint64_t next_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t consumed_ = 0;
  std::uint64_t granted_;
  std::optional<std::uint64_t> last_seq_;
  bool ended_ = false;
  InboundMessage end_;
  std::deque<InboundMessage> ready_;
  std::map<std::uint64_t, InboundMessage> early_;
};

class StreamSender final {
 public:
  // One message may exceed the credit, so that any size goes through any window.
  [[nodiscard]] bool may_send() const noexcept { return sent_ < credit_; }
  void Raise(std::uint64_t credit) noexcept {
    if (credit > credit_) credit_ = credit;
  }
  // The number of the next frame, which is about to be sent.
  [[nodiscard]] std::uint64_t Next(std::size_t body_bytes) noexcept {
    sent_ += CreditCost(body_bytes);
    return next_++;
  }
  [[nodiscard]] std::uint64_t NextLast() noexcept { return next_++; }

 private:
  std::uint64_t next_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t credit_ = 0;
};

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_RPC_WIRE_STREAM_H_
