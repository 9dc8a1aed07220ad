#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "gateway/src/http/websocket_codec.h"
#include "http_node.h"

namespace rookery::testing {
namespace {

using ::testing::HasSubstr;

const std::string kUpgrade =
    "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

// A client's frame: masked.
std::string Frame(unsigned first, std::string_view payload, bool masked = true) {
  std::string out(1, static_cast<char>(first));
  const unsigned mask_bit = masked ? 0x80 : 0;
  if (payload.size() < 126) {
    out.push_back(static_cast<char>(mask_bit | payload.size()));
  } else {
    const int bytes = payload.size() < 65'536 ? 2 : 8;
    out.push_back(static_cast<char>(mask_bit | (bytes == 2 ? 126U : 127U)));
    for (int i = bytes - 1; i >= 0; --i) {
      out.push_back(static_cast<char>(payload.size() >> (8 * i)));
    }
  }
  constexpr std::array<unsigned char, 4> kMask = {0x11, 0x22, 0x33, 0xf4};
  if (masked) out.append(reinterpret_cast<const char*>(kMask.data()), 4);
  for (std::size_t i = 0; i < payload.size(); ++i) {
    out.push_back(masked ? static_cast<char>(static_cast<unsigned char>(payload[i]) ^ kMask[i & 3])
                         : payload[i]);
  }
  return out;
}
constexpr unsigned kFin = 0x80;

struct ServerFrame {
  unsigned opcode = 0;  // 0: the connection has ended
  std::string payload;
  unsigned code() const {
    return payload.size() < 2 ? 0
                              : static_cast<unsigned char>(payload[0]) * 256U +
                                    static_cast<unsigned char>(payload[1]);
  }
};

class Browser final {
 public:
  explicit Browser(HttpNode& node) : peer(node.port()) {
    peer.Send(kUpgrade);
    answer = peer.ReadAnswer();
  }
  ServerFrame Next() {
    std::string& in = peer.received();
    const auto need = [&](std::size_t size) {
      while (in.size() < size) {
        if (!peer.ReadSome()) return false;
      }
      return true;
    };
    ServerFrame frame;
    if (!need(2)) return frame;
    std::size_t header = 2;
    std::uint64_t size = static_cast<unsigned char>(in[1]) & 0x7f;
    EXPECT_EQ(static_cast<unsigned char>(in[1]) & 0x80, 0) << "a server does not mask";
    if (size >= 126) {
      const std::size_t bytes = size == 126 ? 2 : 8;
      if (!need(2 + bytes)) return frame;
      size = 0;
      for (std::size_t i = 0; i < bytes; ++i)
        size = size * 256 + static_cast<unsigned char>(in[2 + i]);
      header += bytes;
    }
    if (!need(header + size)) return frame;
    frame.opcode = static_cast<unsigned char>(in[0]) & 0x0f;
    frame.payload = in.substr(header, size);
    in.erase(0, header + size);
    return frame;
  }
  HttpPeer peer;
  HttpAnswer answer;
};

TEST(HttpWebSocket, EchoesMessages) {
  HttpNode node;
  ASSERT_TRUE(node.Start().ok());
  Browser browser(node);
  EXPECT_EQ(browser.answer.status, 101);
  EXPECT_TRUE(browser.answer.Has("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
  EXPECT_TRUE(browser.answer.Has("Upgrade: websocket"));
  EXPECT_TRUE(browser.answer.Has("Connection: Upgrade"));
  for (const std::size_t size : {0u, 5u, 125u, 126u, 65'535u, 65'536u, 99'000u}) {
    const std::string text(size, 'x');
    browser.peer.Send(Frame(kFin | 2, text));
    const ServerFrame frame = browser.Next();
    EXPECT_EQ(frame.opcode, 2u);
    EXPECT_EQ(frame.payload, text);
  }
  // In fragments, with a ping between them, byte by byte.
  const std::string bytes = Frame(1, "gr\xc3") + Frame(kFin | 9, "ping") + Frame(0, "\xbc") +
                            Frame(kFin | 0, "n") + Frame(kFin | 10, "unasked");
  for (const char c : bytes) browser.peer.Send(std::string_view(&c, 1));
  ServerFrame frame = browser.Next();
  EXPECT_EQ(frame.opcode, 10u);
  EXPECT_EQ(frame.payload, "ping");
  frame = browser.Next();
  EXPECT_EQ(frame.opcode, 1u);
  EXPECT_EQ(frame.payload, "gr\xc3\xbcn");
  // Many at once.
  std::string many;
  for (int i = 0; i < 100; ++i) many += Frame(kFin | 1, absl::StrCat("m", i));
  browser.peer.Send(many);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(browser.Next().payload, absl::StrCat("m", i));
}

TEST(HttpWebSocket, ClosesInGoodOrder) {
  HttpNode node;
  ASSERT_TRUE(node.Start().ok());
  {
    Browser browser(node);
    browser.peer.Send(Frame(kFin | 8,
                            "\x03\xe8"
                            "done"));
    const ServerFrame frame = browser.Next();
    EXPECT_EQ(frame.opcode, 8u);
    EXPECT_EQ(frame.code(), 1000u);
    EXPECT_TRUE(browser.peer.IsClosed());
  }
  {
    Browser browser(node);
    browser.peer.Send(Frame(kFin | 1, "bye"));
    const ServerFrame frame = browser.Next();
    EXPECT_EQ(frame.code(), 4001u);
    EXPECT_THAT(frame.payload, HasSubstr("as you like"));
    browser.peer.Send(Frame(kFin | 8, frame.payload));
    EXPECT_TRUE(browser.peer.IsClosed());
  }
  {
    // The handler just leaves.
    Browser browser(node);
    browser.peer.Send(Frame(kFin | 1, "leave"));
    EXPECT_TRUE(browser.peer.IsClosed());
  }
  {
    Browser browser(node);
    browser.peer.Close();
  }
  EXPECT_TRUE(Soon([&] { return node.application.chats == 0; }));
  EXPECT_EQ(node.application.failed_chats, 0);
}

TEST(HttpWebSocket, RefusesWhatIsNoMessage) {
  HttpNode node;
  ASSERT_TRUE(node.Start().ok());
  struct Bad {
    const char* name;
    std::string bytes;
    unsigned code;
  };
  const std::string large(100'001, 'x');
  const Bad all[] = {
      {"not masked", Frame(kFin | 1, "a", /*masked=*/false), 1002},
      {"a reserved bit", Frame(kFin | 0x40 | 1, "a"), 1002},
      {"an unknown kind", Frame(kFin | 3, "a"), 1002},
      {"an unknown control", Frame(kFin | 11, "a"), 1002},
      {"a ping in fragments", Frame(9, "a"), 1002},
      {"a long ping", Frame(kFin | 9, std::string(126, 'a')), 1002},
      {"goes on without a beginning", Frame(kFin | 0, "a"), 1002},
      {"begins within another", Frame(1, "a") + Frame(kFin | 1, "b"), 1002},
      {"not UTF-8", Frame(kFin | 1, "\xff\xfe"), 1007},
      {"half a character", Frame(kFin | 1, "\xc3"), 1007},
      {"a surrogate", Frame(kFin | 1, "\xed\xa0\x80"), 1007},
      {"too large", Frame(kFin | 2, large), 1009},
      {"too large in fragments",
       Frame(2, large.substr(0, 60'000)) + Frame(kFin, large.substr(0, 60'000)), 1009},
      {"says it is endless",
       std::string("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff"
                   "abcd"),
       1009},
      {"a length of 64 bits",
       std::string("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                   "abcd"),
       1002},
      {"a long form of a short length",
       std::string("\x82\xfe\x00\x01"
                   "abcd"
                   "x",
                   9),
       1002},
      {"half a close code", Frame(kFin | 8, "a"), 1002},
      {"a close code that is none", Frame(kFin | 8, "\x03\xed"), 1002},
      {"a close reason that is not UTF-8", Frame(kFin | 8, "\x03\xe8\xff"), 1007},
  };
  int failed = 0;
  for (const Bad& bad : all) {
    SCOPED_TRACE(bad.name);
    Browser browser(node);
    browser.peer.Send(bad.bytes);
    const ServerFrame frame = browser.Next();
    EXPECT_EQ(frame.opcode, 8u);
    EXPECT_EQ(frame.code(), bad.code);
    EXPECT_TRUE(browser.peer.IsClosed());
    ++failed;
    EXPECT_TRUE(Soon([&] { return node.application.failed_chats == failed; }));
    EXPECT_EQ(node.application.reason().code(), bad.code == 1009
                                                    ? absl::StatusCode::kResourceExhausted
                                                    : absl::StatusCode::kInvalidArgument);
  }
}

TEST(HttpWebSocket, PingsThoseThatAreSilentAndLetsThemGo) {
  HttpNode node;
  node.options.limits.websocket_ping = std::chrono::milliseconds(150);
  ASSERT_TRUE(node.Start().ok());
  Browser browser(node);
  EXPECT_EQ(browser.Next().opcode, 9u);
  browser.peer.Send(Frame(kFin | 10, ""));
  EXPECT_EQ(browser.Next().opcode, 9u);
  EXPECT_TRUE(browser.peer.IsClosed());
  EXPECT_TRUE(Soon([&] { return node.application.chats == 0; }));
}

TEST(HttpWebSocket, IsAskedForRightly) {
  HttpNode node;
  ASSERT_TRUE(node.Start().ok());
  const auto status = [&](std::string_view from, std::string_view to) {
    std::string request = kUpgrade;
    const std::size_t at = request.find(from);
    EXPECT_NE(at, std::string::npos);
    request.replace(at, from.size(), to);
    HttpPeer peer(node.port());
    peer.Send(request);
    return peer.ReadAnswer().status;
  };
  EXPECT_EQ(status("Version: 13", "Version: 8"), 426);
  EXPECT_EQ(status("Upgrade: websocket", "Upgrade: h2c"), 426);
  EXPECT_EQ(status(", Upgrade", ""), 426);
  EXPECT_EQ(status("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ"), 426);
  EXPECT_EQ(status("GET", "POST"), 426);
  EXPECT_EQ(status("HTTP/1.1", "HTTP/1.0"), 426);
  EXPECT_EQ(status("websocket", "WebSocket"), 101);
}

TEST(HttpWebSocket, EndsWithTheServer) {
  HttpNode node;
  ASSERT_TRUE(node.Start().ok());
  Browser browser(node);
  EXPECT_TRUE(Soon([&] { return node.application.chats == 1; }));
  EXPECT_EQ(node.server().Drain(std::chrono::steady_clock::now()), 1u);
  const ServerFrame frame = browser.Next();
  EXPECT_EQ(frame.opcode, 8u);
  EXPECT_EQ(frame.code(), 1001u);
  EXPECT_EQ(node.application.chats, 0);
  EXPECT_TRUE(browser.peer.IsClosed());
}

}  // namespace
}  // namespace rookery::testing
