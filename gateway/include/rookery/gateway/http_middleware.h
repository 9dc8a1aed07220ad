// HTTP middleware: what runs before a request is routed, as Nest's. Any class with Use is one;
// there is no base class.
//
//   class AccessLog final {
//    public:
//     rookery::Task<void> Use(rookery::HttpCall& http, rookery::HttpNext next) {
//       co_await next();                                        // or http.Answer(...) without it
//       log_.Info("http", {{"path", http.path()}, {"status", http.status()}});
//     }
//   };
//
//   static void Define(rookery::ModuleBuilder& module) {
//     module.Provide<AccessLog>();
//     rookery::HttpMiddleware(module).Apply<AccessLog>().Exclude("GET /health").ForRoutes("/**");
//   }
//
// For what is about HTTP: cookies, redirects, raw headers. What is about a call belongs in a guard
// or an interceptor, which serve every transport. docs/gateway.md has the order.
#ifndef ROOKERY_GATEWAY_HTTP_MIDDLEWARE_H_
#define ROOKERY_GATEWAY_HTTP_MIDDLEWARE_H_

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "rookery/di/token.h"
#include "rookery/runtime/task.h"

namespace rookery {

class Context;
struct Peer;

// One request and its answer, for middleware, and for handlers that ask for it
// (call.TransportRequest<rookery::HttpCall>()). Valid until the answer is complete; used on the
// request's loop.
//
// Middleware runs in the request's context: what it sets in CLS the call sees.
class HttpCall {
 public:
  virtual ~HttpCall() = default;

  [[nodiscard]] virtual std::string_view method() const noexcept = 0;
  // As sent, percent-encoded, the global prefix included; without the query.
  [[nodiscard]] virtual std::string_view path() const noexcept = 0;
  [[nodiscard]] virtual std::string_view query() const noexcept = 0;  // without the '?'
  // The first header of that name, in any case; nullopt if there is none, or it was removed.
  [[nodiscard]] virtual std::optional<std::string_view> Header(std::string_view name) const = 0;
  // Sets, or removes, a header as all that comes after sees it. What middleware sets is believed:
  // it becomes metadata, whoever the peer is.
  virtual void SetHeader(std::string_view name, std::string_view value) = 0;
  virtual void RemoveHeader(std::string_view name) = 0;
  // Who sends: behind trusted proxies the client that they name, as "203.0.113.7"; else the peer.
  [[nodiscard]] virtual std::string_view client_address() const = 0;
  [[nodiscard]] virtual const Peer& peer() const noexcept = 0;  // the socket's other end
  [[nodiscard]] virtual bool secure() const noexcept = 0;
  [[nodiscard]] virtual bool trusted() const noexcept = 0;  // see HttpTrust
  [[nodiscard]] virtual std::string_view request_id() const noexcept = 0;

  // ---- the answer
  // Adds a header to whatever the answer will be. Ignored once it has begun, for what is no header,
  // and for those that the server writes itself.
  virtual void AddResponseHeader(std::string_view name, std::string_view value) = 0;
  // The code of a good answer: 201, 202, 303. From 200 to 399; ignored once the answer has begun.
  virtual void set_status(int status) = 0;
  // Answers here; nothing that comes after runs, if next() was not called. Once.
  [[nodiscard]] virtual Task<void> Answer(int status, std::string_view content_type,
                                          std::string_view body) = 0;
  // Of the answer, once it has begun; 0 before.
  [[nodiscard]] virtual int status() const noexcept = 0;
};

// What a middleware calls to go on. Once; it returns when the answer has been sent, and fails as
// what comes after it fails.
class HttpNext final {
 public:
  using Run = Task<void> (*)(void* chain, std::size_t index);
  HttpNext(Run run, void* chain, std::size_t index) noexcept
      : run_(run), chain_(chain), index_(index) {}
  [[nodiscard]] Task<void> operator()() const { return run_(chain_, index_); }

 private:
  Run run_;
  void* chain_;
  std::size_t index_;
};

namespace internal {

// What one Apply().Exclude().ForRoutes() says, once its classes are made.
class HttpMiddlewareUse final {
 public:
  using Function = std::function<Task<void>(HttpCall& http, HttpNext next)>;
  std::vector<Function> functions;
  std::vector<std::string> excludes;
  std::vector<std::string> routes;
};

// Where they are put, and made, until the application starts.
struct HttpMiddlewareRoutes {
  std::vector<std::string> excludes;
  std::vector<std::string> routes;
};

template <class M>
[[nodiscard]] HttpMiddlewareUse::Function MiddlewareFunction(M& middleware) {
  static_assert(
      requires(HttpCall& http, HttpNext next) {
        { middleware.Use(http, next) } -> std::same_as<Task<void>>;
      },
      "rookery: this class is no HTTP middleware: give it a public "
      "`rookery::Task<void> Use(rookery::HttpCall& http, rookery::HttpNext next)`");
  return [&middleware](HttpCall& http, HttpNext next) { return middleware.Use(http, next); };
}

// Begun by Apply.
template <class Builder, class... M>
class HttpMiddlewareApplied final {
 public:
  HttpMiddlewareApplied(Builder& module, std::source_location where)
      : module_(module), where_(where) {}
  // Requests that it is not for: "/health", "GET /v1/files/**".
  template <class... Pattern>
  HttpMiddlewareApplied&& Exclude(Pattern&&... patterns) && {
    (routes_.excludes.emplace_back(std::forward<Pattern>(patterns)), ...);
    return std::move(*this);
  }
  // Those that it is for; "/**" is all of them. Ends the sentence. Returns the module.
  template <class... Pattern>
  Builder& ForRoutes(Pattern&&... patterns) && {
    (routes_.routes.emplace_back(std::forward<Pattern>(patterns)), ...);
    module_.template ProvideMultiFactory<HttpMiddlewareUse>(
        [routes = std::move(routes_)](M&... middleware) {
          HttpMiddlewareUse use;
          (use.functions.push_back(MiddlewareFunction(middleware)), ...);
          use.excludes = routes.excludes;
          use.routes = routes.routes;
          return use;
        },
        where_);
    return module_;
  }

 private:
  Builder& module_;
  std::source_location where_;
  HttpMiddlewareRoutes routes_;
};

}  // namespace internal

// Begins a sentence in a module's Define (or on a DynamicModule). Nest's MiddlewareConsumer:
//
//   HttpMiddleware(module).Apply<Cookies, Session>().Exclude("/health").ForRoutes("/v1/**");
//
// The classes are providers that the module sees: Provide<Cookies>(). Patterns are those of
// google.api.http without variables ("/v1/*/items", "/v1/**"), a method and a space before them or
// not, without the global prefix. Those of global modules run first, then those of modules nearest
// to the root, then as they are written.
template <class Builder>
class HttpMiddleware final {
 public:
  explicit HttpMiddleware(Builder& module) noexcept : module_(module) {}
  // One after the other.
  template <class... M>
  [[nodiscard]] internal::HttpMiddlewareApplied<Builder, M...> Apply(
      std::source_location where = std::source_location::current()) {
    static_assert(sizeof...(M) > 0, "rookery: Apply<M...>(): name a class at least");
    return internal::HttpMiddlewareApplied<Builder, M...>(module_, where);
  }

 private:
  Builder& module_;
};

}  // namespace rookery

#endif  // ROOKERY_GATEWAY_HTTP_MIDDLEWARE_H_
