#include "rookery/rpc/message.h"

namespace rookery {
namespace {

// A MessageStream as a generator, so that every stream is pulled in one way.
Stream<google::protobuf::Message*> Pull(std::unique_ptr<MessageStream> stream) {
  for (;;) {
    google::protobuf::Message* message = co_await stream->Next();
    if (message == nullptr) break;
    co_yield std::move(message);
  }
}

}  // namespace

Request::~Request() = default;

google::protobuf::Message* Request::Mutable() {
  if (message_ == nullptr) return nullptr;
  if (!mutable_) {
    copy_.reset(message_->New());
    copy_->CopyFrom(*message_);
    message_ = copy_.get();
    mutable_ = true;
  }
  return const_cast<google::protobuf::Message*>(message_);
}

Response::Response(std::unique_ptr<google::protobuf::Message> message) noexcept
    : message_(message.release()), kind_(message_ == nullptr ? Kind::kNothing : Kind::kOwned) {}

Response::Response(std::unique_ptr<MessageStream> stream) {
  if (stream == nullptr) return;
  kind_ = Kind::kStream;
  extra_ = std::make_unique<Extra>();
  extra_->upcast = [](void* value) noexcept {
    return *static_cast<google::protobuf::Message**>(value);
  };
  const auto frame = Pull(std::move(stream)).Release();
  frame_ = frame;
  extra_->promise = &frame.promise();
}

void Response::Reset() noexcept {
  google::protobuf::Message* const message = std::exchange(message_, nullptr);
  const std::coroutine_handle<> frame = std::exchange(frame_, {});
  if (std::exchange(kind_, Kind::kNothing) == Kind::kOwned) {
    const std::unique_ptr<google::protobuf::Message> owned(message);
  }
  // The producer goes first: it may still use what is attached.
  if (frame) frame.destroy();
  extra_.reset();
}

void internal::ResponseAccess::Attach(Response& response, std::shared_ptr<void> attachment) {
  if (response.extra_ == nullptr) response.extra_ = std::make_unique<Response::Extra>();
  response.extra_->attachment = std::move(attachment);
}

}  // namespace rookery
