// Baseline: the best callback servers that we can write by hand against grpc++, unary and
// streaming.
//
//   baseline_callback_server --messages=arena    // unary: request and reply on one arena per call
//   baseline_callback_server --messages=heap     // unary: grpc++'s own holder in the call's arena
//   (the default) baseline_callback_server --stream=hints      // Watch: messages gathered by
//   buffer hints baseline_callback_server --stream=plain      // Watch: as the tutorials write it
#include <google/protobuf/arena.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "baseline_settings.h"
#include "bench.grpc.pb.h"
#include "flags.h"
#include "server_control.h"

namespace rookery::bench {
namespace {

// Request and reply of one call, freed at once. The first block is part of the holder, so that a
// call makes one allocation for both messages.
class ArenaHolder final : public grpc::MessageHolder<EchoRequest, EchoReply> {
 public:
  ArenaHolder() : arena_(block_, sizeof block_) {
    set_request(google::protobuf::Arena::CreateMessage<EchoRequest>(&arena_));
    set_response(google::protobuf::Arena::CreateMessage<EchoReply>(&arena_));
  }
  void Release() override { delete this; }

 private:
  alignas(8) char block_[1024];
  google::protobuf::Arena arena_;
};

class ArenaAllocator final : public grpc::MessageAllocator<EchoRequest, EchoReply> {
 public:
  grpc::MessageHolder<EchoRequest, EchoReply>* AllocateMessages() override {
    return std::make_unique<ArenaHolder>().release();
  }
};

// Sends one message many times. With hints, grpc++ is told that more follows, and so puts many
// messages into one frame and one write to the socket.
class Watcher final : public grpc::ServerWriteReactor<EchoReply> {
 public:
  Watcher(const WatchRequest& request, bool hints) : left_(request.count()), hints_(hints) {
    reply_.set_text(request.text());
    if (hints_) {
      // A hinted write that is the first operation of a call never completes
      // (github.com/grpc/grpc/issues/34231), so the initial metadata goes first.
      StartSendInitialMetadata();
    } else {
      WriteNext();
    }
  }

  void OnSendInitialMetadataDone(bool ok) override {
    if (ok) {
      WriteNext();
    } else {
      Finish(grpc::Status::CANCELLED);
    }
  }
  void OnWriteDone(bool ok) override {
    if (ok) {
      WriteNext();
    } else {
      Finish(grpc::Status::CANCELLED);
    }
  }
  void OnDone() override { delete this; }

 private:
  void WriteNext() {
    if (left_ <= 0) {
      Finish(grpc::Status::OK);
      return;
    }
    --left_;
    grpc::WriteOptions options;
    if (hints_ && left_ > 0) options.set_buffer_hint();
    StartWrite(&reply_, options);
  }

  EchoReply reply_;
  int left_;
  const bool hints_;
};

class Service final : public Echo::CallbackService {
 public:
  explicit Service(bool hints) : hints_(hints) {}

  grpc::ServerUnaryReactor* Say(grpc::CallbackServerContext* context, const EchoRequest* request,
                                EchoReply* reply) override {
    reply->set_text(request->text());
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerWriteReactor<EchoReply>* Watch(grpc::CallbackServerContext* /*context*/,
                                             const WatchRequest* request) override {
    return std::make_unique<Watcher>(*request, hints_).release();
  }

 private:
  const bool hints_;
};

int Serve(const Flags& flags) {
  ArenaAllocator allocator;
  Service service(flags.Text("stream", "hints") == "hints");
  if (flags.Text("messages", "heap") == "arena") service.SetMessageAllocatorFor_Say(&allocator);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  TuneForDebian(builder);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  SayReady(port);
  ObeyRunner();
  server->Shutdown(std::chrono::system_clock::now());
  return 0;
}

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) { return rookery::bench::Serve(rookery::bench::Flags(argc, argv)); }
