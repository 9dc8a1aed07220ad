// Request and Response: a call's messages with their type erased, as the pipeline handles them.
//
//   // in an interceptor
//   rookery::Response response = co_await next();
//   if (auto* order = response.As<Order>()) order->set_note("seen");
//   co_return response;
//
// A stream is pulled; to change one, wrap it in a coroutine of the same kind:
//
//   rookery::Stream<Order> Stamp(rookery::Response inner) {
//     for (;;) {
//       google::protobuf::Message* const message = co_await inner.Next();
//       if (message == nullptr) break;
//       auto& order = static_cast<Order&>(*message);
//       order.set_note("seen");
//       co_yield std::move(order);
//     }
//   }
//   ...
//   co_return rookery::Response::Of(Stamp(std::move(response)));
#ifndef ROOKERY_RPC_MESSAGE_H_
#define ROOKERY_RPC_MESSAGE_H_

#include <coroutine>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <google/protobuf/message.h>

#include "rookery/runtime/stream.h"
#include "rookery/runtime/task.h"

namespace rookery {

namespace internal {

struct ResponseAccess;

// `message` as M if that is exactly its type, else null: what dynamic_cast does for generated
// classes, which are final, at a fraction of the price.
template <class M>
[[nodiscard]] M* MessageAs(google::protobuf::Message* message) noexcept {
  if constexpr (std::is_same_v<M, google::protobuf::Message>) {
    return message;
  } else {
    return message != nullptr && typeid(*message) == typeid(M) ? static_cast<M*>(message) : nullptr;
  }
}

}  // namespace internal

// Where the messages of a request stream come from: implemented by transports.
class MessageSource {
 public:
  virtual ~MessageSource() = default;
  // Reads the next message into `into`; false at the end. Fails when the call is broken.
  [[nodiscard]] virtual Task<bool> Read(google::protobuf::Message& into) = 0;
};

// What a handler is given: one message, or a source of them. Does not own the message it is made
// with. Not thread-safe.
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
  // The message, to change; null for a stream. What was given out before may be another message.
  [[nodiscard]] google::protobuf::Message* Mutable();
  // As M, or null if it is of another type or a stream.
  template <class M>
  [[nodiscard]] const M* As() const noexcept {
    return internal::MessageAs<M>(const_cast<google::protobuf::Message*>(message_));
  }
  [[nodiscard]] bool is_stream() const noexcept { return source_ != nullptr; }
  // Null unless it is a stream.
  [[nodiscard]] MessageSource* source() const noexcept { return source_; }
  // Puts another source, usually one that wraps the present one, in its place; it must outlive the
  // request's use.
  void set_source(MessageSource* source) noexcept { source_ = source; }

 private:
  const google::protobuf::Message* message_ = nullptr;
  MessageSource* source_ = nullptr;
  bool mutable_ = false;
  std::unique_ptr<google::protobuf::Message> copy_;
};

// A stream of messages with the type erased, for those who do not have a Stream<T> to give.
class MessageStream {
 public:
  virtual ~MessageStream() = default;
  // The next message in place (valid until the next call), or null at the end; fails as the
  // producer did.
  [[nodiscard]] virtual Task<google::protobuf::Message*> Next() = 0;
};

// What a handler gives back: nothing (events), one message, or a stream of them. Move-only. Not
// thread-safe.
class Response final {
 public:
  Response() noexcept = default;  // nothing
  explicit Response(std::unique_ptr<google::protobuf::Message> message) noexcept;
  explicit Response(std::unique_ptr<MessageStream> stream);
  template <class M>
    requires std::is_base_of_v<google::protobuf::Message, M>
  [[nodiscard]] static Response Of(M message) {
    return Response(
        std::unique_ptr<google::protobuf::Message>(std::make_unique<M>(std::move(message))));
  }
  template <class T>
  [[nodiscard]] static Response Of(Stream<T> stream) {
    return Adopt(std::move(stream));
  }
  // Takes over a coroutine whose result the message is: no copy, no move.
  [[nodiscard]] static Response Adopt(std::coroutine_handle<> frame,
                                      google::protobuf::Message* message) noexcept {
    Response response;
    response.message_ = message;
    response.frame_ = frame;
    response.kind_ = Kind::kAdopted;
    return response;
  }
  // Takes over the generator of a stream.
  template <class T>
  [[nodiscard]] static Response Adopt(Stream<T> stream);
  Response(Response&& other) noexcept
      : message_(std::exchange(other.message_, nullptr)),
        frame_(std::exchange(other.frame_, {})),
        extra_(std::move(other.extra_)),
        kind_(std::exchange(other.kind_, Kind::kNothing)) {}
  Response& operator=(Response&& other) noexcept {
    if (this != &other) {
      Reset();
      message_ = std::exchange(other.message_, nullptr);
      frame_ = std::exchange(other.frame_, {});
      extra_ = std::move(other.extra_);
      kind_ = std::exchange(other.kind_, Kind::kNothing);
    }
    return *this;
  }
  ~Response() {
    if (kind_ != Kind::kNothing || extra_ != nullptr) Reset();
  }

