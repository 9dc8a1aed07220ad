// Requests through the gateway without a socket: unary calls, context, errors, CORS, gzip,
// versions, middleware.
#include "gateway/src/edge.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gateway/fake_exchange.h"
#include "gateway/shelves.h"
#include "gateway/src/gzip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace rookery::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kContext[] = "/v1/shelves/1/books/context";

std::string Get(const HttpGateway& options, const FakeRequest& request) {
  FakeNode<ShelvesModule> node(options);
  return node.Ask(request).body;
}

// ---- requests and answers
// ------------------------------------------------------------------------

TEST(GatewayUnary, AnswersAGetWithJson) {
  FakeNode<ShelvesModule> node;
  const FakeAnswer answer = node.Ask(FakeRequest("GET", "/v1/shelves/1/books/2"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, R"({"id":"shelves/1/books/2"})");
  EXPECT_EQ(answer.Header("Content-Type"), "application/json");
  EXPECT_EQ(answer.Header("X-Request-Id").size(), 32U);
}

TEST(GatewayUnary, ReadsBodiesInPieces) {
  FakeNode<ShelvesModule> node;
  FakeRequest request("POST", "/v1/shelves/1/books");
  request.Body(R"({"id":)").body.push_back(R"("7"})");
  EXPECT_EQ(node.Ask(request).body, R"({"id":"shelves/1/books/7"})");
}

TEST(GatewayUnary, EachMethodHasADefaultBinding) {
  FakeNode<ShelvesModule> node;
  FakeRequest request("POST", "/rookery.testing.Shelves/Unannotated");
  EXPECT_EQ(node.Ask(request.Body(R"({"book":{"id":"a"}})")).body, R"({"id":"a"})");
  EXPECT_EQ(node.Ask(FakeRequest("POST", "/rookery.testing.Shelves/GetBook")).status, 404);
  HttpGateway all;
  all.default_binding = HttpGateway::DefaultBinding::kAll;
  EXPECT_EQ(Get(all, FakeRequest("POST", "/rookery.testing.Shelves/GetBook").Body("{}")), "{}");
  HttpGateway none;
  none.serve = HttpGateway::Serve::kAnnotated;
  EXPECT_THAT(Get(none, request), HasSubstr("no resource"));
}

TEST(GatewayUnary, SendsRawBodiesAsTheyAre) {
  FakeNode<ShelvesModule> node;
  const FakeAnswer answer =
      node.Ask(FakeRequest("PUT", "/v1/covers/a").Body("\x89PNG", "image/png"));
  EXPECT_EQ(answer.body, "<\x89PNG>");
  EXPECT_EQ(answer.Header("Content-Type"), "image/png");
}

TEST(GatewayUnary, TheHandlerMaySayTheCodeAndHeaders) {
  FakeNode<ShelvesModule> node;
  const FakeAnswer answer =
      node.Ask(FakeRequest("GET", "/v1/shelves/1/books/created").With("TE", "trailers"));
  EXPECT_EQ(answer.status, 201);
  EXPECT_EQ(answer.Header("Location"), "/v1/created");
  EXPECT_EQ(answer.Header("Connection"), "") << "it is the server's";
  EXPECT_EQ(answer.Header("X-Http-Code"), "");
  EXPECT_EQ(answer.Header("Grpc-Trailer-X-Cost"), "3");
}

TEST(GatewayUnary, HeadIsGetWithoutABody) {
  FakeNode<ShelvesModule> node;
  const FakeAnswer answer = node.Ask(FakeRequest("HEAD", "/v1/shelves/1/books/2"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "");
}

// ---- what is wrong with a request
// ----------------------------------------------------------------

TEST(GatewayErrors, A400SaysWhichFieldAndWhy) {
  FakeNode<ShelvesModule> node;
  const FakeAnswer answer =
      node.Ask(FakeRequest("POST", "/v1/shelves/1/books").Body(R"({"pages":"many"})"));
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.body,
              AllOf(StartsWith(R"({"code":3,"message":"book.pages: )"),
                    HasSubstr(R"("@type":"type.googleapis.com/google.rpc.BadRequest")"),
                    HasSubstr(R"("field":"book.pages")")));
  EXPECT_EQ(node.Ask(FakeRequest("GET", "/v1/authors?nothing=1")).status, 400);
  EXPECT_EQ(node.Ask(FakeRequest("GET", "/v1/%zz")).status, 400);
  EXPECT_EQ(node.Ask(FakeRequest("GET", "/v1/../etc")).status, 400);
}

TEST(GatewayErrors, NotFoundAndNotAllowed) {
  FakeNode<ShelvesModule> node;
  EXPECT_EQ(node.Ask(FakeRequest("GET", "/nowhere")).status, 404);
  EXPECT_EQ(node.Ask(FakeRequest("GET", "/v1/authors/")).status, 404) << "a trailing slash differs";
  const FakeAnswer wrong = node.Ask(FakeRequest("DELETE", "/v1/authors"));
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.Header("Allow"), "GET, HEAD, OPTIONS");
}

