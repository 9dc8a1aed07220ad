#include "gateway/src/transcode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/src/router.h"
#include "google/api/httpbody.pb.h"
#include "google/rpc/error_details.pb.h"
#include "http_rules.pb.h"
#include "rookery/rpc/status.h"

namespace rookery::internal::gateway {
namespace {

using ::rookery::testing::Book;
using ::rookery::testing::BookRequest;
using ::rookery::testing::UploadRequest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const google::protobuf::MethodDescriptor& MethodOf(const std::string& service,
                                                   const std::string& method) {
  const auto* const file = BookRequest::descriptor()->file();
  return *file->FindServiceByName(service)->FindMethodByName(method);
}

// Routes among all of Shelves' bindings, and fills the request.
class Transcoding : public ::testing::Test {
 protected:
  Transcoding() {
    for (const char* name : {"GetBook", "CreateBook", "PublishBook", "ListAuthors", "Purge",
                             "Upload", "Unannotated"}) {
      auto bindings = BindingsOf(MethodOf("Shelves", name), DefaultBinding::kUnannotated);
      EXPECT_TRUE(bindings.ok()) << bindings.status();
      for (Binding& binding : *bindings) {
        const absl::Status added =
            router_.Add(binding.http_method, binding.path_template, bindings_.size(), name);
        EXPECT_TRUE(added.ok()) << added;
        bindings_.push_back(std::move(binding));
      }
    }
  }

  absl::Status Fill(std::string_view method, std::string_view target, std::string_view body,
                    google::protobuf::Message* into) {
    const std::size_t question = target.find('?');
    const Router::Match match = router_.Find(method, target.substr(0, question));
    if (match.route == Router::kNone) return absl::NotFoundError("no route");
    RequestParts parts;
    parts.segments = match.segments;
    if (question != std::string_view::npos) parts.query = target.substr(question + 1);
    parts.body = body;
    parts.content_type = "text/plain";
    return FillRequest(bindings_[match.route], parts, options_, into);
  }
  const Binding& Route(std::string_view method, std::string_view path) {
    return bindings_.at(router_.Find(method, path).route);
  }
  // The request that a GET of /v1/shelves/1/books/2 with that query makes.
  absl::Status Query(const std::string& query, BookRequest* request) {
    return Fill("GET", "/v1/shelves/1/books/2?" + query, "", request);
  }

