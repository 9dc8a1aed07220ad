// What the shop's services know about a call beside its message, and how they are run.
#ifndef SHOP_CONTEXT_H_
#define SHOP_CONTEXT_H_

#include <string>
#include <utility>

#include "rookery/rookery.h"

namespace shop {

// Who is buying: set by Orders' AuthGuard, and carried to Inventory and Payments by baggage, so
// that all three write it in their logs.
inline constexpr rookery::ClsKey<std::string> kUserId{"user.id", rookery::Propagation::kBaggage};

// What all three services are run with.
inline rookery::ApplicationOptions OptionsFor(std::string name) {
  rookery::ApplicationOptions options;
  options.name = std::move(name);
  options.log.format = rookery::LogFormat::kJson;
  options.log.context_keys = {&kUserId};
  // Inventory and Payments believe Orders who the user is; nothing else is taken from callers.
  options.accept_baggage.Add(kUserId);
  return options;
}

}  // namespace shop

#endif  // SHOP_CONTEXT_H_
