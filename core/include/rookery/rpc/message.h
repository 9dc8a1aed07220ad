// Request and Response: a call's messages with their type erased, as the pipeline handles them.
//
//   // in an interceptor
//   rookery::Response response = co_await next();
//   if (auto* order = response.As<Order>()) order->set_note("seen");
//   co_return response;
#ifndef ROOKERY_RPC_MESSAGE_H_
#define ROOKERY_RPC_MESSAGE_H_

#include <coroutine>
#include <memory>
#include <utility>

#include <google/protobuf/message.h>

#include "rookery/runtime/stream.h"
#include "rookery/runtime/task.h"

namespace rookery {

// Where the messages of a request stream come from: implemented by transports.
class MessageSource {
 public:
  virtual ~MessageSource() = default;
  // Reads the next message into `into`; false at the end. Fails when the call is broken.
  [[nodiscard]] virtual Task<bool> Read(google::protobuf::Message& into) = 0;
};

// What a handler is given: one message, or a source of them.
class Request final {
 public:
  // A message that stays where it is. `owned`: the pipeline may change it in place; otherwise
  // Mutable() copies it first.
  Request(const google::protobuf::Message* message, bool owned) noexcept
      : message_(message), mutable_(owned) {}
  explicit Request(MessageSource* source) noexcept : source_(source) {}
  Request(Request&&) noexcept = default;
  Request& operator=(Request&&) noexcept = default;
  ~Request();

  // The message; null for a stream.
  [[nodiscard]] const google::protobuf::Message* message() const noexcept { return message_; }
  // The message, to change.
  [[nodiscard]] google::protobuf::Message* Mutable();
  // As M, or null if it is of another type or a stream.
  template <class M>
  [[nodiscard]] const M* As() const noexcept {
    return dynamic_cast<const M*>(message_);
  }
  [[nodiscard]] MessageSource* source() const noexcept { return source_; }
  void set_source(MessageSource* source) noexcept { source_ = source; }

 private:
  const google::protobuf::Message* message_ = nullptr;
  MessageSource* source_ = nullptr;
  bool mutable_ = false;
  std::unique_ptr<google::protobuf::Message> copy_;
};

// A stream of messages with the type erased: pulls from a Stream<T>, or from another MessageStream.
class MessageStream {
 public:
  virtual ~MessageStream() = default;
  // The next message in place (valid until the next call), or null at the end; fails as the
  // producer did.
  [[nodiscard]] virtual Task<google::protobuf::Message*> Next() = 0;
};

// What a handler gives back: nothing (events), one message, or a stream of them. Move-only.
class Response final {
 public:
  Response() noexcept = default;                                        // nothing
  explicit Response(std::unique_ptr<google::protobuf::Message> message) noexcept;
  explicit Response(std::unique_ptr<MessageStream> stream) noexcept;
  template <class M>
  [[nodiscard]] static Response Of(M message) {
    return Response(std::make_unique<M>(std::move(message)));
  }
  // Takes over a coroutine whose result the message is: no copy, no move.
  [[nodiscard]] static Response Adopt(std::coroutine_handle<> frame,
                                      google::protobuf::Message* message) noexcept;
  // Takes over the generator of a stream.
  template <class T>
  [[nodiscard]] static Response Adopt(Stream<T> stream);
  Response(Response&& other) noexcept;
  Response& operator=(Response&& other) noexcept;
  ~Response();

  [[nodiscard]] bool has_message() const noexcept { return message_ != nullptr; }
  [[nodiscard]] bool has_stream() const noexcept { return promise_ != nullptr; }
  // Null for events and streams.
  [[nodiscard]] google::protobuf::Message* message() const noexcept { return message_; }
  // As M, or null.
  template <class M>
  [[nodiscard]] M* As() const noexcept {
    return dynamic_cast<M*>(message_);
  }

  // The next message of a stream in place (valid until the next call), or null at its end; throws
  // what the producer failed with. To change a stream, wrap it: Response(std::make_unique<Mine>(...)).
  // Allocates nothing for a handler's own stream.
  class NextAwaitable final : public internal::AdvanceAwaitable {
   public:
    using Upcast = google::protobuf::Message* (*)(void* value) noexcept;
    NextAwaitable(std::coroutine_handle<> handle, internal::StreamPromiseBase* promise,
                  Upcast upcast) noexcept
        : AdvanceAwaitable(handle, promise), upcast_(upcast) {}
    google::protobuf::Message* await_resume() {
      void* const value = AdvanceAwaitable::await_resume();
      return value == nullptr ? nullptr : upcast_(value);
    }

   private:
    Upcast upcast_;
  };
  [[nodiscard]] NextAwaitable Next() noexcept { return NextAwaitable(frame_, promise_, upcast_); }

 private:

  google::protobuf::Message* message_ = nullptr;
  std::coroutine_handle<> frame_;  // owned: of the message or of the stream
  bool owns_message_ = false;      // message_ came from new
  internal::StreamPromiseBase* promise_ = nullptr;  // of a stream
  NextAwaitable::Upcast upcast_ = nullptr;
};

// ---- implementation -------------------------------------------------------------------------

template <class T>
Response Response::Adopt(Stream<T> stream) {
  Response response;
  const auto frame = stream.Release();
  response.frame_ = frame;
  if (frame) response.promise_ = &frame.promise();
  response.upcast_ = [](void* value) noexcept {
    return static_cast<google::protobuf::Message*>(static_cast<T*>(value));
  };
  return response;
}

}  // namespace rookery

#endif  // ROOKERY_RPC_MESSAGE_H_
