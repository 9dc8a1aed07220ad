// DynamicModule: a module made at run time, out of options.
//
//   struct MailModule {
//     static rookery::DynamicModule Register(MailOptions options) {
//       return rookery::DynamicModule::Of<MailModule>()
//           .ProvideValue(std::move(options))
//           .Provide<Mailer>()
//           .Export<Mailer>();
//     }
//   };
//   module.Import(MailModule::Register({.host = "smtp.shop.example"}));
#ifndef ROOKERY_MODULE_DYNAMIC_MODULE_H_
#define ROOKERY_MODULE_DYNAMIC_MODULE_H_

#include <memory>
#include <source_location>
#include <utility>

#include "rookery/module/module_builder.h"

namespace rookery {

// A module's class, and what it consists of beyond that class's own Define (which may be missing).
// Where both provide the same token, the dynamic part wins, as in Nest. A handle: copies are the
// same module, so keep one in a variable to import it in several places. Complete it before it is
// imported.
class DynamicModule final : public ModuleVerbs<DynamicModule> {
 public:
  template <class M>
  [[nodiscard]] static DynamicModule Of(
      std::source_location where = std::source_location::current()) {
    auto content = std::make_shared<internal::DynamicContent>();
    content->type = &internal::kModuleType<M>;
    content->where = where;
    return DynamicModule(std::move(content));
  }

  // The module M itself, to be imported or loaded: checked at start-up as any other, and made only
  // when somebody needs it: rookery::LazyModuleLoader, a rookery::Lazy<T>, or a provider that is
  // made at start-up and asks for one of its exports. Made once at most, however often and by
  // whomever it is named. Its lifecycle hooks run only if it was made at start-up.
  template <class M>
  [[nodiscard]] static DynamicModule Lazy(
      std::source_location where = std::source_location::current()) {
    auto content = std::make_shared<internal::DynamicContent>();
    content->type = internal::StaticModuleType<M>();
    content->where = where;
    content->lazy = true;
    return DynamicModule(std::move(content));
  }

  // For the framework. Null after a move.
  [[nodiscard]] const std::shared_ptr<internal::DynamicContent>& content() const noexcept {
    return content_;
  }

 private:
  explicit DynamicModule(std::shared_ptr<internal::DynamicContent> content) noexcept
      : ModuleVerbs(&content->definition), content_(std::move(content)) {}

  std::shared_ptr<internal::DynamicContent> content_;
};

// ---- implementation -------------------------------------------------------------------------

namespace internal {
// Without a type if there is no module in it any more.
[[nodiscard]] inline ModuleImport ImportOf(const DynamicModule& module,
                                           std::source_location where) {
  ModuleImport import;
  import.where = where;
  if (module.content() == nullptr) return import;
  import.type = module.content()->type;
  import.lazy = module.content()->lazy;
  if (!import.lazy) import.dynamic = module.content();
  return import;
}
}  // namespace internal

template <class Self>
Self& ModuleVerbs<Self>::Import(const DynamicModule& module, Where where) {
  definition().imports.push_back(internal::ImportOf(module, where));
  return self();
}
template <class Self>
Self& ModuleVerbs<Self>::Export(const DynamicModule& module, Where where) {
  if (module.content() != nullptr && module.content()->lazy) {
    definition().exports.push_back({module.content()->type->self().token, nullptr, where});
  } else {
    definition().exports.push_back({Token(), module.content(), where});
  }
  return self();
}

}  // namespace rookery

#endif  // ROOKERY_MODULE_DYNAMIC_MODULE_H_
