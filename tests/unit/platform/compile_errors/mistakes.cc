// Mistakes with ClsModule and pre-request hooks: never linked; see compile_errors_test.cc.
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "rookery/pipeline/enhancers.h"
#include "rookery/platform/cls_module.h"

namespace {

using rookery::ClsInitializer;
using rookery::ClsRequest;
using rookery::ClsSetup;
using rookery::ExecutionContext;
using rookery::GlobalEnhancers;

struct Nothing {};

// expect: rookery: ClsOptions::setup: pass a function of a rookery::ClsRequest&
ClsSetup OfNoRequest() {
  return ClsSetup([](int) {});
}

// expect: rookery: ClsOptions::setup must return nothing, absl::Status, rookery::Task<void> or
// rookery::Task<absl::Status>
ClsSetup OfBool() {
  return ClsSetup([](ClsRequest&) { return true; });
}

// expect: rookery: ClsOptions::setup: the function must be copyable; share what it keeps with
// std::shared_ptr
ClsSetup OfWhatCannotBeCopied() {
  return ClsSetup([kept = std::make_unique<int>(1)](ClsRequest&) {});
}

// expect: rookery: ClsInitializer::Run: the function must return a rookery::Task
void RunOfInt(ClsInitializer& initializer) {
  initializer.Run([] { return 1; });
}

// expect: rookery: this class is no pre-request hook: give it a public `absl::Status
// PreRequest(rookery::ExecutionContext& context)` (or void, or a rookery::Task of either)
void NoHook(GlobalEnhancers& enhancers) { enhancers.UsePreRequestHook<Nothing>(); }

struct HookOfBool {
  bool PreRequest(ExecutionContext& context);
};
// expect: rookery: a pre-request hook's PreRequest must return void, absl::Status,
// rookery::Task<void> or rookery::Task<absl::Status>
void HookResult(GlobalEnhancers& enhancers) { enhancers.UsePreRequestHook<HookOfBool>(); }

}  // namespace
