// Handoff: one direction of a stream within the process. One writer, one reader, no buffer: a write
// completes when the message has been read, so a slow reader slows the writer.
#ifndef ROOKERY_SRC_RPC_HANDOFF_H_
#define ROOKERY_SRC_RPC_HANDOFF_H_

#include <coroutine>
#include <cstdint>
#include <mutex>

#include <google/protobuf/message.h>

#include "rookery/runtime/await.h"

namespace rookery::internal {

class Handoff final {
 public:
  // MethodDescriptor::move_request or move_response; `prototype` is of the type that it moves.
  using Move = void (*)(google::protobuf::Message* into, google::protobuf::Message* from);
  Handoff(Move move, const google::protobuf::Message& prototype) noexcept
      : move_(move), prototype_(prototype) {}
  Handoff(const Handoff&) = delete;
  Handoff& operator=(const Handoff&) = delete;

  enum class Got : std::uint8_t { kMessage, kEnd, kAborted };

  // co_await gives whether the message was read.
  class Write final : public LeafAwaiter {
   public:
    Write(Handoff& handoff, google::protobuf::Message& message, bool may_move) noexcept
        : handoff_(handoff), message_(message), may_move_(may_move) {}
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> handle) {
      Suspend(handle);
      return handoff_.BeginWrite(*this);
    }
    bool await_resume() noexcept {
      Resumed();
      return taken_;
    }

   private:
    friend class Handoff;
    Handoff& handoff_;
    google::protobuf::Message& message_;
    const bool may_move_;
    bool taken_ = false;
  };

  // co_await gives what came of it.
  class Read final : public LeafAwaiter {
   public:
    Read(Handoff& handoff, google::protobuf::Message& into) noexcept
        : handoff_(handoff), into_(into) {}
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> handle) {
      Suspend(handle);
      return handoff_.BeginRead(*this);
    }
    Got await_resume() noexcept {
      Resumed();
      return got_;
    }

   private:
    friend class Handoff;
    Handoff& handoff_;
    google::protobuf::Message& into_;
    Got got_ = Got::kAborted;
  };

  // The writer's last word: the reader meets the end. Any thread.
  void Close() noexcept;
  // Neither side goes on: writes give false, reads kAborted. Any thread. Wakes by a post.
  void Abort() noexcept;

 private:
  // Each: whether the awaiter must stay suspended.
  bool BeginWrite(Write& write);
  bool BeginRead(Read& read);
  void Transfer(google::protobuf::Message& into, Write& write) const;

  const Move move_;
  const google::protobuf::Message& prototype_;
  std::mutex mutex_;
  Write* writer_ = nullptr;
  Read* reader_ = nullptr;
  bool closed_ = false;
  bool aborted_ = false;
};

}  // namespace rookery::internal

#endif  // ROOKERY_SRC_RPC_HANDOFF_H_
