// Which handlers the last names led to. Private.
//
//   const Handler* handler = recent_.Find(name, [&] { return registry.Find(name); });
//
// Calls and events come in runs: comparing with a name that was asked for a moment ago costs a
// fifth of a lookup by hash. One for each loop; not thread-safe.
#ifndef ROOKERY_TRANSPORTS_ZEROMQ_SRC_RECENT_HANDLERS_H_
#define ROOKERY_TRANSPORTS_ZEROMQ_SRC_RECENT_HANDLERS_H_

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "rookery/rpc/handler.h"

namespace rookery::zeromq_adapter {

class RecentHandlers final {
 public:
  // `find` always gives the same for one name; null is not remembered.
  template <class F>
  [[nodiscard]] const Handler* Find(std::string_view name, F find) {
    if (name.empty() || name.size() > kLongest) return find();
    const auto last = static_cast<unsigned char>(name.back());
    const auto middle = static_cast<unsigned char>(name[name.size() / 2]);
    Entry& entry = entries_[(name.size() + last + 3U * middle) % kEntries];
    if (entry.name == name) [[likely]] {
      return entry.handler;
    }
    const Handler* const found = find();
    if (found != nullptr) {
      entry.name.assign(name);
      entry.handler = found;
    }
    return found;
  }

 private:
  static constexpr std::size_t kEntries = 16;
  static constexpr std::size_t kLongest = 256;
  struct Entry {
    std::string name;  // empty: none
    const Handler* handler = nullptr;
  };
  std::array<Entry, kEntries> entries_;
};

}  // namespace rookery::zeromq_adapter

#endif  // ROOKERY_TRANSPORTS_ZEROMQ_SRC_RECENT_HANDLERS_H_
