// Sockets of libzmq on loops.
#include "transports/zeromq/src/sockets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "rookery/runtime/loop.h"

namespace rookery::zeromq_adapter {
namespace {

using std::chrono::milliseconds;

template <class F>
bool Eventually(F holds) {
  for (int i = 0; i < 6'000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(milliseconds(5));
  }
  return false;
}

Frames Message(std::initializer_list<std::string_view> parts) {
  Frames frames;
  for (const std::string_view part : parts) frames.emplace_back(part);
  return frames;
}

// Runs on the loop, and waits for it.
void On(Loop& loop, const std::function<void()>& act) {
  std::promise<void> done;
  loop.Post([&] {
    act();
    done.set_value();
  });
  done.get_future().wait();
}

class Sockets : public ::testing::Test {
 protected:
  Sockets() : context_(*ZmqContext::Make()), loops_({.threads = 2, .name = "sockets"}) {}
  ~Sockets() override {
    for (const auto& socket : made_) {
      socket->Close();
      On(socket->loop(), [] {});
    }
    made_.clear();
    loops_.Stop();
  }

  std::shared_ptr<LoopSocket> Make(std::size_t loop, int type, LoopSocket::Callbacks callbacks,
                                   const ZeroMq& options = {}) {
    auto socket = LoopSocket::Make(context_, loops_[loop], type, options, std::move(callbacks));
    EXPECT_TRUE(socket.ok()) << socket.status();
    made_.push_back(*socket);
    return *socket;
  }
  // A ROUTER that sends everything back.
  std::shared_ptr<LoopSocket> Echo(const std::string& address, std::string* bound) {
    auto self = std::make_shared<std::weak_ptr<LoopSocket>>();
    LoopSocket::Callbacks on;
    on.message = [self](Frames& frames) {
      if (const auto socket = self->lock()) socket->Send(std::move(frames)).IgnoreError();
    };
    auto socket = Make(0, ZMQ_ROUTER, std::move(on));
    *self = socket;
    auto at = socket->Bind(address);
    EXPECT_TRUE(at.ok()) << at.status();
    *bound = *at;
    socket->Start();
    return socket;
  }

