#include "rookery/platform/cls_module.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "rookery/module/module_ref.h"
#include "rookery/pipeline/enhancers.h"
#include "rookery/pipeline/execution_context.h"
#include "rookery/platform/log.h"
#include "rookery/rpc/call_context.h"
#include "rookery/rpc/metadata.h"
#include "runtime/abseil_strings.h"

namespace rookery {
namespace {

constexpr std::size_t kMaxIdLength = 1024;
constexpr std::string_view kUsualHeader = "x-request-id";

// Who has begun to prepare a context, and whether that went well: where it failed, whoever runs the
// context again (the next handler of an event, say) must not find it prepared.
struct Preparation {
  const ClsInitializer* by;
  bool done;
};
inline constexpr ContextKey<Preparation> kPrepared{"cls.prepared"};

bool IsPrintable(std::string_view id) {
  return std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c <= '~'; });
}

}  // namespace

namespace internal {
namespace {

// Each place of ClsMount is two enhancers: one that costs a call, and one that may wait. All but
// one turn out not to be mounted.
class ClsEnhancer : public MountedEnhancer {
 public:
  ClsEnhancer(ClsInitializer& initializer, ClsMount mount) noexcept
      : initializer_(initializer), mount_(mount) {}

 protected:
  ~ClsEnhancer() = default;
  [[nodiscard]] bool MountedHere() const { return initializer_.mount() == mount_; }
  [[nodiscard]] bool MountedHere(bool waits) const {
    return MountedHere() && initializer_.waits() == waits;
  }
  [[nodiscard]] absl::Status PrepareNow(ExecutionContext& context) const {
    ClsRequest request(context);
    return initializer_.PrepareNow(request);
  }
  [[nodiscard]] Task<absl::Status> Prepare(ExecutionContext& context) const {
    Task<void> prepare = initializer_.Prepare(ClsRequest(context));
    absl::Status status = co_await AsStatusOr(std::move(prepare));
    co_return status;
  }

  ClsInitializer& initializer_;

 private:
  ClsMount mount_;
};

class ClsMiddleware final : public ClsEnhancer {
 public:
  explicit ClsMiddleware(ClsInitializer& initializer)
      : ClsEnhancer(initializer, ClsMount::kMiddleware) {}
  [[nodiscard]] bool mounted() const override { return MountedHere(/*waits=*/false); }
  [[nodiscard]] absl::Status PreRequest(ExecutionContext& context) { return PrepareNow(context); }
};

class ClsWaitingMiddleware final : public ClsEnhancer {
 public:
  explicit ClsWaitingMiddleware(ClsInitializer& initializer)
      : ClsEnhancer(initializer, ClsMount::kMiddleware) {}
  [[nodiscard]] bool mounted() const override { return MountedHere(/*waits=*/true); }
  [[nodiscard]] Task<absl::Status> PreRequest(ExecutionContext& context) {
    return Prepare(context);
  }
};

class ClsGuard final : public ClsEnhancer {
 public:
  explicit ClsGuard(ClsInitializer& initializer) : ClsEnhancer(initializer, ClsMount::kGuard) {}
  [[nodiscard]] bool mounted() const override { return MountedHere(/*waits=*/false); }
  [[nodiscard]] absl::Status CanActivate(ExecutionContext& context) { return PrepareNow(context); }
};

class ClsWaitingGuard final : public ClsEnhancer {
 public:
  explicit ClsWaitingGuard(ClsInitializer& initializer)
      : ClsEnhancer(initializer, ClsMount::kGuard) {}
  [[nodiscard]] bool mounted() const override { return MountedHere(/*waits=*/true); }
  [[nodiscard]] Task<absl::Status> CanActivate(ExecutionContext& context) {
    return Prepare(context);
  }
};

class ClsInterceptor final : public ClsEnhancer {
 public:
  explicit ClsInterceptor(ClsInitializer& initializer)
      : ClsEnhancer(initializer, ClsMount::kInterceptor) {}
  [[nodiscard]] bool mounted() const override { return MountedHere(); }
  [[nodiscard]] Task<Response> Intercept(ExecutionContext& context, Next next) {
    if (initializer_.waits()) {
      Task<void> prepare = initializer_.Prepare(ClsRequest(context));
      co_await std::move(prepare);
    } else {
      absl::Status status = PrepareNow(context);
      if (!status.ok()) co_return std::move(status);
    }
    Task<Response> rest = next();
    Response response = co_await std::move(rest);
    co_return std::move(response);
  }
};

}  // namespace
}  // namespace internal

