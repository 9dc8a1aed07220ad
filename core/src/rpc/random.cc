#include "rpc/random.h"

#include <pthread.h>
#include <sys/random.h>

#include <atomic>
#include <bit>
#include <chrono>
#include <mutex>

namespace rookery::internal {
namespace {

// Counts forks: a child that went on with its parent's state would repeat the parent's ids.
constinit std::atomic<std::uint32_t> fork_generation{1};

// xoshiro256++ 1.0, in the public domain: https://prng.di.unimi.it/
struct Generator {
  std::uint64_t state[4] = {};
  std::uint32_t generation = 0;

  void Seed() noexcept {
    static std::once_flag watch_forks;
    std::call_once(watch_forks, [] {
      pthread_atfork(nullptr, nullptr,
                     [] { fork_generation.fetch_add(1, std::memory_order_relaxed); });
    });
    generation = fork_generation.load(std::memory_order_relaxed);
    if (getrandom(state, sizeof(state), 0) == static_cast<ssize_t>(sizeof(state))) return;
    // No entropy source at all (a bare chroot): the clock and an address still tell threads apart.
    std::uint64_t seed =
        static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()) ^
        std::bit_cast<std::uintptr_t>(this);
    for (std::uint64_t& word : state) {  // splitmix64
      std::uint64_t z = (seed += 0x9e3779b97f4a7c15u);
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      word = z ^ (z >> 31);
    }
  }

  std::uint64_t Next() noexcept {
    const std::uint64_t result = std::rotl(state[0] + state[3], 23) + state[0];
    const std::uint64_t t = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= t;
    state[3] = std::rotl(state[3], 45);
    return result;
  }
};

constinit thread_local Generator tls_generator;

}  // namespace

std::uint64_t FastRandom64() noexcept {
  Generator& generator = tls_generator;
  if (generator.generation != fork_generation.load(std::memory_order_relaxed)) [[unlikely]] {
    generator.Seed();
  }
  return generator.Next();
}

void AppendHex(std::string* out, std::uint64_t value, int digits) {
  static constexpr char kDigits[] = "0123456789abcdef";
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) {
    out->push_back(kDigits[(value >> shift) & 15]);
  }
}

}  // namespace rookery::internal
