// Baseline: the best asynchronous completion-queue server that we can write by hand against grpc++.
//
// What makes it the best, each point measured with callgrind:
//  - a slot per posted request, reused for ever: the server's own code allocates nothing per call;
//  - the ServerContext and the writer, which cannot be reset, are built in place in the slot;
//  - messages are cleared and used again, keeping the capacity of their strings; that is 2 % less
//    than an arena whose first block is inside the slot (--messages=arena), and neither allocates;
//  - one thread per completion queue, tags that are the slots themselves, two events per call;
//  - few posted requests: Debian builds gRPC without NDEBUG, and so each completion is searched for
//    among all that are outstanding on its queue (300 posted requests: 3,900 instructions a call
//    more than 16). A call that finds no request waits in gRPC's own list, which costs nothing.
//
//   baseline_cq_server --threads=1 --slots=16 --messages=reuse
#include <google/protobuf/arena.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "baseline_settings.h"
#include "bench.grpc.pb.h"
#include "flags.h"
#include "server_control.h"

namespace rookery::bench {
namespace {

enum class Messages { kArena, kReuse };

template <Messages kMessages>
class Slot final {
 public:
  Slot(Echo::AsyncService* service, grpc::ServerCompletionQueue* queue)
      : service_(service), queue_(queue), arena_(block_, sizeof block_) {
    if constexpr (kMessages == Messages::kReuse) {
      request_ = &own_request_;
      reply_ = &own_reply_;
    }
    Post();
  }

  void Proceed(bool ok) {
    if (!ok && !answered_) return;  // The server is shutting down: this request will match no call.
    if (answered_) {
      Post();
      return;
    }
    answered_ = true;
    reply_->set_text(request_->text());
    writer_->Finish(*reply_, grpc::Status::OK, this);
  }

 private:
  void Post() {
    writer_.reset();
    context_.emplace();
    writer_.emplace(&*context_);
    if constexpr (kMessages == Messages::kArena) {
      arena_.Reset();
      request_ = google::protobuf::Arena::CreateMessage<EchoRequest>(&arena_);
      reply_ = google::protobuf::Arena::CreateMessage<EchoReply>(&arena_);
    }
    answered_ = false;
    service_->RequestSay(&*context_, request_, &*writer_, queue_, queue_, this);
  }

  Echo::AsyncService* const service_;
  grpc::ServerCompletionQueue* const queue_;
  std::optional<grpc::ServerContext> context_;
  std::optional<grpc::ServerAsyncResponseWriter<EchoReply>> writer_;
  EchoRequest* request_ = nullptr;
  EchoReply* reply_ = nullptr;
  bool answered_ = false;
  EchoRequest own_request_;
  EchoReply own_reply_;
  alignas(8) char block_[1024];
  google::protobuf::Arena arena_;
};

template <Messages kMessages>
int Serve(const Flags& flags) {
  Echo::AsyncService service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  TuneForDebian(builder);
  std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues;
  for (int i = 0; i < flags.Int("threads", 1); ++i) {
    queues.push_back(builder.AddCompletionQueue());
  }
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;

  std::vector<std::unique_ptr<Slot<kMessages>>> slots;
  for (const auto& queue : queues) {
    for (int i = 0; i < flags.Int("slots", 16); ++i) {
      slots.push_back(std::make_unique<Slot<kMessages>>(&service, queue.get()));
    }
  }
  std::vector<std::thread> threads;
  for (const auto& queue : queues) {
    threads.emplace_back([&queue] {
      void* tag = nullptr;
      bool ok = false;
      while (queue->Next(&tag, &ok)) static_cast<Slot<kMessages>*>(tag)->Proceed(ok);
    });
  }

  SayReady(port);
  ObeyRunner();
  server->Shutdown(std::chrono::system_clock::now());
  for (const auto& queue : queues) queue->Shutdown();
  for (std::thread& thread : threads) thread.join();
  return 0;
}

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) {
  using rookery::bench::Messages;
  const rookery::bench::Flags flags(argc, argv);
  if (flags.Text("messages", "reuse") == "arena") {
    return rookery::bench::Serve<Messages::kArena>(flags);
  }
  return rookery::bench::Serve<Messages::kReuse>(flags);
}
