// JsonLines: cuts bytes as they come into lines of JSON (newline-delimited JSON, JSON Lines).
//
//   rookery::JsonLines lines(4 << 20);
//   lines.Add(bytes);                              // whatever the socket gave
//   while (auto line = lines.Next()) {             // complete lines only
//     absl::Status read = rookery::JsonToMessage(*line, &message);
//   }
//   if (!lines.status().ok()) ...                  // a line was too long
//   if (auto line = lines.Last()) ...              // at the end, what has no newline behind it
#ifndef ROOKERY_RPC_JSON_LINES_H_
#define ROOKERY_RPC_JSON_LINES_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace rookery {

// Holds no more than what was added and not yet taken. JSON has no newline but between tokens, and
// whoever writes lines leaves those out, so that a newline always ends a value. Lines may end with
// "\r\n"; lines without anything but space are passed over. Not thread-safe.
class JsonLines final {
 public:
  // No line may be longer than `limit` bytes.
  explicit JsonLines(std::size_t limit) noexcept : limit_(limit) {}

  // Ends the life of all lines that were given out.
  void Add(std::string_view bytes);
  // The next complete line, without its end; nullopt if there is none yet, or after a failure.
  [[nodiscard]] std::optional<std::string_view> Next();
  // To be asked when nothing more comes, and Next() has no more: what is left, if anything.
  [[nodiscard]] std::optional<std::string_view> Last();
  // RESOURCE_EXHAUSTED once a line is too long, complete or not.
  [[nodiscard]] const absl::Status& status() const noexcept { return status_; }

 private:
  [[nodiscard]] bool IsTooLong(std::size_t size);

  const std::size_t limit_;
  std::string bytes_;
  std::size_t begin_ = 0;     // of the next line
  std::size_t searched_ = 0;  // there is no newline between begin_ and here
  absl::Status status_;
};

}  // namespace rookery

#endif  // ROOKERY_RPC_JSON_LINES_H_