  Router router_;
  std::vector<Binding> bindings_;
  TranscodeOptions options_;
};

TEST_F(Transcoding, PathVariablesOfOneSegmentAndOfSeveral) {
  BookRequest request;
  ASSERT_TRUE(Fill("GET", "/v1/shelves/a%2Fb/books/c%20d", "", &request).ok());
  EXPECT_EQ(request.name(), "shelves/a%2Fb/books/c d");
  request.Clear();
  ASSERT_TRUE(Fill("GET", "/v1/books/a%2Fb", "", &request).ok());
  EXPECT_EQ(request.book().id(), "a/b");
  request.Clear();
  ASSERT_TRUE(Fill("GET", "/v1/files/a/b/c.txt", "", &request).ok());
  EXPECT_EQ(request.name(), "a/b/c.txt");
  request.Clear();
  ASSERT_TRUE(Fill("GET", "/v1/files", "", &request).ok());
  EXPECT_EQ(request.name(), "");
  options_.fully_decode_reserved_expansion = true;
  ASSERT_TRUE(Fill("GET", "/v1/files/a%2Fb", "", &request).ok());
  EXPECT_EQ(request.name(), "a/b");
}

TEST_F(Transcoding, QueryParametersOfEveryKind) {
  BookRequest request;
  const absl::Status status = Query(
      "tags=a&tags=b%26c&genres=NOVEL&genres=2&book.pages=9007199254740993&book.sequel.id=x+y&"
      "updateMask=book.id,readTime&read_time=2026-01-02T03:04:05.5Z&maxAge=1.5s&pageSize=7&"
      "page_token=aGk&strict=true&rating=4.5&book.authors=me&by_rank=3&&",
      &request);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(request.tags(), ElementsAre("a", "b&c"));
  EXPECT_THAT(request.genres(), ElementsAre(rookery::testing::NOVEL, rookery::testing::POETRY));
  EXPECT_EQ(request.book().pages(), 9007199254740993);
  EXPECT_EQ(request.book().sequel().id(), "x y");
  EXPECT_THAT(request.update_mask().paths(), ElementsAre("book.id", "read_time"));
  EXPECT_EQ(request.read_time().nanos(), 500'000'000);
  EXPECT_EQ(request.max_age().seconds(), 1);
  EXPECT_EQ(request.page_size().value(), 7);
  EXPECT_EQ(request.page_token(), "hi");
  EXPECT_TRUE(request.strict());
  EXPECT_EQ(request.rating(), 4.5);
  EXPECT_THAT(request.book().authors(), ElementsAre("me"));
  EXPECT_EQ(request.by_rank(), 3);
}

TEST_F(Transcoding, BadQueryParametersSayWhichAndWhy) {
  const struct {
    const char* query;
    const char* field;
    const char* reason;
  } kCases[] = {
      {"nowhere=1", "nowhere", "no such field"},
      {"book.nowhere=1", "book.nowhere", "no such field"},
      {"tags.x=1", "tags.x", "repeated"},
      {"strict.x=1", "strict.x", "no such field"},
      {"book..id=1", "book..id", "no such field"},
      {"book.pages=1.5", "book.pages", "1.5"},
      {"book.pages=99999999999999999999", "book.pages", "int64"},
      {"strict=yes", "strict", "yes"},
      {"genres=OPERA", "genres", "OPERA"},
      {"readTime=yesterday", "readTime", "yesterday"},
      {"rating=1&rating=2", "rating", "twice"},
      {"read_time=2026-01-01T00:00:00Z&readTime=2026-01-01T00:00:00Z", "readTime", "twice"},
      {"name=x", "name", "the path sets"},
      {"labels=x", "labels", "labels: "},
      {"books=x", "books", "books: "},
      {"books.id=x", "books.id", "repeated"},
      {"book=x", "book", "book: "},
      {"byField=a&byRank=1", "byRank", "order"},
  };
  for (const auto& each : kCases) {
    BookRequest request;
    const absl::Status status = Query(each.query, &request);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << each.query;
    EXPECT_THAT(std::string(status.message()), HasSubstr(each.reason)) << each.query;
    const auto details = GetDetail<google::rpc::BadRequest>(status);
    ASSERT_TRUE(details.has_value()) << each.query;
    ASSERT_EQ(details->field_violations_size(), 1) << each.query;
    EXPECT_EQ(details->field_violations(0).field(), each.field) << each.query;
  }
  for (const char* query : {"rating=%4", "%=1", "tags=%00", "=1"}) {
    BookRequest request;
    EXPECT_EQ(Query(query, &request).code(), absl::StatusCode::kInvalidArgument) << query;
  }
}

TEST_F(Transcoding, UnknownParametersMayBePassedOverAndAreCounted) {
  options_.ignore_unknown_query_parameters = true;
  options_.max_query_parameters = 3;
  BookRequest request;
  EXPECT_TRUE(Query("utm=1&book.utm=2&rating=1", &request).ok());
  EXPECT_EQ(request.rating(), 1);
  const absl::Status status = Query("a=1&b=2&c=3&d=4", &request);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("more than 3"));
}

TEST_F(Transcoding, ABodyThatIsOneFieldLeavesTheRestToTheQuery) {
  BookRequest request;
  absl::Status status = Fill("POST", "/v1/shelves/1/books?strict=true",
                             R"({"id": "b", "pages": "12", "genre": "NOVEL"})", &request);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(request.name(), "shelves/1");
  EXPECT_EQ(request.book().pages(), 12);
  EXPECT_TRUE(request.strict());
  status = Fill("POST", "/v1/shelves/1/books?book.id=c", "{}", &request);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the body sets this field"));
  status = Fill("POST", "/v1/shelves/1/books", R"({"sequel": {"pages": "many"}})", &request);
  const auto details = GetDetail<google::rpc::BadRequest>(status);
  ASSERT_TRUE(details.has_value()) << status;
  EXPECT_EQ(details->field_violations(0).field(), "book.sequel.pages");
}

TEST_F(Transcoding, AWholeBodyAndThePathWhichWins) {
  constexpr std::string_view kTarget = "/v1/shelves/1/books/2:publish";
  BookRequest request;
  absl::Status status =
      Fill("POST", kTarget, R"({"name": "other", "tags": ["a"], "book": {"id": "b"}})", &request);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(request.name(), "shelves/1/books/2");
  EXPECT_THAT(request.tags(), ElementsAre("a"));
  EXPECT_TRUE(Fill("POST", kTarget, "", &request).ok());
  status = Fill("POST", std::string(kTarget) + "?strict=true", "{}", &request);
  EXPECT_THAT(std::string(status.message()), HasSubstr("from the body"));
  for (const char* body :
       {"{", "[]", R"({"name":1})", R"({"nowhere":1})", "{} {}", R"({"strict":1})"}) {
    EXPECT_EQ(Fill("POST", kTarget, body, &request).code(), absl::StatusCode::kInvalidArgument)
        << body;
  }
}

TEST_F(Transcoding, MethodsWithoutARuleAreAtTheirOwnName) {
  BookRequest request;
  ASSERT_TRUE(
      Fill("POST", "/rookery.testing.Shelves/Unannotated", R"({"name":"x"})", &request).ok());
  EXPECT_EQ(request.name(), "x");
  const auto& get_book = MethodOf("Shelves", "GetBook");
  EXPECT_EQ(BindingsOf(get_book, DefaultBinding::kUnannotated)->size(), 3u);
  EXPECT_EQ(BindingsOf(get_book, DefaultBinding::kAll)->size(), 4u);
  EXPECT_TRUE(BindingsOf(MethodOf("Shelves", "Unannotated"), DefaultBinding::kNone)->empty());
}

TEST_F(Transcoding, CustomMethods) {
  BookRequest request;
  EXPECT_TRUE(Fill("PURGE", "/v1/cache?strict=true", "", &request).ok());
  EXPECT_TRUE(request.strict());
}

TEST_F(Transcoding, RawBodiesInAndOut) {
  UploadRequest upload;
  const std::string bytes("\x00\xff{", 3);
  ASSERT_TRUE(Fill("PUT", "/v1/covers/7?replace=true", bytes, &upload).ok());
  EXPECT_EQ(upload.cover().data(), bytes);
  EXPECT_EQ(upload.cover().content_type(), "text/plain");
  EXPECT_EQ(upload.name(), "7");
  EXPECT_TRUE(upload.replace());

  google::api::HttpBody reply;
  reply.set_data(bytes);
  reply.set_content_type("image/png");
  const Binding& binding = Route("PUT", "/v1/covers/7");
  std::string out;
  std::string type;
  ASSERT_TRUE(AppendResponse(binding, reply, options_, &out, &type).ok());
  EXPECT_EQ(out, bytes);
  EXPECT_EQ(type, "image/png");
  // A handler's text never becomes a header of its own.
  reply.set_content_type("text/html\r\nset-cookie: a=b");
  ASSERT_TRUE(AppendResponse(binding, reply, options_, &out, &type).ok());
  EXPECT_EQ(type, "application/octet-stream");
}

TEST_F(Transcoding, ResponseBodyIsOneField) {
  Book book;
  book.set_id("b");
  book.add_authors("me");
  book.add_authors("you");
  std::string out;
  std::string type;
  ASSERT_TRUE(AppendResponse(Route("GET", "/v1/authors"), book, options_, &out, &type).ok());
  EXPECT_EQ(out, R"(["me","you"])");
  EXPECT_EQ(type, "application/json");
  out.clear();
  ASSERT_TRUE(AppendResponse(Route("GET", "/v1/books/1"), book, options_, &out, &type).ok());
  EXPECT_EQ(out, R"({"id":"b","authors":["me","you"]})");
}

TEST(TranscodingRules, ThoseThatCannotBeAreRefusedAtStartUp) {
  const struct {
    const char* method;
    std::vector<const char*> reasons;
  } kCases[] = {
      {"UnknownField", {"GET /v1/{nowhere}", "has no field \"nowhere\""}},
      {"RepeatedField", {"cannot be repeated"}},
      {"MessageField", {"cannot be a message", "name a field in it"}},
      {"UnknownBody", {"body: \"nothing\" is no field", "response_body: \"nil\" is no field"}},
      {"BodyAndPath", {"the path and the body both set book.id"}},
      {"BadPath", {"'**' must be the last"}},
      {"StreamWithoutBody", {"say body: \"*\""}},
  };
  for (const auto& each : kCases) {
    const auto bindings =
        BindingsOf(MethodOf("BrokenShelves", each.method), DefaultBinding::kUnannotated);
    ASSERT_FALSE(bindings.ok()) << each.method;
    EXPECT_THAT(std::string(bindings.status().message()), HasSubstr(each.method));
    for (const char* reason : each.reasons) {
      EXPECT_THAT(std::string(bindings.status().message()), HasSubstr(reason)) << each.method;
    }
  }
}

TEST(TranscodingErrors, EachCodeHasItsHttpCode) {
  const int kCodes[] = {200, 499, 500, 400, 504, 404, 409, 403, 429,
                        400, 409, 400, 501, 500, 503, 500, 401};
  for (int i = 0; i <= 16; ++i) {
    EXPECT_EQ(HttpCodeOf(static_cast<absl::StatusCode>(i)), kCodes[i]) << i;
  }
}

TEST(TranscodingErrors, AreGoogleRpcStatusAsJson) {
  EXPECT_EQ(StatusAsJson(absl::NotFoundError("no \"book\"")),
            R"({"code":5,"message":"no \"book\""})");
  google::rpc::ErrorInfo info;
  info.set_reason("SOLD_OUT");
  const std::string text = StatusAsJson(WithDetails(absl::AbortedError("sorry"), info));
  EXPECT_THAT(text, HasSubstr(R"("@type":"type.googleapis.com/google.rpc.ErrorInfo")"));
  EXPECT_THAT(text, HasSubstr(R"("reason":"SOLD_OUT")"));
  // Bytes that are no text do not hide the error.
  EXPECT_EQ(StatusAsJson(absl::InternalError("bad \xff")),
            "{\"code\":13,\"message\":\"bad \xef\xbf\xbd\"}");
}

}  // namespace
}  // namespace rookery::internal::gateway
