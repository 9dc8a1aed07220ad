// What docs/wire.md says of ZeroMQ's frames, as a stranger would write it: for the benchmarks'
// bare programs.
//
//   std::string header = bench::ZeroMqHeader("/rookery.bench.Echo/Say",
//                                            bench::ZeroMqCallAddress(7));
#ifndef ROOKERY_TESTS_BENCH_ZEROMQ_WIRE_H_
#define ROOKERY_TESTS_BENCH_ZEROMQ_WIRE_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace rookery::bench {

inline void PutShort(std::string* out, std::size_t number) {
  out->push_back(static_cast<char>(number & 0xff));
  out->push_back(static_cast<char>(number >> 8 & 0xff));
}

// What stands in front of a message's body: a header without fields.
inline std::string ZeroMqHeader(std::string_view to, std::string_view reply_to) {
  std::string header(1, '\x02');
  PutShort(&header, to.size());
  header += to;
  PutShort(&header, reply_to.size());
  header += reply_to;
  PutShort(&header, 0);
  return header;
}

// The address of a call of ours.
inline std::string ZeroMqCallAddress(std::uint64_t number) {
  char text[24];
  std::snprintf(text, sizeof text, "@%llx", static_cast<unsigned long long>(number));
  return text;
}

// Which call a message goes to, and where its body begins; ~0: none of ours.
inline std::uint64_t CallOfZeroMqMessage(std::string_view header, std::size_t* body) {
  constexpr std::uint64_t kNone = ~std::uint64_t{0};
  if (header.size() < 5 || header[0] != '\x02' || header[3] != '@') return kNone;
  const std::size_t size =
      static_cast<unsigned char>(header[1]) | static_cast<std::size_t>(header[2]) << 8;
  // No reply address, and no fields.
  if (header.size() < 7 + size || header.substr(3 + size, 4) != std::string_view("\0\0\0\0", 4)) {
    return kNone;
  }
  *body = 7 + size;
  std::uint64_t number = 0;
  for (const char c : header.substr(4, size - 1)) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return kNone;
    number = number * 16 + static_cast<std::uint64_t>(digit);
  }
  return number;
}

}  // namespace rookery::bench

#endif  // ROOKERY_TESTS_BENCH_ZEROMQ_WIRE_H_