  [[nodiscard]] bool has_message() const noexcept { return message_ != nullptr; }
  [[nodiscard]] bool has_stream() const noexcept { return kind_ == Kind::kStream; }
  // Null for events and streams.
  [[nodiscard]] google::protobuf::Message* message() const noexcept { return message_; }
  // As M, or null if it is of another type, or no message.
  template <class M>
  [[nodiscard]] M* As() const noexcept {
    return internal::MessageAs<M>(message_);
  }

  // The next message of a stream in place (valid until the next call), or null at its end (and for
  // whatever is no stream); throws what the producer failed with. Allocates nothing for a handler's
  // own stream.
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
  [[nodiscard]] NextAwaitable Next() noexcept {
    return has_stream() ? NextAwaitable(frame_, extra_->promise, extra_->upcast)
                        : NextAwaitable({}, nullptr, nullptr);
  }

 private:
  friend struct internal::ResponseAccess;

  enum class Kind : std::uint8_t { kNothing, kOwned, kAdopted, kStream };
  // What only streams need: unary responses, which are moved through every interceptor, stay small.
  struct Extra {
    internal::StreamPromiseBase* promise = nullptr;
    NextAwaitable::Upcast upcast = nullptr;
    std::shared_ptr<void> attachment;  // outlives the producer
  };
  void Reset() noexcept;

  google::protobuf::Message* message_ = nullptr;
  std::coroutine_handle<> frame_;  // owned: of the message or of the stream
  std::unique_ptr<Extra> extra_;
  Kind kind_ = Kind::kNothing;
};

// ---- implementation -------------------------------------------------------------------------

template <class T>
Response Response::Adopt(Stream<T> stream) {
  static_assert(std::is_base_of_v<google::protobuf::Message, T>,
                "rookery: a response is a stream of protobuf messages");
  Response response;
  response.kind_ = Kind::kStream;
  response.extra_ = std::make_unique<Extra>();
  response.extra_->upcast = [](void* value) noexcept {
    return static_cast<google::protobuf::Message*>(static_cast<T*>(value));
  };
  const auto frame = stream.Release();
  response.frame_ = frame;
  if (frame) response.extra_->promise = &frame.promise();
  return response;
}

namespace internal {

// The framework's way to what Response keeps to itself.
struct ResponseAccess {
  [[nodiscard]] static std::coroutine_handle<> frame(const Response& response) noexcept {
    return response.frame_;
  }
  // Null for an empty stream, and for what is no stream.
  [[nodiscard]] static StreamPromiseBase* promise(const Response& response) noexcept {
    return response.extra_ == nullptr ? nullptr : response.extra_->promise;
  }
  [[nodiscard]] static google::protobuf::Message* Upcast(const Response& response,
                                                         void* value) noexcept {
    return value == nullptr ? nullptr : response.extra_->upcast(value);
  }
  // Keeps `attachment` until the response, its stream's producer included, is gone.
  static void Attach(Response& response, std::shared_ptr<void> attachment);
  [[nodiscard]] static void* attachment(const Response& response) noexcept {
    return response.extra_ == nullptr ? nullptr : response.extra_->attachment.get();
  }
  [[nodiscard]] static std::shared_ptr<void> TakeAttachment(Response& response) noexcept {
    return response.extra_ == nullptr ? nullptr : std::move(response.extra_->attachment);
  }
};

}  // namespace internal

}  // namespace rookery

#endif  // ROOKERY_RPC_MESSAGE_H_
