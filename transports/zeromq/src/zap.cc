#include "zap.h"

#include <cstdint>
#include <future>
#include <utility>

namespace rookery::zeromq_adapter {

ZapHandler::ZapHandler(const ZeroMqCurve& curve) : allow_any_(curve.allow_any) {
  for (const auto& [key, identity] : curve.allow) {
    std::uint8_t bytes[32];
    if (zmq_z85_decode(bytes, key.c_str()) == nullptr) continue;
    allowed_.emplace(std::string(reinterpret_cast<const char*>(bytes), sizeof bytes), identity);
  }
}

absl::StatusOr<std::shared_ptr<ZapHandler>> ZapHandler::Start(std::shared_ptr<ZmqContext> context,
                                                              Loop& loop, const ZeroMq& options) {
  auto handler = std::make_shared<ZapHandler>(*options.curve);
  LoopSocket::Callbacks on;
  on.message = [weak = handler->weak_from_this()](Frames& request) {
    if (const auto self = weak.lock()) self->OnRequest(request);
  };
  auto socket = LoopSocket::Make(std::move(context), loop, ZMQ_REP, options, std::move(on));
  if (!socket.ok()) return socket.status();
  handler->socket_ = *std::move(socket);
  const absl::StatusOr<std::string> bound = handler->socket_->Bind("inproc://zeromq.zap.01");
  if (!bound.ok()) return bound.status();
  handler->socket_->Start();
  return handler;
}

void ZapHandler::Stop() noexcept {
  if (socket_ == nullptr) return;
  socket_->Close();
  std::promise<void> done;
  socket_->loop().Post([&] { done.set_value(); });
  done.get_future().wait();
  // Once more: what its end has posted holds it, too.
  std::promise<void> released;
  socket_->loop().Post([&] { released.set_value(); });
  released.get_future().wait();
  socket_.reset();
}

void ZapHandler::OnRequest(const Frames& request) {
  // version, request id, domain, address, routing id, mechanism, credentials
  const bool sound = request.size() == 7 && request[0].view() == "1.0" &&
                     request[2].view() == kZapDomain && request[5].view() == "CURVE";
  std::string_view identity;
  bool allowed = false;
  if (sound) {
    const auto found = allowed_.find(std::string(request[6].view()));
    if (found != allowed_.end()) {
      allowed = true;
      identity = found->second;
    } else {
      allowed = allow_any_;
    }
  }
  Frames reply;
  reply.emplace_back("1.0");
  reply.emplace_back(request.size() > 1 ? request[1].view() : std::string_view());
  reply.emplace_back(allowed ? "200" : "400");
  reply.emplace_back(allowed ? "OK" : "this key is not let in");
  reply.emplace_back(identity);
  reply.emplace_back(std::string_view());
  socket_->Send(std::move(reply)).IgnoreError();
}

}  // namespace rookery::zeromq_adapter
