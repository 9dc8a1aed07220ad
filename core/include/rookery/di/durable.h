// DurableContexts: the trees of durable providers that an application keeps, one a key.
//
//   options.durable.key = [](rookery::CallContext& call) -> std::optional<std::string> {
//     const auto tenant = call.metadata().Get("x-tenant");
//     if (!tenant) return std::nullopt;                  // this call gets a tree of its own
//     return std::string(*tenant);
//   };
//   explicit TenantAdmin(rookery::DurableContexts& tenants);   // a constructor that asks for it
//   tenants.Evict("acme");                                     // its next call makes them anew
#ifndef ROOKERY_DI_DURABLE_H_
#define ROOKERY_DI_DURABLE_H_

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace rookery {

class CallContext;

namespace internal {
class Container;
}  // namespace internal

// Which durable providers (rookery::kDurable) a call gets: Nest's ContextIdStrategy.
struct DurableOptions {
  // The key of a call: a tenant, say. Asked once for each call that needs it, on the call's thread;
  // what it throws, the call fails with. nullopt, or no function: the call gets instances of its
  // own, as with plain request scope. The key may come from a caller: see `max_keys`.
  std::function<std::optional<std::string>(CallContext& call)> key;
  // How many keys are kept. Beyond that the one that was not used for longest goes, once the calls
  // that use it have ended.
  std::size_t max_keys = 1000;
};

// Every provider may ask for it. Thread-safe.
class DurableContexts final {
 public:
  // How many keys there are now.
  [[nodiscard]] std::size_t size() const;
  // Drops what was made for `key`; false if there was nothing. Calls that use it keep it until they
  // end; the next one makes it anew.
  bool Evict(std::string_view key);
  // Drops all.
  void Clear();

  // For the framework.
  explicit DurableContexts(internal::Container* container) noexcept : container_(container) {}

 private:
  internal::Container* container_;
};

}  // namespace rookery

#endif  // ROOKERY_DI_DURABLE_H_
