#include "rpc/json/structure.h"

#include <simdjson.h>

#include <algorithm>
#include <bit>
#include <new>

namespace rookery::internal::json {
namespace {

constexpr std::size_t kLeastCapacity = 4096;
constexpr std::size_t kLargest = (std::size_t{1} << 31) - 1;

}  // namespace

JsonStructure::JsonStructure() noexcept = default;
JsonStructure::~JsonStructure() = default;

JsonStructure::Fault JsonStructure::Index(std::string_view text) {
  if (text.size() > kLargest) return Fault::kTooLarge;
  if (text.empty()) return Fault::kEmpty;
  if (!impl_ || impl_->capacity() < text.size()) {
    const std::size_t capacity = std::bit_ceil(std::max(text.size(), kLeastCapacity));
    impl_.reset();
    if (simdjson::get_active_implementation()->create_dom_parser_implementation(
            capacity, 1, impl_) != simdjson::SUCCESS) {
      throw std::bad_alloc();
    }
  }
  const simdjson::error_code error =
      impl_->stage1(reinterpret_cast<const std::uint8_t*>(text.data()), text.size(),
                    simdjson::stage1_mode::regular);
  switch (error) {
    case simdjson::SUCCESS:
      return Fault::kNone;
    case simdjson::EMPTY:
      return Fault::kEmpty;
    case simdjson::UNCLOSED_STRING:
      return Fault::kOpenString;
    case simdjson::UNESCAPED_CHARS:
      return Fault::kControl;
    case simdjson::CAPACITY:
      return Fault::kTooLarge;
    default:
      return Fault::kUtf8;
  }
}

std::span<const std::uint32_t> JsonStructure::tokens() const noexcept {
  return {impl_->structural_indexes.get(), impl_->n_structural_indexes};
}

void JsonStructure::Clear(std::size_t keep) noexcept {
  if (impl_ && impl_->capacity() > keep) impl_.reset();
}

bool ValidUtf8(std::string_view text) noexcept {
  return simdjson::validate_utf8(text.data(), text.size());
}

}  // namespace rookery::internal::json
