// Paths of faults, put together on the way out: the innermost part first.
#ifndef ROOKERY_RPC_JSON_FAULT_H_
#define ROOKERY_RPC_JSON_FAULT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "rookery/rpc/json.h"

namespace rookery::internal::json {

// "name" before "[3].x" or "x".
void Under(std::string_view name, JsonFault* fault);
// "[3]"
void UnderIndex(std::size_t index, JsonFault* fault);
// "["key"]"
void UnderKey(std::string_view key, JsonFault* fault);

// Somebody's text within a message: cut, and with nothing in it that would upset a terminal.
[[nodiscard]] std::string Shown(std::string_view text);

}  // namespace rookery::internal::json

#endif  // ROOKERY_RPC_JSON_FAULT_H_
