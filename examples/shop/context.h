// What the shop's services know about a call beside its message.
#ifndef SHOP_CONTEXT_H_
#define SHOP_CONTEXT_H_

#include <string>

#include "rookery/platform/cls.h"

namespace shop {

// Who is buying: set by Orders' AuthGuard, and carried to Inventory and Payments by baggage, so that
// all three write it in their logs.
inline constexpr rookery::ClsKey<std::string> kUserId{"user.id", rookery::Propagation::kBaggage};

}  // namespace shop

#endif  // SHOP_CONTEXT_H_