// ---- ClsRequest, ClsSetup -------------------------------------------------------------------

ClsRequest::ClsRequest(CallContext& call)
    : context_(&call), call_(&call), carrier_(call.transport()) {}

ClsRequest::ClsRequest(ExecutionContext& execution) : ClsRequest(execution.call()) {
  execution_ = &execution;
}

std::optional<std::string_view> ClsRequest::Header(std::string_view name) const {
  const std::string key = absl::AsciiStrToLower(internal::Abs(name));
  if (headers_) return headers_(key);
  return call_ == nullptr ? std::nullopt : call_->PeekMetadata(key);
}

Task<void> ClsSetup::OrFail(Task<absl::Status> task) {
  absl::Status status = co_await std::move(task);
  if (!status.ok()) co_await Fail(std::move(status));
}

// ---- ClsInitializer -------------------------------------------------------------------------

ClsInitializer::ClsInitializer(const ClsOptions& options, ModuleRef& module, Logger& log)
    : options_(options), module_(module), log_(log) {
  const ClsIdOptions& id = options.id;
  const bool usual_header = id.header == kUsualHeader;
  own_ids_ = !(usual_header && id.take_over && id.max_length == ClsIdOptions().max_length &&
               !id.acceptable && !id.generate);
  if (!usual_header || !id.send || !id.log) {
    internal::RequestIdPolicy policy;
    if (id.send) policy.header = id.header;
    policy.log = id.log;
    policy_ = std::make_shared<const internal::RequestIdPolicy>(std::move(policy));
  }
}

const std::vector<internal::ClsProxyProvider*>& ClsInitializer::proxies() const {
  // Asked for once all modules are there, so not by the constructor.
  std::call_once(found_, [this] {
    if (options_.resolve_proxy_providers) {
      proxies_ = module_.GetAll<internal::ClsProxyProvider>(Lookup::kAnywhere);
    }
  });
  return proxies_;
}

bool ClsInitializer::waits() const {
  return options_.setup.later() != nullptr || !proxies().empty();
}

std::string ClsInitializer::TakenOver(const ClsRequest& request) const {
  const ClsIdOptions& id = options_.id;
  if (!id.take_over || id.header.empty()) return {};
  const std::optional<std::string_view> sent = request.Header(id.header);
  if (!sent || sent->empty() || sent->size() > id.max_length || !IsPrintable(*sent)) return {};
  const bool acceptable = id.acceptable ? id.acceptable(*sent) : HasRequestIdCharacters(*sent);
  return acceptable ? std::string(*sent) : std::string();
}

std::string ClsInitializer::MakeId(const ClsRequest& request) {
  if (!options_.id.generate) return NewRequestId();
  std::string id = options_.id.generate(request);
  if (!id.empty() && id.size() <= kMaxIdLength && IsPrintable(id)) return id;
  if (!warned_.exchange(true)) {
    log_.Warn("ClsIdOptions::generate gave what is no id, and one is made instead; said once",
              {{"gave", id.substr(0, 100)},
               {"wanted", absl::StrCat("1 to ", kMaxIdLength, " printable ASCII characters")}});
  }
  return NewRequestId();
}

