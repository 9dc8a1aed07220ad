// S-04: requests that two readers could take for different ones are refused by both.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "gateway/src/http/head_parser.h"
#include "http_node.h"

namespace rookery::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using std::string_literals::operator""s;

struct Vector {
  const char* name;
  std::string bytes;
};

// What would be let in, if what comes before it ended where the attacker wants it to.
const std::string kSmuggled = "GET /hello HTTP/1.1\r\nHost: smuggled\r\n\r\n";

std::string With(const std::string& headers, const std::string& body = "") {
  return "POST /echo HTTP/1.1\r\nHost: a\r\n" + headers + "\r\n" + body;
}
std::string Chunked(const std::string& body) {
  return With("Transfer-Encoding: chunked\r\n", body);
}

std::vector<Vector> Vectors() {
  const std::string te = "Transfer-Encoding: chunked\r\n";
  return {
      // Two lengths.
      {"CL.TE", With("Content-Length: 6\r\n" + te, "0\r\n\r\nG")},
      {"TE.CL", With(te + "Content-Length: 4\r\n", "5c\r\nG")},
      {"CL.CL", With("Content-Length: 5\r\nContent-Length: 6\r\n", "hello")},
      {"CL.CL, the same twice", With("Content-Length: 5\r\nContent-Length: 5\r\n", "hello")},
      {"a list of lengths", With("Content-Length: 5, 6\r\n", "hello")},
      {"a list of equal lengths", With("Content-Length: 5, 5\r\n", "hello")},
      {"CL.0 with TE", With("Content-Length: 0\r\n" + te, "0\r\n\r\n")},
      // Lengths that are none.
      {"a length with a sign", With("Content-Length: +5\r\n", "hello")},
      {"a negative length", With("Content-Length: -5\r\n", "hello")},
      {"a length in hex", With("Content-Length: 0x5\r\n", "hello")},
      {"a length with a space in it", With("Content-Length: 5 5\r\n", "hello")},
      {"a length with a point", With("Content-Length: 5.0\r\n", "hello")},
      {"an empty length", With("Content-Length: \r\n", "hello")},
      {"a length beyond 64 bits", With("Content-Length: 18446744073709551621\r\n", "hello")},
      {"a length with a letter", With("Content-Length: 5a\r\n", "hello")},
      {"a length in quotes", With("Content-Length: \"5\"\r\n", "hello")},
      // Codings in disguise.
      {"xchunked", With("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n")},
      {"chunked twice in a list", With("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n")},
      {"two codings' headers", With(te + "Transfer-Encoding: identity\r\n", "0\r\n\r\n")},
      {"chunked is not the last", With("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n")},
      {"identity", With("Transfer-Encoding: identity\r\n")},
      {"chunked with a parameter", With("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n")},
      {"chunked in quotes", With("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n")},
      {"an empty coding", With("Transfer-Encoding: \r\n")},
      {"a comma before chunked", With("Transfer-Encoding: ,chunked\r\n", "0\r\n\r\n")},
      {"a vertical tab before chunked", With("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n")},
      {"a NUL after chunked", With("Transfer-Encoding: chunked\0\r\n"s, "0\r\n\r\n")},
      {"a space before the colon", With("Transfer-Encoding : chunked\r\n", "0\r\n\r\n")},
      {"a tab before the colon", With("Content-Length\t: 5\r\n", "hello")},
      {"an underscore for a hyphen", With("Transfer_Encoding: chunked\r\n", "0\r\n\r\n")},
      {"an underscore in the length", With("Content_Length: 5\r\n", "hello")},
      {"HTTP/1.0 with chunks",
       "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"Connection names the length",
       With("Connection: Content-Length\r\nContent-Length: 5\r\n", "hello")},
      {"Connection names the coding",
       With("Connection: close, transfer-encoding\r\n" + te, "0\r\n\r\n")},
      // Lines.
      {"a header over two lines", With("X: a\r\n b\r\n")},
      {"a coding over two lines", With("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n")},
      {"the first header is indented", "GET / HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n"},
      {"LF alone after a header", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"},
      {"LF alone after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n"},
      {"LF alone at the end of the head", "GET / HTTP/1.1\r\nHost: a\r\n\n"},
      {"CR alone within a value", With("X: a\rContent-Length: 5\r\n")},
      {"CR alone within a name", With("X\rY: a\r\n")},
      {"CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"},
      {"a NUL in a name", With("X\0: a\r\n"s)},
      {"a NUL in a value", With("X: a\0b\r\n"s)},
      {"a delete character in a value", With("X: a\x7f\r\n")},
      {"no colon", With("Content-Length 5\r\n", "hello")},
      {"no name", With(": a\r\n")},
      {"a name with a bracket", With("X[0]: a\r\n")},
      {"a name beyond ASCII", With("X\xc3\xa4: a\r\n")},
      // The request line.
      {"two spaces before the target", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"two spaces after the target", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"a tab after the method", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"something after the version", "GET / HTTP/1.1 x\r\nHost: a\r\n\r\n"},
      {"a space after the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"},
      {"no version", "GET /\r\nHost: a\r\n\r\n"},
      {"a version in lower case", "GET / http/1.1\r\nHost: a\r\n\r\n"},
      {"a version with many digits", "GET / HTTP/1.01\r\nHost: a\r\n\r\n"},
      {"a NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"s},
      {"a fragment", "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"a backslash in the target", "GET \\a HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"a target without a slash", "GET a HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"a star for another method", "GET * HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"a target beyond ASCII", "GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"a method with a colon", "GET: / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"empty lines before the request", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"a space before the request", " GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
      // Hosts.
      {"no host", "GET / HTTP/1.1\r\n\r\n"},
      {"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
      {"the same host twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
      {"an empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
      {"a host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
      {"a host with a user", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"},
      {"a list of hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"},
      {"a host with a port that is none", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"},
      {"the target names another host", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"a target with a user", "GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n"},
      {"a target of another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"},
      // Chunks.
      {"a chunk's size with 0x", Chunked("0x5\r\nhello\r\n0\r\n\r\n")},
      {"a chunk's size with a sign", Chunked("+5\r\nhello\r\n0\r\n\r\n")},
      {"a negative chunk", Chunked("-1\r\nhello\r\n0\r\n\r\n")},
      {"a space after a chunk's size", Chunked("5 \r\nhello\r\n0\r\n\r\n")},
      {"a space before a chunk's size", Chunked(" 5\r\nhello\r\n0\r\n\r\n")},
      {"an empty chunk's size", Chunked("\r\nhello\r\n0\r\n\r\n")},
      {"a chunk's size beyond 64 bits", Chunked("10000000000000005\r\nhello\r\n0\r\n\r\n")},
      {"a chunk's size ends with LF alone", Chunked("5\nhello\r\n0\r\n\r\n")},
      {"a chunk's size ends with CR alone", Chunked("5\rhello\r\n0\r\n\r\n")},
      {"a chunk longer than it says", Chunked("3\r\nhello\r\n0\r\n\r\n")},
      {"a chunk's data ends with LF alone", Chunked("5\r\nhello\n0\r\n\r\n")},
      {"an extension ends with LF alone", Chunked("5;a\nhello\r\n0\r\n\r\n")},
      {"an extension with a NUL", Chunked("5;a\0\r\nhello\r\n0\r\n\r\n"s)},
      {"an extension with a CR within quotes", Chunked("5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n")},
      {"an extension that never ends", Chunked("5;" + std::string(5'000, 'a') + "\r\n")},
      {"a trailer with a length", Chunked("0\r\nContent-Length: 5\r\n\r\n")},
      {"a trailer with a coding", Chunked("0\r\nTransfer-Encoding: chunked\r\n\r\n")},
      {"a trailer with a host", Chunked("0\r\nHost: b\r\n\r\n")},
      {"a trailer ends with LF alone", Chunked("0\r\nX: a\n\r\n")},
      {"the trailers end with LF alone", Chunked("0\r\n\n")},
      {"a trailer with a space before the colon", Chunked("0\r\nX : a\r\n\r\n")},
      {"a trailer over two lines", Chunked("0\r\nX: a\r\n b\r\n\r\n")},
  };
}

TEST(HttpSmuggling, EveryVectorIsRefusedAndTheConnectionClosed) {
  HttpNode node;
  ASSERT_TRUE(node.Start().ok());
  const std::vector<Vector> vectors = Vectors();
  EXPECT_GE(vectors.size(), 40u);
  int handled = 0;
  for (const Vector& vector : vectors) {
    SCOPED_TRACE(vector.name);
    const bool head_is_good =
        vector.bytes.find("\r\nTransfer-Encoding: chunked\r\n\r\n") != std::string::npos &&
        vector.bytes.starts_with("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer");
    HttpPeer peer(node.port());
    peer.Send(vector.bytes + kSmuggled);
    const HttpAnswer answer = peer.ReadAnswer();
    EXPECT_EQ(answer.status, 400);
    EXPECT_TRUE(answer.Has("Connection: close"));
    EXPECT_TRUE(peer.IsClosed());
    // One answer, and no more.
    EXPECT_EQ(peer.received(), "");
    EXPECT_THAT(answer.body, Not(HasSubstr("smuggled")));
    // A handler may have begun to read a body whose chunks are wrong, and no other.
    handled += head_is_good ? 1 : 0;
    EXPECT_EQ(node.application.served, handled);
  }
  HttpPeer good(node.port());
  good.Send(kSmuggled);
  EXPECT_EQ(good.ReadAnswer().status, 200);
}

std::string Parse(std::string_view bytes, std::size_t piece) {
  http::HeadParser parser({});
  while (!bytes.empty()) {
    std::string_view part = bytes.substr(0, piece);
    const std::size_t size = part.size();
    const http::HeadParser::Result result = parser.Feed(&part);
    bytes.remove_prefix(size - part.size());
    if (result == http::HeadParser::kFault) {
      return absl::StrCat(
          parser.fault().status, " ",
          absl::string_view(parser.fault().what.data(), parser.fault().what.size()));
    }
    if (result == http::HeadParser::kDone) {
      std::string text = absl::StrCat("done ", bytes.size());
      const http::Framing& framing = parser.framing();
      http::BodyDecoder body;
      body.Reset(framing, {});
      for (;;) {
        std::string_view rest = bytes.substr(0, piece);
        const std::size_t before = rest.size();
        std::string_view data;
        const http::BodyDecoder::Result decoded = body.Feed(&rest, &data);
        bytes.remove_prefix(before - rest.size());
        if (decoded == http::BodyDecoder::kFault) {
          return text + std::string(body.what());
        }
        if (decoded == http::BodyDecoder::kData) text.append(data);
        if (decoded == http::BodyDecoder::kEnd) return text + " end";
        if (decoded == http::BodyDecoder::kMore && bytes.empty()) return text + " more";
      }
    }
  }
  return "more";
}

TEST(HttpSmuggling, PiecesMakeNoDifference) {
  std::vector<Vector> vectors = Vectors();
  vectors.push_back({"good", With("Content-Length: 5\r\n", "hello")});
  vectors.push_back({"good chunks", Chunked("5;a=\"b\\\"\"\r\nhello\r\n0\r\nX: y\r\n\r\n")});
  for (const Vector& vector : vectors) {
    SCOPED_TRACE(vector.name);
    const std::string whole = Parse(vector.bytes, vector.bytes.size());
    for (const std::size_t piece : {1, 2, 3, 7, 64}) EXPECT_EQ(Parse(vector.bytes, piece), whole);
  }
}

TEST(HttpParser, TakesWhatIsGood) {
  const auto target = [](const std::string& bytes) -> std::string {
    http::HeadParser parser({});
    std::string_view input = bytes;
    if (parser.Feed(&input) != http::HeadParser::kDone) {
      return absl::StrCat("fault: ", std::string(parser.fault().what));
    }
    EXPECT_EQ(input, "");
    return std::string(parser.request().target);
  };
  EXPECT_EQ(target("GET /a?b={c}|d HTTP/1.1\r\nHost: a\r\n\r\n"), "/a?b={c}|d");
  EXPECT_EQ(target("GET http://a:80/b HTTP/1.1\r\nHost: A:80\r\n\r\n"), "/b");
  EXPECT_EQ(target("GET http://a?b HTTP/1.1\r\nHost: a\r\n\r\n"), "/?b");
  EXPECT_EQ(target("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n"), "/");
  EXPECT_EQ(target("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), "*");
  EXPECT_EQ(target("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n"), "*");
  EXPECT_EQ(target("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"), "/");
  EXPECT_EQ(target("GET / HTTP/1.1\r\nHost: xn--a.example\r\n\r\n"), "/");
  EXPECT_EQ(target("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), "/");
  EXPECT_EQ(target("GET / HTTP/1.0\r\n\r\n"), "/");
  EXPECT_EQ(target("GET / HTTP/1.1\r\nhOST:a\r\nX:\r\nY: \t b \t\r\nZ: \xc3\xa4\r\n\r\n"), "/");
}

TEST(HttpParser, KeepsHeadersInOrderAndFindsThemInAnyCase) {
  http::HeadParser parser({});
  std::string_view input = "GET / HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nx-one:  2 \r\n\r\nrest";
  ASSERT_EQ(parser.Feed(&input), http::HeadParser::kDone);
  EXPECT_EQ(input, "rest");
  ASSERT_EQ(parser.request().headers.size(), 3u);
  EXPECT_EQ(parser.request().Find("X-ONE"), "1");
  EXPECT_EQ(parser.request().headers[2].value, "2");
  EXPECT_EQ(parser.request().Find("x-two"), std::nullopt);
}

}  // namespace
}  // namespace rookery::testing