TEST(GatewayErrors, OptionsTellsWhatThereIs) {
  FakeNode<ShelvesModule> node;
  const FakeAnswer answer = node.Ask(FakeRequest("OPTIONS", "/v1/shelves/1/books"));
  EXPECT_EQ(answer.status, 204);
  EXPECT_EQ(answer.Header("Allow"), "OPTIONS, POST");
  EXPECT_EQ(node.Ask(FakeRequest("OPTIONS", "*")).status, 204);
  EXPECT_EQ(node.Ask(FakeRequest("OPTIONS", "/nowhere")).status, 404);
}

TEST(GatewayErrors, WhatCannotBeReadOrWritten) {
  FakeNode<ShelvesModule> node;
  const FakeAnswer type =
      node.Ask(FakeRequest("POST", "/v1/shelves/1/books").Body("id=1", "text/plain"));
  EXPECT_EQ(type.status, 415);
  EXPECT_EQ(type.Header("Accept"), "application/json");
  const FakeAnswer coding = node.Ask(
      FakeRequest("POST", "/v1/shelves/1/books").Body("{}").With("Content-Encoding", "br"));
  EXPECT_EQ(coding.status, 415);
  EXPECT_EQ(coding.Header("Accept-Encoding"), "gzip");
  EXPECT_EQ(node.Ask(FakeRequest("POST", "/v1/shelves/1/books")
                         .Body("{}", "application/json; charset=latin1"))
                .status,
            415);
  EXPECT_EQ(node.Ask(FakeRequest("GET", "/v1/authors").With("Accept", "text/html")).status, 406);
  EXPECT_EQ(
      node.Ask(FakeRequest("GET", "/v1/authors").With("Accept", "text/html, */*;q=0.1")).status,
      200);
  EXPECT_EQ(
      node.Ask(FakeRequest("GET", "/v1/authors").With("Accept", "application/json;q=0, text/*"))
          .status,
      406);
}

TEST(GatewayErrors, PagesMustSayWhatTheySend) {
  FakeNode<ShelvesModule> node;
  FakeRequest request("POST", "/v1/shelves/1/books");
  request.Body(R"({"id":"7"})", "");
  EXPECT_EQ(node.Ask(request).status, 200);
  EXPECT_EQ(node.Ask(request.With("Origin", "https://evil.example")).status, 415);
}

TEST(GatewayErrors, FailuresOfTheBodyHaveCodesOfTheirOwn) {
  FakeNode<ShelvesModule> node;
  const auto with = [&](absl::Status failure) {
    FakeRequest request("POST", "/v1/shelves/1/books");
    request.Body("{").body_failure = std::move(failure);
    return node.Ask(request).status;
  };
  EXPECT_EQ(with(absl::ResourceExhaustedError("too long")), 413);
  EXPECT_EQ(with(absl::DeadlineExceededError("too slow")), 408);
  EXPECT_EQ(with(absl::InvalidArgumentError("no chunk")), 400);
}

TEST(GatewayErrors, CanonicalCodesBecomeHttps) {
  FakeNode<ShelvesModule> node;
  const auto of = [&](const std::string& id) {
    return node.Ask(FakeRequest("GET", "/v1/shelves/1/books/" + id));
  };
  EXPECT_EQ(of("missing").status, 404);
  EXPECT_EQ(of("missing").body, R"({"code":5,"message":"no such book"})");
  EXPECT_EQ(of("forbidden").status, 403);
  const FakeAnswer who = of("who");
  EXPECT_EQ(who.status, 401);
  EXPECT_EQ(who.Header("WWW-Authenticate"), "Basic");
  const FakeAnswer busy = of("busy");
  EXPECT_EQ(busy.status, 503);
  EXPECT_EQ(busy.Header("Retry-After"), "7") << "RetryInfo, rounded up";
  const FakeAnswer full = of("full");
  EXPECT_EQ(full.status, 429);
  EXPECT_EQ(full.Header("Retry-After"), "1");
  EXPECT_EQ(full.Header("Cache-Control"), "no-store");
}

