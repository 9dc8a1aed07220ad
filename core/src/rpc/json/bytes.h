// Bytes: a buffer that grows without ever being filled with zeros, and keeps its memory for reuse.
//
//   char* at = bytes.Room(20);
//   at = std::to_chars(at, at + 20, number).ptr;
//   bytes.End(at);
#ifndef ROOKERY_RPC_JSON_BYTES_H_
#define ROOKERY_RPC_JSON_BYTES_H_

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

namespace rookery::internal::json {

class Bytes final {
 public:
  // Where the next byte goes, with room for `n` of them.
  char* Room(std::size_t n) {
    if (static_cast<std::size_t>(limit_ - end_) < n) Grow(n);
    return end_;
  }
  // All before `end` is written; `end` lies within what Room() gave.
  void End(char* end) noexcept { end_ = end; }

  void Put(char c) {
    char* at = Room(1);
    *at = c;
    end_ = at + 1;
  }
  void Put(std::string_view text) {
    char* at = Room(text.size());
    if (!text.empty()) std::memcpy(at, text.data(), text.size());
    end_ = at + text.size();
  }

  // `size` bytes, at most 32, from where 32 may be read: two moves instead of a call.
  void PutShort(const char* from, std::size_t size) {
    char* at = Room(kShort);
    std::memcpy(at, from, kShort);
    end_ = at + size;
  }
  static constexpr std::size_t kShort = 32;

  [[nodiscard]] char* data() noexcept { return data_.get(); }
  [[nodiscard]] std::size_t size() const noexcept {
    return static_cast<std::size_t>(end_ - data_.get());
  }
  [[nodiscard]] std::string_view view() const noexcept { return {data_.get(), size()}; }
  void Truncate(std::size_t size) noexcept { end_ = data_.get() + size; }

  // Empties it; memory beyond `keep` bytes is given back.
  void Clear(std::size_t keep) noexcept {
    if (static_cast<std::size_t>(limit_ - data_.get()) > keep) {
      data_.reset();
      limit_ = nullptr;
    }
    end_ = data_.get();
  }

 private:
  __attribute__((noinline)) void Grow(std::size_t n) {
    const std::size_t used = size();
    const std::size_t capacity =
        std::max({used + n, 2 * static_cast<std::size_t>(limit_ - data_.get()), std::size_t{1024}});
    auto larger = std::make_unique_for_overwrite<char[]>(capacity);
    if (used != 0) std::memcpy(larger.get(), data_.get(), used);
    data_ = std::move(larger);
    end_ = data_.get() + used;
    limit_ = data_.get() + capacity;
  }

  std::unique_ptr<char[]> data_;
  char* end_ = nullptr;
  char* limit_ = nullptr;
};

}  // namespace rookery::internal::json

#endif  // ROOKERY_RPC_JSON_BYTES_H_
