// ControllerBuilder: what a controller says about itself, where Nest uses decorators.
//
//   class OrdersController final : public shop::v1::OrdersService {
//    public:
//     static void Configure(rookery::ControllerBuilder& controller) {
//       controller.UseGuard<AuthGuard>();
//       controller.Method(kPlace).UseInterceptor<IdempotencyInterceptor>().Set(kRoles, {"buyer"});
//       controller.Event("stock.changed", &OrdersController::OnStockChanged);
//     }
//
// Configure is optional for a controller that implements one generated service: all its methods are
// served. It runs once at start-up, before the controller is constructed. Mistakes (a method that
// the service does not have, a pattern that two controllers handle) are reported at start-up, all
// at once.
#ifndef ROOKERY_PIPELINE_CONTROLLER_BUILDER_H_
#define ROOKERY_PIPELINE_CONTROLLER_BUILDER_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "rookery/di/token.h"
#include "rookery/pipeline/enhancers.h"
#include "rookery/pipeline/metadata_key.h"
#include "rookery/rpc/descriptor.h"
#include "rookery/rpc/invoke.h"

namespace rookery {

class ControllerBuilder;
class Service;

namespace internal {

// A class that is known where it is described, and not where it is used: its name, and a way from a
// pointer to it to a pointer to one of its bases.
struct ClassIdentity {
  const TypeTag* tag = nullptr;
  const std::type_info* type = nullptr;
  // Throws `object` as a pointer to the class: catching is the one place where the language
  // converts a pointer to a base that is named elsewhere.
  void (*throw_pointer)(void* object) = nullptr;
};

template <class C>
[[nodiscard]] ClassIdentity IdentityOf() {
  ClassIdentity identity;
  identity.tag = &kTypeTag<C>;
  identity.type = &typeid(C);
  identity.throw_pointer = [](void* object) { throw static_cast<C*>(object); };
  return identity;
}

// Sets *as to `object`, which is of the class `identity`, as an S*; false if S is not an
// accessible, unambiguous base.
template <class S>
[[nodiscard]] bool CastTo(const ClassIdentity& identity, void* object, void** as) {
  if (*identity.type == typeid(S)) {
    *as = object;
    return true;
  }
  try {
    identity.throw_pointer(object);
  } catch (S* base) {
    *as = base;
    return true;
  } catch (...) {
  }
  return false;
}
using Cast = bool (*)(const ClassIdentity& identity, void* object, void** as);

template <class C, class S>
[[nodiscard]] bool StaticCastTo(const ClassIdentity&, void* object, void** as) {
  *as = static_cast<S*>(static_cast<C*>(object));
  return true;
}

template <class F>
struct MemberClass;
template <class C, class F>
struct MemberClass<F C::*> {
  using type = C;
};

}  // namespace internal

// One method of a controller, named by ControllerBuilder::Method, Message or Event. Lives as long
// as the builder.
class MethodBuilder final : public EnhancerVerbs<MethodBuilder> {
 public:
  MethodBuilder(const MethodBuilder&) = delete;
  MethodBuilder& operator=(const MethodBuilder&) = delete;

  // Sets metadata of the method: see MetadataKey.
  template <class T>
  MethodBuilder& Set(const MetadataKey<T>& key, std::type_identity_t<T> value) {
    metadata_.Set(key, std::move(value));
    return *this;
  }

  // For the framework.
  explicit MethodBuilder(std::vector<ProviderSpec>* injectables) noexcept
      : EnhancerVerbs(injectables) {}
  [[nodiscard]] const MetadataValues& metadata() const noexcept { return metadata_; }

 private:
  MetadataValues metadata_;
};

namespace internal {

// All that a ControllerBuilder has been told.
struct ControllerDescription {
  struct ServiceEntry {
    const ServiceDescriptor* descriptor;
    Cast cast;
    std::source_location where;
  };
  // controller.Method(...): by index in a service, or by name.
  struct MethodEntry {
    std::optional<std::size_t> index;
    std::size_t service = 0;  // of `index`: which of `services`; their number then, if none
    std::string name;
    std::source_location where;
    std::unique_ptr<MethodBuilder> builder;
  };
  struct PatternEntry {
    std::unique_ptr<const std::string> pattern;
    std::shared_ptr<const void> closure;  // the pointer to member
    MethodDescriptor descriptor;          // refers to both
    Cast cast;
    std::source_location where;
    std::unique_ptr<MethodBuilder> builder;
  };

  ClassIdentity type;
  std::vector<ServiceEntry> services;
  std::vector<MethodEntry> methods;
  std::vector<std::shared_ptr<PatternEntry>> patterns;
  std::vector<ProviderSpec> injectables;
  MetadataValues metadata;
};

template <class C>
concept HasConfigure = requires(ControllerBuilder& controller) { C::Configure(controller); };
// Implements exactly one generated service (with several the names are ambiguous).
template <class C>
concept ImplementsOneService = requires {
  typename C::ServiceType;
  { C::Descriptor() } -> std::same_as<const ServiceDescriptor&>;
};

}  // namespace internal

// See the top of this file. Movable. Used by one thread, at start-up.
class ControllerBuilder final : public EnhancerVerbs<ControllerBuilder> {
 public:
  ControllerBuilder();
  ~ControllerBuilder();
  ControllerBuilder(ControllerBuilder&&) noexcept;
  ControllerBuilder& operator=(ControllerBuilder&&) noexcept;