// S-09
TEST(GatewayErrors, NothingOfAnExceptionLeaks) {
  FakeNode<ShelvesModule> node;
  const FakeAnswer answer = node.Ask(FakeRequest("GET", "/v1/shelves/1/books/crash"));
  EXPECT_EQ(answer.status, 500);
  EXPECT_THAT(answer.body, AllOf(HasSubstr("Internal error (incident "), Not(HasSubstr("hunter2")),
                                 Not(HasSubstr("secret"))));
  for (const auto& [name, value] : answer.headers) {
    EXPECT_THAT(value, Not(HasSubstr("hunter2"))) << name;
  }
}

// ---- context
// --------------------------------------------------------------------------------------

TEST(GatewayContext, ChosenHeadersBecomeMetadata) {
  HttpGateway options;
  options.context.headers = {"authorization", "x-app-*", "x-token-bin"};
  FakeRequest request("GET", kContext);
  request.With("Authorization", "Bearer t").With("X-App-Tenant", "acme").With("Cookie", "c=1");
  request.With("X-Token-Bin", "AAE=").With("traceparent", "00-1-2-01");
  const std::string body = Get(options, request);
  EXPECT_THAT(body, AllOf(HasSubstr("authorization=Bearer t"), HasSubstr("x-app-tenant=acme"),
                          HasSubstr("traceparent=00-1-2-01"), Not(HasSubstr("cookie")),
                          HasSubstr("x-token-bin=")));
  EXPECT_THAT(body, AllOf(HasSubstr("transport:http"), HasSubstr("http:GET")));
}

TEST(GatewayContext, TheRequestIdIsTakenOverAndEchoed) {
  FakeNode<ShelvesModule> node;
  const FakeAnswer kept = node.Ask(FakeRequest("GET", kContext).With("X-Request-Id", "abc-1"));
  EXPECT_EQ(kept.Header("x-request-id"), "abc-1");
  EXPECT_THAT(kept.body, HasSubstr("id:abc-1"));
  const FakeAnswer made = node.Ask(FakeRequest("GET", kContext).With("X-Request-Id", "a b\"c"));
  EXPECT_EQ(made.Header("x-request-id").size(), 32U);
  EXPECT_THAT(made.body, HasSubstr("id:" + made.Header("x-request-id")));
}

TEST(GatewayContext, TheDeadlineComesFromAHeader) {
  HttpGateway options;
  options.context.timeout_header = "X-Timeout";
  options.context.default_timeout = std::chrono::milliseconds(0);
  EXPECT_THAT(Get(options, FakeRequest("GET", kContext)), HasSubstr("deadline:0"));
  EXPECT_THAT(Get(options, FakeRequest("GET", kContext).With("X-Timeout", "5S")),
              HasSubstr("deadline:1"));
  FakeNode<ShelvesModule> node(options);
  const FakeAnswer late =
      node.Ask(FakeRequest("GET", "/v1/shelves/1/books/slow").With("x-timeout", "30"));
  EXPECT_EQ(late.status, 504);
  const FakeAnswer bad = node.Ask(FakeRequest("GET", kContext).With("x-timeout", "soon"));
  EXPECT_EQ(bad.status, 400);
  EXPECT_THAT(bad.body, HasSubstr("header x-timeout"));
}

// S-10
TEST(GatewayContext, CannotBeForgedByStrangers) {
  HttpGateway options;
  options.trust.headers = {"x-user-id"};
  options.trust.proxies = {"10.0.0.0/8"};
  FakeRequest request("GET", kContext);
  request.With("X-User-Id", "root").With("Baggage", "tenant=evil");
  request.With("Grpc-Metadata-X-Role", "admin").With("Grpc-Status", "0");
  request.With("X-Forwarded-For", "203.0.113.7").With("Forwarded", "for=203.0.113.8");
  EXPECT_THAT(Get(options, request),
              AllOf(Not(HasSubstr("root")), Not(HasSubstr("evil")), Not(HasSubstr("admin")),
                    Not(HasSubstr("grpc-status")), HasSubstr("peer:ipv4:192.0.2.9:4711"),
                    HasSubstr("x-forwarded-for=192.0.2.9")));
}

