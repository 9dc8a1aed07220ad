// Who may do what: two guards, one that finds out who calls and one that looks at their roles.
#ifndef SHOP_AUTH_H_
#define SHOP_AUTH_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "rookery/rookery.h"

namespace shop {

// The roles of the caller, for RolesGuard; never leaves the process.
inline constexpr rookery::ClsKey<std::vector<std::string>> kUserRoles{"user.roles"};

// Knows the caller by the bearer token in "authorization", or refuses with UNAUTHENTICATED.
class AuthGuard final {
 public:
  absl::Status CanActivate(rookery::ExecutionContext& context);
};

// Lets through callers who have one of the roles that the proto file asks for in (rookery.auth).
class RolesGuard final {
 public:
  explicit RolesGuard(rookery::Reflector& reflector) : reflector_(reflector) {}
  bool CanActivate(rookery::ExecutionContext& context);

 private:
  rookery::Reflector& reflector_;
};

}  // namespace shop

#endif  // SHOP_AUTH_H_
