#include "auth.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>

#include "context.h"
#include "rookery/annotations.pb.h"

namespace shop {
namespace {

struct User {
  std::string id;
  std::vector<std::string> roles;
};

// A real shop asks its identity provider; a demonstration has a list.
const User* FindUser(std::string_view token) {
  static const std::map<std::string, User, std::less<>> users = {
      {"token-ada", {"ada", {"buyer"}}},
      {"token-tom", {"tom", {"auditor"}}},
  };
  const auto found = users.find(token);
  return found == users.end() ? nullptr : &found->second;
}

}  // namespace

absl::Status AuthGuard::CanActivate(rookery::ExecutionContext& context) {
  constexpr std::string_view kBearer = "Bearer ";
  const std::optional<std::string_view> header = context.call().metadata().Get("authorization");
  if (!header || !header->starts_with(kBearer)) {
    return absl::UnauthenticatedError("send \"authorization: Bearer TOKEN\"");
  }
  const User* const user = FindUser(header->substr(kBearer.size()));
  if (user == nullptr) return absl::UnauthenticatedError("unknown token");
  rookery::Cls::Set(kUserId, user->id);
  rookery::Cls::Set(kUserRoles, user->roles);
  return absl::OkStatus();
}

bool RolesGuard::CanActivate(rookery::ExecutionContext& context) {
  const auto& wanted = reflector_.GetOption(rookery::auth, context.method()).roles();
  const std::vector<std::string>* const has = rookery::Cls::Get(kUserRoles);
  return wanted.empty() ||
         (has != nullptr && std::any_of(wanted.begin(), wanted.end(), [has](const auto& role) {
            return std::find(has->begin(), has->end(), role) != has->end();
          }));
}

}  // namespace shop
