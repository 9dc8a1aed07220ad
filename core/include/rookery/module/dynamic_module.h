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

  // For the framework.
  [[nodiscard]] const std::shared_ptr<internal::DynamicContent>& content() const noexcept {
    return content_;
  }

 private:
  explicit DynamicModule(std::shared_ptr<internal::DynamicContent> content) noexcept
      : ModuleVerbs(&content->definition), content_(std::move(content)) {}

  std::shared_ptr<internal::DynamicContent> content_;
};

// ---- implementation -------------------------------------------------------------------------

template <class Self>
Self& ModuleVerbs<Self>::Import(const DynamicModule& module, Where where) {
  definition().imports.push_back({module.content()->type, module.content(), where});
  return self();
}
template <class Self>
Self& ModuleVerbs<Self>::Export(const DynamicModule& module, Where where) {
  definition().exports.push_back({Token(), module.content(), where});
  return self();
}

}  // namespace rookery

#endif  // ROOKERY_MODULE_DYNAMIC_MODULE_H_