TEST(GatewayContext, TrustedPeersAreBelieved) {
  HttpGateway options;
  options.trust.headers = {"x-user-id"};
  options.trust.proxies = {"10.0.0.0/8"};
  FakeRequest request("GET", kContext);
  request.With("X-User-Id", "u-1").With("Baggage", "tenant=acme").From("ipv4:10.1.2.3:80");
  request.With("Grpc-Metadata-X-Role", "admin").With("X-Forwarded-For", "1.1.1.1, 203.0.113.7");
  request.With("X-Forwarded-For", "10.9.9.9");
  EXPECT_THAT(
      Get(options, request),
      AllOf(HasSubstr("x-user-id=u-1"), HasSubstr("baggage=tenant=acme"), HasSubstr("x-role=admin"),
            HasSubstr("peer:ipv4:203.0.113.7"), Not(HasSubstr("1.1.1.1"))));
  FakeRequest by_name("GET", kContext);
  by_name.With("X-User-Id", "u-2").peer.authenticated = true;
  by_name.peer.identity = "spiffe://shop/edge";
  options.trust.identities = {"spiffe://shop/edge"};
  EXPECT_THAT(Get(options, by_name), HasSubstr("x-user-id=u-2"));
  by_name.peer.authenticated = false;
  EXPECT_THAT(Get(options, by_name), Not(HasSubstr("x-user-id")));
}

TEST(GatewayContext, WhatIsAmbiguousIsRefused) {
  FakeNode<ShelvesModule> node;
  EXPECT_EQ(node.Ask(FakeRequest("GET", kContext)
                         .With("Authorization", "Bearer a")
                         .With("authorization", "Bearer b"))
                .status,
            400);
  EXPECT_EQ(node.Ask(FakeRequest("GET", kContext).With("Authorization", "B\xc3\xa4r")).status, 400);
}

TEST(GatewayContext, AClosedPeerCancelsTheCall) {
  FakeNode<ShelvesModule> node;
  FakeExchange exchange(FakeRequest("GET", "/v1/shelves/1/books/slow"));
  Task<void> serve = node.Serve(&exchange);
  std::thread closer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    exchange.GoAway();
  });
  SyncWait(std::move(serve));
  closer.join();
  EXPECT_EQ(exchange.answer.status, 499);
}

// ---- gzip, CORS, headers
// --------------------------------------------------------------------------

TEST(GatewayGzip, PacksWhatIsLongForThoseWhoTakeIt) {
  FakeNode<ShelvesModule> node;
  const FakeAnswer packed = node.Ask(
      FakeRequest("GET", "/v1/shelves/1/books/big").With("Accept-Encoding", "br, gzip;q=0.5"));
  EXPECT_EQ(packed.Header("Content-Encoding"), "gzip");
  EXPECT_THAT(packed.Header("Vary"), HasSubstr("Accept-Encoding"));
  gw::GzipReader reader(0);
  std::string plain;
  ASSERT_TRUE(reader.Add(packed.body, &plain).ok());
  EXPECT_TRUE(reader.End().ok());
  EXPECT_THAT(plain, StartsWith(R"({"id":"shelves/1/books/big")"));
  for (const char* accepted : {"gzip;q=0", "identity", "gzip;q=0, *"}) {
    const FakeAnswer answer =
        node.Ask(FakeRequest("GET", "/v1/shelves/1/books/big").With("Accept-Encoding", accepted));
    EXPECT_EQ(answer.Header("Content-Encoding"), "") << accepted;
    EXPECT_THAT(answer.Header("Vary"), HasSubstr("Accept-Encoding"));
  }
  const FakeAnswer small =
      node.Ask(FakeRequest("GET", "/v1/shelves/1/books/2").With("Accept-Encoding", "gzip"));
  EXPECT_EQ(small.Header("Content-Encoding"), "");
}

TEST(GatewayGzip, UnpacksRequests) {
  FakeNode<ShelvesModule> node;
  const std::string packed = *gw::GzipWhole(R"({"id":"7"})");
  FakeRequest request("POST", "/v1/shelves/1/books");
  request.Body(packed.substr(0, 5)).With("Content-Encoding", "gzip");
  request.body.push_back(packed.substr(5));
  EXPECT_EQ(node.Ask(request).body, R"({"id":"shelves/1/books/7"})");
  request.body.pop_back();
  EXPECT_EQ(node.Ask(request).status, 400) << "it ends too early";
  request.body = {"{}"};
  EXPECT_EQ(node.Ask(request).status, 400) << "it is no gzip";
}

