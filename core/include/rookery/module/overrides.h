// What a test puts in the place of modules and providers. TestingModule makes these; the framework
// reads them.
//
//   internal::ModuleOverride mail;
//   mail.type = &internal::kTypeTag<MailModule>;
//   mail.with.type = internal::StaticModuleType<FakeMailModule>();
#ifndef ROOKERY_MODULE_OVERRIDES_H_
#define ROOKERY_MODULE_OVERRIDES_H_

#include <functional>
#include <memory>
#include <source_location>
#include <vector>

#include "rookery/di/provider.h"
#include "rookery/di/token.h"
#include "rookery/module/module_builder.h"

namespace rookery::internal {

// Replaces a module wherever it is imported, but for the imports of the replacement itself.
struct ModuleOverride {
  const TypeTag* type = nullptr;            // of the module's class
  std::shared_ptr<DynamicContent> dynamic;  // only this one; null: the class, and all made of it
  ModuleImport with;
  std::source_location where;
};

// Providers for what an argument asks for and its module does not see; none if it has no answer.
// The first is asked for; what else comes with it can be asked for, too.
using Mocker = std::function<std::vector<ProviderSpec>(const Token& token)>;

struct GraphOverrides {
  std::vector<ProviderSpec> providers;
  std::vector<ModuleOverride> modules;
  std::vector<ProviderSpec> mocks;  // of what is missing: those of each Mock, one after another
  Mocker mocker;                    // asked after these; may be null
};

}  // namespace rookery::internal

#endif  // ROOKERY_MODULE_OVERRIDES_H_
