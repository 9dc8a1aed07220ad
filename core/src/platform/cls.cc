#include "rookery/platform/cls.h"

#include "absl/strings/str_cat.h"
#include "rookery/rpc/call_context.h"
#include "runtime/abseil_strings.h"

namespace rookery {
namespace internal {

void ThrowNoContext(std::string_view what, std::string_view key) {
  throw RpcException(absl::FailedPreconditionError(
      absl::StrCat("Cls::", Abs(what), "(\"", Abs(key),
                   "\") outside a context: nothing would see the value. Call it inside a call's "
                   "handler or enhancers, or wrap the code in Cls::Run")));
}

ContextRef MakeClsContext(const ClsRunOptions& options) {
  Context* const around = Context::Current();
  ContextRef context;
  if (around != nullptr && options.nesting == ClsNesting::kReuse) {
    context = ContextRef(around);
  } else {
    context = ContextRef::Adopt(Context::NewChild(around, options.nesting == ClsNesting::kOverride
                                                              ? Context::Nesting::kOverride
                                                              : Context::Nesting::kInherit));
    // Values are left behind, but what runs inside is still part of the same request.
    if (around != nullptr && options.nesting == ClsNesting::kOverride) {
      if (const RequestIdentity* const identity = around->Find(kRequestIdentity)) {
        context->Set(kRequestIdentity, *identity);
      }
    }
  }
  if (!options.id.empty()) {
    RequestIdentity identity;
    if (const RequestIdentity* const known = context->Find(kRequestIdentity)) identity = *known;
    identity.id = options.id;
    context->Set(kRequestIdentity, std::move(identity));
  }
  return context;
}

}  // namespace internal

bool Cls::Has(const ContextKeyBase& key) noexcept {
  Context* const context = Context::Current();
  return context != nullptr && context->FindErased(key) != nullptr;
}

std::string_view Cls::Id() {
  Context* const context = Context::Current();
  return context == nullptr ? std::string_view() : RequestIdOf(*context);
}

}  // namespace rookery
