// Structure: where the tokens of a JSON text begin, and that the text is UTF-8 with no open string.
//
//   JsonStructure structure;
//   if (structure.Index(text) != JsonStructure::Fault::kNone) ...
//   text[structure.tokens()[0]]      // '{', '[', '"' or the first of a number or a word
//
// simdjson's first stage: 64 bytes at a time with whatever the processor has. Its second stage and
// On-Demand are not used: they lose what errors need (the text of numbers, the place), and
// On-Demand does not choose the processor's instructions at run time.
#ifndef ROOKERY_RPC_JSON_STRUCTURE_H_
#define ROOKERY_RPC_JSON_STRUCTURE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace simdjson::internal {
class dom_parser_implementation;
}

namespace rookery::internal::json {

class JsonStructure final {
 public:
  enum class Fault : std::uint8_t { kNone, kEmpty, kOpenString, kUtf8, kControl, kTooLarge };

  JsonStructure() noexcept;
  ~JsonStructure();
  JsonStructure(const JsonStructure&) = delete;
  JsonStructure& operator=(const JsonStructure&) = delete;

  [[nodiscard]] Fault Index(std::string_view text);
  // The offsets of the tokens of the last text, ascending; the one after the last is the text's
  // length. Valid until the next Index() or Clear().
  [[nodiscard]] std::span<const std::uint32_t> tokens() const noexcept;
  // Gives memory for texts of more than `keep` bytes back.
  void Clear(std::size_t keep) noexcept;

 private:
  std::unique_ptr<simdjson::internal::dom_parser_implementation> impl_;
};

[[nodiscard]] bool ValidUtf8(std::string_view text) noexcept;

}  // namespace rookery::internal::json

#endif  // ROOKERY_RPC_JSON_STRUCTURE_H_
