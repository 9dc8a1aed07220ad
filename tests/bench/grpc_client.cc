// The one client of the gRPC benchmarks: see load.h. Calls go over K connections.
//
//   grpc_client --port=50051 --mode=unary --outstanding=64 --connections=4 --server_pid=42
//   grpc_client --port=50051 --mode=stream --outstanding=8 --count=1000     // of a server stream
//   grpc_client --port=50051 --mode=unary --outstanding=16 --warmup_calls=500 --calls=3000 --wait=1
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench.grpc.pb.h"
#include "flags.h"
#include "load.h"

namespace rookery::bench {
namespace {

class Slot {
 public:
  virtual ~Slot() = default;
  virtual void Proceed(bool ok) = 0;
};

class UnarySlot final : public Slot {
 public:
  UnarySlot(int index, Echo::Stub* stub, grpc::CompletionQueue* queue, Tally* tally)
      : stub_(stub), queue_(queue), tally_(tally) {
    request_.set_text(Payload(index));
    Call();
  }

  void Proceed(bool /*ok*/) override {
    --tally_->in_flight;
    if (!status_.ok()) {
      tally_->Fail(status_.error_message());
    } else if (reply_.text() != request_.text()) {
      tally_->Fail("a reply that answers another request: " + reply_.text());
    } else {
      tally_->Done(started_);
    }
    if (!tally_->stopping) Call();
  }

 private:
  void Call() {
    ++tally_->in_flight;
    started_ = Clock::now();
    reader_.reset();
    context_.emplace();
    reader_ = stub_->AsyncSay(&*context_, request_, queue_);
    reader_->Finish(&reply_, &status_, this);
  }

  Echo::Stub* const stub_;
  grpc::CompletionQueue* const queue_;
  Tally* const tally_;
  EchoRequest request_;
  EchoReply reply_;
  grpc::Status status_;
  std::optional<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<EchoReply>> reader_;
  Clock::time_point started_;
};

class StreamSlot final : public Slot {
 public:
  StreamSlot(int index, int count, Echo::Stub* stub, grpc::CompletionQueue* queue, Tally* tally)
      : stub_(stub), queue_(queue), tally_(tally) {
    request_.set_text(Payload(index));
    request_.set_count(count);
    Call();
  }

  void Proceed(bool ok) override {
    switch (state_) {
      case State::kStarting:
        state_ = State::kReading;
        received_ = 0;
        reader_->Read(&reply_, this);
        return;
      case State::kReading:
        if (!ok) {
          state_ = State::kFinishing;
          reader_->Finish(&status_, this);
          return;
        }
        if (reply_.text() == request_.text()) {
          ++received_;
          ++tally_->messages;
        } else {
          tally_->Fail("a message of another stream: " + reply_.text());
        }
        if (tally_->stopping) context_->TryCancel();
        reader_->Read(&reply_, this);
        return;
      case State::kFinishing:
        --tally_->in_flight;
        if (tally_->stopping) return;  // Cut short by us: neither whole nor an error.
        if (!status_.ok()) {
          tally_->Fail(status_.error_message());
        } else if (received_ != request_.count()) {
          tally_->Fail("a stream of " + std::to_string(received_) + " messages");
        } else {
          tally_->Done(started_);
        }
        Call();
        return;
    }
  }

 private:
  enum class State { kStarting, kReading, kFinishing };

  void Call() {
    ++tally_->in_flight;
    started_ = Clock::now();
    state_ = State::kStarting;
    reader_.reset();
    context_.emplace();
    reader_ = stub_->AsyncWatch(&*context_, request_, queue_, this);
  }

  Echo::Stub* const stub_;
  grpc::CompletionQueue* const queue_;
  Tally* const tally_;
  WatchRequest request_;
  EchoReply reply_;
  grpc::Status status_;
  std::optional<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientAsyncReader<EchoReply>> reader_;
  Clock::time_point started_;
  State state_ = State::kStarting;
  int received_ = 0;
};

class GrpcLoad final : public Load {
 public:
  explicit GrpcLoad(const Flags& flags) : Load(flags) {
    const std::string target = "127.0.0.1:" + std::to_string(flags.Int("port", 0));
    for (int i = 0; i < flags.Int("connections", 4); ++i) {
      // Channels with equal arguments share one connection.
      grpc::ChannelArguments arguments;
      arguments.SetInt("rookery.bench.connection", i);
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
      auto channel =
          grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
      if (!channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(20))) {
        std::fprintf(stderr, "no server answers on %s\n", target.c_str());
        std::exit(1);
      }
      stubs_.push_back(Echo::NewStub(channel));
    }
    const bool streaming = flags.Text("mode", "unary") == "stream";
    for (int i = 0; i < outstanding(); ++i) {
      Echo::Stub* const stub = stubs_[static_cast<std::size_t>(i) % stubs_.size()].get();
      if (streaming) {
        slots_.push_back(
            std::make_unique<StreamSlot>(i, flags.Int("count", 1000), stub, &queue_, &tally()));
      } else {
        slots_.push_back(std::make_unique<UnarySlot>(i, stub, &queue_, &tally()));
      }
    }
  }

  ~GrpcLoad() override {
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }

 private:
  void Step() override {
    void* tag = nullptr;
    bool ok = false;
    if (queue_.Next(&tag, &ok)) static_cast<Slot*>(tag)->Proceed(ok);
  }

  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<Echo::Stub>> stubs_;
  std::vector<std::unique_ptr<Slot>> slots_;
};

}  // namespace
}  // namespace rookery::bench

int main(int argc, char** argv) {
  const rookery::bench::Flags flags(argc, argv);
  return rookery::bench::GrpcLoad(flags).Run();
}
