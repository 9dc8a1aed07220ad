// LazyModuleLoader: builds a module when it is first needed, not when the application starts.
//
//   class Reports {
//    public:
//     explicit Reports(rookery::LazyModuleLoader& loader) : loader_(loader) {}
//     rookery::Task<void> Print() {
//       rookery::ModuleRef pdf = co_await loader_.Load<PdfModule>();
//       pdf.Get<PdfWriter>().Write();
//     }
//   };
//
// For what is costly to build and seldom used. A module that is named nowhere but here is checked
// only when it is loaded; one that is also imported by DynamicModule::Lazy<M>() is checked at
// start-up.
#ifndef ROOKERY_MODULE_LAZY_MODULE_LOADER_H_
#define ROOKERY_MODULE_LAZY_MODULE_LOADER_H_

#include <source_location>
#include <utility>

#include "rookery/module/dynamic_module.h"
#include "rookery/module/module_builder.h"
#include "rookery/module/module_ref.h"
#include "rookery/runtime/task.h"

namespace rookery {

// See the top of this file. Every provider may ask for it. Thread-safe.
//
// A module is loaded once, with all it imports: later loads, and others at the same time, get the
// same one. Modules that are there already are shared, and global ones are seen. If a load fails
// (ResolutionError with all faults, or what a factory failed with) nothing of it remains, and the
// next one tries again. As in Nest, the lifecycle hooks of what is loaded do not run, and it may
// have no controllers, no global enhancers and not be global: that is a fault.
class LazyModuleLoader final {
 public:
  // The static module M.
  template <class M>
  [[nodiscard]] Task<ModuleRef> Load(
      std::source_location where = std::source_location::current()) const {
    internal::ModuleImport import;
    import.type = internal::StaticModuleType<M>();
    import.where = where;
    import.lazy = true;
    return host_->LoadModule(std::move(import));
  }
  // A dynamic one: the same object, the same module.
  [[nodiscard]] Task<ModuleRef> Load(
      const DynamicModule& module,
      std::source_location where = std::source_location::current()) const {
    internal::ModuleImport import = internal::ImportOf(module, where);
    import.lazy = true;
    return host_->LoadModule(std::move(import));
  }

  // For the framework.
  explicit LazyModuleLoader(internal::ModuleHost* host) noexcept : host_(host) {}

 private:
  internal::ModuleHost* host_;
};

}  // namespace rookery

#endif  // ROOKERY_MODULE_LAZY_MODULE_LOADER_H_
