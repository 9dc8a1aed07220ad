// FastRandom64: random numbers for ids, a few nanoseconds each. Not for secrets.
#ifndef ROOKERY_RPC_RANDOM_H_
#define ROOKERY_RPC_RANDOM_H_

#include <cstdint>
#include <string>

namespace rookery::internal {

// From a generator of this thread's, seeded by the system's and anew in a forked child.
[[nodiscard]] std::uint64_t FastRandom64() noexcept;

// `digits` lower-case hex digits of `value`, most significant first, appended to `out`.
void AppendHex(std::string* out, std::uint64_t value, int digits);

}  // namespace rookery::internal

#endif  // ROOKERY_RPC_RANDOM_H_