  std::shared_ptr<ZmqContext> context_;
  LoopPool loops_;
  std::vector<std::shared_ptr<LoopSocket>> made_;
};

TEST_F(Sockets, CarryMessagesFromManyThreadsThereAndBack) {
  const std::string path = absl::StrCat("ipc:///tmp/rookery-sockets-", getpid(), ".ipc");
  for (const std::string& address : {std::string("tcp://127.0.0.1:*"), path}) {
    std::string bound;
    Echo(address, &bound);
    std::atomic<int> back{0};
    std::atomic<std::size_t> bytes{0};
    LoopSocket::Callbacks on;
    on.message = [&](Frames& frames) {
      ++back;
      bytes += frames.back().size();
    };
    auto dealer = Make(1, ZMQ_DEALER, std::move(on));
    ASSERT_TRUE(dealer->Connect(bound).ok());
    dealer->Start();
    const std::string large(100'000, 'x');
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 300; ++i) {
          EXPECT_TRUE(dealer->Send(Message({"head", i % 10 == 0 ? large : "small"})).ok());
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE(Eventually([&] { return back == 900; })) << back;
    EXPECT_EQ(bytes, 90 * large.size() + 810 * 5);
    EXPECT_TRUE(Eventually([&] { return dealer->pending_bytes() == 0; }));
    dealer->Close();
    On(loops_[1], [] {});
  }
}

TEST_F(Sockets, CountWhatNobodyIsThereToHear) {
  std::string bound;
  auto router = Echo("tcp://127.0.0.1:*", &bound);
  On(loops_[0], [&] {
    EXPECT_EQ(router->Send(Message({"nobody", "hello"})).code(), absl::StatusCode::kUnavailable);
  });
  EXPECT_EQ(router->unroutable(), 1U);
}

TEST_F(Sockets, TellOfWhatWasTakenAndCannotLeave) {
  std::atomic<int> unsent{0};
  LoopSocket::Callbacks on;
  on.unsent = [&](Frames& frames, const absl::Status& why) {
    EXPECT_EQ(frames.front().view(), "nobody");
    EXPECT_EQ(why.code(), absl::StatusCode::kUnavailable);
    ++unsent;
  };
  auto router = Make(0, ZMQ_ROUTER, std::move(on));
  ASSERT_TRUE(router->Bind("tcp://127.0.0.1:*").ok());
  router->Start();
  // Taken, by another thread than the loop's.
  ASSERT_TRUE(router->Send(Message({"nobody", "hello"})).ok());
  EXPECT_TRUE(Eventually([&] { return unsent == 1; }));
}

// A draft leaves with the others of its turn, a large one and what is sent otherwise at once: none
// overtakes another.
TEST_F(Sockets, SendDraftsInOrder) {
  auto self = std::make_shared<std::weak_ptr<LoopSocket>>();
  const std::string large(20'000, 'x');
  std::atomic<int> unsent{0};
  int number = 0;
  LoopSocket::Callbacks on;
  on.message = [&, self](Frames& frames) {
    const auto socket = self->lock();
    if (socket == nullptr) return;
    const std::string to(frames[0].view());
    const std::string text = absl::StrCat(number, number % 37 == 0 ? large : "");
    if (number % 10 == 3) {
      EXPECT_TRUE(socket->Send(Message({to, text})).ok());
    } else {
      Frames& draft = socket->draft();
      ASSERT_EQ(draft.size(), 2U);
      std::memcpy(draft[0].Resize(to.size()), to.data(), to.size());
      std::memcpy(draft[1].Resize(text.size()), text.data(), text.size());
      EXPECT_TRUE(socket->SendDraft().ok());
    }
    if (number % 50 == 7) {
      Frames& draft = socket->draft();
      std::memcpy(draft[0].Resize(6), "nobody", 6);
      std::memcpy(draft[1].Resize(1), "?", 1);
      socket->SendDraft().IgnoreError();
    }
    ++number;
  };
  on.unsent = [&, self](Frames& frames, const absl::Status& why) {
    EXPECT_EQ(frames[0].view(), "nobody");
    EXPECT_EQ(frames[1].view(), "?");
    EXPECT_EQ(why.code(), absl::StatusCode::kUnavailable);
    // Whoever is told may send, too.
    if (++unsent == 1) self->lock()->Send(Message({"none", "?"})).IgnoreError();
  };
  auto router = Make(0, ZMQ_ROUTER, std::move(on));
  *self = router;
  const auto bound = router->Bind("tcp://127.0.0.1:*");
  ASSERT_TRUE(bound.ok());
  std::vector<std::string> back;
  std::mutex mutex;
  LoopSocket::Callbacks hears;
  hears.message = [&](Frames& frames) {
    const std::scoped_lock lock(mutex);
    back.emplace_back(frames[0].view());
  };
  auto dealer = Make(1, ZMQ_DEALER, std::move(hears));
  ASSERT_TRUE(dealer->Connect(*bound).ok());
  dealer->Start();
  constexpr int kMessages = 1'000;
  for (int i = 0; i < kMessages; ++i) ASSERT_TRUE(dealer->Send(Message({"go"})).ok());
  // Most of them are there by now: few turns bring all.
  std::this_thread::sleep_for(milliseconds(20));
  router->Start();
  EXPECT_TRUE(Eventually([&] {
    const std::scoped_lock lock(mutex);
    return back.size() == kMessages;
  }));
  EXPECT_TRUE(Eventually([&] { return router->unroutable() >= kMessages / 50; }));
  const std::scoped_lock lock(mutex);
  for (std::size_t i = 0; i < back.size(); ++i) {
    EXPECT_EQ(back[i], absl::StrCat(i, i % 37 == 0 ? large : ""));
  }
}

TEST_F(Sockets, WatchTheirConnections) {
  std::string bound;
  auto router = Echo("tcp://127.0.0.1:*", &bound);
  std::atomic<int> ready{0};
  std::atomic<int> gone{0};
  LoopSocket::Callbacks on;
  on.event = [&](const SocketEvent& event) {
    if (event.kind == SocketEvent::Kind::kReady) ++ready;
    if (event.kind == SocketEvent::Kind::kDisconnected) ++gone;
  };
  auto dealer = Make(1, ZMQ_DEALER, std::move(on));
  ASSERT_TRUE(dealer->Connect(bound).ok());
  dealer->Start();
  EXPECT_TRUE(Eventually([&] { return ready == 1; }));
  router->Close();
  EXPECT_TRUE(Eventually([&] { return gone == 1; }));
}

// A peer that never reads: what waits for it is bounded, and the others hear us.
TEST_F(Sockets, LetOnePeerThatNeverReadsCostNobodyElseAnything) {
  ZeroMq options;
  options.high_water_mark = 10;
  options.max_send_bytes = std::size_t{1} << 20;
  options.max_pending_bytes = std::size_t{16} << 20;
  std::atomic<bool> deaf{false};
  std::atomic<bool> hears{false};
  LoopSocket::Callbacks on;
  on.message = [&](Frames& frames) {
    if (frames.front().view() == "deaf") deaf = true;
    if (frames.front().view() == "hears") hears = true;
  };
  auto router = Make(0, ZMQ_ROUTER, std::move(on), options);
  auto at = router->Bind("tcp://127.0.0.1:*");
  ASSERT_TRUE(at.ok());
  router->Start();

  Socket silent(context_->get(), ZMQ_DEALER);
  silent.Set(ZMQ_ROUTING_ID, "deaf");
  silent.Set(ZMQ_RCVHWM, 1);
  silent.Set(ZMQ_LINGER, 0);
  ASSERT_EQ(zmq_connect(silent.get(), at->c_str()), 0);
  ASSERT_EQ(zmq_send(silent.get(), "hello", 5, 0), 5);
  std::atomic<int> heard{0};
  LoopSocket::Callbacks hearing;
  hearing.message = [&](Frames&) { ++heard; };
  auto other = Make(1, ZMQ_DEALER, std::move(hearing));
  other->raw().Set(ZMQ_ROUTING_ID, "hears");
  ASSERT_TRUE(other->Connect(*at).ok());
  other->Start();
  ASSERT_TRUE(other->Send(Message({"hello"})).ok());
  ASSERT_TRUE(Eventually([&] { return deaf && hears; }));

  const std::string body(std::size_t{1} << 20, 'x');
  absl::Status refused;
  On(loops_[0], [&] {
    for (int i = 0; i < 200 && refused.ok(); ++i) refused = router->Send(Message({"deaf", body}));
    EXPECT_TRUE(router->Send(Message({"hears", "still"})).ok());
  });
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
  EXPECT_LE(router->pending_bytes(), options.max_pending_bytes / 4);
  EXPECT_EQ(router->dropped(), 1U);
  EXPECT_TRUE(Eventually([&] { return heard == 1; }));
}

TEST_F(Sockets, EndWithMessagesOnTheirWay) {
  std::string bound;
  Echo("tcp://127.0.0.1:*", &bound);
  for (int i = 0; i < 20; ++i) {
    auto dealer = Make(1, ZMQ_DEALER, {});
    ASSERT_TRUE(dealer->Connect(bound).ok());
    dealer->Start();
    std::thread sender([&] {
      for (int j = 0; j < 50; ++j) dealer->Send(Message({"head", "body"})).IgnoreError();
    });
    if (i % 2 == 0) std::this_thread::sleep_for(milliseconds(i));
    dealer->Close();
    sender.join();
    EXPECT_EQ(dealer->Send(Message({"x"})).code(), absl::StatusCode::kUnavailable);
  }
}

}  // namespace
}  // namespace rookery::zeromq_adapter
