// TestingModule: an application for a test, with no network, and with what the test replaces.
//
//   auto app = rookery::testing::TestingModule::Of<OrdersModule>()
//                  .OverrideProvider<OrderRepository>(fake_orders)
//                  .Compile();
//   Order order = rookery::SyncWait(app.Client<shop::v1::OrdersClient>().Place(request));
#ifndef ROOKERY_APP_TESTING_H_
#define ROOKERY_APP_TESTING_H_

#include <functional>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

#include "absl/status/statusor.h"
#include "rookery/app/application.h"
#include "rookery/di/provider.h"
#include "rookery/di/token.h"
#include "rookery/module/module_builder.h"
#include "rookery/runtime/sync_wait.h"  // IWYU pragma: export

namespace rookery::testing {

// Builds an Application as Application::Create does, after replacing providers by token, in
// whichever module they are. Compile constructs it; hooks run with app.Init(), or with the first
// app.Client().
// Logs warnings and errors only, to stderr, unless WithOptions says otherwise.
class TestingModule final {
 public:
  using Where = std::source_location;

  template <class M>
  [[nodiscard]] static TestingModule Of(Where where = Where::current()) {
    internal::ModuleImport root = internal::RootImport<M>();
    root.where = where;
    return TestingModule(std::move(root));
  }
  [[nodiscard]] static TestingModule Of(const DynamicModule& root) {
    return TestingModule(internal::ImportOf(root, std::source_location::current()));
  }

  // Replaces the provider of T. `with` is one of
  //  - an object of T or of a class derived from it: a named one stays the test's own and must
  //    outlive the application; a temporary is moved in;
  //  - std::shared_ptr or std::unique_ptr of such;
  //  - a factory: a function whose parameters are injected, as for ModuleBuilder::ProvideFactory.
  // A fault, if no module provides T.
  template <class T, class W>
  TestingModule& OverrideProvider(W&& with, Where where = Where::current()) {
    return Add(Replacement<T>(Token::Of<T>(), std::forward<W>(with), where));
  }
  // The same for a named token. A value is copied or moved in.
  template <class T, class W>
  TestingModule& OverrideProvider(const InjectionToken<T>& token, W&& with,
                                  Where where = Where::current()) {
    return Add(Replacement<T>(token, std::forward<W>(with), where));
  }
  // Replaces the provider of T by the class Fake, constructed with what its constructor asks for.
  template <class T, class Fake>
  TestingModule& OverrideProvider(Where where = Where::current()) {
    return Add(ClassProviderAs<T, Fake>(Token::Of<T>(), where));
  }

  TestingModule& WithOptions(ApplicationOptions options) {
    options_ = std::move(options);
    return *this;
  }

  // Builds the application. Throws ApplicationError with all faults.
  [[nodiscard]] Application Compile() {
    absl::StatusOr<Application> app = TryCompile();
    if (!app.ok()) throw ApplicationError(app.status());
    return *std::move(app);
  }
  [[nodiscard]] absl::StatusOr<Application> TryCompile() {
    return Application::Build(root_, options_, overrides_);
  }

 private:
  explicit TestingModule(internal::ModuleImport root) : root_(std::move(root)) {
    options_.name = "test";
    options_.loop_threads = 1;
    options_.log.level = LogLevel::kWarn;
  }
  TestingModule& Add(ProviderSpec spec) {
    overrides_.providers.push_back(std::move(spec));
    return *this;
  }
  template <class T, class W>
  static ProviderSpec Replacement(Token token, W&& with, Where where) {
    using Plain = std::decay_t<W>;
    constexpr bool kOwnClass = std::is_class_v<T> && internal::kServesAs<T, Plain>;
    if constexpr (kOwnClass && std::is_lvalue_reference_v<W> &&
                  !std::is_const_v<std::remove_reference_t<W>>) {
      return ValueProvider<T>(token, std::ref(with), where);
    } else if constexpr (!kOwnClass && internal::CallableSignature<Plain>::kValid) {
      return FactoryProvider<T>(token, std::forward<W>(with), where);
    } else {
      return ValueProvider<T>(token, std::forward<W>(with), where);
    }
  }

  internal::ModuleImport root_;
  ApplicationOptions options_;
  internal::ApplicationOverrides overrides_;
};

}  // namespace rookery::testing

#endif  // ROOKERY_APP_TESTING_H_