void ClsInitializer::SetId(ClsRequest& request) {
  Context& context = request.context();
  const internal::RequestIdentity* const known = context.Find(internal::kRequestIdentity);
  internal::RequestIdentity identity;
  identity.policy = policy_;
  if (known != nullptr && !known->id.empty()) {
    identity.id = known->id;
  } else if (request.call() == nullptr ? context.call() == nullptr : own_ids_) {
    std::string id = TakenOver(request);
    if (id.empty()) id = MakeId(request);
    // Somebody may have asked for the call's id before, and hold on to it: then this one stands
    // beside it.
    if (request.call() == nullptr || !request.call()->SetRequestId(id)) identity.id = std::move(id);
  }
  if (identity.id.empty() && identity.policy == nullptr) return;
  context.Set(internal::kRequestIdentity, std::move(identity));
}

bool ClsInitializer::Begin(ClsRequest& request) {
  const Preparation* const before = request.context().Find(kPrepared);
  if (before == nullptr) {
    SetId(request);
  } else if (before->by == this && before->done) {
    return false;
  }
  request.context().Set(kPrepared, Preparation{this, false});
  return true;
}

void ClsInitializer::End(ClsRequest& request) {
  request.context().Set(kPrepared, Preparation{this, true});
}

absl::Status ClsInitializer::PrepareNow(ClsRequest& request) {
  if (!Begin(request)) return absl::OkStatus();
  if (options_.setup.now()) {
    absl::Status status = options_.setup.now()(request);
    if (!status.ok()) return status;
  }
  End(request);
  return absl::OkStatus();
}

Task<void> ClsInitializer::Prepare(ClsRequest request) {
  if (!Begin(request)) co_return;
  if (options_.setup.now()) {
    absl::Status status = options_.setup.now()(request);
    if (!status.ok()) co_await Fail(std::move(status));
  } else if (options_.setup.later()) {
    Task<void> setup = options_.setup.later()(request);
    co_await std::move(setup);
  }
  for (const internal::ClsProxyProvider* const proxy : proxies()) {
    Task<std::shared_ptr<void>> making = proxy->Resolve();
    [[maybe_unused]] const std::shared_ptr<void> made = co_await std::move(making);
  }
  End(request);
}

Task<void> ClsInitializer::PrepareCurrent() {
  return Prepare(ClsRequest(*Context::Current(), "", nullptr));
}

// ---- ClsModule ------------------------------------------------------------------------------

void ClsModule::Define(ModuleBuilder& module) { module.Provide<Cls>().Export<Cls>(); }

absl::Status ClsModule::CheckOptions(const ClsOptions& options) {
  const ClsIdOptions& id = options.id;
  if (id.max_length == 0 || id.max_length > kMaxIdLength) {
    return absl::InvalidArgumentError(
        absl::StrCat("ClsOptions::id.max_length is ", id.max_length, ": give 1 to ", kMaxIdLength));
  }
  Metadata metadata;
  if (!id.header.empty() && !metadata.Add(id.header, "id").ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("ClsOptions::id.header is \"", id.header,
                     "\", which is no name of metadata: give one of [a-z0-9._-]"));
  }
  if (options.mount != ClsMount::kMiddleware && options.mount != ClsMount::kGuard &&
      options.mount != ClsMount::kInterceptor && options.mount != ClsMount::kNone) {
    return absl::InvalidArgumentError("ClsOptions::mount is no ClsMount: give one of its names");
  }
  return absl::OkStatus();
}

void ClsModule::ApplyExtras(DynamicModule& module, const ModuleExtras& extras) {
  module.Global(extras.is_global)
      .Provide<ClsInitializer>()
      .Export<ClsInitializer>()
      .PreRequestHook<internal::ClsMiddleware>()
      .PreRequestHook<internal::ClsWaitingMiddleware>()
      .GlobalGuard<internal::ClsGuard>()
      .GlobalGuard<internal::ClsWaitingGuard>()
      .GlobalInterceptor<internal::ClsInterceptor>();
}

}  // namespace rookery