// S-07
TEST(GatewayGzip, RefusesBombsBeforeTheyGoOff) {
  HttpGateway options;
  options.limits.decompressed_body = 64 << 10;
  FakeNode<ShelvesModule> node(options);
  const std::string bomb = *gw::GzipWhole(std::string(64 << 20, ' '));
  ASSERT_LT(bomb.size(), 1U << 20) << "as it comes it is within the limits";
  FakeRequest request("POST", "/v1/shelves/1/books");
  request.Body(bomb).With("Content-Encoding", "gzip");
  const FakeAnswer answer = node.Ask(request);
  EXPECT_EQ(answer.status, 413);
  EXPECT_THAT(answer.body, HasSubstr("65536 bytes"));
}

TEST(GatewayCors, NobodyIsToldAnythingWithoutIt) {
  FakeNode<ShelvesModule> node;
  FakeRequest preflight("OPTIONS", "/v1/authors");
  preflight.With("Origin", "https://evil.example").With("Access-Control-Request-Method", "GET");
  const FakeAnswer answer = node.Ask(preflight);
  EXPECT_EQ(answer.status, 204);
  for (const auto& [name, value] : answer.headers) {
    EXPECT_FALSE(absl::StartsWith(name, "Access-Control")) << name << ": " << value;
  }
}

// S-13
TEST(GatewayCors, OriginsPreflightsAndCredentials) {
  HttpGateway options;
  options.cors = HttpCors{.origins = {"https://shop.example"}};
  options.cors->credentials = true;
  options.cors->exposed_headers = {"X-Cost"};
  FakeNode<ShelvesModule> node(options);
  FakeRequest preflight("OPTIONS", "/v1/authors");
  preflight.With("Origin", "https://shop.example").With("Access-Control-Request-Method", "PUT");
  preflight.With("Access-Control-Request-Headers", "x-a, x-b");
  const FakeAnswer leave = node.Ask(preflight);
  EXPECT_EQ(leave.status, 204);
  EXPECT_EQ(leave.Header("Access-Control-Allow-Origin"), "https://shop.example");
  EXPECT_EQ(leave.Header("Access-Control-Allow-Credentials"), "true");
  EXPECT_EQ(leave.Header("Access-Control-Allow-Headers"), "x-a, x-b");
  EXPECT_EQ(leave.Header("Access-Control-Max-Age"), "600");
  EXPECT_THAT(leave.Header("Access-Control-Allow-Methods"), HasSubstr("PUT"));
  const FakeAnswer answer =
      node.Ask(FakeRequest("GET", "/v1/authors").With("Origin", "https://shop.example"));
  EXPECT_EQ(answer.Header("Access-Control-Allow-Origin"), "https://shop.example");
  EXPECT_EQ(answer.Header("Access-Control-Expose-Headers"), "X-Cost");
  EXPECT_EQ(answer.Header("Vary"), "Origin");
  for (const char* origin : {"https://evil.example", "https://shop.example.evil.example", "null",
                             "http://shop.example", "https://shop.example:444"}) {
    const FakeAnswer other = node.Ask(FakeRequest("GET", "/v1/authors").With("Origin", origin));
    EXPECT_EQ(other.Header("Access-Control-Allow-Origin"), "") << origin;
    EXPECT_EQ(other.Header("Vary"), "Origin") << "caches must not mix them up";
  }
}

TEST(GatewayCors, AnyOriginIsToldSoWithoutItsName) {
  HttpGateway options;
  options.cors = HttpCors{.origins = {"*"}};
  FakeNode<ShelvesModule> node(options);
  const FakeAnswer answer =
      node.Ask(FakeRequest("GET", "/nowhere").With("Origin", "https://a.example"));
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.Header("Access-Control-Allow-Origin"), "*") << "errors, too, can be read";
  EXPECT_EQ(answer.Header("Vary"), "");
}

