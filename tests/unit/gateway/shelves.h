// The services that the gateway's tests call.
#ifndef ROOKERY_TESTS_UNIT_GATEWAY_SHELVES_H_
#define ROOKERY_TESTS_UNIT_GATEWAY_SHELVES_H_

#include <atomic>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/duration.pb.h"
#include "google/rpc/error_details.pb.h"
#include "http_rules.pb.h"
#include "http_rules.rookery.h"
#include "rookery/gateway/http_gateway.h"
#include "rookery/gateway/http_middleware.h"
#include "rookery/rookery.h"

namespace rookery::testing {

inline constexpr ClsKey<std::string> kNote{"note"};

// Answers with what it was asked, and fails as the id says.
class ShelvesController final : public ShelvesService {
 public:
  Task<Book> GetBook(CallContext& call, const BookRequest& request) override {
    const std::string& name = request.name();
    Book book;
    book.set_id(name.empty() ? request.book().id() : name);
    if (name.ends_with("missing")) co_return absl::NotFoundError("no such book");
    if (name.ends_with("crash")) throw std::runtime_error("password=hunter2 at /srv/secret.cc");
    if (name.ends_with("forbidden")) co_return absl::PermissionDeniedError("not yours");
    if (name.ends_with("who")) {
      call.response_trailers().Add("www-authenticate", "Basic").IgnoreError();
      co_return absl::UnauthenticatedError("who are you?");
    }
    if (name.ends_with("busy")) {
      google::rpc::RetryInfo info;
      info.mutable_retry_delay()->set_seconds(6);
      info.mutable_retry_delay()->set_nanos(1);
      co_return WithDetails(absl::UnavailableError("busy"), info);
    }
    if (name.ends_with("full")) co_return absl::ResourceExhaustedError("enough");
    if (name.ends_with("slow")) co_await Sleep(std::chrono::minutes(5));
    if (name.ends_with("big")) book.add_authors(std::string(5000, 'x'));
    if (name.ends_with("created")) {
      call.response_headers().Add("x-http-code", "201").IgnoreError();
      call.response_headers().Add("location", "/v1/created").IgnoreError();
      call.response_headers().Add("connection", "upgrade").IgnoreError();
      call.response_trailers().Add("x-cost", "3").IgnoreError();
    }
    if (name.ends_with("context")) {
      for (const auto& [key, value] : call.metadata()) {
        book.add_authors(absl::StrCat(key, "=", value));
      }
      book.add_authors(absl::StrCat("id:", std::string(Cls::Id())));
      book.add_authors(absl::StrCat("peer:", call.peer().address));
      book.add_authors(absl::StrCat("transport:", std::string(call.transport())));
      book.add_authors(absl::StrCat("note:", Cls::GetOr(kNote, "")));
      book.add_authors(absl::StrCat("deadline:", call.deadline() != kNoDeadline));
      if (auto* const http = call.TransportRequest<HttpCall>()) {
        book.add_authors(absl::StrCat("http:", std::string(http->method())));
      }
    }
    co_return book;
  }
  Task<Book> CreateBook(CallContext&, const BookRequest& request) override {
    Book book = request.book();
    book.set_id(absl::StrCat(request.name(), "/books/", request.book().id()));
    co_return book;
  }
  Task<Book> PublishBook(CallContext&, const BookRequest& request) override {
    co_return request.book();
  }
  Task<Book> ListAuthors(CallContext&, const BookRequest& request) override {
    Book book;
    for (const std::string& tag : request.tags()) book.add_authors(tag);
    co_return book;
  }
  Task<Book> Purge(CallContext&, const BookRequest&) override { co_return Book(); }
  Task<google::api::HttpBody> Upload(CallContext&, const UploadRequest& request) override {
    google::api::HttpBody body = request.cover();
    body.set_data(absl::StrCat("<", body.data(), ">"));
    co_return body;
  }
  Task<Book> Unannotated(CallContext&, const BookRequest& request) override {
    co_return request.book();
  }
};

// Streams, and counts how far it came.
class ReadingController final : public ReadingService {
 public:
  static void Configure(ControllerBuilder& controller) {
    controller.Method("Watch").Set(kHttpEventId, std::string("id"));
  }
  Stream<Book> Watch(CallContext& call, const BookRequest& request) override {
    const std::string name = request.name();
    int count = 0;
    if (!absl::SimpleAtoi(name, &count)) count = 3;
    int first = 0;
    if (const auto last = call.metadata().Get("last-event-id")) {
      first = std::stoi(std::string(*last)) + 1;
    }
    if (name == "refused") co_await Fail(absl::FailedPreconditionError("closed today"));
    if (name == "none") count = 0;
    for (int i = first; i < count; ++i) {
      Book book;
      book.set_id(absl::StrCat(i));
      made.fetch_add(1);
      co_yield std::move(book);
    }
    if (name == "broken") co_await Fail(absl::DataLossError("page torn out"));
    if (name == "endless") co_await SleepUntil(kNoDeadline);
  }
  Task<BookRequest> Collect(CallContext&, Stream<Book> books) override {
    BookRequest collected;
    for (;;) {
      std::optional<Book> book = co_await books.Next();
      if (!book) break;
      if (book->id() == "enough") break;
      if (book->id() == "bad") co_return absl::AlreadyExistsError("had that");
      *collected.add_books() = *std::move(book);
    }
    co_return collected;
  }
  Stream<Book> Discuss(CallContext&, Stream<Book> books) override {
    for (;;) {
      std::optional<Book> book = co_await books.Next();
      if (!book) break;
      if (book->id() == "fail") co_await Fail(absl::OutOfRangeError("too far"));
      book->set_pages(book->pages() + 1);
      Book answer = *std::move(book);
      co_yield std::move(answer);
    }
  }
  Stream<google::api::HttpBody> Download(CallContext&, const BookRequest& request) override {
    const std::string name = request.name();
    for (int i = 0; i < 3; ++i) {
      google::api::HttpBody piece;
      piece.set_content_type("text/csv");
      piece.set_data(absl::StrCat(name, ",", i, "\n"));
      co_yield std::move(piece);
    }
    if (name == "broken") co_await Fail(absl::DataLossError("torn"));
  }
  Task<Book> Receive(CallContext&, Stream<google::api::HttpBody> pieces) override {
    Book book;
    for (;;) {
      std::optional<google::api::HttpBody> piece = co_await pieces.Next();
      if (!piece) break;
      book.set_id(absl::StrCat(book.id(), piece->data()));
      book.set_pages(book.pages() + 1);
    }
    co_return book;
  }

  std::atomic<int> made{0};
};

struct ShelvesModule {
  static void Define(ModuleBuilder& module) {
    module.Controller<ShelvesController>().Controller<ReadingController>();
  }
};

}  // namespace rookery::testing

#endif  // ROOKERY_TESTS_UNIT_GATEWAY_SHELVES_H_