  // Sets metadata of the controller: see MetadataKey.
  template <class T>
  ControllerBuilder& Set(const MetadataKey<T>& key, std::type_identity_t<T> value) {
    description_->metadata.Set(key, std::move(value));
    return *this;
  }

  // A method of the controller's service, by the generated constant: Method(kPlace). After
  // Service<S>() it means a method of S.
  MethodBuilder& Method(MethodRef method, Where where = Where::current());
  // By name: "Place", or "/shop.v1.Orders/Place" where two services have a Place.
  MethodBuilder& Method(std::string_view name, Where where = Where::current());

  // Handles the messages of a pattern with a member function, without a proto service (Nest's
  // @MessagePattern):
  //   Task<SumReply> Sum(CallContext& call, const SumRequest& request);      // or a streaming kind
  //   controller.Message("math.sum", &MathController::Sum);
  template <class M>
    requires std::is_member_function_pointer_v<M>
  MethodBuilder& Message(std::string_view name, M member, Where where = Where::current()) {
    static_assert(internal::HandlerTraits<M>::kKind != MethodKind::kEvent,
                  "rookery: a message handler gives a reply: let it return rookery::Task<Reply> "
                  "(google::protobuf::Empty for none), or register it with Event()");
    return AddMember(name, member, where);
  }
  // Handles the events of a pattern (Nest's @EventPattern). Several controllers may handle one
  // pattern: all of them run.
  //   Task<void> OnUserCreated(CallContext& call, const UserCreated& event);
  template <class M>
    requires std::is_member_function_pointer_v<M>
  MethodBuilder& Event(std::string_view name, M member, Where where = Where::current()) {
    static_assert(internal::HandlerTraits<M>::kKind == MethodKind::kEvent,
                  "rookery: an event handler gives no reply: let it return rookery::Task<void>, or "
                  "register it with Message()");
    return AddMember(name, member, where);
  }

  // For a controller that implements several generated services: serves S too, and lets Method(kX)
  // that follow mean methods of S.
  //   controller.Service<OrdersService>().Method(OrdersService::kPlace).UseGuard<BuyerGuard>();
  template <class S>
  ControllerBuilder& Service(Where where = Where::current()) {
    AddService(S::Descriptor(), &internal::CastTo<typename S::ServiceType>, where);
    return *this;
  }

  // The providers of the enhancer classes named, each once: the container makes them in the
  // controller's module.
  [[nodiscard]] std::span<const ProviderSpec> injectables() const noexcept;
  // For the framework.
  [[nodiscard]] const internal::ControllerDescription& description() const noexcept {
    return *description_;
  }
  // Whether the replaced class was used here.
  bool Override(const internal::EnhancerOverride& replacement);

 private:
  template <class C>
  friend void DescribeController(ControllerBuilder& controller);

  explicit ControllerBuilder(std::unique_ptr<internal::ControllerDescription> description);
  void SetType(const internal::ClassIdentity& type);
  void AddService(const ServiceDescriptor& descriptor, internal::Cast cast, Where where);
  MethodBuilder& AddPattern(std::shared_ptr<internal::ControllerDescription::PatternEntry> entry);

  template <class M>
  MethodBuilder& AddMember(std::string_view name, M member, Where where) {
    using C = typename internal::MemberClass<M>::type;
    auto entry = std::make_shared<internal::ControllerDescription::PatternEntry>();
    entry->pattern = std::make_unique<const std::string>(name);
    auto closure = std::make_shared<const M>(member);
    entry->descriptor = internal::DescribePattern<C, M>(*entry->pattern, closure.get());
    entry->closure = std::move(closure);
    entry->cast = &internal::CastTo<C>;
    entry->where = where;
    return AddPattern(std::move(entry));
  }

  std::unique_ptr<internal::ControllerDescription> description_;
};

// Tells `controller` all about the class C. ModuleBuilder::Controller<C>() keeps its address.
template <class C>
void DescribeController(ControllerBuilder& controller) {
  controller.SetType(internal::IdentityOf<C>());
  if constexpr (internal::ImplementsOneService<C>) {
    controller.AddService(C::Descriptor(), &internal::StaticCastTo<C, typename C::ServiceType>,
                          std::source_location::current());
  } else if constexpr (std::is_base_of_v<Service, C>) {
    static_assert(internal::HasConfigure<C>,
                  "rookery: this controller implements several services: name each in a public "
                  "`static void Configure(rookery::ControllerBuilder& controller)` with "
                  "controller.Service<S>()");
  } else {
    static_assert(internal::HasConfigure<C>,
                  "rookery: this controller serves nothing: derive it publicly from a generated "
                  "service, or give it a public `static void Configure(rookery::ControllerBuilder& "
                  "controller)` with controller.Message(...) or controller.Event(...)");
  }
  if constexpr (internal::HasConfigure<C>) C::Configure(controller);
}

}  // namespace rookery

#endif  // ROOKERY_PIPELINE_CONTROLLER_BUILDER_H_