TEST(GatewaySecurity, AnswersCarryHeadersForBrowsers) {
  FakeNode<ShelvesModule> node;
  FakeRequest request("GET", "/v1/authors");
  const FakeAnswer plain = node.Ask(request);
  EXPECT_EQ(plain.Header("X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(plain.Header("X-Frame-Options"), "DENY");
  EXPECT_EQ(plain.Header("Strict-Transport-Security"), "");
  EXPECT_EQ(plain.Header("Server"), "");
  request.secure = true;
  EXPECT_THAT(node.Ask(request).Header("Strict-Transport-Security"),
              StartsWith("max-age=15552000"));
  HttpGateway off;
  off.security_headers.enabled = false;
  FakeNode<ShelvesModule> bare(off);
  EXPECT_EQ(bare.Ask(request).Header("X-Frame-Options"), "");
}

// ---- prefix and versions
// ---------------------------------------------------------------------------

TEST(GatewayPrefix, IsInFrontOfAllButTheExcluded) {
  HttpGateway options;
  options.prefix = "/api";
  options.prefix_exclude = {"GET /v1/authors"};
  FakeNode<ShelvesModule> node(options);
  EXPECT_EQ(node.Ask(FakeRequest("GET", "/api/v1/shelves/1/books/2")).body,
            R"({"id":"shelves/1/books/2"})");
  EXPECT_EQ(node.Ask(FakeRequest("GET", "/v1/shelves/1/books/2")).status, 404);
  EXPECT_EQ(node.Ask(FakeRequest("GET", "/v1/authors")).status, 200);
  EXPECT_EQ(node.Ask(FakeRequest("GET", "/api/v1/authors")).status, 404);
  EXPECT_EQ(node.Ask(FakeRequest("POST", "/api/rookery.testing.Shelves/Unannotated")).status, 200);
}

class SecondShelves final : public ShelvesService {
 public:
  static void Configure(ControllerBuilder& controller) {
    controller.Set(kHttpVersions, std::vector<std::string>{"2", "3"});
    controller.Method(kListAuthors)
        .Set(kHttpVersions, std::vector<std::string>{kHttpVersionNeutral});
  }
  Task<Book> GetBook(CallContext&, const BookRequest&) override {
    Book book;
    book.set_id("second");
    co_return book;
  }
  Task<Book> CreateBook(CallContext&, const BookRequest&) override { co_return Book(); }
  Task<Book> PublishBook(CallContext&, const BookRequest&) override { co_return Book(); }
  Task<Book> ListAuthors(CallContext&, const BookRequest&) override { co_return Book(); }
  Task<Book> Purge(CallContext&, const BookRequest&) override { co_return Book(); }
  Task<google::api::HttpBody> Upload(CallContext&, const UploadRequest&) override {
    co_return google::api::HttpBody();
  }
  Task<Book> Unannotated(CallContext&, const BookRequest&) override { co_return Book(); }
};
struct SecondModule {
  static void Define(ModuleBuilder& module) { module.Controller<SecondShelves>(); }
};
constexpr char kBook[] = "/v1/shelves/1/books/2";

TEST(GatewayVersions, InThePath) {
  HttpGateway options;
  options.versioning.type = HttpVersioning::Type::kPath;
  options.prefix = "/api";
  FakeNode<SecondModule> node(options);
  EXPECT_EQ(node.Ask(FakeRequest("GET", "/api/v2/v1/shelves/1/books/2")).body,
            R"({"id":"second"})");
  EXPECT_EQ(node.Ask(FakeRequest("GET", "/api/v3/v1/shelves/1/books/2")).status, 200);
  EXPECT_EQ(node.Ask(FakeRequest("GET", "/api/v4/v1/shelves/1/books/2")).status, 404);
  EXPECT_EQ(node.Ask(FakeRequest("GET", "/api/v1/shelves/1/books/2")).status, 404);
  EXPECT_EQ(node.Ask(FakeRequest("GET", "/api/v1/authors")).status, 200) << "neutral";
}

TEST(GatewayVersions, InAHeader) {
  HttpGateway options;
  options.versioning.type = HttpVersioning::Type::kHeader;
  FakeNode<SecondModule> node(options);
  EXPECT_EQ(node.Ask(FakeRequest("GET", kBook).With("X-Api-Version", "2")).status, 200);
  EXPECT_EQ(node.Ask(FakeRequest("GET", kBook).With("X-Api-Version", "1")).status, 404);
  EXPECT_EQ(node.Ask(FakeRequest("GET", kBook)).status, 404);
  EXPECT_EQ(node.Ask(FakeRequest("GET", "/v1/authors")).status, 200);
}

TEST(GatewayVersions, InTheMediaType) {
  HttpGateway options;
  options.versioning.type = HttpVersioning::Type::kMediaType;
  FakeNode<SecondModule> node(options);
  EXPECT_EQ(node.Ask(FakeRequest("GET", kBook).With("Accept", "application/json;v=2")).status, 200);
  EXPECT_EQ(node.Ask(FakeRequest("GET", kBook).With("Accept", "application/json;v=9")).status, 404);
}

TEST(GatewayVersions, AsAFunctionSays) {
  HttpGateway options;
  options.versioning.type = HttpVersioning::Type::kCustom;
  options.versioning.extract = [](const HttpVersioning::Header& header) {
    return std::vector<std::string>{"9", header("x-tier") == "new" ? "3" : "1"};
  };
  FakeNode<SecondModule> node(options);
  EXPECT_EQ(node.Ask(FakeRequest("GET", kBook).With("X-Tier", "new")).status, 200);
  EXPECT_EQ(node.Ask(FakeRequest("GET", kBook)).status, 404);
}

// ---- middleware
// -----------------------------------------------------------------------------------

template <int kNumber>
struct Mark {
  Task<void> Use(HttpCall& http, HttpNext next) {
    http.SetHeader("x-trail", absl::StrCat(std::string(http.Header("x-trail").value_or("")),
                                           std::to_string(kNumber)));
    http.AddResponseHeader("X-Way-In", std::to_string(kNumber));
    Task<void> rest = next();
    co_await std::move(rest);
    last_status = http.status();
  }
  static inline std::atomic<int> last_status{0};
};
struct Session {
  Task<void> Use(HttpCall& http, HttpNext next) {
    if (http.Header("cookie") == "stale") {
      Task<void> answer = http.Answer(302, "", "");
      http.AddResponseHeader("Location", "/login");
      co_await std::move(answer);
      co_return;
    }
    if (http.Header("cookie") == "broken") throw std::runtime_error("password=hunter2");
    if (http.Header("cookie") == "refused") co_await Fail(absl::PermissionDeniedError("no"));
    if (http.Header("cookie") == "lost") co_return;
    Cls::Set(kNote, std::string("session of ") + std::string(http.client_address()));
    http.SetHeader("x-user-id", "from-session");
    http.RemoveHeader("authorization");
    Task<void> rest = next();
    co_await std::move(rest);
  }
};
struct Twice {
  Task<void> Use(HttpCall&, HttpNext next) {
    for (int i = 0; i < 2; ++i) {
      Task<void> rest = next();
      co_await std::move(rest);
    }
  }
};
struct TwiceModule {
  static void Define(ModuleBuilder& module) {
    module.Import<ShelvesModule>().Provide<Twice>();
    HttpMiddleware(module).Apply<Twice>().ForRoutes("/**");
  }
};
struct GlobalModule {
  static void Define(ModuleBuilder& module) {
    module.Global().Provide<Mark<1>>();
    HttpMiddleware(module).Apply<Mark<1>>().ForRoutes("/**");
  }
};
struct DeepModule {
  static void Define(ModuleBuilder& module) {
    module.Provide<Mark<3>>();
    HttpMiddleware(module).Apply<Mark<3>>().Exclude("GET /v1/authors").ForRoutes("/**");
  }
};
struct MiddlewareModule {
  static void Define(ModuleBuilder& module) {
    module.Import<DeepModule>().Import<GlobalModule>().Import<ShelvesModule>();
    module.Provide<Session>().Provide<Mark<2>>();
    HttpMiddleware(module).Apply<Mark<2>, Session>().ForRoutes("GET /v1/**");
  }
};

TEST(GatewayMiddleware, GlobalModulesFirstThenFromTheRootDown) {
  HttpGateway options;
  options.context.headers = {"authorization"};
  options.prefix = "/api";
  FakeNode<MiddlewareModule> node(options);
  const FakeAnswer answer =
      node.Ask(FakeRequest("GET", std::string("/api") + kContext).With("Authorization", "x"));
  EXPECT_THAT(answer.body, HasSubstr("x-trail=123"));
  EXPECT_EQ(answer.Header("X-Way-In"), "1, 2, 3");
  EXPECT_THAT(answer.body,
              AllOf(HasSubstr("x-user-id=from-session"), HasSubstr("note:session of 192.0.2.9"),
                    Not(HasSubstr("authorization="))));
  EXPECT_EQ(Mark<1>::last_status.load(), 200);
}

TEST(GatewayMiddleware, ExcludesAndRoutes) {
  FakeNode<MiddlewareModule> node;
  EXPECT_EQ(node.Ask(FakeRequest("GET", "/v1/authors")).Header("X-Way-In"), "1, 2");
  EXPECT_EQ(node.Ask(FakeRequest("POST", "/v1/shelves/1/books")).Header("X-Way-In"), "1, 3");
  const FakeAnswer nowhere = node.Ask(FakeRequest("GET", "/nowhere"));
  EXPECT_EQ(nowhere.status, 404);
  EXPECT_EQ(nowhere.Header("X-Way-In"), "1, 3") << "middleware sees what no route matches";
}

TEST(GatewayMiddleware, ThatGoesOnTwiceIsAnsweredOnce) {
  FakeNode<TwiceModule> node;
  EXPECT_EQ(node.Ask(FakeRequest("GET", kBook)).body, R"({"id":"shelves/1/books/2"})");
  EXPECT_EQ(node.app().Stats().calls(), 1U);
}

TEST(GatewayMiddleware, MayAnswerOrFail) {
  FakeNode<MiddlewareModule> node;
  const auto with = [&](const char* cookie) {
    return node.Ask(FakeRequest("GET", kBook).With("Cookie", cookie));
  };
  EXPECT_EQ(with("stale").status, 302);
  EXPECT_EQ(with("stale").Header("Location"), "/login");
  EXPECT_EQ(with("refused").status, 403);
  EXPECT_EQ(with("lost").status, 500);
  EXPECT_EQ(with("broken").status, 500);
  EXPECT_THAT(with("broken").body, Not(HasSubstr("hunter2")));
}

// ---- forwarding
// -----------------------------------------------------------------------------------

struct NoModule {
  static void Define(ModuleBuilder&) {}
};

TEST(GatewayForward, CallsServicesOfOtherNodes) {
  auto backend = Application::Create<ShelvesModule>();
  backend.Init();
  HttpGateway options;
  options.forward.push_back(HttpForward::To<ShelvesClient>(MakeLocalChannel(backend.host())));
  options.forward.push_back(HttpForward::To<ReadingClient>(MakeLocalChannel(backend.host())));
  FakeNode<NoModule> node(options);
  ASSERT_TRUE(node.status().ok()) << node.status();
  EXPECT_EQ(node.Ask(FakeRequest("GET", kBook)).body, R"({"id":"shelves/1/books/2"})");
  EXPECT_EQ(node.Ask(FakeRequest("GET", "/v1/shelves/1/books/missing")).status, 404);
  EXPECT_EQ(node.Ask(FakeRequest("GET", "/v1/watch/2")).body, "{\"id\":\"0\"}\n{\"id\":\"1\"}\n");
}

TEST(GatewayForward, TheSameRouteTwiceIsRefusedAtTheStart) {
  HttpGateway options;
  options.forward.push_back(HttpForward::To<ShelvesClient>(std::shared_ptr<Channel>()));
  FakeNode<ShelvesModule> node(options);
  EXPECT_EQ(node.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(node.status().message()),
              AllOf(HasSubstr("two methods have the same HTTP route"),
                    HasSubstr("/rookery.testing.Shelves/ListAuthors (GET /v1/authors)"),
                    HasSubstr("change one of the paths")))
      << node.status();
}

// ---- options
// --------------------------------------------------------------------------------------

TEST(GatewayOptions, EachFaultIsTold) {
  HttpGateway options;
  options.limits.body = 0;
  options.limits.idle = std::chrono::milliseconds(0);
  options.cors = HttpCors{.origins = {"*", "shop.example"}};
  options.cors->credentials = true;
  options.trust.proxies = {"10.0.0.0/40", "proxy.local"};
  options.context.headers = {"x y"};
  options.versioning.type = HttpVersioning::Type::kCustom;
  options.www_authenticate = "Bearer\r\nX: y";
  const std::string faults(CheckHttpGateway(options).message());
  for (const char* fault :
       {"say where to listen", "limits.body must be at least 1", "limits.idle",
        "act as its visitor", "\"shop.example\" is no origin", "10.0.0.0/40", "proxy.local",
        "\"x y\" is no name", "versioning.extract", "www_authenticate"}) {
    EXPECT_THAT(faults, HasSubstr(fault));
  }
  HttpGateway good;
  good.address = "127.0.0.1:0";
  EXPECT_TRUE(CheckHttpGateway(good).ok());
}

}  // namespace
}  // namespace rookery::testing
