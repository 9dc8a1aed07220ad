// What strangers may send to a server over ZeroMQ: it is refused or dropped, counted, and the next
// good call works.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "rookery/rpc/wire.h"
#include "transports/zeromq/src/options.h"
#include "zeromq/zeromq_node.h"

namespace rookery::testing {
namespace {

using std::chrono::milliseconds;

// ZeroMQ as any program uses it, without a line of ours.
class Stranger final {
 public:
  explicit Stranger(const std::string& endpoint, int receive_mark = 1'000)
      : context_(zmq_ctx_new()), socket_(zmq_socket(context_, ZMQ_DEALER)) {
    constexpr int kNow = 0;
    zmq_setsockopt(socket_, ZMQ_LINGER, &kNow, sizeof kNow);
    zmq_setsockopt(socket_, ZMQ_RCVHWM, &receive_mark, sizeof receive_mark);
    zmq_connect(socket_, endpoint.c_str());
  }
  ~Stranger() {
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

  void Send(const std::vector<std::string>& frames) {
    for (std::size_t i = 0; i < frames.size(); ++i) {
      EXPECT_GE(zmq_send(socket_, frames[i].data(), frames[i].size(),
                         i + 1 == frames.size() ? 0 : ZMQ_SNDMORE),
                0);
    }
  }
  // The frames of the next message.
  std::vector<std::string> Next() {
    std::vector<std::string> frames;
    int more = 1;
    while (more != 0) {
      zmq_msg_t part;
      zmq_msg_init(&part);
      EXPECT_GE(zmq_msg_recv(&part, socket_, 0), 0);
      frames.emplace_back(static_cast<char*>(zmq_msg_data(&part)), zmq_msg_size(&part));
      more = zmq_msg_more(&part);
      zmq_msg_close(&part);
    }
    return frames;
  }

 private:
  void* const context_;
  void* const socket_;
};

std::string HeaderOf(std::string_view to, std::string_view reply_to,
                     const std::vector<std::pair<std::string, std::string>>& fields = {}) {
  OutboundMessage message;
  for (const auto& [name, value] : fields) message.Add(name, value);
  std::string frame;
  EXPECT_TRUE(zeromq_adapter::EncodeMessage(message, to, reply_to, &frame).ok());
  return frame;
}

// A connection of the kernel's, that says what the test says.
class RawPeer final {
 public:
  explicit RawPeer(const std::string& endpoint) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port =
        htons(static_cast<std::uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1))));
    EXPECT_EQ(connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  ~RawPeer() { close(fd_); }
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;
  void Say(std::string_view bytes) {
    static_cast<void>(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL));
  }
  // Reads until the other side ends it.
  void AwaitEnd() {
    char bytes[4'096];
    while (recv(fd_, bytes, sizeof bytes, 0) > 0) {
    }
  }
  // What ZMTP 3.1 says first, and READY of a DEALER.
  void ShakeHands() {
    std::string greeting("\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01", 12);
    greeting += "NULL";
    greeting.resize(64, '\0');
    Say(greeting);
    std::string ready("\x05READY\x0bSocket-Type", 18);
    ready += std::string("\0\0\0\x06", 4) + "DEALER";
    Say(std::string("\x04", 1) + static_cast<char>(ready.size()) + ready);
  }

 private:
  const int fd_;
};

class ZeroMqBadInputTest : public ::testing::Test {
 protected:
  static ZeroMq Options() {
    ZeroMq options;
    options.address = "tcp://127.0.0.1:*";
    options.max_receive_bytes = 1 << 20;
    options.max_send_bytes = 2 << 20;
    options.max_pending_bytes = std::size_t{16} << 20;
    options.handshake_timeout = milliseconds(500);
    options.linger = milliseconds(200);
    return options;
  }
  ZeroMqBadInputTest() : node_(Options()) {}
  void TearDown() override {
    EchoClient client(MakeChannel(ZeroMqQuick(node_.endpoint())));
    EXPECT_TRUE(ZeroMqCall(client).ok()) << "the next good call works";
  }
  bool RejectedAtLeast(std::uint64_t count) {
    return ZeroMqEventually([&] { return node_.rejected() >= count; });
  }
  ZeroMqNode node_;
};

TEST_F(ZeroMqBadInputTest, GarbageInsteadOfAGreeting) {
  std::minstd_rand random(7);
  for (int i = 0; i < 50; ++i) {
    RawPeer peer(node_.endpoint());
    std::string bytes(static_cast<std::size_t>(random() % 300 + 20), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    // Not by chance the old protocol, which begins with a length.
    bytes[0] = '\xff';
    bytes[9] = '\x7f';
    peer.Say(bytes);
    if (i % 2 == 0) peer.Say("GET / HTTP/1.1\r\n\r\n");
  }
  EXPECT_TRUE(RejectedAtLeast(1));
}

TEST_F(ZeroMqBadInputTest, HandshakesThatAreNeverFinished) {
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (int i = 0; i < 100; ++i) {
    peers.push_back(std::make_unique<RawPeer>(node_.endpoint()));
    if (i % 3 == 1) peers.back()->Say(std::string_view("\xff\0\0\0\0\0\0\0\x01\x7f", 10));
    if (i % 3 == 2) peers.back()->Say("\xff");
  }
  EchoClient client(MakeChannel(ZeroMqQuick(node_.endpoint())));
  EXPECT_TRUE(ZeroMqCall(client).ok());
  // The server ends them: it has given each its time.
  for (const auto& peer : peers) peer->AwaitEnd();
}

TEST_F(ZeroMqBadInputTest, AGiantFrameIsNotEvenRead) {
  for (int i = 0; i < 10; ++i) {
    RawPeer peer(node_.endpoint());
    peer.ShakeHands();
    // A long frame of 2 GiB.
    peer.Say(std::string_view("\x02\0\0\0\0\x80\0\0\0", 9));
    peer.Say(std::string(10'000, 'x'));
    peer.AwaitEnd();
  }
  EXPECT_EQ(node_.state().calls, 0);
}

TEST_F(ZeroMqBadInputTest, OneMessageTooLargeCostsItsCallAlone) {
  ZeroMq options = ZeroMqQuick(node_.endpoint());
  EchoClient client(MakeChannel(options));
  EXPECT_EQ(ZeroMqCall(client, std::string((1 << 20) + 10, 'x')).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(ZeroMqCall(client).ok());
}

TEST_F(ZeroMqBadInputTest, WrongNumbersOfFrames) {
  Stranger stranger(node_.endpoint());
  const std::string header = HeaderOf("/rookery.testing.Echo/Say", "@1");
  stranger.Send({""});
  stranger.Send({header, ""});
  stranger.Send({header, "", "three"});
  stranger.Send(std::vector<std::string>(1'000, header));
  EXPECT_TRUE(RejectedAtLeast(4));
  EXPECT_EQ(node_.state().calls, 0);
}

TEST_F(ZeroMqBadInputTest, AnotherVersionIsToldThatItIs) {
  Stranger stranger(node_.endpoint());
  std::string header = HeaderOf("/rookery.testing.Echo/Say", "@1");
  header[0] = 9;
  // However many frames it has.
  stranger.Send({header, ""});
  const std::vector<std::string> answer = stranger.Next();
  ASSERT_EQ(answer.size(), 1U);
  zeromq_adapter::Header said;
  InboundMessage fields;
  ASSERT_TRUE(zeromq_adapter::DecodeMessage(answer[0], &said, &fields).ok());
  EXPECT_EQ(said.to, "!version");
  EXPECT_EQ(ReadStatus(fields).code(), absl::StatusCode::kUnimplemented);
  EXPECT_TRUE(RejectedAtLeast(1));
  // A frame of the protocol, inside, in a version that is not ours.
  stranger.Send({HeaderOf("/rookery.testing.Echo/Say", "@2", {{"rookery", "2 call"}})});
  const std::vector<std::string> refusal = stranger.Next();
  InboundMessage status;
  ASSERT_TRUE(zeromq_adapter::DecodeMessage(refusal[0], &said, &status).ok());
  EXPECT_EQ(said.to, "@2");
  EXPECT_EQ(ReadStatus(status).code(), absl::StatusCode::kUnimplemented);
}

TEST_F(ZeroMqBadInputTest, HeadersThatAreCutOffOrWorse) {
  Stranger stranger(node_.endpoint());
  const std::string good = HeaderOf("/rookery.testing.Echo/Nowhere", "@1",
                                    {{"rookery", "1 call"}, {"grpc-timeout", "1S"}, {"k", "v"}});
  for (std::size_t size = 0; size < good.size(); ++size) {
    stranger.Send({good.substr(0, size)});
  }
  EXPECT_TRUE(RejectedAtLeast(good.size()));
  std::minstd_rand random(11);
  for (int i = 0; i < 2'000; ++i) {
    std::string header = good;
    for (int j = 0; j < 3; ++j)
      header[1 + random() % (header.size() - 1)] = static_cast<char>(random());
    stranger.Send({header + std::string(random() % 50, static_cast<char>(random()))});
  }
}

// An address of a call is its caller's: a guess is of no use to another.
TEST_F(ZeroMqBadInputTest, NobodyCancelsAnothersCall) {
  EchoClient client(MakeChannel(ZeroMqQuick(node_.endpoint())));
  std::thread waiting([&] { EXPECT_TRUE(ZeroMqCall(client, "wait").ok()); });
  ASSERT_TRUE(ZeroMqEventually([&] { return node_.state().running > 0; }));
  Stranger stranger(node_.endpoint());
  const std::uint64_t before = node_.rejected();
  for (std::uint64_t id = 0; id < 100; ++id) {
    for (const std::string_view seal : {"", ".", ".0", ".1f"}) {
      stranger.Send({HeaderOf(absl::StrCat("@", absl::Hex(id), std::string(seal)), "",
                              {{"rookery", "1 cancel"}, {"grpc-status", "1"}})});
    }
    stranger.Send({HeaderOf("!cancel", "",
                            {{"rookery", "1 cancel"},
                             {"rookery-call", zeromq_adapter::FormatId(1ULL << 32 | id)},
                             {"grpc-status", "1"}})});
  }
  EXPECT_TRUE(RejectedAtLeast(before + 400));
  node_.state().release.Set();
  waiting.join();
}

// Its reply is nobody's: no other peer gets it.
TEST_F(ZeroMqBadInputTest, APeerThatIsGoneBeforeItsReply) {
  {
    Stranger stranger(node_.endpoint());
    stranger.Send(
        {HeaderOf("/rookery.testing.Echo/Say", "@1") + ZeroMqText("wait").SerializeAsString()});
    ASSERT_TRUE(ZeroMqEventually([&] { return node_.state().running == 1; }));
  }
  // Until libzmq knows that it has gone, a reply would be for a connection that there is.
  std::this_thread::sleep_for(milliseconds(50));
  node_.state().release.Set();
  ASSERT_TRUE(ZeroMqEventually([&] { return node_.state().running == 0; }));
  bool counted = false;
  for (int i = 0; i < 100 && !counted; ++i) {
    for (const RejectedSnapshot& each : node_.app().Stats().rejected) {
      counted = counted || (each.transport == "zeromq" &&
                            each.code == absl::StatusCode::kUnavailable && each.count > 0);
    }
    if (!counted) std::this_thread::sleep_for(milliseconds(20));
  }
  EXPECT_TRUE(counted);
}

// It asks, and never reads what it is told.
TEST_F(ZeroMqBadInputTest, APeerThatNeverReads) {
  EchoClient client(MakeChannel(ZeroMqQuick(node_.endpoint())));
  Stranger deaf(node_.endpoint(), /*receive_mark=*/1);
  const std::string request = ZeroMqText(std::string(900'000, 'x')).SerializeAsString();
  for (int i = 0; i < 60; ++i) {
    deaf.Send({HeaderOf("/rookery.testing.Echo/Say", absl::StrCat("@", i + 1)) + request});
    EXPECT_TRUE(ZeroMqCall(client).ok());
  }
  ASSERT_TRUE(ZeroMqEventually([&] { return node_.state().calls >= 120; }));
  // 54 MB of replies, of which a share of what may wait was kept.
  EXPECT_TRUE(RejectedAtLeast(1));
  EXPECT_TRUE(ZeroMqCall(client).ok());
  // And a stream, which stands still when its credit is used up.
  EchoRequest many = ZeroMqText("x");
  many.set_count(1'000'000);
  deaf.Send(
      {HeaderOf("/rookery.testing.Echo/Repeat", "@ffff", {{"rookery", "1 open credit=9999"}}) +
       many.SerializeAsString()});
  ASSERT_TRUE(ZeroMqEventually([&] { return node_.state().running > 0; }));
  EXPECT_TRUE(ZeroMqCall(client).ok());
}

}  // namespace
}  // namespace rookery::testing
